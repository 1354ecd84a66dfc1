"""Outcome and timing of deals in one model: discrete-time competing risks on snapshots, boosted trees and a line underneath.

From a snapshot on, time runs in periods (weeks, later wider). Per period one model gives the chance that a deal still open
closes in it, another that what closes then is won, a third that what is not won ends without a decision (Nicolaie, van
Houwelingen and Putter 2010, vertical modelling; snapshots as landmarks: van Houwelingen 2007). Deals still open at the
cutoff count for the periods they have lived. P(win) is the sum over periods.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
from salesml.models.hazard_head import STRAIGHT, Asked, Head, Laid, bend
from salesml.models.hazard_line import IN_RUSH, Line, Terms
from salesml.models.hazard_trees import Growth, grow, raw
from salesml.models.onehot import OneHot
from salesml.models.outlook import Outlook
from salesml.models.person_periods import HEADS, QUARTER, PersonPeriods, tuned, with_periods
from salesml.models.scorer import read_model, write_model
from salesml.models.spells import CAUSES, Known, edges_for, known_at
from salesml.models.tree_effects import TreeEffects

MOST_ROWS = 120_000
"""Person-periods used to fit, drawn at random of more."""
LEAST_DEALS = 10
OF_WINNING = ("closes", "won")
"""The heads that P(win) comes of."""
CHUNK = 4_000
AS_IT_IS = Calibrator()
Heads = Mapping[str, Head]


class CompetingRisks:
    """P(win), P(closed or won by a day) and the time to close of open deals. Features as in Scorer."""

    kind = "competing_risks"

    def __init__(
        self,
        design: OneHot,
        terms: Terms,
        edges: np.ndarray,
        heads: Heads,
        members: Sequence[Heads] = (),
        calibrator: Calibrator = AS_IT_IS,
        pooled: float = 0.0,
        growths: Mapping[str, Growth] | None = None,
        threads: int = 2,
        given_up: float = 0.0,
    ) -> None:
        """`members` are refits to resampled deals, for `interval`; `growths` tell how the heads were made.

        `given_up`: without a head no_decision, the share of what is not won that ends so, 0 or 1.
        """
        self.design, self.terms, self.edges, self.heads, self.members = design, terms, edges, dict(heads), tuple(members)
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
        terms = Terms.fit(X, categorical, len(edges) - 1)
        frame = PersonPeriods(design, X, terms, spells, edges, np.random.default_rng(seed))
        if growths is None:
            growths = tuned(frame, spells, cutoff, trials, seed, threads)
        rows = {head: frame.rows(head, known, MOST_ROWS) for head in HEADS}
        heads: dict[str, Head] = {}
        bag: list[dict[str, Head]] = [{} for _ in range(members)]
        draws = list(row_weights(len(X), spells["opportunity_id"].to_numpy(), members, seed))
        for head in [head for head in HEADS if rows[head].told]:  # nobody gives up, say: then no such head
            part, growth = rows[head], growths[head]
            pool, lived = Pool(part.matrix, part.answers), frame.for_line(part)
            line, trees = Line.fit(lived, part.answers, terms), grow(pool, growth, seed, threads)
            curve = STRAIGHT
            if head == "closes":
                rush = lived.bands == IN_RUSH
                told = (raw(trees, pool, threads) + line.log_odds_of(lived)) / 2
                curve = bend(told[rush], part.answers[rush], lived.weights[rush])
            heads[head] = Head(trees, line, curve)
            for number, drawn in enumerate(draws if head in OF_WINNING else (), 1):
                again = drawn[part.snapshot]
                pool.set_weight(again)
                refitted = line.refitted(lived, part.answers, again)
                bag[number - 1][head] = Head(grow(pool, growth, seed + number, threads), refitted, curve)
        given_up = float(rows["no_decision"].answers.min(initial=1))
        fitted = cls(design, terms, edges, heads, bag, growths=growths, threads=threads, given_up=given_up)
        if len(bag) > 1:
            fitted.pooled = pooled_variance(fitted._bounds(X.iloc[-2_000:])[1])
        return fitted

    def calibrated(self, calibrator: Calibrator) -> CompetingRisks:
        """The same model with another recalibration of P(win); chances by a day move with it."""
        return CompetingRisks(
            self.design, self.terms, self.edges, self.heads, self.members, calibrator, self.pooled, self.growths, self.threads,
            self.given_up,
        )  # fmt: skip

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """P(win) in the end, one per row, strictly between 0 and 1."""
        return expit(self.calibrator.apply(self.logits(X)))

    def logits(self, X: pd.DataFrame) -> np.ndarray:
        """Log-odds of P(win) before recalibration."""
        return np.concatenate([np.zeros(0), *(self._logits(asked, self.heads) for asked in self._asked(X))])

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds of P(win) from refits to resampled deals."""
        return self.bounded(X, level)[1:]

    def bounded(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """P(win) and its bounds, the snapshots being laid out once."""
        logits, members = self._bounds(X)
        return expit(logits), *bag_interval(logits, members, level, self.pooled)

    def outlook(self, X: pd.DataFrame) -> Outlook:
        """Cumulative chances of won, lost and no decision by the end of each period; they agree with `predict`."""
        parts = [self._incidence(asked) for asked in self._asked(X)]
        incidence = np.concatenate([np.zeros((0, len(self.edges), 3)), *(part[0] for part in parts)])
        eventual = np.concatenate([np.zeros((0, 3)), *(part[1] for part in parts)])
        return Outlook(self.edges, incidence, eventual)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """Base and effects in log-odds of P(win): exact SHAP values of the chances in each period, carried to P(win).

        From a deal known only by the periods to this one along a straight line in log-odds (Aumann and Shapley 1974;
        Sundararajan, Taly and Yan 2017): base + effects = log-odds of `predict`.
        """
        asked = X if len(X) else pd.DataFrame([dict.fromkeys(self.features)], columns=list(self.features))
        parts = [self._effects(part) for part in self._asked(asked)]
        effects = np.concatenate([part[1] for part in parts])[: len(X)]
        base, effects = self.calibrator.factors(parts[0][0], effects)
        return base, pd.DataFrame(effects, index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json, one .cbm a head, and two per member."""
        places = (self.heads, *self.members)
        content = {
            **self.design.to_json(),
            "terms": self.terms.to_json(),
            "edges": self.edges.tolist(),
            "calibrator": vars(self.calibrator),
            "pooled": self.pooled,
            "growths": {head: asdict(growth) for head, growth in self.growths.items()},
            "heads": [{head: _line(one) for head, one in heads.items()} for heads in places],
            "threads": self.threads,
            "given_up": self.given_up,
        }
        write_model(folder, self.kind, content)
        for place, heads in enumerate(places):
            for head, one in heads.items():
                one.trees.save_model(str(folder / f"{head}_{place}.cbm"))

    @classmethod
    def load(cls, folder: Path) -> CompetingRisks:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)

        def read(place: int, head: str, line: dict) -> Head:
            trees = CatBoost().load_model(str(folder / f"{head}_{place}.cbm"))
            effects, penalties = np.array(line["effects"]), np.array(line["penalties"])
            return Head(trees, Line(effects, penalties, len(c["edges"]) - 1), np.array(line.get("bend", STRAIGHT)))

        heads, *members = [
            {head: read(place, head, line) for head, line in lines.items()} for place, lines in enumerate(c["heads"])
        ]
        growths = {head: Growth(**growth) for head, growth in c["growths"].items()}
        return cls(
            OneHot.from_json(c), Terms.from_json(c["terms"]), np.array(c["edges"]), heads, members,
            Calibrator(**c["calibrator"]), c["pooled"], growths, c["threads"], c["given_up"],
        )  # fmt: skip

    def laid_out(self, X: pd.DataFrame) -> Laid:
        """The rows laid out once; every method takes it in place of X."""
        return Laid(tuple(self._asked(X)), X.index)

    def _asked(self, X: pd.DataFrame | Laid) -> Iterator[Asked]:
        """The rows as heads take them, a part at a time."""
        if isinstance(X, Laid):
            yield from X.parts
            return
        X = select(X, self.features)
        periods = len(self.edges) - 1
        for at in range(0, len(X), CHUNK):
            part = X.iloc[at : at + CHUNK]
            expanded = with_periods(self.design, self.design.matrix(part), self.edges)
            yield Asked(Pool(expanded), self.terms.matrix(part), expanded[:, -1].reshape(-1, periods).astype("float64"))

    def _logits(self, asked: Asked, heads: Heads) -> np.ndarray:
        """Log-odds of P(win) before recalibration."""
        p = win_path.chance(*(expit(heads[head].log_odds(asked, self.threads)) for head in OF_WINNING))
        return np.clip(np.log(p) - np.log1p(-p), -LOGIT_LIMIT, LOGIT_LIMIT)

    def _bounds(self, X: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Recalibrated log-odds of P(win) of the model and of its members (members × rows)."""
        found = [np.zeros((1 + len(self.members), 0))]
        for asked in self._asked(X):
            found.append(np.array([self._logits(asked, heads) for heads in (self.heads, *self.members)]))
        logits = self.calibrator.apply(np.concatenate(found, axis=1))
        return logits[0], logits[1:]

    def _incidence(self, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
        closes, won = (expit(self.heads[head].log_odds(asked, self.threads)) for head in OF_WINNING)
        given_up = np.full_like(won, self.given_up)
        if "no_decision" in self.heads:
            given_up = expit(self.heads["no_decision"].log_odds(asked, self.threads))
        shares = np.stack([won, (1 - won) * (1 - given_up), (1 - won) * given_up], axis=2)
        still = np.cumprod(1 - closes, axis=1)
        before = np.concatenate([np.ones((len(still), 1)), still[:, :-1]], axis=1)
        incidence = np.cumsum((before * closes)[:, :, None] * shares, axis=1)
        eventual = incidence[:, -1] + still[:, -1:] * shares[:, -1]
        p = np.clip(eventual[:, 0], expit(-LOGIT_LIMIT), expit(LOGIT_LIMIT))
        q = expit(self.calibrator.apply(np.log(p) - np.log1p(-p)))
        moved = np.stack([q / p, (1 - q) / (1 - p), (1 - q) / (1 - p)], axis=1)
        start = np.zeros((len(closes), 1, len(CAUSES)))
        return np.concatenate([start, incidence * moved[:, None, :]], axis=1), eventual * moved

    def _effects(self, asked: Asked) -> tuple[float, np.ndarray]:
        owners, features = _owners(self.design), len(self.features)
        from_, by = [], []
        for name in OF_WINNING:
            head = self.heads[name]
            if name not in self._explained:
                self._explained[name] = TreeEffects(head.trees, given=len(self.design.owners))
            tables, line = self._explained[name], head.line
            leaves = head.trees.calc_leaf_indexes(asked.rows, thread_count=self.threads)
            usual = line.base(np.full((1, asked.left.shape[1]), np.nan))
            from_.append((tables.bases(leaves[: asked.left.shape[1]]) + usual[0]) / 2)
            effects = _folded(tables.effects(leaves), owners, features).reshape(*asked.left.shape, features)
            effects += line.by_feature(asked.terms, asked.left, self.terms.design)
            effects = effects / 2
            if QUARTER in self.features:  # without it no period is in the rush
                quarter = self.features.index(QUARTER)
                effects[:, :, quarter] += (line.base(asked.left) - usual) / 2
                straight = from_[-1] + effects.sum(axis=2)
                effects[:, :, quarter] += head.bent(straight, asked.left) - straight
            by.append(effects)
        return win_path.carried(*from_, *by)


def _line(head: Head) -> dict:
    return {"effects": head.line.effects.tolist(), "penalties": head.line.penalties.tolist(), "bend": head.bend.tolist()}


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
