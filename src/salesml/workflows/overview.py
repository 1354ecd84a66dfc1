"""What is in a workspace: tables, freshness, the last import, champions. Reads, never writes; does not import mlflow."""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from salesml.contracts import TABLES
from salesml.lake import Head, Lake, visible
from salesml.state import audit
from salesml.workspace import Workspace


@dataclass(frozen=True)
class TableStatus:
    """One table as believed now: rows, entities, first and last occurred_at (UTC), stored corrections."""

    name: str
    rows: int
    entities: int
    first: dt.datetime
    last: dt.datetime
    corrections: int


@dataclass(frozen=True)
class Status:
    """A workspace at its newest HEAD; `imports` newest first, `champions` as (model, version)."""

    head: Head
    tables: list[TableStatus]
    imports: list[Head]
    champions: list[tuple[str, int]]
    issues: dict[str, int]


def status(workspace: Workspace) -> Status:
    """The state of a workspace; an empty one has no tables and no imports."""
    lake = Lake(workspace)
    tables = lake.open()
    view = visible(tables, dt.datetime.now(dt.UTC)) if tables.head.tables else None
    found = [_table(view, name, pin.corrections) for name, pin in sorted(tables.head.tables.items()) if pin.rows]
    issues: dict[str, int] = {}
    if view is not None and "import_issue" in tables.head.tables:
        facts = view.facts("import_issue")
        issues = dict(
            view.frame(facts.group_by("severity").aggregate(n=facts.count())).itertuples(index=False, name=None)
        )
    imports = [head for head in lake.heads.chain() if head.note.get("kind") == "import"]
    return Status(tables.head, [t for t in found if t.rows], imports, champions(workspace), issues)


def _table(view: Any, name: str, corrections: int) -> TableStatus:
    facts = view.facts(name)
    row = view.frame(
        facts.aggregate(
            rows=facts.count(),
            entities=facts[TABLES[name].entity].nunique(),
            first=facts.occurred_at.min(),
            last=facts.occurred_at.max(),
        )
    ).iloc[0]
    return TableStatus(
        name,
        int(row["rows"]),
        int(row["entities"]),
        row["first"].to_pydatetime(),
        row["last"].to_pydatetime(),
        corrections,
    )


def champions(workspace: Workspace) -> list[tuple[str, int]]:
    """Registered models with a version called champion, read from the tracking database; none where there is none yet."""
    query = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion' ORDER BY name"
    return [(str(name), int(version)) for name, version in _tracked(workspace, query)]


def reigns(workspace: Workspace, model: str) -> list[tuple[dt.datetime, int]]:
    """When which version of a model became champion, as the audit log tells it, the earliest first."""
    named = re.compile(rf"model {re.escape(model)} version (\d+)")
    entries = audit.entries(workspace, action="promote")
    return sorted((entry.at, int(found[1])) for entry in entries if (found := named.fullmatch(entry.subject)))


def version_tags(workspace: Workspace, model: str, version: str) -> dict[str, str]:
    """What a registered version was tagged with (kind, baseline, gate …); nothing for one that is not there."""
    query = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
    return {str(key): str(value) for key, value in _tracked(workspace, query, model, version)}


def _tracked(workspace: Workspace, query: str, *values: str) -> list[tuple[Any, ...]]:
    database = workspace.mlruns / "mlflow.db"
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return []
