"""The fakes do what they say, and are what they stand for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.service import MINUTE, START, reference, rows

from mlwatch import (
    Collector,
    ConfigurationError,
    DriftDetector,
    Metric,
    MetricStore,
    NotificationError,
    Notifier,
    Window,
    stores,
    testing,
)
from mlwatch.testing import (
    ManualClock,
    MemoryStore,
    RecordingNotifier,
    ScriptedCollector,
    ScriptedDetector,
    check_collector,
)
from mlwatch.testing.checks import sample_alert


def test_a_manual_clock_stands_still_until_it_is_told_to_move():
    """A clock shows its start, moves by what it is told, backwards too, and is in UTC."""
    clock = ManualClock(start=START)
    assert clock() == clock() == START
    assert clock.advance(MINUTE) == START + MINUTE == clock()
    assert clock.advance(-2 * MINUTE) == START - MINUTE == clock()
    east = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert ManualClock(east)() == datetime(2024, 1, 1, 10, tzinfo=UTC)
    assert ManualClock(east)().tzinfo is UTC
    assert ManualClock()().tzinfo is UTC


def test_a_manual_clock_needs_a_timezone():
    """A start without timezone is a ConfigurationError with the remedy."""
    with pytest.raises(ConfigurationError, match="tzinfo"):
        ManualClock(datetime(2024, 1, 1))  # noqa: DTZ001


def test_a_recording_notifier_keeps_what_it_is_told():
    """Alerts are kept in order; while `fail_with` is set it is raised and nothing is kept."""
    notifier = RecordingNotifier("mine")
    one, two = sample_alert(state="firing"), sample_alert(state="resolved")
    notifier.notify(one)
    notifier.fail_with = NotificationError("down")
    with pytest.raises(NotificationError, match="down"):
        notifier.notify(two)
    notifier.fail_with = None
    notifier.notify(two)
    assert notifier.alerts == [one, two]
    assert notifier.name == "mine"


def test_a_scripted_detector_answers_by_feature():
    """Each feature has its scripted verdict or error; all others are stable."""
    found = reference()
    window = found.count(rows(50)[0])
    error = RuntimeError("scripted")
    detector = ScriptedDetector({"x": True, "c": error})
    result = detector.detect(found.distribution("x"), window.distribution("x"))
    assert (result.drifted, result.feature, result.detector) == (True, "x", "scripted")
    assert (result.n, result.n_reference) == (50, 2000)
    with pytest.raises(RuntimeError) as caught:
        detector.detect(found.distribution("c"), window.distribution("c"))
    assert caught.value is error
    for verdict in (True, False, None):
        detector = ScriptedDetector({"c": verdict})
        given = detector.detect(found.distribution("c"), window.distribution("c"))
        assert given.drifted is verdict
    stable = ScriptedDetector().detect(found.distribution("x"), window.distribution("x"))
    assert stable.drifted is False


def test_a_scripted_collector_plays_its_script_and_stays_at_the_end():
    """Each cycle has its step, the last one is repeated, and the windows are kept."""
    window = Window("m", "1", START, START + MINUTE)
    error = RuntimeError("scripted")
    first, last = [Metric("a", 1.0)], [Metric("b", 2.0)]
    collector = ScriptedCollector([first, error, last])
    assert collector.collect(window) == first
    with pytest.raises(RuntimeError) as caught:
        collector.collect(window)
    assert caught.value is error
    assert [collector.collect(window) for _ in range(3)] == [last] * 3
    assert collector.windows == [window] * 5
    assert ScriptedCollector().collect(window) == []


def test_the_fakes_are_what_they_stand_for():
    """Each fake keeps its protocol, as our own parts do, and the store is the real one."""
    assert isinstance(RecordingNotifier(), Notifier)
    assert isinstance(ScriptedDetector(), DriftDetector)
    assert isinstance(ScriptedCollector(), Collector)
    assert isinstance(MemoryStore(), MetricStore)
    assert MemoryStore is stores.MemoryStore
    check_collector(ScriptedCollector([[Metric("a", 1.0, n=1)]]))


def test_everything_that_is_exported_is_described():
    """Each fake and each check says in its first line what it is for."""
    for name in testing.__all__:
        assert getattr(testing, name).__doc__, name
