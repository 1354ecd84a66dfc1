"""What the tests of imports share: a small export with its mapping, and reading back what the lake believes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from salesml.lake import Lake, visible
from salesml.sources.mapping import Mapping, parse_mapping
from salesml.workflows.ingest import ImportReport, import_export
from salesml.workspace import Workspace

DEALS = """
name: deals
files:
  deals: {match: ["deals*"], required: true, columns: [id, owner, status, amount, created, closed]}
  people: {match: ["people*"], columns: [id, name]}
tables:
  opportunity:
    complete: true
    select: |
      SELECT id AS opportunity_id, 'created' AS change_id, owner AS owner_id, 'open' AS status, created AS occurred_at, _file, _row
      FROM deals
      UNION ALL BY NAME
      SELECT id AS opportunity_id, 'closed' AS change_id, status, amount, closed AS occurred_at, _file, _row
      FROM deals WHERE closed IS NOT NULL
  user: SELECT id AS user_id, name, _file, _row FROM people
"""
HEADER = "id,owner,status,amount,created,closed\n"
GOOD = "007,ann,won,100.50,2024-01-05,2024-02-01\n008,bob,lost,,2024-01-06,2024-03-01\n009,ann,open,,2024-01-07,\n"


def deals_mapping(**replaced: str) -> Mapping:
    """The mapping of the small export, with top-level keys added."""
    return parse_mapping(DEALS + "".join(f"{key}: {value}\n" for key, value in replaced.items()), "deals.yaml")


def put(folder: Path, text: str | bytes, name: str = "deals.csv") -> Path:
    """Write a file of an export; returns the folder."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def bring_in(workspace: Workspace, path: Path, **options: Any) -> ImportReport:
    """Import with the small mapping unless another is given."""
    return import_export(workspace, options.pop("mapping", None) or deals_mapping(), path, **options)


def believed(workspace: Workspace, name: str = "opportunity", as_of: dt.datetime | None = None) -> list[dict[str, Any]]:
    """Rows of a table as believed now."""
    view = visible(Lake(workspace).open(), as_of or dt.datetime.now(dt.UTC))
    return view.facts(name).to_pyarrow().to_pylist()


def rejected(workspace: Workspace, severity: str = "rejected") -> list[tuple[str, int, str, str]]:
    """File, row, column and value of the issues in the lake, sorted."""
    rows = believed(workspace, "import_issue") if "import_issue" in Lake(workspace).head().tables else []
    return sorted(
        (row["source_file"], row["source_row"], row["column"], row["value"])
        for row in rows
        if row["severity"] == severity
    )
