"""The gap to a quota: how much pipeline it takes beyond the usual, by when it is created, and whether reps have the hands for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.analytics.quarter import WANTED

LEAD_WEEKS = (0, 2, 4, 6, 8, 10, 12)
RECENT_DAYS, LEAST_DEALS = 730, 20
MOST_TIMES = 100.0
MANY = 0.9


@dataclass(frozen=True)
class Capacity:
    """Open deals per rep beside past quarters at the same day. `most`: nine in ten reps had no more then (missing without any).

    reps: rep, open_deals, usual (the rep's own mean then; missing if new), room (deals up to `most`), over (more than that);
    room: of all reps together.
    """

    most: float
    reps: pd.DataFrame

    @property
    def room(self) -> float:
        """Deals all reps together can take on before each is as busy as nine in ten have been; missing where nothing is known."""
        return float(self.reps["room"].sum()) if np.isfinite(self.most) else float("nan")


def pipeline_needed(
    landing: np.ndarray, quota: float, lives: pd.DataFrame, as_of: pd.Timestamp, days_left: float, landed: float, seed: int = 0
) -> pd.DataFrame:
    """The pipeline to be created beyond the usual for a chance of 80 % to reach a quota, by when it is created.

    landing: draws of where the quarter lands, what is usually created included; lives: deals: first_known_at, closed_at, status,
    amount (currency); landed: share of a win's amount that becomes revenue in time. Grain: one row per lead: in_weeks (created so many
    weeks from as_of), days_left (then), yield_share (of the amount of deals of the past two years, what was won within so many days;
    those younger are left out), deals, pipeline (their amount), won (revenue they bring on average), each missing where past deals
    are fewer than 20 or none came in time so soon, where more than 100 times the deals of two years would not do, or without a
    quota; 0 where the chance is there already. Simulated: so many deals drawn like past ones (normal sum) on top of every draw.
    """
    luck = np.random.default_rng(seed).standard_normal(len(landing))
    recent = lives[lives["amount"].notna() & (lives["first_known_at"] >= as_of - pd.Timedelta(days=RECENT_DAYS))]
    rows = []
    for weeks in LEAD_WEEKS:
        left = days_left - 7 * weeks
        if left <= 0:
            break
        rows.append({"in_weeks": weeks, "days_left": left, **_needed(landing, quota, recent, as_of, left, landed, luck)})
    return pd.DataFrame(rows, columns=["in_weeks", "days_left", "yield_share", "deals", "pipeline", "won"])


def sure_gap(landing: np.ndarray, quota: float) -> float:
    """What more must be won for sure so that 8 in 10 draws reach the quota; 0 where they do, missing without a quota."""
    return float(np.maximum(quota - np.quantile(landing, 1 - WANTED), 0.0))


def capacity(deals: pd.DataFrame, past: pd.DataFrame) -> Capacity:
    """Whether reps have hands free: open deals (rep) beside those open at the same day of past quarters (quarter, rep; one row a deal)."""
    then = past.dropna(subset=["rep"]).groupby(["quarter", "rep"]).size()
    most = float(then.quantile(MANY)) if len(then) else float("nan")
    now = deals.dropna(subset=["rep"]).groupby("rep").size()
    usual = then.groupby("rep").mean().reindex(now.index)
    found = pd.DataFrame({"rep": now.index, "open_deals": now.to_numpy(), "usual": usual.to_numpy("float64")})
    room = (most - found["open_deals"]).clip(lower=0)
    found = found.assign(room=room, over=found["open_deals"] > most)
    return Capacity(most, found.sort_values(["open_deals", "rep"], ascending=[False, True], ignore_index=True))


def _needed(
    landing: np.ndarray, quota: float, recent: pd.DataFrame, as_of: pd.Timestamp, left: float, landed: float, luck: np.ndarray
) -> dict[str, float]:
    nothing = dict.fromkeys(("yield_share", "deals", "pipeline", "won"), float("nan"))
    span = pd.Timedelta(days=left)
    followed = recent[recent["first_known_at"] <= as_of - span]
    whole = followed["amount"].sum()
    if len(followed) < LEAST_DEALS or not whole > 0:
        return nothing
    in_time = followed["status"].eq("won") & (followed["closed_at"] < followed["first_known_at"] + span)
    brought = followed["amount"].to_numpy("float64") * in_time.to_numpy("float64")
    found = {**nothing, "yield_share": float(brought.sum() / whole)}
    if np.isnan(quota):
        return found
    mean, spread = landed * brought.mean(), landed * brought.std()
    deals = _fewest(landing, quota, mean, spread, MOST_TIMES * len(followed), luck)
    return {**found, "deals": deals, "pipeline": deals * float(followed["amount"].mean()), "won": deals * mean}


def _fewest(landing: np.ndarray, quota: float, mean: float, spread: float, most: float, luck: np.ndarray) -> float:
    """The fewest deals, each bringing `mean` with `spread`, with which 8 in 10 draws reach the quota; missing beyond `most`."""

    def reaches(deals: float) -> bool:
        return bool(np.mean(landing + np.maximum(deals * mean + np.sqrt(deals) * spread * luck, 0.0) >= quota) >= WANTED)

    if reaches(0):
        return 0.0
    tried = np.unique(np.ceil(np.geomspace(1, max(most, 2), 60)))
    high = next((deals for deals in tried if mean > 0 and reaches(deals)), float("nan"))
    if np.isnan(high):
        return high
    low = float(tried[tried < high].max(initial=0))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return float(high)
