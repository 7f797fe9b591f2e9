"""The command `mlwatch`: a sidecar beside a service, and what it says when it cannot be one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from mlwatch import Monitor, StoreError, Table
from mlwatch.cli import main
from mlwatch.import_string import find_monitor
from mlwatch.stores import MemoryStore, SQLiteStore

SERVICE = """
from datetime import timedelta
from types import SimpleNamespace

from mlwatch import Monitor
from mlwatch.stores import MemoryStore, SQLiteStore


def make():
    return Monitor(store=SQLiteStore("mlwatch.db"), model="churn", every=timedelta(seconds=1))


def make_of(path):
    raise AssertionError


monitor = make()
parts = SimpleNamespace(monitor=monitor)
in_memory = Monitor(store=MemoryStore(), model="churn")
"""


@pytest.fixture
def service(tmp_path, monkeypatch):
    """A folder with a service in it, which is the current one."""
    package = tmp_path / "churn_service"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "monitoring.py").write_text(SERVICE)
    (package / "lacking.py").write_text("import no_such_library")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("churn_service")]:
        del sys.modules[name]


def sidecar(*arguments):
    """Start the command in the current folder."""
    command = [sys.executable, "-m", "mlwatch", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    known = os.pathsep.join(path for path in sys.path if path)
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": known}, **pipes)


def record(folder, count):
    """Record predictions as a service that only records; leave them in the spool."""
    monitor = Monitor(store=SQLiteStore(folder / "mlwatch.db"), model="churn")
    for _ in range(count):
        monitor.record_prediction({"age": 31}, 0.7)
    assert monitor.flush()
    return monitor


def stored(folder, table=Table.predictions):
    """Return the rows that are in the store, none while it is being made."""
    with suppress(StoreError):
        return list(SQLiteStore(folder / "mlwatch.db", read_only=True).read(table))
    return []


def wait_until(condition, process):
    """Wait until a condition holds, as long as the sidecar runs."""
    deadline = time.monotonic() + 30
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_sidecar_ingests_and_judges_until_it_is_ended(service, ending):
    """What another process records is stored and judged; a signal ends the sidecar cleanly."""
    monitor = record(service, 50)
    process = sidecar("watch", "churn_service.monitoring:monitor")
    wait_until(lambda: len(stored(service)) == 50, process)
    wait_until(lambda: stored(service, Table.metrics), process)
    record(service, 7)
    process.send_signal(ending)
    printed, complaints = process.communicate(timeout=30)

    assert process.returncode == 0
    assert printed == ""
    assert "Traceback" not in complaints
    assert f"watching churn: what is recorded in {monitor.spool_path}" in complaints
    assert len(stored(service)) == 57


@pytest.mark.slow
def test_two_sidecars_count_once(service):
    """Two sidecars, and a service that ingests too, store each record once."""
    monitor = record(service, 0)
    monitor.start()
    pair = [sidecar("watch", "churn_service.monitoring:monitor") for _ in range(2)]
    for process in pair:
        assert "watching churn" in process.stderr.readline()
    for _ in range(300):
        monitor.record_prediction({"age": 31}, 0.7)
        time.sleep(0.005)
    wait_until(lambda: len(stored(service)) >= 200, pair[0])
    for process in pair:
        process.send_signal(signal.SIGTERM)
    for process in pair:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert monitor.close()
    counted = sum(row.tallies["rows"]["recorded"] for row in stored(service, Table.panes))

    assert len(stored(service)) == counted == 300


@pytest.mark.slow
def test_a_sidecar_that_is_switched_off_says_so(service, monkeypatch):
    """Where mlwatch is switched off the sidecar stays up, does nothing and says why."""
    monkeypatch.setenv("MLWATCH_DISABLED", "1")
    process = sidecar("watch", "churn_service.monitoring:monitor")
    assert "watching nothing: mlwatch is switched off" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 0


def test_once_runs_one_cycle_and_prints_it(service, capsys):
    """`--once` ingests, runs one cycle, prints its report and ends with 0."""
    record(service, 20)

    assert main(["watch", "churn_service.monitoring:make", "--once"]) == 0
    assert "prediction_count" in capsys.readouterr().out
    assert len(stored(service)) == 20


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("churn_service", "'churn_service' names no monitor: write module:attribute"),
        ("churn_service.monitoring:", "names no monitor"),
        (
            "chrun_service.monitoring:monitor",
            "no module 'chrun_service' (there is 'churn_service')",
        ),
        (
            "churn_service.monitorng:monitor",
            "no module 'churn_service.monitorng' (there is 'churn_service.monitoring')",
        ),
        ("churn_service.monitoring.a:b", "no module 'churn_service.monitoring.a'"),
        (
            "churn_service.monitoring:monitr",
            "no attribute 'monitr' in 'churn_service.monitoring:monitr' (there is 'monitor')",
        ),
        ("churn_service.monitoring:parts.monito", "no attribute 'monito'"),
        ("churn_service.monitoring:timedelta.min", "is a timedelta: name a Monitor, or a function"),
        ("churn_service.monitoring:make_of", "cannot be called without arguments"),
        ("churn_service.monitoring:in_memory", "has its spool in memory, which no other process"),
    ],
)
def test_what_cannot_be_watched_is_named_with_the_remedy(service, capsys, text, complaint):
    """A wrong argument ends with 2 and one line that names it, and what there is instead."""
    assert main(["watch", text]) == 2
    printed, complaints = capsys.readouterr()

    assert printed == ""
    assert complaints.startswith("mlwatch: ")
    assert complaint in complaints
    assert complaints.count("\n") == 1


def test_what_the_service_lacks_is_its_own_error(service):
    """A library that the service misses is not taken for the service itself."""
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        main(["watch", "churn_service.lacking:monitor"])


@pytest.mark.parametrize("path", ["monitor", "parts.monitor", "make"])
def test_a_monitor_may_be_anywhere_in_a_module(service, path):
    """A name, a name within an object and a function without arguments give a monitor."""
    assert find_monitor(f"churn_service.monitoring:{path}").model == "churn"


def test_a_store_that_fails_ends_with_1(service, capsys):
    """What goes wrong later is told in one line, too, and is no wrong argument."""
    (service / "mlwatch.db").write_text("no database at all, and long enough to be told" * 100)

    assert main(["watch", "churn_service.monitoring:make", "--once"]) == 1
    assert capsys.readouterr().err.startswith("mlwatch: ")


def test_the_version_is_that_of_the_package(capsys):
    """`--version` says what is installed."""
    import mlwatch

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])

    assert capsys.readouterr().out == f"mlwatch {mlwatch.__version__}\n"


def test_without_a_command_the_usage_is_told(capsys):
    """Called without anything, it says how it is called."""
    with pytest.raises(SystemExit, match="2"):
        main([])

    assert "mlwatch [-h] [--version] command" in capsys.readouterr().err


def test_the_spool_of_a_monitor_has_a_path_on_disk_alone(tmp_path):
    """`spool_path` is where a sidecar looks, and None where there is nothing to be seen."""
    on_disk = Monitor(store=SQLiteStore(tmp_path / "a.db"), model="churn")

    assert on_disk.spool_path == tmp_path / "a.db.spool" / "churn"
    assert Monitor(store=MemoryStore()).spool_path is None
