"""Prophet alone beside `salesml forecast series` on monthly M3 series: error, coverage of 80 % and seconds, in one run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.evaluation.forecast_metrics import accuracy, wape_intervals
from salesml.models.series import ENSEMBLE, backtest_series
from salesml.models.series_input import clean_series
from salesml.workflows.series import read_series

FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "m3" / "m3_monthly.csv.gz"
HORIZON, SEASON, SERIES, SEED = 18, 12, 120, 0
PROPHET, NAIVE = "prophet alone", "seasonal_naive"


def run() -> dict[str, Any]:
    """The last 18 months of 120 series, drawn by seed, held out once; Prophet as it comes, with its own intervals."""
    if not FILE.exists():
        raise NotEnoughData(f"{FILE} is absent: this benchmark needs the public M3 data beside the checkout")
    frame = clean_series(read_series(FILE, ("series", "t", "value")), FILE.name, SEASON).frame
    chosen = np.random.default_rng(SEED).choice(sorted(frame["unique_id"].unique()), SERIES, replace=False)
    frame = frame[frame["unique_id"].isin(chosen)]
    started = time.perf_counter()
    tested = backtest_series(frame, HORIZON, SEASON, windows=1)
    seconds = time.perf_counter() - started
    own = tested[tested["model"].isin([ENSEMBLE, NAIVE])]
    started = time.perf_counter()
    theirs = _prophet(frame, own[own["model"] == ENSEMBLE])
    prophet_seconds = time.perf_counter() - started
    rows = pd.concat([own, theirs], ignore_index=True)
    told = accuracy(rows).set_index("model")
    apart = wape_intervals(rows, [PROPHET]).set_index("model").loc[ENSEMBLE]
    column = f"to_{PROPHET}"
    return {
        "series": SERIES,
        **{f"wape, {name}": float(told.loc[name, "wape"]) for name in (ENSEMBLE, PROPHET, NAIVE)},
        **{f"coverage of 80 %, {name}": float(told.loc[name, "cover80"]) for name in (ENSEMBLE, PROPHET)},
        "seconds, ensemble": seconds,
        "seconds, prophet alone": prophet_seconds,
        "wape to prophet's": float(apart[column]),
        "wape to prophet's, 95 % interval": [float(apart[f"{column}_lo"]), float(apart[f"{column}_hi"])],
        "ratio": prophet_seconds / seconds,
        "bar": "a lower error than Prophet's, beyond its 95 % interval",
        "met": bool(apart[f"{column}_hi"] < 1),
    }


def _prophet(frame: pd.DataFrame, held_out: pd.DataFrame) -> pd.DataFrame:
    from prophet import Prophet

    for name in ("prophet", "cmdstanpy"):
        logging.getLogger(name).disabled = True
    found = []
    for series, rows in held_out.groupby("unique_id"):
        past = frame[(frame["unique_id"] == series) & (frame["index"] < rows["index"].min())]
        months = pd.date_range("2000-01-01", periods=len(past) + len(rows), freq="MS")
        model = Prophet(interval_width=0.8, weekly_seasonality=False, daily_seasonality=False)
        model.fit(pd.DataFrame({"ds": months[: len(past)], "y": past["y"].to_numpy()}), seed=SEED)
        np.random.seed(SEED)  # Prophet draws its intervals from numpy's own state
        told = model.predict(pd.DataFrame({"ds": months[len(past) :]}))
        ends = {"yhat": told["yhat"], "lo80": told["yhat_lower"], "hi80": told["yhat_upper"], "lo95": np.nan, "hi95": np.nan}
        found.append(rows.assign(model=PROPHET, **{name: np.asarray(values) for name, values in ends.items()}))
    return pd.concat(found, ignore_index=True)
