"""What the deal model goes by, in the reader's language: titles of features, their values with units, and which way they push."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from salesml.analytics.words import absent, heading
from salesml.apps import pipeline_words as words
from salesml.apps.language import Language
from salesml.features.deals import FEATURES

_KNOWN = {feature.name: feature for feature in FEATURES}


def titles(language: Language) -> dict[str, str]:
    """What features of deals are called."""
    _ = language._
    return {
        "stage": _("Stage"), "stage_order": _("Position of the stage"), "age_days": _("Age of the deal"),
        "stage_age_days": _("Time in the stage"), "stage_changes": _("Stage changes"), "amount": _("Amount"),
        "amount_growth": _("Amount compared with the first one"), "discount": _("Discount"),
        "days_to_close_date": _("Time to the close date"), "close_date_changes": _("Close date moved"),
        "owner_changes": _("Changes of rep"), "forecast_category": _("Forecast category"), "product_id": _("Main product"),
        "source": _("Source"), "type": _("Type of deal"), "segment": _("Market segment"), "competitor_id": _("Main competitor"),
        "activities": _("Activities"), "inbound": _("Activities started by the customer"), "meetings": _("Meetings and demos"),
        "calls": _("Calls"), "activities_28d": _("Activities in four weeks"),
        "inbound_28d": _("Activities started by the customer in four weeks"), "days_since_activity": _("Time since the last activity"),
        "days_since_inbound": _("Time since the customer last wrote or called"), "owner_win_rate": _("Win rate of the rep"),
        "account_win_rate": _("Win rate with the account"), "product_win_rate": _("Win rate of the product"),
        "industry": _("Industry"), "region": _("Region"), "employees": _("Employees of the account"),
        "contact_seniority": _("Rank of the main contact"), "people": _("People involved at the customer"),
        "most_attendees": _("Most people of the customer in one meeting"),
        "reply_share_28d": _("Share of activities started by the customer in four weeks"),
        "meetings_28d": _("Meetings and demos in four weeks"), "unanswered": _("Calls unanswered and meetings missed"),
        "keen": _("Messages of consent"), "doubting": _("Messages of doubt"), "keen_28d": _("Messages of consent in four weeks"),
        "doubting_28d": _("Messages of doubt in four weeks"), "has_next_step": _("Next step written down"),
        "next_step_age_days": _("Age of the next step"), "amount_changes": _("Changes of the amount"),
        "crm_probability": _("Probability entered in the CRM"), "stages_per_week": _("Stage changes per week"),
        "owner_open_deals": _("Open deals of the rep"), "account_open_deals": _("Open deals with the account"),
        "is_customer": _("Has bought before"), "owner_tenure_days": _("Time the rep has been here"),
        "days_to_quarter_end": _("Days left in the quarter"),
    }  # fmt: skip


def title(language: Language, name: str) -> str:
    """What a feature is called; one that has no title of ours by its own short name."""
    found = titles(language).get(name)
    return found or (heading(name, _KNOWN[name].meaning) if name in _KNOWN else name.replace("_", " "))


def value(language: Language, name: str, found: Any, names: Mapping[str, str], currency: str) -> str:
    """A feature's value with its unit; `names` maps ids (of products, competitors) to names."""
    unit = _KNOWN[name].unit if name in _KNOWN else ""
    if absent(found):
        return language._("unknown")
    if isinstance(found, str):
        return names.get(found, found)
    if unit == "days":
        return language.n_("{n} day", "{n} days", int(found))
    if unit == "currency":
        return language.money(found, currency)
    if unit == "share":
        return language.percent(found)
    if unit == "ratio":
        return f"×{language.number(found, 2)}"
    if unit == "yes or no":
        return language._("yes") if found else language._("no")
    return language.number(found, 0 if float(found).is_integer() or abs(found) >= 10 else 1)


def factor(language: Language, found: Mapping[str, Any], names: Mapping[str, str], currency: str) -> str:
    """A factor of a score: the feature's title and the deal's value, without the effect."""
    name = found["feature"]
    return f"{title(language, name)}: {value(language, name, found['value'], names, currency)}"


def direction(language: Language, effect: float) -> str:
    """Whether an effect speaks for or against a win, and by how much the odds change."""
    change = math.exp(effect) - 1
    if effect < 0:
        return language._("lowers the odds by {share}", share=language.percent(-change))
    if change < 1:
        return language._("raises the odds by {share}", share=language.percent(change))
    return language._("multiplies the odds by {times}", times=language.number(change + 1, 1))


def change(language: Language, row: Any, names: Mapping[str, str], currency: str) -> str:
    """One part of why a score moved (a row of `analytics.reasons.changes`), as a sentence."""
    moved = words.points(language, row.points)
    if row.part == "time":
        return language._("A week has passed: {points}.", points=moved)
    if row.part == "interplay":
        return language._("The other facts weigh differently beside these: {points}.", points=moved)
    before, after = (value(language, row.feature, one, names, currency) for one in (row.before, row.after))
    told = title(language, row.feature)
    return language._("{feature}: from {before} to {after}: {points}.", feature=told, before=before, after=after, points=moved)


def reason(language: Language, row: Any, names: Mapping[str, str], currency: str) -> str:
    """One reason of a score (a row of `analytics.reasons.reasons`), as a sentence or two."""
    moved = words.points(language, row.points)
    if not isinstance(row.feature, str):
        return language._("All weaker factors together: {points}.", points=moved)
    told = factor(language, {"feature": row.feature, "value": row.value}, names, currency)
    if absent(row.usual) or absent(row.value):
        said = language._("{factor}: {points}.", factor=told, points=moved)
    else:
        usual = value(language, row.feature, row.usual, names, currency)
        said = language._("{factor} (usual: {usual}): {points}.", factor=told, usual=usual, points=moved)
    if absent(row.share):
        return said
    won = language.n_("Of {n} past deal like it in this, {share} were won.", "Of {n} past deals like it in this, {share} were won.",
                      int(row.deals), share=language.percent(row.share))  # fmt: skip
    return f"{said} {won}"
