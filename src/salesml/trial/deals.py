"""Win probabilities judged against the true ones, on deals open after the cutoff."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from salesml.errors import NotEnoughData
from salesml.evaluation.against_truth import policy, probabilities
from salesml.features.deals import DEALS
from salesml.features.spines import weekly_spine
from salesml.lake import visible
from salesml.models.deals import blocks
from salesml.trial.case import Case, Figure, failed, figures
from salesml.workflows.train_deals import fit_scorers

PART, POLICY = "win probability", "whom to meet"
BUDGET = 0.2  # share of open deals a policy may name in a week
KEPT = ("log_loss_ratio", "expected_log_loss_ratio", "auc", "oracle_auc", "slope", "ece_true", "mae", "rank_correlation")


def open_deals(case: Case) -> pd.DataFrame:
    """Deals open at the Mondays after the cutoff: features, the truth of the week, and whether they were won in the end.

    Grain: one row per opportunity_id and as_of.
    """
    tables = case.tables
    spine = weekly_spine(visible(tables, case.end), case.workspace, case.later[0], case.later[-1])
    spine = spine.filter(pc.is_in(spine["as_of"], pa.array(case.later, spine["as_of"].type)))
    rows = DEALS.frame(visible(tables, spine)).query("status == 'open'")
    week = case.truth("deal_week").drop(columns=["stage"])
    rows = rows.assign(as_of=rows["as_of"].astype("datetime64[s, UTC]"))
    rows = rows.merge(week, on=["opportunity_id", "as_of"], how="inner")
    outcome = case.truth("deal").set_index("opportunity_id")["outcome"]
    return rows.assign(won=(rows["opportunity_id"].map(outcome) == "won").astype("int64"))


def judge_deals(case: Case) -> list[Figure]:
    """Base rate, stage rate, CatBoost and the CRM's stage probability beside the oracle; and whom each would meet first."""
    rows = open_deals(case)
    answers: dict[str, np.ndarray] = {"oracle": rows["p_win"].to_numpy()}
    missing: list[Figure] = []
    try:
        scorers = fit_scorers(blocks(case.snapshots), seed=0)
    except NotEnoughData as lack:
        scorers, missing = {}, [row for name in ("base rate", "stage rate", "CatBoost") for row in failed(PART, name, str(lack))]
    for name, scorer in scorers.items():
        answers[name] = scorer.predict(rows[DEALS.names])
    found = []
    for name, p in answers.items():
        judged = probabilities(p, rows["p_win"], rows["won"], rows["opportunity_id"], resamples=2)
        found += figures(PART, name, {metric: judged[metric] for metric in KEPT})
    return found + missing + _policies(rows, answers)


def _policies(rows: pd.DataFrame, answers: dict[str, np.ndarray]) -> list[Figure]:
    """What meeting a fifth of the open deals in a week gains, in true expected revenue, against the best choice."""
    gain = ((rows["p_win_met"] - rows["p_win_unmet"]) * rows["value"]).to_numpy()
    amount = rows["amount"].fillna(0).to_numpy()
    ranked = {"largest amount": amount}
    if "CatBoost" in answers:
        ranked |= {"most probable": answers["CatBoost"], "amount × P(win)": amount * answers["CatBoost"]}
    found = []
    for name, score in ranked.items():
        judged = policy(gain, score.astype("float64"), max(1, round(BUDGET * len(rows))))
        found += figures(POLICY, name, {"regret_share": judged["regret_share"], "skill": judged["skill"]})
    return found
