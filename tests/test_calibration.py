"""Calibration error and its bar, slope and intercept, recalibration, blocks of rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from salesml.evaluation.calibration import calibration, ece, ece_bar, reliability, slope_and_intercept
from salesml.evaluation.splits import by_hash, by_time, entities_of
from salesml.models.calibrators import LOGIT_LIMIT, Calibrator, fit_calibrator


def outcomes(p: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(p)) < p).astype(float)


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray]:
    p = np.random.default_rng(0).beta(2, 5, 4000)
    return outcomes(p, 1), p


def test_honest_probabilities_pass_and_shifted_ones_fail(honest: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = honest
    good, bad = calibration(y, p), calibration(y, expit(logit(p) + 0.5))
    assert good.passes and good.slope.lo < 1 < good.slope.hi and good.intercept.lo < 0 < good.intercept.hi
    assert not bad.passes and bad.intercept.hi < 0 and bad.ece.lo > 0.05
    assert good.ece.lo <= good.ece.value <= good.ece.hi


def test_error_is_the_mean_gap_of_equal_bins() -> None:
    p = np.repeat(np.linspace(0.05, 0.95, 10), 100)
    y = np.concatenate([np.r_[np.ones(k), np.zeros(100 - k)] for k in range(0, 100, 10)])
    assert ece(y, p) == pytest.approx(0.05)
    table = reliability(y, p)
    assert table["rows"].tolist() == [100] * 10 and np.allclose(table["observed"], np.arange(10) / 10)
    assert ((table["lo"] <= table["observed"]) & (table["observed"] < table["hi"])).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_order_of_rows_does_not_matter_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.uniform(0.05, 0.95, 257), 1)
    y = outcomes(p, seed)
    mixed = rng.permutation(len(p))
    assert ece(y, p) == pytest.approx(ece(y[mixed], p[mixed]), abs=1e-12)


def test_bar_is_larger_for_few_entities() -> None:
    p = np.random.default_rng(0).uniform(0.1, 0.6, 1000)
    rows, entities = ece_bar(p, 0.0), ece_bar(p, 0.0, np.repeat(np.arange(100), 10))
    assert entities > 1.5 * rows and ece_bar(p, 0.5) == 0.5


def test_slope_agrees_with_scikit_learn(honest: tuple[np.ndarray, np.ndarray]) -> None:
    y, p = honest
    weights = np.random.default_rng(5).poisson(1, len(y)).astype(float)
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(logit(p)[:, None], y, sample_weight=weights)
    slope, intercept = slope_and_intercept(y, p, weights)
    assert (slope, intercept) == pytest.approx((fitted.coef_[0, 0], fitted.intercept_[0]), abs=1e-5)


def test_slope_of_constant_or_separated_probabilities_is_nan() -> None:
    assert np.isnan(slope_and_intercept(np.array([0.0, 1.0]), np.array([0.3, 0.3]))).all()
    assert np.isnan(slope_and_intercept(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.2, 0.8, 0.9]))).all()


def test_recalibration_finds_a_known_line() -> None:
    z = np.random.default_rng(0).normal(0, 1.5, 20_000)
    found = fit_calibrator(z, outcomes(expit(0.4 + 0.6 * z), 1))
    assert (found.intercept, found.slope) == pytest.approx((0.4, 0.6), abs=0.05)


def test_recalibration_leaves_honest_log_odds_nearly_alone() -> None:
    shifts = []
    for seed in range(20):
        z = np.random.default_rng(seed).normal(-1, 1, 400)
        shifts.append(fit_calibrator(z, outcomes(expit(z), seed + 100)).intercept)
    assert np.mean(np.abs(shifts)) < 0.08  # without shrinkage it is 0.12: the noise of 400 rows


@pytest.mark.parametrize("y", [np.zeros(50), np.ones(50), np.r_[np.ones(25), np.zeros(25)]])
def test_recalibration_never_turns_the_ranks(y: np.ndarray) -> None:
    found = fit_calibrator(np.linspace(-2, 2, 50), y)  # the last case ranks the wrong way round
    assert found.slope > 0 and np.isfinite([found.intercept, found.slope]).all()


def test_factors_add_up_even_where_log_odds_are_held() -> None:
    calibrator = Calibrator(0.3, 2.0)
    effects = np.array([[1.0, -0.5], [20.0, 5.0], [-30.0, 1.0]])
    base, calibrated = calibrator.factors(-0.2, effects)
    total = calibrator.apply(-0.2 + effects.sum(axis=1))
    assert np.allclose(base + calibrated.sum(axis=1), total) and np.abs(total).max() == LOGIT_LIMIT


def test_split_by_time_keeps_ties_and_order() -> None:
    times = pd.Series(np.random.default_rng(0).integers(0, 40, 1000))
    blocks = by_time(times)
    parts = [times.iloc[part] for part in (blocks.train, blocks.calibration, blocks.test)]
    assert parts[0].max() < parts[1].min() and parts[1].max() < parts[2].min()
    assert sum(map(len, parts)) == 1000 and parts[0].is_monotonic_increasing
    assert len(parts[0]) == pytest.approx(650, abs=50) and len(parts[2]) == pytest.approx(200, abs=50)


def test_split_by_time_leaves_out_earlier_rows_of_an_entity() -> None:
    entities = np.tile(np.arange(60), 5)
    blocks = by_time(pd.Series(np.arange(300)), entities)
    found = [set(entities[part]) for part in (blocks.train, blocks.calibration, blocks.test)]
    assert not found[0] & found[2] and not found[1] & found[2] and len(blocks.test) == 60


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_split_by_hash_keeps_entities_whole_whatever_the_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    keys = pd.Series([f"id{i}" for i in rng.integers(0, 200, 400)])
    entities = entities_of(pd.factorize(keys)[0])
    blocks = by_hash(keys, entities, seed)
    found = [set(keys.iloc[part]) for part in (blocks.train, blocks.calibration, blocks.test)]
    assert not found[0] & found[1] and not found[0] & found[2] and not found[1] & found[2]
    mixed = rng.permutation(400)
    again = by_hash(keys.iloc[mixed].reset_index(drop=True), entities[mixed], seed)
    assert set(keys.iloc[mixed].iloc[again.test]) == found[2]


def test_entities_join_what_shares_any_code() -> None:
    ids, alike = np.array([0, 1, 2, 3, 0]), np.array([0, 1, 1, 2, 3])
    found = entities_of(ids, alike)
    assert found[1] == found[2] and found[0] == found[4] and len(set(found)) == 3
