"""The overview: where do we land, how do the figures stand, what moved, what needs me; for the company or a part of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
from IPython.display import HTML, display

from salesml.apps import address, controls, frame, theme
from salesml.apps import overview_screens as screens
from salesml.apps.data import Shelf
from salesml.apps.language import Language, chosen
from salesml.apps.overview_data import FIGURES, Overview, overview
from salesml.apps.page import Page
from salesml.errors import SalesmlError
from salesml.figures import movement
from salesml.lake import Lake
from salesml.state import layouts
from salesml.state.users import current_user
from salesml.workspace import Workspace

NAME = "overview"


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the overview of a workspace (default: the one salesml is called for): a picture of it at once, then the app itself."""
    display(HTML(theme.style()))
    try:
        made = OverviewApp(workspace or Workspace.open())
    except SalesmlError as error:
        return widgets.HTML(f'<div class="app">{theme.notice(escape(str(error)))}</div>')
    display(HTML(made.snapshot()))
    return made.root


def picture(workspace: Workspace, language: Language, query: str) -> str:
    """The overview at an address (place, as_of), as plain HTML and without a kernel; the cards are those of the reader's layout."""
    asked = address.read(query, filters_of(workspace))
    at = overview(workspace, asked.values.get("as_of"), asked.values.get("place", ""))
    filters = filters_of(workspace, at)
    asked = address.read(query, filters)
    offered: frame.Offered = {"place": (language._("Whose numbers"), _places(at, language)), "as_of": _days(at, language)}
    values = {"place": f"{at.place.level}:{at.place.key}", "as_of": at.board.as_of}
    above = frame.ignored(asked, language) + frame.form(offered, values, filters, language)
    figure = asked.values.get("figure")
    shown = screens.screen(at, language, cards_of(at.workspace), _link(at, language, f"/{NAME}"), _other(language), figure)
    return (
        f'<div id="picture" class="app"><style>{movement.STYLE}</style>{_heading(at, language)}{above}'
        f'<div class="card">{shown}</div>{_files(at, language)}{_footing(at, language)}</div>'
    )


def filters_of(workspace: Workspace, at: Overview | None = None) -> list[address.Filter]:
    """What an address may ask for; without an overview any place and any day, for which of them there are is not known yet."""
    if at is None:
        return [address.Filter("place", str), address.instant("as_of", workspace), address.choice("figure", FIGURES)]
    return [
        address.choice("place", {f"{one.level}:{one.key}" for one in at.places}),
        address.instant("as_of", workspace, at.found.instants or [at.board.as_of]),
        address.choice("figure", FIGURES),
    ]


def _places(at: Overview, language: Language) -> list[tuple[str, str]]:
    depth = {"company": "", "region": "", "team": "– ", "rep": "– – "}
    whole = language._("The company") if at.sees is None else language._("You and those you lead")
    return [(depth[one.level] + (one.label or whole), f"{one.level}:{one.key}") for one in at.places]


def _days(at: Overview, language: Language) -> tuple[str, list[tuple[str, dt.datetime]]]:
    instants = at.found.instants or [at.board.as_of]
    return language._("Known up to the end of"), [(language.until(one, at.workspace.zone), one) for one in instants]


def cards_of(workspace: Workspace) -> tuple[str, ...]:
    """The cards of the reader's layout, in their order."""
    return layouts.opening(workspace, current_user(workspace), NAME, known=screens.CARDS).cards


def _files(at: Overview, language: Language) -> str:
    """The ways to this view as a file, of the front alone: a live page has no server that makes them."""
    place = f"{at.place.level}:{at.place.key}"
    kinds = (("xlsx", "Excel"), ("pptx", "PowerPoint"), ("pdf", "PDF"))
    links = ", ".join(f'<a href="{escape(_link(at, language, f"/{NAME}/file.{kind}")(place))}">{name}</a>' for kind, name in kinds)
    return f'<p class="soft">{escape(language._("This view as a file:"))} {links}</p>'


def _heading(at: Overview, language: Language) -> str:
    return f"<h1>{escape(at.workspace.settings.name)} · {escape(language._('overview'))}</h1>"


def _footing(at: Overview, language: Language) -> str:
    told = language._("Lake state {head}; all amounts in {currency}.", head=at.found.tables.head.id, currency=at.currency)
    return f"<footer>{escape(told)}</footer>"


def _link(at: Overview, language: Language, page: str) -> Callable[[str], str]:
    """The way to another place at the same instant, or to what is behind a figure ("figure:bookings") at the same place."""
    newest = not at.found.instants or at.board.as_of == at.found.instants[0]
    filters = filters_of(at.workspace, at)
    here = f"{at.place.level}:{at.place.key}"

    def way(to: str) -> str:
        kind, _, name = to.partition(":")
        asked = {"place": here, "figure": name or None} if kind == "figure" else {"place": to}
        return page + address.write({**asked, "as_of": None if newest else at.board.as_of}, filters, language.code)

    return way


def _other(language: Language) -> Callable[[str, str], str]:
    """The way to a deal's story."""
    deal = address.Filter("deal", str)
    screen = address.Filter("screen", str)
    return lambda name, one: f"/{name}" + address.write({"screen": "story", "deal": one}, [screen, deal], language.code)


class OverviewApp:
    """The widgets and what they do to each other; `root` is what is displayed. It reads the lake and writes the reader's layout."""

    def __init__(self, workspace: Workspace, language: Language | None = None) -> None:
        self.workspace, self.language = workspace, language or Language()
        self.page = Page(self.look, lambda _: None, self.read)
        self.place, self.as_of = widgets.Dropdown(), widgets.Dropdown()
        self.note, self.heading, self.shown, self.footing, self.saved = (widgets.HTML() for _ in range(5))
        self.cards = {name: widgets.Checkbox(indent=False) for name in screens.CARDS}
        self.save = widgets.Button()
        self.save.on_click(lambda _: self._save())
        card = widgets.VBox([self.shown]).add_class("card")
        self.layout = widgets.VBox([*self.cards.values(), self.save, self.saved])
        parts = [self.heading, self.note, controls.bar(self.place, self.as_of), card, self.layout, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app").add_class("plain")
        self._drawing = False
        self._figure: str | None = None
        self._load(None, "")
        for control in (self.place, self.as_of):
            control.observe(lambda _: None if self._drawing else self._chosen(), "value")
        for box in self.cards.values():
            box.observe(lambda _: None if self._drawing else self._draw(), "value")

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.at.found.tables.head.id:
            newest = not self.at.found.instants or self.as_of.value == self.at.found.instants[0]
            self._load(None if newest else self.as_of.value, self.place.value)

    def read(self, query: str, languages: str = "") -> None:
        """Show what the page's address asks for, in the language it or else the reader's browser names."""
        self.language = chosen(languages, address.asked_language(query))
        asked = address.read(query, filters_of(self.workspace))
        self._figure = asked.values.get("figure")
        self._load(asked.values.get("as_of"), asked.values.get("place", ""))
        self.note.value = frame.ignored(address.read(query, filters_of(self.workspace, self.at)), self.language)

    def snapshot(self) -> str:
        """The screen as plain HTML, for the moments before the widgets are there."""
        return f'<div id="snapshot" class="app">{self.heading.value}<div class="card">{self.shown.value}</div>{self.footing.value}</div>'

    def _chosen(self) -> None:
        self._load(self.as_of.value, self.place.value)
        newest = not self.at.found.instants or self.as_of.value == self.at.found.instants[0]
        place = self.place.value
        values = {"place": None if place == "company:company" else place, "as_of": None if newest else self.as_of.value}
        self.page.tell(address.write(values, filters_of(self.workspace, self.at), self.language.code))

    def _load(self, as_of: dt.datetime | None, place: str) -> None:
        """Read the lake as of an instant and draw everything."""
        self.at: Overview = overview(self.workspace, as_of, place)
        found: Shelf = self.at.found
        self._drawing = True
        self.place.description = self.language._("Whose numbers")
        controls.offer(self.place, _places(self.at, self.language), f"{self.at.place.level}:{self.at.place.key}")
        self.as_of.description, days = _days(self.at, self.language)
        controls.offer(self.as_of, days, self.at.board.as_of if found.instants else days[0][1])
        titles, mine = screens.card_titles(self.language), cards_of(self.workspace)
        for name, box in self.cards.items():
            box.description, box.value = titles[name], name in mine
        self.save.description = self.language._("Keep this choice of cards")
        self._drawing = False
        self.heading.value, self.footing.value = _heading(self.at, self.language), _footing(self.at, self.language)
        self._draw()

    def _draw(self) -> None:
        cards = tuple(name for name, box in self.cards.items() if box.value)
        link = _link(self.at, self.language, "")
        shown = screens.screen(self.at, self.language, cards, link, _other(self.language), self._figure)
        self.shown.value = f"<style>{movement.STYLE}</style>{shown}"

    def _save(self) -> None:
        cards = [name for name, box in self.cards.items() if box.value]
        try:
            layouts.save(self.workspace, current_user(self.workspace), NAME, layouts.OPENING, cards, {}, known=screens.CARDS)
            told = f'<p class="done" role="status">{escape(self.language._("Kept: the overview opens with these cards."))}</p>'
        except SalesmlError as error:
            told = theme.notice(escape(str(error)))
        self.saved.value = told
