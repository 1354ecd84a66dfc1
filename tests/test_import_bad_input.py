"""Every kind of bad input gets a clear answer, and no good row is lost."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from importing import GOOD, HEADER, believed, bring_in, deals_mapping, put, rejected
from openpyxl import Workbook

from salesml.errors import BadInput
from salesml.lake import Lake
from salesml.workspace import Workspace


def ids(workspace: Workspace) -> list[str]:
    return sorted({row["opportunity_id"] for row in believed(workspace)})


def test_good_rows_arrive_with_ids_as_text_and_amounts_exact(workspace, tmp_path):
    report = bring_in(workspace, put(tmp_path / "in", HEADER + GOOD))
    assert report.rows == 3 and report.counts["opportunity"]["added"] == 5
    won = next(row for row in believed(workspace) if row["status"] == "won")
    assert (won["opportunity_id"], str(won["amount"]), won["currency"]) == ("007", "100.50", "USD")
    assert won["occurred_at"] == dt.datetime(2024, 2, 1, tzinfo=dt.UTC)
    assert won["source_row"] == 1 and won["known_at_assumed"]


@pytest.mark.parametrize(
    ("line", "column", "value", "reason"),
    [
        ("1,ann,won,lots,2024-01-05,2024-02-01", "amount", "lots", "is not an amount"),
        ("1,ann,won,-5,2024-01-05,2024-02-01", "amount", "-5", "below 0"),
        ("1,ann,perhaps,5,2024-01-05,2024-02-01", "status", "perhaps", "not an allowed value"),
        ("1,ann,won,5,2024-02-30,2024-03-01", "occurred_at", "2024-02-30", "not a date or time that exists"),
        ("1,ann,won,5,1969-12-30,2024-02-01", "occurred_at", "1969-12-30", "before 1970"),
        ("1,ann,won,5,2024-01-05,2999-01-01", "occurred_at", "2999-01-01", "in the future"),
        ("1,ann,won,5,yesterday,2024-02-01", "occurred_at", "yesterday", "not a date or time that exists"),
        (",ann,won,5,2024-01-05,2024-02-01", "opportunity_id", None, "opportunity_id is missing"),
    ],
)
def test_a_bad_value_rejects_its_row_and_no_other(workspace, tmp_path, line, column, value, reason):
    report = bring_in(workspace, put(tmp_path / "in", HEADER + GOOD + line + "\n"))
    assert ids(workspace) == ["007", "008", "009"]
    issue = next(line for line in report.issues if line.severity == "rejected")
    assert reason in issue.reason and "deals.csv, row 4" in issue.example
    assert ("deals.csv", 4, column, value) in rejected(workspace) and all(row[1] == 4 for row in rejected(workspace))
    raw = next(row["raw"] for row in believed(workspace, "import_issue") if row["column"] == column)
    assert "ann" in raw


def test_a_deal_closed_before_it_was_created_is_rejected_unless_allowed(workspace, tmp_path):
    folder = put(tmp_path / "in", HEADER + GOOD + "010,ann,won,5,2024-05-05,2024-02-01\n")
    report = bring_in(workspace, folder)
    assert ids(workspace) == ["007", "008", "009"]
    assert "--allow-reversed-dates" in str(report.issues[0])
    bring_in(workspace, folder, allow_reversed=True)
    assert ids(workspace) == ["007", "008", "009", "010"]


def test_equal_duplicates_collapse_and_contradicting_ones_keep_the_first(workspace, tmp_path):
    first, second, third = GOOD.splitlines(keepends=True)
    changed = first.replace("100.50", "999")
    report = bring_in(workspace, put(tmp_path / "in", HEADER + first + second + first + changed + third))
    assert any("repeat an earlier one exactly" in note for note in report.notes)
    assert rejected(workspace) == [("deals.csv", 4, "opportunity_id", "007")]
    assert str(next(row["amount"] for row in believed(workspace) if row["status"] == "won")) == "100.50"


def test_missing_references_are_kept_with_a_warning_per_value(workspace, tmp_path):
    put(tmp_path / "in", HEADER + GOOD)
    report = bring_in(workspace, put(tmp_path / "in", "id,name\nann,Ann\n", "people.csv"))
    assert ids(workspace) == ["007", "008", "009"]
    assert rejected(workspace, "warning") == [("deals.csv", 2, "owner_id", "bob")]
    assert "1 rows" in str(report.issues[0])


def test_references_known_from_an_earlier_import_are_no_issue(workspace, tmp_path):
    put(tmp_path / "in", HEADER + GOOD)
    bring_in(workspace, put(tmp_path / "in", "id,name\nann,Ann\nbob,Bob\n", "people.csv"))
    later = put(tmp_path / "later", HEADER + "011,bob,open,,2024-04-01,\n")
    assert bring_in(workspace, later).issues == []


def test_ragged_rows_are_kept_as_issues_and_later_rows_keep_their_numbers(workspace, tmp_path):
    text = (
        HEADER + "1,ann,won\n" + GOOD + "2,ann,won,5,2024-01-01,2024-02-01,extra\n3,ann,won,bad,2024-01-01,2024-02-01\n"
    )
    bring_in(workspace, put(tmp_path / "in", text))
    assert [row[:2] for row in rejected(workspace)] == [("deals.csv", 1), ("deals.csv", 5), ("deals.csv", 6)]
    assert {row["opportunity_id"]: row["source_row"] for row in believed(workspace)} == {"007": 2, "008": 3, "009": 4}


def test_a_quote_left_open_is_named(workspace, tmp_path):
    text = HEADER + '1,ann,won,5,2024-01-01,"2024-02-01\n' + GOOD + '2,"bob",won,5,2024-01-01,2024-02-01\n'
    report = bring_in(workspace, put(tmp_path / "in", text + "".join(GOOD).replace("00", "10")))
    assert any("quote" in f"{line.reason} {line.mend}" and "row 1" in line.example for line in report.issues)


def test_newlines_within_quotes_are_part_of_the_field(workspace, tmp_path):
    bring_in(
        workspace,
        put(tmp_path / "in", HEADER + '007,"Ann\nLee",won,5,2024-01-05,2024-02-01\n' + GOOD[GOOD.index("008") :]),
    )
    assert ids(workspace) == ["007", "008", "009"]
    assert "Ann\nLee" in {row["owner_id"] for row in believed(workspace)}


@pytest.mark.parametrize("content", [b"", b"\n\n", gzip.compress(b"", mtime=0)])
def test_an_empty_file_is_refused(workspace, tmp_path, content):
    with pytest.raises(BadInput, match=r"deals.csv: the file is empty"):
        bring_in(workspace, put(tmp_path / "in", content))
    assert Lake(workspace).head().id == 0 and not list(workspace.raw.iterdir())


def test_a_header_without_rows_brings_nothing_and_withdraws_nothing(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", HEADER + GOOD))
    folder = put(tmp_path / "next", HEADER)
    put(folder, "id,name\nann,Ann\n", "people.csv")
    report = bring_in(workspace, folder)
    assert any("no rows" in line.reason for line in report.issues)
    assert ids(workspace) == ["007", "008", "009"]


def test_a_truncated_gzip_file_is_refused_and_the_lake_stays(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", HEADER + GOOD))
    body = "".join(f"{i},ann,won,{i * 7919 % 997},2024-01-05,2024-02-01\n" for i in range(2000))
    with pytest.raises(BadInput, match=r"cut off after [\d,]+ bytes; [\d,]+ rows could be read"):
        bring_in(workspace, put(tmp_path / "cut", gzip.compress((HEADER + body).encode())[:-4000], "deals.csv.gz"))
    assert ids(workspace) == ["007", "008", "009"] and Lake(workspace).head().id == 1


def test_a_file_cut_off_within_a_row_loses_only_that_row(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", HEADER + GOOD + "010,ann,wo"))
    assert ids(workspace) == ["007", "008", "009"] and rejected(workspace) == [("deals.csv", 4, None, "3 fields")]


def test_missing_columns_list_what_was_found_and_unknown_ones_are_noted(workspace, tmp_path):
    with pytest.raises(BadInput, match=r"needs 'amount', .*Found: 'id', 'owner', 'status', 'value'"):
        bring_in(workspace, put(tmp_path / "in", HEADER.replace("amount", "value") + GOOD))
    wide = "".join(f"{line},x\n" for line in GOOD.splitlines())
    report = bring_in(workspace, put(tmp_path / "in", HEADER.strip() + ",mood\n" + wide))
    assert any("mood" in note for note in report.notes) and ids(workspace) == ["007", "008", "009"]


def test_columns_are_found_whatever_their_case_and_blanks(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", "ID, Owner ,STATUS,Amount,Created,Closed\n" + GOOD))
    assert ids(workspace) == ["007", "008", "009"]


def test_white_space_around_values_does_not_count(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", HEADER + GOOD.replace("007,ann", " 007\u00a0,\tann ")))
    assert ids(workspace) == ["007", "008", "009"] and {row["owner_id"] for row in believed(workspace)} == {
        "ann",
        "bob",
        None,
    }


def test_repeated_column_names_are_told_apart(workspace, tmp_path):
    wide = "".join(f"{line},zed\n" for line in GOOD.splitlines())
    report = bring_in(workspace, put(tmp_path / "in", HEADER.strip() + ",owner\n" + wide))
    assert {row["owner_id"] for row in believed(workspace)} == {"ann", "bob", None}
    assert any("appears more than once" in line.reason for line in report.issues)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_encodings(workspace, tmp_path, encoding):
    bring_in(workspace, put(tmp_path / "in", (HEADER + GOOD.replace("bob", "Jürgen")).encode(encoding)))
    assert "Jürgen" in {row["owner_id"] for row in believed(workspace)}


def test_mixed_encodings_are_read_line_by_line_and_the_lines_named(workspace, tmp_path):
    lines = GOOD.splitlines(keepends=True)
    mixed = HEADER.encode() + lines[0].replace("ann", "Zoë").encode() + lines[1].replace("bob", "Zoë").encode("cp1252")
    report = bring_in(workspace, put(tmp_path / "in", mixed + lines[2].encode()))
    assert {row["owner_id"] for row in believed(workspace)} == {"Zoë", "ann", None}
    assert "lines 3" in report.issues[-1].example or any("lines 3" in line.example for line in report.issues)


def test_nul_bytes_are_left_out(workspace, tmp_path):
    report = bring_in(workspace, put(tmp_path / "in", (HEADER + GOOD).replace("bob", "b\0ob")))
    assert "bob" in {row["owner_id"] for row in believed(workspace)}
    assert any("NUL" in line.reason for line in report.issues)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters(workspace, tmp_path, delimiter):
    bring_in(workspace, put(tmp_path / "in", (HEADER + GOOD).replace(",", delimiter)))
    assert ids(workspace) == ["007", "008", "009"]


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_line_ends(workspace, tmp_path, ending):
    bring_in(workspace, put(tmp_path / "in", (HEADER + GOOD).replace("\n", ending)))
    assert ids(workspace) == ["007", "008", "009"]


def test_excel_keeps_text_ids_dates_and_serial_dates(workspace, tmp_path):
    book = Workbook()
    sheet = book.active
    for row in (
        HEADER.strip().split(","),
        ["007", "ann", "won", 100.5, dt.date(2024, 1, 5), dt.datetime(2024, 2, 1)],
        ["008", "bob", "lost", None, 45297, 45352],
        [9, "ann", "open", None, dt.date(2024, 1, 7), None],
    ):
        sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    bring_in(workspace, put(tmp_path / "in", buffer.getvalue(), "deals.xlsx"))
    times = {
        (row["opportunity_id"], row["change_id"]): row["occurred_at"].date().isoformat() for row in believed(workspace)
    }
    assert times["008", "created"] == "2024-01-06" and times["008", "closed"] == "2024-03-01"
    assert times["007", "closed"] == "2024-02-01" and ("9", "created") in times


def test_zip_and_parquet(workspace, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("deals.csv", HEADER + GOOD)
    bring_in(workspace, put(tmp_path / "in", buffer.getvalue(), "export.zip"))
    columns = HEADER.strip().split(",")
    rows = [dict(zip(columns, line.split(","), strict=True)) for line in GOOD.replace("00", "10").splitlines()]
    typed = [
        {**row, "amount": float(row["amount"] or 0), "created": dt.date.fromisoformat(row["created"])} for row in rows
    ]
    (tmp_path / "columnar").mkdir()
    pq.write_table(pa.Table.from_pylist(typed), tmp_path / "columnar" / "deals.parquet")
    bring_in(workspace, tmp_path / "columnar")
    assert ids(workspace) == ["007", "008", "009", "107", "108", "109"]


@pytest.mark.parametrize("name", ["deals.xlsx", "deals.zip", "deals.parquet"])
def test_a_damaged_container_is_refused(workspace, tmp_path, name):
    start = b"PAR1" if name.endswith("parquet") else b"PK\x03\x04"
    with pytest.raises(BadInput, match="deals"):
        bring_in(workspace, put(tmp_path / "in", start + b"not really" * 20, name))


def test_serial_dates_and_thousands_in_text(workspace, tmp_path):
    text = HEADER + '1,ann,won,"1,234.50",45297,45323\n2,bob,won,$950,45298,45324\n3,bob,won,(12),45298,45324\n'
    bring_in(workspace, put(tmp_path / "in", text))
    amounts = {row["opportunity_id"]: str(row["amount"]) for row in believed(workspace) if row["status"] == "won"}
    assert amounts == {"1": "1234.50", "2": "950.00"}
    assert rejected(workspace) == [("deals.csv", 3, "amount", "(12)")]


def test_decimal_commas_and_days_first(workspace, tmp_path):
    text = HEADER.replace(",", ";") + "1;ann;won;1.234,50;25.01.2024;03.02.2024\n2;bob;won;950;01.02.2024;04.02.2024\n"
    bring_in(workspace, put(tmp_path / "in", text))
    rows = {row["opportunity_id"]: row for row in believed(workspace) if row["status"] == "won"}
    assert str(rows["1"]["amount"]) == "1234.50" and rows["2"]["occurred_at"].date() == dt.date(2024, 2, 4)


def test_ambiguous_dates_and_numbers_are_refused_with_the_mend(workspace, tmp_path):
    ambiguous = HEADER + "1,ann,won,5,01/02/2024,03/04/2024\n"
    with pytest.raises(BadInput, match=r"opportunity.occurred_at: day and month cannot be told apart .*`dates: dmy`"):
        bring_in(workspace, put(tmp_path / "in", ambiguous))
    bring_in(workspace, tmp_path / "in", mapping=deals_mapping(dates="mdy"))
    assert min(row["occurred_at"] for row in believed(workspace)).date() == dt.date(2024, 1, 2)
    with pytest.raises(
        BadInput, match=r"opportunity.amount: thousands and decimals cannot be told apart .*`decimals: point`"
    ):
        bring_in(workspace, put(tmp_path / "in", HEADER + "1,ann,won,1.234,2024-01-02,2024-03-04\n"))


def test_a_missing_file_lists_what_was_looked_for(workspace, tmp_path):
    with pytest.raises(BadInput, match=r"the file for `deals` is missing. Looked for deals\*.*found other.csv"):
        bring_in(workspace, put(tmp_path / "in", "a,b\n1,2\n", "other.csv"))


def test_a_renamed_file_is_known_by_its_columns(workspace, tmp_path):
    bring_in(workspace, put(tmp_path / "in", HEADER + GOOD, "export (7).csv"))
    assert ids(workspace) == ["007", "008", "009"]
