"""Whether probabilities mean what they say: reliability, calibration error, slope and intercept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import beta

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


def reliability(y: np.ndarray, p: np.ndarray, groups: np.ndarray | None = None) -> pd.DataFrame:
    """One row per equal-count bin of p: rows, mean predicted, share observed, its 90 % Jeffreys interval lo and hi.

    Rows of one entity of `groups` share their outcome: the interval is that of as many independent rows as they are worth
    (Korn and Graubard 1998).
    """
    bins = _Bins(p)
    frame = pd.DataFrame({"bin": bins.place, "p": bins.p, "y": bins.shared(y)})
    table = frame.groupby("bin").agg(rows=("p", "size"), predicted=("p", "mean"), observed=("y", "mean"))
    worth = table["rows"]
    if groups is not None:
        parts = frame.assign(entity=groups).groupby("bin")
        worth = pd.Series({number: _worth(part["y"].to_numpy(), part["entity"].to_numpy()) for number, part in parts})
    posterior = beta(table["observed"] * worth + 0.5, (1 - table["observed"]) * worth + 0.5)
    lo, hi = np.minimum(posterior.ppf(0.05), table["observed"]), np.maximum(posterior.ppf(0.95), table["observed"])
    return table.assign(lo=lo, hi=hi).reset_index()


def _worth(y: np.ndarray, entity: np.ndarray) -> float:
    """How many independent rows tell as much of the mean of y: by the spread of entities' sums, at most the rows."""
    codes = pd.factorize(entity, use_na_sentinel=False)[0]
    sizes, share = np.bincount(codes), float(y.mean())
    count = len(sizes)
    squares = float(np.sum((np.bincount(codes, y) - share * sizes) ** 2)) * count / max(1, count - 1)
    if squares == 0 or count == 1:
        return float(count)  # all alike: the spread tells nothing
    return float(np.clip(share * (1 - share) * len(y) ** 2 / squares, 1, len(y)))


def ece(y: np.ndarray, p: np.ndarray) -> float:
    """Mean |predicted - observed| over 10 equal-count bins of p, weighted by rows (Naeini, Cooper, Hauskrecht 2015)."""
    return _Bins(p).ece(y)


def ece_bar(
    p: np.ndarray,
    figure: float,
    groups: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    draws: int = 400,
    seed: int = 0,
) -> float:
    """`figure`, or the 95th percentile of the error of perfectly calibrated p on as many rows, whichever is larger.

    Outcomes are drawn from p; rows of one entity share their draw, as they share their outcome.
    """
    bins = _Bins(p)
    codes = np.arange(len(p)) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    rng = np.random.default_rng(seed)
    drawn = ((rng.random(codes.max() + 1)[codes] < bins.p).astype("float64") for _ in range(draws))
    errors = [bins.ece(y, weights) for y in drawn]
    return max(figure, float(np.quantile(errors, 0.95)))


def slope_and_intercept(y: np.ndarray, p: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, float]:
    """Logistic regression of the outcome (0, 1 or a share) on logit(p) (Cox 1958) by Newton steps; NaN where p or y is constant.

    The steps are taken on centred and scaled log-odds, so that they also arrive far from 1 and 0. An outcome that is the
    same share everywhere has slope 0.
    """
    z, y = logit(np.asarray(p, dtype="float64")), np.asarray(y, dtype="float64")
    drawn = y if weights is None else y[weights > 0]
    centre, spread = float(z.mean()), max(float(z.std()), float(np.abs(z - z.mean()).max()) / 30)
    if np.ptp(z) < 1e-9 or len(drawn) == 0:
        return float("nan"), float("nan")
    if np.ptp(drawn) == 0:
        return (0.0, float(logit(drawn[0]))) if 0 < drawn[0] < 1 else (float("nan"), float("nan"))
    z = (z - centre) / spread
    design, w = np.stack([z, np.ones(len(z))]), np.ones(len(z)) if weights is None else weights
    found = np.array([1.0, 0.0])
    for _ in range(25):
        fitted = expit(found @ design)
        curvature = (design * (w * fitted * (1 - fitted))) @ design.T
        if np.linalg.cond(curvature) > 1e12:
            break
        step = np.linalg.solve(curvature, design @ (w * (y - fitted)))
        found = found + step
        if np.abs(step).max() < 1e-9:
            return float(found[0] / spread), float(found[1] - found[0] * centre / spread)
    return float("nan"), float("nan")  # separated: no finite answer


def calibration(
    y: np.ndarray,
    p: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    weights: np.ndarray | None = None,
    figure: float = 0.015,
    resamples: int = 200,
    seed: int = 0,
) -> Calibration:
    """All figures of calibration with 90 % intervals resampled by entity; `figure` is the bar asked of the error.

    `weights` per row, such as amounts, weigh the rows within and between the bins (which stay equal in count), and in the line.
    Resampling adds noise that the error counts as error, so its interval is moved back by the median of what it adds.
    """
    bins, own = _Bins(p), np.ones(len(y)) if weights is None else weights
    drawn = (own * w for w in row_weights(len(y), groups, resamples, seed))
    found = np.array([(bins.ece(y, w), *slope_and_intercept(y, p, w)) for w in drawn])
    error, errors = bins.ece(y, weights), found[:, 0]
    error_interval = percentile_interval(np.maximum(errors - np.median(errors) + error, 0))
    slope, intercept = slope_and_intercept(y, p, weights)
    return Calibration(
        Measured(error, *error_interval),
        ece_bar(p, figure, groups, weights=weights, seed=seed),
        Measured(slope, *percentile_interval(found[:, 1])),
        Measured(intercept, *percentile_interval(found[:, 2])),
    )


class _Bins:
    """Ten equal-count bins of p; rows of equal p share their mean outcome: the order of rows does not matter."""

    def __init__(self, p: np.ndarray) -> None:
        self.p = np.asarray(p, dtype="float64")
        values, self.ties = np.unique(self.p, return_inverse=True)
        self.tied = np.bincount(self.ties, minlength=len(values))
        ranks = np.empty(len(self.p), dtype="int64")
        ranks[np.argsort(self.ties, kind="stable")] = np.arange(len(self.p))
        self.place = ranks * BINS // max(1, len(self.p))

    def shared(self, y: np.ndarray) -> np.ndarray:
        """Each row's outcome, averaged over the rows of equal p."""
        return (np.bincount(self.ties, y, len(self.tied)) / self.tied)[self.ties]

    def ece(self, y: np.ndarray, weights: np.ndarray | None = None) -> float:
        """The calibration error of these outcomes."""
        gap = self.p - self.shared(y)
        total = float(len(gap)) if weights is None else float(weights.sum())
        return float(np.abs(np.bincount(self.place, gap if weights is None else weights * gap, BINS)).sum() / total)
