"""Notifiers: deliver one alert."""

from mlwatch.notifiers.log import LogNotifier

__all__ = ["LogNotifier"]
