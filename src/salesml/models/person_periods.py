"""Person-periods: the rows the heads of the competing-risks model learn from and answer for.

A head's matrix has the columns of the snapshot, then the period, then the share of it in the last two weeks of a quarter.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from salesml.models.hazard_trees import Growth, tune
from salesml.models.onehot import OneHot
from salesml.models.spells import CAUSES, Known, at_risk, known_at, rush_share

HEADS = ("closes", "won", "no_decision")
QUARTER = "days_to_quarter_end"
"""The feature that tells where in the quarter a snapshot lies; without it periods do not know of quarter ends."""
TUNED_ROWS = 30_000
"""Person-periods used to choose settings; of more, whole snapshots are drawn at random."""
LAST = 0.15  # of the time: the last part, on which settings are tried


class PersonPeriods:
    """The snapshots as a matrix, and rows of each head drawn from it."""

    def __init__(self, design: OneHot, matrix: np.ndarray, edges: np.ndarray, rng: np.random.Generator) -> None:
        self.design, self.matrix, self.edges, self.rng = design, matrix, edges, rng

    def rows(
        self, head: str, known: Known, most: int, among: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Matrix, answers and snapshot of the person-periods (closes) or closed snapshots (won, no_decision) of a head."""
        which = np.arange(len(known.days)) if among is None else among
        if head == "closes":
            size = np.searchsorted(self.edges, known.days[which], side="right").clip(1, len(self.edges) - 1)
            which = self._drawn(which, most / max(1, size.sum()))
            snapshot, period, answers = at_risk(known, self.edges, which)
        else:
            which = which[known.closed[which] & ((head == "won") | (known.cause[which] > 0))]
            snapshot = self._drawn(which, most / max(1, len(which)))
            period = (np.searchsorted(self.edges, known.days[snapshot], side="right") - 1).clip(0, len(self.edges) - 2)
            answers = (known.cause[snapshot] == CAUSES.index(head)).astype("int64")
        matrix = one_period(self.design, self.matrix[snapshot], self.edges, period)
        return matrix, answers, snapshot

    def _drawn(self, which: np.ndarray, share: float) -> np.ndarray:
        return which if share >= 1 else which[self.rng.random(len(which)) < share]


def tuned(
    frame: PersonPeriods, spells: pd.DataFrame, cutoff: pd.Timestamp, trials: int, seed: int, threads: int
) -> dict[str, Growth]:
    """Settings by head, tried on snapshots of the last part of the time; earlier ones are known as of its beginning."""
    split = cutoff - LAST * (cutoff - spells["as_of"].min())
    late = (spells["as_of"] >= split).to_numpy()
    then, now = known_at(spells, split), known_at(spells, cutoff)
    found = {}
    for head in HEADS:
        early = frame.rows(head, then, TUNED_ROWS, np.flatnonzero(~late))
        later = frame.rows(head, now, TUNED_ROWS, np.flatnonzero(late))
        found[head] = tune(early[:2], later[:2], trials=trials, seed=seed, threads=threads)
    return found


def one_period(design: OneHot, matrix: np.ndarray, edges: np.ndarray, period: np.ndarray) -> np.ndarray:
    """The matrix with two more columns: the period, and the share of it in the last two weeks of a quarter."""
    if QUARTER in design.features:
        column = int(np.searchsorted(design.owners, design.features.index(QUARTER)))
        rush = rush_share(matrix[:, column].astype("float64"), edges[period], edges[period + 1])
    else:
        rush = np.full(len(matrix), np.nan)
    return np.column_stack([matrix, period.astype("float32"), rush.astype("float32")])


def with_periods(design: OneHot, matrix: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Every row once per period."""
    periods = len(edges) - 1
    return one_period(design, np.repeat(matrix, periods, axis=0), edges, np.tile(np.arange(periods), len(matrix)))
