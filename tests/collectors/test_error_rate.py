"""The error rate, watched as labels arrive: found when it rises, silent within the budget."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy import stats
from tests.service import total

from mlwatch import AlarmBudget, DriftPolicy, Memory, Metric, Monitor, Reference
from mlwatch.collectors import ErrorRateCollector
from mlwatch.records import DriftResult, Pane, Table, join_key
from mlwatch.spans import DAY, GRACE, HOUR, outward
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier, check_collector
from mlwatch.window import Window

START = datetime(2024, 1, 1, tzinfo=UTC)
RATE = 0.1
LABELS = ["no", "yes"]
KNOWN = Reference.fit(
    {"x": [0.0] * 1000},
    predictions=["yes"] * 1000,
    outcomes=["no"] * 100 + ["yes"] * 900,
    classes=LABELS,
    task="multiclass",
)
"""A reference of 1,000 rows of which 100 are wrong."""


def drawn(rng, rows=1000, rate=RATE):
    """Return a reference of as many rows of a service that is wrong at that rate."""
    wrong = int(rng.binomial(rows, rate))
    pairs = {join_key("yes", "yes"): rows - wrong, join_key("yes", "no"): wrong}
    return replace(KNOWN, tallies={**KNOWN.tallies, "confusion": pairs})


class Labels:
    """Hours in which labels arrive, and what the collector remembers, through JSON each time.

    Args:
        given: The reference.
        rng: Draws the labels.
        budget: False alarms a week, of which labels take a quarter.
    """

    def __init__(self, given=KNOWN, rng=None, budget=0.25):
        self.reference = given
        self.rng = rng or np.random.default_rng(1)
        self.collector = ErrorRateCollector(DriftPolicy(budget=AlarmBudget(alarms=budget)))
        self.panes = []
        self.now = START
        self.memory = {}
        self.items = []
        self.alarms = 0

    def hour(self, rate=RATE, n=None):
        """Let an hour of labels arrive."""
        n = self.rng.poisson(20) if n is None else n
        wrong = int(self.rng.binomial(n, rate))
        if n:
            self.put({"right": int(n) - wrong, "wrong": wrong})
        self.now += HOUR

    def put(self, arrived, span=HOUR):
        tallies = {"arrived": arrived}
        self.panes.append(Pane(model="m", time=self.now, span=span, tallies=tallies))

    def window(self):
        until = self.now + GRACE
        since, _ = outward(until - DAY, until, until)

        def within(first, last):
            return tuple(pane for pane in self.panes if first <= pane.time < last)

        seen = within(since, until)
        memory = json.loads(json.dumps(self.memory))
        return Window(
            "m", "1", since, until, seen, self.reference, reach=within, read_at=until, memory=memory
        )

    def cycle(self):
        """Ask the collector; an alarm is evidence that was there and was reset."""
        before = self.memory.get("episodes", {})
        self.items = list(self.collector.collect(self.window()))
        *_, memory = self.items
        assert isinstance(memory, Memory)
        self.memory = dict(memory.body)
        self.alarms += bool(self.memory["episodes"]) and not before
        return self.result

    def hours(self, count, every=24, **given):
        for hour in range(1, count + 1):
            self.hour(**given)
            if hour % every == 0:
                self.cycle()
        return self.result

    @property
    def result(self):
        return next(item for item in self.items if isinstance(item, DriftResult))

    @property
    def metric(self):
        return next(item for item in self.items if isinstance(item, Metric))


class TestARise:
    """More errors than on the reference are found, fewer and as many are not."""

    @pytest.mark.parametrize(
        ("rate", "within"), [(0.15, 24 * 10), (0.2, 48), (0.4, 12)], ids=["1.5x", "2x", "4x"]
    )
    def test_it_is_found_in_every_one_of_ten_services(self, rate, within):
        """20 labels an hour after a quiet week: a rise is found, sooner the larger it is."""
        for seed in range(10):
            service = Labels(rng=np.random.default_rng(seed))
            service.hours(24 * 7)
            assert service.alarms == 0
            for _ in range(within):
                service.hours(1, every=1, rate=rate)
                if service.result.drifted:
                    break
            assert service.result.drifted, seed

    def test_it_is_told_with_its_size_and_its_beginning(self):
        """The result and the metric say how many are wrong, of how many, and when found."""
        service = Labels()
        service.hours(48)
        begin = service.now
        result = service.hours(24, every=1, rate=0.3)
        counts = np.sum([list(pane.tallies["arrived"].values()) for pane in service.panes[-25:]], 0)

        assert (result.feature, result.detector) == ("error_rate", "e_detector")
        assert result.drifted
        assert result.n_reference == 1000
        assert 0.2 < result.statistic < 0.4
        assert 0 < result.effect_low <= result.effect == pytest.approx(result.statistic - RATE)
        assert "of the labels that arrived are wrong, 10.0% on the reference" in result.why
        assert f"found {begin:%Y-%m-%d}" in result.why
        assert "more of the labels that arrive are wrong than on the reference" in result.why
        assert result.n <= counts.sum()
        assert (service.metric.name, service.metric.verdict) == ("concept_drift", "drifted")
        assert (service.metric.value, service.metric.low) == (result.effect, result.effect_low)
        assert service.metric.labels == {"detector": "e_detector"}

    def test_a_service_that_gets_better_is_no_news(self):
        """Half of the errors of the reference raise no alarm in eight weeks, and no effect."""
        service = Labels()
        result = service.hours(24 * 56, rate=RATE / 2)
        assert service.alarms == 0
        assert (result.drifted, result.effect) == (False, 0.0)

    def test_an_episode_ends_a_day_after_the_errors_have_gone(self):
        """The verdict is "drifted" until a day after the window shows nothing of it."""
        service = Labels()
        service.hours(24)
        service.hours(24, every=1, rate=0.4)
        assert service.result.drifted
        service.hours(24 * 4, every=1)
        assert service.result.drifted is False
        assert service.memory["episodes"] == {}


class TestTheBudget:
    """At the reference's own rate there are no more alarms than the budget allows."""

    WEEKS, ALARMS = 150, 0.8
    ALLOWED = ALARMS * 0.25

    def alarming(self, weeks, rate=RATE):
        """Return in how many independent weeks, each with its own reference, there was an alarm."""
        found = 0
        for seed in range(weeks):
            rng = np.random.default_rng(seed)
            service = Labels(drawn(rng), rng, self.ALARMS)
            service.hours(24 * 7, rate=rate)
            found += service.alarms > 0
        return found

    def most(self, weeks):
        """Return what is exceeded with a chance of 1 in 1,000 if the budget just holds."""
        return stats.binom.ppf(0.999, weeks, self.ALLOWED)

    def test_it_holds_over_150_weeks(self):
        """Of 150 weeks, each compared with 1,000 rows, no more alarm than the budget explains."""
        assert self.alarming(self.WEEKS) <= self.most(self.WEEKS)

    def test_the_bound_is_broken_by_a_rise(self):
        """The same bound is far exceeded where the error rate is twice that of the reference."""
        assert self.alarming(30, 2 * RATE) > 1.5 * self.most(30)

    def test_the_bound_is_broken_by_hourly_p_values(self):
        """A binomial test of each hour at 5%, with the same labels, does not hold the budget."""
        found = 0
        for seed in range(self.WEEKS):
            rng = np.random.default_rng(seed)
            reference = drawn(rng)
            known = reference.tallies["confusion"][join_key("yes", "no")] / 1000
            n = rng.poisson(20, 24 * 7)
            wrong = rng.binomial(n, RATE)
            found += bool((stats.binom.sf(wrong - 1, n, known) < 0.05).any())
        assert found > self.most(self.WEEKS)

    def test_one_service_is_silent_for_a_year(self):
        """Over 52 weeks the default budget explains at most a handful of episodes."""
        service = Labels(drawn(np.random.default_rng(3), 5000), np.random.default_rng(4))
        service.hours(24 * 7 * 52)
        assert service.alarms <= stats.binom.ppf(0.999, 52, 0.25 * 0.25)


class TestInOrder:
    """Each closed hour is taken in once, in the order in which labels arrived."""

    def test_an_hour_counts_once_however_often_it_is_asked_for(self):
        """Cycles of a minute give the memory that one cycle an hour gives."""
        often, seldom = Labels(), Labels()
        for _ in range(30):
            often.hour()
            seldom.hour()
            for _ in range(3):
                often.cycle()
        seldom.cycle()
        assert often.memory["state"] != {}
        for _ in range(30):
            often.hour()
            seldom.hour()
            often.cycle()
        seldom.cycle()
        late = seldom.memory
        assert often.memory["cursor"] == late["cursor"]
        assert often.memory["state"]["absorbed"] != late["state"]["absorbed"]  # 24 h at first
        again = Labels()
        again.hours(60, every=1)
        assert again.memory == often.memory

    def test_an_hour_that_is_not_over_waits(self):
        """Labels of the present hour are in the size, and are evidence only when it is closed."""
        service = Labels()
        service.hours(2, every=1)
        cursor = service.memory["cursor"]
        service.put({"right": 0, "wrong": 500})
        service.now += timedelta(minutes=59)
        result = service.cycle()
        assert result.n > 500
        assert (result.drifted, service.memory["cursor"]) == (False, cursor)
        service.now += timedelta(minutes=1)
        assert service.cycle().drifted

    def test_hours_without_labels_are_no_evidence(self):
        """A silent week leaves the evidence as it was, and says that there is not enough data."""
        service = Labels()
        service.hours(48)
        state = service.memory["state"]
        result = service.hours(24 * 7, n=0)
        assert service.memory["state"] == state
        assert result.drifted is None
        assert result.why == "not enough data: no labels have arrived"

    def test_what_waited_for_days_is_made_up_for(self):
        """After a pause in which hours became days, the days are taken in as they are."""
        service = Labels()
        service.hours(24)
        for _ in range(3):
            service.put({"right": 200, "wrong": 300}, span=DAY)
            service.now += DAY
        result = service.hours(24)
        assert result.drifted
        absorbed = service.memory["state"]["absorbed"]
        assert sum(absorbed) == sum(sum(pane.tallies["arrived"].values()) for pane in service.panes)

    def test_another_reference_begins_anew(self):
        """What was gathered against one reference means nothing for another."""
        service = Labels()
        service.hours(24)
        service.hours(24, every=1, rate=0.5)
        other = drawn(np.random.default_rng(9), rate=0.5)
        service.reference = other
        result = service.hours(24, every=1, rate=0.5)
        assert other.fingerprint != KNOWN.fingerprint
        assert result.drifted is False


REGRESSION = Reference.fit({"x": range(50)}, predictions=range(50), outcomes=range(50))


@pytest.mark.parametrize("given", [Reference.fit({"x": [1.0, 2.0]}), REGRESSION])
def test_without_known_errors_it_says_what_it_needs(given):
    """A reference without outcomes, or of a regression, gives no verdict but the remedy."""
    result, metric = Labels(given).collector.collect(Labels(given).window())
    assert result.drifted is None
    assert metric.value is None
    assert "Reference.fit(..., predictions=..., outcomes=...)" in metric.why == result.why


def test_it_keeps_the_contract():
    """The collector passes the check of collectors, with a window in which labels arrived."""
    service = Labels()
    service.hours(26)
    check_collector(ErrorRateCollector())
    check_collector(ErrorRateCollector(), [service.window()])


# Through a monitor


class Service:
    """A monitor whose predictions are labelled days later.

    Args:
        independent: Whether labels are watched.
    """

    def __init__(self, store=None, independent=True, given=KNOWN, **options):
        self.clock = ManualClock(START)
        self.told = RecordingNotifier()
        self.store = store or MemoryStore()
        if independent:
            options["drift"] = DriftPolicy(independent_labels=True)
        self.monitor = Monitor(
            given,
            store=self.store,
            model="m",
            model_version="1",
            notifiers=[self.told],
            clock=self.clock,
            **options,
        )

    def predict(self, n):
        return self.monitor.record_batch({"x": [0.0] * n}, ["yes"] * n)

    def label(self, ids, wrong, timestamp=None):
        """Tell outcomes, the first `wrong` of them wrong."""
        true = ["no"] * wrong + ["yes"] * (len(ids) - wrong)
        self.monitor.record_outcomes(ids, true, timestamp=timestamp)

    def cycle(self, hours=1):
        self.clock.advance(timedelta(hours=hours))
        return self.monitor.run_cycle()


def test_off_by_default():
    """Nothing is measured or remembered unless the policy says so."""
    service = Service(independent=False)
    service.label(service.predict(100), 90)
    for _ in range(3):
        report = service.cycle()
    assert report.find("concept_drift", detector="e_detector") == ()
    assert "error_rate" not in {result.feature for result in report.drift}
    assert not any("error_rate" in row.name for row in service.store.read(Table.state))
    assert service.told.alerts == []


def test_a_collector_that_is_handed_in_gets_its_labels():
    """Labels are counted as they arrive wherever the collector is among those of the monitor."""
    service = Service(independent=False, collectors=[ErrorRateCollector()])
    service.label(service.predict(300), 150)
    for _ in range(3):
        report = service.cycle()
    assert report["concept_drift"].verdict == "drifted"
    assert total(service.store, "arrived") == {"right": 150, "wrong": 150}


def test_each_label_is_counted_once_where_it_arrives():
    """Right and wrong by the hour of arrival; a correction and a repetition count no second time.

    An outcome that came before its prediction counts when it is joined, one that cannot be read
    not at all.
    """
    service = Service()
    ids = service.predict(10)
    service.cycle(30)
    service.label(ids[:4], 1)
    service.label(ids[:4], 4)
    service.monitor.record_outcome(ids[5], None)
    service.monitor.record_outcome("early", "yes")
    service.cycle()
    assert total(service.store, "arrived") == {"right": 3, "wrong": 1}
    service.monitor.record_prediction({"x": 0.0}, "no", request_id="early")
    service.cycle()
    assert total(service.store, "arrived") == {"right": 3, "wrong": 2}
    times = {pane.time for pane in service.store.read(Table.panes) if "arrived" in pane.tallies}
    assert min(times) == START + 30 * HOUR


@pytest.mark.parametrize("timestamp", [None, START, START + 200 * HOUR], ids=str)
def test_labels_that_come_a_week_late_are_watched(timestamp):
    """Labels are evidence in the order in which they arrive, whatever time they bear."""
    service = Service()
    ids = service.predict(400)
    for _ in range(7):
        service.cycle(24)
    assert service.told.alerts == []
    for turn in range(8):
        service.label(ids[turn * 50 : turn * 50 + 50], 25, timestamp)
        report = service.cycle()
    service.cycle(60)
    absorbed = next(
        row.body["state"]["absorbed"]
        for row in service.store.read(Table.state)
        if row.name == "collector/m/1/error_rate"
    )
    assert absorbed == [200, 200]
    assert [alert.metric for alert in service.told.alerts][:1] == ["concept_drift"]
    if timestamp is None:
        assert report["concept_drift"].verdict == "drifted"


def test_the_report_tells_it_once():
    """The headline and the drift section name the error rate; the alert is of the error rate."""
    service = Service(collectors=[ErrorRateCollector()])
    service.label(service.predict(300), 30)
    service.cycle()
    service.label(service.predict(300), 150)
    service.cycle()
    report = service.cycle()
    text = str(report)
    (alert,) = service.told.alerts

    assert text.splitlines()[1] == "error_rate has drifted (at least 10% of the traffic)"
    (row,) = [line for line in text.splitlines() if line.startswith("error_rate  e_detector")]
    assert "drifted" in row
    assert "concept_drift" not in text
    assert "error rate has drifted" in alert.title
    assert "30.0% of the labels that arrived are wrong, 10.0% on the reference" in alert.why
    assert report["concept_drift"].value == pytest.approx(0.2)
    assert report["concept_drift"].n == 600


def test_two_workers_watch_each_label_once(tmp_path):
    """Two monitors on one file that ingest and judge in turn count and absorb each label once."""
    path = tmp_path / "store.db"
    workers = [Service(SQLiteStore(path)) for _ in range(2)]
    for _ in range(6):
        for worker in workers:
            worker.label(worker.predict(20), 2)
            worker.monitor.flush()
        for worker in workers:
            worker.cycle()
    for worker in workers:
        worker.cycle(2)
    assert total(workers[0].store, "arrived") == {"right": 216, "wrong": 24}
    (state,) = workers[0].store.read(Table.state, keys=["collector/m/1/error_rate"])
    assert state.body["state"]["absorbed"] == [216, 24]
