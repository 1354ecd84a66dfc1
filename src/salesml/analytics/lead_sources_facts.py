"""What an instant's view knows of leads, their deals, campaigns and touches: the frames that everything about sources rests on."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import ibis
import numpy as np
import pandas as pd

from salesml.analytics.lead_sources_money import in_own_currency, margins, shared
from salesml.lake import View

NONE = "(none)"
CLOSED = ("won", "lost", "no_decision")
CONVERTED, DISQUALIFIED = "converted", "disqualified"
SECONDS = 86_400


@dataclass(frozen=True)
class Facts:
    """Leads and what came of them as of an instant; money in whole cents of `currency`, missing where not known, times in days.

    leads: one row per lead, by lead_id: lead_id, source, campaign, channel (its campaign's), landing_page, first_touch (channel of the
    first touch before it arrived: later ones come with time), month (of arrival, YYYY-MM), arrived_at, age, days (until it converted or
    was disqualified, or so far), ended (converted, disqualified; missing while open), timed (its conversion was not recorded from the
    start), won_days, won_ended (of its deals: won, over; missing while open), cost (its even share of its campaign's, to the cent; missing
    where that is not known), score (calibrated chance 0..1 of open leads, missing where none is kept).
    deals: one row per deal of a lead, by opportunity_id: opportunity_id, lead_id, status, days (open), ended (won, lost; missing while
    open), amount, margin, priced (the margin is from the product's own cost), chance (kept prediction to be won; missing without).
    campaigns: one row per campaign: campaign, name, channel, source, cost, leads, runs (has not ended).
    touches: one row per marketing touch up to the conversion: lead_id, lead_event_id, channel, at, until (days before the conversion,
    or before as_of).
    """

    as_of: dt.datetime
    currency: str
    leads: pd.DataFrame = field(repr=False)
    deals: pd.DataFrame = field(repr=False)
    campaigns: pd.DataFrame = field(repr=False)
    touches: pd.DataFrame = field(repr=False)
    strays: int
    """Deals that name a lead which is not known: they are left out."""


def facts(view: View) -> Facts:
    """The facts of an instant's view; leads and deals deleted in the source system are left out."""
    assert view.as_of is not None, "sources are asked of an instant"
    workspace, as_of = view.tables.workspace, pd.Timestamp(view.as_of)
    own, rates = workspace.settings.currency, _fx(view)
    leads, campaigns = _leads(view), _campaigns(view, own, rates)
    deals, strays = _deals(view, leads, own, rates)
    leads = _ends(leads, deals, as_of, workspace.zone)
    touches = _touches(view, leads, as_of)
    arrived = _of(leads.set_index("lead_id")["arrived_at"], touches["lead_id"])
    first = touches[touches["at"] <= arrived].drop_duplicates("lead_id").set_index("lead_id")["channel"]
    of = campaigns.set_index("campaign")
    leads["channel"] = _of(of["channel"], leads["campaign"])
    leads["first_touch"] = _of(first, leads["lead_id"])
    leads["cost"] = shared(of["cost"].dropna(), leads["campaign"])
    leads["score"] = _of(_scores(view), leads["lead_id"]).where(leads["ended"].isna()).astype("float64")
    for name in ("source", "campaign", "channel", "landing_page", "first_touch"):
        leads[name] = leads[name].astype("object").where(leads[name].notna() & leads[name].ne(""), NONE)
    campaigns["leads"] = campaigns["campaign"].map(leads["campaign"].value_counts()).fillna(0).astype("int64")
    ends = pd.to_datetime(campaigns.pop("ends_on"))
    campaigns["runs"] = ends.isna() | (ends > pd.Timestamp(workspace.local_date(view.as_of)))
    return Facts(view.as_of, own, leads, deals, campaigns, touches, strays)


def _of(values: pd.Series, ids: pd.Series) -> pd.Series:
    """The value of each id, missing where there is none (`map` refuses empty columns of instants)."""
    return values.reindex(pd.Index(ids)).set_axis(ids.index)


def _leads(view: View) -> pd.DataFrame:
    columns = ["source", "campaign_id", "landing_page", "status", "opportunity_id", "deleted"]
    rows = view.state("lead", columns, since=["status"])
    found = view.frame(rows.filter(~ibis.coalesce(rows.deleted, False)).drop("deleted", "as_of"))
    found = found.rename(columns={"campaign_id": "campaign", "created_at": "arrived_at"})
    return found.sort_values("lead_id", ignore_index=True)


def _campaigns(view: View, own: str, rates: pd.DataFrame) -> pd.DataFrame:
    rows = view.state("campaign", ["name", "channel", "source", "cost", "currency", "ends_on"], since=["cost"])
    found = view.frame(rows).sort_values("campaign_id", ignore_index=True).rename(columns={"campaign_id": "campaign"})
    found["cost"] = in_own_currency(found["cost"], found["currency"], found["cost_since"], rates, own)
    return found[["campaign", "name", "channel", "source", "cost", "ends_on"]]


def _deals(view: View, leads: pd.DataFrame, own: str, rates: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Deals of known leads, by the deal's own word or else the lead's, and how many name a lead that is not known."""
    columns = ["lead_id", "amount", "currency", "status", "product_id", "discount", "deleted"]
    rows = view.state("opportunity", columns, since=["status"])
    found = view.frame(rows.filter(~ibis.coalesce(rows.deleted, False)).drop("deleted"))
    named = leads.dropna(subset=["opportunity_id"]).drop_duplicates("opportunity_id").set_index("opportunity_id")["lead_id"]
    found["lead_id"] = found["lead_id"].where(found["lead_id"].notna(), _of(named, found["opportunity_id"]))
    found = found[found["lead_id"].notna()].sort_values("opportunity_id", ignore_index=True)
    known = found["lead_id"].isin(leads["lead_id"])
    strays, found = int((~known).sum()), found[known].reset_index(drop=True)
    over = found["status"].isin(CLOSED)
    ends = found["status_since"].where(over, found["as_of"])
    found["amount"] = in_own_currency(found["amount"], found["currency"], ends, rates, own)
    prices = view.facts("product").select("product_id", "list_price", "unit_cost", at="occurred_at")
    found["margin"], found["priced"] = margins(found["amount"], found["product_id"], found["discount"], ends, view.frame(prices))
    found["days"] = ((ends - found["created_at"]).dt.total_seconds() / SECONDS).clip(lower=0.0)
    found["ended"] = pd.Series(np.where(found["status"].eq("won"), "won", "lost"), dtype="object").where(over, None)
    found["chance"] = _of(_chances(view), found["opportunity_id"]).where(~over).astype("float64")
    kept = ["opportunity_id", "lead_id", "status", "days", "ended", "amount", "margin", "priced", "chance"]
    return found[[*kept, "created_at", "status_since"]], strays


def _ends(leads: pd.DataFrame, deals: pd.DataFrame, as_of: pd.Timestamp, zone: ZoneInfo) -> pd.DataFrame:
    """How leads and their deals ended, and when; a lead with a deal has converted, whatever its status says."""
    opened = _of(deals.groupby("lead_id")["created_at"].min(), leads["lead_id"])
    by_status = leads["status"].eq(CONVERTED)
    converted = by_status | opened.notna()
    at = leads["status_since"].where(by_status, opened).where(converted)
    gone = ~converted & leads["status"].eq(DISQUALIFIED)
    at = at.where(~gone, leads["status_since"]).fillna(as_of)
    still = leads["lead_id"].isin(deals.loc[deals["ended"].isna(), "lead_id"])
    lost = _of(deals[deals["ended"].eq("lost")].groupby("lead_id")["status_since"].max(), leads["lead_id"])
    won_at = _of(deals[deals["ended"].eq("won")].groupby("lead_id")["status_since"].min(), leads["lead_id"])
    over = won_at.isna() & (gone | (lost.notna() & ~still))
    end = won_at.where(won_at.notna(), lost.where(lost.notna(), at)).where(won_at.notna() | over, as_of)

    def since(then: pd.Series) -> pd.Series:
        return ((then - leads["arrived_at"]).dt.total_seconds() / SECONDS).clip(lower=0.0)

    ended = np.where(converted, CONVERTED, np.where(gone, DISQUALIFIED, ""))
    return leads.drop(columns=["status", "status_since", "opportunity_id"]).assign(
        month=leads["arrived_at"].dt.tz_convert(zone).dt.strftime("%Y-%m").astype("object"),
        age=since(pd.Series(as_of, leads.index)),
        days=since(at),
        ended=pd.Series(ended, leads.index, dtype="object").where(converted | gone, None),
        timed=~(converted & (at <= leads["arrived_at"])),
        won_days=since(end),
        won_ended=pd.Series(np.where(won_at.notna(), "won", "over"), leads.index, dtype="object").where(won_at.notna() | over, None),
    )


def _touches(view: View, leads: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    rows = view.facts("lead_event")
    rows = rows.filter(rows.channel.notnull(), rows.channel != "").select("lead_id", "lead_event_id", "channel", at="occurred_at")
    found = view.frame(rows).merge(leads[["lead_id", "arrived_at", "days", "ended"]], on="lead_id")
    end = found["arrived_at"] + pd.to_timedelta(found["days"], unit="D")
    end = end.where(found["ended"].eq(CONVERTED), as_of)
    found["until"] = (end - found["at"]).dt.total_seconds() / SECONDS
    found = found[found["until"] > -1 / SECONDS].assign(until=lambda rows: rows["until"].clip(lower=0.0))
    found = found.sort_values(["lead_id", "at", "lead_event_id"], ignore_index=True)
    return found[["lead_id", "lead_event_id", "channel", "at", "until"]]


def _fx(view: View) -> pd.DataFrame:
    rows = view.facts("fx_rate")
    found = view.frame(rows.select("from_currency", "to_currency", "rate", at="occurred_at"))
    return found.sort_values(["at", "from_currency", "to_currency"], ignore_index=True)


def _scores(view: View) -> pd.Series:
    """The newest kept score of each lead by the calibrated model, as a chance."""
    rows = view.facts("lead_score")
    rows = rows.filter(rows.model == "lead_conversion", rows.composite.notnull(), rows.as_of <= view.as_of)
    found = view.frame(rows.select("lead_id", "composite", "as_of", "known_at"))
    found = found.sort_values(["as_of", "known_at"]).drop_duplicates("lead_id", keep="last")
    return found.set_index("lead_id")["composite"] / 100


def _chances(view: View) -> pd.Series:
    """The newest kept prediction of each deal to be won in the end."""
    rows = view.facts("prediction")
    rows = rows.filter(rows.entity_type == "opportunity", rows.target == "won", rows.horizon_days.isnull(), rows.as_of <= view.as_of)
    found = view.frame(rows.select("entity_id", "point", "as_of", "known_at"))
    found = found.sort_values(["as_of", "known_at"]).drop_duplicates("entity_id", keep="last")
    return found.set_index("entity_id")["point"]
