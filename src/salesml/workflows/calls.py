"""The forecast call: rep, manager, head of sales put their number beside the model's, and see the level below and the gaps."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal

import ibis
import pandas as pd

from salesml.analytics import calls as parts
from salesml.analytics import revenue
from salesml.analytics.call_record import mix
from salesml.analytics.pipeline import quarter
from salesml.analytics.quarter import COMPANY, memberships
from salesml.errors import BadParameter
from salesml.lake import Lake, View, visible
from salesml.state import audit
from salesml.state.users import User
from salesml.workflows import signed
from salesml.workflows.call_facts import (
    Directory,
    call_facts,
    directory,
    find_node,
    find_quarter,
    money_of_quarter,
    standing,
)
from salesml.workflows.call_landings import KEYS, landings, quotas
from salesml.workflows.quarter import Picture, champions_scores
from salesml.workspace import Workspace

LONGEST_NOTE = 1_000


@dataclass(frozen=True)
class Call:
    """One call as it was written: what its author says a node's quarter [start, end) will bring in all; exact money in `currency`."""

    call_id: str
    node: str
    label: str
    start: dt.date
    end: dt.date
    amount: Decimal
    currency: str
    note: str
    author: str
    known_at: dt.datetime


@dataclass(frozen=True)
class ForecastCall:
    """The calls of the fiscal quarter [start, end) beside the model and quotas, as of an instant; money in `currency`.

    rows: one row per node, from the company down (`analytics.calls.roll_up`, with open_amount, lo80, hi80, author, note, called_at;
    mix: call and model as far as each has earned trust, where a record was given). standing: the newest call of each node and
    author. tie_out: `analytics.calls.tie_out` with label and depth; empty without revenue entries. attention and notes in words.
    """

    as_of: dt.datetime
    start: dt.date
    end: dt.date
    currency: str
    rows: pd.DataFrame
    standing: pd.DataFrame
    tie_out: pd.DataFrame
    attention: tuple[str, ...]
    sentence: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def company_call(self) -> float | None:
        """The company's call; None where there is none."""
        return _known(self.rows["call"].iloc[0])

    @property
    def company_model(self) -> float | None:
        """The model's number for the company; None where it has none."""
        return _known(self.rows["model"].iloc[0])


def submit_call(
    workspace: Workspace, node: str, period: str, amount: str | int | Decimal, note: str = "", by: str | None = None
) -> Call:
    """Put down what a node's fiscal quarter will bring in all ("rep/U0003", "team/West 1", "company"; "2026-07": its first month).

    A rep calls for himself: his user name is his user_id, his e-mail address or what stands before its @. A manager calls for
    teams, regions, the company and the reps below him (for any rep where the records name no manager), an admin for all. Written to
    the audit log and to table `call`, known from now; a later call of the same author replaces it. `by`: the acting user.
    BadParameter for who may not, an amount that is not money of 0 or more, a quarter that is over or far ahead, a long note;
    UnknownName for a node or user that there is not.
    """
    now, author, money = signed.now(), signed.user(workspace, by), signed.money(amount)
    told = " ".join(str(note).split())
    if len(told) > LONGEST_NOTE:
        raise BadParameter(f"the note has {len(told):,} characters; say it in {LONGEST_NOTE:,}")
    start, end = find_quarter(workspace, period, workspace.local_date(now))
    known = directory(visible(Lake(workspace).open(), now))
    level, name, label = find_node(known, node)
    refuse_others(known, author, level, name)
    place = COMPANY if level == COMPANY else f"{level}/{name}"
    made = Call(
        f"call-{uuid.uuid4().hex[:12]}", place, label, start, end, money, workspace.settings.currency, told, author.name, now
    )
    details = {"call": made.call_id, "amount": str(money), "note": told}
    audit.record(workspace, author.name, "submit call", f"{place} {start:%Y-%m}", details, at=now)
    row = {
        "call_id": made.call_id, "entity_type": level, "entity_id": name, "period_start": start, "period_end": end, "amount": money,
        "currency": made.currency, "note": told or None, "author": author.name, "occurred_at": now, "known_at": now,
    }  # fmt: skip
    signed.write(workspace, row, origin="call", kind="call", into="call")
    return made


def forecast_call(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    scores: pd.DataFrame | None = None,
    trust: pd.DataFrame | None = None,
    seen: Picture | None = None,
) -> ForecastCall:
    """The call of the fiscal quarter that as_of lies in (default: the start of the day after the last fact).

    Nodes: the company, its regions, teams and reps with a quota, open deals, revenue or a call in the quarter, and who is above
    them. Of several authors' calls for a node the newest stands. `scores` as `workflows.health.pipeline_health` takes them (else
    the champion scores the deals, else rates of past quarters serve); `trust`: `workflows.call_record.CallRecord.trust`;
    `seen`: the instant's `workflows.quarter.picture`, where it is made already.
    """
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    view, currency = visible(tables, instant), workspace.settings.currency
    start, end = quarter(workspace.local_date(instant), workspace.settings.fiscal_year_start)
    known, targets = directory(view), quotas(view, start, end)
    said = standing(call_facts(view), start)
    won, entries = money_of_quarter(view, start, end)
    tied = parts.tie_out(won, entries)
    if scores is None and seen is None:
        scores = champions_scores(workspace, instant)
    present = pd.concat([targets[KEYS], said[KEYS], tied[KEYS], _with_open_deals(view)]).drop_duplicates()
    nodes = parts.tree(known.people, known.teams, present)
    model, words = landings(workspace, tables, instant, nodes, scores, seen)
    rows = nodes.merge(model, "left", KEYS).merge(targets[[*KEYS, "quota"]], "left", KEYS)
    rows = rows.merge(tied[[*KEYS, "finance"]].rename(columns={"finance": "booked"}), "left", KEYS)
    newest = said.drop_duplicates(KEYS, keep="last")[[*KEYS, "amount", "author", "note", "known_at"]]
    rows = rows.merge(newest.rename(columns={"amount": "call", "known_at": "called_at"}), "left", KEYS)
    numbers = ["model", "lo80", "hi80", "open_amount", "quota", "booked", "call"]
    rows = rows.astype(dict.fromkeys(numbers, "float64")).fillna({"booked": 0.0})
    rows = parts.roll_up(rows)
    if trust is not None:
        rows = rows.assign(mix=mix(rows, trust)["mix"])
    by_finance = revenue.basis(view) != "won"
    tied = nodes[[*KEYS, "label", "depth"]].merge(tied, "inner", KEYS) if by_finance else tied.head(0).assign(label="", depth=0)
    return ForecastCall(
        instant, start, end, currency, rows, said, tied, parts.attention(rows, currency),
        _sentence(rows.iloc[0], currency, start, end), tuple(_notes(words, by_finance, rows, entries)), tables.head.id,
    )  # fmt: skip


def _with_open_deals(view: View) -> pd.DataFrame:
    deals = view.state("opportunity", ["status", "owner_id", "deleted"])
    deals = deals.filter(deals.status == "open", ~ibis.coalesce(deals.deleted, False), deals.owner_id.notnull())
    return view.frame(deals.select(name="owner_id").distinct()).assign(level="rep")[KEYS]


def refuse_others(known: Directory, user: User, level: str, name: str) -> None:
    """BadParameter unless the user may call for the node (see `submit_call`)."""
    self = _person(known, user.name)
    if "admin" in user.roles or (level == "rep" and self == name):
        return
    if level != "rep":
        if not signed.may_sign(user):
            told = f"{user.name!r} is neither admin nor manager and may call only for himself as a rep"
            raise BadParameter(f"{told}; ask one of them, or an admin for the role")
        return
    above = _above(known, name)
    if "manager" in user.roles and (not above or self in above):
        return
    if "manager" in user.roles:
        raise BadParameter(f"rep {name} is not below {user.name!r}; {' or '.join(above)} or an admin may call for this rep")
    told = f"{user.name!r} is not rep {name} (whose user name is the user_id, the e-mail address or what stands before its @)"
    raise BadParameter(f"{told}, nor a manager or admin; let one of them call")


def _person(known: Directory, user: str) -> str | None:
    """The one person of the records that a user is: by user_id, e-mail address, or the part before its @; None without one."""
    people, asked = known.people, user.casefold()
    mail = people["email"].astype("str").str.casefold()
    for same in (people["name"].str.casefold().eq(asked), mail.eq(asked), mail.str.partition("@")[0].eq(asked)):
        if same.sum() == 1:
            return str(people.loc[same, "name"].iloc[0])
    return None


def _above(known: Directory, rep: str) -> list[str]:
    """The managers above a rep by manager_id and the teams' managers, the nearest first."""
    managers, teams = (dict(zip(rows["name"], rows["manager"], strict=True)) for rows in (known.people, known.teams))
    team_of = dict(zip(known.people["name"], known.people["team"], strict=True))
    found: list[str] = []
    wanted = [managers.get(rep), teams.get(team_of.get(rep))]
    while wanted:
        one = wanted.pop(0)
        if one is not None and one != rep and one not in found:
            found.append(one)
            wanted.append(managers.get(one))
    return found


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _sentence(company: pd.Series, currency: str, start: dt.date, end: dt.date) -> str:
    period = f"{start:%B} to {end - dt.timedelta(days=1):%B %Y}"
    if pd.isna(company["call"]):
        told = f"{period}: the company has no call yet"
    else:
        told = f"{period}: {company['author']} calls {company['call']:,.0f} {currency}"
    if company["below_calls"]:
        told += f"; those below come to {company['below']:,.0f} ({company['below_calls']:,.0f} of {company['below_nodes']:,.0f} called)"
    if pd.notna(company["model"]):
        told += f"; the model says {company['model']:,.0f}, 80 % interval {company['lo80']:,.0f} to {company['hi80']:,.0f}"
    told += f"; {company['booked']:,.0f} are booked."
    if pd.isna(company["quota"]):
        return f"{told} No quota is set for the company."
    which = "The call" if pd.notna(company["call"]) else "The model"
    if pd.isna(company["gap_quota"]):
        return f"{told} The quota is {company['quota']:,.0f}."
    side = "above" if company["gap_quota"] >= 0 else "below"
    return f"{told} {which} is {abs(company['gap_quota']):,.0f} {side} the quota of {company['quota']:,.0f}."


def _notes(words: str, by_finance: bool, rows: pd.DataFrame, entries: pd.DataFrame) -> list[str]:
    told = [words] if words else []
    if not by_finance:
        told.append("No bookings, orders or invoices are known: revenue is what was won, and there is no finance total to tie out to.")
    lone = rows.loc[rows["level"].ne(COMPANY) & rows["model"].isna(), "label"]
    if len(lone) and rows["model"].notna().any():
        told.append(f"The model has no number for {', '.join(lone)}.")
    member = memberships(entries[entries["in_quarter"]].reset_index(drop=True))
    nobody = int((~member.loc[member["level"] == COMPANY, "row"].isin(member.loc[member["level"] == "rep", "row"])).sum())
    if nobody:
        told.append(f"{nobody:,} entries of the quarter name no rep and count above the reps only.")
    return told
