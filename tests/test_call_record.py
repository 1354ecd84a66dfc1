"""How good calls were: error, value added, learnt bias and weight on simulated callers, past quarters of a small company."""

from __future__ import annotations

import datetime as dt
import shutil
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from publishing import instant, put

from salesml.analytics.call_record import EVERYBODY, by_week, figures, learn, mix, mix_figures, out_of_sample
from salesml.errors import NotEnoughData
from salesml.figures.calls import record_tables, trust_table
from salesml.lake import Lake
from salesml.workflows import call_landings
from salesml.workflows.call_record import JUDGED, call_record
from salesml.workspace import Workspace


def simulated(quarters: int, callers: dict[str, tuple[float, float]], model_sd: float = 0.2, seed: int = 0) -> pd.DataFrame:
    """Callers with a bias and a noise (shares of what happens), four weeks a quarter, beside an unbiased model with its own noise."""
    rng, rows = np.random.default_rng(seed), []
    for quarter in range(quarters):
        for author, (bias, sd) in callers.items():
            y = rng.lognormal(11, 0.3)
            for week in (1, 4, 8, 12):
                call, model = y * (1 + bias) * (1 + sd * rng.standard_normal()), y * (1 + model_sd * rng.standard_normal())
                rows.append((author, "rep", f"of {author}", dt.date(2000 + quarter // 4, 1 + 3 * (quarter % 4), 1), week, call, model, y))
    return pd.DataFrame(rows, columns=JUDGED)


def test_bias_and_weight_of_simulated_callers_are_recovered():
    callers = {"sharp": (0.0, 0.1), "sandbagger": (-0.25, 0.1), "dreamer": (0.4, 0.2), "guesser": (0.0, 0.6)}
    found = learn(simulated(60, callers)).set_index("author")
    for author, (bias, sd) in callers.items():
        best = 0.2**2 / (0.2**2 + sd**2)  # of two unbiased numbers with independent errors
        assert found.loc[author, "bias"] == pytest.approx(bias, abs=0.06) and found.loc[author, "weight"] == pytest.approx(best, abs=0.1)
    assert found.loc[EVERYBODY, "weight"] < found.loc["sharp", "weight"] and found["weight"].between(0, 1).all()


def test_the_mix_beats_call_and_model_on_quarters_it_has_not_seen():
    held = out_of_sample(simulated(30, {"dreamer": (0.4, 0.2), "sandbagger": (-0.25, 0.15)}, seed=4))
    found = mix_figures(held).set_index("author")
    assert (found["mix_wape"] < found[["call_wape", "model_wape"]].min(axis=1)).all()
    assert set(found["verdict"]) == {"nearest: the mix"} and held["quarter"].nunique() == 29


def test_a_quarter_is_mixed_by_what_was_learnt_before_it_only():
    rows = simulated(6, {"a": (0.2, 0.1), "b": (0.0, 0.3)})
    last = rows["quarter"] == rows["quarter"].max()
    other = rows.assign(y=rows["y"].where(~last, rows["y"] * 5))
    pd.testing.assert_series_equal(out_of_sample(rows)["mix"], out_of_sample(other)["mix"])
    assert not np.allclose(learn(rows)["factor"], learn(other)["factor"])


def test_few_quarters_stay_near_the_levels_and_a_newcomer_has_them():
    rows = pd.concat([simulated(40, {"old": (0.3, 0.1)}), simulated(1, {"new": (-0.5, 0.1)}, seed=1)])
    found = learn(rows).set_index("author")
    assert abs(found.loc["new", "bias"] - found.loc[EVERYBODY, "bias"]) < abs(found.loc["new", "bias"] + 0.5), "one quarter of five"
    asked = pd.DataFrame([("stranger", "rep", 130.0, 100.0), ("old", "team", 130.0, 100.0), ("old", "rep", 130.0, np.nan)],
                         columns=["author", "level", "call", "model"])  # fmt: skip
    mixed = mix(asked, learn(rows))
    level = found.loc[EVERYBODY]
    assert mixed["mix"].iloc[0] == pytest.approx(level["weight"] * 130 * level["factor"] + (1 - level["weight"]) * 100)
    assert mixed["mix"].iloc[1:].isna().all(), "a level not seen, and no model"


def test_figures_count_each_call_and_say_nothing_below_four_quarters():
    rows = pd.DataFrame(
        [("a", "rep", "x", dt.date(2025, 1 + 3 * q, 1), 1, 110.0, 150.0, 100.0) for q in range(4)]
        + [("b", "rep", "y", dt.date(2025, 1, 1), 1, 80.0, np.nan, 100.0)],
        columns=JUDGED,
    )
    found = figures(rows).set_index("author")
    assert found.index.tolist() == [EVERYBODY, "a", "b"] and found.loc[EVERYBODY, "calls"] == 5
    a = found.loc["a"].to_dict()
    assert (a["wape"], a["bias"], a["model_wape"], a["added"], a["lo"], a["hi"]) == pytest.approx((0.1, 0.1, 0.5, 40, 40, 40))
    assert a["verdict"] == "better than the model"
    assert found.loc["b", "verdict"] == "not enough: 0 of 4 quarters" and found.loc["b", ["added", "lo"]].isna().all()
    assert figures(rows.assign(call=190.0)).set_index("author").loc["a", "verdict"] == "worse than the model"
    assert by_week(rows)["calls"].tolist() == [5]


def test_nothing_to_judge_is_nothing_everywhere():
    none = simulated(0, {})
    held = out_of_sample(none)
    frames = figures(none), by_week(none), learn(none), mix_figures(held)
    assert all(frame.empty for frame in frames)
    tables = (*record_tables(frames[0], frames[1], "USD"), trust_table(frames[2], frames[3]))
    assert all("None so far." in table.html for table in tables)


@pytest.fixture
def judged(tiny_workspace: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the tiny company: of the first quarter of 2026 the company was called on 5 January and again on 20 March."""
    shutil.copytree(tiny_workspace.root, tmp_path / "workspace")
    copy = Workspace.open(tmp_path / "workspace")
    rows = [
        {"call_id": f"c{day}", "entity_type": "company", "entity_id": "company", "period_start": dt.date(2026, 1, 1),
         "period_end": dt.date(2026, 4, 1), "amount": Decimal(amount), "currency": "USD", "author": "head", "occurred_at": instant(day),
         "known_at": instant(day)}
        for day, amount in ((dt.date(2026, 1, 5), 400_000), (dt.date(2026, 3, 20), 500_000))
    ]  # fmt: skip
    put(copy, "call", rows)
    return copy


@pytest.mark.slow
def test_calls_are_judged_as_they_stood_and_the_models_numbers_are_kept(judged, monkeypatch):
    found = call_record(judged, "2026-04-01")
    rows = found.judged.set_index("week")
    assert rows["call"].to_dict() == {1: 400_000, 4: 400_000, 8: 400_000, 12: 500_000} and rows["model"].notna().all()
    assert rows["y"].nunique() == 1 and rows["y"].iloc[0] > 0
    model, _ = call_landings.landings(
        judged, Lake(judged).open(), judged.instant("2026-02-26"), found.judged[["level", "name"]].drop_duplicates()
    )
    assert rows.loc[8, "model"] == pytest.approx(model["model"].iloc[0], abs=0.01)
    assert found.quarters == 1 and found.figures["verdict"].tolist() == ["not enough: 1 of 4 quarters"] * 2
    assert "Who is nearer cannot be said yet" in found.sentence and found.held.empty
    assert call_record(judged, "2026-03-31").judged.empty, "the quarter is not over"

    def refuse(*_: object) -> None:
        raise NotEnoughData("asked again")

    monkeypatch.setattr(call_landings, "picture", refuse)
    again = call_record(judged, "2026-04-01")
    pd.testing.assert_frame_equal(again.judged, found.judged)
    put(judged, "call", [{"call_id": "rep", "entity_type": "rep", "entity_id": "U0000", "period_start": dt.date(2026, 1, 1),
                          "period_end": dt.date(2026, 4, 1), "amount": Decimal(5), "author": "U0000",
                          "occurred_at": instant(dt.date(2026, 3, 20)), "known_at": instant(dt.date(2026, 3, 20))}])  # fmt: skip
    more = call_record(judged, "2026-04-01")
    assert more.judged["model"].isna().sum() == 1 and more.notes[0].startswith("Beside 1 of 5 judged calls the model had no number")
