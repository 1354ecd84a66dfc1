"""Lead sources of a workspace: what converts, what it costs and returns, whom the credit goes to, and what may be advised."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import pandas as pd

from salesml.analytics import lead_sources_advice as words
from salesml.analytics.lead_sources import Sources, sources
from salesml.analytics.lead_sources_attribution import attribution
from salesml.analytics.lead_sources_facts import Facts, facts
from salesml.lake import Lake, visible
from salesml.workspace import Workspace


@dataclass(frozen=True)
class LeadSources:
    """What is known of lead sources as of an instant; money in `currency`, times in days, intervals 90 %.

    rows, total, cohorts: as in `analytics.lead_sources.Sources`; pairs: `lead_sources_advice.compared`; attribution:
    `lead_sources_attribution.attribution`, one row per model and channel of touches; facts: what it rests on, and what another
    attribution model is given; sentence, comparison and advice in words; notes: what was left out or assumed. basis: what ROI counts as
    coming back, revenue or margin.
    """

    as_of: dt.datetime
    by: str
    horizon_days: int
    currency: str
    basis: str
    rows: pd.DataFrame
    total: pd.Series
    cohorts: pd.DataFrame
    pairs: pd.DataFrame
    attribution: pd.DataFrame
    facts: Facts = field(repr=False)
    sentence: str
    comparison: str
    advice: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def answer(self) -> str:
        """The sentence and the notes."""
        return " ".join([self.sentence, *self.notes])

    def number(self, name: str) -> float | None:
        """A figure of all leads by its name in `total`; None where it is not known."""
        return None if pd.isna(self.total[name]) else float(self.total[name])


def lead_sources(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    by: str = "source",
    horizon_days: int | None = None,
) -> LeadSources:
    """Conversion, quality, cycle, cost, revenue and ROI of leads from what was known as of an instant. Writes nothing.

    `by`: one of `analytics.lead_sources.BY`. `horizon_days`: days after arrival within which a conversion counts; without it those in
    which 99 % of conversions come, in whole weeks from 4 to 26. Raises NotEnoughData while no lead has converted, UnknownName for another
    `by`, BadParameter for a horizon below a day.
    """
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    known = facts(visible(tables, instant))
    found = sources(known, by, horizon_days)
    pairs = words.compared(found)
    currency = workspace.settings.currency
    running = set(known.campaigns.loc[known.campaigns["runs"], "campaign"]) if by == "campaign" else set(found.rows["group"])
    return LeadSources(
        instant, by, found.horizon_days, currency, found.basis, found.rows, found.total, found.cohorts, pairs, attribution(known), known,
        sentence=_sentence(found, currency),
        comparison=words.comparison(found, pairs, currency),
        advice=words.advice(found, pairs, running, currency),
        notes=_notes(known, found, currency),
        head_id=tables.head.id,
    )  # fmt: skip


def _sentence(found: Sources, currency: str) -> str:
    all_ = found.total
    told = (
        f"Of {all_['leads']:,} leads {all_['rate']:.1%} ({all_['lo']:.1%} to {all_['hi']:.1%}) convert within {found.horizon_days} days; "
        f"leads that are not as old yet count by their age. "
    )
    if pd.isna(all_["days_to_convert"]):
        told += "Too few have converted to say how long it takes."
    else:
        told += f"Half of the conversions come within {all_['days_to_convert']:,.0f} days"
        told += f", half of the first wins within {all_['days_to_win']:,.0f}." if pd.notna(all_["days_to_win"]) else "."
    told += f" Their won deals brought {all_['revenue']:,.2f} {currency}, their open ones may bring {all_['to_come']:,.0f} more."
    if pd.isna(all_["cost_per_lead"]):
        return f"{told} What they cost is not known."
    back = f", and brought back {1 + all_['roi_so_far']:,.1f} times that as {found.basis} so far" if pd.notna(all_["roi_so_far"]) else ""
    return f"{told} A lead costs {all_['cost_per_lead']:,.2f} {currency}, a conversion {all_['conversion_cost']:,.0f}{back}."


def _notes(known: Facts, found: Sources, currency: str) -> tuple[str, ...]:
    leads, deals = known.leads, known.deals
    won, open_now = deals["ended"].eq("won"), deals["ended"].isna()
    running = known.campaigns[known.campaigns["cost"].isna() & known.campaigns["leads"].gt(0)]
    priced = int((~deals["priced"] & won).sum()) if found.basis == "margin" else 0
    said = [
        (
            int(leads["cost"].isna().sum()),
            "{:,} leads have no known cost (their campaign's is not entered yet, or they have none): that is unknown, not 0, and they are "
            f"left out of costs and ROI ({len(running):,} campaigns with leads have no cost).",
        ),
        (
            int((won & deals["amount"].isna()).sum()),
            f"{{:,}} won deals have no amount in {currency}, nor a rate to convert it: they count as wins, not as money.",
        ),
        (priced, "{:,} won deals have no product cost: their margin is taken at the others' share."),
        (known.strays, "{:,} deals name a lead that is not known, and are left out."),
        (int((~leads["timed"]).sum()), "{:,} leads were recorded as converted from the start: how long they took is not known."),
        (
            int(open_now.sum()),
            f"Of {{:,}} open deals {found.kept_chances:,} have a kept chance; the others count by what became of deals of their age.",
        ),
    ]  # fmt: skip
    told = [text.format(number) for number, text in said if number]
    if found.basis == "revenue":
        told.append("No product cost is known: ROI counts revenue, not margin.")
    return (*told, "Amounts are heavy-tailed: see how much of a group's revenue its largest deal is.")
