"""Who is compared with whom: reps at work on a day, in peer groups of like tenure and like potential of their territories."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from salesml.errors import NotEnoughData
from salesml.lake import View

LEAST_PEERS = 5
TENURES = ((0, "under 1 year"), (365, "1 to 3 years"), (3 * 365, "3 years or more"))
"""Bands of tenure: from so many days on, and their names."""
SIZES = {1: ("",), 2: ("smaller territories", "larger territories"), 3: ("small territories", "middling territories", "large territories")}
UNKNOWN_TENURE = "tenure unknown"
COLUMNS = ["rep", "name", "team", "hired_on", "left_on", "tenure_days", "tenure", "potential", "peers"]


def reps(view: View, day: dt.date) -> pd.DataFrame:
    """Reps at work on a day, as known by the view, in peer groups. Grain: one row per rep, in the order of ids.

    At work: hired by the day and not gone by it; whoever has no date of leaving counts as `active` says. Where any user has the role
    rep, others are left out. Columns: rep, name, team, hired_on, left_on (missing while unknown), tenure_days (to the day), tenure (its
    band), potential (yearly market potential of the areas of territories the rep is in charge of, in their own currency; missing where
    none is known), peers (the name of the group). Raises NotEnoughData where nobody is at work.
    """
    users = view.frame(view.state("user", ["name", "role", "team_id", "active", "hired_on", "left_on"])).sort_values("user_id")
    if users["role"].eq("rep").any():
        users = users[users["role"].eq("rep")]
    at, hired, left = pd.Timestamp(day), pd.to_datetime(users["hired_on"]), pd.to_datetime(users["left_on"])
    there = (hired.isna() | (hired <= at)) & (left > at).where(left.notna(), ~users["active"].eq(False))
    found = users[there].rename(columns={"user_id": "rep", "team_id": "team"}).reset_index(drop=True)
    if found.empty:
        raise NotEnoughData(f"no rep is known to be at work on {day}; import users with hired_on, left_on or active")
    hired = pd.to_datetime(found["hired_on"])
    days = (at - hired).dt.days
    found = found.assign(
        name=found["name"].fillna(found["rep"]), hired_on=hired, left_on=pd.to_datetime(found["left_on"]), tenure_days=days,
        potential=found["rep"].map(_potential(view)).astype("float64"),
    )  # fmt: skip
    return grouped(found)[COLUMNS]


def grouped(found: pd.DataFrame) -> pd.DataFrame:
    """Adds tenure and peers to reps with tenure_days and potential (either may be missing).

    A band of tenure with fewer than 5 reps joins the next lower one (the lowest joins the next higher); within a band territories are
    split into thirds, else halves, by potential where every part keeps 5 reps and every potential is known.
    """
    starts = np.array([start for start, _ in TENURES])
    band = np.searchsorted(starts, found["tenure_days"].fillna(-1), side="right") - 1
    cells = [[code] for code in sorted(set(band.tolist()))]
    while len(cells) > 1:
        sizes = [int(np.isin(band, cell).sum()) for cell in cells]
        if min(sizes) >= LEAST_PEERS:
            break
        small = int(np.argmin(sizes))
        into = small - 1 if small else 1
        cells[min(into, small)] = cells[min(into, small)] + cells[max(into, small)]
        del cells[max(into, small)]
    peers = pd.Series("", found.index, dtype="object")
    for cell in cells:
        mine = np.flatnonzero(np.isin(band, cell))
        parts = _parts(found["potential"].iloc[mine].to_numpy())
        for part, size in enumerate(SIZES[int(parts.max(initial=0)) + 1]):
            told = ", ".join(filter(None, (_tenure(cell, len(cells)), size))) or "all reps"
            peers.iloc[mine[parts == part]] = told
    names = [UNKNOWN_TENURE if code < 0 else TENURES[code][1] for code in band]
    return found.assign(tenure=names, peers=peers)


def _parts(potential: np.ndarray) -> np.ndarray:
    """Thirds or halves by potential, each of 5 or more; one part where that cannot be."""
    if not np.isnan(potential).any() and len(potential):
        place = pd.Series(potential).rank(method="average").to_numpy()
        for parts in (3, 2):
            code = np.minimum(((place - 0.5) * parts / len(place)).astype("int64"), parts - 1)
            if np.bincount(code, minlength=parts).min() >= LEAST_PEERS:
                return np.asarray(code)
    return np.zeros(len(potential), dtype="int64")


def _tenure(cell: list[int], cells: int) -> str:
    if cells == 1:
        return ""
    told = [UNKNOWN_TENURE] if min(cell) < 0 else []
    known = sorted(code for code in cell if code >= 0)
    if known == [0, 1]:
        return ", ".join([*told, "under 3 years"])
    if known == [1, 2]:
        return ", ".join([*told, "1 year or more"])
    return " or ".join([*told, *(TENURES[code][1] for code in known)])


def _potential(view: View) -> pd.Series:
    """Yearly potential by the rep in charge of the territory."""
    areas = view.frame(view.state("market_area", ["territory_id", "potential"]))
    owners = view.frame(view.state("territory", ["owner_id"])).set_index("territory_id")["owner_id"]
    rows = areas.assign(rep=areas["territory_id"].map(owners), potential=areas["potential"].astype("float64"))
    return rows.dropna(subset=["rep", "potential"]).groupby("rep")["potential"].sum()
