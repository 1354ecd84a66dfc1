"""When drift was told: alarms from the inputs of later rows and from their outcomes, each with a stated rate of false alarms.

Both look at a stream of rows against a reference, the rows a model was learnt from, and keep their rate however long one looks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import beta, mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import OneHotEncoder

from salesml.errors import NotEnoughData
from salesml.evaluation.drift import ALPHA, Signal, sequential

TELLING = 0.55
"""A look is an alarm only where the classifier's AUC is above this: a sure but tiny difference is not worth one."""
TENTHS, SECTIONS = 10, 5
LOOKS_LEARNT, MOST_REFERENCE = 4, 2000
FEWEST_REFERENCE = 100
LIKE = 20.0
CHANGES_A_REFERENCE = 8
LOOKED = ["row", "auc", "p_value", "spent", "alarm"]


@dataclass(frozen=True)
class InputWatch:
    """Looks at the inputs of a stream. Grain: one row per look: row (stream rows seen), auc (of telling them from the reference's),
    p_value, spent (what of the false-alarm rate the look may use), alarm. `at`: stream rows seen at the first alarm, None without."""

    looks: pd.DataFrame
    alpha: float

    @property
    def at(self) -> int | None:
        """How many rows of the stream had been seen when it first alarmed; None where it never did."""
        rows = self.looks.loc[self.looks["alarm"], "row"]
        return None if rows.empty else int(rows.iloc[0])


@dataclass(frozen=True)
class RateWatch:
    """Evidence that the share of outcomes is not what it was: `path`, the capital after each outcome of the stream, and where it reached
    1 / alpha: `at` outcomes; None where it never did."""

    path: np.ndarray
    at: int | None
    alpha: float


@dataclass(frozen=True)
class FalseAlarms:
    """How often a watch alarmed on rows put in random order, where nothing drifts, and the 90 % interval of that rate (Jeffreys)."""

    alarms: int
    shuffles: int

    @property
    def rate(self) -> float:
        """Share of the shuffles with an alarm."""
        return self.alarms / self.shuffles

    @property
    def interval(self) -> tuple[float, float]:
        """Its 90 % interval."""
        posterior = beta(self.alarms + 0.5, self.shuffles - self.alarms + 0.5)
        return min(self.rate, float(posterior.ppf(0.05))), max(self.rate, float(posterior.ppf(0.95)))


def watch_inputs(
    reference: pd.DataFrame,
    stream: pd.DataFrame,
    categorical: Sequence[str],
    look: int,
    *,
    alpha: float = ALPHA,
    seed: int = 0,
    until_alarm: bool = False,
) -> InputWatch:
    """Look at the stream every `look` rows: can its newest rows be told from the reference's by what told the rows before them?

    A classifier two-sample test (Lopez-Paz and Oquab 2017) whose classifier (logistic, on tenths and levels) is learnt from one half of
    the reference and the four looks before, and judged on the other half and the newest look by the rank-sum test. Where rows may be
    exchanged each p-value holds; look k may spend 6 alpha / (pi k)² of the rate, so that any false alarm at all comes in at most `alpha`
    of the cases, however many looks there are. Raises NotEnoughData for a reference below 100 rows.
    """
    if len(reference) < FEWEST_REFERENCE:
        raise NotEnoughData(f"{len(reference)} rows to compare later ones with; at least {FEWEST_REFERENCE} are needed.")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(reference))[:MOST_REFERENCE]
    halves = [reference.iloc[np.sort(part)] for part in (drawn[::2], drawn[1::2])]
    code = _coder(halves[0], categorical)
    learnt, judged, told = code(halves[0]), code(halves[1]), code(stream)
    found: list[dict[str, object]] = []
    for number, end in enumerate(range(2 * look, len(stream) + 1, look), 1):
        before, newest = told[max(0, end - (1 + LOOKS_LEARNT) * look) : end - look], told[end - look : end]
        X = np.vstack([learnt, before])
        y = np.r_[np.zeros(len(learnt)), np.ones(len(before))]
        line = LogisticRegression(C=0.1, class_weight="balanced", solver="newton-cholesky").fit(X, y)
        scores = [line.decision_function(part) for part in (newest, judged)]
        test = mannwhitneyu(*scores, alternative="greater", method="asymptotic")
        auc, spent = float(test.statistic) / (len(newest) * len(judged)), 6 * alpha / (math.pi * number) ** 2
        alarm = bool(test.pvalue <= spent and auc > TELLING)
        found.append({"row": end, "auc": auc, "p_value": float(test.pvalue), "spent": spent, "alarm": alarm})
        if alarm and until_alarm:
            break
    return InputWatch(pd.DataFrame(found, columns=LOOKED).astype({"alarm": bool}), alpha)


def watch_rate(earlier: np.ndarray, y: np.ndarray, *, alpha: float = ALPHA) -> RateWatch:
    """Bet, outcome by outcome, that the share of outcomes in the stream is no longer that of the earlier ones.

    The odds are those of one share for all so far (Jeffreys prior). Bets are on a share that changed at a given outcome of the stream:
    the share since then, starting from the one before as if seen on 20 of the rarer outcome. The capital is spread over times of change,
    the k-th taking 1 / (k (k + 1)) of it. If the share never changed, the capital ever reaches 1 / alpha with probability at most alpha,
    over what the earlier outcomes leave open of it (a martingale of mixtures: Robbins 1970; Ville 1939). Raises NotEnoughData where the
    earlier outcomes are all alike.
    """
    share = float(np.mean(earlier)) if len(earlier) else 0.0
    if not 0 < share < 1:
        raise NotEnoughData("the earlier outcomes are all alike; both kinds are needed to tell whether their share has changed.")
    y = np.asarray(y, dtype="float64")
    rows, before = np.arange(len(y)), np.cumsum(y) - y
    same = (np.sum(earlier) + before + 0.5) / (len(earlier) + rows + 1)
    every = max(1, len(earlier) // CHANGES_A_REFERENCE)
    capital, staked = np.zeros(len(y)), 0.0
    for number, start in enumerate(range(0, len(y), every), 1):
        prior = LIKE / min(same[start], 1 - same[start])
        own = (prior * same[start] + before[start:] - before[start]) / (prior + rows[start:] - start)
        gains = np.where(y[start:] == 1, np.log(own / same[start:]), np.log((1 - own) / (1 - same[start:])))
        stake = 1 / (number * (number + 1))
        capital += stake * np.append(np.ones(start), np.exp(np.clip(np.cumsum(gains), -700, 700)))
        staked += stake
    capital += 1 - staked
    crossed = np.flatnonzero(capital >= 1 / alpha)
    return RateWatch(capital, int(crossed[0]) + 1 if len(crossed) else None, alpha)


def watch_outcomes(
    y: np.ndarray, p: np.ndarray, promise: tuple[np.ndarray, np.ndarray], *, alpha: float = ALPHA
) -> Signal:
    """`drift.sequential` over all rows and over fifths of the score: told are a wrong level, and a ranking that no longer holds.

    y, p: outcomes and probabilities in the order outcomes became known; `promise`: those of rows known at the beginning and not learnt
    from. Fifths are those of the promise.
    """
    edges = np.unique(np.quantile(promise[1], np.arange(1, SECTIONS) / SECTIONS))
    fifths = [pd.DataFrame({"fifth of the score": np.searchsorted(edges, scores, side="right")}) for scores in (promise[1], p)]
    return sequential(y, p, fifths[1], promise=(*promise, fifths[0]), alpha=alpha)


def false_alarms(alarms: Callable[[np.random.Generator], Sequence[bool]], shuffles: int, seed: int = 0) -> tuple[FalseAlarms, ...]:
    """Run watches (one answer each) on so many random orders of the rows, and count."""
    answers = np.array([alarms(np.random.default_rng([seed, number])) for number in range(shuffles)], dtype=bool)
    return tuple(FalseAlarms(int(count), shuffles) for count in answers.sum(axis=0))


def _coder(reference: pd.DataFrame, categorical: Sequence[str]) -> Callable[[pd.DataFrame], np.ndarray]:
    """Rows as zeros and ones: the tenth of each number among the reference's, the level of each category; missing is one of its own."""
    names = list(reference.columns)
    edges = {
        name: np.unique(np.quantile(known, np.arange(1, TENTHS) / TENTHS)) if len(known := reference[name].dropna()) else np.array([])
        for name in names
        if name not in set(categorical)
    }

    def levels(rows: pd.DataFrame) -> np.ndarray:
        columns = []
        for name in names:
            if name in edges:
                values = rows[name].to_numpy("float64")
                columns.append(np.where(np.isnan(values), -1, np.searchsorted(edges[name], values, side="right")).astype(str))
            else:
                columns.append(rows[name].astype("object").where(rows[name].notna(), "").map(str).to_numpy(dtype=str))
        return np.stack(columns, axis=1)

    fewest = max(5, len(reference) // 200)
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=fewest, sparse_output=False).fit(levels(reference))
    return lambda rows: np.asarray(encoder.transform(levels(rows)), dtype="float64")
