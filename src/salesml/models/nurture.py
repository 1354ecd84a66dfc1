"""Which option of a step a lead gets: even chances at first, then by what was learnt, with the chance of every choice known exactly.

What is learnt is the share of decisions that paid (converted within the programme's days), by option and segment. A segment's share with
an option is the segment's own level, plus what the option does anywhere, plus what it does in this segment; the last two are drawn towards
0 by normal priors whose spread is averaged over a grid (Lindley and Smith 1972, "Bayes estimates for the linear model"). Options are then
chosen as often as they are likely to be the best (Thompson 1933, "On the likelihood that one unknown probability exceeds another"), a part
of the choices always evenly. While a test finds no difference the chances stay even, and the policy says so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import chi2

from salesml.errors import BadInput
from salesml.evaluation import arrays
from salesml.models.nurture_programme import Programme, Step, lot

HELD_OUT = "lot"
DOUBT = 0.05
SPREADS = (0.0, 0.1, 0.2, 0.4, 0.8)
"""How far options may differ, as shares of the share that pays: the grid of prior spreads, each as likely as the others."""
DRAWS, LEVEL = 4_000, 0.9
SMOOTHING = 5
"""Decisions at everybody's share that the variance of a cell is reckoned with."""
FEWEST_PAID = 20
"""Decisions of a step that paid below which nothing is learnt from it."""
COLUMNS = ["step", "segment", "option", "probability", "decisions", "paid", "rate", "mean", "lo", "hi"]


@dataclass(frozen=True)
class Policy:
    """The chance of every option by step and segment, and in words what each step's chances rest on.

    table: step, segment, option, probability (sums to 1 by step and segment), decisions, paid, rate (share that paid, weighted by the
    inverse of the chance), mean, lo, hi (the shrunken share with its 90 % interval; missing where the chances are even for want of
    evidence). Segments that are not in it get even chances.
    """

    programme: Programme
    table: pd.DataFrame
    said: dict[int, str]

    @cached_property
    def version(self) -> str:
        """"even", or the first twelve digits of the digest of its chances."""
        if self.table.empty:
            return "even"
        text = self.table[["step", "segment", "option", "probability"]].round(9).to_csv(index=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def chances(self, step: int, segment: str) -> dict[str, float]:
        """The chance of each option of a step in a segment."""
        names = [option.name for option in self.programme.steps[step - 1].options]
        mine = self._kept.get((step, segment))
        return dict.fromkeys(names, 1 / len(names)) if mine is None else {name: mine[name] for name in names}

    @cached_property
    def _kept(self) -> dict[tuple[int, str], dict[str, float]]:
        found: dict[tuple[int, str], dict[str, float]] = {}
        for step, segment, option, chance in self.table[COLUMNS[:4]].itertuples(index=False, name=None):
            found.setdefault((int(step), str(segment)), {})[option] = float(chance)
        return found

    def choose(self, rows: pd.DataFrame) -> pd.DataFrame:
        """An option for each row (lead_id, step, segment), drawn by a hash of lead, step and policy: option and its chance.

        Asked again, the same is drawn. Grain: as `rows`.
        """
        drawn = []
        for lead, step, segment in rows[["lead_id", "step", "segment"]].itertuples(index=False, name=None):
            chances = self.chances(int(step), segment)
            reached = np.cumsum(list(chances.values()))
            place = min(int(np.searchsorted(reached, lot(self.programme.name, lead, step, self.version), side="right")), len(chances) - 1)
            drawn.append((list(chances)[place], list(chances.values())[place]))
        return pd.DataFrame(drawn, columns=["option", "chance"], index=rows.index)

    def signature(self, option: str) -> str:
        """What column `policy` of table `nurture` says: programme@version/policy#option."""
        return f"{self.programme.name}@{self.programme.version}/{self.version}#{option}"


def held_out_signature(programme: Programme) -> str:
    """What column `policy` says of a lead that is held out."""
    return f"{programme.name}@{programme.version}/{HELD_OUT}"


def read_signature(policies: pd.Series) -> pd.DataFrame:
    """The parts of column `policy`: programme, programme_version, policy_version, option (missing where held out)."""
    return policies.str.extract(r"^(?P<programme>[^@]*)@(?P<programme_version>[^/]*)/(?P<policy_version>[^#]*)(?:#(?P<option>.*))?$")


def even(programme: Programme, why: str = "nothing is known yet") -> Policy:
    """The policy that knows nothing: every option of a step with the same chance."""
    return Policy(programme, pd.DataFrame(columns=COLUMNS), {step.number: _even(step, why) for step in programme.steps})


def learn(programme: Programme, decisions: pd.DataFrame, seed: int = 0) -> Policy:
    """The policy that the decisions so far speak for.

    decisions: one row per decision that is old enough to be judged: step, option, segment, propensity (chance of the row, above 0), paid
    (0 or 1). Options that a step no longer has are left out. A step keeps even chances below 20 decisions that paid, and while a test
    within segments (weighted least squares, 5 %) finds no difference between its options. It is asked anew with every plan: over many
    plans chance alone will sometimes look like a difference, which shrinkage and the even part keep small.
    """
    held = arrays.columns("the decisions", decisions, ("step", "option", "segment", "propensity", "paid"))
    if len(decisions):
        chance, paid = arrays.numbers(propensity=held["propensity"], paid=held["paid"])
        arrays.refuse("propensity", chance, (chance <= 0) | (chance > 1), "are no chance above 0 and at most 1")
        arrays.refuse("paid", paid, (paid != 0) & (paid != 1), "are neither 0 nor 1")
    tables, said = [], {}
    for step in programme.steps:
        names = [option.name for option in step.options]
        mine = decisions[(decisions["step"] == step.number) & decisions["option"].isin(names)]
        table, said[step.number] = _learnt(step, mine, programme.explore, seed)
        tables += [] if table is None else [table]
    return Policy(programme, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS), said)


def _learnt(step: Step, rows: pd.DataFrame, explore: float, seed: int) -> tuple[pd.DataFrame | None, str]:
    names = [option.name for option in step.options]
    if len(names) == 1:
        return None, f"Step {step.number} has one option, {names[0]}: there is nothing to choose."
    paid = int(rows["paid"].sum())
    if paid < FEWEST_PAID:
        return None, _even(step, f"{paid} of {len(rows):,} decisions paid, {FEWEST_PAID} are the least to learn from")
    cells = _cells(rows, names)
    doubt = difference_p(cells)
    if not doubt < DOUBT:
        return None, _even(step, f"no option is surely better (p = {doubt:.2f}, {len(rows):,} decisions, {paid:,} paid)")
    draws = _draws(cells, seed)  # draw × segment × option
    best = (draws.argmax(axis=2)[:, :, None] == np.arange(len(names))).mean(axis=0)
    chance = explore / len(names) + (1 - explore) * best
    lo, hi = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    found = cells.assign(
        step=step.number, probability=chance.ravel(), mean=draws.mean(axis=0).ravel(), lo=lo.ravel(), hi=hi.ravel()
    )[COLUMNS]
    overall = found.assign(weighted=found["mean"] * found.groupby("segment")["decisions"].transform("sum"))
    first = overall.groupby("option", sort=False)["weighted"].sum().idxmax()
    told = f"{first} does best over all (p = {doubt:.3f} that options are alike, {len(rows):,} decisions, {paid:,} paid)"
    return found, f"Step {step.number}: {told}; {explore:.0%} of the choices stay even."


def _even(step: Step, why: str) -> str:
    return f"Step {step.number}: even chances for {', '.join(option.name for option in step.options)}; {why}."


def _cells(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Segment × option: decisions, paid, rate and its variance, rows weighted by 1 ÷ chance so that a change of chances tilts nothing."""
    weight = 1 / rows["propensity"].astype("float64")
    sums = rows.assign(w=weight, wy=weight * rows["paid"], ww=weight**2, decisions=1).groupby(["segment", "option"])
    index = pd.MultiIndex.from_product([sorted(rows["segment"].unique()), names], names=["segment", "option"])
    cells = sums[["w", "wy", "ww", "decisions", "paid"]].sum().reindex(index, fill_value=0).reset_index()
    base = float(rows["paid"].mean())
    rate = (cells["wy"] / cells["w"]).where(cells["w"] > 0)
    effective = (cells["w"] ** 2 / cells["ww"]).where(cells["ww"] > 0, 0.0)
    smooth = (effective * rate.fillna(base) + SMOOTHING * base) / (effective + SMOOTHING)  # no share of 0 or 1 is taken for sure
    return cells.assign(rate=rate, variance=(smooth * (1 - smooth) / effective).where(effective > 0))


def difference_p(cells: pd.DataFrame) -> float:
    """The chance of cells (segment, option, rate, variance) this different if options were alike in every segment.

    Of two tests, on options over all segments and on their differing by segment, the smaller p-value, twice (Bonferroni).
    """
    seen = cells[cells["variance"].notna()]
    if seen.empty:
        raise BadInput("no cell has a decision", column="variance", mend="Give at least one segment with decisions.")
    segment, option = (pd.get_dummies(seen[name]).to_numpy("float64") for name in ("segment", "option"))
    root = 1 / np.sqrt(seen["variance"].to_numpy("float64"))
    levels, both = segment * root[:, None], np.column_stack([segment, option]) * root[:, None]
    y = seen["rate"].to_numpy("float64") * root
    rest = [float(((y - one @ np.linalg.lstsq(one, y, rcond=None)[0]) ** 2).sum()) for one in (levels, both)]
    free = [len(seen) - int(np.linalg.matrix_rank(one)) for one in (levels, both)]
    p = [chi2.sf(max(rest[0] - rest[1], 0), free[0] - free[1]) if free[0] > free[1] else 1.0]
    p += [chi2.sf(rest[1], free[1])] if free[1] > 0 else []
    return float(min(1.0, len(p) * min(p)))


def _draws(cells: pd.DataFrame, seed: int) -> np.ndarray:
    """Draws of every cell's share: segment level (flat), option, option in the segment (normal, spread by its likelihood)."""
    segments, options = cells["segment"].nunique(), cells["option"].nunique()
    n = segments * options
    of = np.arange(n)
    design = np.column_stack([np.eye(segments)[of // options], np.eye(options)[of % options], np.eye(n)])
    seen = cells["variance"].notna().to_numpy()
    y, precision = cells["rate"].to_numpy("float64")[seen], 1 / cells["variance"].to_numpy("float64")[seen]
    base = float(cells["paid"].sum() / cells["decisions"].sum())
    posteriors = []
    for wide in SPREADS:
        for narrow in SPREADS:
            prior = np.r_[np.full(segments, np.inf), np.full(options, (wide * base) ** 2), np.full(n, (narrow * base) ** 2)]
            kept = prior > 0
            x, inverse = design[seen][:, kept], np.where(np.isinf(prior[kept]), 1e-9, 1 / prior[kept])
            information = x.T @ (x * precision[:, None]) + np.diag(inverse)
            root = np.linalg.cholesky(information)
            mean = np.linalg.solve(information, x.T @ (precision * y))
            fit = float((precision * y**2).sum() - mean @ information @ mean)
            evidence = -0.5 * fit - np.log(np.diag(root)).sum() + 0.5 * np.log(inverse[~np.isinf(prior[kept])]).sum()
            posteriors.append((evidence, design[:, kept], mean, root))
    weight = np.array([one[0] for one in posteriors])
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(DRAWS, np.exp(weight - logsumexp(weight)))
    drawn = [
        x @ (mean[:, None] + np.linalg.solve(root.T, rng.standard_normal((len(mean), count))))
        for (_, x, mean, root), count in zip(posteriors, counts, strict=True)
        if count
    ]
    return np.concatenate(drawn, axis=1).T.reshape(DRAWS, segments, options)
