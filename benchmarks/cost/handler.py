"""What a request handler feels of 10,000 records a second in its process.

Four threads serve 1,000 requests a second, ten rows each, on a fixed schedule: a request that
comes while its thread is busy waits, and its waiting counts, as it does for the client.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from threading import Thread
from time import perf_counter, process_time, sleep

import numpy as np

from cost.call import require
from cost.figure import Effort, Measured
from cost.records import Features, Way, make_records, monitor_in, naively_to, recorded_by, spooled

THREADS = 4
ROWS = 10
PERIOD = THREADS * ROWS / 10_000
LOOK_UP = 0.0005
ROUNDS = 5

Handler = Callable[[Way], object]


def make_handler() -> Handler:
    """Return a handler that parses a body, waits for a look-up, scores the rows and answers."""
    body = json.dumps(make_records(ROWS))
    weights = np.random.default_rng(0).normal(size=9)
    numbers = [name for name, value in json.loads(body)[0].items() if type(value) is float]
    weights = weights[: len(numbers)]

    def handle(keep: Way) -> str:
        rows: list[Features] = json.loads(body)
        sleep(LOOK_UP)
        matrix = np.array([[row[name] for name in numbers] for row in rows])
        scores = 1 / (1 + np.exp(-np.tanh(matrix @ weights)))
        for row in rows:
            keep(row)
        return json.dumps([{"score": score} for score in scores.tolist()])

    return handle


def serve(handle: Handler, keep: Way, begin: float, requests: int, times: list[float]) -> None:
    for number in range(requests):
        due = begin + number * PERIOD
        sleep(max(due - perf_counter(), 0))
        handle(keep)
        times.append(perf_counter() - due)


def load(handle: Handler, keep: Way, seconds: float) -> tuple[float, float]:
    """Return the 90th percentile in ms, and the share of one processor that was used."""
    times: list[float] = []
    requests = int(seconds / PERIOD)
    begin, used = perf_counter() + 0.05, process_time()
    threads = [
        Thread(target=serve, args=(handle, keep, begin + i * PERIOD / THREADS, requests, times))
        for i in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = (process_time() - used) / (perf_counter() - begin)
    return quantiles(times, n=10)[8] * 1e3, busy


def handled(effort: Effort) -> dict[str, Measured]:
    """Serve the same requests without a record, with ours, and in the naive way."""
    handle = make_handler()
    rounds = min(ROUNDS, effort.rounds)
    with tempfile.TemporaryDirectory() as made, monitor_in(Path(made)) as monitor:
        ways: dict[str, Way] = {
            "without": lambda _: None,
            "ours": recorded_by(monitor),
            "naive": naively_to(Path(made) / "naive.jsonl"),
        }
        p90: dict[str, list[float]] = {name: [] for name in ways}
        busy: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds):
            for name in sorted(ways, reverse=number % 2 == 1):
                time, share = load(handle, ways[name], effort.seconds)
                p90[name].append(time)
                busy[name].append(share)
                monitor.flush()
        kept = spooled(Path(made))
    expected = rounds * THREADS * int(effort.seconds / PERIOD) * ROWS
    require(kept, expected)
    return {"handler p90 at 10k records/s / without": summed_up(p90, busy)}


def summed_up(p90: dict[str, list[float]], busy: dict[str, list[float]]) -> Measured:
    def beside(name: str) -> float:
        return median(a / b for a, b in zip(p90[name], p90["without"], strict=True))

    behind = ", ".join(
        f"{name} {median(p90[name]):.2f} ms ({median(busy[name]):.0%} busy)" for name in p90
    )
    return Measured(beside("ours"), f"{behind}: naive {beside('naive'):.2f}")
