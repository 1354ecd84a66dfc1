"""What the overview shows, read from the lake: the company or a part of it as of an instant, beside how it was. Never trains or scores."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.book import Book
from salesml.analytics.movement import waterfall
from salesml.analytics.slices import Period, compare, drill, measure, previous, year_before
from salesml.apps.seen import LEVELS, Seen, see
from salesml.errors import NotEnoughData
from salesml.workflows.books import book_of
from salesml.workspace import Workspace

FIGURES = ("revenue", "quota_attainment", "bookings", "win_rate", "average_deal", "cycle_days", "slip_rate", "deals_created", "activities",
           "response_hours")  # fmt: skip
OF_PLACES = ("revenue", "quota_attainment", "pipeline", "win_rate")
WEEK, LEAST_DAYS, MONTHS = dt.timedelta(days=7), 28, 12


@dataclass(frozen=True)
class Overview(Seen):
    """Everything of the screen. period: the fiscal quarter so far, or the last whole one where it is younger than four weeks."""

    period: Period

    def now(self) -> pd.DataFrame:
        """Open pipeline, coverage, quota and revenue of the quarter: one row."""
        return measure(self.book, ["pipeline", "open_deals", "coverage", "quota", "revenue"], where=self.where, period=self.quarter)

    def figures(self) -> pd.DataFrame:
        """Figures of the period beside the one before and the year before: measure, now, before, share, better, year."""
        names = [name for name in FIGURES if name != "quota_attainment" or self.sees is None or self.place.level == "rep"]
        last, year = same_length(self.period), year_before(self.period)
        beside = compare(self.book, names, self.period, last, where=self.where)
        back = compare(self.book, names, self.period, year, where=self.where)
        return beside.assign(year=back["before"].to_numpy())

    def behind(self, name: str, most: int) -> pd.DataFrame:
        """The rows a figure of the period is counted from, the greatest first (`slices.drill`); of attainment those of revenue."""
        asked = "revenue" if name == "quota_attainment" else name
        rows = drill(self.book, asked, where=self.where, period=self.period, most=most)
        labels = dict(zip(self.book.names["rep"], self.book.labels["rep"], strict=True))
        accounts = dict(zip(self.book.names["account"], self.book.labels["account"], strict=True))
        named = rows["name"] if "name" in rows else pd.Series(None, rows.index, dtype="object")
        other = rows["account"].map(accounts) if "account" in rows else rows.get("activity_type", named)
        return rows.assign(what=named.fillna(other), who=rows["rep"].map(labels))

    def steps(self) -> pd.DataFrame | None:
        """How the open pipeline moved in the last seven days (`movement.waterfall`); None where nothing was known a week ago."""
        try:
            before = book_of(self.workspace, self.book.as_of - WEEK, tables=self.found.tables)
        except NotEnoughData:
            return None
        return waterfall(before, self.book, where=_known_to(before, self.book, self.where))

    def parts(self) -> pd.DataFrame:
        """The next level below the place: key, label, and OF_PLACES of the period; empty for a rep."""
        if self.place.level == "rep":
            return pd.DataFrame()
        level = LEVELS[0 if self.place.level == "company" else LEVELS.index(self.place.level) + 1]
        rows = measure(self.book, OF_PLACES, by=[level], where=self.where, period=self.period)
        labels = dict(zip(self.book.names[level], self.book.labels[level], strict=True))
        there = rows[rows["revenue"].ne(0) | rows["pipeline"].ne(0)]
        return there.assign(key=there[level], label=there[level].map(labels), level=level).sort_values("revenue", ascending=False)

    def needs(self, most: int) -> pd.DataFrame:
        """Open deals with a warning sign, those with most at stake first (`pipeline.attention`)."""
        deals = self.deals()
        return deals[deals["warned"]].head(most)

    def quota(self) -> Decimal | None:
        """The quota of the quarter; None where none is set."""
        found = self.now()["quota"].iloc[0]
        return None if pd.isna(found) else found


def overview(workspace: Workspace, as_of: dt.datetime | None = None, place: str = "") -> Overview:
    """The overview for the current user as of an instant (default: the newest there is); place and errors as `see`."""
    found = see(workspace, as_of, place)
    return Overview(**vars(found), period=period_of(found.book.day, found.quarter))


def period_of(day: dt.date, quarter: Period) -> Period:
    """The quarter so far; the last whole one where it is younger than four weeks."""
    return (quarter[0], day) if (day - quarter[0]).days >= LEAST_DAYS else previous(quarter)


def same_length(period: Period) -> Period:
    """What to compare with: the whole quarter before a whole one, else as many days from the start of the quarter before."""
    start, end = period
    if start.day == end.day == 1:
        return previous(period)
    before = pipeline.months_later(start, -3)
    return before, before + (end - start)


def _known_to(before: Book, after: Book, where: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: [one for one in keys if one in before.names[name] or one in after.names[name]] for name, keys in where.items()}
