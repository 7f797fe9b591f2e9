"""Lines of the service's log, counted where they are written and kept as one record a flush."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from mlwatch.recorder.encoding import encode

About = tuple[str, str]
"""Model and version."""


class Lines:
    """How many lines came since the last flush, by model, version and level.

    `count` takes no lock: between its reading and its writing there is no call at which another
    thread, or a signal handler, could come in.

    Args:
        clock: Gives the time of what is taken.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counts: defaultdict[tuple[About, str], int] = defaultdict(int)

    def __bool__(self) -> bool:
        return bool(self._counts)

    def count(self, about: About, level: str, lines: int = 1) -> None:
        """Count lines of a level."""
        self._counts[about, level] += lines

    def take(self) -> Iterator[tuple[About, dict[str, int], bytes]]:
        """Give what was counted so far, by model and version, with the record that says so."""
        if not self._counts:
            return
        now = self._clock()
        fresh: defaultdict[tuple[About, str], int] = defaultdict(int)
        taken, self._counts = self._counts, fresh
        by_version: defaultdict[About, dict[str, int]] = defaultdict(dict)
        for (about, level), lines in taken.items():
            by_version[about][level] = lines
        for about, levels in by_version.items():
            yield about, levels, encode(("l", *about, now, levels))
