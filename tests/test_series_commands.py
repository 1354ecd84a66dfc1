"""`salesml forecast series` and `salesml backtest series` on files as people have them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from salesml.cli import app, series
from salesml.errors import BadInput, BadParameter, UnknownName
from salesml.models import series_candidates
from salesml.workflows.series import read_series

QUICK = ["--models", "theta,aggregation,seasonal_naive"]
COLUMNS = ["unique_id", "ds", "yhat", "lo80", "hi80", "lo95", "hi95", "model"]

if not any(group.name == "backtest" for group in app.registered_groups):
    series.register(app)


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_candidates, "WORTH_WORKERS", 10_000)


@pytest.fixture
def table() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    months = pd.date_range("2015-01-01", periods=40, freq="MS").strftime("%Y-%m-%d")
    wave = 100 + 20 * np.sin(np.arange(40) / 6 * np.pi)
    parts = [
        pd.DataFrame({"unique_id": name, "ds": months, "y": (wave + draw.normal(0, 3, 40)).round(2)})
        for name in ("007", "NA", "a,b")
    ]
    return pd.concat(parts, ignore_index=True)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def forecast(file: Path, out: Path, *more: object) -> pd.DataFrame:
    run("forecast", "series", file, "--horizon", 6, "--season", 12, "--out", out, *QUICK, *more)
    return pd.read_csv(out, dtype={"unique_id": "str", "ds": "str"}, keep_default_na=False)


def write(table: pd.DataFrame, file: Path) -> Path:
    if file.name.endswith(".parquet"):
        table.assign(ds=pd.to_datetime(table["ds"])).to_parquet(file)
    elif file.name.endswith(".xlsx"):
        table.assign(ds=pd.to_datetime(table["ds"])).to_excel(file, index=False)
    else:
        file.write_bytes((gzip.compress if file.suffix == ".gz" else bytes)(table.to_csv(index=False).encode()))
    return file


def test_every_format_gives_the_same_forecast_with_exact_names(table: pd.DataFrame, tmp_path: Path) -> None:
    answers = {
        name: forecast(write(table, tmp_path / f"in.{name}"), tmp_path / f"{name}.out.csv")
        for name in ("csv", "csv.gz", "parquet", "xlsx")
    }
    found = answers["csv"]
    assert found.columns.tolist() == COLUMNS
    assert found["unique_id"].tolist() == [name for name in ("007", "NA", "a,b") for _ in range(6)]
    assert found["ds"].tolist()[:6] == [
        "2018-05-01",
        "2018-06-01",
        "2018-07-01",
        "2018-08-01",
        "2018-09-01",
        "2018-10-01",
    ]
    for other in answers.values():
        pd.testing.assert_frame_equal(found, other)
    assert not list(tmp_path.glob("*.rejected.csv"))


def test_semicolons_tabs_and_windows_text_are_read(table: pd.DataFrame, tmp_path: Path) -> None:
    table = table.replace({"unique_id": {"NA": "Köln"}})
    for separator, encoding, name in ((";", "cp1252", "a.csv"), ("\t", "utf-8-sig", "b.tsv")):
        file = tmp_path / name
        file.write_bytes(table.to_csv(index=False, sep=separator).encode(encoding))
        pd.testing.assert_frame_equal(read_series(file), table.assign(y=table["y"].astype("str")), check_dtype=False)


def test_other_column_names_and_integer_periods(table: pd.DataFrame, tmp_path: Path) -> None:
    renamed = table.assign(ds=table.groupby("unique_id").cumcount() + 1).set_axis(["series", "t", "value"], axis=1)
    names = ["--id-column", "series", "--time-column", "t", "--value-column", "value"]
    found = forecast(write(renamed, tmp_path / "m3.csv"), tmp_path / "f.csv", *names)
    assert found["ds"].tolist()[:6] == ["41", "42", "43", "44", "45", "46"]


def test_one_bad_series_is_listed_and_the_others_are_forecast(table: pd.DataFrame, tmp_path: Path) -> None:
    bad = table.astype({"y": "object"})
    bad.loc[44, "y"] = "1.234,5"
    out = tmp_path / "f.csv"
    file = write(bad, tmp_path / "in.csv")
    result = run("forecast", "series", file, "--horizon", 6, "--season", 12, "--out", out, *QUICK)
    assert "in.csv, row 45, column y: not a number (value '1.234,5')" in result.output
    assert pd.read_csv(out, dtype="str", keep_default_na=False)["unique_id"].unique().tolist() == ["007", "a,b"]
    rejected = pd.read_csv(tmp_path / "f.csv.rejected.csv", keep_default_na=False).iloc[0]
    assert (rejected["unique_id"], rejected["row"], rejected["value"]) == ("NA", 45, "1.234,5")
    forecast(write(table, file), out)
    assert not (tmp_path / "f.csv.rejected.csv").exists()


def test_backtest_writes_models_steps_and_windows(table: pd.DataFrame, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    file = write(table, tmp_path / "in.csv")
    run("backtest", "series", file, "--horizon", 6, "--season", 12, "--windows", 2, "--out", out, *QUICK)
    found = json.loads(out.read_text())
    names = {"theta", "aggregation", "seasonal_naive", "naive", "ensemble"}
    models = {row["model"]: row for row in found["models"]}
    assert set(models) == names
    assert models["seasonal_naive"]["to_seasonal_naive"] == 1
    assert models["ensemble"]["wape_lo"] <= models["ensemble"]["wape"] <= models["ensemble"]["wape_hi"]
    assert {"wape", "mae", "mase", "smape", "bias", "cover80", "cover95"} <= set(models["ensemble"])
    assert {(row["model"], row["step"]) for row in found["by_step"]} == {(m, s) for m in names for s in range(1, 7)}
    assert {(row["model"], row["window"]) for row in found["by_window"]} == {(m, w) for m in names for w in (1, 2)}
    assert models["ensemble"]["n"] == 3 * 2 * 6
    once = out.read_bytes()
    run("backtest", "series", file, "--horizon", 6, "--season", 12, "--windows", 2, "--out", out, *QUICK)
    assert out.read_bytes() == once


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("no.csv", None, "no such file"),
        ("zero.csv", b"", "the file is empty"),
        ("list.json", b"[]", "not one of .csv"),
        ("cut.csv.gz", gzip.compress(b"unique_id,ds,y\na,1,2\n" * 200, mtime=0)[:40], "cannot be read"),
        ("other.csv", b"id,date,amount\na,1,2\n", r"'unique_id' is missing; found: id, date, amount"),
        ("ragged.csv", b"unique_id,ds,y\na,1,2\na,2,3,4,5\n", r"cannot be read .*line 3"),
        ("wide.csv", b"unique_id,ds,y\na,1,2,9\na,2,3,9\n", "cannot be read .*does not match"),
        ("head.csv", b"unique_id,ds,y\n", "no rows"),
        ("fake.parquet", b"PAR1 not really", "cannot be read"),
    ],
)
def test_unusable_files_are_named(name: str, content: bytes | None, words: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=f"{name}: .*{words}"):
        run("forecast", "series", tmp_path / name, "--horizon", 2, "--out", tmp_path / "f.csv")
    assert not (tmp_path / "f.csv").exists()


def test_wrong_options_are_refused(table: pd.DataFrame, tmp_path: Path) -> None:
    file, out = write(table, tmp_path / "in.csv"), tmp_path / "f.csv"
    with pytest.raises(UnknownName, match="'magic'; valid: aggregation"):
        run("forecast", "series", file, "--horizon", 2, "--out", out, "--models", "magic")
    with pytest.raises(BadParameter, match="previous, zero, error"):
        run("forecast", "series", file, "--horizon", 2, "--out", out, "--gaps", "guess")
    with pytest.raises(BadParameter, match="not a file name"):
        run("forecast", "series", file, "--horizon", 2, "--out", tmp_path)
