"""What each way of keeping up with drift would have said of every later row, by what was known when the row's block began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit

from salesml.errors import NotEnoughData
from salesml.evaluation.metrics import log_loss
from salesml.evaluation.prequential import STRETCHES, Step, of_steps, stretches, within_auc
from salesml.models.logistic import Logistic
from salesml.models.outcome import OutcomeModel
from salesml.models.rates import BaseRate
from salesml.models.recency import (
    TREES,
    Memory,
    chosen,
    probabilities,
    recalibrated,
    refit_lines,
    refit_trees,
    running_rate,
)
from salesml.models.scorer import Scorer
from salesml.workflows.study_models import Progress

RATE, STATIC, RECALIBRATED = "static rate", "static model", "static model, recalibrated"
RUNNING, RECENCY, ROLLING, ADAPTIVE = "running rate", "recency weights", "rolling refits", "best so far"
POINTS, PROVEN = "points", "points until surely beaten"
METHODS = (RATE, STATIC, RECALIBRATED, RUNNING, RECENCY, ROLLING, ADAPTIVE, POINTS, PROVEN)
LIVES: tuple[float | None, ...] = (0.5, 2.0, 8.0, None)
"""Half-lives that are tried, in blocks; None is to forget nothing."""
WINDOWS = (2, 8)
PENALTIES = (1.0, 10.0, 100.0)
RECALIBRATIONS = (1.0, 4.0, 16.0)
CHOOSING = 4.0
"""Half-life, in blocks, of the losses by which a candidate is chosen."""
CALIBRATION_SHARE = 0.2


@dataclass(frozen=True)
class Static:
    """The model of the first rows: fitted on the first four fifths of them, recalibrated and chosen on the last fifth.

    `kind` is chosen by its log loss on that fifth (`later`: positions from `cut` to `known`), whose outcomes the fit has not seen.
    """

    scorer: Scorer
    kind: str
    cut: int
    known: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Series:
    """Probabilities of every judged row by each method, and what the ones that choose had chosen at each step."""

    p: dict[str, np.ndarray]
    choices: dict[str, list[str]]
    static: Static


def fit_static(X: pd.DataFrame, y: np.ndarray, known: int, categorical: Sequence[str], seed: int, trees: bool = True) -> Static:
    """Fit on the first `known` rows; raises NotEnoughData where they hold fewer than 10 outcomes of either kind."""
    cut = int((1 - CALIBRATION_SHARE) * known)
    early, later = (X.iloc[:cut], y[:cut]), (X.iloc[cut:known], y[cut:known])
    fitted: dict[str, Scorer] = {"logistic regression": Logistic.fit(*early, calibration=later, categorical=categorical, seed=seed)}
    if trees:
        options = {"categorical": categorical, "seed": seed, "candidates": (TREES,), "members": 0}
        fitted["CatBoost"] = OutcomeModel.fit(*early, calibration=later, **options)  # type: ignore[arg-type]
    losses = {kind: log_loss(later[1], scorer.predict(later[0])) for kind, scorer in fitted.items()}
    kind = min(losses, key=lambda name: losses[name])
    return Static(fitted[kind], kind, cut, known, losses)


def series(
    X: pd.DataFrame, y: np.ndarray, warm: Sequence[Step], judged: Sequence[Step], block: int, categorical: Sequence[str], seed: int,
    progress: Progress, points: np.ndarray | None = None,
) -> Series:  # fmt: skip
    """Score the judged steps, whose rows follow the warm ones': those serve to choose half-lives and windows before the first of them.

    `points` (0 to 100, one per row of X): a scheme to stand beside; its probabilities are made of its points by recent outcomes.
    """
    every = [*warm, *judged]
    first, start = judged[0].first, every[0].first
    size = judged[-1].stop - first
    with progress(f"fitting the static model on the first {judged[0].known:,} rows with known outcomes"):
        static = fit_static(X, y, judged[0].known, categorical, seed)
        told = logit(static.scorer.predict(X.iloc[static.cut :]))
        unseen = told[: static.known - static.cut], y[static.cut : static.known]
        fixed = told[first - static.cut :]
    lines = [Memory(_rows(life, block), None, penalty) for life in LIVES for penalty in PENALTIES]
    rolled = [Memory(None, window * block, penalty) for window in WINDOWS for penalty in PENALTIES]
    with progress(f"refitting {len(lines) + len(rolled)} lines at each of {len(every)} steps"):
        of_lines = refit_lines(X, y, every, [*lines, *rolled], categorical)
    with progress(f"growing trees anew at each of {len(every)} steps"):
        windows = (WINDOWS[-1] * block, None)
        of_trees = refit_trees(X, y, every, windows, categorical, seed)
    rates = np.array([running_rate(y, every, Memory(_rows(life, block))) for life in LIVES])
    recency, rolling = of_lines[: len(lines)], np.vstack([of_lines[len(lines) :], of_trees])
    named = {
        RUNNING: (rates, [f"rate, {Memory(_rows(life, block))}" for life in LIVES]),
        RECENCY: (recency, [_said(memory) for memory in lines]),
        ROLLING: (rolling, [*(_said(memory) for memory in rolled), *(f"trees, {Memory(window=window)}" for window in windows)]),
    }
    named[ADAPTIVE] = np.vstack([table for table, _ in named.values()]), [name for _, names in named.values() for name in names]
    p = {RATE: np.full(size, BaseRate.fit(X.iloc[:0], y[: judged[0].known]).rate), STATIC: probabilities(fixed)}
    again = np.array([recalibrated(fixed, y, judged, life * block, unseen) for life in RECALIBRATIONS])
    mended, which = chosen(again, y, judged, CHOOSING * block)
    p[RECALIBRATED] = probabilities(mended)
    choices = {RECALIBRATED: [f"recalibrated, half-life {RECALIBRATIONS[number] * block:,.0f}" for number in which]}
    for method, (table, names) in named.items():
        best, which = chosen(table, y, every, CHOOSING * block)
        p[method] = probabilities(best[first - start :])
        choices[method] = [names[number] for number in which[len(warm) :]]
    if points is not None:  # of the methods the last, best so far, stands beside them
        known, scaled = every[0].known, (points - 50) / 25
        beside = recalibrated(scaled[start:], y, every, CHOOSING * block, (scaled[:known], y[:known]))
        with progress("comparing with points at each step"):
            trusted = _beaten(y, best, scaled[start:], every, block, seed)
        p[POINTS] = probabilities(beside[first - start :])
        p[PROVEN] = probabilities(np.where(np.repeat(trusted, _sizes(every)), best, beside)[first - start :])
        choices[PROVEN] = [ADAPTIVE if sure else POINTS for sure in trusted[len(warm) :]]
    return Series({method: p[method] for method in METHODS if method in p}, choices, static)


def _beaten(y: np.ndarray, logits: np.ndarray, points: np.ndarray, every: Sequence[Step], block: int, seed: int) -> list[bool]:
    """Whether, at each step, the model had surely ranked better than the points inside earlier blocks whose outcomes were known."""
    start, places, found = every[0].first, of_steps(every), []
    for step in every:
        known = max(0, step.known - start)
        if known < 10 * STRETCHES:
            found.append(False)
            continue
        outcomes, where, groups = y[start : step.known], places[:known], stretches(known, block)
        own, other = (within_auc(outcomes, scores[:known], where, groups, seed=seed) for scores in (logits, points))
        found.append(bool(own.minus(other).lo > 0))
    return found


def _sizes(every: Sequence[Step]) -> list[int]:
    return [step.stop - step.first for step in every]


def warm_and_judged(found: Sequence[Step], first: int, y: np.ndarray, fewest: int = 10) -> tuple[list[Step], list[Step]]:
    """Steps that begin before row `first` and know enough to learn from, and those that are judged; NotEnoughData without either."""
    able = [step for step in found if min(y[: step.known].sum(), step.known - y[: step.known].sum()) >= fewest]
    warm, judged = [step for step in able if step.first < first], [step for step in able if step.first >= first]
    if not warm or len(judged) < 2 or judged[0].first != warm[-1].stop:
        raise NotEnoughData(
            f"the first {first:,} rows hold too few known outcomes to learn from, or the later ones make no two blocks; "
            f"{fewest} of either kind must be known half-way: more rows, a larger --first, a shorter --delay or a smaller --block."
        )
    return warm, judged


def _rows(life: float | None, block: int) -> float | None:
    return None if life is None else life * block


def _said(memory: Memory) -> str:
    return f"line, {memory}, penalty {memory.penalty:g}"
