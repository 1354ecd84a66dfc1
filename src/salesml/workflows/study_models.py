"""Base rate, logistic regression and CatBoost on the same blocks: trained, chosen, judged on unseen rows."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.evaluation.calibration import Calibration, calibration
from salesml.evaluation.metrics import Measured, log_loss, log_loss_difference, measure
from salesml.models.columns import infer_categorical
from salesml.models.logistic import Logistic
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.rates import BaseRate
from salesml.models.scorer import Scorer
from salesml.workflows.study_prepare import Prepared

Progress = Callable[[str], AbstractContextManager[None]]
CANDIDATES = (
    Settings(),
    Settings(repeats=True),
    Settings(depth=4, learning_rate=0.05, l2=10.0, trees=800),
    Settings(depth=3, learning_rate=0.03, l2=20.0),
)
NAMES = {"base_rate": "base rate", "logistic": "logistic regression", "catboost": "CatBoost"}


@dataclass(frozen=True)
class Judged:
    """One model on the unseen block: its figures, how its log loss differs from the base rate's, its calibration."""

    scorer: Scorer
    probabilities: np.ndarray
    figures: dict[str, Measured]
    difference: Measured
    calibration: Calibration

    @property
    def name(self) -> str:
        """How the report calls it."""
        return NAMES[self.scorer.kind]


@dataclass(frozen=True)
class Comparison:
    """The models by kind; `chosen` is the kind registered; `skipped` says why a model could not be trained."""

    models: dict[str, Judged]
    chosen: str
    skipped: dict[str, str]

    @property
    def best(self) -> Judged:
        """The chosen model."""
        return self.models[self.chosen]

    @property
    def has_signal(self) -> bool:
        """Whether the chosen model beats the base rate on unseen rows (90 % interval of the difference below 0)."""
        return self.chosen != "base_rate" and self.best.difference.hi < 0


def compare(prepared: Prepared, seed: int, progress: Progress) -> Comparison:
    """Train on the train block, recalibrate and choose on the calibration block, judge on the test block.

    The model of least log loss on the calibration rows is chosen if it beats the base rate there beyond doubt (90 %
    interval), else the base rate is.
    """
    X, blocks, y, entities = prepared.X, prepared.blocks, prepared.y, prepared.entities
    train, later, test = blocks.train, blocks.calibration, blocks.test
    if not len(later) or not len(test):
        raise NotEnoughData("too few separate records or times to set rows aside for calibration and for judging.")
    scorers: dict[str, Scorer] = {}
    skipped: dict[str, str] = {}
    for kind, fit in _fits(X).items():
        with progress(f"training {NAMES[kind]} on {len(train):,} rows"):
            try:
                scorers[kind] = fit(
                    X.iloc[train],
                    y[train],
                    calibration=(X.iloc[later], y[later]),
                    groups=entities[train],
                    calibration_groups=entities[later],
                    seed=seed,
                )
            except NotEnoughData as error:
                skipped[kind] = str(error)
    on_later = {kind: scorer.predict(X.iloc[later]) for kind, scorer in scorers.items()}
    chosen = min(on_later, key=lambda kind: log_loss(y[later], on_later[kind]))
    gain = log_loss_difference(y[later], on_later[chosen], on_later["base_rate"], entities[later], seed=seed)
    with progress(f"judging {len(scorers)} models on {len(test):,} unseen rows"):
        models = _judge(scorers, X.iloc[test], y[test], entities[test], seed)
    return Comparison(models, chosen if gain.hi < 0 else "base_rate", skipped)


def _fits(X: pd.DataFrame) -> dict[str, Callable[..., Scorer]]:
    """How each kind is fitted; without a feature only the base rate can be."""
    fits: dict[str, Callable[..., Scorer]] = {"base_rate": BaseRate.fit}
    if len(X.columns):
        names = infer_categorical(X)
        fits["logistic"] = lambda *a, **k: Logistic.fit(*a, categorical=names, **k)
        fits["catboost"] = lambda *a, **k: OutcomeModel.fit(*a, categorical=names, candidates=CANDIDATES, **k)
    return fits


def _judge(
    scorers: dict[str, Scorer], X: pd.DataFrame, y: np.ndarray, entities: np.ndarray, seed: int
) -> dict[str, Judged]:
    base = scorers["base_rate"].predict(X)
    judged = {}
    for kind, scorer in scorers.items():
        p = scorer.predict(X)
        judged[kind] = Judged(
            scorer,
            p,
            measure(y, p, base, entities, seed=seed),
            log_loss_difference(y, p, base, entities, seed=seed),
            calibration(y, p, entities, seed=seed),
        )
    return judged
