"""Files of every sort become typed columns; what cannot be read is kept, counted and explained."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from study_tables import deals, write

from salesml.errors import BadInput
from salesml.workflows.study_columns import Holds, converted, times, told
from salesml.workflows.study_input import read_table


def texts(*values: str | None) -> pd.Series:
    return pd.Series(values, dtype="str", name="column")


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".xlsx", ".parquet"])
def test_the_same_table_in_any_format(suffix: str, tmp_path: Path) -> None:
    table, path = deals(50), tmp_path / f"deals{suffix}"
    if suffix == ".xlsx":
        table.to_excel(path, index=False)
    elif suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)
    sheet = read_table(path)
    assert list(sheet.frame.columns) == list(table.columns) and sheet.rows == 50
    for name in table.columns:
        holds = told(sheet.frame[name])
        expected = converted(texts(*table[name]), told(texts(*table[name])))
        pd.testing.assert_series_equal(
            converted(sheet.frame[name], holds).reset_index(drop=True),
            expected,
            check_names=False,
            check_index_type=False,
        )
    assert sheet.frame["Deal"].iloc[7] == "000007" and told(sheet.frame["Deal"]).kind == "text"


def test_semicolons_bom_and_mixed_encodings(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_bytes("\ufeffName;Größe;Ja\n".encode() + b"M\xfcller;1,5;x\n" + "Straße;2.000,25;y\n".encode())
    sheet = read_table(path)
    assert list(sheet.frame.columns) == ["Name", "Größe", "Ja"]
    assert sheet.frame["Name"].tolist() == ["Müller", "Straße"]
    assert any("not UTF-8" in note for note in sheet.notes)
    holds = told(sheet.frame["Größe"])
    assert holds == Holds("number", "comma") and converted(sheet.frame["Größe"], holds).tolist() == [1.5, 2000.25]


def test_repeated_and_empty_names_and_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a,a,\n1,2,3\n4,5\n6,7,8\n")
    sheet = read_table(path)
    assert list(sheet.frame.columns) == ["a", "a_2", "column_3"] and len(sheet.notes) == 2
    assert sheet.frame.index.tolist() == [0, 2] and sheet.unreadable["row"].tolist() == [1] and sheet.rows == 3


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "empty.csv", "empty"),
        (b"a,b\n", "header.csv", "no rows"),
        (gzip.compress(b"a,b\n" + b"1,2\n" * 50_000, mtime=0)[:60], "cut.csv.gz", "cut off"),
        (b"PK\x03\x04 not really", "broken.xlsx", "cannot be opened"),
        (b"PAR1 not really", "broken.parquet", "cannot be read"),
    ],
)
def test_broken_files_are_refused_plainly(content: bytes, name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=message) as caught:
        read_table(tmp_path / name)
    assert name in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(BadInput, match="a folder"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("values", "holds", "read"),
    [
        (["$1,234.50", "(2,500)", " 7 ", "n/a"], Holds("number", "point"), [1234.5, -2500, 7, np.nan]),
        (["1.234,50", "2,5", "7"], Holds("number", "comma"), [1234.5, 2.5, 7]),
        (["1e3", "-.5", "+2"], Holds("number", "point"), [1000, -0.5, 2]),
        (["12%", "7 %"], Holds("number", "point"), [12, 7]),
        (["0012", "0101", "9999"], Holds("text"), ["0012", "0101", "9999"]),
        (["None", "NA", "x"], Holds("text"), ["None", "NA", "x"]),
        (["2017-06-30", "2017-07-01T10:00:00Z"], Holds("date", "ISO8601"), ["2017-06-30", "2017-07-01 10:00"]),
        (["30/06/2017", "01/07/2017"], Holds("date", "%d/%m/%Y"), ["2017-06-30", "2017-07-01"]),
        (["06/30/2017", "07/01/2017"], Holds("date", "%m/%d/%Y"), ["2017-06-30", "2017-07-01"]),
        (["30 Jun 2017", "1 Jul 2017"], Holds("date", "%d %b %Y"), ["2017-06-30", "2017-07-01"]),
        (["1-800-555-0199", "1-800-555-0123"], Holds("text"), ["1-800-555-0199", "1-800-555-0123"]),
    ],
)
def test_what_columns_hold(values: list[str], holds: Holds, read: list) -> None:
    column = texts(*values)
    assert told(column) == holds
    found = converted(column, holds)
    expected = pd.to_datetime(pd.Series(read), format="ISO8601") if holds.kind == "date" else pd.Series(read)
    assert [None if pd.isna(v) else v for v in found] == [None if pd.isna(v) else v for v in expected]


def test_swappable_dates_are_not_guessed() -> None:
    with pytest.raises(BadInput, match="day and month cannot be told apart"):
        told(texts("01/02/2017", "03/04/2017", "05/06/2017"))
    assert told(texts("01/01/2017", "05/05/2017")).kind == "date"  # the same either way


def test_stray_texts_among_numbers_are_missing_not_fatal() -> None:
    column = texts(*[str(i) for i in range(199)], "see note")
    assert told(column) == Holds("number", "point")
    assert converted(column, told(column)).isna().sum() == 1


def test_times_order_rows_by_dates_serials_or_numbers() -> None:
    serial, holds = times(texts("43000", "43001.5"))
    assert holds == Holds("date", "excel") and serial.iloc[1] == pd.Timestamp("2017-09-23 12:00")
    assert converted(texts("43000"), holds).iloc[0] == pd.Timestamp("2017-09-22")
    assert times(texts("2016", "2017"))[0].tolist() == [2016, 2017]
    with pytest.raises(BadInput, match="neither dates nor numbers"):
        times(texts("soon", "later"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=12)), min_size=1, max_size=30))
def test_any_text_is_told_and_converted(values: list[str | None]) -> None:
    column = pd.Series(values, dtype="str", name="c")
    try:
        holds = told(column)
    except BadInput:
        return
    assert len(converted(column, holds)) == len(values)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9).map(lambda v: round(v, 2)), min_size=1, max_size=20))
def test_written_numbers_are_read_back(values: list[float]) -> None:
    grouped = texts(*[f"{value:,.2f}" for value in values])
    german = texts(*[f"{value:,.2f}".translate(str.maketrans(",.", ".,")) for value in values])
    assert converted(grouped, told(grouped)).tolist() == pytest.approx(values)
    assert converted(german, told(german)).tolist() == pytest.approx(values)


def test_a_csv_with_only_good_rows_has_no_notes(tmp_path: Path) -> None:
    sheet = read_table(write(deals(20), tmp_path / "deals.csv"))
    assert sheet.notes == () and sheet.unreadable.empty and len(sheet.sha256) == 64
