"""What a column of a file never seen before holds: how full, how varied, dates, numbers, words."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from salesml.sources.formats import DAY_FIRST, MONTH_FIRST
from salesml.sources.parsing import DATE_SHAPES, number_text, unblanked
from salesml.sources.session import quoted

WRITTEN_DATES = "|".join(DATE_SHAPES[shape] for shape in ("iso", "year_first", "slashed"))
NUMBER = r"-?\d[\d.,]*([eE][-+]?\d+)?|-?\.\d+"
MOSTLY = 0.95
WORDS = 40


@dataclass(frozen=True)
class Profile:
    """One column: filled and distinct values, whether they are dates or numbers, and the values if there are few."""

    name: str
    rows: int
    filled: int
    distinct: int
    is_date: bool
    is_number: bool
    undecided_dates: bool
    words: tuple[str, ...]
    example: str | None

    @property
    def unique(self) -> bool:
        """Every row has its own value."""
        return self.filled == self.rows > 0 and self.distinct == self.rows


def profile(con: duckdb.DuckDBPyConnection, alias: str, name: str) -> Profile:
    """Profile one text column of a loaded file."""
    value, number = unblanked(quoted(name)), number_text("v")
    dated, slashed = f"regexp_matches(v, '{WRITTEN_DATES}')", f"regexp_matches(v, '{DATE_SHAPES['slashed']}')"
    rows, filled, distinct, dates, numbers, slashes, told, example = con.execute(
        f"""SELECT count(*), count(v), count(DISTINCT v), count_if({dated}), count_if(regexp_full_match({number}, '{NUMBER}')),
          count_if({slashed}), count_if({slashed} AND (regexp_matches(v, '{DAY_FIRST}') OR regexp_matches(v, '{MONTH_FIRST}'))),
          any_value(v) FROM (SELECT {value} AS v FROM {quoted(alias)})"""
    ).fetchall()[0]
    words: tuple[str, ...] = ()
    if 0 < distinct <= WORDS:
        words = tuple(
            word
            for (word,) in con.execute(
                f"SELECT v FROM (SELECT {value} AS v FROM {quoted(alias)}) WHERE v IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, v"
            ).fetchall()
        )
    is_date = filled > 0 and dates >= MOSTLY * filled
    is_number = filled > 0 and not is_date and numbers >= MOSTLY * filled
    undecided = bool(is_date and slashes and not told)
    return Profile(name, rows, filled, distinct, is_date, is_number, undecided, words, example)
