"""The forecast app: where the quarter lands and why, what changed, a number of one's own, and what if."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
from IPython.display import HTML, display

from salesml.apps import address, controls, frame, text, theme
from salesml.apps import forecast_screens as screens
from salesml.apps.data import Shelf, records, shelf
from salesml.apps.forecast_desk import Desk, Parts, instants_of, stamp
from salesml.apps.language import Language
from salesml.apps.lever_panel import LeverPanel
from salesml.apps.override_form import OverrideForm
from salesml.apps.page import Page
from salesml.errors import SalesmlError
from salesml.lake import Lake
from salesml.workspace import Workspace

SCREENS = ("Landing", "Where", "Changes", "Own number", "What if")
LANDING, WHERE, CHANGES, OWN, WHAT_IF = range(len(SCREENS))
READING = '<p class="soft" role="status">Reading the quarter of every node (a few seconds the first time)…</p>'


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the app of a workspace (default: the one salesml is called for): a picture of it at once, then the app itself."""
    display(HTML(theme.style()))
    try:
        made = ForecastApp(workspace or Workspace.open())
    except SalesmlError as error:
        return widgets.HTML(f'<div class="app">{theme.notice(escape(str(error)))}</div>')
    display(HTML(made.snapshot()))
    return made.root


def picture(workspace: Workspace, language: Language, query: str) -> str:
    """The landing of the quarter at an address (as_of), as plain HTML and without a kernel; what moved of late is left to the app."""
    found = shelf(workspace)
    instants = instants_of(found)
    filters = [address.instant("as_of", workspace, instants)]
    asked = address.read(query, filters)
    desk = Desk(workspace, found, asked.values.get("as_of"), None)
    offered: frame.Offered = {"as_of": ("Known up to", _days(workspace, found, desk))}
    values = {"as_of": desk.board.as_of}
    above = frame.ignored(asked, language) + frame.form(offered, values, filters, language)
    links = [frame.live("forecast", address.in_language(query, language.code))] * len(SCREENS)
    shown = screens.landing_screen(desk, "")
    return controls.snapshot(_heading(workspace), SCREENS, shown, _footing(workspace, found, desk), links=links, above=above)


def _days(workspace: Workspace, found: Shelf, desk: Desk) -> list[tuple[str, dt.datetime]]:
    instants = instants_of(found) or [desk.board.as_of]
    return [(text.known(at, workspace.zone).removeprefix("the end of "), at) for at in instants]


def _heading(workspace: Workspace) -> str:
    return f"<h1>{escape(workspace.settings.name)} · forecast</h1>"


def _footing(workspace: Workspace, found: Shelf, desk: Desk) -> str:
    told = [f"Lake state {found.tables.head.id}", f"known up to {text.known(desk.board.as_of, workspace.zone)}"]
    return f"<footer>{'; '.join(told)}.</footer>"


class ForecastApp:
    """The widgets and what they do to each other; `root` is what is displayed.

    It writes overrides, their withdrawals and saved scenarios where the reader says so, and keeps scores it had to make. What takes
    long is made when its screen is first opened, what moved of late when the page is first looked at.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.page = Page(self.look, self.choose)
        self.as_of = widgets.Dropdown(description="Known up to")
        self.depth = widgets.Dropdown(description="Show down to", options=screens.DEPTHS)
        self.node = widgets.Dropdown(description="Look at")
        self.heading, self.footing, self.landing, self.most, self.tree, self.chosen, self.changes = (widgets.HTML() for _ in range(7))
        self.override = OverrideForm(workspace.settings.currency, lambda: self._load(self.as_of.value))
        self.levers = LeverPanel()
        where = widgets.VBox([self.most, controls.bar(self.depth, self.node), self.tree, self.chosen])
        self.tabs = widgets.Tab([self.landing, where, self.changes, self.override.root, self.levers.root], titles=SCREENS).add_class("many")
        parts = [self.heading, controls.bar(self.as_of), self.tabs, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app")
        self._drawing = False
        self._facts: dict[str, int] = {}
        self._made: dict[dt.datetime, Parts] = {}
        self._load(None)
        self._on(self.as_of, lambda: self._load(self.as_of.value))
        for control in (self.depth, self.node):
            self._on(control, self._draw_where)
        self._on(self.tabs, self._draw_screen, "selected_index")

    def look(self) -> None:
        """Read again if the lake's facts have changed since, and tell what moved of late."""
        if stamp(Lake(self.workspace).head(), without=("prediction", "landing")) != self._stamp:
            at_newest = not self.as_of.options or self.as_of.value == self.as_of.options[0][1]
            self._load(None if at_newest else self.as_of.value, fresh=True)
        self._draw_moved()

    def choose(self, node: str) -> None:
        """Show a node of the tree ("region/West") below it."""
        if node not in {value for _, value in self.node.options}:
            return
        self.node.value = node
        self.page.focus("#node")

    def snapshot(self) -> str:
        """The first screen as plain HTML, for the moments before the widgets are there."""
        return controls.snapshot(self.heading.value, SCREENS, self.landing.value, self.footing.value)

    def _on(self, control: widgets.Widget, act: Callable[[], None], name: str = "value") -> None:
        """Act when the reader changes a control, not when it is filled."""
        control.observe(lambda _: None if self._drawing else act(), name)

    def _load(self, as_of: dt.datetime | None, fresh: bool = False) -> None:
        """Read the lake as of an instant and draw; what was worked out for it before serves again unless all is to be `fresh`."""
        found: Shelf = shelf(self.workspace)
        facts = stamp(found.tables.head)
        if fresh or facts != self._facts:
            self._made = {}
        self._stamp, self._facts = stamp(found.tables.head, without=("prediction", "landing")), facts
        self.desk = Desk(self.workspace, found, as_of, None if as_of is None else self._made.get(as_of))
        self._made[self.desk.board.as_of] = self.desk.parts
        self._drawing = True
        controls.offer(self.as_of, _days(self.workspace, found, self.desk), self.desk.board.as_of)
        self._drawing = False
        self.heading.value = _heading(self.workspace)
        self._draw_landing()
        self.most.value = self.tree.value = self.chosen.value = self.changes.value = ""
        self._draw_screen()
        self.footing.value = _footing(self.workspace, found, self.desk)

    def _draw_landing(self) -> None:
        moved = screens.moved_words(self.desk) if self.desk.parts.has("change") else screens.MOVING
        self.landing.value = screens.landing_screen(self.desk, moved)

    def _draw_moved(self) -> None:
        if not self.desk.parts.has("change") and len(self.desk.board.forecast):
            screens.moved_words(self.desk)
            self._draw_landing()

    def _draw_screen(self) -> None:
        """Draw the screen that is looked at; the others wait until they are."""
        shown = self.tabs.selected_index
        if shown == WHERE:
            self._draw_where()
        elif shown == CHANGES:
            if not self.desk.parts.has("change"):
                self.changes.value = screens.MOVING
            self.changes.value = screens.change_screen(self.desk)
            self._draw_landing()
        elif shown == OWN:
            self.override.open(self.desk)
        elif shown == WHAT_IF:
            self.levers.open(self.desk)

    def _draw_where(self) -> None:
        if not self.desk.parts.has("call"):
            self.most.value, self.tree.value, self.chosen.value = READING, "", ""
        rows = self.desk.tree()
        self._drawing = True
        nodes = [(screens.named(row), f"{row.level}/{row.name}") for row in records(rows)]
        controls.offer(self.node, nodes, self.node.value)
        self._drawing = False
        self.most.value = screens.tree_answer(self.desk, rows)
        self.tree.value = screens.tree_screen(self.desk, rows, self.depth.value)
        level, _, name = str(self.node.value).partition("/")
        self.chosen.value = screens.node_screen(self.desk, rows, (level, name))
