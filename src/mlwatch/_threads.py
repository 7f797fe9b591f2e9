"""Threads, locks and sleep of the operating system, also where gevent has put its own in place.

A drainer that is a greenlet would write on the host's loop, and a lock of the one kind taken by a
thread of the other freezes both.
"""

from __future__ import annotations

import _thread
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from mlwatch._guard import attempt
from mlwatch.records import Fault

T = TypeVar("T")

_BREATH = 8


def start(call: Callable[[], object]) -> bool:
    """Run `call` in a thread that keeps no process from ending; False where there can be none.

    Not `threading.Thread`, whose `start` waits for the thread to begin.
    """
    try:
        original(_thread, "start_new_thread")(call, ())
    except RuntimeError:
        return False
    return True


def within(timeout: float | None, call: Callable[[], T], otherwise: T) -> T:
    """Return what `call` returns or raise what it raises, from a thread of its own.

    So no signal strikes inside of it, and its own handler may ask for the same.

    Args:
        timeout: Seconds after which `otherwise` is returned, while the call goes on. None: never.
        call: What may take its time. Where there can be no thread, there is no hurry either.
        otherwise: What is returned when the time is over.
    """
    results: list[tuple[T | None, Fault | None]] = []
    done = new_lock()
    done.acquire()

    def run() -> None:
        try:
            results.append(attempt("thread", call))
        finally:
            done.release()

    if not start(run):
        return call()
    done.acquire(timeout=-1 if timeout is None else max(timeout, 0))
    value, fault = results[0] if results else (otherwise, None)
    if fault is not None:
        raise fault.cause or RuntimeError(fault.error)
    return otherwise if value is None else value


def new_lock() -> _thread.LockType:
    """Return a lock that threads of the operating system share."""
    lock: _thread.LockType = original(_thread, "allocate_lock")()
    return lock


def sleep(seconds: float) -> None:
    """Let this thread sleep, and no other."""
    original(time, "sleep")(seconds)


def breathing(items: Iterable[T]) -> Iterator[T]:
    """Give items, and let other threads run every few of them.

    The interpreter lets a thread that computes go on for 5 ms before it heeds one that waits.
    """
    for number, item in enumerate(items, 1):
        yield item
        if not number % _BREATH:
            sleep(0)


def release(lock: _thread.LockType) -> None:
    """Release a lock that somebody may have released in the same moment."""
    if lock.locked():
        try:
            lock.release()
        except RuntimeError:
            return


def original(module: Any, name: str) -> Any:
    """Return what a module of the standard library calls `name`, not what gevent put there."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None:
        return getattr(module, name)
    return monkey.get_original(module.__name__, name)
