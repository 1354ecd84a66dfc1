"""Figures of probabilities against scikit-learn, and resampling by entity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from salesml.evaluation import metrics
from salesml.evaluation.bootstrap import percentile_interval, row_weights

SEEDS = st.integers(0, 10_000)


def drawn(seed: int, rows: int = 300, digits: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes and probabilities with many ties."""
    rng = np.random.default_rng(seed)
    p = np.clip(np.round(rng.random(rows), digits), 0.01, 0.99)
    y = (rng.random(rows) < p).astype(float)
    y[:2] = 0, 1
    return y, p


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_figures_agree_with_scikit_learn(seed: int) -> None:
    y, p = drawn(seed)
    base = np.full(len(y), 0.5)
    figures = metrics.measure(y, p, base, resamples=3)
    assert figures["log_loss"].value == pytest.approx(sk.log_loss(y, p), abs=1e-12)
    assert figures["brier"].value == pytest.approx(sk.brier_score_loss(y, p), abs=1e-12)
    assert figures["auc"].value == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert figures["explained"].value == pytest.approx(1 - sk.log_loss(y, p) / np.log(2), abs=1e-12)
    assert figures["top_decile_lift"].value == pytest.approx(metrics.top_decile_lift(y, p))


def test_lift_takes_ties_in_part() -> None:
    y = np.array([1.0] * 5 + [0.0] * 15)
    assert metrics.top_decile_lift(y, np.linspace(0.9, 0.1, 20)) == pytest.approx(4.0)
    assert metrics.top_decile_lift(y, np.full(20, 0.3)) == pytest.approx(1.0)
    half = np.where(np.arange(20) < 10, 0.6, 0.2)  # five of the ten best are positive: 0.5 / 0.25
    assert metrics.top_decile_lift(y, half) == pytest.approx(2.0)


def test_gains_of_a_perfect_and_a_constant_ranking() -> None:
    y = np.array([1.0] * 20 + [0.0] * 80)
    perfect = metrics.gains(y, np.linspace(0.99, 0.01, 100)).set_index("worked")["found"]
    assert perfect[0.1] == pytest.approx(0.5) and perfect[0.2] == pytest.approx(1.0)
    constant = metrics.gains(y, np.full(100, 0.2))
    assert np.allclose(constant["found"], constant["worked"])


def test_difference_is_paired_and_signed() -> None:
    y, p = drawn(1, 2000)
    base = np.full(len(y), y.mean())
    better = metrics.log_loss_difference(y, p, base)
    assert better.value == pytest.approx(sk.log_loss(y, p) - sk.log_loss(y, base), abs=1e-12)
    assert better.lo < better.value < better.hi < 0
    same = metrics.log_loss_difference(y, p, p)
    assert (same.value, same.lo, same.hi) == (0, 0, 0)


def test_one_class_has_no_auc() -> None:
    assert np.isnan(metrics.auc(np.ones(5), np.linspace(0.1, 0.9, 5)))


def test_entities_are_drawn_whole() -> None:
    groups = np.repeat(np.arange(50), 4)
    for weights in row_weights(200, groups, 20, seed=3):
        assert weights.sum() == 200
        assert (weights.reshape(50, 4) == weights.reshape(50, 4)[:, :1]).all()


def test_repeating_every_row_does_not_narrow_the_interval_by_entity() -> None:
    y, p = drawn(2, 200)
    base = np.full(len(y), y.mean())
    once = metrics.log_loss_difference(y, p, base)
    copies = [np.repeat(values, 5) for values in (y, p, base, np.arange(len(y)))]
    by_row, by_entity = metrics.log_loss_difference(*copies[:3]), metrics.log_loss_difference(*copies)
    assert by_entity.hi - by_entity.lo == pytest.approx(once.hi - once.lo, rel=0.15)
    assert by_row.hi - by_row.lo < 0.6 * (once.hi - once.lo)


def test_interval_of_nothing_finite_is_nan() -> None:
    assert np.isnan(percentile_interval([float("nan")])).all()
