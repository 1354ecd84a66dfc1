"""The scoring server: MLflow's protocol over a pinned version, with strict input. It does not import MLflow itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version as installed
from typing import TYPE_CHECKING
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

from salesml.errors import BadInput
from salesml.models.scorer import Scorer, load
from salesml.registry import columns as columns_file
from salesml.registry.columns import Column, unknown_categories
from salesml.registry.payload import read_csv, read_json
from salesml.registry.predictions import predictions

if TYPE_CHECKING:
    from salesml.registry.catalog import Registered

PINNED = "SALESML_SERVED"  # environment variable that tells the worker processes what to serve
MOST_BYTES = 32 * 2**20
INLINE_BYTES = 16 * 2**10  # larger bodies are answered in a thread, so that /health goes on answering
MOST_HEADER_COLUMNS = 20
READERS = {"application/json": read_json, "text/csv": read_csv}


@dataclass(frozen=True)
class Served:
    """The pinned version: name, number, kind, and the folder of its scorer and columns."""

    name: str
    version: int
    kind: str
    folder: str


class Refused(Exception):
    """A request that is answered with a 4xx status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def serve(registered: Registered, *, host: str = "127.0.0.1", port: int = 5001, workers: int = 1) -> None:
    """Answer until interrupted. Every worker process serves this very version, whatever is promoted meanwhile."""
    version = registered.version
    served = Served(version.name, version.number, version.kind, str(registered.folder))
    os.environ[PINNED] = json.dumps(asdict(served))
    app = f"{__name__}:{pinned_app.__name__}"
    uvicorn.run(app, factory=True, host=host, port=port, workers=workers, access_log=False, log_level="warning")


def pinned_app() -> FastAPI:
    """The app of a worker process: what $SALESML_SERVED pins."""
    served = Served(**json.loads(os.environ[PINNED]))
    return create_app(load(served.folder), columns_file.read(served.folder), served)


def create_app(scorer: Scorer, columns: tuple[Column, ...], served: Served, most_bytes: int = MOST_BYTES) -> FastAPI:
    """An app that answers /invocations, /ping, /health, /ready and /version for one model version, loaded already.

    Bodies above `most_bytes` get 413. Every answer names the version in the header `x-model-version`; text values never
    seen in training are scored and counted per column in `x-unknown-categories` (column names percent-encoded).
    """
    app = FastAPI(title=f"salesml {served.name}", docs_url=None, redoc_url=None, openapi_url=None)
    known = {column.name: frozenset(column.known) for column in columns if column.known is not None}
    identity = {"x-model": served.name, "x-model-version": str(served.version)}
    about = {"model": served.name, "version": served.version, "kind": served.kind}
    about |= {name: installed(name) for name in ("salesml", "mlflow")}

    async def alive() -> Response:
        return Response("\n", media_type="application/json", headers=identity)

    for path in ("/ping", "/health", "/ready"):
        app.get(path)(alive)

    @app.get("/version")
    async def version() -> Response:
        return Response(json.dumps(about), media_type="application/json", headers=identity)

    @app.post("/invocations")
    async def invocations(request: Request) -> Response:
        try:
            reader = _reader(request.headers)
            body = await _body(request, most_bytes)
            if len(body) <= INLINE_BYTES:
                return answer(reader, body)
            return await run_in_threadpool(answer, reader, body)
        except Refused as error:
            return _refusal(error.status, str(error))
        except BadInput as error:
            return _refusal(400, str(error))

    def answer(reader: str, body: bytes) -> Response:
        asked = READERS[reader](body, columns)
        result = predictions(scorer, asked.frame, columns, interval=asked.interval, factors=asked.factors, timing=asked.timing)
        content = json.dumps({"predictions": result.to_dict(orient="records")}, allow_nan=False)
        unknown = unknown_categories(asked.frame, known)
        return Response(content, media_type="application/json", headers={**identity, **_counted(unknown)})

    return app


def _reader(headers: Mapping[str, str]) -> str:
    """The media type to read, or 415."""
    kind, *parameters = (part.strip().lower() for part in headers.get("content-type", "").split(";"))
    if kind not in READERS or any(p not in ("charset=utf-8", 'charset="utf-8"', "") for p in parameters):
        raise Refused(415, f"send the content type {' or '.join(READERS)}, in UTF-8")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Refused(415, "send the body uncompressed")
    return kind


async def _body(request: Request, most: int) -> bytes:
    """The whole body, or 413 as soon as it is known to be too long."""
    too_long = Refused(413, f"the body is longer than {most:,} bytes; send fewer rows at a time")
    announced = request.headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > most:
        raise too_long
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise too_long
    return bytes(body)


def _refusal(status: int, message: str) -> Response:
    """An error in MLflow's shape."""
    content = json.dumps({"error_code": "BAD_REQUEST", "message": message})
    return Response(content, status_code=status, media_type="application/json")


def _counted(unknown: Mapping[str, int]) -> dict[str, str]:
    shown = [f"{quote(name)}={count}" for name, count in unknown.items()][:MOST_HEADER_COLUMNS]
    return {"x-unknown-categories": ", ".join(shown)} if shown else {}
