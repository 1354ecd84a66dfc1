"""What changed: parts that sum to the cent for any deals, each cause in its place, versions and overrides, the command."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from salesml.analytics.forecast_change import CAUSES, behind, decompose, totals
from salesml.cli import changes as command
from salesml.contracts import table
from salesml.errors import BadInput, BadParameter
from salesml.figures.change import behind_table, causes_table, waterfall_figure
from salesml.lake import Lake
from salesml.state import audit
from salesml.workflows import forecast_change
from salesml.workflows.forecast_change import what_changed
from salesml.workspace import Workspace

COLUMNS = ["opportunity_id", "state", "amount", "due", "chance", "held_chance", "renewed_chance"]
CHANCE = st.floats(0, 1)
AMOUNT = st.one_of(st.none(), st.decimals(0, 9_999_999_999_999, places=2))
DEAL = st.tuples(st.sampled_from(["open", "won"]), AMOUNT, st.booleans(), CHANCE, CHANCE, CHANCE)
DEALS = st.dictionaries(st.sampled_from([f"d{n}" for n in range(6)]), DEAL)


def frame(deals: dict[str, tuple]) -> pd.DataFrame:
    return pd.DataFrame([(deal, *row) for deal, row in deals.items()], columns=COLUMNS)


def worth(deals: dict[str, tuple]) -> Decimal:
    values = [
        Decimal(0) if amount is None else amount if state == "won" else amount * Decimal(held)
        for state, amount, _, _, held, _ in deals.values()
    ]
    return sum(values, Decimal(0))


@settings(max_examples=40, deadline=None)
@given(DEALS, DEALS)
def test_the_parts_of_any_change_sum_to_it_to_the_cent(before, after):
    found = decompose(frame(before), frame(after))
    for row in found.to_dict("records"):
        assert sum(row[cause] for cause in CAUSES) == row["after"] - row["before"]
        assert all(row[cause] == row[cause].quantize(Decimal("0.01")) for cause in CAUSES)
    sums = totals(found)
    assert sum(sums["amount"]) == sum(found["after"], Decimal(0)) - sum(found["before"], Decimal(0))
    assert behind(found).groupby("cause")["part"].sum().to_dict() == {
        row["cause"]: row["amount"] for row in sums.to_dict("records") if row["deals"]
    }
    half_a_cent = Decimal("0.0051")
    assert abs(sum(found["before"], Decimal(0)) - worth(before)) <= half_a_cent * len(before)
    assert abs(sum(found["after"], Decimal(0)) - worth(after)) <= half_a_cent * len(after)


@settings(max_examples=15, deadline=None)
@given(DEALS)
def test_nothing_moves_where_nothing_changed(deals):
    same = {deal: (*row[:5], row[3]) for deal, row in deals.items()}
    assert totals(decompose(frame(same), frame(same)))["amount"].eq(Decimal(0)).all()


def open_at(amount: float, chance: float, held: float | None = None, due: bool = True, renewed: float | None = None) -> tuple:
    told = chance if held is None else held
    return ("open", Decimal(amount), due, chance, told, chance if renewed is None else renewed)


WON = ("won", Decimal(90), True, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        (None, open_at(100, 0.5), {"new": 50}),
        (None, open_at(100, 0.5, held=0.7), {"new": 50, "override": 20}),
        (None, WON, {"won": 90}),
        (open_at(100, 0.5, held=0.7), WON, {"won": 20}),
        (WON, open_at(100, 0.5), {"won": -40}),
        (WON, None, {"lost": -90}),
        (open_at(100, 0.5, held=0.7), None, {"lost": -70}),
        (WON, ("won", Decimal(95), True, 0.0, 0.0, 0.0), {"amount": 5}),
        (open_at(100, 0.5), open_at(100, 0.2, due=False), {"slipped": -30}),
        (open_at(100, 0.2, due=False), open_at(100, 0.5), {"pulled_in": 30}),
        (open_at(100, 0.5), open_at(200, 0.6), {"probability": 10, "amount": 60}),
        (open_at(100, 0.5, renewed=0.4), open_at(100, 0.6), {"model_version": -10, "probability": 20}),
        (open_at(100, 0.5), open_at(100, 0.5, held=0.9), {"override": 40}),
        (open_at(100, 0.5, held=0.9), open_at(200, 0.5), {"amount": 50, "override": -40}),
    ],
)
def test_each_cause_has_its_place(before, after, parts):
    old, new = (frame({} if deal is None else {"d": deal}) for deal in (before, after))
    row = decompose(old, new).iloc[0]
    assert {cause: float(row[cause]) for cause in CAUSES if row[cause]} == parts


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (("open", Decimal(1), True, 1.5, 0.5, 0.5), "deal d: the chance of an open deal"),
        (("open", Decimal(1), True, 0.5, float("nan"), 0.5), "row 1, column held_chance"),
        (("lost", Decimal(1), True, 0.5, 0.5, 0.5), "neither open nor won"),
    ],
)
def test_deals_that_cannot_be_are_refused(bad, match):
    with pytest.raises(BadInput, match=match):
        decompose(frame({}), frame({"d": bad}))
    with pytest.raises(BadInput, match="comes twice"):
        decompose(pd.concat([frame({"d": WON})] * 2), frame({}))


def change(deal: str, day: str, status: str, **more: object) -> dict:
    at = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
    return {"opportunity_id": deal, "change_id": f"{status}:{day}", "status": status, "occurred_at": at, **more}


@pytest.fixture
def quarter_of_deals(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two versions of a model; version 2 became champion on 12 May 2026."""
    due, later = dt.date(2026, 6, 20), dt.date(2026, 8, 1)
    rows = [
        *(change(deal, "2026-04-02", "open", amount=Decimal(100), close_date=due, name=f"deal {deal}") for deal in "abcde"),
        change("a", "2026-05-11", "won", amount=Decimal(110)), change("b", "2026-05-12", "lost"),
        change("c", "2026-05-13", "open", close_date=later), change("n", "2026-05-14", "open", amount=Decimal(50), close_date=due),
        change("old", "2026-03-01", "won", amount=Decimal(999)),
    ]  # fmt: skip
    schema = pa.schema([field for field in table("opportunity").schema if field.name in {key for row in rows for key in row}])
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist(rows, schema=schema)}, origin="t")
    at = dt.datetime(2026, 5, 15, 12, tzinfo=dt.UTC)
    held = {"override_id": "o", "target_type": "prediction", "target_id": "d", "probability": 0.9, "reason": "they have signed it",
            "author": "ann", "approver": "ann", "expires_at": at.replace(month=8), "occurred_at": at, "known_at": at}  # fmt: skip
    kept = pa.schema([field for field in table("override").schema if field.name in held])
    Lake(workspace).ingest({"override": pa.Table.from_pylist([held], schema=kept)}, origin="t")
    for number, day in ((1, 1), (2, 12)):
        audit.record(workspace, "ann", "promote", f"model deal_outcome version {number}", at=at.replace(day=day))

    def scores(_workspace, instant, version):
        deals = list("abcde") if instant < at.replace(day=12) else list("cden")
        chance = {1: 0.4, 2: 0.3}[version]
        rows = pd.DataFrame({"opportunity_id": deals, "probability": 0.6, "p_quarter": chance})
        moved = rows["opportunity_id"].eq("c") & (instant >= at.replace(day=12))
        return rows.assign(p_quarter=rows["p_quarter"].where(~moved, chance / 2))

    monkeypatch.setattr(forecast_change, "score_deals", scores)
    return workspace


def test_two_days_of_a_quarter_are_told_apart_cause_by_cause(quarter_of_deals):
    found = what_changed(quarter_of_deals, "2026-05-08", "2026-05-16")
    assert found.versions == (1, 2) and (found.before, found.after) == (Decimal(200), Decimal(110 + 15 + 45 + 30 + 15))
    parts = dict(zip(found.causes["cause"], found.causes["amount"].astype(float), strict=True))
    assert parts == {
        "new": 15, "won": 70, "lost": -40, "slipped": -15, "pulled_in": 0, "amount": 0, "probability": 0,
        "model_version": -30, "override": 15,
    }  # fmt: skip
    assert found.behind.loc[found.behind["cause"] == "override", "name"].tolist() == ["deal d"], "0.3 × 0.9 ÷ 0.6 for 100"
    assert "version 1 of the deal model before and of version 2 after" in found.notes[0]
    assert "went from 200.00 to 215.00 USD (+15.00) from Friday 8 May 2026" in found.sentence
    alt = waterfall_figure(found.before, found.causes, found.after, "USD").layout.meta["alt"]
    assert alt.startswith("From 200 to 215 USD: new +15, won +70")
    assert "+70.00" in causes_table(found.causes, "USD").html and "deal d" in behind_table(found.behind, "USD").html


def test_scores_kept_for_the_instant_are_not_made_again(quarter_of_deals, monkeypatch):
    asked = []
    score = forecast_change.score_deals
    monkeypatch.setattr(forecast_change, "score_deals", lambda *given: asked.append(given[1:]) or score(*given))
    first = what_changed(quarter_of_deals, "2026-05-08", "2026-05-16")
    assert len(asked) == 3, "both instants, the first by both versions"
    at = quarter_of_deals.instant("2026-05-08")
    rows = [
        {"prediction_id": f"{target}{deal}", "entity_type": "opportunity", "entity_id": deal, "target": target, "point": point, "as_of": at,
         "model": "deal_outcome", "model_version": "1", "occurred_at": at, "horizon_days": days}
        for deal in "abcde" for target, point, days in (("won", 0.6, None), ("won_in_quarter", 0.4, 54))
    ]  # fmt: skip
    schema = pa.schema([field for field in table("prediction").schema if field.name in rows[0]])
    Lake(quarter_of_deals).ingest({"prediction": pa.Table.from_pylist(rows, schema=schema)}, origin="t")
    asked.clear()
    again = what_changed(quarter_of_deals, "2026-05-08", "2026-05-16")
    assert (at, 1) not in asked and len(asked) == 2
    pd.testing.assert_frame_equal(first.deals, again.deals)


def test_when_the_quarter_is_over_what_is_open_has_slipped(quarter_of_deals):
    found = what_changed(quarter_of_deals, "2026-05-16", "2026-07-01")
    assert found.after == Decimal(110) and set(found.behind["cause"]) == {"slipped", "override"}


def test_instants_in_two_quarters_or_in_the_wrong_order_are_refused(quarter_of_deals):
    with pytest.raises(BadParameter, match=r"lies before the quarter of 2026-05-15 began; give 2026-04-01 or later"):
        what_changed(quarter_of_deals, "2026-03-30", "2026-05-16")
    with pytest.raises(BadParameter, match="is not before 2026-05-16"):
        what_changed(quarter_of_deals, "2026-05-16", "2026-05-16")
    for until, since in (("2026-05-16", "2026-05-09"), ("2026-04-04", "2026-04-01"), ("2026-07-01", "2026-06-24")):
        instants = [quarter_of_deals.instant(day) for day in (until, since)]
        assert forecast_change._begin(quarter_of_deals, None, instants[0])[0] == instants[1]


def test_rates_serve_without_a_model_and_the_command_shows_it(tiny_workspace):
    app = typer.Typer()
    command.register(app)
    env = {"SALESML_WORKSPACE": str(tiny_workspace.root), "COLUMNS": "200"}
    shown = CliRunner(env=env).invoke(app, ["--since", "2026-05-04", "--as-of", "2026-05-18"])
    assert shown.exit_code == 0, shown.output
    assert "rates of past quarters" in shown.output and "from Monday 4 May 2026 to Monday 18 May 2026" in shown.output
    parts = [Decimal(text.replace(",", "")) for text in re.findall(r"^ \w+ ?\w* +([+-][\d,.]+)  ", shown.output, re.MULTILINE)]
    assert len(parts) > 2 and sum(parts[:-1]) == parts[-1], "the last row is all"
