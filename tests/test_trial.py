"""Methods on simulated companies: the plan, the figures, the sealed drawer, the commands."""

from __future__ import annotations

import ast
import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salesml import trial, world
from salesml.analytics.likeness import slope
from salesml.errors import BadInput, BadParameter, UnknownName, WorkspaceError
from salesml.lake import Lake, visible
from salesml.workspace import Workspace
from salesml.world import drawer

SOURCE = Path(trial.__file__).parents[1]


@functools.cache
def imported(package: str) -> set[str]:
    """Modules of salesml that a package reaches by import statements, wherever they stand in its files."""
    files = sorted((SOURCE / package).rglob("*.py")) or [SOURCE / f"{package}.py"]
    found: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("salesml.")}
    return found


def test_no_import_path_leads_from_features_and_models_to_the_truth() -> None:
    for start in ("features", "models", "analytics", "planning", "registry", "workflows"):
        reached, coming = {start}, {start}
        while coming:
            coming = {name for package in coming for name in imported(package) if (SOURCE / package).exists()} - reached
            reached |= coming
        assert not reached & {"world", "trial"}, start
    program = (
        "import sys, salesml.features.deals, salesml.models.deals, salesml.workflows.train_deals;"
        "print([m for m in sys.modules if m.startswith(('salesml.world', 'salesml.trial'))])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_the_drawer_stays_outside_and_no_read_of_the_lake_finds_it(tmp_path: Path) -> None:
    company = world.company(**world.preset("tiny"))
    workspace = Workspace.create(tmp_path / "company")
    company.write(workspace)
    for place in (workspace.root, workspace.root / "truth", workspace.lake / "deal"):
        with pytest.raises(WorkspaceError, match="the truth must stay outside"):
            drawer.shut(company, place)
    folder = drawer.shut(company, tmp_path / "truth")
    kept, made = drawer.look(folder, "deal").to_pandas(), company.truth["deal"].to_pandas()
    pd.testing.assert_frame_equal(kept, made, check_dtype=False)
    assert drawer.knobs_of(folder) == company.knobs
    tables = Lake(workspace).open()
    folders = {path.name for path in workspace.root.rglob("*") if path.is_dir()}
    assert not folders & (set(company.truth) - {"account", "campaign", "lead"})
    said = {column for name in tables.head.tables for column in visible(tables, company.knobs.end).facts(name).columns}
    assert not said & {"p_win", "intent", "quality", "skill", "p_with", "churn_per_month", "expected"}
    with pytest.raises(UnknownName, match="deal_week"):
        drawer.look(folder, "opportunity")
    with pytest.raises(WorkspaceError, match="is not the truth"):
        drawer.look(tmp_path, "deal")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    with pytest.raises(WorkspaceError, match="no drawer"):
        drawer.shut(company, tmp_path / "mine")
    note = json.loads((folder / drawer.KNOBS_FILE).read_text())
    (folder / drawer.KNOBS_FILE).write_text(json.dumps(note | {"law": -1}))
    with pytest.raises(WorkspaceError, match="law -1"):
        drawer.knobs_of(folder)


def test_plans_are_spread_over_families_and_refuse_nonsense() -> None:
    todo = trial.plans(18, 2)
    assert [plan.preset for plan in todo] == ["demo"] * 2 + ["tiny"] * 18
    assert pd.Series([plan.family for plan in todo[2:]]).value_counts().eq(2).all()
    assert trial.plans(1, 0, ["weak"])[0].world().knobs.signal == 0.4
    with pytest.raises(BadParameter, match="from 0 to 10,000"):
        trial.plans(-1, 3)
    with pytest.raises(UnknownName, match="plain"):
        trial.plans(1, 0, ["plane"])


def test_slope_is_the_difference_and_covariates_take_confounding_out() -> None:
    rng = np.random.default_rng(0)
    keen = rng.normal(0, 1, 4_000)
    treated = (rng.random(4_000) < 1 / (1 + np.exp(-keen))).astype(float)
    outcome = 0.1 * treated + 0.2 * keen + rng.normal(0, 1, 4_000)
    groups = np.arange(4_000)
    naive = slope(treated, outcome, np.zeros((4_000, 0)), groups)
    assert naive.estimate == pytest.approx(outcome[treated == 1].mean() - outcome[treated == 0].mean())
    assert naive.lo > 0.1
    fair = slope(treated, outcome, keen[:, None], groups)
    assert fair.lo < 0.1 < fair.hi
    twice = slope(np.tile(treated, 2), np.tile(outcome, 2), np.tile(keen, 2)[:, None], np.tile(groups, 2))
    assert twice.hi - twice.lo == pytest.approx(fair.hi - fair.lo, rel=1e-6), "rows of one entity count once"


@pytest.mark.slow
def test_tiny_companies_are_judged(judgement: Path) -> None:
    found = trial.judged(str(judgement), [])
    again = trial.run(trial.plans(1, 0, ["plain"]), workers=1)
    first = found[found["seed"] == again["seed"].iloc[0]].reset_index(drop=True)
    pd.testing.assert_frame_equal(first.drop(columns="reason"), again.drop(columns="reason"), rtol=1e-5)
    value = found.set_index(["family", "seed", "part", "method", "metric"])["value"]
    oracle = value.xs("oracle", level="method")
    assert (oracle.xs("log_loss_ratio", level="metric") == 1).all()
    ratio = value.xs("deal model", level="method").xs("expected_log_loss_ratio", level="metric")
    assert (ratio >= 1).all(), "nobody beats the truth"
    naive = value.xs("effect of a meeting", level="part").xs("difference", level="method").xs("bias", level="metric")
    assert naive.loc["plain"].mean() > 0.01, "meetings look better than they are"
    told = trial.summary(found)
    assert set(told["part"]) >= {"win probability", "revenue", "effect of a meeting", "effect of nurture mails", "whom to meet"}
    assert "simulated" in trial.reading(found)
    assert set(trial.verdicts(found)) == {
        "win probability", "timing", "whom to meet", "revenue", "quarter in its fourth week", "effects",
    }  # fmt: skip
    with pytest.raises(BadInput, match="no such file"):
        trial.judged(str(judgement.parent / "nothing.parquet"), [])


def shown(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "salesml.cli", *words], capture_output=True, text=True)


def test_commands_create_and_refuse(tmp_path: Path) -> None:
    place = str(tmp_path / "company")
    made = shown("-w", place, "world", "create", "--preset", "tiny", "--drawer", str(tmp_path / "truth"))
    inside = shown("-w", place, "world", "create", "--preset", "tiny", "--drawer", place)
    assert inside.returncode == 2 and "must stay outside" in inside.stderr.replace("\n", " ")
    assert made.returncode == 0, made.stderr
    assert "rows in" in made.stdout and (tmp_path / "truth" / "deal_week.parquet").exists()
    for words, told in (
        (("-k", "signal=9"), "signal 9 is not a number from 0 to 3"),
        (("-k", "sgnal=1"), "unknown knob of the world 'sgnal'"),
        (("--end", "tomorrow"), "is not a date"),
        (("--reps", "0"), "from 1 to 5,000"),
        (("--preset", "huge"), "demo, enterprise, tiny"),
        (("--family", "odd"), "plain"),
    ):
        refused = shown("world", "describe", *words)
        assert refused.returncode == 2 and told in refused.stderr.replace("\n", " "), refused.stderr
