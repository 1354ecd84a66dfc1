"""Boosted trees of a yes/no answer on a matrix of numbers, their settings tried on later rows with Optuna."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import optuna
from catboost import CatBoost, CatBoostClassifier, Pool

PATIENCE = 100
MOST_TREES = 400
STEP = 10
"""Trees are counted in tens."""


@dataclass(frozen=True)
class Growth:
    """How the trees grow; `log_loss` on the later rows they were tried on, None where they were not tried."""

    depth: int = 4
    learning_rate: float = 0.08
    l2: float = 50.0
    trees: int = 150
    log_loss: float | None = None


def tune(
    early: tuple[np.ndarray, np.ndarray],
    later: tuple[np.ndarray, np.ndarray],
    beside: np.ndarray,
    *,
    trials: int,
    seed: int,
    threads: int,
) -> Growth:
    """Of `trials` settings (Optuna's TPE, the usual first) the best on the later rows, with the number of trees best there.

    Judged is the mean with the log-odds that stand `beside` the trees on the later rows: half of a sum wants trees that say
    more than they would alone. Both parts have both answers.
    """
    pool, stop_on = Pool(*early), Pool(*later)
    found: list[Growth] = []

    def objective(trial: optuna.Trial) -> float:
        tried = Growth(
            depth=trial.suggest_int("depth", 2, 6),
            l2=trial.suggest_float("l2", 3.0, 300.0, log=True),
            trees=MOST_TREES,
        )
        grown = grow(pool, tried, seed, threads, stop_on)
        stages = grown.staged_predict(stop_on, "RawFormulaVal", eval_period=STEP, thread_count=threads)
        losses = [_log_loss(later[1], (np.asarray(trees) + beside) / 2) for trees in stages]
        best = int(np.argmin(losses))
        found.append(replace(tried, trees=min((best + 1) * STEP, int(grown.tree_count_)), log_loss=losses[best]))
        return losses[best]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=3))
    study.enqueue_trial({"depth": Growth.depth, "l2": Growth.l2})
    study.optimize(objective, n_trials=trials)
    return min(found, key=lambda growth: growth.log_loss or 0.0)


def grow(pool: Pool, growth: Growth, seed: int, threads: int, stop_on: Pool | None = None) -> CatBoost:
    """The trees of these settings; with `stop_on`, no more than PATIENCE after those that are best there alone."""
    model = CatBoostClassifier(
        iterations=growth.trees,
        depth=growth.depth,
        learning_rate=growth.learning_rate,
        l2_leaf_reg=growth.l2,
        border_count=64,
        boost_from_average=True,
        random_seed=seed,
        thread_count=threads,
        allow_writing_files=False,
        verbose=False,
        use_best_model=False,
    )
    return model.fit(pool, eval_set=stop_on, early_stopping_rounds=None if stop_on is None else PATIENCE)


def _log_loss(y: np.ndarray, log_odds: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, log_odds) - y * log_odds))


def raw(trees: CatBoost, rows: Pool, threads: int) -> np.ndarray:
    """Log-odds per row."""
    return np.asarray(trees.predict(rows, prediction_type="RawFormulaVal", thread_count=threads), dtype="float64")
