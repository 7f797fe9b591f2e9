"""How the machine and this process do."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

from mlwatch._guard import attempt
from mlwatch.collectors.system.cgroup import Cgroup, Room
from mlwatch.collectors.system.connections import open_connections
from mlwatch.errands import Answer, Errands
from mlwatch.errors import ConfigurationError
from mlwatch.protocols import Scope
from mlwatch.records import Metric
from mlwatch.window import Window

_SHORTEST = 0.1
"""Seconds: the counters of CPU time go in steps of a hundredth."""

_PATIENCE = 5.0
"""Seconds that a disk, which may be that of another host, is waited for."""

_NOT_BUSY = frozenset({"idle", "iowait", "guest", "guest_nice"})
_NOT_COUNTED = frozenset({"guest", "guest_nice"})
"""Linux counts the time of guests a second time, as that of their users."""

Reading = tuple[float, str]
"""A figure and a remark."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """CPU time at a moment: `busy` of `total` seconds, as `source` counts them."""

    source: str
    busy: float
    total: float
    time: float


@dataclass(frozen=True)
class SystemCollector:
    """Measure the machine on which the cycle runs, and the process that runs it.

    In a container memory and CPU are measured against the limits of its control groups where
    these are tighter than the machine, and the remark (`why`) says so. `cpu_percent` and
    `process_cpu_percent` are taken between two cycles of one process, so that nothing waits: the
    first has none. What the platform refuses has no value, and why. Load, connections and
    processes are those that the process can see.

    It is asked once a cycle, and its figures are about no model version. It keeps the last
    counters of CPU time in itself: they mean nothing to another process.

    Args:
        mounts: Where the disks to be measured are mounted.
        cgroup: Where the limits of a container are read.
        source: What stands for `psutil`, for tests.
        timer: A monotonic clock in seconds.

    Raises:
        ConfigurationError: `mounts` is not a list of folders, or `cgroup` no `Cgroup`.
    """

    mounts: Iterable[str | os.PathLike[str]] = ("/",)
    cgroup: Cgroup = field(default_factory=Cgroup)
    name: str = "system"
    source: Any = field(default=None, repr=False)
    timer: Callable[[], float] = field(default=time.monotonic, repr=False)
    scope: ClassVar[Scope] = "machine"
    _marks: dict[str, _Mark] = field(default_factory=dict, init=False, repr=False, compare=False)
    _errands: Errands = field(default_factory=Errands, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = self.mounts
        if isinstance(given, str | bytes | os.PathLike) or not isinstance(given, Iterable):
            raise ConfigurationError(
                f"SystemCollector(mounts={given!r}): must be a list, such as ['/']"
            )
        if not isinstance(self.cgroup, Cgroup):
            raise ConfigurationError(f"SystemCollector(cgroup={self.cgroup!r}): give Cgroup(...)")
        mounts = tuple(dict.fromkeys(map(_mount, given)))
        object.__setattr__(self, "mounts", mounts)

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of this moment; of the window nothing is read."""
        host = self._psutil()
        yield _metric("cpu_percent", partial(self._cpu, host))
        for place, minutes in enumerate(("1", "5", "15")):
            load = partial(_load, host, place)
            yield _metric("load_average", load, {"minutes": minutes})
        yield _metric("memory_percent", lambda: self._memory(host)[0])
        yield _metric("memory_available_bytes", lambda: self._memory(host)[1])
        yield from self._disks(host)
        yield _metric("network_received_bytes", lambda: _network(host).bytes_recv)
        yield _metric("network_sent_bytes", lambda: _network(host).bytes_sent)
        yield _metric("open_connections", partial(open_connections, host))
        yield _metric("process_count", lambda: len(host.pids()))
        yield _metric("process_rss_bytes", lambda: host.Process().memory_info().rss)
        yield _metric("process_threads", lambda: host.Process().num_threads())
        yield _metric("process_descriptors", lambda: host.Process().num_fds())
        yield _metric("process_cpu_percent", partial(self._own_cpu, host))

    def _psutil(self) -> Any:
        if self.source is not None:
            return self.source
        import psutil

        return psutil

    def _cpu(self, host: Any) -> Reading | str:
        cores = host.cpu_count()
        limit = self.cgroup.cpu(cores) if cores else None
        now = self.timer()
        if limit is not None:
            source = f"{limit.group} {limit.cores:g}"
            mark = _Mark(source, limit.seconds, limit.cores * now, now)
            return self._between("host", mark, f"of the {limit.cores:g} CPUs of the container", 100)
        spent = host.cpu_times()._asdict()
        total = sum(seconds for state, seconds in spent.items() if state not in _NOT_COUNTED)
        busy = sum(seconds for state, seconds in spent.items() if state not in _NOT_BUSY)
        return self._between("host", _Mark("host", busy, total, now), "", 100)

    def _own_cpu(self, host: Any) -> Reading | str:
        spent, now = host.Process().cpu_times(), self.timer()
        mark = _Mark(f"process {os.getpid()}", spent.user + spent.system, now, now)
        return self._between("process", mark, "")

    def _between(
        self, name: str, mark: _Mark, remark: str, most: float = math.inf
    ) -> Reading | str:
        """Return the percentage of the time since the last call; a text where there is none."""
        last = self._marks.get(name)
        if last is not None and last.source == mark.source:
            gap = mark.time - last.time
            if gap < _SHORTEST:
                return f"not enough data: CPU was last measured {max(0, gap):.3f} s ago"
        self._marks[name] = mark
        if last is None or last.source != mark.source or mark.total <= last.total:
            return "not enough data: first cycle of this process; CPU is measured between two"
        percent = 100 * (mark.busy - last.busy) / (mark.total - last.total)
        return min(max(percent, 0.0), most), remark

    def _memory(self, host: Any) -> tuple[Reading, Reading]:
        """Return the percentage in use, and the bytes that are left."""
        seen = host.virtual_memory()
        limits = [room for room in self.cgroup.memory() if room.limit < seen.total]
        if not limits:
            return (100 * (seen.total - seen.available) / seen.total, ""), (seen.available, "")
        least: Room = min(limits, key=lambda room: room.limit - room.used)
        remark = f"of the {least.limit / 2**20:,.0f} MiB of the container"
        left = max(0, min(least.limit - least.used, seen.available))
        percent = min(100.0, 100 * least.used / least.limit) if least.limit else 100.0
        return (percent, remark), (left, remark)

    def _disks(self, host: Any) -> Iterator[Metric]:
        calls = {str(mount): partial(host.disk_usage, str(mount)) for mount in self.mounts}
        for mount, answer in self._errands.run(calls, _PATIENCE).items():
            labels = {"mount": mount}
            yield _metric("disk_percent", partial(_of_disk, answer, "percent"), labels)
            yield _metric("disk_free_bytes", partial(_of_disk, answer, "free"), labels)


def _metric(
    name: str,
    read: Callable[[], Reading | float | str],
    labels: Mapping[str, str] | None = None,
) -> Metric:
    """Return what was read, without a value where a text says why, or the platform refuses."""
    found, fault = attempt(name, read)
    if fault is not None or found is None:
        refused = "there is none" if fault is None else fault.error
        found = f"undefined: the system refuses it: {refused}"
    if isinstance(found, str):
        return Metric(name, None, labels=labels or {}, why=found)
    value, remark = found if isinstance(found, tuple) else (found, "")
    return Metric(name, float(value), n=1, labels=labels or {}, why=remark)


def _mount(given: object) -> str:
    if not isinstance(given, str | os.PathLike) or not str(given):
        raise ConfigurationError(f"SystemCollector(mounts=...): {given!r} is no folder")
    return os.fspath(given) if isinstance(given, str) else str(given)


def _load(host: Any, place: int) -> float:
    return float(host.getloadavg()[place])


def _network(host: Any) -> Any:
    counters = host.net_io_counters()
    if counters is None:
        raise LookupError("no network interface is seen")
    return counters


def _of_disk(answer: Answer, figure: str) -> Reading | str:
    if not answer.begun:
        return "undefined: this process can start no more threads"
    if not answer.ended:
        return f"undefined: the disk has not answered for {answer.seconds:.0f} s"
    if answer.fault is not None:
        return f"undefined: the system refuses it: {answer.fault.error}"
    return float(getattr(answer.value, figure)), ""
