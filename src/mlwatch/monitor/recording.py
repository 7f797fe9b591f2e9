"""What the service calls: predictions, outcomes, requests and lines of its log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from mlwatch._guard import salvage
from mlwatch.observation import Observation, P, watched

if TYPE_CHECKING:
    from mlwatch.recorder import AnyRecorder


class Recording:
    """The part of a monitor that is called in a request handler; nothing in it ever raises.

    Args:
        recorder: Takes the records in.
        model: The model's name.
        model_version: The version this process serves.
    """

    def __init__(self, recorder: AnyRecorder, model: str, model_version: str) -> None:
        self._recorder = recorder
        self.model = model
        self.model_version = model_version

    def record_prediction(
        self,
        features: Any,
        prediction: Any,
        *,
        probability: Any = None,
        request_id: Any = None,
        model_version: str | None = None,
        latency_ms: float | None = None,
        outcome: Any = None,
        error: str | None = None,
        segment: str | None = None,
        timestamp: datetime | None = None,
    ) -> str:
        """Take in one prediction; return its request id.

        Args:
            features: A mapping of name to value, a sequence in the order of
                `reference.columns`, or a row of a DataFrame.
            prediction: What was served: a label or a number. For a binary task a float in [0, 1]
                is the probability of the positive class.
            probability: The probability that goes with a label: of the positive class, or for
                multiclass of each class (a mapping, or a sequence in the order of the classes).
            request_id: The caller's own id; one is made when there is none. An id that comes
                again is counted "duplicate" and changes nothing.
            model_version: Another version than the monitor's own.
            latency_ms: How long the prediction took, in milliseconds.
            outcome: The truth, where it is known at once.
            error: What went wrong, when it did.
            segment: The part of the traffic it belongs to, kept with the row, and counted apart
                with `DriftPolicy(segments=(Segment(),))`. No id: at most 50 are told apart.
            timestamp: When it was served, timezone-aware; now when not said.
        """
        version = self.model_version if model_version is None else model_version
        known_as = self._recorder.prediction(
            features,
            prediction,
            probability,
            request_id,
            self.model,
            version,
            latency_ms,
            error,
            segment,
            timestamp,
        )
        if outcome is not None:
            self._recorder.outcome(known_as, outcome, self.model, timestamp)
        return known_as

    def record_outcome(
        self, request_id: Any, outcome: Any, *, timestamp: datetime | None = None
    ) -> None:
        """Take in the truth about a prediction, before or after it, now or months later.

        Of two outcomes of one prediction the one that arrives last in the store stands, whatever
        their timestamps say; one that cannot be read takes nobody's place.
        """
        self._recorder.outcome(request_id, outcome, self.model, timestamp)

    def observe(
        self,
        features: Any,
        *,
        request_id: Any = None,
        model_version: str | None = None,
        segment: str | None = None,
    ) -> Observation:
        """Return a context manager that records one prediction with its latency and error."""
        return Observation(
            self.record_prediction,
            features,
            request_id,
            model_version=model_version,
            segment=segment,
        )

    def watch(
        self,
        predict: P | None = None,
        *,
        features: str | Callable[..., Any] | None = None,
        prediction: Callable[[Any], Any] | None = None,
        model_version: str | None = None,
        segment: str | None = None,
    ) -> Any:
        """Decorate a predict function, plain or async: each of its calls is observed.

        Args:
            predict: The function, where the decorator stands without arguments.
            features: The parameter that holds the features, or a function of all arguments that
                returns them; the first parameter when not said.
            prediction: A function of the result that returns what to record of it; the result
                itself when not said.
            model_version: Another version than the monitor's own.
            segment: A part of the traffic, kept with the row.

        Raises:
            ConfigurationError: The function has no such parameter.
        """
        observe = partial(self.observe, model_version=model_version, segment=segment)
        decorate = partial(watched, observe=observe, features=features, prediction=prediction)
        return decorate if predict is None else decorate(predict)

    def record_batch(
        self,
        frame: Any,
        predictions: Iterable[Any],
        *,
        probabilities: Iterable[Any] | None = None,
        request_ids: Iterable[Any] | None = None,
        model_version: str | None = None,
        segments: Iterable[str | None] | str | None = None,
        timestamp: datetime | None = None,
    ) -> Sequence[str]:
        """Take in the predictions of a batch-scoring job, column by column; return their ids.

        Args:
            frame: The features, one column a feature: a DataFrame, a mapping of arrays, or an
                array of shape (rows, features) in the order of `reference.features`.
            predictions: What was served, one a row.
            probabilities: As for `record_prediction`, one a row.
            request_ids: The caller's own ids, one a row.
            model_version: Another version than the monitor's own.
            segments: The part of the traffic of each row, or one text for all.
            timestamp: When the batch was served; now when not said.

        Columns of unequal length end with the shortest; the rest is counted "unequal_columns".
        A batch of more than half of `CaptureOptions(max_bytes=...)` is written to the spool by
        this call itself instead of being thinned, which a spool that is slow or fails may hold up
        for two seconds; a smaller one waits for nothing. The ids are a sequence that makes each
        when it is asked for; `list(ids)` makes them all.
        """
        # Loaded with the recorder, and not needed to import mlwatch.
        from mlwatch.recorder.batch import read_columns

        given = (frame, predictions, probabilities, request_ids)
        read = partial(read_columns, names=self._recorder.feature_names, segments=segments)
        columns = salvage(read, given, None)
        if columns is None:
            self._recorder.refuse("bad_batch", salvage(_rows_of, frame, 1))
            return []
        if columns.lost:
            self._recorder.refuse("unequal_columns", columns.lost)
        version = self.model_version if model_version is None else model_version
        return self._recorder.batch(columns, self.model, version, timestamp)

    def record_request(
        self,
        endpoint: str,
        status: int,
        latency_ms: float | None = None,
        *,
        timestamp: datetime | None = None,
    ) -> None:
        """Take in how one request of the service ended; `mlwatch.integrations` does it for all.

        Args:
            endpoint: The template of its route, such as "/outcome/{request_id}", never a path with
                an id in it: the first 50 are told apart, all others are "other".
            status: The HTTP status of the answer; from 500 up the service has failed.
            latency_ms: How long it took, in milliseconds.
            timestamp: When it came, timezone-aware; now when not said.
        """
        self._recorder.request(
            endpoint, status, latency_ms, self.model, self.model_version, timestamp=timestamp
        )

    def record_log(self, level: int | str) -> None:
        """Count a line of the service's log; `mlwatch.integrations.logs` does it for all.

        Args:
            level: The number or the name of its level, such as `logging.ERROR`; one in between
                those of `logging` counts as the one below.
        """
        self._recorder.log(level, self.model, self.model_version)

    def record_outcomes(
        self,
        request_ids: Iterable[Any],
        outcomes: Iterable[Any],
        *,
        timestamp: datetime | None = None,
    ) -> None:
        """Take in the truth about many predictions, one outcome an id."""
        from mlwatch.recorder.batch import read_pairs

        found = salvage(read_pairs, (request_ids, outcomes), None)
        if found is None:
            self._recorder.refuse("bad_batch", salvage(_rows_of, request_ids, 1))
            return
        pairs, lost = found
        if lost:
            self._recorder.refuse("unequal_columns", lost)
        for request_id, outcome in pairs:
            self.record_outcome(request_id, outcome, timestamp=timestamp)


def _rows_of(frame: Any) -> int:
    """Return how many rows a batch seems to have, at least one."""
    shape = getattr(frame, "shape", None)
    column = next(iter(frame.values())) if isinstance(frame, Mapping) else frame
    if isinstance(column, str | bytes):
        return 1
    return max(int(shape[0]) if shape else len(column), 1)
