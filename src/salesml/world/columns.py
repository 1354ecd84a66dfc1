"""From arrays to staged tables: ids, money, words, and the columns every import carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.contracts import Table, table
from salesml.contracts.spec import ARROW
from salesml.world.clock import Clock, Floats, Ints, Times

Block = Mapping[str, Any]


def ids(prefix: str, number: Ints, width: int = 5) -> pa.DictionaryArray:
    """Ids such as D00042; a negative number gives null."""
    number = np.asarray(number)
    most = int(number.max(initial=-1)) + 1
    codes = pa.array(number.astype(np.int32), mask=number < 0)
    return pa.DictionaryArray.from_arrays(codes, _id_list(prefix, 1 << max(8, most.bit_length()), width))


@lru_cache(maxsize=24)
def _id_list(prefix: str, n: int, width: int) -> pa.Array:
    digits = pc.utf8_lpad(pa.array(np.arange(n)).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def fresh_ids(prefix: str, number: Ints, width: int = 8) -> pa.Array:
    """Ids that occur once each, such as event numbers: no dictionary."""
    digits = pc.utf8_lpad(pa.array(number).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def numbered(prefix: str, number: Ints) -> pa.Array:
    """Names of repeated changes such as amount:2."""
    most = int(np.max(number, initial=0))
    return pick([f"{prefix}{i}" for i in range(most + 1)], number)


def pick(words: Sequence[str | None] | pa.Array, index: Ints) -> pa.DictionaryArray:
    """The word at each index; a negative index gives null."""
    words = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    index = np.asarray(index)
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32), mask=index < 0), words)


def plain(values: pa.Array) -> pa.Array:
    """The same values without a dictionary, for functions on text."""
    return values.dictionary_decode() if isinstance(values, pa.DictionaryArray) else values


def blank(values: pa.Array, where: Ints) -> pa.Array:
    """The values with null where `where` is true: what nobody filled in."""
    return pc.if_else(pa.array(np.asarray(where, bool)), pa.scalar(None, plain(values).type), plain(values))


def money(cents: Ints) -> pa.Array:
    """Whole cents as DECIMAL(18,2)."""
    return pc.multiply(pa.array(cents, pa.int64()), pa.scalar(Decimal("0.01"))).cast(ARROW["money"])


def to_cents(amount: Floats) -> Ints:
    """Currency units rounded to whole cents."""
    return np.rint(amount * 100).astype(np.int64)


def running_number(group: Ints) -> Ints:
    """1, 2, 3, … within each run of equal values; `group` must be sorted."""
    first = np.r_[True, group[1:] != group[:-1]] if len(group) else np.zeros(0, bool)
    position = np.arange(len(group))
    return position - np.maximum.accumulate(np.where(first, position, 0)) + 1


def batches(name: str, blocks: Iterable[Block], clock: Clock) -> Iterator[pa.RecordBatch]:
    """One canonical table as record batches in the form an import hands to the lake; text may be dictionary-encoded.

    Each block maps column names to arrays or to one value for all its rows; `occurred_at` and optionally `known_at` are
    seconds (default: known when it occurred). Facts not known before the clock's end are left out. `source_row` counts
    the rows from 1. Columns the company has nothing for are null.
    """
    contract, schema, number = table(name), stream_schema(name), 0
    for block in blocks:
        rows = _block(contract, schema, block, clock)
        source_row = pa.array(np.arange(number + 1, number + rows.num_rows + 1))
        number += rows.num_rows
        columns = {**{n: rows[n] for n in rows.schema.names}, "source_row": source_row}
        yield pa.RecordBatch.from_arrays([columns[field.name] for field in schema], schema=schema)


def staged(name: str, blocks: Iterable[Block], clock: Clock) -> pa.Table:
    """The same rows as `batches` gives, as one table of plain columns."""
    rows = pa.Table.from_batches(list(batches(name, blocks, clock)), stream_schema(name))
    fields = [f.with_type(f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in rows.schema]
    return rows.cast(pa.schema(fields)).combine_chunks()


@lru_cache(maxsize=64)
def stream_schema(name: str) -> pa.Schema:
    """Columns of a streamed table: text with a dictionary, save the key of events, which occurs once each."""
    contract = table(name)

    def kind(column: Any) -> pa.DataType:
        text = column.arrow == pa.string() and not (contract.kind == "events" and column.name == contract.entity)
        return pa.dictionary(pa.int32(), pa.string()) if text else column.arrow

    fields = [pa.field(column.name, kind(column)) for column in contract.own]
    fields += [pa.field(time, contract.column(time).arrow) for time in ("occurred_at", "known_at")]
    text = pa.dictionary(pa.int32(), pa.string())
    return pa.schema([*fields, pa.field("source_file", text), pa.field("source_row", pa.int64())])


def _block(contract: Table, schema: pa.Schema, block: Block, clock: Clock) -> pa.RecordBatch:
    """One block as typed columns, without what was not known by the end."""
    occurred: Times = block["occurred_at"]
    known: Times = block.get("known_at", occurred)
    n = len(occurred)
    given = {**block, "occurred_at": occurred, "known_at": known, "source_file": f"{contract.name}.simulated"}
    unknown = set(given) - set(schema.names)
    if unknown:
        raise KeyError(f"{contract.name} has no column {', '.join(sorted(unknown))}")
    arrays = [_typed(given.get(field.name), field.type, n) for field in schema if field.name != "source_row"]
    names = [field.name for field in schema if field.name != "source_row"]
    rows = pa.RecordBatch.from_arrays(arrays, names)
    kept = known < clock.end_second
    return rows if kept.all() else rows.filter(pa.array(kept))


def _typed(values: Any, kind: pa.DataType, n: int) -> pa.Array:
    if values is None:
        return pa.nulls(n, kind)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        if not isinstance(values, np.ndarray):
            one = pa.scalar(values, kind.value_type if pa.types.is_dictionary(kind) else kind)
            if not pa.types.is_dictionary(kind):
                return pa.repeat(one, n)
            return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([one.as_py()], pa.string()))
        values = pa.array(values)
    if pa.types.is_dictionary(kind) and not isinstance(values, pa.DictionaryArray):
        return values.cast(pa.string()).dictionary_encode()
    return values if values.type == kind else values.cast(kind)
