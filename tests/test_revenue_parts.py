"""Teams and reps of a revenue forecast: they add up to their region, and their intervals are measured."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml.errors import BadParameter
from salesml.figures.forecast import made_of_figure
from salesml.lake import Lake, visible
from salesml.models.revenue import CHAMPION, SEASONAL_NAIVE, forecast_revenue
from salesml.models.revenue_levels import cents_of, with_rests
from salesml.models.revenue_parts import share_out
from salesml.workflows.forecast import forecast_now, made_of
from salesml.workflows.overrides import current_forecast
from salesml.workspace import Workspace

MONTHS = pd.date_range("2023-01-01", periods=36, freq="MS")
HORIZON = 4
WHO = [("region/West", "A", "u1", 60), ("region/West", "A", "u2", 30), ("region/West", "B", "u3", 50), ("region/West", None, None, 10),
       ("region/East", "C", "u4", 80), ("region/East", "C", "gone", 20)]  # fmt: skip


def sold(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (series, team, rep, month, mean * rng.gamma(20, 1 / 20))
        for series, team, rep, mean in WHO
        for number, month in enumerate(MONTHS)
        if rep != "gone" or number < 24
    ]
    return pd.DataFrame(rows, columns=["series", "team", "rep", "ds", "y"])


def whole(rows: pd.DataFrame):
    history = rows.groupby(["series", "ds"])["y"].sum().reset_index().rename(columns={"series": "unique_id"})
    return forecast_revenue(history, HORIZON, "MS", {"region/West": "company", "region/East": "company"}, prophet=False)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return sold()


@pytest.fixture(scope="module")
def made(rows):
    return whole(rows)


@pytest.fixture(scope="module")
def parts(made, rows):
    return share_out(made, rows, None, HORIZON)


def test_parts_add_up_to_their_region_with_nobodys_part(made, parts):
    points = parts.frame.pivot(index="unique_id", columns="ds", values="yhat")
    region = made.frame.pivot(index="unique_id", columns="ds", values="yhat")
    assert points.loc["team/A"].to_numpy() == pytest.approx(points.loc[["rep/u1", "rep/u2"]].sum().to_numpy())
    assert points.loc["team/C"].to_numpy() == pytest.approx(region.loc["region/East"].to_numpy()), "all of the East is of a team"
    nobodys = region.loc["region/West"] - points.loc[["team/A", "team/B"]].sum()
    assert (nobodys > 0).all() and (nobodys < 0.15 * region.loc["region/West"]).all()
    parents = parts.frame.drop_duplicates("unique_id").set_index("unique_id")["parent"]
    assert parents[["rep/u1", "team/A"]].tolist() == ["team/A", "region/West"] and "rep/gone" not in parents.index
    assert (parts.frame["lo80"] <= parts.frame["yhat"]).all() and (parts.frame["lo95"] >= 0).all()


def test_what_a_reps_open_deals_bring_moves_his_part(made, rows):
    first = MONTHS[-1] + pd.DateOffset(months=1)
    index = pd.MultiIndex.from_tuples([("region/West", "u2"), ("region/West", "stranger")], names=["series", "rep"])
    told = {first: pd.DataFrame([[100.0, 0, 0, 0], [5.0, 0, 0, 0]], index=index)}
    with_deals, without = (share_out(made, rows, one, HORIZON).frame.set_index(["unique_id", "ds"])["yhat"] for one in (told, None))
    month = made.frame["ds"].min()
    assert with_deals["rep/u2", month] > 2 * without["rep/u2", month] and with_deals["rep/u1", month] < without["rep/u1", month]
    later = month + pd.DateOffset(months=1)
    assert with_deals["rep/u2", later] == pytest.approx(without["rep/u2", later])
    assert with_deals["rep/u4", month] == pytest.approx(without["rep/u4", month]), "another region is not moved"


def test_what_came_later_changes_no_earlier_origin(rows, made, parts):
    changed = rows.assign(y=rows["y"].where(rows["ds"] < MONTHS[30], 3 * rows["y"]))
    later = share_out(whole(changed), changed, None, HORIZON)
    early = [frame[(frame["origin"] <= MONTHS[26]) & (frame["step"] == 1)] for frame in (parts.judged, later.judged)]
    columns = ["unique_id", "model", "window", "yhat", "lo80", "hi80"]
    pd.testing.assert_frame_equal(*(frame[columns].reset_index(drop=True) for frame in early))


def test_intervals_hold_about_their_share_and_the_shares_beat_a_year_ago():
    judged = pd.concat([share_out(whole(each), each, None, HORIZON).judged for each in (sold(seed) for seed in range(4))])
    mine = judged[judged["model"] == CHAMPION]
    inside = mine["y"].between(mine["lo80"], mine["hi80"])
    assert inside[mine["window"] > mine["window"].min()].mean() == pytest.approx(0.8, abs=0.1)
    errors = judged.assign(miss=(judged["y"] - judged["yhat"]).abs()).groupby("model")["miss"].mean()
    assert errors[CHAMPION] < errors[SEASONAL_NAIVE]


def test_who_sells_for_two_regions_or_teams_has_no_forecast_of_his_own(made, rows):
    torn = rows.copy()
    torn.loc[torn["rep"].eq("u1") & (torn["ds"] > MONTHS[30]), "team"] = "B"
    found = share_out(made, torn, None, HORIZON)
    assert found.left_out == 1 and "rep/u1" not in set(found.frame["unique_id"])
    alone = rows.assign(series="company", team=None, rep=None)
    history = alone.groupby(["series", "ds"])["y"].sum().reset_index().rename(columns={"series": "unique_id"})
    assert share_out(forecast_revenue(history, HORIZON, "MS", {}, prophet=False), alone, None, HORIZON).frame.empty, "nobody is named"


TREE = {"company": None, "W": "company", "E": "company", "a": "W", "b": "W", "u": "a", "v": "a"}
LEAVES = ["b", "u", "v", "E"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=4, max_size=4), st.floats(0, 1000))
def test_cents_add_up_at_every_level(values, nobodys):
    said = dict(zip(LEAVES, values, strict=True))
    said["a"] = said["u"] + said["v"] + nobodys
    said["W"] = said["a"] + said["b"]
    said["company"] = said["W"] + said["E"]
    parents, full = with_rests(TREE, said)
    found = cents_of(parents, full, {})
    for name in ("company", "W", "a"):
        assert found[name] == sum((found[child] for child, above in parents.items() if above == name), Decimal(0))
    assert all(abs(float(found[name]) - full[name]) < 0.1 for name in full) and min(found.values()) >= 0


def test_fixed_nodes_keep_their_cents_and_contradictions_are_named():
    said = {"company": 100.0, "W": 70.0, "E": 30.0, "a": 50.0, "b": 20.0, "u": 30.0, "v": 20.0}
    found = cents_of(TREE, said, {"u": Decimal("30.00"), "W": Decimal("70.00")})
    assert found["u"] == 30 and found["W"] == 70 == found["a"] + found["b"]
    with pytest.raises(BadParameter, match=r"a is fixed at 40.00 and what is fixed beneath it at 50.00 together; withdraw one"):
        cents_of(TREE, said, {"a": Decimal(40), "u": Decimal(30), "v": Decimal(20)})
    with pytest.raises(BadParameter, match=r"a is fixed at 60.00"):
        cents_of(TREE, said, {"a": Decimal(60), "u": Decimal(30), "v": Decimal(20)})


def test_the_published_tree_adds_up_to_the_cent(small_workspace: Workspace):
    tables = Lake(small_workspace).open()
    frame = current_forecast(small_workspace, tables.instant(None), tables).frame
    assert set(frame["level"]) == {"company", "region", "team", "rep"}
    named = frame.assign(node=frame["level"].where(frame["level"] == "company", frame["level"] + "/" + frame["name"]))
    sums = named.groupby(["parent", "month"])["amount"].agg(lambda amounts: sum(amounts, Decimal(0)))
    mine = named.set_index(["node", "month"])["amount"]
    for (parent, month), total in sums.items():
        assert total <= mine[parent, month] and (parent != "company" or total == mine[parent, month]), parent
    made = forecast_now(small_workspace, tables, tables.instant(None), 3, prophet=False)
    assert set(made.parts.judged["level"]) == {"team", "rep"}


def test_each_published_month_says_what_it_is_made_of(small_workspace: Workspace):
    tables = Lake(small_workspace).open()
    view = visible(tables, dt.datetime.now(dt.UTC))
    rows = view.frame(view.facts("forecast"))
    rows = rows[rows["as_of"] == pd.Timestamp(tables.instant(None))]
    parts = made_of(rows)
    keys = ["entity_type", "entity_id", "period_start"]
    sums = parts.groupby(keys)["amount"].agg(lambda amounts: sum(amounts, Decimal(0)))
    assert sums.to_dict() == rows.set_index(keys)["amount"].to_dict(), "to the cent"
    told = parts[parts["factor"].str.startswith("open deals")].groupby(["entity_type", "period_start"])["amount"].sum().astype("float64")
    assert (told["company"] > 0).all()
    for level in ("region", "team", "rep"):
        assert told[level].to_numpy() == pytest.approx(told["company"].to_numpy(), abs=1), level
    alt = made_of_figure(parts[parts["entity_type"] == "company"], "USD").layout.meta["alt"]
    assert "deals not open yet, orders without a deal" in alt and "open deals" in alt
    assert made_of_figure(parts.head(0), "USD").layout.meta["alt"] == "Nothing is known of what these months are made of."
