"""Grades: what pays, what there is time for, thresholds of one's own, the rules file; by hand and by properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml.errors import BadInput, BadParameter
from salesml.planning.lead_grades import COLD, HOT, WARM, Rules, grade, read_rules


def leads(*pairs: tuple[float, float]) -> pd.DataFrame:
    p = np.array([one for one, _ in pairs])
    return pd.DataFrame({"probability": p, "lo": p / 2, "hi": p + (1 - p) / 2, "worth": [two for _, two in pairs]})


def test_by_hand():
    """Expected 200, 90, 100, 8, 1000 at a cost of 10 and time for two."""
    found = grade(leads((0.2, 1000), (0.9, 100), (0.1, 1000), (0.08, 100), (0.01, 100_000)), capacity=2, cost=10)
    assert found["grade"].tolist() == [HOT, WARM, WARM, COLD, HOT]
    assert found["net"].tolist() == pytest.approx([190, 80, 90, -2, 990])
    assert found["place"].tolist() == [2, 4, 3, 5, 1]
    assert found["hot_from"].tolist() == pytest.approx([0.2, 2.0, 0.2, 2.0, 0.002]), "the second best brings 200"
    assert found["warm_from"].tolist() == pytest.approx([0.01, 0.1, 0.01, 0.1, 0.0001])


def test_without_time_nothing_is_hot_and_without_worth_nothing_pays():
    assert grade(leads((0.9, 100)), 0, 1)["grade"].tolist() == [WARM]
    nothing = grade(leads((0.9, 0.0)), 5, 0.0)
    assert nothing["grade"].tolist() == [COLD] and nothing["warm_from"].tolist() == [np.inf]


def test_thresholds_of_ones_own_take_the_place_of_time_and_value():
    rows = leads((0.3, 1.0), (0.1, 1e6), (0.02, 1e6))
    assert grade(rows, 0, 50, Rules(hot_at=0.25, warm_at=0.05))["grade"].tolist() == [HOT, WARM, COLD]
    assert grade(rows, 1, 50, Rules(warm_at=0.05))["grade"].tolist() == [WARM, HOT, COLD], "time and value still choose the hot"
    assert grade(rows, 0, 50, Rules(hot_at=0.25))["grade"].tolist() == [HOT, WARM, WARM], "what pays is still warm"


def test_confidence_is_high_far_from_the_line_and_even_on_it():
    rows = leads((0.5, 100), (0.1, 100), (0.0999, 100))
    found = grade(rows, 3, 10)
    assert found["grade"].tolist() == [HOT, COLD, COLD], "what only covers its cost does not pay"
    assert found["confidence"].iloc[0] > 0.95 and found["confidence"].iloc[1] == pytest.approx(0.5, abs=0.01)


shares = st.floats(0.001, 0.999)
amounts = st.floats(0, 1e6)


@given(st.lists(st.tuples(shares, amounts), min_size=1, max_size=40), st.integers(0, 50), st.floats(0, 1e4))
def test_hot_pays_and_fits_the_time_and_brings_no_less_than_any_other(pairs, capacity, cost):
    rows = leads(*pairs)
    found = grade(rows, capacity, cost)
    hot, rest = found[found["grade"] == HOT], found[found["grade"] != HOT]
    paying = int((found["net"] > 0).sum())
    assert len(hot) == min(capacity, paying)
    assert (hot["net"] > 0).all() and (found.loc[found["grade"] == COLD, "net"] <= 0).all()
    assert hot.empty or rest.empty or hot["net"].min() >= rest["net"].max()
    assert ((found["confidence"] >= -1e-12) & (found["confidence"] <= 1 + 1e-12)).all()


@given(st.lists(st.tuples(shares, amounts), min_size=1, max_size=30, unique=True), st.integers(0, 30), st.randoms())
def test_the_order_of_the_leads_changes_no_grade(pairs, capacity, order):
    rows = leads(*pairs)
    mixed = list(range(len(rows)))
    order.shuffle(mixed)
    net = grade(rows, capacity, 5)
    if net["net"].round(6).duplicated().any():
        return  # leads that bring the same take each other's place
    assert grade(rows.iloc[mixed], capacity, 5)["grade"].sort_index().tolist() == net["grade"].tolist()


def test_impossible_numbers_are_refused():
    for capacity, cost in ((-1, 1), (1, -1), (1, np.inf)):
        with pytest.raises(BadParameter, match="numbers of 0 or more"):
            grade(leads((0.5, 1)), capacity, cost)


def test_rules_are_read_and_another_text_is_another_version(tmp_path: Path):
    path = tmp_path / "spring.yaml"
    path.write_text("capacity_per_week: 120\nhot_at: 0.2\nwarm_at: 0.05\n", encoding="utf-8")
    rules = read_rules(path)
    assert (rules.name, rules.capacity_per_week, rules.hot_at, rules.warm_at, rules.cost_per_lead) == ("spring", 120, 0.2, 0.05, None)
    path.write_text("capacity_per_week: 121\n", encoding="utf-8")
    assert read_rules(path).version != rules.version


@pytest.mark.parametrize(("text", "told"), [
    ("- 1", "nothing else"), ("hours: 3", "nothing else"), ("hot_at: 20", "between 0 and 1"), ("hot_at: yes", "no number"),
    ("capacity_per_week: 1.5", "whole number"), ("cost_per_lead: -3", "no number of 0 or more"),
    ("hot_at: 0.1\nwarm_at: 0.2", "hot begins below warm"),
    ("name: [", "cannot be read"),
])  # fmt: skip
def test_rules_that_cannot_be_are_refused_by_name(tmp_path: Path, text, told):
    path = tmp_path / "rules.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput, match=told) as error:
        read_rules(path)
    assert "rules.yaml" in str(error.value)
