"""Numbers as they are, categories as columns of 0 and 1: the matrix of trees that know no categories of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from salesml.models.columns import MISSING, OTHER, all_numbers, level_codes, levels_of, select

MOST_LEVELS = 24
"""Of a category, so many of its most common values get a column; the others share one."""


@dataclass(frozen=True)
class OneHot:
    """The columns of a frame as one float32 matrix; `owners` says whose feature each column is."""

    features: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]

    @classmethod
    def fit(cls, X: pd.DataFrame, categorical: Sequence[str]) -> OneHot:
        """Learn the common values of the categories."""
        return cls(tuple(map(str, X.columns)), {name: _common(X[name]) for name in categorical})

    @cached_property
    def owners(self) -> np.ndarray:
        """The position in `features` of each column of the matrix."""
        widths = [len(self.levels[name]) if name in self.levels else 1 for name in self.features]
        return np.repeat(np.arange(len(self.features)), widths)

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """One row per row of X, float32; a number that is missing stays NaN. BadInput names columns that lack."""
        chosen, owners = select(X, self.features), self.owners
        found = np.zeros((len(X), len(owners)), dtype="float32")
        firsts = np.searchsorted(owners, np.arange(len(self.features)))
        for name, first in zip(self.features, firsts, strict=True):
            if name in self.levels:
                found[np.arange(len(X)), first + level_codes(chosen[name], self.levels[name])] = 1
        plain = [place for place, name in enumerate(self.features) if name not in self.levels]
        with np.errstate(over="ignore"):  # beyond float32: infinite, which is what the trees make of it
            found[:, firsts[plain]] = all_numbers(chosen.iloc[:, plain]).astype("float32")
        return found

    def to_json(self) -> dict:
        """Plain lists and dicts."""
        return {"features": list(self.features), "levels": {name: list(levels) for name, levels in self.levels.items()}}

    @classmethod
    def from_json(cls, content: dict) -> OneHot:
        """What `to_json` gave."""
        return cls(tuple(content["features"]), {name: tuple(levels) for name, levels in content["levels"].items()})


def _common(column: pd.Series) -> tuple[str, ...]:
    levels = levels_of(column)
    named = [level for level in levels if level not in (MISSING, OTHER)]
    if len(named) > MOST_LEVELS:
        counts = np.bincount(level_codes(column, levels), minlength=len(levels))
        count = {level: int(counts[place]) for place, level in enumerate(levels)}
        named = sorted(sorted(named, key=lambda level: -count[level])[:MOST_LEVELS])
    return (*named, MISSING, OTHER)
