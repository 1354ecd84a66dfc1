"""What a person may say of a lead: a grade of their own with a reason and an end, taking it back, and asking for another rep."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
import pandas as pd

from salesml.apps import controls, theme
from salesml.apps.lead_data import NOBODY, LeadBoard
from salesml.apps.lead_screens import of
from salesml.errors import BadParameter, SalesmlError
from salesml.planning.lead_grades import GRADES
from salesml.workflows.grade_overrides import grade_lead, withdraw
from salesml.workflows.reassignments import reassign

DAYS = 28
BUTTON = {"width": "auto", "align_self": "flex-start"}


class LeadForms:
    """Labelled controls below a lead; `root` is what is displayed. `written()` is called after something was written."""

    def __init__(self, workspace: Any, written: Callable[[], None]) -> None:
        self.workspace, self._written = workspace, written
        self.result = widgets.HTML()
        self.grade = widgets.Dropdown(description="My grade", options=[(name, name) for name in GRADES])
        self.reason = widgets.Text(description="Reason (3 words or more)", placeholder="their buyer called me on …")
        self.until = widgets.DatePicker(description="Ends before")
        self.put = widgets.Button(description="Put my grade beside", layout=BUTTON).add_class("back")
        self.back = widgets.Button(description="Take the grade back", layout=BUTTON).add_class("back")
        self.rep = widgets.Dropdown(description="Give it to")
        self.because = widgets.Text(description="Why (3 words or more)", placeholder="speaks their language and …")
        self.ask = widgets.Button(description="Ask for this rep", layout=BUTTON).add_class("back")
        said, why = controls.bar(self.reason).add_class("long"), controls.bar(self.because).add_class("long")
        own = [widgets.HTML("<h2>My own grade</h2>"), controls.bar(self.grade, self.until), said, self.put, self.back]
        other = [widgets.HTML("<h2>Another rep</h2>"), controls.bar(self.rep), why, self.ask]
        self.root = widgets.VBox([self.result, *own, *other])
        self.put.on_click(lambda _: self._do(self._put_down))
        self.back.on_click(lambda _: self._do(self._take_back))
        self.ask.on_click(lambda _: self._do(self._ask))

    def open(self, board: LeadBoard, lead_id: str | None) -> None:
        """Offer what may be said of the lead; nothing where none is chosen, or an earlier grading is shown."""
        self._lead: Any = of(board, lead_id)
        self.root.layout.display = "" if self._lead is not None and board.newest else "none"
        if self._lead is None:
            return
        self.back.layout.display = "none" if pd.isna(self._lead.own_grade) else ""
        reps = [(name, owner) for name, owner in board.owners if owner not in (NOBODY, self._lead.owner_id)]
        controls.offer(self.rep, reps, self.rep.value)
        self.until.value = self.until.value or self.workspace.local_date(dt.datetime.now(dt.UTC)) + dt.timedelta(days=DAYS)

    def _put_down(self) -> str:
        if self.until.value is None:
            raise BadParameter("the grade needs an end; choose a day under Ends before")
        made = grade_lead(self.workspace, self._lead.lead_id, str(self.grade.value), self.reason.value, self.until.value)
        self.reason.value = ""
        return f"{made.lead} is {made.grade} until before {self.until.value}, by {made.author}."

    def _take_back(self) -> str:
        withdraw(self.workspace, str(self._lead.own_id), self.reason.value)
        self.reason.value = ""
        return "Taken back: the grade worked out holds again."

    def _ask(self) -> str:
        reassign(self.workspace, self._lead.lead_id, str(self.rep.value), self.because.value)
        self.because.value = ""
        return "Asked: a manager other than you approves it with salesml route approve."

    def _do(self, act: Callable[[], str]) -> None:
        self.result.value = '<p class="soft" role="status">Being written…</p>'
        try:
            told = act()
        except SalesmlError as error:
            self.result.value = f'<div role="alert">{theme.notice(escape(str(error)))}</div>'
            return
        self._written()
        self.result.value = f'<p class="done" role="status">{escape(told)}</p>'
