"""Weekly snapshots with all deal features: 100,000 deals × 52 weeks, from the lake to a Parquet file."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import _snapshots_pandas as plain
from salesml import world
from salesml.features.deals import DEALS
from salesml.lake import Lake, View, visible
from salesml.workspace import Workspace

DEALS_LARGE, DEALS_SMALL, WEEKS = 100_000, 5_000, 52
BAR_SECONDS, BAR_GIB = 15.0, 4.0


def run() -> dict[str, Any]:
    """Seconds and memory at full size; the same features by pandas merge_asof on a company a twentieth the size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for deals in (DEALS_LARGE, DEALS_SMALL):
            _apart(_make, folder, deals)
        busy = time.process_time()
        seconds, rows = _snapshots(folder, DEALS_LARGE)
        busy = time.process_time() - busy
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        small_seconds, small_rows = _snapshots(folder, DEALS_SMALL)
        plain_seconds = plain.snapshots(folder, DEALS_SMALL)
        found = plain.differences(folder, DEALS_SMALL, DEALS.names)
    differing = {name: count for name, count in found.items() if count > 0}
    absent = [name for name, count in found.items() if count < 0]
    plain_scaled = plain_seconds * rows / small_rows
    return {
        "rows": rows,
        "features": len(DEALS.features),
        "seconds": seconds,
        "cpu_seconds": busy,
        "rows_per_second": rows / seconds,
        "peak_gib": peak,
        "bar": f"at most {BAR_SECONDS:g} s and {BAR_GIB:g} GiB on 2 cores",
        "met": bool(seconds <= BAR_SECONDS and peak <= BAR_GIB),
        "small_rows": small_rows,
        "small_seconds": small_seconds,
        "plain_small_seconds": plain_seconds,
        "plain_seconds_scaled": plain_scaled,
        "ratio": plain_scaled / seconds,
        "values_that_differ_from_plain": sum(differing.values()),
        "differing": differing,
        "features_plain_pandas_does_not_make": len(absent),
    }


def _apart(work: Any, *arguments: Any) -> None:
    """Do work in a process of its own, so that its memory is not counted here."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{work.__name__} ended with code {process.exitcode}")


def _make(folder: Path, deals: int) -> None:
    """A company in a lake of its own, its records as Parquet files for the plain way, and the spine."""
    company = world.company(deals=deals, leads=0, reps=deals // 200, years=4, faults=0)  # tidy records: none deleted
    company.write(Workspace.create(folder / f"workspace-{deals}"))
    for table in plain.TABLES:
        pq.write_table(company.tables[table], folder / f"{table}-{deals}.parquet")
    pq.write_table(spine(company.tables["opportunity"], deals), folder / f"spine-{deals}.parquet")


def spine(changes: pa.Table, deals: int) -> pa.Table:
    """(opportunity_id, as_of): WEEKS Mondays 00:00 UTC after each of the first deals became known, open or not by then."""
    known = changes.to_pandas().groupby("opportunity_id", sort=True)["known_at"].min().head(deals)
    day = known.dt.tz_convert(None).dt.normalize()
    monday = (day + pd.to_timedelta(7 - day.dt.weekday, unit="D")).to_numpy().astype("datetime64[us]")
    as_of = (monday[:, None] + np.arange(WEEKS) * np.timedelta64(7, "D")).ravel()
    return pa.table(
        {
            "opportunity_id": pa.array(np.repeat(known.index.to_numpy(), WEEKS), pa.string()),
            "as_of": pa.array(as_of).cast(pa.timestamp("us", tz="UTC")),
        }
    )


def _snapshots(folder: Path, deals: int) -> tuple[float, int]:
    """Seconds from opening the lake to the features on disk, and their rows."""
    wanted = pq.read_table(folder / f"spine-{deals}.parquet")
    target = folder / f"features-{deals}.parquet"
    started = time.perf_counter()
    view: View = visible(Lake(Workspace.open(folder / f"workspace-{deals}")).open(), wanted)
    DEALS.build(view).to_parquet(target)
    seconds = time.perf_counter() - started
    rows = pq.read_metadata(target).num_rows
    if rows != wanted.num_rows:
        raise AssertionError(f"{rows} snapshots for {wanted.num_rows} asked")
    return seconds, rows
