"""Requests of the service: taken in like predictions, kept as counts, shown by endpoint."""

from __future__ import annotations

import math
from datetime import timedelta
from http import HTTPStatus

import numpy as np
import pytest
from tests.service import MODEL, START, append, ingester, reference, total
from tests.traffic import predicted, requested, window

from mlwatch import DataError, Monitor, endpoints
from mlwatch.collectors import TrafficCollector
from mlwatch.records import CaptureOptions, Table
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock


def monitor(clock=None, **options):
    capture = CaptureOptions(spool="memory", **options)
    clock = clock or ManualClock(START)
    return Monitor(reference(), store=MemoryStore(), model=MODEL, capture=capture, clock=clock)


def by_endpoint(view, name):
    found = TrafficCollector(quantiles=(0.5,)).collect(view)
    return {metric.labels["endpoint"]: metric for metric in found if metric.name == name}


def test_requests_are_shown_by_endpoint():
    """Count, share of 5xx and latency of each endpoint, whatever parts they came in."""
    story = [requested(i, "/predict", 503 if i % 4 == 0 else 200, 20.0) for i in range(40)]
    story += [requested(i, "/outcome/{request_id}", 404, 2.0) for i in range(10)]
    for parts in (1, 3):
        view = window(story, parts=parts)
        count = by_endpoint(view, "request_count")
        failed = by_endpoint(view, "request_error_rate")
        took = by_endpoint(view, "request_latency_ms")

        assert list(count) == ["/predict", "/outcome/{request_id}"]
        assert [metric.value for metric in count.values()] == [40, 10]
        assert [metric.value for metric in failed.values()] == [0.25, 0]
        assert all(metric.low <= metric.value < metric.high for metric in failed.values())
        mean = by_endpoint(view, "request_latency_mean_ms")
        assert (mean["/predict"].value, mean["/predict"].n) == (20, 40)
        assert mean["/outcome/{request_id}"].why == "not enough data: 10 of 30"
        assert [metric.value for metric in took.values()] == pytest.approx([20, 2], rel=0.01)


def test_requests_are_no_predictions():
    """Requests change neither the count of predictions nor their errors and latency."""
    rows = [predicted(i, 0.5, latency_ms=5.0) for i in range(10)]
    mixed = [*rows, *(requested(i, status=500, latency_ms=900.0) for i in range(30))]
    alone = [*TrafficCollector().collect(window(rows))]

    assert [*TrafficCollector().collect(window(mixed))][: len(alone)] == alone


def test_request_latency_without_a_time_is_left_out():
    """Requests whose latency is not known have a count and no latency."""
    view = window([requested(i, latency_ms=None) for i in range(5)])

    assert by_endpoint(view, "request_count")["/predict"].value == 5
    assert by_endpoint(view, "request_latency_ms") == {}


def test_paths_with_ids_do_not_become_endpoints():
    """Of a thousand paths the first 50 are told apart; the rest is one endpoint, uncut in sum."""
    view = window([requested(i, f"/users/{i}") for i in range(1000)])
    count = by_endpoint(view, "request_count")

    assert len(count) == endpoints.MOST + 1
    assert count[endpoints.OTHER].value == 1000 - endpoints.MOST
    assert by_endpoint(view, "request_latency_ms")[endpoints.OTHER].n == 1000 - endpoints.MOST


def test_one_ingester_tells_the_same_endpoints_apart_for_ever(tmp_path):
    """However many stretches a minute is ingested in, it has at most 50 endpoints and "other"."""
    service, store = monitor(), MemoryStore()
    worker = ingester(tmp_path, store, spool=service._parts.spool)
    for i in range(200):
        service.record_request(f"/users/{i}", 200, 1.0)
        service._recorder.flush()
        worker.run()

    assert sum(total(store, "requests").values()) == 200
    assert len(total(store, "requests")) == endpoints.MOST + 1


def test_many_ingesters_together_show_few_endpoints():
    """What several processes told apart is shown as the 50 busiest endpoints and "other"."""
    counted = {"requests": {f"/{i} 2xx": 1 + (i < 5) for i in range(200)}}
    found = endpoints.read(counted)

    assert len(found) == endpoints.MOST + 1
    assert {endpoint.name for endpoint in found} >= {"/0", "/1", "/2", "/3", "/4", endpoints.OTHER}
    assert sum(endpoint.requests for endpoint in found) == 205


def test_each_request_is_accounted_for():
    """A request that was handed over is stored or counted as dropped, like any record."""
    service = monitor(max_record_bytes=150)
    for i in range(100):
        service.record_request("/predict", 200, float(i))
        service.record_prediction({"x": 0.1, "c": "a"}, 0.7)
    service.record_request("/" + "x" * 150, 200)
    assert service.flush()
    status = service.status()

    assert status.recorded == status.stored + sum(status.dropped.values()) == 201
    assert status.dropped == {"too_large": 1}
    assert total(service._store, "requests") == {"/predict 2xx": 100}
    assert len(list(service._store.read(Table.predictions))) == 100


def test_damage_costs_requests_like_any_record(tmp_path):
    """A frame of requests that is damaged is counted by the record, and what is left is stored."""
    store = MemoryStore()
    worker = ingester(tmp_path, store)
    event = ["r", MODEL, "2.1", START, "/predict", 200, 5.3]
    append(worker.spool, *[event] * 10)
    (path,) = tmp_path.glob("*.seg")
    end = path.stat().st_size
    append(worker.spool, *[event] * 7)
    with path.open("r+b") as file:
        file.seek(end - 5)
        file.write(b"\0\0\0")
    worker.run()
    (progress,) = store.read(Table.progress)

    assert (progress.recorded, progress.stored, progress.dropped) == (17, 7, {"damaged": 10})
    assert total(store, "requests") == {"/predict 2xx": 7}


class Hostile:
    """Raises whatever it is asked."""

    def __repr__(self):
        raise SystemExit

    __str__ = __index__ = __float__ = __repr__


@pytest.mark.parametrize(
    ("endpoint", "status", "took", "cell", "noted"),
    [
        ("/a", HTTPStatus.NOT_FOUND, 1.0, "/a 4xx", {}),
        ("/a", np.int64(204), 1, "/a 2xx", {}),
        ("/a", "200", 1.0, "/a other", {"bad_status": 1}),
        ("/a", 2**70, 1.0, "/a other", {"bad_status": 1}),
        ("/a", None, -1.0, "/a other", {"bad_status": 1, "bad_latency": 1}),
        ("/a", 200, math.nan, "/a 2xx", {"bad_latency": 1}),
        ("/a b", 500, 1.0, "/a b 5xx", {}),
        ("$nan", 200, 1.0, "$nan 2xx", {}),
        (b"/a", 200, 1.0, "b'/a' 2xx", {}),
        ("x" * 1000, 200, 1.0, "x" * 200 + " 2xx", {}),
        ("/\ud800", 200, 1.0, None, None),
        (Hostile(), Hostile(), Hostile(), "<Hostile> other", {"bad_status": 1, "bad_latency": 1}),
    ],
)
def test_whatever_is_handed_over_is_a_request(endpoint, status, took, cell, noted):
    """No argument raises or loses a request; what cannot be right is noted by name."""
    service = monitor()
    service.record_request(endpoint, status, took)
    assert service.flush()
    status = service.status()

    assert (status.recorded, status.stored) == (1, 1)
    if cell is not None:
        assert total(service._store, "requests") == {cell: 1}
        assert status.noted == noted


def test_strict_capture_raises():
    """For tests a request that cannot be right is an error that names the remedy."""
    with pytest.raises(DataError, match="bad_status: status is the number of an HTTP status"):
        monitor(strict=True).record_request("/a", "ok")


def test_a_request_counts_at_its_own_time_and_across_references():
    """A request counts in the minute it came, and goes on under a new reference."""
    clock = ManualClock(START)
    service = monitor(clock)
    service.record_request("/a", 200, timestamp=START - timedelta(minutes=5))
    service.run_cycle()
    (pane,) = service._store.read(Table.panes)
    assert pane.time == START - timedelta(minutes=5)
    retrained = Monitor(reference(seed=1), store=service._store, model=MODEL, clock=clock)

    assert retrained.run_cycle()["request_count"].value == 1


def test_old_requests_are_rolled_up():
    """Days later the counts of requests are those of the day, endpoint by endpoint."""
    clock = ManualClock(START)
    service = monitor(clock)
    for _ in range(90):
        clock.advance(timedelta(minutes=1))
        service.record_request("/a", 200, 5.0)
    service.run_cycle()
    clock.advance(timedelta(days=4))
    service.run_cycle()
    view = service.window(START - timedelta(days=1), START + timedelta(days=1))

    assert {pane.span for pane in view.panes_} == {timedelta(days=1)}
    assert by_endpoint(view, "request_count")["/a"].value == 90
    assert by_endpoint(view, "request_latency_ms")["/a"].n == 90


def test_requests_yield_before_predictions_do():
    """When memory is half full requests are dropped and counted, and predictions still come in."""
    service = monitor(max_bytes=40_000, flush_interval=timedelta(hours=1))
    for _ in range(900):
        service.record_request("/predict", 200, 1.0)
    for _ in range(3):
        service.record_prediction({"x": 0.1, "c": "a"}, 0.7)
    assert service.flush()
    status = service.status()

    assert status.recorded == 903 == status.stored + sum(status.dropped.values())
    assert 0 < status.dropped["thinned"] < 900
    assert len(list(service._store.read(Table.predictions))) == 3


def test_switched_off_requests_touch_nothing(monkeypatch):
    """With `MLWATCH_DISABLED=1` a request is taken and forgotten."""
    monkeypatch.setenv("MLWATCH_DISABLED", "1")
    service = monitor()
    service.record_request("/predict", 200, 1.0)

    assert service.status().recorded == 0
