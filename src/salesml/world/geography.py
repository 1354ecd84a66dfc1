"""Where the company sells: towns of very different size, areas like postal codes around them, territories of whole areas."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from salesml.world import words
from salesml.world.clock import Clock, Floats, Ints, stream
from salesml.world.columns import Block, ids, money, pick, to_cents
from salesml.world.knobs import Knobs

AREAS_PER_TERRITORY = 12
REGION_CENTRES = np.array([[42.0, -74.5], [33.0, -90.0], [52.5, -1.5], [50.5, 9.5]])  # degrees, of words.REGIONS
SPEND_PER_PERSON = 38.0  # a year, of the company's kind of product, in its currency
MIX_CONCENTRATION = 1.2


@dataclass(frozen=True)
class Geography:
    """Areas, one element each: `territory`, coordinates, `population`, `mix` (share by industry), `potential` (money a year).

    Territory t is that of seat t; `share[t]` is its part of the whole potential.
    """

    region: Ints
    territory: Ints
    latitude: Floats
    longitude: Floats
    population: Ints
    mix: Floats
    potential: Floats
    share: Floats


def geography(knobs: Knobs, seat_region: Ints) -> Geography:
    """Draw the map: in each region towns whose sizes fall as their rank, areas around them, cut into even territories."""
    rng = stream(knobs, "geography")
    seats_of = [np.flatnonzero(seat_region == r) for r in range(int(seat_region.max()) + 1)]
    region = np.repeat(np.arange(len(seats_of)), [AREAS_PER_TERRITORY * len(s) for s in seats_of])
    n = len(region)
    latitude, longitude, size = np.empty(n), np.empty(n), np.empty(n)
    territory = np.empty(n, np.int64)
    for r, seats in enumerate(seats_of):  # a handful of regions
        at = np.flatnonzero(region == r)
        towns = max(3, len(at) // 8)
        centre = REGION_CENTRES[r] + rng.normal(0, (2.2, 3.2), (towns, 2))
        weight = 1 / np.arange(1, towns + 1) ** 0.8
        town = rng.choice(towns, len(at), p=weight / weight.sum())
        place = centre[town] + rng.normal(0, (0.25, 0.35), (len(at), 2))
        latitude[at], longitude[at] = place.T
        size[at] = np.sqrt(weight[town]) * rng.lognormal(0, 0.5, len(at))
        territory[at] = seats[_cut(place, np.zeros(len(at), np.int64), len(seats))]
    population = np.maximum(300, 24_000 * size / size.mean()).astype(np.int64)
    mix = rng.dirichlet(np.full(len(words.INDUSTRIES), MIX_CONCENTRATION), n)
    potential = population * SPEND_PER_PERSON * rng.lognormal(0, 0.25, n)
    share = np.bincount(territory, potential, len(seat_region)) / potential.sum()
    return Geography(region, territory, latitude, longitude, population, mix, potential, share)


def _cut(place: Floats, part: Ints, parts: int) -> Ints:
    """Cut places into parts of equal count by halving along the longer side: compact and without gaps (k-d tree)."""
    open_parts = {0: parts}
    while any(count > 1 for count in open_parts.values()):
        following = {}
        for number, count in open_parts.items():
            if count == 1:
                following[number] = 1
                continue
            inside = np.flatnonzero(part == number)
            axis = int(np.argmax(np.ptp(place[inside], axis=0)))
            left = count // 2
            order = inside[np.argsort(place[inside, axis], kind="stable")]
            part[order[round(len(order) * left / count) :]] = number + left
            following |= {number: left, number + left: count - left}
        open_parts = following
    return part


def market_areas(knobs: Knobs, clock: Clock, map_: Geography) -> list[Block]:
    """The market_area block: the potential is what research firms sell, 15 % off on either side."""
    n = len(map_.region)
    rng = stream(knobs, "market research")
    mixes = [json.dumps(dict(zip(words.INDUSTRIES, row, strict=True))) for row in map_.mix.round(3).tolist()]
    return [
        {
            "market_area_id": ids("Z", np.arange(n), 5),
            "change_id": "created",
            "name": ids("Area ", np.arange(n), 5),
            "region": pick(words.REGIONS, map_.region),
            "territory_id": ids("Y", map_.territory, 4),
            "latitude": map_.latitude.round(4),
            "longitude": map_.longitude.round(4),
            "population": map_.population,
            "industry_mix": pa.array(mixes),
            "potential": money(to_cents(map_.potential * rng.lognormal(0, 0.15, n))),
            "currency": knobs.currency,
            "occurred_at": np.full(n, clock.mondays[0].astype("datetime64[s]")),
        }
    ]
