"""Why a lead goes to a rep, and what speaks against the best other one, in a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salesml.planning.routing_board import Board, Drawn, named, obstacle
from salesml.planning.routing_fairness import load


@dataclass(frozen=True)
class How:
    """How leads were given: the policy, the currency of values, whether it had to be fair, whether all were weighed together."""

    policy: str
    currency: str
    fair: bool
    batch: bool


def explained(made: Board, drawn: Drawn, how: How) -> pd.DataFrame:
    """Reason and alternative ({owner_id, expected_value, reason} or None) of each lead that was given, in order."""
    told = _Told(made, drawn, how)
    rows = [int(row) for row in np.flatnonzero(drawn.chosen >= 0)]
    frame = pd.DataFrame({"reason": [told.reason(row) for row in rows], "alternative": [told.alternative(row) for row in rows]}, index=rows)
    return frame.astype("object")


class _Told:
    """What is asked of one routing again and again: who got what, and how many each rep has then."""

    def __init__(self, made: Board, drawn: Drawn, how: How) -> None:
        self.made, self.chosen, self.planned, self.propensity = made, drawn.chosen, drawn.planned, drawn.propensity
        self.policy, self.currency, self.fair, self.batch = how.policy, how.currency, how.fair, how.batch
        self.new = np.bincount(self.chosen[self.chosen >= 0], minlength=len(made.reps))
        self.load = load(made.held + self.new, made.weight)
        self.leads, self.chances = made.leads["lead_id"].tolist(), made.leads["chance"].to_numpy("float64")
        self.names, self.ids, self.workload = (made.reps[column].tolist() for column in ("name", "owner_id", "workload"))
        self.weight, self.capacity = made.weight, made.capacity
        order = np.argsort(self.chosen, kind="stable")
        self.of = np.split(order, np.searchsorted(self.chosen[order], np.arange(len(made.reps))))[1:]

    def reason(self, row: int) -> str:
        """Why this rep."""
        rep = int(self.chosen[row])
        name, value = self.names[rep], self.money(self.made.values[row, rep])
        if self.policy == "round_robin":
            last = self.made.reps["last_at"].iloc[rep]
            since = "has had no lead yet" if pd.isna(last) else f"has waited longest, since {last:%Y-%m-%d}"
            return f"It is the turn of {name}, who {since}{self._after(rep)}."
        if self.policy == "weighted":
            return f"{name} has the fewest leads of 30 days for the share that is due: {self._count(rep)}."
        if self.policy == "rules":
            return f"{name} may take it ({self._fit(row)}) and has the least to do: {self.workload[rep]:,.0f} open{self._after(rep)}."
        chance = self.chances[row]
        likely = "" if np.isnan(chance) else f" ({_percent(chance)} to convert)"
        if rep != self.planned[row]:
            chance_of = f"{100 * self.propensity[row]:.1f} %"
            return f"Drawn by lot (chance {chance_of}), so that reps can be compared: {name} is expected to bring {value}{likely}."
        among = self.made.values[row][self.made.eligible[row]]
        most = "the most of all who may take it" if self.made.values[row, rep] >= among.max() else (
            "the best use of everybody's time" if self.batch else "the best use of the places that are due"
        )  # fmt: skip
        return f"{name} is expected to bring {value}{likely}, {most}; {self._count(rep)}."

    def alternative(self, row: int) -> dict[str, Any] | None:
        """The best other rep who may take it, else the best other one, and what speaks against."""
        rep, values = int(self.chosen[row]), self.made.values[row].copy()
        values[rep] = -1.0
        among = np.where(self.made.eligible[row], values, -1.0)
        other = int((among if among.max() >= 0 else values).argmax())
        if values[other] < 0:
            return None
        against = "; ".join(self._against(row, rep, other))
        return {"owner_id": self.ids[other], "expected_value": round(float(self.made.values[row, other]), 2), "reason": against}

    def _against(self, row: int, rep: int, other: int) -> Iterator[str]:
        name, more = self.names[other], self.made.values[row, other] - self.made.values[row, rep]
        if not self.made.eligible[row, other]:
            lead, who = next(self.made.leads.iloc[[row]].itertuples()), next(self.made.reps.iloc[[other]].itertuples())
            yield f"{name} {obstacle(lead, who)}"
            return
        if self.new[other] >= self.capacity[other]:
            yield f"{name} has no place left"
        elif self.policy != "optimal":
            yield f"it is not {name}'s turn"
        if self.policy != "optimal":
            return
        if more < 0.005:
            yield f"{name} would bring {self.money(-more)} less" if more < -0.005 else f"{name} would bring no more"
        elif rep != self.planned[row]:
            yield f"{name} would bring {self.money(more)} more, but the lot fell otherwise"
        elif gain := self._taken_instead(rep, other):
            yield f"{name} would bring {self.money(more)} more of this lead, but gains {self.money(gain[1])} by taking {gain[0]} instead"
        elif self.fair and self.load[other] > self.load[rep] - 1 / self.weight[rep]:
            yield f"{name} would bring {self.money(more)} more, but has a fair share already: {self._count(other)}"
        else:
            yield f"{name} would bring {self.money(more)} more of this lead, but is kept for leads that gain more"

    def _taken_instead(self, rep: int, other: int) -> tuple[str, float] | None:
        """The lead that gains most by being with `other` and not with `rep`, and how much."""
        mine = self.of[other]
        mine = mine[self.made.eligible[mine, rep]] if self.batch else mine[:0]
        if not len(mine):
            return None
        gains = self.made.values[mine, other] - self.made.values[mine, rep]
        return self.leads[int(mine[gains.argmax()])], float(gains.max())

    def _count(self, rep: int) -> str:
        leads = int(self.made.held[rep] + self.new[rep])
        share = "" if self.weight[rep] == 1 else f" at a share of {self.weight[rep]:g}"
        return f"{leads} {'lead' if leads == 1 else 'leads'} in 30 days with {'this one' if self.new[rep] == 1 else 'these'}{share}"

    def _after(self, rep: int) -> str:
        return f", and gets {self.new[rep]} of these" if self.new[rep] > 1 else ""

    def _fit(self, row: int) -> str:
        lead = self.made.leads.iloc[row]
        parts = [part for name in ("territories", "needs") for part in named(lead[name])]
        return ", ".join(parts) or "anybody may"

    def money(self, value: float) -> str:
        """Whole units with the currency."""
        return f"{self.currency} {value:,.0f}".strip()


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
