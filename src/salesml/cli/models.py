"""Registered models: list, certify, promote, serve; the tracking user interface."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import Annotated

import typer

from salesml.cli.common import console, workspace_of
from salesml.errors import BadParameter

Port = Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("models")(models)
    app.command("certificate")(certificate)
    app.command("promote")(promote)
    app.command("serve")(serve)
    app.command("tracking")(tracking)


def models(context: typer.Context) -> None:
    """List the registered models: versions, champions, what they measured."""
    from rich.table import Table

    from salesml.registry import catalog

    workspace = workspace_of(context)
    found = catalog.versions(workspace)
    if not found:
        console.print("no model is registered yet. Train one with: salesml train deals")
        return
    table = Table("name", "version", "alias", "kind", "role", "metrics", "created", box=None, pad_edge=False)
    for version in found:
        role = "baseline" if version.baseline else "closed-row study" if version.study else ""
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in version.metrics.items())
        created = version.created.astimezone(workspace.zone).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            version.name, str(version.number), ", ".join(version.aliases), version.kind, role, metrics, created
        )
    console.print(table)


def certificate(
    context: typer.Context,
    version: Annotated[int, typer.Argument(min=0, help="Version of the deal model; 0: the champion.")] = 0,
) -> None:
    """How far the deal scores can be trusted: calibration on the day they were shown, beside simple peers, and limits."""
    from rich.markup import escape

    from salesml.workflows.certificate import deal_certificate

    found = deal_certificate(workspace_of(context), version)
    console.print(f"[bold]{escape(found.answer)}[/]")
    if found.certificate is None:
        return
    for metric in ("auc", "brier", "log_loss", "top_decile_lift"):
        console.print(f"{metric.replace('_', ' ')} {found.certificate.figure(metric)}")
    for told in (found.segments, found.money, *found.certificate.limits):
        console.print(escape(told))


def promote(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Registered model.")],
    version: Annotated[int, typer.Argument(min=1, help="Version that is to become the champion.")],
) -> None:
    """Make a version the champion, if it passes the gate: better than its baseline on later deals, and calibrated."""
    from salesml.registry import catalog
    from salesml.state import users

    workspace = workspace_of(context)
    promoted = catalog.promote(workspace, name, version, by=users.current_user(workspace).name)
    console.print(f"{promoted.name} version {promoted.number} is the champion.")


def serve(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="Registered model whose champion is served.")] = "deal_outcome",
    port: Port = 5001,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
) -> None:
    """Answer scoring requests (MLflow protocol) at /invocations, on this machine only, until Ctrl-C."""
    _require_free(port)
    from salesml.registry import catalog, server

    registered = catalog.load(workspace_of(context), model)
    version = registered.version
    console.print(f"{version.name} version {version.number} ({version.kind}) at http://127.0.0.1:{port}/invocations")
    console.print("Ctrl-C ends it; a later champion is served after a restart.")
    server.serve(registered, port=port, workers=workers)


def tracking(context: typer.Context, port: Port = 5000) -> None:
    """Open the tracking pages (MLflow) of the workspace, on this machine only, until Ctrl-C."""
    _require_free(port)
    from salesml.registry import tracking as runs

    command = runs.server_command(workspace_of(context), port)
    console.print(f"runs and models at http://127.0.0.1:{port} (first page after some seconds; Ctrl-C ends it)")
    sys.stdout.flush()
    os.execve(command[0], command, {**os.environ, **runs.ENVIRONMENT})


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise BadParameter(f"port {port} {reason}. Choose another with --port.") from error
