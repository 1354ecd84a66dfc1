"""What is known of snapshots' futures at a cutoff, and the periods after each in which its deal was still at risk.

A *spell* is one snapshot of a deal with what came of it: as_of, closed_at (NaT while open), status, and the deal's id. At a
cutoff it is *censored* where the deal was not closed by then: nothing is known of it but that it lasted so long.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData

CAUSES = ("won", "lost", "no_decision")
PERIODS = np.array([*range(14), 15, 18, 22, 27, 34, 43, 55], dtype="float64")
"""Edges of the periods after a snapshot, in weeks; in days for deals that live days."""
LEAST_CLOSINGS = 15
"""A period in which fewer snapshots' deals closed is not told apart from the one before."""
QUARTER = 365.25 / 4


@dataclass(frozen=True)
class Known:
    """What is known at a cutoff, one element a snapshot: days until close or cutoff, the cause (-1: still open), days until cutoff."""

    days: np.ndarray
    cause: np.ndarray
    watched: np.ndarray

    @property
    def closed(self) -> np.ndarray:
        """Whether the deal was closed by the cutoff."""
        return self.cause >= 0


def known_at(spells: pd.DataFrame, cutoff: pd.Timestamp) -> Known:
    """What was known of the spells at a cutoff: a close counts if it was known before it (half-open)."""
    closed = (spells["closed_at"] < cutoff).to_numpy() & spells["status"].isin(CAUSES).to_numpy()
    end = spells["closed_at"].where(closed, cutoff)
    codes = pd.Categorical(spells["status"], categories=CAUSES).codes.astype("int64")
    return Known(_days(end - spells["as_of"]), np.where(closed, codes, -1), _days(cutoff - spells["as_of"]))


def edges_for(known: Known) -> np.ndarray:
    """Edges of the periods in days, from 0: weeks, or days where half of the deals close within two weeks.

    The last period is the last in which at least 15 snapshots' deals closed. Raises NotEnoughData where none is.
    """
    closings = known.days[known.closed]
    if len(closings) < LEAST_CLOSINGS:
        raise NotEnoughData(f"{len(closings)} snapshots of closed deals; at least {LEAST_CLOSINGS} are needed")
    edges = PERIODS * (7.0 if np.median(closings) >= 14 else 1.0)
    counts = np.histogram(closings, edges)[0]
    enough = np.flatnonzero(counts >= LEAST_CLOSINGS)
    return edges[: (enough[-1] if len(enough) else 0) + 2]


def at_risk(known: Known, edges: np.ndarray, taken: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Person-periods of the snapshots in `taken`: which snapshot, which period, whether the deal closed in it.

    Periods that end after the cutoff are left out, whatever came in them: in a half-watched period only those that closed
    would be known. So is a close beyond the last edge.
    """
    place = np.searchsorted(edges, known.days[taken], side="right") - 1
    watched = np.searchsorted(edges, known.watched[taken], side="right") - 1
    lived = np.minimum(place + known.closed[taken], watched)
    snapshot = np.repeat(taken, lived)
    period = np.arange(len(snapshot)) - np.repeat(np.cumsum(lived) - lived, lived)
    ends = np.repeat(np.where(known.closed[taken], place, -1), lived)
    return snapshot, period, (period == ends).astype("int64")


def _days(span: pd.Series) -> np.ndarray:
    return np.maximum(span.dt.total_seconds().to_numpy() / 86_400, 0)


def quarter_left(days_to_quarter_end: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Days from `start`, so many days ahead, to the end of the quarter it lies in, above 0; NaN where that is unknown.

    Later quarters are taken as a quarter of a year. NaN too for [start, end) longer than a week: it is of no one week.
    """
    left = days_to_quarter_end - start
    left = left + QUARTER * np.maximum(np.ceil(-left / QUARTER), 0)
    left = np.where(left <= 0, left + QUARTER, left)
    return np.where(end - start > 7, np.nan, left)
