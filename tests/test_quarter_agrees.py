"""The quarter seen through its open deals and the revenue forecast are one answer."""

from __future__ import annotations

import datetime as dt

import pytest

from salesml.lake import Lake, visible
from salesml.workflows.overrides import current_forecast
from salesml.workflows.quarter import forecast_lands, picture
from salesml.workspace import Workspace


def test_the_quarter_lands_where_the_forecast_of_that_instant_does(small_workspace: Workspace) -> None:
    tables = Lake(small_workspace).open()
    instant = tables.instant(None)
    now = picture(small_workspace, tables, instant)
    lands = forecast_lands(small_workspace, visible(tables, instant), now.now)
    published = current_forecast(small_workspace, instant, tables).frame
    assert lands == pytest.approx(float(published[published["level"] == "company"]["amount"].sum()))  # it begins with the quarter
    assert now.draws.scaled > 0
    assert now.quotas[["booked", "expected", "other"]].iloc[0].sum() == pytest.approx(lands)
    assert "the revenue forecast" in now.words


def test_without_a_forecast_of_that_instant_past_quarters_speak(small_workspace: Workspace) -> None:
    tables = Lake(small_workspace).open()
    earlier = picture(small_workspace, tables, tables.instant(None) - dt.timedelta(days=10))
    assert earlier.draws.scaled == 1
    assert "No revenue forecast was published" in earlier.words
