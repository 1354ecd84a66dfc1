"""What each routing policy is expected to bring of the same leads, and how evenly it gives them: by estimates, nothing is kept."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, NotEnoughData
from salesml.planning.routing import EXPLORE, POLICIES, Routing
from salesml.planning.routing import route as give
from salesml.workflows.routing import Desk, desk
from salesml.workflows.routing_facts import ASSIGNED
from salesml.workspace import Workspace

LOTS = 20
"""Draws of a policy that draws by lot; each figure is their mean."""


@dataclass(frozen=True)
class RoutingStudy:
    """Policies on the open leads of the last `days` days as of an instant, whoever has them now.

    policies: one row per policy, the most valuable first: policy, expected (currency, by the model's chances and what deals of leads
    brought), lo, hi (5th and 95th percentile of 20 draws where it draws by lot), beside_turns (expected over that of round_robin, minus
    1), unfair (pairs of reps of which one has too many beside the other), leads. decisions: one row per lead of the optimal policy, the
    most valuable first: lead, rep, expected, chance, why, best_other, against. reps: name, share_due, before (leads of the last 30 days),
    new. routing: the optimal one, with the lot drawn.
    """

    as_of: dt.datetime
    currency: str
    policies: pd.DataFrame
    decisions: pd.DataFrame
    reps: pd.DataFrame
    unassigned: pd.DataFrame
    routing: Routing

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        best = self.policies.set_index("policy").loc["optimal"]
        fair = "no rep has too many beside another" if not best["unfair"] else f"{best['unfair']:.0f} pairs of reps are not even"
        left = "" if self.unassigned.empty else f" {len(self.unassigned)} leads could not be given, see why."
        return (
            f"The optimal policy is expected to bring {self.currency} {best['expected']:,.0f} of {best['leads']:,.0f} leads, "
            f"{best['beside_turns']:+.1%} beside giving them by turns; {fair}.{left} These are estimates: what it truly brings shows when "
            "the leads have run their course; `salesml route` keeps the chance with which each was given, so that policies can be compared."
        )


def routing_study(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    days: int = 30,
    explore: float = EXPLORE,
    seed: int = 0,
    at: Desk | None = None,
) -> RoutingStudy:
    """Compare the policies on open leads that came in the last `days` days and were not assigned here; nothing is kept.

    Raises NotEnoughData without such a lead or rep, BadParameter unless `days` is 1 or more, UnknownName without a lead model.
    """
    if days < 1:
        raise BadParameter(f"days {days!r} is not a whole number of 1 or more")
    there = at or desk(workspace, as_of)
    since = pd.Timestamp(there.as_of - dt.timedelta(days=days))
    rows = np.flatnonzero((there.leads["created_at"] >= since) & ~there.leads["by"].eq(ASSIGNED))
    if not len(rows) or there.reps.empty:
        came = f"{len(rows)} open leads came in the {days} days before {there.as_of:%Y-%m-%d}"
        raise NotEnoughData(f"{came}, and {len(there.reps)} reps work here; both are needed")
    leads, reps, values = there.leads.iloc[rows], there.without(rows), there.values[rows]
    plain = {"optimal": [give(leads, reps, values, explore=0.0)]}
    plain |= {name: [give(leads, reps, values, name, seed=seed + lot) for lot in range(LOTS)] for name in POLICIES if name != "optimal"}
    found = pd.DataFrame([_row(name, many) for name, many in plain.items()])
    turns = float(found.loc[found["policy"] == "round_robin", "expected"].iloc[0])
    found["beside_turns"] = found["expected"] / turns - 1 if turns else np.nan
    found = found.sort_values("expected", ascending=False, ignore_index=True)
    chosen = give(leads, reps, values, explore=explore, seed=seed, currency=there.currency)
    counts = chosen.reps.rename(columns={"weight": "share_due", "held": "before"})[["name", "share_due", "before", "new"]]
    return RoutingStudy(there.as_of, there.currency, found, _decisions(chosen, leads), counts, chosen.unassigned, chosen)


def _row(policy: str, many: list[Routing]) -> dict[str, object]:
    values = [one.value for one in many]
    lo, hi = np.percentile(values, [5, 95]) if len(values) > 1 else (np.nan, np.nan)
    unfair = float(np.mean([len(one.unfair) for one in many]))
    return {"policy": policy, "expected": float(np.mean(values)), "lo": lo, "hi": hi, "unfair": unfair, "leads": len(many[0].assigned)}


def _decisions(made: Routing, leads: pd.DataFrame) -> pd.DataFrame:
    names, told = made.reps.set_index("owner_id")["name"], made.assigned
    others = [one or {} for one in told["alternative"]]
    return pd.DataFrame({
        "lead": told["lead_id"], "rep": told["owner_id"].map(names), "expected": told["expected_value"],
        "chance": told["lead_id"].map(leads.set_index("lead_id")["chance"]), "why": told["reason"],
        "best_other": pd.Series([one.get("owner_id") for one in others], dtype="object").map(names),
        "against": [one.get("reason", "") for one in others],
    }).sort_values("expected", ascending=False, ignore_index=True)  # fmt: skip
