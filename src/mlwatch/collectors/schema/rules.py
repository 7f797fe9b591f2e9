"""Rules for one value: True where it is as it has to be. A function of the value is one too."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from mlwatch.errors import ConfigurationError
from mlwatch.profile.values import category, numbers
from mlwatch.records.words import listed
from mlwatch.redaction.values import is_absent

Rule: TypeAlias = Callable[[Any], bool]
"""A value in, True out where it is as it has to be."""

_NUMBERS = (int, float, Decimal, np.number)
_LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Range:
    """Ask for a number, or a time, from `low` to `high`.

    What is no number at all, such as the text "12.5", breaks the rule; True and False are 1 and 0,
    as everywhere. With times as bounds values are times, or texts of times as they are recorded;
    times without a zone are UTC.

    Args:
        low: The least value; None: no bound.
        high: The largest value; None: no bound.
        inclusive: Which bounds belong to the range.

    Raises:
        ConfigurationError: No value could be, or any value is, in the range.
    """

    low: Any = None
    high: Any = None
    inclusive: Literal["both", "neither", "low", "high"] = "both"

    _low: Any = field(init=False, repr=False, compare=False)
    _high: Any = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.inclusive not in {"both", "neither", "low", "high"}:
            self._refuse('inclusive must be "both", "neither", "low" or "high"')
        bounds = [bound for bound in (self.low, self.high) if bound is not None]
        if not bounds:
            self._refuse("give low=, high= or both")
        if len({isinstance(bound, date) for bound in bounds}) > 1:
            self._refuse("give two numbers or two times")
        read = [self._read(bound) for bound in bounds]
        if any(bound is None or bound != bound for bound in read):  # noqa: PLR0124  NaN
            self._refuse("give numbers or times")
        object.__setattr__(self, "_low", None if self.low is None else read[0])
        object.__setattr__(self, "_high", None if self.high is None else read[-1])
        if len(read) > 1 and (read[0] > read[1] or (read[0] == read[1] and not self(self.low))):
            self._refuse("no value is in this range; the lower end comes first")

    def _refuse(self, why: str) -> None:
        raise ConfigurationError(f"{self.name}: {why}")

    @property
    def name(self) -> str:
        """Return the rule in words."""
        ends = "" if self.inclusive == "both" else f", inclusive={self.inclusive!r}"
        low, high = (str(it) if isinstance(it, date) else repr(it) for it in (self.low, self.high))
        return f"Range({low}, {high}{ends})"

    def __call__(self, value: Any) -> bool:
        """Return whether a value is in the range."""
        found = self._read(value)
        if found is None:
            return False
        with_low = self.inclusive in {"both", "low"}
        with_high = self.inclusive in {"both", "high"}
        above = self._low is None or found > self._low or (with_low and found == self._low)
        below = self._high is None or found < self._high or (with_high and found == self._high)
        return bool(above and below)

    def _read(self, value: Any) -> Any:
        """Return what is compared: a number, or microseconds; None where there is neither."""
        if not isinstance(self.low, date) and not isinstance(self.high, date):
            return value if isinstance(value, _NUMBERS) else None
        micros, codes = numbers([value], time=True)
        return None if codes[0] else int(micros[0])


class OneOf:
    """Ask for one of the values given.

    As among the categories of a reference 1, 1.0 and True are one value, and "1" is another.

    Args:
        *values: Texts, numbers, booleans, times.

    Raises:
        ConfigurationError: There are none, or one is no such value.
    """

    __slots__ = ("_known", "values")

    def __init__(self, *values: Hashable) -> None:
        if not values:
            raise ConfigurationError('OneOf(): give the values, as OneOf("basic", "pro")')
        read = [category(value) for value in values]
        for value, (_, code) in zip(values, read, strict=True):
            if code:
                raise ConfigurationError(
                    f"OneOf({value!r}): a {type(value).__name__} is no text, number, boolean or "
                    "time; of a list write OneOf(*values), and of what may be missing nothing: "
                    "missing values break no rule but NotMissing()"
                )
        self.values = values
        self._known = frozenset(name for name, _ in read)

    def __repr__(self) -> str:
        return f"OneOf({', '.join(map(repr, self.values))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OneOf) and self._known == other._known

    def __hash__(self) -> int:
        return hash(self._known)

    @property
    def name(self) -> str:
        """Return the rule in words."""
        return f"OneOf({listed([repr(value)[:_LONGEST_NAME] for value in self.values])})"

    def __call__(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        name, code = category(value)
        return not code and name in self._known


@dataclass(frozen=True, slots=True)
class Pattern:
    r"""Ask for a text that a regular expression matches.

    What is no text breaks the rule, and so does a text that is longer than `longest`. Patterns run
    while rows are ingested, in the process that does so, and Python's `re` may take exponential
    time where repeats are nested: write `(\w+\.)+\w+` so that the parts cannot overlap, or with
    possessive quantifiers (`\w++`).

    Args:
        regex: The expression, a text or compiled.
        fullmatch: Whether it has to match the whole text; anywhere in it otherwise.
        longest: The most characters that are looked at.

    Raises:
        ConfigurationError: It is no regular expression for texts.
    """

    regex: str | re.Pattern[str]
    fullmatch: bool = True
    longest: int = 1000
    _match: Callable[[str], re.Match[str] | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            found = re.compile(self.regex)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise ConfigurationError(
                f"Pattern({self.regex!r}): is no regular expression: {error}"
            ) from error
        if not isinstance(found.pattern, str):
            raise ConfigurationError(f"Pattern({self.regex!r}): is for bytes; give a text")
        if not isinstance(self.longest, int) or self.longest < 1:
            raise ConfigurationError(f"Pattern(longest={self.longest!r}): must be at least 1")
        object.__setattr__(self, "_match", found.fullmatch if self.fullmatch else found.search)

    @property
    def name(self) -> str:
        """Return the rule in words."""
        text = self.regex if isinstance(self.regex, str) else self.regex.pattern
        return f"Pattern({text!r}{'' if self.fullmatch else ', fullmatch=False'})"

    def __call__(self, value: Any) -> bool:
        """Return whether a text matches."""
        if not isinstance(value, str) or len(value) > self.longest:
            return False
        return self._match(value) is not None


@dataclass(frozen=True, slots=True)
class NotMissing:
    """Ask for a value: not None, NaN, NaT or a name that is not there."""

    takes_missing: ClassVar[bool] = True
    name: ClassVar[str] = "NotMissing()"

    def __call__(self, value: Any) -> bool:
        """Return whether there is a value."""
        return not is_absent(value)
