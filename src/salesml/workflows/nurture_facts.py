"""What nurturing has to know of leads: who they are, what they did, what was decided before, and what stops it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from typing import Any, Final

import ibis
import pandas as pd
import pyarrow as pa

from salesml.features.leads import LEADS
from salesml.lake import Tables, View, visible
from salesml.models.nurture import read_signature
from salesml.models.nurture_programme import NOT_KNOWN, Banded, Programme, segment_of

REFUSED = r"unsub|opt.?out|complain|spam|bounc"
"""Kinds of lead events, and outcomes of activities, after which nothing is ever sent again (a mail that bounced among them)."""
SENT = ("nurture_email", "email_sent", "email_delivered", "email_open")
"""Lead events that are not the lead's doing; opens too, for mail programs open mails by themselves."""
DELIVERED = ("nurture_email", "email_sent", "email_delivered")
REPLY = ("email_reply",)
INSTANT: Final = "datetime64[us, UTC]"
STORED = [
    "nurture_id", "lead_id", "programme", "step", "held_out", "content", "channel", "send_at", "propensity", "policy", "reason",
    "occurred_at",
]  # fmt: skip
DECISIONS = [*STORED, "programme_version", "policy_version", "option"]


def decisions(view: View, programme: str | None = None) -> pd.DataFrame:
    """What was decided so far, in order. Grain: one row per decision (DECISIONS: those of table `nurture` and the parts of `policy`)."""
    facts = view.facts("nurture")
    rows = facts if programme is None else facts.filter(facts.programme == programme)
    frame = view.frame(rows.select(*STORED)).sort_values(["occurred_at", "nurture_id"], ignore_index=True)
    parts = read_signature(frame["policy"].astype("object"))
    return frame.assign(held_out=frame["held_out"].astype("bool"), **parts.drop(columns="programme"))


def drawn_in_chance(made: pd.DataFrame) -> pd.Series:
    """The chance with which the programme's version draws a lead in, for each of `decisions`: what its held-out leads leave; 1 without."""
    held = made[made["held_out"]].groupby("programme_version")["propensity"].first()
    return 1 - made["programme_version"].map(held).astype("float64").fillna(0.0)


def people(view: View, since: dt.datetime | None, also: Collection[str] = ()) -> pd.DataFrame:
    """Leads that came in at `since` or later (None: none for that alone), and those of `also`, the earliest first.

    Grain: one row per lead: lead_id, created_at, status, deleted, country, time_zone (of its custom fields), contact_id, contact_name,
    email, person (who it is: e-mail, else contact, else the lead), refused and agreed (consent of the person's contacts), gone (contact
    deleted).
    """
    leads = view.frame(view.state("lead", ["status", "deleted", "contact_id", "country", "custom"]))
    young = False if since is None else leads["created_at"] >= pd.Timestamp(since)
    leads = leads[leads["lead_id"].isin(list(also)) | young].sort_values(["created_at", "lead_id"], ignore_index=True)
    contacts = view.frame(view.state("contact", ["name", "email", "consent", "deleted"])).drop(columns=["as_of", "created_at"])
    contacts = contacts.rename(columns={"name": "contact_name", "deleted": "gone"})
    address = contacts["email"].astype("object").str.strip().str.lower()
    contacts = contacts.assign(person=address.where(address.notna() & address.ne(""), contacts["contact_id"]))
    refused = set(contacts.loc[contacts["consent"].eq(False).fillna(False), "person"])
    agreed = set(contacts.loc[contacts["consent"].eq(True).fillna(False), "person"])
    found = leads.merge(contacts.drop(columns="consent"), on="contact_id", how="left")
    person = found["person"].astype("object").where(found["person"].notna(), found["lead_id"])
    return found.assign(
        person=person, refused=person.isin(refused), agreed=person.isin(agreed), gone=found["gone"].eq(True).fillna(False).astype("bool"),
        time_zone=pd.Series([_custom(text).get("time_zone") for text in found["custom"]], index=found.index, dtype="object"),
    ).drop(columns=["custom", "as_of"])  # fmt: skip


def doings(view: View, since: dt.datetime) -> pd.DataFrame:
    """Lead events by kind. Grain: one row per lead and kind: last (when it last happened), recent (how often since `since`)."""
    rows = view.facts("lead_event")
    start = ibis.literal(since, type="timestamp('UTC', 6)")
    kinds = rows.group_by(["lead_id", "type"]).aggregate(last=rows.occurred_at.max(), recent=(rows.occurred_at >= start).sum())
    return view.frame(kinds)


def stops(
    view: View, leads: pd.DataFrame, done: pd.DataFrame, programme: Programme | None = None, drawn_at: pd.Series | None = None
) -> pd.Series:
    """Why nothing may be sent to a lead ("" where something may), index as `leads` (those of `people`).

    `done`: as `doings` tells. Without a programme the rules that hold in all; with one its own too: `drawn_at`, by lead_id, is when each
    came into it (events of `stop_on` count from then). What one lead of a person refused holds for all leads of that person.
    """
    rows = view.facts("activity")
    acts = view.frame(
        rows.filter(rows.lead_id.notnull())
        .mutate(refused=rows.outcome.lower().re_search(REFUSED).fill_null(False), inbound=(rows.direction == "inbound").fill_null(False))
        .group_by("lead_id").aggregate(refused=ibis._.refused.max(), inbound=ibis._.inbound.max())
    )  # fmt: skip
    refusing = set(done.loc[done["type"].str.lower().str.contains(REFUSED, na=False), "lead_id"]) | _where(acts, "refused")
    replied = set(done.loc[done["type"].isin(REPLY), "lead_id"]) | _where(acts, "inbound")
    ending = programme.stop_on if programme else ()
    began = of_lead(done["lead_id"], pd.Series(dtype=INSTANT) if drawn_at is None else drawn_at)
    wanted = set(done.loc[done["type"].isin(ending) & (done["last"] > began), "lead_id"])
    unasked = ~leads["agreed"] if programme and programme.needs_consent else pd.Series(False, index=leads.index)
    persons = _persons(view, refusing)
    rules = {
        "deleted": leads["deleted"].eq(True).fillna(False) | leads["gone"],
        "converted": leads["status"].eq("converted"),
        "disqualified": leads["status"].eq("disqualified"),
        "qualified: it is with a salesperson": leads["status"].eq("qualified"),
        "not open": leads["status"].ne("open").fillna(True),
        "consent refused": leads["refused"],
        "unsubscribed, complained or bounced": leads["lead_id"].isin(refusing) | leads["person"].isin(persons),
        "replied": leads["lead_id"].isin(replied),
        f"did what ends it ({', '.join(ending)})": leads["lead_id"].isin(wanted),
        "consent not given": unasked,
    }
    found = pd.Series("", index=leads.index, dtype="object")
    for why, holds in rules.items():
        found = found.mask(found.eq("") & holds.astype("bool"), why)
    return found


def segments(tables: Tables, rows: pd.DataFrame, context: tuple[Banded, ...]) -> pd.Series:
    """The segment of each row (lead_id, as_of) by what was known then, index as `rows`; "not known" for a lead that is none."""
    if not context or rows.empty:
        return pd.Series("all leads", index=rows.index, dtype="object")
    asked = rows[["lead_id", "as_of"]].astype({"as_of": INSTANT})
    known = LEADS.frame(visible(tables, pa.Table.from_pandas(asked.drop_duplicates(), preserve_index=False)))
    known = known[["lead_id", "as_of"]].assign(segment=segment_of(known, context)).astype({"as_of": INSTANT})
    found = asked.merge(known, on=["lead_id", "as_of"], how="left")["segment"]
    return pd.Series(found.to_numpy(), index=rows.index, dtype="object").fillna(NOT_KNOWN)


def of_lead(leads: pd.Series, told: pd.Series) -> pd.Series:
    """What is told by lead_id, for each of `leads` (index as theirs); missing where nothing is."""
    return told.reindex(leads).set_axis(leads.index)


def _persons(view: View, leads: set[str]) -> set[str]:
    """The persons behind leads, so that another lead of theirs is known."""
    if not leads:
        return set()
    return set(people(view, None, leads)["person"])


def _where(frame: pd.DataFrame, column: str) -> set[str]:
    return set(frame.loc[frame[column].astype("bool"), "lead_id"])


def _custom(text: Any) -> dict[str, Any]:
    try:
        told = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        told = {}
    return told if isinstance(told, dict) else {}
