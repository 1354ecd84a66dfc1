"""Scenarios of a company: the base is pipeline health's, saved and compared by name, a crash leaves before or after, commands, charts."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from salesml.analytics import pipeline
from salesml.analytics.levers import Levers, market_of, share_of
from salesml.cli import scenario as commands
from salesml.errors import BadParameter, UnknownName
from salesml.figures import scenario as figures
from salesml.lake import Lake
from salesml.state import audit
from salesml.state import scenarios as kept
from salesml.state.users import add_user, current_user
from salesml.workflows import scenarios
from salesml.workflows.scenarios import (
    BASE,
    BaseCase,
    base_case,
    beside,
    compare,
    remove,
    save,
    saved,
    scenario,
    tenths,
)
from salesml.workspace import Workspace

AT = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def copied(tiny_workspace, tmp_path_factory) -> Workspace:
    """A copy of the tiny company, to save scenarios in."""
    folder = tmp_path_factory.mktemp("scenarios") / "workspace"
    shutil.copytree(tiny_workspace.root, folder)
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def case(copied) -> BaseCase:
    return base_case(copied, _middle(copied))


def _middle(workspace: Workspace) -> dt.datetime:
    """A day in the middle of the last complete quarter of the small company."""
    end = Lake(workspace).open().instant()
    start, _ = pipeline.quarter(workspace.local_date(end) - dt.timedelta(days=1))
    return workspace.instant(start + dt.timedelta(days=40))


def test_as_things_stand_is_what_pipeline_health_says_bit_by_bit(copied, case):
    health = case.picture  # what `pipeline_health` shows
    mine = case.unchanged.nodes.head(len(health.quotas))
    same = {name: name for name in ("name", "booked", "quota", "lo80", "hi80", "probability", "gap")}
    for column, theirs in {"open": "expected", **same}.items():
        assert mine[column].equals(health.quotas[theirs].rename(column)), column
    assert mine["expected"].to_numpy() == pytest.approx(health.quotas["lands"].to_numpy(), rel=1e-12)
    assert np.array_equal(case.unchanged.landing, health.landing)
    joint = case.unchanged.joint
    assert joint.groupby("level")["realistic"].sum().to_numpy() == pytest.approx(np.median(health.landing), rel=1e-9)
    assert case.base.days_left == pytest.approx((case.end - copied.local_date(case.as_of)).days)


def test_a_scenario_says_what_it_does(copied, case):
    plain = scenario(copied, Levers(), case=case)
    assert plain.sentence.startswith("As things stand, ") and "one in ten is worse" in plain.sentence
    better = scenario(copied, Levers(win_rate=0.2, quota=0.1), case=case)
    company = better.outcome.company
    assert f"{company['expected']:,.0f} USD" in better.sentence and "With win rate +20 %, quota +10 %" in better.sentence
    assert f"; the chance of the quota of {company['quota']:,.0f} is " in better.sentence and " instead of " in better.sentence
    assert "elsewhere" in better.notes and ("80 %" in better.need)
    assert case.capacity.reps["open_deals"].sum() == case.picture.deals["rep"].notna().sum()


def test_a_cycle_without_a_model_goes_by_past_quarters(copied, case):
    slower, quicker = (scenario(copied, Levers(cycle=by), case=case).outcome.company["open"] for by in (1.0, -0.5))
    assert slower < case.unchanged.company["open"] < quicker


def test_tenths_tell_what_each_lever_would_do(case):
    found = tenths(case).set_index("lever")
    assert {"price +10 %", "1 rep more (3 months to full productivity)", "quota +10 %"} <= set(found.index)
    assert found["expected"].is_monotonic_decreasing and found.loc["quota +10 %", "expected"] == 0
    assert found.loc["quota +10 %", "probability"] <= 0


def test_saved_scenarios_are_compared_as_of_one_instant_and_removed(copied, case):
    save(copied, "bold", Levers(win_rate=0.2, market={"region/" + case.picture.deals["region"].iloc[0]: -0.1}), case.as_of)
    save(copied, "hiring freeze", Levers(headcount=-1), case.as_of)
    assert [one.name for one in saved(copied)] == ["bold", "hiring freeze"]
    assert {one.author for one in saved(copied)} == {current_user(copied).name}
    _, sides = compare(copied, ["hiring freeze", "bold"], case=case)
    company = sides[sides["level"] == "company"].set_index("scenario")
    assert list(company.index) == [BASE, "hiring freeze", "bold"]
    assert company.loc[BASE, "expected"] == case.unchanged.company["expected"]
    assert company.loc["hiring freeze", "levers"] == "1 rep fewer"
    mine = beside(copied, scenario(copied, Levers(price=0.1), case=case), ["bold"])
    assert mine["scenario"].unique().tolist() == [BASE, scenarios.THESE, "bold"]
    with pytest.raises(UnknownName, match="unknown scenario 'nobody'; valid: bold, hiring freeze"):
        compare(copied, ["nobody"], case=case)
    with pytest.raises(BadParameter, match="named twice"):
        compare(copied, ["bold", "bold"], case=case)
    remove(copied, "bold")
    remove(copied, "hiring freeze")
    assert saved(copied) == []
    logged = [(entry.action, entry.subject) for entry in audit.entries(copied, subject="scenario/bold")]
    assert logged == [("scenario.saved", "scenario/bold"), ("scenario.removed", "scenario/bold")]
    assert audit.verify(copied).ok


def test_names_and_people_are_checked(workspace):
    me = current_user(workspace).name
    for bad in ("", "a/b", " x", "x ", "-x", "y" * 61, "line\n"):
        with pytest.raises(BadParameter, match="is not 1 to 60 letters"):
            save(workspace, bad, Levers(), AT)
    save(workspace, "a b", Levers(win_rate=0.1), AT)
    with pytest.raises(BadParameter, match="'a b' exists already; choose another name, or remove it"):
        save(workspace, "a b", Levers(), AT)
    assert kept.find(workspace, "a b") == saved(workspace)[0]
    assert Levers.of(kept.find(workspace, "a b").levers) == Levers(win_rate=0.1) and saved(workspace)[0].as_of == AT
    add_user(workspace, "ann", ("analyst",), actor=me)
    add_user(workspace, "mia", ("manager",), actor=me)
    with pytest.raises(BadParameter, match=f"'ann' is neither the author '{me}' nor admin nor manager"):
        remove(workspace, "a b", by="ann")
    with pytest.raises(UnknownName, match="unknown scenario 'b'; valid: a b"):
        remove(workspace, "b")
    remove(workspace, "a b", by="mia")
    assert saved(workspace) == []


@pytest.mark.parametrize("action", ["save", "remove"])
def test_a_crash_between_leaves_what_was_before(workspace, action):
    save(workspace, "there", Levers(), AT)
    call = {
        "save": "scenarios.save(w, 'new', {}, as_of=at, author='me', at=at)",
        "remove": "scenarios.remove(w, 'there', by='me', any_author=True, at=at)",
    }[action]
    code = (
        "import os, datetime as dt\nfrom salesml.state import audit, scenarios\nfrom salesml.workspace import Workspace\n"
        f"w, at = Workspace.open({str(workspace.root)!r}), dt.datetime(2026, 5, 1, tzinfo=dt.UTC)\n"
        f"audit.append = lambda *a, **k: os._exit(9)\n{call}\n"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 9
    assert [one.name for one in saved(workspace)] == ["there"]
    assert len(audit.entries(workspace, subject="scenario/new")) == 0 and audit.verify(workspace).ok


def test_a_database_of_the_layout_before_gets_the_table(workspace):
    import sqlite3

    current_user(workspace)
    with sqlite3.connect(workspace.app_db) as connection:
        connection.execute("DROP TABLE scenarios")
        connection.execute("PRAGMA user_version = 1")
    code = (
        "from salesml.state.scenarios import saved\nfrom salesml.workspace import Workspace\n"
        f"print(saved(Workspace.open({str(workspace.root)!r})))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[]"


@pytest.mark.parametrize(("text", "share"), [("10%", 0.1), ("-10 %", -0.1), ("0.25", 0.25), ("+5%", 0.05)])
def test_shares_are_read(text, share):
    assert share_of(text) == pytest.approx(share)


def test_what_is_no_share_or_market_is_refused():
    with pytest.raises(BadParameter, match="'ten' is not a share; give 10% or"):
        share_of("ten")
    assert market_of(["region/North=-20%", "industry/A=B=0.1"]) == {"region/North": -0.2, "industry/A=B": 0.1}
    with pytest.raises(BadParameter, match="has no share; give, for example, region/West=-20%"):
        market_of(["region/West"])
    with pytest.raises(BadParameter, match="named twice"):
        market_of(["region/West=1%", "region/West=2%"])


def test_the_commands(copied, case):
    app, day = typer.Typer(), str(copied.local_date(case.as_of))
    app.callback()(lambda: None)
    commands.register(app)
    run = CliRunner()

    def told(*words: str) -> str:
        result = run.invoke(app, ["scenario", *words], obj=str(copied.root))
        assert result.exception is None, result.exception
        return " ".join(result.output.split())

    assert "no scenario is saved" in told("list")
    out = told("run", "--win-rate", "-10%", "--price", "5%", "--save", "careful", "--as-of", day)
    assert "With win rate -10 %, price +5 %" in out and "together" in out and "saved as careful" in out and "pessimistic" in out
    assert "win rate -10 %, price +5 %" in told("list")
    assert "careful: win rate -10 %, price +5 %" in told("compare", "careful", "--as-of", day)
    assert "careful is removed" in told("remove", "careful")
    wrong = run.invoke(app, ["scenario", "run", "--win-rate", "10"], obj=str(copied.root))
    assert isinstance(wrong.exception, BadParameter) and "give 0.1 for a tenth more" in str(wrong.exception)


def test_charts_and_tables_tell_their_numbers(copied, case):
    found = scenario(copied, Levers(win_rate=0.2, price=0.1, quota=0.1), case=case).outcome
    before, after = case.unchanged.company, found.company
    three = figures.three_figure(found.joint, "USD")
    assert len(three.data) == 3 and f"realistic {found.joint['realistic'].iloc[0]:,.0f}" in three.layout.meta["alt"]
    fall = figures.levers_figure(found.parts, before["expected"], after["expected"], "USD")
    assert list(fall.data[0].x) == ["as things stand", "win rate", "price", "together", "with these levers"]
    priced = found.parts[(found.parts["lever"] == "price") & (found.parts["level"] == "company")]["expected"].iloc[0]
    assert f"price {priced:+,.0f}" in fall.layout.meta["alt"]
    still = figures.levers_figure(case.unchanged.parts, 1.0, 1.0, "USD")
    assert still.layout.meta["alt"] == "No lever moves what is expected."
    both = figures.landings_figure(case.unchanged.landing, found.landing, (before["quota"], after["quota"]), "USD")
    assert len(both.data) == 2 and f"reach {after['quota']:,.0f}" in both.layout.meta["alt"]
    one = figures.landings_figure(found.landing, found.landing, (float("nan"), float("nan")), "USD")
    assert len(one.data) == 1 and "reach" not in one.layout.meta["alt"]
    sides = figures.sides_table(beside(copied, scenario(copied, Levers(price=0.1), case=case)), "USD").html
    assert "as things stand" in sides and "these levers" in sides and "price +10 %" in sides
    assert "region" in figures.nodes_table(found.nodes, "USD").html and "team" in figures.three_table(found.joint, "USD").html
    needed = pd.DataFrame({"in_weeks": [0, 2], "days_left": [30.0, 16], "yield_share": [0.1, np.nan], "deals": [12.0, np.nan],
                           "pipeline": [1e6, np.nan], "won": [1e5, np.nan]})  # fmt: skip
    html = figures.needed_table(needed, "USD").html
    assert ">now<" in html and ">in 2 weeks<" in html and ">1,000,000<" in html and ">–<" in html
    assert case.capacity.reps["label"].iloc[0] in figures.capacity_table(case.capacity.reps).html
    assert "points" in figures.tenths_table(tenths(case), "USD").html


@pytest.mark.slow
def test_a_cycle_goes_by_the_models_chances_by_day(small_workspace, tmp_path):
    shutil.copytree(small_workspace.root, tmp_path / "w")
    workspace = Workspace.open(tmp_path / "w")
    case = base_case(workspace)
    slower, same, quicker = (run_cycle(case, by) for by in (0.5, 0.0, -0.3))
    assert (slower <= same + 1e-12).all() and (quicker >= same - 1e-12).all() and slower.sum() < same.sum() < quicker.sum()


def run_cycle(case: BaseCase, by: float) -> np.ndarray:
    return case.base.deals["p_quarter"].to_numpy() * case.base.pace(case.base.days_left, case.base.days_left / (1 + by))
