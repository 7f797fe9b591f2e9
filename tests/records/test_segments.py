"""Declared segments: what cannot be counted apart is refused when it is declared."""

from __future__ import annotations

import numpy as np
import pytest

from mlwatch import CaptureOptions, ConfigurationError, DriftPolicy, Monitor, Reference, Segment
from mlwatch.stores import MemoryStore

NAN = float("nan")
CAPTURE = CaptureOptions(redact={"email": "drop"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("contract", r"segments='contract': must be a tuple, such as"),
        (Segment("x"), "must be a tuple, such as"),
        (None, "segments=None: must be a tuple"),
        ((3,), "3 is neither a feature's name nor a Segment"),
        ((Segment,), "is neither a feature's name nor a Segment"),
        (("a", Segment("a", bins=(1,))), "'a' is declared twice"),
        ((Segment(), "segment"), "'segment' is declared twice.*Segment.. is called so too"),
        ((Segment("a", bins=range(49)), "b"), "50 bins and values, and 1 segments"),
        ([*"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"], "at most 50 parts"),
    ],
)
def test_a_policy_refuses_what_cannot_be_segments(given, message):
    """The error names what is wrong and how it is written."""
    with pytest.raises(ConfigurationError, match=message):
        DriftPolicy(segments=given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature": ""}, "Segment.''.: give the name of a feature"),
        ({"feature": 3}, "Segment.3.: give the name of a feature"),
        ({"bins": (1, 2)}, r"Segment\(\): bins= are of a feature; here is no feature"),
        ({"feature": "t", "bins": (1,), "values": ("a",)}, "here is values="),
        ({"feature": "t", "bins": 12}, "bins=12.: must be a tuple, such as"),
        ({"feature": "t", "bins": "12"}, "must be a tuple, such as"),
        ({"feature": "t", "bins": ()}, "is empty; leave it out"),
        ({"feature": "t", "bins": (24, 12)}, "finite numbers in ascending order"),
        ({"feature": "t", "bins": (12, 12)}, "ascending order, each once"),
        ({"feature": "t", "bins": (12, NAN)}, "finite numbers"),
        ({"feature": "t", "bins": (12, "24")}, "finite numbers"),
        ({"feature": "t", "bins": (False, True)}, "finite numbers"),
        ({"feature": "t", "values": "a"}, "must be a tuple, such as"),
        ({"feature": "t", "values": ("a", "a")}, "'a' comes twice"),
        ({"feature": "t", "values": (1, True)}, "1 comes twice"),
        ({"feature": "t", "values": (None,)}, "neither a text nor a number"),
        ({"feature": "t", "values": (NAN,)}, "neither a text nor a number"),
    ],
)
def test_a_segment_refuses_arguments_that_cannot_be_right(arguments, message):
    """Bins are ascending finite numbers of a feature, values texts and numbers, each once."""
    with pytest.raises(ConfigurationError, match=message):
        Segment(**arguments)


def test_numpy_and_texts_are_taken():
    """Bins may be an array and values numpy scalars; a text is short for a segment of it."""
    policy = DriftPolicy(segments=["a", Segment("b", bins=np.array([1, 2])), Segment()])
    values = Segment("c", values=[np.int64(3), "x"]).values

    assert policy.segments == (Segment("a"), Segment("b", bins=(1, 2)), Segment())
    assert [type(it) for it in (*policy.segments[1].bins, *values)] == [int, int, int, str]
    assert DriftPolicy(segments=("a",)) == DriftPolicy(segments=(Segment("a"),))
    assert hash(policy)


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(0)
    data = {
        "contract": rng.choice(["month", "year"], 1000),
        "tenure": rng.integers(0, 72, 1000),
        "rooms": rng.integers(1, 6, 1000),
        "since": np.datetime64("2024-01-01") + rng.integers(0, 300, 1000),
        "email": rng.choice(["a@x.org", "b@x.org"], 1000),
    }
    return Reference.fit(data, redact={"email": "drop"})


@pytest.mark.parametrize(
    ("segment", "message"),
    [
        ("contrat", "Segment.'contrat'.: the reference has no such feature; there is contract$"),
        ("email", "Segment.'email'.: is dropped by redact="),
        ("tenure", r"a number of more than 50 values .*such as Segment.'tenure', bins=.18, 3., 5"),
        ("since", "is a time in the reference"),
        (Segment("contract", bins=(1, 2)), "bins=.1, 2..: is no number in the reference"),
    ],
)
def test_a_monitor_refuses_segments_that_its_reference_cannot_have(reference, segment, message):
    """What the reference knows of a feature is held against a segment, with the remedy."""
    with pytest.raises(ConfigurationError, match=message):
        Monitor(
            reference,
            store=MemoryStore(),
            drift=DriftPolicy(segments=(segment,)),
            capture=CAPTURE,
        )


def test_a_monitor_takes_segments_that_its_reference_has(reference):
    """Texts, numbers in bins, and numbers of few values are taken; without a reference all are."""
    fits = DriftPolicy(segments=("contract", Segment("tenure", bins=(12,)), "rooms", Segment()))
    anything = DriftPolicy(segments=("anything",))
    for known, drift in ((reference, fits), ({"": reference}, fits), (None, anything)):
        options = {} if known is None else {"capture": CAPTURE}
        with Monitor(known, store=MemoryStore(), drift=drift, **options) as monitor:
            monitor.record_prediction({"contract": "monthly", "tenure": 3, "anything": "x"}, 0.5)
            shares = {it.labels["segment"] for it in monitor.run_cycle().find("segment_share")}
        assert ("anything=x" if known is None else "tenure<12") in shares
