"""The goals, and how what was measured is shown beside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """How long a measurement takes.

    Args:
        rounds: Turns of each, whose median counts.
        calls: Calls in a turn.
        seconds: A turn of the handler.
        millions: Records of the long run.
    """

    rounds: int
    calls: int
    seconds: float
    millions: float


FULL = Effort(rounds=15, calls=2000, seconds=2.0, millions=5.0)
QUICK = Effort(rounds=3, calls=500, seconds=0.3, millions=0.25)


@dataclass(frozen=True)
class Measured:
    """A figure, and the two things that it compares."""

    value: float
    behind: str


@dataclass(frozen=True)
class Goal:
    """What a figure has to be.

    Args:
        limit: In the figure's own unit, mostly a ratio.
        least: Whether more is better.
        fraction: Whether it is written as one over something.
    """

    limit: float
    least: bool = False
    fraction: bool = False

    def met(self, value: float) -> bool:
        """Say whether a figure is within the goal."""
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return (">= " if self.least else "<= ") + self.write(self.limit)

    def write(self, value: float) -> str:
        """Write a figure the way its goal is written."""
        return f"1/{digits(1 / value)}" if self.fraction else digits(value)


def digits(value: float) -> str:
    """Write three significant digits, without an exponent."""
    return f"{float(f'{value:.3g}'):g}"


GOALS: Mapping[str, Goal] = {
    "p50 / logging.info": Goal(0.20),
    "p99 / logging.info": Goal(0.5),
    "p50 / the naive way": Goal(1 / 25, fraction=True),
    "caller CPU / deque.append": Goal(20),
    "CPU of a durable record / the naive way": Goal(1 / 15, fraction=True),
    "collections in 50k records": Goal(0),
    "bytes / a naive line": Goal(0.60),
    "bytes, compressed / a naive line": Goal(0.30),
    "handler p90 at 10k records/s / without": Goal(1.25),
    "RSS at 5 M / at 1 M records": Goal(1.05),
    "disk dead: RSS growth / byte cap": Goal(1.3),
    "exit with a dead disk - deadline, s": Goal(0.5),
    "record_batch rows/s / record_prediction": Goal(20, least=True),
    "disabled, us a call": Goal(1.0),
}


def rows_of(found: Mapping[str, Measured]) -> list[tuple[str, ...]]:
    rows = [("figure", "value", "goal", "", "what was compared")]
    for name, goal in GOALS.items():
        if name in found:
            measured = found[name]
            verdict = "met" if goal.met(measured.value) else "MISSED"
            rows.append((name, goal.write(measured.value), str(goal), verdict, measured.behind))
    return rows


def table(found: Mapping[str, Measured]) -> str:
    rows = rows_of(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(aligned(row, widths) for row in rows)


def aligned(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def markdown(found: Mapping[str, Measured]) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in rows_of(found))
    return "\n".join([head, "|---|---:|---:|---|---|", *rows])
