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
from salesml.models.scorer import Scorer, Timed
from salesml.trial.case import LATER_WEEKS, Case, Figure, failed, figures
from salesml.workflows.fit_deals import BASE, BAYES, MODEL, STAGE, day_of, fit_deals, quarter_ends

PART, POLICY, TIMING = "win probability", "whom to meet", "timing"
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
    """Base rate, stage rate, naive Bayes and the deal model beside the oracle; whom each would meet first; when deals close."""
    rows = open_deals(case)
    answers: dict[str, np.ndarray] = {"oracle": rows["p_win"].to_numpy()}
    missing: list[Figure] = []
    try:
        scorers = fit_deals(case.table, members=0).final
    except NotEnoughData as lack:
        scorers, missing = {}, [row for name in (BASE, STAGE, BAYES, MODEL) for row in failed(PART, name, str(lack))]
    for name, scorer in scorers.items():
        answers[name] = scorer.predict(rows[DEALS.names])
    found = []
    for name, p in answers.items():
        judged = probabilities(p, rows["p_win"], rows["won"], rows["opportunity_id"], resamples=2)
        found += figures(PART, name, {metric: judged[metric] for metric in KEPT})
    if MODEL in scorers:
        found += _timing(rows, scorers[MODEL])
    return found + missing + _policies(rows, answers)


def _timing(rows: pd.DataFrame, model: Scorer) -> list[Figure]:
    """Chances to be closed, and won, in the quarter against the true ones: mean gap, and the gap of each tenth of the deals."""
    assert isinstance(model, Timed)
    outlook, days, found = model.outlook(rows[DEALS.names]), quarter_ends(rows), []
    week = rows["as_of"].rank(method="dense").to_numpy(dtype="int64") - 1
    for name, cause in (("closed", None), ("won", "won")):
        p = outlook.by(days, cause, day_of(rows))
        gap = p - rows[f"p_{name}_this_quarter"].to_numpy()
        for place, weeks in enumerate(LATER_WEEKS):
            then = np.flatnonzero(week == place)
            tenths = np.array_split(then[np.argsort(p[then], kind="stable")], 10)
            told = {"bias": gap[then].mean(), **{f"gap_{n}": gap[part].mean() for n, part in enumerate(tenths, 1) if len(part)}}
            found += figures(TIMING, f"{name} in the quarter, asked in week {weeks + 1}", told)
    return found


def _policies(rows: pd.DataFrame, answers: dict[str, np.ndarray]) -> list[Figure]:
    """What meeting a fifth of the open deals in a week gains, in true expected revenue, against the best choice."""
    gain = ((rows["p_win_met"] - rows["p_win_unmet"]) * rows["value"]).to_numpy()
    amount = rows["amount"].fillna(0).to_numpy()
    ranked = {"largest amount": amount}
    if MODEL in answers:
        ranked |= {"most probable": answers[MODEL], "amount × P(win)": amount * answers[MODEL]}
    found = []
    for name, score in ranked.items():
        judged = policy(gain, score.astype("float64"), max(1, round(BUDGET * len(rows))))
        found += figures(POLICY, name, {"regret_share": judged["regret_share"], "skill": judged["skill"]})
    return found
