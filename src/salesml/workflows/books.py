"""Books of measures kept on disk: made once for an instant and a state of the lake, then opened in an instant by every process."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import time
import uuid
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesml.analytics.book import Book, make
from salesml.lake import Lake, Tables, visible
from salesml.workflows.deals import MODEL
from salesml.workflows.overview import champions
from salesml.workspace import Workspace, write_atomically

KEPT, UNUSED_S = 8, 3_600.0
"""Books that stay whatever their age; a book opened within so many seconds stays too, for somebody may be reading it."""
FORMAT = 1
ROWS = 250_000
_META = "book.json"


def book_of(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, *, tables: Tables | None = None) -> Book:
    """The book as of an instant (default: after the last fact), from disk where it was made for this state of the lake before.

    Open deals have the newest chance of the champion that was worked out for an instant up to as_of, else of the newest version that did.
    The eight newest books are kept, and those opened within the last hour. Raises NotEnoughData in an empty lake.
    """
    tables = tables or Lake(workspace).open()
    instant = tables.instant(as_of) if as_of else _newest(workspace, tables)
    folder = workspace.cache / "books" / f"{FORMAT}-{tables.head.id}-{instant:%Y%m%dT%H%M%S%f}"
    if (folder / _META).exists():
        os.utime(folder)
        return _opened(folder)
    book = make(visible(tables, instant), scores(workspace, tables, instant))
    _keep(book, folder)
    return _opened(folder)


def _newest(workspace: Workspace, tables: Tables) -> dt.datetime:
    """The instant after the last fact of a state of the lake, kept beside the books: to ask every table takes seconds."""
    note = workspace.cache / "books" / f".head-{tables.head.id}"
    if note.exists():
        return dt.datetime.fromisoformat(note.read_text(encoding="utf-8"))
    instant = tables.instant()
    write_atomically(note, instant.isoformat().encode())
    return instant


def scores(workspace: Workspace, tables: Tables, as_of: dt.datetime) -> pd.DataFrame:
    """The chance to be won that each deal had last been given for an instant up to as_of: opportunity_id, probability."""
    now = visible(tables, dt.datetime.now(dt.UTC))
    rows = now.facts("prediction")
    rows = rows.filter(rows.entity_type == "opportunity", rows.target == "won", rows.as_of <= as_of)
    found = now.frame(rows.select("entity_id", "point", "as_of", "model_version", "known_at"))
    reigning = str(dict(champions(workspace)).get(MODEL))
    if (mine := found["model_version"].eq(reigning)).any():
        found = found[mine]
    elif len(found):
        found = found[found["model_version"] == found.sort_values(["as_of", "known_at"])["model_version"].iloc[-1]]
    last = found.sort_values(["as_of", "known_at"]).drop_duplicates("entity_id", keep="last")
    return last.rename(columns={"entity_id": "opportunity_id", "point": "probability"})[["opportunity_id", "probability"]]


def _keep(book: Book, folder: Path) -> None:
    """Write a book so that a reader or a crash sees all of it or none, and let the oldest go."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        for name, table in book.tables.items():
            assert isinstance(table, pa.Table), "only a book that was just made is written"
            pq.write_table(table, temporary / f"{name}.parquet", compression="zstd", compression_level=1, row_group_size=ROWS)
        told: dict[str, Any] = {
            "as_of": book.as_of.isoformat(), "day": book.day.isoformat(), "currency": book.currency,
            "fiscal_year_start": book.fiscal_year_start, "week_start": book.week_start, "basis": book.basis, "names": book.names,
            "labels": book.labels, "unconverted": book.unconverted, "tables": list(book.tables),
        }  # fmt: skip
        (temporary / _META).write_text(json.dumps(told), encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _tidy(folder.parent)


def _tidy(folder: Path) -> None:
    """Let go of books that nobody has opened for a while, beyond the newest, and of notes about states without a book."""
    books = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.stat().st_mtime)
    gone = [path for path in books[:-KEPT] if time.time() - path.stat().st_mtime > UNUSED_S]
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    heads = {path.name.split("-")[1] for path in books if path not in gone}
    for note in folder.glob(".head-*"):
        if note.name.split("-")[1] not in heads:
            note.unlink(missing_ok=True)


def _opened(folder: Path) -> Book:
    told = json.loads((folder / _META).read_text(encoding="utf-8"))
    tables: dict[str, pa.Table | str] = {name: str(folder / f"{name}.parquet") for name in told.pop("tables")}
    as_of, day = dt.datetime.fromisoformat(told.pop("as_of")), dt.date.fromisoformat(told.pop("day"))
    return Book(as_of=as_of, day=day, tables=tables, **told)
