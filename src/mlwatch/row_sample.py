"""The newest rows of a window, so many at most: for what cannot be counted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from mlwatch.records import Prediction
from mlwatch.window import Window


@dataclass(frozen=True)
class RowSample:
    """Some of the newest predictions of a window, in the order of their times.

    Args:
        rows: The predictions.
        counted: How many predictions the window holds.
    """

    rows: tuple[Prediction, ...]
    counted: int

    @property
    def words(self) -> str:
        """What a figure of these rows speaks of."""
        n = len(self.rows)
        return f"of {n:,} of the newest rows" if n < self.counted else f"of all {n:,} rows"

    def lacks(self, fewest: int) -> str:
        """Return why a figure of at least so many rows cannot be given, or ""."""
        n = len(self.rows)
        if n >= fewest:
            return ""
        if n < min(fewest, self.counted):
            return f"not enough data: {n} of {fewest} rows; the others are no longer kept"
        return f"not enough data: {n} of {fewest} rows"


def row_sample(window: Window, most: int) -> RowSample:
    """Return at most `most` rows from the end of a window, as far as they are still kept.

    Read are the last panes that together hold so many rows, and of these the first rows. So no
    more is read of a store than that, and rows that follow one another stay together.

    Raises:
        StoreError: The store cannot be read.
    """
    counted = window.tally("rows").get("counted", 0)
    since, held = window.until, 0
    for pane in reversed(window.row_panes):
        if held >= most:
            break
        since = pane.time
        held += pane.tallies["rows"].get("counted", 0)
    if most < 1 or since >= window.until:
        return RowSample((), counted)
    predictions, _ = window.rows(since, window.until)
    return RowSample(tuple(islice(predictions, most)), counted)
