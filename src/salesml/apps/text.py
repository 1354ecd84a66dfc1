"""Numbers and days in plain English words, of the apps that are not translated yet; the others have `language.Language`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from salesml.analytics.words import (
    MISSING,
    NARROW,
    absent,
    amount,
    count,
    day,
    days,
    money,
    percent,
)

__all__ = ["MISSING", "NARROW", "ago", "amount", "between", "count", "day", "days", "known", "money", "percent", "short_day", "span"]


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
