"""Forecast calls: the tree, sums from below, the tie-out to the cent, who may call, the call beside the model, the commands."""

from __future__ import annotations

import datetime as dt
import shutil
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from publishing import instant, put
from typer.testing import CliRunner

from salesml.analytics.calls import PARTS, attention, roll_up, tie_out, tree
from salesml.cli import call as commands
from salesml.errors import BadParameter, UnknownName
from salesml.figures.calls import calls_figure, calls_table, quota_table, tie_out_table
from salesml.lake import Lake, visible
from salesml.state import audit
from salesml.state.users import add_user, current_user
from salesml.workflows import signed
from salesml.workflows.call_facts import call_facts, directory, find_node, standing
from salesml.workflows.call_landings import landings
from salesml.workflows.calls import ForecastCall, forecast_call, refuse_others, submit_call
from salesml.workflows.quarter import picture
from salesml.workspace import Workspace

PEOPLE = [("u1", "Ann", "a", "West"), ("u2", "Bob", "a", "West"), ("u3", "Cem", "b", None), ("u4", "Ann", None, "East")]


def people(rows=PEOPLE) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "label", "team", "region"], dtype="object")


def teams(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["name", "label", "region"], dtype="object")


def present(*nodes: tuple[str, str]) -> pd.DataFrame:
    return pd.DataFrame(nodes, columns=["level", "name"])


def test_the_tree_puts_each_node_below_the_one_above_it():
    found = tree(people(), teams(("a", "Alpha", None), ("b", "Beta", None)), present(*(("rep", f"u{n}") for n in range(1, 6))))
    rows = list(found[["depth", "level", "label"]].itertuples(index=False, name=None))
    assert rows == [
        (0, "company", "the company"), (1, "region", "East"), (2, "rep", "Ann (u4)"), (1, "region", "West"), (2, "team", "Alpha"),
        (3, "rep", "Ann (u1)"), (3, "rep", "Bob"), (1, "team", "Beta"), (2, "rep", "Cem"), (1, "rep", "u5"),
    ], "a team lies where its reps do; two of one name have their ids; somebody unknown is below the company"  # fmt: skip


def test_without_regions_teams_are_below_the_company_and_a_region_of_accounts_only_is_no_level():
    bare = people([(name, label, team, None) for name, label, team, _ in PEOPLE])
    found = tree(bare, teams(("a", "Alpha", None)), present(("rep", "u1"), ("region", "West")))
    assert found["level"].tolist() == ["company", "team", "rep"] and found["parent"].tolist()[1:] == ["company", "a"]
    assert tree(bare.head(0), teams(), present()).shape == (1, 6), "nobody at all: the company"


def nodes(**calls: float) -> pd.DataFrame:
    """The company with regions West (team a: u1, u2) and East (u4)."""
    reps = present(*(("rep", name) for name in ("u1", "u2", "u4")))
    rows = tree(people([p for p in PEOPLE if p[0] != "u3"]), teams(("a", "Alpha", "West")), reps)
    model = {"company": 100, "West": 70, "a": 70, "u1": 30, "u2": 40, "East": 20, "u4": 20}
    booked = {"company": 17, "West": 9, "a": 9, "u1": 4, "u2": 3, "East": 5, "u4": 5}
    mean = rows["name"].map(model).astype("float64")
    return rows.assign(
        booked=rows["name"].map(booked), model=mean, lo80=mean - 10, hi80=mean + 10, quota=90.0,
        call=rows["name"].map(calls).astype("float64"),
    )  # fmt: skip


def test_below_is_calls_then_calls_further_below_then_the_model_and_what_is_booked_for_nobody():
    found = roll_up(nodes(u1=50, East=10)).set_index("name")
    assert found.loc["a", "below"] == 50 + 40 + 2, "u1's call, u2's model, 2 booked for nobody in the team"
    assert found.loc["West", "below"] == found.loc["a", "below"], "the team has no call, so its sum below counts"
    assert found.loc["company", "below"] == 92 + 10 + 3 and pd.isna(found.loc["u1", "below"])
    assert found.loc["company", ["below_calls", "below_nodes"]].tolist() == [2, 3]
    assert found.loc["East", ["gap_model", "gap_below", "gap_quota"]].tolist() == [-10, -10, -80]
    assert found.loc["company", "gap_quota"] == 10, "without a call the model stands against the quota"


def test_what_needs_a_word_is_said_from_the_top_down():
    told = attention(roll_up(nodes(company=150, u1=55, u2=41, East=5)).assign(label=lambda d: d["label"]), "USD")
    assert told[0] == (
        "The company calls 150 USD, above the model's 80 % interval (90 to 110): name the deals that the model does not know, or "
        "lower the call."
    )
    assert told[1] == (
        "The company calls 150 USD, 44 more than the 106 that those below come to (3 of 3 numbers are calls): agree on one number."
    )
    assert told[2].startswith("Region East calls 5 USD, below the model's 80 % interval (10 to 30)")
    assert told[-1] == "No call yet for 1 of 3 reps: Ann (u4)." and "No call yet for 1 of 2 regions: West." in told
    assert attention(roll_up(nodes()), "USD") == ("Nobody has called this quarter yet; call with: salesml call submit NODE PERIOD AMOUNT",)


MONEY = ["opportunity_id", "cents", "in_quarter", "rep", "team", "region"]


def ledger(*rows: tuple) -> pd.DataFrame:
    """(deal, cents, in the quarter, rep) as rows of wins or entries; reps x, y are of team t."""
    return pd.DataFrame([(*row, "t", "R") for row in rows], columns=MONEY)


def test_the_tie_out_names_every_part():
    won = ledger(("d1", 1000, True, "x"), ("d2", 700, True, "x"), ("d3", 500, False, "x"), ("d4", 300, True, "x"), ("d5", 200, True, "y"))
    entries = ledger(
        ("d1", 999, True, "x"), ("d3", 250, True, "x"), (None, 40, True, "x"), ("lost", 60, True, "y"), ("d4", 300, True, "y"),
        ("d5", 200, False, "y"),
    )  # fmt: skip
    found = tie_out(won, entries).set_index("name")
    company = found.loc["company"]
    assert (company["crm"], company["finance"], company["difference"]) == (Decimal("22"), Decimal("16.49"), Decimal("-5.51"))
    assert company[[*PARTS]].tolist() == [Decimal("-7"), Decimal("1"), Decimal("2.5"), Decimal("-2.01"), Decimal(0)]
    assert (found.loc["x", "moved"], found.loc["y", "moved"], found.loc["t", "moved"]) == (-3, 3, 0), "d4 was booked for y"
    assert company["differs"] == Decimal("-2.01"), "a cent of d1, and d5 was booked before the quarter"
    assert tie_out(ledger(), ledger())["finance"].tolist() == [0], "nothing at all ties out"


DEALS = st.integers(0, 6)
ROWS = st.lists(st.tuples(DEALS, st.integers(-(10**9), 10**9), st.booleans(), st.sampled_from("xyz")), max_size=12)


@settings(max_examples=25, deadline=None)
@given(ROWS, ROWS, st.sets(DEALS))
def test_any_difference_is_the_sum_of_its_parts_to_the_cent(wins, entries, unnamed):
    named = [(None if deal in unnamed else f"d{deal}", *rest) for deal, *rest in entries]
    found = tie_out(ledger(*{deal: (f"d{deal}", *rest) for deal, *rest in wins}.values()), ledger(*named))
    assert (found[[*PARTS]].sum(axis=1) == found["difference"]).all()
    assert (found["finance"] - found["crm"] == found["difference"]).all() and found.loc[found["level"] == "company", "moved"].eq(0).all()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Set the moment calls are made at."""

    def at(day: dt.date) -> None:
        monkeypatch.setattr(signed, "now", lambda: instant(day))

    return at


def person(name: str, email: str | None = None, team: str | None = None, manager: str | None = None, role: str = "rep") -> dict:
    return {"user_id": name, "change_id": "created", "name": name.title(), "email": email, "team_id": team, "manager_id": manager,
            "role": role, "active": True, "occurred_at": instant(dt.date(2026, 1, 1))}  # fmt: skip


@pytest.fixture
def staffed(workspace: Workspace, clock) -> Workspace:
    """Rep ann below boss, rep bob in boss's team, rep cem below nobody; it is 10 May 2026."""
    put(workspace, "user", [
        person("ann", "ann.lee@acme.example", manager="boss"), person("bob", "bob@acme.example", team="t"), person("cem"),
        person("boss", "the.boss@acme.example", role="manager"), person("other", role="manager"),
    ])  # fmt: skip
    made = {"change_id": "created", "occurred_at": instant(dt.date(2026, 1, 1))}
    put(workspace, "team", [{"team_id": "t", "name": "Alpha", "manager_id": "boss", **made}])
    clock(dt.date(2026, 5, 10))
    admin = current_user(workspace).name
    for name, roles in (("ann.lee", ("rep",)), ("bob@acme.example", ("rep",)), ("the.boss", ("manager",)), ("other", ("manager",))):
        add_user(workspace, name, roles, admin)
    add_user(workspace, "stranger", ("rep",), admin)
    return workspace


def test_a_call_is_a_fact_from_then_on_and_a_later_one_of_the_author_replaces_it(staffed, clock):
    first = submit_call(staffed, "rep/Ann", "2026-04", "1000.50", "two  deals are sure", by="ann.lee")
    assert (first.node, first.start, first.end, first.note) == ("rep/ann", dt.date(2026, 4, 1), dt.date(2026, 7, 1), "two deals are sure")
    clock(dt.date(2026, 5, 20))
    submit_call(staffed, "rep/ann", "2026-04", 1200, by="ann.lee")
    clock(dt.date(2026, 5, 21))
    submit_call(staffed, "rep/ann", "2026-04", 900, by="the.boss")
    submit_call(staffed, "rep/ann", "2026-07", 5, by="ann.lee")
    tables = Lake(staffed).open()
    early, late = (call_facts(visible(tables, day)) for day in ("2026-05-11", "2026-05-22"))
    assert standing(early, first.start)[["amount", "author"]].values.tolist() == [[Decimal("1000.50"), "ann.lee"]]
    assert standing(late, first.start)["amount"].tolist() == [1200, 900] and call_facts(visible(tables, "2026-05-10")).empty
    assert standing(late, first.start, instant(dt.date(2026, 5, 20)))["amount"].tolist() == [Decimal("1000.50")]
    entry = audit.entries(staffed, action="submit call")[0]
    assert (entry.actor, entry.subject, entry.details["amount"]) == ("ann.lee", "rep/ann 2026-04", "1000.50")


ALLOWED = [
    ("rep/ann", "ann.lee"), ("rep/bob", "bob@acme.example"), ("rep/ann", "the.boss"), ("rep/bob", "the.boss"), ("rep/cem", "other"),
    ("rep/bob@acme.example", None), ("team/Alpha", "other"), ("company", "the.boss"), ("company", None),
]  # fmt: skip


def test_those_who_may_call(staffed):
    known = directory(visible(Lake(staffed).open(), "2026-05-10"))
    for node, by in ALLOWED:
        level, name, _ = find_node(known, node)
        refuse_others(known, signed.user(staffed, by), level, name)
    assert find_node(known, "team/alpha") == ("team", "t", "Alpha") and find_node(known, "rep/ANN.LEE@acme.example")[1] == "ann"


REFUSED = [
    ({"by": "ann.lee", "node": "rep/bob"}, BadParameter, "'ann.lee' is not rep bob .* nor a manager or admin; let one of them"),
    ({"by": "stranger"}, BadParameter, "'stranger' is not rep ann"),
    ({"by": "other"}, BadParameter, "rep ann is not below 'other'; boss or an admin may call"),
    ({"by": "ann.lee", "node": "company"}, BadParameter, "'ann.lee' is neither admin nor manager and may call only for himself"),
    ({"by": "ann.lee", "node": "team/Alpha"}, BadParameter, "neither admin nor manager"),
    ({"by": "nobody"}, UnknownName, "unknown user 'nobody'"),
    ({"node": "ann"}, BadParameter, "node 'ann' is none of company, region/NAME"),
    ({"node": "rep/zoe"}, UnknownName, "unknown rep 'zoe'; valid: ann, bob"),
    ({"node": "region/West"}, UnknownName, "unknown region 'West'; valid: none yet"),
    ({"period": "2026-05"}, BadParameter, "'2026-05' is not the first month of this fiscal quarter .*; give one of 2026-04, 2026-07"),
    ({"period": "2026-01"}, BadParameter, "not the first month"),
    ({"period": "2027-07"}, BadParameter, "not the first month"),
    ({"amount": "1,000"}, BadParameter, "amount '1,000' is not money"),
    ({"amount": "-1"}, BadParameter, "not money of 0 or more"),
    ({"note": "x" * 1_001}, BadParameter, "the note has 1,001 characters"),
]  # fmt: skip


def test_what_may_not_be_called_is_refused_and_leaves_nothing(staffed):
    for wrong, error, match in REFUSED:
        with pytest.raises(error, match=match):
            submit_call(staffed, **({"node": "rep/ann", "period": "2026-04", "amount": 10} | wrong))
    assert not audit.entries(staffed, action="submit call") and "call" not in Lake(staffed).head().tables


def test_a_company_of_people_only_has_a_call_and_says_what_is_missing(staffed):
    submit_call(staffed, "rep/ann", "2026-04", 1200, by="ann.lee")
    submit_call(staffed, "rep/bob", "2026-04", 300, by="the.boss")
    found = forecast_call(staffed, "2026-05-11")
    rows = found.rows.set_index("name")
    assert rows["call"].dropna().to_dict() == {"ann": 1200, "bob": 300} and rows.loc["company", "below"] == 1500
    assert rows.loc["t", "below"] == 300 and rows.loc["company", ["below_calls", "below_nodes"]].tolist() == [2, 2]
    assert rows["model"].isna().all() and rows["quota"].isna().all() and found.tie_out.empty and found.company_model is None
    assert found.notes[0].startswith("The model has no number: no deal is known as of 2026-05-11")
    assert "no finance total to tie out to" in found.notes[1]
    assert found.sentence.startswith("April to June 2026: the company has no call yet; those below come to 1,500 (2 of 2 called); 0 are")
    assert "The company has no call yet." in found.attention
    assert "no number to compare" in calls_figure(found.rows, "USD").layout.meta["alt"] and "1,200" in calls_table(found.rows, "USD").html
    assert "None so far." in tie_out_table(found.tie_out, "USD", PARTS).html
    before = forecast_call(staffed, "2026-05-10")
    assert before.attention[0].startswith("Nobody has called") and len(before.rows) == 1, "not known yet then"


@pytest.fixture(scope="module")
def called(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the tiny company with calls made on 10 May 2026."""
    folder = tmp_path_factory.mktemp("called") / "workspace"
    shutil.copytree(tiny_workspace.root, folder)
    copy = Workspace.open(Path(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signed, "now", lambda: instant(dt.date(2026, 5, 10)))
        for node, amount in (("rep/U0000", 90_000), ("team/T000", 150_000), ("company", 2_000_000)):
            submit_call(copy, node, "2026-04", amount)
    return copy


@pytest.fixture(scope="module")
def shown(called: Workspace) -> ForecastCall:
    return forecast_call(called, "2026-05-20")


def test_calls_stand_beside_the_models_own_numbers_and_the_quotas(called, shown):
    rows = shown.rows.set_index("name")
    same = picture(called, Lake(called).open(), shown.as_of).quotas.set_index("name")
    for column, theirs in (("model", "lands"), ("lo80", "lo80"), ("hi80", "hi80"), ("quota", "quota"), ("booked", "booked")):
        both = rows[[column]].join(same[theirs].rename("theirs"), how="inner")
        assert len(both) == len(same) and both[column].to_numpy() == pytest.approx(both["theirs"].to_numpy(), abs=0.01, nan_ok=True)
    assert rows.loc["company", "call"] == 2_000_000 and shown.company_call == 2_000_000
    assert rows.loc["North", "below"] == 150_000 + rows.loc["North", "booked"] - rows.loc["T000", "booked"]
    assert any("The company calls 2,000,000 USD, above the model's 80 % interval" in line for line in shown.attention)
    assert rows.loc["T000", "parent"] == "North" and rows.loc["U0000", "parent"] == "T000"


def test_the_model_also_has_a_number_for_those_without_a_quota(called, shown):
    put(called, "quota", [{"quota_id": "Q-U0000-2026-04-01", "change_id": "created", "entity_type": "rep", "entity_id": "U0000",
                           "period_start": dt.date(2026, 4, 1), "period_end": dt.date(2026, 5, 1), "target": "revenue",
                           "amount": Decimal(1), "currency": "USD", "occurred_at": instant(dt.date(2026, 3, 18)),
                           "known_at": instant(dt.date(2026, 5, 15))}])  # fmt: skip
    nodes = shown.rows[["level", "name"]]
    found, _ = landings(called, Lake(called).open(), shown.as_of, nodes)
    ours, before = (rows.set_index("name").loc["U0000"] for rows in (found, shown.rows))
    assert len(found) == len(nodes) and found["model"].notna().all()
    assert ours["model"] == pytest.approx(before["model"], rel=0.2) and ours["lo80"] < ours["model"] < ours["hi80"]


def test_booked_is_what_finance_has_and_ties_out(shown):
    tied, rows = shown.tie_out.set_index("name"), shown.rows.set_index("name")
    assert (tied[[*PARTS]].sum(axis=1) == tied["difference"]).all() and tied.loc["company", "crm"] > 0
    assert tied["finance"].astype("float64").to_dict() == pytest.approx(rows.loc[tied.index, "booked"].to_dict())
    teams_sum = tied[tied["level"] == "team"]["finance"].sum()
    assert teams_sum == tied.loc["company", "finance"]


def test_figures_say_who_is_outside(shown):
    figure = calls_figure(shown.rows, "USD")
    assert "lie outside the model's 80 % interval" in figure.layout.meta["alt"]
    assert {trace.name for trace in figure.data} == {"model, 80 % interval", "call", "sum below", "quota"}
    assert not any("rep" in name for trace in figure.data for name in trace.y)
    assert any("rep" in name for name in calls_figure(shown.rows, "USD", reps=True).data[0].y)
    html = calls_table(shown.rows, "USD").html
    assert "Calls of the quarter, thousand USD" in html and "<td class=\"number\">2,000</td>" in html
    trusted = quota_table(shown.rows.assign(mix=1_234_000.0), "USD").html
    assert "1,234" in trusted and "by trust" in trusted and "by trust" not in quota_table(shown.rows, "USD").html
    assert "not booked" in tie_out_table(shown.tie_out, "USD", PARTS).html


def test_the_commands_submit_show_and_judge(staffed):
    app = typer.Typer()
    commands.register(app)
    app.callback()(lambda: None)
    run = CliRunner(env={"SALESML_WORKSPACE": str(staffed.root), "COLUMNS": "200"}).invoke
    made = run(app, ["call", "submit", "rep/Ann", "2026-04", "1500", "--note", "as signed"])
    assert made.exit_code == 0 and "rep/ann (Ann) 2026-04 called at 1,500.00 USD" in made.output, made.output
    shown = run(app, ["call", "show", "--as-of", "2026-05-11"])
    assert shown.exit_code == 0 and "1,500" in shown.output and "1 of 1" in shown.output, shown.output
    judged = run(app, ["call", "record", "--as-of", "2026-05-11"])
    assert judged.exit_code == 0 and "No call of a quarter that is over" in judged.output, judged.output
