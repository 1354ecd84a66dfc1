"""Files as received: copied beside the lake, digested, and told from those already imported."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from salesml.workspace import Workspace

BLOCK = 4 << 20
LEFTOVER = ".incoming-"


@dataclass(frozen=True)
class Received:
    """A private copy of the files of one import: `copies` by original path, sha256 by original path."""

    folder: Path
    copies: dict[Path, Path]
    sha256: dict[Path, str]

    @property
    def spill(self) -> Path:
        """A folder beside the copies for what does not fit into memory; it goes when the import ends."""
        return self.folder.with_name(f"{self.folder.name}-spill")

    def digest(self, *more: str) -> str:
        """One digest of all files (names and contents) and of what else decides the outcome."""
        parts = sorted(f"{path.name}:{value}" for path, value in self.sha256.items())
        return hashlib.sha256("\n".join([*parts, *more]).encode()).hexdigest()

    def keep(self, workspace: Workspace, day: dt.date, digest: str) -> Path:
        """Move the copies to `raw/<import date>-<digest>` for good, in one rename; returns that folder."""
        kept = workspace.raw / f"{day.isoformat()}-{digest[:10]}"
        if kept.exists():
            return kept
        self.folder.replace(kept)
        return kept

    def discard(self, kept: Path) -> None:
        """Remove what `keep` moved, because nothing was imported after all; what lay there before stays."""
        if not self.folder.exists():
            shutil.rmtree(kept, ignore_errors=True)


@contextmanager
def received(workspace: Workspace, paths: list[Path]) -> Iterator[Received]:
    """Copy files into the workspace's raw folder under a temporary name, which is removed at the end unless kept."""
    _remove_leftovers(workspace.raw)
    folder = workspace.raw / f"{LEFTOVER}{os.getpid()}-{os.urandom(3).hex()}"
    folder.mkdir(parents=True)
    try:
        copies = {path: folder / path.name for path in paths}
        files = Received(folder, copies, {path: _copied(path, copy) for path, copy in copies.items()})
        try:
            yield files
        finally:
            shutil.rmtree(files.spill, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(path: Path, copy: Path) -> str:
    """Copy a file, flushed to disk; returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("rb") as source, copy.open("wb") as target:
        while block := source.read(BLOCK):
            digest.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _remove_leftovers(raw: Path) -> None:
    """Remove copies of imports whose process is gone."""
    for folder in raw.glob(f"{LEFTOVER}*") if raw.exists() else []:
        pid = folder.name.removeprefix(LEFTOVER).split("-")[0]
        if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
            shutil.rmtree(folder, ignore_errors=True)
