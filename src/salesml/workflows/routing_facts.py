"""What routing goes by, read from the lake: whose each lead is, which are open, who there is and how much they have to do."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import ibis
import numpy as np
import pandas as pd

from salesml.errors import BadInput
from salesml.lake import View
from salesml.models.lead_value import LEAD

WINDOW = dt.timedelta(days=30)
"""Leads of this time count when it is asked whether reps get their share."""
OLDEST = dt.timedelta(weeks=26)
RESPONSE = dt.timedelta(days=182)
LEAST_ANSWERED = 5
LEAST_SHARE = 0.05
"""Share of a country's leads from which a region counts as one that works the country."""
STEPS = 4
"""A rep's weight is the quota over the median quota, in quarters: quotas nearer than that are equal for leads."""
SOURCE, ASSIGNED = "source system", "assignment"
GIVEN = ("owner_id", "capacity", "weight", "territories", "skills", "available", "response_hours")
"""Columns of a file of reps: what the records do not say, or say otherwise."""
YES = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def current_owner(view: View) -> pd.DataFrame:
    """Whose each lead is, as of an instant's view: the latest of the source system's owner and of what was assigned here.

    Grain: one row per lead that has an owner: lead_id, owner_id, since (when that became known), by ("source system" or "assignment").
    """
    rows = view.state("lead", ["owner_id"], since=["owner_id"])
    sourced = view.frame(rows.filter(rows.owner_id.notnull()).select("lead_id", "owner_id", since=rows.owner_id_since)).assign(by=SOURCE)
    facts = view.facts("assignment")
    given = view.frame(facts.select("lead_id", "owner_id", "assignment_id", since=facts.known_at)).assign(by=ASSIGNED)
    both = pd.concat([part for part in (sourced, given) if len(part)] or [sourced]).sort_values(["since", "by"], kind="stable")
    return both.drop_duplicates("lead_id", keep="last")[["lead_id", "owner_id", "since", "by"]].sort_values("lead_id", ignore_index=True)


def leads_of(view: View, owners: pd.DataFrame, reps: pd.DataFrame) -> pd.DataFrame:
    """Every lead of at most 26 weeks, whatever became of it, with what its worth and its territories are told by.

    Grain: one row per lead: lead_id, created_at, status, LEAD columns, owner_id, since, by, territories (the region of its account, else
    of its owner, else those that work its country), needs (the skills that reps have and the lead asks for).
    """
    assert view.as_of is not None
    rows = view.state("lead", ["status", "account_id", "custom", "deleted", *LEAD])
    rows = view.with_state(rows, "account", "account_id", ["region"], prefix="account_")
    every = view.frame(rows.filter(~ibis.coalesce(rows.deleted, False))).merge(owners, on="lead_id", how="left")
    every["owner_region"] = every["owner_id"].map(_regions(view))
    by_country = _regions_of_countries(every)
    found = every[every["created_at"] >= pd.Timestamp(view.as_of - OLDEST)].reset_index(drop=True)
    region = found["account_region"].where(found["account_region"].notna(), found["owner_region"])
    found["territories"] = [
        (one,) if isinstance(one, str) else by_country.get(country, ()) for one, country in zip(region, found["country"], strict=True)
    ]
    found["needs"] = _needs(found, reps)
    return found


def reps_of(view: View, owners: pd.DataFrame, moment: dt.datetime, given: pd.DataFrame | None = None) -> pd.DataFrame:
    """Who may be given leads, as of an instant's view: whoever owns leads or deals, has a quota or the role of a rep, and works here.

    owners: `current_owner` as of `moment`, up to which assignments count. Grain: one row per rep, as `routing_board.board` takes it:
    owner_id, name, weight (quota over the median one, in quarters; 1 without), held (leads of the last 30 days), workload (open leads of
    at most 26 weeks and open deals), last_at, territories (the rep's region), skills, available, capacity and response_hours as `given`.
    """
    assert view.as_of is not None
    users = view.frame(view.state("user", ["name", "role", "region", "active", "left_on"])).set_index("user_id")
    deals = view.state("opportunity", ["owner_id", "status", "deleted"])
    deals = view.frame(deals.filter(deals.owner_id.notnull(), ~ibis.coalesce(deals.deleted, False)))
    quotas = _quotas(view)
    in_role = users.index[users["role"].fillna("").str.contains(r"\brep(?:resentative)?s?\b", case=False)]
    ids = sorted({*owners["owner_id"], *deals["owner_id"], *quotas.index, *in_role})
    if len(users):
        day = pd.Timestamp(view.tables.workspace.local_date(view.as_of))
        gone = users.index[users["active"].eq(False) | (pd.to_datetime(users["left_on"]) <= day)]
        ids = [one for one in ids if one in users.index and one not in set(gone)]
    reps = pd.DataFrame({"owner_id": pd.Series(ids, dtype="str")})
    by = reps["owner_id"].map
    state = view.state("lead", ["status", "deleted"])
    at_work = view.frame(state.filter(state.status.isin(["open", "qualified"]), ~ibis.coalesce(state.deleted, False)))
    at_work = at_work[at_work["created_at"] >= pd.Timestamp(view.as_of - OLDEST)]
    open_leads = owners[owners["lead_id"].isin(at_work["lead_id"])]["owner_id"].value_counts()
    open_deals = deals.loc[deals["status"].eq("open"), "owner_id"].value_counts()
    share = by(quotas) / (quotas.median() if len(quotas) else 1.0)
    reps = reps.assign(
        name=by(users["name"]) if len(users) else None,
        weight=((STEPS * share).round() / STEPS).clip(lower=1 / STEPS).fillna(1.0),
        held=by(owners[recent(owners, view.as_of, moment)]["owner_id"].value_counts()).fillna(0).astype("int64"),
        workload=by(open_leads).fillna(0.0) + by(open_deals).fillna(0.0),
        last_at=by(owners.groupby("owner_id")["since"].max()), capacity=np.nan, available=True, response_hours=np.nan,
    )  # fmt: skip
    reps["territories"] = [(one,) if isinstance(one, str) else () for one in by(_regions(view))]
    reps["skills"] = [() for _ in ids]
    return reps if given is None else _with_given(reps, given)


def recent(owners: pd.DataFrame, as_of: dt.datetime, moment: dt.datetime) -> pd.Series:
    """Which leads came to their owner in the last 30 days: by the source system before `as_of`, by assignment before `moment`."""
    since = pd.Series(pd.Timestamp(as_of - WINDOW), owners.index)
    return owners["since"] >= since.where(owners["by"].eq(SOURCE), pd.Timestamp(moment - WINDOW))


def response_hours(view: View) -> pd.Series:
    """Median hours from a lead's arrival to its owner's first contact, by owner, of leads of the last half-year; 5 at least."""
    assert view.as_of is not None
    acts = view.facts("activity")
    acts = acts.filter(acts.lead_id.notnull(), acts.owner_id.notnull(), ~(acts.direction == "inbound").fill_null(False))
    first = view.frame(acts.group_by(["lead_id", "owner_id"]).aggregate(at=acts.occurred_at.min()))
    leads = view.frame(view.state("lead", ["owner_id"]))
    leads = leads[leads["created_at"] >= pd.Timestamp(view.as_of - RESPONSE)]
    both = leads.merge(first, on=["lead_id", "owner_id"]) if len(first) else leads.head(0).assign(at=leads["created_at"])
    hours = (both["at"] - both["created_at"]).dt.total_seconds() / 3600
    found = hours.clip(lower=0).groupby(both["owner_id"]).agg(["median", "size"])
    return found.loc[found["size"] >= LEAST_ANSWERED, "median"]


def read_reps(path: Path) -> pd.DataFrame:
    """A CSV of what the records do not say of reps: owner_id and any of GIVEN, several territories or skills separated by ';'.

    BadInput for a file that cannot be read, another column, a rep twice, or a value of the wrong kind.
    """
    try:
        told = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise BadInput(f"the file of reps cannot be read ({error})", file=str(path)) from error
    other = [name for name in told.columns if name not in GIVEN]
    if "owner_id" not in told or other or told["owner_id"].duplicated().any():
        columns = ", ".join(map(str, told.columns))
        raise BadInput(f"a file of reps has one row per owner_id and columns of {', '.join(GIVEN)}", file=path.name, value=columns)
    for name in told.columns[told.columns != "owner_id"]:
        values = told[name].str.strip()
        if name in ("territories", "skills"):
            told[name] = [tuple(sorted(part.strip() for part in value.split(";") if part.strip())) for value in values]
            continue
        told[name] = values.str.lower().map(YES) if name == "available" else pd.to_numeric(values.where(values != ""), errors="coerce")
        for row in np.flatnonzero(told[name].isna() & (values != ""))[:1]:
            mend = "Give yes or no." if name == "available" else "Give a number."
            raise BadInput("the value cannot be read", file=path.name, row=int(row) + 1, column=name, value=values.iloc[row], mend=mend)
    return told


def _with_given(reps: pd.DataFrame, given: pd.DataFrame) -> pd.DataFrame:
    unknown = sorted(set(given["owner_id"]) - set(reps["owner_id"]))
    if unknown:
        raise BadInput("this is no rep who works here", column="owner_id", value=unknown[0], mend="Leave it out, or import the user first.")
    told = given.set_index("owner_id").reindex(reps["owner_id"]).set_axis(reps.index)
    for name in told:
        known = told[name].map(lambda value: bool(value) if isinstance(value, tuple) else pd.notna(value))
        reps[name] = told[name].astype("object").where(known, reps[name].astype("object"))
    return reps.assign(**{name: pd.to_numeric(reps[name]) for name in ("capacity", "weight", "response_hours")})


def _quotas(view: View) -> pd.Series:
    """Revenue quota of each rep in the latest period that has begun."""
    assert view.as_of is not None
    rows = view.frame(view.state("quota", ["entity_type", "entity_id", "period_start", "target", "amount"]))
    day = pd.Timestamp(view.tables.workspace.local_date(view.as_of))
    rows = rows[rows["entity_type"].eq("rep") & rows["target"].fillna("revenue").eq("revenue") & rows["amount"].gt(0)]
    rows = rows[pd.to_datetime(rows["period_start"]) <= day].sort_values("period_start", kind="stable")
    return rows.drop_duplicates("entity_id", keep="last").set_index("entity_id")["amount"].astype("float64")


def _regions(view: View) -> pd.Series:
    users = view.frame(view.state("user", ["region"]))
    return users.dropna(subset="region").set_index("user_id")["region"]


def _regions_of_countries(leads: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    """The regions whose reps have had at least a twentieth of a country's leads."""
    known = leads.dropna(subset=["country", "owner_region"])
    shares = known.groupby("country")["owner_region"].value_counts(normalize=True)
    found: dict[str, list[str]] = {}
    for country, region in shares.index[shares >= LEAST_SHARE]:
        found.setdefault(str(country), []).append(str(region))
    return {country: tuple(sorted(regions)) for country, regions in found.items()}


def _needs(leads: pd.DataFrame, reps: pd.DataFrame) -> list[tuple[str, ...]]:
    """Skills each lead asks for: those of the form KIND:VALUE that some rep has and the lead is of (industry, country, source, custom)."""
    had = sorted({skill for skills in reps["skills"] for skill in skills if ":" in skill})
    custom = [_texts(value) for value in leads["custom"]] if had else []
    found: list[list[str]] = [[] for _ in range(len(leads))]
    for skill in had:
        kind, _, wanted = skill.partition(":")
        told = leads[kind] if kind in LEAD else pd.Series([texts.get(kind) for texts in custom], index=leads.index, dtype="object")
        for row in np.flatnonzero(told.astype("object").map(lambda value, wanted=wanted: str(value) == wanted)):
            found[row].append(skill)
    return [tuple(skills) for skills in found]


def _texts(value: object) -> dict[str, object]:
    try:
        told = json.loads(value) if isinstance(value, str) else {}
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
