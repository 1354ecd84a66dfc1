"""Saved layouts: kept per user and app with their audit entry, refused with a reason, opened with by role."""

from __future__ import annotations

import datetime as dt
import sqlite3

import pytest

from salesml.errors import BadParameter, UnknownName
from salesml.state import audit, layouts
from salesml.state.layouts import Layout
from salesml.state.users import User

CARDS = ("landing", "movement", "attention", "activity")
AT = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
KIM, LEE, ADA = User("kim", ("manager", "rep")), User("lee", ("rep",)), User("ada", ("admin", "rep"))


def save(workspace, user=KIM, name="monday", cards=("attention", "landing"), filters=None, app="overview"):
    return layouts.save(workspace, user, app, name, cards, filters or {}, known=CARDS, at=AT)


def test_what_is_saved_is_loaded_in_its_order(workspace):
    made = save(workspace, filters={"region": "East & Süd"})
    assert made == Layout("overview", "monday", ("attention", "landing"), {"region": "East & Süd"}, AT)
    assert layouts.load(workspace, KIM, "overview", "monday", known=CARDS) == made
    other = save(workspace, name="all", cards=CARDS)
    assert layouts.listed(workspace, KIM, "overview", known=CARDS) == [other, made]
    assert layouts.listed(workspace, LEE, "overview", known=CARDS) == layouts.listed(workspace, KIM, "team", known=CARDS) == []


def test_saving_again_replaces_and_removing_is_told(workspace):
    save(workspace)
    again = save(workspace, cards=("movement",))
    assert layouts.listed(workspace, KIM, "overview", known=CARDS) == [again]
    layouts.remove(workspace, KIM, "overview", "monday", at=AT)
    with pytest.raises(UnknownName, match="unknown layout 'monday'; valid: none yet"):
        layouts.remove(workspace, KIM, "overview", "monday")
    told = [(e.actor, e.action, e.details["cards"]) for e in audit.entries(workspace, subject="layout/user/kim/overview/monday")]
    assert told == [
        ("kim", "layout.saved", ["attention", "landing"]),
        ("kim", "layout.replaced", ["movement"]),
        ("kim", "layout.removed", ["movement"]),
    ]
    assert audit.verify(workspace).ok


def test_nobody_removes_or_loads_another_s(workspace):
    save(workspace)
    for act in (layouts.remove, lambda *given: layouts.load(*given, known=CARDS)):
        with pytest.raises(UnknownName):
            act(workspace, LEE, "overview", "monday")
    assert len(layouts.listed(workspace, KIM, "overview", known=CARDS)) == 1


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({"cards": ()}, BadParameter, "shows no card; give at least one of landing, movement"),
        ({"cards": ("landing", "landing")}, BadParameter, "shows 'landing' twice"),
        ({"cards": ("landing", "weather")}, UnknownName, "unknown card 'weather'; valid: activity, attention"),
        ({"name": ""}, BadParameter, "layout name ''"),
        ({"name": "../x"}, BadParameter, "layout name '../x'"),
        ({"name": "x" * 61}, BadParameter, "1 to 60"),
        ({"app": "Over view"}, BadParameter, "app 'Over view'"),
        ({"filters": {"Region": "East"}}, BadParameter, "filter 'Region'"),
        ({"filters": {"region": ""}}, BadParameter, "not a text of 1 to 200"),
        ({"filters": {"region": "x" * 201}}, BadParameter, "not a text of 1 to 200"),
        ({"filters": {"region": 3}}, BadParameter, "not a text"),
        ({"filters": {f"f{i}": "x" for i in range(21)}}, BadParameter, "21 filters, at most 20"),
        ({"filters": {f"f{i}": "€" * 200 for i in range(20)}}, BadParameter, "bytes, at most 8,192"),
    ],
)
def test_refusals_name_the_value_and_leave_nothing(workspace, given, error, told):
    with pytest.raises(error, match=told):
        save(workspace, **given)
    assert layouts.listed(workspace, KIM, "overview", known=CARDS) == []
    assert audit.entries(workspace) == []


def test_there_is_an_end_to_layouts(workspace, monkeypatch):
    monkeypatch.setattr(layouts, "MOST", 2)
    save(workspace, name="a")
    save(workspace, name="b")
    with pytest.raises(BadParameter, match="'kim' has 2 layouts of overview already; remove one first"):
        save(workspace, name="c")
    save(workspace, name="b", cards=CARDS)
    save(workspace, name="c", app="team")
    assert [one.name for one in layouts.listed(workspace, KIM, "overview", known=CARDS)] == ["a", "b"]


def test_a_card_the_app_no_longer_has_falls_out(workspace):
    save(workspace)
    assert layouts.load(workspace, KIM, "overview", "monday", known=("landing", "new")).cards == ("landing",)
    assert layouts.load(workspace, KIM, "overview", "monday", known=("new", "newer")).cards == ("new", "newer")


def test_an_app_opens_with_one_s_own_else_the_role_s_else_all(workspace):
    def opens(user: User) -> tuple[str, ...]:
        return layouts.opening(workspace, user, "overview", known=CARDS).cards

    assert layouts.opening(workspace, KIM, "overview", known=CARDS) == Layout("overview", "opening", CARDS, {})
    for role, card in (("rep", "activity"), ("manager", "movement")):
        layouts.save_for_role(workspace, role, "overview", [card], {}, known=CARDS, by=ADA)
    assert (opens(KIM), opens(LEE), opens(ADA)) == (("movement",), ("activity",), ("activity",))
    save(workspace, name=layouts.OPENING)
    assert (opens(KIM), opens(LEE)) == (("attention", "landing"), ("activity",))
    layouts.remove(workspace, KIM, "overview", layouts.OPENING)
    layouts.remove_for_role(workspace, "manager", "overview", by=ADA)
    assert opens(KIM) == ("activity",)


def test_only_an_admin_says_what_a_role_opens_with(workspace):
    with pytest.raises(BadParameter, match="'kim' is not an admin"):
        layouts.save_for_role(workspace, "rep", "overview", ["landing"], {}, known=CARDS, by=KIM)
    with pytest.raises(BadParameter, match="'kim' is not an admin"):
        layouts.remove_for_role(workspace, "rep", "overview", by=KIM)
    with pytest.raises(UnknownName, match="unknown role 'boss'; valid: admin, analyst"):
        layouts.save_for_role(workspace, "boss", "overview", ["landing"], {}, known=CARDS, by=ADA)


def test_a_database_from_before_layouts_gains_them(workspace):
    audit.record(workspace, "kim", "model.promoted", "deal_outcome/3")
    with sqlite3.connect(workspace.app_db) as connection:
        connection.execute("DROP TABLE layouts")
        connection.execute("PRAGMA user_version = 2")
    from salesml.state import db

    db._engine.cache_clear()
    save(workspace)
    assert [e.action for e in audit.entries(workspace)] == ["model.promoted", "layout.saved"]
