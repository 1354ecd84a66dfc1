"""The team app's words in the reader's language: how somebody stands, groups of peers, ways of working."""

from __future__ import annotations

from typing import Any

from salesml.analytics.benchmark import ABOVE, BELOW
from salesml.analytics.trends import DECLINING, FALLING, IMPROVING, RISING
from salesml.analytics.words import absent
from salesml.apps import overview_words
from salesml.apps.language import Language
from salesml.apps.team_data import EITHER, HEADING, SHORT


def card_titles(language: Language) -> dict[str, str]:
    """The cards there are, in the order they come without a layout."""
    _ = language._
    return {
        "quotas": _("Who is heading for the quota"), "needs": _("Whom to talk to"), "ranks": _("Beside their peers"),
        "trends": _("What changes"), "practices": _("What the best do differently"),
    }  # fmt: skip


def periods(language: Language) -> list[tuple[str, str]]:
    """The periods to choose from: (text, value)."""
    _ = language._
    return [(_("the last 12 months"), "year"), (_("the last quarter"), "last"), (_("this quarter so far"), "quarter")]


def stands(language: Language, name: str | None) -> str:
    """How a rep stands to his quota."""
    _ = language._
    known = {HEADING: _("▲ even the low end reaches it"), EITHER: _("· can go either way"), SHORT: _("▼ even the high end falls short")}
    return known.get(str(name), _("no forecast"))


def verdict(language: Language, row: Any) -> tuple[str, str]:
    """Whether luck explains where somebody stands among peers, and its class: for, against or ""."""
    _ = language._
    told = {ABOVE: _("▲ above the peers"), BELOW: _("▼ below the peers")}.get(row.verdict, _("· not told apart"))
    return told, "" if absent(row.better) else "for" if row.better else "against"


def change(language: Language, name: str) -> str:
    """Which way a figure goes."""
    _ = language._
    return {IMPROVING: _("gets better"), DECLINING: _("gets worse"), RISING: _("rises"), FALLING: _("falls")}[name]


def peers(language: Language, group: str) -> str:
    """A group of peers; what has no words here stays as it is."""
    _ = language._
    known = {
        "under 1 year": _("under 1 year"), "1 to 3 years": _("1 to 3 years"), "3 years or more": _("3 years or more"),
        "tenure unknown": _("tenure unknown"), "smaller territories": _("smaller territories"),
        "larger territories": _("larger territories"), "small territories": _("small territories"),
        "middling territories": _("middling territories"),
        "large territories": _("large territories"), "all reps": _("all reps"),
    }  # fmt: skip
    return ", ".join(known.get(part, part) for part in group.split(", "))


def behaviours(language: Language) -> dict[str, str]:
    """Ways of working, by their names in `benchmark_behaviour.BEHAVIOURS`."""
    _ = language._
    return {
        "Activities begun by the rep": _("Activities begun by the rep in 14 days"),
        "Meetings and demos among activities": _("Meetings and demos among activities of 14 days"),
        "Until the first touch": _("Hours until the first touch, at most 14 days"),
        "Until a customer's message is answered": _("Hours until a customer's message is answered"),
        "People of the customer in contact": _("People of the customer in contact in 14 days"),
        "Discount offered": _("Discount offered, at 60 days"), "Close date moved": _("Close date moved, times in 60 days"),
    }  # fmt: skip


def practice(language: Language, row: Any, value: float) -> str:
    """A figure of a way of working with its unit."""
    return language.percent(value, 1) if str(row.unit).startswith("share") else language.number(value, 1)


def figure(language: Language, name: str, value: Any, currency: str) -> str:
    """A figure of the measure compared by."""
    return overview_words.value(language, name, value, currency)
