"""Saved scenarios: a name, who saved it when and for which instant, and the levers as JSON; kept with their audit entry or not at all."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from salesml.errors import BadParameter, UnknownName
from salesml.state import audit
from salesml.state.db import reading, scenarios, writing
from salesml.workspace import Workspace

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\- ]{0,59}")


@dataclass(frozen=True)
class Saved:
    """A saved scenario: its levers as they were given, who saved it when, and the instant it was first run as of."""

    name: str
    author: str
    created_at: dt.datetime
    as_of: dt.datetime
    levers: dict[str, Any]


def checked(name: str) -> str:
    """The name; BadParameter unless it is 1 to 60 letters, digits, spaces, '_', '-', '.', first a letter or digit, last no space."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.endswith(" "):
        allowed = "1 to 60 letters, digits, spaces, '_', '-', '.'"
        raise BadParameter(f"scenario name {str(name)[:80]!r} is not {allowed}; give, for example, hiring-freeze")
    return name


def save(workspace: Workspace, name: str, levers: Mapping[str, Any], *, as_of: dt.datetime, author: str, at: dt.datetime) -> Saved:
    """Keep levers under a name that is free; BadParameter for one that is taken (remove it first) or not a name."""
    made = Saved(checked(name), author, at, as_of, dict(levers))
    with writing(workspace) as connection:
        if _row(connection, name) is not None:
            raise BadParameter(f"scenario {name!r} exists already; choose another name, or remove it: salesml scenario remove {name!r}")
        told = {"created_at": at.isoformat(), "as_of": as_of.isoformat(), "levers": json.dumps(made.levers)}
        connection.execute(sa.insert(scenarios).values(name=name, author=author, **told))
        audit.append(connection, author, "scenario.saved", f"scenario/{name}", {"levers": made.levers, "as_of": as_of.isoformat()}, at)
    return made


def saved(workspace: Workspace) -> list[Saved]:
    """Every saved scenario, by name."""
    with reading(workspace) as connection:
        return [_saved(row) for row in connection.execute(sa.select(scenarios).order_by(scenarios.c.name)).mappings()]


def find(workspace: Workspace, name: str) -> Saved:
    """The saved scenario of that name; UnknownName lists those there are."""
    known = {one.name: one for one in saved(workspace)}
    if name not in known:
        raise UnknownName("scenario", name, known)
    return known[name]


def remove(workspace: Workspace, name: str, *, by: str, any_author: bool, at: dt.datetime) -> None:
    """Remove a saved scenario; the audit log keeps its levers. BadParameter where `by` is not its author and may not otherwise."""
    with writing(workspace) as connection:
        row = _row(connection, name)
        if row is None:
            raise UnknownName("scenario", name, connection.execute(sa.select(scenarios.c.name)).scalars().all())
        if row["author"] != by and not any_author:
            who = f"{by!r} is neither the author {row['author']!r} nor admin nor manager"
            raise BadParameter(f"{who} and may not remove it; ask one of them")
        connection.execute(sa.delete(scenarios).where(scenarios.c.name == name))
        audit.append(connection, by, "scenario.removed", f"scenario/{name}", {"levers": json.loads(row["levers"])}, at)


def _row(connection: sa.Connection, name: str) -> sa.RowMapping | None:
    return connection.execute(sa.select(scenarios).where(scenarios.c.name == name)).mappings().first()


def _saved(row: sa.RowMapping) -> Saved:
    created, as_of = dt.datetime.fromisoformat(row["created_at"]), dt.datetime.fromisoformat(row["as_of"])
    return Saved(row["name"], row["author"], created, as_of, json.loads(row["levers"]))
