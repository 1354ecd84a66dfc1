"""What a policy would have brought, from decisions that another policy made by lot and logged with their chances.

Three estimates: inverse propensities (Horvitz and Thompson 1952, "A generalization of sampling without replacement from a finite
universe"), self-normalised (Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual learning") and doubly robust
(Dudík, Langford and Li 2011, "Doubly robust policy evaluation and learning"), the last with an outcome model that never saw the entity it
speaks of. All three hold because the chances are known, not because a model is right: what was chosen by a person has none, and is no
evidence here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.linear_model import RidgeCV

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation import arrays

INVERSE, NORMALISED, ROBUST = "inverse propensity", "self-normalised", "doubly robust"
METHODS = (INVERSE, NORMALISED, ROBUST)
LEVEL, FOLDS = 0.9, 5
PENALTIES = np.logspace(0, 5, 11)
MOST_FITTED = 50_000
"""Rows of a fold's training that the outcome model is fitted on, drawn by lot: more would not make it better, only slower."""
FEW_OF_LEVEL, MOST_CROSSED = 30, 4
FEW_EFFECTIVE, HEAVY, UNLIKELY = 0.1, 0.05, 4.0
"""A note is made below this share of effective rows, above this weight of one entity, and beyond so many errors of the mean weight."""


@dataclass(frozen=True)
class PolicyValue:
    """Mean reward a decision under a policy (`value`, the rewards' unit) with its interval, and how far the log carries it.

    error: standard error, resampling whole entities in thought (linearised). effective: (Σ weight)² ÷ Σ weight², the rows a log of the
    policy itself would have to have (Kish 1965). mean_weight: 1 where the chances are those that were used. heaviest: one entity's
    greatest share of the weight. notes: what speaks against relying on it.
    """

    method: str
    value: float
    lo: float
    hi: float
    error: float
    level: float
    rows: int
    entities: int
    effective: float
    mean_weight: float
    heaviest: float
    notes: tuple[str, ...] = ()

    def rows_needed(self, relative: float = 0.03) -> int:
        """Rows of such a log at which the interval reaches ± `relative` of the value; BadParameter unless above 0."""
        if not relative > 0:
            raise BadParameter(f"relative {relative!r} is not above 0; give 0.03 for ±3 %")
        z = norm.ppf((1 + self.level) / 2)
        return int(np.ceil(self.rows * (z * self.error / (relative * abs(self.value))) ** 2)) if self.value else 0


def policy_value(
    log: pd.DataFrame, target: pd.DataFrame, *, method: str = ROBUST, features: pd.DataFrame | None = None,
    stratum: pd.Series | None = None, level: float = LEVEL, seed: int = 0,
) -> PolicyValue:  # fmt: skip
    """The mean reward that `target` would have had on the decisions of `log`.

    log: one row per decision: action, propensity (chance with which it was chosen among all that could be, above 0), reward (a number),
    and, where rows of one entity belong together, entity. target: for the same rows a column an action, the chance the policy gives it;
    rows sum to 1. features: what was known at the decision, for the doubly robust estimate (numbers, or categories as text); never
    anything later. stratum: groups within which every action that the policy takes must have been tried.

    Raises NotEnoughData where the policy does what the log never tried (no overlap), BadInput for chances that cannot be, BadParameter
    for another method.
    """
    scores, weight = _scores(log, target, method, features, stratum, seed)
    return _measured(log, scores, weight, method, level)


def policy_difference(
    log: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame, *, method: str = ROBUST, features: pd.DataFrame | None = None,
    stratum: pd.Series | None = None, level: float = LEVEL, seed: int = 0,
) -> PolicyValue:  # fmt: skip
    """How much more `first` brings a decision than `second`, with the interval of the difference (both rest on the same rows)."""
    one, weight = _scores(log, first, method, features, stratum, seed)
    two, other = _scores(log, second, method, features, stratum, seed)
    return _measured(log, one - two, np.maximum(weight, other), method, level, difference=True)


def policy_values(
    log: pd.DataFrame, targets: Mapping[str, pd.DataFrame], *, methods: tuple[str, ...] = METHODS, features: pd.DataFrame | None = None,
    stratum: pd.Series | None = None, level: float = LEVEL, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Several policies side by side. Grain: one row per policy and method: policy, then the fields of `PolicyValue`."""
    model = _cross_fitted(*_parts(log), features, seed) if ROBUST in methods and len(log) else None
    found = []
    for name, target in targets.items():
        for method in methods:
            scores, weight = _scores(log, target, method, features, stratum, seed, model)
            found.append({"policy": name, **vars(_measured(log, scores, weight, method, level))})
    return pd.DataFrame(found)


def always(rows: pd.DataFrame, action: str, actions: tuple[str, ...] | None = None) -> pd.DataFrame:
    """A policy that takes one action in every row: one column an action, for `policy_value`."""
    return pd.DataFrame({name: np.full(len(rows), float(name == action)) for name in actions or (action,)}, index=rows.index)


_Model = tuple[list[str], np.ndarray]
"""Actions and the predicted reward of each, one row per decision."""


def _parts(log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Action, propensity, reward and entity of the rows; BadInput for what cannot be."""
    held = arrays.columns("the logged decisions", log, ("action", "propensity", "reward"))
    chance, reward = arrays.numbers(gaps=("propensity",), propensity=held["propensity"], reward=held["reward"])
    if np.isnan(chance).any():
        text = f"{int(np.isnan(chance).sum())} of {len(log)} decisions have no propensity"
        raise BadInput(text, column="propensity", mend="Leave out what a person chose: nobody knows with what chance.")
    arrays.refuse("propensity", chance, (chance <= 0) | (chance > 1), "are no chance above 0 and at most 1")
    if held["action"].isna().any():
        raise BadInput("an action is missing", column="action", mend="Name what was done, also where it was nothing.")
    entity = log["entity"].to_numpy() if "entity" in log else np.arange(len(log))
    return held["action"].astype(str).to_numpy(), chance, reward, pd.factorize(entity)[0]


def _scores(
    log: pd.DataFrame, target: pd.DataFrame, method: str, features: pd.DataFrame | None, stratum: pd.Series | None, seed: int,
    model: _Model | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Numbers whose mean is the policy's value and whose spread is its error, and each row's weight."""
    if method not in METHODS:
        raise BadParameter(f"method {method!r} is not one of {', '.join(METHODS)}")
    action, chance, reward, entity = _parts(log)
    wanted = _checked(target, len(log))
    _require_overlap(wanted, action, stratum)
    names = list(wanted.columns)
    place = pd.Index(names).get_indexer(pd.Index(action))
    given = np.where(place >= 0, wanted.to_numpy()[np.arange(len(log)), np.maximum(place, 0)], 0.0)
    weight = given / chance
    if method == INVERSE:
        return weight * reward, weight
    if method == NORMALISED:
        value = float(weight @ reward / weight.sum())
        return value + weight * (reward - value) / weight.mean(), weight
    of, expected = model or _cross_fitted(action, chance, reward, entity, features, seed)
    took = expected[np.arange(len(log)), pd.Index(of).get_indexer(pd.Index(action))]
    under = (wanted.reindex(columns=of, fill_value=0.0).to_numpy() * expected).sum(axis=1)
    return under + weight * (reward - took), weight


def _checked(target: pd.DataFrame, rows: int) -> pd.DataFrame:
    if len(target) != rows:
        raise BadInput(f"the policy has {len(target)} rows for {rows} decisions; give one for each")
    found = target.astype("float64").rename(columns=str)
    values = found.to_numpy()
    if not np.isfinite(values).all() or (values < 0).any() or (abs(values.sum(axis=1) - 1) > 1e-6).any():
        raise BadInput("the policy's chances are not 0 to 1 with a sum of 1 in every row", mend="Say what it does in each row.")
    return found


def _require_overlap(wanted: pd.DataFrame, action: np.ndarray, stratum: pd.Series | None) -> None:
    """NotEnoughData where the policy takes an action that was never tried, in a stratum or at all."""
    groups = pd.Series("", index=wanted.index) if stratum is None else pd.Series(stratum.to_numpy(), index=wanted.index).fillna("not known")
    mass = wanted.groupby(groups.to_numpy()).sum()
    tried = pd.crosstab(groups.to_numpy(), action).reindex(index=mass.index, columns=mass.columns, fill_value=0)
    places = np.argwhere((mass.to_numpy() > 0) & (tried.to_numpy() == 0))
    if len(places):
        group, name = mass.index[places[0][0]], mass.columns[places[0][1]]
        where, often = f" where {group}" if str(group) else "", mass.to_numpy()[tuple(places[0])]
        raise NotEnoughData(
            f"the log never tried {name!r}{where}, which the policy does in {often:,.0f} of {len(wanted):,} decisions: nothing is known of "
            "it there. Try it by lot first, or judge a policy that leaves it out"
        )


def _measured(
    log: pd.DataFrame, scores: np.ndarray, weight: np.ndarray, method: str, level: float, difference: bool = False
) -> PolicyValue:
    if not 0 < level < 1:
        raise BadParameter(f"level {level!r} is not between 0 and 1")
    entity = _parts(log)[3]
    n, groups = len(scores), int(entity.max()) + 1
    if groups < 2:
        raise NotEnoughData(f"{groups} entity is logged; two are the least for an interval")
    value = float(scores.mean())
    sums = np.bincount(entity, scores - value, groups)
    error = float(np.sqrt(groups / (groups - 1) * (sums**2).sum())) / n
    half = float(student.ppf((1 + level) / 2, groups - 1)) * error
    lo, hi = value - half, value + half
    if not difference and log["reward"].isin([0, 1]).all():
        lo, hi = max(0.0, lo), min(1.0, hi)
    by_entity = np.bincount(entity, weight, groups)
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    heaviest = float(by_entity.max() / weight.sum())
    mean, spread = float(weight.mean()), float(np.std(by_entity, ddof=1) * np.sqrt(groups) / n)
    notes = []
    if not difference and abs(mean - 1) > UNLIKELY * spread:
        notes.append(f"the weights' mean is {mean:.3f} where 1 is due: the propensities are not those the log was made with")
    if effective < FEW_EFFECTIVE * n:
        notes.append(f"little overlap: {n:,} decisions count as {effective:,.0f}")
    if heaviest > HEAVY:
        notes.append(f"one entity carries {heaviest:.0%} of the weight")
    return PolicyValue(method, value, lo, hi, error, level, n, groups, effective, mean, heaviest, tuple(notes))


def _cross_fitted(
    action: np.ndarray, chance: np.ndarray, reward: np.ndarray, entity: np.ndarray, features: pd.DataFrame | None, seed: int
) -> _Model:
    """Expected reward of every action in every row, by ridge regression on the other entities (five folds).

    Linear in the features and the action, and in their products where there are few actions; the penalty is found by leaving each row
    out in turn (scikit-learn's RidgeCV), within the training rows.
    """
    actions = sorted(set(action))
    code = pd.Index(actions).get_indexer(pd.Index(action))
    known = _design(features, len(action))
    rng = np.random.default_rng(seed)
    folds = min(FOLDS, int(entity.max()) + 1)
    if folds < 2:
        return actions, np.full((len(action), len(actions)), reward.mean())
    fold = (rng.permutation(int(entity.max()) + 1) % folds)[entity]
    expected = np.empty((len(action), len(actions)))
    for number in range(folds):
        train, test = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        train = rng.permutation(train)[:MOST_FITTED]
        model = RidgeCV(alphas=PENALTIES).fit(_crossed(known[train], code[train], len(actions)), reward[train])
        for one in range(len(actions)):
            expected[test, one] = model.predict(_crossed(known[test], np.full(len(test), one), len(actions)))
    return actions, expected


def _design(features: pd.DataFrame | None, rows: int) -> np.ndarray:
    """Numbers as centred ranks (missing ones in the middle, and flagged), categories as indicators of levels with 30 rows or more."""
    if features is None:
        return np.zeros((rows, 0))
    if len(features) != rows:
        raise BadInput(f"the features have {len(features)} rows for {rows} decisions; give one for each")
    parts: list[np.ndarray] = [np.zeros((rows, 0))]
    for name in features:
        column = features[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            parts += [(column.rank(pct=True) - 0.5).fillna(0.0).to_numpy("float64")[:, None], column.isna().to_numpy("float64")[:, None]]
        else:
            levels = column.astype("object").where(column.notna(), "not known").astype(str)
            counts = levels.value_counts()
            kept = sorted(counts.index[counts >= FEW_OF_LEVEL])
            parts.append((levels.to_numpy()[:, None] == np.array(kept, dtype=object)[None, :]).astype("float64"))
    design = np.column_stack(parts)
    return design[:, design.std(axis=0) > 0]


def _crossed(known: np.ndarray, code: np.ndarray, actions: int) -> np.ndarray:
    taken = np.eye(actions)[code] - 1 / actions
    if actions > MOST_CROSSED:
        return np.column_stack([known, taken])
    return np.column_stack([known, taken, *(known * taken[:, [one]] for one in range(actions - 1 if actions == 2 else actions))])
