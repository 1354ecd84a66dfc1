"""Expected log loss of recalibrated scores by method and size of the calibration block.

    OMP_NUM_THREADS=1 .venv/bin/python experiments/2026-11_calibrators/study.py COMPANIES_FOLDER WORKSPACE
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit
from scipy.stats import norm
from sklearn.isotonic import IsotonicRegression

from salesml.evaluation.calibration import slope_and_intercept
from salesml.models.calibrators import fit_calibrator

PARAMS = yaml.safe_load((Path(__file__).parent / "params.yaml").read_text())
Map = Callable[[np.ndarray], np.ndarray]
"""Log-odds of a model → probabilities."""


def softplus(z: np.ndarray) -> np.ndarray:
    """ln(1 + e^z)."""
    return np.logaddexp(0, z)


BENT: dict[str, Map] = {
    "honest": lambda z: z,
    "shifted": lambda z: z - 0.5,
    "too sure": lambda z: 0.6 * z,
    "too timid": lambda z: 1.5 * z,
    "shifted and too sure": lambda z: 0.7 * z - 0.4,
    "one end flattened": lambda z: 0.4 * softplus(z) - softplus(-z) + 0.3,
    "both ends flattened": lambda z: 2.2 * np.tanh(z / 2),
    "waves": lambda z: z + 0.4 * np.sin(1.5 * z),
    "a plateau": lambda z: np.where(z < -1.5, z, np.where(z < 0.5, -1.5 + 0.1 * (z + 1.5), z - 1.8)),
}
"""True log-odds of a score of so many log-odds."""


def none(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """The scores as they are."""
    return expit


def shrunk_logistic(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """What is in use."""
    found = fit_calibrator(z, y, w)
    return lambda given: expit(found.apply(given))


def logistic(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """The line by maximum likelihood."""
    slope, intercept = slope_and_intercept(y, expit(z), w)
    return expit if np.isnan(slope) else lambda given: expit(intercept + slope * given)


def _beta(z: np.ndarray, y: np.ndarray, w: np.ndarray, shrink: bool) -> Map:
    up, down = softplus(z), softplus(-z)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        c, (a, b) = parameters[0], np.exp(parameters[1:])
        t = c - a * down + b * up
        residual = w * (expit(t) - y)
        value = np.sum(w * (softplus(t) - y * t)) + parameters[0] ** 2 / 8 + np.sum(parameters[1:] ** 2) / 2
        gradient = [residual.sum() + c / 4, -a * (residual @ down) + parameters[1], b * (residual @ up) + parameters[2]]
        return float(value), np.array(gradient)

    found = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B", bounds=[(-20, 20), (-7, 3), (-7, 3)])
    ratio = 2 * (loss(np.zeros(3))[0] - float(found.fun))
    kept = max(0.0, 1 - 3 / ratio) if ratio > 0 else 0.0
    c, a, b = (kept if shrink else 1.0) * found.x
    return lambda given: expit(c - np.exp(a) * softplus(-given) + np.exp(b) * softplus(given))


def beta(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """c + a ln p - b ln(1 - p), with the weak priors of the line in use."""
    return _beta(z, y, w, shrink=False)


def shrunk_beta(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """The same, shrunk by 1 - 3 / LR."""
    return _beta(z, y, w, shrink=True)


def isotonic(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """Flat steps, straight between them."""
    half = 0.5 / w.sum()
    return IsotonicRegression(y_min=half, y_max=1 - half, out_of_bounds="clip").fit(z, y, sample_weight=w).predict


def venn_abers(z: np.ndarray, y: np.ndarray, w: np.ndarray) -> Map:
    """Isotonic with the score itself put in as lost and as won; a deal put in weighs 1, as all deals do."""
    order = np.argsort(z, kind="stable")
    z, y, w = z[order], y[order], w[order]

    def put_in(given: float, outcome: float) -> float:
        place = int(np.searchsorted(z, given))
        return float(isotonic_regression(np.insert(y, place, outcome), weights=np.insert(w, place, 1.0)).x[place])

    def mapped(given: np.ndarray) -> np.ndarray:
        values, back = np.unique(np.searchsorted(z, given), return_inverse=True)
        at = np.concatenate([[z[0] - 1], (z[:-1] + z[1:]) / 2, [z[-1] + 1]])[values]
        pairs = np.array([[put_in(one, 0.0), put_in(one, 1.0)] for one in at])
        return (pairs[:, 1] / (1 - pairs[:, 0] + pairs[:, 1]))[back]

    return mapped


METHODS = (none, shrunk_logistic, logistic, shrunk_beta, beta, venn_abers, isotonic)


def loss(p: np.ndarray, q: np.ndarray, w: np.ndarray | float = 1.0) -> float:
    """Expected log loss of q where p is true."""
    return float(np.average(-(p * np.log(q) + (1 - p) * np.log1p(-q)), weights=np.broadcast_to(w, p.shape)))


def tried(z: np.ndarray, y: np.ndarray, w: np.ndarray, size: int) -> dict[str, Map]:
    """Every method on one calibration block; Venn-Abers, which is slow and then all but isotonic, only up to a size."""
    return {m.__name__: m(z, y, w) for m in METHODS if m is not venn_abers or size <= PARAMS["venn_abers_up_to"]}


def synthetic() -> list[dict]:
    """One row a case, size, draw and method: excess over perfect recalibration."""
    centre, spread = PARAMS["scores"]
    asked = norm.ppf((np.arange(PARAMS["unseen"]) + 0.5) / PARAMS["unseen"], centre, spread)
    found = []
    for case, bend in BENT.items():
        truth = expit(bend(asked))
        for size in PARAMS["sizes"]:
            for draw in range(PARAMS["draws"]):
                rng = np.random.default_rng([PARAMS["seed"], size, draw])
                z = rng.normal(centre, spread, size)
                y = (rng.random(size) < expit(bend(z))).astype("float64")
                for name, mapped in tried(z, y, np.ones(size), size).items():
                    excess = loss(truth, mapped(asked)) - loss(truth, truth)
                    found.append({"case": case, "size": size, "draw": draw, "method": name, "figure": excess})
        print(case, flush=True)
    return found


def companies(folder: Path) -> list[dict]:
    """One row a company, size, draw and method: log loss on the test block minus that without recalibration."""
    found = []
    for path in sorted(folder.glob("*.parquet")):
        rows = pd.read_parquet(path)
        block, test = (rows[rows["block"] == name] for name in ("calibration", "test"))
        weights = 1 / test.groupby("opportunity_id")["won"].transform("size").to_numpy(dtype="float64")
        asked, truth = test["logit"].to_numpy(), test["p_win"].clip(1e-6, 1 - 1e-6).to_numpy()
        plain, deals = loss(truth, expit(asked), weights), block["opportunity_id"].unique()
        for size in [size for size in PARAMS["company_sizes"] if size < len(deals)] + [len(deals)]:
            for draw in range(PARAMS["draws"] if size < len(deals) else 1):
                rng = np.random.default_rng([PARAMS["seed"], size, draw])
                part = block[block["opportunity_id"].isin(rng.choice(deals, size, replace=False))]
                w = 1 / part.groupby("opportunity_id")["won"].transform("size").to_numpy(dtype="float64")
                maps = tried(part["logit"].to_numpy(), part["won"].to_numpy(dtype="float64"), w, size)
                for name, mapped in maps.items():
                    q = expit(np.clip(logit(mapped(asked)), -18, 18))
                    figure = loss(truth, q, weights) - plain
                    told = {"size": size, "all": size == len(deals), "draw": draw, "method": name, "figure": figure}
                    found.append({"case": path.stem, **told})
        print(path.stem, len(deals), flush=True)
    return found


def main(folder: Path, root: Path) -> None:
    """Log both tables of figures to MLflow."""
    from salesml.registry import tracking
    from salesml.workspace import Workspace

    workspace = Workspace.open(root)
    with tracking.run(workspace, "calibrators", params={name: str(value)[:400] for name, value in PARAMS.items()}) as run:
        with tempfile.TemporaryDirectory() as temporary:
            pd.DataFrame(synthetic()).to_csv(Path(temporary) / "synthetic.csv", index=False)
            pd.DataFrame(companies(folder)).to_csv(Path(temporary) / "companies.csv", index=False)
            run.log_artifacts(temporary)
        print(run.id)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
