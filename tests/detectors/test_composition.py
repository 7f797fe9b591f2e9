"""Detectors made of detectors: who is asked, what comes back, and what is refused."""

from __future__ import annotations

import pickle
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from mlwatch import ConfigurationError, Monitor, Reference
from mlwatch.collectors import DriftCollector
from mlwatch.detectors import (
    ChiSquareDetector,
    CorrelationDetector,
    KSDetector,
    MissingDetector,
    PerFeature,
    PerKind,
    PSIDetector,
    any_of,
    evidence,
)
from mlwatch.stores import MemoryStore
from mlwatch.testing import ScriptedDetector, check_detector

RNG = np.random.default_rng(0)
REFERENCE = Reference.fit({"age": RNG.normal(size=3000), "plan": RNG.choice(list("abc"), 3000)})
WINDOW = REFERENCE.count({"age": RNG.normal(1, 1, 900), "plan": RNG.choice(list("ab"), 900)})


def pair(name):
    return REFERENCE.distribution(name), WINDOW.distribution(name)


def largest_cell(reference, current):
    """How much the share of the reference's largest cell changed."""
    top = int(reference.counts.argmax())
    shares = [side.counts[top] / side.n if side.n else 0.0 for side in (reference, current)]
    change = abs(float(shares[1] - shares[0]))
    found = {"statistic": change, "effect": change} if current.n and reference.n else {}
    return evidence("largest_cell", reference, current, **found)


def scripted(name, effect_low, p_value=None, drifted=None):
    """A function that answers with the figures given."""

    def answer(reference, current):
        effect = None if effect_low is None else min(1.0, effect_low + 0.1)
        return evidence(
            name,
            reference,
            current,
            statistic=effect,
            effect=effect,
            effect_low=effect_low,
            p_value=p_value,
            drifted=drifted,
            why=f"{name} says so",
        )

    return answer


def test_per_kind_asks_the_detector_of_the_kind():
    """The result is that of the chosen detector, unchanged; None where there is none."""
    both = PerKind(numeric=KSDetector(), categorical=ChiSquareDetector())

    assert both.detect(*pair("age")) == KSDetector().detect(*pair("age"))
    assert both.detect(*pair("plan")) == ChiSquareDetector().detect(*pair("plan"))
    assert both.names == {"ks", "chi_square"}
    assert PerKind(numeric=KSDetector()).detect(*pair("plan")) is None
    assert PerKind(categorical=largest_cell).detect(*pair("plan")).detector == "largest_cell"


def test_per_feature_asks_the_detector_of_the_feature():
    """The named feature has its own detector, others the default, or none at all."""
    chosen = PerFeature({"age": PSIDetector()}, default=MissingDetector())

    assert chosen.detect(*pair("age")).detector == "psi"
    assert chosen.detect(*pair("plan")).detector == "missing"
    assert chosen.names == {"psi", "missing"}
    assert PerFeature({"age": PSIDetector()}).detect(*pair("plan")) is None


def test_what_is_given_later_changes_nothing():
    """A composite keeps what it was made of, whatever becomes of the mapping; it pickles."""
    given = {"age": KSDetector()}
    chosen = PerFeature(given)
    given["plan"] = ChiSquareDetector()

    assert chosen.detect(*pair("plan")) is None
    for part in (chosen, PerKind(numeric=KSDetector()), any_of(KSDetector(), PSIDetector())):
        copy = pickle.loads(pickle.dumps(part))
        assert copy.detect(*pair("age")) == part.detect(*pair("age"))


def test_any_of_gives_the_loudest_under_one_name():
    """The evidence is that of the largest bound; name and p-value do not depend on who wins."""
    loud, quiet = scripted("loud", 0.3, p_value=0.2), scripted("quiet", 0.1, p_value=0.01)
    for order in ((loud, quiet), (quiet, loud)):
        result = any_of(*order, name="either").detect(*pair("age"))
        assert (result.detector, result.effect_low, result.p_value) == ("either", 0.3, 0.02)
        assert result.why == "loud: loud says so"
        assert result.drifted is None
    assert any_of(KSDetector(), PSIDetector()).name == "ks or psi"


def test_any_of_leaves_out_who_has_no_answer():
    """Members that are not for the kind do not count; where none is, there is no result."""
    mixed = any_of(KSDetector(), ChiSquareDetector())
    numbers, names = mixed.detect(*pair("age")), mixed.detect(*pair("plan"))

    assert numbers.p_value == KSDetector().detect(*pair("age")).p_value
    assert names.effect == ChiSquareDetector().detect(*pair("plan")).effect
    assert numbers.detector == names.detector == "ks or chi_square"
    assert any_of(KSDetector(), KSDetector(name="b")).detect(*pair("plan")) is None


def test_many_p_values_are_corrected():
    """Of p-values at the level by chance the corrected smallest is no more often below it."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(500):
        members = [scripted(f"d{i}", 0.0, p_value=p) for i, p in enumerate(rng.random(5))]
        found.append(any_of(*members).detect(*pair("age")).p_value)

    assert np.mean(np.array(found) <= 0.05) <= 0.05 + 3 * 0.01
    assert max(found) <= 1.0


@pytest.mark.parametrize(
    ("verdicts", "expected", "winner"),
    [
        ([(0.1, True), (0.5, None)], True, "d0"),
        ([(0.1, False), (0.5, None)], None, "d1"),
        ([(0.5, False), (0.1, None)], None, "d1"),
        ([(0.1, False), (0.2, False)], False, "d1"),
        ([(0.1, False), (None, None)], False, "d0"),
        ([(0.1, True), (0.2, False)], True, "d0"),
        ([(None, None), (None, None)], None, "d0"),
    ],
)
def test_verdicts_of_members_are_respected(verdicts, expected, winner):
    """One True decides; False stands when nobody else leaves evidence for the policy to judge."""
    members = [scripted(f"d{i}", low, drifted=v) for i, (low, v) in enumerate(verdicts)]
    result = any_of(*members).detect(*pair("age"))

    assert result.drifted is expected
    assert result.why.startswith(winner)


def test_composites_of_composites_keep_the_contract():
    """Composites of composites and of functions pass the check that every detector passes."""
    inner = PerKind(numeric=any_of(KSDetector(), PSIDetector()), categorical=ChiSquareDetector())
    outer = PerFeature({"c": largest_cell}, default=inner)

    assert outer.names == {"largest_cell", "ks or psi", "chi_square"}
    for part in (inner, outer, any_of(outer, MissingDetector()), any_of(largest_cell)):
        check_detector(part)


def test_the_check_fails_on_a_composite_that_names_others():
    """A composite whose results go by a name it does not tell fails the check."""

    class Secretive(PerKind):
        names = frozenset({"psi"})

    with pytest.raises(AssertionError, match="names another detector"):
        check_detector(Secretive(numeric=KSDetector()))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (PerKind, "numeric="),
        (lambda: PerKind(numeric=KSDetector), "KSDetector is a class"),
        (lambda: PerKind(numeric="ks"), "is no detector"),
        (lambda: PerKind(text=KSDetector()), "no such kind; give numeric= or categorical="),
        (lambda: PerFeature({}), "default="),
        (lambda: PerFeature(KSDetector()), "mapping of feature to detector"),
        (lambda: PerFeature({"age": PSIDetector}), "'age': PSIDetector is a class"),
        (lambda: PerFeature({"age": "psi"}), "is no detector"),
        (lambda: PerFeature({1: PSIDetector()}), "named by texts"),
        (lambda: PerFeature({"age": PSIDetector()}, default="ks"), "is no detector"),
        (any_of, "give detectors"),
        (lambda: any_of(KSDetector), "KSDetector is a class"),
        (lambda: any_of("ks"), "is no detector"),
        (lambda: any_of([KSDetector()]), "is no detector"),
        (lambda: any_of(CorrelationDetector()), "compares all features together"),
        (lambda: PerKind(numeric=CorrelationDetector()), "compares all features together"),
    ],
)
def test_wrong_arguments(make, says):
    """A class, a text, nothing at all or an unknown kind is refused with what to give instead."""
    with pytest.raises(ConfigurationError, match=says):
        make()


def test_what_a_function_returns_is_checked():
    """A function in a composite that returns no result is named."""
    with pytest.raises(TypeError, match="<lambda> returned a float"):
        any_of(lambda reference, current: 0.5).detect(*pair("age"))


def test_results_of_two_detectors_do_not_replace_each_other():
    """A monitor refuses two detectors whose results would go by one name."""
    composite = PerKind(numeric=KSDetector())
    with pytest.raises(ConfigurationError, match="may both be called 'ks'"):
        Monitor(store=MemoryStore(), model="m", detectors=[KSDetector(), composite])
    Monitor(store=MemoryStore(), model="m", detectors=[KSDetector("two-sided", "a"), composite])


MISSPELT = PerFeature({"plann": ChiSquareDetector()}, default=KSDetector())
AGE = {"1": REFERENCE, "2": Reference.fit({"years": RNG.normal(size=100)})}


@pytest.mark.parametrize(
    "detector",
    [
        MISSPELT,
        any_of(MissingDetector(), MISSPELT, name="per_feature"),
        PerKind(categorical=MISSPELT, name="per_feature"),
        PerFeature({"age": MISSPELT}),
        PerFeature({"age": KSDetector()}, default=MISSPELT),
    ],
)
@pytest.mark.parametrize("in_collector", [False, True])
@pytest.mark.parametrize("reference", [REFERENCE, AGE], ids=["one", "by version"])
def test_a_misspelt_feature_is_refused(detector, in_collector, reference):
    """A feature no reference has, however deep it is named, is refused with its near matches."""
    given = {"collectors": [DriftCollector([detector])]} if in_collector else {}
    says = "detectors: 'per_feature' names a feature 'plann', .* there is plan$"
    with pytest.raises(ConfigurationError, match=says):
        Monitor(
            reference,
            store=MemoryStore(),
            model_version="1",
            **given or {"detectors": [detector]},
        )


def test_a_feature_like_no_other_is_refused_with_all_names():
    """Where nothing is near, the message names what there is."""
    with pytest.raises(ConfigurationError, match=r"'income', .* there is age, plan$"):
        Monitor(REFERENCE, store=MemoryStore(), detectors=[PerFeature({"income": KSDetector()})])


@pytest.mark.parametrize(("features", "refused"), [({"agee"}, True), (["agee"], False)])
def test_features_of_ones_own_detector(features, refused):
    """A detector of one's own is held to the set of features that it says it names."""
    own = ScriptedDetector({})
    own.features = features
    expected = pytest.raises(ConfigurationError, match="'agee'") if refused else nullcontext()
    with expected:
        Monitor(REFERENCE, store=MemoryStore(), detectors=[own])


@pytest.mark.parametrize(
    ("reference", "name"), [(REFERENCE, "prediction"), (AGE, "years"), (None, "anything")]
)
def test_a_feature_that_may_come_is_accepted(reference, name):
    """The predictions, a feature of another version, and any where there is no reference."""
    detector = PerFeature({name: KSDetector()})
    with Monitor(reference, store=MemoryStore(), model_version="1", detectors=[detector]) as own:
        assert own.run_cycle().faults == ()


def test_a_scripted_detector_has_a_part_in_composites():
    """The fake can stand in any place of a composite."""
    scripted_true = ScriptedDetector({"age": True})
    result = any_of(KSDetector(), scripted_true).detect(*pair("age"))

    assert result.drifted is True
    assert result == replace(
        scripted_true.detect(*pair("age")),
        detector="ks or scripted",
        p_value=KSDetector().detect(*pair("age")).p_value,
        why="scripted: scripted",
    )
