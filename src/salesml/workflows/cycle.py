"""The sales cycle of a workspace: how long deals take, who differs, where money waits, what might speed it up."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from salesml.analytics import cycle
from salesml.analytics.incidence import LogRank, quartiles
from salesml.analytics.stages import EARLY, SOON, YEAR, EarlyContact, bottlenecks, early_contact, timeline, visits
from salesml.errors import BadParameter
from salesml.lake import Lake, View, visible
from salesml.workspace import Workspace

MET = ("meeting", "demo")
DOUBT = 0.05
NAMED = 5


@dataclass(frozen=True)
class SalesCycle:
    """What is known of the sales cycle as of an instant; money in `currency`, time in days, intervals 90 %.

    deals: `analytics.cycle.cycles`, one row per deal whose beginning is known; curve: `cycle.curve`; outcomes:
    `cycle.outcomes`; groups and difference: `cycle.by_group`; stages: `stages.bottlenecks`; stays: `stages.visits`; waiting:
    deals in the costliest stage for longer than three in four stays there (deal, owner, amount, days, most amount × days
    first); sentence, comparison and advice in words; notes: what was left out.
    """

    as_of: dt.datetime
    by: str
    currency: str
    deals: pd.DataFrame
    curve: pd.DataFrame
    outcomes: pd.DataFrame
    groups: pd.DataFrame
    difference: LogRank
    stages: pd.DataFrame
    stays: pd.DataFrame
    waiting: pd.DataFrame
    sentence: str
    comparison: str
    advice: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def answer(self) -> str:
        """The sentence and the notes."""
        return " ".join([self.sentence, *self.notes])

    @property
    def median_days(self) -> float | None:
        """Days until half of the deals are closed; None while fewer are."""
        over = self.deals["outcome"].notna().to_numpy()
        return _known(quartiles(self.deals["days"].to_numpy("float64"), over)["days"].iloc[1])

    @property
    def stage_days(self) -> float | None:
        """Days until half of the stays in the costliest stage end; None while fewer have."""
        return _known(self.stages["median_days"].iloc[0])


def sales_cycle(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    by: str = "product_id",
    stages: Mapping[str, str | int] | None = None,
) -> SalesCycle:
    """Cycle times, comparison of groups and stage bottlenecks from what was known as of an instant. Writes nothing.

    `by`: one of `analytics.cycle.BY`; `stages`: own stages (text) or places (numbers) by stage, see `stages.visits`. Raises NotEnoughData
    below 20 closed deals, UnknownName for another `by` or stage.
    """
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    view = visible(tables, instant)
    rows = timeline(view)
    known = cycle.cycles(view, rows)
    deals = cycle.watched(known)
    groups, difference = cycle.by_group(deals, by)
    stays = visits(rows, stages)
    ranked = bottlenecks(stays, deals.set_index("opportunity_id")["amount"], instant)
    currency = workspace.settings.currency
    waiting = _waiting(stays, ranked.iloc[0], deals)
    return SalesCycle(
        instant, by, currency, deals, cycle.curve(deals), cycle.outcomes(deals), groups, difference, ranked, stays, waiting,
        sentence=_sentence(deals, cycle.outcomes(deals)),
        comparison=_comparison(groups, difference, by),
        advice=_advice(ranked, waiting, _contact(view, stays, str(ranked["stage"].iloc[0])), currency),
        notes=_notes(known, deals, currency),
        head_id=tables.head.id,
    )  # fmt: skip


def own_stages(texts: Sequence[str]) -> dict[str, str | int]:
    """The mapping `sales_cycle` takes, from texts such as "Discovery=Early" or "Proposal=4"; BadParameter for another form."""
    found: dict[str, str | int] = {}
    for text in texts:
        stage, _, own = (part.strip() for part in text.partition("="))
        if not stage or not own:
            raise BadParameter(
                f"own stage {text!r} is not of the form stage=own stage or stage=place, such as Discovery=Early"
            )
        found[stage] = int(own) if own.isdigit() else own
    return found


def _contact(view: View, stays: pd.DataFrame, stage: str) -> EarlyContact | None:
    facts = view.facts("activity")
    met = facts.filter(facts.type.isin(MET), facts.opportunity_id.notnull()).select("opportunity_id", "occurred_at")
    return early_contact(stays[stays["stage"] == stage], view.frame(met))


def _waiting(stays: pd.DataFrame, worst: pd.Series, deals: pd.DataFrame) -> pd.DataFrame:
    there = stays[stays["ended"].isna() & (stays["stage"] == worst["stage"]) & (stays["days"] > worst["q75_days"])]
    named = there[["opportunity_id", "days"]].merge(
        deals[["opportunity_id", "name", "present_owner", "amount"]], on="opportunity_id"
    )
    cost = named["amount"].astype("float64").fillna(0) * named["days"]
    named = named.iloc[cost.to_numpy().argsort(kind="stable")[::-1]]
    return named.rename(columns={"name": "deal", "present_owner": "owner"})[
        ["deal", "owner", "amount", "days"]
    ].reset_index(drop=True)


def _sentence(deals: pd.DataFrame, outcomes: pd.DataFrame) -> str:
    over = deals["outcome"].notna()
    times = quartiles(deals["days"].to_numpy("float64"), over.to_numpy()).set_index("share")
    half, quarter, rest = (times.loc[share] for share in (0.5, 0.25, 0.75))
    if pd.isna(half["days"]):
        first = (
            f"Fewer than half of the {len(deals):,} deals are closed within the {deals['days'].max():,.0f} days watched"
        )
    else:
        first = f"Half of the deals are closed within {_between(half['days'], half['lo'], half['hi'])} days of opening"
        first += f", a quarter within {quarter['days']:,.0f}"
        first += f", three quarters within {rest['days']:,.0f}" if pd.notna(rest["days"]) else ""
    ends = outcomes.set_index("outcome")
    told = {
        name: f"{ends.loc[name, 'share']:.0%} ({ends.loc[name, 'lo']:.0%} to {ends.loc[name, 'hi']:.0%})"
        for name in ends.index
    }
    return (
        f"{first}; {int((~over).sum()):,} open deals count as not over yet. Within {cycle.horizon(deals):,.0f} days {told['won']} are won, "
        f"{told['lost']} lost, {told['no_decision']} end without a decision."
    )


def _comparison(groups: pd.DataFrame, difference: LogRank, by: str) -> str:
    """Whether groups differ, and which surely do."""
    word = cycle.BY[by]
    if len(groups) < 2:
        return f"There is only one {word} to look at."
    alike = " Each deal is compared with deals of the same segment, size and type." if by in cycle.PEOPLE else ""
    p = f"p {difference.p_value:.3f}" if difference.p_value >= 0.001 else "p below 0.001"
    if difference.p_value > DOUBT:
        first = f"No sure difference between them in how fast deals close (log-rank test, {p}).{alike}"
    else:
        first = f"They do not all close deals equally fast (log-rank test, {p}).{alike}"
    sure = groups[groups["verdict"] != "not sure"].sort_values("speed", ascending=False)
    told = [
        f"{row.group} {row.verdict} ({row.speed:.2f} times as fast as all, {row.speed_lo:.2f} to {row.speed_hi:.2f})"
        for row in sure.itertuples()
    ]
    if not told:
        return f"{first} Of no single {word} it is sure to be faster or slower; with few deals nobody can tell."
    more = f" and {len(told) - NAMED} more in the table" if len(told) > NAMED else ""
    others = f" Of the other {len(groups) - len(told)} it is not sure." if len(told) < len(groups) else ""
    return f"{first} Surely different: {'; '.join(told[:NAMED])}{more}.{others} Faster is not better by itself: deals are also lost faster."


def _advice(stages: pd.DataFrame, waiting: pd.DataFrame, contact: EarlyContact | None, currency: str) -> str:
    worst = stages.iloc[0]
    if pd.isna(worst["share"]):
        return "No deal has an amount, so what waiting costs cannot be told."
    rival = (
        f", ahead of {stages['stage'].iloc[1]} in {worst['first']:.0%} of resampled histories"
        if len(stages) > 1
        else ""
    )
    lines = [
        f"**{worst['stage']}** ties up most money: {worst['share']:.0%} ({worst['share_lo']:.0%} to {worst['share_hi']:.0%}) of "
        f"amount × days in the past {YEAR:.0f} days{rival}. On a day {worst['amount_days'] / YEAR:,.0f} {currency} waited there.",
    ]
    if pd.notna(worst["q75_days"]):
        half = _between(worst["median_days"], worst["median_lo"], worst["median_hi"])
        lines.append(
            f"Half of the stays there end within {half} days, a quarter last over {worst['q75_days']:,.0f}. "
            f"{worst['there_now']:,} deals worth {worst['amount_now']:,.0f} {currency} are there now, {len(waiting):,} of them "
            "longer than that: look at these first, and close what is dead."
        )
    return "\n\n".join([*lines, _contact_words(contact)])


def _contact_words(contact: EarlyContact | None) -> str:
    if contact is None:
        return "Whether meeting the customer early helps cannot be told: too few stays with and without a meeting."
    told = (
        f"Of stays longer than {EARLY:.0f} days, {contact.moved:.0%} of those with a meeting in the first {EARLY:.0f} days moved on within "
        f"{SOON:.0f} more, {contact.moved_without:.0%} of those without (difference {100 * contact.difference:+.0f} points, "
        f"{100 * contact.lo:+.0f} to {100 * contact.hi:+.0f}; {contact.met:,} and {contact.unmet:,} stays)."
    )
    if not contact.sure:
        return f"{told} Evidence: correlational, and the difference is not sure: no reason to push meetings here."
    if contact.difference < 0:
        return f"{told} Evidence: correlational. Meetings here do not go with faster deals; look for another cause."
    return (
        f"{told} Evidence: correlational, for deals that go well are met more anyway. Try it: meet early in every second deal, by lot, "
        "and compare."
    )


def _notes(known: pd.DataFrame, deals: pd.DataFrame, currency: str) -> tuple[str, ...]:
    left, reopened = len(known) - len(deals), int((deals["reopened"] > 0).sum())
    lacking = int(deals["amount"].isna().sum())
    found = [
        (
            left,
            f"{left:,} deals were recorded as closed from the start: how long they took is not known, and they are left out.",
        ),
        (
            reopened,
            f"{reopened:,} deals were reopened: the time they lay closed does not count, and they end with their last close.",
        ),
        (lacking, f"{lacking:,} deals have no amount in {currency}: they count in the times, not in the money."),
    ]
    return tuple(words for number, words in found if number)


def _known(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _between(value: float, lo: float, hi: float) -> str:
    bounds = f"{lo:,.0f} to {hi:,.0f}" if pd.notna(hi) else f"{lo:,.0f} or more"
    return f"{value:,.0f} ({bounds})" if pd.notna(lo) else f"{value:,.0f}"
