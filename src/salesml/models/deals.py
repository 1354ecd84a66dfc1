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
    """Rows of a labelled frame by block. Every training and calibration label was known before `tested_from`.

    A deal is in the training or in the calibration block, never in both; test rows start at `tested_from`.
    """

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
    """Days, in whole weeks, after which 90 % of deals are settled (Kaplan-Meier, open deals censored), at most a quarter of the history.

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
    return 7 * max(1, min(math.ceil(longest / 7), math.floor(span / 4 / 7)))


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
        created_at=rows["opportunity_id"].map(ends["first_known_at"]),
    )


def blocks(labelled: pd.DataFrame, test_share: float = 0.3, calibration_share: float = 0.25) -> Blocks:
    """Split by time: test = the last `test_share` of the snapshot period; of the deals before it the youngest calibrate.

    Raises NotEnoughData, with the counts, where a block has fewer than 20 won or 20 not-won rows.
    """
    first, last = labelled["as_of"].min(), labelled["as_of"].max()
    horizon = (labelled["known_by"] - labelled["as_of"]).iloc[0] if len(labelled) else pd.Timedelta(0)
    if not len(labelled) or last - first <= horizon:
        raise NotEnoughData(f"the history after the first deal spans less than twice the horizon of {horizon.days} days; use a shorter one")
    # the period before the test needs room for the horizon: labels there must be known when the test begins
    tested_from = first + horizon + (last - first - horizon) * (1 - test_share)
    test = labelled[labelled["as_of"] >= tested_from]
    before = labelled[labelled["known_by"] <= tested_from].sort_values(["as_of", "opportunity_id"], ignore_index=True)
    created = before.groupby("opportunity_id")["created_at"].first().sort_values(kind="stable")
    young = set(created.index[int(len(created) * (1 - calibration_share)) :])
    calibrates = before["opportunity_id"].isin(young)
    parts = {"training": before[~calibrates], "calibration": before[calibrates], "test": test}
    for name, part in parts.items():
        won = int(part["won"].sum())
        if won < LEAST_OUTCOMES or len(part) - won < LEAST_OUTCOMES:
            raise NotEnoughData(
                f"the {name} block has {won} won and {len(part) - won} other snapshots; at least {LEAST_OUTCOMES} of each are needed"
            )
    return Blocks(parts["training"], parts["calibration"], parts["test"], tested_from)
