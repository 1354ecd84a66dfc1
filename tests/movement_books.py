"""Books made by hand: a few deals with what one book tells of them, for tests of what is measured from books."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from salesml.analytics.book import OF_DEALS, Book

STATUS = ["lost", "no_decision", "open", "won"]
REGIONS, REPS, STAGES = ["North", "South"], ["ann", "bob", "eve"], ["Demo", "Offer", "Visit"]
NAMES = {**{name: ["(none)"] for name in OF_DEALS}, "status": STATUS, "region": REGIONS, "rep": REPS, "stage": STAGES}
DAYS = pa.date32()


@dataclass(frozen=True)
class Deal:
    """A deal as a book tells it; `stays`: (stage, entered, left) with None for one that goes on."""

    name: str
    status: str = "open"
    cents: int | None = 10_000
    created: dt.date = dt.date(2026, 1, 5)
    closed: dt.date | None = None
    rep: str = "ann"
    region: str = "North"
    stage: str = "Demo"
    stays: tuple[tuple[str, dt.date, dt.date | None], ...] = ()
    pushes: int = 0
    stage_days: int = 3


def book(day: dt.date, deals: Iterable[Deal], currency: str = "USD") -> Book:
    """The book of the start of a day, in UTC."""
    rows = sorted(deals, key=lambda deal: deal.name)
    named = {"status": STATUS, "region": REGIONS, "rep": REPS, "stage": STAGES}
    codes = {name: [named[name].index(getattr(deal, name)) if name in named else 0 for deal in rows] for name in OF_DEALS}
    deal = {
        "opportunity_id": pa.array([deal.name for deal in rows], pa.string()),
        "name": pa.array([f"The {deal.name}" for deal in rows], pa.string()),
        "state": pa.array([{"open": 0, "won": 1}.get(deal.status, 2) for deal in rows], pa.int8()),
        "created_on": pa.array([deal.created for deal in rows], DAYS),
        "closed_on": pa.array([deal.closed for deal in rows], DAYS),
        "close_on": pa.array([None for _ in rows], DAYS),
        "cents": pa.array([deal.cents for deal in rows], pa.int64()),
        "stage_order": pa.array([STAGES.index(deal.stage) for deal in rows], pa.int64()),
        "pushes": pa.array([deal.pushes for deal in rows], pa.int64()),
        "stage_days": pa.array([deal.stage_days if deal.status == "open" else None for deal in rows], pa.int64()),
        "last_activity_on": pa.array([None for _ in rows], DAYS),
        **{name: pa.array(values, pa.int32()) for name, values in codes.items()},
    }
    stays = [(place, deal.status, *stay) for place, deal in enumerate(rows) for stay in deal.stays]
    visit = {
        "deal": pa.array([place for place, *_ in stays], pa.int32()),
        "entered_on": pa.array([entered for *_, entered, _ in stays], DAYS),
        "left_on": pa.array([left for *_, left in stays], DAYS),
        "days": pa.array([((left or day) - entered).days for *_, entered, left in stays], pa.int64()),
        "ended": pa.array([1 if left and status == "won" else 3 if left else 0 for _, status, *_, left in stays], pa.int8()),
        "stage": pa.array([STAGES.index(stage) for _, _, stage, *_ in stays], pa.int32()),
    }
    as_of = dt.datetime.combine(day, dt.time(), dt.UTC)
    tables: dict[str, pa.Table | str] = {"deal": pa.table(deal), "visit": pa.table(visit)}
    return Book(as_of, day, currency, 1, "monday", "won", tables, NAMES, NAMES)
