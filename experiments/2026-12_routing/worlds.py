"""Routing policies by their true value on simulated companies.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_routing/worlds.py OUT.parquet FIRST_SEED COUNT
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from salesml import world
from salesml.trial.case import opened
from salesml.trial.routing import judge_routing


def judged(seed: int) -> pd.DataFrame:
    """One row per part, policy and metric of a company of demo size."""
    with opened(world.company(**world.preset("demo"), seed=seed)) as case:
        return pd.DataFrame([asdict(figure) for figure in judge_routing(case)]).assign(seed=seed)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rows: list[pd.DataFrame] = []
    for seed in range(first, first + count):
        rows.append(judged(seed))
        pd.concat(rows).to_parquet(out)
        best = rows[-1][rows[-1]["method"].isin(["optimal"])].pivot(index="part", columns="metric", values="value")
        print(seed, best.round(3).to_dict("index"), flush=True)
