"""How well it is told whom a treatment changes: Qini and uplift curves, calibration by tenth, what policies are worth.

Everything rests on a randomised experiment: one row per person, `treated` 0/1 by lot with a known chance (`propensity`), outcome `y`
(0/1, or a number such as money). Nobody is seen both treated and not, so figures compare groups of rows. Scores and predictions must
come from models that have not seen the rows. Equal scores are treated in part, so that the order of rows says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2, norm, rankdata

from salesml.errors import BadParameter, NotEnoughData
from salesml.evaluation import arrays
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.metrics import Measured

LEVEL = 0.95
BINS = 10
GRID = np.linspace(0, 1, 101)
RESAMPLES = 400


@dataclass(frozen=True)
class Scores:
    """Unbiased readings of each row: of its outcome if treated, and if not. Their mean over any rows chosen beforehand is fair.

    A single row's reading is mostly noise; `effect` is the difference of the two.
    """

    treated: np.ndarray
    control: np.ndarray

    @property
    def effect(self) -> np.ndarray:
        """Readings of each row's uplift."""
        return self.treated - self.control


@dataclass(frozen=True)
class Line:
    """Least squares of readings on what was predicted: `slope` with its interval, and the p-value of a slope of 0 or less.

    NaN where all predictions are alike.
    """

    slope: Measured
    p_value: float


def effect_scores(
    y: np.ndarray,
    treated: np.ndarray,
    propensity: np.ndarray | float,
    mean_treated: np.ndarray | float = 0.0,
    mean_control: np.ndarray | float = 0.0,
) -> Scores:
    """Readings by augmented inverse propensity (Robins, Rotnitzky and Zhao 1994); without means, by inverse propensity alone.

    The means are predictions of y if treated and if not by models that have not seen the row: they take out noise, and however wrong
    they are they add no bias. BadInput: a missing value, treated other than 0 and 1; BadParameter: a propensity outside 0 to 1.
    """
    outcome, w = arrays.numbers(y=y, treated=treated)
    arrays.refuse("treated", w, (w != 0) & (w != 1), "are neither 0 nor 1")
    chance = np.broadcast_to(np.asarray(propensity, dtype="float64"), w.shape)
    if not ((chance > 0) & (chance < 1)).all():
        raise BadParameter("a propensity lies outside 0 to 1: where the treatment is certain nothing can be compared")
    m1, m0 = (np.broadcast_to(np.asarray(means, dtype="float64"), w.shape) for means in (mean_treated, mean_control))
    return Scores(m1 + w * (outcome - m1) / chance, m0 + (1 - w) * (outcome - m0) / (1 - chance))


def rank_within(score: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Each score's place within its fold, 0 to 1, equal scores sharing theirs: scores of different models made comparable."""
    return pd.Series(score).groupby(folds).transform(lambda part: (rankdata(part) - 0.5) / len(part)).to_numpy()


def qini_curve(score: np.ndarray, treated: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """The Qini curve (Radcliffe 2007) at each distinct score, highest first: share of the rows, gain.

    gain: (outcomes of the treated − outcomes of the controls × treated/controls, among the rows so far) / all treated, so that it ends
    at the difference of the two groups' means. A straight line is what a random order gives. NotEnoughData without both groups.
    """
    return _Ranked(score, treated, y).qini(None)


def uplift_curve(score: np.ndarray, treated: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """The uplift curve (Devriendt, Moldovan and Verbeke 2018) at each distinct score, highest first: share of the rows, gain.

    gain: (mean of the treated − mean of the controls, among the rows so far) × share. NotEnoughData without both groups.
    """
    return _Ranked(score, treated, y).uplift(None)


def ranking(
    score: np.ndarray,
    treated: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[dict[str, Measured], pd.DataFrame]:
    """Figures of the ranking with intervals resampled by `groups`, and the Qini curve at every per cent: share, gain, lo, hi, random.

    qini: area between the Qini curve and the straight line, in outcome a head (0: no better than a random order); qini_share: over the
    area under the line: 0.2 says that, over all budgets, going by the score brings 20 % more than going at random (NaN without an average
    effect); auuc: area under the uplift curve; auuc_gain: auuc minus what a random order has.
    """
    ranked = _Ranked(score, treated, y)
    figures, curve = ranked.figures(None)
    drawn = [ranked.figures(w) for w in row_weights(len(ranked.ties), groups, resamples, seed)]
    found = {
        name: Measured(value, *percentile_interval([each[name] for each, _ in drawn], level)) for name, value in figures.items()
    }
    lo, hi = np.nanquantile([each for _, each in drawn], [(1 - level) / 2, (1 + level) / 2], axis=0)
    return found, pd.DataFrame({"share": GRID, "gain": curve, "lo": lo, "hi": hi, "random": GRID * curve[-1]})


def by_tenth(
    predicted: np.ndarray, effects: np.ndarray, groups: np.ndarray | None = None, *, bins: int = BINS, level: float = LEVEL
) -> pd.DataFrame:
    """One row per equal-count bin of predicted uplift, lowest first: bin, rows, predicted, observed (means), se, lo, hi.

    effects: `Scores.effect`. Equal predictions share a bin: with ties there may be fewer. The interval is normal, rows of a group drawn
    together (NaN with fewer than two groups in a bin).
    """
    p, e = arrays.numbers(predicted=predicted, effects=effects)
    arrays.whole("bins", bins)
    place = np.minimum((rankdata(p) - 0.5) * bins // len(p), bins - 1).astype("int64")
    codes = _codes(groups, len(p))
    rows = []
    for number in np.unique(place):
        inside = place == number
        observed, se = _mean(e[inside], codes[inside])
        rows.append((int(number), int(inside.sum()), float(p[inside].mean()), observed, se))
    table = pd.DataFrame(rows, columns=["bin", "rows", "predicted", "observed", "se"])
    half = norm.ppf((1 + level) / 2) * table["se"]
    return table.assign(lo=table["observed"] - half, hi=table["observed"] + half)


def gaps_by_chance(table: pd.DataFrame) -> float:
    """How probable gaps at least as large as those of `by_tenth` are if the predictions are true on average (chi-square)."""
    known = table[table["se"] > 0]
    return float(chi2.sf((((known["observed"] - known["predicted"]) / known["se"]) ** 2).sum(), len(known))) if len(known) else float("nan")


def line(
    predicted: np.ndarray,
    effects: np.ndarray,
    folds: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    *,
    level: float = LEVEL,
) -> Line:
    """Readings of the effect on predicted uplift: the best linear predictor of Chernozhukov, Demirer, Duflo and Fernández-Val (2018).

    A slope of 1: the predicted differences are true in size; above 0: people do differ in the effect, and the predictions tell it (the
    p-value is one-sided). Both are taken from their mean within `folds`, where each fold had its own model. Standard errors are robust
    to unequal variance and to what rows of a group share.
    """
    p, e = arrays.numbers(predicted=predicted, effects=effects)
    parts = np.zeros(len(p), dtype="int64") if folds is None else _codes(folds, len(p))
    p, e = _centred(p, parts), _centred(e, parts)
    spread = float(p @ p)
    if spread <= 1e-16 * len(p) * max(float(np.abs(predicted).max()), 1e-300) ** 2:
        return Line(Measured(*[float("nan")] * 3), float("nan"))
    slope = float(p @ e) / spread
    pulls = np.bincount(_codes(groups, len(p)), p * (e - slope * p))
    se = float(np.sqrt((pulls**2).sum())) / spread
    half = norm.ppf((1 + level) / 2) * se
    return Line(Measured(slope, slope - half, slope + half), float(norm.sf(slope / se)) if se > 0 else float("nan"))


def top_share(score: np.ndarray, share: float, folds: np.ndarray | None = None) -> np.ndarray:
    """How far each row is treated (0 to 1) when the highest `share` of each fold is: rows tied at the edge are treated in part."""
    if not 0 <= share <= 1:
        raise BadParameter(f"share {share!r} is not a share from 0 to 1")
    values = arrays.numbers(score=score)[0]
    parts = np.zeros(len(values), dtype="int64") if folds is None else _codes(folds, len(values))
    treat = np.zeros(len(values))
    for fold in np.unique(parts):
        inside = np.flatnonzero(parts == fold)
        _, ties, counts = np.unique(-values[inside], return_inverse=True, return_counts=True)
        left = share * len(inside) - (np.cumsum(counts) - counts)
        treat[inside] = np.clip(left / counts, 0, 1)[ties]
    return treat


def policies(
    treat: Mapping[str, np.ndarray],
    scores: Scores,
    groups: np.ndarray | None = None,
    *,
    worth: float = 1.0,
    cost: float = 0.0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """What policies bring a head, each given by how far it treats each row (0 to 1); all on the same resamples of `groups`.

    Grain: one row per policy: policy, share (treated), value (mean outcome a head), gain (over treating nobody), lo, hi,
    per_treatment (gain over share), net (worth × gain − cost × share), net_lo, net_hi; and against treating as many at random: more,
    more_lo, more_hi (outcome a head). worth: of a unit of outcome, cost: of a treatment, in one currency. A random policy's own
    gain is share × average effect.
    """
    effect, base = scores.effect, float(scores.control.mean())
    names, chosen = list(treat), np.array([np.asarray(each, dtype="float64") for each in treat.values()])
    shares = chosen.mean(axis=1)
    columns = np.stack([*(chosen * effect), *chosen, effect], axis=1)
    drawn = np.array([w @ columns / w.sum() for w in row_weights(len(effect), groups, resamples, seed)])
    gains, treated, average = drawn[:, : len(names)], drawn[:, len(names) : -1], drawn[:, -1:]
    nets, mores = worth * gains - cost * treated, gains - treated * average
    rows = []
    for place, name in enumerate(names):
        gain, share = float((chosen[place] * effect).mean()), float(shares[place])
        more = gain - share * float(effect.mean())
        if np.ptp(chosen[place]) == 0:  # everybody treated alike is what a lot is: no rounding errors are to be shown
            more, mores[:, place] = 0.0, 0.0
        rows.append(
            {
                "policy": name, "share": share, "value": base + gain,
                **_told("gain", gain, gains[:, place], level), "per_treatment": gain / share if share else float("nan"),
                **_told("net", worth * gain - cost * share, nets[:, place], level), **_told("more", more, mores[:, place], level),
            }
        )  # fmt: skip
    return pd.DataFrame(rows).rename(columns={"gain_lo": "lo", "gain_hi": "hi"})


def policy_difference(
    first: np.ndarray,
    second: np.ndarray,
    scores: Scores,
    groups: np.ndarray | None = None,
    *,
    worth: float = 1.0,
    cost: float = 0.0,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measured:
    """What the first policy brings a head beyond the second, cost of treatments taken off; interval by paired resampling of `groups`.

    Policies say how far each row is treated (0 to 1). worth: of a unit of outcome, cost: of a treatment.
    """
    each = (np.asarray(first, dtype="float64") - np.asarray(second, dtype="float64")) * (worth * scores.effect - cost)
    drawn = [float(w @ each / w.sum()) for w in row_weights(len(each), groups, resamples, seed)]
    return Measured(float(each.mean()), *percentile_interval(drawn, level))


class _Ranked:
    """Rows gathered by equal score, highest first, ready to be weighed again and again."""

    def __init__(self, score: np.ndarray, treated: np.ndarray, y: np.ndarray) -> None:
        values, w, self.y = arrays.numbers(score=score, treated=treated, y=y)
        arrays.refuse("treated", w, (w != 0) & (w != 1), "are neither 0 nor 1")
        if not 0 < w.sum() < len(w):
            raise NotEnoughData("all rows are treated, or none: both groups are needed to tell an effect")
        self.treated = w == 1
        levels, self.ties = np.unique(-values, return_inverse=True)
        self.count = len(levels)

    def qini(self, weights: np.ndarray | None) -> pd.DataFrame:
        n1, n0, r1, r0 = self._so_far(weights)
        gain = r1 - r0 * np.divide(n1, n0, out=np.zeros(len(n1)), where=n0 > 0)
        return _from_nothing((n1 + n0) / (n1[-1] + n0[-1]), gain / n1[-1])

    def uplift(self, weights: np.ndarray | None) -> pd.DataFrame:
        n1, n0, r1, r0 = self._so_far(weights)
        means = [np.divide(r, n, out=np.zeros(len(n)), where=n > 0) for r, n in ((r1, n1), (r0, n0))]
        share = (n1 + n0) / (n1[-1] + n0[-1])
        return _from_nothing(share, (means[0] - means[1]) * share)

    def figures(self, weights: np.ndarray | None) -> tuple[dict[str, float], np.ndarray]:
        qini, uplift = self.qini(weights), self.uplift(weights)
        under, auuc = qini["gain"].iloc[-1] / 2, _area(uplift)
        above = _area(qini) - under
        found = {
            "qini": above, "qini_share": above / under if under else np.nan,
            "auuc": auuc, "auuc_gain": auuc - uplift["gain"].iloc[-1] / 2,
        }  # fmt: skip
        return {name: float(value) for name, value in found.items()}, np.interp(GRID, qini["share"], qini["gain"])

    def _so_far(self, weights: np.ndarray | None) -> list[np.ndarray]:
        """Treated, controls, and their outcomes among the rows down to each score."""
        w = np.ones(len(self.y)) if weights is None else weights
        parts = (w * self.treated, w * ~self.treated)
        sums = [*parts, *(part * self.y for part in parts)]
        return [np.cumsum(np.bincount(self.ties, each, self.count)) for each in sums]


def _from_nothing(share: np.ndarray, gain: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"share": np.r_[0.0, share], "gain": np.r_[0.0, gain]})


def _area(curve: pd.DataFrame) -> float:
    return float(np.trapezoid(curve["gain"], curve["share"]))


def _codes(groups: np.ndarray | None, rows: int) -> np.ndarray:
    """A code per row: of its group, or its own."""
    return np.arange(rows) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]


def _centred(values: np.ndarray, parts: np.ndarray) -> np.ndarray:
    return values - (np.bincount(parts, values) / np.bincount(parts))[parts]


def _mean(values: np.ndarray, codes: np.ndarray) -> tuple[float, float]:
    """The mean and its standard error, values of one code drawn together."""
    mean, places = float(values.mean()), np.unique(codes, return_inverse=True)[1]
    sums = np.bincount(places, values - mean)
    if len(sums) < 2:
        return mean, float("nan")
    return mean, float(np.sqrt((sums**2).sum() * len(sums) / (len(sums) - 1))) / len(values)


def _told(name: str, value: float, drawn: np.ndarray, level: float) -> dict[str, float]:
    lo, hi = percentile_interval(drawn, level)
    return {name: value, f"{name}_lo": lo, f"{name}_hi": hi}
