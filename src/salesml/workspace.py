"""A workspace: one folder for one company, with its lake, runs, reports, app database and settings."""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from salesml.errors import BadParameter, WorkspaceError

SETTINGS_FILE = "workspace.toml"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Settings:
    """What a company fixes once: name, IANA time zone, ISO 4217 currency, first month of the fiscal year, first day of the week."""

    name: str = "company"
    time_zone: str = "UTC"
    currency: str = "USD"
    fiscal_year_start: int = 1
    week_start: str = "monday"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except Exception as error:
            raise BadParameter(f"time_zone {self.time_zone!r} is not an IANA name such as Europe/Berlin") from error
        if not re.fullmatch(r"[A-Z]{3}", self.currency):
            raise BadParameter(f"currency {self.currency!r} is not a three-letter ISO 4217 code such as USD")
        if self.fiscal_year_start not in range(1, 13):
            raise BadParameter(f"fiscal_year_start {self.fiscal_year_start!r} is not a month from 1 to 12")
        if self.week_start not in WEEKDAYS:
            raise BadParameter(f"week_start {self.week_start!r} is not one of {', '.join(WEEKDAYS)}")


@dataclass(frozen=True)
class Workspace:
    """Where things lie. `Workspace.open` finds an existing one, `Workspace.create` makes one."""

    root: Path
    settings: Settings

    @classmethod
    def create(cls, root: Path | str, **settings: object) -> Workspace:
        """Make the folder and its settings file, or open it unchanged where it already is a workspace."""
        root = Path(root).expanduser().resolve()
        if (root / SETTINGS_FILE).exists():
            return cls.open(root)
        root.mkdir(parents=True, exist_ok=True)
        chosen = Settings(**{"name": root.name, **settings})  # type: ignore[arg-type]
        workspace = cls(root, chosen)
        workspace._write_settings()
        return workspace

    @classmethod
    def open(cls, root: Path | str | None = None) -> Workspace:
        """Open `root`, else $SALESML_WORKSPACE, else the checkout's own. Raises WorkspaceError with the command to run."""
        folder = Path(root or os.environ.get("SALESML_WORKSPACE") or default_root()).expanduser().resolve()
        path = folder / SETTINGS_FILE
        if not path.exists():
            raise WorkspaceError(f"{folder} is not a workspace. Make it one with: salesml --workspace {folder} init")
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise WorkspaceError(
                f"{path} is not valid TOML ({error}). Mend it, or remove it and run salesml init."
            ) from error
        known = {field.name for field in fields(Settings)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise WorkspaceError(f"{path}: unknown setting {unknown[0]!r}; valid: {', '.join(sorted(known))}")
        return cls(folder, Settings(**values))

    def with_settings(self, **changes: object) -> Workspace:
        """Write changed settings (atomically) and return the workspace that has them."""
        changed = Workspace(self.root, replace(self.settings, **changes))  # type: ignore[arg-type]
        changed._write_settings()
        return changed

    def _write_settings(self) -> None:
        lines = []
        for name, value in asdict(self.settings).items():
            shown = (
                value if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
            )
            lines.append(f"{name} = {shown}\n")
        write_atomically(self.root / SETTINGS_FILE, "".join(lines).encode())

    @property
    def zone(self) -> ZoneInfo:
        """The company's time zone; days, weeks and months begin in it."""
        return ZoneInfo(self.settings.time_zone)

    @property
    def lake(self) -> Path:
        """Folder of the Delta tables and HEAD."""
        return self.root / "lake"

    @property
    def raw(self) -> Path:
        """Folder of the files as received, one subfolder an import."""
        return self.root / "raw"

    @property
    def mlruns(self) -> Path:
        """Folder of the MLflow database and artifacts."""
        return self.root / "mlruns"

    @property
    def reports(self) -> Path:
        """Folder of rendered reports."""
        return self.root / "reports"

    @property
    def cache(self) -> Path:
        """Folder of what can be made again from the lake at any time."""
        return self.root / "cache"

    @property
    def app_db(self) -> Path:
        """The app database: users, roles, audit log, drafts."""
        return self.root / "app.db"

    def instant(self, as_of: str | dt.date | dt.datetime) -> dt.datetime:
        """The UTC instant of an as_of: a bare date means 00:00 of that day in the workspace's time zone."""
        if isinstance(as_of, str):
            try:
                as_of = dt.date.fromisoformat(as_of) if len(as_of) == 10 else dt.datetime.fromisoformat(as_of)
            except ValueError as error:
                raise BadParameter(
                    f"as_of {as_of!r} is not a date (2017-06-30) or a time (2017-06-30T12:00)"
                ) from error
        if not isinstance(as_of, dt.datetime):
            as_of = dt.datetime(as_of.year, as_of.month, as_of.day)
        if as_of.tzinfo is None:
            as_of = as_of.replace(tzinfo=self.zone)
        return as_of.astimezone(dt.UTC)

    def local_date(self, instant: dt.datetime) -> dt.date:
        """The calendar day of an instant in the workspace's time zone."""
        return instant.astimezone(self.zone).date()


def default_root() -> Path:
    """The checkout's own workspace: the nearest folder upward that holds pyproject.toml and src/salesml, else the current one."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "pyproject.toml").exists() and (folder / "src" / "salesml").is_dir():
            return folder
    return here


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader or a crash sees the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
