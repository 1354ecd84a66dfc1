"""HEAD: the one atomic pointer that names the version of every table. Readers open only what it names."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from salesml.errors import UnknownName, WorkspaceError
from salesml.workspace import write_atomically


@dataclass(frozen=True)
class Pin:
    """One table in a HEAD: its Delta version, its rows, and how many of them correct an earlier row."""

    version: int
    rows: int
    corrections: int = 0


@dataclass(frozen=True)
class Head:
    """A state of the whole lake. `parent` is the state before it; `state_of` is the id whose state it shows (after an undo)."""

    id: int = 0
    parent: int | None = None
    state_of: int = 0
    created_at: str = ""
    tables: dict[str, Pin] = field(default_factory=dict)
    note: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The file content."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes) -> Head:
        """Read back what `to_json` wrote."""
        values = json.loads(content)
        return cls(**{**values, "tables": {name: Pin(**pin) for name, pin in values["tables"].items()}})


class Heads:
    """HEAD.json and the archive of all earlier ones under `heads/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "HEAD.json"
        self.archive = folder / "heads"

    def current(self) -> Head:
        """The newest committed state; an empty one before the first import."""
        try:
            return Head.from_json(self.file.read_bytes())
        except FileNotFoundError:
            return Head()

    def get(self, head_id: int) -> Head:
        """A committed state by id; UnknownName lists those there are."""
        current = self.current()
        if head_id == current.id:
            return current
        path = self._archived(head_id)
        if head_id > current.id or not path.exists():
            raise UnknownName("lake head", str(head_id), [p.stem.lstrip("0") for p in self.archive.glob("*.json")])
        return Head.from_json(path.read_bytes())

    def chain(self) -> Iterator[Head]:
        """The states that led to the current one, newest first; undone ones are not among them."""
        shown = self.current().state_of
        head = self.get(shown) if shown else None
        while head is not None and head.id:
            yield head
            head = self.get(head.parent) if head.parent else None

    def commit(self, tables: dict[str, Pin], note: dict[str, Any], *, state_of: Head | None = None) -> Head:
        """Replace HEAD in one atomic step. The caller holds the writer lock."""
        before = self.current()
        self._archive(before)
        new_id = before.id + 1
        base = before.state_of
        head = Head(
            id=new_id,
            parent=state_of.parent if state_of else (base or None),
            state_of=state_of.state_of if state_of else new_id,
            created_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            tables=tables,
            note=note,
        )
        write_atomically(self.file, head.to_json())
        self._archive(head)
        return head

    def _archived(self, head_id: int) -> Path:
        return self.archive / f"{head_id:06d}.json"

    def _archive(self, head: Head) -> None:
        if head.id and not self._archived(head.id).exists():
            write_atomically(self._archived(head.id), head.to_json())

    @contextmanager
    def writer(self) -> Iterator[None]:
        """Hold the workspace's one writer lock; WorkspaceError names the process that has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".writer").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                lock.seek(0)
                raise WorkspaceError(
                    f"{self.folder.parent} is being written by process {lock.read().strip() or 'unknown'}; wait for it and try again"
                ) from error
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield
