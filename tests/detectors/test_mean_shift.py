"""The shift of the mean and of the spread from counts, against scipy on the raw values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from tests.detectors.samples import KINDS, continuous, counted, most, p_values

from mlwatch.detectors import KSDetector, MeanShiftDetector
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.profile import CategoricalGrid, Distribution

FINITE = [kind for kind in KINDS if kind.__name__ not in {"infinite", "denormal"}]


@pytest.mark.parametrize("kind", FINITE, ids=lambda kind: kind.__name__)
def test_score_and_p_are_those_of_the_raw_values(kind):
    """With every value a point, both scores are numpy's and p is scipy's Welch test."""
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(25):
        reference, current = kind(rng, 120), kind(rng, int(rng.integers(2, 130)))
        if np.std(reference) == 0:
            continue
        pair = counted(reference, current, on=[*reference, *current])
        mean, std = (MeanShiftDetector(of=of).detect(*pair) for of in ("mean", "std"))
        sd = np.std(reference, ddof=1)

        shift = abs(np.mean(current) - np.mean(reference)) / sd
        assert mean.statistic == pytest.approx(shift, rel=1e-9, abs=1e-12)
        expected = stats.ttest_ind(current, reference, equal_var=False).pvalue
        assert mean.p_value == pytest.approx(expected, rel=1e-6, abs=1e-300)
        if np.std(current) > 0:
            ratio = abs(math.log(np.std(current, ddof=1) / sd))
            assert std.statistic == pytest.approx(ratio, rel=1e-9, abs=1e-9)
        assert std.p_value is None
        assert mean.effect == std.effect == KSDetector().detect(*pair).effect


def test_p_values_without_drift():
    """On the shipped grid, with thinned points, P(p <= a) is at most about a."""
    found = p_values(MeanShiftDetector(), continuous, (600, 200), 250)
    for alpha in (0.2, 0.05, 0.01):
        assert np.mean(found <= alpha) <= most(alpha, 250)


def test_each_is_blind_where_the_docs_say():
    """A mean does not see a spread that triples, a spread no shift; D sees both."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=10_000)
    wider = counted(reference, rng.normal(0, 2, 10_000))
    moved = counted(reference, rng.normal(0.3, 1, 10_000))
    mean, std = MeanShiftDetector(), MeanShiftDetector(of="std")

    assert mean.detect(*wider).statistic < 0.05 < mean.detect(*wider).effect_low
    assert std.detect(*moved).statistic < 0.05 < std.detect(*moved).effect_low
    assert std.detect(*wider).statistic > 0.3
    assert mean.detect(*moved).statistic == pytest.approx(0.3, abs=0.03)
    assert mean.detect(*moved).p_value < 1e-12


def test_undefined_shifts_say_so():
    """Without spread, or with one row, a figure or the p-value is left out, and `why` says why."""
    mean, std = MeanShiftDetector(), MeanShiftDetector(of="std")
    constant = counted([3.0] * 90, [4.0] * 80)
    for detector in (mean, std):
        result = detector.detect(*constant)
        assert (result.statistic, result.effect, result.p_value) == (None, 1.0, None)
        assert "undefined: the reference holds one value only" in result.why
    single = counted([1.0, 2.0] * 50, [1.0])
    assert mean.detect(*single).statistic == pytest.approx(0.5 / np.std([1, 2] * 50, ddof=1))
    assert mean.detect(*single).p_value is None
    assert std.detect(*single).statistic is None
    assert "the window holds one value only" in std.detect(*single).why


def test_names_and_wrong_arguments():
    """Each score has a name of its own, and another moment is refused."""
    assert MeanShiftDetector().name == "mean_shift"
    assert MeanShiftDetector(of="std").name == "std_shift"
    assert MeanShiftDetector(of="std", name="mine").name == "mine"
    with pytest.raises(ConfigurationError, match="of='median'"):
        MeanShiftDetector(of="median")
    names = Distribution.count("x", CategoricalGrid.fit(["a"] * 20), ["a"])
    assert MeanShiftDetector().detect(names, names) is None
    with pytest.raises(GridMismatchError):
        MeanShiftDetector().detect(counted([2.0], [1.0])[0], counted([1.0], [1.0])[1])
