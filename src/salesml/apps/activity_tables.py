"""The tables of the activity app, each said once: its screen shows the first rows, its files more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any

import pandas as pd

from salesml.analytics.words import MISSING, absent
from salesml.apps import activity_words, theme
from salesml.apps.activity_data import Touch
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.placed import Ways
from salesml.reporting.document import COUNT, DAYS, SHARE, Column, Format, Grid, Paragraph, Part, Value, money

TENTHS = Format("number", decimals=1)
FILED = 100
"""Rows of a table that a file holds."""


@dataclass(frozen=True)
class Listed:
    """A table: rows in the columns' formats, and by row the deal its first cell leads to, if any."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    deals: tuple[str | None, ...] = ()

    def html(self, language: Language, ways: Ways, most: int) -> str:
        """The first rows as HTML, and how many more there are."""
        told = []
        for place, row in enumerate(self.rows[:most]):
            cells = [escape(_shown(language, value, column.format)) for value, column in zip(row, self.columns, strict=True)]
            if self.deals and (deal := self.deals[place]):
                cells[0] = f'<a href="{escape(ways.app("pipeline", screen="story", deal=deal))}">{cells[0]}</a>'
            told.append(cells)
        numbers = [place for place, column in enumerate(self.columns) if column.format.kind != "text"]
        more = f'<p class="soft">{escape(self.left(language, most))}</p>' if len(self.rows) > most else ""
        return theme.table(self.caption, [one.name for one in self.columns], told, numbers=numbers, kind="cards") + more

    def parts(self, language: Language) -> list[Part]:
        """The first FILED rows as parts of a document, and how many more there are."""
        if not self.rows:
            return []
        more = [Paragraph(self.left(language, FILED))] if len(self.rows) > FILED else []
        return [Grid(self.caption, self.columns, self.rows[:FILED]), *more]

    def left(self, language: Language, most: int) -> str:
        """How many rows stand below the first so many."""
        return language.n_("{n} more stands lower.", "{n} more stand lower.", len(self.rows) - most)


def parts(name: str) -> Callable[[Touch, Language], list[Part]]:
    """The tables of a card as parts of a document."""

    def made(at: Touch, language: Language) -> list[Part]:
        return [part for one in TABLES[name](at, language) for part in one.parts(language)]

    return made


def silent(at: Touch, language: Language) -> list[Listed]:
    """Open deals silent for over 14 days."""
    _, amount = language._, money(at.currency)
    rows = records(at.silent())
    columns = [Column(_("Deal")), Column(_("Silent for"), DAYS), Column(_("Amount"), amount), Column(_("Chance to win"), SHARE),
               Column(_("Stage"))]  # fmt: skip
    told = [(str(one.name), int(one.silent_days), _plain(one.amount), _plain(one.probability), str(one.stage)) for one in rows]
    caption = _("Silent for over 14 days, most at stake first: amount × chance to win")
    return [_listed(at, language, caption, columns, told, [one.rep_name for one in rows], [one.opportunity_id for one in rows])]


def waiting(at: Touch, language: Language) -> list[Listed]:
    """Conversations without an answer for over a day."""
    _, types, rows = language._, activity_words.types(language), records(at.done.waiting)
    kinds = {"deal": _("Deal"), "lead": _("Lead"), "account": _("Account"), "contact": _("Contact")}
    columns = [Column(_("About")), Column(_("Waits"), DAYS), Column(_("Messages"), COUNT), Column(_("Last by")),
               Column(_("Amount"), money(at.currency))]  # fmt: skip
    told = [
        (
            f"{kinds[one.kind]}: {one.name}", int(one.hours // 24), int(one.messages), types.get(str(one.type), str(one.type)),
            None if pd.isna(one.cents) else Decimal(int(one.cents)).scaleb(-2),
        )
        for one in rows
    ]  # fmt: skip
    caption = _("Without an answer for over a day: deals first, the greatest first; a last word that needs no answer counts too")
    deals = [one.about if one.kind == "deal" else None for one in rows]
    return [_listed(at, language, caption, columns, told, [one.rep_name for one in rows], deals)]


def coverage(at: Touch, language: Language) -> list[Listed]:
    """Accounts in charge that were not touched this quarter."""
    _, rows = language._, records(at.untouched())
    labels = dict(zip(at.book.names["rep"], at.book.labels["rep"], strict=True))
    columns = [Column(_("Account")), Column(_("Revenue so far"), money(at.currency))]
    told = [(str(one.name), one.revenue) for one in rows]
    caption = _("Not touched since {day}, most revenue so far first", day=language.day(at.done.quarter))
    return [_listed(at, language, caption, columns, told, [labels.get(one.rep, one.rep) for one in rows], [])]


def response(at: Touch, language: Language) -> list[Listed]:
    """How customers' messages are answered, by type."""
    _, types = language._, activity_words.types(language)
    columns = (
        Column(_("Message")), Column(_("Messages"), COUNT), Column(_("Answered so far"), SHARE), Column(_("Half within (hours)"), TENTHS),
        Column(_("Within a day"), SHARE), Column(_("90 % interval")),
    )  # fmt: skip
    told = tuple(
        (
            types.get(str(one.type), str(one.type)), int(one.messages), *map(_plain, (one.answered, one.hours, one.soon)),
            _interval(one, language.percent),
        )
        for one in records(at.done.types)
    )  # fmt: skip
    return [Listed(_("Customers' messages by type"), columns, told)]


def outcomes(at: Touch, language: Language) -> list[Listed]:
    """What goes with wins in the whole company: behaviours of the first weeks, and how soon touched deals move on."""
    _, names = language._, activity_words.behaviours(language)
    sure = {True: _("told apart"), False: _("not told apart")}
    band = activity_words.band
    columns = (
        Column(_("Behaviour")), Column(_("In the first"), DAYS), Column(_("Compared")), Column(_("Win rate, points"), TENTHS),
        Column(_("90 % interval")), Column(_("Verdict")),
    )  # fmt: skip
    told = tuple(
        (
            names[one.behaviour], int(one.days), _("{high} against {low}", high=band(language, one.high), low=band(language, one.low)),
            100 * float(one.difference), _interval(one, lambda value: language.number(100 * value, 1)), sure[bool(one.told)],
        )
        for one in records(at.related())
    )  # fmt: skip
    stages = (Column(_("Stage")), Column(_("Times as often"), TENTHS), Column(_("90 % interval")), Column(_("Verdict")))
    ratios = at.done.ratios[at.done.ratios["ratio"].notna()]
    moved = tuple(
        (str(one.stage), float(one.ratio), _interval(one, lambda value: language.number(value, 1)), sure[bool(one.told)])
        for one in records(ratios)
    )
    return [
        Listed(_("Difference in win rate between the most and the least of a behaviour, all else known held equal"), columns, told),
        Listed(_("Deals touched within a week move to the next stage so many times as often as deals silent for over two"), stages, moved),
    ]


TABLES: dict[str, Callable[[Touch, Language], list[Listed]]] = {
    "silent": silent, "waiting": waiting, "coverage": coverage, "response": response, "outcomes": outcomes,
}  # fmt: skip
"""By card."""


def _listed(
    at: Touch, language: Language, caption: str, columns: list[Column], rows: list[tuple], reps: Sequence[Any], deals: Sequence[str | None]
) -> Listed:
    """A table with the reps as its last column, unless the place is a rep."""
    if at.place.level == "rep":
        return Listed(caption, tuple(columns), tuple(rows), tuple(deals))
    whose = [MISSING if absent(one) else str(one) for one in reps]
    named = tuple((*row, rep) for row, rep in zip(rows, whose, strict=True))
    return Listed(caption, (*columns, Column(language._("Rep"))), named, tuple(deals))


def _shown(language: Language, value: Value, form: Format) -> str:
    if value is None:
        return MISSING
    if form.kind == "money":
        return language.money(value, str(form.currency))
    if form.kind == "share":
        return language.percent(value)
    if form.kind == "days":
        return language.n_("{n} day", "{n} days", int(float(str(value))))
    return str(value) if form.kind == "text" else language.number(value, form.decimals or 0)


def _plain(value: Any) -> Any:
    return None if absent(value) else value if isinstance(value, Decimal) else float(value)


def _interval(row: Any, say: Callable[[Any], str]) -> str:
    return MISSING if absent(row.lo) else f"{say(row.lo)} … {say(row.hi)}"
