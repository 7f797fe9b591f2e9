"""WSGI: Flask, Django and whatever else speaks it, under gunicorn, uWSGI or waitress.

`app.wsgi_app = MonitorMiddleware(app.wsgi_app, monitor)` in Flask, and in Django's `wsgi.py`
`application = MonitorMiddleware(get_wsgi_application(), monitor)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter
from typing import Any

from mlwatch._guard import salvage
from mlwatch.endpoints import OTHER
from mlwatch.integrations._guest import FAILED, Guest
from mlwatch.monitor import Monitor

Environ = dict[str, Any]
StartResponse = Callable[..., Callable[[bytes], object]]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


def route(environ: Environ) -> str:
    """Return the template of the route that Flask or Django has for a request.

    Raises:
        Exception: There is none: what the framework raises for it.
    """
    rule = getattr(environ.get("werkzeug.request"), "url_rule", None)
    if rule is not None:
        return str(rule.rule)
    urls = sys.modules.get("django.urls")
    if urls is None:
        return OTHER
    # Django keeps the request, and what it resolved to, to itself.
    path = environ["PATH_INFO"].encode("latin-1").decode()
    return f"/{urls.resolve(path).route}"


def _code(status: str) -> int:
    return int(status[:3])


class MonitorMiddleware:
    """Measure each request until its response is closed; start the monitor with the first one.

    What the application raises passes through unchanged. WSGI knows no shutdown: what was
    recorded is in the spool when the process ends normally, and `mlwatch.integrations.gunicorn`
    closes the monitor in a worker that ends.

    Args:
        app: The application.
        monitor: The monitor.
        start: Ingest and run cycles in this process; False where a sidecar does.
        endpoint: Gives the endpoint of a request from its environ, while the answer begins.
    """

    def __init__(
        self,
        app: App,
        monitor: Monitor,
        *,
        start: bool = True,
        endpoint: Callable[[Environ], str] = route,
    ) -> None:
        self._app = app
        self._guest = Guest(monitor, start, endpoint)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        self._guest.start()
        response = _Response(self._guest, environ)
        try:
            chunks = self._app(environ, response.starting(start_response))
        except BaseException:
            response.end(failed=True)
            raise
        return response.of(chunks)


class _Response:
    """The body of a response, and what is told of it once it is closed."""

    def __init__(self, guest: Guest, environ: Environ) -> None:
        self._guest = guest
        self._environ = environ
        self._endpoint = OTHER
        self._begun = perf_counter()
        self._status = FAILED
        self._failed = False
        self._chunks: Iterable[bytes] = ()
        self._iterator: Iterator[bytes] | None = None

    def starting(self, start_response: StartResponse) -> StartResponse:
        """Return `start_response` that also notes the status and the endpoint."""

        def start(status: str, *rest: Any) -> Callable[[bytes], object]:
            self._status = salvage(_code, status, FAILED)  # what is wrong the server tells
            # Now: once the answer is given, Flask and Django forget what it was to.
            self._endpoint = self._guest.endpoint(self._environ)
            return start_response(status, *rest)

        return start

    def of(self, chunks: Iterable[bytes]) -> _Response:
        """Return the response with this body."""
        self._chunks = chunks
        return self

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:  # not before: who asks for the body also closes it
                self._iterator = iter(self._chunks)
            return next(self._iterator)
        except StopIteration:
            raise
        except BaseException:
            self._failed = True
            raise

    def close(self) -> None:
        """Close the body, as the server asks once for every response."""
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self.end(failed=self._failed)

    def end(self, *, failed: bool) -> None:
        """Tell how the request ended."""
        self._guest.monitor.record_request(
            self._endpoint,
            FAILED if failed else self._status,
            (perf_counter() - self._begun) * 1000,
        )
