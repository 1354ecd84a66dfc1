"""The luck of open deals in every draw of `quarter.simulate`, kept, so that other chances are tried against the same draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from salesml.analytics.quarter import DRAWS, luck

AT_ONCE = 250


@dataclass(frozen=True, eq=False)
class Luck:
    """`needed`: one row per deal, one column per draw: the deal is won where its chance lies above that number (of half precision)."""

    needed: np.ndarray

    @classmethod
    def of(cls, chances: np.ndarray, shock: float = 0.0, draws: int = DRAWS, seed: int = 0) -> Luck:
        """The luck `simulate` gives so many deals; at `chances` just the deals that it lets win are won."""
        needed = np.empty((len(chances), draws), "float32")
        for part, common, own in luck(len(chances), draws, seed):
            exact = special.ndtr(np.sqrt(shock) * common + np.sqrt(1 - shock) * special.ndtri(own)) if shock else own
            needed[:, part] = _rounded(exact, chances).T
        return cls(needed)

    def won(self, chances: np.ndarray, amounts: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
        """What is won in each of `count` cells (the deals' `cells`) and draw, in the amounts' currency."""
        return self.moved(np.zeros(len(chances)), chances, amounts, cells, count)

    def moved(self, before: np.ndarray, after: np.ndarray, amounts: np.ndarray, cells: np.ndarray, count: int) -> np.ndarray:
        """How much more is won with chances `after` than `before`, by cell and draw; exactly 0 where no chance changes."""
        draws = self.needed.shape[1]
        found = np.zeros(count * draws)
        old, new = before.astype("float32"), after.astype("float32")
        rows = np.flatnonzero(old != new)
        low, high, signed = np.minimum(old, new).view("uint32"), np.maximum(old, new).view("uint32"), np.where(new > old, amounts, -amounts)
        for start in range(0, len(rows), AT_ONCE):
            part = rows[start : start + AT_ONCE]
            together = part[-1] - part[0] + 1 == len(part)
            needed = self.needed[part[0] : part[-1] + 1] if together else self.needed[part]
            # floats from 0 up are ordered as their bits are: one unsigned comparison tells low <= needed < high
            flips = np.flatnonzero(needed.view("uint32") - low[part, None] < (high - low)[part, None])
            deal, draw = part[flips // draws], flips % draws
            np.add.at(found, cells[deal] * draws + draw, signed[deal])
        return found.reshape(count, draws)


def _rounded(exact: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """To half the digits, on the same side of the chances and below 1."""
    found, edge = exact.astype("float32"), chances.astype("float32")
    found = np.minimum(found, np.nextafter(np.float32(1), np.float32(0)))
    wins = exact < chances
    found = np.where(wins & (found >= edge), np.nextafter(edge, np.float32(0)), found)
    return np.where(~wins & (found < edge), edge, found)
