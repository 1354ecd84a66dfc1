"""What the forecast app shows as of one instant; each heavy part is made once, when a screen first asks for it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pandas as pd

from salesml.analytics import pipeline
from salesml.analytics.ledger import last_known_month
from salesml.analytics.published import KEYS, Node, at_published
from salesml.analytics.revenue import monthly_by_level
from salesml.apps.data import ALL_REGIONS, Board, Shelf, board
from salesml.errors import NotEnoughData, SalesmlError
from salesml.lake import Head, visible
from salesml.workflows.overrides import in_force, with_overrides
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.workflows.calls import ForecastCall
    from salesml.workflows.forecast_change import Change
    from salesml.workflows.quarter import Picture
    from salesml.workflows.scenarios import BaseCase

COMPANY = ("company", "company")
LANDS = [*KEYS, "label", "booked", "expected", "other", "open_amount", "mean", "quota", "probability", "lo80", "hi80"]
OWN = ("prediction", "landing", "override")
"""Tables that the app's own work appends to."""
Found = TypeVar("Found")


class Parts:
    """What takes seconds as of an instant, beside its board: each part, or in words why it lacks. For one state of the lake's facts."""

    def __init__(self, found: Board) -> None:
        self.board = found

    @cached_property
    def picture(self) -> Picture | str:
        """The quarter's simulation: where the company and every node with a quota may land."""
        from salesml.workflows.quarter import picture

        at = self.board
        return _attempt(lambda: picture(at.workspace, at.view.tables, at.as_of, self.scores))

    @cached_property
    def call(self) -> ForecastCall | str:
        """The tree of nodes down to the reps, each with what is said of its quarter."""
        from salesml.workflows.calls import forecast_call

        seen = None if isinstance(self.picture, str) else self.picture
        return _attempt(lambda: forecast_call(self.board.workspace, self.board.as_of, self.scores, seen=seen))

    @cached_property
    def change(self) -> Change | str:
        """What moved the quarter's expected revenue from deals in the week before."""
        from salesml.workflows.forecast_change import what_changed

        return _attempt(lambda: what_changed(self.board.workspace, as_of=self.board.as_of))

    @cached_property
    def case(self) -> BaseCase | str:
        """What levers are turned on."""
        from salesml.workflows.scenarios import base_case

        if isinstance(self.picture, str):
            return self.picture
        seen = self.picture
        return _attempt(lambda: base_case(self.board.workspace, self.board.as_of, self.scores, seen))

    @cached_property
    def history(self) -> pd.DataFrame:
        """Revenue of complete months by level, name and month; empty without any."""
        try:
            return monthly_by_level(self.board.view)
        except NotEnoughData:
            return pd.DataFrame(columns=["level", "name", "month", "amount"])

    @cached_property
    def names(self) -> dict[str, str]:
        """What teams and reps are called."""
        from salesml.workflows.quarter_facts import labels

        return labels(self.board.view)

    @cached_property
    def known_month(self) -> dt.date | None:
        """The first day of the last month whose revenue is known by now; None without any."""
        try:
            return last_known_month(monthly_by_level(visible(self.board.view.tables, dt.datetime.now(dt.UTC)))).date()
        except NotEnoughData:
            return None

    @cached_property
    def scores(self) -> pd.DataFrame | None:
        """The champion's scores of the open deals: those kept for the instant, else made now; None without a champion."""
        from salesml.workflows.quarter import champions_scores

        at = self.board
        kept = at.deals[["opportunity_id", "probability", "p_quarter"]]
        if at.scores is not None and at.scores.as_of == at.as_of and at.scores.version == str(at.scores.champion):
            whole = kept["probability"].notna().all() and kept["p_quarter"].notna().nunique() <= 1
            if whole:
                return kept if kept["p_quarter"].notna().all() else kept.drop(columns="p_quarter")
        return champions_scores(at.workspace, at.as_of)

    def has(self, part: str) -> bool:
        """Whether a part has been made already."""
        return part in self.__dict__


class Desk:
    """The published forecast as of an instant with the overrides that hold, and `parts` beside it.

    board: as `apps.data.board` gives, its forecast with overrides (and model_amount, moved, override_id); held: `overrides.in_force`;
    told: those of this forecast in words; newest: no later forecast is known, so that overrides made since hold too.
    """

    def __init__(self, workspace: Workspace, found: Shelf, as_of: dt.datetime | None = None, parts: Parts | None = None) -> None:
        instants = instants_of(found)
        asked = parts.board if parts is not None else board(workspace, found, as_of or next(iter(instants), None))
        self.newest = not instants or asked.as_of >= instants[0]
        self.instant = dt.datetime.now(dt.UTC) if self.newest else asked.as_of
        self.held = in_force(found.tables, self.instant)
        self.told: tuple[str, ...] = ()
        self.published, self.board = asked, asked
        if len(asked.forecast):
            rows, self.told = with_overrides(asked.forecast, found.tables, self.instant)
            self.board = dataclasses.replace(asked, forecast=rows)
        self.parts = parts or Parts(asked)

    @property
    def lands(self) -> pd.DataFrame:
        """Where the company and nodes with a quota land. Grain: one row per node, the company first; no row without a simulation.

        Columns: level, name, label, booked, expected (of the open deals), other (from elsewhere), open_amount, quota, lo80, hi80 and
        those of `analytics.published.at_published`.
        """
        now = self.parts.picture
        return pd.DataFrame(columns=[*LANDS, "amount", "moved", "chance"]) if isinstance(now, str) else self._published(_rows_of(now))

    def tree(self) -> pd.DataFrame:
        """`ForecastCall.rows` with amount, moved and chance; no row where there is no call to show."""
        call = self.parts.call
        if isinstance(call, str) or call.rows["model"].isna().all():
            return pd.DataFrame(columns=[*LANDS, "depth", "call", "author", "amount", "moved", "chance"])
        chances = self.lands[[*KEYS, "probability"]]
        return self._published(call.rows.rename(columns={"model": "mean"}).merge(chances, "left", KEYS))

    def landing(self, region: str = ALL_REGIONS) -> pipeline.Landing | None:
        """The quarter by the published forecast with overrides; None where it does not reach the quarter's end."""
        found = self.board.landing(region)
        return found if found is not None and found.complete else None

    def moved(self, region: str = ALL_REGIONS) -> float:
        """By how much overrides move the quarter of the published forecast."""
        found, model = self.landing(region), self.published.landing(region)
        return 0.0 if found is None or model is None else float(found.amount - model.amount)

    def months(self) -> list[dt.date]:
        """First days of the forecast's months whose revenue is not known by now."""
        rows = self.board.forecast
        months = sorted(rows.loc[rows["entity_type"] == "company", "period_start"])
        known = self.parts.known_month
        return months if known is None else [month for month in months if month > known]

    @cached_property
    def _said(self) -> dict[Node, float]:
        """Where each node's quarter lands by the published forecast with overrides."""
        from salesml.workflows.quarter import lands_of

        months = self.board.forecast.rename(columns={"entity_type": "level", "entity_id": "name"})
        found = lands_of(months, self.parts.history, self.board.quarter) if len(months) else {}
        return {node: float(one.amount) for node, one in found.items()}

    def _published(self, rows: pd.DataFrame) -> pd.DataFrame:
        now = self.parts.picture
        return at_published(rows, {} if isinstance(now, str) else _draws(now), self._said)


def instants_of(found: Shelf) -> list[dt.datetime]:
    """The instants a forecast was published for, newest first."""
    return [moment.to_pydatetime() for moment in found.forecasts["as_of"].drop_duplicates().sort_values(ascending=False)]


def stamp(head: Head, *, without: tuple[str, ...] = OWN) -> dict[str, int]:
    """What the lake's facts are at a state, but for tables that the app's own work appends to."""
    return {name: pin.version for name, pin in head.tables.items() if name not in without}


def _rows_of(now: Picture) -> pd.DataFrame:
    quotas = now.quotas
    return quotas.assign(mean=quotas["booked"] + quotas["expected"] + quotas["other"].fillna(0.0))[LANDS]


def _draws(now: Picture) -> dict[Node, np.ndarray]:
    booked = now.quotas["booked"].to_numpy("float64")
    landing = booked[:, None] + now.draws.won + np.nan_to_num(now.draws.other)
    return dict(zip(now.quotas[KEYS].itertuples(index=False, name=None), landing, strict=True))


def _attempt(make: Callable[[], Found]) -> Found | str:
    try:
        return make()
    except SalesmlError as error:
        return str(error)
