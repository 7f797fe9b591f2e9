"""Whether the services that a model needs answer, and how fast."""

from __future__ import annotations

import inspect
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

import numpy as np

from mlwatch.collectors.services.line import Deadline, Line
from mlwatch.collectors.services.request import PORTS, Reply, get
from mlwatch.errands import Answer, Errands
from mlwatch.errors import ConfigurationError
from mlwatch.protocols import Scope
from mlwatch.records import Fault, Metric
from mlwatch.window import Window

STORE = "store"
"""The name under which the monitor's own store is measured."""

Check = Callable[[], object]
"""Raises, or returns False, where a service is down."""

_SECRETS = (
    (re.compile(r"//[^/\s]*@"), "//***@"),
    (
        re.compile(
            r"(?i)\b([\w-]*(?:password|passwd|pwd|secret|token|key))([\"']?\s*[=:]\s*)"
            r"(?:\"[^\"]*\"|'[^']*'|[^\s&;,]+)"
        ),
        r"\1\2***",
    ),
    (
        re.compile(r"(?i)\b(authorization)([\"']?\s*[=:]\s*)[\"']?(?:\w+\s+)?[^\s\"',;]+"),
        r"\1\2***",
    ),
    (re.compile(r"(?i)\b(bearer)(\s+)[^\s\"',;]+"), r"\1\2***"),
)


@dataclass(frozen=True)
class ServiceCollector:
    """Measure whether services answer: `service_up`, `service_status_code`, `service_latency_ms`.

    A service is an `http://` or `https://` URL, which is up when a GET is answered by a status
    from 200 to 299 (the latency is the time until then; the body is not read); `tcp://host:port`,
    up when it accepts a connection; or a function, which is down when it raises or returns False.
    All are asked side by side, each for `timeout` seconds at most, even where one drips or hangs.
    A function that hangs is down and is not called again before it has ended.

    Certificates are verified. A redirect is followed on the same host only; one to another host
    is down, with its status: a login page somewhere else says nothing of the service. Proxies of
    the environment are not used. What a URL holds besides its host is never shown.

    The monitor's own store is always among them, as "store": one read of it. The collector is
    asked once a cycle, and its figures are about no model version. It remembers in itself which
    of its calls still hang.

    Args:
        services: URLs and functions, by the name that they are shown with.
        timeout: Seconds for which each is waited for.
        cafile: A file of the authorities whose certificates are trusted, instead of the system's.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    services: Mapping[str, str | Check] = field(default_factory=dict, repr=False)
    timeout: float = 5.0
    cafile: str | os.PathLike[str] | None = None
    name: str = "services"
    scope: ClassVar[Scope] = "machine"
    _checks: dict[str, Check] = field(default_factory=dict, init=False, repr=False, compare=False)
    _errands: Errands = field(default_factory=Errands, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.services, Mapping):
            raise ConfigurationError(
                "ServiceCollector(services): give a mapping of name to URL or function, such as "
                "{'api': 'http://localhost:8000/health'}"
            )
        if not _is_number(self.timeout) or not 0 < self.timeout < math.inf:
            raise ConfigurationError(
                f"ServiceCollector(timeout={self.timeout!r}): must be seconds above 0"
            )
        if self.cafile is not None and not _is_file(self.cafile):
            raise ConfigurationError(f"ServiceCollector(cafile={self.cafile!r}): is no file")
        for name, service in self.services.items():
            self._checks[name] = self._made(name, service)

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of each service at this moment, the store last."""
        calls = dict(self._checks)
        if window.ask_store is not None:
            calls[STORE] = window.ask_store
        for name, answer in self._errands.run(calls, self.timeout).items():
            yield from self._figures(name, answer)
        if window.ask_store is None:
            labels, why = {"service": STORE}, "undefined: this window was read from no store"
            yield Metric("service_up", None, labels=labels, why=why)

    def _made(self, name: object, service: object) -> Check:
        """Return what is called to check a service."""
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"ServiceCollector: the name {name!r} must be a text")
        if name == STORE:
            raise ConfigurationError(
                f"ServiceCollector: {STORE!r} is the monitor's own; give the service another name"
            )
        if isinstance(service, str):
            url = _parsed(name, service)
            return partial(_knock if url.scheme == "tcp" else self._get, url, self.timeout)
        if isinstance(service, type) or not callable(service):
            raise ConfigurationError(
                f"ServiceCollector({name!r}): give a URL, or a function that raises where it is "
                f"down, not {service if isinstance(service, type) else type(service)!r}"
            )
        if inspect.iscoroutinefunction(service):
            raise ConfigurationError(
                f"ServiceCollector({name!r}): nobody awaits a coroutine; give "
                "lambda: asyncio.run(check())"
            )
        return service

    def _get(self, url: SplitResult, timeout: float) -> Reply:
        cafile = None if self.cafile is None else os.fspath(self.cafile)
        return get(url, Deadline(time.monotonic() + timeout), cafile)

    def _figures(self, name: str, answer: Answer) -> Iterator[Metric]:
        labels = {"service": name}
        if not answer.begun:
            why = "undefined: this process can start no more threads"
            yield Metric("service_up", None, labels=labels, why=why)
            return
        reply = self._read(answer)
        yield Metric("service_up", float(not reply.why), n=1, labels=labels, why=reply.why)
        if reply.status is not None:
            yield Metric("service_status_code", float(reply.status), n=1, labels=labels)
        elif reply.why and isinstance(self.services.get(name), str):
            yield Metric("service_status_code", None, labels=labels, why=f"undefined: {reply.why}")
        if reply.why and reply.status is None:
            yield Metric("service_latency_ms", None, labels=labels, why=f"undefined: {reply.why}")
        else:
            yield Metric("service_latency_ms", answer.seconds * 1e3, n=1, labels=labels)

    def _read(self, answer: Answer) -> Reply:
        if answer.known:
            return Reply(why=f"a check that was begun {answer.seconds:,.0f} s ago has not ended")
        if not answer.ended:
            return Reply(why=f"no answer within {self.timeout:g} s")
        if answer.fault is not None:
            return Reply(why=self._told(answer.fault))
        if isinstance(answer.value, Reply):
            return answer.value
        if inspect.iscoroutine(answer.value):
            answer.value.close()
            return Reply(why="the check returned a coroutine, which nobody awaits")
        is_false = isinstance(answer.value, bool | np.bool_) and not answer.value
        return Reply(why="the check returned False" if is_false else "")

    def _told(self, fault: Fault) -> str:
        """Return what was raised, without what looks like a password."""
        if isinstance(fault.cause, TimeoutError) and str(fault.cause) in {"", "timed out"}:
            return f"no answer within {self.timeout:g} s"
        text = fault.error
        for pattern, shown in _SECRETS:
            text = pattern.sub(shown, text)
        return text


def _knock(url: SplitResult, timeout: float) -> None:
    Line(url.hostname or "", url.port or 0, Deadline(time.monotonic() + timeout)).close()


def _parsed(name: str, service: str) -> SplitResult:
    """Return a URL in its parts; what is wrong with it is said without showing it."""
    told = f"ServiceCollector({name!r})"
    try:
        url = urlsplit(service)
        port = url.port
    except ValueError as error:
        raise ConfigurationError(f"{told}: is no URL with a host and a port") from error
    if url.scheme not in {*PORTS, "tcp"}:
        raise ConfigurationError(f"{told}: a URL begins with http://, https:// or tcp://")
    if not url.hostname or (url.scheme == "tcp" and not port):
        raise ConfigurationError(f"{told}: the URL has no host, or a tcp:// no port")
    if not service.isascii() or any(char.isspace() or not char.isprintable() for char in service):
        raise ConfigurationError(f"{told}: the URL holds a blank, or a letter to be encoded")
    return url


def _is_file(path: object) -> bool:
    return isinstance(path, str | os.PathLike) and Path(path).is_file()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
