"""Words and figures of the report: short, on one line, in columns."""

from __future__ import annotations

from collections.abc import Sequence

from mlwatch.records.results import Metric

_MOST_NAMES = 5


def listed(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def named(metric: Metric, *more: str) -> str:
    """Return the name of a metric with its labels, and more of the like."""
    labels = [f"{name}={metric.labels[name]}" for name in sorted(metric.labels)]
    return f"{metric.name} [{', '.join([*labels, *more])}]" if labels or more else metric.name


def interval(metric: Metric) -> str:
    """Return the ends of a metric's interval, or nothing where it has none."""
    bounded = metric.low is not None or metric.high is not None
    return f"{number(metric.low)} to {number(metric.high)}" if bounded else ""


def number(value: float | None) -> str:
    """Return a figure in four significant digits, or in all that 1000 and more have, or "-"."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if 999.95 <= abs(value) < 1e15 else f"{value:.4g}"


def share(value: float | None) -> str:
    """Return a share in three decimals, or "-" where there is none."""
    return "-" if value is None else f"{value:.3f}"


def plural(count: int, word: str) -> str:
    """Return "1 day", or "3 days"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def clean(text: str) -> str:
    """Return text that cannot break out of its line: control characters are shown escaped."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def of_version(version: str, own_version: str) -> str:
    """Return what marks that something is about another model version than the report's."""
    return f" [model_version={version}]" if version not in {"", own_version} else ""


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows under their heads, in columns as wide as they need; nothing without rows."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (heads, *rows)
    ]
