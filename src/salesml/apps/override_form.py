"""The screen Own number: a person's revenue for a node and a month beside the model's, those in force, and how to take one back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from html import escape
from types import SimpleNamespace
from typing import Any

import ipywidgets as widgets
import pandas as pd

from salesml.apps import controls, text, theme
from salesml.apps.data import records
from salesml.apps.forecast_desk import Desk
from salesml.apps.forecast_screens import named, signed
from salesml.errors import SalesmlError
from salesml.state.users import all_users, current_user
from salesml.workflows.overrides import label, override_revenue, withdraw
from salesml.workflows.signed import may_sign

NONE = "(none in force)"
WRITING = '<p class="soft" role="status">Being written and worked into the forecast…</p>'
BUTTON = {"width": "auto", "align_self": "flex-start"}


class OverrideForm:
    """Labelled controls for one number; `root` is what is displayed. `written()` is called after something was written."""

    def __init__(self, currency: str, written: Callable[[], None]) -> None:
        self._written = written
        self.answer, self.beside, self.result, self.list = (widgets.HTML() for _ in range(4))
        self.node = widgets.Dropdown(description="Whose revenue")
        self.month = widgets.Dropdown(description="Month")
        self.amount = widgets.Text(description=f"Amount ({currency})", placeholder="1250000")
        self.reason = widgets.Text(description="Reason (3 words or more)", placeholder="framework order signed with …")
        self.until = widgets.DatePicker(description="Ends before (optional)")
        self.approver = widgets.Dropdown(description="Approved by")
        self.put = widgets.Button(description="Put this number down", layout=BUTTON).add_class("back")
        self.which = widgets.Dropdown(description="Take back")
        self.why = widgets.Text(description="Why (3 words or more)")
        self.back = widgets.Button(description="Take it back", layout=BUTTON).add_class("back")
        first, said = controls.bar(self.node, self.month, self.amount), controls.bar(self.reason).add_class("long")
        self.form = widgets.VBox([first, self.beside, said, controls.bar(self.until, self.approver), self.put])
        self.taking = widgets.VBox([controls.bar(self.which, self.why).add_class("long"), self.back])
        self.root = widgets.VBox([self.answer, self.form, self.result, self.list, self.taking])
        for control in (self.node, self.month):
            control.observe(lambda _: self._tell(), "value")
        self.put.on_click(lambda _: self._put())
        self.back.on_click(lambda _: self._take_back())

    def open(self, desk: Desk) -> None:
        """Show the numbers in force, and the form where the newest forecast is shown."""
        self._desk = desk
        rows, months = desk.board.forecast, desk.months()
        self.form.layout.display = "" if desk.newest and months else "none"
        self.taking.layout.display = "" if desk.newest and len(desk.held) else "none"
        self.answer.value = _answer(desk, months)
        self.list.value = _listing(desk)
        if not len(rows):
            return
        nodes = _nodes(desk)
        controls.offer(self.node, nodes, self.node.value)
        controls.offer(self.month, [(f"{day:%B %Y}", f"{day:%Y-%m}") for day in months], self.month.value)
        workspace = desk.board.workspace
        user = current_user(workspace)
        signers = [one.name for one in all_users(workspace) if may_sign(one)]
        controls.offer(self.approver, [(name, name) for name in signers], self.approver.value or user.name)
        held = [
            (f"{_whose(desk, row.level, row.name)}, {row.month:%B %Y}: {row.amount:,.0f}", row.override_id)
            for row in records(desk.held)
        ]
        controls.offer(self.which, held or [(NONE, "")], self.which.value)
        self._tell()

    def _tell(self) -> None:
        """What the model says of the node and month, and what is said now."""
        row = self._row()
        if row is None:
            self.beside.value = '<p class="soft">The forecast does not have this month.</p>'
            return
        unit = self._desk.board.currency
        told = f"The model says <strong>{row.model_amount:,.2f} {escape(unit)}</strong>"
        if row.moved:
            told += f"; with the numbers in force it is {row.amount:,.2f}"
        told += f", 80{text.NARROW}% interval {row.lo80:,.0f} to {row.hi80:,.0f}."
        self.beside.value = f'<p role="status">{told}</p>'

    def _row(self) -> Any:
        rows = self._desk.board.forecast
        level, _, name = str(self.node.value).partition("/")
        mine = rows[(rows["entity_type"] == level) & (rows["entity_id"] == (name or level))]
        mine = mine[[f"{day:%Y-%m}" == self.month.value for day in mine["period_start"]]]
        return records(mine)[0] if len(mine) else None

    def _put(self) -> None:
        def write() -> str:
            workspace = self._desk.board.workspace
            given = self.amount.value.strip().replace(" ", "")
            made = override_revenue(
                workspace, str(self.node.value), str(self.month.value), given, self.reason.value, self.until.value, self.approver.value
            )
            level, _, name = made.node.partition("/")
            return f"{_whose(self._desk, level, name)} {made.month:%B %Y} now stands at {made.amount:,.2f} {made.currency}."

        if self._do(write):
            self.amount.value, self.reason.value, self.until.value = "", "", None

    def _take_back(self) -> None:
        def write() -> str:
            withdraw(self._desk.board.workspace, str(self.which.value), self.why.value)
            return "Taken back: from now on the model's number holds there."

        if self._do(write):
            self.why.value = ""

    def _do(self, write: Callable[[], str]) -> bool:
        self.result.value = WRITING
        try:
            told = write()
        except SalesmlError as error:
            self.result.value = f'<div role="alert">{theme.notice(escape(str(error)))}</div>'
            return False
        self._written()
        self.result.value = f'<p class="done" role="status">{escape(told)}</p>'
        return True


def _nodes(desk: Desk) -> list[tuple[str, str]]:
    """Who has a forecast, as people call them and as commands take them: each region before its teams, each team before its reps."""
    rows = desk.board.forecast.rename(columns={"entity_type": "level", "entity_id": "name"}).drop_duplicates(["level", "name"])
    below: dict[str, list[tuple[str, str]]] = {}
    for row in records(rows):
        above = "" if row.level == "company" else row.parent if isinstance(row.parent, str) else "company"
        below.setdefault(above, []).append((_whose(desk, row.level, row.name), label({"level": row.level, "name": row.name})))
    return list(_beneath("", below))


def _beneath(above: str, below: dict[str, list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    for told, node in sorted(below.get(above, [])):
        yield told, node
        yield from _beneath(node, below)


def _answer(desk: Desk, months: list[dt.date]) -> str:
    unit, moved = desk.board.currency, desk.moved()
    if not len(desk.held):
        told = "Nobody's number stands beside the model's: the forecast is the model's own."
    else:
        whose = "1 person's number stands" if len(desk.held) == 1 else f"{len(desk.held):,} numbers of people stand"
        by = f"moving the quarter by <strong>{escape(unit)}{text.NARROW}{signed(moved)}</strong>"
        by = by if moved else "without moving the quarter's sum"
        told = f"{whose} beside the model's, {by}."
    old = ""
    if not desk.newest:
        old = theme.notice("An earlier day is shown: choose the newest under Known up to, to put a number down or take one back.")
    elif not len(desk.board.forecast):
        old = theme.notice(f"There is no forecast to put a number beside. Run {theme.command('salesml forecast revenue')}")
    elif not months:
        old = theme.notice(f"Every month of this forecast is known by now. Run {theme.command('salesml forecast revenue')}")
    return f'<p class="answer">{told}</p>{old}'


def _listing(desk: Desk) -> str:
    if not len(desk.held):
        return ""
    forecast = desk.board.forecast
    told = forecast[forecast["override_id"].notna()] if "override_id" in forecast else pd.DataFrame({"override_id": [], "model_amount": []})
    model = dict(zip(told["override_id"], told["model_amount"], strict=True))
    rows = []
    for row in records(desk.held):
        said = f"{model[row.override_id]:,.2f}" if row.override_id in model else "not in this forecast"
        until = "no end" if pd.isna(row.expires_at) else _day(desk, row.expires_at)
        rows.append([
            f"{escape(_whose(desk, row.level, row.name))}<small>{row.month:%B %Y}</small>", f"{row.amount:,.2f}",
            said,
            f"{escape(str(row.reason))}<small>{escape(str(row.author))}, approved by {escape(str(row.approver))}</small>", until,
        ])  # fmt: skip
    unit = desk.board.currency
    heads = ["Whose, when", f"Number ({unit})", f"Model ({unit})", "Reason", "Ends before"]
    return "<h2>In force</h2>" + theme.table("People's numbers that hold now", heads, rows, numbers=(1, 2), kind="cards")


def _whose(desk: Desk, level: str, name: str) -> str:
    return named(SimpleNamespace(level=level, label=desk.parts.names.get(name, name)))


def _day(desk: Desk, moment: Any) -> str:
    day: dt.date = desk.board.workspace.local_date(moment.to_pydatetime())
    return text.short_day(day)
