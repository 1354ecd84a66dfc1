"""The pipeline as of an instant: open deals, what they hold by stage, which of them need somebody, and where a quarter lands."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import ibis
import numpy as np
import pandas as pd

from salesml.lake import View
from salesml.lake.asof import Totals

QUIET_DAYS = 14
PUSHES = 3
STALLED = 3.0
FADED = 0.10
REASONS = ("overdue", "quiet", "pushed", "stalled", "faded")
BOUNDS = ("lo80", "hi80", "lo95", "hi95")
NO_REGION = "(no region)"
_LAST_ACTIVITY = Totals(
    "activity", by="opportunity_id", sums={"activities": lambda rows: ibis.literal(1, "int64")},
    latest={"last_activity_at": lambda rows: rows.occurred_at},
)  # fmt: skip


@dataclass(frozen=True)
class Landing:
    """Where revenue of [start, end) lands: `booked` in its complete months plus the forecast of the others, in `currency`.

    `wanted_end` is the end of the quarter; `end` lies before it where the forecast does. Bounds are those of the months'
    total where it was `measured`, else sums of the months' bounds: exact if all months miss together, else wider than they need be.
    """

    start: dt.date
    end: dt.date
    wanted_end: dt.date
    booked: Decimal
    amount: Decimal
    lo80: Decimal
    hi80: Decimal
    lo95: Decimal
    hi95: Decimal
    measured: bool = False

    @property
    def complete(self) -> bool:
        """Whether the forecast reaches the end of the quarter."""
        return self.end == self.wanted_end


def open_deals(view: View) -> pd.DataFrame:
    """Deals open as of an instant's view. Grain: one row per deal.

    Columns: opportunity_id, name, account, owner_id, owner, region (the rep's, else the account's), stage, stage_order, amount
    (workspace currency, exact; missing where none is known or it is in another currency), currency, close_date,
    close_date_changes, next_step, age_days, stage_days, activities, days_since_activity (missing without any).
    """
    workspace = view.tables.workspace
    state = [
        "status",
        "stage",
        "stage_order",
        "amount",
        "currency",
        "close_date",
        "owner_id",
        "account_id",
        "name",
        "next_step",
        "deleted",
    ]
    rows = view.state("opportunity", state, since=["stage"], changes=["close_date"])
    rows = rows.filter(rows.status == "open", ~ibis.coalesce(rows.deleted, False))
    rows = view.with_totals(rows, _LAST_ACTIVITY, "opportunity_id")
    rows = view.with_state(rows, "account", "account_id", ["name", "region"], prefix="account_")
    rows = view.with_state(rows, "user", "owner_id", ["name", "region"], prefix="user_")
    own = ibis.coalesce(rows.currency == workspace.settings.currency, True)
    rows = rows.select(
        "opportunity_id", "owner_id", "stage", "stage_order", "currency", "close_date", "close_date_changes", "next_step", "activities",
        name=ibis.coalesce(rows.name, rows.opportunity_id),
        account=ibis.coalesce(rows.account_name, rows.account_id),
        owner=ibis.coalesce(rows.user_name, rows.owner_id),
        region=ibis.coalesce(rows.user_region, rows.account_region, NO_REGION),
        amount=ibis.ifelse(own, rows.amount, None),
        age_days=_days(rows.as_of, rows.created_at),
        stage_days=_days(rows.as_of, rows.stage_since),
        days_since_activity=_days(rows.as_of, rows.last_activity_at),
    )  # fmt: skip
    return view.frame(rows).sort_values("opportunity_id", ignore_index=True)


def by_stage(deals: pd.DataFrame) -> pd.DataFrame:
    """Open deals by stage, in the order of the stages: deals, amount (exact), weighted (amount × probability).

    `deals` is `open_deals` with a column `probability` (share 0..1, missing where not scored).
    """
    known = deals.assign(
        stage=deals["stage"].fillna("(no stage)"),
        weighted=deals["amount"].astype("float64") * deals["probability"],
        order=deals["stage_order"].astype("float64"),
    )
    grouped = known.groupby("stage", sort=False)
    table = grouped.agg(order=("order", "min"), deals=("stage", "size"), weighted=("weighted", "sum"))
    table["amount"] = grouped["amount"].agg(total)
    table = table.sort_values(["order"], kind="stable").reset_index()
    return table[["stage", "deals", "amount", "weighted"]]


def total(amounts: pd.Series) -> Decimal:
    """The exact sum of the amounts that are known."""
    return sum(amounts.dropna(), Decimal(0))


def attention(deals: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """The deals with the warning signs of each, those with any first, then by what is at stake (not scored: the amount).

    `deals` is `open_deals` with `probability` and `probability_before` (an earlier score; missing if none). Adds booleans
    `overdue` (expected close before as_of), `quiet` (no activity for more than 14 days, where activities are recorded at
    all), `pushed` (close date moved three times or more), `stalled` (in its stage over three times as long as the median
    open deal there, and over 14 days), `faded` (probability 10 points below the earlier score), `warned` (any of them);
    `usual_stage_days`; `at_stake` (amount × probability).
    """
    usual = deals.groupby("stage")["stage_days"].transform("median")
    silence = deals["days_since_activity"].fillna(deals["age_days"])
    closes = pd.to_datetime(deals["close_date"])
    found = deals.assign(
        overdue=closes < pd.Timestamp(as_of),
        overdue_days=(pd.Timestamp(as_of) - closes).dt.days,
        quiet=(silence > QUIET_DAYS) & bool(deals["activities"].sum()),
        pushed=deals["close_date_changes"] >= PUSHES,
        stalled=deals["stage_days"] > np.maximum(STALLED * usual, QUIET_DAYS),
        faded=deals["probability"] <= deals["probability_before"].astype("float64") - FADED,
        usual_stage_days=usual,
        at_stake=deals["amount"].astype("float64") * deals["probability"],
    )
    found["warned"] = found[list(REASONS)].any(axis=1)
    worth = found["at_stake"].fillna(found["amount"].astype("float64"))
    order = found.assign(worth=worth).sort_values(
        ["warned", "worth"], ascending=False, kind="stable", ignore_index=True
    )
    return order.drop(columns="worth")


def coverage(open_amount: Decimal, target: Decimal, booked: Decimal) -> float | None:
    """Open pipeline over what is still missing to the target; None when nothing is missing."""
    missing = target - booked
    return float(open_amount / missing) if missing > 0 else None


def quarter(day: dt.date, fiscal_year_start: int = 1) -> tuple[dt.date, dt.date]:
    """First day of the fiscal quarter that `day` lies in, and first day after it."""
    month = day.month - (day.month - fiscal_year_start) % 3
    start = dt.date(day.year + (month < 1) * -1, (month - 1) % 12 + 1, 1)
    return start, months_later(start, 3)


def landing(history: pd.DataFrame, forecast: pd.DataFrame, period: tuple[dt.date, dt.date]) -> Landing | None:
    """Booked months plus forecast months of a period; None where no forecast month lies in it.

    history: month, amount (complete months); forecast: period_start, period_end, amount, lo80, hi80, lo95, hi95, one row a
    month, beginning with the month that is not complete. Bounds come from the running total that the forecast kept with its accuracy
    (column accuracy, JSON), moved by what overrides moved; where it kept none, from the months' bounds added up.
    """
    start, wanted = period
    inside = forecast[(forecast["period_start"] >= start) & (forecast["period_end"] <= wanted)]
    if inside.empty:
        return None
    first = inside["period_start"].min()
    months = pd.to_datetime(history["month"]).dt.date
    booked = total(history.loc[(months >= start) & (months < first), "amount"])
    sums = {name: booked + total(inside[name]) for name in ("amount", *BOUNDS)}
    kept = _kept_total(inside) if first == forecast["period_start"].min() else None
    if kept is not None:
        moved = sums["amount"] - kept["amount"]
        sums |= {name: max(kept[name] + moved, booked) for name in BOUNDS}
    return Landing(start, inside["period_end"].max(), wanted, booked, **sums, measured=kept is not None)


def _kept_total(rows: pd.DataFrame) -> dict[str, Decimal] | None:
    """Amount and bounds of the total up to the last of these months, as the forecast kept them; None where it kept none."""
    last = rows.sort_values("period_start").iloc[-1].get("accuracy")
    total = (json.loads(last) or {}).get("total") if isinstance(last, str) else None
    return {name: Decimal(total[name]) for name in ("amount", *BOUNDS)} if total else None


def months_later(day: dt.date, months: int) -> dt.date:
    """The first day of the month that lies so many months after `day`'s."""
    index = day.year * 12 + day.month - 1 + months
    return dt.date(index // 12, index % 12 + 1, 1)


def _days(later: Any, earlier: Any) -> Any:
    """Days between two instants, to the second."""
    return (later.epoch_seconds() - earlier.epoch_seconds()).cast("float64") / 86_400
