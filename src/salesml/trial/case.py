"""One simulated company as a method meets it: a workspace with its records, a day, and, apart, the truth."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from salesml.lake import Lake, Tables
from salesml.workflows.deals import TrainingTable, training_table
from salesml.workspace import Workspace
from salesml.world import World

LATER_WEEKS = (0, 3, 7, 11)
TRIED_FOR = dt.timedelta(days=91)
"""How long before its end a company's history is cut; methods learn from before and are judged after."""


@dataclass(frozen=True)
class Figure:
    """One figure of one method; NaN with the `reason` where the method could not answer."""

    part: str
    method: str
    metric: str
    value: float
    reason: str = ""


@dataclass
class Case:
    """A company, its workspace, and the day its history is cut at; `truth` is for judging what a method has answered."""

    world: World
    workspace: Workspace
    cutoff: dt.datetime

    @property
    def end(self) -> dt.datetime:
        """The first instant the company has not lived."""
        return dt.datetime.combine(self.world.knobs.end, dt.time(), dt.UTC)

    @cached_property
    def tables(self) -> Tables:
        """The records; methods ask for what is visible at the cutoff or later weeks."""
        return Lake(self.workspace).open()

    @cached_property
    def table(self) -> TrainingTable:
        """Weekly snapshots of deals as known before the cutoff, to learn from. Raises NotEnoughData."""
        return training_table(self.workspace, self.cutoff)

    def truth(self, name: str) -> pd.DataFrame:
        """One table of the truth."""
        return self.world.truth[name].to_pandas()

    @property
    def later(self) -> list[dt.datetime]:
        """Mondays after the cutoff at which methods are asked."""
        monday = self.cutoff + dt.timedelta(days=(7 - self.cutoff.weekday()) % 7)
        return [monday + dt.timedelta(weeks=weeks) for weeks in LATER_WEEKS]


@contextmanager
def opened(world: World) -> Iterator[Case]:
    """A case with a workspace of its own that is removed afterwards."""
    end = pd.Timestamp(world.knobs.end, tz="UTC")
    first = (end - TRIED_FOR).replace(day=1)
    with TemporaryDirectory(prefix="salesml-trial-") as folder:
        workspace = Workspace.create(Path(folder) / "workspace", currency=world.knobs.currency)
        world.write(workspace)
        yield Case(world, workspace, first.to_pydatetime())


def figures(part: str, method: str, values: dict[str, Any]) -> list[Figure]:
    """Figures of one method from a mapping of metric to number or measured value."""
    return [Figure(part, method, name, float(getattr(value, "value", value))) for name, value in values.items()]


def failed(part: str, method: str, reason: str) -> list[Figure]:
    """A method that could not answer."""
    return [Figure(part, method, "answered", np.nan, reason)]
