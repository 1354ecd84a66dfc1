"""The deal model and its peers: as they would have been fitted when the test began, and as they are to be used now.

Everything that was learnt at an instant was known before it: deals still open then are censored, later outcomes unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salesml.evaluation.metrics import log_loss
from salesml.features.deals import DEALS
from salesml.models.calibrators import Calibrator, fit_calibrator
from salesml.models.competing_risks import CompetingRisks
from salesml.models.deals import Blocks, blocks, label
from salesml.models.hazard_trees import Growth
from salesml.models.peers import OdooBayes
from salesml.models.rates import BaseRate, GroupRate
from salesml.models.spells import CAUSES, known_at
from salesml.workflows.deals import TrainingTable

BASE, STAGE, BAYES, MODEL = "base rate", "stage rate", "naive Bayes", "deal model"
MEMBERS = 4
CLOCK = pd.DatetimeTZDtype("us", "UTC")


@dataclass(frozen=True)
class Fitted:
    """`tested`: probabilities on the test block by method, from fits at its beginning; `final`: fits at the cutoff.

    `dated`: for snapshots whose quarter has ended since, the chance to be closed, and won, by its end, what happened, and
    the deal. `baseline` is the better of base rate and stage rate on the block before the test.
    """

    split: Blocks
    tested: dict[str, np.ndarray]
    dated: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]
    final: dict[str, Any]
    baseline: str


def fit_deals(
    table: TrainingTable, seed: int = 0, features: Sequence[str] = tuple(DEALS.names), members: int = MEMBERS
) -> Fitted:
    """Fit when the test began, test; fit at the cutoff with the same settings, its slope recalibrated by what the test showed.

    `features`: what the deal model may go by; its peers go by what they always do. `members`: refits for the
    final model's intervals.
    """
    split = blocks(table.labelled)
    before, y = split.calibration, split.calibration["won"].to_numpy()
    rates = rates_at(table, before["as_of"].min())
    losses = {name: log_loss(y, rates[name].predict(before[DEALS.names])) for name in (BASE, STAGE)}
    then = fit_at(table, split.tested_from, seed, features)
    model = then[MODEL]
    tested = {name: scorer.predict(split.test[DEALS.names]) for name, scorer in then.items()}
    final = fit_at(table, pd.Timestamp(table.cutoff), seed, features, model.growths, members)
    final[MODEL] = final[MODEL].calibrated(_slope(model.logits(split.test[DEALS.names]), split.test))
    dated = _dated(table, split.tested_from, model)
    return Fitted(split, tested, dated, final, min(losses, key=lambda name: losses[name]))


def fit_at(
    table: TrainingTable,
    instant: pd.Timestamp,
    seed: int,
    features: Sequence[str],
    growths: Mapping[str, Growth] | None = None,
    members: int = 0,
) -> dict[str, Any]:
    """Base rate, stage rate, naive Bayes and the deal model (scorers by name), from what was known at an instant."""
    rows = table.snapshots[table.snapshots["as_of"] < instant]
    model = CompetingRisks.fit(
        rows[list(features)], spells(table, rows, instant), instant, growths=growths, members=members, seed=seed,
        categorical=[name for name in DEALS.categorical if name in set(features)],
    )  # fmt: skip
    return {**rates_at(table, instant), MODEL: model}


def rates_at(table: TrainingTable, instant: pd.Timestamp) -> dict[str, Any]:
    """The peers alone, from snapshots old enough for 9 in 10 deals to be settled and decided by the instant."""
    rows = table.snapshots[table.snapshots["as_of"] < instant]
    settled = label(rows, table.lives_at(instant), table.settling_days, instant.to_pydatetime())
    X, y = settled[DEALS.names], settled["won"].to_numpy()
    known: dict[str, Any] = {"groups": settled["opportunity_id"].to_numpy()}
    return {
        BASE: BaseRate.fit(X, y, **known),
        STAGE: GroupRate.fit(X, y, column="stage", **known),
        BAYES: OdooBayes.fit(X, y, categorical=DEALS.categorical, **known),
    }


def spells(table: TrainingTable, rows: pd.DataFrame, instant: pd.Timestamp) -> pd.DataFrame:
    """What was known at an instant to have come of every snapshot's deal: opportunity_id, as_of, closed_at, status.

    closed_at is its next close. status is how the deal ended: one that came back to life and was won then is won.
    """
    when = {"as_of": rows["as_of"].astype(CLOCK), "opportunity_id": rows["opportunity_id"].astype(str), "place": np.arange(len(rows))}
    closings = table.closings_at(instant)
    closings = closings.assign(closed_at=closings["closed_at"].astype(CLOCK), opportunity_id=closings["opportunity_id"].astype(str))
    found = pd.merge_asof(
        pd.DataFrame(when).sort_values("as_of", kind="stable"), closings.sort_values("closed_at", kind="stable"),
        left_on="as_of", right_on="closed_at", by="opportunity_id", direction="forward",
    ).sort_values("place", ignore_index=True)  # fmt: skip
    last = found["opportunity_id"].map(table.lives_at(instant).set_index("opportunity_id")["status"])
    status = last.where(last.isin(CAUSES), found["status"]).where(found["closed_at"].notna(), "open")
    return found[["opportunity_id", "as_of", "closed_at"]].assign(status=status)


def quarter_ends(rows: pd.DataFrame) -> np.ndarray:
    """Days from each as_of to the end of its calendar quarter."""
    return rows["days_to_quarter_end"].to_numpy(dtype="float64")


def day_of(rows: pd.DataFrame) -> np.ndarray:
    """The day (UTC) of each as_of."""
    return rows["as_of"].dt.tz_localize(None).to_numpy(dtype="datetime64[D]")


def _slope(logits: np.ndarray, test: pd.DataFrame) -> Calibrator:
    """How much too sure or too timid the model was on the test block; all snapshots of a deal together count as one outcome.

    The level is left alone: it goes up and down with the market, and the block's is not the next one's (decision 0008).
    Snapshots weigh alike: a weight that falls with the number a deal has would depend on how long it came to live.
    """
    weights = np.full(len(test), test["opportunity_id"].nunique() / len(test))
    slope = fit_calibrator(logits, test["won"].to_numpy(), weights).slope
    return Calibrator(intercept=float(logits.mean()) * (1 - slope), slope=slope)


def _dated(
    table: TrainingTable, tested_from: pd.Timestamp, model: CompetingRisks
) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Snapshots since the test began whose quarter ended before the cutoff, open deals included: no outcome is waited for."""
    rows = table.snapshots[table.snapshots["as_of"] >= tested_from]
    days = quarter_ends(rows)
    over = rows["as_of"] + pd.to_timedelta(days, "D") <= pd.Timestamp(table.cutoff)
    rows, days = rows[over], days[over.to_numpy()]
    known = known_at(spells(table, rows, pd.Timestamp(table.cutoff)), pd.Timestamp(table.cutoff))
    in_time, outlook, deal = known.closed & (known.days < days), model.outlook(rows[DEALS.names]), rows["opportunity_id"].to_numpy()
    return {
        "closed by quarter end": (outlook.by(days, since=day_of(rows)), in_time.astype("float64"), deal),
        "won by quarter end": (outlook.by(days, "won", day_of(rows)), (in_time & (known.cause == 0)).astype("float64"), deal),
    }


