"""Whom a treatment changes: a randomised experiment in one file, or the workspace's leads that got the nurture programme by lot."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.features.leads import LEADS
from salesml.features.spines import lead_lives
from salesml.lake import Lake, View, visible
from salesml.models.columns import text_of
from salesml.models.randomised import filled_with_outcome
from salesml.workflows.leads import conversion_days
from salesml.workflows.study_columns import Holds, converted, told
from salesml.workflows.study_input import Sheet, read_table
from salesml.workflows.study_recipe import Recipe, told_features
from salesml.workflows.uplift_arm import ArmUplift, Asked, judge_arm
from salesml.workspace import Workspace

NURTURED, CHOSEN_BY, LOT = "nurture", "by", "lot"
INSTANT = dt.timedelta(microseconds=1)


@dataclass(frozen=True)
class UpliftStudy:
    """The treatments of an experiment, each against the control. left_out: why a column is not used; notes: what else to know."""

    source: str
    features: tuple[str, ...]
    arms: tuple[ArmUplift, ...]
    left_out: dict[str, str]
    notes: tuple[str, ...]
    head_id: int | None = None

    @property
    def sentence(self) -> str:
        """What was found of each treatment, and the notes."""
        return " ".join([*(arm.sentence for arm in self.arms), *self.notes])

    def arm(self, name: str = "") -> ArmUplift:
        """The treatment of that name, the first without; UnknownName lists them."""
        named = {arm.asked.arm: arm for arm in self.arms}
        if name and name not in named:
            raise UnknownName("treatment", name, named)
        return named[name] if name else self.arms[0]


def uplift_study(
    source: Path | pd.DataFrame,
    *,
    treatment: str,
    control: str,
    outcome: str,
    id: str | None = None,
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    worth: float = 1.0,
    cost: float = 0.0,
    seed: int = 0,
    threads: int = 1,
) -> UpliftStudy:
    """Study a table with one row per person: column `treatment` says by what each was treated, by lot, `control` is its value for none.

    outcome: a column of 0 and 1 or of numbers. Columns filled in with the outcome are found and left out, unless in `keep`; `drop`: others
    that were not known before the treatment. worth: of a unit of outcome, cost: of a treatment, in one currency. Folds go by hash of `id`,
    or of the row's content, so that the order of rows does not matter. Raises UnknownName, NotEnoughData; BadInput for an outcome that is
    no number, for ids that repeat, and where the groups were not made by lot.
    """
    sheet = read_table(source) if isinstance(source, Path) else Sheet("table", source.reset_index(drop=True), source[:0], (), "")
    table = sheet.frame
    named = [treatment, outcome, *([id] if id else [])]
    for name in (*named, *drop, *keep):
        if name not in table.columns:
            raise UnknownName(f"column in {sheet.file}:", name, table.columns)
    groups, y, notes = converted(table[treatment], Holds("text")), _outcome(table[outcome], sheet.file), list(sheet.notes)
    if control not in set(groups.dropna()):
        raise UnknownName(f"value of {treatment} as control:", control, groups.dropna().unique())
    good = (groups.notna() & y.notna()).to_numpy()
    if not good.all():
        notes.append(f"{(~good).sum():,} of {len(good):,} rows have no {treatment} or no {outcome} and are left out.")
    table, groups, y = table[good], groups[good], y[good]
    keys = _content(table.assign(**{treatment: groups, outcome: y})) if id is None else _ids(table[id], sheet.file)
    used, left_out = told_features(table.drop(columns=list({*named, *drop})), keep)
    X = Recipe(used).frame(table)
    late = {name: why for name, why in filled_with_outcome(X, y.to_numpy()).items() if name not in keep}
    X = X.drop(columns=list(late))
    arms = []
    for arm in sorted(set(groups) - {control}):
        inside = groups.isin([arm, control])
        treated = groups[inside].eq(arm).to_numpy("float64")
        asked = Asked(arm, control, outcome, worth, cost)
        rows = (X[inside].reset_index(drop=True), treated, y[inside].to_numpy(), keys[inside].to_numpy())
        arms.append(judge_arm(*rows, asked, seed=seed, threads=threads))
    if not arms:
        raise NotEnoughData(f"every row of {sheet.file} has {treatment} {control}: nobody was treated")
    left_out |= {**dict.fromkeys(drop, "asked for with --drop"), **late}
    return UpliftStudy(sheet.file, tuple(map(str, X.columns)), tuple(arms), left_out, tuple(notes))


def uplift_of_leads(
    workspace: Workspace,
    as_of: str | dt.date | dt.datetime | None = None,
    within_days: int | None = None,
    *,
    worth: float = 1.0,
    cost: float = 0.0,
    seed: int = 0,
    threads: int = 1,
) -> UpliftStudy:
    """Whom the nurture programme changes, of leads for which a lot decided (`lead.custom`: {"nurture": "yes" or "no", "by": "lot"}).

    One row per lead, with what was known when the lot was drawn: when `custom` first says so, mostly on arrival. The outcome is whether it
    converted within `within_days` after that (default: the days in which nine in ten conversions come); leads drawn less than that before
    as_of are left out, as they have not failed yet. worth: of a conversion, cost: of a treatment. Writes nothing. Raises NotEnoughData,
    BadParameter; BadInput where the lot was none.
    """
    if within_days is not None and within_days < 1:
        raise BadParameter(f"within_days {within_days!r} is not a positive number of days")
    tables = Lake(workspace).open()
    cutoff = tables.instant(as_of)
    view = visible(tables, cutoff)
    drawn = _drawn(view)
    if drawn.empty:
        raise NotEnoughData(
            f"as of {cutoff:%Y-%m-%d} no lead is known for which a lot decided on nurture (custom: "
            '{"nurture": "yes" or "no", "by": "lot"}); import such leads, or give the file of an experiment'
        )
    horizon = within_days or conversion_days(view.frame(lead_lives(view)), cutoff)
    old = drawn[drawn["drawn_at"] + pd.Timedelta(days=horizon) < pd.Timestamp(cutoff)]
    instants = pa.array((old["drawn_at"] + INSTANT).dt.to_pydatetime(), pa.timestamp("us", tz="UTC"))
    known = LEADS.frame(visible(tables, pa.table({"lead_id": pa.array(old["lead_id"]), "as_of": instants})))
    rows = known.merge(old, on="lead_id")
    in_time = rows["closed_at"] - rows["drawn_at"] <= pd.Timedelta(days=horizon)
    y = (rows["became"].eq("converted") & in_time).to_numpy("float64")
    names = [name for name in LEADS.hard_to_fake if rows[name].nunique(dropna=False) > 1]
    asked = Asked("nurture", "none", "conversions", worth, cost)
    arm = judge_arm(
        rows[names], rows["nurtured"].to_numpy("float64"), y, rows["lead_id"].to_numpy(), asked, seed=seed, threads=threads
    )
    left_out = {name: "the same for every lead when it arrives" for name in LEADS.hard_to_fake if name not in names}
    day = workspace.local_date(cutoff)
    note = (
        f"Conversions count within {horizon} days after the lot; {len(drawn) - len(old):,} of {len(drawn):,} leads were drawn less than "
        f"that before {day} and are left out."
    )
    return UpliftStudy(f"leads of {workspace.settings.name}, {day}", tuple(names), (arm,), left_out, (note,), tables.head.id)


def _drawn(view: View) -> pd.DataFrame:
    """Leads for which a lot decided before they were closed: lead_id, nurtured, drawn_at, became (status now), closed_at."""
    facts = view.facts("lead")
    told = facts.filter(facts.custom.contains(f'"{LOT}"'))
    first = view.frame(told.group_by("lead_id").aggregate(custom=told.custom.argmin(told.known_at), drawn_at=told.known_at.min()))
    programme = first["custom"].map(json.loads)
    def drawn(one: object) -> bool:
        return isinstance(one, dict) and one.get(CHOSEN_BY) == LOT and one.get(NURTURED) in ("yes", "no")

    by_lot = programme.map(drawn).astype(bool)
    first = first[by_lot].assign(nurtured=programme[by_lot].map(lambda one: one[NURTURED] == "yes"))
    found = first.merge(view.frame(lead_lives(view)).rename(columns={"status": "became"}), on="lead_id")
    return found[~(found["closed_at"] <= found["drawn_at"])].sort_values("lead_id", ignore_index=True)


def _outcome(column: pd.Series, file: str) -> pd.Series:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("float64")
    holds = told(column)
    if holds.kind != "number":
        shown = ", ".join(map(str, column.dropna().unique()[:5]))
        raise BadInput("the outcome is no number", file, None, str(column.name), shown, "Write it as 1 and 0, or as an amount.")
    return converted(column, holds)


def _ids(column: pd.Series, file: str) -> pd.Series:
    texts = column.map(text_of, na_action="ignore")
    if (twice := texts.duplicated() | texts.isna()).any():
        value = str(texts[twice].iloc[0])
        raise BadInput("an id is missing or repeats", file, None, str(column.name), value, "Give one row, with an id, per person.")
    return texts


def _content(rows: pd.DataFrame) -> pd.Series:
    """What names a row whatever its place: its content, and which of the rows alike it is."""
    content = pd.util.hash_pandas_object(rows, index=False)
    return content.astype("str") + ":" + np.asarray(content.groupby(content).cumcount().astype("str"))
