"""How well the model does, by the outcomes that have come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from mlwatch.collectors.performance import past
from mlwatch.collectors.performance.comparison import beside
from mlwatch.collectors.performance.delays import Delays
from mlwatch.collectors.performance.figures import figures
from mlwatch.collectors.performance.maturity import Maturity, maturity, newest_mature
from mlwatch.collectors.performance.past import Past
from mlwatch.collectors.performance.rows import RowFigures
from mlwatch.errors import ConfigurationError
from mlwatch.protocols import Item
from mlwatch.records import DriftPolicy, Memory, Metric, Revised
from mlwatch.spans import DAY
from mlwatch.window import Window


@dataclass(frozen=True, slots=True)
class PerformanceCollector:
    """Measure the model by the outcomes that have come, at the time of their predictions.

    Each figure has its 95% interval and the number of rows behind it; `label_coverage` says how
    much of the traffic they speak for. Beside each stands the same figure on the reference, and
    `performance_change` is the difference, with a verdict.

    Labels that are late are not like those that are not (fraud is reported after weeks), so a
    window is judged once 95% of its labels have come. Until then its figures are "immature", and
    the newest span as long whose labels have come is measured beside it. The figures of each past
    day are written anew when labels of it come.

    Args:
        rows: Take the areas under curves and the quantiles of errors from the rows that are kept,
            exactly, and not from counts, within a bound that is part of their interval.
        policy: The alarm budget; verdicts keep to a third of its share `performance`.
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

    def collect(self, window: Window) -> Iterator[Item]:
        """Return the figures of the window, of a mature one, and of past days with new labels."""
        seen = past.look(window, Past.recall(window.memory))
        delays = seen.delays
        state = maturity(window, delays, window.until)
        yield from self._measured(window, state)
        yield from delays.metrics()
        yield from _arrived(window, delays)
        if not state.is_mature:
            yield from self._earlier(window, delays)
        for day in seen.days:
            view = window.between(day, day + DAY)
            if view.tally("rows").get("counted"):  # not of an old reference alone
                found = self._measured(view, maturity(view, delays, window.until))
                yield Revised(tuple(_about(metric, view) for metric in found))
        yield Memory(seen.past.to_plain())

    def _measured(self, window: Window, state: Maturity) -> Iterator[Metric]:
        """Return how many labels have come, and the figures, marked where that is not enough."""
        rows = window.tally("rows")
        recorded, labelled = rows.get("recorded", 0), rows.get("labelled", 0)
        yield Metric("labelled_count", float(labelled), n=recorded)
        if recorded:
            yield state.mark(Metric("label_coverage", labelled / recorded, n=recorded))
        yield from map(state.mark, self._figures(window))
        yield from state.metrics()

    def _earlier(self, window: Window, delays: Delays) -> Iterator[Metric]:
        """Return the figures of the newest span whose labels have come, where there was traffic."""
        view = newest_mature(window, delays)
        if view is None or not view.tally("rows").get("counted"):
            return
        state = maturity(view, delays, window.until)
        for metric in self._measured(view, state) if state.is_mature else ():
            if metric.name not in {"labelled_count", "label_maturity"}:  # of the window alone
                why = metric.why or "the newest span whose labels have come"
                yield replace(_about(metric, view), why=why)

    def _figures(self, window: Window) -> Iterator[Metric]:
        here = (
            RowFigures.of(window) if self.rows else partial(figures, window.tallies, window.scoring)
        )
        known = {} if window.reference is None else window.reference.tallies
        yield from beside(here, partial(figures, known, window.scoring), self.policy, self.margin)


def _about(metric: Metric, window: Window) -> Metric:
    """Say that a metric is about a window of its own."""
    return replace(metric, since=window.since, time=window.until)


def _arrived(window: Window, delays: Delays) -> Iterator[Metric]:
    """Return what the labels that came in the window have changed, and those of unknown ids."""
    changed = window.tally("changed").get("labels", 0)
    unmatched = max(0, window.tally("unmatched").get("outcomes", 0))
    if delays.n or unmatched:
        yield Metric("labels_changed", float(changed), n=changed)
        yield Metric("outcomes_without_prediction", float(unmatched), n=unmatched)
