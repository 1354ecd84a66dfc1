"""Outcome and timing of deals in one model: discrete-time competing risks on snapshots, boosted trees underneath.

From a snapshot on, time runs in periods (weeks, later wider). Per period one model gives the chance that a deal still open
closes in it, another that what closes then is won, a third that what is not won ends without a decision (Nicolaie, van
Houwelingen and Putter 2010, vertical modelling; snapshots as landmarks: van Houwelingen 2007). Deals still open at the
cutoff count for the periods they have lived. P(win) is the sum over periods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from catboost import CatBoost, Pool
from scipy.special import expit

from salesml.errors import NotEnoughData
from salesml.evaluation.bootstrap import row_weights
from salesml.models import win_path
from salesml.models.bag import bag_interval, pooled_variance
from salesml.models.calibrators import LOGIT_LIMIT, Calibrator
from salesml.models.columns import select
from salesml.models.hazard_trees import Growth, grow, raw
from salesml.models.onehot import OneHot
from salesml.models.outlook import Outlook
from salesml.models.person_periods import HEADS, QUARTER, PersonPeriods, tuned, with_periods
from salesml.models.scorer import read_model, write_model
from salesml.models.spells import CAUSES, Known, edges_for, known_at
from salesml.models.tree_effects import TreeEffects

MOST_ROWS = 120_000
"""Person-periods used to fit; of more, whole snapshots are drawn at random."""
LEAST_DEALS = 10
CHUNK = 4_000
AS_IT_IS = Calibrator()
Trees = Mapping[str, CatBoost]


class CompetingRisks:
    """P(win), P(closed or won by a day) and the time to close of open deals. Features as in Scorer."""

    kind = "competing_risks"

    def __init__(
        self,
        design: OneHot,
        edges: np.ndarray,
        trees: Trees,
        members: Sequence[Trees] = (),
        calibrator: Calibrator = AS_IT_IS,
        pooled: float = 0.0,
        growths: Mapping[str, Growth] | None = None,
        threads: int = 2,
        given_up: float = 0.0,
    ) -> None:
        """`trees` by head; `members` are refits to resampled deals, for `interval`; `growths` tell how trees were grown.

        `given_up`: without a head no_decision, the share of what is not won that ends so, 0 or 1.
        """
        self.design, self.edges, self.trees, self.members = design, edges, dict(trees), tuple(members)
        self.calibrator, self.pooled, self.growths, self.threads = calibrator, pooled, dict(growths or {}), threads
        self.features, self.categorical = design.features, tuple(design.levels)
        self.given_up = given_up
        self._explained: dict[str, TreeEffects] = {}

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        spells: pd.DataFrame,
        cutoff: pd.Timestamp,
        *,
        categorical: Sequence[str] = (),
        growths: Mapping[str, Growth] | None = None,
        trials: int = 4,
        members: int = 4,
        seed: int = 0,
        threads: int = 2,
    ) -> CompetingRisks:
        """Fit on snapshots X and what was known of their `spells` (as_of, closed_at, status, opportunity_id) at `cutoff`.

        Settings are tried on the last 15 % of the time, earlier snapshots being known only as of its beginning, unless
        `growths` of an earlier fit are given. Same data and seed give the same model. Raises NotEnoughData below 10 won or
        10 other deals, or where no feature varies.
        """
        known = known_at(spells, cutoff)
        _require(known, spells)
        edges, design = edges_for(known), OneHot.fit(X, categorical)
        frame = PersonPeriods(design, design.matrix(X), edges, np.random.default_rng(seed))
        if growths is None:
            growths = tuned(frame, spells, cutoff, trials, seed, threads)
        heads = {head: frame.rows(head, known, MOST_ROWS) for head in HEADS}
        told = {head: rows for head, rows in heads.items() if np.ptp(rows[1])}  # nobody gives up, say: then no such head
        trees = {head: grow(Pool(*rows[:2]), growths[head], seed, threads) for head, rows in told.items()}
        bag = []
        pools = {head: (Pool(*heads[head][:2]), heads[head][2]) for head in ("closes", "won")}
        for number, weights in enumerate(row_weights(len(X), spells["opportunity_id"].to_numpy(), members, seed), 1):
            member = {}
            for head, (pool, snapshots) in pools.items():
                pool.set_weight(weights[snapshots])
                member[head] = grow(pool, growths[head], seed + number, threads)
            bag.append(member)
        given_up = float(heads["no_decision"][1].min(initial=1))
        fitted = cls(design, edges, trees, bag, growths=growths, threads=threads, given_up=given_up)
        if len(bag) > 1:
            fitted.pooled = pooled_variance(fitted._member_logits(fitted._matrix(X.iloc[-2_000:])))
        return fitted

    def calibrated(self, calibrator: Calibrator) -> CompetingRisks:
        """The same model with another recalibration of P(win); chances by a day move with it."""
        return CompetingRisks(
            self.design, self.edges, self.trees, self.members, calibrator, self.pooled, self.growths, self.threads,
            self.given_up,
        )  # fmt: skip

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """P(win) in the end, one per row, strictly between 0 and 1."""
        return expit(self.calibrator.apply(self.logits(X)))

    def logits(self, X: pd.DataFrame) -> np.ndarray:
        """Log-odds of P(win) before recalibration."""
        return self._logits(self._matrix(X), self.trees)

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of P(win) from refits to resampled deals."""
        matrix = self._matrix(X)
        logits = self.calibrator.apply(self._logits(matrix, self.trees))
        return bag_interval(logits, self._member_logits(matrix), level, self.pooled)

    def outlook(self, X: pd.DataFrame) -> Outlook:
        """Cumulative chances of won, lost and no decision by the end of each period; they agree with `predict`."""
        matrix = self._matrix(X)
        parts = [self._incidence(matrix[at : at + CHUNK]) for at in range(0, len(matrix), CHUNK)]
        incidence = np.concatenate([part[0] for part in parts]) if parts else np.zeros((0, len(self.edges), 3))
        eventual = np.concatenate([part[1] for part in parts]) if parts else np.zeros((0, 3))
        return Outlook(self.edges, incidence, eventual)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """Base and effects in log-odds of P(win): exact SHAP values of the chances in each period, carried to P(win).

        From a deal known only by the periods to this one along a straight line in log-odds (Aumann and Shapley 1974;
        Sundararajan, Taly and Yan 2017): base + effects = log-odds of `predict`.
        """
        matrix = self._matrix(X)
        parts = [self._effects(matrix[at : at + CHUNK]) for at in range(0, max(1, len(matrix)), CHUNK)]
        effects = np.concatenate([part[1] for part in parts])
        base, effects = self.calibrator.factors(parts[0][0], effects)
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json, one .cbm a head, and two per member."""
        content = {
            **self.design.to_json(),
            "edges": self.edges.tolist(),
            "calibrator": vars(self.calibrator),
            "pooled": self.pooled,
            "growths": {head: asdict(growth) for head, growth in self.growths.items()},
            "heads": list(self.trees),
            "members": len(self.members),
            "threads": self.threads,
            "given_up": self.given_up,
        }
        write_model(folder, self.kind, content)
        for place, trees in enumerate((self.trees, *self.members)):
            for head, grown in trees.items():
                grown.save_model(str(folder / f"{head}_{place}.cbm"))

    @classmethod
    def load(cls, folder: Path) -> CompetingRisks:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)

        def read(heads: Sequence[str], place: int) -> Trees:
            return {head: CatBoost().load_model(str(folder / f"{head}_{place}.cbm")) for head in heads}

        return cls(
            OneHot.from_json(c), np.array(c["edges"]), read(c["heads"], 0),
            [read(("closes", "won"), place) for place in range(1, c["members"] + 1)], Calibrator(**c["calibrator"]),
            c["pooled"], {head: Growth(**growth) for head, growth in c["growths"].items()}, c["threads"],
            c["given_up"],
        )  # fmt: skip

    def _matrix(self, X: pd.DataFrame) -> np.ndarray:
        return self.design.matrix(select(X, self.features))

    def _expanded(self, matrix: np.ndarray) -> np.ndarray:
        return with_periods(self.design, matrix, self.edges)

    def _chances(self, expanded: np.ndarray, trees: Trees, head: str) -> np.ndarray:
        """Log-odds of a head, rows × periods."""
        return raw(trees[head], expanded, self.threads).reshape(-1, len(self.edges) - 1)

    def _logits(self, matrix: np.ndarray, trees: Trees) -> np.ndarray:
        found = [np.zeros(0)]
        for at in range(0, len(matrix), CHUNK):
            expanded = self._expanded(matrix[at : at + CHUNK])
            p = win_path.chance(*(expit(self._chances(expanded, trees, head)) for head in ("closes", "won")))
            found.append(np.clip(np.log(p) - np.log1p(-p), -LOGIT_LIMIT, LOGIT_LIMIT))
        return np.concatenate(found)

    def _member_logits(self, matrix: np.ndarray) -> np.ndarray:
        return np.array([self.calibrator.apply(self._logits(matrix, member)) for member in self.members])

    def _incidence(self, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        expanded = self._expanded(matrix)
        closes, won = (expit(self._chances(expanded, self.trees, head)) for head in ("closes", "won"))
        given_up = np.full_like(won, self.given_up)
        if "no_decision" in self.trees:
            given_up = expit(self._chances(expanded, self.trees, "no_decision"))
        shares = np.stack([won, (1 - won) * (1 - given_up), (1 - won) * given_up], axis=2)
        still = np.cumprod(1 - closes, axis=1)
        before = np.concatenate([np.ones((len(still), 1)), still[:, :-1]], axis=1)
        incidence = np.cumsum((before * closes)[:, :, None] * shares, axis=1)
        eventual = incidence[:, -1] + still[:, -1:] * shares[:, -1]
        p = np.clip(eventual[:, 0], expit(-LOGIT_LIMIT), expit(LOGIT_LIMIT))
        q = expit(self.calibrator.apply(np.log(p) - np.log1p(-p)))
        moved = np.stack([q / p, (1 - q) / (1 - p), (1 - q) / (1 - p)], axis=1)
        start = np.zeros((len(matrix), 1, len(CAUSES)))
        return np.concatenate([start, incidence * moved[:, None, :]], axis=1), eventual * moved

    def _effects(self, matrix: np.ndarray) -> tuple[float, np.ndarray]:
        periods = len(self.edges) - 1
        expanded = self._expanded(matrix if len(matrix) else np.zeros((1, matrix.shape[1]), "float32"))
        owners = _owners(self.design)
        from_, by = [], []
        for head in ("closes", "won"):
            if head not in self._explained:
                self._explained[head] = TreeEffects(self.trees[head], given=len(self.design.owners))
            tables = self._explained[head]
            leaves = self.trees[head].calc_leaf_indexes(expanded, thread_count=self.threads)
            from_.append(tables.bases(leaves[:periods]))
            by.append(_folded(tables.effects(leaves), owners, len(self.features)).reshape(-1, periods, len(self.features)))
        base, effects = win_path.carried(*from_, *by)
        return base, effects[: len(matrix)]


def _require(known: Known, spells: pd.DataFrame) -> None:
    deals = pd.Series(known.cause == 0)[known.closed].groupby(spells["opportunity_id"].to_numpy()[known.closed]).first()
    won = int(deals.sum())
    if min(won, len(deals) - won) < LEAST_DEALS:
        raise NotEnoughData(
            f"{won} won and {len(deals) - won} other deals are known to have closed; at least {LEAST_DEALS} of each are needed"
        )


def _owners(design: OneHot) -> np.ndarray:
    """The feature of each column of a head's matrix; the quarter's end belongs to its feature, the period to none (-1)."""
    quarter = design.features.index(QUARTER) if QUARTER in design.features else -1
    return np.array([*design.owners, -1, quarter])


def _folded(effects: np.ndarray, owners: np.ndarray, features: int) -> np.ndarray:
    """Effects of columns added up by the feature that owns them."""
    found = np.zeros((len(effects), features))
    for column in np.flatnonzero((owners >= 0) & (np.abs(effects).sum(axis=0) > 0)):
        found[:, owners[column]] += effects[:, column]
    return found
