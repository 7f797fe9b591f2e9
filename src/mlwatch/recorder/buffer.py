"""What one process has acknowledged and not yet written, and the thread that writes it."""

from __future__ import annotations

import _thread
import itertools
import random
import time
from collections import defaultdict, deque
from collections.abc import Sequence

from mlwatch._guard import attempt
from mlwatch.errors import SpoolError
from mlwatch.recorder.statistics import CaptureStatistics, Notices
from mlwatch.records import CaptureOptions
from mlwatch.spool import Spool
from mlwatch.spool.frame import new_writer

_BATCH_RECORDS = 1000
_BATCH_BYTES = 256 * 2**10
_RECORD_OVERHEAD = 48  # the object around the bytes, and its place in the queue
_SHORTEST_BACKOFF = 0.05
_LONGEST_BACKOFF = 30.0
_LONGEST_SLEEP = 3600.0
_POLL = 0.005


class Buffer:
    """The queue of one process, its account, and the thread that empties it.

    `add` and `drop` take no lock: under the GIL another thread, or a signal handler, only comes
    in between at a call or a loop, and `self.x += n`, with n computed before, has neither. So the
    byte bound and the account are exact.

    Args:
        spool: Where records go.
        options: Bounds and the flush interval.
        pid: The process it belongs to, or 0 for none.
    """

    def __init__(self, spool: Spool, options: CaptureOptions, pid: int) -> None:
        self.pid = pid
        self.spool = spool
        self.writer = new_writer()
        self.sequence = itertools.count()
        self.error: SpoolError | None = None
        self.threaded = False
        self._batch_bytes = min(_BATCH_BYTES, options.max_spool_bytes // 8)
        self._interval = options.flush_interval.total_seconds()
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._recorded = 0
        self._dropped: defaultdict[str, int] = defaultdict(int)
        self._noted: defaultdict[str, int] = defaultdict(int)
        self._written = CaptureStatistics()
        self._full = "full"
        self._draining = _thread.allocate_lock()
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._rung = False
        self._closing = False
        self._deadline = 0.0
        self._failures = 0
        self._retry_at = 0.0
        self._random = random.Random()  # noqa: S311  jitter; the host's own generator stays as it is
        self._notices = Notices()

    @property
    def statistics(self) -> CaptureStatistics:
        """The account so far."""
        # The dropped before the recorded, which counts them too, so that it is never behind.
        dropped, noted = dict(self._dropped), dict(self._noted)
        return CaptureStatistics(
            recorded=self._recorded,
            dropped=dropped,
            noted=noted,
            queue_bytes=self._queued,
            last_error="" if self.error is None else str(self.error),
        )

    @property
    def settled(self) -> bool:
        """Whether all that was recorded, and its account, is in the spool."""
        return not self._queue and self._recorded == self._written.recorded

    def add(self, record: bytes, max_bytes: int) -> None:
        """Take an encoded record, or drop it when the queue would take more than `max_bytes`."""
        size = len(record) + _RECORD_OVERHEAD
        if self._queued + size > max_bytes:
            self.drop(self._full)
        else:
            self._queued += size
            self._recorded += 1
            self._queue.append(record)
        if self._queued >= self._batch_bytes or len(self._queue) >= _BATCH_RECORDS or self._closing:
            self._ring()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that are not kept."""
        self._dropped[reason] += count
        self._recorded += count

    def note(self, reason: str) -> None:
        """Count what is worth knowing of a record."""
        self._noted[reason] += 1

    def start(self) -> None:
        """Start the thread; where there can be none, callers write when a batch is full."""
        self.threaded = True
        try:
            # Not threading.Thread, whose start() waits for the thread to begin.
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self.threaded = False

    def drain(self, timeout: float | None = None) -> bool:
        """Write what waits; True when all that waited at the call is in the spool.

        Args:
            timeout: Seconds to wait for another drain, and after which no new batch is begun.
                None: without end.
        """
        written = self._take_turn(timeout)
        if not self._closing:  # a process that ends has nothing more to say
            attempt("log", self._notices.tell, self.statistics, self._failures)
        return written

    def stop(self, deadline: float) -> None:
        """Let the thread write what waits, until `deadline` on the monotonic clock, and end.

        What is recorded later is written at once, by its caller.
        """
        self._deadline = deadline
        self._closing = True
        _release(self._bell)

    def wait(self) -> bool:
        """Wait, after `stop`, until all is in the spool or the deadline; without thread, write."""
        while self.threaded and not self.settled and time.monotonic() < self._deadline:
            time.sleep(_POLL)
        if not self.threaded and not self.settled:
            self.drain(max(self._deadline - time.monotonic(), 0))
        return self.settled

    def _ring(self) -> None:
        """Wake the thread; without one, write here unless someone does or the spool fails."""
        if self.threaded and not self._closing:
            if not self._rung:
                self._rung = True
                _release(self._bell)
        elif time.monotonic() >= self._retry_at:
            self._take_turn(0)  # and no word to the log: this is the host's call

    def _run(self) -> None:
        while not self._closing or not (self.settled or time.monotonic() >= self._deadline):
            self._bell.acquire(timeout=self._pause())
            if self._closing or time.monotonic() >= self._retry_at:
                _, fault = attempt("capture", self.drain)
                if fault is not None:
                    self._fail(SpoolError(fault.error))
        self.threaded = False

    def _pause(self) -> float:
        if self._closing:
            return _SHORTEST_BACKOFF
        return min(max(self._interval, self._retry_at - time.monotonic()), _LONGEST_SLEEP)

    def _take_turn(self, timeout: float | None) -> bool:
        """Write what waits, one thread at a time."""
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._draining.acquire(timeout=-1 if timeout is None else max(timeout, 0)):
            return False
        try:
            return self._write_all(deadline)
        except SpoolError as error:
            self._fail(error)
            return False
        finally:
            self._draining.release()

    def _write_all(self, deadline: float | None) -> bool:
        self._rung = False
        left = len(self._queue)
        while left > 0:
            left -= self._write()
            if left > 0 and deadline is not None and time.monotonic() > deadline:
                return False
        if not self._queue and self._recorded != self._written.recorded:
            self._write()  # the account alone
        self._full = "full"
        self._retry_at = 0.0
        return True

    def _write(self) -> int:
        """Append one batch and take it off the queue; in this order, so that nothing gets lost."""
        records = self._batch()
        now = self.statistics
        more = now.since(self._written)
        self.spool.append(records, more.recorded, more.dropped, more.noted)
        self._written = now
        size = sum(map(len, records)) + len(records) * _RECORD_OVERHEAD
        for _ in records:
            self._queue.popleft()
        self._queued -= size
        return len(records)

    def _batch(self) -> Sequence[bytes]:
        # By index: an iterator over the queue would break when somebody appends meanwhile.
        queue = self._queue
        records = [queue[place] for place in range(min(len(queue), _BATCH_RECORDS))]
        sizes = itertools.accumulate(map(len, records))
        fitting = sum(size <= self._batch_bytes for size in sizes)
        return records[: max(fitting, 1)]

    def _fail(self, error: SpoolError) -> None:
        self.error = error
        self._full = error.reason
        self._failures += 1
        longest = min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2 ** min(self._failures, 16))
        self._retry_at = time.monotonic() + self._random.uniform(0, longest)


def _release(lock: _thread.LockType) -> None:
    """Release a lock that somebody may have released in the same moment."""
    if lock.locked():
        try:
            lock.release()
        except RuntimeError:
            return
