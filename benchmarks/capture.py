"""The cost of recording, as ratios to what people do instead, measured in the same run.

Twenty mixed features a record. The controls: `logging.info` of the same record to a file, and the
naive way, which opens a file, dumps JSON and closes it at every call.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from time import perf_counter_ns
from uuid import uuid4

from mlwatch.recorder import Recorder
from mlwatch.records import CaptureOptions
from mlwatch.spool import DiskSpool

FEATURES = {
    "age": 42,
    "income": 51234.5,
    "balance": -310.25,
    "city": "Oslo",
    "plan": "family",
    "device": "ios",
    "active": True,
    "tenure_days": 1187,
    "visits": 17,
    "score_a": 0.1234567,
    "score_b": 0.7654321,
    "score_c": 12.5,
    "channel": "partner",
    "referrer": None,
    "trips": 3,
    "delay": 7.25,
    "distance": 1089.0,
    "carrier": "UA",
    "origin": "EWR",
    "rush": False,
}
ROUND = 2000


def per_call(call: Callable[[], object]) -> list[int]:
    """Time one round of calls, each by itself."""
    times = []
    for _ in range(ROUND):
        begin = perf_counter_ns()
        call()
        times.append(perf_counter_ns() - begin)
    return times


def to_log(folder: Path) -> Callable[[], object]:
    logger = logging.getLogger("control")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = logging.FileHandler(folder / "control.log")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    return lambda: logger.info("prediction %s of %s", 0.73, FEATURES)


def naively(folder: Path) -> Callable[[], object]:
    path = folder / "naive.jsonl"

    def write() -> None:
        with path.open("a") as file:
            row = {"id": str(uuid4()), "time": datetime.now(UTC).isoformat(), "prediction": 0.73}
            file.write(json.dumps(row | FEATURES) + "\n")

    return write


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each (default: 15)")
    rounds = parser.parse_args().rounds

    with tempfile.TemporaryDirectory(prefix="mlwatch-capture-") as made:
        folder = Path(made)
        spool = DiskSpool(folder / "spool")
        recorder = Recorder(spool, CaptureOptions(), lambda: datetime.now(UTC))
        calls = {
            "mlwatch": lambda: recorder.prediction(
                FEATURES, 0.73, None, None, "churn", "2.1", 12.3, None, None, None
            ),
            "logging.info": to_log(folder),
            "naive": naively(folder),
        }
        times: dict[str, list[int]] = {name: [] for name in calls}
        for _ in range(rounds):  # by turns, so that whatever else the machine does slows all alike
            for name, call in calls.items():
                times[name] += per_call(call)
        recorder.close()
        dropped = dict(recorder.stats.dropped)
        spool.close()

    cuts = {name: quantiles(values, n=100) for name, values in times.items()}
    print(f"{'record':<14}{'p50 us':>10}{'p99 us':>10}")
    for name, values in cuts.items():
        print(f"{name:<14}{values[49] / 1000:>10.2f}{values[98] / 1000:>10.2f}")
    print(f"dropped: {dropped or 'nothing'}")
    show("p50 / logging.info", cuts["mlwatch"][49] / cuts["logging.info"][49], 0.20)
    show("p99 / logging.info", cuts["mlwatch"][98] / cuts["logging.info"][98], 0.5)
    show("p50 / the naive way", cuts["mlwatch"][49] / cuts["naive"][49], 1 / 25)


def show(figure: str, ratio: float, goal: float) -> None:
    verdict = "met" if ratio <= goal else "MISSED"
    print(f"{figure:<22}{ratio:>8.3f}   goal: <= {goal:g}   {verdict}")


if __name__ == "__main__":
    main()
