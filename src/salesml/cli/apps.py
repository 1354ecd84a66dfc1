"""Command: apps."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from salesml.cli.common import console, workspace_of
from salesml.cli.reports import LOOPBACK, Port, become


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(apps)


def apps(
    context: typer.Context,
    port: Port = 8870,
    idle: Annotated[int, typer.Option(min=20, help="Seconds after which an unused kernel is stopped.")] = 120,
    warm: Annotated[list[str] | None, typer.Option(help="An app a kernel waits for; repeatable. Else the first two.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Kernels that readers may have at a time.")] = 12,
) -> None:
    """Serve all apps, on this machine only: each page at once as a snapshot that renews itself, live as soon as somebody works on it."""
    workspace = workspace_of(context)
    console.print(f"apps: http://{LOOPBACK}:{port}/ (Ctrl-C stops them)")
    become(workspace, "salesml.apps.serve", [json.dumps({"port": port, "idle": idle, "warm": warm, "most": most})])
