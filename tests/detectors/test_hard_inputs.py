"""Hard inputs: the one right answer of each was written down before the detectors were run."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.detectors.samples import zipf

from mlwatch import DataError, DriftPolicy, Profile, Reference
from mlwatch.collectors.drift import judge
from mlwatch.detectors import (
    ChiSquareDetector,
    CramerVonMisesDetector,
    GTestDetector,
    HellingerDetector,
    JSDetector,
    KLDetector,
    KSDetector,
    MannWhitneyDetector,
    MeanShiftDetector,
    MissingDetector,
    PSIDetector,
    TotalVariationDetector,
    WassersteinDetector,
)

NUMERIC = [
    KSDetector(),
    CramerVonMisesDetector(),
    MannWhitneyDetector(),
    WassersteinDetector(),
    MeanShiftDetector(),
    MeanShiftDetector(of="std"),
]
CATEGORICAL = [ChiSquareDetector()]
CELLS = [
    GTestDetector(),
    KLDetector(),
    JSDetector(),
    PSIDetector(),
    HellingerDetector(),
    TotalVariationDetector(),
]
OF_CELLS = [detector.name for detector in CELLS]
DETECTORS = [*NUMERIC, *CATEGORICAL, *CELLS, MissingDetector()]

DRIFTED, STABLE, LACKING = "drifted", "stable", "not enough data"


@dataclass(frozen=True)
class Case:
    """What reference and traffic hold, and the right verdict.

    `values` is that of every detector that is for the kind, `missing` that of the missing share;
    `apart` names the detectors that legitimately see more or less.
    """

    kind: str
    values: str
    missing: str
    reference: Callable[[np.random.Generator], Any]
    traffic: Callable[[np.random.Generator], Any]
    apart: dict[str, str] = field(default_factory=dict)

    def expected(self, name: str) -> str | None:
        if name == "missing":
            return self.missing
        others = CATEGORICAL if self.kind == "numeric" else NUMERIC
        return None if name in {d.name for d in others} else self.apart.get(name, self.values)


def normal(n=2000, shift=0.0, scale=1.0):
    return lambda rng: rng.normal(shift, scale, n)


def letters(n=2000, p=(0.4, 0.3, 0.2, 0.1)):
    return lambda rng: rng.choice(list("abcd"), n, p=p)


def repeated(*values, n=2000):
    return lambda rng: [values[i] for i in rng.integers(0, len(values), n)]


def mixed_in(make, share, *values):
    """Rows of `make` of which a share is replaced by `values`."""

    def made(rng):
        rows = list(make(rng))
        return [values[i % len(values)] if rng.random() < share else v for i, v in enumerate(rows)]

    return made


def series(make, **options):
    return lambda rng: pd.Series(make(rng), **options)


def instants(days=(0, 30), zone=None):
    def made(rng):
        seconds = rng.uniform(days[0] * 86_400, days[1] * 86_400, 2000).astype("timedelta64[s]")
        found = pd.Series(np.datetime64("2024-01-01") + seconds)
        return found if zone is None else found.dt.tz_localize("UTC").dt.tz_convert(zone)

    return made


REF = normal(5000)
BIG = 2**53

CASES = {
    "no drift": Case("numeric", STABLE, STABLE, REF, normal()),
    "3 sd shift": Case("numeric", DRIFTED, STABLE, REF, normal(shift=3)),
    "harmless shift of .01 sd at a million rows": Case(
        "numeric", STABLE, STABLE, normal(10**6), normal(10**6, shift=0.01)
    ),
    "spread times ten": Case(
        "numeric", DRIFTED, STABLE, REF, normal(scale=10), {"mann_whitney": STABLE}
    ),
    "heavy tails": Case(
        "numeric",
        STABLE,
        STABLE,
        lambda r: r.standard_cauchy(5000),
        lambda r: r.standard_cauchy(2000),
    ),
    "NaN share jumps": Case("numeric", STABLE, DRIFTED, REF, mixed_in(normal(), 0.4, math.nan)),
    "a column of NaN": Case("numeric", LACKING, DRIFTED, REF, lambda _: np.full(2000, math.nan)),
    "a column of None": Case("numeric", LACKING, DRIFTED, REF, lambda _: [None] * 2000),
    "NaN in the reference as well": Case(
        "numeric", STABLE, STABLE, mixed_in(REF, 0.3, math.nan), mixed_in(normal(), 0.3, math.nan)
    ),
    "nothing in the reference": Case(
        "numeric", LACKING, DRIFTED, lambda _: [None] * 5000, normal()
    ),
    "nothing on either side": Case(
        "numeric", LACKING, STABLE, lambda _: [None] * 5000, lambda _: [None] * 2000
    ),
    "1% infinities": Case(
        "numeric", STABLE, STABLE, REF, mixed_in(normal(), 0.01, math.inf, -math.inf)
    ),
    "60% infinities": Case("numeric", DRIFTED, STABLE, REF, mixed_in(normal(), 0.6, math.inf)),
    "only infinities": Case("numeric", DRIFTED, STABLE, REF, lambda _: [math.inf] * 2000),
    "only infinities in the reference": Case(
        "numeric",
        DRIFTED,
        STABLE,
        lambda _: [math.inf] * 5000,
        normal(),
        dict.fromkeys(OF_CELLS, LACKING),
    ),
    "one row": Case("numeric", LACKING, LACKING, REF, normal(1)),
    "49 rows": Case("numeric", LACKING, LACKING, REF, normal(49, shift=9)),
    "an empty window": Case("numeric", LACKING, LACKING, REF, lambda _: []),
    "a reference of 20 rows": Case("numeric", LACKING, LACKING, normal(20), normal(shift=9)),
    "traffic stuck at the median": Case(
        "numeric", DRIFTED, STABLE, REF, lambda _: [0.0] * 2000, {"mann_whitney": STABLE}
    ),
    "one value on both sides": Case(
        "numeric", STABLE, STABLE, lambda _: [7] * 5000, lambda _: [7] * 2000
    ),
    "another value than the only one": Case(
        "numeric", DRIFTED, STABLE, lambda _: [7] * 5000, lambda _: [8] * 2000
    ),
    "zeros from 30% to 80%": Case(
        "numeric",
        DRIFTED,
        STABLE,
        mixed_in(lambda r: r.exponential(size=5000), 0.3, 0.0),
        mixed_in(lambda r: r.exponential(size=2000), 0.8, 0.0),
    ),
    "integers that doubles cannot tell apart": Case(
        "numeric", DRIFTED, STABLE, repeated(BIG, BIG + 1, n=5000), lambda _: np.full(2000, BIG + 1)
    ),
    "the same large integers": Case(
        "numeric", STABLE, STABLE, repeated(BIG, BIG + 1, n=5000), repeated(BIG, BIG + 1)
    ),
    "unsigned integers beyond 2**63": Case(
        "numeric",
        STABLE,
        STABLE,
        lambda r: 2**63 + r.integers(0, 10, 5000, dtype=np.uint64) * 2**20,
        lambda r: 2**63 + r.integers(0, 10, 2000, dtype=np.uint64) * 2**20,
    ),
    "Python integers beyond 2**63": Case(
        "numeric",
        STABLE,
        STABLE,
        repeated(1, 2**70, -(2**80), n=5000),
        repeated(1, 2**70, -(2**80)),
    ),
    "denormal numbers": Case(
        "numeric",
        STABLE,
        STABLE,
        repeated(5e-324, -5e-324, 1e-320, n=5000),
        repeated(5e-324, -5e-324, 1e-320),
    ),
    "zeros of either sign": Case(
        "numeric", STABLE, STABLE, lambda _: [0.0] * 5000, lambda _: [-0.0] * 2000
    ),
    "the largest numbers": Case(
        "numeric",
        STABLE,
        STABLE,
        lambda r: r.choice([-1.7e308, 0.0, 1.7e308], 5000),
        lambda r: r.choice([-1.7e308, 0.0, 1.7e308], 2000),
    ),
    "float32 at training, float64 in service": Case(
        "numeric",
        STABLE,
        STABLE,
        lambda r: r.normal(size=5000).round(1).astype(np.float32),
        lambda r: r.normal(size=2000).round(1),
    ),
    "decimals": Case(
        "numeric",
        STABLE,
        STABLE,
        repeated(Decimal("0.1"), Decimal("2.5"), n=5000),
        repeated(Decimal("0.1"), Decimal("2.5")),
    ),
    "numbers as texts": Case(
        "numeric", LACKING, DRIFTED, REF, lambda r: [str(x) for x in r.normal(size=2000)]
    ),
    "texts among numbers": Case("numeric", STABLE, DRIFTED, REF, mixed_in(normal(), 0.5, "n/a")),
    "pandas Int64 with NA": Case(
        "numeric",
        STABLE,
        STABLE,
        series(repeated(1, 2, 3, pd.NA, n=5000), dtype="Int64"),
        series(repeated(1, 2, 3, pd.NA), dtype="Int64"),
    ),
    "times": Case("numeric", STABLE, STABLE, instants(), instants()),
    "times of another zone": Case(
        "numeric", STABLE, STABLE, instants(zone="UTC"), instants(zone="Asia/Tokyo")
    ),
    "times a month later": Case("numeric", DRIFTED, STABLE, instants(), instants(days=(30, 60))),
    "NaT among times": Case(
        "numeric", STABLE, DRIFTED, instants(), series(mixed_in(instants(), 0.4, pd.NaT))
    ),
    "categories": Case("categorical", STABLE, STABLE, letters(5000), letters()),
    "categories that swap": Case(
        "categorical", DRIFTED, STABLE, letters(5000), letters(p=(0.1, 0.2, 0.3, 0.4))
    ),
    "unseen category in half of the rows": Case(
        "categorical", DRIFTED, STABLE, letters(5000), mixed_in(letters(), 0.5, "new")
    ),
    "unseen category in 1% of the rows": Case(
        "categorical", STABLE, STABLE, letters(5000), mixed_in(letters(), 0.01, "new")
    ),
    "None among categories": Case(
        "categorical", STABLE, DRIFTED, letters(5000), mixed_in(letters(), 0.5, None)
    ),
    "10,000 categories": Case(
        "categorical",
        STABLE,
        STABLE,
        lambda r: [str(i) for i in r.choice(10_000, 50_000, p=zipf(10_000))],
        lambda r: [str(i) for i in r.choice(10_000, 20_000, p=zipf(10_000))],
    ),
    "an id that never repeats": Case(
        "categorical",
        STABLE,
        STABLE,
        lambda _: [f"id-{i}" for i in range(5000)],
        lambda _: [f"id-{i}" for i in range(5000, 7000)],
    ),
    "categories of mixed types": Case(
        "categorical",
        STABLE,
        STABLE,
        repeated("a", 2, 2.5, False, n=5000),
        repeated("a", 2, 2.5, False),
    ),
    "a number that became its text": Case(
        "categorical", DRIFTED, STABLE, repeated("a", 2, n=5000), repeated("a", "2")
    ),
    "booleans": Case(
        "categorical",
        STABLE,
        STABLE,
        lambda r: r.random(5000) < 0.5,
        lambda r: r.random(2000) < 0.5,
    ),
    "booleans that turn": Case(
        "categorical",
        DRIFTED,
        STABLE,
        lambda r: r.random(5000) < 0.5,
        lambda r: r.random(2000) < 0.9,
    ),
    "booleans as 0 and 1": Case(
        "categorical",
        STABLE,
        STABLE,
        lambda r: r.random(5000) < 0.5,
        lambda r: r.integers(0, 2, 2000),
    ),
    "pandas boolean with NA": Case(
        "categorical",
        STABLE,
        STABLE,
        series(repeated(True, False, pd.NA, n=5000), dtype="boolean"),
        series(repeated(True, False, pd.NA), dtype="boolean"),
    ),
    "pandas string with NA": Case(
        "categorical",
        STABLE,
        STABLE,
        series(repeated("a", "b", pd.NA, n=5000), dtype="string"),
        series(repeated("a", "b", pd.NA), dtype="string"),
    ),
    "pandas category": Case(
        "categorical",
        STABLE,
        STABLE,
        series(letters(5000), dtype="category"),
        series(letters(), dtype="category"),
    ),
    "pandas category of numbers that swap": Case(
        "categorical",
        DRIFTED,
        STABLE,
        series(lambda r: r.choice([1, 2], 5000, p=[0.5, 0.5]), dtype="category"),
        series(lambda r: r.choice([1, 2], 2000, p=[0.1, 0.9]), dtype="category"),
    ),
}


def verdict(detector, past, present) -> str | None:
    found = detector.detect(past, present)
    if found is None:
        return None
    for figure in (found.statistic, found.effect, found.effect_low, found.p_value):
        assert figure is None or math.isfinite(figure)
    return judge(found, DriftPolicy(), 3600).verdict


@pytest.mark.parametrize("name", CASES)
def test_hard_input(name):
    """Every detector gives the one right verdict, or none where it is not for the kind."""
    case, rng = CASES[name], np.random.default_rng(zlib.crc32(name.encode()))
    reference = Reference.fit({"x": case.reference(rng)})
    past = reference.distribution("x")
    present = reference.count({"x": case.traffic(rng)}).distribution("x")

    assert past.kind == case.kind
    found = {detector.name: verdict(detector, past, present) for detector in DETECTORS}
    assert found == {name: case.expected(name) for name in found}


@pytest.mark.parametrize(
    ("cell", "values"), [(None, STABLE), (-1, DRIFTED)], ids=["unchanged", "beyond the range"]
)
@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_a_billion_rows_counted_elsewhere(kind, cell, values):
    """Counts of 10**9 rows, made by SQL say, are judged like any others."""
    rng = np.random.default_rng(0)
    reference = Reference.fit({"x": REF(rng) if kind == "numeric" else letters(5000)(rng)})
    past = reference.distribution("x")
    counts = past.counts.astype(int) * 200_000
    if cell is not None:
        counts = np.zeros_like(counts)
        counts[cell] = 10**9
    given = dict(enumerate(counts.tolist()))
    if kind == "categorical":
        given = {(*past.grid.categories, "new")[i]: count for i, count in given.items()}
    present = Profile.from_counts(reference.profile, {"x": given}).distribution("x")

    assert present.n == 10**9
    case = Case(kind, values, STABLE, REF, REF)
    found = {detector.name: verdict(detector, past, present) for detector in DETECTORS}
    assert found == {name: case.expected(name) for name in found}


@pytest.mark.parametrize(
    ("column", "says"),
    [
        ([[1, 2], [3]] * 50, "'x' holds values of type list"),
        ([{"a": 1}] * 50, "'x' holds values of type dict"),
        ([b"a"] * 50, "'x' holds values of type bytes"),
        ([1 + 2j] * 50, "'x' holds values of type complex"),
        (np.array([1, 2], "timedelta64[s]"), "'x' holds values of type timedelta64"),
        (np.zeros((50, 2)), r"'x' is a ndarray of shape \(50, 2\)"),
        ("text", "'x' is a str"),
        ([], "without rows"),
    ],
    ids=["lists", "dicts", "bytes", "complex", "timedeltas", "two-dimensional", "a text", "empty"],
)
def test_references_that_cannot_be_counted(column, says):
    """What cannot be compared is refused when the reference is fitted, with the column's name."""
    with pytest.raises(DataError, match=says):
        Reference.fit({"x": column})


def test_traffic_that_cannot_be_counted():
    """A missing column, columns of unequal length and two-dimensional ones are refused by name."""
    reference = Reference.fit({"x": [1.0, 2.0], "y": [1.0, 2.0]})
    for frame, says in (
        ({"x": [1.0]}, r"missing column\(s\) 'y'"),
        ({"x": [1.0], "y": [1.0, 2.0]}, "unequal length"),
        ({"x": [1.0], "y": np.zeros((1, 2))}, "'y' is a ndarray"),
    ):
        with pytest.raises(DataError, match=says):
            reference.count(frame)
