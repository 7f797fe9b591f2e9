"""One prediction, watched while it is made."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any


class Observation:
    """Set `prediction` inside the block; latency and errors are measured around it.

    An exception of the block is recorded as the error of this prediction and passes through
    unchanged. Works as `with` and as `async with`.

    Attributes:
        prediction: What was served.
        probability: The probability that goes with a label.
        outcome: The truth, where it is known at once.
        request_id: The id the prediction has, given or set on leaving the block.
    """

    def __init__(
        self, record: Callable[..., str], features: Any, request_id: str | None, **fields: Any
    ) -> None:
        self._record = record
        self._features = features
        self._fields = fields
        self._begun = 0.0
        self.request_id = request_id
        self.prediction: Any = None
        self.probability: Any = None
        self.outcome: Any = None

    def __enter__(self) -> Observation:
        self._begun = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.request_id = self._record(
            self._features,
            self.prediction,
            probability=self.probability,
            outcome=self.outcome,
            request_id=self.request_id,
            latency_ms=(time.perf_counter() - self._begun) * 1000,
            error=None if kind is None else kind.__name__,
            **self._fields,
        )

    async def __aenter__(self) -> Observation:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
