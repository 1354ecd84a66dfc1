"""Scoring again what has moved: only deals with new facts, with the numbers of a full scoring; the watched folder does it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deal_versions import copied, rate_version
from importing import GOOD, HEADER, deals_mapping, put

from salesml.contracts import table
from salesml.errors import NotEnoughData
from salesml.lake import Lake
from salesml.workflows.deals import score_deals
from salesml.workflows.rescore import rescore
from salesml.workflows.watch import watch_folder
from salesml.workspace import Workspace

BEFORE, AFTER = "2026-05-04", "2026-05-06"
NUMBERS = ["opportunity_id", "probability", "lo", "hi"]


@pytest.fixture(scope="module")
def company(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company with a champion."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("rescore") / "company")
    rate_version(made, BEFORE)
    return made


def moved(workspace: Workspace, since: str, until: str) -> set[str]:
    """Ids with an own change or activity known from one day to before another, by reading the stored rows."""
    tables, found = Lake(workspace).open(), set()
    for name in ("opportunity", "activity"):
        rows = tables.rows(name).to_pandas()
        new = (rows["known_at"] >= pd.Timestamp(since, tz="UTC")) & (rows["known_at"] < pd.Timestamp(until, tz="UTC"))
        found |= set(rows.loc[new, "opportunity_id"].dropna())
    return found


def same(some: pd.DataFrame, full: pd.DataFrame) -> None:
    """The numbers of the first are those of the second for the same deals."""
    expected = full[full["opportunity_id"].isin(some["opportunity_id"])]
    pd.testing.assert_frame_equal(some[NUMBERS], expected[NUMBERS].reset_index(drop=True))


def test_only_what_moved_is_scored_again_with_the_numbers_of_a_full_scoring(company: Workspace) -> None:
    assert len(rescore(company, as_of=BEFORE)) == len(score_deals(company, BEFORE)), "nothing was scored before: all are"
    again = rescore(company, as_of=AFTER)
    full = score_deals(company, AFTER)
    assert set(again["opportunity_id"]) == moved(company, BEFORE, AFTER) & set(full["opportunity_id"])
    assert 0 < len(again) < len(full)
    same(again, full)
    assert rescore(company, as_of=AFTER).empty, "nothing has moved since"


@pytest.mark.slow
def test_what_a_later_import_brings_counts_whenever_it_happened(company: Workspace) -> None:
    full = score_deals(company, AFTER)
    head, (one, two) = Lake(company).head().id, full["opportunity_id"].head(2)
    old = dt.datetime(2026, 4, 20, tzinfo=dt.UTC)
    call = {"activity_id": "late", "opportunity_id": one, "type": "call", "occurred_at": old}
    schema = pa.schema([field for field in table("activity").schema if field.name in call])
    Lake(company).ingest({"activity": pa.Table.from_pylist([call], schema=schema)}, origin="t")
    assert rescore(company, as_of=AFTER)["opportunity_id"].tolist() == [one]
    move = {"opportunity_id": two, "change_id": "moved", "stage": "Negotiation", "occurred_at": old}
    schema = pa.schema([field for field in table("opportunity").schema if field.name in move])
    Lake(company).ingest({"opportunity": pa.Table.from_pylist([move], schema=schema)}, origin="t")
    again = rescore(company, since_head=head, as_of=AFTER)
    assert set(again["opportunity_id"]) == {one, two}
    same(again, score_deals(company, AFTER))


def test_without_a_champion_it_says_what_to_do(workspace: Workspace) -> None:
    with pytest.raises(NotEnoughData, match="no champion yet; train one with: salesml train deals"):
        rescore(workspace)


@pytest.mark.slow
def test_the_watched_folder_scores_again_what_an_import_touched(company: Workspace, tmp_path: Path) -> None:
    score_deals(company)
    outcomes: list = []
    drop = put(tmp_path / "drop", HEADER + GOOD)
    watch_folder(company, drop, deals_mapping(), outcomes.append, every=0.05, once=True)
    assert outcomes[0].rescored == "1 open deals with new facts scored again", "009 of the export is open"


def test_the_watched_folder_keeps_still_without_a_champion(workspace: Workspace, tmp_path: Path) -> None:
    outcomes: list = []
    watch_folder(workspace, put(tmp_path / "drop", HEADER + GOOD), deals_mapping(), outcomes.append, every=0.05, once=True)
    assert outcomes[0].report.changed and outcomes[0].rescored is None
