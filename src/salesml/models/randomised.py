"""Whether a table looks like a randomised experiment, and which of its columns were filled in with the outcome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier, Pool
from scipy.stats import chi2_contingency, norm, rankdata

from salesml.evaluation.metrics import Measured, auc
from salesml.models.columns import infer_categorical
from salesml.models.design import Design
from salesml.models.encoding import Encoder

REFUSED, ODD = 0.001, 0.05
"""p-values below which groups made by lot are not believed, and below which they are odd."""
CHANCE = 1e-6
LEAST = 20
RANGES = 10
FOLDS = 3


@dataclass(frozen=True)
class Balance:
    """How alike the two groups were before the treatment.

    columns: one row per column, the oddest first: column, difference (of means in standard deviations; of a category the greatest
    over its levels, without sign), p_value (chi-square over tenths or levels). told_apart: AUC of a model that tells the groups apart on
    rows it has not seen, with the 95 % range of chance around it; 0.5 is what a lot gives. p_value: of all of it together.
    """

    columns: pd.DataFrame
    told_apart: Measured
    p_value: float

    @property
    def verdict(self) -> str:
        """`random`, `odd` (p below 0.05) or `not random` (p below 0.001)."""
        return "not random" if self.p_value < REFUSED else "odd" if self.p_value < ODD else "random"


def balance(X: pd.DataFrame, treated: np.ndarray, *, seed: int = 0, threads: int = 1) -> Balance:
    """Compare the groups in everything known before the treatment: column by column, and by a model (Lopez-Paz and Oquab 2017).

    One row per person; treated 0/1. A lot gives p-values that are even between 0 and 1, however many rows there are.
    """
    w = np.asarray(treated, dtype="float64")
    names = infer_categorical(X)
    rows = [(str(name), _difference(X[[name]], w, name in names), _chance(X[name], w, name in names)) for name in X.columns]
    columns = pd.DataFrame(rows, columns=["column", "difference", "p_value"]).sort_values("p_value", ignore_index=True)
    apart, p_apart = _told_apart(X, w, list(names), seed, threads) if len(X.columns) else (Measured(0.5, 0.5, 0.5), 1.0)
    least = float(columns["p_value"].min()) * len(columns) if len(columns) else 1.0
    return Balance(columns, apart, min(1.0, 2 * min(least, p_apart)))


def filled_with_outcome(X: pd.DataFrame, y: np.ndarray) -> dict[str, str]:
    """Columns that follow from the outcome or that it follows from, by name with the reason: they were measured with it or after it.

    "Something else than its most common value" is compared between column and outcome; one that without exception goes with the
    other on so many rows that chance is out of the question (1e-6) is no fact from before the treatment.
    """
    outcome, found = _uncommon(pd.Series(y, index=X.index)), {}
    for name in X.columns:
        column = _uncommon(X[name])
        both, mine, its = int((column & outcome).sum()), int(column.sum()), int(outcome.sum())
        told = (
            (mine, both, outcome.mean(), "is filled in only where there is an outcome"),
            (its, both, column.mean(), "is filled in wherever there is an outcome"),
            (mine, mine - both, 1 - outcome.mean(), "is filled in only where there is no outcome"),
        )
        for count, together, share, reason in told:
            if count >= LEAST and count == together and count * np.log(max(share, 1e-300)) < np.log(CHANCE):
                found[str(name)] = f"{reason} ({count:,} rows)"
                break
    return found


def _uncommon(column: pd.Series) -> pd.Series:
    """Whether each value differs from the most common one, missing values counted as one value."""
    codes = pd.factorize(column, use_na_sentinel=False)[0]
    return pd.Series(codes != np.bincount(codes).argmax(), index=column.index)


def _difference(column: pd.DataFrame, w: np.ndarray, category: bool) -> float:
    """The standardised difference of the means (Austin 2009), the greatest over a category's levels and a number's missing flag."""
    matrix = Design.fit(column, infer_categorical(column) if category else (), at_least=LEAST, clip=np.inf).matrix(column)
    means = [matrix[w == group].mean(axis=0) for group in (1, 0)]
    spread = np.sqrt((matrix[w == 1].var(axis=0) + matrix[w == 0].var(axis=0)) / 2)
    found = np.divide(means[0] - means[1], spread, out=np.zeros(len(spread)), where=spread > 0)
    greatest = float(found[np.abs(found).argmax()])
    return abs(greatest) if category else greatest


def _chance(column: pd.Series, w: np.ndarray, category: bool) -> float:
    """p-value of the chi-square test of tenths or levels against the groups; levels with fewer than 20 rows count as one."""
    if not category and column.nunique() > RANGES:
        column = pd.qcut(column, RANGES, labels=False, duplicates="drop")
    codes = pd.factorize(column, use_na_sentinel=False)[0]
    counts = np.bincount(codes)
    codes = np.where(counts[codes] < LEAST, len(counts), codes)
    table = pd.crosstab(codes, w).to_numpy()
    return float(chi2_contingency(table, correction=False).pvalue) if min(table.shape) > 1 else 1.0


def _told_apart(X: pd.DataFrame, w: np.ndarray, names: list[str], seed: int, threads: int) -> tuple[Measured, float]:
    """AUC within folds of trees fitted on the others, its range under chance (Mann and Whitney 1947), one-sided p-value."""
    frame = Encoder.fit(X, names, with_repeats=False).encode(X)
    folds = np.random.default_rng(seed).integers(0, FOLDS, len(w))
    found, variance = [], 0.0
    for fold in range(FOLDS):
        inside = folds == fold
        trees = CatBoostClassifier(
            iterations=60, depth=3, learning_rate=0.1, l2_leaf_reg=10, one_hot_max_size=32, max_ctr_complexity=1, random_seed=seed,
            thread_count=threads, allow_writing_files=False, verbose=False,
        ).fit(Pool(frame[~inside], w[~inside], cat_features=names))  # fmt: skip
        p = np.asarray(trees.predict(Pool(frame[inside], cat_features=names), prediction_type="RawFormulaVal"))
        n1, n0 = float(w[inside].sum()), float((1 - w[inside]).sum())
        _, ties = np.unique(p, return_inverse=True)
        counts, n = np.bincount(ties).astype("float64"), n1 + n0
        tied = 1 - float((counts**3 - counts).sum()) / (n**3 - n)
        found.append(auc(w[inside], rankdata(p)))
        variance += (n + 1) * tied / (12 * n1 * n0) / FOLDS**2
    value, se = float(np.mean(found)), float(np.sqrt(variance))
    half = norm.ppf(0.975) * se
    return Measured(value, value - half, value + half), float(norm.sf((value - 0.5) / se)) if se > 0 else 1.0
