"""Making a company of enterprise size and streaming it into a lake, beside the same activities written with pandas."""

from __future__ import annotations

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from salesml import world
from salesml.workspace import Workspace
from salesml.world.exports import export

BAR_SECONDS, BAR_GIB = 360, 8.0
LEAST = {"leads": 1_000_000, "deals": 300_000, "activities": 10_000_000}


def run(preset: str = "enterprise") -> dict[str, Any]:
    """Seconds, peak memory and rows of one company; ratio: pandas frames to Parquet of the first activities, per row."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "company")
        started = time.perf_counter()
        made = world.company(**world.preset(preset))
        lived = time.perf_counter() - started
        done = made.write(workspace)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows = sum(count.added for count in done.counts.values())
        batch = made.reader("activity").read_next_batch()
        started = time.perf_counter()
        pd.DataFrame(batch.to_pandas()).to_parquet(Path(folder) / "plain.parquet")
        plain = (time.perf_counter() - started) / batch.num_rows
        ten_thousand = world.company(reps=60, years=4.0, deals=10_000).tables
        started = time.perf_counter()
        export(ten_thousand, "salesforce", Path(folder) / "export")
        exported = time.perf_counter() - started
    counts = {
        "leads": len(made.come.week), "deals": len(made.deals.week), "activities": done.counts["activity"].added,
    }  # fmt: skip
    started = time.process_time()
    tiny = world.company(**world.preset("tiny"))
    assert tiny.tables and tiny.truth
    return {
        "tiny_cpu_seconds": time.process_time() - started,
        "seconds": seconds,
        "of which living": lived,
        "peak_gib": peak,
        "rows": rows,
        "seconds of a Salesforce export of 10,000 deals": exported,
        **counts,
        "plain writing over whole making, per row": plain / (seconds / rows),
        "met": seconds <= BAR_SECONDS and peak <= BAR_GIB and all(counts[n] >= k for n, k in LEAST.items()),
    }
