"""Users and their roles. Until log-in exists the current user is the one of the operating system."""

from __future__ import annotations

import datetime as dt
import os
import pwd
from dataclasses import dataclass

import sqlalchemy as sa

from salesml.errors import BadParameter, UnknownName
from salesml.state import audit
from salesml.state.db import ROLES, reading, user_roles, users, writing
from salesml.workspace import Workspace


@dataclass(frozen=True)
class User:
    """A user of a workspace and the roles held, in alphabetical order."""

    name: str
    roles: tuple[str, ...]


def current_user(workspace: Workspace) -> User:
    """The operating system's user, added at first use: the first of a workspace is its admin, later ones analysts."""
    name = _system_user()
    with reading(workspace) as connection:
        known = _user(connection, name)
    if known is not None:
        return known
    with writing(workspace) as connection:
        if _user(connection, name) is None:
            first = connection.execute(sa.select(sa.func.count()).select_from(users)).scalar_one() == 0
            _add(connection, name, ("admin",) if first else ("analyst",), actor=name)
        return _existing(connection, name)


def all_users(workspace: Workspace) -> list[User]:
    """Every user, by name."""
    with reading(workspace) as connection:
        names = connection.execute(sa.select(users.c.name).order_by(users.c.name)).scalars().all()
        return [_existing(connection, name) for name in names]


def add_user(workspace: Workspace, name: str, roles: tuple[str, ...], actor: str) -> User:
    """Add a user with roles; only an admin may, and a name that exists is refused (BadParameter)."""
    for role in roles:
        _check_role(role)
    if not name.strip():
        raise BadParameter("a user's name must not be empty")
    with writing(workspace) as connection:
        _require_admin(connection, actor)
        if _user(connection, name) is not None:
            raise BadParameter(f"user {name!r} exists already; grant roles instead")
        _add(connection, name, roles, actor)
        return _existing(connection, name)


def grant(workspace: Workspace, name: str, role: str, actor: str) -> User:
    """Give a user a role; only an admin may. Granting a role already held changes nothing."""
    _check_role(role)
    with writing(workspace) as connection:
        _require_admin(connection, actor)
        if role not in _existing(connection, name).roles:
            connection.execute(sa.insert(user_roles).values(name=name, role=role))
            audit.append(connection, actor, "role.granted", f"user/{name}", {"role": role})
        return _existing(connection, name)


def revoke(workspace: Workspace, name: str, role: str, actor: str) -> User:
    """Take a role away; only an admin may, and the last admin stays one (BadParameter)."""
    _check_role(role)
    with writing(workspace) as connection:
        _require_admin(connection, actor)
        if role in _existing(connection, name).roles:
            held = sa.select(sa.func.count()).select_from(user_roles).where(user_roles.c.role == role)
            if role == "admin" and connection.execute(held).scalar_one() == 1:
                raise BadParameter(f"{name!r} is the last admin; make somebody else admin first")
            connection.execute(sa.delete(user_roles).where(user_roles.c.name == name, user_roles.c.role == role))
            audit.append(connection, actor, "role.revoked", f"user/{name}", {"role": role})
        return _existing(connection, name)


def _system_user() -> str:
    """The account that owns the process; not an environment variable, which anybody can set."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def _user(connection: sa.Connection, name: str) -> User | None:
    if connection.execute(sa.select(users.c.name).where(users.c.name == name)).scalar() is None:
        return None
    held = sa.select(user_roles.c.role).where(user_roles.c.name == name).order_by(user_roles.c.role)
    return User(name, tuple(connection.execute(held).scalars()))


def _existing(connection: sa.Connection, name: str) -> User:
    user = _user(connection, name)
    if user is None:
        raise UnknownName("user", name, connection.execute(sa.select(users.c.name)).scalars().all())
    return user


def _add(connection: sa.Connection, name: str, roles: tuple[str, ...], actor: str) -> None:
    now = dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
    connection.execute(sa.insert(users).values(name=name, created_at=now))
    for role in roles:
        connection.execute(sa.insert(user_roles).values(name=name, role=role))
    audit.append(connection, actor, "user.added", f"user/{name}", {"roles": sorted(roles)})


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise UnknownName("role", role, ROLES)


def _require_admin(connection: sa.Connection, actor: str) -> None:
    if "admin" not in _existing(connection, actor).roles:
        raise BadParameter(f"{actor!r} is not an admin; ask an admin of this workspace")
