"""What each detector sees: windows of known changes, and the share of them that it tells.

For each change two shares of the windows are printed: those with p < 0.001, where the detector
tells that something changed; and those whose lower bound of the effect is above 5% of the traffic,
where it is certain that the change matters. Without a change the first is to be about 0.1%, the
second 0.
"""

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from mlwatch import DriftResult, Reference
from mlwatch.detectors import (
    ChiSquareDetector,
    CorrelationDetector,
    CramerVonMisesDetector,
    GTestDetector,
    HellingerDetector,
    JSDetector,
    KLDetector,
    KSDetector,
    MannWhitneyDetector,
    MeanShiftDetector,
    MissingDetector,
    NoveltyDetector,
    PSIDetector,
    TotalVariationDetector,
    WassersteinDetector,
)

REFERENCE_ROWS = 10_000
LEVEL, MARGIN = 0.001, 0.05
SHARES = np.array([0.4, 0.3, 0.15, 0.1, 0.05])

BOTH = [
    GTestDetector(),
    KLDetector(),
    JSDetector(),
    PSIDetector(),
    HellingerDetector(),
    TotalVariationDetector(),
    MissingDetector(),
]
NUMERIC = [
    KSDetector(),
    CramerVonMisesDetector(),
    MannWhitneyDetector(),
    MeanShiftDetector(),
    MeanShiftDetector(of="std"),
    WassersteinDetector(),
    *BOTH,
    CorrelationDetector(),
]
CATEGORICAL = [ChiSquareDetector(), *BOTH, NoveltyDetector()]

Frame = dict[str, Any]
Draw = Callable[[np.random.Generator, int], Frame]


def numbers(
    shift: float = 0.0, spread: float = 1.0, piled: float = 0.0, gone: float = 0.0, tie: float = 0.6
) -> Draw:
    """Draw a normal feature that was changed, and another that goes with it by the correlation."""

    def draw(rng: np.random.Generator, n: int) -> Frame:
        x = rng.normal(size=n)
        with_it = tie * x + np.sqrt(1 - tie**2) * rng.normal(size=n)
        x = shift + spread * x
        x[rng.random(n) < piled] = 0.0
        x[rng.random(n) < gone] = np.nan
        return {"x": x, "with_it": with_it}

    return draw


def tail(share: float) -> Draw:
    """Draw a normal feature, a share of whose rows lies far out on both sides."""

    def draw(rng: np.random.Generator, n: int) -> Frame:
        frame = numbers()(rng, n)
        frame["x"] = np.where(rng.random(n) < share, 6 * frame["x"], frame["x"])
        return frame

    return draw


def classes(more: tuple[float, ...] = (0, 0, 0, 0, 0), new: float = 0.0, gone: float = 0.0) -> Draw:
    """Draw one of five categories, of changed shares, some rows a new one or none at all."""

    def draw(rng: np.random.Generator, n: int) -> Frame:
        x = rng.choice(list("abcde"), n, p=SHARES + more).astype(object)
        x[rng.random(n) < new] = "new"
        x[rng.random(n) < gone] = None
        return {"x": x}

    return draw


NUMERIC_CHANGES = {
    "none": numbers(),
    "mean +.25": numbers(shift=0.25),
    "mean +.5": numbers(shift=0.5),
    "spread x1.5": numbers(spread=1.5),
    "5% far out": tail(0.05),
    "10% piled": numbers(piled=0.1),
    "10% missing": numbers(gone=0.1),
    "decoupled": numbers(tie=0.0),
}
CATEGORICAL_CHANGES = {
    "none": classes(),
    "5% moved": classes((-0.05, 0, 0.05, 0, 0)),
    "10% moved": classes((-0.1, 0, 0.1, 0, 0)),
    "5% to the rarest": classes((-0.05, 0, 0, 0, 0.05)),
    "10% new": classes(new=0.1),
    "10% missing": classes(gone=0.1),
}


def answer(detector: Any, reference: Reference, frame: Frame) -> DriftResult:
    """Return the evidence about "x", or about all features together."""
    current = reference.count(frame)
    if getattr(detector, "joint", False):
        return detector.detect(reference.profile, current)
    return detector.detect(reference.distribution("x"), current.distribution("x"))


def shares(detector: Any, draw: Draw, reference: Reference, args: argparse.Namespace) -> str:
    """Return how often the detector tells, and how often it is certain that it matters."""
    rng = np.random.default_rng(args.seed)
    found = [answer(detector, reference, draw(rng, args.rows)) for _ in range(args.windows)]
    told = [it.p_value < LEVEL for it in found if it.p_value is not None]
    certain = np.mean([(it.effect_low or 0.0) > MARGIN for it in found])
    return f"{np.mean(told):4.0%} {certain:4.0%}" if told else f"   - {certain:4.0%}"


def show(detectors: list[Any], changes: dict[str, Draw], args: argparse.Namespace) -> None:
    """Print one table: a row a detector, a column a change."""
    reference = Reference.fit(changes["none"](np.random.default_rng(args.seed + 1), REFERENCE_ROWS))
    print(f"{'':18}" + "".join(f"{name:>18}" for name in changes))
    for detector in detectors:
        cells = [shares(detector, draw, reference, args) for draw in changes.values()]
        name = detector.name
        print(f"{name:18}" + "".join(f"{cell:>18}" for cell in cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=300)
    parser.add_argument("--rows", type=int, default=1000, help="rows of a window")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(
        f"Of {args.windows} windows of {args.rows:,} rows against {REFERENCE_ROWS:,}: "
        f"with p < {LEVEL} | certainly above {MARGIN:.0%} of the traffic"
    )
    print("\nNumbers")
    show(NUMERIC, NUMERIC_CHANGES, args)
    print("\nCategories")
    show(CATEGORICAL, CATEGORICAL_CHANGES, args)


if __name__ == "__main__":
    main()
