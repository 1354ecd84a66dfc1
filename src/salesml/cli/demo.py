"""The whole way once: a company's history in; scores, a forecast and a report out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from salesml.cli.common import console, step
from salesml.errors import BadInput, NotEnoughData
from salesml.workspace import Workspace, default_root

REPORT = "40_weekly_report"


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(demo)


def demo(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of a real CRM export [default: a simulated company].")
    ] = None,
) -> None:
    """Make a workspace, fill it, train, score, forecast, write a report, and say what to open next."""
    started = time.monotonic()
    if data is not None and not data.exists():
        raise BadInput(f"{data} does not exist", mend="Give the folder or file of a CRM export: make demo DATA=folder")
    name = data.resolve().name if data else "demo"
    chosen = context.find_root().obj
    root = Path(chosen) if chosen else default_root() / "workspaces" / name
    workspace = Workspace.create(root, name=name)
    workspace = _fill(workspace, data)
    deals = _deals(workspace)
    revenue = _revenue(workspace)
    report = _report(workspace)
    console.print()
    for sentence in (deals, revenue):
        console.print(f"[bold]{sentence}[/]")
    _next(workspace, report)
    console.print(f"the whole way took {time.monotonic() - started:.0f} s")


def _fill(workspace: Workspace, data: Path | None) -> Workspace:
    if data is None:
        with step("making the simulated company"):
            from salesml import world

            world.build(workspace, **world.preset("demo"))
        console.print("  a simulated company: what its scores and forecasts achieve here is no claim about yours")
        return workspace
    from salesml.cli.data import show_report
    from salesml.workflows.ingest import import_export
    from salesml.workflows.recognise import recognised

    with step(f"importing {data}"):
        report = import_export(workspace, recognised(data), data)
    show_report(report)
    return Workspace.open(workspace.root)


def _deals(workspace: Workspace) -> str:
    try:
        with step("training the deal model on weekly snapshots, beside base rate, stage rate, naive Bayes"):
            from salesml.workflows.deals import score_deals
            from salesml.workflows.train_few import train_what_fits

            told = train_what_fits(workspace).sentence
        with step("scoring the open deals"):
            scored = score_deals(workspace)
    except NotEnoughData as lack:
        return f"Deals are not scored: {lack}."
    return f"{told} {len(scored):,} open deals are scored."


def _revenue(workspace: Workspace) -> str:
    try:
        with step("forecasting revenue (seasonal naive, ensemble, Prophet; rolling backtest)"):
            from salesml.workflows.forecast import forecast_revenue

            return forecast_revenue(workspace).sentence
    except NotEnoughData as lack:
        return f"Revenue is not forecast: {lack}."


def _report(workspace: Workspace) -> Path:
    with step(f"running the notebook {REPORT} and writing it as a page"):
        from salesml.reporting import catalogue
        from salesml.reporting.runner import run_notebook

        notebook = catalogue.find(REPORT).notebook
        return run_notebook(workspace, notebook, {}).page


def _next(workspace: Workspace, report: Path) -> None:
    console.print(f"\nreport    {report}")
    here = f"salesml -w {workspace.root}"
    for what, command in (
        ("app", f"{here} app"),
        ("notebooks", f"{here} lab"),
        ("runs", f"{here} tracking"),
        ("endpoint", f"{here} serve"),
        ("overview", f"{here} status"),
    ):
        console.print(f"{what:9} .venv/bin/{command}")
