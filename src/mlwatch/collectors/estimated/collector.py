"""How well the model does, as far as its own scores tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mlwatch.collectors.estimated.calibration import FEWEST, Calibration, Counts, by_outcome
from mlwatch.collectors.estimated.figures import NAMES, Estimate, estimate, realised
from mlwatch.collectors.performance.maturity import settled
from mlwatch.collectors.performance.past import delays_of_week
from mlwatch.detectors.relation import relate_scores, said_table
from mlwatch.intervals import Z95
from mlwatch.records import Metric, add_tallies
from mlwatch.reference import Reference
from mlwatch.window import Window

BLIND = "cannot see concept drift"
"""What every estimate carries: it takes scores to come true as often as on the reference."""

_SMOKE = 1e-3
_STRANGE = 0.20
_POOL = 5.0


@dataclass(frozen=True, slots=True)
class EstimatedPerformanceCollector:
    """Estimate the figures of a binary task before any outcome comes, from the scores alone.

    Each score stands for the rate at which such scores came true on the reference. That holds
    while only the inputs move, and is blind to a change of the relation between inputs and
    outcomes. Where labels have come, the figures realised on these rows are shown beside those
    estimated on them, and a smoke alarm compares outcomes at the same score with the reference's:
    when it fires, estimates are "untrusted", as they are where more than 20% of the scores are of
    a kind that the reference hardly knows. While labels of the window are to come, both are of the
    newest span as long whose labels have come, since soon labels are not like late ones.
    """

    name: str = "estimated_performance"

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return each figure estimated, and realised minus estimated on the labelled rows."""
        reference = window.reference
        if reference is None or not reference.task or not reference.has_outcomes:
            return
        scoring = reference.scoring
        if scoring.task != "binary" or scoring.grid is None:
            why = "undefined: only the scores of a binary task can be calibrated"
            yield Metric("estimated_accuracy", None, why=why)
            return
        calibration = Calibration.of(scoring, reference.tallies)
        lacking = _lacking(calibration, window)
        said = None if lacking else _said(calibration, window)
        if said is None:
            for name in NAMES:
                yield Metric(f"estimated_{name}", None, why=lacking or _NOT_BY_THRESHOLD)
            return
        beside, doubts = _by_labels(calibration, window, reference)
        doubts += _strange(calibration, window)
        yield from _estimates(calibration, said, window, beside, doubts)
        yield from beside


_NOT_BY_THRESHOLD = (
    "undefined: the labels that were served do not follow from the scores and the threshold"
)


def _lacking(calibration: Calibration, window: Window) -> str:
    """Return why there are no estimates for want of rows, or ""."""
    n, known = sum(window.tally("score").values()), int(calibration.known.sum())
    if known < 2 * FEWEST:
        return f"not enough data: {known} of {2 * FEWEST} labelled scores on the reference"
    return f"not enough data: {n} of {FEWEST} scores" if n < FEWEST else ""


def _said(calibration: Calibration, window: Window) -> Counts | None:
    labels, scores = window.tally("label"), window.tally("score")
    positives = labels.get(str(calibration.scoring.classes[1]), 0)
    without = sum(labels.values()) - sum(scores.values())
    return calibration.served(scores, positives, unsure=max(0, without))


def _estimates(
    calibration: Calibration,
    said: Counts,
    window: Window,
    beside: Sequence[Metric],
    doubts: Sequence[str],
) -> Iterator[Metric]:
    reference = window.reference
    assert reference is not None
    scoring = calibration.scoring
    then = realised(said_table(scoring, reference.tallies), calibration.known)
    shown = {metric.labels["metric"]: metric.why for metric in beside}
    n = int(said.sum())
    for name, found in estimate(calibration, said).items():
        notes = [*doubts, *filter(None, [found.why, shown.get(name)]), BLIND]
        low, high = found.bounds
        yield Metric(
            f"estimated_{name}",
            found.value,
            low=low,
            high=high,
            n=n,
            verdict="untrusted" if doubts else "",
            why="; ".join(notes),
            reference=then.get(name),
        )


def _by_labels(
    calibration: Calibration, window: Window, reference: Reference
) -> tuple[list[Metric], list[str]]:
    """Return what is realised beside what is estimated, and the doubts that labels raise.

    While labels take their time and more may come, those that have may be unlike all: they raise
    none.
    """
    delays = delays_of_week(window)
    view, state = settled(window, delays)
    if delays.n and not state.is_mature:
        return [state.mark(it) for it in _beside(calibration, view, " so far")], []
    if view is window:
        return list(_beside(calibration, view)), list(_smoke(reference, view))
    span = f" of {view.since:%Y-%m-%d %H:%M} to {view.until:%Y-%m-%d %H:%M}"
    beside = _beside(calibration, view, span)
    doubts = [f"{doubt}{span}" for doubt in _smoke(reference, view)]
    return [replace(it, since=view.since, time=view.until) for it in beside], doubts


def _beside(calibration: Calibration, window: Window, which: str = "") -> Iterator[Metric]:
    """Return the figures of the labelled rows, realised less estimated on these same rows."""
    scoring = calibration.scoring
    came, scored = said_table(scoring, window.tallies), by_outcome(scoring, window.tallies)
    n = int(came.sum())
    if n < FEWEST or n != scored.sum():
        return
    scores: dict[str, dict[str, int]] = {}
    for name in scoring.classes:
        add_tallies(scores, {"score": window.tally(f"given/{name}")})
    said = calibration.served(scores["score"], int(came[1].sum()))
    if said is None:
        return
    now = realised(came, scored)
    for name, found in estimate(calibration, said).items():
        if found.value is not None and name in now:
            yield _difference(name, now[name], found, n, which)


def _difference(name: str, value: float, found: Estimate, n: int, which: str) -> Metric:
    assert found.value is not None
    difference, half = value - found.value, Z95 * found.error
    return Metric(
        "realised_minus_estimated",
        difference,
        low=difference - half,
        high=difference + half,
        n=n,
        labels={"metric": name},
        why=f"realised {value:.3f}, estimated {found.value:.3f} on the {n:,} rows labelled{which}",
    )


def _smoke(reference: Reference, window: Window) -> Iterator[str]:
    """Say so where the labels that have come contradict the calibration."""
    found = relate_scores(reference.scoring, reference.tallies, window.tallies, _POOL)
    if found is not None and found.p_value is not None and found.p_value < _SMOKE:
        yield (
            f"untrusted: at the same score the {found.n:,} outcomes so far differ from the "
            f"reference (p {found.p_value:.1g}, rate {found.net:+.1%})"
        )


def _strange(calibration: Calibration, window: Window) -> Iterator[str]:
    share = calibration.strange(window.tally("score"))
    if share > _STRANGE:
        yield f"untrusted: {share:.0%} of the scores are such as the reference hardly has"
