"""Columns of figures checked before they are judged: equal lengths, finite numbers, probabilities, ids."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from numbers import Integral

import numpy as np
import pandas as pd

from salesml.errors import BadInput, BadParameter

Values = np.ndarray | pd.Series


def columns(what: str, frame: pd.DataFrame, names: Iterable[str]) -> dict[str, pd.Series]:
    """The named columns; BadInput where some are lacking."""
    lacking = [name for name in names if name not in frame.columns]
    if lacking:
        raise BadInput(f"{what} lack {len(lacking)} columns: {', '.join(lacking)}")
    return {name: frame[name] for name in names}


def ids(values: Values) -> np.ndarray:
    """Ids of any kind as whole numbers from 0, missing ones as NaN."""
    codes = pd.factorize(pd.Series(values))[0]
    return np.where(codes < 0, np.nan, codes)


def numbers(gaps: Collection[str] = (), **columns: Values) -> list[np.ndarray]:
    """The columns as floats; BadInput where lengths differ or a value is missing or infinite, but in those of `gaps`."""
    shapes = {name: np.shape(values) for name, values in columns.items()}
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) != 1:
        sizes = (f"{name} has {' × '.join(map(str, shape))}" for name, shape in shapes.items())
        raise BadInput("lengths differ, or a table is given for a column: " + ", ".join(sizes))
    if not sum(next(iter(shapes.values()))):
        raise BadInput(f"no rows in {', '.join(columns)}")
    found = [pd.to_numeric(pd.Series(v), errors="coerce") for v in columns.values()]
    numbers = [v.to_numpy("float64", na_value=np.nan) for v in found]
    for name, values in zip(columns, numbers, strict=True):
        if name not in gaps:
            refuse(name, values, ~np.isfinite(values), "are missing or infinite")
    return numbers


def refuse(name: str, values: np.ndarray, bad: np.ndarray, fault: str) -> None:
    """BadInput with the number of bad values and the first of them, where there are any."""
    if bad.any():
        first, reason = int(bad.argmax()), f"{bad.sum()} of {len(bad)} values {fault}"
        raise BadInput(reason, row=first + 1, column=name, value=str(values[first]))


def checked(**columns: Values) -> list[np.ndarray]:
    """Probabilities, the 0/1 column `happened` and ids as floats; BadInput as `probabilities` says."""
    found = numbers(**columns)
    for name, v in zip(columns, found, strict=True):
        if name == "happened":
            refuse(name, v, (v != 0) & (v != 1), "are neither 0 nor 1")
        elif name in ("predicted", "truth"):
            refuse(name, v, (v < 0) | (v > 1), "lie outside 0 to 1")
    return found


def given(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which rows have both ends; BadInput where lo > hi."""
    refuse("lo", low, low > high, "lie above hi")
    return ~np.isnan(low) & ~np.isnan(high)


def whole(name: str, number: int) -> int:
    """The number, if it is whole and above 0; BadParameter otherwise."""
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise BadParameter(f"{name} is {number!r}; it must be a whole number above 0")
    return int(number)
