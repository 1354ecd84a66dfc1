"""A person's own grade for a lead, beside the one worked out: with a reason, an end and a record.

A fact of table `grade_override`. Nothing is ever edited: a later one of the same lead replaces the earlier for good, and a withdrawal
is a fact that names what it takes back. It ends by itself: a grade given on a hunch must not outlive it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salesml.errors import BadParameter
from salesml.features.spines import LEAD_CLOSED
from salesml.lake import Lake, Tables, visible
from salesml.planning.lead_grades import GRADES
from salesml.state import audit
from salesml.workflows import signed
from salesml.workspace import Workspace

MOST_DAYS = 90
STANDING = ["lead_id", "grade_override_id", "grade", "reason", "author", "known_at", "expires_at"]


@dataclass(frozen=True)
class OwnGrade:
    """One grade as it was written: of a lead, from `known_at` to before `expires_at`."""

    grade_override_id: str
    lead: str
    grade: str
    reason: str
    author: str
    known_at: dt.datetime
    expires_at: dt.datetime


def grade_lead(
    workspace: Workspace, lead: str, grade: str, reason: str, expires: str | dt.date | dt.datetime, by: str | None = None
) -> OwnGrade:
    """Put a person's grade for an open lead beside the one worked out, until before `expires`; known from now.

    Written to the audit log and to table `grade_override`. Anybody may: who works a lead knows it best, and the record shows who said
    what. BadParameter for a grade that is none, a lead that is unknown or closed, a reason of fewer than 3 words, or an end that is
    not in the future or more than 90 days away.
    """
    now, author, told, ends = signed.now(), signed.user(workspace, by), signed.reason(reason), workspace.instant(expires)
    if grade not in GRADES:
        raise BadParameter(f"grade {grade!r} is none of {', '.join(GRADES)}")
    if not now < ends <= now + dt.timedelta(days=MOST_DAYS):
        last = workspace.local_date(now + dt.timedelta(days=MOST_DAYS))
        raise BadParameter(f"the end {expires} is not in the future, or after {last}: at most {MOST_DAYS} days are allowed")
    _require_open(workspace, lead, now)
    made = OwnGrade(f"grd-{uuid.uuid4().hex[:12]}", lead, grade, told, author.name, now, ends)
    details = {"override": made.grade_override_id, "grade": grade, "reason": told, "expires_at": ends}
    audit.record(workspace, author.name, "grade lead", f"lead {lead}", details, at=now)
    _write(workspace, {
        "grade_override_id": made.grade_override_id, "lead_id": lead, "grade": grade, "reason": told, "author": author.name,
        "expires_at": ends, "occurred_at": now, "known_at": now,
    })  # fmt: skip
    return made


def withdraw(workspace: Workspace, override_id: str, reason: str, by: str | None = None) -> None:
    """Take a grade back from now on, as a new fact; the lead has none of a person's then, not the one before.

    Its author, an admin or a manager may. BadParameter for one not in force, a reason of fewer than 3 words, or another user.
    """
    now, told, user = signed.now(), signed.reason(reason), signed.user(workspace, by)
    standing = in_force(Lake(workspace).open(), now).set_index("grade_override_id")
    if override_id not in standing.index:
        known = f"in force: {', '.join(standing.index)}" if len(standing) else "none is in force"
        raise BadParameter(f"grade {override_id!r} is not in force ({known}); see: salesml qualify list")
    lead, author = standing.loc[override_id, ["lead_id", "author"]]
    if user.name != author and not signed.may_sign(user):
        told = f"{user.name!r} is neither the author {author!r} nor admin nor manager and may not withdraw it"
        raise BadParameter(f"{told}; ask one of them")
    audit.record(workspace, user.name, "withdraw grade", f"lead {lead}", {"override": override_id, "reason": told}, at=now)
    _write(workspace, {
        "grade_override_id": f"grd-{uuid.uuid4().hex[:12]}", "lead_id": str(lead), "reason": told, "author": user.name,
        "withdraws": override_id, "occurred_at": now, "known_at": now,
    })  # fmt: skip


def in_force(tables: Tables, as_of: str | dt.date | dt.datetime | None = None) -> pd.DataFrame:
    """Persons' grades that held as of an instant. Grain: one row per lead.

    Columns: lead_id, grade_override_id, grade, reason, author, known_at, expires_at. Of a lead the latest known counts, while
    as_of < expires_at, unless it was withdrawn.
    """
    instant = tables.instant(as_of)
    view = visible(tables, instant)
    rows = view.facts("grade_override")
    facts = view.frame(rows.select(*STANDING, "withdraws")).sort_values(["known_at", "grade_override_id"], ignore_index=True)
    made = facts[facts["withdraws"].isna()].drop_duplicates("lead_id", keep="last")
    held = made[(made["expires_at"] > pd.Timestamp(instant)) & ~made["grade_override_id"].isin(facts["withdraws"])]
    return held[STANDING].reset_index(drop=True)


def _require_open(workspace: Workspace, lead: str, now: dt.datetime) -> None:
    view = visible(Lake(workspace).open(), now)
    state = view.state("lead", ["status", "deleted"])
    found = view.frame(state.filter(state.lead_id == lead))
    if found.empty or found["deleted"].eq(True).any():
        raise BadParameter(f"lead {lead!r} is not known; give its id, as salesml qualify shows it")
    if (status := found["status"].iloc[0]) in LEAD_CLOSED:
        raise BadParameter(f"lead {lead!r} is {status}; only a lead that is open can be graded")


def _write(workspace: Workspace, row: dict[str, Any]) -> None:
    signed.write(workspace, row, origin="qualify", kind="grade override", into="grade_override")
