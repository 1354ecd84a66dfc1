"""Simulated companies: make one, look at it, try the methods on many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from salesml.cli.common import console, step
from salesml.errors import BadParameter, WorkspaceError
from salesml.workspace import Workspace

CRMS = "salesforce, hubspot, dynamics, pipedrive"
world_app = typer.Typer(no_args_is_help=True, help="Simulated companies whose truth is known: create, describe, judge.")

Preset = Annotated[str, typer.Option(help="tiny, demo or enterprise; the options below change it.")]
Seed = Annotated[int | None, typer.Option(help="Another seed is another company.")]
Reps = Annotated[int | None, typer.Option(help="Seats in the sales force.")]
Years = Annotated[float | None, typer.Option(help="Years the ledger covers.")]
End = Annotated[str | None, typer.Option(help="First day not lived, YYYY-MM-DD.")]
Knob = Annotated[
    list[str] | None,
    typer.Option("--knob", "-k", help="NAME=VALUE: signal, confounding, effect, drift, tails, late, faults, currencies …"),
]
Family = Annotated[str | None, typer.Option(help="A family of worlds: plain, no_signal, confounded, faulty, handful …")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.add_typer(world_app, name="world")
    for command in (create, describe, judge):
        world_app.command(command.__name__)(command)


def create(
    context: typer.Context,
    preset: Preset = "demo",
    family: Family = None,
    seed: Seed = None,
    reps: Reps = None,
    years: Years = None,
    end: End = None,
    knob: Knob = None,
    drawer: Annotated[
        Path | None, typer.Option(help="Folder for the truth, outside every workspace; without it the truth is not kept.")
    ] = None,
    export: Annotated[str | None, typer.Option(help=f"Also write the records as CSV as if from a CRM: {CRMS}.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for --export.")] = None,
) -> None:
    """Make a company and import its records into the workspace (created if it is not there)."""
    if (export is None) != (out is None):
        raise BadParameter("--export and --out go together: --export salesforce --out FOLDER")
    root = context.find_root().obj
    if root is None:
        raise WorkspaceError("name the workspace the company is for: salesml -w workspaces/NAME world create")
    chosen = knobs_of(preset, family, seed, reps, years, end, knob)
    if drawer is not None:
        from salesml.world.drawer import allowed

        allowed(drawer)
    workspace = Workspace.create(Path(root), currency=chosen.get("currency", "USD"))
    with _told("making the company") as tell:
        from salesml import world

        made = world.company(tell, **{"currency": workspace.settings.currency, **chosen})
    with _told("importing its records") as tell:
        done = made.write(workspace, tell)
    rows = sum(count.written for count in done.counts.values())
    console.print(f"{rows:,} rows in {len(done.head.tables)} tables of {workspace.root} (lake head {done.head.id})")
    if drawer is not None:
        with step("shutting the truth away"):
            from salesml.world.drawer import shut

            place = shut(made, drawer)
        console.print(f"the truth lies in {place}")
    if export is not None and out is not None:
        with step(f"writing the records as {export} would export them"):
            from salesml.world.exports import export as write

            files = write(made.tables, export, out)
        console.print(f"{len(files)} files in {out}")


def describe(
    preset: Preset = "demo",
    family: Family = None,
    seed: Seed = None,
    reps: Reps = None,
    years: Years = None,
    end: End = None,
    knob: Knob = None,
) -> None:
    """Show what a company is like beside the bands that public sources give, and how hard its deals are to foresee."""
    from rich.table import Table

    chosen = knobs_of(preset, family, seed, reps, years, end, knob)
    with _told("making the company") as tell:
        from salesml import world
        from salesml.world.describe import describe as measure

        figures = measure(world.company(tell, **chosen))
    table = Table("figure", "value", "unit", "band", "", box=None)
    for figure in figures:
        band = "" if figure.low is None else f"{figure.low:g} to {figure.high:g}"
        verdict = {None: "", True: "[green]within[/]", False: "[red]outside[/]"}[figure.within]
        table.add_row(figure.name, f"{figure.value:.3g}", figure.unit, band, verdict)
    console.print(table)
    banded = [figure for figure in figures if figure.within is not None]
    inside = sum(bool(figure.within) for figure in banded)
    console.print(f"{inside} of {len(banded)} figures lie in their band (sources: docs/world-realism.md)")


def judge(
    context: typer.Context,
    tiny: Annotated[int, typer.Option(help="Tiny companies, spread over all families.")] = 200,
    demo: Annotated[int, typer.Option(help="Plain companies of demo size.")] = 20,
    family: Annotated[list[str] | None, typer.Option(help="Only these families (may be repeated).")] = None,
    seed: Annotated[int, typer.Option(help="First seed.")] = 1_000,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Companies judged at once.")] = 2,
    out: Annotated[Path, typer.Option(help="Folder for results.parquet and summary.csv.")] = Path("reports/judge"),
) -> None:
    """Try the methods on many companies and judge them by the truth; keeps the figures and prints the medians."""
    from rich.progress import Progress
    from rich.table import Table

    from salesml import trial

    todo = trial.plans(tiny, demo, family, seed)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("judging", total=len(todo))

        def tell(done: int, of: int, plan: trial.Plan) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal and (done % 20 == 0 or done == of):
                console.print(f"{done} of {of} companies judged")

        results = trial.run(todo, workers, tell)
    out.mkdir(parents=True, exist_ok=True)
    told = trial.summary(results)
    results.to_parquet(out / "results.parquet", index=False)
    told.to_csv(out / "summary.csv", index=False)
    table = Table("part", "worlds", "family", "method", "figure", "median", "worst decile", "failed", box=None)
    for row in told.to_dict("records"):
        figures = [f"{row[name]:.3f}" for name in ("median", "worst_decile")]
        names = [str(row[name]) for name in ("part", "preset", "family", "method", "metric")]
        table.add_row(*names, *figures, str(row["failures"]))
    console.print(table)
    console.print(f"{len(todo)} companies judged; every figure in {out}. As a page: salesml report judge -p results={out}/results.parquet")


def knobs_of(
    preset: str, family: str | None, seed: int | None, reps: int | None, years: float | None, end: str | None,
    knob: list[str] | None,
) -> dict[str, Any]:  # fmt: skip
    """The knobs the options ask for; BadParameter or UnknownName says what is wrong with one."""
    from salesml import world
    from salesml.errors import UnknownName

    chosen = world.preset(preset)
    if family is not None:
        if family not in world.FAMILIES:
            raise UnknownName("family of worlds", family, world.FAMILIES)
        chosen |= world.FAMILIES[family]
    if reps is not None or years is not None:  # size by these two: the preset's own counts no longer hold
        chosen = {name: value for name, value in chosen.items() if name not in ("deals", "leads")}
    given = {"seed": seed, "reps": reps, "years": years}
    chosen |= {name: value for name, value in given.items() if value is not None}
    if end is not None:
        try:
            chosen["end"] = dt.date.fromisoformat(end)
        except ValueError as error:
            raise BadParameter(f"end {end!r} is not a date such as 2026-07-01") from error
    for text in knob or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise BadParameter(f"knob {text!r} is not NAME=VALUE, such as signal=0.5")
        chosen[name.strip()] = _number(value.strip())
    world.Knobs.of(**chosen)
    return chosen


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@contextmanager
def _told(text: str) -> Iterator[Any]:
    """A spinner that names what is being made; plain lines where there is no terminal."""
    if not console.is_terminal:
        with step(text):
            yield lambda what: None
        return
    with console.status(text) as status:
        yield lambda what: status.update(f"{text}: {what}")
    console.print(f"[green]done[/] {text}")
