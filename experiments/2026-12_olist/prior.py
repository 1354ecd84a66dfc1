"""What prior of the penalties serves tables of leads best, on simulated tables whose chances are known: python prior.py"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
from scipy.special import expit

from salesml.models import arrival_line
from salesml.models.arrival_line import ArrivalLine, Watched
from salesml.models.peers import OdooBayes

PAGES, SOURCES, COLUMNS = 200, 10, ["source", "landing_page"]
PRIORS = {
    "none": (0.025, 5e-10), "0.5, 0.05": (0.5, 0.05), "1, 0.1": (1.0, 0.1), "2, 0.2": (2.0, 0.2), "1, 0.25": (1.0, 0.25),
    "2, 0.5": (2.0, 0.5), "4, 1": (4.0, 1.0),
}  # fmt: skip
SIZES, REPEATS, ASKED = (800, 1_600, 4_000), 4, 3_000
SPREADS = itertools.product((0.2, 0.4, 0.8), (0.3, 0.6), (0.0, 0.4))
"""Deviation of the effects of pages, sources, and pages by source."""


def drawn(rng: np.random.Generator, count: int, spreads: tuple[float, float, float]) -> tuple[pd.DataFrame, np.ndarray]:
    """Leads and their chances: a few common pages, many rare ones, each with sources of its own; about a tenth convert."""
    weights = 1 / np.arange(1, PAGES + 1) ** 1.1
    usual = rng.dirichlet(np.full(SOURCES, 1.5))
    mixes = np.array([rng.dirichlet(usual * 6 + 0.02) for _ in range(PAGES)])
    pages, sources = rng.normal(0, spreads[0], PAGES), rng.normal(0, spreads[1], SOURCES)
    both = rng.normal(0, spreads[2], (PAGES, SOURCES))
    page = rng.choice(PAGES, count, p=weights / weights.sum())
    source = (mixes[page].cumsum(axis=1) > rng.random(count)[:, None]).argmax(axis=1)
    chance = expit(-2.3 + pages[page] + sources[source] + both[page, source])
    X = pd.DataFrame({"source": np.char.add("s", source.astype(str)), "landing_page": np.char.add("p", page.astype(str)), "age_days": 0.0})
    return X, chance


def excess(chance: np.ndarray, p: np.ndarray) -> float:
    """Expected log loss above that of the chances themselves."""
    return float(np.mean(chance * np.log(chance / p) + (1 - chance) * np.log((1 - chance) / (1 - p))))


def main() -> None:
    """Mean excess log loss by size and prior, beside the shrunken naive Bayes'."""
    spreads = list(SPREADS)
    for size in SIZES:
        rows = []
        for (number, given), repeat in itertools.product(enumerate(spreads), range(REPEATS)):
            rng = np.random.default_rng([size, number, repeat])
            X, chance = drawn(rng, size + ASKED, given)
            y = (rng.random(size) < chance[:size]).astype("float64")
            days = np.where(y > 0, np.linspace(1, 2, size), np.nan)
            leads = Watched(np.full(size, 27.0), days, np.ones(size, dtype=bool))
            found = {}
            for name, prior in PRIORS.items():
                arrival_line.SHAPE, arrival_line.RATE = prior
                line = ArrivalLine.fit(X[:size], leads, horizon=42, categorical=COLUMNS, pairs=[("source", "landing_page")], members=0)
                found[name] = excess(chance[size:], line.predict(X[size:]))
            bayes = OdooBayes.fit(X[:size][COLUMNS], y, stage=None, categorical=COLUMNS, strength=40.0)
            rows.append({**found, "shrunken naive Bayes": excess(chance[size:], bayes.predict(X[size:]))})
        print(size, pd.DataFrame(rows).mean().round(5).to_dict(), flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
