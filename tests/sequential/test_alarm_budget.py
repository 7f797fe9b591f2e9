"""The promise, end to end: weeks of simulated traffic stay within the budget, changes are found.

At the level of coarse counts. The two keys are those of the drift collector: the watch, and a
lower bound of the effect above the margin in the span that was unusual (a day's is remembered for
a week).
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats
from tests.sequential.simulated import CELLS, EDGES, START, draw, history, names, panes, stream

from mlwatch.detectors.evidence import dkw_halfwidth
from mlwatch.records import AlarmBudget
from mlwatch.sequential.budget import share_out
from mlwatch.sequential.watch import Plan, Watch, calibrate, consume, settle
from mlwatch.spans import DAY, HOUR

FEATURES, BACK, WEEKS = 20, 28, 5
BUDGET = AlarmBudget()
MARGIN = 0.05
NAMES = names(FEATURES)
STREAMS = {it.key: it for it in map(stream, NAMES)}
PLAN = Plan(STREAMS, share_out(BUDGET, list(STREAMS.values())))


def run(model, seed, *, rows=200, weeks=WEEKS, shift=0.0):
    """Learn from four weeks, then watch some; return what was unusual and the counts watched."""
    hours = (BACK + 7 * weeks) * 24
    counts = draw(model, hours, FEATURES, seed, rows=rows, shift=shift, since=BACK * 24)
    past, now = counts[: BACK * 24], counts[BACK * 24 :]
    watch = Watch()
    calibrate(watch, STREAMS.values(), history(past))
    found = []
    begin = START + BACK * DAY
    for time, pane in panes(now, begin):
        found += consume(watch, time, HOUR, pane, PLAN)
    return found + settle(watch, begin + len(now) * HOUR, PLAN), past, now


def low(part, past):
    """Return the lower bound of the share of one feature's traffic that moved."""
    found = [np.cumsum(it[..., :CELLS].reshape(-1, CELLS).sum(axis=0)) for it in (part, past)]
    n, n_past = (int(it[-1]) for it in found)
    moved = np.abs(found[0] / n - found[1] / n_past).max()
    return moved - dkw_halfwidth(n, n_past)


def both_keys(found, past, now):
    """Give when what was unusual also mattered: at the end of its span, or in the week after."""
    begin = START + BACK * DAY
    for event in found:
        place = NAMES.index(event.stream.removeprefix("values/"))
        first, last = ((time - begin) // HOUR for time in (event.since, event.until))
        spans = [(first, last)]
        if event.span == "day":
            spans += [(end - 24, end) for end in range(last + 6, last + 7 * 24, 6)]
        for first, last in spans:
            part = now[first:last, place]
            if last <= len(now) and low(part, past[:, place]) > MARGIN:
                yield event.stream, begin + last * HOUR
                break


def episodes(alarms):
    """Count stretches of alarms of one feature that are no more than a day apart."""
    total = 0
    last = {}
    for name, time in sorted(alarms, key=lambda alarm: alarm[1]):
        total += name not in last or time - last[name] > timedelta(hours=24)
        last[name] = time
    return total


def allowed(weeks):
    """Return the budget of the features over so many weeks, with three standard errors."""
    expected = BUDGET.weekly * BUDGET.drift * weeks
    return expected + 3 * math.sqrt(expected)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["iid", "sessions", "ar", "season", "all", "levels"])
def test_the_budget_holds(model):
    """Ten weeks without drift, 20 features: no more episodes than the budget and 3 se allow."""
    unusual = mattered = 0
    for seed in (11, 12):
        found, past, now = run(model, seed)
        unusual += episodes((it.stream, it.until) for it in found)
        mattered += episodes(both_keys(found, past, now))

    assert mattered <= unusual <= allowed(2 * WEEKS)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["iid", "sessions", "ar", "season", "all"])
def test_half_a_standard_deviation_is_found_within_two_days(model):
    """A shift of .5 sd in 1 of 20 features is unusual and matters: half of the time in 48 hours."""
    delays = []
    for seed in range(21, 28):
        found, past, now = run(model, seed, weeks=1, shift=0.5)
        alarms = [time for key, time in both_keys(found, past, now) if key == "values/x0"]
        begin = START + BACK * DAY
        delays.append(min(alarms, default=begin + 7 * DAY) - begin)

    assert np.median(delays) <= timedelta(hours=48), [delay / HOUR for delay in delays]


@pytest.mark.slow
def test_a_harmless_shift_is_silent_at_a_million_rows():
    """With 10**6 rows an hour .01 sd is seen by the first key, and kept silent by the second."""
    edges = np.concatenate([[-np.inf], EDGES, [np.inf]])
    law, probabilities = (np.diff(stats.norm.cdf(edges - shift)) for shift in (0, 0.01))
    rng = np.random.default_rng(14)
    past = rng.multinomial(10**6, law, (BACK * 24, 1))
    now = rng.multinomial(10**6, probabilities, (7 * 24, 1))
    past, now = (np.concatenate([it, 0 * it[..., :1]], axis=-1) for it in (past, now))
    watch = Watch()
    calibrate(watch, [STREAMS["values/x0"]], history(past))
    plan = Plan({"values/x0": STREAMS["values/x0"]}, PLAN.levels)
    found = []
    for time, pane in panes(now, START + BACK * DAY):
        found += consume(watch, time, HOUR, pane, plan)

    assert found
    assert list(both_keys(found, past, now)) == []


@pytest.mark.slow
def test_p_values_without_a_budget_do_not_hold_it():
    """The guard: the same quiet weeks, judged by KS p < .05 a day, exceed the budget at once."""
    _, past, now = run("iid", 11)
    alarms = []
    for day in range(0, len(now), 24):
        for place, name in enumerate(NAMES):
            part, whole = (it[:, place, :CELLS].sum(axis=0) for it in (now[day : day + 24], past))
            n, n_past = part.sum(), whole.sum()
            moved = np.abs(np.cumsum(part) / n - np.cumsum(whole) / n_past).max()
            p = stats.kstwobign.sf(moved * math.sqrt(n * n_past / (n + n_past)))
            alarms += [(name, START + day * HOUR)] * int(p < 0.05)

    assert episodes(alarms) > 3 * allowed(WEEKS)


@pytest.mark.slow
@pytest.mark.xfail(strict=True, reason="heavy-tailed shocks of whole days spend the budget")
def test_heavy_tailed_days_hold_the_budget():
    """Days that jump by t with 3 degrees of freedom: a known failure, and by how much."""
    found, past, now = run("shocks", 15)
    number = episodes(both_keys(found, past, now))

    assert number <= allowed(WEEKS), f"{number / WEEKS:.2f} episodes a week"
