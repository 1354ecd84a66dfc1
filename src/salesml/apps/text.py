"""Numbers, days and reasons in plain words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from salesml.features.deals import FEATURES

MISSING = "–"
NARROW = "\N{NO-BREAK SPACE}"
_MEANING = {feature.name: feature for feature in FEATURES}
_WORDS = {"type": "type of deal"}
_SIZES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def amount(value: Any) -> str:
    """An amount with three significant digits (4.31 M, 288 k, 950), – where there is none."""
    if _absent(value):
        return MISSING
    value = float(value)
    for size, letter in _SIZES:
        if abs(value) >= 0.9995 * size:
            scaled = value / size
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f}{NARROW}{letter}"
    return f"{value:,.0f}"


def money(value: Any, currency: str) -> str:
    """An amount with its currency: USD 4.31 M."""
    return MISSING if _absent(value) else f"{currency}{NARROW}{amount(value)}"


def between(low: Any, high: Any, currency: str) -> str:
    """An interval of amounts with its currency: USD 3.82 M to 5.17 M."""
    return f"{money(low, currency)} to {amount(high)}"


def percent(share: Any) -> str:
    """A share as a whole percentage; never 0 or 100 unless it is."""
    if _absent(share):
        return MISSING
    if 0 < share < 0.005:
        return f"<1{NARROW}%"
    if 0.995 <= share < 1:
        return f">99{NARROW}%"
    return f"{share:.0%}".replace("%", f"{NARROW}%")


def days(value: Any) -> str:
    """Whole days passed: 1 day, 23 days."""
    return MISSING if _absent(value) else count(math.floor(value), "day")


def ago(value: Any) -> str:
    """Time since an event: 23 days ago, under a day ago, – where there was none."""
    if _absent(value):
        return MISSING
    return f"{days(value)} ago" if value >= 1 else "under a day ago"


def count(number: int, noun: str) -> str:
    """A number of things: 1 deal, 1,204 deals; nouns in -y change."""
    many = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeou" else noun + "s"
    return f"{number:,}{NARROW}{noun if number == 1 else many}"


def day(moment: dt.date) -> str:
    """A calendar day: 3 July 2026."""
    return f"{moment.day}{NARROW}{moment:%B}{NARROW}{moment.year}"


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
    told = _WORDS.get(feature.name) or feature.meaning.split(";")[0].split(",")[0]
    return f"{told}: {_value(found['value'], feature.unit, names, currency)}"


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
        told.append(f"no activity for {days(silent)}" if not _absent(silent) else "no activity yet")
    if deal.stalled:
        told.append(f"in {deal.stage} for {days(deal.stage_days)}, usual {days(deal.usual_stage_days)}")
    if deal.pushed:
        told.append(f"close date moved {count(int(deal.close_date_changes), 'time')}")
    if deal.faded:
        told.append(f"P(win) fell from {percent(deal.probability_before)}")
    return told


def _value(value: Any, unit: str, names: Mapping[str, str], currency: str) -> str:
    if _absent(value):
        return "unknown"
    if isinstance(value, str):
        return names.get(value, value)
    if unit == "days":
        return count(int(value), "day")
    if unit == "currency":
        return money(value, currency)
    if unit == "share":
        return percent(value)
    if unit == "ratio":
        return f"×{value:.2f}"
    return f"{value:,.0f}"


def _absent(value: Any) -> bool:
    return value is None or bool(pd.isna(value))
