"""How much comes in, hour by hour, against past days."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from scipy import stats
from tests.hourly import BEGIN, DAY, HOUR, MINUTE, Worker

from mlwatch import Monitor
from mlwatch.collectors import VolumeCollector
from mlwatch.records import Memory, Pane
from mlwatch.spans import KEPT
from mlwatch.stores import MemoryStore
from mlwatch.testing import ManualClock, RecordingNotifier
from mlwatch.window import Window


@dataclass
class Course:
    """A collector that is asked about counts of hours, with what it remembers.

    Args:
        counts: Predictions of each hour from `BEGIN` on; None where no pane is.
        days: The days that are kept as one pane.
    """

    counts: list
    days: frozenset = frozenset()
    memory: dict = field(default_factory=dict)

    def panes(self, since, until):
        found = []
        for hour, count in enumerate(self.counts):
            time = BEGIN + hour * HOUR
            if since <= time < until and hour // 24 not in self.days and count:
                found.append(pane(time, HOUR, count))
        for day in self.days:
            time = BEGIN + day * DAY
            if since <= time < until:
                found.append(pane(time, DAY, sum(self.counts[24 * day : 24 * day + 24])))
        return tuple(found)

    def ask(self, hour, span=DAY, late=10 * MINUTE):
        """Return the metrics of a cycle ten minutes into an hour."""
        until = BEGIN + hour * HOUR + late
        since = until - span
        window = Window(
            "m", "", since, until, self.panes(since, until), reach=self.panes, memory=self.memory
        )
        items = [*VolumeCollector().collect(window)]
        (memory,) = (item for item in items if isinstance(item, Memory))
        self.memory = memory.body
        return {metric.name: metric for metric in items if metric is not memory}

    def live(self, days):
        """Let a cycle a day be run."""
        for day in range(1, days + 1):
            self.ask(24 * day)
        return self

    def volume(self, hour, **options):
        return self.ask(hour, **options)["volume_ratio"]

    def verdicts(self):
        """Return the verdict of every hour, in the cycle that finds it closed."""
        return [self.volume(hour).verdict for hour in range(1, len(self.counts) + 1)]


def pane(time, span, count):
    tallies = {"rows": {"recorded": count, "counted": count}}
    return Pane(model="m", time=time, span=span, tallies=tallies)


def season(weeks, base=400.0, weekend=0.3):
    """Return what hours of a service have on average, by day and by week."""
    hours = np.arange(weeks * 7 * 24)
    by_day = 1 + 0.8 * np.sin(2 * np.pi * (hours % 24 - 9) / 24)
    return base * by_day * np.where(hours // 24 % 7 >= 5, weekend, 1.0)


@pytest.mark.parametrize("base", [2.0, 4000.0])
def test_a_weekly_season_is_not_unusual(base):
    """In eight weeks of Poisson traffic with nights and quiet weekends no hour is unusual."""
    counts = np.random.default_rng(0).poisson(season(8, base)).tolist()
    verdicts = Course(counts).verdicts()

    assert verdicts.count("unusual") == 0
    assert verdicts.count("usual") >= 7 * 7 * 24 - 24


def test_restless_traffic_is_seldom_unusual():
    """Of seven weeks whose hours vary by a fifth beyond Poisson, one hour is unusual at most."""
    rng = np.random.default_rng(1)
    mean = season(8)
    counts = rng.poisson(mean * rng.gamma(25, 1 / 25, len(mean))).tolist()

    assert Course(counts).verdicts().count("unusual") <= 1


@pytest.mark.parametrize("weekday", [2, 5])
@pytest.mark.parametrize(("factor", "verdict"), [(5, "unusual"), (1, "usual"), (0, "unusual")])
def test_floods_and_silence_are_found(weekday, factor, verdict):
    """Five times as many, and none at all, are unusual on a weekday; floods at a weekend too."""
    counts = np.random.default_rng(0).poisson(season(4, weekend=0.6)).tolist()
    hour = 21 * 24 + weekday * 24 + 15
    counts[hour] *= factor
    found = Course(counts).live(21 + weekday).volume(hour + 1)

    assert found.verdict == verdict
    assert f"{counts[hour]:,} from 2024-01-{22 + weekday} 15:00 to 16:00; usual are" in found.why
    assert found.low <= found.value <= found.high


def test_the_figure_is_that_of_the_counts():
    """The ratio is the count over numpy's median, with scipy's exact interval of the count."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(50, 20 * 24).tolist()
    found = Course(counts).live(19).volume(24 * 19 + 7)
    past = [counts[24 * day + 6] for day in range(19)]
    count = counts[24 * 19 + 6]

    assert found.value == pytest.approx(count / np.median(past))
    interval = stats.chi2.ppf([0.025, 0.975], [2 * count, 2 * count + 2]) / 2
    assert (found.low, found.high) == pytest.approx(tuple(interval / np.median(past)))
    assert found.n == 19


def test_a_week_has_to_be_known():
    """For seven days there is no verdict, and it says of how many days the hour is known."""
    course = Course([100] * 24 * 9)
    verdicts = course.verdicts()

    assert verdicts[: 7 * 24 + 1] == ["not enough data"] * (7 * 24 + 1)
    assert verdicts[7 * 24 + 1 :] == ["usual"] * (2 * 24 - 1)
    early = Course([100] * 24 * 9).live(3)
    assert "11:00 is known of 3 of 7 past days" in early.volume(3 * 24 + 12).why


def test_nothing_that_was_ever_recorded():
    """A service that has had no prediction has no volume, no age, and nothing is unusual."""
    found = Course([0] * 24).ask(20)

    assert found["volume_ratio"].value is None
    assert found["volume_ratio"].verdict == "not enough data"
    assert found["seconds_since_prediction"].value is None
    assert "no prediction was recorded" in found["seconds_since_prediction"].why


def test_hours_off_count_as_none_once_the_service_was_there():
    """Hours before the first prediction are not known; hours without any after it are 0."""
    counts = [0] * 10 * 24 + ([0] * 8 + [300] * 8 + [0] * 8) * 9
    course = Course(counts).live(18)
    body = course.memory

    assert body["since"] == (BEGIN + 10 * DAY + 9 * HOUR).isoformat()
    assert body["counts"] == counts[10 * 24 + 9 : 18 * 24]
    quiet = course.volume(18 * 24 + 4)
    assert (quiet.value, quiet.verdict) == (None, "usual")
    assert "usually there are none" in quiet.why


def test_few_at_a_time_that_has_none_are_unusual_only_in_numbers():
    """At an hour that never has any, a handful is no news, and hundreds are."""
    for count, verdict in ((5, "usual"), (400, "unusual")):
        counts = ([0] * 8 + [300] * 8 + [0] * 8) * 9
        counts[8 * 24 + 3] = count
        assert Course(counts).live(8).volume(8 * 24 + 4).verdict == verdict


def test_silence_of_a_small_service_is_unusual():
    """An hour without any is unusual where nine days of ten had ten or more, and not below."""
    for usual, verdict in ((20, "unusual"), (6, "usual")):
        counts = [usual] * 24 * 10
        counts[9 * 24] = 0
        assert Course(counts).live(9).volume(9 * 24 + 1).verdict == verdict


@pytest.mark.parametrize(("weeks", "verdict"), [(3, "usual"), (4, "unusual")])
def test_silence_of_a_service_that_rests_at_weekends_is_unusual(weeks, verdict):
    """With four weeks known an office's silent Monday is unusual, and a silent Sunday never is."""
    office = [0] * 8 + [40] * 10 + [0] * 6
    counts = (office * 5 + [0] * 48) * (weeks + 1)
    counts[weeks * 168 : weeks * 168 + 24] = [0] * 24
    course = Course(counts).live(weeks * 7)

    assert course.volume(weeks * 168 - 12).verdict == "usual"  # Sunday noon
    assert course.volume(weeks * 168 + 12).verdict == verdict


def test_one_odd_week_is_no_example():
    """After a month a weekday's flood does not make the next one usual; a second one does."""
    counts = np.random.default_rng(0).poisson(200, 43 * 24).tolist()
    verdicts = []
    for day in (28, 35, 42):
        counts[day * 24 + 12] *= 4
        verdicts.append(Course(counts).live(day).volume(day * 24 + 13).verdict)

    assert verdicts == ["unusual", "unusual", "usual"]


def test_asked_seldom_it_misreads_nothing():
    """Days that were rolled up before anybody looked are not known by the hour, and no zeros."""
    counts = [100] * 24 * 30
    course = Course(counts)
    course.ask(24)
    course.days = frozenset(range(1, 26))
    found = course.volume(28 * 24 + 12)

    assert "known of 3 of 7 past days" in found.why
    assert course.memory["counts"][:22] == [100] * 22
    assert course.memory["counts"][22 : 25 * 24 + 22] == [None] * 25 * 24
    assert set(course.memory["counts"][25 * 24 + 22 :]) == {100}


def test_eight_weeks_are_remembered():
    """What is remembered stays bounded, however long and however seldom it is asked."""
    course = Course([50] * 24 * 100)
    course.ask(24)
    course.ask(24 * 99)
    assert len(course.memory["counts"]) == KEPT // HOUR

    for hour in range(24 * 99, 24 * 100):
        course.ask(hour)
    assert len(course.memory["counts"]) == KEPT // HOUR
    assert set(course.memory["counts"]) == {50}


@pytest.mark.parametrize("span", [30 * MINUTE, DAY])
def test_the_age_of_the_newest_prediction(span):
    """How long ago the last one came, to the length of its pane, also beyond the window."""
    course = Course([7] * 5 + [0] * 60)
    age = course.ask(5, span=span)["seconds_since_prediction"]
    assert (age.value, age.low, age.high) == (600, 600, 4200)

    for hour, beyond in ((8, 3), (40, 35), (60, 55)):
        age = course.ask(hour, span=span)["seconds_since_prediction"]
        assert age.value == beyond * 3600 + 600


def test_a_prediction_of_this_minute_is_no_time_ago():
    """The pane that is not over yet makes no negative age."""
    monitor, _ = service()
    monitor.record_prediction({}, 0.5)
    found = monitor.run_cycle()["seconds_since_prediction"]

    assert (found.value, found.low, found.high) == (0, 0, 60)


def service(store=None, **options):
    told = RecordingNotifier()
    clock = ManualClock(BEGIN)
    options.setdefault("notifiers", [told])
    store = store or MemoryStore()
    return Monitor(store=store, model="m", clock=clock, **options), told


class TestAlerts:
    """The defaults, in a real monitor over days."""

    @pytest.fixture
    def running(self):
        """A service that had 200 predictions in each hour of nine days, with a cycle a day."""
        running = Worker(MemoryStore(), detectors=[])
        running.serve(range(9 * 24))
        for day in range(1, 10):
            running.cycle(24 * day)
        running.told.alerts.clear()
        return running

    def test_silence_is_told_once_and_its_end(self, running):
        """An outage is one alert, that stays over the night and ends when predictions come."""
        reports = [running.cycle(hour) for hour in range(9 * 24 + 1, 9 * 24 + 8)]
        running.serve([9 * 24 + 8])
        running.cycle(9 * 24 + 9)

        assert [alert.title for alert in running.told.alerts] == [
            "no predictions come in",
            "predictions come in",
        ]
        assert running.told.alerts[0].severity == "warning"
        assert "0 from 2024-01-10 00:00 to 01:00; usual are" in running.told.alerts[0].why
        assert reports[-1]["volume_ratio"].value == 0

    def test_a_flood_is_told_for_information(self, running):
        """An hour with ten times as many is an alert of severity "info", until one is usual."""
        running.serve([9 * 24], rows=2000)
        running.cycle(9 * 24 + 1)
        running.serve([9 * 24 + 1])
        running.cycle(9 * 24 + 2)
        first, last = running.told.alerts

        assert (first.severity, first.state, last.state) == ("info", "firing", "resolved")
        assert first.title == "the volume of predictions is unusual: 10 times what is usual"
        assert (first.model_version, last.id) == ("", first.id)

    def test_a_deployment_is_neither(self, running):
        """A new version takes all of the traffic over, and nothing is said: the model has it."""
        monitor = Monitor(
            running.reference,
            store=running.store,
            model="m",
            model_version="2",
            clock=running.clock,
            detectors=[],
            notifiers=[running.told],
        )
        for hour in range(9 * 24, 10 * 24 + 12):
            profile = running.reference.count({"x": np.zeros(200)})
            start = BEGIN + hour * HOUR
            monitor.record_profile(profile, start, start + HOUR)
            running.at(hour + 1)
            report = monitor.run_cycle()

        assert [alert.title for alert in running.told.alerts] == []
        (volume,) = report.find("volume_ratio")
        assert (volume.value, volume.verdict, volume.model_version) == (1, "usual", "")
        assert "volume_ratio " in str(report)
        assert "volume_ratio" in report.to_row()

    def test_whoever_asks_it_is_one_figure(self, running):
        """Two versions in a window make one figure of the model, of their sum."""
        profile = running.reference.count({"x": np.zeros(200)})
        start = BEGIN + 9 * DAY
        for version in "12":
            running.monitor.record_profile(profile, start, start + HOUR, model_version=version)
        report = running.cycle(9 * 24 + 1)

        assert [it.value for it in report.find("volume_ratio")] == [2]
        assert [it.value for it in report.find("seconds_since_prediction")] == [660]


def test_a_new_service_without_days_is_silent():
    """Until days are known an outage is not told by default, and the figure says why."""
    running = Worker(MemoryStore(), detectors=[])
    running.serve(range(24))
    running.cycle(24)
    report = running.cycle(30)

    assert running.told.alerts == []
    assert report["volume_ratio"].why == "not enough data: 05:00 is known of 1 of 7 past days"
    assert report["seconds_since_prediction"].value == 6 * 3600 + 660
