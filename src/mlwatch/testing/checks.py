"""Checks that a collector, a detector or a notifier keeps its protocol; plain asserts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from mlwatch._guard import attempt
from mlwatch.catalogue import CATALOGUE
from mlwatch.errors import NotificationError
from mlwatch.profile import CategoricalGrid, Distribution, NumericGrid
from mlwatch.protocols import (
    Collector,
    DriftDetector,
    Item,
    Notifier,
    part_names,
    scope_of,
)
from mlwatch.records import Alert, DriftResult, Metric, Receipt, Severity, Table
from mlwatch.reference import Reference
from mlwatch.testing.memory_checks import check_passes, memory_of
from mlwatch.window import Window

_START = datetime(2024, 1, 1, tzinfo=UTC)
_COUNTED = {
    "alarms",
    "customers",
    "days",
    "faults",
    "features",
    "lines",
    "requests",
    "rows",
    "rows/s",
}


def check_detector(detector: Any) -> None:
    """Check that a drift detector keeps its protocol.

    It answers for at least one kind of feature; names the feature and itself (a detector with
    `names`: one of these); reports both sample sizes (of values, or of rows) and the counts of
    what stands apart; keeps effects and p-values in their ranges; finds more in a large change
    than in none; gives the same answer twice and whatever way the counts were put together; and
    takes empty, one-row and single-valued samples without a figure that means nothing.

    Raises:
        AssertionError: It does not; the message says how.
    """
    assert isinstance(detector, DriftDetector), f"{detector!r} has no name or no detect()"
    judged = 0
    for same, moved in (_numbers(), _categories()):
        reference = same[0]
        quiet = detector.detect(reference, same[1])
        if quiet is None:
            continue
        judged += 1
        loud = detector.detect(reference, moved)
        assert loud is not None, "answers for one window of a feature and not for another"
        for result, current in ((quiet, same[1]), (loud, moved)):
            _check_result(result, part_names(detector), reference, current)
        assert quiet.effect is not None, "no effect from samples of 2,000 rows"
        assert loud.effect is not None, "no effect from samples of 2,000 rows"
        assert loud.effect > quiet.effect, "a large change has no larger effect than none"
        assert detector.detect(reference, moved) == loud, "the same samples twice, two answers"
        halves = Distribution.count(moved.name, moved.grid, []) + moved
        assert detector.detect(reference, halves) == loud, "merged counts give another answer"
        empty = Distribution.count(reference.name, reference.grid, [])
        nothing = detector.detect(reference, empty)
        assert nothing is not None, "an empty window must be answered, with why"
        assert nothing.statistic is None, "a statistic of an empty window"
        assert nothing.p_value is None, "a p-value of an empty window"
        assert nothing.drifted is None, "a verdict on an empty window"
        assert nothing.why, "an empty window needs a why"
        one = Distribution.count(reference.name, reference.grid, [reference.values[1]])
        many = Distribution.count(reference.name, reference.grid, [reference.values[1]] * 500)
        for past, current in ((reference, one), (reference, many), (many, many), (empty, one)):
            single = detector.detect(past, current)
            assert single is not None, "a window of one row, or of one value, must be answered"
            _check_result(single, part_names(detector), past, current)
            assert past.n or single.statistic is None, "a statistic without a reference"
        equal = detector.detect(many, many)
        assert equal is not None, "a window of one value must be answered"
        assert not equal.effect, "an effect between two samples of one and the same value"
    assert judged, f"{detector.name} answers for no kind of feature"


def _check_result(
    result: DriftResult, names: frozenset[str], reference: Distribution, current: Distribution
) -> None:
    assert isinstance(result, DriftResult), f"detect() returned {type(result).__name__}"
    assert result.feature == current.name, "the result names another feature"
    assert result.detector in names, "the result names another detector"
    assert result.n in {current.n, current.total}, (
        f"n is {result.n}; the window holds {current.n} values in {current.total} rows"
    )
    sizes = {reference.n, reference.total}
    assert result.n_reference in sizes, "n_reference is not the reference's"
    assert result.missing == current.absent, "missing values are not counted"
    assert result.unseen == current.unseen, "unseen values are not counted"
    assert result.infinite == current.infinite, "infinite values are not counted"
    assert result.wrong_kind == current.wrong_kind, "values of a wrong kind are not counted"
    check_ranges(result)


def check_ranges(result: DriftResult) -> None:
    """Check that the figures of a drift result can be what they say.

    Raises:
        AssertionError: They cannot; the message says which.
    """
    for field in ("statistic", "effect", "effect_low", "p_value"):
        value = getattr(result, field)
        assert value is None or math.isfinite(value), f"{field} is {value}"
    if result.effect is not None:
        assert 0 <= result.effect <= 1, f"effect is {result.effect}, not a share"
    if result.effect is not None and result.effect_low is not None:
        assert 0 <= result.effect_low <= result.effect, "effect_low is not below the effect"
    if result.p_value is not None:
        assert 0 <= result.p_value <= 1, f"p_value is {result.p_value}"


def _numbers() -> tuple[tuple[Distribution, Distribution], Distribution]:
    rng = np.random.default_rng(0)
    sample = rng.normal(size=2000)
    grid = NumericGrid.fit(sample)
    odd = [math.nan, math.inf, -math.inf, "text"]
    same = [*rng.normal(size=1996), *odd]
    moved = [*rng.normal(2, 1, size=1600), *odd * 100]
    counted = [Distribution.count("x", grid, values) for values in (sample, same, moved)]
    return (counted[0], counted[1]), counted[2]


def _categories() -> tuple[tuple[Distribution, Distribution], Distribution]:
    rng = np.random.default_rng(0)
    draws = [rng.choice(list("abcd"), 2000, p=p) for p in ([0.4, 0.3, 0.2, 0.1],) * 2]
    moved = [*rng.choice(list("abcd"), 1600, p=[0.1, 0.2, 0.3, 0.4]), *["new", None, b"x"] * 100]
    grid = CategoricalGrid.fit(list(draws[0]))
    same = [Distribution.count("c", grid, list(values)) for values in draws]
    return (same[0], same[1]), Distribution.count("c", grid, moved)


def check_collector(collector: Any, windows: Sequence[Window] | None = None) -> None:
    """Check that a collector keeps its protocol.

    Its metrics are `Metric`s (or drift results or faults) whose intervals hold their value; a
    metric without a value says why; no two share name, labels and span; an empty window gives no
    figure that means nothing; and the same window twice gives the same metrics. What it remembers
    is one `Memory`, the last item, that survives JSON; and twelve hours of traffic in one pass
    give the same metrics, memory and panes as in several. One that is asked once a cycle measures
    what is no traffic: it gives metrics of the same names and labels twice, and remembers nothing.

    Args:
        collector: The collector.
        windows: Windows to try; an empty one, one without and one with a reference by default.

    Raises:
        AssertionError: It does not; the message says how.
    """
    assert isinstance(collector, Collector), f"{collector!r} has no name or no collect()"
    remembers, is_apart = False, scope_of(collector) == "machine"
    for window in sample_windows() if windows is None else windows:
        items = list(collector.collect(window))
        is_empty = not window.tallies and not is_apart
        seen = set()
        for item in items:
            assert isinstance(item, Item), f"collected {item!r}"
            if not isinstance(item, Metric):
                continue
            key = (item.name, *sorted(item.labels.items()), item.since, item.time)
            assert key not in seen, f"{key} is measured twice in one window"
            seen.add(key)
            _check_metric(item, is_empty=is_empty)
        remembers |= memory_of(items) is not None
        again = list(collector.collect(window))
        if is_apart:
            assert _names(again) == _names(items), "the same machine twice, other metrics"
        else:
            assert again == items, "the same window twice, two answers"
    assert not (remembers and is_apart), "remembers, and its scope is the machine"
    if remembers:
        check_passes(collector)


def _names(items: Sequence[Any]) -> list[tuple[str, dict[str, str]]]:
    return [(item.name, dict(item.labels)) for item in items if isinstance(item, Metric)]


def _check_metric(metric: Metric, *, is_empty: bool) -> None:
    if metric.value is None:
        assert metric.why, f"{metric.name} has no value and does not say why"
        return
    spec = CATALOGUE.get(metric.name)
    counts = spec is None or spec.unit in _COUNTED
    assert counts or not is_empty, f"{metric.name} is {metric.value} without any traffic"
    assert math.isfinite(metric.value), f"{metric.name} is {metric.value}"
    if metric.low is not None:
        assert metric.low <= metric.value, f"{metric.name}: low is above the value"
    if metric.high is not None:
        assert metric.value <= metric.high, f"{metric.name}: high is below the value"
    assert metric.n >= 0, f"{metric.name}: n is negative"


def sample_windows() -> list[Window]:
    """Return an empty window, one of three rows, and one of 400 rows with half of the outcomes."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 2000)
    scores = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    data = {"x": rng.normal(size=2000), "c": rng.choice(list("abc"), 2000)}
    reference = Reference.fit(data, predictions=scores, outcomes=truth, task="binary")
    full = _window(reference, 400, rng)
    return [Window("m", "1", _START, _START + timedelta(hours=1)), _window(None, 3, rng), full]


def _window(reference: Reference | None, n: int, rng: np.random.Generator) -> Window:
    from mlwatch.ingest.join import join
    from mlwatch.ingest.joined import Known

    truth = rng.integers(0, 2, n).tolist()
    events: list[Any] = []
    for i in range(n):
        features = {"x": rng.normal(), "c": str(rng.choice(list("abc")))}
        score = float(np.clip(rng.normal(0.4 + 0.2 * truth[i], 0.2), 0, 1))
        time = _START + timedelta(seconds=i)
        events.append(["p", "m", "1", str(i), time, features, score, None, 5.0 + i % 7, None, None])
    events += [["o", "m", str(i), _START, truth[i]] for i in range(0, n, 2)]
    rows = join(events, Known(), lambda _: reference, {}).rows("m")
    panes: Any = tuple(rows[Table.panes])
    return Window("m", "1", _START, _START + timedelta(hours=1), panes, reference)


def check_notifier(make: Callable[[], Any], *, failing: Callable[[], Any] | None = None) -> None:
    """Check that a notifier keeps its protocol.

    It takes a firing and a resolved alert of every severity, with hostile text in every field,
    and leaves the alert as it is.

    Args:
        make: Returns a notifier whose receiver accepts.
        failing: Returns one whose receiver does not; it must raise `NotificationError`.

    Raises:
        AssertionError: It does not; the message says how.
    """
    notifier = make()
    assert isinstance(notifier, Notifier), f"{notifier!r} has no name or no notify()"
    for severity in Severity:
        for state in ("firing", "resolved"):
            alert = sample_alert(severity, state)
            receipt, fault = attempt(notifier.name, notifier.notify, alert)
            if fault is not None:
                raise AssertionError(f"an alert was not taken: {fault.error}") from fault.cause
            assert receipt is None or isinstance(receipt, Receipt), f"notify() returned {receipt!r}"
            assert alert == sample_alert(severity, state), "the alert was changed"
    if failing is not None:
        _, fault = attempt("notifier", failing().notify, sample_alert(Severity.CRITICAL))
        raised = None if fault is None else fault.cause
        assert isinstance(raised, NotificationError), (
            f"what was not delivered must raise NotificationError; it raised {raised!r}"
        )


def sample_alert(severity: Severity = Severity.WARNING, state: str = "firing") -> Alert:
    """Return an alert whose texts try to break out of wherever they are put."""
    hostile = "<script>alert(1)</script>\r\nBcc: x@example.org\x1b[31m `*_~|' \" \\ %s {0}"
    return Alert(
        id="drift/m/1/x/2024-01-01T00:00:00+00:00",
        fingerprint="drift/m/1/x",
        rule="drift",
        severity=severity,
        state=state,
        title=hostile,
        why=hostile,
        since=_START,
        time=_START,
        metric="drift",
        value=0.4,
        low=0.3,
        high=None,
        threshold=0.1,
        labels={"feature": hostile},
        model=hostile,
        model_version=hostile,
    )
