"""Draft a mapping for files never seen before."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import yaml

from salesml.errors import BadInput, SalesmlError
from salesml.sources.assigning import assign
from salesml.sources.columns import plain
from salesml.sources.drafting import Drafted, draft_yaml
from salesml.sources.finding import Source, sources_at
from salesml.sources.guessing import derived, guess
from salesml.sources.loading import load
from salesml.sources.mapping import FileSpec, Mapping, parse_mapping
from salesml.sources.profiling import Profile, profile
from salesml.sources.session import connect, quoted
from salesml.sources.staging import Terms, stage

TRIED_BYTES = 100 << 20


@dataclass(frozen=True)
class Draft:
    """YAML text that validates, and notes: files that fit no table, and what a trial of the mapping gave."""

    text: str
    notes: list[str]


def suggest_mapping(path: Path) -> Draft:
    """Look at the columns and contents of a file or folder and draft a mapping; BadInput if nothing fits any table."""
    sources = sources_at(path)
    files: list[Drafted] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as spill, connect(Path(spill), "UTC") as connection:
        for source in sources:
            alias = _alias(source, {file.alias for file in files})
            reading = Mapping("draft", "draft", "", {alias: FileSpec()}, {})
            try:
                load(connection, reading, {alias: [source]})
            except SalesmlError as error:
                notes.append(f"{source.name} was left out: {error}")
                continue
            rows = connection.execute(f"DESCRIBE {quoted(alias)}").fetchall()
            profiles = [profile(connection, alias, name) for name, *_ in rows if name not in ("_file", "_row")]
            files.append(Drafted(alias, source, profiles, guess(source.stems[0], profiles)))
        files += _repeated(connection, files)
    notes += [f"{file.source.name} fits no table and is left out" for file in files if not file.guess]
    if not any(file.guess for file in files):
        columns = "; ".join(f"{f.source.name}: {', '.join(p.name for p in f.profiles)}" for f in files)
        raise BadInput(f"no table fits these columns ({columns or 'none'})", mend="Write a mapping by hand.")
    text = draft_yaml(_alias(sources[0], set()) if path.is_file() else plain(path.resolve().name), files, notes)
    yaml.safe_load(text)
    mapping = parse_mapping(text, "the draft")
    if sum(source.path.stat().st_size for source in sources) <= TRIED_BYTES:
        notes.append(_tried(mapping, sources))
    return Draft(text, notes)


def _repeated(connection: duckdb.DuckDBPyConnection, files: list[Drafted]) -> list[Drafted]:
    """Accounts and products that revenue rows repeat, where no file lists them: the columns that depend on their key alone."""
    listed = {file.guess.table for file in files if file.guess}
    found = []
    for file in files:
        for table in ("account", "product"):
            if not file.guess or file.guess.table != "revenue" or table in listed:
                continue
            key = file.guess.columns.get(f"{table}_id")
            if not key:
                continue
            depending = [
                p for p in file.profiles if p.name != key[0].name and _depends(connection, file.alias, key[0], p)
            ]
            repeated = derived(table, [key[0], *depending])
            if repeated.columns.get("name", key)[0] == key[0]:
                repeated.columns.pop("name", None)
            if len(repeated.columns) > 1 and repeated.columns.get(f"{table}_id", (None,))[0] == key[0]:
                date = file.guess.columns["created"]
                dated = {"created": date} if (date[0].example or "")[:4].isdigit() else {}
                found.append(replace(file, guess=replace(repeated, columns=repeated.columns | dated), repeated=True))
    return found


def _depends(connection: duckdb.DuckDBPyConnection, alias: str, key: Profile, column: Profile) -> bool:
    """Whether every value of the key comes with one value of the column."""
    k, c = quoted(key.name), quoted(column.name)
    query = f"SELECT count(*) FROM (SELECT {k} FROM {quoted(alias)} WHERE {c} IS NOT NULL GROUP BY 1 HAVING min({c}) <> max({c}))"
    return connection.execute(query).fetchall()[0][0] == 0


def _alias(source: Source, taken: set[str]) -> str:
    name = plain(source.stems[0])
    name = name if name[:1].isalpha() else f"file_{name}"
    while name in taken:
        name += "_2"
    return name


def _tried(mapping: Mapping, sources: list[Source]) -> str:
    terms = Terms("UTC", "USD", dt.datetime.now(dt.UTC))
    try:
        with (
            tempfile.TemporaryDirectory() as spill,
            stage(mapping, assign(mapping, sources).files, terms, Path(spill)) as staged,
        ):
            counts = ", ".join(f"{n:,} {name}" for name, n in staged.rows.items())
            rejected = sum(staged.rejected.values())
            return f"tried: {counts} rows; {rejected:,} rejected"
    except SalesmlError as error:
        return f"tried, and it does not work yet: {error}"
