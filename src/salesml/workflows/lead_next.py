"""What to do next with a lead: the first rule that fits, with what it rests on. Rules of the trade, not measured effects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from salesml.analytics.words import absent, count, days
from salesml.planning.lead_grades import COLD, HOT

QUIET_DAYS = 7
"""Days without a contact after which a hot lead is called again."""
MANY_CONTACTS = 5
"""Contacts of salespeople without any answer after which another one is no longer the way."""


@dataclass(frozen=True)
class NextStep:
    """What to do, why, and whether it cannot wait."""

    do: str
    why: str
    urgent: bool


def next_step(lead: Any, as_of: Any) -> NextStep:
    """The next step with one lead as of an instant.

    lead: standing (hot, warm, cold), contacts (of salespeople), last_contact_at, last_inbound_at (the lead wrote or called), waits
    (nobody answered since), created_at, last_event_at; instants or missing.
    """
    if lead.waits and lead.standing != COLD:
        return NextStep("Answer", f"it wrote or called {_ago(lead.last_inbound_at, as_of)} and nobody has answered", True)
    if lead.standing == HOT:
        return _hot(lead, as_of)
    if lead.standing == COLD:
        return NextStep("Leave it", "working it costs more than it is expected to bring; it is graded again when it does something", False)
    return NextStep("Nurture", "it pays, but others pay more and time is short", False)


def _hot(lead: Any, as_of: Any) -> NextStep:
    if not lead.contacts:
        return NextStep("Call first", f"it came {_ago(lead.created_at, as_of)} and nobody has been in touch", True)
    silent = (as_of - lead.last_contact_at).total_seconds() / 86_400
    if lead.contacts >= MANY_CONTACTS and absent(lead.last_inbound_at):
        return NextStep("Try another person or channel", f"{count(int(lead.contacts), 'contact')} and no answer", False)
    if not absent(lead.last_event_at) and lead.last_event_at > lead.last_contact_at:
        return NextStep("Call about what it did", f"it was active {_ago(lead.last_event_at, as_of)}, after the last contact", True)
    if silent >= QUIET_DAYS:
        return NextStep("Call again", f"no contact for {days(silent)}", False)
    return NextStep("Wait for the answer", f"last contact {_ago(lead.last_contact_at, as_of)}", False)


def _ago(moment: Any, as_of: Any) -> str:
    if absent(moment):
        return "some time ago"
    passed = (as_of - moment).total_seconds() / 86_400
    return f"{days(passed)} ago" if passed >= 1 else "within the last day"
