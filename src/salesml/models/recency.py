"""Learning that forgets: refits with recency weights or windows, recalibration as outcomes arrive, a running rate.

All of it is done step by step (`evaluation.prequential`): what a block is scored with was learnt from outcomes known when it began.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from salesml.errors import NotEnoughData
from salesml.evaluation.prequential import Step
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import require_classes
from salesml.models.design import Design
from salesml.models.logistic import CLIP, RARE, RARE_SHARE
from salesml.models.outcome import OutcomeModel, Settings

TREES = Settings(depth=4, learning_rate=0.05, l2=10.0)
CALIBRATION_SHARE = 0.15
FORGOTTEN = 1e-3
"""A row that weighs less is left out: it costs time and tells nothing."""


@dataclass(frozen=True)
class Memory:
    """What is learnt from: a row weighs half as much for every `half_life` rows that came after it (None: all alike), nothing beyond
    the last `window` rows (None: none is too old). `penalty` draws the coefficients of a line to none (1 / C of scikit-learn)."""

    half_life: float | None = None
    window: int | None = None
    penalty: float = 1.0

    def weights(self, rows: int) -> np.ndarray:
        """Weights of the last rows of so many in time order, the latest 1; older rows than those given back count nothing."""
        kept = rows if self.window is None else min(rows, self.window)
        if self.half_life is None:
            return np.ones(kept)
        weights = 0.5 ** (np.arange(kept - 1, -1, -1) / self.half_life)
        return weights[weights >= FORGOTTEN]

    def __str__(self) -> str:
        parts = [f"half-life {self.half_life:,.0f}" if self.half_life else "", f"window {self.window:,}" if self.window else ""]
        return ", ".join(part for part in parts if part) or "all rows alike"


def refit_lines(
    X: pd.DataFrame, y: np.ndarray, steps: Sequence[Step], memories: Sequence[Memory], categorical: Sequence[str]
) -> np.ndarray:
    """Log-odds of each memory's line (memories × rows of the steps), refitted for each step on what was known at its beginning.

    Logistic regression on standardised numbers and one-hot categories, rows weighted by age. Raises NotEnoughData where fewer than 10
    known rows of either outcome are left at a step; a memory too short to hold both outcomes gives the rate of its own rows.
    """
    found = np.zeros((len(memories), steps[-1].stop - steps[0].first))
    for step in steps:
        past, outcomes = X.iloc[: step.known], require_classes(y[: step.known])
        design = Design.fit(past, categorical, at_least=max(RARE, int(RARE_SHARE * len(past))), clip=CLIP)
        learnt, asked = design.matrix(past), design.matrix(X.iloc[step.first : step.stop])
        place = slice(step.first - steps[0].first, step.stop - steps[0].first)
        for number, memory in enumerate(memories):
            weights = memory.weights(step.known)
            rows, mine = learnt[step.known - len(weights) :], outcomes[step.known - len(weights) :]
            if len(np.unique(mine)) < 2:
                found[number, place] = logit(_rate(mine, weights))
                continue
            line = LogisticRegression(C=1 / memory.penalty, solver="newton-cholesky").fit(rows, mine, sample_weight=weights)
            found[number, place] = asked @ line.coef_[0] + line.intercept_[0]
    return found


def refit_trees(
    X: pd.DataFrame, y: np.ndarray, steps: Sequence[Step], windows: Sequence[int | None], categorical: Sequence[str], seed: int = 0
) -> np.ndarray:
    """Log-odds (windows × rows of the steps) of trees grown anew at each step on the last `window` rows known then (None: on all).

    The last 15 % of those rows recalibrate. Where they hold too few outcomes for trees their rate is given.
    """
    found = np.zeros((len(windows), steps[-1].stop - steps[0].first))
    for step in steps:
        place = slice(step.first - steps[0].first, step.stop - steps[0].first)
        for number, window in enumerate(windows):
            begin = 0 if window is None else max(0, step.known - window)
            cut = step.known - int(CALIBRATION_SHARE * (step.known - begin))
            try:
                trees = OutcomeModel.fit(
                    X.iloc[begin:cut], y[begin:cut], calibration=(X.iloc[cut : step.known], y[cut : step.known]),
                    categorical=categorical, seed=seed, candidates=(TREES,), members=0,
                )  # fmt: skip
                found[number, place] = logit(trees.predict(X.iloc[step.first : step.stop]))
            except NotEnoughData:
                found[number, place] = logit(_rate(y[begin : step.known], np.ones(step.known - begin)))
    return found


def running_rate(y: np.ndarray, steps: Sequence[Step], memory: Memory) -> np.ndarray:
    """Log-odds of the weighted share of outcomes among the rows known at each step, one per row of the steps."""
    rates = []
    for step in steps:
        weights = memory.weights(step.known)
        rates.append(logit(_rate(y[step.known - len(weights) : step.known], weights)))
    return np.repeat(rates, [step.stop - step.first for step in steps])


def recalibrated(
    logits: np.ndarray, y: np.ndarray, steps: Sequence[Step], half_life: float, earlier: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """The log-odds (one per row of the steps) recalibrated at each step on earlier rows of it whose outcomes were known by then.

    A line in log-odds by recent outcomes, shrunk toward no change while there are few (`models.calibrators`). `earlier`: log-odds and
    outcomes of rows before the first step, not learnt from, that count as well.
    """
    start = steps[0].first
    before = (np.zeros(0), np.zeros(0)) if earlier is None else earlier
    found = np.zeros(len(logits))
    for step in steps:
        known = max(0, step.known - start)
        told = np.append(before[0], logits[:known])
        outcomes = np.append(before[1], y[start : start + known])
        weights = Memory(half_life).weights(len(told))
        line = Calibrator() if not len(weights) else fit_calibrator(told[-len(weights) :], outcomes[-len(weights) :], weights)
        place = slice(step.first - start, step.stop - start)
        found[place] = line.apply(logits[place])
    return found


def chosen(logits: np.ndarray, y: np.ndarray, steps: Sequence[Step], half_life: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds (one per row of the steps) of the candidate (rows of `logits`) that did best on earlier rows with known outcomes.

    Best is the least log loss, recent rows counting more; the first candidate where no outcome was known yet. Also which one, per step.
    """
    start = steps[0].first
    outcomes = y[start : start + logits.shape[1]]
    losses = np.logaddexp(0.0, logits) - outcomes * logits
    found, choices = np.zeros(logits.shape[1]), np.zeros(len(steps), dtype="int64")
    for number, step in enumerate(steps):
        weights = Memory(half_life).weights(max(0, step.known - start))
        known = max(0, step.known - start)
        if len(weights):
            choices[number] = int((losses[:, known - len(weights) : known] @ weights).argmin())
        place = slice(step.first - start, step.stop - start)
        found[place] = logits[choices[number], place]
    return found, choices


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The probabilities of log-odds, strictly between 0 and 1."""
    return expit(Calibrator().apply(logits))


def _rate(outcomes: np.ndarray, weights: np.ndarray) -> float:
    """Weighted share, (k + ½) / (n + 1), so never 0 or 1."""
    return float((weights @ outcomes + 0.5) / (weights.sum() + 1)) if len(weights) else 0.5
