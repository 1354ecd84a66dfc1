"""The ensemble beside baselines and single models on the latest ends of series not used for choosing.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_series/measure.py OUT.parquet [SET …]
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from sets import drawn, load

from salesml.evaluation.forecast_metrics import accuracy, scale, wape
from salesml.models import series, series_candidates

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())


def singles(season: int) -> dict[str, Callable]:
    """The single models of the bar, by name."""
    from statsforecast.models import AutoCES, AutoETS, DynamicOptimizedTheta

    made = [AutoETS(season), DynamicOptimizedTheta(season), AutoCES(season)]
    return {model.alias: model.forecast for model in made}


def single_rows(frame: pd.DataFrame, horizon: int, season: int, windows: int) -> pd.DataFrame:
    """Forecasts of the single models from each origin; seasonal naive where one fails; not below 0 where y never is."""
    rows = []
    for name, part in frame.groupby("unique_id"):
        y, index = part["y"].to_numpy("float64"), part["index"].to_numpy()
        for window in range(1, windows + 1):
            cut = len(y) - horizon * window
            if cut < 6:
                continue
            past = y[:cut].copy()
            for model, forecast in singles(season).items():
                try:
                    found = np.asarray(forecast(y=past.copy(), h=horizon)["mean"], dtype="float64")
                except Exception:
                    found = series_candidates.seasonal_naive(past, horizon, season)
                found = np.maximum(found, 0.0) if y.min() >= 0 else found
                part_rows = {"unique_id": name, "window": window, "index": index[cut : cut + horizon], "model": model,
                             "step": np.arange(1, horizon + 1), "y": y[cut : cut + horizon], "yhat": found,
                             "scale": scale(past, season)}  # fmt: skip
                rows.append(pd.DataFrame(part_rows))
    return pd.concat(rows, ignore_index=True)


def measured(name: str) -> pd.DataFrame:
    """Rows of every model on the reported windows; `best single` is the one with the least WAPE on the earlier ones."""
    plan = PARAMS["sets"][name]
    frame = drawn(load(name), plan["series"], plan["least"], PARAMS["seed"])
    horizon, season, windows = plan["horizon"], plan["season"], plan["windows"]
    series.EARLIER_ORIGINS = PARAMS["earlier_origins"] * frame["unique_id"].nunique()
    own = series.backtest_series(frame, horizon, season, windows)
    rows = single_rows(frame, horizon, season, windows + PARAMS["choosing"])
    earlier = {model: wape(part["y"], part["yhat"]) for model, part in rows[rows["window"] > windows].groupby("model")}
    best = min(earlier, key=lambda model: earlier[model])
    rows = rows[rows["window"] <= windows]
    chosen = rows[rows["model"] == best].assign(model="best single")
    return pd.concat([own, rows, chosen], ignore_index=True).assign(set=name, best=best)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    series_candidates.WORTH_WORKERS = 10**9  # one process
    out, found = Path(sys.argv[1]), []
    for name in sys.argv[2:] or PARAMS["sets"]:
        started = time.process_time()
        found.append(measured(name))
        print(name, found[-1]["best"].iloc[0], f"{time.process_time() - started:.0f} s of processor", flush=True)
        print(accuracy(found[-1]).round(4).to_string(), flush=True)
        pd.concat(found).to_parquet(out)
