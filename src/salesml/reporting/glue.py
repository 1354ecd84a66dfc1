"""Glue: a notebook's results as named scalars with units, kept in the executed notebook and read back from it."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from salesml.errors import BadParameter

MIMETYPE = "application/vnd.salesml.glue+json"
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Result:
    """One glued scalar: name (an identifier), value (text, finite number, bool, None), unit ("USD", "share 0..1")."""

    name: str
    value: Scalar
    unit: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise BadParameter(f"glue: name {self.name!r} is not an identifier such as expected_revenue")
        if not isinstance(self.value, Scalar):
            kind = type(self.value).__name__
            raise BadParameter(f"glue {self.name}: {kind} is no scalar; frames go to the lake, glue their version")
        if isinstance(self.value, float) and not math.isfinite(self.value):
            raise BadParameter(f"glue {self.name}: {self.value} is not finite; glue None where there is no answer")
        if not isinstance(self.unit, str) or not self.unit.strip():
            raise BadParameter(f"glue {self.name}: give a unit, such as USD, deals, share 0..1, date, text")


def glue(name: str, value: Any, unit: str) -> None:
    """Keep a scalar of the running notebook (numpy scalars, Decimals and dates become plain ones); schema: Result."""
    from IPython.display import display

    result = Result(name, _plain(value), unit)
    display({MIMETYPE: asdict(result), "text/plain": f"{name} = {result.value} {unit}"}, raw=True)


def read(notebook: NotebookNode | Path | str) -> dict[str, Result]:
    """The results glued in an executed notebook, by name (of one name the last); BadParameter for a broken one."""
    node = notebook if isinstance(notebook, NotebookNode) else nbformat.read(notebook, as_version=4)
    found = {}
    for cell in node.cells:
        for output in cell.get("outputs", []):
            raw = output.get("data", {}).get(MIMETYPE)
            if raw is not None:
                result = _parsed(raw)
                found[result.name] = result
    return found


def _parsed(raw: Any) -> Result:
    if not isinstance(raw, Mapping) or set(raw) != {"name", "value", "unit"}:
        raise BadParameter(f"glue: expected name, value and unit, found {raw!r:.200}")
    return Result(**raw)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.date):
        return value.isoformat()
    if hasattr(value, "item") and not isinstance(value, Scalar):
        return value.item()
    return float(value) if type(value).__name__ == "Decimal" else value
