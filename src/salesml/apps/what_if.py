"""The part What if of the screen Deal story: a few fields of a deal, and what the model would score with them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import pandas as pd

from salesml.apps import theme
from salesml.apps.data import Board
from salesml.apps.depth import what_if_result
from salesml.apps.language import Language
from salesml.errors import SalesmlError

if TYPE_CHECKING:
    from salesml.workflows.deal_frames import DealFrames

NOT_SET = ""


class WhatIfPanel:
    """Labelled controls of one deal's fields; `root` is what is displayed, nothing until a deal is opened. Writes nothing."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self.stage, self.category = widgets.Dropdown(), widgets.Dropdown()
        self.amount = widgets.BoundedFloatText(min=0, max=1e15, step=1000)
        self.close_date = widgets.DatePicker()
        self.discount = widgets.BoundedFloatText(min=0, max=100, step=1)
        self.back = widgets.Button(layout={"width": "auto", "align_self": "flex-start"}).add_class("back")
        self.title, self.result = widgets.HTML(), widgets.HTML()
        self.controls = {"stage": self.stage, "amount": self.amount, "close_date": self.close_date, "discount": self.discount,
                         "forecast_category": self.category}  # fmt: skip
        bar = widgets.Box([*self.controls.values()]).add_class("controls")
        self.root = widgets.VBox([self.title, bar, self.back, self.result])
        self._filling = False
        for control in self.controls.values():
            control.observe(lambda _: self._score(), "value")
        self.back.on_click(lambda _: self._fill())
        self.speak(Language())
        self.close()

    def speak(self, language: Language) -> None:
        """Name the controls in a language; what is shown already follows with the next deal."""
        self._language, _ = language, language._
        self.title.value = f"<h2>{escape(_('What if?'))}</h2>"
        self.back.description = _("Back to the deal as it is")
        self.stage.description, self.close_date.description = _("Stage"), _("Close date")
        self.category.description = _("Forecast category")
        self.amount.description, self.discount.description = f"{_('Amount')} ({self._currency})", f"{_('Discount')} (%)"

    def close(self) -> None:
        """Show nothing: no deal is chosen, or its version cannot be asked."""
        self.root.layout.display = "none"

    def open(self, board: Board, frames: DealFrames, deal: str) -> None:
        """Offer the fields of a deal as they are."""
        self._board, self._frames, self._deal = board, frames, deal
        self._fill()
        self.root.layout.display = ""

    def _fill(self) -> None:
        from salesml.workflows.what_if import choices

        row, self._filling = self._frames.now.loc[self._deal], True
        for name, control in (("stage", self.stage), ("forecast_category", self.category)):
            control.options = [(self._language._("(not set)"), NOT_SET), *((one, one) for one in choices(self._frames, name))]
            control.value = NOT_SET if pd.isna(row[name]) else row[name]
        self.amount.value = 0.0 if pd.isna(row["amount"]) else float(row["amount"])
        self.discount.value = 0.0 if pd.isna(row["discount"]) else round(100 * float(row["discount"]), 4)
        self.close_date.value = None if pd.isna(row["close_date"]) else pd.Timestamp(row["close_date"]).date()
        self._was, self._filling = self._values(), False
        self._score()

    def _values(self) -> dict[str, Any]:
        found = {name: control.value for name, control in self.controls.items()}
        return found | {"discount": self.discount.value / 100}

    def _score(self) -> None:
        if self._filling:
            return
        from salesml.workflows.what_if import what_if

        changed = {name: value for name, value in self._values().items()
                   if value != self._was[name] and value is not None and value != NOT_SET}  # fmt: skip
        try:
            self.result.value = what_if_result(self._board, self._language, what_if(self._frames, self._deal, changed))
        except SalesmlError as error:
            self.result.value = theme.notice(escape(str(error)))
