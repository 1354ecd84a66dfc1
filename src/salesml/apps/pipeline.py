"""The pipeline and forecast app: where do we land this quarter, how sure are we, which deals need me."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape

import ipywidgets as widgets
import pandas as pd
from IPython.display import HTML, display

from salesml.apps import address, controls, deals, depth, frame, landing, story, theme
from salesml.apps import pipeline_screens as screens
from salesml.apps.data import ALL_REGIONS, Board, Shelf, board, names, shelf
from salesml.apps.deals import Choice
from salesml.apps.language import Language, chosen
from salesml.apps.page import Page
from salesml.apps.pipeline_screens import NAMED, picture
from salesml.apps.what_if import WhatIfPanel
from salesml.apps.within import within_sight
from salesml.errors import SalesmlError
from salesml.lake import Lake
from salesml.workspace import Workspace

__all__ = ["PipelineApp", "app", "picture"]
STORY = NAMED.index("story")


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

    def __init__(self, workspace: Workspace, language: Language | None = None) -> None:
        self.workspace, self.language = workspace, language or Language()
        self.page = Page(self.look, self.choose, self.read)
        self._asked: str | None = None
        self.found: Shelf
        self.board: Board
        self.as_of, self.region, self.show, self.order, self.rows, self.deal = (widgets.Dropdown() for _ in range(6))
        self.minimum = widgets.BoundedIntText(min=0, max=screens.MOST, step=1000, value=0)
        self.note, self.heading, self.footing = (widgets.HTML() for _ in range(3))
        self.landing, self.urgent, self.list, self.story, self.depth, self.record = (widgets.HTML() for _ in range(6))
        self.what_if = WhatIfPanel(workspace.settings.currency)
        listed = widgets.VBox([self.urgent, controls.bar(self.minimum, self.show, self.order, self.rows), self.list])
        told = [controls.bar(self.deal).add_class("long"), self.story, self.depth, self.what_if.root, self.record]
        self.tabs = widgets.Tab([self.landing, listed, widgets.VBox(told)])
        parts = [self.heading, self.note, controls.bar(self.as_of, self.region), self.tabs, self.footing, self.page]
        self.root = widgets.VBox(parts).add_class("app")
        self._drawing = False
        self._load(None)
        self._on(self.as_of, lambda: self._load(self.as_of.value))
        choosing = (self.region, self.minimum, self.show, self.order, self.rows)
        for control in choosing:
            self._on(control, self._draw)
        self._on(self.deal, self._draw_story)
        self._on(self.tabs, self._draw_story, "selected_index")
        for control in (self.as_of, *choosing, self.deal):
            self._on(control, self._tell)
        self._on(self.tabs, self._tell, "selected_index")

    @property
    def choice(self) -> Choice:
        """Which deals the controls ask for."""
        return Choice(self.region.value or ALL_REGIONS, self.minimum.value, self.show.value, self.order.value, self.rows.value)

    def look(self) -> None:
        """Read again if the lake has changed since."""
        if Lake(self.workspace).head().id != self.found.tables.head.id:
            at_newest = not self.found.instants or self.as_of.value == self.found.instants[0]
            self._load(None if at_newest else self.as_of.value)

    def read(self, query: str, languages: str = "") -> None:
        """Show what the page's address asks for, in the language it or else the reader's browser names; what it asks in vain is told."""
        self._asked = address.asked_language(query)
        self.language = chosen(languages, self._asked)
        self.board, asked = screens.look_up(self.workspace, self.found, query, self.board)
        self._drawing = True
        self.tabs.selected_index = NAMED.index(asked.values.get("screen", NAMED[0]))
        self._fill(screens.choice_of(asked.values))
        if "deal" in asked.values:
            self.choose(asked.values["deal"], asked.values.get("screen") == "story")
        self.note.value = frame.ignored(asked, self.language)
        self._tell()

    def choose(self, opportunity_id: str, opened: bool = True) -> None:
        """Choose a deal, whatever the filters are, and open its story."""
        if opportunity_id not in set(self.board.deals["opportunity_id"]):
            return
        if opportunity_id not in {value for _, value in self.deal.options}:
            self.minimum.value, self.region.value = 0, ALL_REGIONS
        self.deal.value = opportunity_id
        if opened:
            self.tabs.selected_index = STORY
            self.page.focus("#story")

    def snapshot(self) -> str:
        """The first screen as plain HTML, for the moments before the widgets are there."""
        return controls.snapshot(self.heading.value, screens.titles(self.language), self.landing.value, self.footing.value)

    def _tell(self) -> None:
        """Write the choices into the page's address; those made by default stay out of it."""
        screen, at_newest = NAMED[self.tabs.selected_index], not self.found.instants or self.as_of.value == self.found.instants[0]
        values = {
            **screens.values_of(self.choice),
            "as_of": None if at_newest else self.as_of.value,
            "screen": None if screen == NAMED[0] else screen,
            "deal": self.deal.value if screen == "story" else None,
        }
        language = None if self._asked is None else self.language.code
        self.page.tell(address.write(values, screens.filters_of(self.board, self.found), language))

    def _on(self, control: widgets.Widget, act: Callable[[], None], name: str = "value") -> None:
        """Act when the reader changes a control, not when it is filled."""
        control.observe(lambda _: None if self._drawing else act(), name)

    def _load(self, as_of: dt.datetime | None) -> None:
        """Read the lake as of an instant and draw everything; the choices made stay where they still exist."""
        self.found = shelf(self.workspace)
        self.board = within_sight(board(self.workspace, self.found, as_of))
        self._fill(self.choice if self.region.options else Choice())

    def _fill(self, choice: Choice) -> None:
        """Name and fill the controls for the board and a choice, and draw it."""
        self.names, language = names(self.board), self.language
        self._drawing = True
        above, listed = screens.common(self.board, self.found, language), screens.of_list(language)
        self.as_of.description, instants = above["as_of"]
        self.region.description, regions = above["region"]
        self.show.description, shown = listed["show"]
        self.order.description, orders = listed["order"]
        self.rows.description, rows = listed["rows"]
        self.minimum.description, self.deal.description = screens.minimum(self.board, language), language._("Deal")
        controls.offer(self.as_of, instants, self.board.as_of)
        controls.offer(self.region, regions, choice.region)
        controls.offer(self.show, [(told, name == screens.SHOWN[True]) for told, name in shown], choice.warned)
        controls.offer(self.order, orders, choice.order)
        controls.offer(self.rows, [(told, int(number)) for told, number in rows], choice.rows)
        self.minimum.value = choice.minimum
        self.tabs.titles, self.page.screens = screens.titles(language), language._("Screens")
        self.what_if.speak(language)
        self._drawing = False
        self._draw()

    def _draw(self) -> None:
        at, language, choice = self.board, self.language, self.choice
        self.heading.value, self.footing.value = screens.heading(at, language), screens.footing(at, self.found, language)
        self.landing.value = landing.screen(at, language, choice.region)
        self.urgent.value, self.list.value = deals.screen(at, language, choice, self.names)
        self._drawing = True
        controls.offer(self.deal, screens.deal_options(at, language, choice), self.deal.value)
        self._drawing = False
        self._draw_story()

    def _draw_story(self) -> None:
        """Draw the story only while it is looked at: what is recorded at once, then what the model is asked for."""
        if self.tabs.selected_index != STORY:
            return
        deal, language = self.deal.value, self.language
        self.story.value = story.screen(self.board, language, deal)
        self.record.value = story.record(self.board, language, deal, self.names)
        self.depth.value = ""
        self.what_if.close()
        told = story.chosen(self.board, deal)
        if told is None or pd.isna(told.probability):
            return
        self.depth.value = depth.waiting(language)
        try:
            frames = depth.frames_of(self.board)
            self.depth.value = "" if frames is None else depth.depth(self.board, language, frames, deal)
        except SalesmlError as error:
            self.depth.value = theme.notice(escape(str(error)))
            return
        if frames is not None and deal in frames.now.index:
            self.what_if.open(self.board, frames, deal)
