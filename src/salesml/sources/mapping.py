"""Mappings: YAML that says which files an export has and gives one DuckDB SELECT per canonical table."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from salesml.contracts import TABLES
from salesml.errors import BadInput, UnknownName
from salesml.workspace import Settings

PACKAGED = resources.files("salesml.sources") / "mappings"
PLAIN = ("leads",)
"""Mappings of plain tables: tried after those of particular systems, whose exports have such tables too."""
DateOrder = Literal["ymd", "dmy", "mdy"]


@dataclass(frozen=True)
class FileSpec:
    """One file of an export: name patterns, columns the SELECTs need, columns they use if present, how to read it."""

    match: tuple[str, ...] = ()
    required: bool = False
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    encoding: str | None = None
    delimiter: str | None = None
    skip: int = 0


@dataclass(frozen=True)
class Check:
    """Rows of `file` where `when` (SQL) holds are rejected with `reason` and `mend`."""

    file: str
    when: str
    reason: str
    mend: str = "Fix the export."


@dataclass(frozen=True)
class TableSpec:
    """The SELECT of a canonical table; `complete`: an export lists all changes of an entity it has, so a vanished one is withdrawn."""

    select: str
    complete: bool = False


@dataclass(frozen=True)
class Mapping:
    """A validated mapping; `text` is the YAML it was read from, `path` how messages call it."""

    name: str
    path: str
    text: str
    files: dict[str, FileSpec]
    tables: dict[str, TableSpec]
    description: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    dates: DateOrder | None = None
    decimals: Literal["point", "comma"] | None = None
    export_date: str | None = None
    checks: tuple[Check, ...] = ()

    @property
    def sha256(self) -> str:
        """Digest of the mapping's text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def complete(self) -> frozenset[str]:
        """Tables whose vanished changes are withdrawn."""
        return frozenset(name for name, table in self.tables.items() if table.complete)


def packaged_names() -> list[str]:
    """Names of the mappings that come with salesml, in the order in which they are tried."""
    names = (entry.name.removesuffix(".yaml") for entry in PACKAGED.iterdir() if entry.name.endswith(".yaml"))
    return sorted(names, key=lambda name: (name in PLAIN, name))


def packaged_mapping(name: str) -> Mapping:
    """The mapping of that name that comes with salesml; UnknownName lists the valid ones."""
    if name not in packaged_names():
        raise UnknownName("mapping", name, packaged_names())
    return parse_mapping((PACKAGED / f"{name}.yaml").read_text(encoding="utf-8"), f"{name}.yaml")


def mapping_named(name: str) -> Mapping:
    """A packaged mapping by name, or the mapping in a file by its path."""
    return read_mapping(Path(name)) if name.endswith((".yaml", ".yml")) or "/" in name else packaged_mapping(name)


def read_mapping(path: Path) -> Mapping:
    """The mapping in a YAML file; BadInput says what is wrong with it and where."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the mapping cannot be read ({error})", file=str(path)) from error
    return parse_mapping(text, path.name)


def parse_mapping(text: str, path: str) -> Mapping:
    """Validate YAML text as a mapping: keys, files, tables, settings. SQL is validated when it runs."""
    try:
        values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise BadInput(f"not valid YAML ({' '.join(str(error).split())})", file=path) from error
    values = _section(values, path, "the mapping", {f.name for f in fields(Mapping)} - {"path", "text"})
    for key in ("files", "tables"):
        if not values.get(key):
            raise BadInput(
                f"has no `{key}:`",
                file=path,
                mend="A mapping names its files and gives a SELECT for each canonical table.",
            )
    files = {alias: _file(spec, path, alias) for alias, spec in _section(values["files"], path, "files", None).items()}
    tables = {
        name: _table(spec, path, name) for name, spec in _section(values["tables"], path, "tables", set(TABLES)).items()
    }
    settings = _section(values.get("settings") or {}, path, "settings", {f.name for f in fields(Settings)})
    Settings(**settings)
    checks = tuple(_check(check, path, files) for check in values.get("checks") or ())
    return Mapping(
        name=str(values.get("name") or Path(path).stem),
        path=path,
        text=text,
        files=files,
        tables=tables,
        description=str(values.get("description") or ""),
        settings=settings,
        dates=_choice(values.get("dates"), ("ymd", "dmy", "mdy"), path, "dates"),
        decimals=_choice(values.get("decimals"), ("point", "comma"), path, "decimals"),
        export_date=values.get("export_date"),
        checks=checks,
    )


def _section(value: Any, path: str, where: str, valid: set[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadInput(f"{where} must be `key: value` pairs, found {type(value).__name__}", file=path)
    for key in value:
        if valid is not None and key not in valid:
            raise BadInput(f"{where} has an unknown key {key!r}", file=path, mend=f"Valid: {', '.join(sorted(valid))}.")
    return value


def _file(spec: Any, path: str, alias: str) -> FileSpec:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", str(alias)):
        raise BadInput(
            f"file alias {alias!r} is not a plain name", file=path, mend="Use letters, digits and _, as in SQL."
        )
    values = _section(spec or {}, path, f"files.{alias}", {f.name for f in fields(FileSpec)})
    lists = {key: _names(values.get(key), path, f"files.{alias}.{key}") for key in ("match", "columns", "optional")}
    return FileSpec(**{**values, **lists})


def _table(spec: Any, path: str, name: str) -> TableSpec:
    values = _section(
        {"select": spec} if isinstance(spec, str) else spec, path, f"tables.{name}", {f.name for f in fields(TableSpec)}
    )
    if not str(values.get("select") or "").strip():
        raise BadInput(f"tables.{name} has no `select:`", file=path)
    if values.get("complete") and TABLES[name].kind != "changes":
        raise BadInput(f"tables.{name} cannot be complete: only tables of changes can", file=path)
    return TableSpec(str(values["select"]), bool(values.get("complete", False)))


def _check(spec: Any, path: str, files: dict[str, FileSpec]) -> Check:
    values = _section(spec, path, "a check", {f.name for f in fields(Check)})
    for key in ("file", "when", "reason"):
        if not values.get(key):
            raise BadInput(f"a check has no `{key}:`", file=path)
    if values["file"] not in files:
        raise BadInput(f"a check names the file {values['file']!r}", file=path, mend=f"Valid: {', '.join(files)}.")
    return Check(**{key: str(value) for key, value in values.items()})


def _names(value: Any, path: str, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadInput(f"{where} must be a list", file=path)
    return tuple(str(item) for item in value)


def _choice(value: Any, valid: tuple[str, ...], path: str, key: str) -> Any:
    if value is not None and value not in valid:
        raise BadInput(f"`{key}:` is {value!r}", file=path, mend=f"Valid: {', '.join(valid)}.")
    return value
