"""The weekly brief: its sentences, its list of deals, and what it says when there is too little to say."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest

from salesml.analytics.pipeline import Landing
from salesml.lake import Lake
from salesml.reporting import weekly
from salesml.reporting.weekly import answer, brief, needy_deals, open_deals, worth
from salesml.workspace import Workspace

NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
LANDING = Landing(
    dt.date(2024, 1, 1), dt.date(2024, 4, 1), dt.date(2024, 4, 1),
    *map(Decimal, ("800", "1200.4", "1000", "1500", "900", "1700")),
)  # fmt: skip


@pytest.fixture
def workspace(tmp_path):
    """Three open deals: one overdue, one without an amount, one in order; no revenue, no model."""
    made = Workspace.create(tmp_path / "w")
    deals = pa.table(
        {
            "opportunity_id": ["late", "blank", "fine"],
            "change_id": ["1"] * 3,
            "name": ["Late one", "Blank one", "Fine one"],
            "status": ["open"] * 3,
            "stage": ["demo"] * 3,
            "amount": pa.array([Decimal(1000), None, Decimal(500)], pa.decimal128(18, 2)),
            "close_date": [dt.date(2024, 2, 20), dt.date(2024, 2, 28), dt.date(2024, 5, 1)],
            "occurred_at": pa.array([NOW - dt.timedelta(days=9)] * 3, pa.timestamp("us", "UTC")),
        }
    )
    Lake(made).ingest({"opportunity": deals}, origin="test")
    return made


@pytest.fixture
def scored(workspace, monkeypatch):
    """The same with a champion and its scores."""
    scores = pd.DataFrame({"opportunity_id": ["late", "blank", "fine"], "probability": [0.5, 0.9, 0.2]})
    monkeypatch.setattr(weekly, "champions", lambda _: [(weekly.MODEL, 3)])
    monkeypatch.setattr(weekly, "version_tags", lambda *_: {"baseline": "true"})
    monkeypatch.setattr(weekly, "_scores", lambda *_: scores)
    return workspace


def test_without_model_and_revenue_it_says_so(workspace):
    found = brief(workspace, NOW)
    assert answer(found).startswith("No deal model is registered yet (salesml train deals)")
    assert "Revenue is not forecast: no complete month with revenue is known" in answer(found)
    assert worth(found) == "The deals have no probabilities."
    assert open_deals(found) == "3 deals are open (1 of them without an amount); 2 need attention."
    assert set(needy_deals(found).deal) == {"Late one", "Blank one"} and needy_deals(found).at_stake.isna().all()


def test_deals_are_ranked_by_what_is_at_stake(scored):
    found = brief(scored, NOW)
    listed = needy_deals(found)
    assert listed.deal.tolist() == ["Late one", "Blank one"]
    assert listed.at_stake.tolist()[0] == 500.0 and pd.isna(listed.at_stake[1])
    assert listed.why.tolist() == ["should have closed 10 days ago", "should have closed 2 days ago"]
    sentence = "3 deals are open (1 of them without an amount), worth 600 USD by probability; 2 need attention."
    assert open_deals(found) == sentence
    assert worth(found).startswith("No model surely tells winners apart better than plain rates")


def test_no_deal_at_all(tmp_path):
    found = brief(Workspace.create(tmp_path / "w"), NOW)
    assert open_deals(found) == "No deal is open." and needy_deals(found).empty


def test_landing_in_one_sentence(workspace):
    found = replace(brief(workspace, NOW), landing=LANDING, lacking=())
    sentence = (
        "Revenue from January to March 2024 lands at 1,200 USD, likely between 1,000 and 1,500 (the 80 % intervals of its "
        "months added up); 800 is booked in months that are over."
    )
    assert answer(found) == f"{sentence} The deals have no probabilities."
    without_signal = answer(replace(found, tags={"baseline": "true"}))
    assert without_signal.startswith("No model surely tells winners apart better than plain rates") and without_signal.endswith(sentence)
    measured = answer(replace(found, landing=replace(LANDING, measured=True)))
    assert "between 1,000 and 1,500 (80 % interval, from how far such sums were off); 800 is booked" in measured
    short = replace(LANDING, end=dt.date(2024, 3, 1), booked=Decimal(0))
    told = answer(replace(found, landing=short))
    assert "(only until February: the forecast ends there)" in told and "; no month of it is over." in told
    assert answer(replace(found, landing=None)).startswith("The forecast does not reach into this quarter.")


def test_worth_tells_a_model_from_few_outcomes(workspace):
    found = replace(brief(workspace, NOW), tags={"baseline": "false", "kind": "competing_risks"})
    assert worth(found).startswith("The probabilities of a win come from a model that beat its baseline")
    few = replace(found, tags={"baseline": "true", "kind": "handful"})
    assert worth(few).startswith("Too few outcomes are known to test a model on later deals")
