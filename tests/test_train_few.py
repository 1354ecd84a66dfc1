"""Training where outcomes are few: an answer all the same, or the base rate with the number that is needed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow.compute as pc
import pytest
from deal_versions import copied
from registry_models import GOOD

from salesml.lake import Lake
from salesml.registry import catalog
from salesml.workflows import train_few as fitting
from salesml.workflows.deals import MODEL, score_deals, training_table
from salesml.workflows.train_few import FewTraining, train_few, train_what_fits
from salesml.workspace import Workspace


@pytest.fixture(scope="module")
def young(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The deals of a company's first five months."""
    workspace = Workspace.create(tmp_path_factory.mktemp("young") / "few")
    tables = Lake(tiny_workspace).open()
    names = ("opportunity", "activity", "account", "user", "contact")
    ends = pc.min(tables.rows("opportunity")["known_at"]).as_py().replace(day=1) + dt.timedelta(days=150)
    early = {name: tables.rows(name).filter(pc.field("known_at") < ends) for name in names}
    Lake(workspace).ingest(early, origin="young")
    return workspace


def test_few_outcomes_get_an_answer_that_says_what_it_rests_on(young: Workspace) -> None:
    trained = train_what_fits(young)
    assert isinstance(trained, FewTraining), "there are not enough outcomes for blocks in time order"
    assert trained.champion.kind == "handful" and trained.champion.baseline
    known = training_table(young)
    assert f"{known.groups.nunique():,} outcomes" in trained.sentence
    scored = score_deals(young)
    assert len(scored) and scored["probability"].between(0, 1, inclusive="neither").all() and "p_quarter" not in scored
    if trained.abstains:
        assert scored["probability"].nunique() == 1 and trained.sentence.startswith("Base rate")


def test_many_outcomes_are_trained_on_in_blocks(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    told = object()
    monkeypatch.setattr(fitting, "train_deals", lambda *given: (told, *given))
    assert train_what_fits(workspace, "2026-01-05", 3, False) == (told, workspace, "2026-01-05", 3, False)


@pytest.mark.slow
def test_a_model_that_passed_the_gate_stays_champion(small_workspace: Workspace, tmp_path: Path) -> None:
    workspace = copied(small_workspace, tmp_path / "own")
    model = next(version for version in catalog.versions(workspace, MODEL) if not version.baseline)
    catalog.promote(workspace, MODEL, model.number, by="ada", evidence=GOOD)
    few = train_few(workspace)
    champion = catalog.champion(workspace, MODEL)
    assert champion is not None and champion.number == few.champion.number == model.number < few.version.number
