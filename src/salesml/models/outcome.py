"""The CatBoost outcome model: trained on early rows, stopped on later ones, recalibrated on still later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from catboost import CatBoost, CatBoostClassifier, EFstrType, Pool
from scipy.special import expit

from salesml.evaluation.bootstrap import row_weights
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.columns import infer_categorical, level_codes, levels_of, numbers, require_classes, select
from salesml.models.scorer import read_model, write_model

STOPPING_SHARE = 0.15  # the last part of the training rows, used to choose the number of trees


@dataclass(frozen=True)
class Settings:
    """How the trees grow: `depth` levels, at most `trees`, `members` of the bag for intervals, on `threads` cores."""

    depth: int = 6
    learning_rate: float = 0.08
    l2: float = 5.0
    trees: int = 600
    one_hot_up_to: int = 16
    members: int = 6
    threads: int = 2


class OutcomeModel:
    """Gradient-boosted trees with native categories, calibrated in log-odds; effects are exact SHAP values."""

    kind = "catboost"

    def __init__(
        self,
        features: Sequence[str],
        levels: dict[str, tuple[str, ...]],
        trees: CatBoost,
        calibrator: Calibrator,
        members: Sequence[tuple[CatBoost, Calibrator]],
        pooled: float,
        threads: int = 2,
    ) -> None:
        """`levels` of each categorical column; `members` are refits to resampled rows, used only by `interval`."""
        self.features, self.categorical = tuple(features), tuple(levels)
        self.levels, self.trees, self.calibrator = levels, trees, calibrator
        self.members, self.pooled, self.threads = tuple(members), pooled, threads

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
        settings: Settings = Settings(),
    ) -> OutcomeModel:
        """Fit on X, y, rows in time order, and recalibrate on later rows; `groups` name the entity of each row.

        The last 15 % of the rows choose the number of trees (entities found there are kept out of the earlier part),
        then all rows are fitted with it. Same data, seed and threads give the same model. Raises NotEnoughData where either
        class is too rare, BadInput where `calibration` lacks a column.
        """
        outcomes, features = require_classes(y), tuple(map(str, X.columns))
        names = infer_categorical(X) if categorical is None else tuple(categorical)
        levels = {name: levels_of(X[name]) for name in names}
        frame, later = _encoded(X, features, levels), _encoded(calibration[0], features, levels)
        chosen = replace(settings, trees=_tree_count(frame, outcomes, groups, names, settings, seed))
        pool, later_pool = Pool(frame, outcomes, cat_features=list(names)), Pool(later, cat_features=list(names))
        later_outcomes = np.asarray(calibration[1], dtype="float64")

        def grown(number: int, weights: np.ndarray | None) -> tuple[CatBoost, Calibrator]:
            trees = _grow(pool, chosen, seed + number)
            return trees, fit_calibrator(_raw(trees, later_pool, settings.threads), later_outcomes, weights)

        trees, calibrator = grown(0, None)
        members: list[tuple[CatBoost, Calibrator]] = []
        later_draws = row_weights(len(later), calibration_groups, settings.members, seed + 1)
        for weights in row_weights(len(frame), groups, settings.members, seed):
            later_weights = next(later_draws)
            if len(np.unique(outcomes[weights > 0])) == 2:
                pool.set_weight(weights)
                members.append(grown(len(members) + 1, later_weights))
        logits = np.array([c.apply(_raw(m, later_pool, settings.threads)) for m, c in members])
        pooled = pooled_variance(logits) if len(members) > 1 else 0.0
        return cls(features, levels, trees, calibrator, members, pooled, settings.threads)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Calibrated probability per row."""
        return expit(self.calibrator.apply(_raw(self.trees, self._pool(X), self.threads)))

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the calibrated probability from refits to rows resampled by entity, calibration included."""
        pool = self._pool(X)
        members = np.array([c.apply(_raw(m, pool, self.threads)) for m, c in self.members])
        return bag_interval(self.calibrator.apply(_raw(self.trees, pool, self.threads)), members, level, self.pooled)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The expected log-odds and each feature's SHAP value (Lundberg 2018), both calibrated."""
        shap = self.trees.get_feature_importance(self._pool(X), type=EFstrType.ShapValues, thread_count=self.threads)
        base = float(shap[0, -1]) if len(shap) else 0.0
        base, effects = self.calibrator.factors(base, shap[:, :-1])
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json, trees.cbm and one member_N.cbm per member of the bag."""
        content = {
            "features": list(self.features),
            "categorical": list(self.categorical),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "calibrator": vars(self.calibrator),
            "members": [vars(calibrator) for _, calibrator in self.members],
            "pooled": self.pooled,
            "threads": self.threads,
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
        levels = {name: tuple(c["levels"][name]) for name in c["categorical"]}
        trees = _read_trees(folder / "trees.cbm")
        return cls(c["features"], levels, trees, Calibrator(**c["calibrator"]), members, c["pooled"], c["threads"])

    def _pool(self, X: pd.DataFrame) -> Pool:
        return Pool(_encoded(X, self.features, self.levels), cat_features=list(self.categorical))


def _encoded(X: pd.DataFrame, features: Sequence[str], levels: dict[str, tuple[str, ...]]) -> pd.DataFrame:
    """Numbers as float32, categories as pandas categoricals of the known levels (CatBoost hashes each level once)."""
    chosen = select(X, features)
    columns: dict[str, object] = {}
    for name in features:
        if name in levels:
            codes = level_codes(chosen[name], levels[name])
            columns[name] = pd.Categorical.from_codes(codes, categories=pd.Index(levels[name]))
        else:
            columns[name] = numbers(chosen[name]).astype("float32")
    return pd.DataFrame(columns, index=X.index)


def _tree_count(
    frame: pd.DataFrame, y: np.ndarray, groups: np.ndarray | None, names: Sequence[str], settings: Settings, seed: int
) -> int:
    """The number of trees that did best on the last rows; at most 100 where either part lacks a class."""
    cut = int(len(frame) * (1 - STOPPING_SHARE))
    early = np.arange(len(frame)) < cut
    if groups is not None:
        early &= ~pd.Series(np.asarray(groups)).isin(np.asarray(groups)[cut:]).to_numpy()
    last = np.arange(len(frame)) >= cut
    if len(np.unique(y[early])) < 2 or len(np.unique(y[last])) < 2:
        return min(100, settings.trees)
    pools = [Pool(frame[part], y[part], cat_features=list(names)) for part in (early, last)]
    grown = _grow(pools[0], settings, seed, stop_on=pools[1])
    return max(1, int(grown.tree_count_))


def _grow(pool: Pool, settings: Settings, seed: int, stop_on: Pool | None = None) -> CatBoost:
    model = CatBoostClassifier(
        iterations=settings.trees,
        depth=settings.depth,
        learning_rate=settings.learning_rate,
        l2_leaf_reg=settings.l2,
        one_hot_max_size=settings.one_hot_up_to,
        random_seed=seed,
        thread_count=settings.threads,
        allow_writing_files=False,
        verbose=False,
    )
    return model.fit(pool, eval_set=stop_on, early_stopping_rounds=None if stop_on is None else 50)


def _raw(trees: CatBoost, pool: Pool, threads: int) -> np.ndarray:
    return np.asarray(trees.predict(pool, prediction_type="RawFormulaVal", thread_count=threads), dtype="float64")


def _read_trees(path: Path) -> CatBoost:
    return CatBoost().load_model(str(path))
