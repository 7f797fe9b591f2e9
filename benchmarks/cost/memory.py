"""What recording takes of a process's memory, in the long run and with a dead disk."""

import sys
import tempfile
import time
from pathlib import Path

import psutil

from cost.child import answer, start
from cost.figure import Effort, Measured
from cost.records import break_disk, make_records, monitor_in, recorded_by, segments_of
from mlwatch import CaptureOptions
from mlwatch.spool import DiskSpool

FLUSHED_EVERY = 10_000
MIB = 2**20


def long_run(effort: Effort) -> dict[str, Measured]:
    """Record 5 million; this process takes the finished segments away, as ingest would."""
    with tempfile.TemporaryDirectory() as made:
        process = start("cost.memory", "grow", made, effort.millions)
        while process.poll() is None:
            time.sleep(0.2)
            take_away(Path(made))
        early, late, dropped = answer(process)
    name = "RSS at 5 M / at 1 M records"
    full = f"{late:.0f} / {early:.0f} MiB, {dropped:.0f} dropped"
    short = (
        "" if effort.millions == 5 else f", at {effort.millions:g} M / {effort.millions / 5:g} M"
    )
    return {name: Measured(late / early, full + short)}


def take_away(folder: Path) -> None:
    for place in {path.parent for path in segments_of(folder)}:
        spool = DiskSpool(place)
        for segment in spool.segments():
            if spool.finished(segment):
                spool.remove(segment)


def grow(folder: Path, millions: float) -> None:
    """Print the RSS after a fifth of the records and after all, and how many were dropped."""
    records = make_records(FLUSHED_EVERY)
    sizes = []
    with monitor_in(folder) as monitor:
        record = recorded_by(monitor)
        for number in range(1, int(millions * 1e6) // FLUSHED_EVERY + 1):
            for features in records:
                record(features)
            monitor.flush()
            if number * FLUSHED_EVERY in (millions * 2e5, millions * 1e6):
                sizes.append(rss())
        print(*sizes, sum(monitor.status().dropped.values()))


def dead_disk(effort: Effort) -> dict[str, Measured]:
    """Record 300,000 on a disk that refuses every write."""
    count = int(min(effort.millions, 0.3) * 1e6)
    with tempfile.TemporaryDirectory() as made:
        growth, kept = answer(start("cost.memory", "dead", made, count))
    cap = CaptureOptions().max_bytes / MIB
    behind = f"{growth:.0f} / {cap:.0f} MiB, {kept:,.0f} of {count:,} records kept"
    return {"disk dead: RSS growth / byte cap": Measured(growth / cap, behind)}


def fill(folder: Path, count: float) -> None:
    """Print how much the RSS grew at most, and how many records were kept."""
    records = make_records(FLUSHED_EVERY)
    with monitor_in(folder) as monitor:
        break_disk()
        record = recorded_by(monitor)
        record(records[0])
        before = most = rss()
        for _ in range(int(count) // FLUSHED_EVERY):
            for features in records:
                record(features)
            most = max(most, rss())
        status = monitor.status()
        print(most - before, status.recorded - sum(status.dropped.values()))


def rss() -> float:
    return psutil.Process().memory_info().rss / MIB


if __name__ == "__main__":
    do, folder, amount = sys.argv[1:]
    {"grow": grow, "dead": fill}[do](Path(folder), float(amount))
