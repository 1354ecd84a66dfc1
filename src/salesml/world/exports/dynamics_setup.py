"""Dynamics 365 tables around the deals: people and teams, territories, products and price lists, campaigns, currencies."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from salesml.world.exports.dynamics_rows import base
from salesml.world.exports.ids import guid
from salesml.world.exports.shared import Book, join, names


def people(book: Book) -> None:
    """systemuser (our id is the employeeid), team and teammembership, territory with its manager, competitor."""
    staff, teams = book.changes("user"), book.changes("team")
    first, last = names(staff.state("name"))
    own, team = staff.final(staff.entity), staff.state("team_id")
    rows = base("systemuser", staff)
    del rows["new_externalid"]
    book.write("systemuser", rows | {
        "fullname": staff.state("name"), "firstname": first, "lastname": last, "internalemailaddress": staff.state("email"),
        "domainname": staff.state("email"), "title": staff.state("role"), "employeeid": own,
        "parentsystemuserid": guid("systemuser", staff.state("manager_id")),
        "isdisabled": pc.invert(pc.fill_null(staff.state("active"), True)), "new_region": staff.state("region"),
        "new_timezone": staff.state("time_zone"),
    })  # fmt: skip
    book.write("team", base("team", teams) | {
        "name": teams.state("name"), "administratorid": guid("systemuser", teams.state("manager_id")), "teamtype": "0",
        "new_parentteamid": guid("team", teams.state("parent_team_id")), "new_region": teams.state("region"),
    })  # fmt: skip
    member = pc.is_valid(team)
    book.write("teammembership", {
        "teammembershipid": guid("teammembership", own.filter(member)), "teamid": guid("team", team.filter(member)),
        "systemuserid": guid("systemuser", own.filter(member)),
    })  # fmt: skip
    places, rivals = book.changes("territory"), book.changes("competitor")
    book.write("territory", base("territory", places) | {
        "name": places.state("name"), "managerid": guid("systemuser", places.state("owner_id")), "new_region": places.state("region"),
    })  # fmt: skip
    book.write(
        "competitor",
        base("competitor", rivals) | {"name": rivals.state("name"), "new_segment": rivals.state("segment")},
    )


def products(book: Book) -> None:
    """product (our id is the productnumber), pricelevel (price lists) and productpricelevel (their prices)."""
    made, prices = book.changes("product"), book.changes("price")
    rows = base("product", made)
    rows["productnumber"] = rows.pop("new_externalid")
    book.write("product", rows | {
        "name": made.state("name"), "price": made.state("list_price"), "standardcost": made.state("unit_cost"),
        "transactioncurrencyid": guid("transactioncurrency", made.state("currency")), "statecode": "0", "new_family": made.state("family"),
    })  # fmt: skip
    lists = pc.unique(prices.state("price_list")).drop_null()
    book.write("pricelevel", {"pricelevelid": guid("pricelevel", lists), "name": lists, "statecode": "0"})
    book.write("productpricelevel", base("productpricelevel", prices) | {
        "productid": guid("product", prices.state("product_id")), "pricelevelid": guid("pricelevel", prices.state("price_list")),
        "amount": prices.state("amount"), "transactioncurrencyid": guid("transactioncurrency", prices.state("currency")),
    })  # fmt: skip


def campaigns(book: Book) -> None:
    """campaign; our id is the codename."""
    plans = book.changes("campaign")
    rows = base("campaign", plans)
    rows["codename"] = rows.pop("new_externalid")
    book.write("campaign", rows | {
        "name": plans.state("name"), "typecodename": plans.state("channel"), "actualstart": plans.state("starts_on"),
        "actualend": plans.state("ends_on"), "totalactualcost": plans.state("cost"), "new_source": plans.state("source"),
        "transactioncurrencyid": guid("transactioncurrency", plans.state("currency")),
    })  # fmt: skip


def currencies(book: Book) -> None:
    """transactioncurrency: every currency money is in, with its latest rate (units of it for one of the company's)."""
    used = [
        rows["currency"].combine_chunks()
        for rows in book.tables.values()
        if "currency" in rows.column_names and rows.num_rows
    ]
    codes = pc.unique(pa.concat_arrays([*used, pa.array([], pa.string())])).drop_null().sort()
    rates = book.events("fx_rate")
    newest = {}
    if rates.n:
        by_time = rates.rows.sort_by("occurred_at")
        newest = dict(zip(by_time["from_currency"].to_pylist(), by_time["rate"].to_pylist(), strict=True))
    rate = pa.array([round(1 / newest.get(code, 1.0), 10) for code in codes.to_pylist()])
    book.write("transactioncurrency", {
        "transactioncurrencyid": guid("transactioncurrency", codes), "isocurrencycode": codes, "currencyname": join("Currency ", codes),
        "exchangerate": rate, "statecode": "0",
    })  # fmt: skip
