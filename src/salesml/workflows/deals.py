"""Deals: the training table, training with a comparison on later deals, and scoring the open ones."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from salesml.errors import BadParameter, NotEnoughData
from salesml.features.deals import DEALS
from salesml.features.spines import deal_lives, weekly_spine
from salesml.lake import Lake, visible
from salesml.models.deals import label, settling_days
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered

MODEL = "deal_outcome"
SHOWN_FACTORS = 8


@dataclass(frozen=True)
class TrainingTable:
    """Snapshots of open deals with known outcomes. `X`, `y`, `as_of` and `groups` (deal ids) have the same rows, in time order."""

    X: pd.DataFrame
    y: pd.Series
    as_of: pd.Series
    groups: pd.Series
    settling_days: int
    cutoff: dt.datetime
    labelled: pd.DataFrame = field(repr=False)
    head: Any = field(repr=False)


def training_table(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    every_days: int = 7,
) -> TrainingTable:
    """Weekly snapshots of open deals and whether they were won eventually (or within so many days), all known before as_of.

    Grain: one row per deal and week while open, for snapshots older than the time in which 90 % of deals settle (than
    `within_days` where given). `every_days` 1: a snapshot every day, for deals that live days rather than weeks.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    lives = view.frame(deal_lives(view))
    if lives.empty:
        raise NotEnoughData(f"no deal is known as of {cutoff:%Y-%m-%d}; import deals, or choose a later day")
    if within_days is not None and within_days < 1:
        raise BadParameter(f"within_days {within_days!r} is not a positive number of days")
    horizon = within_days or settling_days(lives, cutoff)
    first, last = lives["first_known_at"].min().to_pydatetime(), cutoff - dt.timedelta(days=horizon)
    spine = weekly_spine(view, workspace, first, last, every_days=every_days)
    if not spine.num_rows:
        raise NotEnoughData(
            f"no snapshot is {horizon} days older than {cutoff:%Y-%m-%d}; use a shorter horizon or more history"
        )
    rows = DEALS.frame(visible(tables, spine))
    labelled = label(rows[rows["status"] == "open"], lives, horizon, cutoff, within=within_days is not None)
    labelled = labelled.sort_values(["as_of", "opportunity_id"], ignore_index=True)
    X, y, groups = labelled[DEALS.names], labelled["won"], labelled["opportunity_id"]
    return TrainingTable(X, y, labelled["as_of"], groups, horizon, cutoff, labelled, tables.head)


def score_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    model: str | int = "champion",
    deals: Collection[str] | None = None,
) -> pd.DataFrame:
    """Score every deal open as of an instant with a version of the deal model (default: the champion) and keep the predictions.

    `deals` restricts it to those ids; their numbers are the same as among all.

    Grain: one row per open deal, the most probable first: opportunity_id, name, stage, owner_id, amount, probability, lo, hi
    (90 % interval), factors. Writes table `prediction`; scoring again with the same version and day changes nothing.
    """
    from salesml.registry import catalog

    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    rows = DEALS.frame(view)
    wanted = rows["status"].eq("open") & (True if deals is None else rows["opportunity_id"].isin(list(deals)))
    rows = rows[wanted].reset_index(drop=True)
    names = view.frame(view.state("opportunity", ["name"])).set_index("opportunity_id")["name"]
    rows = rows.assign(name=rows["opportunity_id"].map(names))
    scorer = catalog.load(workspace, MODEL, model)
    if rows.empty:
        return rows.assign(probability=[], lo=[], hi=[], factors=[])
    scored = scorer.predictions(rows[DEALS.names], interval=True, factors=SHOWN_FACTORS)
    rows = rows[["opportunity_id", "as_of", "name", "stage", "owner_id", "account_id", "amount", "close_date"]].join(
        scored
    )
    _keep(workspace, rows, scorer, tables.head.id)
    return rows.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def _keep(workspace: Workspace, rows: pd.DataFrame, scorer: Registered, head_id: int) -> None:
    now = dt.datetime.now(dt.UTC)
    stamp = rows["as_of"].dt.strftime("%Y%m%dT%H%M%SZ")
    version = str(scorer.version.number)
    frame = pd.DataFrame(
        {
            "prediction_id": f"{MODEL}:{version}:" + stamp + ":" + rows["opportunity_id"],
            "entity_type": "opportunity", "entity_id": rows["opportunity_id"], "target": "won",
            "horizon_days": int(json.loads(scorer.version.tags.get("within_days", "0"))) or None,
            "point": rows["probability"], "lo": rows["lo"], "hi": rows["hi"],
            "factors": [json.dumps(factors, default=str, ensure_ascii=False) for factors in rows["factors"]],
            "as_of": rows["as_of"], "model": MODEL, "model_version": version, "run_id": scorer.version.run_id,
            "head_id": head_id, "occurred_at": pd.Timestamp(now),
        }
    )  # fmt: skip
    staged = {"prediction": pa.Table.from_pandas(frame, preserve_index=False)}
    Lake(workspace).ingest(
        staged, origin="score deals", kind="predictions", note={"as_of": rows["as_of"].iloc[0].isoformat()}
    )
