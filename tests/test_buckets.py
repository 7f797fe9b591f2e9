"""Values as counts in logarithmic buckets, against numpy's quantiles of the raw values."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch import buckets

SHARES = (0.0, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0)


def near(values, share):
    exact = np.quantile(values, share, method="lower")
    found = buckets.quantile(Counter(map(buckets.bucket, values)), share)
    return found == pytest.approx(exact, rel=buckets.RELATIVE_ERROR + 1e-9)


@given(
    st.lists(st.floats(1e-8, 1e12), min_size=1, max_size=50),
    st.sampled_from(SHARES) | st.floats(0, 1),
)
def test_quantiles_are_within_one_percent(values, share):
    """A quantile from the buckets is within 1% of numpy's lower quantile of the values."""
    assert near(values, share)


@pytest.mark.parametrize("share", SHARES)
def test_quantiles_of_many_calls(share):
    """The same for a hundred thousand calls of a service."""
    assert near(np.random.default_rng(0).lognormal(3, 1.5, 100_000).tolist(), share)


@given(st.lists(st.floats(0, 1.7e308), max_size=20), st.lists(st.floats(0, 1.7e308), max_size=20))
def test_buckets_add(a, b):
    """Buckets of two windows add to those of both, and any finite value has one."""
    both = Counter(map(buckets.bucket, a)) + Counter(map(buckets.bucket, b))

    assert both == Counter(map(buckets.bucket, a + b))
    assert not both or buckets.quantile(both, 0.5) >= 0


def test_nothing_is_nothing():
    """A value of 0 is given back as 0, and not as the smallest that is told from it."""
    assert buckets.quantile({buckets.bucket(0.0): 3}, 0.5) == 0


def test_no_values_have_no_quantile():
    """Without a value there is no quantile, and not 0."""
    assert buckets.quantile({}, 0.5) is None
    assert buckets.quantile({"3": 0}, 0.5) is None
