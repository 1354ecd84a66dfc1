"""Reading series: notations and frequencies, and what becomes of every kind of bad row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.models.series_calendar import find_calendar, read_times
from salesml.models.series_input import clean_series

MONTHS = [f"{2015 + m // 12}-{m % 12 + 1:02d}" for m in range(24)]


def text(rows: list[tuple[str | None, str | None, str | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["unique_id", "ds", "y"], dtype="str")


def monthly(name: str, count: int = 24, skip: tuple[int, ...] = ()) -> list[tuple[str, str, str]]:
    return [(name, MONTHS[m], str(m + 1.5)) for m in range(count) if m not in skip]


@pytest.mark.parametrize(
    ("freq", "notation", "name", "season"),
    [
        ("D", "%Y-%m-%d", "daily", 7),
        ("B", "%Y-%m-%d", "business days", 5),
        ("B", "%d.%m.%Y", "business days", 5),
        ("W-SUN", "%Y-%m-%d", "weekly", 52),
        ("W-WED", "%Y/%m/%d", "weekly", 52),
        ("MS", "%Y-%m-%d", "monthly (month start)", 12),
        ("ME", "%Y-%m-%d", "monthly (month end)", 12),
        ("MS", "%Y-%m", "monthly (month start)", 12),
        ("MS", "%Y%m", "monthly (month start)", 12),
        ("QS-FEB", "%Y-%m-%d", "quarterly (month start)", 4),
        ("QE", "%Y-%m-%d", "quarterly (month end)", 4),
        ("YS", "%Y-%m-%d", "yearly (month start)", 1),
        ("h", "%Y-%m-%d %H:%M:%S", "hourly", 24),
        ("D", "%Y%m%d", "daily", 7),
        ("D", "%m/%d/%Y", "daily", 7),
    ],
)
@pytest.mark.parametrize("start", ["1966-02-03", "2015-12-28"])
def test_frequency_is_found_and_continued_in_the_files_own_notation(
    freq: str, notation: str, name: str, season: int, start: str
) -> None:
    dates = pd.date_range(start, periods=44, freq=freq)
    texts = pd.Series(dates.strftime(notation), dtype="str")
    times, found = read_times(texts[:40], "f.csv")
    calendar = find_calendar(pd.Series(["a"] * 40), times, found, "f.csv")
    assert (calendar.name, calendar.season) == (name, season)
    index = calendar.index(times).to_numpy("int64")
    assert (np.diff(index) == 1).all()
    assert calendar.text(index[-1] + np.arange(1, 5)).tolist() == texts[40:].tolist()
    assert calendar.text(index).tolist() == texts[:40].tolist()


@pytest.mark.parametrize(
    ("given", "after"),
    [
        (["1", "2", "3"], "4"),
        (["1998", "1999", "2000"], "2001"),
        (["2017Q3", "2017Q4", "2018Q1"], "2018Q2"),
        (["2017-01-30", "2017-02-28", "2017-03-30"], "2017-04-30"),
    ],
)
def test_integers_quarters_and_late_days_are_continued(given: list[str], after: str) -> None:
    times, notation = read_times(pd.Series(given, dtype="str"), "f.csv")
    calendar = find_calendar(pd.Series(["a"] * 3), times, notation, "f.csv")
    assert calendar.text(calendar.index(times).to_numpy("int64")[-1:] + 1).tolist() == [after]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["soon", "later", "then"], r"row 1, column ds: not a period .*'soon'.*2017-01-31"),
        (["01/02/2017", "02/02/2017", "03/02/2017"], "day and month cannot be told apart"),
        (["42736", "42767", "42795"], "Excel's serial dates"),
    ],
)
def test_unreadable_periods_are_refused_with_the_mend(given: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        clean_series(text([("a", ds, "1") for ds in given]), "f.csv")


def test_mixed_frequencies_are_refused_naming_both() -> None:
    weeks = pd.date_range("2015-01-05", periods=24, freq="7D").strftime("%Y-%m-%d")
    rows = [("m", f"{month}-01", "1") for month in MONTHS] + [("w", week, "1") for week in weeks]
    with pytest.raises(BadInput, match=r"series m is monthly.*series w is weekly"):
        clean_series(text(rows), "f.csv")


def test_good_series_are_kept_exactly_and_every_bad_one_is_located() -> None:
    bad = [
        *[("letters", MONTHS[m], v) for m, v in enumerate(["1", "2", "x"])],
        *[("infinite", MONTHS[m], v) for m, v in enumerate(["1", "inf", "3"])],
        *[("twice", ds, "1") for ds in (MONTHS[0], MONTHS[1], MONTHS[1], MONTHS[2])],
        *[("when", ds, "1") for ds in (MONTHS[0], "someday", MONTHS[2])],
        *monthly("gap", 24, skip=(5, 6, 7, 8)),
        *monthly("short", 2),
        (None, MONTHS[0], "5"),
    ]
    good = monthly("007")
    cleaned = clean_series(text(good + bad), "f.csv")
    assert cleaned.frame["unique_id"].unique().tolist() == ["007"]
    assert cleaned.frame["y"].tolist() == [float(y) for _, _, y in good]
    found = cleaned.rejected.set_index("unique_id")
    assert found[["row", "column", "value"]].to_dict("index") == {
        "": {"row": 24 + len(bad), "column": "unique_id", "value": ""},
        "gap": {"row": 24 + 13 + 6, "column": "ds", "value": MONTHS[9]},
        "infinite": {"row": 29, "column": "y", "value": "inf"},
        "letters": {"row": 27, "column": "y", "value": "x"},
        "short": {"row": 24 + len(bad) - 1, "column": "y", "value": "2.5"},
        "twice": {"row": 33, "column": "ds", "value": MONTHS[1]},
        "when": {"row": 36, "column": "ds", "value": "someday"},
    }
    assert found["mend"].str.len().min() > 10
    assert "4 periods are missing before this one" in found.loc["gap", "reason"]


def test_short_gaps_are_filled_from_the_past_only_and_noted() -> None:
    cleaned = clean_series(text(monthly("a", 24, skip=(3, 15)) + monthly("b", 24, skip=(17,))), "f.csv")
    assert cleaned.frame.query("unique_id == 'b'")["y"].tolist()[17] == 5 + 1.5  # the value one season earlier
    y = cleaned.frame["y"].tolist()
    assert y[3] == y[2]  # nothing a season earlier: the value before
    assert y[15] == y[14]  # a season earlier it is missing too: the value before
    assert cleaned.notes["a"].startswith("2 missing periods filled")


def test_gap_rules_zero_and_error() -> None:
    frame = text(monthly("a", 24, skip=tuple(range(5, 15))) + monthly("b"))
    zero = clean_series(frame, "f.csv", gaps="zero").frame.query("unique_id == 'a'")
    assert zero["y"].tolist()[5:15] == [0.0] * 10
    strict = clean_series(text(monthly("a", 24, skip=(4,)) + monthly("b")), "f.csv", gaps="error")
    assert strict.rejected["unique_id"].tolist() == ["a"]
    with pytest.raises(BadParameter, match="previous, zero, error"):
        clean_series(frame, "f.csv", gaps="guess")


def test_a_wrong_year_does_not_fill_a_thousand_periods_with_zero() -> None:
    rows = [("a", f"{year}-01", "1") for year in (1015, 2015, 2016)] + monthly("b")
    cleaned = clean_series(text(rows), "f.csv", gaps="zero")
    assert cleaned.rejected.loc[0, "mend"] == "Mend the date."


def test_empty_values_at_the_ends_are_dropped_not_filled() -> None:
    rows = monthly("a")
    rows = [(i, d, "" if m in (0, 22, 23) else y) for m, (i, d, y) in enumerate(rows)]
    cleaned = clean_series(text(rows), "f.csv")
    assert len(cleaned.frame) == 21
    assert cleaned.calendar.text(cleaned.frame["index"].to_numpy()[[0, -1]]).tolist() == [MONTHS[1], MONTHS[21]]
    assert "1 periods without a value before the first" in cleaned.notes["a"]
    assert "2 periods without a value after the last" in cleaned.notes["a"]


def test_missing_column_empty_file_and_nothing_left() -> None:
    with pytest.raises(BadInput, match="column y is missing; found: unique_id, ds"):
        clean_series(text(monthly("a")).drop(columns="y"), "f.csv")
    with pytest.raises(BadInput, match="no rows"):
        clean_series(text([]), "f.csv")
    with pytest.raises(NotEnoughData, match=r"no usable series.*f\.csv, row 2, column y: not a number \(value '1,5'\)"):
        clean_series(text([("a", "1", "1"), ("a", "2", "1,5"), ("a", "3", "2")]), "f.csv")


def test_row_order_does_not_matter() -> None:
    frame = text(monthly("a", 24, skip=(7,)) + monthly("b", 20))
    shuffled = frame.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(clean_series(frame, "f").frame, clean_series(shuffled, "f").frame)
