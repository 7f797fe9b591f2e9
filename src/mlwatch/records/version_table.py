"""The sections of the report that show versions of the model side by side."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mlwatch.records.results import Metric
from mlwatch.records.words import clean, columns, interval, named, number, plural

_MOST = 40
_UNSURE = {"no difference is certain", "not enough data", ""}


def version_sections(
    metrics: Sequence[Metric], own: str, *, leave_out: Collection[str]
) -> list[list[str]]:
    """Return a table for each other version: what differs for certain first."""
    values = {(metric.model_version, named(metric)): metric.value for metric in metrics}
    found: dict[str, list[Metric]] = {}
    for metric in metrics:
        about = metric.labels.get("metric", "")
        if metric.name == "version_difference" and about.partition(" ")[0] not in leave_out:
            found.setdefault(metric.labels.get("version", ""), []).append(metric)
    sections = []
    for version, compared in found.items():
        compared.sort(key=lambda metric: metric.verdict in _UNSURE)
        names = (f"version {text or repr('')}" for text in (own, version))
        heads = ("side by side", *names, "difference", "95% interval", "")
        rows = [
            (
                clean(about := metric.labels["metric"]),
                number(values.get((own, about))),
                number(values.get((version, about))),
                number(metric.value),
                interval(metric),
                clean(metric.verdict),
            )
            for metric in compared[:_MOST]
        ]
        lines = columns([*map(clean, heads)], rows)
        if hidden := len(compared) - len(rows):
            lines.append(f"({plural(hidden, 'comparison')} more)")
        sections.append(lines)
    return sections
