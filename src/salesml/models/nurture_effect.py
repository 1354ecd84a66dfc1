"""What a programme adds to conversion, from leads drawn in and held out by lot: with an interval, by segment, and how many leads it takes.

Everybody counts as drawn, whatever they got afterwards (intention to treat): who stopped reading, refused or was never reached is part of
what a programme does. A comparison of leads that somebody chose is kept apart and called what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr
from scipy.stats import binomtest, chi2, norm

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation import arrays

LEVEL, POWER = 0.9, 0.8
FEWEST_LEADS = 20
UNLIKELY_LOT = 0.001
SPREADS = 200
SEGMENTS = [
    "segment", "leads_with", "leads_without", "rate_with", "rate_without", "difference", "lo", "hi", "shrunk", "shrunk_lo", "shrunk_hi",
]  # fmt: skip


@dataclass(frozen=True)
class Difference:
    """Converted share of the leads with a programme less that of those without (points of 1), with its interval and standard error."""

    leads_with: int
    leads_without: int
    converted_with: int
    converted_without: int
    value: float
    lo: float
    hi: float
    error: float
    level: float

    @property
    def rate_with(self) -> float:
        """Share of those with it that converted."""
        return self.converted_with / self.leads_with

    @property
    def rate_without(self) -> float:
        """Share of those without it that converted."""
        return self.converted_without / self.leads_without

    @property
    def sure(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.lo > 0 or self.hi < 0

    def __str__(self) -> str:
        return f"{100 * self.value:+.1f} points ({100 * self.lo:+.1f} to {100 * self.hi:+.1f})"


@dataclass(frozen=True)
class Effect:
    """The effect over all and by segment (SEGMENTS, points of 1); differs_p: how likely segments this different are by chance."""

    overall: Difference
    segments: pd.DataFrame
    differs_p: float
    notes: tuple[str, ...]


def effect(rows: pd.DataFrame, level: float = LEVEL) -> Effect:
    """What the programme adds to conversion, by lot.

    rows: one row per lead drawn: drawn_in (bool), chance (with which it was drawn in), segment, converted (0 or 1 within the horizon,
    known). Where the chance differs among leads they are compared within equal chances and weighted by their number. By segment the
    difference itself, and drawn towards the common one as far as segments do not differ (`pooled`). Raises NotEnoughData with fewer
    than 20 leads on either side.
    """
    held = arrays.columns("the leads drawn", rows, ("drawn_in", "chance", "segment", "converted"))
    if len(rows):
        chance, converted = arrays.numbers(chance=held["chance"], converted=held["converted"])
        arrays.refuse("chance", chance, (chance < 0) | (chance > 1), "are no chance")
        arrays.refuse("converted", converted, (converted != 0) & (converted != 1), "are neither 0 nor 1")
    drawn = rows[rows["chance"].between(0, 1, inclusive="neither")]
    inside = int(drawn["drawn_in"].sum())
    if min(inside, len(drawn) - inside) < FEWEST_LEADS:
        raise NotEnoughData(
            f"{inside:,} leads drawn in by lot and {len(drawn) - inside:,} held out are old enough to be judged; {FEWEST_LEADS} of each "
            "are the least"
        )
    overall = difference(drawn, level)
    found = [(str(name), difference(part, level)) for name, part in drawn.groupby("segment") if _both(part)]
    table, p = by_segment(found, level)
    return Effect(overall, table, p, _notes(drawn))


def difference(rows: pd.DataFrame, level: float = LEVEL) -> Difference:
    """Converted shares compared; rows as in `effect`, with leads on both sides.

    With one chance the interval is Newcombe's (1998, "Interval estimation for the difference between independent proportions", method
    10), with several it is normal over the weighted strata; the error is Agresti and Caffo's (2000), never 0.
    """
    parts = [part for _, part in rows.groupby(rows["chance"].round(9)) if _both(part)]
    if not parts:
        raise NotEnoughData("no leads on both sides at the same chance: nothing can be compared")
    counts = np.array([[one[1], len(one[0]), one[3], len(one[2])] for one in map(_sides, parts)], dtype="float64")
    share = np.array([len(part) for part in parts]) / sum(map(len, parts))
    x1, n1, x0, n0 = counts.T
    value = float(share @ (x1 / n1 - x0 / n0))
    p1, p0 = (x1 + 1) / (n1 + 2), (x0 + 1) / (n0 + 2)
    error = float(np.sqrt(share**2 @ (p1 * (1 - p1) / (n1 + 2) + p0 * (1 - p0) / (n0 + 2))))
    if len(parts) == 1:
        lo, hi = _newcombe(int(x1[0]), int(n1[0]), int(x0[0]), int(n0[0]), level)
    else:
        half = float(norm.ppf((1 + level) / 2)) * error
        lo, hi = value - half, value + half
    return Difference(int(n1.sum()), int(n0.sum()), int(x1.sum()), int(x0.sum()), value, lo, hi, error, level)


def by_segment(found: list[tuple[str, Difference]], level: float = LEVEL) -> tuple[pd.DataFrame, float]:
    """Differences of segments as a table (SEGMENTS) with the shrunken ones beside, and the chance that they differ so by luck.

    That chance is Cochran's (1954) test of one common difference; NaN with fewer than two segments.
    """
    table = pd.DataFrame(
        [(name, d.leads_with, d.leads_without, d.rate_with, d.rate_without, d.value, d.lo, d.hi, d.value, d.lo, d.hi) for name, d in found],
        columns=SEGMENTS,
    )
    if len(found) < 2:
        return table, float("nan")
    value, error = np.array([d.value for _, d in found]), np.array([d.error for _, d in found])
    mean, lo, hi = pooled(value, error, level)
    common = np.average(value, weights=error**-2)
    p = float(chi2.sf((((value - common) / error) ** 2).sum(), len(value) - 1))
    return table.assign(shrunk=mean, shrunk_lo=lo, shrunk_hi=hi), p


def pooled(value: np.ndarray, error: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values drawn towards their common mean as far as their spread allows: mean and bounds of each.

    Normal values around a normal spread, the common mean flat, the spread uniform over a grid and averaged over (Rubin 1981, "Estimation
    in parallel randomized experiments"), so that not knowing how far segments differ is part of the interval.
    """
    widest = 2 * (float(np.ptp(value)) + float(np.median(error)))
    spread = np.linspace(0, widest, SPREADS)[:, None]
    total = error**2 + spread**2
    precision = (1 / total).sum(axis=1, keepdims=True)
    centre = (value / total).sum(axis=1, keepdims=True) / precision
    evidence = -0.5 * (np.log(total) + (value - centre) ** 2 / total).sum(axis=1) - 0.5 * np.log(precision[:, 0])
    weight = np.exp(evidence - evidence.max())
    weight /= weight.sum()
    kept = error**2 / total  # share taken from the common mean
    mean = (1 - kept) * value + kept * centre
    sd = np.sqrt((1 - kept) * error**2 + kept**2 / precision)
    around, bounds = weight @ mean, []
    for share in ((1 - level) / 2, (1 + level) / 2):
        low, high = (mean - 8 * sd).min(axis=0), (mean + 8 * sd).max(axis=0)
        for _ in range(60):  # bisection on the distribution function of the mixture
            middle = (low + high) / 2
            below = weight @ ndtr((middle - mean) / sd) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        bounds.append((low + high) / 2)
    return around, bounds[0], bounds[1]


def leads_needed(rate: float, change: float, held_out: float, level: float = LEVEL, power: float = POWER) -> int:
    """Leads to draw so that a change of the converted share is found (its interval leaves 0 out) with chance `power`.

    rate: share that converts without the programme; change: points of 1, either sign; held_out: share held out. The usual formula for
    two unequal groups (Fleiss, Levin and Paik 2003, "Statistical Methods for Rates and Proportions", chapter 4), no continuity correction.
    """
    if not 0 < rate < 1 or not 0 < rate + change < 1 or change == 0:
        raise BadParameter(f"rate {rate!r} and rate + change {rate + change!r} are not two different shares between 0 and 1")
    if not 0 < held_out < 1:
        raise BadParameter(f"held_out {held_out!r} is no share between 0 and 1: without leads held out no number of leads is enough")
    with_it, mixed = rate + change, rate + (1 - held_out) * change
    chance = norm.ppf((1 + level) / 2) * np.sqrt(mixed * (1 - mixed) * (1 / held_out + 1 / (1 - held_out)))
    reached = norm.ppf(power) * np.sqrt(with_it * (1 - with_it) / (1 - held_out) + rate * (1 - rate) / held_out)
    return int(np.ceil(((chance + reached) / change) ** 2))


def _sides(part: pd.DataFrame) -> tuple[pd.DataFrame, int, pd.DataFrame, int]:
    inside = part["drawn_in"].astype("bool")
    with_it, without = part[inside], part[~inside]
    return with_it, int(with_it["converted"].sum()), without, int(without["converted"].sum())


def _both(part: pd.DataFrame) -> bool:
    return part["drawn_in"].astype("bool").nunique() == 2


def _newcombe(x1: int, n1: int, x0: int, n0: int, level: float) -> tuple[float, float]:
    p1, p0 = x1 / n1, x0 / n0
    one, two = (binomtest(x, n).proportion_ci(level, method="wilson") for x, n in ((x1, n1), (x0, n0)))
    lo = p1 - p0 - np.hypot(p1 - one.low, two.high - p0)
    hi = p1 - p0 + np.hypot(one.high - p1, p0 - two.low)
    return float(lo), float(hi)


def _notes(drawn: pd.DataFrame) -> tuple[str, ...]:
    """A lot that came out as no lot would (sample ratio mismatch) says that something else decided who is in."""
    inside, chance = drawn["drawn_in"].astype("float64"), drawn["chance"].astype("float64")
    z = float((inside - chance).sum() / np.sqrt((chance * (1 - chance)).sum()))
    if 2 * norm.sf(abs(z)) >= UNLIKELY_LOT:
        return ()
    told = f"{inside.mean():.1%} of the leads were drawn in where {chance.mean():.1%} were due"
    return (f"{told}: no lot falls so; something else decided, and the difference is not to be relied on",)


def homogeneous(rows: pd.DataFrame, by: str) -> float:
    """The chance that the shares drawn in differ so among groups by luck alone (chi-square); BadInput without the column.

    For a recorded lot whose chance nobody wrote down: groups that were drawn with different chances may not be thrown together.
    """
    if by not in rows:
        raise BadInput(f"the leads have no column {by}")
    counts = rows.groupby(by)["drawn_in"].agg(["sum", "size"]).astype("float64")
    share = float(counts["sum"].sum() / counts["size"].sum())
    if len(counts) < 2 or not 0 < share < 1:
        return float("nan")
    z = (counts["sum"] - share * counts["size"]) ** 2 / (counts["size"] * share * (1 - share))
    return float(chi2.sf(z.sum(), len(counts) - 1))
