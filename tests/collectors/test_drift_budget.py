"""The promise, end to end: what the drift collector tells in ten quiet weeks, and how soon."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.collectors.drifting import START, Service
from tests.sequential.simulated import MODELS, means, names

from mlwatch.records import AlarmBudget
from mlwatch.reference import Reference
from mlwatch.spans import HOUR

pytestmark = pytest.mark.slow

FEATURES, BACK, ROWS = 20, 28 * 24, 100
NAMES = names(FEATURES)


def traffic(model, hours, seed):
    """Return rows of simulated traffic, shape (hours, rows, features)."""
    rng = np.random.default_rng(seed)
    lifted = means(MODELS[model], hours, FEATURES, rng)
    values = rng.standard_normal((hours, ROWS, FEATURES))
    if "sessions" in MODELS[model]:
        shared = rng.standard_normal((hours, ROWS // 10, FEATURES))
        values = np.sqrt(0.5) * (values + np.repeat(shared, 10, axis=1))
    return np.round(values + lifted[:, None, :], 2)


def served(model, weeks, seed):
    """Return a service with four weeks of reference, and the traffic that follows."""
    rows = traffic(model, BACK + weeks * 7 * 24, seed)
    times = np.repeat([START - (BACK - hour) * HOUR for hour in range(BACK)], ROWS)
    known = rows[:BACK].reshape(-1, FEATURES)
    given = Reference.fit(dict(zip(NAMES, known.T, strict=True)), timestamps=times)
    return Service(given), rows[BACK:]


def told(service, rows):
    """Let the traffic pass, with a cycle every six hours; return when each episode was opened."""
    found = set()
    for hour, values in enumerate(rows, 1):
        service.hour(**{name: values[:, place].tolist() for place, name in enumerate(NAMES)})
        if hour % 6 == 0:
            service.cycle()
            found |= {(key, since) for key, (since, *_) in service.memory["episodes"].items()}
    return found


@pytest.mark.parametrize("model", ["all", "levels"])
def test_the_budget_holds(model):
    """Ten quiet weeks of 20 features: no more episodes than the budget and 3 se allow."""
    opened = sum(len(told(*served(model, 5, seed))) for seed in (31, 32))
    budget = AlarmBudget()
    expected = budget.weekly * budget.drift * 10

    assert opened <= expected + 3 * math.sqrt(expected)


@pytest.mark.parametrize("model", ["sessions", "all"])
def test_half_a_standard_deviation_is_found_within_two_days(model):
    """Of 20 features the one that is shifted is told within 48 hours, and no other."""
    service, rows = served(model, 1, 33)
    rows[:, :, 0] += 0.5
    found = told(service, rows[:48])

    assert {key.split("/")[0] for key, _ in found} == {"x0"}
