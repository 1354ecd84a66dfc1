"""The record of a notebook run: JSON beside its output. papermill's own file cannot be trusted after a dead kernel."""

from __future__ import annotations

import datetime as dt
import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Literal

from salesml.errors import SalesmlError, WorkspaceError
from salesml.workspace import write_atomically

Status = Literal["running", "ok", "failed", "timeout", "killed"]


@dataclass(frozen=True)
class RunRecord:
    """One run of a notebook.

    `failed`: a cell raised; `timeout`: a cell or the whole took too long; `killed`: the kernel or the run's own process
    died. `error` then holds cell (position, 1 = first), title, name, message. `last_ok` is when the output that is
    kept was begun. Instants are ISO 8601 in UTC; `seconds` is the duration.
    """

    notebook: str
    status: Status
    started: str
    parameters: dict[str, Any]
    code: dict[str, str]
    head: int | None
    html: str
    executed: str
    ended: str | None = None
    seconds: float | None = None
    error: dict[str, Any] | None = None
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    last_ok: str | None = None
    pid: int = field(default_factory=os.getpid)

    @property
    def page(self) -> Path:
        """The HTML of a run that ended well; for any other SalesmlError tells what went wrong and what is kept."""
        if self.status == "ok":
            return Path(self.html)
        error = self.error or {}
        place = f" in cell {error['cell']} ({error['title']})" if "cell" in error else ""
        told = ": ".join(filter(None, (error.get("name"), error.get("message"))))
        kept = f" The page of {self.last_ok} is kept." if self.last_ok else ""
        failed = Path(self.html).with_suffix(".failed.ipynb")
        raise SalesmlError(f"{self.notebook} {self.status}{place}: {told}. See {failed}.{kept}")


def status_path(html: Path) -> Path:
    """Where the record of an output lies: beside it."""
    return html.with_suffix(".status.json")


def write(record: RunRecord) -> None:
    """Save the record beside its output, atomically."""
    text = json.dumps(asdict(record), indent=1, ensure_ascii=False, default=str)
    write_atomically(status_path(Path(record.html)), text.encode())


def read(html: Path) -> RunRecord | None:
    """The record of the output's last run, None before the first; a run whose process is gone reads as killed."""
    path = status_path(html)
    if not path.exists():
        return None
    record = RunRecord(**json.loads(path.read_text(encoding="utf-8")))
    if record.status != "running" or _locked(html):
        return record
    return replace(record, status="killed", error={"message": "the run's process ended without a word"})


@contextmanager
def alone(html: Path) -> Iterator[None]:
    """Hold the output for one run; WorkspaceError if another run is producing it. A crash lets go of it."""
    html.parent.mkdir(parents=True, exist_ok=True)
    with _lock_path(html).open("a") as file:
        for _ in range(5):  # a reader of the record holds the lock for an instant
            if _lock(file):
                yield
                return
            time.sleep(0.1)
    raise WorkspaceError(f"{html} is being produced by another run. Wait for it, or stop it.")


def now() -> str:
    """This instant, UTC, to the millisecond."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def _locked(html: Path) -> bool:
    with _lock_path(html).open("a") as file:
        return not _lock(file)


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_path(html: Path) -> Path:
    return html.with_name(f".{html.stem}.lock")
