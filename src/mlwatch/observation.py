"""One prediction, watched while it is made."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from mlwatch._guard import salvage, type_name
from mlwatch.errors import ConfigurationError

P = TypeVar("P", bound=Callable[..., Any])


class Observation:
    """Set `prediction` inside the block; latency and errors are measured around it.

    An exception of the block is recorded as the error of this prediction and passes through
    unchanged. The features are as they were on entering. Works as `with` and as `async with`.

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
        self._features = salvage(copy.copy, features, features)
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


def watched(
    predict: P,
    observe: Callable[[Any], Observation],
    features: str | Callable[..., Any] | None,
    prediction: Callable[[Any], Any] | None,
) -> P:
    """Return a predict function, plain or async, whose every call is observed.

    Args:
        predict: What is called with features and returns a prediction.
        observe: Makes the observation of some features.
        features: The parameter that holds them, or a function of all arguments; the first one
            when not said.
        prediction: What to record of a result; the result itself when not said.

    Raises:
        ConfigurationError: There is no such parameter.
    """
    import inspect  # not needed to import mlwatch

    if inspect.isgeneratorfunction(predict) or inspect.isasyncgenfunction(predict):
        raise ConfigurationError(
            f"watch: {_name_of(predict)} is a generator, which has not predicted when it returns; "
            "use observe() around what takes its items"
        )
    read = features if callable(features) else _reader(predict, features)

    def enter(args: Any, named: Any) -> Observation:
        return observe(salvage(lambda given: read(*given[0], **given[1]), (args, named), None))

    def served(result: Any) -> Any:
        return result if prediction is None else salvage(prediction, result, None)

    @functools.wraps(predict)
    def call(*args: Any, **named: Any) -> Any:
        with enter(args, named) as seen:
            result = predict(*args, **named)
            seen.prediction = served(result)
        return result

    @functools.wraps(predict)
    async def call_async(*args: Any, **named: Any) -> Any:
        async with enter(args, named) as seen:
            result = await predict(*args, **named)
            seen.prediction = served(result)
        return result

    is_async = any(map(inspect.iscoroutinefunction, (predict, type(predict).__call__)))
    return call_async if is_async else call  # type: ignore[return-value]


def _name_of(predict: Callable[..., Any]) -> str:
    return str(getattr(predict, "__qualname__", type_name(predict)))


def _reader(predict: Callable[..., Any], name: str | None) -> Callable[..., Any]:
    """Return what reads one argument of a call, given or by default."""
    import inspect

    try:
        signature = inspect.signature(predict)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"watch: {_name_of(predict)} does not tell its parameters ({error}); give "
            "features=, a function of all arguments"
        ) from error
    names = list(signature.parameters)
    wanted = name or next((it for it in names if it not in {"self", "cls"}), "")
    if wanted not in names:
        raise ConfigurationError(
            f"watch(features={name!r}): {_name_of(predict)} has the parameters "
            f"{', '.join(names) or 'none'}; name one of them, or give a function of all arguments"
        )

    def read(*args: Any, **named: Any) -> Any:
        bound = signature.bind(*args, **named)
        bound.apply_defaults()
        return bound.arguments[wanted]

    return read
