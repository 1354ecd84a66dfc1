"""The leak prover: alter everything known at or after as_of; a feature that changes has seen the future."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.contracts import TABLES
from salesml.errors import LeakFound, NotEnoughData
from salesml.lake import Tables, View, visible

ALTERATIONS = ("delete", "scramble", "inject", "correct")
FLOAT_TOLERANCE = 1e-9


class Features(Protocol):
    """What is proved: `frame(view)` with `entity`, as_of and the columns in `names`."""

    entity: str

    @property
    def names(self) -> list[str]: ...

    def frame(self, view: View) -> pd.DataFrame: ...


def prove(features: Features, tables: Tables, instants: Iterable[dt.datetime], seed: int = 0) -> pd.DataFrame:
    """Alter the future of every instant in four ways; features must stay the same there.

    Exact types (integers, text, times) must be equal bit for bit, floats to 1e-9 relative. Computes the features for the
    single instant and for a spine that also holds later instants. Returns one row per instant and alteration: rows
    compared. Raises LeakFound naming each feature that changed, with an example.
    """
    stored = {name: tables.rows(name) for name in TABLES if name in tables.head.tables}
    rng, results = np.random.default_rng(seed), []
    instants = sorted(instants)
    for as_of in instants:
        honest = features.frame(visible(tables, as_of))
        if honest.empty:
            raise NotEnoughData(
                f"no {features.entity} is known as of {as_of:%Y-%m-%d}; choose a later instant to prove at"
            )
        spine = honest[[features.entity, "as_of"]]
        later = pd.concat([spine, spine.assign(as_of=pd.Timestamp(instants[-1]) + pd.Timedelta(days=30))])
        both = features.frame(visible(tables, later))
        _compare(features, honest, both[both["as_of"] == pd.Timestamp(as_of)], as_of, "spine")
        for alteration in ALTERATIONS:
            altered = {name: alter(name, rows, as_of, alteration, rng) for name, rows in stored.items()}
            world = Tables.of(tables.workspace, altered)
            again = features.frame(visible(world, later))
            _compare(features, honest, again[again["as_of"] == pd.Timestamp(as_of)], as_of, alteration)
            results.append({"as_of": as_of, "alteration": alteration, "rows": len(honest)})
    return pd.DataFrame(results)


def alter(name: str, rows: pa.Table, as_of: dt.datetime, how: str, rng: np.random.Generator) -> pa.Table:
    """Rows of a stored table with everything known at or after as_of deleted, scrambled, added to or corrected."""
    instant = pa.scalar(as_of, pa.timestamp("us", tz="UTC"))
    future = pc.greater_equal(rows["known_at"], instant)
    past, coming = rows.filter(pc.invert(future)), rows.filter(future)
    if how == "delete":
        return past
    if how == "scramble":
        return pa.concat_tables([past, _scrambled(name, coming, rng)])
    source = past if past.num_rows else coming
    count = min(source.num_rows, 2_000)
    picked = source.take(pa.array(rng.choice(source.num_rows, count, replace=False))) if count else source
    at = [as_of, *(as_of + dt.timedelta(days=float(d)) for d in rng.uniform(0, 60, max(count - 1, 0)))][:count]
    picked = _scrambled(name, _with(picked, "known_at", pa.array(at, pa.timestamp("us", tz="UTC"))), rng, backdate=True)
    if how == "inject":  # new facts about known entities, entered later but said to have happened earlier
        last = TABLES[name].key[-1]
        fresh = pa.array([f"injected-{number}" for number in range(count)], pa.string())
        picked = _with(picked, last, fresh)
        if TABLES[name].kind == "events":
            return pa.concat_tables([rows, picked])
    picked = _with(picked, "import_id", pa.array(["999999-later"] * count, pa.string()))
    if how == "correct" and count:
        picked = _with(picked, "retracted", pa.array(rng.random(count) < 0.3))
    return pa.concat_tables([rows, picked])


def _scrambled(name: str, rows: pa.Table, rng: np.random.Generator, *, backdate: bool = False) -> pa.Table:
    """Rows with every payload value replaced: numbers far off, text from other rows or never seen, dates moved."""
    for column in TABLES[name].payload:
        values = rows[column.name]
        if column.name == TABLES[name].entity:
            continue
        if column.dtype in ("string", "json"):
            pool = [*pc.unique(values).drop_null().to_pylist(), *column.allowed]
            pool = pool if column.allowed or column.references else [*pool, "never seen"]
            new: pa.Array = pa.array(
                rng.choice(pool, rows.num_rows).tolist() if pool else [None] * rows.num_rows, pa.string()
            )
        elif column.dtype == "date":
            moved = np.datetime64("2001-01-01") + rng.integers(0, 9_000, rows.num_rows)
            new = pa.array(moved)
        elif column.dtype == "bool":
            new = pa.array(rng.random(rows.num_rows) < 0.5)
        elif column.dtype == "timestamp":
            new = values
        else:
            new = pa.array(rng.integers(1, 10_000_000, rows.num_rows, dtype=np.int32)).cast(column.arrow)
        rows = _with(rows, column.name, new.cast(column.arrow))
    if backdate and rows.num_rows:
        days = pa.array(rng.integers(0, 400 * 86_400_000_000, rows.num_rows), pa.duration("us"))
        rows = _with(rows, "occurred_at", pc.subtract(rows["occurred_at"], days))
    return rows


def _with(rows: pa.Table, name: str, values: pa.Array | pa.ChunkedArray) -> pa.Table:
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), values)


def _compare(features: Features, honest: pd.DataFrame, again: pd.DataFrame, as_of: dt.datetime, how: str) -> None:
    key = features.entity
    left, right = honest.set_index(key).sort_index(), again.set_index(key).sort_index()
    if not left.index.equals(right.index):
        gone = left.index.symmetric_difference(right.index)
        raise LeakFound(
            f"the rows themselves depend on the future: {len(gone)} of {key} differ at {as_of} after '{how}' (first: {gone[0]})"
        )
    found = []
    for name in features.names:
        a, b = left[name], right[name]
        same = _same_floats(a, b) if pd.api.types.is_float_dtype(a) else (a == b) | (a.isna() & b.isna())
        if not same.all():
            row = same.index[~same.to_numpy()][0]
            found.append(f"{name} ({int((~same).sum())} rows; {key} {row}: {a[row]!r} became {b[row]!r})")
    if found:
        raise LeakFound(f"as of {as_of} after '{how}' of what was known later, changed: " + "; ".join(found))


def _same_floats(a: pd.Series, b: pd.Series) -> pd.Series:
    close = np.isclose(a.to_numpy(float), b.to_numpy(float), rtol=FLOAT_TOLERANCE, atol=0, equal_nan=True)
    return pd.Series(close, index=a.index)
