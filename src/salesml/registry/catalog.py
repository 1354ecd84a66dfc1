"""Registered models: registering, loading and promoting them. The champion is an alias, moved only here."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, GateRefused
from salesml.evaluation.certificate import Certificate
from salesml.models.outlook import Outlook
from salesml.models.scorer import Scorer, Timed
from salesml.models.scorer import load as load_scorer
from salesml.registry import columns as columns_file
from salesml.registry import tracking
from salesml.registry.columns import Column
from salesml.registry.environment import scoring_requirements
from salesml.registry.gate import Evidence, judge
from salesml.registry.predictions import predictions
from salesml.registry.versions import CHAMPION, PREVIOUS, Version, champion, find, from_mlflow, versions
from salesml.state import audit, users
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

__all__ = ["CHAMPION", "PREVIOUS", "Registered", "Version", "champion", "find", "load", "load_pyfunc", "promote",
           "register", "versions"]  # fmt: skip
BASELINES = ("base_rate", "group_rate", "handful")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


@dataclass(frozen=True)
class Registered:
    """A loaded version: the native scorer, the columns it takes, the folder that holds both."""

    version: Version
    scorer: Scorer
    columns: tuple[Column, ...]
    folder: Path

    @property
    def uri(self) -> str:
        """The MLflow address of the version."""
        return self.version.uri

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the columns that the scorer itself reads."""
        return self.scorer.features

    @property
    def categorical(self) -> tuple[str, ...]:
        """Those of `features` that hold categories."""
        return self.scorer.categorical

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """The calibrated probability, one per row."""
        return self.scorer.predict(columns_file.complete(X, self.columns))

    def interval(self, X: pd.DataFrame, level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Bounds (lo, hi) of the calibrated probability."""
        return self.scorer.interval(columns_file.complete(X, self.columns), level)

    def explain(self, X: pd.DataFrame) -> tuple[float, pd.DataFrame]:
        """Base and effects in log-odds that add up to the prediction's."""
        return self.scorer.explain(columns_file.complete(X, self.columns))

    def outlook(self, X: pd.DataFrame) -> Outlook | None:
        """What may become of the rows' deals and when; None for a scorer that knows nothing of time."""
        return self.scorer.outlook(columns_file.complete(X, self.columns)) if isinstance(self.scorer, Timed) else None

    @property
    def certificate(self) -> Certificate | None:
        """How the version did on later outcomes; None for one registered without."""
        return Certificate.read(self.folder)

    def predictions(
        self, X: pd.DataFrame, *, interval: bool = False, factors: int = 0, timing: bool = False
    ) -> pd.DataFrame:
        """What the scoring server would answer: probability, and on request lo, hi, factors, timing."""
        return predictions(self.scorer, X, self.columns, interval=interval, factors=factors, timing=timing)


def register(
    workspace: Workspace,
    name: str,
    folder: Path,
    *,
    columns: Sequence[Column] | None = None,
    run: tracking.Run | None = None,
    metrics: Mapping[str, float] | None = None,
    evidence: Evidence | None = None,
    tags: Mapping[str, object] | None = None,
    baseline: bool = False,
    study: bool = False,
) -> Version:
    """Register the scorer saved in `folder` as the next version of `name`, in the open `run` or one of its own.

    `columns` are what callers send, so that baseline and model of one name take the same rows; the scorer's features
    where none are given. A baseline (a rate, or the scorer for few outcomes) becomes champion where there is none. A study is a model
    of one closed-row table: exempt from the gate, champion at once, and never under a name that the gate guards.
    BadParameter for a name that is not 1 to 100 letters, digits, `_`, `-`, `.`.
    """
    scorer, columns = load_scorer(folder), tuple(columns or ())
    _check(name, scorer, columns, baseline)
    columns = columns or tuple(Column(f, "text" if f in scorer.categorical else "number") for f in scorer.features)
    tracking.configure(workspace)
    _claim(name, study)
    facts = {**(tags or {}), "kind": scorer.kind, "baseline": baseline, "study": study}
    own = tracking.run(workspace, "models", params={"model": name, "kind": scorer.kind})
    with nullcontext(run) if run else own as opened:
        version = _log(name, folder, columns, facts, metrics or {}, evidence, opened)
    if study or (baseline and champion(workspace, name) is None):
        reason = "study of a closed-row table" if study else "first baseline"
        _crown(workspace, version, users.current_user(workspace).name, reason)
    return find(workspace, name, version.number)


def load(workspace: Workspace, name: str, alias_or_version: str | int = CHAMPION) -> Registered:
    """The native scorer of a version; a version is read from disk once a process."""
    version = find(workspace, name, alias_or_version)
    scorer, columns, folder = _read(version.source)
    return Registered(version, scorer, columns, folder)


def load_pyfunc(workspace: Workspace, name: str, alias_or_version: str | int = CHAMPION) -> PyFuncModel:
    """The version as MLflow's own pyfunc. It wants number columns as float64, and ignores extra columns."""
    version = find(workspace, name, alias_or_version)
    import mlflow

    return mlflow.pyfunc.load_model(version.uri)


def promote(workspace: Workspace, name: str, version: int, *, by: str, evidence: Evidence | None = None) -> Version:
    """Make a version the champion if the gate lets it pass on `evidence` (default: what it was registered with).

    The champion before it becomes `previous`. GateRefused gives the figures; both outcomes go to the audit log as
    `by`'s and the verdict to MLflow. Going back to a baseline, or to another version of a study, needs no evidence.
    """
    chosen = find(workspace, name, version)
    import mlflow

    if chosen.baseline or chosen.study:
        return _crown(workspace, chosen, by, "baseline" if chosen.baseline else "study of a closed-row table")
    evidence = evidence or chosen.evidence
    subject = f"model {name} version {chosen.number}"
    if evidence is None:
        raise GateRefused(f"{subject} has no evidence; register it with its figures on unseen later rows")
    verdict, client = judge(evidence), mlflow.MlflowClient()
    tags = {"gate": str(verdict), "gate.passed": str(verdict.passed).lower(), "evidence": evidence.to_json()}
    for tag, text in tags.items():
        client.set_model_version_tag(name, str(chosen.number), tag, text)
        client.set_tag(chosen.run_id, tag, text)
    if not verdict.passed:
        audit.record(workspace, by, "promotion refused", subject, {"verdict": str(verdict)})
        raise GateRefused(f"{subject} is {verdict}")
    return _crown(workspace, chosen, by, str(verdict))


def _check(name: str, scorer: Scorer, columns: tuple[Column, ...], baseline: bool) -> None:
    if not NAME.fullmatch(name):
        raise BadParameter(
            f"model name {name[:120]!r} is not 1 to 100 letters, digits, '_', '-', '.', first a letter or digit"
        )
    if baseline and scorer.kind not in BASELINES:
        raise BadParameter(f"a scorer of kind {scorer.kind!r} is no baseline; valid: {', '.join(BASELINES)}")
    if not columns and not scorer.features:
        raise BadParameter(f"a scorer of kind {scorer.kind!r} reads no column: give the columns that callers send")
    absent = set(scorer.features) - {column.name for column in columns}
    if columns and absent:
        raise BadParameter(f"columns lack what the scorer reads: {', '.join(sorted(absent))}")


def _claim(name: str, study: bool) -> None:
    """Create the registered model, or make sure that a study does not slip under a name which the gate guards."""
    import mlflow

    client, kind = mlflow.MlflowClient(), "study" if study else "gated"
    try:
        existing = client.get_registered_model(name)
    except mlflow.MlflowException:
        client.create_registered_model(name, tags={"guard": kind})
        return
    if existing.tags.get("guard") != kind:
        other = existing.tags.get("guard", "foreign")
        raise BadParameter(f"model name {name} is taken by a {other} model and this one is {kind}; choose another name")


def _log(
    name: str,
    folder: Path,
    columns: tuple[Column, ...],
    facts: Mapping[str, Any],
    metrics: Mapping[str, float],
    evidence: Evidence | None,
    run: tracking.Run,
) -> Version:
    """Log the model into the run and register it; its tags are set together with the version or not at all."""
    import mlflow

    tags = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in facts.items()}
    tags["metrics"] = json.dumps({key: float(value) for key, value in metrics.items()})
    if evidence is not None:
        tags["evidence"] = evidence.to_json()
    with tempfile.TemporaryDirectory() as temporary:
        outcome = Path(temporary) / "outcome"
        shutil.copytree(folder, outcome)
        columns_file.write(columns, outcome)
        logged = mlflow.pyfunc.log_model(
            name=name.replace(".", "_"),  # MLflow takes a dot in a registered name, not in a logged one
            python_model=Path(__file__).with_name("outcome_pyfunc.py"),
            artifacts={"outcome": str(outcome)},
            signature=columns_file.signature(columns),
            input_example=columns_file.example(columns),
            pip_requirements=scoring_requirements(),
        )
    client = mlflow.MlflowClient()
    made = client.create_model_version(name, logged.model_uri, run.id, tags, model_id=logged.model_id)
    return from_mlflow(made, {})


def _crown(workspace: Workspace, version: Version, by: str, reason: str) -> Version:
    """Move the alias. The audit log comes first: no promotion is nobody's."""
    import mlflow

    before = champion(workspace, version.name)
    details = {"reason": reason, "before": before.number if before else None}
    audit.record(workspace, by, "promote", f"model {version.name} version {version.number}", details)
    client = mlflow.MlflowClient()
    if before and before.number != version.number:
        client.set_registered_model_alias(version.name, PREVIOUS, str(before.number))
    client.set_registered_model_alias(version.name, CHAMPION, str(version.number))
    return find(workspace, version.name, version.number)


@lru_cache(maxsize=16)
def _read(source: str) -> tuple[Scorer, tuple[Column, ...], Path]:
    """The scorer and columns of a logged model, whose source (`models:/m-…`) never holds anything else."""
    import mlflow

    folder = Path(mlflow.artifacts.download_artifacts(source)) / "artifacts" / "outcome"
    return load_scorer(folder), columns_file.read(folder), folder
