"""The traffic, the counting and the timing behind `benchmarks/false_alarms.py`."""

from __future__ import annotations

import json
from math import inf

import numpy as np
import pytest

from alarms.answer import Answer, delay, episodes, from_json
from alarms.scenario import Scenario, load
from alarms.table import hours
from alarms.traffic import DAY, HORIZON, MODELS, WEEK, Traffic
from alarms.windows import watch


@pytest.fixture
def scenario():
    """Make ten days of three features, the second of which changes at hour 30."""
    rng = np.random.default_rng(0)
    return Scenario(
        name="small",
        reference=rng.normal(size=(5 * DAY, 20, 3)),
        stream=rng.normal(size=(10 * DAY, 20, 3)),
        feature=1,
        onset=30,
        sizes=(0.5, 9.0),
    )


@pytest.mark.parametrize("model", MODELS)
def test_traffic_follows_from_its_seed(model):
    """An hour is the same whatever was asked for before it, and another seed gives another."""
    first, second = Traffic(model, seed=1), Traffic(model, seed=1)
    second.hour(7)
    assert np.array_equal(first.hours(40, 43)[1], second.hour(41))
    assert not np.array_equal(first.hour(41), Traffic(model, seed=2).hour(41))


@pytest.mark.parametrize("model", ["iid", "sessions"])
def test_a_row_has_variance_one(model):
    """A shift of 1 is a shift of one standard deviation of a row."""
    rows = Traffic(model, seed=3).hours(0, WEEK)
    assert rows.var() == pytest.approx(1, abs=0.02)
    assert rows.mean() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("model", "correlation"), [("iid", 0), ("sessions", 0.5)])
def test_rows_of_a_session_are_alike(model, correlation):
    """Neighbours within a session of ten rows correlate by .5, independent rows do not."""
    rows = Traffic(model, seed=4).hours(0, WEEK)
    within = np.corrcoef(rows[:, 0::10].ravel(), rows[:, 9::10].ravel())[0, 1]
    between = np.corrcoef(rows[:, 9:-1:10].ravel(), rows[:, 10::10].ravel())[0, 1]
    assert within == pytest.approx(correlation, abs=0.02)
    assert between == pytest.approx(0, abs=0.02)


def test_the_hourly_effect_is_an_ar_process():
    """The effect of an hour has sd .1 and keeps .9 of the hour before."""
    effects = Traffic("AR(1)", seed=5).effects
    assert effects.std() == pytest.approx(0.1, rel=0.05)
    kept = np.corrcoef(effects[:-1].ravel(), effects[1:].ravel())[0, 1]
    assert kept == pytest.approx(0.9, abs=0.01)


def test_the_season_repeats_by_the_week():
    """A day swings by .3 either way, the weekend lies .15 higher, and next week is the same."""
    effects = Traffic("season", seed=6).effects
    days = effects[: 2 * WEEK].reshape(14, DAY, -1)
    assert np.ptp(days[0], axis=0) == pytest.approx(0.6, rel=0.02)
    assert days[5:7].mean() - days[:5].mean() == pytest.approx(0.15)
    assert np.allclose(days[:7], days[7:])


def test_a_day_shock_lasts_a_day_and_has_heavy_tails():
    """The hours of a day share one shock, and one feature in a year meets a shock of .3 sd."""
    days = Traffic("day shocks", seed=7).effects.reshape(HORIZON // DAY, DAY, -1)
    assert np.all(days == days[:, :1])
    assert np.median(np.abs(days)) == pytest.approx(0.05 * 0.765, rel=0.1)
    assert np.abs(days).max() > 0.3


@pytest.mark.parametrize(
    ("alarms", "count"),
    [([], 0), ([5], 1), ([5, 29, 53], 1), ([5, 30], 2), ([53, 5, 29], 1), ([1, 2, 90, 91, 300], 3)],
)
def test_alarms_a_day_apart_are_one_episode(alarms, count):
    """A gap of more than 24 hours opens another episode."""
    assert episodes(alarms) == count


def test_the_delay_runs_to_the_first_alarm_that_the_shift_caused():
    """Alarms before the shift, and those that the same check raises without it, do not count."""
    answer = Answer(quiet={48: (2,), 72: (1, 2)}, shifted={0.5: (24, 48, 72, 96), 1.0: (72,)})
    assert delay(answer, 0.5, feature=1, onset=30) == 18
    assert delay(answer, 0.5, feature=2, onset=30) == 66
    assert delay(answer, 1.0, feature=1, onset=30) == inf


def test_the_median_delay_says_what_was_missed():
    """A median is given in hours with the share of misses, and is a miss when most are."""
    assert hours([6, 2, 4]) == "4 h"
    assert hours([2, 4, 6, inf]) == "5 h (25% missed)"
    assert hours([2, inf, inf]) == "missed"


def test_an_answer_survives_json():
    """What a peer writes is what is read."""
    answer = Answer(quiet={48: (2, 3)}, shifted={0.5: (24,), 1.0: ()})
    assert from_json(json.loads(json.dumps(answer.to_json()))) == answer


def test_a_scenario_survives_its_file(scenario, tmp_path):
    """A peer is given the very numbers that were simulated."""
    scenario.save(tmp_path)
    found = load(tmp_path / "small.npz")
    assert np.array_equal(found.stream, scenario.stream)
    assert np.array_equal(found.reference, scenario.reference)
    assert (found.name, found.feature, found.onset, found.sizes) == ("small", 1, 30, (0.5, 9.0))


def test_the_shift_is_one_feature_from_one_hour_on(scenario):
    """The whole shifted stream and its changing column alone are the same rows."""
    whole = np.stack(list(scenario.shifted(9.0)))
    assert np.array_equal(whole[:, :, 1], scenario.shifted_columns()[:, :, 1])
    moved = np.argwhere(whole != scenario.stream)
    assert moved[:, 0].min() == 30
    assert set(moved[:, 2]) == {1}


def test_windows_are_judged_at_their_end(scenario):
    """A check each day finds the large shift on the evening of its day, and nothing without it."""

    def fit(reference, features):
        assert features == 3
        return lambda rows: np.abs(rows.mean(axis=0) - reference.mean(axis=0)) > 1

    answer = watch(scenario, DAY, fit)
    assert answer.quiet == {}
    assert answer.shifted[0.5] == ()
    assert answer.shifted[9.0][:2] == (48, 72)
    assert delay(answer, 9.0, scenario.feature, scenario.onset) == 18
