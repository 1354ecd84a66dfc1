"""How the open pipeline moved between two days, in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("movement")(movement)


def movement(
    context: typer.Context,
    since: Annotated[str | None, typer.Option(help="Day to begin with, as the pipeline looked then; default: the quarter's start.")] = None,
    as_of: Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")] = None,
    where: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="One slice, for example region=North; repeatable.")] = None,
    deals: Annotated[int, typer.Option(min=0, help="Deals shown for each step.")] = 3,
) -> None:
    """What was open, what came, grew, closed or moved, and what is open now, to the cent. As a page: salesml report pipeline_movement."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("comparing the pipeline at both instants"):
        from salesml.workflows.movement import movement as compare

        found = compare(workspace, since, as_of, where=_slice(where or []))
    console.print(f"[bold]{escape(found.sentence)}[/]")
    table = Table("step", f"amount ({found.currency})", "deals", "greatest", box=None)
    for row in found.steps[found.steps["deals"] > 0].to_dict("records"):
        ends = row["step"] in ("opening", "closing")
        rows = found.behind[found.behind["step"] == row["step"]].head(deals).to_dict("records")
        told = "; ".join(f"{one['name']} {one['amount']:+,.2f}" for one in rows)
        table.add_row(row["title"], f"{row['amount']:,.2f}" if ends else f"{row['amount']:+,.2f}", f"{row['deals']:,}", escape(told))
    console.print(table)
    console.print(found.stalled_sentence, found.notes, markup=False)


def _slice(given: list[str]) -> dict[str, list[str]]:
    from salesml.errors import BadParameter

    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not value:
            raise BadParameter(f"--where {text!r} is not NAME=VALUE; give for example --where region=North")
        found.setdefault(name, []).append(value)
    return found
