"""The hot path: what a request handler calls."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from os import getpid
from typing import Any

from mlwatch._guard import ANYTHING, GUEST_ERRORS, attempt, was_interrupted
from mlwatch.errors import DataError
from mlwatch.recorder import lifetime
from mlwatch.recorder.arguments import REMEDIES, as_features, as_latency, as_text, as_time
from mlwatch.recorder.buffer import Buffer
from mlwatch.recorder.encoding import encode, encode_slowly
from mlwatch.recorder.statistics import CaptureStatistics
from mlwatch.records import CaptureOptions
from mlwatch.spool import Spool

_OUTCOME_RESERVE = 1.25  # labels come late and cannot come again: they survive a flood of features
_INFINITY = math.inf

Event = tuple[Any, ...]


class Recorder:
    """Take records in and return at once; a thread writes them to the spool.

    `prediction` and `outcome` never raise, wait, or do input or output: a record that cannot be
    kept is counted by reason. The thread, one a process, starts at the first record. A forked
    child has a queue, an account and ids of its own.

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
        self._spool = spool
        self._options = options
        self._clock = clock
        self._feature_names = tuple(feature_names)
        self._strict = options.strict
        self._max_bytes = options.max_bytes
        self._max_record_bytes = options.max_record_bytes
        self._max_outcome_bytes = int(options.max_bytes * _OUTCOME_RESERVE)
        self._closed = False
        self._buffers: dict[int, Buffer] = {}
        self._buffer = Buffer(spool, options, pid=0)

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
            if buffer.pid != getpid():
                buffer = self._enter_process()
            if request_id is None:
                request_id = f"{buffer.writer}-{next(buffer.sequence)}"
            event = (
                "p", model, model_version, request_id, self._clock(), features, prediction,
                probability, latency_ms, error, segment,
            )  # fmt: skip
            if (
                timestamp is not None
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
            self._add(buffer, record, self._max_bytes)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)
        return request_id if type(request_id) is str else self._new_id(buffer)

    def outcome(self, request_id: Any, outcome: Any, model: str, timestamp: Any) -> None:
        """Record the truth about a prediction."""
        buffer = self._buffer
        try:
            if buffer.pid != getpid():
                buffer = self._enter_process()
            if outcome is None or request_id is None:
                self._refuse(buffer, "empty_outcome" if outcome is None else "empty_request_id")
                return
            now = self._clock()
            if timestamp is not None:
                now = self._changed(buffer, as_time(timestamp, now))
            event = ("o", model, as_text(request_id), now, outcome)
            try:
                record = encode(event)
            except ANYTHING as problem:
                record = self._encode_slowly(buffer, event, problem)
            self._add(buffer, record, self._max_outcome_bytes)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

    def refuse(self, reason: str, count: int = 1) -> None:
        """Count records that never came to be one, such as the rows of a garbled batch.

        Raises:
            DataError: The recorder is strict.
        """
        buffer = self._buffer
        try:
            if buffer.pid != getpid():
                buffer = self._enter_process()
            self._refuse(buffer, reason, count)
        except GUEST_ERRORS as problem:
            self._give_up(buffer, problem)

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
        written = buffer.drain(timeout)
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
        buffer.drain(timeout)
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
        mine = Buffer(self._spool, self._options, pid)
        # One call, during which no other thread runs: of two that begin at once, one wins.
        buffer = self._buffers.setdefault(pid, mine)
        self._buffer = buffer
        if buffer is mine and not self._closed:
            lifetime.look_after(buffer)
            buffer.start()
        return buffer

    def _in_order(self, buffer: Buffer, event: Event, timestamp: Any) -> Event:
        """Return a prediction whose fields are of the types that ingest relies on."""
        (
            kind, model, version, request_id, now, features, prediction, probability,
            latency_ms, error, segment,
        ) = event  # fmt: skip
        if timestamp is not None:
            now = self._changed(buffer, as_time(timestamp, now))
        if type(features) is not dict:
            features = self._changed(buffer, as_features(features, self._feature_names))
        if latency_ms is not None:
            latency_ms = self._changed(buffer, as_latency(latency_ms))
        error = None if error is None else as_text(error)
        segment = None if segment is None else as_text(segment)
        return (
            kind, model, as_text(version), as_text(request_id), now, features, prediction,
            probability, latency_ms, error, segment,
        )  # fmt: skip

    def _changed(self, buffer: Buffer, changed: tuple[Any, str | None]) -> Any:
        """Return what an argument became; count why, or raise when strict."""
        value, reason = changed
        if reason is not None:
            if self._strict:
                raise DataError(f"{reason}: {REMEDIES[reason]}")
            buffer.note(reason)
        return value

    def _encode_slowly(self, buffer: Buffer, event: Event, problem: BaseException) -> bytes:
        if was_interrupted(problem, encode, event):
            raise problem
        record, replaced = encode_slowly(event)
        if replaced:
            if self._strict:
                kinds = ", ".join(sorted(set(replaced)))
                raise DataError(f"unencodable_value: values of type {kinds} cannot be kept")
            buffer.note("unencodable_value")
        return record

    def _add(self, buffer: Buffer, record: bytes, max_bytes: int) -> None:
        if self._closed:
            self._refuse(buffer, "closed")
        elif len(record) > self._max_record_bytes:
            self._refuse(buffer, "too_large")
        else:
            buffer.add(record, max_bytes)

    def _refuse(self, buffer: Buffer, reason: str, count: int = 1) -> None:
        """Count records that are not taken, or raise when strict."""
        if self._strict:
            raise DataError(f"{reason}: {REMEDIES[reason]}")
        buffer.drop(reason, count)

    def _give_up(self, buffer: Buffer, problem: Exception) -> None:
        if self._strict:
            raise problem
        buffer.drop("unencodable")

    @staticmethod
    def _new_id(buffer: Buffer) -> str:
        return f"{buffer.writer}-{next(buffer.sequence)}"
