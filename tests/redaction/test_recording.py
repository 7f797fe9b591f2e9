"""Redaction in the way of a record: before anything is encoded, whatever is handed over how."""

from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from tests.test_recorder import NoItems, Silent, Told

from mlwatch.errors import DataError

KEY = "a secret of thirty-two letters ."
RAW = {"email": "b@x.org", "card": "4111", "age": 33}


def told(redact=None, **options):
    names = tuple(RAW)
    redact = {"email": "drop", "card": "mask"} if redact is None else redact
    return Told(feature_names=names, redact=redact, redact_key=KEY, **options)


@pytest.mark.parametrize(
    "features",
    [
        RAW,
        OrderedDict(RAW),
        NoItems(RAW),
        {name.encode(): value for name, value in RAW.items()},
        {np.str_(name): value for name, value in RAW.items()},
        pd.Series(RAW),
        tuple(RAW.values()),
        np.array([*RAW.values()], dtype=object),
    ],
    ids=["dict", "ordered", "rude", "bytes", "numpy", "row", "tuple", "array"],
)
def test_however_features_come_they_are_redacted(features):
    """A mapping of any kind, other keys, a row, and values in order are one and the same."""
    into = told()
    into.predict(features)

    assert into.features == [{"card": "9999", "age": 33}]
    assert into.recorder.stats.noted == {}


def test_a_failure_is_counted_and_the_record_kept():
    """A field whose redactor fails is left out, and counted for each field."""
    into = told({"email": "hash", "card": lambda card: card["no"]})
    into.predict(RAW | {"email": ["b@x.org"]})
    into.predict(RAW)

    assert [list(features) for features in into.features] == [["age"], ["email", "age"]]
    assert into.recorder.stats.noted == {"redaction_failed": 3}
    assert into.recorder.stats.dropped == {}


def test_strict_raises_without_the_value():
    """In tests a failing redactor is an error, which tells neither the value nor its cause."""
    into = told({"email": lambda email: email["no"]}, strict=True)
    with pytest.raises(DataError, match=r"^redaction_failed: ") as caught:
        into.predict(RAW)

    assert "b@x.org" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_what_cannot_be_kept_costs_nothing_under_redaction():
    """Values and names that need the slow way are replaced by markers, the others redacted."""
    into = told({"email": "drop", "age": lambda age: Silent(), "1": "mask"})
    into.predict({"email": Silent(), "card": Silent(), "age": 3, Silent(): 1, 1: 22, "x\ud800": 4})

    (features,) = into.features
    assert features == {
        "card": "<unencodable Silent>",
        "age": "<unencodable Silent>",
        "<unencodable Silent>": 1,
        "1": "99",
        "x\\ud800": 4,
    }
    assert into.recorder.stats.noted["unencodable_value"] >= 1
    assert "redaction_failed" not in into.recorder.stats.noted


def test_the_host_keeps_what_is_its_own():
    """The mapping that was handed over is not changed, nor is what is beside the features."""
    into = told()
    features = RAW.copy()
    into.predict(features, "4111", probability={"4111": 1}, request_id="b@x.org", segment="4111")

    assert features == RAW
    (event,) = into.events
    assert (event[3], event[6], event[7], event[10]) == ("b@x.org", "4111", {"4111": 1}, "4111")
