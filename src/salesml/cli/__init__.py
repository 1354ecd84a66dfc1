"""The command line. Modules of this package import the heavy parts inside their commands, so that --help stays quick."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from salesml.errors import SalesmlError

app = typer.Typer(
    name="salesml",
    help="A sales-performance workbench: data in once, scores, forecasts and reports out, as of any day.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _options(
    context: typer.Context,
    workspace: str = typer.Option(
        None, "--workspace", "-w", envvar="SALESML_WORKSPACE", help="Workspace folder default: the checkout's own."
    ),
) -> None:
    context.obj = workspace


def main() -> None:
    """Run the command line; a SalesmlError is printed without a traceback and exits with 2."""
    from salesml.cli import (
        accuracy,
        activity,
        adjust,
        apps,
        backtest,
        benchmark,
        call,
        changes,
        data,
        deals,
        demo,
        drift,
        explain,
        leads,
        measure,
        models,
        monitor,
        movement,
        nurture,
        override,
        qualify,
        reports,
        route,
        scenario,
        series,
        sources,
        study,
        uplift,
        world,
    )

    revenue = (override, call, scenario, series, backtest, accuracy, changes, movement)
    of_reps = (measure, benchmark, activity)
    of_leads = (leads, qualify, route, nurture, sources, uplift)
    for module in (demo, data, deals, *of_leads, explain, adjust, *revenue, study, drift, models, monitor, *of_reps, reports, apps, world):
        module.register(app)
    try:
        app()
    except SalesmlError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error[/] {_plain(error)}", highlight=False)
        sys.exit(2)


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))
