"""The house: floors, the lake's only door, public docstrings, environment.yml, no hosts and no machine paths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "salesml"
FLOORS = [
    {"contracts", "workspace", "errors"},
    {"lake", "sources", "quality", "state"},
    {"models", "analytics", "planning", "features", "evaluation", "figures"},
    {"registry"},
    {"workflows", "world"},
    {"reporting", "trial"},
    {"cli", "apps", "api"},
]
SIDEWAYS = {
    ("contracts", "errors"),
    ("workspace", "errors"),
    ("models", "features"),
    ("models", "evaluation"),
    ("planning", "features"),
    ("planning", "evaluation"),
    ("analytics", "evaluation"),
}
ONLY_IN = {"mlflow": {"registry"}, "deltalake": {"lake"}, "duckdb": {"lake", "sources"}}
FILES = sorted(SOURCE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def package(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if name in names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_strictly_down(path: Path) -> None:
    own = package(path)
    if own == "__init__":
        pytest.skip("the package's face may re-export from any floor")
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "salesml" and len(parts) > 1 and parts[1] != own:
            allowed = floor(parts[1]) < floor(own) or (own, parts[1]) in SIDEWAYS
            assert allowed, f"{path.relative_to(SOURCE)} (floor {floor(own)}) imports {name} (floor {floor(parts[1])})"
        if parts[0] in ONLY_IN:
            assert own in ONLY_IN[parts[0]], f"{path.relative_to(SOURCE)} imports {parts[0]}"


def test_nothing_above_the_lake_reads_past_the_door() -> None:
    """Raw rows (`stored`, `rows`) are for the lake itself and for the leak prover, which has to corrupt them."""
    raw = re.compile(r"\.stored\(|\btables\.rows\(")
    hits = [p for p in FILES if package(p) != "lake" and raw.search(p.read_text(encoding="utf-8"))]
    assert [str(p.relative_to(SOURCE)) for p in hits] == ["evaluation/leaks.py"]


def test_raw_sql_only_in_lake_and_sources() -> None:
    sql = re.compile(r"\bSELECT\b[^\"']*\bFROM\b|\bCREATE (TEMP )?TABLE\b")
    own_databases = {"workflows/overview.py"}  # a light look into MLflow's tables, which must not import mlflow
    for path in FILES:
        name = str(path.relative_to(SOURCE))
        if package(path) not in ("lake", "sources", "state") and name not in own_databases:
            assert not sql.search(path.read_text(encoding="utf-8")), f"raw SQL in {name}"


def test_public_functions_and_classes_say_what_they_do() -> None:
    silent = []
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if ast.get_docstring(tree) is None:
            silent.append(str(path.relative_to(SOURCE)))
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and ast.get_docstring(node) is None:
                silent.append(f"{path.relative_to(SOURCE)}: {node.name}")
    assert not silent


def test_environment_yml_agrees_with_the_lock() -> None:
    script = ROOT / ".ci" / "environment_yml.py"
    made = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "environment.yml").read_text(encoding="utf-8"), "run: make environment"


def test_the_lock_holds_names_versions_and_hashes_only() -> None:
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._\[\]-]+==\S+( ;.*)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line


def test_help_is_a_table_of_contents_and_imports_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['salesml', '--help']\nfrom salesml.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    heavy = "print('HEAVY', sorted({'mlflow', 'catboost', 'pandas', 'duckdb', 'prophet', 'statsforecast'} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code + heavy], capture_output=True, text=True, check=True).stdout
    for command in (
        "demo",
        "init",
        "import",
        "watch",
        "status",
        "train",
        "score",
        "forecast",
        "backtest",
        "study",
        "report",
        "app",
        "serve",
        "lab",
        "tracking",
    ):
        assert re.search(rf"^\W*{command}\b", shown, re.M), f"{command} is not in salesml --help"
    assert "HEAVY []" in shown


def test_no_machine_paths_in_the_repository() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout")
    here = re.compile(
        rf"{re.escape(str(ROOT.parent))}/|{re.escape(str(Path.home()))}/(?!\.)" if ROOT.parent != Path("/") else r"\0"
    )
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.exists() and path.stat().st_size < 2_000_000:
            assert not here.search(path.read_text(encoding="utf-8", errors="replace")), (
                f"{name} names a folder of this machine"
            )
