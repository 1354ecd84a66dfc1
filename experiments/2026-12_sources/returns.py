"""Intervals of ROI on made-up groups of leads whose true ROI is known: drawn together, beside a plain bootstrap of leads.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-12_sources/returns.py OUT.parquet FIRST_SEED COUNT
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.analytics.lead_sources_rates import shrunken
from salesml.analytics.lead_sources_returns import costs, returns, revenues

GROUPS, DRAWS = 20, 2000
COST = 40_00  # cents a lead
TAILS = {"like the demo company": 0.9, "heavy": 1.4}  # standard deviation of the log of an amount
SPREADS = {"alike": 0.0, "apart": 0.25}  # of the log of a group's mean amount


def company(rng: np.random.Generator, tail: float, apart: float) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series]:
    """Leads and deals (all over) of 20 groups, and the true ROI of each."""
    size = np.exp(rng.uniform(np.log(40), np.log(1500), GROUPS)).astype(int)
    rate, won = rng.beta(8, 45, GROUPS), rng.beta(12, 28, GROUPS)
    mean = 4_000 * np.exp(rng.normal(0, apart, GROUPS) - apart**2 / 2)
    group = np.repeat([f"g{number:02d}" for number in range(GROUPS)], size)
    of = np.repeat(np.arange(GROUPS), size)
    converts = rng.random(len(of)) < rate[of]
    leads = pd.DataFrame({"lead_id": np.arange(len(of)), "group": group, "cost": pd.Series(COST, range(len(of)), dtype="Int64")})
    leads = leads.assign(ended=np.where(converts, "converted", "disqualified"), costed=True)
    deals = leads[converts].reset_index(drop=True)
    mine = of[converts]
    amount = np.rint(100 * mean[mine] * rng.lognormal(-(tail**2) / 2, tail, len(mine))).astype("int64")
    deals["ended"] = np.where(rng.random(len(mine)) < won[mine], "won", "lost")
    deals["amount"] = deals["margin"] = pd.Series(amount, dtype="Int64")
    true = rate * won * mean / (COST / 100) - 1
    return leads, deals, pd.Series(true, sorted(set(group)))


def measured(seed: int, tail: float, apart: float) -> pd.DataFrame:
    """One row per group: wins, true ROI, estimate and whether each interval holds it."""
    rng = np.random.default_rng(seed)
    leads, deals, truth = company(rng, tail, apart)
    names = truth.index
    n = leads.groupby("group").size().reindex(names)
    k = leads["ended"].eq("converted").groupby(leads["group"]).sum().reindex(names)
    w = deals["ended"].eq("won").groupby(deals["group"]).sum().reindex(names, fill_value=0)
    rates, won = shrunken(k, n - k, seed=seed), shrunken(w, k - w, seed=seed + 1)
    rows = pd.DataFrame({"group": names}).join(rates.frame)
    rows = revenues(costs(rows, leads, pd.Series(dtype="int64"), deals), deals, "revenue")
    drawn = returns(rows, leads, deals, rates.draws, won.draws, seed).draws["revenue"]
    told = []
    for place, name in enumerate(names):
        value = deals.loc[deals["group"].eq(name) & deals["ended"].eq("won"), "amount"].to_numpy("float64") / 100
        cost = float(rows["cost"].iloc[place])
        again = rng.poisson(1.0, (DRAWS, len(value))) @ value / cost - 1
        ends = [*np.quantile(drawn[place], [0.05, 0.95]), *np.quantile(again, [0.05, 0.95])]
        told.append((len(value), truth[name], drawn[place].mean(), value.sum() / cost - 1, *ends))
    columns = ["wins", "truth", "roi", "plain", "lo", "hi", "boot_lo", "boot_hi"]
    return pd.DataFrame(told, columns=columns).assign(seed=seed)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out, first, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    parts = [
        measured(seed, tail, apart).assign(tail=name, groups=groups)
        for name, tail in TAILS.items() for groups, apart in SPREADS.items() for seed in range(first, first + count)
    ]  # fmt: skip
    pd.concat(parts).to_parquet(out)
