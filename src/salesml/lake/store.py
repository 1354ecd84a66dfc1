"""Delta tables of a workspace: open them at a HEAD, take in staged rows, undo an import."""

from __future__ import annotations

import datetime as dt
import getpass
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError

from salesml.contracts import SIGNED, TABLES, Table, table
from salesml.errors import NotEnoughData, SalesmlError
from salesml.lake.head import Head, Heads, Pin
from salesml.lake.merge import Counts, Load, Rows, Stored, changes, check, first_load
from salesml.workspace import Workspace

Staged = dict[str, Rows]
MEMORY = "3GB"
WRITER = WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=250_000)


@dataclass(frozen=True)
class Imported:
    """What an ingest did: the HEAD it made (or found unchanged) and, per table, rows added, corrected, retracted, unchanged."""

    head: Head
    counts: dict[str, Counts]

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return any(count.written for count in self.counts.values())


class Tables:
    """The lake pinned at one HEAD. Ask `salesml.lake.visible` for what was known as of an instant."""

    def __init__(
        self, workspace: Workspace, head: Head, memory: str = "4GB", frames: dict[str, pa.Table] | None = None
    ) -> None:
        self.workspace, self.head = workspace, head
        self._memory, self._frames = memory, frames or {}

    @classmethod
    def of(cls, workspace: Workspace, frames: dict[str, pa.Table]) -> Tables:
        """Stored rows held in memory instead of the lake (rows as `Tables.rows` gives them); for proofs and what-ifs."""
        pins = {}
        for name, frame in frames.items():
            keys = frame.select(list(table(name).key)).group_by(list(table(name).key)).aggregate([]).num_rows
            pins[name] = Pin(version=0, rows=frame.num_rows, corrections=frame.num_rows - keys)
        return cls(workspace, Head(tables=pins), frames=frames)

    def rows(self, name: str) -> pa.Table:
        """Every stored row of a table as Arrow: the whole history of beliefs, not what was known at any one time."""
        return self.backend.to_pyarrow(self.stored(name)).cast(table(name).schema)

    @cached_property
    def backend(self) -> Any:
        """The Ibis backend the expressions run on: an in-process DuckDB in UTC."""
        import ibis

        backend = ibis.duckdb.connect(memory_limit=self._memory)
        backend.raw_sql("SET TimeZone = 'UTC'")
        backend.raw_sql("SET preserve_insertion_order = false")
        backend.raw_sql("SET enable_progress_bar = false")  # in a notebook it would become part of the report
        return backend

    def stored(self, name: str) -> Any:
        """Every stored row of a table at this HEAD, corrections and all, as an Ibis table. Not for use above the lake."""
        spec = table(name)
        pin = self.head.tables.get(name)
        if name not in self.backend.list_tables():
            if name in self._frames:
                self.backend.create_table(name, self._frames[name], schema=_ibis_schema(spec.schema))
            elif pin is None or pin.rows == 0:
                self.backend.create_table(name, schema=_ibis_schema(spec.schema))
            else:
                self.backend.read_parquet(files(self.workspace.lake / name, pin.version), table_name=name)
        return self.backend.table(name)

    def instant(self, as_of: str | dt.date | dt.datetime | None = None) -> dt.datetime:
        """The UTC instant of an as_of; without one, the start of the day after the last fact of the sources became known.

        Salesml's own outputs, and what its users sign, are no facts here: a number put down today over an export of last month must
        not age that export. Raises NotEnoughData without an as_of in an empty lake.
        """
        if as_of:
            return self.workspace.instant(as_of)
        facts = [self.stored(name) for name in self.head.tables if table(name).kind != "outputs" and name not in SIGNED]
        known = [self.backend.to_pyarrow(rows.known_at.max()).as_py() for rows in facts]
        last = max((instant for instant in known if instant is not None), default=None)
        if last is None:
            raise NotEnoughData("the lake is empty. Fill it with: salesml import NAME PATH, or salesml demo")
        return self.workspace.instant(self.workspace.local_date(last) + dt.timedelta(days=1))

    def corrections(self, name: str) -> int:
        """How many stored rows of the table correct or withdraw an earlier one."""
        pin = self.head.tables.get(table(name).name)
        return pin.corrections if pin else 0


class Lake:
    """The lake of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.folder = workspace.lake
        self.heads = Heads(self.folder)

    def head(self) -> Head:
        """The newest committed state."""
        return self.heads.current()

    def open(self, head_id: int | None = None, memory: str = "4GB") -> Tables:
        """Pin a HEAD (the newest unless named) for reading; later commits do not change what it shows."""
        head = self.head() if head_id is None else self.heads.get(head_id)
        return Tables(self.workspace, head, memory)

    def ingest(
        self,
        staged: Staged,
        *,
        origin: str,
        kind: str = "import",
        note: dict[str, Any] | None = None,
        complete: frozenset[str] | set[str] = frozenset(),
        files: list[dict[str, Any]] | None = None,
        loaded_at: dt.datetime | None = None,
    ) -> Imported:
        """Take staged rows in as one commit across tables.

        A row whose key is new is added, with known_at as given or else assumed to be occurred_at. A row whose key is
        stored with other content becomes a correction, known from the load on. For tables in `complete`, stored keys of
        an entity that is present without them are withdrawn. Rows that say what is stored already change nothing; if
        nothing changes there is no commit. A crash at any instant leaves the HEAD before or after.
        """
        for name in staged:
            table(name)
        loaded_at = loaded_at or dt.datetime.now(dt.UTC)
        with self.heads.writer():
            before = self.head()
            import_id = f"{before.id + 1:06d}-{uuid.uuid4().hex[:8]}"
            pins, counts = dict(before.tables), {}
            load = Load.of(origin, import_id, loaded_at)
            for name, rows in staged.items():
                pin, count = self._append(TABLES[name], rows, before.tables.get(name), load, name in complete)
                counts[name] = count
                if pin:
                    pins[name] = pin
            if not any(count.written for count in counts.values()):
                return Imported(before, counts)
            body = {
                "kind": kind,
                "origin": origin,
                "import_id": import_id,
                "by": getpass.getuser(),
                "files": files or [],
                "counts": {name: vars(count) for name, count in counts.items()},
                **(note or {}),
            }
            return Imported(self.heads.commit(pins, body), counts)

    def _append(
        self, spec: Table, rows: Rows, pin: Pin | None, load: Load, complete: bool
    ) -> tuple[Pin | None, Counts]:
        path = self.folder / spec.name
        with duckdb.connect() as engine:
            engine.execute(f"SET TimeZone = 'UTC'; SET memory_limit = '{MEMORY}'")
            engine.execute(f"SET temp_directory = '{_quoted(self.folder / '.spill')}'")
            if pin is None:
                count = _fill(path, engine, spec, rows, load)
            else:
                stored = Stored(files(path, pin.version), corrected=pin.corrections > 0)
                new, count = changes(engine, spec, rows, stored, load, complete)
                if count.written:
                    _return_to(path, pin.version)
                    _write(path, new, mode="append", schema_mode="merge")
        if not count.written:
            return pin, count
        before, corrections = (pin.rows, pin.corrections) if pin else (0, 0)
        version = DeltaTable(str(path)).version()
        return Pin(version, before + count.written, corrections + count.corrected + count.retracted), count

    def undo(self) -> tuple[Head, list[Head]]:
        """Go back to the state before the newest import; returns the new HEAD and the states taken back (newest first)."""
        with self.heads.writer():
            dropped: list[Head] = []
            for head in self.heads.chain():
                dropped.append(head)
                if head.note.get("kind") == "import":
                    break
            else:
                raise SalesmlError("there is no import to undo in this workspace")
            target = self.heads.get(dropped[-1].parent) if dropped[-1].parent else Head()
            note = {"kind": "undo", "undone": [head.id for head in dropped], "by": getpass.getuser()}
            return self.heads.commit(target.tables, note, state_of=target), dropped


def files(path: Path, version: int) -> list[str]:
    """The Parquet files that make up one version of a Delta table."""
    try:
        return [unquote(uri.removeprefix("file://")) for uri in DeltaTable(str(path), version=version).file_uris()]
    except TableNotFoundError as error:
        raise SalesmlError(
            f"the lake is damaged: {path} is named by HEAD but is not there; restore the workspace from a backup"
        ) from error


def _fill(path: Path, engine: duckdb.DuckDBPyConnection, spec: Table, rows: Rows, load: Load) -> Counts:
    """Stream rows into a table that HEAD does not name, over what a crash or an undo left there; a refusal leaves no data."""
    there = set(path.glob("*.parquet"))
    count = Counts()
    try:
        _write(path, first_load(engine, spec, rows, load), mode="overwrite", schema_mode="overwrite")
        count = check(engine, spec, files(path, DeltaTable(str(path)).version()))
    finally:
        if not count.written:
            for file in set(path.glob("*.parquet")) - there:
                file.unlink()
    return count


def _return_to(path: Path, version: int) -> None:
    """Bring a Delta table back to the version HEAD names, if a crash or an undo left newer ones."""
    delta = DeltaTable(str(path))
    if delta.version() != version:
        delta.restore(version)


def _write(path: Path, rows: pa.RecordBatchReader, *, mode: Any, schema_mode: Any) -> None:
    write_deltalake(str(path), rows, mode=mode, schema_mode=schema_mode, writer_properties=WRITER)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _ibis_schema(schema: pa.Schema) -> Any:
    import ibis

    return ibis.schema(schema)
