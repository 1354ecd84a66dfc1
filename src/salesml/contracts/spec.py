"""The shape of a contract: Column and Table, and the provenance columns that every table carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

Dtype = Literal["string", "money", "int", "float", "bool", "timestamp", "date", "json"]
Kind = Literal["changes", "events", "outputs"]

ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "money": pa.decimal128(18, 2),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "json": pa.string(),
}


@dataclass(frozen=True)
class Column:
    """One column: name, dtype, meaning, unit, whether it may be empty, what it refers to, which values it allows."""

    name: str
    dtype: Dtype
    meaning: str
    unit: str | None = None
    required: bool = False
    references: str | None = None
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type it is stored as."""
        return ARROW[self.dtype]


@dataclass(frozen=True)
class Table:
    """A named frame with a contract.

    `kind` "changes": rows are sparse changes of an entity, keyed by (entity, change_id); a null means "not changed",
    and the state as of a day is the latest value of each column that was known. "events": each row is one thing that
    happened, keyed by its own id. "outputs": written by salesml itself.
    `entity` is the column that names what the row is about.
    """

    name: str
    kind: Kind
    entity: str
    meaning: str
    own: tuple[Column, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a fact; a later row with the same key corrects an earlier one."""
        return (self.entity, "change_id") if self.kind == "changes" else (self.entity,)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Own columns followed by the provenance columns."""
        return self.own + PROVENANCE

    @property
    def payload(self) -> tuple[Column, ...]:
        """Own columns that are not part of the key: what a correction can change."""
        return tuple(column for column in self.own if column.name not in self.key)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the stored table."""
        return pa.schema([pa.field(column.name, column.arrow) for column in self.columns])

    def column(self, name: str) -> Column:
        """The column of that name; KeyError if there is none."""
        return next(column for column in self.columns if column.name == name)


PROVENANCE = (
    Column("occurred_at", "timestamp", "when it was true in the world", required=True),
    Column("known_at", "timestamp", "when it entered the system; visible as of any later instant", required=True),
    Column(
        "known_at_assumed", "bool", "known_at was not in the export and was taken from occurred_at or the export's date"
    ),
    Column("retracted", "bool", "this row withdraws the fact of the same key"),
    Column("origin", "string", "the mapping or program that produced the row"),
    Column("import_id", "string", "the import that brought it"),
    Column("source_file", "string", "file it came from"),
    Column("source_row", "int", "row in that file, 1 = first after the header"),
)
