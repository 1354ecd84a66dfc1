"""Qini, calibration by tenth and policy values: against cases worked by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation.uplift import (
    by_tenth,
    effect_scores,
    gaps_by_chance,
    line,
    policies,
    policy_difference,
    qini_curve,
    rank_within,
    ranking,
    top_share,
    uplift_curve,
)

# eight people, best score first: treated and control alternate
SCORE = np.array([8.0, 7, 6, 5, 4, 3, 2, 1])
TREATED = np.array([1, 0, 1, 0, 1, 0, 1, 0])
Y = np.array([1, 0, 1, 1, 0, 0, 0, 1])


def experiment(rows: int = 4000, seed: int = 0, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, treated, y and the true uplift of people: 0.05, plus 0.04 × x × spread."""
    rng = np.random.default_rng(seed)
    x, treated = rng.normal(0, 1, rows), (rng.random(rows) < 0.5).astype(float)
    uplift = 0.05 + 0.04 * spread * np.clip(x, -2, 2)
    return x, treated, (rng.random(rows) < 0.2 + treated * uplift).astype(float), uplift


def test_qini_and_uplift_curves_by_hand():
    qini = qini_curve(SCORE, TREATED, Y)
    # treated outcomes so far 1 1 2 2 2 2 2 2; controls' 0 0 0 1 1 1 1 2; treated 1 1 2 2 3 3 4 4; controls 0 1 1 2 2 3 3 4
    gain = np.array([0, 1, 1, 2, 1, 2 - 1.5, 2 - 1, 2 - 4 / 3, 0]) / 4
    assert qini["share"].tolist() == [0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]
    assert qini["gain"].to_numpy() == pytest.approx(gain)
    uplift = uplift_curve(SCORE, TREATED, Y)
    means = np.array([0, 1 - 0, 1 - 0, 1 - 0, 1 - 0.5, 2 / 3 - 0.5, 2 / 3 - 1 / 3, 0.5 - 1 / 3, 0])
    assert uplift["gain"].to_numpy() == pytest.approx(means * uplift["share"].to_numpy())
    figures, curve = ranking(SCORE, TREATED, Y, resamples=20)
    assert figures["qini"].value == pytest.approx(np.trapezoid(gain, qini["share"])) and np.isnan(figures["qini_share"].value)
    assert figures["auuc"].value == figures["auuc_gain"].value == pytest.approx(np.trapezoid(uplift["gain"], uplift["share"]))
    assert curve.set_index("share")["gain"][[0.0, 0.5, 1.0]].tolist() == pytest.approx([0, 0.25, 0])


def test_ties_are_taken_in_part_and_constant_scores_are_worth_nothing():
    x, treated, y, _ = experiment(500)
    figures, curve = ranking(np.full(500, 0.3), treated, y, resamples=50)
    for name in ("qini", "auuc_gain", "qini_share"):
        assert (figures[name].value, figures[name].lo, figures[name].hi) == (0, 0, 0)
    assert curve["gain"].to_numpy() == pytest.approx(curve["random"].to_numpy())
    coarse = np.round(x)
    told, _ = ranking(coarse, treated, y, resamples=10)
    order = np.random.default_rng(1).permutation(500)
    again, _ = ranking(coarse[order], treated[order], y[order], resamples=10)
    assert told["qini"].value == pytest.approx(again["qini"].value, abs=1e-12), "the order of equal rows says nothing"


def test_the_curve_agrees_with_counting_afresh_at_each_score():
    x, treated, y, _ = experiment(300)
    score = np.round(x, 1)
    curve = qini_curve(score, treated, y)
    for place, edge in enumerate(np.unique(score)[::-1], 1):
        top = score >= edge
        n1, n0 = treated[top].sum(), (1 - treated[top]).sum()
        lost = (y * (1 - treated))[top].sum() * n1 / n0 if n0 else 0
        assert curve["gain"].iloc[place] == pytest.approx(((y * treated)[top].sum() - lost) / treated.sum())
        assert curve["share"].iloc[place] == pytest.approx(top.mean())
    assert curve["gain"].iloc[-1] == pytest.approx(y[treated == 1].mean() - y[treated == 0].mean())


def test_a_score_that_tells_uplift_has_an_interval_above_0_and_its_reverse_below():
    x, treated, y, _ = experiment(20_000, spread=1.5)
    good, bad = (ranking(score, treated, y, resamples=100)[0]["qini"] for score in (x, -x))
    assert good.lo > 0 > bad.hi
    assert good.value == pytest.approx(-bad.value, rel=0.2)


def test_readings_are_unbiased_whatever_the_means_say_and_better_with_good_ones():
    x, treated, y, uplift = experiment(200_000)
    plain = effect_scores(y, treated, 0.5)
    assert plain.effect[:3] == pytest.approx([2 * one * (1 if w else -1) for one, w in zip(y[:3], treated[:3], strict=True)])
    good = effect_scores(y, treated, 0.5, 0.2 + uplift, 0.2)
    wrong = effect_scores(y, treated, 0.5, 0.9, 0.9)
    for scores in (plain, good, wrong):
        assert scores.effect.mean() == pytest.approx(uplift.mean(), abs=5 * scores.effect.std() / np.sqrt(len(y)))
        assert scores.control.mean() == pytest.approx(0.2, abs=0.01)
    assert good.effect.var() < plain.effect.var() < wrong.effect.var()
    rng = np.random.default_rng(3)
    chance = np.where(x > 0, 0.8, 0.3)
    drawn = (rng.random(len(x)) < chance).astype(float)
    outcome = (rng.random(len(x)) < 0.2 + drawn * uplift).astype(float)
    assert effect_scores(outcome, drawn, chance).effect.mean() == pytest.approx(uplift.mean(), abs=0.01), "unequal chances"


@pytest.mark.parametrize(
    ("treated", "chance", "error"),
    [([0, 1, 2], 0.5, BadInput), ([0, 1, np.nan], 0.5, BadInput), ([0, 1, 1], 1.0, BadParameter), ([0, 1, 1], [0.5, 0, 0.5], BadParameter)],
)
def test_readings_refuse_what_is_no_experiment(treated, chance, error):
    with pytest.raises(error):
        effect_scores(np.array([0.0, 1, 1]), np.array(treated, dtype=float), np.asarray(chance))


def test_curves_need_both_groups():
    with pytest.raises(NotEnoughData, match="both groups"):
        qini_curve(SCORE, np.ones(8), Y)


def test_policy_values_by_hand_with_the_cost_of_treatments():
    scores = effect_scores(np.array([1.0, 0, 1, 1]), np.array([1.0, 0, 1, 0]), 0.5)  # effects 2 0 2 -2, untreated 0 0 0 2
    half = np.array([1.0, 0, 1, 0])
    table = policies({"nobody": np.zeros(4), "all": np.ones(4), "half": half}, scores, worth=10, cost=3, resamples=50)
    told = table.set_index("policy")
    assert told["share"].tolist() == [0, 1, 0.5] and told["value"].tolist() == [0.5, 1.0, 1.5]
    assert told["gain"].tolist() == [0, 0.5, 1.0] and told["net"].tolist() == [0, 2.0, 8.5]
    assert np.isnan(told.loc["nobody", "per_treatment"]) and told["per_treatment"].tolist()[1:] == [0.5, 2.0]
    assert told["more"].tolist() == [0, 0, 0.75] and told.loc["all", ["more_lo", "more_hi"]].tolist() == pytest.approx([0, 0])
    assert policy_difference(half, np.ones(4), scores, worth=10, cost=3).value == pytest.approx(8.5 - 2.0)
    assert policy_difference(half, half, scores).value == 0


def test_intervals_of_differences_cover_the_truth_and_treat_a_group_as_one():
    hits = 0
    for seed in range(100):
        x, treated, y, uplift = experiment(1000, seed)
        half = top_share(x, 0.5)
        found = policy_difference(half, np.full(1000, 0.5), effect_scores(y, treated, 0.5), resamples=200, seed=seed)
        hits += found.lo <= float(((half - 0.5) * uplift).mean()) <= found.hi
    assert 88 <= hits <= 100, hits
    x, treated, y, _ = experiment(500)
    scores, half = effect_scores(y, treated, 0.5), top_share(x, 0.5)
    once = policy_difference(half, 1 - half, scores)
    thrice = effect_scores(np.tile(y, 3), np.tile(treated, 3), 0.5)
    told = policy_difference(np.tile(half, 3), 1 - np.tile(half, 3), thrice, np.tile(np.arange(500), 3))
    assert (told.lo, told.hi) == pytest.approx((once.lo, once.hi), abs=1e-12), "rows of one person are drawn together"


def test_top_share_treats_ties_at_the_edge_in_part():
    assert top_share(np.array([3.0, 2, 2, 1]), 0.5).tolist() == [1, 0.5, 0.5, 0]
    assert top_share(np.ones(4), 0.25).tolist() == [0.25] * 4
    assert top_share(np.array([9.0, 8, 1, 0]), 0.5, np.array(["a", "a", "b", "b"])).tolist() == [1, 0, 1, 0], "within folds"
    assert top_share(np.arange(4), 0).sum() == 0 and top_share(np.arange(4), 1).sum() == 4
    with pytest.raises(BadParameter, match=r"share 1\.5"):
        top_share(np.arange(4), 1.5)
    assert rank_within(np.array([5.0, 1, 7, 7]), np.array([0, 0, 1, 1])).tolist() == [0.75, 0.25, 0.5, 0.5]


def test_tenths_hold_the_truth_where_predictions_are_true_and_not_where_they_are_overdone():
    _, treated, y, uplift = experiment(40_000)
    effects = effect_scores(y, treated, 0.5).effect
    table = by_tenth(uplift, effects)
    assert len(table) == 10 and table["rows"].sum() == 40_000 and table["predicted"].is_monotonic_increasing
    assert gaps_by_chance(table) > 0.01
    first = uplift <= np.quantile(uplift, 0.1)
    assert table["observed"].iloc[0] == pytest.approx(effects[first].mean())
    overdone = by_tenth(0.05 + 4 * (uplift - 0.05), effects)
    assert gaps_by_chance(overdone) < 1e-6
    true, steep = line(uplift, effects), line(0.05 + 4 * (uplift - 0.05), effects)
    assert true.slope.lo < 1 < true.slope.hi and true.p_value < 1e-6
    assert steep.slope.value == pytest.approx(true.slope.value / 4) and steep.slope.hi < 1
    assert line(-uplift, effects).p_value > 0.99
    assert len(by_tenth(np.r_[np.zeros(5000), np.ones(5000)], effects[:10_000])) == 2, "equal predictions share a bin"
    assert by_tenth(np.zeros(100), effects[:100])["observed"].tolist() == pytest.approx([effects[:100].mean()])


def test_gaps_of_true_predictions_are_by_chance_as_often_as_said():
    below = 0
    for seed in range(200):
        _, treated, y, uplift = experiment(1500, seed)
        below += gaps_by_chance(by_tenth(uplift, effect_scores(y, treated, 0.5, 0.25, 0.2).effect)) < 0.1
    assert 8 <= below <= 36, below


def test_the_line_is_taken_within_folds_and_has_no_slope_without_spread():
    x, treated, y, _ = experiment(2000)
    effects, folds = effect_scores(y, treated, 0.5).effect, np.arange(2000) % 5
    assert np.isnan(line(np.full(2000, 0.1), effects).slope.value)
    assert np.isnan(line(np.full(2000, 0.1) + folds, effects, folds).p_value), "levels of folds are no spread"
    found, moved = line(x, effects, folds).slope, line(x + 7 * folds, effects + 3 * folds, folds).slope
    assert (found.value, found.lo) == pytest.approx((moved.value, moved.lo))
    frame = pd.DataFrame({"x": x, "e": effects}) - pd.DataFrame({"x": x, "e": effects}).groupby(folds).transform("mean")
    assert found.value == pytest.approx(np.polyfit(frame["x"], frame["e"], 1)[0])
    twice = line(np.tile(x, 2), np.tile(effects, 2), np.tile(folds, 2), np.tile(np.arange(2000), 2)).slope
    assert (twice.value, twice.lo) == pytest.approx((found.value, found.lo))
