"""Nurture: programmes read and refused, options learnt and drawn, what stops them, and effects from the lot alone."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import typer
from app_rows import copied
from typer.testing import CliRunner

from salesml import world
from salesml.cli import nurture as commands
from salesml.errors import BadInput, BadParameter, NotEnoughData, UnknownName
from salesml.lake import Lake, visible
from salesml.models.nurture import FEWEST_PAID, even, held_out_signature, learn, read_signature
from salesml.models.nurture_effect import difference, effect, homogeneous, leads_needed, pooled
from salesml.models.nurture_programme import Option, Programme, Quiet, lot, read_programme, usual
from salesml.trial.nurture import judge_nurture, opened_leads
from salesml.workflows.nurture import due, next_step, plan_nurture
from salesml.workflows.nurture_effect import (
    EVERYBODY,
    NOBODY,
    RECORDED,
    best_segments,
    drawn_leads,
    logged,
    nurture_effect,
    nurture_value,
    option_values,
    programmes,
    share_policy,
)
from salesml.workflows.nurture_facts import decisions
from salesml.workflows.nurture_hours import send_at, zone_of, zones_of_country
from salesml.workspace import Workspace

DAY = dt.timedelta(days=1)
START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)  # a Monday
TWO_STEPS = """
name: two steps
held_out: 0.3
within_days: 30
oldest_days: 40
most: {sent: 5, days: 7}
stop_on: [form]
steps:
  - after_days: 1
    options: [{name: a, content: A, channel: email}, {name: b, content: B, channel: email}]
  - after_days: 2
    options: [{name: c, content: C, channel: email}]
"""


def programme(tmp_path: Path, text: str = TWO_STEPS) -> Programme:
    path = tmp_path / "programme.yaml"
    path.write_text(text, encoding="utf-8")
    return read_programme(path)


# Programmes


def test_the_usual_programme_reads_and_another_text_is_another_version(tmp_path):
    one = usual()
    assert len(one.steps) == 3 and one.steps[1].silent_days == 2 and one.steps[2].event == "web_visit"
    assert one.quiet is not None and one.quiet.since == dt.time(18)
    unquoted = programme(tmp_path, one.text.replace('"18:00"', "18:00").replace('"08:00"', "08:00"))
    assert unquoted.quiet == one.quiet, "YAML reads 18:00 as a number of minutes"
    assert unquoted.version != one.version and len(one.version) == 12
    told = one.segment(pd.DataFrame({"employees": [5.0, 100.0, np.nan, 5000.0]})).tolist()
    assert told == ["employees under 100", "employees 100 to under 1,000", "employees not known", "employees 1,000 and more"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: two steps", "name: two/steps", "a name without"),
        ("name: two steps", "name: two steps\ncolour: red", "nothing else .*colour"),
        ("held_out: 0.3", "held_out: 0.95", "no number from 0 to 0.9"),
        ("held_out: 0.3", "explore: 0", "no number from 0.01 to 1"),
        ("within_days: 30", "within_days: soon", "no number from 1 to 365"),
        ("within_days: 30", "needs_consent: perhaps", "true or false"),
        ("most: {sent: 5, days: 7}", "most: {sent: 5}", "most has sent and days"),
        ("most: {sent: 5, days: 7}", "context: [{feature: shoe_size}]", "a context names a feature of leads"),
        ("most: {sent: 5, days: 7}", "context: [{feature: employees}]", "a number takes at_least"),
        ("most: {sent: 5, days: 7}", "context: [{feature: source, at_least: [1]}]", "a category takes none"),
        ("most: {sent: 5, days: 7}", "time_zones: {Spain: Madrid}", "no IANA time zone"),
        ("most: {sent: 5, days: 7}", 'quiet_hours: {from: "9", until: "25:00"}', "an hour is written as"),
        ("most: {sent: 5, days: 7}", 'quiet_hours: {from: "09:00", until: "09:00"}', "last all day"),
        ("after_days: 2", "after_days: 0", "no number from 1 to 365"),
        ("after_days: 2", "event: form\n    silent_days: 2\n    after_days: 2", "not for both"),
        ("{name: b, content: B", "{name: a, content: B", "the same name"),
        ("{name: c, content: C, channel: email}", "{name: c, content: C}", "are text"),
        ("{name: c, content: C, channel: email}", "{name: c, content: C, channel: email, wait_days: 1.5}", "whole days"),
        ("stop_on: [form]", "stop_on: form", "lists kinds"),
        ("steps:", "plans:", "nothing else .*plans"),
    ],
)
def test_a_programme_that_cannot_be_is_refused_with_its_place(tmp_path, old, new, message):
    assert old in TWO_STEPS
    with pytest.raises(BadInput, match=message):
        programme(tmp_path, TWO_STEPS.replace(old, new))


def test_an_hour_within_the_quiet_hours_is_refused(tmp_path):
    with pytest.raises(BadInput, match="lies in the quiet hours"):
        programme(tmp_path, usual().text.replace('at: "15:00"', 'at: "20:00"'))


def test_who_is_held_out_is_drawn_once_and_for_all(tmp_path):
    one, leads = programme(tmp_path), pd.Series([f"L{n}" for n in range(20_000)])
    out = one.holds_out(leads)
    assert abs(out.mean() - 0.3) < 0.01
    shuffled = leads.sample(frac=1, random_state=1)
    assert (one.holds_out(shuffled).sort_index() == out).all(), "whoever asks, in whatever order"
    changed = programme(tmp_path, TWO_STEPS.replace("content: A", "content: Z"))
    assert (changed.holds_out(leads) == out).all(), "another content draws nobody anew"
    wider = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0.4"))
    assert (wider.holds_out(leads) | ~out).all(), "a greater share keeps who was out"
    other = programme(tmp_path, TWO_STEPS.replace("two steps", "another"))
    both = (other.holds_out(leads) & out).mean()
    assert abs(both - 0.09) < 0.01, "programmes draw apart from each other"


# Hours


def test_nothing_is_sent_in_quiet_hours_wherever_the_lead_is():
    rng = np.random.default_rng(0)
    quiets = [Quiet(dt.time(18), dt.time(8), True), Quiet(dt.time(12), dt.time(14), False), Quiet(dt.time(0), dt.time(6), True), None]
    for _ in range(400):
        at = START + dt.timedelta(seconds=int(rng.integers(0, 365 * 86_400)))
        zone, quiet = ZoneInfo(str(rng.choice(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]))), quiets[rng.integers(4)]
        hour = dt.time(9) if rng.random() < 0.5 else None
        option = Option("x", "X", "email", int(rng.integers(0, 3)), hour)
        sent = send_at(at, option, zone, quiet)
        local = sent.astimezone(zone)
        assert sent >= at + option.wait_days * DAY
        assert quiet is None or not quiet.holds(local)
        assert hour is None or local.time() == hour
        assert sent - at < (option.wait_days + 5) * DAY
    noon = send_at(START + dt.timedelta(hours=12), Option("x", "X", "email"), ZoneInfo("UTC"), None)
    assert noon == START + dt.timedelta(hours=12), "at once where nothing forbids it"


def test_a_time_zone_is_taken_where_it_is_known_only(tmp_path):
    one = usual()
    assert zone_of("Asia/Tokyo", "Germany", one, START) == ZoneInfo("Asia/Tokyo"), "the lead's own first"
    assert zone_of(None, "United Kingdom", one, START) == ZoneInfo("Europe/London"), "the programme's"
    assert len(zones_of_country("Germany")) == 2 and zone_of(None, "Germany", one, START) is not None, "two zones of one hour"
    assert zone_of(None, "FR", one, START) == zone_of(None, "France", one, START) == ZoneInfo("Europe/Paris")
    for unknown in (("Mars/Base", "United States"), (None, "Atlantis"), (None, None)):
        assert zone_of(*unknown, one, START) is None


# Options


def decided(n: int, seed: int, lift: dict[str, float], chance: float = 0.5) -> pd.DataFrame:
    """Decisions of step 1 in four segments, `guide` adding `lift` to the share that pays."""
    rng = np.random.default_rng(seed)
    segment = rng.choice(["a", "b", "c", "d"], n, p=[0.4, 0.3, 0.2, 0.1])
    guide = rng.random(n) < chance
    base = pd.Series(segment).map({"a": 0.1, "b": 0.2, "c": 0.15, "d": 0.3}).to_numpy()
    paid = rng.random(n) < base + guide * pd.Series(segment).map(lift).to_numpy()
    told = {"step": 1, "option": np.where(guide, "guide", "story"), "segment": segment}
    return pd.DataFrame({**told, "propensity": np.where(guide, chance, 1 - chance), "paid": paid.astype(int)})


def test_without_evidence_chances_stay_even_and_it_says_so():
    nothing = dict.fromkeys("abcd", 0.0)
    kept = [learn(usual(), decided(1_000, seed, nothing)) for seed in range(60)]
    assert np.mean([one.table.empty for one in kept]) >= 0.88, "about one in twenty looks like a difference"
    one = next(one for one in kept if one.table.empty)
    assert "no option is surely better" in one.said[1] and one.version == "even"
    assert one.chances(1, "a") == {"guide": 0.5, "story": 0.5}
    few = learn(usual(), decided(40, 0, nothing))
    assert f"{FEWEST_PAID} are the least" in few.said[1] and few.table.empty
    assert even(usual()).chances(2, "anything") == {"morning": 0.5, "afternoon": 0.5}


def test_what_does_better_is_chosen_more_and_never_alone():
    one = learn(usual(), decided(6_000, 1, dict.fromkeys("abcd", 0.08)))
    assert "guide does best over all" in one.said[1] and "even chances" in one.said[2]
    wide = one.table.pivot(index="segment", columns="option", values="probability")
    assert (wide["guide"] > 0.8).all() and (wide["story"] >= 0.1 - 1e-12).all(), "explore 0.2 of two options leaves each 0.1"
    assert wide.sum(axis=1).to_numpy() == pytest.approx(np.ones(4))
    table = one.table
    assert ((table["lo"] <= table["mean"]) & (table["mean"] <= table["hi"])).all()
    assert one.chances(1, "never seen") == {"guide": 0.5, "story": 0.5}
    again = learn(usual(), decided(6_000, 1, dict.fromkeys("abcd", 0.08)).sample(frac=1, random_state=3))
    assert again.version == one.version != "even", "the order of the rows is free"
    mixed = learn(usual(), decided(20_000, 2, {"a": 0.08, "b": -0.08, "c": 0.08, "d": -0.08}))
    wide = mixed.table.pivot(index="segment", columns="option", values="probability")
    assert (wide.loc[["a", "c"], "guide"] > 0.8).all() and (wide.loc[["b", "d"], "story"] > 0.8).all()


def test_shares_of_small_segments_are_drawn_towards_the_others():
    rows = decided(6_000, 4, dict.fromkeys("abcd", 0.08))
    odd = pd.DataFrame({"step": 1, "option": ["guide", "story"] * 5, "segment": "tiny", "propensity": 0.5, "paid": [1, 1, 0, 1, *[0] * 6]})
    one = learn(usual(), pd.concat([rows, odd], ignore_index=True))
    tiny = one.table[one.table["segment"] == "tiny"].set_index("option")
    assert tiny["rate"].to_dict() == {"guide": pytest.approx(0.2), "story": pytest.approx(0.4)}
    assert tiny.loc["guide", "mean"] > tiny.loc["story", "mean"], "ten decisions do not undo six thousand"
    widest = (one.table["hi"] - one.table["lo"]).groupby(one.table["segment"]).mean()
    assert widest.idxmax() == "tiny"


def test_chances_that_changed_with_the_times_mislead_nobody():
    """An option that was tried more in a good season looks better in plain shares; weighted by chance it does not."""
    rng = np.random.default_rng(0)
    good = np.arange(20_000) % 2 == 0
    chance = np.where(good, 0.8, 0.2)
    guide = rng.random(20_000) < chance
    paid = rng.random(20_000) < np.where(good, 0.3, 0.1)
    rows = pd.DataFrame({"step": 1, "option": np.where(guide, "guide", "story"), "segment": "all",
                         "propensity": np.where(guide, chance, 1 - chance), "paid": paid.astype(int)})  # fmt: skip
    plain = rows.groupby("option")["paid"].mean()
    assert plain["guide"] - plain["story"] > 0.1
    assert learn(usual(), rows).table.empty


def test_the_drawn_option_has_the_chance_that_is_logged_and_is_drawn_again():
    one = learn(usual(), decided(6_000, 1, dict.fromkeys("abcd", 0.08)))
    rows = pd.DataFrame({"lead_id": [f"L{n}" for n in range(20_000)], "step": 1, "segment": "a"})
    drawn = one.choose(rows)
    share = (drawn["option"] == "guide").mean()
    assert share == pytest.approx(one.chances(1, "a")["guide"], abs=0.01)
    assert drawn["chance"].tolist() == [one.chances(1, "a")[name] for name in drawn["option"]]
    again = one.choose(rows.sample(frac=1, random_state=1)).sort_index()
    assert again.equals(drawn)
    held = one.programme.holds_out(rows["lead_id"])
    assert abs((drawn.loc[held, "option"] == "guide").mean() - share) < 0.02, "not the lot that holds out"


def test_signatures_can_be_read_again():
    one = usual()
    told = read_signature(pd.Series([even(one).signature("guide"), held_out_signature(one)], dtype="object"))
    assert told["programme"].tolist() == [one.name] * 2 and told["programme_version"].tolist() == [one.version] * 2
    assert told["policy_version"].tolist() == ["even", "lot"] and told["option"].iloc[0] == "guide" and pd.isna(told["option"].iloc[1])


def test_decisions_that_cannot_be_are_refused():
    rows = decided(100, 0, dict.fromkeys("abcd", 0.0))
    with pytest.raises(BadInput, match="lack 1 columns: paid"):
        learn(usual(), rows.drop(columns="paid"))
    with pytest.raises(BadInput, match="no chance above 0"):
        learn(usual(), rows.assign(propensity=0.0))


# Effects


def lots(n: int, seed: int, lift: float = 0.05, chance: float = 0.8) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    inside, segment = rng.random(n) < chance, rng.choice(["a", "b", "c"], n)
    converted = rng.random(n) < 0.12 + inside * lift
    return pd.DataFrame({"drawn_in": inside, "chance": chance, "segment": segment, "converted": converted.astype(int)})


def counted(inside: int, won: int, outside: int, also: int) -> pd.DataFrame:
    """So many leads drawn in, of whom `won` converted, and so many held out, of whom `also` did."""
    converted = np.r_[np.arange(inside) < won, np.arange(outside) < also].astype(int)
    return pd.DataFrame({"drawn_in": np.arange(inside + outside) < inside, "chance": 0.5, "segment": "all", "converted": converted})


def test_the_difference_by_hand():
    found = difference(counted(100, 30, 50, 5))
    assert (found.leads_with, found.leads_without, found.converted_with, found.converted_without) == (100, 50, 30, 5)
    assert found.value == pytest.approx(0.2) and 0 < found.lo < 0.2 < found.hi and found.sure
    # Newcombe 1998, table II (a): 56/70 against 48/80 gives 0.0524 to 0.3339 at 95 %
    told = difference(counted(70, 56, 80, 48), level=0.95)
    assert (told.lo, told.hi) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))


def test_intervals_of_the_effect_cover_and_no_effect_is_not_found():
    covered, found = [], []
    for seed in range(200):
        told = difference(lots(600, seed))
        covered.append(told.lo <= 0.05 <= told.hi)
        found.append(difference(lots(600, seed, lift=0.0)).sure)
    assert 0.85 <= np.mean(covered) <= 0.95 and np.mean(found) <= 0.15


def test_leads_drawn_with_other_chances_are_compared_among_themselves():
    """A season with many held out and few conversions beside one with few held out and many: no effect in either."""
    rng = np.random.default_rng(0)
    early = np.arange(40_000) < 20_000
    chance = np.where(early, 0.3, 0.9)
    rows = pd.DataFrame({"drawn_in": rng.random(40_000) < chance, "chance": chance, "segment": "all"})
    rows["converted"] = (rng.random(40_000) < np.where(early, 0.05, 0.25)).astype(int)
    plain = rows.groupby("drawn_in")["converted"].mean()
    assert plain[True] - plain[False] > 0.05
    told = difference(rows)
    assert told.lo <= 0 <= told.hi and told.leads_with + told.leads_without == 40_000


def test_segments_are_drawn_towards_each_other_as_far_as_they_are_alike():
    value, error = np.array([0.10, 0.02, 0.05, 0.04]), np.full(4, 0.04)
    mean, lo, hi = pooled(value, error)
    assert np.ptp(mean) < 0.6 * np.ptp(value) and (np.argsort(mean) == np.argsort(value)).all()
    assert ((lo < mean) & (mean < hi)).all()
    apart, _, _ = pooled(np.array([0.5, -0.5, 0.1]), np.full(3, 0.001))
    assert apart == pytest.approx([0.5, -0.5, 0.1], abs=1e-3)
    inside, widths = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        truth = rng.normal(0.04, 0.01, 6)
        seen = truth + rng.normal(0, 0.02, 6)
        _, lo, hi = pooled(seen, np.full(6, 0.02))
        inside.append(((lo <= truth) & (truth <= hi)).mean())
        widths.append((hi - lo).mean())
    assert np.mean(inside) >= 0.88 and np.mean(widths) < 2 * 1.645 * 0.02, "narrower than each alone, and still covering"


def test_a_lot_that_no_lot_would_draw_is_told():
    assert effect(lots(2_000, 1)).notes == ()
    tilted = lots(2_000, 1).assign(chance=0.6)
    assert "no lot falls so" in effect(tilted).notes[0]
    groups = lots(2_000, 1).assign(campaign_id=np.arange(2_000) % 4)
    assert homogeneous(groups, "campaign_id") > 0.001
    uneven = pd.concat([lots(1_000, 1, chance=0.3).assign(campaign_id=1), lots(1_000, 2, chance=0.7).assign(campaign_id=2)])
    assert homogeneous(uneven, "campaign_id") < 1e-6


def test_without_leads_held_out_there_is_no_effect_and_it_says_what_it_takes():
    rows = lots(500, 1)
    with pytest.raises(NotEnoughData, match="0 held out"):
        effect(rows[rows["drawn_in"]])
    needed = leads_needed(0.12, 0.03, 0.2)
    found = np.mean([difference(lots(needed, seed, lift=0.03)).lo > 0 for seed in range(200)])
    assert 0.72 <= found <= 0.88, "four of five such trials find it"
    assert leads_needed(0.12, 0.03, 0.05) > needed, "fewer held out take more leads"
    with pytest.raises(BadParameter, match="without leads held out"):
        leads_needed(0.12, 0.03, 0.0)
    with pytest.raises(BadParameter, match="two different shares"):
        leads_needed(0.12, 0.0, 0.2)


# A company of hand-made leads


class Company:
    """A workspace whose leads, contacts, events and activities are written by the test."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.number = workspace, 0
        self.waiting: dict[str, list[dict[str, Any]]] = {}

    def write(self, name: str, **row: Any) -> None:
        """One fact of a table, kept back until the next plan, list or question."""
        self.number += 1
        key = {"lead": "change_id", "contact": "change_id", "lead_event": "lead_event_id", "activity": "activity_id"}[name]
        self.waiting.setdefault(name, []).append({key: f"n{self.number}", "known_at": row["occurred_at"], **row})

    def settle(self) -> Workspace:
        """The workspace, with all that was written."""
        if self.waiting:
            staged = {name: pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False) for name, rows in self.waiting.items()}
            Lake(self.workspace).ingest(staged, origin="test")
        self.waiting = {}
        return self.workspace

    def changed(self, leads: Any, status: str, at: dt.datetime) -> None:
        for lead in leads:
            self.write("lead", lead_id=lead, status=status, occurred_at=at)

    def leads(self, count: int, at: dt.datetime = START, **columns: Any) -> list[str]:
        names = [f"L{self.number}-{n}" for n in range(count)]
        self.number += 1
        rows = pd.DataFrame({"lead_id": names, "change_id": "created", "status": "open", "occurred_at": at, "known_at": at, **columns})
        Lake(self.workspace).ingest({"lead": pa.Table.from_pandas(rows, preserve_index=False)}, origin="test")
        return names

    def event(self, lead: str, kind: str, at: dt.datetime) -> None:
        self.write("lead_event", lead_id=lead, type=kind, occurred_at=at)

    def plan(self, chosen: Programme, day: float) -> pd.DataFrame:
        return plan_nurture(self.settle(), chosen, START + day * DAY).rows

    def next(self, lead: str, chosen: Programme, day: float) -> dict[str, Any]:
        return next_step(self.settle(), lead, chosen, START + day * DAY)

    def made(self) -> pd.DataFrame:
        return decisions(visible(Lake(self.workspace).open(), START + 1000 * DAY))


@pytest.fixture
def company(workspace) -> Company:
    return Company(workspace)


def test_a_sequence_goes_on_where_it_was_and_the_same_day_again_changes_nothing(company, tmp_path):
    one = programme(tmp_path)
    leads = company.leads(60)
    assert company.plan(one, 0.5).empty, "the first step waits a day"
    first = company.plan(one, 2)
    held = one.holds_out(pd.Series(leads)).to_numpy()
    assert sorted(first["lead_id"]) == sorted(leads) and first.set_index("lead_id")["held_out"].reindex(leads).tolist() == held.tolist()
    sent = first[~first["held_out"]]
    assert (sent["propensity"] == 0.7 * 0.5).all() and (first.loc[first["held_out"], "propensity"] == 0.3).all()
    assert first.loc[first["held_out"], ["content", "channel", "send_at"]].isna().all(axis=None)
    assert set(sent["content"]) == {"A", "B"} and (sent["send_at"] == pd.Timestamp(START + 2 * DAY)).all()
    head = Lake(company.workspace).head().id
    for chosen in (one, programme(tmp_path, TWO_STEPS.replace("content: A", "content: Z"))):
        assert company.plan(chosen, 2).empty and Lake(company.workspace).head().id == head, "what is decided stays"
    assert company.plan(one, 3).empty, "the second step waits two days"
    second = company.plan(one, 4)
    assert sorted(second["lead_id"]) == sorted(sent["lead_id"]) and (second["step"] == 2).all() and (second["propensity"] == 1.0).all()
    assert company.plan(one, 10).empty, "the sequence is over, and the held-out stay out"
    assert company.made()["nurture_id"].is_unique
    with pytest.raises(BadParameter, match="was planned as of 2026-03-06"):
        company.plan(one, 3)


def test_later_facts_change_no_decision(company, tmp_path):
    one = programme(tmp_path)
    leads = company.leads(40)
    first, second = copied(company.workspace, tmp_path), copied(company.workspace, tmp_path / "again")
    late = Company(second)
    for lead in leads:
        late.event(lead, "unsubscribe", START + 2 * DAY)
    late.leads(5, START + 3 * DAY)
    before, after = (plan_nurture(where, one, START + 2 * DAY).rows for where in (first, late.settle()))
    assert len(before) == 40
    pd.testing.assert_frame_equal(before, after)


REFUSALS = {
    "unsubscribe": lambda c, lead, at: c.event(lead, "unsubscribe", at),
    "complaint": lambda c, lead, at: c.event(lead, "email_complaint", at),
    "spam report": lambda c, lead, at: c.event(lead, "Spam_Report", at),
    "bounce": lambda c, lead, at: c.event(lead, "e_bounced_email", at),
    "opt out": lambda c, lead, at: c.event(lead, "opt_out", at),
    "mail bounced": lambda c, lead, at: c.write("activity", lead_id=lead, type="email", outcome="bounced", occurred_at=at),
    "reply": lambda c, lead, at: c.event(lead, "email_reply", at),
    "call from the lead": lambda c, lead, at: c.write("activity", lead_id=lead, type="call", direction="inbound", occurred_at=at),
    "converted": lambda c, lead, at: c.write("lead", lead_id=lead, status="converted", occurred_at=at),
    "disqualified": lambda c, lead, at: c.write("lead", lead_id=lead, status="disqualified", occurred_at=at),
    "qualified": lambda c, lead, at: c.write("lead", lead_id=lead, status="qualified", occurred_at=at),
    "deleted": lambda c, lead, at: c.write("lead", lead_id=lead, deleted=True, occurred_at=at),
    "consent refused": lambda c, lead, at: c.write("contact", contact_id=f"C{lead}", consent=False, occurred_at=at),
    "contact deleted": lambda c, lead, at: c.write("contact", contact_id=f"C{lead}", deleted=True, occurred_at=at),
}


@pytest.mark.slow
def test_nothing_is_ever_planned_for_a_lead_that_stops_before_or_between_the_steps(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0"))
    early, late = company.leads(len(REFUSALS)), company.leads(len(REFUSALS))
    free = company.leads(3)
    for lead in early + late + free:
        company.write("contact", contact_id=f"C{lead}", email=f"{lead}@example.com", consent=True, occurred_at=START)
        company.write("lead", lead_id=lead, contact_id=f"C{lead}", occurred_at=START)
    for lead, refuse in zip(early, REFUSALS.values(), strict=True):
        refuse(company, lead, START + DAY)
    first = company.plan(one, 2)
    assert sorted(first["lead_id"]) == sorted(late + free)
    for lead, refuse in zip(late, REFUSALS.values(), strict=True):
        refuse(company, lead, START + 3 * DAY)
    listed = due(company.settle(), 2, START + 2 * DAY)
    assert sorted(listed["lead_id"]) == sorted(late + free) and listed["email"].notna().all(), "known only the day after"
    assert sorted(due(company.settle(), 366, START + 3.5 * DAY)["lead_id"]) == [], "what was due the day before is not listed again"
    second = company.plan(one, 4)
    assert sorted(second["lead_id"]) == sorted(free)
    for day in (5, 20):
        assert not set(company.plan(one, day)["lead_id"]) & set(early + late)
    assert company.next(late[0], one, 4) == {"lead_id": late[0], "what": "stop", "why": "unsubscribed, complained or bounced"}
    assert company.next(late[12], one, 4)["why"] == "consent refused"


def test_what_was_decided_is_not_listed_once_consent_is_withdrawn(company, tmp_path):
    text = TWO_STEPS.replace("held_out: 0.3", "held_out: 0").replace("channel: email}", "channel: email, wait_days: 3}")
    lead, other = company.leads(2)
    one = programme(tmp_path, text)
    assert len(company.plan(one, 2)) == 2
    company.write("contact", contact_id="C", consent=False, occurred_at=START + 3 * DAY)
    company.write("lead", lead_id=lead, contact_id="C", occurred_at=START + 3 * DAY)
    path = tmp_path / "due.csv"
    found = due(company.settle(), 3, START + 4 * DAY, path)
    assert found["lead_id"].tolist() == [other]
    written = pd.read_csv(path)
    assert written["nurture_id"].tolist() == found["nurture_id"].tolist() and written["send_at"].iloc[0] == "2026-03-07T00:00:00Z"
    with pytest.raises(BadParameter, match="days 0"):
        due(company.settle(), 0)


def test_a_person_is_one_person_whichever_lead_it_is(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0"))
    leads = company.leads(4)
    for number, lead in enumerate(leads):
        mail = " Ann@Example.com" if number < 2 else f"{number}@example.com"
        company.write("contact", contact_id=f"C{number}", email=mail, occurred_at=START)
        company.write("lead", lead_id=lead, contact_id=f"C{number}", occurred_at=START)
    first = company.plan(one, 2)
    assert len(first) == 3 and len(set(first["lead_id"]) & set(leads[:2])) == 1, "two leads of one person are not both written to"
    company.event(leads[0], "unsubscribe", START + 2.5 * DAY)
    company.write("contact", contact_id="C2", consent=False, occurred_at=START + 2.5 * DAY)
    assert company.plan(one, 5)["lead_id"].tolist() == [leads[3]]


def test_one_of_two_leads_of_a_person_waits_whether_asked_alone_or_among_all(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0"))
    company.write("contact", contact_id="C", email="ann@example.com", occurred_at=START)
    first, second = company.leads(2, contact_id="C")
    assert company.next(first, one, 2)["what"] == "send"
    assert company.next(second, one, 2)["why"] == "another lead of the same person comes first"


def test_consent_is_asked_for_where_the_programme_needs_it(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0\nneeds_consent: true"))
    asked, unasked = company.leads(2)
    company.write("contact", contact_id="C", consent=True, occurred_at=START)
    company.write("lead", lead_id=asked, contact_id="C", occurred_at=START)
    assert company.plan(one, 2)["lead_id"].tolist() == [asked]
    assert company.next(unasked, one, 2)["why"] == "consent not given"


def test_triggers_wait_for_what_the_lead_does(company, tmp_path):
    text = TWO_STEPS.replace("held_out: 0.3", "held_out: 0").replace("- after_days: 2\n", "- after_days: 2\n    event: download\n")
    loud, silent, earlier = company.leads(3)
    company.event(earlier, "download", START + DAY)
    one = programme(tmp_path, text)
    assert len(company.plan(one, 2)) == 3
    company.event(loud, "download", START + 3 * DAY)
    assert company.plan(one, 5)["lead_id"].tolist() == [loud], "a download before the step before does not count"
    assert company.next(silent, one, 5)["why"] == "step 2 waits for download"
    quiet = programme(tmp_path, text.replace("event: download", "silent_days: 2").replace("two steps", "quiet"))
    company.event(silent, "web_visit", START + 8 * DAY)
    company.event(earlier, "nurture_email", START + 8 * DAY)
    assert len(company.plan(quiet, 6)) == 3
    assert sorted(company.plan(quiet, 9)["lead_id"]) == sorted([loud, earlier]), "a mail sent to a lead is not its doing"
    company.event(loud, "form", START + 9 * DAY)
    assert "form" in str(company.next(loud, quiet, 10)["why"])


def test_no_more_is_sent_than_allowed_by_all_programmes_and_tools_together(company, tmp_path):
    text = TWO_STEPS.replace("held_out: 0.3", "held_out: 0").replace("sent: 5, days: 7", "sent: 2, days: 7")
    one, other = programme(tmp_path, text), programme(tmp_path, text.replace("two steps", "other"))
    full, free = company.leads(2)
    for hours in (30, 40):
        company.event(full, "nurture_email", START + dt.timedelta(hours=hours))
    assert company.plan(one, 2)["lead_id"].tolist() == [free]
    assert company.plan(other, 3)["lead_id"].tolist() == [free]
    assert company.plan(one, 4).empty and "sent 2 within 7 days" in str(company.next(free, one, 4)["why"])
    assert sorted(company.plan(one, 9.5)["lead_id"]) == sorted([full, free]), "a week later there is room again"


def test_old_leads_end_and_unknown_ones_are_refused(company, tmp_path):
    one = programme(tmp_path)
    (lead,) = company.leads(1)
    company.leads(1, START + 60 * DAY)
    assert lead not in set(company.plan(one, 62)["lead_id"])
    assert company.next(lead, one, 62)["why"] == "older than 40 days"
    with pytest.raises(BadParameter, match="lead 'nobody' is not known"):
        company.next("nobody", one, 62)


def test_next_step_is_what_a_plan_would_write(company, tmp_path):
    one = programme(tmp_path)
    leads = company.leads(6, country="Germany")
    told = {lead: company.next(lead, one, 2) for lead in leads}
    rows = company.plan(one, 2).set_index("lead_id")
    for lead, row in told.items():
        assert (row["what"] == "hold out") == rows.loc[lead, "held_out"]
        if row["what"] == "send":
            assert (row["content"], row["send_at"], row["why"]) == tuple(rows.loc[lead, ["content", "send_at", "reason"]])
            assert "hours of Europe/" in str(row["why"])


def nurtured(company: Company, one: Programme, count: int = 3_000) -> list[str]:
    """Leads drawn on day 2, of whom those sent A convert more often, then those sent B, then the others, within the days."""
    leads = company.leads(count, employees=[50, 500] * (count // 2))
    rows = company.plan(one, 2).set_index("lead_id").reindex(leads)
    chance = np.select([rows["held_out"], rows["option"].eq("a")], [0.10, 0.35], 0.20)
    chance = np.array([lot("converts", lead) for lead in leads]) < chance
    company.changed(np.array(leads)[chance], "converted", START + 20 * DAY)
    company.changed(np.array(leads)[~chance][:200], "converted", START + 50 * DAY)
    company.settle()
    return leads


@pytest.mark.slow
def test_own_programme_effect_values_and_learning_from_the_log(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS + "context: [{feature: employees, at_least: [100]}]\n")
    nurtured(company, one)
    assert programmes(company.workspace, START) == [], "what is decided at an instant is not known before it"
    with pytest.raises(NotEnoughData, match="0 leads that can be judged"):
        nurture_effect(company.workspace, one.name, START + 20 * DAY, one.within_days)
    found = nurture_effect(company.workspace, one.name, START + 40 * DAY, one.within_days)
    assert found.effect.overall.lo <= 0.175 <= found.effect.overall.hi and found.effect.notes == () and found.chosen is None
    after = nurture_effect(company.workspace, one.name, START + 90 * DAY, one.within_days)
    assert after.effect.overall == found.effect.overall, "conversions after the days do not count"
    assert set(found.effect.segments["segment"]) == {"employees under 100", "employees 100 to under 1,000"}
    assert "adds to conversion" in found.sentence and programmes(company.workspace) == [one.name]
    values = nurture_value(company.workspace, {EVERYBODY: 1.0, NOBODY: 0.0}, one.name, START + 40 * DAY, one.within_days)
    for policy, truth in ((EVERYBODY, 0.275), (NOBODY, 0.10)):
        mine = values[values["policy"] == policy]
        assert ((mine["lo"] <= truth) & (truth <= mine["hi"])).all(), policy
    options = option_values(company.workspace, one, 1, as_of=START + 40 * DAY)
    for policy, truth in (("always a", 0.35), ("always b", 0.20), ("even", 0.275)):
        mine = options[options["policy"] == policy]
        assert ((mine["lo"] <= truth) & (truth <= mine["hi"])).all() and not mine["notes"].map(len).any(), policy
    with pytest.raises(NotEnoughData, match="never tried 'z'"):
        option_values(company.workspace, one, 1, {"new": {"z": 1.0}}, START + 40 * DAY)
    with pytest.raises(UnknownName, match="step '7'"):
        option_values(company.workspace, one, 7)
    new = company.leads(400, START + 40 * DAY)
    plan = plan_nurture(company.workspace, one, START + 42 * DAY)
    assert "a does best over all" in plan.sentence and "even chances" not in plan.policy.said[1]
    sent = plan.rows[~plan.rows["held_out"] & plan.rows["lead_id"].isin(new)]
    assert sent["propensity"].nunique() == 1, "a segment without employees was never seen: its chances stay even"
    more = company.leads(400, START + 42 * DAY, employees=50)
    sent = plan_nurture(company.workspace, one, START + 44 * DAY).rows
    sent = sent[~sent["held_out"] & sent["lead_id"].isin(more)]
    assert (sent["option"] == "a").mean() > 0.8 and np.isclose(sent["propensity"].max(), 0.7 * 0.9)
    with pytest.raises(UnknownName, match="nurture programme 'none'"):
        nurture_effect(company.workspace, "none", START + 40 * DAY)


def test_a_programme_without_hold_out_is_told_what_it_takes(company, tmp_path):
    one = programme(tmp_path, TWO_STEPS.replace("held_out: 0.3", "held_out: 0"))
    nurtured(company, one, 400)
    with pytest.raises(NotEnoughData, match=r"cannot be known .*held_out: 0.2\): with \d,\d{3} leads a change"):
        nurture_effect(company.workspace, one.name, START + 40 * DAY, one.within_days)
    with pytest.raises(NotEnoughData, match="cannot be known"):
        nurture_value(company.workspace, None, one.name, START + 40 * DAY, one.within_days)


def test_a_recorded_programme_is_read_by_lot_and_choice_is_called_choice(company):
    rng = np.random.default_rng(0)
    for by, inside in (("lot", rng.random(3_000) < 0.5), ("choice", rng.random(3_000) < 0.5)):
        fit = rng.random(3_000) < 0.3 if by == "lot" else inside & (rng.random(3_000) < 0.7)  # who is chosen is better anyway
        said = [json.dumps({"nurture": "yes" if one else "no", "by": by}) for one in inside]
        leads = company.leads(3_000, custom=said)
        wins = rng.random(3_000) < 0.08 + 0.06 * inside + 0.20 * fit
        company.changed(np.array(leads)[wins], "converted", START + 9 * DAY)
    company.leads(10, custom=["{not json"] * 10)
    found = nurture_effect(company.settle(), RECORDED, START + 90 * DAY)
    assert found.effect.overall.lo <= 0.06 <= found.effect.overall.hi
    assert found.effect.overall.leads_with + found.effect.overall.leads_without == 3_000
    assert found.chosen is not None and found.gap is not None and found.gap[1] > 0.05
    assert "no effect, for who was chosen differs anyway" in found.sentence and "chance is not on record" in found.sentence


def test_best_segments_are_chosen_before_the_leads_they_are_valued_on(company, tmp_path):
    rng = np.random.default_rng(0)
    times = [START + n * DAY / 10 for n in range(4_000)]
    inside, small = rng.random(4_000) < 0.5, rng.random(4_000) < 0.5
    rows = pd.DataFrame({"as_of": pd.to_datetime(times), "drawn_in": inside, "chance": 0.5, "segment": np.where(small, "small", "large")})
    rows["converted"] = (rng.random(4_000) < 0.1 + 0.15 * inside * small).astype(int)
    best, later = best_segments(rows, 60)
    assert best == ["small"] and rows["as_of"].iloc[later].min() >= rows["as_of"].median()
    flipped = rows.assign(converted=rows["converted"].where(rows.index < 2_000, 0))
    assert best_segments(flipped, 60)[0] == best, "what came later chooses nothing"
    target = share_policy(rows["segment"], {"small": 1.0})
    assert target["programme"].tolist() == small.astype(float).tolist()
    assert logged(rows.assign(lead_id="x"))["propensity"].eq(0.5).all()
    with pytest.raises(UnknownName, match="segment 'medium'"):
        share_policy(rows["segment"], {"medium": 1.0})
    with pytest.raises(BadParameter, match="not from 0 to 1"):
        share_policy(rows["segment"], 1.5)


def test_drawn_leads_are_judged_only_when_their_days_are_over(company):
    said = json.dumps({"nurture": "yes", "by": "lot"})
    company.leads(5, custom=said)
    company.leads(3, START + 50 * DAY, custom=said)
    tables = Lake(company.workspace).open()
    rows, young = drawn_leads(tables, RECORDED, START + 70 * DAY, 60)
    assert (len(rows), young) == (5, 3)
    with pytest.raises(BadParameter, match="within_days 0"):
        drawn_leads(tables, RECORDED, START, 0)


def test_commands_plan_list_and_tell(company, tmp_path):
    one = programme(tmp_path)
    nurtured(company, one, 600)
    app = typer.Typer()
    app.callback()(lambda: None)
    commands.register(app)

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["nurture", *arguments], obj=str(company.workspace.root), env={"COLUMNS": "200"})
        assert done.exit_code == 0, (done.output, done.exception)
        return " ".join(done.output.split())

    file = str(tmp_path / "programme.yaml")
    assert "0 leads held out by lot" in run("plan", "--programme", file, "--as-of", "2026-03-06")
    told = run("due", "--as-of", "2026-03-06", "--out", str(tmp_path / "due.csv"))
    assert "salesml sends nothing" in told and (tmp_path / "due.csv").exists()
    assert "'two steps' adds to conversion" in run("effect", "--programme", file, "--as-of", "2026-06-01")
    assert "'two steps'" in run("effect", "--within-days", "30", "--as-of", "2026-06-01"), "the only one there is"


@pytest.mark.slow
def test_the_trial_judges_the_effect_and_policies_by_the_truth():
    with opened_leads(world.company(**{**world.preset("tiny"), "leads": 9_000, "deals": 2_700}, seed=11)) as case:
        found = pd.DataFrame([vars(one) for one in judge_nurture(case)]).set_index(["part", "method", "metric"])["value"]
    found = found.sort_index()
    lot_, choice = found["nurture effect", "by lot"], found["nurture effect", "by choice"]
    assert lot_["covered"] == 1 and choice["covered"] == 0 and choice["bias"] > 0.03
    values = found["value of a nurture policy"].unstack()
    assert (values["relative_error"].abs() < 4 * values["relative_se"]).all()
    assert (values["floor"] < values["relative_se"]).all() and values["relative_se"].max() < 0.25
    assert values.loc["everybody, doubly robust", "truth"] > values.loc["nobody, doubly robust", "truth"]
