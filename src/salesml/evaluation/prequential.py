"""Test, then train: rows in time order are scored block by block by what was known when each block began (Dawid 1984)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.metrics import Measured

RESAMPLES = 400
STRETCHES = 30
"""Fewest stretches of neighbouring rows that intervals are resampled from: with fewer their spread is itself a guess."""


@dataclass(frozen=True)
class Step:
    """Rows first ... stop - 1, scored when the outcomes of the rows before `known` were known (known <= first)."""

    first: int
    stop: int
    known: int


def steps(
    rows: int, block: int, start: int, delay: int | pd.Timedelta, times: pd.Series | None = None
) -> tuple[Step, ...]:
    """Blocks of about `block` rows from row `start` on; rows are in time order.

    An outcome is known when `delay` later rows have arrived, or, with dated `times` (sorted, one per row) and a Timedelta, once that
    much time has passed: half-open, so an outcome that becomes known at the very instant a block begins is not known to it. Rows of
    one time are never parted, a last block of less than half the size joins the one before it.
    """
    edges = np.arange(start, rows, block)
    if len(edges) > 1 and rows - edges[-1] < block / 2:
        edges = edges[:-1]
    if times is not None:
        edges = np.unique(times.searchsorted(times.iloc[edges], side="left"))
        edges = edges[edges > 0]
    if isinstance(delay, pd.Timedelta):
        assert times is not None
        known = times.searchsorted(times.iloc[edges] - delay, side="left")
    else:
        known = np.maximum(0, edges - delay)
    return tuple(Step(int(a), int(b), int(k)) for a, b, k in zip(edges, [*edges[1:], rows], known, strict=True))


def of_steps(found: Sequence[Step]) -> np.ndarray:
    """The number of its step (from 0) for each row, from the first step's first row to the last one's last."""
    return np.repeat(np.arange(len(found)), [step.stop - step.first for step in found])


def stretches(rows: int, block: int) -> np.ndarray:
    """The stretch of neighbouring rows that each row is drawn with: of `block` rows, or shorter so that there are 30.

    Neighbours are alike in ways that a model does not see, so resampling single rows would make intervals too narrow (Carlstein 1986).
    Raises NotEnoughData where a stretch would have fewer than 10 rows.
    """
    size = min(block, rows // STRETCHES)
    if size < 10:
        raise NotEnoughData(f"{rows:,} rows to judge on; {10 * STRETCHES} are needed for intervals by stretches of neighbouring rows.")
    return np.arange(rows) // size


@dataclass(frozen=True)
class Within:
    """An AUC within blocks: its value, and what it is in each resample (the same resamples whatever the scores, for one seed)."""

    value: float
    draws: np.ndarray

    @property
    def measured(self) -> Measured:
        """With its 90 % interval."""
        return Measured(self.value, *percentile_interval(self.draws))

    def minus(self, other: Within) -> Measured:
        """The difference of two on the same rows, above 0 is better, with the 90 % interval of paired resamples."""
        return Measured(self.value - other.value, *percentile_interval(self.draws - other.draws))


def within_auc(y: np.ndarray, p: np.ndarray, block: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Within:
    """Chance that a positive row is ranked above a negative one of its own block, ties half; resampled by group, of which there are few.

    Over all rows at once an AUC also counts how the level of the scores follows that of the outcomes over time; within blocks it does
    not. Blocks count by their pairs of a positive and a negative row; NaN where no block has both.
    """
    codes = pd.factorize(groups)[0]
    count = int(codes.max()) + 1
    won, pairs = np.zeros((count, count)), np.zeros((count, count))  # of a group's positive rows with a group's negative ones
    for number in np.unique(block):
        here = [(code, p[mine & (y == 1)], np.sort(p[mine & (y == 0)])) for code, mine in _parts(codes, block == number)]
        for (above, high, _), (below, _, low) in product(here, here):
            won[above, below] += float(np.searchsorted(low, high, "left").sum() + np.searchsorted(low, high, "right").sum()) / 2
            pairs[above, below] += len(high) * len(low)

    def figure(w: np.ndarray) -> float:
        total = float(w @ pairs @ w)
        return float(w @ won @ w) / total if total else float("nan")

    return Within(figure(np.ones(count)), np.array([figure(w) for w in row_weights(count, None, RESAMPLES, seed)]))


def _parts(codes: np.ndarray, here: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """The groups that have rows here, with which rows."""
    return [(int(code), here & (codes == code)) for code in np.unique(codes[here])]


def top_share(p: np.ndarray, block: np.ndarray, share: float = 0.1) -> np.ndarray:
    """How much of each row is in the best `share` of its block by p: 1 or 0, a part where ties straddle the edge."""
    taken = np.zeros(len(p))
    for number in np.unique(block):
        place = np.flatnonzero(block == number)
        values, ties = np.unique(-p[place], return_inverse=True)
        size = np.bincount(ties, minlength=len(values)).astype("float64")
        before = np.cumsum(size) - size
        taken[place] = np.clip((share * len(place) - before) / size, 0, 1)[ties]
    return taken


def rate_of(y: np.ndarray, taken: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Measured:
    """Share of outcomes among the rows taken, 90 % interval resampled by group (what is taken stays as it was)."""
    draws = [float((w * taken) @ y / (w @ taken)) for w in row_weights(len(y), groups, RESAMPLES, seed)]
    return Measured(float(taken @ y / taken.sum()), *percentile_interval(draws))


def rate_ratio(y: np.ndarray, taken: np.ndarray, beside: np.ndarray, groups: np.ndarray, *, seed: int = 0) -> Measured:
    """Share of outcomes among the rows taken over that among those of `beside`, 1 is alike; 90 % interval of paired resamples by group."""

    def ratio(w: np.ndarray) -> float:
        own, other = (w * taken) @ y / (w @ taken), (w * beside) @ y / (w @ beside)
        return float(own / other) if other else float("nan")

    draws = [ratio(w) for w in row_weights(len(y), groups, RESAMPLES, seed)]
    return Measured(ratio(np.ones(len(y))), *percentile_interval(draws))
