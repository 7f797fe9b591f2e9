"""A cycle as a table that a person reads at a glance."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from mlwatch.records.machine_lines import machine_lines
from mlwatch.records.metric_table import metric_section
from mlwatch.records.results import WITHIN, Alert, DriftResult, Fault, Metric
from mlwatch.records.segment_table import segment_section
from mlwatch.records.version_table import version_sections
from mlwatch.records.words import clean, columns, listed, of_version, plural, share

APART = {"prediction", "error_rate", "correlations", "all features", "outcomes", "relation"}
"""Names under which more is judged than the features, which are counted without them."""

_OUTCOMES, _RELATION, _ERRORS = "outcomes", "relation", "error_rate"
_OF_OUTCOMES = (_OUTCOMES, _RELATION, _ERRORS)

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
        metric_section(metrics, model_version, since, time),
        segment_section(metrics, model_version),
        _drift_section(drift, model_version),
        *version_sections(metrics, model_version),
        machine_lines(metrics),
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
        elif any(it.drifted is False and WITHIN in it.caveats for it in found[name]):
            yield f"{said} moved, not certainly by the margin"
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


def _revised(metrics: Sequence[Metric]) -> list[str]:
    """Return the line that says of which past spans the figures were written anew."""
    spans = sorted({(metric.since, metric.time) for metric in metrics})
    shown = listed([f"{since:%Y-%m-%d}" for since, _ in spans])
    return [f"figures of past days written anew: {shown}"] if spans else []


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
