"""The input columns of a registered model: name, kind, whether it may be left out, and the categories it has seen."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from salesml.models.columns import infer_categorical, text_of

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

COLUMNS_FILE = "columns.json"
MOST_CATEGORIES = 10_000


@dataclass(frozen=True)
class Column:
    """One input column. `known` are the categories seen in training as text, None where they are not listed.

    An `integer` column takes whole numbers and missing values; in the MLflow signature it is a double, because MLflow
    would cut 3.5 to 3 in a long and has no long that may be missing.
    """

    name: str
    kind: Literal["number", "integer", "text"]
    required: bool = True
    known: tuple[str, ...] | None = None


def columns_of(
    frame: pd.DataFrame, categorical: Collection[str] | None = None, optional: Collection[str] = ()
) -> tuple[Column, ...]:
    """Describe the columns of a training frame; `categorical` ones are text, as are all that do not hold numbers."""
    texts = {*infer_categorical(frame), *(categorical or ())}
    return tuple(_column(str(name), values, name in texts, name not in optional) for name, values in frame.items())


def _column(name: str, values: pd.Series, text: bool, required: bool) -> Column:
    if not text:
        return Column(name, "integer" if pd.api.types.is_integer_dtype(values.dtype) else "number", required)
    seen = sorted({text_of(value) for value in values.dropna().unique()})
    return Column(name, "text", required, tuple(seen) if len(seen) <= MOST_CATEGORIES else None)


def complete(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The frame, with the optional columns that were left out added as missing."""
    absent = {c.name: (None if c.kind == "text" else np.nan) for c in columns if not c.required and c.name not in frame}
    return frame.assign(**absent) if absent else frame


def unknown_categories(frame: pd.DataFrame, known: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """How many values of each column in `known` are not among its categories; columns with none are left out."""
    counts = {
        name: sum(text_of(value) not in categories for value in frame[name] if not pd.isna(value))
        for name, categories in known.items()
        if name in frame
    }
    return {name: count for name, count in counts.items() if count}


def example(columns: Sequence[Column]) -> pd.DataFrame:
    """One made-up row that fits the columns: nobody's data."""
    return pd.DataFrame({c.name: ["text"] if c.kind == "text" else [1.0] for c in columns})


def signature(columns: Sequence[Column]) -> ModelSignature:
    """The MLflow signature: doubles and strings in, parameters `interval`, `timing`, `factors`, predictions out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType, Array, Object, Property

    inputs: list[ColSpec | TensorSpec] = [
        ColSpec("string" if column.kind == "text" else "double", column.name, required=column.required)
        for column in columns
    ]
    factor = Object([Property("feature", "string"), Property("value", AnyType()), Property("effect", "double")])
    outputs: list[ColSpec | TensorSpec] = [
        ColSpec("double", "probability"),
        ColSpec("double", "lo", required=False),
        ColSpec("double", "hi", required=False),
        ColSpec(Array(factor), "factors", required=False),
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema(outputs),
        params=ParamSchema(
            [*(ParamSpec(name, "boolean", False) for name in ("interval", "timing")), ParamSpec("factors", "long", 0)]
        ),
    )


def write(columns: Sequence[Column], folder: Path) -> None:
    """Write columns.json into a scorer's folder."""
    text = json.dumps([asdict(column) for column in columns], ensure_ascii=False, indent=1)
    (folder / COLUMNS_FILE).write_text(text, encoding="utf-8")


def read(folder: Path | str) -> tuple[Column, ...]:
    """What `write` wrote."""
    rows = json.loads((Path(folder) / COLUMNS_FILE).read_text(encoding="utf-8"))
    return tuple(Column(**{**row, "known": None if row["known"] is None else tuple(row["known"])}) for row in rows)
