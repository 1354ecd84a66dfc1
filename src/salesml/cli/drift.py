"""`study drift`: does what was learnt early from an ordered table still hold later, when was that told, and what keeps up?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from salesml.cli.common import console, step
from salesml.cli.study import Columns, study_app


def register(app: typer.Typer) -> None:
    """Add this module's command to the group `study` of `app`."""
    study_app.command("drift")(study_drift)


def study_drift(
    file: Annotated[Path, typer.Argument(help="CSV (also .gz), Excel or Parquet; one row per closed case.")],
    target: Annotated[str, typer.Option(help="Column with the outcome.")],
    positive: Annotated[str, typer.Option(help="Value of the target to predict.")],
    delay: Annotated[str, typer.Option(help="When an outcome is known: so many rows later (500), or days (30d) with dated --time.")],
    out: Annotated[Path, typer.Option(help="Folder for the report and its tables.")],
    time: Annotated[str | None, typer.Option(help="Column with the row's time.")] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="The rows are in time order already.")] = False,
    block: Annotated[int, typer.Option(help="Rows scored at a time, after which everything is refitted.")] = 1000,
    first: Annotated[int | None, typer.Option(help="Rows that the static model learns from [default: a fifth].")] = None,
    drop: Annotated[Columns, typer.Option("--drop", "--exclude", help="Column not to use. Repeatable.")] = None,
    keep: Annotated[Columns, typer.Option(help="Column to use even if suspected of a leak. Repeatable.")] = None,
    points: Annotated[Path | None, typer.Option(help="Points scheme (YAML) on the table's columns, to stand beside.")] = None,
    shuffles: Annotated[int, typer.Option(help="Random orders of the rows on which false alarms are counted.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Does an early model hold later? Tests, then trains, block by block; alarms, recalibrates, refits with recency."""
    with step("loading the model libraries"):
        from salesml.workflows.study_drift import Plan
        from salesml.workflows.study_drift import study_drift as study
        from salesml.workflows.study_drift_report import answer, comparison
        from salesml.workflows.study_prepare import Question

    question = Question(target, positive, "drift", time, None, tuple(drop or ()), (), tuple(keep or ()), in_order, seed)
    found = study(file, question, Plan(block, delay, first, shuffles, points), out, step)
    shown = ("method", "log loss", "AUC in blocks", "calibration error")
    table = Table(*shown)
    for row in comparison(found):
        table.add_row(*(row[name] for name in shown))
    console.print(table)
    moved = found.alarms.moved
    names = moved.loc[moved["moved"], "feature"].head(5)
    if len(names):
        console.print(f"columns that moved most: {', '.join(names)}", markup=False)
    console.print(answer(found), markup=False, style="bold")
    console.print(f"report: {out / 'report.html'}", markup=False)
