"""What changed in the quarter's expected revenue, in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("changes")(changes)


def changes(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="First day to compare from; default: 7 days before, or the quarter's start.")] = None,
    as_of: Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")] = None,
    deals: Annotated[int, typer.Option(min=0, help="Deals shown for each cause.")] = 3,
) -> None:
    """What moved the revenue expected from this quarter's deals, cause by cause, to the cent. As a page: salesml report what_changed."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("comparing the quarter at both instants"):
        from salesml.workflows.forecast_change import what_changed

        found = what_changed(workspace, since, as_of)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    table = Table("cause", f"amount ({found.currency})", "deals", "greatest", box=None)
    for row in found.causes[found.causes["deals"] > 0].to_dict("records"):
        rows = found.behind[found.behind["cause"] == row["cause"]].head(deals).to_dict("records")
        told = "; ".join(f"{one['name']} {one['part']:+,.2f}" for one in rows)
        table.add_row(row["cause"].replace("_", " "), f"{row['amount']:+,.2f}", f"{row['deals']:,}", escape(told))
    table.add_row("all", f"{found.after - found.before:+,.2f}", f"{len(found.deals):,}")
    console.print(table)
    for told in found.notes:
        console.print(told, markup=False)
