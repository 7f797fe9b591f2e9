"""Small full implementations of the protocols, for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from mlwatch.detectors import evidence
from mlwatch.errors import ConfigurationError
from mlwatch.profile import Distribution
from mlwatch.records import Alert, DriftResult, Metric
from mlwatch.window import Window


class ManualClock:
    """A clock that stands still until it is told to move; call it to read it.

    Args:
        start: The time it shows at first, timezone-aware.

    Raises:
        ConfigurationError: `start` has no timezone.
    """

    def __init__(self, start: datetime = datetime(2024, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise ConfigurationError(
                f"ManualClock(start={start!r}): has no timezone; add tzinfo=datetime.UTC"
            )
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        """Return the time it shows."""
        return self._now

    def advance(self, span: timedelta) -> datetime:
        """Move on by `span`, which may be negative, and return the new time."""
        self._now += span
        return self._now


class RecordingNotifier:
    """Keep every alert in `alerts`; raise instead while `fail_with` is set."""

    def __init__(self, name: str = "recording") -> None:
        self.name = name
        self.alerts: list[Alert] = []
        self.fail_with: Exception | None = None

    def notify(self, alert: Alert) -> None:
        """Keep `alert`, or raise what `fail_with` holds."""
        if self.fail_with is not None:
            raise self.fail_with
        self.alerts.append(alert)


class ScriptedDetector:
    """Answer with a scripted verdict for each feature, and "stable" for all others.

    Args:
        verdicts: By feature: True, False or None, or an exception to raise.
    """

    def __init__(
        self,
        verdicts: Mapping[str, bool | Exception | None] | None = None,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.verdicts = dict(verdicts or {})

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult:
        """Return the scripted verdict as a full result."""
        verdict = self.verdicts.get(current.name, False)
        if isinstance(verdict, Exception):
            raise verdict
        if not current.n:
            return evidence(self.name, reference, current)
        effect = {True: 1.0, False: 0.0, None: None}[verdict]
        return evidence(
            self.name,
            reference,
            current,
            statistic=effect,
            effect=effect,
            effect_low=effect,
            drifted=verdict,
            why="scripted",
        )


class ScriptedCollector:
    """Answer with one scripted list of metrics after the other, and then with the last one.

    Args:
        script: For each cycle its metrics, or an exception to raise.
    """

    def __init__(
        self, script: Sequence[Iterable[Metric] | Exception] = (), name: str = "scripted"
    ) -> None:
        self.name = name
        self._script = list(script)
        self.windows: list[Window] = []

    def collect(self, window: Window) -> list[Metric]:
        """Return the metrics of this cycle and keep the window in `windows`."""
        self.windows.append(window)
        if not self._script:
            return []
        step = self._script[min(len(self.windows), len(self._script)) - 1]
        if isinstance(step, Exception):
            raise step
        return list(step)
