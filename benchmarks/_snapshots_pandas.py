"""The plain way to the same snapshots: pandas, one merge_asof per source of facts."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pandas as pd

TABLES = ("opportunity", "activity", "account", "user")
ORDER = ["opportunity_id", "occurred_at", "known_at", "source_row"]
STATE = [
    "status", "stage", "stage_order", "amount", "discount", "close_date", "forecast_category", "owner_id", "account_id",
    "product_id", "competitor_id", "source", "type", "segment",
]  # fmt: skip
DAY = pd.Timedelta(days=1)


def snapshots(folder: Path, deals: int) -> float:
    """Seconds from reading the records to the features on disk."""
    spine = pd.read_parquet(folder / f"spine-{deals}.parquet")
    started = time.perf_counter()
    facts = {name: pd.read_parquet(folder / f"{name}-{deals}.parquet") for name in TABLES}
    rows = _asof(spine, _states(facts["opportunity"]), "opportunity_id")
    rows = _with_activity(rows, facts["activity"])
    rows = _with_records(rows, facts["opportunity"])
    accounts = facts["account"].dropna(subset="region")[["account_id", "industry", "region", "employees"]]
    rows = rows.merge(accounts, "left", on="account_id")
    users = facts["user"].dropna(subset="region")[["user_id", "region"]].rename(columns={"user_id": "owner_id"})
    rows = rows.merge(users, "left", on="owner_id", suffixes=("_account", ""))
    _finish(rows).to_parquet(folder / f"plain-{deals}.parquet")
    return time.perf_counter() - started


def _asof(rows: pd.DataFrame, versions: pd.DataFrame, by: str) -> pd.DataFrame:
    """The last version before as_of of each row's key."""
    missing = rows[rows[by].isna()]
    found = pd.merge_asof(
        rows.dropna(subset=by).sort_values("as_of"), versions.sort_values("known_at"),
        left_on="as_of", right_on="known_at", by=by, allow_exact_matches=False,
    ).drop(columns="known_at")  # fmt: skip
    return pd.concat([found, missing]) if len(missing) else found


def _states(changes: pd.DataFrame) -> pd.DataFrame:
    """Each deal's state after each change: values carried forward, counts of changes, first amount, stage's start."""
    changes = changes.sort_values(ORDER, ignore_index=True)
    key = changes["opportunity_id"]
    set_now = changes[STATE].notna()
    counts = set_now.groupby(key)[["stage", "close_date", "owner_id"]].cumsum() - 1
    stage_since = changes["occurred_at"].where(set_now["stage"])
    state = changes[STATE].groupby(key).ffill()
    return state.assign(
        opportunity_id=key, known_at=changes["known_at"],
        created_at=changes.groupby(key)["occurred_at"].transform("min"),
        stage_since=stage_since.groupby(key).ffill(),
        amount_first=changes.groupby(key)["amount"].transform("first"),
        stage_changes=counts["stage"], close_date_changes=counts["close_date"], owner_changes=counts["owner_id"],
    )  # fmt: skip


def _with_activity(rows: pd.DataFrame, activity: pd.DataFrame) -> pd.DataFrame:
    """Running counts of activities, of all time and up to 28 days before, and the last contacts."""
    activity = activity.sort_values("known_at")
    inbound = activity["direction"] == "inbound"
    counted = pd.DataFrame({
        "opportunity_id": activity["opportunity_id"], "known_at": activity["known_at"], "activities": 1,
        "inbound": inbound.astype(int), "meetings": activity["type"].isin(["meeting", "demo"]).astype(int),
        "calls": (activity["type"] == "call").astype(int),
    })  # fmt: skip
    sums = ["activities", "inbound", "meetings", "calls"]
    key = counted["opportunity_id"]
    counted[sums] = counted.groupby(key)[sums].cumsum()
    counted["last_activity_at"] = activity["occurred_at"].groupby(key).cummax()
    last = activity["occurred_at"].where(inbound)
    counted["last_inbound_at"] = last.groupby(key).cummax().groupby(key).ffill()
    earlier = rows[["opportunity_id", "as_of"]].assign(as_of=rows["as_of"] - 28 * DAY)
    before = _asof(earlier, counted[["opportunity_id", "known_at", "activities", "inbound"]], "opportunity_id")
    before["as_of"] += 28 * DAY
    rows = _asof(rows, counted, "opportunity_id")
    rows = rows.merge(before, on=["opportunity_id", "as_of"], suffixes=("", "_before"))
    counts = [*sums, "activities_before", "inbound_before"]
    return rows.assign(**rows[counts].fillna(0).astype("int64"))


def _with_records(rows: pd.DataFrame, changes: pd.DataFrame) -> pd.DataFrame:
    """Won and closed deals so far of the company, and of the rep, account and product a deal closed with."""
    states = _states(changes).assign(company_id="all")
    before = states.groupby("opportunity_id")[["status", "owner_id", "account_id", "product_id", "company_id"]].shift()
    taken = before.assign(known_at=states["known_at"], step=-1)  # a deal that came back counts no more
    both = pd.concat([states.assign(step=1), taken])
    both = both[both["status"].isin(["won", "lost", "no_decision"])].sort_values("known_at", kind="stable")
    rows = rows.assign(company_id="all")
    for by in ("owner", "account", "product", "company"):
        key = both[f"{by}_id"]
        won = (both["step"] * (both["status"] == "won")).groupby(key).cumsum()
        counts = {f"{by}_won": won, f"{by}_closed": both["step"].groupby(key).cumsum()}
        rows = _asof(rows, both[[f"{by}_id", "known_at"]].assign(**counts), f"{by}_id")
        rows = rows.assign(**rows[list(counts)].fillna(0).astype("int64"))
    return rows


def _finish(rows: pd.DataFrame) -> pd.DataFrame:
    """Ages, ratios and rates from the joined columns."""
    day = rows["as_of"].dt.normalize()
    quarter = day.dt.tz_localize(None).dt.to_period("Q").dt.end_time.dt.normalize().dt.tz_localize("UTC") + DAY
    amount = rows["amount"].astype("float64")
    company = (rows["company_won"] + 1) / (rows["company_closed"] + 2)
    rates = {
        f"{by}_win_rate": (rows[f"{by}_won"] + prior * company) / (rows[f"{by}_closed"] + prior)
        for by, prior in (("owner", 10), ("account", 3), ("product", 10))
    }
    return rows.assign(
        age_days=(rows["as_of"] - rows["created_at"]) / DAY,
        stage_age_days=(rows["as_of"] - rows["stage_since"]) / DAY,
        amount=amount,
        amount_growth=amount / rows["amount_first"].astype("float64"),
        days_to_close_date=(pd.to_datetime(rows["close_date"]).dt.tz_localize("UTC") - day) / DAY,
        activities_28d=rows["activities"] - rows["activities_before"],
        inbound_28d=rows["inbound"] - rows["inbound_before"],
        days_since_activity=(rows["as_of"] - rows["last_activity_at"]) / DAY,
        days_since_inbound=(rows["as_of"] - rows["last_inbound_at"]) / DAY,
        region=rows["region"].fillna(rows["region_account"]),
        days_to_quarter_end=(quarter - day).dt.days,
        **rates,
    )


def differences(folder: Path, deals: int, features: list[str]) -> dict[str, int]:
    """How many snapshots differ between the two ways, by feature (only those that differ; floats to 1e-9).

    -1 for a feature that the plain way does not make.
    """
    key = ["opportunity_id", "as_of"]
    ours, theirs = (
        pd.read_parquet(folder / f"{kind}-{deals}.parquet").sort_values(key, ignore_index=True)
        for kind in ("features", "plain")
    )
    found = {name: int((~_same(ours[name], theirs[name])).sum()) if name in theirs else -1 for name in features}
    return {name: count for name, count in found.items() if count}


def _same(ours: pd.Series, theirs: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(ours):
        return np.isclose(ours.astype(float), theirs.astype(float), rtol=1e-9, atol=1e-9, equal_nan=True)
    return (ours.fillna("") == theirs.fillna("")).to_numpy()
