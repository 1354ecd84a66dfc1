"""Frames that take seconds to work out, kept in the workspace's cache until others take their place."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

KEPT = 24
_META = "facts.json"
Frames = tuple[dict[str, pd.DataFrame], dict[str, Any]]
"""Frames by name, and what else is known, as JSON has it."""


def kept(folder: Path, make: Callable[[], Frames]) -> Frames:
    """What `make` gives, from the folder where it was kept before; of folders side by side the newest 24 stay.

    A reader or a crash sees all of it or none. A folder's name says all that its content depends on.
    """
    if not (folder / _META).exists():
        _write(folder, *make())
        _tidy(folder.parent)
    os.utime(folder)
    frames = {path.stem: pd.read_parquet(path) for path in folder.glob("*.parquet")}
    return frames, json.loads((folder / _META).read_text(encoding="utf-8"))


def _write(folder: Path, frames: dict[str, pd.DataFrame], facts: dict[str, Any]) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    temporary.mkdir()
    try:
        for name, frame in frames.items():
            frame.to_parquet(temporary / f"{name}.parquet")
        (temporary / _META).write_text(json.dumps(facts), encoding="utf-8")
        try:
            temporary.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _tidy(folder: Path) -> None:
    found = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=lambda path: path.stat().st_mtime)
    for path in found[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)
