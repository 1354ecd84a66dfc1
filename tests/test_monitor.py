"""The watch over the deal model: as of a day, kept scores first, planted changes found; training anew and its exit status."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from deal_versions import copied, rate_version
from typer.testing import CliRunner

from salesml.cli import monitor as commands
from salesml.contracts import table
from salesml.errors import BadParameter, NotEnoughData
from salesml.evaluation.metrics import log_loss
from salesml.features.deals import DEALS
from salesml.lake import Lake
from salesml.registry import catalog
from salesml.state import audit
from salesml.workflows import monitor_figures, retrain
from salesml.workflows.deals import MODEL, score_deals, training_table
from salesml.workflows.monitor import DealMonitor, monitor_deals
from salesml.workflows.retrain import retrain_deals
from salesml.workspace import Workspace

TRAINED, WATCHED = "2025-11-03", "2026-06-22"
FRAMES = ("inputs", "outcomes", "cohorts", "dated", "challengers")


@pytest.fixture(scope="module")
def company(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company whose champion is the stage rate, its challenger the plain rate."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("monitor") / "company")
    rate_version(made, TRAINED)
    rate_version(made, TRAINED, column=None)
    return made


@pytest.fixture(scope="module")
def watched(company: Workspace) -> DealMonitor:
    """The watch on it."""
    return monitor_deals(company, WATCHED)


def put(workspace: Workspace, name: str, rows: list[dict]) -> None:
    given = {key for row in rows for key in row}
    schema = pa.schema([field for field in table(name).schema if field.name in given])
    Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="t")


def same(one: DealMonitor, other: DealMonitor) -> None:
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(one, name), getattr(other, name))
    np.testing.assert_array_equal(one.path, other.path)


def test_figures_are_those_of_an_independent_computation(company: Workspace, watched: DealMonitor) -> None:
    settled = training_table(company, WATCHED).labelled
    settled = settled[settled["as_of"] >= pd.Timestamp(TRAINED, tz="UTC")]
    y = settled["won"].to_numpy()
    stage, plain = (catalog.load(company, MODEL, number).predict(settled[DEALS.names]) for number in (1, 2))
    live = watched.outcomes.set_index("figure")["live"]
    assert live["log loss"] == pytest.approx(log_loss(y, stage))
    assert live["share won minus mean probability"] == pytest.approx(y.mean() - stage.mean())
    entropy = -(stage * np.log(stage) + (1 - stage) * np.log(1 - stage)).mean()
    assert live["log loss minus what was to be expected"] == pytest.approx(log_loss(y, stage) - entropy)
    challenger = watched.challengers.set_index("version").loc[2]
    assert challenger["difference"] == pytest.approx(log_loss(y, plain) - log_loss(y, stage))
    assert challenger["rows"] == len(settled) and challenger["deals"] == settled["opportunity_id"].nunique()
    assert len(watched.path) == settled["opportunity_id"].nunique()
    assert watched.cohorts["rows"].sum() == len(settled)
    assert (watched.outcomes["lo"] <= watched.outcomes["live"]).all() and (watched.outcomes["live"] <= watched.outcomes["hi"]).all()


def test_a_company_that_goes_on_as_before_gives_no_alarm(watched: DealMonitor) -> None:
    assert not watched.alarm and "no sign" in watched.sentence
    assert len(watched.inputs) and not watched.inputs["moved"].any()
    assert not {"days_to_quarter_end", "owner_win_rate", "is_customer"} & set(watched.inputs["feature"])
    assert {"owner_changes", "product_id", "score"} <= set(watched.inputs["feature"])


@pytest.mark.slow
def test_kept_scores_are_those_it_would_have_given_and_come_first(company: Workspace, watched: DealMonitor) -> None:
    scored = score_deals(company, "2026-01-05")
    same(watched, monitor_deals(company, WATCHED))
    moment = dt.datetime(2026, 1, 12, tzinfo=dt.UTC)
    deals = training_table(company, WATCHED).labelled
    first = deals[deals["as_of"] == pd.Timestamp(moment)].head(1)
    told = {"prediction_id": "odd", "entity_type": "opportunity", "entity_id": first["opportunity_id"].iloc[0], "target": "won",
            "point": 0.999, "model": MODEL, "model_version": "1", "as_of": moment, "occurred_at": moment}  # fmt: skip
    put(company, "prediction", [told])
    changed = monitor_deals(company, WATCHED)
    before, after = (found.outcomes.set_index("figure").loc["share won minus mean probability", "live"] for found in (watched, changed))
    rows = watched.cohorts["rows"].sum()
    usual = catalog.load(company, MODEL, 1).predict(first[DEALS.names])[0]
    assert before - after == pytest.approx((0.999 - usual) / rows) and len(scored)


@pytest.mark.slow
def test_facts_known_later_change_nothing(company: Workspace) -> None:
    before = monitor_deals(company, "2026-05-04")
    later = dt.datetime(2026, 5, 4, tzinfo=dt.UTC)
    open_deals = score_deals(company, "2026-05-04")["opportunity_id"].head(20)
    rows = [{"opportunity_id": deal, "change_id": "end", "status": "won", "occurred_at": later} for deal in open_deals]
    put(company, "opportunity", rows)
    same(before, monitor_deals(company, "2026-05-04"))


@pytest.mark.slow
def test_targets_with_a_day_are_judged_on_every_deal_once_it_has_come(company: Workspace) -> None:
    moment = dt.datetime(2026, 2, 2, tzinfo=dt.UTC)
    deals = score_deals(company, moment)["opportunity_id"]
    told = {"entity_type": "opportunity", "model": MODEL, "model_version": "1", "as_of": moment, "occurred_at": moment,
            "target": "won_quarter", "horizon_days": 58, "point": 0.25}  # fmt: skip
    put(company, "prediction", [told | {"prediction_id": f"q:{deal}", "entity_id": deal} for deal in deals])
    changes = Lake(company).open().rows("opportunity").to_pandas()
    ends = pd.Timestamp(moment) + pd.Timedelta(days=58)
    won = changes[(changes["status"] == "won") & (changes["known_at"] >= moment) & (changes["known_at"] < ends)]
    row = monitor_deals(company, "2026-04-13").dated.set_index("target").loc["won_quarter"]
    assert row["entities"] == len(deals) and row["predicted"] == pytest.approx(0.25)
    assert row["observed"] == pytest.approx(deals.isin(won["opportunity_id"]).mean())
    assert monitor_deals(company, "2026-03-30").dated.empty, "half a horizon says nothing"


@pytest.mark.slow
def test_a_pipeline_that_changed_is_found_without_any_outcome(company: Workspace, tmp_path) -> None:
    """From spring on every deal is of a new segment and has a large amount."""
    made = copied(company, tmp_path / "changed")
    moment, changes = dt.datetime(2026, 3, 23, tzinfo=dt.UTC), Lake(made).open().rows("opportunity").to_pandas()
    made_at = changes.groupby("opportunity_id")["occurred_at"].min().clip(lower=pd.Timestamp(moment)) + pd.Timedelta(seconds=1)
    change = {"change_id": "grown", "segment": "space", "amount": 5_000_000}
    put(made, "opportunity", [change | {"opportunity_id": deal, "occurred_at": at} for deal, at in made_at.items()])
    found = monitor_deals(made, WATCHED)
    assert found.alarm and {"segment", "amount"} <= set(found.inputs.loc[found.inputs["moved"], "feature"])
    assert found.telling is not None and found.telling.lo > 0.55 and "open deals look different" in found.sentence


@pytest.mark.slow
def test_outcomes_that_turn_are_found(company: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the training nothing is won any more; before it, all is as it was."""
    truth, since = monitor_figures.label, pd.Timestamp(TRAINED, tz="UTC")

    def turned(rows, *arguments, **options):
        found = truth(rows, *arguments, **options)
        return found.assign(won=found["won"].where((found["as_of"] < since) | (found["opportunity_id"].str[-1] == "7"), 0))

    monkeypatch.setattr(monitor_figures, "label", turned)
    found = monitor_deals(company, WATCHED)
    assert found.signal is not None and found.signal.alarm and "no longer mean what they say" in found.sentence


def test_what_cannot_be_watched_is_said(company: Workspace, workspace: Workspace) -> None:
    with pytest.raises(NotEnoughData, match="no champion yet; train one"):
        monitor_deals(workspace)
    with pytest.raises(BadParameter, match="version 1 was trained as of 2025-11-03"):
        monitor_deals(company, "2025-11-02")
    at_once = monitor_deals(company, TRAINED)
    assert at_once.signal is None and not len(at_once.path) and at_once.settled_since == 0 and not at_once.alarm
    early = monitor_deals(company, "2025-11-17")
    assert early.inputs.empty and early.outcomes.empty and not early.alarm and "too early" in early.sentence


@pytest.mark.slow
def test_champion_and_challengers_are_scored_silently(company: Workspace) -> None:
    monitor_deals(company, "2026-06-15", keep=True)
    kept = Lake(company).open().rows("prediction").to_pandas()
    now = kept[kept["as_of"] == pd.Timestamp("2026-06-15", tz="UTC")]
    assert now["model_version"].value_counts().nunique() == 1 and set(now["model_version"]) == {"1", "2"}
    assert catalog.champion(company, MODEL).number == 1


def watch(**changed: object) -> SimpleNamespace:
    """The parts of a watch that the decision rests on."""
    usual = {"reasons": (), "settled_since": 10, "settled_before": 100, "sentence": "Quiet.", "as_of": dt.date(2026, 1, 1)}
    return SimpleNamespace(**(usual | changed))


@pytest.fixture
def trainings(workspace: Workspace, monkeypatch: pytest.MonkeyPatch):
    """Training replaced by a note that it was asked for; `verdicts` says whether the gate lets it pass."""
    asked: list = []
    verdicts = {"promoted": True, "watch": watch()}

    def train(workspace, as_of=None):
        asked.append(as_of)
        return SimpleNamespace(
            promoted=verdicts["promoted"], verdict="refused: weak", version=SimpleNamespace(number=3), as_of=dt.date(2026, 1, 1)
        )

    monkeypatch.setattr("salesml.workflows.train_deals.train_deals", train)
    monkeypatch.setattr(retrain, "champions", lambda workspace: [(MODEL, 1)])
    monkeypatch.setattr(retrain, "monitor_deals", lambda workspace, as_of: verdicts["watch"])
    return asked, verdicts


def run(workspace: Workspace, *arguments: str):
    app = typer.Typer()
    commands.register(app)
    return CliRunner().invoke(app, arguments, obj=str(workspace.root), env={"COLUMNS": "250"})


@pytest.mark.parametrize(
    ("changed", "force", "why"),
    [
        ({}, False, None),
        ({"settled_since": 24}, False, None),
        ({"settled_since": 25}, False, "25 deals closed since its training, 25% of the 100 before"),
        ({"reasons": ("open deals look different",)}, False, "open deals look different"),
        ({}, True, "it was asked for"),
    ],
)
def test_it_is_trained_anew_where_there_is_a_reason_and_the_reason_is_kept(workspace, trainings, changed, force, why):
    asked, verdicts = trainings
    verdicts["watch"] = watch(**changed)
    done = retrain_deals(workspace, "2026-01-01", force=force)
    assert done.trained == (why is not None) == bool(asked) and done.promoted == done.trained
    entry = audit.entries(workspace)[-1]
    assert entry.action == ("retrained" if why else "not retrained") and (why or "Not trained anew") in entry.details["why"]


def test_without_a_champion_it_is_trained_and_a_lack_of_data_is_kept_too(workspace, trainings, monkeypatch):
    monkeypatch.setattr(retrain, "champions", lambda workspace: [])
    assert "there is no champion yet" in retrain_deals(workspace).sentence

    def lacking(workspace, as_of=None):
        raise NotEnoughData("12 closed deals are known")

    monkeypatch.setattr("salesml.workflows.train_deals.train_deals", lacking)
    with pytest.raises(NotEnoughData):
        retrain_deals(workspace)
    assert "12 closed deals are known" in audit.entries(workspace)[-1].details["why"]


def test_exit_statuses_are_for_schedulers(workspace, trainings, company):
    _, verdicts = trainings
    assert run(workspace, "retrain", "deals").exit_code == 0
    assert run(workspace, "retrain", "deals", "--force").exit_code == 0
    verdicts["promoted"] = False
    refused = run(workspace, "retrain", "deals", "--force")
    assert refused.exit_code == 1 and "refused: weak" in refused.output
    told = run(company, "monitor", "deals", "--as-of", "2026-06-01")
    assert told.exit_code == 0 and "Version 1 (group rate)" in told.output and "evidence against the scores" in told.output
