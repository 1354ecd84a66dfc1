"""Users, roles and the database they lie in."""

from __future__ import annotations

import os
import pwd
import sqlite3
import subprocess
import sys

import pytest

from salesml.errors import BadParameter, UnknownName, WorkspaceError
from salesml.state import audit, db, users
from salesml.workspace import Workspace

ME = pwd.getpwuid(os.getuid()).pw_name


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w {odd} name?")


def test_first_user_is_the_systems_and_admin(workspace, monkeypatch):
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    user = users.current_user(workspace)
    assert user == users.User(ME, ("admin",))
    assert users.current_user(workspace) == user
    assert [(e.action, e.subject) for e in audit.entries(workspace)] == [("user.added", f"user/{ME}")]


def test_a_later_user_is_no_admin(workspace, monkeypatch):
    users.current_user(workspace)
    monkeypatch.setattr(users, "_system_user", lambda: "second")
    assert users.current_user(workspace) == users.User("second", ("analyst",))
    with pytest.raises(BadParameter, match="'second' is not an admin"):
        users.grant(workspace, "second", "admin", actor="second")


def test_roles_are_granted_revoked_and_logged(workspace):
    users.current_user(workspace)
    users.add_user(workspace, "kim", ("rep",), actor=ME)
    assert users.grant(workspace, "kim", "manager", actor=ME).roles == ("manager", "rep")
    assert users.grant(workspace, "kim", "manager", actor=ME).roles == ("manager", "rep")
    assert users.revoke(workspace, "kim", "rep", actor=ME).roles == ("manager",)
    assert [user.name for user in users.all_users(workspace)] == sorted([ME, "kim"])
    logged = [(e.actor, e.action, e.details) for e in audit.entries(workspace, subject="user/kim")]
    assert logged == [
        (ME, "user.added", {"roles": ["rep"]}),
        (ME, "role.granted", {"role": "manager"}),
        (ME, "role.revoked", {"role": "rep"}),
    ]


def test_refusals_name_what_is_valid(workspace):
    users.current_user(workspace)
    with pytest.raises(UnknownName, match="unknown role 'boss'; valid: admin, analyst, manager, rep, scheduler"):
        users.grant(workspace, ME, "boss", actor=ME)
    with pytest.raises(UnknownName, match="unknown user 'nobody'"):
        users.grant(workspace, "nobody", "rep", actor=ME)
    with pytest.raises(BadParameter, match="last admin"):
        users.revoke(workspace, ME, "admin", actor=ME)
    with pytest.raises(BadParameter, match="exists already"):
        users.add_user(workspace, ME, ("rep",), actor=ME)


def test_a_failed_transaction_leaves_nothing(workspace):
    users.current_user(workspace)
    with pytest.raises(ZeroDivisionError), db.writing(workspace) as connection:
        audit.append(connection, ME, "half", "done")
        raise ZeroDivisionError
    assert audit.entries(workspace, action="half") == []
    assert audit.verify(workspace).ok


def test_database_of_a_newer_layout_is_refused(workspace):
    with sqlite3.connect(workspace.app_db) as connection:
        connection.execute(f"PRAGMA user_version = {db.LAYOUT + 1}")
    with pytest.raises(WorkspaceError, match="Upgrade salesml"):
        users.current_user(workspace)


FIRST_USE = """
import sys
from salesml.state import users
from salesml.workspace import Workspace
workspace = Workspace.open(sys.argv[1])
sys.stdin.read()  # all wait here, then start together
print(users.current_user(workspace).roles)
"""


def test_processes_that_create_the_database_together(workspace):
    command = [sys.executable, "-c", FIRST_USE, workspace.root]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.close()
    assert [process.stdout.read().strip() for process in processes] == ["('admin',)"] * 4
    assert [process.wait(30) for process in processes] == [0] * 4
    assert len(audit.entries(workspace)) == 1
