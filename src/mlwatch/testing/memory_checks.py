"""The check of what a collector remembers: it can be kept, however often it was asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mlwatch._guard import attempt
from mlwatch.protocols import Collector, Item
from mlwatch.records import Memory, Pane, Revised, Table, Tallies, sum_tallies
from mlwatch.reference import Reference
from mlwatch.remembering import check_memory
from mlwatch.spans import DAY, HOUR, MINUTE, outward
from mlwatch.window import Window

_START = datetime(2024, 1, 1, tzinfo=UTC)
_END = _START + 12 * HOUR + 10 * MINUTE
_PASSES = (5 * HOUR + 10 * MINUTE, 5 * HOUR + 10 * MINUTE, 7 * HOUR + 40 * MINUTE)
"""When the collector of the parted passes is asked before the end: twice at once, and mid-hour."""


def memory_of(items: Sequence[Item]) -> Memory | None:
    """Return what a collector gave to be remembered, if anything, once it is known to be sound.

    Raises:
        AssertionError: No store could keep it, or it is not one and the last.
    """
    memories = [item for item in items if isinstance(item, Memory)]
    if not memories:
        return None
    (memory, *others) = memories
    assert not others, "more than one Memory in one window"
    assert items[-1] is memory, "a Memory has to be the last item"
    _, fault = attempt("memory", check_memory, memory)
    assert fault is None, f"what it remembers cannot be kept: {fault.error}"
    back = json.loads(json.dumps(memory.body))
    assert _same(back, memory.body), f"what it remembers comes back from JSON as {back!r:.200}"
    return memory


def check_passes(collector: Collector) -> None:
    """Check that asking often, and in the middle of an hour, ends where asking once does.

    Raises:
        AssertionError: It does not; the message says how.
    """
    panes = _quiet_hours()
    once, parted = _Course(collector, panes), _Course(collector, panes)
    for after in _PASSES:
        parted.ask(_START + after)
    for course in (once, parted):
        course.ask(_END)
    assert once.added() == parted.added(), (
        "the panes it keeps add up to other counts when it is asked more often: consume each "
        "closed pane once, and remember up to where"
    )
    assert _same(once.memory, parted.memory), (
        f"what it remembers depends on how often it is asked: once {once.memory!r:.200}, in four "
        f"passes {parted.memory!r:.200}"
    )
    assert once.found == parted.found, "what it measures depends on how often it is asked"


@dataclass
class _Course:
    """A collector asked about the same traffic, at times of the course's own."""

    collector: Collector
    panes: Sequence[Pane]
    reference: Reference = field(default_factory=lambda: _sample()[0])
    memory: Any = field(default_factory=dict)
    kept: list[Pane] = field(default_factory=list)
    found: list[Item] = field(default_factory=list)

    def ask(self, until: datetime) -> None:
        """Ask about the traffic up to a time, and keep what is to be kept."""
        items = list(self.collector.collect(self._window(until)))
        memory = memory_of(items)
        self.found = [item for item in items if not isinstance(item, Memory | Revised)]
        if memory is not None:
            self.memory = json.loads(json.dumps(memory.body))
            self.kept += memory.panes

    def _window(self, until: datetime) -> Window:
        since, _ = outward(until - DAY, until, until)

        def within(first: datetime, last: datetime) -> tuple[Pane, ...]:
            return tuple(pane for pane in self.panes if first <= pane.time < min(last, until))

        def kept(first: datetime, last: datetime) -> tuple[Pane, ...]:
            return tuple(pane for pane in self.kept if first <= pane.time < last)

        return Window(
            "m",
            "1",
            since,
            until,
            within(since, until),
            self.reference,
            reach=within,
            read_at=until,
            memory=self.memory,
            kept=kept,
        )

    def added(self) -> dict[tuple[datetime, timedelta, str], Tallies]:
        """Return what was kept, added up as a store does."""
        places: dict[tuple[datetime, timedelta, str], list[Tallies]] = {}
        for pane in self.kept:
            places.setdefault((pane.time, pane.span, pane.segment), []).append(pane.tallies)
        return {place: sum_tallies(tallies) for place, tallies in places.items()}


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are equal; lists may have been tuples, as stores keep them."""
    if isinstance(other, dict):
        same_keys = isinstance(one, dict) and one.keys() == other.keys()
        return same_keys and all(_same(one[key], other[key]) for key in other)
    if isinstance(other, list | tuple):
        same_size = isinstance(one, list) and len(one) == len(other)
        return same_size and all(map(_same, one, other))
    return bool(one == other or (one != one and other != other))  # noqa: PLR0124  NaN


def _sample() -> tuple[Reference, dict[str, Any], Any, Any]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 600)
    scores = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    data = {"x": rng.normal(size=600), "c": rng.choice(list("abc"), 600)}
    return Reference.fit(data, predictions=scores, outcomes=truth), data, scores, truth


def _quiet_hours() -> list[Pane]:
    """Return twelve hours whose rows are, each hour, every twelfth of the reference's."""
    from mlwatch.ingest.join import join
    from mlwatch.ingest.joined import Known

    reference, data, scores, truth = _sample()
    events: list[Any] = []
    for i in range(600):
        time = _START + i % 12 * HOUR + i // 12 * MINUTE
        features = {"x": float(data["x"][i]), "c": str(data["c"][i])}
        served = float(scores[i])
        events.append(["p", "m", "1", str(i), time, features, served, None, 5.0, None, None])
        events.append(["o", "m", str(i), time, int(truth[i])])
    rows = join(events, Known(), lambda _: reference, {}, arrivals=_START).rows("m")
    panes: Any = rows[Table.panes]
    return sorted(panes, key=lambda pane: pane.time)
