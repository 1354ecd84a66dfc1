"""Whether probabilities mean what they say: reliability, calibration error, slope and intercept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import beta
from sklearn.linear_model import LogisticRegression

from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.metrics import Measured

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """Calibration error with the bar it must keep, and slope and intercept (1 and 0 are perfect), on unseen rows."""

    ece: Measured
    bar: float
    slope: Measured
    intercept: Measured

    @property
    def passes(self) -> bool:
        """Whether the calibration error is at most the bar."""
        return self.ece.value <= self.bar


def reliability(y: np.ndarray, p: np.ndarray, bins: int = BINS) -> pd.DataFrame:
    """One row per equal-count bin of p: rows, mean predicted, share observed, its 90 % Jeffreys interval lo and hi.

    Rows of equal p share their mean outcome, so that ties across a bin's edge do not depend on the order of rows.
    """
    place, outcomes = _binned(y, p, bins)
    frame = pd.DataFrame({"bin": place, "p": np.asarray(p, dtype="float64"), "y": outcomes})
    table = frame.groupby("bin").agg(rows=("p", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    posterior = beta(table["observed"] * table["rows"] + 0.5, (1 - table["observed"]) * table["rows"] + 0.5)
    return table.assign(lo=posterior.ppf(0.05), hi=posterior.ppf(0.95)).reset_index()


def ece(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None = None, bins: int = BINS) -> float:
    """Mean |predicted - observed| over equal-count bins of p, weighted by rows (Naeini, Cooper and Hauskrecht 2015)."""
    place, outcomes = _binned(y, p, bins)
    w = np.ones(len(place)) if weights is None else weights
    gap = np.bincount(place, w * (np.asarray(p) - outcomes), bins)
    return float(np.abs(gap).sum() / w.sum())


def ece_bar(
    p: np.ndarray, figure: float, groups: np.ndarray | None = None, *, draws: int = 400, seed: int = 0
) -> float:
    """`figure`, or the 95th percentile of the error of perfectly calibrated p on as many rows, whichever is larger.

    Outcomes are drawn from p; rows of one entity share their draw, as they share their outcome.
    """
    p = np.asarray(p, dtype="float64")
    codes = np.arange(len(p)) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    rng = np.random.default_rng(seed)
    errors = [ece((rng.random(codes.max() + 1)[codes] < p).astype("float64"), p) for _ in range(draws)]
    return max(figure, float(np.quantile(errors, 0.95)))


def slope_and_intercept(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Logistic regression of the outcome on logit(p) (Cox 1958); NaN where p is constant or a class is missing."""
    z = logit(np.asarray(p, dtype="float64"))
    drawn = np.asarray(y) if weights is None else np.asarray(y)[weights > 0]
    if np.ptp(z) < 1e-9 or len(np.unique(drawn)) < 2:
        return float("nan"), float("nan")
    fitted = LogisticRegression(C=np.inf).fit(z[:, None], y, sample_weight=weights)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def calibration(
    y: np.ndarray,
    p: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    figure: float = 0.015,
    resamples: int = 200,
    seed: int = 0,
) -> Calibration:
    """All figures of calibration with 90 % intervals resampled by entity; `figure` is the bar asked of the error."""
    draws = [(ece(y, p, w), *slope_and_intercept(y, p, w)) for w in row_weights(len(y), groups, resamples, seed)]
    columns = [percentile_interval(list(column)) for column in zip(*draws, strict=True)]
    values = (ece(y, p), *slope_and_intercept(y, p))
    error, slope, intercept = (Measured(v, *interval) for v, interval in zip(values, columns, strict=True))
    return Calibration(error, ece_bar(p, figure, groups, seed=seed), slope, intercept)


def _binned(y: np.ndarray, p: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The equal-count bin of each row, and its outcome averaged over rows of equal p."""
    p, y = np.asarray(p, dtype="float64"), np.asarray(y, dtype="float64")
    values, place = np.unique(p, return_inverse=True)
    outcomes = (np.bincount(place, y, len(values)) / np.bincount(place, minlength=len(values)))[place]
    ranks = np.empty(len(p), dtype="int64")
    ranks[np.argsort(place, kind="stable")] = np.arange(len(p))
    return ranks * bins // max(1, len(p)), outcomes
