"""Qualification: grades kept with their evidence, persons' grades beside them, the record of both, grades of past weeks judged."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from app_rows import copied
from typer.testing import CliRunner

from salesml.analytics.lead_work import MINUTES_UNTOLD, WEEKS, lead_work
from salesml.cli import app as root
from salesml.cli import qualify as commands
from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.lake import Lake, visible
from salesml.planning.lead_grades import COLD, GRADES, HOT, Rules
from salesml.state import audit
from salesml.state.users import add_user, current_user
from salesml.workflows import signed
from salesml.workflows.grade_backtest import grade_backtest
from salesml.workflows.grade_overrides import grade_lead, in_force, withdraw
from salesml.workflows.grade_trend import grade_trend
from salesml.workflows.qualify import qualify
from salesml.workflows.train_leads import train_leads
from salesml.workspace import Workspace

DAY = dt.timedelta(days=1)
WHY = "their buyer called me"
EARLIER, LATER = 100 * DAY, 30 * DAY


@pytest.fixture(scope="module")
def company(small_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A company whose leads were graded twice before its end by a model trained before both, and once at its end."""
    made = copied(small_workspace, tmp_path_factory.mktemp("qualify"))
    end = Lake(made).open().instant(None)
    train_leads(made, end - EARLIER)
    for back in (EARLIER, LATER):
        qualify(made, end - back, Rules(capacity_per_week=40, cost_per_lead=30.0))
    return made


@pytest.fixture(scope="module")
def end(company) -> dt.datetime:
    return Lake(company).open().instant(None)


@pytest.fixture(scope="module")
def found(company):
    return qualify(company)


def test_every_open_lead_has_a_grade_and_its_evidence(company, found):
    leads = found.leads
    assert leads["lead_id"].is_unique and set(leads["grade"]) <= set(GRADES) and found.counts[HOT] > 0
    assert leads["expected_value"].to_numpy() == pytest.approx((leads["probability"] * leads["worth"]).to_numpy())
    assert (leads.loc[leads["grade"] == HOT, "net"] > 0).all() and found.counts[HOT] <= found.capacity
    first = leads.iloc[0]
    assert f"within {found.horizon_days} days" in first["evidence"][0] and any("speaks for it" in one for one in first["evidence"])
    assert f"{found.counts[HOT]:,} hot" in found.sentence


def test_grades_are_kept_once_with_what_they_were_drawn_by(company, found):
    qualify(company)
    view = visible(Lake(company).open(), dt.datetime.now(dt.UTC))
    rows = view.frame(view.facts("lead_grade"))
    kept = rows[rows["as_of"] == pd.Timestamp(found.as_of)]
    assert len(kept) == len(found.leads), "the same again changes nothing"
    drawn = json.loads(kept["thresholds"].iloc[0])
    assert drawn["capacity_per_week"] == found.capacity and drawn["cost_per_lead"] == round(found.cost, 2)
    assert kept.set_index("lead_id")["grade"].sort_index().tolist() == found.leads.set_index("lead_id")["grade"].sort_index().tolist()


def test_time_and_cost_are_those_of_the_activities_themselves(company, found, end):
    rows = Lake(company).open().rows("activity").to_pandas()
    back = (pd.Timestamp(end) - rows["occurred_at"]) / DAY
    mine = rows[rows["lead_id"].notna() & (rows["known_at"] < pd.Timestamp(end)) & (back <= 7 * WEEKS) & (rows["direction"] != "inbound")]
    week = np.ceil(back[mine.index] / 7)
    each = mine.groupby(week)["lead_id"].nunique().reindex(range(1, WEEKS + 1), fill_value=0)
    minutes = mine["duration_minutes"].fillna(MINUTES_UNTOLD).sum() / mine["lead_id"].nunique()
    work = lead_work(visible(Lake(company).open(), end))
    assert (work.leads_per_week, work.minutes_per_lead) == (round(each.median()), pytest.approx(minutes))
    assert found.measured == ("capacity", "cost") and found.cost == pytest.approx(minutes / 60 * 60)


def test_without_a_history_of_work_time_and_cost_must_be_given(workspace):
    with pytest.raises(NotEnoughData, match="rules file"):
        lead_work(visible(Lake(workspace).open(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)))


def test_rules_of_ones_own(company, end):
    own = qualify(company, end, Rules("mine", hot_at=0.3, warm_at=0.1), keep=False)
    p = own.leads["probability"]
    assert own.leads["grade"].tolist() == np.select([p >= 0.3, p >= 0.1], [HOT, "warm"], COLD).tolist()
    assert any("by rules mine" in sentence for sentence in own.leads["evidence"].iloc[0])


def test_a_persons_grade_stands_beside_and_ends(company, found, monkeypatch):
    now = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(signed, "now", lambda: now)
    cold = found.leads[found.leads["grade"] == COLD]["lead_id"].iloc[0]
    made = grade_lead(company, cold, HOT, WHY, now + 20 * DAY)
    monkeypatch.setattr(signed, "now", lambda: now + DAY / 2)
    again = qualify(company, keep=False)
    row = again.leads.set_index("lead_id").loc[cold]
    assert (row["grade"], row["own_grade"], row["standing"], row["own_reason"]) == (COLD, HOT, HOT, WHY)
    assert again.counts[HOT] == found.counts[HOT] + 1
    tables = Lake(company).open()
    assert in_force(tables, now).empty and in_force(tables, now + 21 * DAY).empty, "known from after it was given until before its end"
    assert in_force(tables, now + DAY)["grade_override_id"].tolist() == [made.grade_override_id]
    assert [entry.action for entry in audit.entries(company)][-1] == "grade lead"
    monkeypatch.setattr(signed, "now", lambda: now + DAY)
    add_user(company, "stranger", ("analyst",), current_user(company).name)
    with pytest.raises(BadParameter, match="neither the author"):
        withdraw(company, made.grade_override_id, WHY, by="stranger")
    withdraw(company, made.grade_override_id, WHY)
    monkeypatch.setattr(signed, "now", lambda: now + 2 * DAY)
    assert in_force(Lake(company).open(), now + 2 * DAY).empty
    with pytest.raises(BadParameter, match="not in force"):
        withdraw(company, made.grade_override_id, WHY)


def test_what_a_person_may_not_say(company, found, monkeypatch):
    now = dt.datetime(2026, 9, 1, 12, tzinfo=dt.UTC)
    monkeypatch.setattr(signed, "now", lambda: now)
    lead = found.leads["lead_id"].iloc[0]
    wrong = [
        (("nobody", HOT, WHY, now + DAY), "is not known"), ((lead, "tepid", WHY, now + DAY), "none of hot, warm, cold"),
        ((lead, HOT, "hope", now + DAY), "3 words"), ((lead, HOT, WHY, now), "not in the future"),
        ((lead, HOT, WHY, now + 91 * DAY), "at most 90 days"),
    ]  # fmt: skip
    for given, told in wrong:
        with pytest.raises(BadParameter, match=told):
            grade_lead(company, *given)
    with pytest.raises(UnknownName):
        grade_lead(company, lead, HOT, WHY, now + DAY, by="nobody")


def test_the_record_counts_what_became_of_grades_and_not_what_is_too_young(company, found, end):
    trend = grade_trend(company)
    horizon = found.horizon_days * DAY
    days = trend.days.set_index(["as_of", "grade"])
    for at, part in trend.days.groupby("as_of"):
        assert part["leads"].sum() > 0 and (part["ripe"] <= part["leads"]).all()
        assert (part["ripe"].sum() == part["leads"].sum()) == (at + horizon <= pd.Timestamp(end))
    old = pd.Timestamp(end - EARLIER)
    assert days.loc[(old, HOT), "converted"] > 0 and days.loc[(old, HOT), "rate"] > days.loc[(old, COLD), "rate"]
    graded = qualify(company, end - EARLIER, Rules(capacity_per_week=40, cost_per_lead=30.0), keep=False).leads
    rows = Lake(company).open().rows("lead").to_pandas()
    converted = rows[(rows["status"] == "converted") & (rows["known_at"] < pd.Timestamp(end)) & (rows["known_at"] <= old + horizon)]
    hot = graded[(graded["grade"] == HOT) & graded["lead_id"].isin(converted["lead_id"])]
    assert days.loc[(old, HOT), "converted"] == len(hot)
    moves = trend.moves
    assert moves["leads"].sum() > 0 and {"new", "gone"} <= {*moves["before"], *moves["after"]}


def test_past_weeks_graded_with_what_was_known_before_them(company):
    past = grade_backtest(company, rules=Rules(capacity_per_week=40, cost_per_lead=30.0))
    grades = past.grades.set_index("grade")
    assert grades.loc[HOT, "rate"] > grades.loc[COLD, "rate"] and grades["caught"].sum() == pytest.approx(1)
    assert (grades["lo"] <= grades["rate"]).all() and (grades["rate"] <= grades["hi"]).all()
    hot = past.weeks[past.weeks["grade"] == HOT]
    assert (hot["snapshots"] <= 40).all() and past.weeks["snapshots"].sum() == grades["snapshots"].sum()


def test_commands(company, found):
    commands.register(root) if "qualify" not in {group.name for group in root.registered_groups} else None
    run = CliRunner()
    lead = found.leads["lead_id"].iloc[0]
    shown = run.invoke(root, ["-w", str(company.root), "qualify", "--lead", lead])
    assert shown.exit_code == 0 and "Chance to convert within" in shown.output
    ends = (dt.datetime.now(dt.UTC) + 9 * DAY).date().isoformat()
    put = run.invoke(root, ["-w", str(company.root), "qualify", "lead", lead, "--as", "cold", "--reason", WHY, "--until", ends])
    assert put.exit_code == 0 and "cold until before" in put.output
    assert lead in run.invoke(root, ["-w", str(company.root), "qualify", "list"]).output
    assert "graded as of" in run.invoke(root, ["-w", str(company.root), "qualify", "trend"]).output
