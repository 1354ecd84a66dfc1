"""Batch scoring with features given, with and without factors, and how often 90 % intervals hold the true probability."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from catboost import Pool
from scipy.special import expit

from salesml.models.outcome import OutcomeModel

ROWS, EXPLAINED, TRAINED = 500_000, 100_000, 30_000
LEVELS = {"stage": 5, "source": 8, "region": 12, "industry": 20, "product": 40, "owner": 200}
PREDICT_BAR, EXPLAIN_BAR = 500_000, 20_000


def run() -> dict[str, Any]:
    """Rows per second of a CatBoost scorer of 19 numbers and 6 categories (best of three); coverage by signal.

    The plain way is CatBoost alone: a Pool of the raw frame to predict, its own SHAP values to explain.
    """
    X, p = _table(TRAINED, 0, 1.0)
    later, later_p = _table(TRAINED // 3, 1, 1.0)
    model = OutcomeModel.fit(X, _drawn(p, 0), calibration=(later, _drawn(later_p, 1)))
    batch, _ = _table(ROWS, 2, 1.0)
    model.explain(batch.head(10))
    few, names = batch.head(EXPLAINED), list(model.categorical)
    predict, explain = ROWS / _fastest(lambda: model.predict(batch)), EXPLAINED / _fastest(lambda: model.explain(few))
    plain_predict = EXPLAINED / _fastest(lambda: model.trees.predict(Pool(few, cat_features=names)), 1)
    plain_explain = EXPLAINED / _fastest(
        lambda: model.trees.get_feature_importance(Pool(few, cat_features=names), type="ShapValues"), 1
    )
    return {
        "trees": int(model.trees.tree_count_),
        "predict_rows_per_second": round(predict),
        "plain_predict_rows_per_second": round(plain_predict),
        "predict_ratio": round(predict / plain_predict, 1),
        "explain_rows_per_second": round(explain),
        "plain_explain_rows_per_second": round(plain_explain),
        "explain_ratio": round(explain / plain_explain, 1),
        "interval_rows_per_second": round(EXPLAINED / _fastest(lambda: model.interval(few))),
        "bar": f"predict at least {PREDICT_BAR:,} rows/s, with factors at least {EXPLAIN_BAR:,} rows/s",
        "met": predict >= PREDICT_BAR and explain >= EXPLAIN_BAR,
        "coverage_of_90_percent_intervals": _coverages(),
    }


def _coverages() -> dict[str, float]:
    """Share of rows whose true probability lies in the 90 % interval, by strength of signal and rows trained on."""
    found = {}
    for signal in (0.0, 0.5, 1.0):
        for rows in (2_000, 10_000):
            (X, p), (later, later_p), (new, truth) = (
                _table(n, s, signal) for s, n in enumerate((rows, rows // 3, 3000))
            )
            model = OutcomeModel.fit(X, _drawn(p, 3), calibration=(later, _drawn(later_p, 4)))
            lo, hi = model.interval(new)
            found[f"signal {signal}, {rows} rows"] = round(float(np.mean((lo <= truth) & (truth <= hi))), 3)
    return found


def _table(rows: int, seed: int, signal: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Features and true probabilities: linear, stepped and crossed effects of some of the columns."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame({f"number_{i}": rng.normal(size=rows) for i in range(19)})
    codes = {name: rng.integers(0, levels, rows) for name, levels in LEVELS.items()}
    for name, levels in LEVELS.items():
        X[name] = pd.Series(np.array([f"{name} {i}" for i in range(levels)])[codes[name]], dtype="str")
    z = 0.7 * X["number_0"] + 0.5 * (X["number_1"] > 0) * (codes["stage"] > 2) + 0.3 * np.sin(codes["owner"])
    return X, expit((-1.2 + signal * (z + 0.25 * (codes["stage"] - 2))).to_numpy())


def _drawn(p: np.ndarray, seed: int) -> np.ndarray:
    return (np.random.default_rng(seed).random(len(p)) < p).astype("float64")


def _fastest(call: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of a few calls."""
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return min(seconds)
