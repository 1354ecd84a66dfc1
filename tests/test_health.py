"""Pipeline health: simulated yield against exact sums, the common shock, rates, ageing, alerts, and the workflow on small companies."""

from __future__ import annotations

import datetime as dt
import shutil
from decimal import Decimal
from itertools import product

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import special, stats

from salesml import world
from salesml.analytics import elsewhere, health, pipeline, quarter
from salesml.errors import BadInput, NotEnoughData
from salesml.figures import health as figures
from salesml.lake import Lake, visible
from salesml.workflows.health import PipelineHealth, pipeline_health
from salesml.workflows.quarter import picture
from salesml.workspace import Workspace

COMPANY = (quarter.COMPANY, quarter.COMPANY)


def deals(amounts, chances, **places) -> pd.DataFrame:
    return pd.DataFrame({"amount": amounts, "p_quarter": chances, "region": "R", "team": None, "rep": None} | places)


def test_simulated_yield_has_the_exact_distribution():
    amounts, chances = [100.0, 50.0, 20.0], [0.5, 0.2, 0.9]
    drawn = quarter.simulate(deals(amounts, chances), draws=40_000)[COMPANY]
    for wins in product((0, 1), repeat=3):
        exact = np.prod([p if won else 1 - p for won, p in zip(wins, chances, strict=True)])
        share = np.mean(np.isclose(drawn, np.dot(wins, amounts)))
        assert share == pytest.approx(exact, abs=4 * np.sqrt(exact / 40_000))


def test_sums_by_level_add_up_and_a_seed_repeats_them():
    rows = deals(
        np.arange(1.0, 41),
        np.full(40, 0.3),
        region=["N", "S"] * 20,
        team=["a", "b", "c", "d"] * 10,
        rep=[None, *["x"] * 39],
    )
    drawn = quarter.simulate(rows, shock=0.1, draws=500, seed=3)
    np.testing.assert_allclose(drawn["region"].sum(axis=1), drawn[COMPANY])
    np.testing.assert_allclose(drawn["team"].sum(axis=1), drawn[COMPANY])
    assert drawn["rep"].columns.tolist() == ["x"]
    assert drawn.equals(quarter.simulate(rows, shock=0.1, draws=500, seed=3))
    many = pd.concat([rows] * 300, ignore_index=True)  # drawn in parts
    assert quarter.simulate(many, draws=800)[COMPANY].mean() == pytest.approx(300 * 0.3 * 820, rel=0.01)


def test_a_common_shock_keeps_the_chances_and_widens_the_sum():
    rows = deals(np.full(200, 10.0), np.full(200, 0.3))
    alone, together = (quarter.simulate(rows, shock, draws=8000)[COMPANY] for shock in (0.0, 0.1))
    assert alone.mean() == pytest.approx(600, rel=0.01) and together.mean() == pytest.approx(600, rel=0.02)
    assert alone.std() == pytest.approx(10 * np.sqrt(200 * 0.21), rel=0.03)
    threshold = special.ndtri(0.3)
    both = stats.multivariate_normal([0, 0], [[1, 0.1], [0.1, 1]]).cdf([threshold, threshold])
    exact = np.sqrt(100 * (200 * 0.21 + 200 * 199 * (both - 0.09)))
    assert together.std() == pytest.approx(exact, rel=0.04)


@pytest.mark.parametrize("wrong", [np.nan, -0.1, 1.2])
def test_a_chance_outside_its_range_is_refused_by_row(wrong):
    with pytest.raises(BadInput, match=r"row 2, column p_quarter: a chance is missing or outside 0..1"):
        quarter.simulate(deals([1.0, 2.0], [0.5, wrong]))


def past_quarters(shock: float, quarters: int, seed: int, n: int = 150) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    chance, amount = rng.uniform(0.05, 0.7, (quarters, n)), rng.lognormal(9, 0.8, (quarters, n))
    luck = np.sqrt(shock) * rng.standard_normal((quarters, 1)) + np.sqrt(1 - shock) * rng.standard_normal((quarters, n))
    won = luck < special.ndtri(chance)
    names = np.repeat(np.arange(quarters), n)
    return pd.DataFrame({"quarter": names, "amount": amount.ravel(), "chance": chance.ravel(), "won": won.ravel()})


def test_shock_is_found_from_the_misses_of_past_quarters():
    for true in (0.0, 0.05, 0.15):
        found = [quarter.shock_size(past_quarters(true, 40, seed)).size for seed in range(30)]
        assert np.mean(found) == pytest.approx(true, abs=0.012 + 0.15 * true)
    few = quarter.shock_size(past_quarters(0.15, 7, seed=1))
    assert (few.size, few.quarters, few.estimated) == (0.0, 7, False)


def history(quarters: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "level": level,
            "name": name,
            "quarter": number,
            "trailing": size,
            "other": size * 0.3 + rng.normal(0, np.sqrt(size)),
        }
        for number in range(quarters)
        for level, name, size in (("company", "company", 9000.0), ("rep", "big", 8000.0), ("rep", "small", 40.0))
    ]
    return pd.DataFrame(rows)


def test_revenue_from_elsewhere_follows_the_past_and_needs_four_quarters():
    drawn = elsewhere.elsewhere(history(12), "company").draws("company", 10_000.0, draws=20_000)
    assert drawn is not None
    assert np.mean(drawn) == pytest.approx(3000, rel=0.05)
    assert np.std(drawn) == pytest.approx(np.sqrt(10_000), rel=0.6)
    small = elsewhere.elsewhere(history(12), "rep").draws("small", 40.0)
    assert small is not None and small.max() < 200 and small.min() >= min(history(12)["other"].min(), 0)
    assert elsewhere.elsewhere(history(3), "company").draws("company", 10_000.0) is None
    assert elsewhere.elsewhere(history(12), "rep").draws("new", 0.0) is None


def test_chance_of_a_quota_coverage_and_the_coverage_needed():
    rows = deals(np.full(400, 10.0), np.full(400, 0.25))
    won = quarter.simulate(rows, draws=20_000)[COMPANY].to_numpy()
    found = quarter.chance_of_quota(won, None, 500.0, 1500.0, 4000.0, 0.0)
    assert found["probability"] == pytest.approx(np.mean(won >= 1000)) and 0.45 < found["probability"] < 0.58
    assert found["coverage"] == 4.0
    spread = 10 * np.sqrt(400 * 0.25 * 0.75)
    times = np.array(
        [t for t in np.linspace(1, 1.5, 5001) if stats.norm.sf(1000, 1000 * t, np.sqrt(t) * spread) >= 0.8]
    )[0]
    assert found["coverage_needed"] == pytest.approx(4 * times, rel=0.03)
    larger = quarter.simulate(pd.concat([rows] * 2, ignore_index=True).head(round(400 * times)), draws=20_000)[COMPANY]
    assert np.mean(larger >= 1000) == pytest.approx(0.8, abs=0.04)  # that many deals do give the chance
    assert quarter.chance_of_quota(won, None, 1500.0, 1500.0, 4000.0, 0.0)["probability"] == 1
    none_missing = quarter.chance_of_quota(won, None, 1600.0, 1500.0, 4000.0, 0.0)
    assert np.isnan(none_missing["coverage"]) and np.isnan(none_missing["coverage_needed"])
    hopeless = quarter.chance_of_quota(np.zeros(100), None, 0.0, 1500.0, 0.0, 0.0)
    assert hopeless["probability"] == 0 and np.isnan(hopeless["coverage_needed"])
    assert np.isnan(quarter.chance_of_quota(won, None, 0.0, float("nan"), 1.0, 0.0)["probability"])


@pytest.mark.slow
def test_the_interval_holds_as_often_as_it_says_where_chances_are_true():
    """Simulated companies, with the world's own chance of each deal to be won before the quarter ends."""
    held = []
    for seed in (1, 2, 3):
        made = world.company(seed=seed, reps=12, years=3.0)
        week, deal = made.truth["deal_week"].to_pandas(), made.truth["deal"].to_pandas()
        starts = week["as_of"].dt.tz_localize(None).dt.to_period("Q")
        ends = starts.dt.end_time.dt.tz_localize("UTC")
        rows = week.assign(
            quarter=starts, ends=ends, day=(week["as_of"].dt.tz_localize(None) - starts.dt.start_time).dt.days
        )
        rows = rows[rows["quarter"] < rows["quarter"].max()].merge(
            deal[["opportunity_id", "outcome", "closed_at"]], on="opportunity_id"
        )
        for (_, first), snapshot in rows[rows["day"].between(7, 62)].groupby(["quarter", "as_of"]):
            won = (
                (snapshot["outcome"] == "won")
                & (snapshot["closed_at"] >= first)
                & (snapshot["closed_at"] <= snapshot["ends"])
            )
            drawn = quarter.simulate(
                deals(snapshot["value"].to_numpy(), snapshot["p_won_this_quarter"].to_numpy()), draws=400
            )[COMPANY]
            lo, hi = np.quantile(drawn, [0.1, 0.9])
            held.append(lo <= snapshot.loc[won, "value"].sum() <= hi)
    assert len(held) > 200
    assert np.mean(held) == pytest.approx(0.8, abs=0.09)  # weeks of a quarter are one draw of luck: about 36 quarters


def test_rates_are_shrunk_shares_and_large_deals_have_their_own():
    past = pd.DataFrame(
        {
            "quarter": 1, "stage": ["a"] * 90 + ["b"] * 3, "due": health.DUE, "amount": [*np.linspace(1, 100, 90), 1, 1, 1],
            "won_in_quarter": [True] * 30 + [False] * 60 + [True] * 3, "won": [True] * 30 + [False] * 60 + [True] * 3,
        }
    )  # fmt: skip
    found = health.rates(past)
    overall = 33 / 93
    a = (30 + 10 * overall) / 100
    assert found.stage["a"] == pytest.approx(a)
    assert found.stage["b"] == pytest.approx((3 + 10 * overall) / 13)  # three wins are not 100 %
    assert found.quarter["a", health.DUE] == pytest.approx((30 + 10 * a) / 100)
    ask = pd.DataFrame(
        {
            "stage": ["a", "a", "a", "new"],
            "due": [health.DUE, health.DUE, health.LATER, health.DUE],
            "amount": [2.0, 99, np.nan, np.nan],
        }
    )
    chance = health.by_rates(ask, found)
    assert chance[0] > 2 * chance[1]  # only the small were won
    assert chance[2:] == pytest.approx([a, overall])
    assert found.in_time[health.DUE] == 1


def test_chances_come_from_the_best_there_is_and_say_so():
    past = pd.DataFrame(
        {"quarter": 1, "stage": "a", "due": [health.DUE] * 40 + [health.LATER] * 40, "amount": 1.0, "won": [True, False] * 40,
         "won_in_quarter": [True, False] * 20 + [False] * 40}
    )  # fmt: skip
    found = health.rates(past)
    ask = pd.DataFrame(
        {"stage": "a", "due": [health.DUE, health.LATER, health.DUE], "amount": 1.0, "probability": [0.5, 0.5, np.nan]}
    )
    rows, words = health.with_chances(ask.assign(p_quarter=[0.9, np.nan, np.nan]), found)
    in_time = 10 * 0.5 / 30  # of 20 wins due later none came in time; drawn towards half
    assert rows["p_quarter"].tolist() == pytest.approx([0.9, 0.5 * in_time, health.by_rates(ask, found)[2]])
    assert words.count("(1 deals)") == 3 and "× how often wins with such a close date came in time" in words
    assert "by the end of past quarters (3 deals)" in health.with_chances(ask.drop(columns="probability"), found)[1]


def test_due_is_half_open():
    told = health.due(
        pd.Series([dt.date(2024, 3, 31), dt.date(2024, 4, 1), None, dt.date(2023, 1, 1)]), dt.date(2024, 4, 1)
    )
    assert told.tolist() == [health.DUE, health.LATER, health.UNDATED, health.DUE]


def open_rows(**columns) -> pd.DataFrame:
    base = {
        "opportunity_id": ["d1", "d2", "d3"], "name": ["One", "Two", "Three"], "owner": "Ann", "stage": "a",
        "stage_days": [5.0, 95.0, 50.0], "amount": [Decimal(100), Decimal(900), None], "p_quarter": [0.5, 0.5, 0.5],
        "age_days": 100.0, "days_since_activity": [1.0, 30.0, np.nan], "overdue": [False, True, False],
        "overdue_days": [np.nan, 4.0, np.nan], "quiet": [False, True, True], "pushed": False, "close_date_changes": 0,
    }  # fmt: skip
    return pd.DataFrame(base | columns)


STAYS = pd.DataFrame({"stage": "a", "days": np.arange(1.0, 101), "ended": ["advanced", "won"] * 50})


def test_age_is_beside_the_stays_that_moved_on():
    found = health.aged(open_rows(), pd.concat([STAYS, STAYS.assign(days=1000.0, ended="lost")]))
    assert found["age_share"].tolist() == [0.04, 0.94, 0.49] and found["stalled"].tolist() == [False, True, False]
    assert found["usual_days"].iloc[0] == 50.5
    few = health.aged(open_rows(), STAYS.head(19))
    assert few["age_share"].isna().all() and not few["stalled"].any()


def test_deals_that_need_somebody_say_why_in_numbers_and_what_to_do():
    found = health.needy(health.aged(open_rows(), STAYS))
    assert found["deal"].tolist() == ["Two", "Three"]
    assert (
        found["why"].iloc[0]
        == "no activity for 30 days; should have closed 4 days ago; in a for 95 days, 9 in 10 that moved on took under 90"
    )
    assert found["why"].iloc[1] == "no activity for 100 days"  # none at all: since it was opened
    assert found["step"].str.startswith("Speak with the customer").all()
    assert health.needy(health.aged(open_rows(quiet=False, overdue=False, stage_days=1.0), STAYS)).empty


def test_alerts_cross_their_thresholds():
    quotas = pd.DataFrame(
        {"level": ["company", "region", "rep"], "name": ["company", "N", "u"], "label": ["the company", "N", "Ann"],
         "probability": [0.7, 0.3, 0.01], "rate_probability": [0.55, 0.3, 0.01]}
    )  # fmt: skip
    before = {("company", "company"): 0.7, ("region", "N"): 0.35, ("rep", "u"): 0.9}
    found = health.alerts(health.aged(open_rows(), STAYS), quotas, before, 7)
    told = {(row.alert, row.where): round(row.number, 2) for row in found.itertuples()}
    assert told == {
        ("quota chance fell", "the company"): 0.15, ("quota at risk", "N"): 0.3, ("one deal carries much", "Two"): 0.9,
        ("pipeline ages", "open pipeline"): 0.9, ("silence in a big deal", "Two"): 30,
    }  # fmt: skip
    assert (found["number"] > found["threshold"]).sum() == 4 and found["step"].str.len().min() > 10
    calm = open_rows(amount=[100.0] * 3, quiet=False, stage_days=1.0).loc[[0, 1, 2] * 4].reset_index(drop=True)
    assert health.alerts(health.aged(calm, STAYS), quotas.head(1).assign(probability=0.9), {}, 7).empty


def test_velocity_is_what_a_steady_pipeline_wins_a_day():
    rng = np.random.default_rng(0)
    now = pd.Timestamp("2024-12-31", tz="UTC")
    opened = now - pd.to_timedelta(rng.uniform(0, 700, 7000), unit="D")
    days, seen = rng.exponential(40, 7000), (now - opened).total_seconds().to_numpy() / 86_400
    over = days <= seen
    rows = pd.DataFrame(
        {"opened_at": opened, "closed_at": (opened + pd.to_timedelta(days, unit="D")).where(over), "days": np.minimum(days, seen),
         "outcome": np.where(over, np.where(rng.random(7000) < 0.3, "won", "lost"), None), "amount": 100.0}
    )  # fmt: skip
    found = health.velocity(rows, now)
    assert found is not None
    assert found.per_day == pytest.approx(10 * 0.3 * 100, rel=0.1)  # ten deals a day are opened, three in ten won
    assert found.lo < 300 < found.hi and found.earned == pytest.approx(300, rel=0.15)
    assert found.days == pytest.approx(40, rel=0.08) and found.won_share == pytest.approx(0.3, abs=0.03)
    assert health.velocity(rows.assign(outcome=None), now) is None


@pytest.fixture(scope="module")
def found(tiny_workspace) -> PipelineHealth:
    return pipeline_health(tiny_workspace, _middle(tiny_workspace))


def _middle(workspace) -> dt.datetime:
    """A day in the middle of the last complete quarter of the small company."""
    end = Lake(workspace).open().instant()
    start, _ = pipeline.quarter(workspace.local_date(end) - dt.timedelta(days=1))
    return workspace.instant(start + dt.timedelta(days=40))


def test_the_workflow_on_a_small_company(tiny_workspace, found):
    view = visible(Lake(tiny_workspace).open(), found.as_of)
    assert len(found.deals) == len(pipeline.open_deals(view)) and found.deals["p_quarter"].between(0, 1).all()
    company = found.company
    assert (company["level"], company["quota"] > 0) == ("company", True)
    assert company["lo80"] <= company["lands"] <= company["hi80"]
    assert company["probability"] == pytest.approx(np.mean(found.landing >= company["quota"]), abs=1e-9)
    assert f"{company['lands']:,.0f}" in found.sentence and "were won by the end of past quarters" in found.notes
    regions = found.quotas[found.quotas["level"] == "region"]
    assert regions["booked"].sum() == pytest.approx(company["booked"]) and regions[
        "open_amount"
    ].sum() == pytest.approx(company["open_amount"])
    facts = view.frame(view.facts("revenue"))
    booked = facts.loc[
        (facts["kind"] == "invoice") & (facts["occurred_at"] >= pd.Timestamp(found.start, tz="UTC")), "amount"
    ]
    assert company["booked"] == pytest.approx(float(booked.sum()))
    assert found.ageing["open_deals"].sum() == len(found.deals)
    assert set(found.alerts["alert"]) <= {
        "quota at risk",
        "quota chance fell",
        "one deal carries much",
        "pipeline ages",
        "silence in a big deal",
    }


def test_given_scores_are_taken(tiny_workspace, found):
    scores = pd.DataFrame({"opportunity_id": found.deals["opportunity_id"], "probability": 1.0, "p_quarter": 1.0})
    sure = picture(tiny_workspace, Lake(tiny_workspace).open(), found.as_of, scores)
    company = sure.quotas.iloc[0]
    assert company["expected"] == pytest.approx(sure.landed * company["open_amount"])
    assert company["probability"] >= found.company["probability"]
    assert company["rate_probability"] == pytest.approx(found.company["probability"], abs=1e-9)


def test_nothing_later_changes_what_was_told(tiny_workspace, found, tmp_path):
    shutil.copytree(tiny_workspace.root, tmp_path / "later")
    later = Workspace.open(tmp_path / "later")
    after = found.as_of + dt.timedelta(minutes=1)
    rows = [
        {
            "opportunity_id": deal,
            "change_id": "told later",
            "status": "won",
            "amount": Decimal("9999999.00"),
            "occurred_at": after,
        }
        for deal in found.deals["opportunity_id"]
    ]
    Lake(later).ingest({"opportunity": pa.Table.from_pylist(rows)}, origin="test")
    pd.testing.assert_frame_equal(picture(later, Lake(later).open(), found.as_of).quotas, found.quotas)
    with pytest.raises(NotEnoughData, match="no deal is open"):
        picture(later, Lake(later).open(), after + dt.timedelta(seconds=1))


def test_too_little_is_refused_in_words(workspace):
    row = {
        "opportunity_id": "a",
        "change_id": "c",
        "status": "open",
        "stage": "s",
        "occurred_at": dt.datetime(2024, 1, 5, tzinfo=dt.UTC),
    }
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist([row])}, origin="test")
    with pytest.raises(NotEnoughData, match="not one past quarter of deals is known"):
        pipeline_health(workspace, "2024-02-01")


def test_charts_and_tables_tell_their_numbers(found):
    alt = figures.landing_figure(found.landing, found.company["quota"], "USD").layout.meta["alt"]
    assert f"{np.median(found.landing):,.0f} USD" in alt and f"{found.quota_probability:.0%} reach the quota" in alt
    assert "quota" not in figures.landing_figure(found.landing, float("nan"), "USD").layout.meta["alt"]
    bars = figures.quotas_figure(found.quotas)
    assert (
        len(bars.data[0].x) == (found.quotas["level"] != "rep").sum()
        and "the line marks 80 %" in bars.layout.meta["alt"]
    )
    assert "No revenue quota" in figures.quotas_figure(found.quotas.assign(probability=np.nan)).layout.meta["alt"]
    assert "the company" in figures.quotas_table(found.quotas, "USD").html
    assert "Alerts: none" in figures.alerts_table(found.alerts.iloc[:0]).html
    rows = pd.DataFrame(
        [("quota at risk", "N", 0.3, 0.5, "chance of quota", "x"), ("s", "D", 18.4, 14, "days without", "y")],
        columns=health.ALERTS,
    )
    html = figures.alerts_table(rows).html
    assert ">30%<" in html and ">18<" in html and ">14<" in html
    assert "Negotiation" in figures.ageing_table(found.ageing, "USD").html
