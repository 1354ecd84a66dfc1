"""The book: everything a company's measures are counted from, as known as of one instant, in rows that can be summed exactly.

Money is whole cents of the workspace's currency, days are calendar days of its time zone, dimensions are codes into `Book.names`.
A book is a pure function of a view: made again from the same view it is the same to the bit.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from salesml.analytics import revenue
from salesml.analytics.lead_sources_money import in_own_currency
from salesml.analytics.stages import CLOSED, timeline, visits
from salesml.errors import UnknownName
from salesml.lake import View
from salesml.lake.asof import local_time

NONE = "(none)"
NO_REGION = revenue.NO_REGION
PLACES = ("region", "team", "rep")
"""Dimensions of whose number it is, from the company down."""
OF_DEALS = (
    *PLACES, "account", "industry", "country", "product", "family", "segment", "source", "type", "competitor", "stage", "status",
    "loss_reason",
)  # fmt: skip
OF_ACTIVITIES = (*PLACES, "product", "family", "segment", "source", "type", "competitor", "activity_type", "direction")
OF_REVENUE = (*PLACES, "account", "industry", "country", "product", "family", "segment", "source", "type", "competitor")
MEMORY = "2GB"
_STATE = ["status", "stage", "stage_order", "amount", "currency", "close_date", "owner_id", "account_id", "product_id", "competitor_id",
          "segment", "source", "type", "loss_reason", "name", "deleted"]  # fmt: skip
_RENAMED = {"owner_id": "rep", "account_id": "account", "product_id": "product", "competitor_id": "competitor"}


@dataclass(frozen=True)
class Book:
    """Rows that measures are counted from. `tables`: Arrow tables or the Parquet files they were kept in.

    deal: a deal known and not deleted: opportunity_id, name, codes of OF_DEALS, state (0 open, 1 won, 2 lost or without decision),
    created_on, closed_on (missing while open), close_on (the date entered), cents (at the rate of its close, open: of as_of; missing where
    no amount or rate is known), stage_order, pushes (times its close date was moved), age_days, stage_days, cycle_days (of closed ones),
    activities, last_activity_on, probability (share, missing where not scored).
    visit: a stay in a stage: deal (row of `deal`), stage code, OF_DEALS but stage, entered_on, left_on, days, ended (0 still there, 1
    advanced or won, 2 returned, 3 lost or without decision).
    due: a deal whose entered close date, as it stood when a month (`per` 0) or fiscal quarter (1) began, lay in it: deal, starts_on, cents,
    ended (0 still to end, 1 won in it, 2 lost in it, 3 slipped out of it), OF_DEALS.
    activity: something done: on, codes of OF_ACTIVITIES, deal (-1 without), minutes, answered_s (of a customer's message: seconds until
    the next one to the same deal, lead or account; missing while unanswered).
    revenue: on, cents, codes of OF_REVENUE.
    quota: level (0 company, 1 region, 2 team, 3 rep), codes of PLACES, starts_on, ends_on (first day after), cents.
    names: what a code of a dimension stands for (an id or value); labels: what to show. unconverted: amounts by currency without a rate.
    """

    as_of: dt.datetime
    day: dt.date
    currency: str
    fiscal_year_start: int
    week_start: str
    basis: str
    tables: dict[str, pa.Table | str]
    names: dict[str, list[str]]
    labels: dict[str, list[str]]
    unconverted: dict[str, int] = field(default_factory=dict)

    @cached_property
    def backend(self) -> Any:
        """The Ibis backend that sums: an in-process DuckDB."""
        backend = ibis.duckdb.connect(memory_limit=MEMORY)
        backend.raw_sql("SET enable_progress_bar = false")
        return backend

    def rows(self, name: str) -> Any:
        """A table of the book as an Ibis table, with `one` (1) to count by; activities have `inbound` too (1 where the customer began)."""
        if name not in self.backend.list_tables():
            kept = self.tables[name]
            if isinstance(kept, pa.Table):
                self.backend.create_table(name, kept)
            else:
                self.backend.read_parquet(kept, table_name=name)
        rows = self.backend.table(name).mutate(one=ibis.literal(1, "int64"))
        if name != "activity":
            return rows
        known = self.names["direction"]
        return rows.mutate(inbound=(rows.direction == (known.index("inbound") if "inbound" in known else -1)).cast("int64"))

    def column(self, name: str, column: str) -> pa.ChunkedArray:
        """One column of a table, in the table's order; read once."""
        if (name, column) not in self._columns:
            kept = self.tables[name]
            self._columns[name, column] = kept[column] if isinstance(kept, pa.Table) else pq.read_table(kept, columns=[column])[column]
        return self._columns[name, column]

    def code(self, dimension: str, name: str) -> int:
        """The code of a name in a dimension; UnknownName where the book has none."""
        if dimension not in self.names:
            raise UnknownName("dimension", dimension, self.names)
        known = self._codes.setdefault(dimension, {name: code for code, name in enumerate(self.names[dimension])})
        if name not in known:
            raise UnknownName(dimension, name, known)
        return known[name]

    @cached_property
    def _columns(self) -> dict[tuple[str, str], pa.ChunkedArray]:
        return {}

    @cached_property
    def _codes(self) -> dict[str, dict[str, int]]:
        return {}


def make(view: View, scores: pd.DataFrame | None = None) -> Book:
    """The book of an instant's view; scores: opportunity_id, probability of deals, where they have been scored."""
    assert view.as_of is not None, "a book is made as of an instant"
    workspace = view.tables.workspace
    settings, zone = workspace.settings, workspace.settings.time_zone
    people = _people(view)
    rates = view.frame(view.facts("fx_rate"))
    deals, unconverted = _deals(view, people, rates)
    touched = _touches(view, zone)
    deals = deals.merge(touched, "left", "opportunity_id").sort_values("opportunity_id", ignore_index=True)
    deals["activities"] = deals["activities"].fillna(0).astype("int64")
    known = scores.set_index("opportunity_id")["probability"] if scores is not None else pd.Series(dtype="float64")
    deals["probability"] = deals["opportunity_id"].map(known).astype("float64")
    row_of = pd.Series(np.arange(len(deals), dtype="int32"), deals["opportunity_id"])
    stays = _visits(view, row_of, zone)
    due = _due(view, deals, row_of, settings.fiscal_year_start, zone)
    acts = _activities(view, row_of, zone)
    earned, by = _revenue(view, deals, row_of, people, rates, zone)
    quotas = _quotas(view, people)
    codes = _Codes()
    deal = {name: codes.of(name, deals[name]) for name in OF_DEALS}
    coded = {"deal": _table(deals, deal, _DEAL)}
    coded["visit"] = _table(stays, {**_of_deal(deal, stays["deal"], "stage"), "stage": codes.of("stage", stays["stage"])}, _VISIT)
    coded["due"] = _table(due, _of_deal(deal, due["deal"]), _DUE)
    rep = codes.of("rep", acts["rep"])
    team, region = (people[name].reindex(acts["rep"]).reset_index(drop=True) for name in ("team", "region"))
    of_deal = _of_deal({name: deal[name] for name in OF_ACTIVITIES if name in deal and name not in PLACES}, acts["deal"], fill=codes)
    acted = {"rep": rep, "team": codes.of("team", team), "region": codes.of("region", region.fillna(NO_REGION))}
    kinds = {"activity_type": codes.of("activity_type", acts["activity_type"]), "direction": codes.of("direction", acts["direction"])}
    coded["activity"] = _table(acts, {**acted, **of_deal, **kinds}, _ACTIVITY)
    coded["revenue"] = _table(earned, {name: codes.of(name, earned[name]) for name in OF_REVENUE}, _REVENUE)
    places = {level: codes.of(level, quotas[level]) for level in PLACES}
    level = quotas["entity_type"].map({"company": 0, "region": 1, "team": 2, "rep": 3}).fillna(-1).astype("int8")
    coded["quota"] = _table(quotas.assign(level=level), places, _QUOTA)
    names, place = codes.settled()
    coded = {name: _sorted(table, place) for name, table in coded.items()}
    return Book(
        view.as_of, workspace.local_date(view.as_of), settings.currency, settings.fiscal_year_start, settings.week_start, by, coded,
        names, _labels(view, names, people), unconverted,
    )  # fmt: skip


_DEAL = ("opportunity_id", "name", "state", "created_on", "closed_on", "close_on", "cents", "stage_order", "pushes", "age_days",
         "stage_days", "cycle_days", "activities", "last_activity_on", "probability")  # fmt: skip
_VISIT = ("deal", "entered_on", "left_on", "days", "ended")
_DUE = ("deal", "per", "starts_on", "cents", "ended")
_ACTIVITY = ("on", "deal", "minutes", "answered_s")
_REVENUE = ("on", "cents")
_QUOTA = ("level", "starts_on", "ends_on", "cents")


class _Codes:
    """Codes of the names of each dimension, in the order they come; `settled` gives them in the order of the names."""

    def __init__(self) -> None:
        self.places: dict[str, dict[str, int]] = {}

    def of(self, dimension: str, values: pd.Series) -> np.ndarray:
        known = self.places.setdefault(dimension, {})
        found, names = pd.factorize(values.astype("object"), use_na_sentinel=True)
        mine = np.array([known.setdefault(str(name), len(known)) for name in names] or [0], dtype="int32")
        if (found < 0).any():
            mine = np.append(mine[: len(names)], known.setdefault(NONE, len(known))).astype("int32")
        return mine[found]

    def none(self, dimension: str) -> int:
        known = self.places.setdefault(dimension, {})
        return known.setdefault(NONE, len(known))

    def settled(self) -> tuple[dict[str, list[str]], dict[str, np.ndarray]]:
        names = {dimension: sorted(known) for dimension, known in self.places.items()}
        place = {}
        for dimension, known in self.places.items():
            to = {name: code for code, name in enumerate(names[dimension])}
            place[dimension] = np.array([to[name] for name in known], dtype="int32")
        return names, place


def _of_deal(deal: dict[str, np.ndarray], rows: pd.Series, leave: str = "", fill: _Codes | None = None) -> dict[str, np.ndarray]:
    """Codes of the deals that `rows` (rows of `deal`, -1 without) point to."""
    at = rows.to_numpy()
    found = {}
    for name, codes in deal.items():
        if name == leave:
            continue
        taken = codes[np.maximum(at, 0)] if len(codes) else np.zeros(len(at), dtype="int32")
        found[name] = np.where(at >= 0, taken, fill.none(name)).astype("int32") if fill else taken
    return found


def _table(rows: pd.DataFrame, codes: dict[str, np.ndarray], columns: tuple[str, ...]) -> pa.Table:
    own = pa.Table.from_pandas(rows[list(columns)], preserve_index=False)
    days = pa.schema([field.with_type(pa.date32()) if field.name == "on" or field.name.endswith("_on") else field for field in own.schema])
    own = own.cast(days)
    for name, values in codes.items():
        own = own.append_column(name, pa.array(values, pa.int32()))
    return own.replace_schema_metadata(None)


def _sorted(table: pa.Table, place: dict[str, np.ndarray]) -> pa.Table:
    for name, to in place.items():
        if name in table.column_names:
            codes = table[name].to_numpy()
            table = table.set_column(table.column_names.index(name), name, pa.array(to[codes] if len(to) else codes, pa.int32()))
    return table


def _people(view: View) -> pd.DataFrame:
    """Reps by id: name, team, region."""
    rows = view.frame(view.state("user", ["name", "team_id", "region"]))
    return rows.rename(columns={"team_id": "team"}).set_index("user_id")[["name", "team", "region"]]


def _day(instants: pd.Series, zone: str) -> pd.Series:
    local = instants.dt.tz_convert(zone).dt.tz_localize(None).to_numpy()
    return pd.Series(local.astype("datetime64[D]").astype("datetime64[s]"), instants.index)


def _deals(view: View, people: pd.DataFrame, rates: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    assert view.as_of is not None
    settings = view.tables.workspace.settings
    rows = view.state("opportunity", _STATE, since=["status", "stage"], changes=["close_date"])
    rows = rows.filter(~ibis.coalesce(rows.deleted, False)).drop("deleted")
    rows = view.with_state(rows, "account", "account_id", ["region", "industry", "country"], prefix="account_")
    rows = view.with_state(rows, "product", "product_id", ["family"], prefix="product_")
    found = view.frame(rows).rename(columns={**_RENAMED, "account_industry": "industry", "account_country": "country",
                                             "product_family": "family"})  # fmt: skip
    status = found["status"].fillna("open")
    closed = status.isin(CLOSED)
    as_of = pd.Timestamp(view.as_of)
    closed_at = found["status_since"].where(closed)
    at = closed_at.fillna(as_of)
    cents, unconverted = _cents(found["amount"], found["currency"], at, rates, settings.currency)
    region = people["region"].reindex(found["rep"]).reset_index(drop=True)
    return found.assign(
        status=status,
        state=np.select([status == "won", closed], [1, 2], 0).astype("int8"),
        team=people["team"].reindex(found["rep"]).to_numpy(),
        region=region.fillna(found["account_region"]).fillna(NO_REGION),
        name=found["name"].fillna(found["opportunity_id"]),
        created_on=_day(found["created_at"], settings.time_zone),
        closed_on=_day(closed_at, settings.time_zone),
        close_on=pd.to_datetime(found["close_date"]).astype("datetime64[s]"),
        cents=cents,
        pushes=found["close_date_changes"].astype("int64"),
        age_days=_days(as_of, found["created_at"]),
        stage_days=_days(as_of, found["stage_since"]).where(~closed),
        cycle_days=_days(closed_at, found["created_at"]),
    ), unconverted


def _cents(amounts: pd.Series, currency: pd.Series, at: pd.Series, rates: pd.DataFrame, own: str) -> tuple[pd.Series, dict[str, int]]:
    """Whole cents of one's own currency (Int64), and how many amounts by currency no rate is known for."""
    known = amounts.notna()
    abroad = known & currency.notna() & currency.ne(own)
    cents = pd.Series(pd.NA, amounts.index, dtype="Int64")
    home = known & ~abroad
    cents[home] = np.array([int(amount.scaleb(2)) for amount in amounts[home]], dtype="int64")
    if abroad.any():
        asked = rates.assign(at=rates["occurred_at"])
        cents[abroad] = in_own_currency(amounts[abroad], currency[abroad], at[abroad], asked, own)
    lacking = currency[abroad & cents.isna()].value_counts()
    return cents, {str(code): int(count) for code, count in lacking.items()}


def _days(later: Any, earlier: Any) -> pd.Series:
    """Whole days between two instants, counted down."""
    return pd.Series((later - earlier) // pd.Timedelta(days=1)).astype("Int64")


def _touches(view: View, zone: str) -> pd.DataFrame:
    """Per deal: activities, last_activity_on."""
    facts = view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull())
    found = view.frame(facts.group_by("opportunity_id").aggregate(activities=facts.count(), last=facts.occurred_at.max()))
    return found.assign(last_activity_on=_day(found["last"], zone)).drop(columns="last")


def _visits(view: View, row_of: pd.Series, zone: str) -> pd.DataFrame:
    stays = visits(timeline(view))
    ends = {"advanced": 1, "won": 1, "returned": 2, "lost": 3, "no_decision": 3}
    found = stays[stays["opportunity_id"].isin(row_of.index)].reset_index(drop=True)
    return found.assign(
        deal=found["opportunity_id"].map(row_of).astype("int32"),
        entered_on=_day(found["entered_at"], zone),
        left_on=_day(found["left_at"], zone),
        days=np.floor(found["days"]).astype("int64"),
        ended=found["ended"].map(ends).fillna(0).astype("int8"),
    )


def _due(view: View, deals: pd.DataFrame, row_of: pd.Series, fiscal_year_start: int, zone: str) -> pd.DataFrame:
    """Deals due in a period by the close date that stood when it began, and whether they ended in it."""
    facts = view.facts("opportunity").filter(lambda rows: rows.close_date.notnull())
    order = ["opportunity_id", "occurred_at", "known_at", "source_row", "change_id"]
    told = view.frame(facts.select(*order, "close_date")).sort_values(order, ignore_index=True)
    told = told[told["opportunity_id"].isin(row_of.index)].reset_index(drop=True)
    told["until"] = told.groupby("opportunity_id")["occurred_at"].shift(-1)
    told["deal"] = told["opportunity_id"].map(row_of).astype("int32")
    closed_on = deals["closed_on"].to_numpy()[told["deal"]].astype("datetime64[D]")
    state, cents = deals["state"].to_numpy()[told["deal"]], deals["cents"].array[told["deal"].to_numpy()]
    month = pd.to_datetime(told["close_date"]).to_numpy().astype("datetime64[M]")
    offset = (month.astype("int64") - (fiscal_year_start - 1)) % 3
    parts = []
    assert view.as_of is not None
    today = np.datetime64(view.tables.workspace.local_date(view.as_of))
    for per, starts, length in ((0, month, 1), (1, month - offset, 3)):
        first, after = starts.astype("datetime64[D]"), (starts + length).astype("datetime64[D]")
        begins = pd.Series(pd.DatetimeIndex(first).tz_localize(zone, ambiguous=True, nonexistent="shift_forward").tz_convert("UTC"))
        stood = (told["occurred_at"] < begins) & (told["until"].isna() | (told["until"] >= begins))
        open_then = np.isnat(closed_on) | (closed_on >= first)
        in_it = ~np.isnat(closed_on) & (closed_on < after)
        ended = np.select([in_it & (state == 1), in_it, after <= today], [1, 2, 3], 0).astype("int8")
        kept = stood.to_numpy() & open_then & (first <= today)
        rows = {"deal": told["deal"], "per": np.int8(per), "starts_on": first.astype("datetime64[s]"), "cents": cents, "ended": ended}
        parts.append(pd.DataFrame(rows)[kept])
    return pd.concat(parts, ignore_index=True)


def _activities(view: View, row_of: pd.Series, zone: str) -> pd.DataFrame:
    """Every activity by day, with the deal it belongs to and, of a customer's message, the seconds until it was answered."""
    facts = view.facts("activity")
    about = ibis.coalesce(facts.opportunity_id, facts.lead_id, facts.account_id, facts.contact_id)
    rows = facts.mutate(about=about)
    answer = ibis.ifelse(rows.direction == "outbound", rows.occurred_at, None)
    backwards = ibis.window(group_by="about", order_by=[ibis.desc("occurred_at"), ibis.desc("activity_id")], preceding=None, following=0)
    rows = rows.mutate(answered_at=ibis.ifelse(rows.about.notnull() & (rows.direction == "inbound"), answer.min().over(backwards), None))
    ids = ibis.memtable(pa.table({"_deal": row_of.index.to_numpy(dtype=object), "deal": pa.array(row_of.to_numpy(), pa.int32())}))
    rows = rows.left_join(ids, rows.opportunity_id == ids["_deal"])
    on = (rows.occurred_at if zone == "UTC" else local_time(rows.occurred_at, zone)).date()
    asked = rows.select(
        "activity_id", on=on, rep=rows.owner_id, activity_type=rows.type, direction=rows.direction, deal=rows.deal,
        minutes=rows.duration_minutes.round(0).cast("int64"),
        answered_s=(rows.answered_at.epoch_seconds() - rows.occurred_at.epoch_seconds()),
    )  # fmt: skip
    found = view.frame(asked).sort_values(["on", "activity_id"], ignore_index=True)
    found["deal"] = found["deal"].fillna(-1).astype("int32")
    return found.assign(on=pd.to_datetime(found["on"]).astype("datetime64[s]"), minutes=found["minutes"].astype("Int64"),
                        answered_s=found["answered_s"].astype("Int64"))  # fmt: skip


def _revenue(
    view: View, deals: pd.DataFrame, row_of: pd.Series, people: pd.DataFrame, rates: pd.DataFrame, zone: str
) -> tuple[pd.DataFrame, str]:
    """What counts as revenue, by day, and which kind it is (`revenue.basis`)."""
    by = revenue.basis(view)
    if by == "won":
        won = deals[(deals["state"] == 1) & deals["cents"].notna()]
        return won.assign(on=won["closed_on"]).reset_index(drop=True), by
    facts = view.facts("revenue").filter(lambda rows: rows.kind == by)
    facts = view.with_state(facts, "account", "account_id", ["region", "industry", "country"], prefix="account_")
    columns = ["revenue_id", "opportunity_id", "account_id", "product_id", "owner_id", "amount", "currency", "occurred_at",
               "account_region", "account_industry", "account_country"]  # fmt: skip
    found = view.frame(facts.select(*columns)).sort_values("revenue_id", ignore_index=True)
    cents, _ = _cents(found["amount"], found["currency"], found["occurred_at"], rates, view.tables.workspace.settings.currency)
    at = found["opportunity_id"].map(row_of)
    of_deal = deals.reindex(at.to_numpy()).reset_index(drop=True)
    rep = found["owner_id"].fillna(of_deal["rep"])
    product = found["product_id"].fillna(of_deal["product"])
    family = view.frame(view.state("product", ["family"])).set_index("product_id")["family"]
    region = people["region"].reindex(rep).reset_index(drop=True)
    return found.assign(
        on=_day(found["occurred_at"], zone), cents=cents, rep=rep, team=people["team"].reindex(rep).to_numpy(),
        region=region.fillna(found["account_region"]).fillna(NO_REGION), account=found["account_id"], industry=found["account_industry"],
        country=found["account_country"], product=product, family=product.map(family),
        **{name: of_deal[name] for name in ("segment", "source", "type", "competitor")},
    ).dropna(subset="cents").reset_index(drop=True), by  # fmt: skip


def _quotas(view: View, people: pd.DataFrame) -> pd.DataFrame:
    """Revenue quotas in the workspace's currency; those of a rep have his team and region, those of a team its region."""
    rows = view.frame(view.state("quota")).sort_values("quota_id", ignore_index=True)
    rows = rows[rows["target"].fillna("revenue").eq("revenue") & rows["amount"].notna()].reset_index(drop=True)
    own = rows[rows["currency"].fillna(view.tables.workspace.settings.currency) == view.tables.workspace.settings.currency]
    cents = np.array([int(amount.scaleb(2)) for amount in own["amount"]], dtype="int64")
    days = {f"{name}s_on": pd.to_datetime(own[f"period_{name}"]).astype("datetime64[s]") for name in ("start", "end")}
    own = own.assign(cents=cents, **days).reset_index(drop=True)
    mine = {level: own["entity_id"].where(own["entity_type"] == level) for level in PLACES}
    teams = view.frame(view.state("team", ["region"])).set_index("team_id")["region"]
    team = mine["team"].fillna(mine["rep"].map(people["team"]))
    region = mine["region"].fillna(mine["team"].map(teams)).fillna(mine["rep"].map(people["region"]))
    return own.assign(rep=mine["rep"], team=team, region=region)


def _labels(view: View, names: dict[str, list[str]], people: pd.DataFrame) -> dict[str, list[str]]:
    """What to show for each name: people, teams, accounts, products and competitors by name, all else as it is."""
    told: dict[str, pd.Series] = {"rep": people["name"].dropna()}
    for dimension in ("team", "account", "product", "competitor"):
        rows = view.frame(view.state(dimension, ["name"]))
        told[dimension] = rows.dropna(subset="name").set_index(f"{dimension}_id")["name"]
    return {
        dimension: [str(told[dimension].get(name, name)) if dimension in told else name for name in known]
        for dimension, known in names.items()
    }
