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
    numbers have three significant digits, in columns of thousands none after the point; days are ISO dates. Missing: –. A frame
    without rows says so.
    """
    units, formats = units or {}, formats or {}
    shapes = [_shape(frame[name], formats.get(name)) for name in frame.columns]
    kinds = [kind for kind, _ in shapes]
    head = "".join(map(_head, map(str, frame.columns), map(units.get, frame.columns), kinds))
    body = "".join(_row(row, shapes) for row in frame.head(rows).itertuples(index=False, name=None))
    body = body or f'<tr><td colspan="{max(1, frame.shape[1])}">None so far.</td></tr>'
    more = f" (first {rows} of {len(frame):,} rows)" if len(frame) > rows else ""
    return HtmlTable(
        f"<table><caption>{escape(caption)}{more}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _shape(column: pd.Series, specification: str | None) -> tuple[str, str | None]:
    """Class and format of a column's cells: numbers are aligned right, days kept in one line."""
    if pd.api.types.is_datetime64_any_dtype(column):
        return ' class="day"', specification
    present = column.dropna()
    decimal = len(present) > 0 and isinstance(present.iloc[0], Decimal)
    if specification or pd.api.types.is_bool_dtype(column) or not (decimal or pd.api.types.is_numeric_dtype(column)):
        return ' class="number"' if specification else "", specification
    thousands = pd.api.types.is_integer_dtype(column) or (len(present) > 0 and max(map(abs, present)) >= 1000)
    return ' class="number"', ",.0f" if thousands else ".3g"


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
        return format(float(value) if isinstance(value, Decimal) else value, specification)
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d" if value == value.normalize() else "%Y-%m-%d %H:%M")
    if pd.api.types.is_bool(value):
        return "yes" if value else "no"
    return str(value)
