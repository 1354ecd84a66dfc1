"""What people do to records: duplicates and their merging, test records, wrong reasons. All scaled by `faults`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, Clock, Floats, Ints, Times, stream
from salesml.world.columns import Block, ids, money, pick, plain
from salesml.world.customers import Customers, company_names
from salesml.world.deals import Deals
from salesml.world.hazards import LOST
from salesml.world.knobs import Knobs
from salesml.world.life import Life
from salesml.world.market import Market

DUPLICATE_ACCOUNTS, DUPLICATE_CONTACTS, DUPLICATE_LEADS = 0.06, 0.04, 0.04
MERGED, MERGED_AFTER_DAYS = 0.7, 120.0
JUNK_DEALS = 0.006
WRONG_REASON = 0.30
UNTIDY = (" Inc", " Ltd.", " (new)", ", Co")


@dataclass(frozen=True)
class Duplicates:
    """Second records of the same thing: number of the record, of its `original`, entered when, merged when (NaT: never)."""

    number: Ints
    original: Ints
    created: Times
    merged: Times

    def deleted(self, prefix: str, width: int, key: str) -> dict[str, Any]:
        """The change that deletes a merged duplicate and names the record it went into."""
        gone = ~np.isnat(self.merged)
        into = [json.dumps({"merged_into": i}) for i in ids(prefix, self.original[gone], width).to_pylist()]
        block = {key: ids(prefix, self.number[gone], width), "change_id": "merged", "deleted": True}
        return block | {"custom": pa.array(into, pa.string()), "occurred_at": self.merged[gone]}


@dataclass(frozen=True)
class Faults:
    """The faults of a company's records. `account_written`: the account each deal was entered with.

    `true_reason[row]`: why a deal was lost, an index of words.LOSS_REASONS, at every panel row that brought a loss.
    `first_junk`: number of the first test deal; `junk`: the deals after which one was entered each, by the same rep.
    """

    accounts: Duplicates
    contacts: Duplicates
    leads: Duplicates
    account_written: Ints
    repointed_deal: Ints
    true_reason: Ints
    first_junk: int
    junk: Ints
    deals: Deals

    def repointed(self) -> Block:
        """Deals of a merged duplicate account point to the account it was merged into."""
        merged = self.accounts.merged  # one a deal that was entered with a duplicate
        gone = ~np.isnat(merged)
        deal = self.repointed_deal[gone]
        block = {"opportunity_id": ids("D", deal, 6), "change_id": "account:1", "occurred_at": merged[gone]}
        return block | {"account_id": ids("A", self.deals.account[deal])}

    def junk_deals(self, knobs: Knobs) -> Iterator[Block]:
        """Test deals, entered by mistake and deleted within days; they are no deals of the company's."""
        rng, n = stream(knobs, "junk"), len(self.junk)
        key, entered = ids("D", self.first_junk + np.arange(n), 6), self.deals.created[self.junk] + np.timedelta64(60, "s")
        owner = ids("U", self.deals.owner[self.junk], 4)
        created = {"opportunity_id": key, "change_id": "created", "name": pick(("Test, please ignore", "asdf"), np.arange(n) % 2)}
        created |= {"amount": money(np.full(n, 100)), "currency": knobs.currency, "status": "open", "owner_id": owner}
        yield created | {"stage": words.STAGES[0], "stage_order": 1, "occurred_at": entered}
        gone = entered + (rng.exponential(3 * DAY, n) + 600).astype("timedelta64[s]")
        yield {"opportunity_id": key, "change_id": "deleted", "deleted": True, "occurred_at": gone}


def faults(
    knobs: Knobs, clock: Clock, market: Market, who: Customers, deals: Deals, life: Life, lead_created: Times
) -> Faults:
    """Draw the faults of the records."""
    rng = stream(knobs, "faults")
    n, contacts = len(deals.week), int(who.first_contact[-1])
    share = min(1.0, knobs.faults * DUPLICATE_ACCOUNTS)
    twice = np.flatnonzero(rng.random(n) < share * len(who.region) / n)
    entered = deals.created[twice] - np.timedelta64(600, "s")
    accounts = _duplicates(rng, deals.account[twice], len(who.region), entered)
    written = deals.account.copy()
    written[twice] = accounts.number
    doubled = np.flatnonzero(rng.random(contacts) < knobs.faults * DUPLICATE_CONTACTS)
    when = clock.start.astype("datetime64[s]") + _days(rng, len(doubled), float((clock.end - clock.start).astype(int)))
    again = np.flatnonzero(rng.random(len(lead_created)) < knobs.faults * DUPLICATE_LEADS)
    junk = rng.choice(n, round(knobs.faults * JUNK_DEALS * n), replace=False) if knobs.faults else np.zeros(0, np.int64)
    return Faults(
        accounts=accounts,
        contacts=_duplicates(rng, doubled, contacts, when),
        leads=_duplicates(rng, again, len(lead_created), lead_created[again] + _days(rng, len(again), 20.0)),
        account_written=written,
        repointed_deal=twice,
        true_reason=_true_reasons(rng, market, deals, life),
        first_junk=n,
        junk=np.sort(junk),
        deals=deals,
    )


def _days(rng: np.random.Generator, n: int, most: float) -> Any:
    return (rng.random(n) * most * DAY + 60).astype("timedelta64[s]")


def _duplicates(rng: np.random.Generator, original: Ints, first: int, created: Times) -> Duplicates:
    n = len(original)
    merged = created + (DAY + rng.exponential(MERGED_AFTER_DAYS * DAY, n)).astype("timedelta64[s]")
    merged[rng.random(n) >= MERGED] = np.datetime64("NaT", "s")
    return Duplicates(first + np.arange(n), original, created, merged)


def duplicate_accounts(knobs: Knobs, fault: Faults, who: Customers) -> list[Block]:
    """Account blocks of duplicates: a name that is nearly the same, few fields; and their merging."""
    twice, n = fault.accounts, len(fault.accounts.number)
    names = company_names(knobs, len(who.region)).take(pa.array(twice.original))
    created = {
        "account_id": ids("A", twice.number),
        "change_id": "created",
        "name": pc.binary_join_element_wise(names, plain(pick(UNTIDY, np.arange(n) % len(UNTIDY))), ""),
        "region": pick(words.REGIONS, who.region[twice.original]),
        "territory_id": ids("Y", who.territory[twice.original], 4),
        "occurred_at": twice.created,
    }
    return [created, twice.deleted("A", 5, "account_id")]


def duplicate_contacts(fault: Faults, who: Customers, since: Times) -> list[Block]:
    """Contact blocks of duplicates: the same person again at the same account, and their merging."""
    twice = fault.contacts
    account = np.searchsorted(who.first_contact, twice.original, side="right") - 1
    kept = twice.created > since[account]
    some = Duplicates(twice.number[kept], twice.original[kept], twice.created[kept], twice.merged[kept])
    created = {
        "contact_id": ids("N", some.number, 6),
        "change_id": "created",
        "account_id": ids("A", account[kept]),
        "name": pick(words.FIRST_NAMES, some.original % len(words.FIRST_NAMES)),
        "occurred_at": some.created,
    }
    return [created, {k: v for k, v in some.deleted("N", 6, "contact_id").items() if k != "custom"}]


def _true_reasons(rng: np.random.Generator, market: Market, deals: Deals, life: Life) -> Ints:
    """Why a deal was lost: drawn by how much each cause weighed on it; -1 in rows that brought no loss."""
    row = np.flatnonzero(life.event == LOST)
    of, cause = life.deal[row], deals.causes
    weight: Floats = np.stack(
        [
            0.6 + 2.0 * np.maximum(0, -cause["amount"][of]) - 0.15 * deals.discount[of],
            np.where(deals.competitor[of] >= 0, 0.8 - 2.0 * cause["competitor"][of], -4.0),
            0.2 - 2.0 * cause["product_fit"][of],
            0.1 + 1.2 * market.shock[life.week[row]],
            0.3 - 0.6 * (life.mood[row] % 3) - 1.0 * cause["rep_skill"][of],
        ]
    )
    reasons = np.full(len(life.deal), -1)
    reasons[row] = np.argmax(weight + rng.gumbel(0, 0.5, weight.shape), axis=0)
    return reasons


def recorded_reason(rng: np.random.Generator, knobs: Knobs, true: Ints, reasons: int) -> Ints:
    """The reason a rep enters: the true one, or in three of ten cases (at faults 1) any."""
    wrong = rng.random(len(true)) < min(1.0, WRONG_REASON * knobs.faults)
    return np.where(wrong, rng.integers(0, reasons, len(true)), true)
