"""The quarter seen through its open deals and the revenue forecast are one answer."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from salesml.analytics.levers import Levers
from salesml.analytics.quarter import placed
from salesml.analytics.scenario import run
from salesml.lake import Lake, visible
from salesml.workflows.overrides import current_forecast
from salesml.workflows.quarter import COMPANY, forecast_lands, picture
from salesml.workflows.scenario_base import recomputable
from salesml.workspace import Workspace


def test_the_quarter_lands_where_the_forecast_of_that_instant_does(small_workspace: Workspace) -> None:
    tables = Lake(small_workspace).open()
    instant = tables.instant(None)
    now = picture(small_workspace, tables, instant)
    lands = forecast_lands(small_workspace, visible(tables, instant), now.now)
    published = current_forecast(small_workspace, instant, tables).frame
    company = float(lands[COMPANY].amount)
    assert company == pytest.approx(float(published[published["level"] == "company"]["amount"].sum()))  # it begins with the quarter
    assert len(now.draws.parts) and "are those of the revenue forecast" in now.words
    rows = now.quotas.set_index(["level", "name"])
    told = [node for node in rows.index if node in lands]
    assert COMPANY in told and len(told) > 1, "regions too"
    for node in told:
        assert rows.loc[node, ["booked", "expected", "other"]].sum() == pytest.approx(float(lands[node].amount))
        if node[0] in ("team", "rep"):  # so few deals that no stretching may give the forecast's interval
            continue
        assert rows.loc[node, ["lo80", "hi80"]].tolist() == pytest.approx([float(lands[node].lo80), float(lands[node].hi80)])
    assert np.quantile(now.landing, [0.1, 0.9]) == pytest.approx(rows.loc[COMPANY, ["lo80", "hi80"]].to_numpy("float64"))
    _, base = recomputable(small_workspace, tables, instant, None, now)
    joint = run(Levers(), base).joint.set_index(["level", "name"])["expected"]
    for node in told:
        assert joint[node] == pytest.approx(float(lands[node].amount), rel=0.01), "scenarios tell the same of regions"
    nodes = run(Levers(), base).nodes
    placed_in = now.deals[["team", "region"]].dropna().drop_duplicates().set_index("team")["region"]
    teams = nodes[nodes["level"] == "team"].assign(region=lambda frame: frame["name"].map(placed_in))
    for region, mean in teams.groupby("region")["expected"].sum().items():
        assert mean == pytest.approx(float(lands["region", region].amount), rel=1e-6), "a region's teams add up to its own number"


@pytest.mark.parametrize(("mean", "lo", "hi"), [(50.0, 30.0, 80.0), (50.0, 40.0, 55.0), (10.0, 9.0, 12.0)])
def test_draws_are_carried_to_another_mean_and_interval_in_their_order(mean: float, lo: float, hi: float) -> None:
    draws = np.random.default_rng(0).gamma(4, 10, 4000)
    found = placed(draws, mean, lo, hi)
    assert found.mean() == pytest.approx(mean) and np.quantile(found, [0.1, 0.9]) == pytest.approx([lo, hi])
    assert (np.diff(found[np.argsort(draws)]) >= 0).all()


def test_an_interval_that_no_stretching_gives_leaves_the_width() -> None:
    draws = np.random.default_rng(0).normal(100, 10, 4000)
    for ends in ((99.0, 99.5), (99.0, 300.0)):
        found = placed(draws, 100.0, *ends)
        assert found.mean() == pytest.approx(100) and found.std() == pytest.approx(draws.std())
    assert placed(np.full(10, 3.0), 5.0, 4.0, 6.0).tolist() == [5.0] * 10


def test_without_a_forecast_of_that_instant_past_quarters_speak(small_workspace: Workspace) -> None:
    tables = Lake(small_workspace).open()
    earlier = picture(small_workspace, tables, tables.instant(None) - dt.timedelta(days=10))
    assert "No revenue forecast was published" in earlier.words
