"""Whether services answer, whatever they do instead."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from tests.collectors.servers import drip, flood, garbage, hang, serving, status
from tests.traffic import window

from mlwatch import Monitor, Table
from mlwatch.alerting import Threshold
from mlwatch.collectors import ServiceCollector
from mlwatch.errors import ConfigurationError, ConflictError, StoreError
from mlwatch.stores import JSONLStore, MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock, RecordingNotifier

EMPTY = window([])


def figures(services, *, view=EMPTY, **options):
    """Return the figures of each service, by service and metric."""
    collector = services
    if not isinstance(services, ServiceCollector):
        collector = ServiceCollector(services, **options)
    found = {}
    for metric in collector.collect(view):
        found.setdefault(metric.labels["service"], {})[metric.name] = metric
    return found


def one(url, **options):
    """Return of one service whether it is up, its status, and why it is down."""
    found = figures({"it": url}, **options)["it"]
    code = found.get("service_status_code")
    return found["service_up"].value, code and code.value, found["service_up"].why


@pytest.fixture
def closed_port():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]


# HTTP


@pytest.mark.parametrize("code", [200, 204, 299])
def test_a_good_status_is_up(code):
    """A status from 200 to 299 is up, with its latency."""
    with serving(status(code)) as server:
        found = figures({"api": f"http://{server.place}/health"})["api"]
    assert (found["service_up"].value, found["service_up"].why) == (1.0, "")
    assert found["service_status_code"].value == code
    assert 0 < found["service_latency_ms"].value < 5000
    assert {metric.n for metric in found.values()} == {1}


@pytest.mark.parametrize("code", [304, 401, 404, 429, 500, 503])
def test_any_other_status_is_down(code):
    """The status is told, and so is the latency: it did answer."""
    with serving(status(code)) as server:
        found = figures({"api": f"http://{server.place}/health"})["api"]
    assert (found["service_up"].value, found["service_up"].why) == (0.0, f"status {code}")
    assert found["service_status_code"].value == code
    assert found["service_latency_ms"].value > 0


def test_what_is_asked():
    """One GET of the path and query, with the host's name, and no word of the fragment."""
    with serving(status(200)) as server:
        one(f"http://{server.place}/a%20b?token=t1#part")
        one(f"http://{server.place}")
        one(f"http://{server.place}?q=1")
    first, second, third = (request.split("\r\n") for request in server.requests)
    assert first[0] == "GET /a%20b?token=t1 HTTP/1.1"
    assert f"Host: {server.place}" in first
    assert "Connection: close" in first
    assert second[0] == "GET / HTTP/1.1"
    assert third[0] == "GET /?q=1 HTTP/1.1"


def test_an_address_of_version_6():
    """In brackets, with and without a port."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serving(status(200), address="::1"))
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert one(f"http://[::1]:{server.port}/") == (1.0, 200, "")
        assert f"Host: [::1]:{server.port}\r\n" in server.requests[0]
    assert "BadStatusLine" not in one("http://[::1]")[2]


@pytest.mark.parametrize("slow", [hang, drip])
def test_a_service_that_never_answers_is_down_in_time(slow):
    """One deadline for all of it, also where something comes all the time; no thread is left."""
    with serving(slow) as server:
        found = figures({"api": f"http://{server.place}/"}, timeout=0.3)["api"]
        assert found["service_up"].why == "no answer within 0.3 s"
        assert found["service_status_code"].value is None
        assert found["service_latency_ms"].value is None
        # The time limit of a socket holds for each letter: it would never strike, and the check
        # would go on for ever. It is begun anew, so the one before has ended.
        collector = ServiceCollector({"api": f"http://{server.place}/"}, timeout=0.1)
        end = time.monotonic() + 30
        while len(server.requests) < 4 and time.monotonic() < end:
            list(collector.collect(EMPTY))
        assert len(server.requests) == 4


def test_a_body_without_an_end_is_not_read():
    """The head of the answer is enough."""
    with serving(flood) as server:
        assert one(f"http://{server.place}/") == (1.0, 200, "")


def test_what_speaks_no_http_is_down():
    """It says what came instead."""
    with serving(garbage) as server:
        up, code, why = one(f"http://{server.place}/")
    assert (up, code) == (0.0, None)
    assert why.startswith("BadStatusLine: SSH-2.0-OpenSSH")


def test_what_ends_at_once_is_down():
    """A server that closes the connection without a word."""
    with serving(lambda server, request, made: None) as server:
        up, _, why = one(f"http://{server.place}/")
    assert (up, why.partition(":")[0]) == (0.0, "RemoteDisconnected")


def test_a_closed_port_is_down(closed_port):
    """Refused, which is said; there is no status and no latency."""
    for scheme in ("http", "https", "tcp"):
        up, code, why = one(f"{scheme}://127.0.0.1:{closed_port}")
        assert (up, code) == (0.0, None)
        assert "ConnectionRefusedError" in why


def test_a_name_that_is_not_known_is_down():
    """The name service's own words."""
    up, _, why = one("http://no-such-host.invalid/health")
    assert up == 0.0
    assert "gaierror" in why or "no answer" in why


def test_an_interim_answer_is_skipped():
    """100 Continue is no answer yet."""
    reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Down\r\n\r\n"
    with serving(lambda server, request, made: made.sendall(reply)) as server:
        assert one(f"http://{server.place}/") == (0.0, 503, "status 503")


# Redirects


def test_a_redirect_on_the_same_host_is_followed():
    """Also to another port, and by a relative address; the last status counts."""
    with serving(status(200)) as there:
        with serving(status(302, f"Location: http://{there.place}/there")) as here:
            assert one(f"http://{here.place}/") == (1.0, 200, "")
        assert there.requests[0].startswith("GET /there ")

    def relative(server, request, made):
        answer = status(200) if request.startswith("GET /b/c") else status(307, "Location: b/c")
        answer(server, request, made)

    with serving(relative) as server:
        assert one(f"http://{server.place}/a") == (1.0, 200, "")
        assert [text.split()[1] for text in server.requests] == ["/a", "/b/c"]


def test_a_redirect_to_another_host_is_not_followed():
    """It is down with its status: what answers elsewhere is not the service."""
    with serving(status(200)) as there:
        to = f"Location: http://localhost:{there.port}/login?next=secret"
        with serving(status(302, to)) as here:
            up, code, why = one(f"http://{here.place}/")
        assert (up, code) == (0.0, 302)
        assert why == "status 302: redirected to another host, not followed"
        assert there.requests == []


@pytest.mark.parametrize(
    "location",
    ["//evil.invalid/", "http:///x", "file:///etc/passwd", "http://[", "gopher://127.0.0.1/"],
)
def test_odd_redirects_are_down(location):
    """No other protocol and no broken address is followed, and nothing raises."""
    with serving(status(301, f"Location: {location}")) as here:
        up, _, why = one(f"http://{here.place}/")
    assert up == 0.0
    assert why


def test_a_redirect_with_odd_letters_is_quoted():
    """What a redirect leads to cannot break out of its line, and is not shown."""

    def odd(server, request, made):
        is_first = request.startswith("GET / ")
        (status(302, "Location: /a b\x7f?c=\xfc") if is_first else status(500))(
            server, request, made
        )

    with serving(odd) as server:
        assert one(f"http://{server.place}/") == (0.0, 500, "status 500")
        assert server.requests[1].startswith("GET /a%20b%7F?c=%C3%BC HTTP/1.1\r\n")


def test_a_circle_of_redirects_ends():
    """After five it is down."""
    with serving(status(302, "Location: /again")) as server:
        up, code, why = one(f"http://{server.place}/")
    assert (up, code, why) == (0.0, 302, "status 302: redirected more than 5 times")
    assert len(server.requests) == 6


def test_user_and_password_are_sent_to_that_server_alone():
    """As basic authorization, and not to another port that a redirect names."""
    with serving(status(200)) as there:
        with serving(status(302, f"Location: http://{there.place}/")) as here:
            one(f"http://us%40er:pa%20ss@{here.place}/")
        assert "Authorization: Basic dXNAZXI6cGEgc3M=\r\n" in here.requests[0]
        assert "Authorization" not in there.requests[0]


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 and localhost that nobody has signed, and its key, in a file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 "
        "-keyout key.pem -out cert.pem -subj /CN=test -addext subjectAltName=IP:127.0.0.1,DNS:good"
    )
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return folder / "cert.pem", both


def test_a_certificate_is_verified(certificate):
    """One that no authority has signed is down, and up where its authority is given."""
    cert, both = certificate
    with serving(status(200), certificate=both) as server:
        up, code, why = one(f"https://{server.place}/")
        assert (up, code) == (0.0, None)
        assert "CERTIFICATE_VERIFY_FAILED" in why
        assert server.requests == []
        assert one(f"https://{server.place}/", cafile=cert) == (1.0, 200, "")
        up, _, why = one(f"https://localhost:{server.port}/", cafile=cert)
        assert (up, "not valid for 'localhost'" in why) == (0.0, True)


def test_https_has_one_deadline_too(certificate):
    """Where the handshake never ends, and where the answer drips through TLS."""
    cert, both = certificate
    with serving(drip, certificate=both) as server:
        assert one(f"https://{server.place}/", cafile=cert, timeout=0.3)[2] == (
            "no answer within 0.3 s"
        )
    with serving(hang) as server:
        assert one(f"https://{server.place}/", timeout=0.3)[2] == "no answer within 0.3 s"


def test_no_redirect_from_https_to_http(certificate):
    """What was safe stays safe."""
    cert, both = certificate
    with serving(status(200)) as plain:
        to = f"Location: http://{plain.place}/"
        with serving(status(302, to), certificate=both) as server:
            up, code, why = one(f"https://{server.place}/", cafile=cert)
        assert (up, code) == (0.0, 302)
        assert "from https to http" in why
        assert plain.requests == []


# TCP and functions


def test_a_port_that_accepts_is_up():
    """There is a latency and no status."""
    with serving(hang) as server:
        found = figures({"db": f"tcp://{server.place}"})["db"]
    assert found["service_up"].value == 1.0
    assert found["service_latency_ms"].value > 0
    assert "service_status_code" not in found


@pytest.mark.parametrize("result", [None, True, 0, [], "down", object(), np.True_])
def test_a_function_that_returns_is_up(result):
    """Whatever it returns but False: a check that returns nothing has not raised."""
    assert one(lambda: result) == (1.0, None, "")


@pytest.mark.parametrize("result", [False, np.False_])
def test_a_function_that_returns_false_is_down(result):
    """And says so."""
    assert one(lambda: result) == (0.0, None, "the check returned False")


def test_a_function_that_raises_is_down():
    """With what it raised, and without what looks like a password."""

    def broken():
        raise ValueError("postgresql://me:hunter2@db:5432/x: password=hunter2 api_key: hunter2;")

    up, _, why = one(broken)
    assert up == 0.0
    assert why.startswith("ValueError: postgresql://***@db:5432/x")
    assert "hunter2" not in why


@pytest.mark.parametrize(
    "text",
    [
        "401 for Authorization: Bearer hunter2",
        "headers {'Authorization': 'Basic hunter2', 'Accept': '*/*'}",
        "the bearer hunter2 has expired",
        "config {'password': 'hunter2 hunter2', 'host': 'db'}",
        'body {"api_key": "hunter2"}',
        "password = 'so hunter2 is it'",
    ],
)
def test_secrets_are_hidden_however_they_are_written(text):
    """In headers, in mappings, in JSON and in quotes with blanks."""

    def broken():
        raise ValueError(text)

    _, _, why = one(broken)
    assert "***" in why
    assert "hunter2" not in why


def test_a_coroutine_is_no_check():
    """Nobody awaits it: refused where it can be seen, down where it shows itself later."""

    async def check():
        await asyncio.sleep(0)

    with pytest.raises(ConfigurationError, match=r"asyncio\.run"):
        ServiceCollector({"db": check})
    assert one(lambda: check()) == (  # noqa: PLW0108
        0.0,
        None,
        "the check returned a coroutine, which nobody awaits",
    )
    assert one(lambda: asyncio.run(check()))[0] == 1.0


def test_a_function_that_hangs_is_called_once():
    """It holds up no cycle, is down for as long, and is called again when it has ended."""
    gate, calls, found = threading.Event(), [], []

    def check():
        calls.append(threading.get_ident())
        gate.wait(30)

    collector = ServiceCollector({"db": check, "other": lambda: True}, timeout=0.1)
    for _ in range(4):
        found.append(figures(collector))
        time.sleep(0.05)
    assert [each["db"]["service_up"].value for each in found] == [0.0] * 4
    assert found[0]["db"]["service_up"].why == "no answer within 0.1 s"
    assert "has not ended" in found[-1]["db"]["service_up"].why
    assert [each["other"]["service_up"].value for each in found] == [1.0] * 4
    assert len(calls) == 1
    gate.set()
    end = time.monotonic() + 30
    while figures(collector)["db"]["service_up"].value == 0.0 and time.monotonic() < end:
        time.sleep(0.01)
    assert len(calls) == 2


def test_all_are_asked_side_by_side():
    """Twenty services of which each waits for all others, and for each no more than its time."""
    meet = threading.Barrier(20, timeout=30)
    found = figures({str(place): meet.wait for place in range(20)}, timeout=30)
    assert {each["service_up"].value for name, each in found.items() if name != "store"} == {1.0}


# Secrets and proxies


def test_what_a_url_holds_is_never_shown(closed_port):
    """No repr, label, remark or error message has the user, the path or the query."""
    secret = "hunter2"
    url = f"http://{secret}:{secret}@127.0.0.1:{closed_port}/{secret}?token={secret}"
    collector = ServiceCollector({"api": url})
    assert secret not in repr(collector)
    assert secret not in repr([*collector.collect(EMPTY)])
    for wrong in (f"htp://{secret}@h/", f"http://{secret}@h:99999/", f"http://h/{secret} x"):
        with pytest.raises(ConfigurationError) as raised:
            ServiceCollector({"api": wrong})
        assert secret not in str(raised.value)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    """A health check goes to the service itself."""
    with serving(status(500)) as proxy, serving(status(200)) as server:
        monkeypatch.setenv("http_proxy", f"http://{proxy.place}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.place}")
        assert one(f"http://{server.place}/")[0] == 1.0
        assert proxy.requests == []


# The store


def make(kind, folder):
    return {
        "memory": MemoryStore,
        "jsonl": lambda: JSONLStore(folder / "store"),
        "sqlite": lambda: SQLiteStore(folder / "store.db"),
    }[kind]()


@pytest.mark.parametrize("kind", ["memory", "jsonl", "sqlite"])
def test_the_store_is_one_of_them(kind, tmp_path):
    """Also with no services given; every store is read, also in a thread."""
    monitor = Monitor(store=make(kind, tmp_path), model="m", collectors=[ServiceCollector()])
    for _ in range(2):
        report = monitor.run_cycle()
        assert report.faults == ()
        (up,) = report.find("service_up")
        assert (up.value, up.labels) == (1.0, {"service": "store"})
        (latency,) = report.find("service_latency_ms", service="store")
        assert latency.value > 0
    monitor.close()


def test_a_store_that_cannot_be_read_is_down():
    """With what it raises; a window that was read from no store says so."""

    def broken():
        raise StoreError("the disk is gone")

    view = replace(EMPTY, ask_store=broken)
    found = figures({}, view=view)["store"]["service_up"]
    assert (found.value, found.why) == (0.0, "StoreError: the disk is gone")
    none = figures({})["store"]["service_up"]
    assert (none.value, none.why) == (None, "undefined: this window was read from no store")


# In a cycle


def test_once_a_cycle_and_about_no_version():
    """With two versions of a model in the traffic each service is asked once."""
    calls, told = [], RecordingNotifier()
    clock = ManualClock()
    store = MemoryStore()
    monitor = Monitor(
        store=store,
        model="m",
        model_version="2",
        collectors=[ServiceCollector({"db": partial(calls.append, 1)})],
        rules=[Threshold("service_up", below=1, severity="critical")],
        notifiers=[told],
        clock=clock,
    )
    for version in ("1", "2", "3"):
        monitor.record_prediction({"x": 1.0}, 0.5, model_version=version)
    report = monitor.run_cycle()
    assert len(calls) == 1
    assert [metric.model_version for metric in report.find("service_up")] == ["", ""]
    assert report["service_up"].model == "m"
    assert "service_up [service=db] " in str(report)
    assert "service_up[service=db]" in report.to_row()
    assert told.alerts == []


def test_however_often_a_cycle_is_tried_services_are_asked_once():
    """Where another worker has written first, only the judging is done again."""
    calls = []

    class Contended(MemoryStore):
        left = 3

        def write(self, batch):
            if batch.id.startswith("cycle/") and self.left:
                self.left -= 1
                raise ConflictError("someone else was first")
            super().write(batch)

    store = Contended()
    collectors = [ServiceCollector({"db": partial(calls.append, 1)})]
    Monitor(store=store, model="m", collectors=collectors, clock=ManualClock()).run_cycle()
    assert (store.left, len(calls)) == (0, 1)
    assert len([row for row in store.read(Table.metrics) if row.name == "service_up"]) == 2


def test_a_service_that_is_down_alerts_with_its_reason():
    """By a plain threshold; it resolves when the service is back, whichever version looks."""
    told, clock, store = RecordingNotifier(), ManualClock(), MemoryStore()
    down = [True]

    def check():
        return not down[0]

    for version in ("1", "2"):
        monitor = Monitor(
            store=store,
            model="m",
            model_version=version,
            collectors=[ServiceCollector({"db": check})],
            rules=[Threshold("service_up", below=1, severity="critical")],
            notifiers=[told],
            clock=clock,
        )
        monitor.run_cycle()
        down[0] = False
    assert [(alert.state, alert.severity) for alert in told.alerts] == [
        ("firing", "critical"),
        ("resolved", "critical"),
    ]
    assert "service db" in told.alerts[0].title
    assert "the check returned False" in told.alerts[0].why


WRONG = {
    "a list": (["http://h/"], "mapping of name to URL"),
    "a text": ("http://h/", "mapping of name to URL"),
    "no name": ({"": "http://h/"}, "must be a text"),
    "a number for a name": ({1: "http://h/"}, "must be a text"),
    "the store's name": ({"store": "http://h/"}, "the monitor's own"),
    "no scheme": ({"api": "localhost:8000/health"}, "begins with http://"),
    "another scheme": ({"api": "ftp://h/"}, "begins with http://"),
    "no host": ({"api": "http:///health"}, "no host"),
    "tcp without a port": ({"api": "tcp://h"}, "no port"),
    "a port that is none": ({"api": "http://h:x/"}, "is no URL"),
    "a blank": ({"api": "http://h/a b"}, "blank"),
    "a new line": ({"api": "http://h/\r\nX: y"}, "blank"),
    "a letter outside ASCII": ({"api": "http://h/ü"}, "to be encoded"),
    "a class": ({"api": MemoryStore}, "give a URL, or a function"),
    "None": ({"api": None}, "give a URL, or a function"),
    "a number": ({"api": 8000}, "give a URL, or a function"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_services_are_refused(case):
    """When the collector is made, and with the name of the service."""
    services, message = WRONG[case]
    with pytest.raises(ConfigurationError, match=message):
        ServiceCollector(services)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", None, True])
def test_wrong_timeouts_are_refused(timeout):
    """Seconds above 0, and not for ever."""
    with pytest.raises(ConfigurationError, match="timeout"):
        ServiceCollector(timeout=timeout)


def test_an_authority_that_is_not_there_is_refused(tmp_path):
    """When the collector is made."""
    for cafile in (tmp_path / "none.pem", tmp_path, 5):
        with pytest.raises(ConfigurationError, match="is no file"):
            ServiceCollector(cafile=cafile)


# gevent

UNDER_GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent
from gevent import _hub_local, hub
from tests.collectors.test_services import EMPTY, ServiceCollector

made = []
first = hub.Hub.__init__
hub.Hub.__init__ = lambda self, *args, **kwargs: (made.append(1), first(self, *args, **kwargs))[1]
collector = ServiceCollector({services}, cafile={cafile!r}, timeout=20)
found = [m for m in collector.collect(EMPTY) if m.name == "service_up" and m.value is not None]
print(sorted((m.labels["service"], m.value) for m in found), len(made))
"""


def test_under_gevent_checks_are_real_and_start_no_loop(certificate, tmp_path):
    """Sockets of the operating system in real threads: no hub is made for any of them."""
    cert, both = certificate
    with serving(status(200)) as plain, serving(status(200), certificate=both) as safe:
        services = {
            "http": f"http://{plain.place}/",
            "https": f"https://{safe.place}/",
            "tcp": f"tcp://{plain.place}",
        }
        script = UNDER_GEVENT.format(services=services, cafile=str(cert))
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[('http', 1.0), ('https', 1.0), ('tcp', 1.0)] 0\n"
