"""Twenty mixed features a record, and the ways to keep one."""

import json
import logging
import random
import resource
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from mlwatch import CaptureOptions, Monitor
from mlwatch.spool import DiskSpool
from mlwatch.spool.frame import Frame
from mlwatch.stores import SQLiteStore

MODEL, VERSION = "churn", "2.1"
PREDICTION, LATENCY = 0.7312549, 12.375

Features = dict[str, Any]
Way = Callable[[Features], object]
"""Keeps one record: id, time, model, version, features, prediction and latency."""


def make_records(count: int, seed: int = 0) -> list[Features]:
    """Return records no two of which are alike, so that compressing them is no trick."""
    draw = random.Random(seed)  # noqa: S311  no secret
    return [
        {
            "age": draw.randint(18, 90),
            "income": round(draw.lognormvariate(10.5, 0.6), 2),
            "balance": round(draw.gauss(500, 2000), 2),
            "city": draw.choice(("Oslo", "Bergen", "Trondheim", "Stavanger", "Drammen")),
            "plan": draw.choice(("single", "family", "student")),
            "device": draw.choice(("ios", "android", "web")),
            "active": draw.random() < 0.7,
            "tenure_days": draw.randint(0, 4000),
            "visits": draw.randint(0, 60),
            "score_a": draw.random(),
            "score_b": draw.gauss(0, 1),
            "score_c": draw.randint(0, 200) / 4,
            "channel": draw.choice(("partner", "search", "direct")),
            "referrer": None if draw.random() < 0.5 else f"r{draw.randint(1, 999)}",
            "trips": draw.randint(0, 9),
            "delay": draw.randint(-60, 400) / 4,
            "distance": float(draw.randint(80, 4900)),
            "carrier": draw.choice(("UA", "B6", "EV", "DL", "AA", "MQ")),
            "origin": draw.choice(("EWR", "JFK", "LGA")),
            "rush": draw.random() < 0.2,
        }
        for _ in range(count)
    ]


@contextmanager
def monitor_in(folder: Path, **options: Any) -> Iterator[Monitor]:
    """Give a monitor whose spool is not ingested afterwards, so that it ends at once."""
    capture = CaptureOptions(spool=folder / "spool", **options)
    store = SQLiteStore(folder / "store.db")
    monitor = Monitor(store=store, model=MODEL, model_version=VERSION, capture=capture)
    try:
        yield monitor
    finally:
        monitor.flush()
        shutil.rmtree(folder / "spool", ignore_errors=True)
        monitor.close()


def recorded_by(monitor: Monitor) -> Way:
    record = monitor.record_prediction
    return lambda features: record(features, PREDICTION, latency_ms=LATENCY)


def logged_to(path: Path) -> Way:
    """Keep records as most services do first: a line of the log, which has neither id nor JSON."""
    logger = logging.getLogger(f"control.{uuid4()}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    text = "model %s %s: prediction %s of %s in %s ms"
    return lambda features: logger.info(text, MODEL, VERSION, PREDICTION, features, LATENCY)


def naively_to(path: Path) -> Way:
    """Keep records durably in the plainest way: open, dump, append, close."""

    def write(features: Features) -> None:
        row = {
            "id": str(uuid4()),
            "time": datetime.now(UTC).isoformat(),
            "model": MODEL,
            "version": VERSION,
            "features": features,
            "prediction": PREDICTION,
            "latency_ms": LATENCY,
        }
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")

    return write


def queued_in(queue: "deque[Features]") -> Way:
    """Keep nothing: the least that handing a record to a thread can cost."""
    return lambda features: queue.append(features)  # noqa: PLW0108  the host, too, has a call of its own


def copied_to(queue: "deque[Features]") -> Way:
    """Keep a copy of each dict for a thread that would encode it later."""
    return lambda features: queue.append(dict(features))


def segments_of(folder: Path) -> Sequence[Path]:
    return sorted((folder / "spool").rglob("*.seg"))


def frames_of(folder: Path) -> Iterator[Frame]:
    for place in {path.parent for path in segments_of(folder)}:
        spool = DiskSpool(place)
        for segment in spool.segments():
            yield from spool.read(segment, 0)


def spooled(folder: Path) -> int:
    """Count the records that can be read back from the disk."""
    return sum(len(frame.records) for frame in frames_of(folder))


def accounted(folder: Path) -> int:
    """Count what the account on the disk says was kept, whatever form it has there."""
    return sum(frame.recorded - sum(frame.dropped.values()) for frame in frames_of(folder))


def break_disk() -> None:
    """Let every write to a file fail, in this process, from now on."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
