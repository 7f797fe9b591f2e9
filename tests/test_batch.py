"""A batch is as its rows: in values, ids and account, in far fewer records."""

import math
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import pytest
from tests.processes import Account

from mlwatch.errors import DataError, SpoolError
from mlwatch.recorder import Recorder
from mlwatch.recorder.batch import RequestIds, read_columns
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool, MemorySpool

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Told:
    """A recorder of batches, and the events that ingest would read of it."""

    def __init__(self, spool=None, names=(), **options):
        self.spool = MemorySpool() if spool is None else spool
        options = {"flush_interval": timedelta(days=1)} | options
        self.recorder = Recorder(self.spool, CaptureOptions(**options), lambda: NOW, names)

    def batch(self, frame, served, probabilities=None, request_ids=None, segments=None):
        given = (frame, served, probabilities, request_ids)
        columns = read_columns(given, self.recorder.feature_names, segments)
        return self.recorder.batch(columns, "m", "1", None)

    @property
    def frames(self):
        assert self.recorder.flush()
        return [it for segment in self.spool.segments() for it in self.spool.read(segment, 0)]

    @property
    def events(self):
        return [record for frame in self.frames for record in frame.records]


def table(rows=300):
    """Return a frame with a column of every kind, and with what is missing in each way."""
    rng = np.random.default_rng(1)
    whole = rng.integers(-5, 5, rows)
    text = np.array(["Oslo", "family", "ios"], dtype=object)[rng.integers(0, 3, rows)]
    return pd.DataFrame(
        {
            "float": np.where(rng.random(rows) < 0.1, np.nan, rng.normal(size=rows)),
            "float32": rng.normal(size=rows).astype(np.float32),
            "big": np.arange(rows, dtype=">i4"),
            "byte": whole.astype(np.int8),
            "unsigned": np.full(rows, 2**64 - 1, np.uint64),
            "flag": rng.random(rows) < 0.5,
            "text": text,
            "many": [f"text {row}" for row in range(rows)],
            "category": pd.Categorical(text),
            "object": pd.Series([None, 1, "x", 2.5, b"raw"] * (rows // 5), dtype=object),
            "when": pd.date_range("2026-01-01", periods=rows, tz="UTC"),
            "nullable": pd.array([1, None, 3] * (rows // 3), dtype="Int64"),
            "decimal": [Decimal("1.5")] * rows,
            "list": [[1, "a"]] * rows,
        }
    )


def same(first, second):
    """Say whether two values are one, NaN among them."""
    nothing = isinstance(first, float) and math.isnan(first)
    return repr(first) == repr(second) if nothing else first == second


def test_every_kind_of_column_comes_back_as_row_by_row():
    """What is read of a batch is, value by value and type by type, what the rows alone give."""
    frame = table()
    served = np.linspace(0, 1, len(frame))
    whole, single = Told(), Told()
    ids = whole.batch(frame, served)
    rows = frame.astype(object).to_dict("records")
    for row, prediction in zip(rows, served.tolist(), strict=True):
        single.recorder.prediction(row, prediction, None, None, "m", "1", None, None, None, None)

    for known_as, one, other in zip(ids, whole.events, single.events, strict=True):
        assert one[3] == known_as
        assert [*one[:3], one[4], *one[6:]] == [*other[:3], other[4], *other[6:]]
        for name, value in other[5].items():
            assert same(one[5][name], value), name
            assert type(one[5][name]) is type(value), name


def test_arrays_and_mappings_are_batches_too():
    """An array of rows by columns, a record array and a mapping of lists give the same events."""
    values = np.arange(12.0).reshape(6, 2)
    records = np.array(list(map(tuple, values)), dtype=[("x", float), ("y", float)])
    given = [values, np.asfortranarray(values), records]
    given += [{"x": values[:, 0].tolist(), "y": tuple(values[:, 1])}]
    found = []
    for frame in given:
        told = Told(names=("x", "y"))
        told.batch(frame, values[:, 0])
        found.append([[*event[5:7]] for event in told.events])

    assert found[0][1] == [{"x": 2.0, "y": 3.0}, 2.0]
    assert all(other == found[0] for other in found)


def test_times_of_numpy_stay_times():
    """A column of datetime64 does not become nanoseconds."""
    told = Told()
    told.batch({"at": np.array(["2026-01-01", "NaT"], "M8[ns]")}, [1, 2])

    assert [event[5]["at"] for event in told.events] == ["2026-01-01T00:00:00.000000000", None]


SEGMENTS = ["eu", None, float("nan"), 7, "us"] * 60


@pytest.mark.parametrize(
    ("segments", "read"),
    [
        ("eu", ["eu"] * 300),
        (SEGMENTS, ["eu", None, None, "7", "us"] * 60),
        (pd.Series(SEGMENTS), ["eu", None, None, "7", "us"] * 60),
        (pd.Categorical(["eu", None, "us"] * 100), ["eu", None, "us"] * 100),
        (np.array(["eu", "us"] * 150), ["eu", "us"] * 150),
        (None, [None] * 300),
    ],
    ids=["one for all", "list", "series", "categories", "array", "none"],
)
@pytest.mark.parametrize("most", [64 * 2**10, 400], ids=["in one record", "in many"])
def test_a_segment_a_row_or_one_for_all(segments, read, most):
    """Each row has its own, as text, or that of all; what is missing is none."""
    told = Told(max_record_bytes=most)
    told.batch({"x": range(300), "long": ["z" * 100] * 300}, range(300), segments=segments)

    assert [event[-1] for event in told.events] == read
    assert [event[5]["x"] for event in told.events] == list(range(300))


def test_rows_that_are_recorded_one_by_one_keep_their_segments():
    """Where a column cannot be encoded as a whole, each row still has its own."""
    told = Told()
    told.batch({"x": [object(), 1, 2]}, range(3), segments=["a", "b", None])

    assert [event[-1] for event in told.events] == ["a", "b", None]


def test_segments_that_are_too_few_end_the_batch():
    """A column of segments is a column: what others have beyond its end is lost, and counted."""
    columns = read_columns(({"x": [1, 2, 3]}, [1, 2, 3], None, None), (), ["a"])

    assert (columns.rows, columns.lost) == (1, 2)


def test_ids_are_a_sequence_made_when_asked_for():
    """They count, slice, join a frame and meet their rows, and never come twice."""
    told = Told()
    first, second = told.batch({"x": range(5)}, range(5)), told.batch({"x": [1]}, [1])

    assert isinstance(first, RequestIds)
    assert list(first) == [first[place] for place in range(5)] == first[:]
    assert first[-1] == first[4] == first[3:][1]
    assert pd.DataFrame({"id": first})["id"].tolist() == list(first)
    assert len({*first, *second}) == len(first) + len(second) == 6
    with pytest.raises(IndexError):
        first[5]


def test_ids_of_the_caller_are_kept_and_missing_ones_made():
    """An id that is no text becomes one; None gets an id of ours."""
    told = Told()
    ids = told.batch({"x": [1, 2, 3]}, [1, 2, 3], request_ids=["a", 7, None])

    assert ids[:2] == ["a", "7"]
    assert len(ids[2]) > 20
    assert [event[3] for event in told.events] == ids


def test_one_bad_value_costs_no_other():
    """Its row keeps the rest and gets a marker; all other rows are as they were."""
    told = Told()
    values = [float(place) for place in range(600)]
    bad = [*values[:400], threading.Lock(), *values[401:]]
    ids = told.batch({"x": bad, "y": values}, values)
    events = told.events

    assert [event[3] for event in events] == list(ids)
    assert events[400][5] == {"x": "<unencodable lock>", "y": 400.0}
    assert [event[5]["x"] for event in events if event[3] != ids[400]] == [*bad[:400], *bad[401:]]


def test_a_row_that_is_too_large_is_dropped_alone():
    """The bound of a record holds for each row, and no other row is lost for one beyond it."""
    told = Told(max_record_bytes=2_000)
    texts = ["x" * 100] * 900 + ["y" * 3_000] + ["z" * 1_500] * 99
    ids = told.batch({"x": texts}, range(1000))

    assert [event[3] for event in told.events] == [*ids[:900], *ids[901:]]
    assert told.recorder.stats.dropped == {"too_large": 1}
    assert told.recorder.stats.recorded == 1000
    assert all(len(data) <= 2_000 for data in _encoded(told.spool))


def _encoded(spool):
    frames = [frame for frames in spool._frames.values() for frame in frames]
    assert frames
    return [record for frame in frames for record in _payload(frame).records]


def _payload(frame):
    from mlwatch.spool.frame import PREFIX, read_payload

    return read_payload(frame[: PREFIX.size], frame[PREFIX.size :])


def test_what_the_host_changes_later_changes_nothing():
    """Arrays may be written over as soon as the call returns."""
    told = Told()
    numbers, objects = np.zeros(400), np.array(["a"] * 400, dtype=object)
    told.batch({"n": numbers, "o": objects}, numbers)
    numbers[:], objects[:] = 1, "b"

    assert {(event[5]["n"], event[5]["o"], event[6]) for event in told.events} == {(0, "a", 0)}


def test_a_batch_larger_than_memory_is_not_thinned(tmp_path):
    """It is written by the call itself, so that nothing is lost and memory stays bounded."""
    told = Told(DiskSpool(tmp_path), max_bytes=300_000)
    told.batch({"x": np.zeros(200_000), "y": np.ones(200_000)}, np.zeros(200_000))

    assert told.recorder.stats.queue_bytes <= 300_000
    assert told.recorder.flush()
    account = Account(tmp_path)
    assert len(set(account.ids)) == 200_000
    assert account.balanced
    assert not account.dropped


class Shut(MemorySpool):
    """A spool that cannot be written."""

    def append(self, records, recorded, dropped, noted):
        raise SpoolError("shut", reason="store_error")


def test_rows_that_find_no_room_are_counted():
    """With a spool that fails, what memory does not hold is dropped and counted row by row."""
    told = Told(Shut(), max_bytes=100_000)
    ids = told.batch({"x": np.zeros(50_000)}, np.zeros(50_000))
    stats = told.recorder.stats

    assert len(ids) == stats.recorded == 50_000
    assert stats.dropped.keys() == {"store_error"}
    assert stats.noted == {"missed_predictions": stats.dropped["store_error"]}
    assert 50_000 < stats.queue_bytes <= 100_000
    told.recorder.outcome(ids[30_000], 1, "m", None)
    assert told.recorder.stats.dropped["outcome_of_dropped"] == 1


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_batch_is_counted_by_its_rows(tmp_path, seed):
    """A frame that cannot be read says how many rows were lost with it."""
    spool = DiskSpool(tmp_path)
    told = Told(spool)
    for size in (10, 1000, 30):
        told.batch({"x": np.arange(size)}, np.arange(size))
        assert told.recorder.flush()
    spool.close()
    (path,) = tmp_path.glob("*.seg")
    at = int(np.random.default_rng(seed).integers(200, path.stat().st_size))
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0x55]))
    account = Account(tmp_path)

    assert account.balanced
    assert account.recorded == 1040
    assert account.dropped["damaged"] in {10, 1000, 30}


def test_a_closed_recorder_counts_the_rows():
    """After close a batch is dropped row by row, and its ids come back."""
    told = Told()
    told.recorder.close()

    assert len(told.batch({"x": [1, 2, 3]}, [1, 2, 3])) == 3
    assert told.recorder.stats.dropped == {"shutdown": 3}


def test_strict_raises_for_a_bad_value():
    """In a test of the host a value that cannot be kept is an error."""
    told = Told(strict=True)
    with pytest.raises(DataError, match="lock"):
        told.batch({"x": [threading.Lock()]}, [1])


def test_a_batch_is_redacted_as_its_rows(tmp_path):
    """Dropped, hashed, masked and rewritten columns are those of the rows; no raw byte is left."""
    redact = {"a": "drop", "b": "hash", "c": "mask", "d": len}
    options = {"redact": redact, "redact_key": b"0123456789abcdef"}
    whole, single = Told(DiskSpool(tmp_path), **options), Told(**options)
    columns = {name: [f"canary-{name}-{row}" for row in range(300)] for name in "abcd"}
    columns["e"] = list(range(300))
    whole.batch(pd.DataFrame(columns), range(300))
    for row in range(300):
        features = {name: values[row] for name, values in columns.items()}
        single.recorder.prediction(features, row, None, None, "m", "1", None, None, None, None)

    assert [event[5] for event in whole.events] == [event[5] for event in single.events]
    assert whole.events[0][5].keys() == {"b", "c", "d", "e"}
    assert b"canary" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert whole.recorder.stats.noted == {}


def test_a_row_of_a_batch_is_redacted_once(tmp_path):
    """What has to be recorded row by row is not hashed twice, and a failure is counted."""
    redact = {"b": "hash", "d": lambda value: 1 / value}
    told = Told(DiskSpool(tmp_path), redact=redact, redact_key=b"0123456789abcdef")
    data = {"b": ["x"] * 2, "d": [0, 1], "bad": [threading.Lock(), 1]}
    told.batch(data, [1, 2])
    first, second = (event[5] for event in told.events)

    assert first["b"] == second["b"]
    assert len(first["b"]) == 32
    assert (first.get("d"), second["d"]) == (None, 1.0)
    assert told.recorder.stats.noted["redaction_failed"] >= 1


def test_a_redactor_of_everything_sees_the_rows_that_are_kept():
    """Columns of unequal length are cut before a function of all features is asked."""
    told = Told(redact=lambda features: {"sum": features["a"] + features["b"]})
    told.batch({"a": [1, 2, 3], "b": [10, 20]}, [1, 2, 3])

    assert [event[5] for event in told.events] == [{"sum": 11}, {"sum": 22}]


def test_what_is_masked_is_missing():
    """A masked element of an array is None, and its number is nowhere."""
    told = Told()
    told.batch({"a": np.ma.array([1.0, 2.0, 3.0], mask=[0, 1, 0])}, np.ma.array([1, 2, 3]))

    assert [event[5]["a"] for event in told.events] == [1.0, None, 3.0]
    assert [event[6] for event in told.events] == [1, 2, 3]


def test_a_batch_that_cannot_be_unfolded_costs_no_other_record():
    """What a future version packs in its own way is counted by its rows, and reading goes on."""
    told = Told()
    told.batch({"x": [1.0, 2.0]}, [1, 2])
    told.recorder.flush()
    fields = [2, "m", "1", NOW, {"prefix": "p", "first": 0}, ["x"], [{"kind": "?!", "data": b""}]]
    told.spool.append([msgspec.msgpack.encode(["b", *fields, [1, 2], None])], 2, {}, {})
    told.batch({"x": [3.0]}, [3])

    assert [event[5] for event in told.events] == [{"x": 1.0}, {"x": 2.0}, {"x": 3.0}]
    assert sum(frame.dropped.get("undecodable", 0) for frame in told.frames) == 2
