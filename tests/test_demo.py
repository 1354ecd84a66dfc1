"""The main path as a new user walks it: salesml demo, on the simulated company and on a real export."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import shared_data

from salesml.errors import BadInput
from salesml.lake import Lake, visible
from salesml.registry import catalog
from salesml.workflows.deals import MODEL
from salesml.workflows.recognise import recognised
from salesml.workspace import Workspace


def demo(root: Path, *options: str) -> str:
    command = [sys.executable, "-m", "salesml.cli", "-w", str(root), "demo", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kept(root: Path, name: str) -> int:
    view = visible(Lake(Workspace.open(root)).open(), dt.datetime.now(dt.UTC))
    return int(view.frame(view.facts(name).count().as_table()).iloc[0, 0])


@pytest.mark.slow
def test_demo_on_the_simulated_company(tmp_path: Path) -> None:
    shown = demo(tmp_path / "demo")
    assert "no claim about yours" in shown, "what is simulated is called simulated"
    assert kept(tmp_path / "demo", "prediction") > 100 and kept(tmp_path / "demo", "forecast") > 6
    page = (tmp_path / "demo" / "reports" / "weekly_report.html").read_text(encoding="utf-8")
    assert "Where do we land" in page
    for command in ("app", "lab", "tracking", "serve"):
        assert f"{tmp_path / 'demo'} {command}" in shown.replace("\n", " ")


@pytest.fixture(scope="module")
def maven(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What the demo shows on a CRM's export without signal, and its workspace."""
    root = tmp_path_factory.mktemp("demo") / "maven"
    return demo(root, "--data", str(shared_data("maven_crm"))), root


@pytest.mark.slow
def test_demo_on_an_export_without_signal_says_so_first(maven: tuple[str, Path]) -> None:
    shown, root = maven
    assert "There is no usable signal about who wins in this data" in shown
    page = (root / "reports" / "weekly_report.html").read_text(encoding="utf-8")
    assert "No model surely tells winners apart better than plain rates" in page


@pytest.mark.slow
def test_no_lift_is_claimed_on_that_export(maven: tuple[str, Path]) -> None:
    workspace = Workspace.open(maven[1])
    champion = catalog.champion(workspace, MODEL)
    assert champion is not None and champion.baseline, "the deal model is not promoted"
    version = next(version for version in catalog.versions(workspace, MODEL) if version.kind == "competing_risks")
    certificate = catalog.load(workspace, MODEL, version.number).certificate
    assert certificate is not None and certificate.figure("auc").lo < 0.55
    assert certificate.figure("explained").hi < 0.03, "how old a deal is tells a little, not enough"


@pytest.mark.parametrize(("folder", "name"), [("maven_crm", "maven"), ("bpic2012", "bpic2012"), ("iowa_liquor_b2b", "iowa")])
def test_real_exports_are_recognised(folder: str, name: str) -> None:
    assert recognised(shared_data(folder)).name == name


def test_an_unknown_export_is_told_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "deals.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match=r"none of them|packaged mapping knows .*import --suggest"):
        recognised(tmp_path)
