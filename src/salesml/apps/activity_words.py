"""What activity analytics say in the reader's language: behaviours, bands, and coaching hints with what they rest on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd

from salesml.analytics.activity import QUIET_DAYS
from salesml.analytics.activity_hints import GAPS, Hint
from salesml.analytics.words import absent
from salesml.apps.data import records
from salesml.apps.language import Language
from salesml.apps.placed import Ways
from salesml.reporting.document import Column, Grid, Paragraph, Part, money

BANDS = {
    r"(\d+) or more": "{lo} or more", r"(\d+) to (\d+)": "{lo} to {hi}", r"(\d+)": "{lo}", r"under (\d+) hours": "under {lo} hours",
    r"(\d+) to (\d+) hours": "{lo} to {hi} hours", r"(\d+) hours or more": "{lo} hours or more",
}  # fmt: skip


def gaps(language: Language) -> dict[str, str]:
    """What is looked at for hints, as `activity_hints.GAPS` names it."""
    _ = language._
    return {
        "in_touch": _("open deals touched in the past 14 days"), "answers": _("customers' messages answered within 24 hours"),
        "contacts": _("open deals older than 14 days with two people of the customer or more in contact"),
        "meetings": _("open deals older than 14 days with a meeting or demo held"),
        "accounts": _("accounts in charge touched this quarter"),
    }  # fmt: skip


def behaviours(language: Language) -> dict[str, str]:
    """What `activity_outcomes.BEHAVIOURS` are called."""
    _ = language._
    return {"touches": _("Touches"), "meetings": _("Meetings and demos held"), "contacts": _("People of the customer in contact"),
            "answer_hours": _("Wait of customers' messages")}  # fmt: skip


def types(language: Language) -> dict[str, str]:
    """What the usual types of activities are called; others keep their name."""
    _ = language._
    return {"call": _("call"), "email": _("e-mail"), "meeting": _("meeting"), "demo": _("demo"), "task": _("task"), "other": _("other")}


def band(language: Language, name: str) -> str:
    """A band of `activity_outcomes`, as people say it."""
    _ = language._
    said = {
        "{lo} or more": _("{lo} or more"), "{lo} to {hi}": _("{lo} to {hi}"), "{lo}": "{lo}", "under {lo} hours": _("under {lo} hours"),
        "{lo} to {hi} hours": _("{lo} to {hi} hours"), "{lo} hours or more": _("{lo} hours or more"),
    }  # fmt: skip
    for pattern, form in BANDS.items():
        if found := re.fullmatch(pattern, name):
            low, high = found[1], found[2] if len(found.groups()) > 1 else ""
            return said[form].format(lo=low, hi=high)
    return name


def step(language: Language, hint: Hint) -> str:
    """The one next step of a hint."""
    _, n_, count, first = language._, language.n_, len(hint.deals), str(hint.deals["name"].iloc[0])
    said = {
        "in_touch": n_("Contact the {n} open deal silent for over {days} days: {first}.",
                       "Contact the {n} open deals silent for over {days} days, {first} first.", count, days=QUIET_DAYS, first=first),
        "answers": n_("Answer the {n} conversation that waits, {first}, and each new message within a day.",
                      "Answer the {n} conversations that wait, {first} first, and each new message within a day.", count, first=first),
        "contacts": n_("Ask for a second person in the {n} open deal with one or none: {first}.",
                       "Ask for a second person in the {n} open deals with one or none, {first} first.", count, first=first),
        "meetings": n_("Offer a meeting or demo in the {n} open deal without one: {first}.",
                       "Offer a meeting or demo in the {n} open deals without one, {first} first.", count, first=first),
        "accounts": n_("Contact the {n} account not touched this quarter: {first}.",
                       "Contact the {n} accounts not touched this quarter, {first} first.", count, first=first),
    }  # fmt: skip
    return said[hint.gap]


def finding(language: Language, hint: Hint) -> str:
    """What was seen, beside the peers."""
    return language._(
        "Seen: {share} of {n} {cases} (90 % interval {lo} to {hi}); three in four peers reach {quarter}.",
        share=language.percent(hint.share), n=language.number(hint.whole), cases=gaps(language)[hint.gap], lo=language.percent(hint.lo),
        hi=language.percent(hint.hi), quarter=language.percent(hint.quarter),
    )  # fmt: skip


def hints(language: Language, found: Sequence[Hint], currency: str, ways: Ways, most: int, *, named: bool) -> str:
    """Coaching hints as a list, each a step, what was seen and what it concerns; what was looked at where there is none.

    named: say whose hint it is.
    """
    if not found:
        return f"<p>{escape(none(language))}</p>"
    told = []
    for hint in found:
        whose = f"{escape(hint.name)}: " if named else ""
        listed = "".join(f"<li>{_concern(language, row, currency, ways)}</li>" for row in records(hint.deals.head(most)))
        told.append(
            f"<li><p><strong>{whose}{escape(step(language, hint))}</strong></p><p>{escape(finding(language, hint))}</p>"
            f"<ul>{listed}</ul></li>"
        )
    return f'<ol class="hints">{"".join(told)}</ol><p class="soft">{escape(caution(language))}</p>'


def none(language: Language) -> str:
    """That no hint is sure, and what was looked at."""
    looked = "; ".join(gaps(language)[name] for name in GAPS)
    return language._("No gap to the peers is sure, so there is no hint. Looked at, with five cases or more: {looked}.", looked=looked)


def caution(language: Language) -> str:
    """What a hint is not."""
    return language._("A hint says where somebody surely does less of something than the peers; that more of it wins deals is not proved.")


def hint_parts(language: Language, found: Sequence[Hint], currency: str, *, named: bool) -> list[Part]:
    """Hints for a document: a paragraph and a grid of what it concerns each."""
    if not found:
        return [Paragraph(none(language))]
    parts: list[Part] = []
    for hint in found:
        whose = f"{hint.name}: " if named else ""
        rows = tuple((str(row.name), None if absent(row.amount) else row.amount) for row in records(hint.deals))
        columns = (Column(language._("What")), Column(language._("Amount"), money(currency)))
        parts += [Paragraph(f"{whose}{step(language, hint)} {finding(language, hint)}"), Grid(step(language, hint), columns, rows)]
    return [*parts, Paragraph(caution(language))]


def _concern(language: Language, row: Any, currency: str, ways: Ways) -> str:
    name = escape(str(row.name))
    if row.kind == "deal":
        name = f'<a href="{escape(ways.app("pipeline", screen="story", deal=row.id))}">{name}</a>'
    return name if pd.isna(row.amount) else f"{name}, {escape(language.money(row.amount, currency))}"
