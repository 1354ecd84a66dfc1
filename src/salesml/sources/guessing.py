"""Which canonical table a file is, and which of its columns are which: by the likeness of names, checked against the content."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from importlib import resources
from typing import Any

import yaml

from salesml.contracts import TABLES
from salesml.sources.columns import plain
from salesml.sources.profiling import Profile

SURE, LIKELY, GUESS = 1.0, 0.8, 0.6
CONFIDENCE = {SURE: "sure", LIKELY: "likely", GUESS: "a guess"}
FILE_NAME = 2.5
ENOUGH = 3.0
DATES = ("created", "closed")
TELLING = {
    "opportunity": ("opportunity_id", "stage", "closed"),
    "lead": ("lead_id", "landing_page", "status"),
    "account": ("account_id", "name"),
    "contact": ("contact_id", "email"),
    "user": ("user_id", "manager_id"),
    "product": ("product_id", "list_price"),
    "territory": ("territory_id",),
    "quota": ("amount", "period_start", "entity_id"),
    "campaign": ("campaign_id", "cost"),
    "activity": ("activity_id", "type", "created"),
    "revenue": ("amount", "created"),
}
NEEDED = {
    "revenue": ("amount", "created"),
    "quota": ("amount", "period_start", "entity_id"),
    "activity": ("created", "type"),
}
NAMED_BY_KEY = ("account", "product", "user", "territory")
ONE_ROW_EACH = 0.9


@dataclass(frozen=True)
class Guess:
    """A table and, per canonical column, the file's column and how sure that is (1 sure, 0.8 likely, 0.6 a guess)."""

    table: str
    score: float
    columns: dict[str, tuple[Profile, float]]


@cache
def synonyms() -> dict[str, dict[str, Any]]:
    """Names that exports use, by canonical table and column."""
    text = (resources.files("salesml.sources") / "synonyms.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def guess(file: str, profiles: list[Profile]) -> Guess | None:
    """The most likely table of a file, or None where nothing is likely enough."""
    guesses = [_as_table(table, file, profiles) for table in synonyms()]
    best = max(guesses, key=lambda g: g.score)
    return best if best.score >= ENOUGH else None


def derived(table: str, profiles: list[Profile]) -> Guess:
    """A table that another file's rows repeat, such as the customers in order lines; `profiles` depend on its key alone."""
    return _as_table(table, "", profiles, repeated=True)


def _as_table(table: str, file: str, profiles: list[Profile], repeated: bool = False) -> Guess:
    spec = synonyms()[table]
    pairs = sorted(
        (
            (likeness(profile.name, names), -order, column, profile)
            for column, names in spec["columns"].items()
            for order, profile in enumerate(profiles)
            if _fits(table, column, profile)
        ),
        key=lambda pair: pair[:2],
        reverse=True,
    )
    chosen: dict[str, tuple[Profile, float]] = {}
    taken: set[str] = set()
    for sureness, _, column, profile in pairs:
        if (
            sureness
            and column not in chosen
            and (profile.name not in taken or (column == "name" and table in NAMED_BY_KEY))
        ):
            chosen[column] = (profile, sureness)
            taken.add(profile.name)
    entity = chosen.get(TABLES[table].entity)
    several = entity and entity[0].distinct < ONE_ROW_EACH * entity[0].rows
    if several and TABLES[table].kind == "changes" and not repeated:
        return Guess(table, 0.0, {})
    if table == "revenue" and "amount" not in chosen and {"price", "quantity"} <= set(chosen):
        chosen["amount"] = chosen["price"]
    if any(column not in chosen for column in NEEDED.get(table, ())):
        return Guess(table, 0.0, {})
    named = any(word in plain(file).replace("_", " ") for word in spec["files"])
    telling = sum(chosen[column][1] for column in TELLING[table] if column in chosen)
    score = FILE_NAME * named + telling + 0.5 * sum(sureness for _, sureness in chosen.values())
    return Guess(table, score, chosen)


def likeness(name: str, names: list[str]) -> float:
    """How surely a column's name is one of `names`: the same, containing its words, or spelled alike; else 0."""
    found = plain(name)
    words = set(found.split("_"))
    best = 0.0
    for synonym in names:
        wanted = plain(synonym)
        if found == wanted or found.replace("_", "") == wanted.replace("_", ""):
            return SURE
        if set(wanted.split("_")) <= words and len(words) <= len(wanted.split("_")) + 2:
            best = max(best, LIKELY)
        elif SequenceMatcher(None, found, wanted).ratio() >= 0.88:
            best = max(best, GUESS)
    return best


def _fits(table: str, column: str, profile: Profile) -> bool:
    """Whether the content can be what the name says."""
    if profile.filled == 0:
        return False
    if column in DATES:
        return profile.is_date
    if column == "price":
        return profile.is_number
    if column == "stage":
        return bool(profile.words) and not profile.is_number
    contract = TABLES[table].column(column)
    if contract.dtype in ("money", "int", "float"):
        return profile.is_number
    if contract.dtype == "date":
        return profile.is_date
    if column == "status":
        return 1 < profile.distinct <= 40
    return not profile.is_date
