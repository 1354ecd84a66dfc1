"""The live page of an app about somebody's numbers: its controls as widgets, the same screen, and the reader's choice of cards."""

from __future__ import annotations

import datetime as dt
from html import escape
from typing import Any, Generic

import ipywidgets as widgets
from IPython.display import HTML, display

from salesml.apps import address, controls, frame, theme
from salesml.apps.language import Language, chosen
from salesml.apps.page import Page
from salesml.apps.placed import At, Placed, days, footing, place_options
from salesml.errors import SalesmlError
from salesml.lake import Lake
from salesml.state import layouts
from salesml.state.users import current_user
from salesml.workspace import Workspace


def show(app: Placed[Any], workspace: Workspace | None = None) -> widgets.Widget:
    """Show an app of a workspace (default: the one salesml is called for): a picture of it at once, then the app itself."""
    display(HTML(theme.style()))
    try:
        made = PlacedApp(app, workspace or Workspace.open())
    except SalesmlError as error:
        return widgets.HTML(f'<div class="app">{theme.notice(escape(str(error)))}</div>')
    display(HTML(made.snapshot()))
    return made.root


class PlacedApp(Generic[At]):
    """The widgets and what they do to each other; `root` is what is displayed. It reads the lake and writes the reader's layout."""

    def __init__(self, app: Placed[At], workspace: Workspace, language: Language | None = None) -> None:
        self.app, self.workspace, self.language = app, workspace, language or Language()
        self.page = Page(self.look, lambda _: None, self.read)
        self.place, self.as_of = widgets.Dropdown(), widgets.Dropdown()
        self.choices = {one.name: widgets.Dropdown(options=one.options) for one in app.choices(self.language)}
        self.note, self.heading, self.shown, self.footing, self.saved = (widgets.HTML() for _ in range(5))
        self.cards = {name: widgets.Checkbox(indent=False) for name in app.known}
        self.save = widgets.Button()
        self.save.on_click(lambda _: self._save())
        card = widgets.VBox([self.shown]).add_class("card")
        layout = widgets.VBox([*self.cards.values(), self.save, self.saved])
        self._controls = [self.place, self.as_of, *self.choices.values()]
        parts = [self.heading, self.note, controls.bar(*self._controls), card, layout, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app").add_class("plain")
        self._drawing = False
        self._opened: tuple[str, str] | None = None
        self._load(None, "")
        for control in self._controls:
            control.observe(lambda _: None if self._drawing else self._chosen(), "value")
        for box in self.cards.values():
            box.observe(lambda _: None if self._drawing else self._draw(), "value")

    @property
    def values(self) -> dict[str, Any]:
        """The choices by name, None where they are the default."""
        controls_ = {"place": self.place, "as_of": self.as_of, **self.choices}
        return {name: None if control.value == control.options[0][1] else control.value for name, control in controls_.items()}

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.at.found.tables.head.id:
            self._load(self.values["as_of"], self.place.value)

    def read(self, query: str, languages: str = "") -> None:
        """Show what the page's address asks for, in the language it or else the reader's browser names."""
        self.language = chosen(languages, address.asked_language(query))
        asked = address.read(query, self.app.filters(self.workspace)).values
        self._opened = self.app.opened(asked)
        self._drawing = True
        for one in self.app.choices(self.language):
            controls.offer(self.choices[one.name], one.options, asked.get(one.name))
        self._drawing = False
        self._load(asked.get("as_of"), asked.get("place", ""))
        self.note.value = frame.ignored(address.read(query, self.app.filters(self.workspace, self.at)), self.language)

    def snapshot(self) -> str:
        """The screen as plain HTML, for the moments before the widgets are there."""
        return f'<div id="snapshot" class="app">{self.heading.value}<div class="card">{self.shown.value}</div>{self.footing.value}</div>'

    def _chosen(self) -> None:
        self._opened = None
        self._load(self.as_of.value, self.place.value)
        self.page.tell(address.write(self.values, self.app.filters(self.workspace, self.at), self.language.code))

    def _load(self, as_of: dt.datetime | None, place: str) -> None:
        """Read the lake as of an instant and draw everything."""
        own = {name: control.value for name, control in self.choices.items()}
        self.at: At = self.app.read(self.workspace, as_of, place, own)
        self._drawing = True
        self.place.description, self.as_of.description = self.language._("Whose numbers"), self.language._("Known up to the end of")
        controls.offer(self.place, place_options(self.at, self.language), self.at.place.name)
        controls.offer(self.as_of, days(self.at, self.language), self.at.board.as_of)
        for one in self.app.choices(self.language):
            self.choices[one.name].description = one.label
        titles, mine = self.app.titles(self.language), self.app.layout(self.workspace)
        for name, box in self.cards.items():
            box.description, box.value = titles[name], name in mine
        self.save.description = self.language._("Keep this choice of cards")
        self._drawing = False
        self.heading.value, self.footing.value = self.app.heading(self.at, self.language), footing(self.at, self.language)
        self._draw()

    def _draw(self) -> None:
        cards = [name for name, box in self.cards.items() if box.value]
        ways = self.app.ways(self.at, self.values, self.language, "")
        self.shown.value = self.app.screen(self.at, self.language, ways, cards, self._opened)

    def _save(self) -> None:
        cards = [name for name, box in self.cards.items() if box.value]
        mine = current_user(self.workspace)
        try:
            layouts.save(self.workspace, mine, self.app.name, layouts.OPENING, cards, {}, known=self.app.known)
            told = f'<p class="done" role="status">{escape(self.language._("Kept: this page opens with these cards."))}</p>'
        except SalesmlError as error:
            told = theme.notice(escape(str(error)))
        self.saved.value = told
