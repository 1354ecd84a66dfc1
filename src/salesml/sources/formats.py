"""Which way a column writes its dates and numbers, told from all its values; ambiguity is an error, not a guess."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import duckdb

from salesml.errors import BadInput
from salesml.sources.mapping import Mapping
from salesml.sources.parsing import DATE_SHAPES, Dates, Style, number_text
from salesml.sources.session import quoted

SURE = 0.99

DAY_FIRST = r"^(1[3-9]|2\d|3[01])[/. -]\d"
MONTH_FIRST = r"^\d{1,2}[/. -](1[3-9]|2\d|3[01])[/. -]"
PLAIN = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"


def _sure(point: str, group: str) -> str:
    """Pattern of numbers that can only be read with this decimal and this grouping sign."""
    grouped = rf"\d{{1,3}}({group}\d{{2,3}})"
    return (
        rf"-?({grouped}*{group}\d{{3}}{point}\d*|{grouped}+{group}\d{{3}}"
        rf"|\d*{point}(\d{{1,2}}|\d{{4,}})|0?{point}\d{{3}}|\d{{4,}}{point}\d{{3}})"
    )


POINT, COMMA = _sure(r"\.", ","), _sure(",", r"\.")


@dataclass(frozen=True)
class Column:
    """A staged text column to be told about: table in DuckDB, its canonical name for messages, column, contract dtype."""

    relation: str
    table: str
    name: str
    dtype: str


def date_formats(con: duckdb.DuckDBPyConnection, columns: Iterable[Column], mapping: Mapping) -> dict[Column, Dates]:
    """The Dates of each column. BadInput where day and month cannot be told apart or a column mixes both orders."""
    seen: dict[Column, dict[str, Any]] = {}
    for column in columns:
        name = quoted(column.name)
        total, iso = _row(
            con,
            f"SELECT count({name}), count_if(regexp_matches({name}, '{DATE_SHAPES['iso']}')) FROM {column.relation}",
        )
        seen[column] = {"iso": iso}
        if iso < total:
            counts = {shape: f"count_if(regexp_matches({name}, '{pattern}'))" for shape, pattern in DATE_SHAPES.items()}
            slashed = f"regexp_matches({name}, '{DATE_SHAPES['slashed']}')"
            counts |= {
                "dmy": f"count_if({slashed} AND regexp_matches({name}, '{DAY_FIRST}'))",
                "mdy": f"count_if({slashed} AND regexp_matches({name}, '{MONTH_FIRST}'))",
                "example": f"any_value({name}) FILTER ({slashed})",
            }
            values = _row(con, f"SELECT {', '.join(counts.values())} FROM {column.relation}")
            seen[column] = dict(zip(counts, values, strict=True))
    overall = _sum(seen.values(), ("dmy", "mdy"))
    return {column: _dates(column, counts, overall, mapping) for column, counts in seen.items()}


def _dates(column: Column, counts: dict[str, Any], overall: dict[str, int], mapping: Mapping) -> Dates:
    shapes = tuple(shape for shape in DATE_SHAPES if counts.get(shape))
    if "slashed" not in shapes:
        return Dates(shapes)
    if mapping.dates:
        return Dates(shapes, None if mapping.dates == "ymd" else mapping.dates)
    own, mend = (
        (counts["dmy"], counts["mdy"]),
        "Say `dates: dmy` (day first) or `dates: mdy` (month first) in the mapping.",
    )
    place = f"{column.table}.{column.name}"
    for dmy, mdy in (own, (overall["dmy"], overall["mdy"])):
        if dmy + mdy and max(dmy, mdy) >= SURE * (dmy + mdy):
            return Dates(shapes, "dmy" if dmy > mdy else "mdy")
        if dmy + mdy:
            reason = f"{dmy:,} dates have the day first and {mdy:,} the month first"
            raise BadInput(reason, file=mapping.path, column=place, value=counts["example"], mend=mend)
    raise BadInput(
        "day and month cannot be told apart", file=mapping.path, column=place, value=counts["example"], mend=mend
    )


def number_formats(con: duckdb.DuckDBPyConnection, columns: Iterable[Column], mapping: Mapping) -> dict[Column, Style]:
    """How each column writes numbers: plain, decimal point or decimal comma. BadInput where 1.234 could be either."""
    seen: dict[Column, dict[str, Any]] = {}
    for column in columns:
        name, clean = quoted(column.name), number_text(quoted(column.name))
        total, plain, dotted = _row(
            con,
            f"SELECT count({name}), count_if(regexp_full_match({name}, '{PLAIN}')), "
            f"count_if(contains({name}, '.') AND NOT regexp_full_match({name}, '0?\\.\\d+')) FROM {column.relation}",
        )
        seen[column] = {"plain": plain == total}
        if plain < total or (dotted and column.dtype != "float"):
            counts = {
                "point": f"count_if(regexp_full_match({clean}, '{POINT}'))",
                "comma": f"count_if(regexp_full_match({clean}, '{COMMA}'))",
                "dot": f"count_if(regexp_full_match({clean}, '-?[1-9]\\d{{0,2}}\\.\\d{{3}}'))",
                "group": f"count_if(regexp_full_match({clean}, '-?[1-9]\\d{{0,2}},\\d{{3}}'))",
                "example": f"any_value({name}) FILTER (regexp_full_match({clean}, '-?[1-9]\\d{{0,2}}[.,]\\d{{3}}'))",
            }
            seen[column] |= dict(
                zip(counts, _row(con, f"SELECT {', '.join(counts.values())} FROM {column.relation}"), strict=True)
            )
    overall = _sum(seen.values(), ("point", "comma"))
    return {column: _style(column, counts, overall, mapping) for column, counts in seen.items()}


def _style(column: Column, counts: dict[str, Any], overall: dict[str, int], mapping: Mapping) -> Style:
    settled = counts["plain"] and not counts.get("dot")
    if mapping.decimals:
        return "plain" if settled and mapping.decimals == "point" else mapping.decimals
    point, comma = counts.get("point", 0), counts.get("comma", 0)
    place, mend = (
        f"{column.table}.{column.name}",
        "Say `decimals: point` (1,234.50) or `decimals: comma` (1.234,50) in the mapping.",
    )
    if point and comma and max(point, comma) < SURE * (point + comma):
        reason = f"{point:,} numbers have a decimal point and {comma:,} a decimal comma"
        raise BadInput(reason, file=mapping.path, column=place, value=counts["example"], mend=mend)
    if settled and not comma:
        return "plain"
    if point != comma:
        return "point" if point > comma else "comma"
    dot, group = counts.get("dot", 0), counts.get("group", 0)
    if not dot and not group:
        return "point"
    if bool(overall["point"]) != bool(overall["comma"]):
        return "point" if overall["point"] else "comma"
    if (group and not dot and column.dtype != "float") or (dot and not group and column.dtype == "float"):
        return "point"
    raise BadInput(
        "thousands and decimals cannot be told apart",
        file=mapping.path,
        column=place,
        value=counts["example"],
        mend=mend,
    )


def _sum(counts: Iterable[dict[str, Any]], keys: tuple[str, str]) -> dict[str, int]:
    counts = list(counts)
    return {key: sum(count.get(key, 0) for count in counts) for key in keys}


def _row(con: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    """The one row of an aggregate, with 0 for the nulls of an empty relation."""
    return tuple(value or 0 for value in con.execute(query).fetchall()[0])
