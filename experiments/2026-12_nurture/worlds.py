"""The nurture effect and the value of policies on simulated companies, by how many leads they have.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_nurture/worlds.py OUT.parquet FIRST_SEED COUNT [LEADS]
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from salesml import world
from salesml.trial.nurture import judge_nurture, opened_leads
from salesml.world.knobs import LEADS_PER_DEAL


def measured(seed: int, leads: int | None) -> pd.DataFrame:
    """One row per part, method and metric of a company of demo size, or of one with so many leads."""
    size = {} if leads is None else {"leads": leads, "deals": round(leads / LEADS_PER_DEAL)}
    made = world.company(**world.preset("demo"), **size, seed=seed)
    with opened_leads(made) as case:
        found = pd.DataFrame([asdict(one) for one in judge_nurture(case)])
    return found.assign(seed=seed, size=made.knobs.lead_count)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    leads = int(sys.argv[4]) if len(sys.argv) > 4 else None
    rows = []
    for seed in range(first, first + count):
        rows.append(measured(seed, leads))
        pd.concat(rows).to_parquet(out)
        robust = rows[-1][rows[-1]["metric"].eq("relative_error") & rows[-1]["method"].str.endswith("robust")]
        print(seed, robust.set_index("method")["value"].round(4).to_dict(), flush=True)
