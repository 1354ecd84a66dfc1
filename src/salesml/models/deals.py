"""The deal model's frame: the horizon of the label, the label itself, and the time-ordered blocks."""

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


@dataclass(frozen=True)
class Blocks:
    """Rows of a labelled frame by block; the labels of each block were known before the next one begins at all."""

    train: pd.DataFrame
    calibration: pd.DataFrame
    test: pd.DataFrame
    tested_from: pd.Timestamp

    def summary(self) -> pd.DataFrame:
        """One row per block: rows, deals, first and last as_of, share won."""
        return pd.DataFrame(
            [
                {
                    "block": name,
                    "rows": len(part),
                    "deals": part["opportunity_id"].nunique(),
                    "first": part["as_of"].min(),
                    "last": part["as_of"].max(),
                    "won_share": part["won"].mean(),
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
        raise NotEnoughData(f"{int(closed.sum())} closed deals are known; at least {LEAST_OUTCOMES} are needed to learn from them")
    end = lives["closed_at"].fillna(pd.Timestamp(cutoff))
    days = np.maximum((end - lives["first_known_at"]).dt.total_seconds().to_numpy() / 86_400, 0.01)
    survival = ecdf(CensoredData(uncensored=days[closed], right=days[~closed])).sf
    settled = survival.quantiles[survival.probabilities <= 1 - SETTLED_SHARE]
    span = (pd.Timestamp(cutoff) - lives["first_known_at"].min()).total_seconds() / 86_400
    longest = settled[0] if len(settled) else days.max()
    return 7 * max(1, min(math.ceil(longest / 7), math.floor(span / 6 / 7)))


def label(rows: pd.DataFrame, lives: pd.DataFrame, horizon_days: int, cutoff: dt.datetime) -> pd.DataFrame:
    """Rows whose outcome is known before the cutoff, with `won` (1 if entered as won in [as_of, as_of + horizon)) and `known_by`.

    A row is kept only if its whole horizon has passed before the cutoff, so that quick deals are not over-represented.
    """
    horizon = pd.Timedelta(days=horizon_days)
    rows = rows[rows["as_of"] + horizon <= pd.Timestamp(cutoff)]
    ends = lives.set_index("opportunity_id")
    closed = rows["opportunity_id"].map(ends["closed_at"])
    won = rows["opportunity_id"].map(ends["status"]).eq("won")
    return rows.assign(
        won=(won & (closed >= rows["as_of"]) & (closed < rows["as_of"] + horizon)).astype("int64"),
        known_by=rows["as_of"] + horizon,
    )


def blocks(labelled: pd.DataFrame, shares: tuple[float, float] = (0.5, 0.2)) -> Blocks:
    """Split by time into training, calibration and test; a horizon lies between each two, so that no label windows overlap.

    `shares` of the snapshot period (less the two gaps) go to training and calibration, the rest to the test. Raises
    NotEnoughData, with the counts, where a block has fewer than 20 won or 20 other snapshots.
    """
    if labelled.empty:
        raise NotEnoughData("no snapshot has a known outcome; use a shorter horizon or more history")
    first, last = labelled["as_of"].min(), labelled["as_of"].max()
    horizon = (labelled["known_by"] - labelled["as_of"]).iloc[0]
    room = last - first - 2 * horizon
    if room <= pd.Timedelta(0):
        raise NotEnoughData(f"the snapshots span {(last - first).days} days, less than two horizons of {horizon.days}; use a shorter horizon")
    train_ends = first + room * shares[0]
    calibration_ends = train_ends + horizon + room * shares[1]
    as_of = labelled["as_of"]
    parts = {
        "training": labelled[as_of <= train_ends],
        "calibration": labelled[(as_of >= train_ends + horizon) & (as_of <= calibration_ends)],
        "test": labelled[as_of >= calibration_ends + horizon],
    }
    for name, part in parts.items():
        won = int(part["won"].sum())
        if won < LEAST_OUTCOMES or len(part) - won < LEAST_OUTCOMES:
            raise NotEnoughData(
                f"the {name} block has {won} won and {len(part) - won} other snapshots; at least {LEAST_OUTCOMES} of each are needed"
            )
    return Blocks(parts["training"], parts["calibration"], parts["test"], parts["test"]["as_of"].min())
