"""What a person puts beside a model's number: who may, why, and the fact it becomes in table `override`."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pyarrow as pa

from salesml.contracts import table
from salesml.errors import BadParameter, UnknownName
from salesml.lake import Lake
from salesml.state.users import User, all_users, current_user
from salesml.workspace import Workspace

MAY_SIGN = ("admin", "manager")
"""Roles that may put a number beside the model's, and approve another's."""
FEWEST_WORDS, LONGEST_REASON = 3, 1_000


def now() -> dt.datetime:
    """The moment something is signed at."""
    return dt.datetime.now(dt.UTC)


def user(workspace: Workspace, name: str | None) -> User:
    """The user of that name, else the current one; UnknownName lists those there are."""
    current = current_user(workspace)
    found = current if name is None else next((one for one in all_users(workspace) if one.name == name), None)
    if found is None:
        raise UnknownName("user", str(name), [one.name for one in all_users(workspace)])
    return found


def may_sign(one: User) -> bool:
    """Whether the user is an admin or a manager."""
    return bool(set(one.roles) & set(MAY_SIGN))


def reason(text: str) -> str:
    """The reason in one line; BadParameter below 3 words or above 1,000 characters."""
    told = " ".join(str(text).split())
    if len(re.findall(r"\w+", told)) < FEWEST_WORDS or len(told) > LONGEST_REASON:
        raise BadParameter(f"the reason {told[:60]!r} has not {FEWEST_WORDS} words to {LONGEST_REASON:,} characters; say what you know")
    return told


def write(workspace: Workspace, row: dict[str, Any], *, origin: str, kind: str) -> None:
    """Append one fact to table `override`."""
    schema = pa.schema([field for field in table("override").schema if field.name in row])
    Lake(workspace).ingest({"override": pa.Table.from_pylist([row], schema=schema)}, origin=origin, kind=kind)
