"""How long things last and how they end, when some are not over yet: incidence curves, quartiles, comparison of groups.

`days` is the time watched; `ended` is how it ended, missing for what is still going on (censored). That censoring must
not depend on the future: true where only the day of looking cuts the watching short.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special, stats

from salesml.evaluation.bootstrap import percentile_interval, row_weights

LEVEL = 0.9
QUARTILES = (0.25, 0.5, 0.75)
DRAWS = 4000
LEAST_WATCHED = 10
SPREAD = 0.5
"""Scale of the half-normal prior of how much the speeds of groups differ (standard deviation of a ratio around 1)."""


@dataclass(frozen=True)
class LogRank:
    """Do groups end at different speeds at all? Chi-squared statistic, its degrees of freedom, p-value."""

    statistic: float
    freedom: int
    p_value: float


def incidence(days: np.ndarray, ended: pd.Series, causes: Sequence[str], level: float = LEVEL) -> pd.DataFrame:
    """Cumulative incidence of each cause by Aalen-Johansen, with pointwise intervals. Grain: one row per day something ended, and day 0.

    Columns: day, at_risk, going (share not over, Kaplan-Meier), and per cause its share so far; each share with `_lo` and
    `_hi`: Greenwood-type variance (Marubini and Valsecchi 1995) on the log-log scale. A share of 0 has the exact binomial
    upper bound of those at risk. Raises nothing on empty input: day 0 alone.
    """
    watched = Watched(days, ended, causes)
    time, (at_risk, counts) = watched.time, watched.counts()
    total = counts.sum(axis=1)
    survival, shares = _shares(at_risk, counts)
    columns = {"day": np.r_[0.0, time], "at_risk": np.r_[float(len(days)), at_risk]}
    merged = _variance(at_risk, total, total, survival, 1 - survival)
    lo, hi = _log_log(1 - survival, merged, at_risk, level)
    columns |= {"going": np.r_[1.0, survival], "going_lo": np.r_[1.0, 1 - hi], "going_hi": np.r_[1.0, 1 - lo]}
    for k, cause in enumerate(causes):
        variance = _variance(at_risk, total, counts[:, k], survival, shares[:, k])
        lo, hi = _log_log(shares[:, k], variance, at_risk, level)
        columns |= {cause: np.r_[0.0, shares[:, k]], f"{cause}_lo": np.r_[0.0, lo], f"{cause}_hi": np.r_[0.0, hi]}
    return pd.DataFrame(columns)


def at(curve: pd.DataFrame, days: np.ndarray | float) -> pd.DataFrame:
    """The rows of an incidence curve that hold at the given days (the last step at or before each), `day` replaced by them."""
    asked = np.atleast_1d(np.asarray(days, dtype="float64"))
    place = np.searchsorted(curve["day"].to_numpy(), asked, side="right") - 1
    return curve.iloc[place].assign(day=asked).reset_index(drop=True)


def shares_by_entity(
    days: np.ndarray, ended: pd.Series, causes: Sequence[str], day: float, entities: np.ndarray, resamples: int = 200
) -> dict[str, tuple[float, float, float]]:
    """Share of each cause by `day` (Aalen-Johansen) with its 90 % interval, whole entities resampled: value, lo, hi."""
    watched = Watched(days, ended, causes)
    point = watched.reached(day)
    drawn = np.array([watched.reached(day, weights) for weights in row_weights(len(days), entities, resamples, seed=0)])
    return {cause: (float(point[k]), *percentile_interval(drawn[:, k], LEVEL)) for k, cause in enumerate(causes)}


def medians_by_cause(
    days: np.ndarray, ended: pd.Series, causes: Sequence[str], day: float, resamples: int = 200
) -> dict[str, tuple[float, float, float]]:
    """Day by which half of those that end by each cause until `day` have done so: value, lo, hi (90 %, rows resampled)."""
    watched = Watched(days, ended, causes)
    upto = int(np.searchsorted(watched.time, day, side="right"))

    def halves(weights: np.ndarray | None) -> list[float]:
        shares = _shares(*watched.counts(weights))[1][:upto]
        return (
            [_first(watched.time, (share >= share[-1] / 2) & (share > 0)) for share in shares.T]
            if upto
            else [np.nan] * len(causes)
        )

    point = halves(None)
    drawn = np.array([halves(weights) for weights in row_weights(len(days), None, resamples, seed=0)])
    return {cause: (point[k], *percentile_interval(drawn[:, k], LEVEL)) for k, cause in enumerate(causes)}


def quartiles(days: np.ndarray, over: np.ndarray, level: float = LEVEL) -> pd.DataFrame:
    """Days by which a quarter, half and three quarters are over (Kaplan-Meier). One row each: share, days, lo, hi.

    Bounds by Brookmeyer and Crowley (1982) on the log-log scale; missing where the curve or its bound does not get so far.
    """
    missing = pd.DataFrame({"share": QUARTILES, "days": np.nan, "lo": np.nan, "hi": np.nan})
    if not over.any():
        return missing
    survival = stats.ecdf(stats.CensoredData(uncensored=days[over], right=days[~over])).sf
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # bounds at 0 or 1 are not defined, and stay missing
        bounds = survival.confidence_interval(confidence_level=level, method="log-log")
    for name, curve in (("days", survival), ("lo", bounds.low), ("hi", bounds.high)):
        missing[name] = [_first(curve.quantiles, curve.probabilities <= 1 - share + 1e-12) for share in QUARTILES]
    return missing


def log_rank(days: np.ndarray, over: np.ndarray, groups: np.ndarray, strata: np.ndarray | None = None) -> LogRank:
    """The log-rank test of several groups, compared within strata; times in whole days begun. One group: p is 1."""
    codes, names = pd.factorize(np.asarray(groups))
    observed_less_expected, variance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for rows in _strata(len(days), strata):
        time, place = np.unique(np.ceil(days[rows]), return_inverse=True)
        shape = (len(time), len(names))
        leaving, ending = np.zeros(shape), np.zeros(shape)
        np.add.at(leaving, (place, codes[rows]), 1)
        np.add.at(ending, (place, codes[rows]), over[rows])
        at_risk = leaving[::-1].cumsum(axis=0)[::-1]
        n, d = at_risk.sum(axis=1), ending.sum(axis=1)
        share = at_risk / n[:, None]
        weight = d * np.where(n > 1, (n - d) / np.maximum(n - 1, 1), 0)
        observed_less_expected += (ending - d[:, None] * share).sum(axis=0)
        variance += np.diag(weight @ share) - share.T @ (weight[:, None] * share)
    freedom = int(np.linalg.matrix_rank(variance, hermitian=True)) if len(names) else 0
    statistic = float(observed_less_expected @ np.linalg.pinv(variance, hermitian=True) @ observed_less_expected)
    return LogRank(statistic, freedom, float(stats.chi2.sf(statistic, freedom)) if freedom else 1.0)


def speeds(
    days: np.ndarray, over: np.ndarray, groups: np.ndarray, strata: np.ndarray | None = None, seed: int = 0
) -> pd.DataFrame:
    """How fast each group ends beside all (1 = as fast), drawn towards 1 as far as little is known. One row a group.

    Columns: group, watched, over, expected (ends had its members ended as all of their stratum do: Nelson-Aalen), speed,
    lo, hi (90 %), sure (the interval leaves 1 out, and 10 members or more were watched).

    Ends are Poisson around speed × expected, speeds gamma around 1 with
    a spread that the groups themselves tell: many groups or few deals do not make a difference by chance.
    """
    hazard = np.zeros(len(days))
    for rows in _strata(len(days), strata):
        hazard[rows] = _cumulative_hazard(days[rows], over[rows])
    frame = pd.DataFrame({"group": groups, "over": over, "expected": hazard})
    found = frame.groupby("group", sort=True).agg(
        watched=("over", "size"), over=("over", "sum"), expected=("expected", "sum")
    )
    ends, expected = found["over"].to_numpy("float64"), found["expected"].to_numpy("float64")
    drawn = _drawn_speeds(ends, expected, np.random.default_rng(seed))
    lo, hi = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    told = found.assign(speed=drawn.mean(axis=0), lo=lo, hi=hi)
    apart = (told["lo"] > 1) | (told["hi"] < 1)
    return told.assign(sure=apart & (told["watched"] >= LEAST_WATCHED)).reset_index()


def _drawn_speeds(ends: np.ndarray, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of every group's speed: first the spread from its posterior on a grid, then gamma speeds given it."""
    spread = np.linspace(0.01, 1.5, 150)
    shape = spread[:, None] ** -2
    likelihood = special.gammaln(shape + ends) - special.gammaln(shape) + shape * np.log(shape)
    likelihood = (likelihood - (shape + ends) * np.log(shape + expected)).sum(axis=1) - 0.5 * (spread / SPREAD) ** 2
    chance = np.exp(likelihood - likelihood.max())
    drawn = shape[rng.choice(len(spread), DRAWS, p=chance / chance.sum())]
    return rng.gamma(drawn + ends, 1 / (drawn + expected))


class Watched:
    """Rows sorted once, so that they can be counted again with other weights. `time`: the days on which something ended."""

    def __init__(self, days: np.ndarray, ended: pd.Series, causes: Sequence[str]) -> None:
        cause = pd.Categorical(ended, categories=list(causes)).codes
        self._order, self._over = np.argsort(days, kind="stable"), np.flatnonzero(cause >= 0)
        self.time, place = np.unique(days[self._over], return_inverse=True)
        self._cell = place * len(causes) + cause[self._over]
        self._shape = (len(self.time), len(causes))
        self._earlier = np.searchsorted(days[self._order], self.time, side="left")

    def counts(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """How many were at risk at each `time` that something ended, and how many ended by cause (rows × causes)."""
        weights = np.ones(len(self._order)) if weights is None else weights
        left = np.r_[0.0, weights[self._order].cumsum()]
        ends = np.bincount(self._cell, weights[self._over], minlength=self._shape[0] * self._shape[1])
        return left[-1] - left[self._earlier], ends.reshape(self._shape)

    def reached(self, day: float, weights: np.ndarray | None = None) -> np.ndarray:
        """The share of each cause by `day` (Aalen-Johansen), rows counted as often as `weights` say."""
        upto = int(np.searchsorted(self.time, day, side="right"))
        return _shares(*self.counts(weights))[1][upto - 1] if upto else np.zeros(self._shape[1])

    def mean_days(self, day: float, weights: np.ndarray | None = None) -> float:
        """Mean days until the end, at most `day`: the area under the Kaplan-Meier curve."""
        survival, _ = _shares(*self.counts(weights))
        edges = np.minimum(np.r_[0.0, self.time, day], day)
        return float(np.r_[1.0, survival] @ np.diff(edges))


def _shares(at_risk: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share still going after each time, and share ended by each cause (rows × causes)."""
    risk = np.maximum(at_risk, 1e-12)
    survival = np.cumprod(1 - counts.sum(axis=1) / risk)
    return survival, (_before(survival)[:, None] * counts / risk[:, None]).cumsum(axis=0)


def _variance(
    n: np.ndarray, all_ends: np.ndarray, ends: np.ndarray, survival: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Greenwood-type variance of a cumulative incidence; for a single cause it is Greenwood's, exactly."""
    before = _before(survival)
    more = np.where(n > all_ends, all_ends / (n * np.maximum(n - all_ends, 1e-12)), 0)
    own = (before**2 * ends * (n - ends) / n**3).cumsum()
    both = before * ends / n**2
    spread = share**2 * more.cumsum() - 2 * share * (share * more).cumsum() + (share**2 * more).cumsum()
    return np.maximum(spread + own - 2 * (share * both.cumsum() - (share * both).cumsum()), 0)


def _log_log(
    share: np.ndarray, variance: np.ndarray, at_risk: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    none, tail = share <= 1e-12, (1 - level) / 2
    inside = np.clip(share, 1e-12, 1 - 1e-12)
    log = np.log1p(-inside)
    wide = np.exp(np.minimum(stats.norm.ppf((1 + level) / 2) * np.sqrt(variance) / ((1 - inside) * -log), 50.0))
    lo, hi = -np.expm1(log / wide), -np.expm1(log * wide)
    return np.where(none, 0.0, lo), np.where(none, 1 - tail ** (1 / np.maximum(at_risk, 1)), hi)


def _cumulative_hazard(days: np.ndarray, over: np.ndarray) -> np.ndarray:
    """Nelson-Aalen at each row's own time."""
    watched = Watched(days, pd.Series(over).map({True: "over"}), ["over"])
    at_risk, counts = watched.counts()
    steps = np.r_[0.0, (counts[:, 0] / at_risk).cumsum()]
    return steps[np.searchsorted(watched.time, days, side="right")]


def _strata(rows: int, strata: np.ndarray | None) -> list[np.ndarray]:
    if strata is None:
        return [np.arange(rows)]
    codes = pd.factorize(np.asarray(strata), use_na_sentinel=False)[0]
    return [np.flatnonzero(codes == code) for code in np.unique(codes)]


def _before(survival: np.ndarray) -> np.ndarray:
    return np.r_[1.0, survival][: len(survival)]


def _first(values: np.ndarray, holds: np.ndarray) -> float:
    return float(values[np.argmax(holds)]) if holds.any() else float("nan")
