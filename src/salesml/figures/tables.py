"""A frame as an accessible HTML table: caption, header cells with scope, units, numbers aligned and readable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

import pandas as pd

MISSING = "–"


@dataclass(frozen=True)
class HtmlTable:
    """What a notebook displays as the table."""

    html: str

    def _repr_html_(self) -> str:
        return self.html


def table(
    frame: pd.DataFrame,
    caption: str,
    *,
    units: Mapping[str, str] | None = None,
    formats: Mapping[str, str] | None = None,
    rows: int = 50,
) -> HtmlTable:
    """The first `rows` rows; the first column names its row, so it must be the one that tells rows apart.

    `units` by column stand in the head; `formats` by column are format specifications (".1%", ",.0f"). Without one,
    whole numbers get thousands separators, others three significant digits, days are ISO dates. Missing values are –.
    """
    units, formats = units or {}, formats or {}
    kinds = [_kind(frame[name], name in formats) for name in frame.columns]
    head = "".join(map(_head, map(str, frame.columns), map(units.get, frame.columns), kinds))
    shapes = list(zip(kinds, map(formats.get, frame.columns), strict=True))
    body = "".join(_row(row, shapes) for row in frame.head(rows).itertuples(index=False, name=None))
    more = f" (first {rows} of {len(frame):,} rows)" if len(frame) > rows else ""
    return HtmlTable(
        f"<table><caption>{escape(caption)}{more}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _kind(column: pd.Series, formatted: bool) -> str:
    """The class of a column's cells: numbers are aligned right, days kept in one line."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return ' class="day"'
    present = column.dropna()
    decimal = len(present) > 0 and isinstance(present.iloc[0], Decimal)
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return ' class="number"' if number or decimal or formatted else ""


def _head(name: str, unit: str | None, kind: str) -> str:
    label = escape(name.replace("_", " ")) + (f" <small>({escape(unit)})</small>" if unit else "")
    return f'<th scope="col"{kind}>{label}</th>'


def _row(row: tuple, shapes: list[tuple[str, str | None]]) -> str:
    cells = [escape(_shown(value, specification)) for value, (_, specification) in zip(row, shapes, strict=True)]
    rest = "".join(f"<td{kind}>{cell}</td>" for cell, (kind, _) in zip(cells[1:], shapes[1:], strict=True))
    return f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>'


def _shown(value: Any, specification: str | None) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return MISSING
    if specification:
        return format(value, specification)
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M")
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    if pd.api.types.is_integer(value):
        return f"{value:,}"
    if isinstance(value, float | Decimal):  # numpy's doubles are floats
        return f"{value:,.0f}" if abs(float(value)) >= 1000 else f"{value:.3g}"
    return str(value)
