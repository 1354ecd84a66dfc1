"""The pipeline: its measures against an independent computation over raw facts, and rule by rule; the app's languages, sight, address."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import replace
from decimal import Decimal
from html import unescape

import app_rows
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from salesml.analytics import pipeline
from salesml.apps import data, pipeline_export, pipeline_screens, theme, within
from salesml.apps import pipeline as screens
from salesml.apps.data import ALL_REGIONS
from salesml.apps.deals import Choice
from salesml.apps.language import CODES, Language, catalogue
from salesml.lake import Lake, visible
from salesml.reporting.document import Grid
from salesml.reporting.to_excel import to_excel
from salesml.state import users
from salesml.state.users import current_user
from salesml.workspace import Workspace

AS_OF = dt.date(2026, 5, 6)


def known(workspace: Workspace, name: str, as_of: dt.date = AS_OF) -> pd.DataFrame:
    """The raw facts of a table known before an instant, in the order of events (nothing is corrected in this lake)."""
    rows = Lake(workspace).open().rows(name).to_pandas()
    return rows[rows["known_at"] < pd.Timestamp(as_of, tz="UTC")].sort_values(["occurred_at", "known_at", "source_row"])


def open_by_hand(workspace: Workspace, as_of: dt.date = AS_OF) -> pd.DataFrame:
    """Open deals by opportunity_id, computed with pandas alone."""
    changes, instant = known(workspace, "opportunity", as_of), pd.Timestamp(as_of, tz="UTC")
    deals = changes.groupby("opportunity_id").last()
    deals = deals[(deals["status"] == "open") & deals["deleted"].isna()]
    grouped = changes.groupby("opportunity_id")
    entered = changes[changes["stage"].notna()].groupby("opportunity_id")["occurred_at"].last()
    activities = known(workspace, "activity", as_of).groupby("opportunity_id")["occurred_at"]
    day = pd.Timedelta(days=1)
    return deals.assign(
        age_days=(instant - grouped["occurred_at"].min()) / day,
        stage_days=(instant - entered) / day,
        close_date_changes=(grouped["close_date"].count() - 1).clip(lower=0),
        activities=activities.size(),
        days_since_activity=(instant - activities.max()) / day,
        region=deals["owner_id"].map(known(workspace, "user", as_of).groupby("user_id")["region"].last()),
    )


def test_open_deals_agree_with_the_raw_facts(tiny_workspace):
    found = pipeline.open_deals(visible(Lake(tiny_workspace).open(), AS_OF)).set_index("opportunity_id")
    expected = open_by_hand(tiny_workspace).loc[found.index]
    assert len(found) == len(open_by_hand(tiny_workspace)) > 20
    for name in ("stage", "amount", "region", "close_date_changes"):
        assert found[name].tolist() == expected[name].tolist(), name
    for name in ("age_days", "stage_days", "days_since_activity"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=2 / 86_400, err_msg=name)
    assert found["activities"].fillna(0).tolist() == expected["activities"].fillna(0).tolist()


def test_stages_sum_to_the_whole_and_stand_in_order(tiny_workspace):
    deals = pipeline.open_deals(visible(Lake(tiny_workspace).open(), AS_OF)).assign(probability=0.25)
    stages = pipeline.by_stage(deals)
    by_hand = open_by_hand(tiny_workspace)
    assert stages["stage"].tolist() == by_hand.sort_values("stage_order")["stage"].unique().tolist()
    assert stages["amount"].tolist() == [sum(by_hand.loc[by_hand["stage"] == s, "amount"].dropna()) for s in stages["stage"]]
    assert stages["deals"].sum() == len(by_hand)
    assert stages["weighted"].sum() == pytest.approx(0.25 * float(by_hand["amount"].dropna().sum()))


def test_deals_in_another_currency_have_no_amount_here(tiny_workspace):
    foreign = tiny_workspace.__class__(tiny_workspace.root, tiny_workspace.settings.__class__(name="x", currency="EUR"))
    deals = pipeline.open_deals(visible(Lake(foreign).open(), AS_OF))
    assert deals["amount"].isna().all() and (deals["currency"] == "USD").all()


def deals_of(**columns: list) -> pd.DataFrame:
    """Deals without any warning sign, except for what the columns say."""
    count = len(next(iter(columns.values())))
    calm = {
        "opportunity_id": [f"D{i}" for i in range(count)], "stage": "Offer", "stage_days": 10.0, "age_days": 30.0,
        "amount": [Decimal(100)] * count, "close_date": dt.date(2026, 6, 1), "close_date_changes": 0,
        "activities": 3, "days_since_activity": 2.0, "probability": 0.5, "probability_before": 0.5,
    }  # fmt: skip
    return pd.DataFrame({**calm, **columns})


@pytest.mark.parametrize(
    ("sign", "columns"),
    [
        ("overdue", {"close_date": [AS_OF, AS_OF - dt.timedelta(days=1), None]}),
        ("quiet", {"days_since_activity": [14.0, 14.01, 3.0]}),
        ("quiet", {"days_since_activity": [1.0, None, 1.0], "age_days": [30.0, 15.0, 30.0]}),
        ("pushed", {"close_date_changes": [2, 3, 0]}),
        ("stalled", {"stage_days": [10.0, 31.0, 10.0]}),
        ("faded", {"probability": [0.41, 0.4, 0.9], "probability_before": [0.5, 0.5, None]}),
    ],
)
def test_each_warning_sign_has_its_boundary(sign, columns):
    found = pipeline.attention(deals_of(**columns), AS_OF).set_index("opportunity_id")
    assert found.index[0] == "D1", "the warned deal comes first"
    assert found.sort_index()[sign].tolist() == [False, True, False]
    others = [name for name in pipeline.REASONS if name != sign]
    assert not found[others].any(axis=None)
    assert found.sort_index()["warned"].tolist() == [False, True, False]


def test_silence_says_nothing_where_activities_are_not_recorded():
    deals = deals_of(days_since_activity=[None, None], activities=[None, None], age_days=[90.0, 90.0])
    assert not pipeline.attention(deals, AS_OF)["quiet"].any()


def test_more_at_stake_comes_first_and_unscored_deals_go_by_amount():
    amounts = [Decimal(10), Decimal(90), Decimal(50), None]
    deals = deals_of(amount=amounts, probability=[0.9, 0.2, None, None], probability_before=[None] * 4)
    assert pipeline.attention(deals, AS_OF)["opportunity_id"].tolist() == ["D2", "D1", "D0", "D3"]


def months(*rows: tuple[str, int]) -> pd.DataFrame:
    return pd.DataFrame({"month": [pd.Timestamp(m) for m, _ in rows], "amount": [Decimal(a) for _, a in rows]})


def ahead(*rows: tuple[dt.date, int]) -> pd.DataFrame:
    frame = pd.DataFrame({"period_start": [d for d, _ in rows], "amount": [Decimal(a) for _, a in rows]})
    frame["period_end"] = [(pd.Timestamp(d) + pd.DateOffset(months=1)).date() for d, _ in rows]
    return frame.assign(**{b: frame["amount"] + k for b, k in zip(pipeline.BOUNDS, (-8, 8, -20, 20), strict=True)})


QUARTER = (dt.date(2026, 4, 1), dt.date(2026, 7, 1))


def test_landing_is_booked_months_plus_forecast_months():
    history = months(("2026-03-01", 1000), ("2026-04-01", 100), ("2026-05-01", 7))
    forecast = ahead((dt.date(2026, 5, 1), 200), (dt.date(2026, 6, 1), 300), (dt.date(2026, 7, 1), 5000))
    landing = pipeline.landing(history, forecast, QUARTER)
    assert (landing.booked, landing.amount) == (Decimal(100), Decimal(600))
    assert (landing.lo80, landing.hi80, landing.lo95, landing.hi95) == tuple(map(Decimal, (584, 616, 560, 640)))
    assert landing.complete


def test_landing_has_the_interval_of_the_sum_where_the_forecast_kept_one():
    history = months(("2026-04-01", 100))
    forecast = ahead((dt.date(2026, 5, 1), 200), (dt.date(2026, 6, 1), 300), (dt.date(2026, 7, 1), 5000))
    names = ("amount", *pipeline.BOUNDS)
    kept = [("200.00", "192.00", "208.00", "180.00", "220.00"), ("500.00", "490.00", "512.00", "470.00", "530.00")]
    sums = [*(dict(zip(names, one, strict=True)) for one in kept), None]
    forecast["accuracy"] = [json.dumps({"wape": 0.1, "total": one}) for one in sums]
    measured = pipeline.landing(history, forecast, QUARTER)
    assert (measured.amount, measured.measured) == (Decimal(600), True)
    assert [getattr(measured, name) for name in ("lo80", "hi80", "lo95", "hi95")] == [590, 612, 570, 630]
    moved = pipeline.landing(history, forecast.assign(amount=[Decimal(200), Decimal(900), Decimal(5000)]), QUARTER)
    assert (moved.amount, moved.lo80, moved.hi80) == (1200, 1190, 1212), "an override moves the bounds along"
    for unkept in (None, "null", json.dumps({"wape": 0.1})):
        added = pipeline.landing(history, forecast.assign(accuracy=unkept), QUARTER)
        assert (added.lo80, added.hi80, added.measured) == (584, 616, False)


def test_landing_says_where_the_forecast_ends_and_that_there_is_none():
    short = pipeline.landing(months(), ahead((dt.date(2026, 4, 1), 200)), QUARTER)
    assert (short.end, short.complete) == (dt.date(2026, 5, 1), False)
    assert pipeline.landing(months(("2026-04-01", 100)), ahead((dt.date(2026, 7, 1), 1)), QUARTER) is None


@given(st.dates(dt.date(2000, 1, 1), dt.date(2099, 12, 31)), st.integers(1, 12))
def test_every_day_lies_in_one_fiscal_quarter(day, fiscal_year_start):
    start, end = pipeline.quarter(day, fiscal_year_start)
    assert start <= day < end
    assert (end.year * 12 + end.month) - (start.year * 12 + start.month) == 3
    assert start.day == end.day == 1 and (start.month - fiscal_year_start) % 3 == 0


def test_coverage_is_of_what_is_missing():
    assert pipeline.coverage(Decimal(300), Decimal(200), Decimal(100)) == 3.0
    assert pipeline.coverage(Decimal(300), Decimal(200), Decimal(200)) is None


@pytest.fixture(scope="module")
def scored(tiny_workspace, tmp_path_factory) -> Workspace:
    """A copy with scores and forecasts of two days, since readers are written beside the lake."""
    made = app_rows.copied(tiny_workspace, tmp_path_factory.mktemp("pipeline"))
    for as_of in (app_rows.EARLIER, app_rows.LATER):
        app_rows.write(made, as_of)
    return made


@pytest.fixture
def rep(scored, monkeypatch) -> str:
    """The reader is a rep with open deals of his own, who has others beside him."""
    owners = open_by_hand(scored, app_rows.LATER)["owner_id"].value_counts()
    found = str(owners.index[0])
    if found not in {one.name for one in users.all_users(scored)}:
        users.add_user(scored, found, ("rep",), current_user(scored).name)
    monkeypatch.setattr(users, "_system_user", lambda: found)
    return found


def seen(html: str) -> str:
    """What a reader sees of HTML, blanks as one."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def listed(html: str) -> set[str]:
    return set(re.findall(r'data-deal="([^"]+)"', html))


ALL = "?screen=deals&show=all&rows=100"


def test_a_rep_sees_his_own_deals_and_nobody_elses(scored, rep):
    deals = open_by_hand(scored, app_rows.LATER)
    mine, others = deals[deals["owner_id"] == rep], deals[deals["owner_id"] != rep]
    shown = screens.picture(scored, Language(), ALL)
    assert listed(shown) == set(mine.index) and len(others)
    app = screens.PipelineApp(scored)
    app.show.value, app.rows.value = False, 100
    assert listed(app.list.value) == set(mine.index) == {deal for _, deal in app.deal.options}
    landing = seen(screens.picture(scored, Language(), ""))
    total = Language().money(sum(mine["amount"].dropna(), Decimal(0)), "USD")
    assert f"Open pipeline {total} {len(mine)} deal" in landing and "is heading for" not in landing
    assert "No forecast is made for exactly the deals that you may see." in landing
    assert set(app.board.regions) == set(mine["region"])


def test_somebody_elses_deal_in_the_address_is_left_out_and_told(scored, rep):
    deals = open_by_hand(scored, app_rows.LATER)
    other, name = deals.index[deals["owner_id"] != rep][0], "opportunity_id"
    shown = screens.picture(scored, Language(), f"?screen=story&deal={other}")
    assert f"left out: deal={other}" in seen(shown)
    everything = data.board(scored, data.shelf(scored)).deals.set_index(name)
    assert everything.loc[other, "name"] not in seen(shown).replace(f"deal={other}", "")
    app = screens.PipelineApp(scored)
    app.read(f"?screen=story&deal={other}")
    assert f"deal={other}" in app.note.value and app.deal.value != other
    app.choose(other)
    assert app.deal.value != other


def test_a_rep_has_the_forecast_that_is_made_for_him_alone(scored, rep):
    everything = data.board(scored, data.shelf(scored))
    company = everything.forecast[everything.forecast["entity_type"] == "company"]
    his = company.assign(entity_type="rep", entity_id=rep)
    board = within.within_sight(replace(everything, forecast=pd.concat([everything.forecast, his])))
    revenue = known(scored, "revenue", app_rows.LATER)
    booked = revenue[(revenue["owner_id"] == rep) & (revenue["occurred_at"] >= pd.Timestamp("2026-04-01", tz="UTC"))]
    booked = booked[booked["occurred_at"] < pd.Timestamp(app_rows.LATER.replace(day=1), tz="UTC")]
    assert board.landing(ALL_REGIONS).booked == sum(booked["amount"], Decimal(0))
    assert within.within_sight(everything).landing(ALL_REGIONS) is None
    two = pd.concat([his, his.assign(entity_id="somebody")])
    assert set(within.within_sight(replace(everything, forecast=two)).forecast["amount"]) == set(his["amount"])


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("screen", pipeline_screens.NAMED)
def test_each_screen_speaks_the_readers_language_and_no_english(scored, code, screen):
    language = Language(code)
    shown = seen(screens.picture(scored, language, f"?screen={screen}"))
    for title in pipeline_screens.titles(language):
        assert title in shown
    expected = {"landing": "What the pipeline holds", "deals": "Strongest factor", "story": "Stages so far"}[screen]
    assert seen(catalogue(code).get(expected).string if code != "en" else expected) in shown
    assert language.until(Lake(scored).workspace.instant(app_rows.LATER), dt.UTC).replace("\xa0", " ") in shown
    if code != "en":
        plain = [m.id for m in catalogue(code) if isinstance(m.id, str) and "{" not in m.id and len(m.id) > 12 and m.string != m.id]
        assert len(plain) > 100 and [one for one in plain if one in shown] == []
        assert not re.search(r"\b(the|deals? (is|are)|days ago|won)\b", shown.replace("Deals", ""))


ROUND = [
    "?min=20000&rows=25",
    "?show=all&order=moved",
    "?region=West&as_of=2026-05-06&screen=deals&min=1&show=all&order=quarter&rows=100&lang=fr",
    "?screen=deals&lang=pt",
]


@pytest.mark.parametrize("query", ROUND)
def test_an_address_says_all_that_is_chosen_and_is_shown_again(scored, monkeypatch, query):
    app, written = screens.PipelineApp(scored), []
    monkeypatch.setattr(app.page, "send", lambda content: written.append(content.get("address")))
    app.read(query)
    assert written[-1] == query and app.note.value == ""
    shown = screens.picture(scored, app.language, query)
    if app.tabs.selected_index == 1:
        assert listed(shown) == listed(app.list.value) and listed(shown)
        form = re.search(r"<form.*?</form>", shown, re.DOTALL)[0]
        assert form.count(" selected>") == 5 and f'value="{app.minimum.value or ""}"' in form
    else:
        chosen = app.choice
        app.tabs.selected_index = 1
        assert "screen=deals" in written[-1] and app.choice == chosen != Choice()
        there = re.search(r'class="live" href="([^"]*screen=deals[^"]*)"', shown)[1]
        assert written[-1].removeprefix("?").split("&screen=deals")[0].split("&")[0] in unescape(there)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', shown))
        assert {f"{name}={value}" for name, value in hidden.items() if name != "lang"} == set(query.removeprefix("?").split("&"))


@pytest.mark.parametrize("wrong", ["min=-5", "min=0", "rows=7", "order=name", "show=none", "min=1.5"])
def test_a_choice_there_is_not_is_told(scored, wrong):
    shown = seen(screens.picture(scored, Language(), f"?screen=deals&{wrong}"))
    assert f"left out: {wrong}" in shown
    assert pipeline_screens.values_of(Choice()) == dict.fromkeys(("region", "min", "show", "order", "rows"))


@pytest.mark.parametrize("screen", pipeline_screens.NAMED)
def test_the_file_of_a_screen_has_its_own_deals_and_numbers(scored, tmp_path, screen):
    at = pipeline_screens.look_up(scored, data.shelf(scored), "")[0]
    made = pipeline_export.document(scored, Language(), f"?screen={screen}&show=all&rows=100")
    grids = [part for part in made.parts if isinstance(part, Grid)]
    shown = screens.picture(scored, Language(), f"?screen={screen}&show=all&rows=100")
    assert f"/pipeline/file.xlsx?screen={screen}" in shown or screen == pipeline_screens.NAMED[0]
    assert "<" not in made.answer and made.answer in theme.plain(shown)
    if screen == "landing":
        stages = grids[-1]
        assert stages.total is not None and stages.total[1:3] == (len(at.deals), pipeline.total(at.deals["amount"]))
        assert sum(row[1] for row in stages.rows) == len(at.deals)
    elif screen == "deals":
        assert sorted(row[0] for row in grids[0].rows) == sorted(at.deals["name"])
        amounts = dict(zip(at.deals["name"], at.deals["amount"], strict=True))
        assert all(row[3] == amounts[row[0]] for row in grids[0].rows if row[3] is not None)
    else:
        effects = [row[1] for row in grids[0].rows]
        chance = at.deals.set_index("opportunity_id")["probability"].iloc[0]
        assert sum(effects) == pytest.approx(np.log(chance / (1 - chance)))
    to_excel(made, tmp_path / "view.xlsx")
    assert load_workbook(tmp_path / "view.xlsx").worksheets


def test_a_reps_file_has_his_deals_alone(scored, rep):
    made = pipeline_export.document(scored, Language("de"), "?screen=deals&show=all")
    owners = {row[1] for part in made.parts if isinstance(part, Grid) for row in part.rows}
    assert len(owners) == 1 and made.locale == "de"
