"""Lines of a service's log as counts that add: by level, and nothing of what they say."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from mlwatch.records import Tallies, Tally

NAME: Final = "log"
"""The name of the tally."""

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
"""What is told apart, least first; a level in between counts as the one below it."""

SERIOUS: Final = LEVELS[LEVELS.index("ERROR") :]
"""The levels of lines that say that something failed."""

_STEP = 10


def of_number(number: int) -> str:
    """Return the level that a number of `logging` counts as."""
    return LEVELS[min(max(number // _STEP, 1), len(LEVELS)) - 1]


def of_name(name: str) -> str | None:
    """Return the level that a name counts as; None for one that `logging` does not know."""
    number = logging.getLevelNamesMapping().get(name.upper())
    return None if number is None else of_number(number)


def tallies(counts: Mapping[Any, Any]) -> Tallies | None:
    """Return counts by level as tallies; None where they are no such counts."""
    fits = all(name in LEVELS and type(n) is int and n > 0 for name, n in counts.items())
    return {NAME: dict(counts)} if fits and counts else None


def read(counted: Tally) -> tuple[dict[str, int], int, int]:
    """Return the lines by level, least first, how many are serious, and how many all are."""
    lines = {name: counted.get(name, 0) for name in LEVELS}
    return lines, sum(lines[name] for name in SERIOUS), sum(lines.values())
