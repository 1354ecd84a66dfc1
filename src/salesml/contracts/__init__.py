"""Table contracts: what each canonical table holds, in which unit, keyed by what, and when each fact becomes known."""

from salesml.contracts.records import SIGNED, TABLES, table
from salesml.contracts.spec import PROVENANCE, Column, Table

__all__ = ["PROVENANCE", "SIGNED", "TABLES", "Column", "Table", "table"]
