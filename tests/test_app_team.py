"""The team app shows the benchmark's and the measures' own numbers, to the right eyes, in five languages."""

from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest

from salesml.analytics.benchmark import BELOW
from salesml.analytics.benchmark_behaviour import BEHAVIOURS
from salesml.analytics.slices import drill, measure, previous
from salesml.apps import team_screens, team_words
from salesml.apps.language import CODES, Language
from salesml.apps.placed import Ways
from salesml.apps.placed_live import PlacedApp
from salesml.apps.team import TEAM
from salesml.apps.team_data import COMPARED, EITHER, HEADING, SHORT, Team, period_of, team
from salesml.state import users
from salesml.state.users import current_user
from salesml.workflows.benchmark import benchmark_reps
from salesml.workspace import Workspace

USUAL = {"measure": "win_rate", "period": "year"}


@pytest.fixture(scope="module")
def workspace(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy, since readers are written beside the lake."""
    root = tmp_path_factory.mktemp("team") / "copy"
    shutil.copytree(small_workspace.root, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def at(workspace: Workspace) -> Team:
    return team(workspace, None, "", USUAL)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_ranks_trends_and_practices_are_the_benchmarks(workspace, at):
    told = benchmark_reps(workspace, at.board.as_of, ["win_rate"])
    assert at.period == told.period
    mine = at.ranks.set_index("rep").sort_index()
    pd.testing.assert_frame_equal(mine, told.rows.set_index("rep").sort_index().loc[mine.index], check_exact=True)
    assert len(mine) == len(told.rows) and at.beside is not None
    pd.testing.assert_frame_equal(at.beside.practices, told.differences)
    pd.testing.assert_frame_equal(at.beside.trends, told.trends)


def test_a_reps_quota_and_revenue_are_the_measures_and_the_landing_decides(at):
    found = at.quotas.set_index("rep")
    now = measure(at.book, ["revenue", "quota"], by=["rep"], period=at.quarter).set_index("rep")
    assert len(found) and (found["quota"] == now["quota"].reindex(found.index)).all()
    assert (found["revenue"] == now["revenue"].reindex(found.index)).all()
    for row in found.dropna(subset="stands").itertuples():
        assert row.stands == (HEADING if row.lo80 >= row.quota else SHORT if row.hi80 < row.quota else EITHER)
    shown = team_screens.answer(at, Language(), Ways("", {}, [], "en"))
    for kind in (HEADING, EITHER, SHORT):
        assert f" {int((found['stands'] == kind).sum())} " in text_of(shown)


def test_whom_to_talk_to_goes_by_what_is_at_stake(at):
    needs = at.needs
    assert needs["at_stake"].is_monotonic_decreasing and len(needs)
    of = drill(at.book, "open_deals", most=10**6)[["opportunity_id", "rep"]].merge(at.board.deals, on="opportunity_id")
    top = needs.iloc[0]
    warned = of[of["warned"] & (of["rep"] == top["rep"])]
    assert len(warned) == top["deals"] and warned["at_stake"].sum() == pytest.approx(top["at_stake"])
    assert str(top["label"]) in text_of(team_screens.answer(at, Language(), Ways("", {}, [], "en")))
    low = at.ranks.assign(verdict=BELOW, better=False)
    worse = Team(**{**{name: getattr(at, name) for name in Team.__dataclass_fields__}})
    worse.__dict__["ranks"] = low
    assert worse.needs["below"].all() and "surely worse than the peers" in team_screens.needs(worse, Language(), Ways("", {}, [], "en"))


def test_parts_of_the_company_are_its_reps(workspace, at):
    region = next(one for one in at.places if one.level == "region")
    part = team(workspace, None, region.name, USUAL)
    assert part.reps < at.reps and set(part.ranks["rep"]) <= part.reps and set(part.quotas["rep"]) <= part.reps
    whole = at.ranks.set_index("rep")
    mine = part.ranks.set_index("rep")
    assert (mine["shrunken"] == whole["shrunken"].reindex(mine.index)).all(), "beside the same peers, whoever looks"


def test_periods(at):
    day, quarter = at.book.day, at.quarter
    assert period_of("last", day, quarter) == previous(quarter)
    start, end = period_of("year", day, quarter)
    assert end == day.replace(day=1) and (end.year - start.year, end.month - start.month) == (1, 0)
    assert period_of("quarter", quarter[0], quarter)[1] > quarter[0]


@pytest.mark.parametrize("name", COMPARED)
def test_every_measure_and_period_can_be_asked_for_by_the_address(workspace, name):
    for period in ("year", "last", "quarter"):
        shown = TEAM.picture(workspace, Language(), f"?measure={name}&period={period}")
        assert f'<option value="{name if name != COMPARED[0] else ""}" selected' in shown and "left out" not in shown
    assert "left out" in TEAM.picture(workspace, Language(), "?measure=charm")


def test_a_rep_sees_himself_alone(workspace, at, monkeypatch):
    rep = at.ranks.iloc[0]
    admin = current_user(workspace)
    if rep["rep"] not in {one.name for one in users.all_users(workspace)}:
        users.add_user(workspace, rep["rep"], ("rep",), admin.name)
    monkeypatch.setattr(users, "_system_user", lambda: rep["rep"])
    mine = team(workspace, None, "", USUAL)
    assert mine.reps == {rep["rep"]} and set(mine.ranks["rep"]) == {rep["rep"]} and set(mine.quotas["rep"]) <= {rep["rep"]}
    shown = text_of(TEAM.picture(workspace, Language(), ""))
    others = set(at.ranks["name"]) - {rep["name"]}
    assert rep["name"] in shown and not [name for name in others if name in shown]


@pytest.mark.parametrize("code", CODES)
def test_it_speaks_the_readers_language(workspace, at, code):
    language = Language(code)
    shown = TEAM.picture(workspace, language, "?measure=win_rate")
    for name, title in team_words.card_titles(language).items():
        assert f'id="card-{name}">{title}<' in shown.replace("&#x27;", "'")
    assert set(team_words.behaviours(language)) == {title for title, _ in BEHAVIOURS.values()}
    if code != "en":
        said, english = team_words.behaviours(language), team_words.behaviours(Language())
        assert not [name for name in said if said[name] == english[name]]
        assert not [group for group in at.ranks["peers"].unique() if team_words.peers(language, group) == group]


def test_hostile_names_stay_text(at):
    evil = Team(**{name: getattr(at, name) for name in Team.__dataclass_fields__})
    evil.__dict__["ranks"] = at.ranks.assign(name="<script>alert(1)</script>")
    evil.__dict__["quotas"] = at.quotas.assign(label="<script>alert(1)</script>")
    ways = Ways("", {}, [], "en")
    shown = team_screens.ranks(evil, Language(), ways) + team_screens.quotas(evil, Language(), ways)
    assert "<script>" not in shown or len(at.reps) == 0
    assert "&lt;script&gt;" in shown


def test_the_document_and_the_live_page_say_the_same(workspace, at):
    made = TEAM.document(workspace, Language(), "?measure=win_rate")
    grid = next(part for part in made.parts if getattr(part, "caption", "").startswith("Win rate, "))
    assert [row[0] for row in grid.rows] == list(at.ranks["name"]) and [row[2] for row in grid.rows] == [
        None if pd.isna(value) else value for value in at.ranks["value"]]  # fmt: skip
    live = PlacedApp(TEAM, workspace)
    live.choices["measure"].value = "win_rate"
    assert live.at.name == "win_rate" and live.values["measure"] == "win_rate"
    live.read("?measure=cycle_days&lang=fr")
    assert live.at.name == "cycle_days" and live.language.code == "fr" and live.choices["measure"].value == "cycle_days"
