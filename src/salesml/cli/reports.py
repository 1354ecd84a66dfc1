"""Commands: report, lab, app, audit."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

import salesml
from salesml.cli.common import console, workspace_of
from salesml.errors import BadParameter, SalesmlError, UnknownName, WorkspaceError
from salesml.workspace import Workspace

LOOPBACK = "127.0.0.1"
ENCRYPTED = "--KernelManager.transport_encryption=auto"  # what kernels say stays between them and the server
# nothing an app shows comes from outside; the browser is told so
OWN_ASSETS_ONLY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'self'"
Port = Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command()(report)
    app.command("app")(serve_app)
    app.command()(lab)
    app.command()(audit)


def report(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Which report; without it they are listed.")] = None,
    as_of: Annotated[str | None, typer.Option(help="First day not known, for example 2017-06-30.")] = None,
    param: Annotated[list[str] | None, typer.Option("-p", metavar="NAME=VALUE", help="Parameter; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file; else reports/NAME.html in the workspace.")] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds before the run is stopped.")] = 1800,
) -> None:
    """Run a report's notebook and write it as one HTML file, or list the reports there are."""
    from salesml.reporting import catalogue

    if name is None:
        return _list_reports()
    workspace = workspace_of(context)
    notebook = catalogue.find(name).notebook
    given = dict(_split(text) for text in param or [])
    if as_of is not None:
        given["as_of"] = as_of
    _run(workspace, notebook, given, out, timeout)


def lab(
    context: typer.Context,
    port: Port = 8888,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
) -> None:
    """Open JupyterLab on the notebooks, on this machine only."""
    from salesml.reporting import catalogue

    options = [
        f"--ServerApp.root_dir={catalogue.folder()}",
        f"--ServerApp.ip={LOOPBACK}",
        ENCRYPTED,
        f"--ServerApp.port={port}",
        f"--ServerApp.open_browser={browser}",
        f"--ServerApp.allow_root={os.geteuid() == 0}",
        "--LabApp.news_url=None",  # ask no server outside for news, updates, extensions
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    become(workspace_of(context), "jupyterlab", options)


def serve_app(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Which app: pipeline (landing, deals, stories), forecast (the cockpit), leads.")] = "pipeline",
    port: Port = 8866,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = False,
    idle: Annotated[int, typer.Option(min=10, help="Seconds after which an unused kernel is stopped.")] = 600,
) -> None:
    """Serve an app, on this machine only: where the quarter lands and which deals need you, the forecast cockpit, or the lead board."""
    from salesml.reporting import catalogue

    folder = catalogue.folder() / "apps"
    known = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    if not known:
        raise WorkspaceError(f"the apps are not in this checkout: {folder}")
    if name not in known:
        raise UnknownName("app", name, known)
    options = [
        str(known[name]),
        f"--Voila.ip={LOOPBACK}",
        ENCRYPTED,
        f"--port={port}",
        f"--Voila.open_browser={browser}",
        "--template=salesml",
        "--strip_sources=True",
        "--preheat_kernel=True",
        "--pool_size=1",
        f"--MappingKernelManager.cull_idle_timeout={idle}",
        f"--MappingKernelManager.cull_interval={max(5, idle // 10)}",
        f"--Voila.tornado_settings={ {'headers': {'Content-Security-Policy': OWN_ASSETS_ONLY}} }",
    ]
    console.print(f"app: http://{LOOPBACK}:{port}/ (Ctrl-C stops it)")
    templates = os.pathsep.join(
        filter(None, (str(Path(salesml.__file__).parent / "apps"), os.environ.get("JUPYTER_PATH")))
    )
    become(workspace_of(context), "voila", options, JUPYTER_PATH=templates)


def audit(
    context: typer.Context,
    actor: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, for example role.granted.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only about this subject, for example user/kim.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 50,
) -> None:
    """Show who did what, newest last, and check that nothing was changed afterwards."""
    import json

    from salesml.state import audit as log

    workspace = workspace_of(context)
    table = Table("entry", "when", "who", "action", "subject", "details", box=None, pad_edge=False)
    for line in log.entries(workspace, actor=actor, action=action, subject=subject, limit=limit):
        when = line.at.astimezone(workspace.zone).strftime("%Y-%m-%d %H:%M:%S")
        details = json.dumps(line.details, ensure_ascii=False) if line.details else ""
        table.add_row(*map(escape, (str(line.entry), when, line.actor, line.action, line.subject, details)))
    console.print(table)
    verdict = log.verify(workspace)
    if not verdict.ok:
        place = f"entry {verdict.broken}: " if verdict.broken else ""
        raise SalesmlError(f"the audit log is not intact: {place}{verdict.reason} ({verdict.sound} sound before it)")
    console.print(f"{verdict.sound} entries, all intact")


def _list_reports() -> None:
    from salesml.reporting import catalogue

    table = Table("report", "question", box=None, pad_edge=False)
    for found in catalogue.reports().values():
        table.add_row(found.name, escape(found.question))
    console.print(table)
    console.print("run one with: salesml report NAME [--as-of DATE] [-p name=value]")


def _run(workspace: Workspace, notebook: Path, given: dict[str, str], out: Path | None, timeout: float) -> None:
    import nbformat

    from salesml.reporting import parameters
    from salesml.reporting.runner import run_notebook

    known = parameters.declared(nbformat.read(notebook, as_version=4))
    values = {name: known[name].from_text(text) if name in known else text for name, text in given.items()}
    with console.status(f"{notebook.stem}: starting") as spinner:

        def show(text: str) -> None:
            spinner.update(f"{notebook.stem}: {escape(text)}")
            if not console.is_terminal:
                console.print(escape(text))

        done = run_notebook(workspace, notebook, values, out=out, timeout_s=timeout, progress=show)
    page = done.page
    for result in done.results.values():
        console.print(escape(f"{result['name']}: {result['value']} {result['unit']}"))
    console.print(f"[green]done[/] {escape(str(page))} ({done.seconds:.1f} s)")


def _split(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadParameter(f"-p {text}: write it as name=value")
    return name.strip(), value


def become(workspace: Workspace, module: str, options: list[str], **more: str) -> None:
    """Replace this process by a server of our own Python, for this workspace; kernels are those of this environment."""
    environment = {**os.environ, "SALESML_WORKSPACE": str(workspace.root), "JUPYTER_PREFER_ENV_PATH": "1", **more}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", module, *options], environment)
