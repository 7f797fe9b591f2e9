"""The hot path: what a request handler calls."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from os import getpid
from typing import Any

from mlwatch import _threads
from mlwatch._guard import ANYTHING, GUEST_ERRORS, attempt, was_interrupted
from mlwatch.recorder import lifetime
from mlwatch.recorder.arguments import (
    as_features,
    as_latency,
    as_level,
    as_status,
    as_text,
    as_time,
    is_absent,
)
from mlwatch.recorder.batch import Columns, encoded, ids_of, redacted
from mlwatch.recorder.buffer import Buffer
from mlwatch.recorder.encoding import encode, encode_slowly, text_keys
from mlwatch.recorder.lines import Lines
from mlwatch.recorder.refusing import Refusing
from mlwatch.recorder.statistics import CaptureStatistics
from mlwatch.records import CaptureOptions
from mlwatch.redaction import Redactor, make_redactor
from mlwatch.spans import utc_now
from mlwatch.spool import Spool

_INFINITY = math.inf
_PATIENCE = 2.0  # seconds that a batch may wait for a spool
_LONGEST_ENDPOINT = 200

Event = tuple[Any, ...]


class Recorder(Refusing):
    """Take records in and return at once; a thread writes them to the spool.

    `prediction`, `outcome`, `request` and `log` never raise, wait, or do input or output: a record
    that cannot be kept is counted by reason. The thread, one a process, starts at the first record.
    A forked child has a queue, an account and ids of its own.

    Args:
        spool: Where records go. It stays open when the recorder is closed.
        options: Bounds, the flush interval, and whether to raise for bad input.
        clock: Gives the time of a record that brings none.
        feature_names: The names of features that come as a sequence.
    """

    def __init__(
        self,
        spool: Spool,
        options: CaptureOptions,
        clock: Callable[[], datetime],
        feature_names: Sequence[str] = (),
    ) -> None:
        super().__init__(strict=options.strict)
        self._spool = spool
        self._options = options
        self._clock = clock
        # The wall clock as it is, in seconds: to make a datetime of them costs a seventh of a call.
        self._now: Callable[[], Any] = time.time if clock is utc_now else clock
        self.feature_names = tuple(feature_names)
        self._redactor = make_redactor(options.redact, options.redact_key)
        self._max_record_bytes = options.max_record_bytes
        self._closed = False
        self._buffers: dict[int, Buffer] = {}
        self._buffer = self._new_buffer(0)
        self._finish: lifetime.Finish | None = None

    def prediction(  # noqa: PLR0917  by position, as names cost a tenth of the call
        self,
        features: Any,
        prediction: Any,
        probability: Any,
        request_id: Any,
        model: str,
        model_version: Any,
        latency_ms: Any,
        error: Any,
        segment: Any,
        timestamp: Any,
    ) -> str:
        """Record a prediction; return its request id, a new one where none is given."""
        buffer = self._buffer
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            if request_id is None:
                request_id = f"{buffer.writer}-{next(buffer.sequence)}"
            event = (
                "p", model, model_version, request_id, self._now(), features, prediction,
                probability, latency_ms, error, segment,
            )  # fmt: skip
            if (
                timestamp is not None
                or self._redactor is not None
                or type(features) is not dict
                or type(request_id) is not str
                or type(model_version) is not str
                or (error is not None and type(error) is not str)
                or (segment is not None and type(segment) is not str)
                or not (
                    latency_ms is None
                    or (type(latency_ms) is float and 0.0 <= latency_ms < _INFINITY)
                )
            ):
                event = self._in_order(buffer, event, timestamp)
                request_id = event[3]
            try:
                record = encode(event)
            except ANYTHING as problem:
                record = self._encode_slowly(buffer, event, problem)
            if self._closed or len(record) > self._max_record_bytes:
                reason = "shutdown" if self._closed else "too_large"
                self._check_strict(reason)
                buffer.miss(reason, request_id)
            else:
                buffer.add(record, request_id)
        except GUEST_ERRORS as problem:
            self._check_raises(problem)
            buffer.miss("unencodable", request_id if type(request_id) is str else "")
        return request_id if type(request_id) is str else self._new_id(buffer)

    def outcome(self, request_id: Any, outcome: Any, model: str, timestamp: Any) -> None:
        """Record the truth about a prediction."""
        buffer = self._buffer
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            if outcome is None or request_id is None:
                self._refuse(buffer, "empty_outcome" if outcome is None else "empty_request_id")
                return
            now = self._clock()
            if timestamp is not None:
                now = self._changed(buffer, as_time(timestamp, now))
            known_as = as_text(request_id)
            event = ("o", model, known_as, now, outcome)
            self._submit(buffer, event, partial(buffer.add_outcome, request_id=known_as))
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

    def batch(
        self, columns: Columns, model: str, model_version: Any, timestamp: Any
    ) -> Sequence[str]:
        """Record many predictions; return their request ids.

        Where so many come that they would be thinned, they are written here and now, which a
        spool that fails or is slow can hold up for two seconds.
        """
        buffer = self._buffer
        ids: Sequence[str] = ()
        left = columns.rows
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            ids = ids_of(columns, partial(self._new_id, buffer))
            now = self._clock()
            if timestamp is not None:
                now = self._changed(buffer, as_time(timestamp, now))
            about = (model, as_text(model_version), now)
            deadline = time.monotonic() + _PATIENCE
            kept = self._redacted_columns(buffer, columns)
            for start, stop, record in encoded(kept, ids, about, self._max_record_bytes):
                if record is None or self._closed:
                    self._one_by_one(columns, ids, about, range(start, stop))
                else:
                    buffer.add_rows(record, ids, slice(start, stop))
                left = columns.rows - stop
                if buffer.is_crowded and time.monotonic() < deadline:
                    buffer.relieve(deadline - time.monotonic())
        except GUEST_ERRORS as problem:
            self._check_raises(problem)
            for request_id in ids[columns.rows - left :]:
                buffer.miss("unencodable", request_id)
        return ids

    def request(
        self,
        endpoint: Any,
        status: Any,
        latency_ms: Any,
        model: str,
        model_version: str,
        *,
        timestamp: Any,
    ) -> None:
        """Record how a request of the service ended, whatever it was about."""
        buffer = self._buffer
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            now = self._clock()
            if timestamp is not None:
                now = self._changed(buffer, as_time(timestamp, now))
            if latency_ms is not None:
                latency_ms = self._changed(buffer, as_latency(latency_ms))
            status = self._changed(buffer, as_status(status))
            endpoint = as_text(endpoint)[:_LONGEST_ENDPOINT]
            event = ("r", model, model_version, now, endpoint, status, latency_ms)
            self._submit(buffer, event, buffer.add_request)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

    def log(self, level: Any, model: str, model_version: str) -> None:
        """Count a line of the service's log; counts are handed on with each flush."""
        buffer = self._buffer
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            if self._closed:
                buffer.drop("shutdown")  # strict or not: the host says its last words when it likes
            else:
                known_as = self._changed(buffer, as_level(level))
                buffer.add_line((model, model_version), known_as)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count records that never came to be one, such as the rows of a garbled batch.

        Raises:
            DataError: The recorder is strict.
        """
        buffer = self._buffer
        try:
            if not buffer.claim[0]:
                buffer = self._enter_process()
            self._refuse(buffer, reason, count)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

    def finish_with(self, ingest: Callable[[], object]) -> None:
        """Call `ingest`, a method that is held weakly, when the process ends: all is written."""
        self._finish = weakref.WeakMethod(ingest)

    def flush(self, timeout: float | None = None) -> bool:
        """Write what was recorded so far; True when all of it is in the spool.

        Args:
            timeout: Seconds to wait for another flush, and after which no new batch is begun.
                None: without end.

        Raises:
            SpoolError: This process can never write the spool: it is another's memory.
        """
        buffer = self._buffer
        if buffer.pid != getpid():
            return True
        written = _threads.within(timeout, partial(buffer.drain, timeout), otherwise=False)
        if buffer.error is not None and buffer.error.permanent:
            raise buffer.error
        return written

    def close(self, timeout: float | None = lifetime.EXIT_SECONDS) -> bool:
        """Take no more records, write those that wait, end the thread; idempotent.

        Args:
            timeout: Seconds to wait until all is in the spool. None: as long as it can be written.

        Returns:
            Whether all is in the spool.
        """
        self._closed = True
        buffer = self._buffer
        if buffer.pid != getpid():
            return True
        end = time.monotonic() + (lifetime.EXIT_SECONDS if timeout is None else timeout)
        _threads.within(timeout, partial(buffer.drain, timeout), otherwise=False)
        buffer.stop(end)
        return buffer.wait()

    @property
    def stats(self) -> CaptureStatistics:
        """What this process has recorded so far."""
        buffer = self._buffer
        return buffer.statistics if buffer.pid == getpid() else CaptureStatistics()

    def __del__(self) -> None:
        buffer = self.__dict__.get("_buffer")
        if buffer is not None and buffer.pid == getpid():
            buffer.stop(time.monotonic() + lifetime.EXIT_SECONDS)
            if not buffer.threaded:
                attempt("capture", buffer.wait)

    def _enter_process(self) -> Buffer:
        """Begin anew in this process, with nothing of what a parent has waiting."""
        pid = getpid()
        for key, buffer in list(self._buffers.items()):
            if buffer.pid != pid:
                self._buffers.pop(key, None)
        mine = self._new_buffer(pid)
        # One call, during which no other thread runs: of two that begin at once, one wins.
        buffer = self._buffers.setdefault(pid, mine)
        self._buffer = buffer
        if buffer is mine and not self._closed:
            lifetime.look_after(buffer, self._finish)
            buffer.start()
        return buffer

    def _new_buffer(self, pid: int) -> Buffer:
        return Buffer(self._spool, self._options, pid, Lines(self._clock))

    def _in_order(self, buffer: Buffer, event: Event, timestamp: Any) -> Event:
        """Return a prediction whose fields are of the types that ingest relies on."""
        (
            kind, model, version, request_id, now, features, prediction, probability,
            latency_ms, error, segment,
        ) = event  # fmt: skip
        if timestamp is not None:
            now = self._changed(buffer, as_time(timestamp, self._clock()))
        if type(features) is not dict:
            features = self._changed(buffer, as_features(features, self.feature_names))
        if latency_ms is not None:
            latency_ms = self._changed(buffer, as_latency(latency_ms))
        if self._redactor is not None:
            features, error = self._redacted(buffer, self._redactor, features, error)
        error = None if error is None else as_text(error)
        segment = None if segment is None else as_text(segment)
        known_as = self._new_id(buffer) if is_absent(request_id) else as_text(request_id)
        return (
            kind, model, as_text(version), known_as, now, features, prediction, probability,
            latency_ms, error, segment,
        )  # fmt: skip

    def _redacted(
        self, buffer: Buffer, redactor: Redactor, features: dict[Any, Any], error: Any
    ) -> tuple[dict[str, Any], str | None]:
        """Return features and error without what nobody may see."""
        raw, replaced = text_keys(features)
        self._replaced(buffer, replaced)
        kept, failed = redactor.features(raw)
        for _ in failed:
            self._changed(buffer, (None, "redaction_failed"))
        return kept, redactor.error(error, raw)

    def _encode_slowly(self, buffer: Buffer, event: Event, problem: BaseException) -> bytes:
        if was_interrupted(problem, encode, event):
            raise problem
        record, replaced = encode_slowly(event)
        self._replaced(buffer, replaced)
        return record

    def _submit(self, buffer: Buffer, event: Event, add: Callable[[bytes], None]) -> None:
        """Encode an event and hand it to `add`, unless it is refused."""
        try:
            record = encode(event)
        except ANYTHING as problem:
            record = self._encode_slowly(buffer, event, problem)
        if self._closed or len(record) > self._max_record_bytes:
            self._refuse(buffer, "shutdown" if self._closed else "too_large")
        else:
            add(record)

    def _redacted_columns(self, buffer: Buffer, columns: Columns) -> Columns:
        """Return columns without what nobody may see."""
        if self._redactor is None:
            return columns
        kept, replaced, failed = redacted(columns, self._redactor)
        self._replaced(buffer, replaced)
        if failed:
            self._check_strict("redaction_failed")
            buffer.note("redaction_failed", failed)
        return kept

    def _one_by_one(
        self, columns: Columns, ids: Sequence[str], about: tuple[Any, ...], rows: range
    ) -> None:
        model, version, now = about
        for row, own in zip(rows, columns.segments_in(rows), strict=True):
            self.prediction(*columns.row(row), ids[row], model, version, None, None, own, now)

    @staticmethod
    def _new_id(buffer: Buffer) -> str:
        return f"{buffer.writer}-{next(buffer.sequence)}"
