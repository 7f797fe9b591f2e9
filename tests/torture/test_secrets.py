"""A secret in what is recorded: mlwatch says it nowhere, unless in the store and the spool."""

import logging
from datetime import timedelta

import pytest

from mlwatch import Monitor
from mlwatch.records import CaptureOptions
from mlwatch.stores import MemoryStore
from mlwatch.testing import RecordingNotifier

CANARY = "canary-4111111111111111"


class Telling:
    """An object that raises its secret when it is asked for anything."""

    def _raise(self, *_):
        raise RuntimeError(CANARY)

    __repr__ = __str__ = __len__ = __iter__ = __float__ = __bool__ = _raise


def everywhere():
    """Return calls with the secret in every argument, in forms that are kept and that are not."""
    forms = [CANARY, {CANARY: CANARY}, [CANARY], CANARY.encode(), Telling(), {"a": Telling()}]
    forms += [
        {"a": CANARY * 10_000},
        {CANARY: Telling()},
        {"\ud800" + CANARY},
    ]
    names = ("probability", "request_id", "model_version", "latency_ms", "error", "segment")
    for form in forms:
        yield {"features": form, "prediction": form}
        for name in (*names, "timestamp", "outcome"):
            yield {"features": {"a": 1}, "prediction": 0.5, name: form}


def test_a_secret_is_in_no_log_alert_or_status(capfd, caplog):
    """With the secret in every argument no line of any log, no alert and no status tells of it."""
    caplog.set_level(logging.DEBUG)
    notifier = RecordingNotifier()
    monitor = Monitor(
        store=MemoryStore(),
        model="m",
        notifiers=[notifier],
        capture=CaptureOptions(spool="memory", flush_interval=timedelta(hours=1)),
    )
    for call in everywhere():
        monitor.record_prediction(**call)
    monitor.record_outcome(CANARY, Telling())
    monitor.record_outcome(Telling(), CANARY)
    monitor.record_outcomes(Telling(), [CANARY])
    monitor.record_batch(Telling(), [CANARY])
    with pytest.raises(ValueError, match=CANARY), monitor.observe({"a": CANARY}):
        raise ValueError(CANARY)
    assert caplog.records == []  # recording itself logs nothing at all
    monitor.flush(ingest=True)
    report = monitor.run_cycle()
    told = [*caplog.messages, *map(repr, notifier.alerts), *map(repr, report.faults)]
    told += [repr(monitor.status()), *capfd.readouterr()]

    assert caplog.records  # so that there was something to look through
    assert [text for text in told if CANARY in text] == []
    monitor.close()
