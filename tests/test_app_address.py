"""Filters in an address: what is written is read again, what has no sense is told and does no harm."""

from __future__ import annotations

import datetime as dt
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml.apps import address
from salesml.workspace import Settings, Workspace

BERLIN = Workspace("/nowhere", Settings(time_zone="Europe/Berlin"))
REGIONS = ("East & West", "Süd", "50 % =?#")
FILTERS = [address.choice("region", REGIONS), address.instant("as_of", BERLIN), address.whole("rows", 1, 100)]

INSTANTS = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2090, 1, 1), timezones=st.just(dt.UTC))
MIDNIGHTS = st.dates(dt.date(2000, 1, 1), dt.date(2090, 1, 1)).map(BERLIN.instant)
VALUES = st.fixed_dictionaries(
    {}, optional={"region": st.sampled_from(REGIONS), "as_of": INSTANTS | MIDNIGHTS, "rows": st.integers(1, 100)}
)


@given(VALUES, st.sampled_from([None, "de"]))
def test_what_is_written_is_read_again(values, language):
    query = address.write(values, FILTERS, language)
    assert address.read(query, FILTERS) == address.Asked(values)
    assert address.asked_language(query) == language
    assert (query == "") == (not values and language is None)


@given(st.text(max_size=60))
def test_no_text_is_too_odd_to_be_read(query):
    asked = address.read(query, FILTERS)
    assert address.read(address.write(asked.values, FILTERS), FILTERS).values == asked.values


def test_a_day_s_start_is_written_as_the_day():
    day = dt.datetime(2026, 6, 29, 22, tzinfo=dt.UTC)
    assert address.write({"as_of": day}, FILTERS) == "?as_of=2026-06-30"
    assert address.read("as_of=2026-06-30", FILTERS).values == {"as_of": day}
    assert address.write({"as_of": day + dt.timedelta(hours=1)}, FILTERS) == f"?as_of={quote('2026-06-29T23:00:00Z')}"


@pytest.mark.parametrize(
    ("query", "pair"),
    [
        ("?region=North", ("region", "North")),
        ("?as_of=yesterday", ("as_of", "yesterday")),
        ("?as_of=2026-02-30", ("as_of", "2026-02-30")),
        ("?rows=0", ("rows", "0")),
        ("?rows=101", ("rows", "101")),
        ("?rows=²", ("rows", "²")),
        ("?rows=-3", ("rows", "-3")),
        ("?nothing=1", ("nothing", "1")),
        ("?rows=5&rows=6", ("rows", "6")),
    ],
)
def test_what_has_no_sense_is_told(query, pair):
    asked = address.read(f"{query}&lang=de", FILTERS)
    assert asked.ignored == (pair,)
    assert asked.values == ({"rows": 5} if pair == ("rows", "6") else {})


def test_an_instant_may_be_held_to_those_there_are():
    there = BERLIN.instant("2026-06-30")
    one = [address.instant("as_of", BERLIN, [there])]
    assert address.read("?as_of=2026-06-30", one).values == {"as_of": there}
    assert address.read("?as_of=2026-07-01", one).ignored == (("as_of", "2026-07-01"),)


def test_a_name_without_a_value_says_nothing():
    assert address.read("?region=&as_of&rows=5", FILTERS) == address.Asked({"rows": 5})


def test_only_the_beginning_of_an_endless_address_is_read():
    assert address.read("?" + "x" * address.LONGEST + "&rows=5", FILTERS).values == {}
