"""The accuracy ledger: every published revenue forecast beside what its month brought, as known as of an instant."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pandas as pd

from salesml.analytics import ledger
from salesml.analytics.pipeline import months_later
from salesml.analytics.revenue import monthly_by_level
from salesml.errors import NotEnoughData
from salesml.lake import Lake, Tables, visible
from salesml.workflows.ledger_facts import TOMORROW, override_facts, published, same
from salesml.workspace import Workspace


@dataclass(frozen=True)
class Ledger:
    """What published forecasts were worth, as of an instant; money in `currency`. Grain of the frames:

    judged: one row per published forecast whose month is known (`ledger.judge`, with horizon, naive, afterwards: written when
    the month was over). table: level × horizon (`ledger.by_horizon`). trend: level × month (`ledger.by_month`). drift: one row
    per level (`ledger.drift`). added: what people's overrides were worth (`ledger.value_added`). reasons: each alarm in words,
    with what to do. `waiting`: forecasts whose month is not known yet; `left_out`: published rows not of one calendar month.
    """

    as_of: dt.datetime
    currency: str
    last_month: dt.date
    judged: pd.DataFrame
    table: pd.DataFrame
    trend: pd.DataFrame
    drift: pd.DataFrame
    added: pd.DataFrame
    reasons: tuple[str, ...]
    waiting: int
    left_out: int
    sentence: str
    notes: tuple[str, ...]
    head_id: int

    @property
    def alarm(self) -> bool:
        """Whether recent errors are surely above those the forecasts were published with."""
        return bool(self.reasons)


def accuracy_ledger(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> Ledger:
    """Judge every published monthly forecast made for an instant up to as_of (default: the start of the day after the last fact).

    A month is known when it is over and it, or a later one, has revenue. Seasonal naive beside each forecast knows what was known
    at the forecast's own as_of. Of a forecast made again for the same as_of the later one counts. Raises NotEnoughData where
    no forecast was published, or no complete month of revenue is known.
    """
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    forecasts, left_out = published(workspace, tables, cutoff)
    if forecasts.empty:
        told = "no monthly revenue forecast was published for that instant or before; publish one with: salesml forecast revenue"
        raise NotEnoughData(told)
    history = monthly_by_level(visible(tables, cutoff))
    judged = ledger.judge(forecasts, history)
    judged = judged.assign(horizon=_horizon(workspace, judged), naive=_naive(tables, judged))
    over = [pd.Timestamp(workspace.instant(months_later(month.date(), 1))) for month in judged["month"]]
    judged["afterwards"] = judged["known_at"].to_numpy() >= pd.DatetimeIndex(over, tz="UTC").to_numpy()
    table, moved = ledger.by_horizon(judged), ledger.drift(judged)
    last = ledger.last_known_month(history).date()
    return Ledger(
        cutoff, workspace.settings.currency, last, judged, table, ledger.by_month(judged), moved,
        ledger.value_added(_calls(workspace, tables, cutoff, history)), _reasons(moved),
        len(forecasts) - len(judged), left_out, _sentence(table, len(forecasts), last), _notes(judged, left_out), tables.head.id,
    )  # fmt: skip


def _horizon(workspace: Workspace, judged: pd.DataFrame) -> pd.Series:
    """Months ahead: 1 for the month that as_of lies in."""
    days = pd.to_datetime([workspace.local_date(instant.to_pydatetime()) for instant in judged["as_of"]])
    return (judged["month"].dt.year - days.year) * 12 + judged["month"].dt.month - days.month + 1


def _naive(tables: Tables, judged: pd.DataFrame) -> pd.Series:
    found = pd.Series(float("nan"), judged.index)
    for as_of, rows in judged.groupby("as_of"):
        try:
            history = monthly_by_level(visible(tables, pd.Timestamp(str(as_of)).to_pydatetime()))
        except NotEnoughData:  # nothing was known then under today's imports
            continue
        found[rows.index] = ledger.naive(history, rows, ledger.last_known_month(history))
    return found


def _calls(workspace: Workspace, tables: Tables, cutoff: dt.datetime, history: pd.DataFrame) -> pd.DataFrame:
    """Overrides of known months, replaced, withdrawn and ended ones too, beside the newest forecast published before each."""
    facts = override_facts(visible(tables, max(cutoff, dt.datetime.now(dt.UTC))))
    due = facts[facts["withdraws"].isna() & (facts["month"] <= ledger.last_known_month(history))]
    actual = history.set_index(ledger.KEYS)["amount"]
    rows = []
    for call in due.to_dict("records"):
        before = call["known_at"].to_pydatetime()
        then, _ = published(workspace, tables, before + TOMORROW, before)
        model = then[same(then, call["level"], call["name"], call["month"])].tail(1)["amount"]
        if len(model):
            y = float(actual.get(tuple(call[key] for key in ledger.KEYS), 0))
            rows.append((call["author"], call["level"], y, float(model.iloc[0]), float(call["amount"])))
    return pd.DataFrame(rows, columns=["author", "level", "y", "model", "override"])


def _reasons(moved: pd.DataFrame) -> tuple[str, ...]:
    found = []
    for row in moved[moved["alarm"].astype(bool)].to_dict("records"):
        leaning = "too high" if row["bias"] > 0 else "too low"
        found.append(
            f"{row['level']}: the error of the last {row['months']} months is {row['recent_wape']:.1%}, surely above the "
            f"{row['published_wape']:.1%} it was published with ({row['ratio']:.2f} times, at least {row['ratio_lo']:.2f}); forecasts were "
            f"{leaning} by {abs(row['bias']):.1%}, most in {row['worst']}. Forecast again from today's history "
            "(salesml forecast revenue chooses the model anew), and do not rely on the old intervals until then"
        )
    return tuple(found)


def _sentence(table: pd.DataFrame, count: int, last: dt.date) -> str:
    whole = table[table["horizon"] == ledger.ALL_HORIZONS].set_index("level")
    if whole.empty:
        return f"Of {count:,} published forecasts none has come due: revenue is known up to {last:%B %Y}."
    name = "company" if "company" in whole.index else str(whole.index[0])
    row = whole.loc[name].to_dict()
    told = (
        f"{int(whole['n'].sum()):,} published forecasts have come due (revenue is known up to {last:%B %Y}). Of {name} the error "
        f"(WAPE) was {row['wape']:.1%} over {int(row['months'])} months, the bias {row['bias']:+.1%}; "
        f"{row['cover80']:.0%} of the outcomes lay in the 80 % interval, {row['cover95']:.0%} in the 95 % interval."
    )
    if pd.notna(row["to_naive"]):
        told += f" Seasonal naive erred by {row['naive_wape']:.1%} where it could be made."
    return told


def _notes(judged: pd.DataFrame, left_out: int) -> tuple[str, ...]:
    notes, afterwards = [], int(judged["afterwards"].sum())
    if afterwards:
        notes.append(f"{afterwards:,} of {len(judged):,} were written when their month was over, from what was known at their as_of")
    if left_out:
        notes.append(f"{left_out:,} published rows are not of one calendar month in the workspace's currency, and are not judged")
    return tuple(notes)
