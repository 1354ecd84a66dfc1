"""Which tables a path holds: text files, sheets of workbooks, Parquet and JSON-lines files, members of zip files."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from salesml.errors import BadInput

TEXT = (".csv", ".tsv", ".txt", ".tab", ".psv")
WORKBOOK = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
JSON = (".jsonl", ".ndjson", ".json")
READABLE = (*TEXT, *WORKBOOK, ".parquet", *JSON, ".zip", ".gz")

Kind = Literal["text", "workbook", "parquet", "json"]


@dataclass(frozen=True)
class Source:
    """One table of a file: `part` names the sheet or the zip member; `name` is how messages and provenance call it."""

    path: Path
    kind: Kind
    part: str | None = None
    alone: bool = True

    @property
    def name(self) -> str:
        """File name, with the sheet or member where the file holds several."""
        return self.path.name if self.alone or self.part is None else f"{self.path.name}/{self.part}"

    @property
    def stems(self) -> tuple[str, ...]:
        """Lower-case names a mapping's pattern may match: file without endings, sheet or member, and the full name."""
        stem = self.path.name.lower()
        for ending in (".gz", *TEXT, *WORKBOOK, ".parquet", *JSON, ".zip"):
            stem = stem.removesuffix(ending)
        part = (
            () if self.part is None else (Path(self.part.lower()).stem if self.kind == "text" else self.part.lower(),)
        )
        return (*part, stem, self.name.lower())


def sources_at(*paths: Path) -> list[Source]:
    """The tables in files or directly in folders, by name; BadInput if there is nothing readable."""
    return [source for path in paths for source in _sources(path)]


def _sources(path: Path) -> list[Source]:
    if not path.exists():
        raise BadInput(f"{path} does not exist", mend="Give a file or a folder of files.")
    if path.is_file():
        return _tables_of(path)
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith((".", "~$")))
    readable = [file for file in files if file.name.lower().endswith(READABLE)]
    if not readable:
        found = ", ".join(file.name for file in files[:8]) or "nothing"
        raise BadInput(
            f"{path} holds no file that can be read (found {found})", mend=f"Readable are {', '.join(READABLE)}."
        )
    return [source for file in readable for source in _tables_of(file)]


def _tables_of(path: Path) -> list[Source]:
    with path.open("rb") as file:
        start = file.read(8)
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if start.startswith(b"PK") and ending not in WORKBOOK:
        with zipfile.ZipFile(path) if zipfile.is_zipfile(path) else _broken_zip(path) as archive:
            members = archive.namelist()
        if "[Content_Types].xml" not in members:
            texts = [name for name in sorted(members) if name.lower().endswith(TEXT)]
            if not texts:
                raise BadInput(
                    "the zip file holds no text table", file=path.name, mend=f"Readable members are {', '.join(TEXT)}."
                )
            return [Source(path, "text", name, len(texts) == 1) for name in texts]
    if start.startswith((b"PK", b"\xd0\xcf\x11\xe0")) or (ending in WORKBOOK and start):
        from salesml.sources.workbooks import sheets_of

        sheets = sheets_of(path)
        return [Source(path, "workbook", sheet, len(sheets) == 1) for sheet in sheets]
    if start.startswith(b"PAR1") or ending == ".parquet":
        return [Source(path, "parquet")]
    return [Source(path, "json" if ending in JSON else "text")]


def _broken_zip(path: Path) -> zipfile.ZipFile:
    raise BadInput("the zip file is damaged or cut off", file=path.name, mend="Get it again from where it came from.")
