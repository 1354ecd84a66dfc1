"""What may be said of lead sources side by side: who converts more often, who returns more, what is not told apart yet; in words.

Only what an interval supports is said. Everything here is an average over leads that came on their own terms: no word of what the next
money would bring.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from salesml.analytics.incidence import LEVEL
from salesml.analytics.lead_sources import BY, Sources
from salesml.analytics.lead_sources_facts import NONE
from salesml.analytics.lead_sources_rates import leads_needed

MOST, NAMED = 8, 5
SURE, WRONG = 0.95, 0.1
SPENT_ON = ("source", "campaign", "channel")
PAIRS = ["a", "b", "ratio", "lo", "hi", "apart", "more", "p_returns_more", "more_for_return"]
CAVEAT = (
    "Evidence: correlational. These are averages over past leads, not what the next {currency} brings: the best leads of a source may be "
    "taken already, and sources help each other. Change a budget in steps, best by lot (regions or weeks), and look again."
)


def compared(found: Sources) -> pd.DataFrame:
    """Those that brought leads in the past year, the eight with most, side by side. Grain: one row per pair; a converts more often.

    Columns: a, b (labels), ratio of the rates with lo and hi (90 %), apart (the interval leaves 1 out), more (leads of each that would
    tell the rates apart; missing where they are, or where it would take over a million), p_returns_more (chance that a has the higher ROI;
    missing where a cost is not known), more_for_return (the same for ROI).
    """
    rows = _candidates(found)
    place = pd.Index(found.returns.groups).get_indexer(pd.Index(rows["group"]))
    rates, returns = found.rates.draws[place], found.returns.draws[found.basis][place]
    order = np.argsort(-rows["rate"].to_numpy("float64"), kind="stable")
    told = []
    for a, b in combinations(order, 2):
        ratio = rates[a] / np.maximum(rates[b], 1e-12)
        lo, hi = np.quantile(ratio, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        p, q = (float(rows["rate"].iloc[one]) for one in (a, b))
        known = float(rows["evidence"].iloc[a]), float(rows["evidence"].iloc[b])
        more = None if lo > 1 else leads_needed(p - q, (p * (1 - p), q * (1 - q)), known)
        better = float((returns[a] > returns[b]).mean()) if np.isfinite([*returns[a, :1], *returns[b, :1]]).all() else np.nan
        sure = np.isnan(better) or better >= SURE or better <= 1 - SURE
        further = None if sure else _more_for_return(rows, returns, a, b)
        told.append((rows["label"].iloc[a], rows["label"].iloc[b], p / q if q > 0 else np.inf, lo, hi, bool(lo > 1), more, better, further))
    return pd.DataFrame(told, columns=PAIRS).astype({"more": "Int64", "more_for_return": "Int64", "apart": "bool"})


def comparison(found: Sources, pairs: pd.DataFrame, currency: str) -> str:
    """Which convert surely more often, which are not told apart yet."""
    word = BY[found.by]
    rows = _candidates(found).set_index("label")
    if not len(pairs):
        return f"Nothing to compare by {word}: fewer than two groups brought leads in the past year."
    sure, best = pairs[pairs["apart"]], str(pairs["a"].iloc[0])
    lines = []
    if sure.empty:
        lines.append(f"No {word} surely converts more often than another.")
    for row in _widest(sure, best).to_dict("records"):
        form = ".1f" if row["lo"] >= 1.1 else ".2f"
        line = f"{_capital(row['a'])} converts {row['ratio']:{form}} times as often as {row['b']} "
        line += f"(90 % interval {row['lo']:{form}} to {row['hi']:{form}})"
        lines.append(line + _at(rows, row["a"], row["b"], currency) + ".")
    close = pairs[~pairs["apart"]]
    told = [f"{row['a']} and {row['b']} ({_leads(row['more'])})" for row in close.head(NAMED).to_dict("records")]
    if told:
        rest = f"; and {len(close) - len(told)} more pairs" if len(close) > len(told) else ""
        lines.append(f"Not told apart yet: {'; '.join(told)}{rest}.")
    return " ".join(lines)


def advice(found: Sources, pairs: pd.DataFrame, running: set[str], currency: str) -> str:
    """Where the next money may go and what to look at, as far as the intervals tell; `running`: groups that can still be stopped."""
    if found.by not in SPENT_ON:
        return f"Money is not spent by {BY[found.by]}: costs here are shares of campaigns' costs, and no advice on budgets rests on them."
    known = _candidates(found).dropna(subset=["roi"]).sort_values("roi", ascending=False, kind="stable")
    if known.empty:
        return "No cost of the past year's campaigns is known, so what the money brings cannot be told. Enter what they cost."
    best = known.iloc[0]
    what = f"{currency} of {found.basis} for each {currency} spent"
    interval = f"(90 % interval {best['roi_lo'] + 1:,.1f} to {best['roi_hi'] + 1:,.1f})"
    first = f"Per money spent **{best['label']}** brings most: {best['roi'] + 1:,.1f} {what} in the end {interval}"
    lines = [f"{first}{_against(pairs, str(best['label']))}.", _losing(found, running), CAVEAT.format(currency=currency)]
    return "\n\n".join(line for line in lines if line)


def _candidates(found: Sources) -> pd.DataFrame:
    rows = found.rows[(found.rows["leads_year"] > 0) & (found.rows["group"] != NONE)]
    return rows.sort_values(["leads_year", "leads", "group"], ascending=[False, False, True]).head(MOST).reset_index(drop=True)


def _more_for_return(rows: pd.DataFrame, returns: np.ndarray, a: int, b: int) -> int | None:
    leads = tuple(float(rows["costed_leads"].iloc[one]) for one in (a, b))
    variance = tuple(float(returns[one].var()) * count for one, count in zip((a, b), leads, strict=True))
    return leads_needed(float(returns[a].mean() - returns[b].mean()), (variance[0], variance[1]), (leads[0], leads[1]))


def _widest(sure: pd.DataFrame, best: str) -> pd.DataFrame:
    """Of the sure pairs: the best against the one it leaves furthest behind, and against the nearest that it surely beats."""
    mine = sure[sure["a"].eq(best)].sort_values("ratio", ascending=False)
    if mine.empty:
        return sure.sort_values("lo", ascending=False).head(1)
    return mine.iloc[[0, -1]] if len(mine) > 1 else mine


def _at(rows: pd.DataFrame, a: str, b: str, currency: str) -> str:
    mine, other = rows["cost_per_lead"].astype("float64")[[a, b]]
    if np.isnan(mine):
        return ""
    return f", at {mine:,.0f} {currency} per lead" + ("" if np.isnan(other) else f" against {other:,.0f}")


def _against(pairs: pd.DataFrame, best: str) -> str:
    """Whom the best surely beats in what comes back, and whom not yet."""
    mine = pairs[(pairs["a"].eq(best) | pairs["b"].eq(best)) & pairs["p_returns_more"].notna()]
    if mine.empty:
        return ""
    other = mine["b"].where(mine["a"].eq(best), mine["a"])
    chance = mine["p_returns_more"].where(mine["a"].eq(best), 1 - mine["p_returns_more"])
    behind, close = other[chance >= SURE], mine[chance < SURE]
    parts = [f"surely more than {_listed(list(behind))}"] if len(behind) else []
    if len(close):
        told = [f"{other[at]} ({_leads(row['more_for_return'])})" for at, row in zip(close.index, close.to_dict("records"), strict=True)]
        parts.append(f"not told apart yet from {_listed(told)}")
    return ", " + "; ".join(parts)


def _losing(found: Sources, running: set[str]) -> str:
    """Which surely do not earn what they cost; of those named one in ten is wrong at most (Benjamini and Hochberg 1995)."""
    rows = found.rows[found.rows["p_positive"].notna() & (found.rows["group"] != NONE)]
    if rows.empty:
        return ""
    word, draws = BY[found.by], found.returns.draws[found.basis].shape[1]
    p = (rows["p_positive"].to_numpy("float64") * draws + 1) / (draws + 1)
    losing = rows[false_discovery_control(p) <= WRONG]
    unsure = rows[(rows["roi_lo"] <= 0) & (rows["roi_hi"] > 0)]
    told = []
    if len(losing):
        now = losing["group"].isin(running)
        for what, some in (("Stop or change", losing[now]), ("Do not repeat as it was", losing[~now])):
            if len(some):
                told.append(f"{what}: {_listed(list(some['label']))}, which surely cost more than the {found.basis} they bring.")
    else:
        told.append(f"No {word} surely costs more than the {found.basis} it brings.")
    if len(unsure):
        told.append(f"Of {len(unsure)} ({_listed(list(unsure['label']))}) it cannot be told yet whether they earn what they cost.")
    return " ".join(told)


def _leads(more: int | None) -> str:
    """How many more leads would tell two apart, to two digits."""
    if more is None or pd.isna(more):
        return "alike for all that can be learnt"
    digits = max(len(str(int(more))) - 2, 0)
    return f"about {-(-int(more) // 10**digits) * 10**digits:,} more leads of each would be needed"


def _listed(names: list[str]) -> str:
    shown = names[:NAMED] + ([f"{len(names) - NAMED} more"] if len(names) > NAMED else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
