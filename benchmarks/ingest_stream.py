"""Streamed first load: a large made-up company, yielded batch by batch, into an empty lake as one commit."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import write_deltalake

from salesml.contracts import table
from salesml.lake import Lake
from salesml.workspace import Workspace

FULL = {"activity": 10_500_000, "lead_event": 5_500_000, "opportunity": 3_000_000, "lead": 3_000_000}
"""Rows by table of the largest simulated company."""
BATCH = 100_000
START = 1_577_836_800_000_000  # 2020-01-01 in microseconds
YEARS_US = 6 * 365 * 86_400_000_000
UTC = pa.timestamp("us", tz="UTC")
WORDS = [
    "call", "about", "the", "next", "step", "with", "buyer", "on", "price", "scope", "rollout", "budget", "legal", "review",
    "pilot", "demo", "team",
]  # fmt: skip
BAR_SECONDS, BAR_GIB = 100.0, 4.0


def run(activities: int = 1_000_000) -> dict[str, Any]:
    """Rows per second and peak memory of `Lake.ingest` beside pandas frames given to write_deltalake, same rows and run.

    Both times include making the rows. The plain way checks no keys. The other tables keep their share of `activities`.
    """
    sizes = {name: rows * activities // FULL["activity"] for name, rows in FULL.items()}
    rows = sum(sizes.values())
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Workspace.create(Path(folder) / "workspace"))
        streams = {name: stream(name, size) for name, size in sizes.items()}
        seconds, cpu, peak = _measured(lambda: lake.ingest(streams, origin="benchmark"))
        plain_seconds, plain_cpu, plain_peak = _measured(lambda: _plain(Path(folder), sizes))
        stored = {name: pin.rows for name, pin in lake.head().tables.items()}
    if stored != sizes:
        raise AssertionError(f"{stored} stored for {sizes} given")
    return {
        "rows": rows,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "rows_per_second": rows / seconds,
        "peak_gib": peak,
        "plain_seconds": plain_seconds,
        "plain_cpu_seconds": plain_cpu,
        "plain_peak_gib": plain_peak,
        "ratio": plain_seconds / seconds,
        "bar": f"{sum(FULL.values()):,} rows at this pace in {BAR_SECONDS:g} s, at most {BAR_GIB:g} GiB",
        "met": bool(seconds * sum(FULL.values()) / rows <= BAR_SECONDS and peak <= BAR_GIB),
    }


def _measured(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Seconds, CPU seconds, and the peak memory of this process up to the end of the work."""
    started, busy = time.perf_counter(), time.process_time()
    work()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return time.perf_counter() - started, time.process_time() - busy, peak


def _plain(folder: Path, sizes: dict[str, int]) -> None:
    for name, size in sizes.items():
        frame = stream(name, size).read_all().to_pandas()
        schema = pa.schema([table(name).schema.field(column) for column in frame.columns])
        write_deltalake(str(folder / name), pa.Table.from_pandas(frame, schema, preserve_index=False))


class Maker:
    """Columns of one batch: rows `first` to `first + n`, in the order in which a simulation by entity would yield them."""

    def __init__(self, name: str, first: int, n: int) -> None:
        self.name, self.first, self.n = name, first, n
        self.chance = np.random.default_rng([len(name), first])

    def number(self, per_row: float = 1.0) -> pa.Array:
        """Consecutive numbers, one for every `1 / per_row` rows."""
        return pa.array(((self.first + np.arange(self.n)) * per_row).astype("int64"))

    def ids(self, letter: str, per_row: float = 1.0) -> Any:
        """Ids as text, consecutive."""
        text = pc.utf8_lpad(self.number(per_row).cast(pa.string()), 8, "0")
        return pc.binary_join_element_wise(letter, text, "")

    def some(self, values: pa.Array, missing: float = 0.0) -> pa.Array:
        """A random value in each row as a dictionary column, `missing` of them null."""
        codes = self.chance.integers(0, len(values), self.n).astype("int32")
        mask = self.chance.random(self.n) < missing if missing else None
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=mask), values)

    def numbers(self, low: float, high: float, kind: pa.DataType, missing: float = 0.0) -> Any:
        """Random whole numbers of an Arrow type."""
        mask = self.chance.random(self.n) < missing if missing else None
        return pa.array(self.chance.integers(int(low), int(high), self.n), mask=mask).cast(kind)

    def times(self, entities: float) -> tuple[pa.Array, pa.Array]:
        """occurred_at, which grows within an entity and from entity to entity, and known_at, up to two days later."""
        entity = ((self.first + np.arange(self.n)) * entities).astype("int64")
        begun = START + entity * 7_919_000_003 % YEARS_US
        at = begun + (self.first + np.arange(self.n)) % 97 * 86_400_000_000
        late = np.where(self.chance.random(self.n) < 0.08, self.chance.integers(0, 172_800_000_000, self.n), 0)
        return pa.array(at).cast(UTC), pa.array(at + late).cast(UTC)


def texts(count: int, length: int, seed: int) -> pa.Array:
    """At most so many texts of about so many characters, each once."""
    chance = np.random.default_rng(seed)
    words = chance.choice(WORDS, (count, length // 5))
    return pa.array(list(dict.fromkeys(" ".join(row) for row in words)))


SUBJECTS, BODIES, USERS = texts(5_000, 30, 1), texts(20_000, 50, 2), pa.array([f"U{i:05d}" for i in range(2_000)])
FEW = {length: pa.array([f"value {i}" for i in range(length)]) for length in (6, 20, 300)}


def _activity(make: Maker) -> dict[str, Any]:
    body = pc.binary_join_element_wise(make.some(BODIES).dictionary_decode(), make.ids("no. "), " ")
    occurred, known = make.times(1 / 10)
    return {
        "activity_id": make.ids("A"), "opportunity_id": make.ids("O", 1 / 10), "account_id": make.ids("C", 1 / 30),
        "contact_id": make.ids("P", 1 / 12), "lead_id": make.some(FEW[300], 0.9), "owner_id": make.some(USERS),
        "type": make.some(FEW[6]), "direction": make.some(FEW[6], 0.1), "subject": make.some(SUBJECTS), "body": body,
        "outcome": make.some(FEW[20], 0.3), "duration_minutes": make.numbers(1, 90, pa.float64(), 0.4),
        "attendees": make.numbers(1, 9, pa.int64(), 0.6), "occurred_at": occurred, "known_at": known,
    }  # fmt: skip


def _lead_event(make: Maker) -> dict[str, Any]:
    occurred, known = make.times(1 / 8)
    return {
        "lead_event_id": make.ids("E"), "lead_id": make.ids("L", 1 / 8), "type": make.some(FEW[6]),
        "campaign_id": make.some(FEW[300], 0.5), "channel": make.some(FEW[6]), "content": make.some(FEW[300]),
        "value": make.numbers(0, 600, pa.float64(), 0.3), "occurred_at": occurred, "known_at": known,
    }  # fmt: skip


def _changes(make: Maker) -> dict[str, Any]:
    spec = table(make.name)
    occurred, known = make.times(1 / 6)
    kind = pa.array((make.first + np.arange(make.n)) % 6)
    names = pa.DictionaryArray.from_arrays(kind.cast(pa.int32()), pa.array([f"change:{i}" for i in range(6)]))
    made = {spec.entity: make.ids(spec.entity[0].upper(), 1 / 6), "change_id": names}
    for column in spec.payload:
        if column.name == "custom":
            continue
        if pa.types.is_string(column.arrow):
            made[column.name] = make.some(USERS if column.name.endswith("_id") else FEW[20], 0.85)
        elif pa.types.is_boolean(column.arrow):
            made[column.name] = pa.nulls(make.n, pa.bool_())
        else:
            through = pa.int32() if pa.types.is_date(column.arrow) else pa.float64()
            made[column.name] = make.numbers(1, 20_000, through, 0.85).cast(column.arrow)
    return {**made, "occurred_at": occurred, "known_at": known}


MAKERS: dict[str, Callable[[Maker], dict[str, Any]]] = {
    "activity": _activity, "lead_event": _lead_event, "opportunity": _changes, "lead": _changes,
}  # fmt: skip


def stream(name: str, rows: int) -> pa.RecordBatchReader:
    """The table as a reader that makes each batch when asked for it."""

    def batch(first: int, n: int) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict(MAKERS[name](Maker(name, first, n)))

    def batches() -> Iterator[pa.RecordBatch]:
        for first in range(0, rows, BATCH):
            yield batch(first, min(BATCH, rows - first))

    return pa.RecordBatchReader.from_batches(batch(0, 1).schema, batches())
