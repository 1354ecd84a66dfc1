"""The simulated company's records as a CRM would export them: CSV files in the shape of the CRM, its state and what history it keeps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from salesml.errors import UnknownName
from salesml.world.exports import dynamics, hubspot, pipedrive, salesforce
from salesml.world.exports.shared import Book

CRMS = {
    "salesforce": salesforce.write,
    "hubspot": hubspot.write,
    "dynamics": dynamics.write,
    "pipedrive": pipedrive.write,
}


def export(tables: Mapping[str, pa.Table], crm: str, folder: Path) -> list[Path]:
    """Write the tables (as `World.tables` gives them; any may be missing) as the CRM's export; the same tables, the same bytes.

    Returns the files written. UnknownName lists the CRMs there are.
    """
    if crm not in CRMS:
        raise UnknownName("CRM", crm, CRMS)
    folder.mkdir(parents=True, exist_ok=True)
    book = Book(tables, folder)
    CRMS[crm](book)
    return book.paths


__all__ = ["CRMS", "export"]
