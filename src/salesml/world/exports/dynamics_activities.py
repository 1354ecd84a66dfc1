"""Dynamics 365 activities: phonecall, email, appointment, task, and activityparty, who took part."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import guid
from salesml.world.exports.shared import SECONDS, Book, Rows, either, moment

REQUIRED_ATTENDEE, TO = "5", "2"


def activities(book: Book) -> None:
    """One table a kind; createdon is when it was entered, actualstart, senton or scheduledstart when it took place."""
    done = book.events("activity")
    if not done.n:
        return
    kind = done.column("type")
    calls, mails = done.only(_is(kind, "call")), done.only(_is(kind, "email"))
    met, tasks = done.only(_is(kind, "meeting", "demo")), done.only(_is(kind, "task", "other"))
    inbound = pc.fill_null(pc.equal(calls.column("direction"), "inbound"), False)
    book.write("phonecall", _base(calls) | {
        "directioncode": pc.invert(inbound), "actualstart": _at(calls), "actualend": _end(calls),
        "actualdurationminutes": _minutes(calls), "statecode": "1", "statuscode": either(inbound, "4", "2"),
        "new_outcome": calls.column("outcome"),
    })  # fmt: skip
    incoming = pc.fill_null(pc.equal(mails.column("direction"), "inbound"), False)
    book.write("email", _base(mails) | {
        "directioncode": pc.invert(incoming), "senton": _at(mails), "statecode": "1", "statuscode": either(incoming, "4", "3"),
    })  # fmt: skip
    missed = pc.fill_null(pc.equal(met.column("outcome"), "no show"), False)
    book.write("appointment", _base(met) | {
        "scheduledstart": _at(met), "scheduledend": _end(met), "scheduleddurationminutes": pc.fill_null(_minutes(met), 0),
        "statecode": "1", "statuscode": "3", "category": either(pc.equal(met.column("type"), "demo"), "Demo", "Meeting"),
        "new_outcome": either(missed, "no show", met.column("outcome")),
    })  # fmt: skip
    book.write("task", _base(tasks) | {"actualend": _at(tasks), "statecode": "1", "statuscode": "5"})
    with_contact = done.only(pc.is_valid(done.column("contact_id")))
    book.write("activityparty", {
        "activitypartyid": guid("activityparty", with_contact.entity), "activityid": guid("activity", with_contact.entity),
        "partyid": guid("contact", with_contact.column("contact_id")), "partyobjecttypecode": "contact",
        "participationtypemask": either(_is(with_contact.column("type"), "meeting", "demo"), REQUIRED_ATTENDEE, TO),
    })  # fmt: skip


def _is(kind: pa.Array, *words: str) -> pa.Array:
    return pc.fill_null(pc.is_in(kind, pa.array(words)), False)


def _base(done: Rows) -> dict[str, pa.Array]:
    deal, lead, account = done.column("opportunity_id"), done.column("lead_id"), done.column("account_id")
    kind = either(pc.is_valid(account), "account", pa.scalar(None, pa.string()))
    kind = either(pc.is_valid(deal), "opportunity", either(pc.is_valid(lead), "lead", kind))
    return {
        "activityid": guid("activity", done.entity), "subject": done.column("subject"), "description": done.column("body"),
        "regardingobjectid": pc.coalesce(guid("opportunity", deal), guid("lead", lead), guid("account", account)),
        "regardingobjecttypecode": kind, "ownerid": guid("systemuser", done.column("owner_id")),
        "createdon": moment(done.column("known_at"), SECONDS), "new_externalid": done.entity,
    }  # fmt: skip


def _at(done: Rows) -> pa.Array:
    return moment(done.column("occurred_at"), SECONDS)


def _minutes(done: Rows) -> pa.Array:
    return pc.round(done.column("duration_minutes")).cast(pa.int64())


def _end(done: Rows) -> pa.Array:
    begin = done.column("occurred_at")
    seconds = pc.multiply(pc.fill_null(done.column("duration_minutes"), 0.0), 60e6).cast(pa.int64(), safe=False)
    return moment(pc.add(begin.cast(pa.int64()), seconds).cast(begin.type), SECONDS)
