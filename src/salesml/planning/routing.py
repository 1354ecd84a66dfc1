"""Leads to reps, many at once or one at a time: by turn, by weight, by rules, or so that they bring most.

Who may take a lead (territory, skills, response time, availability, a place left) is the same for every policy; they differ in whom they
choose among those. `optimal` gives as many leads as it can, fairly (`routing_fairness`), and among fair ways the one with the greatest sum
of values. A lead that is given keeps its rep: of later ones only what is still to be given is weighed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salesml.errors import BadParameter, UnknownName
from salesml.planning.routing_board import Board, Drawn, board, why_nobody
from salesml.planning.routing_fairness import unfair
from salesml.planning.routing_flow import best_fair
from salesml.planning.routing_turns import one_by_one
from salesml.planning.routing_words import How, explained

POLICIES = ("round_robin", "weighted", "rules", "optimal")
EXPLORE = 0.05
ASSIGNED = ["lead_id", "owner_id", "policy", "propensity", "expected_value", "reason", "alternative"]


@dataclass(frozen=True)
class Routing:
    """Leads given to reps, and those that were not.

    assigned: one row per lead given, in the order of the leads: lead_id, owner_id, policy, propensity (the chance with which the policy
    chose this rep), expected_value (currency), reason, alternative ({owner_id, expected_value, reason} of the best other rep, or None).
    unassigned: lead_id, reason. reps: owner_id, name, weight, held (leads of the last 30 days before), new. value: the sum of what is
    expected; best: the same before a lot was drawn; gap: the greatest share of `best` that another distribution as fair could add (by
    rounding alone), missing where leads were given by turns and nothing is claimed.
    """

    policy: str
    assigned: pd.DataFrame
    unassigned: pd.DataFrame
    reps: pd.DataFrame
    value: float
    best: float
    gap: float
    board: Board = field(repr=False)
    chosen: np.ndarray = field(repr=False)

    @property
    def unfair(self) -> list[tuple[str, str]]:
        """Reps (a, b) of which a has too many beside b though leads could be passed on from a to b."""
        made, ids = self.board, self.board.reps["owner_id"].tolist()
        pairs = unfair(self.chosen, made.eligible, made.capacity, made.held, made.weight)
        return [(ids[a], ids[b]) for a, b in pairs]


def route(
    leads: pd.DataFrame,
    reps: pd.DataFrame,
    values: np.ndarray,
    policy: str = "optimal",
    *,
    fair: bool = True,
    explore: float = EXPLORE,
    seed: int = 0,
    currency: str = "",
) -> Routing:
    """Give a batch of leads to reps.

    leads, reps and values (leads × reps, currency) as `routing_board.board` takes them; leads are given in their order where the policy
    goes by turns. `fair` False lets `optimal` give to whom it likes. `explore`: share of the leads that `optimal` gives by lot among reps
    who may take them, each rep getting as many as without, so that policies can be compared later. UnknownName for a policy, BadInput
    for the frames.
    """
    made, rng, how = _asked(leads, reps, values, policy, explore), np.random.default_rng(seed), How(policy, currency, fair, True)
    if policy != "optimal":
        return _routing(made, one_by_one(made, policy, rng), how)
    best = best_fair(made.values, made.eligible, made.capacity, made.held, made.weight, fair)
    return _routing(made, _exchanged(made, best.chosen, explore, rng), how, best.gap)


def route_one(
    lead: pd.DataFrame,
    reps: pd.DataFrame,
    values: np.ndarray,
    policy: str = "optimal",
    *,
    ahead: np.ndarray | None = None,
    fair: bool = True,
    explore: float = EXPLORE,
    seed: int = 0,
    currency: str = "",
) -> Routing:
    """Give one lead (or a few, one after another) to a rep, not knowing those to come; as fair after each as `route` is in the end.

    ahead: values (leads × reps, NaN where a rep may not) of leads like those to come, the recent ones say: `optimal` keeps its best reps
    for leads that are worth it. `explore`: chance with which it draws by lot among the reps whom fairness leaves.
    """
    made, rng, how = _asked(lead, reps, values, policy, explore), np.random.default_rng(seed), How(policy, currency, fair, False)
    return _routing(made, one_by_one(made, policy, rng, fair=fair, explore=explore, ahead=ahead), how)


def known(policy: str) -> str:
    """The policy; UnknownName lists those there are."""
    if policy not in POLICIES:
        raise UnknownName("policy", policy, POLICIES)
    return policy


def _asked(leads: pd.DataFrame, reps: pd.DataFrame, values: np.ndarray, policy: str, explore: float) -> Board:
    known(policy)
    if isinstance(explore, bool) or not 0 <= explore <= 1:
        raise BadParameter(f"explore {explore!r} is not a share from 0 to 1; give 0.05 for 5 %")
    return board(leads, reps, values)


def _exchanged(made: Board, planned: np.ndarray, explore: float, rng: np.random.Generator) -> Drawn:
    """Each lead is drawn with chance `explore`; those drawn exchange reps at random within what the same reps may take.

    Chances are exact: of m leads that the same reps may take, a lead that is drawn keeps its rep's place with
    chance q = (1 - (1 - explore)^m) / (m explore) and gets each other lead's with (1 - q) / (m - 1).
    """
    chosen, propensity = planned.copy(), np.where(planned >= 0, 1.0, np.nan)
    if not explore:
        return Drawn(chosen, planned, propensity)
    rows = np.flatnonzero(planned >= 0)
    alike = pd.factorize(pd.Series([row.tobytes() for row in np.packbits(made.eligible[rows], axis=1)]))[0]
    drawn = rng.random(len(rows)) < explore
    for kind in range(alike.max(initial=-1) + 1):
        mine = rows[alike == kind]
        m = len(mine)
        if m < 2:
            continue
        out = mine[drawn[alike == kind]]
        chosen[out] = planned[rng.permutation(out)]
        kept = (1 - (1 - explore) ** m) / (m * explore)
        places = np.bincount(planned[mine], minlength=len(made.reps))[chosen[mine]]
        own = chosen[mine] == planned[mine]
        others = (places - own) * (1 - kept) / (m - 1)
        propensity[mine] = np.where(own, 1 - explore + explore * (kept + others), explore * others)
    return Drawn(chosen, planned, propensity)


def _routing(made: Board, drawn: Drawn, how: How, gap: float = np.nan) -> Routing:
    given, chosen = np.flatnonzero(drawn.chosen >= 0), drawn.chosen
    words = explained(made, drawn, how)
    value = made.values[given, chosen[given]]
    assigned = pd.DataFrame({
        "lead_id": made.leads["lead_id"].to_numpy()[given], "owner_id": made.reps["owner_id"].to_numpy()[chosen[given]],
        "policy": how.policy, "propensity": drawn.propensity[given], "expected_value": value, "reason": words["reason"].to_numpy(),
        "alternative": words["alternative"].to_numpy(),
    })  # fmt: skip
    left = np.flatnonzero(chosen < 0)
    reasons = [why_nobody(made, int(row)) for row in left]
    unassigned = pd.DataFrame({"lead_id": made.leads["lead_id"].to_numpy()[left], "reason": pd.Series(reasons, dtype="str")})
    reps = made.reps[["owner_id", "name", "weight", "held"]].assign(new=np.bincount(chosen[given], minlength=len(made.reps)))
    before = float(made.values[given, drawn.planned[given]].sum())
    return Routing(how.policy, assigned[ASSIGNED], unassigned, reps, float(value.sum()), before, gap, made, chosen)
