"""The commands report, lab, app and audit: what they print, refuse, and hand to the servers they become."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

import pytest
import typer
from test_runner import notebook
from typer.testing import CliRunner

from salesml.cli import reports
from salesml.errors import BadParameter, SalesmlError, UnknownName
from salesml.reporting import catalogue
from salesml.state import audit
from salesml.workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace.create(tmp_path / "w")


@pytest.fixture
def call(workspace, tmp_path, monkeypatch):
    """Runs a command line against the workspace and a folder of notebooks of its own; returns what it printed."""
    monkeypatch.setattr(catalogue, "folder", lambda: tmp_path / "n")
    monkeypatch.setattr(reports.console, "width", 200)
    monkeypatch.delenv("JUPYTER_PATH", raising=False)
    app = typer.Typer()

    @app.callback()
    def _root(context: typer.Context) -> None:
        context.obj = str(workspace.root)

    reports.register(app)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, arguments)
        if done.exception:
            raise done.exception
        return done.output

    return run


@pytest.fixture
def servers(monkeypatch):
    """What the process would have become: (arguments, environment)."""
    became: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda path, arguments, environment: became.append((arguments, environment)))
    return became


def test_report_runs_and_tells_results_and_place(call, workspace, tmp_path):
    cell = "from salesml.reporting.glue import glue; glue('months', months, 'months'); glue('as_of', as_of, 'date')"
    notebook(tmp_path / "n", cell)
    assert "probe" in call("report")
    told = call("report", "probe", "--as-of", "2024-03-01", "-p", "months=12", "-p", "note=a=b [red]x[/]")
    assert "months: 12 months" in told and "as_of: 2024-03-01 date" in told
    assert f"done {workspace.reports / 'probe.html'}" in told
    assert "cell 4: Probe, compute" in told


def test_report_that_fails_says_where_and_what_is_kept(call, tmp_path, workspace):
    notebook(tmp_path / "n", "if months == 13:\n    raise ValueError('[bold]13[/] is unlucky')")
    call("report", "probe")
    with pytest.raises(
        SalesmlError, match=r"10_probe.ipynb failed in cell 4 \(Probe\): ValueError: \[bold\]13"
    ) as told:
        call("report", "probe", "-p", "months=13")
    assert "probe.failed.ipynb" in str(told.value) and "is kept" in str(told.value)
    assert (workspace.reports / "probe.html").exists()


def test_report_refuses_before_it_runs(call, tmp_path):
    notebook(tmp_path / "n", "1")
    with pytest.raises(UnknownName, match="unknown report 'nope'; valid: probe"):
        call("report", "nope")
    refused = {"months": "name=value", "months=six": "months", "moths=6": "unknown parameter 'moths'"}
    for wrong, message in refused.items():
        with pytest.raises(BadParameter, match=message):
            call("report", "probe", "-p", wrong)
    with pytest.raises(BadParameter, match="is not a date"):
        call("report", "probe", "--as-of", "yesterday")


def test_lab_and_app_stay_on_this_machine(call, servers, tmp_path, workspace):
    call("lab", "--port", "9999", "--no-browser")
    (tmp_path / "n" / "apps").mkdir(parents=True)
    with pytest.raises(SalesmlError, match="not in this checkout"):
        call("app")
    for name in ("pipeline", "forecast"):
        (tmp_path / "n" / "apps" / f"{name}.ipynb").write_text("{}")
    call("app", "--idle", "60")
    call("app", "forecast")
    with pytest.raises(UnknownName, match="unknown app 'nope'; valid: forecast, pipeline"):
        call("app", "nope")
    for arguments, environment in servers:
        assert arguments[:2] == [sys.executable, "-m"]
        assert any(argument.endswith(".ip=127.0.0.1") for argument in arguments)
        assert environment["SALESML_WORKSPACE"] == str(workspace.root)
    lab, app, forecast = (arguments for arguments, _ in servers)
    assert str(tmp_path / "n" / "apps" / "pipeline.ipynb") in app and str(tmp_path / "n" / "apps" / "forecast.ipynb") in forecast
    assert "--ServerApp.port=9999" in lab and f"--ServerApp.root_dir={tmp_path / 'n'}" in lab
    assert "--MappingKernelManager.cull_idle_timeout=60" in app and "--preheat_kernel=True" in app
    assert Path(servers[1][1]["JUPYTER_PATH"], "voila", "templates").is_dir() and "--template=salesml" in app
    assert any("Content-Security-Policy" in argument and "default-src 'self'" in argument for argument in app)


def test_audit_lists_filters_and_notices_tampering(call, workspace):
    audit.record(workspace, "kim", "model.promoted", "deal_outcome/3", {"why": "[red]better[/]"})
    audit.record(workspace, "lee", "import.undone", "lake")
    told = call("audit")
    assert "deal_outcome/3" in told and '{"why": "[red]better[/]"}' in told and "2 entries, all intact" in told
    assert "kim" not in call("audit", "--actor", "lee") and "lee" not in call("audit", "--limit", "1", "--actor", "kim")
    with sqlite3.connect(workspace.app_db) as connection:
        connection.execute("DROP TRIGGER audit_log_no_update")
        connection.execute("UPDATE audit_log SET actor = 'lee' WHERE entry = 1")
    with pytest.raises(SalesmlError, match="not intact: entry 1: its content was changed"):
        call("audit")
