"""Pipedrive activities (calls, meetings, demonstrations, tasks) and mail messages."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import guid
from salesml.world.exports.pipedrive_rows import CLOCK, number
from salesml.world.exports.shared import Book, Rows, day, either, moment, recode


def activities(book: Book) -> None:
    """activities: due_time to the minute, marked_as_done_time when it was entered; mail_messages: message_time to the second."""
    done = book.events("activity")
    if not done.n:
        return
    is_mail = pc.fill_null(pc.equal(done.column("type"), "email"), False)
    acts, mails = done.only(pc.invert(is_mail)), done.only(is_mail)
    begin, entered = acts.column("occurred_at"), moment(acts.column("known_at"), CLOCK)
    minutes = pc.round(acts.column("duration_minutes")).cast(pa.int64())
    clock = pc.strftime(pc.multiply(minutes, 60).cast(pa.timestamp("s")), "%H:%M")
    book.write("activities", _base(acts) | {
        "type": recode(acts.column("type"), {"other": "task"}), "note": acts.column("body"), "due_date": day(begin),
        "due_time": moment(begin, "%H:%M"), "duration": clock, "done": "true", "add_time": entered, "marked_as_done_time": entered,
        "org_id": number(acts.column("account_id")), "active_flag": "true",
    })  # fmt: skip
    inbound = pc.fill_null(pc.equal(mails.column("direction"), "inbound"), False)
    book.write("mail_messages", _base(mails) | {
        "body": mails.column("body"), "sent_flag": either(inbound, "0", "1"), "draft_flag": "0",
        "message_time": moment(mails.column("occurred_at"), CLOCK), "add_time": moment(mails.column("known_at"), CLOCK),
    })  # fmt: skip


def _base(done: Rows) -> dict[str, pa.Array]:
    return {
        "id": number(done.entity), "subject": done.column("subject"), "user_id": number(done.column("owner_id")),
        "deal_id": number(done.column("opportunity_id")), "lead_id": guid("lead", done.column("lead_id")),
        "person_id": number(done.column("contact_id")),
    }  # fmt: skip
