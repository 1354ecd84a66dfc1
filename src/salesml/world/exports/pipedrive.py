"""Pipedrive, as its API gives records and the changes of deals: whole-number ids, times in UTC without an offset.

A closed deal stays in its last stage; `won_time` and `lost_time` are the second it happened, the flow has the second it was
entered. A lead that became a deal is gone but for the deal's `source_lead_id`; of leads and people there is no history. Planned
times are to the minute. Merged records are gone; deleted deals are there for a while. Our ids are in the field `external_id`.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.ids import guid
from salesml.world.exports.pipedrive_activities import activities
from salesml.world.exports.pipedrive_rows import CLOCK, base, custom, flow, kept, number
from salesml.world.exports.shared import CLOSED, Book, Changes, either, join, look_up, moment, names, recode, text

NOTHING = pa.scalar(None, pa.string())
STATUS = {"no_decision": "lost"}
LOSS_TYPE = {"lost": "Lost", "no_decision": "No decision", "open": None, "won": None}
QUALIFIED = "Qualified"


def write(book: Book) -> None:
    """Write every object there are rows for."""
    for part in (_users, _products, _organizations, _persons, _leads, _deals, activities):
        part(book)


def _users(book: Book) -> None:
    people, teams = book.changes("user"), book.changes("team")
    known = people.column("known_at")
    book.write("users", {
        "id": number(people.final(people.entity)), "name": people.state("name"), "email": people.state("email"),
        "active_flag": pc.fill_null(people.state("active"), True), "timezone_name": people.state("time_zone"),
        "created": moment(known.take(pa.array(people.starts)), CLOCK), "modified": moment(people.final(known), CLOCK),
    })  # fmt: skip
    members = pa.table({"team": people.state("team_id"), "user": number(people.final(people.entity))})
    grouped = (
        members.filter(pc.is_valid(pc.field("team"))).group_by("team", use_threads=False).aggregate([("user", "list")])
    )
    own = teams.final(teams.entity)
    if teams.n:
        listed = (
            pc.binary_join(grouped["user_list"].combine_chunks(), ",")
            if grouped.num_rows
            else pa.array([], pa.string())
        )
        book.write("teams", {
            "id": number(own), "name": teams.state("name"), "manager_id": number(teams.state("manager_id")), "active_flag": "true",
            "users": join("[", look_up(own, grouped["team"].combine_chunks(), listed), "]"),
            "add_time": moment(teams.column("known_at").take(pa.array(teams.starts)), CLOCK),
        })  # fmt: skip


def _products(book: Book) -> None:
    made, prices = book.changes("product"), book.changes("price")
    own = made.final(made.entity)
    book.write("products", base(made) | {
        "name": made.state("name"), "code": own, "category": made.state("family"), "active_flag": pc.fill_null(made.state("active"), True),
    })  # fmt: skip
    home = pc.is_in(prices.state("currency"), pc.unique(made.state("currency")))
    local = {name: text(prices.state(name)).filter(pc.invert(home)) for name in ("product_id", "amount", "currency")}
    book.write("product_prices", {
        "product_id": number(pa.concat_arrays([own, local["product_id"]])),
        "price": pa.concat_arrays([text(made.state("list_price")), local["amount"]]),
        "currency": pa.concat_arrays([made.state("currency"), local["currency"]]),
        "cost": pa.concat_arrays([text(made.state("unit_cost")), pa.nulls(len(local["amount"]), pa.string())]),
    })  # fmt: skip


def _organizations(book: Book) -> None:
    firms = book.changes("account")
    kept(book, "organizations", firms.alive, base(firms) | {
        "name": firms.state("name"), "owner_id": number(firms.state("owner_id")), "address_country": firms.state("country"),
        "address_locality": firms.state("city"), "address_postal_code": firms.state("postal_code"),
        "address_lat": firms.state("latitude"), "address_long": firms.state("longitude"), "industry": firms.state("industry"),
        "employee_count": firms.state("employees"), "annual_revenue": firms.state("annual_revenue"),
        "founded_year": firms.state("founded_year"), "region": firms.state("region"), "territory": firms.state("territory_id"),
        "external_id": firms.final(firms.entity), **custom(firms),
    })  # fmt: skip
    flow(book, "organization_flow", firms, {"owner_id": number(firms.running("owner_id"))})


def _persons(book: Book) -> None:
    people = book.changes("contact")
    first, last = names(people.state("name"))
    consent = people.state("consent")
    kept(book, "persons", people.alive, base(people) | {
        "name": people.state("name"), "first_name": first, "last_name": last, "email": people.state("email"),
        "phone": people.state("phone"), "job_title": people.state("title"), "org_id": number(people.state("account_id")),
        "marketing_status": either(pc.fill_null(consent, False), "subscribed", "no_consent"),
        "seniority": people.state("seniority"), "external_id": people.final(people.entity),
    })  # fmt: skip


def _leads(book: Book) -> None:
    leads, plans = book.changes("lead"), book.changes("campaign")
    own, status = leads.final(leads.entity), leads.state("status")
    archived = pc.fill_null(pc.equal(status, "disqualified"), False)
    qualified = leads.changed(pc.equal(leads.running("status"), "qualified"))
    was = np.isin(np.arange(len(leads.starts)), np.cumsum(leads.first)[qualified] - 1)
    label = guid("lead label", pa.array([QUALIFIED]))
    inbox = ~np.asarray(pc.fill_null(pc.equal(status, "converted"), False))
    campaign = look_up(leads.state("campaign_id"), plans.final(plans.entity), plans.state("name"))
    kept(book, "leads", inbox, base(leads) | {
        "id": guid("lead", own), "title": join("Lead ", own), "owner_id": number(leads.state("owner_id")),
        "label_ids": either(was, label[0], NOTHING), "is_archived": archived, "organization_id": number(leads.state("account_id")),
        "person_id": number(leads.state("contact_id")), "channel": leads.state("source"), "campaign": campaign,
        "job_title": leads.state("title"), "country": leads.state("country"), "industry": leads.state("industry"),
        "employee_count": leads.state("employees"), "landing_page": leads.state("landing_page"), "external_id": own, **custom(leads),
    })  # fmt: skip
    if leads.n:
        book.write("lead_labels", {"id": label, "name": QUALIFIED, "color": "green"})


def _deals(book: Book) -> None:
    deals = book.changes("opportunity")
    status, closing, happened = deals.running("status"), deals.closing, deals.column("occurred_at")
    gone = pc.fill_null(deals.running("deleted"), False)
    shown = either(gone, "deleted", recode(status, STATUS))
    stages = _stages(book, deals)
    numbers = text(pa.array(np.arange(1, len(stages) + 1)))
    stage = look_up(deals.fill(either(closing, NOTHING, deals.column("stage"))), stages, numbers)
    percent = pc.round(pc.multiply(deals.column("probability"), 100)).cast(pa.int64())
    closed = deals.final(deals.fill(either(closing, happened, pa.scalar(None, happened.type))))
    over, won = pc.is_in(deals.state("status"), CLOSED), pc.fill_null(pc.equal(deals.state("status"), "won"), False)
    when = moment(closed, CLOCK) if deals.n else pa.array([], pa.string())
    rivals = book.changes("competitor")
    rival = look_up(deals.running("competitor_id"), rivals.final(rivals.entity), rivals.state("name"))
    fields = {
        "stage_id": stage, "value": pc.fill_null(text(deals.running("amount")), "0"), "currency": deals.running("currency"),
        "status": shown, "user_id": number(deals.running("owner_id")), "org_id": number(deals.running("account_id")),
        "expected_close_date": deals.running("close_date"), "lost_reason": deals.running("loss_reason"),
        "probability": deals.fill(either(closing, pa.scalar(None, pa.int64()), percent)),
        "loss_type": recode(status, LOSS_TYPE), "next_step": recode(deals.running("next_step"), {"": None}),
        "forecast": deals.fill(either(closing, NOTHING, deals.column("forecast_category"))),
        "competitor": pc.coalesce(rival, deals.running("competitor_id")), "discount": deals.running("discount"),
    }  # fmt: skip
    own = deals.final(deals.entity)
    book.write("deals", base(deals) | {
        "title": deals.state("name"), "person_id": number(deals.state("contact_id")),
        **{name: deals.final(values) for name, values in fields.items()}, "pipeline_id": "1",
        "close_time": either(over, when, NOTHING), "won_time": either(won, when, NOTHING),
        "lost_time": either(pc.and_(over, pc.invert(won)), when, NOTHING), "source_lead_id": guid("lead", deals.state("lead_id")),
        "channel": deals.state("source"), "deal_type": deals.state("type"), "segment": deals.state("segment"),
        "territory": deals.state("territory_id"), "deleted": pc.invert(pa.array(deals.alive)), "external_id": own, **custom(deals),
    })  # fmt: skip
    flow(book, "deal_flow", deals, fields)
    sold = deals.state("product_id")
    kept(book, "deal_products", np.asarray(pc.is_valid(sold)), {
        "deal_id": number(own), "product_id": number(sold), "quantity": pa.repeat("1", len(own)), "item_price": deals.state("amount"),
        "currency": deals.state("currency"), "add_time": base(deals)["add_time"],
    })  # fmt: skip


def _stages(book: Book, deals: Changes) -> pa.Array:
    """Write the stages, numbered in order, with the probability of a deal that has none of its own; returns their names."""
    open_ = pa.array(~deals.closing)
    seen = pa.table(
        {"name": deals.column("stage"), "order": deals.column("stage_order"), "p": deals.column("probability")}
    ).filter(open_)
    met = (
        seen.filter(pc.is_valid(pc.field("name")))
        .group_by("name", use_threads=False)
        .aggregate([("order", "min"), ("p", "max")])
    )
    met = met.sort_by([("order_min", "ascending"), ("name", "ascending")])
    name, place = met["name"].combine_chunks(), pa.array(np.arange(1, met.num_rows + 1))
    book.write("stages", {
        "id": place, "order_nr": place, "name": name, "active_flag": "true", "pipeline_id": "1",
        "pipeline_name": "Pipeline", "deal_probability": pc.round(pc.multiply(met["p_max"].combine_chunks(), 100)).cast(pa.int64()),
    })  # fmt: skip
    return name
