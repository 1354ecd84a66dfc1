"""Salesforce, as Data Loader or Bulk API 2.0 `queryAll` exports it: one CSV an object, API names, deleted rows included.

OpportunityHistory (stage, amount, probability, close date) is kept for good, field history for HISTORY_MONTHS. A closing
entered late shows the day it happened in CloseDate and the second it was entered in the history; calls show their day,
mails and meetings their second. Our ids are in External_Id__c.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports import salesforce_setup as setup
from salesml.world.exports.ids import numbered
from salesml.world.exports.salesforce_activities import activities
from salesml.world.exports.salesforce_ids import SYSTEM, number_id, record, record_id
from salesml.world.exports.shared import (
    MILLISECONDS,
    Book,
    Changes,
    day,
    either,
    look_up,
    moment,
    names,
    recode,
    text,
)

HISTORY_DAYS = 730
"""How long field history can be read through the API: 24 months."""
CATEGORY = {
    "pipeline": "Pipeline",
    "best_case": "BestCase",
    "commit": "Forecast",
    "closed": "Closed",
    "omitted": "Omitted",
}
CATEGORY_NAME = {"BestCase": "Best Case", "Forecast": "Commit"}
TYPE = {"new": "New Customer", "expansion": "Existing Customer - Upgrade", "renewal": "Existing Customer - Renewal"}
LEAD_STATUS = {
    "open": "Open - Not Contacted", "qualified": "Working - Qualified", "converted": "Closed - Converted",
    "disqualified": "Closed - Not Converted",
}  # fmt: skip
LOSS_TYPE = {"lost": "Lost", "no_decision": "No Decision", "open": None, "won": None}
DATA_TYPE = {"StageName": "DynamicEnum", "Amount": "Currency", "CloseDate": "DateOnly", "Discount__c": "Percent"}
NOBODY = "[not provided]"


def write(book: Book) -> None:
    """Write every object there are rows for."""
    for part in (setup.people, setup.products, setup.rates, setup.campaigns, _accounts, _leads, _deals, activities):
        part(book)


def _accounts(book: Book) -> None:
    firms, people = book.changes("account"), book.changes("contact")
    book.write("Account", record("account", firms, "owner_id") | {
        "Name": firms.state("name"), "MasterRecordId": record_id("account", firms.state("custom.merged_into")),
        "ParentId": record_id("account", firms.state("parent_account_id")), "Industry": firms.state("industry"),
        "BillingCountry": firms.state("country"), "BillingCity": firms.state("city"),
        "BillingPostalCode": firms.state("postal_code"), "BillingLatitude": firms.state("latitude"),
        "BillingLongitude": firms.state("longitude"), "NumberOfEmployees": firms.state("employees"),
        "AnnualRevenue": firms.state("annual_revenue"), "CurrencyIsoCode": firms.state("currency"),
        "YearStarted": firms.state("founded_year"), "OwnerId": record_id("user", firms.state("owner_id")),
        "Region__c": firms.state("region"), "Market_Area__c": firms.state("market_area_id"), **_custom(firms),
    })  # fmt: skip
    covered = firms.state("territory_id")
    book.write("ObjectTerritory2Association", {
        "Id": number_id("placement", np.arange(1, len(covered) + 1)), "ObjectId": record_id("account", firms.final(firms.entity)),
        "Territory2Id": record_id("territory", covered), "AssociationCause": "Territory2Manual",
    })  # fmt: skip
    _field_history(book, "AccountHistory", "AccountId", "account", firms, _owner(book, firms))
    first, last = names(people.state("name"))
    consent = people.state("consent")
    book.write("Contact", record("contact", people) | {
        "AccountId": record_id("account", people.state("account_id")), "FirstName": first, "LastName": last,
        "Name": people.state("name"), "Email": people.state("email"), "Phone": people.state("phone"),
        "Title": people.state("title"), "HasOptedOutOfEmail": pc.invert(pc.fill_null(consent, True)),
        "Seniority__c": people.state("seniority"),
    })  # fmt: skip


def _leads(book: Book) -> None:
    leads = book.changes("lead")
    status, converted = recode(leads.running("status"), LEAD_STATUS), pc.equal(leads.column("status"), "converted")
    when = leads.fill(either(converted, leads.column("known_at"), pa.scalar(None, leads.column("known_at").type)))
    became = pc.fill_null(pc.equal(leads.state("status"), "converted"), False)
    nothing = pa.scalar(None, pa.string())
    book.write("Lead", record("lead", leads, "owner_id") | {
        "LastName": NOBODY, "Company": NOBODY, "MasterRecordId": record_id("lead", leads.state("custom.merged_into")),
        "Title": leads.state("title"), "Country": leads.state("country"), "Industry": leads.state("industry"),
        "NumberOfEmployees": leads.state("employees"), "LeadSource": leads.state("source"), "Status": leads.final(status),
        "OwnerId": record_id("user", leads.state("owner_id")), "IsConverted": became,
        "ConvertedDate": either(became, day(leads.final(when)), nothing),
        "ConvertedAccountId": record_id("account", either(became, leads.state("account_id"), nothing)),
        "ConvertedContactId": record_id("contact", either(became, leads.state("contact_id"), nothing)),
        "ConvertedOpportunityId": record_id("opportunity", leads.state("opportunity_id")),
        "Landing_Page__c": leads.state("landing_page"), **_custom(leads),
    })  # fmt: skip
    _field_history(book, "LeadHistory", "LeadId", "lead", leads, {"Status:Text": status, **_owner(book, leads)})


def _deals(book: Book) -> None:
    deals = book.changes("opportunity")
    status, closing = deals.running("status"), deals.closing
    happened = pc.cast(deals.column("occurred_at"), pa.date32(), safe=False)
    close = text(deals.fill(either(closing, happened, deals.column("close_date"))))
    lost = pc.is_in(status, pa.array(["lost", "no_decision"]))
    category = either(lost, "Omitted", recode(deals.running("forecast_category"), CATEGORY))
    percent = pc.round(pc.multiply(deals.running("probability"), 100)).cast(pa.int64())
    now = {
        "StageName": deals.stage, "Amount": deals.running("amount"), "Probability": percent, "CloseDate": close,
    }  # fmt: skip
    fields = {
        "StageName:": now["StageName"], "Amount:": now["Amount"], "CloseDate:": close,
        "ForecastCategoryName:Text": recode(category, CATEGORY_NAME),
        "NextStep:Text": recode(deals.running("next_step"), {"": None}),
        "Loss_Type__c:Text": recode(status, LOSS_TYPE), "Loss_Reason__c:Text": deals.running("loss_reason"),
        "Discount__c:": pc.round(pc.multiply(deals.running("discount"), 100), 4),
        "Competitor__c:EntityId": record_id("competitor", deals.running("competitor_id")),
        "Account:EntityId": record_id("account", deals.running("account_id")), **_owner(book, deals),
    }  # fmt: skip
    shown = {
        name.split(":")[0]: deals.final(values)
        for name, values in fields.items()
        if not name.startswith(("Owner", "Account"))
    }
    book.write("Opportunity", record("opportunity", deals, "owner_id") | {
        "Name": deals.state("name"), "AccountId": record_id("account", deals.state("account_id")),
        "ContactId": record_id("contact", deals.state("contact_id")), "OwnerId": record_id("user", deals.state("owner_id")),
        "Territory2Id": record_id("territory", deals.state("territory_id")), "Type": recode(deals.state("type"), TYPE),
        "LeadSource": deals.state("source"), "CurrencyIsoCode": deals.state("currency"), **shown,
        "Probability": deals.final(percent), "ForecastCategory": deals.final(category),
        "IsClosed": deals.final(pc.fill_null(pc.not_equal(status, "open"), False)),
        "IsWon": deals.final(pc.fill_null(pc.equal(status, "won"), False)), "Segment__c": deals.state("segment"), **_custom(deals),
    })  # fmt: skip
    _field_history(book, "OpportunityFieldHistory", "OpportunityId", "opportunity", deals, fields)
    _stage_history(book, deals, now, category)
    sold = deals.state("product_id")
    has = pc.is_valid(sold)
    deal, price = deals.final(deals.entity).filter(has), deals.state("amount").filter(has)
    book.write("OpportunityLineItem", {
        "Id": record_id("line", deal), "OpportunityId": record_id("opportunity", deal), "IsDeleted": "false",
        "Product2Id": record_id("product", sold.filter(has)), "Quantity": "1.00", "UnitPrice": price, "TotalPrice": price,
        "CreatedDate": moment(deals.column("known_at").take(pa.array(deals.starts)), MILLISECONDS).filter(has),
    })  # fmt: skip


def _stage_history(book: Book, deals: Changes, now: Mapping[str, pa.Array], category: pa.Array) -> None:
    """OpportunityHistory, a snapshot whenever one of four fields changed, and OpportunityStage, what each stage means."""
    row = np.sort(np.r_[deals.starts, deals.changed(*now.values())])
    before = pa.array(np.maximum(row - 1, 0), mask=deals.first[row])
    at = pa.array(row)
    deal = deals.entity.take(at)
    book.write("OpportunityHistory", {
        "Id": number_id("stage history", numbered(deal)), "OpportunityId": record_id("opportunity", deal),
        "CreatedById": record_id("user", pc.fill_null(deals.pick("owner_id", row), SYSTEM)),
        "CreatedDate": moment(deals.column("known_at").take(at), MILLISECONDS),
        **{name: values.take(at) for name, values in now.items()}, "ForecastCategory": category.take(at),
        "CurrencyIsoCode": deals.pick("currency", row), "PrevAmount": now["Amount"].take(before),
        "PrevCloseDate": now["CloseDate"].take(before), "IsDeleted": "false",
    })  # fmt: skip
    found = pa.table({
        "stage": now["StageName"], "order": deals.running("stage_order"), "percent": now["Probability"],
        "won": pc.equal(deals.running("status"), "won"), "closed": pc.not_equal(deals.running("status"), "open"),
    }).filter(pc.is_valid(pc.field("stage")))  # fmt: skip
    met = found.group_by("stage", use_threads=False).aggregate(
        [("order", "min"), ("percent", "max"), ("won", "max"), ("closed", "min")]
    )
    met = met.sort_by([("closed_min", "ascending"), ("order_min", "ascending"), ("stage", "ascending")])
    book.write("OpportunityStage", {
        "Id": record_id("stage", met["stage"].combine_chunks()), "ApiName": met["stage"].combine_chunks(),
        "MasterLabel": met["stage"].combine_chunks(), "IsActive": "true", "SortOrder": pa.array(np.arange(1, met.num_rows + 1)),
        "IsClosed": met["closed_min"].combine_chunks(), "IsWon": met["won_max"].combine_chunks(),
        "DefaultProbability": met["percent_max"].combine_chunks(),
    })  # fmt: skip


def _owner(book: Book, rows: Changes) -> dict[str, pa.Array]:
    """A change of a look-up shows twice in field history: as a name and as an id."""
    people, owner = book.changes("user"), rows.running("owner_id")
    name = look_up(owner, people.final(people.entity), people.state("name"))
    return {"Owner:Text": pc.coalesce(name, owner), "Owner:EntityId": record_id("user", owner)}


def _field_history(book: Book, name: str, key: str, kind: str, rows: Changes, fields: Mapping[str, pa.Array]) -> None:
    """History of the fields (`Field:DataType`), a row `created` first; what is too old has been deleted."""
    told = rows.history(fields)
    row = np.r_[rows.starts, told.row]
    order = np.argsort(row, kind="stable")
    order = order[np.asarray(rows.column("known_at").to_numpy())[row[order]] >= _horizon(book)]
    begun = len(rows.starts)
    label = pa.concat_arrays([pa.repeat("created:Text", begun), told.field]).take(pa.array(order))
    parts = pc.split_pattern(label, ":")
    field, kind_of = pc.list_element(parts, 0), pc.list_element(parts, 1)
    kind_of = either(pc.equal(kind_of, ""), recode(field, DATA_TYPE), kind_of)
    at = pa.array(row[order])
    entity = rows.entity.take(at)
    book.write(name, {
        "Id": number_id("field history", numbered(entity)), key: record_id(kind, entity), "Field": field, "DataType": kind_of,
        "CreatedById": record_id("user", pc.fill_null(rows.running("owner_id").take(at), SYSTEM)),
        "CreatedDate": moment(rows.column("known_at").take(at), MILLISECONDS), "IsDeleted": "false",
        "OldValue": pa.concat_arrays([pa.nulls(begun, pa.string()), told.old]).take(pa.array(order)),
        "NewValue": pa.concat_arrays([pa.nulls(begun, pa.string()), told.new]).take(pa.array(order)),
    })  # fmt: skip


def _horizon(book: Book) -> np.datetime64:
    return np.datetime64(book.end.replace(tzinfo=None) - dt.timedelta(days=HISTORY_DAYS), "us")


def _custom(rows: Changes) -> dict[str, pa.Array]:
    """The company's own fields."""
    return {f"{key.title()}__c": rows.state(f"custom.{key}") for key in rows.custom if key != "merged_into"}
