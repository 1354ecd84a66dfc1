"""Numbers, days and the values of features in plain words."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

MISSING = "–"
NARROW = "\N{NO-BREAK SPACE}"
_SIZES = ((1e9, "bn"), (1e6, "M"), (1e3, "k"))


def amount(value: Any) -> str:
    """An amount with three significant digits (4.31 M, 288 k, 950), – where there is none."""
    if absent(value):
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
    return MISSING if absent(value) else f"{currency}{NARROW}{amount(value)}"


def percent(share: Any) -> str:
    """A share as a whole percentage; never 0 or 100 unless it is."""
    if absent(share):
        return MISSING
    if 0 < share < 0.005:
        return f"<1{NARROW}%"
    if 0.995 <= share < 1:
        return f">99{NARROW}%"
    return f"{share:.0%}".replace("%", f"{NARROW}%")


def points(share: float) -> str:
    """A difference of shares in points with its sign: +6 points, −0.4 points."""
    size = abs(100 * share)
    told = f"{size:.0f}" if size >= 1.5 else f"{size:.1f}"
    sign = "" if float(told) == 0 else "+" if share > 0 else "\N{MINUS SIGN}"
    return f"{sign}{told}{NARROW}point{'' if told in ('1', '1.0') else 's'}"


def count(number: int, noun: str) -> str:
    """A number of things: 1 deal, 1,204 deals; nouns in -y change."""
    many = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeou" else noun + "s"
    return f"{number:,}{NARROW}{noun if number == 1 else many}"


def days(value: Any) -> str:
    """Whole days passed: 1 day, 23 days."""
    return MISSING if absent(value) else count(math.floor(value), "day")


def day(moment: dt.date) -> str:
    """A calendar day: 3 July 2026."""
    return f"{moment.day}{NARROW}{moment:%B}{NARROW}{moment.year}"


def absent(value: Any) -> bool:
    """Whether there is no value."""
    return value is None or bool(pd.isna(value))


def valued(value: Any, unit: str, names: Mapping[str, str], currency: str) -> str:
    """A feature's value with its unit; `names` maps ids (of products, competitors) to names."""
    if absent(value):
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
    if unit == "yes or no":
        return "yes" if value else "no"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 10 else f"{value:.1f}"


def heading(name: str, meaning: str) -> str:
    """A feature's short name: the first clause of its meaning."""
    return {"type": "type of deal"}.get(name) or meaning.split(";")[0].split(",")[0]


def stated(name: str, meaning: str, unit: str, value: Any, names: Mapping[str, str], currency: str) -> str:
    """What a feature says of a deal, as the beginning of a sentence: frequent features in words of their own."""
    told = _TOLD.get(name)
    if told is not None and isinstance(value, int | float) and not absent(value):
        return told(value)
    if absent(value) and name in _NONE:
        return _NONE[name]
    if isinstance(value, str) and name in ("stage", "forecast_category"):
        return f"{'In stage' if name == 'stage' else 'Called'} {names.get(value, value)}"
    sentence = f"{heading(name, meaning)}: {valued(value, unit, names, currency)}"
    return sentence[0].upper() + sentence[1:]


def _times(value: float) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(int(value), count(int(value), "time"))


def _close_date(value: float) -> str:
    if value < 0:
        return f"The close date passed {days(-value)} ago"
    return f"The close date is {days(value)} away" if value else "The close date is today"


_NONE = {
    "days_to_close_date": "No close date is set",
    "days_since_activity": "No activity is recorded",
    "days_since_inbound": "The customer has started nothing so far",
    "competitor_id": "No competitor is known",
    "amount": "No amount is known",
}
_TOLD: dict[str, Callable[[float], str]] = {
    "age_days": lambda value: f"The deal is {days(value)} old",
    "stage_age_days": lambda value: f"In its stage for {days(value)}",
    "stage_changes": lambda value: f"The stage changed {_times(value)}",
    "days_to_close_date": _close_date,
    "close_date_changes": lambda value: f"The close date was moved {_times(value)}",
    "amount_changes": lambda value: f"The amount was changed {_times(value)}",
    "owner_changes": lambda value: f"The deal changed hands {_times(value)}",
    "activities": lambda value: f"{count(int(value), 'activity')} so far",
    "inbound": lambda value: f"The customer started {count(int(value), 'activity')}",
    "meetings": lambda value: f"{count(int(value), 'meeting')} so far",
    "calls": lambda value: f"{count(int(value), 'call')} so far",
    "activities_28d": lambda value: f"{count(int(value), 'activity')} in four weeks",
    "inbound_28d": lambda value: f"The customer started {count(int(value), 'activity')} in four weeks",
    "meetings_28d": lambda value: f"{count(int(value), 'meeting')} in four weeks",
    "days_since_activity": lambda value: f"No activity for {days(value)}",
    "days_since_inbound": lambda value: f"No reply from the customer for {days(value)}",
    "owner_win_rate": lambda value: f"The rep has won {percent(value)} of deals",
    "account_win_rate": lambda value: f"The account has bought {percent(value)} of the time",
    "product_win_rate": lambda value: f"The product wins {percent(value)} of deals",
    "days_to_quarter_end": lambda value: f"{days(value)} left in the quarter",
    "has_next_step": lambda value: "A next step is written down" if value else "No next step is written down",
}
