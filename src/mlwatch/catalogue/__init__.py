"""The one catalogue of metrics: name, unit, kind, direction and one line of text each."""

from collections.abc import Mapping

from mlwatch.catalogue import (
    business,
    drift,
    machine,
    monitor,
    performance,
    quality,
    segments,
    traffic,
)
from mlwatch.catalogue.spec import MetricSpec

_FAMILIES = (performance, traffic, segments, quality, drift, business, machine, monitor)

CATALOGUE: Mapping[str, MetricSpec] = {
    spec.name: spec for family in _FAMILIES for spec in family.SPECS
}

__all__ = ["CATALOGUE", "MetricSpec"]
