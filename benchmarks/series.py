"""Forecasting all monthly M3 series 18 months on: time and accuracy, beside a plain mean of ETS, theta and CES."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.evaluation.forecast_metrics import accuracy, wape, wape_intervals
from salesml.models.series import ENSEMBLE, backtest_series
from salesml.models.series_input import clean_series
from salesml.workflows.series import read_series

FILE = Path(__file__).resolve().parents[2] / "shared" / "data" / "m3" / "m3_monthly.csv.gz"
HORIZON, SEASON = 18, 12
BAR_SECONDS, BAR_RATIO = 180.0, 0.8


def run() -> dict[str, Any]:
    """The last 18 months of each series are held out once; forecasts are made as `salesml forecast series` makes them."""
    if not FILE.exists():
        raise NotEnoughData(f"{FILE} is absent: this benchmark needs the public M3 data beside the checkout")
    started, busy = time.monotonic(), _cpu()
    cleaned = clean_series(read_series(FILE, ("series", "t", "value")), FILE.name, SEASON)
    tested = backtest_series(cleaned.frame, HORIZON, SEASON, windows=1)
    seconds, busy = time.monotonic() - started, _cpu() - busy
    ratio = wape_intervals(tested, ["seasonal_naive"]).set_index("model").loc[ENSEMBLE]
    table = accuracy(tested).set_index("model")
    count = int(cleaned.frame["unique_id"].nunique())
    plain_seconds, plain_wape = _plain(cleaned.frame, tested)
    return {
        "series": count,
        "seconds": seconds,
        "cpu_seconds": busy,
        "series_per_second": count / seconds,
        "wape": {name: float(value) for name, value in table["wape"].items()},
        "to_seasonal_naive": float(ratio["to_seasonal_naive"]),
        "to_seasonal_naive_95": [float(ratio["to_seasonal_naive_lo"]), float(ratio["to_seasonal_naive_hi"])],
        "cover80": float(table.loc[ENSEMBLE, "cover80"]),
        "cover95": float(table.loc[ENSEMBLE, "cover95"]),
        "plain_seconds": plain_seconds,
        "plain_wape": plain_wape,
        "wape_to_plain": float(table.loc[ENSEMBLE, "wape"]) / plain_wape,
        "ratio": plain_seconds / seconds,
        "bar": f"at most {BAR_SECONDS:g} s on 2 cores, and {BAR_RATIO:g} of seasonal naive's WAPE",
        "met": bool(seconds <= BAR_SECONDS and ratio["to_seasonal_naive"] <= BAR_RATIO),
    }


def _plain(frame: pd.DataFrame, tested: pd.DataFrame) -> tuple[float, float]:
    """Seconds and WAPE of the mean of AutoETS, AutoTheta and AutoCES, without intervals or earlier origins."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoCES, AutoETS, AutoTheta

    actual = tested[tested["model"] == ENSEMBLE].sort_values(["unique_id", "index"])
    first = actual.groupby("unique_id")["index"].min()
    train = frame[frame["index"] < frame["unique_id"].map(first)].rename(columns={"index": "ds"})
    started = time.monotonic()
    models = [AutoETS(SEASON), AutoTheta(SEASON), AutoCES(SEASON)]
    found = StatsForecast(models, freq=1, n_jobs=os.cpu_count() or 1).forecast(h=HORIZON, df=train)
    seconds = time.monotonic() - started
    mean = found.sort_values(["unique_id", "ds"])[["AutoETS", "AutoTheta", "CES"]].mean(axis=1)
    return seconds, wape(actual["y"].to_numpy(), np.maximum(mean.to_numpy(), 0.0))


def _cpu() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
