"""Who changes because of a treatment, learnt from a randomised experiment and shrunk to the average effect as far as it is not shown.

Learners are of three parts. The *proportional* part says that the treatment works on everybody alike in odds (yes/no outcomes) or per cent
(amounts): one model with the treatment as a feature, an S-learner, which moves people the more, the more they had room to move. The
*sparse* part lets few columns matter: a lasso (Tibshirani 1996) on the rows' unbiased readings of their effect. The *free* part lets
anything matter: the mean of a two-model line (T-learner), of X-learner trees (Künzel, Sekhon, Bickel and Yu 2019) and of DR-learner trees
(Kennedy 2020). How much of each is believed is decided by cross-fitting on the training rows: weights of 0 or more that bring the parts
nearest to the readings (causal stacking, Han and Wu 2022), drawn towards 0 by what chance would give. Where they do not surely help,
everybody is predicted alike, at the average effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoost, CatBoostClassifier, CatBoostRegressor, Pool
from scipy.optimize import nnls
from scipy.stats import norm, t
from sklearn.linear_model import LassoCV, LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from salesml.errors import BadInput, NotEnoughData
from salesml.evaluation import arrays
from salesml.evaluation.uplift import Scores, effect_scores
from salesml.models.columns import infer_categorical
from salesml.models.design import Design
from salesml.models.encoding import Encoder

FOLDS = 4
LEAST_ROWS, LEAST_OUTCOMES = 100, 20
"""Of each group: rows, and rows that do not have the most common outcome."""
PARTS, SURE, DRAWN = 3, 2.33, 2
"""Standard errors by which the parts must help on rows held out: without differences 1 set in 20 passes (three weights, none below 0: a
mixture of chi-squares, Self and Liang 1987). What is believed is then multiplied by 1 - DRAWN over their square (James and Stein 1961)."""
WIDER = 1.4
"""As `bag.WIDER`: refits do not show the bias of what is shrunk."""
RARE, CLIP, COEFFICIENT = 20, 5.0, 0.5
ALPHAS, LASSO_FOLDS = 30, 5
TREES: dict[str, Any] = {
    "iterations": 80, "depth": 3, "learning_rate": 0.08, "l2_leaf_reg": 30, "border_count": 64, "one_hot_max_size": 32,
    "max_ctr_complexity": 1, "allow_writing_files": False, "verbose": False,
}  # fmt: skip


@dataclass(frozen=True)
class Learners:
    """The fitted learners of one set of rows. `kind`: of outcome: chance (0/1), amount (0 or more), number."""

    kind: str
    design: Design
    encoder: Encoder
    centres: np.ndarray
    lines: dict[str, Any] = field(repr=False)
    trees: dict[str, CatBoost] = field(repr=False)
    propensity: float = 0.5

    @classmethod
    def fit(cls, X: pd.DataFrame, treated: np.ndarray, y: np.ndarray, kind: str, seed: int, threads: int) -> Learners:
        """Fit all learners; treated and y as floats, both groups among the rows."""
        names = infer_categorical(X)
        design, encoder = Design.fit(X, names, at_least=RARE, clip=CLIP), Encoder.fit(X, names, with_repeats=False)
        matrix, frame = design.matrix(X), encoder.encode(X)
        centres, w = matrix.mean(axis=0), treated == 1
        matrix, chance, categories = matrix - centres, float(treated.mean()), list(names)
        lines = {
            "both": _line(kind, y).fit(np.c_[matrix, treated], y),
            "treated": _line(kind, y[w]).fit(matrix[w], y[w]),
            "control": _line(kind, y[~w]).fit(matrix[~w], y[~w]),
        }

        def grown(rows: np.ndarray, goal: np.ndarray, chances: bool = False) -> CatBoost:
            maker = CatBoostClassifier if chances else CatBoostRegressor
            return maker(**TREES, random_seed=seed, thread_count=threads).fit(Pool(frame[rows], goal, cat_features=categories))

        trees = {name: grown(rows, y[rows], kind == "chance") for name, rows in (("treated", w), ("control", ~w))}
        pool = Pool(frame, cat_features=categories)
        m1, m0 = (_told(trees[name], pool, kind) for name in ("treated", "control"))
        readings = effect_scores(y, treated, chance, m1, m0).effect
        trees |= {
            "gain": grown(w, (y - m0)[w]),
            "loss": grown(~w, (m1 - y)[~w]),
            "effect": grown(np.ones(len(y), dtype=bool), readings),
        }
        folds = KFold(LASSO_FOLDS, shuffle=True, random_state=seed)
        lines["sparse"] = make_pipeline(StandardScaler(), LassoCV(alphas=ALPHAS, cv=folds, max_iter=10_000)).fit(matrix, readings)
        return cls(kind, design, encoder, centres, lines, trees, chance)

    def parts(self, X: pd.DataFrame) -> np.ndarray:
        """Uplift by the proportional, the sparse and the free part, rows × 3."""
        matrix, pool = self._prepared(X)
        none, all_ = np.zeros((len(X), 1)), np.ones((len(X), 1))
        both = [self._line("both", np.hstack([matrix, given])) for given in (all_, none)]
        two = self._line("treated", matrix) - self._line("control", matrix)
        gain, loss, effect = (np.asarray(self.trees[name].predict(pool), dtype="float64") for name in ("gain", "loss", "effect"))
        crossed = (1 - self.propensity) * gain + self.propensity * loss
        return np.stack([both[0] - both[1], self.lines["sparse"].predict(matrix), (two + crossed + effect) / 3], axis=1)

    def means(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Expected outcome if treated and if not: mean of line and trees."""
        matrix, pool = self._prepared(X)
        found = [(self._line(name, matrix) + _told(self.trees[name], pool, self.kind)) / 2 for name in ("treated", "control")]
        return found[0], found[1]

    def _prepared(self, X: pd.DataFrame) -> tuple[np.ndarray, Pool]:
        return self.design.matrix(X) - self.centres, Pool(self.encoder.encode(X), cat_features=list(self.encoder.levels))

    def _line(self, name: str, matrix: np.ndarray) -> np.ndarray:
        model = self.lines[name]
        return model.predict_proba(matrix)[:, 1] if self.kind == "chance" else model.predict(matrix)


@dataclass(frozen=True)
class UpliftModel:
    """Predicts the uplift of people from what is known of them before the treatment.

    average: effect on all training rows, `average_se` its standard error. weights: what is believed of the three parts (all 0: everybody
    alike); shown: standard errors by which differences showed on rows held out; raw: the weights before they were drawn towards 0.
    members: refits to resampled rows with their parts' means, for `interval` only.
    """

    learners: Learners
    average: float
    average_se: float
    centres: np.ndarray
    weights: np.ndarray
    raw: np.ndarray
    shown: float
    members: tuple[tuple[Learners, np.ndarray], ...] = ()

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        treated: np.ndarray,
        y: np.ndarray,
        *,
        groups: np.ndarray | None = None,
        members: int = 0,
        seed: int = 0,
        threads: int = 1,
    ) -> UpliftModel:
        """Fit on one row per person, treated 0/1 by lot at one chance for all, y 0/1 or a number.

        `groups`: rows of one entity stay in one fold. Same data, seed and threads give the same model. Raises BadInput for values that
        are no numbers, NotEnoughData below 100 rows of either group, or 20 of either that do not have the most common outcome.
        """
        w, outcome, kind = _checked(treated, y)
        if not len(X.columns):
            raise NotEnoughData("no column is left to tell people apart by; keep one that was known before the treatment")
        X, codes = X.reset_index(drop=True), _codes(groups, len(w))
        folds = np.random.default_rng(seed).integers(0, FOLDS, int(codes.max()) + 1)[codes]
        parts, scores = np.zeros((len(w), PARTS)), Scores(np.zeros(len(w)), np.zeros(len(w)))
        for fold in range(FOLDS):
            inside = folds == fold
            learners = Learners.fit(X[~inside], w[~inside], outcome[~inside], kind, seed, threads)
            parts[inside] = learners.parts(X[inside])
            told = effect_scores(outcome[inside], w[inside], float(w.mean()), *learners.means(X[inside]))
            scores.treated[inside], scores.control[inside] = told.treated, told.control
        effects = scores.effect
        raw, shown = _believed(parts, effects, folds, codes)
        weights = raw * (1 - DRAWN / shown**2) if shown > SURE else np.zeros(PARTS)
        learners = Learners.fit(X, w, outcome, kind, seed, threads)
        se = float(np.sqrt((np.bincount(codes, effects - effects.mean()) ** 2).sum())) / len(w)
        bag = _bag(X, w, outcome, kind, codes, members, seed, threads) if weights.any() else ()
        return cls(learners, float(effects.mean()), se, learners.parts(X).mean(axis=0), weights, raw, shown, bag)

    @property
    def alike(self) -> bool:
        """Whether everybody is predicted the average effect, as nothing surely tells people apart."""
        return not self.weights.any()

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Uplift per row, in the outcome's unit."""
        return self.average + self._own(X, self.weights)

    def signal(self, X: pd.DataFrame) -> np.ndarray:
        """Uplift as the learners would have it, neither drawn towards the average nor withheld: for tests of heterogeneity alone."""
        return self.average + self._own(X, self.raw)

    def means(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Expected outcome if treated and if not, for `effect_scores`; their difference is not the predicted uplift."""
        return self.learners.means(X)

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of the mean uplift of people like each row, from refits to resampled rows; without members, of the average effect.

        Moderated variance as in `bag.bag_interval`. What no learner can see is not in it.
        """
        found = self.predict(X)
        if len(self.members) < 2:
            half = norm.ppf((1 + level) / 2) * np.full(len(found), self.average_se)
            return found - half, found + half
        told = np.array([(learners.parts(X) - centres) @ self.weights for learners, centres in self.members])
        variance, freedom = told.var(axis=0, ddof=1), len(self.members) - 1
        spread = np.sqrt((variance + variance.mean()) / 2 + self.average_se**2)
        half = WIDER * t.ppf((1 + level) / 2, 2 * freedom) * spread
        return found - half, found + half

    def _own(self, X: pd.DataFrame, weights: np.ndarray) -> np.ndarray:
        return (self.learners.parts(X) - self.centres) @ weights if weights.any() else np.zeros(len(X))


def crossfitted(
    X: pd.DataFrame,
    treated: np.ndarray,
    y: np.ndarray,
    folds: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    seed: int = 0,
    threads: int = 1,
) -> pd.DataFrame:
    """Each row judged by a model fitted on the other folds: predicted, signal, mean_treated, mean_control, alike; indexed as X.

    Models, their weights and their decision that everybody is alike are made on the other folds alone. Raises as `UpliftModel.fit`.
    """
    w, outcome, _ = _checked(treated, y)
    codes, found = _codes(groups, len(w)), []
    for fold in np.unique(folds):
        inside = np.asarray(folds) == fold
        model = UpliftModel.fit(X[~inside], w[~inside], outcome[~inside], groups=codes[~inside], seed=seed, threads=threads)
        m1, m0 = model.means(X[inside])
        told = {"predicted": model.predict(X[inside]), "signal": model.signal(X[inside]), "mean_treated": m1, "mean_control": m0}
        found.append(pd.DataFrame({**told, "alike": model.alike}, index=np.flatnonzero(inside)))
    return pd.concat(found).sort_index().set_axis(X.index)


def _checked(treated: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
    w, outcome = arrays.numbers(treated=np.asarray(treated), y=np.asarray(y))
    if not np.isin(w, (0.0, 1.0)).all():
        raise BadInput("treated must be 0 or 1", column="treated", value=str(w[~np.isin(w, (0.0, 1.0))][0]))
    values, counts = np.unique(outcome, return_counts=True)
    other = outcome != values[counts.argmax()]
    for name, group in (("treated", w == 1), ("not treated", w == 0)):
        if group.sum() < LEAST_ROWS or other[group].sum() < LEAST_OUTCOMES:
            raise NotEnoughData(
                f"{group.sum():,} rows are {name}, {other[group].sum():,} of them with another outcome than the most common; "
                f"{LEAST_ROWS} and {LEAST_OUTCOMES} are needed to tell whom a treatment changes"
            )
    chance = set(values) <= {0.0, 1.0}
    return w, outcome, "chance" if chance else "amount" if values[0] >= 0 else "number"


def _codes(groups: np.ndarray | None, rows: int) -> np.ndarray:
    return np.arange(rows) if groups is None else pd.factorize(np.asarray(groups), use_na_sentinel=False)[0]


def _line(kind: str, y: np.ndarray) -> Any:
    """A generalised linear model on standardised columns, its coefficients drawn to 0 as if about 0.5 large."""
    if kind == "chance":
        return LogisticRegression(C=COEFFICIENT**2, solver="newton-cholesky", max_iter=200)
    if kind == "amount":
        return PoissonRegressor(alpha=float(y.var() / y.mean()) / (len(y) * COEFFICIENT**2), solver="newton-cholesky")
    return Ridge(alpha=1 / COEFFICIENT**2)


def _told(trees: CatBoost, pool: Pool, kind: str) -> np.ndarray:
    found = trees.predict(pool, prediction_type="Probability")[:, 1] if kind == "chance" else trees.predict(pool)
    return np.asarray(found, dtype="float64")


def _believed(parts: np.ndarray, effects: np.ndarray, folds: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of the parts that come nearest to the readings, none below 0, and by how many standard errors they help."""
    centred = np.column_stack([parts, effects])
    for fold in np.unique(folds):
        centred[folds == fold] -= centred[folds == fold].mean(axis=0)
    spreads = centred[:, :PARTS].std(axis=0)
    scale = np.where(spreads > 1e-9 * max(float(np.abs(parts).max()), 1e-300), spreads, np.inf)  # a part that is constant has no say
    matrix, goal = centred[:, :PARTS] / scale, centred[:, PARTS]
    weights, _ = nnls(matrix, goal)
    told = matrix @ weights
    if not (spread := float(told @ told)) > 0:
        return np.zeros(PARTS), 0.0
    slope = float(told @ goal) / spread
    se = float(np.sqrt((np.bincount(codes, told * (goal - slope * told)) ** 2).sum())) / spread
    return weights / scale, slope / se if se > 0 else 0.0


def _bag(
    X: pd.DataFrame, w: np.ndarray, y: np.ndarray, kind: str, codes: np.ndarray, members: int, seed: int, threads: int
) -> tuple[tuple[Learners, np.ndarray], ...]:
    """Learners refitted to entities drawn with replacement, those with too few outcomes of a group left out."""
    rng, found = np.random.default_rng(seed + 1), []
    for number in range(members):
        count = np.bincount(rng.integers(0, int(codes.max()) + 1, int(codes.max()) + 1), minlength=int(codes.max()) + 1)
        rows = np.repeat(np.arange(len(w)), count[codes])
        if all(len(np.unique(y[rows][w[rows] == group])) > 1 for group in (0, 1)):
            drawn = Learners.fit(X.iloc[rows], w[rows], y[rows], kind, seed + 1 + number, threads)
            found.append((drawn, drawn.parts(X).mean(axis=0)))
    return tuple(found)
