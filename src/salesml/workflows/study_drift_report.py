"""A drift study in words, as JSON, as tables of rows and as one HTML file that needs no network."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from salesml.evaluation.metrics import Measured
from salesml.figures.drift import evidence_figure
from salesml.figures.study_drift import auc_figure, level_figure
from salesml.workflows.study_drift_series import (
    ADAPTIVE,
    POINTS,
    PROVEN,
    RECALIBRATED,
    RECENCY,
    ROLLING,
    RUNNING,
    STATIC,
)
from salesml.workspace import write_atomically

if TYPE_CHECKING:
    from salesml.workflows.study_drift import Alarms, Drifted, Told

KEEPING_UP = (RECENCY, ROLLING)


def answer(found: Drifted) -> str:
    """The study in a few sentences: was drift told and when, does training with it do better, are probabilities right, is there rank."""
    return " ".join((_told(found.alarms), _better(found), _calibrated(found), _ranking(found)))


def _told(alarms: Alarms) -> str:
    ways = [_when(what, one) for what, one in alarms.by.items() if one.at is not None]
    silent = [what for what, one in alarms.by.items() if one.at is None]
    rates = "; ".join(f"{one.false.alarms} of {one.false.shuffles} by {what}" for what, one in alarms.by.items())
    told = f"Drift was told {'; '.join(ways)}" if ways else "No drift was told"
    quiet = f", not by {' or '.join(silent)}" if ways and silent else ""
    return f"{told}{quiet} (false alarms on shuffled rows: {rates})."


def _when(what: str, one: Told) -> str:
    return f"by {what} after {one.at:,} rows" if what == "inputs" else f"by {what} after {one.at:,} outcomes ({one.rows:,} rows had come)"


def _better(found: Drifted) -> str:
    """Both kinds of refits against the static model and the running rate, as their intervals allow."""
    parts = []
    for method in KEEPING_UP:
        gap, peer = (found.figures.beside(method, other, "log_loss") for other in (STATIC, RUNNING))
        how, beside = (_verdict(one) for one in (gap, peer))
        parts.append(f"{method} {how} than the static model (log loss {_signed(gap)}) and {beside} than the running rate ({_signed(peer)})")
    told = f"Refits: {'; '.join(parts)}."
    if POINTS not in found.series.p:
        return told
    ratio = found.figures.beside(ADAPTIVE, POINTS, "top_tenth")
    kept = found.figures.beside(PROVEN, POINTS, "top_tenth")
    return (
        f"{told} The best tenth of each block by the {ADAPTIVE} converts {ratio} times as often as that by points, and {kept} times where "
        "points rule until they are surely beaten."
    )


def _verdict(gap: Measured) -> str:
    return "surely better" if gap.hi < 0 else "surely worse" if gap.lo > 0 else "not surely better or worse"


def _calibrated(found: Drifted) -> str:
    figures = found.figures
    parts = []
    for method in (STATIC, RECALIBRATED):
        error, bar = figures.of(method, "ece").value, figures.bar(method)
        parts.append(f"{error:.3f} {'within' if figures.calibrated(method) else 'above'} its bar of {bar:.3f} for the {method}")
    return f"Calibration error: {parts[0]}, {parts[1]}."


def _ranking(found: Drifted) -> str:
    """Skill in ranking is claimed only of methods whose interval excludes chance."""
    claimed = {name: found.figures.of(name, "within_auc") for name in (STATIC, *KEEPING_UP)}
    sure = [f"{name} {auc}" for name, auc in claimed.items() if found.figures.ranks(name)]
    unsure = [f"{name} {auc}" for name, auc in claimed.items() if not found.figures.ranks(name)]
    told = [f"Inside blocks of {found.plan.block:,} rows these rank better than chance (AUC): {'; '.join(sure)}."] if sure else []
    if unsure:
        told.append(f"No skill in ranking is claimed of: {'; '.join(unsure)} (AUC inside blocks, chance 0.5).")
    return " ".join(told)


def content(found: Drifted) -> dict:
    """The study's figures and what is needed to repeat it, as JSON can hold it."""
    question, plan, alarms, prepared = found.question, found.plan, found.alarms, found.prepared
    return {
        "question": f"{question.target} = {question.positive}",
        "answer": answer(found),
        "file": {"name": found.sheet.file, "sha256": found.sheet.sha256, "rows": found.sheet.rows},
        "rows_used": len(prepared.y), "rows_rejected": len(prepared.rejected), "judged_rows": len(found.y),
        "first_judged_row": found.steps[0].first, "block": plan.block, "delay": plan.delay, "seed": question.seed,
        "interval_level": 0.9,
        "static": {"chosen": found.series.static.kind, "log_loss_where_chosen": found.series.static.losses},
        "features": list(prepared.X.columns), "left_out": prepared.left_out, "notes": list(prepared.notes),
        "methods": _rows(found.figures.methods), "versus": _rows(found.figures.versus), "blocks": _rows(found.figures.blocks),
        "alarms": {
            "false_alarm_rate_asked": alarms.looks.alpha,
            **{what: _watched(one) for what, one in alarms.by.items()},
            "e_value_of_the_share": float(alarms.rate.path.max()), "e_value_of_the_meaning": float(alarms.signal.evidence),
            "meaning_lost_most_in": alarms.signal.strongest, "looks": _rows(alarms.looks.looks), "moved": _rows(alarms.moved),
        },
        "ranks_better_than_chance": [name for name in found.series.p if found.figures.ranks(name)],
    }  # fmt: skip


def predictions(found: Drifted) -> pd.DataFrame:
    """The judged rows in time order: row (in the file, from 0), block, known (outcomes known when scored), y, a column per method."""
    sizes = [step.stop - step.first for step in found.steps]
    columns = {
        "row": found.prepared.rows[found.order][found.steps[0].first :],
        "block": np.repeat(np.arange(len(sizes)), sizes),
        "known": np.repeat([step.known for step in found.steps], sizes),
        "y": found.y.astype("int64"),
    }
    return pd.DataFrame({**columns, **found.series.p})


def write(found: Drifted) -> None:
    """Write drift.json, blocks.csv, predictions.csv, rejected.csv and, last, report.html into the study's folder."""
    folder = found.folder
    folder.mkdir(parents=True, exist_ok=True)
    told = content(found)
    predictions(found).to_csv(folder / "predictions.csv", index=False)
    found.figures.blocks.to_csv(folder / "blocks.csv", index=False)
    found.prepared.rejected.to_csv(folder / "rejected.csv", index=False)
    write_atomically(folder / "drift.json", json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False).encode())
    write_atomically(folder / "report.html", render(found, told).encode())


def render(found: Drifted, told: dict) -> str:
    """The report's HTML."""
    blocks = found.figures.blocks
    charts = {
        "level": level_figure(blocks, (STATIC, RECALIBRATED, RECENCY)),
        "auc": auc_figure(blocks, (STATIC, RECENCY)),
        "evidence": evidence_figure(found.alarms.rate.path, 1 / found.alarms.rate.alpha, "Evidence that the share has changed"),
    }
    page = resources.files("salesml.workflows") / "study_drift_report.html.j2"
    return Environment(autoescape=True).from_string(page.read_text(encoding="utf-8")).render(
        told=told, table=comparison(found), versus=_rows(found.figures.versus), alarms=found.alarms,
        charts={name: (_chart(figure), (figure.layout.meta or {}).get("alt", "")) for name, figure in charts.items()},
        plotly=Markup(get_plotlyjs()), adaptive=ADAPTIVE,
    )  # fmt: skip


def comparison(found: Drifted) -> list[dict[str, str]]:
    """One row per method, figures as text with their intervals: log loss, AUC inside blocks and overall, calibration error and bar."""
    figures = found.figures
    return [
        {
            "method": name,
            "log loss": _four(figures.of(name, "log_loss")),
            "AUC in blocks": str(figures.of(name, "within_auc")),
            "AUC": str(figures.of(name, "auc")),
            "best tenth": str(figures.of(name, "top_tenth")),
            "calibration error": str(figures.of(name, "ece")),
            "bar": f"{figures.bar(name):.3f}",
        }
        for name in found.series.p
    ]


def _watched(one: Told) -> dict[str, object]:
    false = {"false_alarms": one.false.alarms, "shuffles": one.false.shuffles, "false_alarm_rate_interval": list(one.false.interval)}
    return {"alarm_at": one.at, "rows_come_by_then": one.rows, **false}


def _rows(frame: pd.DataFrame) -> list[dict]:
    """Records with None for what is not a number."""
    clean = frame.astype("object").where(frame.notna(), None).to_dict("records")
    return [{str(name): one.item() if isinstance(one, np.generic) else one for name, one in row.items()} for row in clean]


def _signed(figure: Measured) -> str:
    return f"{figure.value:+.4f}, {figure.lo:+.4f} to {figure.hi:+.4f}"


def _four(figure: Measured) -> str:
    return f"{figure.value:.4f} ({figure.lo:.4f} to {figure.hi:.4f})"


def _chart(figure: go.Figure) -> Markup:
    html = figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True, "displayModeBar": False})
    return Markup(html)
