"""A quarter's simulation put where the published forecast, with what people have put in it since, says it lands."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

AGREE = 0.005
"""As near as this share of each other the two are taken to agree, and the simulation's numbers stay as they are."""
KEYS = ["level", "name"]
Node = tuple[str, str]


def at_published(rows: pd.DataFrame, draws: Mapping[Node, np.ndarray], published: Mapping[Node, float]) -> pd.DataFrame:
    """Each node's landing with the forecast (overrides in it) for its mean. Grain: one row per row given, in their order.

    rows: level, name, mean, lo80, hi80, quota, probability (money in one currency, missing where not known); draws: simulated landings
    of nodes with a quota; published: the forecast's landing of the whole quarter, for the nodes that it has. Adds amount (published,
    else the mean), moved (amount less mean, 0 where the two agree to half a percent) and chance (share of the draws moved alike that
    reach the quota); lo80 and hi80 are moved too, not below 0.
    """
    nodes = list(rows[KEYS].itertuples(index=False, name=None))
    mean = rows["mean"].to_numpy("float64")
    said = np.array([published.get(node, np.nan) for node in nodes], dtype="float64")
    amount = np.where(np.isnan(said), mean, said)
    apart = amount - mean
    moved = np.where(np.abs(apart) > AGREE * np.abs(amount), apart, 0.0)
    moved = np.where(np.isnan(moved), 0.0, moved)
    chance = rows["probability"].to_numpy("float64", copy=True)
    for place, (node, quota) in enumerate(zip(nodes, rows["quota"], strict=True)):
        if moved[place] and node in draws and not np.isnan(quota):
            chance[place] = np.mean(draws[node] + moved[place] >= quota)
    bounds = {name: _moved(rows[name].to_numpy("float64"), moved) for name in ("lo80", "hi80")}
    return rows.assign(amount=amount, moved=moved, chance=chance, **bounds)


def _moved(bound: np.ndarray, by: np.ndarray) -> np.ndarray:
    return np.where(by == 0, bound, np.maximum(bound + by, 0.0))
