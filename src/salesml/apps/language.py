"""What the apps say, in the reader's language: sentences, numbers, money and days in English, Spanish, French, German, Portuguese.

A message's id is its English sentence with named places: `_("Known up to {day}", day=...)`. Translations lie in
locale/<code>/LC_MESSAGES/salesml.po; after new sentences run `python .ci/messages.py` and fill in what is empty.
"""

from __future__ import annotations

import datetime as dt
import gettext
import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from babel import Locale, negotiate_locale
from babel.dates import format_date, format_interval, format_skeleton, format_time
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
)

from salesml.analytics.words import MISSING, absent

CODES = ("en", "es", "fr", "de", "pt")
NAMES = {"en": "English", "es": "Español", "fr": "Français", "de": "Deutsch", "pt": "Português"}
LOCALE = Path(__file__).parent / "locale"
_FORMS = {"en": "en_GB"}  # days as 3 July 2026, and no currency is a bare dollar


@dataclass(frozen=True)
class Language:
    """One of CODES. Forms of amounts and days are those of the language; what is missing is –."""

    code: str = "en"

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise ValueError(f"language {self.code!r} is not one of {', '.join(CODES)}")

    @property
    def forms(self) -> Locale:
        """The locale of numbers and days."""
        return _locale(self.code)

    def _(self, message: str, **values: object) -> str:
        """A sentence with its places filled; in English where it is not translated. Escape values that go into HTML."""
        said = _said(self.code).get(message) or message
        return said.format(**values) if values else said

    def n_(self, one: str, many: str, number: int, **values: object) -> str:
        """A sentence that depends on a number, which fills the place {n}: n_("{n} deal", "{n} deals", 3)."""
        forms, which = _counted(self.code)
        said = forms.get(one, (one, many))[which(number) if one in forms else int(number != 1)] or (one if number == 1 else many)
        return said.format(n=self.number(number), **values)

    def number(self, value: Any, digits: int = 0) -> str:
        """A number with so many decimals: 1,204 or 1.204 or 1 204."""
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return MISSING if absent(value) else format_decimal(_plain_zero(value, digits), pattern, locale=self.forms)

    def short(self, value: Any) -> str:
        """A number with three significant digits: 4.31M, 4,31 Mio."""
        if absent(value):
            return MISSING
        rounded, digits = _significant(value)
        if not self._has_thousands(rounded):
            return format_decimal(rounded, locale=self.forms)
        return format_compact_decimal(rounded, format_type="short", locale=self.forms, fraction_digits=digits)

    def money(self, value: Any, currency: str, exact: bool = False) -> str:
        """An amount with its currency, with three significant digits (US$4.31M), or to the cent where `exact` (US$4,312,450.10)."""
        if absent(value):
            return MISSING
        if exact:
            return format_currency(Decimal(str(value)), currency, locale=self.forms)
        rounded, digits = _significant(value)
        if not self._has_thousands(rounded):
            whole = self.forms.currency_formats["standard"].pattern.replace("0.00", "0")
            return format_currency(rounded, currency, whole, locale=self.forms, currency_digits=False)
        return format_compact_currency(rounded, currency, locale=self.forms, fraction_digits=digits)

    def percent(self, share: Any, digits: int = 0) -> str:
        """A share as a percentage with so many decimals; never 0 or 100 unless it is."""
        if absent(share):
            return MISSING
        step = 10.0 ** -(digits + 2)
        if 0 < share <= step / 2:
            return f"<{self._share(step, digits)}"
        if 1 - step / 2 <= share < 1:
            return f">{self._share(1 - step, digits)}"
        return self._share(_plain_zero(share, digits + 2), digits)

    def day(self, moment: dt.date | None, short: bool = False) -> str:
        """A calendar day: 3 July 2026, 3. Juli 2026; short: 3 Jul 2026. Of an instant, hand in its local date."""
        return MISSING if moment is None else format_date(moment, "medium" if short else "long", locale=self.forms)

    def day_of_year(self, moment: dt.date) -> str:
        """A calendar day without its year: 3 Jul, 3. Juli."""
        return format_skeleton("MMMd", _day(moment), locale=self.forms)

    def month(self, moment: dt.date | None, short: bool = False) -> str:
        """The month of a day: July 2026, juillet 2026; short: Jul 2026."""
        return MISSING if moment is None else format_skeleton("yMMM" if short else "yMMMM", _day(moment), locale=self.forms)

    def span(self, start: dt.date, end: dt.date) -> str:
        """The days of [start, end), as months where they are whole: April–June 2026, 3–9 July 2026."""
        last = end - dt.timedelta(days=1)
        if start.day == 1 and end.day == 1:
            one = (start.year, start.month) == (last.year, last.month)
            return self.month(start) if one else format_interval(_day(start), _day(last), "yMMMM", locale=self.forms)
        return self.day(start) if start == last else format_interval(_day(start), _day(last), "yMMMd", locale=self.forms)

    def until(self, as_of: dt.datetime | None, zone: dt.tzinfo) -> str:
        """The last day, or day and time, known as of an instant: 30 June 2026 for midnight after it."""
        if as_of is None:
            return MISSING
        local = as_of.astimezone(zone)
        if local.time() == dt.time():
            return self.day(local.date() - dt.timedelta(days=1))
        return f"{self.day(local.date())}, {format_time(local.time(), 'short', locale=self.forms)}"

    def _share(self, share: Any, digits: int) -> str:
        pattern = self.forms.percent_formats[None].pattern
        return format_percent(share, pattern.replace("0", f"0.{'0' * digits}") if digits else pattern, locale=self.forms)

    def _has_thousands(self, value: Decimal) -> bool:
        """Whether the language shortens a number of this size: German has no short form below a million."""
        return abs(value) >= 1_000_000 or self.forms.compact_decimal_formats["short"]["other"]["1000"].pattern != "0"


def chosen(accept_language: str = "", asked: str | None = None) -> Language:
    """The language asked for if it is one of CODES, else the best of an Accept-Language header, else English."""
    if asked in CODES:
        return Language(asked)
    weighed = []
    for part in accept_language.split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            weighed.append((float(weight or 1), tag))
        except ValueError:
            continue
    liked = [tag for weight, tag in sorted(weighed, key=lambda pair: -pair[0]) if weight > 0 and tag]
    return Language(negotiate_locale(liked, CODES, sep="-") or "en")


@lru_cache
def catalogue(code: str) -> Catalog:
    """The translations into a language, read once."""
    with (LOCALE / code / "LC_MESSAGES" / "salesml.po").open("rb") as file:
        return read_po(file, locale=code)


@lru_cache
def _locale(code: str) -> Locale:
    return Locale.parse(_FORMS.get(code, code))


@lru_cache
def _said(code: str) -> dict[str, str]:
    """Sentences by their English."""
    if code == "en":
        return {}
    return {m.id: m.string for m in catalogue(code) if isinstance(m.id, str) and isinstance(m.string, str) and m.id and m.string}


@lru_cache
def _counted(code: str) -> tuple[dict[str, tuple[str, ...]], Callable[[int], int]]:
    """Sentences with a number by their English singular, and which form a number takes."""
    if code == "en":
        return {}, lambda number: int(number != 1)
    found = {m.id[0]: tuple(m.string) for m in catalogue(code) if isinstance(m.id, tuple) and not isinstance(m.string, str) and m.string}
    which: Callable[[int], int] = gettext.c2py(catalogue(code).plural_expr)  # type: ignore[attr-defined]
    return found, which


def _significant(value: Any) -> tuple[Decimal, int]:
    """A value rounded to three significant digits, and how many decimals its short form then has."""
    exact = Decimal(str(value))
    if not exact:
        return Decimal(0), 0
    if abs(exact) < 1000:
        whole = exact.quantize(Decimal(1), ROUND_HALF_EVEN)
        return (whole or Decimal(0)), 0
    rounded = exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_HALF_EVEN)
    return Decimal(f"{rounded:f}"), 2 - rounded.adjusted() % 3


def _plain_zero(value: Any, digits: int) -> Any:
    """The value, without the sign of what rounds to nothing."""
    return 0 if math.fabs(value) < 0.5 * 10.0**-digits else value


def _day(moment: dt.date) -> dt.date:
    return moment.date() if isinstance(moment, dt.datetime) else moment
