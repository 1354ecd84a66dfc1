"""Conversion rates of campaigns judged against the true ones, as known at the cutoff."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from scipy.stats import beta, spearmanr

from salesml.analytics.lead_sources import sources
from salesml.analytics.lead_sources_facts import Facts, facts
from salesml.errors import NotEnoughData
from salesml.lake import visible
from salesml.trial.case import Case, Figure, failed, figures

PART = "conversion of campaigns"
SHRUNKEN, PLAIN, NAIVE, OF_SOURCE, GRAND = "shrunken", "plain rate", "converted over all leads", "rate of the source", "rate of all"
HORIZON_DAYS = 182
"""Every conversion comes within it, so that the truth needs no correction."""
YOUNG_DAYS = 60
LEVEL = 0.9


def judge_sources(case: Case, at: dt.datetime | None = None) -> list[Figure]:
    """Campaign rates as known at an instant (the cutoff): drawn towards their source's, plain, converted over all leads, the source's,
    everybody's.

    Figures over campaigns with leads: mae, rmse, rank_correlation (Spearman), cover90 (where the method has an interval); of campaigns
    whose leads are 60 days old at most in the middle: bias_young (each counts by its leads).
    """
    known = facts(visible(case.tables, at or case.cutoff))
    try:
        rows = campaign_rates(known, case.truth("lead"))
    except NotEnoughData as lack:
        return failed(PART, SHRUNKEN, str(lack))
    found = []
    for name, column in ((SHRUNKEN, "rate"), (PLAIN, "plain_rate"), (NAIVE, "naive"), (OF_SOURCE, "of_source"), (GRAND, "grand")):
        told = judged(rows, column)
        if name == SHRUNKEN:
            told["cover90"] = float(rows["truth"].between(rows["lo"], rows["hi"]).mean())
        if name == PLAIN:
            k, n = rows["plain_rate"] * rows["evidence"], rows["evidence"]
            lo, hi = (beta.ppf(edge, k + 0.5, n - k + 0.5) for edge in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
            told["cover90"] = float(rows["truth"].between(pd.Series(lo, rows.index), pd.Series(hi, rows.index)).mean())
        found += figures(PART, name, told)
    return found


def campaign_rates(known: Facts, truth: pd.DataFrame) -> pd.DataFrame:
    """Rates of campaigns with leads beside the truth (lead_id, p_convert). Grain: one row per campaign.

    Columns: those of `Sources.rows`, naive (converted over leads), of_source, grand, truth (mean true chance of its known leads), age
    (median of its leads, days).
    """
    found = sources(known, "campaign", HORIZON_DAYS)
    of_source = sources(known, "source", HORIZON_DAYS).rows.set_index("group")["rate"]
    rows = found.rows[found.rows["leads"] > 0].reset_index(drop=True)
    leads = known.leads.assign(truth=known.leads["lead_id"].map(truth.set_index("lead_id")["p_convert"]))
    by = leads.groupby("campaign")
    source = rows["group"].map(known.campaigns.set_index("campaign")["source"])
    rows = rows.assign(
        truth=rows["group"].map(by["truth"].mean()),
        age=rows["group"].map(by["age"].median()),
        naive=rows["conversions"] / rows["leads"],
        of_source=source.map(of_source).fillna(found.total["rate"]),
        grand=float(found.total["rate"]),
    )
    return rows.dropna(subset=["truth"]).reset_index(drop=True)


def judged(rows: pd.DataFrame, column: str) -> dict[str, float]:
    """Error of a column of `campaign_rates` against the truth: mae, rmse, rank_correlation, bias_young."""
    known = rows.dropna(subset=[column])
    error = known[column] - known["truth"]
    varies = known[column].nunique() > 1 and known["truth"].nunique() > 1
    young = known["age"] <= YOUNG_DAYS
    return {
        "mae": float(error.abs().mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "rank_correlation": float(spearmanr(known[column], known["truth"]).statistic) if varies else float("nan"),
        "bias_young": float(np.average(error[young], weights=known.loc[young, "leads"])) if young.any() else float("nan"),
    }
