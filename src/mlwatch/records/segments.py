"""Segments: the parts of the traffic that are counted apart, as they are declared."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlwatch.errors import ConfigurationError

MOST = 50
"""So many values and bins are told apart, of all segments together; the rest is "other"."""

OWN = "segment"
"""What the segment is called that a record itself brings."""

_EXAMPLE = 'segments=("contract", Segment("tenure", bins=(12, 24, 48)), Segment())'


@dataclass(frozen=True, slots=True)
class Segment:
    """A way to divide the traffic: by the values of a feature, by its bins, or as records say.

    Each prediction belongs to one part: "contract=Month-to-month", "12<=tenure<24",
    "segment=eu"; "contract=missing" where there is no value, and "contract=other" for what is not
    told apart. Features are those that are kept, after redaction.

    Args:
        feature: The feature's name. None: the `segment` that `record_prediction` was given.
        bins: Where a numeric feature is cut, ascending: (12, 24) makes "tenure<12",
            "12<=tenure<24" and "24<=tenure".
        values: The values to tell apart. None: those of the reference, the most frequent first,
            and then whatever comes first.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    feature: str | None = None
    bins: Sequence[float] | None = None
    values: Sequence[Hashable] | None = None

    def __post_init__(self) -> None:
        if self.feature is not None and (not isinstance(self.feature, str) or not self.feature):
            raise ConfigurationError(
                f"Segment({self.feature!r}): give the name of a feature, or none for the segment "
                "of the record"
            )
        if self.bins is not None and (self.values is not None or self.feature is None):
            other = "values=" if self.values is not None else "no feature"
            raise ConfigurationError(f"{self.call}: bins= are of a feature; here is {other}")
        for name, check in (("bins", _check_bins), ("values", _check_values)):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, check(self.call, given))

    @property
    def label(self) -> str:
        """What is divided: the feature, or "segment"."""
        return OWN if self.feature is None else self.feature

    @property
    def call(self) -> str:
        """How it is written, for messages."""
        return "Segment()" if self.feature is None else f"Segment({self.feature!r})"

    @property
    def fixed(self) -> int:
        """How many parts are known from the start."""
        if self.bins is not None:
            return len(self.bins) + 1
        return 0 if self.values is None else len(self.values)


def as_segments(given: Any) -> tuple[Segment, ...]:
    """Return what `DriftPolicy(segments=...)` was given; a text is short for `Segment(text)`.

    Raises:
        ConfigurationError: It is something else, names a feature twice, or tells too much apart.
    """
    if isinstance(given, str | Segment) or not isinstance(given, Iterable):
        raise ConfigurationError(f"segments={given!r}: must be a tuple, such as {_EXAMPLE}")
    found = tuple(Segment(it) if isinstance(it, str) else it for it in given)
    for it in found:
        if not isinstance(it, Segment):
            raise ConfigurationError(
                f"segments: {it!r} is neither a feature's name nor a Segment(...); write {_EXAMPLE}"
            )
    labels = [it.label for it in found]
    for label in labels:
        if labels.count(label) > 1:
            raise ConfigurationError(
                f"segments: {label!r} is declared twice, and metrics would bear the same names; "
                f"declare it once{_REMEDY if label == OWN else ''}"
            )
    fixed, open_ended = sum(it.fixed for it in found), sum(not it.fixed for it in found)
    if fixed + open_ended > MOST:
        raise ConfigurationError(
            f"segments: {fixed} bins and values, and {open_ended} segments without; at most {MOST} "
            "parts of the traffic are told apart; leave some out"
        )
    return found


_REMEDY = " (Segment() is called so too)"


def _check_bins(call: str, given: Any) -> tuple[float, ...]:
    edges = _listed(f"{call[:-1]}, bins={given!r})", given, "(12, 24, 48)")
    numbers = all(
        isinstance(edge, int | float) and not isinstance(edge, bool) and math.isfinite(edge)
        for edge in edges
    )
    if not numbers or list(edges) != sorted(set(edges)):
        raise ConfigurationError(
            f"{call[:-1]}, bins={given!r}): must be finite numbers in ascending order, each once, "
            "such as (12, 24, 48)"
        )
    return edges


def _check_values(call: str, given: Any) -> tuple[Any, ...]:
    values = _listed(f"{call[:-1]}, values={given!r})", given, '("monthly", "yearly")')
    for value in values:
        is_plain = isinstance(value, str | int) or (isinstance(value, float) and value == value)  # noqa: PLR0124  not NaN
        if not is_plain or values.count(value) > 1:
            raise ConfigurationError(
                f"{call[:-1]}, values=...): {value!r} comes twice, or is neither a text nor a "
                "number; what is missing is a part of its own without being named"
            )
    return values


def _listed(place: str, given: Any, example: str) -> tuple[Any, ...]:
    given = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{place}: must be a tuple, such as {example}")
    found = tuple(it.item() if hasattr(it, "item") else it for it in given)
    if not found:
        raise ConfigurationError(f"{place}: is empty; leave it out, or give {example}")
    return found
