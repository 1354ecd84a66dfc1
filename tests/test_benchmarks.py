"""The benchmark runner reports failures, and the snapshot benchmark's plain way agrees with the features."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def from_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_unknown_benchmark_is_refused_with_the_valid_names() -> None:
    done = subprocess.run([sys.executable, "-m", "benchmarks", "nonsense"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "snapshots" in done.stdout


def test_a_failing_benchmark_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import _child

    failing = ModuleType("benchmarks.failing")
    failing.run = lambda: 1 / 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "benchmarks.failing", failing)
    result = _child.measure("failing")
    assert "ZeroDivisionError" in result["failure"]
    assert "figures" not in result and result["peak_gib"] > 0


def test_a_crash_is_a_result_and_figures_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import benchmarks.__main__ as runner

    monkeypatch.setattr(runner, "HERE", tmp_path)
    monkeypatch.setattr(runner, "names_of", lambda asked: ["gone"])
    monkeypatch.setattr(
        runner, "run_apart", lambda name: {"failure": "the process ended with code -9 and left no result"}
    )
    assert runner.main() == 1
    kept = json.loads(next((tmp_path / "results").glob("*.json")).read_text(encoding="utf-8"))
    assert "code -9" in kept["benchmarks"]["gone"]["failure"]
    assert kept["machine"]["cores"] >= 1


@pytest.mark.slow
def test_features_agree_with_plain_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import snapshots

    monkeypatch.setattr(snapshots, "DEALS_LARGE", 1_000)
    monkeypatch.setattr(snapshots, "DEALS_SMALL", 800)
    figures = snapshots.run()
    assert figures["rows"] == 52_000
    assert figures["differing"] == {}
    assert figures["features"] - figures["features_plain_pandas_does_not_make"] >= 32
