"""Uplift: whom a treatment changes, from the file of a randomised experiment or from the workspace's leads."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.errors import BadParameter

if TYPE_CHECKING:
    from salesml.workflows.uplift_arm import ArmUplift

Columns = list[str] | None


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("uplift")(uplift)


def uplift(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(help="One row per person: CSV, Excel, Parquet; without: the nurtured leads.")] = None,
    treatment: Annotated[str | None, typer.Option(help="For a file: column that says by what each was treated, by lot.")] = None,
    control: Annotated[str | None, typer.Option(help="For a file: its value for those who were not treated.")] = None,
    outcome: Annotated[str | None, typer.Option(help="For a file: column of 0 and 1, or of numbers such as money.")] = None,
    id: Annotated[str | None, typer.Option(help="For a file: column that names the person.")] = None,
    drop: Annotated[Columns, typer.Option(help="For a file: column not known before the treatment. Repeatable.")] = None,
    keep: Annotated[Columns, typer.Option(help="For a file: column to use though it looks filled in with the outcome.")] = None,
    as_of: Annotated[str | None, typer.Option(help="For leads: first day that is not known.")] = None,
    within_days: Annotated[int | None, typer.Option(min=1, help="For leads: days within which a lead has to convert.")] = None,
    worth: Annotated[float, typer.Option(help="What a unit of the outcome is worth, in the currency of --cost.")] = 1.0,
    cost: Annotated[float, typer.Option(min=0, help="What treating one person costs.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Folder for results [default: reports/uplift/NAME in the workspace].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Who changes because of a treatment: is it told, what does choosing bring, are the predictions true?"""
    if file is None and (treatment or control or outcome or id or drop or keep):
        raise BadParameter("--treatment, --control, --outcome, --id, --drop and --keep are for a file; give one, or leave them out")
    if file is not None and (as_of or within_days or not (treatment and control and outcome)):
        raise BadParameter("a file takes --treatment COLUMN --control VALUE --outcome COLUMN, and no --as-of or --within-days")
    workspace = workspace_of(context)
    with step("loading the model libraries"):
        from salesml.workflows.uplift import uplift_of_leads, uplift_study
        from salesml.workflows.uplift_report import write_uplift

    with step("comparing treated and not, each judged by models that have not seen him"):
        if file is None:
            found = uplift_of_leads(workspace, as_of, within_days, worth=worth, cost=cost, seed=seed)
        else:
            found = uplift_study(
                file, treatment=str(treatment), control=str(control), outcome=str(outcome), id=id, drop=tuple(drop or ()),
                keep=tuple(keep or ()), worth=worth, cost=cost, seed=seed,
            )  # fmt: skip
        name = "leads" if file is None else re.sub(r"[^A-Za-z0-9]+", "_", f"{file.name.split('.')[0]}_{outcome}").strip("_")
        page = write_uplift(found, out or workspace.reports / "uplift" / name)
    for column, why in found.left_out.items():
        console.print(f"left out {column}: {why}", markup=False)
    for note in found.notes:
        console.print(note, markup=False)
    for arm in found.arms:
        console.print(arm.sentence, markup=False, style="bold")
        console.print(_table(arm))
    console.print(f"report: {page}", markup=False)


def _table(arm: ArmUplift) -> object:
    from rich.markup import escape
    from rich.table import Table

    shown = Table("treat", "people", f"more {escape(arm.unit)}", "than as many at random", "worth less cost, a head", box=None)
    for row in arm.policies.to_dict("records"):
        gain, more = (
            _range(*(arm.scale * row[name] for name in names)) for names in (("gain", "lo", "hi"), ("more", "more_lo", "more_hi"))
        )
        shown.add_row(row["policy"], f"{row['share']:.0%}", gain, more, _range(row["net"], row["net_lo"], row["net_hi"]))
    return shown


def _range(value: float, lo: float, hi: float) -> str:
    return f"{value:.3g}" if lo == hi else f"{value:.3g} ({lo:.3g} to {hi:.3g})"
