"""Requests to give a lead to another rep: who asked, why, and what was decided; kept with their audit entries or not at all."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

import sqlalchemy as sa

from salesml.errors import BadParameter, UnknownName
from salesml.state import audit
from salesml.state.db import metadata, reading, writing
from salesml.workspace import Workspace

OPEN, APPROVED, REFUSED = "open", "approved", "refused"

requests = sa.Table(
    "reassignments",
    metadata,
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("lead_id", sa.Text, nullable=False, index=True),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("previous_owner_id", sa.Text),
    sa.Column("expected_value", sa.Float),
    sa.Column("previous_value", sa.Float),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("status", sa.Text, sa.CheckConstraint(f"status IN {(OPEN, APPROVED, REFUSED)}"), nullable=False),
    sa.Column("decided_by", sa.Text),
    sa.Column("decided_at", sa.Text),
    sa.Column("note", sa.Text),
)


@dataclass(frozen=True)
class Request:
    """A request to give a lead to `owner_id`, from `previous_owner_id`; what each was expected to bring then (workspace currency)."""

    request_id: str
    lead_id: str
    owner_id: str
    previous_owner_id: str | None
    expected_value: float | None
    previous_value: float | None
    reason: str
    author: str
    created_at: dt.datetime
    status: str = OPEN
    decided_by: str | None = None
    decided_at: dt.datetime | None = None
    note: str | None = None


def ask(
    workspace: Workspace,
    lead_id: str,
    owner_id: str,
    previous_owner_id: str | None,
    reason: str,
    *,
    author: str,
    at: dt.datetime,
    expected_value: float | None = None,
    previous_value: float | None = None,
) -> Request:
    """Keep a request; BadParameter where one for the lead is open already."""
    made = Request(f"req-{uuid.uuid4().hex[:8]}", lead_id, owner_id, previous_owner_id, expected_value, previous_value, reason, author, at)
    with writing(workspace) as connection:
        requests.create(connection, checkfirst=True)
        query = sa.select(requests.c.request_id).where(requests.c.lead_id == lead_id, requests.c.status == OPEN)
        if (other := connection.execute(query).scalar()) is not None:
            raise BadParameter(f"request {other} for lead {lead_id} is open already; have it approved or refused first")
        connection.execute(sa.insert(requests).values(**{**vars(made), "created_at": at.isoformat()}))
        told = {"request": made.request_id, "owner_id": owner_id, "previous_owner_id": previous_owner_id, "reason": reason}
        audit.append(connection, author, "reassignment.asked", f"lead {lead_id}", told, at)
    return made


def listed(workspace: Workspace, status: str | None = OPEN) -> list[Request]:
    """Requests of a status (None: all), the oldest first."""
    with reading(workspace) as connection:
        if not sa.inspect(connection).has_table(requests.name):
            return []
        query = sa.select(requests).order_by(requests.c.created_at, requests.c.request_id)
        rows = connection.execute(query if status is None else query.where(requests.c.status == status)).mappings()
        return [_request(row) for row in rows]


def find(workspace: Workspace, request_id: str) -> Request:
    """The request of that id; UnknownName lists the open ones."""
    known = {one.request_id: one for one in listed(workspace, None)}
    if request_id not in known:
        raise UnknownName("request", request_id, [name for name, one in known.items() if one.status == OPEN])
    return known[request_id]


def decide(workspace: Workspace, request_id: str, status: str, note: str | None, *, by: str, at: dt.datetime) -> Request:
    """Approve or refuse an open request; BadParameter where it has been decided."""
    with writing(workspace) as connection:
        chosen = sa.and_(requests.c.request_id == request_id, requests.c.status == OPEN)
        values = {"status": status, "decided_by": by, "decided_at": at.isoformat(), "note": note}
        if not connection.execute(sa.update(requests).where(chosen).values(**values)).rowcount:
            raise BadParameter(f"request {request_id!r} is not open any more; see: salesml route list")
        row = connection.execute(sa.select(requests).where(requests.c.request_id == request_id)).mappings().one()
        told = {"request": request_id, "owner_id": row["owner_id"], "asked_by": row["author"], "note": note}
        audit.append(connection, by, f"reassignment.{status}", f"lead {row['lead_id']}", told, at)
    return _request(row)


def _request(row: sa.RowMapping) -> Request:
    told = dict(row)
    for name in ("created_at", "decided_at"):
        told[name] = None if told[name] is None else dt.datetime.fromisoformat(told[name])
    return Request(**told)
