"""Dynamics 365 Sales, as Dataverse gives its tables: logical names, GUIDs, whole numbers for choices, instants in UTC.

A closed opportunity stays in its last stage; `opportunityclose` has one row a closing with the day it happened, `audit` the
second of every change and the values before and after. Deleted rows are gone but for their audit; merged ones are inactive.
Our ids are in the company's own column `new_externalid`, those of people in `employeeid`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.dynamics_activities import activities
from salesml.world.exports.dynamics_rows import audit, base
from salesml.world.exports.dynamics_setup import campaigns, currencies, people, products
from salesml.world.exports.ids import guid, number_guid, numbered
from salesml.world.exports.shared import (
    CLOSED,
    SECONDS,
    Book,
    Changes,
    Ints,
    day,
    either,
    join,
    moment,
    names,
    recode,
    text,
)

NOTHING = pa.scalar(None, pa.string())
CATEGORY = {
    "pipeline": "100000001",
    "best_case": "100000002",
    "commit": "100000003",
    "omitted": "100000004",
    "closed": "100000006",
}
STATE = {"open": "0", "won": "1", "lost": "2", "no_decision": "2"}
REASON = {"open": "1", "won": "3", "no_decision": "4", "lost": "5"}
LEAD_STATE = {"open": "0", "qualified": "0", "converted": "1", "disqualified": "2"}
LEAD_REASON = {"open": "1", "qualified": "100000001", "converted": "3", "disqualified": "4"}
CREATE, UPDATE, DELETE, MERGE, ASSIGN, CLOSE, REOPEN, QUALIFY, DISQUALIFY = (
    "1",
    "2",
    "3",
    "12",
    "13",
    "16",
    "21",
    "24",
    "25",
)


def write(book: Book) -> None:
    """Write every table there are rows for."""
    for part in (people, products, campaigns, currencies, _contacts, activities):
        part(book)
    logs = [_accounts(book), _leads(book), _deals(book)]
    book.write("audit", {name: pa.concat_arrays([text(log[name]) for log in logs]) for name in logs[0]})


def _accounts(book: Book) -> dict[str, pa.Array]:
    firms = book.changes("account")
    _write(book, "account", _kept(firms), base("account", firms, "owner_id") | {
        "name": firms.state("name"), "industrycodename": firms.state("industry"), "address1_country": firms.state("country"),
        "address1_city": firms.state("city"), "address1_postalcode": firms.state("postal_code"),
        "address1_latitude": firms.state("latitude"), "address1_longitude": firms.state("longitude"),
        "numberofemployees": firms.state("employees"), "revenue": firms.state("annual_revenue"),
        "transactioncurrencyid": guid("transactioncurrency", firms.state("currency")),
        "parentaccountid": guid("account", firms.state("parent_account_id")), "ownerid": guid("systemuser", firms.state("owner_id")),
        "territoryid": guid("territory", firms.state("territory_id")), **_merged("account", firms, "1"),
        "new_foundedyear": firms.state("founded_year"), "new_region": firms.state("region"), **_custom(firms),
    })  # fmt: skip
    fields = {"ownerid": join("systemuser,", guid("systemuser", firms.running("owner_id")))}
    return audit("account", firms, fields, _actions(firms, {}))


def _contacts(book: Book) -> None:
    people = book.changes("contact")
    first, last = names(people.state("name"))
    _write(book, "contact", people.alive, base("contact", people) | {
        "firstname": first, "lastname": last, "fullname": people.state("name"), "emailaddress1": people.state("email"),
        "telephone1": people.state("phone"), "jobtitle": people.state("title"), "donotemail": pc.invert(people.state("consent")),
        "parentcustomerid": guid("account", people.state("account_id")), "parentcustomeridtype": pa.repeat("account", len(people.last)),
        "statecode": pa.repeat("0", len(people.last)), "new_seniority": people.state("seniority"),
    })  # fmt: skip


def _leads(book: Book) -> dict[str, pa.Array]:
    leads = book.changes("lead")
    status, own = leads.running("status"), leads.final(leads.entity)
    state, reason = recode(status, LEAD_STATE), recode(status, LEAD_REASON)
    merged = _merged("lead", leads, "2")
    _write(book, "lead", _kept(leads), base("lead", leads, "owner_id") | {
        "subject": join("Lead ", own), "jobtitle": leads.state("title"), "address1_country": leads.state("country"),
        "industrycodename": leads.state("industry"), "numberofemployees": leads.state("employees"),
        "leadsourcecodename": leads.state("source"), "campaignid": guid("campaign", leads.state("campaign_id")),
        "statuscode": leads.final(reason), "ownerid": guid("systemuser", leads.state("owner_id")),
        "qualifyingopportunityid": guid("opportunity", leads.state("opportunity_id")),
        "parentaccountid": guid("account", leads.state("account_id")), "parentcontactid": guid("contact", leads.state("contact_id")),
        "new_landingpage": leads.state("landing_page"), **_custom(leads), **merged,
        "statecode": either(pc.equal(merged["merged"], "true"), "2", leads.final(state)),
    })  # fmt: skip
    fields = {
        "statecode": state,
        "statuscode": reason,
        "ownerid": join("systemuser,", guid("systemuser", leads.running("owner_id"))),
    }
    return audit("lead", leads, fields, _actions(leads, {"converted": QUALIFY, "disqualified": DISQUALIFY}))


def _deals(book: Book) -> dict[str, pa.Array]:
    deals = book.changes("opportunity")
    status, closing = deals.running("status"), deals.closing
    over = pc.is_in(status, CLOSED)
    won, lost = pc.equal(status, "won"), pc.is_in(status, pa.array(["lost", "no_decision"]))
    amount = deals.column("amount")
    category = recode(deals.running("forecast_category"), CATEGORY)
    currency, owner = deals.running("currency"), guid("systemuser", deals.running("owner_id"))
    account, rival = guid("account", deals.running("account_id")), guid("competitor", deals.running("competitor_id"))
    shown = {
        "statecode": recode(status, STATE), "statuscode": recode(status, REASON),
        "stepname": _step(deals),
        "estimatedvalue": deals.fill(either(closing, pa.scalar(None, amount.type), amount)),
        "actualvalue": either(won, text(deals.running("amount")), NOTHING),
        "estimatedclosedate": deals.running("close_date"),
        "actualclosedate": either(over, deals.fill(either(closing, day(deals.column("occurred_at")), NOTHING)), NOTHING),
        "closeprobability": pc.round(pc.multiply(deals.running("probability"), 100)).cast(pa.int64()),
        "msdyn_forecastcategory": either(won, "100000005", either(lost, "100000006", category)),
        "new_nextstep": recode(deals.running("next_step"), {"": None}), "new_lossreason": deals.running("loss_reason"),
        "discountpercentage": pc.round(pc.multiply(deals.running("discount"), 100), 4),
    }  # fmt: skip
    looked_up = {
        "parentaccountid": ("account", account),
        "ownerid": ("systemuser", owner),
        "new_maincompetitorid": ("competitor", rival),
    }
    own = deals.final(deals.entity)
    _write(book, "opportunity", deals.alive, base("opportunity", deals, "owner_id") | {
        "name": deals.state("name"), **{name: deals.final(values) for name, values in shown.items()},
        **{name: deals.final(values) for name, (_, values) in looked_up.items()},
        "parentcontactid": guid("contact", deals.state("contact_id")), "originatingleadid": guid("lead", deals.state("lead_id")),
        "transactioncurrencyid": guid("transactioncurrency", deals.final(currency)), "new_type": deals.state("type"),
        "new_source": deals.state("source"), "new_segment": deals.state("segment"),
        "new_territoryid": guid("territory", deals.state("territory_id")), **_custom(deals),
    })  # fmt: skip
    sold = deals.state("product_id")
    _write(book, "opportunityproduct", deals.alive & np.asarray(pc.is_valid(sold)), {
        "opportunityproductid": guid("opportunityproduct", own), "opportunityid": guid("opportunity", own),
        "productid": guid("product", sold), "quantity": pa.repeat("1.00", len(sold)), "extendedamount": deals.state("amount"),
        "createdon": base("opportunity", deals)["createdon"],
    })  # fmt: skip
    _closings(book, deals)
    fields = shown | {name: join(f"{kind},", values) for name, (kind, values) in looked_up.items()}
    return audit("opportunity", deals, fields, _actions(deals, {"won": CLOSE, "lost": CLOSE, "no_decision": CLOSE}))


def _step(deals: Changes) -> pa.Array:
    """The stage as the sales process numbers it, 2-Discovery; closing leaves it."""
    order, stage = deals.running("stage_order"), either(deals.closing, NOTHING, deals.column("stage"))
    return deals.fill(pc.coalesce(join(order, "-", stage), stage))


def _closings(book: Book, deals: Changes) -> None:
    """The activity that closing an opportunity leaves: the day, the revenue, the reason."""
    kept = np.repeat(deals.alive, deals.last - deals.starts + 1) if deals.n else deals.closing
    row = np.flatnonzero(deals.closing & kept)
    at = pa.array(row)
    deal = deals.entity.take(at)
    status = deals.running("status").take(at)
    won = pc.equal(status, "won")
    book.write("opportunityclose", {
        "activityid": number_guid("opportunityclose", numbered(deal)), "opportunityid": guid("opportunity", deal),
        "actualend": day(deals.column("occurred_at").take(at)), "createdon": moment(deals.column("known_at").take(at), SECONDS),
        "actualrevenue": either(won, text(deals.pick("amount", row)), NOTHING), "opportunitystatecode": recode(status, STATE),
        "opportunitystatuscode": recode(status, REASON), "statecode": "1", "statuscode": "2",
        "subject": either(won, "Opportunity Close - Won", "Opportunity Close - Lost"),
    })  # fmt: skip


def _actions(rows: Changes, by_status: dict[str, str]) -> pa.Array:
    """The audit's code of what was done at each change."""
    status = rows.column("status") if any(c.name == "status" for c in rows.spec.own) else pa.nulls(rows.n, pa.string())
    done = pc.fill_null(recode(status, {"open": REOPEN, "qualified": UPDATE, **by_status}), UPDATE)
    handed = pc.and_(pc.is_valid(rows.column("owner_id")), pc.is_null(status))
    done = either(handed, ASSIGN, done)
    gone = pc.fill_null(rows.column("deleted"), False)
    done = either(gone, either(pc.is_valid(rows.column("custom.merged_into")), MERGE, DELETE), done)
    return either(rows.first, CREATE, done)


def _kept(rows: Changes) -> Ints:
    """Entities still in the table: merged ones are, deleted ones are not."""
    return rows.alive | np.asarray(pc.is_valid(rows.state("custom.merged_into")))


def _merged(kind: str, rows: Changes, inactive: str) -> dict[str, pa.Array]:
    into = rows.state("custom.merged_into")
    gone = pc.is_valid(into)
    return {
        "statecode": either(gone, inactive, "0"),
        "merged": either(gone, "true", "false"),
        "masterid": guid(kind, into),
    }


def _custom(rows: Changes) -> dict[str, pa.Array]:
    """The company's own fields."""
    return {f"new_{key.replace('_', '')}": rows.state(f"custom.{key}") for key in rows.custom if key != "merged_into"}


def _write(book: Book, name: str, kept: Ints, columns: dict[str, pa.Array]) -> None:
    book.write(name, {column: values.filter(pa.array(kept)) for column, values in columns.items()})
