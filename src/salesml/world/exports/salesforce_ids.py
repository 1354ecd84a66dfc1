"""Salesforce record ids, made from ours, and the columns every object starts with."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import fixed_width, serial
from salesml.world.exports.shared import MILLISECONDS, Changes, Ints, by_value, moment

PREFIX = {
    "account": "001", "contact": "003", "user": "005", "opportunity": "006", "lead": "00Q", "task": "00T", "event": "00U",
    "email": "02s", "campaign": "701", "member": "00v", "product": "01t", "price": "01u", "pricebook": "01s", "line": "00k",
    "territory": "0MI", "placement": "0TA", "team": "00E", "competitor": "a01", "stage": "01J", "stage history": "008",
    "field history": "017", "fx_rate": "04w",
}  # fmt: skip
ALPHABET = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", np.uint8)
CHECK = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345", np.uint8)
SYSTEM = "SYSTEM"
"""Our name for the user who did what nobody is known to have done."""


def number_id(kind: str, number: Ints) -> pa.Array:
    """18-character ids of a kind of record: prefix, instance, nine digits to base 62, three check characters.

    Each check character tells which of five characters are capitals, so that ids differ whatever the case.
    """
    digits = (number[:, None] // 62 ** np.arange(8, -1, -1)) % 62
    head = np.frombuffer(f"{PREFIX[kind]}Hs0".encode(), np.uint8)
    plain = np.hstack([np.broadcast_to(head, (len(number), 6)), ALPHABET[digits]])
    capital = ((plain >= ord("A")) & (plain <= ord("Z"))).reshape(len(number), 3, 5)
    return fixed_width(np.hstack([plain, CHECK[(capital * 2 ** np.arange(5)).sum(axis=2)]]))


def record_id(kind: str, ids: pa.Array) -> pa.Array:
    """The 18-character ids of our ids; null stays null."""
    return by_value(ids, lambda found: number_id(kind, serial(found)))


def record(kind: str, rows: Changes, owner: str | None = None) -> dict[str, pa.Array]:
    """Id, who made and last changed it and when, whether it is deleted, and our own id; `owner`: the column of who did it."""
    who = rows.running(owner) if owner else pa.nulls(rows.n, pa.string())
    who, known, begin = pc.fill_null(who, SYSTEM), rows.column("known_at"), pa.array(rows.starts)
    deleted = any(column.name == "deleted" for column in rows.spec.own)
    return {
        "Id": record_id(kind, rows.final(rows.entity)),
        "IsDeleted": pc.fill_null(rows.state("deleted"), False) if deleted else pa.repeat(False, len(rows.last)),
        "CreatedDate": moment(known.take(begin), MILLISECONDS),
        "CreatedById": record_id("user", who.take(begin)),
        "LastModifiedDate": moment(rows.final(known), MILLISECONDS),
        "LastModifiedById": record_id("user", rows.final(who)),
        "SystemModstamp": moment(rows.final(known), MILLISECONDS),
        "External_Id__c": rows.final(rows.entity),
    }
