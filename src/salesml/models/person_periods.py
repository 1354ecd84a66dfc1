"""Person-periods: the rows the heads of the competing-risks model learn from and answer for.

A head's matrix has the columns of the snapshot, then the period, then the share of it in the last two weeks of a quarter.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.models.hazard_line import BANDS, Line, Lived, Terms, band
from salesml.models.hazard_trees import Growth, tune
from salesml.models.onehot import OneHot
from salesml.models.spells import CAUSES, Known, at_risk, known_at, quarter_left

HEADS = ("closes", "won", "no_decision")
QUARTER = "days_to_quarter_end"
"""The feature that tells where in the quarter a snapshot lies; without it periods do not know of quarter ends."""
TUNED_ROWS = 30_000
"""Person-periods used to choose settings, drawn at random of more."""
LAST = 0.15  # of the time: the last part, on which settings are tried


@dataclass(frozen=True)
class Rows:
    """Person-periods of a head: the trees' matrix, the answers, and which snapshot each row is of."""

    matrix: np.ndarray
    answers: np.ndarray
    snapshot: np.ndarray

    @property
    def told(self) -> bool:
        """Whether both answers are there."""
        return bool(len(self.answers)) and bool(np.ptp(self.answers))


class PersonPeriods:
    """Snapshots of `spells` as a matrix and as terms of a line, and rows of each head drawn from them."""

    def __init__(
        self, design: OneHot, X: pd.DataFrame, terms: Terms, spells: pd.DataFrame, edges: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.design, self.terms, self.edges, self.rng = design, terms, edges, rng
        self.matrix, self.columns = design.matrix(X), terms.matrix(X)
        self.deals = pd.factorize(spells["opportunity_id"])[0]
        self.days = (spells["as_of"] - spells["as_of"].min()).dt.total_seconds().to_numpy() / 86_400

    def rows(self, head: str, known: Known, most: int, among: np.ndarray | None = None) -> Rows:
        """Rows of the person-periods (closes) or closed snapshots (won, no_decision) of a head."""
        which = np.arange(len(known.days)) if among is None else among
        if head == "closes":
            snapshot, period, answers = at_risk(known, self.edges, which)
            kept = self._kept(snapshot, period, most)
            snapshot, period, answers = snapshot[kept], period[kept], answers[kept]
        else:
            which = which[known.closed[which] & ((head == "won") | (known.cause[which] > 0))]
            snapshot = which[self.rng.random(len(which)) * len(which) < most]
            period = (np.searchsorted(self.edges, known.days[snapshot], side="right") - 1).clip(0, len(self.edges) - 2)
            answers = (known.cause[snapshot] == CAUSES.index(head)).astype("int64")
        return Rows(one_period(self.design, self.matrix, self.edges, period, snapshot), answers, snapshot)

    def for_line(self, rows: Rows) -> Lived:
        """The same rows as a line takes them. The same week of a deal's life is a period of several snapshots, and counts once."""
        period, left = rows.matrix[:, -2].astype("int64"), rows.matrix[:, -1]
        bands, weights = band(period, left), np.ones(len(rows.answers))
        week = np.floor((self.days[rows.snapshot] + self.edges[period]) / self.edges[1])
        for number in np.unique(bands):
            part = bands == number
            weeks = np.column_stack([self.deals[rows.snapshot[part]], week[part]])
            weights[part] = len(np.unique(weeks, axis=0)) / part.sum()
        return Lived(self.terms.by_period(self.columns[rows.snapshot], period, left), bands, weights)

    def _kept(self, snapshot: np.ndarray, period: np.ndarray, most: int) -> np.ndarray:
        """Which person-periods are drawn: of each of a line's bands the same number at most. The rush of a quarter's end is short, and
        much closes in it; far periods are many and alike."""
        bands = band(period, _left(self.design, self.matrix, self.edges, period, snapshot))
        counts = np.bincount(bands, minlength=BANDS)
        return self.rng.random(len(period)) * counts[bands] < most / BANDS


def tuned(
    frame: PersonPeriods, spells: pd.DataFrame, cutoff: pd.Timestamp, trials: int, seed: int, threads: int
) -> dict[str, Growth]:
    """Settings by head, tried on snapshots of the last part of the time; earlier ones are known as of its beginning.

    The usual settings, untried, where either part lacks one of the answers or `trials` is 0.
    """
    split = cutoff - LAST * (cutoff - spells["as_of"].min())
    late = (spells["as_of"] >= split).to_numpy()
    then, now = known_at(spells, split), known_at(spells, cutoff)
    found = {}
    for head in HEADS:
        early = frame.rows(head, then, TUNED_ROWS, np.flatnonzero(~late))
        later = frame.rows(head, now, TUNED_ROWS, np.flatnonzero(late))
        found[head] = Growth()
        if trials and early.told and later.told:
            parts = ((early.matrix, early.answers), (later.matrix, later.answers))
            beside = Line.fit(frame.for_line(early), early.answers, frame.terms).log_odds_of(frame.for_line(later))
            found[head] = tune(*parts, beside, trials=trials, seed=seed, threads=threads)
    return found


def one_period(design: OneHot, matrix: np.ndarray, edges: np.ndarray, period: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """These rows of the matrix with two more columns: the period, and the days from its start to the end of the quarter it starts in."""
    left = _left(design, matrix, edges, period, rows)
    return np.column_stack([matrix[rows], period.astype("float32"), left.astype("float32")])


def with_periods(design: OneHot, matrix: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Every row once per period."""
    (rows, columns), periods = matrix.shape, np.arange(len(edges) - 1)
    found = np.empty((rows, len(periods), columns + 2), dtype="float32")
    found[:, :, :columns], found[:, :, columns] = matrix[:, None, :], periods
    found[:, :, columns + 1] = _left(design, matrix, edges, periods, np.arange(rows)[:, None])
    return found.reshape(rows * len(periods), columns + 2)


def _left(design: OneHot, matrix: np.ndarray, edges: np.ndarray, period: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Days left in the quarter at the start of each period of these rows of the matrix, NaN where the snapshot does not tell."""
    if QUARTER not in design.features:
        return np.full(np.broadcast_shapes(rows.shape, period.shape), np.nan)
    column = int(np.searchsorted(design.owners, design.features.index(QUARTER)))
    return quarter_left(matrix[rows, column].astype("float64"), edges[period], edges[period + 1])
