"""Whose numbers a screen shows and who may look: the company, a region, a team or a rep as of an instant, within a reader's sight."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.book import Book
from salesml.analytics.slices import Period, drill, measure
from salesml.apps.data import Board, Shelf, kept_board, shelf
from salesml.errors import NotEnoughData
from salesml.state.users import current_user
from salesml.workflows.books import book_of
from salesml.workflows.sight import person, sight
from salesml.workspace import Workspace

LEVELS = ("region", "team", "rep")


@dataclass(frozen=True)
class Place:
    """Whose numbers: the company (level "company"), a region, a team or a rep, by key; `label` is what to show."""

    level: str
    key: str
    label: str

    @property
    def name(self) -> str:
        """The place as an address names it: "region:East"."""
        return f"{self.level}:{self.key}"

    @property
    def where(self) -> dict[str, list[str]]:
        """The slice of the book."""
        return {} if self.level == "company" else {self.level: [self.key]}


COMPANY = Place("company", "company", "")


@dataclass(frozen=True)
class Seen:
    """What every screen starts from, for one reader: what he may not see is in none of it.

    book: as of the instant; `sees`: reps the reader may see (None: all); place: whose numbers; places: what there is to choose, the first
    where nothing is asked for.
    """

    workspace: Workspace
    found: Shelf
    board: Board
    book: Book
    sees: frozenset[str] | None
    place: Place
    places: tuple[Place, ...]

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

    def forecast(self) -> pd.DataFrame:
        """Forecast rows of the place in the order of time; none where no forecast is made or the reader sees but a part of it."""
        rows = self.board.forecast
        mine = (rows["entity_type"] == self.place.level) & ((self.place.level == "company") | (rows["entity_id"] == self.place.key))
        return rows[mine & (self.sees is None or self.place.level == "rep")].sort_values("period_start")

    def landing(self) -> pipeline.Landing | None:
        """Where the quarter of the place lands, as forecast; None without a forecast."""
        rows = self.forecast()
        return pipeline.landing(self.months(), rows, self.quarter) if len(rows) else None

    def months(self) -> pd.DataFrame:
        """Revenue of whole months: month, amount."""
        rows = measure(self.book, ["revenue"], where=self.where, every="month")
        rows = rows[rows["period"] < pd.Timestamp(self.book.day.replace(day=1))]
        return rows.rename(columns={"period": "month", "revenue": "amount"})

    def deals(self) -> pd.DataFrame:
        """Open deals of the place, those with most at stake first (`pipeline.attention`, adjustments in force)."""
        rows = set(drill(self.book, "open_deals", where=self.where, most=1_000_000)["opportunity_id"])
        return self.board.deals[self.board.deals["opportunity_id"].isin(rows)]


def see(
    workspace: Workspace, as_of: dt.datetime | None = None, place: str = "", levels: Collection[str] = ("company", *LEVELS)
) -> Seen:  # fmt: skip
    """What the current user sees as of an instant (default: the newest there is); place as "level:key", "" for the first on offer.

    levels: of the places on offer; of reps alone the reader himself comes first, then those with open deals. A place that is not there or
    not his to see is the first. Raises NotEnoughData in an empty lake or without a place, BadParameter for a user without sight.
    """
    found = shelf(workspace)
    at = kept_board(workspace, found, as_of)
    book = book_of(workspace, at.as_of, tables=found.tables)
    sees = sight(at.view, current_user(workspace))
    offered = tuple(one for one in places(book, sees) if one.level in levels)
    if set(levels) == {"rep"}:
        offered = _in_turn(book, offered, person(at.view, current_user(workspace)))
    if not offered:
        raise NotEnoughData("no rep whose numbers you may see has a deal")
    return Seen(workspace, found, at, book, sees, {one.name: one for one in offered}.get(place, offered[0]), offered)


def _in_turn(book: Book, reps: tuple[Place, ...], me: str | None) -> tuple[Place, ...]:
    """Reps, the reader first, then those with open deals, by name."""
    rows = measure(book, ["open_deals"], by=["rep"])
    busy = set(rows["rep"][rows["open_deals"] > 0])
    return tuple(sorted(reps, key=lambda one: (one.key != me, one.key not in busy, one.label.casefold(), one.key)))


def places(book: Book, sees: frozenset[str] | None) -> tuple[Place, ...]:
    """The company, then every region with its teams and their reps that have deals and that the reader may see."""
    rows = measure(book, ["deals_created"], by=["region", "team", "rep"])
    rows = rows[rows["rep"].isin(sees)] if sees is not None else rows
    labels = {level: dict(zip(book.names[level], book.labels[level], strict=True)) for level in LEVELS}
    found = [COMPANY]
    for row in rows.sort_values(list(LEVELS)).to_dict("records"):
        levels = [level for level in LEVELS if level == "region" or not row[level].startswith("(")]
        named = [Place(level, row[level], labels[level][row[level]]) for level in levels]
        found += [one for one in named if one not in found]
    return tuple(found)
