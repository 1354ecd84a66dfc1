"""The catalogue of features: each with its meaning, unit, sources, availability and what stands for a missing value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

from salesml.errors import UnknownName
from salesml.lake import View


@dataclass(frozen=True)
class Feature:
    """One feature. `availability` says from when it can be known; `manipulable` that a rep could set it at will."""

    name: str
    dtype: Literal["int", "float", "category"]
    meaning: str
    unit: str
    tables: tuple[str, ...]
    availability: str = "as soon as the fact is known"
    imputation: str = "missing stays missing"
    manipulable: bool = False


@dataclass(frozen=True)
class FeatureSet:
    """Features of one entity. `build(view)` gives one row per (entity, as_of) of the view's spine, as an Ibis table.

    Beside the features it carries `context` columns that are for filtering and showing, not for learning.
    """

    name: str
    entity: str
    features: tuple[Feature, ...]
    context: tuple[str, ...]
    build: Callable[[View], Any]

    @property
    def names(self) -> list[str]:
        """Feature columns in order."""
        return [feature.name for feature in self.features]

    @property
    def categorical(self) -> list[str]:
        """Those that are categories."""
        return [feature.name for feature in self.features if feature.dtype == "category"]

    @property
    def hard_to_fake(self) -> list[str]:
        """Those that a rep cannot set at will."""
        return [feature.name for feature in self.features if not feature.manipulable]

    def frame(self, view: View) -> pd.DataFrame:
        """The features as a pandas frame sorted by (entity, as_of): numbers as int64/float64, categories as text."""
        frame = view.frame(self.build(view).select(self.entity, "as_of", *self.context, *self.names))
        return frame.sort_values([self.entity, "as_of"], ignore_index=True)

    def catalogue(self) -> pd.DataFrame:
        """One row per feature: name, dtype, meaning, unit, tables, availability, imputation, manipulable."""
        return pd.DataFrame([asdict(feature) for feature in self.features])


def registered() -> dict[str, FeatureSet]:
    """Every feature set there is; the leak prover runs over all of them."""
    from salesml.features.deals import DEALS
    from salesml.features.leads import LEADS

    return {DEALS.name: DEALS, LEADS.name: LEADS}


def feature_set(name: str) -> FeatureSet:
    """The feature set of that name; UnknownName lists the valid ones."""
    sets = registered()
    if name not in sets:
        raise UnknownName("feature set", name, sets)
    return sets[name]


def catalogue() -> pd.DataFrame:
    """Every feature there is: feature set, name, dtype, meaning, unit, tables, availability, imputation, manipulable."""
    parts = [features.catalogue().assign(feature_set=name) for name, features in registered().items()]
    frame = pd.concat(parts, ignore_index=True)
    return frame[["feature_set", *frame.columns.drop("feature_set")]]
