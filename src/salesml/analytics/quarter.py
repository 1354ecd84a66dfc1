"""What open deals yield before the quarter ends: simulated sums, the shock deals share, the chance of a quota, the coverage needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse, special, stats

from salesml.errors import BadInput

DRAWS = 4000
CELLS = 4_000_000
LEVELS = ("company", "region", "team", "rep")
COMPANY = "company"
LEAST_FOR_SHOCK = 8
MOST_SHOCK = 0.3
WANTED = 0.8
BAND = (0.1, 0.9)


@dataclass(frozen=True)
class Shock:
    """How far deals share their luck: the share of the (normal) luck of a deal that is common to all; 0 is independence.

    `quarters`: past quarters it was estimated from; with fewer than 8 it is not estimated, and 0.
    """

    size: float
    quarters: int

    @property
    def estimated(self) -> bool:
        """Whether there were quarters enough."""
        return self.quarters >= LEAST_FOR_SHOCK


def memberships(deals: pd.DataFrame) -> pd.DataFrame:
    """(level, name) pairs as columns `level`, `name`, `row`: in which sums each row of `deals` counts (columns region, team, rep)."""
    parts = [pd.DataFrame({"level": COMPANY, "name": COMPANY, "row": np.arange(len(deals))})]
    parts += [
        pd.DataFrame({"level": level, "name": deals[level].to_numpy(), "row": np.arange(len(deals))})
        for level in LEVELS[1:]
    ]
    return pd.concat(parts, ignore_index=True).dropna(subset=["name"])


def simulate(deals: pd.DataFrame, shock: float = 0.0, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Draws of what is won of the deals. Grain: one row per draw; columns (level, name) hold currency.

    deals: amount (currency, missing counts as 0), p_quarter (share 0..1), region, team, rep. A deal is won where its
    luck, √shock × common + √(1 - shock) × own (both standard normal), lies below its chance's quantile: chances stay what they
    are, wins come together. Raises BadInput for a chance that is missing or outside 0..1.
    """
    chances, amounts = deals["p_quarter"].to_numpy("float64"), _amounts(deals)
    wrong = ~((chances >= 0) & (chances <= 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise BadInput(
            "a chance is missing or outside 0..1",
            row=row + 1,
            column="p_quarter",
            value=str(chances[row]),
            mend="Give one per deal.",
        )
    member = memberships(deals)
    keys = pd.MultiIndex.from_frame(member[["level", "name"]])
    codes, names = pd.factorize(keys)
    sums = sparse.csr_matrix((amounts[member["row"]], (member["row"], codes)), shape=(len(deals), len(names)))
    found, quantile = np.zeros((draws, len(names))), special.ndtri(chances)
    for part, common, own in luck(len(deals), draws, seed):
        given = special.ndtr((quantile - np.sqrt(shock) * common) / np.sqrt(1 - shock)) if shock else chances
        found[part] = (own < given).astype("float64") @ sums
    return pd.DataFrame(found, columns=pd.MultiIndex.from_tuples(list(names), names=["level", "name"]))


def luck(deals: int, draws: int = DRAWS, seed: int = 0) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """The random numbers of `simulate`, in parts: which draws, the luck all deals share (normal, one a draw), each deal's own (uniform)."""
    rng, chunk = np.random.default_rng(seed), max(1, CELLS // max(deals, 1))
    for start in range(0, draws, chunk):
        size = min(chunk, draws - start)
        yield slice(start, start + size), rng.standard_normal((size, 1)), rng.random((size, deals))


def shock_size(past: pd.DataFrame) -> Shock:
    """The common shock from how far past quarters missed their expected yield, beyond what independent deals would.

    past: one row per deal and quarter: quarter, amount, chance (given without knowing that quarter), won (bool). For a small
    shock s the variance of a quarter's sum is Σ a²p(1-p) + s·((Σ aφ)² - Σ a²φ²), φ the normal density at the chance's
    quantile; s is fitted to the squared misses by least squares, each quarter weighted by its independent variance, and kept in 0..0.3.
    """
    known = past[past["amount"].notna()]
    quarters = int(known["quarter"].nunique())
    if quarters < LEAST_FOR_SHOCK:
        return Shock(0.0, quarters)
    amount, chance = known["amount"].to_numpy("float64"), known["chance"].to_numpy("float64").clip(1e-6, 1 - 1e-6)
    weight = amount * stats.norm.pdf(special.ndtri(chance))
    terms = pd.DataFrame(
        {
            "miss": amount * (known["won"].to_numpy("float64") - chance), "own": amount**2 * chance * (1 - chance),
            "sum": weight, "square": weight**2,
        }
    ).groupby(known["quarter"].to_numpy()).sum()  # fmt: skip
    terms = terms[terms["own"] > 0]
    together = (terms["sum"] ** 2 - terms["square"]) / terms["own"]
    excess = terms["miss"] ** 2 / terms["own"] - 1
    size = float((excess * together).sum() / (together**2).sum()) if (together > 0).any() else 0.0
    return Shock(float(np.clip(size, 0, MOST_SHOCK)), quarters)


def placed(draws: np.ndarray, mean: float, lo: float, hi: float) -> np.ndarray:
    """Draws carried, in their order, to another mean and another 80 % interval (lo, hi): below and above their median they are
    stretched along straight lines. Where none do it (a mean far to one side of the interval) they are only moved to the mean.
    """
    low, middle, high = np.quantile(draws, (BAND[0], 0.5, BAND[1]))
    if low < middle < high and lo < mean < hi:
        above = draws >= middle
        steps = np.where(above, (draws - middle) / (high - middle), (middle - draws) / (middle - low))
        fixed = steps * np.where(above, hi, lo)  # an end's part grows with the steps towards it, the median's falls
        median = (mean - fixed.mean()) / (1 - steps).mean()
        if lo < median < hi:
            return fixed + (1 - steps) * median
    return draws + (mean - draws.mean())


def chance_of_quota(
    won: np.ndarray, other: np.ndarray | None, booked: float, quota: float, open_amount: float, shared: float
) -> dict[str, float]:
    """The landing and the chance to reach a quota from draws of both parts. Money in currency.

    Gives expected (mean of what the open deals yield), other (mean of the rest; missing if unknown), lands (mean of where the
    quarter lands) with lo80 and hi80, probability (share of draws at or above the quota; missing without one), gap (quota less
    booked), coverage (open amount ÷ gap) and coverage_needed (the ratio with which 8 in 10 draws would reach it, the mix of
    deals as it is; missing where no gap is left or 40 times the pipeline would not do). shared: the part of the
    yield's variance that all deals share.
    """
    rest = np.zeros(len(won)) if other is None else other
    lands = booked + won + rest
    lo, hi = np.quantile(lands, BAND)
    gap = quota - booked
    chance = float("nan") if np.isnan(gap) else float(np.mean(won + rest >= gap))
    needed = _needed(won, rest, gap, shared)
    return {
        "expected": float(won.mean()), "other": float("nan") if other is None else float(rest.mean()),
        "lands": float(lands.mean()), "lo80": float(lo), "hi80": float(hi), "probability": chance,
        "gap": gap, "coverage": open_amount / gap if gap > 0 else float("nan"),
        "coverage_needed": needed * open_amount / gap if gap > 0 else float("nan"),
    }  # fmt: skip


def shared_variance(deals: pd.DataFrame, shock: float) -> float:
    """The part of the variance of the deals' sum that the common shock makes (currency squared)."""
    weight = _amounts(deals) * stats.norm.pdf(
        special.ndtri(deals["p_quarter"].to_numpy("float64").clip(1e-9, 1 - 1e-9))
    )
    return float(shock * weight.sum() ** 2)


def _needed(won: np.ndarray, rest: np.ndarray, gap: float, shared: float) -> float:
    """How many times the open deals would have to be there for 8 in 10 draws to reach the gap; NaN beyond 40 times."""
    mean, variance = won.mean(), won.var()
    if mean <= 0:
        return float("nan")
    own = max(variance - shared, 0.0)
    for times in np.r_[0.0, np.geomspace(0.01, 40, 400)]:
        wider = np.sqrt((times * own + times**2 * min(shared, variance)) / variance) if variance else 1.0
        if np.mean(times * mean + wider * (won - mean) + rest >= gap) >= WANTED:
            return float(times)
    return float("nan")


def _amounts(deals: pd.DataFrame) -> np.ndarray:
    return deals["amount"].astype("float64").fillna(0.0).to_numpy()
