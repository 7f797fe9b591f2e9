"""Figures of a business's own, from what a window has counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mlwatch._guard import attempt
from mlwatch.catalogue import CATALOGUE
from mlwatch.collectors.business.counts import Counts
from mlwatch.collectors.business.formula import Formula
from mlwatch.errors import ConfigurationError
from mlwatch.records import Fault, Metric
from mlwatch.window import Window

Figures = float | Mapping[str, float | None] | Iterable[Metric] | None
"""What a function may return: one figure, named like the collector, several by name, or metrics."""


@dataclass(frozen=True)
class BusinessCollector:
    """Measure what a formula, several by name, or a function makes of the window's counts.

    A formula is a text of numbers, names of counts, `+ - * /` and brackets. It has no interval:
    counts are exact. The names are `predictions`, `errors` (recorded with one), `labelled`, `hours`
    (from the first traffic of the window to its end); of a binary task `predicted_positives`,
    `predicted_negatives`, `actual_positives`, `actual_negatives`, `true_positives`,
    `false_positives`, `true_negatives` and `false_negatives` (all but the first two among the
    labelled); and `predicted["gold"]`, `actual["gold"]` of a class. Where it divides by 0, or a
    count is not defined for the task, there is no value, and why.

    A function gets a mapping of these counts and returns a number, a mapping of name to number
    (None: undefined), or `Metric`s.

    Args:
        figures: A formula, a mapping of metric name to formula, or a function.
        name: The collector's name, and that of the metric where there is only one.

    Raises:
        ConfigurationError: `figures` cannot be right.
    """

    figures: str | Mapping[str, str] | Callable[[Counts], Figures]
    name: str = "business"
    _read: Callable[[Window], Iterable[Metric]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given = {self.name: self.figures} if isinstance(self.figures, str) else self.figures
        read: Callable[[Window], Iterable[Metric]]
        if isinstance(given, Mapping):
            formulas = {_free(name): _formula(name, text) for name, text in given.items()}
            if not formulas:
                raise ConfigurationError("BusinessCollector({}): give at least one formula")
            read = partial(_of_formulas, formulas)
        else:
            read = partial(_of_function, _function(given), self.name)
        object.__setattr__(self, "_read", read)

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of the window."""
        yield from self._read(window)


def _of_formulas(formulas: Mapping[str, Formula], window: Window) -> Iterator[Metric]:
    counts = Counts(window)
    for name, formula in formulas.items():
        value, fault = attempt(name, formula.value, counts)
        yield _figure(name, value, counts, fault)


def _of_function(call: Callable[[Counts], Figures], name: str, window: Window) -> Iterator[Metric]:
    counts = Counts(window)
    found, fault = attempt(name, call, counts)
    if fault is not None and not _is_undefined(fault.cause):
        raise fault.cause or RuntimeError(fault.error)
    if fault is not None or found is None or isinstance(found, int | float):
        yield _figure(_free(name), found, counts, fault)
    elif isinstance(found, Mapping):
        yield from (_figure(_free(each), value, counts, None) for each, value in found.items())
    elif hasattr(found, "item"):
        yield _figure(_free(name), found.item(), counts, None)
    else:
        yield from found


def _figure(name: str, value: Any, counts: Counts, fault: Fault | None) -> Metric:
    n = int(counts["predictions"])
    why = ""
    if fault is not None:
        why = f"undefined: {fault.cause}"
    elif value is None or not math.isfinite(value):
        why = f"undefined: the function returned {value}"
    return Metric(name, None if why else float(value), n=n, why=why)


def _is_undefined(error: BaseException | None) -> bool:
    """Tell a figure that cannot be had, as in a division by 0, from a mistake in a function."""
    return isinstance(error, ArithmeticError) or type(error) is LookupError


def _formula(name: str, text: object) -> Formula:
    if not isinstance(text, str):
        raise ConfigurationError(
            f"BusinessCollector({{{name!r}: {text!r}}}): give a formula as a text; a function "
            "stands alone, as BusinessCollector(function)"
        )
    return Formula(text)


def _function(given: object) -> Callable[[Counts], Figures]:
    if callable(getattr(given, "collect", None)):
        what = given.__name__ if isinstance(given, type) else type(given).__name__
        raise ConfigurationError(
            f"BusinessCollector({what}): is a collector itself; write collectors=[{what}(...)]"
        )
    if isinstance(given, type) or not callable(given):
        raise ConfigurationError(
            f"BusinessCollector({given!r}): give a formula, a mapping of name to formula, or a "
            "function of the counts"
        )
    return given


def _free(name: object) -> str:
    """Return the name of a figure, which must be no other metric's."""
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"BusinessCollector: the metric name {name!r} must be a text")
    if name in CATALOGUE:
        raise ConfigurationError(
            f"BusinessCollector: {name!r} is a metric of mlwatch; give the figure another name"
        )
    return name
