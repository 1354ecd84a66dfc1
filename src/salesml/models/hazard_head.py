"""A head of the competing-risks model: log-odds per snapshot and period, of boosted trees and an additive line together.

The line finds what adds up over few outcomes, a rep here and a product there; the trees what does not add up. The mean of
both was nearer to the truth of simulated companies than either (decision 0008).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from catboost import CatBoost, Pool

from salesml.models.hazard_line import Line
from salesml.models.hazard_trees import raw


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


@dataclass(frozen=True)
class Head:
    """The two parts; each has half of the log-odds."""

    trees: CatBoost
    line: Line

    def log_odds(self, asked: Asked, threads: int) -> np.ndarray:
        """Snapshots × periods."""
        trees = raw(self.trees, asked.rows, threads).reshape(asked.left.shape)
        return (trees + self.line.log_odds(asked.terms, asked.left)) / 2
