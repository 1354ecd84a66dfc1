"""Scenarios of the quarter as known at an instant: levers turned, saved by name, compared side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from salesml.analytics.levers import Levers
from salesml.analytics.need import Capacity, capacity, pipeline_needed, sure_gap
from salesml.analytics.pipeline import quarter
from salesml.analytics.scenario import Outcome, run
from salesml.analytics.scenario_base import Base
from salesml.errors import BadParameter
from salesml.lake import Lake
from salesml.state import scenarios as kept
from salesml.state.scenarios import Saved
from salesml.workflows import signed
from salesml.workflows.quarter import Picture, champions_scores
from salesml.workflows.scenario_base import recomputable
from salesml.workflows.scenario_words import lever_words, needed_words, notes, sentence
from salesml.workspace import Workspace

BASE, THESE = "as things stand", "these levers"


@dataclass(frozen=True, eq=False)
class BaseCase:
    """The quarter [start, end) as known at an instant, made ready for any number of scenarios; money in `currency`.

    unchanged: no lever turned; needed: `need.pipeline_needed`; gap: `need.sure_gap`; capacity: `need.capacity`, reps with their names.
    """

    as_of: dt.datetime
    start: dt.date
    end: dt.date
    currency: str
    base: Base = field(repr=False)
    picture: Picture = field(repr=False)
    unchanged: Outcome
    needed: pd.DataFrame
    gap: float
    capacity: Capacity
    head_id: int


@dataclass(frozen=True, eq=False)
class Scenario:
    """Levers turned on a base case: `outcome` (`analytics.scenario.Outcome`), both in words, and what to know beside them."""

    levers: Levers
    case: BaseCase = field(repr=False)
    outcome: Outcome
    sentence: str
    need: str
    notes: str


def base_case(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    scores: pd.DataFrame | None = None,
    seen: Picture | None = None,
) -> BaseCase:
    """The quarter as known at an instant, to turn levers on; `scores` as `workflows.health.pipeline_health` takes them.

    seen: the instant's `workflows.quarter.picture` by these scores, where it is made already. Raises NotEnoughData where no deal is
    open or no past quarter is known.
    """
    tables = Lake(workspace).open()
    instant = tables.instant(as_of)
    scores = champions_scores(workspace, instant) if scores is None else scores
    picture, base = recomputable(workspace, tables, instant, scores, seen)
    start, end = quarter(workspace.local_date(instant), workspace.settings.fiscal_year_start)
    unchanged = run(Levers(), base)
    quota, now = float(unchanged.company["quota"]), pd.Timestamp(instant)
    needed = pipeline_needed(unchanged.landing, quota, picture.lives, now, base.days_left, picture.landed)
    hands = capacity(picture.deals, picture.past)
    names = base.nodes[base.nodes["level"] == "rep"].set_index("name")["label"]
    hands = Capacity(hands.most, hands.reps.assign(label=hands.reps["rep"].map(names).fillna(hands.reps["rep"])))
    return BaseCase(
        instant, start, end, workspace.settings.currency, base, picture, unchanged, needed, sure_gap(unchanged.landing, quota), hands,
        tables.head.id,
    )  # fmt: skip


def scenario(
    workspace: Workspace,
    levers: Levers,
    as_of: str | dt.date | dt.datetime | None = None,
    case: BaseCase | None = None,
) -> Scenario:
    """The quarter with levers turned, by the random numbers of the base case; with `case` (`base_case`) it is only recomputed.

    Raises as `base_case` and `analytics.scenario.run`.
    """
    case = case or base_case(workspace, as_of)
    outcome = run(levers, case.base)
    told = sentence(outcome, case.unchanged, case.currency, case.start, case.end)
    need = needed_words(case.needed, case.gap, case.capacity, case.currency)
    return Scenario(levers, case, outcome, told, need, notes(case.picture, case.base))


def save(workspace: Workspace, name: str, levers: Levers, as_of: dt.datetime, by: str | None = None) -> Saved:
    """Keep levers under a name that is free, with author and audit entry; BadParameter for a name that is none, or taken."""
    return kept.save(workspace, name, levers.as_dict(), as_of=as_of, author=signed.user(workspace, by).name, at=signed.now())


def saved(workspace: Workspace) -> list[Saved]:
    """The saved scenarios, by name."""
    return kept.saved(workspace)


def remove(workspace: Workspace, name: str, by: str | None = None) -> None:
    """Remove a saved scenario; its author, an admin or a manager may. UnknownName lists those there are."""
    user = signed.user(workspace, by)
    kept.remove(workspace, name, by=user.name, any_author=signed.may_sign(user), at=signed.now())


def compare(
    workspace: Workspace,
    names: Iterable[str],
    as_of: str | dt.date | dt.datetime | None = None,
    case: BaseCase | None = None,
) -> tuple[BaseCase, pd.DataFrame]:
    """Saved scenarios side by side, all recomputed as of one instant. Grain: one row per scenario, first the base, and level and name.

    Columns: scenario, levers (in words), and those of `analytics.scenario.Outcome.nodes`. UnknownName for a name that is not saved;
    BadParameter for one given twice.
    """
    asked = list(names)
    if len(set(asked)) < len(asked):
        raise BadParameter(f"a scenario is named twice: {', '.join(asked)}; name each once")
    chosen = [(name, Levers.of(kept.find(workspace, name).levers)) for name in asked]
    case = case or base_case(workspace, as_of)
    return case, _sides(case, {name: run(levers, case.base) for name, levers in chosen})


def beside(workspace: Workspace, found: Scenario, names: Iterable[str] = ()) -> pd.DataFrame:
    """A scenario ("these levers") beside its base and saved ones, in a frame as `compare` gives and raising as it does."""
    others = compare(workspace, names, case=found.case)[1]
    mine = _sides(found.case, {THESE: found.outcome} if found.levers.turned else {})
    return pd.concat([mine, others[others["scenario"] != BASE]], ignore_index=True)


def tenths(case: BaseCase) -> pd.DataFrame:
    """What a tenth of each lever, or one rep more, does alone. Grain: one row per lever, the greatest first: lever (in words), expected
    (change of the company's, currency), probability (change of the chance of quota, missing without one)."""
    turns = [Levers(win_rate=0.1), Levers(cycle=-0.1), Levers(price=0.1), Levers(creation=0.1), Levers(headcount=1), Levers(quota=0.1)]
    rows = []
    for levers in turns:
        try:
            company = run(levers, case.base).company
        except BadParameter:  # a tenth more wins than there are deals to win
            continue
        moved = {name: company[name] - company[f"{name}_before"] for name in ("expected", "probability")}
        rows.append({"lever": levers.told(), **moved})
    found = pd.DataFrame(rows, columns=["lever", "expected", "probability"])
    return found.sort_values("expected", ascending=False, kind="stable", ignore_index=True)


def _sides(case: BaseCase, outcomes: Mapping[str, Outcome]) -> pd.DataFrame:
    rows = [
        one.nodes.assign(scenario=name, levers=lever_words(one.levers, case.currency))
        for name, one in {BASE: case.unchanged, **outcomes}.items()
    ]
    found = pd.concat(rows, ignore_index=True)
    return found[["scenario", "levers", *found.columns.drop(["scenario", "levers"])]]
