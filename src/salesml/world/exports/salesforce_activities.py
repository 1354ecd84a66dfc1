"""Salesforce activities: meetings are Events, calls and mails Tasks, and a mail is an EmailMessage besides."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.salesforce_ids import record_id
from salesml.world.exports.shared import MILLISECONDS, Book, Rows, day, either, moment, recode


def activities(book: Book) -> None:
    """Event, Task and EmailMessage."""
    done = book.events("activity")
    met = np.asarray(pc.fill_null(pc.is_in(done.column("type"), pa.array(["meeting", "demo"])), False))
    _events(book, done.only(met))
    _tasks(book, done.only(~met))


def _related(kind: str, done: Rows) -> dict[str, pa.Array]:
    """What tasks and events have in common; WhoId is the contact or lead, WhatId the deal, else the account."""
    known = moment(done.column("known_at"), MILLISECONDS)
    return {
        "Id": record_id(kind, done.entity), "IsDeleted": pa.repeat("false", done.n), "Subject": done.column("subject"),
        "WhoId": pc.coalesce(record_id("contact", done.column("contact_id")), record_id("lead", done.column("lead_id"))),
        "WhatId": pc.coalesce(record_id("opportunity", done.column("opportunity_id")), record_id("account", done.column("account_id"))),
        "AccountId": record_id("account", done.column("account_id")), "OwnerId": record_id("user", done.column("owner_id")),
        "ActivityDate": day(done.column("occurred_at")), "CreatedDate": known, "LastModifiedDate": known,
        "SystemModstamp": known, "External_Id__c": done.entity,
    }  # fmt: skip


def _events(book: Book, done: Rows) -> None:
    """Event: meetings and demonstrations; a duration nobody entered is 0."""
    minutes = pc.fill_null(done.column("duration_minutes"), 0.0)
    begin = done.column("occurred_at")
    end = pc.add(begin.cast(pa.int64()), pc.cast(pc.multiply(minutes, 60e6), pa.int64())).cast(begin.type)
    book.write("Event", _related("event", done) | {
        "ActivityDateTime": moment(begin, MILLISECONDS), "StartDateTime": moment(begin, MILLISECONDS),
        "EndDateTime": moment(end, MILLISECONDS), "DurationInMinutes": minutes.cast(pa.int64()), "EventSubtype": "Event",
        "Type": recode(done.column("type"), {"demo": "Demo", "meeting": "Meeting"}), "Description": done.column("body"),
        "Outcome__c": done.column("outcome"), "WhoCount": done.column("attendees"),
    })  # fmt: skip


def _tasks(book: Book, done: Rows) -> None:
    """Task: calls, mails and the rest; EmailMessage: what a mail's task points to, with its second and text."""
    kind = done.column("type")
    is_call, is_mail = pc.equal(kind, "call"), pc.equal(kind, "email")
    inbound, nothing = pc.equal(done.column("direction"), "inbound"), pa.scalar(None, pa.string())
    seconds = pc.multiply(done.column("duration_minutes"), 60).cast(pa.int64())
    base = _related("task", done)
    book.write("Task", base | {
        "Status": "Completed", "IsClosed": "true", "Priority": "Normal",
        "TaskSubtype": recode(kind, {"call": "Call", "email": "Email", "task": "Task", "other": "Task"}),
        "Type": recode(kind, {"call": "Call", "email": "Email", "task": "Other", "other": "Other"}),
        "CompletedDateTime": base["CreatedDate"], "CallDurationInSeconds": either(is_call, seconds, pa.scalar(None, pa.int64())),
        "CallType": either(is_call, either(inbound, "Inbound", "Outbound"), nothing),
        "CallDisposition": either(is_call, done.column("outcome"), nothing),
        "Description": either(is_mail, nothing, done.column("body")),
    })  # fmt: skip
    mail = done.only(np.asarray(pc.fill_null(is_mail, False)))
    incoming = pc.fill_null(pc.equal(mail.column("direction"), "inbound"), False)
    book.write("EmailMessage", {
        "Id": record_id("email", mail.entity), "ActivityId": record_id("task", mail.entity), "IsDeleted": "false",
        "RelatedToId": record_id("opportunity", mail.column("opportunity_id")), "Subject": mail.column("subject"),
        "TextBody": mail.column("body"), "Incoming": incoming, "Status": either(incoming, "1", "3"),
        "MessageDate": moment(mail.column("occurred_at"), MILLISECONDS),
        "CreatedDate": moment(mail.column("known_at"), MILLISECONDS),
    })  # fmt: skip
