"""The machine: what it has left, within the limits that its container sets."""

from mlwatch.collectors.system.cgroup import Cgroup
from mlwatch.collectors.system.collector import SystemCollector

__all__ = ["Cgroup", "SystemCollector"]
