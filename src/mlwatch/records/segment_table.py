"""The section of the report that shows the segments: the worst, by what is certain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mlwatch.records.results import IMMATURE, Metric
from mlwatch.records.words import clean, columns, number, of_version, plural, share

_HEADS = ("segment", "share", "labelled", "figure", "errs more by", "at least", "")
_MOST = 5


def segment_section(metrics: Sequence[Metric], own_version: str) -> list[str]:
    """Return the segments that do worst, and the largest of those that cannot be compared."""
    found: dict[tuple[str, str], dict[str, Metric]] = {}
    for metric in metrics:  # the comparisons come first, worst first
        if metric.name.startswith("segment_"):
            place = metric.model_version, metric.labels["segment"]
            found.setdefault(place, {})[metric.name.removeprefix("segment_")] = metric
    ordered = sorted(found.items(), key=lambda it: _order(it[1]))
    rows = [
        (clean(name + of_version(version, own_version)), *_row(figures))
        for (version, name), figures in ordered[:_MOST]
    ]
    lines = columns(_HEADS, rows)
    if hidden := len(ordered) - len(rows):
        verb = "is" if hidden == 1 else "are"
        lines.append(f"({plural(hidden, 'more segment')} {verb} not shown)")
    return lines


def _order(figures: Mapping[str, Metric]) -> tuple[float, float]:
    excess, of_traffic = _excess(figures), figures.get("share")
    return (
        math.inf if excess is None or excess.low is None else -excess.low,
        0.0 if of_traffic is None or of_traffic.value is None else -of_traffic.value,
    )


def _row(figures: Mapping[str, Metric]) -> tuple[str, ...]:
    excess, of_traffic = _excess(figures), figures.get("share")
    quality = figures.get("accuracy") or figures.get("mae")
    return (
        share(of_traffic.value if of_traffic else None),
        f"{quality.n:,}" if quality else "0",
        f"{quality.name.removeprefix('segment_')} {number(quality.value)}" if quality else "-",
        number(excess.value if excess else None),
        number(excess.low if excess else None),
        _note(excess) if excess else "",
    )


def _excess(figures: Mapping[str, Metric]) -> Metric | None:
    return figures.get("error_excess") or figures.get("mae_excess")


def _note(metric: Metric) -> str:
    # Why it is immature, says `label_maturity`.
    short = metric.verdict == IMMATURE and metric.why.startswith(IMMATURE)
    return IMMATURE if short else clean(metric.why)
