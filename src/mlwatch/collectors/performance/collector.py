"""How well the model does, by the outcomes that have come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from mlwatch.collectors.performance.comparison import beside
from mlwatch.collectors.performance.figures import figures
from mlwatch.collectors.performance.rows import RowFigures
from mlwatch.errors import ConfigurationError
from mlwatch.records import DriftPolicy, Metric
from mlwatch.window import Window


@dataclass(frozen=True, slots=True)
class PerformanceCollector:
    """Measure the model by the outcomes that have come, at the time of their predictions.

    Each figure has its 95% interval and the number of rows behind it; `label_coverage` says how
    much of the traffic they speak for. Beside each stands the same figure on the reference, and
    `performance_change` is the difference, with a verdict.

    Args:
        rows: Take the areas under curves and the quantiles of errors from the rows that are kept,
            exactly, and not from counts, within a bound that is part of their interval.
        policy: The alarm budget; verdicts keep to its share `performance`.
        margin: A change does not matter up to so much of a share, and of losses and errors up to
            so much of what they are on the reference.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    rows: bool = False
    policy: DriftPolicy = field(default_factory=DriftPolicy)
    margin: float = 0.02
    name: str = "performance"

    def __post_init__(self) -> None:
        if not isinstance(self.rows, bool):
            raise ConfigurationError(f"PerformanceCollector(rows={self.rows!r}): True or False")
        if not isinstance(self.margin, int | float) or not 0 <= self.margin < 1:
            raise ConfigurationError(
                f"PerformanceCollector(margin={self.margin!r}): must lie from 0 up to 1"
            )

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the coverage, the figures of the window's task, and how they have changed."""
        rows = window.tally("rows")
        recorded, labelled = rows.get("recorded", 0), rows.get("labelled", 0)
        yield Metric("labelled_count", float(labelled), n=recorded)
        if recorded:
            yield Metric("label_coverage", labelled / recorded, n=recorded)
        yield from self._figures(window)

    def _figures(self, window: Window) -> Iterator[Metric]:
        here = (
            RowFigures.of(window) if self.rows else partial(figures, window.tallies, window.scoring)
        )
        known = {} if window.reference is None else window.reference.tallies
        yield from beside(here, partial(figures, known, window.scoring), self.policy, self.margin)
