"""A day of traffic as the store keeps it, drawn as counts, and what is timed on it."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np

from mlwatch.records import Cells, Pane, Tallies, Tally, pack
from mlwatch.reference import Reference
from mlwatch.spans import HOUR, MINUTE

DAWN = datetime(2024, 1, 1, tzinfo=UTC)

Key = TypeVar("Key", bound=Hashable)
Draw = Callable[[int, np.random.Generator], Tallies]
"""Gives the tallies of so many rows."""


def day_of(total: int, known: Reference, draw: Draw) -> Iterator[Pane]:
    """Give the panes of `total` rows: the last two hours by the minute, the rest by the hour."""
    spans = [(DAWN + i * HOUR, HOUR) for i in range(22)]
    spans += [(DAWN + 22 * HOUR + i * MINUTE, MINUTE) for i in range(120)]
    seconds = np.array([span.total_seconds() for _, span in spans])
    rng = np.random.default_rng(0)
    rows = rng.multinomial(total, seconds / seconds.sum()).tolist()
    for (start, span), n in zip(spans, rows, strict=True):
        yield pane_of(known, start, span, draw(n, rng))


def pane_of(known: Reference, start: datetime, span: timedelta, tallies: Tallies) -> Pane:
    """Return a pane of the model "m"."""
    return Pane(model="m", reference=known.fingerprint, time=start, span=span, tallies=tallies)


def features_like(known: Reference, rows: int) -> Draw:
    """Return what draws rows whose features, one by one, are spread like the reference's rows."""
    shares = np.array([known.distribution(name).counts / rows for name in known.features])

    def draw(n: int, rng: np.random.Generator) -> Tallies:
        drawn = zip(known.features, rng.multinomial(n, shares), strict=True)
        tallies: dict[str, Tally] = {"rows": {"recorded": n, "counted": n}}
        return tallies | {f"feature/{name}": tally_of(counts) for name, counts in drawn}

    return draw


def tally_of(counts: np.ndarray) -> Tally:
    filled = np.flatnonzero(counts)
    if len(counts) <= 8 * len(filled):
        return Cells(counts, {})  # what `pack` makes of so many, without the way there
    return pack(dict(zip(map(str, filled.tolist()), counts[filled].tolist(), strict=True)))


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor's time for one call."""
    begin = process_time()
    call()
    return process_time() - begin


def timed(calls: Mapping[Key, Callable[[], float]], rounds: int, limit: float) -> dict[Key, float]:
    """Return the median seconds of each, by turns, after one round that does not count.

    No round is begun after `limit` seconds, but for the first three.
    """
    times: dict[Key, list[float]] = {key: [] for key in calls}
    for call in calls.values():
        call()
    begin = perf_counter()
    done = 0
    while done < rounds and (done < 3 or perf_counter() - begin < limit):
        for key, call in calls.items():
            times[key].append(call())
        done += 1
    print(f"\nmedian of {done} rounds, by turns")
    return {key: median(found) for key, found in times.items()}
