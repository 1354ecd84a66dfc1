"""What-ifs: the features they move are those the lake would tell had the change been recorded."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
from deal_stories import DAY

from salesml.contracts import table
from salesml.errors import BadParameter, UnknownName
from salesml.features.deals import DEALS
from salesml.lake import Tables, visible
from salesml.workflows.deal_frames import DealFrames, deal_frames, known
from salesml.workflows.what_if import FIELDS, choices, what_if
from salesml.workspace import Workspace


@pytest.fixture(scope="module")
def frames(told_workspace: Workspace) -> DealFrames:
    return deal_frames(told_workspace, DAY, 2)


def recorded(frames: DealFrames, deal: str, **fields: object) -> pd.Series:
    """The deal's features with a change that became known a microsecond before as_of, computed by the lake."""
    rows, schema = known(frames.tables, frames.instant), table("opportunity").schema
    at = frames.instant - dt.timedelta(microseconds=1)
    row = {"opportunity_id": deal, "change_id": "what-if", "occurred_at": at, "known_at": at, **fields}
    row |= {name: old for name, old in rows["opportunity"].slice(0, 1).to_pylist()[0].items() if name in ("import_id", "source_row")}
    rows["opportunity"] = pa.concat_tables([rows["opportunity"], pa.Table.from_pylist([row], schema=schema)])
    spine = pd.DataFrame({"opportunity_id": [deal], "as_of": [pd.Timestamp(frames.instant)]})
    return DEALS.frame(visible(Tables.of(frames.workspace, rows), spine)).iloc[0]


@pytest.mark.parametrize("field", FIELDS)
def test_a_what_if_moves_what_recording_the_change_would_move(frames, field):
    deal = frames.now.index[frames.now[["amount", "days_to_close_date", "forecast_category"]].notna().all(axis=1)][3]
    row = frames.now.loc[deal]
    stages = choices(frames, "stage")
    new = {
        "stage": next(stage for stage in stages if stage != row["stage"]), "amount": 12_345.0, "close_date": dt.date(2026, 8, 20),
        "discount": 0.15, "forecast_category": next(c for c in choices(frames, "forecast_category") if c != row["forecast_category"]),
    }[field]  # fmt: skip
    stored = {field: Decimal("12345.00") if field == "amount" else new}
    if field == "stage":
        stored["stage_order"] = stages.index(new) + 1
    expected, found = recorded(frames, deal, **stored), what_if(frames, deal, {field: new})
    moved = found.moved.set_index("feature")["after"]
    assert field in moved.index or field == "close_date"
    for name in DEALS.names:
        value = moved[name] if name in moved.index else row[name]
        if isinstance(value, str) or pd.isna(value):
            assert (value == expected[name]) or (pd.isna(value) and pd.isna(expected[name])), name
        else:
            assert float(value) == pytest.approx(float(expected[name]), abs=1e-6, rel=1e-9), name
    assert found.after["probability"] == pytest.approx(frames.scorer.predict(expected[DEALS.names].to_frame().T.astype(
        frames.now[DEALS.names].dtypes.to_dict()))[0], abs=1e-6)  # fmt: skip
    assert found.before["probability"] == pytest.approx(frames.scorer.predict(frames.now.loc[[deal], DEALS.names])[0], abs=1e-9)
    assert found.sentence.startswith("The model would score")


def test_nothing_changed_changes_nothing(frames):
    deal = frames.now.index[2]
    row = frames.now.loc[deal]
    same = {"stage": row["stage"], "forecast_category": row["forecast_category"]}
    for changes in ({}, same):
        found = what_if(frames, deal, changes)
        assert found.moved.empty and found.before["probability"] == found.after["probability"]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"owner": "x"}, UnknownName, "unknown field 'owner'; valid: amount"),
        ({"stage": "Nowhere"}, UnknownName, "unknown stage 'Nowhere'"),
        ({"forecast_category": "maybe"}, UnknownName, "unknown forecast category 'maybe'"),
        ({"amount": -1}, BadParameter, "amount -1 is not a number from 0 up"),
        ({"discount": 1.5}, BadParameter, "discount 1.5 is not a number from 0 to 1"),
        ({"close_date": "soon"}, BadParameter, "close_date 'soon' is not a date"),
    ],
)
def test_impossible_changes_are_refused(frames, changes, error, told):
    with pytest.raises(error, match=told):
        what_if(frames, frames.now.index[0], changes)
