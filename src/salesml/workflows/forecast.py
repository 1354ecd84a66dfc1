"""Revenue: monthly history from the lake, a judged forecast of company and regions, kept as predictions."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.analytics import pipeline
from salesml.analytics.revenue import basis, monthly_by_rep
from salesml.lake import Head, Lake, Tables, visible
from salesml.workspace import Workspace

if TYPE_CHECKING:
    from salesml.models.revenue import RevenueForecast
    from salesml.models.revenue_open_deals import OpenDeals
    from salesml.models.revenue_parts import PartForecast

MODEL = "revenue"
COMPANY, REGION = "company", "region/"
REST = "deals not open yet, orders without a deal"
AMOUNTS = {"yhat": "amount", "lo80": "lo80", "hi80": "hi80", "lo95": "lo95", "hi95": "hi95"}
CENT = Decimal("0.01")


@dataclass(frozen=True)
class ForecastRun:
    """A forecast as published.

    `forecast`: one row per entity and month: entity_type, entity_id, parent, period_start, period_end, amount, lo80, hi80, lo95,
    hi95 (exact decimals in `currency`), model, factors (`made_of` as JSON). `history`: region, month, amount. `backtest`: as
    RevenueForecast says, of teams and reps too.
    """

    as_of: dt.datetime
    currency: str
    revenue_is: str
    history: pd.DataFrame
    forecast: pd.DataFrame
    backtest: pd.DataFrame
    chosen: str
    notes: tuple[str, ...]
    sentence: str
    run_id: str
    head_id: int

    def table(self) -> str:
        """The company's months as plain text."""
        company = self.forecast[self.forecast["entity_type"] == "company"]
        lines = [f"{'month':8} {self.currency:>15} {'80 % interval':>31}"]
        lines += [
            f"{row['period_start']:%Y-%m}  {row['amount']:>15,.0f} {row['lo80']:>14,.0f} to {row['hi80']:>13,.0f}"
            for row in company.to_dict("records")
        ]
        return "\n".join(lines)

    def made_of(self) -> str:
        """What the company's first month comes of, in a sentence."""
        company = made_of(self.forecast[self.forecast["entity_type"] == "company"])
        first = company[company["period_start"] == company["period_start"].min()].to_dict("records")
        parts = "; ".join(f"{row['factor']} {row['amount']:,.0f}" for row in first)
        return f"{first[0]['period_start']:%B %Y} is made of, {self.currency}: {parts}." if first else ""


@dataclass(frozen=True)
class Made:
    """A forecast, its teams and reps, and what it was made of: what open deals told, history by region, what revenue is, notes."""

    result: RevenueForecast
    parts: PartForecast
    told: OpenDeals | None
    history: pd.DataFrame
    revenue_is: str
    notes: tuple[str, ...]


def forecast_revenue(
    workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None, months: int = 6, prophet: bool = True
) -> ForecastRun:
    """Forecast monthly revenue of the company, its regions, their teams and reps from what was known as of an instant.

    Compared on rolling origins: average, seasonal naive, the ensemble, the ensemble with what open deals say, Prophet, its blend with
    the ensemble; teams and reps have their part of their region (`models.revenue_parts`). Writes table `forecast` and an MLflow run;
    the same forecast again changes nothing. Raises NotEnoughData below three complete months of revenue.
    """
    from salesml.registry import tracking

    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    params = {"as_of": cutoff.isoformat(), "months": months, "prophet": prophet}
    with tracking.run(workspace, MODEL, params=params, head=tables.head) as run:
        made = forecast_now(workspace, tables, cutoff, months, prophet)
        result, notes = made.result, (*made.notes, *made.result.notes)
        run.log_metrics(_metrics(result))
        run.log_dict({"chosen": result.chosen, "revenue_is": made.revenue_is, "notes": list(notes)}, "forecast.json")
        run.log_dict({"rows": result.backtest.to_dict("records")}, "backtest.json")
        forecast = _published(result, made.parts)
        forecast = forecast.assign(factors=_factors(forecast, made.told))
        backtest = _with_parts(result, made.parts)
        _keep(workspace, forecast, made, backtest, cutoff, run.id, tables.head)
    sentence = _sentence(result, forecast, workspace.settings.currency)
    return ForecastRun(
        cutoff, workspace.settings.currency, made.revenue_is, made.history, forecast, backtest, result.chosen, notes, sentence,
        run.id, tables.head.id,
    )  # fmt: skip


def forecast_now(
    workspace: Workspace, tables: Tables, instant: dt.datetime, months: int, prophet: bool = True, open_deals: bool = True
) -> Made:
    """What `forecast_revenue` publishes, made and not kept; `open_deals` False leaves out what they say."""
    from salesml.models import revenue
    from salesml.models.revenue_parts import share_out
    from salesml.workflows.revenue_open_deals import revenue_open_deals

    view = visible(tables, instant)
    by = basis(view)
    each = monthly_by_rep(view, by)
    history = each.groupby(["region", "month"])["amount"].agg(pipeline.total).reset_index()
    series, notes = long_series(history, workspace.local_date(instant))
    levels = {name: COMPANY for name in series["unique_id"].unique() if name != COMPANY}
    told = revenue_open_deals(workspace, tables, instant, months, bool(levels)) if open_deals else None
    result = revenue.forecast_revenue(series, months, "MS", levels, prophet=prophet, open_deals=told)
    region = REGION + each["region"] if levels else COMPANY
    sold = each.assign(series=region, ds=each["month"], y=each["amount"].astype("float64").clip(lower=0.0))
    parts = share_out(result, sold, told.by_rep if told else None, months)
    if parts.left_out:
        notes.append(f"{parts.left_out} teams or reps sold for several regions or teams: they have no forecast of their own")
    return Made(result, parts, told, history, by, tuple(notes))


def long_series(history: pd.DataFrame, today: dt.date) -> tuple[pd.DataFrame, list[str]]:
    """Long frame unique_id, ds, y up to the last complete month; months of a region below zero count as zero, and are told."""
    notes = []
    negative = history["amount"] < 0
    if negative.any():
        notes.append(f"{int(negative.sum())} months of a region are below zero (credit notes) and count as 0")
    amounts = history["amount"].where(~negative, Decimal(0)).astype("float64")
    regions = pd.DataFrame({"unique_id": REGION + history["region"], "ds": history["month"], "y": amounts})
    last = pd.Timestamp(today).replace(day=1) - pd.DateOffset(months=1)
    if not (regions["ds"] == last).any():
        regions.loc[len(regions)] = [regions["unique_id"].iloc[0], last, 0.0]
        notes.append(f"no revenue in {last:%Y-%m}, the last complete month: it counts as 0")
    if regions["unique_id"].nunique() == 1:
        return regions.assign(unique_id=COMPANY), notes
    return regions, notes


def _published(result: RevenueForecast, parts: PartForecast) -> pd.DataFrame:
    """The forecast in whole cents, regions summing to the company exactly, teams and reps to their region where all have one."""
    from salesml.models.revenue_levels import cents_of, with_rests

    whole = result.frame.assign(parent=COMPANY).astype({"parent": "object"})
    whole.loc[whole["unique_id"] == COMPANY, "parent"] = None
    frame = pd.concat([whole, parts.frame], ignore_index=True).sort_values(["ds", "unique_id"], ignore_index=True)
    exact = {name: frame[name].map(lambda value: Decimal(repr(value)).quantize(CENT)) for name in AMOUNTS}
    for _, rows in frame.groupby("ds"):
        ids = rows["unique_id"].tolist()
        parents = {name: above if isinstance(above, str) else None for name, above in zip(ids, rows["parent"], strict=True)}
        said = cents_of(*with_rests(parents, dict(zip(ids, rows["yhat"], strict=True))), {})
        exact["yhat"].loc[rows.index] = [said[name] for name in ids]
    return pd.DataFrame(
        {
            "entity_type": frame["unique_id"].str.split("/").str[0],
            "entity_id": frame["unique_id"].str.split("/", n=1).str[-1],
            "parent": frame["parent"],
            "period_start": frame["ds"].dt.date,
            "period_end": (frame["ds"] + pd.DateOffset(months=1)).dt.date,
            **{kept: exact[name] for name, kept in AMOUNTS.items()},
            "model": frame["model"],
        }
    )


def made_of(forecast: pd.DataFrame) -> pd.DataFrame:
    """What published months come of. Grain: one row per row of table `forecast` and factor: entity_type, entity_id, period_start, factor,
    amount (exact, adding up to the month's).

    Booked already, open deals by type, and the rest: deals not open yet, orders without a deal, and where the history says less than
    these, what is taken off.
    """
    rows = [
        (row["entity_type"], row["entity_id"], row["period_start"], one["factor"], Decimal(one["effect"]))
        for row in forecast.to_dict("records")
        for one in (json.loads(row["factors"]) if isinstance(row["factors"], str) else [])
    ]
    return pd.DataFrame(rows, columns=["entity_type", "entity_id", "period_start", "factor", "amount"])


def _factors(forecast: pd.DataFrame, open_deals: OpenDeals | None) -> list[str]:
    """Of each row, JSON: list of {factor, effect}, adding up to its amount."""
    told = pd.DataFrame() if open_deals is None or open_deals.parts is None else open_deals.parts.dropna(axis=1)
    team = forecast[forecast["entity_type"] == "rep"].drop_duplicates("entity_id").set_index("entity_id")["parent"]
    keys = told.index.to_frame(index=False) if len(told) else pd.DataFrame(columns=["series", "rep", "type"])
    nodes = {"company": pd.Series(COMPANY, keys.index), "region": keys["series"].str.removeprefix(REGION),
             "team": keys["rep"].map(team).astype("object").str.removeprefix("team/"), "rep": keys["rep"]}  # fmt: skip
    of = {level: told.groupby([names.to_numpy(), keys["type"].to_numpy()]).sum() for level, names in nodes.items()} if len(told) else {}
    first, found = forecast["period_start"].min(), []
    for row in forecast.to_dict("records"):
        ahead = (row["period_start"].year - first.year) * 12 + row["period_start"].month - first.month
        mine = of.get(row["entity_type"])
        parts = mine.loc[row["entity_id"], ahead] if mine is not None and ahead in mine and row["entity_id"] in mine.index else {}
        effects = {str(name): Decimal(repr(float(value))).quantize(CENT) for name, value in dict(parts).items() if value >= 0.005}
        effects[REST] = row["amount"] - sum(effects.values(), Decimal(0))
        found.append(json.dumps([{"factor": name, "effect": str(value)} for name, value in effects.items()]))
    return found


def _overall(backtest: pd.DataFrame, model: str, level: str = COMPANY) -> dict[str, Any] | None:
    """The backtest row of a model at a level over all steps; None where nothing could be tested."""
    if backtest.empty:
        return None
    rows = backtest[(backtest["model"] == model) & (backtest["level"] == level) & (backtest["step"] == 0)]
    return {str(name): value for name, value in rows.to_dict("records")[0].items()} if len(rows) else None


def _metrics(result: RevenueForecast) -> dict[str, float]:
    table = result.backtest
    overall = table[table["step"] == 0] if len(table) else table
    return {
        f"{row['model']}.{row['level']}.{name}": float(row[name])
        for row in overall.to_dict("records")
        for name in ("wape", "bias", "cover80", "cover95")
        if np.isfinite(row[name])
    }


def _sentence(result: RevenueForecast, forecast: pd.DataFrame, currency: str) -> str:
    company = forecast[forecast["entity_type"] == "company"]
    first = company.iloc[0]
    total = sum(company["amount"], Decimal(0))
    month = f"{first['period_start']:%B %Y}: {first['amount']:,.0f} {currency} (80 % interval {first['lo80']:,.0f} to {first['hi80']:,.0f})"
    answer = f"Revenue forecast for {month}; {total:,.0f} {currency} over {len(company)} months, by {result.chosen.replace('_', ' ')}."
    champion, naive = _overall(result.backtest, "champion"), _overall(result.backtest, "seasonal_naive")
    if champion is None or naive is None:
        return f"{answer} The history is too short to measure its error."
    return (
        f"{answer} On {int(champion['n'])} past forecast months its error (WAPE) was {champion['wape']:.1%}, that of seasonal naive "
        f"{naive['wape']:.1%}; {champion['cover80']:.0%} of the outcomes lay in the 80 % interval."
    )


def _keep(
    workspace: Workspace, forecast: pd.DataFrame, made: Made, backtest: pd.DataFrame, cutoff: dt.datetime, run_id: str, head: Head
) -> None:
    from salesml.state.users import current_user

    stamp = f"{MODEL}:{cutoff:%Y%m%dT%H%M%SZ}"
    frame = forecast.assign(
        forecast_id=stamp
        + ":"
        + forecast["entity_type"]
        + ":"
        + forecast["entity_id"]
        + ":"
        + forecast["period_start"].astype(str),
        currency=workspace.settings.currency,
        accuracy=_accuracy(forecast, made, backtest),
        author=current_user(workspace).name,
        as_of=pd.Timestamp(cutoff),
        model_version=forecast["model"],
        model=MODEL,
        run_id=run_id,
        head_id=head.id,
        occurred_at=pd.Timestamp(dt.datetime.now(dt.UTC)),
    )
    staged = {"forecast": pa.Table.from_pandas(frame, preserve_index=False)}
    Lake(workspace).ingest(staged, origin="forecast revenue", kind="predictions", note={"as_of": cutoff.isoformat()})


def _with_parts(result: RevenueForecast, parts: PartForecast) -> pd.DataFrame:
    """The backtest, of teams and reps too."""
    from salesml.evaluation.backtest import by_step

    return pd.concat([result.backtest, by_step(parts.judged, "seasonal_naive")], ignore_index=True)


def _accuracy(forecast: pd.DataFrame, made: Made, backtest: pd.DataFrame) -> list[str]:
    """JSON of each row: measured error of its level, and `total`, the running total up to its month with its own interval."""
    overall = {level: _plain(_overall(backtest, "champion", level)) for level in forecast["entity_type"].unique()}
    total = forecast.groupby(["entity_type", "entity_id"])["amount"].transform(lambda amounts: amounts.cumsum())
    totals = pd.concat([made.result.totals, made.parts.totals], ignore_index=True)
    ends = totals.set_index(["unique_id", "ds"])[["lo80", "hi80", "lo95", "hi95"]]
    names = forecast["entity_id"].where(forecast["entity_type"] == COMPANY, forecast["entity_type"] + "/" + forecast["entity_id"])
    keys = pd.MultiIndex.from_arrays([names, pd.to_datetime(forecast["period_start"])])
    told = []
    for level, amount, row in zip(forecast["entity_type"], total, ends.loc[keys].to_dict("records"), strict=True):
        exact = {name: str(Decimal(repr(value)).quantize(CENT)) for name, value in row.items()}
        told.append(json.dumps({**(overall[level] or {}), "total": {"amount": str(amount), **exact}}))
    return told


def _plain(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {name: None if isinstance(value, float) and not np.isfinite(value) else value for name, value in row.items()}
