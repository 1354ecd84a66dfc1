"""The lead model beside its peers on simulated companies, on later leads.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_leads/worlds.py OUT.parquet FIRST_SEED COUNT
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pandas as pd

from salesml import world
from salesml.trial.case import opened
from salesml.workflows.train_leads import train_leads


def measured(seed: int) -> pd.DataFrame:
    """One row per model and metric of a company of demo size; `more`: of the best tenth against the points scheme's best tenth."""
    with opened(world.company(**world.preset("demo"), seed=seed)) as case:
        found = train_leads(case.workspace, case.end)
    more = found.more
    rows = [(found.chosen, "more", more.value, more.lo, more.hi), (found.chosen, "ece", found.calibration.ece.value, 0.0, found.calibration.bar),
            (found.chosen, "slope", found.calibration.slope.value, found.calibration.slope.lo, found.calibration.slope.hi),
            (found.chosen, "promoted", float(found.promoted), 0.0, 1.0)]  # fmt: skip
    extra = pd.DataFrame(rows, columns=found.figures.columns)
    return pd.concat([found.figures, extra]).assign(seed=seed, chosen=found.chosen, horizon=found.horizon_days)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    rows = []
    for seed in range(first, first + count):
        rows.append(measured(seed))
        table = pd.concat(rows)
        table.to_parquet(out)
        mine = table[table["model"].isin([rows[-1]["chosen"].iloc[0], "points"])].groupby(["model", "metric"])["value"]
        print(seed, mine.median().round(3).to_dict(), flush=True)
