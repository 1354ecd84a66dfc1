"""Trees of forecasts: exact sums, no negative value, fixed nodes kept, and least squares as a dense solver finds them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml.errors import BadParameter
from salesml.models.hierarchy import Tree, reconcile, tree


@st.composite
def trees(draw: st.DrawFn) -> Tree:
    count = draw(st.integers(1, 25))
    return tree({f"n{i}": None if i == 0 else f"n{draw(st.integers(0, i - 1))}" for i in range(count)})


def random_case(nodes: Tree, seed: int, horizon: int = 3) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    shape = (len(nodes.names), horizon)
    return draw.normal(50, 60, shape), 10.0 ** draw.uniform(-3, 3, shape)


def assert_adds_up(nodes: Tree, values: np.ndarray) -> None:
    size = max(1.0, float(np.abs(values).max()))
    np.testing.assert_allclose(nodes.add_up(values), values, rtol=0, atol=1e-9 * size)


def dense(nodes: Tree, forecasts: np.ndarray, variances: np.ndarray, fixed: dict[int, float]) -> np.ndarray:
    """One step by its normal equations: leaves b that minimise Σ (f − Sb)²/v with the fixed rows of Sb held."""
    leaves = np.flatnonzero(nodes.leaves)
    sums = nodes.add_up(np.eye(len(nodes.names))[:, leaves])
    free = [row for row in range(len(nodes.names)) if row not in fixed]
    weighted = sums[free] / variances[free, None]
    held = sums[list(fixed)]
    top = np.hstack([weighted.T @ sums[free], held.T])
    system = np.vstack([top, np.hstack([held, np.zeros((len(fixed), len(fixed)))])])
    right = np.r_[weighted.T @ forecasts[free], list(fixed.values())]
    return sums @ np.linalg.lstsq(system, right, rcond=None)[0][: len(leaves)]


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 10_000))
def test_sums_are_exact_and_nothing_is_negative(nodes: Tree, seed: int) -> None:
    found = reconcile(nodes, *random_case(nodes, seed))
    assert (found >= 0).all()
    assert_adds_up(nodes, found)
    np.testing.assert_allclose(reconcile(nodes, found, np.ones_like(found)), found, atol=1e-9 * (1 + found.max()))


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 10_000))
def test_without_a_bound_it_is_weighted_least_squares(nodes: Tree, seed: int) -> None:
    forecasts, _ = random_case(nodes, seed)
    variances = np.random.default_rng(seed).uniform(0.5, 4, len(nodes.names))
    found = reconcile(nodes, forecasts, variances, nonnegative=False)
    np.testing.assert_allclose(found[:, 0], dense(nodes, forecasts[:, 0], variances, {}), atol=1e-6)
    held = {f"n{seed % len(nodes.names)}": 77.0}
    found = reconcile(nodes, forecasts, variances, held, nonnegative=False)
    row = nodes.names.index(next(iter(held)))
    np.testing.assert_allclose(found[:, 0], dense(nodes, forecasts[:, 0], variances, {row: 77.0}), atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(trees(), st.integers(0, 10_000), st.data())
def test_fixed_nodes_keep_their_value_to_the_last_bit(nodes: Tree, seed: int, data: st.DataObject) -> None:
    forecasts, variances = random_case(nodes, seed)
    possible = nodes.add_up(np.abs(forecasts))
    rows = data.draw(st.sets(st.integers(0, len(nodes.names) - 1), max_size=6))
    found = reconcile(nodes, forecasts, variances, {nodes.names[row]: possible[row] for row in rows})
    for row in rows:
        np.testing.assert_array_equal(found[row], possible[row])
    assert (found >= -1e-9 * possible.max()).all()
    assert_adds_up(nodes, found)


def test_an_override_moves_what_is_free_in_proportion_to_its_variance() -> None:
    nodes = tree({"all": None, "north": "all", "south": "all", "n1": "north", "n2": "north", "s1": "south"})
    now = nodes.add_up(np.array([0.0, 0, 0, 30, 10, 60])[:, None])
    found = reconcile(nodes, now, np.array([1e12, 40, 60, 30, 10, 60.0]), {"north": 80.0})
    assert found[:, 0] == pytest.approx([140, 80, 60, 60, 20, 60], rel=1e-6)
    found = reconcile(nodes, now, np.ones(6), {"all": 100.0, "north": 80.0})
    assert found[:, 0] == pytest.approx([100, 80, 20, 50, 30, 20])


def test_a_value_may_be_fixed_at_some_steps_only() -> None:
    nodes = tree({"all": None, "a": "all", "b": "all"})
    now = np.array([[10.0, 10], [4, 4], [6, 6]])
    found = reconcile(nodes, now, np.ones(3), {"a": np.array([np.nan, 9.0])})
    assert found[:, 0].tolist() == [10, 4, 6]
    assert found[1, 1] == 9.0 and found[0, 1] == pytest.approx(9 + found[2, 1])


def test_a_thousand_nodes_are_overridden() -> None:
    nodes = tree({f"n{i}": None if i == 0 else f"n{(i - 1) // 4}" for i in range(1_000)})
    now = nodes.add_up(np.random.default_rng(0).uniform(0, 100, (1_000, 18)))
    found = reconcile(nodes, now, now + 1, {"n7": now[7] * 1.5, "n0": now[0], "n900": 0.0})
    assert found[7].tolist() == (now[7] * 1.5).tolist() and found[0].tolist() == now[0].tolist()
    assert_adds_up(nodes, found)


@pytest.mark.parametrize(
    ("fixed", "words"),
    [
        ({"nobody": 1.0}, "'nobody' is not in the hierarchy"),
        ({"a": -1.0}, "'a' is fixed below 0"),
        ({"a": np.inf}, "'a' is fixed at a value that is not finite"),
        ({"all": 5.0, "a": 9.0}, "'all' is fixed below the sum"),
        ({"all": 20.0, "a": 9.0, "b": 1.0}, "'all' is fixed at another value"),
    ],
)
def test_what_cannot_be_is_refused_by_name(fixed: dict[str, float], words: str) -> None:
    nodes = tree({"all": None, "a": "all", "b": "all"})
    with pytest.raises(BadParameter, match=words):
        reconcile(nodes, np.ones((3, 2)), np.ones(3), fixed)


def test_wrong_trees_and_numbers_are_refused() -> None:
    with pytest.raises(BadParameter, match="at least one node"):
        tree({})
    with pytest.raises(BadParameter, match="parent 'x' of 'a'"):
        tree({"a": "x"})
    with pytest.raises(BadParameter, match="its own ancestor"):
        tree({"all": None, "a": "b", "b": "a"})
    nodes = tree({"all": None, "a": "all"})
    with pytest.raises(BadParameter, match="'a' has a forecast"):
        reconcile(nodes, np.array([[1.0], [np.nan]]), np.ones(2))
    with pytest.raises(BadParameter, match="'all' has a variance"):
        reconcile(nodes, np.ones((2, 1)), np.array([0.0, 1.0]))
    with pytest.raises(BadParameter, match="one row for each of 2"):
        reconcile(nodes, np.ones((3, 1)), np.ones(3))
