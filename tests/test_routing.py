"""Routing: the best of the fair distributions beside trying them all, fairness on random instances, turns, chances, words."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pandas as pd
import pytest

from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.planning import routing_flow
from salesml.planning.routing import POLICIES, route, route_one
from salesml.planning.routing_board import eligible
from salesml.planning.routing_fairness import reachable, unfair, wasted
from salesml.planning.routing_flow import best_fair
from salesml.planning.routing_turns import expected_sizes, kept_places, one_by_one
from salesml.trial import routing_fairness as routing_fairness_trial
from salesml.trial.routing_fairness import broken, instance

ANYBODY: tuple[str, ...] = ()


def frames(leads: int, reps: int, **columns: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leads L0 … and reps R0 …; `lead_NAME` and `rep_NAME` give columns."""
    made = pd.DataFrame({"lead_id": [f"L{n}" for n in range(leads)]}), pd.DataFrame({"owner_id": [f"R{n}" for n in range(reps)]})
    for name, values in columns.items():
        part, _, column = name.partition("_")
        made[0 if part == "lead" else 1][column] = values
    return made


def best_of_all(values, may, capacity, held, weight, fair: bool) -> tuple[int, float]:
    """Most leads that can be given, and the greatest value of a fair distribution of so many: by trying every one."""
    reps, found = may.shape[1], []
    for chosen in itertools.product(*[[-1, *np.flatnonzero(row)] for row in may]):
        one = np.array(chosen)
        if (np.bincount(one[one >= 0], minlength=reps) <= capacity).all():
            found.append(one)
    most = max(int((one >= 0).sum()) for one in found)
    full = [one for one in found if (one >= 0).sum() == most and not (fair and unfair(one, may, capacity, held, weight))]
    return most, max(sum(values[lead, rep] for lead, rep in enumerate(one) if rep >= 0) for one in full)


@pytest.mark.parametrize("few_arcs", [False, True], ids=["all arcs", "arcs added as they pay"])
def test_the_flow_finds_the_best_of_all_fair_distributions(few_arcs, monkeypatch):
    if few_arcs:
        for name, value in (("WHOLE", 0), ("FIRST_ARCS", 1), ("MORE_ARCS", 1)):
            monkeypatch.setattr(routing_flow, name, value)
    rng = np.random.default_rng(3)
    for _ in range(80):
        given, fair = instance(rng, int(rng.integers(1, 7)), int(rng.integers(1, 5))), bool(rng.random() < 0.8)
        found = best_fair(*given, fair=fair)
        most, value = best_of_all(*given, fair)
        assert (found.chosen >= 0).sum() == most and found.value == pytest.approx(value)
        assert found.gap < 1e-6 and not wasted(found.chosen, given[1], given[2])


def test_fairness_is_never_broken():
    found = broken(0, 150)
    assert found["plain"] >= 5 and (found["batch"], found["single"]) == (0, 0)


@pytest.mark.slow
def test_fairness_is_never_broken_in_thousands_of_instances():
    found = broken(1, 3_000)
    assert found["plain"] >= 100 and (found["batch"], found["single"]) == (0, 0)


def test_a_policy_that_does_not_mind_fairness_breaks_it(monkeypatch):
    """The count of broken instances counts."""
    monkeypatch.setattr(routing_fairness_trial, "best_fair", partial(best_fair, fair=False))
    monkeypatch.setattr(routing_fairness_trial, "one_by_one", partial(one_by_one, fair=False))
    found = broken(0, 60)
    assert found["batch"] > 20 and found["single"] > 20


def test_unfair_names_the_pair_also_over_a_rep_in_between():
    may = np.array([[True, True, False], [True, True, False], [False, True, True]])
    alone, none = np.full(3, 9), np.zeros(3, dtype="int64")
    assert unfair(np.array([0, 0, 2]), may, alone, none, np.ones(3)) == [(0, 1)]
    assert unfair(np.array([0, 1, 2]), may, alone, none, np.ones(3)) == []
    # R0 has two, R1 one that R2 may take: R0 passes one to R1, R1 its own to R2
    chain = np.array([0, 0, 1])
    assert unfair(chain, may, alone, none, np.ones(3)) == [(0, 2)] and reachable(chain, may, 3)[0, 2]
    assert unfair(chain, may, np.array([9, 9, 0]), none, np.ones(3)) == []  # R2 has no place
    assert unfair(chain, may, alone, np.array([0, 0, 2]), np.ones(3)) == []  # R2 has had its share
    assert unfair(chain, may, alone, none, np.array([4.0, 1.0, 1.0])) == []  # R0 is due four times as much
    assert wasted(np.array([0, -1, 2]), may, alone) == [1]


def test_the_optimum_beats_every_other_policy_and_is_fair_where_turns_are_not():
    rng = np.random.default_rng(5)
    leads, reps = frames(60, 6)
    values = rng.lognormal(0, 1, (60, 1)) * rng.lognormal(0, 0.3, 6)
    found = {policy: route(leads, reps, values, policy, explore=0.0) for policy in POLICIES}
    assert all(len(one.assigned) == 60 and one.unassigned.empty and np.ptp(one.reps["new"]) == 0 for one in found.values())
    assert found["optimal"].value > 1.02 * max(found[name].value for name in POLICIES if name != "optimal")
    assert route(leads, reps, values, fair=False, explore=0.0).value == pytest.approx(values.max(axis=1).sum())
    assert found["optimal"].gap < 1e-6 and np.isnan(found["weighted"].gap)
    leads["territories"] = [("N",)] * 45 + [("S",)] * 15
    reps["territories"] = [("N",)] * 2 + [("S",)] * 2 + [("N", "S")] * 2
    found = {policy: route(leads, reps, values, policy, explore=0.0) for policy in POLICIES}
    assert not found["optimal"].unfair and found["round_robin"].unfair
    # the leads of S are for its own two reps; the four others share those of N
    counts = found["optimal"].reps["new"].tolist()
    assert sorted(counts[2:4]) == [7, 8] and sorted(counts[:2] + counts[4:]) == [11, 11, 11, 12]


def test_turns_weights_and_rules_choose_whom_they_say():
    last = pd.to_datetime(["2026-06-03", "2026-06-01", "2026-06-02"], utc=True)
    leads, reps = frames(6, 3, rep_last_at=last, rep_weight=[1.0, 2.0, 3.0], rep_workload=[5, 0, 9])
    values = np.ones((6, 3))
    assert route(leads, reps, values, "round_robin").assigned["owner_id"].tolist() == ["R1", "R2", "R0"] * 2
    assert route(leads, reps, values, "weighted").reps["new"].tolist() == [1, 2, 3]
    assert route(leads, reps, values, "rules").reps["new"][2] == 0 and route(leads, reps, values, "rules").reps["new"][1] >= 5
    said = route(leads, reps, values, "rules").assigned
    assert said["reason"].str.startswith("R1 may take it (anybody may) and has the least to do: 0 open").any()
    first = route(leads, reps, values, "round_robin").assigned["reason"][0]
    assert first.startswith("It is the turn of R1, who has waited longest, since 2026-06-01")


def test_who_may_take_a_lead_and_why_not():
    leads, reps = frames(
        4, 4, lead_territories=[("N",), ANYBODY, ("N",), ("S",)], lead_needs=[ANYBODY, ("language:de",), ANYBODY, ANYBODY], lead_within=0,
        rep_territories=[("N",), ("S",), ANYBODY, ("N", "S")], rep_skills=[ANYBODY, ("language:de",), ANYBODY, ANYBODY],
        rep_available=[True, True, True, False], rep_response=0,
    )  # fmt: skip
    leads["within_hours"], reps["response_hours"] = [np.nan, np.nan, 4.0, np.nan], [8.0, np.nan, 2.0, 1.0]
    assert eligible(leads, reps).tolist() == [
        [True, False, True, False], [False, True, False, False], [False, False, True, False], [False, True, True, False],
    ]  # fmt: skip
    reps["capacity"] = [9, 0, 1, 9]
    found = route(leads, reps, np.array([[1.0] * 4, [1.0] * 4, [5.0] * 4, [2.0] * 4]), explore=0.0)
    assert found.assigned[["lead_id", "owner_id"]].to_numpy().tolist() == [["L0", "R0"], ["L2", "R2"]]
    why = found.unassigned.set_index("lead_id")["reason"]
    assert why["L1"] == "the one rep who may take it is full" and why["L3"] == "all 2 reps who may take it are full"
    other = found.assigned.set_index("lead_id")["alternative"]
    assert other["L0"]["owner_id"] == "R2" and "has no place left" in other["L0"]["reason"]
    assert other["L2"] is not None and other["L2"]["reason"] == "R0 usually answers after 8.0 hours, 4.0 are allowed"
    nobody = route(leads.assign(territories=[("E",)] * 4), reps.drop(index=2), np.ones((4, 3)))
    assert nobody.unassigned["reason"][0] == "nobody may take it: 2 reps do not work E; 1 rep is not available"


def test_the_best_other_rep_and_what_speaks_against():
    leads, reps = frames(4, 2, lead_chance=[0.5, 0.4, 0.3, 0.004], rep_name=["Ada", "Ben"])
    values = np.array([[100.0, 60.0], [80.0, 50.0], [10.0, 9.0], [8.0, 7.5]])
    found = route(leads, reps, values, explore=0.0, currency="EUR")
    told = found.assigned.set_index("lead_id")
    assert told["owner_id"].tolist() == ["R0", "R0", "R1", "R1"] and found.value == pytest.approx(196.5)
    best = "Ada is expected to bring EUR 100 (50 % to convert), the most of all who may take it; 2 leads in 30 days with these."
    assert told["reason"]["L0"] == best
    assert "(<1 % to convert), the best use of everybody's time" in told["reason"]["L3"]
    assert told["alternative"]["L0"] == {"owner_id": "R1", "expected_value": 60.0, "reason": "Ben would bring EUR 40 less"}
    assert told["alternative"]["L2"]["reason"] == "Ada would bring EUR 1 more of this lead, but gains EUR 40 by taking L0 instead"
    one = route_one(leads.iloc[[2]], reps.assign(held=[1, 0]), values[[2]], explore=0.0, currency="EUR").assigned
    assert one["owner_id"][0] == "R1"
    assert one["alternative"][0]["reason"] == "Ada would bring EUR 1 more, but has a fair share already: 1 lead in 30 days with these"
    assert route(leads, reps.head(1), values[:, :1]).assigned["alternative"].isna().all()


def test_chances_are_those_with_which_the_lot_draws():
    leads, reps = frames(7, 3, lead_territories=[("N",)] * 5 + [("S",)] * 2, rep_territories=[("N",), ("N", "S"), ("N", "S")])
    values = np.random.default_rng(0).lognormal(0, 1, (7, 3))
    plain = route(leads, reps, values, explore=0.0).assigned
    assert (plain["propensity"] == 1).all()
    hits, said = np.zeros((7, 3)), np.full((7, 3), np.nan)
    draws = 300
    for seed in range(draws):
        found = route(leads, reps, values, explore=0.4, seed=seed)
        place = np.arange(7), found.chosen
        hits[place] += 1
        said[place] = found.assigned["propensity"]
        assert found.best == pytest.approx(plain["expected_value"].sum()) and not found.unfair
    assert np.nansum(said, axis=1) == pytest.approx(np.ones(7))
    error = np.sqrt(said * (1 - said) / draws)
    assert (np.abs(hits / draws - np.nan_to_num(said)) <= 4.5 * np.nan_to_num(error) + 1e-12).all()


def test_chances_of_one_lead_and_of_turns():
    leads, reps = frames(1, 4, rep_held=[0, 0, 1, 0])
    values = np.array([[4.0, 3.0, 9.0, 2.0]])
    drawn = [route_one(leads, reps, values, explore=0.3, seed=seed).assigned.iloc[0] for seed in range(120)]
    chances = {one["owner_id"]: one["propensity"] for one in drawn}
    assert chances == pytest.approx({"R0": 0.8, "R1": 0.1, "R3": 0.1})
    share = sum(one["owner_id"] == "R0" for one in drawn) / 120
    assert abs(share - 0.8) < 4 * np.sqrt(0.16 / 120)
    assert next(one["reason"] for one in drawn if one["owner_id"] == "R3").startswith("Drawn by lot (chance 10.0 %)")
    assert route_one(leads, reps, values, "round_robin").assigned["propensity"][0] == 0.25
    assert route_one(leads, reps, values, "weighted").assigned["propensity"][0] == pytest.approx(1 / 3)


def test_thresholds_are_those_of_the_sequential_assignment_problem():
    """Derman, Lieberman and Ross: for sizes uniform on 0..1, E of the two thresholds' parts: 3/8 and 5/8, and so on."""
    size = (np.arange(200_000) + 0.5) / 200_000
    assert expected_sizes(size, 1) == pytest.approx([0.5], abs=1e-4)
    assert expected_sizes(size, 2) == pytest.approx([0.375, 0.625], abs=1e-4)
    assert expected_sizes(size, 3).sum() == pytest.approx(1.5, abs=1e-4)  # every lead goes to somebody
    assert (np.diff(expected_sizes(np.sort(np.random.default_rng(0).lognormal(size=50)), 9)) > 0).all()


def test_keeping_the_best_for_leads_worth_it_pays():
    rng = np.random.default_rng(1)
    quality, sizes = np.exp(rng.normal(0, 0.3, 10)), rng.lognormal(0, 1, 300)
    leads, reps = frames(10, 10)
    total = np.zeros(3)
    for _ in range(60):
        came = rng.choice(sizes, 10)
        values = came[:, None] * quality
        ahead = sizes[:, None] * quality
        one_by_one_of = [route_one(leads, reps, values, ahead=one, explore=0.0).value for one in (ahead, None)]
        total += [*one_by_one_of, route(leads, reps, values, explore=0.0).best]
    kept, greedy, known = total
    assert greedy < 0.93 * kept and kept > 0.94 * known  # what is lost is not knowing what comes
    assert kept_places(np.arange(3), None).tolist() == [0, 0, 0]


def test_what_cannot_be_routed_is_refused():
    leads, reps = frames(2, 2)
    values = np.ones((2, 2))
    with pytest.raises(UnknownName, match="unknown policy 'best'; valid: optimal, round_robin, rules, weighted"):
        route(leads, reps, values, "best")
    with pytest.raises(BadParameter, match=r"explore 1\.5 is not a share"):
        route(leads, reps, values, explore=1.5)
    with pytest.raises(BadInput, match="leads have one row per lead_id"):
        route(leads.assign(lead_id="L0"), reps, values)
    with pytest.raises(BadInput, match="weight of rep R1 is not a number above 0"):
        route(leads, reps.assign(weight=[1.0, 0.0]), values)
    with pytest.raises(BadInput, match="capacity of rep R0 is not a whole number"):
        route(leads, reps.assign(capacity=[1.5, 2.0]), values)
    with pytest.raises(BadInput, match="2 leads × 2 reps"):
        route(leads, reps, np.ones((2, 3)))
    with pytest.raises(BadInput, match="finite numbers of 0 or more"):
        route(leads, reps, np.array([[1.0, np.nan], [1.0, 1.0]]))
    empty = route(leads.head(0), reps, np.ones((0, 2)))
    assert empty.assigned.empty and empty.unassigned.empty and empty.value == 0
    assert route(leads, reps.head(0), np.ones((2, 0))).unassigned["reason"].tolist() == ["there is no rep"] * 2
