"""The registered model behind real servers: ours, and plain `mlflow models serve`, give the native probabilities."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from registry_models import GOOD, columns, folders, rows, scorer, workspace

from salesml.registry import catalog, tracking

SALESML = [sys.executable, "-c", "from salesml.cli import main; main()", "--workspace"]


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def started(command: list[str], url: str, ours: bool = True, **environment: str) -> Iterator[subprocess.Popen]:
    """The process while its server answers at `url`; interrupted as by Ctrl-C afterwards, with all that it started.

    A server of `ours` must not end with a traceback; what MLflow's own prints when interrupted is not in our hands.
    """
    log = Path(workspace().root / "server.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, **environment}, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url).status_code == 200:
                    break
            time.sleep(0.3)
        yield process
        os.killpg(process.pid, signal.SIGINT)
        process.wait(20)
        assert not ours or "Traceback" not in log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def request() -> dict:
    records = rows(200, 11).to_dict("records")
    return {"dataframe_records": [{k: None if v != v else v for k, v in record.items()} for record in records]}


@pytest.fixture(scope="module", autouse=True)
def _champion():
    """Version 2 of deal_outcome is the champion, after its baseline."""
    catalog.register(workspace(), "deal_outcome", folders()[0], columns=columns(), baseline=True)
    better = catalog.register(workspace(), "deal_outcome", folders()[1], columns=columns(), evidence=GOOD)
    catalog.promote(workspace(), "deal_outcome", better.number, by="ada")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_our_server_gives_the_native_probabilities_and_ends_on_interrupt(workers):
    port = free_port()
    command = [*SALESML, str(workspace().root), "serve", "--port", str(port), "--workers", str(workers)]
    with started(command, f"http://127.0.0.1:{port}/ready") as process:
        answer = httpx.post(f"http://127.0.0.1:{port}/invocations", json=request())
        assert [row["probability"] for row in answer.json()["predictions"]] == scorer().predict(rows(200, 11)).tolist()
        assert answer.headers["x-model-version"] == "2"
    assert process.returncode in (0, -signal.SIGINT)


@pytest.mark.slow
def test_plain_mlflow_serves_the_same_model_with_the_same_answers():
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/deal_outcome@champion"),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
    ]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # mlflow starts uvicorn by name
    address = tracking.uri(workspace())
    with started(command, f"http://127.0.0.1:{port}/ping", MLFLOW_TRACKING_URI=address, ours=False, PATH=path):
        body = {**request(), "params": {"interval": True, "factors": 3}}
        theirs = httpx.post(f"http://127.0.0.1:{port}/invocations", json=body).json()
        lo, hi = scorer().interval(rows(200, 11), 0.9)
        assert [row["probability"] for row in theirs["predictions"]] == scorer().predict(rows(200, 11)).tolist()
        assert [row["lo"] for row in theirs["predictions"]] == lo.tolist()
        assert [row["hi"] for row in theirs["predictions"]] == hi.tolist()
        assert all(len(row["factors"]) <= 3 for row in theirs["predictions"])


@pytest.mark.slow
def test_the_tracking_pages_show_the_workspace_s_models():
    with tracking.run(workspace(), "shown", params={}) as run:
        run.log_dict({"kept": "in the workspace"}, "note.json")
    port = free_port()
    command = [*SALESML, str(workspace().root), "tracking", "--port", str(port)]
    with started(command, f"http://127.0.0.1:{port}/health", ours=False):
        found = httpx.get(f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search").json()
        assert "deal_outcome" in {model["name"] for model in found["registered_models"]}
        query = {"run_uuid": run.id, "path": "note.json"}
        assert httpx.get(f"http://127.0.0.1:{port}/get-artifact", params=query).json() == {"kept": "in the workspace"}
        assert "<html" in httpx.get(f"http://127.0.0.1:{port}/").text
