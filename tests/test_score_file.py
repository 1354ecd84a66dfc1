"""New rows of the same shape are scored by the registered model, one row out for each row in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from study_tables import deals, write
from typer.testing import CliRunner

from salesml.cli import study as commands
from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.models.outcome import Settings
from salesml.workflows import study_models
from salesml.workspace import Workspace

app = typer.Typer()
commands.register(app)


def invoke(root: Path, *arguments: object) -> str:
    """The command's output; its exceptions come through as they are."""
    result = CliRunner().invoke(app, [str(a) for a in arguments], obj=str(root), env={"COLUMNS": "300"})
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace, made by the first study in it, with one registered study."""
    folder = tmp_path_factory.mktemp("scored")
    file = write(deals(900, signal=1.2), folder / "deals.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study_models, "CANDIDATES", (Settings(trees=100),))
        question = ["--target", "Result", "--positive", "Won", "--time", "Created", "--id", "Deal", "--name", "wins"]
        output = invoke(folder / "workspace", "study", "outcomes", file, *question, "--known-at-close", "Closed")
    assert "Result = Won can be predicted" in output and "model: wins version 1" in output
    return folder / "workspace"


@pytest.fixture(scope="module")
def new_rows() -> pd.DataFrame:
    """Rows without outcome, with an unseen region, gaps, an extra column, in another order of columns."""
    table = deals(40, seed=9).drop(columns=["Result", "Closed"]).assign(Remark="call back")
    table.loc[0, "Region"], table.loc[1, "Region"], table.loc[2, "Amount"] = "Atlantis", None, "tbd"
    return table[list(reversed(table.columns))]


def scored(root: Path, file: Path, model: str = "wins") -> tuple[pd.DataFrame, str]:
    out = file.parent / "scores.csv"
    output = invoke(root, "score", file, "--model", model, "--out", out)
    return pd.read_csv(out, dtype={"Deal": "str"}, keep_default_na=False, na_values={"probability": [""]}), output


def test_one_row_out_for_each_row_in(root: Path, new_rows: pd.DataFrame, tmp_path: Path) -> None:
    scores, output = scored(root, write(new_rows, tmp_path / "new.csv"))
    expected = ["row", "Deal", "probability", "lo", "hi", "factor_1", "factor_2", "factor_3"]
    assert list(scores.columns) == expected and scores["row"].tolist() == list(range(40))
    assert scores["Deal"].tolist() == new_rows["Deal"].tolist()
    assert ((scores["lo"] <= scores["probability"]) & (scores["probability"] <= scores["hi"])).all()
    factors = scores[["factor_1", "factor_2", "factor_3"]].to_numpy().ravel()
    assert pd.Series(factors).str.fullmatch(r"[\w ]+=.+ \([+-]\d+\.\d\d\)").all()
    assert "Columns not used: Remark" in output and "Amount: 1 values do not read as a number" in output


def test_scores_equal_the_models_own_and_order_does_not_matter(
    root: Path, new_rows: pd.DataFrame, tmp_path: Path
) -> None:
    from salesml.registry import catalog
    from salesml.workflows.study_recipe import Recipe

    first, _ = scored(root, write(new_rows, tmp_path / "a.csv"))
    again, _ = scored(root, write(new_rows.iloc[::-1], tmp_path / "b.csv"))
    assert first["probability"].tolist() == pytest.approx(again["probability"].tolist()[::-1])
    model = catalog.load(Workspace.open(root), "wins")
    X = Recipe.load(model.folder).frame(new_rows)
    assert first["probability"].tolist() == pytest.approx(model.predict(X).tolist(), abs=1e-9)


def test_the_same_rows_from_excel_and_from_one_row_alone(root: Path, new_rows: pd.DataFrame, tmp_path: Path) -> None:
    from_csv, _ = scored(root, write(new_rows, tmp_path / "a.csv"))
    new_rows.to_excel(tmp_path / "a.xlsx", index=False)
    from_excel, _ = scored(root, tmp_path / "a.xlsx")
    assert from_excel["probability"].tolist() == pytest.approx(from_csv["probability"].tolist())
    alone, _ = scored(root, write(new_rows.iloc[[5]], tmp_path / "one.csv"))
    assert alone["probability"][0] == pytest.approx(from_csv["probability"][5])
    assert alone["factor_1"][0] == from_csv["factor_1"][5]


def test_rows_that_cannot_be_read_keep_their_place(root: Path, new_rows: pd.DataFrame, tmp_path: Path) -> None:
    file = write(new_rows, tmp_path / "new.csv")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], "torn,row", *lines[3:]]))
    scores, output = scored(root, file)
    assert len(scores) == 41 and np.isnan(scores["probability"][2]) and scores["probability"].isna().sum() == 1
    assert scores["Deal"].tolist() == [*new_rows["Deal"][:2], "", *new_rows["Deal"][2:]]
    assert "Row 2 was not scored" in output


def test_missing_columns_are_named(root: Path, new_rows: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"new\.csv: missing 2 of the .* Region, Amount"):
        scored(root, write(new_rows.drop(columns=["Amount", "Region"]), tmp_path / "new.csv"))


def test_versions_are_chosen_by_alias_or_number(root: Path, new_rows: pd.DataFrame, tmp_path: Path) -> None:
    file = write(new_rows, tmp_path / "new.csv")
    assert "wins:1 version 1" in scored(root, file, "wins:1")[1]
    assert "wins@champion version 1" in scored(root, file, "wins@champion")[1]
    with pytest.raises(UnknownName):
        scored(root, file, "losses")


def test_scoring_deals_and_files_do_not_mix(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from salesml.cli import deals as deal_commands

    asked: list[str | None] = []
    monkeypatch.setattr(deal_commands, "show_scores", lambda context, as_of: asked.append(as_of))
    invoke(root, "score", "deals", "--as-of", "2024-05-01")
    assert asked == ["2024-05-01"]
    with pytest.raises(BadParameter, match=r"\./deals"):
        invoke(root, "score", "deals", "--model", "wins")
    with pytest.raises(BadParameter, match="--model NAME and --out"):
        invoke(root, "score", tmp_path / "x.csv", "--model", "wins")
