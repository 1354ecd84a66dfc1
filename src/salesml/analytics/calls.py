"""Forecast calls: who sits below whom, calls summed up the tree, what needs attention, and won deals tied out to finance."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from salesml.analytics.quarter import COMPANY, LEVELS, memberships

KEYS = ["level", "name"]
TREE = [*KEYS, "label", "parent_level", "parent", "depth"]
FAR = 0.10
"""A call this share away from the sum below it needs a word."""
MOST_NAMES = 6
PARTS = {
    "not_booked": "not booked", "without_deal": "no won deal", "earlier": "won earlier", "differs": "differs",
    "moved": "other's credit",
}  # fmt: skip
Node = tuple[str, str]


def tree(people: pd.DataFrame, teams: pd.DataFrame, present: pd.DataFrame) -> pd.DataFrame:
    """Company, regions, teams and reps in one order, each after the one above it. Grain: one row per node.

    people: name, label, team, region of each rep; teams: name, label, region (all may be missing but name); present: level, name
    of what must be there; who sits above is added. Regions are a level where a rep or a team has one; a team without one lies in
    its reps' most frequent. Columns: level, name, label, parent_level, parent (missing for the company), depth (0: company).
    """
    team_of, region_of = _mapped(people, "team"), _mapped(people, "region")
    known = people.dropna(subset=["team", "region"]).groupby("team")["region"].agg(lambda values: values.mode().iloc[0])
    home = {str(team): region for team, region in known.items()} | _mapped(teams, "region")
    regional = bool(home or region_of)
    labels = _labels("rep", people) | _labels("team", teams)
    above: dict[Node, Node] = {}
    wanted = [node for node in present[KEYS].itertuples(index=False, name=None) if regional or node[0] != "region"]
    while wanted:
        level, name = node = wanted.pop()
        if level == COMPANY or node in above:
            continue
        team = team_of.get(name) if level == "rep" else None
        region = region_of.get(name) if level == "rep" else home.get(name) if level == "team" else None
        above[node] = ("team", team) if team is not None else ("region", region) if region is not None else (COMPANY, COMPANY)
        wanted.append(above[node])
    rows = list(_downward((COMPANY, COMPANY), _children(above, labels), labels | {(COMPANY, COMPANY): "the company"}, 0))
    return pd.DataFrame([(*node, label, *above.get(node, (None, None)), depth) for node, label, depth in rows], columns=TREE)


def roll_up(nodes: pd.DataFrame) -> pd.DataFrame:
    """Calls summed from below, and the gaps. Grain and order of `tree`; money in currency.

    nodes: `tree` with booked, model, quota, call (missing where there is none). A node below counts with its call,
    without one with the sum below it where somebody there called, else with the model's mean (means add up, medians do not; what
    is booked where the model is not known); what is booked for nobody below counts too. Adds below (missing where nobody is
    below), below_calls of below_nodes (how many of the numbers summed are calls), gap_model and gap_below (call less these),
    gap_quota (call, else the model, less quota).
    """
    index = {node: place for place, node in enumerate(nodes[KEYS].itertuples(index=False, name=None))}
    calls, booked = nodes["call"].to_numpy("float64"), nodes["booked"].to_numpy("float64")
    usual = nodes["model"].fillna(nodes["booked"]).to_numpy("float64")
    below, made, counted = np.zeros(len(nodes)), np.zeros(len(nodes), "int64"), np.zeros(len(nodes), "int64")
    loose = booked.copy()
    for place in reversed(range(len(nodes))):
        if counted[place]:
            below[place] += loose[place]
        up = index.get((nodes["parent_level"].iloc[place], nodes["parent"].iloc[place]))
        if up is None:
            continue
        own = not np.isnan(calls[place])
        through = not own and made[place] > 0
        below[up] += calls[place] if own else below[place] if through else usual[place]
        made[up] += int(own) or int(made[place])
        counted[up] += counted[place] if through else 1
        loose[up] -= booked[place]
    found = nodes.assign(below=np.where(counted > 0, below, np.nan), below_calls=made, below_nodes=counted)
    best = found["call"].fillna(found["model"])
    return found.assign(
        gap_model=found["call"] - found["model"], gap_below=found["call"] - found["below"], gap_quota=best - found["quota"]
    )


def attention(rows: pd.DataFrame, currency: str) -> tuple[str, ...]:
    """What needs a word, from the top down: calls outside the model's 80 % interval, far from the sum below, not made yet.

    rows: `roll_up` with lo80, hi80. Far is more than a tenth of the sum below, told where somebody below has called;
    of reps outside the interval the 6 with the greatest gaps are named.
    """
    if rows["call"].isna().all():
        return ("Nobody has called this quarter yet; call with: salesml call submit NODE PERIOD AMOUNT",)
    made = rows[rows["call"].notna()]
    reps = made[made["level"].eq("rep") & ((made["call"] > made["hi80"]) | (made["call"] < made["lo80"]))]
    quiet = reps.loc[reps["gap_model"].abs().sort_values(ascending=False, kind="stable").index[MOST_NAMES:]]
    told = [line for row in made.drop(index=quiet.index).to_dict("records") for line in _words(row, currency)]
    if len(quiet):
        told.append(f"{len(quiet):,} more reps call outside the model's 80 % interval, by less.")
    return (*told, *_silent(rows))


def _words(row: dict[Any, Any], currency: str) -> Iterator[str]:
    who = f"{title(row)} calls {row['call']:,.0f} {currency}"
    interval = f"the model's 80 % interval ({row['lo80']:,.0f} to {row['hi80']:,.0f})"
    if row["call"] > row["hi80"]:
        yield f"{who}, above {interval}: name the deals that the model does not know, or lower the call."
    elif row["call"] < row["lo80"]:
        yield f"{who}, below {interval}: name the deals that will not come, or raise the call."
    if row["below_calls"] and abs(row["gap_below"]) > FAR * abs(row["below"]):
        side = "more" if row["gap_below"] > 0 else "less"
        yield (
            f"{who}, {abs(row['gap_below']):,.0f} {side} than the {row['below']:,.0f} that those below come to "
            f"({row['below_calls']:,} of {row['below_nodes']:,} numbers are calls): agree on one number."
        )


def tie_out(won: pd.DataFrame, entries: pd.DataFrame) -> pd.DataFrame:
    """Won deals of a quarter beside its revenue entries, the difference explained to the cent. Grain: one row per level and name.

    won: every won deal up to the quarter's end: opportunity_id, cents, in_quarter (bool), rep, team, region; entries: revenue up to
    the quarter's end, with the same columns (a deal's id may be missing). Columns (exact decimals): crm, finance, difference
    (finance - crm), and its parts: not_booked (deals won without any entry yet, below 0), without_deal (entries that name no deal,
    or one not won by then), earlier (entries of deals won before), differs (booked in the quarter less won, of deals with entries),
    moved (booked for somebody else than the deal's owner; 0 for the company).
    """
    won, entries = (rows.astype({"in_quarter": "bool", "cents": "int64"}) for rows in (won, entries))
    mine, booked = won[won["in_quarter"]].reset_index(drop=True), entries[entries["in_quarter"]].reset_index(drop=True)
    landed = mine["opportunity_id"].map(booked.groupby("opportunity_id")["cents"].sum()).fillna(0).astype("int64")
    billed = mine["opportunity_id"].isin(entries["opportunity_id"])
    of_mine = booked["opportunity_id"].isin(mine["opportunity_id"])
    earlier = booked["opportunity_id"].isin(won.loc[~won["in_quarter"], "opportunity_id"]) & ~of_mine
    pieces = [
        mine.assign(part="crm"), booked.assign(part="finance"),
        mine[~billed].assign(part="not_booked", cents=-mine["cents"]),
        mine[billed].assign(part="differs", cents=landed - mine["cents"]),
        mine[billed].assign(part="moved", cents=-landed), booked[of_mine].assign(part="moved"),
        booked[earlier].assign(part="earlier"), booked[~of_mine & ~earlier].assign(part="without_deal"),
    ]  # fmt: skip
    rows = pd.concat(pieces, ignore_index=True)
    member = memberships(rows)
    member = member.assign(part=rows["part"].to_numpy()[member["row"]], cents=rows["cents"].to_numpy("int64")[member["row"]])
    sums = member.groupby([*KEYS, "part"])["cents"].sum().unstack("part", fill_value=0)
    sums = sums.reindex(columns=["crm", "finance", *PARTS], fill_value=0)
    if (COMPANY, COMPANY) not in sums.index:
        sums.loc[(COMPANY, COMPANY), :] = 0
    sums.insert(2, "difference", sums["finance"] - sums["crm"])
    return sums.map(lambda cents: Decimal(int(cents)) / 100).reset_index().rename_axis(columns=None)


def title(row: Any) -> str:
    """A node as it is called in a sentence: The company, Region West, Rep Ann."""
    return "The company" if row["level"] == COMPANY else f"{row['level'].capitalize()} {row['label']}"


def _silent(rows: pd.DataFrame) -> list[str]:
    told = []
    for level in LEVELS:
        part = rows[rows["level"] == level]
        missing = part.loc[part["call"].isna(), "label"]
        if level == COMPANY and len(missing):
            told.append("The company has no call yet.")
        elif len(missing):
            more = f" and {len(missing) - MOST_NAMES:,} more" if len(missing) > MOST_NAMES else ""
            told.append(f"No call yet for {len(missing):,} of {len(part):,} {level}s: {', '.join(missing.head(MOST_NAMES))}{more}.")
    return told


def _mapped(rows: pd.DataFrame, column: str) -> dict[str, str]:
    """The known values of a column by name."""
    known = rows.dropna(subset=[column])
    return dict(zip(known["name"], known[column], strict=True))


def _labels(level: str, rows: pd.DataFrame) -> dict[Node, str]:
    shared = rows["label"].duplicated(keep=False)
    told = rows["label"].where(~shared, rows["label"] + " (" + rows["name"] + ")")
    return {(level, name): label for name, label in zip(rows["name"], told, strict=True)}


def _children(above: dict[Node, Node], labels: dict[Node, str]) -> dict[Node, list[Node]]:
    found: dict[Node, list[Node]] = {}
    order = {level: place for place, level in enumerate(LEVELS)}
    for node in sorted(above, key=lambda node: (order[node[0]], labels.get(node, node[1]), node[1])):
        found.setdefault(above[node], []).append(node)
    return found


def _downward(
    node: Node, children: dict[Node, list[Node]], labels: dict[Node, str], depth: int
) -> Iterator[tuple[Node, str, int]]:
    yield node, labels.get(node, node[1]), depth
    for child in children.get(node, []):
        yield from _downward(child, children, labels, depth + 1)
