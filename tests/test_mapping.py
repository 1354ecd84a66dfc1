"""Mappings are validated: what is unknown is named with what is valid, and SQL can do nothing but read its files."""

from __future__ import annotations

import pytest
from importing import DEALS, GOOD, HEADER, believed, bring_in, put

from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.sources.mapping import packaged_mapping, packaged_names, parse_mapping

MINIMAL = (
    "files: {deals: {match: ['deals*']}}\ntables:\n  opportunity: SELECT id AS opportunity_id, _file, _row FROM deals\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("files: [", "not valid YAML"),
        ("- a\n", "the mapping must be `key: value` pairs"),
        ("name: x\n", "has no `files:`"),
        (MINIMAL + "tabels: {}\n", "unknown key 'tabels'.*Valid: .*tables"),
        (MINIMAL.replace("match", "matches"), "files.deals has an unknown key 'matches'.*Valid: .*match"),
        (MINIMAL.replace("opportunity:", "deal:"), "tables has an unknown key 'deal'.*Valid: .*opportunity"),
        (MINIMAL.replace("deals: {", "my deals: {"), "file alias 'my deals' is not a plain name"),
        (MINIMAL + "dates: euro\n", "`dates:` is 'euro'.*Valid: ymd, dmy, mdy"),
        (MINIMAL + "settings: {moon: full}\n", "settings has an unknown key 'moon'"),
        (MINIMAL + "checks: [{file: deals, when: a}]\n", "a check has no `reason:`"),
        (MINIMAL + "checks: [{file: x, when: a, reason: b}]\n", "a check names the file 'x'.*Valid: deals"),
        (MINIMAL + "  revenue: {complete: true, select: SELECT 1}\n", "tables.revenue cannot be complete"),
    ],
)
def test_a_wrong_mapping_says_what_is_wrong(text, message):
    with pytest.raises(BadInput, match=message) as caught:
        parse_mapping(text, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml: ")


def test_settings_of_a_mapping_are_checked():
    with pytest.raises(BadParameter, match="time_zone 'Mars'"):
        parse_mapping(MINIMAL + "settings: {time_zone: Mars}\n", "mine.yaml")


@pytest.mark.parametrize(
    ("select", "message"),
    [
        ("SELECT nope AS opportunity_id FROM deals", 'tables.opportunity: Binder Error.*"nope" not found'),
        (
            "SELECT id AS opportunity_id, 1 AS colour FROM deals",
            "unknown column 'colour'.*Valid: opportunity_id, change_id",
        ),
        ("SELEKT 1", "tables.opportunity: Parser Error"),
        ("DROP TABLE deals", "must be one SELECT"),
        ("SELECT 1; SELECT 2", "must be one SELECT"),
        ("COPY deals TO '/tmp/stolen.csv'", "must be one SELECT"),
        ("SELECT content AS opportunity_id FROM read_text('/etc/hostname')", "file system operations are disabled"),
        ("SELECT * FROM '/etc/passwd'", "Catalog Error"),
        ("SELECT * FROM mapping", "Catalog Error"),
    ],
)
def test_sql_is_one_select_over_the_files_and_errors_name_the_mapping(workspace, tmp_path, select, message):
    mapping = parse_mapping(
        f"files: {{deals: {{match: ['deals*']}}}}\ntables:\n  opportunity: {select!r}\n", "mine.yaml"
    )
    with pytest.raises(BadInput, match=message) as caught:
        bring_in(workspace, put(tmp_path / "in", HEADER + GOOD), mapping=mapping)
    assert "mine.yaml" in str(caught.value)


def test_a_check_rejects_rows_before_the_selects(workspace, tmp_path):
    checks = "checks: [{file: deals, when: owner = 'bob', reason: bob has left, mend: Ask ann.}]\n"
    report = bring_in(
        workspace, put(tmp_path / "in", HEADER + GOOD), mapping=parse_mapping(DEALS + checks, "deals.yaml")
    )
    assert {row["opportunity_id"] for row in believed(workspace)} == {"007", "009"}
    assert "bob has left (1 rows; first: deals.csv, row 2). Ask ann." in str(report.issues[0])


def test_packaged_mappings_are_valid_and_named():
    assert {"maven", "bpic2012", "iowa"} <= set(packaged_names())
    assert all(packaged_mapping(name).name == name for name in packaged_names())
    with pytest.raises(UnknownName, match="unknown mapping 'salesfarce'; valid: bpic2012"):
        packaged_mapping("salesfarce")
