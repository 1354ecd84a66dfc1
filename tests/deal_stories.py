"""A tiny company whose deals have stories: three versions of the deal model, made in a moment."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd
from deal_versions import copied, rate_version

from salesml.features.deals import DEALS
from salesml.models.competing_risks import HEADS, CompetingRisks
from salesml.models.hazard_trees import Growth
from salesml.registry import catalog
from salesml.registry.columns import columns_of
from salesml.workflows.deals import MODEL, training_table
from salesml.workflows.fit_deals import spells
from salesml.workspace import Workspace

LEARNT, DAY = "2026-03-02", "2026-05-06"
GROWTH = Growth(depth=3, trees=40)


def told_company(workspace: Workspace, folder: Path, members: int = 2) -> Workspace:
    """A copy with version 1 the rate by stage (champion), 2 a small deal model, 3 the plain rate, learnt as of LEARNT."""
    made = copied(workspace, folder)
    rate_version(made, LEARNT)
    table = training_table(made, LEARNT)
    ends = spells(table, table.snapshots, pd.Timestamp(table.cutoff))
    model = CompetingRisks.fit(
        table.snapshots[DEALS.names], ends, pd.Timestamp(table.cutoff), categorical=DEALS.categorical,
        growths=dict.fromkeys(HEADS, GROWTH), members=members, threads=1,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        model.save(Path(out))
        catalog.register(made, MODEL, Path(out), columns=columns_of(table.X, DEALS.categorical))
    rate_version(made, LEARNT, None)
    return made
