"""The apps' languages: nothing said is untranslated or stale, and numbers, money and days have the forms of each language."""

from __future__ import annotations

import datetime as dt
import importlib.util
import math
import string
from decimal import Decimal
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from hypothesis import given
from hypothesis import strategies as st

from salesml.apps import language
from salesml.apps.language import CODES, Language, chosen

OTHERS = CODES[1:]
N, NN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"
spec = importlib.util.spec_from_file_location("messages", Path(__file__).resolve().parents[1] / ".ci" / "messages.py")
messages = importlib.util.module_from_spec(spec)
spec.loader.exec_module(messages)


@pytest.fixture(scope="module")
def said() -> Catalog:
    return messages.said()


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def texts(found: object) -> list[str]:
    return [found] if isinstance(found, str) else list(found or [""])


@pytest.mark.parametrize("code", OTHERS)
def test_all_that_is_said_is_translated_with_the_same_places(said, code):
    known = {m.id: m.string for m in language.catalogue(code) if m.id}
    wanted = {m.id for m in said if m.id}
    assert len(wanted) > 10
    assert {one for one in wanted if not all(texts(known.get(one)))} == set(), "run python .ci/messages.py and translate"
    assert set(known) - wanted == set(), "stale; run python .ci/messages.py"
    forms = language.catalogue(code).num_plurals
    for one, told in known.items():
        assert not isinstance(one, tuple) or len(told) == forms
        assert {name for text in texts(told) for name in places(text)} == {name for text in texts(one) for name in places(text)}, one


def test_what_is_said_is_found_in_f_strings_and_must_be_written_out(tmp_path):
    source = tmp_path / "screen.py"
    lines = ["""x = f"<p>{escape(_('Deep {n}', n=1))}</p>\"""", 'self.n_("{n} deal", "{n} deals", 3)', "for _ in y: pass"]
    source.write_text("\n".join(lines))
    assert set(messages.texts(source)) == {"Deep {n}", ("{n} deal", "{n} deals")}
    source.write_text('_(f"{n} deals")')
    with pytest.raises(SyntaxError, match="line 1"):
        list(messages.texts(source))


@pytest.fixture
def german(monkeypatch):
    """German with a catalogue of its own: a sentence, a plural, and one without a translation."""
    made = Catalog(locale="de")
    made.add("Known up to {day}", "Bekannt bis {day}")
    made.add(("{n} deal of {whose}", "{n} deals of {whose}"), ("{n} Geschäft von {whose}", "{n} Geschäfte von {whose}"))
    made.add(("{n} rep", "{n} reps"), None)
    for cached in (language._said, language._counted):
        cached.cache_clear()
    monkeypatch.setattr(language, "catalogue", lambda code: made)
    yield Language("de")
    for cached in (language._said, language._counted):
        cached.cache_clear()


def test_sentences_are_translated_and_counted(german):
    assert german._("Known up to {day}", day="3. Juli") == "Bekannt bis 3. Juli"
    assert german._("Not translated, 100 %") == "Not translated, 100 %"
    assert german.n_("{n} deal of {whose}", "{n} deals of {whose}", 1, whose="Kim") == "1 Geschäft von Kim"
    assert german.n_("{n} deal of {whose}", "{n} deals of {whose}", 1204, whose="Kim") == "1.204 Geschäfte von Kim"
    assert [german.n_("{n} rep", "{n} reps", n) for n in (0, 1)] == ["0 reps", "1 rep"]
    english = Language()
    assert [english.n_("{n} rep", "{n} reps", n) for n in (0, 1, 1204)] == ["0 reps", "1 rep", "1,204 reps"]


def test_an_unknown_language_is_refused():
    with pytest.raises(ValueError, match="'it' is not one of en, es, fr, de, pt"):
        Language("it")


MONEY = {  # 4,312,450.10 and 288,000 US dollars, 950 euros
    "en": ("US$4.31M", "US$288K", "€950", "US$4,312,450.10"),
    "es": (f"4,31{N}MUS$", f"288{N}mil{N}US$", f"950{N}€", f"4.312.450,10{N}US$"),
    "fr": (f"4,31{N}M{N}$US", f"288{N}k{N}$US", f"950{N}€", f"4{NN}312{NN}450,10{N}$US"),
    "de": (f"4,31{N}Mio.{N}$", f"288.000{N}$", f"950{N}€", f"4.312.450,10{N}$"),
    "pt": (f"US${N}4,31{N}mi", f"US${N}288{N}mil", f"€{N}950", f"US${N}4.312.450,10"),
}


@pytest.mark.parametrize("code", CODES)
def test_money_is_short_or_to_the_cent(code):
    say = Language(code).money
    exact = Decimal("4312450.10")
    assert (say(exact, "USD"), say(288_000, "USD"), say(950, "EUR"), say(exact, "USD", exact=True)) == MONEY[code]
    for nothing in (None, math.nan):
        assert say(nothing, "USD") == "–" == say(nothing, "USD", exact=True)


def test_short_amounts_keep_three_digits_at_every_boundary():
    say = Language().short
    amounts = (0, 0.4, -0.4, 999, 999.6, 1234, 999_499, 999_950, 4_315_000, -43_124_500, 431_500_000, 1.5e10)
    assert [say(one) for one in amounts] == ["0", "0", "0", "999", "1K", "1.23K", "999K", "1M", "4.32M", "-43.1M", "432M", "15B"]


def test_percentages_are_never_nothing_or_all_unless_they_are():
    say, german = Language().percent, Language("de").percent
    shares = (0, 0.001, 0.005, 0.5, 0.994, 0.996, 1, 1.2, -0.034, -0.001, None)
    assert [say(one) for one in shares] == ["0%", "<1%", "<1%", "50%", "99%", ">99%", "100%", "120%", "-3%", "0%", "–"]
    assert (german(0.1234, 1), german(0.9999, 1), german(0.0001, 1)) == (f"12,3{N}%", f">99,9{N}%", f"<0,1{N}%")


DAYS = {
    "en": ("3 July 2026", "3 Jul 2026", "July 2026", "April – June 2026", "December 2025 – January 2026", "3–9 Jul 2026"),
    "es": ("3 de julio de 2026", "3 jul 2026", "julio de 2026", "abril–junio de 2026", "diciembre de 2025 – enero de 2026", "3–9 jul 2026"),
    "fr": ("3 juillet 2026", "3 juil. 2026", "juillet 2026", "avril – juin 2026", "décembre 2025 – janvier 2026", "3–9 juil. 2026"),
    "de": ("3. Juli 2026", "03.07.2026", "Juli 2026", "April–Juni 2026", "Dezember 2025 – Januar 2026", "3.–9. Juli 2026"),
    "pt": ("3 de julho de 2026", "3 de jul. de 2026", "julho de 2026", "abril – junho de 2026", "dezembro de 2025 – janeiro de 2026",
           "3 – 9 de jul. de 2026"),
}  # fmt: skip


@pytest.mark.parametrize("code", CODES)
def test_days_months_and_spans(code):
    say, day = Language(code), dt.date(2026, 7, 3)
    spans = ((dt.date(2026, 4, 1), dt.date(2026, 7, 1)), (dt.date(2025, 12, 1), dt.date(2026, 2, 1)), (day, dt.date(2026, 7, 10)))
    found = (say.day(day), say.day(day, short=True), say.month(day), *(say.span(*one) for one in spans))
    assert tuple(one.replace("\N{THIN SPACE}", " ").replace(NN, " ") for one in found) == DAYS[code]
    assert say.span(day, dt.date(2026, 7, 4)) == say.day(day)
    assert say.span(dt.date(2026, 7, 1), dt.date(2026, 8, 1)) == say.month(day)
    assert say.day(None) == say.month(None) == say.until(None, dt.UTC) == "–"


def test_midnight_means_the_end_of_the_day_before():
    say = Language("de").until
    assert say(dt.datetime(2026, 7, 1, tzinfo=dt.UTC), dt.UTC) == "30. Juni 2026"
    assert say(dt.datetime(2026, 7, 1, 14, 5, tzinfo=dt.UTC), dt.UTC) == "1. Juli 2026, 14:05"


@given(st.sampled_from(CODES), st.decimals(-10**13, 10**13, places=2), st.sampled_from(["USD", "EUR", "JPY"]))
def test_every_amount_has_a_form(code, value, currency):
    say = Language(code)
    assert any(letter.isdigit() for letter in say.money(value, currency))
    digits = [letter for letter in say.money(value, currency, exact=True) if letter.isdigit()]
    places = 0 if currency == "JPY" else 2
    assert Decimal("".join(digits)).scaleb(-places) == abs(value.quantize(Decimal(1).scaleb(-places)))
    assert len([letter for letter in say.short(value).lstrip("-0") if letter in "123456789"]) <= 4


@pytest.mark.parametrize(
    ("header", "asked", "code"),
    [
        ("", None, "en"),
        ("de-AT,de;q=0.9,en;q=0.8", None, "de"),
        ("pt-BR", None, "pt"),
        ("it;q=1, fr-CA;q=0.5, es;q=0.6", None, "es"),
        ("it, ja", None, "en"),
        ("de;q=0, fr;q=0.1", None, "fr"),
        ("de;q=much, *", None, "en"),
        ("de", "pt", "pt"),
        ("de", "klingon", "de"),
        ("de", "", "de"),
    ],
)
def test_the_language_is_the_one_asked_for_or_liked_best(header, asked, code):
    assert chosen(header, asked) == Language(code)
