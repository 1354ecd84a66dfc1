"""Which packaged mapping an export belongs to."""

from __future__ import annotations

from pathlib import Path

from salesml.errors import BadInput
from salesml.sources.assigning import fitting
from salesml.sources.finding import sources_at
from salesml.sources.mapping import Mapping, packaged_names


def recognised(path: Path) -> Mapping:
    """The packaged mapping whose files are all found at `path`. BadInput, with the way on, where there is none."""
    mapping = fitting(sources_at(path))
    if mapping is not None:
        return mapping
    raise BadInput(
        f"{path} is not an export that a packaged mapping knows ({', '.join(packaged_names())})",
        mend=f"Draft a mapping with: salesml import --suggest {path} --out mapping.yaml",
    )
