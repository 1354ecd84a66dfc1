"""Predictions judged against the known truth of a simulated company: what no real company could tell.

The truth is handed over as arrays and tables; nothing here knows where it comes from. Probabilities of exactly 0 or 1 are
held at the smallest float step from it, as scikit-learn's log loss does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real

import numpy as np
import pandas as pd
from scipy.special import entr
from scipy.stats import beta, binomtest, rankdata
from scipy.stats import t as student

from salesml.errors import BadInput, BadParameter, NotEnoughData
from salesml.evaluation import arrays
from salesml.evaluation.arrays import Values
from salesml.evaluation.bootstrap import percentile_interval, row_weights
from salesml.evaluation.calibration import slope_and_intercept
from salesml.evaluation.metrics import Measured, measure

EPS = float(np.finfo("float64").eps)
NAN = float("nan")
LEAST_WORLDS = 5
LEAST_EXPECTED = 10  # outcomes, and non-outcomes: below, Student's t alarms too often (measured: 13 % for 5 %)
MEDIAN_DRAWS = 400
SPREAD = ("median", "lo", "hi", "worst_decile", "best")


def probabilities(
    predicted: Values,
    truth: Values,
    happened: Values,
    groups: Values | None = None,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Measured]:
    """Figures of predicted against true probabilities and 0/1 outcomes, one row each; 90 % intervals resampled by `groups`.

    log_loss, oracle_log_loss (nats, of predicted and of truth on the outcomes), log_loss_ratio (of the two);
    expected_log_loss_ratio: cross entropy under the truth over the truth's own entropy, free of the outcomes' noise;
    auc, oracle_auc; slope, intercept: logistic regression of the TRUE probability on logit(predicted) (Cox 1958), 1 and 0
    are perfect, a slope below 1 is overconfident; realised_slope: on outcomes; ece_true: mean |predicted - true| of ten
    equal-count bins of predicted; mae: of rows; rank_correlation: Spearman with the truth. NaN where undefined.
    BadInput: lengths differ, no rows, missing values, probabilities outside 0 to 1, outcomes other than 0 and 1.
    """
    ids = {} if groups is None else {"groups": arrays.ids(groups)}
    p, t, y, *codes = arrays.checked(predicted=predicted, truth=truth, happened=happened, **ids)
    entities = codes[0] if codes else None
    p, clipped = np.clip(p, EPS, 1 - EPS), np.clip(t, EPS, 1 - EPS)
    realised = measure(y, p, clipped, entities, resamples=resamples, seed=seed)
    oracle = measure(y, clipped, clipped, entities, resamples=resamples, seed=seed)
    figures = _figures(p, t, y)
    values, drawn = figures(np.ones(len(p))), [figures(w) for w in row_weights(len(p), entities, resamples, seed)]
    draws = pd.DataFrame(drawn, columns=list(values))
    # resampling adds noise that this error counts as error: the interval is moved back, as in calibration.calibration
    draws["ece_true"] = (draws["ece_true"] - draws["ece_true"].median() + values["ece_true"]).clip(lower=0)
    share, certain = realised["explained"], oracle["log_loss"].value < 1e-12  # a truth of 0 and 1 only has no ratio
    ratio = Measured(NAN, NAN, NAN) if certain else Measured(1 - share.value, 1 - share.hi, 1 - share.lo)
    return {
        "log_loss": realised["log_loss"],
        "oracle_log_loss": oracle["log_loss"],
        "log_loss_ratio": ratio,
        "auc": realised["auc"],
        "oracle_auc": oracle["auc"],
        **{name: Measured(value, *percentile_interval(draws[name].to_numpy())) for name, value in values.items()},
    }


def calibration_by(predicted: Values, truth: Values, happened: Values, bins: int = 10) -> pd.DataFrame:
    """One row per equal-count bin of predicted: bin, rows, mean predicted, mean true, share observed, its lo and hi.

    lo and hi are the 90 % Jeffreys interval (rows taken as independent). Equal predictions share a bin: with ties there
    may be fewer bins. Raises as `probabilities`; BadParameter where bins is not a whole number above 0.
    """
    p, t, y = arrays.checked(predicted=predicted, truth=truth, happened=happened)
    frame = pd.DataFrame({"bin": _places(p, bins), "predicted": p, "true": t, "observed": y})
    groups = frame.groupby("bin")
    table, won = groups.mean(), groups["observed"].sum()
    table.insert(0, "rows", groups.size())
    posterior = beta(won + 0.5, table["rows"] - won + 0.5)
    lo, hi = np.minimum(posterior.ppf(0.05), table["observed"]), np.maximum(posterior.ppf(0.95), table["observed"])
    return table.assign(lo=lo, hi=hi).reset_index()


def oracle_consistency(truth: Values, happened: Values, worlds: Values, *, bins: int = 10) -> pd.DataFrame:
    """Whether the truth is calibrated: one row per equal-count bin of the true probability, and one with bin `all`.

    bin (text), worlds and rows in it, stated (mean true), observed (share), z and p_value. Outcomes of one world share
    its shocks, so a world is one draw: z is the mean over worlds of the summed residuals (happened - truth) over its
    standard error, p_value its two-sided Student t; both NaN with fewer than 5 worlds in the bin, or fewer than 10
    expected outcomes or non-outcomes. `all` is one test; of the bins some p_value is small by chance.
    NotEnoughData below 5 worlds. Raises as `probabilities`.
    """
    t, y, ids = arrays.checked(truth=truth, happened=happened, worlds=arrays.ids(worlds))
    codes, place = ids.astype(int), _places(t, bins)
    if codes.max() + 1 < LEAST_WORLDS:
        raise NotEnoughData(f"{codes.max() + 1} worlds; a truth is judged on at least {LEAST_WORLDS}")
    parts = {**{str(k): place == k for k in range(place.max() + 1)}, "all": np.ones(len(t), dtype=bool)}
    lines = [{"bin": name, **_consistency(t[part], y[part], codes[part])} for name, part in parts.items()]
    return pd.DataFrame(lines)


def intervals(lo: Values, hi: Values, realised: Values, noiseless: Values, *, level: float) -> dict[str, float]:
    """How well `level` intervals (a fraction, ends included) hold what came and what would have come without noise.

    n, missing (rows without lo or hi); level; of all n rows, where a missing interval covers nothing: coverage (of
    realised), coverage_noiseless, below (realised < lo), above (realised > hi); of the others: relative_width (mean width
    over mean |realised|) and interval_score in the unit of realised, lower is better (Winkler 1972). BadInput as
    `probabilities`, and where lo > hi; BadParameter where level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise BadParameter(f"level {level} is not between 0 and 1; 80 % is 0.8")
    low, high, y, mean = arrays.numbers(("lo", "hi"), lo=lo, hi=hi, realised=realised, noiseless=noiseless)
    given = arrays.given(low, high)
    n, width, below, above = len(y), (high - low)[given], y < low, y > high
    outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    size = float(np.abs(y[given]).sum())
    return {
        "n": n,
        "missing": int((~given).sum()),
        "level": level,
        "coverage": float(np.mean((low <= y) & (y <= high))),
        "coverage_noiseless": float(np.mean((low <= mean) & (mean <= high))),
        "below": float(np.mean(given & below)),
        "above": float(np.mean(given & above)),
        "relative_width": float(width.sum()) / size if size else NAN,
        "interval_score": float((width + 2 / (1 - level) * outside[given]).mean()) if given.any() else NAN,
    }


def effects(estimates: pd.DataFrame) -> dict[str, float]:
    """Estimated effects (one per row: estimate, lo, hi, truth, in one unit) against the true ones.

    n, missing (rows without estimate, lo or hi: not covered, no sign); bias (mean of estimate - truth), rmse; coverage of
    the truth with its 95 % interval coverage_lo, coverage_hi (Wilson 1927); mean_truth; right_sign, wrong_sign: share of
    the n intervals that exclude 0 on the truth's side and on the other. A truth of 0 has no side: its false alarms are
    what coverage lacks. BadInput: columns lacking, no rows, truth missing, lo > hi.
    """
    columns = arrays.columns("estimates", estimates, ("estimate", "lo", "hi", "truth"))
    estimate, low, high, truth = arrays.numbers(("estimate", "lo", "hi"), **columns)
    given = arrays.given(low, high) & ~np.isnan(estimate)
    error, covered = (estimate - truth)[given], given & (low <= truth) & (truth <= high)
    side = np.where(given, (low > 0).astype(int) - (high < 0), 0) * np.sign(truth)
    wilson = binomtest(int(covered.sum()), len(truth)).proportion_ci(0.95, method="wilson")
    return {
        "n": len(truth),
        "missing": int((~given).sum()),
        "bias": float(error.mean()) if given.any() else NAN,
        "rmse": float(np.sqrt((error**2).mean())) if given.any() else NAN,
        "coverage": float(np.mean(covered)),
        "coverage_lo": float(wilson.low),
        "coverage_hi": float(wilson.high),
        "mean_truth": float(truth.mean()),
        "right_sign": float(np.mean(side > 0)),
        "wrong_sign": float(np.mean(side < 0)),
    }


def policy(value: Values, chosen: Values, budget: int) -> dict[str, float]:
    """What acting on the `chosen` gains, `value` being each entity's true gain; all in its unit but the two shares.

    `chosen` is a boolean mask of at most `budget` entities, or float scores, of which the highest `budget` are taken, ties
    at the edge in part. captured; oracle: the best `budget` entities with a positive gain; random: expected gain of
    `budget` entities drawn blindly; regret = oracle - captured; regret_share = regret / oracle; skill =
    (captured - random) / (oracle - random), 1 is the oracle and 0 is chance. NaN where the divisor is 0. BadInput as
    `probabilities`; BadParameter: budget below 1, a mask above it, `chosen` neither boolean nor float.
    """
    dtype = pd.Series(chosen).dtype
    mask = pd.api.types.is_bool_dtype(dtype)
    if not mask and not pd.api.types.is_float_dtype(dtype):
        raise BadParameter(f"chosen is {dtype}; give booleans (who is chosen) or floats (scores to rank by)")
    gain, picks = arrays.numbers(value=value, chosen=chosen)
    size = min(arrays.whole("budget", budget), len(gain))
    if mask and picks.sum() > budget:
        raise BadParameter(f"chosen has {picks.sum():.0f} entities, the budget is {budget}")
    captured = float((picks if mask else _top(picks, size)) @ gain)
    oracle = float(np.maximum(np.sort(gain)[-size:], 0).sum())
    random = size * float(gain.mean())
    regret, room = oracle - captured, oracle - random
    return {
        "captured": captured,
        "oracle": oracle,
        "random": random,
        "regret": regret,
        "regret_share": regret / oracle if oracle > 0 else NAN,
        "skill": (captured - random) / room if room > 1e-12 * max(oracle, abs(random)) else NAN,
    }


def over_worlds(results: pd.DataFrame, better: Mapping[str, str | float]) -> pd.DataFrame:
    """One row per family × method × metric of `results` (family, method, metric, seed, value: one row per world and figure).

    worlds, failures (values missing or infinite); of the others: median, its 90 % interval lo and hi from resampling
    worlds (NaN below 2), worst_decile and best. `better` says of every metric `lower`, `higher`, or the number to be near.
    worst_decile is the 90th percentile towards the bad side, interpolated; for a target, the value whose distance from it
    is the 90th percentile, rounded up to a world. BadInput: columns lacking, no rows, a world twice; BadParameter: `better`
    lacks a metric or says another word.
    """
    keys = ["family", "method", "metric"]
    arrays.columns("results", results, (*keys, "seed", "value"))
    twice = results[results.duplicated([*keys, "seed"])]
    if len(twice) or results.empty:
        first = twice[[*keys, "seed"]].head(1).to_numpy().tolist()
        raise BadInput(
            f"{len(twice)} rows repeat a family, method, metric and seed {first}" if first else "results: no rows"
        )
    for metric in results["metric"].unique():
        aim = better.get(metric)
        number = isinstance(aim, Real) and not isinstance(aim, bool) and bool(np.isfinite(float(aim)))
        if aim not in ("lower", "higher") and not number:
            raise BadParameter(f"better[{metric!r}] is {aim!r}; say 'lower', 'higher' or a number to be near")
    lines = []
    for (family, method, metric), part in results.groupby(keys, sort=True, dropna=False)["value"]:
        (values,) = arrays.numbers(("value",), value=part)
        lines.append({"family": family, "method": method, "metric": metric, **_spread(values, better[str(metric)])})
    return pd.DataFrame(lines)


def _figures(p: np.ndarray, t: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], dict[str, float]]:
    """The figures that need the truth, as a function of the rows' weights."""
    cross, entropy, place = -(t * np.log(p) + (1 - t) * np.log1p(-p)), entr(t) + entr(1 - t), _places(p, 10)
    ties, true_ties = np.unique(p, return_inverse=True)[1], np.unique(t, return_inverse=True)[1]

    def figures(w: np.ndarray) -> dict[str, float]:
        slope, intercept = slope_and_intercept(t, p, w)
        least, total = float(w @ entropy), float(w.sum())
        return {
            "expected_log_loss_ratio": float(w @ cross) / least if least > 0 else NAN,
            "slope": slope,
            "intercept": intercept,
            "realised_slope": slope_and_intercept(y, p, w)[0],
            "ece_true": float(np.abs(np.bincount(place, w * (p - t))).sum()) / total,
            "mae": float(w @ np.abs(p - t)) / total,
            "rank_correlation": _rank_correlation(ties, true_ties, w),
        }

    return figures


def _rank_correlation(ties: np.ndarray, true_ties: np.ndarray, w: np.ndarray) -> float:
    """Spearman's, on the middle ranks when every row is there w times."""
    sizes = [np.bincount(places, w) for places in (ties, true_ties)]
    a, b = ((np.cumsum(n) - n / 2)[places] for n, places in zip(sizes, (ties, true_ties), strict=True))
    c = np.cov(a, b, aweights=w, ddof=0)
    scale = float(np.sqrt(c[0, 0] * c[1, 1]))
    return float(c[0, 1]) / scale if scale > 1e-9 else NAN


def _places(p: np.ndarray, bins: int) -> np.ndarray:
    """The equal-count bin of every row, from 0 without gaps; equal values share one, whatever the order of rows."""
    place = (rankdata(p) - 1) * arrays.whole("bins", bins) // len(p)
    return np.unique(place, return_inverse=True)[1]


def _consistency(t: np.ndarray, y: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    present = np.bincount(codes) > 0
    sums = np.bincount(codes, y - t)[present].round(9)  # equal sums are equal, whatever the order of their rows
    worlds, z, p_value = len(sums), NAN, NAN
    if worlds >= LEAST_WORLDS and min(t.sum(), (1 - t).sum()) > LEAST_EXPECTED - 1e-9:
        mean, error = float(sums.mean()), float(sums.std(ddof=1)) / np.sqrt(worlds)
        z = mean / error if error > 0 else float(np.sign(mean) * np.inf if mean else 0.0)
        p_value = float(2 * student.sf(abs(z), worlds - 1))
    return {"worlds": worlds, "rows": len(t), "stated": t.mean(), "observed": y.mean(), "z": z, "p_value": p_value}


def _top(scores: np.ndarray, size: int) -> np.ndarray:
    """The share of every row in the `size` highest: 0 or 1, or in between where scores tie at the edge."""
    edge = np.sort(scores)[-size]
    above, tied = scores > edge, scores == edge
    return above + tied * (size - above.sum()) / tied.sum()


def _spread(values: np.ndarray, aim: str | float) -> dict[str, float]:
    """over_worlds' figures of one family, method and metric."""
    v = np.sort(values[np.isfinite(values)])
    found = {"worlds": len(values), "failures": len(values) - len(v), **dict.fromkeys(SPREAD, NAN)}
    if not len(v):
        return found
    if aim in ("lower", "higher"):
        best, worst = (v[0], np.quantile(v, 0.9)) if aim == "lower" else (v[-1], np.quantile(v, 0.1))
    else:
        nearest = v[np.argsort(np.abs(v - float(aim)), kind="stable")]
        best, worst = nearest[0], nearest[int(np.ceil(0.9 * (len(v) - 1) - 1e-9))]
    found |= {"median": float(np.median(v)), "worst_decile": float(worst), "best": float(best)}
    if len(v) > 1:
        counts = np.array(list(row_weights(len(v), None, MEDIAN_DRAWS, 0)), dtype="int64")
        drawn = np.repeat(np.tile(v, MEDIAN_DRAWS), counts.ravel()).reshape(MEDIAN_DRAWS, len(v))
        found["lo"], found["hi"] = percentile_interval(np.median(drawn, axis=1))
    return found
