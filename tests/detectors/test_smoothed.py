"""The divergences that share one smoothing and one calibration, against scipy and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance
from tests.detectors.samples import by_category, continuous, counted, discrete, most, p_values, zipf

from mlwatch.detectors import HellingerDetector, JSDetector, KLDetector, PSIDetector
from mlwatch.errors import ConfigurationError, GridMismatchError

DETECTORS = [KLDetector, JSDetector, PSIDetector, HellingerDetector]
PAIRS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=16
).filter(lambda pairs: all(sum(side) for side in zip(*pairs, strict=True)))


def scipys(name, p, q) -> float:
    """Compute each figure by what scipy offers."""
    return {
        "kl": lambda: stats.entropy(p, q),
        "js": lambda: distance.jensenshannon(p, q) ** 2,
        "psi": lambda: stats.entropy(p, q) + stats.entropy(q, p),
        "hellinger": lambda: distance.euclidean(np.sqrt(p), np.sqrt(q)) / math.sqrt(2),
    }[name]()


def sides(pairs):
    return ([side[i] for side in pairs] for i in (0, 1))


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=40)
@given(PAIRS)
def test_figure_is_scipys_of_smoothed_shares(detector, pairs):
    """Each figure is what scipy gives for the counts plus 1/2, and never negative."""
    r, c = sides(pairs)
    result = detector(cells=32).detect(*by_category(r, c))
    used = [i for i, pair in enumerate(pairs) if any(pair)]
    q, p = (np.array(side)[used] + 0.5 for side in (r, c))
    expected = scipys(result.detector, p / p.sum(), q / q.sum())

    assert result.statistic == pytest.approx(expected, rel=1e-7, abs=1e-8)
    assert result.statistic >= 0
    shares = [np.array(side) / sum(side) for side in (r, c)]
    assert result.effect == pytest.approx(np.abs(shares[0] - shares[1]).sum() / 2, abs=1e-12)


@pytest.mark.parametrize("detector", [JSDetector, PSIDetector, HellingerDetector])
@settings(max_examples=40)
@given(PAIRS)
def test_symmetric(detector, pairs):
    """Exchanging the samples changes nothing of the symmetric figures."""
    r, c = sides(pairs)
    there, back = (
        detector(cells=32).detect(*by_category(*order)).statistic for order in ((r, c), (c, r))
    )

    assert there == pytest.approx(back, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("detector", DETECTORS)
@settings(max_examples=40)
@given(PAIRS)
def test_an_empty_category_changes_nothing(detector, pairs):
    """A category that nobody has does not count."""
    r, c = sides(pairs)
    plain = detector(cells=32).detect(*by_category(r, c))

    assert detector(cells=32).detect(*by_category([*r, 0], [*c, 0])) == plain


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("draw", [continuous, discrete], ids=["continuous", "discrete"])
def test_p_values_without_drift(detector, draw):
    """Without drift P(p <= a) is at most a, and not far below it."""
    found = p_values(detector(), draw, (400, 150), 200)
    for alpha in (0.01, 0.05, 0.2):
        assert np.mean(found <= alpha) <= most(alpha, 200)
    assert np.mean(found <= 0.2) > 0.07


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("n", [300])
def test_why_says_what_chance_makes(detector, n):
    """The share of the figure that `why` calls chance is its mean without drift, within 20%."""
    rng = np.random.default_rng(0)
    past, present = rng.multinomial(5000, zipf(10), 200), rng.multinomial(n, zipf(10), 200)
    results = [
        detector(cells=16).detect(*by_category(r, c)) for r, c in zip(past, present, strict=True)
    ]
    stated = {float(result.why.split("about ")[1].split(" is chance")[0]) for result in results}
    figures = np.array([result.statistic for result in results])
    is_root = detector is HellingerDetector
    mean = math.sqrt((figures**2).mean()) if is_root else figures.mean()

    assert len(stated) == 1
    assert stated.pop() == pytest.approx(mean, rel=0.2, abs=1e-4)


def test_the_familiar_limit_of_the_index_depends_on_the_rows():
    """PSI exceeds 0.1 without drift in a third of windows of 100 rows; its p-value does not."""
    rng = np.random.default_rng(1)
    p = np.full(10, 0.1)
    past, present = rng.multinomial(10_000, p, 500), rng.multinomial(100, p, 500)
    results = [PSIDetector().detect(*by_category(r, c)) for r, c in zip(past, present, strict=True)]

    assert np.mean([result.statistic > 0.1 for result in results]) > 0.2
    assert np.mean([result.p_value <= 0.01 for result in results]) <= most(0.01, 500)
    assert {result.effect_low for result in results} == {0.0}


@pytest.mark.parametrize("detector", DETECTORS)
def test_drift_is_found_and_bounded(detector):
    """Half a standard deviation has a p-value below 1e-6, and its bound is below the truth."""
    rng = np.random.default_rng(4)
    result = detector().detect(*counted(rng.normal(size=5000), rng.normal(0.5, 1, 2000)))

    assert result.p_value < 1e-6
    assert 0 < result.effect_low < 2 * stats.norm.cdf(0.25) - 1


@pytest.mark.parametrize("detector", DETECTORS)
def test_one_cell_and_wrong_arguments(detector):
    """One cell is no test; fewer than two cells, or counts of another grid, are refused."""
    result = detector().detect(*counted([3.0] * 500, [3.0] * 400))
    assert (result.statistic, result.effect, result.p_value) == (0.0, 0.0, None)
    assert "one cell" in result.caveats[0]
    for wrong in (1, 2.5, "16"):
        with pytest.raises(ConfigurationError, match=rf"{detector.__name__}\(cells="):
            detector(cells=wrong)
    with pytest.raises(GridMismatchError):
        detector().detect(counted([1.0], [1.0])[0], counted([2.0], [1.0])[1])
