"""Outcome and timing in one model: known hazards found again, censoring, the sum of the factors, saving."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from salesml.errors import BadParameter, NotEnoughData
from salesml.models import win_path
from salesml.models.competing_risks import CompetingRisks
from salesml.models.hazard_head import bend
from salesml.models.hazard_line import Line, Lived, Terms, band
from salesml.models.hazard_trees import STEP, tune
from salesml.models.onehot import OneHot
from salesml.models.outlook import Outlook
from salesml.models.person_periods import PersonPeriods
from salesml.models.scorer import load
from salesml.models.spells import at_risk, edges_for, known_at, quarter_left

START = pd.Timestamp("2024-01-01", tz="UTC")
WEEKLY_CLOSE = {"slow": 0.06, "fast": 0.25}
WIN_SHARE = {"slow": 0.2, "fast": 0.6}


def company(deals: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Weekly snapshots of deals whose hazards are constant: by pace, with a column of noise; and their spells."""
    rng = np.random.default_rng(seed)
    pace = rng.choice(["slow", "fast"], deals)
    born = rng.integers(0, 700, deals)
    weeks = rng.geometric([WEEKLY_CLOSE[p] for p in pace])
    closed = born + 7 * weeks - rng.integers(1, 7, deals)
    status = np.where(rng.random(deals) < [WIN_SHARE[p] for p in pace], "won", np.where(rng.random(deals) < 0.5, "lost", "no_decision"))
    deal = np.repeat(np.arange(deals), np.minimum(weeks, 40))
    week = np.concatenate([np.arange(min(n, 40)) for n in weeks])
    day = born[deal] + 7 * week
    spells = pd.DataFrame(
        {"opportunity_id": deal.astype(str), "as_of": START + pd.to_timedelta(day, "D"),
         "closed_at": START + pd.to_timedelta(closed[deal], "D"), "status": status[deal]}
    )  # fmt: skip
    X = pd.DataFrame({"pace": pace[deal], "noise": rng.normal(size=len(deal)), "days_to_quarter_end": 90.0 - day % 91})
    order = np.argsort(day, kind="stable")
    return X.iloc[order].reset_index(drop=True), spells.iloc[order].reset_index(drop=True)


@pytest.fixture(scope="module")
def fitted() -> tuple[CompetingRisks, pd.DataFrame, pd.DataFrame, pd.Timestamp]:
    X, spells = company(1500, 1)
    cutoff = START + pd.Timedelta(days=600)
    known = (spells["as_of"] < cutoff).to_numpy()
    X, spells = X[known].reset_index(drop=True), spells[known].reset_index(drop=True)
    return CompetingRisks.fit(X, spells, cutoff, categorical=["pace"], trials=1, members=3), X, spells, cutoff


def test_known_hazards_are_found_again(fitted) -> None:
    model, X, _, _ = fitted
    outlook = model.outlook(X.head(400))
    for pace in WEEKLY_CLOSE:
        rows = (X["pace"].head(400) == pace).to_numpy()
        assert outlook.won[rows].mean() == pytest.approx(WIN_SHARE[pace], abs=0.06)
        for weeks in (1, 4, 10):
            truth = 1 - (1 - WEEKLY_CLOSE[pace]) ** weeks
            assert outlook.by(7.0 * weeks)[rows].mean() == pytest.approx(truth, abs=0.05)
            assert outlook.by(7.0 * weeks, "won")[rows].mean() == pytest.approx(truth * WIN_SHARE[pace], abs=0.05)
        half = np.log(0.5) / np.log(1 - WEEKLY_CLOSE[pace])
        assert np.nanmedian(outlook.closes_in(0.5)[rows]) / 7 == pytest.approx(half, rel=0.3)


def test_open_deals_count_for_what_they_have_lived() -> None:
    """Dropping the censored snapshots would make deals look quicker than they are; counting them does not."""
    X, spells = company(1500, 2)
    cutoff = START + pd.Timedelta(days=250)
    known = (spells["as_of"] < cutoff).to_numpy()
    X, spells = X[known].reset_index(drop=True), spells[known].reset_index(drop=True)
    closed = (spells["closed_at"] < cutoff).to_numpy()
    fits = [
        CompetingRisks.fit(X[rows], spells[rows], cutoff, categorical=["pace"], trials=0, members=0)
        for rows in (np.ones(len(X), bool), closed)
    ]
    slow = X[X["pace"] == "slow"].head(300)
    truth = 1 - (1 - WEEKLY_CLOSE["slow"]) ** 10
    honest, dropped = (abs(model.outlook(slow).by(70.0).mean() - truth) for model in fits)
    assert honest < 0.06 and dropped > honest + 0.03


def test_the_future_of_the_cutoff_changes_nothing(fitted) -> None:
    model, X, spells, cutoff = fitted
    later = spells["closed_at"] >= cutoff
    altered = spells.assign(
        status=spells["status"].where(~later, "won"),
        closed_at=spells["closed_at"].where(~later, cutoff + pd.Timedelta(days=1)),
    )
    again = CompetingRisks.fit(X, altered, cutoff, categorical=["pace"], trials=1, members=0)
    np.testing.assert_array_equal(model.predict(X.head(50)), again.predict(X.head(50)))


def test_each_band_of_periods_gives_the_same_number_at_most() -> None:
    X, spells = company(800, 3)
    known, design = known_at(spells, START + pd.Timedelta(days=700)), OneHot.fit(X, ["pace"])
    edges = edges_for(known)
    frame = PersonPeriods(design, X, Terms.fit(X, ["pace"], len(edges) - 1), spells, edges, np.random.default_rng(0))
    most = 1_200
    drawn = np.bincount(frame.for_line(frame.rows("closes", known, most)).bands)
    there = np.bincount(frame.for_line(frame.rows("closes", known, 10**9)).bands)
    assert (there[1:] > 2 * there[0]).all(), "without that the rush would be drowned"
    np.testing.assert_allclose(drawn, np.minimum(there, most / 4), rtol=0.2)


def test_trees_are_tried_together_with_what_stands_beside_them() -> None:
    """Half of a sum wants twice the log-odds: beside nothing more trees are best than beside what says it all already."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6_000, 1)).astype("float32")
    truth = 2 * x[:, 0]
    y = (rng.random(len(x)) < expit(truth)).astype("int64")
    early, later = (x[:4_000], y[:4_000]), (x[4_000:], y[4_000:])
    alone, shared = (tune(early, later, beside, trials=1, seed=0, threads=1) for beside in (np.zeros(2_000), 2 * truth[4_000:]))
    assert alone.trees > 2 * shared.trees and shared.trees == STEP
    assert shared.log_loss is not None and alone.log_loss is not None and shared.log_loss < alone.log_loss


def test_parts_agree_and_factors_add_up(fitted) -> None:
    model, X, _, _ = fitted
    for scorer in (model, model.calibrated(type(model.calibrator)(0.3, 0.8))):
        rows, p = X.head(60), scorer.predict(X.head(60))
        base, effects = scorer.explain(rows)
        np.testing.assert_allclose(base + effects.sum(axis=1), logit(p), atol=1e-9)
        outlook = scorer.outlook(rows)
        np.testing.assert_allclose(outlook.won, p, atol=1e-9)
        np.testing.assert_allclose(outlook.eventual.sum(axis=1), 1, atol=1e-9)
        assert (np.diff(outlook.incidence, axis=1) >= -1e-12).all() and (outlook.incidence[:, -1] <= outlook.eventual + 1e-9).all()
        lo, hi = scorer.interval(rows)
        assert (lo <= p).all() and (p <= hi).all() and (hi - lo).min() > 0
        np.testing.assert_array_equal(scorer.bounded(rows), (p, lo, hi))
        laid = scorer.laid_out(rows)
        np.testing.assert_array_equal(scorer.bounded(laid), (p, lo, hi))
        pd.testing.assert_frame_equal(scorer.explain(laid)[1], effects)
    strongest = model.explain(X.head(300))[1].abs().mean()
    assert strongest.idxmax() == "pace"
    assert model.explain(X.head(0))[1].shape == (0, 3)


def test_saved_and_read_it_answers_the_same(fitted, tmp_path: Path) -> None:
    model, X, _, _ = fitted
    model.save(tmp_path)
    again = load(tmp_path)
    assert isinstance(again, CompetingRisks)
    rows = X.head(20).assign(extra=1)
    np.testing.assert_array_equal(again.predict(rows), model.predict(rows))
    np.testing.assert_array_equal(again.interval(rows), model.interval(rows))
    np.testing.assert_array_equal(again.outlook(rows).incidence, model.outlook(rows).incidence)
    unseen = again.predict(pd.DataFrame({"pace": ["never seen", None], "noise": [np.nan, 1e300], "days_to_quarter_end": [5, None]}))
    assert ((unseen > 0) & (unseen < 1)).all()


@pytest.mark.parametrize("way", ["lost", "no_decision"])
def test_where_deals_are_only_lost_or_only_given_up(way: str) -> None:
    X, spells = company(400, 5)
    spells = spells.assign(status=spells["status"].where(spells["status"] == "won", way))
    model = CompetingRisks.fit(X, spells, START + pd.Timedelta(days=900), categorical=["pace"], trials=0, members=0)
    eventual = model.outlook(X.head(5)).eventual
    np.testing.assert_allclose(eventual[:, ["won", "lost", "no_decision"].index(way)], 1 - eventual[:, 0], atol=1e-12)


def test_few_outcomes_are_refused() -> None:
    X, spells = company(12, 3)
    with pytest.raises(NotEnoughData, match=r"\d+ won and \d+ other deals are known to have closed; at least 10"):
        CompetingRisks.fit(X, spells, START + pd.Timedelta(days=900), categorical=["pace"])


def test_what_is_known_at_a_cutoff_is_half_open() -> None:
    spells = pd.DataFrame(
        {"opportunity_id": list("abc"), "as_of": [START] * 3, "status": ["won", "lost", "open"],
         "closed_at": [START + pd.Timedelta(days=10), START + pd.Timedelta(days=20), pd.NaT]}
    )  # fmt: skip
    known = known_at(spells, START + pd.Timedelta(days=20))
    assert known.cause.tolist() == [0, -1, -1] and known.days.tolist() == [10, 20, 20]
    snapshot, period, closes = at_risk(known, np.array([0.0, 7, 14, 21]), np.arange(3))
    assert snapshot.tolist() == [0, 0, 1, 1, 2, 2], "the third week was not lived to its end"
    assert period.tolist() == [0, 1, 0, 1, 0, 1] and closes.tolist() == [0, 1, 0, 0, 0, 0]
    early = known_at(spells, START + pd.Timedelta(days=12))
    assert at_risk(early, np.array([0.0, 7, 14, 21]), np.arange(3))[2].tolist() == [0, 0, 0], "half-watched: not even a close"
    with pytest.raises(NotEnoughData, match="1 snapshots of closed deals"):
        edges_for(known)


def test_deals_that_live_days_get_days() -> None:
    days = np.tile(np.arange(1.0, 9), 40)
    spells = pd.DataFrame(
        {"as_of": START, "closed_at": START + pd.to_timedelta(days, "D"), "status": "won", "opportunity_id": "a"}, index=range(320)
    )
    assert edges_for(known_at(spells, START + pd.Timedelta(days=99))).tolist() == [*range(10)]


def test_days_left_in_the_quarter_a_period_starts_in() -> None:
    left = np.array([3.0, 14.0, 60.0, 91.0, 10.0, np.nan])
    found = quarter_left(left, np.array([0.0, 7.0, 63.0, 91.0, 98.0, 0.0]), np.array([7.0, 14.0, 70.0, 98.0, 119.0, 7.0]))
    year_quarter = 365.25 / 4
    np.testing.assert_allclose(found, [3, 7, 60 - 63 + year_quarter, year_quarter, np.nan, np.nan])


def test_a_line_finds_effects_that_add_up_and_draws_noise_to_nothing() -> None:
    rng = np.random.default_rng(0)
    reps, n = 40, 12_000
    skill = rng.normal(0, 0.6, reps)
    X = pd.DataFrame({"rep": rng.integers(0, reps, n).astype(str), "noise": rng.normal(size=n), "size": rng.lognormal(3, 1, n)})
    terms = Terms.fit(X, ["rep"], 3)
    period = rng.integers(0, 3, n)
    y = (rng.random(n) < expit(skill[X["rep"].astype(int)] - 1 + 0.4 * period)).astype("int64")
    unknown = np.full(n, np.nan)
    line = Line.fit(Lived(terms.by_period(terms.matrix(X), period, unknown), band(period, unknown), np.ones(n)), y, terms)
    one_each = pd.DataFrame({"rep": np.arange(reps).astype(str), "noise": 0.0, "size": 20.0})
    left = np.full((reps, 3), np.nan)
    told = line.log_odds(terms.matrix(one_each), left)
    assert np.corrcoef(told[:, 0], skill)[0, 1] > 0.9
    assert (told[:, 2] - told[:, 0]).mean() == pytest.approx(0.8, abs=0.15)
    effects = line.by_feature(terms.matrix(one_each), left, terms.design)
    np.testing.assert_allclose(effects.sum(axis=2) + line.base(left), told, atol=1e-9)
    noise = line.by_feature(terms.matrix(one_each.assign(noise=2.0)), left, terms.design) - effects
    assert np.abs(noise).max() < 0.15 < np.abs(effects[:, :, 0]).mean()


def test_time_goes_on_in_working_days() -> None:
    outlook = Outlook(np.array([0.0, 7, 14]), np.array([[[0.0, 0, 0], [0.5, 0, 0], [0.7, 0, 0]]]), np.array([[0.7, 0.2, 0.1]]))
    monday, friday = np.datetime64("2026-06-22"), np.datetime64("2026-06-26")
    assert outlook.by(9.0, since=monday) == pytest.approx(0.5 + 0.2 * 2 / 5)
    assert outlook.by(3.0, since=friday) == pytest.approx(0.5 * 1 / 5)
    assert outlook.by(7.0, since=friday) == pytest.approx(0.5)
    assert outlook.by(-3.0, since=monday) == 0 and np.isnan(outlook.by(np.nan, since=monday)).all()
    daily = Outlook(np.array([0.0, 1, 2]), outlook.incidence, outlook.eventual)
    assert daily.by(1.0, since=friday + 1) == pytest.approx(0.5), "a funnel of days has no weekend"


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 10_000))
def test_the_way_to_p_win_is_complete(periods: int, seed: int) -> None:
    """Against P(win) by drawing every path, and effects that add up however strong they are."""
    rng = np.random.default_rng(seed)
    closes, won = rng.random((1, periods)), rng.random((1, periods))
    by_hand, still = 0.0, 1.0
    for h, w in zip(closes[0], won[0], strict=True):
        by_hand, still = by_hand + still * h * w, still * (1 - h)
    assert win_path.chance(closes, won)[0] == pytest.approx(by_hand + still * won[0, -1])
    bases, parts = rng.normal(size=(2, periods)), rng.normal(0, 1.5, size=(2, 3, periods, 4))
    base, effects = win_path.carried(*bases, *parts)
    ends = win_path.chance(expit(bases[0] + parts[0].sum(axis=2)), expit(bases[1] + parts[1].sum(axis=2)))
    np.testing.assert_allclose(base + effects.sum(axis=1), logit(ends), atol=1e-9)


def test_outlook_between_edges_and_beyond() -> None:
    incidence = np.array([[[0, 0, 0], [0.2, 0.1, 0.1], [0.3, 0.2, 0.1]]])
    outlook = Outlook(np.array([0.0, 10, 30]), incidence, np.array([[0.5, 0.3, 0.2]]))
    assert outlook.by(5.0).tolist() == pytest.approx([0.2]) and outlook.by(20.0, "won").tolist() == pytest.approx([0.25])
    assert outlook.by(-3.0)[0] == 0 and outlook.by(99.0)[0] == pytest.approx(0.6) and np.isnan(outlook.by(np.nan)[0])
    assert outlook.closes_in(0.5)[0] == pytest.approx(20) and np.isnan(outlook.closes_in(0.7)[0])
    with pytest.raises(BadParameter, match="cause 'stolen' is not one of won, lost, no_decision"):
        outlook.by(1.0, "stolen")


def test_common_values_get_columns_and_the_rest_share_one() -> None:
    X = pd.DataFrame({"city": [f"c{i % 40}" for i in range(400)] + ["c1"] * 50, "n": range(450)})
    design = OneHot.fit(X, ["city"])
    matrix = design.matrix(X)
    assert len(design.levels["city"]) == 26 and "c1" in design.levels["city"]
    assert (matrix[:, design.owners == 0].sum(axis=1) == 1).all() and matrix[:, -1].tolist() == X["n"].tolist()


def test_what_is_held_back_is_bent_to_what_happened_and_few_outcomes_bend_little() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(-1, 1.5, 20_000)
    y = (rng.random(len(true)) < expit(true)).astype("int64")
    flat = -0.4 + 0.7 * true
    curve = bend(flat, y, np.ones(len(y)))
    assert np.abs(curve[0] + curve[1] * flat + curve[2] * flat**2 - true).mean() < 0.1
    few = bend(flat[:30], y[:30], np.ones(30))
    assert np.abs(few[0] + few[1] * flat + few[2] * flat**2 - flat).mean() < 0.3
    assert bend(flat[:0], y[:0], np.ones(0)).tolist() == [0, 1, 0], "no rush, no bend"
    grid = np.linspace(-8, 8, 50)
    for answers in (y, 1 - y, (np.abs(true) < 1).astype("int64")):
        constant, slope, square = bend(flat, answers, np.ones(len(y)))
        assert (np.diff(constant + slope * grid + square * grid**2) >= -1e-9).all()


def test_only_periods_in_the_rush_of_a_quarter_s_end_are_bent(fitted) -> None:
    head = replace(fitted[0].heads["closes"], bend=np.array([0.5, 1.0, 0.0]))
    left = np.array([[10.0, 3.0, 90.0, 5.0], [80.0, 73.0, 66.0, np.nan]])
    assert (head.bent(np.zeros((2, 4)), left) == [[0.5, 0.5, 0, 0], [0, 0, 0, 0]]).all()
