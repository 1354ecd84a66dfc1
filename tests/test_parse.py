"""What is written is read back: dates, numbers and yes/no in every usual way of writing them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml.errors import BadInput
from salesml.sources import parsing
from salesml.sources.formats import Column, date_formats, number_formats
from salesml.sources.mapping import parse_mapping
from salesml.sources.parsing import DATE_SHAPES, Dates

ZONE = "Europe/Amsterdam"
EVERY_SHAPE = tuple(DATE_SHAPES)
MAPPING = parse_mapping("files: {f: {}}\ntables:\n  revenue: SELECT 1\n", "m.yaml")
QUICK = settings(max_examples=40, deadline=None)


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{ZONE}'")
        yield connection


def read(con, expression, texts):
    """The expression over texts, in order, as text."""
    rows = ", ".join(f"({i}, {parsing.literal(text)})" for i, text in enumerate(texts))
    query = f"SELECT CAST({expression} AS VARCHAR) FROM (VALUES {rows}) AS t(i, x) ORDER BY i"
    return [value for (value,) in con.execute(query).fetchall()]


def time_sql(dates, kind="TIMESTAMP"):
    return f"CAST(timezone('UTC', {parsing.as_time('x', dates, ZONE)}) AS {kind})"


DAYS = st.dates(dt.date(1971, 1, 1), dt.date(2099, 12, 31))


@QUICK
@given(day=DAYS, order=st.sampled_from(["dmy", "mdy"]), sign=st.sampled_from("/.-"), padded=st.booleans())
def test_days_round_trip_in_every_way_of_writing_them(con, day, order, sign, padded):
    parts = [f"{day.day:02d}", f"{day.month:02d}"] if padded else [str(day.day), str(day.month)]
    slashed = sign.join([*(parts if order == "dmy" else parts[::-1]), str(day.year)])
    serial = (day - dt.date(1899, 12, 30)).days
    texts = [day.isoformat(), day.strftime("%Y/%m/%d"), day.strftime("%Y%m%d"), str(serial), f"{serial}.0", slashed,
             day.strftime("%d-%b-%Y"), day.strftime("%B %d, %Y"), day.isoformat() + " 00:00:00"]  # fmt: skip
    midnight = dt.datetime.combine(day, dt.time(), ZoneInfo(ZONE)).astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
    assert read(con, time_sql(Dates(EVERY_SHAPE, order)), texts) == [midnight] * len(texts)
    as_day = parsing.as_date(parsing.as_time("x", Dates(EVERY_SHAPE, order), ZONE))
    assert read(con, as_day, texts) == [day.isoformat()] * len(texts)


@QUICK
@given(moment=st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2099, 12, 31)), hours=st.integers(-12, 14))
def test_times_with_an_offset_are_the_same_instant_everywhere(con, moment, hours):
    aware = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=dt.timezone(dt.timedelta(hours=hours)))
    found = read(
        con, f"epoch_us({parsing.as_time('x', Dates(('iso',)), ZONE)})", [aware.isoformat(), aware.isoformat(" ")]
    )
    assert found == [str(int((aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1)))] * 2


@pytest.mark.parametrize("text", ["2017-02-30", "2017-13-01", "31/04/2017", "tomorrow", "99999999", "12:30", "2017-1"])
def test_what_is_no_date_is_null(con, text):
    assert read(con, time_sql(Dates(EVERY_SHAPE, "dmy")), [text]) == [None]


@QUICK
@given(
    amount=st.decimals(Decimal("-9999999999"), Decimal("9999999999"), places=2),
    style=st.sampled_from(["point", "comma"]),
)
def test_amounts_round_trip_with_signs_separators_and_currencies(con, amount, style):
    bare = f"{abs(amount):,.2f}"
    bare = bare if style == "point" else bare.translate(str.maketrans(",.", ".,"))
    minus = "-" if amount < 0 else ""
    texts = [
        minus + bare,
        f"{minus}${bare}",
        f"{minus}{bare} €",
        f"{minus}USD {bare}" if not minus else f"({bare})",
        f"{bare}{minus}",
    ]
    expected = str(amount if amount else abs(amount))
    assert read(con, parsing.as_number("x", style, "DECIMAL(18,2)"), texts) == [expected] * len(texts)


@QUICK
@given(number=st.integers(-(2**53), 2**53))
def test_whole_numbers_round_trip_and_fractions_are_refused(con, number):
    whole = parsing.as_whole(parsing.as_number("x", "point", "DECIMAL(38,6)"))
    assert read(con, whole, [f"{number:,}", str(number), f"{number}.0", f"{number}.5"]) == [str(number)] * 3 + [None]


@pytest.mark.parametrize("text", ["1,23", "1,2345", "1.2.3", "12 KG", "--5", "1-2", "0x10", "five", "1_000", "50%"])
def test_what_is_no_amount_is_null(con, text):
    assert read(con, parsing.as_number("x", "point", "DECIMAL(18,2)"), [text]) == [None]


def test_shares_words_and_blanks(con):
    assert read(con, parsing.as_number("x", "point", "DOUBLE"), ["12.5%", "0.125"]) == ["0.125", "0.125"]
    assert read(con, parsing.as_word("x", ("no_decision", "won")), ["No Decision", "WON", "maybe"]) == [
        "no_decision",
        "won",
        None,
    ]
    assert read(con, parsing.as_truth("x"), ["Yes", "0", "TRUE", "perhaps"]) == ["true", "false", "true", None]
    assert read(con, parsing.unblanked("x"), [" N/A ", "-", " x "]) == [None, None, "x"]


def told(con, kind, dtype, values):
    """The format that a column of these values is told to have."""
    con.execute(
        f"CREATE OR REPLACE TABLE t AS SELECT * FROM (VALUES {', '.join(f'({parsing.literal(v)})' for v in values)}) AS v(x)"
    )
    column = Column("t", "revenue", "x", dtype)
    return kind(con, [column], MAPPING)[column]


@pytest.mark.parametrize(
    ("values", "order"),
    [
        (["01/02/2017", "25/02/2017"], "dmy"),
        (["01/02/2017", "02/25/2017"], "mdy"),
        (["2017-01-02"], None),
        (["45123"], None),
    ],
)
def test_the_order_of_dates_is_told_from_the_column(con, values, order):
    assert told(con, date_formats, "timestamp", values).order == order


@pytest.mark.parametrize(
    ("values", "dtype", "style"),
    [
        (["1234.5", "7"], "money", "plain"),
        (["1,234.50", "7"], "money", "point"),
        (["1.234,50", "7"], "money", "comma"),
        (["12,5"], "float", "comma"),
        (["1,234"], "money", "point"),
        (["1.234"], "float", "plain"),
        (["1.234", "5.5"], "money", "point"),
        (["1.234", "5,5"], "money", "comma"),
        (["1.234.567"], "int", "comma"),
        (["$5"], "money", "point"),
    ],
)
def test_the_way_of_numbers_is_told_from_the_column(con, values, dtype, style):
    found = told(con, number_formats, dtype, values)
    assert found == style or (
        style == "point" and found == "plain" and all("," not in v and "$" not in v for v in values)
    )


@pytest.mark.parametrize(
    ("kind", "dtype", "values"),
    [
        (date_formats, "timestamp", ["01/02/2017"]),
        (date_formats, "timestamp", ["25/02/2017", "02/25/2017"]),
        (number_formats, "money", ["1.234"]),
        (number_formats, "float", ["1,234"]),
        (number_formats, "money", ["1.5", "1,5"]),
    ],
)
def test_what_cannot_be_told_is_an_error_that_names_the_column_and_the_mend(con, kind, dtype, values):
    with pytest.raises(BadInput, match=r"m.yaml, column revenue.x: .*Say `(dates|decimals): "):
        told(con, kind, dtype, values)
