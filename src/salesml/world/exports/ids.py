"""Numbers for our ids, from which each CRM's ids are made."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.shared import Ints, by_value

PLAIN_ID = r"^(?P<prefix>[A-Za-z]{1,8}-?)(?P<number>\d{1,11})$"
DASHES = (8, 13, 18, 23)


def serial(ids: pa.Array) -> Ints:
    """A number for each of our ids, the same whatever else there is: D000042 by its digits and prefix, others by a hash."""
    parts = pc.extract_regex(ids, PLAIN_ID)
    digits = pc.fill_null(pc.struct_field(parts, "number"), "0").cast(pa.int64()).to_numpy()
    prefix = pc.fill_null(pc.struct_field(parts, "prefix"), "").dictionary_encode()
    codes = np.array([zlib.crc32(p.encode()) % 1000 for p in prefix.dictionary.to_pylist()], np.int64)
    hashed = pd.util.hash_array(pc.fill_null(ids, "").to_numpy(zero_copy_only=False).astype(object))
    other = 10**14 + (hashed % np.uint64(10**14)).astype(np.int64)
    plain = np.asarray(pc.is_valid(parts)) if len(ids) else np.zeros(0, bool)
    return np.where(plain, digits * 1000 + codes[np.asarray(prefix.indices)], other) if len(ids) else digits


def numbered(entity: pa.Array) -> Ints:
    """A number for each row of a history: of the entity and the row's place among its rows, which must stand together."""
    codes = np.asarray(entity.dictionary_encode().indices)
    new = np.r_[True, codes[1:] != codes[:-1]] if len(codes) else np.zeros(0, bool)
    place = np.arange(len(codes)) - np.maximum.accumulate(np.where(new, np.arange(len(codes)), 0))
    return serial(entity) * 1000 + place


def fixed_width(characters: Ints) -> pa.Array:
    """An array of texts from a matrix of bytes, one row a text."""
    n, width = characters.shape
    offsets = np.arange(0, width * (n + 1), width, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(characters)))


def guid(kind: str, ids: pa.Array) -> pa.Array:
    """The GUIDs of our ids; null stays null."""
    return by_value(ids, lambda found: number_guid(kind, serial(found)))


def number_guid(kind: str, number: Ints) -> pa.Array:
    """GUIDs of numbers: two rounds of a mixing function (splitmix64), marked as version 4."""
    seed = number.astype(np.uint64) ^ np.uint64(zlib.crc32(kind.encode()) << 32)
    high, low = _mixed(seed), _mixed(_mixed(seed) + np.uint64(1))
    high = (high & np.uint64(0xFFFF_FFFF_FFFF_0FFF)) | np.uint64(0x4000)
    low = (low & np.uint64(0x3FFF_FFFF_FFFF_FFFF)) | np.uint64(0x8000_0000_0000_0000)
    digits = np.frombuffer(np.stack([high, low], axis=1).astype(">u8").tobytes().hex().encode(), np.uint8).reshape(
        -1, 32
    )
    made = np.full((len(number), 36), ord("-"), np.uint8)
    made[:, [i for i in range(36) if i not in DASHES]] = digits
    return fixed_width(made)


def _mixed(x: Ints) -> Ints:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
