"""The company's calendar: weeks, quarter ends, seasons, and the random streams of each part of the world."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from salesml.world.knobs import WARM_UP_WEEKS, Knobs

HORIZON_WEEKS = 104
"""How long after the end deals are still lived (for the truth only); what is open then is given up."""
DAY, HOUR = 86_400, 3_600

Times = NDArray[np.datetime64]
Ints = NDArray[np.integer]
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Clock:
    """Weeks from the CRM's first Monday to the horizon.

    `mondays[w]` is 00:00 UTC of week w. `last` is the number of weeks that begin before the end.
    `rush[w]` is 1 in the last two weeks that begin in a quarter, else 0.
    `start`, `end`: first day of the ledger, first day not lived.
    """

    mondays: Times
    rush: Ints
    start: np.datetime64
    end: np.datetime64
    last: int

    @property
    def end_second(self) -> np.datetime64:
        """The first instant not lived."""
        return self.end.astype("datetime64[s]")

    def office_time(self, rng: np.random.Generator, week: Ints) -> Times:
        """A random second from 08:00 to 18:00 UTC, Monday to Friday, of each given week."""
        n = len(week)
        second = rng.integers(0, 5, n) * DAY + 8 * HOUR + rng.integers(0, 10 * HOUR, n)
        return self.mondays[week].astype("datetime64[s]") + second.astype("timedelta64[s]")

    def week_of(self, day: Times | np.datetime64) -> Ints:
        """Index of the week a day lies in; negative before the first Monday."""
        return ((day - self.mondays[0]).astype("timedelta64[D]").astype(np.int64) // 7).astype(np.int64)


def clock(knobs: Knobs) -> Clock:
    """The calendar of a company with these knobs."""
    end = np.datetime64(knobs.end, "D")
    month = end.astype("datetime64[M]")
    start = (month - round(knobs.years * 12)).astype("datetime64[D]") + (end - month.astype("datetime64[D]"))
    opening = start - np.timedelta64(7 * WARM_UP_WEEKS, "D")
    first = opening - np.timedelta64(int((opening.astype(np.int64) + 3) % 7), "D")  # 1970-01-01 was a Thursday
    lived = int(np.ceil((end - first).astype(np.int64) / 7))
    mondays = first + 7 * np.arange(lived + HORIZON_WEEKS + 1).astype("timedelta64[D]")
    two_weeks_on = mondays + np.timedelta64(14, "D")
    return Clock(mondays, (quarter(two_weeks_on) != quarter(mondays)).astype(np.int64), start, end, lived)


def quarter(day: Times) -> Ints:
    """Running number of the calendar quarter of a day."""
    return day.astype("datetime64[M]").astype(np.int64) // 3


def month_of_year(day: Times) -> Ints:
    """0 = January … 11 = December."""
    return day.astype("datetime64[M]").astype(np.int64) % 12


def stream(knobs: Knobs, part: str) -> np.random.Generator:
    """The random numbers of one part of the world; parts do not disturb each other when one of them changes."""
    return np.random.default_rng([knobs.seed, zlib.crc32(part.encode())])
