"""`activity`: what is done with customers, how open deals stand, what goes with wins, and hints where a gap is sure."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.deals import AS_OF


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(activity)


def activity(
    context: typer.Context,
    rep: Annotated[str | None, typer.Option(help="One rep, by id or name.")] = None,
    since: Annotated[str | None, typer.Option(help="First day counted, YYYY-MM-DD; default: 13 weeks before.")] = None,
    as_of: AS_OF = None,
    deals: Annotated[int, typer.Option(min=0, help="Deals shown for each hint, and conversations that wait.")] = 5,
) -> None:
    """Show volume, cadence, response and coverage, what goes with wins, and coaching hints. As a page: salesml report activity."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("counting activities"):
        from salesml.analytics import words
        from salesml.workflows.activity import activity as analysed

        found = analysed(workspace, as_of, since, rep)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    for hint in found.hints:
        console.print(f"\n[bold]{escape(hint.name)}[/]: {escape(hint.step)}")
        console.print(f"  Seen: {hint.finding}", markup=False)
        console.print(f"  Known ({hint.label}): {hint.evidence}", markup=False)
        for row in hint.deals.head(deals).to_dict("records"):
            console.print(f"  · {row['name']}, {words.money(row['amount'], found.currency)}, {row['told']}", markup=False)
    stages = Table("stage", "open deals", "amount", "in touch", "days between touches", "silent > 14 days", "2+ people", box=None)
    for row in found.stages.to_dict("records"):
        gap = f"{row['gap_days']:.1f}" if row["gap_days"] == row["gap_days"] else words.MISSING
        stages.add_row(
            escape(str(row["stage"])), f"{row['deals']:,}", words.money(row["amount"], found.currency),
            words.percent(row["in_touch_share"]), gap, f"{row['quiet']:,}", words.percent(row["two_share"]),
        )  # fmt: skip
    console.print(stages)
    for row in found.types.to_dict("records"):
        told = f"answered {words.percent(row['answered'])}, median {row['hours']:.0f} hours, within a day {words.percent(row['soon'])}"
        console.print(f"{row['type']} from customers: {row['messages']:,}, {told}", markup=False)
    for row in found.waiting.head(deals).to_dict("records"):
        console.print(f"waits {words.days(row['hours'] / 24)}: {row['kind']} {row['name']}, {row['rep_name']}", markup=False)
    console.print("[bold]What goes with wins and moves[/]")
    for line in found.relation:
        console.print(f"· {line}", markup=False)
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/]")
