"""The company's calendar: weeks, quarter ends, seasons, office hours, and the random streams of each part of the world."""

from __future__ import annotations

import datetime as dt
import zlib
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from salesml.world import words
from salesml.world.knobs import WARM_UP_WEEKS, Knobs

HORIZON_WEEKS = 60
"""How long after the end deals are still lived (for the truth only); what is open then is given up."""
DAY, HOUR = 86_400, 3_600

Times = NDArray[np.datetime64]
Ints = NDArray[Any]
"""Whole numbers, or flags: an index into a list of words, a count, yes or no."""
Floats = NDArray[Any]


@dataclass(frozen=True)
class Clock:
    """Weeks from the CRM's first Monday to the horizon.

    `mondays[w]` is 00:00 UTC of week w. `last` is the number of weeks that begin before the end.
    `rush[w]` is 1 in the last two weeks that begin in a quarter, else 0. `within[w]`: share of the week's five working
    days that lie in the quarter its Monday lies in. `start`, `end`: first day of the ledger, first day not lived.
    `morning[w, region]`: seconds from 00:00 UTC to 08:00 on the clocks of a region; office hours never cross a UTC day.
    """

    mondays: Times
    rush: Ints
    within: Floats
    morning: Ints
    start: np.datetime64
    end: np.datetime64
    last: int

    @property
    def end_second(self) -> np.datetime64:
        """The first instant not lived."""
        return self.end.astype("datetime64[s]")

    def office_time(self, rng: np.random.Generator, week: Ints, region: Ints | int) -> Times:
        """A random second of the ten office hours, Monday to Friday, of each given week where the region lies."""
        n = len(week)
        second = rng.integers(0, 5, n) * DAY + self.morning[week, region] + rng.integers(0, 10 * HOUR, n)
        return self.mondays[week].astype("datetime64[s]") + second.astype("timedelta64[s]")

    def to_office(self, rng: np.random.Generator, time: Times, region: Ints) -> Times:
        """The given days, a Saturday or Sunday moved to Monday, at a random second of the region's office hours."""
        day = time.astype("datetime64[D]")
        weekday = (day.astype(np.int64) + 3) % 7
        day = day + np.where(weekday > 4, 7 - weekday, 0).astype("timedelta64[D]")
        week = np.clip(self.week_of(day), 0, len(self.mondays) - 1)
        second = self.morning[week, region] + rng.integers(0, 10 * HOUR, len(day))
        return day.astype("datetime64[s]") + second.astype("timedelta64[s]")

    def week_of(self, day: Times | np.datetime64) -> Ints:
        """Index of the week a day lies in; negative before the first Monday."""
        return ((day - self.mondays[0]).astype("timedelta64[D]").astype(np.int64) // 7).astype(np.int64)

    @property
    def months(self) -> Times:
        """First days of the months the ledger covers, as datetime64[M]."""
        return np.arange(self.start.astype("datetime64[M]"), (self.end - 1).astype("datetime64[M]") + 1)


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
    days = mondays[:, None] + np.arange(5).astype("timedelta64[D]")
    within = (quarter(days) == quarter(mondays)[:, None]).mean(axis=1)
    rush = (quarter(two_weeks_on) != quarter(mondays)).astype(np.int64)
    return Clock(mondays, rush, within, _mornings(mondays), start, end, lived)


def _mornings(mondays: Times) -> Ints:
    """Seconds after 00:00 UTC at which it is 08:00 in each region's time zone, by week."""
    zones = [ZoneInfo(name) for name in words.ZONES]
    noon = [dt.datetime.combine(day, dt.time(12)) for day in mondays.astype(object)]
    offsets = [[(zone.utcoffset(time) or dt.timedelta()).total_seconds() for zone in zones] for time in noon]
    return 8 * HOUR - np.array(offsets).astype(np.int64)


def quarter(day: Times) -> Ints:
    """Running number of the calendar quarter of a day."""
    return day.astype("datetime64[M]").astype(np.int64) // 3


def month_of_year(day: Times) -> Ints:
    """0 = January … 11 = December."""
    return day.astype("datetime64[M]").astype(np.int64) % 12


def stream(knobs: Knobs, part: str, chunk: int = 0) -> np.random.Generator:
    """The random numbers of one part of the world; parts do not disturb each other when one of them changes."""
    return np.random.default_rng([knobs.seed, zlib.crc32(part.encode()), chunk])
