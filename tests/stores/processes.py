"""Other processes that use a store, for the tests of stores."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import sys
import warnings
from datetime import timedelta

from tests.stores.rows import NOON, pane, prediction, state

from mlwatch.errors import ConflictError, StoreError
from mlwatch.records import Batch, Table
from mlwatch.stores import JSONLStore, SQLiteStore

STORES = {"jsonl": JSONLStore, "sqlite": SQLiteStore}
ROWS = 40
"""Rows in a numbered batch, spread over days and so over files."""
_FULL = {"jsonl": 60_000, "sqlite": 600_000}
"""The bytes that a file may have when the disk is full."""


def start(function, *arguments):
    """Start a new process, not a fork of this one."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    return process


def join(*processes):
    """Wait for processes, which must end well."""
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def fork(child):
    """Run `child()` in a fork; return what it returned or how it failed, as text."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns: the process has threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # a child that hangs is killed, and fails the test
        try:
            text = str(child())
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        os.write(write_end, text.encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read().decode()
    assert os.waitpid(pid, 0)[1] == 0
    return text


def fork_as_guest(child):
    """Run `child()` in a fork that may not write everywhere, also where the tests run as root."""

    def guest():
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return child()

    return fork(guest)


def count_up(kind, path, name, times):
    """Add one to the shared counter `times` times, each by compare-and-set."""
    store = STORES[kind](path)
    done = 0
    while done < times:
        held = next(store.read(Table.state, keys=["counter"]), state(0, n=0))
        new = state(held.revision + 1, n=held.body["n"] + 1)
        rows = {Table.state: [new], Table.panes: [pane(1)]}
        expects = {(Table.state, "counter"): held.revision}
        try:
            store.write(Batch(f"{name}-{done}-{held.revision}", rows, expects))
        except ConflictError:
            continue
        done += 1
    store.close()


def write_for_ever(kind, path, first, pipe):
    """Write batches, and say after each that it is written, until killed."""
    store = STORES[kind](path)
    number = first
    while True:
        batch = numbered(number)
        store.write(batch)
        pipe.send(number)
        number += 1


def numbered(number):
    """Return a batch of rows on four days, whose parts all say the number."""
    days = [NOON + timedelta(days=place % 4) for place in range(ROWS)]
    rows = [
        prediction(f"{number}-{place}", time=time, features={"pad": "x" * 200})
        for place, time in enumerate(days)
    ]
    return Batch(
        f"batch-{number}",
        {
            Table.predictions: rows,
            Table.panes: [pane(1, time=time) for time in days],
            Table.state: [state(number, n=number)],
        },
    )


def fill_the_disk(kind, path, pipe):
    """Write until files may grow no more, then go on when they may; send what happened."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = STORES[kind](path)
    store.write(numbered(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FULL[kind], limits[1]))
    written, failures = 1, []
    for number in range(2, 400):
        try:
            store.write(numbered(number))
        except StoreError as error:
            failures.append(str(error))
            if len(failures) == 3:
                break
        else:
            written += 1
            assert not failures, "a batch was written after one was refused"
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    pipe.send((written, failures))
    store.write(numbered(written + 1))
    store.close()
    sys.stderr.flush()


def numbers_found(store):
    """Return the numbers of the batches in the store; fail when one is there in part."""
    by_number = {}
    for row in store.read(Table.predictions):
        number, place = row.request_id.split("-")
        by_number.setdefault(int(number), set()).add(int(place))
    assert all(places == set(range(ROWS)) for places in by_number.values()), "a batch in part"
    counted = sum(each.tallies["n"]["n"] for each in store.read(Table.panes))
    assert counted == ROWS * len(by_number), "panes and rows do not agree"
    held = next(store.read(Table.state), state(0))
    assert held.revision == max(by_number, default=0)
    return sorted(by_number)
