"""What one call costs: its latency, its processor time, its garbage, its bytes."""

import gc
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter_ns, process_time_ns, thread_time_ns

from cost.figure import Effort, Measured, digits
from cost.records import (
    Features,
    Way,
    copied_to,
    logged_to,
    make_records,
    monitor_in,
    naively_to,
    queued_in,
    recorded_by,
    segments_of,
    spooled,
)

COLLECTED_OVER = 50_000


def in_turns(
    ways: Mapping[str, Way], rounds: int, turn: Callable[[Way], float], rest: Callable[[], object]
) -> dict[str, list[float]]:
    """Take turns, so that whatever else the machine does slows all alike; the first is for warmth.

    Args:
        ways: What to measure.
        rounds: Turns of each.
        turn: Measures one.
        rest: Called, unmeasured, after each turn.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in sorted(ways, reverse=number % 2 == 1):
            value = turn(ways[name])
            rest()
            if number:
                found[name].append(value)
    return found


def ratio(found: Mapping[str, Sequence[float]], ours: str, theirs: str) -> float:
    """Return the median over rounds of what ours is to theirs in the same round."""
    return median(a / b for a, b in zip(found[ours], found[theirs], strict=True))


def latency(effort: Effort) -> dict[str, Measured]:
    """Time each call by itself."""
    records = make_records(effort.calls)
    cuts: dict[Way, list[list[float]]] = {}

    def turn(way: Way) -> float:
        times = []
        for features in records:
            begin = perf_counter_ns()
            way(features)
            times.append(perf_counter_ns() - begin)
        cut = quantiles(times, n=100)
        cuts.setdefault(way, []).append(cut)
        return cut[49]

    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        folder = Path(made)
        ways = {
            "ours": recorded_by(monitor),
            "log": logged_to(folder / "control.log"),
            "naive": naively_to(folder / "naive.jsonl"),
        }
        p50 = in_turns(ways, effort.rounds, turn, monitor.flush)
        require(spooled(folder), effort.calls * (effort.rounds + 1))
    p99 = {name: [cut[98] for cut in cuts[way][1:]] for name, way in ways.items()}
    return {
        "p50 / logging.info": compared(p50, "ours", "log", 1e3, "us"),
        "p99 / logging.info": compared(p99, "ours", "log", 1e3, "us"),
        "p50 / the naive way": compared(p50, "ours", "naive", 1e3, "us"),
    }


def caller(effort: Effort) -> dict[str, Measured]:
    """Read the clock of the calling thread's own processor time around each turn."""
    records = make_records(effort.calls)
    queue: deque[Features] = deque()

    def turn(way: Way) -> float:
        begin = thread_time_ns()
        for features in records:
            way(features)
        return (thread_time_ns() - begin) / len(records)

    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        ways = {"ours": recorded_by(monitor), "append": queued_in(queue)}

        def rest() -> None:
            queue.clear()
            monitor.flush()

        found = in_turns(ways, effort.rounds * 2, turn, rest)
    return {"caller CPU / deque.append": compared(found, "ours", "append", 1, "ns")}


def durable(effort: Effort) -> dict[str, Measured]:
    """Read the processor time of all threads until the records are in the file."""
    records = make_records(effort.calls)

    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        ways = {"ours": recorded_by(monitor), "naive": naively_to(Path(made) / "naive.jsonl")}

        def turn(way: Way) -> float:
            begin = process_time_ns()
            for features in records:
                way(features)
            if way is ways["ours"]:
                require(monitor.flush(), True)
            return (process_time_ns() - begin) / len(records)

        found = in_turns(ways, effort.rounds, turn, lambda: None)
        require(spooled(Path(made)), effort.calls * (effort.rounds + 1))
    return {"CPU of a durable record / the naive way": compared(found, "ours", "naive", 1e3, "us")}


def garbage(effort: Effort) -> dict[str, Measured]:
    """Count the collections that begin during 50,000 records."""
    records = make_records(effort.calls)
    begun: list[str] = []
    queue: deque[Features] = deque()

    def note(phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            begun.append(phase)

    def turn(way: Way) -> float:
        begun.clear()
        for number in range(COLLECTED_OVER):
            way(records[number % len(records)])
        return len(begun)

    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        naive = naively_to(Path(made) / "naive.jsonl")
        ways = {"ours": recorded_by(monitor), "naive": naive, "copies": copied_to(queue)}

        def rest() -> None:
            queue.clear()
            monitor.flush()
            gc.collect()

        gc.callbacks.append(note)
        try:
            found = in_turns(ways, min(effort.rounds, 3), turn, rest)
        finally:
            gc.callbacks.remove(note)
    most = {name: f"{max(counts):.0f}" for name, counts in found.items()}
    behind = f"{most['ours']} ours, {most['naive']} naive, {most['copies']} for dicts in a queue"
    return {"collections in 50k records": Measured(max(found["ours"]), behind)}


def size(effort: Effort) -> dict[str, Measured]:
    """Weigh a segment and the naive file of the same records."""
    records = make_records(effort.calls * 10)
    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        path = Path(made) / "naive.jsonl"
        for way in (recorded_by(monitor), naively_to(path)):
            for features in records:
                way(features)
        monitor.flush()
        require(spooled(Path(made)), len(records))
        data = b"".join(segment.read_bytes() for segment in segments_of(Path(made)))
        line = path.stat().st_size / len(records)
        squeezed = len(zlib.compress(path.read_bytes())) / len(records)
    raw, packed = len(data) / len(records), len(zlib.compress(data)) / len(records)
    return {
        "bytes / a naive line": Measured(raw / line, f"{raw:.0f} / {line:.0f}"),
        "bytes, compressed / a naive line": Measured(
            packed / line, f"{packed:.0f} / {line:.0f} ({squeezed:.0f} compressed)"
        ),
    }


def compared(
    found: Mapping[str, Sequence[float]], ours: str, theirs: str, scale: float, unit: str
) -> Measured:
    mine, other = median(found[ours]) / scale, median(found[theirs]) / scale
    return Measured(ratio(found, ours, theirs), f"{digits(mine)} / {digits(other)} {unit}")


def require(found: object, expected: object) -> None:
    """Refuse a figure for records that were not kept."""
    if found != expected:
        sys.exit(f"no fair comparison: {found} records where there should be {expected}")
