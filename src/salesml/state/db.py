"""The app database of a workspace: one SQLite file in WAL mode, its tables, and the two ways to open it."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from salesml.errors import WorkspaceError
from salesml.workspace import Workspace

LAYOUT = 3
ROLES = ("analyst", "manager", "rep", "admin", "scheduler")
WAIT_S = 30.0

metadata = sa.MetaData()

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("created_at", sa.Text, nullable=False),
)

user_roles = sa.Table(
    "user_roles",
    metadata,
    sa.Column("name", sa.Text, sa.ForeignKey("users.name"), primary_key=True),
    sa.Column("role", sa.Text, sa.CheckConstraint(f"role IN {ROLES}"), primary_key=True),
)

scenarios = sa.Table(
    "scenarios",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("as_of", sa.Text, nullable=False),
    sa.Column("levers", sa.Text, nullable=False),
)

layouts = sa.Table(
    "layouts",
    metadata,
    sa.Column("owner", sa.Text, primary_key=True),
    sa.Column("app", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("saved_at", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("entry", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False, index=True),
    sa.Column("action", sa.Text, nullable=False, index=True),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    sa.Column("details", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False, unique=True),
    sa.CheckConstraint("entry > 0"),
    sqlite_autoincrement=True,
)

AUDIT_TRIGGERS = {
    "audit_log_no_update": "BEFORE UPDATE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    "audit_log_no_delete": "BEFORE DELETE ON audit_log BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
    # INSERT OR REPLACE deletes without firing delete triggers, so an insert may only continue the chain.
    "audit_log_in_order": (
        "BEFORE INSERT ON audit_log"
        " WHEN NEW.previous IS NOT coalesce((SELECT hash FROM audit_log ORDER BY entry DESC LIMIT 1), '')"
        " OR NEW.entry <= coalesce((SELECT max(entry) FROM audit_log), 0) AND NEW.entry <> -1"
        " BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    ),
}
for _name, _body in AUDIT_TRIGGERS.items():
    event.listen(audit_log, "after_create", sa.DDL(f"CREATE TRIGGER {_name} {_body}"))


@contextmanager
def reading(workspace: Workspace) -> Iterator[sa.Connection]:
    """A transaction that sees one state of the database and neither waits for writers nor delays them."""
    with _engine(workspace.app_db, os.getpid()).connect() as connection, connection.begin():
        yield connection


@contextmanager
def writing(workspace: Workspace) -> Iterator[sa.Connection]:
    """A transaction that holds the one write lock from the start (BEGIN IMMEDIATE); an exception undoes it."""
    engine = _engine(workspace.app_db, os.getpid()).execution_options(writes=True)
    with engine.connect() as connection, connection.begin():
        yield connection


@lru_cache(maxsize=32)
def _engine(path: Path, process: int) -> sa.Engine:
    """The engine of a file, its schema in place; one for each process, for SQLite connections must not cross a fork."""
    engine = sa.create_engine(sa.URL.create("sqlite", database=str(path)), connect_args={"timeout": WAIT_S})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    _create_schema(engine, path)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event issues BEGIN itself
    _use_wal(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; the switch itself ignores the busy timeout, so it is tried again."""
    deadline = time.monotonic() + WAIT_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _create_schema(engine: sa.Engine, path: Path) -> None:
    """Create what is missing, under the write lock; raises WorkspaceError where a newer salesml wrote the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with engine.execution_options(writes=True).connect() as connection, connection.begin():
        layout = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if layout > LAYOUT:
            raise WorkspaceError(f"{path} has layout {layout}, this salesml knows {LAYOUT}. Upgrade salesml.")
        if layout < LAYOUT:
            metadata.create_all(connection)
            connection.exec_driver_sql(f"PRAGMA user_version = {LAYOUT}")
