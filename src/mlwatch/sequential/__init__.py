"""Detectors with a memory: what is unusual for this service, within an alarm budget."""

__all__: list[str] = []
