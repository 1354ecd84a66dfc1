"""Shared fixtures: a small workspace with a simulated company, made once a test run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from salesml import world
from salesml.lake import Lake
from salesml.workspace import Workspace

os.environ.setdefault("NIXTLA_NUMBA_CACHE", "1")
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def shared_data(name: str) -> Path:
    """A folder of the public data beside the checkout; the test is skipped, saying so, where it is absent."""
    folder = SHARED_DATA / name
    if not folder.exists():
        pytest.skip(f"the public data set {name} is not beside this checkout")
    return folder


@pytest.fixture(autouse=True)
def _own_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads the developer's own workspace."""
    monkeypatch.delenv("SALESML_WORKSPACE", raising=False)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The lake of a tiny simulated company; tests must not write to it."""
    made = Workspace.create(tmp_path_factory.mktemp("tiny"), name="tiny")
    Lake(made).ingest(world.company(**world.preset("tiny"), seed=3).tables, origin="world")
    return made


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small simulated company, trained, scored and forecast; tests must not write to its lake."""
    from salesml.workflows.deals import score_deals, train_deals
    from salesml.workflows.forecast import forecast_revenue

    made = Workspace.create(tmp_path_factory.mktemp("small"), name="small")
    world.build(made, seed=5, reps=14, years=3.0)
    train_deals(made)
    score_deals(made)
    forecast_revenue(made, months=3, prophet=False)
    return made
