"""Alerting: rules find, the manager tells each transition once."""

from mlwatch.alerting.manager import AlertManager, Transitions
from mlwatch.alerting.rules import Drifted, Finding, MonitoringFault, Rule, Threshold

__all__ = [
    "AlertManager",
    "Drifted",
    "Finding",
    "MonitoringFault",
    "Rule",
    "Threshold",
    "Transitions",
]
