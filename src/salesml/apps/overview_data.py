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
from salesml.apps.data import Board, Shelf, board, shelf
from salesml.errors import NotEnoughData
from salesml.lake import View
from salesml.state.users import current_user
from salesml.workflows.books import book_of
from salesml.workflows.sight import sight
from salesml.workspace import Workspace

LEVELS = ("region", "team", "rep")
FIGURES = ("revenue", "quota_attainment", "bookings", "win_rate", "average_deal", "cycle_days", "slip_rate", "deals_created", "activities",
           "response_hours")  # fmt: skip
OF_PLACES = ("revenue", "quota_attainment", "pipeline", "win_rate")
WEEK, LEAST_DAYS, MONTHS = dt.timedelta(days=7), 28, 12


@dataclass(frozen=True)
class Place:
    """Whose numbers: the company (level "company"), a region, a team or a rep, by key; `label` is what to show."""

    level: str
    key: str
    label: str

    @property
    def where(self) -> dict[str, list[str]]:
        """The slice of the book."""
        return {} if self.level == "company" else {self.level: [self.key]}


COMPANY = Place("company", "company", "")


@dataclass(frozen=True)
class Overview:
    """Everything of the screen, for one reader: what he may not see is in none of it.

    book: as of the instant; `sees`: reps the reader may see (None: all); place: whose numbers; places: what there is to choose. period: the
    fiscal quarter so far, or the last whole one where it is younger than four weeks.
    """

    workspace: Workspace
    found: Shelf
    board: Board
    book: Book
    sees: frozenset[str] | None
    place: Place
    places: tuple[Place, ...]
    period: Period

    @property
    def where(self) -> dict[str, list[str]]:
        """The slice of the book that the place and the reader's sight leave."""
        if self.sees is None:
            return self.place.where
        allowed = [name for name in self.book.names["rep"] if name in self.sees]
        if self.place.level == "rep":
            return {"rep": [name for name in allowed if name == self.place.key]}
        return {**self.place.where, "rep": allowed}

    @property
    def currency(self) -> str:
        """The workspace's currency."""
        return self.book.currency

    @property
    def quarter(self) -> Period:
        """The fiscal quarter that the instant lies in."""
        return self.board.quarter

    def landing(self) -> pipeline.Landing | None:
        """Where the quarter of the place lands, as forecast; None without a forecast, and for a part that no forecast is made for."""
        if self.sees is not None and self.place.level != "rep":
            return None
        rows = self.board.forecast
        rows = rows[(rows["entity_type"] == self.place.level) & ((self.place.level == "company") | (rows["entity_id"] == self.place.key))]
        return pipeline.landing(self.months(), rows.sort_values("period_start"), self.quarter) if len(rows) else None

    def forecast(self) -> pd.DataFrame:
        """Forecast rows of the place, in the order of time."""
        rows = self.board.forecast
        mine = (rows["entity_type"] == self.place.level) & ((self.place.level == "company") | (rows["entity_id"] == self.place.key))
        return rows[mine].sort_values("period_start") if self.landing() is not None else rows[:0]

    def months(self) -> pd.DataFrame:
        """Revenue of whole months: month, amount."""
        rows = measure(self.book, ["revenue"], where=self.where, every="month")
        rows = rows[rows["period"] < pd.Timestamp(self.book.day.replace(day=1))]
        return rows.rename(columns={"period": "month", "revenue": "amount"})

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
        deals = self.board.deals
        rows = set(drill(self.book, "open_deals", where=self.where, most=1_000_000)["opportunity_id"])
        return deals[deals["warned"] & deals["opportunity_id"].isin(rows)].head(most)

    def quota(self) -> Decimal | None:
        """The quota of the quarter; None where none is set."""
        found = self.now()["quota"].iloc[0]
        return None if pd.isna(found) else found


def overview(workspace: Workspace, as_of: dt.datetime | None = None, place: str = "") -> Overview:
    """The overview for the current user as of an instant (default: the newest there is); place as "level:key", "" for all he may see.

    A place that is not there or not his to see is the whole. Raises NotEnoughData in an empty lake, BadParameter for a user without sight.
    """
    found = shelf(workspace)
    at = board(workspace, found, as_of)
    book = book_of(workspace, at.as_of, tables=found.tables)
    sees = sight(at.view, current_user(workspace))
    offered = places(book, sees, at.view)
    chosen = {f"{one.level}:{one.key}": one for one in offered}.get(place, offered[0])
    return Overview(workspace, found, at, book, sees, chosen, offered, period_of(book.day, at.quarter))


def places(book: Book, sees: frozenset[str] | None, view: View) -> tuple[Place, ...]:
    """The company, then every region with its teams and their reps that have deals, quota or revenue and that the reader may see."""
    rows = measure(book, ["deals_created"], by=["region", "team", "rep"])
    rows = rows[rows["rep"].isin(sees)] if sees is not None else rows
    labels = {level: dict(zip(book.names[level], book.labels[level], strict=True)) for level in LEVELS}
    found = [COMPANY]
    for row in rows.sort_values(list(LEVELS)).to_dict("records"):
        levels = [level for level in LEVELS if level == "region" or not row[level].startswith("(")]
        named = [Place(level, row[level], labels[level][row[level]]) for level in levels]
        found += [one for one in named if one not in found]
    return tuple(found)


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
