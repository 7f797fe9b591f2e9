"""Missing values and unseen categories are judged like drift: within the budget, by their days."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.collectors.drifting import DETECTORS, START, Service

from mlwatch import defaults
from mlwatch.detectors import MissingDetector, NoveltyDetector
from mlwatch.records import AlarmBudget
from mlwatch.reference import Reference
from mlwatch.spans import HOUR

ROWS = 100
OURS = (*DETECTORS, NoveltyDetector())


def drawn(rng, rows, *, categories=4, new=0.0, missing=0.0):
    """Draw categories; of endless ones (0) some were always new. `new` and `missing` are shares."""
    if categories:
        values = rng.integers(0, categories, rows).astype(str).astype(object)
    else:
        values = rng.geometric(0.002, rows).astype(str).astype(object)
    values[rng.random(rows) < new] = "never seen"
    values[rng.random(rows) < missing] = None
    return values.tolist()


def service(rng, days=28, detectors=(), **columns):
    """Return a service whose reference knows of so many days of these columns."""
    rows = days * 24 * ROWS
    times = [START - (days * 24 - place // ROWS) * HOUR for place in range(rows)]
    data = {name: drawn(rng, rows, **how) for name, how in columns.items()}
    return Service(Reference.fit(data, timestamps=times), detectors=detectors or OURS)


def test_both_are_among_the_default_detectors():
    """Nobody has to ask for them."""
    assert {MissingDetector(), NoveltyDetector()} <= set(defaults.detectors())


@pytest.mark.parametrize("categories", [4, 60, 0])
def test_a_jump_of_unseen_categories_is_told(categories):
    """Few, many or endless categories: quiet days, and a verdict within twelve hours."""
    rng = np.random.default_rng(0)
    served = service(rng, c={"categories": categories})
    for _ in range(3 * 4):
        quiet = [drawn(rng, ROWS, categories=categories) for _ in range(6)]
        for values in quiet:
            served.hour(c=values)
        served.cycle()
        assert served.of("novelty")["c"].drifted is False

    for _ in range(12):
        served.hours(1, c=drawn(rng, ROWS, categories=categories, new=0.2))
    found = served.of("novelty")["c"]

    assert found.drifted
    assert "unknown values" in found.why


def test_a_jump_of_the_missing_share_is_told_and_nothing_else():
    """A feature that goes missing is one verdict: its values and its vocabulary are as ever."""
    rng = np.random.default_rng(1)
    served = service(rng, c={"missing": 0.05})
    for _ in range(24):
        served.hours(1, c=drawn(rng, ROWS, missing=0.4))
    assert served.of("missing")["c"].drifted
    assert served.of("novelty")["c"].drifted is False
    assert served.results["c"].drifted is False


def test_the_budget_of_quality_holds():
    """Five weeks of six quiet features, with every unusual hour told: as many as allowed."""
    rng = np.random.default_rng(2)
    columns = {
        f"c{i}": {"categories": [4, 60, 0][i % 3], "missing": [0.0, 0.05][i % 2]} for i in range(6)
    }
    served = service(rng, detectors=[MissingDetector(), NoveltyDetector()], **columns)
    served = Service(served.reference, detectors=served.collector.detectors, margin=0.0)
    opened = set()
    for _ in range(5 * 7):
        for _ in range(24):
            swing = rng.uniform(0.5, 1.5)
            rows = {
                name: drawn(rng, ROWS, **how | {"missing": how["missing"] * swing})
                for name, how in columns.items()
            }
            served.hour(**rows)
        served.cycle()
        opened |= {(key, since) for key, (since, *_) in served.memory["episodes"].items()}
    budget = AlarmBudget()
    expected = budget.weekly * budget.quality * 5

    watched = {key.split("/")[0] for key in served.memory["watch"]["baselines"]}
    assert watched == {"values", "absent", "unseen"}
    assert len(opened) <= expected + 3 * math.sqrt(expected)
