"""Commands for one file: `study outcomes` learns from it, `score` scores rows of the same shape."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.errors import BadParameter, WorkspaceError
from salesml.workspace import SETTINGS_FILE, Workspace, default_root, write_atomically

study_app = typer.Typer(no_args_is_help=True, help="Bring your own table: one file, one question.")
Columns = list[str] | None


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(study_app, name="study")
    study_app.command("outcomes")(study_outcomes)
    app.command("score")(score)


def study_outcomes(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV (also .gz), Excel or Parquet; one row per closed case.")],
    target: Annotated[str, typer.Option(help="Column with the outcome.")],
    positive: Annotated[str, typer.Option(help="Value of the target to predict.")],
    name: Annotated[str, typer.Option(help="Name the model is registered under.")],
    time: Annotated[str | None, typer.Option(help="Column with the row's time: early train, late judge.")] = None,
    in_order: Annotated[bool, typer.Option("--in-order", help="The rows are in time order already.")] = False,
    id: Annotated[str | None, typer.Option(help="Column that names the record; rows of one id stay together.")] = None,
    drop: Annotated[Columns, typer.Option(help="Column not to use. Repeatable.")] = None,
    known_at_close: Annotated[Columns, typer.Option(help="Column filled in with the outcome. Repeatable.")] = None,
    keep: Annotated[Columns, typer.Option(help="Column to use even if suspected of a leak. Repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for results [default: study/NAME in the workspace].")] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Can the outcome be predicted? Screens for leaks, compares models, calibrates, explains, registers the best."""
    with step("loading the model libraries"):
        from salesml.workflows.study import study
        from salesml.workflows.study_prepare import Question
        from salesml.workflows.study_report import answer

    unused, closed, kept = tuple(drop or ()), tuple(known_at_close or ()), tuple(keep or ())
    question = Question(target, positive, name, time, id, unused, closed, kept, in_order, seed)
    workspace = _workspace(context)
    folder = out or workspace.root / "study" / name
    studied = study(file, question, folder, workspace, step)
    for row in studied.screened.columns.to_dict("records"):
        if row["verdict"] != "clear" and row["column"] not in kept:
            fate = "left out, --keep to use it" if row["verdict"] == "strong" else "kept; is it known only at close?"
            console.print(f"{row['verdict']} suspect {row['column']}: {row['reason']} ({fate})", markup=False)
    if len(studied.prepared.rejected):
        console.print(f"{len(studied.prepared.rejected):,} rows rejected: {folder / 'rejected.csv'}", markup=False)
    console.print(answer(studied), markup=False, style="bold")
    console.print(f"report: {folder / 'report.html'}\nmodel: {name} version {studied.version}", markup=False)


def score(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="deals|leads|FILE", help="`deals`, `leads`, or a file (./deals if called so).")],
    model: Annotated[str | None, typer.Option(help="For a file: NAME, NAME@ALIAS or NAME:VERSION.")] = None,
    out: Annotated[Path | None, typer.Option(help="For a file: CSV to write.")] = None,
    as_of: Annotated[str | None, typer.Option(help="For deals and leads: first day that is not known.")] = None,
    scheme: Annotated[Path | None, typer.Option(help="For leads: a points scheme (YAML) instead of the model.")] = None,
    lead: Annotated[str | None, typer.Option(help="For leads: one lead with all its reasons; nothing is written.")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="For leads: those with new facts since the last scoring.")] = False,
) -> None:
    """Score the open deals or leads of the workspace, or the rows of a file with a model that a study registered."""
    if what in ("deals", "leads"):
        if model or out or (what == "deals" and (scheme or lead or changed)):
            told = "--model and --out are for files, --scheme, --lead and --changed for leads"
            raise BadParameter(f"{told}; write ./{what} for a file called {what}")
        from salesml.cli import deals, leads

        deals.show_scores(context, as_of) if what == "deals" else leads.show_scores(context, as_of, scheme, lead, changed)
        return
    if not model or not out or as_of or scheme or lead or changed:
        raise BadParameter("scoring a file takes --model NAME and --out FILE.csv, and no option of deals and leads")
    with step("loading the model libraries"):
        from salesml.workflows.score_file import score_file

    scored = score_file(workspace_of(context), Path(what), model, step)
    write_atomically(out, scored.scores.to_csv(index=False).encode())
    for note in scored.notes:
        console.print(note, markup=False)
    console.print(f"{len(scored.scores):,} rows scored by {model} version {scored.version}: {out}", markup=False)


def _workspace(context: typer.Context) -> Workspace:
    """The chosen workspace; made where there is none yet, so that one file is enough to start."""
    try:
        return workspace_of(context)
    except WorkspaceError:
        root = Path(context.find_root().obj or default_root()).expanduser()
        if (root / SETTINGS_FILE).exists():
            raise
        console.print(f"making {root} a workspace", markup=False)
        return Workspace.create(root)
