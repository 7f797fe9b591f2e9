"""What is unusual for this service: the closed panes of a window, handed to the watch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from itertools import chain
from typing import Any

from mlwatch.profile import Distribution, History, Profile
from mlwatch.profile.coarse import Counts, condense, day_of, to_tally
from mlwatch.records import AlarmBudget, DriftPolicy, Pane
from mlwatch.reference import Reference
from mlwatch.sequential.backtest import Backtest, backtest
from mlwatch.sequential.budget import share_out
from mlwatch.sequential.e_detector import EDetector
from mlwatch.sequential.scores import Stream, streams
from mlwatch.sequential.watch import Plan, Unusual, Watch, calibrate, consume, independent, settle
from mlwatch.spans import DAY, GRACE, HOUR, KEPT, floor
from mlwatch.training import PREDICTION
from mlwatch.window import Window

FORMAT = 2
"""The form of what is remembered: a memory of another form is begun anew."""


@dataclass(frozen=True, eq=False)
class Subject:
    """What is watched of one model version, worked out when it is first asked for.

    Args:
        reference: What it is compared with.
        policy: When evidence becomes a verdict.
    """

    reference: Reference
    policy: DriftPolicy

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """The reference's distributions, the predictions first."""
        own = self.reference.predictions
        first = {} if own is None else {PREDICTION: own}
        return {**first, **self.reference.profile.distributions}

    @cached_property
    def masses(self) -> dict[str, Counts]:
        """The reference's coarse counts."""
        return {name: condense(found) for name, found in self.distributions.items()}

    @cached_property
    def streams(self) -> dict[str, Stream]:
        """All that is watched, by key."""
        found = (stream for it in self.distributions.values() for stream in streams(it))
        return {stream.key: stream for stream in found}

    @cached_property
    def independent(self) -> dict[str, EDetector]:
        """The detectors of independent rows, where the user says that rows are."""
        if not self.policy.assume_iid:
            return {}
        return independent(self.streams.values(), self.masses)

    @property
    def terms(self) -> list[Any]:
        """What of the policy the backtest rests on, as JSON-able values."""
        budget = self.policy.budget
        return [budget.weekly, budget.drift, budget.quality, self.policy.assume_iid]

    def plan(self, raised: Mapping[str, int]) -> Plan:
        """Return what is watched, and how strictly."""
        levels = share_out(self.policy.budget, list(self.streams.values()), raised)
        return Plan(self.streams, levels, self.independent)

    def condense(self, pane: Pane) -> dict[str, Counts]:
        """Return the coarse counts of a pane."""
        profile = Profile.from_tallies(self.reference.profile.grids, pane.tallies, 0)
        served = self.reference.count_predictions(pane.tallies)
        first = {} if served is None else {PREDICTION: served}
        found = {**first, **profile.distributions}
        return {name: condense(it) for name, it in found.items()}

    def read(self, panes: Iterable[Pane]) -> History:
        """Return coarse counts that were kept as a history."""
        return History.of_panes(panes, {name: len(n) - 1 for name, n in self.masses.items()})

    def backtest(self, history: History | None, budget: AlarmBudget) -> Backtest:
        """Replay the detectors over a history, as far as it holds what is watched."""
        if history is None:
            return Backtest(0, 0, 0.0)
        known = [it for it in self.streams.values() if it.feature in history.counts]
        return backtest(known, history, budget)


@dataclass(frozen=True, eq=False)
class Seen:
    """What the watch knows after this cycle.

    Args:
        watch: How far it stands.
        backtest: What past days would have alarmed.
        found: What was unusual in the panes that were closed since the last cycle.
        panes: The coarse counts of these panes, to be kept.
        independent: The streams whose rows are judged as independent of each other.
    """

    watch: Watch
    backtest: Backtest
    found: Sequence[Unusual] = ()
    panes: Sequence[Pane] = ()
    independent: Collection[str] = ()

    def is_watched(self, stream: str) -> bool:
        """Return whether it is known what is usual for a stream."""
        return stream in (self.independent or self.watch.baselines)


def look(window: Window, subject: Subject) -> Seen:
    """Take in the panes of a window that were closed since the last cycle, in order."""
    before = _recall(window, subject)
    watch, tested = before.watch, before.backtest
    closed = list(closed_hours(window, watch.cursor))
    if not closed:
        return replace(before, independent=subject.independent)
    if watch.cursor is not None and _is_rolled_up(window, watch.cursor):
        watch.bad.append(day_of(watch.cursor))  # the rest of it was never seen
    plan = subject.plan(tested.raised)
    found: list[Unusual] = []
    kept = []
    days = watch.known_days
    for pane in closed:
        counts = subject.condense(pane)
        found += consume(watch, pane.time, pane.span, counts, plan)
        tallies = {name: to_tally(it) for name, it in counts.items()}
        kept.append(Pane(model="", time=pane.time, span=pane.span, tallies=tallies))
    found += settle(watch, floor(window.until - GRACE, HOUR), plan)
    if watch.known_days > days and subject.streams.keys() - watch.baselines.keys():
        learnt = _learn(watch, subject, window, kept)
        tested = tested if tested.days else learnt
    return Seen(watch, tested, found, kept, subject.independent)


def _is_rolled_up(window: Window, cursor: datetime) -> bool:
    """Return whether hours of the day of the cursor, seen and unseen, are one pane by now."""
    view = window.last(window.until - cursor)
    return any(
        pane.span == DAY and pane.time < cursor < pane.time + pane.span for pane in view.panes_
    )


def past(window: Window) -> Iterator[Pane]:
    """Return the coarse counts that were kept, by the hour."""
    panes = window.kept(window.until - KEPT, window.until)
    return (pane for pane in panes if pane.span == HOUR)


def to_plain(seen: Seen, subject: Subject) -> dict[str, Any]:
    """Return what is to be remembered, as JSON-able values."""
    return {
        "format": FORMAT,
        "reference": subject.reference.fingerprint,
        "policy": subject.terms,
        "watch": seen.watch.to_plain(),
        "backtest": asdict(seen.backtest),
    }


def replay(window: Window, policy: DriftPolicy) -> Backtest:
    """Return what past days would have alarmed: of the traffic's own, where there are enough."""
    assert window.reference is not None
    subject = Subject(window.reference, policy)
    bad = remembered(window.memory, window.reference).get("watch", {}).get("bad", [])
    found = subject.backtest(own_days(window, subject, bad), policy.budget)
    given = window.reference.history
    if found.days or given is None:
        return found
    return subject.backtest(given.without(bad), policy.budget)


def remembered(body: Mapping[str, Any], reference: Reference) -> Mapping[str, Any]:
    """Return what is remembered under a reference; of another, or an older form, it is nothing."""
    known = body.get("format") == FORMAT and body.get("reference") == reference.fingerprint
    return body if known else {}


def forget(
    body: Mapping[str, Any], reference: Reference, days: Iterable[str] = ()
) -> dict[str, Any]:
    """Return a memory without all that was learnt and found, and with further bad days."""
    body = remembered(body, reference)
    known = Watch.from_plain(body["watch"]) if body else Watch()
    bad = sorted({*known.bad, *days})
    watch = replace(known, baselines={}, days={}, evidence={}, latches={}, runs={}, bad=bad)
    return {
        "format": FORMAT,
        "reference": reference.fingerprint,
        "policy": None,
        "watch": watch.to_plain(),
        "episodes": {},
    }


def _recall(window: Window, subject: Subject) -> Seen:
    """Return where the last cycle ended; with a new reference or budget, learn anew."""
    body = remembered(window.memory, subject.reference)
    watch = Watch.from_plain(body["watch"]) if body else Watch()
    if body and body["policy"] == subject.terms:
        return Seen(watch, Backtest(**body["backtest"]))
    if subject.policy.assume_iid:
        return Seen(watch, Backtest(0, 0, 0.0))
    given = subject.reference.history
    if given is not None:
        calibrate(watch, subject.streams.values(), given)
        tested = subject.backtest(given.without(watch.bad), subject.policy.budget)
        if tested.days:
            return Seen(watch, tested)
    return Seen(watch, _learn(watch, subject, window))


def _learn(watch: Watch, subject: Subject, window: Window, kept: Iterable[Pane] = ()) -> Backtest:
    """Learn what is usual from the traffic's own days; return what they would have alarmed."""
    begun = [day_of(watch.latest)] if watch.latest is not None and watch.sums["day"] else []
    usual = own_days(window, subject, [*watch.bad, *begun], kept)
    watch.known_days = len(set(usual.days))
    calibrate(watch, subject.streams.values(), usual)
    return subject.backtest(usual, subject.policy.budget)


def own_days(
    window: Window, subject: Subject, bad: Iterable[str], kept: Iterable[Pane] = ()
) -> History:
    """Return the hours of the traffic's days that are over, but for those that are bad."""
    today = day_of(window.until - GRACE)
    return subject.read(chain(past(window), kept)).without([*bad, today])


def closed_hours(window: Window, cursor: datetime | None) -> Iterator[Pane]:
    """Return the panes that are closed and were not consumed yet, merged by the hour."""
    end = window.until - GRACE
    if cursor is not None and cursor + HOUR > end:
        return
    begin = window.since if cursor is None else cursor
    view = window.last(max(window.until - begin, HOUR))
    for pane in view.panes(HOUR):
        is_whole = pane.span in {HOUR, DAY} and (cursor is None or pane.time >= cursor)
        if is_whole and pane.time + pane.span <= end:
            yield pane
