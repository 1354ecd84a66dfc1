"""The commands models, promote, serve and tracking, as far as they need no running server."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import typer
from registry_models import GOOD, columns, folders, workspace
from typer.testing import CliRunner

from salesml.cli import models
from salesml.errors import BadParameter, GateRefused, UnknownName
from salesml.registry import catalog
from salesml.workspace import Workspace

app = typer.Typer()
models.register(app)


def invoke(*arguments: str, root=None):
    """The command's output; its exceptions come through as they are."""
    result = CliRunner().invoke(app, arguments, obj=str(root or workspace().root), env={"COLUMNS": "200"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_promote_moves_the_champion_and_models_shows_it():
    catalog.register(workspace(), "by-command", folders()[0], columns=columns(), baseline=True)
    better = {"evidence": GOOD, "metrics": {"auc": 0.81234}}
    catalog.register(workspace(), "by-command", folders()[1], columns=columns(), **better)
    assert "by-command version 2 is the champion" in invoke("promote", "by-command", "2").output
    lines = [line.split() for line in invoke("models").output.splitlines() if line.startswith("by-command")]
    assert [line[:4] for line in lines] == [
        ["by-command", "1", "previous", "base_rate"],
        ["by-command", "2", "champion", "catboost"],
    ]
    assert lines[1][4:6] == ["auc", "0.8123"]


def test_promote_refuses_by_the_recorded_evidence():
    weak = replace(GOOD, calibration_slope=0.5)
    catalog.register(workspace(), "weak-one", folders()[1], columns=columns(), evidence=weak)
    with pytest.raises(GateRefused, match=r"calibration slope 0\.50"):
        invoke("promote", "weak-one", "1")


def test_an_empty_registry_says_what_to_do(tmp_path):
    root = Workspace.create(tmp_path / "fresh").root
    assert "salesml train deals" in invoke("models", root=root).output
    with pytest.raises(UnknownName, match="unknown model 'deal_outcome'; valid: none yet"):
        invoke("serve", "--port", str(_free()), root=root)


@pytest.mark.parametrize("command", ["serve", "tracking"])
def test_a_port_in_use_is_told_before_anything_is_loaded(command):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(BadParameter, match=rf"port {port} is in use\. Choose another with --port"):
            invoke(command, "--port", str(port))


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
