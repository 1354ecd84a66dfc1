"""The lead board's screens as HTML: whom to work now, one lead with its reasons, and whether grades held."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from salesml.apps import text, theme
from salesml.apps.data import records
from salesml.apps.lead_data import LeadBoard, story
from salesml.planning.lead_grades import COLD, GRADES, HOT, WARM
from salesml.workflows.grade_trend import grade_trend
from salesml.workflows.lead_next import NextStep, next_step

EVERYBODY = ""
EVENTS = 12
HEADS = ["Lead", "Next step", "Chance", "Expected", "Grade", "Last did"]
PARTS = {
    "engagement": "reads, clicks, visits, replies", "intent": "asks, downloads, looks at prices", "fit": "who it is and where it came from",
    "behavioural": "all it did, and when", "demographic": "who it is",
}  # fmt: skip


def chosen(board: LeadBoard, owner: str, grade: str) -> pd.DataFrame:
    """The leads of an owner (all: "") and of a standing grade (all: "")."""
    leads = board.leads
    if owner:
        leads = leads[leads["owner_id"] == owner]
    return leads[leads["standing"] == grade] if grade else leads


def answer(board: LeadBoard, owner: str) -> str:
    """Whom to work now, in a sentence: how many leads are worth it, what they bring, and how many cannot wait."""
    mine = chosen(board, owner, "")
    whose = f" of {escape(str(mine['owner'].iloc[0]))}" if owner and len(mine) else ""
    hot = mine[mine["standing"] == HOT]
    if mine.empty:
        return '<p class="answer">No open lead is graded here.</p>'
    if hot.empty:
        return f'<p class="answer">None of the {text.count(len(mine), "open lead")}{whose} is worth a call now.</p>'
    steps = [next_step(lead, board.as_of) for lead in records(hot)]
    urgent = sum(step.urgent for step in steps)
    brings = text.money(float(hot["expected_value"].sum()), board.currency)
    told = f"<strong>{text.count(len(hot), 'lead')}</strong>{whose} to work now, expected to bring <strong>{brings}</strong>"
    wait = f"; {urgent:,} of them cannot wait" if urgent else ""
    counts = " · ".join(f"{int((mine['standing'] == name).sum()):,} {name}" for name in GRADES)
    meaning = "hot: it pays and there is time · warm: it pays, others pay more · cold: it costs more than it brings"
    return f'<p class="answer">{told}{wait}.</p><p class="soft">{counts}. {meaning}.</p>'


def listing(board: LeadBoard, leads: pd.DataFrame, rows: int) -> str:
    """The first leads as a table, one row a lead, each with a button that opens it; those that cannot wait first."""
    if leads.empty:
        return '<p class="soft">No lead of this grade.</p>'
    steps = {lead.lead_id: next_step(lead, board.as_of) for lead in records(leads)}
    waits = leads["lead_id"].map(lambda one: not steps[one].urgent)
    ordered = leads.assign(waits_for=waits).sort_values(["waits_for", "expected_value"], ascending=[True, False], kind="stable")
    shown = [_row(board, lead, steps[lead.lead_id]) for lead in records(ordered.head(rows))]
    caption = f"{min(rows, len(leads)):,} of {text.count(len(leads), 'lead')}: what cannot wait first, then by what is expected"
    heads = [f"{name} ({board.currency})" if name == "Expected" else name for name in HEADS]
    meaning = "Chance: to convert, calibrated. Expected: chance × what leads like it brought once converted."
    return theme.table(caption, heads, shown, numbers=(2, 3), kind="cards") + f'<p class="soft">{meaning}</p>'


def _row(board: LeadBoard, lead: Any, step: NextStep) -> list[str]:
    button = f'<button type="button" class="open" data-lead="{escape(lead.lead_id)}">{escape(_name(lead))}</button>'
    own = f"<small>by {escape(str(lead.own_author))}; worked out: {lead.grade}</small>" if not pd.isna(lead.own_grade) else ""
    who = " · ".join(escape(str(part)) for part in (lead.lead_id, lead.source, lead.owner) if not pd.isna(part))
    return [
        f"{button}<small>{who}</small>", f"<strong>{step.do}</strong><small>{escape(step.why)}</small>", text.percent(lead.probability),
        text.amount(lead.expected_value), f"{lead.standing}{own}", _ago(board, lead.last_event_at),
    ]  # fmt: skip


def lead_screen(board: LeadBoard, lead_id: str | None) -> str:
    """One lead, the next step first: what it is worth, why, by which rep, and what happened so far."""
    lead = of(board, lead_id)
    if lead is None:
        return '<p class="answer">Choose a lead to see what speaks for it.</p>'
    step = next_step(lead, board.as_of)
    head = f'<h2 tabindex="-1" id="lead">{escape(_name(lead))}</h2>'
    known = [lead.lead_id, lead.source, lead.industry, lead.country, None if pd.isna(lead.employees) else f"{lead.employees:,.0f} people"]
    who = " · ".join(escape(str(part)) for part in known if part is not None and not pd.isna(part))
    told = f'<p class="answer"><strong>{step.do}</strong>: {escape(step.why)}.</p>'
    facts = [
        ("Chance to convert", text.percent(lead.probability), f"score {lead.composite:.0f} of 100" if not pd.isna(lead.composite) else ""),
        ("Expected to bring", text.money(lead.expected_value, board.currency), "chance × worth once converted"),
        ("Grade", lead.standing, _own_words(board, lead)),
        ("Came", _ago(board, lead.created_at), f"last did something {_ago(board, lead.last_event_at)}"),
    ]
    why = "".join(f"<li>{escape(sentence)}</li>" for sentence in lead.evidence)
    return (
        f'{head}<p class="soft">{who}</p>{told}{theme.facts(facts)}<h2>Why {lead.grade}</h2><ul class="why">{why}</ul>'
        f"{_parts(lead)}{_rep(board, lead)}"
    )


def happened(board: LeadBoard, lead_id: str | None) -> str:
    """What one lead did and what was done with it, newest first."""
    if of(board, lead_id) is None:
        return ""
    did, done = story(board, str(lead_id))
    items = [(row.occurred_at, _did(row), not str(row.type).startswith("nurture")) for row in records(did)]
    items += [(row.occurred_at, _done(row), row.direction == "inbound") for row in records(done)]
    items.sort(key=lambda item: item[0], reverse=True)
    told = [
        f"<li><time>{text.day(board.workspace.local_date(when.to_pydatetime()))}</time>{'It' if theirs else 'We'}: {escape(what)}</li>"
        for when, what, theirs in items
    ]
    if not told:
        return '<h2>What happened</h2><p class="soft">Nothing is recorded.</p>'
    more = ""
    if len(told) > EVENTS:
        summary = f"<summary>{text.count(len(told) - EVENTS, 'earlier event')}</summary>"
        more = f'<details>{summary}<ol class="story">{"".join(told[EVENTS:])}</ol></details>'
    return f'<h2>What happened</h2><ol class="story">{"".join(told[:EVENTS])}</ol>{more}'


def held(board: LeadBoard) -> str:
    """Whether grades held: what became of the leads graded on earlier days."""
    found = grade_trend(board.workspace, None if board.newest else board.as_of)
    rows = []
    for row in records(found.days.sort_values("as_of", ascending=False, kind="stable")):
        between = f"<small>{text.percent(row.lo)} to {text.percent(row.hi)}</small>"
        rate = f"{text.percent(row.rate)}{between}" if row.ripe else "too early to say"
        day = text.short_day(board.workspace.local_date(row.as_of.to_pydatetime()))
        counts = [f"{row.leads:,}", f"{row.expected:,.1f}", f"{row.converted:,} of {row.ripe:,}"]
        rows.append([f"{day}<small>{row.grade}</small>", *counts, rate])
    heads = ["Graded as of", "Leads", "Conversions expected", "Converted, of those whose outcome is known", "Rate (90 % interval)"]
    more = f"How grades would have done in past weeks: {theme.command('salesml report lead_grades')}"
    table = theme.table("Every grading and what became of it", heads, rows, numbers=(1, 2, 3, 4), kind="cards")
    return f'<p class="answer">{escape(found.sentence)}</p>{table}<p class="soft">{more}</p>'


def of(board: LeadBoard, lead_id: str | None) -> Any:
    """The lead's row of the board; None where it is not there."""
    found = board.leads[board.leads["lead_id"] == lead_id]
    return records(found)[0] if len(found) else None


def label(lead: Any, currency: str) -> str:
    """A lead in a list to choose from."""
    return f"{_name(lead)} · {lead.lead_id} · {text.money(lead.expected_value, currency)}"


def _name(lead: Any) -> str:
    title = "Somebody" if pd.isna(lead.title) else str(lead.title)
    where = next((str(part) for part in (lead.industry, lead.country) if not pd.isna(part)), "")
    return f"{title}, {where}" if where else title


def _own_words(board: LeadBoard, lead: Any) -> str:
    if pd.isna(lead.own_grade):
        return "worked out"
    until = text.short_day(board.workspace.local_date(lead.own_until.to_pydatetime()))
    return f"{lead.own_author}, until before {until}: {lead.own_reason}; worked out: {lead.grade}"


def _parts(lead: Any) -> str:
    if pd.isna(lead.composite):
        return ""
    rows = []
    for name, meaning in PARTS.items():
        points = f"{getattr(lead, name):.0f}"
        rows.append([f"{name}<small>{meaning}</small>", f'<span class="bar"><span style="width:{points}%"></span></span>', points])
    return theme.table("Parts of the score: 50 says nothing either way", ["Part", "0 to 100", "Points"], rows, numbers=(2,))


def _rep(board: LeadBoard, lead: Any) -> str:
    told = f"<h2>Whose lead</h2><p><strong>{escape(str(lead.owner))}</strong>"
    if pd.isna(lead.routed):
        return f"{told}, as the export says.</p>"
    return f"{told}: {escape(str(lead.routed))}</p>"


def _did(row: Any) -> str:
    what = str(row.type).replace("_", " ")
    return what if pd.isna(row.content) else f"{what}, {row.content}"


def _done(row: Any) -> str:
    return str(row.type) if pd.isna(row.subject) else f"{row.type}, {row.subject}"


def _ago(board: LeadBoard, moment: Any) -> str:
    return text.ago(None if pd.isna(moment) else (board.as_of - moment).total_seconds() / 86_400)


GRADE_OPTIONS = [("Hot", HOT), ("Warm", WARM), ("Cold", COLD), ("All", "")]
