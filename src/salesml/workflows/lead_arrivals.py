"""Leads on the day they come in: judged week by week, each week's leads by what was known when it began, nobody presumed to have failed.

For tables of leads that tell who came from where and what became of it, and whose history is too short, or has changed too much, to be
cut into snapshots with a horizon's gap between them. What is learnt of a lead: where it comes from and who it is. Waiting for every
lead's days to be over would leave out the newest, so that each counts for the part of its days it has lived (`models.arrival_line`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy.special import expit, logit

from salesml.errors import NotEnoughData
from salesml.features.leads import LEADS, PRIOR_LEADS
from salesml.features.spines import lead_lives, week_starts
from salesml.lake import Lake, Tables, visible
from salesml.models.arrival_line import AGE, ArrivalLine, Timing, Watched, counted
from salesml.models.columns import level_codes, levels_of
from salesml.models.laplace import laplace
from salesml.models.lead_points import Scheme, usual
from salesml.models.peers import OdooBayes
from salesml.models.rates import BaseRate, GroupRate
from salesml.models.scorer import Scorer
from salesml.workflows.leads import CONVERTED_SHARE, LEAST_WEEKS, MOST_WEEKS, OPEN
from salesml.workspace import Workspace

TOLD = ("source", "campaign_id", "landing_page", "industry", "country", "title", "employees")
"""What is known of a lead on the day it comes."""
CATEGORIES = [name for name in TOLD if name in LEADS.categorical]
PAIRS = (("source", "landing_page"),)
"""The same page says something else of somebody who came by another way."""
BASE, SOURCE, BAYES, SHRUNK, LINE, POINTS = "base rate", "source rate", "naive Bayes", "shrunken naive Bayes", "arrival line", "points"
STRENGTH = 40.0
"""Leads at everybody's rate that a value starts with in the shrunken naive Bayes."""
HALF_LIFE = 14.0
"""Days after which a lead counts half in the peers, which know no moving level."""
TESTED_SHARE, WEEKS_BEFORE, MOST_ORIGINS = 0.25, 4, 12
LEAST_CONVERTED = 20
MEMBERS = 10
DAY, INSTANT = pd.Timedelta(days=1), pd.Timedelta(microseconds=1)


@dataclass(frozen=True)
class ArrivalTable:
    """One row per lead, in order of arrival: lead_id, as_of (the first instant it was known at), features, status_now, closed_at.

    closed_at: when it was known to have converted or ended, as of `cutoff`; null while open.
    """

    labelled: pd.DataFrame
    cutoff: dt.datetime
    tables: Tables = field(repr=False)

    def before(self, instant: pd.Timestamp) -> pd.DataFrame:
        """The leads that were known before an instant."""
        return self.labelled[self.labelled["as_of"] < instant]

    def watched(self, rows: pd.DataFrame, instant: pd.Timestamp) -> Watched:
        """What was known of leads at an instant: a conversion counts if it was known before it."""
        known = (rows["closed_at"] < instant).to_numpy()
        days = _days(rows["closed_at"] - rows["as_of"])
        converted = rows["status_now"].eq("converted").to_numpy()
        return Watched(_days(instant - rows["as_of"]), np.where(known & converted, days, np.nan), known & ~converted)

    def outcomes(self, rows: pd.DataFrame, horizon: int) -> np.ndarray:
        """1 for leads that converted within `horizon` days of their arrival, else 0; NaN where the cutoff came before that."""
        converted = rows["status_now"].eq("converted").to_numpy() & (_days(rows["closed_at"] - rows["as_of"]) < horizon)
        over = (rows["as_of"] + horizon * DAY <= pd.Timestamp(self.cutoff)).to_numpy()
        return np.where(over, converted.astype("float64"), np.nan)


@dataclass(frozen=True)
class Rolled:
    """Leads of the weeks before the test and of the test, each scored by what was known when its week began.

    rows: as in ArrivalTable, and origin (the instant of the fit), converted (within `horizon_days`), test (whether it is judged).
    told: chance by model, one per row. last: every model as fitted at the last origin.
    """

    rows: pd.DataFrame
    told: dict[str, np.ndarray] = field(repr=False)
    last: dict[str, Scorer] = field(repr=False)
    horizon_days: int


def arrival_table(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> ArrivalTable:
    """Leads known as of an instant, as each was when it came; those that somebody had judged by then are left out.

    Raises NotEnoughData where no lead is known.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    lives = view.frame(lead_lives(view))
    lives = lives.assign(as_of=lives["first_known_at"] + INSTANT)
    lives = lives[lives["as_of"] < pd.Timestamp(cutoff)]
    if lives.empty:
        raise NotEnoughData(f"no lead is known as of {cutoff:%Y-%m-%d}; import leads, or choose a later day")
    schema = pa.schema([("lead_id", pa.string()), ("as_of", pa.timestamp("us", tz="UTC"))])
    spine = pa.Table.from_pandas(lives[["lead_id", "as_of"]], schema=schema, preserve_index=False)
    rows = LEADS.frame(visible(tables, spine))
    ends = lives.set_index("lead_id")
    rows = rows[rows["status"] == OPEN].assign(
        status_now=lambda frame: frame["lead_id"].map(ends["status"]), closed_at=lambda frame: frame["lead_id"].map(ends["closed_at"])
    )
    return ArrivalTable(rows.sort_values(["as_of", "lead_id"], ignore_index=True), cutoff, tables)


def arrival_days(table: ArrivalTable, instant: pd.Timestamp) -> int:
    """Days, in whole weeks from 4 to 26, in which 90 % of the conversions known at an instant had come. NotEnoughData below 20."""
    days = table.watched(table.before(instant), instant).converted
    days = days[np.isfinite(days)]
    if len(days) < LEAST_CONVERTED:
        raise NotEnoughData(f"{len(days)} leads are known to have converted by {instant:%Y-%m-%d}; at least {LEAST_CONVERTED} are needed")
    return 7 * int(np.clip(np.ceil(np.quantile(days, CONVERTED_SHARE) / 7), LEAST_WEEKS, MOST_WEEKS))


def rolled(
    workspace: Workspace, table: ArrivalTable, within_days: int | None = None, seed: int = 0, scheme: Scheme | None = None,
    fits: dict[str, Callable[[ArrivalTable, pd.Timestamp, int, int], Scorer]] | None = None,
) -> Rolled:  # fmt: skip
    """Score the last quarter of the leads, week by week, by models fitted on what was known when each week began.

    Judged are leads whose days are over at the cutoff. The horizon is what was known of it when the test began. The four weeks
    before the test are scored too, for choices to be made on. Long tests are refitted at most twelve times. `fits`: other models by
    name, called with the table, the instant, the horizon and the seed. Raises NotEnoughData.
    """
    cutoff = pd.Timestamp(table.cutoff)
    over = table.labelled[table.labelled["as_of"] + (within_days or 7 * LEAST_WEEKS) * DAY <= cutoff]
    if len(over) < 10 * LEAST_CONVERTED:
        raise NotEnoughData(f"{len(over)} leads are old enough to be judged; at least {10 * LEAST_CONVERTED} are needed")
    starts = week_starts(workspace, over["as_of"].iloc[0].to_pydatetime(), over["as_of"].iloc[-1].to_pydatetime())
    quantile = over["as_of"].iloc[int((1 - TESTED_SHARE) * len(over))]
    first = max((place for place, start in enumerate(starts) if pd.Timestamp(start) <= quantile), default=0)
    if first < WEEKS_BEFORE + 1:
        raise NotEnoughData(f"leads are known of {first} weeks before the test; at least {WEEKS_BEFORE + 1} are needed")
    horizon = within_days or arrival_days(table, pd.Timestamp(starts[first]))
    every = -(-(len(starts) - first) // MOST_ORIGINS)
    chosen = [*starts[first - WEEKS_BEFORE : first], *starts[first::every]]
    origins = pd.DatetimeIndex([pd.Timestamp(start) for start in chosen])
    rows = table.labelled.assign(converted=table.outcomes(table.labelled, horizon))
    rows = rows[(rows["as_of"] >= origins[0]) & rows["converted"].notna()].reset_index(drop=True)
    place = origins.searchsorted(rows["as_of"], side="right") - 1
    rows = rows.assign(origin=origins[place], test=rows["as_of"] >= pd.Timestamp(starts[first]))
    models = fits or fits_at()
    told = {name: np.full(len(rows), np.nan) for name in (*models, POINTS)}
    points = (scheme or usual()).score(table.labelled)[0]["composite"].to_numpy()
    own = (scheme or usual()).score(rows)[0]["composite"].to_numpy()
    for number, origin in enumerate(origins):
        asked = place == number
        last = {name: fit(table, origin, horizon, seed) for name, fit in models.items()}
        for name, scorer in last.items():
            told[name][asked] = scorer.predict(rows[asked])
        told[POINTS][asked] = _by_points(table, origin, horizon, points, own[asked])
    return Rolled(rows.assign(converted=rows["converted"].astype("int64")), told, last, horizon)


def fits_at() -> dict[str, Callable[[ArrivalTable, pd.Timestamp, int, int], Scorer]]:
    """The model and its peers by name, each fitted on what was known at an instant (see `rolled`)."""
    return {
        BASE: _base_rate, SOURCE: _source_rate, BAYES: partial(_naive_bayes, strength=None),
        SHRUNK: partial(_naive_bayes, strength=STRENGTH), LINE: arrival_line,
    }  # fmt: skip


def fitted(table: ArrivalTable, name: str, horizon: int, seed: int) -> Scorer:
    """A model by name, fitted on all that is known at the cutoff, the lead model with refits for its intervals."""
    now = pd.Timestamp(table.cutoff)
    return arrival_line(table, now, horizon, seed, MEMBERS) if name == LINE else fits_at()[name](table, now, horizon, seed)


def arrival_line(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int, members: int = 0) -> ArrivalLine:
    """The model of leads on arrival as of an instant; `members`: refits for its intervals."""
    rows = table.before(instant)
    return ArrivalLine.fit(
        rows[[*TOLD, AGE]], table.watched(rows, instant), horizon=horizon, categorical=CATEGORIES, pairs=PAIRS, members=members, seed=seed
    )


def counts_at(table: ArrivalTable, instant: pd.Timestamp, horizon: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Leads known at an instant, whether each was known to have converted within the horizon, and how much it counts for a peer.

    An open lead counts for the part of its days it has lived, and every lead half as much for each two weeks since it came.
    """
    rows = table.before(instant)
    leads = table.watched(rows, instant)
    weights = counted(leads, horizon, Timing.fit(leads, horizon)) * 0.5 ** (leads.arrived / HALF_LIFE)
    return rows, leads.within(horizon), weights


def _base_rate(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int) -> BaseRate:
    _, y, weights = counts_at(table, instant, horizon)
    return BaseRate(float(weights @ y), float(weights.sum()))


def _source_rate(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int) -> Scorer:
    rows, y, weights = counts_at(table, instant, horizon)
    levels = levels_of(rows["source"])
    codes = level_codes(rows["source"], levels)
    positives, totals = np.bincount(codes, weights * y, len(levels)), np.bincount(codes, weights, len(levels))
    base = (float(weights @ y) + 0.5) / (float(weights.sum()) + 1)
    return cast("Scorer", GroupRate("source", levels, positives, totals, base, float(PRIOR_LEADS)))


def _naive_bayes(table: ArrivalTable, instant: pd.Timestamp, horizon: int, seed: int, strength: float | None) -> OdooBayes:
    rows, y, weights = counts_at(table, instant, horizon)
    return OdooBayes.fit(rows[list(TOLD)], y, stage=None, categorical=CATEGORIES, strength=strength, weights=weights)


def _by_points(
    table: ArrivalTable, instant: pd.Timestamp, horizon: int, points: np.ndarray, asked: np.ndarray
) -> np.ndarray:
    """The chance that goes with so many points, by logistic regression on leads known at an instant; more points, never less."""
    rows, y, weights = counts_at(table, instant, horizon)
    columns = np.column_stack([np.ones(len(rows)), points[rows.index] / 100])
    centre = np.array([logit((weights @ y + 0.5) / (weights.sum() + 1)), 0.0])
    mode = laplace(columns, y, weights, centre, np.array([1e-6, 0.1]))[0]
    return expit(mode[0] + max(mode[1], 1e-6) * asked / 100)


def _days(span: pd.Series) -> np.ndarray:
    return np.maximum(span.dt.total_seconds().to_numpy() / 86_400, 0)
