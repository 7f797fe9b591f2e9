"""A monitor around a WSGI application."""

from __future__ import annotations

import _thread
import json
import multiprocessing
import subprocess
import sys

import pytest
from flask import Flask
from tests.integrations.servers import environment
from tests.service import total

from mlwatch import Monitor
from mlwatch.integrations.gunicorn import hooks
from mlwatch.integrations.wsgi import MonitorMiddleware
from mlwatch.stores import MemoryStore, SQLiteStore


@pytest.fixture
def monitor():
    watching = Monitor(store=MemoryStore(), model="churn")
    yield watching
    watching.close()


def requests(monitor):
    """Return the requests that were recorded, by endpoint and class of status."""
    assert monitor.flush()
    return total(monitor._store, "requests")


class Broken(Exception):
    """What an application raises."""


def service(monitor, **options):
    """Return a Flask application with every kind of answer."""
    app = Flask("service")
    app.add_url_rule("/users/<int:user_id>", "user", lambda user_id: [user_id])
    app.add_url_rule("/broken", "broken", lambda: ({}, 503))
    app.wsgi_app = MonitorMiddleware(app.wsgi_app, monitor, **options)
    return app


def test_requests_of_flask_are_counted_by_rule(monitor):
    """Endpoints are the rules of routes, and what matches none is "other"."""
    client = service(monitor).test_client()
    for path in ("/users/1", "/users/2", "/broken", "/nowhere/17"):
        client.get(path).close()

    assert requests(monitor) == {
        "/users/<int:user_id> 2xx": 2,
        "/broken 5xx": 1,
        "other 4xx": 1,
    }


DJANGO = """
import json
import django_service
from mlwatch import Table
from werkzeug.test import Client

client = Client(django_service.application)
for path in ("/predict", "/outcome/17?left=true", "/nowhere/17"):
    client.post(path, json={"age": 31, "tenure": 4}).close()
django_service.monitor.run_cycle()
tallies = [pane.tallies for pane in django_service.monitor._store.read(Table.panes)]
print(json.dumps(sorted(set().union(*(tally.get("requests", {}) for tally in tallies)))))
django_service.monitor.close()
"""


def test_requests_of_django_are_counted_by_route(tmp_path):
    """Endpoints are the routes that Django resolves, and what matches none is "other"."""
    # In a process of its own: Django is configured once.
    command = [sys.executable, "-c", DJANGO]
    printed = subprocess.check_output(command, cwd=tmp_path, env=environment(), text=True)

    assert json.loads(printed) == [
        "/outcome/<str:request_id> 2xx",
        "/predict 2xx",
        "other 4xx",
    ]


def plain(status, chunks):
    """Return an application that answers with these chunks."""

    def app(environ, start):
        start(status, [])
        return chunks

    return app


class Chunks:
    """A body that may break, and notes that it was closed."""

    def __init__(self, *parts):
        self.parts = list(parts)
        self.closed = 0

    def __iter__(self):
        for part in self.parts:
            if part is Broken:
                raise Broken
            yield part

    def close(self):
        self.closed += 1


def test_the_body_is_passed_on_and_closed(monitor):
    """A body comes as it is, in its parts, and is closed once; then the request has ended."""
    body = Chunks(b"a", b"b")
    chunks = MonitorMiddleware(plain("200 OK", body), monitor)({}, lambda *_: None)
    assert [*chunks] == [b"a", b"b"]
    assert requests(monitor) == {}
    chunks.close()

    assert body.closed == 1
    assert requests(monitor) == {"other 2xx": 1}


def test_a_body_that_nobody_asks_for_is_closed(monitor):
    """An answer that is not read, as to a HEAD request, is closed and counted too."""
    body = Chunks(b"a")
    MonitorMiddleware(plain("404 Not Found", body), monitor)({}, lambda *_: None).close()

    assert body.closed == 1
    assert requests(monitor) == {"other 4xx": 1}


def test_what_the_body_raises_passes_through(monitor):
    """An error in the middle of a body reaches the server, and the request has failed."""
    chunks = MonitorMiddleware(plain("200 OK", Chunks(b"a", Broken)), monitor)({}, lambda *_: None)
    with pytest.raises(Broken):
        list(chunks)
    chunks.close()

    assert requests(monitor) == {"other 5xx": 1}


@pytest.mark.parametrize("status", ["OK", "", None])
def test_a_status_that_is_no_number_is_passed_on(monitor, status):
    """What the server thinks of an odd status is its own affair; the request has failed."""
    heard = []
    app = MonitorMiddleware(plain(status, Chunks(b"a")), monitor)
    chunks = app({}, lambda status, *_: heard.append(status))
    assert [*chunks] == [b"a"]
    chunks.close()

    assert heard == [status]
    assert requests(monitor) == {"other 5xx": 1}


def test_a_body_that_cannot_be_begun_is_closed(monitor):
    """The error comes where the server asks for the body, which it closes as any; it has failed."""

    class Unreadable(Chunks):
        def __iter__(self):
            raise Broken

    body = Unreadable()
    chunks = MonitorMiddleware(plain("200 OK", body), monitor)({}, lambda *_: None)
    with pytest.raises(Broken):
        list(chunks)
    chunks.close()

    assert body.closed == 1
    assert requests(monitor) == {"other 5xx": 1}


def test_what_the_application_raises_passes_through(monitor):
    """An exception reaches the server as it was raised, and the request has failed."""

    def app(environ, start):
        raise Broken

    with pytest.raises(Broken):
        MonitorMiddleware(app, monitor)({}, lambda *_: None)

    assert requests(monitor) == {"other 5xx": 1}


def test_a_late_start_response_counts(monitor):
    """A generator that says its status with the first byte, or corrects it, is understood."""

    def app(environ, start):
        start("200 OK", [])
        start("500 Oh", [], (Broken, Broken(), None))
        yield b"a"

    heard = []
    chunks = MonitorMiddleware(app, monitor)({}, lambda status, *_: heard.append(status))
    assert list(chunks) == [b"a"]
    chunks.close()

    assert heard == ["200 OK", "500 Oh"]
    assert requests(monitor) == {"other 5xx": 1}


@pytest.mark.parametrize("start", [True, False])
def test_the_first_request_starts_the_monitor(monitor, start):
    """The monitor runs from the first request on, unless that is not wanted."""
    client = service(monitor, start=start).test_client()
    assert not monitor.status().running
    client.get("/users/1")

    assert monitor.status().running is start


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_worker_starts_its_own(tmp_path):
    """A worker that is a fork of a process that has served runs a background of its own."""
    monitor = Monitor(store=SQLiteStore(tmp_path / "mlwatch.db"), model="churn")
    app = service(monitor)
    app.test_client().get("/users/1")
    monitor._background.stop()
    running = multiprocessing.get_context("fork").Queue()

    def work():
        app.test_client().get("/users/1")
        running.put(monitor.status().running)

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()

    assert running.get(timeout=30) is True
    worker.join(30)
    monitor.close()


@pytest.mark.parametrize("start", [True, False])
def test_hooks_of_gunicorn_start_and_close(monitor, start):
    """The one hook starts the monitor where wanted, and the other closes it."""
    post_worker_init, worker_exit = hooks(monitor, start=start)
    post_worker_init(object())
    assert monitor.status().running is start
    monitor.record_request("/", 200)
    worker_exit(object(), object())

    assert not monitor.status().running
    assert monitor._closed


def test_without_threads_a_worker_of_gunicorn_comes_up(monitor, monkeypatch, caplog):
    """Where no thread can be started the worker serves, records, and says what is missing."""

    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    post_worker_init, worker_exit = hooks(monitor)
    post_worker_init(object())
    assert "the monitor does not run in this process: RuntimeError" in caplog.text
    worker_exit(object(), object())

    assert monitor._closed


def test_a_monitor_that_fails_to_close_lets_the_worker_end(caplog):
    """The hook returns, and what went wrong is in the log."""

    class Unclosable(Monitor):
        def close(self, timeout=None):
            super().close(timeout)
            raise OSError("no such disk")

    post_worker_init, worker_exit = hooks(Unclosable(store=MemoryStore(), model="churn"))
    post_worker_init(object())
    worker_exit(object(), object())

    assert "the monitor was not closed: OSError: no such disk" in caplog.text


def test_a_worker_that_never_came_up_closes_nothing():
    """Without its first hook the second does nothing, and imports no service to close it."""
    before = set(sys.modules)
    _, worker_exit = hooks("this:s")

    assert worker_exit(object(), object()) is None
    assert "this" not in set(sys.modules) - before
