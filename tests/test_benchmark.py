"""Reps beside their peers: groups, shrinkage, verdicts, trends, behaviours, judged by simulation with known truth where luck decides."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from salesml import world
from salesml.analytics import benchmark_behaviour as behaviour
from salesml.analytics import book as books
from salesml.analytics.benchmark import ABOVE, BELOW, OPEN, Benchmark, among, benchmark, verdicts
from salesml.analytics.benchmark_evidence import Evidence, evidence
from salesml.analytics.benchmark_groups import grouped, reps
from salesml.analytics.benchmark_shrink import levels
from salesml.analytics.measures import MEASURES
from salesml.analytics.slices import measure, previous
from salesml.analytics.trends import IMPROVING, SHORT, STEADY, told_apart, trend
from salesml.cli import app
from salesml.cli.benchmark import register
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.figures.benchmark import (
    benchmark_table,
    caterpillar,
    differences_table,
    said,
    strip,
    trend_figure,
    trends_table,
)
from salesml.lake import Lake, View, visible
from salesml.workflows.benchmark import RepsBenchmark, benchmark_reps, period_of
from salesml.workspace import Workspace

PERIOD = (dt.date(2026, 1, 1), dt.date(2026, 7, 1))
BY_REP = [name for name, asked in MEASURES.items() if "rep" in asked.dimensions and name != "quota"]


@pytest.fixture(scope="module")
def view(tiny_workspace: Workspace) -> View:
    tables = Lake(tiny_workspace).open()
    return visible(tables, tables.instant(None))


@pytest.fixture(scope="module")
def book(view: View) -> books.Book:
    return books.make(view)


@pytest.fixture(scope="module")
def people(view: View) -> pd.DataFrame:
    return reps(view, dt.date(2026, 6, 30))


@pytest.fixture(scope="module")
def told(tiny_workspace: Workspace) -> RepsBenchmark:
    return benchmark_reps(tiny_workspace, names=("win_rate", "bookings"), period="2026-Q2")


# who is compared with whom


def test_peers_are_like_in_tenure_and_potential_and_at_least_five():
    days = np.repeat([100, 500, 2000], [6, 12, 15])
    found = grouped(pd.DataFrame({"tenure_days": days, "potential": np.arange(33.0)}))
    sizes = found.groupby("peers").size()
    assert sizes.to_dict() == {
        "under 1 year": 6, "1 to 3 years, smaller territories": 6, "1 to 3 years, larger territories": 6,
        "3 years or more, small territories": 5, "3 years or more, middling territories": 5, "3 years or more, large territories": 5,
    }  # fmt: skip
    small = found[found["peers"].str.contains("small territories")]["potential"]
    large = found[found["peers"].str.contains("large territories")]["potential"]
    assert small.max() < large.min()


@pytest.mark.parametrize(
    ("days", "names"),
    [
        ([100, 100, 500, 500, 2000], {"all reps"}),
        ([100] * 2 + [500] * 5 + [2000] * 5, {"under 3 years", "3 years or more"}),
        ([100] * 5 + [500] * 2 + [2000] * 5, {"under 3 years", "3 years or more"}),
        ([100] * 5 + [500] * 5 + [2000] * 2, {"under 1 year", "1 year or more"}),
        ([np.nan] * 5 + [2000] * 5, {"tenure unknown", "3 years or more"}),
        ([2000] * 3, {"all reps"}),
    ],
)
def test_small_bands_join_their_neighbours(days, names):
    found = grouped(pd.DataFrame({"tenure_days": days, "potential": np.nan}))
    assert set(found["peers"]) == names


def test_reps_at_work_are_those_there_on_the_day(view, people):
    users = view.frame(view.state("user", ["role", "hired_on", "left_on"])).set_index("user_id")
    assert (users.loc[people["rep"], "role"] == "rep").all()
    there = users[(users["role"] == "rep") & (users["hired_on"] <= pd.Timestamp("2026-06-30"))]
    left = pd.to_datetime(there["left_on"])
    assert set(people["rep"]) == set(there.index[~(left <= pd.Timestamp("2026-06-30"))])
    with pytest.raises(NotEnoughData, match="no rep is known to be at work on 1990-01-01"):
        reps(view, dt.date(1990, 1, 1))


# evidence and shrinkage


def test_win_rate_rests_on_the_very_deals(book, people):
    whole = people[["rep"]].merge(measure(book, ["win_rate"], by=["rep"], period=PERIOD), "left", "rep")
    shown = evidence(book, MEASURES["win_rate"], people["rep"], PERIOD, np.ones(len(people)), whole["win_rate"].to_numpy())
    assert shown.law == "share"
    np.testing.assert_array_equal(shown.size, whole["win_rate_n"].fillna(0))
    np.testing.assert_allclose(shown.shown, (whole["win_rate"] * whole["win_rate_n"]).fillna(0))


def test_rows_that_hang_together_count_for_less(book, people):
    ones = np.ones(len(people))
    rows = measure(book, ["answered_share", "activities"], by=["rep"], period=PERIOD).set_index("rep")
    shown = evidence(book, MEASURES["activities"], people["rep"], PERIOD, ones, ones)
    assert shown.unit > 2  # activities of a deal come together
    np.testing.assert_allclose(shown.shown * shown.unit, rows.loc[people["rep"], "activities"].astype("float64"))
    share = evidence(book, MEASURES["win_rate_amount"], people["rep"], PERIOD, ones, ones)
    assert (share.size < share.n).all()  # a few large deals make most of an amount
    assert (evidence(book, MEASURES["answered_share"], people["rep"], PERIOD, ones, ones).size <= rows["answered_share_n"].max()).all()


def test_three_deals_do_not_make_a_top_rep():
    won, closed = np.array([3.0, 45, 30, 28, 31, 29, 27]), np.array([3.0, 80, 100, 100, 100, 100, 100])
    shown = Evidence("share", won, closed, closed)
    shrunk, drawn = levels(shown, pd.Series(["all"] * 7))
    assert won[0] / closed[0] == 1 and shrunk[0] < shrunk[1] < won[1] / closed[1]
    wide = np.quantile(drawn, 0.95, axis=1) - np.quantile(drawn, 0.05, axis=1)
    assert wide[0] == wide.max()
    _, above, _, _ = among(drawn, shrunk, pd.Series(["all"] * 7), 1.0)
    given = verdicts(above, closed, np.full(7, 7))
    assert given[0] == OPEN and given[1] == ABOVE


def test_nothing_known_is_missing_and_equal_evidence_stays_in_the_middle():
    none = Evidence("mean", np.zeros(5), np.zeros(5), np.zeros(5))
    assert np.isnan(levels(none, pd.Series(["all"] * 5))[0]).all()
    for law, y in (("sum", 20.0), ("mean", 4.0), ("median", np.log(4.0))):
        even = Evidence(law, np.full(6, y), np.full(6, 5.0), np.full(6, 5.0))
        np.testing.assert_allclose(levels(even, pd.Series(["all"] * 6))[0], 4.0, rtol=0.08)


def simulated(law: str, spread: float, rng: np.random.Generator, people: int = 24) -> tuple[Evidence, np.ndarray]:
    """Evidence with its true levels, from laws that are not those of the model."""
    n = rng.integers(3, 60, people).astype("float64")
    skill = rng.normal(0, spread, people)
    if law == "share":
        true = 1 / (1 + np.exp(0.9 - skill))
        return Evidence(law, rng.binomial(n.astype(int), true).astype("float64"), n, n), true
    true = 30 * np.exp(skill)
    if law == "sum":
        counts = rng.poisson(true)
        return Evidence(law, counts.astype("float64"), np.ones(people), np.maximum(counts, 1.0)), true
    rows = [rng.lognormal(np.log(mean) - 0.32, 0.8, int(k)) for mean, k in zip(true, n, strict=True)]
    if law == "mean":
        return Evidence(law, np.array([row.mean() for row in rows]), n / (np.exp(0.64) - 1), n), true
    middle = np.log([np.median(row) for row in rows])
    return Evidence(law, middle, n / (np.pi / 2 * 0.64), n), true * np.exp(-0.32)


def screened(law: str, spread: float, seed: int, turns: int) -> pd.DataFrame:
    """Two peer groups of 12 compared many times. Per screen: inside (share of intervals that hold the truth), given, wrong, better."""
    rng, rows, peers = np.random.default_rng(seed), [], pd.Series(np.repeat(["a", "b"], 12))
    for turn in range(turns):
        shown, true = simulated(law, spread, rng)
        shrunk, drawn = levels(shown, peers, seed=turn)
        lo, hi = np.quantile(drawn, [0.05, 0.95], axis=1)
        raw = np.exp(shown.shown) if law == "median" else shown.shown if law == "mean" else shown.shown / shown.size
        _, above, _, _ = among(drawn, shrunk, peers, 1.0)
        verdict, middle = verdicts(above, shown.n, np.full(24, 12)), np.empty(24)
        for place in range(24):
            others = (peers == peers[place]).to_numpy() & (np.arange(24) != place)
            middle[place] = np.median(true[others])
        wrong = ((verdict == ABOVE) & (true <= middle)) | ((verdict == BELOW) & (true >= middle))
        better = ((raw - true) ** 2).sum() - ((shrunk - true) ** 2).sum()
        rows.append((((lo <= true) & (true <= hi)).mean(), (verdict != OPEN).sum(), wrong.sum(), better))
    return pd.DataFrame(rows, columns=["inside", "given", "wrong", "better"])


@pytest.mark.parametrize("law", ["share", "sum", "mean", "median"])
def test_intervals_hold_the_truth_and_verdicts_are_seldom_wrong(law):
    found = screened(law, 0.35, seed=5, turns=25)
    # measured over more screens: shares of few deals 86 to 89 %, others 87 to 92 %; those of a screen share its luck
    assert (0.83 if law == "share" else 0.86) <= found["inside"].mean() <= 0.95
    assert found["given"].sum() >= 30 and found["better"].mean() > 0
    assert (found["wrong"] / found["given"].clip(lower=1)).mean() <= 0.10  # the false discovery rate of Benjamini and Hochberg


@pytest.mark.slow
@pytest.mark.parametrize("law", ["share", "sum", "mean", "median"])
def test_where_nobody_differs_hardly_anybody_is_told_apart(law):
    turns = 60
    found = screened(law, 0.0, seed=31, turns=turns)
    assert (found["given"] > 0).mean() <= 0.10 + 1.645 * np.sqrt(0.09 / turns)  # every verdict is false: the rate is that of any
    assert found["inside"].mean() >= 0.90
    few = screened(law, 0.2, seed=32, turns=turns)
    assert (few["wrong"] / few["given"].clip(lower=1)).mean() <= 0.10


# the benchmark


def test_benchmark_sets_each_figure_beside_the_same_measures(book, people):
    found = benchmark(book, people, ["win_rate", "bookings", "response_hours"], PERIOD)
    assert isinstance(found, Benchmark) and len(found.rows) == 3 * len(people)
    rates = found.rows[found.rows["measure"] == "win_rate"].set_index("rep")
    whole = measure(book, ["win_rate", "quota_attainment"], by=["rep"], period=PERIOD).set_index("rep")
    pd.testing.assert_series_equal(rates["value"], whole["win_rate"].reindex(rates.index), check_names=False)
    pd.testing.assert_series_equal(rates["quota_attainment"], whole["quota_attainment"].reindex(rates.index), check_names=False)
    teams = measure(book, ["win_rate"], by=["team"], period=PERIOD).set_index("team")["win_rate"]
    assert (rates["team_value"] == rates["team"].map(teams)).all()
    assert ((rates["lo"] <= rates["shrunken"]) & (rates["shrunken"] <= rates["hi"])).all()
    assert set(found.rows["verdict"]) <= {ABOVE, BELOW, OPEN}
    sure = found.rows[found.rows["verdict"] != OPEN]
    assert (np.maximum(sure["p_above"], 1 - sure["p_above"]) >= 0.9).all()
    before = previous(PERIOD)
    past = found.history[(found.history["measure"] == "win_rate") & (found.history["start"] == before[0])].set_index("rep")
    known = measure(book, ["win_rate"], by=["rep"], period=before).set_index("rep")["win_rate"]
    pd.testing.assert_series_equal(past["value"], known.reindex(past.index), check_names=False)
    hours = found.rows[found.rows["measure"] == "response_hours"]
    order = hours.sort_values("shrunken")["rank"].to_numpy()
    assert order[0] == 1 and order[-1] == 0  # less is better: the quickest is ahead of all


@pytest.mark.parametrize("name", BY_REP)
def test_any_measure_of_reps_can_be_asked_for(book, people, name):
    rows = benchmark(book, people, [name], PERIOD, periods=1).rows
    told = rows.dropna(subset="shrunken")
    assert (told["lo"] <= told["hi"]).all() and rows["rank"].dropna().between(0, 1).all()
    counted = rows.dropna(subset=["comparable", "shrunken"])
    if len(counted) > 2 and name not in ("coverage", "velocity"):
        low, high = counted["comparable"].min(), counted["comparable"].max()
        assert counted["shrunken"].max() - counted["shrunken"].min() <= (high - low) * 1.25 + 1e-9  # drawn together, not apart


def test_a_new_rep_is_compared_by_the_time_at_work(book, people):
    half = people.assign(hired_on=pd.Timestamp("2026-04-01"))
    whole, part = (benchmark(book, one, ["deals_won"], PERIOD).rows for one in (people.assign(hired_on=pd.NaT), half))
    np.testing.assert_allclose(part["comparable"] / whole["comparable"], 181 / 91)
    assert (part["value"] == whole["value"]).all()


def test_asked_again_as_of_a_past_day_it_is_the_same_to_the_bit(tiny_workspace):
    tables = Lake(tiny_workspace).open()
    day, period = dt.date(2026, 4, 1), (dt.date(2025, 10, 1), dt.date(2026, 4, 1))
    once, again = ((books.make(visible(tables, day)), reps(visible(tables, day), dt.date(2026, 3, 31))) for _ in range(2))
    first, second = (benchmark(one, there, ["win_rate", "bookings"], period) for one, there in (once, again))
    pd.testing.assert_frame_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.draws["bookings"], second.draws["bookings"])


def test_benchmark_says_what_cannot_be_asked(book, people):
    with pytest.raises(BadParameter, match="reps cannot be compared by quota"):
        benchmark(book, people, ["quota"], PERIOD)
    with pytest.raises(UnknownName, match="unknown measure 'charm'"):
        benchmark(book, people, ["charm"], PERIOD)
    with pytest.raises(BadParameter, match="no measure is asked for"):
        benchmark(book, people, [], PERIOD)


# trends


def months(n: int) -> list[dt.date]:
    return [day.date() for day in pd.date_range("2022-01-01", periods=n, freq="MS")]


def hanging(n: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """A series of variance 1 whose neighbouring months correlate by `strength`."""
    found = rng.normal(size=n)
    for place in range(1, n):
        found[place] = strength * found[place - 1] + np.sqrt(1 - strength**2) * found[place]
    return found


def alarms(series: Iterator[tuple[np.ndarray, np.ndarray | None]]) -> float:
    return float(np.mean([trend(values, months(len(values)), weights).p_value <= 0.05 for values, weights in series]))


@pytest.mark.parametrize(("n", "strength"), [(24, 0.0), (36, 0.0), (36, 0.3)])
def test_series_without_change_alarm_seldom(n, strength):
    rng = np.random.default_rng(2)
    assert alarms((hanging(n, strength, rng), None) for _ in range(200)) <= 0.05 + 1.645 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.slow
def test_false_alarms_are_kept_where_months_hang_together_where_deals_are_few_and_tails_heavy():
    rng, turns = np.random.default_rng(3), 300
    error = 1.645 * np.sqrt(0.05 * 0.95 / turns)
    for n in (18, 24, 36):
        for strength in (0.0, 0.3):
            assert alarms((hanging(n, strength, rng), None) for _ in range(turns)) <= 0.05 + error
        assert alarms((hanging(n, 0.5, rng), None) for _ in range(turns)) <= 0.10  # stronger than is kept at 5 %, and told so

    def shares() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for _ in range(turns):
            weights = rng.poisson(4, 36)
            yield rng.binomial(weights, 0.3) / np.maximum(weights, 1), weights

    assert alarms(shares()) <= 0.05 + error
    heavy = ((np.where(rng.random(36) < 0.3, 0, rng.lognormal(0, 1.2, 36)), None) for _ in range(turns))
    assert alarms(heavy) <= 0.05 + error


def test_a_step_is_found_where_it_is():
    rng, found = np.random.default_rng(4), []
    for _ in range(60):
        values = rng.normal(size=36) + 2.0 * (np.arange(36) >= 18)
        found.append(trend(values, months(36)))
    told = [one for one in found if one.verdict == IMPROVING]
    assert len(told) >= 0.8 * len(found)  # the size said to go unseen one time in five is smaller
    assert np.mean([one.unseen for one in found]) < 2.0
    steps = [one for one in told if one.shape == "step"]
    assert np.mean([one.at_lo <= months(36)[18] <= one.at_hi for one in steps]) >= 0.8
    assert np.mean([one.lo <= 2.0 <= one.hi for one in steps]) >= 0.75


def test_what_goes_unseen_one_time_in_five_does():
    rng = np.random.default_rng(6)
    size = np.mean([trend(rng.normal(size=36), months(36)).unseen for _ in range(40)])
    seen = [trend(rng.normal(size=36) + size * (np.arange(36) >= 18), months(36)).p_value <= 0.05 for _ in range(100)]
    assert 0.68 <= np.mean(seen) <= 0.92


def test_the_rush_of_each_quarter_is_no_trend_and_good_has_a_direction():
    rng = np.random.default_rng(8)
    rush = np.tile([0.0, 0.0, 5.0], 8)
    assert alarms((rush + rng.normal(0, 0.3, 24), None) for _ in range(100)) <= 0.05 + 1.645 * np.sqrt(0.05 * 0.95 / 100)
    slow = rng.normal(0, 0.3, 36) + np.linspace(0, 4, 36)
    up, down = trend(slow, months(36)), trend(slow, months(36), good="down")
    assert (up.verdict, down.verdict) == (IMPROVING, "declining") and up.shape == "slope" and up.at is None
    assert trend(slow, months(36), good="neither").verdict == "rising"
    assert trend(rush[:9], months(9)).verdict == SHORT
    assert trend(np.ones(20), months(20)).verdict == STEADY


def test_trend_says_what_is_wrong():
    with pytest.raises(BadInput, match="as many values"):
        trend([1.0, 2.0], months(3))
    with pytest.raises(BadInput, match="rising order"):
        trend([1.0, 2.0], months(2)[::-1])
    with pytest.raises(BadParameter, match="season is 1, 3 or 12, not 5"):
        trend(np.arange(20.0), months(20), season=5)
    assert told_apart(pd.DataFrame({"p_value": [0.001, 0.04, 0.9, 0.8]})).tolist() == [True, True, False, False]
    assert told_apart(pd.DataFrame({"p_value": [0.04] + [0.5] * 9})).sum() == 0


# what the best do differently


def made_deals(rng: np.random.Generator, gap: float = 0.0) -> pd.DataFrame:
    """Deals of 24 reps, six of them the best: they do `gap` more, and have more of a segment in which everybody does more."""
    parts = []
    for place in range(24):
        best = place < 6
        segment = rng.random(40) < (0.8 if best else 0.3)
        habit = rng.normal(0, 0.5)
        acts = rng.poisson(np.exp(0.5 * segment) * 3 + habit + 1) + gap * best
        rows = pd.DataFrame({"rep": f"R{place:02d}", "segment": np.where(segment, "large", "small"), "activities": acts * 1.0})
        parts.append(rows)
    deals = pd.concat(parts, ignore_index=True)
    for name in behaviour.BEHAVIOURS:
        if name not in deals:
            deals[name] = np.nan
    return deals


def test_a_difference_of_mix_is_none_of_behaviour():
    rng, best, everybody = np.random.default_rng(7), [f"R{k:02d}" for k in range(6)], [f"R{k:02d}" for k in range(24)]
    plain, adjusted, inside = [], [], []
    for _ in range(60):
        deals = made_deals(rng)
        plain.append(behaviour.differences(deals, best, everybody, mix=())["p_value"].iloc[0] <= 0.1)
        found = behaviour.differences(deals, best, everybody, mix=("segment",)).iloc[0]
        adjusted.append(found["p_value"] <= 0.1)
        inside.append(found["lo"] <= 0 <= found["hi"])
    assert np.mean(plain) > 0.5 and np.mean(adjusted) <= 0.1 + 1.645 * np.sqrt(0.09 / 60)
    assert np.mean(inside) >= 0.8
    told = behaviour.differences(made_deals(rng, gap=2.0), best, everybody, mix=("segment",)).iloc[0]
    assert told["told"] and told["lo"] <= 2.0 <= told["hi"] and told["label"] == "correlational"
    assert (told["best_reps"], told["rest_reps"], told["deals"]) == (6, 18, 960)


def test_too_few_reps_tell_no_difference():
    deals = made_deals(np.random.default_rng(1))
    with pytest.raises(NotEnoughData, match="on a side fewer than 3 reps"):
        behaviour.differences(deals, ["R00", "R01"], ["R00", "R01", "R02", "R03"])


def test_behaviours_are_those_before_each_landmark_whatever_came_later(tiny_workspace, view):
    period = (dt.date(2025, 10, 1), dt.date(2026, 1, 1))
    tables = Lake(tiny_workspace).open()
    early = behaviour.behaviours(visible(tables, dt.date(2026, 3, 15)), *period)
    late = behaviour.behaviours(view, *period)
    pd.testing.assert_frame_equal(early, late)  # every landmark had passed: outcomes since then are not in it
    acts = view.frame(view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull()))
    deal = late[late["activities"] > 1].iloc[0]
    born = view.frame(view.state("opportunity", ["status"])).set_index("opportunity_id")["created_at"][deal["opportunity_id"]]
    end = born + pd.Timedelta(days=14)
    mine = acts[(acts["opportunity_id"] == deal["opportunity_id"]) & (acts["occurred_at"] >= born) & (acts["occurred_at"] < end)]
    mine = mine[(mine["known_at"] < end) & (mine["direction"] != "inbound")]
    assert deal["activities"] == len(mine)
    assert deal["meeting_share"] == pytest.approx(mine["type"].isin(["meeting", "demo"]).mean())
    assert deal["first_touch_hours"] == pytest.approx((mine["occurred_at"].min() - born).total_seconds() / 3600)


def test_the_best_are_a_quarter_of_those_known():
    names = pd.Series([f"R{k}" for k in range(9)])
    best = behaviour.best_of(pd.Series(np.arange(9.0)), names, pd.Series([True] * 8 + [False]))
    assert best == ["R7", "R6"]


# words, pictures, the command


@pytest.mark.parametrize(
    ("told", "start", "period"),
    [
        ("2026-Q2", 1, ("2026-04-01", "2026-07-01")), ("2026-q1", 4, ("2025-04-01", "2025-07-01")),
        ("2026", 1, ("2026-01-01", "2027-01-01")),
        ("2026", 7, ("2025-07-01", "2026-07-01")), ("2026-04", 4, ("2026-04-01", "2026-05-01")),
        ("2026-01-01..2026-02-15", 1, ("2026-01-01", "2026-02-15")),
    ],
)  # fmt: skip
def test_periods_are_read(told, start, period):
    assert period_of(told, start) == tuple(map(dt.date.fromisoformat, period))


@pytest.mark.parametrize("told", ["2026-Q5", "last year", "2026-13", "2026-02-01..2026-01-01", "2026-02-30..2026-03-01", ""])
def test_other_periods_are_refused(told):
    with pytest.raises(BadParameter, match="is no period; write 2026-Q2"):
        period_of(told)


def test_the_answer_says_who_and_how_sure(told):
    assert told.sentence.startswith("Win rate from 1 April 2026 to 30 June 2026: ")
    assert "90 % certainty" in told.sentence and "The company over the past three years: " in told.sentence
    assert told.trends["level"].tolist()[0] == "company" and set(told.trends["level"]) == {"company", "team", "rep"}
    assert not told.trends.loc[~told.trends["told"], "verdict"].isin(["improving", "declining"]).any()
    assert any("as counted" in note for note in told.notes)
    assert told.of("bookings")["measure"].eq("bookings").all()
    assert told.differences.empty and any("cannot be told: on a side fewer than 3 reps" in note for note in told.notes)  # six reps
    assert "None so far" in differences_table(told.differences, "t").html


def test_a_period_ahead_is_refused(tiny_workspace):
    with pytest.raises(BadParameter, match="not known yet as of 2026-07-01"):
        benchmark_reps(tiny_workspace, "2026-07-01", period="2027")


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(0.415, "share", "42 %"), (12.34, "days", "12 days"), (3.21, "hours", "3.2 hours"), (1234, "count", "1,234"), (0.8, "ratio", "0.80"),
     (123456.0, "USD", "123 k USD"), (4.31e6, "EUR", "4.3 M EUR"), (1.5, "USD a day", "1.5 USD a day"), (float("nan"), "share", "–")],
)  # fmt: skip
def test_figures_are_said_with_their_unit(value, unit, words):
    assert said(value, unit).replace("\N{NO-BREAK SPACE}", " ") == words


def made_rows(n: int = 6) -> pd.DataFrame:
    level = np.linspace(0.2, 0.5, n)
    verdict = [BELOW, *[OPEN] * (n - 2), ABOVE]
    return pd.DataFrame({
        "rep": [f"R{k}" for k in range(n)], "name": ["<Ann & Co>", *[f"Rep {k}" for k in range(1, n)]], "team": "T", "peers": "all reps",
        "peer_count": n, "measure": "win_rate", "value": level, "n": 10, "comparable": level, "shrunken": level, "lo": level - 0.1,
        "hi": level + 0.1, "peer_median": 0.35, "p_above": np.linspace(0.05, 0.95, n), "rank": np.linspace(0, 1, n), "rank_lo": 0.0,
        "rank_hi": 1.0, "verdict": verdict, "better": pd.array([False, *[None] * (n - 2), True], "boolean"), "team_value": 0.3,
        "own_before": 0.3, "own_before_n": 20.0, "quota_attainment": 1.0,
    })  # fmt: skip


def test_drawings_are_valid_have_words_and_do_not_lean_on_colour():
    drawn = caterpillar(made_rows(), "share", "Win rate")
    root = ElementTree.fromstring(drawn.svg)
    assert root.get("role") == "img" and root.get("aria-label") == drawn.alt and float(root.get("width")) <= 420
    assert "above peers: Rep 5" in drawn.alt and "below peers: <Ann & Co>" in drawn.alt and "4 of 6 reps are not told apart" in drawn.alt
    text = "".join(root.itertext())
    assert text.count("▲") == 1 and text.count("▼") == 1
    assert "<script" not in drawn.svg and "href" not in drawn.svg
    ElementTree.fromstring(strip(made_rows(), "share", "Spread").svg)
    data, meta = drawn._repr_mimebundle_()
    assert data["image/svg+xml"] == drawn.svg and meta["image/svg+xml"]["alt"] == drawn.alt
    empty = made_rows().assign(shrunken=np.nan)
    assert "nothing is known" in caterpillar(empty, "share", "Win rate").alt
    assert "▲" in benchmark_table(made_rows(), "share", "t").html


def test_the_change_is_marked_and_told():
    values = np.r_[np.full(18, 10.0), np.full(18, 20.0)] + np.random.default_rng(0).normal(0, 1, 36)
    found = pd.Series({"level": "company", "label": "company", "told": True, **vars(trend(values, months(36)))})
    series = pd.DataFrame({"month": months(36), "value": values})
    drawn = trend_figure(series, found, "days", "Cycle")
    root = ElementTree.fromstring(drawn.svg)
    marks = [part for part in root.iter() if part.get("class") == "when"]
    assert len(marks) == 1 and "since July 2023" in drawn.alt and "improving" in drawn.alt
    assert "Jul 2023" in trends_table(pd.DataFrame([found]), "days", "t").html


def test_the_command_answers_first(tiny_workspace):
    if not any(getattr(one.callback, "__name__", "") == "benchmark" for one in app.registered_commands):
        register(app)
    done = CliRunner().invoke(app, ["-w", str(tiny_workspace.root), "benchmark", "-m", "win_rate", "--period", "2026-Q2"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line and not line.startswith(("comparing", "done"))]
    assert lines[0].startswith("Win rate from 1 April 2026 to 30 June 2026")
    assert "not told apart" in done.output


# against the truth of simulated companies


@pytest.mark.slow
def test_shrunken_rates_foretell_the_next_quarter_better_and_hold_the_truth(tmp_path: Path):
    """Over simulated companies: nine months of deals, asked before the next quarter; the truth of a rep is the mean of true chances."""
    cut, end = dt.date(2026, 4, 1), dt.date(2026, 7, 1)
    parts = []
    for seed in (100, 101, 102, 103):
        workspace = Workspace.create(tmp_path / str(seed))
        made = world.company(reps=40, years=2.0, seed=seed)
        made.write(workspace)
        tables = Lake(workspace).open()
        then, later = (books.make(visible(tables, day)) for day in (cut, end))
        found = benchmark(then, reps(visible(tables, cut), cut - dt.timedelta(days=1)), ["win_rate"], (dt.date(2025, 7, 1), cut), 0, seed)
        deals = later.tables["deal"].select(["opportunity_id", "rep"]).to_pandas()
        deals["rep"] = [later.names["rep"][code] for code in deals["rep"]]
        chance = deals.merge(made.truth["deal"].to_pandas()[["opportunity_id", "p_win"]], "inner", "opportunity_id")
        true = chance.groupby("rep")["p_win"].agg(true="mean", deals="size").reset_index()
        after = measure(later, ["win_rate"], by=["rep"], period=(cut, end)).rename(columns={"win_rate": "next", "win_rate_n": "closed"})
        parts.append(found.rows.merge(after, "left", "rep").merge(true, "left", "rep").assign(company=seed))
    rows = pd.concat(parts, ignore_index=True)
    known = rows[(rows["n"] > 0) & (rows["closed"] > 0)]
    gain = known["closed"] * ((known["value"] - known["next"]) ** 2 - (known["shrunken"] - known["next"]) ** 2)
    rng = np.random.default_rng(0)
    drawn = [gain.to_numpy()[rng.integers(0, len(gain), len(gain))].sum() for _ in range(1000)]
    assert np.quantile(drawn, 0.05) > 0, "the shrunken rate errs less on the next quarter, 90 % interval of the paired difference"
    judged = rows[(rows["n"] > 0) & (rows["deals"] >= 20)]
    inside = ((judged["lo"] <= judged["true"]) & (judged["true"] <= judged["hi"])).mean()
    assert inside >= 0.80, f"90 % intervals hold {inside:.0%} of the true rates, which themselves are means of few deals"
    middle = judged.groupby(["company", "peers"])["true"].transform("median")
    wrong = ((judged["verdict"] == ABOVE) & (judged["true"] < middle)) | ((judged["verdict"] == BELOW) & (judged["true"] > middle))
    assert wrong.sum() <= max(1, 0.1 * (judged["verdict"] != OPEN).sum())
