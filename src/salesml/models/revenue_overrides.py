"""A person's amounts in a revenue forecast: the named nodes keep them, the rest of the tree moves least and still adds up."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from salesml.errors import BadParameter
from salesml.models.hierarchy import reconcile, tree
from salesml.models.revenue_levels import round_to_cents

COMPANY, REGION = "company", "region"
AMOUNTS = ("amount", "lo80", "hi80", "lo95", "hi95")
Q80 = float(norm.ppf(0.9))
LEAST_SHARE = 0.001
"""Least standard deviation of a node, as a share of its month's company amount: a node without an interval can move too."""
NOTHING = Decimal("0.00")


def apply_overrides(forecast: pd.DataFrame, held: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The forecast with the overrides in it, the model's numbers beside, and the ids of overrides whose node or month it lacks.

    forecast: one row per level, name and month with amount, lo80, hi80, lo95, hi95 (exact decimals in one currency, regions summing
    to the company). held: one row per override: override_id, level, name, month, amount. Adds model_amount (what the model said),
    moved (amount less model_amount) and override_id (missing where nobody put a number there). In a month with an override its
    node keeps exactly that amount; the company and its other regions change by the least sum of squares over the variance that
    their 80 % intervals tell, never below 0, and add up to the cent. Bounds move with their amount, not below 0. Other months,
    and levels other than company and region, stay as they are. Raises BadParameter where overrides of a month contradict.
    """
    still = pd.Series([NOTHING] * len(forecast), forecast.index, dtype="object")
    beside = forecast.assign(model_amount=forecast["amount"], moved=still, override_id=None)
    rows: list[dict[Any, Any]] = beside.to_dict("records")
    places = {(row["level"], row["name"], row["month"]): row for row in rows if row["level"] in (COMPANY, REGION)}
    lacking = []
    for one in held.to_dict("records"):
        place = places.get((one["level"], one["name"], one["month"]))
        if place is None:
            lacking.append(str(one["override_id"]))
        else:
            place.update(override_id=one["override_id"], amount=one["amount"])
    for month in sorted({row["month"] for row in rows if row["override_id"] is not None}):
        _move([row for row in places.values() if row["month"] == month])
    return pd.DataFrame(rows, columns=beside.columns), lacking


def _move(rows: list[dict[Any, Any]]) -> None:
    """One month's company and regions, in place: amounts, how far they moved, their bounds."""
    by_name = {COMPANY if row["level"] == COMPANY else f"{REGION}/{row['name']}": row for row in rows}
    fixed: dict[str, Decimal] = {name: row["amount"] for name, row in by_name.items() if row["override_id"] is not None}
    below = [name for name in by_name if name != COMPANY]
    exact = _adding_up(by_name, fixed, below) if COMPANY in by_name and below else fixed
    for name, amount in exact.items():
        row = by_name[name]
        row["amount"], row["moved"] = amount, amount - row["model_amount"]
        row.update({bound: _shifted(row[bound], row["moved"]) for bound in AMOUNTS[1:]})


def _adding_up(by_name: dict[str, dict[Any, Any]], fixed: dict[str, Decimal], below: list[str]) -> dict[str, Decimal]:
    """Exact amounts of every node: the fixed ones as they are, the free ones moved least, in cents that add up."""
    free = [name for name in below if name not in fixed]
    kept = sum((fixed[name] for name in below if name in fixed), NOTHING)
    rest = fixed[COMPANY] - kept if COMPANY in fixed else None
    if rest is not None and (rest < 0 or (not free and rest != 0)):
        raise BadParameter(
            f"the company is fixed at {fixed[COMPANY]:,.2f} and its fixed regions at {kept:,.2f} together; "
            "withdraw one of these overrides first (salesml override list)"
        )
    said = np.array([float(row["model_amount"]) for row in by_name.values()])
    width = np.array([_width(row) for row in by_name.values()])
    spread = np.maximum(width, max(LEAST_SHARE * said.max(), 0.01)) ** 2
    nodes = tree({name: None if name == COMPANY else COMPANY for name in by_name})
    moved = reconcile(nodes, said[:, None], spread, {name: float(value) for name, value in fixed.items()})[:, 0]
    values = dict(zip(by_name, moved.tolist(), strict=True))
    cents = round_to_cents([max(values[name], 0.0) for name in free], rest) if free else []
    exact = fixed | dict(zip(free, cents, strict=True))
    return exact | {COMPANY: fixed.get(COMPANY, sum((exact[name] for name in below), NOTHING))}


def _width(row: dict[Any, Any]) -> float:
    """Standard deviation that an 80 % interval of a normal error tells; 0 without an interval."""
    width = float("nan") if row["lo80"] is None or row["hi80"] is None else float(row["hi80"] - row["lo80"])
    return width / (2 * Q80) if np.isfinite(width) else 0.0


def _shifted(bound: Decimal | None, by: Decimal) -> Decimal | None:
    return None if bound is None or bound.is_nan() else max(bound + by, NOTHING)
