"""The chance of a lead on the day it comes in, learnt from leads of which many have not had their time yet.

log-odds = level of the day + effects of where the lead comes from and who it is. Three things that tables of leads need:

- **Nobody has failed yet who came last week.** A lead that is open counts as not converted only in part: by the share of conversions
  that come within the days it has been watched (delayed feedback: Chapelle 2014). That share is told from converted leads alone, each
  beside those that could have been seen to convert as late (right truncation: Lagakos, Barraj and De Gruttola 1988), so that it does
  not depend on how many convert.
- **The level moves.** It is a random walk in steps of four weeks, and how far it moves is learnt (West, Harrison and Migon 1985); a
  lead is scored at the newest level. Effects are those within a level: old leads of a time when hardly any converted tell little.
- **Most values are rare.** The effects of a feature are drawn toward 0 as strongly as the data say (evidence, MacKay 1992), one penalty
  a feature and one a pair of features (a landing page by source, say).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import row_weights
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import LOGIT_LIMIT, held
from salesml.models.columns import MISSING, numbers, select, text_of
from salesml.models.design import Design
from salesml.models.laplace import laplace
from salesml.models.scorer import read_model, write_model

AGE = "age_days"
STEP_DAYS = 28
CLIP = 3.0  # robust standard deviations
RARE = 8  # a level of fewer leads shares a column with the other rare ones
LEAST_CONVERTED = 10
ROUNDS, LAST_STEPS = 10, 20
FIRST_PENALTY = 10.0
SHAPE, RATE = 1.0, 0.1
"""Gamma prior of a penalty: where the data say little it stays near 10 (effects of about 0.3), and effects are not found to be 0 for
want of data (Chung, Rabe-Hesketh, Dorie, Gelman and Liu 2013). On simulated tables of 800 to 4,000 leads it lowers the log loss."""
LATE = 0.02
"""The odds of a lead older than the horizon, as a share of its odds on the first day: some convert later than nine in ten."""


@dataclass(frozen=True)
class Watched:
    """What is known of leads at an instant, one element a lead.

    arrived: days before the instant at which it came (so 0 is now). converted: days from arrival to conversion, NaN where none is known.
    ended: whether it ended otherwise, so that it cannot convert any more.
    """

    arrived: np.ndarray
    converted: np.ndarray
    ended: np.ndarray

    def within(self, days: float) -> np.ndarray:
        """1.0 for leads known to have converted within so many days, else 0.0."""
        return (self.converted < days).astype("float64")


@dataclass(frozen=True)
class Timing:
    """Of the conversions that come within the horizon the share that has come by a day: `share` at `days`, linear in between."""

    days: np.ndarray
    share: np.ndarray

    @classmethod
    def fit(cls, leads: Watched, horizon: float) -> Timing:
        """From leads known to have converted within the horizon. Raises NotEnoughData below 10 of them."""
        seen = leads.converted < horizon
        days, watched = np.sort(leads.converted[seen]), np.sort(leads.arrived[seen])
        if len(days) < LEAST_CONVERTED:
            raise NotEnoughData(
                f"{len(days)} leads are known to have converted within {horizon:g} days; at least {LEAST_CONVERTED} are needed"
            )
        moments, counts = np.unique(days, return_counts=True)
        # of those that came by this day and were watched as long, the share that came on it
        could = np.searchsorted(days, moments, side="right") - np.searchsorted(watched, moments, side="left")
        on_it = np.minimum(counts / np.maximum(could, counts), 1.0)
        by = np.append(np.cumprod((1 - on_it)[:0:-1])[::-1], 1.0)
        return cls(np.r_[0.0, moments, horizon], np.r_[0.0, by, 1.0])

    def by(self, days: np.ndarray) -> np.ndarray:
        """The share that has come by each number of days."""
        return np.interp(days, self.days, self.share)


def counted(leads: Watched, horizon: float, timing: Timing) -> np.ndarray:
    """How much of a lead each row is: 1 where its outcome is known, else the share of conversions that came in the days it was watched."""
    known = (leads.converted < horizon) | leads.ended
    return np.where(known, 1.0, timing.by(np.minimum(leads.arrived, horizon)))


class ArrivalLine:
    """P(a lead converts within `horizon` days of its arrival), one that is so many days old and has not yet: less, by what is left."""

    kind = "arrival_line"

    def __init__(
        self, design: Design, pairs: Sequence[tuple[str, str]], centres: np.ndarray, coefficients: np.ndarray, pooled: float,
        timing: Timing, horizon: float,
    ) -> None:  # fmt: skip
        """`coefficients`: one row a model (the main one first, then the bag): the newest level, then one a column of the design."""
        self.design, self.pairs, self.centres, self.coefficients, self.pooled = design, tuple(pairs), centres, coefficients, pooled
        self.timing, self.horizon = timing, horizon
        own = [name for name in design.features if name not in {_name(pair) for pair in self.pairs}]
        self.features = (*own, AGE)
        self.categorical = tuple(name for name in own if name in design.levels)

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        leads: Watched,
        *,
        horizon: float,
        categorical: Sequence[str] = (),
        pairs: Sequence[tuple[str, str]] = (),
        members: int = 10,
        seed: int = 0,
    ) -> ArrivalLine:
        """Fit on one row of X per lead, as it was on arrival, and what is known of the leads now; `members`: refits for `interval`.

        Columns of one value only are left out, as are pairs of them. Raises NotEnoughData below 10 conversions within the horizon, or
        where nothing varies.
        """
        y, timing = leads.within(horizon), Timing.fit(leads, horizon)
        weights = counted(leads, horizon, timing)
        names = [str(name) for name in X.columns if name != AGE and X[name].nunique(dropna=False) > 1]
        if not names:
            raise NotEnoughData("every column has one value only; a model needs one that varies")
        pairs = [pair for pair in pairs if set(pair) <= set(names)]
        frame = _paired(X[names], pairs)
        kinds = [name for name in frame if name in set(categorical) or name in {_name(pair) for pair in pairs}]
        design = Design.fit(frame, kinds, at_least=RARE, clip=CLIP, robust=True)
        matrix = design.matrix(frame)
        centres = np.average(matrix, axis=0, weights=weights)
        rows = np.column_stack([np.ones(len(X)), matrix - centres, _steps(leads.arrived)])
        sharing = np.r_[-1, design.owners, np.full(rows.shape[1] - 1 - matrix.shape[1], len(design.features))]
        effects, penalties = _fitted(rows, y, weights, sharing)
        found = [effects]
        for drawn in row_weights(len(X), None, members, seed):
            if (drawn * y).sum() > 1:
                found.append(_mode(rows, y, weights * drawn, effects, penalties))
        coefficients = np.array([_at_the_end(one, matrix.shape[1]) for one in found])
        pooled = pooled_variance(coefficients[1:, 1:] @ (matrix - centres).T + coefficients[1:, :1]) if len(found) > 2 else 0.0
        return cls(design, pairs, centres, coefficients, pooled, timing, horizon)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The chance to convert within the horizon of the arrival, given that the lead has not in its first `age_days` days."""
        return expit(self._logits(X)[0])

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the chance from refits to leads drawn again."""
        logits = self._logits(X)
        return bag_interval(logits[0], logits[1:], level, self.pooled)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The average lead's log-odds at the newest level, and effects against it; a pair's effect is half that of each of the two."""
        parts = self.design.by_feature(self._centred(X) * self.coefficients[0, 1:])
        effects = dict(zip(self.design.features, parts.T, strict=True))
        for pair in self.pairs:
            shared = effects.pop(_name(pair)) / 2
            effects |= {name: effects[name] + shared for name in pair}
        columns = np.column_stack([*(effects[name] for name in self.features[:-1]), self._aged(X)])
        base = float(np.clip(self.coefficients[0, 0], -LOGIT_LIMIT, LOGIT_LIMIT))
        return base, pd.DataFrame(held(base, columns, LOGIT_LIMIT), index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        content: dict[str, Any] = {
            "design": self.design.to_json(), "pairs": [list(pair) for pair in self.pairs], "centres": self.centres.tolist(),
            "coefficients": self.coefficients.tolist(), "pooled": self.pooled, "horizon": self.horizon,
            "timing": {"days": self.timing.days.tolist(), "share": self.timing.share.tolist()},
            "features": list(self.features), "categorical": list(self.categorical),
        }  # fmt: skip
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> ArrivalLine:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        timing = Timing(np.array(c["timing"]["days"]), np.array(c["timing"]["share"]))
        pairs = [(first, second) for first, second in c["pairs"]]
        design, centres, coefficients = Design.from_json(c["design"], CLIP), np.array(c["centres"]), np.array(c["coefficients"])
        return cls(design, pairs, centres, coefficients, c["pooled"], timing, c["horizon"])

    def _logits(self, X: pd.DataFrame) -> np.ndarray:
        # summed row by row: a lead's number does not depend on which others are asked about
        centred = self._centred(X)
        logits = np.array([(centred * one[1:]).sum(axis=1) + one[0] for one in self.coefficients])
        return np.clip(logits + self._aged(X), -LOGIT_LIMIT, LOGIT_LIMIT)

    def _centred(self, X: pd.DataFrame) -> np.ndarray:
        return self.design.matrix(_paired(select(X, self.features), self.pairs)) - self.centres

    def _aged(self, X: pd.DataFrame) -> np.ndarray:
        """What the days without a conversion take off the log-odds: p (1 - F) / (1 - p) are the odds of who has not yet, F by now."""
        age = np.nan_to_num(numbers(select(X, self.features)[AGE]), nan=0.0)
        return np.log(np.maximum(1 - self.timing.by(np.clip(age, 0.0, self.horizon)), LATE))


def _name(pair: tuple[str, str]) -> str:
    return " × ".join(pair)


def _paired(X: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """The columns and one more for each pair: both values as one."""
    def text(name: str) -> pd.Series:
        return X[name].astype("object").map(lambda value: MISSING if pd.isna(value) else text_of(value))

    return X.assign(**{_name(pair): text(pair[0]) + " × " + text(pair[1]) for pair in pairs})


def _steps(arrived: np.ndarray) -> np.ndarray:
    """A column for each step of the level: 1 for leads that came after it, from the oldest to the newest."""
    count = int(np.max(arrived) // STEP_DAYS)
    return (arrived[:, None] < STEP_DAYS * np.arange(count, 0, -1)[None, :]).astype("float64")


def _at_the_end(effects: np.ndarray, columns: int) -> np.ndarray:
    """The newest level, and the effects of the design's columns."""
    return np.r_[effects[0] + effects[1 + columns :].sum(), effects[1 : 1 + columns]]


def _fitted(rows: np.ndarray, y: np.ndarray, weights: np.ndarray, sharing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects and penalties, in turns; columns of one number in `sharing` share a penalty, the first has none."""
    groups = [np.flatnonzero(sharing == number) for number in np.unique(sharing)[1:]]
    penalties, effects = np.full(rows.shape[1], FIRST_PENALTY), np.zeros(rows.shape[1])
    effects[0], penalties[0] = logit((weights @ y + 0.5) / (weights.sum() + 1)), 1e-6
    for _ in range(ROUNDS):
        effects, curvature, _ = laplace(rows, y, weights, _prior(effects), penalties, start=effects, steps=2)
        spread = np.diag(np.linalg.inv(curvature))
        for group in groups:
            told = max(len(group) - penalties[group] @ spread[group], 0.0)
            penalties[group] = (told + 2 * SHAPE) / (effects[group] @ effects[group] + 2 * RATE)
    return _mode(rows, y, weights, effects, penalties), penalties


def _mode(rows: np.ndarray, y: np.ndarray, weights: np.ndarray, start: np.ndarray, penalties: np.ndarray) -> np.ndarray:
    return laplace(rows, y, weights, _prior(start), penalties, start=start, steps=LAST_STEPS)[0]


def _prior(effects: np.ndarray) -> np.ndarray:
    """Where effects are drawn to: 0, the first level to where it is."""
    return np.append(effects[0], np.zeros(len(effects) - 1))
