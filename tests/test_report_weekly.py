"""The weekly report's sentences and its list of deals that need attention."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from salesml.lake import Lake, visible
from salesml.reporting.weekly import attention, open_deals, worth
from salesml.workspace import Workspace

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


@pytest.fixture
def view(tmp_path):
    made = Workspace.create(tmp_path / "w")
    first = pa.array([NOW - dt.timedelta(days=9)], pa.timestamp("us", "UTC"))
    user = pa.table({"user_id": ["r1"], "change_id": ["1"], "name": ["Kim"], "occurred_at": first, "known_at": first})
    Lake(made).ingest({"user": user}, origin="test")
    return visible(Lake(made).open(), NOW)


SCORED = pd.DataFrame(
    {
        "opportunity_id": list("abcde"),
        "name": ["A", None, "C", "D", "E"],
        "owner_id": ["r1", "r2", "r1", "r1", "r1"],
        "stage": ["demo"] * 5,
        "amount": [Decimal(100), Decimal(1000), None, Decimal(900), Decimal(10)],
        "probability": [0.5, 0.2, 0.9, 0.9, 0.9],
        "close_date": [dt.date(2024, 2, 20), dt.date(2024, 3, 15), None, dt.date(2024, 3, 16), dt.date(2024, 3, 1)],
    }
)


def test_attention_lists_late_due_and_dateless_deals_by_expected_money(view):
    urgent = attention(SCORED, view)
    assert urgent.deal.tolist() == ["b", "A", "E", "C"]
    told = ["is due in 14 days", "should have closed 10 days ago", "is due in 0 days", "has no close date"]
    assert urgent.why.tolist() == told
    assert urgent.owner.tolist() == ["r2", "Kim", "Kim", "Kim"]
    assert urgent.expected.tolist()[:3] == [200.0, 50.0, 9.0] and pd.isna(urgent.expected[3])
    assert attention(SCORED, view, soon_days=15).deal[0] == "D"
    assert attention(SCORED.iloc[:0], view).empty


def test_open_deals_in_one_sentence(view):
    urgent = attention(SCORED, view)
    told = "5 deals are open (1 of them without an amount), worth 1,069 USD by probability; 4 need attention."
    assert open_deals(SCORED, urgent, "USD") == told
    unknown = open_deals(SCORED.assign(amount=None), urgent, "USD")
    assert unknown == "5 deals are open (5 of them without an amount); 4 need attention."
    assert open_deals(SCORED.iloc[:0], urgent, "USD") == "No deal is open."


def test_worth_says_when_there_is_no_signal():
    tags = {"horizon_days": "90"}
    baseline = worth(SimpleNamespace(baseline=True, number=1, tags=tags))
    assert baseline.startswith("There is no usable signal about who wins") and "within 90 days" in baseline
    assert "version 7 of the deal model" in worth(SimpleNamespace(baseline=False, number=7, tags=tags))
