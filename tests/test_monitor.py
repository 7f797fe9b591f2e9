"""The whole path, from `record_*` to the report, on each of our stores."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import logging
import os
import sys
import threading
import time
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import walk_stack

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score
from tests.service import (
    DAY,
    MINUTE,
    MODEL,
    START,
    STORES,
    VERSION,
    Interrupted,
    finish,
    make_store,
    reference,
    rows,
    start,
    total,
)

from mlwatch import (
    AlertPolicy,
    CaptureOptions,
    ConfigurationError,
    DataError,
    DriftPolicy,
    GridMismatchError,
    Metric,
    Monitor,
    Profile,
    Reference,
    Retention,
    StoreError,
    Table,
    Threshold,
)
from mlwatch.background import Background
from mlwatch.collectors.concept.classes import OUTCOMES, RELATION
from mlwatch.detectors import KSDetector
from mlwatch.notifiers import LogNotifier
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)
NAIVE = datetime(2024, 1, 2)  # noqa: DTZ001  what hosts hand over


@pytest.fixture(params=STORES)
def store(request, tmp_path):
    return make_store(request.param, tmp_path)


@pytest.fixture
def clock():
    return ManualClock(START)


@pytest.fixture
def make(clock):
    """Make a monitor of the small service; all are closed at the end."""
    made = []

    def monitor(store=None, given=..., **options):
        chosen = {"model": MODEL, "model_version": VERSION, "notifiers": [], "clock": clock}
        given = reference() if given is ... else given
        made.append(Monitor(given, store=store or MemoryStore(), **chosen | options))
        return made[-1]

    yield monitor
    for monitor in made:
        monitor.close()


def serve(monitor, count=400, *, shift=0.0, labelled=1.0, **options):
    """Serve `count` requests; return the scores, the truths and the request ids."""
    data, scores, truths = rows(count, seed=3, shift=shift)
    ids = [
        monitor.record_prediction(
            {name: column[place] for name, column in data.items()},
            float(scores[place]),
            latency_ms=5.0,
            **options,
        )
        for place in range(count)
    ]
    for place in range(int(count * labelled)):
        monitor.record_outcome(ids[place], int(truths[place]))
    return scores, truths, ids


def background_threads():
    """Return the stacks of the threads in which monitors work."""
    code = Background._run.__code__
    stacks = [[f.f_code for f, _ in walk_stack(top)] for top in sys._current_frames().values()]
    return [stack for stack in stacks if code in stack]


def drifted_features(report):
    """Return which inputs have drifted by any detector; none may have gone unjudged."""
    inputs = [result for result in report.drift if result.feature not in {OUTCOMES, RELATION}]
    assert not [result for result in inputs if result.drifted is None]
    return {result.feature for result in inputs if result.drifted}


def open_descriptors():
    """Return how many descriptors this process has open, where the system tells."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def balance(status):
    """Return what is missing in the account of a status, which is nothing."""
    return status.recorded - status.stored - sum(status.dropped.values())


# The whole path


def test_the_whole_path(store, make):
    """Recorded traffic comes back as figures that scikit-learn agrees with, and as drift."""
    monitor = make(store)
    scores, truths, _ = serve(monitor, 600, shift=1.5, labelled=0.5)
    report = monitor.run_cycle()
    assert report["prediction_count"].value == 600
    assert report["label_coverage"].value == 0.5
    labels = scores[:300] >= 0.5
    assert report["accuracy"].value == pytest.approx(accuracy_score(truths[:300], labels))
    auc = roc_auc_score(truths[:300], scores[:300])
    assert report["roc_auc"].low <= auc <= report["roc_auc"].high
    assert report["prediction_mean"].value == pytest.approx(scores.mean(), abs=1e-9)
    assert report["error_rate"].value == 0
    assert drifted_features(report) == {"prediction", "x"}
    names = {result.feature for result in report.drift}
    assert names == {"prediction", "x", "c", OUTCOMES, RELATION}
    assert {alert.metric for alert in report.alerts} == {
        "drift",
        "prediction_drift",
        "outcome_drift",
    }
    assert report.faults == ()
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (900, 900, {})
    assert status.last_cycle == START
    assert status.last_error == ""


def test_every_result_is_in_the_store(store, make):
    """Metrics, drift results and alerts of a cycle can be read from the store as reported."""
    monitor = make(store)
    serve(monitor, shift=1.5)
    report = monitor.run_cycle()
    kept = {row.key: row for row in store.read(Table.metrics)}
    assert kept == {metric.key: metric for metric in report.metrics}
    assert {row.key: row for row in store.read(Table.drift)} == {r.key: r for r in report.drift}
    assert {row.key: row for row in store.read(Table.alerts)} == {a.key: a for a in report.alerts}


FORMS = {
    "mapping": lambda x, c: {"x": x, "c": c},
    "list": lambda x, c: [x, c],
    "tuple": lambda x, c: (x, c),
    "pandas row": lambda x, c: pd.Series({"x": x, "c": c}),
    "row of a frame": lambda x, c: pd.DataFrame({"x": [x], "c": [c]}).iloc[0],
    "numpy row": lambda x, c: np.array([x, c], dtype=object),
    "numpy values": lambda x, c: {"x": np.float64(x), "c": np.str_(c)},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_features_come_in_any_form(make, form):
    """A mapping, a sequence, a pandas row and a numpy row of one content are counted alike."""
    expected, given = MemoryStore(), MemoryStore()
    data, scores, _ = rows(30)
    for into, shape in ((expected, FORMS["mapping"]), (given, form)):
        monitor = make(into)
        for x, c, score in zip(data["x"].tolist(), data["c"].tolist(), scores, strict=True):
            monitor.record_prediction(shape(x, c), score)
        monitor.flush(ingest=True)
        assert monitor.status().noted == {}
    tallies = [[pane.tallies for pane in into.read(Table.panes)] for into in (expected, given)]
    assert tallies[0] == tallies[1]


def test_a_numeric_numpy_row_is_a_row(make):
    """A row of a float matrix is taken in the order of the reference's features."""
    matrix = np.arange(20.0).reshape(10, 2)
    monitor = make(given=Reference.fit({"a": matrix[:, 0], "b": matrix[:, 1]}))
    for row in matrix:
        monitor.record_prediction(row, 0.5)
    monitor.run_cycle()
    frame = monitor.window(START, START + MINUTE).frame()
    assert sorted(frame["feature/a"]) == matrix[:, 0].tolist()
    assert sorted(frame["feature/b"]) == matrix[:, 1].tolist()


# Wherever it runs


def test_it_works_in_threads(store, make):
    """Eight threads may record at once: no id comes twice and everything is stored."""
    monitor = make(store)
    ids = []

    def work():
        ids.extend(serve(monitor, 50)[2])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = monitor.run_cycle()
    assert len(set(ids)) == 400
    assert report["prediction_count"].value == 400
    assert report["labelled_count"].value == 400
    assert monitor.status().stored == 800


def test_it_works_in_asyncio(make):
    """Coroutines may record and observe, each its own request."""
    monitor = make()

    async def handle(number):
        async with monitor.observe({"x": float(number), "c": "a"}) as seen:
            await asyncio.sleep(0)
            seen.prediction = number / 50
        monitor.record_outcome(seen.request_id, number % 2)
        return seen.request_id

    async def main():
        return await asyncio.gather(*map(handle, range(50)))

    ids = asyncio.run(main())
    report = monitor.run_cycle()
    assert len(set(ids)) == 50
    assert (report["prediction_count"].value, report["labelled_count"].value) == (50, 50)
    assert next(iter(report.find("latency_ms"))).n == 50


def test_it_works_in_the_background(store):
    """After `start()` records reach the store and cycles run without another call."""
    told = RecordingNotifier()
    monitor = Monitor(
        reference(), store=store, model=MODEL, every=timedelta(seconds=0.1), notifiers=[told]
    )
    with monitor:
        monitor.start()
        monitor.start()
        assert monitor.status().running
        serve(monitor, shift=2.0)
        deadline = time.monotonic() + 60
        while not (told.alerts and monitor.status().last_cycle) and time.monotonic() < deadline:
            time.sleep(0.02)
        status = monitor.status()
    assert {alert.state for alert in told.alerts} == {"firing"}
    assert (status.stored, balance(status), status.last_error) == (800, 0, "")
    assert status.last_cycle is not None
    assert background_threads() == []


def test_the_background_survives_what_nobody_expected(make, caplog):
    """An error of any kind in the background is noted and logged, and the work goes on."""

    class Broken(MemoryStore):
        broken = True

        def claim(self, key, now, ttl):
            if self.broken:
                raise TypeError("an error that no store should raise")
            return super().claim(key, now, ttl)

    store = Broken()
    monitor = make(store)
    serve(monitor, 10)
    with caplog.at_level(logging.WARNING, logger="mlwatch"):
        monitor.start()
        deadline = time.monotonic() + 60
        while not monitor.status().last_error and time.monotonic() < deadline:
            time.sleep(0.02)
        store.broken = False
        while monitor.status().last_error and time.monotonic() < deadline:
            time.sleep(0.02)
    status = monitor.status()
    assert (status.stored, status.last_error, status.running) == (20, "", True)
    assert len([record for record in caplog.records if "TypeError" in record.message]) == 1


def test_a_cycle_that_failed_is_made_up_for_at_once(make, clock):
    """The worker that has claimed a cycle and could not finish it runs it on its next turn."""

    class Flaky(MemoryStore):
        broken = True

        def write(self, batch):
            if self.broken:
                raise StoreError("down for a moment")
            super().write(batch)

    store = Flaky()
    monitor = make(store, every=HOUR)
    with pytest.raises(StoreError, match="down for a moment"):
        monitor._cycle_turn()
    store.broken = False
    clock.advance(timedelta(seconds=5))
    monitor._cycle_turn()
    assert monitor.status().last_cycle == clock()
    clock.advance(timedelta(seconds=5))
    monitor._cycle_turn()
    assert monitor.status().last_cycle == clock() - timedelta(seconds=5)


def test_a_closed_monitor_does_not_start(make):
    """start() after close() is refused, and no thread is left that could only fail."""
    monitor = make()
    monitor.close()
    with pytest.raises(ConfigurationError, match="make a new Monitor"):
        monitor.start()
    assert background_threads() == []


def test_a_monitor_that_is_let_go_ends_its_thread():
    """A monitor that was started and forgotten is collected, and its thread ends."""
    monitor = Monitor(store=MemoryStore(), notifiers=[])
    monitor.start()
    known = weakref.ref(monitor)
    del monitor
    deadline = time.monotonic() + 60
    while background_threads() and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert known() is None
    assert background_threads() == []


# Observing


def test_observe_measures_latency(make):
    """What a block does is recorded as one prediction with the time it took."""
    monitor = make()
    with monitor.observe({"x": 1.0, "c": "a"}, request_id="mine", segment="web") as seen:
        seen.prediction, seen.outcome = 0.9, 1
    monitor.run_cycle()
    row = monitor.window(START, START + MINUTE).frame().loc["mine"]
    assert (row["prediction"], row["outcome"], row["segment"]) == (0.9, 1, "web")
    assert row["latency_ms"] >= 0
    assert row["error"] is None


def test_observe_keeps_the_features_as_they_came(make):
    """What a block does to its features, and to the mapping, changes nothing that is recorded."""
    monitor = make()
    features = {"x": 1.0, "c": "a"}
    with monitor.observe(features, request_id="mine") as seen:
        features.pop("x")
        seen.prediction = 0.5
    monitor.run_cycle()
    row = monitor.window(START, START + MINUTE).frame().loc["mine"]
    assert (row["feature/x"], row["feature/c"]) == (1.0, "a")


class Unhappy(Exception):
    """What a model may raise."""


def test_an_exception_passes_through_observe_unchanged(make):
    """The very exception of the block comes out, and is recorded as this prediction's error."""
    monitor = make()
    raised = [Unhappy("sync"), Unhappy("async"), KeyboardInterrupt()]

    async def handle():
        async with monitor.observe({"x": 1.0, "c": "a"}):
            raise raised[1]

    with pytest.raises(Unhappy) as first, monitor.observe({"x": 1.0, "c": "a"}):
        raise raised[0]
    with pytest.raises(Unhappy) as second:
        asyncio.run(handle())
    with pytest.raises(KeyboardInterrupt) as third, monitor.observe({"x": 1.0, "c": "a"}):
        raise raised[2]
    assert [first.value, second.value, third.value] == raised
    report = monitor.run_cycle()
    assert report["error_rate"].value == 1
    errors = monitor.window(START, START + MINUTE).frame()["error"]
    assert sorted(errors) == ["KeyboardInterrupt", "Unhappy", "Unhappy"]
    assert monitor.status().noted == {}


class Model:
    """A service's model, as people write them."""

    def __init__(self, monitor):
        self.monitor = monitor
        self.score = monitor.watch(self._score)

    def _score(self, row, *, scale=1.0):
        return row["x"] * scale


def test_a_predict_function_is_watched(make):
    """Whatever its shape, a function goes on as before and each call is one prediction."""
    monitor = make()

    @monitor.watch
    def plain(row):
        """Predict."""
        return row["x"]

    @monitor.watch(features="row", prediction=lambda result: result["score"], segment="web")
    async def by_name(client, row):
        await asyncio.sleep(0)
        return {"score": row["x"], "client": client}

    @monitor.watch(features=lambda x, c: {"x": x, "c": c})
    def loose(x, c):
        return x

    assert (plain.__name__, plain.__doc__) == ("plain", "Predict.")
    assert plain({"x": 0.1, "c": "a"}) == plain(row={"x": 0.1, "c": "a"}) == 0.1
    answer = asyncio.run(by_name("me", row={"x": 0.2, "c": "b"}))
    assert answer == {"score": 0.2, "client": "me"}
    assert loose(0.3, "c") == 0.3
    assert Model(monitor).score({"x": 0.2, "c": "a"}, scale=2) == 0.4
    monitor.run_cycle()
    frame = monitor.window(START, START + MINUTE).frame().sort_values("prediction")
    assert frame["prediction"].tolist() == [0.1, 0.1, 0.2, 0.3, 0.4]
    assert frame["feature/c"].tolist() == ["a", "a", "b", "c", "a"]
    assert frame["segment"].dropna().tolist() == ["web"]
    assert frame["latency_ms"].min() >= 0
    assert monitor.status().noted == {}


def test_a_watched_function_may_have_any_parameters(make):
    """Defaults, keywords that are the features, partials, class methods and callable objects."""
    monitor = make()

    @monitor.watch
    def by_default(row={"x": 0.1, "c": "a"}):  # noqa: B006
        return row["x"]

    @monitor.watch
    def by_keyword(**features):
        return features["x"]

    class Scorer:
        async def __call__(self, row):
            return row["x"]

    assert by_default() == 0.1
    assert by_keyword(x=0.2, c="a") == 0.2
    assert (
        monitor.watch(functools.partial(lambda scale, row: row["x"] * scale, 1.0))(
            {"x": 0.3, "c": "b"}
        )
        == 0.3
    )
    assert asyncio.run(monitor.watch(Scorer())({"x": 0.4, "c": "b"})) == 0.4
    monitor.run_cycle()
    frame = monitor.window(START, START + MINUTE).frame().sort_values("prediction")
    assert frame["prediction"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert frame["feature/x"].tolist() == [0.1, 0.2, 0.3, 0.4]
    assert monitor.status().noted == {}


def test_what_cannot_be_watched_is_refused(make):
    """A generator has not predicted when it returns, and some builtins have no parameters."""

    def items(row):
        yield row["x"]

    async def later(row):
        yield row["x"]

    for function in (items, later):
        with pytest.raises(ConfigurationError, match="generator"):
            make().watch(function)
    with pytest.raises(ConfigurationError, match="features="):
        make().watch(max)


def test_a_watched_function_may_fail(make):
    """Its exception passes through unchanged; what cannot be read of a call is no failure."""
    monitor = make()
    wrong = Unhappy("the model's own")

    @monitor.watch(prediction=lambda result: 1 / 0)
    def predict(row):
        if row is None:
            raise wrong
        return "served"

    with pytest.raises(Unhappy) as caught:
        predict(None)
    with pytest.raises(TypeError, match="missing 1 required"):
        predict()
    assert predict({"x": 1.0, "c": "a"}) == "served"
    assert caught.value is wrong
    assert monitor.run_cycle()["prediction_count"].value == 3
    frame = monitor.window(START, START + MINUTE).frame()
    assert sorted(frame["error"].dropna()) == ["TypeError", "Unhappy"]
    with pytest.raises(ConfigurationError, match=r"'rows'.*predict has the parameters row"):
        monitor.watch(features="rows")(predict)


def test_async_forms_let_the_loop_go_on(make):
    """While a store takes its time, aflush and aclose wait and other coroutines run."""
    gate = threading.Event()

    class Slow(MemoryStore):
        def write(self, batch):
            assert gate.wait(60)
            super().write(batch)

    async def serve_on():
        monitor = make(Slow())
        monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5)
        waiting = asyncio.create_task(monitor.aflush(ingest=True))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not waiting.done()
        gate.set()
        assert await waiting
        stored = monitor.status().stored
        assert await monitor.aclose()
        return stored

    assert asyncio.run(serve_on()) == 1


# Batches


@pytest.mark.parametrize("as_frame", [True, False], ids=["DataFrame", "mapping"])
def test_a_batch_is_recorded_as_its_rows(make, as_frame):
    """A batch of columns is counted as the same rows recorded one by one."""
    data, scores, truths = rows(120)
    one, whole = make(), make()
    ids = [str(place) for place in range(120)]
    for place in range(120):
        features = {name: column[place] for name, column in data.items()}
        one.record_prediction(features, scores[place], request_id=ids[place], outcome=truths[place])
    frame = pd.DataFrame(data, index=range(7, 127)) if as_frame else data
    served = pd.Series(scores) if as_frame else scores.tolist()
    assert whole.record_batch(frame, served, request_ids=ids) == ids
    whole.record_outcomes(np.array(ids), pd.Series(truths))
    reports = [monitor.run_cycle() for monitor in (one, whole)]
    of_rows, of_columns = (
        [metric for metric in report.metrics if metric.model_version == VERSION]
        for report in reports
    )
    assert of_rows == of_columns
    assert reports[0].drift == reports[1].drift
    assert whole.status().noted == {}


def test_a_batch_gets_ids_and_takes_probabilities(make):
    """Without ids each row gets one of its own; labels may come with their probabilities."""
    monitor = make()
    data, scores, truths = rows(60)
    labels = scores >= 0.5
    ids = monitor.record_batch(data, labels.astype(int), probabilities=scores, timestamp=START)
    monitor.record_outcomes(ids, truths)
    report = monitor.run_cycle()
    assert len(set(ids)) == 60
    assert report["accuracy"].value == pytest.approx(accuracy_score(truths, labels))
    assert report["roc_auc"].value is not None


BAD_BATCHES = [
    (None, [1]),
    (5, [1]),
    ("text", "text"),
    ([{"x": 1}], [0.5]),
    ({"x": [1]}, None),
    ({"x": [1]}, 5),
    ({"x": [1]}, "a"),
    ({"x": [1]}, {"a": 1}),
    ({"x": 5}, [1]),
    ({"x": "a"}, [1]),
    (np.zeros((2, 3)), [1, 2]),
    (np.zeros(2), [1, 2]),
    (pd.DataFrame([[1, 2], [3, 4]], columns=["x", "x"]), [1, 2]),
    ({"x": [1]}, (1 / 0 for _ in range(3))),
]


def test_a_garbled_batch_is_counted_and_raises_nothing(make):
    """What is no batch is counted as one bad batch, whatever it is; strict raises."""
    monitor = make()
    for frame, served in BAD_BATCHES:
        assert monitor.record_batch(frame, served) == []
        monitor.record_outcomes(served, None)
    monitor.record_batch({"x": [1.0]}, [0.5], request_ids=7)
    assert monitor.flush(ingest=True)
    status = monitor.status()
    assert status.dropped.keys() == {"bad_batch"}
    assert status.dropped["bad_batch"] >= 2 * len(BAD_BATCHES) + 1
    assert balance(status) == 0
    strict = make(capture=CaptureOptions(strict=True))
    with pytest.raises(DataError, match="DataFrame"):
        strict.record_batch(None, [1])
    with pytest.raises(DataError, match="one value a row"):
        strict.record_outcomes("abc", [1])


def test_a_garbled_batch_is_counted_by_its_rows(make):
    """What is lost with a batch that cannot be read is each of its rows."""
    monitor = make()
    monitor.record_batch(pd.DataFrame({"x": range(1000)}), {"p": range(1000)})
    monitor.record_outcomes(np.arange(70), {"y": range(70)})
    assert monitor.status().dropped == {"bad_batch": 1070}


def test_a_column_of_predictions_may_be_a_table_of_one(make):
    """What models serve as an array of shape (rows, 1), or as a frame, is a column."""
    data, scores, _ = rows(60)
    found = []
    for served in (scores, scores[:, None], pd.DataFrame({"p": scores})):
        monitor = make()
        monitor.record_batch(data, served)
        report = monitor.run_cycle()
        found.append((report["prediction_mean"].value, monitor.status().noted))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA, pd.NaT])
def test_an_id_that_is_missing_is_no_id(make, absent):
    """A column of ids with gaps, and a single missing one, get ids of ours."""
    monitor = make()
    ids = monitor.record_batch(
        {"x": [1.0, 2.0], "c": ["a", "b"]}, [0.1, 0.2], request_ids=[absent] * 2
    )
    single = monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5, request_id=absent)
    assert len({*ids, single}) == 3
    assert min(map(len, [*ids, single])) > 20


def test_a_ragged_batch_says_what_it_lost(make):
    """Columns of unequal length end with the shortest, and the rows beyond are counted."""
    monitor = make()
    ids = monitor.record_batch({"x": [1.0, 2.0, 3.0], "c": ["a", "b"]}, [0.1, 0.2, 0.3, 0.4])
    assert len(ids) == 2
    monitor.record_outcomes(ids, [1])
    monitor.run_cycle()
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (6, 3, {"unequal_columns": 3})
    strict = make(capture=CaptureOptions(strict=True))
    with pytest.raises(DataError, match="one length"):
        strict.record_outcomes(["a", "b"], [1])


# Counts made elsewhere


def test_a_profile_counts_as_the_rows_it_was_made_of(store, make):
    """Counts made elsewhere give the same drift as the rows themselves, however often told."""
    data, _, _ = rows(500, shift=1.0)
    monitor, rowwise = make(store), make()
    profile = reference().count(data)
    for _ in range(2):
        monitor.record_profile(profile, START, START + HOUR)
    monitor.record_profile(profile, START + HOUR, START + 2 * HOUR)
    rowwise.record_batch(data, np.full(500, 0.5))
    rowwise.flush(ingest=True)
    window = monitor.window(START, START + HOUR)
    assert window.tally("rows") == {"recorded": 500, "counted": 500}
    assert window.profile == rowwise.window(START, START + HOUR).profile == profile
    assert monitor.window(START, START + DAY).tally("rows")["recorded"] == 1000


def test_a_corrected_profile_takes_the_place_of_the_first(store, make):
    """Other counts of the same span and source replace those that were stored; another adds."""
    monitor = make(store)
    for count in (500, 300):
        profile = reference().count(rows(count)[0])
        monitor.record_profile(profile, START, START + HOUR)
    assert monitor.window(START, START + HOUR).profile == profile
    monitor.record_profile(profile, START, START + HOUR, source="other")
    assert monitor.window(START, START + HOUR).tally("rows")["recorded"] == 600


def test_two_who_store_a_profile_at_once_store_one(make):
    """Wherever another worker's correction comes in between, one of the two stands, whole."""
    one, two = (reference().count(rows(count)[0]) for count in (500, 300))
    for moment in itertools.count(1):
        inner = MemoryStore()
        rival = make(inner)
        store = Interrupted(
            inner,
            moment,
            lambda: rival.record_profile(two, START, START + HOUR),  # noqa: B023
        )
        make(store).record_profile(one, START, START + HOUR)
        window = make(inner).window(START, START + HOUR)
        if store.left > 0:
            assert moment > 3, "there were too few moments to come in between"
            return
        assert window.profile == one


def test_a_profile_of_other_grids_is_refused(make):
    """A profile that was not counted on this version's reference is refused by name."""
    monitor = make()
    other = reference(seed=5).count(rows(50)[0])
    with pytest.raises(GridMismatchError, match=r"'x'.*reference\.count"):
        monitor.record_profile(other, START, START + HOUR)
    with pytest.raises(ConfigurationError, match="no reference"):
        make(given=None).record_profile(other, START, START + HOUR)
    with pytest.raises(ConfigurationError, match="dict is no Profile"):
        monitor.record_profile({"x": 1}, START, START + HOUR)
    own = reference().count(rows(50)[0])
    for since, until in ((START, START), (START, NAIVE), (None, START)):
        with pytest.raises(ConfigurationError, match="record_profile"):
            monitor.record_profile(own, since, until)
    assert isinstance(own, Profile)


@pytest.mark.parametrize("source", ["recorder", "collector", "collector/drift", "", None, 5])
def test_a_profile_takes_nobodys_place(store, make, source):
    """Under a source of our own it would replace what was recorded, or be no traffic: refused."""
    monitor = make(store)
    serve(monitor, 50)
    monitor.run_cycle()
    profile = reference().count(rows(20)[0])
    with pytest.raises(ConfigurationError, match=r"record_profile\(source=.*'spark'"):
        monitor.record_profile(profile, START, START + MINUTE, source=source)
    assert monitor.run_cycle()["prediction_count"].value == 50


# Windows


def test_a_window_is_a_span_of_the_past(store, make, clock):
    """A window holds the panes that start in it, can be cut and merged, and gives its rows."""
    monitor = make(store)
    for minute in range(10):
        for number in range(minute + 1):
            monitor.record_prediction({"x": 0.5, "c": "a"}, 0.5, request_id=f"{minute}-{number}")
        clock.advance(MINUTE)
    monitor.record_outcome("9-0", 1)
    monitor.run_cycle()

    def recorded(window):
        return window.tally("rows").get("recorded", 0)

    window = monitor.window(START, clock())
    assert recorded(window) == 55
    assert recorded(monitor.window(START + MINUTE, START + 3 * MINUTE)) == 5
    assert recorded(monitor.window(START, clock(), model_version="other")) == 0
    assert recorded(window.last(2 * MINUTE)) == 19
    merged = window.panes(5 * MINUTE)
    assert [pane.time for pane in merged] == [START, START + 5 * MINUTE]
    assert [pane.tallies["rows"]["recorded"] for pane in merged] == [15, 40]
    frame = window.last(MINUTE).frame()
    assert len(frame) == 10
    assert frame.loc["9-0", "outcome"] == 1
    assert frame.drop(index="9-0")["outcome"].isna().all()
    assert set(frame["feature/x"]) == {0.5}
    assert len(monitor.window(START - DAY, START).frame()) == 0


@pytest.mark.parametrize(
    ("since", "until"),
    [(START, START), (START + DAY, START), (NAIVE, START), (0, START)],
    ids=["empty", "backwards", "naive", "no time"],
)
def test_a_window_that_is_none_is_refused(make, since, until):
    """A span that is empty, backwards or without timezone is a ConfigurationError."""
    with pytest.raises(ConfigurationError, match="window"):
        make().window(since, until)


# Versions and references


def test_two_versions_are_measured_apart(store, make):
    """Traffic of two versions in one cycle is counted on its own reference and judged apart."""
    shifted = Reference.fit(rows(2000, shift=3.0)[0])
    monitor = make(store, {"1": reference(), "2": shifted}, model_version="1")
    data, scores, _ = rows(300)
    monitor.record_batch(data, scores)
    data, scores, _ = rows(200, shift=3.0)
    monitor.record_batch(data, scores, model_version="2")
    report = monitor.run_cycle()
    counts = {m.model_version: m.value for m in report.find("prediction_count")}
    assert counts == {"1": 300, "2": 200}
    assert report["prediction_count"].value == 300
    judged = {(r.model_version, r.feature) for r in report.drift}
    of_outcomes = {("1", OUTCOMES), ("1", RELATION)}
    assert judged - of_outcomes == {
        ("1", "prediction"), ("1", "x"), ("1", "c"), ("2", "x"), ("2", "c"),
    }  # fmt: skip
    assert of_outcomes < judged
    assert drifted_features(report) == set()
    assert "prediction_count [model_version=2]" in str(report)
    row = report.to_row()
    assert (row["prediction_count"], row["prediction_count[model_version=2]"]) == (300, 200)


def test_two_models_share_a_store_and_keep_apart(store, make):
    """Two monitors of two models on one store ingest their own records and no others."""
    given = {"a": reference(), "b/../c": reference(seed=5)}
    monitors = {model: make(store, found, model=model) for model, found in given.items()}
    for count, monitor in enumerate(monitors.values(), 2):
        serve(monitor, 10 * count)
        monitor.flush()
    for model, monitor in reversed(monitors.items()):
        report = monitor.run_cycle()
        assert report["prediction_count"].value == {"a": 20, "b/../c": 30}[model]
        assert report["labelled_count"].value == {"a": 20, "b/../c": 30}[model]
        assert balance(monitor.status()) == 0


def test_without_a_reference_everything_but_drift_works(store, make):
    """Counts, rates, performance and alerts need no reference; past traffic can become one."""
    rules = [Threshold("accuracy", below=1.1)]
    monitor = make(store, None, rules=rules)
    scores, truths, _ = serve(monitor, 500)
    report = monitor.run_cycle()
    assert report.drift == ()
    assert report["prediction_count"].value == 500
    assert report["accuracy"].value == pytest.approx(accuracy_score(truths, scores >= 0.5))
    auc = roc_auc_score(truths, scores)
    assert report["roc_auc"].low <= auc <= report["roc_auc"].high
    assert [alert.rule for alert in report.alerts] == ["accuracy below 1.1"]

    made = Reference.from_window(monitor.window(START, START + HOUR), task="binary")
    assert made.features == ("x", "c")
    later = make(given=made)
    serve(later, 500, shift=2.0)
    assert drifted_features(later.run_cycle()) == {"prediction", "x"}


# What is stored, once


def test_a_duplicate_is_counted_and_changes_nothing(store, make):
    """A request id that comes again, in this cycle or after, is counted and changes nothing."""
    monitor = make(store)
    for value in (0.9, 0.1):
        monitor.record_prediction({"x": 1.0, "c": "a"}, value, request_id="a")
    monitor.run_cycle()
    monitor.record_prediction({"x": 1.0, "c": "a"}, 0.2, request_id="a")
    report = monitor.run_cycle()
    assert report["prediction_count"].value == 1
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (3, 1, {"duplicate": 2})
    assert monitor.window(START, START + MINUTE).frame()["prediction"].tolist() == [0.9]


def test_a_correction_stands(store, make):
    """Of two outcomes of one id the later is in the figures, whenever it comes."""
    monitor = make(store)
    _, truths, ids = serve(monitor, 60)
    monitor.run_cycle()
    for request_id, truth in zip(ids, truths, strict=True):
        monitor.record_outcome(request_id, 1 - int(truth))
    report = monitor.run_cycle()
    assert report["labelled_count"].value == 60
    assert report["outcome_rate"].value == pytest.approx(1 - truths.mean())
    assert monitor.status().noted == {"outcome_repeated": 60}


def test_what_is_old_is_pruned_by_the_cycle(store, make, clock):
    """Each kind of row goes when its time is over; late outcomes join as long as pending lasts."""
    keep = Retention(
        rows=7 * DAY, pending=180 * DAY, panes=56 * DAY, metrics=80 * DAY, alerts=100 * DAY
    )
    monitor = make(store, capture=CaptureOptions(retention=keep))
    serve(monitor, 400, shift=2.0, labelled=0)
    monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5, request_id="late")
    monitor.run_cycle()

    def left():
        day = START + DAY
        return {table.value for table in Table if next(store.read(table, until=day), None)}

    everything = left()
    assert {"predictions", "pending", "panes", "metrics", "drift", "alerts"} <= everything
    everything -= {"state", "alerts"}  # which change when the alert resolves
    gone = {"predictions", "outcomes"}
    for days, more in (
        (8, gone),
        (57, {"panes", "progress"}),
        (81, {"metrics", "drift"}),
        (101, {"alerts"}),
    ):
        gone = gone | more
        clock.advance(START + days * DAY - clock())
        monitor.run_cycle()
        assert left() & gone == set(), f"after {days} days"
        assert left() | gone >= everything, f"after {days} days"
    monitor.record_outcome("late", 1)
    monitor.run_cycle()
    pending = {row.request_id: row.outcome for row in store.read(Table.pending)}
    assert pending["late"] == 1
    clock.advance(80 * DAY)
    monitor.run_cycle()
    assert list(store.read(Table.pending)) == []


def test_the_status_adds_up_for_longer_than_the_account_is_kept(make, clock, tmp_path):
    """After older rows of the account were pruned, recorded is still stored plus dropped."""
    options = CaptureOptions(max_spool_bytes=4096)  # so that segments are short
    monitor = make(SQLiteStore(tmp_path / "store.db"), capture=options)
    for month in range(5):
        for number in range(20):
            monitor.record_prediction({"x": 1.0}, 0.5, request_id=f"{month}-{number}")
        monitor.record_prediction({"x": 1.0}, 0.5, request_id=f"{month}-0")
        monitor.run_cycle()
        clock.advance(30 * DAY)
    assert len(list(monitor._store.read(Table.progress))) < 5
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (105, 100, {"duplicate": 5})


def test_the_status_tells_what_waits(make, clock, tmp_path):
    """What is recorded and not yet stored shows in the bytes and in the lag, and then no more."""
    monitor = make(SQLiteStore(tmp_path / "store.db"))
    assert monitor.status().recorded == 0
    serve(monitor, 20)
    assert monitor.flush()
    waiting = monitor.status()
    assert (waiting.recorded, waiting.stored, waiting.queue_bytes) == (40, 0, 0)
    assert waiting.spool_bytes > 0
    assert monitor.flush(ingest=True)
    done = monitor.status()
    assert (done.recorded, done.stored, done.ingest_lag) == (40, 40, timedelta(0))


# Several monitors, several processes


def test_two_monitors_on_one_store_see_one_traffic(tmp_path, make):
    """Two workers that share a store each see the traffic of both, once."""
    workers = [make(SQLiteStore(tmp_path / "store.db")) for _ in range(2)]
    for worker in workers:
        serve(worker, 100)
        worker.flush()
    for worker in workers:
        report = worker.run_cycle()
        assert (report["prediction_count"].value, report["labelled_count"].value) == (200, 200)
        status = worker.status()
        assert (status.recorded, status.stored, status.dropped) == (400, 400, {})


WORKER = """
    import sys
    from mlwatch import Monitor
    from mlwatch.stores import SQLiteStore
    from mlwatch.testing import ManualClock
    from tests.service import MODEL, START, VERSION, reference, rows

    monitor = Monitor(reference(), store=SQLiteStore(sys.argv[1]), model=MODEL,
                      model_version=VERSION, clock=ManualClock(START), notifiers=[])
    data, scores, truths = rows(100)
    for turn in range(5):
        ids = monitor.record_batch(data, scores)
        monitor.record_outcomes(ids, truths)
        monitor.run_cycle()
    monitor.close()
"""


def test_processes_on_one_store_see_one_traffic(tmp_path, make):
    """Processes that record, ingest and run cycles at once on one file store everything once."""
    database = tmp_path / "store.db"
    workers = [start(WORKER, database) for _ in range(2)]
    for worker in workers:
        finish(worker)
    monitor = make(SQLiteStore(database))
    report = monitor.run_cycle()
    assert (report["prediction_count"].value, report["labelled_count"].value) == (1000, 1000)
    status = monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (2000, 2000, {})


def test_a_restart_goes_on_where_the_last_process_stopped(tmp_path, make):
    """What was flushed and not ingested when a process ended is stored by the next one."""
    script = WORKER.replace("monitor.run_cycle()", "monitor.flush()").replace(
        "monitor.close()", "import os; os._exit(0)"
    )
    finish(start(script, tmp_path / "store.db"))
    report = make(SQLiteStore(tmp_path / "store.db")).run_cycle()
    assert (report["prediction_count"].value, report["labelled_count"].value) == (500, 500)


# Beginning and end


def test_constructing_starts_and_opens_nothing(tmp_path):
    """Making a monitor starts no thread, opens no file and creates none, on any store."""
    threads = threading.active_count()
    open_files = open_descriptors()
    stores = [SQLiteStore(tmp_path / "store.db"), JSONLStore(tmp_path / "lines"), MemoryStore()]
    monitors = [Monitor(reference(), store=store) for store in stores]
    assert threading.active_count() == threads
    assert list(tmp_path.iterdir()) == []
    assert open_descriptors() == open_files
    for monitor in monitors:
        assert monitor.close()


def test_switched_off_nothing_is_touched(tmp_path):
    """With MLWATCH_DISABLED every call answers, ids come back, and no file or thread is made."""
    script = """
        import asyncio, os, sys, _thread
        from pathlib import Path
        from tests.service import reference
        from mlwatch import Monitor
        from mlwatch.stores import SQLiteStore

        folder = Path(sys.argv[1])
        monitor = Monitor(reference(), store=SQLiteStore(folder / "store.db"))
        before = set(os.listdir("/proc/self/fd")), _thread._count()
        monitor.start()
        ids = {monitor.record_prediction({"x": 1.0}, 0.5) for _ in range(10)}
        ids.add(monitor.record_prediction({"x": 1.0}, 0.5, request_id="mine"))
        monitor.record_outcome("mine", 1)
        batch = monitor.record_batch({"x": [1.0, 2.0]}, [0.1, 0.2])
        monitor.record_outcomes(batch, [1, 0])
        with monitor.observe({"x": 1.0}) as seen:
            seen.prediction = 0.5
        assert monitor.watch(lambda row: row)({"x": 1.0}) == {"x": 1.0}
        assert len(ids) == 11 and "mine" in ids and len(set(batch)) == 2 and seen.request_id
        assert monitor.run_cycle().metrics == ()
        assert monitor.flush(ingest=True) and asyncio.run(monitor.aflush())
        status = monitor.status()
        assert (status.recorded, status.running) == (0, False)
        assert "MLWATCH_DISABLED" in status.last_error
        after = set(os.listdir("/proc/self/fd")), _thread._count()
        assert monitor.close()
        print(before[0] == after[0], list(folder.iterdir()))
    """
    printed = finish(start(script, tmp_path, env={**os.environ, "MLWATCH_DISABLED": "1"}))
    assert printed == "True []\n"


def test_a_memory_spool_is_ingested_when_the_process_ends(tmp_path):
    """Nobody flushes or closes: what was recorded last is in the store all the same."""
    script = """
        import sys
        from pathlib import Path
        from mlwatch import CaptureOptions, Monitor
        from mlwatch.stores import SQLiteStore

        store = SQLiteStore(Path(sys.argv[1]) / "store.db")
        monitor = Monitor(store=store, capture=CaptureOptions(spool="memory"))
        for _ in range(500):
            monitor.record_prediction({"x": 1.0}, 0.5)
    """
    finish(start(script, tmp_path))
    rows = [*SQLiteStore(tmp_path / "store.db").read(Table.predictions)]
    assert len(rows) == 500


def test_close_is_idempotent_and_keeps_everything(store, make):
    """Closing stores what waits, says so, and may be done again; so does leaving the block."""
    with make(store) as monitor:
        serve(monitor, 20)
    assert monitor.close()
    assert monitor.close()
    if not isinstance(store, MemoryStore):
        again = make(type(store)(store.path))
        assert again.run_cycle()["prediction_count"].value == 20
        assert again._parts.spool.segments() == []


def test_a_store_that_hangs_holds_up_nobody_beyond_the_timeout(make):
    """flush and close with a timeout come back and say that not all is stored."""
    gate = threading.Event()

    class Hanging(MemoryStore):
        def write(self, batch):
            gate.wait(600)
            super().write(batch)

    monitor = make(Hanging())
    serve(monitor, 10)
    begun = time.monotonic()
    assert not monitor.flush(0.1, ingest=True)
    assert not monitor.close(0.1)
    assert time.monotonic() - begun < 3 * 2.5
    gate.set()


def test_close_says_when_not_all_was_stored(make):
    """When the store fails at the end, close returns False and raises nothing."""

    class Full(MemoryStore):
        def write(self, batch):
            raise StoreError("the disk is full")

    monitor = make(Full())
    serve(monitor, 5)
    assert not monitor.flush()
    assert "the disk is full" in monitor.status().last_error
    assert not monitor.close()


def test_recording_after_the_end_is_harmless(store, make):
    """After close everything can still be called: ids come back, and what is lost is counted."""
    monitor = make(store)
    monitor.close()
    request_id = monitor.record_prediction({"x": 1.0}, 0.5)
    monitor.record_outcome(request_id, 1)
    with monitor.observe({"x": 1.0}) as seen:
        seen.prediction = 0.5
    monitor.record_batch({"x": [1.0]}, [0.5])
    monitor.flush()
    assert isinstance(request_id, str)
    assert monitor.status().dropped == {"shutdown": 4}
    with pytest.raises(StoreError, match="closed"):
        monitor.run_cycle()
    with pytest.raises(ConfigurationError, match="make a new Monitor"):
        monitor.start()


def test_a_run_that_meets_a_damaged_spool_is_judged_and_told(tmp_path, make):
    """A file in the spool that is no segment is a fault in the report, and no reason to stop."""
    told = RecordingNotifier()
    monitor = make(SQLiteStore(tmp_path / "store.db"), notifiers=[told])
    serve(monitor, 20)
    monitor.flush()
    (folder,) = {path.parent for path in tmp_path.rglob("*.seg")}
    foreign = folder / f"{0:012x}{'f' * 16}-000001.seg"
    foreign.write_bytes(b"not a segment at all")
    assert not monitor.flush(ingest=True)
    assert foreign.name in monitor.status().last_error
    report = monitor.run_cycle()
    assert report["prediction_count"].value == 20
    assert [fault.part for fault in report.faults] == ["spool"]
    assert "monitoring fault in spool" in [alert.title for alert in told.alerts]
    foreign.unlink()
    assert monitor.run_cycle().faults == ()
    states = [alert.state for alert in told.alerts if "fault in spool" in alert.title]
    assert states == ["firing", "resolved"]


def test_a_spool_that_cannot_be_written_is_told(make):
    """While records cannot be written to the spool, every report says so."""
    monitor = make(capture=CaptureOptions(max_spool_bytes=2000))
    assert [fault.part for fault in monitor.run_cycle().faults] == []
    for _ in range(30):
        monitor.record_prediction({"x": "a" * 200}, 0.5)
    faults = monitor.run_cycle().faults
    assert [fault.part for fault in faults] == ["capture"]
    assert "max_spool_bytes" in faults[0].error


def test_a_store_that_fails_costs_no_record(make):
    """While the store fails `run_cycle` says so; afterwards everything is there, once."""

    class Shaky(MemoryStore):
        down = False

        def write(self, batch):
            if self.down:
                raise StoreError("the store is down")
            super().write(batch)

    store = Shaky()
    monitor = make(store)
    serve(monitor, 50)
    store.down = True
    with pytest.raises(StoreError, match="down"):
        monitor.run_cycle()
    serve(monitor, 50)
    store.down = False
    assert monitor.run_cycle()["prediction_count"].value == 100
    assert balance(monitor.status()) == 0


def test_two_cycles_at_the_same_moment_are_one(make):
    """Wherever another worker's cycle comes in between, nothing is counted or told twice."""
    for moment in itertools.count(1):
        inner, told = MemoryStore(), RecordingNotifier()
        other = make(inner, notifiers=[told])
        store = Interrupted(inner, moment, other.run_cycle)
        monitor = make(store, notifiers=[told])
        serve(monitor, 100, shift=2.0)
        serve(other, 100, shift=2.0)
        monitor.run_cycle()
        other.run_cycle()
        assert total(inner) == {"recorded": 200, "counted": 200, "labelled": 200}
        assert sorted((alert.metric, alert.state) for alert in told.alerts) == [
            ("drift", "firing"),
            ("outcome_drift", "firing"),
            ("prediction_drift", "firing"),
        ]
        if store.left > 0:
            assert moment > 10, "there were too few moments to come in between"
            return


# Wrong arguments

WRONG = {
    "store": [None, "mlwatch.db", MemoryStore, object()],
    "model": ["", None, 5],
    "model_version": [None, 2],
    "reference": ["reference.json", {"1": "reference.json"}, 5],
    "window": [timedelta(0), timedelta(seconds=90), -DAY, 24, None],
    "every": [timedelta(0), -DAY, 300, None],
    "clock": [None, 5, datetime.now, lambda: 0.0],
    "capture": [None, {}, DriftPolicy()],
    "drift": [None, 0.1, CaptureOptions()],
    "alerts": [None, [], DriftPolicy()],
    "detectors": ["ks", 5, [5], [KSDetector], KSDetector(), [KSDetector(), KSDetector()]],
    "collectors": ["drift", 5, [None], [Metric("x", 1.0)], len],
    "rules": [5, ["accuracy < 0.7"], Threshold("accuracy", below=0.7), [Threshold]],
    "notifiers": [5, print, [None], ["log"], LogNotifier(), [LogNotifier(), LogNotifier()]],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{place}")
        for name, values in WRONG.items()
        for place, value in enumerate(values)
    ],
)
def test_a_wrong_argument_is_named(name, value):
    """Each argument that cannot be right is a ConfigurationError that names it and the remedy."""
    options = {"store": MemoryStore(), name: value}
    with pytest.raises(ConfigurationError) as caught:
        Monitor(**options)
    message = str(caught.value)
    assert name in message
    remedies = ("must be", "give", "neither", "is a class", "load")
    assert any(word in message for word in remedies), message


@pytest.mark.parametrize(
    ("make_options", "name"),
    [
        (lambda: CaptureOptions(max_bytes=0), "max_bytes=0"),
        (lambda: CaptureOptions(max_record_bytes="64K"), "max_record_bytes='64K'"),
        (lambda: CaptureOptions(max_spool_bytes=-1), "max_spool_bytes=-1"),
        (lambda: CaptureOptions(flush_interval=0.5), "flush_interval"),
        (lambda: CaptureOptions(durability="tape"), "durability='tape'"),
        (lambda: CaptureOptions(retention=7), "retention=7"),
        (lambda: Retention(rows=timedelta(0)), "rows"),
        (lambda: Retention(panes=56), "panes"),
        (lambda: DriftPolicy(margin=1.0), "margin=1.0"),
        (lambda: DriftPolicy(min_visible="0.2"), "min_visible='0.2'"),
        (lambda: DriftPolicy(min_rows=0), "min_rows=0"),
        (lambda: AlertPolicy(cooldown=300), "cooldown=300"),
        (lambda: AlertPolicy(cooldown=-MINUTE), "cooldown"),
        (lambda: AlertPolicy(give_up_after=timedelta(0)), "give_up_after"),
        (lambda: AlertPolicy(give_up_after=86400), "give_up_after"),
        (lambda: AlertPolicy(stale_after=timedelta(0)), "stale_after"),
    ],
)
def test_a_wrong_option_is_named(make_options, name):
    """Each option that cannot be right is a ConfigurationError that names it."""
    with pytest.raises(ConfigurationError, match="must be") as caught:
        make_options()
    assert name in str(caught.value)


def test_arguments_that_exclude_each_other_are_refused():
    """Detectors beside collectors, and a reference of another model, are refused."""
    with pytest.raises(ConfigurationError, match="DriftCollector"):
        Monitor(store=MemoryStore(), detectors=[KSDetector()], collectors=[])
    other = Reference.fit(rows(50)[0], meta={"model": "fraud"})
    with pytest.raises(ConfigurationError, match=r"'fraud'.*'churn'.*load"):
        Monitor(other, store=MemoryStore(), model="churn")


@pytest.mark.parametrize("kind", [SQLiteStore, JSONLStore])
def test_a_store_that_cannot_be_written_is_named(kind, tmp_path):
    """A store path that cannot be used is a StoreError that names it, before anything is kept."""
    (tmp_path / "file").write_text("something else")
    for path in (tmp_path / "missing" / "store", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match=str(path.parent)):
            Monitor(store=kind(path))


def test_a_spool_that_cannot_be_written_is_named(tmp_path):
    """A spool folder that cannot be used is a ConfigurationError that names it."""
    (tmp_path / "file").write_text("something else")
    with pytest.raises(ConfigurationError, match="spool"):
        Monitor(store=MemoryStore(), capture=CaptureOptions(spool=tmp_path / "file"))
    with pytest.raises(ConfigurationError, match="spool=5"):
        Monitor(store=MemoryStore(), capture=CaptureOptions(spool=5))


# Bad input to record_*


class Hostile:
    """An object that raises whatever is asked of it."""

    def _refuse(self, *args):
        raise SystemExit("no")

    __str__ = __repr__ = __len__ = __iter__ = __getitem__ = __float__ = __bool__ = _refuse
    __hash__ = object.__hash__

    def __eq__(self, other):
        raise SystemExit("no")


class HostileMapping(dict):
    """A mapping that raises when it is read."""

    def items(self):
        raise RuntimeError("no")

    keys = values = __iter__ = items


def cyclic():
    """Return a list that holds itself."""
    found = []
    found.append(found)
    return found


ODD = [
    None, True, 0, -1, 2**70, 1.5, float("nan"), float("inf"), -0.0, 1j, "", "text", "\ud800",
    "x" * 100_000, b"bytes", bytearray(b"x"), [], [1], [[1]], (), {}, {"x": 1}, {1: 2}, {None: 1},
    {"x": object()}, {("a",): 1}, set(), {1}, frozenset({1}), range(3), object(), object, len,
    Hostile(), HostileMapping(x=1), cyclic(), Ellipsis, ValueError("no"), np.array(1.5),
    np.array([1.0, 2.0]), np.zeros((3, 3)), np.float32(1), np.int64(3), np.bool_(True),
    np.datetime64("2024-01-01"), np.timedelta64(5, "s"), np.nan, pd.NA, pd.NaT,
    pd.Series([1, 2]), pd.Series({"x": 1, "c": "a"}), pd.DataFrame({"x": [1]}),
    pd.Timestamp("2024-01-01"), NAIVE, datetime(2024, 1, 1, tzinfo=UTC),
    datetime(9999, 1, 1, tzinfo=UTC), timedelta(1), Path("x"), (item for item in "ab"), iter([1]),
]  # fmt: skip

FIELDS = (
    "probability",
    "request_id",
    "model_version",
    "latency_ms",
    "outcome",
    "error",
    "segment",
    "timestamp",
)


def odd_calls(monitor):
    """Return calls of everything that records, each with one argument that is odd."""
    good = {"x": 1.0, "c": "a"}
    for value in ODD:
        yield lambda value=value: monitor.record_prediction(value, 0.5)
        yield lambda value=value: monitor.record_prediction({"x": value, "c": value}, 0.5)
        yield lambda value=value: monitor.record_prediction([value, value], 0.5)
        yield lambda value=value: monitor.record_prediction(good, value)
        for name in FIELDS:
            yield lambda name=name, value=value: monitor.record_prediction(
                good, 0.5, **{name: value}
            )
        yield lambda value=value: monitor.record_outcome(value, 1)
        yield lambda value=value: monitor.record_outcome("a", value)
        yield lambda value=value: monitor.record_outcome("a", 1, timestamp=value)


def test_nothing_that_is_recorded_raises(store, make, caplog):
    """Whatever is handed to `record_*`, nothing is raised, and everything is in the account."""
    monitor = make(store)
    with caplog.at_level(logging.WARNING, logger="mlwatch"):
        for call in odd_calls(monitor):
            call()
        good = monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5)
        report = monitor.run_cycle()
        monitor.flush()
    calls = sum(1 for _ in odd_calls(monitor)) + 1
    status = monitor.status()
    outcomes_at_once = len(ODD) - 1  # all but None
    assert status.recorded == calls + outcomes_at_once
    assert balance(status) == 0
    assert {"empty_outcome", "empty_request_id", "too_large"} <= status.dropped.keys()
    noted = {"bad_features", "bad_latency", "bad_timestamp", "naive_timestamp", "future"}
    assert noted <= status.noted.keys()
    assert total(store)["recorded"] > 600
    assert report.faults == ()
    assert good in {row.request_id for row in store.read(Table.predictions)}
    told = [record.getMessage() for record in caplog.records if record.name == "mlwatch"]
    assert told
    reasons = [message.rpartition(" ")[2] for message in told]
    assert len(reasons) == len(set(reasons)), told


def test_a_complaint_is_logged_at_most_once_a_minute(make, caplog):
    """A thousand bad records, flushed often, give one line in the log for their reason."""
    monitor = make()
    with caplog.at_level(logging.WARNING, logger="mlwatch"):
        for _ in range(20):
            for _ in range(50):
                monitor.record_prediction("nonsense", 0.5)
            monitor.flush()
    (record,) = [record for record in caplog.records if record.name == "mlwatch"]
    assert "bad_features" in record.getMessage()
    assert monitor.status().noted == {"bad_features": 1000}


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.record_prediction("nonsense", 0.5),
        lambda m: m.record_prediction([1.0], 0.5),
        lambda m: m.record_prediction({"x": 1.0}, object()),
        lambda m: m.record_prediction({"x": object()}, 0.5),
        lambda m: m.record_prediction({"x": "a" * 100_000}, 0.5),
        lambda m: m.record_prediction({"x": 1.0}, 0.5, latency_ms=-1),
        lambda m: m.record_prediction({"x": 1.0}, 0.5, timestamp="now"),
        lambda m: m.record_prediction({"x": 1.0}, 0.5, timestamp=NAIVE),
        lambda m: m.record_prediction({"x": 1.0}, 0.5, timestamp=START + DAY),
        lambda m: m.record_outcome("a", None),
        lambda m: m.record_outcome(None, 1),
        lambda m: m.record_batch("nonsense", [0.5]),
    ],
    ids=itertools.count(),
)
def test_strict_raises(make, call):
    """In tests, `strict=True` raises what production only counts."""
    monitor = make(capture=CaptureOptions(strict=True))
    with pytest.raises(DataError):
        call(monitor)
    monitor.record_prediction({"x": 1.0, "c": "a"}, 0.5, request_id="good", outcome=1)
    monitor.run_cycle()
    assert monitor.status().stored == 2
