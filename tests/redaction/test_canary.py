"""A secret that is handed over in every way there is, and looked for in every place there is."""

import logging
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
from tests.service import make_store

from mlwatch import CaptureOptions, Monitor, Reference

CANARY = "canary-4c1f5e"
NUMBER = 71828182845904
KEY = "a secret of thirty-two letters ."


def tells(value):
    """Raise an error that tells all about the value."""
    raise ValueError(f"cannot read {value!r}")


def exits(value):
    """Leave the program with a word about the value."""
    raise SystemExit(f"cannot read {value!r}")


REDACT = {
    "dropped": "drop",
    "hashed": "hash",
    "number": "hash",
    "masked": "mask",
    "raising": tells,
    "exiting": exits,
    "nested": "hash",
}


def secrets(plain=1.0):
    """Return features each of which, but the plain one, has the secret in it."""
    values = [CANARY, CANARY, NUMBER, CANARY, CANARY, CANARY, {"in": [CANARY]}]
    return {**dict(zip(REDACT, values, strict=True)), "plain": plain}


class Rude(dict):
    """A mapping that leaves the program when it is looked at, and says why."""

    def items(self):
        raise SystemExit(CANARY)

    __iter__ = keys = values = items


class Failing(Exception):
    """A value whose conversion tells the secret."""

    def __repr__(self):
        raise ValueError(CANARY)

    __str__ = __repr__


ERRORS = [None, f"no {CANARY}!", f"no {NUMBER}!", ValueError(CANARY), Failing()]
UNREADABLE = len(ERRORS)  # the records with too many values


def ways(features):
    """Return the ways in which one row may be handed over."""
    return {
        "dict": features,
        "other mapping": OrderedDict(features),
        "rude mapping": Rude(features),
        "bytes as names": {name.encode(): value for name, value in features.items()},
        "row": pd.Series(features),
        "sequence": tuple(features.values()),
        "array": np.array([*features.values()], dtype=object),
        "beside what cannot be kept": {**features, "odd": Failing(), 7: object()},
        "too many values": (*features.values(), 1),
    }


def harmless(name):
    """Return a function of that name, as the one that the model was trained with."""

    def function(value):
        return value

    function.__name__ = name
    return function


def record(monitor):
    """Record the secret in every way; return how many records there are."""
    for way in ways(secrets()).values():
        for error in ERRORS:
            monitor.record_prediction(way, 0.5, error=error)
    monitor.record_batch(pd.DataFrame([secrets(), secrets()]), [0.1, 0.2])
    monitor.record_batch({name: [value] for name, value in secrets().items()}, [0.1])
    with pytest.raises(ValueError, match=CANARY), monitor.observe(secrets()):
        raise ValueError(CANARY)
    return len(ways(secrets())) * len(ERRORS) + 4


@pytest.mark.parametrize("whole", [False, True], ids=["by name", "one function"])
@pytest.mark.parametrize("kind", ["jsonl", "sqlite"])
def test_a_secret_is_nowhere(tmp_path, caplog, capfd, kind, whole):
    """It reaches no queue, file, log, alert, report, status or text of any object."""
    data = {name: ["x", "y"] * 20 for name in REDACT} | {"plain": [0.0, 1.0] * 20}
    redact = REDACT | {"raising": harmless("tells"), "exiting": harmless("exits")}
    reference = Reference.fit(data, redact=redact, redact_key=KEY)
    given = {"redact": REDACT, "redact_key": KEY}
    if whole:
        reference, given = None, {"redact": tells}
    caplog.set_level(logging.DEBUG)
    monitor = Monitor(
        reference,
        store=make_store(kind, tmp_path),
        capture=CaptureOptions(**given, spool=tmp_path / "spool"),
        rules=[tells],
        collectors=[lambda window: tells(window.frame().to_dict())],
    )
    count = record(monitor)
    assert monitor.flush()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    report = monitor.run_cycle()
    status = monitor.status()
    shown = [repr(report), str(report), repr(status), repr(vars(monitor)), repr(given["redact"])]
    monitor.close()
    files += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    printed = capfd.readouterr()

    assert (status.stored, status.dropped) == (count, {})
    assert status.noted["redaction_failed"] == (count if whole else 3 * (count - UNREADABLE))
    assert sum(map(len, files)) > 10_000
    for text in [*shown, caplog.text, printed.out, printed.err]:
        assert CANARY not in text
        assert str(NUMBER) not in text
        assert KEY not in text
    for content in files:
        assert CANARY.encode() not in content
        assert str(NUMBER).encode() not in content
        assert NUMBER.to_bytes(8, "big") not in content
        assert KEY.encode() not in content
