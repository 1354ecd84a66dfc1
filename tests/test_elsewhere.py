"""What comes from elsewhere than the open deals is shared out so that parts add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salesml.analytics.elsewhere import at_mean, by_node, elsewhere, shared_out

COMPANY = ("company", "company")
PEOPLE = [("West", "a", "u1"), ("West", "a", "u2"), ("West", "b", "u3"), ("East", "c", "u4"), ("East", None, None)]


def lately(amounts: list[float]) -> pd.DataFrame:
    return pd.DataFrame(PEOPLE, columns=["region", "team", "rep"]).assign(amount=amounts)


def history(shares: dict[str, float], quarters: int = 6) -> pd.DataFrame:
    named = {"company": "company", "West": "region", "East": "region", "a": "team", "b": "team", "c": "team", "u1": "rep", "u4": "rep"}
    rows = [(level, name, q, 1000.0 * shares.get(name, 0.3), 1000.0) for name, level in named.items() for q in range(quarters)]
    return pd.DataFrame(rows, columns=["level", "name", "quarter", "other", "trailing"])


MONEY = st.just(0.0) | st.floats(0.01, 1e6)


@given(st.lists(MONEY, min_size=5, max_size=5).filter(lambda made: sum(made) > 1), st.floats(0.0, 0.9))
def test_cells_are_the_company_and_known_nodes_keep_their_value(amounts: list[float], share: float) -> None:
    past = history({"u1": share, "b": 0.6})
    found = shared_out(lately(amounts), past, {})
    assert (found["other"] >= 0).all()
    assert found["other"].sum() == pytest.approx(elsewhere(past, "company").mean("company", sum(amounts)))
    if min(amounts) <= 0:
        return
    known = {COMPANY: 100.0, ("region", "West"): 70.0, ("region", "East"): 30.0, ("team", "a"): 20.0}
    nodes = by_node(shared_out(lately(amounts), past, known))
    assert nodes[COMPANY] == pytest.approx(100) and nodes["region", "West"] == pytest.approx(70)
    assert nodes["team", "a"] == pytest.approx(20) and nodes["team", "b"] == pytest.approx(50), "b has what a leaves of West"
    assert nodes["rep", "u1"] + nodes["rep", "u2"] == pytest.approx(20) and nodes["rep", "u3"] == pytest.approx(50)


def test_a_nodes_own_past_weighs_among_those_beside_it() -> None:
    nodes = by_node(shared_out(lately([100.0, 100.0, 100.0, 50.0, 50.0]), history({"u1": 0.9}), {COMPANY: 90.0}))
    assert nodes["rep", "u1"] == pytest.approx(1.3 * nodes["rep", "u2"]), "0.9 drawn to the level's 0.6 is 0.78; u2 has the level's"
    assert nodes["team", "a"] == pytest.approx(2 * nodes["team", "b"], rel=1e-9)
    assert nodes["region", "East"] > nodes["team", "c"] > 0, "what no team has stays with the region"


def test_without_four_past_quarters_nothing_is_told() -> None:
    rows = lately([100.0] * 5)
    assert shared_out(rows, history({}, quarters=3), {}).empty and by_node(shared_out(rows, history({}, 3), {})).empty
    assert shared_out(rows.head(0), history({}), {COMPANY: 5.0}).empty
    cells = shared_out(rows, history({}, quarters=3), {COMPANY: 50.0})
    assert cells["other"].tolist() == pytest.approx([10.0] * 5), "as lately, where the levels' past is not known"


def test_draws_are_carried_to_a_mean() -> None:
    draws = np.random.default_rng(0).gamma(2, 5, 1000)
    assert at_mean(draws, 3.0).mean() == pytest.approx(3) and at_mean(draws, None) is draws
    assert at_mean(-draws, 3.0).tolist() == (-draws).tolist(), "draws not above 0 are left"
