"""What is said of a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """What a metric is.

    `kind` tells a gauge of one window from a total that only grows. `direction` tells which way
    is better: "up", "down", or "" where neither is.
    """

    name: str
    unit: str
    kind: Literal["gauge", "total"]
    direction: Literal["up", "down", ""]
    text: str
    labels: tuple[str, ...] = ()
