"""What moved the expected revenue of a quarter's deals between two instants: an exact decomposition, deal by deal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import pairwise
from typing import Any

import pandas as pd

from salesml.errors import BadInput

OPEN, WON = "open", "won"
CAUSES = ("new", "won", "lost", "slipped", "pulled_in", "amount", "probability", "model_version", "override")
MEANING = {
    "new": "deals not open before: new, or open again",
    "won": "deals won since, their amount less what was expected; a win taken back counts here too",
    "lost": "deals lost or removed since",
    "slipped": "the expected close left the quarter, or the quarter ended with the deal open",
    "pulled_in": "the expected close moved into the quarter",
    "amount": "another amount, at the chance of now",
    "probability": "another chance by the same model, for the amount of before",
    "model_version": "another version of the model, on the deals as they were before",
    "override": "a person's probability beside the model's, made, moved or ended",
}
CENT, NOTHING = Decimal("0.01"), Decimal("0.00")
COLUMNS = ["opportunity_id", "state", "amount", "due", "chance", "held_chance"]


def decompose(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The change of each deal's expected revenue in parts that sum to it exactly, in cents.

    Grain: one row per deal that is worth something before or after: opportunity_id, before, after (exact money), and a column for
    each of CAUSES. Both inputs have one row per deal that is open or was won in the quarter: opportunity_id, state ("open", "won"),
    amount (currency, missing counts as 0), due (its expected close lies in the quarter), chance (by the model, of being won in the
    quarter, 0..1) and held_chance (chance, or a person's where an override holds); `before` also has renewed_chance, by the model
    version of after. A won deal is worth its amount, an open one amount × held_chance, any other nothing.

    Order, the first that fits: won or no longer won: all of it is `won`; no longer open: `lost`; not open before: `new`. Of a deal
    open at both: model version (chance → renewed_chance), then its chance (→ that of after: slipped or pulled in where `due` changed,
    else probability), all for the amount before; then the amount; what is left is the override. Raises BadInput for a deal given
    twice, another state, or a chance of an open deal outside 0..1.
    """
    old, new = _checked(before, ["renewed_chance"]), _checked(after)
    ids = sorted(set(old) | set(new))
    rows = [{"opportunity_id": deal, **_parts(old.get(deal), new.get(deal))} for deal in ids]
    frame = pd.DataFrame(rows, columns=["opportunity_id", "before", "after", *CAUSES])
    worth = frame[["before", "after", *CAUSES]].astype(bool).any(axis=1)
    return frame[worth].reset_index(drop=True)


def totals(parts: pd.DataFrame) -> pd.DataFrame:
    """Sums over the deals of `decompose`. Grain: one row per cause in their order: cause, amount (exact), deals (with a part), meaning."""
    rows = [(cause, sum(parts[cause], NOTHING), int(parts[cause].astype(bool).sum()), MEANING[cause]) for cause in CAUSES]
    return pd.DataFrame(rows, columns=["cause", "amount", "deals", "meaning"])


def behind(parts: pd.DataFrame) -> pd.DataFrame:
    """The deals behind each cause. Grain: one row per deal and cause with a part: cause, opportunity_id, part, before, after.

    In the order of the causes, the greatest first.
    """
    long = parts.melt(["opportunity_id", "before", "after"], list(CAUSES), "cause", "part")
    long = long[long["part"].astype(bool)]
    order = long.assign(place=long["cause"].map(CAUSES.index), size=long["part"].abs().astype("float64"))
    order = order.sort_values(["place", "size", "opportunity_id"], ascending=[True, False, True], ignore_index=True)
    return order[["cause", "opportunity_id", "part", "before", "after"]]


def _parts(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> dict[str, Decimal]:
    before, after = _worth(old, "held_chance"), _worth(new, "held_chance")
    found = dict.fromkeys(CAUSES, NOTHING) | {"before": before, "after": after}
    was, now = (None if row is None else row["state"] for row in (old, new))
    if was == now == WON:
        return found | {"amount": after - before}
    if now == WON or (was == WON and now == OPEN):
        return found | {"won": after - before}
    if old is None or new is None:
        if new is None:
            return found | {"lost": -before}
        plain = _worth(new, "chance")
        return found | {"new": plain, "override": after - plain}
    path = [
        _cents(old["amount"], old["chance"]),
        _cents(old["amount"], old["renewed_chance"]),
        _cents(old["amount"], new["chance"]),
        _cents(new["amount"], new["chance"]),
    ]
    version, chance, amount = (later - earlier for earlier, later in pairwise(path))
    moved = "probability" if old["due"] == new["due"] else "pulled_in" if new["due"] else "slipped"
    override = (after - path[-1]) - (before - path[0])
    return found | {"model_version": version, moved: chance, "amount": amount, "override": override}


def _worth(row: Mapping[str, Any] | None, chance: str) -> Decimal:
    if row is None:
        return NOTHING
    return _cents(row["amount"], 1.0 if row["state"] == WON else row[chance])


def _cents(amount: Any, chance: float) -> Decimal:
    if pd.isna(amount):
        return NOTHING
    return (Decimal(str(amount)) * Decimal(repr(float(chance)))).quantize(CENT, ROUND_HALF_EVEN)


def _checked(deals: pd.DataFrame, more: list[str] | None = None) -> dict[str, dict[str, Any]]:
    more = more or []
    _refuse(deals, deals["opportunity_id"].duplicated(), "opportunity_id", "the deal comes twice", "Give one row per deal.")
    _refuse(deals, ~deals["state"].isin([OPEN, WON]), "state", "neither open nor won", "Leave other deals out.")
    for name in ("chance", "held_chance", *more):
        values = deals[name].astype("float64")
        bad = deals["state"].eq(OPEN) & ~values.between(0, 1)
        _refuse(deals, bad, name, "the chance of an open deal is missing or outside 0..1", "Score the deal.")
    records = deals[[*COLUMNS, *more]].to_dict("records")
    return {str(row["opportunity_id"]): {str(name): value for name, value in row.items()} for row in records}


def _refuse(deals: pd.DataFrame, bad: pd.Series, column: str, reason: str, mend: str) -> None:
    if bad.any():
        at = int(bad.to_numpy().argmax())
        deal, value = deals["opportunity_id"].iloc[at], str(deals[column].iloc[at])
        raise BadInput(f"deal {deal}: {reason}", row=at + 1, column=column, value=value, mend=mend)
