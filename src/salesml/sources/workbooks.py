"""Sheets of Excel and OpenDocument workbooks as text columns."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from python_calamine import CalamineWorkbook

from salesml.errors import BadInput


def sheets_of(path: Path) -> list[str]:
    """Names of the visible sheets; BadInput if the file is no workbook."""
    names = _opened(path).sheet_names
    if not names:
        raise BadInput("the workbook has no sheet", file=path.name)
    return names


def rows_of(path: Path, sheet: str) -> list[list[str | None]]:
    """Rows of a sheet as text, leading empty rows left out: dates as ISO text, whole numbers without a fraction, blanks as None."""
    try:
        rows = _opened(path).get_sheet_by_name(sheet).to_python(skip_empty_area=True)
    except Exception as error:
        raise BadInput(
            f"sheet {sheet!r} cannot be read ({error})", file=path.name, mend="Open it, save it again as .xlsx or .csv."
        ) from error
    return [[_text(value) for value in row] for row in rows]


def _opened(path: Path) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_path(str(path))
    except Exception as error:
        mend = "If it is protected by a password, save it without; otherwise save it again as .xlsx or .csv."
        raise BadInput(f"the workbook cannot be opened ({error})", file=path.name, mend=mend) from error


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (dt.datetime, dt.date, dt.time)):
        return value.isoformat()
    return str(value)
