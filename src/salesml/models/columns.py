"""Columns of a frame as a model wants them: numbers as floats, categories as codes of known levels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from salesml.errors import BadInput, NotEnoughData

MISSING = "(missing)"
OTHER = "(other)"


def select(frame: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """The feature columns of `frame`, extra ones left out; BadInput names those that are missing."""
    absent = [name for name in features if name not in frame.columns]
    if absent:
        raise BadInput(
            f"missing {len(absent)} of the {len(features)} columns the model needs: {', '.join(absent)}",
            mend=f"The frame has: {', '.join(map(str, frame.columns)) or 'no column'}.",
        )
    return frame[list(features)]


def extra_columns(frame: pd.DataFrame, features: Sequence[str]) -> list[str]:
    """Columns of `frame` that a model with these features ignores."""
    return [str(name) for name in frame.columns if name not in set(features)]


def infer_categorical(frame: pd.DataFrame) -> tuple[str, ...]:
    """Names of the columns that hold text, categories or booleans; the others are numbers."""
    return tuple(str(name) for name, dtype in frame.dtypes.items() if not _is_number(dtype))


def numbers(column: pd.Series) -> np.ndarray:
    """The column as float64; what is not a finite number becomes NaN."""
    if not _is_number(column.dtype):
        column = pd.to_numeric(column.astype(object), errors="coerce")
    values = column.to_numpy(dtype="float64", na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def all_numbers(frame: pd.DataFrame) -> np.ndarray:
    """`numbers` of every column, rows × columns; all at once where the columns hold numbers, for the sake of single rows."""
    if all(_is_number(dtype) for dtype in frame.dtypes):
        values = frame.to_numpy(dtype="float64", na_value=np.nan)
        return np.where(np.isfinite(values), values, np.nan)
    return np.array([numbers(frame.iloc[:, place]) for place in range(frame.shape[1])]).reshape(frame.shape[1], len(frame)).T


def levels_of(column: pd.Series, *, at_least: int = 2) -> tuple[str, ...]:
    """The column's values as text that occur `at_least` times, sorted, always with MISSING and OTHER."""
    codes, texts = _factorized(column)
    counts = pd.Series(np.bincount(codes[codes >= 0], minlength=len(texts)), index=texts).groupby(level=0).sum()
    common = {str(text) for text, count in counts.items() if count >= at_least}
    return tuple(sorted(common | {MISSING, OTHER}))


def level_codes(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    """The position in `levels` of each value; missing values are MISSING, values not in `levels` are OTHER."""
    position = _positions(tuple(levels))
    codes, texts = _factorized(column)
    lookup = np.array([*(position.get(text, position[OTHER]) for text in texts), position[MISSING]], dtype="int64")
    return lookup[codes]  # a missing value has code -1: the last entry


@lru_cache(maxsize=256)
def _positions(levels: tuple[str, ...]) -> dict[str, int]:
    return {level: place for place, level in enumerate(levels)}


def text_of(value: object) -> str:
    """A category's value as text: the same for 1, 1.0 and "1", so that a column's type may differ between files."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _factorized(column: pd.Series) -> tuple[np.ndarray, list[str]]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    elif len(column) == 1:  # a single row is asked for in milliseconds, of which factorize would take its share
        codes, values = np.array([-1 if column.isna().iloc[0] else 0]), column.array
    else:
        codes, values = pd.factorize(column)
    return np.asarray(codes), [text_of(value) for value in _plain(values)]


def _plain(values: object) -> Iterable[object]:
    return values.tolist() if hasattr(values, "tolist") else values  # type: ignore[return-value]


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def require_classes(outcomes: object, least: int = 10) -> np.ndarray:
    """The outcomes as 0.0 and 1.0; BadInput for other values, NotEnoughData for fewer than `least` of either."""
    y = np.asarray(outcomes, dtype="float64")
    if not np.isin(y, (0.0, 1.0)).all():
        raise BadInput("outcomes must be 0 or 1", value=str(y[~np.isin(y, (0.0, 1.0))][0]))
    fewer = int(min(y.sum(), len(y) - y.sum()))
    if fewer < least:
        raise NotEnoughData(f"{fewer} training rows of the rarer outcome; a model needs at least {least} of each.")
    return y
