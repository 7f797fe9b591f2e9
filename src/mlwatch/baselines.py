"""What a user asks of the drift collector's memory: look back, begin anew, leave days out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from mlwatch import remembering
from mlwatch.collectors import DriftCollector
from mlwatch.collectors.drift import unusual
from mlwatch.cycle import Cycle
from mlwatch.errors import ConfigurationError
from mlwatch.profile.coarse import day_of
from mlwatch.records import AlarmBudget
from mlwatch.sequential.backtest import Backtest
from mlwatch.spans import DAY
from mlwatch.window import Window

LONGEST = timedelta(days=366)
"""Days are remembered one by one, so that a span without an end would fill the store."""


def backtest(cycle: Cycle, window: Window, budget: AlarmBudget | None) -> Backtest:
    """Return what past days would have alarmed; see `Monitor.backtest`."""
    collector = _drift_collector(cycle, window)
    memory = remembering.recall(cycle.store, window, [collector.name])[collector.name].body
    view = replace(
        window, memory=memory, kept=partial(remembering.kept, cycle.store, window, collector.name)
    )
    policy = collector.policy
    return unusual.replay(view, policy if budget is None else replace(policy, budget=budget))


def begin_anew(cycle: Cycle, window: Window, bad_days: Iterable[str] = ()) -> None:
    """Forget what was learnt of what is usual, and leave these days out when it is learnt again."""
    collector = _drift_collector(cycle, window)
    assert window.reference is not None
    edit = partial(unusual.forget, reference=window.reference, days=tuple(bad_days))
    remembering.change(cycle.store, window, collector.name, edit)


def days_between(since: datetime, until: datetime) -> list[str]:
    """Return the UTC days, as ISO dates, that `[since, until)` touches.

    Raises:
        ConfigurationError: The span is longer than a year.
    """
    if until - since > LONGEST:
        days = math.ceil((until - since) / DAY)
        raise ConfigurationError(
            f"mark_bad: from {since} to {until} are {days} days, of which {LONGEST // DAY} may be "
            "marked at a time: name the days of the incident alone; what is usual is learnt from "
            "the last 8 weeks, and where none of these is an example fit a new reference"
        )
    first, last = day_of(since), day_of(until - timedelta(microseconds=1))
    found = [first]
    while found[-1] < last:
        following = datetime.fromisoformat(found[-1]) + timedelta(days=1)
        found.append(following.date().isoformat())
    return found


def _drift_collector(cycle: Cycle, window: Window) -> DriftCollector:
    found = [it for it in cycle.collectors.values() if isinstance(it, DriftCollector)]
    if window.reference is None or not found:
        raise ConfigurationError(
            "nothing judges drift here: the monitor needs a reference, and a DriftCollector among "
            "its collectors"
        )
    return found[0]
