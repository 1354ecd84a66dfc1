"""The gate lets pass what surely beats its baseline and is calibrated, and nothing else."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from registry_models import GOOD

from salesml.errors import BadParameter
from salesml.registry.gate import Evidence, judge


def test_a_good_model_passes_and_the_figures_are_told():
    verdict = judge(GOOD)
    assert verdict.passed
    assert str(verdict) == (
        "passed: log loss 0.5000 against 0.6100 of base_rate, difference -0.1100 (95% interval -0.1300 to -0.0900), "
        "calibration slope 0.97, on 1,000 rows (300 with the outcome) from 2017-01-01 until 2017-04-01"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hi": 0.001}, "does not surely beat base_rate"),
        ({"hi": 0.0}, "does not surely beat base_rate"),
        ({"lo": math.nan, "hi": math.nan}, "does not surely beat base_rate"),
        ({"log_loss": math.inf, "difference": math.inf}, "does not surely beat base_rate"),
        ({"calibration_slope": 0.79}, "calibration slope is not from 0.8 to 1.2"),
        ({"calibration_slope": 1.21}, "calibration slope is not from 0.8 to 1.2"),
        ({"calibration_slope": math.nan}, "calibration slope is not from 0.8 to 1.2"),
        ({"level": 0.5}, "at 50%, at least 90% is needed"),
        ({"positives": 9}, "fewer than 10"),
        ({"n": 309}, "fewer than 10"),
    ],
)
def test_a_doubtful_model_is_refused_with_the_reason_and_the_figures(changes, reason):
    verdict = judge(replace(GOOD, **changes))
    assert not verdict.passed
    assert len(verdict.reasons) == 1
    assert reason in str(verdict)
    assert "log loss" in str(verdict)


def test_every_reason_is_given():
    assert len(judge(replace(GOOD, hi=0.2, calibration_slope=3.0)).reasons) == 2


@given(
    lo=st.floats(-1, 1),
    width=st.floats(0, 1),
    slope=st.floats(0, 3),
    level=st.floats(0.5, 0.99),
)
def test_nothing_passes_outside_the_rule(lo, width, slope, level):
    evidence = replace(GOOD, lo=lo, hi=lo + width, calibration_slope=slope, level=level)
    assert judge(evidence).passed == (lo + width < 0 and 0.8 <= slope <= 1.2 and level >= 0.9)


@pytest.mark.parametrize("changes", [{"difference": -0.2}, {"positives": 1001}, {"positives": -1}])
def test_evidence_that_contradicts_itself_is_refused(changes):
    with pytest.raises(BadParameter, match="evidence"):
        replace(GOOD, **changes)


def test_evidence_survives_its_tag():
    assert Evidence.from_json(GOOD.to_json()) == GOOD
