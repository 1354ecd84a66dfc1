"""The sales cycle: how long deals take and how they end, by product, territory, size, rep …; open deals count as censored."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.analytics.incidence import LogRank, at, incidence, log_rank, medians_by_cause, quartiles, speeds
from salesml.analytics.stages import CLOSED
from salesml.errors import NotEnoughData, UnknownName
from salesml.lake import View

BY = {
    "product_id": "product", "territory_id": "territory", "region": "region", "size": "size", "owner_id": "owner",
    "team_id": "team", "segment": "segment", "source": "source", "type": "type",
}  # fmt: skip
"""What deals can be told apart by, and the word for it."""
PEOPLE = ("owner_id", "team_id", "territory_id", "region")
MIX = ("segment", "size", "type")
UNKNOWN = "(unknown)"
LEAST_CLOSED = 20
MARGIN = 0.95


def lives(rows: pd.DataFrame) -> pd.DataFrame:
    """How long each deal was open. Grain: one row per deal of `stages.timeline`.

    Columns: opportunity_id, opened_at, closed_at (missing while open), outcome (won, lost, no_decision; missing while open),
    days (open in all: the time a reopened deal lay closed does not count), open_amount (as last told while open), reopened
    (times), entered_closed (recorded as closed from the start: its cycle is not known).
    """
    deal, over = rows["opportunity_id"], rows["status"].isin(CLOSED)
    first = deal.ne(deal.shift())
    was_over = over.shift(fill_value=False) & ~first
    marked = rows.assign(
        open_days=np.where(over, 0.0, (rows["until"] - rows["at"]).dt.total_seconds() / 86_400),
        back=was_over & ~over, still=~over, closing=rows["at"].where(over & ~was_over),
    )  # fmt: skip
    found = marked.groupby("opportunity_id", sort=True).agg(
        opened_at=("at", "first"), closed_at=("closing", "last"), outcome=("status", "last"), days=("open_days", "sum"),
        reopened=("back", "sum"), ever_open=("still", "any"), open_amount=("amount", "last"),
    )  # fmt: skip
    closed = found["outcome"].isin(CLOSED)
    found["outcome"] = found["outcome"].astype("object").where(closed, None)
    found["closed_at"] = found["closed_at"].where(closed)
    found["entered_closed"] = ~found.pop("ever_open")
    return found.reset_index()


def cycles(view: View, rows: pd.DataFrame) -> pd.DataFrame:
    """`lives` of the deals known to an instant's view, with what tells them apart.

    Further columns: name, amount (workspace currency), present_owner, and those of `BY`. Ids are replaced by names (with the
    id where two share one). Owner, team, region (the rep's, else the account's) and territory are those of the beginning: a
    deal handed over has lasted long already, which would make its new owner slow. Size is a quarter of the
    amounts as last told while open: an amount that only won deals have would give their end away.
    """
    workspace = view.tables.workspace
    columns = ["name", "amount", "currency", "owner_id", "account_id", "product_id", "segment", "source", "type"]
    state = view.state("opportunity", columns, first=["owner_id", "territory_id"])
    state = view.with_state(state, "user", "owner_id", ["name"], prefix="present_")
    state = state.mutate(present_owner=ibis.coalesce(state.present_name, state.owner_id), owner_id=state.owner_id_first)
    state = state.rename(territory_id="territory_id_first")
    state = view.with_state(state, "user", "owner_id", ["name", "region", "team_id"], prefix="user_")
    state = view.with_state(state, "account", "account_id", ["region"], prefix="account_")
    state = view.with_state(state, "product", "product_id", ["name"], prefix="product_")
    state = view.with_state(state, "territory", "territory_id", ["name"], prefix="territory_")
    state = state.mutate(team_id=state.user_team_id)
    state = view.with_state(state, "team", "team_id", ["name"], prefix="team_")
    own = ibis.coalesce(state.currency == workspace.settings.currency, True)
    told = view.frame(
        state.select(
            "opportunity_id", "product_id", "territory_id", "owner_id", "team_id", "segment", "source", "type",
            "product_name", "territory_name", "user_name", "team_name", amount=ibis.ifelse(own, state.amount, None),
            region=ibis.coalesce(state.user_region, state.account_region),
            present_owner=state.present_owner, own=own,
            name=ibis.coalesce(state.name, state.opportunity_id),
        )
    )  # fmt: skip
    named = (
        ("product_id", "product_name"),
        ("territory_id", "territory_name"),
        ("owner_id", "user_name"),
        ("team_id", "team_name"),
    )
    for id_, name in named:
        told[id_] = _named(told[id_], told.pop(name))
    found = lives(rows).merge(told, "left", "opportunity_id")
    found["size"] = size_bands(found["open_amount"].where(found.pop("own").fillna(True).astype(bool)))
    found[list(BY)] = found[list(BY)].fillna(UNKNOWN)
    return found


def size_bands(amounts: pd.Series) -> pd.Series:
    """The quarter of the known amounts each amount lies in, as text that sorts: edges have two significant digits."""
    known = amounts.dropna()
    edges = sorted({float(f"{edge:.2g}") for edge in known.quantile([0.25, 0.5, 0.75])}) if len(known) else []
    if not edges:
        return pd.Series(np.nan, amounts.index, dtype="object")
    middle = [f"{low:,.0f} to {high:,.0f}" for low, high in pairwise(edges)]
    words = [f"under {edges[0]:,.0f}", *middle, f"{edges[-1]:,.0f} or more"]
    names = [f"{number}: {word}" for number, word in enumerate(words, start=1)]
    return pd.cut(amounts, [-np.inf, *edges, np.inf], right=False, labels=names).astype("object")


def watched(deals: pd.DataFrame) -> pd.DataFrame:
    """The deals whose cycle is known or runs; NotEnoughData below 20 closed ones."""
    kept = deals[~deals["entered_closed"]]
    closed = int(kept["outcome"].notna().sum())
    if closed < LEAST_CLOSED:
        raise NotEnoughData(
            f"{closed} deals with a known beginning have closed; at least {LEAST_CLOSED} are needed to tell how long deals take"
        )
    return kept


def horizon(deals: pd.DataFrame) -> float:
    """The day up to which curves are told: 95 % of the deals were watched no longer."""
    return float(np.ceil(deals["days"].quantile(MARGIN)))


def curve(deals: pd.DataFrame, points: int = 120) -> pd.DataFrame:
    """`incidence` of won, lost and no_decision by days open, at evenly spaced whole days from 0 to `horizon`."""
    found = incidence(deals["days"].to_numpy("float64"), deals["outcome"], CLOSED)
    return at(found, np.unique(np.linspace(0, horizon(deals), points).round()))


def outcomes(deals: pd.DataFrame) -> pd.DataFrame:
    """How deals end within `horizon` days and when. One row per outcome and one of deals still open.

    Columns: outcome, deals (seen so far), share (Aalen-Johansen) with lo, hi; median_days (of those that end so) with
    median_lo, median_hi. Intervals 90 %.
    """
    days, until = deals["days"].to_numpy("float64"), horizon(deals)
    ends = at(incidence(days, deals["outcome"], CLOSED), until).iloc[0]
    halves = medians_by_cause(days, deals["outcome"], CLOSED, until)
    rows: list[dict[str, Any]] = [
        {
            "outcome": cause, "deals": int(deals["outcome"].eq(cause).sum()), "share": ends[cause], "lo": ends[f"{cause}_lo"],
            "hi": ends[f"{cause}_hi"], **dict(zip(("median_days", "median_lo", "median_hi"), halves[cause], strict=True)),
        }
        for cause in CLOSED
    ]  # fmt: skip
    still = {"share": ends["going"], "lo": ends["going_lo"], "hi": ends["going_hi"]}
    rows.append({"outcome": "still open", "deals": int(deals["outcome"].isna().sum()), **still})
    return pd.DataFrame(rows)


def by_group(deals: pd.DataFrame, by: str) -> tuple[pd.DataFrame, LogRank]:
    """Cycle times of each group, and the log-rank test of whether groups differ at all. Grain: one row per group, most deals first.

    Columns: group, deals, open, q25_days, median_days (with _lo, _hi), q75_days until closed (Kaplan-Meier; missing where the
    curve does not get so far), won, lost, no_decision (share within `horizon` days, Aalen-Johansen) and won_lo, won_hi; speed
    of closing beside all deals (`incidence.speeds`; people and places are compared with deals of the same segment, size and
    type), with speed_lo, speed_hi; verdict: faster, slower or not sure. Intervals 90 %. Raises UnknownName for another `by`.
    """
    if by not in BY:
        raise UnknownName("grouping of deals", by, BY)
    days, over = deals["days"].to_numpy("float64"), deals["outcome"].notna().to_numpy()
    strata = deals[list(MIX)].agg(" · ".join, axis=1).to_numpy() if by in PEOPLE else None
    groups, until = deals[by].to_numpy(), horizon(deals)
    table = pd.DataFrame([_group(str(name), rows, until) for name, rows in deals.groupby(by)])
    speed = speeds(days, over, groups, strata).rename(columns={"lo": "speed_lo", "hi": "speed_hi"})
    table = table.merge(speed[["group", "speed", "speed_lo", "speed_hi", "sure"]], "left", "group")
    told = np.where(table["speed"] > 1, "faster", "slower")
    table["verdict"] = np.where(table.pop("sure"), told, "not sure")
    return table.sort_values(["deals", "group"], ascending=[False, True], ignore_index=True), log_rank(
        days, over, groups, strata
    )


def _group(name: str, rows: pd.DataFrame, until: float) -> dict[str, Any]:
    days, over = rows["days"].to_numpy("float64"), rows["outcome"].notna().to_numpy()
    quarter, half, most = quartiles(days, over).to_dict("records")
    ends = at(incidence(days, rows["outcome"], CLOSED), until).iloc[0]
    return {
        "group": name, "deals": len(rows), "open": int((~over).sum()), "q25_days": quarter["days"],
        "median_days": half["days"], "median_lo": half["lo"], "median_hi": half["hi"],
        "q75_days": most["days"], **{cause: ends[cause] for cause in CLOSED}, "won_lo": ends["won_lo"], "won_hi": ends["won_hi"],
    }  # fmt: skip


def _named(ids: pd.Series, names: pd.Series) -> pd.Series:
    """Names for ids; where two ids share a name, each has its id behind it; an id without a name stays."""
    pairs = pd.DataFrame({"id": ids, "name": names}).dropna().drop_duplicates()
    shared = pairs["name"].duplicated(keep=False)
    pairs["name"] = pairs["name"].where(~shared, pairs["name"] + " (" + pairs["id"] + ")")
    return ids.map(pairs.set_index("id")["name"]).fillna(ids)
