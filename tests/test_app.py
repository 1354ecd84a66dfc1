"""The pipeline app without a browser: its numbers against the lake's raw rows, its controls, what it says when things lack."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from xml.etree import ElementTree

import app_rows
import ipywidgets
import pandas as pd
import pyarrow as pa
import pytest
from app_rows import EARLIER, LATER, copied
from hypothesis import given
from hypothesis import strategies as st
from test_app_pipeline import open_by_hand

from salesml.apps import data, deals, feature_words, pipeline, story, text
from salesml.apps import pipeline_words as said
from salesml.apps.data import ALL_REGIONS
from salesml.apps.language import Language
from salesml.figures.pipeline import fan
from salesml.lake import Lake
from salesml.workspace import Workspace

EN = Language()


@pytest.fixture(scope="module")
def scored(tiny_workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company with scores and forecasts as of two days."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("scored"))
    for as_of in (EARLIER, LATER):
        app_rows.write(made, as_of)
    return made


@pytest.fixture(scope="module")
def opened(scored) -> pipeline.PipelineApp:
    return pipeline.PipelineApp(scored)


@pytest.fixture
def app(opened) -> Iterator[pipeline.PipelineApp]:
    """The app as it opens; what a test chooses is taken back after it."""
    yield opened
    opened.as_of.value = opened.as_of.options[0][1]
    opened.region.value, opened.minimum.value, opened.show.value, opened.rows.value = ALL_REGIONS, 0, True, 10
    opened.order.value = deals.ATTENTION
    opened.tabs.selected_index = 0


def words(html: str) -> str:
    """What a reader sees of HTML, blanks as one."""
    told = re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()
    return re.sub(r" ([.,:;])", r"\1", told)


def raw(workspace: Workspace, name: str) -> pd.DataFrame:
    return Lake(workspace).open().rows(name).to_pandas()


def quarter_by_hand(workspace: Workspace, as_of: dt.date, entity: str) -> dict[str, Decimal]:
    """Booked months of the second quarter of 2026 plus the forecast of the rest, from the stored rows."""
    rows = raw(workspace, "forecast")
    rows = rows[(rows["entity_id"] == entity) & (rows["as_of"] == pd.Timestamp(as_of, tz="UTC"))]
    rows = rows[rows["period_start"].between(dt.date(2026, 4, 1), dt.date(2026, 6, 30))]
    booked, users, accounts = (raw(workspace, name) for name in ("revenue", "user", "account"))
    begins, ends = pd.Timestamp("2026-04-01", tz="UTC"), pd.Timestamp(rows["period_start"].min(), tz="UTC")
    booked = booked[(booked["occurred_at"] >= begins) & (booked["occurred_at"] < ends)]
    booked = booked[booked["known_at"] < pd.Timestamp(as_of, tz="UTC")]
    region = booked["owner_id"].map(users.groupby("user_id")["region"].last())
    region = region.fillna(booked["account_id"].map(accounts.groupby("account_id")["region"].last()))
    done = sum(booked.loc[(region == entity) | (entity == "company"), "amount"], Decimal(0))
    return {name: done + sum(rows[name]) for name in ("amount", "lo80", "hi80")}


@pytest.mark.parametrize("region", [ALL_REGIONS, "West"])
def test_the_answer_is_the_lake_s_number(app, scored, region):
    app.region.value = region
    expected = quarter_by_hand(scored, LATER, "company" if region == ALL_REGIONS else region)
    shown = words(app.landing.value)
    whose = "The company" if region == ALL_REGIONS else "West"
    point, low, high = (EN.money(expected[name], "USD") for name in ("amount", "lo80", "hi80"))
    quarter = words(EN.span(dt.date(2026, 4, 1), dt.date(2026, 7, 1)))
    assert f"{whose} is heading for {point} in {quarter}, most likely {low} to {high}." in shown
    assert "Known up to the end of 2 June 2026." in shown
    assert app.board.landing(region).amount == expected["amount"]


def test_the_answer_compares_with_the_quota(app, scored):
    quotas = raw(scored, "quota")
    quota = quotas.loc[
        (quotas["entity_type"] == "company") & (quotas["period_start"] == dt.date(2026, 4, 1)), "amount"
    ].iloc[0]
    landing = app.board.landing(ALL_REGIONS)
    assert f"That is {landing.amount / quota:.0%} of the quota" in words(app.landing.value)
    verdict = "low end reaches it" if landing.lo80 >= quota else "high end falls short" if landing.hi80 < quota else "inside the range"
    assert verdict in words(app.landing.value)


def test_how_sure_is_told_from_the_forecast_s_own_record(app):
    told = words(app.landing.value)
    assert "off by 12% of monthly revenue on average before. Their 80 % interval held in 79% of 48 earlier months." in told


def test_the_pipeline_by_stage_is_the_raw_facts(app, scored):
    deals, shown = open_by_hand(scored, LATER), words(app.landing.value)
    assert f"All stages {len(deals)} {EN.short(deals['amount'].dropna().sum())}" in shown
    scores = app_rows.scores(scored, LATER).to_pandas().set_index("entity_id")["point"]
    weighted = (deals["amount"].astype("float64") * scores).sum()
    assert f"Weighted by the chance to win {EN.money(weighted, 'USD')}" in shown


def test_days_to_choose_from_are_those_with_predictions(app, scored):
    stored = sorted(raw(scored, "prediction")["as_of"].unique(), reverse=True)
    assert [value for _, value in app.as_of.options] == [moment.to_pydatetime() for moment in stored]
    assert [words(label) for label, _ in app.as_of.options] == ["2 June 2026", "5 May 2026"]


def test_an_earlier_day_looks_as_it_did_then(app, scored, tiny_workspace, tmp_path):
    app.as_of.value = app.as_of.options[1][1]
    expected = quarter_by_hand(scored, EARLIER, "company")
    assert app.board.landing(ALL_REGIONS).amount == expected["amount"]
    assert set(app.board.deals["opportunity_id"]) == set(open_by_hand(scored, EARLIER).index)
    alone = copied(tiny_workspace, tmp_path)
    app_rows.write(alone, EARLIER)
    then = pipeline.PipelineApp(alone)
    assert (then.landing.value, then.urgent.value) == (app.landing.value, app.urgent.value)


def listed(app: pipeline.PipelineApp) -> list[str]:
    return re.findall(r'data-deal="(\w+)"', app.list.value)


def test_deals_are_those_asked_for(app, scored):
    app.rows.value = 100
    app.show.value = False
    deals = open_by_hand(scored, LATER)
    assert set(listed(app)) == set(deals.index)
    app.minimum.value = 20_000
    assert set(listed(app)) == set(deals.index[deals["amount"] >= 20_000]) < set(deals.index)
    app.region.value = "West"
    assert set(listed(app)) == set(deals.index[(deals["amount"] >= 20_000) & (deals["region"] == "West")])
    app.minimum.value, app.region.value, app.show.value = 0, ALL_REGIONS, True
    assert set(listed(app)) == set(app.board.deals.loc[app.board.deals["warned"], "opportunity_id"])
    app.rows.value = 10
    assert len(listed(app)) == 10


def test_a_row_tells_probability_amount_age_silence_and_factor(app, scored):
    first = listed(app)[0]
    deal = open_by_hand(scored, LATER).loc[first]
    score = app_rows.scores(scored, LATER).to_pandas().set_index("entity_id").loc[first]
    row = words(app.list.value.split("<tr")[2])
    told = [
        EN.percent(score["point"]), f"{EN.percent(score['lo'])} to {EN.percent(score['hi'])}",
        EN.money(deal["amount"], "USD"), said.days(EN, deal["age_days"]), said.ago(EN, deal["days_since_activity"]),
    ]  # fmt: skip
    for part in told:
        assert words(part) in row
    strongest = max(json.loads(score["factors"]), key=lambda factor: abs(factor["effect"]))
    meaning = {"age_days": "Age of the deal", "amount": "Amount"}[strongest["feature"]]
    assert f"{meaning}: " in row and ("raises" if strongest["effect"] > 0 else "lowers") in row.replace(
        "multiplies", "raises"
    )


def test_a_deal_s_factors_add_up_to_its_probability(app, scored):
    scores = app_rows.scores(scored, LATER).to_pandas().set_index("entity_id")
    for deal in data.records(app.board.deals):
        parts = story.contributions(deal)
        point = scores.loc[deal.opportunity_id, "point"]
        assert parts["effect"].sum() == pytest.approx(math.log(point / (1 - point)), abs=1e-9)
        assert parts["effect"].iloc[0] == pytest.approx(-0.4, abs=1e-9), (
            "the start is the base the scores were made with"
        )


def test_choosing_a_deal_opens_its_story(app, scored):
    chosen = listed(app)[2]
    app.minimum.value = 1e9
    app.page._hear(None, {"kind": "deal", "id": chosen}, None)
    assert (app.deal.value, app.tabs.selected_index, app.minimum.value) == (chosen, 2, 0)
    changes = raw(scored, "opportunity")
    mine = changes[(changes["opportunity_id"] == chosen) & (changes["known_at"] < pd.Timestamp(LATER, tz="UTC"))]
    told = words(app.story.value + app.record.value)
    for stage in mine["stage"].dropna():
        assert stage in told
    assert EN.money(mine.sort_values("occurred_at")["amount"].dropna().iloc[-1], "USD") in told
    app.page._hear(None, {"kind": "deal", "id": "nobody"}, None)
    assert app.deal.value == chosen


def test_new_scores_show_when_the_page_comes_into_view(tiny_workspace, tmp_path):
    own = copied(tiny_workspace, tmp_path)
    app = pipeline.PipelineApp(own)
    assert "salesml forecast revenue" in app.landing.value
    assert "salesml train deals" in app.urgent.value and "salesml score deals" in app.urgent.value
    app_rows.write(own, EARLIER)
    assert "salesml forecast revenue" in app.landing.value, "nothing moves while nobody looks"
    app.page._hear(None, {"kind": "look"}, None)
    assert "is heading for" in words(app.landing.value) and "salesml score deals" not in app.urgent.value


def test_an_empty_workspace_says_how_to_begin(workspace):
    app = pipeline.PipelineApp(workspace)
    assert "salesml import NAME PATH" in app.landing.value
    app.tabs.selected_index = 2
    assert "Choose a deal" in app.story.value


def test_without_a_workspace_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("SALESML_WORKSPACE", str(tmp_path / "nowhere"))
    shown = pipeline.app()
    assert isinstance(shown, ipywidgets.HTML) and "is not a workspace" in shown.value


def test_a_baseline_is_called_one_and_an_old_model_too(scored, monkeypatch):
    monkeypatch.setattr(data, "version_tags", lambda *_: {"baseline": "true"})
    monkeypatch.setattr(data, "champions", lambda _: [("deal_outcome", 3)])
    told = words(pipeline.PipelineApp(scored).urgent.value)
    assert "No model could prove that it tells winners apart better than plain rates" in told
    assert "of model version 2, the champion is version 3 now" in told
    monkeypatch.setattr(data, "version_tags", lambda *_: {"baseline": "true", "kind": "handful"})
    assert "Too few outcomes are known to test a model" in words(pipeline.PipelineApp(scored).urgent.value)
    monkeypatch.setattr(data, "version_tags", lambda *_: {"baseline": "false"})
    monkeypatch.setattr(data, "champions", lambda _: [("deal_outcome", 2)])
    assert "no signal" not in pipeline.PipelineApp(scored).urgent.value


def test_a_short_forecast_is_not_sold_as_the_quarter(tiny_workspace, tmp_path):
    own = copied(tiny_workspace, tmp_path)
    app_rows.write(own, EARLIER, months=1)
    told = words(pipeline.PipelineApp(own).landing.value)
    assert words(EN.span(dt.date(2026, 4, 1), dt.date(2026, 6, 1))) in told
    assert "The forecast ends with May 2026" in told and "of the quota" not in told


def test_names_of_the_company_are_data_not_html(tmp_path):
    own = Workspace.create(tmp_path / "evil", name="evil")
    attack = "<img src=x onerror=alert(1)>"
    when = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    row = {"opportunity_id": ["D1"], "change_id": ["created"], "name": [attack], "stage": [attack], "status": ["open"],
           "amount": [Decimal("5.00")], "occurred_at": [when], "known_at": [when]}  # fmt: skip
    Lake(own).ingest({"opportunity": pa.table(row)}, origin="test")
    app = pipeline.PipelineApp(own)
    app.choose("D1")
    for html in (app.landing.value, app.urgent.value, app.list.value, app.story.value, app.record.value, app.snapshot()):
        assert "<img" not in html
    assert "&lt;img" in app.story.value


def test_controls_are_labelled(app):
    controls = [app.as_of, app.region, app.minimum, app.show, app.order, app.rows, app.deal, *app.what_if.controls.values()]
    assert [c.description for c in controls] == [
        "Known up to the end of",
        "Region",
        "Minimum amount (USD)",
        "Show",
        "Order by",
        "How many",
        "Deal",
        "Stage",
        "Amount (USD)",
        "Close date",
        "Discount (%)",
        "Forecast category",
    ]


def test_the_snapshot_has_the_answer_without_any_script(app):
    snapshot = app.snapshot()
    assert words(app.landing.value)[:80] in words(snapshot)
    assert "<script" not in snapshot and "id=" not in snapshot.replace('id="snapshot"', "")


def test_an_app_does_not_import_what_only_training_needs_nor_the_front_what_only_kernels_need():
    training = {"mlflow", "catboost", "sklearn", "plotly", "prophet", "shap", "statsforecast"}
    kernels = {"jupyter_server", "nbformat", "voila"}
    check = (
        f"import sys, salesml.apps.pipeline; print(sorted({training} & set(sys.modules)));"
        f"import salesml.apps.serve; print(sorted({kernels} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "[]"]


def test_the_chart_draws_every_number_and_tells_itself():
    history = pd.DataFrame({"month": pd.date_range("2025-01-01", periods=6, freq="MS"), "amount": [5, 6, 4, 7, 8, 6]})
    ahead = pd.DataFrame({"period_start": pd.date_range("2025-07-01", periods=3, freq="MS"), "amount": [7, 7, 8],
                          "lo80": [6, 5, 5], "hi80": [8, 9, 11], "lo95": [5, 4, 3], "hi95": [9, 11, 13]})  # fmt: skip
    svg = ElementTree.fromstring(fan(history, ahead, text.amount, 'A "quoted" alt', width=400, height=200))
    assert svg.get("aria-label") == 'A "quoted" alt' and svg.get("role") == "img"
    assert len(svg.findall("circle")) == 9 and len(svg.findall("polygon")) == 2
    spots = [
        tuple(map(float, point.split(","))) for line in svg.iter("polygon") for point in line.get("points").split()
    ]
    assert all(0 <= x <= 400 and 0 <= y <= 200 for x, y in spots)
    lowest, highest = (
        next(c for c in svg.findall("circle") if c.find("title").text.startswith(m)) for m in ("March", "May")
    )
    assert float(lowest.get("cy")) > float(highest.get("cy")), "more is higher"
    assert svg.findall("circle")[6].find("title").text == "July 2025: 7, 80 % interval 6 to 8"


@given(st.floats(1, 1e12))
def test_amounts_keep_three_digits(value):
    told = words(text.amount(value)).replace(",", "")
    number, _, letter = told.partition(" ")
    assert float(number) * {"": 1, "k": 1e3, "M": 1e6, "bn": 1e9}[letter] == pytest.approx(
        value, rel=0.006 if letter else 0.6
    )
    assert not letter or 1 <= float(number) <= 1000


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (text.percent(0.0001), "<1 %"), (text.percent(0.9999), ">99 %"), (text.percent(0), "0 %"), (text.percent(None), "–"),
        (text.money(Decimal("999950"), "EUR"), "EUR 1.00 M"), (text.money(None, "EUR"), "–"), (text.days(1.9), "1 day"),
        (text.ago(0.4), "under a day ago"), (text.count(2, "activity"), "2 activities"), (text.count(1204, "day"), "1,204 days"),
        (text.span(dt.date(2026, 11, 1), dt.date(2027, 2, 1)), "November 2026 to January 2027"),
        (feature_words.direction(EN, 0.5), "raises the odds by 65%"), (feature_words.direction(EN, -0.5), "lowers the odds by 39%"),
        (feature_words.factor(EN, {"feature": "product_id", "value": "P1"}, {"P1": "Lamp"}, "EUR"), "Main product: Lamp"),
        (feature_words.factor(EN, {"feature": "days_since_activity", "value": None}, {}, "EUR"), "Time since the last activity: unknown"),
        (feature_words.factor(EN, {"feature": "new_one", "value": 2.0}, {}, "EUR"), "new one: 2"),
        (said.points(EN, 0.0612), "+6 points"), (said.points(EN, -0.004), "−0.4 points"), (said.points(EN, 0.0001), "0.0 points"),
        (text.known(dt.datetime(2026, 7, 1, 12, 30, tzinfo=dt.UTC), dt.UTC), "1 July 2026, 12:30"),
    ],
)  # fmt: skip
def test_numbers_in_words(told, expected):
    assert words(told) == expected
