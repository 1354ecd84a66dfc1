"""The columns Dataverse tables start with, and its audit rows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import guid, number_guid, numbered
from salesml.world.exports.shared import SECONDS, Changes, either, join, moment

SYSTEM = "SYSTEM"
"""Our name for the user who did what nobody is known to have done."""


def base(kind: str, rows: Changes, owner: str | None = None) -> dict[str, pa.Array]:
    """Id, who made and last changed it and when, and our own id."""
    who = pc.fill_null(rows.running(owner) if owner else pa.nulls(rows.n, pa.string()), SYSTEM)
    known, begin = rows.column("known_at"), pa.array(rows.starts)
    return {
        f"{kind}id": guid(kind, rows.final(rows.entity)), "createdon": moment(known.take(begin), SECONDS),
        "createdby": guid("systemuser", who.take(begin)), "modifiedon": moment(rows.final(known), SECONDS),
        "modifiedby": guid("systemuser", rows.final(who)), "new_externalid": rows.final(rows.entity),
    }  # fmt: skip


def audit(kind: str, rows: Changes, fields: Mapping[str, pa.Array], action: pa.Array) -> dict[str, pa.Array]:
    """One audit row a change of a record, with old and new values as JSON; `action`: its code at each row."""
    told = rows.history(fields)
    one = join('{"logicalName":"', told.field, '","oldValue":', _json(told.old), ',"newValue":', _json(told.new), "}")
    row, begin = np.unique(told.row, return_index=True)
    listed = pa.ListArray.from_arrays(pa.array(np.r_[begin, len(one)].astype(np.int32)), one)
    data = join('{"changedAttributes":[', pc.binary_join(listed, ","), "]}")
    plain = np.setdiff1d(np.r_[rows.starts, np.flatnonzero(np.asarray(pc.equal(action, "3")))], row)
    row = np.r_[row, plain]
    order = np.argsort(row, kind="stable")
    data = pa.concat_arrays([data, pa.repeat('{"changedAttributes":[]}', len(plain))]).take(pa.array(order))
    at = pa.array(row[order])
    entity, code = rows.entity.take(at), action.take(at)
    operation = either(pc.is_in(code, pa.array(["1", "3"])), code, "2")
    who = pc.fill_null(rows.running("owner_id").take(at), SYSTEM)
    return {
        "auditid": number_guid(f"audit {kind}", numbered(entity)), "objectid": guid(kind, entity),
        "objecttypecode": pa.repeat(kind, len(at)), "operation": operation, "action": code,
        "createdon": moment(rows.column("known_at").take(at), SECONDS), "userid": guid("systemuser", who), "changedata": data,
    }  # fmt: skip


def _json(values: pa.Array) -> pa.Array:
    """Text as JSON strings, null as null."""
    escaped = pc.replace_substring(pc.replace_substring(values, "\\", "\\\\"), '"', '\\"')
    escaped = pc.replace_substring(pc.replace_substring(escaped, "\n", "\\n"), "\r", "\\r")
    return pc.fill_null(join('"', escaped, '"'), "null")
