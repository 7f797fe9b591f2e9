"""The cost of a whole cycle over 24 hours after 10^4 and after 10^7 predictions, in one run.

A model of twenty features, whose every prediction has a latency and three in four an outcome, some
wrong and some failed, watched by all collectors that a monitor has by default. Its panes are made
by ingest: those of few rows as they are, those of many by adding up stretches of a thousand rows,
each as often as it is drawn, so that every tally is one that real rows have left. Timed is
`run_cycle()` of a monitor whose store holds the day and nothing new, as every cycle but the first
of an hour finds it; and beside it what summing the panes and each collector take of it.
All times are those of the processor, by turns: whatever else the machine does hardly enters.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np

from cost.day import DAWN, day_of, seconds_of, timed
from mlwatch import Monitor, Reference
from mlwatch.defaults import collectors
from mlwatch.protocols import Collect, MetricStore, part_name
from mlwatch.records import (
    Batch,
    DriftPolicy,
    Memory,
    Pane,
    Table,
    Tallies,
    Tally,
    add_tallies,
    pack,
)
from mlwatch.spans import DAY, MINUTE
from mlwatch.stores import MemoryStore, SQLiteStore
from mlwatch.testing import ManualClock
from mlwatch.window import Window, share_sums

GOAL = 1.5
TOTALS = (10**4, 10**7)
FEATURES, REFERENCE_ROWS, STRETCH, STRETCHES = 20, 5000, 1000, 40
STORES = ("MemoryStore", "SQLiteStore")


def rows(n: int, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return features (a quarter of them categories), scores and outcomes."""
    columns = {f"x{i}": rng.normal(size=n) for i in range(FEATURES * 3 // 4)}
    names = [f"c{i}" for i in range(FEATURES - len(columns))]
    columns |= {name: rng.choice(list("abcdefgh"), n) for name in names}
    scores = 1 / (1 + np.exp(-columns["x0"] - columns["x1"]))
    return columns, scores, (rng.random(n) < scores).astype(int)


def reference() -> Reference:
    columns, scores, outcomes = rows(REFERENCE_ROWS, np.random.default_rng(0))
    return Reference.fit(columns, predictions=scores, outcomes=outcomes, task="binary")


def ingested(known: Reference, sizes: Iterable[int]) -> list[Tallies]:
    """Return the tallies that ingest makes of so many stretches of rows."""
    store, rng, made = MemoryStore(), np.random.default_rng(1), []
    with Monitor(known, store=store, model="m", clock=ManualClock(DAWN)) as monitor:
        for place, n in enumerate(sizes):
            record(monitor, n, rng, minute=-1 - place)
            made.append(DAWN - (1 + place) * MINUTE)
        monitor.flush(ingest=True)
        found = {pane.time: pane.tallies for pane in store.read(Table.panes, model="m")}
    return [found.get(minute, {}) for minute in made]


def record(monitor: Monitor, n: int, rng: np.random.Generator, minute: int) -> None:
    columns, scores, outcomes = rows(n, rng)
    latencies, failed = rng.gamma(2, 5, n).tolist(), rng.random(n) < 0.01
    for i in range(n):
        monitor.record_prediction(
            {name: column[i].item() for name, column in columns.items()},
            None if failed[i] else float(scores[i]),
            latency_ms=latencies[i],
            error="ValueError" if failed[i] else None,
            outcome=int(outcomes[i]) if i % 4 else None,
            timestamp=DAWN + minute * MINUTE,
        )


def drawing(known: Reference) -> Callable[[int, np.random.Generator], Tallies]:
    """Return what makes the tallies of so many rows: whole stretches again, the rest anew."""
    stretches = ingested(known, [STRETCH] * STRETCHES)

    def draw(n: int, rng: np.random.Generator) -> Tallies:
        total: dict[str, Tally] = {}
        times = rng.multinomial(n // STRETCH, [1 / STRETCHES] * STRETCHES).tolist()
        rest = ingested(known, [n % STRETCH])
        for tallies, often in zip([*stretches, *rest], [*times, 1], strict=True):
            if often:
                add_tallies(total, tallies, often)
        return {name: pack(tally) for name, tally in total.items()}

    return draw


def monitor_of(store: MetricStore, panes: list[Pane], known: Reference) -> Monitor:
    """Return a monitor at the end of the day, whose store holds it."""
    for pane in panes:
        store.write(Batch(pane.key, {Table.panes: [pane]}))
    clock = ManualClock(DAWN + DAY - timedelta(seconds=1))
    return Monitor(known, store=store, model="m", notifiers=[], clock=clock)


def by_collector(monitor: Monitor) -> dict[str, Callable[[], object]]:
    """Return the work of each collector in a cycle that follows another."""
    window = monitor.window(DAWN, DAWN + DAY)
    calls: dict[str, Callable[[], object]] = {"summing the panes": lambda: replace(window).profile}
    if window.profile is None:
        raise RuntimeError("the window has no reference")
    for collector in collectors(None, DriftPolicy()):
        collect = getattr(collector, "collect", collector)
        body = next((it.body for it in collect(window) if isinstance(it, Memory)), {})
        view = replace(window, memory=body)
        share_sums(window, view)
        calls[part_name(collector)] = partial(run, collect, view)
    return calls


def run(collect: Collect, window: Window) -> None:
    for _ in collect(window):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each (default: 15)")
    parser.add_argument(
        "--seconds", type=float, default=30, help="begin no round after so long (default: 30)"
    )
    asked = parser.parse_args()

    known = reference()
    draw = drawing(known)
    calls = {}
    with tempfile.TemporaryDirectory(prefix="mlwatch-cycle-") as made:
        for total in TOTALS:
            panes = list(day_of(total, known, draw))
            stores = [MemoryStore(), SQLiteStore(Path(made) / f"{total}.db")]
            for name, store in zip(STORES, stores, strict=True):
                monitor = monitor_of(store, panes, known)
                check(monitor, total)
                calls[name, total] = partial(seconds_of, monitor.run_cycle)
            for name, call in by_collector(monitor).items():
                calls[f"  {name}", total] = partial(seconds_of, call)
        found = timed(calls, asked.rounds, asked.seconds)
    show(found)


def check(monitor: Monitor, total: int) -> None:
    """Raise unless a cycle of the monitor judges so many rows, and everything in them."""
    report = monitor.run_cycle()
    if report["prediction_count"].value != total or report.faults:
        raise RuntimeError(f"the window does not hold the day: {report}")
    if report["roc_auc"].value is None or len(report.drift) < FEATURES:
        raise RuntimeError(f"not everything was measured: {report}")


def show(found: dict[tuple[str, int], float]) -> None:
    few, many = TOTALS
    print(f"{'ms':<25}{f'{few:.0e} rows':>14}{f'{many:.0e} rows':>14}{'ratio':>8}")
    for name in dict.fromkeys(name for name, _ in found):
        small, large = found[name, few], found[name, many]
        ratio = large / small
        goal = ""
        if name in STORES:
            goal = f"   goal: <= {GOAL:g}   {'met' if ratio <= GOAL else 'MISSED'}"
        print(f"{name:<25}{small * 1e3:>14,.2f}{large * 1e3:>14,.2f}{ratio:>8.2f}{goal}")


if __name__ == "__main__":
    main()
