"""A reference and its monitor redact alike, or the monitor is not made."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from tests.service import make_store

from mlwatch import CaptureOptions, ConfigurationError, DataError, Monitor, Reference
from mlwatch.redaction import Redactor
from mlwatch.stores import MemoryStore

KEY = "a secret of thirty-two letters ."
OTHER = b"another secret of enough letters"
REDACT = {"email": "drop", "customer": "hash", "card": "mask", "note": len}
HOUR = timedelta(hours=1)
ROWS = 400
RNG = np.random.default_rng(0)
DATA = {
    "age": RNG.normal(40, 10, ROWS),
    "email": [f"{n}@mail.org" for n in range(ROWS)],
    "customer": RNG.integers(1000, 1008, ROWS),
    "card": [f"4111 {n:04}" for n in range(ROWS)],
    "note": RNG.choice(["good", "bad"], ROWS),
}


def fit(**options):
    return Reference.fit(DATA, **({"redact": REDACT, "redact_key": KEY} | options))


def watch(reference, store=None, **options):
    capture = CaptureOptions(spool="memory", **({"redact": REDACT, "redact_key": KEY} | options))
    return Monitor(reference, store=MemoryStore() if store is None else store, capture=capture)


@pytest.fixture(scope="module")
def reference():
    return fit()


def test_a_reference_is_of_redacted_values(reference):
    """Dropped columns are gone, and the kind of the others is that of what they became."""
    kinds = {name: reference.distribution(name).kind for name in reference.features}
    names = reference.distribution("customer").grid.categories

    assert kinds == {
        "age": "numeric", "customer": "categorical", "card": "categorical", "note": "numeric"
    }  # fmt: skip
    assert reference.columns == tuple(DATA)
    assert all(len(name) == 32 for name in names)
    assert reference.distribution("card").grid.categories == ("9999 9999",)


def test_its_file_holds_neither_the_key_nor_a_raw_value(reference, tmp_path):
    """The file says what was done, and by which key only so that another is noticed."""
    path = tmp_path / "reference.json"
    reference.save(path)
    text = path.read_text()
    loaded = Reference.load(path, features=DATA)

    assert loaded.redacted == reference.redacted
    assert loaded.fingerprint == reference.fingerprint
    assert json.loads(text)["redacted"]["actions"] == REDACT | {"note": "function len"}
    assert not any(raw in text for raw in (KEY, "mail.org", "4111", '"1001"', "good"))
    watch(loaded).close()


@pytest.mark.parametrize(
    ("fitted", "watched", "message"),
    [
        ({}, {"redact": None}, r"'card' \(kept raw here, mask in the reference\), 'customer'"),
        ({"redact": None}, {}, r"'email' \(drop here, kept raw in the reference\).*Reference\.fit"),
        ({}, {"redact": REDACT | {"card": "drop"}}, r"'card' \(drop here, mask in"),
        ({}, {"redact": REDACT | {"note": abs}}, "'note' .function abs here, function len in"),
        ({}, {"redact": REDACT | {"age": "mask"}}, r"'age' \(mask here, kept raw in"),
        ({}, {"redact": REDACT | {"emial": "drop"}}, "no feature 'emial', did you mean 'email'"),
        ({}, {"redact_key": OTHER}, "redact_key=.*another key.*hashes of 'customer'"),
        ({}, {"redact": dict}, r"'card' .*all features \(function dict here, kept raw in"),
        ({"redact": dict}, {"redact": None}, r"all features \(kept raw here, function dict in"),
    ],
)
def test_another_redaction_is_refused(fitted, watched, message):
    """A feature raw on one side, another action, function or key: an error at construction."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        watch({"": fit(), "2": fit(**fitted)} if not fitted else fit(**fitted), **watched)
    assert KEY not in str(caught.value)
    assert OTHER.decode() not in str(caught.value)


def test_every_reference_has_to_agree(reference):
    """Of several references one that differs is enough."""
    with pytest.raises(ConfigurationError, match="'email'"):
        watch({"": reference, "2": fit(redact=None)})


def test_without_a_reference_any_name_will_do():
    """There is nothing that a name could be compared with."""
    monitor = watch(None)
    monitor.record_prediction({"email": "canary", "age": 1}, 0.5)

    assert monitor.flush(ingest=True)
    assert monitor.status().stored == 1
    assert monitor.close()


@pytest.mark.parametrize(
    ("redact", "error", "message"),
    [
        ({"emial": "drop"}, ConfigurationError, "no column 'emial', did you mean 'email'"),
        ({"phone": "drop"}, ConfigurationError, "'phone'; .*add a column of None"),
        ({"note": lambda note: note["x"]}, DataError, "column 'note' failed in 400 rows"),
        (lambda row: row["x"], DataError, "the function of all features failed in 400 rows"),
        ({"age": "hsah"}, ConfigurationError, "did you mean 'hash'"),
        (dict.fromkeys(DATA, "drop"), DataError, "without rows or columns"),
        (lambda row: {"prediction": 1}, DataError, 'a column "prediction"'),
    ],
)
def test_a_fit_that_would_let_values_through_is_refused(redact, error, message):
    """A name that the data lacks, and a function that fails, are said at the fit."""
    with pytest.raises(error, match=message):
        fit(redact=redact)


@pytest.mark.parametrize("kind", ["memory", "jsonl", "sqlite"])
def test_the_same_rows_are_no_drift(tmp_path, kind, reference):
    """Rows of the training data fall into the cells of the reference, none of them unseen."""
    with watch(reference, make_store(kind, tmp_path)) as monitor:
        for at, row in enumerate(zip(*DATA.values(), strict=True)):
            # One row a way: a mapping, and values in the order of the data.
            monitor.record_prediction(dict(zip(DATA, row, strict=True)) if at % 2 else row, 0.5)
        assert monitor.flush(ingest=True)
        window = monitor.window(datetime.now(UTC) - HOUR, datetime.now(UTC))
        frame = window.frame()
        again = Reference.from_window(window)

    assert not [name for name in frame if "email" in name]
    assert set(frame["feature/card"]) == {"9999 9999"}
    assert window.profile == reference.profile
    assert again.redacted == reference.redacted
    assert again.distribution("customer") == reference.distribution("customer")


def test_past_rows_are_not_redacted_again(reference):
    """A reference of past rows has their values as they are, and says how they were redacted."""
    with watch(None) as monitor:
        for row in zip(*DATA.values(), strict=True):
            monitor.record_prediction(dict(zip(DATA, row, strict=True)), 0.5)
        assert monitor.flush(ingest=True)
        window = monitor.window(datetime.now(UTC) - HOUR, datetime.now(UTC))
        again = Reference.from_window(window, redact=REDACT, redact_key=KEY)

    assert again.distribution("customer") == reference.distribution("customer")
    watch(again).close()


def test_counts_made_elsewhere_are_of_redacted_columns(reference):
    """`count` has no key: redacted columns give the reference's own counts."""
    columns, _ = Redactor(REDACT, KEY).columns(DATA)

    assert reference.count(columns) == reference.profile
