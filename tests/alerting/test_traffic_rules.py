"""The rules on how much comes in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlwatch.alerting import NoTraffic, UnusualVolume
from mlwatch.errors import ConfigurationError
from mlwatch.records import Metric

HOUR = 3600.0


def volume(value, verdict):
    return Metric("volume_ratio", value, n=9, verdict=verdict, why="12 from 3:00 to 4:00")


def age(value):
    return Metric("seconds_since_prediction", value, n=1, why="undefined" * (value is None))


def fired(rule, *metrics):
    """Return whether the rule fires; it has one finding."""
    (finding,) = rule([Metric("accuracy", 0.5), *metrics])
    return finding.firing


@pytest.mark.parametrize(
    ("value", "verdict", "firing"),
    [
        (7.0, "unusual", True),
        (0.1, "unusual", True),
        (None, "unusual", True),
        (1.0, "usual", False),
        (None, "usual", False),
        (None, "not enough data", None),
        (0.0, "unusual", None),
        (0.0, "usual", None),
    ],
)
def test_unusual_volume(value, verdict, firing):
    """It fires by the verdict; what could not be judged, or had none, leaves it as it is."""
    assert fired(UnusualVolume(), volume(value, verdict)) is firing


@pytest.mark.parametrize(
    ("seconds", "value", "verdict", "firing"),
    [
        (2 * HOUR, 0.0, "unusual", True),
        (60.0, 0.0, "unusual", False),
        (2 * HOUR, 0.0, "usual", None),
        (2 * HOUR, None, "usual", None),
        (2 * HOUR, None, "not enough data", None),
        (2 * HOUR, 0.1, "unusual", None),
        (None, None, "not enough data", None),
    ],
)
def test_no_traffic_by_what_is_usual(seconds, value, verdict, firing):
    """It fires for an hour without any that usually has some, and ends with the next one."""
    assert fired(NoTraffic(), age(seconds), volume(value, verdict)) is firing


@pytest.mark.parametrize(
    ("seconds", "firing"), [(None, None), (0.0, False), (600.0, False), (600.5, True)]
)
def test_no_traffic_after_a_span(seconds, firing):
    """With `after` it fires from then on, whatever is usual, but not before a first prediction."""
    assert fired(NoTraffic(after=timedelta(minutes=10)), age(seconds)) is firing


def test_what_is_told():
    """An alert says since when, and beside what is usual."""
    (finding,) = NoTraffic()([age(2.5 * HOUR), volume(0.0, "unusual")])
    assert finding.title == "no predictions come in"
    assert finding.why == "the last one came 2:30:00 ago; 12 from 3:00 to 4:00"

    (finding,) = UnusualVolume()([volume(3.0, "unusual")])
    assert finding.title == "the volume of predictions is unusual: 3 times what is usual"


def test_without_the_figures_there_is_nothing_to_say():
    """Where nothing measures the volume, neither rule finds anything."""
    assert [*UnusualVolume()([Metric("accuracy", 0.5)])] == []
    assert [*NoTraffic()([Metric("accuracy", 0.5)])] == []


@pytest.mark.parametrize("after", [timedelta(0), timedelta(minutes=-1), 600])
def test_spans_that_cannot_be_right(after):
    """A span that is none is refused when the rule is made, and so is a severity."""
    with pytest.raises(ConfigurationError, match="after="):
        NoTraffic(after=after)
    for rule in (NoTraffic, UnusualVolume):
        with pytest.raises(ConfigurationError, match="severity='loud'"):
            rule(severity="loud")
