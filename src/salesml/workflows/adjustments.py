"""Adjustments: a person's own probability for a deal, beside the model's, with a reason, an end and a record.

An adjustment is a fact of table `override`: target_type "prediction", target_id the deal's id, the probability that the deal
is won in the end. It aims at the deal and not at one prediction, for those are new every week. Nothing is ever edited: a
later adjustment replaces the earlier one for good, and a withdrawal is a fact that names what it takes back.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import pandas as pd

from salesml.errors import BadParameter
from salesml.features.spines import CLOSED
from salesml.lake import Lake, Tables, View, visible
from salesml.state import audit
from salesml.state.users import User
from salesml.workflows import signed
from salesml.workflows.deals import MODEL
from salesml.workflows.overview import reigns
from salesml.workspace import Workspace

MOST_DAYS = 180
FEWEST_DEALS = 20
"""Closed deals below which a record says that it is too short to judge by."""
PRIOR_DEALS = 20
"""Deals at everybody's mean difference that an author's record starts with."""
EVERYBODY = "everybody"
STANDING = ["opportunity_id", "override_id", "probability", "reason", "author", "approver", "known_at", "expires_at"]
RECORD = ["author", "adjustments", "deals", "log_loss", "model_log_loss", "difference", "lo", "hi", "shrunk", "verdict"]


@dataclass(frozen=True)
class Adjustment:
    """One adjustment as it was written: a probability for a deal, from `known_at` to before `expires_at`."""

    override_id: str
    deal: str
    probability: float
    reason: str
    author: str
    known_at: dt.datetime
    expires_at: dt.datetime


def adjust(
    workspace: Workspace,
    deal: str,
    probability: float,
    reason: str,
    expires: str | dt.date | dt.datetime,
    by: str | None = None,
) -> Adjustment:
    """Put a person's probability that the open deal is won in the end beside the model's, until before `expires`.

    Written to the audit log and to table `override`, known from now. `by` is the acting user (default: the current one), an
    admin or a manager; a rep has the forecast category, and asks one of them for more. BadParameter for a deal that is unknown or
    not open, a probability not between 0 and 1, a reason of fewer than 3 words, an end that is not in the future or more than
    180 days away, or a user without the role.
    """
    now, author = signed.now(), _permitted(workspace, by)
    if isinstance(probability, bool) or not isinstance(probability, int | float) or not 0 < probability < 1:
        raise BadParameter(f"probability {probability!r} is not between 0 and 1, both excluded; give 0.6 for 60 %")
    told, ends = signed.reason(reason), workspace.instant(expires)
    if not now < ends <= now + dt.timedelta(days=MOST_DAYS):
        last = workspace.local_date(now + dt.timedelta(days=MOST_DAYS))
        raise BadParameter(f"the end {expires} is not in the future, or after {last}: at most {MOST_DAYS} days are allowed")
    _require_open(workspace, deal, now)
    made = Adjustment(f"adj-{uuid.uuid4().hex[:12]}", deal, float(probability), told, author.name, now, ends)
    details = {"override": made.override_id, "probability": made.probability, "reason": told, "expires_at": ends}
    audit.record(workspace, author.name, "adjust", f"deal {deal}", details, at=now)
    _write(workspace, {
        "override_id": made.override_id, "target_id": deal, "probability": made.probability, "reason": told,
        "author": author.name, "approver": author.name, "expires_at": ends, "occurred_at": now, "known_at": now,
    })  # fmt: skip
    return made


def withdraw(workspace: Workspace, override_id: str, reason: str = "no reason given", by: str | None = None) -> None:
    """Take an adjustment back from now on, as a new fact; the deal has none then, not the one before.

    BadParameter for one that is not in force, a reason of fewer than 3 words, or a user who is neither admin nor manager.
    """
    now, author, told = signed.now(), _permitted(workspace, by), signed.reason(reason)
    standing = in_force(Lake(workspace).open(), now).set_index("override_id")
    if override_id not in standing.index:
        known = f"in force: {', '.join(standing.index)}" if len(standing) else "none is in force"
        raise BadParameter(f"adjustment {override_id!r} is not in force ({known}); see: salesml adjust list")
    deal = str(standing.loc[override_id, "opportunity_id"])
    audit.record(workspace, author.name, "withdraw adjustment", f"deal {deal}", {"override": override_id, "reason": told}, at=now)
    _write(workspace, {
        "override_id": f"adj-{uuid.uuid4().hex[:12]}", "target_id": deal, "reason": told, "author": author.name,
        "approver": author.name, "withdraws": override_id, "occurred_at": now, "known_at": now,
    })  # fmt: skip


def in_force(tables: Tables | View, as_of: str | dt.date | dt.datetime | None = None) -> pd.DataFrame:
    """The adjustments that held as of an instant (default: the view's own, else the start of the day after the last fact).

    Grain: one row per deal: opportunity_id, override_id, probability (0..1, won in the end), reason, author, approver,
    known_at, expires_at. Of a deal the latest known counts; it holds while as_of < expires_at, unless it was withdrawn or the
    deal was closed or deleted since.
    """
    view = tables if isinstance(tables, View) else visible(tables, tables.instant(as_of))
    instant = view.as_of
    if instant is None or (isinstance(tables, View) and as_of is not None):
        raise BadParameter("give tables with an as_of, or the view of one instant without")
    facts = _facts(view)
    made = facts[facts["withdraws"].isna()].drop_duplicates("opportunity_id", keep="last")
    held = made[(made["expires_at"] > pd.Timestamp(instant)) & ~made["override_id"].isin(facts["withdraws"])]
    if held.empty:
        return held[STANDING]
    state = view.frame(view.state("opportunity", ["status", "deleted"])).set_index("opportunity_id")
    ids = state.index[(state["status"] == "open") & ~state["deleted"].eq(True)]
    return held[held["opportunity_id"].isin(ids) & ~_closed_since(view, held)][STANDING].reset_index(drop=True)


def with_adjustments(frame: pd.DataFrame, held: pd.DataFrame) -> pd.DataFrame:
    """The frame, one row per opportunity_id, with the adjustments of `in_force` beside its own columns, which stay as they are.

    Adds adjusted (yes or no), and where adjusted adjusted_probability, adjusted_reason, adjusted_by, adjusted_until.
    """
    named = {"probability": "adjusted_probability", "reason": "adjusted_reason", "author": "adjusted_by",
             "expires_at": "adjusted_until"}  # fmt: skip
    beside = held.set_index("opportunity_id")[list(named)].rename(columns=named)
    found = beside.reindex(frame["opportunity_id"]).set_axis(frame.index)
    return frame.assign(adjusted=frame["opportunity_id"].isin(beside.index), **found)


def record_of(workspace: Workspace, as_of: str | dt.date | dt.datetime | None = None) -> pd.DataFrame:
    """How well adjustments did beside the model, on deals closed since, as of an instant.

    Grain: a row for everybody, then one per author: adjustments, deals, log_loss of the adjusted probabilities and
    model_log_loss of the scores they were beside (nats), difference (below 0: people were better) with its 90 % interval
    resampled by deal, shrunk (the difference drawn toward everybody's by 20 deals), verdict in words. Beside each stands
    the latest score of the then champion that was written before it. Replaced, withdrawn and expired ones count too: a bad
    call cannot be taken back. Adjustments without such a score are left out.
    """
    tables = Lake(workspace).open()
    view = visible(tables, tables.instant(as_of))
    judged = _judged(workspace, view)
    if judged.empty:
        return pd.DataFrame(columns=RECORD)
    groups = [(EVERYBODY, judged), *judged.groupby("author")]
    rows = [_record(str(author), part, judged) for author, part in groups]
    return pd.DataFrame(rows)[RECORD]


def _judged(workspace: Workspace, view: View) -> pd.DataFrame:
    """Adjustments of deals that were closed since: opportunity_id, author, probability, point (the model's), won."""
    facts = _facts(view)
    made = facts[facts["withdraws"].isna()].assign(won=False, point=float("nan"))
    state = view.frame(view.state("opportunity", ["status"])).set_index("opportunity_id")["status"]
    made = made[_closed_since(view, made) & made["opportunity_id"].map(state).isin(CLOSED)]
    if made.empty:
        return made
    scores = _scores(workspace, view, made["opportunity_id"].tolist())
    pairs = made.drop(columns="point").merge(scores, on="opportunity_id", suffixes=("", "_score"))
    pairs = pairs[pairs["known_at_score"] < pairs["known_at"]].sort_values(["as_of", "known_at_score"], kind="stable")
    latest = pairs.drop_duplicates("override_id", keep="last").sort_values(["known_at", "override_id"], ignore_index=True)
    return latest.assign(won=latest["opportunity_id"].map(state).eq("won"))


def _scores(workspace: Workspace, view: View, deals: list[str]) -> pd.DataFrame:
    """Scores of winning in the end that were written by the champion of the time: opportunity_id, as_of, known_at, point."""
    rows = view.facts("prediction")
    rows = rows.filter(rows.model == MODEL, rows.target == "won", rows.horizon_days.isnull(), rows.entity_id.isin(deals))
    scores = view.frame(rows.select("as_of", "known_at", "model_version", "point", opportunity_id=rows.entity_id))
    promoted = [(pd.Timestamp(at), str(version)) for at, version in reigns(workspace, MODEL)]
    if not promoted:
        return scores.drop(columns="model_version")
    ruling = pd.DataFrame(promoted, columns=["since", "champion"]).astype({"since": scores["known_at"].dtype})
    dated = pd.merge_asof(scores.sort_values("known_at"), ruling.sort_values("since"), left_on="known_at", right_on="since")
    return dated.loc[dated["model_version"] == dated["champion"], ["opportunity_id", "as_of", "known_at", "point"]]


def _record(author: str, part: pd.DataFrame, everybody: pd.DataFrame) -> dict[str, Any]:
    # slow to load, and the app only reads who adjusts
    from salesml.evaluation.metrics import log_loss, log_loss_difference

    y, p, model = (part[name].to_numpy("float64") for name in ("won", "probability", "point"))
    deals = part["opportunity_id"].nunique()
    found = log_loss_difference(y, p, model, part["opportunity_id"].to_numpy())
    general = everybody[["won", "probability", "point"]].to_numpy("float64").T
    mean = log_loss_difference(*general, resamples=1).value
    few = deals < FEWEST_DEALS
    verdict = "better than the model" if found.hi < 0 else "worse than the model" if found.lo > 0 else "no sure difference"
    return {
        "author": author, "adjustments": len(part), "deals": deals, "log_loss": log_loss(y, p),
        "model_log_loss": log_loss(y, model), "difference": found.value, "lo": found.lo, "hi": found.hi,
        "shrunk": (deals * found.value + PRIOR_DEALS * mean) / (deals + PRIOR_DEALS),
        "verdict": f"too few to judge: {deals} closed deals, {FEWEST_DEALS} are needed" if few else verdict,
    }  # fmt: skip


def _facts(view: View) -> pd.DataFrame:
    """Adjustments and withdrawals known to the view, in the order they became known; opportunity_id is the target."""
    rows = view.facts("override")
    rows = rows.filter(rows.target_type == "prediction", rows.probability.notnull() | rows.withdraws.notnull())
    frame = view.frame(rows.select(opportunity_id=rows.target_id, **{name: rows[name] for name in [*STANDING[1:], "withdraws"]}))
    return frame.sort_values(["known_at", "override_id"], ignore_index=True)


def _closed_since(view: View, made: pd.DataFrame) -> pd.Series:
    """Whether the deal of each adjustment was closed at least once since the adjustment became known."""
    facts = view.facts("opportunity")
    last = view.frame(facts.filter(facts.status.isin(CLOSED)).group_by("opportunity_id").aggregate(last=facts.known_at.max()))
    closed = last.set_index("opportunity_id")["last"].reindex(made["opportunity_id"])
    return closed.set_axis(made.index) > made["known_at"]


def _require_open(workspace: Workspace, deal: str, now: dt.datetime) -> None:
    view = visible(Lake(workspace).open(), now)
    state = view.state("opportunity", ["status", "deleted"])
    found = view.frame(state.filter(state.opportunity_id == deal))
    if found.empty or found["deleted"].eq(True).any():
        raise BadParameter(f"deal {deal!r} is not known; give its id, as salesml score deals lists it")
    if (status := found["status"].iloc[0]) != "open":
        raise BadParameter(f"deal {deal!r} is {status}; only an open deal can be adjusted")


def _permitted(workspace: Workspace, by: str | None) -> User:
    user = signed.user(workspace, by)
    if not signed.may_sign(user):
        raise BadParameter(f"{user.name!r} is neither admin nor manager and may not adjust a deal; ask one of them")
    return user


def _write(workspace: Workspace, row: dict[str, Any]) -> None:
    signed.write(workspace, {"target_type": "prediction", **row}, origin="adjust", kind="adjustment")
