"""Typed errors. Every message says what is wrong, where, and what to do."""

from __future__ import annotations

from dataclasses import dataclass


class SalesmlError(Exception):
    """Base of every error a user can cause and mend; the command line prints it without a traceback."""


class WorkspaceError(SalesmlError):
    """The workspace folder is missing, locked by another writer, or of a newer layout."""


class UnknownName(SalesmlError):
    """A name (table, feature, model, report, parameter) that does not exist; lists the valid ones."""

    def __init__(self, what: str, name: str, valid: object) -> None:
        names = sorted(str(v) for v in valid)  # type: ignore[attr-defined]
        super().__init__(f"unknown {what} {name!r}; valid: {', '.join(names) if names else 'none yet'}")


class NotEnoughData(SalesmlError):
    """Too few rows, outcomes or periods to answer honestly; the message gives the number needed."""


class LeakFound(SalesmlError):
    """A feature changed when facts known at or after as_of were altered."""


class GateRefused(SalesmlError):
    """A model version does not deserve promotion; the message gives the figures."""


class BadParameter(SalesmlError):
    """A parameter of a command or notebook is unknown, of a wrong type, or out of range."""


@dataclass
class BadInput(SalesmlError):
    """Input that cannot be used, located as precisely as possible: file, row (1 = first after the header), column, value, mend."""

    reason: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    value: str | None = None
    mend: str | None = None

    def __str__(self) -> str:
        place = ", ".join(
            part
            for part in (
                self.file,
                f"row {self.row}" if self.row is not None else None,
                f"column {self.column}" if self.column else None,
            )
            if part
        )
        value = f" (value {self.value!r})" if self.value is not None else ""
        mend = f" {self.mend}" if self.mend else ""
        return f"{place + ': ' if place else ''}{self.reason}{value}.{mend}"
