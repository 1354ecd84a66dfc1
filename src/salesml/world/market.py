"""What happens to everybody at once: good and bad times, a break in the trend, seasons, exchange rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salesml.world.clock import Clock, Floats, Ints, month_of_year, stream
from salesml.world.columns import Block
from salesml.world.knobs import Knobs

GROWTH_PER_YEAR = 0.06
OPENINGS_BY_MONTH = np.array([1.10, 1.05, 1.10, 1.00, 1.00, 1.00, 0.80, 0.75, 1.15, 1.15, 1.05, 0.75])
SHOCKS_PER_YEAR, SHOCK_WEEKS = 0.40, 22
MARKET_MOVES = np.array([[1 - SHOCKS_PER_YEAR / 52, SHOCKS_PER_YEAR / 52], [1 / SHOCK_WEEKS, 1 - 1 / SHOCK_WEEKS]])
"""Weekly chances to go from good (0) or bad (1) times to good or bad times."""
SHOCK_ON_OPENINGS = 0.78
BREAK_SIZES = (-0.25, -0.15, 0.15, 0.25)
RATES = {"USD": 1.0, "EUR": 1.09, "GBP": 1.27, "CAD": 0.74, "CHF": 1.13}
RATE_SPREAD = 0.008  # of a week's change, log


@dataclass(frozen=True)
class Market:
    """By week: `shock` (1 in bad times) and `openings` (relative number of new deals and leads).

    `broken_week`, `break_size`: from then on openings are that share higher or lower. `rate[currency, week]`: units of
    the company's currency for one unit of `knobs.money[currency]`.
    """

    shock: Ints
    openings: Floats
    broken_week: int
    break_size: float
    rate: Floats


def market(knobs: Knobs, clock: Clock) -> Market:
    """Draw the path of the market; it goes on past the end, where only the truth sees it."""
    rng, n = stream(knobs, "market"), len(clock.mondays)
    chance, shock = rng.random(n), np.zeros(n, np.int64)
    for week in range(1, n):
        shock[week] = chance[week] < MARKET_MOVES[shock[week - 1], 1]
    broken = int(rng.integers(clock.last // 4, 3 * clock.last // 4 + 1))
    size = float(rng.choice(BREAK_SIZES))
    growth = (1 + GROWTH_PER_YEAR) ** (np.arange(n) / 52)
    level = np.where(np.arange(n) >= broken, 1 + size, 1.0) * np.where(shock == 1, SHOCK_ON_OPENINGS, 1.0)
    codes = knobs.money
    start = np.array([RATES.get(code, 1.0) for code in codes]) / RATES.get(codes[0], 1.0)
    walk = np.cumsum(rng.normal(0, RATE_SPREAD, (len(codes), n)), axis=1)
    walk[0] = 0.0
    rate = np.round(start[:, None] * np.exp(walk), 5)
    return Market(shock, OPENINGS_BY_MONTH[month_of_year(clock.mondays)] * growth * level, broken, size, rate)


def lived_share(clock: Clock) -> Floats:
    """Share of each lived week's five working days that lie before the end."""
    return np.minimum((clock.end - clock.mondays[: clock.last]).astype(np.int64), 5) / 5


def fx_rates(knobs: Knobs, clock: Clock, market: Market) -> list[Block]:
    """fx_rate blocks: every Monday, each foreign currency in the company's own."""
    mondays = clock.mondays[: clock.last]
    return [
        {
            "fx_rate_id": np.char.add(f"{code}-{knobs.currency}-", mondays.astype(str)),
            "from_currency": code,
            "to_currency": knobs.currency,
            "rate": market.rate[number, : clock.last],
            "occurred_at": mondays.astype("datetime64[s]"),
        }
        for number, code in enumerate(knobs.money)
        if number
    ]
