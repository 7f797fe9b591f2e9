"""How finely each time is kept, and where a window's ends so lie."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlwatch.spans import DAY, HOUR, MINUTE, floor, kept_in, outward

NOW = datetime(2024, 3, 8, 12, 30, tzinfo=UTC)
EAST = timezone(timedelta(hours=5, minutes=45))
TIMES = st.integers(-100 * 1440 * 60, 3600).map(lambda seconds: NOW + timedelta(seconds=seconds))


def at(text):
    return datetime.fromisoformat(f"2024-03-{text}+00:00")


@pytest.mark.parametrize(
    ("time", "span"),
    [
        ("08T12:30", MINUTE),
        ("08T10:30", MINUTE),  # its hour ended 1:30 ago
        ("08T10:00", MINUTE),
        ("08T09:59:59", HOUR),
        ("06T00:00", HOUR),  # its day ended 36:30 ago
        ("05T23:59", DAY),  # 60:30 ago
        ("01T00:00", DAY),
    ],
)
def test_how_finely_a_time_is_kept(time, span):
    """By the minute, by the hour from 2 hours after its end, by the day from 48."""
    assert kept_in(at(time), NOW) == span


@pytest.mark.parametrize(
    ("since", "until", "wanted"),
    [
        ("08T11:15:20", "08T12:29:01", ("08T11:15", "08T12:30")),
        ("07T12:30", "08T12:31", ("07T12:00", "08T12:31")),
        ("07T12:00", "08T08:01", ("07T12:00", "08T09:00")),
        ("01T12:30", "03T00:00", ("01T00:00", "03T00:00")),
        ("04T12:30", "05T00:01", ("04T00:00", "06T00:00")),
        ("05T18:00", "06T00:00", ("05T00:00", "06T00:00")),
    ],
)
def test_ends_move_outwards(since, until, wanted):
    """The ends lie where the panes of that time begin and end, and an end that does so stays."""
    assert outward(at(since), at(until), NOW) == tuple(map(at, wanted))


@given(TIMES, TIMES)
def test_nothing_asked_for_is_left_out(one, other):
    """The moved span holds the one asked for, moves by less than a pane, and moves but once."""
    since, until = sorted((one, other + MINUTE))
    if since == until:
        return
    first, last = outward(since.astimezone(EAST), until, NOW)
    assert first <= since < until <= last
    assert since - first < kept_in(since, NOW)
    assert last - until < kept_in(until - timedelta.resolution, NOW)
    assert outward(first, last, NOW) == (first, last)


@given(TIMES, TIMES)
def test_panes_only_become_coarser(time, now):
    """What is kept by the hour or day at one moment is so at every later one."""
    assert kept_in(time, now) <= kept_in(time, now + HOUR)
    assert floor(time, kept_in(time, now)) <= time
