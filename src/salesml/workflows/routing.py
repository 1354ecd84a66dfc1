"""Routing: open leads to reps, by a policy, each with its reason, its chance and the best alternative; kept in table `assignment`."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.errors import BadParameter, UnknownName
from salesml.features.leads import LEADS
from salesml.lake import Lake, Tables, visible
from salesml.planning import routing as planning
from salesml.planning.routing import EXPLORE, Routing
from salesml.planning.routing_board import eligible
from salesml.state import audit
from salesml.state.db import writing
from salesml.state.users import User
from salesml.workflows import signed
from salesml.workflows.lead_value import lead_value_of
from salesml.workflows.leads import MODEL, score_leads
from salesml.workflows.routing_facts import ASSIGNED, WINDOW, current_owner, leads_of, recent, reps_of, response_hours
from salesml.workspace import Workspace

AHEAD = 300
"""The youngest leads, as they were a day after they came, are taken for those to come."""
DAY = dt.timedelta(days=1)
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Desk:
    """What routing is decided from as of an instant: open leads with their chances, reps, and what each pair is expected to bring.

    leads: one row per open lead that nobody has qualified, at most 26 weeks old: as `routing_facts.leads_of` gives it, with chance and
    waiting (nobody who works here has it, and it was not assigned). reps: as `routing_facts.reps_of` gives it, held counting only leads
    that are not to be given. values: leads × reps, `currency`. ahead: values of up to 300 leads of the last 30 days a day after they
    came, NaN where a rep may not take one. moment: up to when assignments count.
    """

    workspace: Workspace = field(repr=False)
    as_of: dt.datetime
    moment: dt.datetime
    currency: str
    leads: pd.DataFrame = field(repr=False)
    reps: pd.DataFrame = field(repr=False)
    values: np.ndarray = field(repr=False)
    ahead: np.ndarray = field(repr=False)

    def rows(self, leads: Collection[str]) -> np.ndarray:
        """Positions of leads by id; UnknownName names one that is not among them."""
        place = pd.Series(np.arange(len(self.leads)), self.leads["lead_id"])
        for lead in leads:
            if lead not in place.index:
                raise UnknownName("open lead", str(lead), list(place.index[:10]))
        return place.loc[list(leads)].to_numpy()

    def without(self, rows: np.ndarray) -> pd.DataFrame:
        """The reps, leads that are now to be given no longer counting as theirs."""
        again = self.leads.iloc[rows]
        counted = again[again["recent"].eq(True)]["owner_id"].value_counts()
        open_now = again["owner_id"].value_counts()
        by = self.reps["owner_id"].map
        held = self.reps["held"] - by(counted).fillna(0).astype("int64")
        return self.reps.assign(held=held, workload=self.reps["workload"] - by(open_now).fillna(0.0))


@dataclass(frozen=True)
class Routed:
    """A routing as of an instant: the decisions (`planning.routing.Routing`), whose the leads were before, and whether it was kept."""

    routing: Routing
    previous: pd.Series
    as_of: dt.datetime
    currency: str
    written: bool

    @property
    def sentence(self) -> str:
        """What was done, in words."""
        made, left = self.routing, len(self.routing.unassigned)
        some = "1 lead" if len(made.assigned) == 1 else f"{len(made.assigned):,} leads"
        rest = "" if not left else f"; {left:,} {'is' if left == 1 else 'are'} left, see why"
        kept = "kept in table assignment" if self.written else "shown only, nothing is kept"
        reps = made.assigned["owner_id"].nunique()
        return f"{some} to {reps} {'rep' if reps == 1 else 'reps'}, expected to bring {self.currency} {made.value:,.0f}{rest}; {kept}"


def desk(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    *,
    given: pd.DataFrame | None = None,
    most_open: int | None = None,
    within_hours: float | None = None,
    model: str | int = "champion",
) -> Desk:
    """Read leads, reps and what there is to learn from, as known before `as_of` (default: the last fact of the sources; assignments: now).

    given: `routing_facts.read_reps`. most_open: the most open leads and deals a rep may have; without it, or a capacity in `given`,
    there is no limit. within_hours: a rep who usually answers later gets no lead. Chances are those of the lead model (table
    `lead_score` is written), values those of `lead_value`. Raises NotEnoughData, UnknownName without a model, BadParameter.
    """
    if most_open is not None and most_open < 1:
        raise BadParameter(f"most_open {most_open!r} is not a whole number of 1 or more")
    if within_hours is not None and not within_hours > 0:
        raise BadParameter(f"within_hours {within_hours!r} is not above 0; give 4 for four hours")
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    moment = signed.now() if as_of is None else cutoff
    view = visible(tables, cutoff)
    owners = current_owner(visible(tables, max(moment, cutoff)))
    reps = reps_of(view, owners, moment, given)
    if most_open is not None:
        reps["capacity"] = reps["capacity"].fillna((most_open - reps["workload"]).clip(lower=0))
    if within_hours is not None:
        reps["response_hours"] = reps["response_hours"].fillna(reps["owner_id"].map(response_hours(view)))
    every = leads_of(view, owners, reps).assign(within_hours=within_hours or np.nan)
    scored = score_leads(workspace, cutoff, model).set_index("lead_id")["probability"]
    leads = every[every["lead_id"].isin(scored.index)].reset_index(drop=True)
    here = leads["owner_id"].isin(reps["owner_id"])
    leads = leads.assign(
        chance=leads["lead_id"].map(scored), waiting=~leads["by"].eq(ASSIGNED) & ~here,
        recent=leads["lead_id"].isin(owners.loc[recent(owners, cutoff, moment), "lead_id"]),
    )  # fmt: skip
    worth, ids = lead_value_of(view), reps["owner_id"].tolist()
    values = worth.matrix(leads, ids) * leads["chance"].to_numpy()[:, None]
    young = every[every["created_at"].between(pd.Timestamp(cutoff - WINDOW), pd.Timestamp(cutoff - DAY), inclusive="left")]
    young = young.sort_values("created_at", ignore_index=True).tail(AHEAD)
    fresh = chances_when_new(tables, young, model)[:, None] * worth.matrix(young, ids)
    ahead = np.where(eligible(young, reps), fresh, np.nan)
    return Desk(workspace, cutoff, moment, workspace.settings.currency, leads, reps, values, ahead)


def chances_when_new(tables: Tables, leads: pd.DataFrame, model: str | int = "champion") -> np.ndarray:
    """What the lead model said of leads (lead_id, created_at) a day after they came, from what was known then."""
    from salesml.registry import catalog

    if leads.empty:
        return np.empty(0)
    instants = pa.array(leads["created_at"] + DAY, pa.timestamp("us", tz="UTC"))
    spine = pa.table({"lead_id": pa.array(leads["lead_id"], pa.string()), "as_of": instants})
    rows = LEADS.frame(visible(tables, spine)).set_index("lead_id").reindex(leads["lead_id"])
    return catalog.load(tables.workspace, MODEL, model).predictions(rows[LEADS.names])["probability"].to_numpy()


def route(
    workspace: Workspace,
    policy: str = "optimal",
    as_of: str | dt.date | dt.datetime | None = None,
    leads: Collection[str] | None = None,
    *,
    days: int | None = None,
    fair: bool = True,
    explore: float = EXPLORE,
    seed: int = 0,
    dry_run: bool = False,
    by: str | None = None,
    at: Desk | None = None,
) -> Routed:
    """Give leads that wait for somebody to reps and, unless `dry_run`, keep the assignments, each with an entry in the audit log.

    leads: ids of open leads, whoever has them; without, those that nobody who works here has and that were not assigned, with `days`
    also those that the source system gave to somebody in the last so many days. by: the acting user, an admin or manager (anybody
    may look). at: a desk made before. BadParameter where a past `as_of` is to be kept, or the user may not.
    """
    planning.known(policy)
    author = None if dry_run else _permitted(workspace, by, as_of)
    there = at or desk(workspace, as_of)
    if leads is None:
        fresh = there.leads["created_at"] >= pd.Timestamp(there.as_of - dt.timedelta(days=days or 0))
        wanted = there.leads["waiting"] | (fresh & ~there.leads["by"].eq(ASSIGNED) if days else False)
        rows = np.flatnonzero(wanted)
    else:
        rows = there.rows(leads)
    rows = rows[np.argsort(there.leads["created_at"].to_numpy()[rows], kind="stable")]
    asked = {"fair": fair, "explore": explore, "seed": seed, "currency": there.currency}
    made = planning.route(there.leads.iloc[rows], there.without(rows), there.values[rows], policy, **asked)  # type: ignore[arg-type]
    return _kept(there, made, author)


def route_one(
    workspace: Workspace,
    lead: str,
    policy: str = "optimal",
    *,
    fair: bool = True,
    explore: float = EXPLORE,
    seed: int | None = None,
    dry_run: bool = False,
    by: str | None = None,
    at: Desk | None = None,
) -> Routed:
    """Give one lead to a rep, not knowing those to come, whose like are taken to be the youngest leads there are; else as `route`.

    seed: of the lot (default: from the lead's id, so that asking twice gives the same answer).
    """
    planning.known(policy)
    author = None if dry_run else _permitted(workspace, by, None)
    there = at or desk(workspace)
    rows = there.rows([lead])
    drawn = int.from_bytes(lead.encode()[-8:], "big") if seed is None else seed
    asked = {"fair": fair, "explore": explore, "seed": drawn, "currency": there.currency, "ahead": there.ahead}
    made = planning.route_one(there.leads.iloc[rows], there.without(rows), there.values[rows], policy, **asked)  # type: ignore[arg-type]
    return _kept(there, made, author)


def assignments(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> pd.DataFrame:
    """What was assigned, the latest first, as known before `as_of` (default: now).

    Grain: one row per assignment: lead_id, owner_id, previous_owner_id, policy, propensity, expected_value, currency, reason, author,
    approver, known_at, standing (whether the lead is still that rep's).
    """
    tables = Lake(workspace).open()
    view = visible(tables, workspace.instant(as_of) if as_of else signed.now())
    names = ["assignment_id", "lead_id", "owner_id", "previous_owner_id", "policy", "propensity", "expected_value", "currency", "reason"]
    found = view.frame(view.facts("assignment").select(*names, "author", "approver", "known_at"))
    found = found.sort_values(["known_at", "assignment_id"], ascending=[False, True], ignore_index=True)
    owners = current_owner(view).set_index("lead_id")
    owner, since = (found["lead_id"].map(owners[name]) for name in ("owner_id", "since"))
    return found.assign(standing=owner.eq(found["owner_id"]) & since.eq(found["known_at"]))


def write_assignments(workspace: Workspace, *rows: dict[str, Any]) -> None:
    """Append facts to table `assignment`, all or none."""
    signed.write(workspace, *rows, origin="route", kind="assignment", into="assignment")


def _kept(there: Desk, made: Routing, author: User | None) -> Routed:
    previous = there.leads.set_index("lead_id")["owner_id"].reindex(made.assigned["lead_id"])
    if author is not None and len(made.assigned):
        now = signed.now()
        rows = [_row(row, previous, there.currency, author, now) for row in made.assigned.to_dict("records")]
        with writing(there.workspace) as connection:
            for row in rows:
                told = {name: row[name] for name in ("assignment_id", "owner_id", "previous_owner_id", "policy", "propensity", "reason")}
                audit.append(connection, author.name, "lead.routed", f"lead {row['lead_id']}", told, now)
        write_assignments(there.workspace, *rows)
    return Routed(made, previous, there.as_of, there.currency, author is not None)


def _row(row: dict[Any, Any], previous: pd.Series, currency: str, author: User, now: dt.datetime) -> dict[str, Any]:
    before = previous[row["lead_id"]]
    alternative = row["alternative"]
    return {
        "assignment_id": f"asg-{uuid.uuid4().hex[:12]}", "lead_id": row["lead_id"], "owner_id": row["owner_id"],
        "previous_owner_id": before if isinstance(before, str) else None, "policy": row["policy"], "propensity": float(row["propensity"]),
        "expected_value": Decimal(str(row["expected_value"])).quantize(CENT), "currency": currency, "reason": row["reason"],
        "alternative": None if alternative is None else json.dumps(alternative, ensure_ascii=False), "author": author.name,
        "approver": None, "occurred_at": now, "known_at": now,
    }  # fmt: skip


def _permitted(workspace: Workspace, by: str | None, as_of: object) -> User:
    if as_of is not None:
        raise BadParameter(f"assignments are kept as of now, not as of {as_of}; leave as_of out, or look only (--dry-run)")
    user = signed.user(workspace, by)
    if not signed.may_sign(user):
        mend = "ask one of them, or look only (--dry-run)"
        raise BadParameter(f"{user.name!r} is neither admin nor manager and may not assign leads; {mend}")
    return user
