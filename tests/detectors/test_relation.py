"""Outcomes given what was predicted: the split is exact, and each part sees what it should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2, chi2_contingency, norm

from mlwatch.detectors.g_test import likelihood_ratio
from mlwatch.detectors.relation import (
    calibration_z,
    conditional_g,
    join_neighbours,
    merge,
    relate_classes,
    relate_rates,
)

BINS = 16
CUTS = norm.ppf(np.arange(1, BINS) / BINS)


def drawn(rng, n, rate=expit, shift=0.0):
    """Return counts by bin of x and outcome, shape (bins, 2), of n rows."""
    x = rng.normal(shift, 1, n)
    outcome = (rng.random(n) < rate(x)).astype(int)
    return np.bincount(2 * np.searchsorted(CUTS, x) + outcome, minlength=2 * BINS).reshape(-1, 2)


def table(*sides):
    """Return two samples as the table that scipy takes, without empty columns."""
    both = np.array([side.ravel() for side in sides])
    return both[:, both.any(axis=0)]


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_ratio_splits_exactly(seed):
    """G of score and outcome is G of the score and that of outcomes given it, as scipy has them."""
    rng = np.random.default_rng(seed)
    past = drawn(rng, 5000)
    now = drawn(rng, 2000, lambda x: expit(0.5 * x) * 0.9, shift=0.5)
    given, df = conditional_g(past, now, pool=0)
    joint = chi2_contingency(table(past, now), correction=False, lambda_="log-likelihood")
    inputs = table(past.sum(axis=1), now.sum(axis=1))
    scores = chi2_contingency(inputs, correction=False, lambda_="log-likelihood")

    assert joint.statistic == pytest.approx(scores.statistic + given, rel=1e-9)
    assert (joint.dof, scores.dof, df) == (2 * BINS - 1, BINS - 1, BINS)
    assert likelihood_ratio(*inputs) == pytest.approx(scores.statistic, rel=1e-9)


def test_the_calibration_z_is_its_formula():
    """z is what row by row sum(y - p) / sqrt(sum p (1 - p) (1 + n / N)) gives."""
    rng = np.random.default_rng(0)
    past, now = drawn(rng, 900), drawn(rng, 400, lambda x: np.clip(expit(x) + 0.1, 0, 1))
    total = variance = 0.0
    for b in range(BINS):
        rate = past[b, 1] / past[b].sum()
        for y in [0] * now[b, 0] + [1] * now[b, 1]:
            total += y - rate
            variance += rate * (1 - rate) * (1 + now[b].sum() / past[b].sum())

    assert calibration_z(past, now) == pytest.approx(total / variance**0.5, rel=1e-12)
    assert calibration_z(np.array([[5, 0], [0, 5]]), np.array([[1, 1], [1, 1]])) is None


CASES = {
    "nothing": ({}, (0.0, 0.03), (0.0, 0.03)),
    "inputs": ({"shift": 0.2}, (0.99, 1.0), (0.0, 0.04)),
    "calibration": ({"rate": lambda x: np.clip(expit(x) + 0.05, 0, 1)}, (0.0, 0.03), (0.95, 1.0)),
    "slope": ({"rate": lambda x: expit(0.3 * x)}, (0.0, 0.03), (0.99, 1.0)),
    "cancelling": (
        {"shift": 0.25, "rate": lambda x: np.clip(expit(x) - 0.052, 0, 1)},
        (0.99, 1.0),
        (0.95, 1.0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_part_sees_what_it_should(case):
    """Of 300 windows of 2,000 rows, the shares that inputs and relation reject at .01.

    In the last two cases the outcome rate is that of the reference, and shows nothing.
    """
    change, of_inputs, of_relation = CASES[case]
    rejected = np.zeros(2)
    runs = 300
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        past, now = drawn(rng, 10_000), drawn(rng, 2000, **change)
        inputs = likelihood_ratio(past.sum(axis=1), now.sum(axis=1))
        g, df = conditional_g(past, now, pool=5)
        relation = 2 * min(chi2.sf(g, df), 2 * norm.sf(abs(calibration_z(past, now))))
        rejected += [chi2.sf(inputs, BINS - 1) < 0.01, relation < 0.01]

    assert of_inputs[0] <= rejected[0] / runs <= of_inputs[1]
    assert of_relation[0] <= rejected[1] / runs <= of_relation[1]


def changes(rate, shift):
    """Return the true change of the rate in each bin, where the inputs have shifted."""
    x = np.linspace(-8, 8, 40_001)
    bins = np.searchsorted(CUTS, x)
    before, after = norm.pdf(x), norm.pdf(x, shift)

    def means(values, weights):
        return np.bincount(bins, values * weights) / np.bincount(bins, weights)

    return np.abs(means(rate(x), after) - means(expit(x), before))


@pytest.mark.parametrize("n", [100, 500, 5000])
@pytest.mark.parametrize(
    ("rate", "shift"), [(expit, 0.0), (expit, 1.0), (lambda x: expit(-x), 0.5)], ids=str
)
def test_the_bound_of_the_effect_holds(rate, shift, n):
    """In 200 pairs of samples the bound lies above the true change of their rows once at most."""
    above, lows = 0, []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        past, now = drawn(rng, 2000), drawn(rng, n, rate, shift)
        found = relate_rates(past, now, pool=5)
        truth = changes(rate, shift) @ now.sum(axis=1) / n
        above += found.effect_low > truth
        lows.append(found.effect_low)
        assert found.effect_low <= found.effect
    assert above <= 1
    assert rate is expit or min(lows) > 0, "a bound of 0 would always hold"


def test_the_bound_finds_what_turns():
    """A relation that turns around, at the same outcome rate, has nearly all of its effect."""
    rng = np.random.default_rng(0)
    turned = relate_rates(drawn(rng, 50_000), drawn(rng, 50_000, lambda x: expit(-x)), pool=5)
    assert abs(turned.net) < 0.01
    assert turned.effect_low > 0.9 * changes(lambda x: expit(-x), 0.0).mean()


def test_classes_that_are_confused_otherwise():
    """Classes said as often, and right as often, that come in another's place are found."""
    past = np.array([[800, 200, 0], [0, 800, 200], [200, 0, 800]])
    now = np.array([[800, 0, 200], [200, 800, 0], [0, 200, 800]])
    found = relate_classes(past, now, pool=5)
    assert found.effect == pytest.approx(0.2)
    assert found.df == 6
    assert found.p_value < 1e-9
    assert found.z is None
    worse = relate_classes(past, np.array([[500, 250, 250], [250, 500, 250], [250, 250, 500]]), 5)
    assert worse.effect == pytest.approx(0.3)
    assert 0.15 < worse.effect_low < 0.3


def test_bins_are_joined_until_they_hold_enough():
    """Each joined bin has the expected counts that are asked for; nothing is lost."""
    rng = np.random.default_rng(1)
    past, now = drawn(rng, 1000, lambda x: expit(x - 2)), drawn(rng, 300, lambda x: expit(x - 2))
    joined = join_neighbours(past, now, 5)
    sides = np.array([merge(past, joined), merge(now, joined)])
    assert (sides.sum(axis=1) == [past.sum(axis=0), now.sum(axis=0)]).all()
    assert (np.diff(joined) >= 0).all()
    assert 1 < sides.shape[1] < BINS
    totals = sides.sum(axis=(0, 2))
    least = sides.sum(axis=2).min(axis=0) * sides.sum(axis=0).min(axis=1) / totals
    assert (least >= 5).all()


def test_bins_that_one_side_lacks_are_left_out():
    """What only one sample has cannot be compared, and nothing in common says nothing."""
    past, now = np.array([[50, 50], [30, 0]]), np.array([[25, 25], [0, 0]])
    found = relate_rates(past, now, pool=5)
    assert (found.n, found.n_reference, found.effect, found.df) == (50, 100, 0.0, 1)
    assert relate_rates(past * [[0], [1]], now, pool=5) is None
