"""Apps about somebody's numbers, each a declaration: what it reads, its answer and its cards; its picture and its files come from that.

The live page with its widgets is made of the same declaration (`placed_live`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Generic, TypeVar

from salesml.apps import address, frame, theme
from salesml.apps.language import Language
from salesml.apps.seen import Seen
from salesml.errors import UnknownName
from salesml.reporting.document import Document, Heading, Part
from salesml.state import layouts
from salesml.state.users import current_user
from salesml.workspace import Workspace

At = TypeVar("At", bound=Seen)


@dataclass(frozen=True)
class Choice:
    """One more thing the reader chooses: its name in the address, its label, (text, value) pairs, the first where nothing is asked for."""

    name: str
    label: str
    options: Sequence[tuple[str, str]]

    @property
    def values(self) -> list[str]:
        """What may be chosen."""
        return [value for _, value in self.options]


@dataclass(frozen=True)
class Ways:
    """Addresses that lead on: to this app with something else chosen, and to other apps."""

    page: str
    values: Mapping[str, Any]
    filters: Sequence[address.Filter]
    language: str

    def here(self, **changed: Any) -> str:
        """This app with something else chosen (None: the default); what a click had opened is closed unless it is named."""
        return self.page + address.write({**self.values, **changed}, self.filters, self.language)

    def app(self, name: str, **asked: str) -> str:
        """Another app at what it is asked for: `app("pipeline", screen="story", deal="D1")`."""
        return f"/{name}" + address.write(asked, [address.Filter(one, str) for one in asked], self.language)


Body = Callable[[At, Language, Ways], str]


@dataclass(frozen=True)
class Placed(Generic[At]):
    """An app about the numbers of a place as of an instant.

    name: of its notebook and address; title: what stands beside the company's name; read: what it shows, of (workspace, as_of, place,
    other choices by name); answer: its first sentences; titles: its cards in the order they come without a saved layout, and cards: their
    bodies, both by name; parts: the same cards for files; choices: controls beside place and day; opens: what a click opens, by name its
    values, and behind: that as HTML, of (at, language, ways, name, value).
    """

    name: str
    title: Callable[[Language], str]
    read: Callable[[Workspace, dt.datetime | None, str, Mapping[str, str]], At]
    answer: Body
    titles: Callable[[Language], dict[str, str]]
    cards: Mapping[str, Body]
    parts: Mapping[str, Callable[[At, Language], list[Part]]]
    choices: Callable[[Language], Sequence[Choice]] = lambda language: ()
    opens: Mapping[str, Collection[str]] = field(default_factory=dict)
    behind: Callable[[At, Language, Ways, str, str], str] | None = None
    style: str = ""

    @property
    def known(self) -> tuple[str, ...]:
        """The names of its cards."""
        return tuple(self.titles(Language()))

    def filters(self, workspace: Workspace, at: At | None = None) -> list[address.Filter]:
        """What an address may ask for; without what it shows any place, for which of them there are is not known yet."""
        place = address.choice("place", {one.name for one in at.places}) if at else address.Filter("place", str)
        own = [address.choice(one.name, one.values) for one in self.choices(Language())]
        opened = [address.choice(name, values) for name, values in self.opens.items()]
        return [place, address.instant("as_of", workspace), *own, *opened]

    def asked(self, workspace: Workspace, query: str) -> tuple[At, address.Asked]:
        """What an address asks for, read, and the address's values."""
        values = address.read(query, self.filters(workspace)).values
        at = self.read(workspace, values.get("as_of"), values.get("place", ""), chosen(self, values))
        return at, address.read(query, self.filters(workspace, at))

    def picture(self, workspace: Workspace, language: Language, query: str) -> str:
        """The app at an address, as plain HTML and without a kernel; the cards are those of the reader's layout."""
        at, asked = self.asked(workspace, query)
        filters = self.filters(workspace, at)
        ways = self.ways(at, asked.values, language, f"/{self.name}")
        places = (language._("Whose numbers"), place_options(at, language))
        offered: frame.Offered = {
            "place": places, "as_of": (language._("Known up to the end of"), days(at, language)),
            **{one.name: (one.label, one.options) for one in self.choices(language)},
        }  # fmt: skip
        values = {**chosen(self, asked.values), "place": at.place.name, "as_of": at.board.as_of}
        above = frame.ignored(asked, language) + frame.form(offered, values, filters, language)
        shown = self.screen(at, language, ways, self.layout(workspace), self.opened(asked.values))
        files = frame.files(self.name, ways.here().removeprefix(ways.page), language)
        return (
            f'<div id="picture" class="app">{self.heading(at, language)}{above}<div class="card">{shown}</div>{files}'
            f"{footing(at, language)}</div>"
        )

    def screen(self, at: At, language: Language, ways: Ways, cards: Sequence[str], opened: tuple[str, str] | None = None) -> str:
        """The answer, what a click has opened, then cards in their order."""
        titles = self.titles(language)
        parts = [f"<style>{self.style}</style>" if self.style else "", self.answer(at, language, ways)]
        if opened and self.behind:
            parts.append(self.behind(at, language, ways, *opened))
        for name in cards:
            body = self.cards[name](at, language, ways)
            parts.append(f'<section aria-labelledby="card-{name}"><h2 id="card-{name}">{escape(titles[name])}</h2>{body}</section>')
        return "".join(parts)

    def heading(self, at: At, language: Language) -> str:
        """The page's heading."""
        return f"<h1>{escape(at.workspace.settings.name)} · {escape(self.title(language))}</h1>"

    def layout(self, workspace: Workspace) -> tuple[str, ...]:
        """The cards of the reader's layout, in their order."""
        return layouts.opening(workspace, current_user(workspace), self.name, known=self.known).cards

    def opened(self, values: Mapping[str, Any]) -> tuple[str, str] | None:
        """What an address has opened: its name and value."""
        return next(((name, values[name]) for name in self.opens if name in values), None)

    def ways(self, at: At, values: Mapping[str, Any], language: Language, page: str) -> Ways:
        """Ways on from here; `page` is the address without its query."""
        kept = {name: value for name, value in values.items() if name not in self.opens}
        here = {**kept, "place": None if at.place == at.places[0] else at.place.name}
        newest = at.board.as_of == days(at, language)[0][1]
        return Ways(page, {**here, "as_of": None if newest else at.board.as_of}, self.filters(at.workspace, at), language.code)

    def document(self, workspace: Workspace, language: Language, query: str, *, strict: bool = False) -> Document:
        """What the app shows at an address, to be written as a file. `strict`: UnknownName for a place there is not."""
        at, asked = self.asked(workspace, query)
        wanted = address.read(query, self.filters(workspace)).values.get("place")
        if strict and wanted and wanted not in {one.name for one in at.places}:
            raise UnknownName("place", wanted, [one.name for one in at.places])
        titles, parts = self.titles(language), list[Part]()
        for name in self.layout(workspace):
            found = self.parts[name](at, language)
            parts += [Heading(titles[name]), *found] if found else []
        said = self.answer(at, language, self.ways(at, asked.values, language, "")).split("</p>")[0]
        context = (
            language._("Whose numbers") + f": {at.place.label or whole(at, language)}",
            language._("Known up to the end of {day}.", day=language.until(at.book.as_of, workspace.zone)),
            language._("Lake state {head}; all amounts in {currency}.", head=at.found.tables.head.id, currency=at.currency),
        )
        title = f"{workspace.settings.name} · {self.title(language)}"
        made_at = dt.datetime.now(dt.UTC).replace(microsecond=0)
        return Document(title, theme.plain(said), tuple(parts), made_at, context, language.code)


def chosen(app: Placed[Any], values: Mapping[str, Any]) -> dict[str, str]:
    """The choices an address makes beside place and day, by name; the default where it makes none or one there is not."""
    found = {one.name: (values.get(one.name), one.values) for one in app.choices(Language())}
    return {name: value if value in offered else offered[0] for name, (value, offered) in found.items()}


def place_options(at: Seen, language: Language) -> list[tuple[str, str]]:
    """What to choose from: (text, value), the levels below the first set in."""
    depth = {"company": "", "region": "", "team": "– ", "rep": "– – "}
    alone = len({one.level for one in at.places}) == 1
    return [(("" if alone else depth[one.level]) + (one.label or whole(at, language)), one.name) for one in at.places]


def days(at: Seen, language: Language) -> list[tuple[str, dt.datetime]]:
    """The instants to choose from, newest first; one that the address asks for comes last where it is none of them."""
    offered = at.found.instants or [at.board.as_of]
    offered = offered if at.board.as_of in offered else [*offered, at.board.as_of]
    return [(language.until(one, at.workspace.zone), one) for one in offered]


def whole(at: Seen, language: Language) -> str:
    """What everything the reader may see is called."""
    return language._("The company") if at.sees is None else language._("You and those you lead")


def footing(at: Seen, language: Language) -> str:
    """What the numbers rest on."""
    told = language._("Lake state {head}; all amounts in {currency}.", head=at.found.tables.head.id, currency=at.currency)
    return f"<footer>{escape(told)}</footer>"
