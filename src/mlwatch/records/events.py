"""What the host tells: a prediction, an outcome, and the slim part a late outcome needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlwatch.records.keys import join_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One prediction as it was served."""

    model: str
    request_id: str
    time: datetime
    features: Mapping[str, Any]
    prediction: Any
    model_version: str = ""
    probability: Any = None
    latency_ms: float | None = None
    error: str | None = None
    segment: str | None = None

    @property
    def key(self) -> str:
        """A prediction is known by its model and request id."""
        return join_key(self.model, self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The truth about one prediction.

    `joined` is False while no prediction of that request id is known; `model_version` is that of
    the prediction and is empty until then.
    """

    model: str
    request_id: str
    time: datetime
    outcome: Any
    model_version: str = ""
    joined: bool = False

    @property
    def key(self) -> str:
        """An outcome has the key of its prediction."""
        return join_key(self.model, self.request_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What is kept of a prediction so that an outcome can join it months later.

    `score` is the number that was served (for multiclass the probability of each class, in the
    order of the reference's classes), `label` the class, `reference` the fingerprint the
    prediction was counted under, `segments` the keys of the segments it was counted in, and
    `outcome` what has already been counted, so that a correction can take it back.
    """

    model: str
    request_id: str
    time: datetime
    model_version: str = ""
    reference: str = ""
    segments: tuple[str, ...] = ()
    score: float | list[float] | None = None
    label: Any = None
    outcome: Any = None

    @property
    def key(self) -> str:
        """Pending has the key of its prediction."""
        return join_key(self.model, self.request_id)
