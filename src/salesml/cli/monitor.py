"""The watch over models, and training anew when there is a reason; exit statuses are for schedulers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, step, workspace_of

if TYPE_CHECKING:
    from salesml.workflows.monitor import DealMonitor

monitor_app = typer.Typer(no_args_is_help=True, help="Watch a model: inputs, outcomes, challengers. Exit status 1: look at it.")
retrain_app = typer.Typer(no_args_is_help=True, help="Train a model anew where there is a reason; the gate decides.")
AsOf = Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(monitor_app, name="monitor")
    app.add_typer(retrain_app, name="retrain")
    monitor_app.command("deals")(monitor_deals)
    retrain_app.command("deals")(retrain_deals)


@monitor_app.callback()
@retrain_app.callback()
def _group() -> None:
    """Keep the name of the model a word of its own: there will be more than one."""


def monitor_deals(
    context: typer.Context,
    as_of: AsOf = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="First score the open deals with champion and challengers, and keep that.")
    ] = False,
) -> None:
    """Has the pipeline changed, do scores still mean what they say, is another version better?

    Exit status: 0 nothing to see, 1 something calls for a look or a new training, 2 it could not be told.
    """
    workspace = workspace_of(context)
    with step("watching the deal model"):
        from salesml.workflows.monitor import monitor_deals as watch

        found = watch(workspace, as_of, keep=keep)
    console.print(f"[bold]{found.sentence}[/]")
    _details(found)
    raise typer.Exit(1 if found.alarm else 0)


def retrain_deals(
    context: typer.Context,
    as_of: AsOf = None,
    force: Annotated[bool, typer.Option("--force", help="Train whether or not there is a reason.")] = False,
) -> None:
    """Train a challenger where the watch says so or enough deals have closed since; the gate decides whether it is used.

    Exit status: 0 nothing to do, or trained and in use now; 1 trained, but refused by the gate; 2 it could not be done.
    """
    workspace = workspace_of(context)
    with step("looking whether the deal model needs training"):
        from salesml.workflows.retrain import retrain_deals as retrain

        done = retrain(workspace, as_of, force=force)
    console.print(f"[bold]{done.sentence}[/]", markup=True)
    raise typer.Exit(1 if done.trained and not done.promoted else 0)


def _details(found: DealMonitor) -> None:
    from rich.table import Table

    if found.telling is not None:
        console.print(f"recent against earlier open deals: classifier AUC {found.telling} (0.5: alike)")
    if len(found.inputs):
        table = Table("feature", "PSI", "limit", "moved", box=None)
        for row in found.inputs.head(5).to_dict("records"):
            table.add_row(row["feature"], f"{row['psi']:.2f}", f"{row['psi_limit']:.2f}", "yes" if row["moved"] else "")
        console.print(table)
    if len(found.outcomes):
        table = Table("settled scores", "live (90 %)", "promised", box=None)
        for row in found.outcomes.to_dict("records"):
            promised = "" if row["promised"] != row["promised"] else f"{row['promised']:.3f}"
            table.add_row(row["figure"], f"{row['live']:.3f} ({row['lo']:.3f} to {row['hi']:.3f})", promised)
        console.print(table)
    if found.signal is not None:
        signal = found.signal
        console.print(
            f"evidence against the scores {signal.evidence:.1f}; alarm from {1 / signal.alpha:.0f} on, which scores that mean what "
            f"they say reach in at most {signal.alpha:.0%} of all lives"
        )
    for row in found.challengers.to_dict("records"):
        interval = f"{row['difference']:+.3f} ({row['lo']:+.3f} to {row['hi']:+.3f})"
        console.print(f"version {row['version']} ({row['kind']}): log loss against the champion's {interval}")
