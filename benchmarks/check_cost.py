"""The cost of a drift check after 10^4, 10^6 and 10^8 predictions of a day, in one run.

The day's panes are drawn as counts, as the store keeps them: the last two hours by the minute, the
rest by the hour. Timed is (a) judging a window whose counts are in hand, and (b) reading the
window from a store and judging it, by a collector that remembers the check before: it has taken
in the hours that are over, as it does once for each. Beside them scipy on raw rows, and three
libraries that check raw rows, where a Python that has them is given; what they are given is in
memory already. All times are those of the processor, by turns: whatever else the machine does
hardly enters.

What grows with the rows: a store on disk keeps each count in as few bytes as hold it, and ten
thousand rows of a day leave most minutes with a handful of counts.
"""

import argparse
import math
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.stats import ks_2samp

from cost.day import DAWN, day_of, features_like, seconds_of, timed
from mlwatch.collectors import DriftCollector
from mlwatch.defaults import detectors
from mlwatch.history import read_windows
from mlwatch.protocols import MetricStore
from mlwatch.records import Batch, Table
from mlwatch.reference import Reference
from mlwatch.spans import DAY
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.window import Window

GOAL = 1.2
TOTALS = (10**4, 10**6, 10**8)
FEATURES = (20, 1000)
RAW = (10**4, 10**6)
REFERENCE_ROWS = 5000

PEERS = {
    "evidently": """
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift

def check(reference, current):
    metrics = [ValueDrift(column=name, method="ks") for name in reference]
    definition = DataDefinition(numerical_columns=list(reference))
    report = Report(metrics)
    past = Dataset.from_pandas(pd.DataFrame(reference), data_definition=definition)
    now = Dataset.from_pandas(pd.DataFrame(current), data_definition=definition)
    return lambda: report.run(now, past).dict()
""",
    "nannyml": """
import os
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"
import nannyml
import pandas as pd

def check(reference, current):
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference), continuous_methods=["kolmogorov_smirnov"], chunk_number=1
    ).fit(pd.DataFrame(reference))
    frame = pd.DataFrame(current)
    return lambda: calculator.calculate(frame)
""",
    "alibi-detect": """
import numpy as np
from alibi_detect.cd import KSDrift

def check(reference, current):
    detector = KSDrift(np.column_stack(list(reference.values())))
    rows = np.column_stack(list(current.values()))
    return lambda: detector.predict(rows)
""",
}
"""What each of the others is asked: a Kolmogorov-Smirnov test of every feature."""

SERVE = """
import sys, warnings
from time import process_time
import numpy as np

warnings.simplefilter("ignore")
reference_rows, features = map(int, sys.argv[1:])
ready = {}
said, sys.stdout = sys.stdout, sys.stderr
for line in sys.stdin:
    n = int(line)
    if n not in ready:
        rng = np.random.default_rng(0)
        ready[n] = check(*({str(i): rng.normal(size=size) for i in range(features)}
                           for size in (reference_rows, n)))
    begin = process_time()
    ready[n]()
    print(process_time() - begin, file=said, flush=True)
"""


class Peer:
    """Another library, in a process of its own that runs one check a line."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        command = [python, "-c", PEERS[name] + SERVE, str(REFERENCE_ROWS), str(FEATURES[0])]
        self.process = subprocess.Popen(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def seconds(self, n: int) -> float:
        """Return the time of a check of `n` rows."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError(f"{self.name} has no pipes")
        print(n, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline() or "nan")

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


def reference(features: int) -> Reference:
    rng = np.random.default_rng(0)
    return Reference.fit({str(i): rng.normal(size=REFERENCE_ROWS) for i in range(features)})


def read(store: MetricStore, known: Reference) -> Window:
    until = DAWN + DAY
    asked = {"model": "m", "model_version": "", "references": lambda _: known}
    return read_windows(store, **asked, since=DAWN, until=until, now=until)[0]


def our_checks(features: int, folder: Path) -> dict[tuple[str, int], Callable[[], object]]:
    """Return what is timed of ours, by what it is and how many rows are behind it."""
    known = reference(features)
    draw = features_like(known, REFERENCE_ROWS)
    collector = DriftCollector(detectors())
    calls: dict[tuple[str, int], Callable[[], object]] = {}

    def judge(window: Window) -> None:
        found = sum(1 for _ in collector.collect(window))
        if found < features:
            raise RuntimeError(f"{features} features gave {found} results")

    for total in TOTALS:
        memory, sqlite = MemoryStore(), SQLiteStore(folder / f"{features}-{total}.db")
        for pane in day_of(total, known, draw):
            for store in (memory, sqlite):
                store.write(Batch(pane.key, {Table.panes: [pane]}))
        counted = read(memory, known)
        if counted.tally("rows")["counted"] != total or counted.profile is None:
            raise RuntimeError("the window does not hold the day")
        *_, remembered = collector.collect(counted)
        before = remembered.body
        calls["judge", total] = partial(judge, replace(counted, memory=before))
        for name, store in (("MemoryStore, judge", memory), ("SQLiteStore, judge", sqlite)):
            calls[name, total] = lambda store=store, before=before: judge(
                replace(read(store, known), memory=before)
            )
    return calls


def scipy_checks() -> dict[tuple[str, int], Callable[[], object]]:
    rng = np.random.default_rng(0)

    def draw(n: int) -> list[np.ndarray]:
        return [rng.normal(size=n) for _ in range(FEATURES[0])]

    past = draw(REFERENCE_ROWS)

    def check(now: list[np.ndarray]) -> None:
        for one, other in zip(past, now, strict=True):
            ks_2samp(one, other, method="asymp")

    return {("scipy ks_2samp", n): partial(check, draw(n)) for n in RAW}


def show(features: int, found: Mapping[tuple[str, int], float]) -> None:
    totals = sorted({total for _, total in found})
    print(
        f"{f'{features} features, ms':<28}"
        + "".join(f"{f'{total:.0e} rows':>14}" for total in totals)
    )
    for name in dict.fromkeys(name for name, _ in found):
        cells = [found.get((name, total)) for total in totals]
        print(f"{name:<28}" + "".join(f"{_ms(cell):>14}" for cell in cells))


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return "no answer" if math.isnan(seconds) else f"{seconds * 1e3:,.1f}"


def show_goals(found: Mapping[tuple[str, int], float]) -> None:
    """Print how the cost grows with the rows, against the goal that it does not."""
    for name in dict.fromkeys(name for name, _ in found):
        for more, fewer in ((10**8, 10**6), (10**8, 10**4), (10**6, 10**4)):
            ratio = found[name, more] / found[name, fewer]
            verdict = "met" if ratio <= GOAL else "MISSED"
            print(
                f"{name:<22}{more:.0e} / {fewer:.0e}{ratio:>8.2f}   goal: <= {GOAL:g}   {verdict}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each (default: 9)")
    parser.add_argument(
        "--seconds", type=float, default=20, help="begin no round after so long (default: 20)"
    )
    for name in PEERS:
        parser.add_argument(f"--{name}", metavar="PYTHON", help=f"a Python that has {name}")
    given = vars(parser.parse_args())
    pythons = {name: given[name.replace("-", "_")] for name in PEERS}

    with tempfile.TemporaryDirectory(prefix="mlwatch-check-") as made:
        for features in FEATURES:
            ours = our_checks(features, Path(made))
            calls = {key: partial(seconds_of, call) for key, call in ours.items()}
            peers = []
            if features == FEATURES[0]:
                calls |= {key: partial(seconds_of, call) for key, call in scipy_checks().items()}
                peers = [Peer(name, python) for name, python in pythons.items() if python]
                calls |= {(p.name, n): partial(p.seconds, n) for p in peers for n in RAW}
            found = timed(calls, given["rounds"], given["seconds"])
            for peer in peers:
                peer.close()
            show(features, found)
            show_goals({key: seconds for key, seconds in found.items() if key in ours})
    for name in (name for name, python in pythons.items() if not python):
        print(f"{name}: not measured, no Python that has it was given (--{name} PYTHON)")


if __name__ == "__main__":
    main()
