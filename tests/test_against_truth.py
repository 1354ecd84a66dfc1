"""Judging against the known truth: probabilities, intervals, effects, decisions, and many worlds at once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm, spearmanr

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation import calibration, metrics
from salesml.evaluation.against_truth import (
    calibration_by,
    effects,
    intervals,
    oracle_consistency,
    over_worlds,
    policy,
    probabilities,
)

Z = np.random.default_rng(0).normal(-1, 1.2, 4000)
TRUTH = expit(Z)
HAPPENED = (np.random.default_rng(1).random(4000) < TRUTH).astype(float)


def test_truth_judged_against_itself_is_perfect() -> None:
    found = probabilities(TRUTH, TRUTH, HAPPENED, resamples=50)
    for name in ("log_loss_ratio", "expected_log_loss_ratio", "slope", "rank_correlation"):
        assert found[name].value == pytest.approx(1, abs=1e-6), name
    for name in ("intercept", "ece_true", "mae"):
        assert found[name].value == pytest.approx(0, abs=1e-6), name
    assert found["log_loss"] == found["oracle_log_loss"] and found["auc"] == found["oracle_auc"]
    assert found["realised_slope"].lo < 1 < found["realised_slope"].hi
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(HAPPENED, TRUTH))
    assert found["auc"].value == pytest.approx(metrics.auc(HAPPENED, TRUTH))


@pytest.mark.parametrize(("sharpness", "shift"), [(1.5, 0), (0.5, 0), (0.2, -3), (1.5, 3), (5, -3)])
def test_slope_and_intercept_undo_a_known_line(sharpness: float, shift: float) -> None:
    found = probabilities(expit(sharpness * Z + shift), TRUTH, HAPPENED, resamples=2)
    assert found["slope"].value == pytest.approx(1 / sharpness, rel=1e-5)
    assert found["intercept"].value == pytest.approx(-shift / sharpness, abs=1e-4)
    assert found["realised_slope"].value == pytest.approx(1 / sharpness, rel=0.15)
    assert found["expected_log_loss_ratio"].value > 1.01 and found["log_loss_ratio"].value > 1.005
    assert found["rank_correlation"].value == pytest.approx(1) and found["auc"] == found["oracle_auc"]


def test_expected_ratio_does_not_hang_on_the_outcomes() -> None:
    shrunk, again = expit(0.6 * Z - 0.4), (np.random.default_rng(2).random(4000) < TRUTH).astype(float)
    first, second = (probabilities(shrunk, TRUTH, y, resamples=20) for y in (HAPPENED, again))
    assert first["expected_log_loss_ratio"] == second["expected_log_loss_ratio"]
    assert first["log_loss_ratio"] != second["log_loss_ratio"]
    cross = -(TRUTH * np.log(shrunk) + (1 - TRUTH) * np.log(1 - shrunk)).mean()
    entropy = -(TRUTH * np.log(TRUTH) + (1 - TRUTH) * np.log(1 - TRUTH)).mean()
    assert first["expected_log_loss_ratio"].value == pytest.approx(cross / entropy)
    assert first["log_loss_ratio"].value == pytest.approx(
        metrics.log_loss(HAPPENED, shrunk) / metrics.log_loss(HAPPENED, TRUTH)
    )
    assert 1 < first["expected_log_loss_ratio"].lo < first["expected_log_loss_ratio"].hi < 1.3


def test_errors_and_ranks_agree_with_their_definitions() -> None:
    noisy = expit(Z + np.random.default_rng(3).normal(0, 0.7, len(Z)))
    found = probabilities(noisy, TRUTH, HAPPENED, resamples=20)
    assert found["mae"].value == pytest.approx(np.abs(noisy - TRUTH).mean())
    assert found["ece_true"].value == pytest.approx(calibration.ece(TRUTH, noisy))
    tied, coarse = np.round(noisy, 1), np.round(TRUTH, 1)
    ranks = probabilities(tied, coarse, HAPPENED, resamples=2)["rank_correlation"].value
    assert ranks == pytest.approx(spearmanr(tied, coarse).statistic) and 0.5 < ranks < 0.95
    for name, figure in found.items():
        assert figure.lo <= figure.value <= figure.hi, name


def test_resampling_takes_entities_whole_and_is_repeatable() -> None:
    p, t, y, ids = (np.repeat(a, 16) for a in (expit(Z[:100] + 0.3), TRUTH[:100], HAPPENED[:100], np.arange(100)))
    names = np.array([f"deal {i}" for i in ids])
    rows, entities = probabilities(p, t, y), probabilities(p, t, y, names)
    for name in ("log_loss", "auc", "realised_slope", "mae"):
        assert rows[name].value == entities[name].value
        assert entities[name].hi - entities[name].lo > 3 * (rows[name].hi - rows[name].lo), name
    assert probabilities(p, t, y, names) == entities != probabilities(p, t, y, names, seed=1)
    mixed = np.random.default_rng(0).permutation(len(p))
    again = probabilities(p[mixed], t[mixed], y[mixed], names[mixed], resamples=2)
    assert all(again[name].value == pytest.approx(entities[name].value, abs=1e-9) for name in again)


def test_interval_of_the_expected_ratio_covers_the_populations() -> None:
    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        z = rng.normal(-1, 1.2, n)
        return expit(z + rng.normal(0, 0.6, n)), expit(z)

    p, t = draw(200_000, np.random.default_rng(9))
    entropy = -(t * np.log(t) + (1 - t) * np.log(1 - t)).sum()
    population = -(t * np.log(p) + (1 - t) * np.log(1 - p)).sum() / entropy
    held = 0
    for seed in range(40):
        p, t = draw(300, np.random.default_rng(seed))
        found = probabilities(p, t, HAPPENED[:300], resamples=30, seed=seed)["expected_log_loss_ratio"]
        held += found.lo <= population <= found.hi
    assert 30 <= held <= 39  # 36 of 40 are expected; resampling is a little short on 300 rows


def test_constant_certain_and_single_predictions_do_not_crash() -> None:
    constant = probabilities(np.full(4000, 0.3), TRUTH, HAPPENED, resamples=5)
    assert constant["auc"].value == 0.5 and constant["expected_log_loss_ratio"].value > 1.05
    for name in ("slope", "intercept", "realised_slope", "rank_correlation"):
        assert np.isnan([constant[name].value, constant[name].lo, constant[name].hi]).all(), name
    assert constant["ece_true"].value == pytest.approx(abs(0.3 - TRUTH.mean()))
    base = probabilities(np.full(4000, TRUTH.mean()), TRUTH, HAPPENED, resamples=50)["ece_true"]
    assert base.lo == 0 and base.value == pytest.approx(0, abs=1e-12) and base.hi < 0.01  # resampling adds no error
    noise = probabilities(
        TRUTH, np.full(4000, 0.3), HAPPENED, resamples=5
    )  # no signal: the model's spread is all noise
    assert noise["slope"].value == 0 and noise["intercept"].value == pytest.approx(np.log(0.3 / 0.7))
    sure = probabilities((TRUTH > 0.5) * 1.0, TRUTH, HAPPENED, resamples=5)
    assert np.isfinite([sure["log_loss"].value, sure["slope"].value]).all() and sure["slope"].value < 0.1
    known = probabilities(TRUTH, HAPPENED, HAPPENED, resamples=5)  # a truth of 0 and 1 has no entropy to compare with
    assert np.isnan([known["log_loss_ratio"].value, known["expected_log_loss_ratio"].value]).all()
    assert np.isnan(probabilities(TRUTH[:1], TRUTH[:1], HAPPENED[:1], resamples=2)["auc"].value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"truth": [0.5, 0.5]}, "predicted has 3, truth has 2, happened has 3"),
        ({"predicted": [[0.1, 0.9]] * 3}, "predicted has 3 × 2"),
        ({"predicted": [0.1, 1.2, -0.1]}, r"row 2, column predicted: 2 of 3 values lie outside 0 to 1 \(value '1.2'\)"),
        ({"truth": [0.1, 0.2, np.nan]}, "row 3, column truth: 1 of 3 values are missing"),
        ({"happened": [0, 0.4, 1]}, "row 2, column happened: 1 of 3 values are neither 0 nor 1"),
        ({"groups": ["a", None, "b"]}, "row 2, column groups: 1 of 3 values are missing"),
        ({"groups": ["a"]}, "groups has 1"),
        ({"predicted": [], "truth": [], "happened": []}, "no rows"),
    ],
)
def test_bad_probabilities_are_named_and_counted(change: dict[str, list], message: str) -> None:
    good = {"predicted": [0.1, 0.2, 0.3], "truth": [0.1, 0.2, 0.3], "happened": [0, 0, 1]}
    assert probabilities(**good, resamples=2)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=message):
        probabilities(**{**good, **change})  # type: ignore[arg-type]


def test_calibration_by_bins_of_equal_count() -> None:
    p = np.repeat(np.linspace(0.05, 0.95, 10), 20)
    t, y = np.clip(p - 0.03, 0, 1), np.tile(np.arange(20) < 5, 10)
    mixed = np.random.default_rng(0).permutation(200)
    table = calibration_by(p[mixed], t[mixed], y[mixed])
    assert table.columns.tolist() == ["bin", "rows", "predicted", "true", "observed", "lo", "hi"]
    assert table["bin"].tolist() == list(range(10)) and table["rows"].tolist() == [20] * 10
    assert np.allclose(table["predicted"] - table["true"], 0.03) and np.allclose(table["observed"], 0.25)
    assert (table["lo"].iloc[0], table["hi"].iloc[0]) == pytest.approx((0.1215, 0.4286), abs=2e-4)  # Beta(5.5, 15.5)
    assert calibration_by(TRUTH, TRUTH, HAPPENED, bins=4)["rows"].tolist() == [1000] * 4
    assert calibration_by(np.full(9, 0.3), np.full(9, 0.3), np.zeros(9))["rows"].tolist() == [9]  # ties share a bin
    with pytest.raises(BadParameter, match="bins is 0"):
        calibration_by(p, t, y, bins=0)


def family(rng: np.random.Generator, worlds: int, rows: int, shock: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities (over the shock), outcomes and world of worlds × rows, each world with one shock to all its rows."""
    z = rng.normal(-0.5, 1, (worlds, rows))
    points, weights = np.polynomial.hermite_e.hermegauss(21)
    truth = expit(z[..., None] + shock * points) @ (weights / weights.sum())
    happened = rng.random(z.shape) < expit(z + shock * rng.normal(0, 1, (worlds, 1)))
    return truth.ravel(), happened.ravel().astype(float), np.repeat(np.arange(worlds), rows)


def test_an_honest_truth_with_shared_shocks_alarms_at_the_nominal_rate() -> None:
    rng, all_rows, bins, naive = np.random.default_rng(0), [], [], []
    for _ in range(300):
        truth, happened, worlds = family(rng, 20, 60, shock=0.7)
        table = oracle_consistency(truth, happened, worlds, bins=3).set_index("bin")
        all_rows.append(table.loc["all", "p_value"] < 0.05)
        bins += (table.loc[["0", "1", "2"], "p_value"] < 0.05).tolist()
        naive.append(abs((happened - truth).sum()) > 1.96 * np.sqrt((truth * (1 - truth)).sum()))
    assert 0.025 < np.mean(all_rows) < 0.08 and 0.03 < np.mean(bins) < 0.08
    assert np.mean(naive) > 0.3  # rows taken as independent would call most honest truths false


def test_a_truth_shifted_by_three_points_is_caught() -> None:
    truth, happened, worlds = family(np.random.default_rng(1), 100, 200, shock=0.3)
    honest, shifted = (oracle_consistency(t, happened, worlds).iloc[-1] for t in (truth, truth * 0.97 + 0.03))
    assert honest["p_value"] > 0.05 and abs(honest["z"]) < 2
    assert shifted["p_value"] < 0.01 and shifted["z"] < -2.5 and shifted["bin"] == "all"
    assert shifted["rows"] == 20_000 and shifted["worlds"] == 100 and shifted["stated"] > shifted["observed"] + 0.01


def test_consistency_by_hand_and_where_nothing_can_be_said() -> None:
    truth, worlds = np.full(50, 0.5), np.repeat(list("abcde"), 10)
    happened = np.concatenate([np.arange(10) < k for k in (6, 4, 7, 5, 6)])  # residual sums 1, -1, 2, 0, 1
    line = oracle_consistency(truth, happened, worlds).iloc[-1]
    assert line["z"] == pytest.approx(0.6 / (np.std([1, -1, 2, 0, 1], ddof=1) / 5**0.5))
    assert line["p_value"] == pytest.approx(0.3046, abs=1e-3) and (line["stated"], line["observed"]) == (0.5, 0.56)
    exact = oracle_consistency(np.full(500, 0.1), np.arange(500) % 10 == 0, np.repeat(np.arange(5), 100)).iloc[-1]
    assert (exact["z"], exact["p_value"]) == (0, 1)  # every residual sum is 0
    rare = oracle_consistency(np.full(500, 0.01), np.zeros(500), np.repeat(np.arange(5), 100))
    assert rare["p_value"].isna().all()  # 5 expected, 0 happened in each world: no spread to judge by
    with pytest.raises(NotEnoughData, match=r"4 worlds.*at least 5"):
        oracle_consistency(truth[:40], happened[:40], worlds[:40])
    with pytest.raises(BadInput, match="worlds: 1 of 50 values are missing"):
        oracle_consistency(truth, happened, pd.Series(worlds).where(pd.Series(range(50)) != 3))


def test_intervals_by_hand() -> None:
    lo, hi = [0.0, 0.0, 0.0, np.nan, 10.0], [10.0, 10.0, 10.0, 10.0, 20.0]
    found = intervals(
        [*lo, 0.0], [*hi, 10.0], [5.0, 12.0, -1.0, 5.0, 20.0, 14.0], [5.0, 11.0, 1.0, 5.0, 15.0, 9.0], level=0.8
    )
    assert (found["n"], found["missing"], found["level"]) == (6, 1, 0.8)
    assert [6 * found[name] for name in ("coverage", "coverage_noiseless", "below", "above")] == pytest.approx(
        [2, 4, 1, 2]
    )
    assert found["relative_width"] == pytest.approx(10 / 10.4)
    assert found["interval_score"] == pytest.approx((10 + (10 + 10 * 2) + (10 + 10 * 1) + 10 + (10 + 10 * 4)) / 5)
    nothing = intervals([np.nan], [np.nan], [1.0], [1.0], level=0.8)
    assert (nothing["coverage"], nothing["missing"]) == (0, 1) and np.isnan(nothing["interval_score"])


def test_intervals_of_the_right_width_cover_as_they_say_and_score_best() -> None:
    mean = np.random.default_rng(0).uniform(50, 150, 20_000)
    realised, half = mean + np.random.default_rng(1).normal(0, 10, 20_000), norm.ppf(0.9) * 10
    narrow, right, wide = (
        intervals(mean - w * half, mean + w * half, realised, mean, level=0.8) for w in (0.6, 1.0, 1.6)
    )
    assert right["coverage"] == pytest.approx(0.8, abs=0.01) and right["coverage_noiseless"] == 1
    assert narrow["coverage"] < 0.6 and wide["coverage"] > 0.95
    assert right["interval_score"] < min(narrow["interval_score"], wide["interval_score"])
    assert right["below"] == pytest.approx(0.1, abs=0.01) == right["above"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: intervals([1.0], [2.0], [1.0], [1.0], level=80), BadParameter, "80 is not between 0 and 1"),
        (lambda: intervals([3.0], [2.0], [1.0], [1.0], level=0.8), BadInput, "lo: 1 of 1 values lie above hi"),
        (lambda: intervals([1.0], [2.0], [np.nan], [1.0], level=0.8), BadInput, "realised: 1 of 1 values are missing"),
        (lambda: intervals([1.0], [2.0, 3.0], [1.0], [1.0], level=0.8), BadInput, "hi has 2"),
        (lambda: effects(pd.DataFrame({"estimate": [1.0], "lo": [0.0]})), BadInput, "lack 2 columns: hi, truth"),
        (lambda: effects(pd.DataFrame(columns=["estimate", "lo", "hi", "truth"])), BadInput, "no rows"),
        (lambda: policy([1.0, 2.0], [True, True], 1), BadParameter, "chosen has 2 entities, the budget is 1"),
        (lambda: policy([1.0, 2.0], [1, 0], 1), BadParameter, "chosen is int64; give booleans"),
        (lambda: policy([1.0, 2.0], [0.1, np.nan], 1), BadInput, "chosen: 1 of 2 values are missing"),
        (lambda: policy([1.0, np.inf], [0.1, 0.2], 1), BadInput, "value: 1 of 2 values are missing or infinite"),
        (lambda: policy([1.0, 2.0], [0.1, 0.2], 0), BadParameter, "budget is 0"),
        (lambda: policy([1.0, 2.0], [0.1], 1), BadInput, "value has 2, chosen has 1"),
    ],
)
def test_bad_input_says_what_is_wrong(call: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_effects_by_hand() -> None:
    rows = [
        (1.0, 0.5, 1.5, 1.2),
        (-1.0, -2.0, -0.5, 0.4),
        (0.2, -0.3, 0.7, 0.6),
        (0.5, 0.1, 0.9, 0.0),
        (np.nan, 0, 1, 1),
    ]
    found = effects(pd.DataFrame(rows, columns=["estimate", "lo", "hi", "truth"]))
    assert (found["n"], found["missing"], found["mean_truth"]) == (5, 1, pytest.approx(3.2 / 5))
    errors = np.array([-0.2, -1.4, -0.4, 0.5])
    assert (found["bias"], found["rmse"]) == pytest.approx((errors.mean(), np.sqrt((errors**2).mean())))
    assert (found["coverage"], found["right_sign"], found["wrong_sign"]) == (0.4, 0.2, 0.2)
    assert (found["coverage_lo"], found["coverage_hi"]) == pytest.approx((0.1176, 0.7693), abs=1e-4)  # Wilson, 2 of 5


def test_effects_cover_as_their_intervals_say() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0.5, 0.5, 2000)
    estimate = truth + rng.normal(0, 0.3, 2000)
    honest, proud, biased = (
        effects(pd.DataFrame({"estimate": e, "lo": e - w, "hi": e + w, "truth": truth}))
        for e, w in ((estimate, 1.96 * 0.3), (estimate, 0.98 * 0.3), (estimate + 0.4, 1.96 * 0.3))
    )
    assert honest["coverage_lo"] < 0.95 < honest["coverage_hi"] and abs(honest["bias"]) < 0.02
    assert proud["coverage_hi"] < 0.75 and proud["wrong_sign"] > honest["wrong_sign"]
    assert biased["bias"] == pytest.approx(0.4, abs=0.02) and biased["coverage_hi"] < 0.85


def test_policy_by_hand() -> None:
    gain = np.array([10.0, 5.0, -3.0, 0.0, 8.0])
    poor = policy(gain, np.array([False, True, True, False, False]), 2)
    assert poor == pytest.approx(
        {"captured": 2, "oracle": 18, "random": 8, "regret": 16, "regret_share": 16 / 18, "skill": -0.6}
    )
    blind = np.mean([sum(pair) for pair in combinations(gain, 2)])
    assert poor["random"] == pytest.approx(blind)
    best, scored = policy(gain, gain > 6, 2), policy(gain, gain**3, 2)
    assert best == scored and (best["regret"], best["regret_share"], best["skill"]) == (0, 0, 1)
    assert policy(gain, np.zeros(5), 2)["skill"] == pytest.approx(0)  # all scores tie: each is taken in part
    assert policy(gain, np.array([1.0, 1.0, 0.0, 0.0, 0.0]), 1)["captured"] == 7.5
    ample = policy(gain, gain, 9)  # scores spend the budget, also on harm
    assert (ample["captured"], ample["oracle"], ample["random"]) == (20, 23, 20)
    assert policy(gain, gain > 99, 2)["captured"] == 0  # a mask need not


def test_policy_where_acting_only_harms_or_changes_nothing() -> None:
    harm = policy([-1.0, -2.0], np.array([False, False]), 1)
    assert (harm["oracle"], harm["regret"], harm["skill"]) == (0, 0, 1) and np.isnan(harm["regret_share"])
    same = policy([2.0, 2.0, 2.0], [0.3, 0.2, 0.1], 2)
    assert same["regret"] == 0 and np.isnan(same["skill"])


def worlds_of(values: list[float], metric: str) -> pd.DataFrame:
    seeds = np.random.default_rng(0).permutation(len(values))
    return pd.DataFrame({"family": "plain", "method": "ours", "metric": metric, "seed": seeds, "value": values})


def test_over_worlds_quantiles_by_hand() -> None:
    ten, failed = [float(v) for v in range(11)], [float("nan"), float("inf")]
    results = pd.concat(
        [
            worlds_of([*ten, *failed], "loss"),
            worlds_of(ten[::-1], "auc"),
            worlds_of([1.3, 1.0, 0.2, 1.1, 0.9, 1.05, 0.95, 1.2, 0.85, 1.02, 3.0], "slope"),
            worlds_of([float("nan")], "none"),
            worlds_of([2.0], "one"),
        ]
    )
    table = over_worlds(
        results, {"loss": "lower", "auc": "higher", "slope": 1.0, "none": "lower", "one": 1, "spare": 0}
    )
    assert table.columns.tolist()[:5] == ["family", "method", "metric", "worlds", "failures"]
    table = table.set_index("metric")
    columns = ["worlds", "failures", "median", "worst_decile", "best"]
    assert table.loc["loss", columns].tolist() == [13, 2, 5, 9, 0]
    assert table.loc["auc", columns].tolist() == [11, 0, 5, 1, 10]
    assert table.loc["slope", columns].tolist() == [11, 0, 1.02, 0.2, 1.0]  # 0.8 off; 3.0 is the one beyond
    assert (
        table.loc["none", "failures"] == 1 and np.isnan(table.loc["none", ["median", "lo", "best"]].astype(float)).all()
    )
    nameless = over_worlds(worlds_of(ten, "loss").assign(family=None), {"loss": "lower"})
    assert len(nameless) == 1 and nameless["worst_decile"].item() == 9
    assert table.loc["one", "median"] == 2 and np.isnan(table.loc["one", ["lo", "hi"]].astype(float)).all()


def test_over_worlds_interval_covers_the_median() -> None:
    rng = np.random.default_rng(0)
    families, seeds = np.repeat(np.arange(150), 25), np.tile(np.arange(25), 150)
    results = pd.DataFrame({"family": families, "method": "ours", "metric": "loss", "seed": seeds})
    table = over_worlds(results.assign(value=rng.lognormal(0, 1, 3750)), {"loss": "lower"})
    assert len(table) == 150 and ((table["lo"] <= table["median"]) & (table["median"] <= table["hi"])).all()
    assert 0.84 < ((table["lo"] <= 1) & (table["hi"] >= 1)).mean() < 0.97


def test_over_worlds_refuses_what_it_cannot_judge() -> None:
    results = worlds_of([1.0, 2.0, 3.0], "loss")
    with pytest.raises(BadParameter, match=r"better\['loss'\] is None; say 'lower', 'higher' or a number"):
        over_worlds(results, {"auc": "higher"})
    with pytest.raises(BadParameter, match="is 'smaller'"):
        over_worlds(results, {"loss": "smaller"})
    with pytest.raises(BadInput, match=r"1 rows repeat .*'plain', 'ours', 'loss', 0"):
        over_worlds(pd.concat([results, results[results["seed"] == 0]]), {"loss": "lower"})
    with pytest.raises(BadInput, match="lack 1 columns: seed"):
        over_worlds(results.drop(columns="seed"), {"loss": "lower"})
    with pytest.raises(BadInput, match="no rows"):
        over_worlds(results.head(0), {"loss": "lower"})
