"""The screen What if: levers as labelled sliders, where the quarter lands with them, three joint scenarios, saving under a name."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import anywidget
import ipywidgets as widgets
import pandas as pd
import traitlets

from salesml.analytics.levers import Levers
from salesml.apps import controls, text, theme
from salesml.apps.data import records
from salesml.apps.forecast_desk import Desk
from salesml.apps.forecast_screens import signed
from salesml.apps.theme import HERE
from salesml.errors import SalesmlError
from salesml.figures import bridge

if TYPE_CHECKING:
    from salesml.workflows.scenarios import BaseCase, Scenario

WAITING = '<p class="soft" role="status">Simulating the quarter once; after that each turn of a lever answers at once…</p>'
SHARES = {
    "win_rate": ("Win rate", -50, 50), "cycle": ("Length of the sales cycle", -50, 50), "price": ("Price", -30, 30),
    "creation": ("New pipeline created", -50, 100), "quota": ("Quota", -50, 50),
}  # fmt: skip
MOST_REPS, SHOWN, NEW = 20, 5, "(choose one)"
THREE = ("pessimistic", "realistic", "optimistic")


class Lever(anywidget.AnyWidget):
    """One slider with a label; `value` in whole percent, or reps."""

    _esm = (HERE / "lever.js").read_text(encoding="utf-8")
    label, unit = traitlets.Unicode().tag(sync=True), traitlets.Unicode("%").tag(sync=True)
    value, low, high = (traitlets.Int().tag(sync=True) for _ in range(3))
    step = traitlets.Int(1).tag(sync=True)


class LeverPanel:
    """`root` is what is displayed; nothing is computed before `open`. Saving a scenario is all it writes."""

    def __init__(self) -> None:
        self.levers = {name: Lever(label=told, low=low, high=high) for name, (told, low, high) in SHARES.items()}
        self.levers["headcount"] = Lever(label="Reps joining (below 0: leaving)", low=-MOST_REPS, high=MOST_REPS, unit="reps")
        self.back = widgets.Button(description="All levers back", layout={"width": "auto", "align_self": "flex-start"}).add_class("back")
        self.answer, self.result, self.kept, self.sides = (widgets.HTML() for _ in range(4))
        self.name = widgets.Text(description="Save these levers as", placeholder="hiring freeze")
        self.save = widgets.Button(description="Save", layout={"width": "auto", "align_self": "flex-start"}).add_class("back")
        self.saved = widgets.Dropdown(description="Open a saved one")
        turned = widgets.Box(list(self.levers.values())).add_class("levers")
        self.body = widgets.VBox([turned, self.back, self.result, controls.bar(self.name, self.saved), self.save, self.kept, self.sides])
        self.root = widgets.VBox([self.answer, self.body])
        self._filling = False
        self._desk: Desk | None = None
        self.body.layout.display = "none"
        for lever in self.levers.values():
            lever.observe(lambda _: self._run(), "value")
        self.back.on_click(lambda _: self._turn(Levers()))
        self.save.on_click(lambda _: self._save())
        self.saved.observe(lambda _: self._open_saved(), "value")

    def open(self, desk: Desk) -> None:
        """Make the base case of a desk's instant, once, and show the levers on it."""
        if self._desk is desk:
            return
        self.body.layout.display, self.answer.value = "none", WAITING
        case = desk.parts.case
        if isinstance(case, str):
            self.answer.value = theme.notice(escape(case))
            return
        self._desk, self._case = desk, case
        self.levers["headcount"].low = -min(MOST_REPS, case.base.reps)
        self._offer_saved()
        self._run()
        self.body.layout.display = ""

    def chosen(self) -> Levers:
        """The levers as they stand."""
        values = {name: self.levers[name].value / 100 for name in SHARES}
        return Levers.of({**values, "headcount": self.levers["headcount"].value})

    def _turn(self, levers: Levers) -> None:
        self._filling = True
        for name in SHARES:
            self.levers[name].value = round(100 * getattr(levers, name))
        self.levers["headcount"].value = levers.headcount
        self._filling = False
        self._run()

    def _run(self) -> None:
        if self._filling or self._desk is None:
            return
        from salesml.workflows.scenarios import scenario

        self.kept.value = ""
        try:
            found = scenario(self._desk.board.workspace, self.chosen(), case=self._case)
        except SalesmlError as error:
            self.answer.value = f'<div role="alert">{theme.notice(escape(str(error)))}</div>'
            return
        self.answer.value = _answer(found) + _older(self._desk)
        self.result.value = _result(found)

    def _save(self) -> None:
        from salesml.workflows.scenarios import save

        levers = self.chosen()
        try:
            made = save(self._desk.board.workspace, self.name.value.strip(), levers, self._case.as_of)  # type: ignore[union-attr]
        except SalesmlError as error:
            self.kept.value = f'<div role="alert">{theme.notice(escape(str(error)))}</div>'
            return
        self.name.value = ""
        self._offer_saved()
        self.kept.value = f'<p class="done" role="status">Saved as {escape(made.name)}: {escape(levers.told())}.</p>'

    def _open_saved(self) -> None:
        if not self._filling and isinstance(self.saved.value, Levers):
            self._turn(self.saved.value)

    def _offer_saved(self) -> None:
        from salesml.workflows.scenarios import saved

        found = sorted(saved(self._desk.board.workspace), key=lambda one: one.created_at)  # type: ignore[union-attr]
        known = [(one.name, Levers.of(one.levers)) for one in found]
        self._filling = True
        self.saved.options = [(NEW, NEW), *((name, levers) for name, levers in known if self._fits(levers))]
        self.saved.value = NEW
        self._filling = False
        self.sides.value = _sides(self._case, known[-SHOWN:])

    def _fits(self, levers: Levers) -> bool:
        """Whether the sliders can show a scenario: whole percents within their range, and no lever that has no slider."""
        shown = {name: (100 * getattr(levers, name), self.levers[name]) for name in SHARES}
        shown["headcount"] = (levers.headcount, self.levers["headcount"])
        whole = all(abs(value - round(value)) < 1e-9 and lever.low <= value <= lever.high for value, lever in shown.values())
        return whole and not levers.market and levers.quota_amount is None and levers.ramp_months == Levers().ramp_months


def _answer(found: Scenario) -> str:
    unit, company = found.case.currency, found.outcome.company
    with_what = f"With {escape(found.levers.told())}" if found.levers.turned else "As things stand"
    change = f" ({signed(company['expected'] - company['expected_before'])})" if found.levers.turned else ""
    told = f"{with_what}, {text.span(found.case.start, found.case.end)} is heading for"
    told += f" <strong>{text.money(company['expected'], unit)}</strong>{change}"
    if not pd.isna(company["probability"]):
        told += f"; the quota of {text.money(company['quota'], unit)} is reached with a chance of"
        told += f" <strong>{text.percent(company['probability'])}</strong>"
        told += f" instead of {text.percent(company['probability_before'])}" if found.levers.turned else ""
    return f'<p class="answer" role="status">{told}.</p>'


def _result(found: Scenario) -> str:
    """Three joint scenarios beside what each lever does, then what to know."""
    unit, company = found.case.currency, found.outcome.company
    facts = [
        ("Expected", text.money(company["expected"], unit), f"{signed(company['expected'] - company['expected_before'])} against today"),
        ("80 % interval", text.between(company["lo80"], company["hi80"], unit), "8 in 10 simulated quarters"),
    ]
    if not pd.isna(company["probability"]):
        before = text.percent(company["probability_before"])
        facts.append(("Chance of quota", text.percent(company["probability"]), f"as things stand {before}"))
    left, right = _three(found), _parts(found)
    told = "".join(f"<p>{escape(one)}</p>" for one in (found.sentence, found.need, found.notes))
    notes = f"<details><summary>In full, and what the numbers rest on</summary>{told}</details>"
    return f'{theme.facts(facts)}<div class="columns even"><section>{left}</section><section>{right}</section></div>{notes}'


def _three(found: Scenario) -> str:
    joint = found.outcome.joint
    joint = joint[joint["level"].isin(["company", "region"])]
    rows = [
        ["The company" if row.level == "company" else escape(str(row.label)), *(text.amount(getattr(row, name)) for name in THREE)]
        for row in records(joint)
    ]
    told = (
            "One in ten quarters is worse than the pessimistic one, one in ten better than the optimistic. Regions "
            "add up to the company, so a region by itself can do worse, or better, than in these."
    )
    heads = ["Who", *(name.capitalize() for name in THREE)]
    table = theme.table(f"Three quarters that may come, {found.case.currency}", heads, rows, numbers=(1, 2, 3), kind="three")
    return f'<h2>Three joint scenarios</h2>{table}<p class="soft">{told}</p>'


def _parts(found: Scenario) -> str:
    title, parts = "<h2>What each lever does</h2>", found.outcome.parts
    mine = parts[(parts["level"] == "company") & parts["expected"].abs().gt(0.5)]
    if mine.empty:
        told = "No lever moves what is expected." if found.levers.turned else "No lever is turned yet: this is how things stand."
        return f'{title}<p class="soft">{told}</p>'
    company = found.outcome.company
    before, after = float(company["expected_before"]), float(company["expected"])
    bars = bridge.steps(before, mine["expected"].tolist(), after)
    names = ["As things stand", *(str(name).replace("_", " ").capitalize() for name in mine["lever"]), "With these levers"]
    values = [text.amount(before), *map(signed, mine["expected"]), text.amount(after)]
    rows = [list(row) for row in zip(names, bars, values, strict=True)]
    heads = ["Lever", "Waterfall", f"Expected ({found.case.currency})"]
    return title + theme.table("Each alone, and what they do together", heads, rows, numbers=(2,), kind="steps")


def _sides(case: BaseCase, known: list[tuple[str, Levers]]) -> str:
    """Saved scenarios side by side, all as of the base's instant; the newest few."""
    if not known:
        return ""
    from salesml.analytics.scenario import run

    rows = [_side("As things stand", "", case.unchanged.company)]
    for name, levers in known:
        try:
            rows.append(_side(escape(name), escape(levers.told()), run(levers, case.base).company))
        except SalesmlError as error:
            rows.append([f"{escape(name)}<small>{escape(str(error))}</small>", *[text.MISSING] * 3])
    heads = ["Scenario", f"Expected ({case.currency})", "80 % interval", "Chance of quota"]
    table = theme.table("Saved scenarios as of the same instant", heads, rows, numbers=(1, 2, 3), kind="cards sides")
    return f"<h2>Side by side</h2>{table}"


def _side(name: str, levers: str, company: pd.Series) -> list[str]:
    interval = f"{text.amount(company['lo80'])} to {text.amount(company['hi80'])}"
    told = f"{name}<small>{levers}</small>" if levers else name
    return [told, text.amount(company["expected"]), interval, text.percent(company["probability"])]


def _older(desk: Desk) -> str:
    """That numbers put down after the base's instant are not in it."""
    later = desk.held[desk.held["known_at"] >= pd.Timestamp(desk.board.as_of)]
    if later.empty:
        return ""
    verb = "is" if len(later) == 1 else "are"
    told = f"{text.count(len(later), 'number')} put down by people after this instant {verb} not in the scenarios"
    return theme.notice(f"{told}: these start from what was known then.")
