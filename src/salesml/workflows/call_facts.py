"""Forecast calls and the people they are about, as they lie in the lake; revenue and wins of a quarter to the cent."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd

from salesml.analytics import revenue
from salesml.analytics.pipeline import quarter
from salesml.analytics.quarter import COMPANY, LEVELS
from salesml.errors import BadParameter, UnknownName
from salesml.lake import View
from salesml.workspace import Workspace

CALLS = ["call_id", "level", "name", "period_start", "period_end", "amount", "currency", "note", "author", "known_at"]
PEOPLE = {"name": "label", "email": "email", "role": "role", "team_id": "team", "manager_id": "manager", "region": "region"}
QUARTERS_AHEAD = 4


@dataclass(frozen=True)
class Directory:
    """Who there is. people: name (user_id), label, email, role, team, manager, region; teams: name (team_id), label, region, manager."""

    people: pd.DataFrame
    teams: pd.DataFrame

    @property
    def regions(self) -> list[str]:
        """The regions that people or teams have, sorted."""
        return sorted({*self.people["region"].dropna(), *self.teams["region"].dropna()})

    def of_level(self, level: str) -> pd.DataFrame:
        """name and label of what a call of the level may be about."""
        if level in ("rep", "team"):
            return (self.people if level == "rep" else self.teams)[["name", "label"]]
        names = [COMPANY] if level == COMPANY else self.regions
        return pd.DataFrame({"name": names, "label": names}, dtype="object")


def call_facts(view: View) -> pd.DataFrame:
    """Forecast calls known to an instant's view, in the order they became known. Grain: one row per call.

    Columns: call_id, level, name, period_start, period_end, amount (exact, the workspace's currency), currency, note, author, known_at.
    """
    rows = view.facts("call")
    rows = rows.filter(ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True))
    frame = view.frame(rows.rename(level="entity_type", name="entity_id").select(*CALLS))
    for column in ("period_start", "period_end"):
        frame[column] = pd.to_datetime(frame[column]).dt.date
    return frame.sort_values(["known_at", "call_id"], ignore_index=True)


def standing(calls: pd.DataFrame, start: dt.date, before: dt.datetime | None = None) -> pd.DataFrame:
    """The newest call of each node and author for the quarter that begins on `start` (known before an instant), the oldest first."""
    rows = calls[calls["period_start"] == start]
    if before is not None:
        rows = rows[rows["known_at"] < pd.Timestamp(before)]
    return rows.drop_duplicates(["level", "name", "author"], keep="last").reset_index(drop=True)


def directory(view: View) -> Directory:
    """People and teams known to an instant's view; owners of deals without a record of their own are people too."""
    people = view.frame(view.state("user", list(PEOPLE))).rename(columns={"user_id": "id", **PEOPLE})
    people = people.rename(columns={"id": "name"})[["name", *PEOPLE.values()]]
    owners = view.frame(view.facts("opportunity").select(name="owner_id").distinct())["name"].dropna()
    people = _with(people, owners)
    teams = view.frame(view.state("team", ["name", "region", "manager_id"]))
    teams = teams.rename(columns={"name": "label", "team_id": "name", "manager_id": "manager"})
    teams = _with(teams[["name", "label", "region", "manager"]], people["team"].dropna())
    return Directory(people, teams)


def find_node(known: Directory, node: str) -> tuple[str, str, str]:
    """(level, name, label) of "company", "region/West", "team/T001" or "rep/U0003"; a team's or person's name or e-mail serves too.

    BadParameter for another form or a name that several have, UnknownName for one that there is not.
    """
    level, slash, asked = node.partition("/")
    if node == COMPANY:
        return COMPANY, COMPANY, "the company"
    if level not in LEVELS[1:] or not slash or not asked:
        raise BadParameter(f"node {node!r} is none of {COMPANY}, region/NAME, team/NAME, rep/NAME; give, for example, rep/U0003")
    rows = known.of_level(level)
    same = rows["name"].eq(asked) | rows["label"].str.casefold().eq(asked.casefold())
    if level == "rep":
        same |= known.people["email"].str.casefold().eq(asked.casefold())
    exact = rows[rows["name"].eq(asked)]
    found = exact if len(exact) else rows[same]
    if found.empty:
        raise UnknownName(level, asked, rows["name"])
    if len(found) > 1:
        raise BadParameter(f"{len(found)} {level}s are called {asked!r}; give an id: {', '.join(found['name'])}")
    return level, str(found["name"].iloc[0]), str(found["label"].iloc[0])


def find_quarter(workspace: Workspace, period: str, today: dt.date) -> tuple[dt.date, dt.date]:
    """The fiscal quarter that a period names by its first month: "2026-07". BadParameter for another one, or one that is over."""
    first, months = workspace.settings.fiscal_year_start, [quarter(today, workspace.settings.fiscal_year_start)]
    while len(months) <= QUARTERS_AHEAD:
        months.append(quarter(months[-1][1], first))
    listed = ", ".join(f"{start:%Y-%m}" for start, _ in months)
    chosen = next((period_ for period_ in months if f"{period_[0]:%Y-%m}" == str(period)), None)
    if chosen is None:
        raise BadParameter(f"period {period!r} is not the first month of this fiscal quarter or one of the next; give one of {listed}")
    return chosen


def money_of_quarter(view: View, start: dt.date, end: dt.date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Won deals and revenue entries up to the end of a quarter, as `analytics.calls.tie_out` takes them, in the workspace's currency.

    A deal is won on the day its status became won; without an amount in the currency it brings 0. Entries are what counts as
    revenue (`analytics.revenue.basis`): won deals themselves where nothing was booked, ordered or invoiced.
    """
    workspace = view.tables.workspace
    begins, ends = (ibis.literal(workspace.instant(day), type="timestamp('UTC', 6)") for day in (start, end))
    deals = view.state("opportunity", ["status", "amount", "currency", "owner_id", "account_id", "deleted"], since=["status"])
    deals = deals.filter(deals.status == "won", ~ibis.coalesce(deals.deleted, False), deals.status_since < ends)
    entries = revenue.entries(view, revenue.basis(view))
    entries = entries.filter(entries.occurred_at < ends, ibis.coalesce(entries.currency == workspace.settings.currency, True))
    return _cents(view, deals, deals.status_since >= begins), _cents(view, entries, entries.occurred_at >= begins)


def _cents(view: View, rows: Any, in_quarter: Any) -> pd.DataFrame:
    own = ibis.coalesce(rows.currency == view.tables.workspace.settings.currency, True)
    cents = (ibis.coalesce(ibis.ifelse(own, rows.amount, None), 0) * 100).cast("int64")
    rows = rows.mutate(cents=cents, in_quarter=in_quarter)
    rows = view.with_state(rows, "user", "owner_id", ["region", "team_id"], prefix="user_")
    rows = view.with_state(rows, "account", "account_id", ["region"], prefix="account_")
    region = ibis.coalesce(rows.user_region, rows.account_region, revenue.NO_REGION)
    placed = {"rep": rows.owner_id, "team": rows.user_team_id, "region": region}
    return view.frame(rows.select("opportunity_id", "cents", "in_quarter", **placed))


def _with(rows: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """`rows` and those of the names that are not among them; labels are names where there is no other."""
    more = pd.DataFrame({"name": sorted(set(names) - set(rows["name"]))}, dtype="object")
    found = pd.concat([rows, more], ignore_index=True).astype("object")
    found = found.where(found.notna(), None)
    return found.assign(label=found["label"].where(found["label"].notna(), found["name"]))
