"""The lead board without a browser: its numbers against the lake's rows, its controls, what a person says of a lead; the next step."""

from __future__ import annotations

import datetime as dt
import re
from types import SimpleNamespace

import lead_rows
import pandas as pd
import pytest
from app_rows import copied
from test_app import words

from salesml.apps import text
from salesml.apps.leads import HELD, LEAD, LeadApp
from salesml.errors import NotEnoughData
from salesml.lake import Lake
from salesml.workflows.grade_overrides import in_force
from salesml.workflows.lead_next import next_step
from salesml.workspace import Workspace

EARLIER, LATER = dt.date(2026, 4, 1), dt.date(2026, 6, 3)
WHY = "their buyer called me"


@pytest.fixture(scope="module")
def company(tiny_workspace, tmp_path_factory) -> Workspace:
    made = copied(tiny_workspace, tmp_path_factory.mktemp("leads-app"))
    lead_rows.write(made, EARLIER)
    return made


@pytest.fixture(scope="module")
def leads(company) -> pd.DataFrame:
    """The leads as graded last."""
    return lead_rows.write(company, LATER)


@pytest.fixture
def app(company, leads) -> LeadApp:
    return LeadApp(company)


def listed(app: LeadApp) -> list[str]:
    return re.findall(r'data-lead="(\w+)"', app.list.value)


def test_the_answer_is_the_lake_s_number(app, leads):
    hot = leads[leads["grade"] == "hot"]
    shown = words(app.urgent.value)
    assert f"{len(hot)} leads to work now, expected to bring USD {text.amount(hot['expected'].sum())}".replace("\xa0", " ") in shown
    assert f"20 hot · 40 warm · {len(leads) - 60:,} cold" in shown
    assert "time for 20 leads a week, USD 25" in words(app.footing.value) or "25 USD to work one" in words(app.footing.value)


def test_leads_are_those_asked_for(app, leads):
    app.rows.value = 100
    assert set(listed(app)) == set(leads.loc[leads["grade"] == "hot", "lead_id"])
    app.grade.value = "warm"
    assert set(listed(app)) == set(leads.loc[leads["grade"] == "warm", "lead_id"])
    owner = leads.loc[leads["grade"] == "warm", "owner_id"].iloc[0]
    app.owner.value = owner
    assert set(listed(app)) == set(leads.loc[(leads["grade"] == "warm") & (leads["owner_id"] == owner), "lead_id"])


def test_an_earlier_grading_looks_as_it_did_then(app, company):
    app.as_of.value = app.as_of.options[1][1]
    assert app.board.as_of == company.instant(EARLIER) and not app.board.newest
    assert set(app.board.leads["lead_id"]) == set(lead_rows.open_leads(company, EARLIER)["lead_id"])
    app.choose(app.board.leads["lead_id"].iloc[0])
    assert app.forms.root.layout.display == "none", "nothing is written beside an earlier grading"


def test_a_lead_opens_with_its_reasons_and_what_happened(app, company, leads):
    chosen = leads["lead_id"].iloc[3]
    app.choose(chosen)
    assert app.tabs.selected_index == LEAD and app.lead.value == chosen
    assert f"Evidence of {chosen}." in words(app.story.value) and "as the export says" in words(app.story.value)
    events = Lake(company).open().rows("lead_event").to_pandas()
    events = events[(events["lead_id"] == chosen) & (events["known_at"] < pd.Timestamp(LATER, tz="UTC"))]
    activities = Lake(company).open().rows("activity").to_pandas()
    activities = activities[(activities["lead_id"] == chosen) & (activities["known_at"] < pd.Timestamp(LATER, tz="UTC"))]
    assert app.past.value.count("<time>") == len(events) + len(activities)


def test_a_persons_grade_is_put_beside_and_taken_back(app, company, leads):
    chosen = leads.loc[leads["grade"] == "cold", "lead_id"].iloc[0]
    app.choose(chosen)
    forms = app.forms
    forms.grade.value, forms.reason.value = "hot", "hope"
    forms.put.click()
    assert "3 words" in words(forms.result.value)
    forms.reason.value = WHY
    forms.put.click()
    assert f"{chosen} is hot until before" in words(forms.result.value)
    assert app.board.leads.set_index("lead_id").loc[chosen, ["grade", "standing"]].tolist() == ["cold", "hot"]
    assert WHY in words(app.story.value) and forms.back.layout.display == ""
    assert in_force(Lake(company).open(), dt.datetime.now(dt.UTC))["lead_id"].tolist() == [chosen]
    forms.reason.value = "he did not mean it"
    forms.back.click()
    assert in_force(Lake(company).open(), dt.datetime.now(dt.UTC)).empty and "Taken back" in words(forms.result.value)


def test_the_record_is_shown(app):
    app.tabs.selected_index = HELD
    assert app.held.value.count("<tr") > 6 and "20 hot" in words(app.held.value)


def test_without_grades_the_board_says_what_to_run(tiny_workspace):
    with pytest.raises(NotEnoughData, match="salesml qualify"):
        LeadApp(tiny_workspace)


NOW = pd.Timestamp("2026-06-03", tz="UTC")


def lead(standing="hot", contacts=0, contact=None, inbound=None, waits=False, event=None) -> SimpleNamespace:
    def ago(days):
        return pd.NaT if days is None else NOW - pd.Timedelta(days=days)

    return SimpleNamespace(
        standing=standing, contacts=contacts, last_contact_at=ago(contact), last_inbound_at=ago(inbound), waits=waits,
        created_at=ago(4), last_event_at=ago(event),
    )  # fmt: skip


@pytest.mark.parametrize(("of", "do", "urgent"), [
    (lead(), "Call first", True), (lead(waits=True, inbound=2, contacts=1, contact=5), "Answer", True),
    (lead("warm", waits=True, inbound=2), "Answer", True), (lead("cold", waits=True, inbound=2), "Leave it", False),
    (lead(contacts=1, contact=3, event=1), "Call about what it did", True), (lead(contacts=1, contact=8), "Call again", False),
    (lead(contacts=5, contact=1), "Try another person or channel", False), (lead(contacts=1, contact=1), "Wait for the answer", False),
    (lead("warm"), "Nurture", False), (lead("cold"), "Leave it", False),
])  # fmt: skip
def test_the_next_step_is_the_first_rule_that_fits(of, do, urgent):
    found = next_step(of, NOW)
    assert (found.do, found.urgent) == (do, urgent) and found.why
