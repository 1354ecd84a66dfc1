"""HubSpot's numbers, stages and property history."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import serial
from salesml.world.exports.shared import MILLISECONDS, Book, Changes, by_value, join, moment, text, valid

FIRST = {"owner": 10**8, "team": 10**7, "stage": 10**9}
"""Where the numbers of a kind begin; those of records begin at ten thousand millions."""


def number(kind: str, ids: pa.Array) -> pa.Array:
    """The record, owner, team or stage number of our ids, as text; null stays null."""
    first = FIRST.get(kind, 10**10)
    return by_value(ids, lambda found: text(pa.array(first + serial(found) % 10**12)))


def file_name(book: Book, objects: str) -> str:
    """What HubSpot calls the export of all records of a kind."""
    return f"hubspot-crm-exports-all-{objects}-{book.end.date()}"


def base(kind: str, rows: Changes) -> dict[str, pa.Array]:
    """Number, and when it was created and last changed, of every entity."""
    known, modified = rows.column("known_at"), "lastmodifieddate" if kind == "contact" else "hs_lastmodifieddate"
    return {
        "hs_object_id": number(kind, rows.final(rows.entity)),
        "createdate": moment(known.take(pa.array(rows.starts)), MILLISECONDS), modified: moment(rows.final(known), MILLISECONDS),
    }  # fmt: skip


def merged(kind: str, rows: Changes) -> pa.Array:
    """The numbers of the records that were merged into each entity, put together with semicolons."""
    own, into = rows.final(rows.entity), rows.state("custom.merged_into")
    gone = pa.table({"into": into, "id": number(kind, own)}).filter(pc.is_valid(pc.field("into")))
    grouped = gone.group_by("into", use_threads=False).aggregate([("id", "list")])
    joined = pc.binary_join(grouped["id_list"].combine_chunks(), ";") if gone.num_rows else pa.array([], pa.string())
    return joined.take(pc.index_in(own, grouped["into"].combine_chunks()))


def property_history(book: Book, name: str, kind: str, rows: Changes, fields: Mapping[str, pa.Array]) -> None:
    """Every value a property ever had, the first one included, of records that are still there."""
    told = rows.history(fields)
    begun = [(name, values.take(pa.array(rows.starts))) for name, values in fields.items()]
    has = [valid(values) for _, values in begun]
    row = np.concatenate([*(rows.starts[here] for here in has), told.row])
    first = pa.array(np.repeat(np.arange(len(fields)), [here.sum() for here in has]))
    label = pa.concat_arrays([pa.array(list(fields)).take(first), told.field])
    value = pa.concat_arrays(
        [*(text(v).filter(pa.array(here)) for (_, v), here in zip(begun, has, strict=True)), told.new]
    )
    order = np.argsort(row, kind="stable")
    order = order[rows.alive[np.cumsum(rows.first)[row[order]] - 1]] if rows.n else order
    at = pa.array(row[order])
    who = number("owner", rows.running("owner_id").take(at))
    book.write(name, {
        "objectId": number(kind, rows.entity.take(at)), "property": label.take(pa.array(order)),
        "value": value.take(pa.array(order)), "timestamp": moment(rows.column("known_at").take(at), MILLISECONDS),
        "sourceType": "CRM_UI", "sourceId": join("userId:", who), "updatedByUserId": who,
    })  # fmt: skip
