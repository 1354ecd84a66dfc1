"""What a converted lead brings: effects found again, one number where deals are few, open deals no failures, no future."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from salesml.contracts import table
from salesml.errors import NotEnoughData
from salesml.lake import Lake, visible
from salesml.models.lead_value import LEAD, LeadValue
from salesml.workflows.lead_value import deals_of_leads, lead_value, lead_value_of
from salesml.workspace import Workspace

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
NOBODY = pd.Series(dtype="datetime64[us, UTC]")
PLAIN = {"source": "inbound", "industry": "Retail", "country": "Germany", "title": "Buyer", "employees": 50.0}


def deals(count: int, seed: int = 0, **columns: object) -> pd.DataFrame:
    """Deals of leads that are all alike, won at 40 % by 10 reps, closed within a year and a half; `columns` replace some."""
    rng = np.random.default_rng(seed)
    created = pd.Timestamp(NOW) - pd.to_timedelta(rng.uniform(100, 900, count), unit="D")
    frame = pd.DataFrame({
        "lead_id": [f"X{n}" for n in range(count)], "owner_id": [f"U{n}" for n in rng.integers(0, 10, count)],
        "status": np.where(rng.random(count) < 0.4, "won", "lost"), "amount": np.exp(rng.normal(9, 0.5, count)), "created_at": created,
        "closed_at": created + pd.to_timedelta(rng.uniform(10, 100, count), unit="D"), "type": "new", "segment": "mid", "product_id": "P",
        **{name: value for name, value in PLAIN.items() if name != "title"}, **{f"lead_{name}": value for name, value in PLAIN.items()},
    })  # fmt: skip
    return frame.assign(**{"first_amount": lambda rows: rows["amount"], **columns})


def fitted(frame: pd.DataFrame, hired: pd.Series = NOBODY) -> LeadValue:
    return LeadValue.fit(frame, hired, NOW, "EUR")


def test_effects_of_leads_are_found_again():
    rng = np.random.default_rng(1)
    rows = deals(4_000)
    source, employees = rng.choice(["inbound", "referral"], 4_000), np.exp(rng.normal(5, 1.5, 4_000))
    better = source == "referral"
    status = np.where(rng.random(4_000) < np.where(better, 0.6, 0.3), "won", "lost")
    rows = rows.assign(lead_source=source, lead_employees=employees, status=status,
                       amount=np.exp(6 + 0.5 * np.log(employees) + rng.normal(0, 0.4, 4_000)))  # fmt: skip
    value = fitted(rows)
    leads = pd.DataFrame([PLAIN | {"source": one, "employees": many} for one in ("inbound", "referral") for many in (30, 3_000)])
    assert value.chance(leads) == pytest.approx([0.3, 0.3, 0.6, 0.6], abs=0.05)
    mean = np.exp(6 + 0.5 * np.log([30, 3_000]) + 0.4**2 / 2)
    assert value.amount(leads.head(2)) == pytest.approx(mean, rel=0.15)
    assert value.worth(leads) == pytest.approx(value.chance(leads) * value.amount(leads))
    # what was won adds up
    asked = rows[[f"lead_{name}" for name in LEAD]].set_axis(list(LEAD), axis=1)
    assert value.amount(asked[rows["status"] == "won"]).sum() == pytest.approx(rows.loc[rows["status"] == "won", "amount"].sum(), rel=0.01)


def test_a_rep_is_known_by_wins_beside_what_the_deals_were_like():
    rng = np.random.default_rng(2)
    rows = deals(6_000)
    rep = rows["owner_id"].str[1:].astype(int).to_numpy()
    easy = rng.random(6_000) < np.where(rep < 5, 0.8, 0.2)  # reps 0 to 4 have the renewals
    odds = -1.0 + 2.0 * easy + np.where(rep % 2 == 0, 0.5, -0.5)
    rows = rows.assign(type=np.where(easy, "renewal", "new"), status=np.where(rng.random(6_000) < 1 / (1 + np.exp(-odds)), "won", "lost"))
    value = fitted(rows)
    effects = value.reps["effect"].sort_index()
    assert effects.to_numpy() == pytest.approx(np.tile([0.5, -0.5], 5), abs=0.2)
    lead = pd.DataFrame([PLAIN])
    found = value.matrix(lead, ["U0", "U1", "never seen"])[0]
    assert found[0] > found[2] > found[1] and found[2] == pytest.approx(value.worth(lead)[0])
    odds_of = found / value.amount(lead)[0]
    assert np.log(odds_of[0] / (1 - odds_of[0])) - np.log(odds_of[2] / (1 - odds_of[2])) == pytest.approx(effects["U0"])


def test_few_deals_make_nearly_one_number_for_all():
    sizes = []
    for seed in range(6):
        rows = deals(60, seed, lead_source=np.where(np.arange(60) % 2, "inbound", "referral"))
        value = fitted(rows)
        leads = pd.DataFrame([PLAIN | {"source": one} for one in ("inbound", "referral")])
        plain = rows.groupby("lead_source")["status"].agg(lambda one: one.eq("won").mean())
        sizes.append((np.ptp(value.chance(leads)), np.ptp(plain), np.ptp(value.reps["effect"])))
    learnt, raw, reps = np.mean(sizes, axis=0)
    assert learnt < 0.5 * raw and reps < 0.4


def test_a_rep_who_meets_customers_more_often_is_expected_to_win_more_from_the_first_deal():
    rng = np.random.default_rng(4)
    rows = deals(6_000, owner_id=[f"U{n}" for n in rng.integers(0, 60, 6_000)])
    often = rows["owner_id"].str[1:].astype(int).to_numpy() % 2 == 0
    status = np.where(rng.random(6_000) < np.where(often, 0.5, 0.3), "won", "lost")
    rows = rows.assign(status=status, meetings=rng.poisson(np.where(often, 6, 2)))
    start = deals(8, 9, owner_id=["even"] * 4 + ["odd"] * 4, lead_id=None, meetings=[7, 6, 8, 7, 1, 2, 1, 2], status=["won", "lost"] * 4)
    together = pd.concat([rows, start], ignore_index=True)
    effects = fitted(together).reps["effect"]
    assert effects["even"] - effects["odd"] > 0.2
    blind = fitted(together.drop(columns="meetings")).reps["effect"]
    assert abs(blind["even"] - blind["odd"]) < 0.1


def test_open_deals_are_no_failures_and_slow_wins_count_though_few_are_seen():
    rng = np.random.default_rng(3)
    count = 8_000
    created = pd.Timestamp(NOW) - pd.to_timedelta(rng.uniform(0, 500, count), unit="D")
    won = rng.random(count) < 0.4
    closed = pd.Series(created + pd.to_timedelta(np.where(won, rng.uniform(150, 250, count), rng.uniform(10, 60, count)), unit="D"))
    seen = closed < pd.Timestamp(NOW)
    rows = deals(count, created_at=created, closed_at=closed.where(seen), status=np.where(seen, np.where(won, "won", "lost"), "open"))
    among_closed = won[seen].mean()
    among_all = (won & seen).mean()
    found = fitted(rows).chance(pd.DataFrame([PLAIN]))[0]
    assert among_closed < 0.33 and among_all < 0.27
    assert found == pytest.approx(0.4, abs=0.025)


def test_a_new_rep_starts_lower_where_that_is_seen():
    rng = np.random.default_rng(6)
    count = 9_000
    reps = rng.integers(0, 90, count)
    hired = pd.Series(pd.Timestamp(NOW) - pd.to_timedelta(np.linspace(120, 800, 90), unit="D"), [f"U{n}" for n in range(90)])
    created = hired.iloc[reps].reset_index(drop=True) + pd.to_timedelta(rng.uniform(0, 110, count), unit="D")
    late = hired.index[-1]
    new = 1 - (created - hired.iloc[reps].reset_index(drop=True)).dt.days / 182
    won = rng.random(count) < 1 / (1 + np.exp(-(0.5 - 1.5 * new)))
    status, closed = np.where(won, "won", "lost"), created + pd.Timedelta(days=5)
    rows = deals(count, owner_id=[f"U{n}" for n in reps], created_at=created, closed_at=closed, status=status)
    value = fitted(rows, pd.concat([hired, pd.Series([pd.Timestamp(NOW)], ["starter"])]))
    assert value.ramp == pytest.approx(-1.5, abs=0.4)
    young, old = value.reps.loc["U0", "effect"], value.reps.loc[late, "effect"]
    assert old - young == pytest.approx(1.5 * (1 - 120 / 182), abs=0.35)


def test_too_few_deals_of_leads_are_refused():
    rows = deals(200)
    with pytest.raises(NotEnoughData, match=r"0 won and 0 other closed deals of leads are known as of 2026-06-01, 10 of each"):
        fitted(rows.assign(lead_id=None))
    with pytest.raises(NotEnoughData, match="the won ones with their amount"):
        fitted(rows.assign(amount=np.nan, first_amount=np.nan))
    with pytest.raises(NotEnoughData, match="0 other closed"):
        fitted(rows.assign(status="won"))


@pytest.fixture(scope="module")
def instant(tiny_workspace: Workspace) -> dt.datetime:
    return Lake(tiny_workspace).open().instant() - dt.timedelta(days=150)


def test_nothing_of_the_future_is_learnt(tiny_workspace, instant, tmp_path):
    """The same from a lake that ends on that day."""
    tables = Lake(tiny_workspace).open()
    known = {}
    for name in ("opportunity", "lead", "user", "account", "activity", "fx_rate"):
        rows = tables.rows(name)
        kept = rows.filter(pa.compute.less(rows["known_at"], pa.scalar(instant, rows.schema.field("known_at").type)))
        names = [field.name for field in table(name).schema if field.name in kept.column_names]
        known[name] = kept.select([one for one in names if one not in ("origin", "import_id", "source_file", "source_row", "retracted")])
    other = Workspace.create(tmp_path / "other", currency=tiny_workspace.settings.currency)
    Lake(other).ingest(known, origin="t")
    now, then = lead_value(tiny_workspace, instant), lead_value(other, instant)
    assert now.deals == then.deals and now.deals < lead_value(tiny_workspace).deals
    leads = pd.DataFrame([PLAIN, PLAIN | {"employees": None, "source": None}])
    reps = now.reps.index.tolist()
    assert now.matrix(leads, reps) == pytest.approx(then.matrix(leads, reps))


def test_other_currencies_are_converted_or_left_out(workspace):
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    def put(name: str, rows: list[dict]) -> None:
        given = {key for row in rows for key in row}
        schema = pa.schema([field for field in table(name).schema if field.name in given])
        Lake(workspace).ingest({name: pa.Table.from_pylist(rows, schema=schema)}, origin="t")

    put("opportunity", [
        {"opportunity_id": name, "change_id": "created", "status": "open", "amount": 100, "currency": currency, "owner_id": "U1",
         "occurred_at": start}
        for name, currency in (("d1", "USD"), ("d2", "EUR"), ("d3", "CHF"), ("d4", None))
    ])  # fmt: skip
    put("opportunity", [{"opportunity_id": "d2", "change_id": "owner", "owner_id": "U2", "occurred_at": start + dt.timedelta(days=1)}])
    put("fx_rate", [
        {"fx_rate_id": f"r{n}", "from_currency": "EUR", "to_currency": "USD", "rate": rate, "occurred_at": start + dt.timedelta(days=n)}
        for n, rate in enumerate([1.5, 1.1, 9.0])
    ])  # fmt: skip
    found = deals_of_leads(visible(Lake(workspace).open(), start + dt.timedelta(days=1, hours=12))).set_index("opportunity_id")
    assert found["amount"].drop("d3").tolist() == pytest.approx([100, 110, 100]) and math.isnan(found.loc["d3", "amount"])
    assert found.loc["d2", "owner_id"] == "U1"  # who had it first
    with pytest.raises(NotEnoughData, match="no deal is known"):
        lead_value_of(visible(Lake(workspace).open(), start - dt.timedelta(days=1)))
