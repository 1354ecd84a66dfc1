"""Versions of the deal model that are made in a moment, for tests of what goes on after training."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from salesml.features.deals import DEALS
from salesml.models.rates import BaseRate, GroupRate
from salesml.registry import catalog
from salesml.registry.columns import columns_of
from salesml.registry.versions import Version
from salesml.workflows.deals import MODEL, training_table
from salesml.workspace import Workspace


def copied(workspace: Workspace, folder: Path) -> Workspace:
    """A copy of a workspace that may be written to."""
    shutil.copytree(workspace.root, folder)
    return Workspace.open(folder)


def rate_version(workspace: Workspace, as_of: str, column: str | None = "stage", **facts: Any) -> Version:
    """Register the win rate by a column (None: the plain rate), learnt as of a day; a baseline: the first is champion."""
    table = training_table(workspace, as_of)
    known = {"calibration": (table.X, table.y.to_numpy()), "seed": 0}
    fitted = (
        BaseRate.fit(table.X, table.y.to_numpy(), **known)
        if column is None
        else GroupRate.fit(table.X, table.y.to_numpy(), column=column, **known)
    )
    with tempfile.TemporaryDirectory() as out:
        fitted.save(Path(out))
        tags = {"as_of": table.cutoff.isoformat()}
        columns = columns_of(table.X, DEALS.categorical)
        return catalog.register(workspace, MODEL, Path(out), columns=columns, tags=tags, baseline=True, **facts)
