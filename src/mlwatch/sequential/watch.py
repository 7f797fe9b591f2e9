"""Where the watching of one model version stands: closed panes in, what is unusual out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlwatch.profile.coarse import Counts, History, day_of
from mlwatch.sequential import baseline, t_detector
from mlwatch.sequential.baseline import SLOT, SPANS, Baseline
from mlwatch.sequential.budget import Levels
from mlwatch.sequential.e_detector import EDetector, EState
from mlwatch.sequential.scores import UNSEEN, VALUES, Scores, Stream
from mlwatch.spans import DAY, HOUR, floor

LATCH = timedelta(days=7)
"""A day that was unusual is remembered for so long: the change may take time to show its size."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """A closed span in which a stream was unusual for this service.

    Args:
        stream: The key of the stream.
        span: "hour", "slot" or "day".
        since: Its start.
        until: Its end.
        why: How, in words.
    """

    stream: str
    span: str
    since: datetime
    until: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Latch:
    """That a stream was unusual, and until when that is remembered."""

    until: datetime
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is watched, and how strictly.

    Args:
        streams: By key.
        levels: By key of the stream.
        independent: The detectors of independent rows, by key; empty where rows are not.
    """

    streams: Mapping[str, Stream]
    levels: Mapping[str, Levels]
    independent: Mapping[str, EDetector] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Watch:
    """What is known after the panes up to `cursor`; changed in place by the functions below.

    Args:
        cursor: The end of the last pane that was consumed.
        latest: Its start.
        sums: Counts of the slot and of the day that are not over, by span and feature.
        baselines: What is usual, by key of the stream.
        days: The detectors of days, by key of the stream.
        evidence: The detectors of independent rows, by key of the stream.
        latches: What was unusual lately, by key of the stream.
        runs: How many days until now lay beyond the reference, by key of the stream.
        bad: Days that are no example of what is usual, as ISO dates.
        known_days: How many whole days have been seen.
    """

    cursor: datetime | None = None
    latest: datetime | None = None
    sums: dict[str, dict[str, Counts]] = field(default_factory=lambda: {"slot": {}, "day": {}})
    baselines: dict[str, Baseline] = field(default_factory=dict)
    days: dict[str, t_detector.TState] = field(default_factory=dict)
    evidence: dict[str, EState] = field(default_factory=dict)
    latches: dict[str, Latch] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    known_days: int = 0

    def to_plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return {
            "cursor": None if self.cursor is None else self.cursor.isoformat(),
            "latest": None if self.latest is None else self.latest.isoformat(),
            "sums": {
                span: {name: counts.tolist() for name, counts in sums.items()}
                for span, sums in self.sums.items()
            },
            "baselines": {key: it.to_plain() for key, it in self.baselines.items()},
            "days": {key: it.to_plain() for key, it in self.days.items()},
            "evidence": {key: it.to_plain() for key, it in self.evidence.items()},
            "latches": {key: [it.until.isoformat(), it.why] for key, it in self.latches.items()},
            "runs": dict(self.runs),
            "bad": list(self.bad),
            "known_days": self.known_days,
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Watch:
        """Read what `to_plain` gave, bit for bit."""
        cursor, latest = plain["cursor"], plain["latest"]
        return cls(
            cursor=None if cursor is None else datetime.fromisoformat(cursor),
            latest=None if latest is None else datetime.fromisoformat(latest),
            sums={
                span: {name: np.array(counts, np.int64) for name, counts in sums.items()}
                for span, sums in plain["sums"].items()
            },
            baselines={k: Baseline.from_plain(it) for k, it in plain["baselines"].items()},
            days={k: t_detector.TState.from_plain(it) for k, it in plain["days"].items()},
            evidence={k: EState.from_plain(it) for k, it in plain["evidence"].items()},
            latches={
                key: Latch(datetime.fromisoformat(until), why)
                for key, (until, why) in plain["latches"].items()
            },
            runs=dict(plain["runs"]),
            bad=list(plain["bad"]),
            known_days=plain["known_days"],
        )


def calibrate(watch: Watch, streams: Iterable[Stream], history: History) -> None:
    """Learn what is usual for each stream that has no baseline yet, where the days suffice."""
    usual = history.without(watch.bad)
    for stream in streams:
        if stream.key in watch.baselines or stream.feature not in usual.counts:
            continue
        found = baseline.learn(stream, usual)
        if found is not None:
            watch.baselines[stream.key] = found
            watch.days[stream.key] = baseline.day_state(found, stream, usual)


def consume(
    watch: Watch, start: datetime, span: timedelta, counts: Mapping[str, Counts], plan: Plan
) -> list[Unusual]:
    """Take in the next closed pane, an hour or (after a long pause) a day; return what is unusual.

    Args:
        watch: Changed in place.
        start: When the pane starts; not before the cursor.
        span: An hour or a day.
        counts: Coarse counts by feature, shape (k + 1,).
        plan: What is watched.
    """
    if watch.cursor is None and span == HOUR and floor(start, DAY) != start:
        watch.bad.append(day_of(start))  # it was not seen whole
    found = settle(watch, start, plan)
    if span == HOUR:
        for stream in plan.streams.values():
            pane = counts[stream.feature]
            if plan.independent:
                found += _independent(watch, stream, start, pane, plan)
            else:
                found += _spanned(watch, stream, ("hour", start), pane, plan)
    for name, pane in counts.items():
        for sums in [watch.sums["day"]] + [watch.sums["slot"]] * (span == HOUR):
            sums[name] = sums[name] + pane if name in sums else pane
    watch.cursor, watch.latest = start + span, start
    return found


def settle(watch: Watch, now: datetime, plan: Plan) -> list[Unusual]:
    """Close the slot and the day that are over by `now`, the start of what comes next."""
    if watch.latest is None:
        return []
    found: list[Unusual] = []
    for name, span in (("slot", SLOT), ("day", DAY)):
        start = floor(watch.latest, span)
        sums = watch.sums[name]
        if now < start + span or not sums:
            continue
        for stream in plan.streams.values():
            if stream.feature not in sums or plan.independent:
                continue
            if name == "slot":
                found += _spanned(watch, stream, (name, start), sums[stream.feature], plan)
            elif day_of(start) not in watch.bad:
                found += _day(watch, stream, start, sums[stream.feature], plan)
        if name == "day":
            has_rows = any(counts.any() for counts in sums.values())
            watch.known_days += has_rows and day_of(start) not in watch.bad
        watch.sums[name] = {}
    watch.latches = {key: latch for key, latch in watch.latches.items() if latch.until > now}
    return found


def _spanned(
    watch: Watch, stream: Stream, when: tuple[str, datetime], pane: Counts, plan: Plan
) -> list[Unusual]:
    """Judge an hour or a slot by the limits of Student's t."""
    span, start = when
    usual = watch.baselines.get(stream.key)
    row = pane[None, :]
    rows = stream.rows(row)
    if usual is None or not rows[0]:
        return []
    scores = stream.score(row)
    excess = usual.excess(span, scores, rows, plan.levels[stream.key].slot)[0]
    if excess.max() <= 1:
        return []
    place = _telling(stream, excess, excess > 1)
    why = _words(stream, place, usual.deviations(span, scores, rows)[0])
    until = start + SPANS[span]
    text = f"{why} than in any {_LENGTH[span]} that is usual for this service"
    return [Unusual(stream.key, span, start, until, text)]


def _day(watch: Watch, stream: Stream, start: datetime, pane: Counts, plan: Plan) -> list[Unusual]:
    """Judge a day by the evidence that days have been adding up, and remember what is unusual."""
    usual = watch.baselines.get(stream.key)
    row = pane[None, :]
    rows = stream.rows(row)
    if usual is None or not rows[0]:
        return []
    scores = usual.deviations("day", stream.score(row), rows)[0]
    floor = usual.spreads["day"].floor
    state, evidence = t_detector.update(watch.days[stream.key], scores, floor=floor)
    alarm = evidence >= plan.levels[stream.key].day
    watch.days[stream.key] = t_detector.reset(state, alarm)
    run = watch.runs[stream.key] = (watch.runs.get(stream.key, 0) + 1) * bool(stream.beyond(row)[0])
    if alarm.any():
        place = _telling(stream, evidence, alarm)
        why = f"{_words(stream, place, scores)} than is usual for this service's days"
    elif run and usual.chance_of_run(run) <= plan.levels[stream.key].run:
        why = f"on {run} days nearly all values were beyond those of the reference"
    else:
        return []
    return [_remember(watch, stream, "day", start, why)]


def _independent(
    watch: Watch, stream: Stream, start: datetime, pane: Counts, plan: Plan
) -> list[Unusual]:
    """Judge an hour of independent rows by the evidence that hours have been adding up."""
    detector = plan.independent.get(stream.key)
    if detector is None or not pane.sum():
        return []
    counts = pane[:-1] if stream.group == VALUES else _two_cells(pane, stream)
    if not counts.sum():
        return []
    state = watch.evidence.get(stream.key) or detector.start()
    state, evidence = detector.update(state, counts)
    alarm = evidence >= plan.levels[stream.key].hour
    watch.evidence[stream.key] = detector.reset(state) if alarm else state
    if not alarm:
        return []
    scores = stream.score(pane[None, :])[0]
    why = _words(stream, int(np.abs(scores).argmax()), scores)
    return [_remember(watch, stream, "hour", start, f"{why} than chance explains")]


def _remember(watch: Watch, stream: Stream, span: str, start: datetime, why: str) -> Unusual:
    until = start + SPANS[span]
    watch.latches[stream.key] = Latch(until + LATCH, why)
    return Unusual(stream.key, span, start, until, why)


def independent(streams: Iterable[Stream], masses: Mapping[str, Counts]) -> dict[str, EDetector]:
    """Return the detectors of independent rows.

    Args:
        streams: What is watched.
        masses: Coarse counts of the reference by feature, shape (k + 1,).
    """
    found = {}
    for stream in streams:
        mass = masses[stream.feature]
        if stream.group != VALUES:
            detector = EDetector.errors(*_two_cells(mass, stream).tolist())
        elif stream.ordered:
            detector = EDetector.numeric(mass[:-1])
        else:
            detector = EDetector.categorical(mass[:-1])
        if detector.usable:
            found[stream.key] = detector
    return found


def _two_cells(pane: Counts, stream: Stream) -> Counts:
    """Return how many values are as they should be, and how many are absent or unseen."""
    counts = pane[:-1] if stream.group == UNSEEN else pane
    return np.array([counts[:-1].sum(), counts[-1]], np.int64)


_LENGTH = {"hour": "hour", "slot": "six hours", "day": "day"}
_LESS = {"higher": "lower", "wider": "narrower"}


def _telling(stream: Stream, strength: Scores, alarm: NDArray[np.bool_]) -> int:
    """Return which score to name: the strongest, but that of the location where it alarms.

    What moves far to one side is also spread otherwise, and often that is the stronger.
    """
    return 0 if stream.ordered and alarm[0] else int(strength.argmax())


def _words(stream: Stream, place: int, scores: Scores) -> str:
    """Say how a stream was unusual."""
    name, more = stream.names[place], scores[place] > 0
    if name in _LESS:
        return name if more else _LESS[name]
    return f"{'more' if more else 'fewer'} {name}"
