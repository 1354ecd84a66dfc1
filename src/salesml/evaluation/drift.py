"""Drift: whether later rows look like earlier ones, and whether probabilities still mean what they said.

Inputs are compared on one row per entity, so that rows may be exchanged between the two windows: every limit is what
exchanging them at random gives, and fits the sample. Outcomes are followed by a sequential test whose false-alarm rate holds
however often one looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import false_discovery_control

from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.metrics import Measured, measure

FEWEST_ROWS = 30
MATERIAL = 0.1
"""PSI below which a sure difference is not worth a look (the usual reading: 0.1 some, 0.25 much)."""
LEVELS, BINS = 20, 10
MOVED = ["feature", "kind", "psi", "psi_limit", "distance", "p_value", "q_value", "missing_then", "missing_now", "moved"]
ALPHA = 0.05
TOLERANCE = 0.2
"""Log-odds by which a score may be off without being called wrong: 5 points at a probability of one half."""
PRIOR = 2.0
"""Information, the sum of p (1 - p), that a section starts with at no offset: some 10 deals."""
BOLDEST = 2.0
EVERYTHING = "all deals"


def one_each(
    reference: pd.DataFrame, recent: pd.DataFrame, entity: str, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One random row of every entity, in one of the two windows; which one is drawn evenly where it is found in both.

    With windows of one length nothing but the window then tells the two frames apart, and their rows may be exchanged.
    """
    both = pd.concat([reference.assign(_recent=False), recent.assign(_recent=True)], ignore_index=True)
    mixed = both.sample(frac=1, random_state=seed)
    kept = mixed.drop_duplicates([entity, "_recent"]).sample(frac=1, random_state=seed + 1).drop_duplicates(entity)
    kept = kept.sort_values(entity, kind="stable")
    parts = [kept[kept["_recent"] == late].drop(columns="_recent").reset_index(drop=True) for late in (False, True)]
    return parts[0], parts[1]


def moved(
    reference: pd.DataFrame,
    recent: pd.DataFrame,
    categorical: Sequence[str] = (),
    *,
    level: float = 0.05,
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Which columns of the recent rows no longer look like the reference's; rows are independent, one per entity.

    Grain: one row per column, the most moved first: psi (population stability index over pooled tenths or levels, missing
    apart) and psi_limit, the 95 % point of psi where rows are exchanged at random; distance (Kolmogorov-Smirnov of numbers,
    total variation of categories) with its p_value by the same exchanges and q_value (Benjamini-Hochberg); missing_then,
    missing_now (shares). `moved`: q_value below `level`, psi above its limit and above 0.1. Where nothing has changed, any
    column at all is called moved in at most `level` of the cases. Raises NotEnoughData below 30 rows in a window.
    """
    _enough(reference, recent)
    rows = pd.concat([reference, recent], ignore_index=True)
    now = np.arange(len(rows)) >= len(reference)
    draws = max(draws, math.ceil(2 * len(reference.columns) / level))  # else no single column could be sure
    rng = np.random.default_rng(seed)
    labels = np.stack([now, *(rng.permutation(now) for _ in range(draws))]).astype("float32")
    found = [_compared(name, rows[name], name in set(categorical), labels, now) for name in reference.columns]
    frame = pd.DataFrame(found)
    frame["q_value"] = false_discovery_control(frame["p_value"])
    sure = (frame["q_value"] <= level) & (frame["psi"] > frame["psi_limit"])
    frame["moved"] = sure & (frame["psi"] > MATERIAL)
    return frame.sort_values(["moved", "psi"], ascending=False, kind="stable", ignore_index=True)[MOVED]


def two_sample_auc(
    reference: pd.DataFrame, recent: pd.DataFrame, categorical: Sequence[str] = (), *, seed: int = 0
) -> Measured:
    """How well small trees tell recent rows from the reference's: 0.5 not at all, 1 always (Lopez-Paz and Oquab 2017).

    Rows are scored by trees that have not seen them (5 folds); 90 % interval by resampling rows. Rows as for `moved`.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    _enough(reference, recent)
    rows = pd.concat([reference, recent], ignore_index=True)
    held = [name for name in rows if rows[name].notna().any()]
    columns = {name: _levels(rows[name]) if name in set(categorical) else rows[name].astype("float64") for name in held}
    y = (np.arange(len(rows)) >= len(reference)).astype("int64")
    trees = HistGradientBoostingClassifier(
        max_iter=60, max_leaf_nodes=8, learning_rate=0.1, categorical_features="from_dtype", random_state=seed
    )
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    p = cross_val_predict(trees, pd.DataFrame(columns), y, cv=folds, method="predict_proba")[:, 1]
    return measure(y, np.clip(p, 1e-6, 1 - 1e-6), np.full(len(y), y.mean()), seed=seed)["auc"]


def surprise(y: np.ndarray, p: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0) -> Measured:
    """Mean log loss minus what it would be if the probabilities were right (their entropy), in nats: 0 whatever the mix of rows.

    Above 0: outcomes were less likely than said. 90 % interval resampled by entity.
    """
    y, p = np.asarray(y, dtype="float64"), np.asarray(p, dtype="float64")
    excess = (p - y) * logit(p)  # log loss minus entropy, row by row
    draws = [float(w @ excess / w.sum()) for w in row_weights(len(y), groups, 400, seed)]
    return Measured(float(excess.mean()), *percentile_interval(draws))


def gap(y: np.ndarray, p: np.ndarray, groups: np.ndarray | None = None, *, seed: int = 0) -> Measured:
    """Mean outcome minus mean probability, with its 90 % interval resampled by entity."""
    apart = np.asarray(y, dtype="float64") - np.asarray(p, dtype="float64")
    draws = [float(w @ apart / w.sum()) for w in row_weights(len(apart), groups, 400, seed)]
    return Measured(float(apart.mean()), *percentile_interval(draws))


def shares(y: pd.Series, p: pd.Series, groups: pd.Series) -> dict[str, float]:
    """rows, entities, predicted (mean probability), observed (share of outcomes) and lo, hi, its 90 % interval by entity.

    The interval is that of the difference from the mean probability, laid around it.
    """
    found, mean = gap(y.to_numpy(), p.to_numpy(), groups.to_numpy()), float(p.mean())
    lo, hi = max(0.0, mean + found.lo), min(1.0, mean + found.hi)
    counts = {"rows": len(y), "entities": groups.nunique()}
    return counts | {"predicted": mean, "observed": mean + found.value, "lo": lo, "hi": hi}


@dataclass(frozen=True)
class Signal:
    """A sequential test that probabilities mean what they say, after the outcomes so far, in the order they became known.

    `evidence` is the greatest e-value reached, `path` its value after each outcome; `alarm` where it reached 1 / alpha, first at
    outcome `at` (0 = first). `strongest`: the section of the rows that gave most of it.
    """

    evidence: float
    path: np.ndarray
    at: int | None
    strongest: str
    alpha: float

    @property
    def alarm(self) -> bool:
        """Whether the probabilities have lost their meaning."""
        return self.at is not None


def sequential(
    y: np.ndarray,
    p: np.ndarray,
    sections: pd.DataFrame | None = None,
    *,
    promise: tuple[np.ndarray, np.ndarray, pd.DataFrame] | None = None,
    alpha: float = ALPHA,
    tolerance: float = TOLERANCE,
) -> Signal:
    """Bet against the probabilities, outcome by outcome, each bet made of earlier outcomes only (a test by betting).

    For all rows, and for each level of each column of `sections`, the offset in log-odds seen so far is bet on where it
    exceeds the tolerance; the capital, averaged over columns, is an e-value. If every outcome was within the tolerance of what
    was said, the capital ever reaches 1 / alpha in at most a share alpha of all series, however often one looks (Ville 1939;
    Shafer 2021). One outcome per entity, in the order they became known. `promise`: y, p and sections of earlier outcomes that
    were not learnt from; then what was said is taken with the offset that each level had there, and the tolerance is wider by
    one standard error of it: bets are on change, not on faults that were there from the start.
    """
    y, z = np.asarray(y, dtype="float64"), logit(np.asarray(p, dtype="float64"))
    parts = _parts(len(y), sections)
    earlier = {} if promise is None else _parts(len(promise[0]), promise[2])
    gains = []
    for name, levels in parts.items():
        shift, wide = np.zeros(len(y)), np.full(len(y), tolerance)
        if promise is not None:
            offset, error = _offsets(promise[0], promise[1], earlier[name])
            shift = levels.map(offset).fillna(0.0).to_numpy("float64")
            wide = tolerance + levels.map(error).fillna(PRIOR**-0.5).to_numpy("float64")
        gains.append(_capital(y, z + shift, pd.factorize(levels)[0], wide))
    capital = np.exp(np.clip(gains, -700, 700))
    path = capital.mean(axis=0)
    crossed = np.flatnonzero(path >= 1 / alpha)
    place = int(path.argmax()) if len(path) else 0
    strongest = list(parts)[int(capital[:, place].argmax())] if len(path) else EVERYTHING
    best = max(1.0, float(path.max())) if len(path) else 1.0
    return Signal(best, path, int(crossed[0]) if len(crossed) else None, strongest, alpha)


def _parts(rows: int, sections: pd.DataFrame | None) -> dict[str, pd.Series]:
    """The level of each row in each section, as text; first the section of everything."""
    named = {} if sections is None else {str(name): sections[name].astype("object").map(str) for name in sections}
    return {EVERYTHING: pd.Series("", index=range(rows)), **{name: part.reset_index(drop=True) for name, part in named.items()}}


def _offsets(y: np.ndarray, p: np.ndarray, levels: pd.Series) -> tuple[pd.Series, pd.Series]:
    """By level the offset in log-odds (one Newton step, drawn toward none) and its standard error."""
    y, p = np.asarray(y, dtype="float64"), np.asarray(p, dtype="float64")
    sums = pd.DataFrame({"residual": y - p, "information": p * (1 - p)}).groupby(levels.to_numpy()).sum()
    information = sums["information"] + PRIOR
    return (sums["residual"] / information).clip(-BOLDEST, BOLDEST), information**-0.5


def _capital(y: np.ndarray, z: np.ndarray, codes: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Logarithm of the capital after each outcome of bets on the offset of each row's level."""
    residual, information = np.zeros(codes.max(initial=0) + 1), np.full(codes.max(initial=0) + 1, PRIOR)
    gains = np.zeros(len(y))
    for row, (outcome, said, code, chance, allowed) in enumerate(zip(y, z, codes, expit(z), tolerance, strict=True)):
        offset = max(-BOLDEST, min(BOLDEST, residual[code] / information[code]))
        if abs(offset) > allowed:
            nearest, sign = said + math.copysign(allowed, offset), 1 if outcome else -1
            gains[row] = math.log1p(math.exp(-sign * nearest)) - math.log1p(math.exp(-sign * (said + offset)))
        residual[code] += outcome - chance
        information[code] += chance * (1 - chance)
    return np.cumsum(gains)


def _compared(name: str, column: pd.Series, category: bool, labels: np.ndarray, now: np.ndarray) -> dict[str, object]:
    values = column if category else column.astype("float64")
    codes = _levels(values).cat.codes.to_numpy() if category else _tenths(values.to_numpy())
    psi, variation = _of_counts(codes + 1, labels)
    distance = variation if category else _kolmogorov(values.to_numpy(), labels)
    missing = values.isna().to_numpy()
    return {
        "feature": name, "kind": "category" if category else "number",
        "psi": float(psi[0]), "psi_limit": float(np.quantile(psi[1:], 0.95)), "distance": float(distance[0]),
        "p_value": float((1 + (distance[1:] >= distance[0] - 1e-9).sum()) / len(distance)),
        "missing_then": float(missing[~now].mean()), "missing_now": float(missing[now].mean()),
    }  # fmt: skip


def _of_counts(places: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """PSI and total variation between the windows for each labelling; counts start at one half."""
    held = np.zeros((len(places), int(places.max()) + 1), dtype="float32")
    held[np.arange(len(places)), places] = 1
    held = held[:, held.any(axis=0)]
    late = labels @ held
    early = held.sum(axis=0) - late
    shares = [(part + 0.5) / (part + 0.5).sum(axis=1, keepdims=True) for part in (late.astype("float64"), early.astype("float64"))]
    gap = shares[0] - shares[1]
    return (gap * np.log(shares[0] / shares[1])).sum(axis=1), np.abs(gap).sum(axis=1) / 2


def _kolmogorov(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Greatest difference of the two distribution functions for each labelling; missing values count as below all others."""
    known = np.where(np.isnan(values), -np.inf, values)
    order = np.argsort(known, kind="stable")
    ends = np.append(known[order][1:] != known[order][:-1], True)
    late = np.cumsum(labels[:, order], axis=1, dtype="float64")[:, ends]
    place = np.flatnonzero(ends) + 1
    total = late[:, -1:]
    return np.asarray(np.abs(late / total - (place - late) / (len(values) - total)).max(axis=1))


def _tenths(values: np.ndarray) -> np.ndarray:
    """Tenth of each value among all, -1 where missing."""
    known = values[~np.isnan(values)]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(known) else np.array([])
    return np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))


def _levels(column: pd.Series) -> pd.Series:
    """The column as a category of its 20 most frequent levels and "other"; missing stays missing."""
    text = column.astype("object").where(column.notna(), None).map(str, na_action="ignore")
    often = text.value_counts().index[:LEVELS]
    return text.where(text.isin(often) | text.isna(), "other").astype("category")


def _enough(reference: pd.DataFrame, recent: pd.DataFrame) -> None:
    fewest = min(len(reference), len(recent))
    if fewest < FEWEST_ROWS:
        raise NotEnoughData(f"one of the two windows has {fewest} rows; at least {FEWEST_ROWS} are needed to compare them")
