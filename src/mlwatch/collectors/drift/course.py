"""From sizes to a verdict: what is unusual and matters opens an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from mlwatch.collectors.drift.comparison import AnyDetector, Pair, ask, pairs_of, part_of
from mlwatch.collectors.drift.episodes import Episode, follow
from mlwatch.collectors.drift.unusual import Seen
from mlwatch.collectors.drift.verdict import chosen_margin, judge
from mlwatch.records import DriftPolicy, DriftResult, join_key, split_key
from mlwatch.sequential.scores import VALUES
from mlwatch.sequential.watch import LATCH, Unusual
from mlwatch.window import Window

UNCALIBRATED = "uncalibrated"
"""The caveat of a verdict that rests on the margin alone: nobody knows yet what is usual."""

USUAL = "this much is usual for this service"
"""The caveat of a difference from the reference that is nothing new."""


@dataclass(frozen=True)
class Course:
    """The course of the episodes in one cycle.

    Args:
        window: The window of the cycle.
        seen: What is unusual.
        policy: When evidence becomes a verdict.
        episodes: By feature and detector, as they stood before; changed as features are judged.
        parts: Shorter spans that were looked at, filled as they are.
    """

    window: Window
    seen: Seen
    policy: DriftPolicy
    episodes: dict[str, Episode]
    parts: dict[tuple[datetime, datetime], tuple[Window, dict[str, Pair]]] = field(
        default_factory=dict
    )

    def judge(
        self, results: Sequence[tuple[DriftResult, Window]], detector: AnyDetector
    ) -> DriftResult:
        """Return the result that decides, with its verdict.

        Args:
            results: What a detector says of one feature, in each window, the shortest first.
            detector: The detector, to be asked about shorter spans that were unusual.
        """
        first, view = results[0]
        if first.drifted is not None:
            return self._size(first, view)
        stream = join_key(getattr(detector, "group", VALUES), first.feature)
        watched = self.seen.is_watched(stream)
        sized = [self._size(result, view, watched=watched) for result, view in results]
        reason = self._reason(sized, stream) or self._sudden(stream, detector)
        key = join_key(first.feature, first.detector)
        before = self.episodes.pop(key, None)
        episode = follow(
            before,
            opens=reason,
            low=self._low(sized, stream, before),
            margin=chosen_margin(self.policy, calibrated=watched),
            now=self.window.until,
            known=watched,
        )
        if episode is not None:
            self.episodes[key] = episode
        elif before is not None and before.calm_since is not None:
            self._forget(stream, before.calm_since)
        return told(decisive(sized), episode, watched=watched)

    def _size(self, result: DriftResult, view: Window, *, watched: bool = False) -> DriftResult:
        return judge(result, self.policy, view.observed_seconds, calibrated=watched)

    def _low(
        self, sized: Sequence[DriftResult], stream: str, episode: Episode | None
    ) -> float | None:
        """Return the bound by which an episode goes on: the largest, or that of the longest span.

        Once it is a week old, and no day has been unusual for a week, the longest span decides
        alone, for the single days of a week may always differ from the reference as a whole.
        """
        known = [it.effect_low or 0.0 for it in sized if it.drifted is not None]
        is_old = episode is not None and self.window.until - episode.since >= LATCH
        if known and is_old and self._rests(stream):
            return known[-1]
        return max(known, default=None)

    def _rests(self, stream: str) -> bool:
        return self.seen.is_watched(stream) and stream not in self.seen.watch.latches

    def _forget(self, stream: str, calm_since: datetime) -> None:
        """Drop the memory of what was unusual before it was calm: it is over and opens no other."""
        latch = self.seen.watch.latches.get(stream)
        if latch is not None and latch.until - LATCH <= calm_since:
            del self.seen.watch.latches[stream]

    def _reason(self, sized: Sequence[DriftResult], stream: str) -> str:
        """Return why an episode has to be open: it matters, and is unusual where that is known."""
        if not any(result.drifted for result in sized):
            return ""
        if not self.seen.is_watched(stream):
            return decisive(sized).why
        latch = self.seen.watch.latches.get(stream)
        return "" if latch is None else latch.why

    def _sudden(self, stream: str, detector: AnyDetector) -> str:
        """Return why an hour, or six, that were just closed were unusual and matter."""
        for event in self.seen.found:
            low = self._certain(event, detector) if event.stream == stream else None
            if low is not None:
                return (
                    f"{event.why}, from {event.since:%Y-%m-%d %H:%M} to {event.until:%H:%M}, "
                    f"where at least {low:.3f} of the rows moved"
                )
        return ""

    def _certain(self, event: Unusual, detector: AnyDetector) -> float | None:
        """Return how much is certain of an effect in a span, or None where it does not matter."""
        key = (event.since, event.until)
        if key not in self.parts:
            pairs = pairs_of(view := part_of(self.window, *key))
            self.parts[key] = view, {current.name: (past, current) for past, current in pairs}
        view, pairs_by_name = self.parts[key]
        feature = split_key(event.stream)[1]
        if feature not in pairs_by_name:
            return None
        found = ask(detector, *pairs_by_name[feature], view)
        if not isinstance(found, DriftResult):
            return None
        sized = self._size(found, view, watched=True)
        return (sized.effect_low or 0.0) if sized.drifted else None


def decisive(sized: Sequence[DriftResult]) -> DriftResult:
    """Return the largest effect that matters; else the shortest span with enough data."""
    drifted = [result for result in sized if result.drifted]
    if drifted:
        return max(drifted, key=lambda result: result.effect_low or 0.0)
    return next((result for result in sized if result.drifted is not None), sized[-1])


def told(result: DriftResult, episode: Episode | None, *, watched: bool) -> DriftResult:
    """Return the result with the verdict that its episode gives it."""
    if result.drifted is None:
        return result
    caveats = result.caveats if watched else (UNCALIBRATED, *result.caveats)
    if episode is None:
        caveats = (*caveats, USUAL) if result.drifted else caveats
        return replace(result, drifted=False, caveats=caveats, why="")
    found = f"found {episode.since:%Y-%m-%d %H:%M}"
    if not result.drifted:
        why = f"{episode.why}; {found}; {_faded(result.effect_low or 0.0)}"
    else:
        why = f"{result.why}; {found}: {episode.why}" if watched else result.why
    return replace(result, drifted=True, caveats=caveats, why=why)


def _faded(low: float) -> str:
    """Say how much is certain of an effect that is no longer, or not yet, above the margin."""
    if not low:
        return "of the window as a whole no difference is certain"
    return f"of the window as a whole at least {low:.3f} differs, within the margin"
