"""Labels that come late: what is judged waits for them, and past days are written anew."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from sklearn import metrics
from tests.service import DAY, Interrupted
from tests.traffic import START

from mlwatch import Monitor, Reference, Table, Threshold, buckets
from mlwatch.alerting import Finding
from mlwatch.collectors import ConceptDriftCollector, PerformanceCollector
from mlwatch.collectors.performance.delays import Delays
from mlwatch.records import Metric, Revised, Severity
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)


def draw(n, seed, positives=0.5):
    """Return scores, and outcomes that are as likely as they say."""
    rng = np.random.default_rng(seed)
    shift = np.log(positives / (1 - positives))
    scores = 1 / (1 + np.exp(-rng.normal(shift, 1.5, n)))
    return scores, (rng.random(n) < scores).astype(int)


KNOWN = Reference.fit(
    {"x": np.zeros(2000)}, predictions=draw(2000, 0)[0], outcomes=draw(2000, 0)[1]
)


class Service:
    """A monitor that measures performance alone, its predictions, and the truth of each.

    Args:
        store: Its store.
        clock: Shared by workers on one store.
    """

    def __init__(self, store=None, clock=None, **options):
        self.clock = clock or ManualClock(START)
        self.store = MemoryStore() if store is None else store
        self.told = RecordingNotifier()
        self.truth = {}
        options = {"model_version": "1", "collectors": [PerformanceCollector()]} | options
        self.monitor = Monitor(
            options.pop("given", KNOWN),
            store=self.store,
            model="m",
            notifiers=[self.told],
            clock=self.clock,
            **options,
        )

    def predict(self, n, seed, **drawn):
        """Serve predictions now; return their ids and outcomes."""
        scores, outcomes = draw(n, seed, **drawn)
        ids = self.monitor.record_batch({"x": np.zeros(n)}, scores)
        self.truth |= {
            key: (self.clock(), score, outcome)
            for key, score, outcome in zip(ids, scores, outcomes, strict=True)
        }
        return ids, outcomes

    def label(self, ids, outcomes, **options):
        self.monitor.record_outcomes(ids, [int(value) for value in outcomes], **options)
        self.monitor.flush(ingest=True)

    def cycle(self, after=HOUR):
        self.clock.advance(after)
        return self.monitor.run_cycle()

    def day(self, day):
        """Return what the store says of a day, by metric."""
        since = START + day * DAY
        rows = self.store.read(Table.metrics, model="m", model_version="1")
        return {row.name: row for row in rows if (row.since, row.time) == (since, since + DAY)}

    def rows_of(self, day, labelled):
        """Return the scores and outcomes of a day's predictions that have a label."""
        since = START + day * DAY
        chosen = [
            (score, outcome)
            for key, (time, score, outcome) in self.truth.items()
            if since <= time < since + DAY and key in labelled
        ]
        return map(np.array, zip(*chosen, strict=True))


def expected(scores, outcomes):
    labels = scores >= 0.5
    return {
        "accuracy": metrics.accuracy_score(outcomes, labels),
        "precision": metrics.precision_score(outcomes, labels),
        "recall": metrics.recall_score(outcomes, labels),
        "f1": metrics.f1_score(outcomes, labels),
        "log_loss": metrics.log_loss(outcomes, scores),
        "outcome_rate": outcomes.mean(),
    }


def assert_is(found, scores, outcomes):
    for name, value in expected(scores, outcomes).items():
        assert found[name].value == pytest.approx(value, rel=1e-9), name


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "store.db")


class TestPastDays:
    """The figures of a past day are always those of all labels known so far."""

    def test_labels_after_40_days(self, store):
        """Told late, told wrong and then right, told too early, and for ids that nobody knows."""
        rules = [Threshold("accuracy", below=0.999)]
        service = Service(store, rules=rules)
        service.monitor.record_outcome("early", 1)
        ids, outcomes = service.predict(100, seed=1)
        service.monitor.record_prediction({"x": 0.0}, 0.9, request_id="early")
        service.truth["early"] = (service.clock(), 0.9, 1)
        for _ in range(10):
            service.cycle(4 * DAY)
        assert service.day(0)["labelled_count"].value == 1.0
        assert service.day(0)["label_coverage"].value == 1 / 101

        service.label(ids[:80], 1 - outcomes[:80])
        service.label([f"nobody {i}" for i in range(7)], [1] * 7)
        report = service.cycle(2 * HOUR)
        assert {(it.since, it.time) for it in report.revised} == {(START, START + DAY)}
        assert service.day(0)["accuracy"].n == 81
        assert report["outcomes_without_prediction"].value == 7
        assert any(
            line.startswith("outcomes_without_prediction ") for line in str(report).split("\n")
        )
        assert "figures of past days written anew: 2024-01-01" in str(report)

        service.label(ids[:80], outcomes[:80])
        report = service.cycle(2 * HOUR)
        found = service.day(0)
        assert report["labels_changed"].value == 80
        assert_is(found, *service.rows_of(0, {*ids[:80], "early"}))
        assert (found["labelled_count"].value, found["label_coverage"].value) == (81, 81 / 101)
        assert service.told.alerts == []
        assert service.monitor.status().noted["outcome_repeated"] == 80

        assert service.cycle(2 * HOUR).revised == ()

    @pytest.mark.parametrize("every", [HOUR, 7 * DAY], ids=str)
    def test_it_does_not_matter_how_often_cycles_run(self, every):
        """A cycle an hour, or one a week: each day with traffic has the figures of its labels."""
        service = Service()
        labelled, waiting, done = set(), [], START
        for quarter in range(4 * 9):
            ids, outcomes = service.predict(25, seed=quarter)
            waiting.append((ids, outcomes))
            if quarter % 7 == 6:  # the labels of the last days but one, in a random order
                for some, truth in waiting[:-3]:
                    service.label(some[:20], truth[:20])
                    labelled.update(some[:20])
                del waiting[:-3]
            for _ in range(6):
                service.clock.advance(HOUR)
                if service.clock() - done >= every:
                    service.monitor.run_cycle()
                    done = service.clock()
                else:
                    service.monitor.flush(ingest=True)
        service.cycle(2 * HOUR)
        for day in range(9):
            found = service.day(day)
            assert found["label_coverage"].n == 100
            known = [key for key in labelled if START + day * DAY <= service.truth[key][0]]
            known = [key for key in known if service.truth[key][0] < START + (day + 1) * DAY]
            assert found["labelled_count"].value == len(known)
            if len(known) >= 30:
                assert_is(found, *service.rows_of(day, known))

    def test_only_days_that_were_touched_are_written(self):
        """A day is written when it has closed, when labels of it come, and when it is mature."""
        service = Service()
        told = []
        for day in range(7):
            told.append(service.predict(40, seed=day))
            for _ in range(24):
                service.cycle()
        written = []
        for ids, outcomes in (told[1], told[4]):
            service.label(ids[:10], outcomes[:10])
        for _ in range(5):
            report = service.cycle()
            written.append(sorted({(it.since - START).days for it in report.revised}))
        assert [days for days in written if days] == [[6], [1, 4]]

    def test_predictions_that_come_late_change_their_day(self):
        """A batch of yesterday's predictions that is recorded today is in yesterday's figures."""
        service = Service()
        service.predict(10, seed=0)
        service.cycle(DAY + HOUR)
        assert service.day(0)["label_coverage"].n == 10
        scores, outcomes = draw(50, 1)
        ids = service.monitor.record_batch({"x": np.zeros(50)}, scores, timestamp=START + HOUR)
        service.cycle(2 * HOUR)
        assert service.day(0)["label_coverage"].n == 60
        service.label(ids, outcomes, timestamp=START + 2 * HOUR)
        service.cycle(2 * HOUR)
        found = service.day(0)
        assert (found["label_coverage"].n, found["labelled_count"].value) == (60, 50)
        assert_is(found, scores, outcomes)

    def test_a_version_that_no_longer_serves(self):
        """Its past days are written anew, and the report is not filled with figures of nothing."""
        service = Service(given={"1": KNOWN, "2": KNOWN})
        ids, outcomes = service.predict(100, seed=1)
        service.cycle(5 * DAY)
        newer = Service(service.store, service.clock, given={"1": KNOWN, "2": KNOWN},
                        model_version="2")  # fmt: skip
        newer.predict(10, seed=2)
        service.label(ids, outcomes)
        newer.clock.advance(2 * HOUR)
        report = newer.monitor.run_cycle()
        assert_is(service.day(0), *service.rows_of(0, set(ids)))
        assert {it.model_version for it in report.metrics} == {"2", ""}
        assert {it.model_version for it in report.revised} == {"1"}

    def test_a_clock_that_ran_ahead(self):
        """What comes after it was set right is in the figures of its day, and at once."""
        service = Service()
        service.cycle(20 * DAY)
        service.clock.advance(-20 * DAY)
        ids, outcomes = service.predict(100, seed=1)
        for _ in range(3):
            service.cycle(DAY)
        service.label(ids, outcomes)
        service.cycle(2 * HOUR)
        assert_is(service.day(0), *service.rows_of(0, set(ids)))

    def test_days_of_an_old_reference_stay_as_they_are(self):
        """Under a new reference their labels cannot be counted: their figures are not touched."""
        service = Service()
        old, truth = service.predict(100, seed=0)
        service.clock.advance(HOUR)
        service.label(old, truth)
        service.cycle(2 * DAY)
        before = service.day(0)
        assert before["accuracy"].n == 100
        newer = Reference.fit(
            {"x": np.zeros(500)}, predictions=draw(500, 7)[0], outcomes=draw(500, 7)[1]
        )
        after = Service(service.store, service.clock, given=newer)
        for day in range(4):
            ids, outcomes = after.predict(100, seed=day)
            after.clock.advance(HOUR)
            after.label(ids, outcomes)
            after.label(old[:50], 1 - truth[:50])
            after.cycle(DAY)
        assert service.day(0) == before
        assert service.day(3)["accuracy"].n == 100

    def test_two_workers_write_the_same(self, tmp_path):
        """Workers on one file, each in turn, and one in the middle of the other's cycle."""
        path, clock = tmp_path / "store.db", ManualClock(START)
        first = Service(SQLiteStore(path), clock)
        for moment in range(1, 12):
            day = moment - 1
            ids, outcomes = first.predict(40, seed=day)
            other = Service(Interrupted(SQLiteStore(path), moment, first.monitor.run_cycle), clock)
            clock.advance(DAY + HOUR)
            first.label(ids, outcomes)
            clock.advance(2 * HOUR)
            other.monitor.run_cycle()
            since = _day(first, ids)
            rows = first.store.read(Table.metrics)
            found = {it.name: it for it in rows if (it.since, it.time) == (since, since + DAY)}
            scores, true = map(np.array, zip(*(first.truth[key][1:] for key in ids), strict=True))
            assert_is(found, scores, true)
            clock.advance(since + 3 * DAY - clock())


def _day(service, ids):
    time = service.truth[ids[0]][0]
    return START + (time - START) // DAY * DAY


def late_service(days, seed=0, slow=1.7, **options):
    """Return a service whose positives are labelled days later than its negatives, and its days.

    Of 400 predictions a day; the delay is exponential with a mean of 0.3 days for negatives
    and of `slow` for positives. A cycle every six hours.
    """
    service, rng = Service(**options), np.random.default_rng(seed)
    queue, reports = {}, []
    for quarter in range(4 * days):
        ids, outcomes = service.predict(100, seed=quarter, positives=0.15)
        delays = rng.exponential(np.where(outcomes == 1, slow, 0.3))
        for key, outcome, due in zip(ids, outcomes, quarter + 4 * delays, strict=True):
            queue.setdefault(int(np.ceil(due)), []).append((key, outcome))
        service.clock.advance(6 * HOUR)
        if due := queue.pop(quarter + 1, []):
            service.label(*zip(*due, strict=True))
        reports.append(service.monitor.run_cycle())
    return service, reports


@pytest.fixture(scope="module")
def late():
    """A service of 13 days, with a limit that its accuracy is below and one that it is not."""
    return late_service(13, rules=[Threshold("accuracy", below=it) for it in (0.99, 0.3)])


class TestMaturity:
    """Figures are judged once the labels have come, of each class."""

    def test_positives_that_come_later(self, late):
        """The figure of what has arrived is biased and marked; that of a mature day is right."""
        service, reports = late
        low, held = [], []
        for report in reports[-16:]:
            now, earlier = report.find("accuracy")
            rate, _ = report.find("outcome_rate")
            assert now.verdict == rate.verdict == "immature"
            assert report["label_maturity"].verdict == "immature"
            assert (earlier.verdict, report["accuracy"]) == ("", earlier)
            day = (earlier.since - START).days
            scores, outcomes = service.rows_of(day, service.truth)
            truth = np.mean((scores >= 0.5) == outcomes)
            held.append(earlier.low <= truth <= earlier.high)
            low.append(now.low > truth and rate.high < outcomes.mean())
        assert np.mean(low) > 0.9
        assert all(held)

    def test_the_slowest_class_decides(self, late):
        """Of all labels 95% come within four days; positives, the fewer, take longer."""
        _, reports = late
        report = reports[-1]
        day = report["accuracy"].since
        age = report.time - (day + DAY)
        assert report.find("label_delay_seconds", quantile="0.9")[0].value < 3 * 86_400
        assert 1.7 * np.log(20) * DAY * 0.9 < age < 1.7 * np.log(20) * DAY * 1.2 + DAY

    def test_what_is_shown(self, late):
        """The window's own figures are marked, those of the day say which, and each has a place."""
        _, reports = late
        report = reports[-1]
        earlier = report["accuracy"]
        span = f"{earlier.since:%Y-%m-%d %H:%M} to {earlier.time:%Y-%m-%d %H:%M}"
        lines = str(report).splitlines()
        (own,) = [line for line in lines if line.startswith("accuracy  ")]
        assert own.endswith("immature")
        assert any(line.startswith(f"accuracy [{span}]") for line in lines)
        (state,) = [line for line in lines if line.startswith("label_maturity")]
        assert "of the predictions have their label, of the labels that will come" in state
        row = report.to_row()
        assert row["accuracy"] == report.find("accuracy")[0].value
        assert row["accuracy[span=earlier]"] == earlier.value
        frame = report.to_frame()
        assert (frame.query("name == 'accuracy'")["since"] == [report.since, earlier.since]).all()

    def test_it_is_not_known_before_labels_could_have_been_so_late(self):
        """A service of few days has seen no label that is later: until then it is not judged."""
        _, reports = late_service(6, slow=20.0)
        for report in reports[1:]:
            assert [it.verdict for it in report.find("accuracy")] == ["immature"]
            assert "how late labels come is not known yet" in report["accuracy"].why

    def test_labels_at_once_are_judged_at_once(self):
        """With 95% of the labels in, or all but the last minutes' of many hours, all is mature."""
        service = Service()
        ids, outcomes = service.predict(100, seed=0)
        service.label(ids[:95], outcomes[:95])
        report = service.cycle()
        assert report["label_maturity"].verdict == "mature"
        assert report["accuracy"].verdict == ""
        for hour in range(40):
            ids, outcomes = service.predict(100, seed=hour)
            service.clock.advance(timedelta(minutes=1))
            service.label(ids[:20], outcomes[:20])
            report = service.cycle(timedelta(minutes=59))
        assert report["label_coverage"].value < 0.3
        assert report["label_maturity"].verdict == "mature"
        assert [it.verdict for it in report.find("accuracy")] == [""]

    def test_a_few_that_are_missing_may_be_all_of_a_class(self):
        """With 97% of the labels in, and none of the positives that come days later, it is not."""
        service = Service()
        for day in range(14):
            service.predict(400, seed=day, positives=0.02)
            service.clock.advance(HOUR)
            for value, late in ((0, 0), (1, 3)):
                if late <= day:
                    chosen = [
                        key
                        for key, (time, _, truth) in service.truth.items()
                        if truth == value and time == service.clock() - HOUR - late * DAY
                    ]
                    service.label(chosen, [value] * len(chosen))
            report = service.cycle(DAY - HOUR)
        assert report["label_coverage"].value > 0.95
        assert report["label_maturity"].verdict == "immature"
        assert report["accuracy"].time <= report.time - 3 * DAY

    def test_without_labels_nothing_is_said(self):
        """A service that has no labels has no line of them but that there are none."""
        service = Service()
        service.predict(100, seed=0)
        report = service.cycle()
        names = {metric.name for metric in report.metrics if not metric.name.startswith("monitor")}
        assert names == {"labelled_count", "label_coverage"}
        assert report["label_coverage"].verdict == ""


class TestDelays:
    """What is known of delays is that of the labels that came, on the safe side by 2% at most."""

    @pytest.fixture
    def seconds(self):
        rng = np.random.default_rng(0)
        return {"delay/0": rng.exponential(3600, 500), "delay/1": rng.exponential(9000, 40)}

    def delays(self, seconds, longest=100 * DAY):
        tallies = {
            name: dict(Counter(buckets.bucket(it) for it in values))
            for name, values in seconds.items()
        }
        return Delays(tallies, longest)

    def test_the_share_that_has_come(self, seconds):
        """It is that of the slowest class, and of all labels together."""
        found = self.delays(seconds)
        for age in (0.0, 60.0, 3600.0, 9000.0, 40_000.0, 1e6):
            for near, bound in ((age, np.less_equal), (age / 1.021, np.greater_equal)):
                exact = min(
                    np.mean(np.concatenate([*seconds.values()]) <= near),
                    *(np.mean(values <= near) for values in seconds.values()),
                )
                assert bound(found.within(timedelta(seconds=age)), exact)

    def test_the_time_until_95_percent_have_come(self, seconds):
        """Again of the slowest class; of one with a handful of labels nothing is known."""
        slowest = np.quantile(seconds["delay/1"], 0.95, method="inverted_cdf")
        lag = self.delays(seconds).lag
        assert slowest <= lag.total_seconds() <= 1.021 * slowest
        seconds["delay/1"] = seconds["delay/1"][:9]
        everything = np.concatenate([*seconds.values()])
        fewer = np.quantile(everything, 0.95, method="inverted_cdf")
        assert fewer <= self.delays(seconds).lag.total_seconds() <= 1.021 * fewer

    def test_it_is_not_known(self, seconds):
        """With fewer than 30 labels, or where the service is too young to have seen later ones."""
        assert self.delays(seconds, longest=HOUR).lag is None
        assert self.delays({"delay": seconds["delay/0"][:29]}).lag is None
        assert self.delays({"delay": seconds["delay/0"][:30]}).lag is not None

    def test_labels_of_a_month_ago_still_tell(self):
        """Where labels come once a month, their delays are remembered from one time to the next."""
        service = Service()
        for _ in range(30):
            service.predict(20, seed=0)
            service.cycle(DAY)
        for key, (_, _, outcome) in service.truth.items():
            service.monitor.record_outcome(key, int(outcome))
        for day in range(25):
            service.predict(20, seed=day)
            report = service.cycle(DAY)
        assert report.find("label_delay_seconds", quantile="0.9")[0].n == 600
        assert report["label_maturity"].verdict == "immature"


class TestAlerts:
    """No rule is moved by an immature figure; the newest mature span is judged in its place."""

    def test_only_mature_spans_alert(self, late):
        """A bad mature day alerts with its own figure and span; nothing before it is known."""
        service, reports = late
        first = next(report for report in reports if len(report.find("accuracy")) == 2)
        assert all(report.alerts == () for report in reports[: reports.index(first)])
        (alert,) = service.told.alerts
        _, earlier = first.find("accuracy")
        assert alert.rule == "accuracy below 0.99"
        assert (alert.value, alert.since) == (earlier.value, first.alerts[0].time)
        assert f"rows of {earlier.since:%Y-%m-%d} 00:00 to" in alert.why

    def test_a_rule_of_the_users_own_is_held_too(self):
        """A function that fires on any accuracy changes nothing while the figure is immature."""

        def any_accuracy(found):
            for it in found:
                if it.name == "accuracy":
                    yield Finding("any", Severity.WARNING, True, "any", "any", it)

        service = Service(rules=[any_accuracy])
        ids, outcomes = service.predict(100, seed=0)
        service.clock.advance(HOUR)
        service.label(ids[:50], outcomes[:50])
        assert service.cycle(timedelta(minutes=1))["accuracy"].value is not None
        assert service.told.alerts == []
        service.label(ids[50:], outcomes[50:])
        service.cycle(timedelta(minutes=1))
        assert [alert.rule for alert in service.told.alerts] == ["any"]

    def test_an_alert_is_not_over_while_labels_are_to_come(self):
        """What fires stays so over an immature window that looks well."""
        service = Service(rules=[Threshold("accuracy", below=0.9)], window=HOUR)
        ids, _ = service.predict(100, seed=0)
        labels = np.array([service.truth[key][1] >= 0.5 for key in ids]).astype(int)
        service.clock.advance(HOUR / 2)
        service.label(ids, 1 - labels)
        service.cycle(timedelta(minutes=1))
        assert len(service.told.alerts) == 1
        service.clock.advance(HOUR)
        ids, _ = service.predict(100, seed=1)
        service.clock.advance(timedelta(minutes=1))
        labels = np.array([service.truth[key][1] >= 0.5 for key in ids]).astype(int)
        service.label(ids[:40], labels[:40])
        report = service.cycle(timedelta(minutes=1))
        assert report.find("accuracy")[0].value == 1.0
        assert len(service.told.alerts) == 1
        assert [alert.metric for alert in report.firing] == ["accuracy"]


class TestRevised:
    """A collector of the user's own may write figures of the past anew."""

    def test_they_are_written_and_shown_to_no_rule(self):
        """They are in the store under their own span, in no table and in no alert."""

        def monthly(window):
            since = window.since - 30 * DAY
            yield Revised((Metric("mood", 0.1, since=since, time=window.since),))
            yield Metric("mood", 0.9)

        service = Service(collectors=[monthly], rules=[Threshold("mood", below=0.5)])
        report = service.cycle()
        assert [it.value for it in report.find("mood")] == [0.9]
        assert [it.value for it in report.revised] == [0.1]
        rows = [row for row in service.store.read(Table.metrics) if row.name == "mood"]
        assert [(row.value, row.model_version) for row in rows] == [(0.1, "1"), (0.9, "1")]
        assert service.told.alerts == []

    def test_a_figure_without_a_span_is_refused(self):
        """Else it would stand in the place of the window's own."""

        def wrong(window):
            yield Revised((Metric("mood", 0.1),))

        (fault,) = Service(collectors=[wrong]).cycle().faults
        assert "Revised(...)" in fault.error
        assert "since=..." in fault.error


def test_positives_that_are_told_first_are_no_drift_of_the_outcomes():
    """Where negatives are known after six days, no one is told that all outcomes are positive."""
    service = Service(collectors=[PerformanceCollector(), ConceptDriftCollector()])
    waiting = []
    for day in range(16):
        ids, outcomes = service.predict(200, day + 1)
        waiting.append((np.array(ids), outcomes))
        if day >= 1:
            told, true = waiting[day - 1]
            service.label(told[true == 1].tolist(), true[true == 1])
        if day >= 6:
            told, true = waiting[day - 6]
            service.label(told[true == 0].tolist(), true[true == 0])
        report = service.cycle(DAY)
        assert report["outcome_drift"].verdict != "drifted"
    assert not service.told.alerts
    assert report["outcome_drift"].verdict == "stable"
