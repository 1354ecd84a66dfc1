"""Conversion rates of campaigns on simulated companies beside the true ones, and revenue expected of what is open beside what came.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_sources/worlds.py OUT FIRST_SEED COUNT
"""

from __future__ import annotations

import datetime as dt
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from salesml import world
from salesml.analytics.lead_sources import sources
from salesml.analytics.lead_sources_facts import facts
from salesml.lake import visible
from salesml.trial.case import Case, opened
from salesml.trial.sources import judge_sources

YEAR = dt.timedelta(days=365)
LATER = (0, 28, 56)  # days after the cutoff: a week or two, six and ten weeks into the newest campaigns


def rates(case: Case) -> pd.DataFrame:
    """One row per day asked, method and metric."""
    parts = [(days, judge_sources(case, case.cutoff + dt.timedelta(days=days))) for days in LATER]
    return pd.concat([pd.DataFrame([asdict(figure) for figure in found]).assign(days=days) for days, found in parts])


def coming(case: Case) -> pd.DataFrame:
    """A year before the end: revenue expected of what is open, by source, and what came of it until the end."""
    known, later = facts(visible(case.tables, case.end - YEAR)), facts(visible(case.tables, case.end))
    rows = sources(known, "source", 182).rows.set_index("group")
    before = known.deals[known.deals["ended"].notna()]["opportunity_id"]
    new = later.deals[later.deals["ended"].eq("won") & later.deals["lead_id"].isin(known.leads["lead_id"])]
    new = new[~new["opportunity_id"].isin(before)]
    of = new["lead_id"].map(known.leads.set_index("lead_id")["source"])
    came = new["amount"].fillna(0).astype("float64").groupby(of).sum() / 100
    return pd.DataFrame({"to_come": rows["to_come"], "came": came.reindex(rows.index).fillna(0.0)}).reset_index()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[pd.DataFrame]] = {"rates": [], "coming": []}
    for seed in range(first, first + count):
        with opened(world.company(**world.preset("demo"), seed=seed)) as case:
            kept["rates"].append(rates(case).assign(seed=seed))
            kept["coming"].append(coming(case).assign(seed=seed))
        for name, parts in kept.items():
            pd.concat(parts).to_parquet(out / f"{name}.parquet")
        print(seed, flush=True)
