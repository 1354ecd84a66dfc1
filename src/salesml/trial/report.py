"""A judgement as tables and sentences, for the report notebook and the command line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from salesml.errors import BadInput
from salesml.trial.runner import COLUMNS, FIGURES, Plan, run, summary

SHARES = ("covered", "bias", "estimate", "truth", "cover80", "cover95", "cover80_noiseless", "cover95_noiseless")
"""Figures told by their mean over companies: in one company some are yes or no."""


def judged(results: str, todo: list[Plan]) -> pd.DataFrame:
    """Figures of an earlier judgement (path of its results.parquet), or of the planned companies, judged now in this process."""
    if not results:
        return run(todo, workers=1)
    path = Path(results)
    if not path.exists():
        raise BadInput("there is no such file", file=str(path), mend="Make one with: salesml world judge --out FOLDER")
    found = pd.read_parquet(path)
    if list(found.columns) != COLUMNS:
        raise BadInput("these are no figures of a judgement", file=str(path), mend=f"Expected columns {', '.join(COLUMNS)}.")
    return found


def verdicts(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """One table a part (the effects in one): a row per method, kind and family of companies, a column a figure.

    Figures are told as median (worst decile), those in SHARES as the mean.
    """
    told = summary(found)
    spread = told["median"].map("{:.3f}".format) + " (" + told["worst_decile"].map("{:.3f}".format) + ")"
    spread = spread.where(told["median"].notna())
    told = told.assign(shown=spread.where(~told["metric"].isin(SHARES), told["mean"].map("{:.3f}".format)))
    effect = told["part"].str.startswith("effect of ")
    name = (told["part"].str.removeprefix("effect of ") + ": " + told["method"]).where(effect, told["method"])
    told = told.assign(row=name + ", " + told["preset"] + ", " + told["family"])
    told["place"] = told["method"].map({method: place for place, method in enumerate(found["method"].unique())})
    told = told.sort_values("place", kind="stable")
    told["part"] = told["part"].replace({"effect of a meeting": "effects", "effect of nurture mails": "effects"})
    tables = {}
    for part, rows in told.groupby("part", sort=False):
        wide = rows.pivot_table(index=["row", "worlds"], columns="metric", values="shown", aggfunc="first", sort=False)
        wide = wide[[metric for metric in FIGURES if metric in wide]]
        tables[str(part)] = wide.rename_axis(columns=None).reset_index().rename(columns={"row": "method"})
    return tables


def reading(found: pd.DataFrame) -> str:
    """The judgement in a few sentences."""
    told = summary(found[(found["family"] == "plain")])
    size = "demo" if (told["preset"] == "demo").any() else "tiny"
    told = told[told["preset"] == size].set_index(["part", "method", "metric"])

    def figure(part: str, method: str, metric: str, how: str = "median") -> str:
        key = (part, method, metric)
        found = told[how].get(key)
        return "not known" if found is None else f"{found:.2f}"

    worlds = int(told["worlds"].max())
    p, deal, rate = "win probability", "deal model", "stage rate"
    return (
        f"On {worlds} plain companies of size {size}, all simulated: the deal model's log loss is "
        f"**{figure(p, deal, 'log_loss_ratio')}** of the oracle's (worst decile {figure(p, deal, 'log_loss_ratio', 'worst_decile')}; "
        f"stage rate {figure(p, rate, 'log_loss_ratio')}), its calibration slope against the truth {figure(p, deal, 'slope')}. "
        f"The company's 80 % revenue interval held what came in {figure('revenue', 'champion, company', 'cover80', 'mean')} of cases. "
        f"A plain difference overstates the effect of a meeting by {figure('effect of a meeting', 'difference', 'bias', 'mean')}, "
        f"an adjusted one by {figure('effect of a meeting', 'adjusted', 'bias', 'mean')} "
        f"(truth {figure('effect of a meeting', 'adjusted', 'truth', 'mean')})."
    )
