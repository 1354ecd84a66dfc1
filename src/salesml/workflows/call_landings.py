"""Where each node of the tree lands by the model, with a quota or without: the numbers of `workflows.quarter`, for more nodes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.contracts import table
from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows import quarter_facts as facts
from salesml.workflows.quarter import Picture, chances, picture, quota_rows
from salesml.workspace import Workspace

LANDING = "quarter_landing"
FRESH = dt.timedelta(days=8)
KEYS = ["level", "name"]
NUMBERS = [*KEYS, "model", "lo80", "hi80", "open_amount"]


def quotas(view: View, start: dt.date, end: dt.date) -> pd.DataFrame:
    """Revenue quotas of a quarter: level, name, label, quota; the company first, its quota missing where none is set."""
    return quota_rows(view, pd.Series({"start": start, "end": end}))


def landings(
    workspace: Workspace,
    tables: Tables,
    instant: dt.datetime,
    nodes: pd.DataFrame,
    scores: pd.DataFrame | None = None,
    seen: Picture | None = None,
) -> tuple[pd.DataFrame, str]:
    """Where each node's quarter lands, and in words where deals' chances come from; no rows and the reason where it is not known.

    nodes: level, name. scores as `workflows.health.pipeline_health` takes them; seen: the picture by them, where it is made already.
    Columns: level, name, model (mean of the landing), lo80, hi80, open_amount (currency). Nodes with a quota have the
    numbers of `workflows.quarter.picture`.
    """
    try:
        now = picture(workspace, tables, instant, scores) if seen is None else seen
    except NotEnoughData as lack:
        return pd.DataFrame(columns=NUMBERS), f"The model has no number: {lack}."
    found = now.quotas.drop(columns="rate_probability")
    asked = nodes[KEYS].merge(found[KEYS].assign(there=True), "left", KEYS)
    more = asked[asked["there"].isna()][KEYS].assign(label="", quota=np.nan).reset_index(drop=True)
    if len(more):
        found = pd.concat([found, chances(now.deals, now.shock, now.books, more, now.now, parts=now.draws.parts)[0]])
    return found.rename(columns={"lands": "model"})[NUMBERS].merge(nodes[KEYS], on=KEYS), now.words


def landings_then(
    workspace: Workspace, tables: Tables, instant: dt.datetime, nodes: pd.DataFrame, period: tuple[dt.date, dt.date]
) -> pd.DataFrame:
    """level, name, model (missing where it had no number) of a past instant in a quarter: as kept, else made from what was known then.

    Made ones rest on the scores that were kept then, else on rates of the quarters before, and are kept in table `landing`.
    """
    known = _kept(Lake(workspace).open(), instant)
    asked = nodes[KEYS].merge(known, "left", KEYS, indicator=True)
    lacking = asked.loc[asked["_merge"] == "left_only", KEYS].reset_index(drop=True)
    if len(lacking):
        made, _ = landings(workspace, tables, instant, lacking, _scores_then(workspace, tables, instant, period[0]))
        made = lacking.merge(made, "left", KEYS)
        _keep(workspace, made, instant, period, tables.head.id)
        known = pd.concat([known, made[known.columns]], ignore_index=True) if len(known) else made
    return nodes[KEYS].merge(known[[*KEYS, "model"]], "left", KEYS).astype({"model": "float64"})


def _kept(tables: Tables, instant: dt.datetime) -> pd.DataFrame:
    view = visible(tables, dt.datetime.now(dt.UTC))
    rows = view.facts("landing")
    rows = rows.filter(rows.as_of == ibis.literal(instant, type="timestamp('UTC', 6)"), rows.model == LANDING)
    return view.frame(rows.select(level="entity_type", name="entity_id", model=rows.amount.cast("float64")))


def _keep(
    workspace: Workspace, made: pd.DataFrame, instant: dt.datetime, period: tuple[dt.date, dt.date], head_id: int
) -> None:
    now, stamp = dt.datetime.now(dt.UTC), f"{instant:%Y%m%dT%H%M%SZ}"
    shared = {
        "period_start": period[0], "period_end": period[1], "currency": workspace.settings.currency, "as_of": instant,
        "model": LANDING, "head_id": head_id, "occurred_at": now,
    }  # fmt: skip
    rows = [
        {"landing_id": f"{LANDING}:{stamp}:{row['level']}:{row['name']}", "entity_type": row["level"], "entity_id": row["name"],
         "amount": _money(row["model"]), "lo80": _money(row["lo80"]), "hi80": _money(row["hi80"]), **shared}
        for row in made.to_dict("records")
    ]  # fmt: skip
    schema = pa.schema([field for field in table("landing").schema if field.name in rows[0]])
    staged = {"landing": pa.Table.from_pylist(rows, schema=schema)}
    Lake(workspace).ingest(staged, origin="call record", kind="predictions", note={"as_of": instant.isoformat()})


def _money(value: float) -> Decimal | None:
    return None if pd.isna(value) else Decimal(f"{value:.2f}")


def _scores_then(workspace: Workspace, tables: Tables, instant: dt.datetime, start: dt.date) -> pd.DataFrame | None:
    """The newest scores that were kept at an instant, made in its quarter and the 8 days before it: opportunity_id, probability, p_quarter.

    None where none were: a model trained later knows too much.
    """
    view, oldest = visible(tables, instant), max(instant - FRESH, workspace.instant(start))
    rows = facts.predictions(view)
    rows = rows.filter(rows.as_of >= oldest, rows.as_of <= instant)
    found = view.frame(rows.select("target", "point", "as_of", "known_at", opportunity_id=rows.entity_id))
    newest = found.sort_values(["as_of", "known_at"]).drop_duplicates(["opportunity_id", "target"], keep="last")
    return facts.as_scores(newest) if len(newest) else None
