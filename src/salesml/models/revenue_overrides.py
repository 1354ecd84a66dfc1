"""A person's amounts in a revenue forecast: the named nodes keep them, the rest of the tree moves least and still adds up."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from salesml.models.hierarchy import reconcile, tree
from salesml.models.revenue_levels import NOTHING, cents_of, held_by, with_rests

COMPANY, REGION = "company", "region"
AMOUNTS = ("amount", "lo80", "hi80", "lo95", "hi95")
Q80 = float(norm.ppf(0.9))
LEAST_SHARE = 0.001
"""Least standard deviation of a node, as a share of its month's company amount: a node without an interval can move too."""


def apply_overrides(forecast: pd.DataFrame, held: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The forecast with the overrides in it, the model's numbers beside, and the ids of overrides whose node or month it lacks.

    forecast: one row per level, name and month with amount, lo80, hi80, lo95, hi95 (exact decimals in one currency) and parent
    (company, region/NAME, team/NAME; missing: the company, for a region), regions summing to the company. held: one row per override:
    override_id, level, name, month, amount. Adds model_amount (what the model said), moved (amount less model_amount) and override_id
    (missing where nobody put a number there). In a month with an override its node keeps exactly that amount; all others change by
    the least sum of squares over the variance that their 80 % intervals tell, never below 0, and add up to the cent; what nobody
    has of a parent moves alike. Bounds move with their amount, not below 0. Other months, and teams and reps without a parent, stay
    as they are. Raises BadParameter where overrides of a month contradict.
    """
    still = pd.Series([NOTHING] * len(forecast), forecast.index, dtype="object")
    beside = forecast.assign(model_amount=forecast["amount"], moved=still, override_id=None)
    rows: list[dict[Any, Any]] = beside.to_dict("records")
    places = {(row["level"], row["name"], row["month"]): row for row in rows if row["level"] == COMPANY or _above(row)}
    lacking = []
    for one in held.to_dict("records"):
        place = places.get((one["level"], one["name"], one["month"]))
        if place is None:
            lacking.append(str(one["override_id"]))
        else:
            place.update(override_id=one["override_id"], amount=one["amount"])
    for month in sorted({row["month"] for row in rows if row["override_id"] is not None}):
        _move({node_of(row): row for row in places.values() if row["month"] == month})
    return pd.DataFrame(rows, columns=beside.columns), lacking


def node_of(row: Mapping[Any, Any]) -> str:
    """A node as the commands take it: company, region/West, team/T1, rep/U1."""
    return COMPANY if row["level"] == COMPANY else f"{row['level']}/{row['name']}"


def _above(row: Mapping[Any, Any]) -> str | None:
    """The node that a row is a part of; None for the company, and where it is not known."""
    told = row.get("parent")
    return told if isinstance(told, str) else COMPANY if row["level"] == REGION else None


def _move(rows: dict[str, dict[Any, Any]]) -> None:
    """One month's nodes, in place: amounts, how far they moved, their bounds."""
    parents = {name: above if (above := _above(row)) in rows else None for name, row in rows.items()}
    fixed: dict[str, Decimal] = {name: row["amount"] for name, row in rows.items() if row["override_id"] is not None}
    said = {name: float(row["model_amount"]) for name, row in rows.items()}
    width = {name: _width(row) for name, row in rows.items()}
    parents, said = with_rests(parents, said)
    for name in parents.keys() - rows.keys():  # nobody's part is as unsure as its parent, for its size
        above = str(parents[name])
        width[name] = width[above] * said[name] / said[above]
    spread = np.maximum([width[name] for name in parents], max(LEAST_SHARE * max(said.values()), 0.01)) ** 2
    held_by(parents, fixed)  # what contradicts is told in the words of overrides
    values = np.array([[said[name]] for name in parents])
    moved = reconcile(tree(parents), values, spread, {name: float(value) for name, value in fixed.items()})[:, 0]
    exact = cents_of(parents, dict(zip(parents, moved.tolist(), strict=True)), fixed)
    for name, row in rows.items():
        row["amount"], row["moved"] = exact[name], exact[name] - row["model_amount"]
        row.update({bound: _shifted(row[bound], row["moved"]) for bound in AMOUNTS[1:]})


def _width(row: dict[Any, Any]) -> float:
    """Standard deviation that an 80 % interval of a normal error tells; 0 without an interval."""
    width = float("nan") if row["lo80"] is None or row["hi80"] is None else float(row["hi80"] - row["lo80"])
    return width / (2 * Q80) if np.isfinite(width) else 0.0


def _shifted(bound: Decimal | None, by: Decimal) -> Decimal | None:
    return None if bound is None or bound.is_nan() else max(bound + by, NOTHING)
