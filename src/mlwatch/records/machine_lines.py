"""The lines of the report that tell of the machine and of services: readings, not figures."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from mlwatch.records.results import Metric
from mlwatch.records.words import clean, named, number

READINGS = ("cpu_", "load_", "memory_", "disk_", "network_", "open_", "process_", "service_")
"""What names of such metrics begin with."""

_WIDTH = 118


def machine_lines(metrics: Sequence[Metric]) -> list[str]:
    """Return the readings of one moment one after the other: none has an interval to show."""
    told = [
        f"{named(metric)} {number(metric.value)}" + (f" ({metric.why})" if metric.why else "")
        for metric in metrics
        if metric.name.startswith(READINGS)
    ]
    text = clean("machine and services: " + "; ".join(told)) if told else ""
    return textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_long_words=False)
