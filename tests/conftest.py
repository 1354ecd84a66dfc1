"""Shared fixtures: a small workspace with a simulated company, made once a test run."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from salesml import trial, world
from salesml.workspace import Workspace

os.environ.setdefault("NIXTLA_NUMBA_CACHE", "1")
os.environ.pop("COLUMNS", None)  # a console made while it is set keeps that width, whatever a test asks for
LONGEST = (
    "test_demo", "test_train_few", "test_trial", "test_notebooks", "test_deal_bars", "test_series_bar", "test_lead_bars",
    "test_apps_browser", "test_app_browser", "test_apps_axe", "test_runner", "test_world_truth", "test_deals",
)  # fmt: skip
"""Files begun first, so that no process is left with one of them while the other is done."""
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were found."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


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


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder filled by `make`, once for all test processes of a run."""
    own = factory.getbasetemp()
    root = own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = root / f"{name}.done"
        if not done.exists():
            make(root / name)
            done.touch()
    return root / name


@pytest.fixture(scope="session")
def tiny_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The lake of a tiny simulated company; tests must not write to it."""
    def make(root: Path) -> None:
        world.build(Workspace.create(root, name="tiny"), **world.preset("tiny"), seed=3)

    return Workspace.open(_once(tmp_path_factory, "tiny", make))


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A small simulated company, trained, scored and forecast; tests must not write to its lake."""

    def make(root: Path) -> None:
        from salesml.workflows.deals import score_deals
        from salesml.workflows.forecast import forecast_revenue
        from salesml.workflows.train_deals import train_deals

        made = Workspace.create(root, name="small")
        world.build(made, seed=5, reps=14, years=3.0)
        train_deals(made)
        score_deals(made)
        forecast_revenue(made, months=3, prophet=False)

    return Workspace.open(_once(tmp_path_factory, "small", make))


@pytest.fixture(scope="session")
def told_workspace(tiny_workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A tiny company whose deals have stories (see deal_stories); tests must not write to it."""

    def make(root: Path) -> None:
        from deal_stories import told_company

        told_company(tiny_workspace, root)

    return Workspace.open(_once(tmp_path_factory, "told", make))


@pytest.fixture(scope="session")
def judgement(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results.parquet of two tiny companies judged, one of them without signal."""

    def make(root: Path) -> None:
        root.mkdir()
        todo = [*trial.plans(1, 0, ["plain"]), *trial.plans(1, 0, ["no_signal"], first_seed=7)]
        trial.run(todo, workers=2).to_parquet(root / "results.parquet", index=False)

    return _once(tmp_path_factory, "judgement", make) / "results.parquet"
