"""Exact SHAP values of CatBoost's symmetric trees by table look-up.

CatBoost computes the same values at about 13,000 rows/s on one core, however many there are; all rows of a leaf share
their values, so tables of one entry per leaf and feature, made once per model, answer several times faster.
"""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
from catboost import CatBoost

GIVEN = -1


class TreeEffects:
    """Per-leaf SHAP values (Lundberg 2018, path-dependent) of symmetric trees fitted without row weights.

    Statistics of combined categories are not supported (`max_ctr_complexity` must be 1).
    """

    def __init__(self, trees: CatBoost, given: int | None = None) -> None:
        """Read the trees' splits, leaf values and leaf weights. The column `given` is known of every row beforehand.

        It has no effect; what it does is part of the base of the rows that share its value.
        """
        content = _exported(trees)
        scale, bias = content["scale_and_bias"]
        features = _split_features(content["features_info"])
        self.base = self.bias = float(bias[0])
        self.width = len(trees.feature_names_)
        self.tables: list[list[tuple[int, np.ndarray]]] = []
        self.base_tables: list[np.ndarray] = []
        for tree in content["oblivious_trees"]:
            owners = [features[split["split_index"]] for split in tree["splits"] or ()]
            values, weights = np.array(tree["leaf_values"]) * scale, np.array(tree["leaf_weights"])
            expected = _expectations(values, weights, len(owners))
            known = sum(1 << split for split, owner in enumerate(owners) if owner == given)
            self.base += float(expected[0, 0]) if given is None else 0.0
            self.base_tables.append(expected[known])
            players = sorted(set(owners) - {given})
            places = tuple(players.index(owner) if owner != given else GIVEN for owner in owners)
            effects = _shapley_matrix(places) @ expected
            self.tables.append(list(zip(players, effects, strict=True)))

    def bases(self, leaves: np.ndarray) -> np.ndarray:
        """The expected value of rows with the same value of `given`, one per row of leaf numbers."""
        total = np.full(len(leaves), self.bias)
        for column, table in zip(leaves.T, self.base_tables, strict=True):
            total += table[column]
        return total

    def effects(self, leaves: np.ndarray) -> np.ndarray:
        """SHAP values (rows × features) from leaf numbers (rows × trees) as `CatBoost.calc_leaf_indexes` gives them."""
        total = np.zeros((self.width, len(leaves)))
        for column, table in zip(leaves.T, self.tables, strict=True):
            for feature, values in table:
                total[feature] += values[column]
        return total.T


def _exported(trees: CatBoost) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trees.json"
        trees.save_model(str(path), format="json")
        return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _split_features(info: dict) -> list[int]:
    """Feature position by split_index: borders of numbers, then one-hot values, then category statistics."""
    numbers, categories = info.get("float_features", []), info.get("categorical_features", [])
    place = {feature["feature_index"]: feature["flat_feature_index"] for feature in categories}
    listed: list[int] = []
    for feature in numbers:
        listed += [feature["flat_feature_index"]] * len(feature.get("borders") or ())
    for feature in categories:
        listed += [feature["flat_feature_index"]] * len(feature.get("values") or ())
    for statistic in info.get("ctrs", []):
        (element,) = statistic["elements"]
        listed += [place[element["cat_feature_index"]]] * len(statistic["borders"])
    return listed


def _expectations(values: np.ndarray, weights: np.ndarray, depth: int) -> np.ndarray:
    """E[known, leaf]: the tree's expected value for a row of that leaf if only the splits of bit set `known` are known.

    Bit j of a leaf's number is the answer to split j; the last split is the root.
    """
    leaf = np.arange(2**depth)
    known = leaf[:, None]
    expected = np.broadcast_to(values, (2**depth, 2**depth))
    cover = weights.astype("float64")
    for split in range(depth):
        other = leaf ^ (1 << split)
        both = cover + cover[other]
        share = np.divide(cover, both, out=np.full(len(leaf), 0.5), where=both > 0)
        averaged = share * expected + (1 - share) * expected[:, other]
        expected = np.where(known >> split & 1, expected, averaged)
        cover = both
    return expected


@lru_cache(maxsize=4096)
def _shapley_matrix(owners: tuple[int, ...]) -> np.ndarray:
    """Weights (players × bit sets of known splits) that turn expectations into Shapley values.

    Splits whose owner is GIVEN are known in every team.
    """
    count = len(set(owners) - {GIVEN})
    bits = [sum(1 << split for split, owner in enumerate(owners) if owner == player) for player in range(count)]
    given = sum(1 << split for split, owner in enumerate(owners) if owner == GIVEN)
    matrix = np.zeros((count, 2 ** len(owners)))
    for player in range(count):
        others = [other for other in range(count) if other != player]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for team in combinations(others, size):
                known = given + sum(bits[other] for other in team)
                matrix[player, known | bits[player]] += weight
                matrix[player, known] -= weight
    return matrix
