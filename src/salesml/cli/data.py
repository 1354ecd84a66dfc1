"""Data in: make a workspace, import exports, watch a folder, see what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from salesml.cli.common import console, workspace_of
from salesml.errors import BadParameter
from salesml.workspace import Settings, Workspace, default_root

if TYPE_CHECKING:
    from salesml.sources.mapping import Mapping
    from salesml.workflows.ingest import ImportReport

SHOWN_ISSUES = 12


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("init")(init)
    app.command("import")(import_)
    app.command("watch")(watch)
    app.command("status")(status)


def init(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Company name (default: the folder's).")] = None,
    currency: Annotated[str, typer.Option(help="Reporting currency, ISO 4217.")] = Settings.currency,
    time_zone: Annotated[str, typer.Option(help="IANA time zone; days begin in it.")] = Settings.time_zone,
    fiscal_year_start: Annotated[
        int, typer.Option(help="First month of the fiscal year.")
    ] = Settings.fiscal_year_start,
    week_start: Annotated[str, typer.Option(help="First day of the week.")] = Settings.week_start,
) -> None:
    """Make a workspace: one folder for one company."""
    root = Path(context.find_root().obj or default_root())
    settings = {
        "currency": currency,
        "time_zone": time_zone,
        "fiscal_year_start": fiscal_year_start,
        "week_start": week_start,
    }
    existed = (root / "workspace.toml").exists()
    workspace = Workspace.create(root, **({"name": name} if name else {}), **settings)
    console.print(
        f"workspace {workspace.settings.name} at {workspace.root}" + (" was there already" if existed else "")
    )


def import_(
    context: typer.Context,
    what: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME] PATH", help="Packaged mapping, then file or folder.")
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="Your own mapping file (YAML), instead of NAME.")] = None,
    suggest: Annotated[bool, typer.Option("--suggest", help="Draft a mapping from files never seen.")] = False,
    out: Annotated[Path | None, typer.Option(help="Where --suggest writes the draft (default: the screen).")] = None,
    undo: Annotated[bool, typer.Option("--undo", help="Go back to before the newest import.")] = False,
    export_date: Annotated[str | None, typer.Option(help="Rows without any date are known from this day.")] = None,
    allow_reversed_dates: Annotated[
        bool, typer.Option("--allow-reversed-dates", help="Keep deals closed before created.")
    ] = False,
) -> None:
    """Import an export (CSV, gz, zip, Excel, Parquet, JSON lines) into the lake.

    salesml import maven FOLDER · salesml import --mapping mine.yaml FILE · salesml import --suggest FILE --out mine.yaml
    """
    given = what or []
    if undo:
        _undo(context, given)
    elif suggest:
        _suggest(_only_path(given), out)
    else:
        chosen = _mapping(mapping, given[0] if given else "")
        path = _only_path(given if mapping else given[1:])
        from salesml.workflows.ingest import import_export

        with _progress(f"importing {path.name}") as show:
            report = import_export(
                workspace_of(context), chosen, path,
                export_date=export_date, allow_reversed=allow_reversed_dates, progress=show,
            )  # fmt: skip
        show_report(report)


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder in which exports are dropped.")],
    mapping: Annotated[
        str | None, typer.Option(help="Packaged mapping or mapping file (default: told from the files).")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Import what is there and stop.")] = False,
    every: Annotated[float, typer.Option(min=0.2, help="Seconds between looks.")] = 2.0,
) -> None:
    """Import what is dropped into a folder, as it comes; nothing is moved. Ctrl-C ends it."""
    from salesml.sources.mapping import mapping_named
    from salesml.workflows.watch import Outcome, watch_folder

    def show(outcome: Outcome) -> None:
        console.print(f"[bold]{', '.join(outcome.files)}[/]")
        if outcome.report:
            show_report(outcome.report)
            if outcome.rescored:
                console.print(outcome.rescored, markup=False)
        else:
            console.print(f"[bold red]not imported[/] {outcome.error}", markup=True)

    chosen = mapping_named(mapping) if mapping else None
    console.print(f"watching {folder}" + ("" if once else " (Ctrl-C ends)"))
    try:
        failed = watch_folder(workspace_of(context), folder, chosen, show, every=every, once=once)
    except KeyboardInterrupt:
        console.print("stopped")
        return
    if once and failed:
        raise typer.Exit(2)


def status(context: typer.Context) -> None:
    """What is in the workspace, how fresh it is, which models are champions."""
    import datetime as dt

    from rich.table import Table

    from salesml.contracts import TABLES
    from salesml.workflows.overview import status as look

    workspace = workspace_of(context)
    settings = workspace.settings
    console.print(f"[bold]{settings.name}[/] {workspace.root} · {settings.currency} · {settings.time_zone}")
    found = look(workspace)
    if not found.tables:
        console.print("The lake is empty. Fill it with: salesml import NAME PATH, or salesml demo")
    else:
        table = Table("table", "rows", "entities", "from", "to", "corrections", box=None)
        for row in found.tables:
            days = [workspace.local_date(row.first).isoformat(), workspace.local_date(row.last).isoformat()]
            table.add_row(row.name, f"{row.rows:,}", f"{row.entities:,}", *days, f"{row.corrections:,}")
        console.print(table)
        newest = max(row.last for row in found.tables if TABLES[row.name].kind != "outputs")
        days_old = (dt.datetime.now(dt.UTC) - newest).days
        console.print(f"newest fact {workspace.local_date(newest)}, {days_old:,} days ago · HEAD {found.head.id}")
    for head in found.imports[:1]:
        files = ", ".join(file["name"] for file in head.note.get("files", []))
        console.print(f"last import {head.created_at} by {head.note.get('by')}: {head.note.get('origin')} ({files})")
    if found.issues:
        counts = ", ".join(f"{n:,} {severity}" for severity, n in sorted(found.issues.items()))
        console.print(f"issues in import_issue: {counts}")
    named = ", ".join(f"{name} v{version}" for name, version in found.champions)
    console.print(f"champions: {named or 'none yet (salesml train deals)'}")


def show_report(report: ImportReport) -> None:
    """Print what an import did: rows and speed, changes per table, issues with their first example, notes."""
    if report.already:
        console.print(
            f"nothing to do: these files were imported already ({report.head.created_at}, HEAD {report.head.id})"
        )
        return
    speed = report.rows / max(report.seconds, 1e-9)
    console.print(
        f"read {report.rows:,} rows of {len(report.read)} tables in {report.seconds:.1f} s ({speed:,.0f} rows/s)"
    )
    for name, counts in report.counts.items():
        parts = ", ".join(f"{n:,} {what}" for what, n in counts.items() if n)
        console.print(f"  {name}: {parts or 'nothing'}")
    for line in report.issues[:SHOWN_ISSUES]:
        colour = "red" if line.severity == "rejected" else "yellow"
        console.print(f"  [{colour}]{line.severity}[/] ", end="")
        console.print(str(line), markup=False)
    if len(report.issues) > SHOWN_ISSUES:
        console.print(f"  and {len(report.issues) - SHOWN_ISSUES} more kinds; all rows are in the table import_issue")
    for note in report.notes:
        console.print(f"  note: {note}", markup=False)
    console.print(f"HEAD {report.head.id}" if report.changed else "nothing changed: the lake says all of this already")


def _mapping(path: Path | None, name: str) -> Mapping:
    from salesml.sources.mapping import packaged_mapping, packaged_names, read_mapping

    if path is not None:
        return read_mapping(path)
    if not name:
        raise BadParameter(
            f"say what to import: NAME PATH (names: {', '.join(packaged_names())}), or --mapping FILE PATH"
        )
    return packaged_mapping(name)


@contextmanager
def _progress(text: str) -> Iterator[Callable[[str], None]]:
    """A spinner that says what is going on; without a terminal, a line at the start and after each second."""
    console.print(f"{text} …")
    last = time.monotonic()

    def line(what: str) -> None:
        nonlocal last
        if time.monotonic() - last > 1:
            console.print(f"  {what}", markup=False)
            last = time.monotonic()

    if console.is_terminal:
        with console.status(text) as status:
            yield status.update
    else:
        yield line


def _only_path(given: list[str]) -> Path:
    if len(given) != 1:
        raise BadParameter(
            "give one file or folder: salesml import NAME PATH, or --mapping FILE PATH, or --suggest PATH"
        )
    return Path(given[0]).expanduser()


def _undo(context: typer.Context, given: list[str]) -> None:
    from salesml.workflows.ingest import undo_import

    if given:
        raise BadParameter("--undo takes no path: it goes back to before the newest import")
    head, undone = undo_import(workspace_of(context))
    files = ", ".join(file["name"] for file in undone[-1].note.get("files", []))
    console.print(f"undone: HEAD {undone[-1].id} ({undone[-1].note.get('origin')}: {files}); HEAD is now {head.id}")
    for later in undone[:-1]:
        console.print(f"  with it went HEAD {later.id} ({later.note.get('kind')})")


def _suggest(path: Path, out: Path | None) -> None:
    from salesml.sources.suggest import suggest_mapping

    with _progress(f"looking at {path.name}"):
        draft = suggest_mapping(path)
    if out is None:
        console.print(draft.text, markup=False)
    else:
        out.write_text(draft.text, encoding="utf-8")
        console.print(f"wrote {out}. Read its comments, then: salesml import --mapping {out} {path}")
    for note in draft.notes:
        console.print(f"  note: {note}", markup=False)
