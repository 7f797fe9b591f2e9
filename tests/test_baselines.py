"""What a user may ask of what is usual: to look back, to begin anew, to leave days out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.hourly import (
    BEGIN,
    DAY,
    HOUR,
    POLICY,
    Worker,
    left,
    own_panes,
    reference,
    remembered,
)
from tests.service import Interrupted, make_store

from mlwatch import AlarmBudget, Batch, ConfigurationError, DriftPolicy, Monitor, Table
from mlwatch.collectors import DriftCollector, TrafficCollector
from mlwatch.detectors import KSDetector
from mlwatch.records import Pane
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import RecordingNotifier

NAIVE = datetime(2024, 1, 2)  # noqa: DTZ001  what hosts hand over
PLUS_2, MINUS_2 = (timezone(timedelta(hours=hours)) for hours in (2, -2))
BARE = reference(0)
"""A reference that knows of no days."""


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture(params=["memory", "sqlite"])
def any_store(request, tmp_path):
    return make_store(request.param, tmp_path)


def days(worker, first, last, shift=0.0, rows=200):
    """Let days of traffic pass, with a cycle at the end of each; return the last report."""
    for day in range(first, last):
        worker.serve(range(24 * day, 24 * day + 24), shift, rows)
        report = worker.cycle(24 * day + 24)
    return report


def incident(store, day=10, n=16, shift=3.0, rows=200):
    """Return a worker that knows of no days but its own, with one day unlike all others."""
    worker = Worker(store, BARE)
    days(worker, 0, day)
    days(worker, day, day + 1, shift, rows)
    days(worker, day + 1, n)
    return worker


def on(day):
    """Return the first moment of a day."""
    return BEGIN + day * DAY


def watch(store):
    """Return what the drift collector remembers of what is usual."""
    return remembered(store)[0]["watch"]


class TestBacktest:
    """What past days would have alarmed."""

    def test_without_days_it_says_what_it_needs(self, store):
        """With a reference without timestamps, and too few days of traffic, there is none yet."""
        worker = Worker(store, BARE)
        assert str(worker.monitor.backtest()) == "no backtest yet: it needs 14 whole days"
        report = days(worker, 0, 13)
        assert worker.monitor.backtest().days == 0
        assert report.find("backtest_alarms") == ()
        assert report["calibration_days"].why == "uncalibrated: 13 of 14 days"

    def test_it_looks_back_on_the_days_of_the_reference(self, store):
        """Before there was any traffic the reference's own days are looked back on."""
        found = Worker(store).monitor.backtest()
        assert (found.days, found.alarms, found.raised) == (20, 0, {})
        assert found.allowed == pytest.approx(20 / 7)
        assert str(found) == "your last 20 days: 0 alarms, budget 2.9"

    def test_it_looks_back_on_the_traffic_as_soon_as_that_suffices(self, any_store):
        """From fourteen whole days on the traffic's own take the place of the reference's."""
        worker = Worker(any_store)
        days(worker, 0, 13)
        assert worker.monitor.backtest().days == 20
        days(worker, 13, 16)
        assert worker.monitor.backtest().days == 16

    def test_it_is_what_the_report_says(self, store):
        """The line of the report, once days of its own are learnt from, is the backtest's."""
        worker = Worker(store, BARE)
        report = days(worker, 0, 14)
        found = worker.monitor.backtest()
        assert found.days == 14
        assert report["backtest_alarms"].value == found.alarms
        assert report["backtest_alarms"].why == str(found)
        assert str(found) in str(report)

    def test_another_budget_is_tried_and_nothing_changes(self, any_store):
        """A budget that is handed in is only tried: the any_store and the next report stay."""
        worker = Worker(any_store)
        days(worker, 0, 2)
        before = left(any_store)
        generous = worker.monitor.backtest(AlarmBudget(alarms=3, per="day"))
        strict = worker.monitor.backtest(AlarmBudget(alarms=1, per="month"))
        assert generous.allowed == pytest.approx(60)
        assert strict.allowed == pytest.approx(20 / 30)
        assert left(any_store) == before
        assert worker.monitor.backtest().allowed == pytest.approx(20 / 7)
        assert worker.cycle(49)["backtest_alarms"].why.endswith("budget 2.9")

    def test_an_incident_raises_the_limits_and_is_named(self, store):
        """A day unlike all others would have alarmed; a budget below that is made to hold."""
        worker = incident(store)
        found = worker.monitor.backtest(AlarmBudget(alarms=0.3))
        assert found.days == 16
        assert found.raised.keys() == {"x"}
        assert found.alarms <= found.allowed
        assert f"x to 1/{2 ** found.raised['x']}" in str(found)

    def test_what_is_no_budget_is_refused(self, store):
        """A number in the place of a budget is refused with the remedy."""
        with pytest.raises(ConfigurationError, match=r"budget=0\.25.*AlarmBudget\(alarms="):
            Worker(store).monitor.backtest(0.25)


class TestMarkBad:
    """Days that are no example of what is usual."""

    def test_bad_days_are_left_out_as_if_they_had_no_traffic(self, any_store):
        """What is learnt without a bad day is what a service learns that rested on that day."""
        worker = incident(any_store)
        spoilt = watch(any_store)["baselines"]
        worker.monitor.mark_bad(on(10), on(11))
        report = worker.cycle(24 * 16 + 1)
        rested = incident(MemoryStore(), rows=0)
        rested.monitor.rebaseline()
        rested.cycle(24 * 16 + 1)

        assert watch(any_store)["bad"] == ["2024-01-11"]
        assert watch(any_store)["baselines"] == watch(rested.store)["baselines"] != spoilt
        assert report["calibration_days"].value == 15
        found = worker.monitor.backtest(AlarmBudget(alarms=0.3))
        assert (found.days, found.alarms, found.raised) == (15, 0, {})

    def test_they_are_found_again_by_another_process(self, tmp_path):
        """What was marked is in the store, and holds for a monitor that is made later."""
        path = tmp_path / "store.db"
        worker = incident(SQLiteStore(path))
        worker.monitor.mark_bad(on(10), on(11))
        worker.monitor.close()
        later = Worker(SQLiteStore(path), BARE)
        later.at(24 * 16)
        assert later.monitor.backtest().days == 15
        assert later.cycle(24 * 16 + 1)["calibration_days"].value == 15

    def test_before_fourteen_days_they_do_not_count(self, store):
        """A bad day, past or to come, is none of the fourteen."""
        worker = Worker(store, BARE)
        days(worker, 0, 5)
        worker.monitor.mark_bad(on(2), on(3))
        worker.monitor.mark_bad(on(7), on(8))
        report = days(worker, 5, 15)
        assert report["calibration_days"].value == 13
        assert report["calibration_days"].why == "uncalibrated: 13 of 14 days"
        assert days(worker, 15, 16)["calibration_days"].why == ""
        assert watch(store)["bad"] == ["2024-01-03", "2024-01-08"]

    def test_days_of_the_reference_can_be_bad(self, any_store):
        """A day of the reference that is marked takes no part in what is learnt from it."""
        worker = Worker(any_store)
        days(worker, 0, 1)
        before = watch(any_store)["baselines"]
        worker.monitor.mark_bad(on(-5), on(-3))
        report = worker.cycle(25)
        assert report["calibration_days"].value == 18
        assert watch(any_store)["baselines"] != before
        assert worker.monitor.backtest().days == 18

    @pytest.mark.parametrize(
        ("since", "until", "bad"),
        [
            (on(3), on(4), ["2024-01-04"]),
            (on(3) + HOUR, on(3) + 2 * HOUR, ["2024-01-04"]),
            (on(3) + 23 * HOUR, on(4) + HOUR, ["2024-01-04", "2024-01-05"]),
            (
                datetime(2024, 1, 4, tzinfo=timezone(timedelta(hours=2))),
                datetime(2024, 1, 5, tzinfo=timezone(timedelta(hours=2))),
                ["2024-01-03", "2024-01-04"],
            ),
            (
                datetime(2024, 2, 28, tzinfo=UTC),
                datetime(2024, 3, 2, tzinfo=UTC),
                ["2024-02-28", "2024-02-29", "2024-03-01"],
            ),
        ],
    )
    def test_days_are_those_of_utc_that_the_span_touches(self, store, since, until, bad):
        """Every day of UTC of which the span holds a moment is bad, once, in order."""
        worker = Worker(store)
        worker.monitor.mark_bad(since, until)
        worker.monitor.mark_bad(since, until)
        assert watch(store)["bad"] == bad

    @pytest.mark.parametrize(
        ("since", "until"),
        [(NAIVE, on(3)), (on(1), NAIVE), (on(3), on(3)), (on(3), on(2)), ("2024-01-02", on(3))],
        ids=["naive since", "naive until", "empty", "backwards", "text"],
    )
    def test_a_span_that_is_none_is_refused(self, store, since, until):
        """A span without timezone, without length or backwards is refused, and changes nothing."""
        worker = Worker(store)
        with pytest.raises(ConfigurationError, match=r"mark_bad: .*(tzinfo=UTC|not before)"):
            worker.monitor.mark_bad(since, until)
        assert remembered(store) is None

    @pytest.mark.parametrize(
        ("since", "until"),
        [
            (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)),
            (datetime.min.replace(tzinfo=PLUS_2), datetime.max.replace(tzinfo=MINUS_2)),
            (on(0), on(366) + HOUR),
        ],
        ids=["all time", "all time, elsewhere", "an hour too long"],
    )
    def test_a_span_that_would_fill_the_store_is_refused(self, store, since, until):
        """More than a year is refused with what to do, and changes nothing; a year is taken."""
        worker = Worker(store)
        with pytest.raises(ConfigurationError, match=r"mark_bad: .* days, of which 366 .*new ref"):
            worker.monitor.mark_bad(since, until)
        assert remembered(store) is None
        worker.monitor.mark_bad(on(0), on(366))
        assert len(watch(store)["bad"]) == 366


class TestRebaseline:
    """Begin anew with what is usual."""

    def test_from_the_days_of_the_reference(self, store):
        """What was learnt of the traffic since is forgotten: the baseline is the reference's."""
        worker = Worker(store)
        days(worker, 0, 1)
        first = watch(store)
        days(worker, 1, 8, shift=0.3)
        assert watch(store)["days"] != first["days"]
        worker.monitor.rebaseline()
        worker.cycle(24 * 8 + 1)
        fresh = Worker(MemoryStore())
        fresh.cycle(24 * 8 + 1)

        assert watch(store)["baselines"] == watch(fresh.store)["baselines"]
        assert watch(store)["days"] == watch(fresh.store)["days"]
        assert watch(store)["latches"] == {}

    def test_from_the_days_that_were_kept(self, any_store):
        """Without days of the reference those of the traffic are learnt from, the last ones too."""
        worker = Worker(any_store, BARE)
        days(worker, 0, 14)
        first = watch(any_store)["baselines"]
        days(worker, 14, 20)
        assert watch(any_store)["baselines"] == first
        worker.monitor.rebaseline()
        report = worker.cycle(24 * 20 + 1)
        assert watch(any_store)["baselines"] != first
        assert (report["calibration_days"].value, report["calibration_days"].why) == (20, "")
        assert report["backtest_alarms"].n == 20

    def test_open_episodes_end_and_are_told_once(self, any_store):
        """Once the cause has gone its alert resolves at the next cycle, and does not come back."""
        worker = Worker(any_store)
        days(worker, 0, 2)
        days(worker, 2, 3, shift=2.0)
        worker.serve(range(72, 96))
        worker.cycle(96)
        assert [state for state, _ in worker.titles] == ["firing"]
        assert remembered(any_store)[0]["episodes"]
        worker.monitor.rebaseline()
        assert remembered(any_store)[0]["episodes"] == {}
        worker.cycle(97)
        days(worker, 4, 8)
        assert [state for state, _ in worker.titles] == ["firing", "resolved"]

    def test_what_was_marked_bad_stays_bad(self, store):
        """Beginning anew does not forget which days are no example."""
        worker = incident(store)
        worker.monitor.mark_bad(on(10), on(11))
        worker.monitor.rebaseline()
        assert watch(store)["bad"] == ["2024-01-11"]
        assert worker.cycle(24 * 16 + 1)["calibration_days"].value == 15

    def test_before_the_first_cycle_it_changes_nothing(self, store):
        """There is nothing to forget; the first cycle is as it would have been."""
        worker = Worker(store)
        worker.monitor.rebaseline()
        report = days(worker, 0, 1)
        other = Worker(MemoryStore())
        first = days(other, 0, 1)
        of_traffic = [[it for it in each.metrics if it.model_version] for each in (first, report)]
        assert of_traffic[0] == of_traffic[1]
        assert watch(other.store) == watch(store)

    def test_no_hour_is_consumed_twice(self, any_store):
        """The hours that were seen stay seen: those kept are neither lost nor doubled."""
        worker = Worker(any_store)
        days(worker, 0, 3)
        before = own_panes(any_store)
        worker.monitor.rebaseline()
        worker.cycle(73)
        after = own_panes(any_store)
        assert {key: after[key] for key in before} == before
        assert len(before) == 72

    def test_of_another_version(self, any_store):
        """Only the version that is named begins anew."""
        given = {"1": reference(), "2": reference()}
        monitor = Monitor(given, store=any_store, model="m", model_version="1", drift=POLICY)
        worker = Worker(any_store)
        days(worker, 0, 1)
        mine = remembered(any_store)
        monitor.mark_bad(on(-2), on(-1), model_version="2")
        monitor.rebaseline(model_version="2")
        assert remembered(any_store) == mine
        (other,) = any_store.read(Table.state, keys=["collector/m/2/drift"])
        assert other.body["watch"]["bad"] == ["2023-12-30"]
        assert monitor.backtest(model_version="2").days == 19


def test_a_day_on_which_only_labels_arrived_is_not_known(store):
    """A day without predictions tells nothing of what is usual, though panes are of it."""
    worker = Worker(store, BARE)
    days(worker, 0, 3)
    labels = [
        Pane(
            model="m",
            model_version="1",
            reference=BARE.fingerprint,
            time=on(3) + hour * HOUR,
            span=HOUR,
            tallies={"arrived": {"right": 3}},
        )
        for hour in range(24)
    ]
    store.write(Batch("labels", {Table.panes: labels}))
    assert worker.cycle(24 * 4)["calibration_days"].value == 3
    assert days(worker, 4, 5)["calibration_days"].value == 4


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_cycle_of_another_worker_in_between_loses_neither(kind, tmp_path):
    """Wherever a cycle comes in between, its hours are consumed once and the day is bad."""
    for moment in range(1, 10):
        (folder := tmp_path / str(moment)).mkdir()
        inner = make_store(kind, folder)
        worker = Worker(inner)
        days(worker, 0, 1)
        worker.serve(range(24, 30))
        worker.at(30)
        store = Interrupted(inner, moment, worker.monitor.run_cycle)
        other = Worker(store)
        other.at(30)
        other.monitor.mark_bad(on(-2), on(-1))
        missed = store.left > 0
        worker.cycle(31)
        assert watch(inner)["bad"] == ["2023-12-30"]
        assert watch(inner)["cursor"] == (on(1) + 6 * HOUR).isoformat()
        assert len(own_panes(inner)) == 30
        assert {tuple(panes) for panes in own_panes(inner).values()} == {("x",)}
        inner.close()
        if missed:
            assert moment > 2
            return
    raise AssertionError("there was always one more moment")


@pytest.mark.parametrize("call", ["backtest", "rebaseline", "mark_bad"])
@pytest.mark.parametrize(
    "options",
    [
        {"reference": None},
        {"reference": reference(), "collectors": [TrafficCollector()]},
        {"reference": {"1": reference()}, "other": True},
    ],
    ids=["no reference", "no drift collector", "another version"],
)
def test_where_nothing_judges_drift_it_is_said(call, options):
    """Without a reference, or without a DriftCollector, each of the three says what it needs."""
    options = dict(options)
    version = "2" if options.pop("other", False) else None
    monitor = Monitor(store=MemoryStore(), model_version="1", **options)
    span = (on(1), on(2)) if call == "mark_bad" else ()
    with pytest.raises(ConfigurationError, match="needs a reference, and a DriftCollector"):
        getattr(monitor, call)(*span, model_version=version)


def test_a_drift_collector_of_ones_own_is_asked(store):
    """A DriftCollector that was handed in, under another name, is the one that is meant."""
    own = DriftCollector([KSDetector()], DriftPolicy(budget=AlarmBudget(alarms=7)), name="mine")
    worker = Worker(store, collectors=[TrafficCollector(), own], told=RecordingNotifier())
    days(worker, 0, 1)
    worker.monitor.mark_bad(on(-2), on(-1))
    body, revision = remembered(store, "mine")
    assert (body["watch"]["bad"], revision) == (["2023-12-30"], 2)
    assert worker.monitor.backtest().allowed == pytest.approx(19)
    assert remembered(store) is None
