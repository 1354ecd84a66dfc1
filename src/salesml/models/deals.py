"""The frame of a model of deals or leads: the time they take to settle, the label, and the time-ordered blocks."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import CensoredData, ecdf

from salesml.errors import NotEnoughData

SETTLED_SHARE = 0.9
LEAST_OUTCOMES = 20
ENTITIES = {"opportunity_id": "deals", "lead_id": "leads"}


@dataclass(frozen=True)
class Blocks:
    """Rows of a labelled frame by block; the labels of each block were known before the next one begins at all."""

    train: pd.DataFrame
    calibration: pd.DataFrame
    test: pd.DataFrame
    tested_from: pd.Timestamp
    entity: str = "opportunity_id"
    outcome: str = "won"

    def summary(self) -> pd.DataFrame:
        """One row per block: rows, deals (or leads), first and last as_of, share won (or converted)."""
        return pd.DataFrame(
            [
                {
                    "block": name,
                    "rows": len(part),
                    ENTITIES[self.entity]: part[self.entity].nunique(),
                    "first": part["as_of"].min(),
                    "last": part["as_of"].max(),
                    f"{self.outcome}_share": part[self.outcome].mean(),
                }
                for name, part in (("train", self.train), ("calibration", self.calibration), ("test", self.test))
            ]
        )


def settling_days(lives: pd.DataFrame, cutoff: dt.datetime) -> int:
    """Days, in whole weeks, after which 90 % of deals are settled (Kaplan-Meier, open deals censored), at most a sixth of the history.

    `lives`: one row per deal with first_known_at and closed_at (null while open). Raises NotEnoughData below 20 closed deals.
    """
    closed = lives["closed_at"].notna()
    if closed.sum() < LEAST_OUTCOMES:
        raise NotEnoughData(
            f"{int(closed.sum())} closed deals are known; at least {LEAST_OUTCOMES} are needed to learn from them"
        )
    end = lives["closed_at"].fillna(pd.Timestamp(cutoff))
    days = np.maximum((end - lives["first_known_at"]).dt.total_seconds().to_numpy() / 86_400, 0.01)
    survival = ecdf(CensoredData(uncensored=days[closed], right=days[~closed])).sf
    settled = survival.quantiles[survival.probabilities <= 1 - SETTLED_SHARE]
    span = (pd.Timestamp(cutoff) - lives["first_known_at"].min()).total_seconds() / 86_400
    longest = settled[0] if len(settled) else days.max()
    return 7 * max(1, min(math.ceil(longest / 7), math.floor(span / 6 / 7)))


def label(
    rows: pd.DataFrame, lives: pd.DataFrame, horizon_days: int, cutoff: dt.datetime, *, within: bool = False,
    entity: str = "opportunity_id", outcome: str = "won",
) -> pd.DataFrame:  # fmt: skip
    """Snapshots at least a horizon older than the cutoff whose outcome was known by then, with the outcome (`won`) and `known_by`.

    `won` is 1 if the deal was entered as won eventually; deals still undecided at the cutoff are left out. `within`: 1 if it
    was entered as won in [as_of, as_of + horizon), undecided deals count as 0. Younger snapshots are left out in both
    cases, since of those only quick deals would be known. `known_by` is when the label was known, never before the horizon.
    Leads have `entity` lead_id and `outcome` converted, which is both the status and the column.
    """
    horizon = pd.Timedelta(days=horizon_days)
    rows = rows[rows["as_of"] + horizon <= pd.Timestamp(cutoff)]
    ends = lives.set_index(entity)
    closed = rows[entity].map(ends["closed_at"])
    won = rows[entity].map(ends["status"]).eq(outcome)
    after = rows["as_of"] + horizon
    if within:
        return rows.assign(**{outcome: (won & (closed < after)).astype("int64")}, known_by=after, horizon=horizon)
    labelled = rows.assign(**{outcome: won.astype("int64")}, known_by=closed.where(closed > after, after), horizon=horizon)
    return labelled[closed.notna()]


def blocks(
    labelled: pd.DataFrame, shares: tuple[float, float] = (0.5, 0.2), entity: str = "opportunity_id", outcome: str = "won"
) -> Blocks:
    """Split by time into training, calibration and test, a horizon between each two; labels are known before the next begins.

    `shares` of the snapshot period (less the two gaps) go to training and calibration, the rest to the test. Raises
    NotEnoughData, with the counts, where a block has fewer than 20 won or 20 other snapshots.
    """
    if labelled.empty:
        raise NotEnoughData("no snapshot has a known outcome; use a shorter horizon or more history")
    first, last = labelled["as_of"].min(), labelled["as_of"].max()
    horizon = labelled["horizon"].iloc[0]
    room = last - first - 2 * horizon
    if room <= pd.Timedelta(0):
        raise NotEnoughData(
            f"the snapshots span {(last - first).days} days, less than two horizons of {horizon.days}; use a shorter horizon"
        )
    train_ends = first + room * shares[0]
    calibration_ends = train_ends + horizon + room * shares[1]
    as_of, known_by = labelled["as_of"], labelled["known_by"]
    calibrated_from, tested_from = train_ends + horizon, calibration_ends + horizon
    parts = {
        "training": labelled[(as_of <= train_ends) & (known_by <= calibrated_from)],
        "calibration": labelled[as_of.between(calibrated_from, calibration_ends) & (known_by <= tested_from)],
        "test": labelled[as_of >= tested_from],
    }
    for name, part in parts.items():
        won = int(part[outcome].sum())
        if won < LEAST_OUTCOMES or len(part) - won < LEAST_OUTCOMES:
            raise NotEnoughData(
                f"the {name} block has {won} {outcome} and {len(part) - won} other snapshots; at least {LEAST_OUTCOMES} of each are needed"
            )
    return Blocks(parts["training"], parts["calibration"], parts["test"], parts["test"]["as_of"].min(), entity, outcome)
