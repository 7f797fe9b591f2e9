"""How long a process with records waiting and a dead disk takes to end."""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cost.child import answer, start
from cost.figure import Effort, Measured
from cost.records import (
    LATENCY,
    MODEL,
    PREDICTION,
    VERSION,
    break_disk,
    make_records,
    recorded_by,
)
from mlwatch import CaptureOptions, Monitor
from mlwatch.recorder import Recorder
from mlwatch.recorder.lifetime import EXIT_SECONDS
from mlwatch.spans import utc_now
from mlwatch.spool import MemorySpool
from mlwatch.stores import SQLiteStore

WAITING = 20_000
ROUNDS = 3


def late(effort: Effort) -> dict[str, Measured]:
    """Let children end by themselves whose disk refuses every write, or never returns from one."""
    over = {how: [ending(how) for _ in range(min(ROUNDS, effort.rounds))] for how in FAULTS}
    worst = {how: max(times) - EXIT_SECONDS for how, times in over.items()}
    behind = ", ".join(f"{how} {seconds:.2f} s" for how, seconds in worst.items())
    behind += f" past {EXIT_SECONDS:g} s"
    return {"exit with a dead disk - deadline, s": Measured(max(worst.values()), behind)}


def ending(how: str) -> float:
    """Return the seconds from the child's last statement to its end."""
    with tempfile.TemporaryDirectory() as made:
        process = start("cost.leaving", how, made)
        (said,) = answer(process)
        return time.monotonic() - said  # one clock for all processes of a machine


def refused(folder: Path) -> Monitor:
    """Record on a disk that refuses every write."""
    capture = CaptureOptions(spool=folder / "spool")
    store = SQLiteStore(folder / "store.db")
    monitor = Monitor(store=store, model=MODEL, model_version=VERSION, capture=capture)
    break_disk()
    record = recorded_by(monitor)
    for features in make_records(WAITING):
        record(features)
    return monitor


class HangingSpool(MemorySpool):
    """A disk that never comes back from a write, as a dead network mount."""

    def append(self, *frame: Any) -> None:
        """Wait for ever."""
        while True:
            time.sleep(3600)


def hanging(_: Path) -> Recorder:
    """Record into a spool that hangs."""
    recorder = Recorder(HangingSpool(), CaptureOptions(), utc_now)
    for features in make_records(WAITING):
        recorder.prediction(
            features, PREDICTION, None, None, MODEL, VERSION, LATENCY, None, None, None
        )
    return recorder


FAULTS: Mapping[str, Callable[[Path], object]] = {"refused": refused, "hanging": hanging}

if __name__ == "__main__":
    fault, place = sys.argv[1:]
    alive = FAULTS[fault](Path(place))  # until the interpreter's own end
    print(time.monotonic(), flush=True)
