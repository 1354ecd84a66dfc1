"""Overrides of revenue: what may be said, what holds, how the rest of the tree moves, survival, the record, the commands."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import forecast as company_forecast
from publishing import instant, put, sold
from typer.testing import CliRunner

from salesml.analytics.ledger import value_added
from salesml.cli import override as commands
from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.lake import Lake, visible
from salesml.models.revenue_overrides import apply_overrides
from salesml.state import audit
from salesml.state.users import add_user, current_user
from salesml.workflows import signed
from salesml.workflows.ledger import accuracy_ledger
from salesml.workflows.overrides import (
    current_forecast,
    in_force,
    override_period,
    override_revenue,
    with_overrides,
    withdraw,
)
from salesml.workspace import Workspace

KEYS = ["level", "name", "month"]
WHY = "a framework order is signed"
AMOUNTS = st.decimals(0, 1_000_000, places=2)


def tree(company: int, **regions: int) -> pd.DataFrame:
    """One month's forecast; 80 % intervals of 10 % to either side."""
    rows = [("company", "company", company), *(("region", name, amount) for name, amount in regions.items())]
    frame = pd.DataFrame(rows, columns=["level", "name", "amount"]).assign(month=pd.Timestamp("2026-07-01"))
    frame["amount"] = frame["amount"].map(lambda value: Decimal(value).quantize(Decimal("0.01")))
    for bound, share in (("lo95", "0.8"), ("lo80", "0.9"), ("hi80", "1.1"), ("hi95", "1.2")):
        frame[bound] = frame["amount"] * Decimal(share)
    return frame


def said(**amounts: object) -> pd.DataFrame:
    rows = [
        (f"o{n}", "company" if name == "company" else "region", name, pd.Timestamp("2026-07-01"), Decimal(str(amount)))
        for n, (name, amount) in enumerate(amounts.items())
    ]
    return pd.DataFrame(rows, columns=["override_id", "level", "name", "month", "amount"])


def amounts(frame: pd.DataFrame) -> dict[str, Decimal]:
    return dict(zip(frame["name"], frame["amount"], strict=True))


def test_a_company_override_is_shared_out_by_what_is_unsure():
    found, lacking = apply_overrides(tree(300, West=100, East=200), said(company=350))
    assert amounts(found) == {"company": Decimal(350), "West": Decimal(110), "East": Decimal(240)}, "variances 1 to 4"
    assert found["model_amount"].tolist() == [300, 100, 200] and found["moved"].tolist() == [50, 10, 40] and lacking == []
    assert found["lo80"].tolist() == [Decimal(320), Decimal(100), Decimal(220)], "bounds move with their amount"


def test_a_region_override_moves_the_others_and_the_company_least():
    found = amounts(apply_overrides(tree(300, West=100, East=200), said(West=150))[0])
    assert found["West"] == Decimal("150.00") and found["company"] == found["West"] + found["East"]
    share = Decimal(200**2) / Decimal(200**2 + 300**2)
    assert abs(found["East"] - (200 - 50 * share)) <= Decimal("0.01"), "variances 4 and 9 share the 50"
    both = amounts(apply_overrides(tree(300, West=100, East=200), said(company=300, West=150))[0])
    assert both == {"company": 300, "West": 150, "East": 150}


@settings(max_examples=25, deadline=None)
@given(st.lists(AMOUNTS, min_size=1, max_size=5), st.dictionaries(st.integers(0, 4), AMOUNTS), st.none() | AMOUNTS)
def test_any_overrides_hold_exactly_and_the_tree_adds_up_to_the_cent(model, fixed, company):
    names = [f"r{n}" for n in range(len(model))]
    whole = tree(sum(model, Decimal(0)), **dict(zip(names, model, strict=True)))
    given_amounts = {f"r{n}": amount for n, amount in fixed.items() if n < len(model)}
    kept = sum(given_amounts.values(), Decimal(0))
    if company is not None:
        given_amounts["company"] = company + kept if len(given_amounts) < len(model) else kept
    found = amounts(apply_overrides(whole, said(**given_amounts))[0])
    assert all(found[name] == amount for name, amount in given_amounts.items())
    assert found["company"] == sum((found[name] for name in names), Decimal(0)) and min(found.values()) >= 0


def test_a_reps_override_moves_the_team_the_region_and_the_company_least():
    whole = tree(300, West=100, East=200).assign(parent=None)
    below = pd.concat([tree(100), tree(60), tree(30), tree(20)], ignore_index=True)
    below = below.assign(level=["team", "rep", "rep", "rep"], name=["a", "u", "v", "w"], parent=["region/West", *["team/a"] * 3])
    below.loc[0, "amount"] = Decimal("90.00")  # 10 of West are nobody's, and 20 of the team's are more than its own: they are not
    below.loc[3, "amount"] = Decimal("0.00")
    frame = pd.concat([whole, below], ignore_index=True)
    held = pd.DataFrame([("o", "rep", "u", pd.Timestamp("2026-07-01"), Decimal("80.00"))], columns=["override_id", *KEYS, "amount"])
    found, lacking = apply_overrides(frame, held)
    now = amounts(found)
    assert lacking == [] and now["u"] == 80 and now["a"] == now["u"] + now["v"] + now["w"] and now["company"] == now["West"] + now["East"]
    assert 90 < now["a"] < 110 and 100 < now["West"] < 120 and now["East"] < 200, "those beside give way, those above rise"
    orphan = frame.assign(parent=frame["parent"].where(frame["level"] != "team", None))
    assert apply_overrides(orphan, held)[1] == [] and apply_overrides(frame.drop(columns="parent"), held)[1] == ["o"]


def test_contradicting_overrides_and_unknown_nodes():
    with pytest.raises(BadParameter, match=r"fixed at 100.00 and what is fixed beneath it at 150.00 together; withdraw one"):
        apply_overrides(tree(300, West=100, East=200), said(company=100, West=150))
    with pytest.raises(BadParameter, match="withdraw one"):
        apply_overrides(tree(300, West=100, East=200), said(company=310, West=150, East=150))
    same, lacking = apply_overrides(tree(300, West=100, East=200), said(North=5))
    assert lacking == ["o0"] and not same["moved"].any()
    alone, _ = apply_overrides(tree(300), said(company=5))
    assert amounts(alone) == {"company": 5} and alone["lo80"].iloc[0] == 0, "no bound below 0"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Set the moment overrides are made at."""

    def at(day: dt.date) -> None:
        monkeypatch.setattr(signed, "now", lambda: instant(day))

    return at


@pytest.fixture
def sold_to(workspace: Workspace, clock) -> Workspace:
    """A company with revenue to December 2025 and a forecast from then of January and February 2026; it is 10 January."""
    put(workspace, "revenue", [sold(n, 100) for n in range(12)])
    put(workspace, "forecast", [row for of in (12, 13) for row in published(12, of)])
    clock(dt.date(2026, 1, 10))
    return workspace


def published(made: int, of: int, west: int = 60, east: int = 40) -> list[dict]:
    rows = [company_forecast(made, of, west + east)]
    for name, amount in (("West", west), ("East", east)):
        row = company_forecast(made, of, amount, half=5)
        rows.append(row | {"forecast_id": f"{made}:{of}:{name}", "entity_type": "region", "entity_id": name})
    return rows


def west(workspace: Workspace, day: str) -> float:
    frame = current_forecast(workspace, day).frame
    return float(frame.loc[frame["name"].eq("West") & frame["month"].eq("2026-02-01"), "amount"].iloc[0])


def test_an_override_holds_from_when_it_was_known_and_survives_a_new_forecast(sold_to, clock):
    made = override_revenue(sold_to, "region/West", "2026-02", "90.50", WHY, until="2026-01-25")
    assert (made.amount, made.model_amount, made.author) == (Decimal("90.50"), Decimal(60), current_user(sold_to).name)
    assert west(sold_to, "2026-01-10") == 60 and west(sold_to, "2026-01-11") == 90.5
    put(sold_to, "forecast", [row | {"known_at": instant(dt.date(2026, 1, 12))} for row in published(12, 13, west=70)])
    frame = current_forecast(sold_to, "2026-01-13").frame
    row = frame[frame["override_id"].notna()].iloc[0]
    assert (row["amount"], row["model_amount"]) == (Decimal("90.50"), Decimal(70))
    months = frame.groupby(["month", "level"])["amount"].sum()
    assert months.xs("company", level="level").tolist() == months.xs("region", level="level").tolist()
    assert west(sold_to, "2026-01-25") == 70, "ended"
    entry = audit.entries(sold_to, action="override revenue")[-1]
    assert entry.subject == "region/West 2026-02" and entry.details["model"] == "60.00"


def test_a_forecast_made_today_for_tomorrows_first_instant_is_the_newest(sold_to):
    made_for = {"as_of": instant(dt.date(2026, 1, 11))}
    fresh = [row | made_for | {"forecast_id": f"new {row['forecast_id']}"} for row in published(12, 14, west=75)]
    put(sold_to, "forecast", fresh)
    assert override_revenue(sold_to, "region/West", "2026-03", 90, WHY).model_amount == 75


def test_readers_get_the_overridden_rows_and_each_override_in_words(sold_to):
    override_revenue(sold_to, "region/West", "2026-02", 90, WHY)
    tables = Lake(sold_to).open()
    view = visible(tables, "2026-01-12")
    rows = view.frame(view.facts("forecast"))
    found, told = with_overrides(rows, tables, instant(dt.date(2026, 1, 12)))
    author = current_user(sold_to).name
    assert told == (f"region/West February 2026 is overridden at 90 ({author}: {WHY}); the model says 60.",)
    assert found["moved"].map(bool).sum() == 3 and set(rows.columns) <= set(found.columns)
    same, none = with_overrides(rows, tables, instant(dt.date(2026, 1, 10)))
    assert none == () and same["amount"].tolist() == rows["amount"].tolist()


def test_the_latest_wins_for_good_and_a_withdrawal_leaves_none(sold_to, clock):
    override_revenue(sold_to, "region/West", "2026-02", 80, WHY)
    clock(dt.date(2026, 1, 12))
    later = override_revenue(sold_to, "region/West", "2026-02", 90, WHY)
    clock(dt.date(2026, 1, 14))
    withdraw(sold_to, later.override_id, "it was not signed")
    assert [west(sold_to, f"2026-01-{day}") for day in (11, 13, 15)] == [80, 90, 60]
    assert in_force(Lake(sold_to).open(), "2026-01-15").empty
    clock(dt.date(2026, 1, 15))
    with pytest.raises(BadParameter, match=r"not in force \(none is in force\); see: salesml override list"):
        withdraw(sold_to, later.override_id, "it was not signed")


def test_a_quarters_number_is_what_is_known_of_it_and_one_override_a_month(sold_to):
    made = override_period(sold_to, "company", "2025-12", "2026-02", "350.01", WHY)
    assert [(one.month.isoformat(), one.amount) for one in made] == [("2026-01-01", Decimal("125.01")), ("2026-02-01", Decimal("125.00"))]
    frame = current_forecast(sold_to, "2026-01-11").frame
    company = frame[frame["level"] == "company"]
    assert company["amount"].sum() == Decimal("250.01"), "100 of December are known"
    assert frame[frame["level"] == "region"]["amount"].sum() == Decimal("250.01")
    assert len(audit.entries(sold_to, action="override revenue")) == 2
    for first, last, amount, match in (
        ("2026-02", "2026-01", 90, "ends in 2026-01, before it begins"),
        ("2025-12", "2026-01", 90, "100.00 of 2025-12 to 2026-01 is known already, more than 90.00"),
        ("2025-10", "2025-12", 400, "is known already; give later months"),
        ("2026-02", "2026-03", 400, "has no 2026-03, only 2026-01, 2026-02"),
    ):
        with pytest.raises(BadParameter, match=match):
            override_period(sold_to, "company", first, last, amount, WHY)
    assert len(in_force(Lake(sold_to).open(), "2026-01-11")) == 2


REFUSED = [
    ({"node": "West"}, BadParameter, "node 'West' is neither"),
    ({"node": "region/Mars"}, UnknownName, "node of the newest forecast 'region/Mars'; valid: company, region/East, region/West"),
    ({"period": "2026-2"}, BadParameter, "period '2026-2' is not a month; give it as 2026-07"),
    ({"period": "2026-09"}, BadParameter, "has no 2026-09, only 2026-01, 2026-02"),
    ({"amount": "1,000"}, BadParameter, "amount '1,000' is not money"),
    ({"amount": "-1"}, BadParameter, "not money"),
    ({"amount": "nan"}, BadParameter, "not money"),
    ({"amount": "1.005"}, BadParameter, "whole cents"),
    ({"reason": "because so"}, BadParameter, "has not 3 words"),
    ({"until": "2026-01-10"}, BadParameter, "not in the future"),
    ({"approved_by": "nobody"}, UnknownName, "unknown user 'nobody'"),
]


def test_what_may_not_be_said_is_refused_and_leaves_nothing(sold_to):
    for given_wrong, error, match in REFUSED:
        with pytest.raises(error, match=match):
            override_revenue(sold_to, **({"node": "region/West", "period": "2026-02", "amount": 80, "reason": WHY} | given_wrong))
    assert not audit.entries(sold_to, action="override revenue") and "override" not in Lake(sold_to).head().tables


def test_contradictions_known_months_and_an_empty_lake_are_refused(sold_to, workspace, clock, tmp_path):
    override_revenue(sold_to, "region/West", "2026-02", 80, WHY)
    clock(dt.date(2026, 1, 11))
    with pytest.raises(BadParameter, match="withdraw one of these"):
        override_revenue(sold_to, "company", "2026-02", 50, WHY)
    put(sold_to, "revenue", [sold(12, 120)])
    clock(dt.date(2026, 2, 3))
    with pytest.raises(BadParameter, match="revenue of 2026-01 is known already"):
        override_revenue(sold_to, "company", "2026-01", 120, WHY)
    with pytest.raises(NotEnoughData, match="no revenue forecast was published"):
        current_forecast(Workspace.create(tmp_path / "empty"))


def test_a_rep_needs_an_approver_and_may_withdraw_only_own(sold_to, clock):
    admin = current_user(sold_to).name
    add_user(sold_to, "rep", ("rep",), admin)
    add_user(sold_to, "other", ("rep",), admin)
    add_user(sold_to, "boss", ("manager",), admin)
    for approver in (None, "other"):
        with pytest.raises(BadParameter, match="may not approve an override; ask one of them"):
            override_revenue(sold_to, "company", "2026-02", 80, WHY, by="rep", approved_by=approver)
    made = override_revenue(sold_to, "company", "2026-02", 80, WHY, by="rep", approved_by="boss")
    assert (made.author, made.approver) == ("rep", "boss")
    clock(dt.date(2026, 1, 11))
    with pytest.raises(BadParameter, match="neither the author 'rep' nor admin"):
        withdraw(sold_to, made.override_id, "I know better than that", by="other")
    withdraw(sold_to, made.override_id, "I know better now", by="rep")


def test_the_record_compares_with_what_the_model_said_before(sold_to, clock):
    override_revenue(sold_to, "company", "2026-01", 130, WHY)
    clock(dt.date(2026, 1, 12))
    put(sold_to, "forecast", [company_forecast(12, 12, 999) | {"known_at": instant(dt.date(2026, 1, 20))}])
    put(sold_to, "revenue", [sold(12, 120)])
    early = accuracy_ledger(sold_to, "2026-01-31").added
    added = accuracy_ledger(sold_to, "2026-02-01").added
    assert early.empty and added["author"].tolist() == ["everybody", current_user(sold_to).name]
    assert (added["model_mae"][0], added["override_mae"][0], added["added"][0]) == (20, 10, 0.5)
    assert added["verdict"][0] == "too few to judge: 1 of 8 overrides"


def test_value_added_tells_good_authors_from_bad():
    rows = [("good", "region", 100, 120 + n % 3, 105) for n in range(9)] + [("bad", "region", 100, 101, 140 + n) for n in range(9)]
    found = value_added(pd.DataFrame(rows, columns=["author", "level", "y", "model", "override"])).set_index("author")
    assert found.loc["good", "verdict"] == "better than the model" and found.loc["bad", "verdict"] == "worse than the model"
    assert found.loc["everybody", "calls"] == 18


def test_the_commands_make_list_and_withdraw(sold_to, clock):
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    run = CliRunner(env={"SALESML_WORKSPACE": str(sold_to.root), "COLUMNS": "200"}).invoke
    assert "no override of revenue is in force then" in run(app, ["override", "list", "--as-of", "2026-01-11"]).output
    made = run(app, ["override", "revenue", "company", "2026-02", "150", "--reason", WHY])
    assert made.exit_code == 0 and "company 2026-02 at 150.00 USD, the model says 100.00" in made.output, made.output
    quarter = run(app, ["override", "revenue", "region/West", "2026-01..2026-02", "120", "--reason", WHY])
    assert quarter.exit_code == 0 and quarter.output.count("the model says 60.00") == 2, quarter.output
    clock(dt.date(2026, 1, 11))
    shown = run(app, ["override", "list"]).output
    assert WHY in shown and "+50.00" in shown and "region/West" in shown
    gone = run(app, ["override", "withdraw", made.output.split(":")[0], "--reason", "it was not signed"])
    assert gone.exit_code == 0 and "is withdrawn" in gone.output
