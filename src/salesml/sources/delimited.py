"""Delimited text as Arrow batches of text columns, numbered rows, and the rows that do not fit the header."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from salesml.errors import BadInput
from salesml.sources.decoding import as_utf8
from salesml.sources.finding import Source
from salesml.sources.unpacking import Oddities, unpacked

DELIMITERS = (",", ";", "\t", "|")
BLOCK = 8 << 20


@dataclass
class Delimited:
    """An opened text table: `columns` as in the header; iterate `batches()` once, then read `ragged` and `oddities`.

    `ragged` holds (row, fields found, text) of rows whose number of fields is not the header's; `swallowed` holds
    (row, rows swallowed, text) of rows that a quote left open runs on over whole further rows.
    """

    source: Source
    columns: list[str]
    delimiter: str
    oddities: Oddities
    rows: int = 0
    ragged: list[tuple[int, int, str]] = field(default_factory=list)
    swallowed: list[tuple[int, int, str]] = field(default_factory=list)
    _chunks: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Batches of the header's columns as text (empty fields null) and `_row`, 1 = first row after the header."""
        try:
            for batch in self._parsed():
                numbers = self._numbers(len(batch))
                self.rows = max(self.rows, int(numbers[-1])) if len(batch) else self.rows
                numbered = pa.RecordBatch.from_arrays([*batch.columns, _int64(numbers)], names=[*self.columns, "_row"])
                yield self._without_swallowed(numbered)
        except pa.ArrowInvalid as error:
            raise self._unreadable(error) from error
        self.rows = max([self.rows, *(row for row, _, _ in self.ragged[-1:])])
        if self.oddities.broken:
            raise BadInput(
                f"{self.oddities.broken}; {self.rows:,} rows could be read before that",
                file=self.source.name,
                mend="Nothing was imported. Get the file again from where it came from.",
            )

    def _parsed(self) -> Iterator[pa.RecordBatch]:
        def keep(row: pacsv.InvalidRow) -> str:
            self.ragged.append((row.number, row.actual_columns, row.text))
            return "skip"

        first = next((chunk for chunk in self._chunks if chunk.strip()), None)
        if first is None:
            return
        names = [str(position) for position in range(len(self.columns))]
        yield from pacsv.open_csv(
            _Stream(_prepended(first, self._chunks)),
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=BLOCK),
            parse_options=pacsv.ParseOptions(
                delimiter=self.delimiter, newlines_in_values=True, invalid_row_handler=keep
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )

    def _numbers(self, count: int) -> np.ndarray:
        """The row numbers of the next `count` good rows: consecutive, leaving out those of ragged rows."""
        skipped = np.array([row for row, _, _ in self.ragged if row > self.rows], dtype=np.int64)
        candidates = np.arange(self.rows + 1, self.rows + 1 + count + len(skipped), dtype=np.int64)
        return candidates[~np.isin(candidates, skipped)][:count]

    def _without_swallowed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Leave out rows where a quote left open swallowed whole rows: a field whose inner lines all have the header's fields."""
        kept = np.ones(len(batch), dtype=bool)
        for column in batch.columns[:-1] if len(self.columns) > 2 else []:
            for position in pc.indices_nonzero(pc.match_substring(column, "\n")).to_pylist():
                inner = column[position].as_py().split("\n")[1:-1]
                if inner and all(line.count(self.delimiter) == len(self.columns) - 1 for line in inner):
                    *fields, row = batch.slice(position, 1).to_pylist()[0].values()
                    self.swallowed.append((row, len(inner), self.delimiter.join(text or "" for text in fields)))
                    kept[position] = False
        return batch if kept.all() else batch.filter(pa.array(kept))

    def _unreadable(self, error: pa.ArrowInvalid) -> BadInput:
        reason = (
            "a quote opened near this row is never closed"
            if "straddl" in str(error)
            else f"the text cannot be read ({error})"
        )
        return BadInput(
            reason,
            file=self.source.name,
            row=self.rows + 1,
            mend="Nothing was imported. Mend the row and import again.",
        )


def _int64(numbers: np.ndarray) -> pa.Array:
    """An Arrow view of the numbers; `pa.array` would import pandas, which takes longer than most imports."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def open_delimited(
    source: Source, encoding: str | None = None, delimiter: str | None = None, skip: int = 0
) -> Delimited:
    """Read the header: `skip` lines before it are left out; the delimiter is told from the first lines unless given.

    Raises BadInput for a file without content.
    """
    oddities = Oddities()
    chunks = as_utf8(unpacked(source.path, source.part, oddities), encoding, oddities)
    head = next(chunks, b"")
    if not head.strip():
        size = source.path.stat().st_size
        reason = oddities.broken or f"the file is empty ({size} bytes)"
        raise BadInput(reason, file=source.name, mend="Nothing was imported. Export it again.")
    while skip or not head.split(b"\n", 1)[0].strip() or head.startswith(b"sep="):
        line, _, head = head.partition(b"\n")
        if line.startswith(b"sep=") and delimiter is None:
            delimiter = line[4:5].decode()
        skip = max(0, skip - 1)
    text = head[: 1 << 16].decode("utf-8", errors="ignore")
    delimiter = delimiter or _sniffed(text)
    parsed = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    columns = [name.strip() for name in next(parsed)]
    for _ in range(parsed.line_num):
        head = head.partition(b"\n")[2]
    return Delimited(source, columns, delimiter, oddities, _chunks=_prepended(head, chunks))


def _prepended(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def _sniffed(text: str) -> str:
    """The delimiter that cuts most of the first lines into as many fields as the header, and into the most fields."""
    lines = text.splitlines(keepends=True)[:40]
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if widths and widths[0] > 1:
            agreeing = sum(width == widths[0] for width in widths) / len(widths)
            best, best_score = max(
                (best, best_score), (delimiter, (round(agreeing, 1), widths[0])), key=lambda pair: pair[1]
            )
    return best


class _Stream(io.RawIOBase):
    """Chunks as the file that Arrow's reader asks for."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts = [self._rest]
        have = len(self._rest)
        while size < 0 or have < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            parts.append(chunk)
            have += len(chunk)
        joined = b"".join(parts)
        size = have if size < 0 else size
        self._rest = joined[size:]
        return joined[:size]
