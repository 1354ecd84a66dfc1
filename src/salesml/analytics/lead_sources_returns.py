"""What groups of leads cost and bring: exact sums first, then ratios; what is still to come; and the ROI of such leads in the end."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from salesml.analytics.incidence import LEVEL
from salesml.analytics.lead_sources_facts import CONVERTED
from salesml.analytics.lead_sources_money import money
from salesml.analytics.lead_sources_rates import DRAWS, Timing

BASES = ("revenue", "margin")
SPREADS, SPREAD = np.linspace(0.0, 1.5, 61), 0.5
"""How far what a win brings may differ between groups: standard deviation over the mean, and the scale of its half-normal prior."""
LEAST_WON = 5
"""Wins of a group below which its mean says nothing of how far groups differ: one large deal makes no good source."""
MANY = 200
"""Wins of a group from which its mean is drawn as normal; below, its wins are drawn again."""


def to_come(leads: pd.DataFrame, deals: pd.DataFrame, rows: pd.DataFrame, of_leads: Timing, of_deals: Timing) -> np.ndarray:
    """Revenue expected of what is open, by row's group: kept chance (or that of its group and age) × amount of open deals, and of open
    leads their chance to convert × to be won × what a win usually brings.

    rows: group, rate, won_rate. A deal without an amount counts as a usual win, and nothing more is expected of leads older than the
    horizon.
    """
    index = pd.Index(rows["group"])
    rate, won_rate = (rows[name].fillna(0.0).to_numpy("float64") for name in ("rate", "won_rate"))
    amount, usual = deals["amount"].astype("float64") / 100, _usual(deals)
    open_now = deals[deals["ended"].isna()]
    codes = index.get_indexer(open_now["group"])
    by_age = of_deals.still(won_rate[codes], open_now["days"].to_numpy("float64"))
    chance = open_now["chance"].fillna(pd.Series(by_age, open_now.index)).to_numpy("float64")
    found = np.bincount(codes, chance * amount[open_now.index].fillna(usual).to_numpy("float64"), len(index))
    young = leads[leads["ended"].isna()]
    codes = index.get_indexer(young["group"])
    wins = of_leads.still(rate[codes], young["age"].to_numpy("float64")) * won_rate[codes]
    return found + usual * deals_per_conversion(leads, deals) * np.bincount(codes, wins, len(index))


def deals_per_conversion(leads: pd.DataFrame, deals: pd.DataFrame) -> float:
    """Deals that came of a converted lead, on average over all."""
    return len(deals) / max(int(leads["ended"].eq(CONVERTED).sum()), 1)


def costs(rows: pd.DataFrame, leads: pd.DataFrame, idle: pd.Series, deals: pd.DataFrame) -> pd.DataFrame:
    """`rows` (group, rate, lo, hi) with what the leads of each group cost. idle: cents of campaigns without leads, by group.

    Columns: cost (exact; missing where no lead's is known), costed_leads, costed_won, cost_per_lead, cost_per_conversion, cost_per_won
    (so far, over leads with a cost), conversion_cost with _lo and _hi (cost per lead over rate).
    """
    names, costed = rows["group"], leads[leads["costed"]]
    cents = _sums(costed["cost"].astype("int64"), costed["group"], names) + idle.reindex(names, fill_value=0).to_numpy()
    count = _sums(costed["costed"].astype("int64"), costed["group"], names)
    converted = _sums(costed["ended"].eq(CONVERTED).astype("int64"), costed["group"], names)
    won = _sums((deals["costed"] & deals["ended"].eq("won")).astype("int64"), deals["group"], names)
    known = (count > 0) | names.isin(idle.index).to_numpy()
    spent = np.where(known, cents / 100, np.nan)
    exact = [money(c) if k else None for c, k in zip(cents, known, strict=True)]
    found = rows.assign(cost=pd.Series(exact, rows.index, dtype="object"), costed_leads=count, costed_won=won)
    for name, number in (("cost_per_lead", count), ("cost_per_conversion", converted), ("cost_per_won", won)):
        found[name] = spent / np.where(number > 0, number, np.nan)
    for name, rate in (("conversion_cost", "rate"), ("conversion_cost_lo", "hi"), ("conversion_cost_hi", "lo")):
        found[name] = found["cost_per_lead"] / found[rate].where(found[rate] > 0)
    return found


def revenues(rows: pd.DataFrame, deals: pd.DataFrame, basis: str) -> pd.DataFrame:
    """`rows` (group, cost, costed_leads) with what came of the leads so far.

    Columns: pipeline (open deals), revenue, margin (won deals; all exact; margin only where it is the basis), unknown_amounts (won deals
    without an amount), largest (share of the largest won deal in revenue); of leads with a cost: returned (exact, on `basis`), roi_so_far.
    """
    names, won = rows["group"], deals["ended"].eq("won")
    column = {"pipeline": "amount", "revenue": "amount", "margin": "margin", "returned": "margin" if basis == "margin" else "amount"}
    chosen = {"pipeline": deals["ended"].isna(), "revenue": won, "margin": won, "returned": won & deals["costed"]}
    found = rows.copy()
    if basis != "margin":
        found["margin"] = None
        del column["margin"]
    for name, of in column.items():
        sums = _sums(_cents(deals, of).where(chosen[name], 0), deals["group"], names)
        found[name] = pd.Series([money(cents) for cents in sums], rows.index, dtype="object")
    found["unknown_amounts"] = _sums((won & deals["amount"].isna()).astype("int64"), deals["group"], names)
    largest = _cents(deals, "amount").where(won, 0).groupby(deals["group"]).max().reindex(names, fill_value=0).to_numpy() / 100
    found["largest"] = largest / found["revenue"].astype("float64").replace(0.0, np.nan).to_numpy()
    spent = _spent(rows)
    return found.assign(roi_so_far=(found["returned"].astype("float64").to_numpy() - spent) / spent)


@dataclass(frozen=True)
class Returns:
    """Draws of what such leads return in the end for what they cost. groups: names; draws: by basis, groups × draws of the ROI, missing
    where the cost is not known or nothing was won yet at all."""

    groups: tuple[str, ...]
    draws: dict[str, np.ndarray] = field(repr=False)


def returns(
    rows: pd.DataFrame, leads: pd.DataFrame, deals: pd.DataFrame, rates: np.ndarray, won_rates: np.ndarray, seed: int = 0
) -> Returns:
    """ROI of each group's leads once all of them and their deals are over: rate × share won × what a win brings / cost per lead - 1.

    rates, won_rates: draws (groups × draws) of the conversion rate and of the share of deals won, in the order of rows.
    """
    per_lead = _spent(rows) / rows["costed_leads"].replace(0, np.nan).to_numpy()
    wins = rates * won_rates * deals_per_conversion(leads, deals)
    found = {}
    for place, name in enumerate(BASES):
        worth = win_worth(deals, rows["group"], "margin" if name == "margin" else "amount", seed + place)
        found[name] = wins * worth / per_lead[:, None] - 1
    return Returns(tuple(rows["group"]), found)


def win_worth(deals: pd.DataFrame, groups: pd.Series, column: str, seed: int = 0) -> np.ndarray:
    """Draws (groups × draws) of what a win of each group brings on average, drawn towards all wins' as far as little is known.

    A group's weight against the rest is credibility's, wins × spread² / (wins × spread² + variance) (Bühlmann 1967), the spread between
    groups drawn from its posterior (groups of 5 wins or more, their means taken as normal), the variance that of all wins. A group's own
    mean is drawn by resampling its wins: amounts are heavy-tailed, and a few wins say little. Missing where nothing was won at all.
    """
    won = deals[deals["ended"].eq("won") & deals[column].notna()]
    value, index = won[column].to_numpy("float64") / 100, pd.Index(groups)
    if not len(value):
        return np.full((len(index), DRAWS), np.nan)
    rng, codes = np.random.default_rng(seed), index.get_indexer(won["group"])
    count = np.bincount(codes, minlength=len(index)).astype("float64")
    mean = np.bincount(codes, value, len(index)) / np.maximum(count, 1)
    usual = value.mean()
    variance = max(float(value.var(ddof=1)) if len(value) > 1 else usual**2, 1e-9)
    spread, told = SPREADS[:, None] * abs(usual), count >= LEAST_WON
    precision = 1 / (spread**2 + variance / count[told]) if told.any() else np.full((len(SPREADS), 1), len(value) / variance)
    at = mean[told] if told.any() else np.array([usual])
    middle = (precision * at).sum(axis=1) / precision.sum(axis=1)
    off = (precision * (at - middle[:, None]) ** 2).sum(axis=1)
    fit = 0.5 * (np.log(precision).sum(axis=1) - np.log(precision.sum(axis=1)) - off - (SPREADS / SPREAD) ** 2)
    weight = np.exp(fit - fit.max())
    which = rng.choice(len(SPREADS), DRAWS, p=weight / weight.sum())
    common = middle[which] + precision.sum(axis=1)[which] ** -0.5 * rng.standard_normal(DRAWS)
    own = np.zeros((len(index), DRAWS))
    for group in np.flatnonzero(count > 0):
        own[group] = _mean_again(value[codes == group], rng)
    square = spread[which, 0] ** 2
    credibility = count[:, None] * square / (count[:, None] * square + variance)
    other = common + np.sqrt(square) * rng.standard_normal((len(index), DRAWS))
    drawn = credibility * own + (1 - credibility) * other
    return drawn if column == "margin" else np.maximum(drawn, 0.0)


def _mean_again(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws of a mean over resampled values."""
    n = len(value)
    if n > MANY:
        return value.mean() + value.std(ddof=1) / np.sqrt(n) * rng.standard_normal(DRAWS)
    return np.asarray(rng.multinomial(n, np.full(n, 1 / n), DRAWS) @ value / n)


def roi(rows: pd.DataFrame, drawn: Returns, basis: str) -> pd.DataFrame:
    """`rows` with roi_revenue, roi_margin (means of the draws), and on `basis` roi, roi_lo, roi_hi (90 %), p_positive (chance above 0)."""
    found = rows.assign(**{f"roi_{name}": draws.mean(axis=1) for name, draws in drawn.draws.items()})
    draws = drawn.draws[basis]
    lo, hi = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    positive = np.where(np.isnan(draws[:, 0]), np.nan, (draws > 0).mean(axis=1))
    return found.assign(roi=found[f"roi_{basis}"], roi_lo=lo, roi_hi=hi, p_positive=positive)


def _spent(rows: pd.DataFrame) -> np.ndarray:
    """What leads with a cost cost; missing where there is none of them, or they cost nothing."""
    return rows["cost"].astype("float64").where(rows["costed_leads"] > 0).replace(0.0, np.nan).to_numpy("float64")


def _usual(deals: pd.DataFrame) -> float:
    """Mean amount of a won deal; 0 without one."""
    amounts = deals.loc[deals["ended"].eq("won"), "amount"].dropna().astype("float64")
    return float(amounts.mean()) / 100 if len(amounts) else 0.0


def _cents(deals: pd.DataFrame, column: str) -> pd.Series:
    return deals[column].fillna(0).astype("int64")


def _sums(values: pd.Series, groups: pd.Series, names: pd.Series) -> np.ndarray:
    return values.groupby(groups).sum().reindex(names, fill_value=0).to_numpy("int64")
