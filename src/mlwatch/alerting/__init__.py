"""Alerting: rules find, the manager tells each transition once."""

from mlwatch.alerting.manager import AlertManager, Transitions
from mlwatch.alerting.monitor_rules import LIMITS, Limit, MonitorHealth
from mlwatch.alerting.rules import Drifted, Finding, MonitoringFault, Rule, Threshold
from mlwatch.alerting.traffic_rules import NoTraffic, UnusualVolume
from mlwatch.alerting.violated import Violated

__all__ = [
    "LIMITS",
    "AlertManager",
    "Drifted",
    "Finding",
    "Limit",
    "MonitorHealth",
    "MonitoringFault",
    "NoTraffic",
    "Rule",
    "Threshold",
    "Transitions",
    "UnusualVolume",
    "Violated",
]
