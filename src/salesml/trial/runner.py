"""Many companies in parallel: make each, let the methods answer, judge them, and say how they fare over a family."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass

import pandas as pd

from salesml.errors import BadParameter, UnknownName
from salesml.trial.case import opened
from salesml.world import FAMILIES, World, company, preset

COLUMNS = ["preset", "family", "seed", "part", "method", "metric", "value", "reason"]
FIGURES: dict[str, str | float] = {
    "log_loss_ratio": "lower", "expected_log_loss_ratio": "lower", "auc": "higher", "oracle_auc": "higher", "slope": 1.0,
    "ece_true": "lower", "mae": "lower", "rank_correlation": "higher", "regret_share": "lower", "skill": "higher",
    "wape": "lower", "wape_noiseless": "lower", "cover80": 0.80, "cover95": 0.95, "cover80_noiseless": 1.0,
    "cover95_noiseless": 1.0, "bias": 0.0, "covered": 0.95, "estimate": 0.0, "truth": 0.0, "answered": "higher",
    **{f"gap_{place}": 0.0 for place in range(1, 11)},
}  # fmt: skip
"""Every figure of the trial and what is good: lower, higher, or near a number."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
"""What tells libraries in a worker how many threads, or processes of their own, they may start."""


@dataclass(frozen=True)
class Plan:
    """One company to try the methods on."""

    preset: str
    family: str
    seed: int

    def __post_init__(self) -> None:
        preset(self.preset)
        if self.family not in FAMILIES:
            raise UnknownName("family of worlds", self.family, FAMILIES)

    def world(self) -> World:
        """The company."""
        return company(**{**preset(self.preset), **FAMILIES[self.family], "seed": self.seed})


def plans(tiny: int = 200, demo: int = 20, families: Iterable[str] | None = None, first_seed: int = 1_000) -> list[Plan]:
    """`tiny` companies spread evenly over the families (all unless named), and `demo` plain ones; each of another seed."""
    if min(tiny, demo) < 0 or tiny + demo == 0 or max(tiny, demo) > 10_000:
        raise BadParameter(f"{tiny} tiny and {demo} demo worlds: give from 0 to 10,000 of each, one at least")
    names = list(families or FAMILIES)
    small = [Plan("tiny", names[number % len(names)], first_seed + number) for number in range(tiny)]
    return [*(Plan("demo", "plain", first_seed + number) for number in range(demo)), *small]


def judge(world: World) -> pd.DataFrame:
    """All methods on one company. Grain: one row per part, method and metric: value, reason (why there is none)."""
    from salesml.trial.deals import judge_deals
    from salesml.trial.effects import judge_effects
    from salesml.trial.quarter import judge_quarter
    from salesml.trial.revenue import judge_revenue

    with opened(world) as case:
        found = [*judge_deals(case), *judge_revenue(case), *judge_quarter(case), *judge_effects(case)]
    return pd.DataFrame([asdict(figure) for figure in found])


def run(todo: list[Plan], workers: int = 2, progress: Callable[[int, int, Plan], None] | None = None) -> pd.DataFrame:
    """Judge all planned companies. Grain: one row per company, part, method and metric (see COLUMNS), in the plans' order."""
    done: dict[Plan, pd.DataFrame] = {}
    if workers == 1 or len(todo) == 1:
        for number, plan in enumerate(todo, 1):
            done[plan] = _one(plan)
            if progress:
                progress(number, len(todo), plan)
    else:
        threads = str(max(1, (os.cpu_count() or 1) // workers))
        started = {name: os.environ.get(name) for name in THREADS}
        os.environ |= dict.fromkeys(started, threads)
        try:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(workers, mp_context=context) as pool:
                waiting = {pool.submit(_one, plan): plan for plan in todo}
                for number, future in enumerate(as_completed(waiting), 1):
                    done[waiting[future]] = future.result()
                    if progress:
                        progress(number, len(todo), waiting[future])
        finally:
            for name, value in started.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
    return pd.concat([done[plan] for plan in todo], ignore_index=True)[COLUMNS]


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """Median, its 90 % interval and the worst decile over the companies of a family.

    Grain: one row per part, preset, family, method and metric, as `evaluation.against_truth.over_worlds` says. Coverages
    and hits (0 or 1 in a company) are told as `mean` too: their median says little.
    """
    from salesml.evaluation.against_truth import over_worlds

    parts = []
    for names, rows in results.groupby(["part", "preset"], sort=False):
        told = over_worlds(rows[["family", "method", "metric", "seed", "value"]], FIGURES)
        means = rows.groupby(["family", "method", "metric"])["value"].mean().rename("mean").reset_index()
        told = told.merge(means, on=["family", "method", "metric"])
        told.insert(0, "part", str(names[0]))
        told.insert(1, "preset", str(names[1]))
        parts.append(told)
    return pd.concat(parts, ignore_index=True)


def _one(plan: Plan) -> pd.DataFrame:
    return judge(plan.world()).assign(**asdict(plan))
