"""Real servers on loopback: started, loaded with requests, ended, and held to account."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from tests.service import total

from mlwatch import Monitor, Table
from mlwatch.stores import SQLiteStore

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
HOST = "127.0.0.1"
STORE = "mlwatch.db"
EXIT_SECONDS = 3 * 2.0
"""Threefold the deadline that all monitors of a process share."""

_PAUSE = 0.02
_STARTUP_SECONDS = 30


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def environment() -> dict[str, str]:
    """Return an environment in which the examples and this checkout can be imported."""
    known = [str(ROOT / "src"), str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, known))}


class Server:
    """A server that serves one of the examples from a folder of its own.

    Args:
        command: The program and its arguments; "{port}" becomes a free port.
        folder: Where it runs, and where the monitor's store and spool are.
    """

    def __init__(self, command: list[str], folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        program, *rest = [part.format(port=self.port) for part in command]
        with (folder / "log").open("wb") as log:
            # A session of its own, so that one signal reaches all of its processes.
            self.process = subprocess.Popen(
                [str(BIN / program), *rest],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait()

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def _wait(self) -> None:
        deadline = time.monotonic() + _STARTUP_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            try:
                socket.create_connection((HOST, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self.kill()
        raise AssertionError(f"nobody listens: {self.log}")

    def terminate(self, code: int) -> None:
        """End it by SIGTERM, which has to be quick, silent and with this exit code."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(EXIT_SECONDS * 5) == code, self.log
        finally:
            self.kill()
        assert time.monotonic() - begun < EXIT_SECONDS, self.log
        assert "Traceback" not in self.log, self.log

    def kill(self) -> None:
        """End all of its processes by SIGKILL."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Load:
    """A few clients that ask for predictions until nobody answers, or `most` were answered."""

    def __init__(self, port: int, most: int = 3000, threads: int = 4) -> None:
        self.answered: list[tuple[float, str]] = []
        self._url = f"http://{HOST}:{port}/predict"
        self._most = most
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int, seconds: float = 0.0) -> None:
        """Wait for so many answers, and so many seconds."""
        begun = time.monotonic()
        while len(self.answered) < count or time.monotonic() - begun < seconds:
            assert any(thread.is_alive() for thread in self._threads), "nobody answers"
            assert time.monotonic() - begun < _STARTUP_SECONDS, f"{len(self.answered)} answers"
            time.sleep(0.005)

    def finish(self) -> dict[str, float]:
        """Return when each request id was answered with a 200."""
        for thread in self._threads:
            thread.join()
        return {request_id: when for when, request_id in self.answered}

    def _ask(self) -> None:
        body = json.dumps({"age": 31, "tenure": 4}).encode()
        headers = {"content-type": "application/json"}
        while len(self.answered) < self._most:
            request = urllib.request.Request(self._url, body, headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as response:
                    request_id = json.load(response)["request_id"]
            except (OSError, HTTPException):
                return
            self.answered.append((time.monotonic(), request_id))
            time.sleep(_PAUSE)


class Account:
    """What is in the store of a service that has ended, once its spool is ingested."""

    def __init__(self, folder: Path) -> None:
        store = SQLiteStore(folder / STORE)
        with Monitor(store=store, model="churn", model_version="2.1") as monitor:
            assert monitor.flush(ingest=True)
            self.status = monitor.status()
            self.ids = {row.request_id for row in store.read(Table.predictions)}
            self.requests = total(store, "requests")

    @property
    def balanced(self) -> bool:
        """Whether all that was handed over is stored or counted as dropped."""
        return self.status.recorded == self.status.stored + sum(self.status.dropped.values())
