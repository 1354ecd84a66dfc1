"""How good probabilities are on rows the model has not seen: log loss, Brier score, AUC, lift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn import metrics as sk

from salesml.evaluation.bootstrap import percentile_interval, row_weights

FIGURES = ("log_loss", "brier", "auc", "top_decile_lift", "explained")


@dataclass(frozen=True)
class Measured:
    """A figure on unseen rows with its 90 % interval, resampled by entity."""

    value: float
    lo: float
    hi: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.lo:.3f} to {self.hi:.3f})"


def log_loss(y: np.ndarray, p: np.ndarray) -> float:
    """Mean negative log-likelihood in nats; 0 is perfect, the base rate's entropy is what knowing nothing gives."""
    return float(sk.log_loss(y, p, labels=[0, 1]))


def brier(y: np.ndarray, p: np.ndarray) -> float:
    """Mean squared difference of probability and outcome (Brier 1950)."""
    return float(np.mean((np.asarray(p) - np.asarray(y)) ** 2))


def auc(y: np.ndarray, p: np.ndarray) -> float:
    """Chance that a random positive row is ranked above a random negative one, ties half; NaN with one class."""
    return float(sk.roc_auc_score(y, p)) if len(np.unique(y)) == 2 else float("nan")


def top_decile_lift(y: np.ndarray, p: np.ndarray) -> float:
    """Share of outcomes in the tenth of the rows ranked highest over the share in all rows; ties are taken in part."""
    values, ties = np.unique(p, return_inverse=True)
    y = np.asarray(y, dtype="float64")
    return _lift(np.bincount(ties, y, len(values)), np.bincount(ties, 1 - y, len(values)))


def gains(y: np.ndarray, p: np.ndarray) -> pd.DataFrame:
    """The share of outcomes `found` when the share `worked` of the rows is taken, best first: at every per cent."""
    values, ties = np.unique(-np.asarray(p), return_inverse=True)
    size, positives = np.bincount(ties, minlength=len(values)), np.bincount(ties, y, len(values))
    worked = np.linspace(0, 1, 101)
    reached = np.concatenate([[0.0], np.cumsum(size) / size.sum()])
    found = np.concatenate([[0.0], np.cumsum(positives) / max(positives.sum(), 1.0)])
    return pd.DataFrame({"worked": worked, "found": np.interp(worked, reached, found)})


def measure(
    y: np.ndarray,
    p: np.ndarray,
    base: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    resamples: int = 400,
    seed: int = 0,
) -> dict[str, Measured]:
    """log_loss, brier, auc, top_decile_lift, and explained: the share of the log loss of `base` that p removes."""
    y = np.asarray(y, dtype="float64")
    losses, base_losses, squares = _losses(y, p), _losses(y, base), (np.asarray(p) - y) ** 2
    values, ties = np.unique(p, return_inverse=True)

    def figures(w: np.ndarray) -> tuple[float, ...]:
        positive, negative = np.bincount(ties, w * y, len(values)), np.bincount(ties, w * (1 - y), len(values))
        loss, total = float(w @ losses), float(w.sum())
        return (
            loss / total,
            float(w @ squares) / total,
            _auc(positive, negative),
            _lift(positive, negative),
            1 - loss / float(w @ base_losses),
        )

    draws = np.array([figures(w) for w in row_weights(len(y), groups, resamples, seed)])
    found = figures(np.ones(len(y)))
    intervals = [percentile_interval(draws[:, place]) for place in range(len(FIGURES))]
    return {name: Measured(value, *interval) for name, value, interval in zip(FIGURES, found, intervals, strict=True)}


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
    difference = _losses(y, p) - _losses(y, baseline)
    draws = [float(w @ difference / w.sum()) for w in row_weights(len(difference), groups, resamples, seed)]
    return Measured(float(difference.mean()), *percentile_interval(draws, level))


def _losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    y = np.asarray(y, dtype="float64")
    return -(y * np.log(p) + (1 - y) * np.log1p(-np.asarray(p)))


def _auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """AUC from the weight of positive and negative rows at each distinct probability, ascending (Mann-Whitney)."""
    pairs = positive.sum() * negative.sum()
    below = np.cumsum(negative) - negative
    return float(positive @ (below + negative / 2) / pairs) if pairs else float("nan")


def _lift(positive: np.ndarray, negative: np.ndarray) -> float:
    """Top-decile lift from the weight of positive and negative rows at each distinct probability, ascending."""
    best_first, size = positive[::-1], (positive + negative)[::-1]
    target = size.sum() / 10
    before = np.cumsum(size) - size
    taken = np.clip((target - before) / np.where(size > 0, size, 1.0), 0, 1)
    share = positive.sum() / size.sum()
    return float(taken @ best_first / target / share) if share else float("nan")
