"""A table without time, judged out of fold: every row is scored by models that were fitted, chosen and calibrated without it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.model_selection import StratifiedGroupKFold

from salesml.errors import NotEnoughData
from salesml.evaluation.calibration import Calibration, calibration, ece_bar
from salesml.evaluation.metrics import Measured, log_loss, measure
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import infer_categorical
from salesml.models.logistic import Logistic
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.scorer import Scorer
from salesml.workflows.study_models import CANDIDATES, NAMES, Progress
from salesml.workflows.study_prepare import Prepared

FOLDS, INNER, REPEATS, MEMBERS = 5, 5, 3, 3
PLACEHOLDER = 50
"""Rows handed over for a recalibration that is not used."""


@dataclass(frozen=True)
class OutOfFold:
    """Probabilities (repeats × rows) out of fold, and how often which kind was chosen."""

    y: np.ndarray
    p: np.ndarray
    entities: np.ndarray
    chosen: dict[str, int]

    def figures(self, seed: int = 0) -> dict[str, Measured]:
        """log_loss, brier, auc, top_decile_lift, explained: pooled over folds, mean of the repeats; 90 % interval resampled by entity,
        alike in all repeats."""
        base = np.full(len(self.y), self.y.mean())
        found = [measure(self.y, p, base, self.entities, seed=seed) for p in self.p]
        return {name: _mean([one[name] for one in found]) for name in found[0]}

    def calibration(self, figure: float = 0.015, seed: int = 0) -> Calibration:
        """Calibration, mean of the repeats; the error's bar is the largest of what rows with outcomes of their own would show."""
        found = [calibration(self.y, p, self.entities, figure=figure, seed=seed) for p in self.p]
        bar = float(np.mean([ece_bar(p, figure, seed=seed) for p in self.p]))
        return Calibration(_mean([f.ece for f in found]), bar, _mean([f.slope for f in found]), _mean([f.intercept for f in found]))


@dataclass(frozen=True)
class Committee:
    """Models of one kind whose mean log-odds are recalibrated together."""

    kind: str
    members: tuple[Scorer, ...]
    calibrator: Calibrator

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The probability of each row."""
        return np.asarray(expit(self.calibrator.apply(np.mean([logit(scorer.predict(X)) for scorer in self.members], axis=0))))


def out_of_fold(
    prepared: Prepared, *, folds: int = FOLDS, repeats: int = REPEATS, inner: int = INNER, seed: int = 0, progress: Progress
) -> OutOfFold:
    """Score every row `repeats` times by a committee fitted, chosen and calibrated without its fold (rows of one entity are in one fold).

    Raises NotEnoughData where a fold would lack outcomes of either kind.
    """
    X, y, entities = prepared.X, prepared.y, np.asarray(prepared.entities)
    rarer = int(min(y.sum(), len(y) - y.sum()))
    if rarer < 20 * folds:
        raise NotEnoughData(f"{rarer:,} rows of the rarer outcome; {20 * folds} are needed for {folds} folds.")
    found, chosen = np.zeros((repeats, len(y))), dict.fromkeys(NAMES, 0)
    for repeat in range(repeats):
        with progress(f"scoring out of fold, repeat {repeat + 1} of {repeats}"):
            for train, test in _cut(y, entities, folds, seed + repeat):
                fitted = fit_committee(X.iloc[train], y[train], entities[train], inner, seed + repeat)
                found[repeat, test] = fitted.predict(X.iloc[test])
                chosen[fitted.kind] += 1
    return OutOfFold(y, found, entities, {kind: times for kind, times in chosen.items() if times})


def fit_committee(X: pd.DataFrame, y: np.ndarray, entities: np.ndarray, parts: int = INNER, seed: int = 0) -> Committee:
    """Logistic regression or CatBoost, whichever has the lower log loss on parts of the rows left out one by one.

    A line's members are those fits, each recalibrated on its part. Trees are grown anew on all rows, three times, with the settings that
    did best over all parts, and recalibrated by the log-odds that the parts were given while left out. Rows are in no order.
    """
    names = infer_categorical(X)
    lines: list[Scorer] = []
    trees: list[OutcomeModel] = []
    by_line, by_trees = np.zeros(len(y)), np.zeros(len(y))
    for number, (own, other) in enumerate(_cut(y, entities, parts, seed)):
        own = np.random.default_rng([seed, number]).permutation(own)  # the last of them choose the settings
        early, later = (X.iloc[own], y[own]), (X.iloc[other], y[other])
        lines.append(Logistic.fit(*early, calibration=later, groups=entities[own], categorical=names, seed=seed))
        trees.append(_grown(*early, entities[own], later, names, CANDIDATES, seed))
        by_line[other], by_trees[other] = logit(lines[-1].predict(later[0])), logit(trees[-1].predict(later[0]))
    calibrator = fit_calibrator(by_trees, y)
    if log_loss(y, expit(by_line)) <= log_loss(y, expit(calibrator.apply(by_trees))):
        return Committee("logistic", tuple(lines), Calibrator())
    losses = [np.mean([_loss(model, place) for model in trees]) for place in range(len(CANDIDATES))]
    best, mixed = (CANDIDATES[int(np.argmin(losses))],), np.random.default_rng(seed).permutation(len(y))
    rows = X.iloc[mixed], y[mixed]
    members = tuple(_grown(*rows, entities[mixed], (X.iloc[:PLACEHOLDER], y[:PLACEHOLDER]), names, best, seed + n) for n in range(MEMBERS))
    return Committee("catboost", members, calibrator)


def _grown(
    X: pd.DataFrame, y: np.ndarray, entities: np.ndarray, later: tuple[pd.DataFrame, np.ndarray], names: Sequence[str],
    settings: Sequence[Settings], seed: int,
) -> OutcomeModel:  # fmt: skip
    """Trees as they grew, without a recalibration of their own."""
    fitted = OutcomeModel.fit(X, y, calibration=later, groups=entities, categorical=names, candidates=settings, members=0, seed=seed)
    return OutcomeModel(fitted.encoder, fitted.trees, Calibrator(), (), 0.0, fitted.threads, fitted.trials)


def _loss(model: OutcomeModel, place: int) -> float:
    loss = model.trials[place].log_loss
    return np.inf if loss is None else loss


def _cut(y: np.ndarray, entities: np.ndarray, parts: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(y, y, entities))


def _mean(figures: Sequence[Measured]) -> Measured:
    return Measured(*(float(np.mean([vars(one)[name] for one in figures])) for name in ("value", "lo", "hi")))
