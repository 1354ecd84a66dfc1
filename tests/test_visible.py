"""visible(): an instant and a spine agree exactly, totals equal a plain recount, both look-up plans give the same."""

from __future__ import annotations

import datetime as dt
import random

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.features.deals import DEALS
from salesml.features.spines import weekly_spine
from salesml.lake import Lake, Tables, gate, visible
from salesml.lake.asof import Totals
from salesml.workspace import Workspace

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
CALLS = Totals(
    "activity",
    by="opportunity_id",
    sums={"calls": lambda rows: (rows.type == "call").cast("int64")},
    latest={"last_at": lambda rows: rows.occurred_at},
)


def believed(rows: list[dict], as_of: dt.datetime) -> list[dict]:
    """What an activity log said as of an instant, in plain Python: the latest row of each key known by then."""
    latest: dict[str, dict] = {}
    for row in sorted(rows, key=lambda r: (r["known_at"], r["import_id"])):
        if row["known_at"] < as_of:
            latest[row["activity_id"]] = row
    return [row for row in latest.values() if not row["retracted"]]


hours = st.integers(0, 60)
logs = st.lists(
    st.fixed_dictionaries(
        {
            "activity_id": st.sampled_from("abcdef"),
            "opportunity_id": st.sampled_from(["A", "B", None]),
            "type": st.sampled_from(["call", "email"]),
            "occurred": hours,
            "known": hours,
            "retracted": st.booleans(),
        }
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda row: (row["activity_id"], row["known"]),
)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(log=logs, asked=st.lists(st.tuples(st.sampled_from("AB"), hours), min_size=1, max_size=6, unique=True))
def test_totals_equal_a_recount_under_corrections(
    workspace: Workspace, log: list[dict], asked: list[tuple[str, int]]
) -> None:
    rows = [
        {
            **{k: row[k] for k in ("activity_id", "opportunity_id", "type", "retracted")},
            "occurred_at": START + dt.timedelta(hours=row["occurred"]),
            "known_at": START + dt.timedelta(hours=row["known"]),
            "import_id": f"{number:06d}",
        }
        for number, row in enumerate(log)
    ]
    schema = Lake(workspace).open().rows("activity").schema
    log_rows = pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)
    tables = Tables.of(workspace, {"activity": log_rows})
    spine = pd.DataFrame([{"opportunity_id": d, "as_of": START + dt.timedelta(hours=h)} for d, h in asked])
    view = visible(tables, spine.astype({"as_of": "datetime64[us, UTC]"}))
    plain = view.frame(view.with_totals(view.spine(), CALLS, "opportunity_id"))
    crowded = view.frame(view.with_totals(view.spine(), CALLS, "opportunity_id", crowded=True))
    for frame in (plain, crowded):
        for found in frame.itertuples():
            mine = [
                r for r in believed(rows, found.as_of.to_pydatetime()) if r["opportunity_id"] == found.opportunity_id
            ]
            assert found.calls == sum(r["type"] == "call" for r in mine)
            last = max((r["occurred_at"] for r in mine), default=None)
            assert (pd.isna(found.last_at) and last is None) or found.last_at == last


def test_an_instant_and_a_spine_agree_exactly(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()
    instants = [tiny_workspace.instant(day) for day in ("2025-09-01", "2026-02-17", "2026-06-30")]
    frames = [DEALS.frame(visible(tables, instant)) for instant in instants]
    both = pd.concat(frames, ignore_index=True).sort_values(["opportunity_id", "as_of"], ignore_index=True)
    spine = both[["opportunity_id", "as_of"]].sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(DEALS.frame(visible(tables, spine)), both, check_exact=True)


def test_many_instants_take_the_other_plan_to_the_same_numbers(
    tiny_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = Lake(tiny_workspace).open()
    view = visible(tables, "2026-06-30")
    spine = weekly_spine(
        view, tiny_workspace, tiny_workspace.instant("2026-02-01"), tiny_workspace.instant("2026-06-30")
    )
    grid = DEALS.frame(visible(tables, spine))
    monkeypatch.setattr(gate, "MANY_INSTANTS", 0)
    pd.testing.assert_frame_equal(DEALS.frame(visible(tables, spine)), grid, check_exact=True)


def test_a_daily_spine_holds_the_weekly_one_and_every_midnight_between(tiny_workspace: Workspace) -> None:
    view = visible(Lake(tiny_workspace).open(), "2026-06-30")
    ends = tiny_workspace.instant("2026-03-20"), tiny_workspace.instant("2026-04-10")  # the clocks change on the 29th
    weekly, daily = (weekly_spine(view, tiny_workspace, *ends, every_days=days).to_pandas() for days in (7, 1))
    days = {tiny_workspace.instant(f"{day:%Y-%m-%d}") for day in pd.date_range("2026-03-20", "2026-04-10")}
    assert set(daily["as_of"]) == days and len(set(weekly["as_of"])) == 3
    pairs = {tuple(row) for row in daily.to_numpy()}
    assert {tuple(row) for row in weekly.to_numpy()} < pairs and len(pairs) == len(daily)
    with pytest.raises(BadParameter, match="every_days 0"):
        weekly_spine(view, tiny_workspace, *ends, every_days=0)


def test_states_equal_a_plain_reading_of_the_changes(tiny_workspace: Workspace) -> None:
    as_of = tiny_workspace.instant("2026-02-17")
    tables = Lake(tiny_workspace).open()
    changes = tables.rows("opportunity").to_pandas()
    changes = changes[changes["known_at"] < as_of].sort_values(["occurred_at", "known_at", "source_row", "change_id"])
    deals = changes.groupby("opportunity_id")
    plain = deals[["status", "stage", "amount", "close_date"]].last()
    set_stage = changes[changes["stage"].notna()].groupby("opportunity_id")["occurred_at"].last()
    view = visible(tables, as_of)
    asked = view.state(
        "opportunity", ["status", "stage", "amount", "close_date"], since=["stage"], changes=["close_date"], first=["amount"]
    )
    found = view.frame(asked).set_index("opportunity_id").sort_index()
    for name in ("status", "stage", "amount"):
        assert found[name].fillna(0).tolist() == plain[name].fillna(0).tolist()
    assert found["stage_since"].tolist() == set_stage.reindex(found.index).tolist()
    assert found["close_date_changes"].tolist() == (deals["close_date"].count() - 1).clip(lower=0).tolist()
    assert found["amount_first"].fillna(0).tolist() == deals["amount"].first().fillna(0).tolist()


def test_facts_of_a_spine_are_the_facts_of_its_instants(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()
    view = visible(tables, "2026-03-01")
    facts = view.frame(view.facts("activity")).dropna(subset=["opportunity_id"])
    asked = sorted(facts["opportunity_id"].unique())
    some = random.Random(0).sample(asked, 20)
    spine = pd.DataFrame({"opportunity_id": some, "as_of": pd.Timestamp("2026-03-01", tz="UTC")})
    of_spine = visible(tables, spine)
    got = of_spine.frame(of_spine.facts("activity"))
    assert set(got["activity_id"]) == set(facts.loc[facts["opportunity_id"].isin(some), "activity_id"])


def test_a_bare_date_is_midnight_in_the_workspace_zone(tmp_path: object) -> None:
    workspace = Workspace.create(f"{tmp_path}/zone", time_zone="America/Chicago")
    assert workspace.instant("2026-01-05") == dt.datetime(2026, 1, 5, 6, tzinfo=dt.UTC)
    assert workspace.instant("2026-07-05") == dt.datetime(2026, 7, 5, 5, tzinfo=dt.UTC)


def test_wrong_questions_are_refused(tiny_workspace: Workspace) -> None:
    tables = Lake(tiny_workspace).open()
    with pytest.raises(UnknownName, match="column of opportunity 'colour'"):
        visible(tables, "2026-01-01").state("opportunity", ["colour"])
    with pytest.raises(BadParameter, match="have no state"):
        visible(tables, "2026-01-01").state("activity")
    with pytest.raises(BadParameter, match="as_of '2026-13-01'"):
        visible(tables, "2026-13-01")
    with pytest.raises(BadInput, match="time zone"):
        visible(tables, pd.DataFrame({"opportunity_id": ["A"], "as_of": [pd.Timestamp("2026-01-01")]}))
    with pytest.raises(BadInput, match="one entity column"):
        visible(
            tables, pd.DataFrame({"opportunity_id": ["A"], "x": [1], "as_of": [pd.Timestamp("2026-01-01", tz="UTC")]})
        )
    with pytest.raises(UnknownName, match="spine entity"):
        visible(tables, pd.DataFrame({"deal": ["A"], "as_of": [pd.Timestamp("2026-01-01", tz="UTC")]}))
