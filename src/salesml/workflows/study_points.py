"""A points scheme on a table's own columns: what a marketer would write down before any outcome is known, as a peer of what is learnt."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from salesml.errors import BadInput, UnknownName
from salesml.models.columns import infer_categorical
from salesml.models.lead_points import COMPONENTS, KINDS, Criterion, Scheme


def table_scheme(path: Path, columns: pd.DataFrame) -> Scheme:
    """The scheme in a YAML file (as docs/leads.md shows), its features columns of the table: `values` of text, else numbers.

    Raises BadInput for a file that is no scheme, UnknownName for a feature that is no column.
    """
    try:
        text = path.read_text(encoding="utf-8")
        told = yaml.safe_load(text)
        weights = {name: float(told["weights"][name]) for name in COMPONENTS}
        listed = [dict(one) for one in told["criteria"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        reason = f"this is no points scheme ({error!r})"
        raise BadInput(reason, file=path.name, mend="docs/leads.md has an example.") from error
    if min(weights.values()) < 0 or abs(sum(weights.values()) - 1) > 1e-9:
        raise BadInput("weights are numbers of 0 or more that sum to 1", file=path.name, column="weights", value=str(weights))
    text_columns = set(infer_categorical(columns))
    criteria = tuple(_criterion(one, columns, text_columns, path.name) for one in listed)
    lacking = [name for name in COMPONENTS if name not in {one.component for one in criteria}]
    if lacking:
        raise BadInput("each component takes at least one criterion", file=path.name, value=", ".join(lacking))
    return Scheme(str(told.get("name") or path.stem), weights, criteria, text)


def points_of(scheme: Scheme, columns: pd.DataFrame) -> np.ndarray:
    """The composite of each row, 0 to 100."""
    return scheme.score(columns)[0]["composite"].to_numpy("float64")


def _criterion(told: dict, columns: pd.DataFrame, text_columns: set[str], file: str) -> Criterion:
    kinds = [kind for kind in KINDS if kind in told]
    if len(kinds) != 1 or set(told) != {"component", "feature", *kinds} or told["component"] not in COMPONENTS:
        reason = f"a criterion has component ({', '.join(COMPONENTS)}), feature and one of {', '.join(KINDS)}"
        raise BadInput(reason, file=file, value=str(told))
    kind, feature = kinds[0], str(told["feature"])
    if feature not in columns.columns:
        raise UnknownName(f"feature in {file}:", feature, columns.columns)
    if (kind == "values") != (feature in text_columns):
        holds = "text, which takes values" if feature in text_columns else "numbers, which take each or at_least"
        raise BadInput(f"{feature} holds {holds}", file=file, value=str(told))
    points = told[kind]
    if isinstance(points, Mapping) != (kind != "each") or not points:
        raise BadInput("each takes a number, at_least and values take points by bound or value", file=file, value=str(told))
    numbers = [points] if kind == "each" else [*points.values(), *(points if kind == "at_least" else ())]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise BadInput("points and bounds are numbers", file=file, value=str(told))
    plain = float(points) if kind == "each" else dict(points)
    return Criterion(str(told["component"]), feature, kind, plain)
