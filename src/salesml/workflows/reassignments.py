"""A lead to another rep: somebody asks, another person who may sign approves, and only then it is a fact of table `assignment`."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.lake import Lake, View, visible
from salesml.models.lead_value import LEAD
from salesml.state import reassignments as state
from salesml.state.reassignments import APPROVED, REFUSED, Request
from salesml.state.users import User
from salesml.workflows import signed
from salesml.workflows.lead_value import lead_value_of
from salesml.workflows.leads import MODEL
from salesml.workflows.routing import CENT, write_assignments
from salesml.workflows.routing_facts import current_owner, reps_of
from salesml.workspace import Workspace


def reassign(workspace: Workspace, lead: str, to: str, reason: str, by: str | None = None) -> Request:
    """Ask that an open lead be given to another rep; nothing changes until somebody else approves it.

    by: the acting user (default: the current one); anybody may ask. What each rep is expected to bring is kept with it (by the lead's
    latest score; missing where there is none or too little history). BadParameter for a lead that is not open, a rep who
    has it already, a reason of fewer than 3 words, or another open request for the lead; UnknownName for a rep who does not work here.
    """
    now, author, told = signed.now(), signed.user(workspace, by), signed.reason(reason)
    previous = _open_with(workspace, lead, now)
    tables = Lake(workspace).open()
    view = visible(tables, max(tables.instant(), now))
    reps = reps_of(view, current_owner(view), now)["owner_id"].tolist()
    if to not in reps:
        raise UnknownName("rep", to, reps)
    if to == previous:
        raise BadParameter(f"lead {lead!r} is with {to} already; name another rep")
    new, old = _worth(view, visible(tables, tables.instant()), lead, [to, previous])
    return state.ask(workspace, lead, to, previous, told, author=author.name, at=now, expected_value=new, previous_value=old)


def approve(workspace: Workspace, request_id: str, by: str | None = None) -> Request:
    """Approve a request: the lead is the new rep's from now, as a fact with its approver and an entry in the audit log.

    by: an admin or manager who did not ask for it. BadParameter where the user may not, the request was decided, the lead is no longer
    open, or it is with another rep than when it was asked for.
    """
    now, found = signed.now(), state.find(workspace, request_id)
    approver = _decider(workspace, by, found)
    if found.status != state.OPEN:
        raise BadParameter(f"request {request_id!r} is {found.status} already; see: salesml route list")
    previous = _open_with(workspace, found.lead_id, now)
    if previous != found.previous_owner_id:
        raise BadParameter(f"lead {found.lead_id!r} is with {previous} by now, not with {found.previous_owner_id}; refuse it and ask again")
    value = None if found.expected_value is None else Decimal(str(found.expected_value)).quantize(CENT)
    write_assignments(workspace, {
        "assignment_id": f"asg-{found.request_id}", "lead_id": found.lead_id, "owner_id": found.owner_id, "previous_owner_id": previous,
        "policy": "person", "propensity": None, "expected_value": value, "currency": workspace.settings.currency, "reason": found.reason,
        "author": found.author, "approver": approver.name, "occurred_at": now, "known_at": now,
    })  # fmt: skip
    return state.decide(workspace, request_id, APPROVED, None, by=approver.name, at=now)


def refuse(workspace: Workspace, request_id: str, reason: str, by: str | None = None) -> Request:
    """Refuse a request, or take one's own back; BadParameter where it was decided, or the user is neither who asked nor may sign."""
    now, found, told = signed.now(), state.find(workspace, request_id), signed.reason(reason)
    user = signed.user(workspace, by)
    if user.name != found.author and not signed.may_sign(user):
        raise BadParameter(f"{user.name!r} is neither who asked nor admin nor manager and may not refuse it")
    return state.decide(workspace, request_id, REFUSED, told, by=user.name, at=now)


def _decider(workspace: Workspace, by: str | None, request: Request) -> User:
    user = signed.user(workspace, by)
    if not signed.may_sign(user):
        raise BadParameter(f"{user.name!r} is neither admin nor manager and may not approve it; ask one of them")
    if user.name == request.author:
        raise BadParameter(f"{user.name!r} asked for it; another admin or manager has to approve it")
    return user


def _open_with(workspace: Workspace, lead: str, now: dt.datetime) -> str | None:
    """Whose the open lead is; BadParameter where it is not open."""
    tables = Lake(workspace).open()
    view = visible(tables, max(tables.instant(), now))
    state_of = view.state("lead", ["status", "deleted"])
    found = view.frame(state_of.filter(state_of.lead_id == lead))
    if found.empty or found["deleted"].eq(True).any():
        raise BadParameter(f"lead {lead!r} is not known; give its id, as salesml score leads lists it")
    if (status := found["status"].iloc[0]) in ("converted", "disqualified"):
        raise BadParameter(f"lead {lead!r} is {status}; only an open lead can be given to somebody else")
    owners = current_owner(view).set_index("lead_id")["owner_id"]
    return str(owners[lead]) if lead in owners.index else None


def _worth(now: View, known: View, lead: str, reps: list[str | None]) -> list[float | None]:
    """What the lead is expected to bring with each rep, by its latest score and what the sources know; missing where it cannot be told."""
    facts = now.facts("lead_score")
    scores = now.frame(facts.filter(facts.lead_id == lead, facts.model == MODEL).select("as_of", "known_at", "composite"))
    if scores.empty:
        return [None for _ in reps]
    chance = float(scores.sort_values(["as_of", "known_at"])["composite"].iloc[-1]) / 100
    rows = known.state("lead", list(LEAD))
    try:
        worth = lead_value_of(known).matrix(known.frame(rows.filter(rows.lead_id == lead)), [str(rep) for rep in reps])[0]
    except NotEnoughData:
        return [None for _ in reps]
    return [None if rep is None else round(chance * float(one), 2) for rep, one in zip(reps, worth, strict=True)]
