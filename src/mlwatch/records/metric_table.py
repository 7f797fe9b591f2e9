"""The section of the report that shows the figures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from mlwatch.records.keys import join_key
from mlwatch.records.machine_lines import READINGS
from mlwatch.records.results import EPOCH, IMMATURE, Metric
from mlwatch.records.words import clean, columns, interval, named, number

_OWN_SECTION = {
    "drift",
    "prediction_drift",
    "outcome_drift",
    "concept_drift",
    "monitoring_fault",
    "performance_change",
    "realised_minus_estimated",
    "version_difference",
}
"""Metrics that are shown elsewhere in the report."""

_TOLD_IF_ANY = {
    "labels_changed",
    "outcomes_without_prediction",
    "new_features",
    "vanished_features",
    "constant_features",
    "id_like_features",
    "unexpected_share",
}
"""Metrics that say nothing where they are 0."""
_HEADS = ("metric", "value", "95% interval", "reference", "n", "")
_REFERENCE = _HEADS.index("reference")
_MOST_CELLS = 9
"""A confusion matrix of more cells is not shown."""


def metric_section(
    metrics: Sequence[Metric], own_version: str, since: datetime, time: datetime
) -> list[str]:
    """Return the table of metrics; what they are on the reference only where that is known."""
    apart = set(_OWN_SECTION)
    if sum(metric.name == "confusion" for metric in metrics) > _MOST_CELLS:
        apart.add("confusion")
    worse = {
        (metric.model_version, metric.since, metric.labels.get("metric")): metric.why
        for metric in metrics
        if metric.name == "performance_change" and metric.verdict == "drifted"
    }
    own_names = {metric.name for metric in metrics if metric.model_version == own_version}
    rows: list[Sequence[str]] = [_HEADS]
    shown = [metric for metric in metrics if not _is_apart(metric, apart)]
    odd = [metric for metric in shown if not _is_usual(metric)]
    for metric in odd:
        name = join_key(metric.name, *(metric.labels[it] for it in sorted(metric.labels)))
        notes = (metric.why, worse.get((metric.model_version, metric.since, name)))
        told = replace(metric, why="; ".join(filter(None, notes)))
        rows.append(_metric_row(told, own_version, own_names, span_apart(metric, since, time)))
    if not any(row[_REFERENCE] for row in rows[1:]):
        rows = [(*row[:_REFERENCE], *row[_REFERENCE + 1 :]) for row in rows]
    return [*columns(rows[0], rows[1:]), *_hidden(len(shown) - len(odd))]


def _hidden(count: int) -> list[str]:
    what = "figure of a feature" if count == 1 else "figures of features"
    line = f"({count:,} {what} at 0, as on the reference or without data, not shown)"
    return [line] if count else []


def _is_apart(metric: Metric, apart: Collection[str]) -> bool:
    """Say whether a metric is shown elsewhere, tells of nothing, or is about the monitor."""
    if metric.name in _TOLD_IF_ANY and not metric.value:
        return True
    return metric.name in apart or metric.name.startswith(("monitor_", "segment_", *READINGS))


def span_apart(metric: Metric, since: datetime, time: datetime) -> str:
    """Return the span that a metric is about, in words, where it is not `[since, time)`."""
    if EPOCH in {metric.since, metric.time} or (metric.since, metric.time) == (since, time):
        return ""
    return f"{metric.since:%Y-%m-%d %H:%M} to {metric.time:%Y-%m-%d %H:%M}"


def _is_usual(metric: Metric) -> bool:
    """Say whether a figure of one feature is 0 or cannot be told from that on the reference."""
    if "feature" not in metric.labels or metric.value is None:
        return "feature" in metric.labels
    if metric.reference is None or metric.low is None or metric.high is None:
        return metric.value == (metric.reference or 0.0)
    return metric.low <= metric.reference <= metric.high


def is_of_other_version(metric: Metric, own_version: str, own_names: Collection[str]) -> bool:
    """Return whether a metric's version has to be said beside it.

    What is about no version, such as the state of the machine, is told from what is about the
    report's own by its name alone.
    """
    return metric.model_version != own_version and bool(
        metric.model_version or metric.name in own_names
    )


def _metric_row(
    metric: Metric, own_version: str, own_names: Collection[str], span: str
) -> tuple[str, ...]:
    more = []
    if is_of_other_version(metric, own_version, own_names):
        more.append(f"model_version={metric.model_version}")
    if span:
        more.append(span)
    name = clean(named(metric, *more))
    reference = "" if metric.reference is None else number(metric.reference)
    note = metric.why or (metric.verdict if metric.value is None else "")
    if metric.verdict == IMMATURE and note.startswith(IMMATURE):
        note = IMMATURE  # why, says `label_maturity`
    return name, number(metric.value), interval(metric), reference, f"{metric.n:,}", clean(note)
