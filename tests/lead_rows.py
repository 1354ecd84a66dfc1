"""Scores and grades of leads written into a lake as the workflows write them, with figures that are easy to compute again."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.contracts import table
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import Lake, visible
from salesml.workspace import Workspace

DRAWN = {
    "rules": "usual", "version": "0", "capacity_per_week": 20, "cost_per_lead": 25.0, "horizon_days": 56, "hot_at": None, "warm_at": None,
}  # fmt: skip


def open_leads(workspace: Workspace, as_of: dt.date) -> pd.DataFrame:
    """lead_id, source, owner_id of leads that were open as of a day, by id."""
    view = visible(Lake(workspace).open(), as_of)
    rows = view.frame(view.state("lead", ["status", "source", "owner_id", "deleted"]))
    kept = rows[~rows["status"].isin(LEAD_CLOSED) & ~rows["deleted"].eq(True)]
    return kept.sort_values("lead_id", ignore_index=True)


def write(workspace: Workspace, as_of: dt.date) -> pd.DataFrame:
    """Of the open leads by id the first 20 are hot, the next 40 warm, the rest cold; what each is expected to bring falls by 1."""
    leads = open_leads(workspace, as_of)
    place = np.arange(len(leads))
    leads = leads.assign(
        grade=np.select([place < 20, place < 60], ["hot", "warm"], "cold"), probability=0.5 / (1 + place / 10), expected=9_000.0 - place
    )
    instant = workspace.instant(as_of)
    grades = [{
        "lead_grade_id": f"{as_of}:{row['lead_id']}", "lead_id": row["lead_id"], "grade": row["grade"], "probability": row["probability"],
        "expected_value": Decimal(str(row["expected"])), "currency": workspace.settings.currency,
        "evidence": json.dumps([f"Evidence of {row['lead_id']}."]), "thresholds": json.dumps(DRAWN), "as_of": instant,
        "model": "lead_conversion", "model_version": "1", "occurred_at": instant,
    } for row in leads.to_dict("records")]  # fmt: skip
    scores = [{
        "lead_score_id": f"{as_of}:{row['lead_id']}", "lead_id": row["lead_id"], "composite": 100 * row["probability"],
        **dict.fromkeys(("engagement", "intent", "fit", "behavioural", "demographic"), 50.0), "factors": "[]", "as_of": instant,
        "model": "lead_conversion", "model_version": "1", "occurred_at": instant,
    } for row in leads.to_dict("records")]  # fmt: skip
    for name, rows in (("lead_grade", grades), ("lead_score", scores)):
        schema = pa.schema([field for field in table(name).schema if field.name in rows[0]])
        Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="test", kind="predictions")
    return leads
