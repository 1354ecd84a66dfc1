"""The forecast app without a browser: its numbers against the lake's rows and the workflows, its controls, what is made when."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace

import app_rows
import numpy as np
import pandas as pd
import pytest
from app_rows import EARLIER, LATER, copied
from test_app import quarter_by_hand, raw, words

from salesml.analytics.levers import Levers
from salesml.analytics.published import at_published
from salesml.apps import forecast as cockpit
from salesml.apps import text
from salesml.apps.data import shelf
from salesml.apps.forecast import ForecastApp
from salesml.apps.forecast_desk import Desk
from salesml.apps.forecast_screens import signed
from salesml.apps.override_form import OverrideForm, _nodes
from salesml.figures import bridge
from salesml.state import scenarios as kept
from salesml.workflows.overrides import current_forecast
from salesml.workflows.scenarios import scenario
from salesml.workspace import Workspace

PARTS = ("picture", "change", "call", "case")
AFTER = dt.date(2026, 7, 1)  # nothing of that month is known


@pytest.fixture(scope="module")
def company(tiny_workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company with forecasts as of two days."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("cockpit"))
    for as_of in (EARLIER, LATER):
        app_rows.write(made, as_of)
    return made


@pytest.fixture(scope="module")
def opened(company) -> ForecastApp:
    made = ForecastApp(company)
    made.at_first = {part: made.desk.parts.has(part) for part in PARTS}
    made.first_told = words(made.landing.value)
    return made


@pytest.fixture
def app(opened) -> Iterator[ForecastApp]:
    """The app at its newest day; the screen a test leaves is closed after it."""
    yield opened
    opened.tabs.selected_index = cockpit.LANDING
    opened.as_of.value = opened.as_of.options[0][1]


def test_what_takes_long_waits_for_its_screen(app):
    assert app.at_first == {"picture": True, "change": False, "call": False, "case": False}
    assert "being worked out" in app.first_told
    app.page._hear(None, {"kind": "look"}, None)
    assert app.desk.parts.has("change") and "being worked out" not in words(app.landing.value)


def test_the_landing_says_what_it_is_made_of(app):
    row = app.desk.lands.iloc[0]
    assert row[["booked", "expected", "other", "moved"]].fillna(0.0).sum() == pytest.approx(row["amount"], rel=0.005)
    told = words(app.landing.value)
    for name, value in (("Booked so far", row["booked"]), ("Open deals bring", row["expected"]), ("From elsewhere", row["other"])):
        assert f"{name} {words(text.money(value, 'USD')) if value == value else text.MISSING}" in told


def test_the_answer_is_the_published_number_with_the_simulation_s_chance(app, company):
    said = quarter_by_hand(company, LATER, "company")["amount"]
    now = app.desk.parts.picture
    first = now.quotas.iloc[0]
    landing = first["booked"] + now.draws.won[0] + np.nan_to_num(now.draws.other[0])
    mean = first[["booked", "expected", "other"]].fillna(0.0).sum()
    moved = float(said) - mean if abs(float(said) - mean) > 0.005 * float(said) else 0.0
    chance, (low, high) = np.mean(landing + moved >= first["quota"]), first[["lo80", "hi80"]] + moved
    told = f"This quarter (April to June 2026) is heading for {text.money(said, 'USD')}, 80 % interval {text.between(low, high, 'USD')}"
    quota = f"the quota of {text.money(first['quota'], 'USD')} is reached with a chance of {text.percent(chance)}."
    assert f"{words(told)}; {words(quota)}" in words(app.landing.value)
    assert words(app.landing.value.split("</p>")[0]) in words(app.snapshot()), "it is there before the widgets are"


def test_what_moved_since_a_week_ago_is_the_exact_change(app, company):
    app.tabs.selected_index = cockpit.CHANGES
    found = app.desk.parts.change
    assert (found.since, found.as_of) == tuple(company.instant(LATER - dt.timedelta(days=back)) for back in (7, 0))
    shown = words(app.changes.value)
    change = found.after - found.before
    assert f"{'rose' if change > 0 else 'fell'} by {words(text.money(abs(change), 'USD'))} to" in shown
    moved = found.causes[found.causes["amount"].astype(bool)]
    assert len(moved) > 1
    for row in moved.itertuples():
        assert words(signed(row.amount)) in shown and row.meaning in shown
    assert app.changes.value.count('class="step"') == len(moved) + 2
    assert words(app.changes.value.split("</p>")[0]) in words(app.landing.value), "the first screen tells it too"


def test_the_tree_goes_down_as_far_as_asked_and_a_node_opens(app, company):
    app.tabs.selected_index = cockpit.WHERE
    rows = app.desk.parts.call.rows
    for depth in (1, 2, 3):
        app.depth.value = depth
        nodes = re.findall(r'data-node="([^"]+)"', app.tree.value)
        assert nodes == (rows["level"] + "/" + rows["name"])[rows["depth"] <= depth].tolist()
    expected = quarter_by_hand(company, LATER, "West")["amount"]
    app.page._hear(None, {"kind": "node", "id": "region/West"}, None)
    assert app.node.value == "region/West" and words(text.money(expected, "USD")) in words(app.chosen.value)
    assert 'id="node"' in app.chosen.value and app.chosen.value.count('<svg class="fan"') == 3
    assert "Numbers of the chart" in app.chosen.value
    rep = next(node for node in nodes if node.startswith("rep/"))
    app.choose(rep)
    mean = rows.set_index("name").loc[rep.removeprefix("rep/"), "model"]
    assert words(text.money(mean, "USD")) in words(app.chosen.value) and "<svg" not in app.chosen.value
    app.choose("region/Nowhere")
    assert app.node.value == rep


def test_regions_of_the_tree_add_up_to_the_company(app):
    rows = app.desk.tree()
    company, regions = rows[rows["level"] == "company"], rows[rows["level"] == "region"]
    assert regions["amount"].sum() == pytest.approx(company["amount"].iloc[0], rel=1e-3)
    assert (rows["lo80"] <= rows["amount"] + 1e-6).all() and (rows["hi80"] >= rows["amount"] - 1e-6).all()


def test_a_number_of_one_s_own_is_written_shown_and_taken_back(tiny_workspace, tmp_path):
    company = copied(tiny_workspace, tmp_path)
    for as_of in (EARLIER, AFTER):
        app_rows.write(company, as_of)
    app = ForecastApp(company)
    app.tabs.selected_index = cockpit.OWN
    form, parts, before = app.override, app.desk.parts, app.desk.landing().amount
    assert "the model's own" in words(form.answer.value)
    assert form.month.options[0][1] == "2026-07"
    form.node.value, form.month.value = "region/West", "2026-07"
    model = next(row for row in current_forecast(company).frame.itertuples() if (row.name, f"{row.month:%Y-%m}") == ("West", "2026-07"))
    assert f"The model says {model.amount:,.2f} USD" in words(form.beside.value)
    form.amount.value, form.reason.value = "1,200", "order signed today"
    form.put.click()
    assert 'role="alert"' in form.result.value and "without thousands marks" in words(form.result.value)
    form.amount.value, form.reason.value = str(2 * model.amount), "hope"
    form.put.click()
    assert "has not 3 words" in words(form.result.value)
    assert form.amount.value == str(2 * model.amount), "what was typed stays until it is written"
    assert len(app.desk.held) == 0
    form.reason.value = "order <b>signed</b> today"
    form.put.click()
    written = raw(company, "override").iloc[-1]
    assert (written["amount"], written["target_id"]) == (2 * model.amount, "revenue:region:West:2026-07-01")
    assert app.desk.landing("West").amount == before_of(app, "West") + model.amount
    now = app.desk.landing().amount
    assert now > before and f"is heading for {words(text.money(now, 'USD'))}" in words(app.landing.value)
    assert "West July 2026" in words(form.list.value) and "order &lt;b&gt;signed&lt;/b&gt; today" in form.list.value
    assert app.desk.parts is parts, "what was worked out before serves on"
    form.why.value = "it fell through"
    form.back.click()
    assert app.desk.landing().amount == before and "the model's own" in words(form.answer.value)
    assert form.taking.layout.display == "none"


def test_whoever_has_a_forecast_can_be_chosen_below_who_he_is_a_part_of():
    rows = [("company", "company", None), ("region", "West", None), ("region", "East", "company"), ("team", "T1", "region/West"),
            ("rep", "u1", "team/T1"), ("rep", "u2", "region/East")]  # fmt: skip
    forecast = pd.DataFrame(rows, columns=["entity_type", "entity_id", "parent"])
    desk = SimpleNamespace(board=SimpleNamespace(forecast=forecast), parts=SimpleNamespace(names={"u1": "Ann", "T1": "Alpha"}))
    assert _nodes(desk) == [
        ("The company", "company"), ("Region East", "region/East"), ("u2", "rep/u2"), ("Region West", "region/West"),
        ("Team Alpha", "team/T1"), ("Ann", "rep/u1"),
    ]  # fmt: skip


def test_an_earlier_day_takes_no_number(company):
    form = OverrideForm("USD", lambda: None)
    form.open(Desk(company, shelf(company), company.instant(EARLIER)))
    assert form.form.layout.display == "none" and "choose the newest" in words(form.answer.value)
    form.open(Desk(company, shelf(company)))
    assert form.form.layout.display == "" and form.month.options[0] == ("July 2026", "2026-07"), "June is known by now"


def before_of(app: ForecastApp, region: str) -> Decimal:
    """The region's quarter by the model's own numbers."""
    return app.desk.published.landing(region).amount


def test_levers_answer_by_the_scenario_s_numbers(app, company):
    app.tabs.selected_index = cockpit.WHAT_IF
    panel = app.levers
    assert "As things stand" in words(panel.answer.value)
    panel.levers["win_rate"].value, panel.levers["headcount"].value = 5, 1
    found = scenario(company, Levers(win_rate=0.05, headcount=1), case=app.desk.parts.case)
    expected, chance = found.outcome.company[["expected", "probability"]]
    shown = words(panel.answer.value)
    assert f"heading for {words(text.money(expected, 'USD'))}" in shown and f"a chance of {words(text.percent(chance))}" in shown
    assert found.sentence in words(panel.result.value)
    for name in ("pessimistic", "realistic", "optimistic"):
        assert words(text.amount(found.outcome.joint.iloc[0][name])) in words(panel.result.value)
    panel.levers["win_rate"].value = 50
    panel.levers["headcount"].value = panel.levers["headcount"].low
    assert "chance" in words(panel.answer.value) or 'role="alert"' in panel.answer.value
    panel.back.click()
    assert panel.chosen() == Levers() and "As things stand" in words(panel.answer.value)


def test_levers_are_saved_under_a_name_and_opened_again(app, company):
    app.tabs.selected_index = cockpit.WHAT_IF
    panel = app.levers
    panel.levers["price"].value, panel.name.value = -4, "price cut"
    panel.save.click()
    assert "Saved as price cut" in words(panel.kept.value) and "price cut" in words(panel.sides.value)
    assert kept.find(company, "price cut").levers == {"price": -0.04}
    panel.name.value = "price cut"
    panel.save.click()
    assert 'role="alert"' in panel.kept.value and "exists already" in words(panel.kept.value)
    panel.back.click()
    panel.saved.value = next(value for name, value in panel.saved.options if name == "price cut")
    assert panel.levers["price"].value == -4 and panel.chosen() == Levers(price=-0.04)
    panel.back.click()


def test_without_anything_the_page_says_what_to_do(workspace):
    app = ForecastApp(workspace)
    assert "salesml import" in words(app.landing.value)
    for screen in range(len(cockpit.SCREENS)):
        app.tabs.selected_index = screen
    app.page._hear(None, {"kind": "look"}, None)
    assert app.override.form.layout.display == "none" and app.levers.body.layout.display == "none"


def test_without_a_forecast_the_simulation_answers(tiny_workspace, tmp_path):
    app = ForecastApp(copied(tiny_workspace, tmp_path))
    assert "is heading for" in words(app.landing.value) and "the number is the simulation's" in words(app.landing.value)


def test_a_landing_goes_where_the_forecast_says_with_the_simulation_s_width():
    rows = pd.DataFrame({
        "level": "region", "name": ["near", "up", "down", "unsaid", "free"], "mean": 100.0, "lo80": [80.0, 80, 80, 80, 80],
        "hi80": 120.0, "quota": [100.0, 100, 100, 100, np.nan], "probability": [0.5, 0.5, 0.5, 0.5, np.nan],
    })  # fmt: skip
    draws = {("region", name): np.array([70.0, 90, 100, 130]) for name in rows["name"]}
    published = {("region", "near"): 100.4, ("region", "up"): 110.0, ("region", "down"): 10.0, ("region", "free"): 130.0}
    found = at_published(rows, draws, published).set_index("name")
    assert found["amount"].tolist() == [100.4, 110, 10, 100, 130]
    assert found["moved"].tolist() == [0, 10, -90, 0, 30]
    assert found["lo80"].tolist() == [80, 90, 0, 80, 110] and found["hi80"].tolist() == [120, 130, 30, 120, 150]
    assert found["chance"].tolist()[:4] == [0.5, 0.75, 0.0, 0.5] and np.isnan(found.loc["free", "chance"])
    assert rows["lo80"].tolist() == [80] * 5, "what was given stays"


def test_each_bar_of_the_waterfall_begins_where_the_one_above_ends():
    bars = bridge.steps(100, [50, -80], 70)
    places = [re.findall(r"(left|width):([\d.]+)%", bar) for bar in bars]
    first, up, down, last = ({name: float(value) for name, value in found} for found in places)
    assert first["left"] == pytest.approx(up["left"], abs=0.02)
    assert up["left"] + up["width"] == pytest.approx(down["left"] + down["width"], abs=0.02)
    assert down["left"] == pytest.approx(last["left"], abs=0.02)
    assert 'class="up"' in bars[1] and 'class="down"' in bars[2]
    assert up["width"] / down["width"] == pytest.approx(50 / 80, abs=0.01)
    assert all("aria-hidden" in bar for bar in (*bars, bridge.strip(1, 2, 3, None)))
    assert "quota" not in bridge.strip(1, 2, 3, None) and 'class="quota"' in bridge.strip(1, 2, 3, 9)


@pytest.mark.slow
def test_each_lever_answers_each_time_it_is_moved(small_workspace, tmp_path):
    app = ForecastApp(copied(small_workspace, tmp_path))
    app.tabs.selected_index = cockpit.WHAT_IF
    for value in (5, 12, -8):
        for lever in app.levers.levers.values():
            before = app.levers.answer.value
            lever.value = value if lever.unit == "%" else value // 5 + 1
            assert app.levers.answer.value != before
