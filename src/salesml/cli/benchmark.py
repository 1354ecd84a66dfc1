"""`benchmark`: reps beside their peers, their team, their quota and their own past, with what luck leaves open."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.deals import AS_OF


def register(app: typer.Typer) -> None:
    """Add this module's command to `app`."""
    app.command()(benchmark)


def benchmark(
    context: typer.Context,
    measure: Annotated[list[str] | None, typer.Option("--measure", "-m", help="A measure that reps have. Repeatable.")] = None,
    period: Annotated[
        str | None, typer.Option(help="2026-Q2, 2026-04, 2026 (fiscal) or 2026-01-01..2026-07-01; default: the past 12 whole months.")
    ] = None,
    as_of: AS_OF = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Show who stands out among peers of like tenure and territory, what changes, and what the best do differently."""
    from rich.markup import escape
    from rich.table import Table

    workspace = workspace_of(context)
    with step("comparing reps"):
        from salesml.analytics.benchmark_behaviour import LABEL
        from salesml.analytics.measures import MEASURES
        from salesml.workflows.benchmark import benchmark_reps, unit_of

        names = tuple(dict.fromkeys(measure or ["win_rate"]))
        found = benchmark_reps(workspace, as_of, names, period, seed)
    console.print(f"[bold]{escape(found.sentence)}[/]")
    for name in names:
        unit = unit_of(MEASURES[name], found.currency)
        what = "as counted, from how many, shrunken (90 %), rank of 100 (90 %), own past"
        console.print(f"[bold]{escape(MEASURES[name].title)}[/] ({unit}): {what}")
        rows = found.of(name).sort_values(["peers", "shrunken"], ascending=[True, False], kind="stable")
        cells = [_cells(row, unit) for row in rows.to_dict("records")]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        for group, places in rows.reset_index(drop=True).groupby("peers", sort=True).groups.items():
            console.print(f"[bold]{escape(str(group))}[/]")
            for place in places:
                console.print("  ".join(cell.ljust(width) for cell, width in zip(cells[place], widths, strict=True)).rstrip(), markup=False)
    console.print("▲ above peers, ▼ below peers, · not told apart (90 % sure; of all verdicts at most 10 % are expected to be wrong)")
    changed = found.trends[found.trends["told"]]
    for row in changed[changed["level"] != "company"].to_dict("records"):
        console.print(f"{row['level']} {row['label']}: {row['verdict']} since {row['at'] or 'long'}", markup=False)
    if len(found.differences):
        console.print(f"The best quarter by win rate beside the others, [bold]{LABEL}[/]: {escape(', '.join(found.best))}")
        apart = Table("behaviour", "unit", "best", "others", "told apart", box=None)
        for row in found.differences.to_dict("records"):
            apart.add_row(row["behaviour"], row["unit"], f"{row['best']:.2f}", f"{row['rest']:.2f}", "yes" if row["told"] else "no")
        console.print(apart)
    for note in found.notes:
        console.print(f"[dim]{escape(note)}[/]")


def _cells(row: dict[Any, Any], unit: str) -> tuple[str, ...]:
    from salesml.figures.benchmark import SIGNS, brief

    rank = "–"
    if row["rank"] == row["rank"]:
        rank = f"{100 * row['rank']:.0f} ({100 * row['rank_lo']:.0f} to {100 * row['rank_hi']:.0f})"
    shrunken = f"{brief(row['shrunken'], unit)} ({brief(row['lo'], unit)} to {brief(row['hi'], unit)})"
    name = f"{SIGNS[row['verdict']]} {row['name']}"
    return name, brief(row["value"], unit), f"{row['n']:,}", shrunken, rank, brief(row["own_before"], unit)
