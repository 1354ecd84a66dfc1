"""Bring your own estimator: train it on the deal snapshots and judge it against the champion on later ones."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol

import numpy as np
import pandas as pd

from salesml.evaluation.calibration import calibration
from salesml.evaluation.metrics import log_loss_difference, measure
from salesml.features.deals import DEALS
from salesml.models.deals import blocks
from salesml.workflows.deals import MODEL, training_table
from salesml.workspace import Workspace


class Estimator(Protocol):
    """Anything with scikit-learn's `fit` and `predict_proba`."""

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Any: ...

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray: ...


def judge(
    workspace: Workspace,
    estimator: Estimator,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
) -> pd.DataFrame:
    """Fit an estimator on the training and calibration blocks and compare it with the champion on the same test snapshots.

    Grain: one row per model (yours, champion) and metric, with 90 % intervals resampled by deal; the row
    `log_loss_difference` is yours minus the champion's, below 0 is better; `in_sample` tells that the champion had been
    trained on some of these snapshots' time. X holds categories as text and missing values: bring a pipeline that takes them.
    """
    from salesml.registry import catalog

    split = blocks(training_table(workspace, as_of, within_days).labelled)
    known = pd.concat([split.train, split.calibration], ignore_index=True)
    estimator.fit(known[DEALS.names], known["won"].to_numpy())
    y, groups = split.test["won"].to_numpy(), split.test["opportunity_id"].to_numpy()
    champion = catalog.load(workspace, MODEL)
    predicted = {
        "yours": np.clip(np.asarray(estimator.predict_proba(split.test[DEALS.names]))[:, 1], 1e-6, 1 - 1e-6),
        "champion": champion.predict(split.test[DEALS.names]),
    }
    base = np.full(len(y), known["won"].mean())
    rows = [
        {"model": name, "metric": metric, **vars(figure)}
        for name, p in predicted.items()
        for metric, figure in {
            **measure(y, p, base, groups),
            "calibration_slope": calibration(y, p, groups).slope,
        }.items()
    ]
    difference = log_loss_difference(y, predicted["yours"], predicted["champion"], groups)
    rows.append({"model": "yours", "metric": "log_loss_difference", **vars(difference)})
    evidence = champion.version.evidence
    known_until = evidence.tested_from if evidence else str(champion.version.tags.get("as_of", ""))[:10]
    return pd.DataFrame(rows).assign(in_sample=known_until > f"{split.tested_from:%Y-%m-%d}")
