"""MLflow tracking in a workspace: one database, one artifact folder, and runs that say what they were computed from."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from salesml.errors import BadParameter, WorkspaceError
from salesml.registry.environment import describe
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from salesml.lake.head import Head

LONGEST_PARAMETER = 6000  # characters; MLflow refuses longer ones
LONGEST_ERROR = 5000
ENVIRONMENT = {  # how MLflow is run here, also for processes started by us: it reports to nobody, and quietly
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


@dataclass(frozen=True)
class Run:
    """An open run. Artifact names are paths inside the run, such as `calibration.html`."""

    id: str
    experiment: str

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record all figures in one call (100 single calls take 1 s)."""
        import mlflow

        mlflow.log_metrics({name: float(value) for name, value in metrics.items()}, step=step, run_id=self.id)

    def log_tags(self, tags: Mapping[str, object]) -> None:
        """Record facts that are not figures."""
        import mlflow

        client = mlflow.MlflowClient()
        for name, value in tags.items():
            client.set_tag(self.id, name, _text(value))

    def log_dict(self, content: Mapping[str, Any], name: str) -> None:
        """Store a dictionary as the JSON or YAML artifact `name`."""
        import mlflow

        mlflow.log_dict(dict(content), name, run_id=self.id)

    def log_figure(self, figure: Figure | Path | str, name: str | None = None) -> None:
        """Store a plotly figure as the page `name`, which opens without a network, or a picture file as it is."""
        import mlflow

        if isinstance(figure, Path | str):
            mlflow.log_artifact(str(figure), run_id=self.id)
            return
        if not name or not name.endswith(".html"):
            raise BadParameter(f"a plotly figure is stored as a page: name {name!r} must end in .html")
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / Path(name).name
            figure.write_html(page, include_plotlyjs=True)
            mlflow.log_artifact(str(page), str(Path(name).parent) if "/" in name else None, run_id=self.id)

    def log_artifacts(self, folder: Path | str, under: str | None = None) -> None:
        """Store every file of a folder, in the run's folder `under` where given."""
        import mlflow

        mlflow.log_artifacts(str(folder), under, run_id=self.id)


def uri(workspace: Workspace) -> str:
    """Address of the workspace's tracking database and model registry, for MLFLOW_TRACKING_URI."""
    return f"sqlite:///{workspace.mlruns / 'mlflow.db'}"


def configure(workspace: Workspace) -> None:
    """Point MLflow (its runs, registry and `models:/` addresses) at the workspace; free where it already is.

    The first call in a process imports MLflow (3.5 s), the first in a workspace creates the database (2.4 s).
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import mlflow

    address = uri(workspace)
    if mlflow.get_tracking_uri() == address and mlflow.get_registry_uri() == address:
        return
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    (workspace.mlruns / "artifacts").mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)


def server_command(workspace: Workspace, port: int) -> list[str]:
    """The command that shows the workspace's runs at a port of this machine; run it with ENVIRONMENT set."""
    artifacts = workspace.mlruns / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", uri(workspace), "--default-artifact-root", artifacts.as_uri()),
    ]


@contextmanager
def run(
    workspace: Workspace,
    experiment: str,
    *,
    params: Mapping[str, object],
    head: Head | None = None,
    tags: Mapping[str, object] | None = None,
) -> Iterator[Run]:
    """Open a run that records parameters, code version, lake versions, environment, user and duration.

    Inside another run it becomes its child. An exception ends it as FAILED, with `error.type` and `error.message`, and
    goes on. Nested parameters are recorded as `outer.inner`.
    """
    configure(workspace)
    import mlflow

    facts = {name: _text(value) for name, value in {**describe(), **_lake(head), **(tags or {})}.items()}
    with mlflow.start_run(experiment_id=_experiment(workspace, experiment), nested=True, tags=facts) as active:
        opened = Run(active.info.run_id, experiment)
        mlflow.log_params(_flat(params), run_id=opened.id)
        try:
            yield opened
        except BaseException as error:
            opened.log_tags({"error.type": type(error).__name__, "error.message": str(error)[:LONGEST_ERROR]})
            raise


def _experiment(workspace: Workspace, name: str) -> str:
    """Id of the experiment, created with its artifacts inside the workspace."""
    import mlflow

    found = mlflow.get_experiment_by_name(name)
    if found is None:
        place = (workspace.mlruns / "artifacts" / quote(name, safe=" ")).as_uri()
        try:
            return mlflow.create_experiment(name, artifact_location=place)
        except mlflow.MlflowException as error:
            found = mlflow.get_experiment_by_name(name)  # another process was quicker
            if found is None:
                raise BadParameter(f"experiment {name!r} cannot be created: {error.message}") from error
    if found.lifecycle_stage == "deleted":
        number = found.experiment_id
        raise WorkspaceError(f"experiment {name!r} was deleted. Restore it: mlflow experiments restore -x {number}")
    return found.experiment_id


def _lake(head: Head | None) -> dict[str, object]:
    if head is None:
        return {}
    return {"lake.head": head.id, **{f"lake.{table}": pin.version for table, pin in head.tables.items()}}


def _flat(params: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in params.items():
        key = prefix + re.sub(r"[^\w\-. /:]", "_", str(name))
        flat.update(_flat(value, f"{key}.") if isinstance(value, Mapping) else {key: _text(value)[:LONGEST_PARAMETER]})
    return flat


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
