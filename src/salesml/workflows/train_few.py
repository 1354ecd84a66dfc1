"""Training where outcomes are too few to hold some back for a test: what is usual, corrected by what is seen, or the base rate."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from salesml.errors import NotEnoughData
from salesml.features.deals import DEALS
from salesml.models.handful import DEAL_EXPECTATIONS, Handful
from salesml.workflows.deals import MODEL, training_table
from salesml.workflows.train_deals import DealTraining, train_deals
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.registry.catalog import Version


@dataclass(frozen=True)
class FewTraining:
    """What few outcomes told: the registered version, the champion, and in words what scores are, or what is needed."""

    version: Version
    champion: Version
    abstains: bool
    sentence: str


def train_few(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, seed: int = 0) -> FewTraining:
    """Fit the scorer for few outcomes on every snapshot with a known outcome, and register it as a baseline.

    No outcome is held back; deals left out in turn say whether the model or the base rate answers. It becomes the champion
    unless a model that passed the gate is. Raises NotEnoughData below two won and two other deals.
    """
    from salesml.registry import catalog, tracking
    from salesml.registry.columns import columns_of
    from salesml.state.users import current_user

    table = training_table(workspace, as_of)
    params = {"as_of": table.cutoff.isoformat(), "settling_days": table.settling_days, "seed": seed}
    with tracking.run(workspace, "deals", params={**params, "few": True}, head=table.head) as run:
        model = Handful.fit(
            table.X, table.y.to_numpy(), groups=table.groups.to_numpy(), categorical=DEALS.categorical,
            expected=DEAL_EXPECTATIONS, seed=seed,
        )  # fmt: skip
        run.log_metrics({"gain": model.evidence.gain, "outcomes": model.evidence.entities})
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder))
            version = catalog.register(
                workspace, MODEL, Path(folder), columns=columns_of(table.X, DEALS.categorical), run=run, baseline=True,
                tags={"as_of": table.cutoff.isoformat()},
            )  # fmt: skip
        champion = catalog.champion(workspace, MODEL)
        if champion is None or champion.baseline:
            champion = catalog.promote(workspace, MODEL, version.number, by=current_user(workspace).name)
    return FewTraining(version, champion, model.abstains, model.evidence.sentence())


def train_what_fits(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, seed: int = 0, manipulable: bool = True
) -> DealTraining | FewTraining:
    """`train_deals`, or where outcomes are too few for blocks in time order, `train_few`. Raises NotEnoughData where both do."""
    try:
        return train_deals(workspace, as_of, seed, manipulable)
    except NotEnoughData:
        return train_few(workspace, as_of, seed)
