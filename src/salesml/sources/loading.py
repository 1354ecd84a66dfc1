"""Files into DuckDB: one table of trimmed text columns per file of the mapping, with `_file` and `_row`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Map
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from salesml.errors import BadInput
from salesml.sources.columns import named, unused
from salesml.sources.delimited import Delimited, open_delimited
from salesml.sources.finding import Source
from salesml.sources.issues import Issue
from salesml.sources.mapping import FileSpec, Mapping
from salesml.sources.session import literal, quoted
from salesml.sources.workbooks import rows_of

Connection = duckdb.DuckDBPyConnection
Progress = Callable[[str], None]


@dataclass
class Loaded:
    """Rows read per file (name → rows, rejected ones included), issues, and notes for the reader."""

    rows: dict[str, int] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def load(
    connection: Connection,
    mapping: Mapping,
    assigned: Map[str, list[Source]],
    progress: Progress = lambda _: None,
) -> Loaded:
    """Load the assigned sources; files of the mapping without a source become empty tables.

    Raises BadInput for a file that is empty, broken, or lacks a needed column.
    """
    loaded = Loaded()
    for alias, spec in mapping.files.items():
        for source in assigned.get(alias, []):
            progress(f"reading {source.name}")
            _load_one(connection, alias, spec, source, loaded, progress)
        _ensure_columns(connection, alias, spec)
    return loaded


def _load_one(
    connection: Connection, alias: str, spec: FileSpec, source: Source, loaded: Loaded, progress: Progress
) -> None:
    if source.kind == "text":
        _load_text(connection, alias, spec, source, loaded, progress)
    elif source.kind == "workbook":
        _load_sheet(connection, alias, spec, source, loaded)
    else:
        _load_typed(connection, alias, spec, source, loaded)
    if loaded.rows[source.name] == 0:
        reason = "the file has a header but no rows"
        loaded.issues.append(Issue("warning", reason, "Check the export.", source_file=source.name, rows=0))


def _load_text(
    connection: Connection, alias: str, spec: FileSpec, source: Source, loaded: Loaded, progress: Progress
) -> None:
    text = open_delimited(source, spec.encoding, spec.delimiter, spec.skip)
    width = len(text.columns)
    text.columns = _columns(text.columns, spec, source, loaded)

    def counted() -> Iterator[pa.RecordBatch]:
        for batch in text.batches():
            progress(f"reading {source.name}: {text.rows:,} rows")
            yield batch

    _append(connection, alias, source, text.columns, counted())
    loaded.rows[source.name] = text.rows
    loaded.issues += _text_issues(text, width)


def _text_issues(text: Delimited, width: int) -> Iterator[Issue]:
    """Rows that do not fit the header, and what had to be changed to read the text."""
    file, odd = text.source.name, text.oddities
    for row, found, raw in text.ragged:
        reason = f"the row does not have the header's {width} fields"
        mend = (
            "A quote left open runs on over the next rows." if "\n" in raw else "Quote fields that hold the delimiter."
        )
        yield Issue(
            "rejected",
            reason,
            mend,
            value=f"{found} fields",
            raw=json.dumps({"text": raw}),
            source_file=file,
            source_row=row,
        )
    for row, swallowed, raw in text.swallowed:
        reason = "a quote left open swallows the rows that follow"
        value = f"{swallowed} rows"
        yield Issue(
            "rejected",
            reason,
            "Close the quote.",
            value=value,
            raw=json.dumps({"text": raw}),
            source_file=file,
            source_row=row,
        )
    if lines := odd.foreign_lines:
        shown = ", ".join(map(str, lines[:10])) + (", …" if len(lines) > 10 else "")
        reason = "lines that are not UTF-8 were read as Windows-1252"
        mend = "Check the special characters, or set `encoding:` of the file in a mapping."
        yield Issue("warning", reason, mend, value=f"lines {shown}", source_file=file, rows=len(lines))
    if odd.nul_bytes:
        yield Issue("warning", "NUL bytes were left out", "Check the export.", source_file=file, rows=odd.nul_bytes)


def _load_sheet(connection: Connection, alias: str, spec: FileSpec, source: Source, loaded: Loaded) -> None:
    rows = rows_of(source.path, source.part or "")[spec.skip :]
    if not rows:
        raise BadInput("the sheet is empty", file=source.name, mend="Nothing was imported. Export it again.")
    used = [index for index, name in enumerate(rows[0]) if name or any(row[index] for row in rows)]
    names = _columns([rows[0][index] or "" for index in used], spec, source, loaded)
    body = [(number, row) for number, row in enumerate(rows[1:], start=1) if any(value is not None for value in row)]
    arrays = [pa.array([row[index] for _, row in body], pa.string()) for index in used]
    numbers = pa.array([number for number, _ in body], pa.int64())
    batch = pa.RecordBatch.from_arrays([*arrays, numbers], names=[*names, "_row"])
    _append(connection, alias, source, names, iter([batch]))
    loaded.rows[source.name] = len(body)


def _load_typed(connection: Connection, alias: str, spec: FileSpec, source: Source, loaded: Loaded) -> None:
    path = literal(str(source.path))
    if source.kind == "parquet":
        relation, row = f"read_parquet({path}, file_row_number = true)", "file_row_number + 1"
    else:
        relation, row = f"read_json({path}, maximum_depth = 1, sample_size = -1)", "row_number() OVER ()"
    try:
        described = connection.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        header = [name for name, *_ in described if name != "file_row_number"]
        names = _columns(header, spec, source, loaded)
        types = {name: kind for name, kind, *_ in described}
        picked = ", ".join(
            f"{_as_text(found, types[found])} AS {quoted(name)}" for found, name in zip(header, names, strict=True)
        )
        reader = (
            connection.cursor()
            .execute(f"SELECT {picked}, CAST({row} AS BIGINT) AS _row FROM {relation}")
            .to_arrow_reader()
        )
        _append(connection, alias, source, names, iter(reader))
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise BadInput(
            f"the file cannot be read ({first})", file=source.name, mend="Nothing was imported. Get it again."
        ) from error
    loaded.rows[source.name] = connection.execute(
        f"SELECT count(*) FROM {quoted(alias)} WHERE _file = {literal(source.name)}"
    ).fetchall()[0][0]


def _as_text(name: str, kind: str) -> str:
    if kind == "JSON":
        return f"json_extract_string({quoted(name)}, '$')"
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    return f"CAST({f'to_json({quoted(name)})' if nested else quoted(name)} AS VARCHAR)"


def _columns(header: list[str], spec: FileSpec, source: Source, loaded: Loaded) -> list[str]:
    names, issues = named(header, spec, source.name)
    loaded.issues.extend(issues)
    if extra := unused(names, spec):
        loaded.notes.append(f"{source.name}: columns the mapping does not use: {', '.join(extra)}")
    return names


def _append(
    connection: Connection, alias: str, source: Source, names: list[str], batches: Iterator[pa.RecordBatch]
) -> None:
    schema = pa.schema([*((name, pa.string()) for name in names), ("_row", pa.int64())])
    failures: list[BadInput] = []

    def guarded() -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                *fields, numbers = batch.columns
                trimmed = [pc.utf8_trim_whitespace(field) for field in fields]
                yield pa.RecordBatch.from_arrays([*trimmed, numbers], schema=schema)
        except BadInput as error:
            failures.append(error)
            raise

    present = _existing(connection, alias)
    for name in names if present else []:
        if name.lower() not in present:
            connection.execute(f"ALTER TABLE {quoted(alias)} ADD COLUMN {quoted(name)} VARCHAR")
    into = f"INSERT INTO {quoted(alias)} BY NAME" if present else f"CREATE TABLE {quoted(alias)} AS"
    reader = pa.RecordBatchReader.from_batches(schema, guarded())
    # as a capsule: for a pyarrow object DuckDB would import pyarrow.dataset and with it pandas
    connection.register("incoming", reader.__arrow_c_stream__())
    try:
        connection.execute(f"{into} SELECT *, {literal(source.name)} AS _file FROM incoming")
    except duckdb.Error:
        if failures:
            raise failures[0] from None
        raise
    finally:
        connection.unregister("incoming")


def _existing(connection: Connection, alias: str) -> set[str]:
    rows = connection.execute(
        f"SELECT column_name FROM duckdb_columns() WHERE table_name = {literal(alias)}"
    ).fetchall()
    return {name.lower() for (name,) in rows}


def _ensure_columns(connection: Connection, alias: str, spec: FileSpec) -> None:
    present = _existing(connection, alias)
    if not present:
        connection.execute(f"CREATE TABLE {quoted(alias)} (_row BIGINT, _file VARCHAR)")
    for name in (*spec.columns, *spec.optional):
        if name.lower() not in present:
            connection.execute(f"ALTER TABLE {quoted(alias)} ADD COLUMN {quoted(name)} VARCHAR")
