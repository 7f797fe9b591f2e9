"""Run a script in a process of its own, for faults that no process survives."""

import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

from mlwatch.spool import DiskSpool

# Python 3.12 warns of every fork beside threads, which is what these scripts are about.
QUIET = ("-W", "ignore::DeprecationWarning")

PRELUDE = """
import os, signal, sys, threading, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from mlwatch.recorder import Recorder
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool, MemorySpool

folder = Path(sys.argv[1])

def recorder(**options):
    spool = DiskSpool(folder)
    return Recorder(spool, CaptureOptions(**options), lambda: datetime.now(UTC))

def record(into, features=None, request_id=None):
    features = {"a": 1, "b": "x"} if features is None else features
    return into.prediction(features, 0.5, None, request_id, "m", "1", None, None, None, None)
"""


def start(script: str, folder: Path, **options) -> subprocess.Popen:
    """Start a script that finds the spool's folder in `folder`."""
    code = PRELUDE + textwrap.dedent(script)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *QUIET, "-c", code, str(folder)], **(pipes | options))


def run(script: str, folder: Path, code: int = 0) -> str:
    """Run a script to its end, which must be silent on stderr; return what it printed."""
    process = start(script, folder)
    printed, complaints = process.communicate(timeout=60)
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
