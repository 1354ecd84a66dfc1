"""The scoring server: right answers to right requests, a clear 4xx to others, and no submitted value in any error."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from registry_models import columns, rows, scorer

from salesml.registry.server import Served, create_app

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fastapi.testclient import TestClient

SECRET = "s3cr3t-value"
ROW = {"amount": 1200.5, "calls": 3, "stage": "offer", "renewal": "True"}
NAMES = list(ROW)
SPLIT = {"columns": NAMES, "data": [list(ROW.values())]}


@cache
def client() -> TestClient:
    """A client of a server for the small model, whose errors are answers, not exceptions."""
    app = create_app(scorer(), columns(), Served("deal_outcome", 7, "catboost", "-"), most_bytes=100_000)
    return TestClient(app, raise_server_exceptions=False)


def post(body, kind="application/json"):
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    return client().post("/invocations", content=content, headers={"content-type": kind})


def probabilities(answer):
    assert answer.status_code == 200, answer.text
    return [row["probability"] for row in answer.json()["predictions"]]


def refused(answer, *parts, status=400):
    assert answer.status_code == status, answer.text
    assert answer.json()["error_code"] == "BAD_REQUEST"
    for part in parts:
        assert part in answer.json()["message"]
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": SPLIT},
        {"dataframe_split": {**SPLIT, "index": [0]}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [list(ROW.values())[::-1]]}},
        {"dataframe_records": [ROW]},
        {"instances": [ROW]},
        {"inputs": [ROW]},
        {"inputs": {name: [value] for name, value in ROW.items()}},
        {"inputs": ROW},
        {"dataframe_records": [{**ROW, "calls": 3.0, "renewal": True}], "params": None},
    ],
)
def test_every_format_of_the_protocol_gives_the_model_s_probability(body):
    expected = scorer().predict(rows(1).assign(amount=1200.5, calls=3, stage="offer", renewal=True))
    assert probabilities(post(body)) == expected.tolist()


def test_csv_gives_the_same_as_json_and_empty_fields_are_missing():
    X = rows(50, 8)
    as_json = [{k: None if v != v else v for k, v in row.items()} for row in X.to_dict("records")]
    expected = scorer().predict(X).tolist()
    assert probabilities(post({"dataframe_records": as_json})) == expected
    assert probabilities(post(X.to_csv(index=False), "text/csv")) == expected


def test_intervals_and_factors_on_request():
    X = rows(1).assign(amount=1200.5, calls=3, stage="offer", renewal=True)
    [answer] = post({"dataframe_split": SPLIT, "params": {"interval": True, "factors": 2}}).json()["predictions"]
    assert [answer["lo"], answer["hi"]] == np.ravel(scorer().interval(X, 0.9)).tolist()
    assert len(answer["factors"]) == 2
    assert {"feature": "calls", "value": 3.0} in [{k: f[k] for k in ("feature", "value")} for f in answer["factors"]]


def test_the_version_is_told_everywhere():
    assert client().get("/version").json() == {
        **{"model": "deal_outcome", "version": 7, "kind": "catboost"},
        **{name: client().get("/version").json()[name] for name in ("salesml", "mlflow")},
    }
    for path in ("/ping", "/health", "/ready"):
        assert client().get(path).status_code == 200
    assert post({"inputs": ROW}).headers["x-model-version"] == "7"


def test_worker_processes_do_without_mlflow():
    code = "import sys, salesml.registry.server; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_categories_are_scored_and_counted():
    answer = post({"dataframe_records": [{**ROW, "stage": SECRET}, {**ROW, "stage": SECRET}, ROW]})
    assert answer.headers["x-unknown-categories"] == "stage=2"
    assert probabilities(answer)[0] == probabilities(answer)[1]
    assert "x-unknown-categories" not in post({"inputs": ROW}).headers


def test_an_optional_column_may_be_left_out_but_not_a_required_one():
    short = {name: value for name, value in ROW.items() if name != "amount"}
    assert probabilities(post({"inputs": short})) == probabilities(post({"inputs": {**ROW, "amount": None}}))
    assert probabilities(post({"dataframe_records": [ROW, short]}))[0] == probabilities(post({"inputs": ROW}))[0]
    refused(post({"dataframe_records": [ROW, {"amount": 1}]}), "row 2", "missing columns: 'calls', 'stage', 'renewal'")


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"calls": 3.5}, ("row 2", "column calls", "expected a whole number")),
        ({"calls": SECRET}, ("row 2", "column calls", "expected a number, not text")),
        ({"amount": "12"}, ("row 2", "column amount", "not text")),
        ({"amount": True}, ("row 2", "column amount", "not true or false")),
        ({"amount": [SECRET]}, ("row 2", "column amount", "not a list")),
        ({"amount": 10**400}, ("row 2", "column amount", "finite")),
        ({"stage": 5}, ("row 2", "column stage", "expected text, not a number")),
        ({"stage": {SECRET: 1}}, ("row 2", "column stage", "not an object")),
        ({"stage": "\ud800" + SECRET}, ("row 2", "column stage", "Unicode")),
        ({"colour": SECRET}, ("row 2", "'colour'", "amount, calls, stage, renewal")),
    ],
)
def test_a_wrong_value_is_named_by_row_and_column_without_being_repeated(change, parts):
    refused(post({"dataframe_records": [ROW, {**ROW, **change}]}), *parts)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "not valid JSON"),
        ("{", "line 1"),
        ("[1]", "not a JSON object"),
        ("null", "not a JSON object"),
        (b"\xff\xfe{}", "not UTF-8"),
        ("[" * 50_000, "nested too deeply"),
        ('{"inputs": {"amount": NaN}}', "NaN"),
        ('{"inputs": {"amount": -Infinity}}', "-Infinity"),
        ('{"inputs": {"amount": 1e999, "calls": 1, "stage": "a", "renewal": "b"}}', "finite"),
        ('{"inputs": {"amount": ' + "9" * 5000 + "}}", "too long"),
        ({}, "0 tables"),
        ({"inputs": ROW, "instances": [ROW]}, "2 tables"),
        ({"inputs": ROW, "signature_name": "x"}, "'signature_name'"),
        ({"inputs": []}, "0 rows"),
        ({"inputs": 5}, "not a list"),
        ({"inputs": {}}, "missing columns"),
        ({"inputs": {**ROW, "calls": [1]}}, "column 'amount'"),
        ({"inputs": {name: [1] * (1 + (name == "calls")) for name in NAMES}}, "differ in length"),
        ({"instances": [[1, 2]]}, "row 1: a list instead of an object"),
        ({"dataframe_records": {"a": 1}}, "not a list"),
        ({"dataframe_records": [ROW, None]}, "row 2: null instead of an object"),
        ({"dataframe_split": []}, "not an object"),
        ({"dataframe_split": {"data": []}}, "columns is not a list"),
        ({"dataframe_split": {"columns": [["x"]], "data": []}}, "columns is not a list of names"),
        ({"dataframe_split": {"columns": NAMES}}, "data is not a list"),
        ({"dataframe_split": {"columns": NAMES, "data": []}}, "0 rows"),
        ({"dataframe_split": {"columns": NAMES, "data": [[1]]}}, "row 1: 1 values for 4 columns"),
        ({"dataframe_split": {"columns": NAMES, "data": [7]}}, "row 1: a number instead of a list"),
        ({"dataframe_split": {"columns": [*NAMES, "calls"], "data": []}}, "given twice: 'calls'"),
        ({"dataframe_split": {**SPLIT, "index": [1, 2]}}, "index"),
        ({"dataframe_split": {**SPLIT, "extra": 1}}, "'extra'"),
        ({"inputs": ROW, "params": {"threshold": 1}}, "unknown parameter: 'threshold'"),
        ({"inputs": ROW, "params": {"interval": 1}}, "interval"),
        ({"inputs": ROW, "params": {"timing": "yes"}}, "timing"),
        ({"inputs": ROW, "params": {"timing": True}}, "knows nothing of time"),
        ({"inputs": ROW, "params": {"factors": -1}}, "factors"),
        ({"inputs": ROW, "params": {"factors": True}}, "factors"),
        ({"inputs": ROW, "params": [1]}, "params is not an object"),
    ],
)
def test_a_malformed_body_is_refused_with_the_reason(body, part):
    refused(post(body), part)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("", "empty"),
        ("amount,calls,stage,renewal\n", "0 rows"),
        ("amount,calls,stage\n1,2,a\n", "missing columns: 'renewal'"),
        ("amount,calls,stage,renewal,x\n1,2,a,b,c\n", "'x'"),
        ("amount,calls,stage,renewal,calls\n1,2,a,b,c\n", "twice"),
        (f"amount,calls,stage,renewal\n1,2,a,b\n{SECRET},2,a,b\n", "row 2, column 'amount': not a number"),
        ("amount,calls,stage,renewal\n1_0,2,a,b\n", "not a number"),
        ("amount,calls,stage,renewal\n1,2.5,a,b\n", "column calls: expected a whole number"),
        ("amount,calls,stage,renewal\nnan,2,a,b\n", "finite"),
        ("amount,calls,stage,renewal\n1,2,a\n", "row 1: 3 values for 4 columns"),
        ('amount,calls,stage,renewal\n1,2,"a,b\n', "not valid CSV"),
    ],
)
def test_a_malformed_csv_is_refused_with_the_reason(body, part):
    refused(post(body, "text/csv"), part)


@pytest.mark.parametrize("kind", ["", "text/plain", "application/json; charset=latin-1", "application/parquet"])
def test_other_content_types_are_refused(kind):
    refused(post({"inputs": ROW}, kind), "content type", status=415)


def test_an_oversized_body_is_refused_whether_announced_or_not():
    large = json.dumps({"inputs": {**ROW, "stage": "x" * 100_000}})
    refused(post(large), "100,000 bytes", status=413)
    parts = client().post(
        "/invocations", content=(large[i : i + 9999].encode() for i in range(0, len(large), 9999)),
        headers={"content-type": "application/json"},
    )  # fmt: skip
    refused(parts, "100,000 bytes", status=413)


def test_long_and_many_names_are_cut_in_the_message():
    answer = post({"inputs": {**ROW, **{f"{i}" + "x" * 500: 1 for i in range(50)}}})
    refused(answer, "and 45 more")
    assert len(answer.text) < 1000


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
short = st.text(max_size=5)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(short, v, max_size=3), max_leaves=8)
some_names = st.sampled_from([*NAMES, "x"])
near_row = st.fixed_dictionaries(dict.fromkeys(NAMES, scalars)) | st.dictionaries(some_names, values)
four = st.lists(scalars, min_size=4, max_size=4)
near_split = st.fixed_dictionaries({"columns": st.permutations(NAMES) | values, "data": st.lists(four) | values})
near_body = st.dictionaries(
    st.sampled_from(["inputs", "instances", "dataframe_records", "dataframe_split", "params", "x"]),
    values | st.lists(near_row | values, max_size=3) | near_row | near_split,
    max_size=2,
)


well_typed = st.fixed_dictionaries(
    {
        "amount": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**300), 10**300),
        "calls": st.none() | st.integers(-(10**300), 10**300) | st.integers(-9, 9).map(float),
        "stage": st.none() | st.booleans() | st.text(),
        "renewal": st.none() | st.booleans() | st.text(),
    }
)


@settings(max_examples=100, deadline=None)
@given(st.lists(well_typed, min_size=1, max_size=3), st.booleans(), st.integers(0, 9))
def test_every_well_typed_row_is_scored(table, interval, factors):
    answer = post({"dataframe_records": table, "params": {"interval": interval, "factors": factors}})
    assert len(probabilities(answer)) == len(table)
    assert all(0 < probability < 1 for probability in probabilities(answer))


@settings(max_examples=150, deadline=None)
@given(near_body | values)
def test_no_json_makes_the_server_fail(body):
    answer = post(json.dumps(body))
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert all(0 < probability < 1 for probability in probabilities(answer))


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_make_the_server_fail(body):
    for kind in ("application/json", "text/csv"):
        assert 400 <= post(body, kind).status_code < 500
        assert post(b"amount,calls,stage,renewal\n" + body, kind).status_code in (200, 400)
