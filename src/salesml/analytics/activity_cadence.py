"""How soon deals move on by how long ago they were last touched, stage by stage: correlational.

Time is counted in deal-days, each under the silence that stood on it, so that a deal's long life is no credit to its touches. A touch
counts from a day after it on: the meeting by which a deal moves on is no cause of it. Deals that long stay in a stage are both touched less
and slower, so silences are compared within equal time in the stage (Mantel and Haenszel 1959). That reps touch what is about to move stays
in it.
"""

from __future__ import annotations

from typing import Any

import ibis
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from salesml.analytics.activity import is_touch
from salesml.analytics.stages import timeline, visits
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.lake import View

BACK_DAYS, LAG_DAYS = 730, 1
SILENCES = (1, 4, 8, 15, 29)
BANDS = ("1 to 3 days ago", "4 to 7 days ago", "8 to 14 days ago", "15 to 28 days ago", "over 28 days ago", "not yet")
AGES = (0, 14, 42)
RECENT, LONG = (0, 1), (3, 4)
"""The bands compared: touched within a week, and silent for over two."""
RESAMPLES = 200
LEAST_EVENTS = 10
FALSE = 0.1
LABEL = "correlational"
_DAY = 86_400


def advancing(view: View) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Moves to a later stage or a win by days since the last touch, of stays in the past two years. Two frames.

    Rates: stage, stage_order, band, moves, deal_days, a_week (moves per deal and week) with lo, hi (missing below 10 moves). Ratios, one
    row per stage: stage, stage_order, recent and long (moves), ratio (rate touched within a week over rate silent for over two, within
    equal time in the stage), lo, hi, p_value, best (the band of the highest rate), apart (whether its interval lies above all others'),
    told (interval of the ratio without 1, of all told at most 10 % expected false), label. Intervals 90 %, deals resampled.
    """
    assert view.as_of is not None
    end = pd.Timestamp(view.as_of)
    stays = visits(timeline(view))
    stays = stays.assign(left_at=stays["left_at"].fillna(end))
    stays = stays[stays["left_at"] > end - pd.Timedelta(days=BACK_DAYS)].reset_index(drop=True)
    facts = view.facts("activity").filter(lambda rows: rows.opportunity_id.notnull())
    ids = ibis.memtable(stays[["opportunity_id"]].drop_duplicates().astype("object"), schema={"opportunity_id": "string"})
    facts = facts.filter(is_touch(facts)).semi_join(ids, "opportunity_id")
    touches = view.frame(facts.select("opportunity_id", at=facts.occurred_at))
    cells = spells(stays, touches, end - pd.Timedelta(days=BACK_DAYS))
    rates, ratios = [], []
    groups: Any = stays.groupby(["stage_order", "stage"], sort=True)
    for (order, stage), mine in groups:
        deals, moved, days = _by_deal(mine, cells)
        told, ratio = _compared(deals, moved, days)
        rates.append(told.assign(stage=stage, stage_order=order))
        ratios.append({"stage": stage, "stage_order": order, **ratio, **_best(told)})
    columns = ["stage", "stage_order", "band", "moves", "deal_days", "a_week", "lo", "hi"]
    found = pd.DataFrame(ratios, columns=["stage", "stage_order", "recent", "long", "ratio", "lo", "hi", "p_value", "best", "apart"])
    tested = found["p_value"].notna()
    fair = pd.Series(False, found.index)
    if tested.any():
        fair[tested] = false_discovery_control(found.loc[tested, "p_value"].to_numpy("float64")) <= FALSE
    apart = (found["lo"] > 1) | (found["hi"] < 1)
    return (pd.concat(rates, ignore_index=True) if rates else pd.DataFrame(columns=columns))[columns], found.assign(
        told=fair & apart, label=LABEL
    )


def spells(stays: pd.DataFrame, touches: pd.DataFrame, start: pd.Timestamp) -> tuple[np.ndarray, np.ndarray]:
    """Per stay: moves and deal-days by time in the stage and silence: two arrays of stays × AGES × BANDS.

    stays: opportunity_id, entered_at, left_at (present), ended; touches: opportunity_id, at. Days before `start` are not counted.
    """
    codes, names = pd.factorize(stays["opportunity_id"])
    entered, left = _seconds(stays["entered_at"]), _seconds(stays["left_at"])
    begins = np.maximum(entered, _seconds(pd.Series([start]))[0])
    of = pd.Index(names).get_indexer(touches["opportunity_id"])
    touched = _seconds(touches["at"]) + LAG_DAYS * _DAY
    order = np.lexsort((touched, of))
    order = order[of[order] >= 0]
    of, touched = of[order], touched[order]
    wide = int(max(left.max(initial=0), touched.max(initial=0))) + 1
    key = of * wide + touched
    low = np.searchsorted(key, codes * wide + begins, side="right")
    high = np.maximum(np.searchsorted(key, codes * wide + left, side="left"), low)
    pieces = high - low + 1
    stay = np.repeat(np.arange(len(stays)), pieces)
    place = np.arange(len(stay)) - np.repeat(np.cumsum(pieces) - pieces, pieces) + np.repeat(low, pieces) - 1
    first = np.r_[True, stay[1:] != stay[:-1]] if len(stay) else np.zeros(0, dtype="bool")
    last = np.r_[stay[1:] != stay[:-1], True] if len(stay) else first
    padded, owner = np.r_[touched, 0], np.r_[of, -1]
    origin_known = (place >= 0) & (owner[place] == codes[stay])
    origin = padded[place] - LAG_DAYS * _DAY
    starts = np.where(first, begins[stay], padded[place])
    ends = np.where(last, left[stay], padded[np.minimum(place + 1, len(touched))])
    moves = np.zeros((len(stays), len(AGES), len(BANDS)))
    days = np.zeros_like(moves)
    moved = stays["ended"].isin(["advanced", "won"]).to_numpy()[stay] & last
    silence = np.where(origin_known, np.searchsorted(np.array(SILENCES) * _DAY, ends - origin, side="right") - 1, len(BANDS) - 1)
    age = np.searchsorted(np.array(AGES) * _DAY, ends - entered[stay], side="right") - 1
    np.add.at(moves, (stay[moved], np.maximum(age, 0)[moved], np.maximum(silence, 0)[moved]), 1)
    for a, (young, old) in enumerate(zip(AGES, (*AGES[1:], None), strict=True)):
        since = np.maximum(starts, entered[stay] + young * _DAY)
        until = ends if old is None else np.minimum(ends, entered[stay] + old * _DAY)
        np.add.at(days, (stay[~origin_known], a, len(BANDS) - 1), np.maximum(until - since, 0)[~origin_known] / _DAY)
        for b, (soon, late) in enumerate(zip(SILENCES, (*SILENCES[1:], None), strict=True)):
            upto = until if late is None else np.minimum(until, origin + late * _DAY)
            spent = np.maximum(upto - np.maximum(since, origin + soon * _DAY), 0)
            np.add.at(days, (stay[origin_known], a, b), spent[origin_known] / _DAY)
    return moves, days


def _seconds(instants: pd.Series) -> np.ndarray:
    """Whole seconds since 1970, so that keys of deal and time fit in 64 bits for a billion deals."""
    return instants.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype("int64")


def _by_deal(mine: pd.DataFrame, cells: tuple[np.ndarray, np.ndarray]) -> tuple[int, np.ndarray, np.ndarray]:
    codes, names = pd.factorize(mine["opportunity_id"])
    summed = [np.zeros((len(names), len(AGES), len(BANDS))) for _ in cells]
    for total, cell in zip(summed, cells, strict=True):
        np.add.at(total, codes, cell[mine.index])
    return len(names), summed[0], summed[1]


def _compared(deals: int, moved: np.ndarray, days: np.ndarray) -> tuple[pd.DataFrame, dict[str, float]]:
    flat = np.concatenate([moved.reshape(deals, -1), days.reshape(deals, -1)], axis=1)
    shape = (2, len(AGES), len(BANDS))
    drawn = np.array([(weights @ flat).reshape(shape) for weights in row_weights(deals, None, RESAMPLES, seed=0)])
    sums = flat.sum(axis=0).reshape(shape)
    moves, spent = sums.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rate = 7 * moves / spent
        rates = 7 * drawn[:, 0].sum(axis=1) / drawn[:, 1].sum(axis=1)
        ratio, ratios = _mantel_haenszel(sums[None])[0], _mantel_haenszel(drawn)
    bounds = [percentile_interval(rates[:, b]) if moves[b] >= LEAST_EVENTS else (np.nan, np.nan) for b in range(len(BANDS))]
    told = pd.DataFrame({
        "band": BANDS, "moves": moves.astype("int64"), "deal_days": spent, "a_week": np.where(spent > 0, rate, np.nan),
        "lo": [lo for lo, _ in bounds], "hi": [hi for _, hi in bounds],
    })  # fmt: skip
    recent, long = (int(moves[list(which)].sum()) for which in (RECENT, LONG))
    enough = min(recent, long) >= LEAST_EVENTS
    lo, hi = percentile_interval(ratios) if enough else (np.nan, np.nan)
    logs = np.log(ratios[np.isfinite(ratios) & (ratios > 0)])
    p = float(2 * norm.sf(abs(np.log(ratio)) / logs.std())) if enough and len(logs) > 1 and logs.std() > 0 else np.nan
    return told, {"recent": recent, "long": long, "ratio": float(ratio) if enough else np.nan, "lo": lo, "hi": hi, "p_value": p}


def _best(rates: pd.DataFrame) -> dict[str, object]:
    """The silence of the highest rate among those of 10 moves or more, and whether its interval lies above all others'."""
    known = rates[rates["lo"].notna() & rates["band"].ne(BANDS[-1])].sort_values("a_week", ascending=False, kind="stable")
    if len(known) < 2:
        return {"best": None, "apart": False}
    return {"best": known["band"].iloc[0], "apart": bool(known["lo"].iloc[0] > known["hi"].iloc[1:].max())}


def _mantel_haenszel(sums: np.ndarray) -> np.ndarray:
    """Ratio of rates within equal time in the stage; sums: draws × (moves, days) × AGES × BANDS."""
    recent, long = sums[..., list(RECENT)].sum(axis=-1), sums[..., list(LONG)].sum(axis=-1)
    whole = recent[:, 1] + long[:, 1]
    share = np.where(whole > 0, 1 / np.where(whole > 0, whole, 1), 0)
    return (recent[:, 0] * long[:, 1] * share).sum(axis=1) / (long[:, 0] * recent[:, 1] * share).sum(axis=1)
