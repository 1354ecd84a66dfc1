"""Performance of a period: every measure beside the period before, as known now and as it looked then; by a dimension; by month."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from salesml.analytics.book import Book
from salesml.analytics.measures import MEASURES
from salesml.analytics.pipeline import months_later, quarter
from salesml.analytics.slices import Period, compare, measure, previous
from salesml.analytics.words import money, percent
from salesml.errors import NotEnoughData
from salesml.lake import Lake
from salesml.workflows.benchmark import period_of
from salesml.workflows.books import book_of
from salesml.workspace import Workspace

FIGURES = tuple(MEASURES)
SLICED = ("revenue", "bookings", "deals_won", "win_rate", "average_deal", "cycle_days", "pipeline")
MONTHLY = ("revenue", "bookings", "deals_created", "deals_won", "win_rate", "cycle_days", "slip_rate")


@dataclass(frozen=True)
class Performance:
    """What a period brought, in `currency` where it is money.

    figures: measure, now, before (as known now), change, share, better (`slices.compare`), then (before as it looked then; missing where
    nothing was known then). slices: `by` (as shown) and SLICED; months: period and MONTHLY, whole months; book: all rest on it.
    """

    period: Period
    currency: str
    by: str
    figures: pd.DataFrame
    slices: pd.DataFrame
    months: pd.DataFrame
    sentence: str
    head_id: int
    book: Book

    @property
    def meanings(self) -> pd.DataFrame:
        """Every measure: measure, title, unit, what it is, better (up, down or neither)."""
        rows = [(one.name, one.title, one.unit, one.formula, one.good) for one in MEASURES.values()]
        return pd.DataFrame(rows, columns=["measure", "title", "unit", "what it is", "better"])

    def now(self, name: str) -> float | None:
        """A measure of the period; None where nothing is counted."""
        found = self.figures.set_index("measure")["now"][name]
        return None if pd.isna(found) else float(found)


def performance(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, period: str = "", by: str = "region", months: int = 12
) -> Performance:
    """Measures of a period, the last whole fiscal quarter unless told otherwise. Raises BadParameter, NotEnoughData of an empty lake."""
    tables = Lake(workspace).open()
    book = book_of(workspace, tables.instant(as_of), tables=tables)
    start = workspace.settings.fiscal_year_start
    asked = period_of(period, start) if period else previous(quarter(book.day, start))
    before = previous(asked)
    figures = compare(book, FIGURES, asked, before)
    try:
        then = book_of(workspace, workspace.instant(asked[0]), tables=tables)
        looked = compare(book, FIGURES, asked, before, then=then)["before"].to_numpy()
    except NotEnoughData:
        looked = None
    first = months_later(book.day.replace(day=1), -months)
    monthly = measure(book, MONTHLY, period=(first, book.day.replace(day=1)), every="month")
    labels = dict(zip(book.names[by], book.labels[by], strict=True)) if by in book.names else {}
    sliced = measure(book, SLICED, by=[by], period=asked)
    sliced = sliced[sliced["deals_won"].gt(0) | sliced["pipeline"].ne(0) | sliced["revenue"].ne(0)].sort_values("revenue", ascending=False)
    shown = sliced.assign(**{by: sliced[by].map(labels)}).reset_index(drop=True)
    return Performance(
        asked, book.currency, by, figures.assign(then=looked), shown, monthly,
        _sentence(figures.set_index("measure"), book.currency, asked), tables.head.id, book,
    )  # fmt: skip


def _sentence(figures: pd.DataFrame, currency: str, period: Period) -> str:
    """Revenue, what share of the quota it is, and how win rate and bookings stand beside the period before."""
    now, before = figures["now"], figures["before"]
    last = period[1] - dt.timedelta(days=1)
    told = f"From {period[0]} to {last} revenue was {money(now['revenue'], currency)}"
    if not pd.isna(now["quota_attainment"]):
        told += f", {percent(now['quota_attainment'])} of the quota"
    told += f"; bookings were {money(now['bookings'], currency)}"
    if not pd.isna(figures["share"]["bookings"]):
        told += f", {figures['share']['bookings']:+.0%} beside the period before"
    if pd.isna(now["win_rate"]):
        return f"{told}. No deal closed."
    beside = "" if pd.isna(before["win_rate"]) else f", {100 * (now['win_rate'] - before['win_rate']):+.1f} points"
    return f"{told}. Of the deals that closed {percent(now['win_rate'])} were won{beside}."
