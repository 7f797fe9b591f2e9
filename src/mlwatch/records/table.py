"""A cycle as a table that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from mlwatch.records.results import Alert, DriftResult, Fault, Metric

_OWN_SECTION = {"drift", "prediction_drift", "concept_drift", "monitoring_fault"}
_METRIC_HEADS = ("metric", "value", "95% interval", "n", "")
_DRIFT_HEADS = (
    "feature",
    "detector",
    "moved",
    "at least",
    "p",
    "n",
    "n ref",
    "missing",
    "unseen",
    "wrong kind",
    "verdict",
    "",
)


def render(
    *,
    model: str,
    model_version: str,
    since: datetime,
    time: datetime,
    metrics: Sequence[Metric],
    drift: Sequence[DriftResult],
    alerts: Sequence[Alert],
    firing: Sequence[Alert],
    faults: Sequence[Fault],
    fixed: Sequence[str],
) -> str:
    """Return a cycle as plain text: the verdict first, then metrics, drift, alerts and faults."""
    name = f"{clean(model)} {clean(model_version)}".strip()
    lines = [
        f"{name}  {since:%Y-%m-%d %H:%M} to {time:%Y-%m-%d %H:%M} UTC",
        _headline(drift, faults),
    ]
    shown = [metric for metric in metrics if metric.name not in _OWN_SECTION]
    lines += _section(_METRIC_HEADS, [_metric_row(metric, model_version) for metric in shown])
    moved = [result for result in drift if result.drifted is not False or result.effect]
    lines += _section(_DRIFT_HEADS, [_drift_row(result) for result in moved])
    if len(moved) < len(drift):
        lines += [
            f"({len(drift) - len(moved)} comparisons in which nothing moved are not shown)",
            "",
        ]
    lines += [f"{alert.state}: [{alert.severity}] {clean(alert.title)}" for alert in alerts]
    told = {alert.id for alert in alerts}
    lines += [
        f"still firing since {alert.since:%Y-%m-%d %H:%M}: [{alert.severity}] {clean(alert.title)}"
        for alert in firing
        if alert.id not in told
    ]
    lines += [f"monitoring fault in {clean(fault.part)}: {clean(fault.error)}" for fault in faults]
    if fixed:
        lines.append(f"outside the alarm budget: {'; '.join(map(clean, fixed))}")
    return "\n".join(lines)


def number(value: float | None) -> str:
    """Return a figure in four significant digits, or "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def clean(text: str) -> str:
    """Return text that cannot break out of its line: control characters are shown escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _headline(drift: Sequence[DriftResult], faults: Sequence[Fault]) -> str:
    found = [result for result in drift if result.drifted]
    drifted = list(dict.fromkeys(result.feature for result in found))
    features = {result.feature for result in drift}
    unknown = {result.feature for result in drift if result.drifted is None} - set(drifted)
    words = []
    if drifted:
        worst = max(found, key=lambda result: result.effect_low or 0.0)
        words.append(
            f"drifted: {', '.join(map(clean, drifted))} (most: {clean(worst.feature)}, at least "
            f"{worst.effect_low or 0.0:.0%} of the traffic)"
        )
    elif len(features) > len(unknown):
        words.append("no drift found")
    if unknown:
        words.append(f"not enough data for {len(unknown)} of {len(features)}")
    if faults:
        words.append(f"monitoring faults: {len(faults)}")
    return "; ".join(words) or "no drift was judged"


def _metric_row(metric: Metric, own_version: str) -> tuple[str, ...]:
    labels = [f"{name}={metric.labels[name]}" for name in sorted(metric.labels)]
    if metric.model_version != own_version:
        labels.append(f"model_version={metric.model_version}")
    name = f"{metric.name} [{', '.join(labels)}]" if labels else metric.name
    bounded = metric.low is not None or metric.high is not None
    interval = f"{number(metric.low)} to {number(metric.high)}" if bounded else ""
    note = metric.why or (metric.verdict if metric.value is None else "")
    return clean(name), number(metric.value), interval, f"{metric.n:,}", clean(note)


def _drift_row(result: DriftResult) -> tuple[str, ...]:
    return (
        clean(result.feature),
        clean(result.detector),
        number(result.effect),
        number(result.effect_low),
        number(result.p_value),
        f"{result.n:,}",
        f"{result.n_reference:,}",
        f"{result.missing:,}",
        f"{result.unseen:,}",
        f"{result.wrong_kind:,}",
        result.verdict,
        clean(result.why if result.drifted is None else "; ".join(result.caveats)),
    )


def _section(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]
    return ["", *lines, ""]
