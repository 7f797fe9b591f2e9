"""Services on this machine that answer, or do not, in the ways that services have."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager


class Server:
    """A server of one answer, told by `reply(request, socket)`, for every connection."""

    def __init__(self, reply, certificate=None, address="127.0.0.1"):
        self.requests = []
        self._reply = reply
        self._context = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate)
        self.ended = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family)
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def place(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self.ended.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self):
        while not self.ended.is_set():
            try:
                made, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=[made], daemon=True).start()

    def _talk(self, made):
        try:
            if self._context is not None:
                made = self._context.wrap_socket(made, server_side=True)
            with made:
                request = made.recv(65536).decode("latin-1")
                self.requests.append(request)
                self._reply(self, request, made)
        except OSError:
            return


@contextmanager
def serving(reply, **options):
    """Serve until the block ends."""
    server = Server(reply, **options)
    try:
        yield server
    finally:
        server.close()


def status(code, *headers, body=b""):
    """Answer with a status and headers."""
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {code} Told", *headers, ""))
    return lambda server, request, made: made.sendall(head.encode() + body)


def hang(server, request, made):
    """Accept, and never answer."""
    server.ended.wait(30)


def drip(server, request, made):
    """Send a header a letter at a time, for ever."""
    made.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not server.ended.wait(0.02):
        made.sendall(b"a")


def flood(server, request, made):
    """Send a body without an end."""
    made.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not server.ended.is_set():
        made.sendall(b"a" * 65536)


def garbage(server, request, made):
    """Speak something else."""
    made.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
