"""Coaching hints: where a rep does surely less of something than a quarter of the peers do least, the one next step, and what it concerns.

"Surely": the upper end of the rep's 90 % interval lies below the peers' lower quarter, and of all such gaps at most 5 % are expected to
come of luck alone (Benjamini and Hochberg 1995). The quarter is that of the peers' true levels, a beta distribution fitted to what they
did: raw shares of few cases scatter by luck and would put it too low, or at 100 %. What goes with more wins need not bring them: a hint
says how it was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta, betabinom, false_discovery_control

from salesml.analytics import words
from salesml.analytics.activity import QUIET_DAYS
from salesml.analytics.activity_outcomes import LABEL
from salesml.analytics.activity_response import share_of
from salesml.errors import BadInput

LEAST_COUNT, LEAST_PEERS, MOST_HINTS = 5, 4, 3
QUARTER, FALSE = 0.25, 0.05
SETTLED_DAYS = 14
GAPS = {
    "in_touch": ("open deals in touch", "open deals touched in the past 14 days"),
    "answers": ("messages answered within a day", "customers' messages answered within 24 hours"),
    "contacts": ("open deals with two people or more", "open deals older than 14 days with two people of the customer or more in contact"),
    "meetings": ("open deals with a meeting held", "open deals older than 14 days with a meeting or demo held"),
    "accounts": ("accounts touched this quarter", "accounts in charge touched this quarter"),
}
COUNTED = ["gap", "rep", "part", "whole"]
_DAY: Any = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Hint:
    """One gap of one rep. share with lo, hi (90 %) of `whole` cases; quarter: the peers' lower quarter; deals: what it concerns, the
    greatest first (kind, id, name, amount: exact or missing, told); evidence in words, always labelled correlational."""

    rep: str
    name: str
    gap: str
    share: float
    lo: float
    hi: float
    whole: int
    quarter: float
    p_value: float
    step: str
    evidence: str
    deals: pd.DataFrame = field(repr=False)
    label: str = LABEL

    @property
    def finding(self) -> str:
        """What was seen, in words."""
        return (
            f"{words.percent(self.share)} of {self.whole:,} {GAPS[self.gap][1]} (90{words.NARROW}% interval {words.percent(self.lo)} to "
            f"{words.percent(self.hi)}); three in four peers reach {words.percent(self.quarter)}."
        )


def counted(work: pd.DataFrame, messages: pd.DataFrame, owned: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """What hints are counted from. Grain: one row per gap and rep of whom any case is known.

    work: `activity.open_work`; messages: `activity_response.messages`; owned: `activity.accounts`. Columns: gap (of GAPS), rep, part (cases
    done as wished), whole (cases). Contacts only where an open deal names one.
    """
    settled = work[(as_of - work["created_at"]) / _DAY > SETTLED_DAYS]
    judged = messages[messages["soon"].notna()]
    cases = {"in_touch": (work["rep"], work["in_touch"]), "answers": (judged["rep"], judged["soon"]),
             "meetings": (settled["rep"], settled["meetings"] > 0), "accounts": (owned["rep"], owned["touched"])}  # fmt: skip
    if work["contacts"].gt(0).any():
        cases["contacts"] = (settled["rep"], settled["contacts"] >= 2)
    parts = []
    for gap, (rep, done) in cases.items():
        found = pd.DataFrame({"rep": rep.to_numpy(), "done": done.astype("int64").to_numpy()}).dropna(subset="rep").groupby("rep")["done"]
        parts.append(found.agg(part="sum", whole="size").reset_index().assign(gap=gap))
    return pd.concat(parts, ignore_index=True)[COUNTED]


def gaps(counts: pd.DataFrame, peers: pd.Series) -> pd.DataFrame:
    """How each rep's shares lie to the peers' lower quarter. Grain: one row per gap and rep with 5 cases or more.

    counts: `counted`; peers: the group each rep is compared in, by rep (others are left out); groups of fewer than 5 are compared with all.
    Columns: gap, rep, whole, share, lo, hi (90 %), peers (others with 5 cases), quarter (`lower_quarter` of theirs; missing below 4),
    p_value (to see so few were the rep at it), sure. Raises BadInput where a part is greater than its whole.
    """
    if (wrong := counts["part"].gt(counts["whole"]) | counts["part"].lt(0)).any():
        raise BadInput("a part is not within its whole", row=int(np.flatnonzero(wrong)[0]) + 1, column="part")
    known = counts[counts["whole"].ge(LEAST_COUNT) & counts["rep"].isin(peers.index)]
    rows = []
    for gap, all_ in known.groupby("gap", sort=False):
        group = all_["rep"].map(peers)
        for place in all_.index:
            others = all_.index != place
            mine = others & group.eq(group[place]).to_numpy()
            beside = all_[mine] if mine.sum() >= LEAST_PEERS else all_[others]
            enough = len(beside) >= LEAST_PEERS
            quarter = lower_quarter(beside["part"].to_numpy(), beside["whole"].to_numpy()) if enough else np.nan
            part, whole = int(all_["part"][place]), int(all_["whole"][place])
            value, lo, hi = share_of(part, whole)
            rows.append({
                "gap": gap, "rep": all_["rep"][place], "whole": whole, "share": value, "lo": lo, "hi": hi, "peers": len(beside),
                "quarter": quarter, "p_value": _so_few(part, whole, quarter, int(beside["whole"].sum())) if enough else np.nan,
            })  # fmt: skip
    columns = ["gap", "rep", "whole", "share", "lo", "hi", "peers", "quarter", "p_value"]
    found = pd.DataFrame(rows, columns=columns)
    fair = pd.Series(False, found.index)
    if (tested := found["p_value"].notna()).any():
        fair[tested] = false_discovery_control(found.loc[tested, "p_value"].to_numpy("float64")) <= FALSE
    return found.assign(sure=fair & (found["hi"] < found["quarter"]))


def lower_quarter(part: np.ndarray, whole: np.ndarray) -> float:
    """Below what share a quarter of true shares lie, of which `part` of `whole` were drawn: a beta distribution by its moments.

    Where shares lie no further apart than by luck, all true shares are taken to be the common one.
    """
    count, total = len(whole), float(whole.sum())
    common = (float(part.sum()) + 0.5) / (total + 1)
    scatter = float((whole * (part / whole - common) ** 2).sum())
    between = (scatter - (count - 1) * common * (1 - common)) / (total - float((whole**2).sum()) / total)
    if between <= 0:
        return common
    strength = max(common * (1 - common) / between - 1, 1e-3)
    return float(beta.ppf(QUARTER, common * strength, (1 - common) * strength))


def _so_few(part: int, whole: int, quarter: float, known: int) -> float:
    """Chance of so few, or fewer, at the quarter, which itself is known from so many cases only (beta-binomial)."""
    return float(betabinom.cdf(part, whole, quarter * (known + 1), (1 - quarter) * (known + 1)))


def hints(
    found: pd.DataFrame,
    names: pd.Series,
    concerned: dict[str, pd.DataFrame],
    evidence: dict[str, str],
) -> list[Hint]:
    """At most three hints a rep, the surest first, of `gaps` that are sure and concern something.

    names: of reps, by id; concerned: by gap, rows with rep, kind, id, name, amount, told; evidence: by gap, in words.
    """
    told: list[Hint] = []
    for row in found[found["sure"]].sort_values(["rep", "p_value"], kind="stable").to_dict("records"):
        mine = concerned[row["gap"]]
        mine = mine[mine["rep"] == row["rep"]].drop(columns="rep").reset_index(drop=True)
        if mine.empty or sum(hint.rep == row["rep"] for hint in told) >= MOST_HINTS:
            continue
        told.append(Hint(
            row["rep"], str(names.get(row["rep"], row["rep"])), row["gap"], row["share"], row["lo"], row["hi"], row["whole"],
            row["quarter"], row["p_value"], _step(row["gap"], len(mine), mine), evidence[row["gap"]], mine,
        ))  # fmt: skip
    return sorted(told, key=lambda hint: (hint.name, hint.rep, hint.p_value))


def concerned(work: pd.DataFrame, waits: pd.DataFrame, owned: pd.DataFrame, as_of: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """What each gap is about, by gap: rep, kind (deal, lead, account, contact), id, name, amount (exact), told; the greatest first.

    waits: `activity_response.waiting`; the others as in `counted`.
    """
    settled = (as_of - work["created_at"]) / _DAY > SETTLED_DAYS
    silent = "silent for " + work["silent_days"].fillna(0).astype("int64").map(words.days)
    people = work["contacts"].map(lambda count: "nobody named so far" if count == 0 else "one person so far")
    waited = [f"waits for {words.days(hours / 24)}" for hours in waits["hours"]]
    deals = {
        "in_touch": work.assign(told=silent)[~work["in_touch"]],
        "contacts": work.assign(told=people)[settled & work["contacts"].lt(2)],
        "meetings": work.assign(told="no meeting held")[settled & work["meetings"].eq(0)],
    }  # fmt: skip
    found = {gap: _listed(rows.assign(kind="deal", id=rows["opportunity_id"])) for gap, rows in deals.items()}
    found["answers"] = _listed(waits.assign(id=waits["about"], told=waited))
    quiet = owned[~owned["touched"]].sort_values("revenue", ascending=False, kind="stable")
    found["accounts"] = quiet.assign(kind="account", id=quiet["account"], amount=quiet["revenue"], told="revenue so far")[_LISTED]
    return found


_LISTED = ["rep", "kind", "id", "name", "amount", "told"]


def _listed(rows: pd.DataFrame) -> pd.DataFrame:
    order = rows.sort_values("cents", ascending=False, kind="stable", na_position="last")
    return order.assign(amount=_amounts(order["cents"]))[_LISTED].reset_index(drop=True)


def _amounts(cents: pd.Series) -> Any:
    return [None if pd.isna(value) else Decimal(int(value)).scaleb(-2) for value in cents]


def _step(gap: str, count: int, rows: pd.DataFrame) -> str:
    first = str(rows["name"].iloc[0])
    return {
        "in_touch": f"Contact the {words.count(count, 'open deal')} silent for over {QUIET_DAYS} days, {first} first.",
        "answers": f"Answer the {words.count(count, 'conversation')} that wait, {first} first, and each new message within a day.",
        "contacts": f"Ask for a second person in {words.count(count, 'open deal')} with one or none, {first} first.",
        "meetings": f"Offer a meeting or demo in {words.count(count, 'open deal')} without one, {first} first.",
        "accounts": f"Contact the {words.count(count, 'account')} not touched this quarter, {first} first.",
    }[gap]
