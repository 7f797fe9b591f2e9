"""The monitor of the monitor: its own figures as metrics, and the alerts about them."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.service import MINUTE, MODEL, START, VERSION, append, prediction

from mlwatch import (
    CaptureOptions,
    ConfigurationError,
    Metric,
    Monitor,
    Retention,
    Table,
    Threshold,
)
from mlwatch.alerting import LIMITS, Limit, MonitorHealth
from mlwatch.catalogue import CATALOGUE
from mlwatch.records import Batch
from mlwatch.selfwatch import watch
from mlwatch.spool import DiskSpool
from mlwatch.status import Pace, Status, cycle_key
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)
HUGE = {"x": "a" * 100_000}
"""Features of a record that is larger than a record may be, and so is lost."""


class Service:
    """A monitor on a clock, with what it told."""

    def __init__(self, store=None, clock=None, **options):
        self.clock = clock or ManualClock(START)
        self.told = RecordingNotifier()
        self.monitor = Monitor(
            store=store or MemoryStore(),
            model=MODEL,
            model_version=VERSION,
            notifiers=[self.told],
            clock=self.clock,
            **options,
        )

    def serve(self, count, features=None):
        for _ in range(count):
            self.monitor.record_prediction(features or {"x": 1.0}, 0.5)

    def cycle(self, after=5 * MINUTE):
        self.clock.advance(after)
        return self.monitor.run_cycle()

    @property
    def titles(self):
        return [f"{alert.severity} {alert.title.split(' (')[0]}" for alert in self.told.alerts]


def own(report):
    """Return the figures of the monitor itself."""
    return [metric for metric in report.metrics if metric.name.startswith("monitor_")]


def values(store):
    """Return the last own figures that a store holds, by name and reason."""
    rows = [row for row in store.read(Table.metrics) if row.name.startswith("monitor_")]
    return {(row.name, *row.labels.values()): row.value for row in rows}


def test_every_figure_of_the_status_is_a_metric():
    """Each cycle measures and stores all that the catalogue names, as the status says it."""
    store = MemoryStore()
    service = Service(store)
    service.serve(10)
    service.serve(2, HUGE)
    for _ in range(4):
        report = service.cycle()
    names = {name for name in CATALOGUE if name.startswith("monitor_")}
    assert {metric.name for metric in own(report)} == names - {"monitor_store_bytes"}
    status = service.monitor.status()
    found = values(store)
    assert found["monitor_recorded",] == status.recorded == 12
    assert found["monitor_stored",] == status.stored == 10
    assert found["monitor_dropped", "too_large"] == status.dropped["too_large"] == 2
    assert found["monitor_spool_bytes",] == status.spool_bytes > 0
    assert found["monitor_spool_fill",] == status.spool_fill == status.spool_bytes / 2**30
    assert found["monitor_last_cycle_age_seconds",] == 300
    assert found["monitor_cycle_seconds",] == pytest.approx(300 * found["monitor_cycle_share",])
    assert report["monitor_error"].value == 0


def test_the_printed_report_shows_them_only_when_something_is_lost():
    """A reader of the report is told of a loss, with its reasons, and of nothing else."""
    service = Service()
    service.serve(10)
    assert "monitor" not in str(service.cycle())
    service.serve(1, HUGE)
    assert "records are lost" in str(service.cycle())
    assert "lost by the monitor: 1 of 11 records since the start: too_large 1" in str(
        service.cycle()
    )
    service.cycle(2 * HOUR)
    assert "lost" not in str(service.cycle())


def test_a_loss_is_told_once_and_is_over_an_hour_later():
    """What was lost alerts with its reasons; an hour later the alert resolves by itself."""
    service = Service()
    service.serve(1000)
    service.cycle()
    service.serve(1, HUGE)
    service.cycle()
    assert service.titles == ["warning records are lost"]
    assert "too_large 1" in service.told.alerts[0].why
    for _ in range(11):
        service.cycle()
    assert len(service.titles) == 1
    service.cycle()
    assert service.titles[1:] == ["warning no longer: records are lost"]


def test_a_large_loss_is_critical():
    """More than one record in a hundred is critical."""
    service = Service()
    service.serve(99)
    service.serve(2, HUGE)
    service.cycle()
    assert sorted(service.titles) == [
        "critical more than 1% of the records are lost",
        "warning records are lost",
    ]


def test_what_the_caller_did_is_no_loss():
    """Repeated ids, outcomes that say nothing, and records after the end alert nobody."""
    service = Service()
    for _ in range(5):
        service.monitor.record_prediction({"x": 1.0}, 0.5, request_id="same")
    service.monitor.record_outcome("same", None)
    service.monitor.record_prediction({"x": 1.0}, 0.5, timestamp=START + 30 * HOUR)
    report = service.cycle()
    assert report["monitor_lost_share"].value == 0
    assert service.monitor.status().dropped == {"duplicate": 4, "empty_outcome": 1}
    assert service.titles == []


def test_rules_of_ones_own_do_not_silence_it():
    """Who replaces the rules is still told of losses."""
    service = Service(rules=[Threshold("accuracy", below=0.5)])
    service.serve(1, HUGE)
    service.cycle()
    assert "warning records are lost" in service.titles


def test_a_restart_and_other_workers_tell_nothing_twice(tmp_path):
    """Workers that take turns, and one that comes anew, go on with the loss of the last hour."""
    clock = ManualClock(START)
    workers = [Service(SQLiteStore(tmp_path / "store.db"), clock) for _ in range(3)]
    workers[0].serve(100)
    workers[0].serve(1, HUGE)
    workers[1].serve(1000)
    assert all(worker.monitor.flush() for worker in workers)
    shares = [workers[turn % 3].cycle()["monitor_lost_share"].value for turn in range(12)]
    assert set(shares) == {1 / 1101}
    workers[0].monitor.close()
    workers.append(Service(SQLiteStore(tmp_path / "store.db"), clock))
    for turn in range(4):
        workers[1 + turn % 3].serve(10)
        report = workers[1 + turn % 3].cycle()
    assert report["monitor_lost_share"].value == 0
    told = list(itertools.chain.from_iterable(worker.titles for worker in workers))
    assert told == ["warning records are lost", "warning no longer: records are lost"]
    status = workers[3].monitor.status()
    assert (status.recorded, status.stored, status.dropped) == (1141, 1140, {"too_large": 1})
    for worker in workers:
        worker.monitor.close()


def test_a_loss_that_cannot_be_written_yet_is_told():
    """While the spool cannot be written, losses of this process are in the figures already."""
    service = Service(capture=CaptureOptions(max_spool_bytes=4000, max_bytes=10_000))
    service.serve(200, {"x": "a" * 200})
    report = service.cycle()
    assert report["monitor_lost_share"].value > 0.01
    assert service.monitor.status().queue_bytes > 0
    assert "critical more than 1% of the records are lost" in service.titles
    assert report["monitor_error"].value == 1
    assert "max_spool_bytes" in report["monitor_error"].why


def test_the_account_outlives_the_progress_of_its_writers(tmp_path):
    """Totals never shrink, whatever was pruned, so that no loss is made of old traffic."""
    keep = Retention(panes=timedelta(days=1))
    clock = ManualClock(START)
    for day in range(4):
        service = Service(
            SQLiteStore(tmp_path / "store.db"), clock, capture=CaptureOptions(retention=keep)
        )
        service.serve(50)
        if day == 1:
            service.serve(3, HUGE)
        clock.advance(timedelta(days=1))
        report = service.cycle()
        assert (report["monitor_lost_share"].value > 0) == (day == 1)
        assert report["monitor_recorded"].value == 50 * (day + 1) + 3 * (day >= 1)
        progress = list(service.monitor._store.read(Table.progress))
        service.monitor.close()
    assert len(progress) < 4


def test_the_last_cycle_is_known_to_all(tmp_path):
    """A worker, or a service beside a sidecar, sees when anybody's cycle was last run."""
    clock = ManualClock(START)
    service, other = (Service(SQLiteStore(tmp_path / "store.db"), clock) for _ in range(2))
    assert service.monitor.status().last_cycle is None
    other.cycle()
    assert service.monitor.status().last_cycle == clock()
    service.monitor.close()
    other.monitor.close()


def test_a_backlog_that_cannot_be_ingested_lags(tmp_path):
    """What waits behind a segment that cannot be read lags; a service without traffic does not."""
    clock = ManualClock(START)
    folder = tmp_path / MODEL
    spool = DiskSpool(folder, clock=clock)
    service = Service(clock=clock, capture=CaptureOptions(spool=tmp_path))
    assert service.cycle(10 * HOUR)["monitor_ingest_lag_seconds"].value == 0
    for name in "ab":
        append(spool, prediction(name))
        spool.close()
    first = min(folder.glob("*.seg"))
    first.write_bytes(b"of no version that is known here")
    assert service.cycle()["monitor_ingest_lag_seconds"].value == 300
    assert first.name in service.monitor.status().last_error
    service.cycle(16 * MINUTE)
    assert "warning ingest lags behind" in service.titles
    first.unlink()
    assert service.cycle()["monitor_ingest_lag_seconds"].value == 0
    assert "warning no longer: ingest lags behind" in service.titles
    service.monitor.close()


def test_an_error_of_the_monitor_is_told_until_it_works_again(tmp_path):
    """What the monitor cannot do alerts with what it is, and resolves once that works."""
    folder = tmp_path / MODEL
    service = Service(capture=CaptureOptions(spool=tmp_path))
    append(DiskSpool(folder, clock=service.clock), prediction("a"))
    (segment,) = folder.glob("*.seg")
    whole = segment.read_bytes()
    segment.write_bytes(b"of no version that is known here")
    service.cycle()
    assert "warning the monitor itself fails at something" in service.titles
    alert = next(it for it in service.told.alerts if "monitor_error" in it.title)
    assert segment.name in alert.why
    segment.write_bytes(whole)
    service.cycle()
    assert "warning no longer: the monitor itself fails at something" in service.titles
    service.monitor.close()


def test_a_gap_between_cycles_is_told_afterwards():
    """A week without a cycle is news; a first start, a night, and a weekly job are none."""
    service = Service()
    for gap in (5 * MINUTE, 14 * HOUR, 24 * HOUR, 7 * 24 * HOUR):
        service.cycle(gap)
    assert service.titles == []
    service.cycle(9 * 24 * HOUR)
    assert service.titles == ["info no cycle was run for more than a week"]
    service.cycle()
    assert service.titles[1:] == ["info no longer: no cycle was run for more than a week"]


def test_every_figure_that_can_go_wrong_has_a_limit():
    """Only totals, sizes in bytes (their shares have one) and a share's seconds have none."""
    own = {name for name in CATALOGUE if name.startswith("monitor_")}
    free = {name for name in own if CATALOGUE[name].kind == "total" or name.endswith("_bytes")}
    assert {limit.metric for limit in LIMITS} == own - free - {"monitor_cycle_seconds"}


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)
def test_each_limit_fires_beyond_it_and_says_what_to_do(limit):
    """A limit is of a metric that is measured, fires beyond it, resolves, and has a remedy."""
    assert limit.metric in CATALOGUE
    assert len(limit.remedy) > 80
    rule = MonitorHealth([limit])
    good = limit.above if limit.clear is None else limit.clear
    beyond, below, unknown = (
        next(rule([Metric(limit.metric, value, why="measured")]))
        for value in (limit.above + 0.001, good, None)
    )
    assert (beyond.firing, below.firing, unknown.firing) == (True, False, None)
    assert beyond.why == f"measured; {limit.remedy}"
    assert below.title.startswith("no longer: ")
    assert beyond.severity == limit.severity
    assert len({it.fingerprint for it in (beyond, below, unknown)}) == 1


def test_between_a_limit_and_where_it_clears_an_alert_stays():
    """A figure that hovers at its limit does not tell and take back every five minutes."""
    limit = Limit(metric="monitor_x", above=0.5, clear=0.4, name="x", remedy="y")
    assert [limit.judge(value) for value in (0.6, 0.5, 0.45, 0.4)] == [True, None, None, False]


@pytest.mark.parametrize(
    "wrong", [{"above": float("nan")}, {"clear": 2.0}, {"metric": "x"}, {"severity": "bad"}]
)
def test_a_wrong_limit_is_refused(wrong):
    """A limit that could not work is named when it is made."""
    with pytest.raises(ConfigurationError, match="Limit"):
        Limit(**({"metric": "monitor_x", "above": 1.0, "name": "x", "remedy": "y"} | wrong))


def test_one_slow_cycle_is_no_slow_cycle():
    """The first cycle loads libraries, and one may be unlucky: only the third slow one counts."""
    pace = Pace(timedelta(seconds=10))
    shares = []
    for seconds in (50, 1, 1, 50, 1, 30, 20, 40):
        pace.note(seconds)
        shares.append(pace.share)
    assert shares == [None, None, 0.1, 0.1, 0.1, 3.0, 2.0, 3.0]


@given(
    steps=st.lists(
        st.tuples(st.integers(-90, 200), st.integers(0, 50), st.integers(0, 5)), max_size=150
    )
)
def test_the_share_is_of_the_last_hour_whatever_the_clock_does(steps):
    """Cycles seconds or days apart, on a clock that jumps: the share is one, the state small."""
    store, clock = MemoryStore(), ManualClock(START)
    recorded = lost = 0
    for minutes, more, dropped in steps:
        clock.advance(minutes * MINUTE)
        recorded, lost = recorded + more + dropped, lost + dropped
        metrics, state = watch(
            store, MODEL, Status(recorded=recorded, dropped={"full": lost}), clock()
        )
        share = next(metric for metric in metrics if metric.name == "monitor_lost_share")
        assert 0 <= share.value <= 1
        assert share.value > 0 or not dropped
        assert share.n <= recorded
        store.write(Batch(str(state.revision), {Table.state: [state]}))
    found = [row for row in store.read(Table.state) if row.key == cycle_key(MODEL)]
    assert all(len(row.body["marks"]) <= 62 for row in found)


def test_many_workers_do_not_fill_a_spool_with_what_is_ingested(tmp_path):
    """Segments that are open cannot be removed: the fuller the spool, the shorter they are."""
    spools = [DiskSpool(tmp_path / MODEL, max_bytes=2**20) for _ in range(8)]
    service = Service(capture=CaptureOptions(spool=tmp_path, max_spool_bytes=2**20))
    fills = []
    for turn in range(120):
        for place, spool in enumerate(spools):
            append(spool, prediction(f"{turn}-{place}", features={"x": "a" * 3000}))
        if turn % 10 == 9:
            assert service.monitor.flush(ingest=True)
            fills.append(service.monitor.status().spool_fill)
    assert max(fills) < 0.5
    service.monitor.close()
