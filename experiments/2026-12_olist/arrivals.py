"""Leads of the olist funnel scored on the day they come, beside their peers: python arrivals.py WORKSPACE (see README)."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier, Pool
from scipy.special import expit, logit

from salesml.errors import NotEnoughData
from salesml.evaluation.calibration import calibration
from salesml.evaluation.metrics import log_loss_difference, measure
from salesml.models.arrival_line import AGE, ArrivalLine, Watched
from salesml.workflows import lead_arrivals as arrivals
from salesml.workflows.lead_arrivals import CATEGORIES, LINE, SHRUNK, TOLD, ArrivalTable, arrival_table, rolled
from salesml.workspace import Workspace

TREES, PLAIN, BOTH, WITH_BAYES = "CatBoost", "line without pairs", "line and CatBoost", "line and naive Bayes"
FAILED, RIPE = "line, open leads presumed failed", "line, waiting for every lead's days"
HORIZONS = (28, 42, 60, 90, 182)


@dataclass(frozen=True)
class Trees:
    """CatBoost on leads counted as the peers count them."""

    model: CatBoostClassifier

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        return self.model.predict_proba(_pool(X))[:, 1]


def _pool(X: pd.DataFrame, **more: np.ndarray) -> Pool:
    return Pool(X[CATEGORIES].astype("object").where(X[CATEGORIES].notna(), "(missing)"), cat_features=CATEGORIES, **more)


def trees(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int) -> Trees:
    """Settings of small data, not tuned: depth 6, 150 trees, rate 0.05, l2 10."""
    rows, y, weights = arrivals.counts_at(table, instant, horizon)
    model = CatBoostClassifier(
        iterations=150, depth=6, learning_rate=0.05, l2_leaf_reg=10, max_ctr_complexity=1, one_hot_max_size=32, random_seed=seed,
        thread_count=1, allow_writing_files=False, verbose=False,
    )  # fmt: skip
    return Trees(model.fit(_pool(rows, label=y, weight=weights)))


def line(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int, how: str = PLAIN) -> ArrivalLine:
    """The arrival line without pairs, or as it would be had open leads failed, or had it to wait until every lead's days are over."""
    rows = table.before(instant)
    if how == RIPE:
        rows = rows[rows["as_of"] + pd.Timedelta(days=horizon) <= instant]
    leads = table.watched(rows, instant)
    if how == FAILED:
        leads = Watched(leads.arrived, leads.converted, np.ones(len(rows), dtype=bool))
    pairs = () if how == PLAIN else arrivals.PAIRS
    return ArrivalLine.fit(rows[[*TOLD, AGE]], leads, horizon=horizon, categorical=CATEGORIES, pairs=pairs, members=0)


def judged(y: np.ndarray, told: dict[str, np.ndarray], leads: np.ndarray) -> pd.DataFrame:
    """One row per model: log loss, AUC and lift of the best tenth with 90 % intervals, log loss against the shrunken naive Bayes, level."""
    rows = {}
    for name, p in told.items():
        found, against = measure(y, p, told[arrivals.BASE], leads), log_loss_difference(y, p, told.get(SHRUNK, p), leads)
        rows[name] = {**{metric: str(found[metric]) for metric in ("log_loss", "auc", "top_decile_lift")},
                      "minus shrunken naive Bayes": f"{against.value:+.4f} ({against.lo:+.4f} to {against.hi:+.4f})",
                      "expected": round(float(p.sum()), 1), "came": int(y.sum())}  # fmt: skip
    return pd.DataFrame(rows).T


def chosen_of(y: np.ndarray, before: dict[str, np.ndarray]) -> str:
    """The line, unless another candidate is better on the weeks before by more than one standard error of the difference."""
    losses = {name: -(y * np.log(p) + (1 - y) * np.log1p(-p)) for name, p in before.items()}
    chosen = LINE
    for name in (PLAIN, TREES, BOTH, WITH_BAYES):
        apart = losses[name] - losses[LINE]
        error = apart.std(ddof=1) / np.sqrt(len(apart))
        print(f"{name}: {apart.mean():+.4f} against the line, standard error {error:.4f}")
        chosen = name if apart.mean() < -error else chosen
    return chosen


def waiting(workspace: Workspace, table: ArrivalTable, horizon: int) -> str:
    """How the line does that waits until every lead's days are over, or why it cannot be fitted."""
    try:
        found = rolled(workspace, table, horizon, fits={arrivals.BASE: arrivals.fits_at()[arrivals.BASE], RIPE: partial(line, how=RIPE)})
    except NotEnoughData as error:
        return str(error)
    rows = found.rows[found.rows["test"]]
    return judged(rows["converted"].to_numpy(), {n: p[rows.index] for n, p in found.told.items()}, rows["lead_id"].to_numpy()).to_string()


def main(workspace: Workspace) -> None:
    """Choose on the weeks before the test, then show the test."""
    table = arrival_table(workspace)
    found = rolled(workspace, table, fits={**arrivals.fits_at(), TREES: trees, PLAIN: line, FAILED: partial(line, how=FAILED)})
    told, rows, base = dict(found.told), found.rows, arrivals.BASE
    told[BOTH] = expit((logit(told[LINE]) + logit(told[TREES])) / 2)
    told[WITH_BAYES] = expit((logit(told[LINE]) + logit(told[SHRUNK])) / 2)
    y, leads, test = rows["converted"].to_numpy(), rows["lead_id"].to_numpy(), rows["test"].to_numpy()
    before, now = ({name: p[part] for name, p in told.items()} for part in (~test, test))
    print(f"horizon {found.horizon_days} days; {(~test).sum()} leads before the test, {y[~test].sum()} converted")
    print(judged(y[~test], before, leads[~test]).to_string())
    chosen = chosen_of(y[~test], before)
    print(f"chosen: {chosen}\n\ntest: {test.sum()} leads, {y[test].sum()} converted")
    print(judged(y[test], now, leads[test]).to_string())
    quality = calibration(y[test], now[chosen], leads[test])
    print(f"calibration error {quality.ece} of {quality.bar:.3f}, slope {quality.slope}")
    for origin in sorted(rows.loc[test, "origin"].unique()):
        week = (rows["origin"] == origin).to_numpy()
        figures = {name: measure(y[week], told[name][week], told[base][week], leads[week]) for name in (chosen, SHRUNK)}
        print(pd.Timestamp(origin).date(), week.sum(), y[week].sum(), *((n, str(f["auc"]), str(f["log_loss"])) for n, f in figures.items()))
    for days in HORIZONS:
        ever = table.outcomes(rows, days)[test]
        figures = {name: str(measure(ever, now[name], now[base], leads[test])["auc"]) for name in (chosen, SHRUNK, arrivals.BAYES)}
        print(f"converted within {days} days: {ever.mean():.3f}; AUC", figures)
    first = rows.loc[test, "origin"].min()
    fixed = {name: fit(table, first, found.horizon_days, 0).predict(rows[test]) for name, fit in arrivals.fits_at().items()}
    print("\nfitted once, when the test began\n", judged(y[test], fixed, leads[test]).to_string())
    print("\nwaiting for every lead's days:", waiting(workspace, table, found.horizon_days))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Workspace.open(Path(sys.argv[1])))
