"""What sellers have today, to compare with: Odoo's naive Bayes, and win rates by stage.

Both count every deal once, as a CRM does that keeps one row a deal: a deal's snapshots (rows of one `groups` value, in
time order) count with the values of the last of them, training and calibration rows together, since neither peer holds
rows back. Probabilities stay within 0.01 % and 99.99 %, Odoo's own bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from salesml.errors import BadInput
from salesml.models.calibrators import held
from salesml.models.columns import (
    MISSING,
    OTHER,
    infer_categorical,
    level_codes,
    levels_of,
    numbers,
    require_classes,
    select,
)
from salesml.models.rates import Calibration, beta_interval, together
from salesml.models.scorer import read_model, write_model

SMOOTHING = 0.1
LOWEST = 0.0001
LIMIT = float(logit(1 - LOWEST))
NO_VALUE = (MISSING, OTHER)


@dataclass(frozen=True)
class Counts:
    """Won and lost deals per level of one column, and what they are shares of. Levels in NO_VALUE count nothing."""

    levels: tuple[str, ...]
    won: np.ndarray
    lost: np.ndarray
    won_total: float
    lost_total: float

    def effects(self) -> np.ndarray:
        """What a level adds to the log-odds: log of its share of the won over its share of the lost deals."""
        with np.errstate(divide="ignore", invalid="ignore"):
            effects = np.log(self.won / self.won_total) - np.log(self.lost / self.lost_total)
        return np.where(self._counted(), effects, 0.0)

    def variances(self) -> np.ndarray:
        """Sampling variance of the effects: of two log shares (delta method), the counts taken as binomial."""
        with np.errstate(divide="ignore"):
            variances = 1 / self.won - 1 / self.won_total + 1 / self.lost - 1 / self.lost_total
        return np.where(self._counted(), np.maximum(variances, 0.0), 0.0)

    def _counted(self) -> np.ndarray:
        return ~np.isin(self.levels, NO_VALUE)


class OdooBayes:
    """Odoo's predictive lead scoring: naive Bayes over categories, the stage counted cumulatively.

    After Odoo 16-18, `addons/crm/models/crm_lead.py` (`_pls_prepare_frequencies`, `_pls_update_frequency_table`,
    `_pls_get_won_lost_total_count`, `_pls_get_naive_bayes_probabilities`), in words of our own:

    - each value of each column has a count of won and of lost deals, both plus 0.1;
    - a won deal counts in every stage; a lost one in the stage it was lost in and all before it;
    - the prior is won : lost at the first stage; a column's counts are shares of that column's totals (the 0.1s among
      them), a stage's of the first stage's;
    - missing values and values never counted are skipped. Numbers are not used.

    With `strength` the counts are shrunk instead: each value starts with so many deals at everybody's rate, so that a value seen
    once says little and one never lost does not say "sure". `weights` count deals in part, such as those not decided yet.

    Not taken over: rounding to two decimals of a per cent, counts per sales team, tags, and probability 0 for a deal without
    a stage (its stage is skipped). `interval` is ours: Odoo shows none.
    """

    kind = "odoo_bayes"

    def __init__(self, counts: dict[str, Counts], prior: tuple[float, float], stage: str | None) -> None:
        """`counts` by column, the stage's among them; `prior`: won and lost deals, smoothed."""
        self.features = self.categorical = tuple(counts)
        self.counts, self.prior, self.stage = counts, prior, stage

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        stage: str | None = "stage",
        stages: Sequence[str] | None = None,
        calibration: Calibration | None = None,
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
        strength: float | None = None,
        weights: np.ndarray | None = None,
    ) -> OdooBayes:
        """Count closed deals. `stages`: the first to the last; else column `{stage}_order` tells. `stage` None: there is none.

        `strength`: deals at everybody's rate that each value starts with, in place of Odoo's 0.1 won and 0.1 lost. `weights`: how much
        each row counts (default 1; in a stage's counts always 1), calibration rows last.

        Raises NotEnoughData without a won and a lost deal, BadInput where the order of stages is not known.
        """
        frame, outcomes, entities = together(X, y, calibration, groups, calibration_groups)
        last = ~pd.Series(entities).duplicated(keep="last").to_numpy()
        deals, won = frame[last].reset_index(drop=True), require_classes(outcomes[last], least=1) == 1
        names = infer_categorical(frame) if categorical is None else tuple(categorical)
        counted = np.ones(len(deals)) if weights is None else np.asarray(weights, dtype="float64")[last]
        sums = float(counted[won].sum()), float(counted[~won].sum())
        prior, counts = (sums[0] + SMOOTHING, sums[1] + SMOOTHING), {}
        start = (SMOOTHING, SMOOTHING) if strength is None else tuple(strength * part / sum(prior) for part in prior)
        for name in dict.fromkeys([*names, *([stage] if stage else [])]):
            if name == stage:
                order = _order(frame, stage, stages)
                reached = level_codes(deals[stage], (*order, *NO_VALUE))
                counts[name] = _cumulative(order, np.where(won, len(order) - 1, reached), won, prior)
            else:
                counts[name] = _by_value(deals[name], won, counted, start)
        return cls(counts, prior, stage)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The naive Bayes probability per row, held within Odoo's bounds."""
        return expit(np.clip(self._base() + self._looked_up(X).sum(axis=1), -LIMIT, LIMIT))

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds from the sampling error of the counts alone; that columns depend on each other is not in it."""
        parts = [self.counts[name].variances()[codes] for name, codes in self._codes(X).items()]
        variance = 1 / self.prior[0] + 1 / self.prior[1] + np.sum([np.zeros(len(X)), *parts], axis=0)
        half, middle = norm.ppf((1 + level) / 2) * np.sqrt(variance), logit(self.predict(X))
        return expit(np.clip(middle - half, -LIMIT, LIMIT)), expit(np.clip(middle + half, -LIMIT, LIMIT))

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The prior's log-odds and each column's effect; where the sum is held at a bound, effects shrink in proportion."""
        effects = held(self._base(), self._looked_up(X), LIMIT)
        return self._base(), pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        counts = {
            name: {"levels": list(c.levels), "won": c.won.tolist(), "lost": c.lost.tolist(), "totals": [c.won_total, c.lost_total]}
            for name, c in self.counts.items()
        }
        names = list(self.features)
        content = {"features": names, "categorical": names, "stage": self.stage, "prior": list(self.prior), "counts": counts}
        write_model(folder, self.kind, content)

    @classmethod
    def load(cls, folder: Path) -> OdooBayes:
        """Read what `save` wrote."""
        content = read_model(folder, cls.kind)
        counts = {
            name: Counts(tuple(c["levels"]), np.array(c["won"]), np.array(c["lost"]), *c["totals"])
            for name, c in content["counts"].items()
        }
        return cls(counts, tuple(content["prior"]), content["stage"])

    def _base(self) -> float:
        return float(np.clip(np.log(self.prior[0] / self.prior[1]), -LIMIT, LIMIT))

    def _codes(self, X: pd.DataFrame) -> dict[str, np.ndarray]:
        frame = select(X, self.features)
        return {name: level_codes(frame[name], self.counts[name].levels) for name in self.features}

    def _looked_up(self, X: pd.DataFrame) -> np.ndarray:
        parts = [self.counts[name].effects()[codes] for name, codes in self._codes(X).items()]
        return np.stack(parts, axis=1) if parts else np.zeros((len(X), 0))


class StageWeighted:
    """A stage's historical win rate: of the deals that were ever in it or beyond, the share that was won; not shrunk.

    Won deals passed every stage. A deal counts with the furthest stage of its rows. Where `probability` names a column, the
    probability entered in the CRM goes before the rate in the rows that have one. Rows of no known stage get the share won.
    """

    kind = "stage_weighted"

    def __init__(
        self, stage: str, stages: Sequence[str], reached: np.ndarray, won: float, total: float, probability: str | None
    ) -> None:
        """`reached`: deals ever in each of `stages` or beyond; `won` of all `total` deals were won."""
        self.features = (stage,) if probability is None else (stage, probability)
        self.categorical = (stage,)
        self.stages, self.reached, self.won, self.total = tuple(stages), np.asarray(reached, dtype="float64"), won, total
        self.probability = probability

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        stage: str = "stage",
        stages: Sequence[str] | None = None,
        probability: str | None = None,
        calibration: Calibration | None = None,
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
    ) -> StageWeighted:
        """Count closed deals; `stages` as in OdooBayes.fit. `probability`: a column of shares from 0 to 1, gaps allowed.

        Raises NotEnoughData without a won and a lost deal, BadInput where the order of stages is not known.
        """
        frame, outcomes, entities = together(X, y, calibration, groups, calibration_groups)
        order = _order(frame, stage, stages)
        codes = level_codes(select(frame, [stage])[stage], (*order, *NO_VALUE))
        rows = pd.DataFrame({"deal": entities, "won": outcomes, "stage": np.where(codes < len(order), codes, -1)})
        deals = rows.groupby("deal").agg(won=("won", "last"), furthest=("stage", "max"))
        won = require_classes(deals["won"], least=1) == 1
        furthest = np.where(won, len(order) - 1, deals["furthest"])
        reached = np.array([(furthest >= place).sum() for place in range(len(order))])
        return cls(stage, order, reached, float(won.sum()), float(len(deals)), probability)

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The probability entered, else the rate of the row's stage."""
        rate, entered = self._rates(X), self._entered(X)
        return np.clip(np.where(np.isnan(entered), rate, entered), LOWEST, 1 - LOWEST)

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Jeffreys interval of the stage's rate; none around a probability that was entered: nobody knows how sure it is."""
        p, entered, reached = self.predict(X), self._entered(X), np.append(self.reached, self.total)[self._codes(X)]
        lo, hi = beta_interval(np.full(len(X), self.won), reached, 0.5, 0.5, level)
        lo, hi = np.clip(np.minimum(lo, p), LOWEST, 1 - LOWEST), np.clip(np.maximum(hi, p), LOWEST, 1 - LOWEST)
        return np.where(np.isnan(entered), lo, p), np.where(np.isnan(entered), hi, p)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The log-odds of the share won, and how far the stage, or the probability entered, is from it."""
        base, entered = float(logit(self.won / self.total)), ~np.isnan(self._entered(X))
        distance = logit(self.predict(X)) - base
        parts = [np.where(entered, 0.0, distance), np.where(entered, distance, 0.0)]
        return base, pd.DataFrame(dict(zip(self.features, parts, strict=False)), index=X.index)

    def save(self, folder: Path) -> None:
        """Write model.json."""
        names = {"features": list(self.features), "categorical": list(self.categorical), "probability": self.probability}
        counts = {"stages": list(self.stages), "reached": self.reached.tolist(), "won": self.won, "total": self.total}
        write_model(folder, self.kind, {**names, **counts})

    @classmethod
    def load(cls, folder: Path) -> StageWeighted:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        return cls(c["categorical"][0], c["stages"], c["reached"], c["won"], c["total"], c["probability"])

    def _codes(self, X: pd.DataFrame) -> np.ndarray:
        codes = level_codes(select(X, self.features)[self.features[0]], (*self.stages, *NO_VALUE))
        return np.minimum(codes, len(self.stages))

    def _rates(self, X: pd.DataFrame) -> np.ndarray:
        return (self.won / np.append(self.reached, self.total))[self._codes(X)]

    def _entered(self, X: pd.DataFrame) -> np.ndarray:
        if self.probability is None:
            return np.full(len(X), np.nan)
        entered = numbers(X[self.probability])
        wrong = entered[(entered < 0) | (entered > 1)]
        if len(wrong):
            raise BadInput("not a share from 0 to 1", column=self.probability, value=str(wrong[0]), mend="Divide per cents by 100.")
        return entered


def _order(frame: pd.DataFrame, stage: str, stages: Sequence[str] | None) -> tuple[str, ...]:
    """Stages from the first to the last: as given, else by the median of column `{stage}_order` where they occur."""
    values = select(frame, [stage])[stage]
    if stages is not None:
        return tuple(dict.fromkeys(map(str, stages)))
    column = f"{stage}_order"
    if column not in frame.columns:
        raise BadInput("the order of stages is not known", column=stage, mend=f"Give stages=[first, …, last] or a column {column}.")
    levels = levels_of(values, at_least=1)
    position = pd.Series(numbers(frame[column])).groupby(level_codes(values, levels)).median()
    known = [code for code in position.sort_values(kind="stable").dropna().index if levels[code] not in NO_VALUE]
    return tuple(levels[code] for code in known)


def _cumulative(order: tuple[str, ...], furthest: np.ndarray, won: np.ndarray, prior: tuple[float, float]) -> Counts:
    """Counts per stage, each deal in its furthest stage and all before it; deals of no known stage are left out."""
    inside = furthest < len(order)
    reached = [[(furthest[inside & of] >= place).sum() for place in range(len(order))] for of in (won, ~won)]
    smoothed = np.pad(np.array(reached, dtype="float64") + SMOOTHING, ((0, 0), (0, len(NO_VALUE))))
    return Counts((*order, *NO_VALUE), smoothed[0], smoothed[1], *prior)


def _by_value(column: pd.Series, won: np.ndarray, weights: np.ndarray, start: tuple[float, ...]) -> Counts:
    """Counts per value of a column, beginning with `start` won and lost; missing values count nothing."""
    levels = levels_of(column, at_least=1)
    codes, named = level_codes(column, levels), ~np.isin(levels, NO_VALUE)
    parts = zip((won, ~won), start, strict=True)
    smoothed = [np.where(named, np.bincount(codes[of], weights[of], len(levels)) + first, 0.0) for of, first in parts]
    return Counts(levels, smoothed[0], smoothed[1], float(smoothed[0].sum()), float(smoothed[1].sum()))
