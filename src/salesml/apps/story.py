"""The screen Deal story: where a deal stands, why it scores as it does (factors that add up), and what happened so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from html import escape
from typing import Any

import pandas as pd
from scipy.special import expit, logit

from salesml.apps import text, theme
from salesml.apps.data import Board, factors_of, records, story
from salesml.apps.deals import scores_worth
from salesml.figures.pipeline import push

EVENTS = 12


def screen(board: Board, opportunity_id: str | None) -> str:
    """Where one deal stands, as HTML: the answer first; what to do where none is chosen."""
    deal = chosen(board, opportunity_id)
    if deal is None:
        return '<p class="answer">Choose a deal to read its story.</p>'
    return _head(board, deal) + _adjusted(board, deal)


def record(board: Board, opportunity_id: str | None, names: dict[str, str]) -> str:
    """What is recorded of a deal, as HTML: the sum of its score's factors, its stages, what happened, its activities."""
    deal = chosen(board, opportunity_id)
    if deal is None:
        return ""
    changes, activities = story(board, deal.opportunity_id)
    return "".join(
        [
            '<div class="columns"><section>', _why(board, deal, names), _stages(board, changes), "</section><section>",
            _timeline(board, changes), _activities(board, activities), "</section></div>",
        ]
    )  # fmt: skip


def chosen(board: Board, opportunity_id: str | None) -> Any:
    """The deal's row of the board; None where it is not there."""
    found = board.deals[board.deals["opportunity_id"] == opportunity_id]
    return records(found)[0] if len(found) else None


def contributions(deal: Any) -> pd.DataFrame:
    """The score of a deal as a sum in log-odds. Columns: feature, value, effect; the effects add up to logit(P(win)).

    The first row (feature missing) is the start: the model's base and every factor weaker than those that were kept.
    """
    kept = factors_of(deal)
    start = float(logit(deal.probability)) - sum(one["effect"] for one in kept)
    rows = [{"feature": None, "value": None, "effect": start}, *kept]
    return pd.DataFrame(rows, columns=["feature", "value", "effect"])


def _head(board: Board, deal: Any) -> str:
    who = " · ".join(escape(str(part)) for part in (deal.account, deal.owner, deal.region) if not pd.isna(part))
    signs = "; ".join(text.warnings(deal))
    told = f"Warning signs: {escape(signs)}." if signs else "No warning sign."
    closes = text.MISSING if pd.isna(deal.close_date) else text.short_day(pd.Timestamp(deal.close_date).date())
    interval = (
        ""
        if pd.isna(deal.probability) or pd.isna(deal.lo)
        else f"90 % interval {text.percent(deal.lo)} to {text.percent(deal.hi)}"
    )
    facts = [
        ("P(win)", text.percent(deal.probability), interval),
        *_dated(board, deal),
        (
            "Amount",
            text.money(deal.amount, board.currency),
            "" if pd.isna(deal.at_stake) else f"{text.amount(deal.at_stake)} weighted",
        ),
        ("Stage", str(deal.stage), f"for {text.days(deal.stage_days)}"),
        ("Close date entered", closes, f"moved {text.count(int(deal.close_date_changes), 'time')}"),
        ("Age", text.days(deal.age_days), f"last activity {text.ago(deal.days_since_activity)}"),
    ]
    name = escape(str(deal.name))
    return f'<h2 tabindex="-1" id="story">{name}</h2><p class="soft">{who}</p><p class="answer">{told}</p>{theme.facts(facts)}'


def _dated(board: Board, deal: Any) -> list[tuple[str, str, str]]:
    if pd.isna(deal.p_quarter):
        return []
    end = board.quarter[1] - dt.timedelta(days=1)
    return [("Won this quarter", text.percent(deal.p_quarter), f"by {text.short_day(end)}")]


def _adjusted(board: Board, deal: Any) -> str:
    """The adjustment in force beside the model's own number; nothing where there is none."""
    if not deal.adjusted:
        return ""
    until = text.day(board.workspace.local_date(deal.adjusted_until.to_pydatetime()))
    who = f"{escape(str(deal.adjusted_by))} puts P(win) at {text.percent(deal.adjusted_probability)}"
    told = f"<strong>{who}</strong>, until before {until}: "
    beside = f"The model's own number stays {text.percent(deal.probability)}." if not pd.isna(deal.probability) else ""
    return theme.notice(f"{told}{escape(str(deal.adjusted_reason))}. {beside}")


def _why(board: Board, deal: Any, names: dict[str, str]) -> str:
    title = "<h2>Why this P(win)</h2>"
    if pd.isna(deal.probability):
        return title + (
            scores_worth(board) if board.scores is None else '<p class="soft">The deal is not scored yet.</p>'
        )
    if not 0 < deal.probability < 1:
        return title + '<p class="soft">A probability of 0 or 100 % has no sum of factors.</p>'
    parts = contributions(deal)
    greatest = float(parts["effect"].iloc[1:].abs().max()) if len(parts) > 1 else 0.0
    first = parts["effect"].iloc[0]
    rows = [["Start: the usual deal and all weaker factors", "", f"{first:+.2f}", text.percent(float(expit(first)))]]
    running = first
    for part in records(parts.iloc[1:]):
        running += part.effect
        told = escape(text.factor({"feature": part.feature, "value": part.value}, names, board.currency))
        factor = f"{told}<small>{text.direction(part.effect)}</small>"
        so_far = text.percent(float(expit(running)))
        rows.append([factor, push(part.effect, greatest), f"{part.effect:+.2f}", so_far])
    foot = ["P(win)", "", f"{parts['effect'].sum():+.2f}", text.percent(deal.probability)]
    caption = "Effects in log-odds; they add up to P(win)"
    heads = ["Factor", "Against | for", "Effect", "P(win) so far"]
    worth = scores_worth(board) if board.scores and board.scores.baseline else ""
    return title + worth + theme.table(caption, heads, rows, numbers=(2, 3), foot=foot, kind="factors")


def _stages(board: Board, changes: pd.DataFrame) -> str:
    """The stages the deal went through, when it entered each and how long it stayed."""
    entries = changes.loc[changes["stage"].notna(), ["stage", "occurred_at"]].iloc[::-1]
    entries = entries[entries["stage"] != entries["stage"].shift()]
    left = [*entries["occurred_at"].iloc[1:], pd.Timestamp(board.as_of)]
    rows = []
    for stage, entered, until in zip(entries["stage"], entries["occurred_at"], left, strict=True):
        day = board.workspace.local_date(entered.to_pydatetime())
        rows.append([escape(str(stage)), text.short_day(day), text.days((until - entered) / pd.Timedelta(days=1))])
    if not rows:
        return ""
    rows[-1][2] += " so far"
    return "<h2>Stages so far</h2>" + theme.table(
        "In the order they were entered", ["Stage", "Entered", "Stayed"], rows
    )


def _timeline(board: Board, changes: pd.DataFrame) -> str:
    events = _events(board, changes)
    items = [f"<li><time>{text.day(when)}</time>{told}</li>" for when, told in events]
    rest, more = items[EVENTS:], ""
    if rest:
        summary = f"<summary>{text.count(len(rest), 'earlier event')}</summary>"
        more = f'<details>{summary}<ol class="story">{"".join(rest)}</ol></details>'
    return f'<h2>What happened</h2><ol class="story">{"".join(items[:EVENTS])}</ol>{more}'


def _events(board: Board, changes: pd.DataFrame) -> list[tuple[dt.date, str]]:
    """Changes in words, newest first; each names what it was before."""
    say: dict[str, Callable[[Any], str]] = {
        "stage": lambda value: f"<strong>{escape(str(value))}</strong>",
        "amount": lambda value: text.money(value, board.currency),
        "expected close": lambda value: text.day(pd.Timestamp(value).date()),
        "owner": lambda value: escape(str(value)),
    }
    told: list[tuple[dt.date, str]] = []
    last: dict[str, Any] = {}
    for row in records(changes.iloc[::-1]):
        owner = row.owner_id if pd.isna(row.owner_name) else row.owner_name
        now = dict(zip(say, (row.stage, row.amount, row.close_date, owner), strict=True))
        moved = {what: value for what, value in now.items() if not pd.isna(value) and value != last.get(what)}
        parts = [] if told else ["created"]
        parts += [_moved(what, last.get(what), value, say[what]) for what, value in moved.items()]
        if isinstance(row.next_step, str):
            parts.append(f"next step: {escape(row.next_step)}" if row.next_step else "next step cleared")
        last |= moved
        if parts:
            told.append((board.workspace.local_date(row.occurred_at.to_pydatetime()), "; ".join(parts)))
    return told[::-1]


def _moved(what: str, before: Any, after: Any, say: Callable[[Any], str]) -> str:
    return f"{what} {say(after)}" if before is None else f"{what} {say(before)} → {say(after)}"


def _activities(board: Board, activities: pd.DataFrame) -> str:
    if activities.empty:
        return '<h2>Activities</h2><p class="soft">None is recorded.</p>'
    inbound = int((activities["direction"] == "inbound").sum())
    items = []
    for row in records(activities.head(5)):
        when = text.day(board.workspace.local_date(row.occurred_at.to_pydatetime()))
        by = " from the customer" if row.direction == "inbound" else ""
        subject = "" if pd.isna(row.subject) else f": {escape(str(row.subject))}"
        items.append(f"<li><time>{when}</time>{escape(str(row.type))}{by}{subject}</li>")
    told = f"{text.count(len(activities), 'activity')}, {inbound:,} started by the customer; the newest:"
    return f'<h2>Activities</h2><p class="soft">{told}</p><ol class="story">{"".join(items)}</ol>'
