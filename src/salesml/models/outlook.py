"""What may become of open deals, and when: cumulative chances of won, lost and no decision by the end of each period."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.errors import BadParameter
from salesml.models.spells import CAUSES


@dataclass(frozen=True)
class Outlook:
    """`edges` in days from as_of, from 0; `incidence` rows × edges × (won, lost, no_decision), 0 at the first edge.

    What is left open at the last edge is `eventual` minus the incidence there: it closes later, when is not told.
    """

    edges: np.ndarray
    incidence: np.ndarray
    eventual: np.ndarray

    @property
    def won(self) -> np.ndarray:
        """P(win) in the end."""
        return self.eventual[:, 0]

    def by(
        self, days: np.ndarray | float, cause: str | None = None, since: np.ndarray | np.datetime64 | None = None
    ) -> np.ndarray:
        """The chance to be closed (by a cause: won, lost, no_decision) before so many days after as_of, one per row.

        Between edges by straight lines; 0 for days below 0; beyond the last edge what it is there; NaN where days is NaN.
        `since`: the day of as_of; then, where periods are weeks, time goes on from Monday to Friday only.
        """
        if cause is not None and cause not in CAUSES:
            raise BadParameter(f"cause {cause!r} is not one of {', '.join(CAUSES)}")
        curve = self.incidence.sum(axis=2) if cause is None else self.incidence[:, :, CAUSES.index(cause)]
        when = np.broadcast_to(np.asarray(days, dtype="float64"), len(curve))
        if since is not None and self.edges[1] == 7:
            when = _worked(np.asarray(since, dtype="datetime64[D]"), when)
        place = np.clip(np.searchsorted(self.edges, when, side="right") - 1, 0, len(self.edges) - 2)
        rows, width = np.arange(len(curve)), np.diff(self.edges)[place]
        share = np.clip((when - self.edges[place]) / width, 0, 1)
        return curve[rows, place] * (1 - share) + curve[rows, place + 1] * share

    def closes_in(self, share: float) -> np.ndarray:
        """Days after as_of by which the deal is closed with probability `share`; NaN where that lies beyond the last edge."""
        curve = self.incidence.sum(axis=2)
        place = np.clip((curve <= share).sum(axis=1), 1, len(self.edges) - 1)
        rows = np.arange(len(curve))
        low, high = curve[rows, place - 1], curve[rows, place]
        part = np.divide(share - low, high - low, out=np.zeros(len(curve)), where=high > low)
        days = self.edges[place - 1] + part * np.diff(self.edges)[place - 1]
        return np.where(curve[:, -1] >= share, days, np.nan)


def _worked(since: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Days after `since` as if a week's seven days were its five working days; NaN where days is NaN."""
    whole = np.floor(np.nan_to_num(days)).astype("int64")
    ends = since + whole
    worked = np.busday_count(np.broadcast_to(since, ends.shape), ends) + (days - whole) * np.is_busday(ends)
    return 7 / 5 * worked
