"""What must change nothing: transforms, the amount of traffic, and how counts were put together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.detectors.samples import KINDS, counted

from mlwatch.detectors import (
    CramerVonMisesDetector,
    GTestDetector,
    HellingerDetector,
    JSDetector,
    KLDetector,
    KSDetector,
    MannWhitneyDetector,
    MeanShiftDetector,
    PSIDetector,
    TotalVariationDetector,
    WassersteinDetector,
)
from mlwatch.profile import Distribution

ORDINAL = [
    KSDetector(),
    KSDetector(alternative="less"),
    CramerVonMisesDetector(),
    MannWhitneyDetector(),
    GTestDetector(),
    KLDetector(),
    JSDetector(),
    PSIDetector(),
    HellingerDetector(),
    TotalVariationDetector(),
]
EVERY = [*ORDINAL, WassersteinDetector(), MeanShiftDetector(), MeanShiftDetector(of="std")]


@pytest.mark.parametrize("detector", ORDINAL, ids=repr)
@pytest.mark.parametrize("points", [255, 9])
def test_monotone_transforms_change_nothing(detector, points):
    """Doubling plus three, or the cube, of both samples gives the same result to the last bit."""
    for seed, kind in enumerate(KINDS):
        if kind.__name__ in {"denormal", "cauchy"}:
            continue  # their cubes are no longer apart in double precision
        rng = np.random.default_rng(seed)
        reference, current = kind(rng, 200), kind(rng, 150)
        plain = detector.detect(*counted(reference, current, points))
        for transform in (lambda x: 2.0 * x + 3, lambda x: np.asarray(x, float) ** 3):
            moved = counted(transform(reference), transform(current), points)
            assert detector.detect(*moved) == plain


@pytest.mark.parametrize("detector", [WassersteinDetector(), MeanShiftDetector()], ids=repr)
def test_other_units_change_nothing(detector):
    """Figures in standard deviations are the same in any unit and from any zero."""
    rng = np.random.default_rng(0)
    reference, current = rng.normal(size=2000), rng.normal(0.3, 2, 900)
    plain = detector.detect(*counted(reference, current))
    for factor, zero in ((1e-3, 0.0), (8.0, 40.0), (-2.0, 0.0)):
        moved = detector.detect(*counted(factor * reference + zero, factor * current + zero))
        assert moved.statistic == pytest.approx(plain.statistic, rel=0.02)


@pytest.mark.parametrize("detector", EVERY, ids=repr)
def test_parts_of_a_window_add_up(detector):
    """One window, its seven parts, and its rows in another order give one result."""
    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=3000), rng.normal(0.1, 1, 700)
    past, whole = counted(reference, current)
    merged = Distribution.count("x", past.grid, [])
    for part in np.array_split(rng.permutation(current), 7):
        merged += Distribution.count("x", past.grid, part)

    assert detector.detect(past, merged) == detector.detect(past, whole)


@pytest.mark.parametrize("detector", EVERY, ids=repr)
def test_what_is_missing_takes_no_part(detector):
    """NaN, None and text change no figure but the counts that name them."""
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=500), rng.normal(size=300).tolist()
    past, clean = counted(reference, current)
    dirty = Distribution.count("x", past.grid, [*current, float("nan"), None, "text"])
    expected = replace(detector.detect(past, clean), missing=2, wrong_kind=1)

    assert detector.detect(past, dirty) == expected
