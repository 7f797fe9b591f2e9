"""Every detector keeps the contract, and the check of it fails on detectors that do not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from mlwatch.detectors import (
    ChiSquareDetector,
    CorrelationDetector,
    CramerVonMisesDetector,
    GTestDetector,
    HellingerDetector,
    JSDetector,
    KLDetector,
    KSDetector,
    MannWhitneyDetector,
    MeanShiftDetector,
    MissingDetector,
    NoveltyDetector,
    PerFeature,
    PerKind,
    PSIDetector,
    TotalVariationDetector,
    WassersteinDetector,
    any_of,
)
from mlwatch.protocols import DriftDetector, JointDetector
from mlwatch.testing import ScriptedDetector, check_detector, check_joint_detector


@pytest.mark.parametrize(
    "detector",
    [
        KSDetector(),
        KSDetector(name="mine"),
        KSDetector(alternative="less"),
        CramerVonMisesDetector(),
        MannWhitneyDetector(),
        ChiSquareDetector(),
        ChiSquareDetector(pool=20),
        GTestDetector(),
        KLDetector(),
        KLDetector(cells=5),
        JSDetector(),
        PSIDetector(),
        HellingerDetector(),
        TotalVariationDetector(),
        WassersteinDetector(),
        MeanShiftDetector(),
        MeanShiftDetector(of="std"),
        MissingDetector(),
        NoveltyDetector(),
        PerKind(numeric=KSDetector(), categorical=GTestDetector()),
        PerFeature({"x": PSIDetector()}, default=ChiSquareDetector()),
        any_of(KSDetector(), PSIDetector(), MissingDetector()),
    ],
    ids=repr,
)
def test_our_detectors_keep_the_contract(detector):
    """Each detector of the library passes the check that anyone can run on their own."""
    assert isinstance(detector, DriftDetector)
    check_detector(detector)


@pytest.mark.parametrize(
    "detector", [CorrelationDetector(), CorrelationDetector(name="mine")], ids=repr
)
def test_our_joint_detectors_keep_the_contract(detector):
    """Each detector of relations passes the check that anyone can run on their own."""
    assert isinstance(detector, JointDetector)
    assert not isinstance(KSDetector(), JointDetector)
    check_joint_detector(detector)


class Wrong(KLDetector):
    """A detector that is right, but for what a subclass changes of its answers."""

    __slots__ = ()

    def detect(self, reference, current):
        found = super().detect(reference, current)
        return found if found is None else self.spoil(found, reference, current)

    def spoil(self, found, reference, current):
        return found


class Nameless:
    def detect(self, reference, current):
        return None


class AnswersNothing(Wrong):
    __slots__ = ()

    def detect(self, reference, current):
        return None


class AnswersOnlySometimes(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if (found.effect or 0) < 0.2 else None


class AnswersATuple(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found.statistic, found.p_value


class NamesAnotherFeature(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, feature="other")


class NamesAnotherDetector(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, detector="other")


class MiscountsTheWindow(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, n=current.total + 1)


class MiscountsTheReference(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, n_reference=0)


class ForgetsMissing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, missing=0)


class ForgetsUnseen(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, unseen=0)


class ForgetsInfinite(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, infinite=0)


class ForgetsWrongKinds(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, wrong_kind=0)


class EffectIsNoShare(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, effect=found.effect and found.effect * 10)


class BoundAboveTheEffect(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, effect_low=found.effect and found.effect + 0.01)


class PValueIsNoProbability(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, p_value=found.p_value and -0.1)


class StatisticIsNaN(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return replace(found, statistic=found.statistic and math.nan)


class SeesNoChange(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if found.effect is None else replace(found, effect=0.0, effect_low=0.0)


class SeesChangeEverywhere(Wrong):
    """It looks at the amount of traffic, and finds a change where there is none."""

    __slots__ = ()

    def spoil(self, found, reference, current):
        if found.effect is None:
            return found
        return replace(found, effect=(found.effect + 0.5) / 2, effect_low=0.0)


class Remembers(Wrong):
    """It answers by what it was asked before."""

    __slots__ = ()
    asked = []  # noqa: RUF012  remembering is what is wrong with it

    def spoil(self, found, reference, current):
        self.asked.append(current)
        return replace(found, why=f"question {len(self.asked)}")


class SeesHowCountsWereMade(Wrong):
    """It looks at the object, not at the counts."""

    __slots__ = ()
    first = {}  # noqa: RUF012  remembering is what is wrong with it

    def spoil(self, found, reference, current):
        known = self.first.setdefault(repr(current.to_tally()), current)
        return found if known is current else replace(found, why="merged")


class StatisticOfNothing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if current.n else replace(found, statistic=0.0)


class PValueOfNothing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if current.n else replace(found, p_value=1.0)


class VerdictOnNothing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if current.n else replace(found, drifted=False)


class SilentOnNothing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if current.n else replace(found, why="")


class RefusesNothing(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if current.n else None


class RefusesOneRow(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return None if current.n == 1 else found


class NaNOfOneValue(Wrong):
    """It divides by a spread of zero."""

    __slots__ = ()

    def spoil(self, found, reference, current):
        is_constant = current.n and (current.counts > 0).sum() == 1
        return replace(found, effect=math.nan) if is_constant else found


class StatisticWithoutReference(Wrong):
    __slots__ = ()

    def spoil(self, found, reference, current):
        return found if reference.n else replace(found, statistic=1.0)


WRONG = {
    Nameless: "has no name",
    AnswersNothing: "answers for no kind of feature",
    AnswersOnlySometimes: "not for another",
    AnswersATuple: "returned tuple",
    NamesAnotherFeature: "names another feature",
    NamesAnotherDetector: "names another detector",
    MiscountsTheWindow: "the window holds",
    MiscountsTheReference: "n_reference",
    ForgetsMissing: "missing values are not counted",
    ForgetsUnseen: "unseen values are not counted",
    ForgetsInfinite: "infinite values are not counted",
    ForgetsWrongKinds: "values of a wrong kind are not counted",
    EffectIsNoShare: "not a share",
    BoundAboveTheEffect: "effect_low is not below",
    PValueIsNoProbability: "p_value is -0.1",
    StatisticIsNaN: "statistic is nan",
    SeesNoChange: "no larger effect",
    SeesChangeEverywhere: "one and the same value",
    Remembers: "two answers",
    SeesHowCountsWereMade: "merged counts",
    StatisticOfNothing: "statistic of an empty window",
    PValueOfNothing: "p-value of an empty window",
    VerdictOnNothing: "verdict on an empty window",
    SilentOnNothing: "needs a why",
    RefusesNothing: "empty window must be answered",
    RefusesOneRow: "one row",
    NaNOfOneValue: "effect is nan",
    StatisticWithoutReference: "without a reference",
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_the_check_fails_on_wrong_detectors(wrong):
    """A detector that breaks one promise fails the check, and the message says which."""
    with pytest.raises(AssertionError, match=WRONG[wrong]):
        check_detector(wrong())


class WrongJoint:
    """A joint detector that is right, but for what is changed of its answers."""

    joint = True
    name = "correlation"

    def __init__(self, spoil):
        self.spoil = spoil
        self.asked = []

    def detect(self, reference, current):
        self.asked.append(current)
        found = CorrelationDetector().detect(reference, current)
        return self.spoil(found, current, len(self.asked))


WRONG_JOINT = {
    "returned NoneType": lambda found, current, asked: None,
    "names another detector": lambda found, current, asked: replace(found, detector="other"),
    "does not name what": lambda found, current, asked: replace(found, feature=""),
    "not the window's": lambda found, current, asked: replace(found, n=current.rows + 1),
    "not the reference's": lambda found, current, asked: replace(found, n_reference=7),
    "not a share": lambda found, current, asked: replace(
        found, effect=found.effect and found.effect * 40, effect_low=None
    ),
    "no larger effect": lambda found, current, asked: replace(
        found, effect=found.effect and 0.1, effect_low=None
    ),
    "two answers": lambda found, current, asked: replace(found, why=f"question {asked}"),
    "merged counts": lambda found, current, asked: replace(found, why="late" * (asked > 3)),
    "an effect between": lambda found, current, asked: (
        found if found.statistic is not None else replace(found, effect=0.5)
    ),
    "without a reference": lambda found, current, asked: (
        replace(found, statistic=0.0) if current.rows == 1 else found
    ),
    "a statistic of no rows": lambda found, current, asked: (
        found if current.codes.rows else replace(found, statistic=0.0)
    ),
    "a p-value of no rows": lambda found, current, asked: (
        found if current.codes.rows else replace(found, p_value=1.0)
    ),
    "a verdict on no rows": lambda found, current, asked: (
        found if current.codes.rows else replace(found, drifted=False)
    ),
    "needs a why": lambda found, current, asked: (
        found if current.codes.rows else replace(found, why="")
    ),
}


@pytest.mark.parametrize("message", WRONG_JOINT)
def test_the_check_fails_on_wrong_joint_detectors(message):
    """A detector of relations that breaks one promise fails the check, and it says which."""
    with pytest.raises(AssertionError, match=message):
        check_joint_detector(WrongJoint(WRONG_JOINT[message]))


def test_the_check_asks_for_a_joint_detector():
    """A detector of distributions, or one that says it is not joint, is refused."""
    with pytest.raises(AssertionError, match="joint"):
        check_joint_detector(KSDetector())
    wrong = WrongJoint(lambda found, current, asked: found)
    wrong.joint = False
    with pytest.raises(AssertionError, match="joint is not True"):
        check_joint_detector(wrong)


def test_a_scripted_detector_is_a_detector():
    """The fake is a full detector of the protocol, though it does not look at the counts."""
    assert isinstance(ScriptedDetector(), DriftDetector)
