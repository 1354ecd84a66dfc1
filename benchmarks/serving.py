"""Scoring through the registered model: batches, and single rows over HTTP beside plain `mlflow models serve`."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from salesml.models.outcome import OutcomeModel
from salesml.registry import catalog, tracking
from salesml.registry.columns import columns_of
from salesml.workspace import Workspace

BATCH, FACTOR_BATCH, CALLS, CLIENTS = 1_000_000, 40_000, 300, 4
NAME = "bench"


def run() -> dict[str, Any]:
    """A CatBoost model of 25 columns, 6 of them text: rows/s in a batch, ms a call and calls/s for one row."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.create(Path(folder))
        model, X = _registered(workspace), _rows(BATCH, 3)
        pyfunc = catalog.load_pyfunc(workspace, NAME)
        batch = BATCH / _seconds(lambda: pyfunc.predict(X))
        with_factors = FACTOR_BATCH / _seconds(lambda: pyfunc.predict(X[:FACTOR_BATCH], params={"factors": 5}))
        figures = {
            "batch_rows_per_second": batch,
            "batch_native_rows_per_second": BATCH / _seconds(lambda: model.predict(X)),
            "batch_with_factors_rows_per_second": with_factors,
        }
        body = json.dumps({"dataframe_records": X[:1].to_dict("records")}).encode()
        with _serving(_ours(workspace, 1), "/ready") as port:
            figures |= _calls(port, body, "")
        with _serving(_ours(workspace, 2), "/ready") as port:
            figures["two_workers_calls_per_second"] = _calls(port, body, "")["calls_per_second"]
        with _serving(_plain(), "/ping", MLFLOW_TRACKING_URI=tracking.uri(workspace)) as port:
            figures |= _calls(port, body, "plain_")
    figures["ratio"] = figures["plain_p50_ms"] / figures["p50_ms"]
    bar = "batch through the registered model at 500,000 rows/s, with factors at 20,000 rows/s"
    return {**figures, "bar": bar, "met": batch >= 500_000 and with_factors >= 20_000}


def _registered(workspace: Workspace) -> catalog.Registered:
    X, later = _rows(20_000, 1), _rows(5_000, 2)
    model = OutcomeModel.fit(X, _outcome(X, 4), calibration=(later, _outcome(later, 5)))
    model.save(workspace.root / "model")
    catalog.register(workspace, NAME, workspace.root / "model", columns=columns_of(X), study=True)
    return catalog.load(workspace, NAME)


def _rows(count: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    levels = np.array([f"level {number}" for number in range(8)], dtype=object)
    frame = pd.DataFrame({f"number_{i}": rng.normal(size=count) for i in range(19)})
    return frame.assign(**{f"text_{i}": pd.array(levels[rng.integers(0, 8, count)], dtype="str") for i in range(6)})


def _outcome(X: pd.DataFrame, seed: int) -> np.ndarray:
    logits = X["number_0"] + 0.5 * X["number_1"] + (X["text_0"] == "level 3") - 0.5
    return (np.random.default_rng(seed).uniform(size=len(X)) < 1 / (1 + np.exp(-logits))).astype(int).to_numpy()


def _seconds(work: Any) -> float:
    """The shorter of two times: the first call warms up."""
    times = []
    for _ in range(2):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _ours(workspace: Workspace, workers: int) -> list[str]:
    main = [sys.executable, "-c", "from salesml.cli import main; main()", "--workspace", str(workspace.root)]
    return [*main, "serve", "--model", NAME, "--workers", str(workers)]


def _plain() -> list[str]:
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    return [*serve, "--env-manager", "local", "--host", "127.0.0.1"]


@contextlib.contextmanager
def _serving(command: list[str], ready: str, **environment: str) -> Iterator[int]:
    """The port at which the command answers `ready`; it and its children are ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # mlflow starts uvicorn by name
    process = subprocess.Popen(
        [*command, "--port", str(port)], env={**os.environ, **environment, "PATH": path},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(400):
            with contextlib.suppress(OSError):
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", ready)
                if connection.getresponse().status == 200:
                    break
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with code {process.returncode}: {' '.join(command)}")
            time.sleep(0.3)
        yield port
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _calls(port: int, body: bytes, prefix: str) -> dict[str, float]:
    """Milliseconds of calls one after another, and calls a second from several clients at once."""
    _client(port, body, 30)
    alone = np.array(_client(port, body, CALLS)) * 1000
    started = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda _: _client(port, body, CALLS // 2), range(CLIENTS)))
    rate = CLIENTS * (CALLS // 2) / (time.perf_counter() - started)
    return {
        f"{prefix}p50_ms": float(np.quantile(alone, 0.5)),
        f"{prefix}p95_ms": float(np.quantile(alone, 0.95)),
        f"{prefix}calls_per_second": rate,
    }


def _client(port: int, body: bytes, calls: int) -> list[float]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        connection.request("POST", "/invocations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"answer {answer.status}")
        times.append(time.perf_counter() - started)
    return times
