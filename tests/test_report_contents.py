"""What the data report says of a workspace agrees with what was put in."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest

from salesml.lake import Lake, visible
from salesml.reporting.contents import contents, issues
from salesml.workspace import Workspace

DAY = dt.timedelta(days=1)
START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.fixture
def filled(tmp_path):
    """Four revenue entries, each known a day later, the last one's known_at assumed; four issues."""
    made = Workspace.create(tmp_path / "w", time_zone="Europe/Berlin")
    known = [START + DAY, START + 2 * DAY, START + 3 * DAY, None]
    where = {"source_file": ["sales.csv"] * 4, "source_row": [7, 3, 5, 9]}
    times = {"occurred_at": pa.array([START + i * DAY for i in range(4)], pa.timestamp("us", "UTC"))}
    amounts = pa.array([1, 2, 3, 4], pa.decimal128(18, 2))
    entries = {"revenue_id": list("abcd"), "amount": amounts, "kind": ["invoice"] * 4}
    revenue = pa.table({**entries, **times, "known_at": pa.array(known, pa.timestamp("us", "UTC")), **where})
    told = {"import_issue_id": list("wxyz"), "severity": ["warning"] + ["rejected"] * 3, "table": ["revenue"] * 4}
    reasons = {"column": ["owner_id"] + ["amount"] * 3, "reason": ["no such rep"] + ["not a number"] * 3}
    found = pa.table({**told, **reasons, **times, "known_at": times["occurred_at"], **where})
    Lake(made).ingest({"revenue": revenue, "import_issue": found}, origin="test")
    return made


def test_contents_counts_what_was_known(filled):
    tables = Lake(filled).open()
    frame = contents(visible(tables, START + 10 * DAY)).set_index("table")
    row = frame.loc["revenue"]
    assert (row.facts, row.entities, row.assumed) == (4, 4, 0.25)
    assert (row.first_event, row.last_event, row.last_known) == (START, START + 3 * DAY, START + 3 * DAY)
    assert row.first_event.tzname() == "CET" and row.days_old == 7.0
    earlier = contents(visible(tables, START + 2 * DAY)).set_index("table")
    assert earlier.loc["revenue"].facts == 1 and earlier.loc["revenue"].assumed == 0
    assert contents(visible(tables, START)).empty


def test_issues_are_grouped_and_show_the_first_row(filled):
    frame = issues(visible(Lake(filled).open(), START + 10 * DAY))
    assert frame.to_numpy().tolist() == [
        ["rejected", "revenue", "amount", "not a number", 3, "sales.csv", 3],
        ["warning", "revenue", "owner_id", "no such rep", 1, "sales.csv", 7],
    ]


def test_an_empty_workspace_has_neither(tmp_path):
    view = visible(Lake(Workspace.create(tmp_path / "w")).open(), START)
    assert contents(view).empty and issues(view).empty
