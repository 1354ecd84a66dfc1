"""Activity analytics: cadence and coverage against plain accounts of the same rows, the landmark, known truths, hints that are sure."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import beta
from typer.testing import CliRunner

from salesml.analytics import activity as acts
from salesml.analytics import activity_cadence as cadence
from salesml.analytics import activity_hints as coaching
from salesml.analytics import activity_outcomes as outcomes
from salesml.analytics import activity_response as answers
from salesml.analytics import book as books
from salesml.analytics.slices import measure
from salesml.cli import app
from salesml.cli.activity import register
from salesml.contracts import table
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.figures import activity as figures
from salesml.lake import Lake, Tables, View, visible
from salesml.workflows.activity import Activity, activity
from salesml.workspace import Workspace

FIRST = dt.date(2026, 1, 5)
DAY = pd.Timedelta(days=1)


def rows_of(name: str, rows: list[dict[str, object]]) -> pa.Table:
    """Rows of a table; `at` is when they happened, `known` (default: the same) when they became known."""
    told = []
    for number, row in enumerate(rows):
        at, known = (pd.Timestamp(str(row.get(key, row["at"])), tz="UTC") for key in ("at", "known"))
        own = {key: value for key, value in row.items() if key not in ("at", "known")}
        told.append({"change_id": f"c{number}", "activity_id": f"a{number:06d}", "occurred_at": at, "known_at": at if known < at else known,
                     "retracted": False, "known_at_assumed": False, "source_row": number, "import_id": "1", **own})  # fmt: skip
    schema = table(name).schema
    return pa.Table.from_pylist([{key: value for key, value in row.items() if key in schema.names} for row in told], schema=schema)


def staged(name: str, rows: list[dict[str, object]]) -> pa.Table:
    """The same rows as an import hands them to the lake."""
    made = rows_of(name, rows)
    own = {"origin", "import_id", "retracted", "known_at_assumed", "source_file", "source_row"}
    return made.select([column for column in made.schema.names if column not in own])


def view_of(workspace: Workspace, tables: dict[str, list[dict[str, object]]], as_of: str) -> View:
    return visible(Tables.of(workspace, {name: rows_of(name, rows) for name, rows in tables.items()}), as_of)


@pytest.fixture(scope="module")
def view(tiny_workspace: Workspace) -> View:
    tables = Lake(tiny_workspace).open()
    return visible(tables, tables.instant(None))


@pytest.fixture(scope="module")
def book(view: View) -> books.Book:
    return books.make(view)


@pytest.fixture(scope="module")
def told(tiny_workspace: Workspace) -> Activity:
    return activity(tiny_workspace)


# by hand


HAND: dict[str, list[dict[str, object]]] = {
    "user": [{"user_id": "ann", "name": "Ann", "at": "2025-01-01"}, {"user_id": "bob", "name": "Bob", "at": "2025-01-01"}],
    "account": [
        {"account_id": "A", "name": "Acme", "owner_id": "ann", "at": "2025-01-01"},
        {"account_id": "B", "name": "Bolt", "owner_id": "bob", "at": "2025-01-01"},
        {"account_id": "C", "name": "Core", "owner_id": "bob", "at": "2025-01-01"},
        {"account_id": "N", "name": "Nobody's", "at": "2025-01-01"},
    ],
    "contact": [{"contact_id": "p3", "account_id": "C", "at": "2025-01-01"}],
    "opportunity": [
        {"opportunity_id": "d1", "owner_id": "ann", "account_id": "A", "stage": "Demo", "stage_order": 1, "status": "open",
         "amount": Decimal("100.10"), "at": "2026-01-01"},
        {"opportunity_id": "d1", "stage": "Offer", "stage_order": 2, "at": "2026-02-01"},
        {"opportunity_id": "d2", "owner_id": "bob", "account_id": "B", "stage": "Demo", "stage_order": 1, "status": "open",
         "amount": Decimal("300.30"), "at": "2026-01-01"},
        {"opportunity_id": "d3", "owner_id": "bob", "stage": "Demo", "stage_order": 1, "status": "open", "at": "2026-02-25"},
        {"opportunity_id": "d4", "owner_id": "bob", "stage": "Demo", "stage_order": 1, "status": "open", "at": "2026-01-01"},
        {"opportunity_id": "d4", "status": "lost", "at": "2026-02-20"},
    ],
    "lead": [{"lead_id": "l1", "owner_id": "bob", "status": "open", "at": "2026-01-01"},
             {"lead_id": "l2", "owner_id": "bob", "status": "disqualified", "at": "2026-01-01"}],
    "activity": [
        {"opportunity_id": "d1", "owner_id": "ann", "type": "call", "direction": "outbound", "contact_id": "p1", "at": "2026-01-10"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "email", "direction": "outbound", "at": "2026-02-02"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "meeting", "direction": "outbound", "outcome": "held", "contact_id": "p2",
         "at": "2026-02-06"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "demo", "outcome": "no show", "at": "2026-02-20"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "task", "direction": "outbound", "at": "2026-02-27"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "email", "direction": "inbound", "contact_id": "p1", "at": "2026-02-26T23:30"},
        {"opportunity_id": "d1", "owner_id": "ann", "type": "email", "direction": "outbound", "contact_id": "p1", "at": "2026-03-05"},
        {"opportunity_id": "d2", "owner_id": "bob", "type": "call", "direction": "outbound", "at": "2026-02-05"},
        {"opportunity_id": "d2", "owner_id": "bob", "type": "email", "direction": "inbound", "at": "2026-02-06"},
        {"opportunity_id": "d2", "owner_id": "bob", "type": "email", "direction": "inbound", "at": "2026-02-07"},
        {"opportunity_id": "d4", "owner_id": "bob", "type": "email", "direction": "inbound", "at": "2026-02-07"},
        {"contact_id": "p3", "owner_id": "bob", "type": "call", "direction": "outbound", "at": "2026-02-10"},
        {"lead_id": "l1", "owner_id": "ann", "type": "email", "direction": "inbound", "at": "2026-02-25"},
        {"lead_id": "l2", "owner_id": "bob", "type": "email", "direction": "inbound", "at": "2026-02-25"},
        {"account_id": "B", "owner_id": "bob", "type": "email", "direction": "inbound", "at": "2026-02-28T12:00"},
    ],
}  # fmt: skip


def by_hand(tmp_path: Path, as_of: str = "2026-03-01", **options: object) -> tuple[View, books.Book]:
    found = view_of(Workspace.create(tmp_path / "hand", **options), HAND, as_of)
    return found, books.make(found)


def test_open_work_by_hand(tmp_path):
    work = acts.open_work(*by_hand(tmp_path)).set_index("opportunity_id")
    assert list(work.index) == ["d1", "d2", "d3"], "the lost deal is not open"
    d1, d2, d3 = (work.loc[name] for name in work.index)
    assert (d1["touches"], d1["meetings"], d1["contacts"], d1["cents"]) == (4, 1, 2, 10_010), "a task and a customer's mail are no touches"
    assert d1["silent_days"] == 9 and d1["last_touch_at"] == pd.Timestamp("2026-02-20", tz="UTC")
    assert d1["gap_days"] == 14, "the middle of 23, 4 and 14"
    assert d1["stage_gap_days"] == 9, "in the present stage: 4 and 14"
    assert (d2["touches"], d2["silent_days"], d2["in_touch"]) == (1, 24, False) and np.isnan(d2["gap_days"])
    assert (d3["touches"], d3["silent_days"], d3["in_touch"]) == (0, 4, True) and pd.isna(d3["last_touch_at"])


def test_standing_by_hand(tmp_path):
    work = acts.open_work(*by_hand(tmp_path))
    whole = acts.standing(work).iloc[0]
    assert (whole["deals"], whole["in_touch"], whole["quiet"]) == (3, 2, 1)
    assert whole["amount"] == Decimal("400.40") and whole["quiet_amount"] == Decimal("300.30")
    assert whole["in_touch_amount"] == pytest.approx(100.10 / 400.40)
    third = pytest.approx(1 / 3)
    assert (whole["contacts"], whole["named_share"], whole["two_share"], whole["three_share"]) == (2, third, third, 0)
    stages = acts.standing(work, "stage").set_index("stage")
    assert list(stages.index) == ["Demo", "Offer"] and stages["gap_days"]["Offer"] == 9
    none = acts.standing(work.assign(contacts=0)).iloc[0]
    assert np.isnan(none["two_share"]), "a company that names no contacts has no such share"
    with pytest.raises(UnknownName, match="segment"):
        acts.standing(work, "segment")


def test_what_is_known_later_changes_nothing(tmp_path):
    view, book = by_hand(tmp_path)
    call = {"opportunity_id": "d2", "owner_id": "bob", "type": "call", "direction": "outbound", "contact_id": "p9", "at": "2026-02-27"}
    later = {**HAND, "activity": [*HAND["activity"], *({**call, "known": known} for known in ("2026-03-01", "2026-03-09"))]}
    again = view_of(view.tables.workspace, later, "2026-03-01")
    pd.testing.assert_frame_equal(acts.open_work(view, book), acts.open_work(again, books.make(again)))
    pd.testing.assert_frame_equal(answers.messages(view, FIRST), answers.messages(again, FIRST))
    pd.testing.assert_frame_equal(acts.accounts(view, book, FIRST), acts.accounts(again, books.make(again), FIRST))


def test_accounts_are_touched_through_their_deals_and_people(tmp_path):
    found = acts.accounts(*by_hand(tmp_path), FIRST)
    assert found[["account", "rep", "touched"]].values.tolist() == [["A", "ann", True], ["B", "bob", True], ["C", "bob", True]]
    found = acts.accounts(*by_hand(tmp_path / "later"), dt.date(2026, 2, 10))
    assert found["touched"].tolist() == [True, False, True]


def test_messages_are_told_in_local_time_and_judged_after_a_day(tmp_path):
    view, _ = by_hand(tmp_path, time_zone="Europe/Berlin")
    found = answers.messages(view, FIRST)
    late = found[found["about"] == "d1"].iloc[0]
    assert (late["weekday"], late["hour"], late["kind"]) == ("friday", 0, "deal"), "23:30 UTC on a Thursday is Friday in Berlin"
    assert late["hours"] == pytest.approx(0.5), "the task of the next midnight is the next thing done, as the book counts it"
    young = found[found["about"] == "B"].iloc[0]
    assert pd.isna(young["soon"]) and young["waited"] == pytest.approx(11), "not a day old as of Berlin's midnight"
    assert found[found["about"] == "d2"]["soon"].tolist() == [False, False]


def test_waiting_lists_open_deals_first_and_asks_their_rep(tmp_path):
    view, book = by_hand(tmp_path)
    found = answers.waiting(answers.messages(view, FIRST), acts.open_work(view, book), answers.open_leads(view))
    assert found[["kind", "about", "rep", "messages"]].values.tolist() == [["deal", "d2", "bob", 2], ["lead", "l1", "bob", 1]]
    assert found["since"].iloc[0] == pd.Timestamp("2026-02-06", tz="UTC") and found["cents"].iloc[0] == 30_030


# against independent accounts of a tiny company


TOUCHES = """
select opportunity_id, count(*) filter (touch) as touches, max(occurred_at) filter (touch) as last, count(distinct contact_id) as contacts,
  median(gap) filter (touch) as gap
from (select *, date_diff('microsecond', lag(occurred_at) over (partition by opportunity_id, touch order by occurred_at), occurred_at)
        / 86400e6 as gap
      from (select *, direction is distinct from 'inbound' and type is distinct from 'task' as touch from stored
            where known_at < as_of and opportunity_id is not null))
group by opportunity_id
"""


def test_open_work_equals_sql(view, book):
    stored = view.tables.rows("activity")
    assert view.tables.corrections("activity") == 0
    engine = duckdb.connect()
    engine.execute("set timezone = 'UTC'")
    engine.register("stored", stored)
    sql = TOUCHES.replace("as_of", f"timestamptz '{view.as_of.isoformat()}'")
    expected = engine.execute(sql).df().set_index("opportunity_id")
    work = acts.open_work(view, book).set_index("opportunity_id")
    assert len(work) == measure(book, ["open_deals"])["open_deals"].iloc[0] > 10
    expected = expected.reindex(work.index)
    np.testing.assert_array_equal(work["touches"], expected["touches"].fillna(0))
    np.testing.assert_array_equal(work["contacts"], expected["contacts"].fillna(0))
    np.testing.assert_allclose(work["gap_days"], expected["gap"])
    last = expected["last"].dt.tz_convert("UTC").astype("datetime64[us, UTC]")
    pd.testing.assert_series_equal(work["last_touch_at"].astype("datetime64[us, UTC]"), last, check_names=False)
    whole = acts.standing(work.reset_index()).iloc[0]
    assert whole["amount"] == measure(book, ["pipeline"])["pipeline"].iloc[0]


def test_response_equals_the_measures_of_the_book(view, book):
    period = (dt.date(2026, 1, 1), book.day + dt.timedelta(days=1))
    found = answers.response(answers.messages(view, period[0])).set_index("type")
    known = measure(book, ["response_hours", "answered_share"], by=["activity_type"], where={"direction": ["inbound"]}, period=period)
    known = known.set_index("activity_type").reindex(found.index)
    assert len(found) and found["messages"].sum() > 50
    np.testing.assert_allclose(found["hours"], known["response_hours"])
    np.testing.assert_allclose(found["answered"], known["answered_share"])
    np.testing.assert_array_equal(found["messages"], known["answered_share_n"])


def test_volume_and_mix_are_the_measures_counted_by_pandas(view, book):
    stored = view.frame(view.facts("activity"))
    period = (dt.date(2026, 3, 2), dt.date(2026, 6, 1))
    inside = stored[stored["occurred_at"].between(pd.Timestamp(period[0], tz="UTC"), pd.Timestamp(period[1], tz="UTC"), inclusive="left")]
    week = inside["occurred_at"].dt.tz_localize(None).dt.to_period("W").dt.start_time
    expected = inside.groupby([inside["type"], week]).size()
    found = acts.volume(book, period=period).set_index(["activity_type", "period"])["activities"]
    assert {(kind, pd.Timestamp(day)): count for (kind, day), count in found.items()} == expected.to_dict()
    mixed = acts.mix(book, period=period).set_index("rep")
    by = inside.groupby("owner_id").size()
    assert mixed["activities"].to_dict() == by.to_dict() and mixed["activities"].is_monotonic_decreasing
    np.testing.assert_allclose(mixed.drop(columns=["activities", "a_week"]).sum(axis=1), 1)
    np.testing.assert_allclose(mixed["a_week"], mixed["activities"] / 13)


def test_hours_of_the_week_hold_every_message(view):
    found = answers.messages(view, dt.date(2026, 1, 1))
    for block in (1, 3, 24):
        told = answers.by_hour(found, block)
        assert told["messages"].sum() == len(found) and not told.duplicated(["weekday", "hour"]).any()
        assert set(told["hour"] % block) <= {0}


deal_rows = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.sampled_from("XY"), st.one_of(st.none(), st.integers(0, 10**9)), st.floats(0, 60), st.integers(0, 4)
    ),
    min_size=1, max_size=30,
)  # fmt: skip


@given(deal_rows)
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_parts_of_standing_add_up(rows):
    work = pd.DataFrame(rows, columns=["rep", "stage", "cents", "silent_days", "contacts"]).assign(team="t", region="r", gap_days=1.0)
    work = work.assign(in_touch=work["silent_days"] <= 14, stage_gap_days=2.0, stage_order=1, cents=work["cents"].astype("Int64"))
    whole = acts.standing(work).iloc[0]
    for by in ("rep", "stage"):
        parts = acts.standing(work, by)
        for name in ("deals", "in_touch", "quiet", "amount", "quiet_amount"):
            assert sum(parts[name]) == whole[name]
        assert (parts["in_touch"] + parts["quiet"] == parts["deals"]).all()
        shares = parts[["in_touch_share", "in_touch_amount", "named_share", "two_share", "three_share"]].to_numpy("float64")
        assert ((shares >= 0) & (shares <= 1) | np.isnan(shares)).all()
        assert (parts["three_share"].fillna(0) <= parts["two_share"].fillna(0)).all()


# the landmark


def test_nothing_after_the_landmark_enters_what_is_known_at_it(view):
    honest = outcomes.landmark_deals(view, 14)
    assert len(honest) > 100 and honest["touches"].sum() > 100
    tables = view.tables
    stored = {name: tables.rows(name) for name in tables.head.tables}
    born = view.frame(view.state("opportunity", ["status"])).set_index("opportunity_id")["created_at"]
    mark = born + 14 * DAY
    acts_ = stored["activity"].to_pandas()
    own = acts_["opportunity_id"].map(mark)
    before = acts_[own.isna() | (acts_["known_at"] < own)]
    assert len(before) < len(acts_)
    ghosts = acts_[own.notna()].drop_duplicates("opportunity_id")
    at = own[ghosts.index]
    added = [ghosts.assign(activity_id=f"g{n}-" + ghosts["activity_id"], occurred_at=at + when, known_at=at + known, type="meeting",
                           direction="outbound", contact_id=f"ghost{n}", outcome="held")
             for n, (when, known) in enumerate([(-DAY, 0 * DAY), (0 * DAY, 0 * DAY), (DAY, DAY)])]  # fmt: skip
    changed = stored["opportunity"].to_pandas()
    spoilt = changed.drop_duplicates("opportunity_id").copy()
    spoilt["occurred_at"] = spoilt["known_at"] = spoilt["opportunity_id"].map(mark)
    spoilt = spoilt[spoilt["known_at"].notna()]
    for column in outcomes.KNOWN:
        spoilt[column] = "spoilt"
    spoilt = spoilt.assign(change_id="spoilt-" + spoilt["opportunity_id"], status=None, amount=None, deleted=None)
    frames = {
        **stored,
        "activity": pa.Table.from_pandas(pd.concat([before, *added]), schema=stored["activity"].schema, preserve_index=False),
        "opportunity": pa.Table.from_pandas(pd.concat([changed, spoilt]), schema=stored["opportunity"].schema, preserve_index=False),
    }
    again = outcomes.landmark_deals(visible(Tables.of(tables.workspace, frames), view.as_of), 14)
    pd.testing.assert_frame_equal(honest, again)


def test_landmark_deals_are_open_then_and_watched_for_one_window(view):
    now = view.frame(view.state("opportunity", ["status"], since=["status"])).set_index("opportunity_id")
    for days in (14, 28):
        found = outcomes.landmark_deals(view, days, window=60).set_index("opportunity_id")
        rows = now.loc[found.index]
        mark = rows["created_at"] + days * DAY
        closed = rows["status"].ne("open")
        assert (rows.loc[closed, "status_since"] >= mark[closed]).all() and (mark + 60 * DAY <= view.as_of).all()
        expected = rows["status"].eq("won") & (rows["status_since"] < mark + 60 * DAY)
        assert found["won"].equals(expected.rename("won")) and 0 < expected.mean() < 1
    for days in (0, 366):
        with pytest.raises(BadParameter, match=rf"days {days} is outside"):
            outcomes.landmark_deals(view, days)
    with pytest.raises(NotEnoughData, match="no deal is older"):
        outcomes.landmark_deals(view, 14, window=3000)


def company(n: int, seed: int, effect: float = 0.0, confounded: float = 0.0) -> pd.DataFrame:
    """Deals of two segments; touches go with the segment by `confounded`, and bring wins by `effect` (log-odds, seven or more)."""
    rng = np.random.default_rng(seed)
    large = rng.random(n) < 0.5
    touches = rng.poisson(4 + confounded * 4 * large)
    logit = -0.6 + confounded * 1.5 * large + effect * (touches >= 7)
    won = rng.random(n) < 1 / (1 + np.exp(-logit))
    kinds = dict.fromkeys(outcomes.KNOWN, "one")
    return pd.DataFrame({**kinds, "segment": np.where(large, "large", "small"), "amount_band": "1", "won": won, "touches": touches,
                         "meetings": 0.0, "contacts": np.nan, "answer_hours": np.nan})  # fmt: skip


def test_without_anything_held_the_adjusted_share_is_the_share():
    deals = company(3000, 0, effect=0.8).assign(segment="one")
    bands, contrast = outcomes.win_rates(deals, "touches")
    np.testing.assert_allclose(bands["adjusted"], bands["share"], atol=1e-3)
    assert bands["deals"].sum() == 3000 and bands["won"].sum() == deals["won"].sum()
    np.testing.assert_allclose(bands["adjusted_hi"] - bands["adjusted_lo"], bands["hi"] - bands["lo"], rtol=0.02)
    assert contrast["plain"] == pytest.approx(contrast["difference"], abs=1e-3)


def test_a_cause_that_is_held_equal_is_taken_away_and_a_true_effect_stays():
    _, contrasts = outcomes.associations(company(4000, 1, confounded=1.0))
    only = contrasts.iloc[0]
    assert only["behaviour"] == "touches" and len(contrasts) == 1, "behaviours without two bands are not told"
    assert only["plain"] > 0.15 and not only["told"] and only["e_value_lo"] == 1 and only["label"] == "correlational"
    _, contrasts = outcomes.associations(company(4000, 1, effect=1.0, confounded=1.0))
    assert contrasts["told"].iloc[0] and contrasts["lo"].iloc[0] > 0 and contrasts["e_value_lo"].iloc[0] > 1


def test_adjusted_intervals_hold_the_truth_nine_times_in_ten():
    held = []
    for seed in range(200):
        _, contrast = outcomes.win_rates(company(600, 1000 + seed, confounded=0.7), "touches")
        held.append(contrast["lo"] <= 0 <= contrast["hi"])
    assert 0.84 <= np.mean(held) <= 0.96


def test_bands_are_kept_large_and_named_by_their_edges():
    values = pd.Series([0] * 40 + [1] * 40 + [2] * 10 + [np.nan])
    found = outcomes.banded(values, "meetings")
    assert list(found.cat.categories) == ["0", "1 or more"] and found.isna().tolist() == [False] * 90 + [True]
    hours = outcomes.banded(pd.Series([1.0] * 30 + [4.0] * 30 + [24.0] * 30), "answer_hours")
    assert list(hours.cat.categories) == ["under 4 hours", "4 to 24 hours", "24 hours or more"]
    assert hours.value_counts().tolist() == [30] * 3
    assert list(outcomes.banded(pd.Series([3.0] * 50), "touches").cat.categories) == ["any"]


@given(st.lists(st.integers(0, 12), min_size=1, max_size=200))
@settings(deadline=None, max_examples=60)
def test_bands_hold_at_least_thirty_and_keep_the_order(values):
    counted = pd.Series(values, dtype="float64")
    found = outcomes.banded(counted, "touches")
    assert found.notna().all()
    sizes = found.value_counts()
    assert len(sizes) == 1 or sizes.min() >= outcomes.LEAST_BAND
    codes = found.cat.codes.to_numpy()
    assert (np.diff(codes[np.argsort(counted, kind="stable")]) >= 0).all()


def test_e_value_is_that_of_the_paper():
    assert outcomes.e_value(3.9) == pytest.approx(7.26, abs=0.005), "VanderWeele and Ding 2017, maternal breastfeeding"
    assert outcomes.e_value(1 / 3.9) == pytest.approx(outcomes.e_value(3.9)) and outcomes.e_value(1.0) == 1


# cadence


stays_given = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 400), st.integers(1, 1600), st.sampled_from(["advanced", "won", "lost", None])),
    min_size=1, max_size=6,
)  # fmt: skip


@given(stays_given, st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000)), max_size=12), st.integers(0, 600))
@settings(deadline=None, max_examples=60)
def test_deal_days_and_moves_equal_a_count_hour_by_hour(stays, touches, start):
    zero = pd.Timestamp("2026-01-01", tz="UTC")
    hour = pd.Timedelta(hours=1)
    told = pd.DataFrame([(f"d{deal}", zero + a * hour, zero + (a + n) * hour, ended) for deal, a, n, ended in stays],
                        columns=["opportunity_id", "entered_at", "left_at", "ended"])  # fmt: skip
    done = pd.DataFrame({"opportunity_id": [f"d{deal}" for deal, _ in touches], "at": [zero + at * hour for _, at in touches]})
    done["at"] = pd.to_datetime(done["at"], utc=True)
    told = told[told["left_at"] > zero + start * hour].reset_index(drop=True)
    if told.empty:
        return
    moves, days = cadence.spells(told, done, zero + start * hour)
    expected_days, expected_moves = np.zeros_like(days), np.zeros_like(moves)
    ages, silences = np.array(cadence.AGES) * 24, np.array(cadence.SILENCES) * 24
    kept = [one for one in stays if one[1] + one[2] > start]
    for row, (deal, a, n, ended) in enumerate(kept):
        mine = np.array([at for other, at in touches if other == deal])
        for now in range(max(a, start), a + n + 1):
            over = now == a + n
            known = mine[mine + 24 < now] if over else mine[mine + 24 <= now]
            silence = len(cadence.BANDS) - 1 if not len(known) else int(np.searchsorted(silences, now - known.max(), side="right")) - 1
            age = int(np.searchsorted(ages, now - a, side="right")) - 1
            if not over:
                expected_days[row, age, silence] += 1 / 24
            elif ended in ("advanced", "won"):
                expected_moves[row, age, silence] += 1
    np.testing.assert_allclose(days, expected_days, atol=1e-9)
    np.testing.assert_array_equal(moves, expected_moves)


def test_advancing_counts_every_move_of_the_company_once(view):
    rates, ratios = cadence.advancing(view)
    stays = cadence.visits(cadence.timeline(view))
    recent = stays[stays["left_at"].fillna(view.as_of) > pd.Timestamp(view.as_of) - cadence.BACK_DAYS * DAY]
    assert rates["moves"].sum() == recent["ended"].isin(["advanced", "won"]).sum() > 100
    assert set(ratios["stage"]) == set(recent["stage"]) and ratios["stage_order"].is_monotonic_increasing
    known = rates[rates["lo"].notna()]
    assert len(known) and ((known["lo"] <= known["a_week"]) & (known["a_week"] <= known["hi"])).all()
    assert set(ratios["label"]) == {"correlational"}


# hints


def counts(rate: np.ndarray, whole: int, seed: int, gap: str = "in_touch") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"gap": gap, "rep": [f"r{n}" for n in range(len(rate))], "part": rng.binomial(whole, rate), "whole": whole})


PEERS = pd.Series("all reps", [f"r{n}" for n in range(24)])


@pytest.mark.parametrize(("rate", "whole"), [(0.97, 15), (0.7, 15), (0.3, 120)])
def test_reps_alike_get_no_hint_and_one_apart_gets_his(rate, whole):
    false, right = 0, 0
    for seed in range(25):
        level = np.full(24, rate)
        false += coaching.gaps(counts(level, whole, seed), PEERS)["sure"].any()
        level[3] = rate / 4
        found = coaching.gaps(counts(level, whole, seed), PEERS)
        right += found.loc[found["rep"] == "r3", "sure"].item()
    assert false <= 2 and right >= 21


def test_reps_who_differ_are_behind_only_where_it_is_sure():
    levels = beta.ppf((np.arange(24) + 0.5) / 24, 6, 6)
    found = coaching.gaps(counts(levels, 400, 2), PEERS)
    truth = float(beta.ppf(0.25, 6, 6))
    assert np.median(found["quarter"]) == pytest.approx(truth, abs=0.03)
    sure = set(found.loc[found["sure"], "rep"])
    assert sure and sure <= {f"r{n}" for n in range(6)}
    few = coaching.gaps(counts(levels, 4, 2), PEERS)
    assert few.empty, "fewer than five cases say nothing"
    assert not coaching.gaps(counts(levels[:4], 400, 2), PEERS)["sure"].any(), "three peers are no peers"
    with pytest.raises(BadInput, match="row 1, column part"):
        coaching.gaps(counts(levels, 5, 0).assign(part=6), PEERS)


def test_at_most_three_hints_a_rep_each_with_what_it_concerns():
    level = np.full(24, 0.9)
    level[0] = 0.1
    found = coaching.gaps(pd.concat([counts(level, 40, n, gap) for n, gap in enumerate(coaching.GAPS)], ignore_index=True), PEERS)
    assert found.loc[found["rep"] == "r0", "sure"].all()
    one = pd.DataFrame([{"rep": "r0", "kind": "deal", "id": "d", "name": "Big", "amount": Decimal("5.00"), "told": "silent"}])
    concerned = {gap: one if gap != "contacts" else one.head(0) for gap in coaching.GAPS}
    hints = coaching.hints(found, pd.Series({"r0": "Zoe"}), concerned, dict.fromkeys(coaching.GAPS, "Seen here."))
    assert len(hints) == coaching.MOST_HINTS and {hint.rep for hint in hints} == {"r0"}
    assert "contacts" not in {hint.gap for hint in hints}, "a gap that concerns nothing has no next step"
    for hint in hints:
        assert "Big first" in hint.step and hint.label == "correlational" and "interval" in hint.finding and hint.evidence
        assert hint.hi < hint.quarter and "correlational" in figures.hints_list([hint], "USD", ()).html
    shown = figures.hints_list(hints, "USD", ())._repr_html_()
    assert shown.count("<ol>") == 1 and shown.count("Big, USD\N{NO-BREAK SPACE}5") == 3


def put_company(workspace: Workspace, behind: bool) -> Workspace:
    """Ten reps of twelve open deals each, touched every week by two people's meetings; with `behind`, rep r0 stopped a month ago."""
    begin, end = pd.Timestamp("2026-01-05"), pd.Timestamp("2026-04-01")
    users = [{"user_id": f"r{n}", "name": f"Rep {n}", "at": "2025-01-01"} for n in range(10)]
    deals: list[dict[str, object]] = []
    done: list[dict[str, object]] = []
    for n in range(10):
        for k in range(12):
            deal = f"d{n}-{k:02d}"
            deals.append({"opportunity_id": deal, "owner_id": f"r{n}", "status": "open", "stage": "Demo", "stage_order": 1,
                          "amount": Decimal(100 + k), "change_id": "c", "at": begin + k * DAY})  # fmt: skip
            last = end - 30 * DAY if behind and n == 0 and k % 4 else end
            days = pd.date_range(begin + (k + 1) * DAY, last - DAY, freq="7D")
            done += [{"activity_id": f"{deal}-{i}", "opportunity_id": deal, "owner_id": f"r{n}", "direction": "outbound", "at": day,
                      "type": "meeting" if i % 3 == 0 else "call", "contact_id": f"p{i % 2}", "outcome": "held"}
                     for i, day in enumerate(days)]  # fmt: skip
    people: list[dict[str, object]] = [{**row, "change_id": "c"} for row in users]
    rows = {"user": people, "opportunity": deals, "activity": done}
    Lake(workspace).ingest({name: staged(name, told) for name, told in rows.items()}, origin="test")
    return workspace


@pytest.mark.slow
def test_an_injected_gap_brings_its_hint_and_a_company_without_brings_none(tmp_path):
    well = activity(put_company(Workspace.create(tmp_path / "well"), behind=False), "2026-04-01")
    assert well.hints == () and "no coaching hint" in well.sentence and well.whole["quiet"].iloc[0] == 0
    found = activity(put_company(Workspace.create(tmp_path / "gap"), behind=True), "2026-04-01")
    assert [(hint.rep, hint.gap) for hint in found.hints] == [("r0", "in_touch")]
    hint = found.hints[0]
    assert list(hint.deals["id"]) == [f"d0-{k:02d}" for k in (11, 10, 9, 7, 6, 5, 3, 2, 1)], "the greatest amount first"
    assert hint.deals["amount"].iloc[0] == Decimal("111.00") and hint.share == pytest.approx(0.25)
    assert "9\N{NO-BREAK SPACE}open deals silent for over 14 days" in hint.step and "1\N{NO-BREAK SPACE}hint for 1" in found.sentence
    assert hint.evidence.startswith("Too few moves") and any("buying group" not in note for note in found.notes)
    one = activity(Workspace.open(tmp_path / "gap"), "2026-04-01", rep="Rep 1")
    assert one.hints == () and set(one.work["rep"]) == {"r1"} and one.rep == "r1" and one.sentence.startswith("Rep 1: ")


# the workflow, its drawings and the command


def test_the_workflow_hangs_together(told, view, book):
    assert told.since.weekday() == 0 and told.head_id == view.tables.head.id
    period = (told.since, book.day)
    assert told.weeks["activities"].sum() == measure(book, ["activities"], period=period)["activities"].iloc[0]
    assert told.by_rep["activities"].sum() == told.weeks["activities"].sum() and told.by_rep["deals"].sum() == told.whole["deals"].iloc[0]
    assert sum(told.stages["amount"]) == told.whole["amount"].iloc[0]
    assert f"{told.weeks['activities'].sum():,}" in told.sentence
    assert told.contrasts and all("label" in found and set(found["label"]) == {"correlational"} for found in told.contrasts.values())
    assert told.relation[0].startswith("Correlational") and len(told.relation) >= 4


def test_what_is_asked_wrongly_is_refused(tiny_workspace):
    with pytest.raises(UnknownName, match="unknown rep 'nobody'"):
        activity(tiny_workspace, rep="nobody")
    with pytest.raises(BadParameter, match="write 2026-04-01"):
        activity(tiny_workspace, since="last week")
    with pytest.raises(BadParameter, match="is not before"):
        activity(tiny_workspace, since="2030-01-01")


def drawings(told: Activity) -> list[figures.Svg]:
    drawn = [figures.weeks_figure(told.weeks), figures.hours_figure(told.hours_by(3), told.time_zone)]
    drawn.append(figures.cadence_figure(told.rates, told.ratios))
    return drawn + [figures.bands_figure(told.bands[days], told.contrasts[days], days, told.windows[days]) for days in told.bands]


def test_drawings_are_sound_say_what_they_show_and_need_nothing(told):
    for drawn in drawings(told):
        root = ElementTree.fromstring(drawn.svg)
        assert root.get("role") == "img" and root.get("aria-label") == drawn.alt and len(drawn.alt) > 60
        assert "http" not in drawn.svg.replace("http://www.w3.org/2000/svg", "") and "script" not in drawn.svg and "nan" not in drawn.svg
        for text in root.iter("{http://www.w3.org/2000/svg}text"):
            assert -1 <= float(text.get("x", 0)) <= figures.WIDTH and float(text.get("y", 0)) <= float(root.get("height"))
    assert "correlational" in drawings(told)[-1].alt


def test_bars_of_the_weeks_are_in_proportion(told):
    root = ElementTree.fromstring(figures.weeks_figure(told.weeks).svg)
    bars = [sum(float(bar.get("height")) for bar in group) for group in
            ([part for part in group if part.tag.endswith("rect")] for group in root.iter("{http://www.w3.org/2000/svg}g"))]  # fmt: skip
    totals = told.weeks.groupby("period")["activities"].sum().to_numpy()
    np.testing.assert_allclose(np.array(bars) / bars[0], totals / totals[0], rtol=0.01)


def test_nothing_known_is_said(told):
    nothing = pd.DataFrame()
    empty = [figures.weeks_figure(told.weeks.head(0)), figures.hours_figure(told.hours.head(0), "UTC")]
    for drawn in (*empty, figures.bands_figure(nothing, nothing, 14, 90), figures.cadence_figure(told.rates.head(0), told.ratios)):
        assert ElementTree.fromstring(drawn.svg).get("aria-label") == drawn.alt
    assert "Looked at" in figures.hints_list([], "USD", ("answers",))._repr_html_()
    waits = [figures.waiting_table(rows, "USD") for rows in (told.waiting, told.waiting.head(0))]
    stages = figures.stages_table(told.stages, told.whole, "USD")
    for html in (figures.reps_table(told.by_rep, "USD"), stages, figures.types_table(told.types), *waits):
        assert "<caption>" in html.html


def test_the_command_says_the_answer_first(tmp_path):
    workspace = put_company(Workspace.create(tmp_path / "gap"), behind=True)
    if all(command.callback.__name__ != "activity" for command in app.registered_commands if command.callback):
        register(app)
    done = CliRunner().invoke(app, ["-w", str(workspace.root), "activity", "--as-of", "2026-04-01", "--deals", "2"])
    assert done.exit_code == 0, done.output
    lines = [line for line in done.output.splitlines() if line and "counting" not in line]
    assert "activities from" in lines[0] and "Contact the 9" in done.output.replace("\N{NO-BREAK SPACE}", " ")
    assert "correlational" in done.output and done.output.count("· ") >= 2


def test_activities_deleted_from_the_future_leave_the_past_as_it_was(tiny_workspace, view):
    past = view.as_of - dt.timedelta(days=120)
    frames = {name: (rows := view.tables.rows(name)).filter(pc.less(rows["known_at"], pa.scalar(past, rows["known_at"].type)))
              for name in view.tables.head.tables}  # fmt: skip
    then, now = visible(Tables.of(tiny_workspace, frames), past), visible(view.tables, past)
    pd.testing.assert_frame_equal(acts.open_work(then, books.make(then)), acts.open_work(now, books.make(now)))
    for first, second in zip(cadence.advancing(then), cadence.advancing(now), strict=True):
        pd.testing.assert_frame_equal(first, second)
    pd.testing.assert_frame_equal(outcomes.landmark_deals(then, 14), outcomes.landmark_deals(now, 14))
