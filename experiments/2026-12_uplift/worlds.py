"""Predicted against true uplift of leads, on simulated companies of demo size.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_uplift/worlds.py OUT.csv FAMILY FIRST_SEED COUNT [LEADS]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from salesml import world
from salesml.evaluation.uplift import rank_within, top_share
from salesml.trial.case import opened
from salesml.workflows.uplift import uplift_of_leads
from salesml.world.knobs import FAMILIES


def measured(family: str, seed: int, leads: int | None) -> dict[str, float]:
    """Figures of one company: what was found, and how it stands to the truth of the same leads."""
    knobs = {**world.preset("demo"), **FAMILIES[family], **({"leads": leads} if leads else {})}
    with opened(world.company(**knobs, seed=seed)) as case:
        arm = uplift_of_leads(case.workspace, case.end).arms[0]
        truth = case.truth("lead").set_index("lead_id").loc[arm.rows["key"]]
    true, told = (truth["p_with"] - truth["p_without"]).to_numpy(), arm.rows["predicted"].to_numpy()
    folds, order = arm.rows["fold"].to_numpy(), arm.rows["signal"].to_numpy()
    half, best = top_share(order, 0.5, folds), top_share(true, 0.5, folds)
    varied = told.std() > 1e-9
    return {
        "seed": seed, "leads": len(told), "true_average": true.mean(), "average": arm.average.value,
        "covered": arm.average.lo <= true.mean() <= arm.average.hi,
        "differ_p": arm.differ.p_value, "alike": arm.alike, "model_alike": arm.model.alike,
        "rank": pd.Series(rank_within(order, folds)).corr(pd.Series(true), method="spearman"),
        "true_slope": np.polyfit(told, true, 1)[0] if varied and true.std() > 1e-9 else np.nan,
        "slope": arm.slope.value, "slope_lo": arm.slope.lo, "slope_hi": arm.slope.hi,
        "more": arm.more.value, "more_lo": arm.more.lo, "more_hi": arm.more.hi,
        "true_more": ((half - 0.5) * true).mean(), "most": ((best - 0.5) * true).mean(),
    }  # fmt: skip


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, family, first, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    leads = int(sys.argv[5]) if len(sys.argv) > 5 else None
    rows = []
    for seed in range(first, first + count):
        rows.append(measured(family, seed, leads))
        pd.DataFrame(rows).to_csv(out, index=False)
        print({name: round(float(value), 4) for name, value in rows[-1].items()}, flush=True)
