"""Salesforce objects around the deals: people, roles, territories, products, price books, competitors, rates, campaigns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.salesforce_ids import number_id, record, record_id
from salesml.world.exports.shared import MILLISECONDS, Book, day, join, moment, names, text

STANDARD = "Standard Price Book"


def people(book: Book) -> None:
    """User, UserRole (teams; our id is the DeveloperName), Territory2 and who works it now."""
    staff, teams, places = book.changes("user"), book.changes("team"), book.changes("territory")
    first, last = names(staff.state("name"))
    base = record("user", staff)
    del base["IsDeleted"]
    book.write("User", {
        **base, "Username": staff.state("email"), "FirstName": first, "LastName": last, "Name": staff.state("name"),
        "Email": staff.state("email"), "IsActive": pc.fill_null(staff.state("active"), True), "Title": staff.state("role"),
        "UserRoleId": record_id("team", staff.state("team_id")), "ManagerId": record_id("user", staff.state("manager_id")),
        "Division": staff.state("region"), "TimeZoneSidKey": staff.state("time_zone"), "UserType": "Standard",
    })  # fmt: skip
    role = record("team", teams)
    book.write("UserRole", {
        "Id": role["Id"], "Name": teams.state("name"), "DeveloperName": role["External_Id__c"],
        "ParentRoleId": record_id("team", teams.state("parent_team_id")), "Region__c": teams.state("region"),
        "LastModifiedDate": role["CreatedDate"], "SystemModstamp": role["SystemModstamp"],
    })  # fmt: skip
    place = record("territory", places)
    book.write("Territory2", {
        "Id": place["Id"], "Name": places.state("name"), "DeveloperName": place["External_Id__c"],
        "Region__c": places.state("region"), "LastModifiedDate": place["CreatedDate"], "SystemModstamp": place["SystemModstamp"],
    })  # fmt: skip
    book.write("UserTerritory2Association", {
        "UserId": record_id("user", places.state("owner_id")), "Territory2Id": place["Id"], "IsActive": "true",
        "RoleInTerritory2": "Account Executive", "LastModifiedDate": place["LastModifiedDate"],
    })  # fmt: skip


def products(book: Book) -> None:
    """Product2, Pricebook2, PricebookEntry (list prices in the standard book, `price` in one book a list), Competitor__c."""
    made, prices, rivals = book.changes("product"), book.changes("price"), book.changes("competitor")
    item, entry = record("product", made), record("price", prices)
    book.write("Product2", item | {
        "Name": made.state("name"), "ProductCode": item["External_Id__c"], "Family": made.state("family"),
        "IsActive": pc.fill_null(made.state("active"), True), "Unit_Cost__c": made.state("unit_cost"),
        "CurrencyIsoCode": made.state("currency"),
    })  # fmt: skip
    standard = pa.repeat(STANDARD, len(made.last))
    lists = pc.unique(_both(standard, prices.state("price_list"))).drop_null()
    book.write("Pricebook2", {
        "Id": record_id("pricebook", lists), "Name": lists, "IsActive": "true", "IsStandard": pc.equal(lists, STANDARD),
    })  # fmt: skip
    book.write("PricebookEntry", {name: _both(values, entry[name]) for name, values in item.items()} | {
        "Id": _both(record_id("price", join("S-", item["External_Id__c"])), entry["Id"]),
        "External_Id__c": _both(pa.nulls(len(made.last)), entry["External_Id__c"]),
        "Pricebook2Id": record_id("pricebook", _both(standard, prices.state("price_list"))),
        "Product2Id": record_id("product", _both(item["External_Id__c"], prices.state("product_id"))),
        "UnitPrice": _both(made.state("list_price"), prices.state("amount")), "IsActive": "true",
        "CurrencyIsoCode": _both(made.state("currency"), prices.state("currency")), "UseStandardPrice": "false",
    })  # fmt: skip
    rival = record("competitor", rivals)
    book.write("Competitor__c", rival | {"Name": rivals.state("name"), "Segment__c": rivals.state("segment")})


def rates(book: Book) -> None:
    """CurrencyType, and DatedConversionRate: units of a currency for one of the company's, to six decimals."""
    found = book.events("fx_rate")
    if found.n:
        home, abroad = pc.unique(found.column("to_currency")), pc.unique(found.column("from_currency"))
        book.write("CurrencyType", {
            "IsoCode": _both(home, abroad), "DecimalPlaces": "2", "IsActive": "true",
            "IsCorporate": _both(pa.repeat(True, len(home)), pa.repeat(False, len(abroad))),
        })  # fmt: skip
        book.write("DatedConversionRate", {
            "Id": record_id("fx_rate", found.entity), "IsoCode": found.column("from_currency"),
            "StartDate": day(found.column("occurred_at")),
            "ConversionRate": pc.round(pc.divide(1.0, found.column("rate")), 6),
        })  # fmt: skip


def campaigns(book: Book) -> None:
    """Campaign, and CampaignMember: each lead's own campaign, and others that touched it, from when that was entered."""
    plans, leads, touches = book.changes("campaign"), book.changes("lead"), book.events("lead_event")
    book.write("Campaign", record("campaign", plans) | {
        "Name": plans.state("name"), "Type": plans.state("channel"), "Source__c": plans.state("source"), "Status": "Completed",
        "StartDate": plans.state("starts_on"), "EndDate": plans.state("ends_on"), "ActualCost": plans.state("cost"),
        "CurrencyIsoCode": plans.state("currency"), "IsActive": "true",
    })  # fmt: skip
    begin = pa.array(leads.starts)
    own = pa.table({
        "lead": leads.entity.take(begin), "campaign": leads.running("campaign_id").take(begin),
        "known": leads.column("known_at").take(begin), "rank": pa.repeat(0, len(begin)),
    })  # fmt: skip
    other = pa.table({
        "lead": touches.column("lead_id"), "campaign": touches.column("campaign_id"),
        "known": touches.column("known_at"), "rank": pa.repeat(1, touches.n),
    })  # fmt: skip
    both = pa.concat_tables([own, other]).filter(pc.is_valid(pc.field("campaign")))
    met = both.group_by(["lead", "campaign"], use_threads=False).aggregate([("known", "min"), ("rank", "min")])
    met = met.sort_by(
        [("lead", "ascending"), ("rank_min", "ascending"), ("known_min", "ascending"), ("campaign", "ascending")]
    )
    lead = met["lead"].combine_chunks()
    book.write("CampaignMember", {
        "Id": number_id("member", np.arange(1, len(lead) + 1)), "IsDeleted": "false",
        "CampaignId": record_id("campaign", met["campaign"].combine_chunks()), "LeadId": record_id("lead", lead),
        "Status": "Responded", "HasResponded": "true",
        "CreatedDate": moment(met["known_min"].combine_chunks(), MILLISECONDS),
    })  # fmt: skip


def _both(one: pa.Array, other: pa.Array) -> pa.Array:
    return pa.concat_arrays([text(one), text(other)])
