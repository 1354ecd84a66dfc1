"""The CatBoost outcome model: trained on early rows, stopped on later ones, recalibrated on still later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from catboost import CatBoost, CatBoostClassifier, Pool
from scipy.special import expit

from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import row_weights
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import infer_categorical, require_classes
from salesml.models.encoding import Encoder
from salesml.models.scorer import read_model, write_model
from salesml.models.tree_effects import TreeEffects

STOPPING_SHARE = 0.15  # the last part of the training rows, used to choose settings and the number of trees


@dataclass(frozen=True)
class Settings:
    """How the trees grow: `depth` levels, at most `trees`; `repeats` also uses how common and how round numbers are."""

    depth: int = 6
    learning_rate: float = 0.08
    l2: float = 5.0
    trees: int = 600
    repeats: bool = False


@dataclass(frozen=True)
class Trial:
    """Settings tried on the last training rows: the log loss there (None if it could not be had), the trees used."""

    settings: Settings
    trees: int
    log_loss: float | None


class OutcomeModel:
    """Gradient-boosted trees with native categories, calibrated in log-odds; effects are exact SHAP values."""

    kind = "catboost"

    def __init__(
        self,
        encoder: Encoder,
        trees: CatBoost,
        calibrator: Calibrator,
        members: Sequence[tuple[CatBoost, Calibrator]],
        pooled: float,
        threads: int = 2,
        trials: Sequence[Trial] = (),
    ) -> None:
        """`members` are refits to resampled rows, for `interval` only; `trials` tell how the settings were chosen."""
        self.encoder, self.trees, self.calibrator = encoder, trees, calibrator
        self.features, self.categorical = encoder.features, tuple(encoder.levels)
        self.members, self.pooled, self.threads, self.trials = tuple(members), pooled, threads, tuple(trials)

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        calibration: tuple[pd.DataFrame, np.ndarray],
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
        candidates: Sequence[Settings] = (Settings(),),
        members: int = 6,
        threads: int = 2,
    ) -> OutcomeModel:
        """Fit on X, y, rows in time order, and recalibrate on later rows; `groups` name the entity of each row.

        The last 15 % of the rows choose among `candidates` and the number of trees (entities found there are kept out
        of the earlier part), then all rows are fitted. Same data, seed and threads give the same model. Raises
        NotEnoughData where either class is too rare or no feature varies, BadInput where `calibration` lacks a column.
        """
        outcomes, later_outcomes = require_classes(y), np.asarray(calibration[1], dtype="float64")
        names = infer_categorical(X) if categorical is None else tuple(categorical)
        trials = [_try(X, outcomes, groups, names, settings, seed, threads) for settings in candidates]
        best = min(trials, key=lambda trial: np.inf if trial.log_loss is None else trial.log_loss)
        chosen = replace(best.settings, trees=best.trees)
        encoder = Encoder.fit(X, names, with_repeats=chosen.repeats, groups=groups)
        frame = encoder.encode(X, trained_on=True)
        if not _varies(frame):
            raise NotEnoughData("every feature has one value only in the training rows; a model needs one that varies.")
        pool = Pool(frame, outcomes, cat_features=list(names))
        later = Pool(encoder.encode(calibration[0]), cat_features=list(names))

        def grown(number: int, weights: np.ndarray | None) -> tuple[CatBoost, Calibrator]:
            trees = _grow(pool, chosen, seed + number, threads)
            return trees, fit_calibrator(_raw(trees, later, threads), later_outcomes, weights)

        trees, calibrator = grown(0, None)
        bag: list[tuple[CatBoost, Calibrator]] = []
        later_draws = row_weights(len(later_outcomes), calibration_groups, members, seed + 1)
        for weights in row_weights(len(outcomes), groups, members, seed):
            later_weights = next(later_draws)
            if len(np.unique(outcomes[weights > 0])) == 2:
                pool.set_weight(weights)
                bag.append(grown(len(bag) + 1, later_weights))
        logits = np.array([member_calibrator.apply(_raw(member, later, threads)) for member, member_calibrator in bag])
        pooled = pooled_variance(logits) if len(bag) > 1 else 0.0
        return cls(encoder, trees, calibrator, bag, pooled, threads, trials)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Calibrated probability per row."""
        return expit(self.calibrator.apply(_raw(self.trees, self._pool(X), self.threads)))

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the calibrated probability from refits to rows resampled by entity, calibration included."""
        pool = self._pool(X)
        members = np.array([calibrator.apply(_raw(member, pool, self.threads)) for member, calibrator in self.members])
        return bag_interval(self.calibrator.apply(_raw(self.trees, pool, self.threads)), members, level, self.pooled)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The expected log-odds and each feature's SHAP value (Lundberg 2018), both calibrated."""
        leaves = self.trees.calc_leaf_indexes(self._pool(X), thread_count=self.threads)
        shap = self.encoder.folded(self._effects.effects(leaves))
        base, effects = self.calibrator.factors(self._effects.base, shap)
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json, trees.cbm and one member_N.cbm per member of the bag."""
        content = {
            **self.encoder.to_json(),
            "calibrator": vars(self.calibrator),
            "members": [vars(calibrator) for _, calibrator in self.members],
            "pooled": self.pooled,
            "threads": self.threads,
            "trials": [asdict(trial) for trial in self.trials],
        }
        write_model(folder, self.kind, content)
        self.trees.save_model(str(folder / "trees.cbm"))
        for number, (member, _) in enumerate(self.members):
            member.save_model(str(folder / f"member_{number}.cbm"))

    @classmethod
    def load(cls, folder: Path) -> OutcomeModel:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        members = [
            (_read_trees(folder / f"member_{number}.cbm"), Calibrator(**calibrator))
            for number, calibrator in enumerate(c["members"])
        ]
        trials = [Trial(Settings(**t["settings"]), t["trees"], t["log_loss"]) for t in c["trials"]]
        trees, calibrator = _read_trees(folder / "trees.cbm"), Calibrator(**c["calibrator"])
        return cls(Encoder.from_json(c), trees, calibrator, members, c["pooled"], c["threads"], trials)

    @cached_property
    def _effects(self) -> TreeEffects:
        return TreeEffects(self.trees)

    def _pool(self, X: pd.DataFrame) -> Pool:
        return Pool(self.encoder.encode(X), cat_features=list(self.categorical))


def _try(
    X: pd.DataFrame,
    y: np.ndarray,
    groups: np.ndarray | None,
    names: Sequence[str],
    settings: Settings,
    seed: int,
    threads: int,
) -> Trial:
    """Train on the early rows, stop on the last; at most 100 trees and no loss where that cannot be done."""
    last = np.arange(len(X)) >= int(len(X) * (1 - STOPPING_SHARE))
    entities = np.arange(len(X)) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]
    early = ~np.isin(entities, entities[last])
    encoder = Encoder.fit(X[early], names, with_repeats=settings.repeats, groups=entities[early])
    frame = encoder.encode(X[early], trained_on=True)
    if len(np.unique(y[early])) < 2 or len(np.unique(y[last])) < 2 or not _varies(frame):
        return Trial(settings, min(100, settings.trees), None)
    pool = Pool(frame, y[early], cat_features=list(names))
    grown = _grow(pool, settings, seed, threads, Pool(encoder.encode(X[last]), y[last], cat_features=list(names)))
    return Trial(settings, max(1, int(grown.tree_count_)), float(grown.best_score_["validation"]["Logloss"]))


def _varies(frame: pd.DataFrame) -> bool:
    return any(frame[name].nunique(dropna=False) > 1 for name in frame)


def _grow(pool: Pool, settings: Settings, seed: int, threads: int, stop_on: Pool | None = None) -> CatBoost:
    model = CatBoostClassifier(
        iterations=settings.trees,
        depth=settings.depth,
        learning_rate=settings.learning_rate,
        l2_leaf_reg=settings.l2,
        one_hot_max_size=32,
        max_ctr_complexity=1,
        random_seed=seed,
        thread_count=threads,
        allow_writing_files=False,
        verbose=False,
    )
    return model.fit(pool, eval_set=stop_on, early_stopping_rounds=None if stop_on is None else 50)


def _raw(trees: CatBoost, pool: Pool, threads: int) -> np.ndarray:
    if not pool.num_row():
        return np.zeros(0)
    return np.asarray(trees.predict(pool, prediction_type="RawFormulaVal", thread_count=threads), dtype="float64")


def _read_trees(path: Path) -> CatBoost:
    return CatBoost().load_model(str(path))
