"""The cost of counting values on a reference's grid, as ratios to what numpy alone would take.

The control of numbers is `numpy.searchsorted` on the same edges and `numpy.bincount` of what it
gives, that of categories a plain loop over a dict of counts, and that of the panes of ingest the
same cells added to their panes one by one. None of the controls tells NaN from an infinity.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from mlwatch import Reference
from mlwatch.ingest.counting import _count_features
from mlwatch.ingest.joined import Joined
from mlwatch.profile import Distribution, Grid, NumericGrid, Profile, fit_grid
from mlwatch.records import Prediction

GOAL = 1.3
FEATURES = 20
START = datetime(2026, 1, 1, tzinfo=UTC)

Pair = tuple[Callable[[], object], Callable[[], object], int]
"""Ours, the control, and how many values each counts."""


def columns(n: int, rng: np.random.Generator) -> dict[str, tuple[Any, Any]]:
    """Return a reference and the values to count on it, by what they are."""
    normal, gone = rng.normal(size=n), rng.random(n) < 0.05
    holed = np.where(gone, np.nan, rng.normal(size=n))
    few, many = rng.integers(0, 200, n), rng.integers(-(2**62), 2**62, n)
    names = np.array([f"category {i}" for i in range(200)])
    texts = rng.choice(names, n)
    return {
        "float64": (normal, rng.normal(size=n)),
        "float64 with NaN": (normal, holed),
        "float32": (normal.astype(np.float32), rng.normal(size=n).astype(np.float32)),
        "float32 with NaN": (normal.astype(np.float32), holed.astype(np.float32)),
        "float64 on a float32 grid": (normal.astype(np.float32), rng.normal(size=n)),
        "int64, 200 values": (few, rng.integers(0, 200, n)),
        "int64, many values": (many, rng.integers(-(2**62), 2**62, n)),
        "int64 as float64 with NaN": (few, np.where(gone, np.nan, few)),
        "texts, 200 categories": (texts[:20_000].tolist(), texts.tolist()),
    }


def counted(grid: Grid, values: Any) -> Callable[[], object]:
    return lambda: Distribution.count("x", grid, values)


def plainly(grid: Grid, values: Any) -> Callable[[], object]:
    if not isinstance(grid, NumericGrid):
        return lambda: by_dict(values)
    edges, size = grid.edges, grid.size
    return lambda: np.bincount(np.searchsorted(edges, values, side="right"), minlength=size)


def by_dict(values: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


def profile_pair(n: int, rng: np.random.Generator) -> Pair:
    """Count a whole frame, with the sums of rank codes, beside its columns one by one."""
    frame = {f"x{i}": rng.normal(size=n) for i in range(FEATURES)}
    grids = {name: fit_grid(name, column) for name, column in frame.items()}
    controls = [plainly(grids[name], frame[name]) for name in frame]
    return lambda: Profile.count(grids, frame), lambda: [c() for c in controls], n * FEATURES


def pane_pair(n: int, rng: np.random.Generator) -> Pair:
    """Count the rows of thirty minutes as ingest does, beside a loop over rows."""
    data = {f"x{i}": rng.normal(size=5000) for i in range(FEATURES)}
    reference = Reference.fit(data)
    rows = [
        Prediction(
            model="m",
            request_id=str(i),
            time=START,
            features={name: float(value) for name, value in zip(data, values, strict=True)},
            prediction=0.5,
        )
        for i, values in enumerate(rng.normal(size=(n, FEATURES)))
    ]
    keys = [("", "", START + timedelta(minutes=i * 30 // n)) for i in range(n)]

    def one_by_one() -> None:
        panes: dict[Any, dict[str, dict[str, int]]] = {}
        for name, grid in reference.profile.grids.items():
            cells = grid.locate([row.features.get(name) for row in rows])
            for key, cell in zip(keys, cells.tolist(), strict=True):
                tally = panes.setdefault(key, {}).setdefault(name, {})
                tally[str(cell)] = tally.get(str(cell), 0) + 1

    return lambda: _count_features(rows, keys, reference, Joined()), one_by_one, n * FEATURES


def seconds(call: Callable[[], object]) -> float:
    begin = perf_counter()
    call()
    return perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each (default: 9)")
    parser.add_argument("--values", type=int, default=500_000, help="a column (default: 500,000)")
    asked = parser.parse_args()

    rng, n = np.random.default_rng(0), asked.values
    pairs: dict[str, Pair] = {}
    for name, (past, values) in columns(n, rng).items():
        grid = fit_grid("x", past)
        pairs[name] = (counted(grid, values), plainly(grid, values), n)
    pairs[f"a profile of {FEATURES}"] = profile_pair(n // FEATURES, rng)
    pairs[f"panes of {FEATURES} at ingest"] = pane_pair(n // FEATURES // 5, rng)

    print(f"{'values':<28}{'ours ms':>9}{'control ms':>12}{'million/s':>11}{'ratio':>8}")
    for name, (ours, control, count) in pairs.items():
        times: dict[Callable[[], object], list[float]] = {ours: [], control: []}
        for turn in range(asked.rounds):  # by turns, so that what the machine does slows both
            for call in (ours, control) if turn % 2 else (control, ours):
                times[call].append(seconds(call))
        mine, theirs = median(times[ours]), median(times[control])
        ratio = mine / theirs
        verdict = "met" if ratio <= GOAL else "MISSED"
        print(
            f"{name:<28}{mine * 1e3:>9.1f}{theirs * 1e3:>12.1f}{count / mine / 1e6:>11.1f}"
            f"{ratio:>8.3f}   goal: <= {GOAL:g}   {verdict}"
        )


if __name__ == "__main__":
    main()
