"""The deal model at size: train, calibrate and certify on 100,000 deals; score 100,000 deals from the lake; explain one."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
from catboost import CatBoostClassifier

from salesml import world
from salesml.features.deals import DEALS
from salesml.lake import Lake, visible
from salesml.registry import catalog
from salesml.workflows.deals import MODEL, training_table
from salesml.workflows.train_deals import train_deals
from salesml.workspace import Workspace

REPS, YEARS, DEALS_SCORED = 390, 5.0, 100_000
TRAIN_BAR, SCORE_BAR, ONE_BAR = 600.0, 30.0, 0.05
SHOWN = 8


def run() -> dict[str, Any]:
    """Seconds, and the plain alternative in the same run: one CatBoost classifier of the final outcome with its defaults."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder) / "company")
        world.build(workspace, seed=7, reps=REPS, years=YEARS)
        started = time.perf_counter()
        trained = train_deals(workspace)
        training = time.perf_counter() - started
        scorer = catalog.load(workspace, MODEL, trained.version.number)
        view = visible(Lake(workspace).open(), trained.as_of)
        started = time.perf_counter()
        rows = DEALS.frame(view)
        features = time.perf_counter() - started
        many = pd.concat([rows[DEALS.names]] * -(-DEALS_SCORED // len(rows)), ignore_index=True).head(DEALS_SCORED)
        features *= DEALS_SCORED / len(rows)
        one = many.head(1)
        scorer.predictions(one, interval=True, factors=SHOWN, timing=True)
        scoring = _seconds(lambda: scorer.predictions(many, interval=True))
        explaining = _seconds(lambda: scorer.predictions(many, factors=SHOWN))
        single = min(
            _seconds(lambda: scorer.predictions(one, interval=True, factors=SHOWN, timing=True)) for _ in range(5)
        )
        table = training_table(workspace)
        plain = _seconds(lambda: _plain(table.X, table.y))
    return {
        "deals": int(table.snapshots["opportunity_id"].nunique()),
        "snapshots": len(table.snapshots),
        "train_seconds": training,
        "plain_fit_seconds": plain,
        "train_over_plain_fit": training / plain,
        "score_seconds_per_100_000": features + scoring,
        "of which features": features,
        "factors_seconds_per_100_000": explaining,
        "one_deal_milliseconds": 1_000 * single,
        "bar": f"train {TRAIN_BAR:.0f} s, score {SCORE_BAR:.0f} s, one deal with factors {ONE_BAR * 1000:.0f} ms",
        "met": training <= TRAIN_BAR and features + scoring <= SCORE_BAR and single <= ONE_BAR,
    }


def _plain(X: pd.DataFrame, y: pd.Series) -> None:
    frame = X.assign(**{name: X[name].astype("string").fillna("").astype(str) for name in DEALS.categorical})
    CatBoostClassifier(iterations=200, thread_count=2, verbose=False, allow_writing_files=False).fit(
        frame, y, cat_features=DEALS.categorical
    )


def _seconds(act: Any) -> float:
    started = time.perf_counter()
    act()
    return time.perf_counter() - started
