"""Saved layouts of the apps: which cards a user sees in which order, and the filters that go with them; by name, per user and app.

A role may have a layout of its own per app, which its users see until they save one called `OPENING`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from salesml.errors import BadParameter, UnknownName
from salesml.state import audit
from salesml.state.db import ROLES, layouts, reading, writing
from salesml.state.scenarios import NAME
from salesml.state.users import User
from salesml.workspace import Workspace

OPENING = "opening"
"""The name of the layout an app opens with."""
MOST, MOST_BYTES, MOST_FILTERS, LONGEST = 50, 8_192, 20, 200
"""Layouts of a user in an app; bytes of one; its filters; characters of a filter's value."""
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class Layout:
    """Cards in the order they are shown and filters by name, as an address writes them; `saved_at` None: nobody has saved it."""

    app: str
    name: str
    cards: tuple[str, ...]
    filters: Mapping[str, str]
    saved_at: dt.datetime | None = None


def save(
    workspace: Workspace,
    user: User,
    app: str,
    name: str,
    cards: Sequence[str],
    filters: Mapping[str, str],
    *,
    known: Sequence[str],
    at: dt.datetime | None = None,
) -> Layout:
    """Keep a layout under a name, in place of the one it named before. `known` are the cards the app has.

    Raises BadParameter for no card or one twice, a bad name or filter, too many layouts or bytes; UnknownName for a card there is not.
    """
    return _save(workspace, _owner(user.name), user.name, _checked(app, name, cards, filters, known), at)


def save_for_role(
    workspace: Workspace,
    role: str,
    app: str,
    cards: Sequence[str],
    filters: Mapping[str, str],
    *,
    known: Sequence[str],
    by: User,
    at: dt.datetime | None = None,
) -> Layout:
    """Keep the layout a role's users open an app with; only an admin may (BadParameter). Raises as `save`, UnknownName for a role."""
    _check_admin(role, by)
    return _save(workspace, _owner(role, of_role=True), by.name, _checked(app, OPENING, cards, filters, known), at)


def load(workspace: Workspace, user: User, app: str, name: str, *, known: Sequence[str]) -> Layout:
    """The user's layout of that name, without cards the app no longer has; UnknownName lists those there are."""
    found = {one.name: one for one in listed(workspace, user, app, known=known)}
    if name not in found:
        raise UnknownName("layout", name, found)
    return found[name]


def listed(workspace: Workspace, user: User, app: str, *, known: Sequence[str]) -> list[Layout]:
    """The user's own layouts of an app, by name."""
    query = sa.select(layouts).where(layouts.c.owner == _owner(user.name), layouts.c.app == app).order_by(layouts.c.name)
    with reading(workspace) as connection:
        return [_layout(row, known) for row in connection.execute(query).mappings()]


def opening(workspace: Workspace, user: User, app: str, *, known: Sequence[str]) -> Layout:
    """What the app opens with: the user's own, else that of the user's first role in the order of ROLES that has one, else all."""
    owners = [_owner(user.name), *(_owner(role, of_role=True) for role in ROLES if role in user.roles)]
    query = sa.select(layouts).where(layouts.c.owner.in_(owners), layouts.c.app == app, layouts.c.name == OPENING)
    with reading(workspace) as connection:
        found = {row["owner"]: row for row in connection.execute(query).mappings()}
    for owner in owners:
        if owner in found:
            return _layout(found[owner], known)
    return Layout(app, OPENING, tuple(known), {})


def remove(workspace: Workspace, user: User, app: str, name: str, *, at: dt.datetime | None = None) -> None:
    """Remove the user's layout of that name; UnknownName where there is none. The audit log keeps what it was."""
    _remove(workspace, _owner(user.name), user.name, app, name, at)


def remove_for_role(workspace: Workspace, role: str, app: str, *, by: User, at: dt.datetime | None = None) -> None:
    """Remove a role's layout, as `remove`; only an admin may (BadParameter)."""
    _check_admin(role, by)
    _remove(workspace, _owner(role, of_role=True), by.name, app, OPENING, at)


def _save(workspace: Workspace, owner: str, actor: str, made: Layout, at: dt.datetime | None) -> Layout:
    at = at or dt.datetime.now(dt.UTC)
    told = {"cards": list(made.cards), "filters": dict(made.filters)}
    body = json.dumps(told, ensure_ascii=False, sort_keys=True)
    if len(body.encode()) > MOST_BYTES:
        raise BadParameter(f"layout {made.name!r} has {len(body.encode()):,} bytes, at most {MOST_BYTES:,}; give it fewer cards or filters")
    here = _key(owner, made.app, made.name)
    with writing(workspace) as connection:
        replaced = connection.execute(sa.delete(layouts).where(here)).rowcount
        mine = sa.select(sa.func.count()).select_from(layouts).where(layouts.c.owner == owner, layouts.c.app == made.app)
        if connection.execute(mine).scalar_one() >= MOST:
            raise BadParameter(f"{actor!r} has {MOST} layouts of {made.app} already; remove one first")
        row = {"owner": owner, "app": made.app, "name": made.name, "saved_at": at.isoformat(), "body": body}
        connection.execute(sa.insert(layouts).values(**row))
        action = "layout.replaced" if replaced else "layout.saved"
        audit.append(connection, actor, action, f"layout/{owner}/{made.app}/{made.name}", told, at)
    return Layout(made.app, made.name, made.cards, made.filters, at)


def _remove(workspace: Workspace, owner: str, actor: str, app: str, name: str, at: dt.datetime | None) -> None:
    with writing(workspace) as connection:
        row = connection.execute(sa.select(layouts).where(_key(owner, app, name))).mappings().first()
        if row is None:
            mine = sa.select(layouts.c.name).where(layouts.c.owner == owner, layouts.c.app == app)
            raise UnknownName("layout", name, connection.execute(mine).scalars().all())
        connection.execute(sa.delete(layouts).where(_key(owner, app, name)))
        audit.append(connection, actor, "layout.removed", f"layout/{owner}/{app}/{name}", json.loads(row["body"]), at)


def _checked(app: str, name: str, cards: Sequence[str], filters: Mapping[str, str], known: Sequence[str]) -> Layout:
    if not _WORD.fullmatch(app):
        raise BadParameter(f"app {str(app)[:80]!r} is not the name of an app, such as pipeline")
    if not isinstance(name, str) or not NAME.fullmatch(name) or name.endswith(" "):
        raise BadParameter(f"layout name {str(name)[:80]!r} is not 1 to 60 letters, digits, spaces, '_', '-', '.'; give, say, monday")
    if not cards:
        raise BadParameter(f"layout {name!r} shows no card; give at least one of {', '.join(known)}")
    for number, card in enumerate(cards):
        if card not in known:
            raise UnknownName("card", card, known)
        if card in cards[:number]:
            raise BadParameter(f"layout {name!r} shows {card!r} twice; leave one out")
    if len(filters) > MOST_FILTERS:
        raise BadParameter(f"layout {name!r} has {len(filters)} filters, at most {MOST_FILTERS}")
    for word, text in filters.items():
        if not _WORD.fullmatch(word):
            raise BadParameter(f"filter {str(word)[:80]!r} is not a name of small letters, digits and '_', such as region")
        if not isinstance(text, str) or not text or len(text) > LONGEST:
            raise BadParameter(f"filter {word} has the value {str(text)[:80]!r}, not a text of 1 to {LONGEST} characters")
    return Layout(app, name, tuple(cards), dict(filters))


def _check_admin(role: str, by: User) -> None:
    if role not in ROLES:
        raise UnknownName("role", role, ROLES)
    if "admin" not in by.roles:
        raise BadParameter(f"{by.name!r} is not an admin; ask an admin of this workspace")


def _owner(name: str, of_role: bool = False) -> str:
    return f"{'role' if of_role else 'user'}/{name}"


def _key(owner: str, app: str, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(layouts.c.owner == owner, layouts.c.app == app, layouts.c.name == name)


def _layout(row: sa.RowMapping, known: Sequence[str]) -> Layout:
    body = json.loads(row["body"])
    cards = tuple(card for card in body["cards"] if card in known) or tuple(known)
    return Layout(row["app"], row["name"], cards, body["filters"], dt.datetime.fromisoformat(row["saved_at"]))
