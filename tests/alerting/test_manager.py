"""Each transition of an alert is told once: over cycles, restarts, workers and kills."""

from __future__ import annotations

import itertools
import json
import signal
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.service import MINUTE, START, STORES, Interrupted, finish, make_store, start

from mlwatch import AlertPolicy, Metric, Monitor, NotificationError, Severity, Table, Threshold
from mlwatch.alerting import AlertManager, Finding
from mlwatch.records import Batch, Delivery
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

HOUR = timedelta(hours=1)
POLICY = AlertPolicy(cooldown=5 * MINUTE, give_up_after=20 * MINUTE, stale_after=HOUR)


GONE = "gone"


class Signal:
    """A collector that measures what it is told to: a value, None, or something else instead."""

    name = "signal"

    def __init__(self, value=0.0):
        self.value = value

    def collect(self, window):
        if self.value == GONE:
            return [Metric("signal", 0.0, n=1, labels={"of": "another"})]
        return [Metric("signal", self.value, n=1, why="" if self.value is not None else "none")]


class Worker:
    """A monitor that fires while its signal is above 0.5."""

    def __init__(self, store=None, *notifiers, clock=None, policy=POLICY):
        self.signal = Signal()
        self.told = RecordingNotifier()
        self.clock = clock or ManualClock(START)
        self.store = store or MemoryStore()
        self.monitor = Monitor(
            store=self.store,
            clock=self.clock,
            collectors=[self.signal],
            rules=[Threshold("signal", above=0.5)],
            notifiers=notifiers or [self.told],
            alerts=policy,
        )

    def cycle(self, value, after=MINUTE):
        """Run a cycle with this signal, some time after the one before; return what changed."""
        self.clock.advance(after)
        self.signal.value = value
        self.report = self.monitor.run_cycle()
        return [(alert.rule, alert.state) for alert in self.report.alerts]

    @property
    def states(self):
        return [alert.state for alert in self.told.alerts]


def deliveries(store):
    """Return how each delivery stands: transition, notifier, status and attempts."""
    rows = sorted(store.read(Table.deliveries), key=lambda row: row.key)
    return [(row.alert.state, row.notifier, row.status, row.attempts) for row in rows]


FIRED, RESOLVED = [("signal above 0.5", "firing")], [("signal above 0.5", "resolved")]


# Transitions


def test_a_transition_is_told_once_over_many_cycles():
    """While nothing changes nothing is told, however many cycles run."""
    worker = Worker()
    assert worker.cycle(0.0) == []
    assert [worker.cycle(1.0) for _ in range(10)] == [FIRED, *[[]] * 9]
    assert [worker.cycle(0.0) for _ in range(10)] == [RESOLVED, *[[]] * 9]
    firing, resolved = worker.told.alerts
    assert firing.id == resolved.id
    assert firing.since == resolved.since == firing.time < resolved.time
    assert (firing.value, resolved.value) == (1.0, 0.0)


def test_a_report_says_what_fires_still():
    """`report.alerts` holds what changed in this cycle, `report.firing` all that fires now."""
    worker = Worker()
    fires = []
    for value in (0.0, 1.0, 1.0, None, 0.0):
        worker.cycle(value)
        fires.append([alert.state for alert in worker.report.firing])
    assert fires == [[], ["firing"], ["firing"], ["firing"], []]


def test_the_store_holds_one_alert_an_episode():
    """An episode is one row that says how it stands; the next episode has an id of its own."""
    worker = Worker()
    for value in (1.0, 0.0):
        worker.cycle(value, after=10 * MINUTE)
        worker.cycle(value)
    assert [row.state for row in worker.store.read(Table.alerts)] == ["resolved"]
    worker.cycle(1.0, after=10 * MINUTE)
    rows = list(worker.store.read(Table.alerts))
    assert [row.state for row in rows] == ["resolved", "firing"]
    assert len({row.id for row in rows}) == 2
    assert len({row.fingerprint for row in rows}) == 1


def test_cooldown_damps_what_comes_back_too_soon():
    """After a resolve nothing fires within the cooldown; what is still wrong then, does."""
    worker = Worker()
    worker.cycle(1.0)
    worker.cycle(0.0)
    assert [worker.cycle(1.0) for _ in range(6)] == [[], [], [], [], FIRED, []]
    worker.cycle(0.0)
    assert worker.cycle(1.0) == []
    assert worker.cycle(0.0) == []
    assert worker.states == ["firing", "resolved", "firing", "resolved"]


def test_without_cooldown_everything_is_told():
    """A cooldown of 0 tells every change."""
    worker = Worker(policy=AlertPolicy(cooldown=timedelta(0)))
    for value in (1.0, 0.0, 1.0, 0.0):
        worker.cycle(value)
    assert worker.states == ["firing", "resolved"] * 2


def test_no_data_changes_nothing():
    """A metric without a value neither fires nor resolves."""
    worker = Worker()
    assert worker.cycle(None) == []
    worker.cycle(1.0)
    assert [worker.cycle(None, after=5 * MINUTE) for _ in range(5)] == [[]] * 5
    assert worker.cycle(0.0) == RESOLVED


def test_an_alert_whose_metric_is_gone_resolves():
    """After `stale_after` without its metric an alert resolves, and does not claim recovery."""
    worker = Worker()
    worker.cycle(1.0)
    assert worker.cycle(GONE, after=HOUR - MINUTE) == []
    assert worker.cycle(GONE) == RESOLVED
    told = worker.told.alerts[-1]
    assert told.title == "no longer measured: signal is 1 (signal above 0.5)"
    assert told.why == "not measured since 2024-01-01 12:01 UTC: how it stands is not known"
    assert worker.cycle(1.0, after=5 * MINUTE) == FIRED


def test_an_alert_that_cannot_be_judged_goes_on():
    """Rows that run short are no recovery, however long: the alert fires until it is judged."""
    worker = Worker()
    worker.cycle(1.0)
    assert [worker.cycle(None, after=HOUR) for _ in range(3)] == [[]] * 3
    assert worker.cycle(GONE, after=HOUR - MINUTE) == []
    assert worker.cycle(0.0) == RESOLVED


# Restarts and workers


@pytest.mark.parametrize("kind", STORES)
def test_a_restart_tells_nothing_again(kind, tmp_path):
    """A new monitor on the same store goes on from how each alert stands."""
    store = make_store(kind, tmp_path)
    clock = ManualClock(START)
    changes = []
    for value in (0.0, 1.0, 1.0, 0.0, 0.0, 1.0):
        if kind != "memory" and changes:
            store.close()
            store = type(store)(store.path)
        changes.append(Worker(store, clock=clock).cycle(value, after=10 * MINUTE))
    assert changes == [[], FIRED, [], RESOLVED, [], FIRED]


@given(turns=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=25))
@settings(deadline=None)
def test_several_workers_tell_each_transition_once(turns):
    """Workers that share a store and take turns tell what one worker alone would tell."""
    store, told, clock = MemoryStore(), RecordingNotifier(), ManualClock(START)
    workers = [Worker(store, told, clock=clock) for _ in range(3)]
    alone = Worker()
    for place, wrong in turns:
        workers[place].cycle(float(wrong))
        alone.cycle(float(wrong))
    assert [(a.id, a.state) for a in told.alerts] == [(a.id, a.state) for a in alone.told.alerts]


def test_a_rival_at_any_moment_tells_nothing_twice():
    """Wherever another worker's cycle comes in between, each transition is told once."""
    for moment in itertools.count(1):
        inner, told, clock = MemoryStore(), RecordingNotifier(), ManualClock(START)
        rival = Worker(inner, told, clock=clock)
        store = Interrupted(inner, moment, lambda: rival.cycle(1.0, after=0 * MINUTE))  # noqa: B023
        Worker(store, told, clock=clock).cycle(1.0)
        assert [alert.state for alert in told.alerts] == ["firing"], f"at moment {moment}"
        assert deliveries(inner) == [("firing", "recording", "sent", 1)]
        if store.left > 0:
            assert moment > 8, "there were too few moments to come in between"
            return


PROCESS = """
    import os, sys, time
    from pathlib import Path
    from mlwatch import Metric, Monitor, Threshold
    from mlwatch.stores import SQLiteStore

    folder, me, value = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])

    def page(alert):
        line = f"{alert.state} {alert.id}\\n".encode()
        descriptor = os.open(folder / "pages", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line)
        os.close(descriptor)

    monitor = Monitor(
        store=SQLiteStore(folder / "store.db"),
        collectors=[lambda window: [Metric("signal", value)]],
        rules=[Threshold("signal", above=0.5)],
        notifiers=[page],
    )
    (folder / f"ready-{value}-{me}").touch()
    while len(list(folder.glob(f"ready-{value}-*"))) < 2:
        time.sleep(0.001)
    for _ in range(15):
        monitor.run_cycle()
    monitor.close()
"""


def test_two_processes_tell_each_transition_once(tmp_path):
    """Two processes that run cycles at once on one file tell a firing and a resolve, once each."""
    for value in (1.0, 0.0):
        workers = [start(PROCESS, tmp_path, me, value) for me in range(2)]
        for worker in workers:
            finish(worker)
    lines = [line.split(" ", 1) for line in (tmp_path / "pages").read_text().splitlines()]
    assert [state for state, _ in lines] == ["firing", "resolved"]
    assert len({name for _, name in lines}) == 1


# Delivery


class Channel:
    """A notifier that fails as it is told to."""

    def __init__(self, name="channel", error=None):
        self.name = name
        self.error = error
        self.tried = 0
        self.alerts = []

    def notify(self, alert):
        self.tried += 1
        if self.error is not None:
            raise self.error
        self.alerts.append(alert)


def about_signal(channel):
    return [alert.state for alert in channel.alerts if alert.metric == "signal"]


def test_a_failed_delivery_is_tried_again_by_later_cycles():
    """What a notifier did not accept comes again until it does, and reaches the others at once."""
    channel, other = Channel(error=NotificationError("busy")), RecordingNotifier()
    worker = Worker(None, channel, other)
    worker.cycle(1.0)
    worker.cycle(1.0)
    assert about_signal(channel) == []
    assert about_signal(other) == ["firing"]
    channel.error = None
    worker.cycle(1.0)
    worker.cycle(1.0)
    assert about_signal(channel) == ["firing"]
    assert ("firing", "channel", "sent", 3) in deliveries(worker.store)


def test_a_failed_delivery_is_tried_less_and_less_often():
    """The time between tries grows, so that a receiver that is down is not run over."""
    channel = Channel(error=NotificationError("busy"))
    worker = Worker(None, channel)
    for _ in range(50):
        worker.cycle(1.0)
    (row,) = [row for row in worker.store.read(Table.deliveries) if row.alert.metric == "signal"]
    assert row.status == "pending"
    assert 5 <= row.attempts <= 8
    assert row.retry_at - row.time > 10 * MINUTE


def test_a_receiver_may_say_when_to_come_again():
    """After a `retry_after` nothing is tried before that time."""
    channel = Channel(error=NotificationError("busy", retry_after=600))
    worker = Worker(None, channel)
    worker.cycle(1.0)
    channel.error, tried = None, channel.tried
    for _ in range(9):
        worker.cycle(1.0)
    assert channel.tried == tried
    worker.cycle(1.0)
    assert about_signal(channel) == ["firing"]


def test_a_delivery_is_given_up_once_it_is_old_and_over():
    """While an alert fires its message is tried; when it is over and old, it is kept as failed."""
    channel = Channel(error=ValueError("boom"))
    worker = Worker(None, channel)
    for _ in range(6):
        worker.cycle(1.0, after=10 * MINUTE)
    assert ("firing", "channel", "pending", 6) in deliveries(worker.store)
    for _ in range(12):
        worker.cycle(0.0, after=10 * MINUTE)
    rows = {
        row.alert.state: row
        for row in worker.store.read(Table.deliveries)
        if row.alert.metric == "signal"
    }
    assert {state: row.status for state, row in rows.items()} == {
        "firing": "failed",
        "resolved": "failed",
    }
    assert rows["firing"].error == "ValueError: boom"
    channel.error, tried = None, len(about_signal(channel))
    worker.cycle(0.0, after=2 * HOUR)
    assert len(about_signal(channel)) == tried
    worker.cycle(1.0, after=10 * MINUTE)
    assert about_signal(channel) == ["firing"]


def test_the_end_is_never_told_before_the_beginning():
    """What is told of one thing keeps its order, so that the last word is the true one."""
    channel = Channel(error=NotificationError("busy", retry_after=300))
    worker = Worker(None, channel)
    worker.cycle(1.0)
    channel.error = None
    for _ in range(7):
        worker.cycle(0.0)
    assert about_signal(channel) == ["firing", "resolved"]
    channel.error = NotificationError("busy", retry_after=600)
    worker.cycle(1.0, after=HOUR)
    worker.cycle(0.0)
    worker.cycle(1.0, after=6 * MINUTE)
    channel.error = None
    for _ in range(8):
        worker.cycle(1.0)
    assert about_signal(channel) == ["firing", "resolved"] * 2 + ["firing"]


def test_a_permanent_failure_is_given_up_at_once():
    """A notifier that says another try cannot succeed is not asked again."""
    channel = Channel(error=NotificationError("revoked", permanent=True))
    worker = Worker(None, channel)
    for _ in range(3):
        worker.cycle(1.0)
    assert set(deliveries(worker.store)) == {("firing", "channel", "failed", 1)}


def test_a_notifier_that_another_worker_has_is_left_to_it():
    """A delivery to a notifier that this worker lacks waits for the worker that has it."""
    store, clock = MemoryStore(), ManualClock(START)
    channel = Channel(error=NotificationError("busy"))
    Worker(store, channel, clock=clock).cycle(1.0)
    other = Worker(store, clock=clock)
    other.cycle(1.0)
    assert ("firing", "channel", "pending", 1) in deliveries(store)
    channel.error = None
    Worker(store, channel, clock=clock).cycle(1.0)
    assert about_signal(channel) == ["firing"]


def test_a_slow_worker_repeats_nothing_that_another_has_sent():
    """A delivery that another worker sent, and whose lease has ended, is not sent again."""
    for moment in itertools.count(1):
        inner, told = MemoryStore(), RecordingNotifier()
        waiting = AlertManager("m", [told], POLICY)
        change = waiting.transitions(inner, [finding("a", True)], START)
        inner.write(Batch("1", change.rows, change.expects))
        store = Interrupted(inner, moment, lambda: waiting.deliver(inner, START))  # noqa: B023
        AlertManager("m", [told], POLICY).deliver(store, START + 2 * MINUTE)
        assert len(told.alerts) == 1, f"at moment {moment}"
        if store.left > 0:
            assert moment > 3, "there were too few moments to come in between"
            return


def test_a_function_is_a_notifier():
    """A plain function is told what a notifier is told."""
    told = []
    worker = Worker(None, told.append)
    worker.cycle(1.0)
    assert [alert.state for alert in told] == ["firing"]


# Against a simple model


def finding(name, firing):
    metric = Metric(name, float(bool(firing)), model="m")
    return Finding("rule", Severity.WARNING, firing, f"{name} is wrong", "", metric)


class Expected:
    """What is told, in the plainest words: one notifier and no store."""

    def __init__(self):
        self.firing = {}
        self.changed = {}
        self.judged = {}
        self.waiting = []
        self.told = []

    def step(self, findings, now, accepted):
        for name, firing in findings.items():
            self.judged[name] = now
            if firing is None or firing == self.firing.get(name, False):
                continue
            if firing and now - self.changed.get(name, START - HOUR) < POLICY.cooldown:
                continue
            self._change(name, firing, now)
        for name in [name for name, firing in self.firing.items() if firing]:
            if now - self.judged[name] >= POLICY.stale_after:
                self._change(name, False, now)
        self._deliver(now, accepted)

    def _change(self, name, firing, now):
        self.firing[name] = firing
        self.changed[name] = now
        state = "firing" if firing else "resolved"
        self.waiting.append({"what": (name, state), "since": now, "tries": 0, "due": now})

    def _deliver(self, now, accepted):
        kept = []
        for entry in self.waiting:
            name, state = entry["what"]
            if entry["due"] > now or name in {other["what"][0] for other in kept}:
                kept.append(entry)
            elif accepted:
                self.told.append(entry["what"])
            else:
                fires = (
                    state == "firing" and self.firing[name] and self.changed[name] == entry["since"]
                )
                entry["due"] = now + min(HOUR, MINUTE / 2 * 2 ** entry["tries"])
                entry["tries"] += 1
                if fires or now - entry["since"] < POLICY.give_up_after:
                    kept.append(entry)
        self.waiting = kept


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2, 5, 30, 60]),
        st.dictionaries(st.sampled_from("ab"), st.sampled_from([True, False, None])),
        st.booleans(),
        st.integers(0, 1),
    ),
    max_size=30,
)


@given(steps=STEPS)
@settings(deadline=None, max_examples=300)
def test_the_manager_does_what_a_simple_model_does(steps):
    """Over any course of findings, failures, times and workers, the same transitions are told."""
    store, channel, expected, now = MemoryStore(), Channel(), Expected(), START
    managers = [AlertManager("m", [channel], POLICY) for _ in range(2)]
    for number, (minutes, findings, accepted, who) in enumerate(steps):
        now += minutes * MINUTE
        channel.error = None if accepted else NotificationError("busy")
        found = [finding(name, firing) for name, firing in findings.items()]
        change = managers[who].transitions(store, found, now)
        store.write(Batch(str(number), change.rows, change.expects))
        managers[who].deliver(store, now)
        expected.step(findings, now, accepted)
        for name in "ab":
            told = [(alert.metric, alert.state) for alert in channel.alerts if alert.metric == name]
            assert told == [what for what in expected.told if what[0] == name]
    firing = {row.metric for row in store.read(Table.alerts) if row.state == "firing"}
    assert firing == {name for name, it in expected.firing.items() if it}


def test_the_state_does_not_grow():
    """Alerts that are long over are forgotten, and what is measured no more takes no room."""
    store, manager = MemoryStore(), AlertManager("m", [], POLICY)
    for number in range(50):
        now = START + number * 10 * MINUTE
        names = {f"s{number}": True, f"s{number - 1}": False}
        change = manager.transitions(store, [finding(*it) for it in names.items()], now)
        store.write(Batch(str(number), change.rows, change.expects))
    assert len(change.state.body) <= 3


# Kills

KILLED = """
    import json, os, signal, sys
    from pathlib import Path
    from mlwatch import Metric, Monitor, Threshold
    from mlwatch.stores import SQLiteStore
    from mlwatch.testing import ManualClock
    from tests.service import START

    folder, when, moment = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly(SQLiteStore):
        writes = 0

        def write(self, batch):
            self.writes += 1
            if (when, self.writes) == ("before write", moment):
                die()
            super().write(batch)
            if (when, self.writes) == ("after write", moment):
                die()

    def page(alert):
        if when == "before acceptance":
            die()
        with (folder / "pages").open("a") as file:
            file.write(json.dumps([alert.state, alert.id]) + "\\n")
        if when == "after acceptance":
            die()

    Monitor(
        store=Deadly(folder / "store.db"),
        collectors=[lambda window: [Metric("signal", 1.0)]],
        rules=[Threshold("signal", above=0.5)],
        notifiers=[page],
        clock=ManualClock(START),
    ).run_cycle()
"""


@pytest.mark.parametrize(
    ("when", "moment", "times"),
    [
        ("before acceptance", 0, 1),
        ("after acceptance", 0, 2),
        ("before write", 1, 1),
        ("after write", 1, 1),
        ("before write", 2, 2),
        ("after write", 2, 1),
    ],
)
def test_a_kill_loses_nothing_and_repeats_at_most_one_message(tmp_path, when, moment, times):
    """Only a kill between acceptance and its note repeats a message, with the same id."""
    finish(start(KILLED, tmp_path, when, moment), code=-signal.SIGKILL)
    pages = tmp_path / "pages"

    def page(alert):
        with pages.open("a") as file:
            file.write(json.dumps([alert.state, alert.id]) + "\n")

    clock = ManualClock(START + 2 * MINUTE)
    worker = Worker(SQLiteStore(tmp_path / "store.db"), page, clock=clock)
    for _ in range(3):
        worker.cycle(1.0)
    told = [tuple(json.loads(line)) for line in pages.read_text().splitlines()]
    assert [state for state, _ in told] == ["firing"] * times
    assert len(set(told)) == 1
    assert {row.status for row in worker.store.read(Table.deliveries)} == {"sent"}
    assert all(isinstance(row, Delivery) for row in worker.store.read(Table.deliveries))
