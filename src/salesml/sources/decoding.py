"""Bytes of any usual encoding as UTF-8: UTF-8, UTF-16, or lines of cp1252 among UTF-8."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

from salesml.errors import BadInput
from salesml.sources.unpacking import Oddities

BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def as_utf8(chunks: Iterable[bytes], encoding: str | None, oddities: Oddities) -> Iterator[bytes]:
    """Chunks of UTF-8 without byte-order mark and NUL bytes, each ending at a line's end, with newlines as LF or CRLF.

    Without `encoding` it is told from the byte-order mark or the pattern of NUL bytes; what is not UTF-8 is read line
    by line as cp1252 and the lines are noted in `oddities`.
    """
    chunks = iter(chunks)
    first = next(chunks, b"")
    found, skip = _detect(first) if encoding is None else (encoding, 0)
    rest = chain([first[skip:]], chunks)
    lines = _whole_lines(rest) if found == "utf-8" else _whole_lines(_decoded(rest, found))
    number = 0
    for chunk in lines:
        clean = _utf8(chunk, number, oddities) if found == "utf-8" else chunk
        number += chunk.count(b"\n")
        if b"\0" in clean:
            oddities.nul_bytes += clean.count(b"\0")
            clean = clean.replace(b"\0", b"")
        yield clean


def _detect(start: bytes) -> tuple[str, int]:
    for mark, name in BOMS:
        if start.startswith(mark):
            return name, len(mark)
    sample = start[:4096]
    if len(sample) >= 4 and sample[1::2].count(0) > 0.7 * len(sample[1::2]):
        return "utf-16-le", 0
    if len(sample) >= 4 and sample[0::2].count(0) > 0.7 * len(sample[0::2]):
        return "utf-16-be", 0
    return "utf-8", 0


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    try:
        decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    except LookupError as error:
        raise BadInput(f"unknown encoding {encoding!r}", mend="Use a name such as utf-8, utf-16, cp1252.") from error
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"the bytes are not {encoding} ({error.reason})", mend="Set `encoding:` of this file in the mapping."
        ) from error


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Re-cut so that every chunk ends with a line's end; files that end lines with CR alone get LF."""
    pending: list[bytes] = []
    old_mac: bool | None = None
    for chunk in chunks:
        if old_mac is None and chunk:
            old_mac = b"\n" not in chunk and b"\r" in chunk[:-1]
        if old_mac:
            chunk = chunk.replace(b"\r", b"\n")
        cut = chunk.rfind(b"\n") + 1
        if not cut:
            pending.append(chunk)
            continue
        yield b"".join((*pending, chunk[:cut]))
        pending = [chunk[cut:]]
    if last := b"".join(pending):
        yield last


def _utf8(chunk: bytes, lines_before: int, oddities: Oddities) -> bytes:
    try:
        chunk.decode("utf-8")
        return chunk
    except UnicodeDecodeError:
        lines = chunk.split(b"\n")
    for index, line in enumerate(lines):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            oddities.foreign_lines.append(lines_before + index + 1)
            try:
                lines[index] = line.decode("cp1252").encode()
            except UnicodeDecodeError:
                lines[index] = line.decode("latin-1").encode()
    return b"\n".join(lines)
