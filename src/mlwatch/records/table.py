"""A cycle as a table that a person reads at a glance."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from mlwatch.records.results import Alert, DriftResult, Fault, Metric

APART = {"prediction", "error_rate", "correlations", "all features"}
"""Names under which more is judged than the features, which are counted without them."""

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
_MOST_NAMES = 5


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
        _headline(drift, faults, model_version),
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


def worst_first(drift: Iterable[DriftResult]) -> list[str]:
    """Return the names of what has drifted, that with the largest bound of its effect first."""
    lows: dict[str, float] = {}
    for result in drift:
        if result.drifted:
            low = result.effect_low or 0.0
            lows[result.feature] = max(low, lows.get(result.feature, 0.0))
    return sorted(lows, key=lambda name: -lows[name])


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def number(value: float | None) -> str:
    """Return a figure in four significant digits, or "-" where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def clean(text: str) -> str:
    """Return text that cannot break out of its line: control characters are shown escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _headline(drift: Sequence[DriftResult], faults: Sequence[Fault], own_version: str) -> str:
    of: dict[str, list[DriftResult]] = {own_version: []}
    for result in drift:
        of.setdefault(result.model_version or own_version, []).append(result)
    words = [
        ("" if version == own_version else f"model_version {clean(version)}: ") + _found(results)
        for version, results in of.items()
        if results
    ]
    if faults:
        words.append(f"monitoring faults: {len(faults)}")
    return "; ".join(words) or "no drift was judged"


def _found(drift: Sequence[DriftResult]) -> str:
    """Return in words what was found in the traffic of one model version."""
    names = list(dict.fromkeys(result.feature for result in drift))
    judged = {result.feature for result in drift if result.drifted is not None}
    unknown = [name for name in names if name not in judged]
    features = len(set(names) - APART)
    words = []
    if drifted := worst_first(drift):
        verb = "has" if len(drifted) == 1 else "have"
        words.append(f"{_subjects(drifted, features)} {verb} drifted{_most(drifted, drift)}")
    elif judged:
        words.append("no drift found")
    if unknown:
        words.append(f"not enough data for {_subjects(unknown, features)}")
    return "; ".join(words)


def _subjects(names: Collection[str], features: int) -> str:
    """Return "prediction and 3 of 20 features": what is no feature is named, features counted."""
    subjects = [name for name in names if name in APART]
    if among := len(names) - len(subjects):
        subjects.append(f"{among} of {_plural(features, 'feature')}")
    return " and ".join(filter(None, (", ".join(subjects[:-1]), subjects[-1])))


def _most(drifted: Sequence[str], drift: Sequence[DriftResult]) -> str:
    """Return the names of the features, or what is no feature, and what is certain of the first."""
    names = [name for name in drifted if name not in APART]
    worst = (names or drifted)[0]
    low = max(it.effect_low or 0.0 for it in drift if it.drifted and it.feature == worst)
    size = f" (at least {low:.0%} of the traffic)" if low else ""
    if not names:
        return size
    shown = listed([clean(worst) + size, *map(clean, names[1:])])
    return f"{', worst first' if len(names) > 1 else ''}: {shown}"


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


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


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
