"""Nurture: what each open lead gets next, decided, logged with its chance, and exported for the mail tool; salesml sends nothing.

A decision is a fact of table `nurture`, dated when it was made: now, or at `as_of` where that is earlier (a past day replayed). A lead is
drawn into a programme, or held out, when its first step would be due; both kinds pass the same rules, so that they can be compared.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.contracts import table
from salesml.errors import BadParameter
from salesml.features.spines import lead_lives
from salesml.lake import Lake, Tables, visible
from salesml.lake.asof import FOREVER
from salesml.models.deals import label
from salesml.models.nurture import Policy, even, held_out_signature, learn, read_signature
from salesml.models.nurture_programme import Programme, Step, usual
from salesml.workflows.nurture_facts import (
    DELIVERED,
    INSTANT,
    SENT,
    STORED,
    decisions,
    doings,
    drawn_in_chance,
    of_lead,
    people,
    segments,
    stops,
)
from salesml.workflows.nurture_hours import send_at, zones
from salesml.workspace import Workspace, write_atomically

DAY = dt.timedelta(days=1)
MOMENT = dt.timedelta(microseconds=1)
SEND, HOLD, WAIT, STOP, END = "send", "hold out", "wait", "stop", "end"
DUE = [
    "nurture_id", "lead_id", "contact_id", "contact_name", "email", "programme", "step", "content", "channel", "send_at", "country",
    "policy", "reason",
]  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """What one plan decided.

    rows: the decisions written, as `nurture_facts.decisions` gives them; others: leads with nothing to do by `what` (wait, stop, end) and
    `why`; policy: the chances the options were drawn with.
    """

    programme: Programme
    as_of: dt.datetime
    at: dt.datetime
    rows: pd.DataFrame
    others: pd.DataFrame
    policy: Policy
    head_id: int

    @property
    def sentence(self) -> str:
        """The plan in words."""
        held = int(self.rows["held_out"].sum())
        stopped = int(self.others.loc[self.others["what"] == STOP, "leads"].sum())
        return (
            f"Programme {self.programme.name!r}: {len(self.rows) - held:,} sendings decided, {held:,} leads held out by lot "
            f"({self.programme.held_out:.0%} of those that come in), {stopped:,} stopped. " + " ".join(self.policy.said.values())
        )


def plan_nurture(workspace: Workspace, programme: Programme | None = None, as_of: str | dt.date | dt.datetime | None = None) -> Plan:
    """Decide the next step of every open lead that is due one (default: the programme that comes with salesml) and write table `nurture`.

    A sequence goes on where it was; planning again for the same day changes nothing. Held-out leads are written once. Nothing is ever
    decided for a lead that is deleted, judged, replied, refused, unsubscribed or bounced, or was sent as much as the programme allows.
    BadParameter where the programme has been planned for a later moment already.
    """
    chosen = programme or usual()
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    at = min(cutoff, dt.datetime.now(dt.UTC))
    last = decisions(visible(tables, FOREVER), chosen.name)["occurred_at"].max()
    if pd.notna(last) and last > pd.Timestamp(at):
        raise BadParameter(f"programme {chosen.name!r} was planned as of {last:%Y-%m-%d %H:%M} UTC already; plan from then on")
    policy = learnt_policy(tables, chosen, cutoff)
    found = _decided(tables, chosen, policy, cutoff, at)
    rows = _rows(workspace, chosen, policy, found[found["what"].isin([SEND, HOLD])], at)
    if len(rows):
        staged = pa.Table.from_pandas(rows, schema=_schema(rows), preserve_index=False)
        Lake(workspace).ingest({"nurture": staged}, origin="nurture", kind="nurture", note={"as_of": cutoff.isoformat()})
    rest = found[~found["what"].isin([SEND, HOLD])]
    others = rest.groupby(["what", "why"]).size().rename("leads").reset_index().sort_values("leads", ascending=False, ignore_index=True)
    parts = read_signature(rows["policy"].astype("object")).drop(columns="programme")
    return Plan(chosen, cutoff, at, rows.assign(**parts), others, policy, tables.head.id)


def next_step(
    workspace: Workspace, lead: str, programme: Programme | None = None, as_of: str | dt.date | dt.datetime | None = None
) -> dict[str, object]:
    """What a plan would decide for one lead now, and why; writes nothing. BadParameter for a lead that is not known.

    what (send, hold out, wait, stop, end), why, and where something is sent: step, content, channel, send_at, propensity.
    """
    chosen = programme or usual()
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    at = min(cutoff, dt.datetime.now(dt.UTC))
    policy = learnt_policy(tables, chosen, cutoff)
    found = _decided(tables, chosen, policy, cutoff, at, lead)
    if found.empty:
        raise BadParameter(f"lead {lead!r} is not known; give its id, as salesml score leads lists it")
    told: dict[str, object] = {"lead_id": lead, "what": found["what"].iloc[0], "why": found["why"].iloc[0]}
    if told["what"] == SEND:
        row = _rows(workspace, chosen, policy, found, at).iloc[0]
        told |= {name: row[name] for name in ("step", "content", "channel", "send_at", "propensity")} | {"why": row["reason"]}
    return told


def due(
    workspace: Workspace, days: float = 1, as_of: str | dt.date | dt.datetime | None = None, path: Path | None = None
) -> pd.DataFrame:
    """What is to be sent from the start of the day until `days` later, the stop rules asked once more.

    Grain: one row per sending (DUE: send_at is UTC, email and contact where the lead has one), in order. What was decided for a lead that
    has since refused, replied or been judged is left out. `path`: written there as CSV. A row keeps its nurture_id: a tool that takes the
    file twice can tell.
    """
    if not 0 < days <= 366:
        raise BadParameter(f"days {days!r} is not above 0 and at most 366")
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    at = min(cutoff, dt.datetime.now(dt.UTC))
    made = decisions(visible(tables, cutoff + MOMENT))
    start = workspace.instant(workspace.local_date(at))
    wanted = made[~made["held_out"] & made["send_at"].between(pd.Timestamp(start), pd.Timestamp(at + days * DAY), inclusive="left")]
    view = visible(tables, cutoff)
    known = people(view, None, wanted["lead_id"])
    # a programme's own rules are not on file: those that hold in all are asked
    why = stops(view, known, doings(view, cutoff))
    free = known[why.eq("").to_numpy()]
    found = wanted.merge(free[["lead_id", "contact_id", "contact_name", "email", "country"]], on="lead_id")
    found = found.sort_values(["send_at", "nurture_id"], ignore_index=True)[DUE]
    if path is not None:
        shown = found.assign(send_at=found["send_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
        write_atomically(Path(path), shown.to_csv(index=False).encode())
    return found


def learnt_policy(tables: Tables, programme: Programme, cutoff: dt.datetime) -> Policy:
    """The policy that the programme's decisions known at an instant speak for; those younger than its days are not judged yet."""
    judged = judged_decisions(tables, programme, cutoff)
    return even(programme) if judged.empty else learn(programme, judged)


def judged_decisions(tables: Tables, programme: Programme, cutoff: dt.datetime) -> pd.DataFrame:
    """Decisions to send that are as old as the programme's days: step, option, segment (by what was known then), propensity, chance (of
    the option, once the lead was drawn in), paid (0 or 1: converted within the days), lead_id, as_of (when it was decided).
    """
    view = visible(tables, cutoff)
    made = decisions(view, programme.name)
    made = made.assign(chance=made["propensity"] / drawn_in_chance(made).where(made["step"].eq(1), 1.0))
    made = made[~made["held_out"]].rename(columns={"occurred_at": "as_of"})
    columns = ["step", "option", "propensity", "chance", "lead_id", "as_of"]
    if made.empty:
        return made[columns].assign(segment=[], paid=[])
    lives = view.frame(lead_lives(view))
    judged = label(made[columns], lives, programme.within_days, cutoff, within=True, entity="lead_id", outcome="converted")
    judged = judged.rename(columns={"converted": "paid"}).reset_index(drop=True)
    return judged[[*columns, "paid"]].assign(segment=segments(tables, judged, programme.context))


def _decided(
    tables: Tables, programme: Programme, policy: Policy, cutoff: dt.datetime, at: dt.datetime, lead: str | None = None
) -> pd.DataFrame:
    """Every lead that could be meant (or one), and what is to be done. Grain: one row per lead: columns of `people`, step, what, why."""
    view = visible(tables, cutoff)
    everything = decisions(visible(tables, cutoff + MOMENT))
    mine = everything[everything["programme"] == programme.name]
    under_way = mine.loc[~mine["held_out"], "lead_id"].unique()
    known = people(view, cutoff - dt.timedelta(days=programme.oldest_days), under_way if lead is None else [*under_way, lead])
    done = doings(view, at - dt.timedelta(days=programme.most_days))
    drawn_at = mine.groupby("lead_id")["occurred_at"].min()
    known = _placed(known, mine)
    why = stops(view, known, done, programme, drawn_at)
    what = pd.Series(np.where(why.eq(""), "", STOP), index=known.index, dtype="object")
    old = (pd.Timestamp(at) - known["created_at"]) > pd.Timedelta(days=programme.oldest_days)
    rules = [
        (END, "held out for good", known["held"]),
        (END, "the sequence is over", known["step"] > len(programme.steps)),
        (END, f"older than {programme.oldest_days:g} days", old),
        *_waits(programme, known, done, at),
        (WAIT, f"sent {programme.most_sent} within {programme.most_days:g} days already", _full(programme, known, everything, done, at)),
    ]
    for kind, reason, holds in rules:
        new = what.eq("") & holds.astype("bool")
        what, why = what.mask(new, kind), why.mask(new, reason)
    free = what.eq("")
    again = free & known["person"].where(free).duplicated()
    what, why = what.mask(again, WAIT), why.mask(again, "another lead of the same person comes first")
    held = what.eq("") & known["step"].eq(1) & programme.holds_out(known["lead_id"])
    what = what.mask(held, HOLD).where(what.ne("") | held, SEND)
    found = known.assign(what=what, why=why)
    found = found if lead is None else found[found["lead_id"] == lead]
    asked = found[found["what"] == SEND].assign(as_of=pd.Timestamp(cutoff))
    segment = segments(tables, asked, programme.context)
    picked = policy.choose(asked.assign(segment=segment))
    return found.assign(segment=segment.reindex(found.index), **picked.reindex(found.index))


def _placed(known: pd.DataFrame, mine: pd.DataFrame) -> pd.DataFrame:
    """Adds step (the next one), since (when the step before was due, or the lead came in), held."""
    sent = mine[~mine["held_out"]].groupby("lead_id").agg(step=("step", "max"), since=("send_at", "max"))
    step = of_lead(known["lead_id"], sent["step"]).fillna(0).astype("int64") + 1
    since = of_lead(known["lead_id"], sent["since"]).astype(INSTANT)
    held = known["lead_id"].isin(mine.loc[mine["held_out"], "lead_id"])
    return known.assign(step=step, since=since.fillna(known["created_at"].astype(INSTANT)), held=held)


def _waits(programme: Programme, known: pd.DataFrame, done: pd.DataFrame, at: dt.datetime) -> list[tuple[str, str, pd.Series]]:
    """Leads whose next step is not due, by why."""
    own = done[~done["type"].isin(SENT)].groupby("lead_id")["last"].max()
    last, now = of_lead(known["lead_id"], own).astype(INSTANT), pd.Timestamp(at)
    rules = []
    for step in programme.steps:
        mine = known["step"].eq(step.number)
        early = now < known["since"] + pd.Timedelta(days=step.after_days)
        rules.append((WAIT, f"step {step.number} is not due yet", mine & early))
        if step.event is not None:
            seen = of_lead(known["lead_id"], done[done["type"] == step.event].set_index("lead_id")["last"]).astype(INSTANT)
            rules.append((WAIT, f"step {step.number} waits for {step.event}", mine & ~(seen > known["since"])))
        if step.silent_days is not None:
            lately = last > now - pd.Timedelta(days=step.silent_days)
            rules.append((WAIT, f"step {step.number} waits for {step.silent_days:g} quiet days", mine & lately))
    return rules


def _full(programme: Programme, known: pd.DataFrame, made: pd.DataFrame, done: pd.DataFrame, at: dt.datetime) -> pd.Series:
    """Whether a person was, or is to be, sent as much as is allowed: by what was decided or by what was delivered, whichever is more."""
    since = pd.Timestamp(at) - pd.Timedelta(days=programme.most_days)
    planned = made[~made["held_out"] & (made["send_at"] >= since)].groupby("lead_id").size()
    came = done[done["type"].isin(DELIVERED)].groupby("lead_id")["recent"].sum()
    sent = pd.DataFrame({"planned": of_lead(known["lead_id"], planned), "came": of_lead(known["lead_id"], came)}).max(axis=1).fillna(0)
    return sent.groupby(known["person"]).transform("sum") >= programme.most_sent


def _rows(workspace: Workspace, programme: Programme, policy: Policy, found: pd.DataFrame, at: dt.datetime) -> pd.DataFrame:
    """The decisions as table `nurture` has them."""
    rows = []
    for row, (zone, known) in zip(found.to_dict("records"), zones(found, programme, at, workspace.zone), strict=True):
        common = {"nurture_id": f"{programme.name}:{row['lead_id']}:{row['step']}", "lead_id": row["lead_id"], "occurred_at": at}
        common |= {"programme": programme.name, "step": row["step"], "held_out": row["what"] == HOLD}
        if row["what"] == HOLD:
            why = f"drawn by lot to get nothing, as {programme.held_out:.0%} of the leads, so that the programme can be measured"
            rows.append(common | {"propensity": programme.held_out, "policy": held_out_signature(programme), "reason": why})
            continue
        step = programme.steps[row["step"] - 1]
        option = next(one for one in step.options if one.name == row["option"])
        chance = row["chance"] * (1 - programme.held_out if step.number == 1 else 1)
        rows.append(common | {
            "content": option.content, "channel": option.channel, "send_at": send_at(at, option, zone, programme.quiet),
            "propensity": chance, "policy": policy.signature(option.name), "reason": _reason(step, row, policy, zone.key, known),
        })  # fmt: skip
    frame = pd.DataFrame(rows, columns=STORED)
    return frame.astype({"send_at": INSTANT, "occurred_at": INSTANT, "held_out": "bool", "step": "int64"})


def _reason(step: Step, row: dict, policy: Policy, zone: str, known: bool) -> str:
    trigger = f" and {step.event}" if step.event else f" and {step.silent_days:g} in which nothing came" if step.silent_days else ""
    hours = f"hours of {zone}{'' if known else ', for its own are not known'}"
    return (
        f"step {step.number}, after {step.after_days:g} day{'' if step.after_days == 1 else 's'}{trigger}; {row['option']} with chance "
        f"{row['chance']:.2f} for {row['segment']} (policy {policy.version}); {hours}"
    )


def _schema(rows: pd.DataFrame) -> pa.Schema:
    return pa.schema([field for field in table("nurture").schema if field.name in rows.columns])
