"""What the smoothed divergences share: cells, Jeffreys' smoothing and one calibration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlwatch.detectors.evidence import comparable, evidence, total_variation
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution
from mlwatch.records import DriftResult

Shares = NDArray[np.float64]


def compare_smoothed(
    detector: str,
    reference: Distribution,
    current: Distribution,
    *,
    cells: int,
    divergence: Callable[[Shares, Shares], float],
    factor: float,
    shown: Callable[[float], float] = float,
) -> DriftResult:
    """Return a divergence of smoothed shares, its p-value and the total variation.

    Cells that are empty in both samples are left out. Under no drift `factor` times n N / (n + N)
    times the divergence follows a chi-square distribution with k - 1 degrees of freedom
    (Kullback, 1959), so that (k - 1) (1/n + 1/N) / `factor` of it is chance.

    Args:
        detector: The detector's name.
        reference: The reference's distribution.
        current: The window's distribution.
        cells: The most cells to compare on.
        divergence: Of the shares of the window from those of the reference.
        factor: What makes it chi-square distributed.
        shown: Turns a divergence into the statistic.
    """
    uncut = why_uncut(reference)
    if not comparable(reference, current) or uncut:
        return evidence(detector, reference, current, why=uncut)
    from scipy.special import chdtrc

    r, c = reference.cells(cells), current.cells(cells)
    used = (r + c) > 0
    r, c = r[used], c[used]
    n, n_reference, free = current.n, reference.n, len(r) - 1
    found = max(0.0, divergence(smoothed_shares(c), smoothed_shares(r)))
    scale = factor * n * n_reference / (n + n_reference)
    effect, effect_low = total_variation(c, r)
    return evidence(
        detector,
        reference,
        current,
        statistic=shown(found),
        effect=effect,
        effect_low=effect_low,
        p_value=float(chdtrc(free, scale * found)) if free else None,
        why=f"{effect:.1%} of the rows moved between {len(r)} cells against the reference "
        f"({detector} {shown(found):.4f}; about {shown(free / scale):.4f} is chance with so many "
        "rows)",
        caveats=[] if free else ["all rows of both samples fall into one cell"],
    )


def smoothed_shares(counts: NDArray[np.int64]) -> Shares:
    """Return the share of each cell, counts smoothed by Jeffreys' 1/2 a cell."""
    shares: Shares = (counts + 0.5) / (counts + 0.5).sum()
    return shares


def why_uncut(reference: Distribution) -> str:
    """Return why there are no cells to compare on, or "": they are cut on finite values."""
    if reference.grid.mass.any():
        return ""
    return "not enough data: the reference holds no finite value to cut cells on"


def require_cells(detector: str, cells: int) -> None:
    """Raise `ConfigurationError` unless `cells` is a number of cells to compare on."""
    if not isinstance(cells, int) or cells < 2:
        raise ConfigurationError(
            f"{detector}(cells={cells!r}): must be a whole number and at least 2"
        )
