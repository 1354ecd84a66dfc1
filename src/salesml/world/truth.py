"""The truth about a company: what no record holds, for judging only."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from salesml.world import words
from salesml.world.clock import Clock
from salesml.world.columns import ids, pick
from salesml.world.deals import Deals
from salesml.world.hazards import DISCOUNTS, Oracle, hazards
from salesml.world.knobs import Knobs
from salesml.world.life import Life, mid_life
from salesml.world.opportunities import STATUS
from salesml.world.organisation import Organisation

_UTC = pa.timestamp("s", tz="UTC")


def truth(knobs: Knobs, clock: Clock, org: Organisation, deals: Deals, life: Life) -> dict[str, pa.Table]:
    """Three tables.

    `deal`: one row a deal: score and its causes (log-odds), eventual discount (share), outcome and closed_at, also of
    deals still open at the end, p_win at creation and at mid-life (`mid_life`, the week's Monday).
    `deal_week`: one row a deal and Monday 00:00 UTC (`as_of`) at which it was open: stage, momentum, p_win and the
    week's hazards.
    `rep`: skill, diligence (log-odds) and generosity.
    """
    row = np.flatnonzero(life.week > deals.week[life.deal])
    of = life.deal[row]
    state = (life.stage[row], life.momentum[row], deals.score[of], deals.discount[of])
    chances = hazards(*state, clock.rush[life.week[row]], knobs.signal)
    oracle = Oracle.of(clock, knobs.signal)
    p_win = oracle.probability(life.week[row], *state)
    as_of = pa.array(clock.mondays[life.week].astype("datetime64[s]")).cast(_UTC)
    events = ("advance", "won", "lost", "no_decision")
    deal_week = {
        "opportunity_id": ids("D", of, 6),
        "as_of": as_of.take(pa.array(row)),
        "stage": pick(words.STAGES, state[0]),
        "momentum": pick(("stalled", "normal", "hot"), state[1]),
        "p_win": p_win,
        **{f"p_{name}_this_week": chances[:, i] for i, name in enumerate(events)},
    }
    number, middle = np.arange(len(deals.week)), mid_life(life)
    deal = {
        "opportunity_id": ids("D", number, 6),
        "score": deals.score,
        **deals.causes,
        "discount": DISCOUNTS[deals.discount],
        "outcome": pick([STATUS.get(i) for i in range(max(STATUS) + 1)], life.outcome),
        "closed_at": pa.array(life.closed).cast(_UTC),
        "p_win": oracle.probability(deals.week + 1, deals.stage, deals.momentum, deals.score, deals.discount),
        "mid_life": as_of.take(pa.array(middle)),
        "p_win_mid_life": p_win[middle - number - 1],  # deal_week leaves out each deal's week of creation
    }
    rep = {
        "user_id": ids("U", np.arange(len(org.skill)), 4),
        "skill": knobs.signal * org.skill,
        "diligence": knobs.signal * org.diligence,
        "generosity": org.generosity,
    }
    return {name: pa.table(rows) for name, rows in (("deal", deal), ("deal_week", deal_week), ("rep", rep))}
