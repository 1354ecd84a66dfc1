"""Leads: snapshots to learn from, and scores of the open ones, by the learnt model and by points."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit

from salesml.errors import BadParameter, NotEnoughData
from salesml.features.leads import COUNTS, LEADS
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
SHOWN_FACTORS = 6
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
    lot where there were over 60,000.
    """

    labelled: pd.DataFrame
    horizon_days: int
    cutoff: dt.datetime
    tables: Tables = field(repr=False)


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
    rows = LEADS.frame(visible(tables, _thinned(spine)))
    rows = rows[rows["status"] == OPEN].sort_values(["as_of", "lead_id"], ignore_index=True)
    labelled = label(rows, lives, horizon, cutoff, within=True, entity="lead_id", outcome="converted").reset_index(drop=True)
    return LeadTable(labelled, horizon, cutoff, tables)


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
    from salesml.registry import catalog

    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    rows = _open_leads(tables, cutoff, leads)
    scorer = catalog.load(workspace, MODEL, model)
    if rows.empty:
        return rows.assign(probability=[], composite=[], factors=[], points=[])
    scored = scorer.predictions(rows[LEADS.names], interval=True)
    _, effects = scorer.explain(rows[LEADS.names])
    parts = {
        name: 100 * expit(effects[[column for column in effects if column in of]].sum(axis=1)) for name, of in COMPONENTS.items()
    }
    kept = rows[["lead_id", "as_of", "source", "title", "age_days", "owner_id"]]
    found = kept.join(scored).assign(
        composite=100 * scored["probability"], **parts, factors=_told(rows, effects).str[:SHOWN_FACTORS],
        points=usual().score(rows)[0]["composite"],
    )  # fmt: skip
    _keep(workspace, found, MODEL, str(scorer.version.number), scorer, tables.head.id)
    return found.sort_values("composite", ascending=False, kind="stable", ignore_index=True)


def score_by_points(
    workspace: Workspace, scheme: Scheme, as_of: str | dt.date | dt.datetime | None = None, leads: Collection[str] | None = None
) -> pd.DataFrame:
    """Score the same leads by a points scheme and keep the scores (table `lead_score`, model points/NAME, version its digest).

    Grain: one row per lead, the best first: lead_id, source, title, age_days, owner_id, composite, engagement, intent, fit (0..100),
    factors ({feature, value, effect}: effects add up to the composite).
    """
    tables = Lake(workspace).open()
    rows = _open_leads(tables, tables.instant(as_of), leads)
    scores, effects = scheme.score(rows)
    found = rows[["lead_id", "as_of", "source", "title", "age_days", "owner_id"]].join(scores).assign(factors=_told(rows, effects))
    if len(found):
        _keep(workspace, found, f"points/{scheme.name}", scheme.version, None, tables.head.id)
    return found.sort_values("composite", ascending=False, kind="stable", ignore_index=True)


def _open_leads(tables: Tables, cutoff: dt.datetime, leads: Collection[str] | None) -> pd.DataFrame:
    rows = LEADS.frame(visible(tables, cutoff))
    wanted = rows["status"].eq(OPEN) & (rows["age_days"] <= OLDEST / dt.timedelta(days=1))
    wanted &= True if leads is None else rows["lead_id"].isin(list(leads))
    return rows[wanted].reset_index(drop=True)


def _told(rows: pd.DataFrame, effects: pd.DataFrame) -> pd.Series:
    """Factors of each row that are not 0, the greatest first."""
    values = rows[list(effects)].astype("object").where(rows[list(effects)].notna(), None).to_dict("records")
    found = [
        sorted(
            ({"feature": name, "value": value[name], "effect": float(effect)} for name, effect in each.items() if effect),
            key=lambda one: (-abs(one["effect"]), one["feature"]),
        )
        for value, each in zip(values, effects.to_dict("records"), strict=True)
    ]
    return pd.Series(found, index=rows.index, dtype="object")


def _keep(
    workspace: Workspace, found: pd.DataFrame, model: str, version: str, scorer: Registered | None, head_id: int
) -> None:
    stamp = found["as_of"].dt.strftime("%Y%m%dT%H%M%SZ")
    names = ["composite", "behavioural", "demographic", "engagement", "intent", "fit"]
    frame = found[["lead_id", "as_of", *(name for name in names if name in found)]].assign(
        lead_score_id=f"{model}:{version}:" + stamp + ":" + found["lead_id"],
        factors=[json.dumps(factors, default=str, ensure_ascii=False) for factors in found["factors"]],
        scored_at=found["as_of"], valid_until=found["as_of"] + VALID, model=model, model_version=version,
        run_id=None if scorer is None else scorer.version.run_id, head_id=head_id, occurred_at=pd.Timestamp(dt.datetime.now(dt.UTC)),
    )  # fmt: skip
    staged = {"lead_score": pa.Table.from_pandas(frame, preserve_index=False)}
    Lake(workspace).ingest(staged, origin="score leads", kind="predictions", note={"as_of": found["as_of"].iloc[0].isoformat()})
