"""The overview shows the measures' own numbers, to the right eyes, in five languages."""

from __future__ import annotations

import datetime as dt
import re
import shutil
from decimal import Decimal

import pandas as pd
import pytest

from salesml.analytics.slices import measure
from salesml.apps import overview_screens, overview_words
from salesml.apps.language import CODES, Language
from salesml.apps.overview import OVERVIEW
from salesml.apps.overview_data import FIGURES, Overview, period_of, same_length
from salesml.apps.overview_data import overview as read
from salesml.apps.placed import Ways
from salesml.apps.placed_live import PlacedApp
from salesml.apps.seen import COMPANY, places
from salesml.state import layouts, users
from salesml.state.users import current_user
from salesml.workspace import Workspace

D = dt.date


@pytest.fixture(scope="module")
def workspace(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy, since readers and their layouts are written beside the lake."""
    root = tmp_path_factory.mktemp("overview") / "copy"
    shutil.copytree(small_workspace.root, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def at(workspace: Workspace) -> Overview:
    return read(workspace)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", html)


def test_the_answer_is_the_forecast_of_the_place_and_its_quota(workspace, at):
    landing, english = at.landing(), Language()
    assert landing is not None
    shown = OVERVIEW.picture(workspace, english, "")
    for amount in (landing.amount, landing.lo80, landing.hi80):
        assert english.money(amount, at.currency) in shown
    region = next(one for one in at.places if one.level == "region")
    part = read(workspace, place=f"region:{region.key}")
    assert part.landing().amount < landing.amount and english.money(part.landing().amount, at.currency) in OVERVIEW.picture(
        workspace, english, f"?place=region:{region.key}"
    )
    parts = [read(workspace, place=f"region:{one.key}") for one in at.places if one.level == "region"]
    assert sum((one.months()["amount"].sum() for one in parts), Decimal(0)) == at.months()["amount"].sum()


def test_figures_are_the_measures_of_the_period(at):
    found = at.figures().set_index("measure")
    assert list(found.index) == list(FIGURES)
    told = measure(at.book, ["revenue", "win_rate"], period=at.period).iloc[0]
    assert found.loc["revenue", "now"] == float(told["revenue"]) and found.loc["win_rate", "now"] == told["win_rate"]
    before = measure(at.book, ["revenue"], period=same_length(at.period)).iloc[0]
    assert found.loc["revenue", "before"] == float(before["revenue"])


def test_steps_of_the_week_add_up_and_end_with_the_pipeline(at):
    steps = at.steps()
    amounts = dict(zip(steps["step"], steps["amount"], strict=True))
    assert amounts["closing"] == at.now()["pipeline"].iloc[0]
    assert sum(amount for step, amount in amounts.items() if step != "closing") == amounts["closing"]


def test_parts_lead_down_to_a_rep_and_add_up(workspace, at):
    top = at.parts()
    assert float(sum(top["revenue"])) == at.figures().set_index("measure").loc["revenue", "now"]
    level, place = "company", ""
    for expected in ("region", "team", "rep"):
        found = read(workspace, place=place).parts()
        assert set(found["level"]) == {expected}
        level, place = expected, f"{expected}:{found['key'].iloc[0]}"
    assert level == "rep" and read(workspace, place=place).parts().empty


def test_a_period_of_a_young_quarter_is_the_last_whole_one():
    assert period_of(D(2026, 7, 1), (D(2026, 7, 1), D(2026, 10, 1))) == (D(2026, 4, 1), D(2026, 7, 1))
    assert period_of(D(2026, 7, 29), (D(2026, 7, 1), D(2026, 10, 1))) == (D(2026, 7, 1), D(2026, 7, 29))
    assert same_length((D(2026, 7, 1), D(2026, 7, 29))) == (D(2026, 4, 1), D(2026, 4, 29))
    assert same_length((D(2026, 4, 1), D(2026, 7, 1))) == (D(2026, 1, 1), D(2026, 4, 1))


def test_a_rep_sees_his_own_numbers_and_nobody_elses(workspace, at, monkeypatch):
    rep = next(one for one in at.places if one.level == "rep")
    admin = current_user(workspace)
    if rep.key not in {one.name for one in users.all_users(workspace)}:
        users.add_user(workspace, rep.key, ("rep",), admin.name)
    monkeypatch.setattr(users, "_system_user", lambda: rep.key)
    mine = read(workspace)
    assert {one.key for one in mine.places if one.level == "rep"} == {rep.key}
    own = measure(at.book, ["pipeline", "revenue"], where={"rep": [rep.key]}, period=mine.period).iloc[0]
    assert mine.now()["pipeline"].iloc[0] == own["pipeline"]
    assert set(mine.parts()["key"]) <= {one.key for one in mine.places}
    other = next(one for one in at.places if one.level == "rep" and one.key != rep.key)
    assert read(workspace, place=f"rep:{other.key}").place == COMPANY
    shown = OVERVIEW.picture(workspace, Language(), f"?place=rep:{other.key}")
    assert other.label not in text_of(shown).replace(f"rep:{other.key}", "") and "left out" in shown
    needs = mine.needs(100)
    assert set(needs["owner"]) <= {rep.label}


@pytest.mark.parametrize("code", CODES)
def test_it_speaks_the_readers_language_with_its_numbers(workspace, at, code):
    language = Language(code)
    shown = OVERVIEW.picture(workspace, language, "")
    assert language.money(at.landing().amount, at.currency) in shown
    for name, title in overview_screens.card_titles(language).items():
        assert f'id="card-{name}">{title}<' in shown.replace("&#x27;", "'")
    if code != "en":
        english = {**overview_words.titles(Language()), **overview_words.meanings(Language())}
        said = {**overview_words.titles(language), **overview_words.meanings(language)}
        assert sum(said[name] == english[name] for name in said) <= 2, "all but a word or two differ"


def test_a_layout_decides_which_cards_there_are_and_where(workspace):
    mine = current_user(workspace)
    layouts.save(workspace, mine, "overview", layouts.OPENING, ["months", "figures"], {}, known=OVERVIEW.known)
    shown = OVERVIEW.picture(workspace, Language(), "")
    assert re.findall(r'<h2 id="card-(\w+)"', shown) == ["months", "figures"]
    layouts.remove(workspace, mine, "overview", layouts.OPENING)
    assert re.findall(r'<h2 id="card-(\w+)"', OVERVIEW.picture(workspace, Language(), "")) == list(OVERVIEW.known)


def test_the_app_answers_to_its_controls_and_its_address(workspace):
    made = PlacedApp(OVERVIEW, workspace)
    whole = made.shown.value
    region = next(value for _, value in made.place.options if value.startswith("region:"))
    made.place.value = region
    assert made.shown.value != whole and made.at.place.key == region.removeprefix("region:")
    made.read(f"?place={region}&lang=de&colour=red")
    assert made.language.code == "de" and "colour=red" in made.note.value and made.place.value == region
    made.cards["months"].value = False
    assert 'id="card-months"' not in made.shown.value
    made._save()
    assert "months" not in layouts.opening(workspace, current_user(workspace), "overview", known=OVERVIEW.known).cards
    layouts.remove(workspace, current_user(workspace), "overview", layouts.OPENING)
    assert '<div id="snapshot"' in made.snapshot()


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_opens_its_meaning_and_the_rows_it_is_counted_from(workspace, at, name):
    english = Language()
    closed = OVERVIEW.picture(workspace, english, "")
    assert f"figure={name}" in closed and 'id="behind"' not in closed
    shown = OVERVIEW.picture(workspace, english, f"?figure={name}")
    assert overview_words.meanings(english)[name] in text_of(shown).replace("&#x27;", "'")
    rows = at.behind(name, 10**6)
    if name in ("revenue", "bookings", "deals_created", "activities"):
        assert rows["counted"].sum() == pytest.approx(float(at.figures().set_index("measure").loc[name, "now"]))
    first = rows.iloc[0]
    assert str(first["who"]) in text_of(shown) and str(first["what"]).split(" #")[0] in text_of(shown)
    assert "figure=" not in re.search(r'<section aria-labelledby="behind">.*?</section>', shown, re.DOTALL)[0]


def test_hostile_names_stay_text(at):
    evil = at.board.deals.head(1).assign(name="<script>alert(1)</script>", warned=True)
    board = at.board.__class__(**{**vars(at.board), "deals": evil})
    here = Overview(**{**vars(at), "board": board})
    shown = overview_screens.needs(here, Language(), Ways("", {}, [], "en"))
    assert "<script>" not in shown and (here.needs(5).empty or "&lt;script&gt;" in shown)


def test_places_are_those_with_deals(at):
    offered = places(at.book, None)
    assert offered[0] == COMPANY and len(set(offered)) == len(offered)
    reps = measure(at.book, ["deals_created"], by=["rep"])
    assert {one.key for one in offered if one.level == "rep"} == {name for name in reps["rep"] if not name.startswith("(")}
    assert pd.Series([one.level for one in offered]).isin(["company", "region", "team", "rep"]).all()


def test_the_exported_document_has_the_screens_own_numbers(workspace, at, tmp_path):
    from openpyxl import load_workbook

    from salesml.reporting.document import Chart, Figures, Grid
    from salesml.reporting.to_excel import to_excel

    made = OVERVIEW.document(workspace, Language(), "")
    assert Language().money(at.landing().amount, at.currency) in made.answer and "<" not in made.answer
    figures = next(part for part in made.parts if isinstance(part, Figures))
    now = at.figures()["now"].tolist()
    assert [one.value for one in figures.items] == [None if pd.isna(value) else value for value in now]
    charts = [part for part in made.parts if isinstance(part, Chart)]
    assert {chart.kind for chart in charts} == {"waterfall", "line"}
    steps = next(chart for chart in charts if chart.kind == "waterfall").series[0].values
    assert steps[-1] == at.now()["pipeline"].iloc[0] and sum(steps[:-1]) == steps[-1]
    parts = [part for part in made.parts if isinstance(part, Grid)]
    to_excel(made, tmp_path / "overview.xlsx")
    sheets = load_workbook(tmp_path / "overview.xlsx").worksheets
    cells = {cell.value for sheet in sheets for row in sheet.iter_rows() for cell in row}
    regions = [row for part in parts for row in part.rows if row[0] in set(at.parts()["label"])]
    numbers = {value for value in cells if isinstance(value, int | float)}
    assert len(regions) == len(at.parts()) and {float(row[1]) for row in regions} <= numbers
    german = OVERVIEW.document(workspace, Language("de"), "")
    assert german.locale == "de" and german.answer != made.answer


def test_the_front_hands_out_the_view_as_a_file(workspace, at):
    from io import BytesIO

    from fastapi.testclient import TestClient
    from openpyxl import load_workbook

    from salesml.apps.serve import create_app

    region = next(one for one in at.places if one.level == "region")
    with TestClient(create_app(workspace, None), base_url="http://127.0.0.1") as client:
        got = client.get("/overview/file.xlsx", params={"place": f"region:{region.key}", "lang": "de"})
        assert got.status_code == 200 and 'filename="overview.xlsx"' in got.headers["content-disposition"]
        first = load_workbook(BytesIO(got.content)).worksheets[0]
        words = " ".join(str(cell.value) for row in first.iter_rows() for cell in row if cell.value is not None)
        assert region.label in words and "Umsatz" in words
        assert client.get("/overview/file.pdf").content.startswith(b"%PDF")
        assert client.get("/overview/file.exe").status_code == 404 and client.get("/leads/file.pdf").status_code == 404
