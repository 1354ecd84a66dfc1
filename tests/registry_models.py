"""Small trained models and one registry that the tests of the registry share: making its database takes seconds."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from salesml.models.outcome import OutcomeModel
from salesml.models.rates import BaseRate
from salesml.registry.columns import Column, columns_of
from salesml.registry.gate import Evidence
from salesml.workspace import Workspace

GOOD = Evidence(
    baseline="base_rate",
    n=1000,
    positives=300,
    log_loss=0.50,
    baseline_log_loss=0.61,
    difference=-0.11,
    lo=-0.13,
    hi=-0.09,
    calibration_slope=0.97,
    tested_from="2017-01-01",
    tested_until="2017-04-01",
    data={"head": "abc", "opportunity": 3},
)


def rows(count: int, seed: int = 0) -> pd.DataFrame:
    """Made-up deals: amount (may be missing), calls (whole), stage (may be missing), renewal (true or false)."""
    rng = np.random.default_rng(seed)
    stages = np.array(["lead", "offer", "closing", None], dtype=object)
    frame = pd.DataFrame(
        {
            "amount": rng.lognormal(8, 1, count),
            "calls": rng.integers(0, 20, count),
            "stage": stages[rng.integers(0, 4, count)],
            "renewal": rng.integers(0, 2, count).astype(bool),
        }
    )
    frame.loc[rng.uniform(size=count) < 0.1, "amount"] = np.nan
    return frame


@cache
def scorer() -> OutcomeModel:
    """A CatBoost model of made-up deals."""
    X, later = rows(600, 1), rows(200, 2)
    return OutcomeModel.fit(X, _outcome(X, 3), calibration=(later, _outcome(later, 4)))


@cache
def folders() -> tuple[Path, Path]:
    """The saved base rate and the saved CatBoost model."""
    root = _temporary()
    X = rows(600, 1)
    BaseRate.fit(X, _outcome(X, 3)).save(root / "base")
    scorer().save(root / "trees")
    return root / "base", root / "trees"


def columns() -> tuple[Column, ...]:
    """What callers of the models send."""
    return columns_of(rows(600, 1), optional=["amount"])


@cache
def workspace() -> Workspace:
    """The shared workspace; every test uses experiment and model names of its own."""
    return Workspace.create(_temporary())


def _outcome(frame: pd.DataFrame, seed: int) -> np.ndarray:
    logits = 0.15 * (frame["calls"] - 10) + (frame["stage"] == "closing") - 0.5
    return (np.random.default_rng(seed).uniform(size=len(frame)) < 1 / (1 + np.exp(-logits))).astype(int).to_numpy()


def _temporary() -> Path:
    folder = tempfile.mkdtemp(prefix="salesml_registry_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
