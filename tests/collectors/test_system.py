"""How the machine does, within the limits of a container."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections import namedtuple
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from tests.traffic import window

from mlwatch.collectors import SystemCollector
from mlwatch.collectors.system import Cgroup
from mlwatch.collectors.system.connections import open_connections
from mlwatch.errors import ConfigurationError

NOTHING = Cgroup(Path("/nonexistent"), Path("/nonexistent"))
GIB = 2**30
MEMORY = namedtuple("MEMORY", "total available")
TIMES = namedtuple("TIMES", "user system idle iowait guest")


class Host:
    """A machine of 8 CPUs and 16 GiB, otherwise this one, that refuses what it is told to."""

    def __init__(self, **refused):
        self.refused = refused
        self.times = TIMES(0.0, 0.0, 0.0, 0.0, 0.0)

    def cpu_count(self):
        return 8

    def virtual_memory(self):
        return MEMORY(16 * GIB, 12 * GIB)

    def cpu_times(self):
        return self.times

    def __getattribute__(self, name):
        refused = object.__getattribute__(self, "refused")
        if name in refused:

            def refuse(*_):
                raise refused[name]

            return refuse
        try:
            return object.__getattribute__(self, name)
        except AttributeError:
            return getattr(psutil, name)


class Process:
    """A process that has used so many seconds of CPU."""

    def __init__(self, seconds):
        self.seconds = seconds

    def cpu_times(self):
        return TIMES(self.seconds, 0.0, 0.0, 0.0, 0.0)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def tree(folder, membership, files):
    """Write a tree of control groups, and return what reads it."""
    root = folder / "cgroup"
    root.mkdir()
    (folder / "membership").write_text(membership)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return Cgroup(root, folder / "membership")


def measured(collector):
    return {
        (metric.name, *metric.labels.values()): metric for metric in collector.collect(window([]))
    }


def test_what_psutil_says():
    """Outside of a container each figure is that of psutil; memory and disks are of this moment."""
    found = measured(SystemCollector(cgroup=NOTHING))
    virtual, disk, me = psutil.virtual_memory(), psutil.disk_usage("/"), psutil.Process()
    percent = 100 * (virtual.total - virtual.available) / virtual.total
    assert found["memory_percent",].value == pytest.approx(percent, abs=5)
    assert found["memory_available_bytes",].value == pytest.approx(virtual.available, rel=0.1)
    assert found["disk_percent", "/"].value == pytest.approx(disk.percent, abs=1)
    assert found["disk_free_bytes", "/"].value == pytest.approx(disk.free, rel=0.1)
    assert found["load_average", "5"].value == pytest.approx(os.getloadavg()[1], abs=2)
    assert found["process_count",].value == pytest.approx(len(psutil.pids()), abs=50)
    assert found["process_threads",].value == pytest.approx(me.num_threads(), abs=2)
    assert found["process_descriptors",].value == pytest.approx(me.num_fds(), abs=2)
    assert found["process_rss_bytes",].value == pytest.approx(me.memory_info().rss, rel=0.2)
    network = psutil.net_io_counters()
    if network is not None:
        assert 0 <= found["network_received_bytes",].value <= network.bytes_recv
        assert 0 <= found["network_sent_bytes",].value <= network.bytes_sent
    for metric in found.values():
        assert metric.why == "" or metric.value is None


def test_cpu_is_measured_between_two_cycles():
    """The share of busy time since the call before; idle and waiting for disks are not busy."""
    host, clock = Host(), Clock()
    collector = SystemCollector(cgroup=NOTHING, source=host, timer=clock)
    first = measured(collector)["cpu_percent",]
    assert (first.value, first.why) == (
        None,
        "not enough data: first cycle of this process; CPU is measured between two",
    )
    for step, (user, idle, percent) in enumerate([(60, 20, 75), (60, 100, 0), (160, 100, 100)], 1):
        clock.now = 1000.0 + 300 * step
        # Guests' time is counted among the users' too.
        host.times = TIMES(float(user), 0.0, idle / 2, idle / 2, 50.0)
        assert measured(collector)["cpu_percent",].value == pytest.approx(percent)


def test_the_cpu_of_this_process_is_in_percent_of_one():
    """Seconds of CPU over seconds of time: two busy threads are 200."""
    host, clock = Host(), Clock()
    host.Process = lambda: Process(10.0)
    collector = SystemCollector(cgroup=NOTHING, source=host, timer=clock)
    assert measured(collector)["process_cpu_percent",].value is None
    clock.now += 10
    host.Process = lambda: Process(30.0)
    assert measured(collector)["process_cpu_percent",].value == pytest.approx(200)


def test_two_calls_within_a_moment_measure_no_cpu():
    """Counters go in steps of 10 ms; the next call measures the whole time since the first."""
    host, clock = Host(), Clock()
    collector = SystemCollector(cgroup=NOTHING, source=host, timer=clock)
    measured(collector)
    clock.now += 0.05
    soon = measured(collector)["cpu_percent",]
    assert (soon.value, soon.why) == (None, "not enough data: CPU was last measured 0.050 s ago")
    clock.now += 10
    host.times = TIMES(30.0, 0.0, 70.0, 0.0, 0.0)
    assert measured(collector)["cpu_percent",].value == pytest.approx(30)


def test_nothing_waits_for_cpu(monkeypatch):
    """No reading sleeps, as `psutil.cpu_percent(interval=1)` would."""

    def sleep(_seconds):
        raise AssertionError("slept")

    collector = SystemCollector()
    monkeypatch.setattr(time, "sleep", sleep)
    measured(collector)
    assert measured(collector)["process_rss_bytes",].value > 0


def test_a_fork_measures_its_own_process_anew():
    """The child's first figure is not the difference to what its parent has used."""
    clock = Clock()
    collector = SystemCollector(cgroup=NOTHING, timer=clock)
    measured(collector)
    clock.now += 300
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, str(measured(collector)["process_cpu_percent",].value).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"None"


REFUSED = {
    "getloadavg": (NotImplementedError("no"), "load_average", "NotImplementedError: no"),
    "virtual_memory": (PermissionError(13, "no"), "memory_percent", "PermissionError: [Errno 13]"),
    "disk_usage": (FileNotFoundError("gone"), "disk_free_bytes", "FileNotFoundError: gone"),
    "net_io_counters": (OSError("odd"), "network_sent_bytes", "OSError: odd"),
    "pids": (psutil.AccessDenied(), "process_count", "AccessDenied"),
    "Process": (psutil.NoSuchProcess(7), "process_descriptors", "NoSuchProcess"),
    "cpu_times": (AttributeError("cpu_times"), "cpu_percent", "AttributeError"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_refused_is_absent_with_a_reason(call):
    """It has no value, never 0, and says what was raised; the others are measured."""
    error, name, why = REFUSED[call]
    every = [*SystemCollector(cgroup=NOTHING, source=Host(**{call: error})).collect(window([]))]
    (*_, refused) = (metric for metric in every if metric.name == name)
    assert (refused.value, refused.n) == (None, 0)
    assert refused.why.startswith(f"undefined: the system refuses it: {why}")
    assert sum(metric.value is None for metric in every) < 8
    assert len(every) == 16


def test_no_network_interface_is_no_zero():
    """psutil returns None where it sees none."""
    host = Host()
    host.net_io_counters = lambda: None
    metric = measured(SystemCollector(cgroup=NOTHING, source=host))["network_received_bytes",]
    assert (metric.value, "no network interface" in metric.why) == (None, True)


def test_a_disk_that_hangs_holds_up_no_cycle(monkeypatch):
    """A mount that never answers (a server that is gone) costs its own figures and one thread."""
    monkeypatch.setattr("mlwatch.collectors.system.collector._PATIENCE", 0.05)
    release, asked = threading.Event(), []

    def usage(mount):
        asked.append(mount)
        if mount == "/far":
            release.wait(30)
        return psutil.disk_usage("/")

    host = Host()
    host.disk_usage = usage
    collector = SystemCollector(mounts=["/", "/far"], cgroup=NOTHING, source=host)
    for _ in range(3):
        found = measured(collector)
        assert found["disk_percent", "/far"].value is None
        assert "the disk has not answered" in found["disk_percent", "/far"].why
    assert found["disk_percent", "/"].value == psutil.disk_usage("/").percent
    assert asked.count("/far") == 1
    release.set()


# Containers

V2 = "0::/\n"
V1 = "".join(
    f"{number}:{names}:/docker/abc\n"
    for number, names in enumerate(("name=systemd", "cpu,cpuacct", "memory", "cpuset"), 1)
)


def test_memory_of_a_container(tmp_path):
    """Limit and use are the group's; pages of files that can be dropped at once are not in use."""
    limits = tree(
        tmp_path,
        V2,
        {
            "memory.max": GIB,
            "memory.current": 768 * 2**20,
            "memory.stat": f"anon 5\ninactive_file {256 * 2**20}",
        },
    )
    found = measured(SystemCollector(cgroup=limits, source=Host()))
    assert found["memory_percent",].value == 50
    assert found["memory_available_bytes",].value == GIB / 2
    assert found["memory_percent",].why == "of the 1,024 MiB of the container"


@pytest.mark.parametrize("limit", ["max", 64 * GIB], ids=["max", "more than the machine has"])
def test_without_a_limit_memory_is_the_hosts(tmp_path, limit):
    """ "max" is no limit, and neither is one above what the machine has."""
    limits = tree(tmp_path, V2, {"memory.max": limit, "memory.current": 1, "memory.stat": ""})
    found = measured(SystemCollector(cgroup=limits, source=Host()))
    assert found["memory_percent",].value == 25
    assert found["memory_available_bytes",].value == 12 * GIB


@pytest.mark.parametrize(("outer", "left"), [(1, 1), (5, 2)])
def test_the_tightest_of_nested_groups_counts(tmp_path, outer, left):
    """A pod's limit holds for its containers: what is left is the least of all groups around."""
    files = {
        "pod/box/memory.max": 3 * GIB,
        "pod/box/memory.current": GIB,
        "pod/memory.max": (outer + 2) * GIB,
        "pod/memory.current": 2 * GIB,
    }
    limits = tree(tmp_path, "0::/pod/box\n", files)
    found = measured(SystemCollector(cgroup=limits, source=Host()))
    assert found["memory_available_bytes",].value == left * GIB


def test_memory_of_version_1(tmp_path):
    """A container may be told the path of a group that it cannot see: the root is its own."""
    files = {
        "memory/memory.limit_in_bytes": 2 * GIB,
        "memory/memory.usage_in_bytes": GIB,
        "memory/memory.stat": f"total_inactive_file {GIB // 2}\ninactive_file 0",
    }
    found = measured(SystemCollector(cgroup=tree(tmp_path, V1, files), source=Host()))
    assert found["memory_percent",].value == 25


def test_no_limit_of_version_1(tmp_path):
    """Version 1 says that there is no limit by the largest number of pages."""
    files = {
        "memory/docker/abc/memory.limit_in_bytes": 9223372036854771712,
        "memory/docker/abc/memory.usage_in_bytes": GIB,
    }
    found = measured(SystemCollector(cgroup=tree(tmp_path, V1, files), source=Host()))
    assert found["memory_percent",].value == 25


CPU_LIMITS = {
    "quota": (V2, {"cpu.max": "150000 100000"}, 1.5),
    "quota around": ("0::/a/b\n", {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000"}, 0.5),
    "tighter quota within": (
        "0::/a/b\n",
        {"a/cpu.max": "400000 100000", "a/b/cpu.max": "200000 100000"},
        2,
    ),
    "cpuset": (V2, {"cpu.max": "max 100000", "cpuset.cpus.effective": "0-1,5"}, 3),
    "cpuset and quota": (V2, {"cpu.max": "200000 100000", "cpuset.cpus.effective": "0-3"}, 2),
    "version 1": (
        V1,
        {"cpu,cpuacct/cpu.cfs_quota_us": "250000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        2.5,
    ),
    "cpuset of version 1": (V1, {"cpu,cpuacct/x": "", "cpuset/cpuset.cpus": "2"}, 1),
    "mounted by one name": (
        V1,
        {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"},
        1,
    ),
}


@pytest.mark.parametrize("case", CPU_LIMITS)
def test_cpu_of_a_container(tmp_path, case):
    """What the limited group has used, over what it may use."""
    membership, files, cores = CPU_LIMITS[case]
    group = {"quota around": "a/", "tighter quota within": "a/b/", "mounted by one name": "cpu/"}
    is_v1 = membership == V1
    place = group.get(case, "cpu,cpuacct/" if is_v1 else "")
    used = place + ("cpuacct.usage" if is_v1 else "cpu.stat")
    text = "{:.0f}" if is_v1 else "usage_usec {:.0f}\nuser_usec 0"
    unit = 1e9 if is_v1 else 1e6
    limits, clock = tree(tmp_path, membership, files | {used: text.format(5 * unit)}), Clock()
    collector = SystemCollector(cgroup=limits, source=Host(), timer=clock)
    assert measured(collector)["cpu_percent",].value is None
    clock.now += 100
    (limits.root / used).write_text(text.format((5 + 0.3 * 100 * cores) * unit))
    metric = measured(collector)["cpu_percent",]
    assert metric.value == pytest.approx(30)
    assert metric.why == f"of the {cores:g} CPUs of the container"


def test_cpu_accounts_that_are_mounted_apart(tmp_path):
    """Of version 1 the time may be counted in another tree, in the group of the same depth."""
    files = {
        "cpu/a/b/cpu.cfs_quota_us": "-1",
        "cpu/a/b/cpu.cfs_period_us": "100000",
        "cpu/a/cpu.cfs_quota_us": "100000",
        "cpu/a/cpu.cfs_period_us": "100000",
        "cpuacct/a/b/cpuacct.usage": "1",
        "cpuacct/a/cpuacct.usage": str(7 * 10**9),
    }
    share = tree(tmp_path, "2:cpu:/a/b\n3:cpuacct:/a/b\n", files).cpu(8)
    assert (share.cores, share.seconds) == (1, 7)


@pytest.mark.parametrize(
    "files",
    [{}, {"cpu.max": "max 100000"}, {"cpu.max": "800000 100000"}, {"cpuset.cpus.effective": ""}],
    ids=["no files", "max", "as many as there are", "any"],
)
def test_without_a_limit_cpu_is_the_hosts(tmp_path, files):
    """Where all CPUs may be used, the share is that of the machine."""
    host, clock = Host(), Clock()
    collector = SystemCollector(cgroup=tree(tmp_path, V2, files), source=host, timer=clock)
    measured(collector)
    clock.now += 10
    host.times = TIMES(1.0, 0.0, 3.0, 0.0, 0.0)
    metric = measured(collector)["cpu_percent",]
    assert (metric.value, metric.why) == (25, "")


def test_a_limit_that_changes_begins_anew(tmp_path):
    """Two readings of different limits are not compared."""
    files = {"cpu.max": "100000 100000", "cpu.stat": "usage_usec 0"}
    limits, clock = tree(tmp_path, V2, files), Clock()
    collector = SystemCollector(cgroup=limits, source=Host(), timer=clock)
    measured(collector)
    clock.now += 10
    (limits.root / "cpu.max").write_text("200000 100000")
    assert measured(collector)["cpu_percent",].value is None


@pytest.mark.parametrize(
    ("name", "text", "metric"),
    [
        ("memory.max", "much", "memory_percent"),
        ("memory.current", "", "memory_available_bytes"),
        ("cpu.max", "1 0", "cpu_percent"),
        ("cpu.max", "some", "cpu_percent"),
    ],
)
def test_limits_that_cannot_be_read(tmp_path, name, text, metric):
    """What cannot be read is absent with a reason; the host's figure would be a wrong one."""
    files = {"memory.max": GIB, "memory.current": 1, "cpu.max": "100000 100000"} | {name: text}
    found = measured(SystemCollector(cgroup=tree(tmp_path, V2, files), source=Host()))
    assert found[metric,].value is None
    assert found[metric,].why.startswith("undefined: ")
    assert found["process_rss_bytes",].value > 0


def test_this_process_is_in_a_group_or_not():
    """The real files of this machine are read without a fault, whatever they say."""
    assert all(
        math.isfinite(metric.value)
        for metric in measured(SystemCollector()).values()
        if metric.value
    )
    for room in Cgroup().memory():
        assert room.used >= 0


# Connections


def test_connections_are_those_in_use():
    """Each connection on this machine counts with both its ends, and each socket that listens."""
    before = open_connections(psutil)
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for _ in range(100):
            stack.enter_context(socket.create_connection(server.getsockname()))
            stack.enter_context(server.accept()[0])
        assert open_connections(psutil) - before == pytest.approx(201, abs=60)


def test_where_the_kernel_has_no_sums_psutil_is_asked(tmp_path):
    """What is over is not counted; where psutil is refused there is no figure."""
    each = namedtuple("each", "status")
    states = ["ESTABLISHED", "LISTEN", "CLOSE_WAIT", "TIME_WAIT", "NONE"]

    class Other:
        def net_connections(self, kind):
            return [each(state) for state in states]

    assert open_connections(Other(), tmp_path) == 3
    with pytest.raises(psutil.AccessDenied):
        open_connections(Host(net_connections=psutil.AccessDenied()), tmp_path)


@pytest.mark.parametrize("mounts", ["/data", b"/data", Path("/data"), 7, None, [7], [""]])
def test_mounts_are_a_list_of_folders(mounts):
    """A text alone, which would be taken for a list of letters, is refused."""
    with pytest.raises(ConfigurationError, match=r"SystemCollector\(mounts="):
        SystemCollector(mounts=mounts)


def test_a_path_is_no_cgroup():
    """Where control groups are mounted is said by `Cgroup`."""
    with pytest.raises(ConfigurationError, match="give Cgroup"):
        SystemCollector(cgroup="/sys/fs/cgroup")


def test_a_mount_that_is_not_there():
    """Its figures have no value and name what is missing."""
    found = measured(SystemCollector(mounts=["/", Path("/not/there")], cgroup=NOTHING))
    metric = found["disk_free_bytes", "/not/there"]
    assert metric.value is None
    assert "FileNotFoundError" in metric.why
