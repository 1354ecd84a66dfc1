"""Spines: which (deal or lead, as_of) rows to compute features for."""

from __future__ import annotations

import datetime as dt
from typing import Any

import ibis
import pyarrow as pa

from salesml.errors import BadParameter
from salesml.lake import View
from salesml.workspace import WEEKDAYS, Workspace

CLOSED = ("won", "lost", "no_decision")
LEAD_CLOSED = ("converted", "disqualified")


def week_starts(workspace: Workspace, first: dt.datetime, last: dt.datetime, every_days: int = 7) -> list[dt.datetime]:
    """Instants at which a week begins in the workspace's time zone, from `first` to `last`, both inclusive.

    `every_days` 1 gives every midnight; other steps are counted from the first week start or the days before it.
    """
    if every_days < 1:
        raise BadParameter(f"every_days {every_days!r} is not a positive number of days")
    day = workspace.local_date(first)
    day += dt.timedelta(days=(WEEKDAYS.index(workspace.settings.week_start) - day.weekday()) % 7 % every_days)
    starts = []
    while (instant := workspace.instant(day)) <= last:
        if instant >= first:
            starts.append(instant)
        day += dt.timedelta(days=every_days)
    return starts


def deal_lives(view: View) -> Any:
    """One row per deal known to an instant's view: opportunity_id, first_known_at, status, closed_at (known_at of its close).

    closed_at is the known_at of the change that gave the deal its present closed status; null while open.
    """
    return _lives(view, "opportunity", CLOSED)


def lead_lives(view: View) -> Any:
    """One row per lead known to an instant's view: lead_id, first_known_at, status, closed_at (known_at of its conversion or end)."""
    return _lives(view, "lead", LEAD_CLOSED)


def _lives(view: View, name: str, closed: tuple[str, ...]) -> Any:
    facts, entity = view.facts(name), f"{name}_id"
    first = facts.group_by(entity).aggregate(first_known_at=facts.known_at.min())
    order = ibis.window(group_by=entity, order_by=["occurred_at", "known_at", "source_row", "change_id"])
    told = facts.filter(facts.status.notnull())
    told = told.mutate(place=ibis.row_number().over(order))
    last = told.group_by(entity).aggregate(
        status=told.status.argmax(told.place), status_known_at=told.known_at.argmax(told.place)
    )
    lives = first.left_join(last, entity).drop(f"{entity}_right")
    return lives.mutate(closed_at=ibis.ifelse(lives.status.isin(closed), lives.status_known_at, None)).drop(
        "status_known_at"
    )


def deal_closings(view: View) -> Any:
    """One row per change known to an instant's view that closed a deal: opportunity_id, closed_at (its known_at), status.

    A deal that comes back to life closes more than once.
    """
    facts = view.facts("opportunity")
    return facts.filter(facts.status.isin(CLOSED)).select("opportunity_id", "status", closed_at=facts.known_at)


def weekly_spine(
    view: View,
    workspace: Workspace,
    first: dt.datetime,
    last: dt.datetime,
    *,
    while_open: bool = True,
    every_days: int = 7,
) -> pa.Table:
    """(opportunity_id, as_of) at every week start in [first, last] after a deal became known, and until it closed if `while_open`.

    `every_days` as in `week_starts`: 1 gives daily snapshots, for deals that live days rather than weeks.
    """
    rows = _weeks_of(deal_lives(view), week_starts(workspace, first, last, every_days))
    if while_open:
        rows = rows.filter(rows.closed_at.isnull() | (rows.as_of <= rows.closed_at))
    return view.tables.backend.to_pyarrow(rows.select("opportunity_id", "as_of"))


def lead_spine(view: View, workspace: Workspace, first: dt.datetime, last: dt.datetime, oldest: dt.timedelta) -> pa.Table:
    """(lead_id, as_of) at every week start in [first, last] after a lead became known, until it closed or was older than `oldest`."""
    rows = _weeks_of(lead_lives(view), week_starts(workspace, first, last))
    rows = rows.filter(rows.closed_at.isnull() | (rows.as_of <= rows.closed_at))
    return view.tables.backend.to_pyarrow(rows.filter(rows.as_of <= rows.first_known_at + ibis.literal(oldest)).select("lead_id", "as_of"))


def _weeks_of(lives: Any, starts: list[dt.datetime]) -> Any:
    """A row per life and week start after it became known."""
    calendar = ibis.memtable(pa.table({"as_of": pa.array(starts, pa.timestamp("us", tz="UTC"))}))
    return lives.join(calendar, lives.first_known_at < calendar.as_of)
