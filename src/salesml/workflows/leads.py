"""Leads: snapshots to learn from, and scores of the open ones, by the learnt model and by points."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from salesml.contracts import table
from salesml.errors import BadParameter, NotEnoughData
from salesml.features.leads import COUNTS, LEADS, lead_rows
from salesml.features.spines import lead_lives, lead_spine
from salesml.lake import Lake, Tables, visible
from salesml.models.deals import label
from salesml.models.lead_points import Scheme, usual
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered

MODEL, OPEN = "lead_conversion", "open"
OLDEST = dt.timedelta(weeks=26)
"""Leads older than this are not learnt from, and not scored: nobody works them off a list."""
CONVERTED_SHARE, LEAST_WEEKS, MOST_WEEKS = 0.9, 4, 26
MOST_ROWS = 60_000
VALID = dt.timedelta(days=7)
"""A score speaks of the week in which it was made; anything the lead does makes a new one."""
SHOWN_FACTORS, BATCH = 6, 50_000
KEPT = ["lead_id", "as_of", "source", "title", "age_days", "owner_id"]
_ENGAGEMENT = ("opens", "clicks", "replies", "social", "visits", "webinars", "events", "inbound", "activities", "engagement_points")
_INTENT = ("forms", "downloads", "buying", "intent_points")
_DEMOGRAPHIC = ("title", "industry", "country", "employees")
_ORIGIN = ("source", "campaign_id", "landing_page", "source_conversion", "campaign_conversion")
_TIME = ("age_days", "days_since_event")
_RECENT = {name for name in LEADS.names if name.removesuffix("_7d").removesuffix("_28d") in COUNTS}
COMPONENTS = {
    "engagement": {*_ENGAGEMENT, *(name for name in _RECENT if not name.startswith("buying"))} - set(_INTENT),
    "intent": {*_INTENT, "buying_7d"},
    "fit": {*_DEMOGRAPHIC, *_ORIGIN},
    "behavioural": {*_ENGAGEMENT, *_INTENT, *_RECENT, *_TIME},
    "demographic": set(_DEMOGRAPHIC),
}
"""Features that each component of a score speaks of; behavioural and demographic cut the same features another way."""


@dataclass(frozen=True)
class LeadTable:
    """Weekly snapshots of leads that nobody had judged yet, and whether they converted within `horizon_days`, all known before `cutoff`.

    labelled: one row per lead and week, in time order: lead_id, as_of, features, converted, known_by, horizon; of whole leads drawn by
    lot where there were over 60,000; share: the part of the snapshots that was kept so.
    """

    labelled: pd.DataFrame
    horizon_days: int
    cutoff: dt.datetime
    tables: Tables = field(repr=False)
    share: float = 1.0


def lead_table(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, within_days: int | None = None) -> LeadTable:
    """What there is to learn from as of an instant.

    Grain: one row per lead and week start while it was open and not qualified, up to 26 weeks old. `within_days`: days within which a
    lead has to convert to count, counted from the snapshot; without it those in which 90 % of conversions come. Snapshots younger
    than that are left out: a lead of last week has not failed yet. Raises NotEnoughData, BadParameter.
    """
    if within_days is not None and within_days < 1:
        raise BadParameter(f"within_days {within_days!r} is not a positive number of days")
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    lives = view.frame(lead_lives(view))
    if lives.empty:
        raise NotEnoughData(f"no lead is known as of {cutoff:%Y-%m-%d}; import leads, or choose a later day")
    horizon = within_days or conversion_days(lives, cutoff)
    spine = lead_spine(view, workspace, lives["first_known_at"].min().to_pydatetime(), cutoff - dt.timedelta(days=horizon), OLDEST)
    if not spine.num_rows:
        raise NotEnoughData(f"no snapshot is {horizon} days older than {cutoff:%Y-%m-%d}; use a shorter horizon or more history")
    thinned = _thinned(spine)
    rows = LEADS.frame(visible(tables, thinned))
    rows = rows[rows["status"] == OPEN].sort_values(["as_of", "lead_id"], ignore_index=True)
    labelled = label(rows, lives, horizon, cutoff, within=True, entity="lead_id", outcome="converted").reset_index(drop=True)
    return LeadTable(labelled, horizon, cutoff, tables, thinned.num_rows / spine.num_rows)


def conversion_days(lives: pd.DataFrame, cutoff: dt.datetime) -> int:
    """Days, in whole weeks from 4 to 26, within which 90 % of conversions come, of leads known for 26 weeks at least."""
    old = lives[lives["first_known_at"] <= pd.Timestamp(cutoff - OLDEST)]
    days = (old["closed_at"] - old["first_known_at"]).dt.total_seconds()[old["status"].eq("converted")] / 86_400
    if days.empty:
        raise NotEnoughData("no lead that is known for 26 weeks has converted; import more history, or give --within-days")
    return 7 * int(np.clip(np.ceil(days.quantile(CONVERTED_SHARE) / 7), LEAST_WEEKS, MOST_WEEKS))


def _thinned(spine: pa.Table) -> pa.Table:
    """The spine with whole leads drawn by lot where it has over MOST_ROWS rows."""
    if spine.num_rows <= MOST_ROWS:
        return spine
    frame = spine.to_pandas()
    leads = np.sort(frame["lead_id"].unique())
    kept = np.random.default_rng(0).permutation(leads)[: int(len(leads) * MOST_ROWS / len(frame))]
    return pa.Table.from_pandas(frame[frame["lead_id"].isin(kept)], preserve_index=False).cast(spine.schema)


def score_leads(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    model: str | int = "champion",
    leads: Collection[str] | None = None,
) -> pd.DataFrame:
    """Score every open lead of at most 26 weeks with a version of the lead model (default: the champion) and keep the scores.

    Leads that somebody has qualified already are not among them. `leads` restricts it to those ids; their numbers are the same as
    among all.

    Grain: one row per lead, the best first: lead_id, source, title, age_days, owner_id, probability (to convert within the model's
    horizon), lo, hi (90 % interval), composite (100 × probability), the components (their effects' odds ÷ (1 + odds) × 100: 50 says
    nothing either way, above it they speak for the lead), factors ({feature, value, effect}: effects and the base add up to the
    log-odds), points (`lead_points.usual`). Writes table `lead_score`; scoring again with the same version and day changes nothing.
    Raises UnknownName without a model.
    """
    return score_and_keep(Lake(workspace).open(), as_of, model, leads, "all" if leads is None else "some")


def score_and_keep(
    tables: Tables, as_of: str | dt.date | dt.datetime | None, model: str | int, leads: Collection[str] | None, covers: str
) -> pd.DataFrame:
    """`score_leads` from opened tables; `covers` is noted with the scores: of which leads of that instant they are."""
    from salesml.registry import catalog

    rows = _open_leads(tables, tables.instant(as_of), leads)
    scorer = catalog.load(tables.workspace, MODEL, model)
    if rows.empty:
        return rows.assign(probability=[], composite=[], factors=[], points=[])
    found = rows[KEPT].join(scores(rows, scorer))
    _keep(tables, found, MODEL, str(scorer.version.number), scorer.version.run_id, covers)
    return found.sort_values("composite", ascending=False, kind="stable", ignore_index=True)


def scores(rows: pd.DataFrame, scorer: Registered, shown: int | None = SHOWN_FACTORS) -> pd.DataFrame:
    """What a version of the lead model says of leads with these features, one row each: probability to points as in `score_leads`.

    `shown`: factors told of each lead, the greatest first; None for all that are not 0.
    """
    scored = scorer.predictions(rows[LEADS.names], interval=True).set_axis(rows.index)
    _, effects = scorer.explain(rows[LEADS.names])
    strengths, names = effects.to_numpy("float64"), list(effects)
    parts = {part: 100 * expit(strengths[:, [name in of for name in names]].sum(axis=1)) for part, of in COMPONENTS.items()}
    return scored.assign(
        composite=100 * scored["probability"], **parts, factors=_told(rows, effects, shown), points=_usual().score(rows)[0]["composite"]
    )


@lru_cache(maxsize=1)
def _usual() -> Scheme:
    return usual()


def score_by_points(
    workspace: Workspace, scheme: Scheme, as_of: str | dt.date | dt.datetime | None = None, leads: Collection[str] | None = None
) -> pd.DataFrame:
    """Score the same leads by a points scheme and keep the scores (table `lead_score`, model points/NAME, version its digest).

    Grain: one row per lead, the best first: lead_id, source, title, age_days, owner_id, composite, engagement, intent, fit (0..100),
    factors ({feature, value, effect}: effects add up to the composite).
    """
    tables = Lake(workspace).open()
    rows = _open_leads(tables, tables.instant(as_of), leads)
    points, effects = scheme.score(rows)
    found = rows[KEPT].join(points).assign(factors=_told(rows, effects))
    if len(found):
        _keep(tables, found, f"points/{scheme.name}", scheme.version, None, "all" if leads is None else "some")
    return found.sort_values("composite", ascending=False, kind="stable", ignore_index=True)


def _open_leads(tables: Tables, cutoff: dt.datetime, leads: Collection[str] | None) -> pd.DataFrame:
    rows = lead_rows(visible(tables, cutoff), leads)
    return rows[is_open(rows)].reset_index(drop=True)


def is_open(rows: pd.DataFrame) -> pd.Series:
    """Whether a lead with these features is scored: open, qualified by nobody, at most 26 weeks old."""
    return rows["status"].eq(OPEN) & (rows["age_days"] <= OLDEST / dt.timedelta(days=1))


def _told(rows: pd.DataFrame, effects: pd.DataFrame, most: int | None = None) -> pd.Series:
    """Factors of each row that are not 0, the greatest first, those equally great by name; the first `most`."""
    names = np.array(sorted(map(str, effects)), dtype="object")
    found: list[list[dict[str, object]]] = []
    for start in range(0, len(rows), BATCH):
        strengths = effects[names].iloc[start : start + BATCH].to_numpy("float64")
        values = rows[names].iloc[start : start + BATCH].to_numpy("object", copy=True)
        values[pd.isna(values)] = None
        order = np.argsort(-np.abs(strengths), axis=1, kind="stable")[:, :most]
        told = [names[order], np.take_along_axis(values, order, axis=1), np.take_along_axis(strengths, order, axis=1)]
        found += [
            [{"feature": name, "value": value, "effect": effect} for name, value, effect in zip(*each, strict=True) if effect]
            for each in zip(*(one.tolist() for one in told), strict=True)
        ]
    return pd.Series(found, index=rows.index, dtype="object")


def _keep(tables: Tables, found: pd.DataFrame, model: str, version: str, run_id: str | None, covers: str) -> None:
    """Write scores to table `lead_score`; the commit's note says as of when, by which version, and of which leads they are."""
    stamp, told_at = found["as_of"].iloc[0], json.JSONEncoder(default=str, ensure_ascii=False).encode
    own = [name for name in ("composite", "behavioural", "demographic", "engagement", "intent", "fit") if name in found]
    same = {
        "scored_at": stamp, "valid_until": stamp + VALID, "model": model, "model_version": version, "run_id": run_id,
        "head_id": tables.head.id, "occurred_at": pd.Timestamp(dt.datetime.now(dt.UTC)),
    }  # fmt: skip
    names = ["lead_score_id", "lead_id", "as_of", *own, "factors", *same]
    schema = pa.schema([table("lead_score").schema.field(name) for name in names])

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(found), BATCH):
            part = found.iloc[start : start + BATCH]
            ids = f"{model}:{version}:{stamp:%Y%m%dT%H%M%SZ}:" + part["lead_id"]
            part = part[["lead_id", "as_of", *own]].assign(
                lead_score_id=ids, factors=[told_at(factors) for factors in part["factors"]], **same
            )
            yield from pa.Table.from_pandas(part[names], schema, preserve_index=False).to_batches()

    note = {"as_of": stamp.isoformat(), "model": model, "model_version": version, "covers": covers, "from_head": tables.head.id}
    staged = {"lead_score": pa.RecordBatchReader.from_batches(schema, batches())}
    Lake(tables.workspace).ingest(staged, origin="score leads", kind="predictions", note=note)
