"""The activity app shows the workflow's own numbers of the place, to the right eyes, in five languages."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from decimal import Decimal

import pandas as pd
import pytest

from salesml.analytics.slices import measure
from salesml.apps import activity_screens, activity_tables, activity_words
from salesml.apps.activity import ACTIVITY
from salesml.apps.activity_data import LEAST_MESSAGES, WEEKS, Touch, touch
from salesml.apps.language import CODES, Language
from salesml.apps.placed import Ways
from salesml.apps.placed_live import PlacedApp
from salesml.figures.activity_weeks import stacked
from salesml.reporting.document import Chart, Grid, Paragraph
from salesml.state import users
from salesml.state.users import current_user
from salesml.workflows.activity import activity
from salesml.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy, since readers are written beside the lake."""
    root = tmp_path_factory.mktemp("activity") / "copy"
    shutil.copytree(small_workspace.root, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def at(workspace: Workspace) -> Touch:
    return touch(workspace)


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", html)


def test_the_answer_is_the_workflows(workspace, at):
    known = activity(workspace, at.board.as_of)
    stands, english = known.whole.iloc[0], Language()
    shown = text_of(ACTIVITY.picture(workspace, english, ""))
    assert english.percent(stands["in_touch_share"]) in shown and english.money(stands["quiet_amount"], at.currency) in shown
    assert f"{len(known.waiting):,} conversation" in shown
    judged, share, lo, hi = at.soon()
    soon = known.messages["soon"].dropna()
    assert judged == len(soon) and share == pytest.approx(soon.astype("float64").mean()) and lo < share < hi


def test_places_divide_the_company(workspace, at):
    regions = [touch(workspace, place=one.name) for one in at.places if one.level == "region"]
    assert len(regions) > 1
    for part in regions:
        assert set(part.done.work["region"]) <= {part.place.key}
    assert sum(len(part.done.work) for part in regions) == len(at.done.work)
    assert sum(part.done.weeks["activities"].sum() for part in regions) == at.done.weeks["activities"].sum()
    rep = next(one for one in at.places if one.level == "rep")
    mine, known = touch(workspace, place=rep.name), activity(workspace, at.board.as_of, rep=rep.key)
    assert set(mine.done.work["opportunity_id"]) == set(known.work["opportunity_id"])
    assert set(mine.done.waiting["about"]) == set(known.waiting["about"]) and len(mine.done.messages) == len(known.messages)
    assert mine.done.relation == at.done.relation, "what goes with wins is the whole company's"


def test_weeks_are_chosen_and_counted_from_their_start(workspace, at):
    found = {weeks: touch(workspace, weeks=weeks) for weeks in WEEKS}
    for weeks, one in found.items():
        counted = measure(one.book, ["activities"], period=(one.done.since, one.book.day))["activities"].iloc[0]
        assert one.done.weeks["activities"].sum() == counted
        assert int(weeks) <= len(one.done.weeks["period"].unique()) <= int(weeks) + 2
    assert found["4"].done.since > found["13"].done.since > found["26"].done.since
    wide = activity_screens.by_week(at, Language())
    assert wide.to_numpy().sum() == at.done.weeks["activities"].sum()


def test_more_than_six_types_are_drawn_as_six_whose_sum_stays(at):
    days = pd.to_datetime(["2026-06-01", "2026-06-08"])
    rows = [{"period": day, "activity_type": f"t{kind}", "activities": 10 - kind} for day in days for kind in range(8)]
    many = Touch(**{**vars(at), "done": replace(at.done, weeks=pd.DataFrame(rows))})
    wide = activity_screens.by_week(many, Language())
    assert len(wide.columns) == 6 and wide.to_numpy().sum() == 2 * sum(range(3, 11)) and list(wide)[-1] == "the rest"
    drawn = stacked(wide, list(wide), lambda day: f"{day:%d %b}", "<alt>")
    assert drawn.count("<rect") == 12 and "&lt;alt&gt;" in drawn


def test_silent_deals_are_those_out_of_touch_by_what_is_at_stake(at):
    rows = at.silent()
    assert len(rows) == at.stands["quiet"] and rows["silent_days"].gt(14).all()
    assert rows["stake"].dropna().is_monotonic_decreasing
    assert sum(rows["amount"].dropna(), Decimal(0)) == at.stands["quiet_amount"]


def test_accounts_left_out_are_those_not_touched(at):
    rows = at.untouched()
    assert len(rows) == (~at.done.accounts["touched"].astype("bool")).sum() and rows["revenue"].is_monotonic_decreasing


def test_the_heat_has_the_median_hours_and_hides_few_messages(at):
    heat, messages = at.heat(), at.done.messages
    for (day, hour), rows in messages.assign(hour=messages["hour"] // 4 * 4).groupby(["weekday", "hour"]):
        value = heat.loc[hour, day]
        if len(rows) < LEAST_MESSAGES:
            assert pd.isna(value)
        elif rows["hours"].notna().any():
            assert value == pytest.approx(rows["hours"].median())


def test_a_rep_sees_his_own_customers_and_no_names_of_others(workspace, at, monkeypatch):
    rep = next(one for one in at.places if one.level == "rep" and one.key in set(at.done.work["rep"]))
    admin = current_user(workspace)
    if rep.key not in {one.name for one in users.all_users(workspace)}:
        users.add_user(workspace, rep.key, ("rep",), admin.name)
    monkeypatch.setattr(users, "_system_user", lambda: rep.key)
    mine = touch(workspace)
    assert set(mine.done.work["rep"]) == {rep.key} and set(mine.done.waiting["rep"]) <= {rep.key}
    assert set(mine.done.accounts["rep"]) <= {rep.key} and set(mine.done.by_rep["rep"]) <= {rep.key}
    assert {hint.rep for hint in mine.done.hints} <= {rep.key}
    shown = text_of(ACTIVITY.picture(workspace, Language(), ""))
    others = {one.label for one in at.places if one.level == "rep" and one.key != rep.key}
    assert not any(label in shown for label in others)


@pytest.mark.parametrize("code", CODES)
def test_it_speaks_the_readers_language_with_its_numbers(workspace, at, code):
    language = Language(code)
    shown = text_of(ACTIVITY.picture(workspace, language, "?weeks=4")).replace("&#x27;", "'").replace("&amp;", "&")
    assert language.percent(at.stands["in_touch_share"]) in shown
    assert all(title in shown for title in activity_screens.card_titles(language).values())
    assert activity_screens.caution(language) in shown
    if code != "en":
        assert activity_screens.caution(language) != activity_screens.caution(Language())


def test_bands_are_said_in_the_language_and_unknown_ones_stay():
    german = Language("de")
    names = ("7 or more", "0 to 3", "0", "under 4 hours", "4 to 24 hours", "24 hours or more")
    told = [activity_words.band(german, name) for name in names]
    assert told == ["7 oder mehr", "0 bis 3", "0", "unter 4 Stunden", "4 bis 24 Stunden", "24 Stunden oder mehr"]
    assert activity_words.band(german, "any") == "any"


def test_the_app_answers_to_its_controls_and_its_address(workspace):
    app = PlacedApp(ACTIVITY, workspace)
    app.choices["weeks"].value = "4"
    assert app.at.weeks == 4
    app.read("?weeks=26&lang=pt")
    assert app.at.weeks == 26 and app.language.code == "pt" and app.choices["weeks"].value == "26"
    app.cards["outcomes"].value = False
    assert 'id="card-outcomes"' not in app.shown.value and 'id="card-silent"' in app.shown.value
    assert "weeks=99" in ACTIVITY.picture(workspace, Language(), "?weeks=99"), "what is not offered is said to be left out"


def test_hostile_names_stay_text(at):
    evil = "<script>alert(1)</script>"
    done = replace(at.done, work=at.done.work.assign(name=evil, rep_name=evil, stage=evil, in_touch=False),
                   waiting=at.done.waiting.assign(name=evil, rep_name=evil, type=evil),
                   accounts=at.done.accounts.assign(name=evil, touched=False),
                   weeks=at.done.weeks.assign(activity_type=evil), types=at.done.types.assign(type=evil))  # fmt: skip
    here = Touch(**{**vars(at), "done": done})
    language, ways = Language(), Ways("", {}, [], "en")
    for body in (activity_screens.silent, activity_screens.waiting, activity_screens.coverage, activity_screens.volume,
                 activity_screens.response):  # fmt: skip
        shown = body(here, language, ways)
        assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_the_file_has_the_rows_of_the_screen_and_more(workspace, at):
    document = ACTIVITY.document(workspace, Language(), "")
    chart = next(part for part in document.parts if isinstance(part, Chart))
    assert sum(sum(series.values) for series in chart.series) == at.done.weeks["activities"].sum()
    grids = {part.caption: part for part in document.parts if isinstance(part, Grid)}
    for name in ("silent", "waiting", "coverage", "response", "outcomes"):
        for table in activity_tables.TABLES[name](at, Language()):
            assert not table.rows or grids[table.caption].rows == table.rows[: activity_tables.FILED]
            more = [part.text for part in table.parts(Language()) if isinstance(part, Paragraph)]
            assert bool(more) == (len(table.rows) > activity_tables.FILED)
    (silent,) = activity_tables.silent(at, Language())
    assert len(silent.rows) == at.stands["quiet"]
    assert "<" not in document.answer and ACTIVITY.document(workspace, Language("es"), "").answer != document.answer
