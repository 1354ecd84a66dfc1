"""Activities around deals: reps work harder on better deals, customers answer as quality and momentum have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from salesml.world import words
from salesml.world.clock import DAY, Clock, Floats, Ints, stream
from salesml.world.columns import ids, pick, staged
from salesml.world.deals import Deals
from salesml.world.knobs import Knobs
from salesml.world.life import Life
from salesml.world.organisation import Organisation

LATE_DAYS = 3.0


@dataclass(frozen=True)
class Kind:
    """One kind of activity: mean count a week, factors by stage and momentum, exponents of score and diligence."""

    type: str
    direction: str
    weekly: float
    by_stage: tuple[float, ...]
    by_momentum: tuple[float, float, float]
    by_score: float
    by_diligence: float
    minutes: float | None
    outcomes: tuple[str, ...]


KINDS = (
    Kind("email", "outbound", 0.36, (1.3, 1.0, 0.9, 1.0, 1.0), (0.9, 1.0, 1.1), 0.08, 1.0, None, ("sent",)),
    Kind("email", "inbound", 0.24, (0.8, 1.0, 1.0, 1.1, 1.2), (0.4, 1.0, 1.7), 0.30, 0.0, None, ("received",)),
    Kind(
        "call",
        "outbound",
        0.22,
        (1.3, 1.0, 0.8, 0.9, 1.0),
        (1.0, 1.0, 1.0),
        0.08,
        1.0,
        12,
        ("connected", "no answer", "voicemail"),
    ),
    Kind("call", "inbound", 0.06, (0.7, 1.0, 1.0, 1.2, 1.4), (0.4, 1.0, 1.8), 0.30, 0.0, 10, ("connected",)),
    Kind(
        "meeting",
        "outbound",
        0.16,
        (0.6, 1.2, 1.1, 1.0, 1.2),
        (0.5, 1.0, 1.4),
        0.20,
        0.5,
        45,
        ("held", "held", "held", "no show"),
    ),
    Kind("demo", "outbound", 0.10, (0.1, 0.6, 2.6, 0.8, 0.2), (0.6, 1.0, 1.3), 0.15, 0.5, 60, ("held",)),
)


def activities(knobs: Knobs, clock: Clock, org: Organisation, deals: Deals, life: Life) -> pa.Table:
    """The activity table in staged form: Poisson counts for each week of an open deal; some are logged days late."""
    rng = stream(knobs, "activities")
    blocks, number = [], 0
    for kind in KINDS:
        row = np.repeat(np.arange(len(life.deal)), rng.poisson(_rate(kind, knobs, clock, org, deals, life)))
        time = clock.office_time(rng, life.week[row])
        open_then = (time > deals.created[life.deal[row]]) & (time < life.closed[life.deal[row]])
        row, time = row[open_then], time[open_then]
        late = rng.random(len(row)) < knobs.late
        lag = np.where(late, rng.exponential(LATE_DAYS * DAY, len(row)), 0).astype("timedelta64[s]")
        block = _block(rng, kind, deals, life, row, knobs) | {"occurred_at": time, "known_at": time + lag}
        blocks.append({"activity_id": ids("E", number + np.arange(len(row)), 7), **block})
        number += len(row)
    return staged("activity", blocks, clock)


def _rate(kind: Kind, knobs: Knobs, clock: Clock, org: Organisation, deals: Deals, life: Life) -> Floats:
    """Mean count in each panel week; the signal knob flattens what tells of a deal's chances."""
    quality = kind.by_score * knobs.signal * deals.score[life.deal] + kind.by_diligence * org.diligence[life.owner]
    mood = np.array(kind.by_momentum)[life.momentum] ** knobs.signal
    lived = life.week < clock.last
    return kind.weekly * np.array(kind.by_stage)[life.stage] * mood * np.exp(quality) * lived


def _block(
    rng: np.random.Generator, kind: Kind, deals: Deals, life: Life, row: Ints, knobs: Knobs
) -> dict[str, object]:
    deal, n = life.deal[row], len(row)
    product = pick([name for name, *_ in words.PRODUCTS], deals.product[deal])
    subjects = words.SUBJECTS[kind.type]
    block: dict[str, object] = {
        "opportunity_id": ids("D", deal, 6),
        "account_id": ids("A", deals.account[deal]),
        "contact_id": ids("N", deals.contact[deal], 6),
        "owner_id": ids("U", life.owner[row], 4),
        "type": kind.type,
        "direction": kind.direction,
        "subject": pc.binary_join_element_wise(pick(subjects, rng.integers(0, len(subjects), n)), product, " "),
        "outcome": pick(kind.outcomes, rng.integers(0, len(kind.outcomes), n)),
    }
    if kind.minutes:
        block["duration_minutes"] = np.maximum(1, np.rint(kind.minutes * rng.lognormal(0, 0.4, n)))
    if kind.type in ("meeting", "demo"):
        block["attendees"] = 1 + rng.poisson(1.0 + 0.5 * deals.segment[deal])
    return block | {"body": _body(rng, kind, life.momentum[row], knobs.signal)}


def _body(rng: np.random.Generator, kind: Kind, momentum: Ints, signal: float) -> pa.Array:
    """A sentence: from the rep, or from the customer in a tone that follows the momentum as far as there is signal."""
    n = len(momentum)
    if kind.direction == "outbound":
        return pick(words.OUTBOUND_BODIES, rng.integers(0, len(words.OUTBOUND_BODIES), n))
    tone = np.where(rng.random(n) < min(1.0, 0.6 * signal), momentum, rng.integers(0, len(words.INBOUND_BODIES), n))
    flat = [sentence for tones in words.INBOUND_BODIES for sentence in tones]
    return pick(flat, 5 * tone + rng.integers(0, 5, n))
