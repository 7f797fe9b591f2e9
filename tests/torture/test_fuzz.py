"""Payloads nobody thought of: nothing is raised, no id is lost, all is stored or counted."""

import json
from datetime import UTC, date, time
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.processes import Settled, run
from tests.torture.fuzzing import Raising, RaisingDict, RaisingText

from mlwatch import Monitor, Table
from mlwatch.records import CaptureOptions
from mlwatch.stores import MemoryStore


def objects(items):
    """Return an array of objects, none of which is asked what it is."""
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array


HOSTILE = st.one_of(
    st.builds(Raising), st.builds(RaisingText, st.text()), st.builds(RaisingDict, a=st.none())
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(st.characters()),  # lone surrogates too
    st.binary(),
    st.datetimes(timezones=st.none() | st.just(UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
    st.complex_numbers(),
    st.floats(width=32).map(np.float32),
    st.integers(-(2**63), 2**63 - 1).map(np.int64),
    st.integers(-(2**40), 2**40).map(lambda number: np.datetime64(number, "s")),
    st.sampled_from([pd.NA, pd.NaT, ..., NotImplemented, int, len, Decimal("sNaN"), date, time]),
    HOSTILE,
)
KEYS = st.one_of(st.text(), st.integers(), st.none(), st.binary(), st.builds(Raising))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(KEYS, inner, max_size=5),
        st.tuples(inner, inner),
        st.lists(inner, max_size=3).map(objects),
        st.lists(inner, max_size=3).map(iter),
        st.dictionaries(st.text(), inner, max_size=3).map(RaisingDict),
    ),
    max_leaves=12,
)


def watched():
    """Return a monitor in memory, and its store."""
    store = MemoryStore()
    return Monitor(store=store, model="m", capture=CaptureOptions(spool="memory")), store


OPTIONAL = ("probability", "request_id", "model_version", "latency_ms", "error", "segment")
CALLS = st.fixed_dictionaries({"features": VALUES, "prediction": VALUES}, optional=dict.fromkeys(
    (*OPTIONAL, "timestamp"), VALUES))  # fmt: skip


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.lists(CALLS, min_size=1, max_size=5), st.lists(VALUES, max_size=3))
def test_any_argument_is_taken(calls, outcomes):
    """Whatever stands for any argument: an id comes back, and the account is exact."""
    monitor, store = watched()
    ids = [monitor.record_prediction(**call) for call in calls]
    for request_id, outcome in zip(ids, outcomes, strict=False):
        monitor.record_outcome(request_id, outcome)
    monitor.record_outcome(outcomes, ids)
    monitor.flush(ingest=True)
    status = monitor.status()
    stored = [row.request_id for row in store.read(Table.predictions)]
    handed = len(ids) + min(len(ids), len(outcomes)) + 1

    assert all(type(request_id) is str for request_id in ids)
    assert status.recorded == handed
    assert status.stored + sum(status.dropped.values()) == handed
    assert len(set(stored)) == len(stored)
    assert set(stored) <= set(ids)


FATES = {
    "bad_batch", "duplicate", "empty_outcome", "empty_request_id", "outcome_of_dropped",
    "too_large", "unequal_columns",
}  # fmt: skip
"""Why a payload may be dropped where there is room for all."""

MANY = """
import json, random
from tests.torture.fuzzing import call

quiet()
redact = {{"f1": "drop", "f2": "hash", "f3": "mask", "f4": lambda value: value[:2]}}
plain = monitor(max_bytes=2**28)
redacted = monitor(max_bytes=2**28, redact=redact, redact_key="k" * 32)
source = random.Random(7)
ids, handed = [], 0
for number in range({count}):
    known_as, records = call(source.choice((plain, redacted)), source)
    ids += known_as
    handed += records
    if number % 1000 == 0:
        plain.flush(), redacted.flush()
print(handed, all(type(it) is str for it in ids), plain.close(), redacted.close())
(folder / "ids").write_text(json.dumps(ids))
"""


def test_a_million_random_payloads_lose_no_id(tmp_path, scale):
    """By whatever verb it comes, every random payload is stored or counted, and ids come back."""
    count = scale(20_000, 1_000_000)
    printed = run(MANY.format(count=count), tmp_path, cwd=Path(__file__).parents[2])
    handed, *fine = printed.split()
    settled = Settled(tmp_path)
    told = set(json.loads((tmp_path / "ids").read_text()))
    generated = {it for it in settled.ids if it not in told}

    assert fine == ["True", "True", "True"]
    assert settled.ingested, settled.error
    assert settled.recorded == int(handed) > count
    assert settled.stored + sum(settled.dropped.values()) == int(handed)
    assert len(settled.ids) == len(set(settled.ids))
    assert settled.dropped.keys() <= FATES
    assert len(generated) < count / 10  # of watched functions, whose ids nobody hears
    assert settled.stored > int(handed) * 0.8
