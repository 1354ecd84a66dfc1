"""What a run was computed with: code version, Python, packages, lock file."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import salesml

SCORING = ("mlflow", "numpy", "pandas", "scipy", "scikit-learn", "catboost")
PACKAGES = (*SCORING, "pyarrow", "duckdb", "deltalake", "prophet", "statsforecast")


def describe() -> dict[str, str]:
    """Tags of the code and environment: `code.*` is read afresh, `env.*` once a process.

    `code.commit` and `code.dirty` are there only where salesml runs from its own git checkout.
    """
    return {**_code(), **_environment()}


def scoring_requirements() -> list[str]:
    """Pinned packages that scoring needs besides salesml itself, which is on no index."""
    return [f"{name}=={version(name)}" for name in SCORING]


def _code() -> dict[str, str]:
    tags = {"code.version": _installed("salesml") or "unknown"}
    folder = Path(salesml.__file__).parent
    # site-packages may lie inside somebody else's checkout: only a tracked salesml tells its own commit
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return tags
    commit, changes = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "--", ".")
    if commit is None or changes is None:
        return tags
    return {**tags, "code.commit": commit, "code.dirty": str(bool(changes)).lower(), "mlflow.source.git.commit": commit}


@cache
def _environment() -> dict[str, str]:
    packages = {f"env.{name}": found for name in PACKAGES if (found := _installed(name))}
    lock = Path(salesml.__file__).parents[2] / "requirements.lock"
    sealed = {"env.lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest()} if lock.is_file() else {}
    return {"env.python": platform.python_version(), "env.platform": platform.platform(), **packages, **sealed}


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
