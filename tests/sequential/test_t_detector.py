"""The Student-t e-detector: exact by integration, within budget, silent where nothing varies."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from mlwatch.errors import DataError
from mlwatch.sequential import t_detector
from mlwatch.sequential.t_detector import BEYOND, SHIFTS, TState


@pytest.mark.parametrize("freedom", [1, 12, 26, 400, 10**5])
def test_mean_of_each_bet_is_one(freedom):
    """Integrated over the predictive t distribution, each of the ten ratios has mean 1."""
    nodes, weights = np.polynomial.legendre.leggauss(300)
    z = BEYOND * nodes
    inside = BEYOND * weights * stats.t.pdf(z, freedom)
    outside = stats.t.sf([BEYOND, BEYOND], freedom)
    ratios = np.exp(t_detector.log_ratios(np.r_[z, -BEYOND, BEYOND], freedom))

    assert ratios.T @ np.r_[inside, outside] == pytest.approx(np.ones(10), abs=1e-10)


def false_alarms(baseline, spoil=lambda state: state):
    """Alarms of each of 400 scores at alpha = 1/100 over 400 panes."""
    rng = np.random.default_rng(1)
    state = spoil(t_detector.start(rng.normal(3, 2, (baseline, 400))))
    found = np.zeros(400)
    for _ in range(400):
        state, evidence = t_detector.update(state, rng.normal(3, 2, 400))
        alarmed = evidence >= math.log(100)
        found += alarmed
        state = t_detector.reset(state, alarmed)
    return found


@pytest.mark.parametrize("baseline", [2, 14, 28])
def test_alarms_stay_within_the_budget(baseline):
    """With few panes to learn the spread from, alarms are at most alpha T = 4 a score."""
    found = false_alarms(baseline)

    assert found.mean() <= 4 + 3 * found.std() / math.sqrt(400)
    assert found.mean() > 0.2  # and the budget is used, not merely kept


def test_budget_breaks_when_the_baseline_is_taken_as_exact():
    """The same check fails for a detector that takes 14 panes for the true mean and spread."""

    def certain(state):
        n = 10**6
        return replace(state, n=n, squares=state.squares / (state.n - 1) * (n - 1))

    found = false_alarms(14, certain)

    assert found.mean() > 4 + 3 * found.std() / math.sqrt(400)


@pytest.mark.parametrize(
    ("baseline", "shift", "within"),
    [(14, 2, 20), (14, 4, 6), (14, 8, 2), (14, 1e6, 1), (28, 2, 9), (28, 4, 3), (28, 1e6, 1)],
)
def test_shifts_are_found(baseline, shift, within):
    """A shift of some standard deviations of a pane is found within days, however large."""
    rng = np.random.default_rng(2)
    state = t_detector.start(rng.normal(size=(baseline, 101)))
    delay = np.full(101, math.inf)
    for day in range(1, 30):
        state, evidence = t_detector.update(state, rng.normal(shift, 1, 101))
        delay[(evidence >= math.log(40 * 7 / 0.25)) & np.isinf(delay)] = day

    assert np.median(delay) <= within


def plain_leave_one_out(column):
    """The t statistic of each value against the others, by scipy."""
    found = []
    for index, value in enumerate(column):
        others = np.delete(column, index)
        scale = stats.tstd(others) * math.sqrt(1 + 1 / len(others))
        found.append((value - others.mean()) / scale)
    return found


@pytest.mark.parametrize("baseline", [3, 14, 28])
def test_leave_one_out_is_a_plain_loop(baseline):
    """Each baseline pane is judged against the mean and spread of all others."""
    scores = np.random.default_rng(3).normal(0.1, 0.02, (baseline, 5))
    found = t_detector.leave_one_out(scores)

    assert found.shape == scores.shape
    for column, ours in zip(scores.T, found.T, strict=True):
        assert ours == pytest.approx(plain_leave_one_out(column), rel=1e-10)


def plain_ratio(z, shift, freedom):
    """The likelihood ratio of a shift, by scipy."""
    if abs(z) < BEYOND:
        return stats.t.pdf(z - shift, freedom) / stats.t.pdf(z, freedom)
    towards = math.copysign(shift, z * shift)
    return stats.t.sf(BEYOND - towards, freedom) / stats.t.sf(BEYOND, freedom)


def plain_ratios(column):
    """The ratios of the bets on each leave-one-out statistic, one number at a time."""
    statistics, freedom = plain_leave_one_out(column), len(column) - 2
    return np.array([[plain_ratio(z, shift, freedom) for shift in SHIFTS] for z in statistics])


def plain_replay(ratios, threshold):
    """The recursion forward, with resets."""
    alarms, m = [], np.zeros(10)
    for pane in ratios:
        m = (m + 1) * pane
        alarms.append(bool(m.mean() >= threshold))
        m = m * (not alarms[-1])
    return alarms


def test_replay_is_a_plain_loop():
    """The backtest alarms where the recursion over the leave-one-out statistics says."""
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(28, 10))
    scores[20:24, ::2] += 4
    scores[5, 3] = 500.0
    ratios = [plain_ratios(column) for column in scores.T]
    for threshold in (*np.geomspace(1.1, 20, 30), 50):
        found = t_detector.replay(scores, math.log(threshold))

        assert found.dtype == bool
        assert found.T.tolist() == [plain_replay(column, threshold) for column in ratios]

    assert found[:, 3].tolist() == [index == 5 for index in range(28)]
    assert found.sum() > 3


def test_update_is_a_plain_loop():
    """State and evidence are those of all panes so far, computed anew by numpy and scipy."""
    rng = np.random.default_rng(5)
    panes = rng.normal(0.3, 0.1, 30)
    state, m = t_detector.start(panes[:14, None]), np.zeros(10)
    for index in range(14, 30):
        past = panes[:index]
        z = (panes[index] - past.mean()) / (past.std(ddof=1) * math.sqrt(1 + 1 / index))
        m = (m + 1) * [plain_ratio(z, shift, index - 1) for shift in SHIFTS]
        state, evidence = t_detector.update(state, panes[[index]])

        assert evidence == pytest.approx([math.log(m.mean())], abs=1e-9)
        assert state.n == index + 1
        assert state.mean == pytest.approx([panes[: index + 1].mean()])
        assert state.squares == pytest.approx([panes[: index + 1].var() * (index + 1)])


def run(scores, baseline=14):
    """The evidence after each pane beyond the baseline."""
    state, found = t_detector.start(scores[:baseline]), []
    for pane in scores[baseline:]:
        state, evidence = t_detector.update(state, pane)
        found.append(evidence)
    return np.array(found)


@pytest.mark.parametrize(("scale", "origin"), [(1000, 0), (1, 5), (0.01, -3), (-2, 1)])
def test_unit_and_origin_do_not_matter(scale, origin):
    """Scores in another unit give the same evidence."""
    scores = np.random.default_rng(6).normal(size=(60, 4))
    scores[40:] += 1

    assert run(scores * scale + origin) == pytest.approx(run(scores), abs=1e-8)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e-12, -math.pi / 2])
@pytest.mark.parametrize("baseline", [2, 14, 28])
def test_scores_that_never_varied(value, baseline):
    """A score that stays what it always was gives no evidence, rounding included."""
    noise = np.random.default_rng(7).choice([-1, 0, 1], 400) * 2.0**-53 * abs(value)
    found = run((value + noise)[:, None], baseline)

    assert (found < math.log(10)).all()
    assert not np.isnan(found).any()
    assert not t_detector.replay((value + noise)[:28, None], math.log(100)).any()


@pytest.mark.parametrize("jump", [1e-6, 0.2, -1.5])
def test_a_jump_of_what_never_varied(jump):
    """A missing share that was 0 for 28 days and no longer is, is plenty of evidence at once."""
    scores = np.zeros((29, 1))
    scores[28] = jump

    assert run(scores, 28)[0] > math.log(10**5)
    assert t_detector.replay(scores, math.log(10**5))[:, 0].nonzero()[0].tolist() == [28]


def test_floor_is_in_units_of_the_score():
    """A caller who calls changes below a hundredth rounding gets no evidence from them."""
    scores = np.r_[np.zeros(28), 0.004][:, None]
    state = t_detector.start(scores[:28])

    assert t_detector.update(state, scores[28], floor=0.01)[1] < 0
    assert t_detector.update(state, scores[28])[1] > 10
    assert abs(t_detector.leave_one_out(scores, floor=0.01)[28, 0]) < 1
    assert not t_detector.replay(scores, 2.0, floor=0.01).any()


def test_reset_touches_only_what_alarmed():
    """After an alarm of one score its evidence starts anew, and the others go on."""
    rng = np.random.default_rng(8)
    state, _ = t_detector.update(t_detector.start(rng.normal(size=(14, 3))), rng.normal(size=3))
    anew = t_detector.reset(state, np.array([False, True, False]))

    assert np.isneginf(anew.log_m[1]).all()
    assert np.array_equal(anew.log_m[[0, 2]], state.log_m[[0, 2]])
    assert np.isfinite(state.log_m).all()
    assert (anew.n, anew.mean.tolist()) == (15, state.mean.tolist())


@pytest.mark.parametrize("m", [0, 1, 4])
def test_state_survives_json(m):
    """A state read back from JSON goes on to the same evidence, bit for bit."""
    rng = np.random.default_rng(9)
    state = t_detector.start(rng.normal(size=(14, m)))
    for _ in range(5):
        state = t_detector.reset(state, rng.random(m) < 0.3)
        read = TState.from_plain(json.loads(json.dumps(state.to_plain(), allow_nan=False)))
        assert read.n == state.n
        for field in ("mean", "squares", "log_m"):
            assert np.array_equal(getattr(read, field), getattr(state, field))
            assert getattr(read, field).shape == getattr(state, field).shape
        pane = rng.normal(size=m)
        state, evidence = t_detector.update(state, pane)
        assert np.array_equal(t_detector.update(read, pane)[1], evidence)


def test_what_cannot_be_a_score_is_refused():
    """Too few panes, and scores that are not finite, are errors that say what to do."""
    state = t_detector.start([[0.0, 1.0], [1.0, 2.0]])

    with pytest.raises(DataError, match="two"):
        t_detector.start([[0.0]])
    with pytest.raises(DataError, match="leave out"):
        t_detector.update(state, [0.0, math.nan])
    with pytest.raises(DataError, match="two"):
        t_detector.leave_one_out([[0.0], [1.0]])
