"""The plain bytes of a file: as it is, out of a gzip file, or a member of a zip file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CHUNK = 4 << 20
GZIP = b"\x1f\x8b"


@dataclass
class Oddities:
    """What was noticed while reading: physical lines (1 = first) that were not UTF-8, NUL bytes dropped, where a broken file ends."""

    foreign_lines: list[int] = field(default_factory=list)
    nul_bytes: int = 0
    broken: str | None = None


def unpacked(path: Path, member: str | None, oddities: Oddities) -> Iterator[bytes]:
    """Chunks of the file's plain bytes; of a damaged archive those that are readable, with the damage in `oddities.broken`."""
    if member is not None:
        yield from _unzipped(path, member, oddities)
        return
    with path.open("rb") as file:
        start = file.read(len(GZIP))
        file.seek(0)
        if start == GZIP:
            yield from _gunzipped(file, oddities)
        else:
            while chunk := file.read(CHUNK):
                yield chunk


def _gunzipped(file: io.BufferedReader, oddities: Oddities) -> Iterator[bytes]:
    inflate = zlib.decompressobj(wbits=31)
    within_stream = False
    try:
        while chunk := file.read(CHUNK // 4):
            while chunk:
                within_stream = True
                if plain := inflate.decompress(chunk):
                    yield plain
                chunk = inflate.unused_data.lstrip(b"\0")
                if inflate.eof:
                    inflate = zlib.decompressobj(wbits=31)
                    within_stream = False
    except zlib.error as error:
        oddities.broken = f"the gzip file is damaged ({error})"
        return
    if within_stream:
        oddities.broken = f"the gzip file is cut off after {file.tell():,} bytes"


def _unzipped(path: Path, member: str, oddities: Oddities) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        oddities.broken = f"the zip file is damaged ({error})"
