"""Measures: what each figure means, once, for notebooks, apps, reports and software alike.

A `Measure` is a sum, or a ratio of two sums, over rows of one table of the book that fall in a period by one of its days (a flow) or that
stand as of the book's instant (a stock). A `Combined` is worked out from other measures. Sums are whole cents and counts, ratios come
last, so that parts add up to their whole to the cent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import ibis

from salesml.analytics.book import OF_ACTIVITIES, OF_DEALS, OF_REVENUE, PLACES

Unit = Literal["money", "count", "share", "days", "hours", "minutes", "ratio", "money a day"]
Good = Literal["up", "down", "neither"]
Expression = Callable[[Any], Any]
OPEN, WON, LOST = 0, 1, 2
_GRAINS = {"deal": OF_DEALS, "visit": OF_DEALS, "due": OF_DEALS, "activity": OF_ACTIVITIES, "revenue": OF_REVENUE, "quota": PLACES}


@dataclass(frozen=True)
class Measure:
    """A figure from one table of the book.

    at: the day that puts a row in a period; None for a stock, which stands as of the instant. among: which rows count (all without).
    top, bottom: what is summed; without `bottom` the figure is the sum. middle: the median of `top` over the rows instead of a sum.
    good: which way is better. formula: in words.
    """

    name: str
    title: str
    unit: Unit
    good: Good
    formula: str
    table: str
    at: str | None
    top: Expression
    bottom: Expression | None = None
    among: Expression | None = None
    middle: bool = False
    per: int = 1

    @property
    def adds_up(self) -> bool:
        """Whether the figure of a whole follows from sums over its parts; not so for medians and for quotas, which are set by level."""
        return not self.middle and self.table != "quota"

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What it can be sliced by, beside the period."""
        return _GRAINS[self.table]


@dataclass(frozen=True)
class Combined:
    """A figure worked out from other measures of the same slice and period. `combine` gets their values as float64 columns."""

    name: str
    title: str
    unit: Unit
    good: Good
    formula: str
    of: tuple[str, ...]
    combine: Callable[..., Any]

    @property
    def dimensions(self) -> tuple[str, ...]:
        """What all its parts can be sliced by."""
        first, *rest = (MEASURES[name].dimensions for name in self.of)
        return tuple(name for name in first if all(name in others for others in rest))


def one(rows: Any) -> Any:
    """Each row counts once."""
    return rows.one


def cents(rows: Any) -> Any:
    """The amount, where it is known."""
    return rows.cents


def _is(column: str, *values: int) -> Expression:
    return lambda rows: rows[column].isin(values)


def _counts(column: str, *values: int) -> Expression:
    return lambda rows: rows[column].isin(values).cast("int64")


def _cents_where(column: str, *values: int) -> Expression:
    return lambda rows: ibis.ifelse(rows[column].isin(values), rows.cents, None)


def _coverage(pipeline: Any, quota: Any, booked: Any) -> Any:
    missing = quota - booked
    return (pipeline / missing).where(missing > 0)


def _velocity(deals: Any, rate: Any, size: Any, cycle: Any) -> Any:
    return (deals * rate * size / cycle).where(cycle > 0)


_ALL: tuple[Measure | Combined, ...] = (
    Measure(
        "revenue",
        "Revenue",
        "money",
        "up",
        "Sum of what counts as revenue (invoices, else orders, else bookings, else won deals), by its day",
        "revenue",
        "on",
        cents,
    ),
    Measure(
        "bookings",
        "Bookings",
        "money",
        "up",
        "Sum of the amounts of deals won, by the day they were won",
        "deal",
        "closed_on",
        cents,
        among=_is("state", WON),
    ),
    Measure(
        "deals_won", "Deals won", "count", "up", "Deals won, by the day they were won", "deal", "closed_on", one, among=_is("state", WON)
    ),
    Measure(
        "deals_lost",
        "Deals lost",
        "count",
        "down",
        "Deals lost or ended without decision, by the day they ended",
        "deal",
        "closed_on",
        one,
        among=_is("state", LOST),
    ),
    Measure("deals_created", "Deals created", "count", "up", "Deals that came to be, by that day", "deal", "created_on", one),
    Measure(
        "created_amount",
        "Pipeline created",
        "money",
        "up",
        "Sum of today's amounts of deals that came to be, by that day",
        "deal",
        "created_on",
        cents,
    ),
    Measure(
        "win_rate",
        "Win rate",
        "share",
        "up",
        "Deals won / deals closed (won, lost, without decision), by the day they closed",
        "deal",
        "closed_on",
        _counts("state", WON),
        one,
        _is("state", WON, LOST),
    ),
    Measure(
        "win_rate_amount",
        "Win rate by amount",
        "share",
        "up",
        "Amount won / amount closed, by the day deals closed",
        "deal",
        "closed_on",
        _cents_where("state", WON),
        cents,
        _is("state", WON, LOST),
    ),
    Measure(
        "average_deal",
        "Average deal",
        "money",
        "up",
        "Bookings / deals won of a known amount",
        "deal",
        "closed_on",
        cents,
        lambda rows: rows.cents.notnull().cast("int64"),
        _is("state", WON),
    ),
    Measure(
        "cycle_days",
        "Sales cycle",
        "days",
        "down",
        "Median days from creation to win of deals won",
        "deal",
        "closed_on",
        lambda rows: rows.cycle_days,
        among=_is("state", WON),
        middle=True,
    ),
    Measure(
        "mean_cycle_days",
        "Mean sales cycle",
        "days",
        "down",
        "Days from creation to win, mean of deals won",
        "deal",
        "closed_on",
        lambda rows: rows.cycle_days,
        one,
        _is("state", WON),
    ),
    Measure("pipeline", "Open pipeline", "money", "up", "Sum of the amounts of open deals", "deal", None, cents, among=_is("state", OPEN)),
    Measure("open_deals", "Open deals", "count", "up", "Deals that are open", "deal", None, one, among=_is("state", OPEN)),
    Measure(
        "pipeline_due",
        "Pipeline due",
        "money",
        "up",
        "Sum of the amounts of open deals, by the close date entered",
        "deal",
        "close_on",
        cents,
        among=_is("state", OPEN),
    ),
    Measure(
        "weighted_pipeline",
        "Weighted pipeline",
        "money",
        "up",
        "Sum of amount × P(win) of open deals that are scored, each to the cent",
        "deal",
        None,
        lambda rows: (rows.cents * rows.probability).round(0).cast("int64"),
        among=_is("state", OPEN),
    ),
    Measure(
        "open_age_days",
        "Age of open deals",
        "days",
        "down",
        "Days since creation, mean of open deals",
        "deal",
        None,
        lambda rows: rows.age_days,
        one,
        _is("state", OPEN),
    ),
    Measure(
        "stage_age_days",
        "Days in stage",
        "days",
        "down",
        "Median days in the present stage of open deals",
        "deal",
        None,
        lambda rows: rows.stage_days,
        among=_is("state", OPEN),
        middle=True,
    ),
    Measure(
        "pushes",
        "Close date moves",
        "ratio",
        "down",
        "Times the close date was moved, mean of open deals",
        "deal",
        None,
        lambda rows: rows.pushes,
        one,
        _is("state", OPEN),
    ),
    Measure(
        "stage_conversion",
        "Stage conversion",
        "share",
        "up",
        "Stays in a stage that ended in a later stage or a win / stays that ended, by the day left",
        "visit",
        "left_on",
        _counts("ended", 1),
        one,
        _is("ended", 1, 2, 3),
    ),
    Measure(
        "stage_stay_days",
        "Stay in a stage",
        "days",
        "down",
        "Median days of stays in a stage that ended, by the day left",
        "visit",
        "left_on",
        lambda rows: rows.days,
        among=_is("ended", 1, 2, 3),
        middle=True,
    ),
    Measure(
        "slip_rate",
        "Slippage",
        "share",
        "down",
        "Deals due in a month, by the close date that stood as it began, that did not close in it / all such",
        "due",
        "starts_on",
        _counts("ended", 3),
        one,
        lambda rows: (rows.per == 0) & rows.ended.isin((1, 2, 3)),
    ),
    Measure(
        "slipped",
        "Slipped amount",
        "money",
        "down",
        "Sum of the amounts of deals due in a month, as it began, that did not close in it",
        "due",
        "starts_on",
        cents,
        among=lambda rows: (rows.per == 0) & (rows.ended == 3),
    ),
    Measure("activities", "Activities", "count", "up", "Activities recorded, by their day", "activity", "on", one),
    Measure(
        "inbound_share",
        "From customers",
        "share",
        "up",
        "Activities that the customer began / all activities",
        "activity",
        "on",
        lambda rows: rows.inbound,
        one,
    ),
    Measure(
        "activity_minutes",
        "Time with customers",
        "hours",
        "up",
        "Sum of the durations of activities that have one",
        "activity",
        "on",
        lambda rows: rows.minutes,
        per=60,
    ),
    Measure(
        "response_hours",
        "Response time",
        "hours",
        "down",
        "Median hours from a customer's message to the next one back, of those answered",
        "activity",
        "on",
        lambda rows: rows.answered_s,
        among=lambda rows: rows.answered_s.notnull(),
        middle=True,
        per=3600,
    ),
    Measure(
        "answered_share",
        "Answered",
        "share",
        "up",
        "Customers' messages answered so far / customers' messages",
        "activity",
        "on",
        lambda rows: rows.answered_s.notnull().cast("int64"),
        one,
        lambda rows: rows.inbound == 1,
    ),
    Measure(
        "quota",
        "Quota",
        "money",
        "neither",
        "Sum of the revenue quotas of that level whose period lies in the period",
        "quota",
        "starts_on",
        cents,
    ),
    Combined(
        "quota_attainment",
        "Quota attainment",
        "share",
        "up",
        "Revenue / quota of the same period",
        ("revenue", "quota"),
        lambda revenue, quota: revenue / quota,
    ),
    Combined(
        "coverage",
        "Coverage",
        "ratio",
        "up",
        "Open deals due in the period / what is missing of its quota",
        ("pipeline_due", "quota", "revenue"),
        _coverage,
    ),
    Combined(
        "velocity",
        "Pipeline velocity",
        "money a day",
        "up",
        "Open deals × win rate × average deal / mean sales cycle",
        ("open_deals", "win_rate", "average_deal", "mean_cycle_days"),
        _velocity,
    ),
)
MEASURES: dict[str, Measure | Combined] = {measure.name: measure for measure in _ALL}
