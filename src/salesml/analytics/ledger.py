"""Published forecasts beside what happened: error, bias, pinball loss and coverage, a drift alarm, the value people added."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from salesml.errors import BadInput
from salesml.evaluation.forecast_metrics import QUANTILES, accuracy, pinball

KEYS = ["level", "name", "month"]
SEASON = 12
ALL_HORIZONS = 0
RECENT_MONTHS, LEAST_MONTHS = 6, 4
SURE = 0.975
LEAST_CALLS = 8
"""Judged overrides of an author and level below which nothing is said of who is better."""
FIGURES = ["n", "months", "wape", "mae", "bias", "pinball", "cover80", "cover95", "naive_wape", "naive_mae", "to_naive"]
BESIDE = ["months", "pinball", "naive_wape", "naive_mae", "to_naive"]
ALARMS = ["level", "months", "forecasts", "recent_wape", "published_wape", "ratio", "ratio_lo", "alarm", "worst", "bias"]
ADDED = ["author", "level", "calls", "model_mae", "override_mae", "added", "difference", "lo", "hi", "verdict"]


def last_known_month(history: pd.DataFrame) -> pd.Timestamp:
    """The last month whose revenue counts as known: no later complete month has any, of the company (column month)."""
    return history["month"].max()


def naive(history: pd.DataFrame, asked: pd.DataFrame, known: pd.Timestamp) -> np.ndarray:
    """Seasonal naive of each row of `asked` (level, name, month): the newest known same month of an earlier year.

    history: level, name, month, amount (currency), complete months known when the forecast was made, `known` the last of
    them; a month without a row had no revenue, one before the name's first is not known. NaN where no such month is known.
    """
    amounts = history.astype({"amount": "float64"}).set_index(KEYS)["amount"]
    first = history.groupby(["level", "name"])["month"].min()
    months_back = (asked["month"].dt.year - known.year) * SEASON + asked["month"].dt.month - known.month
    years = np.maximum(1, np.ceil(months_back / SEASON)).astype("int64")
    source = [month - pd.DateOffset(years=int(back)) for month, back in zip(asked["month"], years, strict=True)]
    keys = pd.MultiIndex.from_arrays([asked["level"], asked["name"], pd.DatetimeIndex(source)])
    begins = first.reindex(pd.MultiIndex.from_frame(asked[["level", "name"]])).to_numpy()
    found = amounts.reindex(keys).fillna(0.0).to_numpy("float64")
    return np.where(pd.isna(begins) | (pd.DatetimeIndex(source) < pd.DatetimeIndex(begins)), np.nan, found)


def judge(forecasts: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """The forecasts whose month is known, with `y` (what it brought), `error` (amount - y) and `published_wape`.

    forecasts: level, name, month, amount, lo80, hi80, lo95, hi95 (currency; bounds may be missing), accuracy (JSON with wape,
    the error it was published with), and what else the caller keeps. history as `naive` takes it, as known now; a known month
    without a row brought 0. Raises BadInput for a row without an amount.
    """
    _refuse(forecasts["amount"].isna(), "amount", "a forecast has no amount")
    due = forecasts[forecasts["month"] <= last_known_month(history)].reset_index(drop=True)
    amounts = history.astype({"amount": "float64"}).set_index(KEYS)["amount"]
    y = amounts.reindex(pd.MultiIndex.from_frame(due[KEYS])).fillna(0.0).to_numpy("float64")
    due = due.astype({"amount": "float64", **dict.fromkeys(QUANTILES.keys() - {"yhat"}, "float64")})
    return due.assign(y=y, error=due["amount"] - y, published_wape=due["accuracy"].map(_wape_of).astype("float64"))


def by_horizon(judged: pd.DataFrame) -> pd.DataFrame:
    """Figures by level and horizon. Grain: one row per level and months ahead (1: the month as_of lies in; 0: all of them).

    judged: `judge` with horizon and naive. Columns: level, horizon, n (forecasts), months (different ones), wape (Σ|e| ÷ Σ|y|),
    mae (currency), bias (Σe ÷ Σ|y|, above 0: too high), pinball (mean loss over the quantiles 2.5, 10, 50, 90, 97.5 %, currency),
    cover80, cover95 (shares inside), naive_wape, naive_mae, to_naive (WAPE over seasonal naive's on the rows that have one).
    """
    return _grouped(pd.concat([judged, judged.assign(horizon=ALL_HORIZONS)], ignore_index=True), ["level", "horizon"])


def by_month(judged: pd.DataFrame) -> pd.DataFrame:
    """The columns of `by_horizon` over time. Grain: one row per level and month that was forecast."""
    return _grouped(judged, ["level", "month"])


def drift(judged: pd.DataFrame) -> pd.DataFrame:
    """Whether recent errors lie surely above those the forecasts were published with. Grain: one row per level.

    Of the newest 6 judged months, each month's excess is Σ|error| less Σ(published WAPE × |actual|). Alarm where the lower end of
    the two-sided 95 % t-interval of the mean excess lies above 0, from 4 months on. Columns: level, months, forecasts, recent_wape,
    published_wape, ratio (of the two), ratio_lo (its lower end), alarm, worst (the name with the greatest excess), bias (recent).
    """
    rows = []
    for level, part in judged[judged["published_wape"].notna()].groupby("level", sort=True):
        recent = part[part["month"].isin(sorted(part["month"].unique())[-RECENT_MONTHS:])]
        sums = recent.assign(
            size=recent["y"].abs(), miss=recent["error"].abs(), promised=recent["published_wape"] * recent["y"].abs()
        )
        months = sums.groupby("month")[["miss", "promised", "size", "error"]].sum()
        excess, promised = months["miss"] - months["promised"], months["promised"].mean()
        count, size = len(months), months["size"].sum()
        low = float("nan")
        if count >= LEAST_MONTHS and promised > 0:
            low = float(excess.mean() - stats.t.ppf(SURE, count - 1) * excess.std() / np.sqrt(count))
        names = (sums["miss"] - sums["promised"]).groupby(sums["name"]).sum()
        rows.append({
            "level": level, "months": count, "forecasts": len(recent), "recent_wape": _ratio(months["miss"].sum(), size),
            "published_wape": _ratio(months["promised"].sum(), size), "ratio": _ratio(months["miss"].sum(), months["promised"].sum()),
            "ratio_lo": 1 + low / promised if promised > 0 else float("nan"), "alarm": bool(low > 0), "worst": names.idxmax(),
            "bias": _ratio(months["error"].sum(), size),
        })  # fmt: skip
    return pd.DataFrame(rows, columns=ALARMS)


def value_added(calls: pd.DataFrame) -> pd.DataFrame:
    """Forecast value added. Grain: one row per author and level, after everybody's: who was nearer, the person or the model?

    calls: one row per judged override: author, level, y (what happened), model (the forecast it was put beside), override
    (all currency). Columns: author, level, calls, model_mae, override_mae (currency), added (the part of the model's error that
    the person took away; below 0: added), difference (override's mean absolute error less the model's) with its 95 % t-interval,
    verdict in words, open below 8 calls.
    """
    made = calls.assign(model_miss=(calls["model"] - calls["y"]).abs(), miss=(calls["override"] - calls["y"]).abs())
    every = pd.concat([made.assign(author="everybody"), made], ignore_index=True)
    every["first"] = every["author"].ne("everybody")
    groups: Any = every.groupby(["first", "author", "level"], sort=True)
    rows = [_added(author, level, part) for (_, author, level), part in groups]
    return pd.DataFrame(rows, columns=ADDED)


def _added(author: str, level: str, part: pd.DataFrame) -> dict[str, Any]:
    gap, count = part["miss"] - part["model_miss"], len(part)
    width = float(stats.t.ppf(SURE, count - 1) * gap.std() / np.sqrt(count)) if count > 1 else float("nan")
    mean, model = float(gap.mean()), float(part["model_miss"].mean())
    verdict = "no sure difference"
    if count < LEAST_CALLS:
        verdict = f"too few to judge: {count} of {LEAST_CALLS} overrides"
    elif mean + width < 0:
        verdict = "better than the model"
    elif mean - width > 0:
        verdict = "worse than the model"
    return {
        "author": author, "level": level, "calls": count, "model_mae": model, "override_mae": float(part["miss"].mean()),
        "added": _ratio(-mean, model), "difference": mean, "lo": mean - width, "hi": mean + width, "verdict": verdict,
    }  # fmt: skip


def _grouped(judged: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    figures = accuracy(judged.rename(columns={"amount": "yhat"}).assign(scale=np.nan), by).drop(columns=["mase", "smape"])
    more = [_beside(part) for _, part in judged.groupby(by, sort=True, observed=True)]  # the same groups in the same order
    return figures.join(pd.DataFrame(more, columns=BESIDE))[[*by, *FIGURES]]


def _beside(part: pd.DataFrame) -> dict[str, Any]:
    """Months, pinball loss, and seasonal naive on the rows that have one."""
    y, missed, beside = part["y"].to_numpy(), np.abs(part["error"].to_numpy()), part["naive"].notna().to_numpy()
    naive_missed = np.abs(part["naive"].to_numpy("float64") - y)[beside]
    return {
        "months": part["month"].nunique(), "pinball": float(pinball(part.rename(columns={"amount": "yhat"})).mean()),
        "naive_wape": _ratio(naive_missed.sum(), np.abs(y[beside]).sum()),
        "naive_mae": naive_missed.mean() if beside.any() else float("nan"),
        "to_naive": _ratio(missed[beside].sum(), naive_missed.sum()),
    }  # fmt: skip


def _wape_of(accuracy: Any) -> float:
    found = json.loads(accuracy) if isinstance(accuracy, str) and accuracy else None
    value = found.get("wape") if isinstance(found, dict) else None
    return float("nan") if value is None else float(value)


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else float("nan")


def _refuse(bad: pd.Series, column: str, reason: str) -> None:
    if bad.any():
        row = int(np.argmax(bad.to_numpy()))
        raise BadInput(reason, row=row + 1, column=column, mend="Publish it again: salesml forecast revenue.")
