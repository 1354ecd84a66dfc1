"""Routing a workspace's leads: what is read, kept and refused; whose a lead is; reassignment by request and approval; the commands."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from app_rows import copied
from typer.testing import CliRunner

from salesml.cli import route as commands
from salesml.contracts import table
from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.features.leads import LEADS
from salesml.lake import Lake, visible
from salesml.models.rates import GroupRate
from salesml.registry import catalog
from salesml.registry.columns import columns_of
from salesml.state import audit, reassignments
from salesml.state.users import add_user, current_user
from salesml.workflows import signed
from salesml.workflows.leads import MODEL, lead_table
from salesml.workflows.reassignments import approve, reassign, refuse
from salesml.workflows.routing import Desk, assignments, desk, route, route_one
from salesml.workflows.routing_facts import current_owner, leads_of, read_reps, recent, reps_of, response_hours
from salesml.workspace import Workspace

DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
WHY = "knows the people there"


def put(workspace: Workspace, name: str, rows: list[dict]) -> None:
    """Rows into the lake, each known when it happened unless it says otherwise."""
    given = {key for row in rows for key in row}
    schema = pa.schema([field for field in table(name).schema if field.name in given])
    Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="t")


@pytest.fixture(scope="module")
def company(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny company with the rate of each lead source for a model, a manager and a rep beside the admin; not written to."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("route"))
    labelled = lead_table(made).labelled
    X = labelled[LEADS.names]
    folder = tmp_path_factory.mktemp("rate")
    GroupRate.fit(X, labelled["converted"].to_numpy("float64"), column="source").save(folder)
    version = catalog.register(made, MODEL, folder, columns=columns_of(X, LEADS.categorical), baseline=True)
    admin = current_user(made).name
    catalog.promote(made, MODEL, version.number, by=admin)
    add_user(made, "mona", ("manager",), actor=admin)
    add_user(made, "rolf", ("rep",), actor=admin)
    return made


@pytest.fixture(scope="module")
def there(company):
    return desk(company)


@pytest.fixture
def workplace(company, tmp_path) -> Workspace:
    """A copy to write to."""
    return copied(company, tmp_path)


def moved(there: Desk, workspace: Workspace) -> Desk:
    return replace(there, workspace=workspace)


def test_the_desk_holds_what_the_records_say(company, there):
    tables = Lake(company).open()
    view = visible(tables, there.as_of)
    users = view.frame(view.state("user", ["active", "role", "region"])).set_index("user_id")
    here = users[users["role"].eq("rep") & ~users["active"].eq(False)]
    assert sorted(there.reps["owner_id"]) == sorted(here.index)
    quota = view.frame(view.state("quota", ["entity_type", "entity_id", "period_start", "amount"]))
    quota = quota[quota["entity_type"].eq("rep") & (pd.to_datetime(quota["period_start"]) <= pd.Timestamp(there.as_of.date()))]
    latest = quota.sort_values("period_start").drop_duplicates("entity_id", keep="last").set_index("entity_id")["amount"].astype(float)
    share = latest.reindex(there.reps["owner_id"]).to_numpy() / latest.median()
    assert there.reps["weight"].to_numpy() == pytest.approx(np.maximum(np.round(4 * share) / 4, 0.25))
    owners = current_owner(view)
    assert (owners["by"] == "source system").all()
    lately = owners[owners["since"] >= pd.Timestamp(there.as_of - 30 * DAY)]["owner_id"].value_counts()
    assert there.reps.set_index("owner_id")["held"].to_dict() == lately.reindex(there.reps["owner_id"]).fillna(0).astype(int).to_dict()
    one = there.leads.iloc[-1]
    assert one["territories"] == (users.loc[one["owner_id"], "region"],)
    assert there.leads["waiting"].sum() == (~there.leads["owner_id"].isin(here.index)).sum()
    assert there.values.shape == (len(there.leads), len(there.reps)) and (there.values > 0).all()
    assert there.ahead.shape[1] == len(there.reps) and np.isnan(there.ahead).any() and np.isfinite(there.ahead).any()


def test_leads_are_routed_fairly_kept_and_audited(workplace, there):
    before = Lake(workplace).open().instant()
    found = route(workplace, days=20, at=moved(there, workplace), explore=0.2, seed=3)
    made = found.routing
    assert found.written and len(made.assigned) >= 10 and not made.unfair and made.unassigned.empty
    told = assignments(workplace).set_index("lead_id")
    assert sorted(told.index) == sorted(made.assigned["lead_id"]) and told["standing"].all()
    for row in made.assigned.to_dict("records"):
        kept = told.loc[row["lead_id"]]
        assert (kept["owner_id"], kept["policy"]) == (row["owner_id"], "optimal") and kept["propensity"] == pytest.approx(row["propensity"])
        assert kept["reason"] == row["reason"] and float(kept["expected_value"]) == pytest.approx(row["expected_value"], abs=0.005)
        assert kept["previous_owner_id"] == found.previous[row["lead_id"]] and kept["currency"] == "USD"
    facts = visible(Lake(workplace).open(), signed.now() + DAY)
    alternatives = facts.frame(facts.facts("assignment"))["alternative"].dropna().map(json.loads)
    assert all({"owner_id", "expected_value", "reason"} == set(one) for one in alternatives) and len(alternatives) > 5
    entries = audit.entries(workplace, action="lead.routed")
    assert {one.subject for one in entries} == {f"lead {lead}" for lead in told.index} and audit.verify(workplace).ok
    owners = current_owner(facts).set_index("lead_id")
    assert owners.loc[told.index, "owner_id"].tolist() == told["owner_id"].tolist() and (owners.loc[told.index, "by"] == "assignment").all()
    assert Lake(workplace).open().instant() == before  # what was assigned does not age the export
    # what is given is not given again, unless it is asked for by name
    again = desk(workplace)
    assert not again.leads.set_index("lead_id").loc[told.index, "waiting"].any()
    assert again.reps["held"].sum() >= len(told)
    assert not set(route(workplace, days=20, at=again, dry_run=True).routing.assigned["lead_id"]) & set(told.index)
    lead = str(told.index[0])
    assert route(workplace, leads=[lead], at=again, dry_run=True).routing.assigned["lead_id"].tolist() == [lead]


def test_looking_keeps_nothing(company, there):
    found = route(company, "rules", days=20, at=there, dry_run=True)
    assert not found.written and found.sentence.endswith("shown only, nothing is kept") and assignments(company).empty
    assert audit.entries(company, action="lead.routed") == []
    best, even = (route(company, policy, days=20, at=there, dry_run=True, explore=0.0).routing for policy in ("optimal", "weighted"))
    assert best.value > even.value


def test_one_lead_gets_the_same_answer_twice_and_is_fair(company, there):
    lead = str(there.leads["lead_id"].iloc[-1])
    first, second = (route_one(company, lead, at=there, dry_run=True) for _ in range(2))
    assert first.routing.assigned["owner_id"].tolist() == second.routing.assigned["owner_id"].tolist() and not first.routing.unfair
    with pytest.raises(UnknownName, match="unknown open lead 'X99'"):
        route_one(company, "X99", at=there, dry_run=True)


def test_who_may_assign_and_when(company, there):
    with pytest.raises(BadParameter, match="assignments are kept as of now, not as of 2026-01-01"):
        route(company, as_of="2026-01-01")
    with pytest.raises(BadParameter, match="'rolf' is neither admin nor manager and may not assign leads"):
        route(company, by="rolf", at=there)
    with pytest.raises(UnknownName, match="unknown policy 'best'"):
        route(company, "best")
    with pytest.raises(BadParameter, match="most_open 0 is not"):
        desk(company, most_open=0)
    with pytest.raises(BadParameter, match="within_hours 0 is not above 0"):
        desk(company, within_hours=0)
    past = route(company, as_of=there.as_of - 60 * DAY, days=20, dry_run=True)
    assert past.as_of == there.as_of - 60 * DAY and len(past.routing.assigned) > 5
    last = past.routing.board.leads["created_at"].max()
    assert last < pd.Timestamp(past.as_of)


def test_a_file_of_reps_says_what_the_records_do_not(company, there, tmp_path):
    path = tmp_path / "reps.csv"
    one, two, three = there.reps["owner_id"].tolist()[:3]
    path.write_text(
        "owner_id,capacity,weight,territories,skills,available\n"
        f"{one},0,2.5,North;South,industry:Energy;language:de,yes\n{two},,,,,no\n{three},2,,,,\n"
    )
    told = read_reps(path)
    view = visible(Lake(company).open(), there.as_of)
    owners = current_owner(view)
    reps = reps_of(view, owners, there.as_of, told).set_index("owner_id")
    said = reps.loc[one, ["capacity", "weight", "territories", "skills"]].tolist()
    assert said == [0, 2.5, ("North", "South"), ("industry:Energy", "language:de")]
    assert not reps.loc[two, "available"] and reps.loc[two, "weight"] == there.reps.set_index("owner_id").loc[two, "weight"]
    leads = leads_of(view, owners, reps.reset_index())
    energy = leads["industry"].eq("Energy")
    assert energy.any() and (leads.loc[energy, "needs"] == ("industry:Energy",)).all() and (leads.loc[~energy, "needs"] == ()).all()
    limited = desk(company, given=told, most_open=10_000)
    assert limited.reps.set_index("owner_id").loc[[one, three], "capacity"].tolist() == [0, 2]
    found = route(company, days=20, at=limited, dry_run=True).routing
    new = found.reps.set_index("owner_id")["new"]
    assert new[[one, two]].tolist() == [0, 0] and new[three] <= 2
    for text, match in [
        ("owner_id,rank\nU1,3\n", "columns of owner_id, capacity"),
        (f"owner_id,capacity\n{one},many\n", "row 1, column capacity.*Give a number"),
        (f"owner_id,available\n{one},perhaps\n", "Give yes or no"), (f"owner_id\n{one}\n{one}\n", "one row per owner_id"),
    ]:  # fmt: skip
        path.write_text(text)
        with pytest.raises(BadInput, match=match):
            read_reps(path)
    path.write_text("owner_id,capacity\nNOBODY,3\n")
    with pytest.raises(BadInput, match="no rep who works here"):
        reps_of(view, owners, there.as_of, read_reps(path))


def test_slow_reps_get_no_lead_that_must_be_answered_soon(company, there):
    hours = response_hours(visible(Lake(company).open(), there.as_of))
    assert len(hours) >= 2 and (hours >= 0).all()
    limit = float(hours.reindex(there.reps["owner_id"]).median())
    found = route(company, days=20, at=desk(company, within_hours=limit), dry_run=True).routing
    slow = set(hours.index[hours > limit])
    assert slow & set(found.reps["owner_id"]) and not slow & set(found.assigned["owner_id"])


@pytest.fixture
def bare(workspace: Workspace) -> Workspace:
    """Leads L0 … L3 with U1 in North, reps U1 to U3; it is day 0."""
    put(workspace, "user", [
        {"user_id": f"U{n}", "change_id": "created", "name": f"Rep {n}", "role": "rep", "region": "North", "active": True,
         "occurred_at": START - 90 * DAY}
        for n in (1, 2, 3)
    ])  # fmt: skip
    put(workspace, "lead", [
        {"lead_id": f"L{n}", "change_id": "created", "owner_id": "U1", "status": "open", "source": "paid", "country": "Chile",
         "occurred_at": START - 10 * DAY}
        for n in range(4)
    ])  # fmt: skip
    admin = current_user(workspace).name
    add_user(workspace, "mona", ("manager",), actor=admin)
    add_user(workspace, "rolf", ("rep",), actor=admin)
    return workspace


def test_whose_a_lead_is(bare):
    assigned = {"policy": "person", "reason": WHY, "author": "mona"}
    put(bare, "assignment", [
        {"assignment_id": "a0", "lead_id": "L0", "owner_id": "U2", "occurred_at": START, **assigned},
        {"assignment_id": "a1", "lead_id": "L1", "owner_id": "U2", "occurred_at": START, **assigned},
        {"assignment_id": "a2", "lead_id": "L1", "owner_id": "U3", "occurred_at": START + DAY, **assigned},
    ])  # fmt: skip
    put(bare, "lead", [{"lead_id": "L0", "change_id": "owner:1", "owner_id": "U3", "occurred_at": START + 2 * DAY}])

    def owners(day: float) -> dict[str, str]:
        return current_owner(visible(Lake(bare).open(), START + day * DAY)).set_index("lead_id")["owner_id"].to_dict()

    assert owners(0) == {"L0": "U1", "L1": "U1", "L2": "U1", "L3": "U1"}  # what comes later is not known
    assert owners(0.5) == {"L0": "U2", "L1": "U2", "L2": "U1", "L3": "U1"}
    assert owners(1.5) == {"L0": "U2", "L1": "U3", "L2": "U1", "L3": "U1"}
    assert owners(2.5) == {"L0": "U3", "L1": "U3", "L2": "U1", "L3": "U1"}  # the source system said so later
    told = current_owner(visible(Lake(bare).open(), START + 2.5 * DAY))
    counted = recent(told, START + 10 * DAY, START + 31 * DAY)
    assert told.loc[counted, "lead_id"].tolist() == ["L0", "L1", "L2", "L3"]
    assert told.loc[recent(told, START + 31 * DAY, START + 32 * DAY), "lead_id"].tolist() == ["L0"]


def test_another_person_has_to_approve(bare, monkeypatch):
    monkeypatch.setattr(signed, "now", lambda: START + DAY)
    made = reassign(bare, "L0", "U2", WHY, by="mona")
    assert (made.previous_owner_id, made.status, made.expected_value) == ("U1", "open", None)
    owners = current_owner(visible(Lake(bare).open(), START + 2 * DAY)).set_index("lead_id")["owner_id"]
    assert owners["L0"] == "U1" and reassignments.listed(bare) == [made]
    for by, match in (("mona", "'mona' asked for it; another admin or manager"), ("rolf", "neither admin nor manager and may not approve")):
        with pytest.raises(BadParameter, match=match):
            approve(bare, made.request_id, by)
    with pytest.raises(BadParameter, match="for lead L0 is open already"):
        reassign(bare, "L0", "U3", WHY)
    done = approve(bare, made.request_id)
    admin = current_user(bare).name
    assert (done.status, done.decided_by) == ("approved", admin) and reassignments.listed(bare) == []
    fact = assignments(bare, START + 2 * DAY).iloc[0]
    told = fact[["lead_id", "owner_id", "previous_owner_id", "policy", "author", "approver"]].tolist()
    assert told == ["L0", "U2", "U1", "person", "mona", admin]
    assert fact["standing"] and pd.isna(fact["propensity"]) and fact["reason"] == WHY
    told = [(one.action, one.actor) for one in audit.entries(bare, subject="lead L0")]
    assert told == [("reassignment.asked", "mona"), ("reassignment.approved", admin)] and audit.verify(bare).ok
    with pytest.raises(BadParameter, match="is approved already"):
        approve(bare, made.request_id, None)


def test_what_may_not_be_reassigned(bare, monkeypatch):
    monkeypatch.setattr(signed, "now", lambda: START + DAY)
    put(bare, "lead", [{"lead_id": "L3", "change_id": "end", "status": "disqualified", "occurred_at": START}])
    for lead, to, reason, error, match in [
        ("L9", "U2", WHY, BadParameter, "lead 'L9' is not known"), ("L3", "U2", WHY, BadParameter, "lead 'L3' is disqualified"),
        ("L0", "U1", WHY, BadParameter, "is with U1 already"), ("L0", "U9", WHY, UnknownName, "unknown rep 'U9'; valid: U1, U2, U3"),
        ("L0", "U2", "please", BadParameter, "has not 3 words"),
    ]:  # fmt: skip
        with pytest.raises(error, match=match):
            reassign(bare, lead, to, reason)
    asked = reassign(bare, "L1", "U2", WHY, by="rolf")
    put(bare, "lead", [{"lead_id": "L1", "change_id": "owner:1", "owner_id": "U3", "occurred_at": START}])
    with pytest.raises(BadParameter, match="is with U3 by now, not with U1"):
        approve(bare, asked.request_id)
    with pytest.raises(UnknownName, match="unknown request 'req-0'"):
        approve(bare, "req-0")
    other = reassign(bare, "L2", "U2", WHY)
    with pytest.raises(BadParameter, match="neither who asked nor admin nor manager"):
        refuse(bare, other.request_id, WHY, by="rolf")
    assert refuse(bare, asked.request_id, "not needed any more", by="rolf").status == "refused"
    with pytest.raises(BadParameter, match="is not open any more"):
        refuse(bare, asked.request_id, "not needed any more")
    assert [one.lead_id for one in reassignments.listed(bare)] == ["L2"] and len(reassignments.listed(bare, None)) == 2


def test_a_request_says_what_each_rep_would_bring(workplace, there):
    lead, reps = str(there.leads["lead_id"].iloc[-1]), there.reps["owner_id"].tolist()
    owner = there.leads["owner_id"].iloc[-1]
    to = next(rep for rep in reps if rep != owner)
    made = reassign(workplace, lead, to, WHY, by="mona")
    assert made.expected_value == pytest.approx(there.values[-1, reps.index(to)], rel=1e-3)
    if owner in reps:
        assert made.previous_value == pytest.approx(there.values[-1, reps.index(owner)], rel=1e-3)


def run(workspace: Workspace, *words: str) -> str:
    app = typer.Typer()
    commands.register(app)
    answer = CliRunner().invoke(app, list(words), obj=str(workspace.root), env={"COLUMNS": "220"})
    if answer.exception and not isinstance(answer.exception, SystemExit):
        raise answer.exception
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_the_commands(workplace, there):
    shown = run(workplace, "route", "--days", "20", "--dry-run")
    assert "best other" in shown and "nothing is kept" in shown
    assert "nothing was assigned yet" in run(workplace, "route", "list")
    lead = str(there.leads["lead_id"].iloc[-1])
    kept = run(workplace, "route", "one", lead)
    assert lead in kept and "1 lead to 1 rep, expected to bring USD" in kept and "kept in table assignment" in kept
    owner = assignments(workplace)["owner_id"].iloc[0]
    to = next(rep for rep in there.reps["owner_id"] if rep != owner)
    asked = run(workplace, "route", "reassign", lead, "--to", to, "--reason", WHY, "--by", "mona")
    request = asked.split(":")[0]
    assert f"{request}: lead {lead} from {owner} to {to}, asked by mona" in asked
    assert request in run(workplace, "route", "list")
    assert f"lead {lead} is with {to} now, approved by" in run(workplace, "route", "approve", request)
    listed = run(workplace, "route", "list")
    assert "person" in listed and "2 assignments" in listed
    second = run(workplace, "route", "reassign", lead, "--to", owner, "--reason", WHY).split(":")[0]
    assert "is refused by mona" in run(workplace, "route", "refuse", second, "--reason", "stays where it is", "--by", "mona")
    file = Path(workplace.root) / "reps.csv"
    file.write_text(f"owner_id,available\n{to},no\n")
    assert "1 lead to 1 rep" in run(workplace, "route", "--lead", lead, "--reps", str(file), "--dry-run")
