"""Forecasts that were made before the fact, judged by level and step ahead: error, bias, pinball loss, coverage."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from salesml.evaluation.forecast_metrics import LEVELS, accuracy, pinball, wape_intervals

ALL_STEPS = 0


def by_step(judged: pd.DataFrame, baseline: str, by: str = "level") -> pd.DataFrame:
    """Figures of every model by level and step. Grain: one row per model, level and step (0: all steps together).

    judged: one row per model, series, origin (`window`) and step: model, level, unique_id, window, step, y, yhat, lo80, hi80,
    lo95, hi95 (the series' unit), scale. Columns: n, wape, mae (the series' unit), mase, smape, bias, pinball (the series' unit),
    cover80, cover95 (shares inside) with cover80_lo … cover95_hi (95 %, Wilson 1927, as if outcomes were independent), wape_lo,
    wape_hi, to_BASELINE (WAPE over the baseline's), to_BASELINE_lo, to_BASELINE_hi (95 %, resampling origins). Empty where judged is.
    """
    if judged.empty:
        return judged
    keys = ["model", by, "step"]
    both = pd.concat([judged, judged.assign(step=ALL_STEPS)], ignore_index=True)
    ratios = {key: wape_intervals(part, [baseline], unit="window") for key, part in both.groupby([by, "step"], sort=True)}
    ratio = pd.concat(ratios, names=[by, "step"]).reset_index([by, "step"])
    loss = both.assign(pinball=pinball(both)).groupby(keys, sort=True)["pinball"].mean().reset_index()
    table = accuracy(both, keys).merge(loss, on=keys)
    for level in LEVELS:
        ends = [_wilson(share, n) for share, n in zip(table[f"cover{level}"], table["n"], strict=True)]
        table[[f"cover{level}_lo", f"cover{level}_hi"]] = np.array(ends)
    return table.merge(ratio, on=keys)


def _wilson(share: float, n: int) -> tuple[float, float]:
    if not np.isfinite(share):
        return float("nan"), float("nan")
    found = binomtest(round(share * n), int(n)).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
