"""What a person puts beside a model's number: who may, how much, why, and the fact it becomes in table `override` or `call`."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal, InvalidOperation
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
MOST = Decimal(10) ** 15


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


def money(amount: str | int | Decimal) -> Decimal:
    """The amount in whole cents; BadParameter unless it is money of 0 or more below a million billion."""
    try:
        found = Decimal(str(amount))
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(amount, bool) or not found.is_finite() or not 0 <= found < MOST or found != round(found, 2):
        mend = "give 1250000 or 1250000.50, without thousands marks"
        raise BadParameter(f"amount {amount!r} is not money of 0 or more in whole cents; {mend}")
    return found.quantize(Decimal("0.01"))


def write(workspace: Workspace, *rows: dict[str, Any], origin: str, kind: str, into: str = "override") -> None:
    """Append facts of the same columns to table `override` (or another), all or none."""
    schema = pa.schema([field for field in table(into).schema if field.name in rows[0]])
    Lake(workspace).ingest({into: pa.Table.from_pylist(list(rows), schema=schema)}, origin=origin, kind=kind)
