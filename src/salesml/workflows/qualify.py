"""Qualification: which leads to work now, which to nurture, which to leave; with evidence, and a person's own word beside it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics import words
from salesml.analytics.lead_work import lead_work
from salesml.contracts import table
from salesml.errors import NotEnoughData
from salesml.features.leads import FEATURES
from salesml.lake import Lake, View, visible
from salesml.planning.lead_grades import COLD, GRADES, HOT, Rules, grade
from salesml.workflows import signed
from salesml.workflows.grade_overrides import in_force
from salesml.workflows.lead_value import lead_value
from salesml.workflows.leads import MODEL, score_leads
from salesml.workflows.overview import champions, version_tags
from salesml.workspace import Workspace

REASONS = 2
CENT = Decimal("0.01")
SCORES = ["lead_id", "as_of", "owner_id", "age_days", "probability", "lo", "hi", "factors"]
KNOWN = ("source", "title", "industry", "country", "employees")
"""What a lead's worth is told by."""
_MEANING = {feature.name: feature for feature in FEATURES}


@dataclass(frozen=True)
class Qualified:
    """Graded leads as of an instant, and what the grades were drawn by.

    leads: one row per open lead, those that bring most first: lead_id, source, title, owner_id, age_days, probability (to convert
    within the model's horizon), lo, hi (90 %), worth (currency, if it converts), expected_value, net, place, hot_from, warm_from,
    grade, confidence, evidence (sentences), and where a person graded it own_grade, own_reason, own_author, own_until; standing (the
    person's grade where there is one, else the grade).
    capacity: leads there is time for in a week; cost: of working one; measured: which of the two were taken from the history.
    """

    leads: pd.DataFrame
    as_of: dt.datetime
    horizon_days: int
    currency: str
    capacity: int
    cost: float
    measured: tuple[str, ...]
    rules: Rules
    sentence: str

    @property
    def counts(self) -> dict[str, int]:
        """Leads by standing grade, hot first."""
        found = self.leads["standing"].value_counts()
        return {name: int(found.get(name, 0)) for name in GRADES}


def qualify(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    rules: Rules | None = None,
    model: str | int = "champion",
    keep: bool = True,
) -> Qualified:
    """Grade every open lead of at most 26 weeks hot, warm or cold, and keep the grades (table `lead_grade`).

    Chances are those of a version of the lead model, what a converted lead brings is learnt from the deals that came of leads; time
    and cost are the rules', else what working leads took in the 13 weeks before. Persons' grades are those in force as of `as_of`, by
    default now. `keep` False only works it out. Raises NotEnoughData without open leads, or without a history of working leads and no
    capacity or cost in the rules; UnknownName without a model.
    """
    rules, currency = rules or Rules(), workspace.settings.currency
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    scored = score_leads(workspace, cutoff, model)
    if scored.empty:
        raise NotEnoughData(f"no open lead of at most 26 weeks is known as of {cutoff:%Y-%m-%d}; import leads, or choose another day")
    capacity, cost, measured = time_and_cost(rules, view)
    version = str(dict(champions(workspace))[MODEL] if model == "champion" else model)
    days = int(version_tags(workspace, MODEL, version)["horizon_days"])
    known = view.frame(view.state("lead", list(KNOWN))).set_index("lead_id")[list(KNOWN)]
    leads = scored[SCORES].join(known, on="lead_id")
    worth = lead_value(workspace, cutoff).worth(leads)
    graded = grade(leads.assign(worth=worth), capacity, cost, rules).sort_values("place", ignore_index=True)
    graded["evidence"] = _evidence(graded, capacity, cost, rules, days, currency)
    graded = _with_own(graded, in_force(tables, cutoff if as_of else max(cutoff, signed.now())))
    told = _sentence(graded, capacity, currency)
    found = Qualified(graded, cutoff, days, currency, capacity, cost, measured, rules, told)
    if keep:
        _keep(workspace, found, version, tables.head.id)
    return found


def time_and_cost(rules: Rules, view: View) -> tuple[int, float, tuple[str, ...]]:
    """Leads there is time for in a week, what one costs, and which of the two were measured."""
    capacity, cost = rules.capacity_per_week, rules.cost_per_lead
    measured = tuple(name for name, given in (("capacity", capacity), ("cost", cost)) if given is None)
    if measured:
        work = lead_work(view)
        capacity = work.leads_per_week if capacity is None else capacity
        cost = work.minutes_per_lead / 60 * rules.cost_per_hour if cost is None else cost
    return int(capacity), float(cost), measured  # type: ignore[arg-type]


def _evidence(graded: pd.DataFrame, capacity: int, cost: float, rules: Rules, days: int, currency: str) -> list[list[str]]:
    usual, n = float(graded["probability"].mean()), len(graded)
    return [[
        f"Chance to convert within {days} days: {words.percent(row['probability'])} (90 % interval {words.percent(row['lo'])} to "
        f"{words.percent(row['hi'])}), {row['probability'] / usual:.1f} times the mean of the open leads.",
        f"Expected to bring {words.money(row['expected_value'], currency)}: {words.percent(row['probability'])} of "
        f"{words.money(row['worth'], currency)}, what leads like it brought once converted. "
        f"Working it costs {words.money(cost, currency)}.",
        _why_grade(row, capacity, rules, n),
        *_reasons(row["factors"]),
        f"With what is known the grade is right with a chance of {words.percent(row['confidence'])}.",
    ] for row in graded.to_dict("records")]  # fmt: skip


def _why_grade(row: dict, capacity: int, rules: Rules, n: int) -> str:
    place = f"number {row['place']:,} of {n:,} open leads by what working it brings"
    if rules.hot_at is not None and row["grade"] == HOT:
        return f"Hot from a chance of {words.percent(rules.hot_at)}, by rules {rules.name}; {place}."
    if rules.warm_at is not None and row["grade"] != HOT:
        bound = f"{'Cold below' if row['grade'] == COLD else 'Warm from'} a chance of {words.percent(rules.warm_at)}"
        return f"{bound}, by rules {rules.name}; {place}."
    if row["grade"] == HOT:
        return f"{place[0].upper()}{place[1:]}; there is time for {capacity:,} a week."
    if row["grade"] == COLD:
        return f"Working it costs more than it is expected to bring; it would pay from a chance of {words.percent(row['warm_from'])}."
    return f"It pays, and there is no time for it: {place}, there is time for {capacity:,} a week."


def _reasons(factors: list[dict]) -> list[str]:
    """The strongest reasons for and against, in words."""
    told = []
    for one in factors[:REASONS]:
        feature = _MEANING[one["feature"]]
        what = f"{feature.meaning[0].upper()}{feature.meaning[1:]}: {words.valued(one['value'], feature.unit, {}, '')}"
        told.append(f"{what} ({'speaks for it' if one['effect'] > 0 else 'speaks against it'}, odds ×{np.exp(one['effect']):.2g}).")
    return told


def _with_own(graded: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    named = {"grade": "own_grade", "reason": "own_reason", "author": "own_author", "expires_at": "own_until"}
    beside = own.set_index("lead_id")[list(named)].rename(columns=named).reindex(graded["lead_id"]).set_axis(graded.index)
    found = graded.join(beside)
    return found.assign(standing=found["own_grade"].where(found["own_grade"].notna(), found["grade"]))


def _sentence(graded: pd.DataFrame, capacity: int, currency: str) -> str:
    hot = graded[graded["grade"] == HOT]
    counts = ", ".join(f"{int((graded['grade'] == name).sum()):,} {name}" for name in GRADES)
    brings = words.money(float(hot["net"].sum()), currency)
    share = hot["probability"].sum() / graded["probability"].sum()
    told = f"Of {words.count(len(graded), 'open lead')} {counts}. Working the hot ones is expected to bring {brings} after its cost"
    time = f" There is time for {capacity:,} a week." if len(hot) == capacity else ""
    return f"{told}; they hold {words.percent(share)} of the conversions expected of all.{time}"


def _keep(workspace: Workspace, found: Qualified, version: str, head_id: int) -> None:
    """Append the grades; the same leads, day, model and rules again change nothing."""
    stamp, rules = found.as_of.strftime("%Y%m%dT%H%M%SZ"), found.rules
    drawn = json.dumps({"rules": rules.name, "version": rules.version, "capacity_per_week": found.capacity,
                        "cost_per_lead": round(found.cost, 2), "horizon_days": found.horizon_days,
                        "hot_at": rules.hot_at, "warm_at": rules.warm_at})  # fmt: skip
    now = dt.datetime.now(dt.UTC)
    rows = [{
        "lead_grade_id": f"{MODEL}:{version}:{rules.version}:{stamp}:{row['lead_id']}", "lead_id": row["lead_id"], "grade": row["grade"],
        "probability": row["probability"], "expected_value": Decimal(str(round(row["expected_value"], 2))).quantize(CENT),
        "currency": found.currency, "evidence": json.dumps(row["evidence"], ensure_ascii=False), "thresholds": drawn, "as_of": found.as_of,
        "model": MODEL, "model_version": version, "head_id": head_id, "occurred_at": now,
    } for row in found.leads.to_dict("records")]  # fmt: skip
    schema = pa.schema([field for field in table("lead_grade").schema if field.name in rows[0]])
    staged = {"lead_grade": pa.Table.from_pylist(rows, schema=schema)}
    Lake(workspace).ingest(staged, origin="qualify", kind="predictions", note={"as_of": found.as_of.isoformat()})
