"""One GET, of which the status is enough."""

from __future__ import annotations

import base64
import http.client
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from mlwatch.collectors.services.line import AsFile, Deadline, Line, SecureLine

PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 5
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"
"""What is not quoted in a path and a query; all else no redirect may put there."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service said: a status, where it has one, and what is wrong; "" where nothing is."""

    status: int | None = None
    why: str = ""


def get(url: SplitResult, deadline: Deadline, cafile: str | None) -> Reply:
    """Ask for a URL and return its status; nothing is read beyond the head of the answer.

    A status from 200 to 299 is well. The certificate is verified. A redirect is followed on the
    same host, up to five times and not from https to http. Proxies of the environment are not
    used.

    Raises:
        OSError: There is no answer in time, no connection, or no trust.
        http.client.HTTPException: What answers does not speak HTTP.
    """
    status = 0
    for _ in range(_MOST_REDIRECTS + 1):
        status, location = _ask(url, deadline, cafile)
        if not 300 <= status < 400 or not location:
            return Reply(status, "" if 200 <= status < 300 else f"status {status}")
        target = urlsplit(urljoin(url.geturl(), location))
        if target.hostname != url.hostname or target.scheme not in PORTS:
            return Reply(status, f"status {status}: redirected to another host, not followed")
        if (url.scheme, target.scheme) == ("https", "http"):
            return Reply(status, f"status {status}: redirected from https to http, not followed")
        url = _with_user(target, url)
    return Reply(status, f"status {status}: redirected more than {_MOST_REDIRECTS} times")


def _ask(url: SplitResult, deadline: Deadline, cafile: str | None) -> tuple[int, str | None]:
    host, port = url.hostname or "", url.port or PORTS[url.scheme]
    with closing(Line(host, port, deadline)) as plain:
        line = SecureLine(plain, host, cafile) if url.scheme == "https" else plain
        talk = http.client.HTTPConnection(host, port)
        talk.default_port = PORTS[url.scheme]
        talk.sock = line
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        quoted = quote(target, safe=_AS_IT_IS, encoding="latin-1")  # as `http.client` reads it
        talk.request("GET", quoted, headers=_headers(url))
        response = http.client.HTTPResponse(AsFile(line), method="GET")  # type: ignore[arg-type]
        response.begin()
        return response.status, response.getheader("Location")


def _headers(url: SplitResult) -> dict[str, str]:
    headers = {"Accept": "*/*", "Connection": "close", "User-Agent": "mlwatch"}
    if url.username is not None:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(user).decode()}"
    return headers


def _with_user(target: SplitResult, url: SplitResult) -> SplitResult:
    """Return where a redirect leads, with the user and password only for the same server."""
    place = target.netloc.rpartition("@")[2]
    same = (target.scheme, target.port) == (url.scheme, url.port)
    user = url.netloc.rpartition("@")[0] if same else ""
    return target._replace(netloc=f"{user}@{place}" if user else place)
