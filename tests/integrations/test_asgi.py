"""A monitor in an ASGI application."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from tests.service import total

from mlwatch import ConfigurationError, Monitor
from mlwatch.integrations.asgi import MonitorMiddleware
from mlwatch.stores import MemoryStore


@pytest.fixture
def monitor():
    watching = Monitor(store=MemoryStore(), model="churn")
    yield watching
    watching.close()


def requests(monitor):
    """Return the requests that were recorded, by endpoint and class of status."""
    assert monitor.flush()
    return total(monitor._store, "requests")


def serve(app, scope, *messages):
    """Serve one scope, with what the server says, or does before; return what was sent."""
    sent, waiting = [], list(messages)

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        message = waiting.pop(0)
        return message() if callable(message) else message

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


def get(app, path):
    """Return the status of the answer to a GET request."""
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}
    begun, *_ = serve(app, scope, {"type": "http.request", "body": b"", "more_body": False})
    return begun["status"]


class Broken(Exception):
    """What an application raises."""


def service(monitor, **options):
    """Return an application with every kind of answer."""
    app = FastAPI()
    app.add_middleware(MonitorMiddleware, monitor=monitor, **options)

    @app.get("/users/{user_id}")
    def user(user_id: int):
        return user_id

    @app.get("/stream")
    def stream():
        return StreamingResponse(iter([b"a", b"b"]))

    @app.get("/broken")
    def broken():
        raise Broken

    return app


def test_requests_are_counted_by_route(monitor):
    """Endpoints are the templates of routes, and what matches none is "other"."""
    app = service(monitor)
    for path in ("/users/1", "/users/2", "/users/x", "/stream", "/nowhere/17"):
        get(app, path)

    assert requests(monitor) == {
        "/users/{user_id} 2xx": 2,
        "/users/{user_id} 4xx": 1,
        "/stream 2xx": 1,
        "other 4xx": 1,
    }


def test_routes_of_mounted_applications_are_told_apart(monitor):
    """The endpoint begins with where the application is mounted, its parameters by name."""
    app, first, second = service(monitor), FastAPI(), FastAPI()
    for place, inner in (("/v1", first), ("/v2/{tenant}", second)):

        @inner.get("/predict/{i}")
        def predict(i: int) -> int:
            return i

        app.mount(place, inner)
    for path in ("/v1/predict/1", "/v1/predict/2", "/v2/acme/predict/3", "/v1/nowhere"):
        get(app, path)

    assert requests(monitor) == {
        "/v1/predict/{i} 2xx": 2,
        "/v2/{tenant}/predict/{i} 2xx": 1,
        "other 4xx": 1,
    }


def test_what_the_application_raises_passes_through(monitor):
    """An exception reaches the server as it was raised, and the request has failed."""
    with pytest.raises(Broken):
        get(service(monitor), "/broken")

    assert requests(monitor) == {"/broken 5xx": 1}


@pytest.mark.parametrize(("more_body", "ended"), [(True, "5xx"), (False, "2xx")])
def test_half_an_answer_is_none(monitor, more_body, ended):
    """An error before the last byte fails the request; one after it does not."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": more_body})
        raise Broken

    with pytest.raises(Broken):
        serve(MonitorMiddleware(app, monitor), {"type": "http"})

    assert requests(monitor) == {f"other {ended}": 1}


def test_the_monitor_lives_as_long_as_the_application(monitor):
    """It runs from startup on and is closed once shutdown is complete."""
    ran = []

    def shutdown():
        ran.append(monitor.status().running)
        monitor.record_request("/users/{user_id}", 200)
        return {"type": "lifespan.shutdown"}

    *_, last = serve(service(monitor), {"type": "lifespan"}, {"type": "lifespan.startup"}, shutdown)

    assert last == {"type": "lifespan.shutdown.complete"}
    assert ran == [True]
    assert not monitor.status().running
    with pytest.raises(ConfigurationError, match="after close"):
        monitor.start()


@pytest.mark.parametrize("start", [True, False])
def test_without_lifespan_the_first_request_starts_the_monitor(monitor, start):
    """Where the server sends no lifespan it runs from the first request on, unless not wanted."""
    app = service(monitor, start=start)
    assert not monitor.status().running
    get(app, "/users/1")

    assert monitor.status().running is start


def test_an_application_that_does_not_come_up_starts_nothing(monitor):
    """A startup that failed leaves the monitor as it was."""

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed"})

    startup = {"type": "lifespan.startup"}
    sent = serve(MonitorMiddleware(app, monitor), {"type": "lifespan"}, startup)

    assert sent == [{"type": "lifespan.startup.failed"}]
    assert not monitor.status().running
    monitor.start()


def test_shutdown_does_not_block_the_loop():
    """While the monitor closes, other tasks of the loop go on."""
    turned = threading.Event()
    waited = []

    class Slow(MemoryStore):
        def close(self):
            waited.append(turned.wait(10))
            super().close()

    async def app(scope, receive, send):
        await send({"type": "lifespan.startup.complete"})
        asyncio.get_running_loop().call_later(0.05, turned.set)
        await send({"type": "lifespan.shutdown.complete"})

    serve(MonitorMiddleware(app, Monitor(store=Slow(), model="churn")), {"type": "lifespan"})

    assert waited == [True]


def test_a_closed_monitor_does_not_keep_the_application_down(monitor, caplog):
    """An application that is started again serves; that nothing is watched is in the log."""
    monitor.close()
    assert get(service(monitor), "/users/1") == 200

    assert "the monitor does not run in this process" in caplog.text


class Unclosable(Monitor):
    """A monitor that fails when it is closed."""

    def close(self, timeout=None):
        super().close(timeout)
        raise OSError("no such disk")


def test_a_monitor_that_fails_to_close_does_not_fail_the_shutdown(caplog):
    """The server hears that shutdown is complete; what went wrong is in the log."""
    monitor = Unclosable(store=MemoryStore(), model="churn")
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    *_, last = serve(service(monitor), {"type": "lifespan"}, *messages)

    assert last == {"type": "lifespan.shutdown.complete"}
    assert "the monitor was not closed: OSError: no such disk" in caplog.text


def test_without_an_event_loop_of_asyncio_the_monitor_is_closed_too(monitor):
    """Under a loop of another kind shutdown goes its way, and the monitor is closed."""
    sent = []

    async def send(message):
        sent.append(message)

    async def app(scope, receive, send):
        await send({"type": "lifespan.shutdown.complete"})

    with pytest.raises(StopIteration):  # it has run to its end, in no loop at all
        MonitorMiddleware(app, monitor)({"type": "lifespan"}, None, send).send(None)

    assert sent == [{"type": "lifespan.shutdown.complete"}]
    with pytest.raises(ConfigurationError, match="after close"):
        monitor.start()


def test_what_is_no_request_is_let_through(monitor):
    """A socket is served as without a monitor, and is no request."""
    seen = []

    async def app(scope, receive, send):
        seen.append((scope, receive, send))

    scope = {"type": "websocket"}
    serve(MonitorMiddleware(app, monitor), scope)

    assert seen[0][0] is scope
    assert requests(monitor) == {}


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [(lambda scope: scope["path"].split("/")[1], "users"), (lambda scope: scope["no"], "other")],
)
def test_the_endpoint_may_be_named_otherwise(monitor, endpoint, name):
    """A function names the endpoint; what it raises costs the name alone."""
    get(service(monitor, endpoint=endpoint), "/users/1")

    assert requests(monitor) == {f"{name} 2xx": 1}
