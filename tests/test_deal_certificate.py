"""The certificate as people see it: its answer in words, its charts and tables, the command, and versions that have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import typer
from deal_versions import copied, rate_version
from scipy.special import expit, logit
from test_certificate import certified, snapshots
from typer.testing import CliRunner

from salesml.cli import models
from salesml.errors import NotEnoughData, UnknownName
from salesml.evaluation.calibration import Calibration
from salesml.evaluation.certificate import Certificate
from salesml.evaluation.metrics import Measured
from salesml.figures import certificate as figures
from salesml.registry import catalog
from salesml.registry.versions import Version
from salesml.workflows.certificate import DealCertificate, deal_certificate

VERSION = Version("deal_outcome", 3, "competing_risks", False, False, (), {}, pd.Timestamp("2026-01-01").to_pydatetime(), "r", "s", None)


@pytest.fixture(scope="module")
def found() -> Certificate:
    rows = snapshots(400, 1)
    y, p, entity = (rows[name].to_numpy() for name in ("won", "p", "entity"))
    return certified(rows, dated={"won by quarter end": (p, y.astype(float), entity)})


def with_calibration(c: Certificate, ece: float, slope: tuple[float, float, float]) -> str:
    none = Measured(0, 0, 0)
    told = Calibration(Measured(ece, ece, ece), 0.02, Measured(*slope), none)
    calm = c.segments.assign(off=False)
    return DealCertificate(VERSION, replace(c, calibration=told, segments=calm)).answer


def test_answer_says_yes_only_where_it_was(found: Certificate) -> None:
    assert with_calibration(found, 0.01, (1, 0.9, 1.1)).startswith("Version 3 (competing risks): yes, P(win) meant")
    assert ": no, P(win) did not mean" in with_calibration(found, 0.03, (1, 0.9, 1.1))
    assert "were too sure" in with_calibration(found, 0.01, (0.8, 0.7, 0.9))
    assert "were too timid" in with_calibration(found, 0.01, (1.2, 1.1, 1.3))
    off = found.segments.assign(off=[True] + [False] * (len(found.segments) - 1))
    bent = DealCertificate(VERSION, replace(found, segments=off))
    assert "not in every segment" in bent.answer and bent.segments.startswith(f"1 of {len(off)} segments is off: region East.")


def test_answer_gives_the_figures(found: Certificate) -> None:
    answer, difference = DealCertificate(VERSION, found).answer, found.against("base")
    assert f"On 400 later deals (shown 2025-01-06 to 2025-11-01, {found.rows:,} weekly snapshots)" in answer
    assert f"base {difference.value:+.3f} ({difference.lo:+.3f} to {difference.hi:+.3f}), surely lower" in answer
    assert f"off by {100 * found.calibration.ece.value:.1f} points" in answer
    for lo, hi, word in ((-0.01, 0.02, "not surely different"), (0.01, 0.02, "surely higher")):
        other = replace(found, differences=found.differences.assign(lo=lo, hi=hi))
        assert word in DealCertificate(VERSION, other).answer
    assert f"was {found.by_amount.value:.2f}" in DealCertificate(VERSION, found).money
    assert "no amounts" in DealCertificate(VERSION, replace(found, money=None)).money


def test_charts_tell_their_reading_in_words(found: Certificate) -> None:
    near = found.before_close.iloc[0]
    told = figures.before_close_figure(found.before_close)
    assert told.layout.meta["alt"].endswith(f"{near['auc']:.2f} ({near['auc_lo']:.2f} to {near['auc_hi']:.2f}) 0 to under 1 weeks before.")
    assert list(told.data[0].x)[-1] == "0 to under 1", "time runs towards the close"
    dated = figures.dated_figure(found.dated.assign(lo=0.0, hi=[1.0] * 9 + [0.0]))
    assert dated.layout.meta["alt"].startswith("won by quarter end: in 9 of 10 bins")
    assert "predicted" in figures.reliability_figure(found.reliability).layout.meta["alt"]


def test_segments_come_the_most_off_first(found: Certificate) -> None:
    bent = found.segments.assign(observed=found.segments["predicted"])
    bent.loc[3, ["observed", "off"]] = [bent.loc[3, "predicted"] - 0.3, True]
    html = figures.segments_table(bent).html
    first = html.split("<tbody>")[1].split("</tr>")[0]
    assert f"{bent.loc[3, 'by']}: {bent.loc[3, 'value']}" in first and ">-30.0<" in first and ">yes<" in first


def test_without_certificate_all_say_so() -> None:
    none = DealCertificate(replace(VERSION, kind="group_rate"), None)
    assert none.answer.startswith("Version 3 (group rate) has no certificate")
    assert "no certificate" in none.money and none.limits == "" and none.data.empty and "No segment" in none.segments
    for draw in (figures.reliability_figure, figures.before_close_figure, figures.dated_figure):
        assert draw(none.frame("reliability")).layout.meta["alt"] == figures.NOTHING
    assert "nothing is measured" in figures.peers_table(none.frame("figures")).html
    assert "none is large enough" in figures.segments_table(none.frame("segments")).html


def test_a_baseline_champion_and_a_certified_version_from_the_command_line(tiny_workspace, tmp_path) -> None:
    workspace = copied(tiny_workspace, tmp_path / "own")
    with pytest.raises(NotEnoughData, match="salesml train deals"):
        deal_certificate(workspace)
    rate_version(workspace, "2026-04-01")
    assert deal_certificate(workspace).certificate is None
    with pytest.raises(UnknownName, match="'9'; valid: 1, champion"):
        deal_certificate(workspace, 9)
    app = typer.Typer()
    models.register(app)
    run = CliRunner().invoke(app, ["certificate"], obj=str(workspace.root))
    assert run.exit_code == 0 and "has no certificate" in run.output
    folder = catalog.load(workspace, "deal_outcome", 1).folder
    rows = snapshots(300, 5)
    certified(rows, expit(logit(rows["p"].to_numpy()) + 1)).write(folder)
    run = CliRunner().invoke(app, ["certificate", "1"], obj=str(workspace.root))
    for part in ("no, P(win) did not mean what it said", "auc 0.", "segments are off", "times what was won", "A limit."):
        assert part in run.output, run.output
    assert np.isfinite(deal_certificate(workspace, 1).frame("figures")["value"]).all()
