"""How the open pipeline moved between two instants, what waits in it, and what comes and goes by month."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pandas as pd

from salesml.analytics import book as books
from salesml.analytics import movement as moves
from salesml.analytics import movement_ageing as waiting
from salesml.analytics import words
from salesml.analytics.movement_parts import STEPS, abroad
from salesml.analytics.pipeline import months_later, quarter
from salesml.analytics.slices import Where
from salesml.errors import BadParameter
from salesml.lake import Lake, visible
from salesml.workflows.books import book_of
from salesml.workspace import Workspace

MONTHS = 12
_DRIVERS = {
    "created": "deals created", "reopened": "deals reopened", "raised": "amounts raised", "lowered": "amounts lowered", "won": "deals won",
    "lost": "deals lost", "no_decision": "deals that ended without decision", "moved_in": "deals moved in", "moved_out": "deals moved out",
    "withdrawn": "deals withdrawn", "corrected": "corrections", "exchange": "exchange rates",
}  # fmt: skip


@dataclass(frozen=True)
class Movement:
    """The open pipeline between `since` and `as_of`, each as it looked then; exact money in `currency`.

    steps: `movement.waterfall`; slices: the same by the dimension `by`, its names as shown; behind: `movement.moved` of each step, with
    step. As known at `as_of`: ageing, stalled, pushes, flows (`movement_ageing`; flows: the last 12 months). books: of both instants, and
    foreign: `abroad` of both, to ask on.
    """

    since: dt.datetime
    as_of: dt.datetime
    currency: str
    by: str
    steps: pd.DataFrame
    slices: pd.DataFrame
    behind: pd.DataFrame
    ageing: pd.DataFrame
    stalled: pd.DataFrame
    pushes: pd.DataFrame
    flows: pd.DataFrame
    sentence: str
    stalled_sentence: str
    notes: str
    head_id: int
    books: tuple[books.Book, books.Book] = field(repr=False)
    foreign: moves.Foreign = field(repr=False)

    def amount(self, step: str) -> float:
        """A step's amount, in currency."""
        return float(self.steps.set_index("step")["amount"][step])


def movement(
    workspace: Workspace,
    since: str | dt.date | dt.datetime | None = None,
    as_of: str | dt.date | dt.datetime | None = None,
    *,
    by: str = "region",
    where: Where | None = None,
) -> Movement:
    """How the open pipeline became what it is, to the cent, and what waits in it.

    `since` defaults to the start of the fiscal quarter that the last moment before `as_of` lies in. `by` slices the waterfall, `where`
    narrows everything. Raises BadParameter where since is not before as_of; UnknownName; NotEnoughData of an empty lake without as_of.
    """
    tables = Lake(workspace).open()
    until = tables.instant(as_of)
    last = workspace.local_date(until - dt.timedelta(microseconds=1))
    begin = workspace.instant(since or quarter(last, workspace.settings.fiscal_year_start)[0])
    if begin >= until:
        raise BadParameter(f"since {since} is not before {until:%Y-%m-%d %H:%M} UTC; give an earlier day, or a later --as-of")
    views = visible(tables, begin), visible(tables, until)
    before, after = (book_of(workspace, instant, tables=tables) for instant in (begin, until))
    foreign = abroad(views[0]), abroad(views[1])
    steps = moves.waterfall(before, after, where=where, foreign=foreign)
    slices = moves.waterfall(before, after, by=(by,), where=where, foreign=foreign)
    parts = [moves.moved(before, after, step, where=where, foreign=foreign).assign(step=step) for step in STEPS[1:-1]]
    first = months_later(after.day.replace(day=1), -MONTHS)
    stalled = waiting.stalled(after, where=where)
    ageing = waiting.ageing(after, where=where)
    return Movement(
        begin, until, after.currency, by, steps, slices.assign(**{by: _shown(slices[by], by, before, after)}),
        pd.concat(parts, ignore_index=True), ageing, stalled, waiting.pushes(after, where=where),
        waiting.created_and_closed(after, "month", period=(first, after.day), where=where),
        _sentence(steps, after.currency, before.day, after.day), _stalled_words(stalled, ageing, after.currency),
        _notes(steps, after), tables.head.id, (before, after), foreign,
    )  # fmt: skip


def _shown(names: pd.Series, by: str, before: books.Book, after: books.Book) -> pd.Series:
    """What to show for names of a dimension; where two names look alike, the name beside it."""
    labels = {name: label for book in (before, after) for name, label in zip(book.names[by], book.labels[by], strict=True)}
    used = [labels[name] for name in names.unique()]
    return names.map({name: f"{label} ({name})" if used.count(label) > 1 else label for name, label in labels.items()})


def _sentence(steps: pd.DataFrame, currency: str, start: dt.date, end: dt.date) -> str:
    rows = steps.set_index("step")
    opening, closing = rows["amount"]["opening"], rows["amount"]["closing"]
    change = closing - opening
    went = "grew" if change > 0 else "shrank" if change < 0 else "stayed the same"
    share = f" by {words.percent(float(abs(change) / opening))}" if opening and change else ""
    told = (
        f"The open pipeline {went}{share}, from {words.money(opening, currency)} at the start of {words.day(start)} to "
        f"{words.money(closing, currency)} at the start of {words.day(end)} ({_signed(change, currency)})."
    )
    between = rows.drop(index=["opening", "closing"])
    between = between[between["cents"] != 0].sort_values("cents")
    if between.empty:
        return f"{told} Nothing moved it."
    drivers = {"added": between.iloc[-1], "took": between.iloc[0]}
    parts = [
        f"{_DRIVERS[str(row.name)]} {verb} most ({_signed(row['amount'], currency)}, {words.count(int(row['deals']), 'deal')})"
        for verb, row in drivers.items() if (row["cents"] > 0) == (verb == "added")
    ]  # fmt: skip
    first, *rest = parts[::-1] if change < 0 else parts
    return f"{told} {first[0].upper()}{first[1:]}{''.join(f'; {part}' for part in rest)}."


def _stalled_words(stalled: pd.DataFrame, ageing: pd.DataFrame, currency: str) -> str:
    count, amount = int(ageing["deals"].sum()), sum(ageing["amount"])
    if not count:
        return "No deal is open."
    waiting_amount = sum(stalled["amount"].dropna())
    share = f", {words.percent(float(waiting_amount / amount))} of the open amount" if amount else ""
    return (
        f"{words.count(len(stalled), 'deal')} of {count:,} open ones, {words.money(waiting_amount, currency)}{share}, stay in their stage "
        f"longer than nine in ten of the deals that moved on from it."
    )


def _notes(steps: pd.DataFrame, after: books.Book) -> str:
    rows, told = steps.set_index("step"), []
    if rows["deals"]["corrected"]:
        told.append(
            f"Corrected: {words.count(int(rows['deals']['corrected']), 'deal')} of which more is known now than at the start. Most "
            "often a deal looked open then, but had closed already and was entered late; its win or loss belongs to an earlier time."
        )
    deals = pd.DataFrame({name: after.column("deal", name).to_pandas() for name in ("state", "cents")})
    lacking = int(deals.loc[deals["state"] == 0, "cents"].isna().sum())
    if after.unconverted:
        codes = ", ".join(f"{count:,} in {code}" for code, count in sorted(after.unconverted.items()))
        told.append(f"Without an exchange rate, and counted as 0: {codes}.")
    elif lacking:
        told.append(f"Deals open at the end without an amount, counted as 0: {lacking:,}.")
    return " ".join(told)


def _signed(amount: object, currency: str) -> str:
    sign = "+" if amount > 0 else "\N{MINUS SIGN}" if amount < 0 else ""  # type: ignore[operator]
    return f"{sign}{words.money(abs(amount), currency)}"  # type: ignore[arg-type]
