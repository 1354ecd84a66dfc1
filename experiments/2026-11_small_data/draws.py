"""Handfuls of 20 won and 20 lost deals, a model of each, and how it does on the later deals of its company, by their true chances.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_small_data/draws.py FOLDER judged_worlds OUT.parquet [SIGNAL …]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.special import logit

from salesml.features.deals import DEALS
from salesml.models.handful import DEAL_EXPECTATIONS, Handful
from salesml.models.peers import OdooBayes
from salesml.models.rates import BaseRate, GroupRate

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())


def features(rows: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The features the snapshots were kept with, and the categories among them; the catalogue may have grown since."""
    return [name for name in DEALS.names if name in rows], [name for name in DEALS.categorical if name in rows]


def auc(p: np.ndarray, score: np.ndarray) -> float:
    """Expected AUC of a score where row i is positive with chance p[i]; ties count half."""
    frame = pd.DataFrame({"score": score, "p": p, "n": 1 - p}).groupby("score").sum().sort_index()
    below = frame["n"].cumsum() - frame["n"]
    return float((frame["p"] * (below + frame["n"] / 2)).sum() / (frame["p"].sum() * frame["n"].sum()))


def loss(p: np.ndarray, q: np.ndarray, balanced: bool = False) -> float:
    """Expected log loss of q where p is true; `balanced`: won and lost weighted to one half each, as in the handful."""
    won, lost = (0.5 / p.mean(), 0.5 / (1 - p.mean())) if balanced else (1.0, 1.0)
    return float(-(won * p * np.log(q) + lost * (1 - p) * np.log1p(-q)).mean())


def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Deals closed before the cutoff (a share of the history), and all deals whose snapshot is later."""
    cutoff = rows["as_of"].min() + PARAMS["cutoff_share"] * (rows["as_of"].max() - rows["as_of"].min())
    return rows[rows["closed_at"] < cutoff], rows[rows["as_of"] >= cutoff]


def drawn(closed: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """As many won as lost deals, by lot, in time order."""
    places = [rng.choice(np.flatnonzero(closed["won"] == won), PARAMS["each"], replace=False) for won in (1, 0)]
    return closed.iloc[np.sort(np.concatenate(places))]


def fitted(handful: pd.DataFrame, y: np.ndarray, mixed: np.ndarray | None) -> dict[str, BaseRate | GroupRate | OdooBayes | Handful]:
    """The models compared, each of the same handful; those that only put the outcome into light if `mixed` gives it shuffled."""
    columns, names = features(handful)
    X = handful[columns]
    found: dict[str, BaseRate | GroupRate | OdooBayes | Handful] = {
        "base rate": BaseRate.fit(X, y),
        "stage rate": GroupRate.fit(X, y, column="stage"),
        "Odoo's naive Bayes": OdooBayes.fit(X, y, categorical=names),
        "handful": Handful.fit(X, y, categorical=names, expected=DEAL_EXPECTATIONS),
    }
    if mixed is not None:
        own = handful.assign(chance=logit(handful["p_win"].clip(1e-4, 1 - 1e-4)))[["chance"]]
        found["handful, nothing expected"] = Handful.fit(X, y, categorical=names)
        found["true chance as the one column"] = Handful.fit(own, y)
        found["handful, outcomes shuffled"] = Handful.fit(X, mixed, categorical=names, expected=DEAL_EXPECTATIONS)
    return found


def judged(path: Path) -> list[dict]:
    """One row a draw and model. With shuffled outcomes nothing can be known: every true chance is the handful's share won."""
    rows = pd.read_parquet(path)
    closed, later = split(rows)
    p = later["p_win"].clip(1e-4, 1 - 1e-4).to_numpy()
    asked = later.assign(chance=logit(p))
    rng = np.random.default_rng(int(rows["seed"].iloc[0]))
    found = []
    for draw in range(PARAMS["draws"]):
        handful = drawn(closed, rng)
        y = handful["won"].to_numpy(dtype="float64")
        shuffled = np.random.default_rng([int(rows["seed"].iloc[0]), draw]).permutation(y)
        models = fitted(handful, y, shuffled if draw < PARAMS["draws_beside"] else None)
        base = models["base rate"].predict(asked)
        for name, model in models.items():
            q, truth = model.predict(asked), np.full(len(p), y.mean()) if name.endswith("shuffled") else p
            evidence = getattr(model, "evidence", None)
            found.append({
                "signal": rows["signal"].iloc[0], "seed": rows["seed"].iloc[0], "draw": draw, "model": name,
                "oracle_auc": auc(p, p), "auc": auc(truth, q), "share_won": p.mean(),
                "excess": loss(truth, q) / loss(truth, base) - 1, "balanced": loss(truth, q, True) / loss(truth, base, True) - 1,
                "abstains": getattr(model, "abstains", False), "gain": getattr(evidence, "gain", np.nan),
                "needed": getattr(evidence, "needed", None) or np.nan,
            })  # fmt: skip
    return found


def main(folder: Path, which: str, out: Path, signals: list[float]) -> None:
    """Judge the companies of one kind (of some signals, if named) and keep the figures."""
    found = []
    for plan in [plan for plan in PARAMS[which] if not signals or plan["signal"] in signals]:
        for seed in range(plan["first_seed"], plan["first_seed"] + plan["worlds"]):
            found += judged(folder / f"{plan['signal']}_{seed}.parquet")
            print(plan["signal"], seed, flush=True)
            pd.DataFrame(found).to_parquet(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), [float(signal) for signal in sys.argv[4:]])
