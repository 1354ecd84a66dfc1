"""The accuracy ledger in the terminal; exit statuses are for schedulers."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("accuracy")(accuracy)


def accuracy(
    context: typer.Context,
    as_of: Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")] = None,
) -> None:
    """How good were the revenue forecasts that were published, by level and months ahead?

    Exit status: 0 as good as published with, or nothing due yet; 1 surely worse of late; 2 it could not be told.
    """
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("judging published forecasts"):
        from salesml.workflows.ledger import accuracy_ledger

        found = accuracy_ledger(workspace, as_of)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    if len(found.table):
        heads = ("n", "WAPE", f"MAE ({found.currency})", "bias", "pinball", "in 80 %", "in 95 %", "× naive")
        table = Table("level", "ahead", *heads, box=None)
        for row in found.table.to_dict("records"):
            ahead = "all" if row["horizon"] == 0 else str(row["horizon"])
            shares = [f"{row[name]:.0%}" for name in ("cover80", "cover95")]
            mae, pinball = (f"{row[name]:,.0f}" for name in ("mae", "pinball"))
            error, bias = f"{row['wape']:.1%}", f"{row['bias']:+.1%}"
            beside = "" if row["to_naive"] != row["to_naive"] else f"{row['to_naive']:.2f}"
            table.add_row(row["level"], ahead, f"{row['n']:,}", error, mae, bias, pinball, *shares, beside)
        console.print(table)
    if len(found.added):
        people = Table("override by", "level", "n", "MAE", "model's MAE", "difference (95 %)", "value added", "", box=None)
        for row in found.added.to_dict("records"):
            money = [f"{row[name]:,.0f}" for name in ("override_mae", "model_mae")]
            interval = f"{row['difference']:+,.0f} ({row['lo']:+,.0f} to {row['hi']:+,.0f})"
            people.add_row(escape(row["author"]), row["level"], str(row["calls"]), *money, interval, f"{row['added']:+.0%}", row["verdict"])
        console.print(people)
    for told in ("× naive: WAPE over seasonal naive's on the same rows", *found.reasons, *found.notes):
        console.print(told, markup=False)
    raise typer.Exit(1 if found.alarm else 0)
