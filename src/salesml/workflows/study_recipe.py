"""From the columns of a file to the features of a study's model: decided once, repeated when scoring."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from salesml.errors import BadInput
from salesml.workflows.study_columns import Holds, converted, told

RECIPE_FILE = "study.json"
EPOCH = pd.Timestamp("1970-01-01")
ALL_DIFFERENT = 0.98  # of the rows: a text or integer that differs so often names the row


@dataclass(frozen=True)
class Recipe:
    """What each feature's column holds, and which columns name the row (`id`) and its time.

    A date becomes days after the row's time; where the study has no dated time column, days after 1970-01-01.
    """

    features: dict[str, Holds]
    id: str | None = None
    time: str | None = None
    time_holds: Holds | None = None

    def frame(self, table: pd.DataFrame) -> pd.DataFrame:
        """The features of a file's rows: float64 or text. BadInput names the columns that are missing."""
        dated = self.time is not None and any(holds.kind == "date" for holds in self.features.values())
        needed = [*self.features, *([self.time] if dated and self.time_holds else [])]
        absent = [name for name in needed if name not in table.columns]
        if absent:
            listed = ", ".join(map(str, absent))
            reason = f"missing {len(absent)} of the {len(needed)} columns that the model needs: {listed}"
            raise BadInput(reason, mend=f"The file has: {', '.join(map(str, table.columns))}.")
        return pd.DataFrame(
            {
                name: self._days(table, name, holds) if holds.kind == "date" else converted(table[name], holds)
                for name, holds in self.features.items()
            },
            index=table.index,
        )

    def only(self, names: Collection[str]) -> Recipe:
        """The recipe of these features."""
        return replace(self, features={name: holds for name, holds in self.features.items() if name in names})

    def save(self, folder: Path) -> None:
        """Write study.json into the model's folder."""
        (folder / RECIPE_FILE).write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Recipe:
        """Read what `save` wrote."""
        content = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
        features = {name: Holds(**holds) for name, holds in content["features"].items()}
        time_holds = content["time_holds"]
        return cls(features, content["id"], content["time"], Holds(**time_holds) if time_holds else None)

    def _days(self, table: pd.DataFrame, name: str, holds: Holds) -> pd.Series:
        since = pd.Series(EPOCH, index=table.index)
        if self.time_holds is not None and self.time_holds.kind == "date":
            since = converted(table[str(self.time)], self.time_holds)
        return (converted(table[name], holds) - since).dt.total_seconds() / 86_400


def told_features(table: pd.DataFrame, keep: Collection[str]) -> tuple[dict[str, Holds], dict[str, str]]:
    """What each usable column holds, and why the others are left out: constant, or different in nearly every row.

    A column in `keep` is used whatever it holds.
    """
    used: dict[str, Holds] = {}
    left_out: dict[str, str] = {}
    for name in map(str, table.columns):
        try:
            holds = told(table[name])
        except BadInput as error:
            left_out[name] = error.reason
            continue
        reason = None if name in keep else _useless(converted(table[name], holds), holds)
        if reason:
            left_out[name] = reason
        else:
            used[name] = holds
    return used, left_out


def _useless(column: pd.Series, holds: Holds) -> str | None:
    different, filled = column.nunique(), int(column.notna().sum())
    if not filled:
        return "empty"
    if different == 1 and filled == len(column):
        return f"always {column.iloc[0]}"
    whole = holds.kind == "number" and (column.dropna() % 1 == 0).all()
    if filled >= 50 and different >= ALL_DIFFERENT * filled and (holds.kind == "text" or whole):
        return f"{different:,} different values in {filled:,} rows: it names the row"
    return None
