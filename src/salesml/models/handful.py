"""A scorer for few outcomes: what is expected beforehand, corrected by what is seen, and drawn to the base rate while they are few."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from scipy.stats import norm

from salesml.models.calibrators import LOGIT_LIMIT, held
from salesml.models.columns import infer_categorical, require_classes
from salesml.models.design import Design
from salesml.models.laplace import laplace
from salesml.models.rates import Calibration, together
from salesml.models.scorer import read_model, write_model

CLIP = 2.5  # robust standard deviations
RARE = 3
INTERCEPT_SPREAD = 2.0
TRUST_SPREAD = 0.3
SPREADS = (0.0, 0.3, 0.6, 1.2, 2.4)
LESS_LIKELY = 4.0  # each spread beforehand so many times less likely than the one before it
ONE_BY_ONE, PARTS = 60, 20
FAVOUR = math.log(3)
"""Odds of 3 to 1 are where evidence begins to be substantial (Jeffreys 1961, appendix B)."""
CREDIBILITY = 100
"""Outcomes at which model and base rate count the same in a score, as in credibility theory (Bühlmann 1967). Chosen on simulated
companies, so that few outcomes never cost much where their deals are a poor picture of later ones."""
POWER = 0.8

DEAL_EXPECTATIONS: dict[str, float] = {
    "stage_order": 0.35,
    "age_days": -0.05,
    "inbound": 0.03,
    "inbound_28d": 0.03,
    "meetings": 0.03,
    "activities_28d": 0.03,
    "days_since_inbound": -0.03,
    "owner_win_rate": 0.02,
    "account_win_rate": 0.02,
    "amount": -0.02,
}
"""What sellers agree on, in log-odds per standard deviation, set low: later stages win more, silence less, old and large deals
less. Chosen on simulated companies (experiments/2026-11_small_data), so it is a starting point and no result."""


@dataclass(frozen=True)
class Evidence:
    """How much better than the base rate the model was on entities left out: `gain` in log loss per entity (nats), its deviation."""

    entities: int
    positives: float
    gain: float
    deviation: float

    @property
    def enough(self) -> bool:
        """Whether the entities left out favour the model at 3 : 1 at least (likelihood of their outcomes, Geisser and Eddy 1979)."""
        return self.entities * self.gain >= FAVOUR

    @property
    def share(self) -> float:
        """What the model counts in a score's log-odds, the base rate being the rest: n / (n + 100), 0 if not `enough`."""
        return self.entities / (self.entities + CREDIBILITY) if self.enough else 0.0

    @property
    def needed(self) -> int | None:
        """Entities in all at which a gain of this size and deviation would be `enough` in 80 % of cases; None if it is not above 0.

        Solves n · gain - z · deviation · √n = log 3 for n, z the 80 % quantile of the normal.
        """
        if self.gain <= 0:
            return None
        spread = norm.ppf(POWER) * self.deviation
        root = (spread + math.sqrt(spread**2 + 4 * self.gain * FAVOUR)) / (2 * self.gain)
        return math.ceil(root**2)

    def sentence(self) -> str:
        """The verdict for a reader."""
        seen = f"{self.entities:,} outcomes, {self.positives:,.0f} of them positive"
        favour = math.exp(min(abs(self.entities * self.gain), 50.0))
        odds = f"left out in turn, they favour the {'model' if self.gain >= 0 else 'base rate'} at {favour:.3g} : 1"
        if self.enough:
            parts = f"as they are few, a score is {100 * self.share:.0f} % model and the rest base rate, in log-odds"
            return f"Scores come from a model of {seen}; {odds}; {parts}."
        if self.needed is None:
            return f"Base rate for all: in {seen} the model shows no gain ({odds}), so no number of outcomes can be named."
        more = max(1, self.needed - self.entities)
        return f"Base rate until about {more:,} more outcomes: in {seen} the gain is not sure yet ({odds}; 3 : 1 is asked for)."


class Handful:
    """Bayesian logistic regression with effects expected beforehand, averaged with the base rate, or only that if not favoured.

    logit = intercept + trust · Σ expected · x + Σ β · x on standardised numbers and levels of categories, with
    trust ~ N(1, 0.3²) and β ~ N(0, spread² / columns). The spread (0: no effect but the expected ones) is averaged over,
    weighted by marginal likelihood (Laplace; MacKay 1992) and a prior that prefers small ones. Without expectations only
    what the outcomes show is left. Of the log-odds the model gives `Evidence.share`, the base rate the rest: log loss is convex in
    them, so this never loses more than that share of what the model alone would lose.
    """

    kind = "handful"

    def __init__(
        self, design: Design, centres: np.ndarray, scales: np.ndarray, mean: np.ndarray, covariance: np.ndarray, evidence: Evidence
    ) -> None:
        """`mean` and `covariance` of intercept and coefficients of the centred, scaled matrix; all but the intercept 0 in abstention."""
        self.design, self.features, self.categorical = design, design.features, tuple(design.levels)
        self.centres, self.scales, self.mean, self.covariance = centres, scales, mean, covariance
        self.evidence = evidence

    @classmethod
    def fit(
        cls,
        X: pd.DataFrame,
        y: np.ndarray,
        *,
        calibration: Calibration | None = None,
        groups: np.ndarray | None = None,
        calibration_groups: np.ndarray | None = None,
        categorical: Sequence[str] | None = None,
        seed: int = 0,
        expected: Mapping[str, float] | None = None,
    ) -> Handful:
        """Fit on all rows, those of `calibration` too; rows of one entity (`groups`) share the weight of one.

        `expected`: log-odds per standard deviation of a number, by column; columns that are not there are passed over. Left
        out in turn: every entity, or, of more than 60, 20 parts of them drawn by `seed`. Raises NotEnoughData below two
        outcomes of a kind.
        """
        frame, outcomes, entities = together(X, y, calibration, groups, calibration_groups)
        outcomes = require_classes(outcomes, least=2)
        names = infer_categorical(frame) if categorical is None else tuple(categorical)
        weights = 1.0 / np.bincount(entities)[entities]
        design = Design.fit(frame, names, at_least=RARE, clip=CLIP, robust=True)
        matrix = design.matrix(frame)
        centres = np.average(matrix, axis=0, weights=weights)
        scales = _scales(design, matrix - centres, weights)
        columns, hoped = (matrix - centres) / scales, _hoped(design, matrix, expected or {})
        problem = _Problem(columns, outcomes, weights, hoped, columns.shape[1])
        evidence = _left_out(problem.turned(), entities, seed)
        mean, covariance = problem.posterior()
        mean, covariance = _averaged(mean, covariance, _rate(outcomes, weights), evidence)
        return cls(design, centres, scales, mean, covariance, evidence)

    @property
    def abstains(self) -> bool:
        """Whether every row gets the base rate, because the outcomes do not favour the model enough."""
        return not self.evidence.enough

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Probability per row; the base rate in abstention."""
        return expit(self._logits(self._columns(X)))

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Interval of the probability (normal in log-odds), wide enough for what the model alone would say."""
        columns = self._columns(X)
        rows, logits = np.column_stack([np.ones(len(columns)), columns]), self._logits(columns)
        half = norm.ppf((1 + level) / 2) * np.sqrt(np.einsum("ij,jk,ik->i", rows, self.covariance, rows))
        return tuple(expit(np.clip(end, -LOGIT_LIMIT, LOGIT_LIMIT)) for end in (logits - half, logits + half))  # type: ignore[return-value]

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """The average row's log-odds and each feature's effect against it."""
        base, effects = float(self.mean[0]), self.design.by_feature(self._columns(X) * self.mean[1:])
        return base, pd.DataFrame(held(base, effects, LOGIT_LIMIT), index=X.index, columns=list(self.features))

    def save(self, folder: Path) -> None:
        """Write model.json."""
        parts = {"centres": self.centres, "scales": self.scales, "mean": self.mean, "covariance": self.covariance}
        numbers = {name: part.tolist() for name, part in parts.items()}
        write_model(folder, self.kind, {**self.design.to_json(), **numbers, "evidence": asdict(self.evidence)})

    @classmethod
    def load(cls, folder: Path) -> Handful:
        """Read what `save` wrote."""
        c = read_model(folder, cls.kind)
        centres, scales, mean, covariance = (np.array(c[name]) for name in ("centres", "scales", "mean", "covariance"))
        return cls(Design.from_json(c, CLIP), centres, scales, mean, covariance, Evidence(**c["evidence"]))

    def _columns(self, X: pd.DataFrame) -> np.ndarray:
        return (self.design.matrix(X) - self.centres) / self.scales

    def _logits(self, columns: np.ndarray) -> np.ndarray:
        return np.clip(self.mean[0] + columns @ self.mean[1:], -LOGIT_LIMIT, LOGIT_LIMIT)


@dataclass(frozen=True)
class _Problem:
    """Centred columns, outcomes and weights of rows, the effect `hoped` for per column, and how many columns share a spread."""

    columns: np.ndarray
    outcomes: np.ndarray
    weights: np.ndarray
    hoped: np.ndarray
    sharing: int

    def turned(self) -> _Problem:
        """The same problem in no more columns than rows: the prior of β is the same in all directions, so they may be turned."""
        axes = np.linalg.svd(self.columns, full_matrices=False)[2].T
        return replace(self, columns=self.columns @ axes, hoped=axes.T @ self.hoped)

    def mean(self, rows: np.ndarray) -> np.ndarray:
        """Posterior mean of intercept and coefficients given some rows, over all spreads."""
        shares, means, _ = self._by_spread(rows)
        return shares @ means

    def posterior(self) -> tuple[np.ndarray, np.ndarray]:
        """Posterior mean and covariance of intercept and coefficients given all rows, over all spreads."""
        shares, means, curvatures = self._by_spread(np.ones(len(self.outcomes), dtype=bool))
        mean = shares @ means
        covariance = np.einsum("g,gi,gj->ij", shares, means - mean, means - mean)
        for share, curvature in zip(shares, curvatures, strict=True):
            part = self._merge()[:, : len(curvature)]
            covariance += share * part @ np.linalg.solve(curvature, part.T)
        return mean, covariance

    def _merge(self) -> np.ndarray:
        """What brings (intercept, trust, β) to (intercept, coefficients): trust × hoped goes into the coefficients."""
        width = len(self.hoped)
        merge = np.zeros((width + 1, width + 2))
        merge[0, 0], merge[1:, 1], merge[1:, 2:] = 1.0, self.hoped, np.eye(width)
        return merge

    def _by_spread(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Per spread: its posterior share, the mode of intercept and coefficients, the curvature there."""
        columns, y, w, merge = self.columns[rows], self.outcomes[rows], self.weights[rows], self._merge()
        matrix = np.column_stack([np.ones(len(y)), columns @ self.hoped, columns])
        centre = np.zeros(matrix.shape[1])
        centre[:2] = logit(_rate(y, w)), 1.0
        modes, curvatures, evidences = [], [], []
        for spread in SPREADS:
            own = np.full(columns.shape[1], self.sharing / spread**2) if spread else np.zeros(0)
            size = 2 + len(own)
            precision = np.concatenate([[INTERCEPT_SPREAD**-2, TRUST_SPREAD**-2], own])
            mode, curvature, evidence = laplace(matrix[:, :size], y, w, centre[:size], precision)
            modes.append(merge[:, :size] @ mode)
            curvatures.append(curvature)
            evidences.append(evidence)
        likely = np.array(evidences) - math.log(LESS_LIKELY) * np.arange(len(SPREADS))
        shares = np.exp(likely - likely.max())
        return shares / shares.sum(), np.array(modes), curvatures


def _left_out(problem: _Problem, entities: np.ndarray, seed: int) -> Evidence:
    """Log loss of the base rate minus the model's on entities neither has seen, each entity once."""
    count = int(entities.max()) + 1
    parts = count if count <= ONE_BY_ONE else PARTS
    part = np.random.default_rng(seed).permutation(count) % parts
    y, w = problem.outcomes, problem.weights
    gains = np.zeros(len(y))
    for number in range(parts):
        out = part[entities] == number
        rate, mean = _rate(y[~out], w[~out]), problem.mean(~out)
        z = np.clip(mean[0] + problem.columns[out] @ mean[1:], -LOGIT_LIMIT, LOGIT_LIMIT)
        loss = np.logaddexp(0, z) - y[out] * z
        gains[out] = -(y[out] * np.log(rate) + (1 - y[out]) * np.log(1 - rate)) - loss
    each = np.bincount(entities, w * gains)
    return Evidence(count, float(w @ y), float(each.mean()), float(each.std(ddof=1)))


def _averaged(mean: np.ndarray, covariance: np.ndarray, rate: float, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """The model averaged with the base rate, and the model's mean squared deviations from that; the rate and its own in abstention."""
    base, share = np.zeros_like(mean), evidence.share
    base[0] = logit(rate)
    if not evidence.enough:
        own = np.zeros_like(covariance)
        own[0, 0] = 1 / ((evidence.entities + 1) * rate * (1 - rate))
        return base, own
    apart = mean - base
    return base + share * apart, covariance + (1 - share) ** 2 * np.outer(apart, apart)


def _rate(y: np.ndarray, w: np.ndarray) -> float:
    return float((w @ y + 0.5) / (w.sum() + 1))


def _scales(design: Design, centred: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Numbers are brought to deviation 1; levels, flags and what does not vary are left as they are."""
    deviations = np.sqrt(np.average(centred**2, axis=0, weights=weights))
    return np.where(_number_columns(design) & (deviations > 0), deviations, 1.0)


def _hoped(design: Design, matrix: np.ndarray, expected: Mapping[str, float]) -> np.ndarray:
    """The expected effect per column of the matrix; 0 for levels, flags and what does not vary."""
    effects = np.array([expected.get(design.features[owner], 0.0) for owner in design.owners], dtype="float64")
    return np.where(_number_columns(design) & (np.ptp(matrix, axis=0) > 0), effects, 0.0)


def _number_columns(design: Design) -> np.ndarray:
    owners = design.owners
    first = np.append(True, owners[1:] != owners[:-1]) if len(owners) else np.zeros(0, dtype=bool)
    return first & np.array([design.features[owner] in design.standards for owner in owners], dtype=bool)
