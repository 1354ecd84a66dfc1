"""Measures against an independent account of the same facts in SQL, in every kind of slice; as of a past day; by hand on made-up rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import shared_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salesml.analytics import book as books
from salesml.analytics.book import Book
from salesml.analytics.measures import MEASURES, Combined, Measure
from salesml.analytics.slices import ALL, compare, drill, measure, previous, year_before
from salesml.contracts import table
from salesml.errors import BadParameter, UnknownName
from salesml.lake import Lake, Tables, visible
from salesml.workflows.books import book_of
from salesml.workspace import Workspace

MID = "2024-05-17"
D = dt.date

DEALS = """
with facts as (select * from opportunity where known_at < as_of and not coalesce(retracted, false)),
last as (
  select opportunity_id, min(occurred_at) as created_at,
    {columns},
    max(occurred_at) filter (status is not null and rank = last_status) as status_at,
    max(occurred_at) filter (stage is not null and rank = last_stage) as stage_at, count(close_date) as date_told, max(as_of) as as_of_
  from (select *, max(case when status is not null then rank end) over (partition by opportunity_id) as last_status,
          max(case when stage is not null then rank end) over (partition by opportunity_id) as last_stage
        from (select *, row_number() over (partition by opportunity_id
                                           order by occurred_at, known_at, source_row, change_id) as rank from facts))
  group by opportunity_id
)
select l.opportunity_id, coalesce(l.status, 'open') as status, l.amount, l.stage, l.date_told - 1 as pushes,
  date_diff('microsecond', l.created_at, as_of_) // 86400000000 as age_days,
  date_diff('microsecond', l.stage_at, as_of_) // 86400000000 as stage_days,
  l.owner_id as rep, l.segment, l.source, l.product_id as product,
  l.created_at::date as created_on, case when coalesce(l.status, 'open') != 'open' then l.status_at::date end as closed_on, l.close_date,
  date_diff('microsecond', l.created_at, l.status_at) // 86400000000 as cycle_days,
  coalesce(u.region, a.region, '(no region)') as region, coalesce(u.team_id, '(none)') as team
from last l left join people u on u.user_id = l.owner_id left join accounts a on a.account_id = l.account_id
where not coalesce(l.deleted, false)
"""
STATE = """
create view {view} as select {key}, {columns} from
(select *, row_number() over (partition by {key} order by occurred_at, known_at, source_row, change_id) as rank
 from {table} where known_at < as_of and not coalesce(retracted, false)) group by {key}
"""
ACTS = """
select x.occurred_at::date as on_day, x.type as activity_type, x.direction, x.owner_id as rep, coalesce(u.region, '(no region)') as region,
  x.duration_minutes,
  (select min(y.occurred_at) from acts y where y.direction = 'outbound' and y.about = x.about
     and (y.occurred_at > x.occurred_at or (y.occurred_at = x.occurred_at and y.activity_id > x.activity_id))) as answered_at, x.occurred_at
from acts x left join people u on u.user_id = x.owner_id
"""
STAYS = """
with ranked as (
  select *, row_number() over (partition by opportunity_id order by occurred_at, known_at, source_row, change_id) as rank
  from opportunity where known_at < as_of and not coalesce(retracted, false)
), told as (
  select opportunity_id, rank, least(occurred_at, as_of) as moment, stage, stage_order, as_of,
    coalesce(last_value(status ignore nulls) over one, 'open') as status
  from ranked window one as (partition by opportunity_id order by rank rows unbounded preceding)
), there as (
  select *, coalesce(lead(moment) over one, as_of) as until, lead(status) over one as next_status,
    coalesce(last_value(case when status = 'open' then stage end ignore nulls) over before, '(no stage)') as stage_now
  from told window one as (partition by opportunity_id order by rank),
    before as (partition by opportunity_id order by rank rows unbounded preceding)
), placed as (
  select *, coalesce((select median(t.stage_order) from told t where t.status = 'open' and t.stage = there.stage_now), -1) as place,
    coalesce(lag(stage_now) over one = stage_now and lag(status) over one = 'open', false) as goes_on
  from there window one as (partition by opportunity_id order by rank)
), runs as (
  select *, sum(case when goes_on and status = 'open' then 0 else 1 end) over (partition by opportunity_id order by rank) as run,
    lead(place) over (partition by opportunity_id order by rank) as next_place
  from placed
), ended as (
  select opportunity_id, any_value(stage_now) as stage, min(moment) as entered_at, max(until) as left_at,
    arg_max(next_status, rank) as then_,
    any_value(place) as place, arg_max(next_place, rank) as next_place
  from runs where status = 'open' group by opportunity_id, run
)
select opportunity_id, stage, left_at::date as left_on, date_diff('microsecond', entered_at, left_at) // 86400000000 as days,
  case when then_ = 'won' then 1 when then_ in ('lost', 'no_decision') then 3 when next_place < place then 2 else 1 end as ended
from ended where then_ is not null and not (then_ = 'open' and left_at <= entered_at)
"""
DUE = """
with ranked as (
  select *, row_number() over (partition by opportunity_id order by occurred_at, known_at, source_row, change_id) as rank
  from opportunity where known_at < as_of and not coalesce(retracted, false) and close_date is not null
), months as (select distinct date_trunc('month', close_date)::date as starts_on from ranked),
stood as (
  select opportunity_id, starts_on, arg_max(close_date, rank) as close_date, max(as_of)::date as today
  from ranked join months on occurred_at < starts_on::timestamp at time zone 'UTC' group by opportunity_id, starts_on
)
select s.opportunity_id, s.starts_on, case when d.closed_on < s.starts_on + interval 1 month then d.status
    when s.starts_on + interval 1 month <= s.today then 'slipped' end as ended
from stood s join deals d using (opportunity_id)
where date_trunc('month', s.close_date) = s.starts_on and (d.closed_on is null or d.closed_on >= s.starts_on) and s.starts_on <= s.today
"""
OF_A_DEAL = ["opportunity_id", "amount", "rep", "region", "segment", "source", "product"]


def latest(name: str, columns: list[str]) -> str:
    return ", ".join(f"arg_max({column}, rank) filter ({column} is not null) as {column}" for column in columns)


class Account:
    """The same company told by SQL alone, from the stored rows."""

    def __init__(self, tables: Tables, as_of: dt.datetime) -> None:
        names = ("opportunity", "account", "user", "activity", "revenue", "quota", "team")
        self.con = duckdb.connect()
        self.con.execute("set TimeZone = 'UTC'")
        for name in names:
            self.con.register(f"raw_{name}", tables.rows(name))
            self.con.execute(f"create table {name} as select *, timestamptz '{as_of.isoformat()}' as as_of from raw_{name}")
        for view, key, source, columns in (
            ("people", "user_id", '"user"', ["region", "team_id"]), ("accounts", "account_id", "account", ["region"]),
            ("teams", "team_id", "team", ["region"]),
            ("quotas", "quota_id", "quota", ["entity_type", "entity_id", "period_start", "period_end", "target", "amount"]),
        ):  # fmt: skip
            self.con.execute(STATE.format(view=view, key=key, table=source, columns=latest(view, columns)))
        columns = ["status", "stage", "amount", "owner_id", "segment", "source", "product_id", "close_date", "account_id", "deleted"]
        self.deals = self.con.execute(DEALS.format(columns=latest("deals", columns))).df()
        self.deals["probability"] = self.deals["opportunity_id"].map(chances(self.deals).set_index("opportunity_id")["probability"])
        self.con.register("deals", self.deals)
        self.stays = self.con.execute(STAYS).df().merge(self.deals[OF_A_DEAL], on="opportunity_id")
        self.due = self.con.execute(DUE).df().merge(self.deals[OF_A_DEAL], on="opportunity_id").dropna(subset="ended")
        about = "coalesce(opportunity_id, lead_id, account_id, contact_id)"
        self.con.execute(f"create table acts as select *, {about} as about from activity where known_at < as_of")
        self.acts = self.con.execute(ACTS).df()
        self.revenue = self.con.execute(
            "select occurred_at::date as on_day, amount, owner_id as rep, coalesce(u.region, '(no region)') as region "
            "from revenue r left join people u on u.user_id = r.owner_id where known_at < as_of and kind = 'invoice'"
        ).df()
        self.quotas = self.con.execute(
            "select q.amount, q.entity_type, q.period_start, q.period_end, q.entity_id as rep, "
            "  case q.entity_type when 'region' then q.entity_id when 'team' then t.region else u.region end as region "
            "from quotas q left join people u on q.entity_id = u.user_id left join teams t on q.entity_id = t.team_id "
            "where coalesce(q.target, 'revenue') = 'revenue'"
        ).df()

    def figure(self, name: str, where: dict[str, list[str]], period: tuple[dt.date, dt.date]) -> float | Decimal | int | None:
        def within(rows: pd.DataFrame, column: str | None) -> pd.DataFrame:
            for dimension, names in where.items():
                rows = rows[rows[dimension].isin(names)] if dimension in rows else rows[:0]  # not asked of this table
            if column is None:
                return rows
            days = pd.to_datetime(rows[column])
            return rows[(days >= pd.Timestamp(period[0])) & (days < pd.Timestamp(period[1]))]

        deals = self.deals
        closed, won = within(deals[deals["status"] != "open"], "closed_on"), within(deals[deals["status"] == "won"], "closed_on")
        open_ = within(deals[deals["status"] == "open"], None)
        due, acts = within(deals[deals["status"] == "open"], "close_date"), within(self.acts, "on_day")
        mail = acts[acts["direction"] == "inbound"]
        hours = (mail["answered_at"] - mail["occurred_at"]).dt.total_seconds().dropna() / 3600

        def total(rows: pd.DataFrame, column: str = "amount") -> Decimal:
            return sum((Decimal(str(value)).quantize(Decimal("0.01")) for value in rows[column].dropna()), Decimal(0))

        def ratio(top: float, bottom: float) -> float | None:
            return top / bottom if bottom else None

        def quota() -> Decimal | None:
            level = "rep" if "rep" in where else "region" if "region" in where else "company"
            rows = within(self.quotas[self.quotas["entity_type"] == level], None)
            starts, ends = pd.to_datetime(rows["period_start"]), pd.to_datetime(rows["period_end"])
            rows = rows[(starts >= pd.Timestamp(period[0])) & (starts < pd.Timestamp(period[1])) & (ends <= pd.Timestamp(period[1]))]
            return total(rows) if len(rows) else None

        def coverage() -> float | None:
            missing = None if quota() is None else float(quota() - figures["revenue"]())
            return float(total(due)) / missing if missing is not None and missing > 0 else None

        def velocity() -> float | None:
            parts = [figures[one]() for one in ("open_deals", "win_rate", "average_deal", "mean_cycle_days")]
            return None if any(one is None for one in parts) or not parts[3] > 0 else parts[0] * parts[1] * parts[2] / parts[3]

        stays, was_due = within(self.stays, "left_on"), within(self.due, "starts_on")
        slipped = was_due[was_due["ended"] == "slipped"]
        scored = open_[open_["probability"].notna() & open_["amount"].notna()]

        figures = {
            "bookings": lambda: total(won), "deals_won": lambda: len(won), "deals_lost": lambda: len(closed) - len(won),
            "deals_created": lambda: len(within(deals, "created_on")), "created_amount": lambda: total(within(deals, "created_on")),
            "win_rate": lambda: ratio(len(won), len(closed)), "win_rate_amount": lambda: ratio(float(total(won)), float(total(closed))),
            "average_deal": lambda: ratio(float(total(won)), int(won["amount"].notna().sum())),
            "cycle_days": lambda: won["cycle_days"].median() if len(won) else None,
            "mean_cycle_days": lambda: won["cycle_days"].mean() if len(won) else None,
            "pipeline": lambda: total(open_), "open_deals": lambda: len(open_), "pipeline_due": lambda: total(due),
            "activities": lambda: len(acts), "inbound_share": lambda: ratio(len(mail), len(acts)),
            "activity_minutes": lambda: float(acts["duration_minutes"].round().sum()) / 60,
            "response_hours": lambda: hours.median() if len(hours) else None, "answered_share": lambda: ratio(len(hours), len(mail)),
            "revenue": lambda: total(within(self.revenue, "on_day")),
            "weighted_pipeline": lambda: sum(
                (Decimal(round(round(a * 100) * p)) / 100 for a, p in zip(scored["amount"], scored["probability"], strict=True)),
                Decimal(0),
            ),
            "open_age_days": lambda: open_["age_days"].mean() if len(open_) else None,
            "stage_age_days": lambda: open_["stage_days"].median() if len(open_) else None,
            "pushes": lambda: open_["pushes"].clip(lower=0).mean() if len(open_) else None,
            "stage_conversion": lambda: ratio(int((stays["ended"] == 1).sum()), len(stays)),
            "stage_stay_days": lambda: stays["days"].median() if len(stays) else None,
            "slip_rate": lambda: ratio(len(slipped), len(was_due)), "slipped": lambda: total(slipped),
            "quota": quota, "quota_attainment": lambda: None if not quota() else float(figures["revenue"]()) / float(quota() or 1),
            "coverage": coverage, "velocity": velocity,
        }  # fmt: skip
        return figures[name]()


TOLD = ("bookings", "deals_won", "deals_lost", "deals_created", "created_amount", "win_rate", "win_rate_amount", "average_deal",
        "cycle_days", "mean_cycle_days", "pipeline", "open_deals", "pipeline_due", "activities", "inbound_share", "activity_minutes",
        "response_hours", "answered_share", "revenue", "weighted_pipeline", "open_age_days", "stage_age_days", "pushes",
        "stage_conversion", "stage_stay_days", "slip_rate", "slipped", "quota", "quota_attainment", "coverage", "velocity")  # fmt: skip


def chances(deals: pd.DataFrame) -> pd.DataFrame:
    """A made-up chance for every deal but each seventh, so that rounding and lack are met."""
    names = pd.Series(sorted(deals["opportunity_id"]))
    return pd.DataFrame({"opportunity_id": names, "probability": (names.index % 97) / 97})[names.index % 7 != 0]


@cache
def company(root: Path) -> tuple[Book, Account]:
    tables = Lake(Workspace.open(root)).open()
    instant = tables.instant(None)
    account = Account(tables, instant)
    return books.make(visible(tables, instant), chances(account.deals)), account


@pytest.fixture(scope="module")
def both(tiny_workspace: Workspace) -> tuple[Book, Account]:
    return company(tiny_workspace.root)


def same(mine: object, theirs: object) -> bool:
    if theirs is None or (isinstance(theirs, float) and np.isnan(theirs)):
        return mine is None or bool(np.isnan(float(mine)))  # type: ignore[arg-type]
    if isinstance(theirs, Decimal | int):
        return mine == theirs
    return float(mine) == pytest.approx(float(theirs), rel=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TOLD)
def test_every_measure_is_what_sql_makes_of_the_stored_rows(both, name):
    book, account = both
    last = book.day
    for period in ((last - dt.timedelta(days=90), last), (D(2020, 1, 1), last), (D(2010, 1, 1), D(2010, 2, 1))):
        got = measure(book, [name], period=period)[name].iloc[0]
        assert same(got, account.figure(name, {}, period)), (name, period, got, account.figure(name, {}, period))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_slice_is_what_sql_makes_of_it(tiny_workspace, data):
    book, account = company(tiny_workspace.root)
    name = data.draw(st.sampled_from(TOLD))
    asked = MEASURES[name]
    shared = [one for one in ("region", "rep", "segment", "source", "product") if one in asked.dimensions and (
        one in ("region", "rep") or (isinstance(asked, Measure) and asked.table in ("deal", "visit", "due")))]  # fmt: skip
    where = {}
    for dimension in data.draw(st.lists(st.sampled_from(shared), unique=True, max_size=3)):
        known = [one for one in book.names[dimension] if one != "(none)"]
        where[dimension] = data.draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
    start = data.draw(st.dates(D(2021, 6, 1), book.day - dt.timedelta(days=2)))
    period = (start, data.draw(st.dates(start + dt.timedelta(days=1), book.day)))
    got = measure(book, [name], where=where, period=period)[name].iloc[0]
    assert same(got, account.figure(name, where, period))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_parts_add_up_to_their_whole_and_to_the_rows_behind(tiny_workspace, data):
    book, _ = company(tiny_workspace.root)
    sums = [one.name for one in MEASURES.values() if isinstance(one, Measure) and one.adds_up and one.bottom is None]
    name = data.draw(st.sampled_from(sums))
    asked = MEASURES[name]
    by = data.draw(st.lists(st.sampled_from(asked.dimensions), unique=True, min_size=1, max_size=3))
    flow = isinstance(asked, Measure) and asked.at is not None
    every = data.draw(st.sampled_from([None, "day", "week", "month", "quarter", "year"])) if flow else None
    start = data.draw(st.dates(D(2021, 6, 1), book.day - dt.timedelta(days=40)))
    period = (start, data.draw(st.dates(start + dt.timedelta(days=1), book.day))) if flow else None
    whole = measure(book, [name], period=period)[name].iloc[0] or 0
    found = measure(book, [name], by=by, period=period, every=every, rollup=True)
    finest = found[(found[by] != ALL).all(axis=1)]
    top = found[(found[by] == ALL).all(axis=1)]
    for part in (finest, top):
        assert sum(value for value in part[name] if value is not None) == pytest.approx(whole) if asked.per != 1 else sum(
            value for value in part[name] if value is not None) == whole  # fmt: skip
    assert not found.duplicated([*by, *(["period"] if every else [])]).any()
    rows = drill(book, name, period=period, most=10**6)
    assert rows["counted"].sum() == pytest.approx(float(whole), abs=0.005)


def test_a_rollup_of_medians_and_quotas_is_asked_for_level_by_level(both):
    book, _ = both
    found = measure(book, ["cycle_days", "quota"], by=["region", "team"], period=(D(2021, 1, 1), book.day), rollup=True)
    alone = measure(book, ["cycle_days", "quota"], period=(D(2021, 1, 1), book.day))
    top = found[(found["region"] == ALL) & (found["team"] == ALL)].iloc[0]
    assert top["cycle_days"] == alone["cycle_days"].iloc[0] and top["quota"] == alone["quota"].iloc[0]
    region = next(name for name in book.names["region"] if not name.startswith("("))
    one = measure(book, ["cycle_days", "quota"], where={"region": [region]}, period=(D(2021, 1, 1), book.day)).iloc[0]
    row = found[(found["region"] == region) & (found["team"] == ALL)].iloc[0]
    assert row["cycle_days"] == one["cycle_days"] and row["quota"] == one["quota"]


def test_a_book_of_a_past_day_is_the_same_to_the_bit_after_a_year_of_later_facts(tiny_workspace):
    tables = Lake(tiny_workspace).open()
    end = tables.instant(None)
    past = end - dt.timedelta(days=365)
    early = {}
    for name in tables.head.tables:
        rows = tables.rows(name)
        known = pa.compute.less(rows["known_at"], pa.scalar(past, rows["known_at"].type))
        early[name] = rows.filter(known)
    then = books.make(visible(Tables.of(tiny_workspace, early), past))
    now = books.make(visible(tables, past))
    assert then.names == now.names and then.labels == now.labels and then.day == now.day
    for name in now.tables:
        assert then.tables[name].equals(now.tables[name]), name
    names = [one for one in MEASURES if one not in ("quota_attainment", "coverage", "quota")]
    period = (now.day - dt.timedelta(days=91), now.day)
    pd.testing.assert_frame_equal(measure(then, names, period=period), measure(now, names, period=period), check_exact=True)


def test_comparisons_say_which_way_is_better_and_keep_what_stood_apart(both, tiny_workspace):
    book, _ = both
    period = (D(book.day.year, 1, 1), D(book.day.year, 4, 1))
    before = previous(period)
    assert before == (D(period[0].year - 1, 10, 1), period[0])
    assert year_before((D(2024, 2, 29), D(2024, 3, 1))) == (D(2023, 3, 1), D(2023, 3, 1))
    assert previous((D(2024, 3, 5), D(2024, 3, 12))) == (D(2024, 2, 27), D(2024, 3, 5))
    found = compare(book, ["bookings", "cycle_days", "pipeline"], period, before).set_index("measure")
    assert np.isnan(found.loc["pipeline", "before"]) and pd.isna(found.loc["pipeline", "better"])
    rise = found.loc["bookings", "change"]
    assert bool(found.loc["bookings", "better"]) == (rise > 0)
    then = books.make(visible(Lake(tiny_workspace).open(), period[0]))
    looked = compare(book, ["pipeline"], period, before, then=then).iloc[0]
    assert looked["before"] == float(measure(then, ["pipeline"])["pipeline"].iloc[0])


def test_what_cannot_be_asked_is_refused_with_what_can(both):
    book, _ = both
    with pytest.raises(UnknownName, match="measure 'turnover'"):
        measure(book, ["turnover"])
    with pytest.raises(BadParameter, match="quota has no dimension 'product'; valid: region, team, rep"):
        measure(book, ["quota_attainment"], by=["product"])
    with pytest.raises(UnknownName, match="region 'Atlantis'"):
        measure(book, ["bookings"], where={"region": ["Atlantis"]})
    with pytest.raises(BadParameter, match="pipeline stands as of an instant"):
        measure(book, ["pipeline"], every="month")
    with pytest.raises(BadParameter, match="has no day"):
        measure(book, ["bookings"], period=(D(2024, 1, 1), D(2024, 1, 1)))
    with pytest.raises(BadParameter, match="worked out from revenue, quota"):
        drill(book, "quota_attainment")
    with pytest.raises(UnknownName, match="every 'decade'"):
        measure(book, ["bookings"], every="decade")


def test_every_measure_has_its_account_in_sql():
    assert set(TOLD) == set(MEASURES)


def test_every_measure_declares_itself_and_can_be_asked(both):
    book, _ = both
    for name, one in MEASURES.items():
        assert name == one.name and one.title and one.formula and one.dimensions
        found = measure(book, [name], period=(D(2023, 1, 1), book.day), by=one.dimensions[:1])
        assert name in found
        if isinstance(one, Combined):
            assert all(isinstance(MEASURES[part], Measure) for part in one.of)


def rows_of(name: str, rows: list[dict[str, object]]) -> pa.Table:
    spec = table(name)
    told = []
    for number, row in enumerate(rows):
        at = dt.datetime.fromisoformat(str(row["at"])).replace(tzinfo=dt.UTC)
        own = {key: value for key, value in row.items() if key != "at"}
        told.append({"change_id": f"c{number}", "occurred_at": at, "known_at": at, "retracted": False, "known_at_assumed": False,
                     "source_row": number, "import_id": "1", **own})  # fmt: skip
    kept = [{key: value for key, value in row.items() if key in spec.schema.names} for row in told]
    return pa.Table.from_pylist(kept, schema=spec.schema)


def made(root: Path, tables: dict[str, list[dict[str, object]]], as_of: str, **options: object) -> Book:
    workspace = Workspace.create(root, **options)
    frames = {name: rows_of(name, rows) for name, rows in tables.items()}
    return books.make(visible(Tables.of(workspace, frames), as_of))


def deal(name: str, created: str, **last: object) -> list[dict[str, object]]:
    told = {key: last[key] for key in ("amount", "currency", "close_date") if key in last}
    first = {"opportunity_id": name, "at": created, "status": "open", "stage": "Talk", "stage_order": 1, "owner_id": "U1", **told}
    return [first, *([{"opportunity_id": name, "at": last["closed"], "status": last["status"]}] if "closed" in last else [])]


def test_money_is_converted_at_the_rate_of_the_close_and_what_has_no_rate_is_counted(tmp_path):
    rates = [
        {"fx_rate_id": "a", "from_currency": "EUR", "to_currency": "USD", "rate": 1.1, "at": "2024-01-01"},
        {"fx_rate_id": "b", "from_currency": "EUR", "to_currency": "USD", "rate": 1.25, "at": "2024-03-01"},
    ]
    deals = [
        *deal("A", "2024-01-05", amount=Decimal("100.01"), currency="EUR", status="won", closed="2024-02-10"),
        *deal("B", "2024-01-05", amount=Decimal("100.00"), currency="EUR"),
        *deal("C", "2024-01-05", amount=Decimal("7.00"), currency="CHF", status="won", closed="2024-02-10"),
        *deal("D", "2024-01-05", amount=Decimal("1.00"), currency="USD", status="won", closed="2024-02-10"),
    ]
    book = made(tmp_path, {"opportunity": deals, "fx_rate": rates}, "2024-06-01")
    found = measure(book, ["bookings", "deals_won", "pipeline", "average_deal"], period=(D(2024, 1, 1), D(2024, 6, 1))).iloc[0]
    assert found["bookings"] == Decimal("111.01") and found["pipeline"] == Decimal("125.00") and found["deals_won"] == 3
    assert found["average_deal"] == pytest.approx(111.01 / 2) and book.unconverted == {"CHF": 1}


def test_days_months_quarters_and_weeks_are_the_companys_own(tmp_path):
    deals = [
        *deal("A", "2024-01-01T00:00", amount=Decimal(1), status="won", closed="2024-02-01T03:00"),  # still 31 January in New York
        *deal("B", "2024-01-01T12:00", amount=Decimal(2), status="won", closed="2024-02-04T12:00"),  # a Sunday
    ]
    book = made(tmp_path, {"opportunity": deals}, "2024-06-01", time_zone="America/New_York", fiscal_year_start=2, week_start="sunday")
    ask = {every: measure(book, ["bookings"], every=every) for every in ("day", "week", "month", "quarter", "year")}
    starts = {every: [str(day.date()) for day in found["period"]] for every, found in ask.items()}
    assert starts == {
        "day": ["2024-01-31", "2024-02-04"], "week": ["2024-01-28", "2024-02-04"], "month": ["2024-01-01", "2024-02-01"],
        "quarter": ["2023-11-01", "2024-02-01"], "year": ["2023-02-01", "2024-02-01"],
    }  # fmt: skip
    assert measure(book, ["deals_created"], every="day")["period"].iloc[0] == pd.Timestamp("2023-12-31")


def test_slippage_goes_by_the_date_that_stood_when_the_month_began(tmp_path):
    def moves(name: str, *, to: str, at: str) -> dict[str, object]:
        return {"opportunity_id": name, "at": at, "close_date": D.fromisoformat(to)}

    deals = [
        *deal("kept", "2024-01-05", amount=Decimal(10), close_date=D(2024, 3, 20), status="won", closed="2024-03-18"),
        *deal("lost", "2024-01-05", amount=Decimal(10), close_date=D(2024, 3, 20), status="lost", closed="2024-03-18"),
        *deal("slid", "2024-01-05", amount=Decimal(30), close_date=D(2024, 3, 20)),
        moves("slid", to="2024-05-01", at="2024-03-10"),
        *deal("told in time", "2024-01-05", amount=Decimal(40), close_date=D(2024, 3, 20)),
        moves("told in time", to="2024-05-01", at="2024-02-28"),
        *deal("new in March", "2024-03-02", amount=Decimal(50), close_date=D(2024, 3, 20)),
    ]
    book = made(tmp_path, {"opportunity": deals}, "2024-04-10")
    found = measure(book, ["slip_rate", "slipped"], period=(D(2024, 3, 1), D(2024, 4, 1))).iloc[0]
    assert found["slip_rate"] == pytest.approx(1 / 3) and found["slip_rate_n"] == 3 and found["slipped"] == Decimal(30)
    assert set(drill(book, "slipped", period=(D(2024, 3, 1), D(2024, 4, 1)))["opportunity_id"]) == {"slid"}


def test_a_reply_is_to_the_same_deal_and_after_the_message(tmp_path):
    def act(name: str, way: str, at: str, about: str) -> dict[str, object]:
        return {"activity_id": name, "type": "email", "direction": way, "opportunity_id": about, "owner_id": "U1", "at": at}

    acts = [
        act("1", "inbound", "2024-03-01T10:00", "A"),
        act("2", "outbound", "2024-03-01T11:00", "B"),
        act("3", "inbound", "2024-03-01T12:00", "A"),
        act("4", "outbound", "2024-03-01T13:00", "A"),
        act("5", "inbound", "2024-03-02T12:00", "A"),
        act("6", "outbound", "2024-02-28T12:00", "A"),
    ]
    book = made(tmp_path, {"opportunity": [*deal("A", "2024-01-05"), *deal("B", "2024-01-05")], "activity": acts}, "2024-04-10")
    found = measure(book, ["response_hours", "answered_share"]).iloc[0]
    assert found["response_hours"] == 2.0 and found["response_hours_n"] == 2 and found["answered_share"] == pytest.approx(2 / 3)


def test_books_are_kept_once_for_a_state_of_the_lake_and_none_is_half_written(tiny_workspace, tmp_path, monkeypatch):
    import shutil

    from salesml.workflows import books as kept

    root = tmp_path / "copy"
    shutil.copytree(tiny_workspace.root, root)
    workspace = Workspace.open(root)
    first = book_of(workspace)
    monkeypatch.setattr(kept, "make", lambda *_: pytest.fail("made again"))
    again = book_of(workspace)
    asked = [measure(one, ["pipeline", "deals_won"], by=["rep"]) for one in (first, again)]
    pd.testing.assert_frame_equal(*asked)
    assert first.as_of == again.as_of and first.names == again.names
    monkeypatch.undo()

    def crash(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(kept.pq, "write_table", crash)
    with pytest.raises(OSError, match="disk full"):
        book_of(workspace, MID)
    monkeypatch.undo()
    assert len(list((workspace.cache / "books").glob("[!.]*"))) == 1 and not list((workspace.cache / "books").glob(".*.tmp"))
    monkeypatch.setattr(kept, "UNUSED_S", -1.0)
    for back in range(10):
        book_of(workspace, first.day - dt.timedelta(days=back))
    assert len(list((workspace.cache / "books").glob("[!.]*"))) == kept.KEPT


@pytest.mark.slow
def test_the_public_crm_export_adds_up_to_its_file(tmp_path):
    from salesml.sources.mapping import packaged_mapping
    from salesml.workflows.ingest import import_export

    folder = shared_data("maven_crm")
    workspace = Workspace.create(tmp_path / "maven")
    import_export(workspace, packaged_mapping("maven"), folder)
    workspace = Workspace.open(workspace.root)
    book = book_of(workspace)
    file = pd.read_csv(folder / "sales_pipeline.csv.gz", dtype=str)
    won = file[file["deal_stage"] == "Won"].assign(closed=lambda rows: pd.to_datetime(rows["close_date"]))
    found = measure(book, ["bookings", "deals_won"], every="quarter")
    for row in found.itertuples():
        part = won[won["closed"].dt.to_period("Q").dt.start_time == row.period]
        assert row.bookings == sum(map(Decimal, part["close_value"])) and row.deals_won == len(part)
    assert found["deals_won"].sum() == len(won)
