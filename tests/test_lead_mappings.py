"""Leads come in: the olist funnel with what only winners have kept to the day they were won, and plain tables without a setting."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from conftest import shared_data
from importing import believed, put, rejected

from salesml.errors import BadInput
from salesml.features.leads import LEADS
from salesml.lake import Lake, visible
from salesml.sources.mapping import packaged_mapping, packaged_names
from salesml.workflows.ingest import ImportReport, import_export
from salesml.workflows.recognise import recognised
from salesml.workflows.watch import watch_folder
from salesml.workspace import Workspace

MQL = "mql_id,first_contact_date,landing_page_id,origin\nm1,01-02-2018,p1,social\nm2,20-10-2017,p2,\nm3,08-03-2018,p1,email\n"
WON = (
    "mql_id,seller_id,sdr_id,sr_id,won_date,business_segment,lead_type,has_company,declared_monthly_revenue\n"
    "m1,s1,d1,r1,26-02-2018 19:58,pet,online_big,True,100\nm3,s3,d1,r2,06-03-2018 19:38,toys,,,0\n"
)
LEAD = (
    "Lead ID,Create Date,Lead Source,Campaign,Landing Page,Industry,No. of Employees,Lead Status,Converted,Converted Date,"
    "Lead Owner,Mood\n"
)
GOOD = (
    "L1,2024-01-05 10:00,web,spring,/a,Retail,51-200,Closed - Converted,Yes,2024-01-05,ann,sunny\n"
    'L2,2024-01-06,web,spring,/b,Retail,"1,000+",Working,No,,bob,grey\n'
    "L3,2024-01-07,mail,,/b,Food,20,Unqualified,No,,bob,\n"
)


def bring(workspace: Workspace, name: str, path: Path) -> ImportReport:
    return import_export(workspace, packaged_mapping(name), path)


def olist(folder: Path, mql: str = MQL, won: str = WON) -> Path:
    put(folder, won, "olist_closed_deals_dataset.csv")
    return put(folder, mql, "olist_marketing_qualified_leads_dataset.csv")


def changes(workspace: Workspace, table: str = "lead") -> dict[tuple[str, str], dict]:
    return {(row[f"{table}_id"], row["change_id"]): row for row in believed(workspace, table)}


def states(workspace: Workspace, as_of: str | None = None) -> dict[str, str]:
    tables = Lake(workspace).open()
    frame = LEADS.frame(visible(tables, tables.instant(as_of)))
    return dict(zip(frame["lead_id"], frame["status"], strict=True))


def test_olist_leads_convert_when_they_were_won(workspace, tmp_path):
    report = bring(workspace, "olist", olist(tmp_path / "in"))
    assert report.issues == [] and {name: counts["added"] for name, counts in report.counts.items()} == {
        "lead": 5, "opportunity": 2, "account": 2, "user": 3,
    }  # fmt: skip
    workspace = Workspace.open(workspace.root)
    assert (workspace.settings.currency, workspace.settings.time_zone) == ("BRL", "America/Sao_Paulo")
    rows = changes(workspace)
    assert rows["m1", "created"]["occurred_at"] == dt.datetime(2018, 2, 1, 2, tzinfo=dt.UTC), "midnight in São Paulo, in summer time"
    assert rows["m1", "converted"]["occurred_at"] == dt.datetime(2018, 2, 26, 22, 58, tzinfo=dt.UTC)
    assert (rows["m1", "created"]["source"], rows["m1", "created"]["landing_page"]) == ("social", "p1")
    assert states(workspace, "2018-02-26") == {"m1": "open", "m2": "open"}
    assert states(workspace) == {"m1": "converted", "m2": "open", "m3": "converted"}, "entered after it was won: won when it came"


def test_olist_knows_of_winners_only_when_they_were_won(workspace, tmp_path):
    bring(workspace, "olist", olist(tmp_path / "in"))
    tables = Lake(workspace).open()
    told = [name for name, value in changes(workspace)["m1", "created"].items() if value is not None]
    assert not {"industry", "owner_id", "account_id", "opportunity_id", "custom"} & set(told)
    before = visible(tables, "2018-02-26")
    for name in ("opportunity", "account", "user"):
        assert before.facts(name).count().to_pyarrow().as_py() == 0, name
    deal = changes(workspace, "opportunity")["m1", "created"]
    assert (deal["status"], deal["segment"], deal["lead_id"], deal["source"], deal["amount"]) == ("won", "pet", "m1", "social", None)
    own = {"lead_type": "online_big", "has_company": "True", "declared_monthly_revenue": "100", "sdr_id": "d1"}
    assert json.loads(deal["custom"]) == own


def test_olist_says_what_is_wrong_with_which_row(workspace, tmp_path):
    mql = MQL + "m4,,p1,email\nm5,31-02-2018,p1,email\n"
    report = bring(workspace, "olist", olist(tmp_path / "in", mql, WON + "m9,s9,d1,r1,01-03-2018 10:00,pet,,,0\n"))
    told = " ".join(str(line) for line in report.issues)
    assert "a lead without first_contact_date" in told and "value '31-02-2018'" in told
    assert ("olist_closed_deals_dataset.csv", 3, "lead_id", "m9") in rejected(workspace, "warning"), "a deal of a lead that is not there"
    assert set(states(workspace)) == {"m1", "m2", "m3"}


def test_olist_dates_may_be_as_first_published(workspace, tmp_path):
    mql = "mql_id,first_contact_date,landing_page_id,origin\nm1,2018-02-01,p1,social\n"
    won = WON.splitlines()[0] + "\nm1,s1,d1,r1,2018-02-26 19:58:54,pet,online_big,True,100\n"
    assert bring(workspace, "olist", olist(tmp_path / "in", mql, won)).issues == []
    assert states(workspace, "2018-02-26") == {"m1": "open"} and states(workspace) == {"m1": "converted"}


def test_the_public_funnel_is_complete(workspace):
    folder = shared_data("olist_marketing_funnel")
    assert recognised(folder).name == "olist"
    report = bring(workspace, "olist", folder)
    leads = pacsv.read_csv(folder / "olist_marketing_qualified_leads_dataset.csv").num_rows
    won = pacsv.read_csv(folder / "olist_closed_deals_dataset.csv").num_rows
    assert report.issues == [] and report.rows == leads + won
    assert report.counts["lead"]["added"] == leads + won and report.counts["opportunity"]["added"] == won
    found = list(states(Workspace.open(workspace.root)).values())
    assert (found.count("converted"), found.count("open")) == (won, leads - won)


def test_a_plain_table_of_leads_needs_no_setting(workspace, tmp_path):
    folder = put(tmp_path / "in", LEAD + GOOD, "leads.csv")
    assert recognised(folder).name == "leads"
    report = bring(workspace, "leads", folder)
    assert report.issues == [] and rejected(workspace) == []
    rows = changes(workspace)
    first = rows["L1", "created"]
    assert [first[n] for n in ("source", "campaign_id", "landing_page", "industry", "employees", "owner_id")] == [
        "web", "spring", "/a", "Retail", 51, "ann",
    ]  # fmt: skip
    assert rows["L2", "created"]["employees"] == 1000 and ("L2", "converted") not in rows
    assert rows["L1", "converted"]["occurred_at"] > first["occurred_at"], "the same day without a time is not before it came"
    assert states(workspace) == {"L1": "converted", "L2": "open", "L3": "disqualified"}
    assert json.loads(rows["L2", "export"]["custom"]) == {"status_in_export": "Working", "Mood": "grey"}
    assert rows["L2", "export"]["occurred_at"] > rows["L3", "created"]["occurred_at"], "filled in nobody knows when: known from the export"
    assert {row["user_id"] for row in believed(workspace, "user")} == {"ann", "bob"}


@pytest.mark.parametrize(
    ("line", "reason", "value"),
    [
        (",2024-01-08,web,,/a,,,New,No,,ann,", "does not say which lead it is", None),
        ("L4,2024-01-08,web,,/a,,,New,maybe,,ann,", "Converted says neither yes nor no", None),
        ("L4,2024-01-08,web,,/a,,,New,No,2024-02-01,ann,", "though Converted says no", None),
        ("L4,2024-01-08,web,,/a,,,Won,Yes,2023-12-01,ann,", "converted before it was created", None),
        ("L4,2024-02-30,web,,/a,,,New,No,,ann,", "is not a date or time that exists", "2024-02-30"),
        ("L4,2024-01-08,web,,/a,,many,New,No,,ann,", "employees is not a whole number", "many"),
    ],
)
def test_a_row_that_cannot_be_read_is_kept_with_its_place(workspace, tmp_path, line, reason, value):
    report = bring(workspace, "leads", put(tmp_path / "in", LEAD + GOOD + line + "\n", "leads.csv"))
    (issue,) = [one for one in report.issues if one.severity == "rejected"]
    assert reason in issue.reason and issue.rows == 1 and "leads.csv, row 4" in issue.example and issue.mend
    assert value is None or f"value '{value}'" in str(issue)
    assert set(states(workspace)) == {"L1", "L2", "L3"}


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        ("Record ID;Create Date;Original Source;Lifecycle Stage;Job Title;Became a Customer Date;Contact owner",
         "7;13/01/2024 09:15;Paid Search;Customer;CEO;20/02/2024;Ann", ("7", "converted", "Paid Search", "CEO")),
        ("Record Id;Created Time;Lead Source;Lead Status;Title;Converted;Lead Owner",
         "zcrm_1;2024-01-13 09:15:00;Chat;Junk Lead;CTO;false;Ann", ("zcrm_1", "disqualified", "Chat", "CTO")),
        ("Id;CreatedDate;LeadSource;Status;Title;IsConverted;ConvertedDate;NumberOfEmployees",
         "00Q1;2024-01-13T09:15:00.000+0000;Web;Sales Qualified;CFO;false;;12", ("00Q1", "qualified", "Web", "CFO")),
        ("mql_id;first_contact_date;origin;landing_page_id;won_date", "m1;2024-01-13;social;p1;", ("m1", "open", "social", None)),
    ],
)  # fmt: skip
def test_the_headings_of_common_exports_are_read(workspace, tmp_path, header, row, expected):
    assert bring(workspace, "leads", put(tmp_path / "in", f"{header}\n{row}\n", "my_leads.csv")).issues == []
    tables = Lake(workspace).open()
    (found,) = LEADS.frame(visible(tables, tables.instant(None))).to_dict("records")
    assert (found["lead_id"], found["status"], found["source"], found["title"] if isinstance(found["title"], str) else None) == expected


def test_leads_without_an_id_go_by_their_address_and_it_is_not_kept(workspace, tmp_path):
    text = "Email,First Name,Created,Source\nAnn@X.com,Ann,2024-01-05,web\nbob@x.com,Bob,2024-01-06,web\n"
    bring(workspace, "leads", put(tmp_path / "in", text, "leads.csv"))
    put(tmp_path / "in", "email,event,time,page\nann@x.com,Page View,2024-01-05 10:00,/pricing\n", "lead_events.csv")
    assert bring(workspace, "leads", tmp_path / "in").issues == [], "the event is of a lead that is there"
    kept = json.dumps([believed(workspace, name) for name in ("lead", "lead_event")], default=str).lower()
    assert "x.com" not in kept and "bob" not in kept and len(states(workspace)) == 2


def test_what_leads_did_is_counted_under_the_names_of_the_features(workspace, tmp_path):
    put(tmp_path / "in", LEAD + GOOD, "leads.csv")
    events = (
        "Lead ID,Event Type,Timestamp,Channel,Page\n"
        "L2,Page View,2024-01-06 10:01,web,/pricing\nL2,Page View,2024-01-06 10:01,web,/pricing\n"
        "L2,Form Submission,2024-01-06 11:00,web,demo\n"
        "L3,Email Opened,2024-01-07 08:00,email,hello\nL3,Badge Scanned,2024-01-07 09:00,fair,\n"
        ",Email Opened,2024-01-07 08:00,email,hello\nL3,Email Opened,yesterday,email,hello\n"
    )
    report = bring(workspace, "leads", put(tmp_path / "in", events, "lead_events.csv"))
    assert report.counts["lead_event"]["added"] == 5
    assert {line.reason.split(": ")[-1] for line in report.issues} == {
        "occurred_at is not a date or time that exists", "the row does not say which lead did it",
    }  # fmt: skip
    tables = Lake(workspace).open()
    found = LEADS.frame(visible(tables, tables.instant(None))).set_index("lead_id")
    assert found.loc["L2", ["events", "visits", "forms", "buying"]].tolist() == [3, 2, 1, 3]
    assert found.loc["L3", ["events", "opens"]].tolist() == [2, 1]


def test_columns_that_only_converted_leads_have_are_not_known_before(workspace, tmp_path):
    lines = [f"L{n},2024-01-{1 + n % 28:02d},web,{'Retail' if n < 12 else ''},DE,{'Yes' if n < 12 else 'No'},2024-02-01" for n in range(12)]
    lines += [f"L{n},2024-01-{1 + n % 28:02d},web,,DE,No," for n in range(12, 40)]
    text = "Lead ID,Created,Source,Industry,Country,Converted,Converted Date\n" + "\n".join(lines) + "\n"
    bring(workspace, "leads", put(tmp_path / "in", text, "leads.csv"))
    rows = changes(workspace)
    assert rows["L3", "created"]["industry"] is None and rows["L3", "export"]["industry"] == "Retail"
    assert rows["L3", "export"]["occurred_at"] > rows["L3", "converted"]["occurred_at"] and rows["L3", "created"]["country"] == "DE"


def test_leads_without_dates_are_known_from_the_export(workspace, tmp_path):
    bring(workspace, "leads", put(tmp_path / "in", "Prospect ID,Lead Source,Converted,Pages\np1,web,1,5\np2,mail,0,2\n", "leads.csv"))
    assert states(workspace) == {"p1": "converted", "p2": "open"}
    assert all(row["known_at_assumed"] for row in believed(workspace, "lead"))


def test_a_later_export_moves_leads_on(workspace, tmp_path):
    bring(workspace, "leads", put(tmp_path / "in", LEAD + GOOD, "leads.csv"))
    later = GOOD.replace("Working,No,", "Closed - Converted,Yes,2024-03-01")
    report = bring(workspace, "leads", put(tmp_path / "later", LEAD + later, "leads.csv"))
    assert report.counts["lead"] == {"added": 1, "corrected": 1, "retracted": 0, "unchanged": 7}
    assert states(workspace)["L2"] == "converted" and states(workspace, "2024-03-01")["L2"] == "open"


def test_plain_tables_come_after_every_other_export(tmp_path, workspace):
    assert packaged_names()[-1] == "leads"
    pipedrive = "id,title,owner_id,is_archived,add_time,update_time\n1,Lead,5,false,2024-01-05,2024-01-05\n"
    with pytest.raises(BadInput, match="import --suggest"):
        recognised(put(tmp_path / "part", pipedrive, "leads.csv"))
    with pytest.raises(BadInput, match="import --suggest"):
        recognised(put(tmp_path / "other", "a,b\n1,2\n", "misleading.csv"))
    outcomes: list = []
    assert watch_folder(workspace, put(tmp_path / "drop", LEAD + GOOD, "leads.csv"), None, outcomes.append, every=0.05, once=True) == 0
    assert outcomes[0].report.mapping == "leads" and len(states(workspace)) == 3


def test_a_table_that_names_no_lead_says_what_was_looked_for(workspace, tmp_path):
    report = bring(workspace, "leads", put(tmp_path / "in", "ref,when\n1,2024-01-05\n", "leads.csv"))
    assert report.counts == {} and "read from Lead ID, Lead Number" in str(report.issues[0])
