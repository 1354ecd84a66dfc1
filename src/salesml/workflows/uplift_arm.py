"""One treatment against its control: checked to be by lot, cross-fitted, judged on rows that the models have not seen, put in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import pandas as pd

from salesml.errors import BadInput
from salesml.evaluation import uplift as judged
from salesml.evaluation.metrics import Measured
from salesml.models.randomised import Balance, balance
from salesml.models.uplift import UpliftModel, crossfitted

FOLDS = 5
HALF, FIFTH = 0.5, 0.2
NOBODY, EVERYBODY, BEST_HALF, BEST_FIFTH, PAYS = "nobody", "everybody", "best half", "best fifth", "where it pays"
DOUBT = 0.05
MEMBERS, RESAMPLES = 6, 1000


@dataclass(frozen=True)
class Asked:
    """The treatment `arm` against `control` in `outcome`. worth: of a unit of outcome, cost: of a treatment, in one currency."""

    arm: str
    control: str
    outcome: str
    worth: float = 1.0
    cost: float = 0.0


@dataclass(frozen=True)
class ArmUplift:
    """What was found of one treatment; figures are of rows judged by models that have not seen them, intervals 95 %.

    People are put in order by the learners' unshrunk signal (an order that is no better than a lot costs nothing where as many are treated
    anyway), sizes are the predicted uplift, shrunk and withheld where it is not sure. means, counts: outcome and people, treated and not.
    average: effect a head on everybody. differ: line of readings on the signal; its p-value tells whether people differ in the effect.
    slope: of readings on predicted uplift (1: true in size; NaN where everybody is alike); tenths: `evaluation.uplift.by_tenth`; gaps_p:
    `gaps_by_chance`. ranking, curve: `ranking`, the signal ranked within folds. policies: `policies`. more: what treating the best half
    gains a head beyond treating a random half. alike: share of people whose model predicts that all are alike. rows: key, treated, y,
    predicted, signal, fold, one row a person. model: fitted on all rows, for people to come.
    """

    asked: Asked
    chance: bool
    means: tuple[float, float]
    counts: tuple[int, int]
    average: Measured
    differ: judged.Line
    slope: Measured
    gaps_p: float
    ranking: dict[str, Measured]
    curve: pd.DataFrame
    tenths: pd.DataFrame
    policies: pd.DataFrame
    more: Measured
    alike: float
    check: Balance
    rows: pd.DataFrame = field(repr=False)
    model: UpliftModel = field(repr=False)

    @property
    def per_treatment(self) -> Measured:
        """What a treatment of the best half gains beyond a treatment of everybody: the same comparison, for each treatment."""
        return Measured(*(value / HALF for value in vars(self.more).values()))

    @property
    def people_differ(self) -> bool:
        """Whether it is shown, on rows not learnt from, that people differ in the effect and that it can be told who."""
        return self.differ.p_value < DOUBT

    @property
    def differ_p_value(self) -> float | None:
        """The p-value of `differ`; None where the learners tell nobody apart."""
        return None if np.isnan(self.differ.p_value) else self.differ.p_value

    @property
    def slope_value(self) -> float | None:
        """The calibration slope; None where everybody is predicted alike."""
        return None if np.isnan(self.slope.value) else self.slope.value

    @property
    def sentence(self) -> str:
        """Average effect, whether people differ, what choosing brings, whether the predictions are true in size."""
        return " ".join([self._effect(), self._choice(), self._truth(), self._doubt()]).strip()

    def shown(self, figure: Measured) -> str:
        """An effect with its interval: per 100 people for yes/no outcomes, else a head."""
        value, lo, hi = (self.scale * each for each in vars(figure).values())
        digits = 2 if self.chance else 3
        return f"{value:.{digits}f} ({lo:.{digits}f} to {hi:.{digits}f})"

    @property
    def scale(self) -> float:
        """What effects are multiplied by to be in `unit`."""
        return 100.0 if self.chance else 1.0

    @property
    def unit(self) -> str:
        """What effects are counted in."""
        return f"{self.asked.outcome} per 100 people" if self.chance else f"{self.asked.outcome} a head"

    def _effect(self) -> str:
        return f"{self.asked.arm} against {self.asked.control}: {self.shown(self.average)} more {self.unit}, 95 % interval."

    def _choice(self) -> str:
        p = _chance(self.differ.p_value)
        share = self.ranking["qini_share"].value
        gain = f"the half put first gain {self.shown(self.more)} more than a random half"
        if self.people_differ:
            sure = "" if self.more.lo > 0 else ", which is not sure"
            return f"People differ in the effect ({p}): treated alone, {gain}{sure} (over all budgets {share:+.0%})."
        if np.isnan(self.differ.p_value):
            return "Nothing shows that people differ in the effect: everybody is predicted alike, and a lot is as good as any choice."
        return f"Nothing shows that people differ in the effect ({p}): take everybody as alike; {gain}."

    def _truth(self) -> str:
        if np.isnan(self.slope.value) or not self.people_differ:
            return ""
        true = self.slope.lo <= 1 <= self.slope.hi and self.gaps_p > DOUBT
        inside = int(((self.tenths["lo"] <= self.tenths["predicted"]) & (self.tenths["predicted"] <= self.tenths["hi"])).sum())
        verdict = "Predicted uplifts agree with what is observed" if true else "Predicted uplifts do not agree with what is observed"
        slope = f"slope {self.slope.value:.2f}, {self.slope.lo:.2f} to {self.slope.hi:.2f}"
        return f"{verdict} ({slope}; {inside} of {len(self.tenths)} tenths within their intervals, {_chance(self.gaps_p)})."

    def _doubt(self) -> str:
        if self.check.verdict != "odd":
            return ""
        worst, chance = self.check.columns.iloc[0]["column"], _chance(self.check.p_value)
        return f"The groups differ before the treatment more than a lot usually makes them ({chance}, most in {worst})."


def judge_arm(
    X: pd.DataFrame, treated: np.ndarray, y: np.ndarray, keys: np.ndarray, asked: Asked, *, seed: int = 0, threads: int = 1
) -> ArmUplift:
    """Judge one treatment: one row per person, treated 0/1 by lot, y 0/1 or a number, keys that name the rows whatever their order.

    Five folds by hash of the key; models, their weights and their calibration are made on the other folds. Raises BadInput where the
    groups were not made by lot, NotEnoughData.
    """
    w = np.asarray(treated, dtype="float64")
    check = balance(X, w, seed=seed, threads=threads)
    if check.verdict == "not random":
        raise BadInput(_unlike(check, asked), mend=MEND)
    folds = _folds(keys, seed)
    told = crossfitted(X, w, y, folds, seed=seed, threads=threads)
    predicted, signal = told["predicted"].to_numpy(), told["signal"].to_numpy()
    scores = judged.effect_scores(y, w, float(w.mean()), told["mean_treated"].to_numpy(), told["mean_control"].to_numpy())
    figures, curve = judged.ranking(judged.rank_within(signal, folds), w, y, resamples=RESAMPLES, seed=seed)
    tenths = judged.by_tenth(predicted, scores.effect)
    treat = {
        NOBODY: np.zeros(len(w)),
        EVERYBODY: np.ones(len(w)),
        BEST_HALF: judged.top_share(signal, HALF, folds),
        BEST_FIFTH: judged.top_share(signal, FIFTH, folds),
        PAYS: (asked.worth * predicted > asked.cost).astype("float64"),
    }
    policies = judged.policies(treat, scores, worth=asked.worth, cost=asked.cost, resamples=RESAMPLES, seed=seed)
    named = policies.set_index("policy")
    return ArmUplift(
        asked=asked,
        chance=set(np.unique(y)) <= {0.0, 1.0},
        means=(float(y[w == 1].mean()), float(y[w == 0].mean())),
        counts=(int(w.sum()), int((1 - w).sum())),
        average=Measured(*named.loc[EVERYBODY, ["gain", "lo", "hi"]]),
        differ=judged.line(signal, scores.effect, folds),
        slope=judged.line(predicted, scores.effect, folds).slope,
        gaps_p=judged.gaps_by_chance(tenths),
        ranking=figures,
        curve=curve,
        tenths=tenths,
        policies=policies,
        more=Measured(*named.loc[BEST_HALF, ["more", "more_lo", "more_hi"]]),
        alike=float(told["alike"].mean()),
        check=check,
        rows=pd.DataFrame({"key": keys, "treated": w.astype("int64"), "y": y, "predicted": predicted, "signal": signal, "fold": folds}),
        model=UpliftModel.fit(X, w, y, members=MEMBERS, seed=seed, threads=threads),
    )


MEND = "If that column was filled in after the treatment, leave it out with --drop; if not, the effect cannot be told from this table."


def _unlike(check: Balance, asked: Asked) -> str:
    worst = check.columns.iloc[0]
    return (
        f"{asked.arm} and {asked.control} are no groups made by lot: before the treatment they differ ({_chance(check.p_value)}; most in "
        f"{worst['column']}, by {abs(worst['difference']):.2f} standard deviations; a model tells them apart with an AUC of "
        f"{check.told_apart.value:.3f})"
    )


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def _folds(keys: np.ndarray, seed: int) -> np.ndarray:
    """A fold per row by hash of seed and key: the same whatever rows stand around it."""
    return np.array([int.from_bytes(blake2b(f"{seed}:{key}".encode(), digest_size=8).digest(), "big") % FOLDS for key in keys])
