"""What the exports share: changes in the order they were entered, the value of a column after each, field history, ids, CSV."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from salesml.contracts import table

Ints = np.ndarray
CLOSED = pa.array(["won", "lost", "no_decision"])
MILLISECONDS, SECONDS = "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%SZ"


class Rows:
    """Rows of one canonical table; columns that are absent or unknown to the contract are null."""

    def __init__(self, name: str, rows: pa.Table | None) -> None:
        self.spec = table(name)
        self.rows = rows if rows is not None else pa.table({self.spec.entity: pa.array([], pa.string())})
        self.n = self.rows.num_rows

    def column(self, name: str) -> pa.Array:
        """A column as one array; `custom.key` is that field of the JSON column `custom`."""
        if name.startswith("custom."):
            return self.custom.get(name.removeprefix("custom."), pa.nulls(self.n, pa.string()))
        if name not in self.rows.column_names:
            return pa.nulls(self.n, self.spec.column(name).arrow)
        return self.rows[name].combine_chunks() if self.n else pa.nulls(0, self.spec.column(name).arrow)

    @property
    def entity(self) -> pa.Array:
        """Our id of each row."""
        return self.column(self.spec.entity)

    @cached_property
    def custom(self) -> dict[str, pa.Array]:
        """The fields of the JSON column `custom`, by name."""
        if "custom" not in self.rows.column_names or not self.n:
            return {}
        encoded = self.column("custom").dictionary_encode()
        read = [json.loads(text) if text else {} for text in encoded.dictionary.to_pylist()]
        values = {key: [_plain(row.get(key)) for row in read] for key in sorted({key for row in read for key in row})}
        return {key: pa.array(found, pa.string()).take(encoded.indices) for key, found in values.items()}

    def only(self, where: Ints) -> Rows:
        """The rows for which `where` is true."""
        return Rows(self.spec.name, self.rows.filter(pa.array(where)))


class Changes(Rows):
    """A table of changes, by entity and in the order they were entered; `state` is what the CRM shows at the end."""

    def __init__(self, name: str, rows: pa.Table | None) -> None:
        super().__init__(name, rows)
        if self.n:
            keys = (self.spec.entity, "known_at", "occurred_at", "source_row")
            order = pc.sort_indices(self.rows, [(k, "ascending") for k in keys if k in self.rows.column_names])
            self.rows = self.rows.take(order).combine_chunks()
        codes = np.asarray(self.entity.dictionary_encode().indices)
        self.first = np.r_[True, codes[1:] != codes[:-1]] if self.n else np.zeros(0, bool)
        self.starts = np.flatnonzero(self.first)
        self.start = np.maximum.accumulate(np.where(self.first, np.arange(self.n), 0)) if self.n else self.starts
        self.last = np.r_[self.starts[1:], self.n] - 1 if self.n else self.starts
        self._running: dict[str, pa.Array] = {}

    def running(self, name: str) -> pa.Array:
        """The value of a column after each change."""
        if name not in self._running:
            self._running[name] = self.fill(self.column(name))
        return self._running[name]

    def state(self, name: str) -> pa.Array:
        """The value of a column at the end, one an entity."""
        return self.running(name).take(pa.array(self.last))

    def final(self, values: pa.Array) -> pa.Array:
        """Of an array over the changes the value at each entity's last."""
        return values.take(pa.array(self.last))

    def fill(self, values: pa.Array) -> pa.Array:
        """The last value that was not null, within the entity."""
        if not self.n:
            return values
        place = np.maximum.accumulate(np.where(valid(values), np.arange(self.n), -1))
        return values.take(pa.array(np.maximum(place, 0), mask=place < self.start))

    def changed(self, *values: pa.Array) -> Ints:
        """Rows after an entity's first at which any of the given running values differs from the row before."""
        differs = np.zeros(self.n, bool)
        for value in values:
            filled = pc.fill_null(text(value), "\0")
            differs[1:] |= np.asarray(pc.not_equal(filled[1:], filled[:-1]))
        return np.flatnonzero(differs & ~self.first)

    def history(self, fields: Mapping[str, pa.Array]) -> History:
        """The changes of the given running values, one row a change and field, as entered."""
        found = [(name, text(values), self.changed(values)) for name, values in fields.items()]
        rows = np.concatenate([at for _, _, at in found]) if found else np.zeros(0, np.int64)
        order = np.argsort(rows, kind="stable")
        names = np.repeat(np.arange(len(found)), [len(at) for _, _, at in found])[order]
        old = pa.concat_arrays([values.take(pa.array(at - 1)) for _, values, at in found])
        new = pa.concat_arrays([values.take(pa.array(at)) for _, values, at in found])
        kept = pa.array(order)
        return History(rows[order], pa.array(list(fields)).take(pa.array(names)), old.take(kept), new.take(kept))

    @cached_property
    def stage(self) -> pa.Array:
        """The stage after each change of a deal; a closing that names none is one of `Closed won` and `Closed lost`."""
        stage, won = self.column("stage"), pc.equal(self.column("status"), "won")
        unnamed = either(self.closing, either(won, "Closed won", "Closed lost"), pa.scalar(None, pa.string()))
        return self.fill(pc.coalesce(stage, unnamed))

    @cached_property
    def alive(self) -> Ints:
        """Which entities, in the order of `state`, have not been deleted."""
        return ~np.asarray(pc.fill_null(self.state("deleted"), False))

    @cached_property
    def closing(self) -> Ints:
        """Whether a change closes the deal: it says won, lost or no decision."""
        return np.asarray(pc.fill_null(pc.is_in(self.column("status"), CLOSED), False))

    def pick(self, name: str, rows: Ints) -> pa.Array:
        """Running values of a column at the given rows."""
        return self.running(name).take(pa.array(rows))


@dataclass(frozen=True)
class History:
    """Field history: `row` of the change, `field`, value before and after."""

    row: Ints
    field: pa.Array
    old: pa.Array
    new: pa.Array


@dataclass
class Book:
    """The company's tables and the folder the export goes to; remembers the files written."""

    tables: Mapping[str, pa.Table]
    folder: Path
    paths: list[Path] = field(default_factory=list)
    _changes: dict[str, Changes] = field(default_factory=dict)

    def changes(self, name: str) -> Changes:
        """A table of changes; without rows if the company has none."""
        if name not in self._changes:
            self._changes[name] = Changes(name, self.tables.get(name))
        return self._changes[name]

    def events(self, name: str) -> Rows:
        """A table of events; without rows if the company has none."""
        return Rows(name, self.tables.get(name))

    @cached_property
    def end(self) -> dt.datetime:
        """When the newest fact was entered."""
        times = [pc.max(rows["known_at"]).as_py() for rows in self.tables.values() if "known_at" in rows.column_names]
        return max((time for time in times if time), default=dt.datetime(1970, 1, 1, tzinfo=dt.UTC))

    def write(self, name: str, columns: Mapping[str, Any]) -> None:
        """Write a CSV file: arrays, and single values for all rows, in the order given. Without rows, no file."""
        arrays = [values for values in columns.values() if isinstance(values, pa.Array)]
        rows = len(arrays[0])
        if not rows:
            return
        made = {
            column: text(values if isinstance(values, pa.Array) else pa.repeat(pa.scalar(values, pa.string()), rows))
            for column, values in columns.items()
        }
        path = self.folder / f"{name}.csv"
        csv.write_csv(pa.table(made), path, csv.WriteOptions(quoting_style="needed"))
        self.paths.append(path)


def valid(values: pa.Array) -> Ints:
    """Which values are not null."""
    return np.asarray(pc.is_valid(values))


def text(values: pa.Array) -> pa.Array:
    """Values as text: dates as ISO, money with its cents."""
    return values if values.type == pa.string() else values.cast(pa.string())


def moment(times: pa.Array, form: str) -> pa.Array:
    """Instants as UTC text in strftime's `form`."""
    return pc.strftime(times.cast(pa.timestamp("s", "UTC"), safe=False), form)


def day(times: pa.Array) -> pa.Array:
    """The UTC day of instants, as text."""
    return text(pc.cast(times, pa.date32(), safe=False))


def either(where: Ints | pa.Array, yes: Any, no: Any) -> pa.Array:
    """Element by element `yes` where true, else `no`."""
    return pc.if_else(where if isinstance(where, pa.Array) else pa.array(where), yes, no)


def join(*parts: Any, by: str = "") -> pa.Array:
    """Texts put together; null if any is null."""
    return pc.binary_join_element_wise(*(text(p) if isinstance(p, pa.Array) else pa.scalar(p) for p in parts), by)


def recode(values: pa.Array, words: Mapping[str, str | None]) -> pa.Array:
    """Other words for the values; those not listed stay."""
    return by_value(values, lambda found: pa.array([words.get(v, v) for v in found.to_pylist()], pa.string()))


def by_value(values: pa.Array, function: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """A function of each value, called once for the distinct ones."""
    encoded = values.dictionary_encode()
    return function(encoded.dictionary).take(encoded.indices)


def look_up(values: pa.Array, keys: pa.Array, found: pa.Array) -> pa.Array:
    """For each value what is found beside it among the keys; null if it is none of them."""
    return found.take(pc.index_in(values, keys))


def names(full: pa.Array) -> tuple[pa.Array, pa.Array]:
    """First names (null for a single word) and last names."""
    parts = pc.extract_regex(full, r"^(?:(?P<first>.*) )?(?P<last>[^ ]+)$")
    first = pc.struct_field(parts, "first")
    return either(pc.equal(first, ""), pa.scalar(None, pa.string()), first), pc.struct_field(parts, "last")


def _plain(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
