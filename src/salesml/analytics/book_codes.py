"""Codes of the names of dimensions: small whole numbers in place of words, in the order of the names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

NONE = "(none)"


class Codes:
    """Codes of the names of each dimension, in the order they come; `settled` gives them in the order of the names."""

    def __init__(self) -> None:
        self.places: dict[str, dict[str, int]] = {}

    def of(self, dimension: str, values: pd.Series) -> np.ndarray:
        """Codes of values; a missing one is NONE."""
        known = self.places.setdefault(dimension, {})
        found, names = pd.factorize(values.astype("object"), use_na_sentinel=True)
        mine = np.array([known.setdefault(str(name), len(known)) for name in names] or [0], dtype="int32")
        if (found < 0).any():
            mine = np.append(mine[: len(names)], known.setdefault(NONE, len(known))).astype("int32")
        return mine[found]

    def of_column(self, dimension: str, column: pa.ChunkedArray, to: pd.Series | None = None, none: str = NONE) -> np.ndarray:
        """Codes of a long column of few names, each name put in place of another by `to` where given."""
        short = column.dictionary_encode().combine_chunks()
        short = short.chunk(0) if isinstance(short, pa.ChunkedArray) else short
        names = pd.Series(short.dictionary.to_pylist(), dtype="object")
        told = (names if to is None else names.map(to)).fillna(none)
        mine = self.of(dimension, pd.Series([*told, none], dtype="object"))
        return mine[pc.fill_null(short.indices, len(names)).to_numpy(zero_copy_only=False)].astype("int32")

    def none(self, dimension: str) -> int:
        """The code of NONE."""
        known = self.places.setdefault(dimension, {})
        return known.setdefault(NONE, len(known))

    def settled(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        """The names of each dimension in order, and which of those places each code given so far becomes."""
        names = {dimension: sorted(known) for dimension, known in self.places.items()}
        place = {}
        for dimension, known in self.places.items():
            to = {name: code for code, name in enumerate(names[dimension])}
            place[dimension] = np.array([to[name] for name in known], dtype="int32")
        return names, place


def of_deals(deal: dict[str, np.ndarray], at: np.ndarray, leave: str = "", fill: Codes | None = None) -> dict[str, np.ndarray]:
    """Codes of the deals that `at` (rows of `deal`, -1 without) point to."""
    found = {}
    for name, codes in deal.items():
        if name == leave:
            continue
        taken = codes[np.maximum(at, 0)] if len(codes) else np.zeros(len(at), dtype="int32")
        found[name] = np.where(at >= 0, taken, fill.none(name)).astype("int32") if fill else taken
    return found


def coded_table(rows: pd.DataFrame, codes: dict[str, np.ndarray], columns: tuple[str, ...]) -> pa.Table:
    """Rows with codes of their dimensions, days as dates."""
    own = pa.Table.from_pandas(rows[list(columns)], preserve_index=False)
    days = pa.schema([field.with_type(pa.date32()) if field.name == "on" or field.name.endswith("_on") else field for field in own.schema])
    return with_codes(own.cast(days), codes)


def with_codes(own: pa.Table, codes: dict[str, np.ndarray]) -> pa.Table:
    """A table with columns of codes."""
    for name, values in codes.items():
        own = own.append_column(name, pa.array(values, pa.int32()))
    return own.replace_schema_metadata(None)


def settled_in(table: pa.Table, place: dict[str, np.ndarray]) -> pa.Table:
    """A table with the codes that `Codes.settled` puts in place of those given first."""
    for name, to in place.items():
        if name in table.column_names:
            codes = table[name].to_numpy()
            table = table.set_column(table.column_names.index(name), name, pa.array(to[codes] if len(to) else codes, pa.int32()))
    return table
