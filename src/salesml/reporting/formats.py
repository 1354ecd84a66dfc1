"""Values as text in the reader's language, as Excel's number formats, and how wide they are; the palette of the apps."""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_compact_decimal, format_decimal, format_percent
from babel.units import format_unit

from salesml.reporting.document import Format, Grid, Number, Value

ACCENT, INK, SOFT, EDGE, LINE, GROUND = "0B5FA5", "1B2430", "4D5A6A", "74808F", "CCD3DC", "F6F7F9"
FOR, AGAINST, BAND = "1D6F42", "B3372B", "B6CFE4"
MISSING = "–"
_DECIMALS = {"count": 0, "money": 2, "share": 1, "number": 2, "days": 0}
_SIZES: tuple[tuple[int, str, str], ...] = ((10**9, ",,,", "bn"), (10**6, ",,", "M"), (10**4, ",", "k"))
_ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_WIDTH_EM = {**dict.fromkeys(" .,:;'’|!ijl()-\u00a0\u202f", 0.36), **dict.fromkeys("mwMW%@—", 0.98)}


def locale_of(name: str) -> Locale:
    """Babel's locale of en, pt_BR or pt-BR."""
    return Locale.parse(name, sep="-" if "-" in name else "_")


def clean(text: str) -> str:
    """The text without characters that no XML or PDF may hold (control characters, halves of pairs); other names stay as they are."""
    return _ILLEGAL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def exact(value: Number) -> Decimal:
    """The number as a decimal; a float as it is written, so that 0.1 is a tenth."""
    return Decimal(repr(float(value))) if isinstance(value, float) else Decimal(value)


def decimals(form: Format) -> int:
    """Digits after the point: as declared, or as the kind usually has them."""
    return form.decimals if form.decimals is not None else _DECIMALS[form.kind]


def told(value: Value, form: Format, locale: str, currency: bool = True) -> str:
    """The value in words of the locale; – where there is none; `currency` False leaves the code of money to the heading.

    Numbers are rounded to the declared digits, half to even.
    """
    if value is None:
        return MISSING
    if isinstance(value, str):
        return clean(value)
    known = locale_of(locale)
    if isinstance(value, dt.date):
        return str(format_date(value, "medium", locale="en_GB" if str(known) == "en" else known))
    number = exact(value)
    digits = decimals(form)
    pattern = "#,##0" + ("." + "0" * digits if digits else "")
    if form.kind == "share":
        whole = known.percent_formats[None].pattern
        return str(format_percent(number, re.sub(r"[#,]*0", pattern, whole, count=1), locale=known))
    if form.kind == "days":
        return _days(number, pattern, known)
    shown = str(format_decimal(number, pattern, locale=known))
    if form.kind != "money" or not currency:
        return shown
    first = known.currency_formats["standard"].pattern.startswith("¤")
    return f"{form.currency}\u00a0{shown}" if first else f"{shown}\u00a0{form.currency}"


def brief(value: Number, form: Format, locale: str) -> str:
    """A number for an axis or a bar's end: 4.5M, 288K, 12 %, as the locale shortens them, without unit."""
    known = locale_of(locale)
    if form.kind == "share":
        return str(format_percent(round(exact(value), 4), locale=known))
    if abs(exact(value)) < 10**4:
        return str(format_decimal(round(exact(value), 2), locale=known))
    short = str(format_compact_decimal(exact(value), fraction_digits=1, locale=known))
    return short if re.search("[^\\W\\d]", short) else str(format_decimal(round(exact(value)), locale=known))


def unit(form: Format, locale: str) -> str:
    """What a chart's numbers are counted in: the currency, the word for days, or nothing."""
    return form.currency or (day_word(locale) if form.kind == "days" else "")


def day_word(locale: str) -> str:
    """The word for days in the plural: days, jours, Tage."""
    return re.sub(r"[\d\s]+", "", _days(Decimal(5), "0", locale_of(locale)))


def _days(number: Decimal, pattern: str, locale: Locale) -> str:
    """A number of days in the long form, or in the short one where the locale data has no other (Portuguese)."""
    long = format_unit(number, "duration-day", "long", format=pattern, locale=locale)
    return str(format_unit(number, "duration-day", "short", format=pattern, locale=locale) if "duration" in long else long)


def heading(name: str, form: Format) -> str:
    """A column's heading; money names its currency."""
    return clean(f"{name} ({form.currency})" if form.currency and form.currency not in name else name)


def excel_code(form: Format, locale: str) -> str:
    """Excel's number format; its codes are the same in every language."""
    if form.kind == "text":
        return "@"
    if form.kind == "date":
        return "yyyy-mm-dd"
    digits = decimals(form)
    point = "." + "0" * digits if digits else ""
    if form.kind == "money":
        return f"[${form.currency}] #,##0{point};-[${form.currency}] #,##0{point}"
    if form.kind == "share":
        return f"0{point}%"
    return f"#,##0{point}" + (f'" {day_word(locale)}"' if form.kind == "days" else "")


def axis_code(form: Format, largest: Number) -> str:
    """Excel's number format of an axis whose largest number is given: in millions, in thousands or whole."""
    if form.kind == "share":
        return "0%"
    size = next((entry for entry in _SIZES if abs(exact(largest)) >= entry[0]), None)
    if size is None:
        return "#,##0" if form.kind == "count" or abs(exact(largest)) >= 10 else "#,##0.0"
    short = abs(exact(largest)) >= 100 * size[0] or size[2] == "k"
    return f'0{"" if short else ".0"}{size[1]}" {size[2]}"'


def width_em(text: str) -> float:
    """About how wide a text is set, in multiples of the type size (a sans serif, measured generously); its widest line."""
    return max(sum(_letter_em(letter) for letter in line) for line in text.split("\n"))


def _letter_em(letter: str) -> float:
    return _WIDTH_EM.get(letter, 0.74 if "A" <= letter <= "Z" else 0.64 if letter < "\u1100" else 1.05)


def column_widths(
    texts: Sequence[Sequence[str]], text_columns: Sequence[bool], most_em: float, closing: bool = False
) -> tuple[list[float], float]:
    """Widths of columns (em) that fill at most `most_em`, and the least the table needs; no number is broken.

    texts: rows of shown values, the headings first, a total last where `closing`; these two are bold. Where all fits, a column has
    what it wants; else text columns wrap and share.
    """
    wanted, least = [], []
    bold = {0, len(texts) - 1} if closing else {0}
    for place, is_text in enumerate(text_columns):
        cells = [(row[place], BOLD if number in bold else 1.0) for number, row in enumerate(texts)]
        name, body = cells[0][0], cells[1:]
        head = max((width_em(word) * BOLD for word in name.split()), default=1.0)
        longest = max((width_em(cell) * wide for cell, wide in body), default=1.0)
        words = max((width_em(word[:BREAK_AFTER]) * wide for cell, wide in body for word in cell.split()), default=1.0)
        least.append(max(head, words if is_text else longest) + CELL_PADDING_EM)
        wanted.append(max(least[-1], min(longest, 40.0) + CELL_PADDING_EM, min(width_em(name) * BOLD + CELL_PADDING_EM, 14.0)))
    if sum(wanted) <= most_em:
        return wanted, sum(least)
    spare, wish = max(most_em - sum(least), 0.0), sum(wanted) - sum(least)
    return [low + spare * (want - low) / wish if wish else low for low, want in zip(least, wanted, strict=True)], sum(least)


BREAK_AFTER = 22
"""Letters after which a word without a gap may be broken."""
CELL_PADDING_EM = 1.3
BOLD = 1.1


def breakable(text: str) -> str:
    """The text with invisible places to break in words that are too long for any column."""
    pieces = (re.findall(f".{{1,{BREAK_AFTER}}}", word) if len(word) > BREAK_AFTER else [word] for word in re.split(r"(\s+)", text))
    return "".join("\u200b".join(found) if len(found) > 1 else found[0] if found else "" for found in pieces)


def cells(grid: Grid, locale: str) -> list[list[str]]:
    """A grid as text: the headings, the rows, the total where there is one; money without its code, which the heading names."""
    body = [[told(value, column.format, locale, False) for value, column in zip(row, grid.columns, strict=True)] for row in grid.rows]
    if grid.total is not None:
        pairs = zip(grid.total, grid.columns, strict=True)
        body.append(["" if value is None else told(value, column.format, locale, False) for value, column in pairs])
    return [[heading(column.name, column.format) for column in grid.columns], *body]


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place at once: readers see the old one or the whole new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
