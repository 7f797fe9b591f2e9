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

from mlwatch.profile.coarse import History
from mlwatch.sequential import baseline
from mlwatch.sequential.baseline import SLOT, Baseline, learn, t_limit
from mlwatch.spans import DAY, HOUR


@pytest.mark.parametrize("days", [14, 15, 28, 56, 1000])
@pytest.mark.parametrize("level", [1e-7, 1e-4, 0.01, 0.2])
def test_limits_are_those_of_students_t(days, level):
    """The limit is scipy's two-sided t quantile, for a new draw beside so many days."""
    expected = stats.t.isf(level / 2, days - 1) * math.sqrt(1 + 1 / days)

    assert t_limit(level, days) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("span", [HOUR, SLOT, DAY])
def test_the_scale_is_the_root_mean_square_of_the_deviations(span):
    """With panes of equal size it is that of the scores around the score of all rows."""
    counts = draw("season", 28 * 24)
    past, watched = history(counts), stream()
    usual = learn(watched, past)
    name = {HOUR: "hour", SLOT: "slot", DAY: "day"}[span]
    scores = watched.score(past.merged(span).counts["x0"])
    center = watched.score(counts[:, 0].sum(axis=0)[None, :])[0]
    rms = np.sqrt(((scores - center) ** 2).mean(axis=0))

    assert usual.days == 28
    assert usual.center == pytest.approx(center)
    assert usual.spreads[name].rows == 200 * span / HOUR
    assert usual.spreads[name].scale == pytest.approx(np.maximum(rms, usual.spreads[name].floor))


def test_the_scale_is_never_below_chance():
    """Counts that repeat to the row leave the scale that so many rows have by chance."""
    same = np.tile(np.append(np.full(CELLS, 10), 0), (20 * 24, 1, 1))
    usual = learn(stream(), history(same))

    for spread, hours in zip(usual.spreads.values(), (1, 6, 24), strict=True):
        assert spread.scale == pytest.approx([1 / math.sqrt(10 * CELLS * hours)] * 3)


def test_small_panes_count_for_less():
    """A pane of a quarter of the usual rows deviates by half as much; a larger one by all."""
    usual = learn(stream(), history(draw("iid", 20 * 24)))
    scores = usual.center + np.array([[0.3, -0.2, 0.1]] * 3)
    found = usual.deviations("hour", scores, np.array([50, 200, 800]))

    assert found[0] == pytest.approx([0.15, -0.1, 0.05])
    assert found[1:] == pytest.approx(np.array([[0.3, -0.2, 0.1]] * 2))


def test_the_excess_is_in_units_of_the_limit():
    """Exactly at the limit the excess is 1."""
    usual = learn(stream(), history(draw("iid", 20 * 24)))
    edge = t_limit(1e-4, 20) * usual.spreads["slot"].scale
    rows = np.array([10_000])
    found = usual.excess("slot", (usual.center + edge)[None, :], rows, 1e-4)

    assert found == pytest.approx(np.ones((1, 3)))


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
