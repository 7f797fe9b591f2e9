"""The alarm budget: what all tests of a week are allowed adds up to it, exactly."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch.profile import Distribution, fit_grid
from mlwatch.records import AlarmBudget
from mlwatch.sequential.budget import evidence_needed, share_out
from mlwatch.sequential.scores import streams

COLUMNS = {
    "a": list(range(300)),
    "b": list("aaabbc") * 50,
    "c": [1, 0] * 150,
    "d": [7] * 300,
    "e": [None, 1, 2] * 100,
}


def watched(columns=COLUMNS):
    return [
        stream
        for name, values in columns.items()
        for stream in streams(Distribution.count(name, fit_grid(name, values), values))
    ]


def week(found, levels):
    """Return the sum of the levels of all tests that a week makes, by group."""
    total = {"values": 0.0, "absent": 0.0, "unseen": 0.0}
    for stream in found:
        each = levels[stream.key]
        day = math.exp(-each.day)
        total[stream.group] += len(stream.names) * (7 * day + (7 * 24 + 7 * 4) * each.slot)
        total[stream.group] += 7 * each.run * stream.ordered
    return total


@pytest.mark.parametrize("halvings", [0, 1, 5])
@pytest.mark.parametrize(
    "budget", [AlarmBudget(), AlarmBudget(alarms=3, drift=0.7, performance=0.2, quality=0.1)]
)
def test_all_tests_of_a_week_come_to_the_budget(budget, halvings):
    """Days, their runs, slots and hours come to the shares; each halving halves them."""
    found = watched()
    total = week(found, share_out(budget, found, dict.fromkeys(COLUMNS, halvings)))

    assert total["values"] == pytest.approx(budget.weekly * budget.drift / 2**halvings)
    quality = total["absent"] + total["unseen"]
    assert quality == pytest.approx(budget.weekly * budget.quality / 2**halvings)
    assert total["unseen"] > 0
    assert sum(total.values()) <= budget.weekly


def test_limits_are_raised_one_feature_at_a_time():
    """A feature whose part is halved leaves the parts of all others as they are."""
    found = watched()
    plain = share_out(AlarmBudget(), found)
    raised = share_out(AlarmBudget(), found, {found[0].feature: 3})

    for stream in found:
        cut = 8 if stream.feature == found[0].feature else 1
        assert raised[stream.key].weekly == plain[stream.key].weekly / cut


def test_hours_of_independent_rows_come_to_the_budget():
    """The one detector of a stream of independent rows takes all of what the stream may."""
    found = watched()
    levels = share_out(AlarmBudget(), found)
    total = sum(168 * math.exp(-levels[stream.key].hour) for stream in found)

    assert total == pytest.approx(0.25 * (0.5 + 0.25))


def test_evidence_is_the_log_of_one_over_the_level():
    """A level of 1% needs the evidence log(100)."""
    assert evidence_needed(0.01) == pytest.approx(math.log(100))
    assert np.all(np.diff([evidence_needed(level) for level in (0.5, 0.1, 1e-9)]) > 0)


@given(st.floats(1e-6, 24), st.sampled_from(["day", "week", "month"]))
def test_a_budget_says_what_it_is_a_week(alarms, per):
    """A budget a day, a week or a month of 30 days is one a week."""
    days = {"day": 1, "week": 7, "month": 30}[per]
    expected = float(Fraction(alarms) * 7 / days)

    assert AlarmBudget(alarms=alarms, per=per).weekly == pytest.approx(expected)
