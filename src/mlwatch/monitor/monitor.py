"""The facade: assembles the parts, takes records in, runs cycles, starts and stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final

from mlwatch import _threads
from mlwatch._guard import attempt
from mlwatch.alerting import Rule
from mlwatch.errors import ConfigurationError, SpoolError
from mlwatch.history import read_windows
from mlwatch.monitor.recording import Recording
from mlwatch.monitor.usual import Usual
from mlwatch.profile import Profile
from mlwatch.profile_store import store_profile
from mlwatch.protocols import (
    Collect,
    Collector,
    Detect,
    DriftDetector,
    JointDetector,
    MetricStore,
    Notifier,
    Notify,
)
from mlwatch.records import (
    AlertPolicy,
    CaptureOptions,
    CycleReport,
    DriftPolicy,
    Fault,
    as_segments,
    join_key,
)
from mlwatch.reference import Reference
from mlwatch.spans import MINUTE, floor, utc_now
from mlwatch.status import Pace, Status, measure
from mlwatch.window import Window, check_span

CLOSE_SECONDS: Final = 30.0
"""How long `close` waits when nothing else is said."""


class Monitor(Recording, Usual):
    """Watch a model from inside the service that runs it.

    Nothing is started, opened or written by the constructor. `record_*` never raises, never waits
    for a disk or a network, and may be called from threads, coroutines and signal handlers. Use
    as `with Monitor(...) as monitor:` or call `close`. With `MLWATCH_DISABLED=1` in the environment
    nothing is recorded, measured or written, and all else goes on.

    Args:
        reference: What the model was trained on, or one reference a model version. Without one
            everything but drift works.
        store: Where everything is kept. `close` closes it.
        model: The model's name.
        model_version: The version this process serves.
        detectors: Drift detectors, or functions `(reference, current) -> DriftResult`.
        collectors: Collectors, or functions `(window) -> metrics`; they replace the default ones.
        rules: Functions `(metrics) -> findings`; they replace the default ones, but a fault of
            the monitoring itself always alerts.
        notifiers: Notifiers, or functions `(alert) -> None`.
        window: How far back a cycle looks, a multiple of a minute; `window()` says where from.
        every: The time between cycles once `start` was called.
        capture: How records are taken in.
        drift: When evidence of drift becomes a verdict.
        alerts: How alerts are told.
        clock: Gives the time, timezone-aware.

    Raises:
        ConfigurationError: An argument cannot be right; the message names it and the remedy.
        StoreError: The store's path cannot be used.
    """

    def __init__(
        self,
        reference: Reference | Mapping[str, Reference] | None = None,
        *,
        store: MetricStore,
        model: str = "model",
        model_version: str = "",
        detectors: Sequence[DriftDetector | JointDetector | Detect] | None = None,
        collectors: Sequence[Collector | Collect] | None = None,
        rules: Sequence[Rule] | None = None,
        notifiers: Sequence[Notifier | Notify] | None = None,
        window: timedelta = timedelta(hours=24),
        every: timedelta = timedelta(minutes=5),
        capture: CaptureOptions = CaptureOptions(),  # noqa: B008  frozen
        drift: DriftPolicy = DriftPolicy(),  # noqa: B008  frozen
        alerts: AlertPolicy = AlertPolicy(),  # noqa: B008  frozen
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        # What these load is not needed to import mlwatch.
        from mlwatch import assembly
        from mlwatch.background import Background
        from mlwatch.segments import check_segments

        assembly.check_arguments(
            store=store,
            model=model,
            model_version=model_version,
            window=window,
            every=every,
            capture=capture,
            drift=drift,
            alerts=alerts,
            clock=clock,
        )
        self.reference = reference
        self._references = assembly.references(reference, model, model_version)
        assembly.check_redaction(capture, reference)
        self._windows = partial(read_windows, store, model=model, references=self._references)
        self._span = window
        self._every = every
        self._clock = clock
        self._capture = capture
        self._store = store
        self._parts = assembly.build(
            store=store,
            model=model,
            model_version=model_version,
            references=self._references,
            detectors=detectors,
            collectors=collectors,
            rules=rules,
            notifiers=notifiers,
            capture=capture,
            drift=drift,
            alerts=alerts,
            clock=clock,
        )
        assembly.check_features(self._parts.cycle.collectors.values(), reference)
        check_segments(as_segments(drift.segments), reference)
        assembly.check_schemas(self._parts.cycle.collectors.values(), reference, capture)
        super().__init__(self._parts.recorder, model, model_version)
        self._pace = Pace(every)
        self._last_error = ""
        self._closed = self._all_stored = False
        self._owes_cycle = False
        self._rest = 0.0
        self._background = Background(self._ingest_turn, self._cycle_turn, every, clock)
        if self._parts.in_memory:
            self._parts.recorder.finish_with(self._ingest)

    def record_profile(
        self,
        profile: Profile,
        start: datetime,
        end: datetime,
        *,
        model_version: str | None = None,
        source: str = "profile",
    ) -> None:
        """Store counts made elsewhere (by SQL or Spark, say) over `[start, end)`, at once.

        They take the place of counts of the same span and source that were stored before, so a
        job may run again.

        Raises:
            ConfigurationError: The span is empty or has no timezone, or the source is a name
                under which mlwatch counts itself ("recorder", "collector").
            GridMismatchError: The profile was not counted on this version's reference.
            StoreError: The store cannot be written.
        """
        version = self.model_version if model_version is None else model_version
        store_profile(
            self._store,
            profile,
            start,
            end,
            model=self.model,
            model_version=version,
            reference=self._references(version),
            source=source,
        )

    def window(
        self, since: datetime, until: datetime, *, model_version: str | None = None
    ) -> Window:
        """Return the stored traffic of `[since, until)`.

        The ends are moved outwards to where panes begin: a minute, an hour from 2 hours back, a
        day from 48 hours back. `window.since` and `window.until` say where that is.

        Raises:
            ConfigurationError: The span is empty or has no timezone.
            StoreError: The store cannot be read.
        """
        check_span("window", since, until)
        version = self.model_version if model_version is None else model_version
        now = self._clock().astimezone(UTC)
        return self._windows(model_version=version, since=since, until=until, now=now)[0]

    def run_cycle(self) -> CycleReport:
        """Ingest what was recorded, judge the last `window`, tell what has changed; return it all.

        A spool that cannot be written or read is a fault in the report; what has reached the
        store is judged.

        Raises:
            StoreError: The store cannot be read or written; what was recorded waits in the spool.
            SpoolError: The spool is in the memory of another process.
        """
        if self._parts.disabled:
            return self._nothing()
        begun = time.monotonic()
        recorder, ingest = self._parts.recorder, self._parts.ingest
        written = recorder.flush(None)
        with suppress(SpoolError):  # ingest notes it in its health
            ingest.run()
            self._last_error = ""
        capture = None if written else Fault("capture", recorder.stats.last_error)
        health = {"capture": capture} | ingest.take_health()
        now = self._clock().astimezone(UTC)
        until = floor(now, MINUTE) + MINUTE
        since = until - self._span
        windows = self._windows(
            model_version=self.model_version,
            since=since,
            until=until,
            now=now,
            rows_since=now - self._capture.retention.rows,
        )
        report = self._parts.cycle.run(windows, now, health, self.status())
        self._pace.note(time.monotonic() - begun)
        return report

    def _nothing(self) -> CycleReport:
        now = self._clock().astimezone(UTC)
        return CycleReport(
            model=self.model, model_version=self.model_version, since=now - self._span, time=now
        )

    def start(self, *, share: float = 0.5) -> None:
        """Ingest and run cycles in a background thread of this process.

        Args:
            share: The share of the time that ingest takes at most while much waits; in between it
                rests, for the sake of what else the process does. 1 where it does nothing else.

        Raises:
            ConfigurationError: The monitor is closed, or `share` is no share above 0.
        """
        if self._closed:
            raise ConfigurationError("start() after close(): make a new Monitor")
        if not isinstance(share, int | float) or not 0 < share <= 1:
            raise ConfigurationError(f"start(share={share!r}): must be a share above 0, up to 1")
        self._rest = 1 / share - 1
        if not self._parts.disabled:
            self._background.start()

    def flush(self, timeout: float | None = None, *, ingest: bool = False) -> bool:
        """Return True when everything recorded so far is safe.

        That is: in the spool, or with `ingest` (and always with a memory spool) in the store.
        False when `timeout` seconds were not enough, or the store could not be written.
        """
        left = _countdown(timeout)
        done = self._parts.recorder.flush(left())
        if ingest or self._parts.in_memory:
            return _threads.within(left(), self._ingest, otherwise=False) and done
        return done

    def _ingest(self) -> bool:
        if self._parts.disabled:
            return True
        _, fault = attempt("ingest", self._parts.ingest.run)
        return self._noted(fault)

    def _noted(self, fault: Fault | None) -> bool:
        """Note how it went; a store may be anybody's, and raise anything."""
        when = f"{self._clock():%Y-%m-%d %H:%M:%S}"
        self._last_error = "" if fault is None else f"{when}: {fault.error}"
        return fault is None

    def close(self, timeout: float | None = CLOSE_SECONDS) -> bool:
        """Stop, flush and let go of everything; idempotent. True when all was stored.

        After `timeout` seconds (None: never) it returns False; what could not be stored waits in
        the spool. A `with` block that an exception leaves waits for two seconds at most.
        """
        if self._closed:
            return self._all_stored
        self._closed = True
        left = _countdown(timeout)
        stopped = self._background.stop(left())
        done = self._parts.recorder.close(left())
        settled = _threads.within(left(), self._settle, otherwise=False)
        self._all_stored = stopped and done and settled
        return self._all_stored

    def _settle(self) -> bool:
        """Ingest and let go of spool and store; True when all went well."""
        self._parts.spool.close()  # before, so that ingest may remove the last segment
        done = self._ingest()
        _, fault = attempt("store", self._store.close)
        return done and (fault is None or self._noted(fault))

    async def aflush(
        self,
        timeout: float | None = None,  # noqa: ASYNC109  as flush
        *,
        ingest: bool = False,
    ) -> bool:
        """Do as `flush`, while the event loop goes on."""
        import asyncio

        return await asyncio.to_thread(self.flush, timeout, ingest=ingest)

    async def aclose(self, timeout: float | None = CLOSE_SECONDS) -> bool:  # noqa: ASYNC109  as close
        """Do as `close`, while the event loop goes on."""
        import asyncio  # which costs a quarter of importing mlwatch

        return await asyncio.to_thread(self.close, timeout)

    @property
    def spool_path(self) -> Path | None:
        """The folder where records wait, for any process to ingest; None: this one's memory."""
        return self._parts.spool_path

    def __enter__(self) -> Monitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from mlwatch.recorder import EXIT_SECONDS

        self.close(CLOSE_SECONDS if kind is None else EXIT_SECONDS)

    def status(self) -> Status:
        """Return how the monitor itself does, over all processes that share the store."""
        if self._parts.disabled:
            return Status(last_error="mlwatch is switched off by MLWATCH_DISABLED")
        return measure(
            self._parts.recorder,
            self._parts.spool,
            self._store,
            model=self.model,
            now=self._clock(),
            capture=self._capture,
            pace=self._pace,
            last_error=self._last_error or self._background.last_error,
            running=self._background.running,
        )

    def _ingest_turn(self) -> None:
        """Ingest, unless another worker does this second."""
        self._parts.recorder.flush(1.0)
        now = self._clock()
        if self._store.claim(join_key("ingest", self.model), now, timedelta(seconds=1)):
            self._parts.ingest.run(self._rest)

    def _cycle_turn(self) -> None:
        """Run a cycle, unless another worker does this time."""
        # A little less than `every`: a clock that is set back a moment must not cost a cycle.
        claimed = self._owes_cycle or self._store.claim(
            join_key("cycle", self.model), self._clock(), self._every * 0.9
        )
        if claimed:
            self._owes_cycle = True  # until it is done: nobody else will take this one
            self.run_cycle()
            self._owes_cycle = False


def _countdown(timeout: float | None) -> Callable[[], float | None]:
    """Return what tells how many of so many seconds are left."""
    if timeout is None:
        return lambda: None
    deadline = time.monotonic() + timeout
    return lambda: max(deadline - time.monotonic(), 0)
