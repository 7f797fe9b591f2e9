"""The domain classifier on raw rows, against scikit-learn and by simulation."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from mlwatch.detectors import DomainClassifierDetector
from mlwatch.errors import ConfigurationError, DataError

ALPHA = 0.05


def detect(reference, current, **options):
    return DomainClassifierDetector(**options).detect(reference, current)


def xor(n: int, rng: np.random.Generator, *, tied: bool) -> dict[str, np.ndarray]:
    """Return three features of which any two are independent, and, when tied, not all three."""
    signs = rng.choice([-1, 1], (3, n))
    if tied:
        signs[2] = signs[0] * signs[1]
    rows = np.abs(rng.normal(size=(3, n))) * signs
    return dict(zip("abcd", [*rows, rng.normal(size=n)], strict=True))


def plain(n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {"x": rng.normal(size=n), "y": rng.normal(size=n), "c": rng.choice(["a", "b"], n)}


@pytest.fixture(autouse=True)
def one_thread():
    """Train on one thread: on a busy machine many wait for one another."""
    with threadpool_limits(1):
        yield


@pytest.mark.slow
def test_false_alarms_are_at_the_level():
    """Without drift p is below 0.05 in no more than 5% of comparisons, and the effect is small."""
    rng, runs = np.random.default_rng(0), 40
    found = [detect(plain(600, rng), plain(200, rng), random_state=i) for i in range(runs)]
    p_values = np.array([result.p_value for result in found])

    assert np.mean(p_values <= ALPHA) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert all(result.effect_low == 0 for result in found)


def test_a_relation_of_three_is_found_and_named():
    """What no feature and no pair shows is found, and the three features are named."""
    rng = np.random.default_rng(1)
    result = detect(xor(1500, rng, tied=False), xor(1500, rng, tied=True))

    assert result.p_value < 1e-6
    assert 0 < result.effect_low < result.effect < 1
    assert (result.feature, result.detector) == ("all features", "domain_classifier")
    assert (result.n, result.n_reference, result.drifted) == (1500, 1500, None)
    assert set(result.why.split("most by ")[1].split(", ")[:3]) == set("abc")


@pytest.mark.parametrize("moved", [0.2, 0.4, 0.8])
def test_effect_is_at_most_the_share_that_moved(moved):
    """Where rows became unmistakable the effect is 1 - sqrt(1 - their share), below that share."""
    rng = np.random.default_rng(2)
    now = plain(2000, rng)
    now["x"][: int(2000 * moved)] += 100
    result = detect(plain(2000, rng), now)

    assert result.effect == pytest.approx(1 - math.sqrt(1 - moved), abs=0.03)
    assert result.effect_low <= result.effect <= moved


def test_identical_inputs_give_identical_answers():
    """The same frames and random state give the same result, a frame's form changes nothing."""
    rng = np.random.default_rng(3)
    past, now = plain(400, rng), plain(400, rng)
    first = detect(past, now, random_state=7)

    assert detect(past, now, random_state=7) == first
    assert detect(pd.DataFrame(past), pd.DataFrame(now).assign(more=1), random_state=7) == first
    assert detect(past, now, random_state=8) != first


def test_the_area_is_that_of_rows_held_out():
    """Scores of rows that trained the classifier would show drift where there is none."""
    rng = np.random.default_rng(4)
    past, now = plain(500, rng), plain(500, rng)
    result = detect(past, now)
    rows = np.column_stack([np.concatenate([past[name], now[name]]) for name in "xy"])
    sides = np.repeat([0, 1], 500)
    trained = HistGradientBoostingClassifier(random_state=0).fit(rows, sides)

    assert result.statistic == pytest.approx(0.5, abs=0.12)
    assert result.p_value > 1e-3
    assert roc_auc_score(sides, trained.predict_proba(rows)[:, 1]) > 0.8


def test_columns_of_every_kind():
    """Missing values, infinities, mixtures, huge integers, times and categories are compared."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    past = {
        "number": [0.5, None, math.inf, -math.inf, math.nan, 7] * 50,
        "large": [2**62, 2**62 + 1, 2**70] * 100,
        "price": [Decimal("0.1"), Decimal("NaN"), 3] * 100,
        "when": [start + timedelta(hours=i) for i in range(300)],
        "mixed": ["a", 1, 2.5, None, True, start] * 50,
        "many": [f"id {i}" for i in range(300)],
        "flag": np.array([True, False] * 150),
        "nullable": pd.Series([1, None, 3] * 100, dtype="Int64"),
        "kind": pd.Series(["u", "v", None] * 100, dtype="category"),
        "nothing": [None] * 300,
        "constant": [1] * 300,
    }
    same = detect(past, past)  # every row has its twin, so that the area is below a half
    moved = detect(past, {**past, "mixed": ["a"] * 300, "constant": [1, "text"] * 150})

    assert (same.effect, same.effect_low) == (0, 0)
    assert same.p_value > 0.5
    assert moved.effect > 0.5
    assert "mixed" in moved.why


def test_rows_that_are_all_alike():
    """Where nothing varies nothing can be told apart: no effect, and p is 1."""
    result = detect({"x": [1] * 200}, {"x": [1] * 200})

    assert (result.statistic, result.effect, result.effect_low, result.p_value) == (0.5, 0, 0, 1)


@pytest.mark.parametrize(
    ("past", "now", "why"),
    [
        (500, 99, "the window has 99 rows, and a classifier needs 100 of each"),
        (20, 500, "the reference has 20 rows"),
        (0, 0, "the window has 0 rows"),
    ],
)
def test_too_few_rows(past, now, why):
    """With fewer than a hundred rows of either there is no figure, and why says how many."""
    rng = np.random.default_rng(5)
    result = detect(plain(past, rng), plain(now, rng))

    assert (result.statistic, result.effect, result.effect_low, result.p_value) == (None,) * 4
    assert result.why.startswith("not enough data")
    assert why in result.why


def test_bad_data_is_named():
    """Frames that cannot be compared are refused, the column or the argument named."""
    rng = np.random.default_rng(6)
    frame = plain(200, rng)
    with pytest.raises(DataError, match=r"missing column.*'x'"):
        detect(frame, {"y": frame["y"], "c": frame["c"]})
    with pytest.raises(DataError, match="unequal length"):
        detect(frame, {**frame, "x": frame["x"][:150]})
    with pytest.raises(DataError, match=r"'x'.*leave the column out"):
        detect({**frame, "x": [[1]] * 200}, frame)
    with pytest.raises(DataError, match="list"):
        detect([1, 2], frame)
    with pytest.raises(ConfigurationError, match="test_share=1"):
        DomainClassifierDetector(test_share=1)
