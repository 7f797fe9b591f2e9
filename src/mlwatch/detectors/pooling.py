"""Tests of homogeneity on cells of which the rare ones are pooled, from counts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import evidence, total_variation
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult

Counts = NDArray[np.int64]


def compare_pooled(
    detector: str,
    reference: Distribution,
    current: Distribution,
    *,
    cells: tuple[Counts, Counts],
    pool: float,
    measure: Callable[[Counts, Counts], float],
) -> DriftResult:
    """Return a chi-square distributed statistic of pooled cells, and their total variation.

    Args:
        detector: The detector's name.
        reference: The reference's distribution.
        current: The window's distribution.
        cells: Counts of the reference and of the window, shape (cells,) each.
        pool: Cells with a smaller expected count share one.
        measure: Gives the statistic of the pooled counts of reference and window.
    """
    from scipy.special import chdtrc

    used = (cells[0] + cells[1]) > 0
    r, c = pool_rare(cells[0][used], cells[1][used], pool)
    of_what = "changed category" if reference.kind == "categorical" else "moved between cells"
    if len(r) == 1 < used.sum():
        return _of_rare_alone(detector, reference, current, cells, of_what)
    statistic = measure(r, c)
    effect, effect_low = total_variation(c, r)
    return evidence(
        detector,
        reference,
        current,
        statistic=statistic,
        effect=effect,
        effect_low=effect_low,
        p_value=float(chdtrc(len(r) - 1, statistic)) if len(r) > 1 else None,
        why=f"{effect:.1%} of the rows {of_what} against the reference",
        caveats=[] if len(r) > 1 else ["all rows of both samples fall into one cell"],
    )


def _of_rare_alone(
    detector: str,
    reference: Distribution,
    current: Distribution,
    cells: tuple[Counts, Counts],
    of_what: str,
) -> DriftResult:
    """Answer where all cells are rare: few rows, or a window that dwarfs the reference.

    The bound of the total variation holds at any count, so a change that it shows is told.
    """
    used = (cells[0] + cells[1]) > 0
    effect, effect_low = total_variation(cells[1][used], cells[0][used])
    if not effect_low:
        why = "not enough data: too few rows to tell one category from another"
        return evidence(detector, reference, current, why=why)
    return evidence(
        detector,
        reference,
        current,
        effect=effect,
        effect_low=effect_low,
        why=f"{effect:.1%} of the rows {of_what} against the reference",
        caveats=["no p-value: every category is rare beside the size of the larger sample"],
    )


def pool_rare(reference: Counts, current: Counts, threshold: float) -> tuple[Counts, Counts]:
    """Put cells whose smaller expected count is below `threshold` into one, the last.

    When that one is itself below the threshold, the next smallest cell joins it.
    """
    pooled = reference + current
    n, n_reference = int(current.sum()), int(reference.sum())
    expected = pooled * (min(n, n_reference) / (n + n_reference))
    order = np.argsort(expected, kind="stable")
    rare = int((expected < threshold).sum())
    if rare and expected[order[:rare]].sum() < threshold:
        rare += 1
    if rare <= 1:
        return reference, current
    joined, kept = order[:rare], np.sort(order[rare:])
    return (
        np.append(reference[kept], reference[joined].sum()),
        np.append(current[kept], current[joined].sum()),
    )


def require_pool(detector: str, pool: float) -> None:
    """Raise `ConfigurationError` unless `pool` is an expected count."""
    if not isinstance(pool, int | float) or not math.isfinite(pool) or pool < 1:
        raise ConfigurationError(
            f"{detector}(pool={pool!r}): must be a count from 1 up; 5 for levels down to 1e-4, "
            "20 below"
        )
