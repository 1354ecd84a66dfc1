"""The frames that stories of deals are told from, made once per as_of: features now, a week ago, and of past deals."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.analytics.reasons import Wording
from salesml.contracts import table
from salesml.errors import NotEnoughData
from salesml.features.deals import DEALS
from salesml.features.spines import deal_lives, weekly_spine
from salesml.lake import Lake, Tables, View, visible
from salesml.models.deals import label, settling_days
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered

MODEL = "deal_outcome"
WEEK = dt.timedelta(days=7)
PAST_DEALS = 2_000
"""Of more past deals the latest so many serve for comparison."""


@dataclass(frozen=True, eq=False)
class DealFrames:
    """What is needed to tell of any deal open as of `instant`, scored by one version; each frame is made when first asked for.

    Nothing known at or after `instant` enters. Feature frames have the index opportunity_id.
    """

    workspace: Workspace
    tables: Tables
    instant: dt.datetime
    scorer: Registered

    @cached_property
    def view(self) -> View:
        """The lake as of `instant`."""
        return visible(self.tables, self.instant)

    @cached_property
    def now(self) -> pd.DataFrame:
        """Features and context of the deals that are open."""
        return self._open_deals.loc[self._open_deals["as_of"] == self.instant]

    @cached_property
    def then(self) -> pd.DataFrame:
        """Those of them that were there a week before, as known then."""
        return self._open_deals.loc[self._open_deals["as_of"] < self.instant]

    @cached_property
    def idle(self) -> pd.DataFrame:
        """The features those deals would have now if nothing had been recorded in the past week: only time has passed."""
        stored = Tables.of(self.workspace, known(self.tables, self.instant - WEEK))
        return _features(visible(stored, _spine(self.then.index, self.instant)))

    @cached_property
    def _open_deals(self) -> pd.DataFrame:
        """Open deals now and a week before."""
        ids = self.states.index[self.states["status"].eq("open") & ~self.states["deleted"].eq(True)]
        spine = pd.concat([_spine(ids, moment) for moment in (self.instant, self.instant - WEEK)])
        rows = _features(visible(self.tables, spine))
        return rows[rows["status"] == "open"]

    @cached_property
    def states(self) -> pd.DataFrame:
        """name, amount, status, stage, stage_order, close_date of every deal; name is the id where none is known."""
        columns = ["name", "amount", "status", "stage", "stage_order", "close_date", "deleted"]
        rows = self.view.frame(self.view.state("opportunity", columns)).set_index("opportunity_id")
        return rows.assign(name=rows["name"].fillna(rows.index.to_series()))

    @cached_property
    def past(self) -> pd.DataFrame:
        """Weekly snapshots of the latest 2,000 decided deals: features, opportunity_id, as_of, won, closed_at; none below 20.

        Outcomes were known before `instant`; snapshots younger than the time in which deals settle are left out, since of
        those only the quick ones would be known.
        """
        lives = self.view.frame(deal_lives(self.view))
        try:
            horizon = settling_days(lives, self.instant)
        except NotEnoughData:
            return pd.DataFrame(columns=["opportunity_id", "as_of", "won", "closed_at", *DEALS.names])
        last = self.instant - dt.timedelta(days=horizon)
        decided = lives[lives["closed_at"].notna() & (lives["first_known_at"] <= pd.Timestamp(last))]
        ids = decided.sort_values("first_known_at")["opportunity_id"].tail(PAST_DEALS)
        if not len(ids):
            return pd.DataFrame(columns=["opportunity_id", "as_of", "won", "closed_at", *DEALS.names])
        first = decided["first_known_at"].min().to_pydatetime()
        spine = weekly_spine(self.view, self.workspace, first, last)
        spine = spine.filter(pc.is_in(spine["opportunity_id"], pa.array(ids, pa.string())))
        rows = DEALS.frame(visible(self.tables, spine))
        rows = label(rows[rows["status"] == "open"], lives, horizon, self.instant)
        closed = lives.set_index("opportunity_id")["closed_at"]
        return rows.assign(closed_at=rows["opportunity_id"].map(closed)).reset_index(drop=True)

    @cached_property
    def past_effects(self) -> np.ndarray:
        """Effects of the version on `past`, one row each, in log-odds."""
        return self.effects(self.past)[1].to_numpy("float64")

    @cached_property
    def wording(self) -> Wording:
        """What turns features of this company into words."""
        names: dict[str, str] = {}
        for name in ("product", "competitor"):
            rows = self.view.frame(self.view.state(name, ["name"])).dropna(subset="name")
            names |= dict(zip(rows[f"{name}_id"], rows["name"], strict=True))
        return Wording(DEALS.catalogue(), names, self.workspace.settings.currency)

    @cached_property
    def touches(self) -> pd.DataFrame:
        """Activities of deals in time order: opportunity_id, occurred_at, type, direction, contact_id, outcome."""
        facts = self.view.facts("activity")
        columns = ["opportunity_id", "occurred_at", "type", "direction", "contact_id", "outcome"]
        rows = self.view.frame(facts.filter(facts.opportunity_id.notnull()).select(*columns))
        return rows.sort_values(["occurred_at", "opportunity_id"], ignore_index=True)

    @cached_property
    def dated(self) -> pd.DataFrame:
        """When an expected close date was entered or moved: opportunity_id, occurred_at, in time order."""
        facts = self.view.facts("opportunity")
        rows = self.view.frame(facts.filter(facts.close_date.notnull()).select("opportunity_id", "occurred_at"))
        return rows.sort_values(["occurred_at", "opportunity_id"], ignore_index=True)

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What was computed from these frames for one deal and holds for others too."""
        return {}

    def effects(self, rows: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """Base and effects of the version on rows of features."""
        return self.scorer.explain(rows[DEALS.names])


def deal_frames(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, model: str | int = "champion"
) -> DealFrames:
    """The frames as of an instant at the newest HEAD; kept for the last few (HEAD, instant, version) of the process."""
    from salesml.registry import catalog

    tables = Lake(workspace).open()
    version = catalog.find(workspace, MODEL, model).number
    return _made(workspace, tables.head.id, tables.instant(as_of), version)


@lru_cache(maxsize=3)
def _made(workspace: Workspace, head_id: int, instant: dt.datetime, version: int) -> DealFrames:
    from salesml.registry import catalog

    return DealFrames(workspace, Lake(workspace).open(head_id), instant, catalog.load(workspace, MODEL, version))


def known(tables: Tables, instant: dt.datetime) -> dict[str, pa.Table]:
    """What features of deals are made from, as it was believed at an instant: stored rows by table, for `Tables.of`."""
    view, found = visible(tables, instant), {}
    for name in sorted({name for feature in DEALS.features for name in feature.tables}):
        schema = table(name).schema
        rows = view.facts(name).select(*schema.names)
        found[name] = tables.backend.to_pyarrow(rows).cast(schema)
    return found


def _spine(ids: pd.Index, instant: dt.datetime) -> pd.DataFrame:
    return pd.DataFrame({"opportunity_id": np.asarray(ids, dtype=object), "as_of": pd.Timestamp(instant)})


def _features(view: View) -> pd.DataFrame:
    return DEALS.frame(view).set_index("opportunity_id", drop=False)
