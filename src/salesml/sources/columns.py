"""Matching the columns of a file to those a mapping asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from salesml.errors import BadInput
from salesml.sources.issues import Issue
from salesml.sources.mapping import FileSpec


def plain(name: str) -> str:
    """A name without case, blanks and punctuation: how columns are compared."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_") or name.strip().lower()


def has_columns(header: Sequence[str], spec: FileSpec) -> bool:
    """Whether the header has every column that the mapping needs of this file (and it needs some)."""
    return bool(spec.columns) and {plain(name) for name in spec.columns} <= {plain(name) for name in header}


def named(header: Sequence[str], spec: FileSpec, file: str) -> tuple[list[str], list[Issue]]:
    """The header's columns under the mapping's names, empty and repeated ones renamed with a warning.

    Raises BadInput when a needed column is missing; the message lists what was found.
    """
    asked = {plain(name): name for name in (*spec.columns, *spec.optional)}
    names: list[str] = []
    issues: list[Issue] = []
    taken: set[str] = {"_file", "_row"}
    for position, found in enumerate(header, start=1):
        name = asked.get(plain(found), found) or f"column_{position}"
        if name.lower() in taken:
            number = 2
            while f"{name}_{number}".lower() in taken:
                number += 1
            reason = f"column {name!r} appears more than once; number {position} is read as '{name}_{number}'"
            issues.append(Issue("warning", reason, "Rename it in the export.", column=name, source_file=file))
            name = f"{name}_{number}"
        taken.add(name.lower())
        names.append(name)
    missing = [name for name in spec.columns if name.lower() not in taken]
    if missing:
        raise BadInput(
            f"needs {_listed(missing)}, which the file does not have",
            file=file,
            mend=f"Found: {_listed(header) or 'no column'}. Rename the columns, or write a mapping (import --suggest).",
        )
    return names, issues


def unused(names: Sequence[str], spec: FileSpec) -> list[str]:
    """Columns that the mapping does not mention; none where it does not say which it uses."""
    asked = {name.lower() for name in (*spec.columns, *spec.optional)}
    return [name for name in names if name.lower() not in asked] if spec.columns else []


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:30])
    return f"{shown} and {len(names) - 30} more" if len(names) > 30 else shown
