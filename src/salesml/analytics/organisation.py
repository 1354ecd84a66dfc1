"""The organisation: who leads whom, as known as of an instant, and whose numbers follow from it."""

from __future__ import annotations

import pandas as pd

from salesml.lake import View


def people(view: View) -> pd.DataFrame:
    """Everybody in the company's records. Grain: one row per person: user_id, name, email, role, team_id, region, manager_id, active.

    manager_id is the person's own, else that of the team, else that of the team above it; missing at the top.
    """
    rows = view.frame(view.state("user", ["name", "email", "role", "team_id", "region", "manager_id", "active"]))
    teams = view.frame(view.state("team", ["manager_id", "parent_team_id"])).astype("object")
    led = dict(zip(teams["team_id"], zip(_known(teams["manager_id"]), _known(teams["parent_team_id"]), strict=True), strict=True))
    told = zip(rows["user_id"], _known(rows["manager_id"]), _known(rows["team_id"]), strict=True)
    managers = [_manager(person, own, team, led) for person, own, team in told]
    return rows.assign(manager_id=pd.Series(managers, rows.index, dtype="str")).sort_values("user_id", ignore_index=True)


def _known(column: pd.Series) -> list[str | None]:
    return [str(value) if known else None for value, known in zip(column, column.notna(), strict=True)]


def _manager(person: str, own: str | None, team: str | None, led: dict[str, tuple[str | None, str | None]]) -> str | None:
    """The person's own manager, else the first above him in the tree of teams."""
    manager, seen = own if own != person else None, set()
    while manager is None and team in led and team not in seen:
        seen.add(team)
        leads, team = led[team]
        manager = leads if leads != person else None
    return manager


def below(everybody: pd.DataFrame, user_id: str) -> frozenset[str]:
    """The person and all whom he leads, directly or through others; a loop in the records ends where it began."""
    led = everybody.dropna(subset="manager_id").groupby("manager_id")["user_id"].agg(list)
    found, waiting = {user_id}, [user_id]
    while waiting:
        for one in led.get(waiting.pop(), []):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return frozenset(found)
