"""Movement of the open pipeline between two books: a waterfall that sums to the cent in every slice, and the deals behind each step."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics.book import OF_DEALS, Book
from salesml.analytics.movement_parts import AFTER, BEFORE, STEPS, Parts, parts, touched
from salesml.analytics.movement_parts import dimension as dimension_of
from salesml.analytics.slices import Where
from salesml.errors import BadParameter, UnknownName

TITLES = {
    "opening": "open at the start", "created": "created", "reopened": "reopened", "raised": "amount raised", "lowered": "amount lowered",
    "won": "won", "lost": "lost", "no_decision": "no decision", "moved_in": "moved in", "moved_out": "moved out", "withdrawn": "withdrawn",
    "corrected": "corrected", "exchange": "exchange rates", "closing": "open at the end",
}  # fmt: skip
MEANINGS = {
    "opening": "Deals open at the start, as it looked then.",
    "created": "Deals that came to be since, at what they closed with or stand at now.",
    "reopened": "Deals that were closed and came back since, at what they closed with or stand at now.",
    "raised": "Amounts of deals open at the start that grew, up to their close.",
    "lowered": "Amounts of deals open at the start that shrank, up to their close.",
    "won": "Deals won since, at the amount they were won with.",
    "lost": "Deals lost since, at the last amount known.",
    "no_decision": "Deals that ended without decision since, at the last amount known.",
    "moved_in": "Deals open at the start that came from another rep, region, stage or whatever the slice is made by.",
    "moved_out": "Deals open at the start that went to another rep, region, stage or whatever the slice is made by.",
    "withdrawn": "Deals open at the start that were deleted or withdrawn from the records since.",
    "corrected": "Deals that looked open at the start and had closed by then, or were open and unknown; amounts in another currency now.",
    "exchange": "Amounts in other currencies, at other rates than at the start.",
    "closing": "Deals open at the end.",
}
SLICED_BY = tuple(name for name in OF_DEALS if name not in ("status", "loss_reason"))
"""Dimensions a waterfall can be sliced by: all of a deal's but those that themselves say how it ended."""
Foreign = tuple[pd.DataFrame, pd.DataFrame]


def waterfall(
    before: Book, after: Book, *, by: Sequence[str] = (), where: Where | None = None, foreign: Foreign | None = None
) -> pd.DataFrame:
    """How the open pipeline of `before`, as it looked then, became that of `after`. Grain: one row per slice and step, in order of STEPS.

    Columns: by (names), step, title, cents (signed), amount (exact, the books' currency), deals (behind the step), net (deals it adds
    or takes away; amounts that change do neither). In every slice opening + all between = closing, in cents and in net deals, and slices
    add up to the whole; moves between slices cancel. A deal without a known amount counts 0. Days are those of the workspace's calendar:
    since means from the first book's day on; what is known now to have happened before that day is corrected. foreign: `abroad` of both
    instants' views, to tell changed exchange rates from changed amounts; without it they count as raised or lowered. Raises UnknownName;
    BadParameter for a dimension not in SLICED_BY or books that cannot be compared.
    """
    dims, codes, found = _found(before, after, tuple(by), where or {}, foreign)
    frame = pd.DataFrame({"step": found.step, "cents": found.cents, "deals": found.deal, "net": found.net})
    for name, sides in codes.items():
        frame[name] = np.where(found.side == BEFORE, sides[BEFORE][found.deal], sides[AFTER][found.deal])
    keys = [*by, "step"]
    sums = frame.groupby(keys).agg(cents=("cents", "sum"), deals=("deals", "nunique"), net=("net", "sum"))
    slices = frame[[*by]].drop_duplicates().sort_values([*by]) if by else pd.DataFrame(index=[0])
    whole = slices.merge(pd.DataFrame({"step": range(len(STEPS))}), "cross")
    index = pd.MultiIndex.from_frame(whole[keys]) if by else pd.Index(whole["step"])
    rows = sums.reindex(index, fill_value=0).reset_index()
    told = {name: np.array(dims[name], dtype=object)[rows[name].to_numpy("int64")] for name in by}
    steps = [STEPS[step] for step in rows["step"]]
    cents = rows["cents"].astype("int64")
    return pd.DataFrame(
        {
            **told, "step": steps, "title": [TITLES[step] for step in steps], "cents": cents,
            "amount": [Decimal(int(value)).scaleb(-2) for value in cents], "deals": rows["deals"].astype("int64"),
            "net": rows["net"].astype("int64"),
        }
    )  # fmt: skip


def moved(
    before: Book, after: Book, step: str, *, where: Where | None = None, foreign: Foreign | None = None, most: int = 1000
) -> pd.DataFrame:
    """The deals behind a step of `waterfall` (a cell of one that is sliced: with `where` naming the cell), the greatest part first.

    Grain: one row per deal, at most so many. Columns: opportunity_id, name, rep, stage (as told last), amount (its part; they add up to
    the step's where all are listed), before, after (amounts in either book; missing where it has none). Raises as `waterfall`.
    """
    if step not in STEPS:
        raise UnknownName("step", step, STEPS)
    _, _, found = _found(before, after, (), where or {}, foreign)
    chosen = found.step == STEPS.index(step)
    sums = pd.Series(found.cents[chosen]).groupby(found.deal[chosen]).sum()
    ids = pd.Series(_of(before, after, "opportunity_id", found, sums.index.to_numpy()), sums.index)
    order = pd.DataFrame({"size": -sums.abs(), "id": ids}).sort_values(["size", "id"]).index[:most]
    deals = order.to_numpy()
    both = {side: _amounts(book, found.row[side][deals]) for side, book in ((BEFORE, before), (AFTER, after))}
    return pd.DataFrame(
        {
            "opportunity_id": ids[order].to_numpy(), "name": _of(before, after, "name", found, deals),
            "rep": _of(before, after, "rep", found, deals), "stage": _of(before, after, "stage", found, deals),
            "amount": [Decimal(int(value)).scaleb(-2) for value in sums[order]], "before": both[BEFORE], "after": both[AFTER],
        }
    )  # fmt: skip


def _found(
    before: Book, after: Book, by: tuple[str, ...], where: Where, foreign: Foreign | None
) -> tuple[dict[str, list[str]], dict[str, tuple[np.ndarray, np.ndarray]], Parts]:
    """Names of the dimensions of `by`, each deal's codes in them in both books, and the parts of the slice."""
    _check(before, after, by, where)
    row = touched(before, after)
    told = {name: dimension_of(before, after, name, row) for name in dict.fromkeys((*by, *where))}
    inside = [row[side] >= 0 for side in (BEFORE, AFTER)]
    for name, wanted in where.items():
        names, sides = told[name]
        for one in (wanted := list(wanted)):
            if one not in names:
                raise UnknownName(name, one, names)
        allowed = np.array([one in set(wanted) for one in names])
        for side in (BEFORE, AFTER):
            inside[side] &= allowed[np.maximum(sides[side], 0)] if len(allowed) else False
    codes = {name: told[name][1] for name in by}
    found = parts(before, after, list(codes.values()), (inside[BEFORE], inside[AFTER]), row, foreign)
    return {name: told[name][0] for name in by}, codes, found


def _check(before: Book, after: Book, by: tuple[str, ...], where: Where) -> None:
    if after.as_of < before.as_of:
        raise BadParameter(f"the pipeline moves forwards: {after.as_of:%Y-%m-%d %H:%M} UTC lies before {before.as_of:%Y-%m-%d %H:%M} UTC")
    if before.currency != after.currency:
        raise BadParameter(f"one book is in {before.currency}, the other in {after.currency}; make both in one currency")
    for name in (*by, *where):
        if name not in SLICED_BY:
            raise BadParameter(f"the pipeline's movement has no dimension {name!r}; valid: {', '.join(SLICED_BY)}")
    if len(set(by)) < len(by):
        raise BadParameter(f"a dimension is asked for twice: {', '.join(by)}")


def _of(before: Book, after: Book, column: str, found: Parts, deals: np.ndarray) -> list[Any]:
    """A column of deals as told last: by the later book where it has the deal; dimensions by what to show."""
    told = []
    for side, book in ((BEFORE, before), (AFTER, after)):
        values = _values(book, column, found.row[side][deals])
        labels = book.labels.get(column)
        told.append([labels[value] if labels and value is not None else value for value in values])
    return [new if row >= 0 else old for old, new, row in zip(*told, found.row[AFTER][deals], strict=True)]


def _amounts(book: Book, rows: np.ndarray) -> list[Decimal | None]:
    return [None if cents is None else Decimal(cents).scaleb(-2) for cents in _values(book, "cents", rows)]


def _values(book: Book, column: str, rows: np.ndarray) -> list[Any]:
    """A column of a book's deals; None for those it has not (-1)."""
    found = np.full(len(rows), None, dtype=object)
    found[rows >= 0] = book.column("deal", column).take(pa.array(rows[rows >= 0])).to_pylist()
    return found.tolist()
