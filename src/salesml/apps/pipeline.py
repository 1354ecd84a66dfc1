"""The pipeline and forecast app: where do we land this quarter, how sure are we, which deals need me."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
import pandas as pd
from IPython.display import HTML, display

from salesml.apps import address, controls, deals, depth, frame, landing, story, text, theme
from salesml.apps.data import ALL_REGIONS, Board, Shelf, board, names, records, shelf
from salesml.apps.language import Language
from salesml.apps.page import Page
from salesml.apps.what_if import WhatIfPanel
from salesml.errors import SalesmlError
from salesml.lake import Lake
from salesml.workspace import Workspace

SCREENS = ("Landing", "Deals", "Deal story")
NAMED = ("landing", "deals", "story")
"""The screens as an address names them."""
ROWS = (10, 25, 100)


def app(workspace: Workspace | None = None) -> widgets.Widget:
    """Show the app of a workspace (default: the one salesml is called for): a picture of it at once, then the app itself."""
    display(HTML(theme.style()))
    try:
        made = PipelineApp(workspace or Workspace.open())
    except SalesmlError as error:
        return widgets.HTML(f'<div class="app">{theme.notice(escape(str(error)))}</div>')
    display(HTML(made.snapshot()))
    return made.root


def picture(workspace: Workspace, language: Language, query: str) -> str:
    """What the app shows at an address, as plain HTML and without a kernel: the screen, region and instant the query asks for."""
    found = shelf(workspace)
    at, asked = _asked(workspace, found, query)
    region, screen = asked.values.get("region", ALL_REGIONS), asked.values.get("screen", NAMED[0])
    if screen == "deals":
        listed = deals.ordered(deals.chosen(at, region, 0, True), deals.ATTENTION)
        shown = deals.answer(at, region, 0, ROWS[0]) + deals.scores_worth(at)
        shown += deals.listing(at, listed, names(at), ROWS[0], deals.ATTENTION)
    elif screen == "story":
        shown = story.screen(at, asked.values.get("deal")) + story.record(at, asked.values.get("deal"), names(at))
    else:
        shown = landing.screen(at, region)
    kept = {name: value for name, value in asked.values.items() if name != "screen"}
    filters = _filters(at, found)
    links = [frame.live("pipeline", address.write({**kept, "screen": name}, filters, language.code)) for name in NAMED]
    days, regions = _days(workspace, found, at), [(name, name) for name in (ALL_REGIONS, *at.regions)]
    options: frame.Offered = {"as_of": ("Known up to", days), "region": ("Region", regions)}
    hidden = {} if screen == NAMED[0] else {"screen": screen}
    above = frame.ignored(asked, language) + frame.form(options, {**kept, "as_of": at.as_of}, filters, language, hidden)
    footing = _footing(workspace, found, at)
    return controls.snapshot(_heading(workspace), SCREENS, shown, footing, shown=NAMED.index(screen), links=links, above=above)


def _filters(at: Board, found: Shelf) -> list[address.Filter]:
    """What an address may ask for, as of the instant of a board."""
    known = set(at.deals["opportunity_id"])
    return [
        address.choice("region", at.regions),
        address.instant("as_of", at.workspace, found.instants or [at.as_of]),
        address.choice("screen", NAMED),
        address.choice("deal", known),
    ]


def _asked(workspace: Workspace, found: Shelf, query: str, shown: Board | None = None) -> tuple[Board, address.Asked]:
    """The board an address asks for (that `shown` if it is of the instant), and its filters, which depend on the instant."""
    instants = [address.instant("as_of", workspace, found.instants)]
    as_of = address.read(query, instants).values.get("as_of", next(iter(found.instants), None))
    at = shown if shown is not None and as_of in (None, shown.as_of) else board(workspace, found, as_of)
    return at, address.read(query, _filters(at, found))


def _days(workspace: Workspace, found: Shelf, at: Board) -> list[tuple[str, dt.datetime]]:
    return [(text.known(moment, workspace.zone).removeprefix("the end of "), moment) for moment in found.instants or [at.as_of]]


def _heading(workspace: Workspace) -> str:
    return f"<h1>{escape(workspace.settings.name)} · pipeline and forecast</h1>"


def _footing(workspace: Workspace, found: Shelf, at: Board) -> str:
    told = [f"Lake state {found.tables.head.id}"]
    if at.scores:
        told.append(f"scores of deal model version {escape(at.scores.version)}, {text.known(at.scores.as_of, workspace.zone)}")
    if at.forecast_as_of:
        told.append(f"forecast of {text.known(at.forecast_as_of, workspace.zone)}")
    return f"<footer>{'; '.join(told)}.</footer>"


class PipelineApp:
    """The widgets and what they do to each other; `root` is what is displayed. It reads the lake and never writes."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.page = Page(self.look, self.choose, self.read)
        self.note = widgets.HTML()
        self._language: str | None = None
        self.found: Shelf
        self.board: Board
        self.as_of = widgets.Dropdown(description="Known up to")
        self.region = widgets.Dropdown(description="Region")
        self.minimum = widgets.BoundedFloatText(
            description=f"Minimum amount ({workspace.settings.currency})", min=0, max=1e15, step=1000, value=0
        )
        self.show = widgets.Dropdown(
            description="Show", options=[("With a warning sign", True), ("All open deals", False)]
        )
        self.order = widgets.Dropdown(description="Order by", options=deals.ORDERS)
        self.rows = widgets.Dropdown(description="How many", options=[(f"First {n}", n) for n in ROWS])
        self.deal = widgets.Dropdown(description="Deal")
        self.heading, self.footing = widgets.HTML(), widgets.HTML()
        self.landing, self.urgent, self.list, self.story, self.depth, self.record = (widgets.HTML() for _ in range(6))
        self.what_if = WhatIfPanel(workspace.settings.currency)
        self.tabs = widgets.Tab(
            [
                self.landing,
                widgets.VBox([self.urgent, controls.bar(self.minimum, self.show, self.order, self.rows), self.list]),
                widgets.VBox([controls.bar(self.deal).add_class("long"), self.story, self.depth, self.what_if.root, self.record]),
            ],
            titles=SCREENS,
        )
        parts = [self.heading, self.note, controls.bar(self.as_of, self.region), self.tabs, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app")
        self._drawing = False
        self._load(None)
        self._on(self.as_of, lambda: self._load(self.as_of.value))
        for control in (self.region, self.minimum, self.show, self.order, self.rows):
            self._on(control, self._draw)
        self._on(self.deal, self._draw_story)
        self._on(self.tabs, self._draw_story, "selected_index")
        for control, name in ((self.as_of, "value"), (self.region, "value"), (self.deal, "value"), (self.tabs, "selected_index")):
            self._on(control, self._tell, name)

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.found.tables.head.id:
            at_newest = not self.found.instants or self.as_of.value == self.found.instants[0]
            self._load(None if at_newest else self.as_of.value)

    def read(self, query: str, _languages: str = "") -> None:
        """Show what the page's address asks for; what it asks in vain is told."""
        self._language = address.asked_language(query)
        shown = self.board
        self.board, asked = _asked(self.workspace, self.found, query, shown)
        region, screen = asked.values.get("region", ALL_REGIONS), asked.values.get("screen", NAMED[0])
        anew = self.board is not shown or region != self.region.value
        self._drawing = True
        if anew:
            self.region.options, self.region.value = [(region, region)], region
        self.tabs.selected_index = NAMED.index(screen)
        self._drawing = False
        if anew:
            self._fill()
        elif screen == "story":
            self._draw_story()
        if "deal" in asked.values:
            self.choose(asked.values["deal"])
        self.note.value = frame.ignored(asked, Language())
        self._tell()

    def _tell(self) -> None:
        """Write the choices into the page's address; those made by default stay out of it."""
        shown, at_newest = NAMED[self.tabs.selected_index], not self.found.instants or self.as_of.value == self.found.instants[0]
        values = {
            "region": None if self.region.value == ALL_REGIONS else self.region.value,
            "as_of": None if at_newest else self.as_of.value,
            "screen": None if shown == NAMED[0] else shown,
            "deal": self.deal.value if shown == "story" else None,
        }
        self.page.tell(address.write(values, _filters(self.board, self.found), self._language))

    def choose(self, opportunity_id: str) -> None:
        """Open the story of a deal, whatever the filters are."""
        if opportunity_id not in set(self.board.deals["opportunity_id"]):
            return
        if opportunity_id not in {value for _, value in self.deal.options}:
            self.minimum.value, self.region.value = 0, ALL_REGIONS
        self.deal.value = opportunity_id
        self.tabs.selected_index = SCREENS.index("Deal story")
        self.page.focus("#story")

    def snapshot(self) -> str:
        """The first screen as plain HTML, for the moments before the widgets are there."""
        return controls.snapshot(self.heading.value, SCREENS, self.landing.value, self.footing.value)

    def _on(self, control: widgets.Widget, act: Callable[[], None], name: str = "value") -> None:
        """Act when the reader changes a control, not when it is filled."""
        control.observe(lambda _: None if self._drawing else act(), name)

    def _load(self, as_of: dt.datetime | None) -> None:
        """Read the lake as of an instant and draw everything; the choices made stay where they still exist."""
        self.found = shelf(self.workspace)
        self.board = board(self.workspace, self.found, as_of)
        self._fill()

    def _fill(self) -> None:
        """Fill the controls of the board and draw it."""
        self.names = names(self.board)
        self._drawing = True
        controls.offer(self.as_of, _days(self.workspace, self.found, self.board), self.board.as_of)
        controls.offer(self.region, [(name, name) for name in (ALL_REGIONS, *self.board.regions)], self.region.value)
        self._drawing = False
        self._draw()

    def _draw(self) -> None:
        at, region = self.board, self.region.value
        self.heading.value = _heading(self.workspace)
        self.landing.value = landing.screen(at, region)
        self.urgent.value = deals.answer(at, region, self.minimum.value, self.rows.value) + deals.scores_worth(at)
        listed = deals.ordered(deals.chosen(at, region, self.minimum.value, self.show.value), self.order.value)
        self.list.value = deals.listing(at, listed, self.names, self.rows.value, self.order.value)
        shown = deals.chosen(at, region, self.minimum.value, warned=False)
        labels = [(f"{row.name} · {text.money(row.amount, at.currency)}", row.opportunity_id) for row in records(shown)]
        self._drawing = True
        controls.offer(self.deal, labels, self.deal.value)
        self._drawing = False
        self._draw_story()
        self.footing.value = _footing(self.workspace, self.found, at)

    def _draw_story(self) -> None:
        """Draw the story only while it is looked at: what is recorded at once, then what the model is asked for."""
        if self.tabs.selected_index != SCREENS.index("Deal story"):
            return
        deal = self.deal.value
        self.story.value = story.screen(self.board, deal)
        self.record.value = story.record(self.board, deal, self.names)
        self.depth.value = ""
        self.what_if.close()
        told = story.chosen(self.board, deal)
        if told is None or pd.isna(told.probability):
            return
        self.depth.value = depth.WAITING
        try:
            frames = depth.frames_of(self.board)
            self.depth.value = "" if frames is None else depth.depth(self.board, frames, deal)
        except SalesmlError as error:
            self.depth.value = theme.notice(escape(str(error)))
            return
        if frames is not None and deal in frames.now.index:
            self.what_if.open(self.board, frames, deal)
