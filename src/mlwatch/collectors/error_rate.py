"""The error rate, watched label by label as outcomes arrive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from mlwatch.collectors.drift import episodes
from mlwatch.collectors.drift.episodes import follow
from mlwatch.collectors.drift.unusual import closed_hours
from mlwatch.detectors.evidence import total_variation
from mlwatch.protocols import Item
from mlwatch.records import DriftPolicy, DriftResult, Memory, Metric, Tally, split_key
from mlwatch.reference import Reference
from mlwatch.sequential.budget import HOURS_A_WEEK, evidence_needed, weekly_of_labels
from mlwatch.sequential.e_detector import EDetector, EState
from mlwatch.window import Window

SUBJECT = "error_rate"
"""The name under which the result is kept beside those of the features."""


@dataclass(frozen=True)
class ErrorRateCollector:
    """Find a growing share of wrong predictions, as labels arrive, within the alarm budget.

    Each closed hour of labels adds to the evidence that more are wrong than on the reference (the
    e-detector of `mlwatch.sequential`, one-sided), however late they are. It holds for labels that
    are independent of each other; use it where they are, by
    `DriftPolicy(independent_labels=True)`. Classification only, and the reference needs outcomes.

    Args:
        policy: The alarm budget; labels take a third of its share `performance`.
    """

    policy: DriftPolicy = field(default_factory=DriftPolicy)
    name: str = SUBJECT

    def collect(self, window: Window) -> Iterator[Item]:
        """Return one drift result and the metric `concept_drift`."""
        if window.reference is None:
            return
        right, wrong = _known(window.reference)
        detector = EDetector.errors(right, wrong)
        if not detector.usable:
            yield from _shown(replace(_blank(0, right + wrong), why=_NOTHING_KNOWN))
            return
        memory = _Memory.recall(window)
        why = self._watch(memory, detector, window)
        result = _size(window, np.array([right, wrong], np.int64))
        memory.episode = follow(
            memory.episode, opens=why, low=result.effect_low, margin=0.0, now=window.until
        )
        yield from _shown(_told(result, memory))
        yield Memory(memory.to_plain(window.reference))

    def _watch(self, memory: _Memory, detector: EDetector, window: Window) -> str:
        """Take in the hours that were closed since the last cycle; return why there is an alarm."""
        needed = evidence_needed(weekly_of_labels(self.policy.budget) / HOURS_A_WEEK)
        why = ""
        for pane in closed_hours(window, memory.cursor):
            memory.cursor = pane.time + pane.span
            counts = _counts(pane.tallies.get("arrived", {}))
            if not counts.sum():
                continue
            memory.state, evidence = detector.update(memory.state or detector.start(), counts)
            if evidence >= needed:
                memory.state = detector.reset(memory.state)
                share = counts[1] / counts.sum()
                why = (
                    f"more of the labels that arrive are wrong than on the reference, up to "
                    f"{share:.1%} in the hour from {pane.time:%Y-%m-%d %H:%M}"
                )
        return why


@dataclass
class _Memory:
    """What is remembered from cycle to cycle."""

    cursor: datetime | None = None
    state: EState | None = None
    episode: episodes.Episode | None = None

    @classmethod
    def recall(cls, window: Window) -> _Memory:
        body: Mapping[str, Any] = window.memory
        assert window.reference is not None
        if body.get("reference") != window.reference.fingerprint:
            return cls()
        state, cursor = body["state"], body["cursor"]
        return cls(
            None if cursor is None else datetime.fromisoformat(cursor),
            None if state is None else EState.from_plain(state),
            episodes.from_plain(body["episodes"]).get(SUBJECT),
        )

    def to_plain(self, reference: Reference) -> dict[str, Any]:
        known = {} if self.episode is None else {SUBJECT: self.episode}
        return {
            "reference": reference.fingerprint,
            "cursor": None if self.cursor is None else self.cursor.isoformat(),
            "state": None if self.state is None else self.state.to_plain(),
            "episodes": episodes.to_plain(known),
        }


_NOTHING_KNOWN = (
    "not enough data: the reference does not say how often classes are predicted right; give "
    "Reference.fit(..., predictions=..., outcomes=...) of a classification"
)


def _shown(result: DriftResult) -> Iterator[DriftResult | Metric]:
    yield result
    yield Metric(
        "concept_drift",
        result.effect,
        low=result.effect_low,
        n=result.n,
        labels={"detector": result.detector},
        verdict=result.verdict,
        why=result.why,
    )


def _blank(n: int, n_reference: int) -> DriftResult:
    return DriftResult(SUBJECT, "e_detector", None, None, None, None, n, n_reference)


def _known(reference: Reference) -> tuple[int, int]:
    """Return how many predictions of the reference were right, and wrong."""
    pairs = {split_key(key): count for key, count in reference.tallies.get("confusion", {}).items()}
    right = sum(count for (label, outcome), count in pairs.items() if label == outcome)
    return right, sum(pairs.values()) - right


def _counts(tally: Tally) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array([tally.get("right", 0), tally.get("wrong", 0)], np.int64)


def _size(window: Window, known: np.ndarray[Any, np.dtype[np.int64]]) -> DriftResult:
    """Return by how much the share of wrong labels has grown in the window, without a verdict."""
    counts = _counts(window.tally("arrived"))
    n, n_reference = int(counts.sum()), int(known.sum())
    blank = _blank(n, n_reference)
    if not n:
        return replace(blank, why="not enough data: no labels have arrived")
    effect, low = total_variation(counts, known)
    grew = counts[1] / n > known[1] / n_reference
    return replace(
        blank,
        statistic=float(counts[1] / n),
        effect=effect if grew else 0.0,
        effect_low=low if grew else 0.0,
        why=f"{counts[1] / n:.1%} of the labels that arrived are wrong, "
        f"{known[1] / n_reference:.1%} on the reference",
    )


def _told(result: DriftResult, memory: _Memory) -> DriftResult:
    if memory.episode is None:
        return replace(result, drifted=False if result.n else None)
    found = memory.episode.since
    why = f"{result.why}; found {found:%Y-%m-%d %H:%M}: {memory.episode.why}"
    return replace(result, drifted=True, why=why)
