"""One benchmark in this process: `python -m benchmarks._child NAME FILE` writes figures, or the failure, as JSON."""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any


def measure(name: str) -> dict[str, Any]:
    """Figures of a benchmark, its duration, the load before it, peak memory of this process and its largest child."""
    result: dict[str, Any] = {"load_before": round(os.getloadavg()[0], 2)}
    started = time.perf_counter()
    try:
        result["figures"] = importlib.import_module(f"benchmarks.{name}").run()
    except Exception:
        result["failure"] = traceback.format_exc()
    result["seconds"] = round(time.perf_counter() - started, 2)
    for whose, who in (("peak_gib", resource.RUSAGE_SELF), ("peak_gib_largest_child", resource.RUSAGE_CHILDREN)):
        result[whose] = round(resource.getrusage(who).ru_maxrss / 2**20, 2)
    return result


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(measure(sys.argv[1]), default=float), encoding="utf-8")
