"""The study as one HTML file that needs no network: the answer first, then the evidence, then the limits."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from salesml.evaluation.calibration import reliability
from salesml.evaluation.metrics import gains
from salesml.figures.calibration import factors_chart, gains_chart, reliability_chart

if TYPE_CHECKING:
    from salesml.workflows.study import Studied

EXPLAINED_ROWS = 5000
SHOWN_FEATURES, SHOWN_VALUES = 6, 8
VERDICTS = {"strong": 0, "moderate": 1, "clear": 2}


def render(studied: Studied) -> str:
    """The report's HTML."""
    prepared, comparison = studied.prepared, studied.comparison
    best, test = comparison.best, prepared.blocks.test
    y, effects = prepared.y[test], _effects(studied)
    strengths = effects.abs().mean().sort_values(ascending=False)
    models = comparison.models.items()
    curves = {judged.name: gains(y, judged.probabilities) for kind, judged in models if kind != "base_rate"}
    bins = reliability(y, best.probabilities)
    charts = {"reliability": reliability_chart(bins), "gains": gains_chart(curves)}
    if len(strengths):
        charts["factors"] = factors_chart(strengths)
    page = resources.files("salesml.workflows") / "study_report.html.j2"
    screened = studied.screened.columns
    screened = screened.assign(rank=screened["verdict"].map(VERDICTS)).sort_values(
        ["rank", "explained"], ascending=[True, False]
    )
    return Environment(autoescape=True).from_string(page.read_text(encoding="utf-8")).render(
        answer=answer(studied),
        certificate=studied.certificate,
        best=best,
        models=comparison.models.values(),
        bins=bins.to_dict("records"),
        values=_value_tables(studied, effects, list(strengths.index[:SHOWN_FEATURES])),
        strengths=strengths.to_dict(),
        screened=screened.to_dict("records"),
        rejected=prepared.rejected.groupby("reason").size().to_dict(),
        prepared=prepared,
        charts={name: _chart(figure) for name, figure in charts.items()},
        plotly=Markup(get_plotlyjs()),
    )  # fmt: skip


def answer(studied: Studied) -> str:
    """One sentence: how well the outcome can be predicted on unseen rows against the base rate, or that it cannot."""
    question, best = studied.certificate["question"], studied.comparison.best
    block, rate = studied.certificate["blocks"]["test"], studied.certificate["base_rate"]
    rows = f"{block['rows']:,} unseen rows"
    if not studied.comparison.has_signal:
        tried = [judged for kind, judged in studied.comparison.models.items() if kind != "base_rate"]
        least = min(tried, key=lambda judged: judged.difference.value, default=None)
        gap = f" (the best attempt's log loss differs by {_signed(least.difference)})" if least else ""
        return (
            f"No signal: on {rows} no model predicts {question} reliably better than giving every row "
            f"the base rate of {rate:.1%}{gap}."
        )
    share, auc, bias = best.figures["explained"], best.figures["auc"], best.calibration
    meant = "its probabilities can be taken at their word" if bias.passes else "its probabilities are off"
    return (
        f"{question} can be predicted: on {rows} {best.name} removes {share.value:.0%} ({share.lo:.0%} to "
        f"{share.hi:.0%}) of the log loss of the base rate of {rate:.1%}, ranks with an AUC of {auc}, by chance 0.5, "
        f"and {meant} "
        f"(calibration error {bias.ece}, bar {bias.bar:.3f})."
    )


def _signed(figure: object) -> str:
    value, lo, hi = vars(figure).values()
    return f"{value:+.4f}, 90 % interval {lo:+.4f} to {hi:+.4f}"


def _effects(studied: Studied) -> pd.DataFrame:
    """Effects in log-odds on the unseen rows, at most 5,000 of them drawn at random."""
    test = studied.prepared.blocks.test
    drawn = np.random.default_rng(studied.question.seed).permutation(test)[:EXPLAINED_ROWS]
    return studied.comparison.best.scorer.explain(studied.prepared.X.iloc[np.sort(drawn)])[1]


def _value_tables(studied: Studied, effects: pd.DataFrame, names: list[str]) -> dict[str, list[dict]]:
    """Per feature its values (the most frequent, or fifths of a number): rows, mean effect, share observed."""
    prepared, tables = studied.prepared, {}
    outcome = pd.Series(prepared.y).loc[effects.index]
    for name in names:
        column = prepared.X[name].loc[effects.index]
        numeric = pd.api.types.is_numeric_dtype(column.dtype)
        values = _value_texts(column) if numeric else column
        frame = pd.DataFrame({"value": values.fillna("(missing)"), "effect": effects[name], "outcome": outcome})
        table = frame.assign(least=column if numeric else 0.0).groupby("value", sort=False).agg(
            rows=("effect", "size"), effect=("effect", "mean"), observed=("outcome", "mean"), least=("least", "min")
        )  # fmt: skip
        shown = table.sort_values("rows", ascending=False).head(SHOWN_VALUES)
        shown = shown.sort_values("least") if numeric else shown.sort_values("effect", ascending=False)
        tables[name] = shown.reset_index().to_dict("records")
    return tables


def _value_texts(column: pd.Series) -> pd.Series:
    """A number as text where it takes few values, else the range of the fifth of the rows it is in."""
    if column.nunique() <= SHOWN_VALUES:
        return column.map(number_text, na_action="ignore").astype(object)
    fifths = pd.qcut(column, 5, labels=False, duplicates="drop")
    ranges = column.groupby(fifths).agg(["min", "max"])
    texts = {fifth: f"{number_text(row['min'])} to {number_text(row['max'])}" for fifth, row in ranges.iterrows()}
    return fifths.map(texts, na_action="ignore").astype(object)


def number_text(value: float) -> str:
    """A number as a reader writes it: 12,300 rather than 1.23e+04, and four digits of a fraction."""
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.4g}"


def _chart(figure: go.Figure) -> Markup:
    html = figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False})
    return Markup(html)
