"""The sealed drawer: a company's truth in a folder of its own, outside every workspace, for judging only."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from salesml.errors import UnknownName, WorkspaceError
from salesml.workspace import SETTINGS_FILE, write_atomically
from salesml.world.company import World
from salesml.world.knobs import LAW, Knobs

KNOBS_FILE = "knobs.json"


def allowed(folder: Path) -> Path:
    """The folder, if a drawer may be there; WorkspaceError if it is, or lies in, a workspace, or holds something else."""
    folder = folder.expanduser().resolve()
    for place in (folder, *folder.parents):
        if (place / SETTINGS_FILE).exists():
            raise WorkspaceError(f"{folder} lies in the workspace {place}; the truth must stay outside: choose another folder")
    if folder.exists() and any(folder.iterdir()) and not (folder / KNOBS_FILE).exists():
        raise WorkspaceError(f"{folder} holds something that is no drawer; choose an empty folder")
    return folder


def shut(world: World, folder: Path) -> Path:
    """Write the truth into `folder`, a file a table, beside a note of the knobs. WorkspaceError as `allowed` says.

    The new drawer is written aside and takes the old one's place when it is whole.
    """
    folder = allowed(folder)
    coming = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(parents=True)
    for name, parts in world.truth_parts():
        _write(coming / f"{name}.parquet", parts)
    recipe = asdict(world.knobs) | {"end": world.knobs.end.isoformat(), "law": LAW}
    write_atomically(coming / KNOBS_FILE, (json.dumps(recipe, indent=1) + "\n").encode())
    shutil.rmtree(folder, ignore_errors=True)
    coming.rename(folder)
    return folder


def look(folder: Path, name: str) -> pa.Table:
    """One table of the truth; WorkspaceError if the folder is no drawer, UnknownName lists its tables."""
    if not (folder / KNOBS_FILE).exists():
        raise WorkspaceError(f"{folder} is not the truth of a simulated company; make one with: salesml world create --drawer")
    path = folder / f"{name}.parquet"
    if not path.exists():
        raise UnknownName("table of the truth", name, [file.stem for file in folder.glob("*.parquet")])
    return pq.read_table(path)


def knobs_of(folder: Path) -> Knobs:
    """The knobs the company of a drawer was made from."""
    recipe = json.loads((folder / KNOBS_FILE).read_text(encoding="utf-8"))
    law = recipe.pop("law")
    if law != LAW:
        raise WorkspaceError(f"{folder} is of law {law}; this version of salesml makes companies of law {LAW}")
    return Knobs(**recipe | {"end": dt.date.fromisoformat(recipe["end"])})


def _write(path: Path, parts: Iterable[pa.Table]) -> None:
    writer = None
    for part in parts:
        writer = writer or pq.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer:
        writer.close()
