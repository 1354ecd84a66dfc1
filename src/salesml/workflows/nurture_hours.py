"""When something is sent: at the option's hour where the lead is, outside the quiet hours, the time zone taken from what is known."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, available_timezones

import pandas as pd

from salesml.models.nurture_programme import Option, Programme, Quiet

ALSO = {"UNITED KINGDOM": "GB", "UK": "GB", "GREAT BRITAIN": "GB", "USA": "US", "UNITED STATES OF AMERICA": "US"}
"""Names of countries that the time zone database spells otherwise."""
DAY = dt.timedelta(days=1)
MOST_DAYS = 15


def zone_of(own: str | None, country: str | None, programme: Programme, at: dt.datetime) -> ZoneInfo | None:
    """The time zone of a lead: its own (IANA name), the programme's for its country, else its country's where every zone of it shows the
    same hour at that moment; None where nothing says it, or a country has several.
    """
    if own in available_timezones():
        return ZoneInfo(str(own))
    if not country:
        return None
    if country in programme.time_zones:
        return ZoneInfo(programme.time_zones[country])
    zones = [ZoneInfo(name) for name in zones_of_country(country)]
    return zones[0] if len({at.astimezone(zone).utcoffset() for zone in zones}) == 1 else None


@lru_cache
def zones_of_country(country: str) -> tuple[str, ...]:
    """IANA zones of a country (ISO 3166 code or English name), from the time zone database; none for another text."""
    code = ALSO.get(country.upper()) or _codes().get(country.upper(), country.upper())
    return tuple(row[2] for row in _rows("zone.tab") if row[0] == code)


def send_at(at: dt.datetime, option: Option, zone: ZoneInfo, quiet: Quiet | None) -> dt.datetime:
    """The UTC instant an option is sent, decided at `at`: after its days, at its hour where the lead is, never in the quiet hours."""
    local = (at + option.wait_days * DAY).astimezone(zone)
    if option.at is not None:
        earliest, local = local, dt.datetime.combine(local.date(), option.at, zone)
        local = local if local >= earliest else local + DAY
    for _ in range(MOST_DAYS):
        if quiet is None or not quiet.holds(local):
            break
        local = _later(local, option, quiet)
    return local.astimezone(dt.UTC)


def _later(local: dt.datetime, option: Option, quiet: Quiet) -> dt.datetime:
    """The next moment of the day, or of the next day, at which the quiet may be over."""
    opens = option.at or (quiet.until if quiet.since > quiet.until else dt.time())
    if local.time() < quiet.until and not (quiet.weekend and local.weekday() >= 5):
        return dt.datetime.combine(local.date(), quiet.until, local.tzinfo)
    return dt.datetime.combine(local.date() + DAY, opens, local.tzinfo)


@lru_cache
def _codes() -> dict[str, str]:
    return {row[1].upper(): row[0] for row in _rows("iso3166.tab")}


@lru_cache
def _rows(name: str) -> list[list[str]]:
    """Rows of a table of the time zone database, as the package tzdata has it."""
    text = (files("tzdata") / "zoneinfo" / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]


def zones(people: pd.DataFrame, programme: Programme, at: dt.datetime, otherwise: ZoneInfo) -> list[tuple[ZoneInfo, bool]]:
    """The zone of each lead (columns time_zone, country) and whether it is known; else the company's."""
    known: dict[tuple[str | None, str | None], ZoneInfo | None] = {}
    found = []
    for own, country in people[["time_zone", "country"]].astype("object").where(people[["time_zone", "country"]].notna(), None).itertuples(
        index=False, name=None
    ):  # fmt: skip
        if (own, country) not in known:
            known[own, country] = zone_of(own, country, programme, at)
        zone = known[own, country]
        found.append((otherwise, False) if zone is None else (zone, True))
    return found
