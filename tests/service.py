"""A small model service for tests: its reference, its events, and stores that let others in."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import msgspec
import numpy as np

from mlwatch import Reference, Table
from mlwatch.ingest import Ingest
from mlwatch.spool import DiskSpool
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock

ROOT = Path(__file__).parents[1]
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
MODEL = "churn"
VERSION = "2.1"
STORES = ("memory", "jsonl", "sqlite")


def make_store(kind, folder):
    """Return a new store of a kind in a folder."""
    if kind == "memory":
        return MemoryStore()
    return {"jsonl": JSONLStore, "sqlite": SQLiteStore}[kind](folder / f"store.{kind}")


def rows(count, seed=1, shift=0.0):
    """Return the features, scores and truths of a service's traffic, as arrays."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1, count)
    score = 1 / (1 + np.exp(-x))
    truth = (rng.random(count) < score).astype(int)
    return {"x": x, "c": rng.choice(list("abc"), count)}, score, truth


@cache
def reference(task="binary", seed=0):
    """Return what the service's model was trained on."""
    data, score, truth = rows(2000, seed)
    if task == "regression":
        return Reference.fit(data, predictions=score, outcomes=score + truth / 7, task=task)
    if task == "multiclass":
        names = np.array(["low", "mid", "high"])
        served = np.stack([1 - score, score / 2, score / 2], axis=1)
        return Reference.fit(
            data, predictions=served, outcomes=names[truth], classes=names, task=task
        )
    return Reference.fit(data, predictions=score, outcomes=truth, task=task)


def prediction(request_id, score=0.7, *, at=START, version=VERSION, features=None, **other):
    """Return a prediction as the recorder encodes it."""
    fields = {"probability": None, "latency_ms": 5.0, "error": None, "segment": None} | other
    given = {"x": 0.1, "c": "a"} if features is None else features
    return ["p", MODEL, version, request_id, at, given, score, *fields.values()]


def outcome(request_id, value, *, at=START):
    """Return an outcome as the recorder encodes it."""
    return ["o", MODEL, request_id, at, value]


def append(spool, *events):
    """Append events to a spool as one frame."""
    spool.append([msgspec.msgpack.encode(event) for event in events], len(events), {}, {})


def ingester(folder, store, **options):
    """Return an ingester of the spool in a folder, as another worker would make it."""
    found = reference()
    spool = options.pop("spool", None) or DiskSpool(folder)
    references = options.pop("references", lambda version: found)
    return Ingest(MODEL, spool, store, references, ManualClock(START), **options)


def content(store, tables=(Table.predictions, Table.outcomes, Table.pending, Table.panes)):
    """Return what a store holds by key, in a form that does not depend on who wrote it when."""
    return {table: {row.key: row for row in store.read(table)} for table in tables}


def total(store, name="rows"):
    """Return a tally, summed over all panes."""
    found = {}
    for pane in store.read(Table.panes):
        for cell, count in pane.tallies.get(name, {}).items():
            found[cell] = found.get(cell, 0) + count
    return found


class Interrupted:
    """A store that calls `interrupt` once, before its n-th read, write or claim."""

    def __init__(self, inner, n, interrupt):
        self.inner = inner
        self.left = n
        self.interrupt = interrupt
        self.prune, self.close = inner.prune, inner.close

    def _step(self):
        self.left -= 1
        if self.left == 0:
            self.interrupt()

    def write(self, batch):
        self._step()
        self.inner.write(batch)

    def read(self, table, **asked):
        self._step()
        return self.inner.read(table, **asked)

    def claim(self, key, now, ttl):
        self._step()
        return self.inner.claim(key, now, ttl)


def start(script, *arguments, env=None, stdin=False):
    """Start a script in a process of its own; it may import this module."""
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE if stdin else None} | {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    return subprocess.Popen(command, cwd=ROOT, env=env, **pipes)


def finish(process, code=0):
    """Wait for a process, which must end with this code; return what it printed."""
    printed, complaints = process.communicate(timeout=120)
    assert process.returncode == code, f"{process.returncode}: {complaints}"
    return printed
