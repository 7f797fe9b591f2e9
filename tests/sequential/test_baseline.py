"""What is usual for a service: learnt from its own days, never below chance."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy import stats
from tests.sequential.simulated import CELLS, START, draw, history, stream

from mlwatch.profile import Distribution, NumericGrid
from mlwatch.profile.coarse import History, condense
from mlwatch.sequential import baseline
from mlwatch.sequential.baseline import SLOT, Baseline, learn, t_limit
from mlwatch.sequential.scores import streams
from mlwatch.spans import DAY, HOUR


@pytest.mark.parametrize("days", [14, 15, 28, 56, 1000])
@pytest.mark.parametrize("level", [1e-7, 1e-4, 0.01, 0.2])
def test_limits_are_those_of_students_t(days, level):
    """The limit is scipy's two-sided t quantile, for a new draw beside so many days."""
    expected = stats.t.isf(level / 2, days - 1) * math.sqrt(1 + 1 / days)

    assert t_limit(level, days) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("span", [HOUR, SLOT, DAY])
def test_the_scale_is_the_root_mean_square_of_the_deviations(span):
    """With panes of equal size it is that of the scores around the score of all rows.

    Of the score of scale it is what is left once the square of the score of location explains it.
    """
    counts = draw("season", 28 * 24)
    past, watched = history(counts), stream()
    usual = learn(watched, past)
    name = {HOUR: "hour", SLOT: "slot", DAY: "day"}[span]
    scores = watched.score(past.merged(span).counts["x0"])
    center = watched.score(counts[:, 0].sum(axis=0)[None, :])[0]
    squares = scores[:, 0] ** 2
    deviations = scores - center
    assert usual.spreads[name].square == pytest.approx(squares.mean())
    deviations[:, 1] -= usual.spreads[name].bend * (squares - squares.mean())
    rms = np.sqrt((deviations**2).mean(axis=0))

    assert usual.days == 28
    assert usual.center == pytest.approx(center)
    assert usual.spreads[name].rows == 200 * span / HOUR
    assert usual.spreads[name].scale == pytest.approx(np.maximum(rms, usual.spreads[name].floor))


def test_the_scale_is_never_below_chance():
    """Counts that repeat to the row leave the scale that so many rows have by chance."""
    same = np.tile(np.append(np.full(CELLS, 10), 0), (20 * 24, 1, 1))
    usual = learn(stream(), history(same))

    for spread, hours in zip(usual.spreads.values(), (1, 6, 24), strict=True):
        assert spread.scale == pytest.approx([1 / math.sqrt(10 * CELLS * hours)] * 2)


def test_small_panes_count_for_less():
    """A pane of a quarter of the usual rows deviates by half as much; a larger one by all."""
    usual = learn(stream(), history(draw("iid", 20 * 24)))
    spread = usual.spreads["hour"]
    scores = usual.center + np.array([[0.3, -0.2]] * 3)
    found = usual.deviations("hour", scores, np.array([50, 200, 800]))

    assert found[1] == pytest.approx(
        [0.3, -0.2 - spread.bend * (scores[0, 0] ** 2 - spread.square)]
    )
    assert found[0] == pytest.approx(found[1] / 2)
    assert found[2].tolist() == found[1].tolist()


def test_the_excess_is_in_units_of_the_limit():
    """Exactly at the limit the excess is 1."""
    usual = learn(stream(), history(draw("iid", 20 * 24)))
    spread = usual.spreads["slot"]
    edge = t_limit(1e-4, 20) * spread.scale
    rows = np.array([10_000])
    scores = usual.center + edge
    scores[1] += spread.bend * (scores[0] ** 2 - spread.square)
    found = usual.excess("slot", scores[None, :], rows, 1e-4)

    assert found == pytest.approx(np.ones((1, 2)))


@pytest.mark.parametrize("level", [0.25, 0.5, 1.0, 2.0])
def test_the_levels_of_days_leave_no_tail_in_the_scale(level):
    """Days of normal levels make the score of scale heavy-tailed; less its bend it is not.

    A t with the degrees of freedom of the days would give a kurtosis of little above 3.
    """
    rng = np.random.default_rng(0)
    days = 2000
    values = rng.normal(size=(days, 400)) + rng.normal(0, level, (days, 1))
    grid = NumericGrid.fit(values.ravel())
    watched = next(streams(Distribution.count("x", grid, values.ravel())))
    panes = np.array([condense(Distribution.count("x", grid, day)) for day in values])
    past = History(HOUR, tuple(START + day * DAY for day in range(days)), {"x": panes})
    usual = learn(watched, past)
    raw = watched.score(panes)[:, 1]
    left = usual.deviations("day", watched.score(panes), watched.rows(panes))[:, 1]

    assert stats.kurtosis(left, fisher=False) < 4.5
    assert stats.kurtosis(raw, fisher=False) > 5 or level > 0.5
    assert left.std() < raw.std() / (1 + level / 4)


@pytest.mark.parametrize(("level", "slope"), [(0.25, 0.66), (1.0, 0.80), (4.0, 1.07)])
def test_the_slope_is_that_of_a_shift(level, slope):
    """It is what a shift of normal rows makes of the scale, by numerical integration."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(400, 2000)) + rng.normal(0, level, (400, 1))
    grid = NumericGrid.fit(values.ravel())
    watched = next(streams(Distribution.count("x", grid, values.ravel())))
    panes = np.array([condense(Distribution.count("x", grid, day)) for day in values])
    past = History(HOUR, tuple(START + day * DAY for day in range(400)), {"x": panes})

    assert learn(watched, past).spreads["day"].bend == pytest.approx(slope, abs=0.03)


@pytest.mark.parametrize(
    ("days", "beyond", "run"), [(28, 0, 1), (28, 0, 4), (14, 2, 3), (56, 5, 2)]
)
def test_the_chance_of_a_run_is_fishers(days, beyond, run):
    """Given how many of all days lie beyond, that the last ones do is hypergeometric."""
    usual = replace(learn(stream(), history(draw("iid", 14 * 24))), days=days, beyond=beyond)
    expected = stats.hypergeom.sf(run - 1, days + run, beyond + run, run)

    assert usual.chance_of_run(run) == pytest.approx(min(1, (run + 1) * expected))


@pytest.mark.parametrize("run", [1, 2, 3])
def test_runs_of_days_that_are_alike_are_no_more_frequent(run):
    """Days so far apart that each is beyond or within: how often the last ones are all beyond."""
    rng = np.random.default_rng(run)
    runs, days = 200_000, 14
    levels = rng.normal(size=(runs, days + run))
    known, new = levels[:, :days], levels[:, days:]
    outside = (new > known.max(axis=1)[:, None]) | (new < known.min(axis=1)[:, None])
    found = outside.all(axis=1).mean()
    usual = replace(learn(stream(), history(draw("iid", 14 * 24))), days=days, beyond=0)
    chance = usual.chance_of_run(run)

    assert found == pytest.approx(chance, abs=4 * math.sqrt(chance / runs))


@pytest.mark.parametrize(("days", "known"), [(13, False), (14, True)])
def test_it_takes_fourteen_days(days, known):
    """With fewer days that hold any of a feature nobody can say what is usual."""
    counts = draw("iid", 30 * 24)
    counts[days * 24 :] = 0

    assert (learn(stream(), history(counts)) is not None) == known


def test_days_need_not_follow_each_other():
    """Fourteen days over three months are fourteen days."""
    counts = draw("iid", 14 * 24)
    past = history(counts)
    apart = [start + (start - START) // DAY * timedelta(days=6) for start in past.starts]
    spaced = History(HOUR, tuple(apart), past.counts)

    assert learn(stream(), spaced).to_plain() == learn(stream(), past).to_plain()


def test_a_stream_without_scores_has_no_baseline():
    """Where there is nothing to score nothing is learnt."""
    assert learn(replace(stream(), names=()), history(draw("iid", 20 * 24))) is None


def test_the_plain_form_is_exact():
    """Through JSON and back every number is the same, bit for bit."""
    usual = learn(stream(), history(draw("all", 20 * 24)))
    plain = usual.to_plain()
    back = Baseline.from_plain(json.loads(json.dumps(plain)))

    assert back.to_plain() == plain
    scores, rows = baseline.scored(stream(), history(draw("iid", 24, seed=5)))
    for span in ("hour", "slot", "day"):
        excess = [it.excess(span, scores, rows, 1e-5).tolist() for it in (usual, back)]
        assert excess[0] == excess[1]


def test_the_detector_of_days_begins_with_the_days_of_the_baseline():
    """It has absorbed each day once, by how much it deviates."""
    past = history(draw("season", 21 * 24))
    usual = learn(stream(), past)
    state = baseline.day_state(usual, stream(), past)
    scores, rows = baseline.scored(stream(), past.merged(DAY))

    assert state.n == 21
    assert state.mean == pytest.approx(usual.deviations("day", scores, rows).mean(axis=0))
