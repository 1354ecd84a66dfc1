"""A frame as the matrix of a linear model: standardised numbers with flags for gaps, one column a level of a category."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from salesml.models.columns import all_numbers, level_codes, levels_of, numbers, select

IQR_OF_A_NORMAL = 1.349  # interquartile range of a standard normal


@dataclass(frozen=True)
class Standard:
    """How one number is standardised; `gaps` tells whether it was ever missing, and so has a missing flag."""

    mean: float
    deviation: float
    gaps: bool


@dataclass(frozen=True)
class Design:
    """Columns of the matrix, in the order of `features`: a number gives one (two where it has gaps), a category one a level.

    Numbers are held within ±`clip` deviations: a value far outside the training range must not decide alone.
    """

    features: tuple[str, ...]
    standards: dict[str, Standard]
    levels: dict[str, tuple[str, ...]]
    clip: float

    @classmethod
    def fit(cls, X: pd.DataFrame, categorical: Sequence[str], *, at_least: int, clip: float, robust: bool = False) -> Design:
        """Learn from X; levels with fewer than `at_least` rows share one. `robust`: median and quartiles, not mean and deviation."""
        standards = {str(name): _standard(numbers(X[name]), robust) for name in X.columns if name not in categorical}
        levels = {name: levels_of(X[name], at_least=at_least) for name in categorical}
        return cls(tuple(map(str, X.columns)), standards, levels, clip)

    def matrix(self, X: pd.DataFrame) -> np.ndarray:
        """One row a row of X, extra columns ignored; BadInput names missing ones."""
        frame = select(X, self.features)
        plain = [name for name in self.features if name not in self.levels]
        values = dict(zip(plain, all_numbers(frame[plain]).T, strict=True))
        found, first = np.zeros((len(X), len(self.owners))), 0
        for name in self.features:
            if name in self.levels:
                found[np.arange(len(X)), first + level_codes(frame[name], self.levels[name])] = 1
                first += len(self.levels[name])
                continue
            standard = self.standards[name]
            scaled = np.clip((values[name] - standard.mean) / standard.deviation, -self.clip, self.clip)
            found[:, first] = np.nan_to_num(scaled, nan=0.0)
            if standard.gaps:
                found[:, first + 1] = np.isnan(values[name])
            first += 1 + standard.gaps
        return found

    @cached_property
    def owners(self) -> np.ndarray:
        """The position in `features` of each column of the matrix."""
        widths = [len(self.levels[n]) if n in self.levels else 1 + self.standards[n].gaps for n in self.features]
        return np.repeat(np.arange(len(self.features)), widths)

    def by_feature(self, contributions: np.ndarray) -> np.ndarray:
        """Contributions of the matrix' columns (rows × columns) summed to rows × features."""
        if not self.features:
            return np.zeros((len(contributions), 0))
        return np.add.reduceat(contributions, np.searchsorted(self.owners, np.arange(len(self.features))), axis=1)

    def to_json(self) -> dict[str, Any]:
        """Content for model.json; `clip` is the model's own."""
        return {
            "features": list(self.features),
            "categorical": list(self.levels),
            "standards": {name: asdict(standard) for name, standard in self.standards.items()},
            "levels": {name: list(levels) for name, levels in self.levels.items()},
        }

    @classmethod
    def from_json(cls, content: dict[str, Any], clip: float) -> Design:
        """Read what `to_json` gave."""
        standards = {name: Standard(**standard) for name, standard in content["standards"].items()}
        levels = {name: tuple(content["levels"][name]) for name in content["categorical"]}
        return cls(tuple(content["features"]), standards, levels, clip)


def _standard(values: np.ndarray, robust: bool) -> Standard:
    known = values[~np.isnan(values)]
    if not len(known):
        return Standard(0.0, 1.0, bool(len(values)))
    middle, deviation = float(known.mean()), float(known.std())
    if robust:
        low, middle, high = (float(value) for value in np.quantile(known, [0.25, 0.5, 0.75]))
        deviation = (high - low) / IQR_OF_A_NORMAL or deviation
    return Standard(middle, deviation or 1.0, len(known) < len(values))
