"""What nurturing adds and what another policy of it would: from who was held out by lot alone, never from before and after.

Two kinds of programme are read: salesml's own (table `nurture`), and one that a company ran before and recorded in its leads' custom
fields as {"nurture": "yes" or "no", "by": "lot" or "choice"}. Where somebody chose who gets it there is no effect to be had; the
comparison is shown beside the lot's, named for what it is.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from salesml.errors import BadParameter, NotEnoughData, UnknownName
from salesml.evaluation.off_policy import METHODS, policy_values
from salesml.features.leads import LEADS
from salesml.features.spines import lead_lives
from salesml.lake import Lake, Tables, View, visible
from salesml.models.deals import label
from salesml.models.nurture_effect import LEVEL, Difference, Effect, difference, effect, homogeneous, leads_needed
from salesml.models.nurture_programme import Banded, Programme, segment_of
from salesml.workflows.nurture import judged_decisions
from salesml.workflows.nurture_facts import INSTANT, decisions, drawn_in_chance, segments
from salesml.workspace import Workspace

RECORDED = "recorded"
"""The programme's name for what a company recorded in its leads' custom fields."""
BY_SIZE = (Banded("employees", (100.0, 1000.0)),)
WITHIN_DAYS = 60
USEFUL = 0.2
"""The change, as a share of the rate, that a hold-out should be able to show."""
IN, OUT = "programme", "nothing"
EVERYBODY, NOBODY, BEST = "everybody", "nobody", "best segments"
UNEVEN = 0.001


@dataclass(frozen=True)
class NurtureEffect:
    """What a programme adds to conversion within `within_days` of being drawn, as of an instant.

    effect: from the lot; chosen: the difference among leads somebody chose (confounded, no effect; None where nobody did), gap: how far
    it is from the lot's, with its interval (points of 1); young: leads drawn too late to be judged.
    """

    as_of: dt.datetime
    programme: str
    within_days: int
    effect: Effect
    chosen: Difference | None
    gap: tuple[float, float, float] | None
    young: int
    notes: tuple[str, ...]
    head_id: int

    @property
    def sentence(self) -> str:
        """The effect in words."""
        one = self.effect.overall
        verdict = "adds to conversion" if one.lo > 0 else "costs conversions" if one.hi < 0 else "does not surely change conversion"
        told = (
            f"Programme {self.programme!r} {verdict}: {one} within {self.within_days} days, {one.level:.0%} interval, from "
            f"{one.leads_with:,} leads drawn in by lot ({one.rate_with:.1%} converted) and {one.leads_without:,} held out "
            f"({one.rate_without:.1%}). {self.young:,} leads are too young to be judged."
        )
        if self.chosen is not None and self.gap is not None:
            told += (
                f" Where somebody chose who gets it the difference is {self.chosen}: no effect, for who was chosen differs anyway; it is "
                f"{100 * self.gap[0]:+.1f} points ({100 * self.gap[1]:+.1f} to {100 * self.gap[2]:+.1f}) off the lot's."
            )
        return " ".join([told, *self.notes])


def nurture_effect(
    workspace: Workspace, programme: str = RECORDED, as_of: str | dt.date | dt.datetime | None = None, within_days: int = WITHIN_DAYS,
    context: tuple[Banded, ...] = BY_SIZE, level: float = LEVEL,
) -> NurtureEffect:  # fmt: skip
    """What a programme (its name; "recorded": the one in the leads' custom fields) adds to conversion, as of an instant.

    Leads count as drawn, whatever they got (intention to treat), within `within_days` of being drawn; who was drawn later than that before
    `as_of` is left out. `context` cuts them into segments by what was known when they were drawn. Raises NotEnoughData without leads held
    out by lot, saying how many it takes; UnknownName for a programme of which nothing is written.
    """
    tables, cutoff = _opened(workspace, as_of)
    drawn, young = drawn_leads(tables, programme, cutoff, within_days)
    by_lot = drawn[drawn["by"] == "lot"].reset_index(drop=True)
    _require_lot(drawn, by_lot, programme)
    by_lot = by_lot.assign(segment=segments(tables, by_lot, context))
    found = effect(by_lot, level)
    chosen, gap = _chosen(drawn[drawn["by"] == "choice"], found.overall, level)
    notes = (*found.notes, *_lot_notes(by_lot, programme))
    return NurtureEffect(cutoff, programme, within_days, found, chosen, gap, young, notes, tables.head.id)


def nurture_value(
    workspace: Workspace, policies: Mapping[str, float | Mapping[str, float]] | None = None, programme: str = RECORDED,
    as_of: str | dt.date | dt.datetime | None = None, within_days: int = WITHIN_DAYS, context: tuple[Banded, ...] = BY_SIZE,
    methods: tuple[str, ...] = METHODS, level: float = LEVEL, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """What share of the leads would convert under policies that were not followed, from the leads drawn by lot.

    policies: by name the share of leads that get the programme, of all, or by segment (segments not named: 0). Without any: everybody,
    nobody, and "best segments": those that the earlier half of the leads say are surely helped, valued on the later half alone (left out
    where the halves are too small). Who gets it then goes through the same steps as those who got it.

    Grain: one row per policy and method: policy, then the fields of `evaluation.off_policy.PolicyValue`. Raises as `nurture_effect`;
    NotEnoughData where a policy does what no lot ever tried.
    """
    tables, cutoff = _opened(workspace, as_of)
    drawn, _ = drawn_leads(tables, programme, cutoff, within_days)
    rows = drawn[(drawn["by"] == "lot") & drawn["chance"].between(0, 1, inclusive="neither")].reset_index(drop=True)
    _require_lot(drawn, rows, programme)
    features = features_at(tables, rows)
    rows = rows.assign(segment=segment_of(features, context))
    wanted = {EVERYBODY: 1.0, NOBODY: 0.0} if policies is None else policies
    log = logged(rows)
    targets = {name: share_policy(rows["segment"], share) for name, share in wanted.items()}
    found = policy_values(log, targets, methods=methods, features=features[LEADS.names], stratum=rows["segment"], level=level, seed=seed)
    if policies is not None:
        return found
    try:
        best, later = best_segments(rows, within_days)
    except NotEnoughData:
        return found
    part = rows.loc[later, "segment"]
    best = [name for name in best if name in set(part)]
    target = {f"{BEST}: {'; '.join(best) or 'none is surely helped'}": share_policy(part, dict.fromkeys(best, 1.0))}
    beside = features.loc[later, LEADS.names]
    more = policy_values(log.loc[later], target, methods=methods, features=beside, stratum=part, level=level, seed=seed)
    return pd.concat([found, more], ignore_index=True)


def option_values(
    workspace: Workspace, programme: Programme, step: int = 1, policies: Mapping[str, Mapping[str, float]] | None = None,
    as_of: str | dt.date | dt.datetime | None = None, methods: tuple[str, ...] = METHODS, level: float = LEVEL, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """What share of the leads that come to a step would convert if its options were chosen otherwise, from those chosen by lot.

    policies: by name the chance of each option, summing to 1; without any: each option always, and even chances. A policy that was learnt
    from the same decisions may not be judged by them. Grain and errors as `nurture_value`.
    """
    tables, cutoff = _opened(workspace, as_of)
    if step not in [one.number for one in programme.steps]:
        raise UnknownName("step", str(step), [one.number for one in programme.steps])
    judged = judged_decisions(tables, programme, cutoff)
    rows = judged[judged["step"] == step].reset_index(drop=True)
    if rows.empty:
        raise NotEnoughData(f"no decision of step {step} is {programme.within_days} days old: none can be judged yet")
    names = [option.name for option in programme.steps[step - 1].options]
    wanted = policies or {"even": dict.fromkeys(names, 1 / len(names)), **{f"always {name}": {name: 1.0} for name in names}}
    targets = {
        name: pd.DataFrame([chances] * len(rows)).reindex(columns=sorted({*names, *chances})).fillna(0.0)
        for name, chances in wanted.items()
    }
    log = pd.DataFrame({"action": rows["option"], "propensity": rows["chance"], "reward": rows["paid"], "entity": rows["lead_id"]})
    features = features_at(tables, rows)[LEADS.names]
    return policy_values(log, targets, methods=methods, features=features, level=level, seed=seed)


def programmes(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> list[str]:
    """Names of salesml's programmes of which something had been decided before an instant, so that leads of theirs may be judged."""
    return sorted(decisions(visible(*_opened(workspace, as_of)))["programme"].unique())


def best_segments(rows: pd.DataFrame, within_days: int, level: float = LEVEL) -> tuple[list[str], np.ndarray]:
    """Segments that the earlier half of the drawn leads say are surely helped, and the positions of the leads to value that on.

    The later leads were drawn after every outcome that was learnt from was known. Raises NotEnoughData where either part is too small.
    """
    middle = rows["as_of"].sort_values().iloc[len(rows) // 2]
    learnt = effect(rows[rows["as_of"] <= middle - pd.Timedelta(days=within_days)], level).segments
    later = np.flatnonzero(rows["as_of"] >= middle)
    return learnt.loc[learnt["shrunk_lo"] > 0, "segment"].tolist(), later


def share_policy(segment: pd.Series, share: float | Mapping[str, float]) -> pd.DataFrame:
    """A policy for `off_policy`: the chance of the programme in each row, one share for all or by segment (others 0)."""
    given = segment.map(dict(share)).fillna(0.0) if isinstance(share, Mapping) else pd.Series(float(share), index=segment.index)
    if isinstance(share, Mapping) and (strange := set(share) - set(segment)):
        raise UnknownName("segment", sorted(strange)[0], sorted(set(segment)))
    if not given.between(0, 1).all():
        raise BadParameter(f"share {share!r} is not from 0 to 1")
    return pd.DataFrame({IN: given.to_numpy("float64"), OUT: 1 - given.to_numpy("float64")}, index=segment.index)


def logged(rows: pd.DataFrame) -> pd.DataFrame:
    """The leads drawn as a log for `off_policy`: action (programme, nothing), its propensity, reward (converted), entity."""
    inside = rows["drawn_in"].astype("bool")
    return pd.DataFrame({
        "action": np.where(inside, IN, OUT), "propensity": np.where(inside, rows["chance"], 1 - rows["chance"]),
        "reward": rows["converted"].to_numpy("float64"), "entity": rows["lead_id"],
    }, index=rows.index)  # fmt: skip


def drawn_leads(tables: Tables, programme: str, cutoff: dt.datetime, within_days: int) -> tuple[pd.DataFrame, int]:
    """Leads drawn into a programme or held out, old enough to be judged, and how many are not.

    Grain: one row per lead: lead_id, as_of (the instant just after it was drawn), drawn_in, chance (of being drawn in; of a recorded lot
    the share that was), by (lot, choice), converted (0 or 1, within the days), campaign_id (recorded ones).
    """
    if not 1 <= within_days <= 365:
        raise BadParameter(f"within_days {within_days!r} is not from 1 to 365")
    view = visible(tables, cutoff)
    rows = _recorded(view) if programme == RECORDED else _own(view, programme)
    lives = view.frame(lead_lives(view))
    judged = label(rows, lives, within_days, cutoff, within=True, entity="lead_id", outcome="converted").reset_index(drop=True)
    return judged, len(rows) - len(judged)


def features_at(tables: Tables, rows: pd.DataFrame) -> pd.DataFrame:
    """The features of `features.leads` of each row (lead_id, as_of), index as `rows`."""
    asked = rows[["lead_id", "as_of"]].astype({"as_of": INSTANT})
    known = LEADS.frame(visible(tables, asked)).astype({"as_of": INSTANT})
    return asked.merge(known, on=["lead_id", "as_of"], how="left").set_axis(rows.index)


def _opened(workspace: Workspace, as_of: str | dt.date | dt.datetime | None) -> tuple[Tables, dt.datetime]:
    tables = Lake(workspace).open()
    return tables, tables.instant(as_of)


def _recorded(view: View) -> pd.DataFrame:
    """Leads whose custom fields say that they were nurtured or not, and by what."""
    state = view.frame(view.state("lead", ["custom", "campaign_id"]))
    state = state[state["custom"].notna()].reset_index(drop=True)
    told = pd.DataFrame([_fields(text) for text in state["custom"]], columns=["nurture", "by"], index=state.index)
    known = told["nurture"].isin(["yes", "no"]) & told["by"].isin(["lot", "choice"])
    facts = view.facts("lead")
    first = view.frame(facts.group_by("lead_id").aggregate(as_of=facts.known_at.min()))
    rows = state[["lead_id", "campaign_id"]][known].assign(drawn_in=told["nurture"].eq("yes")[known], by=told["by"][known])
    rows = rows.merge(first, on="lead_id")
    at = rows["as_of"].astype(INSTANT) + pd.Timedelta(microseconds=1)
    return rows.assign(as_of=at, chance=rows.groupby("by")["drawn_in"].transform("mean").astype("float64"))


def _own(view: View, programme: str) -> pd.DataFrame:
    """First decisions of salesml's programme; the chance of being drawn in is that of the version (its held-out leads say it)."""
    made = decisions(view)
    mine = made[(made["programme"] == programme) & made["step"].eq(1)]
    if mine.empty:
        raise UnknownName("nurture programme", programme, [RECORDED, *made["programme"].unique()])
    chance = drawn_in_chance(mine)
    rows = mine[["lead_id", "occurred_at"]].rename(columns={"occurred_at": "as_of"})
    return rows.assign(as_of=rows["as_of"].astype(INSTANT), drawn_in=~mine["held_out"], chance=chance, by="lot")


def _require_lot(drawn: pd.DataFrame, by_lot: pd.DataFrame, programme: str) -> None:
    """NotEnoughData, with what it takes, where nobody was held out by lot (or nobody drawn in)."""
    if len(by_lot) and by_lot["drawn_in"].nunique() == 2:
        return
    rate = float(np.clip(drawn["converted"].mean() if len(drawn) else 0.1, 0.01, 0.5))
    leads = leads_needed(rate, USEFUL * rate, USEFUL)
    raise NotEnoughData(
        f"programme {programme!r} has {len(drawn):,} leads that can be judged, but none drawn in by lot beside others held out by lot: "
        "what it adds cannot be known (before and after, or leads that somebody chose, would mislead). Hold a fifth out by lot "
        f"(held_out: {USEFUL:g}): with {leads:,} leads a change by a fifth of the {rate:.1%} that convert shows in four of five cases"
    )


def _chosen(rows: pd.DataFrame, lot: Difference, level: float) -> tuple[Difference | None, tuple[float, float, float] | None]:
    """The difference among leads that somebody chose, and how far it is off the lot's (other leads, so errors add up)."""
    if rows.empty or rows["drawn_in"].nunique() < 2:
        return None, None
    chosen = difference(rows, level)
    off, half = chosen.value - lot.value, float(norm.ppf((1 + level) / 2)) * float(np.hypot(chosen.error, lot.error))
    return chosen, (off, off - half, off + half)


def _lot_notes(rows: pd.DataFrame, programme: str) -> tuple[str, ...]:
    if programme != RECORDED:
        return ()
    share = f"The lot's chance is not on record; {rows['drawn_in'].mean():.1%} were drawn in and count as it."
    if homogeneous(rows.assign(campaign_id=rows["campaign_id"].astype("object").fillna("")), "campaign_id") < UNEVEN:
        return (share, "Campaigns differ in that share more than one lot would make them: their chances were not the same.")
    return (share,)


def _fields(text: object) -> tuple[object, object]:
    try:
        told = json.loads(str(text))
    except ValueError:
        told = None
    return (told.get("nurture"), told.get("by")) if isinstance(told, dict) else (None, None)
