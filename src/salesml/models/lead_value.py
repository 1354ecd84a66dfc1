"""What a lead brings if it converts, and by which rep: learnt from the deals that came of leads.

worth = P(win) × E(amount | won). P(win) is a logistic regression on what is known of the lead; the amount a linear regression of its
logarithm, scaled so that what was won adds up. Effects are drawn toward 0 as strongly as the data ask for (evidence, MacKay 1992), so
that few deals give nearly one number for all. A rep's effect is a log-odds of winning beside what the rep's deals were like, learnt from
all closed deals, those of no lead too. A deal that is still open is no failure: closed ones stand for it by the inverse of the chance
that one of their length could have been seen to close (Robins and Rotnitzky 1992).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import BayesianRidge

from salesml.errors import NotEnoughData
from salesml.models.columns import level_codes, levels_of
from salesml.models.design import Design
from salesml.models.laplace import laplace

LEAD = ("source", "industry", "country", "title", "employees")
"""What is asked of a lead."""
TRAITS = ("type", "segment", "product_id", "source", "industry", "country", "employees", "first_amount")
"""What a rep's deals were like, so that a rep of easy deals is not taken for a good one."""
NUMBERS = ("employees", "first_amount")
SIZES = (10, 20, 50, 100, 250, 500, 1_000, 2_500)
"""Employees at which a company counts as of another size: what it brings does not rise evenly with its head count."""
PRIOR_WEEKS = 8.0
"""Weeks of deals at everybody's rate that a rep's record of meetings starts with."""
LEAST_DEALS = 10
RARE, CLIP = 5, 3.0
RAMP = dt.timedelta(days=182)
MOST_WEIGHT = 10.0
ROUNDS = 12
FIRST_PENALTY, LEAST_PENALTY, MOST_PENALTY, FREE = 10.0, 0.5, 1e6, 1e-6


@dataclass(frozen=True)
class LeadValue:
    """What a converted lead brings as of an instant, in `currency`, with an average rep and with each rep.

    reps: one row per rep who was the first owner of a closed deal, by owner_id: effect (log-odds of winning as of the day, the mean rep
    0, a new rep's ramp in it), spread (its standard error), deals (closed). deals, won: closed deals of leads it was learnt from.
    """

    as_of: dt.datetime
    currency: str
    deals: int
    won: int
    reps: pd.DataFrame = field(repr=False)
    ramp: float
    design: Design = field(repr=False)
    centres: np.ndarray = field(repr=False)
    win: np.ndarray = field(repr=False)
    size: np.ndarray = field(repr=False)

    @classmethod
    def fit(cls, deals: pd.DataFrame, hired: pd.Series, as_of: dt.datetime, currency: str) -> LeadValue:
        """Learn from deals known before `as_of`.

        Grain: one row per deal, open ones too. Columns: lead_id (missing: it came of no lead), owner_id (the first), status, amount and
        first_amount (currency; may be missing), created_at, closed_at (missing while open), the lead's LEAD columns as lead_NAME,
        TRAITS, and meetings with the customer (may be left out). hired: first day of each rep, by owner_id, may be missing. Raises
        NotEnoughData below 10 won (with an amount) and 10 other closed deals of leads.
        """
        closed = deals[deals["closed_at"].notna()].assign(won=lambda rows: rows["status"].eq("won").astype("float64"))
        weight = _stands_for(deals, closed, as_of)
        new = _newness(closed["owner_id"], closed["created_at"], hired, deals["created_at"].min())
        meets = _meeting_rates(deals, as_of)
        reps, ramp = _rep_effects(closed, weight, new, meets)
        of_lead = closed["lead_id"].notna().to_numpy()
        rows, weight, new = closed[of_lead], weight[of_lead], new[of_lead]
        won = rows["won"].to_numpy()
        if min(won.sum(), len(won) - won.sum()) < LEAST_DEALS or rows.loc[won == 1, "amount"].notna().sum() < LEAST_DEALS:
            counts = f"{won.sum():.0f} won and {len(won) - won.sum():.0f} other closed deals"
            raise NotEnoughData(
                f"what a lead brings is learnt from deals with a lead_id: {counts} of leads are known as of {as_of:%Y-%m-%d}, "
                f"{LEAST_DEALS} of each are needed, the won ones with their amount"
            )
        X = _lead_columns(rows, "lead_")
        design = Design.fit(X, ["size", *LEAD[:-1]], at_least=RARE, clip=CLIP)
        centres = np.average(design.matrix(X), axis=0, weights=weight)
        terms = design.matrix(X) - centres
        known = reps["effect"].reindex(rows["owner_id"]).fillna(0.0).to_numpy() + ramp * new
        win = _drawn(terms, won, weight, design.owners, offset=known)[0]
        kept = (won == 1) & rows["amount"].gt(0).to_numpy()
        size = _sizes(terms[kept], rows["amount"].to_numpy("float64")[kept], weight[kept])
        today = _newness(reps.index.to_series(), pd.Series(pd.Timestamp(as_of), reps.index), hired, deals["created_at"].min())
        reps = reps.assign(effect=reps["effect"] + ramp * today)
        return cls(as_of, currency, len(rows), int(won.sum()), reps, ramp, design, centres, win, size)

    def chance(self, leads: pd.DataFrame) -> np.ndarray:
        """P(a deal of the lead is won in the end) with an average rep, one per row of `leads` (LEAD columns)."""
        return expit(self._log_odds(leads))

    def amount(self, leads: pd.DataFrame) -> np.ndarray:
        """What a won deal of the lead is expected to bring, company currency."""
        return np.exp(self.size[0] + self._terms(leads) @ self.size[1:])

    def worth(self, leads: pd.DataFrame) -> np.ndarray:
        """Expected won revenue of each lead (LEAD columns) if it converts, with an average rep, company currency."""
        return self.chance(leads) * self.amount(leads)

    def matrix(self, leads: pd.DataFrame, reps: Sequence[str]) -> np.ndarray:
        """Expected won revenue if it converts, leads × reps, company currency; a rep without closed deals is an average one."""
        effects = self.reps["effect"].reindex(list(reps)).fillna(0.0).to_numpy()
        return expit(self._log_odds(leads)[:, None] + effects) * self.amount(leads)[:, None]

    def _log_odds(self, leads: pd.DataFrame) -> np.ndarray:
        return self.win[0] + self._terms(leads) @ self.win[1:]

    def _terms(self, leads: pd.DataFrame) -> np.ndarray:
        return self.design.matrix(_lead_columns(leads)) - self.centres


def _lead_columns(rows: pd.DataFrame, prefix: str = "") -> pd.DataFrame:
    found = pd.DataFrame({name: rows[f"{prefix}{name}"] for name in LEAD})
    employees = pd.to_numeric(found["employees"]).astype("float64")
    size = pd.Series(np.searchsorted(SIZES, employees, side="right").astype("str"), employees.index).where(employees.notna(), None)
    return found.assign(employees=np.log1p(employees), size=size)


def _stands_for(deals: pd.DataFrame, closed: pd.DataFrame, as_of: dt.datetime) -> np.ndarray:
    """How many deals each closed one stands for: those that had less time to close than it took count through it."""
    watched = np.sort(_days(pd.Timestamp(as_of) - deals["created_at"]))
    took = _days(closed["closed_at"] - closed["created_at"])
    seen = 1 - np.searchsorted(watched, took, side="left") / len(watched)
    return np.minimum(1 / np.maximum(seen, 1 / MOST_WEIGHT), MOST_WEIGHT)


def _newness(owner: pd.Series, at: pd.Series, hired: pd.Series, first: pd.Timestamp) -> np.ndarray:
    """1 on the first day of a rep, 0 from half a year on; reps of the first day there is a deal are not new."""
    since = pd.to_datetime(hired.reindex(owner.to_numpy()), utc=True).set_axis(at.index)
    left = 1 - _days(at - since) / (RAMP / dt.timedelta(days=1))
    return np.where((since > first).to_numpy(), np.clip(np.nan_to_num(left), 0.0, 1.0), 0.0)


def _meeting_rates(deals: pd.DataFrame, as_of: dt.datetime) -> pd.Series:
    """How often each rep meets customers: the log of meetings a week of open deals, drawn to everybody's; 0 for all without any."""
    if "meetings" not in deals:
        return pd.Series(0.0, deals["owner_id"].dropna().unique())
    weeks = _days(deals["closed_at"].fillna(pd.Timestamp(as_of)) - deals["created_at"]) / 7
    counts = pd.DataFrame({"owner": deals["owner_id"], "meetings": deals["meetings"].fillna(0.0), "weeks": weeks}).groupby("owner").sum()
    rate = counts["meetings"].sum() / max(counts["weeks"].sum(), 1.0)
    if not rate:
        return pd.Series(0.0, counts.index)
    return np.log((counts["meetings"] + PRIOR_WEEKS * rate) / (counts["weeks"] + PRIOR_WEEKS) / rate)


def _rep_effects(closed: pd.DataFrame, weight: np.ndarray, new: np.ndarray, meets: pd.Series) -> tuple[pd.DataFrame, float]:
    """Each rep's log-odds of winning beside what the deals were like, and what a rep's first day takes away (log-odds).

    How often a rep meets customers (`meets`, by rep) tells of the effect where there are few deals to tell it by.
    """
    X = closed[list(TRAITS)].assign(**{name: np.log1p(closed[name].astype("float64")) for name in NUMBERS})
    design = Design.fit(X, [name for name in TRAITS if name not in NUMBERS], at_least=RARE, clip=CLIP)
    names = levels_of(closed["owner_id"], at_least=1)
    owners = np.eye(len(names))[level_codes(closed["owner_id"], names)]
    traits = design.matrix(X)
    pace = meets.reindex(closed["owner_id"]).fillna(0.0).to_numpy()
    centred = np.column_stack([traits, pace])
    columns = np.column_stack([centred - np.average(centred, axis=0, weights=weight), owners, new])
    last = len(TRAITS)
    groups = np.concatenate([design.owners, [last + 2], np.full(len(names), last), [last + 1]])
    effects, variances = _drawn(columns, closed["won"].to_numpy(), weight, groups)
    mine = slice(2 + traits.shape[1], 2 + traits.shape[1] + len(names))
    counts = closed["owner_id"].value_counts()
    found = pd.DataFrame({"effect": effects[mine], "spread": np.sqrt(variances[mine])}, index=pd.Index(names, name="owner_id"))
    found = found[found.index.isin(counts.index)]
    at = meets.reindex(found.index)
    found["effect"] += effects[1 + traits.shape[1]] * (at - np.average(at, weights=counts.reindex(found.index)))
    return found.assign(deals=counts.reindex(found.index)), float(effects[-1])


def _drawn(
    columns: np.ndarray, y: np.ndarray, weight: np.ndarray, groups: np.ndarray, offset: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Intercept and effects of a logistic regression, and their variances; effects of a group share a penalty, learnt by evidence."""
    known = np.zeros(len(y)) if offset is None else offset
    rows = np.column_stack([known, np.ones(len(y)), columns])
    penalties = np.concatenate([[1 / FREE, FREE], np.full(columns.shape[1], FIRST_PENALTY)])
    start = float(logit((weight @ y + 0.5) / (weight.sum() + 1)))
    centre = np.concatenate([[1.0, start], np.zeros(columns.shape[1])])
    effects = centre
    for _ in range(ROUNDS):
        effects, curvature, _ = laplace(rows, y, weight, centre, penalties, start=effects)
        spread = np.diag(np.linalg.inv(curvature))
        for group in np.unique(groups):
            mine = 2 + np.flatnonzero(groups == group)
            told = max(len(mine) - penalties[mine] @ spread[mine], 0.05)
            penalties[mine] = np.clip(told / max(effects[mine] @ effects[mine], 1e-9), LEAST_PENALTY, MOST_PENALTY)
    return effects[1:], spread[1:]


def _sizes(terms: np.ndarray, amount: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Intercept and effects on the logarithm of the amount, the intercept such that what was won adds up."""
    line = BayesianRidge().fit(terms, np.log(amount), sample_weight=weight)
    plain = terms @ line.coef_
    return np.concatenate([[np.log(weight @ amount / (weight @ np.exp(plain)))], line.coef_])


def _days(span: pd.Series) -> np.ndarray:
    return (span.dt.total_seconds() / 86_400).to_numpy("float64")
