"""The sales cycle: incidence curves against independent computations, stays in stages, groups, the workflow on a small company."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from statsmodels.duration.survfunc import CumIncidenceRight, SurvfuncRight, survdiff

from salesml.analytics import cycle
from salesml.analytics.incidence import at, incidence, log_rank, medians_by_cause, quartiles, shares_by_entity, speeds
from salesml.analytics.stages import bottlenecks, early_contact, timeline, visits
from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.figures import cycle as figures
from salesml.lake import Lake, visible
from salesml.workflows.cycle import SalesCycle, own_stages, sales_cycle
from salesml.workspace import Workspace

CAUSES = ("won", "lost")


def simulated(
    n: int, seed: int, won: float = 0.02, lost: float = 0.03, watch: float = 80.0
) -> tuple[np.ndarray, pd.Series]:
    """Deals with constant daily hazards of each cause, watched for up to `watch` days, uniformly."""
    rng = np.random.default_rng(seed)
    end, seen = rng.exponential(1 / (won + lost), n), rng.uniform(0, watch, n)
    cause = np.where(rng.random(n) < won / (won + lost), "won", "lost")
    return np.minimum(end, seen), pd.Series(np.where(end <= seen, cause, None), dtype="object")


def by_hand(days, ended, cause, day):
    """Aalen-Johansen, one time after the other, in plain Python."""
    going, share = 1.0, 0.0
    for time in sorted({d for d, e in zip(days, ended, strict=True) if e is not None and d <= day}):
        risk = sum(d >= time for d in days)
        share += going * sum(d == time and e == cause for d, e in zip(days, ended, strict=True)) / risk
        going *= 1 - sum(d == time and e is not None for d, e in zip(days, ended, strict=True)) / risk
    return share


def test_incidence_agrees_with_a_plain_computation_and_with_statsmodels():
    days, ended = simulated(150, seed=1)
    days = np.ceil(days)  # ties
    curve = incidence(days, ended, CAUSES)
    for day in (0, 3, 17, 60):
        for cause in CAUSES:
            assert at(curve, day)[cause].iloc[0] == pytest.approx(by_hand(days, list(ended), cause, day), abs=1e-12)
    codes = ended.map({"won": 1, "lost": 2}).fillna(0).astype(int).to_numpy()
    other = CumIncidenceRight(days, codes)
    theirs = at(curve, other.times)
    np.testing.assert_allclose(theirs[["won", "lost"]].to_numpy().T, other.cinc, atol=1e-12)
    np.testing.assert_allclose(curve["going"] + curve["won"] + curve["lost"], 1, atol=1e-12)


def test_merged_causes_are_kaplan_meier_with_greenwoods_interval():
    days, ended = simulated(200, seed=2)
    curve = incidence(days, ended.where(ended.isna(), "over"), ("over",)).iloc[1:]
    survival = stats.ecdf(stats.CensoredData(days[ended.notna()], right=days[ended.isna()])).sf
    np.testing.assert_allclose(1 - curve["over"], survival.probabilities[np.isin(survival.quantiles, curve["day"])])
    bounds = survival.confidence_interval(0.9, method="log-log")
    for name, theirs in (("over_hi", bounds.low), ("over_lo", bounds.high), ("going_lo", bounds.low)):
        mine = curve[name] if name.startswith("going") else 1 - curve[name]
        known = np.isfinite(theirs.probabilities[np.isin(theirs.quantiles, curve["day"])])
        np.testing.assert_allclose(
            mine[known], theirs.probabilities[np.isin(theirs.quantiles, curve["day"])][known], atol=1e-9
        )


def test_intervals_hold_nine_times_in_ten_for_known_hazards():
    day, share = 30.0, 0.4 * (1 - np.exp(-0.05 * 30))
    held, medians = [], []
    for seed in range(250):
        days, ended = simulated(120, seed)
        row = at(incidence(days, ended, CAUSES), day).iloc[0]
        held.append(row["won_lo"] <= share <= row["won_hi"])
        half = quartiles(days, ended.notna().to_numpy()).iloc[1]
        medians.append(half["lo"] <= np.log(2) / 0.05 <= half["hi"])
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)
    assert np.mean(medians) == pytest.approx(0.9, abs=0.04)


def test_leaving_open_deals_out_would_shorten_the_cycle():
    days, ended = simulated(4000, seed=5, watch=40)
    over = ended.notna().to_numpy()
    true = np.log(2) / 0.05
    half = quartiles(days, over).iloc[1]
    assert half["days"] == pytest.approx(true, rel=0.05)
    assert np.median(days[over]) < 0.8 * true


def test_curves_of_nothing_and_of_what_never_ends():
    empty = incidence(np.array([]), pd.Series([], dtype="object"), CAUSES)
    assert empty[["day", "going", "won"]].to_numpy().tolist() == [[0, 1, 0]]
    assert quartiles(np.array([5.0, 6.0]), np.array([False, False]))["days"].isna().all()
    lost = incidence(np.array([1.0, 2.0, 3.0]), pd.Series(["lost", None, None]), CAUSES).iloc[-1]
    assert (lost["won"], lost["won_lo"]) == (0, 0) and lost["won_hi"] == pytest.approx(1 - 0.05 ** (1 / 3))
    all_over = quartiles(np.array([10.0, 10.0, 10.0]), np.array([True] * 3)).iloc[1]
    assert all_over["days"] == 10 and np.isnan(all_over["hi"])  # three deals bound nothing from above


def test_shares_and_medians_resampled_by_entity():
    days, ended = simulated(600, seed=3)
    alone = shares_by_entity(days, ended, CAUSES, 40.0, np.arange(600))
    row = at(incidence(days, ended, CAUSES), 40.0).iloc[0]
    assert alone["won"][0] == pytest.approx(row["won"])
    assert alone["won"][2] - alone["won"][1] == pytest.approx(row["won_hi"] - row["won_lo"], rel=0.2)
    twice = shares_by_entity(np.tile(days, 4), pd.concat([ended] * 4), CAUSES, 40.0, np.tile(np.arange(600), 4))
    assert twice["won"][2] - twice["won"][1] == pytest.approx(alone["won"][2] - alone["won"][1], rel=0.2)
    value, lo, hi = medians_by_cause(days, ended, CAUSES, 1e9)["lost"]
    truth = np.log(2) / 0.05  # both causes end alike in time
    assert lo < value < hi and lo - 2 < truth < hi + 2


def test_log_rank_agrees_with_statsmodels_and_within_strata_removes_what_they_explain():
    days, ended = simulated(300, seed=4)
    days, over = np.ceil(days), ended.notna().to_numpy()
    groups, strata = np.arange(300) % 3, np.arange(300) // 100
    for chosen in (None, strata):
        mine = log_rank(days, over, groups, chosen)
        statistic, p = survdiff(days, over, groups, strata=chosen)
        assert (mine.freedom, mine.p_value) == (2, pytest.approx(p, rel=1e-6))
        assert mine.statistic == pytest.approx(statistic, rel=1e-6)
    assert log_rank(days, over, np.zeros(300)).p_value == 1
    quick, slow = simulated(300, 6, won=0.2, lost=0.1), simulated(300, 7, won=0.02, lost=0.01)
    both, kind = np.r_[quick[0], slow[0]], np.repeat(["renewal", "new"], 300)
    done = pd.concat([quick[1], slow[1]]).notna().to_numpy()
    rep = np.where(np.random.default_rng(1).random(600) < np.where(kind == "renewal", 0.8, 0.2), "Ann", "Bo")
    assert log_rank(both, done, rep).p_value < 1e-6
    assert log_rank(both, done, rep, kind).p_value > 0.01


def test_nobody_is_slow_by_chance_and_three_deals_make_nobody_slow():
    false = []
    for seed in range(40):
        days, ended = simulated(900, seed)
        false.append(speeds(days, ended.notna().to_numpy(), np.arange(900) % 30)["sure"].sum())
    assert sum(false) <= 0.02 * 40 * 30
    days, ended = simulated(900, seed=1)
    groups = np.array(["rest"] * 900, dtype="object")
    groups[:3], days[:3], ended[:3] = "new rep", 300.0, "lost"
    told = speeds(days, ended.notna().to_numpy(), groups).set_index("group")
    assert told.loc["new rep", "watched"] == 3 and not told.loc["new rep", "sure"]


def test_speeds_find_a_group_that_is_twice_as_fast():
    days, ended = zip(
        *(simulated(200, seed, won=0.02 * k, lost=0.03 * k) for seed, k in enumerate((1, 1, 1, 2))), strict=True
    )
    over = pd.concat(ended).notna().to_numpy()
    told = speeds(np.concatenate(days), over, np.repeat(list("abcd"), 200)).set_index("group")
    assert told["sure"]["d"] and told.loc["d", "lo"] > 1.2
    assert told.loc["d", "speed"] / told.loc["a", "speed"] == pytest.approx(2, rel=0.25)
    assert told["expected"].sum() == pytest.approx(over.sum())  # Nelson-Aalen: as many expected as happened


CHANGES = [
    ("a", 1, "open", "Lead", 1), ("a", 5, None, "Demo", 2), ("a", 8, None, "Lead", None), ("a", 9, None, None, None),
    ("a", 12, "lost", "Closed", None), ("a", 20, "open", None, None), ("a", 22, None, "Demo", 2), ("a", 25, "won", None, None),
    ("b", 2, "open", "Lead", 1), ("b", 2, None, "Demo", 2), ("b", 30, None, "Offer", 3),
    ("c", 4, "won", "Closed", None),
    ("d", 3, "open", "Lead", 1),
]  # fmt: skip


def ingest(workspace: Workspace) -> Lake:
    rows = [
        {"opportunity_id": deal, "change_id": f"{deal}{n}", "status": status, "stage": stage, "stage_order": order, "owner_id": "u",
         "amount": 100 if deal != "d" else None, "deleted": None, "occurred_at": dt.datetime(2024, 1, day, tzinfo=dt.UTC)}
        for n, (deal, day, status, stage, order) in enumerate(CHANGES)
    ]  # fmt: skip
    gone = {"opportunity_id": "e", "change_id": "e0", "status": "open", "stage": "Lead", "deleted": True}
    rows.append(gone | {"occurred_at": dt.datetime(2024, 1, 2, tzinfo=dt.UTC)})
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist(rows)}, origin="test")
    return Lake(workspace)


def test_stays_and_lives_of_deals_that_return_reopen_and_are_open(workspace):
    view = visible(ingest(workspace).open(), "2024-01-31")
    rows = timeline(view)
    stays = visits(rows)
    told = [
        tuple(row)
        for row in stays[["opportunity_id", "stage", "days", "ended"]]
        .astype(object)
        .where(stays.notna(), None)
        .to_numpy()
    ]
    assert told == [
        ("a", "Lead", 4, "advanced"), ("a", "Demo", 3, "returned"), ("a", "Lead", 4, "lost"), ("a", "Lead", 2, "advanced"),
        ("a", "Demo", 3, "won"), ("b", "Demo", 28, "advanced"), ("b", "Offer", 1, None), ("d", "Lead", 28, None),
    ]  # fmt: skip
    lives = cycle.lives(rows).set_index("opportunity_id")
    assert lives["days"].to_dict() == {"a": 16, "b": 29, "c": 0, "d": 28}  # a lay closed from the 12th to the 20th
    assert lives["outcome"].to_dict() == {"a": "won", "b": None, "c": "won", "d": None}
    assert lives["reopened"].to_dict() == {"a": 1, "b": 0, "c": 0, "d": 0}
    assert lives["entered_closed"].to_dict() == {"a": False, "b": False, "c": True, "d": False}
    assert lives.loc["a", "closed_at"] == pd.Timestamp("2024-01-25", tz="UTC") and pd.isna(lives.loc["b", "closed_at"])


def test_the_past_is_told_as_it_was_known(workspace):
    lake = ingest(workspace)
    rows = timeline(visible(lake.open(), "2024-01-21"))
    lives = cycle.lives(rows).set_index("opportunity_id")
    assert (lives.loc["a", "outcome"], lives.loc["a", "days"], lives.loc["a", "reopened"]) == (None, 12, 1)
    assert (
        cycle.lives(timeline(visible(lake.open(), "2024-01-13"))).set_index("opportunity_id").loc["a", "outcome"]
        == "lost"
    )


def test_own_stages_group_and_order(workspace):
    rows = timeline(visible(ingest(workspace).open(), "2024-01-31"))
    grouped = visits(rows, {"Lead": "Early", "Demo": "Early"})
    assert grouped[grouped["opportunity_id"] == "a"]["stage"].tolist() == ["Early", "Early"]
    assert grouped[grouped["opportunity_id"] == "a"]["days"].tolist() == [11, 5]
    turned = visits(rows, {"Demo": 0})
    assert turned[turned["opportunity_id"] == "a"]["ended"].tolist() == [
        "returned",
        "advanced",
        "lost",
        "returned",
        "won",
    ]
    with pytest.raises(UnknownName, match="unknown stage 'Offfer'; valid: Demo, Lead, Offer"):
        visits(rows, {"Offfer": "Late"})
    with pytest.raises(BadParameter, match="give an own stage"):
        visits(rows, {"Offer": 2.5})


def test_own_stages_are_read_from_text():
    assert own_stages(["Lead=Early", "Demo = Early", "Offer=4"]) == {"Lead": "Early", "Demo": "Early", "Offer": 4}
    assert own_stages([]) == {}
    for wrong in ("Lead", "=Early", "Lead="):
        with pytest.raises(BadParameter, match="stage=own stage"):
            own_stages([wrong])


def test_bottlenecks_weigh_days_by_money(workspace):
    as_of = dt.datetime(2024, 1, 31, tzinfo=dt.UTC)
    stays = visits(timeline(visible(ingest(workspace).open(), as_of)))
    table = bottlenecks(stays, pd.Series({"a": 100, "b": 50}), as_of).set_index("stage")
    assert table["amount_days"].to_dict() == {"Demo": 600 + 1400, "Lead": 1000, "Offer": 50}
    assert table["share"].sum() == pytest.approx(1) and table["first"].sum() == pytest.approx(1)
    assert (table.loc["Offer", "there_now"], table.loc["Offer", "amount_now"]) == (1, 50)
    assert table.loc["Demo", ["advanced", "returned", "won"]].tolist() == pytest.approx([1 / 3] * 3)
    later = bottlenecks(stays, pd.Series({"a": 100, "b": 50}), as_of + dt.timedelta(days=355)).set_index("stage")
    assert later.loc["Lead", "amount_days"] == pytest.approx(100)  # the year begins a day before the last stay ends
    assert bottlenecks(stays, pd.Series(dtype="float64"), as_of)["share"].isna().all()


def test_early_contact_is_judged_from_the_same_day_on():
    rng = np.random.default_rng(0)
    days = rng.exponential(20, 4000)  # meetings come at any time and help nothing
    start = pd.Timestamp("2024-01-01", tz="UTC")
    stays = pd.DataFrame(
        {"opportunity_id": [f"d{n}" for n in range(4000)], "entered_at": start, "days": days, "ended": "advanced"}
    )
    when = rng.exponential(25, 4000)
    held = when < days
    meetings = pd.DataFrame(
        {"opportunity_id": stays["opportunity_id"][held], "occurred_at": start + pd.to_timedelta(when[held], unit="D")}
    )
    found = early_contact(stays, meetings)
    assert found is not None and found.lo < 0 < found.hi
    assert found.met + found.unmet == (days > 7).sum()
    helped = stays.assign(days=np.where((when < 7) & (days > 7), 7 + (days - 7) / 3, days))
    found = early_contact(helped, meetings)
    assert found is not None and found.sure and found.difference > 0.1
    assert early_contact(stays.head(40), meetings) is None


def test_sizes_are_quarters_of_the_amounts():
    bands = cycle.size_bands(pd.Series([*range(1000, 9000, 1000), np.nan]))
    assert (
        bands.iloc[0] == "1: under 2,800"
        and bands.iloc[7] == "4: 6,200 or more"
        and bands.isna().tolist() == [False] * 8 + [True]
    )
    assert cycle.size_bands(pd.Series([np.nan, np.nan])).isna().all()


def test_too_few_closed_deals_are_refused_with_the_number_needed(workspace):
    ingest(workspace)
    with pytest.raises(NotEnoughData, match="1 deals with a known beginning have closed; at least 20"):
        sales_cycle(workspace, "2024-01-31")


@pytest.fixture(scope="module")
def found(tiny_workspace) -> SalesCycle:
    return sales_cycle(tiny_workspace, by="segment")


def test_the_workflow_on_a_small_company(found):
    open_deals = found.deals["outcome"].isna().sum()
    assert open_deals > 0 and f"{open_deals:,} open deals count as not over yet" in found.answer
    assert found.stages["there_now"].sum() == open_deals
    assert found.stages["amount_days"].is_monotonic_decreasing
    assert found.waiting["days"].gt(found.stages["q75_days"].iloc[0]).all()
    assert "correlational" in found.advice or "cannot be told" in found.advice
    assert found.stage_days == found.stages["median_days"].iloc[0]


@pytest.mark.parametrize("by", cycle.BY)
def test_deals_are_told_apart_by_everything_that_is_promised(found, by):
    groups, difference = cycle.by_group(found.deals, by)
    assert groups["deals"].sum() == len(found.deals) and groups["group"].is_unique
    assert groups["open"].sum() == found.deals["outcome"].isna().sum()
    assert 0 <= difference.p_value <= 1 and set(groups["verdict"]) <= {"faster", "slower", "not sure"}
    html = figures.groups_table(groups, cycle.BY[by]).html
    assert html.count("<tr>") == 1 + min(len(groups), figures.MOST_GROUPS)
    with pytest.raises(UnknownName, match=r"unknown grouping of deals 'colour'; valid: .*owner_id, product_id"):
        cycle.by_group(found.deals, "colour")


def test_people_are_judged_by_the_deals_they_opened(workspace):
    """Whoever takes over old deals would look slow: they have lasted long already."""
    rows = [
        {
            "opportunity_id": "a",
            "change_id": change,
            "status": status,
            "owner_id": owner,
            "occurred_at": dt.datetime(2024, month, 1, tzinfo=dt.UTC),
        }
        for change, status, owner, month in (("created", "open", "first", 1), ("owner:1", None, "second", 3))
    ]
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist(rows)}, origin="test")
    view = visible(Lake(workspace).open(), "2024-04-01")
    deal = cycle.cycles(view, timeline(view)).iloc[0]
    assert (deal["owner_id"], deal["present_owner"], deal["days"], deal["region"]) == (
        "first",
        "second",
        91,
        cycle.UNKNOWN,
    )


def test_small_company_against_the_lake_and_its_law(tiny_workspace, found):
    view = visible(Lake(tiny_workspace).open(), found.as_of)
    known = view.frame(view.state("opportunity", ["status", "deleted"]))
    known = known[~known["deleted"].fillna(False).astype(bool)].set_index("opportunity_id")["status"]
    assert (
        found.deals.set_index("opportunity_id")["outcome"].fillna("open").sort_index().to_dict()
        == known.sort_index().to_dict()
    )
    theirs = SurvfuncRight(found.deals["days"].to_numpy(), found.deals["outcome"].notna().to_numpy())
    assert found.median_days == pytest.approx(theirs.quantile(0.5), abs=1e-9)
    stays = found.stays.groupby("opportunity_id")["days"].sum()
    np.testing.assert_allclose(stays.reindex(found.deals["opportunity_id"]), found.deals["days"], atol=1e-6)
    speed = found.groups.set_index("group")["speed"]
    assert speed["small"] > speed["mid-market"] > speed["enterprise"]  # the world's law: the smaller the faster


def test_charts_tell_their_numbers_in_words(found):
    told = figures.outcomes_figure(found.curve).layout.meta["alt"]
    assert told.startswith(f"After {found.curve['day'].iloc[-1]:,.0f} days {found.curve['won'].iloc[-1]:.0%} won")
    assert found.stages["stage"].iloc[0] in figures.stages_figure(found.stages).layout.meta["alt"]
    medians = figures.groups_figure(found.groups)
    assert list(medians.data[0].x) == sorted(found.groups["median_days"].dropna())
    assert "no group" in figures.groups_figure(found.groups.assign(median_days=np.nan)).layout.meta["alt"]
    assert "No deal has an amount" in figures.stages_figure(found.stages.assign(share=np.nan)).layout.meta["alt"]
    assert figures.outcomes_table(found.outcomes).html.count("<tr>") == 5
    assert (
        "Discovery" in figures.stages_table(found.stages, "USD").html
        and "Discovery" in figures.ends_table(found.stages).html
    )


def test_an_amount_told_only_at_the_close_makes_no_size(workspace):
    told = [
        ("a", "open", None, 1),
        ("a", "won", 500, 9),
        ("b", "open", 100, 1),
        ("b", "won", 900, 9),
        ("c", "open", 300, 1),
    ]
    rows = [
        {"opportunity_id": deal, "change_id": status, "status": status, "amount": amount}
        | {"occurred_at": dt.datetime(2024, 1, day, tzinfo=dt.UTC)}
        for deal, status, amount, day in told
    ]
    Lake(workspace).ingest({"opportunity": pa.Table.from_pylist(rows)}, origin="test")
    view = visible(Lake(workspace).open(), "2024-02-01")
    found = cycle.cycles(view, timeline(view)).set_index("opportunity_id")
    assert found["size"].to_dict() == {"a": cycle.UNKNOWN, "b": "1: under 150", "c": "4: 250 or more"}
    assert found["amount"].astype(float).to_dict() == {"a": 500, "b": 900, "c": 300}
