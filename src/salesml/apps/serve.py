"""The front of the apps: snapshots of every app at once and without a kernel, live pages behind them for those who work."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response, WebSocket
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse

from salesml.apps import address, frame, live, proxy, theme
from salesml.apps.catalogue import APPS, App, Told
from salesml.apps.language import CODES, Language, chosen
from salesml.apps.snapshots import Kept, Snapshots
from salesml.errors import SalesmlError, UnknownName, WorkspaceError
from salesml.reporting.catalogue import folder as notebooks_folder
from salesml.reporting.exports import KINDS, export
from salesml.workspace import Workspace

log = logging.getLogger(__name__)
RENEW_S = 5.0
"""Seconds between two looks at the lake's state; the page itself asks every 15 s, so that new facts show within 30."""
PATIENCE_S = 0.7
"""Seconds a reader waits for a picture before the page says that it is being drawn; the page asks again every second then."""
SNAPSHOT_ONLY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
SAFE = {"content-security-policy": SNAPSHOT_ONLY, "x-content-type-options": "nosniff", "referrer-policy": "same-origin"}
BEHIND = ("voila/render/", "voila/static/", "voila/templates/", "voila/labextensions/", "voila/build/", "voila/themes/", "voila/query/",
          "voila/api/", "api/kernels/", "static/")  # fmt: skip
"""What is handed on of the live server: its pages and what belongs to them, not its list of notebooks."""


@dataclass(frozen=True)
class Settings:
    """How the live pages are kept: seconds until an idle kernel ends, kernels that wait by app, kernels readers may have at most."""

    idle: int = 120
    warm: Mapping[str, int] | None = None
    most: int = 12

    def waiting(self, apps: Mapping[str, App]) -> Mapping[str, int]:
        """The kernels that wait by app: one each of the first two apps, unless said otherwise."""
        return dict.fromkeys(list(apps)[:2], 1) if self.warm is None else self.warm


class Behind:
    """The live server: started, started again when it ended by itself, stopped with the front."""

    def __init__(self, workspace: Workspace, notebooks: Path, settings: Settings, apps: Mapping[str, App]) -> None:
        self._start = lambda port: live.start(
            workspace, notebooks, port, settings.idle, settings.waiting(apps), settings.most
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.base = ""

    def keep(self) -> None:
        """Start it unless it runs."""
        if self.process is None or self.process.poll() is not None:
            port = free_port()
            self.base, self.process = f"http://{live.LOOPBACK}:{port}", self._start(port)

    def stop(self) -> None:
        """End it with all its kernels."""
        if self.process is not None:
            live.stop(self.process)


def create_app(
    workspace: Workspace, notebooks: Path | None, settings: Settings | None = None, apps: Mapping[str, App] = APPS
) -> FastAPI:
    """The front of a workspace; without `notebooks` there are snapshots alone. Only this machine's own pages may ask it."""
    settings = settings or Settings()
    snapshots = Snapshots(workspace, {name: _drawn(workspace, app) for name, app in apps.items()})
    behind = Behind(workspace, notebooks, settings, apps) if notebooks is not None else None
    rest = max(settings.idle - 20, settings.idle / 2)  # a page leaves before its kernel is ended

    pending: dict[tuple[str, str, str], asyncio.Task[Kept]] = {}

    async def drawn(*key: str) -> Kept:
        """The picture, or after a short wait the line that it is being drawn, with an empty tag."""
        asked = (key[0], key[1], key[2])
        if asked not in pending:
            pending[asked] = asyncio.create_task(run_in_threadpool(snapshots.get, *asked))
            pending[asked].add_done_callback(lambda _: pending.pop(asked))
        task = pending[asked]
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        return task.result() if done else Kept(_drawing(Language(asked[1])), "", 0, 0, 0)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(_renewing(snapshots)), asyncio.create_task(_keeping(behind))]
        async with httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None), trust_env=False) as client:
            front.state.client = client
            yield
        for task in tasks:
            task.cancel()
        if behind is not None:
            await run_in_threadpool(behind.stop)

    front = FastAPI(title="salesml apps", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    front.state.behind, front.state.snapshots = behind, snapshots
    front.add_middleware(TrustedHostMiddleware, allowed_hosts=[live.LOOPBACK, "localhost"])

    @front.get("/")
    async def begin(request: Request) -> Response:
        return RedirectResponse(f"/{next(iter(apps))}{f'?{request.url.query}' if request.url.query else ''}", 307)

    @front.get("/health")
    async def health() -> Response:
        return PlainTextResponse("ok\n")

    @front.get("/front.js")
    async def script() -> Response:
        return Response((theme.HERE / "front.js").read_bytes(), media_type="text/javascript", headers={"cache-control": "no-cache"})

    @front.get("/{app}")
    async def snapshot(request: Request, app: str) -> Response:
        if app not in apps:
            return PlainTextResponse(f"there is no app {app!r}; there are: {', '.join(apps)}\n", 404)
        language, query = spoken(request), bare(request.url.query)
        kept = await drawn(app, language.code, query)
        headers = {"etag": f'"{kept.tag}"', "cache-control": "no-cache", "vary": "accept-language", **SAFE}
        if kept.tag and request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        head = frame.header(app, _titles(apps, language), language, query, rest)
        link = frame.live(app, address.in_language(query, language.code))
        title = f"{apps[app].title(language)} · {workspace.settings.name}"
        own = apps[app].translated or not kept.tag
        return HTMLResponse(frame.page(title, head, kept.html, language, link, own=own, tag=kept.tag), headers=headers)

    @front.get("/{app}/file.{kind}")
    async def file(request: Request, app: str, kind: str) -> Response:
        told = apps[app].document if app in apps else None
        if told is None or kind not in KINDS:
            return PlainTextResponse(f"there is no file of that; kinds are: {', '.join(KINDS)}\n", 404)
        language, query = spoken(request), bare(request.url.query)
        content = await run_in_threadpool(_file, workspace, told, language, query, kind)
        named = {"content-disposition": f'attachment; filename="{app}.{kind}"', "cache-control": "no-store", **SAFE}
        return Response(content, media_type=KINDS[kind], headers=named)

    @front.api_route("/live/{path:path}", methods=["GET", "HEAD", "POST", "DELETE"])
    async def live_page(request: Request, path: str) -> Response:
        if behind is None or not path.startswith(BEHIND):
            return PlainTextResponse("there is nothing here\n", 404)
        if request.method not in ("GET", "HEAD") and proxy.foreign(request.headers):
            return PlainTextResponse("asked for by a page of another site\n", 403)
        app = path.removeprefix("voila/render/").removesuffix(".ipynb")
        page = path.startswith("voila/render/")
        if page and app not in apps:
            return PlainTextResponse(f"there is no app {app!r}; there are: {', '.join(apps)}\n", 404)

        async def fill(beginning: bytes) -> bytes:
            language, query = spoken(request), bare(request.url.query)
            kept = await drawn(app, language.code, query)
            head = frame.header(app, _titles(apps, language), language, query, rest)
            own = "" if apps[app].translated or not kept.tag else ' lang="en"'
            head += f'<div id="picture" aria-busy="true"{own}>{kept.html}</div>'
            return proxy.with_head(beginning, language.code, escape(f"{apps[app].title(language)} · {workspace.settings.name}"), head)

        client: httpx.AsyncClient = front.state.client
        try:
            return await proxy.hand_on(client, behind.base, request, fill if page else None)
        except httpx.TransportError:
            return HTMLResponse(_waiting(spoken(request)), 503, headers={"retry-after": "2"})

    @front.websocket("/live/{path:path}")
    async def live_socket(browser: WebSocket, path: str) -> None:
        if behind is None or not path.startswith(BEHIND) or proxy.foreign(browser.headers):
            await browser.close(1008)
            return
        await proxy.hand_on_socket(browser, behind.base)

    return front


def serve(workspace: Workspace, port: int, settings: Settings | None = None) -> None:
    """Answer on 127.0.0.1 until interrupted; the live server and its kernels end with it. WorkspaceError where a notebook lacks."""
    folder = notebooks_folder() / "apps"
    missing = [name for name in APPS if not (folder / f"{name}.ipynb").exists()]
    if missing:
        raise WorkspaceError(f"the apps are not all in this checkout: {', '.join(missing)} ({folder})")
    front = create_app(workspace, folder, settings)
    uvicorn.run(front, host=live.LOOPBACK, port=port, access_log=False, log_level="warning", timeout_graceful_shutdown=5)


def main() -> int:
    """Serve the workspace salesml is called for, by the options in the first argument: port, idle, warm (names of apps, or null), most."""
    options = json.loads(sys.argv[1])
    try:
        for name in options["warm"] or ():
            if name not in APPS:
                raise UnknownName("app", name, APPS)
        settings = Settings(options["idle"], options["warm"] and dict.fromkeys(options["warm"], 1), options["most"])
        serve(Workspace.open(), options["port"], settings)
    except SalesmlError as error:
        print(f"error {error}", file=sys.stderr)
        return 2
    return 0


def spoken(request: Request) -> Language:
    """The language of a request: what its address asks for, else what its reader likes."""
    return chosen(request.headers.get("accept-language", ""), address.asked_language(request.url.query))


def bare(query: str) -> str:
    """A query without its language, cut where it is longer than any of ours."""
    pairs = address.in_language(query, CODES[0]).removesuffix(f"{address.LANGUAGE}={CODES[0]}")
    return pairs.rstrip("&?")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens at."""
    with socket.socket() as probe:
        probe.bind((live.LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _titles(apps: Mapping[str, App], language: Language) -> dict[str, str]:
    return {name: app.title(language) for name, app in apps.items()}


def _drawn(workspace: Workspace, app: App) -> Callable[[str, str], str]:
    """The picture of an app as a function of language code and query; what the reader can mend is shown in its place."""

    def draw(code: str, query: str) -> str:
        language = Language(code)
        try:
            return app.picture(workspace, language, query)
        except SalesmlError as error:
            heading = f"<h1>{escape(workspace.settings.name)} · {escape(app.title(language))}</h1>"
            return f'<div id="snapshot" class="app">{heading}{theme.notice(escape(str(error)))}</div>'

    return draw


async def _renewing(snapshots: Snapshots) -> None:
    while True:
        try:
            await run_in_threadpool(snapshots.renew)
        except Exception:  # one app's fault must not leave the others' pictures old
            log.exception("a picture could not be renewed")
        await asyncio.sleep(RENEW_S)


async def _keeping(behind: Behind | None) -> None:
    while behind is not None:
        behind.keep()
        await asyncio.sleep(RENEW_S)


def _file(workspace: Workspace, told: Told, language: Language, query: str, kind: str) -> bytes:
    """A view as the bytes of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"view.{kind}"
        export(told(workspace, language, query), path)
        return path.read_bytes()


def _drawing(language: Language) -> str:
    told = language._("The figures are being put together…")
    return f'<div id="snapshot" class="app"><p class="soft" role="status">{escape(told)}</p></div>'


def _waiting(language: Language) -> str:
    told = escape(language._("The working page is getting ready…"))
    style = "body{font:16px/1.5 system-ui,sans-serif;padding:2rem;text-align:center}"
    return (
        f'<!DOCTYPE html><html lang="{language.code}"><head><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        f'<meta name="color-scheme" content="light dark"><title>{told}</title><style>{style}</style></head>'
        f'<body><p role="status">{told}</p></body></html>'
    )


if __name__ == "__main__":
    sys.exit(main())
