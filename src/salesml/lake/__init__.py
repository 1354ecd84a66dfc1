"""Delta tables, one atomic HEAD across them, and visible(): the only door to what was known as of an instant."""

from typing import TYPE_CHECKING, Any

from salesml.lake.head import Head
from salesml.lake.store import Imported, Lake, Tables

if TYPE_CHECKING:
    from salesml.lake.gate import View, visible

__all__ = ["Head", "Imported", "Lake", "Tables", "View", "visible"]


def __getattr__(name: str) -> Any:
    """The gate is imported when asked for: it brings ibis and pandas, seconds that an import does not need."""
    if name in ("View", "visible"):
        from salesml.lake import gate

        return getattr(gate, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
