"""Two questions to the outcomes: do they come as often, and do they still follow the inputs?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from mlwatch.collectors.concept import classes, numbers
from mlwatch.collectors.concept.classes import OUTCOMES, RELATION
from mlwatch.collectors.drift import episodes
from mlwatch.collectors.drift.comparison import spans
from mlwatch.collectors.drift.course import decisive, told
from mlwatch.collectors.drift.episodes import follow
from mlwatch.collectors.drift.verdict import chosen_margin, judge
from mlwatch.collectors.performance.delays import Delays
from mlwatch.collectors.performance.maturity import Maturity, settled
from mlwatch.collectors.performance.past import Past, look
from mlwatch.protocols import Item
from mlwatch.records import DriftPolicy, DriftResult, Memory, Metric
from mlwatch.records.results import WITHIN
from mlwatch.sequential.budget import HOURS_A_WEEK, weekly_of_labels
from mlwatch.window import Window

_METRICS = {OUTCOMES: "outcome_drift", RELATION: "concept_drift"}


@dataclass(frozen=True)
class ConceptDriftCollector:
    """Say whether outcomes moved, and whether their relation to the predictions did.

    Together with the drift of the inputs that is the whole change, for classes exactly: G of
    scores and outcomes together is that of the scores and that of the outcomes given the score.
    Inputs that move take the outcomes along while their relation stands; a relation that moves
    may leave inputs and outcomes as they were, and no retraining-free cure helps against it.

    - "outcomes": of classes how often each came (G), of a regression the mean (z). Blind to what
      leaves these as they are.
    - "relation": of a binary task outcomes at the same score (G and the calibration z), of classes
      without scores the classes that came where the same was said (G), of a regression the mean
      error and the mean absolute error (z).

    Either has moved when its p-value is within the alarm budget and the lower bound of its effect
    is above the margin of an uncalibrated verdict, since no one knows the ordinary days of labels.

    Args:
        policy: When evidence becomes a verdict, within a third of the budget's share `performance`.
    """

    policy: DriftPolicy = field(default_factory=DriftPolicy)
    name: str = "concept_drift"

    def collect(self, window: Window) -> Iterator[Item]:
        """Return a drift result and a metric each; nothing without outcomes on the reference."""
        reference = window.reference
        if reference is None or not reference.has_outcomes:
            return
        body = window.memory if window.memory.get("reference") == reference.fingerprint else {}
        before = episodes.from_plain(body.get("episodes", {}))
        after = {}
        seen = look(window, Past.recall(window.memory.get("labels", {})))
        views = [_labelled(window, span, seen.delays) for span in spans(self.policy, window)]
        for feature in (OUTCOMES, RELATION):
            sized = [self._size(feature, view, len(views)) for view in views]
            episode = self._follow(before.get(feature), sized, window)
            if episode is not None:
                after[feature] = episode
            result = told(decisive(sized), episode, watched=False)
            yield result
            yield _metric(result)
        yield Memory(
            {
                "reference": reference.fingerprint,
                "episodes": episodes.to_plain(after),
                "labels": seen.past.to_plain(),
            }
        )

    def _size(self, feature: str, labelled: _Labelled, count: int) -> DriftResult:
        """Return the result of one span with the verdict of that span."""
        view = labelled.view
        found = replace(_compare(feature, view), since=view.since, time=view.until)
        if labelled.caveat:
            found = replace(found, caveats=(*found.caveats, labelled.caveat))
        result = judge(found, self.policy, view.observed_seconds, of="labelled rows")
        if result.drifted is not None and not labelled.state.is_mature:
            return replace(result, drifted=None, why=f"not enough data: {labelled.state.why}")
        level = weekly_of_labels(self.policy.budget) / HOURS_A_WEEK / (2 * count)
        if result.drifted and (result.p_value is None or result.p_value > level):
            return replace(result, drifted=False, why="", band="")
        if result.drifted is False and result.p_value is not None and result.p_value <= level:
            return replace(result, caveats=(*result.caveats, WITHIN))
        return result

    def _follow(
        self, episode: episodes.Episode | None, sized: Sequence[DriftResult], window: Window
    ) -> episodes.Episode | None:
        known = [result.effect_low or 0.0 for result in sized if result.drifted is not None]
        return follow(
            episode,
            opens=decisive(sized).why if any(result.drifted for result in sized) else "",
            low=max(known, default=None),
            margin=chosen_margin(self.policy, calibrated=False),
            now=window.until,
            known=False,
        )


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A span, and how many of its labels have come."""

    view: Window
    state: Maturity
    caveat: str = ""


def _labelled(window: Window, span: timedelta, delays: Delays) -> _Labelled:
    """Return the last span, or the newest one as long whose labels have come.

    Labels that come soon are not like those that come late.
    """
    view = window.last(span)
    found, state = settled(view, delays)
    until = f"of predictions until {found.until:%Y-%m-%d %H:%M}: later labels are to come"
    return _Labelled(found, state, "" if found is view else until)


def _compare(feature: str, view: Window) -> DriftResult:
    reference = view.reference
    assert reference is not None
    if reference.task == "regression":
        compare = numbers.compare_outcomes if feature == OUTCOMES else numbers.compare_relation
        return compare(reference, view.tally("residual"))
    if feature == OUTCOMES:
        return classes.compare_outcomes(reference, view.tallies)
    return classes.compare_relation(reference, view.tallies)


def _metric(result: DriftResult) -> Metric:
    return Metric(
        _METRICS[result.feature],
        result.effect if result.drifted is not None else None,
        low=result.effect_low,
        n=result.n,
        labels={"detector": result.detector},
        verdict=result.verdict,
        why=result.why,
    )
