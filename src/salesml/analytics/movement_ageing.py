"""What waits in the open pipeline, and what comes and goes by period: ageing, stalled deals, moved close dates; all as known now."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy.stats import binomtest

from salesml.analytics.book import Book
from salesml.analytics.health import LEAST_STAYS, LONG, USUAL
from salesml.analytics.slices import Every, Period, Where, measure

BANDS = (("up to 7", 7), ("8 to 14", 14), ("15 to 30", 30), ("31 to 60", 60), ("61 to 90", 90), ("over 90", None))
"""Days in the stage: what a band is called, and its last day."""
MOST_MOVES = 4
LEVEL = 0.90
FLOWS = {
    "created": "created_amount", "created_deals": "deals_created", "won": "bookings", "won_deals": "deals_won", "lost_deals": "deals_lost",
    "slipped": "slipped",
}  # fmt: skip


def usual_stays(book: Book) -> pd.DataFrame:
    """Stays in each stage that moved on (advanced or were won). Grain: one row per stage, by name.

    Columns: usual_days and long_days (half and nine in ten of those stays were shorter; missing in a stage with fewer than 20), stays.
    """
    stage, days, ended = (book.column("visit", name).to_numpy() for name in ("stage", "days", "ended"))
    known = pd.Series(days[ended == 1].astype("float64")).groupby(stage[ended == 1])
    found = pd.DataFrame({"usual_days": known.quantile(USUAL), "long_days": known.quantile(LONG), "stays": known.size()})
    few = found["stays"] < LEAST_STAYS
    found[["usual_days", "long_days"]] = found[["usual_days", "long_days"]].mask(few, axis=0)
    return found.set_index(pd.Index([book.names["stage"][code] for code in found.index], name="stage", dtype=object))


def ageing(book: Book, *, where: Where | None = None) -> pd.DataFrame:
    """Open deals by stage and by how long they have been in it. Grain: one row per stage that has any and band, in their order.

    Columns: stage, band (days, as BANDS), deals, amount (exact; of known amounts), usual_days, long_days (`usual_stays`, of the whole
    book), longer (deals past long_days: those of `stalled`; 0 where it is missing). Raises UnknownName.
    """
    usual = usual_stays(book)[["usual_days", "long_days"]]
    deals = _open(book, where or {}).join(usual["long_days"], on="stage")
    deals["longer"] = deals["stage_days"].astype("float64") > deals["long_days"]
    lengths = [last for _, last in BANDS if last is not None]
    deals["place"] = np.searchsorted(lengths, deals["stage_days"].to_numpy("float64"))
    sums = deals.groupby(["stage", "place"]).agg(deals=("cents", "size"), cents=("cents", "sum"), longer=("longer", "sum"))
    order = deals.assign(stage_order=deals["stage_order"].fillna(-1)).groupby("stage")["stage_order"].min().sort_values(kind="stable")
    index = pd.MultiIndex.from_product([order.index, range(len(BANDS))], names=["stage", "place"])
    rows = sums.reindex(index, fill_value=0).reset_index().join(usual, on="stage")
    return pd.DataFrame(
        {
            "stage": rows["stage"], "band": [BANDS[place][0] for place in rows["place"]], "deals": rows["deals"].astype("int64"),
            "amount": _money(rows["cents"]), "usual_days": rows["usual_days"], "long_days": rows["long_days"],
            "longer": rows["longer"].astype("int64"),
        }
    )  # fmt: skip


def stalled(book: Book, *, where: Where | None = None) -> pd.DataFrame:
    """Open deals longer in their stage than nine in ten of the stays there that moved on, the greatest amount first.

    Grain: one row per deal. Columns: opportunity_id, name, rep (what to show), stage, amount (exact, missing where unknown), stage_days,
    usual_days, long_days, pushes, last_activity_on (missing without any), close_on. Stages with fewer than 20 such stays name none.
    """
    deals = _open(book, where or {}).join(usual_stays(book)[["usual_days", "long_days"]], on="stage")
    rows = deals[deals["stage_days"].astype("float64") > deals["long_days"]]
    rows = rows.sort_values(["cents", "opportunity_id"], ascending=[False, True], na_position="last", ignore_index=True)
    columns = ["opportunity_id", "name", "rep", "stage", "amount", "stage_days", "usual_days", "long_days", "pushes",
               "last_activity_on", "close_on"]  # fmt: skip
    return rows.assign(amount=_money(rows["cents"]))[columns]


def pushes(book: Book, *, where: Where | None = None, period: Period | None = None) -> pd.DataFrame:
    """Deals by how often their close date was moved. Grain: one row per number of moves, the last one "4 or more".

    Columns: moves, open_deals, amount (of open deals, exact), closed and won (deals, by the day closed in `period`: first day and first
    day after; all without), win_rate (won / closed, missing without any), lo and hi (90 % interval, Wilson). Correlational: deals that
    live longer have more time to be moved, and moves earlier as well as later count.
    """
    rows = _within(book, book.rows("deal"), where or {})
    rows = rows.mutate(moves=ibis.least(rows.pushes, MOST_MOVES), is_won=(rows.state == 1).cast("int64"))
    now, gone = rows.filter(rows.state == 0), rows.filter(rows.state > 0)
    if period:
        gone = gone.filter(gone.closed_on >= period[0], gone.closed_on < period[1])
    now = now.group_by("moves").aggregate(open_deals=now.one.sum(), cents=now.cents.sum())
    gone = gone.group_by("moves").aggregate(closed=gone.one.sum(), won=gone.is_won.sum())
    told = [book.backend.to_pandas(part).set_index("moves") for part in (now, gone)]
    found = pd.concat([part.reindex(range(MOST_MOVES + 1)) for part in told], axis=1).fillna(0).astype("int64")
    spread = [_interval(int(won), int(closed)) for won, closed in zip(found["won"], found["closed"], strict=True)]
    names = [*(str(moves) for moves in range(MOST_MOVES)), f"{MOST_MOVES} or more"]
    closed = found["closed"]
    return pd.DataFrame(
        {
            "moves": pd.Series(names, found.index), "open_deals": found["open_deals"], "amount": _money(found["cents"]),
            "closed": closed, "won": found["won"], "win_rate": found["won"] / closed.where(closed > 0),
            "lo": [lo for lo, _ in spread], "hi": [hi for _, hi in spread],
        }
    ).reset_index(drop=True)  # fmt: skip


def created_and_closed(
    book: Book, every: Every = "month", *, period: Period | None = None, where: Where | None = None
) -> pd.DataFrame:
    """What came into the pipeline and what left it, by the day it happened, as known now. Grain: one row per period.

    Columns: period (its first day), created, won, lost (amounts as known now, exact; lost has those without decision), slipped (amount due
    in a month as it began that did not close in it; missing for days and weeks), change (created - won - lost), created_deals, won_deals,
    lost_deals. This is not what the pipeline looked like: for that compare two books (`movement.waterfall`).
    """
    monthly = every in ("month", "quarter", "year")
    names = [name for column, name in FLOWS.items() if monthly or column != "slipped"]
    found = measure(book, [*names, "win_rate_amount"], period=period, every=every, where=where)
    found = found[found["period"] < pd.Timestamp(book.day)].reset_index(drop=True)  # months due that have only begun have no flow
    nothing = pd.Series([Decimal("0.00")] * len(found), found.index, dtype=object)
    money = {name: found[FLOWS[name]].where(found[FLOWS[name]].notna(), nothing) for name in ("created", "won")}
    money["lost"] = _money(found["win_rate_amount_n"]) - money["won"]  # the win rate by amount rests on all that closed
    slipped = found["slipped"] if monthly else pd.Series(None, found.index, dtype=object)
    change = money["created"] - money["won"] - money["lost"]
    counts = {name: found[FLOWS[name]] for name in ("created_deals", "won_deals", "lost_deals")}
    return pd.DataFrame({"period": found["period"], **money, "slipped": slipped, "change": change, **counts})


def _open(book: Book, where: Where) -> pd.DataFrame:
    """Open deals: opportunity_id, name, rep (what to show), stage, stage_order, cents, stage_days, pushes, last_activity_on, close_on."""
    rows = _within(book, book.rows("deal"), where)
    rows = rows.filter(rows.state == 0)
    columns = ["opportunity_id", "name", "rep", "stage", "stage_order", "cents", "stage_days", "pushes", "last_activity_on", "close_on"]
    found = book.backend.to_pandas(rows.select(columns).order_by("opportunity_id"))
    days = {name: pd.to_datetime(found[name]).astype("datetime64[s]") for name in ("last_activity_on", "close_on")}
    shown = {"rep": book.labels["rep"], "stage": book.names["stage"]}
    named = {name: pd.Series([known[code] for code in found[name]], found.index, dtype=object) for name, known in shown.items()}
    return found.assign(cents=found["cents"].astype("Int64"), **days, **named)


def _within(book: Book, rows: Any, where: Where) -> Any:
    for name, wanted in where.items():
        codes = [book.code(name, one) for one in wanted]
        rows = rows.filter(rows[name].isin(codes))
    return rows


def _money(cents: pd.Series) -> pd.Series:
    """Whole cents as exact amounts, missing where they are."""
    return pd.Series([None if pd.isna(value) else Decimal(int(value)).scaleb(-2) for value in cents], cents.index, dtype=object)


def _interval(won: int, closed: int) -> tuple[float, float]:
    if not closed:
        return float("nan"), float("nan")
    found = binomtest(won, closed).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)
