"""Adjustments: what may be said, what holds as of an instant, how well it did; the commands."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from typer.testing import CliRunner

from salesml.cli import adjust as commands
from salesml.contracts import table
from salesml.errors import BadParameter, UnknownName
from salesml.lake import Lake, visible
from salesml.state import audit
from salesml.state.users import add_user, current_user
from salesml.workflows import signed
from salesml.workflows.adjustments import EVERYBODY, adjust, in_force, record_of, with_adjustments, withdraw
from salesml.workspace import Workspace

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WHY = "the board has agreed"


def at(day: float) -> dt.datetime:
    return START + dt.timedelta(days=day)


def put(workspace: Workspace, name: str, rows: list[dict]) -> None:
    """Rows into the lake, each with occurred_at as its known_at unless it has one."""
    given = {key for row in rows for key in row}
    schema = pa.schema([field for field in table(name).schema if field.name in given])
    Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="t")


def change(deal: str, day: float, status: str) -> dict:
    return {"opportunity_id": deal, "change_id": f"{status}:{day}", "status": status, "occurred_at": at(day)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Set the day adjustments are made on."""

    def on(day: float) -> None:
        monkeypatch.setattr(signed, "now", lambda: at(day))

    return on


@pytest.fixture
def deals(workspace: Workspace, clock) -> Workspace:
    """Deals d0 … d4, open since day 0; it is day 10."""
    put(workspace, "opportunity", [change(f"d{n}", 0, "open") for n in range(5)])
    clock(10)
    return workspace


def held(workspace: Workspace, day: float) -> dict[str, float]:
    found = in_force(Lake(workspace).open(), at(day))
    return dict(zip(found["opportunity_id"], found["probability"], strict=True))


def test_an_adjustment_holds_from_when_it_was_known_to_before_its_end(deals):
    made = adjust(deals, "d1", 0.6, WHY, at(40))
    assert held(deals, 10) == {}, "half-open: known at as_of is not known"
    assert held(deals, 10.001) == {"d1": 0.6} == held(deals, 39.999)
    assert held(deals, 40) == {}
    row = in_force(visible(Lake(deals).open(), at(11))).iloc[0]
    assert (row["author"], row["approver"], row["reason"]) == (current_user(deals).name,) * 2 + (WHY,)
    assert row["known_at"] == at(10) and row["expires_at"] == at(40) and row["override_id"] == made.override_id
    entry = audit.entries(deals, action="adjust")[-1]
    assert (entry.subject, entry.details["probability"], entry.at) == ("deal d1", 0.6, at(10))


def test_the_latest_wins_for_good_and_the_past_stays_as_it_was(deals, clock):
    adjust(deals, "d1", 0.6, WHY, at(100))
    adjust(deals, "d2", 0.3, WHY, at(100))
    clock(20)
    later = adjust(deals, "d1", 0.2, "they lost their budget", at(30))
    assert held(deals, 15) == {"d1": 0.6, "d2": 0.3}
    assert held(deals, 25) == {"d1": 0.2, "d2": 0.3}
    assert held(deals, 31) == {"d2": 0.3}, "the earlier one does not come back when the later one ends"
    clock(26)
    withdraw(deals, later.override_id, "it was another company")
    assert held(deals, 25) == {"d1": 0.2, "d2": 0.3} and held(deals, 27) == {"d2": 0.3}
    clock(27)
    with pytest.raises(BadParameter, match="is not in force"):
        withdraw(deals, later.override_id)
    facts = visible(Lake(deals).open(), at(28)).facts("override").to_pyarrow().to_pylist()
    assert len(facts) == 4 and {fact["withdraws"] for fact in facts} == {None, later.override_id}


def test_a_closed_or_deleted_deal_has_none_not_even_when_it_comes_back(deals):
    for deal in ("d0", "d1", "d2"):
        adjust(deals, deal, 0.5, WHY, at(100))
    put(deals, "opportunity", [change("d0", 20, "lost"), change("d1", 20, "won")])
    put(deals, "opportunity", [change("d0", 30, "open")])
    gone = {"opportunity_id": "d2", "change_id": "gone", "deleted": True, "occurred_at": at(30)}
    put(deals, "opportunity", [gone])
    assert set(held(deals, 15)) == {"d0", "d1", "d2"} and set(held(deals, 21)) == {"d2"} and held(deals, 31) == {}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"deal": "nobody"}, "'nobody' is not known"),
        ({"deal": "d4"}, "'d4' is won; only an open deal"),
        ({"probability": 0.0}, "probability 0.0 is not between"),
        ({"probability": 1}, "probability 1 is not between"),
        ({"probability": float("nan")}, "probability nan"),
        ({"probability": "0.5"}, "probability '0.5'"),
        ({"reason": "because so"}, "has not 3 words"),
        ({"reason": "… … … …"}, "has not 3 words"),
        ({"expires": at(10)}, "not in the future"),
        ({"expires": at(191)}, "at most 180 days"),
        ({"expires": "tomorrow"}, "as_of 'tomorrow' is not a date"),
    ],
)
def test_what_may_not_be_said_is_refused_and_leaves_nothing(deals, change, match):
    put(deals, "opportunity", [{"opportunity_id": "d4", "change_id": "end", "status": "won", "occurred_at": at(5)}])
    given = {"deal": "d1", "probability": 0.6, "reason": WHY, "expires": at(40)} | change
    with pytest.raises(BadParameter, match=match):
        adjust(deals, **given)
    assert not audit.entries(deals, action="adjust") and "override" not in Lake(deals).head().tables


def test_only_admins_and_managers_may(deals):
    admin = current_user(deals).name
    for role in ("rep", "analyst", "scheduler", "manager"):
        add_user(deals, f"a {role}", (role,), admin)
    for role in ("rep", "analyst", "scheduler"):
        with pytest.raises(BadParameter, match="neither admin nor manager"):
            adjust(deals, "d1", 0.6, WHY, at(40), by=f"a {role}")
    made = adjust(deals, "d1", 0.6, WHY, at(40), by="a manager")
    assert made.author == "a manager"
    with pytest.raises(BadParameter, match="neither admin nor manager"):
        withdraw(deals, made.override_id, by="a rep")
    with pytest.raises(UnknownName, match="unknown user 'nobody'"):
        adjust(deals, "d1", 0.6, WHY, at(40), by="nobody")


def test_scores_keep_their_own_number_beside_the_adjustment(deals):
    adjust(deals, "d1", 0.6, WHY, at(40))
    scores = pd.DataFrame({"opportunity_id": ["d2", "d1"], "probability": [0.1, 0.2]})
    found = with_adjustments(scores, in_force(Lake(deals).open(), at(11)))
    pd.testing.assert_frame_equal(found[list(scores)], scores)
    assert found["adjusted"].tolist() == [False, True] and found["adjusted_probability"].tolist()[1] == 0.6
    assert np.isnan(found["adjusted_probability"][0]) and found["adjusted_reason"][1] == WHY
    none = with_adjustments(scores, in_force(Lake(deals).open(), at(1)))
    assert not none["adjusted"].any() and list(none) == list(found)


def score(deal: str, day: float, point: float, version: str = "1", known: float | None = None) -> dict:
    return {
        "prediction_id": f"{version}:{deal}:{day}", "entity_type": "opportunity", "entity_id": deal, "target": "won", "point": point,
        "as_of": at(day), "model": "deal_outcome", "model_version": version, "occurred_at": at(known or day), "known_at": at(known or day),
    }  # fmt: skip


def test_the_record_compares_with_the_champions_latest_score_before_the_adjustment(deals, clock):
    put(deals, "prediction", [
        score("d0", 1, 0.10), score("d0", 8, 0.30), score("d0", 9, 0.99, version="2"), score("d0", 9.5, 0.98, known=12),
        score("d1", 8, 0.50), score("d3", 8, 0.50),
    ])  # fmt: skip
    audit.record(deals, "ann", "promote", "model deal_outcome version 1", at=at(0))
    audit.record(deals, "ann", "promote", "model deal_outcome version 2", at=at(11))
    for deal, probability in (("d0", 0.6), ("d1", 0.9), ("d2", 0.9), ("d3", 0.9)):
        adjust(deals, deal, probability, WHY, at(40))
    put(deals, "opportunity", [change("d0", 20, "won"), change("d1", 25, "lost"), change("d2", 20, "won")])
    early = record_of(deals, at(21)).set_index("author")
    assert early.loc[EVERYBODY, "deals"] == 1, "d1 is not closed yet, d2 had no score, d3 stays open"
    assert early.loc[EVERYBODY, "log_loss"] == pytest.approx(-np.log(0.6))
    assert early.loc[EVERYBODY, "model_log_loss"] == pytest.approx(-np.log(0.3))
    both = record_of(deals, at(30)).set_index("author")
    assert both.loc[EVERYBODY, "log_loss"] == pytest.approx(-np.log([0.6, 0.1]).mean())
    assert both.loc[EVERYBODY, "model_log_loss"] == pytest.approx(-np.log([0.3, 0.5]).mean())
    assert both.loc[EVERYBODY, "verdict"] == "too few to judge: 2 closed deals, 20 are needed"
    assert record_of(deals, at(15)).empty


def test_the_record_tells_good_authors_from_bad_and_shrinks_the_small(workspace):
    names = [f"d{n}" for n in range(60)]
    won = {name: n % 2 == 0 for n, name in enumerate(names)}
    put(workspace, "opportunity", [change(name, 0, "open") for name in names])
    put(workspace, "prediction", [score(name, 5, 0.5) for name in names])
    rows = []
    for n, name in enumerate(names[:30]):
        right = 0.8 if won[name] else 0.2
        author, said = ("good", right) if n < 28 else ("small", 1 - right)
        rows.append({"override_id": f"a{n}", "target_type": "prediction", "target_id": name, "probability": said, "reason": WHY,
                     "author": author, "expires_at": at(50), "occurred_at": at(10)})  # fmt: skip
    put(workspace, "override", rows)
    put(workspace, "opportunity", [change(name, 20, "won" if won[name] else "lost") for name in names])
    found = record_of(workspace, at(30)).set_index("author")
    good, small = np.log(0.5) - np.log(0.8), np.log(0.5) - np.log(0.2)
    everybody = (28 * good + 2 * small) / 30
    assert found.loc["good", "difference"] == pytest.approx(good) and found.loc["good", "hi"] < 0
    assert found.loc["good", "verdict"] == "better than the model"
    assert found.loc["small", "shrunk"] == pytest.approx((2 * small + 20 * everybody) / 22)
    assert found.loc["small", "verdict"].startswith("too few to judge: 2 closed deals")
    assert found.loc[EVERYBODY, "shrunk"] == pytest.approx(everybody)


def test_the_commands(workspace):
    today = dt.datetime.now(dt.UTC)
    put(workspace, "opportunity", [{"opportunity_id": "d1", "change_id": "made", "status": "open", "occurred_at": today}])
    app = typer.Typer()
    commands.register(app)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["adjust", *arguments], obj=str(workspace.root), env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.output

    assert "no adjustment is in force" in run("list")
    until = str((today + dt.timedelta(days=20)).date())
    told = run("deal", "d1", "--probability", "0.6", "--reason", WHY, "--until", until)
    name = told.split(":")[0]
    assert "60%" in told and until in told
    assert name in run("list") and WHY.split()[0] in run("list")
    assert f"{name} is withdrawn" in run("withdraw", name)
    assert "no adjustment is in force" in run("list") and "has closed yet" in run("record")
