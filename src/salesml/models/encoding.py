"""How a frame becomes the columns that CatBoost sees; learned from the training rows, kept with the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.models.columns import level_codes, levels_of, numbers, select

SHARED = 10  # a number that so many entities share is a habit (a list price, a round guess), not a measurement
HABITUAL = 0.1  # of the entities: below it a number's repeats are left alone


@dataclass(frozen=True)
class Repeats:
    """The exact values of a number that several training entities share, sorted, with how many do."""

    values: np.ndarray
    counts: np.ndarray

    def columns(self, column: np.ndarray, *, trained_on: bool) -> tuple[np.ndarray, np.ndarray]:
        """How many other training entities have the value (log1p); its trailing decimal zeros (-1 for fractions)."""
        place = np.minimum(np.searchsorted(self.values, column), len(self.values) - 1)
        count = np.where(self.values[place] == column, self.counts[place], 1.0 if trained_on else 0.0)
        zeros = np.full(len(column), -1.0)
        for power in range(7):
            zeros[np.mod(column, 10.0**power) == 0] = power
        return np.log1p(count - trained_on), zeros


@dataclass(frozen=True)
class Encoder:
    """Numbers as float32, categories as categoricals of known levels, two more columns for numbers in `repeats`."""

    features: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    repeats: dict[str, Repeats]

    @classmethod
    def fit(
        cls, X: pd.DataFrame, categorical: Sequence[str], *, with_repeats: bool, groups: np.ndarray | None = None
    ) -> Encoder:
        """Learn levels, and the shared values of numbers where asked for, counting each group of rows once."""
        levels = {name: levels_of(X[name]) for name in categorical}
        repeats = {}
        for name in map(str, X.columns) if with_repeats else ():
            found = None if name in levels else _repeats(numbers(X[name]), groups)
            if found is not None:
                repeats[name] = found
        return cls(tuple(map(str, X.columns)), levels, repeats)

    def encode(self, X: pd.DataFrame, *, trained_on: bool = False) -> pd.DataFrame:
        """The frame for CatBoost: features, then columns of `repeats`; `trained_on` for the rows given to `fit`."""
        chosen = select(X, self.features)
        columns: dict[str, object] = {}
        derived: dict[str, np.ndarray] = {}
        for name in self.features:
            if name in self.levels:
                codes = level_codes(chosen[name], self.levels[name])
                columns[name] = pd.Categorical.from_codes(codes, categories=pd.Index(self.levels[name]))
                continue
            column = numbers(chosen[name])
            columns[name] = column.astype("float32")
            if name in self.repeats:
                common, zeros = self.repeats[name].columns(column, trained_on=trained_on)
                derived |= {f"{name}: how common": common, f"{name}: how round": zeros}
        return pd.DataFrame({**columns, **derived}, index=X.index)

    def folded(self, effects: np.ndarray) -> np.ndarray:
        """Effects of encoded columns (rows × columns) as effects of features: derived ones go to their number."""
        own = effects[:, : len(self.features)].copy()
        for position, name in enumerate(self.repeats):
            first = len(self.features) + 2 * position
            own[:, self.features.index(name)] += effects[:, first] + effects[:, first + 1]
        return own

    def to_json(self) -> dict:
        """Plain lists and dicts."""
        return {
            "features": list(self.features),
            "categorical": list(self.levels),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "repeats": {n: {"values": r.values.tolist(), "counts": r.counts.tolist()} for n, r in self.repeats.items()},
        }

    @classmethod
    def from_json(cls, content: dict) -> Encoder:
        """What `to_json` gave."""
        levels = {name: tuple(content["levels"][name]) for name in content["categorical"]}
        repeats = {n: Repeats(np.array(r["values"]), np.array(r["counts"])) for n, r in content["repeats"].items()}
        return cls(tuple(content["features"]), levels, repeats)


def _repeats(column: np.ndarray, groups: np.ndarray | None) -> Repeats | None:
    """The shared values, or None where fewer than HABITUAL of the entities have a value that SHARED others have."""
    frame = pd.DataFrame({"value": column, "entity": np.arange(len(column)) if groups is None else groups}).dropna()
    counts = frame.drop_duplicates()["value"].value_counts().sort_index()
    habit = counts[counts >= SHARED].sum()
    if len(counts) <= 2 * SHARED or habit < HABITUAL * counts.sum():
        return None
    shared = counts[counts >= 2]
    return Repeats(shared.index.to_numpy(dtype="float64"), shared.to_numpy(dtype="float64"))
