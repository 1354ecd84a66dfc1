"""The words of a rep's day in the reader's language: what to do, why, and what is at stake."""

from __future__ import annotations

from typing import Any

from salesml.analytics.words import absent
from salesml.apps import overview_words
from salesml.apps.language import Language
from salesml.apps.rep_data import DUE_DAYS, Item, chance

HOURS_A_DAY = 24


def action(language: Language, item: Item) -> str:
    """What to do, as a short command."""
    _ = language._
    if item.about == "lead":
        what = lead(language, item)
        return _("Answer the lead {what}", what=what) if item.kind == "answer" else _("Call the lead {what}", what=what)
    if item.about != "deal":
        return _("Answer {who}", who=item.id)
    named = {"what": item.row.name, "who": _("the customer") if absent(item.row.account) else item.row.account}
    return {
        "answer": _("Answer {who} about {what}", **named), "overdue": _("Agree a new close date for {what} with {who}", **named),
        "due": _("Ask {who} to decide on {what}", **named), "quiet": _("Call {who} about {what}", **named),
        "stalled": _("Agree the next step for {what} with {who}", **named), "pushed": _("Ask {who} what holds up {what}", **named),
        "faded": _("Ask {who} what has changed for {what}", **named),
    }[item.kind]  # fmt: skip


def lead(language: Language, item: Item) -> str:
    """What a lead is called: title and industry where known, and its id."""
    known = [] if item.row is None else [item.row.title, item.row.industry]
    told = ", ".join(str(part) for part in known if not absent(part))
    return f"{told} ({item.id})" if told else item.id


def stake(language: Language, item: Item, currency: str) -> str:
    """What is at stake, and how it comes about; "" where nothing is known."""
    _ = language._
    if item.row is None:
        return ""
    if item.about == "lead":
        return "" if item.stake is None else _("{amount} expected", amount=language.money(item.stake, currency))
    if absent(item.row.amount):
        return _("amount not known")
    amount = language.money(item.row.amount, currency)
    likely = chance(item.row)
    return amount if likely is None else _("{amount}, chance {share}", amount=amount, share=language.percent(likely))


def reasons(language: Language, item: Item) -> list[str]:
    """Why it is on the list, all that is known."""
    _, n_ = language._, language.n_
    told = []
    if item.hours is not None and item.hours >= 2 * HOURS_A_DAY:
        told.append(n_("has waited {n} day for an answer", "has waited {n} days for an answer", int(item.hours // HOURS_A_DAY)))
    elif item.hours is not None:
        told.append(n_("has waited {n} hour for an answer", "has waited {n} hours for an answer", int(item.hours)))
    if item.about == "deal":
        told += _of_deal(language, item)
    elif item.about == "lead" and item.row is not None:
        if item.kind == "answer" and item.hours is None:
            told.append(_("wrote or called, and nobody has answered"))
        if item.row.contacts == 0:
            told.append(_("nobody has been in touch yet"))
        if not absent(item.row.probability):
            told.append(_("chance to convert {share}", share=language.percent(item.row.probability)))
    return told


def _of_deal(language: Language, item: Item) -> list[str]:
    told: list[Any] = []
    if item.due_days == 0:
        told.append(language._("due today"))
    elif item.due_days is not None and 0 < item.due_days <= DUE_DAYS:
        told.append(language.n_("due in {n} day", "due in {n} days", item.due_days))
    return told + overview_words.warnings(language, item.row)
