"""The value of a policy from logged decisions: by hand, against the truth it was drawn from, and refused where nothing is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation import off_policy
from salesml.evaluation.off_policy import (
    INVERSE,
    METHODS,
    NORMALISED,
    ROBUST,
    always,
    policy_difference,
    policy_value,
    policy_values,
)

LOG = pd.DataFrame({"action": ["a", "a", "b", "b"], "propensity": [0.5, 0.25, 0.5, 0.75], "reward": [1.0, 0.0, 1.0, 0.0]})
TARGET = pd.DataFrame({"a": [1.0, 0.5, 0.0, 0.5], "b": [0.0, 0.5, 1.0, 0.5]})


def drawn(n: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, float]:
    """Decisions whose chances go with what pays: log, policy, features, and the policy's true value on those very rows."""
    rng = np.random.default_rng(seed)
    x, group = rng.normal(size=n), rng.choice(["small", "large"], n)
    chance = np.where(group == "small", 0.7, 0.3)
    off = 1 / (1 + np.exp(1.5 - x - 1.6 * (group == "large")))
    on = 1 / (1 + np.exp(1.5 - x - 1.6 * (group == "large") - 0.7 * (group == "small")))
    taken = rng.random(n) < chance
    reward = (rng.random(n) < np.where(taken, on, off)).astype("float64")
    log = pd.DataFrame({"action": np.where(taken, "on", "off"), "propensity": np.where(taken, chance, 1 - chance), "reward": reward})
    share = (group == "small").astype("float64")
    target = pd.DataFrame({"on": share, "off": 1 - share})
    return log, target, pd.DataFrame({"x": x, "group": group}), float((share * on + (1 - share) * off).mean())


def test_inverse_and_self_normalised_by_hand():
    weight = np.array([2.0, 2.0, 2.0, 2 / 3])
    inverse = policy_value(LOG, TARGET, method=INVERSE)
    assert inverse.value == pytest.approx((2.0 + 2.0) / 4)
    normalised = policy_value(LOG, TARGET, method=NORMALISED)
    assert normalised.value == pytest.approx(4.0 / weight.sum())
    assert inverse.mean_weight == pytest.approx(weight.mean())
    assert inverse.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert inverse.error == pytest.approx(np.std(weight * LOG["reward"], ddof=1) / 2)
    even = pd.DataFrame({"a": np.full(4, 0.5), "b": np.full(4, 0.5)})
    logged = LOG.assign(propensity=0.5)
    for method in METHODS[:2]:
        assert policy_value(logged, even, method=method).value == pytest.approx(LOG["reward"].mean()), "the policy that was followed"


def test_doubly_robust_is_the_model_plus_what_it_missed():
    log, target, features, _ = drawn(400, 1)
    found = policy_value(log, target, features=features)
    actions, expected = off_policy._cross_fitted(*off_policy._parts(log), features, 0)
    place = pd.Index(actions).get_indexer(pd.Index(log["action"]))
    took = expected[np.arange(len(log)), place]
    chosen = target[actions].to_numpy()
    weight = chosen[np.arange(len(log)), place] / log["propensity"]
    by_hand = (chosen * expected).sum(axis=1) + weight * (log["reward"] - took)
    assert found.value == pytest.approx(by_hand.mean())


@pytest.mark.parametrize(("method", "draws"), [(INVERSE, 150), (NORMALISED, 150), (ROBUST, 60)])
def test_intervals_cover_the_truth_at_the_stated_rate(method, draws):
    inside, off = [], []
    for seed in range(draws):
        log, target, features, truth = drawn(600, seed)
        told = policy_value(log, target, method=method, features=features, seed=seed)
        inside.append(told.lo <= truth <= told.hi)
        off.append(told.value - truth)
    # the interval is for leads like these, the truth that of these very leads: it covers a little more than it says
    assert 0.85 <= np.mean(inside) <= 0.99
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(draws)


def test_a_plain_mean_misleads_where_chances_went_with_what_pays():
    log, _, features, _ = drawn(20_000, 5)
    everyone = always(log, "on", ("on", "off"))
    truth = 1 / (1 + np.exp(1.5 - features["x"] - np.where(features["group"] == "large", 1.6, 0.7)))
    plain = log.loc[log["action"] == "on", "reward"].mean()
    for method in METHODS:
        told = policy_value(log, everyone, method=method, features=features)
        assert told.lo <= truth.mean() <= told.hi and not told.lo <= plain <= told.hi, method
    errors = [policy_value(log, everyone, method=method, features=features).error for method in METHODS]
    assert errors[2] < errors[1] < errors[0], "what is known beforehand makes it surer"


def test_rows_of_one_entity_do_not_count_twice():
    log, target, _, _ = drawn(500, 2)
    once = policy_value(log.assign(entity=np.arange(500)), target, method=INVERSE)
    double, twice = pd.concat([log, log], ignore_index=True), pd.concat([target, target], ignore_index=True)
    together = policy_value(double.assign(entity=np.tile(np.arange(500), 2)), twice, method=INVERSE)
    apart = policy_value(double, twice, method=INVERSE)
    assert together.error == pytest.approx(once.error) and together.entities == 500
    assert apart.error == pytest.approx(once.error / np.sqrt(2), rel=0.01)


def test_the_outcome_model_never_saw_the_entity_it_speaks_of():
    rng = np.random.default_rng(0)
    entity = np.repeat(np.arange(30), 40)
    reward = np.repeat(rng.random(30), 40)
    log = pd.DataFrame({"action": rng.choice(["a", "b"], 1200), "propensity": 0.5, "reward": reward, "entity": entity})
    _, expected = off_policy._cross_fitted(*off_policy._parts(log), pd.DataFrame({"name": entity.astype(str)}), 0)
    assert np.corrcoef(expected.mean(axis=1), reward)[0, 1] < 0.1, "a name that tells all of the reward tells nothing of another's"


def test_difference_is_that_of_the_values_and_paired():
    log, target, features, _ = drawn(2_000, 3)
    everyone = always(log, "on", ("on", "off"))
    one, two = (policy_value(log, policy, features=features) for policy in (everyone, target))
    found = policy_difference(log, everyone, target, features=features)
    assert found.value == pytest.approx(one.value - two.value)
    assert found.error < np.hypot(one.error, two.error)
    same = policy_difference(log, target, target, features=features)
    assert (same.value, same.error) == (0.0, 0.0)


def test_no_overlap_is_refused_and_named():
    log, _, _, _ = drawn(300, 4)
    with pytest.raises(NotEnoughData, match=r"never tried 'call', which the policy does in 300 of 300"):
        policy_value(log, always(log, "call"), method=INVERSE)
    group = pd.Series(np.where(np.arange(300) < 40, "new", "old"))
    never = log.assign(action=np.where(group == "new", "off", log["action"]))
    everyone = always(log, "on", ("on", "off"))
    with pytest.raises(NotEnoughData, match="never tried 'on' where new"):
        policy_value(never, everyone, method=INVERSE, stratum=group)
    old_only = pd.DataFrame({"on": (group == "old").astype(float), "off": (group == "new").astype(float)})
    assert policy_value(never, old_only, method=NORMALISED, stratum=group).rows == 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensity": [0.5, np.nan, 0.5, 0.75]}, "1 of 4 decisions have no propensity"),
        ({"propensity": [0.5, 0.0, 0.5, 0.75]}, "are no chance above 0"),
        ({"propensity": [0.5, 1.5, 0.5, 0.75]}, "are no chance above 0"),
        ({"reward": [1.0, np.nan, 0.0, 0.0]}, "missing or infinite"),
        ({"action": ["a", None, "b", "b"]}, "an action is missing"),
    ],
)
def test_a_log_that_cannot_be_is_refused(change, message):
    with pytest.raises(BadInput, match=message):
        policy_value(LOG.assign(**change), TARGET)


def test_a_policy_that_cannot_be_is_refused():
    with pytest.raises(BadInput, match="sum of 1"):
        policy_value(LOG, TARGET * 0.9)
    with pytest.raises(BadInput, match="3 rows for 4"):
        policy_value(LOG, TARGET.head(3))
    with pytest.raises(BadInput, match="lack 1 columns: reward"):
        policy_value(LOG.drop(columns="reward"), TARGET)
    with pytest.raises(BadParameter, match="method 'magic' is not one of"):
        policy_value(LOG, TARGET, method="magic")
    with pytest.raises(BadParameter, match="level"):
        policy_value(LOG, TARGET, method=INVERSE, level=1.0)
    with pytest.raises(NotEnoughData, match="1 entity"):
        policy_value(LOG.assign(entity="one"), TARGET, method=INVERSE)


def test_notes_say_when_the_log_does_not_carry_the_policy():
    log, target, _, _ = drawn(4_000, 6)
    assert policy_value(log, target, method=INVERSE).notes == ()
    swapped = policy_value(log.assign(propensity=0.9), target, method=INVERSE)
    assert any("are not those the log was made with" in note for note in swapped.notes)
    rng = np.random.default_rng(0)
    rare = rng.random(4_000) < 0.01
    few = pd.DataFrame({"action": np.where(rare, "on", "off"), "propensity": np.where(rare, 0.01, 0.99), "reward": 1.0})
    told = policy_value(few, always(few, "on", ("on", "off")), method=INVERSE)
    assert any(note.startswith("little overlap: 4,000 decisions count as") for note in told.notes)


def test_rows_needed_narrow_the_interval_as_told():
    log, target, _, _ = drawn(2_000, 7)
    one = policy_value(log, target, method=NORMALISED)
    needed = one.rows_needed(0.03)
    assert needed > 2_000
    more, wider, _, _ = drawn(needed, 8)
    two = policy_value(more, wider, method=NORMALISED)
    assert (two.hi - two.lo) / 2 / two.value == pytest.approx(0.03, rel=0.15)
    with pytest.raises(BadParameter, match="not above 0"):
        one.rows_needed(0)


def test_a_routing_log_in_money():
    """Leads given to one of six reps with known chances; a policy that gives more to the best rep, in currency a lead."""
    rng = np.random.default_rng(1)
    n, skill = 6_000, np.array([1.0, 1.2, 0.8, 1.5, 0.9, 1.1])
    chances = rng.dirichlet(np.full(6, 4.0), n)
    rep = np.array([rng.choice(6, p=row) for row in chances])
    size = rng.lognormal(3, 0.5, n)
    log = pd.DataFrame({"action": [f"rep {k}" for k in rep], "propensity": chances[np.arange(n), rep],
                        "reward": size * skill[rep] * rng.lognormal(0, 0.3, n), "entity": np.arange(n)})  # fmt: skip
    wanted = 0.1 + 0.4 * np.eye(6)[3]
    target = pd.DataFrame(np.tile(wanted / wanted.sum(), (n, 1)), columns=[f"rep {k}" for k in range(6)])
    truth = float((size * np.exp(0.3**2 / 2)).mean() * (skill @ wanted / wanted.sum()))
    told = policy_values(log, {"more to the best": target}, features=pd.DataFrame({"size": size})).set_index("method")
    assert ((told["lo"] <= truth) & (truth <= told["hi"])).all()
    assert told.loc[ROBUST, "error"] < 0.7 * told.loc[INVERSE, "error"]
    assert abs(told.loc[ROBUST, "value"] / truth - 1) < 0.03
