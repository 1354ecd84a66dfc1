"""Reconciled and unreconciled errors, and coverage after reconciliation, by level of two real hierarchies.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_series/hierarchy.py OUT.parquet [tourism|iowa …]
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sets import DATA, load

from salesml.evaluation.forecast_metrics import accuracy
from salesml.models import series, series_boosted, series_candidates
from salesml.models.hierarchy_forecast import backtest_hierarchy

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())
Parents = dict[str, str | None]


def tourism(_: int | None) -> tuple[pd.DataFrame, Parents]:
    """Country → state → region → purpose of the trip."""
    frame = load("tourism")
    parents: Parents = {"country": None}
    for name in frame["unique_id"].unique():
        state, region, _purpose = name.split("/")
        parents |= {state: "country", f"{state}/{region}": state, name: f"{state}/{region}"}
    return frame, parents


def iowa(accounts: int | None) -> tuple[pd.DataFrame, Parents]:
    """State → county → account, for accounts with a known county and three years, drawn by seed."""
    frame = load("iowa_accounts")
    stores = pd.read_csv(DATA / "iowa_liquor_b2b" / "stores.csv", dtype={"store_number": "str"})
    zips = pd.read_csv(DATA / "us_geo_territory" / "us_zip_db.csv.gz").drop_duplicates("zipcode").set_index("zipcode")
    county = pd.Series(stores["zip"].map(zips["county"]).to_numpy(), stores["store_number"]).dropna()
    county = county[~county.index.duplicated()]
    size = frame.groupby("unique_id").size()
    known = sorted(set(county.index) & set(size.index[size >= 36]))
    chosen = np.random.default_rng(PARAMS["seed"]).choice(known, accounts, replace=False)
    parents: Parents = {"state": None}
    for name in chosen:
        parents |= {f"county {county[name]}": "state", name: f"county {county[name]}"}
    return frame[frame["unique_id"].isin(chosen)], parents


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    series_candidates.WORTH_WORKERS = 10**9  # one process
    series_boosted.ORIGINS = PARAMS["training_origins"]
    out, found = Path(sys.argv[1]), []
    for name in sys.argv[2:] or PARAMS["hierarchy"]:
        plan, started = PARAMS["hierarchy"][name], time.process_time()
        frame, parents = {"tourism": tourism, "iowa": iowa}[name](plan["accounts"])
        series.EARLIER_ORIGINS = PARAMS["earlier_origins"] * len(parents)
        rows = backtest_hierarchy(frame, parents, plan["horizon"], plan["season"], plan["windows"], PARAMS["quick"])
        found.append(rows.assign(set=name))
        print(name, len(parents), "nodes", f"{time.process_time() - started:.0f} s of processor", flush=True)
        print(accuracy(rows, ["level", "model"]).round(4).to_string(), flush=True)
        pd.concat(found).to_parquet(out)
