"""A rep's day: the list of things to do rests on what is known, the numbers are the measures' own, and no other rep is seen."""

from __future__ import annotations

import datetime as dt
import re
import shutil

import pandas as pd
import pytest

from salesml.analytics.slices import measure
from salesml.apps import rep_screens, rep_words
from salesml.apps.language import CODES, Language
from salesml.apps.overview_data import FIGURES
from salesml.apps.placed import Ways
from salesml.apps.placed_live import PlacedApp
from salesml.apps.rep import REP
from salesml.apps.rep_data import DUE_DAYS, Day, day, todo
from salesml.reporting.document import Grid
from salesml.state import users
from salesml.state.users import current_user
from salesml.workflows.activity import activity
from salesml.workspace import Workspace

TODAY = dt.date(2026, 7, 1)
WAITING = ["kind", "about", "name", "rep", "messages", "since", "hours", "type", "cents"]
LEADS = ["lead_id", "title", "industry", "expected_value", "probability", "contacts", "waits"]


@pytest.fixture(scope="module")
def workspace(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy, since readers are written beside the lake."""
    root = tmp_path_factory.mktemp("rep") / "copy"
    shutil.copytree(small_workspace.root, root)
    return Workspace.open(root)


@pytest.fixture(scope="module")
def at(workspace: Workspace) -> Day:
    """The day of the rep with the most to do of the first few."""
    first = day(workspace)
    found = [first, *(day(workspace, place=one.name) for one in first.places[1:4])]
    return max(found, key=lambda one: len(one.items))


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", " ", html)


def deal(name: str, **known: object) -> dict[str, object]:
    quiet = {"overdue": False, "quiet": False, "stalled": False, "pushed": False, "faded": False, "adjusted": False}
    return {"opportunity_id": name, "name": name, "account": "Acme", "amount": 100.0, "probability": 0.5, "adjusted_probability": None,
            "close_date": None, **quiet, **known}  # fmt: skip


def made(*deals: dict[str, object], waiting: list[tuple] = (), leads: list[tuple] = ()) -> list[tuple[str, str, float | None]]:
    rows = pd.DataFrame([dict(zip(("kind", "about", "hours"), one, strict=True)) for one in waiting], columns=WAITING)
    found = todo(pd.DataFrame(list(deals)), rows, pd.DataFrame(leads, columns=LEADS), TODAY)
    return [(one.id, one.kind, one.stake) for one in found]


def test_what_cannot_wait_comes_first_and_within_it_what_is_worth_most():
    close = TODAY + dt.timedelta(days=DUE_DAYS)
    listed = made(
        deal("rich and quiet", amount=9000.0, quiet=True), deal("due", close_date=close), deal("late", amount=300.0, overdue=True),
        deal("later", close_date=close + dt.timedelta(days=1)), deal("asked", amount=500.0, quiet=True), deal("well"),
        waiting=[("deal", "asked", 50.0)], leads=[("L1", "Head of Sales", None, 40.0, 0.2, 0, False)],
    )  # fmt: skip
    assert listed == [("asked", "answer", 250.0), ("late", "overdue", 150.0), ("due", "due", 50.0), ("L1", "lead", 40.0),
                      ("rich and quiet", "quiet", 4500.0)]  # fmt: skip


def test_a_persons_own_chance_holds_and_without_any_the_amount_counts():
    assert made(deal("own", quiet=True, adjusted=True, adjusted_probability=0.9)) == [("own", "quiet", 90.0)]
    assert made(deal("bare", quiet=True, probability=None)) == [("bare", "quiet", 100.0)]
    assert made(deal("blank", quiet=True, amount=None)) == [("blank", "quiet", None)]


def test_a_waiting_lead_is_answered_once_and_a_conversation_of_a_closed_deal_is_not_listed():
    lead = ("L1", None, None, 40.0, 0.2, 1, True)
    assert made(waiting=[("lead", "L1", 30.0), ("account", "A1", 90.0)], leads=[lead]) == [("L1", "answer", 40.0), ("A1", "answer", None)]
    assert made(waiting=[("deal", "gone", 30.0)]) == []


def test_the_list_is_of_the_reps_own_deals_and_conversations(workspace, at):
    known = activity(workspace, at.board.as_of, rep=at.place.key)
    open_deals = set(at.deals()["opportunity_id"])
    assert {one.id for one in at.items if one.about == "deal"} <= open_deals
    answered = {one.id for one in at.items if one.kind == "answer" and one.hours is not None}
    assert answered == set(known.waiting["about"])
    warned = set(at.deals().loc[at.deals()["warned"], "opportunity_id"])
    assert at.items and warned <= {one.id for one in at.items}
    assert [one.urgent for one in at.items] == sorted((one.urgent for one in at.items), reverse=True)


def test_the_standing_is_the_measures_and_the_forecast(workspace, at):
    english = Language()
    shown = REP.picture(workspace, english, f"?place={at.place.name}")
    told = measure(at.book, ["revenue", "quota", "pipeline_due"], where={"rep": [at.place.key]}, period=at.quarter).iloc[0]
    for name in ("revenue", "quota", "pipeline_due"):
        assert english.money(told[name], at.currency) in shown
    assert at.missing() == max(told["quota"] - told["revenue"], 0)
    assert english.money(at.landing().amount, at.currency) in shown
    worth = at.expected["amount"].astype("float64") * at.expected["p_quarter"].astype("float64")
    assert at.expected["expected"].sum() == pytest.approx(worth.sum()) and english.money(worth.sum(), at.currency) in shown


def test_the_middle_is_the_peers_median_and_names_nobody(workspace, at):
    assert at.place.key not in at.peers and len(at.peers) >= 4
    rows = measure(at.book, ["win_rate"], by=["rep"], period=at.period).set_index("rep")["win_rate"]
    assert at.middles()["win_rate"] == pytest.approx(rows[rows.index.isin(at.peers)].median())
    labels = {one.label for one in at.places if one.key != at.place.key}
    body = rep_screens.standing(at, Language(), Ways("", {}, [], "en"))
    assert not any(label in body for label in labels)
    lonely = Day(**{**vars(at), "peers": at.peers[:3]})
    assert set(lonely.middles()) == set(), "three peers would be told apart"


def test_a_rep_sees_his_own_day_and_nobody_elses(workspace, at, monkeypatch):
    admin = current_user(workspace)
    if at.place.key not in {one.name for one in users.all_users(workspace)}:
        users.add_user(workspace, at.place.key, ("rep",), admin.name)
    monkeypatch.setattr(users, "_system_user", lambda: at.place.key)
    mine = day(workspace)
    assert [one.key for one in mine.places] == [at.place.key]
    assert [one.id for one in mine.items] == [one.id for one in at.items] and mine.stands.equals(at.stands)
    other = next(one for one in at.places if one.key != at.place.key)
    shown = text_of(REP.picture(workspace, Language(), f"?place={other.name}"))
    assert "left out" in shown and other.label not in shown.replace(other.name, "")


def test_a_rep_among_many_whom_he_may_see_comes_first(workspace, at, monkeypatch):
    from salesml.apps import seen

    monkeypatch.setattr(seen, "person", lambda view, user: at.places[-1].key)
    assert day(workspace).place == at.places[-1]


@pytest.mark.parametrize("code", CODES)
def test_it_speaks_the_readers_language_with_its_numbers(workspace, at, code):
    language = Language(code)
    shown = text_of(REP.picture(workspace, language, f"?place={at.place.name}")).replace("&#x27;", "'").replace("&amp;", "&")
    assert language.money(at.stands["pipeline_due"], at.currency) in shown
    first = at.items[0]
    assert rep_words.action(language, first) in shown and rep_words.reasons(language, first)[0] in shown
    titles = rep_screens.card_titles(language)
    assert all(title in shown for title in titles.values())
    if code != "en":
        assert rep_screens.rule(language) != rep_screens.rule(Language())


def test_each_thing_to_do_leads_to_its_story(workspace, at):
    shown = REP.picture(workspace, Language("fr"), f"?place={at.place.name}")
    deals = [one.id for one in at.items[: rep_screens.MOST] if one.about == "deal"]
    assert deals and all(f"/pipeline?screen=story&amp;deal={one}&amp;lang=fr" in shown for one in deals)


def test_the_app_answers_to_its_address(workspace, at):
    app = PlacedApp(REP, workspace)
    app.read(f"?place={at.place.name}&lang=de")
    assert app.language.code == "de" and app.at.place == at.place and app.place.value == at.place.name
    app.cards["deals"].value = False
    assert 'id="card-deals"' not in app.shown.value and 'id="card-today"' in app.shown.value


def test_hostile_names_stay_text(at):
    evil = "<script>alert(1)</script>"
    deals = at.deals().assign(name=evil, account=evil, stage=evil, quiet=True, warned=True)
    items = todo(deals, pd.DataFrame(columns=WAITING), pd.DataFrame(columns=LEADS), at.book.day)
    here = Day(**{**vars(at), "items": items, "expected": at.expected.assign(name=evil, account=evil, stage=evil)})
    language, ways = Language(), Ways("", {}, [], "en")
    for body in (rep_screens.answer, rep_screens.today, rep_screens.deals):
        shown = body(here, language, ways)
        assert "<script>" not in shown and "&lt;script&gt;" in shown


def test_the_file_has_the_screens_own_numbers(workspace, at):
    document = REP.document(workspace, Language(), f"?place={at.place.name}")
    grids = [part for part in document.parts if isinstance(part, Grid)]
    assert [row[0] for row in grids[0].rows] == [rep_words.action(Language(), one) for one in at.items]
    assert [row[3] for row in grids[0].rows] == [one.stake for one in at.items]
    deals = next(grid for grid in grids if grid.columns[1].name == "Account")
    assert sum(row[2] for row in deals.rows if row[2] is not None) == at.stands["pipeline"]
    standing = next(grid for grid in grids if len(grid.rows) == len(FIGURES))
    assert len(standing.columns) == 5
    assert "<" not in document.answer and rep_words.action(Language(), at.items[0]) in document.answer
    assert REP.document(workspace, Language("pt"), f"?place={at.place.name}").answer != document.answer
