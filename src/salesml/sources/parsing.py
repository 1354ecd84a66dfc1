"""SQL expressions that read text as the types of the contracts: null where the text cannot be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from salesml.sources.session import literal

Style = Literal["plain", "point", "comma"]

DATE_SHAPES = {
    "iso": r"^\d{4}-\d{1,2}-\d{1,2}(\D|$)",
    "year_first": r"^\d{4}[/.]\d{1,2}[/.]\d{1,2}(\D|$)",
    "slashed": r"^\d{1,2}[/. -]\d{1,2}[/. -]\d{2,4}(\D|$)",
    "serial": r"^\d{5}(\.\d+)?$",
    "compact": r"^(19|20)\d{6}$",
    "month": r"^\d{4}-\d{2}$",
    "epoch": r"^\d{10}(\.\d+)?$",
    "epoch_ms": r"^\d{13}$",
    "named": r"(?i)(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
}

BLANK = ("", "null", "n/a", "#n/a", "na", "nan", "none", "nil", "-", "--", "?", "unknown date", "0000-00-00")
TRUE = ("true", "t", "yes", "y", "1", "x")
FALSE = ("false", "f", "no", "n", "0")
CODES = "USD|EUR|GBP|CHF|JPY|CNY|CAD|AUD|NZD|INR|BRL|MXN|SEK|NOK|DKK|PLN|CZK|HUF|ZAR|SGD|HKD|KRW|TRY|AED"
CURRENCY = f"(US|CA|AU|NZ|HK|A|C|R|S)?\\p{{Sc}}|{CODES}"
EXCEL_EPOCH = "TIMESTAMP '1899-12-30'"
CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    "T%H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    ", %H:%M",
    ", %H:%M:%S",
    ", %I:%M %p",
)
NAMED = ("%d-%b-%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%y", "%d. %B %Y")


@dataclass(frozen=True)
class Dates:
    """Date shapes a column has, and how it orders day and month where the year comes last."""

    shapes: tuple[str, ...]
    order: Literal["dmy", "mdy"] | None = None


def trimmed(text: str) -> str:
    """Text without surrounding blanks, null if nothing is left."""
    return f"nullif(trim({text}), '')"


def unblanked(text: str) -> str:
    """Trimmed text, null also for the usual ways to write 'nothing' where a number, date or yes/no is meant."""
    return f"CASE WHEN lower({trimmed(text)}) IN {_list(BLANK)} THEN NULL ELSE {trimmed(text)} END"


def as_time(text: str, dates: Dates, time_zone: str) -> str:
    """UTC instant of a date or time; without an offset it is local time of `time_zone`, without a time 00:00 there."""
    shapes = {
        "iso": f"TRY_CAST({text} AS TIMESTAMPTZ)",
        "year_first": f"TRY_CAST(regexp_replace({text}, '^(\\d{{4}})[/.](\\d{{1,2}})[/.]', '\\1-\\2-') AS TIMESTAMPTZ)",
        "slashed": _slashed(text, dates, time_zone),
        "serial": _local(
            f"{EXCEL_EPOCH} + to_microseconds(CAST(round(TRY_CAST({text} AS DOUBLE) * 86400) * 1000000 AS BIGINT))",
            time_zone,
        ),
        "compact": _local(f"try_strptime({text}, '%Y%m%d')", time_zone),
        "month": f"TRY_CAST({text} || '-01' AS TIMESTAMPTZ)",
        "epoch": f"to_timestamp(TRY_CAST({text} AS DOUBLE))",
        "epoch_ms": f"to_timestamp(TRY_CAST({text} AS DOUBLE) / 1000)",
        "named": _local(f"try_strptime({text}, {_list([n + c for n in NAMED for c in CLOCKS], '[]')})", time_zone),
    }
    if dates.shapes == ("iso",):
        return shapes["iso"]
    branches = " ".join(
        f"WHEN regexp_matches({text}, '{DATE_SHAPES[shape]}') THEN {shapes[shape]}" for shape in dates.shapes
    )
    return f"CASE {branches} END" if branches else "CAST(NULL AS TIMESTAMPTZ)"


def as_date(time: str) -> str:
    """Calendar day, in the session's time zone, of an instant."""
    return f"CAST({time} AS DATE)"


def number_text(text: str) -> str:
    """Digits, separators, exponent and sign of a number: without blanks, currency signs and codes, accounting brackets, percent."""
    bare = f"regexp_replace({text}, '{CURRENCY}|[\\s\\x{{00a0}}\\x{{202f}}''’%]', '', 'g')"
    bracketed = f"regexp_replace({bare}, '^\\((.*)\\)$', '-\\1')"
    return f"regexp_replace(regexp_replace({bracketed}, '^(.*[0-9.,])-$', '-\\1'), '^\\+', '')"


def as_number(text: str, style: Style, sql_type: str) -> str:
    """A number in `sql_type`; null where separators do not group digits properly. 12.5% is 0.125 for DOUBLE and unreadable otherwise."""
    if style == "plain":
        return f"TRY_CAST({text} AS {sql_type})"
    group, point = (",", ".") if style == "point" else (".", ",")
    clean = number_text(text)
    well_formed = f"-?(\\d{{1,3}}(\\{group}\\d{{2,3}})*\\{group}\\d{{3}}|\\d+)?(\\{point}\\d*)?([eE][-+]?\\d+)?"
    number = f"replace(replace({clean}, '{group}', ''), '{point}', '.')"
    cast = f"TRY_CAST({number} AS {sql_type})"
    percent = f"{cast} / 100" if sql_type == "DOUBLE" else "NULL"
    return (
        f"CASE WHEN NOT regexp_full_match({clean}, '{well_formed}') THEN NULL "
        f"WHEN contains({text}, '%') THEN {percent} ELSE {cast} END"
    )


def as_whole(number: str) -> str:
    """BIGINT of a DECIMAL(38,6) that has no fraction."""
    return f"CASE WHEN {number} = trunc({number}) THEN TRY_CAST({number} AS BIGINT) END"


def as_truth(text: str) -> str:
    """BOOLEAN of yes/no, true/false, 1/0, …"""
    return f"CASE WHEN lower({text}) IN {_list(TRUE)} THEN true WHEN lower({text}) IN {_list(FALSE)} THEN false END"


def as_word(text: str, allowed: tuple[str, ...]) -> str:
    """The allowed value that the text is, whatever its case and separators."""
    word = f"regexp_replace(lower({text}), '[^a-z0-9]+', '_', 'g')"
    return f"CASE WHEN {word} IN {_list(allowed)} THEN {word} END"


def _slashed(text: str, dates: Dates, time_zone: str) -> str:
    if dates.order is None:
        return "CAST(NULL AS TIMESTAMPTZ)"
    day = "%d/%m/" if dates.order == "dmy" else "%m/%d/"
    even = f"regexp_replace({text}, '^(\\d{{1,2}})[/. -](\\d{{1,2}})[/. -]', '\\1/\\2/')"
    long, short = (_list([day + year + clock for clock in CLOCKS], "[]") for year in ("%Y", "%y"))
    four = f"regexp_matches({text}, '^\\d{{1,2}}[/. -]\\d{{1,2}}[/. -]\\d{{4}}')"
    return _local(
        f"CASE WHEN {four} THEN try_strptime({even}, {long}) ELSE try_strptime({even}, {short}) END", time_zone
    )


def _local(timestamp: str, time_zone: str) -> str:
    return f"timezone({literal(time_zone)}, {timestamp})"


def _list(values: object, brackets: str = "()") -> str:
    return brackets[0] + ", ".join(literal(value) for value in values) + brackets[1]  # type: ignore[attr-defined]
