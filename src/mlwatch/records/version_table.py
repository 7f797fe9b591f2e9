"""The sections of the report that show versions of the model side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from mlwatch.records.results import Metric
from mlwatch.records.words import clean, columns, interval, named, number

_MOST = 40
_UNSURE = {"no difference is certain", "not enough data", "immature", "untrusted", ""}
_ELSEWHERE = ("drift", "prediction_drift", "outcome_drift", "concept_drift", "confusion")

_Key = tuple[str, str, datetime, datetime]
"""Version, name with labels, and span."""


def version_sections(metrics: Sequence[Metric], own: str) -> list[list[str]]:
    """Return a table for each other version: what differs for certain first.

    Drift has a section of its own, and counts that are equal say nothing.
    """
    values = {(it.model_version, named(it), it.since, it.time): it.value for it in metrics}
    found: dict[str, list[Metric]] = {}
    for metric in metrics:
        if metric.name == "version_difference" and _is_shown(metric):
            found.setdefault(metric.labels.get("version", ""), []).append(metric)
    sections = []
    for version, compared in found.items():
        compared.sort(key=lambda metric: metric.verdict in _UNSURE)
        names = (f"version {text or repr('')}" for text in (own, version))
        heads = [clean(head) for head in ("side by side", *names, "difference")]
        rows = [_row(metric, values, (own, version)) for metric in compared[:_MOST]]
        lines = columns((*heads, "95% interval", ""), rows)
        if hidden := len(compared) - len(rows):
            lines.append(f"({hidden:,} more)")
        sections.append(lines)
    return sections


def _is_shown(metric: Metric) -> bool:
    about = metric.labels["metric"].partition(" ")[0]
    return about not in _ELSEWHERE and (metric.low is not None or metric.value != 0)


def _row(
    metric: Metric, values: Mapping[_Key, float | None], versions: tuple[str, str]
) -> tuple[str, ...]:
    about = metric.labels["metric"]
    figures = [number(values.get((it, about, metric.since, metric.time))) for it in versions]
    return clean(about), *figures, number(metric.value), interval(metric), clean(metric.verdict)
