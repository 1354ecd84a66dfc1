"""Measures and the overview in the terminal, and as files."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from salesml.cli.common import console, step, workspace_of
from salesml.cli.reports import become
from salesml.errors import BadParameter

ROWS = 40
AsOf = Annotated[str | None, typer.Option(help="First day that is not known; default: the day after the last fact.")]


def register(app: typer.Typer) -> None:
    """Add this module's commands to `app`."""
    app.command("measure")(measure)
    app.command("overview")(overview)


def measure(
    context: typer.Context,
    names: Annotated[list[str] | None, typer.Argument(help="Measures; without any they are listed with what they mean.")] = None,
    by: Annotated[list[str] | None, typer.Option(help="Dimension to slice by, for example region; repeatable.")] = None,
    where: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Only these, for example region=North; repeatable.")] = None,
    period: Annotated[str | None, typer.Option(help="2026, 2026-Q2, 2026-04 or 2026-04-01..2026-05-01 (not included).")] = None,
    every: Annotated[str | None, typer.Option(help="day, week, month, quarter or year.")] = None,
    rollup: Annotated[bool, typer.Option("--rollup", help="The sums over each part of --by too.")] = False,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(help="CSV file to write all rows into, exact.")] = None,
) -> None:
    """Any measure of any slice, as known as of any day."""
    from rich.markup import escape
    from rich.table import Table

    from salesml.analytics.measures import MEASURES

    if not names:
        table = Table("measure", "unit", "what it is", "by", box=None)
        for one in MEASURES.values():
            more = ", …" if len(one.dimensions) > 4 else ""
            table.add_row(one.name, one.unit, escape(one.formula), ", ".join(one.dimensions[:4]) + more)
        console.print(table)
        return
    workspace = workspace_of(context)
    with step("reading what was known"):
        from salesml.analytics import slices
        from salesml.workflows.benchmark import period_of
        from salesml.workflows.books import book_of

        book = book_of(workspace, as_of)
        days = period_of(period, workspace.settings.fiscal_year_start) if period else None
        found = slices.measure(book, names, by=by or [], where=_slice(where or []), period=days, every=every, rollup=rollup)  # type: ignore[arg-type]
    if out is not None:
        found.to_csv(out, index=False)
        console.print(f"{len(found):,} rows in {out}", markup=False)
    labels = {name: dict(zip(book.names[name], book.labels[name], strict=True)) for name in by or []}
    shown = Table(*(_head(str(name), book.currency) for name in found), box=None)
    for row in found.head(ROWS).to_dict("records"):
        shown.add_row(*(escape(_told(labels.get(str(name), {}).get(value, value))) for name, value in row.items()))
    console.print(shown)
    if len(found) > ROWS:
        console.print(f"… {len(found) - ROWS:,} more rows; --out writes them all")
    known = f"known up to the end of {book.day - dt.timedelta(days=1)}, amounts in {book.currency}"
    console.print(f"{known}; lacking a rate: {book.unconverted}" if book.unconverted else known, style="dim")


def overview(
    context: typer.Context,
    place: Annotated[str, typer.Option(help="region:KEY, team:KEY or rep:KEY; default: all you may see.")] = "",
    language: Annotated[str, typer.Option("--lang", help="en, es, fr, de or pt.")] = "en",
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Option(help="File to write: .xlsx, .pptx or .pdf.")] = None,
) -> None:
    """Where the quarter lands, in a sentence; --out writes the whole overview as a file. As a page: salesml apps."""
    asked = {"language": language, "place": place, "as_of": as_of, "out": str(out) if out else None}
    become(workspace_of(context), "salesml.apps.overview_file", [json.dumps(asked)])


def _slice(texts: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise BadParameter(f"--where {text!r} is not NAME=VALUE, for example region=North")
        found.setdefault(name, []).append(value)
    return found


def _head(name: str, currency: str) -> str:
    from salesml.analytics.measures import MEASURES

    unit: str = MEASURES[name].unit if name in MEASURES else ""
    unit = {"money": currency, "money a day": f"{currency} a day", "count": "", "ratio": ""}.get(unit, unit)
    return f"{name} ({unit})" if unit else name


def _told(value: Any) -> str:
    import decimal

    import pandas as pd

    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return "–"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}"
    if isinstance(value, decimal.Decimal):
        return f"{value:,.2f}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 100 else f"{value:,.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
