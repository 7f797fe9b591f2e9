"""The check that a detector of what lies between features keeps its protocol; plain asserts."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlwatch.profile import Profile
from mlwatch.protocols import JointDetector
from mlwatch.records import DriftResult
from mlwatch.reference import Reference
from mlwatch.testing.checks import check_ranges


def check_joint_detector(detector: Any) -> None:
    """Check that a detector of relations keeps its protocol.

    It says that it is joint; names itself; reports both sample sizes; keeps effects and p-values
    in their ranges; finds more where two features were decoupled than where nothing changed;
    gives the same answer twice and whatever way the counts were put together; and takes samples
    of no rows, of one, of one value, and counts of which nobody saw the rows, without a figure
    that means nothing.

    Raises:
        AssertionError: It does not; the message says how.
    """
    assert isinstance(detector, JointDetector), f"{detector!r} has no name, joint or detect()"
    assert detector.joint is True, "joint is not True, so that it would be given distributions"
    past, same, moved = _samples()
    quiet, loud = (_answer(detector, past, current) for current in (same, moved))
    assert quiet.effect is not None, "no effect from samples of 2,000 rows"
    assert loud.effect is not None, "no effect from samples of 2,000 rows"
    assert loud.effect > quiet.effect, "decoupled features have no larger effect than others"
    assert detector.detect(past, moved) == loud, "the same samples twice, two answers"
    merged = Profile.from_tallies(past.grids, {}, 0) + moved
    assert detector.detect(past, merged) == loud, "merged counts give another answer"
    empty, one, many = (_constant(past, rows) for rows in (0, 1, 500))
    for current in (one, many):
        _answer(detector, past, current)
    assert not _answer(detector, many, many).effect, "an effect between samples of one value"
    assert _answer(detector, empty, one).statistic is None, "a statistic without a reference"
    unseen = Profile.from_counts(past, {name: {} for name in past.grids}, rows=500)
    for current in (empty, unseen):
        nothing = _answer(detector, past, current)
        assert nothing.statistic is None, "a statistic of no rows"
        assert nothing.p_value is None, "a p-value of no rows"
        assert nothing.drifted is None, "a verdict on no rows"
        assert nothing.why, "a sample without rows needs a why"


def _answer(detector: JointDetector, reference: Profile, current: Profile) -> DriftResult:
    result = detector.detect(reference, current)
    assert isinstance(result, DriftResult), f"detect() returned {type(result).__name__}"
    assert result.detector == detector.name, "the result names another detector"
    assert result.feature, "the result does not name what it is about"
    assert result.n in {current.rows, current.codes.rows}, f"n is {result.n}, not the window's"
    sizes = {reference.rows, reference.codes.rows}
    assert result.n_reference in sizes, "n_reference is not the reference's"
    check_ranges(result)
    return result


def _samples() -> tuple[Profile, Profile, Profile]:
    """Return a reference, a window like it, and one whose features are decoupled."""
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 6000))
    data = {"x": x, "y": x + noise, "c": rng.choice(["a", "b"], 6000)}
    data["y"][4000:] = rng.permutation(data["y"][4000:])
    thirds = [
        {name: column[start : start + 2000] for name, column in data.items()}
        for start in (0, 2000, 4000)
    ]
    reference = Reference.fit(thirds[0])
    return reference.profile, reference.count(thirds[1]), reference.count(thirds[2])


def _constant(like: Profile, rows: int) -> Profile:
    return Profile.count(like.grids, {"x": [0.5] * rows, "y": [0.5] * rows, "c": ["a"] * rows})
