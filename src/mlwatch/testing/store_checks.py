"""The check that a store keeps the contract of `MetricStore`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from mlwatch._guard import attempt
from mlwatch.errors import ConflictError
from mlwatch.protocols import MetricStore
from mlwatch.records import Batch, Metric, Prediction, Record, Table
from mlwatch.testing import _store_samples as samples
from mlwatch.testing._store_samples import DAY, EAST, HOUR, NOON
from mlwatch.testing.size_checks import says_how_large_it_is


def check_store(
    make: Callable[[], MetricStore],
    *,
    reopen: Callable[[Any], MetricStore] | None = None,
) -> None:
    """Check that a store keeps its contract, with plain asserts.

    Args:
        make: Returns a fresh, empty store at each call.
        reopen: Returns a second handle on the data of a store that `make` made; given, it is
            also checked that what one handle wrote holds for the other.

    Raises:
        AssertionError: A promise is broken; the message says which.
    """
    for check in _CHECKS:
        _run(check, make())
    store = make()
    store.close()
    store.close()
    if reopen is not None:
        first = make()
        _run(_two_handles_see_one_store, first, reopen(first))


def _run(check: Callable[..., None], *stores: MetricStore) -> None:
    try:
        check(*stores)
    except ConflictError as error:
        message = f"a batch was refused though its revisions hold: {error}"
        raise AssertionError(message) from error
    finally:
        for store in stores:
            store.close()


def _every_record_comes_back_equal(store: MetricStore) -> None:
    records = samples.one_of_each()
    store.write(Batch("all", {table: [row] for table, row in records.items()}))
    for table, row in records.items():
        found = list(store.read(table))
        assert found == [row], f"{table}: wrote {row!r}, read {found!r}"
        assert type(found[0]) is type(row), f"{table}: read a {type(found[0]).__name__}"
        assert samples.kinds(found[0]) == samples.kinds(row), (
            f"{table}: the kind of a value changed in {found}"
        )


def _special_values_come_back(store: MetricStore) -> None:
    rows = [
        samples.prediction(str(place), features={"x": value}, prediction=value)
        for place, value in enumerate(samples.VALUES)
    ]
    store.write(
        Batch("special", {Table.predictions: [*rows, samples.prediction("missing", features={})]})
    )
    found = {row.request_id: row for row in store.read(Table.predictions)}
    for place, value in enumerate(samples.VALUES):
        row = found[str(place)]
        for back in (row.features["x"], row.prediction):
            same = samples.same(back, value)
            assert same, f"a value did not come back as it went in: {value!r} became {back!r}"
    assert "x" not in found["missing"].features, "a missing feature is not one that is None"
    store.write(
        Batch("nan", {Table.metrics: [Metric("a", math.nan, time=NOON), samples.metric("b")]})
    )
    back = {row.name: row.value for row in store.read(Table.metrics)}["a"]
    assert samples.same(back, math.nan), f"a metric of NaN came back as {back!r}"


def _names_come_back(store: MetricStore) -> None:
    for number, name in enumerate(samples.NAMES):
        row = Prediction(
            model=name,
            request_id=name,
            time=NOON,
            features={name: name},
            prediction=name,
            model_version=name,
            segment=name,
        )
        store.write(Batch(f"{number} {name}", {Table.predictions: [row]}))
        asked: dict[str, Any] = {"model": name, "model_version": name, "keys": [row.key]}
        found = list(store.read(Table.predictions, **asked))
        assert found == [row], f"the name {name!r} does not come back: {found!r}"
    everything = list(store.read(Table.predictions))
    assert len(everything) == len(samples.NAMES), (
        f"names were taken for one another: {everything!r}"
    )


def _rows_are_replaced_by_key(store: MetricStore) -> None:
    store.write(Batch("1", {Table.predictions: [samples.prediction("a"), samples.prediction("b")]}))
    later = samples.prediction("a", time=NOON + 3 * DAY, prediction="later")
    store.write(Batch("2", {Table.predictions: [later]}))
    found = list(store.read(Table.predictions))
    assert found == [samples.prediction("b"), later], f"rows are not replaced by key: {found!r}"
    earlier = samples.prediction("a", time=NOON - 3 * DAY, prediction="earlier")
    store.write(Batch("3", {Table.predictions: [later, earlier]}))
    found = list(store.read(Table.predictions))
    assert found == [earlier, samples.prediction("b")], (
        f"the last row of a key does not stand: {found!r}"
    )
    gone = list(store.read(Table.predictions, since=NOON + DAY))
    assert gone == [], f"a row that was replaced is still read: {gone!r}"


def _panes_are_added(store: MetricStore) -> None:
    store.write(
        Batch("1", {Table.panes: [samples.pane({"score": {"a": 3, "b": 1}, "errors": {"n": 1}})]})
    )
    store.write(
        Batch(
            "2",
            {Table.panes: [samples.pane({"score": {"a": 2}}), samples.pane({"score": {"c": 1}})]},
        )
    )
    _assert_tallies(store, {"score": {"a": 5, "b": 1, "c": 1}, "errors": {"n": 1}})
    store.write(Batch("3", {Table.panes: [samples.pane({"score": {"a": -7, "b": -1}})]}))
    _assert_tallies(store, {"score": {"a": -2, "c": 1}, "errors": {"n": 1}})
    store.write(
        Batch("4", {Table.panes: [samples.pane({"score": {"a": 2, "c": -1}, "errors": {"n": -1}})]})
    )
    _assert_tallies(store, None)
    store.write(Batch("5", {Table.panes: [samples.pane({"score": {"a": 2**70}})]}))
    _assert_tallies(store, {"score": {"a": 2**70}})


def _panes_of_many_cells_are_added(store: MetricStore) -> None:
    wanted: dict[str, int] = {}
    for number, step in enumerate((1, 3, 100, -2)):
        delta = {str(cell): step * (cell + 1) for cell in range(number, 80 * (number + 1), 2)}
        delta |= {"missing": step, "$": 7 * step, "$nan": step, "007": step, "1000": step}
        delta |= {"12": 2**62 * step} if number == 1 else {}
        rows = {Table.panes: [samples.pane({"feature/$x": delta})]}
        store.write(Batch(str(number), rows))
        for cell, count in delta.items():
            wanted[cell] = wanted.get(cell, 0) + count
        wanted = {cell: count for cell, count in wanted.items() if count}
        (pane,) = store.read(Table.panes)
        found = {name: dict(tally) for name, tally in pane.tallies.items()}
        assert found == {"feature/$x": wanted}, f"many cells do not add: {wanted!r}, not {found!r}"
    back = {cell: -count for cell, count in wanted.items()}
    store.write(Batch("back", {Table.panes: [samples.pane({"feature/$x": back})]}))
    _assert_tallies(store, None)


def _what_cancels_out_may_be_pruned(store: MetricStore) -> None:
    for number, count in enumerate((5, 3, -8)):
        for hours in (0, 30):
            rows = {Table.panes: [samples.pane({"n": {"n": count}}, time=NOON + hours * HOUR)]}
            store.write(Batch(f"{number}/{hours}", rows))
    store.write(Batch("left", {Table.panes: [samples.pane({"n": {"n": 2}})]}))
    store.prune({Table.metrics: NOON})
    found = [pane.tallies for pane in store.read(Table.panes)]
    assert found == [{"n": {"n": 2}}], f"prune leaves panes that are not empty: {found!r}"
    store.write(Batch("more", {Table.panes: [samples.pane({"n": {"n": 1}})]}))
    _assert_tallies(store, {"n": {"n": 3}})


def _a_batch_is_written_once(store: MetricStore) -> None:
    batch = Batch(
        "once", {Table.panes: [samples.pane({"n": {"n": 1}})], Table.state: [samples.state(1)]}
    )
    again = Batch("once", batch.rows, {(Table.state, "s"): 0})
    store.write(batch)
    store.write(batch)
    (pane,) = store.read(Table.panes)
    assert pane.tallies == {"n": {"n": 1}}, f"a batch id was written twice: {pane.tallies!r}"
    store.write(again)


def _what_a_batch_expects_is_compared(store: MetricStore) -> None:
    key = (Table.state, "s")
    store.write(Batch("1", {Table.state: [samples.state(1)]}, {key: 0}))
    store.write(Batch("2", {Table.state: [samples.state(2)]}, {key: 1}))
    message = _conflict(store, Batch("3", {Table.state: [samples.state(3)]}, {key: 1}))
    for part in ("s", "1", "2"):
        assert part in message, f"a conflict names the key and both revisions: {message!r}"
    _conflict(store, Batch("4", {Table.state: [samples.state(9)]}, {key: 0}))
    _conflict(store, Batch("5", {Table.state: [samples.state(9)]}, {(Table.progress, "none/1"): 4}))
    both = {key: 2, (Table.progress, "w/1"): 0}
    store.write(
        Batch("6", {Table.state: [samples.state(3)], Table.progress: [samples.progress(7)]}, both)
    )
    found = [row.revision for row in store.read(Table.state, keys=["s"])]
    assert found == [3], f"what a batch expects is not compared: revisions {found}"
    _conflict(store, Batch("7", {Table.state: [samples.state(4)]}, {(Table.progress, "w/1"): 6}))
    store.write(Batch("7", {Table.state: [samples.state(4)]}, {(Table.progress, "w/1"): 7}))


def _a_refused_batch_writes_nothing(store: MetricStore) -> None:
    store.write(Batch("1", {Table.state: [samples.state(1)]}))
    rows: Mapping[Table, list[Record]] = {
        Table.predictions: [samples.prediction("a")],
        Table.panes: [samples.pane({"n": {"n": 1}})],
        Table.state: [samples.state(2)],
    }
    _conflict(store, Batch("2", rows, {(Table.state, "s"): 5}))
    for table in (Table.predictions, Table.panes):
        found = list(store.read(table))
        assert found == [], f"a refused batch left rows in {table}: {found!r}"
    assert next(store.read(Table.state)).revision == 1, "a refused batch changed a state"
    store.write(Batch("2", rows, {(Table.state, "s"): 1}))
    assert len(list(store.read(Table.predictions))) == 1, "the id of a refused batch is not taken"


def _a_batch_that_cannot_be_kept_writes_nothing(store: MetricStore) -> None:
    bad = samples.prediction("bad", features={"x": object()})
    rows: Mapping[Table, list[Record]] = {
        Table.panes: [samples.pane({"n": {"n": 1}})],
        Table.predictions: [samples.prediction("good"), bad],
    }
    _, fault = attempt("write", store.write, Batch("1", rows))  # which error is the store's affair
    if fault is not None:
        for table in rows:
            found = list(store.read(table))
            assert found == [], f"a batch that failed left rows in {table}: {found!r}"


def _reads_are_filtered_and_in_order(store: MetricStore) -> None:
    rows = [
        samples.prediction(name, time=NOON + hours * HOUR, model=model, model_version=version)
        for name, hours, model, version in (
            ("d", 0, "m", "1"),
            ("a", 1, "m", "2"),
            ("c", 1, "m", "1"),
            ("b", 1, "other", "1"),
            ("e", 26, "m", "1"),
        )
    ]
    store.write(Batch("rows", {Table.predictions: list(reversed(rows))}))
    keys = {row.request_id: row.key for row in rows}
    many = [f"m/{number}" for number in range(5_000)]
    for asked, names in (
        ({}, "dacbe"),
        ({"since": NOON + HOUR}, "acbe"),
        ({"until": NOON + HOUR}, "d"),
        ({"since": NOON, "until": NOON + 26 * HOUR}, "dacb"),
        ({"since": (NOON + HOUR).astimezone(EAST), "until": NOON + 2 * HOUR}, "acb"),
        ({"keys": [keys["e"], keys["d"], "m/nobody"]}, "de"),
        ({"keys": [keys["e"], *many]}, "e"),
        ({"keys": []}, ""),
        ({"model": "m"}, "dace"),
        ({"model": "m", "model_version": "1"}, "dce"),
        ({"model_version": "2"}, "a"),
        ({"model": "nobody"}, ""),
        ({"since": NOON + HOUR, "keys": list(keys.values()), "model": "m"}, "ace"),
    ):
        found = "".join(row.request_id for row in store.read(Table.predictions, **asked))
        wanted = f"read({', '.join(asked)}) gives the rows asked for by time and then by key"
        assert found == names, f"{wanted}: {names!r}, not {found!r}"


def _every_table_is_filtered(store: MetricStore) -> None:
    records = samples.one_of_each()
    store.write(Batch("all", {table: [row] for table, row in records.items()}))
    for table, row in records.items():
        own: dict[str, Any] = {
            "model": row.model,
            "model_version": row.model_version,
            "keys": [row.key],
        }
        found = list(store.read(table, since=row.time, until=row.time + HOUR, **own))
        assert found == [row], f"{table}: not found by its own key, time and model: {own!r}"
        for other in ({"model": "nobody"}, {"keys": ["nobody"]}, {"until": row.time}):
            found = list(store.read(table, **other))
            assert found == [], f"{table}: read({other!r}) gives {found!r}"


def _a_row_read_is_the_readers_own(store: MetricStore) -> None:
    features = {"x": 1}
    store.write(Batch("1", {Table.predictions: [samples.prediction("a", features=features)]}))
    features["x"] = 2
    next(store.read(Table.predictions)).features["x"] = 3
    found = next(store.read(Table.predictions)).features["x"]
    assert found == 1, f"a row changed after it was written or read: x is {found}, not 1"


def _a_lease_has_one_holder(store: MetricStore) -> None:
    assert store.claim("cycle", NOON, HOUR), "a free lease can be taken"
    assert not store.claim("cycle", NOON + HOUR / 2, HOUR), "a lease was given twice"
    assert store.claim("other's % 'cycle'", NOON, HOUR), "leases of other keys are free"
    assert store.claim("cycle", NOON + HOUR, HOUR), "a lease ends at now + ttl"
    assert not store.claim("cycle", NOON + HOUR, HOUR), "a lease was given twice"
    ahead = "a lease of a clock that ran ahead holds up others"
    assert store.claim("cycle", NOON - DAY, HOUR), ahead


def _old_rows_are_pruned(store: MetricStore) -> None:
    hours = (-40, -12, -1, 0, 1, 30)
    rows = [samples.prediction(str(at), time=NOON + at * HOUR) for at in hours]
    panes = [samples.pane({"n": {"n": 1}}, time=NOON + at * HOUR) for at in hours]
    newest = samples.prediction("moved", time=NOON + DAY)
    moved = samples.prediction("moved", time=NOON - DAY)
    store.write(Batch("1", {Table.predictions: [*rows, newest], Table.panes: panes}))
    store.write(Batch("2", {Table.predictions: [moved], Table.metrics: [samples.metric("old")]}))
    removed = store.prune({Table.predictions: NOON, Table.panes: NOON - 20 * HOUR})
    assert removed == 5, f"prune removes rows older than the time given: 5, not {removed}"
    left = [row.request_id for row in store.read(Table.predictions)]
    assert left == ["0", "1", "30"], f"prune leaves the rows from the time given on: {left}"
    left = [int((row.time - NOON) / HOUR) for row in store.read(Table.panes)]
    assert left == [-12, -1, 0, 1, 30], f"prune leaves the panes from the time given on: {left}"
    assert len(list(store.read(Table.metrics))) == 1, "prune leaves tables that are not named"
    removed = store.prune({Table.predictions: NOON})
    assert removed == 0, f"there is nothing left to prune, but {removed} were removed"
    store.write(Batch("3", {Table.predictions: [rows[0]], Table.panes: [panes[1]]}))
    assert next(store.read(Table.predictions)) == rows[0], "what was pruned can be written again"
    tallies = next(store.read(Table.panes)).tallies
    assert tallies == {"n": {"n": 2}}, f"panes are added to what prune has left: {tallies}"


def _revisions_are_pruned_with_their_rows(store: MetricStore) -> None:
    store.write(
        Batch("1", {Table.progress: [samples.progress(5)], Table.state: [samples.state(2)]})
    )
    store.prune({Table.progress: NOON + DAY, Table.panes: NOON + DAY})
    store.write(Batch("2", {Table.progress: [samples.progress(1)]}, {(Table.progress, "w/1"): 0}))
    store.write(Batch("3", {Table.state: [samples.state(3)]}, {(Table.state, "s"): 2}))


_CHECKS = (
    _every_record_comes_back_equal,
    _special_values_come_back,
    _names_come_back,
    _reads_are_filtered_and_in_order,
    _every_table_is_filtered,
    _rows_are_replaced_by_key,
    _panes_are_added,
    _panes_of_many_cells_are_added,
    _what_cancels_out_may_be_pruned,
    _a_batch_is_written_once,
    _what_a_batch_expects_is_compared,
    _a_refused_batch_writes_nothing,
    _a_batch_that_cannot_be_kept_writes_nothing,
    _a_row_read_is_the_readers_own,
    _a_lease_has_one_holder,
    _old_rows_are_pruned,
    _revisions_are_pruned_with_their_rows,
    says_how_large_it_is,
)


def _two_handles_see_one_store(first: MetricStore, second: MetricStore) -> None:
    batch = Batch(
        "1", {Table.state: [samples.state(1)], Table.panes: [samples.pane({"n": {"n": 1}})]}
    )
    first.write(batch)
    found = list(second.read(Table.state))
    assert found == [samples.state(1)], f"what one handle wrote, another does not read: {found!r}"
    second.write(batch)
    (pane,) = first.read(Table.panes)
    assert pane.tallies == {"n": {"n": 1}}, "another handle wrote a batch id a second time"
    key = (Table.state, "s")
    second.write(Batch("2", {Table.state: [samples.state(2)]}, {key: 1}))
    _conflict(first, Batch("3", {Table.state: [samples.state(2)]}, {key: 1}))
    first.write(Batch("4", {Table.state: [samples.state(3)]}, {key: 2}))
    assert first.claim("lease", NOON, HOUR), "a free lease can be taken"
    assert not second.claim("lease", NOON, HOUR), "another handle was given a lease twice"
    first.prune({Table.state: NOON + DAY})
    second.write(Batch("5", {Table.state: [samples.state(1)]}, {key: 0}))
    first.close()
    found = list(second.read(Table.state))
    assert found == [samples.state(1)], (
        f"a handle that closed took the other's rows with it: {found!r}"
    )


def _conflict(store: MetricStore, batch: Batch) -> str:
    try:
        store.write(batch)
    except ConflictError as error:
        return str(error)
    raise AssertionError(f"what a batch expects is not compared: {dict(batch.expects)} was taken")


def _assert_tallies(store: MetricStore, wanted: Mapping[str, Mapping[str, int]] | None) -> None:
    found = [pane.tallies for pane in store.read(Table.panes)]
    assert found == ([] if wanted is None else [wanted]), (
        f"panes are added by key, and empty sums not given: {wanted!r}, not {found!r}"
    )
