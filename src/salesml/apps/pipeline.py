"""The pipeline and forecast app: where do we land this quarter, how sure are we, which deals need me."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
import pandas as pd
from IPython.display import HTML, display

from salesml.apps import controls, deals, depth, landing, story, text, theme
from salesml.apps.data import ALL_REGIONS, Board, Shelf, board, names, records, shelf
from salesml.apps.page import Page
from salesml.apps.what_if import WhatIfPanel
from salesml.errors import SalesmlError
from salesml.lake import Lake
from salesml.workspace import Workspace

SCREENS = ("Landing", "Deals", "Deal story")
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


class PipelineApp:
    """The widgets and what they do to each other; `root` is what is displayed. It reads the lake and never writes."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.page = Page(self.look, self.choose)
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
        parts = [self.heading, controls.bar(self.as_of, self.region), self.tabs, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app")
        self._drawing = False
        self._load(None)
        self._on(self.as_of, lambda: self._load(self.as_of.value))
        for control in (self.region, self.minimum, self.show, self.order, self.rows):
            self._on(control, self._draw)
        self._on(self.deal, self._draw_story)
        self._on(self.tabs, self._draw_story, "selected_index")

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.found.tables.head.id:
            at_newest = not self.found.instants or self.as_of.value == self.found.instants[0]
            self._load(None if at_newest else self.as_of.value)

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
        self.found: Shelf = shelf(self.workspace)
        self.board: Board = board(self.workspace, self.found, as_of)
        self.names = names(self.board)
        self._drawing = True
        zone = self.workspace.zone
        instants = self.found.instants or [self.board.as_of]
        controls.offer(
            self.as_of,
            [(text.known(moment, zone).removeprefix("the end of "), moment) for moment in instants],
            self.board.as_of,
        )
        controls.offer(self.region, [(name, name) for name in (ALL_REGIONS, *self.board.regions)], self.region.value)
        self._drawing = False
        self._draw()

    def _draw(self) -> None:
        at, region = self.board, self.region.value
        name, zone = escape(self.workspace.settings.name), self.workspace.zone
        self.heading.value = f"<h1>{name} · pipeline and forecast</h1>"
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
        told = [f"Lake state {self.found.tables.head.id}"]
        if at.scores:
            told.append(
                f"scores of deal model version {escape(at.scores.version)}, {text.known(at.scores.as_of, zone)}"
            )
        if at.forecast_as_of:
            told.append(f"forecast of {text.known(at.forecast_as_of, zone)}")
        self.footing.value = f"<footer>{'; '.join(told)}.</footer>"

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
