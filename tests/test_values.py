"""Values of every kind, from the host's hands into each store and back."""

import math
import sys
from collections import Counter

import pytest
from tests.processes import Account, run
from tests.service import STORES, make_store
from tests.test_recorder import KEPT, REPLACED

from mlwatch import CaptureOptions, Monitor, Table


def same(one, two):
    """Return whether two values are equal and of one type, NaN among them."""
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, float) and isinstance(two, float) and math.isnan(one):
        return math.isnan(two)
    return type(one) is type(two) and one == two


NOT_A_NUMBER = {"nan": (float("nan"), float("nan")), "nans": ([math.nan, None, math.inf],) * 2}


@pytest.mark.parametrize("kind", STORES)
def test_what_is_kept_is_read_back(tmp_path, kind):
    """A feature, a prediction, a probability and an outcome come out of the store as they mean."""
    kept = KEPT | NOT_A_NUMBER
    store = make_store(kind, tmp_path)
    with Monitor(store=store) as monitor:
        for name, (value, _) in kept.items():
            monitor.record_prediction(
                {"value": value, "beside": 1}, value, probability=value, request_id=name
            )
            monitor.record_outcome(name, value)
        assert monitor.flush(ingest=True)
        rows = {row.request_id: row for row in store.read(Table.predictions)}
        truths = {row.request_id: row.outcome for row in store.read(Table.outcomes)}
        status = monitor.status()

    nothing = sum(value is None for value, _ in kept.values())
    assert status.dropped == {"empty_outcome": nothing}
    assert not [name for name in status.noted if name.startswith("unencodable_value")]
    for name, (_, expected) in kept.items():
        row = rows[name]
        assert same(row.features, {"value": expected, "beside": 1}), name
        assert same(row.prediction, expected), name
        assert same(row.probability, expected), name
        # What is None to the store only, such as NaT, says nothing of the prediction either.
        assert same(truths.get(name), expected), name


@pytest.mark.parametrize("kind", STORES)
def test_what_cannot_be_kept_is_told_by_all_workers(tmp_path, kind):
    """No record is lost for one bad value, and the status names the types, of every worker."""
    store = make_store(kind, tmp_path)
    for worker in range(2):
        capture = CaptureOptions(spool=tmp_path / f"spool{worker}")
        monitor = Monitor(store=store, capture=capture)
        for name, value in REPLACED.items():
            monitor.record_prediction({"value": value}, 0.5, request_id=f"{name} {worker}")
        assert monitor.flush(ingest=True)
    status = monitor.status()
    rows = list(store.read(Table.predictions))
    store.close()

    assert len(rows) == status.stored == status.recorded == 2 * len(REPLACED)
    assert all("<unencodable " in repr(row.features["value"]) for row in rows)
    assert status.noted["unencodable_value"] == 2 * len(REPLACED)
    named = Counter(status.noted)
    assert named["unencodable_value: Silent"] == 4
    assert named["unencodable_value: lock"] == 2
    assert named["unencodable_value: dict"] == 4  # found only when it was read


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_a_real_lack_of_memory_costs_one_value(tmp_path):
    """With no memory left to encode a large text, its record is kept with a marker in its place."""
    printed = run(
        """
        import resource

        into = recorder()
        record(into)  # starts the thread
        large = "x" * (300 * 2**20)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + 100 * 2**20, resource.RLIM_INFINITY))
        try:
            large.encode()
        except MemoryError:
            print("no memory")
        ids = [record(into, {"large": large, "beside": n}, f"id{n}") for n in range(20)]
        into.outcome("id1", large, "m", None)
        into.prediction({"beside": 1}, large, large, large, "m", large, None, large, large, None)
        assert ids == [f"id{n}" for n in range(20)]
        print(dict(into.stats.dropped))
        """,
        tmp_path,
    )
    account = Account(tmp_path)

    assert printed.splitlines() == ["no memory", "{}"]
    assert account.balanced
    assert account.ids[1:21] == [f"id{n}" for n in range(20)]
    assert account.records[1][5] == {"large": "<unencodable str>", "beside": 0}
    assert account.noted["unencodable_value: str"] >= 20
