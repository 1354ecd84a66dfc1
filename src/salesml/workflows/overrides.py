"""Overrides: a person's own revenue for a node and a month beside the model's, with a reason, an approver and a record.

An override is a fact of table `override`: target_type "forecast", target_id "revenue:LEVEL:NAME:FIRST DAY", the amount. It aims at
the node and the month and not at one published forecast, so that it holds when the forecast is made again. A longer period's number
is one override for each of its months that are not known yet. Nothing is ever
edited: a later override of the same node and month replaces the earlier one for good, a withdrawal names what it takes back.
"""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from salesml.analytics.ledger import last_known_month
from salesml.analytics.quarter import LEVELS
from salesml.analytics.revenue import monthly_by_level
from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.lake import Lake, Tables, visible
from salesml.models.revenue_levels import CENT, round_to_cents
from salesml.models.revenue_overrides import COMPANY, REGION, apply_overrides
from salesml.models.revenue_overrides import node_of as label
from salesml.state import audit
from salesml.state.users import User
from salesml.workflows import signed
from salesml.workflows.ledger_facts import FACTS, TOMORROW, override_facts, published, same
from salesml.workspace import Workspace


@dataclass(frozen=True)
class Override:
    """One override as it was written: an amount for a node (company, region/West, team/T1, rep/U1) and a month, from `known_at` on."""

    override_id: str
    node: str
    month: dt.date
    amount: Decimal
    model_amount: Decimal
    currency: str
    reason: str
    author: str
    approver: str
    known_at: dt.datetime
    expires_at: dt.datetime | None


@dataclass(frozen=True)
class CurrentForecast:
    """The newest published forecast as of an instant with the overrides that hold; exact money in `currency`.

    frame: one row per level, name and month as `models.revenue_overrides.apply_overrides` gives; held: `in_force`; lacking: ids of
    overrides whose node or month this forecast does not have; made_for: the forecast's own as_of.
    """

    as_of: dt.datetime
    made_for: dt.datetime
    currency: str
    frame: pd.DataFrame
    held: pd.DataFrame
    lacking: tuple[str, ...]


def override_revenue(
    workspace: Workspace,
    node: str,
    period: str,
    amount: str | int | Decimal,
    reason: str,
    until: str | dt.date | dt.datetime | None = None,
    approved_by: str | None = None,
    by: str | None = None,
) -> Override:
    """Put a person's revenue for a node ("company", "region/West", "team/T1", "rep/U1") and a month ("2026-07") beside the model's.

    Written to the audit log and to table `override`, known from now; without `until` it holds for as long as forecasts have the month.
    `by` is the acting user (default: the current one); an admin or manager approves, `approved_by` or the author.
    BadParameter for an amount that is not money of 0 or more, a period that is no month of the newest forecast or whose revenue is
    known, a reason of fewer than 3 words, an end that is not in the future, nobody who may approve, or overrides that contradict
    each other; UnknownName for a node or user that there is not; NotEnoughData where no forecast was published.
    """
    month, money = _month(period), signed.money(amount)
    tables = Lake(workspace).open()
    current, history = current_forecast(workspace, tables=tables), _history(tables, signed.now())
    return _override(workspace, current, history, node, {month: money}, reason, until, approved_by, by)[0]


def override_period(
    workspace: Workspace,
    node: str,
    first: str,
    last: str,
    amount: str | int | Decimal,
    reason: str,
    until: str | dt.date | dt.datetime | None = None,
    approved_by: str | None = None,
    by: str | None = None,
) -> list[Override]:
    """Put a person's revenue for a node and the months from `first` to `last` ("2026-07" to "2026-09"), a quarter say.

    What is known of the period counts towards the amount; the rest is divided among its other months in proportion to what the
    newest forecast and the overrides in force say of them, exact to the cent: one override each, written together. Raises as
    `override_revenue`; BadParameter too for a period that ends before it begins, and an amount below what is known already.
    """
    begin, end, money = _month(first), _month(last), signed.money(amount)
    level, name = _node(node)
    if end < begin:
        raise BadParameter(f"the period ends in {last}, before it begins in {first}; give the first month first")
    tables = Lake(workspace).open()
    current = current_forecast(workspace, tables=tables)
    history = _history(tables, signed.now())
    known = history[history["level"].eq(level) & history["name"].eq(name) & history["month"].between(begin, end)]
    came = sum(known["amount"], Decimal(0)).quantize(CENT)
    months = [month for month in pd.date_range(begin, end, freq="MS") if history.empty or month > last_known_month(history)]
    if not months:
        raise BadParameter(f"the revenue of {first} to {last} is known already; give later months, or correct the revenue itself")
    if money < came:
        raise BadParameter(f"{came:,.2f} of {first} to {last} is known already, more than {money:,.2f}; give an amount of at least that")
    said = [float(_place(current.frame, level, name, month, node)["amount"]) for month in months]
    shares = [one / sum(said) if sum(said) else 1 / len(said) for one in said]
    parts = round_to_cents([float(money - came) * share for share in shares], money - came)
    return _override(workspace, current, history, node, dict(zip(months, parts, strict=True)), reason, until, approved_by, by)


def _override(
    workspace: Workspace,
    current: CurrentForecast,
    history: pd.DataFrame,
    node: str,
    amounts: Mapping[pd.Timestamp, Decimal],
    reason: str,
    until: str | dt.date | dt.datetime | None,
    approved_by: str | None,
    by: str | None,
) -> list[Override]:
    """One override a month, all written or none; history: `_history` of now."""
    now, author, approver = signed.now(), *_people(workspace, by, approved_by)
    told, ends = signed.reason(reason), None if until is None else workspace.instant(until)
    if ends is not None and ends <= now:
        raise BadParameter(f"the end {until} is not in the future; give a later day, or none to hold for the whole month's life")
    level, name = _node(node)
    made = []
    for month, money in amounts.items():
        model = _place(current.frame, level, name, month, node)["model_amount"]
        if len(history) and month <= last_known_month(history):  # a number put down when the outcome is known is no forecast
            raise BadParameter(f"the revenue of {month:%Y-%m} is known already; give a later month, or correct the revenue itself")
        made.append(Override(
            f"ovr-{uuid.uuid4().hex[:12]}", node, month.date(), money, model, workspace.settings.currency, told, author.name,
            approver.name, now, ends,
        ))  # fmt: skip
    replaced = same(current.held, level, name, *amounts)
    rows = [{"override_id": one.override_id, "level": level, "name": name, "month": month, "amount": one.amount}
            for month, one in zip(amounts, made, strict=True)]  # fmt: skip
    apply_overrides(_as_published(current.frame), pd.concat([current.held[~replaced], pd.DataFrame(rows)], ignore_index=True))
    for one in made:  # what contradicts is refused by now
        details = {"override": one.override_id, "amount": str(one.amount), "model": str(one.model_amount), "reason": told,
                   "approver": approver.name, "expires_at": None if ends is None else ends.isoformat()}  # fmt: skip
        audit.record(workspace, author.name, "override revenue", f"{node} {one.month:%Y-%m}", details, at=now)
    facts = [
        {"override_id": one.override_id, "target_id": f"revenue:{level}:{name}:{one.month:%Y-%m-%d}", "amount": one.amount,
         "reason": told, "author": author.name, "approver": approver.name, "expires_at": ends, "occurred_at": now, "known_at": now}
        for one in made
    ]  # fmt: skip
    _write(workspace, *facts)
    return made


def withdraw(workspace: Workspace, override_id: str, reason: str, by: str | None = None) -> None:
    """Take an override back from now on, as a new fact; the node has none then, not the one before, and it still counts in the record.

    Its author, an admin or a manager may. BadParameter for one that is not in force, a reason of fewer than 3 words, or another user.
    """
    now, told, user = signed.now(), signed.reason(reason), signed.user(workspace, by)
    standing = in_force(Lake(workspace).open(), now).set_index("override_id")
    if override_id not in standing.index:
        known = f"in force: {', '.join(standing.index)}" if len(standing) else "none is in force"
        raise BadParameter(f"override {override_id!r} is not in force ({known}); see: salesml override list")
    row = standing.loc[override_id].to_dict()
    if user.name != row["author"] and not signed.may_sign(user):
        told = f"{user.name!r} is neither the author {row['author']!r} nor admin nor manager and may not withdraw it"
        raise BadParameter(f"{told}; ask one of them")
    audit.record(workspace, user.name, "withdraw override", row["target_id"], {"override": override_id, "reason": told}, at=now)
    _write(workspace, {
        "override_id": f"ovr-{uuid.uuid4().hex[:12]}", "target_id": row["target_id"], "reason": told, "author": user.name,
        "approver": user.name, "withdraws": override_id, "occurred_at": now, "known_at": now,
    })  # fmt: skip


def in_force(tables: Tables, as_of: str | dt.date | dt.datetime) -> pd.DataFrame:
    """The overrides of revenue that held as of an instant. Grain: one row per node and month.

    Columns: override_id, target_id, level, name, month (first day), amount (exact), reason, author, approver, known_at, expires_at
    (missing: no end), withdraws (missing). Of a node and month the latest known counts, while as_of < expires_at, unless withdrawn.
    """
    instant = tables.instant(as_of)
    facts = override_facts(visible(tables, instant))
    made = facts[facts["withdraws"].isna()].drop_duplicates("target_id", keep="last")
    lasting = made["expires_at"].isna() | (made["expires_at"] > pd.Timestamp(instant))
    return made[lasting & ~made["override_id"].isin(facts["withdraws"])].reset_index(drop=True)[FACTS]


def current_forecast(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, tables: Tables | None = None
) -> CurrentForecast:
    """The newest forecast published for an instant or before, with the overrides in force then (default: now) applied.

    Raises NotEnoughData where none was published.
    """
    tables = tables or Lake(workspace).open()
    instant = workspace.instant(as_of) if as_of else signed.now()
    forecasts, _ = published(workspace, tables, instant if as_of else instant + TOMORROW)
    if forecasts.empty:
        raise NotEnoughData("no revenue forecast was published for that instant or before; publish one with: salesml forecast revenue")
    newest = forecasts[forecasts["as_of"] == forecasts["as_of"].max()]
    held = in_force(tables, instant)
    frame, lacking = apply_overrides(newest, held)
    made_for = newest["as_of"].iloc[0].to_pydatetime()
    return CurrentForecast(instant, made_for, workspace.settings.currency, frame, held, tuple(lacking))


def with_overrides(rows: pd.DataFrame, tables: Tables, as_of: dt.datetime) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows of table `forecast` of one run with the overrides in force as of an instant applied, and each of these in words.

    rows: entity_type, entity_id, period_start (date), amount, lo80, hi80, lo95, hi95, … of months; adds model_amount, moved and
    override_id as `models.revenue_overrides.apply_overrides` says.
    """
    names = {"entity_type": "level", "entity_id": "name"}
    months = pd.to_datetime(rows["period_start"]).astype("datetime64[ns]")
    held = in_force(tables, as_of)
    frame, _ = apply_overrides(rows.rename(columns=names).assign(month=months), held)
    kept = frame[["override_id", "level", "name", "month", "amount", "model_amount"]]
    told = tuple(
        f"{label(row)} {row['month']:%B %Y} is overridden at {row['amount']:,.0f} ({row['author']}: {row['reason']}); the model says "
        f"{row['model_amount']:,.0f}."
        for row in kept.merge(held[["override_id", "author", "reason"]], on="override_id").to_dict("records")
    )
    return frame.rename(columns={new: old for old, new in names.items()}).drop(columns="month"), told


def _as_published(frame: pd.DataFrame) -> pd.DataFrame:
    """The forecast before overrides, as far as the amounts go."""
    return frame.assign(amount=frame["model_amount"])


def _place(frame: pd.DataFrame, level: str, name: str, month: pd.Timestamp, node: str) -> pd.Series:
    rows = frame[frame["level"].eq(level) & frame["name"].eq(name)]
    if rows.empty:
        known = frame.drop_duplicates(["level", "name"])
        raise UnknownName("node of the newest forecast", node, [label(one) for one in known.to_dict("records")])
    found = rows[rows["month"].eq(month)]
    if found.empty:
        months = ", ".join(f"{one:%Y-%m}" for one in rows["month"])
        raise BadParameter(f"the newest forecast has no {month:%Y-%m}, only {months}; give one of them, or forecast further ahead")
    return found.iloc[0]


def _history(tables: Tables, now: dt.datetime) -> pd.DataFrame:
    """Revenue of complete months by level, empty where there is none."""
    try:
        return monthly_by_level(visible(tables, now))
    except NotEnoughData:
        return pd.DataFrame(columns=["level", "name", "month", "amount"])


def _node(node: str) -> tuple[str, str]:
    level, slash, name = node.partition("/")
    if node == COMPANY:
        return COMPANY, COMPANY
    if level not in LEVELS[1:] or not slash or not name:
        raise BadParameter(f"node {node!r} is neither {COMPANY!r} nor region/NAME, team/ID or rep/ID; give, for example, {REGION}/West")
    return level, name


def _month(period: str) -> pd.Timestamp:
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", str(period)):
        raise BadParameter(f"period {period!r} is not a month; give it as 2026-07")
    return pd.Timestamp(f"{period}-01")


def _people(workspace: Workspace, by: str | None, approved_by: str | None) -> tuple[User, User]:
    author = signed.user(workspace, by)
    approver = author if approved_by is None else signed.user(workspace, approved_by)
    if not signed.may_sign(approver):
        mend = "ask one of them and name that person with --approved-by"
        raise BadParameter(f"{approver.name!r} is neither admin nor manager and may not approve an override; {mend}")
    return author, approver


def _write(workspace: Workspace, *rows: dict[str, Any]) -> None:
    signed.write(workspace, *({"target_type": "forecast", **row} for row in rows), origin="override", kind="override")
