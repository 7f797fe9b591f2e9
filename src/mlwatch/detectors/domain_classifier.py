"""A classifier that tries to tell a window's raw rows from the reference's; on demand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import dkw_halfwidth
from mlwatch.errors import ConfigurationError, DataError
from mlwatch.profile import NumericGrid, fit_grid
from mlwatch.profile.values import (
    NEGATIVE_INFINITY,
    POSITIVE_INFINITY,
    category,
    listed,
    numbers,
    require_column,
)
from mlwatch.records import DriftResult

FEATURE = "all features"
"""The name under which all features are judged together."""

_FEWEST_ROWS = 100
_MOST_CODES = 200
_NAMED = 5
_REPEATS = 3
_TREES = 60
_LEAVES = 16

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DomainClassifierDetector:
    """Train a classifier to tell the rows of two frames apart, and judge it on rows held out.

    It sees what no single feature or pair shows, such as a relation of three. It needs raw rows
    and seconds where the others need counts and milliseconds, so it is asked by hand, and is not
    for a `Monitor`.

    One part of the rows trains scikit-learn's HistGradientBoostingClassifier and the other, once,
    gives the area under the ROC curve; that of pooled folds would not keep its level. The p-value
    is that of the one-sided Mann-Whitney test of the scores held out: an area below a half is no
    evidence, and is what the same rows on both sides give. The effect is the least share of
    traffic that must have moved: a share t changes 2 AUC - 1 by no more than 2 t - t^2. Its bound
    follows from the Dvoretzky-Kiefer-Wolfowitz inequality for the rows held out.

    Args:
        test_share: The share of rows of each frame that is held out.
        random_state: Which rows those are, and all else that is drawn.
    """

    test_share: float = 0.5
    random_state: int = 0
    name: str = "domain_classifier"

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise ConfigurationError(
                f"DomainClassifierDetector(test_share={self.test_share!r}): must lie between 0 "
                "and 1"
            )

    def detect(
        self, reference_frame: Mapping[str, Any] | Any, current_frame: Mapping[str, Any] | Any
    ) -> DriftResult:
        """Return the area under the ROC curve as statistic.

        Args:
            reference_frame: Raw rows, as a DataFrame or a mapping of arrays of equal length.
            current_frame: The rows to compare; columns that the reference lacks are left out.

        Raises:
            DataError: A column is missing, or cannot be compared.
        """
        n_reference, n = _rows(reference_frame), _rows(current_frame)
        if min(n, n_reference) < _FEWEST_ROWS:
            side, rows = ("window", n) if n < _FEWEST_ROWS else ("reference", n_reference)
            why = (
                f"not enough data: the {side} has {rows:,} rows, and a classifier needs "
                f"{_FEWEST_ROWS} of each"
            )
            return DriftResult(FEATURE, self.name, None, None, None, None, n, n_reference, why=why)
        names = list(reference_frame.keys())
        X, is_category = _matrix(names, reference_frame, current_frame)
        y = np.repeat([0, 1], [n_reference, n])
        return self._judge(names, X, y, is_category)

    def _judge(
        self, names: list[str], X: Matrix, y: NDArray[np.int64], is_category: list[bool]
    ) -> DriftResult:
        train, test = self._split(y)
        model = _trained(X[train], y[train], is_category, self.random_state)
        scores = model.predict_proba(X[test])[:, 1]
        current, reference = scores[y[test] == 1], scores[y[test] == 0]
        area, p_value = _mann_whitney(current, reference)
        gini = max(0.0, 2 * area - 1)
        certain = max(0.0, gini - 2 * dkw_halfwidth(len(current), len(reference)))
        top = _contributors(model, names, X[test], y[test], self.random_state)
        return DriftResult(
            feature=FEATURE,
            detector=self.name,
            statistic=area,
            effect=1 - math.sqrt(1 - gini),
            effect_low=1 - math.sqrt(1 - certain),
            p_value=p_value,
            n=int(y.sum()),
            n_reference=int(len(y) - y.sum()),
            why=f"a classifier tells the rows apart with an area of {area:.2f} under the ROC curve"
            f"{', most by ' if top else ''}{', '.join(top)}",
        )

    def _split(self, y: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows that train and those held out, the same share of each frame."""
        rng = np.random.default_rng(self.random_state)
        parts = []
        for side in (0, 1):
            rows = rng.permutation(np.flatnonzero(y == side))
            held = min(max(1, round(len(rows) * self.test_share)), len(rows) - 1)
            parts.append(np.split(rows, [len(rows) - held]))
        train, test = (np.sort(np.concatenate(both)) for both in zip(*parts, strict=True))
        return train, test


def _mann_whitney(current: Matrix, reference: Matrix) -> tuple[float, float]:
    """Return the area under the ROC curve, and the one-sided p-value of its being a half."""
    from scipy.stats import mannwhitneyu

    if np.ptp(np.concatenate([current, reference])) == 0:
        return 0.5, 1.0
    found = mannwhitneyu(current, reference, alternative="greater", method="asymptotic")
    return float(found.statistic) / (len(current) * len(reference)), float(found.pvalue)


def _trained(X: Matrix, y: NDArray[np.int64], is_category: list[bool], random_state: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        categorical_features=is_category,
        early_stopping=False,
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        random_state=random_state,
    ).fit(X, y)


def _contributors(
    model: Any, names: list[str], X: Matrix, y: NDArray[np.int64], random_state: int
) -> list[str]:
    """Return the features without which the area drops most, the first five at most."""
    from sklearn.inspection import permutation_importance

    found = permutation_importance(
        model, X, y, scoring="roc_auc", n_repeats=_REPEATS, random_state=random_state
    ).importances_mean
    order = np.argsort(-found, kind="stable")[:_NAMED]
    return [names[i] for i in order if found[i] > 0]


def _rows(frame: Mapping[str, Any] | Any) -> int:
    if not hasattr(frame, "keys"):
        raise DataError(
            f"data of type {type(frame).__name__}: give a DataFrame or a mapping of arrays"
        )
    for name in frame.keys():  # noqa: SIM118  a DataFrame is no mapping
        require_column(name, frame[name])
    lengths = {name: len(frame[name]) for name in frame.keys()}  # noqa: SIM118
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of unequal length: {lengths}")
    return next(iter(lengths.values()), 0)


def _matrix(names: list[str], reference: Any, current: Any) -> tuple[Matrix, list[bool]]:
    """Return both frames' rows as numbers, and which columns are codes of categories."""
    present = set(current.keys())
    absent = [name for name in names if name not in present]
    if absent:
        raise DataError(
            f"missing column(s) {', '.join(map(repr, absent))}: the reference has "
            f"{', '.join(map(repr, names))}"
        )
    columns = [_encoded(name, reference[name], current[name]) for name in names]
    return np.column_stack([column for column, _ in columns]), [flag for _, flag in columns]


def _encoded(name: str, reference: Any, current: Any) -> tuple[Matrix, bool]:
    """Return a column of both frames as ranks of numbers, or as codes of categories.

    What the column is, the reference says. Trees ask only for the order of numbers, which ranks
    keep, whatever their size.
    """
    grid, sides = fit_grid(name, reference), [listed(reference), listed(current)]
    if not isinstance(grid, NumericGrid):
        return _category_codes([category(value) for side in sides for value in side]), True
    both = [numbers(side, time=grid.time) for side in sides]
    found, codes = (np.concatenate(part) for part in zip(*both, strict=True))
    return _ranks(found, codes), False


def _ranks(found: NDArray[Any], codes: NDArray[np.int64]) -> Matrix:
    """Return the rank of each number, between those of infinities; absent values come first."""
    ranks = np.full(len(found), -2.0)
    distinct, places = np.unique(found[codes == 0], return_inverse=True)
    ranks[codes == 0] = places
    ranks[codes == NEGATIVE_INFINITY] = -1
    ranks[codes == POSITIVE_INFINITY] = len(distinct)
    return ranks


def _category_codes(pairs: list[tuple[Hashable, int]]) -> Matrix:
    """Return codes, the most frequent first, absent ones among them; the rarest share the last."""
    number = {pair: min(i, _MOST_CODES) for i, (pair, _) in enumerate(Counter(pairs).most_common())}
    return np.array([number[pair] for pair in pairs], np.float64)
