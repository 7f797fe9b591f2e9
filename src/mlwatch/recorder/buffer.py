"""What one process has acknowledged and not yet written, and the thread that writes it."""

from __future__ import annotations

import itertools
import random
import time
from collections import defaultdict, deque
from collections.abc import Sequence

from mlwatch import _threads
from mlwatch._guard import attempt
from mlwatch.errors import SpoolError
from mlwatch.recorder.lines import About, Lines
from mlwatch.recorder.ownership import claim
from mlwatch.recorder.statistics import MISSED, MISSED_REQUESTS, CaptureStatistics, Notices
from mlwatch.recorder.thinning import keeps
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
_SILENCE = 2.0  # seconds: a thread that is so late is taken for dead, or for stuck
_SILENCE_AT_EXIT = 0.25  # ... when nothing else has to be done
_MOST_LOST_IDS = 16_384
_OUTCOME_RESERVE = 1.25  # labels come late and cannot come again: they survive a flood of features
_MOST_TYPES = 20  # a process: what the host calls its types must not fill the account


class Buffer:
    """The queue of one process, its account, and the thread that empties it.

    A thread that gives no sign of life, because the host lets none run or it is stuck, is replaced
    by the callers: one of them writes, when nobody else is writing, as often as the thread would.

    `add` and `drop` take no lock: under the GIL another thread, or a signal handler, only comes
    in between at a call or a loop, and `self.x += n`, with n computed before, has neither. So the
    byte bound and the account are exact.

    Args:
        spool: Where records go.
        options: Bounds and the flush interval.
        pid: The process it belongs to, or 0 for none.
        lines: Counts lines of the service's log until they are written.
    """

    def __init__(self, spool: Spool, options: CaptureOptions, pid: int, lines: Lines) -> None:
        self.pid = pid
        self.claim = claim() if pid else b"\0"
        self.spool = spool
        self.writer = new_writer()
        self.sequence = itertools.count()
        self.error: SpoolError | None = None
        self.threaded = False
        self._max_bytes = options.max_bytes
        self._max_outcome_bytes = int(options.max_bytes * _OUTCOME_RESERVE)
        self._crowded = options.max_bytes // 2
        self._batch_bytes = min(_BATCH_BYTES, options.max_spool_bytes // 8)
        self._interval = options.flush_interval.total_seconds()
        self._queue: deque[bytes] = deque()
        self._lines = lines
        self._queued = 0
        self._recorded = 0
        self._dropped: defaultdict[str, int] = defaultdict(int)
        self._noted: defaultdict[str, int] = defaultdict(int)
        self._written = CaptureStatistics()
        self._full = "full"
        self._arrivals = itertools.count()
        self._lost_ids: tuple[set[str], set[str]] = set(), set()
        self._draining = _threads.new_lock()
        self._bell = _threads.new_lock()
        self._bell.acquire()
        self._overdue = 0.0  # from then on callers write
        self._rung = False
        self._closing = False
        self._deadline = 0.0
        self._failures = self._in_a_row = 0
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
        return not (self._queue or self._lines) and self._recorded == self._written.recorded

    def add(self, record: bytes, request_id: str) -> None:
        """Take an encoded prediction, or drop it: some from half full on, all at the bound."""
        if self._queued > self._crowded and not keeps(
            next(self._arrivals), self._queued, self._max_bytes
        ):
            self.miss("thinned", request_id)
        elif not self._put(record, 1, self._max_bytes):
            self.miss(self._full, request_id)

    def add_outcome(self, record: bytes, request_id: str) -> None:
        """Take an encoded outcome, while even the reserve of outcomes has room for it."""
        if request_id in self._lost_ids[0] or request_id in self._lost_ids[1]:
            self.drop("outcome_of_dropped")
        elif not self._put(record, 1, self._max_outcome_bytes):
            self.drop(self._full)

    def add_request(self, record: bytes) -> None:
        """Take how a request ended, while there is room; it yields first, being worth the least."""
        crowded = self.is_crowded
        if crowded or not self._put(record, 1, self._max_bytes):
            self._noted[MISSED_REQUESTS] += 1
            self.drop("thinned" if crowded else self._full)

    def add_line(self, about: About, level: str) -> None:
        """Count a line of the log, which becomes a record when what waits is written."""
        self._lines.count(about, level)
        if self._closing or time.monotonic() > self._overdue:
            self._ring()

    def add_rows(self, record: bytes, ids: Sequence[str], rows: slice) -> None:
        """Take many encoded predictions, or drop them all when there is no room."""
        count = rows.stop - rows.start
        if not self._put(record, count, self._max_bytes):
            for request_id in ids[rows]:  # made only here: ids of a batch are made when asked for
                self.miss(self._full, request_id)

    @property
    def is_crowded(self) -> bool:
        """Whether so much waits that predictions are thinned."""
        return self._queued > self._crowded

    def drop(self, reason: str, count: int = 1) -> None:
        """Count records that are not kept."""
        self._dropped[reason] += count
        self._recorded += count

    def miss(self, reason: str, request_id: str) -> None:
        """Drop a prediction, and know its outcome again.

        An id of the caller's own may be that of an earlier prediction, which was kept.
        """
        self._noted[MISSED] += 1  # before it is recorded, which is what is waited for
        self.drop(reason)
        if not request_id.startswith(self.writer):
            return
        lost, _ = self._lost_ids
        if len(lost) >= _MOST_LOST_IDS:
            lost = set()
            self._lost_ids = lost, self._lost_ids[0]
        lost.add(request_id)

    def note(self, reason: str, count: int = 1) -> None:
        """Count what is worth knowing of records."""
        self._noted[reason] += count

    def note_types(self, reason: str, types: Sequence[str]) -> None:
        """Count a record, and its values by their types, of which the first few are told apart."""
        self.note(reason)
        for name in types:
            key = f"{reason}: {name}"
            if key not in self._noted:
                known = sum(noted.startswith(f"{reason}: ") for noted in list(self._noted))
                key = key if known < _MOST_TYPES else f"{reason}: other"
            self._noted[key] += 1

    def start(self) -> None:
        """Start the thread; where there can be none, callers write."""
        self._overdue = time.monotonic() + self._interval + _SILENCE
        self.threaded = _threads.start(self._run)
        if not self.threaded:
            self._overdue = time.monotonic() + self._interval

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

    def relieve(self, timeout: float) -> None:
        """Write what waits here and now, but begin no batch after `timeout` seconds."""
        if time.monotonic() >= self._retry_at:
            self._take_turn(timeout)

    def stop(self, deadline: float) -> None:
        """Let the thread write what waits, until `deadline` on the monotonic clock, and end.

        What is recorded later is written at once, by its caller.
        """
        self._deadline = deadline
        self._overdue = time.monotonic() + _SILENCE_AT_EXIT
        self._closing = True
        _threads.release(self._bell)

    def wait(self) -> bool:
        """Wait, after `stop`, until all is in the spool or the deadline.

        Where the thread gives no sign of life, write.
        """
        while not self.settled and time.monotonic() < self._deadline:
            if self.threaded and time.monotonic() < self._overdue:
                _threads.sleep(_POLL)
            elif not self._take_turn(0):
                _threads.sleep(_SHORTEST_BACKOFF)
        return self.settled

    def _put(self, record: bytes, count: int, max_bytes: int) -> bool:
        """Queue what may stand for several records, unless all would take over `max_bytes`."""
        size = len(record) + _RECORD_OVERHEAD
        fits = self._queued + size <= max_bytes
        if fits:
            self._queued += size
            self._recorded += count
            try:
                self._queue.append(record)
            except MemoryError:
                self._queued -= size
                self._recorded -= count
                raise
        try:
            if (
                self._queued >= self._batch_bytes
                or len(self._queue) >= _BATCH_RECORDS
                or self._closing
                or time.monotonic() > self._overdue
            ):
                self._ring()
        except MemoryError:
            return fits  # it is in the queue, and the thread looks there by itself
        return fits

    def _ring(self) -> None:
        """Wake the thread; without one, write here unless someone does or the spool fails."""
        now = time.monotonic()
        if self.threaded and not self._closing and now <= self._overdue:
            if not self._rung:
                self._rung = True
                _threads.release(self._bell)
        elif now >= self._retry_at:
            self._take_turn(0)  # and no word to the log: this is the host's call
            if not self._closing:
                self._overdue = max(self._overdue, time.monotonic() + self._interval)

    def _run(self) -> None:
        while not self._closing or not (self.settled or time.monotonic() >= self._deadline):
            pause = self._pause()
            self._overdue = time.monotonic() + pause + _SILENCE
            self._bell.acquire(timeout=pause)
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
        self._queue_lines()
        left = len(self._queue)
        while left > 0:
            left -= self._write()
            if left > 0 and deadline is not None and time.monotonic() > deadline:
                return False
        if not self._queue and self._recorded != self._written.recorded:
            self._write()  # the account alone
        self.spool.rotate()  # also where nothing more comes
        self._full = "full"
        self._retry_at = 0.0
        self._in_a_row = 0
        if self.error is not None and not self.error.permanent:
            self.error = None
        return True

    def _queue_lines(self) -> None:
        """Make a record of the lines that were counted; without room they go on being counted.

        It is never thinned: it is one a flush, and stands for all of them.
        """
        for about, levels, record in self._lines.take():
            if not self._put(record, 1, self._max_outcome_bytes):
                for level, lines in levels.items():
                    self._lines.count(about, level, lines)

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
        self._in_a_row += 1
        longest = min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2 ** min(self._in_a_row, 16))
        self._retry_at = time.monotonic() + self._random.uniform(0, longest)
