"""`python -m benchmarks [names]`: run benchmarks one by one, print a table, keep the figures in benchmarks/results/."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from salesml.errors import SalesmlError, UnknownName
from salesml.workspace import write_atomically

HERE = Path(__file__).parent
TIME_LIMIT = 1_800  # seconds a benchmark
PACKAGES = ("catboost", "deltalake", "duckdb", "ibis-framework", "mlflow", "numpy", "pandas", "polars", "pyarrow",
            "scikit-learn", "statsforecast")  # fmt: skip
console = Console(soft_wrap=True, highlight=False)


def names_of(asked: list[str]) -> list[str]:
    """The benchmarks asked for, or all there are; UnknownName lists them."""
    found = sorted(path.stem for path in HERE.glob("[!_]*.py"))
    for name in asked:
        if name not in found:
            raise UnknownName("benchmark", name, found)
    return asked or found


def run_apart(name: str) -> dict[str, Any]:
    """Run one benchmark in a fresh process; a failure, a crash and a time-out are results too."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "result.json"
        try:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks._child", name, str(answer)], cwd=HERE.parent, timeout=TIME_LIMIT
            )
        except subprocess.TimeoutExpired:
            return {"failure": f"no result after {TIME_LIMIT} s"}
        if not answer.exists():
            return {"failure": f"the process ended with code {done.returncode} and left no result"}
        return json.loads(answer.read_text(encoding="utf-8"))


def machine() -> dict[str, Any]:
    """Cores, memory and versions the figures depend on."""
    versions = {package.metadata["Name"]: package.version for package in metadata.distributions()}
    return {
        "cores": len(os.sched_getaffinity(0)),
        "ram_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "processor": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: versions[name] for name in PACKAGES if name in versions},
    }


def commit() -> str:
    """Short id of the checked-out commit, with `-changed` where files differ from it; `unknown` outside git."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=HERE, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + ("-changed" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def show(results: dict[str, dict[str, Any]]) -> None:
    """The figures as a table; a missed bar and a failure stand out."""
    table = Table("benchmark", "figure", "value")
    for name, result in results.items():
        figures = result.get("figures", {})
        for figure, value in _flat(figures):
            table.add_row(name, figure, _shown(value), style="bold red" if value is False else None)
        if "failure" in result:
            table.add_row(name, "FAILED", escape(result["failure"].strip().splitlines()[-1]), style="bold red")
        for figure in ("seconds", "peak_gib", "peak_gib_largest_child", "load_before"):
            table.add_row(name, f"({figure})", _shown(result.get(figure)), style="dim")
        table.add_section()
    console.print(table)


def _flat(figures: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in figures.items():
        rows += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return rows


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "NO", None: "–"}[value]
    if isinstance(value, int | float):
        return f"{value:,.4g}" if abs(value) < 1_000 else f"{value:,.0f}"
    return escape(str(value))


def main() -> int:
    """Run, keep, show; 1 if a benchmark failed, 2 if the names are wrong."""
    try:
        names = names_of(sys.argv[1:])
    except SalesmlError as error:
        console.print(str(error), style="red", markup=False)
        return 2
    results: dict[str, dict[str, Any]] = {}
    at = dt.datetime.now(dt.UTC)
    path = HERE / "results" / f"{at:%Y-%m-%dT%H%M%S}-{commit()}.json"
    for number, name in enumerate(names, 1):
        console.print(f"{name} ({number} of {len(names)}) …")
        results[name] = run_apart(name)
        body = {"at": at.isoformat(timespec="seconds"), "commit": commit(), "machine": machine(), "benchmarks": results}
        write_atomically(path, json.dumps(body, indent=1).encode())
    show(results)
    console.print(f"kept in {path.relative_to(HERE.parent)}")
    return int(any("failure" in result for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
