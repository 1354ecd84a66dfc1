"""The audit log: who did what to what, when. Append-only and chained by hashes, so that tampering shows."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from salesml.errors import BadParameter
from salesml.state.db import AUDIT_TRIGGERS, audit_log, reading, writing
from salesml.workspace import Workspace


@dataclass(frozen=True)
class Entry:
    """One line of the log: its number (1 = first), UTC instant, acting user, action, subject, details."""

    entry: int
    at: dt.datetime
    actor: str
    action: str
    subject: str
    details: dict


@dataclass(frozen=True)
class Verdict:
    """The outcome of `verify`: how many entries in a row are sound, the first broken one if any, and why."""

    sound: int
    broken: int | None = None
    reason: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the whole log is sound."""
        return self.reason is None


def record(
    workspace: Workspace,
    actor: str,
    action: str,
    subject: str,
    details: Mapping | None = None,
    at: dt.datetime | None = None,
) -> Entry:
    """Append one entry (`at`: an aware instant, default now).

    Raises BadParameter for an empty actor, action or subject, a time without zone, details that JSON cannot hold.
    """
    with writing(workspace) as connection:
        return append(connection, actor, action, subject, details, at)


def append(
    connection: sa.Connection,
    actor: str,
    action: str,
    subject: str,
    details: Mapping | None = None,
    at: dt.datetime | None = None,
) -> Entry:
    """`record` within the caller's `writing` transaction: a change and its entry are saved together or not at all."""
    for name, value in (("actor", actor), ("action", action), ("subject", subject)):
        if not isinstance(value, str) or not value.strip():
            raise BadParameter(f"audit: {name} must be a text that is not empty, not {value!r}")
    instant = at or dt.datetime.now(dt.UTC)
    if instant.tzinfo is None:
        raise BadParameter(f"audit: at {instant!r} has no time zone; give an aware time, for example datetime.now(UTC)")
    row = {
        "at": instant.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": _canonical(dict(details or {})),
    }
    last = connection.execute(sa.select(audit_log.c.hash).order_by(audit_log.c.entry.desc()).limit(1)).scalar()
    row["previous"] = last or ""
    insert = sa.insert(audit_log).values(**row, hash=_hash(row)).returning(audit_log.c.entry)
    return _entry({"entry": connection.execute(insert).scalar_one(), **row})


def entries(
    workspace: Workspace,
    *,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    limit: int | None = None,
) -> list[Entry]:
    """The entries with since <= at < until that match every given field, oldest first; `limit` keeps the newest."""
    query = sa.select(audit_log).order_by(audit_log.c.entry.desc()).limit(limit)
    for name, value in (("actor", actor), ("action", action), ("subject", subject)):
        if value is not None:
            query = query.where(audit_log.c[name] == value)
    if since is not None:
        query = query.where(audit_log.c.at >= since.astimezone(dt.UTC).isoformat(timespec="microseconds"))
    if until is not None:
        query = query.where(audit_log.c.at < until.astimezone(dt.UTC).isoformat(timespec="microseconds"))
    with reading(workspace) as connection:
        return [_entry(row) for row in connection.execute(query).mappings()][::-1]


def verify(workspace: Workspace) -> Verdict:
    """Recompute the chain; names the first entry that was changed, removed or put in, and safeguards taken away.

    Whoever may write the file and recomputes every later hash goes unseen, as with any log on one machine.
    """
    with reading(workspace) as connection:
        sound, previous = 0, ""
        for row in connection.execute(sa.select(audit_log).order_by(audit_log.c.entry)).mappings():
            reason = _flaw(row, sound + 1, previous)
            if reason:
                return Verdict(sound, sound + 1, reason)
            sound, previous = sound + 1, row["hash"]
        issued = connection.execute(sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'audit_log'")).scalar() or 0
        if issued != sound:
            return Verdict(sound, sound + 1, f"{issued} entries were written, {sound} are there")
        triggers = set(connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars())
    missing = sorted(set(AUDIT_TRIGGERS) - triggers)
    return Verdict(sound, reason=f"safeguards were removed: {', '.join(missing)}" if missing else None)


def _flaw(row: Mapping, expected: int, previous: str) -> str | None:
    if row["entry"] != expected:
        return f"entry {expected} is missing"
    if row["previous"] != previous:
        return "it does not continue the entry before it"
    if row["hash"] != _hash(row):
        return "its content was changed after it was written"
    return None


def _hash(row: Mapping) -> str:
    """SHA-256 of the previous hash and the entry's own fields."""
    fields = [row[name] for name in ("previous", "at", "actor", "action", "subject", "details")]
    return hashlib.sha256(json.dumps(fields, ensure_ascii=True).encode()).hexdigest()


def _canonical(details: dict) -> str:
    try:
        return json.dumps(details, sort_keys=True, allow_nan=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise BadParameter(f"audit: details cannot be written as JSON ({error})") from error


def _plain(value: object) -> str:
    if isinstance(value, dt.date | Decimal | Path):
        return value.isoformat() if isinstance(value, dt.date) else str(value)
    raise TypeError(f"{type(value).__name__} {value!r} is not a JSON value, date, Decimal or Path")


def _entry(row: Mapping) -> Entry:
    fields = {name: row[name] for name in ("entry", "actor", "action", "subject")}
    return Entry(at=dt.datetime.fromisoformat(row["at"]), details=json.loads(row["details"]), **fields)
