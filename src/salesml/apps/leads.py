"""The lead board: whom to work now, why this one and what next, and whether grades held."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
from IPython.display import HTML, display

from salesml.apps import address, controls, frame, lead_screens, text, theme
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.lead_data import LeadBoard, gradings, lead_board
from salesml.apps.lead_forms import LeadForms
from salesml.apps.page import Page
from salesml.errors import SalesmlError
from salesml.lake import Lake, Tables
from salesml.planning.lead_grades import HOT
from salesml.workspace import Workspace

SCREENS = ("Work now", "Lead", "Did grades hold")
NOW, LEAD, HELD = range(len(SCREENS))
ROWS = (10, 25, 100)


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the board of a workspace (default: the one salesml is called for): a picture of it at once, then the board itself."""
    display(HTML(theme.style()))
    try:
        made = LeadApp(workspace or Workspace.open())
    except SalesmlError as error:
        return widgets.HTML(f'<div class="app">{theme.notice(escape(str(error)))}</div>')
    display(HTML(made.snapshot()))
    return made.root


def picture(workspace: Workspace, language: Language, query: str) -> str:
    """The leads to work now at an address (as_of, owner), as plain HTML and without a kernel."""
    tables = Lake(workspace).open()
    days = address.instant("as_of", workspace, gradings(tables))
    board = lead_board(workspace, address.read(query, [days]).values.get("as_of"), tables)
    filters = [days, address.choice("owner", {value for _, value in board.owners})]
    asked = address.read(query, filters)
    owner = asked.values.get("owner", lead_screens.EVERYBODY)
    whose = [("Everybody", lead_screens.EVERYBODY), *board.owners]
    offered: frame.Offered = {"as_of": ("Graded as of the end of", _days(workspace, tables)), "owner": ("Whose leads", whose)}
    above = frame.ignored(asked, language) + frame.form(offered, {"as_of": board.as_of, "owner": owner}, filters, language)
    shown = lead_screens.answer(board, owner) + lead_screens.listing(board, lead_screens.chosen(board, owner, HOT), ROWS[0])
    links = [frame.live("leads", address.in_language(query, language.code))] * len(SCREENS)
    return controls.snapshot(_heading(workspace), SCREENS, shown, _footing(board), links=links, above=above)


def _days(workspace: Workspace, tables: Tables) -> list[tuple[str, dt.datetime]]:
    return [(text.known(at, workspace.zone).removeprefix("the end of "), at) for at in gradings(tables)]


def _heading(workspace: Workspace) -> str:
    return f"<h1>{escape(workspace.settings.name)} · leads</h1>"


def _footing(board: LeadBoard) -> str:
    drawn = board.rules
    told = [
        f"Lake state {board.tables.head.id}", f"lead model version {escape(board.version)}",
        f"time for {drawn['capacity_per_week']:,} leads a week, {drawn['cost_per_lead']:,.0f} {board.currency} to work one",
    ]  # fmt: skip
    return f"<footer>{'; '.join(told)}.</footer>"


class LeadApp:
    """The widgets and what they do to each other; `root` is what is displayed. It writes grades and requests where the reader says so."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.page = Page(self.look, self.choose)
        self.as_of = widgets.Dropdown(description="Graded as of the end of")
        self.owner = widgets.Dropdown(description="Whose leads")
        self.grade = widgets.Dropdown(description="Grade", options=lead_screens.GRADE_OPTIONS, value=HOT)
        self.rows = widgets.Dropdown(description="How many", options=[(f"First {n}", n) for n in ROWS])
        self.lead = widgets.Dropdown(description="Lead")
        self.heading, self.footing, self.urgent, self.list, self.story, self.past, self.held = (widgets.HTML() for _ in range(7))
        self.forms = LeadForms(workspace, lambda: self._load(self.as_of.value))
        now = widgets.VBox([self.urgent, controls.bar(self.grade, self.rows), self.list])
        one = widgets.VBox([controls.bar(self.lead).add_class("long"), self.story, self.forms.root, self.past])
        self.tabs = widgets.Tab([now, one, self.held], titles=SCREENS)
        self.root = widgets.VBox([self.heading, controls.bar(self.as_of, self.owner), self.tabs, self.footing, self.page]).add_class("app")
        self._drawing = False
        self._load(None)
        self._on(self.as_of, lambda: self._load(self.as_of.value))
        for control in (self.owner, self.grade, self.rows):
            self._on(control, self._draw)
        self._on(self.lead, self._draw_lead)
        self._on(self.tabs, self._draw_screen, "selected_index")

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.board.tables.head.id:
            self._load(None if self.board.newest else self.as_of.value)

    def choose(self, lead: str) -> None:
        """Open a lead, whatever the filters are."""
        if lead not in set(self.board.leads["lead_id"]):
            return
        if lead not in {value for _, value in self.lead.options}:
            self.owner.value = lead_screens.EVERYBODY
        self.lead.value = lead
        self.tabs.selected_index = LEAD
        self.page.focus("#lead")

    def snapshot(self) -> str:
        """The first screen as plain HTML, for the moments before the widgets are there."""
        return controls.snapshot(self.heading.value, SCREENS, self.urgent.value + self.list.value, self.footing.value)

    def _on(self, control: widgets.Widget, act: Callable[[], None], name: str = "value") -> None:
        """Act when the reader changes a control, not when it is filled."""
        control.observe(lambda _: None if self._drawing else act(), name)

    def _load(self, as_of: dt.datetime | None) -> None:
        """Read the lake and draw everything; the choices made stay where they still exist."""
        tables = Lake(self.workspace).open()
        self.board: LeadBoard = lead_board(self.workspace, as_of, tables)
        self._drawing = True
        controls.offer(self.as_of, _days(self.workspace, tables), self.board.as_of)
        controls.offer(self.owner, [("Everybody", lead_screens.EVERYBODY), *self.board.owners], self.owner.value)
        self._drawing = False
        self.heading.value, self.footing.value = _heading(self.workspace), _footing(self.board)
        self._draw()

    def _draw(self) -> None:
        owner = self.owner.value or lead_screens.EVERYBODY
        self.urgent.value = lead_screens.answer(self.board, owner)
        self.list.value = lead_screens.listing(self.board, lead_screens.chosen(self.board, owner, self.grade.value), self.rows.value)
        mine = lead_screens.chosen(self.board, owner, "")
        labels = [(lead_screens.label(row, self.board.currency), row.lead_id) for row in records(mine)]
        self._drawing = True
        controls.offer(self.lead, labels, self.lead.value)
        self._drawing = False
        self._draw_screen()

    def _draw_screen(self) -> None:
        """Draw the screen that is looked at; the others wait until they are."""
        if self.tabs.selected_index == LEAD:
            self._draw_lead()
        elif self.tabs.selected_index == HELD:
            self.held.value = lead_screens.held(self.board)

    def _draw_lead(self) -> None:
        if self.tabs.selected_index != LEAD:
            return
        self.story.value = lead_screens.lead_screen(self.board, self.lead.value)
        self.past.value = lead_screens.happened(self.board, self.lead.value)
        self.forms.open(self.board, self.lead.value)
