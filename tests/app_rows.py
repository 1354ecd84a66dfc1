"""Scores and a forecast written into a lake as the workflows write them, with figures that are easy to compute again."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics import pipeline, revenue
from salesml.contracts import table
from salesml.lake import Lake, visible
from salesml.workspace import Workspace

EARLIER, LATER = dt.date(2026, 5, 6), dt.date(2026, 6, 3)


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """A copy that may be written to."""
    shutil.copytree(workspace.root, folder / "copy")
    return Workspace.open(folder / "copy")


def write(workspace: Workspace, as_of: dt.date, version: str = "2", months: int = 6) -> None:
    """Scores of every deal open as of a day, and a monthly forecast of the company and its regions."""
    Lake(workspace).ingest({"prediction": scores(workspace, as_of, version)}, origin="test", kind="predictions")
    Lake(workspace).ingest({"forecast": forecasts(workspace, as_of, months)}, origin="test", kind="predictions")


def scores(workspace: Workspace, as_of: dt.date, version: str = "2") -> pa.Table:
    """P(win) from age and amount; two factors and a base of -0.4 that add up to its log-odds."""
    view = visible(Lake(workspace).open(), as_of)
    deals = pipeline.open_deals(view)
    age = 0.8 - deals["age_days"] / 120
    size = 0.5 - deals["amount"].astype("float64").fillna(0).clip(upper=1e5) / 1e5
    point = 1 / (1 + np.exp(0.4 - age - size))
    factors = [
        [{"feature": "age_days", "value": days, "effect": a}, {"feature": "amount", "value": value, "effect": s}]
        for days, a, value, s in zip(deals["age_days"], age, deals["amount"].astype("float64"), size, strict=True)
    ]
    instant = workspace.instant(as_of)
    return _staged(
        "prediction",
        {
            "prediction_id": [f"{version}:{as_of}:{deal}" for deal in deals["opportunity_id"]],
            "entity_type": "opportunity", "entity_id": deals["opportunity_id"], "target": "won",
            "point": point, "lo": point * 0.8, "hi": point + 0.2 * (1 - point), "factors": [json.dumps(f) for f in factors],
            "as_of": instant, "model": "deal_outcome", "model_version": version, "occurred_at": instant,
        },
    )  # fmt: skip


def forecasts(workspace: Workspace, as_of: dt.date, months: int = 6) -> pa.Table:
    """The mean of the last six months for every month ahead, ±15 % and ±25 %."""
    view = visible(Lake(workspace).open(), as_of)
    history = revenue.monthly(view)
    company = history.groupby("month", as_index=False)["amount"].sum().assign(region=None)
    rows = []
    for region, part in [(None, company), *history.groupby("region")]:
        mean = round(float(part.sort_values("month")["amount"].tail(6).astype("float64").mean()), 2)
        for start in pd.date_range(as_of.replace(day=1), periods=months, freq="MS"):
            level, entity = ("region", region) if region else ("company", "company")
            rows.append(
                {
                    "forecast_id": f"{as_of}:{entity}:{start.date()}", "entity_type": level, "entity_id": entity,
                    "period_start": start.date(), "period_end": (start + pd.DateOffset(months=1)).date(), "amount": mean,
                    **{f"{side}{size}": round(mean * (1 + sign * share), 2)
                       for size, share in ((80, 0.15), (95, 0.25)) for side, sign in (("lo", -1), ("hi", 1))},
                }
            )  # fmt: skip
    frame = pd.DataFrame(rows)
    instant = workspace.instant(as_of)
    told = json.dumps({"wape": 0.12, "cover80": 0.79, "n": 48})
    more = {
        "currency": workspace.settings.currency,
        "accuracy": told,
        "as_of": instant,
        "model": "mean",
        "model_version": "1",
    }
    return _staged("forecast", {**frame.to_dict("list"), **more, "occurred_at": instant})


def _staged(name: str, columns: dict[str, object]) -> pa.Table:
    frame = pd.DataFrame(columns)
    schema = table(name).schema
    arrays = {column: pa.array(frame[column], from_pandas=True) for column in frame}
    money = {column: pa.array([None if v != v else f"{v:.2f}" for v in frame[column]]) for column in frame
             if pa.types.is_decimal(schema.field(column).type)}  # fmt: skip
    return pa.table({c: (money.get(c, a)).cast(schema.field(c).type) for c, a in arrays.items()})
