"""Leads at size: a million scored from the lake; one event pushed into memory, to its lead's score and reasons; what moved, again."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks import _leads_pandas as plain
from salesml import world
from salesml.contracts import table
from salesml.features.leads import LEADS, lead_rows
from salesml.lake import Lake, visible
from salesml.registry import catalog
from salesml.workflows.lead_live import LiveLeads, score_one
from salesml.workflows.leads import MODEL, OLDEST, score_leads
from salesml.workflows.rescore_leads import rescore_leads
from salesml.workflows.train_leads import train_leads
from salesml.workspace import Workspace

LEADS_SCORED, REPS, YEARS = 1_000_000, 24, 3.0
PUSHED, WARM = 500, 20
BATCH_BAR, ONE_BAR = 300.0, 100.0
UTC = pa.timestamp("us", tz="UTC")


def run(leads: int = LEADS_SCORED) -> dict[str, Any]:
    """Seconds, memory and milliseconds; the plain way makes the same features with pandas groupby from the same rows.

    A simulated company trains the model; its leads, with what they did until then, are copied at random under new ids, come in at
    random over the last 26 weeks and are open. Each part runs in a process of its own. CPU seconds beside those on the clock, for
    machines that do other things too.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "company"
        made = _apart(make, folder, leads)
        batch = _apart(_batch, folder)
        alone = _apart(_plain, folder)
        live = _apart(_live, folder, leads)
    met = batch["seconds"] <= BATCH_BAR and live["push_ms_95_percent"] <= ONE_BAR and not live["features_that_differ_from_batch"]
    return {
        **made, **{f"batch_{name}": value for name, value in batch.items()}, **alone,
        "ratio": alone["plain_features_seconds"] / alone["features_seconds"], **live,
        "bar": f"1,000,000 leads in {BATCH_BAR:.0f} s; one lead from event to reasons in {ONE_BAR:.0f} ms; incremental equals batch",
        "met": bool(met and batch["leads"] >= leads and not alone["values_that_differ_from_plain"]),
    }  # fmt: skip


def make(folder: Path, leads: int) -> dict[str, Any]:
    """A company with a champion of its own, and so many open leads more; rows of them by table."""
    workspace = Workspace.create(folder)
    world.build(workspace, seed=7, reps=REPS, years=YEARS)
    trained = train_leads(workspace)
    staged = copies(workspace, leads)
    Lake(workspace).ingest(staged, origin="benchmark")
    trees = getattr(catalog.load(workspace, MODEL).scorer, "trees", None)
    rows = {f"{name}_rows_added": rows.num_rows for name, rows in staged.items()}
    return {**rows, "champion": trained.champion.kind, "trees": None if trees is None else int(trees.tree_count_)}


def copies(workspace: Workspace, leads: int) -> dict[str, pa.Table]:
    """Leads of the company under new ids, begun at random in the last 26 weeks, with what they did by now; all of them open."""
    tables = Lake(workspace).open()
    as_of = np.datetime64(tables.instant(None).replace(tzinfo=None), "us")
    rows = {name: tables.rows(name).to_pandas() for name in ("lead", "lead_event", "activity")}
    rows["lead"] = rows["lead"][rows["lead"]["change_id"] == "created"].reset_index(drop=True)
    place = pd.Series(np.arange(len(rows["lead"])), index=rows["lead"]["lead_id"])
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(place), leads)
    begun = as_of - (rng.random(leads) * (OLDEST / dt.timedelta(microseconds=1) - 4e9) + 3.6e9).astype("timedelta64[us]")
    moved = begun - _times(rows["lead"], "occurred_at")[drawn]
    ids = pa.array(np.char.add("L", np.char.zfill(np.arange(leads).astype(str), 7)))
    staged = {}
    for name, frame in rows.items():
        mine = frame.assign(of=frame["lead_id"].map(place)).dropna(subset="of").sort_values("of", kind="stable", ignore_index=True)
        counts = np.bincount(mine["of"].astype("int64"), minlength=len(place))
        lead = np.repeat(np.arange(leads), counts[drawn])
        first = (np.cumsum(counts) - counts)[drawn[lead]]
        taken = first + np.arange(len(lead)) - np.repeat(np.cumsum(counts[drawn]) - counts[drawn], counts[drawn])
        at = {column: _times(mine, column)[taken] + moved[lead] for column in ("occurred_at", "known_at")}
        kept = at["known_at"] < as_of
        payload = [column.name for column in table(name).payload if column.name != "lead_id"]
        part = pa.Table.from_pandas(mine[payload], preserve_index=False).take(pa.array(taken[kept]))
        part = part.append_column("lead_id", ids.take(pa.array(lead[kept])))
        if name == "lead":
            part = part.append_column("change_id", pa.repeat("created", part.num_rows))
        else:
            part = part.append_column(f"{name}_id", pa.array(np.char.add("B", np.arange(part.num_rows).astype(str))))
        for column, instants in at.items():
            part = part.append_column(column, pa.array(instants[kept]).cast(UTC))
        staged[name] = part.cast(pa.schema([table(name).schema.field(column) for column in part.column_names]))
    return staged


def _times(frame: pd.DataFrame, column: str) -> np.ndarray:
    return frame[column].dt.tz_convert(None).to_numpy().astype("datetime64[us]")


def _batch(folder: Path) -> dict[str, Any]:
    workspace = Workspace.open(folder)
    catalog.load(workspace, MODEL)
    seconds, cpu, found = _measured(lambda: score_leads(workspace))
    return {"leads": len(found), "seconds": seconds, "cpu_seconds": cpu, "leads_per_second": len(found) / seconds, "peak_gib": _peak()}


def _plain(folder: Path) -> dict[str, Any]:
    """Features alone, both ways, and where they differ."""
    tables = Lake(Workspace.open(folder)).open()
    as_of = tables.instant(None)
    seconds, cpu, mine = _measured(lambda: LEADS.frame(visible(tables, as_of)))
    plain_seconds, plain_cpu, other = _measured(lambda: plain.features(tables, as_of))
    differing = plain.differences(mine, other)
    return {
        "features_seconds": seconds, "features_cpu_seconds": cpu, "plain_features_seconds": plain_seconds,
        "plain_features_cpu_seconds": plain_cpu, "values_that_differ_from_plain": sum(differing.values()), "differing": differing,
        "plain_peak_gib": _peak(),
    }  # fmt: skip


def _live(folder: Path, leads: int) -> dict[str, Any]:
    """Events pushed one by one; then the same events by way of the lake."""
    workspace = Workspace.open(folder)
    as_of = Lake(workspace).open().instant(None)
    catalog.load(workspace, MODEL)
    opening, opening_cpu, live = _measured(lambda: LiveLeads(workspace, as_of))
    peak = _peak()
    rng, events, took = np.random.default_rng(1), [], []
    for number in range(PUSHED + WARM):
        at = as_of + dt.timedelta(seconds=60 * number)
        event = {
            "lead_event_id": f"pushed {number}", "lead_id": f"L{rng.integers(0, leads):07d}", "occurred_at": at,
            "type": str(rng.choice(["web_visit", "email_open", "form"])), "content": str(rng.choice(["pricing", "blog"])),
        }  # fmt: skip
        events.append(event)
        took.append(_measured(lambda event=event, at=at: live.push("lead_event", event, at + dt.timedelta(seconds=1)))[:2])
    clock, cpu = 1_000 * np.array(took[WARM:]).T
    end = live.as_of
    cold, cold_cpu, _ = _measured(lambda: score_one(workspace, events[0]["lead_id"], as_of))
    schema = pa.schema([table("lead_event").schema.field(name) for name in events[0]])
    Lake(workspace).ingest({"lead_event": pa.Table.from_pylist(events, schema=schema)}, origin="benchmark")
    touched = sorted({event["lead_id"] for event in events})
    whole = lead_rows(visible(Lake(workspace).open(), end), touched)
    again, again_cpu, moved = _measured(lambda: rescore_leads(workspace, end))
    return {
        "open_seconds": opening, "open_cpu_seconds": opening_cpu, "open_peak_gib": peak,
        "push_ms_median": float(np.median(clock)), "push_ms_95_percent": float(np.quantile(clock, 0.95)), "push_ms_most": clock.max(),
        "push_cpu_ms_median": float(np.median(cpu)), "one_from_the_lake_seconds": cold, "one_from_the_lake_cpu_seconds": cold_cpu,
        "features_that_differ_from_batch": sum(plain.differences(live.features(touched), whole).values()),
        "rescored_leads": len(moved), "rescore_seconds": again, "rescore_cpu_seconds": again_cpu,
    }  # fmt: skip


def _measured(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Seconds, CPU seconds, what came of it."""
    started, busy = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - started, time.process_time() - busy, found


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do work in a process of its own, so that no part counts the memory of another."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)
