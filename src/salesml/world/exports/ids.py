"""Numbers for our ids, from which each CRM's ids are made."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.shared import Ints

PLAIN_ID = r"^(?P<prefix>[A-Za-z]{1,8}-?)(?P<number>\d{1,11})$"


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
