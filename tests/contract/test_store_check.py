"""The check of stores fails on stores that are wrong."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from tests.stores.rows import NOON

from mlwatch.errors import ConflictError
from mlwatch.records import Batch, Cells, Prediction, Table
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing.store_checks import check_store

# Stores that are wrong on purpose: each breaks one promise.


class ForgetsBatchIds(MemoryStore):
    ids = itertools.count()

    def write(self, batch):
        super().write(replace(batch, id=str(next(self.ids))))


class ReplacesPanes(MemoryStore):
    def write(self, batch):
        if Table.panes in batch.rows:
            self._tables[Table.panes].clear()
        super().write(batch)


class GivesEmptySums(MemoryStore):
    def read(self, table, **asked):
        found = list(super().read(table, **asked))
        if table is Table.panes and not (asked or found) and (rows := self.__dict__.get("last")):
            return iter([replace(rows[-1], tallies={})])
        return iter(found)

    def write(self, batch):
        super().write(batch)
        if Table.panes in batch.rows:
            self.__dict__["last"] = batch.rows[Table.panes]


class ForgetsWhatStandsApart(MemoryStore):
    def read(self, table, **asked):
        for row in super().read(table, **asked):
            if table is Table.panes:
                cells = {name: t for name, t in row.tallies.items() if isinstance(t, Cells)}
                bare = {name: Cells(t.counts, {}) for name, t in cells.items()}
                row = replace(row, tallies={**row.tallies, **bare})  # noqa: PLW2901
            yield row


class PrunesWhatWasTakenBack(MemoryStore):
    def write(self, batch):
        super().write(batch)
        keys = {pane.key for pane in batch.rows.get(Table.panes, ()) if "-" in str(pane.tallies)}
        self.__dict__.setdefault("taken", set()).update(keys)

    def prune(self, before):
        for key in self.__dict__.get("taken", ()):
            self._tables[Table.panes].pop(key, None)
        return super().prune(before)


class IgnoresExpects(MemoryStore):
    def write(self, batch):
        super().write(replace(batch, expects={}))


class IgnoresExpectsOfMissingRows(MemoryStore):
    def write(self, batch):
        super().write(
            replace(
                batch,
                expects={
                    (table, key): revision
                    for (table, key), revision in batch.expects.items()
                    if list(self.read(table, keys=[key]))
                },
            )
        )


class HidesTheConflict(MemoryStore):
    def write(self, batch):
        try:
            super().write(batch)
        except ConflictError:
            raise ConflictError("try again") from None


class WritesHalfABatch(MemoryStore):
    def write(self, batch):
        known = batch.id in self._batches
        for table in () if known else batch.rows.keys() - {Table.state, Table.progress}:
            super().write(Batch(f"{batch.id} {table}", {table: batch.rows[table]}))
        rest = batch.rows.keys() & {Table.state, Table.progress}
        super().write(replace(batch, rows={table: batch.rows[table] for table in rest}))


class TakesTheIdOfARefusedBatch(MemoryStore):
    def write(self, batch):
        try:
            super().write(batch)
        except ConflictError:
            super().write(Batch(batch.id, {}))
            raise


class KeepsTheFirstRow(MemoryStore):
    def write(self, batch):
        rows = {
            table: [row for row in rows if table is Table.panes or row.key not in self._keys(table)]
            for table, rows in batch.rows.items()
            if table not in {Table.state, Table.progress}
        }
        super().write(replace(batch, rows={**batch.rows, **rows}))

    def _keys(self, table):
        return {row.key for row in self.read(table)}


class KeepsReplacedRows(MemoryStore):
    """Looks for rows by day and finds the ones that were replaced."""

    def read(self, table, *, since=None, **asked):
        found = list(super().read(table, since=since, **asked))
        return iter(found or (super().read(table, **asked) if since else ()))


class SharesItsRows(MemoryStore):
    def write(self, batch):
        super().write(batch)
        self.__dict__.setdefault("rows", {}).update(
            {row.key: row for row in batch.rows.get(Table.predictions, ())}
        )

    def read(self, table, **asked):
        rows = self.__dict__.get("rows", {})
        same = table is Table.predictions
        return iter([rows[row.key] if same else row for row in super().read(table, **asked)])


def changing(change):
    """Return a store that changes each prediction as it is read."""

    class Changing(MemoryStore):
        def read(self, table, **asked):
            for row in super().read(table, **asked):
                is_prediction = isinstance(row, Prediction)
                yield replace(row, **change(row)) if is_prediction else row

    return Changing


def _without_nan(value):
    return None if isinstance(value, float) and math.isnan(value) else value


LosesNaN = changing(lambda row: {"features": {k: _without_nan(v) for k, v in row.features.items()}})
LosesInfinity = changing(
    lambda row: {"prediction": 1e308 if row.prediction == math.inf else row.prediction}
)
LosesBool = changing(
    lambda row: {"prediction": int(row.prediction) if row.prediction is True else row.prediction}
)
LosesBigInts = changing(
    lambda row: {"prediction": 1e40 if row.prediction == 10**40 else row.prediction}
)
TakesTextForNaN = changing(
    lambda row: {"prediction": math.nan if row.prediction == "$nan" else row.prediction}
)
TakesMissingForNone = changing(lambda row: {"features": row.features or {"x": None}})
CutsTextAtNul = changing(
    lambda row: {
        "prediction": row.prediction.partition("\0")[0]
        if isinstance(row.prediction, str)
        else row.prediction
    }
)


class LosesMetricsOfNaN(MemoryStore):
    def read(self, table, **asked):
        for row in super().read(table, **asked):
            is_metric = table is Table.metrics
            yield replace(row, value=_without_nan(row.value)) if is_metric else row


class TurnsTuplesIntoLists(MemoryStore):
    def read(self, table, **asked):
        for row in super().read(table, **asked):
            yield replace(row, caveats=list(row.caveats)) if table is Table.drift else row


class DoesNotTellNamesApart(MemoryStore):
    def write(self, batch):
        rows = {
            table: [
                replace(row, request_id=row.request_id.strip(), model=row.model.strip())
                if isinstance(row, Prediction)
                else row
                for row in rows
            ]
            for table, rows in batch.rows.items()
        }
        super().write(replace(batch, rows=rows))


def ignoring(*names):
    """Return a store that ignores these arguments of `read`."""

    class Ignoring(MemoryStore):
        def read(self, table, **asked):
            return super().read(
                table, **{name: value for name, value in asked.items() if name not in names}
            )

    return Ignoring


class ComparesTimesAsText(MemoryStore):
    def read(self, table, *, since=None, until=None, **asked):
        for row in super().read(table, **asked):
            text = row.time.isoformat()
            if (since is None or since.isoformat() <= text) and (until is None or row.time < until):
                yield row


class UntilIsIncluded(MemoryStore):
    def read(self, table, *, until=None, **asked):
        for row in super().read(table, **asked):
            if until is None or row.time <= until:
                yield row


class TakesFewKeys(MemoryStore):
    def read(self, table, *, keys=None, **asked):
        if keys is not None:
            keys = sorted(keys)[:999]
        return super().read(table, keys=keys, **asked)


class TakesNoKeysForAll(MemoryStore):
    def read(self, table, *, keys=None, **asked):
        return super().read(table, keys=keys or None, **asked)


class IsOutOfOrder(MemoryStore):
    def read(self, table, **asked):
        return reversed(list(super().read(table, **asked)))


class IgnoresTheModelOfDeliveries(MemoryStore):
    def read(self, table, *, model=None, **asked):
        if table is Table.deliveries:
            model = None
        return super().read(table, model=model, **asked)


class GivesEveryLease(MemoryStore):
    def claim(self, key, now, ttl):
        return True


class NeverFreesALease(MemoryStore):
    def claim(self, key, now, ttl):
        return super().claim(key, now, ttl * 1000)


class TrustsEveryClock(MemoryStore):
    def claim(self, key, now, ttl):
        self.latest = max(now, getattr(self, "latest", now))
        return super().claim(key, self.latest, ttl)


class HasOneLease(MemoryStore):
    def claim(self, key, now, ttl):
        return super().claim("the", now, ttl)


class PrunesWholeDays(MemoryStore):
    def prune(self, before):
        return super().prune({table: time.replace(hour=0) for table, time in before.items()})


class PrunesNothing(MemoryStore):
    def prune(self, before):
        return super().prune(before and {})


class PrunesOtherTables(MemoryStore):
    def prune(self, before):
        removed = super().prune(before)
        super().prune({Table.metrics: NOON.replace(year=2014)})
        return removed


class DoesNotCountThePruned(MemoryStore):
    def prune(self, before):
        super().prune(before)
        return 0


class RemembersPrunedRevisions(MemoryStore):
    def prune(self, before):
        rows = list(self.read(Table.progress))
        removed = super().prune(before)
        super().write(Batch("back", {Table.progress: rows}))
        return removed


class SaysItIsEmpty(MemoryStore):
    @property
    def bytes(self):
        return super().bytes * 0


class SaysItNeverShrinks(MemoryStore):
    largest = 0

    @property
    def bytes(self):
        self.largest = max(self.largest, super().bytes)
        return self.largest


class SaysItInWords(MemoryStore):
    @property
    def bytes(self):
        return f"{super().bytes} bytes"


class SaysNotHowLargeItIs:
    """A store with what a store must have, and nothing else."""

    def __init__(self):
        inner = MemoryStore()
        self.write, self.read, self.claim = inner.write, inner.read, inner.claim
        self.prune, self.close = inner.prune, inner.close


class ClosesOnce(MemoryStore):
    def close(self):
        assert not self._closed, "closed twice"
        super().close()


WRONG = [
    (ForgetsBatchIds, "a batch id was written twice"),
    (ReplacesPanes, "panes are added by key"),
    (GivesEmptySums, "empty sums not given"),
    (IgnoresExpects, "what a batch expects is not compared"),
    (ForgetsWhatStandsApart, "many cells do not add"),
    (PrunesWhatWasTakenBack, "prune leaves panes that are not empty"),
    (IgnoresExpectsOfMissingRows, "what a batch expects is not compared"),
    (HidesTheConflict, "a conflict names the key and both revisions"),
    (WritesHalfABatch, "a refused batch left rows"),
    (TakesTheIdOfARefusedBatch, "the id of a refused batch is not taken"),
    (KeepsTheFirstRow, "rows are not replaced by key"),
    (KeepsReplacedRows, "a row that was replaced is still read"),
    (SharesItsRows, "a row changed after it was written or read"),
    (LosesNaN, "a value did not come back as it went in: nan became None"),
    (LosesInfinity, "a value did not come back as it went in: inf became"),
    (LosesBool, "a value did not come back as it went in: True became 1"),
    (LosesBigInts, "a value did not come back as it went in"),
    (TakesTextForNaN, r"a value did not come back as it went in: '\$nan' became nan"),
    (TakesMissingForNone, "a missing feature is not one that is None"),
    (CutsTextAtNul, "a value did not come back as it went in"),
    (LosesMetricsOfNaN, "a metric of NaN came back as None"),
    (TurnsTuplesIntoLists, "drift: wrote"),
    (DoesNotTellNamesApart, "the name ' m' does not come back"),
    (ignoring("since"), r"read\(since\) gives the rows asked for"),
    (ignoring("until"), r"read\(until\) gives the rows asked for"),
    (ignoring("keys"), "does not come back|gives the rows asked for"),
    (ignoring("model"), r"read\(model\) gives the rows asked for"),
    (ignoring("model_version"), "gives the rows asked for"),
    (ComparesTimesAsText, "gives the rows asked for"),
    (UntilIsIncluded, "gives the rows asked for"),
    (TakesFewKeys, r"read\(keys\) gives the rows asked for"),
    (TakesNoKeysForAll, r"read\(keys\) gives the rows asked for"),
    (IsOutOfOrder, "by time and then by key"),
    (IgnoresTheModelOfDeliveries, "deliveries: read"),
    (GivesEveryLease, "a lease was given twice"),
    (NeverFreesALease, r"a lease ends at now \+ ttl"),
    (TrustsEveryClock, "a lease of a clock that ran ahead"),
    (HasOneLease, "leases of other keys are free"),
    (PrunesWholeDays, "prune removes rows older than the time given"),
    (PrunesNothing, "prune removes rows older than the time given"),
    (PrunesOtherTables, "prune leaves tables that are not named"),
    (DoesNotCountThePruned, "prune removes rows older than the time given"),
    (RemembersPrunedRevisions, "a batch was refused though its revisions hold"),
    (SaysItIsEmpty, "and `bytes` grew 0"),
    (SaysItNeverShrinks, "of two equal halves one was pruned"),
    (SaysItInWords, "has to be a whole number"),
    (ClosesOnce, "closed twice"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG)
def test_the_check_fails_on_a_wrong_store(wrong, message):
    """`check_store` fails on a store that breaks one promise, and names the promise."""
    with pytest.raises(AssertionError, match=message):
        check_store(wrong)


def test_a_store_need_not_say_how_large_it_is():
    """`check_store` asks for nothing that only `Retention(max_bytes=...)` needs."""
    check_store(SaysNotHowLargeItIs)


def test_the_check_fails_on_handles_that_do_not_share():
    """`check_store(reopen=...)` fails when a second handle does not see what the first wrote."""
    with pytest.raises(AssertionError, match="what one handle wrote, another does not read"):
        check_store(MemoryStore, reopen=lambda _: MemoryStore())


class ComparesWithACopyOfItsOwn(SQLiteStore):
    def __init__(self, path):
        super().__init__(path)
        self.copy = MemoryStore()

    def write(self, batch):
        self.copy.write(batch)
        super().write(replace(batch, expects={}))

    def prune(self, before):
        self.copy.prune(before)
        return super().prune(before)


def test_the_check_fails_on_handles_that_compare_with_a_copy(tmp_path):
    """`check_store(reopen=...)` fails when a handle compares with what it remembers itself."""
    numbers = itertools.count()
    with pytest.raises(AssertionError, match="what a batch expects is not compared"):
        check_store(
            lambda: ComparesWithACopyOfItsOwn(tmp_path / f"{next(numbers)}.db"),
            reopen=lambda store: ComparesWithACopyOfItsOwn(store.path),
        )
