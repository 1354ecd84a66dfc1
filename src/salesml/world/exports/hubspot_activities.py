"""HubSpot engagements (calls, emails, meetings, tasks) and the events of leads."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.hubspot_ids import file_name, number
from salesml.world.exports.shared import MILLISECONDS, Book, Rows, either, moment, recode, text

DISPOSITION = {
    "connected": "f240bbac-87c9-4f6e-bf70-924b57d47db7", "no answer": "73a0d17f-1163-4015-bdd5-ec830791da20",
    "voicemail": "b2cf5968-551e-4856-9783-52b3da59a7d0", "busy": "9d9162e7-6cf3-4944-bf63-4dff82258764",
}  # fmt: skip
"""HubSpot's ids of its own call outcomes."""
OUTCOME = {"held": "COMPLETED", "no show": "NO_SHOW"}
EVENT = {
    "web_visit": "e_visited_page", "email_open": "e_opened_email_v2", "email_click": "e_clicked_link_in_email_v2",
    "email_reply": "e_replied_email_v2", "form": "e_submitted_form", "nurture_email": "e_delivered_email_v2",
    "download": "pe1_download", "webinar": "pe1_webinar", "social": "pe1_social",
}  # fmt: skip


def engagements(book: Book) -> None:
    """One file a kind; hs_timestamp is when it took place, hs_createdate when it was entered."""
    done = book.events("activity")
    if not done.n:
        return
    kind = done.column("type")
    calls, mails = done.only(_is(kind, "call")), done.only(_is(kind, "email"))
    met, tasks = done.only(_is(kind, "meeting", "demo")), done.only(_is(kind, "task", "other"))
    book.write(file_name(book, "calls"), _base(calls) | {
        "hs_call_title": calls.column("subject"), "hs_call_body": calls.column("body"), "hs_call_status": "COMPLETED",
        "hs_call_direction": pc.utf8_upper(calls.column("direction")), "hs_call_disposition": recode(calls.column("outcome"), DISPOSITION),
        "hs_call_duration": pc.multiply(calls.column("duration_minutes"), 60_000).cast(pa.int64()),
    })  # fmt: skip
    inbound = pc.fill_null(pc.equal(mails.column("direction"), "inbound"), False)
    book.write(file_name(book, "emails"), _base(mails) | {
        "hs_email_subject": mails.column("subject"), "hs_email_text": mails.column("body"), "hs_email_status": "SENT",
        "hs_email_direction": either(inbound, "INCOMING_EMAIL", "EMAIL"),
    })  # fmt: skip
    begin = met.column("occurred_at")
    minutes = pc.fill_null(met.column("duration_minutes"), 0.0)
    end = pc.add(begin.cast(pa.int64()), pc.cast(pc.multiply(minutes, 60e6), pa.int64())).cast(begin.type)
    book.write(file_name(book, "meetings"), _base(met) | {
        "hs_meeting_title": met.column("subject"), "hs_meeting_body": met.column("body"),
        "hs_meeting_start_time": moment(begin, MILLISECONDS), "hs_meeting_end_time": moment(end, MILLISECONDS),
        "hs_meeting_outcome": recode(met.column("outcome"), OUTCOME),
        "hs_activity_type": recode(met.column("type"), {"demo": "Demo", "meeting": "Meeting"}),
    })  # fmt: skip
    book.write(file_name(book, "tasks"), _base(tasks) | {
        "hs_task_subject": tasks.column("subject"), "hs_task_body": tasks.column("body"), "hs_task_status": "COMPLETED",
        "hs_task_type": "TODO", "hs_task_completion_date": moment(tasks.column("known_at"), MILLISECONDS),
    })  # fmt: skip


def _is(kind: pa.Array, *words: str) -> pa.Array:
    return pc.fill_null(pc.is_in(kind, pa.array(words)), False)


def _base(done: Rows) -> dict[str, pa.Array | str]:
    contact = pc.coalesce(number("contact", done.column("contact_id")), number("contact", done.column("lead_id")))
    return {
        "hs_object_id": number("activity", done.entity), "hs_timestamp": moment(done.column("occurred_at"), MILLISECONDS),
        "hs_createdate": moment(done.column("known_at"), MILLISECONDS), "hubspot_owner_id": number("owner", done.column("owner_id")),
        "Associated Deal IDs": number("opportunity", done.column("opportunity_id")),
        "Associated Company IDs": number("account", done.column("account_id")), "Associated Contact IDs": contact,
        "external_id": done.entity,
    }  # fmt: skip


def events(book: Book) -> None:
    """What leads did on the web and with mails, as the events API gives it; the company's own event types begin with pe1_."""
    seen = book.events("lead_event")
    if seen.n:
        book.write("contact_events", {
            "id": seen.entity, "eventType": recode(seen.column("type"), EVENT), "objectType": "CONTACT",
            "objectId": number("contact", seen.column("lead_id")),
            "occurredAt": moment(seen.column("occurred_at"), MILLISECONDS),
            "properties.hs_campaign_id": number("campaign", seen.column("campaign_id")),
            "properties.hs_channel": seen.column("channel"), "properties.hs_content": seen.column("content"),
            "properties.hs_value": text(seen.column("value")),
        })  # fmt: skip
