"""Leads and reps as routing takes them: who may take which lead, how many more, and what each pair is worth."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from salesml.errors import BadInput

LEADS: dict[str, Any] = {"territories": (), "needs": (), "within_hours": np.nan, "chance": np.nan}
"""Columns of leads beside lead_id, with what counts where one is left out."""
REPS: dict[str, Any] = {
    "name": None, "capacity": None, "weight": 1.0, "held": 0, "workload": 0.0, "last_at": pd.NaT, "territories": (), "skills": (),
    "available": True, "response_hours": np.nan,
}  # fmt: skip
"""Columns of reps beside owner_id, with what counts where one is left out; capacity: as many as there are leads."""


@dataclass(frozen=True)
class Board:
    """Leads × reps: `eligible` (territory, skills, response time, availability) and `values` (what the lead is expected to bring).

    By rep: capacity (how many more leads), held (leads of the last 30 days), weight (share of leads that is fair, quota say), workload
    (open work), waited (seconds since the last lead, infinite for none). leads, reps: the frames, in order, with every column.
    """

    leads: pd.DataFrame = field(repr=False)
    reps: pd.DataFrame = field(repr=False)
    eligible: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)

    @property
    def capacity(self) -> np.ndarray:
        """How many more leads each rep can take."""
        return self.reps["capacity"].to_numpy("int64")

    @property
    def held(self) -> np.ndarray:
        """Leads each rep got in the last 30 days."""
        return self.reps["held"].to_numpy("int64")

    @property
    def weight(self) -> np.ndarray:
        """Share of the leads that is each rep's: twice the weight, twice the leads."""
        return self.reps["weight"].to_numpy("float64")

    @property
    def waited(self) -> np.ndarray:
        """Order in which reps had their last lead: the smaller, the longer ago."""
        last = self.reps["last_at"]
        return np.where(last.isna(), -np.inf, last.rank(method="dense").to_numpy("float64"))


@dataclass(frozen=True)
class Drawn:
    """Positions of reps by lead (-1: nobody): `chosen`; `planned`, before a lot was drawn for trial's sake; chance of the one chosen."""

    chosen: np.ndarray
    planned: np.ndarray
    propensity: np.ndarray


def board(leads: pd.DataFrame, reps: pd.DataFrame, values: np.ndarray) -> Board:
    """Check leads, reps and values (leads × reps, currency) and work out who may take what.

    leads: one row per lead_id, with LEADS: territories (any rep of one of them; none: of any), needs (skills that a rep must all have),
    within_hours (the rep's usual response must not be slower). reps: one row per owner_id, with REPS. BadInput names what is wrong.
    """
    for frame, key, what in ((leads, "lead_id", "leads"), (reps, "owner_id", "reps")):
        if key not in frame or frame[key].isna().any() or frame[key].duplicated().any():
            raise BadInput(f"{what} have one row per {key}", column=key, mend="Leave out what is twice or has no id.")
    leads, reps = _with(leads, LEADS), _with(reps, REPS)
    reps["capacity"] = reps["capacity"].astype("object").where(reps["capacity"].notna(), len(leads)).astype("float64")
    reps["name"] = reps["name"].where(reps["name"].notna(), reps["owner_id"])
    for column, low, strict in (("capacity", 0, False), ("held", 0, False), ("weight", 0, True)):
        number = pd.to_numeric(reps[column], errors="coerce")
        wrong = ~np.isfinite(number) | ((number <= low) if strict else (number < low)) | ((number % 1 != 0) & (column != "weight"))
        if wrong.any():
            row = reps[wrong].iloc[0]
            kind = "a number above 0" if strict else "a whole number of 0 or more"
            raise BadInput(f"{column} of rep {row['owner_id']} is not {kind}", column=column, value=str(row[column]))
    worth = np.asarray(values, dtype="float64")
    if worth.shape != (len(leads), len(reps)) or not np.isfinite(worth).all() or (worth < 0).any():
        raise BadInput(f"values are finite numbers of 0 or more, {len(leads)} leads × {len(reps)} reps", value=str(worth.shape))
    return Board(leads, reps, eligible(leads, reps), worth)


def eligible(leads: pd.DataFrame, reps: pd.DataFrame) -> np.ndarray:
    """Leads × reps: whether the rep is available, works one of the lead's territories, has the skills it needs, answers in time."""
    leads, reps = _with(leads, LEADS), _with(reps, REPS)
    there, works = _marks(leads["territories"], reps["territories"])
    needs, has = _marks(leads["needs"], reps["skills"])
    territory = ((there @ works.T) > 0) | (there.sum(axis=1) == 0)[:, None] | (works.sum(axis=1) == 0)
    skilled = (needs @ (1 - has).T) == 0
    slow = reps["response_hours"].to_numpy("float64") > leads["within_hours"].to_numpy("float64")[:, None]
    return reps["available"].eq(True).to_numpy() & territory & skilled & ~slow


def obstacle(lead: Any, rep: Any) -> str:
    """What keeps a rep (a row) from a lead (a row), in words; '' where nothing does."""
    if rep.available is not True and rep.available != True:  # noqa: E712 (numpy's truth too)
        return "is not available"
    territories, works = named(lead.territories), named(rep.territories)
    if territories and works and not set(territories) & set(works):
        return f"does not work {' or '.join(territories)}"
    missing = [need for need in named(lead.needs) if need not in named(rep.skills)]
    if missing:
        return f"lacks {' and '.join(missing)}"
    if rep.response_hours > lead.within_hours:
        return f"usually answers after {rep.response_hours:.1f} hours, {lead.within_hours:.1f} are allowed"
    return ""


def why_nobody(made: Board, row: int) -> str:
    """Why nobody took a lead: the obstacles, or that those who might take it have no place left."""
    may = made.eligible[row]
    if may.any():
        count = int(may.sum())
        return f"all {count} reps who may take it are full" if count > 1 else "the one rep who may take it is full"
    if not len(made.reps):
        return "there is no rep"
    lead = next(made.leads.iloc[[row]].itertuples())
    told = pd.Series([obstacle(lead, rep) for rep in made.reps.itertuples()]).value_counts()
    parts = [f"{count} {'rep' if count == 1 else 'reps'} {_plural(text, count)}" for text, count in told.head(3).items()]
    return "nobody may take it: " + "; ".join(parts)


def _plural(text: Any, count: int) -> str:
    if count == 1:
        return str(text)
    for one, many in (("is ", "are "), ("does ", "do "), ("lacks ", "lack "), ("usually answers after", "usually answer after")):
        if str(text).startswith(one):
            return many + str(text)[len(one) :]
    return str(text)


def _with(frame: pd.DataFrame, columns: dict[str, Any]) -> pd.DataFrame:
    made = frame.reset_index(drop=True).copy()
    for name, value in columns.items():
        if name not in made:
            made[name] = [value] * len(made)
    return made


def named(values: Any) -> tuple[str, ...]:
    """Territories or skills of one row: a collection of texts, one text, or none."""
    if isinstance(values, str):
        return (values,)
    if isinstance(values, Collection):
        return tuple(sorted(map(str, values)))
    return ()


def _marks(left: Iterable[Any], right: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Two lists of collections as rows of 0 and 1 over the texts that occur in either."""
    lists = [[named(values) for values in part] for part in (left, right)]
    place = {name: number for number, name in enumerate(sorted({name for part in lists for names in part for name in names}))}
    marks = []
    for part in lists:
        found = np.zeros((len(part), len(place)), dtype="float32")
        for row, names in enumerate(part):
            found[row, [place[name] for name in names]] = 1
        marks.append(found)
    return marks[0], marks[1]
