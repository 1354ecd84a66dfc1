"""Pipedrive's whole-number ids, and the flow: what changed in a record."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from salesml.world.exports.ids import numbered, serial
from salesml.world.exports.shared import Book, Changes, Ints, by_value, moment, text

CLOCK = "%Y-%m-%d %H:%M:%S"


def number(ids: pa.Array) -> pa.Array:
    """Whole numbers of our ids, as text; null stays null."""
    return by_value(ids, lambda found: text(pa.array(serial(found))))


def base(rows: Changes) -> dict[str, pa.Array]:
    """Id, and when it was added and last changed, of every entity."""
    known = rows.column("known_at")
    return {
        "id": number(rows.final(rows.entity)), "add_time": moment(known.take(pa.array(rows.starts)), CLOCK),
        "update_time": moment(rows.final(known), CLOCK),
    }  # fmt: skip


def flow(book: Book, name: str, rows: Changes, fields: Mapping[str, pa.Array]) -> None:
    """One row a changed field, and one with the field add_time when the record was added."""
    told = rows.history(fields)
    begun = len(rows.starts)
    row = np.r_[rows.starts, told.row]
    order = np.argsort(row, kind="stable")
    kept, at = pa.array(order), pa.array(row[order])
    entity, time = rows.entity.take(at), moment(rows.column("known_at").take(at), CLOCK)
    added = moment(rows.column("known_at").take(pa.array(rows.starts)), CLOCK)
    book.write(name, {
        "id": text(pa.array(numbered(entity))), "item_id": number(entity), "user_id": number(rows.running("owner_id").take(at)),
        "field_key": pa.concat_arrays([pa.repeat("add_time", begun), told.field]).take(kept),
        "old_value": pa.concat_arrays([pa.nulls(begun, pa.string()), told.old]).take(kept),
        "new_value": pa.concat_arrays([added, told.new]).take(kept), "log_time": time, "change_source": "app",
    })  # fmt: skip


def kept(book: Book, name: str, where: Ints, columns: Mapping[str, pa.Array]) -> None:
    """Write the rows that are still there."""
    book.write(name, {column: values.filter(pa.array(where)) for column, values in columns.items()})


def custom(rows: Changes) -> dict[str, pa.Array]:
    """The company's own fields."""
    return {key: rows.state(f"custom.{key}") for key in rows.custom if key != "merged_into"}
