"""Is a monthly figure getting better, worse, or neither? A test of change that keeps its false alarms where months hang together.

What is looked for: one step at any month, or a steady slope. The statistic is the greatest share of the series' variation that any of
these explains, after the month of the quarter (or year) is accounted for. What it would be without any change is simulated from series
whose months hang together as first-order autoregression; how much they do is not taken at its best value but averaged over all strengths
that the series leaves possible (a prior predictive check conditional on the estimate; Bayarri and Berger 2000), none stronger than 0.8.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import false_discovery_control, norm, t

from salesml.errors import BadInput, BadParameter

LEAST_MONTHS = 12
EDGE = 3
"""A step has at least so many months on either side."""
ALARM = 0.05
LEVEL = 0.9
POWER = 0.8
STRENGTHS = np.linspace(0.0, 0.8, 9)
NULLS = 400
IMPROVING, DECLINING, RISING, FALLING, STEADY, SHORT = "improving", "declining", "rising", "falling", "steady", "too short to tell"


@dataclass(frozen=True)
class Trend:
    """What became of a series. Days are first days of months, amounts in the series' unit.

    verdict: improving or declining (rising or falling where neither way is good), steady (no change was told), too short to tell. shape:
    step, slope or none. p_value: of any change. at, at_lo, at_hi: the first month after the step and its 90 % interval. before, after: the
    level on either side of the step, or at the ends of the slope; change: the difference with lo and hi (90 %, given where the step lies).
    unseen: the step in the middle that would go unseen one time in five: a steady series may have changed by less. together: correlation
    of neighbouring months. months: how many were known.
    """

    verdict: str
    shape: str
    p_value: float
    at: dt.date | None
    at_lo: dt.date | None
    at_hi: dt.date | None
    before: float
    after: float
    change: float
    lo: float
    hi: float
    unseen: float
    together: float
    months: int


def trend(
    values: Sequence[float] | pd.Series,
    months: Sequence[dt.date],
    weights: Sequence[float] | pd.Series | None = None,
    good: str = "up",
    season: int = 3,
    seed: int = 0,
) -> Trend:
    """The trend of a monthly series: values by month (first days, in order; missing ones are left out).

    weights: what each month rests on (deals, say): its variance is taken to go with 1 / weight; without them alike. good: up, down or
    neither. season: months after which the pattern repeats that is no change: 3 (within the quarter), 12 (needs 36 months) or 1 (none).
    With fewer than 12 months the verdict is `too short to tell`. Raises BadInput where lengths differ or months are out of order,
    BadParameter for another good or season.
    """
    y, days = np.asarray(values, dtype="float64"), [pd.Timestamp(day).date() for day in months]
    w = np.ones(len(y)) if weights is None else np.asarray(weights, dtype="float64")
    if not len(y) == len(days) == len(w) or any(a >= b for a, b in pairwise(days)):
        raise BadInput(f"a trend needs as many values ({len(y)}) and weights ({len(w)}) as months ({len(days)}), months in rising order")
    if good not in ("up", "down", "neither") or season not in (1, 3, 12):
        raise BadParameter(f"good is up, down or neither, not {good!r}; season is 1, 3 or 12, not {season!r}")
    kept = np.isfinite(y) & (w > 0)
    y, w, days = y[kept], w[kept], [day for day, there in zip(days, kept, strict=True) if there]
    if len(y) < max(LEAST_MONTHS, 3 * season if season == 12 else 0) or np.ptp(y) == 0:
        flat = STEADY if len(y) >= LEAST_MONTHS else SHORT
        level = float(np.average(y, weights=w)) if len(y) else np.nan
        return Trend(flat, "none", 1.0, None, None, None, level, level, np.nan, np.nan, np.nan, np.nan, np.nan, len(y))
    place = np.array([day.year * 12 + day.month for day in days])
    design = _Design(w, place, season)
    mine = y * np.sqrt(w)
    statistic, together, which = design.measured(mine[:, None])
    nulls = [design.measured(series) for series in _nulls(tuple(place - place[0]), seed)]
    p_value, critical = _judged(float(statistic[0]), float(together[0]), nulls)
    fit = design.fit(mine, int(which[0]))
    freedom = design.freedom
    bound = np.sqrt(freedom * critical / max(1 - critical, 1e-9))
    sigma = fit.sigma * np.sqrt(w.mean())
    middle = design.scale(len(design.steps) // 2) / np.sqrt(w.mean())
    unseen = float((bound + norm.ppf(POWER)) * sigma * middle)
    found, slope = p_value <= ALARM, int(which[0]) == len(design.steps)
    up = fit.change > 0
    words = (RISING if up else FALLING) if good == "neither" else IMPROVING if up == (good == "up") else DECLINING
    widen = np.sqrt((1 + max(fit.together, 0)) / (1 - min(max(fit.together, 0), 0.8)))
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * fit.error * widen
    at, first, last = design.when(mine, widen) if found and not slope else (None, None, None)
    return Trend(
        words if found else STEADY, ("slope" if slope else "step") if found else "none", p_value,
        None if at is None else days[at], None if first is None else days[first], None if last is None else days[last],
        fit.before, fit.after, fit.change, fit.change - half, fit.change + half, unseen, fit.together, len(y),
    )  # fmt: skip


def told_apart(trends: pd.DataFrame, share: float = 0.1) -> pd.Series:
    """Which of many trends (column p_value) may be told so that at most `share` of those told are expected false (Benjamini-Hochberg)."""
    if trends.empty:
        return pd.Series([], trends.index, dtype="bool")
    return pd.Series(false_discovery_control(trends["p_value"].to_numpy("float64")) <= share, trends.index)


@dataclass(frozen=True)
class _Fit:
    before: float
    after: float
    change: float
    error: float
    sigma: float
    together: float


class _Design:
    """Steps and a slope beside the season, weighted; each scaled so that what it explains is one square."""

    def __init__(self, weights: np.ndarray, place: np.ndarray, season: int) -> None:
        n = len(weights)
        self.root, self.place = np.sqrt(weights), place
        pattern = np.column_stack([np.ones(n), *[(place % season == k) * 1.0 for k in range(1, season)]])
        base = np.linalg.qr(pattern * self.root[:, None])[0]
        base = base[:, np.abs(base).sum(axis=0) > 1e-9]
        self.steps = list(range(EDGE, n - EDGE + 1))
        line = (place - place[0]) / max(place[-1] - place[0], 1)
        self.raw = np.column_stack([*[(np.arange(n) >= k) * 1.0 for k in self.steps], line])
        looked = self.raw * self.root[:, None]
        looked = looked - base @ (base.T @ looked)
        self.base, self.size = base, np.linalg.norm(looked, axis=0)
        self.contrasts = (looked / np.maximum(self.size, 1e-9)).T
        self.freedom = n - base.shape[1] - 1

    def measured(self, series: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of series (months × series): greatest share explained, correlation of neighbours in what is left, which contrast it was."""
        left = series - self.base @ (self.base.T @ series)
        part = self.contrasts @ left
        which = np.argmax(part**2, axis=0)
        best = part[which, np.arange(series.shape[1])]
        whole = (left**2).sum(axis=0)
        rest = left - self.contrasts[which].T * best
        near = (rest[1:] * rest[:-1])[np.diff(self.place) == 1].sum(axis=0)
        return best**2 / np.maximum(whole, 1e-300), near / np.maximum((rest**2).sum(axis=0), 1e-300), which

    def scale(self, which: int) -> float:
        """Standard error of a contrast's size for noise of 1."""
        return float(1 / max(self.size[which], 1e-9))

    def fit(self, series: np.ndarray, which: int) -> _Fit:
        """Levels before and after the contrast fitted best, the change and its standard error for months that hang not together."""
        left = series - self.base @ (self.base.T @ series)
        part = float(self.contrasts[which] @ left)
        rest = left - self.contrasts[which] * part
        sigma = float(np.sqrt((rest**2).sum() / max(self.freedom, 1)))
        change = part * self.scale(which)
        fitted = series / self.root - self.raw[:, which] * change
        before = float(np.average(fitted, weights=self.root**2))
        near = float((rest[1:] * rest[:-1])[np.diff(self.place) == 1].sum() / max((rest**2).sum(), 1e-300))
        return _Fit(before, before + change, change, sigma * self.scale(which), sigma, near)

    def when(self, series: np.ndarray, widen: float) -> tuple[int, int, int]:
        """The first month after the step, and the shortest run of months that holds it with 90 % (every month as likely before)."""
        left = series - self.base @ (self.base.T @ series)
        explained = (self.contrasts[:-1] @ left) ** 2
        rest = np.maximum((left**2).sum() - explained, 1e-300)
        log = -0.5 * self.freedom / widen**2 * np.log(rest)
        chance = np.exp(log - log.max())
        total = np.r_[0.0, np.cumsum(chance / chance.sum())]
        ends = [(int(np.searchsorted(total, total[k] + LEVEL - 1e-12)), k) for k in range(len(chance))]
        length, first = min((end - k, k) for end, k in ends if end < len(total))
        return self.steps[int(np.argmax(chance))], self.steps[first], self.steps[first + length - 1]


@lru_cache(maxsize=32)
def _nulls(places: tuple[int, ...], seed: int) -> list[np.ndarray]:
    """Series without change for each strength of hanging together, at the months that are known."""
    rng, n = np.random.default_rng(seed), places[-1] + 1
    found = []
    for strength in STRENGTHS:
        shocks = rng.normal(size=(n, NULLS)) * np.sqrt(1 - strength**2)
        shocks[0] /= np.sqrt(1 - strength**2)
        found.append(lfilter([1.0], [1.0, -strength], shocks, axis=0)[list(places)])
    return found


def _judged(statistic: float, together: float, nulls: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> tuple[float, float]:
    """p-value, and the share explained that would just be told, over strengths weighed by how well they give this correlation."""
    weights = []
    for _, near, _ in nulls:
        weights.append(norm.pdf(together, near.mean(), near.std() + 1e-9))
    chance = np.array(weights) / max(sum(weights), 1e-300)
    if not chance.any():
        chance = np.r_[np.zeros(len(nulls) - 1), 1.0] if together > 0 else np.r_[1.0, np.zeros(len(nulls) - 1)]
    over = np.array([(1 + (drawn >= statistic).sum()) / (1 + len(drawn)) for drawn, _, _ in nulls])
    pooled = np.concatenate([drawn for drawn, _, _ in nulls])
    each = np.repeat(chance / NULLS, NULLS)
    order = np.argsort(-pooled)
    place = int(np.searchsorted(np.cumsum(each[order]), ALARM))
    return float(chance @ over), float(pooled[order[min(place, len(order) - 1)]])
