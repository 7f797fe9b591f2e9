"""The examples on real servers: whatever ends them, every record is accounted for."""

from __future__ import annotations

import importlib.util
import signal
import sys
import time

import pytest
from tests.integrations.servers import ROOT, Account, Load, Server

pytestmark = pytest.mark.slow

UVICORN = ["uvicorn", "--port", "{port}", "fastapi_service:app"]
GUNICORN = ["gunicorn", "--no-control-socket", "--bind", "127.0.0.1:{port}", "--workers", "2"]
HOOKS = ["--config", str(ROOT / "examples" / "gunicorn_conf.py"), "flask_service:app"]
# What --die-on-term does not do: let a worker that is busy finish, and run its exit handlers.
GRACEFUL = ["--hook-master-start", "unix_signal:15 gracefully_kill_them_all"]
UWSGI = ["uwsgi", "--http-socket", "127.0.0.1:{port}", "--master", "--processes", "2", *GRACEFUL]
FLASK = ["--need-app", "--module", "flask_service:app"]

SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn workers": [*UVICORN, "--workers", "2"],
    "gunicorn sync": [*GUNICORN, "--worker-class", "sync", *HOOKS],
    "gunicorn gthread": [*GUNICORN, *HOOKS],
    "gunicorn gevent": [*GUNICORN, "--worker-class", "gevent", *HOOKS],
    "gunicorn uvicorn": [*GUNICORN, "-k", "uvicorn_worker.UvicornWorker", "fastapi_service:app"],
    "gunicorn preload": [*GUNICORN, "--preload", *HOOKS],
    "gunicorn max-requests": [*GUNICORN, "--max-requests", "50", *HOOKS],
    "gunicorn without hooks": [*GUNICORN, "django_service:application"],
    "uwsgi": [*UWSGI, "--enable-threads", *FLASK],
    "uwsgi without threads": [*UWSGI, *FLASK],
}
BY_SIGNAL = {"uvicorn"}
"""Once it has shut down, uvicorn without workers ends by the signal that asked it to."""

CLOSING = {name for name in SERVERS if "without" not in name and not name.startswith("uwsgi")}
"""Where the monitor is closed, so that all is in the store and not only in the spool."""

ALIKE = {"gunicorn uvicorn", "gunicorn max-requests", "gunicorn without hooks"}
"""Which differ from others only in how they end when they may."""

FLUSH_SECONDS = 0.5
"""The default flush interval."""


def needs(name: str) -> None:
    """Skip where the server is not installed."""
    if name.startswith("uwsgi") and importlib.util.find_spec("pyuwsgi") is None:
        pytest.skip(f"there is no wheel of pyuwsgi for Python {sys.version_info[:2]} here")


@pytest.mark.parametrize("name", SERVERS)
def test_after_sigterm_every_answered_prediction_is_stored(name, tmp_path):
    """Ended by SIGTERM under load, a server exits cleanly and what it has answered is stored."""
    needs(name)
    server = Server(SERVERS[name], tmp_path)
    try:
        load = Load(server.port)
        load.wait_for(100)
        server.terminate(-signal.SIGTERM if name in BY_SIGNAL else 0)
    finally:
        server.kill()
    answered = load.finish()
    waiting = [*tmp_path.glob("*.spool/*/*.seg")]
    account = Account(tmp_path)

    assert account.ids >= answered.keys()
    assert name not in CLOSING or waiting == []
    assert account.requests["/predict 2xx"] >= len(answered)
    assert account.status.dropped == {}
    assert account.balanced


@pytest.mark.parametrize("name", sorted(SERVERS.keys() - ALIKE))
def test_sigkill_costs_no_more_than_the_last_moment(name, tmp_path):
    """Killed under load, a server has lost only what it answered since about the last flush."""
    needs(name)
    server = Server(SERVERS[name], tmp_path)
    try:
        load = Load(server.port)
        load.wait_for(100, seconds=4 * FLUSH_SECONDS)
        killed = time.monotonic()
    finally:
        server.kill()
    answered, account = load.finish(), Account(tmp_path)
    missing = {it: killed - answered[it] for it in answered.keys() - account.ids}

    assert account.balanced
    assert max(missing.values(), default=0.0) < 3 * FLUSH_SECONDS, sorted(missing.values())
    assert account.ids


def test_a_thread_that_hardly_ever_runs_costs_nothing(tmp_path):
    """With one request at a time, far apart, in a host without threads, records are written."""
    needs("uwsgi")
    server = Server([*UWSGI, "--processes", "1", *FLASK], tmp_path)
    try:
        answered = []
        for _ in range(4):
            load = Load(server.port, most=1, threads=1)
            answered += load.finish()
            time.sleep(1.5 * FLUSH_SECONDS)
    finally:
        server.kill()
    account = Account(tmp_path)

    assert len(answered) == 4
    assert account.ids >= set(answered[:-1])


HANGING = """
import time
from {service} import app, monitor


def hang(*given):
    time.sleep(3600)


monitor._store.write = hang
"""


@pytest.mark.parametrize("name", ["uvicorn", "gunicorn gthread"])
def test_a_store_that_hangs_holds_up_no_exit(name, tmp_path):
    """With a store that never returns a server ends in time, and all is in the spool."""
    *command, served = SERVERS[name]
    service = served.partition(":")[0]
    (tmp_path / "hanging.py").write_text(HANGING.format(service=service))
    server = Server([*command, "hanging:app"], tmp_path)
    try:
        load = Load(server.port)
        load.wait_for(100)
        server.terminate(-signal.SIGTERM if name in BY_SIGNAL else 0)
    finally:
        server.kill()
    answered, account = load.finish(), Account(tmp_path)

    assert account.ids >= answered.keys()
    assert account.status.dropped == {}
    assert account.balanced
