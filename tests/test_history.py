"""Windows of past traffic, read from a store."""

from __future__ import annotations

from tests.service import MODEL, START, VERSION, reference, rows

from mlwatch import Monitor
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
