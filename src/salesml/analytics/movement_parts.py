"""What each deal did to the open pipeline between two books: the parts that a waterfall is summed from, in whole cents."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.analytics.book import Book
from salesml.lake import View

STEPS = (
    "opening", "created", "reopened", "raised", "lowered", "won", "lost", "no_decision", "moved_in", "moved_out", "withdrawn", "corrected",
    "exchange", "closing",
)  # fmt: skip
OPEN = 0
BEFORE, AFTER = 0, 1
_NEVER = 2**31 - 1
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True)
class Parts:
    """Deals that touched the open pipeline, and their parts.

    row: rows of the `deal` tables of both books (-1 where that book has no such deal), one per deal. deal, step, cents, net (deals added
    or taken away: 1, -1, 0), side (which book's dimensions it counts under): one per part, `deal` pointing into `row`.
    """

    row: tuple[np.ndarray, np.ndarray]
    deal: np.ndarray
    step: np.ndarray
    cents: np.ndarray
    net: np.ndarray
    side: np.ndarray


@dataclass(frozen=True)
class _Deals:
    """Deals as one book tells them, in the order asked for; days since 1970. A deal it has not: state -1, no cents, created at no time."""

    state: np.ndarray
    cents: np.ndarray
    created: np.ndarray
    closed: np.ndarray
    status: np.ndarray


@dataclass
class _Sums:
    """Parts as they are found."""

    found: list[tuple[np.ndarray, ...]] = field(default_factory=list)

    def add(self, step: str, deals: np.ndarray, cents: np.ndarray, side: int, net: int = 0) -> None:
        at = np.flatnonzero(deals)
        ones = np.ones(len(at), dtype="int64")
        self.found.append((at, ones * STEPS.index(step), cents[at], ones * net, ones * side))


def abroad(view: View) -> pd.DataFrame:
    """Deals in another currency than the workspace's, by opportunity_id: currency, amount (exact, in that currency, or missing)."""
    rows = view.state("opportunity", ["amount", "currency"])
    found = view.frame(rows.filter(rows.currency.notnull(), rows.currency != view.tables.workspace.settings.currency))
    return found.set_index("opportunity_id")[["currency", "amount"]]


def parts(
    before: Book,
    after: Book,
    codes: Sequence[tuple[np.ndarray, np.ndarray]],
    inside: tuple[np.ndarray, np.ndarray],
    row: tuple[np.ndarray, np.ndarray],
    foreign: tuple[pd.DataFrame, pd.DataFrame] | None = None,
) -> Parts:
    """The parts of every deal of `row` (`touched`) that lie in the slice; per deal and side they sum from its opening to its closing.

    codes: per dimension each deal's code in both books, alike for alike names; inside: whether each deal lies in the slice, in both.
    A deal that was open and has another code now, or left or entered the slice, moves at the amount it stood at; whatever else became
    of it happens where it is now.
    """
    first = (before.day - _EPOCH).days
    was, now = _told(before, row[BEFORE]), _told(after, row[AFTER])
    stood, ended = was.state == OPEN, now.state > OPEN
    left = ended & (now.closed >= first)  # closed within the time between, as known now
    exists = now.state == OPEN
    there = stood & (exists | left)
    came = ~stood & (exists | (left & (now.closed > was.closed)))
    leaves_at = np.where(now.cents != 0, now.cents, np.where(stood, was.cents, 0))
    stands = np.where(left, leaves_at, now.cents)
    sums = _Sums()
    sums.add("opening", stood, was.cents, BEFORE, 1)
    sums.add("withdrawn", stood & (now.state < OPEN), -was.cents, BEFORE, -1)
    sums.add("corrected", stood & ended & ~left, -was.cents, BEFORE, -1)
    other = inside[BEFORE] != inside[AFTER]
    for then, today in codes:
        other |= then != today
    sums.add("moved_out", there & other, -was.cents, BEFORE, -1)
    sums.add("moved_in", there & other, was.cents, AFTER, 1)
    known_before = was.state > OPEN
    again = known_before & came & _interrupted(after, row[AFTER], known_before & came, first)
    new = came & ~known_before & (now.created >= first)
    sums.add("created", new, stands, AFTER, 1)
    sums.add("reopened", again, stands, AFTER, 1)
    sums.add("corrected", came & ~new & ~again, stands, AFTER, 1)
    change = np.where(there, stands - was.cents, 0)
    rate, restated = _of_rates(before, row[BEFORE], there & (change != 0), was.cents, stands, foreign)
    told = change - rate - restated
    sums.add("exchange", rate != 0, rate, AFTER)
    sums.add("corrected", restated != 0, restated, AFTER)
    sums.add("raised", told > 0, told, AFTER)
    sums.add("lowered", told < 0, told, AFTER)
    for status in ("won", "lost", "no_decision"):
        known = after.names["status"]
        code = known.index(status) if status in known else -2
        sums.add(status, left & (there | came) & (now.status == code), -stands, AFTER, -1)
    sums.add("closing", exists, now.cents, AFTER, 1)
    deal, step, cents, net, side = (np.concatenate(values) for values in zip(*sums.found, strict=True))
    kept = np.where(side == BEFORE, inside[BEFORE][deal], inside[AFTER][deal])
    return Parts(row, *(values[kept] for values in (deal, step, cents, net, side)))


def touched(before: Book, after: Book) -> tuple[np.ndarray, np.ndarray]:
    """Rows in both books of the deals that were open, are open, or closed since; -1 where a book has no such deal."""
    first = (before.day - _EPOCH).days
    ids = [book.column("deal", "opportunity_id").cast(pa.string()) for book in (before, after)]
    open_then, open_now = (book.column("deal", "state").to_numpy() == OPEN for book in (before, after))
    now = np.flatnonzero(open_now | (_days(after.column("deal", "closed_on"), -_NEVER) >= first))
    then = _places(ids[BEFORE], ids[AFTER].take(pa.array(now)))
    seen = np.zeros(len(open_then), dtype=bool)
    seen[then[then >= 0]] = True
    rest = np.flatnonzero(open_then & ~seen)
    back = _places(ids[AFTER], ids[BEFORE].take(pa.array(rest)))
    return np.concatenate([then, rest]), np.concatenate([now, back])


def dimension(
    before: Book, after: Book, name: str, row: tuple[np.ndarray, np.ndarray]
) -> tuple[list[str], tuple[np.ndarray, np.ndarray]]:
    """Names of a dimension in both books, and each deal's code into them in both (-1 where a book has no such deal).

    A closed deal's stage is the one it closed from, by its last stay: what it was told at its close only says that it closed.
    """
    names = sorted({*before.names[name], *after.names[name]})
    place = {known: code for code, known in enumerate(names)}
    own = [np.array([place[known] for known in book.names[name]] or [0], dtype="int64") for book in (before, after)]
    codes = []
    for book, codes_of, rows in zip((before, after), own, row, strict=True):
        told = _taken(book, name, rows, -1)
        codes.append(np.where(told >= 0, codes_of[told], -1))
    if name == "stage":
        last = np.full(len(after.column("deal", "state")) + 1, -1)
        last[after.column("visit", "deal").to_numpy()] = after.column("visit", name).to_numpy()
        stage = last[row[AFTER]]
        closed = (_taken(after, "state", row[AFTER], -1) > OPEN) & (stage >= 0)
        codes[AFTER] = np.where(closed, own[AFTER][stage], codes[AFTER])
    return names, (codes[BEFORE], codes[AFTER])


def _places(among: pa.ChunkedArray, wanted: pa.ChunkedArray) -> np.ndarray:
    """Where each of the wanted is among others that occur once; -1 where it is not."""
    hits = pc.index_in(among, value_set=wanted).to_numpy()
    found = np.full(len(wanted), -1)
    at = np.flatnonzero(~np.isnan(hits)) if hits.dtype.kind == "f" else np.arange(len(hits))
    found[hits[at].astype("int64")] = at
    return found


def _days(column: pa.ChunkedArray, missing: int) -> np.ndarray:
    """Days since 1970."""
    return pc.fill_null(column.cast(pa.int32()), missing).to_numpy().astype("int64")


def _taken(book: Book, column: str, rows: np.ndarray, missing: int) -> np.ndarray:
    """Whole numbers (days since 1970) of a book's deals; for those it has not, and where it knows nothing: missing."""
    at = pa.array(rows, mask=rows < 0)
    values = book.column("deal", column).take(at)
    if pa.types.is_date(values.type):
        values = values.cast(pa.int32())
    return pc.fill_null(values.cast(pa.int64()), missing).to_numpy()


def _told(book: Book, rows: np.ndarray) -> _Deals:
    wanted = (("state", -1), ("cents", 0), ("created_on", _NEVER), ("closed_on", -_NEVER), ("status", -1))
    return _Deals(*(_taken(book, name, rows, missing) for name, missing in wanted))


def _interrupted(after: Book, rows: np.ndarray, asked: np.ndarray, first: int) -> np.ndarray:
    """Which of the deals asked for were closed and came back on or after a day: a stay that does not follow at once on the one before."""
    found = np.zeros(len(rows), dtype=bool)
    if not asked.any():
        return found
    deals = after.column("visit", "deal").to_numpy()
    wanted = np.zeros(max(int(deals.max(initial=-1)), int(rows.max(initial=-1))) + 1, dtype=bool)
    wanted[rows[asked]] = True
    at = pa.array(np.flatnonzero(wanted[deals]))
    stays = pd.DataFrame({"deal": deals[at.to_numpy()]})
    for name in ("entered_on", "left_on"):
        stays[name] = _days(after.column("visit", name).take(at), _NEVER)
    stays = stays.sort_values(["deal", "entered_on", "left_on"], kind="stable", ignore_index=True)
    since = stays["left_on"].shift(fill_value=0).where(stays["deal"].eq(stays["deal"].shift()), _NEVER)
    back = stays[(stays["entered_on"] > since) & (stays["entered_on"] >= first)]["deal"].to_numpy()
    came = np.zeros(len(wanted), dtype=bool)
    came[back] = True
    return asked & came[np.maximum(rows, 0)]


def _of_rates(
    before: Book, rows: np.ndarray, changed: np.ndarray, was: np.ndarray, now: np.ndarray, foreign: tuple[pd.DataFrame, pd.DataFrame] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Of changes of amounts in cents, what another exchange rate made, and what another currency than before made; to the cent.

    The change of an amount is valued at the rate it stood at before, all else is the rate's.
    """
    rate, restated = np.zeros(len(rows), dtype="int64"), np.zeros(len(rows), dtype="int64")
    if foreign is None or not changed.any() or not any(map(len, foreign)):
        return rate, restated
    at = np.flatnonzero(changed)
    ids = before.column("deal", "opportunity_id").take(pa.array(rows[at])).to_pylist()
    then, today = (frame.reindex(ids) for frame in foreign)
    told = zip(at, then["currency"], then["amount"], today["currency"], today["amount"], strict=True)
    for place, old_currency, old, new_currency, new in told:
        nothing = (not was[place] and (pd.isna(old) or not old)) or (not now[place] and (pd.isna(new) or not new))
        if nothing or (pd.isna(old_currency) and pd.isna(new_currency)):
            continue  # an amount that came to be known, or one's own currency
        if old_currency != new_currency:
            restated[place] = now[place] - was[place]
        else:
            rate[place] = now[place] - _at_rate(old, new, int(was[place]))
    return rate, restated


def _at_rate(old: Decimal, new: Decimal, cents: int) -> int:
    """A new amount at the rate the old one stood at."""
    return int((new * cents / old).quantize(Decimal(1), ROUND_HALF_EVEN))
