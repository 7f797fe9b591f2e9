"""Whether the data is what the reference lets expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import msgspec

from mlwatch import intervals
from mlwatch._guard import salvage
from mlwatch.collectors.quality import columns
from mlwatch.collectors.quality.shares import shares
from mlwatch.errors import ConfigurationError
from mlwatch.profile import NumericGrid
from mlwatch.records import Metric
from mlwatch.row_sample import RowSample, row_sample
from mlwatch.window import Window

_ENCODER: Final = msgspec.msgpack.Encoder(enc_hook=repr)
_MOST_VALUES = 200_000
_FEWEST_ROWS = 100


@dataclass(frozen=True, slots=True)
class QualityCollector:
    """Measure what is missing, unknown, out of range, of a wrong kind, repeated or stale.

    Shares of values come from counts and speak of every row. What cannot be counted (duplicates,
    features that look like ids, the age of times) is taken from some of the newest rows, as long
    as these are kept, and says so.

    Nothing is judged here. A jump of the missing share, or of unseen categories, is a verdict of
    the `DriftCollector`, by the detectors "missing" and "novelty" within the alarm budget.

    Args:
        sample: How many of the newest rows are looked at, at most; fewer where there are very
            many features. 0: none are read.

    Raises:
        ConfigurationError: `sample` is no whole number from 0 up.
    """

    sample: int = 1000
    name: str = "quality"

    def __post_init__(self) -> None:
        if not isinstance(self.sample, int) or self.sample < 0:
            raise ConfigurationError(
                f"QualityCollector(sample={self.sample!r}): must be a whole number from 0 up"
            )

    def collect(self, window: Window) -> Iterator[Metric]:
        """Return the figures of the window; without a reference those that need none."""
        reference, current = window.reference, window.profile
        width = 1 if current is None else max(1, len(current.distributions))
        most = min(self.sample, max(_FEWEST_ROWS, _MOST_VALUES // width))
        sample = row_sample(window, most)
        values = columns.columns_of([row.features for row in sample.rows])
        times = None
        if reference is not None and current is not None:
            yield from shares(reference.profile, current, cache(intervals.share))
            if current.rows:
                yield columns.new(window.tally("new_features"), current.rows)
            yield columns.vanished(reference.profile, current)
            yield columns.constant(reference.profile, current, values)
            grids = reference.profile.grids.items()
            times = frozenset(k for k, grid in grids if isinstance(grid, NumericGrid) and grid.time)
        lacks = "undefined: no rows are read (sample=0)" if not self.sample else ""
        lacks = lacks or sample.lacks(columns.FEWEST)
        yield columns.id_like(values, lacks, sample.words, len(sample.rows))
        yield _duplicates(sample, lacks)
        yield from columns.ages(values, times, window.until, sample.words)


def _duplicates(sample: RowSample, lacks: str) -> Metric:
    """Return the share of rows whose features are all those of a row before."""
    n = len(sample.rows)
    if lacks:
        return Metric("duplicate_share", None, n=n, why=lacks)
    known = {_key(row.features) for row in sample.rows}
    low, high = intervals.share(n - len(known), n)
    return Metric("duplicate_share", 1 - len(known) / n, low, high, n, why=sample.words)


def _key(features: Mapping[str, Any]) -> bytes | str:
    """Return what rows of the same features have in common, in whatever order they are."""
    ordered = sorted(features.items(), key=lambda item: item[0])
    return salvage(_ENCODER.encode, ordered, b"") or repr(ordered)  # of integers beyond 64 bits
