"""The versions of registered models: what is there, and which one is the champion."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from salesml.errors import UnknownName
from salesml.registry import tracking
from salesml.registry.gate import Evidence
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, PREVIOUS = "champion", "previous"


@dataclass(frozen=True)
class Version:
    """One registered version of a model, with all `tags` it has in MLflow.

    `source` is its alone for ever; `evidence` is what the gate judges it by.
    """

    name: str
    number: int
    kind: str
    baseline: bool
    study: bool
    aliases: tuple[str, ...]
    metrics: Mapping[str, float]
    created: dt.datetime
    run_id: str
    source: str
    evidence: Evidence | None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """The MLflow address of exactly this version."""
        return f"models:/{self.name}/{self.number}"


def versions(workspace: Workspace, name: str | None = None) -> list[Version]:
    """The versions of a model, or of all models, by name and number; UnknownName lists the registered models."""
    tracking.configure(workspace)
    import mlflow

    client = mlflow.MlflowClient()
    models = {model.name: model.aliases for model in client.search_registered_models(max_results=1000)}
    if name is not None and name not in models:
        raise UnknownName("model", name, models)
    query = "" if name is None else f"name = '{name}'"
    found = client.search_model_versions(query, max_results=10_000)
    return sorted((from_mlflow(v, models[v.name]) for v in found), key=lambda v: (v.name, v.number))


def find(workspace: Workspace, name: str, alias_or_version: str | int = CHAMPION) -> Version:
    """One version by number or alias; UnknownName lists what there is."""
    known = versions(workspace, name)
    wanted = str(alias_or_version)
    for version in known:
        if wanted == str(version.number) or wanted in version.aliases:
            return version
    valid = [str(version.number) for version in known] + [alias for version in known for alias in version.aliases]
    raise UnknownName(f"version of {name}", wanted, valid)


def champion(workspace: Workspace, name: str) -> Version | None:
    """The version in use, None where nothing was ever promoted; UnknownName for a model that is not registered."""
    return next((version for version in versions(workspace, name) if CHAMPION in version.aliases), None)


def from_mlflow(found: ModelVersion, aliases: Mapping[str, str]) -> Version:
    """The version as MLflow holds it, with the aliases (name → version number) of its model."""
    tags = found.tags
    return Version(
        name=found.name,
        number=int(found.version),
        kind=tags.get("kind", "unknown"),
        baseline=tags.get("baseline") == "true",
        study=tags.get("study") == "true",
        aliases=tuple(sorted(alias for alias, number in aliases.items() if str(number) == str(found.version))),
        metrics=json.loads(tags.get("metrics", "{}")),
        created=dt.datetime.fromtimestamp(found.creation_timestamp / 1000, dt.UTC),
        run_id=found.run_id or "",
        source=found.source or "",
        evidence=Evidence.from_json(tags["evidence"]) if "evidence" in tags else None,
        tags=dict(tags),
    )
