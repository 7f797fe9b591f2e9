"""The backtest: what past days would have alarmed, and limits raised until it is little."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from tests.sequential.simulated import START, draw, history, names, stream

from mlwatch.profile.coarse import day_of
from mlwatch.records import AlarmBudget
from mlwatch.sequential import t_detector
from mlwatch.sequential.backtest import Backtest, backtest
from mlwatch.sequential.baseline import SPANS, learn, t_limit
from mlwatch.sequential.budget import share_out
from mlwatch.spans import DAY, HOUR, floor

LOUD = AlarmBudget(alarms=30)
"""So large a budget that small data alarms."""


def watched(features=1):
    return [stream(name) for name in names(features)]


def bent(each, usual, counts, spread):
    """Return the deviations of panes, less what a shift makes of the scale, not yet shrunk."""
    x = each.score(counts) - usual.center
    x[:, 1] -= spread.bend * (each.score(counts)[:, 0] ** 2 - spread.square)
    return x


def naive_days(each, usual, past, levels):
    """Return the days that alarm, each judged by all others, one number at a time."""
    days = past.merged(DAY)
    counts = days.counts[each.feature]
    x = bent(each, usual, counts, usual.spreads["day"]).tolist()
    usual_rows = usual.spreads["day"].rows
    shrink = [min(1.0, n / usual_rows) ** 0.5 for n in each.rows(counts)]
    x = [[value * by for value in row] for row, by in zip(x, shrink, strict=True)]
    found = []
    log_m = [[-math.inf] * 10 for _ in each.names]
    for t, start in enumerate(days.starts):
        for j in range(len(each.names)):
            others = [x[s][j] for s in range(len(x)) if s != t]
            n = len(others)
            spread = np.std(others, ddof=1) * math.sqrt(1 + 1 / n)
            z = (x[t][j] - np.mean(others)) / max(spread, usual.spreads["day"].floor)
            ratios = t_detector.log_ratios(np.array([z]), n - 1)[0]
            log_m[j] = [np.logaddexp(m, 0) + r for m, r in zip(log_m[j], ratios, strict=True)]
            if np.logaddexp.reduce(log_m[j]) - math.log(10) >= levels.day:
                found.append(start)
                log_m[j] = [-math.inf] * 10
    return found


def naive_spans(each, usual, past, levels, name):
    """Return the panes of a span that lie beyond the limits that the other days set."""
    merged = past.merged(SPANS[name])
    counts = merged.counts[each.feature]
    rows = each.rows(counts)
    spread = usual.spreads[name]
    found = []
    for t, start in enumerate(merged.starts):
        if not rows[t]:
            continue
        others = [
            s for s in range(len(rows)) if rows[s] and day_of(merged.starts[s]) != day_of(start)
        ]
        deviation = (
            bent(each, usual, counts[[*others, t]], spread)
            * np.sqrt(np.minimum(1, rows[[*others, t]] / spread.rows))[:, None]
        )
        scale = np.maximum(np.sqrt((deviation[:-1] ** 2).mean(axis=0)), spread.floor)
        limit = t_limit(levels.slot, usual.days - 1) * scale
        if (np.abs(deviation[-1]) > limit).any():
            found.append(start)
    return found


def naive(streams, past, budget):
    """Return the episodes of all streams at the budget as it is."""
    levels = share_out(budget, streams)
    total = 0
    for each in streams:
        usual = learn(each, past)
        mine = levels[each.key]
        times = naive_days(each, usual, past, mine)
        for name in ("hour", "slot"):
            times += naive_spans(each, usual, past, mine, name)
        last = None
        for time in sorted(times):
            total += last is None or time - last > timedelta(hours=24)
            last = time
    return total


@pytest.mark.parametrize(("model", "seed"), [("all", 1), ("ar", 2), ("shocks", 3)])
def test_it_is_what_a_plain_loop_finds(model, seed):
    """On small data, some hours of it empty, it equals one that was written without thought."""
    counts = draw(model, 15 * 24, 2, seed, rows=60)
    counts[40:50] = 0
    counts[100, :, 3] += 200
    past = history(counts)
    seen = []
    for alarms in (5, 15, 30, 60):
        budget = AlarmBudget(alarms=alarms)
        seen.append(naive(watched(2), past, budget))
        found = backtest(watched(2), past, budget)
        assert found == Backtest(15, seen[-1], pytest.approx(budget.weekly * 15 / 7))

    assert len(set(seen)) > 1
    assert max(seen) > 4


def test_clean_days_raise_no_alarm():
    """Four weeks of independent rows: no alarm in 20 features, nothing raised, and it says so."""
    past = history(draw("iid", 28 * 24, 20, 5))
    found = backtest(watched(20), past, AlarmBudget())

    assert found == Backtest(28, 0, 1.0)
    assert str(found) == "your last 28 days: 0 alarms, budget 1"


@pytest.fixture(scope="module")
def after_an_incident():
    """Four weeks in which two features had a day, or a few hours, of their own."""
    counts = draw("iid", 28 * 24, 4, 6)
    counts[240:264, 0] = draw("iid", 24, 1, 7, shift=1.0)[:, 0]
    counts[500:503, 2] = draw("iid", 3, 1, 8, shift=1.0)[:, 0]
    return history(counts)


def test_an_incident_raises_the_limits_until_the_budget_holds(after_an_incident):
    """Two alarms in the past, one allowed: what alarmed is tested more strictly, nothing else."""
    found = backtest(watched(4), after_an_incident, AlarmBudget())
    plain = backtest(watched(4), after_an_incident, AlarmBudget(alarms=1))
    times = max(found.raised.values())
    looser, as_strict = (AlarmBudget(alarms=0.25 / 2**cut) for cut in (times - 1, times))

    assert found.raised.keys() == {"x0", "x2"}
    assert found.alarms <= found.allowed == 1.0
    assert (plain.alarms, plain.raised) == (2, {})
    assert backtest(watched(4), after_an_incident, AlarmBudget(alarms=0.5)).raised == {}
    assert naive(watched(4), after_an_incident, looser) > 1
    assert naive(watched(4), after_an_incident, as_strict) <= 1


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ({}, ""),
        ({"a": 7}, " (limits raised, part of the budget cut: a to 1/128)"),
        (
            {"a": 1, "b": 3, "c": 1, "d": 2, "e": 1},
            " (limits raised, part of the budget cut: b to 1/8, d to 1/4, a to 1/2, 2 more)",
        ),
    ],
)
def test_what_was_raised_is_said_in_words(raised, words):
    """The line names the features whose limits were raised, the most first."""
    assert str(Backtest(28, 2, 4.0, raised)) == f"your last 28 days: 2 alarms, budget 4{words}"


@pytest.mark.parametrize(("alarms", "words"), [(0, "0 alarms"), (1, "1 alarm"), (2, "2 alarms")])
def test_one_alarm_is_one_alarm(alarms, words):
    """The line counts in proper words."""
    assert str(Backtest(28, alarms, 1.0)) == f"your last 28 days: {words}, budget 1"


def test_marked_days_are_no_alarms(after_an_incident):
    """Without the days of the incident there is nothing to raise limits for."""
    bad = {day_of(START + hour * HOUR) for hour in (*range(240, 264), 500)}
    found = backtest(watched(4), after_an_incident.without(bad), AlarmBudget())

    assert (found.days, found.alarms, found.raised) == (28 - len(bad), 0, {})


def test_too_few_days_say_so():
    """With fewer than 14 days there is no backtest, and the line says what is lacking."""
    found = backtest(watched(), history(draw("iid", 13 * 24)), LOUD)

    assert found == Backtest(0, 0, 0.0)
    assert str(found) == "no backtest yet: it needs 14 whole days"


def test_only_the_last_days_are_looked_back_on():
    """Of ten weeks the last 28 days are replayed; what lies before changes nothing."""
    counts = draw("iid", 70 * 24, 2, 9)
    spoilt = counts.copy()
    spoilt[: 30 * 24, 0] = draw("iid", 30 * 24, 1, 10, shift=2.0)[:, 0]
    found = [backtest(watched(2), history(it), LOUD) for it in (counts, spoilt)]

    assert found[0] == found[1]
    assert found[0].days == 28
    assert floor(START, DAY) == START
