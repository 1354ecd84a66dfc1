"""A study answers one question of one file: honestly, repeatably, with everything it left out on record."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import shared_data
from study_tables import deals, write

from salesml.errors import BadInput, BadParameter, NotEnoughData, SalesmlError, UnknownName
from salesml.models.outcome import Settings
from salesml.workflows import study_models
from salesml.workflows.study import Studied, silent, study
from salesml.workflows.study_input import read_table
from salesml.workflows.study_prepare import Question, prepare
from salesml.workflows.study_report import answer

WON = Question("Result", "Won", "test", time="Created", id="Deal")


def run(table: pd.DataFrame, folder: Path, question: Question = WON, **options: object) -> Studied:
    return study(write(table, folder / "deals.csv", **options), question, folder / "out", None, silent)


def reworded(**changes: object) -> Question:
    return Question(**{**vars(WON), **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    """One setting to try rather than four: what is tested here does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_models, "CANDIDATES", (Settings(trees=100),))
        yield


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Studied:
    """A study of a table with signal, a leaking date, blank outcomes and a repeated header."""
    table = deals(1500, signal=1.2)
    table.loc[[3, 8], "Result"] = ""
    table.loc[5, "Created"] = "unknown"
    return run(table, tmp_path_factory.mktemp("study"))


def test_answer_is_the_first_sentence_and_names_the_base_rate(studied: Studied) -> None:
    page = (studied.folder / "report.html").read_text(encoding="utf-8")
    body = page[page.index("<body>") :]
    first = re.sub(r"<[^>]+>", "", body).strip().splitlines()[0]
    assert first == answer(studied) and first.startswith("Result = Won can be predicted: on ")
    assert f"base rate of {studied.certificate['base_rate']:.1%}" in first


def test_report_needs_no_network_and_is_accessible(studied: Studied) -> None:
    page = (studied.folder / "report.html").read_text(encoding="utf-8")
    found: list[tuple[str, dict]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list) -> None:
            found.append((tag, dict(attrs)))

    Reader().feed(page)
    assert not [tag for tag, attributes in found if tag in ("link", "img", "iframe") or "src" in attributes]
    assert page.count("Plotly.newPlot(") == 3 and '<html lang="en">' in page
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in found
    assert all(attributes.get("aria-label") for tag, attributes in found if tag == "figure")
    assert all(attributes.get("scope") for tag, attributes in found if tag == "th")


def test_certificate_has_intervals_blocks_and_reasons(studied: Studied) -> None:
    saved = json.loads((studied.folder / "certificate.json").read_text(encoding="utf-8"))
    assert saved == json.loads(json.dumps(studied.certificate))
    assert set(saved["unseen_rows"]) == {"base_rate", "logistic", "catboost"} and saved["has_signal"]
    for figures in saved["unseen_rows"].values():
        assert figures["log_loss"]["lo"] < figures["log_loss"]["value"] < figures["log_loss"]["hi"]
    chosen = saved["unseen_rows"][saved["chosen"]]
    assert chosen["auc"]["lo"] > 0.65 and chosen["log_loss_minus_base_rate"]["hi"] < 0
    blocks = saved["blocks"]
    assert (
        blocks["train"]["last"] < blocks["calibration"]["first"]
        and blocks["calibration"]["last"] < blocks["test"]["first"]
    )
    assert saved["rows_used"] == 1497 == sum(block["rows"] for block in blocks.values())
    assert saved["file"]["sha256"] == studied.sheet.sha256 and set(saved["versions"]) >= {"salesml", "catboost"}


def test_a_date_after_the_time_is_left_out_and_an_earlier_one_used(studied: Studied) -> None:
    assert "lie after the row's time" in studied.certificate["left_out"]["Closed"]
    assert "First call" in studied.certificate["features"] and "Closed" not in studied.certificate["features"]
    assert studied.prepared.X["First call"].between(-30, 0).all()


def test_rows_without_outcome_or_time_are_rejected_and_kept(studied: Studied) -> None:
    rejected = pd.read_csv(studied.folder / "rejected.csv")
    assert rejected["row"].tolist() == [3, 5, 8]
    assert rejected["reason"].tolist() == ["no Result", "Created does not read as a time", "no Result"]
    assert rejected["text"].str.contains("North|South|None").all()


def test_predictions_are_of_unseen_rows_in_file_order(studied: Studied) -> None:
    table = pd.read_csv(studied.folder / "predictions.csv", dtype={"id": "str"})
    assert list(table.columns) == ["row", "id", "y", "probability", "lo", "hi"]
    assert table["row"].is_monotonic_increasing and len(table) == studied.certificate["blocks"]["test"]["rows"]
    source = deals(1500, signal=1.2)
    assert (table["id"] == source["Deal"].iloc[table["row"]].to_numpy()).all()
    assert (table["y"] == (source["Result"].iloc[table["row"]] == "Won").to_numpy()).all()
    assert ((table["lo"] <= table["probability"]) & (table["probability"] <= table["hi"])).all()


def test_same_file_same_seed_same_figures(studied: Studied, tmp_path: Path) -> None:
    again = study(studied.folder.parent / "deals.csv", WON, tmp_path, None, silent)
    assert again.certificate == studied.certificate
    assert (tmp_path / "predictions.csv").read_bytes() == (studied.folder / "predictions.csv").read_bytes()


def test_no_signal_is_said_first(tmp_path: Path) -> None:
    studied = run(deals(1200, seed=4, signal=0.0), tmp_path, reworded(drop=("Closed",)))
    assert studied.comparison.chosen == "base_rate" and not studied.certificate["has_signal"]
    assert answer(studied).startswith("No signal: on ") and "base rate of" in answer(studied)
    assert json.loads((tmp_path / "out" / "model" / "model.json").read_text())["kind"] == "base_rate"


def test_declared_kept_and_leaking_columns(tmp_path: Path) -> None:
    table = deals(800)
    table["Status"] = table["Result"].map({"Won": "signed", "Lost": "archived"})
    path = write(table, tmp_path / "deals.csv")

    def features(**changes: object) -> dict:
        return study(path, reworded(**changes), tmp_path / "out", None, silent).certificate

    found = features(known_at_close=("Region",))
    assert "Status" not in found["features"] and found["left_out"]["Region"] == "declared known at close"
    kept = features(keep=("Status",))
    assert "Status" in kept["features"] and kept["unseen_rows"]["catboost"]["auc"]["value"] > 0.99


def test_repeated_ids_and_exact_duplicates_stay_in_one_block(tmp_path: Path) -> None:
    table = deals(600).drop(columns=["Created", "Closed", "First call"])
    copies = table.iloc[:60].assign(Deal=[f"copy {i}" for i in range(60)])
    repeated = table.iloc[60:120].assign(Amount="$7.00")
    path = write(pd.concat([table, copies, repeated]), tmp_path / "deals.csv")
    prepared = prepare(read_table(path), reworded(time=None))
    block = np.empty(len(prepared.y), dtype=int)
    for number, positions in enumerate(vars(prepared.blocks).values()):
        block[positions] = number
    assert (block[:60] == block[600:660]).all() and (block[60:120] == block[660:]).all()
    assert prepared.duplicates["rows_with_an_exact_duplicate"] >= 120
    assert prepared.duplicates["rows_with_a_repeated_id"] == 120
    assert len({*block}) == 3


def test_rows_in_order_are_split_in_order(tmp_path: Path) -> None:
    path = write(deals(300), tmp_path / "deals.csv")
    blocks = prepare(read_table(path), reworded(time=None, in_order=True)).blocks
    assert blocks.train.max() < blocks.calibration.min() and blocks.calibration.max() < blocks.test.min()


def test_too_few_columns_to_tell_duplicates_is_noted(tmp_path: Path) -> None:
    path = write(deals(400)[["Region", "Result"]], tmp_path / "deals.csv")
    prepared = prepare(read_table(path), Question("Result", "Won", "test"))
    assert "too few columns" in prepared.notes[0] and len(prepared.blocks.test) > 40


WRONG: list[tuple[dict, type[SalesmlError], str]] = [
    ({"target": "Outcome"}, UnknownName, r"'Outcome'.*Amount, Closed, Created, Deal"),
    ({"positive": "won"}, BadInput, r"no row has the positive value.*'Won' \(\d+\), 'Lost' \(\d+\)"),
    ({"time": "Day"}, UnknownName, "--time.*'Day'"),
    ({"id": "Key"}, UnknownName, "--id.*'Key'"),
    ({"drop": ("Nothing",)}, UnknownName, "--drop.*'Nothing'"),
    ({"known_at_close": ("Nothing",)}, UnknownName, "--known-at-close.*'Nothing'"),
    ({"keep": ("Nothing",)}, UnknownName, "--keep.*'Nothing'"),
    ({"drop": ("Result",)}, BadParameter, "'Result' is the target"),
    ({"drop": ("Region",), "keep": ("Region",)}, BadParameter, "both kept and dropped"),
    ({"in_order": True}, BadParameter, "give one"),
    ({"name": "../escape"}, BadParameter, "--name"),
    ({"time": "Region"}, BadInput, "neither dates nor numbers"),
]


@pytest.mark.parametrize(("changes", "error", "message"), WRONG)
def test_wrong_questions_are_refused_plainly(changes: dict, error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=re.compile(message, re.DOTALL)):
        run(deals(100), tmp_path, reworded(**changes))
    assert not (tmp_path / "out").exists()


def test_one_outcome_or_too_few_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"only one outcome.*'Won' \(100\)"):
        run(deals(100).assign(Result="Won"), tmp_path)
    table = deals(100).assign(Result=["Won"] * 7 + ["Lost"] * 93)
    with pytest.raises(NotEnoughData, match=r"7 rows have Result = Won and 93 have not; at least 20 of each"):
        run(table, tmp_path)


def test_a_smallest_table_is_answered_without_claiming_signal_by_luck(tmp_path: Path) -> None:
    studied = run(deals(60, seed=2, signal=0.0), tmp_path, reworded(time=None, drop=("Closed", "Created")))
    assert studied.certificate["rows_used"] == 60 and not studied.certificate["has_signal"]


def test_several_outcomes_are_noted(tmp_path: Path) -> None:
    table = deals(300)
    table.loc[:30, "Result"] = "Open"
    prepared = prepare(read_table(write(table, tmp_path / "deals.csv")), WON)
    assert "Open (" in prepared.notes[0] and "still open" in prepared.notes[0]


def test_without_features_the_base_rate_is_the_answer(tmp_path: Path) -> None:
    studied = run(deals(200)[["Deal", "Result"]], tmp_path, Question("Result", "Won", "test", id="Deal"))
    assert set(studied.comparison.models) == {"base_rate"} and answer(studied).startswith("No signal")


def test_a_numeric_target_may_be_written_either_way(tmp_path: Path) -> None:
    table = deals(200).assign(Result=lambda t: (t["Result"] == "Won").astype(float))
    table.to_parquet(tmp_path / "deals.parquet")
    prepared = prepare(read_table(tmp_path / "deals.parquet"), reworded(positive="1"))
    assert prepared.y.sum() == table["Result"].sum()


def test_a_model_that_cannot_be_trained_is_skipped_with_its_reason(tmp_path: Path) -> None:
    table = deals(300)
    table["Result"] = ["Lost"] * 195 + ["Won", "Lost"] * 52 + ["Won"]  # the training block has no win
    studied = run(table, tmp_path, reworded(time=None, in_order=True, drop=("Created", "Closed", "First call")))
    assert set(studied.comparison.skipped) == {"logistic", "catboost"}
    assert "at least 10 of each" in studied.comparison.skipped["catboost"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "question", "suspects"),
    [
        (
            "x_education_leads",
            "Leads.csv.gz",
            Question("Converted", "1", "x", id="Prospect ID"),
            {"Tags", "Lead Quality"},
        ),
        ("uci_bank_marketing", "bank-additional-full.csv.gz", Question("y", "yes", "x", in_order=True), {"duration"}),
        ("uci_online_shoppers", "online_shoppers_intention.csv.gz", Question("Revenue", "1", "x"), {"PageValues"}),
    ],
)
def test_known_leaks_of_real_tables_are_suspected(
    name: str, file: str, question: Question, suspects: set, tmp_path: Path
) -> None:
    found = study(shared_data(name) / file, question, tmp_path, None, silent)
    flagged = {*found.screened.flagged("strong"), *found.screened.flagged("moderate")}
    assert flagged == suspects and found.screened.false_alarms == 0
