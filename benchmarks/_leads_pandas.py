"""The features of leads with pandas groupby, for one instant and records that nothing has corrected: the plain way."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from salesml.features.leads import BUYING, COUNTS, ENGAGEMENT, INTENT, KINDS, LEADS, OLD, PRIOR_LEADS, STATE
from salesml.lake import Tables

DAY = pd.Timedelta(days=1)
ORDER = ["occurred_at", "known_at", "source_row", "change_id"]


def features(tables: Tables, as_of: dt.datetime) -> pd.DataFrame:
    """One row per lead, as `LEADS.frame` gives them; AssertionError where a row corrects or withdraws another."""
    instant = pd.Timestamp(as_of)
    rows = {}
    for name in ("lead", "lead_event", "activity"):
        assert not tables.corrections(name), f"{name} holds corrections"
        found = tables.rows(name).to_pandas()
        rows[name] = found[(found["known_at"] < instant) & found["lead_id"].notna()]
    leads = rows["lead"].sort_values(ORDER).groupby("lead_id")[list(STATE)].last()
    leads["age_days"] = (instant - rows["lead"].groupby("lead_id")["occurred_at"].min()) / DAY
    events = rows["lead_event"]
    flags = pd.DataFrame({name: events["type"].isin(kinds) for name, kinds in KINDS.items()}, dtype="int64")
    flags["events"], flags["buying"] = 1, events["content"].str.contains(BUYING, case=False, na=False).astype("int64")
    ago = (instant - events["known_at"]) / DAY
    counts = {
        part: flags[within].groupby(events["lead_id"][within]).sum().reindex(leads.index, fill_value=0)
        for part, within in {"7d": ago <= 7, "28d": (ago > 7) & (ago <= 28), "before": ago > 28}.items()
    }
    total = counts["7d"] + counts["28d"] + counts["before"]
    for name in COUNTS:
        leads[name], leads[f"{name}_7d"] = total[name], counts["7d"][name]
    leads["events_28d"] = counts["7d"]["events"] + counts["28d"]["events"]
    leads["days_since_event"] = (instant - events.groupby("lead_id")["occurred_at"].max().reindex(leads.index)) / DAY
    for column, scheme in (("engagement_points", ENGAGEMENT), ("intent_points", INTENT)):
        leads[column] = sum(each * OLD[part] * counts[part][name] for name, each in scheme.items() for part in OLD)
    ended = pd.DataFrame({"converted": leads["status"] == "converted", "closed": leads["status"].isin(["converted", "disqualified"])})
    mean = (ended["converted"].sum() + 1) / (ended["closed"].sum() + 2)
    for by in ("source", "campaign_id"):
        record = ended.groupby(leads[by]).sum().reindex(leads[by]).fillna(0).set_axis(leads.index)
        rate = (record["converted"] + PRIOR_LEADS * mean) / (record["closed"] + PRIOR_LEADS)
        leads[f"{by.removesuffix('_id')}_conversion"] = rate
    contacts = rows["activity"]
    leads["activities"] = contacts.groupby("lead_id").size().reindex(leads.index, fill_value=0)
    leads["inbound"] = contacts["direction"].eq("inbound").groupby(contacts["lead_id"]).sum().reindex(leads.index, fill_value=0)
    leads = leads[leads["deleted"].ne(True)].reset_index().sort_values("lead_id", ignore_index=True)
    return leads.assign(as_of=instant)[["lead_id", "as_of", *LEADS.context, *LEADS.names]]


def differences(some: pd.DataFrame, other: pd.DataFrame) -> dict[str, int]:
    """How many values differ by column: exact types at all, floats by more than 1e-9 relative."""
    if some["lead_id"].tolist() != other["lead_id"].tolist():
        return {"lead_id": len(set(some["lead_id"]) ^ set(other["lead_id"])) or len(some)}
    found = {}
    for name in LEADS.names:
        one, two = some[name], other[name]
        if name in LEADS.categorical:
            same = one.fillna("").to_numpy() == two.fillna("").to_numpy()
        else:
            tolerance = 1e-9 if next(feature for feature in LEADS.features if feature.name == name).dtype == "float" else 0.0
            same = np.isclose(one.to_numpy("float64"), two.to_numpy("float64"), rtol=tolerance, atol=0, equal_nan=True)
        if not same.all():
            found[name] = int((~same).sum())
    return found
