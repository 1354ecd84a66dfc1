"""Runs say what they were computed from, and how they ended."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest
from registry_models import workspace

from salesml.errors import BadParameter, NotEnoughData, WorkspaceError
from salesml.lake.head import Head, Pin
from salesml.registry import tracking
from salesml.registry.environment import describe


def logged(run: tracking.Run):
    import mlflow

    return mlflow.get_run(run.id)


def test_a_run_records_parameters_lake_code_and_environment():
    head = Head(id=17, tables={"opportunity": Pin(version=4, rows=10), "activity": Pin(version=9, rows=20)})
    with tracking.run(
        workspace(), "facts", params={"depth": 6, "split": {"train": [1, 2]}}, head=head, tags={"who": "me"}
    ) as run:
        run.log_metrics({"log_loss": 0.4, "auc": 0.8})
    found = logged(run)
    assert found.data.params == {"depth": "6", "split.train": "[1, 2]"}
    assert found.data.metrics == {"log_loss": 0.4, "auc": 0.8}
    lake = {"lake.head": "17", "lake.opportunity": "4", "lake.activity": "9"}
    assert (lake | {"who": "me"}).items() <= found.data.tags.items()
    assert {"code.version", "env.python", "env.catboost", "mlflow.user"} <= found.data.tags.keys()
    assert found.info.status == "FINISHED"
    assert found.info.end_time >= found.info.start_time


def test_the_code_version_names_the_commit_of_this_checkout_only(tmp_path):
    from salesml.registry import environment

    assert len(describe()["code.commit"]) == 40
    assert describe()["code.dirty"] in ("true", "false")
    assert environment._git(tmp_path, "ls-files", "--error-unmatch", "__init__.py") is None


def test_a_failed_run_ends_failed_with_its_error():
    with pytest.raises(NotEnoughData), tracking.run(workspace(), "failures", params={}) as run:
        raise NotEnoughData("3 outcomes; at least 50 are needed")
    found = logged(run)
    assert found.info.status == "FAILED"
    assert found.data.tags["error.type"] == "NotEnoughData"
    assert found.data.tags["error.message"] == "3 outcomes; at least 50 are needed"


def test_a_run_inside_a_run_is_its_child():
    with tracking.run(workspace(), "kin", params={}) as outer, tracking.run(workspace(), "kin", params={}) as inner:
        pass
    assert logged(inner).data.tags["mlflow.parentRunId"] == outer.id


def test_artifacts_lie_in_the_workspace_and_figures_need_no_network(tmp_path):
    (tmp_path / "notes.txt").write_text("a note")
    with tracking.run(workspace(), "with / odd name", params={}) as run:
        run.log_figure(go.Figure(go.Scatter(y=[1, 2])), "figures/calibration.html")
        run.log_dict({"a": 1}, "summary.json")
        run.log_artifacts(tmp_path, "notes")
    found = sorted((workspace().mlruns / "artifacts").glob(f"*/{run.id}/artifacts/**/*.*"))
    assert [path.name for path in found] == ["calibration.html", "notes.txt", "summary.json"]
    page = found[0].read_text(encoding="utf-8")
    assert "Plotly.newPlot" in page
    assert 'src="http' not in page


def test_a_figure_without_a_page_name_is_refused():
    with tracking.run(workspace(), "figures", params={}) as run, pytest.raises(BadParameter, match="html"):
        run.log_figure(go.Figure(), "calibration.png")


def test_long_and_odd_parameters_are_recorded():
    with tracking.run(workspace(), "odd", params={"query": "x" * 9000, "größe (€)": None}) as run:
        pass
    assert logged(run).data.params == {"query": "x" * tracking.LONGEST_PARAMETER, "größe ___": "null"}


def test_a_deleted_experiment_says_how_to_restore_it():
    import mlflow

    with tracking.run(workspace(), "doomed", params={}):
        pass
    number = mlflow.get_experiment_by_name("doomed").experiment_id
    mlflow.delete_experiment(number)
    with pytest.raises(WorkspaceError, match=f"restore -x {number}"), tracking.run(workspace(), "doomed", params={}):
        pass


def test_configuring_again_leaves_mlflow_alone(monkeypatch):
    import mlflow

    tracking.configure(workspace())
    monkeypatch.setattr(mlflow, "set_tracking_uri", lambda address: pytest.fail("pointed again"))
    tracking.configure(workspace())
