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
    numeric = {name for name in frame.columns if name in formats or _holds_numbers(frame[name])}
    head = "".join(_head(str(name), units.get(name), name in numeric) for name in frame.columns)
    body = "".join(_row(row, list(frame.columns), formats, numeric) for row in frame.head(rows).itertuples(index=False))
    more = f" (first {rows} of {len(frame):,} rows)" if len(frame) > rows else ""
    return HtmlTable(
        f"<table><caption>{escape(caption)}{more}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _holds_numbers(column: pd.Series) -> bool:
    if pd.api.types.is_bool_dtype(column):
        return False
    present = column.dropna()
    return pd.api.types.is_numeric_dtype(column) or (len(present) > 0 and isinstance(present.iloc[0], Decimal))


def _head(name: str, unit: str | None, numeric: bool) -> str:
    label = escape(name.replace("_", " ")) + (f" <small>({escape(unit)})</small>" if unit else "")
    return f'<th scope="col"{_kind(numeric)}>{label}</th>'


def _row(row: tuple, names: list[Any], formats: Mapping[str, str], numeric: set[Any]) -> str:
    cells = [escape(_shown(value, formats.get(name))) for name, value in zip(names, row, strict=True)]
    rest = "".join(f"<td{_kind(name in numeric)}>{cell}</td>" for name, cell in zip(names[1:], cells[1:], strict=True))
    return f'<tr><th scope="row">{cells[0]}</th>{rest}</tr>'


def _kind(numeric: bool) -> str:
    return ' class="number"' if numeric else ""


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
