"""The audit log: append-only, chained, safe under concurrent writers."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
from decimal import Decimal

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salesml.errors import BadParameter
from salesml.state import audit, db
from salesml.workspace import Workspace

APPENDS = 60
COPY = "INSERT {}INTO audit_log SELECT {} FROM audit_log WHERE entry = {}"


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w")


@pytest.fixture
def three(workspace):
    for n in range(3):
        at = dt.datetime(2024, 1, 1 + n, tzinfo=dt.UTC)
        audit.record(workspace, "kim", "promoted", f"model/{n}", {"version": n}, at)
    return workspace


def test_entries_come_back_as_written(workspace):
    details = {"from": 1, "amount": Decimal("12.50"), "day": dt.date(2024, 2, 29), "why": "größer", "none": None}
    written = audit.record(workspace, "kim", "forecast.overridden", "forecast/7", details)
    assert audit.entries(workspace) == [written]
    assert written.details == {"from": 1, "amount": "12.50", "day": "2024-02-29", "why": "größer", "none": None}
    assert written.at.tzinfo is not None and abs(dt.datetime.now(dt.UTC) - written.at) < dt.timedelta(minutes=1)


def test_filters_are_half_open_and_limit_keeps_the_newest(three):
    day = [dt.datetime(2024, 1, n, tzinfo=dt.timezone(dt.timedelta(0))) for n in range(1, 5)]
    assert [e.entry for e in audit.entries(three, since=day[0], until=day[2])] == [1, 2]
    assert [e.entry for e in audit.entries(three, limit=2)] == [2, 3]
    assert [e.entry for e in audit.entries(three, subject="model/1", actor="kim", action="promoted")] == [2]
    assert audit.entries(three, actor="lee") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "a", "s"), "actor must be a text"),
        (("kim", " ", "s"), "action must be a text"),
        (("kim", "a", None), "subject must be a text"),
        (("kim", "a", "s", {"x": float("nan")}), "details cannot be written"),
        (("kim", "a", "s", {"x": object()}), "details cannot be written"),
        (("kim", "a", "s", {}, dt.datetime(2024, 1, 1)), "no time zone"),
    ],
)
def test_unusable_entries_are_refused(workspace, arguments, message):
    with pytest.raises(BadParameter, match=message):
        audit.record(workspace, *arguments)
    assert audit.entries(workspace) == []


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET actor = 'lee' WHERE entry = 2",
        "DELETE FROM audit_log WHERE entry = 2",
        "DELETE FROM audit_log",
        COPY.format("OR REPLACE ", "2, at, 'lee', action, subject, details, previous, hash", 2),
        COPY.format("", "9, at, actor, action, subject, details, 'made up', 'x'", 2),
        COPY.format("", "-1, at, actor, action, subject, details, hash, 'x'", 3),
    ],
)
def test_the_database_itself_refuses_changes(three, statement):
    before = audit.entries(three)
    with pytest.raises(sa.exc.IntegrityError), db.writing(three) as connection:
        connection.exec_driver_sql(statement)
    assert audit.entries(three) == before


@pytest.mark.parametrize(
    ("statement", "broken", "reason"),
    [
        ("UPDATE audit_log SET actor = 'lee' WHERE entry = 2", 2, "content was changed"),
        ("UPDATE audit_log SET details = '{\"version\":9}' WHERE entry = 1", 1, "content was changed"),
        ("DELETE FROM audit_log WHERE entry = 1", 1, "entry 1 is missing"),
        ("DELETE FROM audit_log WHERE entry = 2", 2, "entry 2 is missing"),
        ("DELETE FROM audit_log WHERE entry = 3", 3, "3 entries were written, 2 are there"),
        ("DELETE FROM audit_log", 1, "3 entries were written, 0 are there"),
        (COPY.format("", "4, at, actor, action, subject, details, 'made up', 'x'", 3), 4, "does not continue"),
    ],
)
def test_tampering_behind_the_triggers_names_the_first_broken_entry(three, statement, broken, reason):
    with sqlite3.connect(three.app_db) as connection:
        for trigger in db.AUDIT_TRIGGERS:
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute(statement)
    verdict = audit.verify(three)
    assert not verdict.ok and verdict.broken == broken and verdict.sound == broken - 1
    assert reason in verdict.reason


def test_missing_safeguards_are_reported(three):
    assert audit.verify(three) == audit.Verdict(3)
    with sqlite3.connect(three.app_db) as connection:
        connection.execute("DROP TRIGGER audit_log_no_delete")
    verdict = audit.verify(three)
    assert not verdict.ok and verdict.broken is None and "audit_log_no_delete" in verdict.reason


APPENDER = """
import sys
from salesml.state import audit
from salesml.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
for n in range(int(sys.argv[3])):
    audit.record(workspace, sys.argv[2], "counted", f"n/{n}")
"""


def test_processes_append_together(workspace):
    names = ["a", "b", "c"]
    command = [sys.executable, "-c", APPENDER, workspace.root]
    processes = [subprocess.Popen([*command, name, str(APPENDS)]) for name in names]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert audit.verify(workspace) == audit.Verdict(len(names) * APPENDS)
    for name in names:
        assert [e.subject for e in audit.entries(workspace, actor=name)] == [f"n/{n}" for n in range(APPENDS)]


text = st.text(min_size=1, max_size=40).filter(lambda value: value.strip())
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
details = st.dictionaries(st.text(max_size=10), scalars, max_size=4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actor=text, action=text, subject=text, details=details)
def test_any_text_survives_and_the_chain_holds(workspace, actor, action, subject, details):
    written = audit.record(workspace, actor, action, subject, details)
    assert audit.entries(workspace, limit=1) == [written]
    assert (written.actor, written.action, written.subject, written.details) == (actor, action, subject, details)
    assert audit.verify(workspace).ok
