"""Windows of past traffic, read from a store."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from tests.service import MODEL, START, VERSION, reference, rows

from mlwatch import Monitor, Table
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock


def serve(monitor, count, seed):
    features, score, truth = rows(count, seed)
    for i in range(count):
        row = {name: column[i] for name, column in features.items()}
        key = monitor.record_prediction(
            row, score[i], latency_ms=4.0, error="late" if not i else None
        )
        monitor.record_outcome(key, truth[i])


def test_traffic_goes_on_over_a_change_of_reference():
    """Under a new reference count, errors and latency go on; scores and features begin anew."""
    store, clock = MemoryStore(), ManualClock(START)
    options = {"model": MODEL, "model_version": VERSION, "notifiers": [], "clock": clock}
    before = Monitor(reference(seed=0), store=store, **options)
    serve(before, 300, seed=1)
    before.run_cycle()

    after = Monitor(reference(seed=5), store=store, **options)
    serve(after, 100, seed=2)
    report = after.run_cycle()

    assert report["prediction_count"].value == 400
    assert report["error_rate"].value == 2 / 400
    assert report["latency_ms"].n == 400
    assert report["accuracy"].n == 100
    assert {result.n for result in report.drift if result.detector == "ks"} == {100}
    after.close()


class CountingStore(MemoryStore):
    """Count how often each table is read."""

    def __init__(self):
        super().__init__()
        self.reads = Counter()

    def read(self, table, **asked):
        self.reads[table] += 1
        return super().read(table, **asked)


def test_outcomes_are_read_only_when_asked_for():
    """Whoever takes the predictions of a window does not pay for its outcomes; both are there."""
    store = CountingStore()
    with Monitor(None, store=store, clock=ManualClock(START)) as monitor:
        ids = [monitor.record_prediction({"x": i}, 0.5) for i in range(3)]
        monitor.record_outcomes(ids, [1, 0, 1])
        monitor.flush(ingest=True)
        window = monitor.window(START - timedelta(minutes=1), START + timedelta(minutes=1))
        store.reads.clear()
        predictions, outcomes = window.rows(window.since, window.until)
        assert len(list(predictions)) == 3
        assert store.reads[Table.outcomes] == 0
        assert [outcome.outcome for outcome in outcomes] == [1, 0, 1]
