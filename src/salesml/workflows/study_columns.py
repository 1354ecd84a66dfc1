"""What the columns of a file hold (numbers, dates or text), told from their values and kept for files to come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from salesml.errors import BadInput
from salesml.models.columns import text_of
from salesml.sources.parsing import BLANK

ENOUGH = 0.98  # of the values that are not blank must read as a number or date
CODES = 0.01  # more integers than this with a leading zero: a code, not a number
CLUTTER = r"[\s\u00a0\u202f'’%]|[$€£¥₹]|\b(?:USD|EUR|GBP|CHF|INR|JPY)\b"
PLAIN = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
POINT = rf"{PLAIN}|[-+]?\d{{1,3}}(?:,\d{{2,3}})*,\d{{3}}(?:\.\d*)?"
COMMA = r"[-+]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d*)?|[-+]?,\d+"
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
DAY_FIRST = [f"%d{s}%m{s}{year}{clock}" for year in ("%Y", "%y") for s in "/-." for clock in CLOCKS]
NAMED = [form + clock for form in ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y") for clock in CLOCKS]
YEAR_FIRST = ["ISO8601", *(f"%Y/%m/%d{clock}" for clock in CLOCKS)]
DATED = r"\d{4}[-/]\d{1,2}([-/]\d{1,2}.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}.*|.*[A-Za-z]{3,9}.*\d{4}.*"
SERIALS = (20_000, 80_000)  # days since 1899-12-30: the years 1954 to 2119

Values = Literal["number", "date", "text"]


@dataclass(frozen=True)
class Holds:
    """What a column holds: numbers written with decimal `form` point or comma, dates of strptime `form`, or text."""

    kind: Values
    form: str = ""


def told(column: pd.Series) -> Holds:
    """What the column holds, from all its values; text where fewer than 98 % of them read as one thing."""
    if pd.api.types.is_bool_dtype(column.dtype):
        return Holds("text")
    if pd.api.types.is_numeric_dtype(column.dtype):
        return Holds("number", "point")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Holds("date", "ISO8601")
    values, counts = _distinct(column)
    if not len(values):
        return Holds("text")
    clean = _uncluttered(values)
    if _share(clean.str.fullmatch(r"0\d+"), counts) <= CODES:
        rules = {"point": POINT, "comma": COMMA}
        shares = {form: _share(clean.str.fullmatch(rule), counts) for form, rule in rules.items()}
        best = max(shares, key=lambda form: shares[form])
        if shares[best] >= ENOUGH:
            return Holds("number", best)
    form = date_form(values, counts)
    return Holds("date", form) if form else Holds("text")


def converted(column: pd.Series, holds: Holds) -> pd.Series:
    """The column as float64, datetime64 (UTC, naive) or text; what does not read as `holds` says is missing."""
    if holds.kind == "text":
        return _mapped(column, lambda values: values.map(text_of), "str")
    if holds.kind == "date":
        return _mapped(column, lambda values: _dates(values, holds.form), "datetime64[us]")
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("float64")
    return _mapped(column, lambda values: _numbers(values, holds.form), "float64")


def date_form(values: pd.Series, counts: np.ndarray) -> str | None:
    """The form that reads at least 98 % of the dates; BadInput where day and month could be swapped throughout."""
    if _share(values.str.fullmatch(DATED), counts) < ENOUGH:
        return None
    sample = values.iloc[:500]
    for form in (*YEAR_FIRST, *NAMED, *DAY_FIRST):
        swapped = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        forms = [form, swapped] if form in DAY_FIRST else [form]
        if max(float(_dates(sample, f).notna().mean()) for f in forms) < ENOUGH / 2:
            continue
        shares = {f: _share(_dates(values, f).notna(), counts) for f in forms}
        fitting = [f for f in forms if shares[f] >= ENOUGH]
        if len(fitting) == 2 and not _dates(values, form).equals(_dates(values, swapped)):
            reason, mend = "day and month cannot be told apart", "Write dates as 2017-06-30, or drop the column."
            raise BadInput(reason, column=str(values.name), value=values.iloc[0], mend=mend)
        if fitting:
            return max(fitting, key=lambda f: shares[f])
    return None


def times(column: pd.Series) -> tuple[pd.Series, Holds]:
    """The column as times to order rows by: dates, Excel's serial days, or numbers such as a year or a sequence."""
    holds = told(column)
    if holds.kind == "text":
        values, counts = _distinct(column)
        raise BadInput(
            f"{len(values):,} different values that are neither dates nor numbers",
            column=str(column.name),
            value=str(values.iloc[int(counts.argmax())]) if len(values) else None,
            mend="Give a column of dates (2017-06-30) or numbers as --time.",
        )
    found = converted(column, holds)
    if holds.kind == "number" and found.dropna().between(*SERIALS).all() and len(found.dropna()):
        return pd.to_datetime(found, unit="D", origin="1899-12-30"), Holds("date", "excel")
    return found, holds


def _distinct(column: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """The different values that are not blank, as text, and how often each occurs."""
    counts = column.dropna().astype("str").value_counts(sort=False)
    filled = counts[~counts.index.str.strip().str.lower().isin(BLANK)]
    return pd.Series(filled.index, dtype="str", name=column.name).str.strip(), filled.to_numpy()


def _share(fits: pd.Series, counts: np.ndarray) -> float:
    return float(counts[fits.to_numpy(dtype=bool)].sum() / counts.sum())


def _mapped(column: pd.Series, convert: Callable[[pd.Series], pd.Series], dtype: Any) -> pd.Series:
    """Convert each different value once."""
    codes, values = pd.factorize(column)
    texts = pd.Series(values, dtype=object).map(text_of).astype("str").str.strip()
    results = convert(texts.mask(texts == "")) if len(texts) else pd.Series([], dtype=dtype)
    extended = pd.concat([results.astype(dtype), pd.Series([None]).astype(dtype)], ignore_index=True)
    return pd.Series(extended.take(codes).array, index=column.index, name=column.name)


def _uncluttered(values: pd.Series) -> pd.Series:
    bare = values.str.replace(CLUTTER, "", regex=True)
    return bare.str.replace(r"^\((.*)\)$", r"-\1", regex=True)


def _numbers(values: pd.Series, form: str) -> pd.Series:
    clean = _uncluttered(values)
    fits = clean.str.fullmatch(POINT if form == "point" else COMMA).fillna(False).astype(bool)
    plain = clean.str.replace(",", "") if form == "point" else clean.str.replace(".", "").str.replace(",", ".")
    return pd.to_numeric(plain.where(fits), errors="coerce")


def _dates(values: pd.Series, form: str) -> pd.Series:
    if form == "excel":
        return pd.to_datetime(_numbers(values, "point"), unit="D", origin="1899-12-30", errors="coerce")
    return pd.to_datetime(values, format=form, errors="coerce", utc=True).dt.tz_localize(None)
