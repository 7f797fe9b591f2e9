"""The options of a monitor: what cannot be right is refused when it is said."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from tests.hourly import Worker

from mlwatch.errors import ConfigurationError
from mlwatch.records import AlarmBudget, AlertPolicy, CaptureOptions, DriftPolicy, Retention
from mlwatch.stores import MemoryStore

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (Retention, {"rows": timedelta(0)}),
        (Retention, {"pending": -HOUR}),
        (Retention, {"panes": 7}),
        (Retention, {"metrics": None}),
        (CaptureOptions, {"max_bytes": 0}),
        (CaptureOptions, {"max_record_bytes": -1}),
        (CaptureOptions, {"max_spool_bytes": "1 GB"}),
        (CaptureOptions, {"flush_interval": timedelta(0)}),
        (CaptureOptions, {"flush_interval": 0.5}),
        (CaptureOptions, {"durability": "both"}),
        (CaptureOptions, {"retention": 7}),
        (DriftPolicy, {"margin": -0.1}),
        (DriftPolicy, {"margin": 1.0}),
        (DriftPolicy, {"margin": float("nan")}),
        (DriftPolicy, {"margin": "10%"}),
        (DriftPolicy, {"min_visible": 0}),
        (DriftPolicy, {"min_visible": 20}),
        (DriftPolicy, {"min_rows": 0}),
        (DriftPolicy, {"min_rows": 50.5}),
        (DriftPolicy, {"min_rows": True}),
        (DriftPolicy, {"margin": False}),
        (DriftPolicy, {"min_visible": True}),
        (DriftPolicy, {"min_visible": None}),
        (DriftPolicy, {"budget": None}),
        (DriftPolicy, {"budget": 0.25}),
        (DriftPolicy, {"budget": AlarmBudget}),
        (DriftPolicy, {"windows": ()}),
        (DriftPolicy, {"windows": HOUR}),
        (DriftPolicy, {"windows": [HOUR]}),
        (DriftPolicy, {"windows": (24,)}),
        (DriftPolicy, {"windows": (HOUR / 2,)}),
        (DriftPolicy, {"windows": (HOUR, 1.5 * HOUR)}),
        (DriftPolicy, {"windows": (-HOUR,)}),
        (DriftPolicy, {"assume_iid": "no"}),
        (DriftPolicy, {"assume_iid": None}),
        (DriftPolicy, {"independent_labels": 1}),
        (AlertPolicy, {"cooldown": -HOUR}),
        (AlertPolicy, {"cooldown": 300}),
        (AlertPolicy, {"give_up_after": timedelta(0)}),
        (AlertPolicy, {"stale_after": timedelta(0)}),
    ],
)
def test_what_cannot_be_right_is_named(options, arguments):
    """A wrong option is refused, naming the group and the option."""
    (name,) = arguments
    with pytest.raises(ConfigurationError, match=f"{options.__name__}\\({name}="):
        options(**arguments)


@pytest.mark.parametrize(
    "options",
    [
        Retention(),
        CaptureOptions(),
        DriftPolicy(),
        AlertPolicy(),
        Retention(rows=HOUR),
        CaptureOptions(durability="disk", spool="memory"),
        DriftPolicy(margin=0, min_rows=1, min_visible=0.01),
        DriftPolicy(windows=(HOUR, 48 * HOUR), assume_iid=True, independent_labels=True),
        AlarmBudget(),
        AlarmBudget(alarms=24, per="day"),
        AlarmBudget(alarms=1e-6, per="month"),
        AlarmBudget(drift=0.1, performance=0.1, quality=0.1),
        AlarmBudget(drift=0.7, performance=0.2, quality=0.1),
        AlertPolicy(cooldown=timedelta(0)),
    ],
    ids=repr,
)
def test_what_can_be_right_is_frozen(options):
    """Options that can be right are taken, and cannot be changed behind the monitor's back."""
    with pytest.raises(AttributeError):
        setattr(options, next(iter(type(options).__dataclass_fields__)), 1)


@pytest.mark.parametrize(
    ("arguments", "named", "remedy"),
    [
        ({"alarms": 0}, "alarms=0", "a number above 0"),
        ({"alarms": -0.25}, "alarms=-0.25", "a number above 0"),
        ({"alarms": math.nan}, "alarms=nan", "a number above 0"),
        ({"alarms": math.inf}, "alarms=inf", "a number above 0"),
        ({"alarms": True}, "alarms=True", "a number above 0"),
        ({"alarms": "1"}, "alarms='1'", "a number above 0"),
        ({"alarms": None}, "alarms=None", "a number above 0"),
        ({"alarms": 25, "per": "day"}, "alarms=25, per='day'", "at most 24, one an hour"),
        ({"alarms": 169}, "alarms=169, per='week'", "at most 168"),
        ({"alarms": 10**400, "per": "month"}, "per='month'", "at most 720"),
        ({"per": "year"}, "per='year'", "one of day, week, month"),
        ({"per": "Week"}, "per='Week'", "one of day, week, month"),
        ({"per": 7}, "per=7", "one of day, week, month"),
        ({"per": None}, "per=None", "one of day, week, month"),
        ({"per": ["week"]}, "per=['week']", "one of day, week, month"),
        ({"drift": 0}, "drift=0,", "shares above 0 that come to at most 1"),
        ({"drift": 0.6}, "drift=0.6", "shares above 0 that come to at most 1"),
        ({"performance": -0.1}, "performance=-0.1", "shares above 0 that come to at most 1"),
        ({"performance": True}, "performance=True", "shares above 0 that come to at most 1"),
        ({"quality": math.nan}, "quality=nan", "shares above 0 that come to at most 1"),
        ({"quality": "25%"}, "quality='25%'", "shares above 0 that come to at most 1"),
        ({"quality": None}, "quality=None", "shares above 0 that come to at most 1"),
        ({"drift": 0.5, "quality": 0.2501}, "quality=0.2501", "at most 1"),
    ],
)
def test_a_budget_that_cannot_be_right_is_named(arguments, named, remedy):
    """A wrong budget is refused, naming what was given and what may be."""
    with pytest.raises(ConfigurationError) as caught:
        AlarmBudget(**arguments)
    assert str(caught.value).startswith("AlarmBudget(")
    assert named in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize(
    "policy",
    [
        DriftPolicy(budget=AlarmBudget(alarms=np.float64(0.5), drift=np.float64(0.4))),
        DriftPolicy(margin=np.float64(0.1)),
        DriftPolicy(budget=AlarmBudget(alarms=168, drift=0.98, performance=0.01, quality=0.01)),
    ],
    ids=["numpy budget", "numpy margin", "an alarm an hour"],
)
def test_a_policy_that_is_taken_can_be_judged_by(policy):
    """A cycle under the policy has no fault, is remembered, and tells of a large shift."""
    worker = Worker(MemoryStore(), drift=policy)
    worker.serve(range(6))
    worker.serve(range(6, 8), shift=3.0)
    for hour in range(1, 9):
        report = worker.cycle(hour)
        assert report.faults == ()
    assert [state for state, _ in worker.titles] == ["firing"]
    assert worker.monitor.backtest().days == 20


def test_shares_may_come_to_one_as_floats_do():
    """0.7 + 0.2 + 0.1 is a whole, though floats add up to less or more."""
    for shares in ((0.7, 0.2, 0.1), (0.1, 0.7, 0.2), (1 / 3, 1 / 3, 1 / 3)):
        drift, performance, quality = shares
        budget = AlarmBudget(drift=drift, performance=performance, quality=quality)
        assert budget.weekly == 0.25
