"""A head of the competing-risks model: log-odds per snapshot and period, of boosted trees and an additive line together.

The line finds what adds up over few outcomes, a rep here and a product there; the trees what does not add up. The mean of
both was nearer to the truth of simulated companies than either (decision 0008), but both are held back, and where much closes, in
the rush of a quarter's end, what is likeliest to close comes out too low: there their mean is bent to what happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from catboost import CatBoost, Pool

from salesml.models.hazard_line import IN_RUSH, Line, band
from salesml.models.hazard_trees import raw
from salesml.models.laplace import laplace

STRAIGHT = np.array([0.0, 1.0, 0.0])
HELD = 25.0
"""Outcomes that hold the bend to none."""


@dataclass(frozen=True)
class Asked:
    """Snapshots as the heads take them: `rows` (snapshots × periods) for the trees, terms and days left in the quarter for the line."""

    rows: Pool
    terms: np.ndarray
    left: np.ndarray


@dataclass(frozen=True)
class Laid:
    """Rows laid out in parts, to be asked about several times; `index` is that of the rows."""

    parts: tuple[Asked, ...]
    index: pd.Index

    def __len__(self) -> int:
        return len(self.index)


def bend(log_odds: np.ndarray, answers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The curve (constant, share of the log-odds, of their square) that lays log-odds on what happened; it rises from -8 to 8."""
    if not weights.sum():
        return STRAIGHT
    middle = float(np.average(log_odds, weights=weights))
    powers = np.vander(log_odds - middle, 3, increasing=True)
    moved = laplace(powers, answers, weights, np.array([middle, 1.0, 0.0]), np.full(3, HELD))[0]
    constant, slope, square = moved[0] - moved[1] * middle + moved[2] * middle**2, moved[1] - 2 * moved[2] * middle, moved[2]
    slope = max(slope, 0.5)
    return np.array([constant, slope, np.clip(square, -slope / 16, slope / 16)])


@dataclass(frozen=True)
class Head:
    """The two parts, each with half of the log-odds, and the `bend` of their sum in the rush of a quarter's end."""

    trees: CatBoost
    line: Line
    bend: np.ndarray

    def log_odds(self, asked: Asked, threads: int) -> np.ndarray:
        """Snapshots × periods."""
        trees = raw(self.trees, asked.rows, threads).reshape(asked.left.shape)
        return self.bent((trees + self.line.log_odds(asked.terms, asked.left)) / 2, asked.left)

    def bent(self, log_odds: np.ndarray, left: np.ndarray) -> np.ndarray:
        """Log-odds of the two parts, snapshots × periods with so many days left in the quarter, bent."""
        if np.array_equal(self.bend, STRAIGHT):
            return log_odds
        constant, slope, square = self.bend
        rush = band(np.arange(left.shape[1]), left) == IN_RUSH
        return np.where(rush, constant + log_odds * (slope + log_odds * square), log_odds)
