"""One table of any usual kind as text columns, with the rows that cannot be read and what was odd."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesml.errors import BadInput
from salesml.sources.columns import named
from salesml.sources.delimited import open_delimited
from salesml.sources.finding import Source, sources_at
from salesml.sources.mapping import FileSpec
from salesml.sources.workbooks import rows_of


@dataclass(frozen=True)
class Sheet:
    """A table as read: `frame` of text (missing: None) or, from Parquet, typed columns; its index counts rows from 0.

    `unreadable` has the rows that do not fit the header: row (from 0), reason, text. `notes` say what was odd.
    """

    file: str
    frame: pd.DataFrame
    unreadable: pd.DataFrame
    notes: tuple[str, ...]
    sha256: str

    @property
    def rows(self) -> int:
        """Rows of the file, unreadable ones included."""
        return len(self.frame) + len(self.unreadable)


def read_table(path: Path) -> Sheet:
    """Read CSV (also compressed, with other delimiters and encodings), Excel, OpenDocument or Parquet.

    Raises BadInput for a file that is missing, empty, damaged, or of another kind.
    """
    if path.is_dir():
        raise BadInput("a folder, not a file", file=str(path), mend="Give one file.")
    found = sources_at(path)
    source, notes = found[0], []
    if len(found) > 1:
        others = ", ".join(str(other.part) for other in found[1:])
        notes.append(f"The file holds {len(found)} tables; {source.part} was read, not {others}.")
    if source.kind == "text":
        frame, unreadable = _from_text(source, notes)
    elif source.kind == "workbook":
        frame, unreadable = _from_workbook(source, notes), _unreadable([])
    elif source.kind == "parquet":
        frame, unreadable = _from_parquet(source, notes), _unreadable([])
    else:
        raise BadInput("JSON is not read here", file=path.name, mend="Save it as CSV, Excel or Parquet.")
    if not len(frame):
        raise BadInput("the table has no rows that can be read", file=source.name, mend="Export it again.")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Sheet(source.name, frame, unreadable, tuple(notes), digest)


def _from_text(source: Source, notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    text = open_delimited(source)
    names = _names(text.columns, source, notes)
    text.columns = names
    batches = list(text.batches())
    table = pa.Table.from_batches(batches) if batches else pa.table({name: [] for name in [*names, "_row"]})
    text_type = pd.StringDtype("pyarrow", na_value=np.nan)
    frame = table.select(names).to_pandas(types_mapper=lambda _: text_type)
    frame.index = pd.Index(table.column("_row").to_numpy() - 1)
    broken = [(row, f"{fields} fields, the header has {len(names)}", raw) for row, fields, raw in text.ragged]
    broken += [(row, "a quote left open swallows the rows that follow", raw) for row, _, raw in text.swallowed]
    if text.oddities.foreign_lines:
        lines = text.oddities.foreign_lines
        notes.append(f"{len(lines):,} lines (first: {lines[0]}) are not UTF-8; read as Windows-1252.")
    if text.oddities.nul_bytes:
        notes.append(f"{text.oddities.nul_bytes:,} NUL bytes were left out.")
    return frame, _unreadable([(row - 1, reason, raw) for row, reason, raw in sorted(broken)])


def _from_workbook(source: Source, notes: list[str]) -> pd.DataFrame:
    rows = rows_of(source.path, source.part or "")
    if not rows:
        raise BadInput("the sheet is empty", file=source.name, mend="Export it again.")
    names = _names([name or "" for name in rows[0]], source, notes)
    body = [row for row in rows[1:] if any(value is not None for value in row)]
    return pd.DataFrame(body, columns=names, dtype="str")


def _from_parquet(source: Source, notes: list[str]) -> pd.DataFrame:
    try:
        frame = pq.read_table(source.path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        reason = f"the Parquet file cannot be read ({error})"
        raise BadInput(reason, file=source.name, mend="Write it again.") from error
    frame = frame.reset_index() if frame.index.name else frame
    frame.columns = pd.Index(_names([str(name) for name in frame.columns], source, notes))
    return frame.reset_index(drop=True)


def _names(header: list[str], source: Source, notes: list[str]) -> list[str]:
    """The header's names, empty and repeated ones renamed."""
    names, issues = named(header, FileSpec(), source.name)
    notes += [f"{issue.reason}." for issue in issues]
    for place, (given, name) in enumerate(zip(header, names, strict=True), start=1):
        if not given:
            notes.append(f"Column {place} has no name; it is called {name!r} here.")
    return names


def _unreadable(rows: list[tuple[int, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row", "reason", "text"])
