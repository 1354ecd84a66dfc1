"""From arrays to staged tables: ids, money, words, and the columns every import carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.contracts import Table, table
from salesml.contracts.spec import ARROW
from salesml.world.clock import Clock, Floats, Ints, Times

Block = Mapping[str, Any]


def ids(prefix: str, number: Ints, width: int = 5) -> pa.Array:
    """Ids such as D00042; a negative number gives null."""
    digits = pc.utf8_lpad(pa.array(number, mask=number < 0).cast(pa.string()), width, "0")
    return pc.binary_join_element_wise(pa.scalar(prefix), digits, "")


def numbered(prefix: str, number: Ints) -> pa.Array:
    """Names of repeated changes such as amount:2."""
    return pc.binary_join_element_wise(pa.scalar(prefix), pa.array(number).cast(pa.string()), "")


def pick(words: Sequence[str | None] | pa.Array, index: Ints) -> pa.Array:
    """The word at each index; a negative index gives null."""
    words = words if isinstance(words, pa.Array) else pa.array(words, pa.string())
    return words.take(pa.array(index, mask=np.asarray(index) < 0))


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


def staged(name: str, blocks: Sequence[Block], clock: Clock) -> pa.Table:
    """One canonical table in the form an import hands to the lake.

    Each block maps column names to arrays or to one value for all its rows; `occurred_at` and optionally `known_at` are
    seconds (default: known when it occurred). Facts not known before the clock's end are left out. Rows are in order
    of known_at and key; `source_row` counts them from 1. Columns the company has nothing for are null.
    """
    contract = table(name)
    rows = pa.concat_tables([_block(contract, block, clock) for block in blocks], promote_options="default")
    rows = rows.sort_by([("known_at", "ascending"), *((key, "ascending") for key in contract.key)])
    n = rows.num_rows
    columns = {c.name: rows[c.name] if c.name in rows.column_names else pa.nulls(n, c.arrow) for c in contract.own}
    columns |= {time: rows[time] for time in ("occurred_at", "known_at")}
    columns["source_file"] = pa.repeat(f"{name}.simulated", n)
    columns["source_row"] = pa.array(np.arange(1, n + 1))
    return pa.table(columns).combine_chunks()


def _block(contract: Table, block: Block, clock: Clock) -> pa.Table:
    """One block as typed columns, without what was not known by the end."""
    occurred: Times = block["occurred_at"]
    known: Times = block.get("known_at", occurred)
    kept = known < clock.end_second
    arrays = {}
    for name, values in {**block, "occurred_at": occurred, "known_at": known}.items():
        kind = contract.column(name).arrow
        if isinstance(values, (pa.Array, pa.ChunkedArray)):
            arrays[name] = values.cast(kind)
        elif isinstance(values, np.ndarray):
            arrays[name] = pa.array(values).cast(kind) if values.dtype.kind == "M" else pa.array(values, kind)
        else:
            arrays[name] = pa.repeat(pa.scalar(values, kind), len(occurred))
    return pa.table(arrays).filter(pa.array(kept))
