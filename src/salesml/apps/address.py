"""The filters of a page as its address has them: ?region=East&as_of=2026-07-01&lang=de. Pure functions; nothing is read or drawn here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode

from salesml.errors import BadParameter
from salesml.workspace import Workspace

LONGEST = 2000
"""Characters of an address's query that are looked at."""
LANGUAGE = "lang"
"""The reader's language; every page has it, and no page's own filters name it."""


@dataclass(frozen=True)
class Filter:
    """One filter: its name in the address, how its text is read (BadParameter where it has no sense), how written."""

    name: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str


@dataclass(frozen=True)
class Asked:
    """What an address asks for: values by filter name, and the (name, text) pairs that say nothing here."""

    values: dict[str, Any]
    ignored: tuple[tuple[str, str], ...] = ()


def read(query: str, filters: Sequence[Filter]) -> Asked:
    """The filters of a query ("?region=East" or without the ?); a name without a value says nothing, of one given twice the first counts.

    The language is left out.
    """
    known = {one.name: one for one in filters}
    values: dict[str, Any] = {}
    ignored: list[tuple[str, str]] = []
    for name, text in parse_qsl(query.removeprefix("?")[:LONGEST]):
        if name == LANGUAGE:
            continue
        try:
            if name not in known or name in values:
                raise BadParameter(name)
            values[name] = known[name].read(text)
        except BadParameter:
            ignored.append((name, text))
    return Asked(values, tuple(ignored))


def write(values: Mapping[str, Any], filters: Sequence[Filter], language: str | None = None) -> str:
    """The query of filters in their order, the language last, "" where nothing is said; a value that is None is left out."""
    pairs = [(one.name, one.write(values[one.name])) for one in filters if values.get(one.name) is not None]
    if language is not None:
        pairs.append((LANGUAGE, language))
    return f"?{urlencode(pairs)}" if pairs else ""


def asked_language(query: str) -> str | None:
    """The language a query names, whatever it is."""
    return dict(parse_qsl(query.removeprefix("?")[:LONGEST])).get(LANGUAGE)


def in_language(query: str, language: str) -> str:
    """The query with another language, all else as it stands."""
    pairs = [(name, text) for name, text in parse_qsl(query.removeprefix("?")[:LONGEST]) if name != LANGUAGE]
    return f"?{urlencode([*pairs, (LANGUAGE, language)])}"


def choice(name: str, options: Collection[str]) -> Filter:
    """A filter with one of a few texts."""

    def find(text: str) -> str:
        if text not in options:
            raise BadParameter(f"{name} {text!r} is not among those there are")
        return text

    return Filter(name, find)


def instant(name: str, workspace: Workspace, options: Collection[dt.datetime] | None = None) -> Filter:
    """A filter with an instant, written as a bare date where it is a day's start in the workspace's zone; one of `options` if given."""

    def find(text: str) -> dt.datetime:
        try:
            found = workspace.instant(text)
        except OverflowError as error:
            raise BadParameter(f"{name} {text!r} lies outside the calendar") from error
        if options is not None and found not in options:
            raise BadParameter(f"{name} {text!r} is not among those there are")
        return found

    def told(moment: dt.datetime) -> str:
        local = moment.astimezone(workspace.zone)
        return local.date().isoformat() if local.time() == dt.time() else moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")

    return Filter(name, find, told)


def whole(name: str, low: int, high: int) -> Filter:
    """A filter with a whole number from `low` to `high`, both included."""

    def find(text: str) -> int:
        if not (text.isascii() and text.isdigit()) or not low <= int(text) <= high:
            raise BadParameter(f"{name} {text!r} is not a whole number from {low} to {high}")
        return int(text)

    return Filter(name, find)
