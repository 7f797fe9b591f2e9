"""How well the model does, by the outcomes that have come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlwatch.collectors.performance.figures import figures
from mlwatch.records import Metric
from mlwatch.window import Window


@dataclass(frozen=True, slots=True)
class PerformanceCollector:
    """Measure the model by the outcomes that have come, at the time of their predictions.

    Each figure has its 95% interval and the number of rows behind it; `label_coverage` says how
    much of the traffic they speak for.
    """

    name: str = "performance"

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the coverage and the figures of the window's task."""
        rows = window.tally("rows")
        recorded, labelled = rows.get("recorded", 0), rows.get("labelled", 0)
        yield Metric("labelled_count", float(labelled), n=recorded)
        if recorded:
            yield Metric("label_coverage", labelled / recorded, n=recorded)
        yield from figures(window.tallies, window.scoring)
