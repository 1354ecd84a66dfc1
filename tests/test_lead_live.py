"""Leads as they move: features from facts taken in one by one are those of the lake, scores too; what is wrong is told and counted."""

from __future__ import annotations

import datetime as dt
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from app_rows import copied
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from salesml.cli import study
from salesml.contracts import table
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.features.lead_live import MICROSECOND, LeadFacts
from salesml.features.leads import LEADS, lead_rows
from salesml.lake import Lake, Tables, visible
from salesml.models.outcome import OutcomeModel, Settings
from salesml.models.rates import GroupRate
from salesml.registry import catalog
from salesml.registry.columns import columns_of
from salesml.workflows.lead_live import LiveLeads, checked, score_one
from salesml.workflows.leads import COMPONENTS, MODEL, lead_table, score_leads
from salesml.workflows.rescore_leads import rescore_leads, scorings
from salesml.workspace import Workspace

START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TABLES = ("lead", "lead_event", "activity")
LEAD_IDS = "ABCD"
Fact = tuple[str, dict[str, Any]]


def hour(number: float) -> dt.datetime:
    return START + dt.timedelta(hours=number)


def stored(facts: list[Fact]) -> dict[str, pa.Table]:
    """The rows as the lake keeps them where each fact comes in by an import of its own, in the order of the list.

    A repetition is no row. known_at is as given: the facts of one key come in that order.
    """
    newest: dict[Any, dict[str, Any]] = {}
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for number, (name, fact) in enumerate(facts):
        key = (name, *(fact.get(part) for part in table(name).key))
        said = {column: value for column, value in fact.items() if column != "known_at"}
        if newest.get(key) == said and not said.get("retracted"):
            continue
        newest[key] = said
        rows[name].append(fact | {"retracted": bool(fact.get("retracted")), "import_id": f"{number:06d}"})
    return {name: pa.Table.from_pylist(rows[name], schema=table(name).schema) for name in TABLES}


def batch(workspace: Workspace, facts: list[Fact], asked: list[dt.datetime]) -> pd.DataFrame:
    """The features of all leads at each of the instants, by way of tables that hold all facts."""
    spine = pd.DataFrame([{"lead_id": lead, "as_of": at} for at in sorted(set(asked)) for lead in LEAD_IDS])
    return LEADS.frame(visible(Tables.of(workspace, stored(facts)), spine.astype({"as_of": "datetime64[us, UTC]"})))


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Exact types bit for bit, floats to 1e-9 relative."""
    expected = expected.reset_index(drop=True)
    assert found["lead_id"].tolist() == expected["lead_id"].tolist()
    for name in expected:
        one, other = found[name], expected[name]
        if other.dtype == "float64":
            np.testing.assert_allclose(one.to_numpy("float64"), other.to_numpy(), rtol=1e-9, atol=0, err_msg=name)
        else:
            told, wanted = (each.astype("object").where(each.notna(), None).tolist() for each in (one, other))
            assert told == wanted, name


hours = st.integers(0, 20).map(lambda number: 48 * number)
some = st.sampled_from
changes = st.fixed_dictionaries(
    {
        "lead_id": some(LEAD_IDS), "change_id": some(["created", "1", "2"]),
        "status": some([None, "open", "qualified", "converted", "disqualified"]), "source": some([None, "web", "fair"]),
        "campaign_id": some([None, "G1", "G2"]), "title": some([None, "Buyer", "Analyst"]), "employees": some([None, 5, 900]),
        "owner_id": some([None, "U1"]), "deleted": some([None, None, None, False, True]),
    }
)  # fmt: skip
events = st.fixed_dictionaries(
    {
        "lead_event_id": some("abcdefgh"), "lead_id": some(LEAD_IDS),
        "type": some(["web_visit", "email_open", "email_reply", "form", "odd"]),
        "content": some([None, "Pricing", "blog", "TR\u0130AL", "quoted"]),
    }
)  # fmt: skip
activities = st.fixed_dictionaries(
    {"activity_id": some("mnopq"), "lead_id": some([*LEAD_IDS, None]), "direction": some([None, "inbound", "outbound"])}
)


def facts_of(name: str, said: Any) -> Any:
    """Facts of a table, or withdrawals of their keys, with the hours when they were true, by which they came late and were told early."""

    def fact(parts: tuple[dict, int, int, int, int]) -> Fact:
        said, occurred, late, early, withdrawn = parts
        said = {part: said.get(part) for part in table(name).key} | {"retracted": True} if withdrawn == 0 else said
        return name, said | {"occurred_at": hour(occurred), "late": late, "early": early}

    return st.tuples(said, hours, some([0, 0, 1, 30, 200]), some([0, 0, 0, 100, -40]), st.integers(0, 4)).map(fact)


streams = st.lists(
    st.one_of(
        facts_of("lead", changes), facts_of("lead_event", events), facts_of("lead_event", events), facts_of("activity", activities)
    ),
    min_size=20, max_size=90,
)  # fmt: skip


def dated(stream: list[Fact]) -> list[tuple[dt.datetime, Fact]]:
    """When each fact comes in, and the fact with its known_at: those of one key in order, known at or after they were true."""
    known: dict[Any, dt.datetime] = {}
    comes: dict[Any, dt.datetime] = {}
    found = []
    for name, fact in stream:
        said = {column: value for column, value in fact.items() if column not in ("late", "early")}
        key = (name, *(fact.get(part) for part in table(name).key))
        at = fact["occurred_at"] + dt.timedelta(hours=fact["late"])
        known[key] = max(at, known[key] + dt.timedelta(minutes=1)) if key in known else at
        came = known[key] - dt.timedelta(hours=fact["early"])
        comes[key] = max(came, comes.get(key, came))
        found.append((comes[key], (name, said | {"known_at": known[key]})))
    return sorted(found, key=lambda one: one[0])


@pytest.mark.slow
@settings(max_examples=10, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck))
@given(stream=streams, opened=some([100, 500, 800]), steps=st.lists(some([0, 1, 24, 167, 169, 400, 700]), min_size=1, max_size=3))
def test_features_taken_in_one_by_one_are_those_of_the_lake(tmp_path_factory, stream, opened, steps):
    workspace, coming = Workspace.create(tmp_path_factory.mktemp("live")), dated(stream)
    at = hour(opened)
    loaded = [fact for came, fact in coming if came < at]
    live = LeadFacts(visible(Tables.of(workspace, stored(loaded)), at))
    # what the lake holds but what is not known yet when it is opened comes in anew
    waiting = [(came, fact) for came, fact in coming if came >= at or fact[1]["known_at"] >= at]
    found = []
    for step in steps:
        at += dt.timedelta(hours=step)
        while waiting and (waiting[0][0] < at or any(fact["known_at"] < at for _, (_, fact) in waiting)):
            name, fact = waiting.pop(0)[1]
            live.take(name, fact, at)
        live.advance(at)
        found.append(live.frame(LEAD_IDS))
    facts = [fact for _, fact in coming]
    frames = pd.concat(found).drop_duplicates(["lead_id", "as_of"]).sort_values(["lead_id", "as_of"], ignore_index=True)
    same(frames, batch(workspace, facts, [hour(opened + sum(steps[: number + 1])) for number in range(len(steps))]))
    same(found[-1], LEADS.frame(visible(Tables.of(workspace, stored(facts)), at)))


def few(**changes: Any) -> list[Fact]:
    """A lead of the company A's and some events, each known an hour after the one before; `changes` by name add to them."""
    lead = {"lead_id": "A", "change_id": "created", "status": "open", "source": "web", "occurred_at": hour(0), "known_at": hour(0)}
    visit = {"lead_event_id": "a", "lead_id": "A", "type": "web_visit", "content": "blog", "occurred_at": hour(1), "known_at": hour(1)}
    form = {"lead_event_id": "b", "lead_id": "A", "type": "form", "content": "Pricing", "occurred_at": hour(2), "known_at": hour(2)}
    call = {"activity_id": "m", "lead_id": "A", "direction": "inbound", "occurred_at": hour(3), "known_at": hour(3)}
    facts = {"lead": ("lead", lead), "visit": ("lead_event", visit), "form": ("lead_event", form), "call": ("activity", call)}
    return [(name, fact | changes.get(what, {})) for what, (name, fact) in facts.items()]


def test_an_event_ages_though_nothing_happens_and_one_that_is_gone_still_counts_for_its_days(workspace):
    gone = ("lead_event", {"lead_event_id": "a", "retracted": True, "occurred_at": hour(1), "known_at": hour(20)})
    facts = [*few(), gone]
    live, found = LeadFacts(visible(Tables.of(workspace, stored(facts)), hour(24))), []
    asked = [hour(24), hour(1 + 168), hour(10 + 168), hour(21 + 168), hour(1 + 672), hour(10 + 672), hour(21 + 672)]
    for at in asked:
        live.advance(at)
        found.append(live.frame(LEAD_IDS))
    frames = pd.concat(found, ignore_index=True)
    assert (frames["visits"] == 0).all() and (frames["forms"] == 1).all()
    assert frames["intent_points"].round(9).tolist() == [16.0, 16.0, 8.0, 8.0, 8.0, 2.4, 2.4]
    same(frames, batch(workspace, facts, asked))
    with pytest.raises(BadParameter, match="time only moves on"):
        live.advance(hour(3))


def test_changes_of_one_instant_count_in_the_order_in_which_they_became_known(workspace):
    changed = [
        ("lead", {"lead_id": "A", "change_id": change, "title": title, "occurred_at": hour(5), "known_at": hour(known)})
        for change, title, known in (("z", "Buyer", 6), ("a", "Analyst", 7))
    ]
    live = LeadFacts(visible(Tables.of(workspace, stored(few())), hour(4)))
    for name, fact in changed:
        assert live.take(name, fact, hour(9)) == ("taken", {"A"})
    live.advance(hour(9))
    again = ("lead", {"lead_id": "A", "change_id": "z", "title": "Vice president", "occurred_at": hour(5), "known_at": hour(8)})
    assert live.frame("A")["title"].tolist() == ["Analyst"]
    live.take(*again, hour(9))
    assert live.frame("A")["title"].tolist() == ["Vice president"]
    same(live.frame(LEAD_IDS), batch(workspace, [*few(), *changed, again], [hour(9)]))


@pytest.mark.slow
def test_rows_without_known_at_count_from_when_the_lake_would_have_them_known(workspace):
    """The same rows, each by an import of its own; a correction of unknown date is known from its load on."""
    lake = Lake(workspace)
    first = few()

    def ingest(name: str, fact: dict[str, Any], loaded: dt.datetime) -> None:
        schema = pa.schema([field for field in table(name).schema if field.name in fact])
        lake.ingest({name: pa.Table.from_pylist([fact], schema=schema)}, origin="test", loaded_at=loaded)

    for name, fact in first:
        ingest(name, fact, hour(4))
    live = LeadFacts(visible(lake.open(), hour(5)))
    later: list[tuple[int, Fact]] = [
        (6, ("lead_event", {"lead_event_id": "c", "lead_id": "A", "type": "web_visit", "occurred_at": hour(5)})),
        (7, ("lead_event", {"lead_event_id": "c", "lead_id": "A", "type": "form", "occurred_at": hour(5)})),  # says otherwise
        (8, ("lead_event", {"lead_event_id": "c", "lead_id": "A", "type": "form", "occurred_at": hour(5)})),  # says it again
        (9, ("lead_event", {"lead_event_id": "b", "lead_id": "B", "type": "form", "content": "Pricing", "occurred_at": hour(2)})),
        (10, ("lead", {"lead_id": "B", "change_id": "created", "status": "open", "source": "web", "occurred_at": hour(1)})),
        (11, ("lead", {"lead_id": "A", "change_id": "end", "status": "converted", "occurred_at": hour(4), "known_at": hour(12)})),
        (13, ("activity", {"activity_id": "m", "retracted": True, "occurred_at": hour(3)})),
    ]
    verdicts, found = [], []
    for at, (name, fact) in later:
        ingest(name, fact, hour(at))
        verdicts.append(live.take(name, fact, hour(at)))
        live.advance(hour(at) + MICROSECOND)
        found.append(live.frame("AB"))
    assert verdicts[1:4] == [("taken", {"A"}), ("unchanged", {"A"}), ("taken", {"A", "B"})]
    assert lake.head().note["counts"]["activity"]["corrected"] == 1
    asked = pd.concat(found)[["lead_id", "as_of"]]
    whole = LEADS.frame(visible(lake.open(), asked))
    same(pd.concat(found).sort_values(["lead_id", "as_of"], ignore_index=True), whole)
    assert found[-1]["status"].tolist() == ["converted", "open"] and found[-1]["source_conversion"].nunique() == 1
    assert whole["activities"].tolist()[-1] == 0 and found[0]["activities"].tolist() == [1]


@pytest.fixture(scope="module")
def company(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company whose champion is a rate by source (version 1), with a tree model beside it (version 2)."""
    made = copied(tiny_workspace, tmp_path_factory.mktemp("company"))
    learnt = lead_table(made, "2026-03-01", within_days=28).labelled
    X, y, half = learnt[LEADS.names], learnt["converted"].to_numpy(), len(learnt) // 2
    later = (X[half:], y[half:])
    rate = GroupRate.fit(X, y, calibration=(X, y), seed=0, column="source")
    trees = OutcomeModel.fit(
        X[:half], y[:half], calibration=later, categorical=LEADS.categorical, candidates=(Settings(trees=15),), members=3, threads=1
    )
    for scorer in (rate, trees):
        with tempfile.TemporaryDirectory() as folder:
            scorer.save(Path(folder))
            columns = columns_of(X, LEADS.categorical)
            catalog.register(made, MODEL, Path(folder), columns=columns, baseline=scorer is rate)
    return made


TREES, AT, LATER = 2, "2026-05-04", "2026-05-06"


def live_facts(workspace: Workspace, since: str, until: str) -> list[Fact]:
    """What became known of leads from one day to before another, in that order, as a stream would bring it."""
    found, tables = [], Lake(workspace).open()
    for name in TABLES:
        rows = tables.rows(name).to_pandas()
        new = (rows["known_at"] >= pd.Timestamp(since, tz="UTC")) & (rows["known_at"] < pd.Timestamp(until, tz="UTC"))
        rows = rows[new & rows["lead_id"].notna()]
        found += [(name, {str(column): value for column, value in row.items()}) for row in rows.to_dict("records")]
    return sorted(found, key=lambda fact: fact[1]["known_at"])


@pytest.mark.slow
def test_scores_of_a_stream_are_those_of_scoring_all(company):
    live = LiveLeads(company, AT, TREES)
    facts = live_facts(company, AT, LATER)
    assert {name for name, _ in facts} == set(TABLES)
    pushed = [live.push(name, fact, fact["known_at"].to_pydatetime() + MICROSECOND) for name, fact in facts]
    live.advance(company.instant(LATER))
    full = score_leads(company, LATER, TREES)
    assert live.counts == {"taken": len(facts), "unchanged": 0, "rejected": 0} and all(pushed)
    mine = live.scores([*full["lead_id"], *{fact["lead_id"] for _, fact in facts}])
    assert mine["lead_id"].tolist() == full["lead_id"].tolist()
    numbers = ["probability", "lo", "hi", "composite", *COMPONENTS, "points", "age_days"]
    np.testing.assert_allclose(mine[numbers].to_numpy(), full[numbers].to_numpy(), rtol=1e-9)
    for one, other in zip(mine["factors"], full["factors"], strict=True):
        assert [factor["feature"] for factor in one[:6]] == [factor["feature"] for factor in other]
        assert [factor["effect"] for factor in one[:6]] == pytest.approx([factor["effect"] for factor in other], rel=1e-9)
    best = full["lead_id"].iloc[0]
    told, alone = live.score(best), score_one(company, best, LATER, TREES)
    assert alone.probability == pytest.approx(full["probability"].iloc[0], rel=1e-9)
    assert (told.features, told.why_not, told.components) == (alone.features, None, pytest.approx(alone.components))
    assert {factor["feature"] for factor in told.factors} == {factor["feature"] for factor in alone.factors} and len(told.factors) >= 6


@pytest.fixture(scope="module")
def live(company) -> LiveLeads:
    return LiveLeads(company, AT, TREES)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("lead_event", {"type": None}, r"a row of lead_event needs type"),
        ("lead_event", {"lead_id": ""}, r"needs lead_id"),
        ("lead_event", {"occurred_at": "2026-05-04 10:00"}, r"occurred_at: this is not an instant with a time zone.*2026-05-04 10:00"),
        ("lead_event", {"occurred_at": "yesterday"}, r"not an instant such as"),
        ("lead_event", {"kind": "form"}, r"column kind: a row of lead_event has no such column. It has: lead_event_id, lead_id"),
        ("lead_event", {"content": 7}, r"column content: this is not text \(value '7'\)"),
        ("activity", {"type": None, "activity_id": "m", "lead_event_id": None}, r"column lead_event_id: a row of activity has no such"),
        ("lead", {"lead_event_id": None}, r"no such column"),
        ("opportunity", {}, r"unknown table of what leads are and do 'opportunity'; valid: activity, lead, lead_event"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_row_is_told_and_counted_and_changes_nothing(live, name, changes, told):
    good = {"lead_event_id": "new", "lead_id": "X1", "type": "form", "occurred_at": "2026-05-04T10:00:00+02:00"}
    before = live.counts.copy()
    with pytest.raises((BadInput, UnknownName), match=told):
        live.push(name, good | changes, live.as_of)
    assert live.counts - before == {"rejected": 1}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"status": "warm"}, r"column status: this is not one of open, qualified, converted, disqualified"),
        ({"employees": 2.5}, r"not a whole number from 0"),
        ({"employees": -1}, r"not a whole number from 0"),
        ({"employees": True}, r"not a whole number"),
        ({"deleted": "yes"}, r"column deleted: this is not true or false"),
        ({"change_id": None}, r"needs change_id"),
    ],
)
def test_a_change_of_a_lead_is_held_to_its_contract(changes, told):
    good = {"lead_id": "X1", "change_id": "created", "status": "open", "employees": 7, "occurred_at": hour(0), "title": float("nan")}
    assert checked("lead", good) == good | {"title": None}
    with pytest.raises(BadInput, match=told):
        checked("lead", good | changes)


def test_good_rows_count_beside_wrong_ones_and_each_lead_is_scored_once(company):
    live = LiveLeads(company, AT, TREES)
    scored = score_leads(company, AT, TREES)["lead_id"].head(2).tolist()
    event = {"type": "form", "content": "Demo", "occurred_at": "2026-05-04T01:00:00+00:00"}
    facts: list[Any] = [
        ("lead_event", event | {"lead_event_id": f"n{number}", "lead_id": lead})
        for number, lead in enumerate([scored[0], scored[0], "nobody", scored[1]])
    ]
    facts[1:1] = [("lead_event", event | {"lead_event_id": "wrong"}), ("lead_event", None)]
    before = live.scores(scored).set_index("lead_id")
    done = live.push_all(facts, live.as_of + dt.timedelta(hours=3))
    assert [place for place, _ in done.rejected] == [1, 2] and "needs lead_id" in done.rejected[0][1]
    assert live.counts == {"taken": 4, "unchanged": 0, "rejected": 2}
    after = done.scores.set_index("lead_id")
    assert set(after.index) == set(scored) and (after["age_days"] > before["age_days"].loc[after.index]).all()
    assert (after["points"] - before["points"]).loc[scored].gt(0).all()
    assert set(done.why_not) == {"nobody"} and "no lead nobody is known as of 2026-05-04 03:00" in done.why_not["nobody"]
    again = live.push(*facts[0], live.as_of)
    assert live.counts["unchanged"] == 1 and again[0].lead_id == scored[0]


def test_a_lead_that_is_not_scored_says_why(company):
    live = LiveLeads(company, AT, TREES)
    lead = score_leads(company, AT, TREES)["lead_id"].iloc[0]
    change = {"lead_id": lead, "change_id": "seen", "occurred_at": "2026-05-04T00:00:00Z"}
    (told,) = live.push("lead", change | {"status": "qualified"}, live.as_of + dt.timedelta(hours=1))
    assert told.why_not == f"lead {lead} is qualified, not open" and told.probability is None and told.features["events"] >= 0
    (told,) = live.push("lead", change | {"status": "open"}, live.as_of + dt.timedelta(hours=1))
    assert told.why_not is None and 0 < told.lo <= told.probability <= told.hi
    live.advance(live.as_of + dt.timedelta(weeks=27))
    assert "longer than 182" in live.score(lead).why_not
    (told,) = live.push("lead", change | {"deleted": True}, live.as_of + dt.timedelta(hours=1))
    assert "or it was deleted" in told.why_not and told.features is None


def put_in(workspace: Workspace, name: str, **fact: Any) -> None:
    """Import one row."""
    schema = pa.schema([field for field in table(name).schema if field.name in fact])
    Lake(workspace).ingest({name: pa.Table.from_pylist([fact], schema=schema)}, origin="test")


@pytest.fixture
def writable(company: Workspace, tmp_path: Path) -> Workspace:
    return copied(company, tmp_path)


@pytest.mark.slow
def test_only_leads_with_new_facts_are_scored_again_with_the_numbers_of_scoring_all(writable):
    assert len(rescore_leads(writable, AT)) == len(score_leads(writable, AT)), "nothing was scored before: all are"
    moved = {fact["lead_id"] for _, fact in live_facts(writable, AT, LATER)}
    hidden = next(lead for lead in score_leads(writable, LATER, TREES)["lead_id"] if lead in moved)
    score_leads(writable, LATER, leads=[hidden])  # one lead scored by hand does not count as a scoring of the others
    again, full = rescore_leads(writable, LATER), score_leads(copied(writable, writable.root.parent / "full"), LATER)
    assert set(again["lead_id"]) == moved & set(full["lead_id"]) and 1 < len(again) < len(full)
    numbers = ["lead_id", "probability", "composite", *COMPONENTS, "points"]
    expected = full[full["lead_id"].isin(again["lead_id"])]
    pd.testing.assert_frame_equal(again[numbers], expected[numbers].reset_index(drop=True), rtol=1e-9)
    assert rescore_leads(writable, LATER).empty, "nothing has moved since"
    assert [one.covers for one in scorings(Lake(writable), 1)] == ["touched", "some", "all"]

    still = full[~full["lead_id"].isin(moved)]["lead_id"].tolist()
    old = dt.datetime(2026, 4, 20, tzinfo=dt.UTC)
    visit = {"lead_event_id": "late", "lead_id": still[0], "type": "web_visit", "occurred_at": old}
    put_in(writable, "lead_event", **visit)
    assert rescore_leads(writable, LATER)["lead_id"].tolist() == [still[0]], "brought late, whenever it happened"
    put_in(writable, "lead_event", **visit | {"lead_id": still[1], "known_at": old + dt.timedelta(days=1)})
    assert set(rescore_leads(writable, LATER)["lead_id"]) == set(still[:2]), "it was somebody else's"
    gone = {"lead_event_id": "late", "occurred_at": old, "known_at": old + dt.timedelta(days=2), "retracted": True}
    put_in(writable, "lead_event", **gone)
    assert rescore_leads(writable, LATER)["lead_id"].tolist() == [still[1]], "it was withdrawn"
    week_on = (writable.instant(AT) + dt.timedelta(days=7)).date()
    assert len(rescore_leads(writable, week_on)) == len(score_leads(writable, week_on)) > 1, "the scores of all are a week old"


def test_without_a_champion_it_says_what_to_do(workspace):
    with pytest.raises(NotEnoughData, match="no champion yet; train one with: salesml train leads"):
        rescore_leads(workspace)


@pytest.mark.slow
def test_the_watched_folder_scores_again_the_leads_that_an_import_touched(writable, monkeypatch):
    from salesml.workflows import watch

    score_leads(writable)
    last = Lake(writable).open().instant(None)
    lead = score_leads(writable)["lead_id"].iloc[0]
    put_in(writable, "lead_event", lead_event_id="new", lead_id=lead, type="form", occurred_at=last - dt.timedelta(hours=1))
    touched = {"lead_event": {"added": 1, "corrected": 0, "retracted": 0}}
    assert watch._rescored(writable, SimpleNamespace(counts=touched)) == "1 open leads with new facts scored again"
    assert watch._rescored(writable, SimpleNamespace(counts={"revenue": {"added": 1}})) is None


@pytest.mark.slow
def test_the_commands_show_one_lead_with_its_reasons_and_score_what_changed(writable):
    app = typer.Typer()
    study.register(app)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["score", *arguments], obj=str(writable.root), env={"COLUMNS": "200"})

    lead = score_leads(writable, AT)["lead_id"].iloc[0]
    shown = run("leads", "--lead", lead, "--as-of", AT)
    words = " ".join(shown.output.split())
    assert shown.exit_code == 0 and f"lead {lead}:" in words and "90 % interval" in words
    assert "conversion rate of the source" in words or "where the lead came from" in words
    assert "open leads scored as of 2026-05-06" in " ".join(run("leads", "--changed", "--as-of", LATER).output.split())
    assert "no open lead has new facts" in run("leads", "--changed", "--as-of", LATER).output
    for arguments, told in (
        (["leads", "--lead", "nobody"], "no lead nobody is known"), (["leads", "--lead", lead, "--changed"], "give one of them"),
        (["deals", "--changed"], "--lead and --changed for leads"),
    ):  # fmt: skip
        wrong = run(*arguments)
        assert wrong.exit_code != 0 and isinstance(wrong.exception, BadParameter) and told in str(wrong.exception)


@pytest.mark.slow
def test_the_features_of_a_company_are_those_that_plain_pandas_makes(tiny_workspace, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent))
    from benchmarks import _leads_pandas as plain
    from benchmarks.leads import copies

    company = copied(tiny_workspace, tmp_path)
    Lake(company).ingest(copies(company, 500), origin="test")
    tables = Lake(company).open()
    as_of = tables.instant(None)
    found = LEADS.frame(visible(tables, as_of))
    assert plain.differences(found, plain.features(tables, as_of)) == {}
    young = found[found["lead_id"].str.startswith("L")]
    assert len(young) == 500 and young["status"].eq("open").all() and young["age_days"].between(0, 182).all()
    assert young["events"].sum() > 500
    assert plain.differences(found.assign(visits=found["visits"] + 1), found) == {"visits": len(found)}
    one = lead_rows(visible(tables, as_of), ["L0000007", "nobody"])
    assert plain.differences(one, found[found["lead_id"] == "L0000007"]) == {} and len(one) == 1
