"""The leak prover: every registered feature passes it, and every one of the planted leaks is caught."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ibis
import pandas as pd
import pytest

from salesml.errors import LeakFound, NotEnoughData
from salesml.evaluation.leaks import prove
from salesml.features.catalogue import registered
from salesml.features.deals import ACTIVITY
from salesml.lake import Lake, Tables, View, asof, visible
from salesml.lake.asof import Totals
from salesml.workspace import Workspace

HOUR = dt.timedelta(hours=1)


def instants(tables: Tables, workspace: Workspace) -> list[dt.datetime]:
    """Days to prove at: one is the very instant at which a change became known, so that the boundary is tried."""
    known = sorted(tables.rows("opportunity")["known_at"].to_pylist())
    return [known[len(known) // 2], workspace.instant("2026-03-02")]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(registered()))
def test_every_registered_feature_is_blind_to_the_future(tiny_workspace: Workspace, name: str) -> None:
    tables = Lake(tiny_workspace).open()
    proved = prove(registered()[name], tables, instants(tables, tiny_workspace))
    assert set(proved["alteration"]) == {"delete", "scramble", "inject", "correct"}
    assert proved["rows"].min() > 50


def test_the_catalogue_describes_every_feature() -> None:
    for features in registered().values():
        frame = features.catalogue()
        assert frame["name"].is_unique and frame[["meaning", "unit", "availability", "imputation"]].ne("").all(
            axis=None
        )


@dataclass(frozen=True)
class Planted:
    """A feature that is honest but for one leak."""

    leak: Callable[[View, Any], Any]
    names: tuple[str, ...] = ("planted",)
    entity: str = "opportunity_id"

    def frame(self, view: View) -> pd.DataFrame:
        rows = view.state("opportunity", ["status", "stage", "amount", "owner_id", "account_id"])
        rows = self.leak(view, rows).select("opportunity_id", "as_of", "planted")
        return view.frame(rows).sort_values(["opportunity_id", "as_of"], ignore_index=True)


LEAKS: dict[str, Callable[[View, Any], Any]] = {}


def leak(function: Callable[[View, Any], Any]) -> Callable[[View, Any], Any]:
    LEAKS[function.__name__] = function
    return function


def _joined(
    rows: Any, facts: Any, key: str, value: Callable[[Any], Any], *conditions: Callable[[Any, Any], Any]
) -> Any:
    """`planted` = an aggregate over raw facts of the key that meet the conditions, beside each row."""
    facts = facts.rename({f"f_{name}": name for name in facts.columns})
    asked = rows.select("as_of", deal=rows.opportunity_id, key=rows[key])
    pairs = asked.join(
        facts, [asked["key"] == facts[f"f_{key}"], *(condition(asked, facts) for condition in conditions)]
    )
    found = pairs.group_by(["deal", "as_of"]).aggregate(planted=value(pairs))
    met = [rows.opportunity_id == found.deal, rows.as_of == found.as_of]
    return rows.left_join(found, met).drop("as_of_right", "deal")


def _raw(view: View, name: str) -> Any:
    return view.tables.stored(name)


@leak
def final_status(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "opportunity"), "opportunity_id", lambda p: p.f_status.max())


@leak
def final_amount(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "opportunity"), "opportunity_id", lambda p: p.f_amount.argmax(p.f_occurred_at))


@leak
def number_of_changes_ever(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "opportunity"), "opportunity_id", lambda p: p.count())


@leak
def activities_ever(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "activity"), "opportunity_id", lambda p: p.count())


@leak
def activities_that_occurred_whenever_entered(view: View, rows: Any) -> Any:
    return _joined(
        rows, _raw(view, "activity"), "opportunity_id", lambda p: p.count(), lambda r, f: f.f_occurred_at < r.as_of
    )


@leak
def changes_that_occurred_whenever_entered(view: View, rows: Any) -> Any:
    return _joined(
        rows,
        _raw(view, "opportunity"),
        "opportunity_id",
        lambda p: p.f_stage.count(),
        lambda r, f: f.f_occurred_at < r.as_of,
    )


@leak
def activities_up_to_and_including_as_of(view: View, rows: Any) -> Any:
    return _joined(
        rows, _raw(view, "activity"), "opportunity_id", lambda p: p.f_type.max(), lambda r, f: f.f_known_at <= r.as_of
    )


@leak
def changes_up_to_and_including_as_of(view: View, rows: Any) -> Any:
    return _joined(
        rows, _raw(view, "opportunity"), "opportunity_id", lambda p: p.count(), lambda r, f: f.f_known_at <= r.as_of
    )


@leak
def one_hour_ahead(view: View, rows: Any) -> Any:
    return _joined(
        rows,
        _raw(view, "opportunity"),
        "opportunity_id",
        lambda p: p.count(),
        lambda r, f: f.f_known_at < r.as_of + ibis.interval(hours=1),
    )


@leak
def days_until_the_next_change(view: View, rows: Any) -> Any:
    return _joined(
        rows,
        _raw(view, "opportunity"),
        "opportunity_id",
        lambda p: p.f_known_at.min(),
        lambda r, f: f.f_known_at >= r.as_of,
    )


@leak
def days_until_the_last_activity(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "activity"), "opportunity_id", lambda p: p.f_occurred_at.max())


@leak
def totals_looked_up_later(view: View, rows: Any) -> Any:
    found = view.with_totals(rows, ACTIVITY, "opportunity_id", back=dt.timedelta(days=-30))
    return found.mutate(planted=found.activities)


@leak
def totals_looked_up_a_second_later(view: View, rows: Any) -> Any:
    """Only the boundary gives this one away."""
    deals = Totals("opportunity", by="opportunity_id", sums={"changes": lambda r: ibis.literal(1, "int64")})
    found = view.with_totals(rows, deals, "opportunity_id", back=dt.timedelta(seconds=-1))
    return found.mutate(planted=found.changes)


@leak
def win_rate_of_the_rep_over_all_time(view: View, rows: Any) -> Any:
    facts = _raw(view, "opportunity").mutate(x=_raw(view, "opportunity").status.isin(["won"]).cast("int64"))
    return _joined(rows, facts, "owner_id", lambda p: p.f_x.sum())


@leak
def revenue_of_the_account_over_all_time(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "revenue"), "account_id", lambda p: p.f_amount.sum())


@leak
def share_of_the_greatest_amount_in_the_table(view: View, rows: Any) -> Any:
    greatest = _raw(view, "opportunity").amount.max().as_scalar()
    return rows.mutate(planted=rows.amount.cast("float64") / greatest.cast("float64"))


@leak
def amount_minus_the_mean_of_all_time(view: View, rows: Any) -> Any:
    mean = _raw(view, "opportunity").amount.cast("float64").mean().as_scalar()
    return rows.mutate(planted=rows.amount.cast("float64") - mean)


@leak
def frequency_of_the_stage_in_the_whole_table(view: View, rows: Any) -> Any:
    facts = _raw(view, "opportunity")
    counts = facts.group_by("stage").aggregate(planted=facts.count())
    return rows.left_join(counts, "stage").drop("stage_right")


@leak
def rank_among_deals_of_other_days(view: View, rows: Any) -> Any:
    return rows.mutate(planted=ibis.rank().over(ibis.window(order_by=rows.amount)))


@leak
def the_account_as_it_is_today(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "account"), "account_id", lambda p: p.f_employees.max())


@leak
def the_rep_as_it_is_today(view: View, rows: Any) -> Any:
    facts = (
        _raw(view, "user").rename(owner_id="user_id")
        if "owner_id" not in _raw(view, "user").columns
        else _raw(view, "user")
    )
    return _joined(rows, facts, "owner_id", lambda p: p.f_known_at.max().epoch_seconds() + p.f_name.max().length())


@leak
def the_state_of_a_month_later(view: View, rows: Any) -> Any:
    facts = asof.believed(_raw(view, "opportunity"), _table("opportunity"), 1)
    spec = asof.state_versions(facts, _table("opportunity"), asof.Asked(("stage",)), corrected=True)
    found = asof.look_up(
        rows.drop("stage"), spec.drop("created_at"), "opportunity_id", "opportunity_id", back=dt.timedelta(days=-30)
    )
    return found.mutate(planted=found.stage)


@leak
def corrections_taken_as_always_known(view: View, rows: Any) -> Any:
    """Reads the newest belief of each change, but only of changes that were first entered before as_of."""
    facts = _raw(view, "opportunity")
    window = ibis.window(group_by=["opportunity_id", "change_id"])
    facts = facts.mutate(first=facts.known_at.min().over(window))
    return _joined(
        rows, facts, "opportunity_id", lambda p: p.f_amount.argmax(p.f_known_at), lambda r, f: f.f_first < r.as_of
    )


@leak
def the_last_import_of_the_deal(view: View, rows: Any) -> Any:
    return _joined(rows, _raw(view, "opportunity"), "opportunity_id", lambda p: p.f_import_id.max())


def _table(name: str) -> Any:
    from salesml.contracts import table

    return table(name)


def test_at_least_twenty_leaks_are_planted() -> None:
    assert len(LEAKS) >= 20


@pytest.mark.parametrize("name", sorted(LEAKS))
def test_a_planted_leak_is_caught(tiny_workspace: Workspace, name: str) -> None:
    tables = Lake(tiny_workspace).open()
    with pytest.raises(LeakFound, match=r"planted|rows themselves"):
        prove(Planted(LEAKS[name]), tables, instants(tables, tiny_workspace)[:1])


def test_the_same_feature_without_a_leak_passes(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()

    def honest(view: View, rows: Any) -> Any:
        found = view.with_totals(rows, ACTIVITY, "opportunity_id")
        return found.mutate(planted=found.activities)

    assert len(prove(Planted(honest), tables, instants(tables, tiny_workspace)[:1])) == 4


def test_nothing_to_prove_is_no_proof(tiny_workspace: Workspace) -> None:
    with pytest.raises(NotEnoughData, match="choose a later instant"):
        prove(Planted(LEAKS["final_status"]), Lake(tiny_workspace).open(), [tiny_workspace.instant("1999-01-01")])


def test_the_gate_itself_is_honest_about_an_instant(tiny_workspace: Workspace) -> None:
    view = visible(Lake(tiny_workspace).open(), "2026-03-02")
    assert view.frame(view.facts("opportunity").known_at.max().as_table()).iloc[0, 0] < pd.Timestamp(
        "2026-03-02", tz="UTC"
    )
