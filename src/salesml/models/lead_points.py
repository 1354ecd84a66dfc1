"""Leads scored by points: a scheme of criteria and weights that anybody can read and write, beside which a learnt score must stand.

A scheme is YAML: weights of the components (summing to 1) and criteria. A criterion gives points by one feature of
`features.leads`: `each` (points a unit), `at_least` (the points of the highest bound reached) or `values` (points a value); a missing
value has none. A component is the sum of its points, kept within 0..100; the composite is the weighted sum of the components.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import yaml

from salesml.errors import BadInput

COMPONENTS = ("engagement", "intent", "fit")
KINDS = ("each", "at_least", "values")
USUAL = Path(__file__).with_name("lead_points.yaml")
TOP = 100.0


@dataclass(frozen=True)
class Criterion:
    """Points of one component by one feature."""

    component: str
    feature: str
    kind: str
    points: Any

    def of(self, values: pd.Series) -> np.ndarray:
        """Points of each value, 0 where it is missing."""
        if self.kind == "values":
            return values.map(self.points).fillna(0.0).to_numpy("float64")
        numbers = pd.to_numeric(values, errors="coerce").to_numpy("float64")
        if self.kind == "each":
            return np.nan_to_num(numbers) * float(self.points)
        bounds, worth = np.array(sorted(self.points.items()), dtype="float64").T
        return np.r_[0.0, worth][np.searchsorted(bounds, np.nan_to_num(numbers, nan=-np.inf), side="right")]


@dataclass(frozen=True)
class Scheme:
    """A points scheme: weights by component, criteria, and the text it was read from."""

    name: str
    weights: dict[str, float]
    criteria: tuple[Criterion, ...]
    text: str

    @property
    def version(self) -> str:
        """The first twelve digits of the text's digest: another text is another version."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]

    def score(self, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Composite and components (0..100), and what each criterion gives the composite: the effects add up to it.

        rows: the features of `features.leads`. Where a component is over 100 or below 0 its effects are cut in proportion.
        """
        effects, components = pd.DataFrame(index=rows.index), pd.DataFrame(index=rows.index)
        for component, weight in self.weights.items():
            mine = [one for one in self.criteria if one.component == component]
            each = np.array([one.of(rows[one.feature]) for one in mine])
            total = each.sum(axis=0)
            components[component] = np.clip(total, 0.0, TOP)
            cut = np.divide(components[component], total, out=np.zeros(len(rows)), where=total != 0)
            for one, points in zip(mine, each, strict=True):
                effects[one.feature] = effects.get(one.feature, 0.0) + weight * points * cut
        components.insert(0, "composite", sum(weight * components[name] for name, weight in self.weights.items()))
        return components, effects


def usual() -> Scheme:
    """The scheme that comes with salesml: engagement 0.40, intent 0.35, fit 0.25."""
    return read_scheme(USUAL)


def read_scheme(path: Path) -> Scheme:
    """The scheme in a YAML file; BadInput names what is wrong, where, and the mend."""
    try:
        text = path.read_text(encoding="utf-8")
        told = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"the scheme cannot be read ({error})", file=str(path)) from error
    refuse = partial(_refuse, path.name)
    if not isinstance(told, dict) or set(told) - {"name", "weights", "criteria"}:
        refuse("a scheme has name, weights and criteria, nothing else", None, sorted(told) if isinstance(told, dict) else told)
    weights = told.get("weights")
    if not isinstance(weights, dict) or set(weights) != set(COMPONENTS):
        refuse(f"weights are given for {', '.join(COMPONENTS)}", "weights", weights)
    if not all(_number(one) and one >= 0 for one in weights.values()) or abs(sum(weights.values()) - 1) > 1e-9:
        refuse("weights are numbers of 0 or more that sum to 1", "weights", weights)
    criteria = told.get("criteria")
    if not isinstance(criteria, list) or not criteria:
        refuse("criteria are a list of at least one", "criteria", criteria)
    found = tuple(_criterion(number, one, refuse) for number, one in enumerate(criteria, 1))
    lacking = set(COMPONENTS) - {one.component for one in found}
    if lacking:
        refuse("each component takes at least one criterion", "criteria", ", ".join(sorted(lacking)))
    return Scheme(str(told.get("name") or path.stem), {name: float(weights[name]) for name in COMPONENTS}, found, text)


def _refuse(file: str, reason: str, column: str | None, value: Any, mend: str = "docs/leads.md has an example.") -> NoReturn:
    raise BadInput(reason, file=file, column=column, value=str(value), mend=mend)


def _criterion(number: int, told: Any, refuse: Callable[..., NoReturn]) -> Criterion:
    from salesml.features.leads import LEADS

    place = f"criteria, number {number}"
    if not isinstance(told, dict) or len(kinds := set(told) & set(KINDS)) != 1 or set(told) - {"component", "feature", *KINDS}:
        refuse(f"a criterion has component, feature and one of {', '.join(KINDS)}", place, told)
    kind = kinds.pop()
    if told.get("component") not in COMPONENTS:
        refuse(f"the component is one of {', '.join(COMPONENTS)}", place, told.get("component"))
    if told.get("feature") not in LEADS.names:
        refuse("this is no feature of leads", place, told.get("feature"), f"Valid: {', '.join(LEADS.names)}.")
    points, numeric = told[kind], told["feature"] not in LEADS.categorical
    if kind == "values":
        good = not numeric and isinstance(points, Mapping) and all(_number(one) for one in points.values())
        wanted = "values takes a category and gives points a value"
    elif kind == "each":
        good, wanted = numeric and _number(points), "each takes a number and gives points a unit"
    else:
        good = numeric and isinstance(points, Mapping) and bool(points) and all(_number(one) for pair in points.items() for one in pair)
        wanted = "at_least takes a number and gives points by bound, as {50: 10, 500: 25}"
    if not good:
        refuse(wanted, place, f"{told['feature']}: {points}")
    return Criterion(told["component"], told["feature"], kind, dict(points) if isinstance(points, Mapping) else float(points))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
