"""Figures beside those of the reference, and whether the model has become worse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from mlwatch import intervals
from mlwatch.catalogue import CATALOGUE
from mlwatch.records import DriftPolicy, Metric, join_key
from mlwatch.sequential.budget import HOURS_A_WEEK, weekly_of_labels

Figures = Callable[[float], Iterable[Metric]]
"""Gives the figures of some traffic, with intervals at the level of a normal point."""


def beside(here: Figures, past: Figures, policy: DriftPolicy, margin: float) -> Iterator[Metric]:
    """Return figures with those of the reference, and then the change of each, with a verdict.

    The verdict is "drifted" when the interval of the change lies beyond the margin on the side
    that is worse. Each figure is tested in each cycle, of which there is one an hour, so that
    interval is of a stricter level than the one that is shown: all tests together raise the
    false alarms that the budget leaves to them, whatever depends on whatever. It holds for labels
    that are independent of each other.

    Args:
        here: The figures of the window.
        past: Those of the reference.
        policy: The alarm budget, and what change has to be visible.
        margin: The change that does not matter: so much of a share, of others so much of what
            the figure is on the reference.
    """
    found, known = list(here(intervals.Z95)), _bounded(past(intervals.Z95))
    for metric in found:
        other = known.get(_name(metric))
        yield metric if other is None else replace(metric, reference=other.value)
    current = _bounded(found)
    compared = [name for name in current if name in known]
    tests = sum(bool(_direction(current[name])) for name in compared)
    z = _strict_point(policy, tests)
    strictly, strictly_known = _bounded(here(z)), _bounded(past(z))
    for name in compared:
        change = _Change(name, current[name], known[name])
        strict = _Change(name, strictly[name], strictly_known[name])
        yield change.to_metric(strict, policy, margin)


def _strict_point(policy: DriftPolicy, tests: int) -> float:
    """Return the normal point of one test's level, and never one laxer than that of 95%."""
    level = weekly_of_labels(policy.budget) / HOURS_A_WEEK / max(1, tests)
    return max(intervals.Z95, intervals.normal_point(min(0.5, level)))


@dataclass(frozen=True, slots=True)
class _Change:
    """A figure of the window and the same one of the reference."""

    name: str
    here: Metric
    past: Metric

    @property
    def bounded(self) -> intervals.Bounded | None:
        """The change with its interval, if both have a value."""
        here, past = self.here.bounded, self.past.bounded
        return None if here is None or past is None else intervals.difference(here, past)

    def to_metric(self, strict: _Change, policy: DriftPolicy, margin: float) -> Metric:
        """Return the change as a metric; the verdict rests on the same one at a strict level."""
        blank = Metric("performance_change", None, n=self.here.n, labels={"metric": self.name})
        if self.bounded is None:
            lacks = self.here.why or f"{self.past.why}, on the reference"
            return replace(blank, verdict="not enough data", why=lacks)
        value, low, high = self.bounded
        shown = replace(blank, value=value, low=low, high=high)
        if not _direction(self.here):
            return shown
        verdict, why = self._judged(strict, policy, margin)
        return replace(shown, verdict=verdict, why=why)

    def _judged(self, strict: _Change, policy: DriftPolicy, margin: float) -> tuple[str, str]:
        """Return the verdict and what there is to say of it."""
        lacking, n = "not enough data", self.here.n
        if n < policy.min_rows:
            return lacking, f"{lacking}: {n} of {policy.min_rows} rows"
        if strict.bounded is None:
            return lacking, strict.here.why or f"{strict.past.why}, on the reference"
        unit = 1.0 if CATALOGUE[self.here.name].unit == "share" else abs(self.past.value or 0.0)
        _, least, most = strict.bounded
        worse = least if _direction(self.here) == "down" else -most
        if worse > margin * unit:
            return "drifted", f"worse than on the reference, by at least {worse:.3g}"
        half = (most - least) / 2
        if half > policy.min_visible * unit:
            return lacking, f"{lacking}: only a change of more than {half:.3g} could be seen"
        return "stable", ""


def _bounded(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Return the figures by name, without counts, which have no interval."""
    return {
        _name(metric): metric
        for metric in metrics
        if metric.value is None or metric.low is not None
    }


def _name(metric: Metric) -> str:
    return join_key(metric.name, *(metric.labels[label] for label in sorted(metric.labels)))


def _direction(metric: Metric) -> str:
    return CATALOGUE[metric.name].direction
