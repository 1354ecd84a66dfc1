"""What a book is made of, read from a view: deals, stays in stages, what was due, activities, revenue, quotas."""

from __future__ import annotations

from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.analytics import revenue
from salesml.analytics.lead_sources_money import in_own_currency
from salesml.analytics.stages import CLOSED, ORDER, timeline, visits
from salesml.lake import View
from salesml.lake.asof import local_time

NO_REGION = revenue.NO_REGION
PLACES = ("region", "team", "rep")
"""Dimensions of whose number it is, from the company down."""
OF_DEALS = (
    *PLACES, "account", "industry", "country", "product", "family", "segment", "source", "type", "competitor", "stage", "status",
    "loss_reason",
)  # fmt: skip
OF_ACTIVITIES = (*PLACES, "product", "family", "segment", "source", "type", "competitor", "activity_type", "direction")
OF_REVENUE = (*PLACES, "account", "industry", "country", "product", "family", "segment", "source", "type", "competitor")
_STATE = ["status", "stage", "stage_order", "amount", "currency", "close_date", "owner_id", "account_id", "product_id", "competitor_id",
          "segment", "source", "type", "loss_reason", "name", "deleted"]  # fmt: skip
_RENAMED = {"owner_id": "rep", "account_id": "account", "product_id": "product", "competitor_id": "competitor"}


def read_people(view: View) -> pd.DataFrame:
    """Reps by id: name, team, region."""
    rows = view.frame(view.state("user", ["name", "team_id", "region"]))
    return rows.rename(columns={"team_id": "team"}).set_index("user_id")[["name", "team", "region"]]


def _day(instants: pd.Series, zone: str) -> pd.Series:
    local = instants.dt.tz_convert(zone).dt.tz_localize(None).to_numpy()
    return pd.Series(local.astype("datetime64[D]").astype("datetime64[s]"), instants.index)


def read_deals(view: View, people: pd.DataFrame, rates: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Every deal that is not deleted, by its columns, and amounts by currency no rate is known for."""
    assert view.as_of is not None
    settings = view.tables.workspace.settings
    rows = view.state("opportunity", _STATE, since=["status", "stage"], changes=["close_date"])
    rows = rows.filter(~ibis.coalesce(rows.deleted, False)).drop("deleted")
    rows = rows.mutate(**_money(rows, settings.currency))
    rows = view.with_state(rows, "account", "account_id", ["region", "industry", "country"], prefix="account_")
    rows = view.with_state(rows, "product", "product_id", ["family"], prefix="product_")
    found = view.frame(rows).rename(columns={**_RENAMED, "account_industry": "industry", "account_country": "country",
                                             "product_family": "family"})  # fmt: skip
    status = found["status"].fillna("open")
    closed = status.isin(CLOSED)
    as_of = pd.Timestamp(view.as_of)
    closed_at = found["status_since"].where(closed)
    at = closed_at.fillna(as_of)
    cents, unconverted = _cents(found, at, rates, settings.currency)
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


def _money(rows: Any, own: str) -> dict[str, Any]:
    """Columns in place of amount: cents in one's own currency where `home`, else `amount`: exact decimals take long to read."""
    home = ibis.coalesce(rows.currency, own) == own
    known = {"home": home & rows.amount.notnull(), "cents": ibis.coalesce(ibis.ifelse(home, (rows.amount * 100).cast("int64"), None), 0)}
    return {**known, "amount": ibis.ifelse(home, None, rows.amount)}


def _cents(found: pd.DataFrame, at: pd.Series, rates: pd.DataFrame, own: str) -> tuple[pd.Series, dict[str, int]]:
    """Whole cents of one's own currency (Int64), and how many amounts by currency no rate is known for; of rows with `_money`."""
    cents, abroad, currency = found["cents"].astype("Int64").where(found["home"]), found["amount"].notna(), found["currency"]
    if abroad.any():
        asked = rates.assign(at=rates["occurred_at"])
        cents[abroad] = in_own_currency(found["amount"][abroad], currency[abroad], at[abroad], asked, own)
    lacking = currency[abroad & cents.isna()].value_counts()
    return cents, {str(code): int(count) for code, count in lacking.items()}


def _days(later: Any, earlier: Any) -> pd.Series:
    """Whole days between two instants, counted down."""
    return pd.Series((later - earlier) // pd.Timedelta(days=1)).astype("Int64")


def read_touches(view: View, zone: str) -> pd.DataFrame:
    """Per deal: activities, last_activity_on."""
    facts = view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull())
    found = view.frame(facts.group_by("opportunity_id").aggregate(activities=facts.count(), last=facts.occurred_at.max()))
    return found.assign(last_activity_on=_day(found["last"], zone)).drop(columns="last")


def read_stays(view: View, row_of: pd.Series, zone: str) -> pd.DataFrame:
    """Stays in a stage, with the row of their deal."""
    stays = visits(timeline(view))
    ends = {"advanced": 1, "won": 1, "returned": 2, "lost": 3, "no_decision": 3}
    deal = row_of.index.get_indexer(pd.Index(stays["opportunity_id"]))
    found = stays[deal >= 0].reset_index(drop=True)
    return found.assign(
        deal=row_of.to_numpy()[deal[deal >= 0]],
        entered_on=_day(found["entered_at"], zone),
        left_on=_day(found["left_at"], zone),
        days=np.floor(found["days"]).astype("int64"),
        ended=found["ended"].map(ends).fillna(0).astype("int8"),
    )


def read_due(view: View, deals: pd.DataFrame, row_of: pd.Series, fiscal_year_start: int, zone: str) -> pd.DataFrame:
    """Deals due in a period by the close date that stood when it began, and whether they ended in it."""
    facts = view.facts("opportunity").filter(lambda rows: rows.close_date.notnull())
    ids = _ids(row_of)
    rows = facts.inner_join(ids, facts.opportunity_id == ids["_deal"]).order_by("deal", *ORDER[1:])
    told = view.frame(rows.select("deal", "occurred_at", close_date=rows.close_date.cast("timestamp")))
    told["until"] = told["occurred_at"].shift(-1).where(told["deal"].eq(told["deal"].shift(-1)))
    closed_on = deals["closed_on"].to_numpy()[told["deal"]].astype("datetime64[D]")
    state, cents = deals["state"].to_numpy()[told["deal"]], deals["cents"].array[told["deal"].to_numpy()]
    month = told["close_date"].to_numpy().astype("datetime64[M]")
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


def _ids(row_of: pd.Series) -> Any:
    """The rows of deals (`deal`) by their ids (`_deal`), to be joined."""
    return ibis.memtable(pa.table({"_deal": pa.array(row_of.index, pa.string()), "deal": pa.array(row_of.to_numpy(), pa.int32())}))


def read_activities(view: View, row_of: pd.Series, zone: str) -> pa.Table:
    """Every activity in the order of time, with the deal it belongs to and, of a customer's message, the seconds until it was answered."""
    facts = view.facts("activity")
    ids = _ids(row_of)
    rows = facts.left_join(ids, facts.opportunity_id == ids["_deal"])
    on = (rows.occurred_at if zone == "UTC" else local_time(rows.occurred_at, zone)).date()
    asked = rows.order_by("occurred_at", "activity_id").select(
        on=on, rep=rows.owner_id, activity_type=rows.type, direction=rows.direction, deal=ibis.coalesce(rows.deal, -1).cast("int32"),
        minutes=rows.duration_minutes.round(0).cast("int64"), at=rows.occurred_at.epoch_seconds().cast("int64"),
        other=ibis.ifelse(rows.deal.isnull(), ibis.coalesce(rows.opportunity_id, rows.lead_id, rows.account_id, rows.contact_id), None),
    )  # fmt: skip
    found = view.tables.backend.to_pyarrow(asked)
    about = found["deal"].to_numpy().astype("int64")
    strangers = np.flatnonzero(about < 0)
    others = pd.factorize(found["other"].take(pa.array(strangers)).to_pandas())[0]
    about[strangers] = np.where(others >= 0, len(row_of) + others, -1)
    seconds = _answered(about, found["at"].to_numpy(), *(pc.equal(found["direction"], way).to_numpy() for way in ("inbound", "outbound")))
    return found.drop_columns(["at", "other"]).append_column("answered_s", seconds)


def _answered(about: np.ndarray, at: np.ndarray, inbound: np.ndarray, outbound: np.ndarray) -> pa.Array:
    """Seconds from each message of a customer to the next one back about the same; rows in the order of time, -1 is about nothing."""
    order = np.argsort(about, kind="stable")
    of, when = about[order], at[order]
    place = np.arange(len(of))
    later = np.minimum.accumulate(np.where(np.equal(outbound, True)[order], place, len(of))[::-1])[::-1]
    to = np.minimum(later, len(of) - 1)
    answered = np.equal(inbound, True)[order] & (later < len(of)) & (of[to] == of) & (of >= 0)
    seconds, mask = np.zeros(len(of), dtype="int64"), np.ones(len(of), dtype=bool)
    seconds[order], mask[order] = np.where(answered, when[to] - when, 0), ~answered
    return pa.array(seconds, mask=mask)


def read_earned(
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
    own = view.tables.workspace.settings.currency
    facts = facts.select(*columns).mutate(**_money(facts, own))
    found = view.frame(facts).sort_values("revenue_id", ignore_index=True)
    cents, _ = _cents(found, found["occurred_at"], rates, own)
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


def read_quotas(view: View, people: pd.DataFrame) -> pd.DataFrame:
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
