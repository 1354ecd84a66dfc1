"""The figures of a drift study: each method over all later rows and block by block, beside the static model and the running rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.evaluation.calibration import calibration, ece_bar
from salesml.evaluation.metrics import Measured, log_loss_difference, measure
from salesml.evaluation.prequential import Step, rate_of, rate_ratio, top_share, within_auc
from salesml.workflows.study_drift_series import (
    ADAPTIVE,
    POINTS,
    PROVEN,
    RATE,
    RECALIBRATED,
    RECENCY,
    ROLLING,
    RUNNING,
    STATIC,
    Series,
)

ECE_BAR = 0.03
CHANCE = 0.5
IN_BLOCKS = (STATIC, RECALIBRATED, RUNNING, RECENCY, ROLLING)
BESIDE = {
    STATIC: (RATE,), RECALIBRATED: (STATIC, RUNNING), RUNNING: (STATIC,), RECENCY: (STATIC, RUNNING, POINTS),
    ROLLING: (STATIC, RUNNING, POINTS), ADAPTIVE: (STATIC, RUNNING, POINTS), PROVEN: (POINTS,),
}  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Figures on later rows, each with its 90 % interval (value, lo, hi), resampled by stretches of neighbouring rows.

    methods: one row per method and metric: log_loss, brier, auc, within_auc (ranking inside blocks), top_tenth (share of outcomes in the
    best tenth of each block), ece (with `bar`: the figure asked for, or what a perfectly calibrated model would show), slope. versus: one
    row per method, beside (another method) and metric: log_loss (difference, below 0 is better), within_auc (difference, above 0 is
    better) and top_tenth (ratio, above 1 is better); `better` where the interval says so. blocks: one row per block and method: block
    (from 0), first_row (of the judged, from 0), rows, known (outcomes known when it began), observed, predicted, log_loss, auc with lo and
    hi (rows of a block resampled singly), chosen.
    """

    methods: pd.DataFrame
    versus: pd.DataFrame
    blocks: pd.DataFrame

    def of(self, method: str, metric: str) -> Measured:
        """One figure of a method."""
        return _one(self.methods, {"method": method, "metric": metric})

    def beside(self, method: str, other: str, metric: str) -> Measured:
        """A method's figure minus another's (of the top tenth: divided by it)."""
        return _one(self.versus, {"method": method, "beside": other, "metric": metric})

    def bar(self, method: str) -> float:
        """What the calibration error may be."""
        rows = self.methods
        return float(rows.loc[(rows["method"] == method) & (rows["metric"] == "ece"), "bar"].iloc[0])

    def ranks(self, method: str) -> bool:
        """Whether skill in ranking may be claimed: the interval of the AUC within blocks lies above chance."""
        return self.of(method, "within_auc").lo > CHANCE

    def calibrated(self, method: str) -> bool:
        """Whether the calibration error is within its bar."""
        return self.of(method, "ece").value <= self.bar(method)


def judged_figures(
    y: np.ndarray, told: Series, judged: Sequence[Step], block: np.ndarray, groups: np.ndarray, seed: int
) -> Figures:
    """Judge each method on the outcomes y of the judged rows; `block` and `groups` give each row's block and stretch."""
    methods, versus = [], []
    ranks = {method: within_auc(y, p, block, groups, seed=seed) for method, p in told.p.items()}
    best = {method: top_share(p, block) for method, p in told.p.items()}
    for method, p in told.p.items():
        found = measure(y, p, told.p[RATE], groups, seed=seed)
        meant = calibration(y, p, groups, seed=seed)
        figures = {
            "log_loss": found["log_loss"], "brier": found["brier"], "auc": found["auc"],
            "within_auc": ranks[method].measured, "top_tenth": rate_of(y, best[method], groups, seed=seed), "ece": meant.ece,
            "slope": meant.slope,
        }  # fmt: skip
        methods += [{"method": method, "metric": name, **vars(figure)} for name, figure in figures.items()]
        methods[-2]["bar"] = ece_bar(p, ECE_BAR, seed=seed)  # neighbours are alike, but each row has an outcome of its own
        for other in (name for name in BESIDE.get(method, ()) if name in told.p):
            q = told.p[other]
            less = log_loss_difference(y, p, q, groups, seed=seed)
            more, top = ranks[method].minus(ranks[other]), rate_ratio(y, best[method], best[other], groups, seed=seed)
            versus += [
                {"method": method, "beside": other, "metric": "log_loss", **vars(less), "better": less.hi < 0},
                {"method": method, "beside": other, "metric": "within_auc", **vars(more), "better": more.lo > 0},
                {"method": method, "beside": other, "metric": "top_tenth", **vars(top), "better": top.lo > 1},
            ]
    return Figures(pd.DataFrame(methods), pd.DataFrame(versus), _blocks(y, told, judged, block, seed))


def _blocks(y: np.ndarray, told: Series, judged: Sequence[Step], block: np.ndarray, seed: int) -> pd.DataFrame:
    rows = []
    for number, step in enumerate(judged):
        mine = block == number
        for method in IN_BLOCKS:
            p = told.p[method][mine]
            found = measure(y[mine], p, np.full(mine.sum(), told.p[RATE][0]), resamples=200, seed=seed)
            loss, auc = found["log_loss"], found["auc"]
            rows.append(
                {
                    "block": number, "first_row": int(np.flatnonzero(mine)[0]), "rows": int(mine.sum()), "known": step.known,
                    "observed": float(y[mine].mean()), "method": method, "predicted": float(p.mean()),
                    "log_loss": loss.value, "log_loss_lo": loss.lo, "log_loss_hi": loss.hi,
                    "auc": auc.value, "auc_lo": auc.lo, "auc_hi": auc.hi,
                    "chosen": told.choices[method][number] if method in told.choices else told.static.kind,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _one(rows: pd.DataFrame, where: dict[str, str]) -> Measured:
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    value, lo, hi = (float(rows[name].iloc[0]) for name in ("value", "lo", "hi"))
    return Measured(value, lo, hi)
