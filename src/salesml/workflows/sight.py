"""Who may see whose numbers: a rep his own, a manager those of all he leads, analysts, schedulers and admins everybody's."""

from __future__ import annotations

import pandas as pd

from salesml.analytics.organisation import below, people
from salesml.errors import BadParameter
from salesml.lake import View
from salesml.state.users import User

ALL = ("admin", "analyst", "scheduler")


def sight(view: View, user: User) -> frozenset[str] | None:
    """Ids of the reps whose numbers a user may see; None: everybody's.

    The user is found in the company's records by id or e-mail address, upper and lower case alike. Raises BadParameter for a rep or manager
    whom the records do not know, or know twice.
    """
    if not user.roles or set(user.roles) & set(ALL):
        if user.roles:
            return None
        raise BadParameter(f"user {user.name!r} has no role; an admin grants one")
    everybody = people(view)
    mine = _records(everybody, user)
    if len(mine) != 1:
        known = "is not in the company's records" if not mine else "is in the company's records more than once"
        raise BadParameter(f"user {user.name!r} {known}; name the user as the records do, by id or e-mail address")
    own = mine[0]
    return below(everybody, own) if "manager" in user.roles else frozenset({own})


def person(view: View, user: User) -> str | None:
    """The id by which the company's records know a user; None where they do not, or know him twice."""
    mine = _records(people(view), user)
    return mine[0] if len(mine) == 1 else None


def _records(everybody: pd.DataFrame, user: User) -> list[str]:
    name = user.name.casefold()
    mine = everybody[(everybody["user_id"].str.casefold() == name) | (everybody["email"].str.casefold() == name)]
    return [str(one) for one in mine["user_id"]]
