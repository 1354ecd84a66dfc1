"""Deals: the training table, training with a comparison on later deals, and scoring the open ones."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics.pipeline import quarter
from salesml.errors import BadParameter, NotEnoughData
from salesml.features.deals import DEALS
from salesml.features.spines import deal_closings, deal_lives, weekly_spine
from salesml.lake import Lake, Tables, visible
from salesml.models.deals import label
from salesml.models.deals import settling_days as time_to_settle
from salesml.models.outlook import Outlook
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered

MODEL = "deal_outcome"
SHOWN_FACTORS = 8


@dataclass(frozen=True)
class TrainingTable:
    """Snapshots of open deals with known outcomes. `X`, `y`, `as_of` and `groups` (deal ids) have the same rows, in time order.

    `snapshots`: all of them, those whose outcome is not known yet too, up to the cutoff.
    """

    X: pd.DataFrame
    y: pd.Series
    as_of: pd.Series
    groups: pd.Series
    settling_days: int
    cutoff: dt.datetime
    labelled: pd.DataFrame = field(repr=False)
    snapshots: pd.DataFrame = field(repr=False)
    tables: Tables = field(repr=False)
    _lives: dict[dt.datetime, pd.DataFrame] = field(default_factory=dict, repr=False)
    _closings: dict[dt.datetime, pd.DataFrame] = field(default_factory=dict, repr=False)

    @property
    def head(self) -> Any:
        """The lake's head it was made from."""
        return self.tables.head

    def lives_at(self, instant: dt.datetime) -> pd.DataFrame:
        """What was known at an instant of when deals came and closed (see `features.spines.deal_lives`)."""
        if instant not in self._lives:
            view = visible(self.tables, instant)
            self._lives[instant] = view.frame(deal_lives(view))
        return self._lives[instant]

    def closings_at(self, instant: dt.datetime) -> pd.DataFrame:
        """What was known at an instant of when deals closed, and how (see `features.spines.deal_closings`)."""
        if instant not in self._closings:
            view = visible(self.tables, instant)
            self._closings[instant] = view.frame(deal_closings(view))
        return self._closings[instant]


def training_table(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    every_days: int = 7,
    settling_days: int | None = None,
) -> TrainingTable:
    """Weekly snapshots of open deals and whether they were won eventually (or within so many days), all known before as_of.

    Grain: one row per deal and week while open, for snapshots older than the time in which 90 % of deals settle (than
    `within_days` where given). `every_days` 1: a snapshot every day, for deals that live days rather than weeks.
    `settling_days` in place of the time found; 0 takes every known outcome, which favours quick deals while others are open.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    lives = view.frame(deal_lives(view))
    if lives.empty:
        raise NotEnoughData(f"no deal is known as of {cutoff:%Y-%m-%d}; import deals, or choose a later day")
    if within_days is not None and within_days < 1:
        raise BadParameter(f"within_days {within_days!r} is not a positive number of days")
    if settling_days is not None and settling_days < 0:
        raise BadParameter(f"settling_days {settling_days!r} is below 0")
    horizon = within_days or (time_to_settle(lives, cutoff) if settling_days is None else settling_days)
    first, last = lives["first_known_at"].min().to_pydatetime(), cutoff - dt.timedelta(days=horizon)
    spine = weekly_spine(view, workspace, first, cutoff, every_days=every_days)
    rows = DEALS.frame(visible(tables, spine)) if spine.num_rows else pd.DataFrame()
    if rows.empty or rows["as_of"].min() > pd.Timestamp(last):
        raise NotEnoughData(
            f"no snapshot is {horizon} days older than {cutoff:%Y-%m-%d}; use a shorter horizon or more history"
        )
    rows = rows[rows["status"] == "open"].sort_values(["as_of", "opportunity_id"], ignore_index=True)
    labelled = label(rows, lives, horizon, cutoff, within=within_days is not None).reset_index(drop=True)
    X, y, groups = labelled[DEALS.names], labelled["won"], labelled["opportunity_id"]
    return TrainingTable(X, y, labelled["as_of"], groups, horizon, cutoff, labelled, rows, tables, {cutoff: lives})


def score_deals(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    model: str | int = "champion",
    deals: Collection[str] | None = None,
) -> pd.DataFrame:
    """Score every deal open as of an instant with a version of the deal model (default: the champion) and keep the predictions.

    `deals` restricts it to those ids; their numbers are the same as among all.

    Grain: one row per open deal, the most probable first: opportunity_id, name, stage, owner_id, amount, probability, lo, hi
    (90 % interval), factors; and where the model knows of time: p_month and p_quarter (won before the month, the fiscal
    quarter ends), close_early, close_expected, close_late (days by which 10, 50 and 90 % of such deals are closed; null
    where that lies too far ahead to tell), slip (chance not to be closed by the end of its close_date); and what a person
    has put beside the model's number (see `adjustments.with_adjustments`), which stays as it is.
    Writes table `prediction`; scoring again with the same version and day changes nothing.
    """
    from salesml.registry import catalog
    from salesml.workflows.adjustments import in_force, with_adjustments

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
    kept = ["opportunity_id", "as_of", "name", "stage", "owner_id", "account_id", "amount", "close_date"]
    outlook = scorer.outlook(rows[DEALS.names])
    rows = rows[kept].join(scored)
    if outlook is not None:
        rows = rows.join(timing(rows, outlook, workspace, cutoff))
    _keep(workspace, rows, scorer, tables.head.id)
    rows = with_adjustments(rows, in_force(view))
    return rows.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def timing(rows: pd.DataFrame, outlook: Outlook, workspace: Workspace, cutoff: dt.datetime) -> pd.DataFrame:
    """p_month, p_quarter, close_early, close_expected, close_late, slip (see `score_deals`) per row with a close_date."""
    day = workspace.local_date(cutoff)
    due = pd.to_datetime(rows["close_date"]).to_numpy(dtype="datetime64[D]")
    until_due = (due - np.datetime64(day)).astype("float64") + 1  # to the end of that day
    until_due[np.isnat(due)] = np.nan
    closes = {
        name: (pd.Timestamp(day) + pd.to_timedelta(np.ceil(outlook.closes_in(share)), unit="D")).date
        for name, share in (("close_early", 0.1), ("close_expected", 0.5), ("close_late", 0.9))
    }
    month_end = (day.replace(day=1) + dt.timedelta(days=31)).replace(day=1)
    return pd.DataFrame(
        {"p_month": outlook.by(_days_until(month_end, workspace, cutoff), "won", np.datetime64(day)),
         "p_quarter": outlook.by(quarter_days(workspace, cutoff), "won", np.datetime64(day)), **closes,
         "slip": 1 - outlook.by(until_due, since=np.datetime64(day))},
        index=rows.index,
    )  # fmt: skip


def quarter_days(workspace: Workspace, cutoff: dt.datetime) -> float:
    """Days from an instant to the end of the fiscal quarter it lies in."""
    end = quarter(workspace.local_date(cutoff), workspace.settings.fiscal_year_start)[1]
    return _days_until(end, workspace, cutoff)


def _days_until(day: dt.date, workspace: Workspace, cutoff: dt.datetime) -> float:
    return (workspace.instant(day) - cutoff).total_seconds() / 86_400


def _keep(workspace: Workspace, rows: pd.DataFrame, scorer: Registered, head_id: int) -> None:
    """Predictions of target won, and won_in_quarter where the model knows of time."""
    cutoff = rows["as_of"].iloc[0].to_pydatetime()
    factors = [json.dumps(factors, default=str, ensure_ascii=False) for factors in rows["factors"]]
    frames = [rows.assign(target="won", horizon_days=None, point=rows["probability"], factors=factors)]
    if "p_quarter" in rows:
        days = math.ceil(quarter_days(workspace, cutoff))
        dated = rows.assign(target="won_in_quarter", horizon_days=days, point=rows["p_quarter"])
        frames.append(dated.assign(lo=np.nan, hi=np.nan, factors=None))
    frame, version = pd.concat(frames, ignore_index=True), str(scorer.version.number)
    stamp, suffix = frame["as_of"].dt.strftime("%Y%m%dT%H%M%SZ"), frame["target"].map({"won": ""}).fillna(":" + frame["target"])
    frame = pd.DataFrame(
        {
            "prediction_id": f"{MODEL}:{version}:" + stamp + ":" + frame["opportunity_id"] + suffix,
            "entity_type": "opportunity", "entity_id": frame["opportunity_id"], "as_of": frame["as_of"],
            **{name: frame[name] for name in ("target", "horizon_days", "point", "lo", "hi", "factors")},
            "model": MODEL, "model_version": version, "run_id": scorer.version.run_id,
            "head_id": head_id, "occurred_at": pd.Timestamp(dt.datetime.now(dt.UTC)),
        }
    )  # fmt: skip
    staged = {"prediction": pa.Table.from_pandas(frame, preserve_index=False)}
    Lake(workspace).ingest(staged, origin="score deals", kind="predictions", note={"as_of": cutoff.isoformat()})
