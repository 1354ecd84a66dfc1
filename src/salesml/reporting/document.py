"""A view as a document before it is a file: what is said, with which figures, tables and charts, as exact values.

Words come in translated; numbers and dates come in as values with a declared format, and each exporter shows them.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from babel import Locale, UnknownLocaleError

from salesml.errors import BadInput, BadParameter

Kind = Literal["text", "count", "money", "share", "number", "date", "days"]
ChartKind = Literal["line", "bar", "stacked", "waterfall"]
Number = int | Decimal | float
Value = str | int | Decimal | float | dt.date | None
MOST_DECIMALS = 6


@dataclass(frozen=True)
class Format:
    """How values are shown: kind, the currency of money (ISO code), digits after the point (None: as the kind has them).

    A share is 0.125 and shown as 12.5 %; days are shown with their unit. BadInput for a currency that is none.
    """

    kind: Kind
    currency: str | None = None
    decimals: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in Kind.__args__:  # type: ignore[attr-defined]
            raise BadParameter(f"kind {self.kind!r} is none of {', '.join(Kind.__args__)}")  # type: ignore[attr-defined]
        if (self.kind == "money") != (self.currency is not None):
            raise BadInput(f"{self.kind} with currency {self.currency!r}", mend="Give money, and money alone, a currency")
        if self.currency is not None and not re.fullmatch("[A-Z]{3}", self.currency):
            raise BadInput("not a currency code", value=self.currency, mend="Use three capitals as in ISO 4217: EUR")
        if self.decimals is not None and not 0 <= self.decimals <= MOST_DECIMALS:
            raise BadParameter(f"decimals {self.decimals} is not between 0 and {MOST_DECIMALS}")


TEXT, COUNT, SHARE, DATE, DAYS = Format("text"), Format("count"), Format("share"), Format("date"), Format("days")


def money(currency: str, decimals: int = 2) -> Format:
    """Amounts of a currency, with cents unless told otherwise."""
    return Format("money", currency, decimals)


@dataclass(frozen=True)
class Heading:
    """The title of the parts that follow."""

    text: str


@dataclass(frozen=True)
class Paragraph:
    """A few sentences, plain text."""

    text: str


@dataclass(frozen=True)
class Figure:
    """One number with its name; the remark says what it rests on or how it compares."""

    name: str
    value: Value
    format: Format
    remark: str = ""

    def __post_init__(self) -> None:
        _check(self.value, self.format, self.name)


@dataclass(frozen=True)
class Figures:
    """Figures read together."""

    items: tuple[Figure, ...]


@dataclass(frozen=True)
class Column:
    """A column of a grid: its heading and the format of its values."""

    name: str
    format: Format = TEXT


@dataclass(frozen=True)
class Grid:
    """A table: caption, columns, rows of values in the columns' order, and a closing row (a total) where there is one.

    BadInput names the row (1 = the first) and column of a value that does not go with its format.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    total: tuple[Value, ...] | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise BadInput("a table without columns", file=self.caption, mend="Give at least one")
        for number, row in enumerate(self.rows, 1):
            self._check_row(row, number)
        if self.total is not None:
            self._check_row(self.total, len(self.rows) + 1, total=True)

    def _check_row(self, row: tuple[Value, ...], number: int, total: bool = False) -> None:
        if len(row) != len(self.columns):
            reason = f"{len(row)} values for {len(self.columns)} columns"
            raise BadInput(reason, file=self.caption, row=number, mend="Give None where there is no value")
        for value, column in zip(row, self.columns, strict=True):
            _check(value, TEXT if total and isinstance(value, str) else column.format, self.caption, number, column.name)


@dataclass(frozen=True)
class Series:
    """The values of a chart's categories, None where there is none.

    lower, upper: bounds of the values (line charts), None where there are none; band: what the bounds are ("80 % interval");
    ahead: the values are expected, not measured, and drawn dashed.
    """

    name: str
    values: tuple[Number | None, ...]
    lower: tuple[Number | None, ...] = ()
    upper: tuple[Number | None, ...] = ()
    band: str = ""
    ahead: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: one value of each series for each category; alt says in words what it shows.

    A waterfall has one series of changes; the categories numbered in `totals` (0 = the first) are levels instead, and each must equal
    what stands before it, exactly (BadInput otherwise). One series of a line chart may have bounds.
    """

    kind: ChartKind
    title: str
    categories: tuple[str, ...]
    series: tuple[Series, ...]
    format: Format
    alt: str
    totals: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in ChartKind.__args__:  # type: ignore[attr-defined]
            raise BadParameter(f"chart {self.kind!r} is none of {', '.join(ChartKind.__args__)}")  # type: ignore[attr-defined]
        if not self.alt.strip() or not self.series:
            raise BadInput("a chart needs a series and a text for who cannot see it", file=self.title, mend="Give both")
        if self.format.kind in ("text", "date"):
            raise BadInput(f"a chart of {self.format.kind}", file=self.title, mend="Charts show numbers")
        for one in self.series:
            self._check_series(one)
        if sum(bool(one.lower) for one in self.series) > 1:
            raise BadInput("two series with bounds", file=self.title, mend="Give bounds to one series of a chart")
        if self.kind == "waterfall":
            self._check_sums()

    def _check_series(self, one: Series) -> None:
        bounded = bool(one.lower or one.upper)
        if bounded and self.kind != "line":
            raise BadInput(f"bounds in a {self.kind} chart", file=self.title, column=one.name, mend="Use a line chart")
        for values in (one.values, *((one.lower, one.upper) if bounded else ())):
            if len(values) != len(self.categories):
                reason = f"{len(values)} values for {len(self.categories)} categories"
                raise BadInput(reason, file=self.title, column=one.name, mend="Give None where there is no value")
            for number, value in enumerate(values, 1):
                _check(value, self.format, self.title, number, one.name)
        for number, (low, high) in enumerate(zip(one.lower, one.upper, strict=True), 1):
            if (low is None) != (high is None) or (low is not None and high is not None and low > high):
                reason = f"bounds from {low} to {high}"
                raise BadInput(reason, file=self.title, row=number, column=one.name, mend="Give the lower one first, or neither")

    def _check_sums(self) -> None:
        if len(self.series) != 1 or any(not 0 <= place < len(self.categories) for place in self.totals):
            raise BadInput("a waterfall has one series and totals among its categories", file=self.title, mend="Mend them")
        if None in self.series[0].values:
            raise BadInput("a waterfall with a gap", file=self.title, mend="Use 0 for no change")
        level: Number | None = None
        for place, value in enumerate(self.series[0].values):
            if place in self.totals and level is not None and not _equal(value, level):
                reason = f"{self.categories[place]} is {value}, what stands before it adds up to {level}"
                raise BadInput(reason, file=self.title, row=place + 1, mend="Name every change between the levels")
            level = value if place in self.totals or level is None else level + value  # type: ignore[operator]


Part = Heading | Paragraph | Figures | Grid | Chart


@dataclass(frozen=True)
class Document:
    """What a reader is handed: the answer in one sentence first, the parts after it.

    context: lines that say what the numbers rest on (as of, filters, data version, currency); made_at: an instant (UTC), written into
    the file as its time of making, so that the same document is the same file; locale: "en", "pt_BR"; paper: of print.
    """

    title: str
    answer: str
    parts: tuple[Part, ...]
    made_at: dt.datetime
    context: tuple[str, ...] = ()
    locale: str = "en"
    paper: Literal["a4", "us-letter"] = "a4"

    def __post_init__(self) -> None:
        if not self.title.strip() or not self.answer.strip():
            raise BadInput("a document without title or answer", mend="Say in one sentence what the view answers")
        if self.made_at.tzinfo is None:
            raise BadInput("a time without a zone", column="made_at", value=str(self.made_at), mend="Give an instant in UTC")
        if self.paper not in ("a4", "us-letter"):
            raise BadParameter(f"paper {self.paper!r} is none of a4, us-letter")
        try:
            Locale.parse(self.locale, sep="-" if "-" in self.locale else "_")
        except (UnknownLocaleError, ValueError) as unknown:
            raise BadParameter(f"locale {self.locale!r} is not known; use one like en, es, fr, de, pt_BR") from unknown


def _equal(one: Number | None, other: Number) -> bool:
    """Exactly, or to 1e-9 of the size where a float is among them."""
    if isinstance(one, float) or isinstance(other, float):
        return one is not None and math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other


def _check(value: Value, form: Format, where: str, row: int | None = None, column: str | None = None) -> None:
    """BadInput unless the value goes with its format."""
    if value is None:
        return
    if form.kind == "text":
        fits, wanted = isinstance(value, str), "a str"
    elif form.kind == "date":
        fits, wanted = isinstance(value, dt.date) and not isinstance(value, dt.datetime), "a datetime.date"
    else:
        fits = isinstance(value, int | Decimal | float) and not isinstance(value, bool) and math.isfinite(value)
        wanted = "a finite int, Decimal or float"
    if not fits:
        mend = f"Give {wanted}, or None where there is no value"
        raise BadInput(f"not a value of kind {form.kind}", file=where, row=row, column=column, value=repr(value), mend=mend)
