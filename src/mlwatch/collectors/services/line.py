"""A connection that is over by a deadline, whatever the other side does."""

from __future__ import annotations

import encodings.idna  # noqa: F401  no name is looked up without it, and see `Line`
import io
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from mlwatch import _threads

T = TypeVar("T")

_PIECE = 16384


@dataclass(frozen=True, slots=True)
class Deadline:
    """The moment, by the monotonic clock, at which all has to be over."""

    time: float

    @property
    def left(self) -> float:
        """The seconds that are left.

        Raises:
            TimeoutError: None are.
        """
        seconds = self.time - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds


class Line:
    """A connection to the first address of a host that accepts.

    It is a socket of the operating system, also where gevent has put its own in its place: a
    check runs in a real thread, which has no loop. Nor may anything be imported there: the locks
    of imports are gevent's then, and two threads that import the same may wait for ever. The
    timeout of a socket holds for each piece that comes, so that a service which drips would never
    time out; here all pieces share one.

    Args:
        host: A name or an address.
        port: The port.
        deadline: When it has to be over.

    Raises:
        OSError: None accepts in time.
    """

    def __init__(self, host: str, port: int, deadline: Deadline) -> None:
        self.deadline = deadline
        problem: OSError = OSError("no address")
        find = _threads.original(socket, "getaddrinfo")
        for family, kind, protocol, _, address in find(host, port, type=socket.SOCK_STREAM):
            self._socket = _threads.original(socket, "socket")(family, kind, protocol)
            try:
                self._socket.settimeout(deadline.left)
                self._socket.connect(address)
                return
            except OSError as error:
                self._socket.close()
                problem = error
        raise problem

    def sendall(self, data: bytes) -> None:
        """Send data."""
        self._socket.settimeout(self.deadline.left)
        self._socket.sendall(data)

    def recv(self, most: int) -> bytes:
        """Return what comes next, so many bytes at most; none when the other side has ended."""
        self._socket.settimeout(self.deadline.left)
        data: bytes = self._socket.recv(most)
        return data

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class SecureLine:
    """TLS over a line, to a host whose certificate is verified.

    Not `SSLContext.wrap_socket`, which gevent replaces and whose original then fails.

    Args:
        line: The line, which is closed by who opened it.
        host: The name that the certificate has to be for.
        cafile: A file of the authorities that are trusted instead of the system's.

    Raises:
        OSError: The certificate is not trusted, or there is no answer in time.
    """

    def __init__(self, line: Line, host: str, cafile: str | None) -> None:
        self._line = line
        self._came, self._goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        context: ssl.SSLContext = _threads.original(ssl, "SSLContext")(ssl.PROTOCOL_TLS_CLIENT)
        if cafile is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile)
        self._tls = context.wrap_bio(self._came, self._goes, server_hostname=host)
        self._until_done(self._tls.do_handshake)

    def sendall(self, data: bytes) -> None:
        """Send data."""
        self._until_done(lambda: self._tls.write(data))

    def recv(self, most: int) -> bytes:
        """Return what comes next, so many bytes at most; none when the other side has ended."""
        try:
            return self._until_done(lambda: self._tls.read(most))
        except ssl.SSLZeroReturnError:
            return b""

    def _until_done(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self._line.recv(_PIECE)
                if data:
                    self._came.write(data)
                else:
                    self._came.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._goes.pending:
            self._line.sendall(self._goes.read())


class AsFile(io.RawIOBase):
    """A line to be read like a file, and like the socket that `http.client` takes it for."""

    def __init__(self, line: Line | SecureLine) -> None:
        self._line = line

    def makefile(self, *_: Any) -> io.BufferedReader:
        """Return this with a buffer."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what comes next."""
        data = self._line.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
