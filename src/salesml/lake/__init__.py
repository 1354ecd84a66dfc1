"""Delta tables, one atomic HEAD across them, and visible(): the only door to what was known as of an instant."""

from salesml.lake.gate import View, visible
from salesml.lake.head import Head
from salesml.lake.store import Imported, Lake, Tables

__all__ = ["Head", "Imported", "Lake", "Tables", "View", "visible"]
