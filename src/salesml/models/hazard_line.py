"""An additive logistic regression of a yes/no answer by periods: the part of a head that boosted trees learn slowly.

log-odds = intercept + Σ effects of the snapshot's features + effect of the period + effect of the week of the quarter. How strongly the
effects of a feature are drawn toward 0 is learnt from the data (evidence of MacKay 1992), one penalty a feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import logit

from salesml.models.design import Design
from salesml.models.laplace import laplace

CLIP = 3.0  # robust standard deviations
RARE = 20
NEAR, FAR = 2, 6  # periods
RUSH = 14.0  # days before the end of a quarter
BANDS, IN_RUSH = 4, 0
"""Near periods in the rush of a quarter's end, other near ones, those before FAR, and the rest: what a snapshot tells of the next
two weeks is not what it tells of the far future."""
WEEKS = 13
WEEK = np.eye(WEEKS + 1)[:, :WEEKS]
ROUNDS = 8
FIRST_PENALTY, LEAST_PENALTY, MOST_PENALTY = 10.0, 1.0, 1e6


@dataclass(frozen=True)
class Terms:
    """Snapshots as the columns of a line: numbers scaled, categories as columns, both centred on the snapshots learnt from."""

    design: Design
    centres: np.ndarray
    periods: int

    @classmethod
    def fit(cls, X: pd.DataFrame, categorical: Sequence[str], periods: int) -> Terms:
        """Learn scales, levels and centres; a level of fewer than 20 snapshots shares a column with others."""
        design = Design.fit(X, categorical, at_least=RARE, clip=CLIP, robust=True)
        return cls(design, design.matrix(X).mean(axis=0), periods)

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """One row per row of X."""
        return self.design.matrix(X) - self.centres

    def by_period(self, terms: np.ndarray, period: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Rows of person-periods: 1, the terms of their snapshot, the period and the week of the quarter as columns of 0 and 1."""
        return np.column_stack([np.ones(len(terms)), terms, np.eye(self.periods)[period], WEEK[_week(left)]])

    @property
    def sharing(self) -> np.ndarray:
        """Which columns of `by_period` share a penalty: those of a feature, the periods, the weeks; the first, none."""
        owners = self.design.owners
        return np.concatenate([[-3], owners, np.full(self.periods, -2), np.full(WEEKS, -1)])

    def to_json(self) -> dict[str, Any]:
        """Plain lists and dicts."""
        return {"design": self.design.to_json(), "centres": self.centres.tolist(), "periods": self.periods}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Terms:
        """What `to_json` gave."""
        return cls(Design.from_json(content["design"], CLIP), np.array(content["centres"]), content["periods"])


@dataclass(frozen=True)
class Lived:
    """Person-periods as a line takes them: `columns` as `Terms.by_period` gives them, their bands, and how much of an independent
    outcome each is.
    """

    columns: np.ndarray
    bands: np.ndarray
    weights: np.ndarray

    def parts(self) -> list[np.ndarray]:
        """The rows each band learns from: its own, or all where it has none."""
        own = [np.flatnonzero(self.bands == number) for number in range(BANDS)]
        return [part if len(part) else np.arange(len(self.bands)) for part in own]


@dataclass(frozen=True)
class Line:
    """Effects of the columns of `Terms.by_period` and their penalties, one row of each per band."""

    effects: np.ndarray
    penalties: np.ndarray
    periods: int

    @classmethod
    def fit(cls, lived: Lived, y: np.ndarray, terms: Terms) -> Line:
        """Fit effects and penalties in turns."""
        parts = [_fitted(lived.columns[part], y[part], lived.weights[part], terms.sharing) for part in lived.parts()]
        effects, penalties = (np.array(found) for found in zip(*parts, strict=True))
        return cls(effects, penalties, terms.periods)

    def refitted(self, lived: Lived, y: np.ndarray, drawn: np.ndarray) -> Line:
        """The same penalties on rows that were drawn so many times each, from where this line is."""
        weights, parts = lived.weights * drawn, enumerate(lived.parts())
        effects = [
            _moved(lived.columns[part], y[part], weights[part], self.effects[n], self.penalties[n])[0] for n, part in parts
        ]
        return Line(np.array(effects), self.penalties, self.periods)

    def log_odds_of(self, lived: Lived) -> np.ndarray:
        """One per person-period."""
        return (lived.columns * self.effects[lived.bands]).sum(axis=1)

    def log_odds(self, terms: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Snapshots × periods, from the snapshots' terms and the days left in the quarter of every period."""
        # summed row by row: a snapshot's number does not depend on which others are asked about
        sums = np.stack([(terms * effects).sum(axis=1) for effects in self._terms], axis=1)
        return np.take_along_axis(sums, self._band(left), axis=1) + self.base(left)

    def base(self, left: np.ndarray) -> np.ndarray:
        """Log-odds of the average snapshot: snapshots × periods."""
        band, weeks = self._band(left), np.column_stack([self.effects[:, -WEEKS:], np.zeros(BANDS)])
        return self.effects[band, 0] + self.effects[band, self._first + np.arange(self.periods)] + weeks[band, _week(left)]

    def by_feature(self, terms: np.ndarray, left: np.ndarray, design: Design) -> np.ndarray:
        """Effects of the snapshots' features: snapshots × periods × features."""
        parts = np.stack([design.by_feature(terms * effects) for effects in self._terms], axis=1)
        return np.take_along_axis(parts, self._band(left)[:, :, None], axis=1)

    def _band(self, left: np.ndarray) -> np.ndarray:
        return band(np.arange(self.periods), left)

    @property
    def _terms(self) -> np.ndarray:
        return self.effects[:, 1 : self._first]

    @property
    def _first(self) -> int:
        """The column of the first period."""
        return self.effects.shape[1] - WEEKS - self.periods


def band(period: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The band (0 to 3) of periods that start with so many days left in their quarter."""
    near = np.where(left <= RUSH, 0, 1)
    return np.where(period < NEAR, near, np.where(period < FAR, 2, 3))


def _week(left: np.ndarray) -> np.ndarray:
    """Full weeks left after the one of that day: 0 in the last week of the quarter; WEEKS where it is unknown."""
    weeks = np.clip(np.ceil(left / 7) - 1, 0, WEEKS - 1)
    return np.where(np.isnan(left), WEEKS, np.nan_to_num(weeks)).astype("int64")


def _fitted(rows: np.ndarray, y: np.ndarray, weights: np.ndarray, sharing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Effects and penalties of one band."""
    groups = [np.flatnonzero(sharing == group) for group in np.unique(sharing)[1:]]
    penalties = np.full(rows.shape[1], FIRST_PENALTY)
    effects = np.zeros(len(penalties))
    effects[0], penalties[0] = logit((weights @ y + 0.5) / (weights.sum() + 1)), 1e-6
    for _ in range(ROUNDS):
        effects, curvature = _moved(rows, y, weights, effects, penalties)
        spread = np.diag(np.linalg.inv(curvature))
        for group in groups:
            told = max(len(group) - penalties[group] @ spread[group], 0.05)
            penalties[group] = np.clip(told / max(effects[group] @ effects[group], 1e-9), LEAST_PENALTY, MOST_PENALTY)
    return _moved(rows, y, weights, effects, penalties)[0], penalties


def _moved(
    rows: np.ndarray, y: np.ndarray, weights: np.ndarray, effects: np.ndarray, penalties: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Effects a Newton step nearer to the best ones, and the curvature where they were."""
    centre = np.append(effects[0], np.zeros(rows.shape[1] - 1))
    return laplace(rows, y, weights, centre, penalties, start=effects, steps=1)[:2]
