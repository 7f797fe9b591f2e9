"""A cycle as a table that a person reads at a glance."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from mlwatch.records.keys import join_key
from mlwatch.records.results import EPOCH, IMMATURE, Alert, DriftResult, Fault, Metric
from mlwatch.records.segment_table import segment_section
from mlwatch.records.words import clean, columns, listed, number, of_version, plural, share

APART = {"prediction", "error_rate", "correlations", "all features", "outcomes", "relation"}
"""Names under which more is judged than the features, which are counted without them."""

_OUTCOMES, _RELATION, _ERRORS = "outcomes", "relation", "error_rate"
_OF_OUTCOMES = (_OUTCOMES, _RELATION, _ERRORS)

_OWN_SECTION = {
    "drift",
    "prediction_drift",
    "outcome_drift",
    "concept_drift",
    "monitoring_fault",
    "performance_change",
}
_TOLD_IF_ANY = {"labels_changed", "outcomes_without_prediction"}
_METRIC_HEADS = ("metric", "value", "95% interval", "reference", "n", "")
_REFERENCE = _METRIC_HEADS.index("reference")
_MOST_CELLS = 9
"""A confusion matrix of more cells is not shown."""

_DRIFT_HEADS = ("feature", "detector", "over", "moved", "at least", "p", "n", "n ref")
_DRIFT_COUNTS = ("missing", "unseen", "wrong kind")
_DRIFT_ORDER = (True, None, False)
_UNITS = (
    (timedelta(days=1), "day"),
    (timedelta(hours=1), "hour"),
    (timedelta(minutes=1), "minute"),
)


def render(
    *,
    model: str,
    model_version: str,
    since: datetime,
    time: datetime,
    metrics: Sequence[Metric],
    drift: Sequence[DriftResult],
    alerts: Sequence[Alert],
    firing: Sequence[Alert],
    faults: Sequence[Fault],
    fixed: Sequence[str],
    revised: Sequence[Metric] = (),
) -> str:
    """Return a cycle as plain text: the verdict first, then metrics, drift, alerts and faults."""
    name = f"{clean(model)} {clean(model_version)}".strip()
    head = [
        f"{name}  {since:%Y-%m-%d %H:%M} to {time:%Y-%m-%d %H:%M} UTC",
        _headline(drift, faults, model_version),
    ]
    told = {alert.id for alert in alerts}
    standing = [(alert.state, alert) for alert in alerts] + [
        (f"still firing since {alert.since:%Y-%m-%d %H:%M}", alert)
        for alert in firing
        if alert.id not in told
    ]
    tail = [line for state, alert in standing for line in _told(state, alert, model_version)]
    tail += [f"monitoring fault in {clean(fault.part)}: {clean(fault.error)}" for fault in faults]
    tail += [
        f"lost by the monitor: {clean(metric.why)}"
        for metric in metrics
        if metric.name == "monitor_lost_share"
        and metric.value
        and not any(alert.metric == metric.name for alert in alerts)
    ]
    tail += _revised(revised)
    if fixed:
        tail.append(f"outside the alarm budget: {'; '.join(map(clean, fixed))}")
    sections = [
        head,
        _metric_section(metrics, model_version, since, time),
        segment_section(metrics, model_version),
        _drift_section(drift, model_version),
        tail,
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def worst_first(drift: Iterable[DriftResult]) -> list[str]:
    """Return the names of what has drifted, that with the largest bound of its effect first."""
    lows: dict[str, float] = {}
    for result in drift:
        if result.drifted:
            low = result.effect_low or 0.0
            lows[result.feature] = max(low, lows.get(result.feature, 0.0))
    return sorted(lows, key=lambda name: -lows[name])


def _headline(drift: Sequence[DriftResult], faults: Sequence[Fault], own_version: str) -> str:
    of: dict[str, list[DriftResult]] = {own_version: []}
    for result in drift:
        of.setdefault(result.model_version or own_version, []).append(result)
    words = [
        ("" if version == own_version else f"model_version {clean(version)}: ") + _found(results)
        for version, results in of.items()
        if results
    ]
    if faults:
        words.append(f"monitoring faults: {len(faults)}")
    return "; ".join(words) or "no drift was judged"


def _found(drift: Sequence[DriftResult]) -> str:
    """Return in words what was found in the traffic of one model version.

    Where the outcomes were looked at too, it tells what moved: inputs, outcomes or their relation.
    """
    if any(result.feature in {_OUTCOMES, _RELATION} for result in drift):
        inputs = [result for result in drift if result.feature not in _OF_OUTCOMES]
        parts = [_inputs(inputs)] if inputs else []
        return "; ".join([*parts, *_of_outcomes(drift)])
    return _drifted(drift)


def _inputs(drift: Sequence[DriftResult]) -> str:
    """Return what of the inputs, and of the predictions made of them, moved."""
    drifted = worst_first(drift)
    lacking = _unknown(drift)
    if drifted:
        names = {result.feature for result in drift}
        moved = _subjects(drifted, len(names - APART)) + _most(drifted, drift)
        return "; ".join(filter(None, (f"inputs moved: {moved}", lacking)))
    judged = any(result.drifted is not None for result in drift)
    return "; ".join(filter(None, ("inputs did not move" if judged else "", lacking)))


def _of_outcomes(drift: Sequence[DriftResult]) -> Iterator[str]:
    """Return whether outcomes moved, and whether their relation to the inputs did."""
    found = {name: [it for it in drift if it.feature == name] for name in _OF_OUTCOMES}
    unknown = []
    for name, said in ((_OUTCOMES, "outcomes"), (_RELATION, "their relation")):
        if drifted := [it for it in found[name] if it.drifted]:
            low = math.floor(100 * max(it.effect_low or 0.0 for it in drifted))
            yield f"{said} moved" + (f" (at least {low}%)" if low else "")
        elif any(it.drifted is False for it in found[name]):
            yield f"{said} did not move"
        elif found[name]:
            unknown.append(said)
    if any(it.drifted for it in found[_ERRORS]):
        yield "the error rate grew"
    if unknown:
        yield f"not enough labels to say whether {' or '.join(unknown)} moved"


def _unknown(drift: Sequence[DriftResult]) -> str:
    """Return for what there is not enough data, or ""."""
    names = list(dict.fromkeys(result.feature for result in drift))
    judged = {result.feature for result in drift if result.drifted is not None}
    unknown = [name for name in names if name not in judged]
    return f"not enough data for {_subjects(unknown, len(set(names) - APART))}" if unknown else ""


def _drifted(drift: Sequence[DriftResult]) -> str:
    """Return what has drifted, where nothing is known of outcomes."""
    names = list(dict.fromkeys(result.feature for result in drift))
    judged = {result.feature for result in drift if result.drifted is not None}
    features = len(set(names) - APART)
    words = []
    if drifted := worst_first(drift):
        verb = "has" if len(drifted) == 1 else "have"
        words.append(f"{_subjects(drifted, features)} {verb} drifted{_most(drifted, drift)}")
    elif judged:
        words.append("no drift found")
    return "; ".join(filter(None, (*words, _unknown(drift))))


def _subjects(names: Collection[str], features: int) -> str:
    """Return "prediction and 3 of 20 features": what is no feature is named, features counted."""
    subjects = [name for name in names if name in APART]
    if among := len(names) - len(subjects):
        subjects.append(f"{among} of {plural(features, 'feature')}")
    return " and ".join(filter(None, (", ".join(subjects[:-1]), subjects[-1])))


def _most(drifted: Sequence[str], drift: Sequence[DriftResult]) -> str:
    """Return the names of the features, or what is no feature, and what is certain of the first."""
    names = [name for name in drifted if name not in APART]
    worst = (names or drifted)[0]
    low = max(it.effect_low or 0.0 for it in drift if it.drifted and it.feature == worst)
    percent = math.floor(100 * low)  # rounded up it would be no bound
    size = f" (at least {percent}% of the traffic)" if percent else ""
    if not names:
        return size
    shown = listed([clean(worst) + size, *map(clean, names[1:])])
    return f"{', worst first' if len(names) > 1 else ''}: {shown}"


def _metric_section(
    metrics: Sequence[Metric], own_version: str, since: datetime, time: datetime
) -> list[str]:
    """Return the table of metrics; what they are on the reference only where that is known."""
    apart = set(_OWN_SECTION)
    if sum(metric.name == "confusion" for metric in metrics) > _MOST_CELLS:
        apart.add("confusion")
    worse = {
        (metric.model_version, metric.since, metric.labels.get("metric")): metric.why
        for metric in metrics
        if metric.name == "performance_change" and metric.verdict == "drifted"
    }
    own_names = {metric.name for metric in metrics if metric.model_version == own_version}
    rows: list[Sequence[str]] = [_METRIC_HEADS]
    shown = [metric for metric in metrics if not _is_apart(metric, apart)]
    odd = [metric for metric in shown if not _is_usual(metric)]
    for metric in odd:
        name = join_key(metric.name, *(metric.labels[it] for it in sorted(metric.labels)))
        notes = (metric.why, worse.get((metric.model_version, metric.since, name)))
        told = replace(metric, why="; ".join(filter(None, notes)))
        rows.append(_metric_row(told, own_version, own_names, span_apart(metric, since, time)))
    if not any(row[_REFERENCE] for row in rows[1:]):
        rows = [(*row[:_REFERENCE], *row[_REFERENCE + 1 :]) for row in rows]
    return [*columns(rows[0], rows[1:]), *_hidden(len(shown) - len(odd))]


def _hidden(count: int) -> list[str]:
    what = "figure of a feature" if count == 1 else "figures of features"
    return (
        [f"({count:,} {what} at 0, as on the reference or without data, not shown)"]
        if count
        else []
    )


def _is_apart(metric: Metric, apart: Collection[str]) -> bool:
    """Say whether a metric is shown elsewhere, tells of nothing, or is about the monitor."""
    if metric.name in _TOLD_IF_ANY and not metric.value:
        return True
    return metric.name in apart or metric.name.startswith(("monitor_", "segment_"))


def span_apart(metric: Metric, since: datetime, time: datetime) -> str:
    """Return the span that a metric is about, in words, where it is not `[since, time)`."""
    if EPOCH in {metric.since, metric.time} or (metric.since, metric.time) == (since, time):
        return ""
    return f"{metric.since:%Y-%m-%d %H:%M} to {metric.time:%Y-%m-%d %H:%M}"


def _revised(metrics: Sequence[Metric]) -> list[str]:
    """Return the line that says of which past spans the figures were written anew."""
    spans = sorted({(metric.since, metric.time) for metric in metrics})
    shown = listed([f"{since:%Y-%m-%d}" for since, _ in spans])
    return [f"figures of past days written anew: {shown}"] if spans else []


def _is_usual(metric: Metric) -> bool:
    """Say whether a figure of one feature is 0 or cannot be told from that on the reference."""
    if "feature" not in metric.labels or metric.value is None:
        return "feature" in metric.labels
    if metric.reference is None or metric.low is None or metric.high is None:
        return metric.value == (metric.reference or 0.0)
    return metric.low <= metric.reference <= metric.high


def is_of_other_version(metric: Metric, own_version: str, own_names: Collection[str]) -> bool:
    """Return whether a metric's version has to be said beside it.

    What is about no version, such as the state of the machine, is told from what is about the
    report's own by its name alone.
    """
    return metric.model_version != own_version and bool(
        metric.model_version or metric.name in own_names
    )


def _metric_row(
    metric: Metric, own_version: str, own_names: Collection[str], span: str
) -> tuple[str, ...]:
    labels = [f"{name}={metric.labels[name]}" for name in sorted(metric.labels)]
    if is_of_other_version(metric, own_version, own_names):
        labels.append(f"model_version={metric.model_version}")
    if span:
        labels.append(span)
    name = f"{metric.name} [{', '.join(labels)}]" if labels else metric.name
    bounded = metric.low is not None or metric.high is not None
    interval = f"{number(metric.low)} to {number(metric.high)}" if bounded else ""
    reference = "" if metric.reference is None else number(metric.reference)
    note = metric.why or (metric.verdict if metric.value is None else "")
    if metric.verdict == IMMATURE and note.startswith(IMMATURE):
        note = IMMATURE  # why, says `label_maturity`
    return clean(name), number(metric.value), interval, reference, f"{metric.n:,}", clean(note)


def _drift_section(drift: Sequence[DriftResult], own_version: str) -> list[str]:
    """Return the drift table: what drifted first, what is said of many rows as numbered notes."""
    shown = [result for result in drift if result.drifted is not False or result.effect]
    shown.sort(key=lambda result: _DRIFT_ORDER.index(result.drifted))
    counts = [(result.missing, result.unseen, result.wrong_kind) for result in shown]
    used = [place for place in range(len(_DRIFT_COUNTS)) if any(row[place] for row in counts)]
    notes: dict[str, int] = {}
    rows = [
        [
            *_drift_row(result, own_version),
            *(f"{row[place]:,}" for place in used),
            result.verdict + "".join(f" [{note}]" for note in _noted(result, notes)),
        ]
        for result, row in zip(shown, counts, strict=True)
    ]
    lines = columns((*_DRIFT_HEADS, *(_DRIFT_COUNTS[place] for place in used), "verdict"), rows)
    lines += [f"[{place}] {clean(text)}" for text, place in notes.items()]
    if hidden := len(drift) - len(shown):
        verb = "is" if hidden == 1 else "are"
        lines.append(f"({plural(hidden, 'comparison')} in which nothing moved {verb} not shown)")
    return lines


def _drift_row(result: DriftResult, own_version: str) -> tuple[str, ...]:
    return (
        clean(result.feature + of_version(result.model_version, own_version)),
        clean(result.detector),
        _span(result.time - result.since),
        share(result.effect),
        share(result.effect_low),
        _p_value(result.p_value),
        f"{result.n:,}",
        f"{result.n_reference:,}",
    )


def _noted(result: DriftResult, notes: dict[str, int]) -> list[int]:
    """Return the numbers of a result's notes; one that is new gets the next."""
    lacking = result.why.removeprefix(f"{result.verdict}: ")
    texts = [lacking] if result.drifted is None else result.caveats
    return [notes.setdefault(text, len(notes) + 1) for text in texts if text]


def _told(state: str, alert: Alert, own_version: str) -> list[str]:
    lines = [f"{state}: {_title(alert, own_version)}"]
    return [*lines, f"    {clean(alert.why)}"] if alert.why else lines


def _title(alert: Alert, own_version: str) -> str:
    title = clean(alert.title + of_version(alert.model_version, own_version))
    return f"[{alert.severity}] {title}"


def _p_value(value: float | None) -> str:
    if value is None:
        return "-"
    return "<1e-4" if value < 1e-4 else f"{value:.2g}"


def _span(span: timedelta) -> str:
    """Return a span in the largest unit that fits it to 5%: windows end where panes do."""
    for unit, name in _UNITS:
        count = round(span / unit)
        if count and abs(span - count * unit) <= span / 20:
            return plural(count, name)
    return "-"
