"""Intervals and bounds, against scipy, scikit-learn, textbook formulas and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score, f1_score, r2_score, roc_auc_score

from mlwatch import intervals
from mlwatch.profile import Distribution, NumericGrid


@given(st.integers(0, 10_000), st.integers(0, 10_000))
def test_share_is_wilsons_or_jeffreys_interval(right, wrong):
    """A share has scipy's Wilson interval, and Jeffreys' beta interval when one side is below 5."""
    n = right + wrong
    if not n:
        return
    low, high = intervals.share(right, n)
    if min(right, wrong) >= 5:
        found = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
        expected = (found.low, found.high)
    else:
        beta = stats.beta(right + 0.5, wrong + 0.5)
        expected = (beta.ppf(0.025) if right else 0.0, beta.ppf(0.975) if wrong else 1.0)

    assert (low, high) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert 0 <= low <= right / n <= high <= 1


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("n", [30, 100, 1000])
def test_share_covers_the_truth(p, n):
    """The interval of a share holds the truth in at least 90% of samples, near 0 and 1 too."""
    k = np.arange(n + 1)
    held = [low <= p <= high for low, high in (intervals.share(int(i), n) for i in k)]

    assert stats.binom.pmf(k, n, p)[held].sum() >= 0.90


@pytest.mark.parametrize("precision", [0.5, 0.9])
@pytest.mark.parametrize("recall", [0.3, 0.9])
@pytest.mark.parametrize("n", [100, 2000])
def test_f1_covers_the_truth(precision, recall, n):
    """The interval of F1 holds the truth in 93% to 99% of samples."""
    rng = np.random.default_rng(0)
    tp = 0.3 * recall
    cells = np.array([tp, tp / precision - tp, 0.3 - tp])
    truth = 2 * tp / (2 * tp + cells[1] + cells[2])
    drawn = rng.multinomial(n, [*cells, 1 - cells.sum()], 2000)
    found = [intervals.f1(int(a), int(b + c)) for a, b, c, _ in drawn if a + b + c]

    assert 0.93 <= np.mean([low <= truth <= high for low, high in found]) <= 0.99


def test_f1_interval_holds_its_own_value():
    """The interval lies around scikit-learn's F1 of the same rows."""
    rng = np.random.default_rng(0)
    true, served = rng.integers(0, 2, 200), rng.integers(0, 2, 200)
    hits = int((true & served).sum())
    low, high = intervals.f1(hits, int((true ^ served).sum()))

    assert low < f1_score(true, served) < high


def test_mean_is_the_normal_interval():
    """A mean has the interval of its standard error, from sums alone."""
    values = np.random.default_rng(0).exponential(size=500)
    expected = stats.norm.interval(0.95, values.mean(), stats.sem(values))

    found = intervals.mean(500, values.sum(), (values**2).sum())
    assert found == pytest.approx(expected, rel=1e-9)
    assert intervals.mean(40, 40 * 3.0, 40 * 9.0) == (3.0, 3.0)


def test_mean_covers_the_truth():
    """The interval of the mean of 30 skewed values holds the truth in about 90% and more."""
    drawn = np.random.default_rng(0).exponential(size=(4000, 30))
    found = [intervals.mean(30, row.sum(), (row**2).sum()) for row in drawn]

    assert 0.90 <= np.mean([low <= 1 <= high for low, high in found]) <= 0.96


def cells(grid, scores):
    return Distribution.count("score", grid, scores).counts


def labelled(rng, n, kind):
    true = rng.integers(0, 2, n)
    true[:2] = (0, 1)
    true[2:4] = (0, 1)
    scores = {
        "smooth": rng.normal(true, 1),
        "rounded": np.round(rng.normal(true, 1), 1),
        "rare": rng.beta(0.05 + 0.1 * true, 3),
        "constant": np.full(n, 0.5),
    }[kind]
    return true, scores


@pytest.mark.parametrize("kind", ["smooth", "rounded", "rare", "constant"])
def test_auc_on_points_is_exact(kind):
    """With every score a point of the grid, the area equals scikit-learn's to 1e-12."""
    rng = np.random.default_rng(0)
    for _ in range(60):
        true, scores = labelled(rng, int(rng.integers(8, 250)), kind)
        grid = NumericGrid.fit(scores)
        positive, negative = cells(grid, scores[true == 1]), cells(grid, scores[true == 0])
        value, (low, high) = intervals.auc(positive, negative)

        assert value == pytest.approx(roc_auc_score(true, scores), abs=1e-12)
        assert low <= value <= high


@pytest.mark.parametrize("kind", ["smooth", "rare"])
def test_auc_on_a_thinned_grid_is_bracketed(kind):
    """On a grid of other rows the exact area is within half the pairs that share a gap."""
    rng = np.random.default_rng(1)
    for _ in range(60):
        grid = NumericGrid.fit(labelled(rng, 2000, kind)[1], points=int(rng.integers(5, 256)))
        true, scores = labelled(rng, int(rng.integers(50, 3000)), kind)
        positive, negative = cells(grid, scores[true == 1]), cells(grid, scores[true == 0])
        value, (low, high) = intervals.auc(positive, negative)
        exact = roc_auc_score(true, scores)
        tied = (positive[::2] * negative[::2]).sum() / 2 / positive.sum() / negative.sum()

        assert abs(value - exact) <= tied + 1e-12
        assert low <= exact <= high


def delong(positive, negative):
    """Return the textbook variance over all pairs (DeLong, DeLong and Clarke-Pearson, 1988)."""
    kernel = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    above, below = kernel.mean(axis=1), kernel.mean(axis=0)
    return above.var(ddof=1) / len(positive) + below.var(ddof=1) / len(negative)


@pytest.mark.parametrize("kind", ["smooth", "rounded", "rare"])
def test_auc_variance_is_delongs(kind):
    """The width of the interval is that of DeLong's variance over all pairs, to 1e-12."""
    rng = np.random.default_rng(2)
    compared = 0
    for _ in range(60):
        true, scores = labelled(rng, int(rng.integers(30, 250)), kind)
        grid = NumericGrid.fit(scores)
        positive, negative = scores[true == 1], scores[true == 0]
        value, (low, high) = intervals.auc(cells(grid, positive), cells(grid, negative))
        if low > 0 and high < 1:
            half = intervals.Z95 * np.sqrt(delong(positive, negative))
            assert (value - low, high - value) == pytest.approx((half, half), abs=1e-12)
            compared += 1

    assert compared > 10


@pytest.mark.parametrize("shift", [0.3, 1.0, 2.0])
def test_auc_covers_the_truth(shift):
    """The interval of the area holds the truth in 91% to 98% of samples on the shipped grid."""
    rng = np.random.default_rng(3)
    truth = stats.norm.cdf(shift / np.sqrt(2))
    grid = NumericGrid.fit(np.concatenate([rng.normal(size=3000), rng.normal(shift, 1, 1000)]))
    held = []
    for _ in range(1000):
        positive, negative = rng.normal(shift, 1, 60), rng.normal(size=240)
        _, (low, high) = intervals.auc(cells(grid, positive), cells(grid, negative))
        held.append(low <= truth <= high)

    assert 0.91 <= np.mean(held) <= 0.98


def test_auc_of_perfect_order_is_not_certain():
    """Ten positives above twenty negatives bound the area from below, not by 1."""
    positive, negative = np.zeros(5, int), np.zeros(5, int)
    positive[3], negative[1] = 10, 20

    assert intervals.auc(positive, negative) == (1.0, intervals.share(10, 10))
    assert intervals.auc(negative, positive) == (0.0, intervals.share(0, 10))


def test_auc_of_billions():
    """Counts whose products are beyond 64 bits still give an area and an interval."""
    counts = np.array([4 * 10**9] * 5)
    value, (low, high) = intervals.auc(counts, counts)

    assert value == pytest.approx(0.5)
    assert low < 0.5 < high


@pytest.mark.parametrize("kind", ["smooth", "rounded", "rare", "constant"])
def test_average_precision_on_points_is_exact(kind):
    """With every score a point of the grid, it equals scikit-learn's to 1e-12."""
    rng = np.random.default_rng(4)
    for _ in range(60):
        true, scores = labelled(rng, int(rng.integers(8, 250)), kind)
        grid = NumericGrid.fit(scores)
        found = intervals.average_precision_bounds(
            cells(grid, scores[true == 1]), cells(grid, scores[true == 0])
        )

        assert found == pytest.approx([average_precision_score(true, scores)] * 3, abs=1e-12)


@pytest.mark.parametrize("kind", ["smooth", "rounded", "rare"])
def test_average_precision_on_a_thinned_grid_is_bracketed(kind):
    """On a grid of other rows, fitting or not, the bounds always hold the exact value."""
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(200):
        grid = NumericGrid.fit(labelled(rng, 2000, kind)[1], points=int(rng.integers(1, 256)))
        true, scores = labelled(rng, int(rng.integers(8, 2000)), kind)
        true[4:] &= rng.random(len(true) - 4) < rng.choice([0.02, 0.3, 1.0])
        scores = rng.choice([-1, 1]) * scores + rng.choice([0.0, 1.0])
        counts = cells(grid, scores[true == 1]), cells(grid, scores[true == 0])
        value, least, most = intervals.average_precision_bounds(*counts)
        exact = average_precision_score(true, scores)
        _, (low, high) = intervals.average_precision(*counts)

        assert least - 1e-12 <= exact <= most + 1e-12
        assert least <= value <= most
        assert low <= exact <= high
        errors.append(abs(value - exact) / max(1e-9, most - least))
    assert np.mean(errors) < 0.5


def test_average_precision_on_the_shipped_grid_is_close():
    """On the 255 points of a reference like the traffic it is within 0.005 of scikit-learn's."""
    rng = np.random.default_rng(6)
    past = rng.integers(0, 2, 5000)
    grid = NumericGrid.fit(rng.normal(past, 1))
    for _ in range(20):
        true = rng.integers(0, 2, 2000)
        scores = rng.normal(true, 1)
        value, least, most = intervals.average_precision_bounds(
            cells(grid, scores[true == 1]), cells(grid, scores[true == 0])
        )
        assert value == pytest.approx(average_precision_score(true, scores), abs=0.005)
        assert most - least < 0.02


@pytest.mark.parametrize(
    ("shift", "positives", "n"), [(1.0, 30, 300), (0.3, 60, 300), (2.0, 60, 300), (1.0, 100, 1000)]
)
def test_average_precision_covers_the_truth(shift, positives, n):
    """Its interval holds the truth in 92% to 99% of samples on the shipped grid."""
    rng = np.random.default_rng(7)
    part = positives / n
    points = rng.normal(shift, 1, 200_000)
    right, wrong = stats.norm.sf(points - shift), stats.norm.sf(points)
    truth = (part * right / (part * right + (1 - part) * wrong)).mean()
    grid = NumericGrid.fit(rng.normal(shift * (rng.random(3000) < part), 1))
    held = []
    for _ in range(600):
        k = max(2, rng.binomial(n, part))
        counts = cells(grid, rng.normal(shift, 1, k)), cells(grid, rng.normal(size=n - k))
        _, (low, high) = intervals.average_precision(*counts)
        held.append(low <= truth <= high)

    assert 0.92 <= np.mean(held) <= 0.99


def test_average_precision_of_perfect_order_is_not_certain():
    """Ten positives above twenty negatives bound it from below, not by 1."""
    positive, negative = np.zeros(5, int), np.zeros(5, int)
    positive[3], negative[1] = 10, 20

    assert intervals.average_precision(positive, negative) == (1.0, intervals.share(10, 10))


BINS = np.arange(1, 10) / 10


def binned(rng, n, tilt):
    """Return the truth, and rows, scores and positives of ten bins of a tilted model."""
    scores = rng.beta(1, 3, n)
    chances = np.clip(scores + tilt * (scores - 0.1), 0, 1)
    places = np.searchsorted(stats.beta.ppf(BINS, 1, 3), scores)
    true = rng.random(n) < chances
    columns = [np.bincount(places, it, 10) for it in (np.ones(n), scores, true, chances)]
    truth = np.abs(columns[1] - columns[3]).sum() / n
    filled = columns[0] > 0
    return truth, [column[filled] for column in columns[:3]]


@pytest.mark.parametrize("tilt", [0.0, 0.1, -0.3, 0.5])
@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_calibration_error_covers_the_truth(tilt, n):
    """Its interval holds the truth in at least 92% of samples, also of a calibrated model."""
    rng = np.random.default_rng(8)
    truth, _ = binned(rng, 1_000_000, tilt)
    truth *= tilt != 0
    held = []
    for _ in range(400):
        value, (low, high) = intervals.calibration_error(*binned(rng, n, tilt)[1])
        assert low <= value <= high
        held.append(low <= truth <= high)

    assert np.mean(held) >= 0.92


def test_calibration_error_is_as_narrow_as_it_says():
    """Of a model that is clearly off in every bin the interval holds the truth in 92% to 98%."""
    rng = np.random.default_rng(9)
    held = []
    for _ in range(600):
        rows = rng.multinomial(5000, [0.1] * 10).astype(float)
        scores = rows * (np.arange(10) / 20 + 0.25)
        positives = rng.binomial(rows.astype(int), scores / rows - 0.1)
        _, (low, high) = intervals.calibration_error(rows, scores, positives)
        held.append(low <= 0.1 <= high)

    assert 0.92 <= np.mean(held) <= 0.98


@pytest.mark.parametrize(("p", "q"), [(0.9, 0.9), (0.95, 0.8), (0.5, 0.99)])
def test_a_difference_covers_the_truth(p, q):
    """The interval of the difference of two shares holds the true one in 93% to 98% of samples."""
    rng = np.random.default_rng(10)
    held = []
    for k, j in zip(rng.binomial(80, p, 3000), rng.binomial(300, q, 3000), strict=True):
        value, low, high = intervals.difference(
            (k / 80, *intervals.share(k, 80)), (j / 300, *intervals.share(j, 300))
        )
        assert low <= value <= high
        held.append(low <= p - q <= high)

    assert 0.93 <= np.mean(held) <= 0.98


def test_a_difference_of_shares_is_newcombes():
    """Of 56 in 70 and 48 in 80 it is the interval of Newcombe (1998), his method 10."""
    _, low, high = intervals.difference(
        (56 / 70, *intervals.share(56, 70)), (48 / 80, *intervals.share(48, 80))
    )

    assert (low, high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize("right", [0.6, 0.95])
def test_an_average_covers_the_truth(right):
    """The interval of the mean of two shares holds the true one in 92% to 98% of samples."""
    rng = np.random.default_rng(11)
    held = []
    for k, j in zip(rng.binomial(40, right, 3000), rng.binomial(500, 0.7, 3000), strict=True):
        parts = [(k / 40, *intervals.share(k, 40)), (j / 500, *intervals.share(j, 500))]
        _, low, high = intervals.average(parts)
        held.append(low <= (right + 0.7) / 2 <= high)

    assert 0.92 <= np.mean(held) <= 0.98


@pytest.mark.parametrize("level", [0.025, 1e-3, 1e-6])
def test_intervals_are_of_the_level_that_is_asked_for(level):
    """With another normal point a share, Wilson's or Jeffreys', has scipy's interval of it."""
    z = intervals.normal_point(level)

    assert z == pytest.approx(stats.norm.isf(level), rel=1e-12)
    found = stats.binomtest(70, 90).proportion_ci(1 - 2 * level, method="wilson")
    assert intervals.share(70, 90, z) == pytest.approx((found.low, found.high), rel=1e-9)
    beta = stats.beta(2.5, 88.5)
    assert intervals.share(2, 90, z) == pytest.approx((beta.ppf(level), beta.isf(level)), rel=1e-9)


def moments(error, y):
    sums = {"e": error, "abs": abs(error), "e2": error**2, "e4": error**4}
    sums |= {"y": y, "y2": y**2, "y3": y**3, "y4": y**4, "e2y": error**2 * y}
    sums["e2y2"] = error**2 * y**2
    return {name: float(values.sum()) for name, values in sums.items()}


def test_r_squared_is_scikit_learns():
    """R2 from sums equals scikit-learn's on the rows."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=300)
    served = y + rng.normal(0, 0.7, 300)
    value, (low, high) = intervals.r_squared(300, moments(served - y, y))

    assert set(moments(y, y)) == set(intervals.MOMENTS)
    assert value == pytest.approx(r2_score(y, served), rel=1e-9)
    assert low < value < high


@pytest.mark.parametrize("noise", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("n", [50, 500])
def test_r_squared_covers_the_truth(noise, n):
    """The interval of R2 holds the truth in 89% to 98% of samples."""
    rng = np.random.default_rng(1)
    held = []
    for _ in range(1500):
        signal, error = rng.normal(size=n), rng.normal(0, noise, n)
        _, (low, high) = intervals.r_squared(n, moments(error, signal - error))
        held.append(low <= 1 - noise**2 / (1 + noise**2) <= high)

    assert 0.89 <= np.mean(held) <= 0.98


@pytest.mark.parametrize("draw", ["normal", "beta"])
def test_the_interval_of_a_spread_covers(draw):
    """The interval of a standard deviation holds the true one in about 95% of samples."""
    rng = np.random.default_rng(0)
    true = {"normal": 1.0, "beta": np.sqrt(2 * 5 / (7**2 * 8))}[draw]
    hits = 0
    for _ in range(2000):
        sample = rng.normal(3, 1, 200) if draw == "normal" else rng.beta(2, 5, 200)
        low, high = intervals.spread(200, *(float((sample**k).sum()) for k in (1, 2, 3, 4)))
        assert low <= sample.std() <= high
        hits += low <= true <= high
    assert 0.92 < hits / 2000 < 0.98
