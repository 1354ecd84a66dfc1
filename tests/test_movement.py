"""Pipeline movement: exact in every slice for any two books, each step by its story, and the same to the cent from the lake's own rows."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import combinations
from xml.etree import ElementTree

import duckdb
import numpy as np
import pandas as pd
import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from movement_books import REGIONS, REPS, STAGES, Deal, book
from typer.testing import CliRunner

from salesml import world
from salesml.analytics import book as books
from salesml.analytics import words
from salesml.analytics.movement import SLICED_BY, moved, waterfall
from salesml.analytics.movement_ageing import BANDS, ageing, created_and_closed, pushes, stalled
from salesml.analytics.movement_parts import STEPS, abroad
from salesml.analytics.slices import measure
from salesml.cli import movement as command
from salesml.errors import BadParameter, UnknownName
from salesml.figures import movement as drawn
from salesml.figures import movement_charts as charts
from salesml.lake import Lake, visible
from salesml.workflows.movement import movement
from salesml.workspace import Workspace

FIRST, LAST = dt.date(2026, 3, 1), dt.date(2026, 6, 1)
BETWEEN = STEPS[1:-1]
DAY = st.dates(dt.date(2026, 1, 1), LAST - dt.timedelta(days=1))
CENTS = st.one_of(st.none(), st.just(0), st.integers(-500, 10**12))


@st.composite
def told(draw, name: str, day: dt.date) -> Deal | None:
    """A deal as a book of `day` may tell it, however little that agrees with another book."""
    if draw(st.integers(0, 4)) == 0:
        return None
    created = min(draw(DAY), day)
    status = draw(st.sampled_from(["open", "open", "won", "lost", "no_decision"]))
    closed = None if status == "open" else max(created, min(draw(DAY), day - dt.timedelta(days=1)))
    again = max(created, min(draw(DAY), day - dt.timedelta(days=1)))
    stays = draw(st.sampled_from([(), (("Demo", created, closed),), (("Demo", created, created), ("Offer", again, closed))]))
    place = {key: draw(st.sampled_from(names)) for key, names in (("rep", REPS), ("region", REGIONS), ("stage", STAGES))}
    return Deal(name, status, draw(CENTS), created, closed, stays=stays, **place)


@st.composite
def pairs(draw) -> tuple[books.Book, books.Book]:
    both = [[draw(told(f"d{n}", day)) for n in range(8)] for day in (FIRST, LAST)]
    return tuple(book(day, filter(None, deals)) for day, deals in zip((FIRST, LAST), both, strict=True))


def exact(frame: pd.DataFrame, by: tuple[str, ...] = ()) -> None:
    """In every slice the steps sum from opening to closing, in cents and in deals."""
    for _, rows in frame.groupby(list(by)) if by else [("", frame)]:
        assert rows["step"].tolist() == list(STEPS)
        for column in ("cents", "net"):
            steps = rows.set_index("step")[column]
            assert steps.drop("closing").sum() == steps["closing"]


def agree(before: books.Book, after: books.Book, by: tuple[str, ...]) -> None:
    """A sliced waterfall is exact, adds up to the whole, and each of its cells is that of its own slice, deals and all."""
    whole, parts = waterfall(before, after), waterfall(before, after, by=by)
    exact(whole)
    exact(parts, by)
    sums, one = parts.groupby("step")[["cents", "net"]].sum(), whole.set_index("step")[["cents", "net"]]
    moves = ["moved_in", "moved_out"]
    if len(parts):
        pd.testing.assert_frame_equal(sums.drop(moves).loc[list(one.drop(moves).index)], one.drop(moves), check_dtype=False)
        assert sums.loc[moves].sum().eq(0).all()
    for names, rows in parts.groupby(list(by)):
        cell = {name: [value] for name, value in zip(by, names, strict=True)}
        alone = waterfall(before, after, where=cell)
        assert alone[["step", "cents", "deals", "net"]].to_dict("list") == rows[["step", "cents", "deals", "net"]].to_dict("list")
    behind = {step: moved(before, after, step) for step in STEPS}
    for row in whole.to_dict("records"):
        assert sum(behind[row["step"]]["amount"], Decimal(0)) == row["amount"] == Decimal(row["cents"]) / 100
        assert len(behind[row["step"]]) == row["deals"] == behind[row["step"]]["opportunity_id"].nunique()


@settings(max_examples=20, deadline=None)
@given(pairs(), st.sampled_from([("rep",), ("region", "rep"), ("stage",), ("rep", "stage", "region")]))
def test_any_two_books_are_joined_to_the_cent_in_every_slice(both, by):
    agree(*both, by)
    for made, step in zip(both, ("opening", "closing"), strict=True):
        deals = made.tables["deal"].to_pandas()
        steps = waterfall(*both).set_index("step")
        assert steps.loc[step, "cents"] == deals.loc[deals["state"] == 0, "cents"].sum()
        assert steps.loc[step, "deals"] == (deals["state"] == 0).sum()


@settings(max_examples=20, deadline=None)
@given(pairs(), st.sampled_from(REPS))
def test_a_slice_is_moved_into_and_out_of(both, rep):
    rows = waterfall(*both, where={"rep": [rep]})
    exact(rows)
    for made, step in zip(both, ("opening", "closing"), strict=True):
        deals = made.tables["deal"].to_pandas()
        mine = deals[(deals["state"] == 0) & (deals["rep"] == REPS.index(rep))]
        assert rows.set_index("step").loc[step, "cents"] == mine["cents"].sum()


MARCH, APRIL, MAY = dt.date(2026, 3, 10), dt.date(2026, 4, 10), dt.date(2026, 5, 10)
FEBRUARY, JANUARY = dt.date(2026, 2, 10), dt.date(2026, 1, 5)
BACK = (("Demo", JANUARY, FEBRUARY), ("Visit", APRIL, None))
OPEN, GONE = Deal("d"), None
STORIES = {
    "nothing happens": (OPEN, OPEN, {}),
    "is created": (GONE, Deal("d", created=MARCH), {"created": 100}),
    "is created on the first day": (GONE, Deal("d", created=FIRST), {"created": 100}),
    "is created and won": (GONE, Deal("d", "won", 9_000, MARCH, APRIL), {"created": 90, "won": -90}),
    "was there and unknown": (GONE, Deal("d", created=FEBRUARY), {"corrected": 100}),
    "was there, unknown, and is lost": (GONE, Deal("d", "lost", created=FEBRUARY, closed=APRIL), {"corrected": 100, "lost": -100}),
    "was closed long ago and unknown": (GONE, Deal("d", "lost", created=JANUARY, closed=FEBRUARY), {}),
    "grows": (OPEN, Deal("d", cents=12_345), {"raised": Decimal("23.45")}),
    "shrinks": (OPEN, Deal("d", cents=1), {"lowered": Decimal("-99.99")}),
    "loses its amount": (OPEN, Deal("d", cents=None), {"lowered": -100}),
    "gets its first amount": (Deal("d", cents=None), OPEN, {"raised": 100}),
    "is won for more": (OPEN, Deal("d", "won", 12_000, closed=APRIL), {"raised": 20, "won": -120}),
    "is won at a discount": (OPEN, Deal("d", "won", 8_000, closed=APRIL), {"lowered": -20, "won": -80}),
    "is lost": (OPEN, Deal("d", "lost", closed=APRIL), {"lost": -100}),
    "is lost, its amount set to 0": (OPEN, Deal("d", "lost", 0, closed=APRIL), {"lost": -100}),
    "is given up, its amount unknown": (OPEN, Deal("d", "no_decision", None, closed=APRIL), {"no_decision": -100}),
    "closes on the first day": (OPEN, Deal("d", "lost", closed=FIRST), {"lost": -100}),
    "had closed the day before": (OPEN, Deal("d", "won", closed=FIRST - dt.timedelta(days=1)), {"corrected": -100}),
    "is withdrawn": (OPEN, GONE, {"withdrawn": -100}),
    "was closed and is withdrawn": (Deal("d", "won", closed=FEBRUARY), GONE, {}),
    "comes back": (Deal("d", "lost", closed=FEBRUARY), Deal("d", cents=7_000, stays=BACK), {"reopened": 70}),
    "comes back and is won": (
        Deal("d", "lost", closed=FEBRUARY),
        Deal("d", "won", 7_000, closed=MAY, stays=(BACK[0], ("Visit", APRIL, MAY))),
        {"reopened": 70, "won": -70},
    ),
    "had never closed": (Deal("d", "lost", closed=FEBRUARY), Deal("d", stays=(("Demo", JANUARY, None),)), {"corrected": 100}),
    "closed later than it looked": (
        Deal("d", "won", closed=FEBRUARY), Deal("d", "won", closed=MARCH, stays=(("Demo", JANUARY, MARCH),)),
        {"corrected": 100, "won": -100},
    ),
    "stays closed": (Deal("d", "won", closed=FEBRUARY), Deal("d", "lost", 5, closed=FEBRUARY), {}),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_each_story_is_told_by_its_steps(story):
    then, now, steps = STORIES[story]
    both = (book(day, [deal] if deal else []) for day, deal in ((FIRST, then), (LAST, now)))
    rows = waterfall(*both).set_index("step")
    assert {step: amount for step, amount in rows["amount"].items() if amount and step in BETWEEN} == steps
    assert set(rows.index[rows["deals"] > 0]) - {"opening", "closing"} == set(steps)


def test_a_deal_that_changes_hands_and_grows_moves_at_what_it_was_and_grows_where_it_is():
    before, after = book(FIRST, [OPEN]), book(LAST, [Deal("d", "won", 15_000, closed=APRIL, rep="bob")])
    rows = waterfall(before, after, by=("rep",)).set_index(["rep", "step"])["amount"]
    changed = {key: amount for key, amount in rows.items() if amount}
    bobs = {("bob", "moved_in"): 100, ("bob", "raised"): 50, ("bob", "won"): -150}
    assert changed == {("ann", "opening"): 100, ("ann", "moved_out"): -100, **bobs}
    assert moved(before, after, "moved_in").empty
    (deal,) = moved(before, after, "moved_in", where={"rep": ["bob"]}).to_dict("records")
    told = {"opportunity_id": "d", "name": "The d", "rep": "bob", "stage": "Demo", "amount": 100, "before": 100, "after": 150}
    assert deal == told


def test_a_closed_deal_is_counted_in_the_stage_it_closed_from():
    stays = (("Demo", JANUARY, MARCH), ("Offer", MARCH, APRIL))
    before, after = book(FIRST, [OPEN]), book(LAST, [Deal("d", "lost", closed=APRIL, stage="Visit", stays=stays)])
    rows = waterfall(before, after, by=("stage",)).set_index(["stage", "step"])["amount"]
    changed = {key: int(amount) for key, amount in rows.items() if amount}
    assert changed == {("Demo", "opening"): 100, ("Demo", "moved_out"): -100, ("Offer", "moved_in"): 100, ("Offer", "lost"): -100}


def foreign(*deals: tuple[str, str, str | None]) -> pd.DataFrame:
    rows = [(name, currency, None if amount is None else Decimal(amount)) for name, currency, amount in deals]
    return pd.DataFrame(rows, columns=["opportunity_id", "currency", "amount"]).set_index("opportunity_id")


@pytest.mark.parametrize(
    ("then", "now", "cents", "steps"),
    [
        (("EUR", "80.00"), ("EUR", "80.00"), 12_000, {"exchange": 20}),
        (("EUR", "80.00"), ("EUR", "100.00"), 12_000, {"raised": 25, "exchange": -5}),
        (("EUR", "80.00"), ("EUR", "100.00"), 12_500, {"raised": 25}),
        (("EUR", "80.00"), ("GBP", "80.00"), 9_000, {"corrected": -10}),
        (("EUR", "80.00"), None, 8_000, {"corrected": -20}),
        (None, ("EUR", "100.00"), 11_000, {"corrected": 10}),
        (("EUR", "80.00"), ("EUR", None), None, {"lowered": -100}),
        (("EUR", "80.00"), ("EUR", "80.00"), None, {"exchange": -100}),
    ],
)
def test_rates_and_currencies_are_told_from_amounts(then, now, cents, steps):
    before, after = book(FIRST, [OPEN]), book(LAST, [Deal("d", cents=cents)])
    known = tuple(foreign(*([("d", *side)] if side else [])) for side in (then, now))
    rows = waterfall(before, after, foreign=known).set_index("step")["amount"]
    assert {step: amount for step, amount in rows.items() if amount and step in BETWEEN} == steps
    without = waterfall(before, after).set_index("step")["amount"]
    assert without["raised"] + without["lowered"] == sum(steps.values())


def test_what_cannot_be_compared_is_refused():
    before, after = book(FIRST, [OPEN]), book(LAST, [OPEN])
    with pytest.raises(BadParameter, match=r"moves forwards: 2026-03-01 .* lies before 2026-06-01"):
        waterfall(after, before)
    with pytest.raises(BadParameter, match="one book is in USD, the other in EUR"):
        waterfall(before, book(LAST, [OPEN], "EUR"))
    for name in ("status", "loss_reason", "mood"):
        with pytest.raises(BadParameter, match=f"no dimension '{name}'; valid: {', '.join(SLICED_BY)}"):
            waterfall(before, after, by=(name,))
    with pytest.raises(BadParameter, match="asked for twice"):
        waterfall(before, after, by=("rep", "rep"))
    with pytest.raises(UnknownName, match="unknown rep 'zoe'; valid: ann, bob, eve"):
        waterfall(before, after, where={"rep": ["zoe"]})
    with pytest.raises(UnknownName, match="unknown step 'gone'"):
        moved(before, after, "gone")


# ---- from the lake's own rows ----

STATES = """
WITH believed AS (
  SELECT * FROM opportunity WHERE known_at < $instant
  QUALIFY row_number() OVER (PARTITION BY opportunity_id, change_id ORDER BY known_at DESC, import_id DESC) = 1
), facts AS (
  SELECT *, (occurred_at AT TIME ZONE $zone)::DATE AS day,
    row_number() OVER (ORDER BY occurred_at, known_at, source_row, change_id) AS place
  FROM believed WHERE NOT coalesce(retracted, false)
)
SELECT opportunity_id, min(day) AS created, max(occurred_at) FILTER (status IS NOT NULL) AS told_at,
  max(day) FILTER (status IS NOT NULL) AS closed, max(day) FILTER (change_id LIKE 'reopened%') AS back,
  coalesce(last(status ORDER BY place) FILTER (status IS NOT NULL), 'open') AS status,
  last(amount ORDER BY place) FILTER (amount IS NOT NULL) AS amount,
  last(currency ORDER BY place) FILTER (currency IS NOT NULL) AS currency,
  last(owner_id ORDER BY place) FILTER (owner_id IS NOT NULL) AS rep,
  coalesce(last(deleted ORDER BY place) FILTER (deleted IS NOT NULL), false) AS deleted
FROM facts GROUP BY opportunity_id
"""
RATES = """
SELECT from_currency, occurred_at, rate FROM fx_rate WHERE known_at < $instant AND NOT coalesce(retracted, false) ORDER BY occurred_at
"""


def from_rows(engine: duckdb.DuckDBPyConnection, instant: dt.datetime, zone: str) -> dict[str, dict]:
    """Deals as of an instant, by plain SQL on the stored rows, with cents of USD at the rate of their close or of the instant."""
    known = [tuple(row.values()) for row in engine.execute(RATES, {"instant": instant}).fetch_arrow_table().to_pylist()]
    found = {}
    for row in engine.execute(STATES, {"instant": instant, "zone": zone}).fetch_arrow_table().to_pylist():
        if row["deleted"]:
            continue
        at = instant if row["status"] == "open" else row["told_at"]
        rates = [Decimal(repr(rate)) for code, since, rate in known if code == row["currency"] and since <= at]
        rate = Decimal(1) if row["currency"] in (None, "USD") else rates[-1] if rates else None
        money = row["amount"] is not None and rate is not None
        cents = int((row["amount"] * rate).quantize(Decimal("0.01"), ROUND_HALF_EVEN) * 100) if money else 0
        found[row["opportunity_id"]] = row | {"cents": cents}
    return found


def retold(then: dict[str, dict], now: dict[str, dict], first: dt.date) -> Counter:
    """Cents by (rep, step): each deal's story told anew, without a look at how the package tells it."""
    sums: Counter = Counter()
    for name in then.keys() | now.keys():
        old, new = then.get(name), now.get(name)
        was_open, is_open = bool(old) and old["status"] == "open", bool(new) and new["status"] == "open"
        ended_since = bool(new) and not is_open and new["closed"] >= first
        if was_open:
            sums[old["rep"], "opening"] += old["cents"]
        if is_open:
            sums[new["rep"], "closing"] += new["cents"]
        if was_open and not new:
            sums[old["rep"], "withdrawn"] -= old["cents"]
        elif was_open and not is_open and not ended_since:
            sums[old["rep"], "corrected"] -= old["cents"]
        elif was_open:
            end = new["cents"] or (0 if is_open else old["cents"])
            if old["rep"] != new["rep"]:
                sums[old["rep"], "moved_out"] -= old["cents"]
                sums[new["rep"], "moved_in"] += old["cents"]
            same_rate = end
            if end and old["cents"] and new["currency"] not in (None, "USD"):
                same_rate = int((new["amount"] * old["cents"] / old["amount"]).quantize(Decimal(1), ROUND_HALF_EVEN))
                same_rate = end if end == old["cents"] else same_rate
            sums[new["rep"], "exchange"] += end - same_rate
            grown = same_rate - old["cents"]
            sums[new["rep"], "raised" if grown > 0 else "lowered"] += grown
            if ended_since:
                sums[new["rep"], new["status"]] -= end
        elif is_open or (ended_since and (not old or new["closed"] > old["closed"])):
            fresh = not old and new["created"] >= first
            back = bool(old) and new["back"] is not None and new["back"] >= first
            sums[new["rep"], "created" if fresh else "reopened" if back else "corrected"] += new["cents"]
            if ended_since:
                sums[new["rep"], new["status"]] -= new["cents"]
    return Counter({key: cents for key, cents in sums.items() if cents})


@pytest.fixture(scope="module")
def trading(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[dt.datetime], list[books.Book], list[pd.DataFrame]]:
    """A small company that sells in three currencies and enters many closings late, with its books of four instants."""
    workspace = Workspace.create(tmp_path_factory.mktemp("trading") / "w", time_zone="America/Sao_Paulo")
    world.build(workspace, **(world.preset("tiny") | {"currencies": 3, "late": 0.3, "faults": 3.0}), seed=11)
    tables = Lake(workspace).open()
    last = tables.instant()
    instants = [last - dt.timedelta(days=260), last - dt.timedelta(days=124, hours=9, minutes=26), last - dt.timedelta(days=30), last]
    views = [visible(tables, instant) for instant in instants]
    return workspace, instants, [books.make(view) for view in views], [abroad(view) for view in views]


@pytest.mark.slow
def test_the_lakes_own_rows_tell_the_same_to_the_cent(trading):
    workspace, instants, made, known = trading
    engine, tables = duckdb.connect(), Lake(workspace).open()
    engine.execute("SET TimeZone = 'UTC'")
    for name in ("opportunity", "fx_rate"):
        engine.register(name, tables.rows(name))
    zone = workspace.settings.time_zone
    told = [from_rows(engine, instant, zone) for instant in instants]
    seen = Counter()
    for one, two in combinations(range(len(made)), 2):
        rows = waterfall(made[one], made[two], by=("rep",), foreign=(known[one], known[two]))
        exact(rows, ("rep",))
        mine = {(rep, step): cents for rep, step, cents in zip(rows["rep"], rows["step"], rows["cents"], strict=True) if cents}
        assert mine == retold(told[one], told[two], made[one].day)
        seen.update(step for _, step in mine)
    assert not set(STEPS) - {"withdrawn"} - set(seen), "the company is too quiet for this test"


@pytest.mark.slow
def test_books_of_a_company_agree_with_its_measures_in_every_slice(trading):
    _, _, made, _ = trading
    agree(made[1], made[3], ("region", "rep"))
    agree(made[0], made[2], ("stage",))
    for one, two in combinations(made, 2):
        rows = waterfall(one, two).set_index("step")
        told = measure(two, ["bookings", "deals_won", "deals_lost"], period=(one.day, two.day + dt.timedelta(days=1))).iloc[0]
        assert -rows["amount"]["won"] == told["bookings"]
        assert rows["deals"]["won"] == told["deals_won"]
        assert rows["deals"]["lost"] + rows["deals"]["no_decision"] == told["deals_lost"]
        assert rows["amount"]["closing"] == measure(two, ["pipeline"])["pipeline"][0]
        assert rows["amount"]["opening"] == measure(one, ["pipeline"])["pipeline"][0]


@pytest.mark.slow
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 999), st.floats(0, 0.5), st.tuples(st.floats(1, 300), st.floats(1, 300)).map(sorted))
def test_any_two_instants_of_any_small_company_are_joined(tmp_path_factory, seed, late, back):
    workspace = Workspace.create(tmp_path_factory.mktemp("small") / "w", time_zone="Asia/Kolkata")
    world.build(workspace, reps=3, years=1.0, deals=80, late=late, currencies=2, seed=seed)
    tables = Lake(workspace).open()
    views = [visible(tables, tables.instant() - dt.timedelta(days=days)) for days in reversed(back)]
    before, after = (books.make(view) for view in views)
    agree(before, after, ("rep",))
    exact(waterfall(before, after, by=("stage",), foreign=(abroad(views[0]), abroad(views[1]))), ("stage",))


@pytest.mark.slow
def test_ageing_stalled_moves_and_flows_equal_sums_over_the_deals(trading):
    _, _, made, _ = trading
    last = made[-1]
    deals, stays = last.tables["deal"].to_pandas(), last.tables["visit"].to_pandas()
    now = deals[deals["state"] == 0].assign(stage=lambda rows: [last.names["stage"][code] for code in rows["stage"]])
    rows = ageing(last)
    assert rows["deals"].sum() == len(now)
    assert sum(rows["amount"]) == measure(last, ["pipeline"])["pipeline"][0]
    order = now.groupby("stage")["stage_order"].min().sort_values().index
    assert list(dict.fromkeys(rows["stage"])) == list(order)
    low = 0
    for name, high in BANDS:
        for stage in order:
            inside = now[(now["stage"] == stage) & (now["stage_days"] >= low) & (now["stage_days"] <= (high or 10**6))]
            (cell,) = rows[(rows["stage"] == stage) & (rows["band"] == name)].to_dict("records")
            assert (cell["deals"], cell["amount"]) == (len(inside), Decimal(int(inside["cents"].sum())) / 100)
        low = (high or 0) + 1
    late = stalled(last)
    on = stays[stays["ended"] == 1]
    long_days = {stage: np.quantile(on.loc[on["stage"] == last.names["stage"].index(stage), "days"], 0.9) for stage in order}
    longer = now[now["stage_days"] > now["stage"].map(long_days)]
    assert set(late["opportunity_id"]) == set(longer["opportunity_id"])
    assert rows["longer"].sum() == len(late)
    assert late["amount"].dropna().tolist() == sorted(late["amount"].dropna(), reverse=True)
    count = pushes(last)
    assert count["open_deals"].tolist() == [*(int((now["pushes"] == n).sum()) for n in range(4)), int((now["pushes"] >= 4).sum())]
    assert (count["closed"].sum(), count["won"].sum()) == ((deals["state"] > 0).sum(), (deals["state"] == 1).sum())
    known = count[count["closed"] > 0]
    assert ((known["lo"] < known["win_rate"]) & (known["win_rate"] < known["hi"])).all()
    flows = created_and_closed(last)
    closed = deals.assign(month=pd.to_datetime(deals["closed_on"]).dt.to_period("M").dt.to_timestamp())
    for row in flows.to_dict("records"):
        of = closed[closed["month"] == row["period"]]
        told = {state: Decimal(int(of.loc[of["state"] == state, "cents"].sum())) / 100 for state in (1, 2)}
        assert (row["won"], row["lost"], row["change"]) == (told[1], told[2], row["created"] - told[1] - told[2])
        assert (row["won_deals"], row["lost_deals"]) == ((of["state"] == 1).sum(), (of["state"] == 2).sum())
    assert sum(flows["created"]) == Decimal(int(deals["cents"].sum())) / 100
    assert created_and_closed(last, "week")["slipped"].isna().all()


def test_few_stays_name_no_stalled_deal_and_few_deals_give_wide_intervals():
    stays = tuple(("Demo", JANUARY, FEBRUARY) for _ in range(19))
    deals = [Deal("a", stage_days=400, pushes=7), Deal("b", "won", closed=FEBRUARY, stays=stays, pushes=5)]
    made = book(LAST, deals)
    assert stalled(made).empty
    assert ageing(made)["long_days"].isna().all()
    enough = book(LAST, [deals[0], Deal("b", "won", closed=FEBRUARY, stays=(*stays, stays[0]))])
    assert stalled(enough)["opportunity_id"].tolist() == ["a"]
    most = pushes(made).iloc[-1]
    assert (most["moves"], most["open_deals"], most["closed"], most["win_rate"]) == ("4 or more", 1, 1, 1.0)
    assert most["lo"] == pytest.approx(1 / (1 + 1.6448536**2), abs=1e-6)  # Wilson's lower bound of one in one
    assert pushes(made, where={"rep": ["ann"]}).equals(pushes(made))
    assert ageing(book(LAST, [])).empty


# ---- as pictures and in words ----


def drawings(width: int) -> dict[str, str]:
    before, after = book(FIRST, [OPEN, Deal("e", cents=900)]), book(LAST, [Deal("d", cents=12_000), Deal("f<&>", created=MARCH)])
    months = pd.date_range("2025-07-01", periods=12, freq="MS")
    flows = pd.DataFrame({"period": months, "created": 5.0, "won": 1.0, "lost": 3.0, "change": 1.0})
    usual = "usually {:.0f}".format
    return {
        "waterfall": drawn.waterfall(waterfall(before, after), words.amount, "What <moved>", width),
        "heat": drawn.heat(ageing(after), words.amount, "What <waits>", lambda half, _: usual(half), width),
        "flows": drawn.flows(flows, words.amount, "What <comes>", width),
    }


@pytest.mark.parametrize("width", [340, 1040])
def test_drawings_are_sound_told_in_words_and_stay_inside_their_frame(width):
    for name, drawing in drawings(width).items():
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert root.get("aria-label", "").startswith("What <"), name
        assert not re.search(r"<script|style=|fill=\"#|http", drawing)
        _, _, right, bottom = map(float, root.get("viewBox", "").split())
        assert right == width
        for shape in root.iter("rect"):
            x, y, wide, high = (float(shape.get(side, "nan")) for side in ("x", "y", "width", "height"))
            assert min(x, y, wide, high) >= 0
            assert x + wide <= right + 0.1
            assert y + high <= bottom
            assert shape.get("class") in ("whole", "up", "won", "down", "cell", "past")
            assert f".{shape.get('class')}" in drawn.STYLE


def test_bars_of_the_waterfall_begin_where_the_one_above_ends():
    bars = [(float(shape.get("x")), float(shape.get("width"))) for shape in ElementTree.fromstring(drawings(340)["waterfall"]).iter("rect")]
    opening, created, raised, withdrawn, closing = bars
    assert created[0] == pytest.approx(sum(opening), abs=0.11)
    assert raised[0] == pytest.approx(sum(created), abs=0.11)
    assert withdrawn[0] == pytest.approx(sum(closing), abs=0.11)
    assert (opening[0], opening[1] / closing[1]) == (closing[0], pytest.approx(109 / 220, abs=0.01))


@pytest.mark.slow
def test_the_workflow_answers_in_a_sentence_and_the_command_prints_it(tiny_workspace):
    found = movement(tiny_workspace, "2026-04-01", "2026-06-01", by="rep")
    exact(found.steps)
    exact(found.slices, ("rep",))
    rows = found.steps.set_index("step")["amount"]
    days = r"from USD.* at the start of 1.April.2026 to USD.* at the start of 1.June.2026"
    assert re.match(rf"The open pipeline (grew|shrank) by .*, {days} \((\+|−)USD.*\)\. ", found.sentence)
    assert ("grew" in found.sentence) == (rows["closing"] > rows["opening"])
    driver = {"won": "won", "lost": "lost", "no_decision": "without decision", "created": "created"}
    assert driver[rows.loc[list(driver)].astype("float64").idxmin()] in found.sentence
    assert driver[rows.loc[list(driver)].astype("float64").idxmax()] in found.sentence
    assert found.behind.groupby("step")["amount"].sum().to_dict() == {step: rows[step] for step in BETWEEN if rows[step]}
    tables = [
        charts.steps_table(found.steps, "USD"), charts.slices_table(found.slices, "rep", "USD"), charts.behind_table(found.behind, "USD"),
        charts.stalled_table(found.stalled, "USD"), charts.pushes_table(found.pushes, "USD"), charts.usual_table(found.ageing, "USD"),
        charts.flows_table(found.flows, "USD"),
    ]  # fmt: skip
    assert all("<caption>" in one.html for one in tables)
    assert f"{rows['won']:,.2f}" in tables[0].html
    made = (charts.waterfall_figure(found.steps, "USD"), charts.ageing_figure(found.ageing, "USD"), charts.flows_figure(found.flows, "USD"))
    assert all(figure.layout.meta["alt"] for figure in made)
    app = typer.Typer()
    app.callback()(lambda: None)
    command.register(app)
    given = ["movement", "--since", "2026-04-01", "--as-of", "2026-06-01"]
    told = CliRunner().invoke(app, given, obj=str(tiny_workspace.root), env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    assert found.sentence in told.output.replace("\n", " ")
    assert f"{rows['won']:+,.2f}" in told.output
    bad = CliRunner().invoke(app, [*given, "--where", "region"], obj=str(tiny_workspace.root))
    assert isinstance(bad.exception, BadParameter)
    with pytest.raises(BadParameter, match="is not before"):
        movement(tiny_workspace, "2026-06-01", "2026-06-01")
