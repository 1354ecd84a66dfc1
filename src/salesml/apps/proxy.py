"""The way from the front to the live pages: requests and web sockets are handed on, and a live page gets its head and picture at once."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import urlsplit

import httpx
from fastapi import Request, Response, WebSocket
from starlette.responses import StreamingResponse
from starlette.websockets import WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Origin, Subprotocol

MARK = b"<!--front-->"
"""Where the page of an app takes what the front puts in (see voila/templates/salesml)."""
LONGEST_HEAD = 65_536
MOST_BYTES = 64 * 2**20
_HOPS = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization", "content-length", "host"}

Fill = Callable[[bytes], Awaitable[bytes]]
"""Makes of the beginning of a live page, MARK included, what the reader gets."""


def foreign(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a page of another site, by its headers Origin and Sec-Fetch-Site."""
    origin = headers.get("origin")
    elsewhere = origin is not None and urlsplit(origin).netloc != headers.get("host")
    return elsewhere or headers.get("sec-fetch-site", "none") not in ("none", "same-origin")


async def hand_on(client: httpx.AsyncClient, base: str, request: Request, fill: Fill | None = None) -> Response:
    """The answer of the server at `base` to a request, the head of a page completed by `fill`; httpx.TransportError where there is none."""
    headers = [(name, value) for name, value in request.headers.items() if name not in _HOPS and name != "accept-encoding"]
    url = base + request.url.path + (f"?{request.url.query}" if request.url.query else "")
    asked = client.build_request(request.method, url, headers=headers, content=await request.body() or None)
    answer = await client.send(asked, stream=True)
    kept = [(name, value) for name, value in answer.headers.multi_items() if name not in _HOPS]
    html = answer.status_code == 200 and answer.headers.get("content-type", "").startswith("text/html")
    body = _filled(answer, fill) if fill is not None and html else _rest(answer)
    handed = StreamingResponse(body, status_code=answer.status_code)
    handed.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept]
    return handed


async def _rest(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for part in answer.aiter_bytes():
            yield part
    finally:
        await answer.aclose()


async def _filled(answer: httpx.Response, fill: Fill) -> AsyncIterator[bytes]:
    """The page as it comes, its head completed as soon as MARK has been seen."""
    head, done = b"", False
    async for part in _rest(answer):
        if done:
            yield part
            continue
        head += part
        if MARK in head or len(head) > LONGEST_HEAD:
            yield await fill(head) if MARK in head else head
            done = True
    if not done:
        yield head


def with_head(page: bytes, language: str, title: str, head: str) -> bytes:
    """The beginning of a live page in a language, with a title (HTML) and with `head` in place of MARK."""
    page = page.replace(b'<html lang="en">', f'<html lang="{language}">'.encode(), 1)
    page = re.sub(rb"<title>.*?</title>", lambda _: f"<title>{title}</title>".encode(), page, count=1, flags=re.S)
    return page.replace(MARK, head.encode(), 1)


async def hand_on_socket(socket: WebSocket, base: str) -> None:
    """Tie a browser's web socket to the server's at `base` (http://127.0.0.1:port) until one of them ends."""
    url = base.replace("http", "ws", 1) + socket.url.path + (f"?{socket.url.query}" if socket.url.query else "")
    spoken = [Subprotocol(name) for name in socket.scope.get("subprotocols", [])]
    cookie = {"cookie": socket.headers["cookie"]} if "cookie" in socket.headers else {}
    told = {"subprotocols": spoken or None, "origin": Origin(base), "additional_headers": cookie}
    try:
        there = await connect(url, **told, max_size=MOST_BYTES, compression=None, proxy=None)  # type: ignore[arg-type]
    except (OSError, InvalidHandshake, TimeoutError):
        await socket.close(1013)
        return
    async with there:
        await socket.accept(there.subprotocol)
        ways = [asyncio.create_task(_inward(socket, there)), asyncio.create_task(_outward(socket, there))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
    with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # closed by the browser already
        await socket.close()


async def _inward(socket: WebSocket, there: ClientConnection) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionClosed):
        while True:
            told = await socket.receive()
            if told["type"] == "websocket.disconnect":
                return
            content = told.get("bytes")
            await there.send(content if content is not None else told["text"])


async def _outward(socket: WebSocket, there: ClientConnection) -> None:
    with contextlib.suppress(WebSocketDisconnect, ConnectionClosed, RuntimeError):
        async for told in there:
            await (socket.send_text(told) if isinstance(told, str) else socket.send_bytes(told))
