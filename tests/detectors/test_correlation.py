"""The correlation check from sums of rank codes, against scipy and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlwatch.detectors import CorrelationDetector, KSDetector
from mlwatch.errors import GridMismatchError
from mlwatch.profile import Profile
from mlwatch.reference import Reference

FEATURES = 20
ALPHA = 0.01


def traffic(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return rows of twenty features in four groups that go together, shape (n, 20)."""
    common = rng.normal(size=(n, 4))
    loading = np.linspace(0.5, 0.9, FEATURES)
    noise = rng.normal(size=(n, FEATURES)) * np.sqrt(1 - loading**2)
    return common[:, np.arange(FEATURES) % 4] * loading + noise


def frame(rows: np.ndarray) -> dict[str, np.ndarray]:
    return {f"x{i}": column for i, column in enumerate(rows.T)}


def decoupled(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = rows.copy()
    changed[:, 7] = rng.permutation(changed[:, 7])
    return changed


def flipped(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = rows.copy()
    changed[:, 7] *= -1
    return changed


REFERENCE = Reference.fit(frame(traffic(10_000, np.random.default_rng(0))))


def detect(data: dict, reference: Reference = REFERENCE):
    return CorrelationDetector().detect(reference.profile, reference.count(data))


@pytest.mark.parametrize("n", [500, 2000])
def test_false_alarms_are_at_the_level(n):
    """Without drift p is below 0.01 in no more than 1% of windows of either size."""
    rng = np.random.default_rng(1)
    runs = 300
    found = np.array([detect(frame(traffic(n, rng))).p_value for _ in range(runs)])

    assert np.mean(found <= ALPHA) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)


@pytest.mark.parametrize("n", [500, 2000])
@pytest.mark.parametrize("change", [decoupled, flipped])
def test_a_change_between_features_is_found(change, n):
    """A feature decoupled or turned round is found in every window, where none by itself moved."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        rows = traffic(n, rng)
        result = detect(frame(change(rows, rng)))

        assert result.p_value < 1e-6
        assert 0 < result.effect_low < result.effect
        assert "x7" in result.why
    past, now = REFERENCE.profile, REFERENCE.count(frame(change(rows, rng)))
    alone = KSDetector().detect(past.distribution("x7"), now.distribution("x7"))
    assert alone.p_value > 1e-3


def test_figures_by_hand():
    """Statistic, p and effect are those of Fisher's formula on scipy's correlation of the codes."""
    rng = np.random.default_rng(3)
    x, e = rng.normal(size=(2, 4000))
    data = {"income": x, "age": 0.8 * x + 0.6 * e}
    reference = Reference.fit(data)
    now = {"income": rng.normal(size=700), "age": rng.normal(size=700)}
    r = [
        stats.pearsonr(
            *(
                reference.profile.grids[n].coarse(16)[reference.profile.grids[n].locate(d[n])]
                for n in d
            )
        ).statistic
        for d in (data, now)
    ]
    z = abs(math.atanh(r[1]) - math.atanh(r[0])) / math.sqrt(1.06 * (1 / 697 + 1 / 3997))
    result = detect(now, reference)

    assert result.statistic == pytest.approx(z, rel=1e-9)
    assert result.p_value == pytest.approx(2 * stats.norm.sf(z), rel=1e-9)
    assert result.effect == pytest.approx(abs(r[1] - r[0]) / 2, rel=1e-9)
    assert result.why == f"income and age: {r[0]:.2f} in the reference, {r[1]:.2f} now"
    assert (result.feature, result.detector) == ("correlations", "correlation")
    assert (result.n, result.n_reference) == (700, 4000)


def test_lower_bound_of_the_effect_holds():
    """Half the true change of the reported pair is not below the bound."""
    rng = np.random.default_rng(4)
    for _ in range(200):
        a, b = rng.uniform(-0.95, 0.95, 2)
        (x, e), (y, f) = rng.normal(size=(2, 2, 1000))
        reference = Reference.fit({"a": x, "b": a * x + math.sqrt(1 - a * a) * e})
        result = detect({"a": y, "b": b * y + math.sqrt(1 - b * b) * f}, reference)
        spearman = [6 / math.pi * math.asin(r / 2) for r in (a, b)]

        assert result.effect_low <= abs(spearman[1] - spearman[0]) / 2 + 0.005


def test_perfect_correlations_are_finite():
    """Features that say the same give finite figures, and no drift while they keep doing so."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=3000)
    reference = Reference.fit({"a": x, "b": 2 * x, "c": -x})
    y = rng.normal(size=1000)
    same = detect({"a": y, "b": 2 * y, "c": -y}, reference)
    odd = detect({"a": y, "b": np.where(np.arange(1000) == 3, -9, 2 * y), "c": -y}, reference)
    turned = detect({"a": y, "b": 2 * y, "c": y}, reference)

    assert (same.statistic, same.effect_low, same.p_value) == (0, 0, 1)
    assert odd.p_value > ALPHA
    assert math.isfinite(turned.statistic)
    assert turned.effect == pytest.approx(1, abs=0.01)
    assert turned.p_value == 0


def test_missing_values_leave_the_pair():
    """Rows without one of the two say nothing of the pair, and make no drift by themselves."""
    rng = np.random.default_rng(6)
    rows = traffic(2000, rng)
    rows[rng.random(rows.shape) < 0.3] = np.nan
    result = detect(frame(rows))

    assert result.p_value > ALPHA
    assert result.missing == np.isnan(rows).sum()
    assert result.n == 2000


def test_features_that_hardly_vary_are_left_out():
    """Two flags that are nearly always 0 meet by chance; that is not a correlation."""
    rng = np.random.default_rng(7)
    found = []
    x = rng.normal(size=20_000)
    flags = {name: (rng.random(20_000) < 0.005).astype(int) for name in "ab"}
    reference = Reference.fit({"x": x, "y": x + rng.normal(size=20_000), **flags})
    for _ in range(200):
        y = rng.normal(size=500)
        flags = {name: (rng.random(500) < 0.005).astype(int) for name in "ab"}
        found.append(detect({"x": y, "y": y + rng.normal(size=500), **flags}, reference).p_value)

    assert np.mean(np.array(found) <= ALPHA) <= 0.03


@pytest.mark.parametrize(
    ("data", "now", "why"),
    [
        ({"a": [1.0, 2.0] * 50, "c": ["x"] * 100}, 100, "two numeric features, and there is 1"),
        ({"c": ["x"] * 100}, 100, "two numeric features, and there is none"),
        ({"a": [1.0, 2.0] * 50, "b": [1.0, 2.0] * 50}, 49, "the window has 49 rows"),
        ({"a": [1.0, 2.0] * 20, "b": [1.0, 2.0] * 20}, 40, "the reference has 40 rows"),
        ({"a": [1.0] * 100, "b": [1.0, 2.0] * 50}, 100, "no pair of features varies"),
        ({"a": [None] * 100, "b": [1.0, 2.0] * 50}, 100, "no pair of features varies"),
    ],
)
def test_not_enough_data_says_what_is_lacking(data, now, why):
    """Without two features, enough rows or any variation there is no figure, and why says so."""
    reference = Reference.fit(data)
    result = detect({name: column[:now] for name, column in data.items()}, reference)

    assert (result.statistic, result.effect, result.effect_low, result.p_value) == (None,) * 4
    assert result.why.startswith("not enough data")
    assert why in result.why


def test_counts_made_elsewhere_say_nothing_of_correlations():
    """Counts of which nobody saw the rows are no rows, and the result says so."""
    elsewhere = Profile.from_counts(
        REFERENCE.profile, {n: {} for n in REFERENCE.features}, rows=900
    )
    result = CorrelationDetector().detect(REFERENCE.profile, elsewhere)

    assert result.n == 0
    assert "0 rows counted one by one, of 900" in result.why


def test_other_grids_are_refused():
    """Profiles of two references are not compared."""
    other = Reference.fit(frame(traffic(500, np.random.default_rng(9))))
    with pytest.raises(GridMismatchError):
        CorrelationDetector().detect(REFERENCE.profile, other.profile)
