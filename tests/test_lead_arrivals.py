"""Leads judged on the day they come: by what was known when their week began, and the way train takes where snapshots are too few."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from importing import put
from scipy.special import logit

from salesml.errors import NotEnoughData
from salesml.features.leads import LEADS
from salesml.lake import visible
from salesml.sources.mapping import packaged_mapping
from salesml.workflows.ingest import import_export
from salesml.workflows.lead_arrivals import (
    LINE,
    SHRUNK,
    ArrivalTable,
    Rolled,
    arrival_days,
    arrival_line,
    arrival_table,
    rolled,
)
from salesml.workflows.leads import score_leads
from salesml.workflows.train_leads import train_leads
from salesml.workspace import Workspace

RATES = {"partner": 0.30, "web": 0.15, "fair": 0.08, "mail": 0.03}
BEGUN = pd.Timestamp("2024-04-29")  # nobody converts before
HORIZON = pd.Timedelta(days=28)


def simulated() -> str:
    """Leads of 40 weeks, of whom nobody of the first 17 converts, as a plain table."""
    rng = np.random.default_rng(7)
    created = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 280, 2_600)), "D")
    source = rng.choice(list(RATES), len(created))
    page = rng.integers(0, 30, len(created))
    chance = np.array([RATES[name] for name in source]) * np.where(page % 3 == 0, 2.3, 0.35)
    took = pd.to_timedelta(np.ceil(rng.exponential(9, len(created))), "D")
    converted = pd.Series(created + took).where((rng.random(len(created)) < chance) & (created >= BEGUN))
    converted = converted.where(converted < pd.Timestamp("2024-10-07"))
    frame = pd.DataFrame({
        "Lead ID": [f"L{n}" for n in range(len(created))], "Create Date": created.strftime("%Y-%m-%d"), "Lead Source": source,
        "Landing Page": [f"/p{n}" for n in page], "Converted Date": pd.DatetimeIndex(converted).strftime("%Y-%m-%d"),
    })  # fmt: skip
    return frame.to_csv(index=False)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("arrivals")
    workspace = Workspace.create(folder / "workspace")
    import_export(workspace, packaged_mapping("leads"), put(folder / "in", simulated(), "leads.csv"))
    return workspace


@pytest.fixture(scope="module")
def table(company: Workspace) -> ArrivalTable:
    return arrival_table(company)


@pytest.fixture(scope="module")
def found(company: Workspace, table: ArrivalTable) -> Rolled:
    return rolled(company, table)


def test_each_lead_is_there_once_as_it_was_when_it_came(table):
    rows = table.labelled
    assert rows["lead_id"].is_unique and rows["as_of"].is_monotonic_increasing and (rows["status"] == "open").all()
    assert (rows["age_days"] < 1e-6).all() and rows["closed_at"].notna().equals(rows["status_now"].eq("converted"))
    some = rows.iloc[[100, 1_500, 2_400]]
    for row in some.to_dict("records"):
        alone = LEADS.frame(visible(table.tables, row["as_of"].to_pydatetime())).set_index("lead_id").loc[row["lead_id"]]
        assert alone[LEADS.names].fillna(-1).tolist() == pd.Series(row)[LEADS.names].fillna(-1).tolist()


def test_what_comes_to_be_known_later_changes_nothing(table):
    instant = pd.Timestamp("2024-09-02", tz="UTC")
    later = table.labelled["closed_at"] >= instant
    assert later.sum() > 20
    changed = table.labelled.assign(
        closed_at=table.labelled["closed_at"].mask(later), status_now=table.labelled["status_now"].mask(later, "disqualified")
    )
    changed = changed[(changed["as_of"] < instant) | (changed.index % 2 == 0)]
    asked = table.labelled[table.labelled["as_of"] >= instant]
    other = dataclasses.replace(table, labelled=changed)
    assert arrival_days(other, instant) == arrival_days(table, instant)
    first, second = (arrival_line(one, instant, 28, 0).predict(asked) for one in (table, other))
    assert first.tolist() == second.tolist()


def test_leads_are_scored_before_any_of_their_own_days(table, found):
    rows = found.rows
    assert (rows["origin"] <= rows["as_of"]).all() and ((rows["as_of"] - rows["origin"]) <= pd.Timedelta(days=7)).all()
    assert found.horizon_days == 28 and (rows["as_of"] + HORIZON <= pd.Timestamp(table.cutoff)).all(), "only whose days are over is judged"
    days = (rows["closed_at"] - rows["as_of"]) / pd.Timedelta(days=1)
    assert rows["converted"].tolist() == (rows["status_now"].eq("converted") & (days < 28)).astype(int).tolist()
    assert rows.loc[~rows["test"], "as_of"].max() < rows.loc[rows["test"], "as_of"].min()
    judged = (table.labelled["as_of"] + HORIZON <= pd.Timestamp(table.cutoff)).sum()
    assert 0.2 < rows["test"].sum() / judged < 0.35
    assert all(np.isfinite(p).all() and ((p > 0) & (p < 1)).all() for p in found.told.values())


@pytest.mark.slow
def test_train_takes_leads_as_they_come_where_snapshots_are_too_few(company):
    trained = train_leads(company)
    assert trained.chosen == LINE and "asked about on the day they came" in trained.sentence
    wide = trained.figures.pivot(index="model", columns="metric", values="value")
    assert wide.loc[LINE, "auc"] > 0.65 and wide.loc[LINE, "log_loss"] < wide.loc["base rate", "log_loss"]
    assert wide.loc[LINE, "log_loss"] < wide.loc["naive Bayes", "log_loss"] and SHRUNK in wide.index
    assert trained.promoted and trained.champion.kind == "arrival_line", trained.verdict
    blocks = trained.blocks.set_index("block")
    assert blocks.loc["train", "last"] < blocks.loc["calibration", "first"] < blocks.loc["test", "first"]
    scored = score_leads(company)
    assert (scored["composite"] == 100 * scored["probability"]).all()
    total = [sum(one["effect"] for one in factors) for factors in scored["factors"]]
    base = logit(scored["probability"].to_numpy()) - np.array(total)
    assert base == pytest.approx(np.full(len(base), base[0]), abs=1e-6), "reasons add up to the score"
    same = scored[scored["source"].eq("partner")].groupby("age_days")["probability"].max()
    assert same.iloc[0] > same.iloc[-1], "who has not converted in all that time is less likely to"


def test_a_few_leads_are_too_few(company, table):
    few = dataclasses.replace(table, labelled=table.labelled.head(150))
    with pytest.raises(NotEnoughData, match="150 leads are old enough to be judged"):
        rolled(company, few)
    early = table.labelled[table.labelled["as_of"] < pd.Timestamp("2024-04-29", tz="UTC")]
    with pytest.raises(NotEnoughData, match="0 leads are known to have converted"):
        rolled(company, dataclasses.replace(table, labelled=early))
