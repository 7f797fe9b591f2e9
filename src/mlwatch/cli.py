"""The command `mlwatch`: a sidecar that ingests and judges what a service records."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence

import mlwatch
from mlwatch import ConfigurationError, MLWatchError, Monitor
from mlwatch.import_string import find_monitor

_LOG = logging.getLogger("mlwatch")
_POLL = 0.2
_CLOSE_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 2 for what has to be called otherwise."""
    options = _parser().parse_args(arguments)
    sys.path.insert(0, os.getcwd())  # noqa: PTH109  sys.path holds texts
    try:
        return _watch(options.monitor, once=options.once)
    except MLWatchError as error:
        sys.stderr.write(f"mlwatch: {error}\n")
        return 2 if isinstance(error, ConfigurationError) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlwatch", description=mlwatch.__doc__)
    version = f"mlwatch {mlwatch.__version__}"
    parser.add_argument("--version", action="version", version=version)
    commands = parser.add_subparsers(required=True, metavar="command")
    watch = commands.add_parser(
        "watch",
        help="ingest and run cycles beside a service, which then only records",
        description="Ingest what a service records and run cycles, until SIGTERM or Ctrl-C. "
        "The service does not call start(), and has its spool on the same disk.",
    )
    watch.add_argument(
        "monitor",
        metavar="module:attribute",
        help="where the service has its monitor, as in service.monitoring:monitor, or a function "
        "there that makes it",
    )
    watch.add_argument(
        "--once", action="store_true", help="run one cycle, print its report and end"
    )
    return parser


def _watch(text: str, *, once: bool) -> int:
    monitor = find_monitor(text)
    if monitor.spool_path is None:
        raise ConfigurationError(
            f"{text!r} has its spool in memory, which no other process can see: give the monitor "
            'a store with a path, such as SQLiteStore("mlwatch.db"), or '
            'CaptureOptions(spool="a folder")'
        )
    if once:
        with monitor:
            sys.stdout.write(f"{monitor.run_cycle()}\n")
        return 0
    return _stay(monitor)


def _stay(monitor: Monitor) -> int:
    """Run until a signal says to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    monitor.start(share=1)
    status = monitor.status()
    if status.running:
        _LOG.info("watching %s: what is recorded in %s", monitor.model, monitor.spool_path)
    else:
        _LOG.warning("watching nothing: %s", status.last_error)
    while not ended:
        time.sleep(_POLL)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # a second one ends at once
    if not monitor.close(_CLOSE_SECONDS):
        _LOG.warning("not all is in the store yet; the rest waits in %s", monitor.spool_path)
    return 0
