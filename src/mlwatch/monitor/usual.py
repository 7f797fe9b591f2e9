"""What a monitor takes for usual: tried on past days, and begun anew."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from mlwatch.records import AlarmBudget
from mlwatch.reference import FindReference
from mlwatch.spans import MINUTE, floor
from mlwatch.window import Window, check_span

if TYPE_CHECKING:
    from mlwatch.assembly import Parts
    from mlwatch.sequential.backtest import Backtest


class Usual:
    """The part of a monitor that looks back at what is usual for the service."""

    model: str
    model_version: str
    _parts: Parts
    _references: FindReference
    _clock: Callable[[], datetime]

    def backtest(
        self, budget: AlarmBudget | None = None, *, model_version: str | None = None
    ) -> Backtest:
        """Return what the drift detectors would have told on past days; `print` shows one line.

        Each of the last 28 days of traffic is judged against the others; of the days of the
        reference, while there are fewer than 14.

        Args:
            budget: Another budget than the monitor's own, to be tried.
            model_version: Another version than the monitor's own.

        Raises:
            ConfigurationError: The monitor does not judge drift.
            StoreError: The store cannot be read.
        """
        from mlwatch import baselines

        return baselines.backtest(self._parts.cycle, self._present(model_version), budget)

    def rebaseline(self, *, model_version: str | None = None) -> None:
        """Begin anew with what is usual: from the reference's days, or else from those kept.

        The drift detectors count what they have seen as part of what is normal, so that after a
        slow drift, or a long one that was put right, they compare with more than the reference.
        Call this once the cause is gone; open episodes end. Without days in the reference it is
        learnt again from the traffic's own, those of the drift too: name these by `mark_bad`. When
        the new state is to be the normal one, fit a new reference.

        Raises:
            ConfigurationError: The monitor does not judge drift.
            StoreError: The store cannot be read or written.
        """
        from mlwatch import baselines

        baselines.begin_anew(self._parts.cycle, self._present(model_version))

    def mark_bad(
        self, since: datetime, until: datetime, *, model_version: str | None = None
    ) -> None:
        """Say that the days of `[since, until)` are no example of what is usual.

        They take no part when it is learnt, from now on, what is usual; what was learnt is
        forgotten, as by `rebaseline`.

        Raises:
            ConfigurationError: The span is empty, longer than a year or has no timezone, or
                nothing judges drift.
            StoreError: The store cannot be read or written.
        """
        from mlwatch import baselines

        check_span("mark_bad", since, until)
        days = baselines.days_between(since, until)
        baselines.begin_anew(self._parts.cycle, self._present(model_version), days)

    def _present(self, model_version: str | None) -> Window:
        """Return a window without traffic that says which model, version and reference is meant."""
        version = self.model_version if model_version is None else model_version
        now = floor(self._clock(), MINUTE) + MINUTE
        return Window(self.model, version, now - MINUTE, now, reference=self._references(version))
