"""Run a script in a process of its own, for faults that no process survives."""

import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

from mlwatch import Monitor, Table
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool
from mlwatch.stores import SQLiteStore

STORE = "mlwatch.db"

LONGEST = 1200  # seconds; so that what hangs for ever fails at last

# Python 3.12 warns of every fork beside threads, which is what these scripts are about.
QUIET = ("-W", "ignore::DeprecationWarning")

PRELUDE = f"""
import logging, os, signal, sys, threading, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mlwatch.recorder import Recorder
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool, MemorySpool

folder = Path(sys.argv[1])
STORE = {STORE!r}

def recorder(**options):
    spool = DiskSpool(folder)
    return Recorder(spool, CaptureOptions(**options), lambda: datetime.now(UTC))

def monitor(**options):
    from mlwatch import Monitor
    from mlwatch.stores import SQLiteStore
    folder.mkdir(parents=True, exist_ok=True)
    store = options.pop("store", None) or SQLiteStore(folder / STORE)
    capture = CaptureOptions(**{{"spool": folder / "spool"}} | options)
    return Monitor(store=store, model="m", capture=capture)

def quiet():
    logging.getLogger("mlwatch").addHandler(logging.NullHandler())

def record(into, features=None, request_id=None):
    features = {{"a": 1, "b": "x"}} if features is None else features
    return into.prediction(features, 0.5, None, request_id, "m", "1", None, None, None, None)
"""


def start(script: str, folder: Path, under=(), **options) -> subprocess.Popen:
    """Start a script that finds the spool's folder in `folder`, as the end of another command."""
    code = PRELUDE + textwrap.dedent(script)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [*under, sys.executable, *QUIET, "-c", code, str(folder)]
    return subprocess.Popen(command, **(pipes | options))


def run(script: str, folder: Path, code: int = 0, **options) -> str:
    """Run a script to its end, which must be silent on stderr; return what it printed."""
    process = start(script, folder, **options)
    printed, complaints = process.communicate(timeout=LONGEST)
    assert (process.returncode, complaints) == (code, ""), f"{process.returncode}: {complaints}"
    return printed


class Account:
    """What a spool's folder holds, over all writers."""

    def __init__(self, folder: Path) -> None:
        self.spool = DiskSpool(folder)
        self.records = []
        self.recorded = 0
        self.dropped = Counter()
        self.noted = Counter()
        self.torn = 0
        for segment in self.spool.segments():
            for frame in self.spool.read(segment, 0, to_end=True):
                self.torn += frame.noted.get("torn_bytes", 0)
                self.records += frame.records
                self.recorded += frame.recorded
                self.dropped.update(frame.dropped)
                self.noted.update(frame.noted)

    @property
    def ids(self) -> list[str]:
        """The request ids, in the order of the files."""
        return [record[3] if record[0] == "p" else record[2] for record in self.records]

    @property
    def balanced(self) -> bool:
        """Whether what was handed over is all there or counted as dropped."""
        return self.recorded == len(self.records) + self.dropped.total()


class Settled:
    """What the store says of all that `monitor()` recorded, once the spool is ingested.

    Args:
        folder: Where the processes had their store and spool.
        spool: Another folder of the spool.
    """

    def __init__(self, folder: Path, spool: Path | None = None) -> None:
        store = SQLiteStore(folder / STORE)
        capture = CaptureOptions(spool=spool or folder / "spool")
        with Monitor(store=store, model="m", capture=capture) as monitor:
            self.ingested = monitor.flush(ingest=True)
            status = monitor.status()
            self.ids = [row.request_id for row in store.read(Table.predictions)]
        self.stored, self.dropped, self.noted = status.stored, status.dropped, status.noted
        self.recorded = status.recorded
        self.error = status.last_error

    def missing(self, acknowledged: int) -> int:
        """Return what was acknowledged and is neither stored nor counted as dropped."""
        assert self.ingested, self.error
        assert len(self.ids) == len(set(self.ids)) == self.stored
        return acknowledged - self.stored - sum(self.dropped.values())
