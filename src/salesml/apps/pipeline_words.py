"""Numbers of the pipeline app in words of the reader's language: time passed, differences of chances, intervals, whose numbers."""

from __future__ import annotations

import math
from html import escape
from typing import Any

from salesml.analytics.pipeline import NO_REGION
from salesml.analytics.words import MISSING, absent
from salesml.apps.data import ALL_REGIONS
from salesml.apps.language import Language

MINUS = "\N{MINUS SIGN}"
SURE = 1.5
"""Points from which a difference is told without a decimal."""


def days(language: Language, value: Any) -> str:
    """Whole days passed: 1 day, 23 days; – where there is no value."""
    return MISSING if absent(value) else language.n_("{n} day", "{n} days", math.floor(value))


def ago(language: Language, value: Any) -> str:
    """Time since an event: 23 days ago, under a day ago, – where there was none."""
    if absent(value):
        return MISSING
    if value < 1:
        return language._("under a day ago")
    return language.n_("{n} day ago", "{n} days ago", math.floor(value))


def points(language: Language, share: Any) -> str:
    """A difference of shares in points with its sign: +6 points, −0.4 points."""
    size = abs(100 * float(share))
    told = language.number(size, 0 if size >= SURE else 1)
    zero = told == language.number(0, 1)
    return language._("{points} points", points=f"{'' if zero else '+' if share > 0 else MINUS}{told}")


def signed(language: Language, value: float, digits: int = 2) -> str:
    """A number with its sign: +0.41, −0.12."""
    return f"{MINUS if value < 0 else '+'}{language.number(abs(value), digits)}"


def between(language: Language, low: Any, high: Any, currency: str) -> str:
    """An interval of amounts."""
    return language._("{lo} to {hi}", lo=language.money(low, currency), hi=language.money(high, currency))


def interval(language: Language, low: Any, high: Any) -> str:
    """An interval of chances; "" where it is not known."""
    if absent(low) or absent(high):
        return ""
    return language._("{lo} to {hi}", lo=language.percent(low), hi=language.percent(high))


def region(language: Language, name: str) -> str:
    """A region as it is shown; not yet HTML."""
    return {ALL_REGIONS: language._("All regions"), NO_REGION: language._("(no region)")}.get(name, name)


def stage(language: Language, name: Any) -> str:
    """A stage as it is shown, as HTML."""
    return language._("(no stage)") if absent(name) or name == "(no stage)" else escape(str(name))
