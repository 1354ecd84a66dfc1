"""Watch a folder and import what is dropped there, once it has stopped growing."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from salesml.errors import BadInput, SalesmlError, WorkspaceError
from salesml.lake import Lake
from salesml.sources.assigning import assign, fitting
from salesml.sources.finding import READABLE, sources_at
from salesml.sources.mapping import Mapping, packaged_mapping, packaged_names
from salesml.workflows.ingest import ImportReport, import_export
from salesml.workspace import Workspace

Signature = tuple[int, int]
WRITTEN = ("added", "corrected", "retracted")
SCORED = {"deals": ("deal_outcome", ("opportunity", "activity")), "leads": ("lead_conversion", ("lead", "lead_event", "activity"))}
"""What is scored again after an import: by which model, and the tables of which rows make it worth it."""


@dataclass(frozen=True)
class Outcome:
    """One attempt: the new files it was for, and the report or what was wrong; what came of scoring the touched deals and leads again."""

    files: list[str]
    report: ImportReport | None = None
    error: str | None = None
    rescored: str | None = None


def watch_folder(
    workspace: Workspace,
    folder: Path,
    mapping: Mapping | None,
    show: Callable[[Outcome], None],
    *,
    every: float = 2.0,
    once: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Look into `folder` every so many seconds and import files that are new and have not changed since the last look.

    A file that cannot be imported is shown and left alone until it changes. Without a mapping the packaged ones are
    tried. With `once` it ends after the first import of what is there, else when `stop` says so; returns how many
    attempts failed.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder", mend="Make it, or give the folder in which exports are dropped.")
    handled: dict[Path, Signature] = {}
    before = _look(folder)
    failures = 0
    while True:
        time.sleep(every)
        now = _look(folder)
        settled = [
            path for path, signature in now.items() if before.get(path) == signature and handled.get(path) != signature
        ]
        known = _imported_files(workspace)
        handled |= {path: now[path] for path in settled if (path.name, _sha256(path)) in known}
        for batch in _batches([path for path in settled if handled.get(path) != now[path]], mapping):
            failures += _import_batch(
                workspace, batch, [path for path in handled if path in now], mapping, show, handled, now
            )
        before = now
        if once or stop():
            return failures


def _look(folder: Path) -> dict[Path, Signature]:
    """Readable files of the folder by time of change, with size and time."""
    files = [file for file in folder.iterdir() if file.is_file() and file.name.lower().endswith(READABLE)]
    stats = {file: file.stat() for file in files if not file.name.startswith((".", "~$"))}
    return {
        file: (stat.st_size, stat.st_mtime_ns)
        for file, stat in sorted(stats.items(), key=lambda item: item[1].st_mtime_ns)
    }


def _imported_files(workspace: Workspace) -> set[tuple[str, str]]:
    """Name and digest of every file that the current state of the lake was imported from."""
    return {
        (file["name"], file["sha256"]) for head in Lake(workspace).heads.chain() for file in head.note.get("files", [])
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _batches(new: list[Path], mapping: Mapping | None) -> list[list[Path]]:
    """New files in the order they came, so cut that no batch has two exports of the same file of the mapping."""
    batches: list[list[Path]] = []
    turns: dict[str, int] = {}
    for path in new:
        role = _role(path, mapping)
        turn = turns.get(role, 0)
        turns[role] = turn + 1
        if turn == len(batches):
            batches.append([])
        batches[turn].append(path)
    return batches


def _role(path: Path, mapping: Mapping | None) -> str:
    """Which file of which mapping a path is; its own name if of none, so that it stands alone."""
    candidates = [mapping] if mapping else [packaged_mapping(name) for name in packaged_names()]
    for candidate in candidates:
        try:
            relaxed = assign(candidate, sources_at(path), partial=True)
        except SalesmlError:
            continue
        if relaxed.files:
            return f"{candidate.name}:{next(iter(relaxed.files))}"
    return path.name


def _import_batch(
    workspace: Workspace,
    new: list[Path],
    earlier: list[Path],
    mapping: Mapping | None,
    show: Callable[[Outcome], None],
    handled: dict[Path, Signature],
    now: dict[Path, Signature],
) -> int:
    """Import new files together with the newest earlier ones they need; returns 1 if that failed, else 0."""
    roles = {_role(path, mapping): path for path in [*sorted(earlier, key=lambda p: now[p][1]), *new]}
    names = [path.name for path in new]
    try:
        chosen = mapping or _fitting(list(roles.values()))
        paths = [path for role, path in roles.items() if role.startswith(f"{chosen.name}:")]
        report = import_export(workspace, chosen, paths or new)
    except WorkspaceError as error:
        show(Outcome(names, error=f"{error}; it will be tried again"))
        return 1
    except (SalesmlError, OSError) as error:
        guilty = [
            path for path in new if isinstance(error, BadInput) and error.file and error.file.split("/")[0] == path.name
        ]
        show(Outcome([path.name for path in guilty] or names, error=str(error)))
        handled |= {path: now[path] for path in guilty or new}
        rest = [path for path in new if path not in guilty] if guilty else []
        return 1 + (_import_batch(workspace, rest, earlier, mapping, show, handled, now) if rest else 0)
    handled |= {path: now[path] for path in new}
    show(Outcome(names, report, rescored=_rescored(workspace, report)))
    return 0


def _rescored(workspace: Workspace, report: ImportReport) -> str | None:
    """Score the open deals and leads again that the import touched, where there is a champion; says how many, or why not."""
    from salesml.workflows.overview import champions

    trained = dict(champions(workspace))
    told = []
    for what, (model, tables) in SCORED.items():
        written = (sum(report.counts.get(name, {}).get(kind, 0) for kind in WRITTEN) for name in tables)
        if any(written) and model in trained:
            told.append(_scored_again(workspace, what))
    return "; ".join(told) or None


def _scored_again(workspace: Workspace, what: str) -> str:
    from salesml.workflows.rescore import rescore
    from salesml.workflows.rescore_leads import rescore_leads

    try:
        again = rescore(workspace) if what == "deals" else rescore_leads(workspace)
    except SalesmlError as error:
        return f"{what} are not scored again: {error}"
    return f"{len(again):,} open {what} with new facts scored again"


def _fitting(paths: list[Path]) -> Mapping:
    """The packaged mapping that the files satisfy; BadInput if there is none."""
    mapping = fitting([source for path in paths for source in sources_at(path)])
    if mapping is not None:
        return mapping
    raise BadInput(
        f"no mapping fits {', '.join(path.name for path in paths)}", mend="Give one: --mapping NAME or FILE.yaml."
    )
