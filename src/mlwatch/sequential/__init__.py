"""Sequential detection: evidence that grows pane by pane, under a budget of false alarms."""

__all__: list[str] = []
