"""Columns as a model wants them: all numbers at once are the numbers of each column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from salesml.models.columns import all_numbers, numbers


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1.5, np.inf, np.nan], "b": [1, 2, 3], "c": pd.array([1, None, 3], dtype="Int64")},
        {"a": [1.5, -np.inf, 2.0], "b": ["7", "x", None], "c": [True, False, True]},
        {"a": pd.Series([None, None, 2], dtype=object)},
        {},
    ],
    ids=["numbers", "texts among them", "objects", "no column"],
)
def test_all_numbers_are_the_numbers_of_each_column(columns):
    frame = pd.DataFrame(columns, index=range(3))
    found = all_numbers(frame)
    assert found.shape == (3, len(columns)) and found.dtype == "float64"
    for place, name in enumerate(frame):
        np.testing.assert_array_equal(found[:, place], numbers(frame[name]))
    assert not np.isinf(found).any()
