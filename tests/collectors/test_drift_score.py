"""The plain average score: there for those who ask, with its blindness in numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.collectors.test_drift import of_counts
from tests.traffic import window

from mlwatch.alerting import Threshold
from mlwatch.collectors import DriftScoreCollector
from mlwatch.records import Fault
from mlwatch.reference import Reference
from mlwatch.testing import check_collector

RNG = np.random.default_rng(0)
PAST = {f"x{i}": RNG.normal(size=20_000) for i in range(20)}
REFERENCE = Reference.fit(PAST)
SHIFT = 2 * stats.norm.ppf(0.7)  # moves 40% of the traffic
LINES = [
    Threshold("drift_score", above=0.3),
    Threshold("drift_score", above=0.5, severity="critical"),
]


def score(moved: int):
    rng = np.random.default_rng(1)
    now = {name: rng.normal(SHIFT * (i < moved), 1, 20_000) for i, name in enumerate(PAST)}
    (metric,) = DriftScoreCollector().collect(of_counts(REFERENCE, now))
    return metric


def test_it_is_the_mean_of_the_ks_distances():
    """The score is the average of scipy's distances of the raw values, up to the grid."""
    rng = np.random.default_rng(1)
    now = {name: rng.normal(SHIFT * (i < 5), 1, 20_000) for i, name in enumerate(PAST)}
    exact = np.mean([stats.ks_2samp(PAST[name], now[name]).statistic for name in PAST])
    assert score(5).value == pytest.approx(exact, abs=0.004)


def test_one_feature_of_twenty_does_not_show():
    """One that moves in 40% of the traffic gives about 0.02; it takes most of them for 0.3."""
    (one, all_of_them) = score(1), score(20)
    assert 0.02 <= one.value < 0.04
    assert "hides the largest of 0.39" in one.why
    assert all_of_them.value == pytest.approx(0.4, abs=0.02)
    assert all_of_them.low < all_of_them.value
    assert [next(rule([one])).firing for rule in LINES] == [False, False]
    assert [next(rule([all_of_them])).firing for rule in LINES] == [True, False]


def test_without_data_there_is_no_score():
    """An empty window has no score and says why; one without a reference has nothing to say."""
    (nothing,) = DriftScoreCollector().collect(window([], REFERENCE))
    assert (nothing.value, nothing.why[:15]) == (None, "not enough data")
    assert list(DriftScoreCollector().collect(window([]))) == []


def test_a_detector_that_fails_is_a_fault():
    """What a detector raises is a fault that names the feature, and the others are averaged."""

    def broken(reference, current):
        raise ValueError(current.name)

    found = list(DriftScoreCollector([broken]).collect(of_counts(REFERENCE, PAST)))
    assert sum(isinstance(item, Fault) for item in found) == 20
    assert "'x0'" in found[0].error


def test_it_keeps_the_contract():
    """It passes the check that anyone can run on a collector of their own."""
    check_collector(DriftScoreCollector())
