"""ASGI: FastAPI, Starlette and whatever else speaks it, under uvicorn, hypercorn or daphne.

`app.add_middleware(MonitorMiddleware, monitor=monitor)`, or `MonitorMiddleware(app, monitor)`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from mlwatch.endpoints import OTHER
from mlwatch.integrations._guest import FAILED, Guest
from mlwatch.monitor import Monitor

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


def route(scope: MutableMapping[str, Any]) -> str:
    """Return the template of the route that FastAPI or Starlette found, or "other".

    Of an application that is mounted within another it begins with where that is, so that routes
    of one name in two of them are two; what that one has no route for, or does not say, is told by
    the place alone.
    """
    found = scope.get("route")
    path = getattr(found, "path", None)
    if path is None:
        return OTHER
    place = _mounted(scope, path)
    return place if place and hasattr(found, "routes") else f"{place}{path}"


def _mounted(scope: MutableMapping[str, Any], path: str) -> str:
    """Return where the application that answered is mounted; parameters by their names."""
    whole = scope.get("root_path", "")
    own = scope.get("app_root_path", whole)
    inner = set(re.findall(r"{(\w+)", path))
    params = scope.get("path_params", {}).items()
    names = {str(value): f"{{{name}}}" for name, value in params if name not in inner}
    return "/".join(names.get(part, part) for part in whole[len(own) :].split("/"))


class MonitorMiddleware:
    """Measure each request, start the monitor with the application and close it at shutdown.

    The latency is that until the last byte was sent, without what the application does after. What
    the application raises passes through unchanged. A server that sends no lifespan starts the
    monitor with the first request, and what is recorded is in the spool when the process ends
    normally.

    Args:
        app: The application.
        monitor: The monitor, which belongs to the application from here on.
        start: Ingest and run cycles in this process; False where a sidecar does.
        timeout: Seconds for which shutdown waits until all is stored.
        endpoint: Gives the endpoint of a request from its scope, once it was answered.
    """

    def __init__(
        self,
        app: App,
        monitor: Monitor,
        *,
        start: bool = True,
        timeout: float = 2.0,
        endpoint: Callable[[MutableMapping[str, Any]], str] = route,
    ) -> None:
        self._app = app
        self._timeout = timeout
        self._guest = Guest(monitor, start, endpoint)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve a request, a socket or the application's life."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        self._guest.start()
        if scope["type"] == "http":
            await self._measure(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _live(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def followed(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._guest.start()
            elif message["type"] in {"lifespan.shutdown.complete", "lifespan.shutdown.failed"}:
                await self._guest.aclose(self._timeout)
            await send(message)

        await self._app(scope, receive, followed)

    async def _measure(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        begun, ended, status, returned = perf_counter(), 0.0, FAILED, False

        async def watched(message: Message) -> None:
            nonlocal ended, status
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body"):
                ended = perf_counter()

        try:
            await self._app(scope, receive, watched)
            returned = True
        finally:
            whole = returned or ended  # else the client has half an answer, or none
            seconds = (ended or perf_counter()) - begun
            self._guest.monitor.record_request(
                self._guest.endpoint(scope), status if whole else FAILED, seconds * 1000
            )
