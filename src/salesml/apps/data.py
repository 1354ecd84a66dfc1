"""What the pipeline app shows, read from the lake: a board as of one instant, and the story of one deal. Never trains or scores."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from salesml.analytics import pipeline, revenue
from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows.adjustments import in_force, with_adjustments
from salesml.workflows.overview import champions, version_tags
from salesml.workspace import Workspace

MODEL = "deal_outcome"
ALL_REGIONS = "All regions"
KEPT, FRESH_S = 4, 60.0
"""Boards kept, and for how many seconds at most: what users adjust may end in between."""
_KEYS = ["as_of", "model", "model_version"]


@dataclass(frozen=True)
class Scores:
    """Which scores are shown: the instant they were computed for, the model version, whether it is a baseline, and one for few outcomes."""

    as_of: dt.datetime
    version: str
    baseline: bool
    few: bool
    champion: int | None


@dataclass(frozen=True)
class Board:
    """All that the screens show as of one instant, from one HEAD.

    deals: `analytics.pipeline.attention` (probability, lo, hi, factors and p_quarter missing where not scored) with the
    adjustments in force (`workflows.adjustments.with_adjustments`); forecast: rows of that table as of `forecast_as_of`;
    history: region, month, amount; quotas: entity_type, entity_id, period_start, period_end, amount. `sees`: ids of the reps whose
    rows alone are in all of these (None: everybody's); a forecast and quota of exactly these stand where the company's would.
    """

    workspace: Workspace
    view: View
    as_of: dt.datetime
    deals: pd.DataFrame
    scores: Scores | None
    forecast: pd.DataFrame
    forecast_as_of: dt.datetime | None
    history: pd.DataFrame
    quotas: pd.DataFrame
    sees: frozenset[str] | None = None

    @property
    def currency(self) -> str:
        """The workspace's currency."""
        return self.workspace.settings.currency

    @property
    def day(self) -> dt.date:
        """The first day that is not known."""
        return self.workspace.local_date(self.as_of)

    @property
    def regions(self) -> list[str]:
        """Regions with a forecast or an open deal."""
        forecast = self.forecast.loc[self.forecast["entity_type"] == "region", "entity_id"]
        return sorted({*forecast, *self.deals["region"]})

    def deals_of(self, region: str) -> pd.DataFrame:
        """The open deals of a region, or all."""
        return self.deals if region == ALL_REGIONS else self.deals[self.deals["region"] == region]

    def series(self, region: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """History (month, amount) and forecast rows of a region or the company, in the order of time."""
        history = self.history if region == ALL_REGIONS else self.history[self.history["region"] == region]
        sums = history.groupby("month")["amount"].agg(pipeline.total).reset_index().sort_values("month")
        rows = self._of(self.forecast, region).sort_values("period_start")
        return (sums[sums["month"].dt.date < rows["period_start"].min()] if len(rows) else sums), rows

    def landing(self, region: str) -> pipeline.Landing | None:
        """Where the fiscal quarter that begins with or contains `day` lands; None without a forecast."""
        history, rows = self.series(region)
        return pipeline.landing(history, rows, self.quarter)

    @property
    def quarter(self) -> tuple[dt.date, dt.date]:
        """The fiscal quarter of `day`: first day, first day after."""
        return pipeline.quarter(self.day, self.workspace.settings.fiscal_year_start)

    def quota(self, region: str) -> Decimal | None:
        """The revenue target of exactly the quarter; None where none is set."""
        start, end = self.quarter
        rows = self._of(self.quotas, region)
        rows = rows[(rows["period_start"] == start) & (rows["period_end"] == end)]
        return pipeline.total(rows["amount"]) if len(rows) else None

    def _of(self, rows: pd.DataFrame, region: str) -> pd.DataFrame:
        if region == ALL_REGIONS:
            return rows[rows["entity_type"] == "company"]
        return rows[(rows["entity_type"] == "region") & (rows["entity_id"] == region)]


@dataclass(frozen=True)
class Shelf:
    """The instants for which there are scores or forecasts, newest first, and the batches they come from."""

    tables: Tables
    now: View
    scores: pd.DataFrame
    forecasts: pd.DataFrame

    @property
    def instants(self) -> list[dt.datetime]:
        """Every as_of there is something for, newest first."""
        known = pd.concat([self.scores["as_of"], self.forecasts["as_of"]]).drop_duplicates()
        return [moment.to_pydatetime() for moment in known.sort_values(ascending=False)]


def shelf(workspace: Workspace) -> Shelf:
    """What has been scored and forecast so far, at the newest HEAD."""
    tables = Lake(workspace).open()
    now = visible(tables, dt.datetime.now(dt.UTC))
    scored = now.facts("prediction").filter(lambda rows: (rows.entity_type == "opportunity") & (rows.target == "won"))
    batches = _batches(now, scored)
    batches["reigns"] = batches["model_version"].eq(str(dict(champions(workspace)).get(MODEL)))  # challengers score silently
    batches = batches.sort_values(["as_of", "reigns"], ascending=False, kind="stable", ignore_index=True)
    return Shelf(tables, now, batches, _batches(now, now.facts("forecast")))


def board(workspace: Workspace, found: Shelf, as_of: dt.datetime | None = None) -> Board:
    """The pipeline, its newest scores and the newest forecast as of an instant.

    Default: the newest instant of the shelf, else the end of the last day of which anything is known.
    """
    as_of = as_of or next(iter(found.instants), None) or _after_the_last_fact(workspace, found.tables)
    view = visible(found.tables, as_of)
    batch, before = _newest(found.scores, as_of), None
    if batch is not None:
        earlier = found.scores[found.scores["model_version"] == batch["model_version"]]
        before = _newest(earlier[earlier["as_of"] < batch["as_of"]], as_of)
    deals = pipeline.open_deals(view).merge(_scores(found, batch), "left", "opportunity_id")
    earlier_scores = _scores(found, before)[["opportunity_id", "probability"]]
    deals = deals.merge(earlier_scores, "left", "opportunity_id", suffixes=("", "_before"))
    chosen = _newest(found.forecasts, as_of)
    newest = not found.instants or as_of >= found.instants[0]
    held = in_force(found.now if newest else view)  # at the newest instant those made since hold too
    return Board(
        workspace, view, as_of,
        deals=with_adjustments(pipeline.attention(deals, workspace.local_date(as_of)), held),
        scores=_described(workspace, batch),
        forecast=_days_of(_rows(found, "forecast", chosen)),
        forecast_as_of=chosen["as_of"].to_pydatetime() if chosen is not None else None,
        history=_history(view),
        quotas=_quotas(view),
    )  # fmt: skip


def kept_board(workspace: Workspace, found: Shelf, as_of: dt.datetime | None = None) -> Board:
    """`board`, at most a minute old, so that another place or screen of the same state is drawn without reading the lake again."""
    reigning = tuple(found.scores["model_version"].head(1))
    key = (workspace.root, found.tables.head.id, reigning, as_of, time.time() // FRESH_S)
    with _reading:
        if key not in _boards:
            _boards[key] = board(workspace, found, as_of)
            while len(_boards) > KEPT:
                _boards.popitem(last=False)
        _boards.move_to_end(key)
        return _boards[key]


_boards: OrderedDict[tuple[object, ...], Board] = OrderedDict()
_reading = threading.Lock()


def story(found: Board, opportunity_id: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The changes and the activities of a deal as known as of the board's instant, newest first.

    changes: occurred_at, stage, amount, close_date, owner, next_step, status (missing where not changed); activities:
    occurred_at, type, direction, subject.
    """
    view = found.view
    changes = view.facts("opportunity").filter(lambda rows: rows.opportunity_id == opportunity_id)
    changes = view.with_state(changes, "user", "owner_id", ["name"], prefix="owner_")
    columns = [
        "occurred_at",
        "change_id",
        "stage",
        "amount",
        "close_date",
        "owner_id",
        "owner_name",
        "next_step",
        "status",
    ]
    activities = view.facts("activity").filter(lambda rows: rows.opportunity_id == opportunity_id)
    found_changes = view.frame(changes.select(*columns))
    found_activities = view.frame(activities.select("occurred_at", "type", "direction", "subject"))
    return (
        found_changes.sort_values("occurred_at", ascending=False, ignore_index=True),
        found_activities.sort_values("occurred_at", ascending=False, ignore_index=True),
    )


def names(found: Board) -> dict[str, str]:
    """Names of the products and competitors that factors speak of, by id."""
    view = found.view
    known: dict[str, str] = {}
    for table in ("product", "competitor"):
        rows = view.frame(view.state(table, ["name"]))
        known |= dict(zip(rows[f"{table}_id"], rows["name"], strict=True))
    return known


def _batches(view: View, rows: Any) -> pd.DataFrame:
    """One row per (as_of, model, model_version), the last written of an as_of first."""
    batches = view.frame(rows.group_by(_KEYS).aggregate(written=rows.known_at.max()))
    return batches.sort_values(["as_of", "written"], ascending=False, ignore_index=True)


def _after_the_last_fact(workspace: Workspace, tables: Tables) -> dt.datetime:
    try:
        return tables.instant()
    except NotEnoughData:  # an empty lake: the page says how to fill it
        return workspace.instant(workspace.local_date(dt.datetime.now(dt.UTC)) + dt.timedelta(days=1))


def _newest(batches: pd.DataFrame, as_of: dt.datetime) -> pd.Series | None:
    fitting = batches[batches["as_of"] <= pd.Timestamp(as_of)]
    return fitting.iloc[0] if len(fitting) else None


def _rows(found: Shelf, name: str, batch: pd.Series | None, newest_of: str | None = None) -> pd.DataFrame:
    """The rows of a batch; with `newest_of`, of each value of that column the newest up to the batch's as_of.

    A batch of deals scored again after an import holds only those that moved; the others keep their score from before.
    """
    rows = found.now.facts(name)
    if batch is None:
        return found.now.frame(rows.limit(0))
    at, version = batch["as_of"].to_pydatetime(), batch["model_version"]
    same = rows.model_version.isnull() if pd.isna(version) else rows.model_version == version
    rows = rows.filter((rows.as_of == at if newest_of is None else rows.as_of <= at) & (rows.model == batch["model"]) & same)
    if newest_of is not None:
        rows = rows.group_by([newest_of, "target"]).mutate(newest=rows.as_of.max())
        rows = rows.filter(rows.as_of == rows.newest).drop("newest")
    return found.now.frame(rows)


def _scores(found: Shelf, batch: pd.Series | None) -> pd.DataFrame:
    rows = _rows(found, "prediction", batch, newest_of="entity_id")
    rows = rows[rows["entity_type"] == "opportunity"]
    kept = rows.loc[rows["target"] == "won", ["entity_id", "point", "lo", "hi", "factors"]]
    kept = kept.rename(columns={"entity_id": "opportunity_id", "point": "probability"}).drop_duplicates("opportunity_id")
    dated = rows[rows["target"] == "won_in_quarter"].drop_duplicates("entity_id").set_index("entity_id")["point"]
    return kept.assign(p_quarter=kept["opportunity_id"].map(dated))


def _described(workspace: Workspace, batch: pd.Series | None) -> Scores | None:
    if batch is None:
        return None
    tags = version_tags(workspace, batch["model"], str(batch["model_version"]))
    return Scores(
        batch["as_of"].to_pydatetime(),
        str(batch["model_version"]),
        tags.get("baseline") == "true",
        tags.get("kind") == "handful",
        dict(champions(workspace)).get(batch["model"]),
    )


def records(frame: pd.DataFrame) -> list[Any]:
    """The rows of a frame, each with its columns as attributes."""
    return list(frame.itertuples(index=False))


def factors_of(deal: Any) -> list[dict[str, Any]]:
    """The factors kept with a deal's score, the strongest first; none where it has no score."""
    return json.loads(deal.factors) if isinstance(deal.factors, str) else []


def _history(view: View) -> pd.DataFrame:
    try:
        return revenue.monthly(view)
    except NotEnoughData:
        return pd.DataFrame({"region": [], "month": pd.to_datetime([]), "amount": []})


def _quotas(view: View) -> pd.DataFrame:
    rows = view.frame(view.state("quota"))
    return _days_of(rows[rows["target"].fillna("revenue") == "revenue"])


def _days_of(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: pd.to_datetime(rows[name]).dt.date for name in ("period_start", "period_end")})
