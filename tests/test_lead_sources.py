"""Lead sources: rates that respect what is not over yet, costs that are unknown rather than 0, sums to the cent, credit, advice."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from salesml.analytics import lead_sources_advice as advice
from salesml.analytics import lead_sources_attribution as credit
from salesml.analytics.lead_sources import ALL, BY, sources, usual_horizon
from salesml.analytics.lead_sources_facts import NONE, Facts, facts
from salesml.analytics.lead_sources_money import in_own_currency, margins, money, shared
from salesml.analytics.lead_sources_rates import evidence, leads_needed, shrunken, timing
from salesml.analytics.lead_sources_returns import win_worth
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.figures import lead_sources as figures
from salesml.lake import Lake, visible
from salesml.workflows.lead_sources import LeadSources, lead_sources

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
UTC = dt.UTC
FIRST = dt.datetime(2025, 1, 1, 9, tzinfo=UTC)


def on(day: float) -> dt.datetime:
    return FIRST + dt.timedelta(days=day)


def change(table: str, id_: str, day: float, what: str = "created", known: float | None = None, **values) -> dict:
    row = {f"{table}_id": id_, "change_id": what, "occurred_at": on(day), **values}
    return row if known is None else row | {"known_at": on(known)}


def ingest(workspace, **tables: list[dict]) -> Lake:
    staged = {}
    for name, rows in tables.items():
        columns = dict.fromkeys(column for row in rows for column in row)
        staged[name] = pa.Table.from_pylist([{column: row.get(column) for column in columns} for row in rows])
    Lake(workspace).ingest(staged, origin="test")
    return Lake(workspace)


LEADS = [
    change("lead", "a1", 0, source="web", campaign_id="A", status="open", landing_page="pricing"),
    change("lead", "a1", 10, "converted", status="converted", opportunity_id="d1"),
    change("lead", "a2", 1, source="web", campaign_id="A", status="open"),
    change("lead", "a2", 21, "disqualified", status="disqualified"),
    change("lead", "a3", 2, source=None, campaign_id="A", status="open"),
    change("lead", "b1", 3, source="fair", campaign_id="B", status="open"),
    change("lead", "b1", 33, "converted", status="converted"),
    change("lead", "n1", 4, source="", status="open"),
    change("lead", "gone", 4, source="web", campaign_id="A", status="open", deleted=True),
]  # fmt: skip
CAMPAIGNS = [
    change("campaign", "A", 0, name="ads", channel="online", source="web", cost=Decimal("100.00"), currency="USD",
           ends_on=dt.date(2025, 2, 1)),
    change("campaign", "B", 0, name="fair", channel="event", source="fair"),
    change("campaign", "C", 0, name="nobody came", channel="event", source="fair", cost=Decimal("7.01"), currency=None),
]  # fmt: skip
DEALS = [
    change("opportunity", "d1", 10, lead_id="a1", amount=Decimal("1000.10"), currency="USD", status="open", product_id="p"),
    change("opportunity", "d1", 40, "closed", status="won"),
    change("opportunity", "d2", 33, lead_id="b1", amount=Decimal("500.00"), currency="EUR", status="open", product_id="p"),
    change("opportunity", "d2", 50, "closed", status="won"),
    change("opportunity", "d3", 60, lead_id="b1", amount=Decimal("70.00"), currency="USD", status="open"),
    change("opportunity", "d4", 60, lead_id="nobody", amount=Decimal("70.00"), currency="USD", status="won"),
    change("opportunity", "d5", 60, lead_id="b1", amount=Decimal("9.00"), currency="XXX", status="won"),
]  # fmt: skip
PRODUCTS = [
    change("product", "p", 0, list_price=Decimal("100.00"), unit_cost=Decimal("25.00"), currency="USD"),
    change("product", "p", 45, "price", list_price=Decimal("50.00")),
]
RATES = [
    {"fx_rate_id": "1", "from_currency": "EUR", "to_currency": "USD", "rate": 1.5, "occurred_at": on(0)},
    {"fx_rate_id": "2", "from_currency": "EUR", "to_currency": "USD", "rate": 1.1, "occurred_at": on(45)},
    {"fx_rate_id": "3", "from_currency": "EUR", "to_currency": "USD", "rate": 9.9, "occurred_at": on(55)},
]
EVENTS = [
    {"lead_event_id": str(number), "lead_id": lead, "type": "web_visit", "channel": channel, "occurred_at": on(day), "known_at": on(day)}
    for number, (lead, channel, day) in enumerate(
        [("a1", "search", -5), ("a1", "mail", 3), ("a1", "social", 9), ("a1", "mail", 12), ("a2", "search", 2), ("b1", None, 4)]
    )
]
AS_OF = on(100)


@pytest.fixture
def company(workspace):
    ingest(
        workspace, lead=LEADS, campaign=CAMPAIGNS, opportunity=DEALS, product=PRODUCTS, fx_rate=RATES, lead_event=EVENTS,
    )  # fmt: skip
    return workspace


def known(workspace, as_of: dt.datetime = AS_OF) -> Facts:
    return facts(visible(Lake(workspace).open(), as_of))


def told(frame: pd.DataFrame, column: str, by: str = "group") -> dict:
    return frame.set_index(by)[column].astype("object").where(lambda values: values.notna(), None).to_dict()


def test_facts_of_a_small_company(company):
    found = known(company)
    assert found.leads["lead_id"].tolist() == ["a1", "a2", "a3", "b1", "n1"], "what was deleted is no lead"
    assert told(found.leads, "source", "lead_id") == {"a1": "web", "a2": "web", "a3": NONE, "b1": "fair", "n1": NONE}
    assert told(found.leads, "ended", "lead_id") == {
        "a1": "converted", "a2": "disqualified", "a3": None, "b1": "converted", "n1": None
    }  # fmt: skip
    assert found.leads["days"].tolist() == [10, 20, 98, 30, 96] and found.leads["age"].tolist() == [100, 99, 98, 97, 96]
    assert told(found.leads, "won_ended", "lead_id") == {"a1": "won", "a2": "over", "a3": None, "b1": "won", "n1": None}
    assert found.leads["won_days"].tolist() == [40, 20, 98, 47, 96]
    assert told(found.leads, "cost", "lead_id") == {"a1": 3334, "a2": 3333, "a3": 3333, "b1": None, "n1": None}
    assert told(found.deals, "amount", "opportunity_id") == {"d1": 100010, "d2": 55000, "d3": 7000, "d5": None}
    assert told(found.deals, "margin", "opportunity_id")["d1"] == 75008 and told(found.deals, "margin", "opportunity_id")["d2"] == 27500
    assert found.strays == 1 and told(found.campaigns, "leads", "campaign") == {"A": 3, "B": 1, "C": 0}
    assert told(found.campaigns, "runs", "campaign") == {"A": False, "B": True, "C": True}
    assert found.touches[["lead_id", "channel", "until"]].values.tolist() == [
        ["a1", "search", 15], ["a1", "mail", 7], ["a1", "social", 1], ["a2", "search", 98]
    ]  # fmt: skip
    assert told(found.leads, "first_touch", "lead_id")["a1"] == "search"
    assert told(found.leads, "first_touch", "lead_id")["a2"] == NONE, "a touch after arrival would come with time"


def test_money_by_source_is_exact_and_what_is_unknown_is_not_nothing(company):
    found = sources(known(company), "source", 50)
    assert found.basis == "margin"
    assert told(found.rows, "cost") == {"web": Decimal("66.67"), NONE: Decimal("33.33"), "fair": Decimal("7.01")}
    assert told(found.rows, "revenue") == {"web": Decimal("1000.10"), NONE: Decimal("0.00"), "fair": Decimal("550.00")}
    assert told(found.rows, "pipeline")["fair"] == Decimal("70.00") and told(found.rows, "unknown_amounts")["fair"] == 1
    assert told(found.rows, "cost_per_lead") == {"web": pytest.approx(33.335), NONE: pytest.approx(33.33), "fair": None}
    assert told(found.rows, "cost_per_conversion")["web"] == pytest.approx(66.67), "one of its two leads has converted"
    assert told(found.rows, "cost_per_won")["web"] == pytest.approx(66.67) and told(found.rows, "cost_per_won")[NONE] is None
    assert told(found.rows, "roi_so_far")["web"] == pytest.approx((750.08 - 66.67) / 66.67)
    assert told(found.rows, "returned")["fair"] == Decimal("0.00"), "its only lead has no cost: nothing to set against"
    assert told(found.rows, "roi")["fair"] is None and told(found.rows, "p_positive")["fair"] is None
    assert told(found.rows, "conversions") == {"web": 1, NONE: 0, "fair": 1}
    assert (found.total["leads"], found.total["cost"], found.total["revenue"]) == (5, Decimal("107.01"), Decimal("1550.10"))
    by_campaign = sources(known(company), "campaign", 50).rows
    assert told(by_campaign, "label") == {"A": "ads", "B": "fair", "C": "nobody came", NONE: NONE}
    assert told(by_campaign, "cost") == {"A": Decimal("100.00"), "B": None, "C": Decimal("7.01"), NONE: None}
    assert told(by_campaign, "leads")["C"] == 0 and told(by_campaign, "rate")["C"] is None


@pytest.mark.parametrize("by", BY)
def test_parts_add_up_to_the_whole_to_the_cent(company, by):
    found = sources(known(company), by, 50)
    for column in ("cost", "revenue", "margin", "pipeline", "returned"):
        assert sum(found.rows[column].dropna(), Decimal(0)) == found.total[column], column
    for column in ("leads", "conversions", "deals", "won", "costed_leads", "old_enough"):
        assert found.rows[column].sum() == found.total[column], column
    assert found.cohorts[found.cohorts["group"] == ALL]["leads"].sum() == found.total["leads"]
    assert found.rows["group"].is_unique


def test_a_rate_counts_what_is_open_by_its_age():
    """Of ten that converted half did by day 10, half by day 30; nobody is disqualified before day 40."""
    days = np.r_[np.full(5, 10.0), np.full(5, 30.0), np.full(90, 40.0)]
    ended = pd.Series(["converted"] * 10 + ["disqualified"] * 90, dtype="object")
    law = timing(days, ended, "converted", ("disqualified",), 60)
    assert law.rate == pytest.approx(0.1)
    assert [float(part[0]) for part in law.shares(np.array([20.0]))] == pytest.approx([0.5, 0.0])
    assert law.still(0.1, np.array([20.0]))[0] == pytest.approx(0.05 / 0.95)
    assert law.still(0.1, np.array([45.0]))[0] == 0 and law.still(0.1, np.array([0.0]))[0] == pytest.approx(0.1)
    both = pd.concat([ended, pd.Series([None] * 40, dtype="object")], ignore_index=True)
    codes = np.r_[np.zeros(100, "int64"), np.ones(40, "int64")]
    for age, counts in ((0.0, 0.0), (5.0, 0.0)):
        shown = evidence(np.r_[days, np.full(40, age)], both, "converted", codes, 2, law)
        assert shown.loc[0].tolist() == [10, 90] and shown.loc[1].sum() == pytest.approx(counts)
    shown = evidence(np.r_[days, np.full(40, 20.0)], both, "converted", np.zeros(140, "int64"), 1, law)
    p = shown["successes"][0] / shown.sum(axis=1)[0]
    assert shown["successes"][0] == 10 and 90 < shown["failures"][0] < 130
    score = 10 / p - 90 / (1 - p) - 40 * 0.5 / (1 - 0.5 * p)
    assert score == pytest.approx(0, abs=1.0), "the likelihood of 40 leads open at half the time is at its greatest there"


def test_leads_of_last_week_do_not_lower_a_rate(company):
    def rates(workspace) -> dict:
        rows = sources(known(workspace), "source", 50).rows
        return {column: told(rows, column) for column in ("plain_rate", "rate", "lo", "hi", "evidence")}

    before = rates(company)
    ingest(company, lead=[change("lead", f"late{n}", 95, source="web", campaign_id="A", status="open") for n in range(30)])
    after = rates(company)
    assert after == before
    assert told(sources(known(company), "source", 50).rows, "leads")["web"] == 32


def test_rates_seen_early_are_those_seen_in_the_end():
    """3,000 leads arriving over 120 days, seen at day 120: the early estimate is unbiased, the naive share far too low."""
    early, naive, truth = [], [], 0.2
    for seed in range(20):
        rng = np.random.default_rng(seed)
        converts = rng.random(3000) < truth
        wait = np.where(converts, 7 + rng.gamma(1.5, 14, 3000), 10 + rng.gamma(2, 20, 3000))
        age = rng.uniform(0, 120, 3000)
        over = wait <= age
        ended = pd.Series(np.where(converts, "converted", "disqualified"), dtype="object").where(over, None)
        days = np.where(over, wait, age)
        young = (age < 45).astype("int64")
        law = timing(days, ended, "converted", ("disqualified",), 110)
        shown = evidence(days, ended, "converted", young, 2, law)
        early.append((shown["successes"] / shown.sum(axis=1))[1])
        naive.append(ended[young == 1].eq("converted").mean())
    assert np.mean(early) == pytest.approx(truth, abs=0.012) and np.mean(naive) < 0.65 * truth


def test_shrunken_rates_agree_with_a_plain_integration():
    """Two groups, mean and spread on a grid: posterior means by brute force."""
    k, n = np.array([2.0, 30.0]), np.array([20.0, 100.0])
    mean, spread, p = np.linspace(0.001, 0.999, 300), np.linspace(0.01, 1.6, 80), np.linspace(0.0005, 0.9995, 1000)
    weight, total = np.zeros((2, len(p))), 0.0
    for r in spread:
        strength = np.maximum(1 / (r**2 * mean * (1 - mean)) - 1, 0.1)
        prior = beta.pdf(p[None, :], (strength * mean)[:, None], (strength * (1 - mean))[:, None])
        like = [p**a * (1 - p) ** (b - a) for a, b in zip(k, n, strict=True)]
        fit = [prior @ one for one in like]
        total += float((fit[0] * fit[1]).sum())
        for group in range(2):
            weight[group] += (fit[1 - group][:, None] * prior * like[group]).sum(axis=0)
    plain = (weight @ p) / weight.sum(axis=1)
    found = shrunken(k, n - k)
    assert total > 0 and found.frame["rate"].to_numpy() == pytest.approx(plain, abs=0.006)
    assert (found.frame["lo"] < found.frame["rate"]).all() and (found.frame["rate"] < found.frame["hi"]).all()
    assert k[0] / n[0] < found.frame["rate"][0] < k[1] / n[1], "the small group is drawn towards the other"


def test_intervals_hold_nine_times_in_ten_and_errors_shrink():
    held, mine, plain = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth, n = rng.beta(10, 50, 25), rng.integers(10, 200, 25)
        k = rng.binomial(n, truth)
        found = shrunken(k, n - k).frame
        held.append(((found["lo"] <= truth) & (truth <= found["hi"])).mean())
        mine.append(np.abs(found["rate"] - truth).mean())
        plain.append(np.abs(k / n - truth).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.03) and np.mean(mine) < 0.8 * np.mean(plain)


def test_groups_are_drawn_towards_their_own_like():
    k, n, like = np.array([60.0, 55.0, 0.0, 10.0, 11.0, 0.0]), np.array([200.0, 200, 0, 200, 200, 0]), list("aaabbb")
    found = shrunken(k, n - k, np.array(like)).frame["rate"]
    assert found[2] == pytest.approx(0.29, abs=0.05) and found[5] == pytest.approx(0.055, abs=0.03)
    assert shrunken(np.array([]), np.array([])).frame.empty


def test_how_many_more_leads_would_tell_two_rates_apart():
    p, q = 0.15, 0.10
    more = leads_needed(p - q, (p * (1 - p), q * (1 - q)), (100.0, 100.0))
    assert more is not None
    rng = np.random.default_rng(0)
    n = 100 + more
    gap = rng.binomial(n, p, 4000) / n - rng.binomial(n, q, 4000) / n
    z = 1.645 * np.sqrt((p * (1 - p) + q * (1 - q)) / n)
    assert (gap > z).mean() == pytest.approx(0.8, abs=0.03)
    assert leads_needed(0.0, (0.1, 0.1), (10.0, 10.0)) is None and leads_needed(1e-6, (0.1, 0.1), (10.0, 10.0)) is None
    assert leads_needed(0.2, (0.1, 0.1), (9000.0, 9000.0)) == 0


def test_what_a_win_brings_is_drawn_towards_the_usual_as_far_as_little_is_known():
    rng = np.random.default_rng(1)
    value = np.r_[rng.lognormal(8, 0.8, 300), rng.lognormal(8, 0.8, 300), [100_000.0]]
    group = np.r_[np.repeat(["a", "b"], 300), ["few"]]
    deals = pd.DataFrame({"group": group, "ended": "won", "amount": pd.Series(np.rint(100 * value).astype("int64"), dtype="Int64")})
    drawn = win_worth(deals, pd.Series(["a", "b", "few", "none"]), "amount")
    usual = value.mean()
    assert drawn[0].mean() == pytest.approx(value[:300].mean(), rel=0.05)
    assert drawn[2].mean() < 0.25 * 100_000, "one large deal makes no good source"
    assert drawn[3].mean() == pytest.approx(usual, rel=0.25) and drawn[3].std() > drawn[0].std()
    assert np.isnan(win_worth(deals.assign(ended="lost"), pd.Series(["a"]), "amount")).all()


def test_amounts_in_other_currencies():
    at = pd.Series([pd.Timestamp(on(day)) for day in (10, 50, 10, 50, 50, 50)])
    rates = pd.DataFrame(
        [("EUR", "USD", 1.5, 0), ("EUR", "USD", 1.1, 45), ("USD", "GBP", 0.8, 20), ("USD", "EUR", 0.1, 0)],
        columns=["from_currency", "to_currency", "rate", "at"],
    )  # fmt: skip
    rates["at"] = [pd.Timestamp(on(day)) for day in rates["at"]]
    amounts = pd.Series([Decimal("100.01"), Decimal("100.01"), Decimal("8.00"), Decimal("8.00"), Decimal("1.00"), None])
    currency = pd.Series(["EUR", "EUR", "GBP", "GBP", None, "EUR"])
    found = in_own_currency(amounts, currency, at, rates, "USD")
    assert [None if pd.isna(cents) else int(cents) for cents in found] == [15002, 11001, None, 1000, 100, None]
    nothing = in_own_currency(amounts.head(1), pd.Series(["JPY"]), at.head(1), rates.head(0), "USD")
    assert nothing.isna().all()


def test_margins_are_those_of_the_prices_of_the_day():
    prices = pd.DataFrame({"product_id": ["p", "p"], "list_price": [Decimal(100), Decimal(50)], "unit_cost": [Decimal(20), None]})
    prices["at"] = [pd.Timestamp(on(0)), pd.Timestamp(on(30))]
    amounts = pd.Series([1000, 1000, 1000, 1000, None], dtype="Int64")
    product, discount = pd.Series(["p", "p", "p", "q", "p"]), pd.Series([None, None, 0.5, None, None], dtype="float64")
    at = pd.Series([pd.Timestamp(on(day)) for day in (10, 40, 10, 10, 10)])
    found, priced = margins(amounts, product, discount, at, prices)
    assert found.astype("object").where(found.notna(), None).tolist() == [800, 600, 600, 667, None]
    assert priced.tolist() == [True, True, True, False, True]


@FEW
@given(
    totals=st.lists(st.integers(0, 10**9), min_size=1, max_size=5),
    rows=st.lists(st.tuples(st.integers(0, 5), st.floats(1e-6, 1e6)), max_size=40),
)
def test_shares_add_up_to_their_totals(totals, rows):
    keys, weights = pd.Series([f"k{key}" for key, _ in rows], dtype="object"), pd.Series([w for _, w in rows], dtype="float64")
    given_ = pd.Series(totals, [f"k{n}" for n in range(len(totals))])
    found = shared(given_, keys, weights)
    for key, total in given_.items():
        mine = found[keys == key]
        assert mine.sum() == total or mine.empty
        part = total * weights[keys == key] / max(weights[keys == key].sum(), 1e-12)
        assert (np.abs(mine.astype("float64") - part) <= 1 + 1e-6 * part).all()
    assert found[~keys.isin(given_.index)].isna().all()


def test_equal_shares_of_three():
    assert shared(pd.Series({"a": 100}), pd.Series(["a", "a", "b", "a"])).astype("object").fillna(-1).tolist() == [34, 33, -1, 33]
    assert (money(12345), money(1200), money(-5)) == (Decimal("123.45"), Decimal("12.00"), Decimal("-0.05"))


def touches(rows: list[tuple[str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["lead_id", "channel", "until"])
    at = pd.Timestamp(on(0)) - pd.to_timedelta(frame["until"], unit="D")
    return frame.assign(lead_event_id=[str(n) for n in range(len(frame))], at=at)


PATH = touches([("a", "x", 21), ("a", "y", 14), ("a", "x", 7), ("a", "z", 0), ("b", "y", 3), ("c", "x", 2), ("c", "z", 1)])


def test_rules_of_attribution_by_hand():
    def shares(rule) -> list[float]:
        weights = rule(PATH)
        return (weights / weights.groupby(PATH["lead_id"]).transform("sum")).round(4).tolist()

    assert shares(credit.first_touch) == [1, 0, 0, 0, 1, 1, 0]
    assert shares(credit.last_touch) == [0, 0, 0, 1, 1, 0, 1]
    assert shares(credit.linear) == [0.25] * 4 + [1, 0.5, 0.5]
    assert shares(credit.position_based) == [0.4, 0.1, 0.1, 0.4, 1, 0.5, 0.5]
    assert shares(credit.time_decay) == [0.0667, 0.1333, 0.2667, 0.5333, 1, *np.round([0.4753, 0.5247], 4)]


def made(paths: pd.DataFrame, converted: set[str], amounts: dict[str, int], leads: list[str]) -> Facts:
    deals = pd.DataFrame({"lead_id": list(amounts), "ended": "won", "amount": pd.Series(list(amounts.values()), dtype="Int64")})
    rows = pd.DataFrame({"lead_id": leads, "ended": ["converted" if lead in converted else None for lead in leads]})
    return Facts(AS_OF, "USD", rows, deals.assign(margin=deals["amount"]), pd.DataFrame(), paths, 0)


def test_credit_by_channel_by_hand():
    found = made(PATH, {"a", "c", "d"}, {"a": 10001, "c": 200, "d": 5}, ["a", "b", "c", "d"])
    rows = credit.attribution(found, {"linear": credit.linear, "last": credit.last_touch})
    linear = rows[rows["model"] == "linear"]
    assert told(linear, "revenue", "channel") == {
        "x": Decimal("51.01"), "z": Decimal("26.00"), "y": Decimal("25.00"), NONE: Decimal("0.05")
    }  # fmt: skip
    assert told(linear, "conversions", "channel") == {"x": Decimal(1), "z": Decimal("0.75"), "y": Decimal("0.25"), NONE: Decimal(1)}
    assert told(rows[rows["model"] == "last"], "revenue", "channel")["z"] == Decimal("102.01")
    assert linear["share"].sum() == pytest.approx(1) and linear["revenue_share"].sum() == pytest.approx(1)


def removal(paths: pd.DataFrame) -> pd.Series:
    """A model of another kind in the same place: a channel's weight is how rare it is."""
    return 1 / paths.groupby("channel")["channel"].transform("size")


@FEW
@given(data=st.data())
def test_no_model_gains_or_loses_a_cent_or_a_conversion(data):
    leads = [f"l{n}" for n in range(data.draw(st.integers(1, 6)))]
    amounts = {lead: data.draw(st.integers(0, 10**9)) for lead in leads}
    converted = {lead for lead in leads if data.draw(st.booleans())}
    rows = data.draw(st.lists(st.tuples(st.sampled_from(leads), st.sampled_from("xyz"), st.floats(0, 400)), max_size=25))
    paths = touches(sorted(rows, key=lambda row: (row[0], -row[2])))
    found = made(paths, converted, amounts, leads)
    models = {**credit.RULES, "removal": removal}
    table = credit.attribution(found, models)
    for _, part in table.groupby("model"):
        assert sum(part["revenue"], Decimal(0)) == Decimal(sum(amounts.values())) / 100
        assert sum(part["conversions"], Decimal(0)) == len(converted)
    if len(paths):
        weights = np.array(data.draw(st.lists(st.floats(0.01, 10), min_size=len(paths), max_size=len(paths))))
        own = credit.attributed(found, pd.Series(weights))
        assert sum(own["revenue"], Decimal(0)) == Decimal(sum(amounts.values())) / 100


def test_weights_that_are_none_are_refused():
    found = made(PATH, {"a"}, {"a": 100}, ["a", "b", "c"])
    with pytest.raises(BadInput, match="1 weights for 7 touches"):
        credit.attributed(found, pd.Series([1.0]))
    with pytest.raises(BadInput, match=r"numbers of 0 or more \(value '2'\)"):
        credit.attributed(found, pd.Series([1, 1, -1, 1, 1, 1, 1.0]))
    with pytest.raises(BadInput, match=r"all weights of a lead are 0 \(value 'b'\)"):
        credit.attributed(found, pd.Series([1, 1, 1, 1, 0, 1, 1.0]))


def shuffled(found: Facts, seed: int) -> Facts:
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(found.leads))
    return Facts(
        found.as_of, found.currency, found.leads.iloc[order].reset_index(drop=True),
        found.deals.sample(frac=1, random_state=seed).reset_index(drop=True),
        found.campaigns.sample(frac=1, random_state=seed).reset_index(drop=True), found.touches, found.strays,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tiny_workspace) -> Facts:
    return facts(visible(Lake(tiny_workspace).open(), Lake(tiny_workspace).open().instant(None)))


@pytest.mark.parametrize("by", ["source", "campaign"])
def test_the_order_of_rows_does_not_matter(tiny, by):
    plain = sources(tiny, by, 90)
    for seed in (1, 2):
        again = sources(shuffled(tiny, seed), by, 90)
        exact = ["group", "leads", "conversions", "cost", "revenue", "margin", "pipeline", "won", "costed_leads"]
        pd.testing.assert_frame_equal(again.rows[exact], plain.rows[exact])
        floats = ["plain_rate", "rate", "lo", "hi", "won_rate", "to_come", "roi_so_far", "conversion_cost"]
        pd.testing.assert_frame_equal(again.rows[floats], plain.rows[floats], rtol=1e-9)
        np.testing.assert_allclose(again.rows["roi"], plain.rows["roi"], rtol=0.05)
        assert again.total["revenue"] == plain.total["revenue"]


def test_the_past_is_told_as_it_was_known(company):
    then = on(45)
    before = lead_sources(company, then, "source", 50)
    ingest(
        company,
        lead=[
            change("lead", "a3", 5, "converted", known=60, status="converted"),
            change("lead", "new", 5, known=70, source="web", status="open"),
        ],
        campaign=[change("campaign", "B", 40, "billed", known=80, cost=Decimal("999.00"), currency="USD")],
        opportunity=[change("opportunity", "d9", 20, known=60, lead_id="a2", amount=Decimal("5.00"), currency="USD", status="won")],
        product=[change("product", "p", 5, "late", known=90, unit_cost=Decimal("99.00"))],
        lead_event=[{"lead_event_id": "late", "lead_id": "a1", "type": "x", "channel": "phone", "occurred_at": on(1), "known_at": on(99)}],
        fx_rate=[RATES[0] | {"fx_rate_id": "late", "rate": 7.0, "occurred_at": on(30), "known_at": on(99)}],
    )  # fmt: skip
    after = lead_sources(company, then, "source", 50)
    for name in ("rows", "cohorts", "pairs", "attribution"):
        pd.testing.assert_frame_equal(getattr(after, name), getattr(before, name))
    assert (after.sentence, after.comparison, after.advice, after.notes) == (
        before.sentence, before.comparison, before.advice, before.notes
    )  # fmt: skip
    later = lead_sources(company, AS_OF, "source", 50)
    assert told(later.rows, "cost")["fair"] == Decimal("1006.01") and told(later.rows, "conversions")[NONE] == 1


def test_the_horizon_holds_nearly_all_conversions(company):
    leads = pd.DataFrame({"days": np.r_[np.arange(1.0, 101.0), np.full(100, 150.0)], "ended": ["converted"] * 100 + ["disqualified"] * 100})
    assert usual_horizon(leads) == 105, "99 days in whole weeks"
    assert usual_horizon(leads.assign(days=leads["days"] / 10)) == 28, "never below four weeks"
    assert sources(known(company), "source").horizon_days == 35
    with pytest.raises(BadParameter, match="not a positive number of days"):
        sources(known(company), "source", 0)
    with pytest.raises(UnknownName, match="unknown grouping of leads 'colour'; valid: campaign, channel"):
        sources(known(company), "colour")
    with pytest.raises(NotEnoughData, match="none of the 3 leads known then has converted"):
        sources(known(company, on(3)), "source")


def test_a_kept_score_is_the_quality_of_what_is_open(company):
    score = {
        "lead_score_id": "s", "lead_id": "n1", "composite": 30.0, "as_of": on(90), "model": "lead_conversion", "occurred_at": on(90),
        "known_at": on(90),
    }  # fmt: skip
    converted = score | {"lead_score_id": "t", "lead_id": "a1"}
    points = score | {"lead_score_id": "u", "lead_id": "a3", "model": "points/usual"}
    ingest(company, lead_score=[score, converted, points])
    rows = sources(known(company), "source", 50).rows
    assert told(rows, "score") == {"web": None, NONE: pytest.approx(0.3), "fair": None} and told(rows, "scored")[NONE] == 1


def test_open_deals_count_by_their_kept_chance(company):
    chance = {
        "prediction_id": "x", "entity_type": "opportunity", "entity_id": "d3", "target": "won", "point": 0.5, "as_of": on(90), "model": "m",
        "occurred_at": on(90), "known_at": on(90),
    }  # fmt: skip
    ingest(company, prediction=[chance])
    found = sources(known(company), "source", 50)
    assert found.kept_chances == 1 and told(found.rows, "to_come")["fair"] == pytest.approx(35.0)


def grouped(rng: np.random.Generator, rates: dict[str, tuple[float, int, int]], amount: float) -> Facts:
    """Leads a year old, all over, of sources with (rate, leads, cents a lead); three in ten deals are won for about `amount`."""
    parts = []
    for name, (rate, count, cost) in rates.items():
        converted = rng.random(count) < rate
        ended = np.where(converted, "converted", "disqualified")
        parts.append(pd.DataFrame({"source": name, "campaign": name, "cost": cost, "ended": ended}))
    leads = pd.concat(parts, ignore_index=True).assign(channel=NONE, landing_page=NONE, first_touch=NONE, month="2025-01", timed=True)
    leads = leads.assign(lead_id=[f"{n:06d}" for n in range(len(leads))], age=300.0, days=30.0, won_days=60.0, score=np.nan)
    leads["cost"] = leads["cost"].astype("Int64")
    deals = leads[leads["ended"] == "converted"][["lead_id"]].reset_index(drop=True)
    won = rng.random(len(deals)) < 0.3
    deals = deals.assign(opportunity_id=deals["lead_id"], ended=np.where(won, "won", "lost"), days=40.0, priced=False, chance=np.nan)
    deals["status"] = deals["ended"]
    deals["amount"] = pd.Series(np.rint(100 * amount * rng.lognormal(-0.32, 0.8, len(deals))).astype("int64"), dtype="Int64")
    deals["margin"] = pd.Series([None] * len(deals), dtype="Int64")
    leads["won_ended"] = np.where(leads["lead_id"].isin(deals.loc[won, "lead_id"]), "won", "over")
    costs = pd.Series([rates[name][1] * rates[name][2] for name in rates], dtype="Int64")
    campaigns = pd.DataFrame({"campaign": list(rates), "name": list(rates), "channel": NONE, "source": list(rates), "cost": costs})
    campaigns = campaigns.assign(leads=[count for _, count, _ in rates.values()], runs=True)
    return Facts(AS_OF, "USD", leads, deals, campaigns, PATH.iloc[:0], 0)


def test_advice_says_what_the_intervals_support_and_no_more():
    rng = np.random.default_rng(4)
    kinds = {"referral": (0.25, 1500, 1200), "fair": (0.12, 1500, 20_000), "paid": (0.12, 1500, 5_300)}
    found = sources(grouped(rng, kinds, 1500.0), "source")
    assert found.basis == "revenue"
    pairs = advice.compared(found)
    close = pairs[(pairs["a"] == "fair") & (pairs["b"] == "paid") | (pairs["a"] == "paid") & (pairs["b"] == "fair")].iloc[0]
    assert not close["apart"] and (pd.isna(close["more"]) or close["more"] > 500)
    words = advice.comparison(found, pairs, "USD")
    assert words.startswith("Referral converts ") and "at 12 USD per lead against" in words and "Not told apart yet:" in words
    far = pairs[pairs["apart"]].iloc[0]
    assert f"{far['ratio']:.1f} times as often" in words and far["lo"] > 1.3 and pd.isna(far["more"])
    said = advice.advice(found, pairs, {"referral", "fair"}, "USD")
    assert "**referral** brings most" in said and "surely more than" in said
    assert "Stop or change: fair, which surely cost more" in said and "Of 1 (paid) it cannot be told yet" in said
    assert "not what the next USD brings" in said and "correlational" in said
    ended = advice.advice(found, pairs, {"referral"}, "USD")
    assert "Do not repeat as it was: fair" in ended


@pytest.mark.slow
def test_nothing_is_told_apart_where_nothing_differs():
    wrong = 0
    for seed in range(8):
        found = sources(grouped(np.random.default_rng(seed), dict.fromkeys("abcdef", (0.15, 400, 5000)), 2000.0), "source")
        pairs = advice.compared(found)
        wrong += int(pairs["apart"].any())
        if not pairs["apart"].any():
            assert advice.comparison(found, pairs, "USD").startswith("No source surely converts more often than another.")
    assert wrong <= 2


def test_money_is_not_spent_by_month():
    found = sources(grouped(np.random.default_rng(0), {"a": (0.2, 99, 1)}, 9.0), "month")
    pairs = advice.compared(found)
    assert "Money is not spent by month of arrival" in advice.advice(found, pairs, set(), "USD")
    assert advice.comparison(found, pairs, "USD").startswith("Nothing to compare by month of arrival")


def test_without_costs_nothing_is_said_of_returns(workspace):
    ingest(workspace, lead=LEADS, opportunity=DEALS[:2], campaign=[CAMPAIGNS[1]])
    found = lead_sources(workspace, AS_OF, "source")
    assert found.basis == "revenue" and found.rows[["cost", "margin", "roi"]].isna().all(axis=None)
    assert "What they cost is not known." in found.sentence and "5 leads have no known cost" in found.answer
    assert found.advice.startswith("No cost of the past year's campaigns is known")
    assert found.attribution["channel"].tolist() == [NONE] * len(credit.RULES), "no event is known: nobody gets the credit"
    assert figures.costs_figure(found.rows, "USD").layout.meta["alt"] == "No cost of leads is known."
    assert figures.returns_figure(found.rows, "revenue", "USD").layout.height == 60


@pytest.fixture(scope="module")
def found(tiny_workspace) -> LeadSources:
    return lead_sources(tiny_workspace)


def test_the_workflow_on_a_small_company(found):
    rows = found.rows.set_index("group")
    assert (rows["lo"] < rows["rate"]).all() and (rows["rate"] < rows["hi"]).all() and found.basis == "margin"
    assert rows.loc["referral", "rate"] > rows.loc["outbound", "rate"] and rows["roi"].notna().all()
    assert rows["days_to_convert"].dropna().between(10, 60).all() and rows["days_to_convert"].notna().sum() >= 6
    assert (rows["costed_leads"] < rows["leads"]).any() and "leads have no known cost" in found.answer
    assert f"within {found.horizon_days} days" in found.sentence and "correlational" in found.advice
    assert len(found.pairs) == 15, "six sources; no source is none"
    totals = found.attribution.groupby("model")["revenue"].agg(lambda parts: sum(parts, Decimal(0)))
    assert (totals == found.total["revenue"]).all() and len(totals) == 5


def test_charts_and_tables_say_what_they_show(found):
    rates = figures.rates_figure(found.rows, found.total)
    assert len(rates.data[0].x) == len(found.rows) and "all leads" in rates.layout.meta["alt"]
    assert list(rates.data[0].x) == sorted(rates.data[0].x)
    back = figures.returns_figure(found.rows, found.basis, found.currency)
    assert "surely earn their cost back" in back.layout.meta["alt"] and back.layout.xaxis.type == "log"
    assert "A conversion costs from" in figures.costs_figure(found.rows, found.currency).layout.meta["alt"]
    months = figures.cohorts_figure(found.cohorts)
    assert list(months.data[2].x) == sorted(set(found.cohorts["month"]))
    assert figures.cohorts_figure(found.cohorts, "nobody").layout.height == 60
    for made_ in (
        figures.conversions_table(found.rows, "source"), figures.money_table(found.rows, "source", found.basis, found.currency),
    ):  # fmt: skip
        assert made_.html.count("<tr>") == 1 + len(found.rows)
    assert "position-based" in figures.attribution_table(found.attribution).html
    assert figures.pairs_table(found.pairs).html.count("<tr>") == 1 + len(found.pairs)


@pytest.mark.slow
def test_the_trial_judges_rates_by_the_truth():
    from salesml import world
    from salesml.trial.case import opened
    from salesml.trial.sources import GRAND, NAIVE, OF_SOURCE, PART, PLAIN, SHRUNKEN, judge_sources

    with opened(world.company(**world.preset("tiny"), seed=11)) as case:
        found = {(figure.method, figure.metric): figure.value for figure in judge_sources(case)}
        assert all(figure.part == PART for figure in judge_sources(case, case.end))
    assert {method for method, _ in found} == {SHRUNKEN, PLAIN, NAIVE, OF_SOURCE, GRAND}
    assert found[SHRUNKEN, "mae"] < min(found[PLAIN, "mae"], found[GRAND, "mae"])
    assert 0.7 <= found[SHRUNKEN, "cover90"] <= 1 and np.isnan(found[GRAND, "rank_correlation"])
    assert found[SHRUNKEN, "mae"] < found[NAIVE, "mae"] and found[SHRUNKEN, "rank_correlation"] > 0.5
