"""The recorder: whatever the host hands over, an id comes back and the account is exact."""

import enum
import gc
import logging
import math
import threading
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from mlwatch.errors import DataError, SpoolError
from mlwatch.recorder import CaptureStatistics, Recorder
from mlwatch.recorder.thinning import keeps
from mlwatch.records import CaptureOptions
from mlwatch.spans import utc_now
from mlwatch.spool import DiskSpool, MemorySpool

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NEVER = timedelta(days=1)
TASKS = Path("/proc/self/task")
DESCRIPTORS = Path("/proc/self/fd")


class Told:
    """A recorder into memory, and what ingest would read of it."""

    def __init__(self, spool=None, feature_names=(), **options):
        self.spool = MemorySpool() if spool is None else spool
        options = CaptureOptions(**({"flush_interval": NEVER} | options))
        self.recorder = Recorder(self.spool, options, lambda: NOW, feature_names)

    def predict(self, features=None, prediction=0.5, **given):
        names = ("probability", "request_id", "model", "model_version", "latency_ms", "error")
        defaults = {"model": "m", "model_version": "1"}
        rest = [given.get(name, defaults.get(name)) for name in (*names, "segment", "timestamp")]
        return self.recorder.prediction(
            {"a": 1} if features is None else features, prediction, *rest
        )

    def learn(self, request_id, outcome, timestamp=None):
        self.recorder.outcome(request_id, outcome, "m", timestamp)

    @property
    def frames(self):
        assert self.recorder.flush()
        return [frame for segment in self.spool.segments() for frame in self.spool.read(segment, 0)]

    @property
    def events(self):
        return [record for frame in self.frames for record in frame.records]

    @property
    def features(self):
        return [event[5] for event in self.events]


class Silent:
    """An object that leaves the program when it is looked at."""

    def __repr__(self):
        raise SystemExit(1)

    __str__ = __repr__


class NoItems(dict):
    def items(self):
        raise ValueError("no items")

    def __iter__(self):
        raise SystemExit(1)


class Locked(Mapping):
    def __getitem__(self, key):
        raise KeyboardInterrupt

    def __iter__(self):
        return iter("abc")

    def __len__(self):
        return 3


class Exhausting(Mapping):
    """A mapping for which there is no memory."""

    def __getitem__(self, key):
        raise MemoryError

    def __iter__(self):
        raise MemoryError

    def __len__(self):
        raise MemoryError


class Masked:
    @property
    def __class__(self):
        raise SystemExit(1)


class Zoneless(tzinfo):
    def utcoffset(self, moment):
        raise SystemExit(1)


class Forgetful(tzinfo):
    def utcoffset(self, moment):
        raise MemoryError


class Liar(int):
    def __int__(self):
        raise SystemExit(1)

    __index__ = __float__ = __repr__ = __hash__ = __eq__ = __bool__ = __int__


class Fraud(float):
    def __float__(self):
        raise SystemExit(1)

    __int__ = __repr__ = __hash__ = __eq__ = __bool__ = __float__


class Gauge(enum.Flag):
    LOW = 1
    HIGH = 2


class Named(type):
    @property
    def __name__(cls):
        raise SystemExit(1)


class Unnamed(metaclass=Named):
    pass


class Colour(enum.Enum):
    RED = "red"
    HALF = 0.5
    ODD = object()


class Text(str):
    __slots__ = ()


def cycle():
    value = []
    value.append(value)
    return value


def nested(depth):
    value = 1
    for _ in range(depth):
        value = {"deeper": value}
    return value


# What is kept as it is, or as what it plainly means.
KEPT = {
    "text": ("x", "x"),
    "bool": (True, True),
    "none": (None, None),
    "int": (2**63, 2**63),
    "big": (2**70, 2**70),
    "bigger": (-(2**2000), -(2**2000)),
    "float": (1e308, 1e308),
    "infinity": (-float("inf"), -float("inf")),
    "bytes": (b"\xff", b"\xff"),
    "bytearray": (bytearray(b"q"), b"q"),
    "list": ([1, [None]], [1, [None]]),
    "tuple": ((1, 2), [1, 2]),
    "set": ({1}, [1]),
    "mapping": ({"x": {"y": 1}}, {"x": {"y": 1}}),
    "items raise": (NoItems(x=1), {"x": 1}),
    "keys": ({1: 1, None: 2, (3, 4): 3}, {"1": 1, "None": 2, "(3, 4)": 3}),
    "decimal": (Decimal("1.5"), 1.5),
    "uuid": (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    "enum": (Colour.RED, "red"),
    "enum of a number": (Colour.HALF, 0.5),
    "flags": (Gauge.LOW | Gauge.HIGH, 3),
    "subclass": (Text("x"), "x"),
    "lying integer": (Liar(7), 7),
    "lying float": (Fraud(0.5), 0.5),
    "view": (memoryview(b"xy"), b"xy"),
    "span": (timedelta(days=1), "P1D"),
    "infinite decimal": (Decimal("-Infinity"), -float("inf")),
    "nested": ({"a": [{"b": {1: (2**70, b"x")}}]}, {"a": [{"b": {"1": [2**70, b"x"]}}]}),
    "aware": (NOW, NOW),
    "naive": (datetime(2026, 1, 1), "2026-01-01T00:00:00"),  # noqa: DTZ001
    "date": (NOW.date(), "2026-03-01"),
    "numpy float": (np.float64(0.1), 0.1),
    "numpy small float": (np.float32(0.5), 0.5),
    "numpy long float": (np.longdouble(0.5), 0.5),
    "numpy int": (np.int64(-7), -7),
    "numpy bool": (np.bool_(True), True),
    "numpy text": (np.str_("x"), "x"),
    "numpy time": (np.datetime64("2026-01-01T00:00:01"), "2026-01-01T00:00:01"),
    "numpy no time": (np.datetime64("NaT", "us"), None),
    "numpy half float": (np.float16(1.5), 1.5),
    "numpy largest": (np.uint64(2**64 - 1), 2**64 - 1),
    "numpy bytes": (np.bytes_(b"x"), b"x"),
    "numpy void": (np.void(b"xyz"), b"xyz"),
    "numpy structure": (np.array([(1, "x")], "i4, U3")[0], [1, "x"]),
    "numpy span": (np.timedelta64(5, "s"), "5 seconds"),
    "numpy no span": (np.timedelta64("NaT"), None),
    "numpy array": (np.array([1.0, 2.0]), [1.0, 2.0]),
    "numpy no axes": (np.array(5), 5),
    "numpy times": (np.array(["2026-01-01", "NaT"], "M8[D]"), ["2026-01-01", None]),
    "numpy objects": (np.array([None, {"x": 1}], dtype=object), [None, {"x": 1}]),
    "numpy masked": (np.ma.array([1, 2], mask=[0, 1]), [1, None]),
    "numpy no value": (np.ma.masked, None),
    "pandas span": (pd.Timedelta("1D"), "P1D"),
    "pandas period": (pd.Period("2026-01"), "2026-01"),
    "pandas interval": (pd.Interval(0, 1), "(0, 1]"),
    "pandas category": (pd.Series(["x"], dtype="category").iloc[0], "x"),
    "pandas time": (pd.Timestamp(NOW), NOW),
    "pandas no time": (pd.NaT, None),
    "pandas missing": (pd.NA, None),
}

# What cannot be kept is replaced by a marker.
REPLACED = {
    "silent": Silent(),
    "object": object(),
    "locked": Locked(),
    "masked": Masked(),
    "zone": datetime(2026, 1, 1, tzinfo=Zoneless()),
    "odd enum": Colour.ODD,
    "generator": (letter for letter in "abc"),
    "class": int,
    "signaling": Decimal("sNaN"),
    "huge": 10**5000,
    "large array": np.zeros(100_000),
    "series": pd.Series([1, 2]),
    "cycle": cycle(),
    "deep": nested(3000),
    "a little deep": nested(500),
    "poison": msgspec.msgpack.Ext(-1, b"no timestamp"),
    "object array": np.array([Silent()], dtype=object),
    "inside": {"list": [1, object()]},
    "lock": threading.Lock(),
    "module": enum,
    "exception": ValueError("x"),
    "unnamed": Unnamed(),
    "structure": np.array([(1, 1j)], "i4, c16")[0],
    "complex": np.complex64(1j),
    "categories": pd.Categorical(["x"]),
    "memory": Exhausting(),
    "forgetful": datetime(2026, 1, 1, tzinfo=Forgetful()),
}

# By what name, where it is not "object".
TYPES = {
    "silent": "Silent",
    "locked": "Locked",
    "masked": "Masked",
    "zone": "datetime",
    "odd enum": "Colour",
    "unnamed": "Unnamed",
    "complex": "complex64",
    "generator": "generator",
    "class": "type",
    "signaling": "Decimal",
    "huge": "int",
    "large array": "ndarray",
    "series": "Series",
    "cycle": "list",
    "deep": "dict",
    "a little deep": "dict",
    "poison": "value",
    "object array": "Silent",
    "lock": "lock",
    "module": "module",
    "exception": "ValueError",
    "structure": "void",
    "categories": "Categorical",
    "memory": "Exhausting",
    "forgetful": "datetime",
}


@pytest.mark.parametrize(("value", "expected"), KEPT.values(), ids=KEPT.keys())
def test_a_value_is_kept(value, expected):
    """What people put into features comes out as what it means."""
    told = Told()
    told.predict({"value": value, "beside": 1}, value)

    (event,) = told.events
    assert event[5] == {"value": expected, "beside": 1}
    assert type(event[5]["value"]) is type(expected)
    assert event[6] == expected
    assert told.recorder.stats.noted == {}


def test_missing_is_not_none_is_not_nan():
    """A missing feature, None, NaN and the infinities stay apart."""
    told = Told()
    told.predict({"nan": float("nan"), "numpy": np.float64("nan"), "none": None, "inf": np.inf})

    (features,) = told.features
    assert features["nan"] != features["nan"]
    assert features["numpy"] != features["numpy"]
    assert (features["none"], features["inf"]) == (None, np.inf)
    assert "missing" not in features


@pytest.mark.parametrize("name", REPLACED)  # by name: pytest itself falls over some of them
def test_a_value_that_cannot_be_kept_costs_nothing_else(name):
    """The record stays, with the other values, a marker in place of the bad one, and a count."""
    told = Told()
    request_id = told.predict({"value": REPLACED[name], "beside": 1})

    (frame,) = told.frames
    (event,) = frame.records
    assert event[3] == request_id
    assert event[5]["beside"] == 1
    assert "<unencodable " in repr(event[5]["value"])
    assert frame.noted.pop("unencodable_value") == 1
    assert set(frame.noted) == {f"unencodable_value: {TYPES.get(name, 'object')}"}
    assert (frame.recorded, frame.dropped) == (1, {})


def test_text_that_utf8_cannot_hold_stays_readable():
    """A lone surrogate is escaped, in a value and in a name, and noted."""
    told = Told()
    told.predict({"value": "x\ud800", "\udfff": 1})

    assert told.features == [{"value": "x\\ud800", "\\udfff": 1}]
    noted = {"unencodable_value": 1, "unencodable_value: str": 2}
    assert told.recorder.stats.noted == noted


def test_what_cannot_be_kept_is_named():
    """Values are counted by type: of the first 20 types each, then of all others together."""
    told = Told()
    types = [type(f"Type{number}", (), {}) for number in range(30)]
    for _ in range(2):
        told.predict({"several": [kind() for kind in types]}, types[3]())
    named = [f"unencodable_value: Type{number}" for number in range(20)]

    assert told.recorder.stats.noted == (
        {"unencodable_value": 2, "unencodable_value: other": 20}
        | dict.fromkeys(named, 2)
        | {"unencodable_value: Type3": 4}
    )


@pytest.mark.parametrize("place", ["features", "prediction", "probability", "error", "segment"])
def test_a_lack_of_memory_costs_one_value(place):
    """MemoryError while a value is encoded is no other fault than any: the record is kept."""
    told = Told()
    for value in (Exhausting(), {"in": Exhausting()}, datetime(2026, 1, 1, tzinfo=Forgetful())):
        assert told.predict(**{place: value})
        told.learn("id", value)

    assert len(told.events) == 6
    assert told.recorder.stats.dropped == {}


ANYTHING_AT_ALL = [*(value for value, _ in KEPT.values()), *REPLACED.values(), "\ud800"]


@pytest.mark.parametrize("place", [
    "features", "prediction", "probability", "request_id", "model_version", "latency_ms", "error",
    "segment", "timestamp",
])  # fmt: skip
def test_nothing_is_raised_whatever_is_where(place):
    """Any object in any argument: an id comes back, a record is kept, nothing is raised."""
    told = Told()
    ids = [told.predict(**{place: value}) for value in ANYTHING_AT_ALL]

    assert [event[3] for event in told.events] == [
        str(name).encode("utf-8", "backslashreplace").decode() for name in ids
    ]
    for _, model, version, request_id, time, features, _, _, took, error, segment in told.events:
        assert (model, type(version), type(request_id)) == ("m", str, str)
        assert time.tzinfo is not None
        assert type(features) is dict
        assert took is None or took >= 0
        assert error is None or type(error) is str
        assert segment is None or type(segment) is str


def test_nothing_is_raised_whatever_the_outcome_is():
    """Any object as an outcome or its id is kept, or counted as empty where it is None."""
    told = Told()
    for value in ANYTHING_AT_ALL:
        told.learn("id", value)
        told.learn(value, 1)
        told.learn("id", 1, timestamp=value)

    nothing = sum(value is None for value in ANYTHING_AT_ALL)
    assert told.recorder.stats.dropped == {
        "empty_outcome": nothing,
        "empty_request_id": nothing,
    }
    assert len(told.events) == 3 * len(ANYTHING_AT_ALL) - 2 * nothing


def test_a_real_wish_to_stop_gets_through():
    """Ctrl-C during a call is the host's own, and is not taken for a fault of an object."""
    told = Told()

    class Once(tzinfo):
        asked = 0

        def utcoffset(self, moment):
            Once.asked += 1
            if Once.asked == 1:
                raise KeyboardInterrupt  # as a signal handler would, just now and never again
            return timedelta(0)

    with pytest.raises(KeyboardInterrupt):
        told.predict({"time": datetime(2026, 1, 1, tzinfo=Once())})
    assert told.recorder.stats.recorded == 0


def test_what_the_host_changes_later_changes_nothing():
    """Features are taken at the call."""
    told = Told()
    features = {"a": 1, "list": [1]}
    told.predict(features)
    features["a"] = 2
    features["list"].append(2)

    assert told.features == [{"a": 1, "list": [1]}]


@pytest.mark.parametrize(
    "row",
    [
        (1, 2.5),
        [1, 2.5],
        np.array([1, 2.5]),
        np.array([[1, 2.5]]),
        pd.Series({"a": 1, "b": 2.5}),
        type("Row", (dict,), {})(a=1, b=2.5),
    ],
    ids=["tuple", "list", "array", "row of a matrix", "series", "dict subclass"],
)
def test_features_may_come_in_order(row):
    """A sequence, an array or a pandas row is as good as a mapping."""
    told = Told(feature_names=("a", "b"))
    told.predict(row)

    assert told.features == [{"a": 1, "b": 2.5}]
    assert told.recorder.stats.noted == {}


@pytest.mark.parametrize(
    ("features", "reason"),
    [
        ((1, 2, 3), "feature_count"),
        (np.zeros(5), "feature_count"),
        ("ab", "bad_features"),
        (7, "bad_features"),
        (np.zeros((2, 2)), "bad_features"),
        (pd.DataFrame({"a": [1], "b": [2]}), "bad_features"),
        (Locked(), "bad_features"),
    ],
    ids=["longer", "array", "text", "number", "matrix", "frame", "locked"],
)
def test_features_that_are_none_are_noted(features, reason):
    """The prediction is kept without features, and counted under a reason that says why."""
    told = Told(feature_names=("a", "b"))
    told.predict(features)

    assert told.features == [{}]
    assert told.recorder.stats.noted == {reason: 1}


@pytest.mark.parametrize(
    ("timestamp", "expected", "reason"),
    [
        (None, NOW, None),
        (NOW - timedelta(days=400), NOW - timedelta(days=400), None),
        (NOW + timedelta(minutes=5), NOW + timedelta(minutes=5), None),
        (NOW.astimezone(timezone(timedelta(hours=5))), NOW, None),
        (pd.Timestamp(NOW), NOW, None),
        (NOW + timedelta(minutes=6), NOW, "future"),
        (datetime(2026, 3, 1), datetime(2026, 3, 1, tzinfo=UTC), "naive_timestamp"),  # noqa: DTZ001
        (pd.NaT, NOW, "bad_timestamp"),
        ("2026-03-01", NOW, "bad_timestamp"),
        (1.7e9, NOW, "bad_timestamp"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=5))), NOW, "bad_timestamp"),
        (datetime(2026, 3, 1, tzinfo=Zoneless()), NOW, "bad_timestamp"),
    ],
    ids=[
        "none",
        "past",
        "5 minutes",
        "offset",
        "pandas",
        "6 minutes",
        "naive",
        "no time",
        "text",
        "number",
        "first year",
        "zone",
    ],
)
def test_a_timestamp_becomes_a_moment_in_utc(timestamp, expected, reason):
    """What is no moment, or lies ahead of the clock, becomes the clock's time and is counted."""
    told = Told()
    request_id = told.predict(timestamp=timestamp)
    told.learn(request_id, 1, timestamp=timestamp)

    prediction, outcome = told.events
    assert (prediction[4], outcome[3]) == (expected, expected)
    assert told.recorder.stats.noted == ({} if reason is None else {reason: 2})


def test_a_prediction_has_the_time_of_the_wall_clock():
    """Without a clock of the host's own the time is now, in UTC, to the microsecond."""
    told = Told()
    told.recorder = Recorder(told.spool, CaptureOptions(flush_interval=NEVER), utc_now)
    before = utc_now()
    told.predict()
    ((*_, time),) = [event[:5] for event in told.events]
    assert before - timedelta(microseconds=1) <= time <= utc_now()
    assert time.tzinfo is UTC


@pytest.mark.parametrize(
    "latency",
    [-1.0, float("nan"), float("inf"), "12", True, Silent()],
    ids=["negative", "nan", "inf", "text", "bool", "silent"],
)
def test_a_latency_that_is_none_is_noted(latency):
    """The record stays without its latency."""
    told = Told()
    told.predict(latency_ms=latency)

    assert told.events[0][8] is None
    assert told.recorder.stats.noted == {"bad_latency": 1}


@pytest.mark.parametrize("latency", [0, 12, 0.5, np.float32(0.5), Decimal("0.5")])
def test_a_latency_is_any_number(latency):
    """Integers and numpy's numbers will do."""
    told = Told()
    told.predict(latency_ms=latency)

    assert told.events[0][8] == float(latency)


def test_an_exception_is_an_error_in_words():
    """`error` takes the exception itself."""
    told = Told()
    told.predict(error=ValueError("no such customer"))

    assert told.events[0][9] == "ValueError: no such customer"


def test_ids_are_given_or_made():
    """A given id is kept, as text; a made one never repeats."""
    told = Told()
    assert told.predict(request_id="mine") == "mine"
    assert told.predict(request_id=17) == "17"
    assert told.predict(request_id=Text("text")) == "text"
    made = {told.predict() for _ in range(1000)} | {Told().predict() for _ in range(100)}

    assert len(made) == 1100


def test_an_event_has_the_shape_that_ingest_reads():
    """The fields of a prediction and of an outcome, in their order."""
    told = Told()
    told.predict({"a": 1}, "yes", probability=0.9, request_id="i", latency_ms=1.5, segment="eu")
    told.learn("i", "no")

    assert told.events == [
        ["p", "m", "1", "i", NOW, {"a": 1}, "yes", 0.9, 1.5, None, "eu"],
        ["o", "m", "i", NOW, "no"],
    ]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda told: told.predict(features="no features"), "bad_features"),
        (lambda told: told.predict(timestamp="today"), "bad_timestamp"),
        (lambda told: told.predict(latency_ms=-1), "bad_latency"),
        (lambda told: told.predict({"a": object()}), "unencodable_value"),
        (lambda told: told.predict({"a": "x" * 10**6}), "too_large"),
        (lambda told: told.learn("id", None), "empty_outcome"),
        (lambda told: (told.recorder.close(), told.predict()), "shutdown"),
    ],
)
def test_strict_raises_for_bad_input(call, reason):
    """In tests a mistake is an error that names the reason, and is not counted."""
    told = Told(strict=True)

    with pytest.raises(DataError, match=f"^{reason}: "):
        call(told)
    assert told.recorder.stats == CaptureStatistics()


def test_a_record_that_is_too_large_is_dropped():
    """Ten megabytes of text are counted, and the next record is taken."""
    told = Told()
    assert told.predict({"a": "x" * 10**7})
    told.predict({"a": 1})

    assert told.features == [{"a": 1}]
    assert told.frames[0].dropped == {"too_large": 1}
    assert told.frames[0].recorded == 2


class ClosedDoor(MemorySpool):
    """A spool that can be shut, as a full disk is."""

    shut = False

    def append(self, records, recorded, dropped, noted):
        if self.shut:
            raise SpoolError("the door is shut")
        super().append(records, recorded, dropped, noted)


def test_memory_is_bounded_and_outcomes_have_a_reserve():
    """With the spool down the newest are dropped at the bound, and labels a little later."""
    told = Told(spool=ClosedDoor(), max_bytes=20_000)
    told.spool.shut = True
    for _ in range(2000):
        told.predict({"a": "x" * 100})
    stats = told.recorder.stats
    kept = stats.recorded - sum(stats.dropped.values())

    assert 19_000 < stats.queue_bytes <= 20_000
    assert stats.noted == {"missed_predictions": 2000 - kept}
    assert not told.recorder.flush()
    told.learn("id", 1)
    assert told.recorder.stats.recorded == 2001
    assert told.recorder.stats.dropped == stats.dropped
    assert told.recorder.stats.last_error == "the door is shut"
    told.spool.shut = False
    assert len(told.events) == kept + 1
    assert told.recorder.stats.queue_bytes == 0


def test_from_half_full_on_a_random_sample_is_kept():
    """Up to half of the bound all are kept, then a share that sinks from all to an eighth."""
    told = Told(spool=ClosedDoor(), max_bytes=2_000_000)
    told.spool.shut = True
    half = 0
    while told.recorder.stats.queue_bytes <= 1_000_000:
        told.predict({"a": "x" * 100})
        half += 1
    assert not told.recorder.stats.dropped
    for _ in range(10_000):
        told.predict({"a": "x" * 100})
    dropped = told.recorder.stats.dropped["thinned"]
    fill = told.recorder.stats.queue_bytes / 2_000_000
    # With a share of 2 (1 - x) kept, x rises from 1/2 as 1 - exp(-2 n / N) / 2 over n arrivals.
    expected = 1 - math.exp(-10_000 / half) / 2

    assert abs(fill - expected) < 0.02
    assert dropped == 10_000 - (told.recorder.stats.recorded - dropped - half)


@pytest.mark.parametrize("period", [2, 3, 5, 7, 8, 10, 16, 60, 100])
def test_a_sample_of_periodic_traffic_is_no_sample_of_a_phase(period):
    """Every phase of a period is kept alike: chi-square does not tell them apart."""
    kept = [number for number in range(80_000) if keeps(number, 7, 8)]
    phases = np.bincount(np.array(kept) % period, minlength=period)

    assert abs(len(kept) - 20_000) < 4 * math.sqrt(80_000 * 0.25 * 0.75)
    assert chisquare(phases).pvalue > 1e-4


def test_the_outcome_of_a_dropped_prediction_is_told_apart():
    """What was learnt of a prediction that is nowhere is counted as that, whatever dropped it."""
    told = Told(max_bytes=2_000, max_record_bytes=1_000, flush_interval=NEVER)
    large = told.predict({"a": "x" * 2_000})
    ids = [told.predict({"a": "x" * 100}) for _ in range(60)]
    for request_id in (*ids, large):
        told.learn(request_id, 1)
    stats = told.recorder.stats
    lost = stats.noted["missed_predictions"]
    known = {event[3] for event in told.events if event[0] == "p"}
    learnt = {event[2] for event in told.events if event[0] == "o"}

    assert stats.dropped["too_large"] == 1
    assert stats.dropped["outcome_of_dropped"] == lost == 61 - len(known)
    assert learnt <= known


def test_an_id_that_comes_again_and_is_dropped_keeps_its_outcome():
    """What is learnt of an id of the caller's own is kept: an earlier prediction may have it."""
    told = Told(max_record_bytes=1_000)
    told.predict({"a": 1}, request_id="mine")
    told.predict({"a": "x" * 2_000}, request_id="mine")
    told.learn("mine", 1)

    assert [event[0] for event in told.events] == ["p", "o"]
    assert told.recorder.stats.dropped == {"too_large": 1}


def test_a_full_spool_is_a_reason_of_its_own():
    """At the bound of memory, records are dropped for the reason that the spool is full."""
    told = Told(spool=MemorySpool(10_000), max_bytes=5_000, max_spool_bytes=10_000)
    for _ in range(300):
        told.predict({"a": "x" * 100})
        told.recorder.flush()
    stats = told.recorder.stats

    assert stats.dropped.keys() == {"thinned", "spool_full"}
    assert "10,000 bytes" in stats.last_error
    for segment in told.spool.segments():
        told.spool.remove(segment)
    assert told.recorder.flush()


def test_every_frame_carries_what_happened_since_the_last():
    """Drops and notes are in the spool, each once, also when there is no record to go with them."""
    told = Told()
    told.predict(latency_ms=-1)
    told.recorder.flush()
    told.learn("id", None)
    told.recorder.flush()
    told.recorder.flush()
    told.predict()

    assert [(len(f.records), f.recorded, f.dropped, f.noted) for f in told.frames] == [
        (1, 1, {}, {"bad_latency": 1}),
        (0, 1, {"empty_outcome": 1}, {}),
        (1, 1, {}, {}),
    ]


def test_large_batches_are_cut_into_frames():
    """No frame is larger than a thousand records or a quarter of a megabyte."""
    told = Told(spool=ClosedDoor())
    told.spool.shut = True  # so that the thread does not write meanwhile
    for number in range(2500):
        told.predict({"n": number})
    for _ in range(20):
        told.predict({"text": "x" * 50_000})
    told.spool.shut = False

    sizes = [len(frame.records) for frame in told.frames]
    assert sizes[:2] == [1000, 1000]
    assert max(sizes[3:]) <= 5
    assert [features.get("n") for features in told.features] == [*range(2500), *[None] * 20]


def test_eight_threads_lose_nothing(tmp_path):
    """Every record of every thread is in the spool or counted, and no id comes twice."""
    spool = DiskSpool(tmp_path)
    told = Told(spool, max_bytes=500_000, flush_interval=timedelta(milliseconds=1))
    ids = [[] for _ in range(8)]

    def work(mine):
        for number in range(5000):
            mine.append(told.predict({"n": number, "text": "x" * 20}))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.recorder.close()
    frames = [frame for segment in spool.segments() for frame in spool.read(segment, 0)]
    stored = [event[3] for frame in frames for event in frame.records]
    dropped = sum(sum(frame.dropped.values()) for frame in frames)

    assert len(set().union(*ids)) == 40_000
    assert len(set(stored)) == len(stored)
    assert set(stored) <= set().union(*ids)
    assert len(stored) + dropped == sum(frame.recorded for frame in frames) == 40_000
    assert told.recorder.stats.queue_bytes == 0


def test_features_may_change_while_they_are_recorded():
    """A dict that another thread changes all the time is recorded as it was at some moment."""
    told = Told()
    features = {f"f{number}": number for number in range(50)}
    done = threading.Event()

    def disturb():
        number = 0
        while not done.is_set():
            features[f"new{number % 100}"] = object()
            features.pop(f"new{(number - 50) % 100}", None)
            number += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    for _ in range(500):
        told.predict(features)
    done.set()
    thread.join()

    assert len(told.events) == 500
    assert all(
        features[f"f{number}"] == number for features in told.features for number in range(50)
    )


def test_the_thread_writes_without_being_asked(tmp_path):
    """Nobody flushes: after the flush interval, records are in the spool."""
    spool = DiskSpool(tmp_path)
    told = Told(spool, flush_interval=timedelta(milliseconds=5))
    told.predict()

    waiting = threading.Event()
    for _ in range(2000):
        if spool.segments() and told.recorder.stats.queue_bytes == 0:
            break
        waiting.wait(0.005)
    assert len(list(spool.read(spool.segments()[0], 0))) == 1


def test_a_failing_spool_is_tried_again(caplog):
    """While the spool fails nothing waiting is lost, the log stays quiet, and it recovers."""
    told = Told(spool=ClosedDoor(), flush_interval=timedelta(milliseconds=1))
    told.spool.shut = True
    ids = [told.predict() for _ in range(3000)]
    for _ in range(20):
        assert not told.recorder.flush(timeout=1)
    told.spool.shut = False

    assert [event[3] for event in told.events] == ids
    warnings = [record.getMessage() for record in caplog.records if record.name == "mlwatch"]
    assert len(warnings) == 1
    assert warnings[0].endswith("failures to write the spool: the door is shut")


def test_the_log_is_told_each_reason_once(caplog):
    """Recording itself never logs; flushing tells each reason with its count, once a minute."""
    told = Told()
    for _ in range(100):
        told.learn("id", None)
        told.predict(latency_ms=-1)
    assert caplog.records == []
    told.recorder.flush()
    told.learn("id", None)
    told.recorder.flush()

    assert sorted(record.getMessage() for record in caplog.records) == [
        "100 records were dropped (empty_outcome)",
        "100 times in what was recorded: bad_latency",
    ]


def test_a_log_handler_may_record(caplog):
    """A handler that records each line of the log neither deadlocks nor feeds itself."""
    told = Told()

    class Recording(logging.Handler):
        def emit(self, record):
            told.predict(latency_ms=-1, error=record.getMessage())
            told.recorder.flush(timeout=1)

    handler = Recording()
    logging.getLogger("mlwatch").addHandler(handler)
    try:
        told.predict(latency_ms=-1)
        told.recorder.flush()
    finally:
        logging.getLogger("mlwatch").removeHandler(handler)
    assert len(told.events) == 2


def test_a_closed_recorder_counts_and_still_gives_ids():
    """After close nothing is taken, nothing raised; closing twice is closing once."""
    told = Told()
    told.predict()
    assert told.recorder.close()
    assert told.recorder.close(timeout=None)
    first, second = told.predict(), told.predict(request_id="mine")
    told.learn("mine", 1)

    assert first
    assert second == "mine"
    assert told.recorder.stats.dropped == {"shutdown": 3}
    assert len(told.events) == 1


def test_what_never_came_to_be_a_record_is_counted():
    """Rows refused as a whole are in the account, like records that were dropped one by one."""
    told = Told()
    told.predict()
    told.recorder.refuse("shutdown", 3)

    assert told.frames[0].recorded == 4
    assert told.frames[0].dropped == {"shutdown": 3}


def test_construction_starts_nothing(tmp_path):
    """No thread, file or folder before the first record; one thread after it."""
    before = threading.active_count(), list(tmp_path.iterdir())
    told = Told(DiskSpool(tmp_path / "spool"))
    assert told.recorder.flush()
    assert told.recorder.stats == CaptureStatistics()
    assert (threading.active_count(), list(tmp_path.iterdir())) == before


@pytest.mark.skipif(not TASKS.is_dir(), reason="counts threads in /proc")
@pytest.mark.parametrize("end", ["close", "collect"])
def test_many_recorders_leave_no_thread_and_no_file(tmp_path, end):
    """Recorders that were closed, or simply forgotten, free their threads and descriptors."""

    def counts():
        return len(list(TASKS.iterdir())), len(list(DESCRIPTORS.iterdir()))

    def use(number):
        spool = DiskSpool(tmp_path / str(number))
        told = Told(spool)
        told.predict()
        if end == "close":
            told.recorder.close()
            spool.close()

    before = counts()
    for number in range(50):
        use(number)
    gc.collect()
    waiting = threading.Event()
    for _ in range(1000):
        if counts() <= before:
            break
        waiting.wait(0.01)

    assert counts() <= before
    for number in range(50):
        spool = DiskSpool(tmp_path / str(number))
        assert [len(frame.records) for frame in spool.read(spool.segments()[0], 0)] == [1]


def test_a_memory_spool_in_a_child_is_told_at_the_first_flush():
    """The wrong spool for several processes is an error where somebody looks, not silence."""
    told = Told()

    class Elsewhere(MemorySpool):
        def __init__(self):
            super().__init__()
            self._pid = -1

    told = Told(spool=Elsewhere())
    told.predict()

    with pytest.raises(SpoolError, match="serves only the process that made it"):
        told.recorder.flush()
