"""Numbers, days and reasons in plain words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from salesml.analytics.words import (
    MISSING,
    NARROW,
    absent,
    amount,
    count,
    day,
    days,
    heading,
    money,
    percent,
    points,
    valued,
)
from salesml.features.deals import FEATURES

__all__ = ["MISSING", "NARROW", "ago", "amount", "between", "count", "day", "days", "direction", "factor", "known", "money", "odds",
           "percent", "points", "short_day", "span", "warnings"]  # fmt: skip
_MEANING = {feature.name: feature for feature in FEATURES}


def between(low: Any, high: Any, currency: str) -> str:
    """An interval of amounts with its currency: USD 3.82 M to 5.17 M."""
    return f"{money(low, currency)} to {amount(high)}"


def ago(value: Any) -> str:
    """Time since an event: 23 days ago, under a day ago, – where there was none."""
    if absent(value):
        return MISSING
    return f"{days(value)} ago" if value >= 1 else "under a day ago"


def short_day(moment: dt.date) -> str:
    """A calendar day for narrow places: 3 Jul 2026."""
    return f"{moment.day} {moment:%b %Y}"


def known(as_of: dt.datetime | None, zone: dt.tzinfo) -> str:
    """The last instant known as of `as_of`: the end of 30 June 2026 for midnight after it, else day and time."""
    if as_of is None:
        return MISSING
    local = as_of.astimezone(zone)
    if local.time() == dt.time():
        return f"the end of {day(local.date() - dt.timedelta(days=1))}"
    return f"{day(local.date())}, {local:%H:%M}"


def span(start: dt.date, end: dt.date) -> str:
    """The months of [start, end), both first days of a month: July to September 2026, or July 2026."""
    last = end - dt.timedelta(days=1)
    if (start.year, start.month) == (last.year, last.month):
        return f"{start:%B %Y}"
    first = f"{start:%B}" if start.year == last.year else f"{start:%B %Y}"
    return f"{first} to {last:%B %Y}"


def factor(found: Mapping[str, Any], names: Mapping[str, str], currency: str) -> str:
    """A factor of a score in words: the feature's meaning and the deal's value with its unit, without the effect.

    `names` maps ids (of products, competitors) to names.
    """
    feature = _MEANING.get(found["feature"])
    if feature is None:
        return f"{found['feature']}: {found['value']}"
    return f"{heading(feature.name, feature.meaning)}: {valued(found['value'], feature.unit, names, currency)}"


def odds(effect: float) -> str:
    """What an effect in log-odds does to the odds: ×1.6, or ×0.62."""
    return f"×{math.exp(effect):.2g}"


def direction(effect: float) -> str:
    """Whether an effect speaks for or against a win, and by how much the odds change."""
    change = math.exp(effect) - 1
    if effect >= 0:
        return f"raises the odds by {percent(change)}" if change < 1 else f"multiplies the odds by {change + 1:.1f}"
    return f"lowers the odds by {percent(-change)}"


def warnings(deal: Any) -> list[str]:
    """The warning signs of a deal, a row of `analytics.pipeline.attention`: one short phrase a reason, none where none."""
    told = []
    if deal.overdue:
        told.append(f"should have closed {days(deal.overdue_days)} ago")
    if deal.quiet:
        silent = deal.days_since_activity
        told.append(f"no activity for {days(silent)}" if not absent(silent) else "no activity yet")
    if deal.stalled:
        told.append(f"in {deal.stage} for {days(deal.stage_days)}, usual {days(deal.usual_stage_days)}")
    if deal.pushed:
        told.append(f"close date moved {count(int(deal.close_date_changes), 'time')}")
    if deal.faded:
        told.append(f"P(win) fell from {percent(deal.probability_before)}")
    return told
