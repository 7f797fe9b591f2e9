"""The facade: assembles the parts, takes records in, runs cycles, starts and stops."""

from mlwatch.monitor.monitor import Monitor

__all__ = ["Monitor"]
