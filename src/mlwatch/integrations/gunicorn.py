"""gunicorn: two hooks of its configuration, by which a worker starts and closes the monitor.

In `gunicorn.conf.py`:

    from mlwatch.integrations.gunicorn import hooks

    post_worker_init, worker_exit = hooks("service:monitor")

`post_worker_init` runs when the worker has loaded the application, so after gevent has patched
the worker, which `post_fork` does not. `worker_exit` runs however the worker ends: SIGTERM, SIGINT
and SIGQUIT, a reload, `max_requests`, a timeout's SIGABRT; not after SIGKILL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlwatch.import_string import find_monitor
from mlwatch.integrations._guest import Guest
from mlwatch.monitor import Monitor


def hooks(
    monitor: Monitor | str, *, start: bool = True, timeout: float = 2.0
) -> tuple[Callable[[Any], None], Callable[[Any, Any], None]]:
    """Return `post_worker_init` and `worker_exit`.

    A monitor that cannot start or close is a warning in the log, and the worker serves and ends as
    without it. Only a text that names no monitor ends the worker, before it serves.

    Args:
        monitor: Where the service has its monitor, as in "service.monitoring:monitor"; or the
            monitor itself, where it is made before the workers are.
        start: Ingest and run cycles in every worker; one of them does at a time. False where a
            sidecar does.
        timeout: Seconds for which a worker that ends waits until all is stored.
    """
    watching: list[Guest] = []

    def post_worker_init(worker: Any) -> None:  # noqa: ARG001  gunicorn asks for the arguments
        found = find_monitor(monitor) if isinstance(monitor, str) else monitor
        watching.append(Guest(found, start))
        watching[-1].start()

    def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001
        for guest in watching:
            guest.close(timeout)

    return post_worker_init, worker_exit
