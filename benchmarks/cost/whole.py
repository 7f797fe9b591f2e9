"""A batch beside calls one by one, and what is left when mlwatch is switched off."""

import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np
import pandas as pd

from cost.call import compared, in_turns, require
from cost.child import answer, start
from cost.figure import Effort, Measured, digits
from cost.records import Way, accounted, make_records, monitor_in, recorded_by

ROWS = 20_000
ROUNDS = 7
DISABLED = "MLWATCH_DISABLED"


def batch(effort: Effort) -> dict[str, Measured]:
    """Record a frame of 20,000 rows at once, and its rows, at hand as dicts, one by one."""
    records = make_records(min(ROWS, effort.calls * 10))
    frame = pd.DataFrame(records)
    predictions = np.random.default_rng(0).random(len(records))
    rounds = min(ROUNDS, effort.rounds)
    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        record = recorded_by(monitor)

        def one_by_one(_: object) -> None:
            for features in records:
                record(features)

        def at_once(_: object) -> None:
            require(len(monitor.record_batch(frame, predictions)), len(records))

        def turn(way: Way) -> float:
            begin = perf_counter_ns()
            way({})
            return len(records) / (perf_counter_ns() - begin)

        ways = {"batch": at_once, "calls": one_by_one}
        found = in_turns(ways, rounds, turn, monitor.flush)
        require(accounted(Path(made)), 2 * (rounds + 1) * len(records))
    name = "record_batch rows/s / record_prediction"
    return {name: compared(found, "batch", "calls", 1e-3, "million/s")}


def disabled(effort: Effort) -> dict[str, Measured]:
    """Call a monitor in a process that has MLWATCH_DISABLED=1, and one that has not."""
    off, made = answer(start("cost.whole", effort.calls, effort.rounds, **{DISABLED: "1"}))
    on, _ = answer(start("cost.whole", effort.calls, effort.rounds, **{DISABLED: ""}))
    touched = "touches the disk" if made else "touches no disk"
    behind = f"{digits(off)} us, {digits(on)} when enabled; {touched}"
    return {"disabled, us a call": Measured(off, behind)}


def call_often(calls: int, rounds: int) -> None:
    """Print the median us a call, and how many files came of it."""
    records = make_records(calls)
    times = []
    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        record = recorded_by(monitor)
        for _ in range(rounds):
            begin = perf_counter_ns()
            for features in records:
                record(features)
            times.append((perf_counter_ns() - begin) / len(records) / 1e3)
            monitor.flush()
        print(median(times), sum(1 for path in Path(made).rglob("*") if path.is_file()))


if __name__ == "__main__":
    call_often(*map(int, sys.argv[1:]))
