"""Which source is which file of a mapping: by name, else by its columns."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch

import duckdb

from salesml.errors import BadInput
from salesml.sources.columns import has_columns
from salesml.sources.delimited import open_delimited
from salesml.sources.finding import Source
from salesml.sources.mapping import PLAIN, FileSpec, Mapping, packaged_mapping, packaged_names
from salesml.sources.session import literal
from salesml.sources.workbooks import rows_of


@dataclass(frozen=True)
class Assigned:
    """Sources per file of the mapping, and those that belong to none."""

    files: dict[str, list[Source]]
    unused: list[Source]


def assign(mapping: Mapping, sources: list[Source], *, partial: bool = False) -> Assigned:
    """Match sources to the mapping's files; BadInput lists what was looked for and found if a required file is missing.

    With `partial` a required file may be missing: another one may bring it.
    """
    files: dict[str, list[Source]] = {alias: [] for alias in mapping.files}
    unused = []
    for source in sources:
        alias = next((alias for alias, spec in mapping.files.items() if _matches(source, spec)), None)
        files[alias].append(source) if alias else unused.append(source)
    for alias, spec in mapping.files.items():
        only = len(mapping.files) == 1 and len(sources) == 1
        if not files[alias]:
            files[alias] = [s for s in unused if (only and not spec.match) or has_columns(_header(s, spec), spec)]
            unused = [s for s in unused if s not in files[alias]]
        if spec.required and not files[alias] and not partial:
            looked = ", ".join(spec.match) or alias
            found = ", ".join(source.name for source in sources)
            mend = f"Looked for {looked}, or a file with the columns {', '.join(spec.columns)}; found {found}."
            raise BadInput(f"{mapping.name}: the file for `{alias}` is missing", mend=mend)
    if not any(files.values()) and not partial:
        raise BadInput(f"{mapping.name}: none of the files is one of {', '.join(mapping.files)}")
    return Assigned({alias: found for alias, found in files.items() if found}, unused)


def fitting(sources: list[Source]) -> Mapping | None:
    """The packaged mapping whose required files are all among the sources, None where there is none.

    One of plain tables only where no source has the name and the columns of a particular system's file: the rest of that export is to
    come yet.
    """
    mappings = [packaged_mapping(name) for name in packaged_names()]
    for mapping in mappings:
        try:
            assign(mapping, sources)
        except BadInput:
            continue
        known = [spec for other in mappings if other.name not in PLAIN for spec in other.files.values()]
        if mapping.name in PLAIN and any(_matches(s, spec) and has_columns(_header(s, spec), spec) for s in sources for spec in known):
            return None
        return mapping
    return None


def _matches(source: Source, spec: FileSpec) -> bool:
    return any(fnmatch(stem, pattern.lower()) for pattern in spec.match for stem in source.stems)


def _header(source: Source, spec: FileSpec) -> list[str]:
    """The column names of a source; none if it cannot be read."""
    try:
        return header_of(source, spec)
    except BadInput:
        return []


def header_of(source: Source, spec: FileSpec) -> list[str]:
    """The column names of a source, read as the mapping's file says."""
    if source.kind == "text":
        return open_delimited(source, spec.encoding, spec.delimiter, spec.skip).columns
    if source.kind == "workbook":
        rows = rows_of(source.path, source.part or "")[spec.skip : spec.skip + 1]
        return [name or "" for name in rows[0]] if rows else []
    reader = "read_parquet" if source.kind == "parquet" else "read_json"
    try:
        with duckdb.connect() as connection:
            return [
                name
                for name, *_ in connection.execute(
                    f"DESCRIBE SELECT * FROM {reader}({literal(str(source.path))})"
                ).fetchall()
            ]
    except duckdb.Error as error:
        raise BadInput(f"the file cannot be read ({str(error).splitlines()[0]})", file=source.name) from error
