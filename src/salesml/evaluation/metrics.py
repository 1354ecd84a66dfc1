"""How good probabilities are on rows the model has not seen: log loss, Brier score, AUC, lift."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn import metrics as sk

from salesml.evaluation.bootstrap import percentile_interval, row_weights

Weights = np.ndarray | None


@dataclass(frozen=True)
class Measured:
    """A figure on unseen rows with its 90 % interval, resampled by entity."""

    value: float
    lo: float
    hi: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.lo:.3f} to {self.hi:.3f})"


def log_loss(y: np.ndarray, p: np.ndarray, weights: Weights = None) -> float:
    """Mean negative log-likelihood in nats; 0 is perfect, the base rate's entropy is what knowing nothing gives."""
    return float(sk.log_loss(y, p, sample_weight=weights, labels=[0, 1]))


def brier(y: np.ndarray, p: np.ndarray, weights: Weights = None) -> float:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    return float(np.average((np.asarray(p) - np.asarray(y)) ** 2, weights=weights))


def auc(y: np.ndarray, p: np.ndarray, weights: Weights = None) -> float:
    """Chance that a random positive row is ranked above a random negative one, ties half; NaN with one class."""
    drawn = np.asarray(y) if weights is None else np.asarray(y)[weights > 0]
    return float(sk.roc_auc_score(y, p, sample_weight=weights)) if len(np.unique(drawn)) == 2 else float("nan")


def top_decile_lift(y: np.ndarray, p: np.ndarray, weights: Weights = None) -> float:
    """Share of outcomes in the tenth of the rows ranked highest over the share in all rows; ties are taken in part."""
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype="float64")
    values, place = np.unique(-np.asarray(p), return_inverse=True)
    size, positives = np.bincount(place, w, len(values)), np.bincount(place, w * y, len(values))
    target = w.sum() / 10
    taken = np.clip((target - np.concatenate([[0.0], np.cumsum(size)[:-1]])) / np.where(size > 0, size, 1), 0, 1)
    share = positives.sum() / w.sum()
    return float((taken * positives).sum() / target / share) if share else float("nan")


def measure(
    y: np.ndarray,
    p: np.ndarray,
    base: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Measured]:
    """log_loss, brier, auc, top_decile_lift, and explained: the share of the log loss of `base` that p removes."""
    figures: dict[str, Callable[[Weights], float]] = {
        "log_loss": lambda w: log_loss(y, p, w),
        "brier": lambda w: brier(y, p, w),
        "auc": lambda w: auc(y, p, w),
        "top_decile_lift": lambda w: top_decile_lift(y, p, w),
        "explained": lambda w: 1 - log_loss(y, p, w) / log_loss(y, base, w),
    }
    draws: dict[str, list[float]] = {name: [] for name in figures}
    for weights in row_weights(len(y), groups, resamples, seed):
        for name, figure in figures.items():
            draws[name].append(figure(weights))
    return {name: Measured(figure(None), *percentile_interval(draws[name])) for name, figure in figures.items()}


def log_loss_difference(
    y: np.ndarray,
    p: np.ndarray,
    baseline: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    level: float = 0.9,
    resamples: int = 1000,
    seed: int = 0,
) -> Measured:
    """Log loss of `p` minus that of `baseline`, below 0 is better; interval by paired resampling of entities."""
    y = np.asarray(y, dtype="float64")
    difference = y * np.log(baseline / p) + (1 - y) * np.log((1 - baseline) / (1 - p))
    draws = [float(np.average(difference, weights=w)) for w in row_weights(len(y), groups, resamples, seed)]
    return Measured(float(difference.mean()), *percentile_interval(draws, level))
