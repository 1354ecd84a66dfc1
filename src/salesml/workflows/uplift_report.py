"""An uplift study as one HTML file that needs no network, its figures as JSON, its predictions as CSV."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from salesml.evaluation.metrics import Measured
from salesml.figures.uplift import balance_table, policies_table, qini_figure, tenths_figure
from salesml.workflows.uplift import UpliftStudy
from salesml.workflows.uplift_arm import ArmUplift
from salesml.workspace import write_atomically


def write_uplift(study: UpliftStudy, folder: Path) -> Path:
    """Write result.json, predictions.csv (one row per person and treatment, judged unseen) and, last, report.html; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    told = pd.concat([arm.rows.assign(treatment=arm.asked.arm) for arm in study.arms], ignore_index=True)
    write_atomically(folder / "predictions.csv", told.to_csv(index=False).encode())
    write_atomically(folder / "result.json", json.dumps(figures(study), indent=1, ensure_ascii=False, allow_nan=False).encode())
    write_atomically(folder / "report.html", render(study).encode())
    return folder / "report.html"


def figures(study: UpliftStudy) -> dict[str, Any]:
    """The study's figures as JSON can hold them; effects in units of the outcome a head, intervals 95 %, null where undefined."""
    return {
        "source": study.source,
        "head": study.head_id,
        "features": list(study.features),
        "left_out": study.left_out,
        "notes": list(study.notes),
        "treatments": [_figures(arm) for arm in study.arms],
    }


def render(study: UpliftStudy) -> str:
    """The report's HTML: the answers, then for each treatment its policies, Qini curve, calibration by tenth and balance."""
    page = resources.files("salesml.workflows") / "uplift_report.html.j2"
    first = study.arms[0].asked
    return Environment(autoescape=True).from_string(page.read_text(encoding="utf-8")).render(
        title=f"{first.outcome}, {study.source}", arms=[_shown(arm) for arm in study.arms], notes=study.notes, left_out=study.left_out,
        plotly=Markup(get_plotlyjs()),
    )  # fmt: skip


def _shown(arm: ArmUplift) -> dict[str, Any]:
    charts = {"qini": qini_figure(arm.curve, arm.unit, arm.scale), "tenths": tenths_figure(arm.tenths, arm.unit, arm.scale)}
    return {
        "name": arm.asked.arm, "control": arm.asked.control, "sentence": arm.sentence, "counts": arm.counts, "check": arm.check,
        "policies": Markup(policies_table(arm.policies, arm.unit, arm.scale).html),
        "balance": Markup(balance_table(arm.check.columns).html),
        "ranking": arm.shown(arm.ranking["qini"]),
        **{name: _chart(figure) for name, figure in charts.items()},
        **{f"{name}_alt": figure.layout.meta["alt"] for name, figure in charts.items()},
    }  # fmt: skip


def _chart(figure: go.Figure) -> Markup:
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False}))


def _figures(arm: ArmUplift) -> dict[str, Any]:
    named = {"average": arm.average, "heterogeneity_slope": arm.differ.slope, "calibration_slope": arm.slope, **arm.ranking}
    named |= {"best_half_minus_random_half": arm.more, "best_half_minus_everybody_per_treatment": arm.per_treatment}
    return {
        "treatment": arm.asked.arm,
        "control": arm.asked.control,
        "outcome": arm.asked.outcome,
        "worth": arm.asked.worth,
        "cost": arm.asked.cost,
        "people": dict(zip(("treated", "control"), arm.counts, strict=True)),
        "means": dict(zip(("treated", "control"), arm.means, strict=True)),
        **{name: _measured(figure) for name, figure in named.items()},
        "heterogeneity_p_value": _number(arm.differ.p_value),
        "gaps_p_value": _number(arm.gaps_p),
        "alike": arm.alike,
        "balance": {
            "p_value": arm.check.p_value, "verdict": arm.check.verdict, "told_apart": _measured(arm.check.told_apart),
            "columns": arm.check.columns.to_dict("records"),
        },
        "tenths": _records(arm.tenths),
        "policies": _records(arm.policies),
        "qini_curve": _records(arm.curve),
        "sentence": arm.sentence,
    }  # fmt: skip


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): _number(value) for name, value in row.items()} for row in frame.to_dict("records")]


def _measured(figure: Measured) -> dict[str, float | None]:
    return {name: _number(value) for name, value in vars(figure).items()}


def _number(value: Any) -> Any:
    """The value, None where it is no finite number."""
    return value if isinstance(value, str | int) else float(value) if np.isfinite(value) else None
