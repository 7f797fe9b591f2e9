"""Calls that may hang: each in a thread of its own, awaited up to a deadline, never run twice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlwatch import _threads
from mlwatch._guard import attempt
from mlwatch.records import Fault


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a call.

    Args:
        seconds: How long it took, or has taken so far.
        ended: Whether it has ended, and so has a value or a fault.
        begun: Whether it was begun; False where the process can start no more threads.
        known: Whether it was begun by an earlier run, and still goes on.
        value: What it returned.
        fault: What it raised.
    """

    seconds: float
    ended: bool
    begun: bool = True
    known: bool = False
    value: Any = None
    fault: Fault | None = None


class Errands:
    """Run calls side by side in threads of the operating system.

    A call that has not ended is waited for no longer than its deadline. It is not begun anew as
    long as its thread lives, so that what hangs for ever costs one thread and not one a cycle. A
    fork leaves the threads behind, and the child begins anew.
    """

    def __init__(self) -> None:
        self._begun: dict[str, _Errand] = {}

    def run(self, calls: Mapping[str, Callable[[], object]], timeout: float) -> dict[str, Answer]:
        """Return the answer of each call; one that has hung since an earlier time is not awaited.

        Args:
            calls: By a name that stays the same from one time to the next.
            timeout: Seconds from the begin of a call for which it is waited for.
        """
        known = {name for name in calls if self._goes_on(name)}
        for name in calls.keys() - known:
            self._begun[name] = _Errand(name, calls[name])
            self._begun[name].start()
        errands = {name: self._begun[name] for name in calls}
        return {name: each.wait(timeout, known=name in known) for name, each in errands.items()}

    def _goes_on(self, name: str) -> bool:
        last = self._begun.get(name)
        return last is not None and last.answer is None and last.pid == os.getpid()


@dataclass(eq=False)
class _Errand:
    name: str
    call: Callable[[], object]
    pid: int = field(default_factory=os.getpid)
    begun: float = field(default_factory=time.monotonic)
    answer: Answer | None = None

    def start(self) -> None:
        self._done = _threads.new_lock()
        self._done.acquire()
        if not _threads.start(self._run):
            self._end(Answer(0.0, ended=False, begun=False))

    def wait(self, timeout: float, *, known: bool) -> Answer:
        left = self.begun + timeout - time.monotonic()
        if self._done.acquire(timeout=max(0.0, left)):
            self._done.release()  # for others who wait for the same
        seconds = time.monotonic() - self.begun
        return self.answer or Answer(seconds, ended=False, known=known)

    def _run(self) -> None:
        value: object = None
        fault: Fault | None = Fault(self.name, "the thread was ended")
        try:
            value, fault = attempt(self.name, self.call)
        finally:
            seconds = time.monotonic() - self.begun
            self._end(Answer(seconds, ended=True, value=value, fault=fault))

    def _end(self, answer: Answer) -> None:
        self.answer = answer
        self._done.release()
