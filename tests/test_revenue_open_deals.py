"""What open deals say of the months ahead: shares learnt from earlier months only, and how far they are trusted."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from salesml.analytics.pipeline_months import FAR, UNDATED, cells, expected, months_due
from salesml.analytics.revenue import basis, monthly
from salesml.lake import Lake, visible
from salesml.models.revenue_open_deals import Origin, with_open_deals
from salesml.workflows.forecast import REGION
from salesml.workflows.revenue_open_deals import revenue_open_deals
from salesml.workspace import Workspace

MONTHS = pd.date_range("2025-01-01", periods=6, freq="MS")
STEPS = 3


def test_a_close_date_is_counted_in_months_from_the_origins() -> None:
    dates = pd.Series([dt.date(2024, 12, 31), dt.date(2025, 1, 31), dt.date(2025, 3, 1), dt.date(2027, 1, 1), None])
    assert months_due(dates, pd.Series([MONTHS[0]] * 5)).tolist() == [-1, 0, 2, FAR, UNDATED]


def of_series(found: pd.DataFrame, origin: pd.Timestamp, series: list[str], horizon: int) -> pd.DataFrame:
    return expected(found, origin, series, horizon).groupby(level="series").sum(min_count=1)


def pipeline(shares: dict[str, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """At every origin 40 deals of 100 a stage; the share of them brings its amount in the month after."""
    deals = pd.DataFrame(
        [(origin, f"{stage}{n}", "West", stage, 1, 100.0) for origin in MONTHS for stage in shares for n in range(40)],
        columns=["origin", "opportunity_id", "series", "stage", "due", "amount"],
    ).assign(call=None, rep=None, type=None)
    wins = [f"{stage}{n}" for stage, share in shares.items() for n in range(int(40 * share))]
    columns = ["origin", "opportunity_id", "ahead", "amount"]
    came = pd.DataFrame([(origin, name, 1, 100.0) for origin in MONTHS for name in wins], columns=columns)
    return deals, came


def test_shares_are_those_of_earlier_origins_drawn_towards_all() -> None:
    found = cells(*pipeline({"early": 0.1, "late": 0.5}), STEPS)
    told = of_series(found, MONTHS[5], ["East", "West"], STEPS)
    assert told.loc["East"].tolist() == [0, 0, 0]  # nothing is open there
    assert told.loc["West", 0] == 0 and told.loc["West", 2] == 0
    assert told.loc["West", 1] == pytest.approx(40 * 100 * 0.6)
    alone = of_series(found[(found["stage"] == "late") | (found["origin"] < MONTHS[5])], MONTHS[5], ["West"], STEPS).loc["West", 1]
    assert 40 * 100 * 0.45 < alone < 40 * 100 * 0.5


def test_a_month_counts_only_once_it_is_over_and_others_stay_missing() -> None:
    deals, came = pipeline({"late": 0.5})
    found = cells(deals, came, STEPS)
    assert of_series(found, MONTHS[0], ["West"], STEPS).isna().all(axis=None)
    second = of_series(found, MONTHS[1], ["West"], STEPS).loc["West"]
    assert second[0] == 0 and second[[1, 2]].isna().all()  # of the first origin only the first month is over
    later = came.assign(amount=np.where(came["origin"] >= MONTHS[3], 9e9, came["amount"]))
    early = of_series(cells(deals, later, STEPS), MONTHS[3], ["West"], STEPS)
    assert early.equals(of_series(found, MONTHS[3], ["West"], STEPS))


def test_a_stage_never_seen_brings_what_all_deals_do() -> None:
    found = cells(*pipeline({"late": 0.5}), STEPS)
    found.loc[found["origin"] == MONTHS[5], "stage"] = "new"
    assert of_series(found, MONTHS[5], ["West"], STEPS).loc["West", 1] == pytest.approx(40 * 100 * 0.5)


def test_a_call_counts_by_what_it_brought_and_by_what_its_reps_brought() -> None:
    deals, came = pipeline({"late": 0.5})
    number = deals["opportunity_id"].str.removeprefix("late").astype("int64")  # the first 20 win
    called = deals.assign(call=np.where(number < 20, "commit", "pipeline"))
    now = called["origin"] == MONTHS[5]
    found = cells(called[(called["origin"] < MONTHS[5]) | (number < 20)], came, STEPS)
    commit = of_series(found, MONTHS[5], ["West"], STEPS).loc["West", 1]
    assert 20 * 100 * 0.9 < commit < 20 * 100, "deals called commit came in, drawn a little towards the rest"
    reps = deals.assign(call="commit", rep=np.where(number < 20, "sober", "hopeful"))
    each = {
        rep: of_series(cells(reps[~now | (reps["rep"] == rep)], came, STEPS), MONTHS[5], ["West"], STEPS).loc["West", 1]
        for rep in ("sober", "hopeful")
    }
    assert each["sober"] > 20 * 100 * 0.8 and each["hopeful"] < 20 * 100 * 0.2
    stranger = reps.assign(rep=reps["rep"].where(~now, "new"))
    assert of_series(cells(stranger, came, STEPS), MONTHS[5], ["West"], STEPS).loc["West", 1] == pytest.approx(40 * 100 * 0.5)


def origins(signal: float, count: int = 24, seed: int = 0) -> list[Origin]:
    """Two series; what came is half of the history's forecast and what deals bring, of which `signal` was told."""
    rng, made = np.random.default_rng(seed), []
    for cut in range(10, 10 + count):
        history, deals, noise = np.full((2, STEPS), 100.0), rng.normal(50, 15, (2, STEPS)), rng.normal(50, 15, (2, STEPS))
        told = signal * deals + (1 - signal) * noise
        unknown = np.arange(STEPS) >= 10 + count - cut
        actual = np.where(unknown, np.nan, 50 + deals)
        made.append(Origin(cut, history, actual, told, actual - told))
    return made


def error(made: list[np.ndarray], past: list[Origin]) -> float:
    return float(np.nanmean([np.abs(one - origin.actual) for one, origin in zip(made[10:], past[10:], strict=True)]))


def test_deals_that_tell_the_month_are_believed() -> None:
    past = origins(1.0)
    found = with_open_deals(past)
    history = error([origin.history for origin in past], past)
    assert error(found, past) < 0.2 * history
    assert np.array_equal(found[2], past[2].history)  # too few earlier origins yet


def test_deals_that_tell_nothing_are_hardly_believed() -> None:
    past = origins(0.0)
    assert error(with_open_deals(past), past) < 1.1 * error([origin.history for origin in past], past)


def test_later_origins_do_not_change_earlier_forecasts() -> None:
    past = origins(1.0)
    assert all(np.array_equal(one, two) for one, two in zip(with_open_deals(past[:12]), with_open_deals(past)[:12], strict=True))


def test_without_open_deals_the_history_speaks_alone() -> None:
    missing = np.full((2, STEPS), np.nan)
    past = [Origin(one.cut, one.history, one.actual, missing, missing) for one in origins(1.0)]
    assert all(np.array_equal(made, one.history) for made, one in zip(with_open_deals(past), past, strict=True))


def test_the_rest_is_no_more_than_a_months_revenue(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()
    view = visible(tables, "2026-06-10")
    assert view.as_of is not None
    open_deals = revenue_open_deals(tiny_workspace, tables, view.as_of, STEPS)
    assert open_deals is not None
    known = monthly(view, basis(view)).assign(series=lambda rows: REGION + rows["region"])
    total = known.groupby(["month", "series"])["amount"].sum().astype("float64")
    told = [origin for origin in open_deals.rest if origin in open_deals.brought and open_deals.rest[origin].notna().all(axis=None)]
    assert len(told) > 3
    for origin in told:
        for step in range(STEPS):
            month = total.get(origin + pd.DateOffset(months=step), pd.Series(dtype="float64"))
            assert (open_deals.rest[origin][step] <= month.reindex(open_deals.rest[origin].index).fillna(0.0) + 1e-6).all()
    newest = max(open_deals.rest)
    assert open_deals.rest[newest].isna().all(axis=None) and open_deals.brought[newest].notna().all(axis=None)


def test_what_is_learnt_after_an_instant_does_not_change_it(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()
    early = dt.datetime(2026, 3, 15, tzinfo=dt.UTC)
    then, later = (revenue_open_deals(tiny_workspace, tables, instant, STEPS) for instant in (early, early + dt.timedelta(days=92)))
    assert then is not None and later is not None
    origin = max(then.brought) - pd.DateOffset(months=4)  # its months were over by the earlier instant
    assert then.rest[origin].notna().all(axis=None)
    assert np.allclose(then.rest[origin], later.rest[origin], rtol=0.05)  # entries that became known late may add to it
