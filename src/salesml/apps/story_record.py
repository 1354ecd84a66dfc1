"""What is recorded of one deal, as HTML: the stages it went through, what happened, its activities."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd

from salesml.apps import pipeline_words as words
from salesml.apps import theme
from salesml.apps.data import Board, records
from salesml.apps.language import Language

EVENTS, ACTIVITIES = 12, 5


def stages(board: Board, language: Language, changes: pd.DataFrame) -> str:
    """The stages the deal went through, when it entered each and how long it stayed."""
    _ = language._
    entries = changes.loc[changes["stage"].notna(), ["stage", "occurred_at"]].iloc[::-1]
    entries = entries[entries["stage"] != entries["stage"].shift()]
    left = [*entries["occurred_at"].iloc[1:], pd.Timestamp(board.as_of)]
    rows = []
    for stage, entered, until in zip(entries["stage"], entries["occurred_at"], left, strict=True):
        day = board.workspace.local_date(entered.to_pydatetime())
        stayed = words.days(language, (until - entered) / pd.Timedelta(days=1))
        rows.append([escape(str(stage)), language.day(day, short=True), stayed])
    if not rows:
        return ""
    rows[-1][2] = _("{days} so far", days=rows[-1][2])
    shown = theme.table(_("In the order they were entered"), [_("Stage"), _("Entered"), _("Stayed")], rows)
    return f"<h2>{escape(_('Stages so far'))}</h2>{shown}"


def timeline(board: Board, language: Language, changes: pd.DataFrame) -> str:
    """What changed, newest first, the older part folded away."""
    items = [f"<li><time>{language.day(when)}</time>{told}</li>" for when, told in _events(board, language, changes)]
    rest, more = items[EVENTS:], ""
    if rest:
        summary = language.n_("{n} earlier event", "{n} earlier events", len(rest))
        more = f'<details><summary>{summary}</summary><ol class="story">{"".join(rest)}</ol></details>'
    return f'<h2>{escape(language._("What happened"))}</h2><ol class="story">{"".join(items[:EVENTS])}</ol>{more}'


def activities(board: Board, language: Language, touches: pd.DataFrame) -> str:
    """How many activities there are, and the newest of them."""
    _ = language._
    title = f"<h2>{escape(_('Activities'))}</h2>"
    if touches.empty:
        return f'{title}<p class="soft">{escape(_("None is recorded."))}</p>'
    inbound = language.number(int((touches["direction"] == "inbound").sum()))
    items = []
    for row in records(touches.head(ACTIVITIES)):
        when = language.day(board.workspace.local_date(row.occurred_at.to_pydatetime()))
        kind = escape(_kinds(language).get(str(row.type), str(row.type)))
        kind = kind[:1].upper() + kind[1:]
        told = _("{activity} from the customer", activity=kind) if row.direction == "inbound" else kind
        subject = "" if pd.isna(row.subject) else f": {escape(str(row.subject))}"
        items.append(f"<li><time>{when}</time>{told}{subject}</li>")
    told = language.n_("{n} activity, {inbound} started by the customer; the newest:",
                       "{n} activities, {inbound} started by the customer; the newest:", len(touches), inbound=inbound)  # fmt: skip
    return f'{title}<p class="soft">{told}</p><ol class="story">{"".join(items)}</ol>'


def _kinds(language: Language) -> dict[str, str]:
    _ = language._
    return {"call": _("call"), "email": _("e-mail"), "meeting": _("meeting"), "demo": _("demo"), "task": _("task"), "note": _("note")}


def _events(board: Board, language: Language, changes: pd.DataFrame) -> list[tuple[dt.date, str]]:
    """Changes in words, newest first; each names what it was before."""
    _ = language._
    say: dict[str, Callable[[Any], str]] = {
        _("stage"): lambda value: f"<strong>{escape(str(value))}</strong>",
        _("amount"): lambda value: language.money(value, board.currency),
        _("expected close"): lambda value: language.day(pd.Timestamp(value).date()),
        _("rep"): lambda value: escape(str(value)),
    }
    told: list[tuple[dt.date, str]] = []
    last: dict[str, Any] = {}
    for row in records(changes.iloc[::-1]):
        owner = row.owner_id if pd.isna(row.owner_name) else row.owner_name
        now = dict(zip(say, (row.stage, row.amount, row.close_date, owner), strict=True))
        moved = {what: value for what, value in now.items() if not pd.isna(value) and value != last.get(what)}
        parts = [] if told else [_("deal created")]
        parts += [_moved(what, last.get(what), value, say[what]) for what, value in moved.items()]
        if isinstance(row.next_step, str):
            step = escape(row.next_step)
            parts.append(_("next step: {step}", step=step) if step else _("next step cleared"))
        last |= moved
        if parts:
            told.append((board.workspace.local_date(row.occurred_at.to_pydatetime()), "; ".join(parts)))
    return told[::-1]


def _moved(what: str, before: Any, after: Any, say: Callable[[Any], str]) -> str:
    return f"{what} {say(after)}" if before is None else f"{what} {say(before)} → {say(after)}"
