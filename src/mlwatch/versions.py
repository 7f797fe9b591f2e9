"""Versions side by side: what the metrics of one cycle say of each other version of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mlwatch import intervals
from mlwatch.catalogue import CATALOGUE
from mlwatch.records import Metric
from mlwatch.records.words import named

LEVEL = 0.01
"""The chance that any difference from one other version is called certain where there is none."""

_UNSURE = ("immature", "untrusted")
"""What is said of a figure that stands for less than it seems to; so no version is better by it."""

_VERDICTS = {("up", True): "better", ("up", False): "worse"} | {
    ("down", True): "worse",
    ("down", False): "better",
}


def compare(metrics: Sequence[Metric], own: str) -> list[Metric]:
    """Return `version_difference` of each version with traffic, on every metric that both have.

    The value is that of the other version less the own one's, its interval of 95% is MOVER's (Zou
    and Donner, 2008). The verdict rests on a wider one: all that are compared with one version
    together are wrong with a chance of 1% (Bonferroni), at each look. It takes rows for
    independent of each other, and versions for served the same kind of traffic.

    Args:
        metrics: The metrics of a cycle, all versions.
        own: The version with which the others are compared.
    """
    by_version: dict[str, dict[_Key, Metric]] = {}
    for metric in metrics:
        key = (named(metric), metric.since, metric.time)
        by_version.setdefault(metric.model_version, {})[key] = metric
    ours = by_version.pop(own, {})
    found: list[Metric] = []
    for version, theirs in by_version.items():
        counts = (it for it in theirs.values() if it.name == "prediction_count")
        if any(count.value for count in counts):
            pairs = [_Pair(theirs[key], ours[key], version) for key in ours if key in theirs]
            found += _judged([pair for pair in pairs if pair.is_comparable])
    return found


_Key = tuple[str, datetime, datetime]


@dataclass(frozen=True, slots=True)
class _Pair:
    """One metric of two versions."""

    other: Metric
    own: Metric
    version: str

    @property
    def is_comparable(self) -> bool:
        """Whether it is a figure of at least one, and not itself a difference from something."""
        spec = CATALOGUE.get(self.own.name)
        has_value = self.other.value is not None or self.own.value is not None
        return has_value and (spec is None or spec.unit != "difference")

    @property
    def ends(self) -> tuple[intervals.Bounded, intervals.Bounded] | None:
        """The figures with their intervals, if both have one."""
        other, own = self.other.bounded, self.own.bounded
        return None if other is None or own is None else (other, own)

    def to_metric(self, widening: float) -> Metric:
        """Return the difference, with a verdict on an interval so many times as wide."""
        blank = Metric(
            "version_difference",
            None,
            n=min(self.other.n, self.own.n),
            labels={"metric": named(self.own), "version": self.version},
            since=self.own.since,
            time=self.own.time,
        )
        if self.other.value is None or self.own.value is None:
            lacks = self.other.why or self.own.why
            return replace(blank, verdict="not enough data", why=lacks)
        if self.ends is None:  # such as counts, which differ as the traffic is shared out
            return replace(blank, value=self.other.value - self.own.value)
        value, low, high = intervals.difference(*self.ends)
        verdict = self._verdict(value - (value - low) * widening, value + (high - value) * widening)
        unsure = (it for it in _UNSURE if it in {self.other.verdict, self.own.verdict})
        verdict = next(unsure, verdict)
        return replace(blank, value=value, low=low, high=high, verdict=verdict)

    def _verdict(self, low: float, high: float) -> str:
        if low <= 0 <= high:
            return "no difference is certain"
        spec = CATALOGUE.get(self.own.name)
        direction = "" if spec is None else spec.direction
        return _VERDICTS.get((direction, low > 0), "different")


def _judged(pairs: Sequence[_Pair]) -> Iterator[Metric]:
    tests = sum(pair.ends is not None for pair in pairs)
    point = intervals.normal_point(LEVEL / 2 / tests) if tests else intervals.Z95
    return (pair.to_metric(point / intervals.Z95) for pair in pairs)
