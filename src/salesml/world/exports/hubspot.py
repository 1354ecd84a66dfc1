"""HubSpot, as its CRM exports and API give it: properties under their internal names, instants in UTC to the millisecond.

Leads are contacts with a lifecycle stage. Every value of a property is kept with its time, so a deal's whole history is there;
`closedate` holds the second of a closing even if it was entered later. Deleted and merged records are gone but for their
numbers in `hs_merged_object_ids`. Our ids are in `external_id`, `external_contact_id` and `external_lead_id`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.hubspot_activities import engagements, events
from salesml.world.exports.hubspot_ids import base, file_name, merged, number, property_history
from salesml.world.exports.shared import (
    MILLISECONDS,
    Book,
    Changes,
    Ints,
    either,
    join,
    look_up,
    moment,
    names,
    recode,
    text,
)

CATEGORY = {"pipeline": "PIPELINE", "best_case": "BEST_CASE", "commit": "COMMIT", "closed": "CLOSED", "omitted": "OMIT"}
TYPE = {"new": "newbusiness", "expansion": "existingbusiness"}
LOST_TYPE = {"lost": "Lost", "no_decision": "No decision", "open": None, "won": None}
LIFECYCLE = {"open": "lead", "qualified": "salesqualifiedlead", "converted": "opportunity", "disqualified": None}
LEAD_STATUS = {"open": "NEW", "qualified": "IN_PROGRESS", "converted": "OPEN_DEAL", "disqualified": "UNQUALIFIED"}
DATED = ("lead", "salesqualifiedlead", "opportunity")


def write(book: Book) -> None:
    """Write every object there are rows for."""
    for part in (_owners, _products, _campaigns, _rates, _companies, _contacts, _deals, engagements, events):
        part(book)


def _owners(book: Book) -> None:
    people, teams = book.changes("user"), book.changes("team")
    first, last = names(people.state("name"))
    known, team = people.column("known_at"), people.state("team_id")
    book.write("owners", {
        "id": number("owner", people.final(people.entity)), "email": people.state("email"), "type": "PERSON", "firstName": first,
        "lastName": last, "userId": number("owner", people.final(people.entity)),
        "createdAt": moment(known.take(pa.array(people.starts)), MILLISECONDS), "updatedAt": moment(people.final(known), MILLISECONDS),
        "archived": pc.invert(pc.fill_null(people.state("active"), True)), "teamId": number("team", team),
        "teamName": look_up(team, teams.final(teams.entity), teams.state("name")),
    })  # fmt: skip


def _products(book: Book) -> None:
    made, prices = book.changes("product"), book.changes("price")
    own = made.final(made.entity)
    local = {}
    for code in sorted(pc.unique(prices.state("currency")).drop_null().to_pylist()):
        here = pc.equal(prices.state("currency"), code)
        sold, amount = prices.state("product_id").filter(here), prices.state("amount").filter(here)
        local[f"hs_price_{code.lower()}"] = look_up(own, sold, amount)
    book.write(file_name(book, "products"), base("product", made) | {
        "name": made.state("name"), "hs_sku": own, "price": made.state("list_price"),
        "hs_cost_of_goods_sold": made.state("unit_cost"), "product_family": made.state("family"), **local,
    })  # fmt: skip


def _campaigns(book: Book) -> None:
    plans = book.changes("campaign")
    book.write(file_name(book, "campaigns"), base("campaign", plans) | {
        "hs_name": plans.state("name"), "hs_start_date": plans.state("starts_on"), "hs_end_date": plans.state("ends_on"),
        "hs_spend_items_sum_amount": plans.state("cost"), "hs_currency_code": plans.state("currency"),
        "channel": plans.state("channel"), "source": plans.state("source"), "external_id": plans.final(plans.entity),
    })  # fmt: skip


def _rates(book: Book) -> None:
    rates = book.events("fx_rate")
    book.write("exchange_rates", {
        "id": number("rate", rates.entity), "fromCurrencyCode": rates.column("from_currency"),
        "toCurrencyCode": rates.column("to_currency"), "conversionRate": rates.column("rate"),
        "effectiveAt": moment(rates.column("occurred_at"), MILLISECONDS) if rates.n else rates.entity,
    })  # fmt: skip


def _companies(book: Book) -> None:
    firms = book.changes("account")
    _write(book, "companies", firms.alive, base("account", firms) | {
        "name": firms.state("name"), "industry": firms.state("industry"), "country": firms.state("country"),
        "city": firms.state("city"), "zip": firms.state("postal_code"), "numberofemployees": firms.state("employees"),
        "annualrevenue": firms.state("annual_revenue"), "founded_year": firms.state("founded_year"),
        "hs_parent_company_id": number("account", firms.state("parent_account_id")),
        "hubspot_owner_id": number("owner", firms.state("owner_id")), "hs_merged_object_ids": merged("account", firms),
        "region": firms.state("region"), "territory": firms.state("territory_id"), "latitude": firms.state("latitude"),
        "longitude": firms.state("longitude"), "external_id": firms.final(firms.entity),
    })  # fmt: skip
    property_history(
        book,
        "companies_property_history",
        "account",
        firms,
        {"hubspot_owner_id": number("owner", firms.running("owner_id"))},
    )


def _contacts(book: Book) -> None:
    """People of companies, then leads."""
    people, deals = book.changes("contact"), book.changes("opportunity")
    first, last = names(people.state("name"))
    bought = deals.state("account_id").filter(pc.fill_null(pc.equal(deals.state("status"), "won"), False))
    buyer = pc.is_in(people.state("account_id"), bought)
    rows = base("contact", people) | {
        "firstname": first, "lastname": last, "email": people.state("email"), "phone": people.state("phone"),
        "jobtitle": people.state("title"), "hs_seniority": people.state("seniority"),
        "hs_email_optout": pc.invert(people.state("consent")), "associatedcompanyid": number("account", people.state("account_id")),
        "lifecyclestage": either(buyer, "customer", "opportunity"), "external_contact_id": people.final(people.entity),
    }  # fmt: skip
    leads = book.changes("lead")
    status, stage = recode(leads.running("status"), LEAD_STATUS), leads.fill(recode(leads.column("status"), LIFECYCLE))
    more = base("contact", leads) | {
        "jobtitle": leads.state("title"), "country": leads.state("country"), "industry": leads.state("industry"),
        "numemployees": leads.state("employees"), "lead_source": leads.state("source"), "lifecyclestage": leads.final(stage),
        "hs_lead_status": leads.final(status), "hubspot_owner_id": number("owner", leads.state("owner_id")),
        "associatedcompanyid": number("account", leads.state("account_id")),
        "Associated Deal IDs": number("opportunity", leads.state("opportunity_id")),
        "hs_analytics_first_url": leads.state("landing_page"), "hs_merged_object_ids": merged("contact", leads),
        "hs_analytics_first_touch_converting_campaign": number("campaign", leads.state("campaign_id")),
        **{f"hs_lifecyclestage_{name}_date": _entered(leads, stage, name) for name in DATED},
        **{key: leads.state(f"custom.{key}") for key in leads.custom if key != "merged_into"},
        "external_lead_id": leads.final(leads.entity),
    }  # fmt: skip
    both = {
        name: _both(rows.get(name), more.get(name), people, leads)
        for name in [*rows, *(n for n in more if n not in rows)]
    }
    _write(book, "contacts", np.r_[people.alive, leads.alive], both)
    property_history(book, "contacts_property_history", "contact", leads, {
        "lifecyclestage": stage, "hs_lead_status": status, "hubspot_owner_id": number("owner", leads.running("owner_id")),
    })  # fmt: skip


def _entered(rows: Changes, running: pa.Array, word: str) -> pa.Array:
    """When a running value became the word for the first time."""
    there = np.flatnonzero(np.asarray(pc.fill_null(pc.equal(running, word), False)))
    of = np.cumsum(rows.first)[there] - 1
    place = np.full(len(rows.starts), -1)
    place[of[::-1]] = there[::-1]
    return moment(rows.column("known_at").take(pa.array(np.maximum(place, 0), mask=place < 0)), MILLISECONDS)


def _both(one: pa.Array | None, other: pa.Array | None, first: Changes, second: Changes) -> pa.Array:
    parts = ((one, len(first.last)), (other, len(second.last)))
    return pa.concat_arrays([pa.nulls(n, pa.string()) if part is None else text(part) for part, n in parts])


def _deals(book: Book) -> None:
    deals = book.changes("opportunity")
    status, stage = deals.running("status"), _stage(deals)
    expected = deals.column("close_date").cast(pa.timestamp("us", "UTC"))
    close = moment(
        deals.fill(either(deals.closing, deals.column("occurred_at").cast(expected.type), expected)), MILLISECONDS
    )
    rivals = book.changes("competitor")
    rival = look_up(deals.running("competitor_id"), rivals.final(rivals.entity), rivals.state("name"))
    fields = {
        "dealstage": stage, "amount": deals.running("amount"), "deal_currency_code": deals.running("currency"), "closedate": close,
        "hubspot_owner_id": number("owner", deals.running("owner_id")), "hs_deal_stage_probability": deals.running("probability"),
        "hs_manual_forecast_category": recode(deals.running("forecast_category"), CATEGORY),
        "hs_next_step": recode(deals.running("next_step"), {"": None}), "closed_lost_reason": deals.running("loss_reason"),
        "lost_type": recode(status, LOST_TYPE), "discount": deals.running("discount"),
        "competitor": pc.coalesce(rival, deals.running("competitor_id")),
    }  # fmt: skip
    lead = number("contact", deals.state("lead_id"))
    met = number("contact", deals.state("contact_id"))
    opened = {f"hs_v2_date_entered_{name}": _entered(deals, stage, name) for name in _stages(book, deals, stage)}
    _write(book, "deals", deals.alive, base("opportunity", deals) | {
        "dealname": deals.state("name"), "pipeline": pa.repeat("default", len(deals.last)), "dealtype": recode(deals.state("type"), TYPE),
        **{name: deals.final(values) for name, values in fields.items()},
        "hs_is_closed": pc.not_equal(deals.state("status"), "open"), "hs_is_closed_won": pc.equal(deals.state("status"), "won"),
        "deal_source": deals.state("source"), "segment": deals.state("segment"), "territory": deals.state("territory_id"),
        "Associated Company IDs": number("account", deals.state("account_id")),
        "Associated Contact IDs": pc.coalesce(join(met, lead, by=";"), met, lead), **opened, "external_id": deals.final(deals.entity),
    })  # fmt: skip
    property_history(book, "deals_property_history", "opportunity", deals, fields)
    sold = deals.state("product_id")
    _write(book, "line_items", deals.alive & np.asarray(pc.is_valid(sold)), {
        "hs_object_id": number("line", deals.final(deals.entity)), "hs_product_id": number("product", sold),
        "quantity": pa.repeat("1", len(sold)), "amount": deals.state("amount"), "createdate": base("opportunity", deals)["createdate"],
        "Associated Deal IDs": number("opportunity", deals.final(deals.entity)),
    })  # fmt: skip


def _stage(deals: Changes) -> pa.Array:
    """Stage ids: numbers, and HubSpot's own two for closed deals."""
    status = deals.running("status")
    lost = pc.is_in(status, pa.array(["lost", "no_decision"]))
    return either(pc.equal(status, "won"), "closedwon", either(lost, "closedlost", number("stage", deals.stage)))


def _stages(book: Book, deals: Changes, stage: pa.Array) -> list[str]:
    """Write the pipeline; returns the ids of its stages in order."""
    seen = pa.table(
        {"id": stage, "label": deals.stage, "order": deals.running("stage_order"), "p": deals.running("probability")}
    )
    met = (
        seen.filter(pc.is_valid(pc.field("id")))
        .group_by("id", use_threads=False)
        .aggregate([("label", "max"), ("order", "min"), ("p", "max")])
    )
    closed = pc.is_in(met["id"], pa.array(["closedwon", "closedlost"]))
    met = met.append_column("closed", closed).sort_by(
        [("closed", "ascending"), ("order_min", "ascending"), ("id", "descending")]
    )
    ids = met["id"].combine_chunks()
    book.write("deal_pipeline_stages", {
        "pipelineId": "default", "pipelineLabel": "Sales Pipeline", "stageId": ids, "label": met["label_max"].combine_chunks(),
        "displayOrder": pa.array(np.arange(len(ids))), "isClosed": met["closed"].combine_chunks(),
        "probability": met["p_max"].combine_chunks(),
    })  # fmt: skip
    return ids.to_pylist()


def _write(book: Book, objects: str, kept: Ints, columns: dict[str, pa.Array]) -> None:
    """An export of all records of a kind that are still there."""
    book.write(file_name(book, objects), {name: values.filter(pa.array(kept)) for name, values in columns.items()})
