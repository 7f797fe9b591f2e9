"""Which segments a prediction belongs to, and what they are called."""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from mlwatch.errors import ConfigurationError
from mlwatch.profile import CategoricalGrid, NumericGrid
from mlwatch.profile.values import MISSING, NAN, category, numbers
from mlwatch.records import Segment, digest, join_key, split_key
from mlwatch.records.segments import MOST
from mlwatch.records.words import clean, listed
from mlwatch.reference import Reference

OTHER = "other"
"""What is not told apart, and what is no number where there are bins."""

NOTHING = "missing"

Came = dict[str, list[str]]
"""By what is divided: the values that came first, of those that had no place before."""

Keys = Callable[[Mapping[str, Any], str | None], tuple[str, ...]]
"""From the features of a prediction and the segment it brings to the keys of its segments."""

_Name = Callable[[Any], str]

_LONGEST = 60
_LARGEST = 2**63


def divide(segments: Sequence[Segment], reference: Reference | None, came: Came) -> Keys:
    """Return what places the predictions of one model version, each once in every segment.

    Args:
        segments: As they are declared.
        reference: That of the version, whose values have a place before others.
        came: What came first so far; changed as values come.
    """
    room = places(segments)
    named: list[tuple[Segment, _Name]] = [
        (it, _by_bins(it) if it.bins is not None else _by_values(it, reference, came, room))
        for it in segments
    ]

    def keys(features: Mapping[str, Any], own: str | None) -> tuple[str, ...]:
        return tuple(
            join_key(it.label, name(own if it.feature is None else features.get(it.feature)))
            for it, name in named
        )

    return keys


def read_key(key: str) -> tuple[str, str]:
    """Return what is divided and the name of the part, of which `divide` made a key."""
    label, name = split_key(key)
    return label, name


def places(segments: Sequence[Segment]) -> int:
    """Return how many values are told apart in each segment that does not say which."""
    free = [it for it in segments if not it.fixed]
    return (MOST - sum(it.fixed for it in segments)) // max(1, len(free))


def _by_bins(segment: Segment) -> _Name:
    label, edges = segment.label, list(segment.bins or ())
    texts = [_text(edge) for edge in edges]
    middle = [f"{low}<={label}<{high}" for low, high in pairwise(texts)]
    bins = [f"{label}<{texts[0]}", *middle, f"{texts[-1]}<={label}"]

    def name(value: Any) -> str:
        number = _number(value)
        return f"{label}={number}" if isinstance(number, str) else bins[bisect_right(edges, number)]

    return name


def _number(value: Any) -> float | str:
    """Return a value as a number, or the name of the part for what is none."""
    if type(value) is float or type(value) is int:
        return NOTHING if value != value else value  # noqa: PLR0124  NaN; an int may be too large
    found, codes = numbers([value], time=False)
    if codes[0] in {MISSING, NAN}:
        return NOTHING
    return OTHER if codes[0] else float(found[0])


def _by_values(segment: Segment, reference: Reference | None, came: Came, room: int) -> _Name:
    label = segment.label
    if segment.values is not None:
        known, first, room = segment.values, [], 0
    else:
        known = list(_known(segment, reference))[:room]
        first, room = came.setdefault(label, []), room - len(known)
    names = {category(value)[0]: _named(label, value) for value in known}

    def name(value: Any) -> str:
        found, code = category(value)
        if code in {MISSING, NAN}:
            return f"{label}={NOTHING}"
        if found in names:
            return names[found]
        if code or (isinstance(found, int) and abs(found) >= _LARGEST):
            return f"{label}={OTHER}"
        text = _named(label, found)
        if text not in first:
            if len(first) >= room:
                return f"{label}={OTHER}"
            first.append(text)
        return text

    return name


def _known(segment: Segment, reference: Reference | None) -> Iterable[Hashable]:
    """Return the values of a reference, the most frequent first."""
    grid = None if reference is None else reference.profile.grids.get(segment.label)
    if segment.feature is None or grid is None:
        return ()
    if isinstance(grid, CategoricalGrid):
        return grid.categories
    order = (-grid.mass[1::2]).argsort(kind="stable")
    found: list[Hashable] = grid.points[order].tolist()
    return found


def _named(label: str, value: Hashable) -> str:
    return f"{label}={_text(value)}"


def _text(value: Hashable) -> str:
    """Return a value as a short text on one line, which no other value has."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        value = int(value)
    text = str(value)
    shown = clean(text)
    if shown == text and len(text) <= _LONGEST:
        return text
    return f"{shown[: _LONGEST - 16]}~{digest(text.encode('utf-8', 'surrogatepass'))[:8]}"


def check_segments(
    segments: Sequence[Segment], given: Reference | Mapping[str, Reference] | None
) -> None:
    """Raise `ConfigurationError` where a segment cannot be made of the features of a reference."""
    for reference in given.values() if isinstance(given, Mapping) else [given]:
        if reference is not None:
            for segment in segments:
                if segment.feature is not None:
                    _check(segment, segment.feature, reference, places(segments))


def _check(segment: Segment, feature: str, reference: Reference, room: int) -> None:
    grid = reference.profile.grids.get(feature)
    if grid is None:
        names = reference.features
        near = difflib.get_close_matches(feature, names, n=3) or sorted(names)
        dropped = feature in reference.columns
        lost = "is dropped by redact=" if dropped else "the reference has no such feature"
        raise ConfigurationError(f"segments: {segment.call}: {lost}; there is {listed(near)}")
    if not isinstance(grid, NumericGrid):
        if segment.bins is not None:
            raise ConfigurationError(
                f"segments: {segment.call[:-1]}, bins={segment.bins!r}): is no number in the "
                "reference; leave bins= out"
            )
        return
    if grid.time:
        raise ConfigurationError(
            f"segments: {segment.call}: is a time in the reference; divide by a number or a text"
        )
    if not segment.fixed and len(grid.points) > room:
        quarters = (grid.points[len(grid.points) * k // 4].item() for k in (1, 2, 3))
        cuts = ", ".join(dict.fromkeys(map(_text, quarters)))
        raise ConfigurationError(
            f"segments: {segment.call}: is a number of more than {room} values in the reference; "
            f"give bins, such as {segment.call[:-1]}, bins=({cuts}))"
        )
