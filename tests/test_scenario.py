"""Scenarios: no change is the base, levers move one way and exactly, joint scenarios add up, what cannot be is refused; the gap."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salesml.analytics import elsewhere, need, pace, quarter
from salesml.analytics.joint import NAMES, band_weights
from salesml.analytics.levers import ORDER, Levers
from salesml.analytics.luck import Luck
from salesml.analytics.scenario import TOGETHER, Outcome, more_wins, run
from salesml.analytics.scenario_base import Base, base
from salesml.errors import BadParameter, UnknownName

DRAWS = 400


def open_deals(n: int = 60, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rep = rng.choice(["r1", "r2", "r3", None], n, p=[0.4, 0.3, 0.2, 0.1])
    return pd.DataFrame(
        {"amount": np.where(rng.random(n) < 0.1, np.nan, rng.lognormal(8, 1, n)), "p_quarter": rng.uniform(0, 0.8, n),
         "region": np.where(rep == "r3", "South", "North"), "team": [{"r1": "t1", "r2": "t1"}.get(one) for one in rep],
         "rep": rep, "industry": rng.choice(["Retail", "Energy"], n)}
    )  # fmt: skip


def entries(n: int, seed: int) -> pd.DataFrame:
    rows = open_deals(n, seed).drop(columns="p_quarter")
    return rows.assign(amount=rows["amount"].fillna(5_000.0))


def made(shock: float = 0.05, n: int = 60, fresh: float = 0.4) -> Base:
    deals, booked, trailing = open_deals(n), entries(20, 2), entries(50, 3)
    history = pd.DataFrame(
        [("company", "company", q, 90_000.0 + 9_000 * (q % 3), 300_000.0) for q in range(6)]
        + [("region", "North", q, 60_000.0 + 5_000 * (q % 3), 200_000.0) for q in range(6)],
        columns=["level", "name", "quarter", "other", "trailing"],
    )
    whose = [("company", "company", "the company", 320e3), ("region", "North", "North", 200e3)]
    quotas = pd.DataFrame(whose, columns=["level", "name", "label", "quota"])
    quotas["booked"] = [booked["amount"].sum(), booked.loc[booked["region"] == "North", "amount"].sum()]
    drawn = quarter.simulate(deals, shock, DRAWS)
    won = np.stack([drawn["company", "company"].to_numpy(), drawn["region", "North"].to_numpy()])
    other = [
        elsewhere.elsewhere(history, "company").draws("company", 300_000.0, DRAWS, 1),
        elsewhere.elsewhere(history, "region").draws("North", 200_000.0, DRAWS, 2),
    ]
    arrivals = pd.DataFrame({"since": [5.0, 20, 40, 10], "days": [30.0, 20, 15, 60], "left": 60.0, "amount": [100.0, 200, 300, 50]})
    return base(
        deals, shock, quotas, (won, np.stack(other)), booked, trailing, history, fresh, arrivals, 60.0,
        lambda days, other: np.full(n, np.clip(other / days, 0, 2)), {"r1": "Rita"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def case() -> Base:
    return made()


@pytest.fixture(scope="module")
def unchanged(case) -> Outcome:
    return run(Levers(), case)


@cache
def small() -> Base:
    return made(n=25)


@pytest.mark.parametrize("shock", [0.0, 0.1])
def test_the_luck_that_is_kept_lets_the_same_deals_win(shock):
    deals = open_deals(80)
    cells, codes = np.unique(deals["region"], return_inverse=True)
    kept = Luck.of(deals["p_quarter"].to_numpy(), shock, DRAWS)
    won = kept.won(deals["p_quarter"].to_numpy(), deals["amount"].fillna(0).to_numpy(), codes, len(cells))
    drawn = quarter.simulate(deals, shock, DRAWS)
    for row, name in enumerate(cells):
        np.testing.assert_allclose(won[row], drawn["region", name], rtol=1e-12, atol=1e-6)
    sure, never = np.ones(80), np.zeros(80)
    assert kept.moved(never, sure, np.ones(80), np.zeros(80, int), 1).tolist() == [[80.0] * DRAWS]


def test_no_change_is_the_base_exactly(case, unchanged):
    nodes = unchanged.nodes
    assert np.array_equal(unchanged.landing, case.nodes["booked"].iloc[0] + case.won[0] + case.other[0])
    assert nodes["expected"].equals(nodes["expected_before"]) and nodes["probability"].equals(nodes["probability_before"])
    assert unchanged.parts[["expected", "probability"]].fillna(0).eq(0).all().all() and set(unchanged.parts["lever"]) == {TOGETHER}
    assert set(zip(nodes["level"], nodes["name"], strict=True)) >= {("rep", "r1"), ("team", "t1"), ("region", "South")}
    assert nodes.set_index("name").loc["r1", "label"] == "Rita"


def test_parts_add_up_at_every_level(case, unchanged):
    nodes = unchanged.nodes.set_index(["level", "name"])
    for column in ("open", "other", "expected"):
        assert nodes.loc["region", column].sum() == pytest.approx(nodes.loc[("company", "company"), column]), column
    joint = unchanged.joint.set_index(["level", "name"])
    for key in nodes.index[nodes["other"].notna()]:
        assert joint.loc[key, "expected"] == pytest.approx(nodes.loc[key, "expected"]), key


def test_a_node_tells_its_chance_its_gap_and_what_is_missing_where_it_is_missed(case, unchanged):
    company, landing = unchanged.company, unchanged.landing
    below = landing[landing < company["quota"]]
    assert 0 < len(below) < DRAWS
    assert company["probability"] == pytest.approx(1 - len(below) / DRAWS)
    assert company["shortfall"] == pytest.approx(np.mean(company["quota"] - below))
    assert company["gap"] == company["quota"] - company["booked"]
    assert [company["lo80"], company["hi80"]] == pytest.approx(np.quantile(landing, [0.1, 0.9]))
    assert np.isnan(run(Levers(quota=-0.9), case).company["shortfall"]), "never missed"


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["win_rate", "creation", "market", "cycle"]), st.floats(0, 0.4), st.floats(0, 0.4))
def test_more_never_lands_lower_in_any_draw(name, one, two):
    case = small()
    less, more = sorted((one, two))
    turn = {
        "market": lambda share: Levers(market={"region/South": share}),
        "cycle": lambda share: Levers(cycle=-share),
    }.get(name, lambda share: Levers(**{name: share}))
    low, high = run(turn(less), case), run(turn(more), case)
    assert (high.landing >= low.landing - 1e-6).all()
    assert (high.nodes["expected"] >= low.nodes["expected"] - 1e-6).all()


def test_price_is_exact(case, unchanged):
    priced = run(Levers(price=0.1), case)
    exact = case.nodes["booked"].iloc[0] + 1.1 * case.won[0] + (1 + case.fresh * 0.1) * case.other[0]
    np.testing.assert_allclose(priced.landing, exact, rtol=1e-12)
    assert priced.nodes["open"].to_numpy() == pytest.approx(1.1 * unchanged.nodes["open"].to_numpy())


def test_win_rate_makes_the_expected_wins_greater_by_its_share(case):
    chances = case.deals["p_quarter"].to_numpy()
    for share in (0.25, -0.4):
        moved = more_wins(chances, share)
        assert moved.sum() == pytest.approx((1 + share) * chances.sum()) and ((moved > 0) & (moved < 1)).all()
        odds = np.log(moved / (1 - moved)) - np.log(chances / (1 - chances))
        assert odds == pytest.approx(odds[0]), "one factor on all odds"
    assert more_wins(chances, -1).sum() == 0
    with pytest.raises(BadParameter, match=r"the 60 that are possible; give a share between -1 and [12]"):
        more_wins(chances, 4)
    with pytest.raises(BadParameter, match=r"the 2 that are sure .* give a share between -0.2 and 0.2"):
        more_wins(np.array([1.0, 1.0, 0.5]), -0.3)
    won = run(Levers(win_rate=0.25), case)
    assert won.company["open"] > 1.15 * case.won[0].mean() and won.company["other"] == pytest.approx(1.1 * case.other[0].mean())


def test_a_market_moves_its_own_deals_and_their_part_of_what_comes_from_elsewhere(case, unchanged):
    lost = run(Levers(market={"region/South": -1}), case).nodes.set_index(["level", "name"])
    before = unchanged.nodes.set_index(["level", "name"])
    assert lost.loc[("region", "South"), "open"] == 0
    assert lost.loc[("region", "North"), "expected"] == before.loc[("region", "North"), "expected"]
    share = case.cells.loc[case.cells["region"] == "South", "share"].sum()
    company = ("company", "company")
    assert lost.loc[company, "other"] == pytest.approx((1 - case.fresh * share) * before.loc[company, "other"])
    retail = run(Levers(market={"industry/Retail": 0.2}), case)
    assert retail.company["expected"] > unchanged.company["expected"]
    valid = "industry/Energy, industry/Retail, region/North, region/South"
    with pytest.raises(UnknownName, match=f"unknown market 'region/West'; valid: {valid}"):
        run(Levers(market={"region/West": 0.2}), case)


def test_a_longer_cycle_recomputes_what_would_have_come_in_time(case):
    slower = run(Levers(cycle=0.5), case)
    in_time = (100 + 200) / (100 + 200 + 300)  # 40 + 22.5 days are more than 60; the fourth came late anyway
    assert slower.company["other"] == pytest.approx((1 - case.fresh * (1 - in_time)) * case.other[0].mean())
    assert slower.company["open"] < 0.8 * case.won[0].mean(), "chances by 1 / 1.5"


def test_reps_who_join_count_as_far_as_their_ramp_when_deals_are_opened(case):
    other = case.other[0].mean()
    at_once = run(Levers(headcount=3, ramp_months=0), case).company["other"]
    assert at_once == pytest.approx((1 + case.fresh) * other), "three more where there were three"
    ramped = run(Levers(headcount=3, ramp_months=2), case).company["other"]
    ready = (100 * 5 + 200 * 20 + 300 * 40) / 600 / (2 * 30.4375)
    assert ramped == pytest.approx((1 + case.fresh * ready) * other)
    assert run(Levers(headcount=-1), case).company["other"] == pytest.approx((1 - case.fresh / 3) * other)
    with pytest.raises(BadParameter, match="headcount -4 is more than the 3 reps with open deals; give at least -3"):
        run(Levers(headcount=-4), case)


def test_quotas_move_in_proportion(case, unchanged):
    higher = run(Levers(quota_amount=352e3), case)
    assert higher.nodes["quota"].iloc[:2].to_numpy() == pytest.approx([352e3, 220e3])
    assert higher.company["probability"] < unchanged.company["probability"]
    assert np.array_equal(higher.landing, unchanged.landing)


def test_the_parts_of_the_levers_sum_to_the_difference(case):
    levers = Levers(0.2, -0.1, 0.05, 0.3, 2, 1.0, quota=0.1, market={"region/North": -0.1})
    found = run(levers, case)
    assert levers.turned == ORDER
    sums = found.parts.groupby(["level", "name"])[["expected", "probability"]].sum(min_count=8)
    nodes = found.nodes.set_index(["level", "name"])
    for column in ("expected", "probability"):
        change = nodes[column] - nodes[f"{column}_before"]
        pd.testing.assert_series_equal(sums[column].reindex(change.index), change, check_names=False, rtol=0, atol=1e-6)
    alone = found.parts[(found.parts["lever"] == "win_rate") & (found.parts["level"] == "company")]["expected"].iloc[0]
    only = run(Levers(win_rate=0.2), case).company
    assert alone == pytest.approx(only["expected"] - only["expected_before"])


@pytest.mark.parametrize("levers", [Levers(), Levers(win_rate=0.2, creation=0.5, market={"industry/Retail": 0.3})])
def test_joint_scenarios_add_up_and_the_company_is_at_its_percentiles(case, levers):
    found = run(levers, case)
    joint, company = found.joint, found.joint.iloc[0]
    assert company[list(NAMES)].tolist() == pytest.approx(np.quantile(found.landing, [0.1, 0.5, 0.9]), rel=1e-9)
    for level in quarter.LEVELS:
        sums = joint.loc[joint["level"] == level, [*NAMES, "expected"]].sum()
        assert (sums - company[[*NAMES, "expected"]].astype(float)).abs().max() < 1e-9 * company["optimistic"]
    assert "(no team)" in set(joint["label"]) and "Rita" in set(joint["label"])
    assert company["pessimistic"] < company["realistic"] < company["optimistic"]


def test_band_weights_are_a_mean_that_is_the_percentile():
    landing = np.random.default_rng(0).lognormal(0, 1, 4000)
    for at in (0.1, 0.5, 0.9):
        weights = band_weights(landing, at)
        assert weights.sum() == pytest.approx(1) and weights @ landing == pytest.approx(np.quantile(landing, at), rel=1e-12)
        assert (weights >= 0).all() and np.count_nonzero(weights) == 200
    assert band_weights(np.full(40, 7.0), 0.5) @ np.full(40, 7.0) == pytest.approx(7)


@pytest.mark.parametrize(
    ("bad", "match"),
    [
        ({"win_rate": -1.1}, "win_rate -1.1 is not a share from -1 to 4; give 0.1 for a tenth more"),
        ({"price": float("nan")}, "price nan is not a share"),
        ({"cycle": "10%"}, "cycle '10%' is not a share"),
        ({"creation": True}, "creation True is not a share"),
        ({"headcount": 1.5}, "headcount 1.5 is not a whole number of reps; give 5"),
        ({"ramp_months": -1}, "ramp_months -1 is not a number of months"),
        ({"quota_amount": 0}, "quota_amount 0 is not an amount above 0"),
        ({"quota": 0.1, "quota_amount": 5.0}, "give one of them"),
        ({"market": {"West": 0.1}}, "market 'West' is neither region/NAME nor industry/NAME; give, for example, region/West"),
        ({"market": {"region/West": 9}}, "market region/West 9 is not a share from -1 to 4"),
        ({"market": 5}, "does not name areas with shares"),
    ],
)
def test_levers_that_cannot_be_are_refused_with_the_mend(bad, match):
    with pytest.raises(BadParameter, match=match):
        Levers(**bad)


def test_levers_are_told_and_read_back():
    levers = Levers(win_rate=0.1, headcount=-2, market={"region/West": -0.2, "industry/Retail": 0.0}, quota_amount=1e6)
    assert levers.told() == "win rate +10 %, region/West -20 % won, 2 reps fewer, quota 1,000,000"
    assert Levers.of(levers.as_dict()) == levers and Levers().as_dict() == {} and Levers().told() == "no change"
    assert Levers(ramp_months=1).turned == ()
    with pytest.raises(UnknownName, match="unknown lever 'luck'; valid: creation, cycle"):
        Levers.of({"luck": 1})


def lived(n: int = 400, days: float = 50.0) -> tuple[pd.DataFrame, pd.Timestamp]:
    now, rng = pd.Timestamp("2026-05-01", tz="UTC"), np.random.default_rng(3)
    opened = now - pd.to_timedelta(rng.uniform(0, 700, n), unit="D")
    lasts = pd.to_timedelta(rng.exponential(days, n), unit="D")
    won = (rng.random(n) < 0.4) & (opened + lasts < now)
    closed = (opened + lasts).where(won)
    return pd.DataFrame({"first_known_at": opened, "closed_at": closed, "status": np.where(won, "won", "open"), "amount": 100.0}), now


def test_pipeline_needed_gives_the_chance_it_says():
    lives, now = lived()
    landing = np.random.default_rng(1).normal(10_000, 500, 4000)
    found = need.pipeline_needed(landing, 11_000.0, lives, now, 60.0, 0.8)
    assert found["in_weeks"].tolist() == [0, 2, 4, 6, 8] and found["days_left"].iloc[-1] == 4
    first = found.iloc[0]
    assert first["yield_share"] == pytest.approx(0.4 * (1 - np.exp(-60 / 50)), abs=0.06)
    assert found["deals"].is_monotonic_increasing and first["pipeline"] == first["deals"] * 100
    wins = np.random.default_rng(2).binomial(int(first["deals"]), first["yield_share"], 4000)
    assert np.mean(landing + 80 * wins >= 11_000) == pytest.approx(0.8, abs=0.03)
    assert need.sure_gap(landing, 11_000.0) == pytest.approx(1_000 + 0.8416 * 500, rel=0.03)
    assert first["won"] > need.sure_gap(landing, 11_000.0), "what is won by chance must be more than what is sure"
    enough = need.pipeline_needed(landing, 9_000.0, lives, now, 60.0, 0.8)
    assert (enough["deals"] == 0).all() and need.sure_gap(landing, 9_000.0) == 0


def test_a_gap_that_nothing_fills_is_missing():
    lives, now = lived()
    landing = np.full(100, 10_000.0)
    assert need.pipeline_needed(landing, 1e12, lives, now, 60.0, 1.0)["deals"].isna().all()
    nobody = need.pipeline_needed(landing, 11_000.0, lives.assign(status="lost"), now, 60.0, 1.0)
    assert nobody["deals"].isna().all() and (nobody["yield_share"] == 0).all()
    assert need.pipeline_needed(landing, 11_000.0, lives.head(10), now, 60.0, 1.0)["yield_share"].isna().all()
    without = need.pipeline_needed(landing, float("nan"), lives, now, 60.0, 1.0)
    assert without["deals"].isna().all() and without["yield_share"].notna().all() and np.isnan(need.sure_gap(landing, float("nan")))


def test_capacity_is_room_up_to_what_nine_in_ten_had():
    past = pd.DataFrame({"quarter": [1] * 10 + [2] * 6, "rep": ["a"] * 6 + ["b"] * 4 + ["a"] * 4 + [None] * 2})
    found = need.capacity(pd.DataFrame({"rep": ["a"] * 8 + ["b", "c", None]}), past)
    assert found.most == pytest.approx(5.6)
    rows = found.reps.set_index("rep")
    assert rows["open_deals"].to_dict() == {"a": 8, "b": 1, "c": 1} and rows["over"].to_dict() == {"a": True, "b": False, "c": False}
    assert rows.loc["a", "usual"] == 5 and np.isnan(rows.loc["c", "usual"]) and found.room == pytest.approx(9.2)
    assert np.isnan(need.capacity(pd.DataFrame({"rep": ["a"]}), past.iloc[:0]).room)


def test_a_plain_pace_is_how_many_more_past_deals_were_won_in_such_a_time():
    now = pd.Timestamp("2026-05-01", tz="UTC")
    at = now - pd.Timedelta(days=100)
    days = np.r_[np.full(10, 10.0), np.full(10, 40.0), np.full(20, np.nan)]
    past = pd.DataFrame({"as_of": at, "due": "due", "won": ~np.isnan(days), "closed_at": at + pd.to_timedelta(days, unit="D")})
    deals = pd.DataFrame({"due": ["due", "later"]})
    assert pace.stretched(deals, past, now, 30.0, 60.0).tolist() == pytest.approx([2.0, 2.0])
    assert pace.stretched(deals, past, now, 60.0, 30.0).tolist() == pytest.approx([0.5, 0.5])
    assert pace.stretched(deals, past, now, 30.0, 101.0).tolist() == [1.0, 1.0], "nobody was followed for so long"
