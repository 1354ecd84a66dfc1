"""What changed: the expected revenue of a quarter's deals at two instants, and which deals and causes moved it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import pandas as pd

from salesml.analytics import forecast_change as parts_of
from salesml.analytics.pipeline import quarter
from salesml.errors import BadParameter
from salesml.lake import Lake, Tables, visible
from salesml.workflows import quarter_facts as facts
from salesml.workflows.adjustments import in_force
from salesml.workflows.deals import MODEL, score_deals
from salesml.workflows.overview import champions, reigns
from salesml.workflows.quarter import picture
from salesml.workspace import Workspace

BACK = dt.timedelta(days=7)
STATE = ["status", "amount", "currency", "close_date", "name", "owner_id", "deleted"]


@dataclass(frozen=True)
class Change:
    """What moved expected revenue from deals of the quarter [start, end) from `since` to `as_of`; exact money in `currency`.

    causes: `forecast_change.totals`; deals: `forecast_change.decompose` with name and owner; behind: `forecast_change.behind` with
    name and owner. versions: of the deal model at both instants (None: rates of past quarters).
    """

    since: dt.datetime
    as_of: dt.datetime
    start: dt.date
    end: dt.date
    currency: str
    before: Decimal
    after: Decimal
    causes: pd.DataFrame
    deals: pd.DataFrame
    behind: pd.DataFrame
    versions: tuple[int | None, int | None]
    sentence: str
    notes: tuple[str, ...]
    head_id: int


def what_changed(
    workspace: Workspace,
    since: str | dt.date | dt.datetime | None = None,
    as_of: str | dt.date | dt.datetime | None = None,
) -> Change:
    """Decompose the change of the quarter's expected revenue from deals between two instants, to the cent.

    Expected: amounts of deals won in the quarter plus amount × chance of being won in it for each open deal, by the version of the
    deal model that was champion at the instant (before the first promotion: today's), else by rates of past quarters; a person's
    probability (`salesml adjust`) keeps the model's timing. Scores kept for the very instant serve, others are made and kept.
    `since` defaults to 7 days before as_of, or the quarter's start. When the quarter is over, a deal still open is worth nothing
    and has slipped. Raises BadParameter where since is not before as_of, or both are not in one fiscal quarter; NotEnoughData as
    `workflows.quarter.picture`.
    """
    tables = Lake(workspace).open()
    until = tables.instant(as_of)
    begin, (start, end) = _begin(workspace, since, until)
    versions = (_version(workspace, begin), _version(workspace, until))
    old = _deals(workspace, tables, begin, versions[0], (start, end))
    renewed = old if versions[0] == versions[1] else _deals(workspace, tables, begin, versions[1], (start, end))
    new = _deals(workspace, tables, until, versions[1], (start, end))
    if until >= workspace.instant(end):
        old = old.assign(due=True)  # whatever was expected of a deal: the quarter ended with it open
    chances = renewed.set_index("opportunity_id")["chance"]
    found = parts_of.decompose(old.assign(renewed_chance=old["opportunity_id"].map(chances)), new)
    names = pd.concat([new, old]).drop_duplicates("opportunity_id").set_index("opportunity_id")[["name", "owner"]]
    causes, before, after = parts_of.totals(found), sum(found["before"], Decimal(0)), sum(found["after"], Decimal(0))
    lacking = int(new["amount"].isna().sum())
    notes = [_chance_words(versions)]
    if lacking:
        notes.append(f"{lacking:,} deals have no amount in {workspace.settings.currency} and bring nothing here.")
    return Change(
        begin, until, start, end, workspace.settings.currency, before, after, causes, found.join(names, on="opportunity_id"),
        parts_of.behind(found).join(names, on="opportunity_id"), versions,
        _sentence(workspace, (start, end), (begin, until), (before, after), causes), tuple(notes), tables.head.id,
    )  # fmt: skip


def _begin(
    workspace: Workspace, since: str | dt.date | dt.datetime | None, until: dt.datetime
) -> tuple[dt.datetime, tuple[dt.date, dt.date]]:
    """The earlier instant, and the quarter both lie in: that of the last moment before `until`."""
    last = workspace.local_date(until - dt.timedelta(microseconds=1))
    start, end = quarter(last, workspace.settings.fiscal_year_start)
    opens = workspace.instant(start)
    begin = workspace.instant(since) if since else max(until - BACK, opens)
    if begin >= until:
        raise BadParameter(f"since {since} is not before {until:%Y-%m-%d %H:%M} UTC; give an earlier day, or a later --as-of")
    if begin < opens:
        raise BadParameter(
            f"since {since} lies before the quarter of {last} began; give {start} or later, or an --as-of up to {start}"
        )
    return begin, (start, end)


def _deals(
    workspace: Workspace, tables: Tables, instant: dt.datetime, version: int | None, period: tuple[dt.date, dt.date]
) -> pd.DataFrame:
    """Deals open at an instant or won in the quarter before it, as `forecast_change.decompose` takes them, with name and owner."""
    view, (start, end) = visible(tables, instant), period
    rows = view.state("opportunity", STATE, since=["status"])
    rows = view.with_state(rows.filter(rows.status.isin(["open", "won"])), "user", "owner_id", ["name"], prefix="user_")
    frame = view.frame(rows)
    won = frame["status"].eq("won") & (frame["status_since"] >= pd.Timestamp(workspace.instant(start)))
    frame = frame[(frame["status"].eq("open") | won) & ~frame["deleted"].eq(True)].reset_index(drop=True)
    own = frame["currency"].isna() | frame["currency"].eq(workspace.settings.currency)
    over = instant >= workspace.instant(end)
    deals = pd.DataFrame(
        {
            "opportunity_id": frame["opportunity_id"], "state": frame["status"], "amount": frame["amount"].where(own, None),
            "due": (pd.to_datetime(frame["close_date"]) < pd.Timestamp(end)) & (not over),
            "name": frame["name"].fillna(frame["opportunity_id"]), "owner": frame["user_name"].fillna(frame["owner_id"]),
        }
    )  # fmt: skip
    if over or not deals["state"].eq("open").any():
        return deals.assign(chance=0.0, held_chance=0.0)
    chances = _chances(workspace, tables, instant, version, set(deals.loc[deals["state"] == "open", "opportunity_id"]))
    chances = chances.reindex(deals["opportunity_id"])
    chance = chances["p_quarter"].to_numpy("float64")
    held = in_force(view).set_index("opportunity_id")["probability"].reindex(deals["opportunity_id"]).to_numpy("float64")
    final = chances["probability"].to_numpy("float64")
    deals = deals.assign(chance=chance, held_chance=chance)
    told = (held >= 0) & (final > 0)
    deals.loc[told, "held_chance"] = (chance * held / final)[told].clip(0, 1)
    return deals


def _chances(
    workspace: Workspace, tables: Tables, instant: dt.datetime, version: int | None, deals: set[str]
) -> pd.DataFrame:
    """probability (won in the end, missing without a model) and p_quarter by opportunity_id: kept scores, else made now."""
    scores = None
    if version is not None:
        kept = _kept(tables, instant, version)
        scores = kept if deals <= set(kept["opportunity_id"]) else score_deals(workspace, instant, version)
    if scores is None or "p_quarter" not in scores or scores["p_quarter"].isna().any():
        scores = picture(workspace, tables, instant, scores).deals
    return scores.set_index("opportunity_id")[["probability", "p_quarter"]]


def _kept(tables: Tables, instant: dt.datetime, version: int) -> pd.DataFrame:
    """What a version's kept predictions say for exactly that instant: opportunity_id, probability, p_quarter (missing if it has none)."""
    view = visible(tables, dt.datetime.now(dt.UTC))
    rows = facts.predictions(view)
    rows = rows.filter(rows.model_version == str(version), rows.as_of == instant)
    found = view.frame(rows.select("target", "point", opportunity_id=rows.entity_id))
    return facts.as_scores(found.drop_duplicates(["opportunity_id", "target"]))


def _version(workspace: Workspace, instant: dt.datetime) -> int | None:
    """The version that was champion just before an instant; before the first promotion today's; None without any."""
    ruling = [version for at, version in reigns(workspace, MODEL) if at < instant]
    return ruling[-1] if ruling else dict(champions(workspace)).get(MODEL)


def _chance_words(versions: tuple[int | None, int | None]) -> str:
    old, new = versions
    if new is None:
        return "Chances are rates of past quarters: the deal model has no champion yet."
    if old == new:
        return f"Chances are those of version {new} of the deal model at both instants."
    return f"Chances are those of version {old} of the deal model before and of version {new} after."


def _sentence(
    workspace: Workspace,
    period: tuple[dt.date, dt.date],
    between: tuple[dt.datetime, dt.datetime],
    worth: tuple[Decimal, Decimal],
    causes: pd.DataFrame,
) -> str:
    (start, end), (begin, until), (before, after) = period, between, worth
    days = f"from {workspace.local_date(begin):%A %-d %B %Y} to {workspace.local_date(until):%A %-d %B %Y}"
    money = f"{before:,.2f} to {after:,.2f} {workspace.settings.currency} ({after - before:+,.2f})"
    told = f"Revenue expected from deals in {start:%B} to {end - dt.timedelta(days=1):%B %Y} went from {money} {days}"
    moved = causes[causes["amount"].astype(bool)]
    if moved.empty:
        return f"{told}: nothing moved it."
    order = moved.assign(size=moved["amount"].abs().astype("float64")).sort_values("size", ascending=False)
    parts = (f"{row['cause'].replace('_', ' ')} {row['amount']:+,.2f}" for row in order.to_dict("records"))
    return f"{told}: {', '.join(parts)}."
