"""The encoding of records that all stores share."""

from __future__ import annotations

import json
import math
import signal
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stores.rows import NOON, prediction

from mlwatch.errors import DataError, StoreError
from mlwatch.records import Pane, Prediction, pack
from mlwatch.stores._encoding import (
    JSONTally,
    decode,
    encode,
    from_plain,
    tallies_from_json,
    time_text,
    to_json,
    to_plain,
)
from mlwatch.stores._sqlite_schema import LAYOUTS
from mlwatch.testing._store_samples import VALUES, one_of_each

TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["$", "$$", "$nan", "$text:"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | TEXT
    | st.binary()
    | st.datetimes(timezones=st.none() | st.timezones(), allow_imaginary=False)
)
FREE = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=8
)
TIMES = st.datetimes(
    min_value=datetime(1, 1, 3),  # noqa: DTZ001
    max_value=datetime(9999, 12, 29),  # noqa: DTZ001
    timezones=st.timezones(),
    allow_imaginary=False,
)


def alike(one, other):
    """Compare with types, NaN being like NaN."""
    if isinstance(one, datetime):
        return isinstance(other, datetime) and one.isoformat() == other.isoformat()
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return one == other


def through_json(plain):
    return json.loads(msgspec.json.encode(plain))


@given(FREE)
def test_a_free_value_comes_back(value):
    """Any value of the kinds that are kept comes back the same through JSON."""
    assert alike(decode(through_json(encode(value))), value)


@given(FREE, st.dictionaries(TEXT, FREE), TEXT)
def test_a_record_comes_back_through_both_forms(value, features, name):
    """A record comes back the same through a line of JSON and through cells of SQLite."""
    row = prediction(name, features=features, prediction=value)
    plain = {"key": encode(row.key), **to_plain(row)}
    layout = next(iter(LAYOUTS.values()))
    for form in (through_json(plain), layout.from_cells(tuple(layout.to_cells(plain)))):
        back = from_plain(Prediction, form)
        assert alike(back.prediction, value)
        assert alike(back.features, features)
        assert back.request_id == name


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_awkward_values_come_back(value):
    """Values that are easily taken for one another come back each as itself."""
    assert alike(decode(through_json(encode(value))), value)


@pytest.mark.parametrize("row", one_of_each().values(), ids=lambda row: type(row).__name__)
def test_every_record_is_plain_json(row):
    """Every record is plain JSON in the encoding and comes back equal, with its types."""
    back = from_plain(type(row), through_json(to_plain(row)))
    assert back == row
    assert [type(getattr(back, name)) for name in row.__dataclass_fields__] == [
        type(getattr(row, name)) for name in row.__dataclass_fields__
    ]


@given(TIMES, TIMES)
def test_the_order_of_text_is_the_order_of_time(one, other):
    """Declared times are text of one width in UTC whose order is that of time."""
    assert len(time_text(one)) == len("2013-03-01T12:00:00.000000Z")
    assert (time_text(one) < time_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))
    assert datetime.fromisoformat(time_text(one)) == one.astimezone(UTC)


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=40_000)))
def test_spans_come_back(span):
    """A span comes back to the microsecond, and whole seconds are an integer."""
    row = Pane(model="m", time=NOON, span=span, tallies={})
    assert from_plain(Pane, through_json(to_plain(row))).span == span


def test_missing_none_and_nan_stay_apart():
    """An absent feature, None and NaN are three things."""
    encoded = encode({"none": None, "nan": math.nan})
    assert encoded == {"none": None, "nan": "$nan"}
    back = decode(through_json(encoded))
    assert back["none"] is None
    assert math.isnan(back["nan"])
    assert "missing" not in back


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (np.float64("nan"), "$nan"),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (np.str_("$x"), "$$x"),
        (np.array(3), 3),
        (signal.SIGTERM, 15),
        (bytearray(b"x"), "$bytes:eA=="),
        (pd.Timestamp(NOON), "$time:2013-03-01T12:00:00+00:00"),
        ((1, (2,)), [1, [2]]),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
    ],
    ids=ascii,
)
def test_what_is_close_to_a_plain_value_becomes_one(value, wanted):
    """Numpy scalars, tuples, and keys that are no text become the plain value they stand for."""
    encoded = encode(value)
    assert encoded == wanted
    assert type(encoded) is type(wanted)


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, Decimal("0.1"), 1j, np.array([1, 2]), pd.NaT, [object()], {"deep": {1}}],
    ids=ascii,
)
def test_what_cannot_be_kept_is_named(value):
    """A value of another kind is refused, and the error names the record and the field."""
    with pytest.raises(DataError, match=r"Prediction 'm/r': features: .*cannot be kept; give"):
        to_plain(prediction("r", features={"x": value}))


def test_nesting_without_end_is_refused():
    """A value that holds itself is refused, not followed for ever."""
    loop = []
    loop.append(loop)
    with pytest.raises(DataError, match="features: is nested too deep"):
        to_plain(prediction("r", features={"x": loop}))


@pytest.mark.parametrize("time", [NOON.replace(tzinfo=None), "2013-03-01", None])
def test_a_time_without_a_zone_is_refused(time):
    """A naive time would mean another moment on another host."""
    with pytest.raises(DataError, match=r"time: .* is not a timezone-aware datetime"):
        to_plain(prediction("r", time=time))


def test_a_span_that_is_none_is_refused():
    """A number is not a span."""
    with pytest.raises(DataError, match="span: 60 is not a timedelta"):
        to_plain(Pane(model="m", time=NOON, span=60, tallies={}))


@pytest.mark.parametrize(
    "change",
    [{"time": "noon"}, {"time": 3}, {"prediction": "$what"}, {"prediction": "$bytes:?"}],
    ids=str,
)
def test_what_is_not_in_the_encoding_is_an_error(change):
    """A row that the encoding cannot have made is a StoreError that shows it."""
    with pytest.raises(StoreError, match="a row is not a Prediction"):
        from_plain(Prediction, to_plain(prediction("r")) | change)


def test_a_row_that_lacks_a_field_is_an_error():
    """A field that has no default cannot be absent."""
    with pytest.raises(StoreError, match="a row is not a Prediction"):
        from_plain(Prediction, {"model": "m"})


def test_another_zone_is_the_same_moment():
    """Times of other zones are kept as UTC."""
    east = timezone(timedelta(hours=5, minutes=45))
    assert time_text(NOON.astimezone(east)) == "2013-03-01T12:00:00.000000Z"


@pytest.mark.parametrize(
    ("count", "width"),
    [
        (127, "i1"),
        (-128, "i1"),
        (128, "i2"),
        (-129, "i2"),
        (-(2**15), "i2"),
        (2**15, "i4"),
        (-(2**31), "i4"),
        (2**31, "i8"),
    ],
)
def test_many_cells_take_as_few_bytes_as_hold_them(count, width):
    """An array of cells is kept in the smallest integers that hold it, and comes back equal."""
    counts = {str(cell): cell + 1 for cell in range(60)} | {"59": count, "nan": 2}
    encoded = json.loads(to_json({"x": pack(counts), "y": {"1": 2}}))
    assert (encoded["x"][0], encoded["x"][2]) == (width, {"nan": 2})
    typed = msgspec.convert(encoded, dict[str, JSONTally])
    assert tallies_from_json(typed) == {"x": counts, "y": {"1": 2}}


def test_nothing_else_becomes_json():
    """What is not in the encoding is refused and not guessed at."""
    with pytest.raises(NotImplementedError, match="object is not in the encoding"):
        to_json({"x": object()})
