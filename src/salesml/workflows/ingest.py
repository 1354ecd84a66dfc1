"""Import an export through its mapping: receive, stage, check references, commit to the lake."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from salesml.contracts import TABLES
from salesml.errors import BadParameter, SalesmlError
from salesml.lake import Head, Lake
from salesml.quality.references import unknown_references
from salesml.quality.summary import Line, summarise
from salesml.sources.assigning import assign
from salesml.sources.finding import Source, sources_at
from salesml.sources.issues import Issue
from salesml.sources.mapping import Mapping
from salesml.sources.staging import Staged, Terms, stage
from salesml.workflows.receive import Received, received
from salesml.workspace import Settings, Workspace

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ImportReport:
    """What an import did: rows read per file; rows added, corrected, retracted, unchanged per table; issues; notes.

    `already` means the same files had been imported before and nothing was read again.
    """

    mapping: str
    head: Head
    seconds: float
    already: bool = False
    changed: bool = False
    read: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    issues: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows read from all files."""
        return sum(self.read.values())


def import_export(
    workspace: Workspace,
    mapping: Mapping,
    path: Path | list[Path],
    *,
    export_date: str | None = None,
    allow_reversed: bool = False,
    progress: Progress = lambda _: None,
) -> ImportReport:
    """Import a file, a folder or several files as one commit; the same files again change nothing, corrected ones add corrections.

    `export_date` (a date or time) is when rows without any date are known from. Raises BadInput for files that cannot
    be read and mappings that are wrong; single bad rows are kept in `import_issue`.
    """
    started = time.monotonic()
    if export_date and workspace.instant(export_date) > dt.datetime.now(dt.UTC):
        raise BadParameter(f"export date {export_date} is in the future: nothing can be known from then yet")
    assigned = assign(mapping, sources_at(*([path] if isinstance(path, Path) else path)))
    notes = [f"{source.name} is not used by the mapping" for source in assigned.unused]
    lake, loaded_at = Lake(workspace), dt.datetime.now(dt.UTC)
    paths = sorted({source.path for sources in assigned.files.values() for source in sources})
    progress("copying the files")
    with received(workspace, paths) as files:
        digest = files.digest(mapping.sha256, str(export_date), str(allow_reversed))
        if previous := _imported_before(lake, mapping, digest):
            return ImportReport(mapping.name, previous, time.monotonic() - started, already=True, notes=notes)
        workspace, more = _settled(workspace, mapping, fresh=not lake.head().tables)
        terms = Terms(
            workspace.settings.time_zone,
            mapping.settings.get("currency", workspace.settings.currency),
            loaded_at,
            workspace.instant(export_date) if export_date else None,
            allow_reversed,
        )
        copies = {alias: _copies(sources, files) for alias, sources in assigned.files.items()}
        with stage(mapping, copies, terms, files.spill, progress) as staged:
            progress("checking references")
            _check_references(lake, staged, loaded_at)
            report = _commit(lake, workspace, mapping, files, digest, staged, loaded_at, progress)
    return replace(report, seconds=time.monotonic() - started, notes=notes + more + report.notes)


def undo_import(workspace: Workspace) -> tuple[Head, list[Head]]:
    """Go back to the state before the newest import; returns the new HEAD and the states taken back, newest first."""
    return Lake(workspace).undo()


def _imported_before(lake: Lake, mapping: Mapping, digest: str) -> Head | None:
    """The newest import of this mapping in the current state, if it was of the very same files."""
    for head in lake.heads.chain():
        if head.note.get("kind") == "import" and head.note.get("origin") == mapping.name:
            return head if head.note.get("digest") == digest else None
    return None


def _settled(workspace: Workspace, mapping: Mapping, fresh: bool) -> tuple[Workspace, list[str]]:
    """Take over the mapping's settings where the workspace is empty and still has the default; else note the difference."""
    current, default = workspace.settings, Settings()
    differing = {name: value for name, value in mapping.settings.items() if getattr(current, name) != value}
    taken = {
        name: value for name, value in differing.items() if fresh and getattr(current, name) == getattr(default, name)
    }
    notes = [
        f"the mapping suggests {name} {value}; the workspace has {getattr(current, name)} and keeps it"
        for name, value in differing.items()
        if name not in taken
    ]
    notes += [f"{name} is now {value}, as the mapping says" for name, value in taken.items()]
    return (workspace.with_settings(**taken) if taken else workspace), notes


def _copies(sources: list[Source], files: Received) -> list[Source]:
    return [replace(source, path=files.copies[source.path]) for source in sources]


def _check_references(lake: Lake, staged: Staged, loaded_at: dt.datetime) -> None:
    """Warn of references to entities that neither this import nor the lake has."""
    ids: dict[str, set[str]] = {}
    found: list[Issue] = []
    for name in staged.rows:
        for column in TABLES[name].own:
            if not column.references or not (referred := staged.references(name, column.name)):
                continue
            target = column.references.split(".")[0]
            if target not in ids:
                ids[target] = staged.ids(target) if target in staged.rows else set()
                if not {row["value"] for row in referred} <= ids[target]:
                    ids[target] |= _stored_ids(lake, target, loaded_at)
            for finding in unknown_references(column.name, target, referred, ids[target]):
                found.append(
                    Issue("warning", finding.reason, finding.mend, name, column.name, finding.value, None,
                          finding.source_file, finding.source_row, finding.rows)
                )  # fmt: skip
    staged.add_issues(found)


def _stored_ids(lake: Lake, name: str, as_of: dt.datetime) -> set[str]:
    if name not in lake.head().tables:
        return set()
    from salesml.lake import visible

    facts = visible(lake.open(), as_of).facts(name)
    return set(facts.select(TABLES[name].entity).distinct().to_pyarrow()[TABLES[name].entity].to_pylist())


def _commit(
    lake: Lake,
    workspace: Workspace,
    mapping: Mapping,
    files: Received,
    digest: str,
    staged: Staged,
    loaded_at: dt.datetime,
    progress: Progress,
) -> ImportReport:
    read, lines = staged.loaded.rows, summarise(staged.issues())
    (files.folder / mapping.path).write_text(mapping.text, encoding="utf-8")
    held_back = {name for name, rejected in staged.rejected.items() if rejected or staged.unread}
    note: dict[str, Any] = {
        "digest": digest,
        "mapping_sha256": mapping.sha256,
        "rejected": sum(line.rows for line in lines if line.severity == "rejected"),
        "warned": sum(line.rows for line in lines if line.severity == "warning"),
    }
    tables = {name: staged.arrow(name) for name, rows in staged.rows.items() if rows}
    if lines:
        tables["import_issue"] = staged.import_issues()
    if not tables:
        raise SalesmlError(f"{mapping.name}: no row could be imported" + (f"; first: {lines[0]}" if lines else ""))
    raw = files.keep(workspace, workspace.local_date(loaded_at), digest)
    note["raw"] = raw.name
    progress("writing to the lake")
    listed = [
        {
            "name": path.name,
            "sha256": sha,
            "rows": sum(n for name, n in read.items() if name.split("/")[0] == path.name),
        }
        for path, sha in files.sha256.items()
    ]
    complete = mapping.complete - held_back
    try:
        imported = lake.ingest(
            tables, origin=mapping.name, note=note, complete=complete, files=listed, loaded_at=loaded_at
        )
    except BaseException:
        files.discard(raw)
        raise
    if not imported.changed:
        files.discard(raw)
    counts = {name: vars(count) for name, count in imported.counts.items() if name != "import_issue"}
    notes = [*staged.loaded.notes, *_remarks(staged, mapping, held_back)]
    return ImportReport(mapping.name, imported.head, 0.0, False, imported.changed, read, counts, lines, notes)


def _remarks(staged: Staged, mapping: Mapping, held_back: set[str]) -> list[str]:
    notes = [
        f"{name}: {n:,} rows repeat an earlier one exactly and were left out"
        for name, n in staged.repeated.items()
        if n
    ]
    notes += [
        f"{name}: changes missing from the export were not withdrawn, because rows were rejected"
        for name in sorted(mapping.complete & held_back)
    ]
    return notes
