"""A span of panes, and of the rows behind them where those are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlwatch.errors import ConfigurationError
from mlwatch.profile import Profile
from mlwatch.records import (
    RECORDER,
    Outcome,
    Pane,
    Prediction,
    Tallies,
    Tally,
    add_tallies,
    sum_tallies,
)
from mlwatch.reference import Reference
from mlwatch.scoring import Scoring
from mlwatch.segments import read_key
from mlwatch.spans import MINUTE, floor, kept_in, outward

if TYPE_CHECKING:
    import pandas as pd

Rows = tuple[Iterable[Prediction], Iterable[Outcome]]

COLLECTOR = "collector"
"""Panes whose source begins with this are a collector's own, and no traffic of the window."""

DELAY = "delay"
"""Tallies that begin with this count how late labels came, `delay/<class>` those of a class."""


def no_rows(since: datetime, until: datetime) -> Rows:  # noqa: ARG001  the shape of a row source
    """Return no rows: the row source of a window that is made of counts alone."""
    return (), ()


def no_panes(since: datetime, until: datetime) -> Iterable[Pane]:  # noqa: ARG001  the same shape
    """Return no panes: what lies before a window that knows of nothing but its own."""
    return ()


@dataclass(frozen=True)
class Window:
    """The traffic of one model version from `since` up to but not including `until`.

    Everything a check needs is in the tallies. A pane belongs to the window in which it starts,
    and old panes are coarse (an hour from 2 hours on, a day from 48), so the ends of a window that
    was read from a store lie where panes begin: a window of 24 hours begins at a full hour, up to
    59 minutes earlier than asked for.

    Args:
        model: The model's name.
        model_version: Its version.
        since: Start, inclusive.
        until: End, exclusive.
        panes_: The panes that start in the window, all counted under `reference`.
        reference: What the traffic is compared with, if anything.
        rows: Gives the predictions and outcomes of a span, as far as they are kept.
        reach: Gives the panes of a span before the window, also of segments, for `last`.
        read_at: When the window was read, which says how coarse its panes may be; None where all
            are of a minute.
        memory: What the collector that is asked has kept from its last cycle; empty at first.
        kept: Gives the panes of a span that this collector has kept for itself.
        parts: The panes of segments that start in the window.
        ask_store: Reads a little of the store that the window was read from; None where from none.
        together: Gives the window of all versions of the model together, where there are others.
    """

    model: str
    model_version: str
    since: datetime
    until: datetime
    panes_: tuple[Pane, ...] = ()
    reference: Reference | None = None
    rows: Callable[[datetime, datetime], Rows] = field(default=no_rows, repr=False)
    reach: Callable[[datetime, datetime], Iterable[Pane]] = field(default=no_panes, repr=False)
    read_at: datetime | None = None
    memory: Mapping[str, Any] = field(default_factory=dict, repr=False)
    kept: Callable[[datetime, datetime], Iterable[Pane]] = field(default=no_panes, repr=False)
    parts: tuple[Pane, ...] = field(default=(), repr=False)
    ask_store: Callable[[], object] | None = field(default=None, repr=False)
    together: Callable[[], Window] | None = field(default=None, repr=False)

    @property
    def of_model(self) -> Window:
        """The traffic of all versions together, of no version and without a reference.

        It has what no reference has a part in: rows, errors, latency, requests and log lines.
        """
        if self.together is not None:
            return self.together()
        return replace(self, model_version="", reference=None)

    @cached_property
    def tallies(self) -> Tallies:
        """The sum of all panes' tallies by name."""
        return sum_tallies(pane.tallies for pane in self.panes_)

    def tally(self, name: str) -> Tally:
        """Return one tally, empty when nothing was counted.

        The names are those of the pane, or that of a collector that tallies for itself.
        """
        return self.tallies.get(name) or self.tallies.get(f"collector/{name}") or {}

    @cached_property
    def segments(self) -> Mapping[str, Mapping[str, Tallies]]:
        """The tallies of each segment, by what is divided ("tenure") and by name ("tenure<12").

        They are those of all traffic, but for features and what collectors tally. Each prediction
        since the segments were declared is in one segment of each.
        """
        panes: dict[str, dict[str, list[Tallies]]] = {}
        for pane in self.parts:
            label, name = read_key(pane.segment)
            panes.setdefault(label, {}).setdefault(name, []).append(pane.tallies)
        return {
            label: {name: sum_tallies(tallies) for name, tallies in sorted(named.items())}
            for label, named in sorted(panes.items())
        }

    @cached_property
    def profile(self) -> Profile | None:
        """The features' distributions on the reference's grids; None without a reference."""
        if self.reference is None:
            return None
        rows = self.tally("rows").get("counted", 0)
        return Profile.from_tallies(self.reference.profile.grids, self.tallies, rows)

    @property
    def scoring(self) -> Scoring:
        """How predictions and outcomes of this window were read and counted."""
        return Scoring.unknown() if self.reference is None else self.reference.scoring

    @cached_property
    def row_panes(self) -> tuple[Pane, ...]:
        """The counts of rows alone, by panes as coarse as time is kept as of `read_at`, in order.

        What is measured of panes rests on these: it must not matter whether they were rolled up
        yet, which depends on who ran the last cycle and how it ended.
        """
        found: dict[tuple[datetime, timedelta], dict[str, Tally]] = {}
        for pane in self.panes_:
            if "rows" in pane.tallies:
                span = pane.span
                if self.read_at is not None and pane.source == RECORDER:
                    span = max(span, kept_in(pane.time, self.read_at))
                place = (floor(pane.time, span) if span > pane.span else pane.time, span)
                add_tallies(found.setdefault(place, {}), {"rows": pane.tallies["rows"]})
        return tuple(
            Pane(model=self.model, time=start, span=span, tallies=found[start, span])
            for start, span in sorted(found)
            if found[start, span]
        )

    @property
    def kept_shares(self) -> tuple[float, float]:
        """The smallest and the largest share of the predictions of a pane that was counted.

        Less than 1 where memory was so full that predictions were thinned or dropped.
        """
        counts = [pane.tallies["rows"] for pane in self.row_panes]
        shares = [1 - it.get("missed", 0) / it["recorded"] for it in counts if it.get("recorded")]
        return min(shares, default=1.0), max(shares, default=1.0)

    @property
    def seconds(self) -> float:
        """The length of the window in seconds."""
        return (self.until - self.since).total_seconds()

    @property
    def observed_seconds(self) -> float:
        """The time from the first pane with traffic to the end of the window, in seconds.

        A coarse pane counts from its start.
        """
        first = self.row_panes[0].time if self.row_panes else self.since
        return (self.until - first).total_seconds()

    def last(self, span: timedelta) -> Window:
        """Return the last `span` of the window, or what reaches further back than the window.

        It begins where a pane begins, as the window itself does.

        Raises:
            ConfigurationError: `span` is not above 0.
            StoreError: The store of what lies further back cannot be read.
        """
        if span <= timedelta(0):
            raise ConfigurationError(f"window.last({span!r}): must be above 0")
        since = self.until - span
        if self.read_at is not None:
            since, _ = outward(since, self.until, self.read_at)
        return self.between(since, self.until)

    def between(self, since: datetime, until: datetime) -> Window:
        """Return the traffic of a span that ends no later than the window; it may begin before.

        Both ends have to lie where panes begin.

        Raises:
            StoreError: The store of what lies before the window cannot be read.
        """
        before = self.reach(since, min(until, self.since)) if since < self.since else ()
        own = (pane for pane in (*self.panes_, *self.parts) if since <= pane.time < until)
        found = (*before, *own)
        whole = tuple(pane for pane in found if not pane.segment)
        parts = tuple(pane for pane in found if pane.segment)
        return replace(self, since=since, until=until, panes_=whole, parts=parts)

    def panes(self, step: timedelta) -> list[Pane]:
        """Return the panes merged into spans of `step`, a multiple of a minute, in order.

        Spans without traffic are left out. A pane that does not lie within one of them, such as
        the pane of a day for a step of an hour, cannot be split: it is given with its own span.

        Raises:
            ConfigurationError: `step` is not a multiple of a minute above 0.
        """
        if step <= timedelta(0) or step % MINUTE:
            raise ConfigurationError(f"window.panes({step!r}): must be a multiple of a minute")
        merged: dict[tuple[datetime, timedelta], dict[str, Tally]] = {}
        for pane in self.panes_:
            start = floor(pane.time, step)
            fits = pane.time + pane.span <= start + step
            place = (start, step) if fits else (pane.time, pane.span)
            add_tallies(merged.setdefault(place, {}), pane.tallies)
        fingerprint = "" if self.reference is None else self.reference.fingerprint
        return [
            Pane(
                model=self.model,
                model_version=self.model_version,
                reference=fingerprint,
                time=start,
                span=span,
                tallies=merged[start, span],
            )
            for start, span in sorted(merged)
        ]

    def frame(self) -> pd.DataFrame:
        """Return the rows of the window that are still kept, as a DataFrame indexed by request id.

        Columns: `time`, `prediction`, `probability`, `outcome` (None while unknown),
        `latency_ms`, `error`, `segment`, and one `feature/<name>` a feature.
        """
        import pandas as pd

        predictions, outcomes = self.rows(self.since, self.until)
        known = {outcome.request_id: outcome.outcome for outcome in outcomes}
        fields = ("time", "prediction", "probability", "latency_ms", "error", "segment")
        table = [
            {name: getattr(row, name) for name in fields}
            | {"outcome": known.get(row.request_id), "request_id": row.request_id}
            | {f"feature/{name}": value for name, value in row.features.items()}
            for row in predictions
        ]
        columns = None if table else ["request_id", *fields, "outcome"]
        return pd.DataFrame(table, columns=columns).set_index("request_id")


def share_sums(source: Window, other: Window) -> None:
    """Give a window of the same panes what another has summed, so that it is summed once."""
    for name in ("tallies", "segments", "profile"):
        if name in vars(source):
            vars(other)[name] = vars(source)[name]


def check_span(what: str, since: datetime, until: datetime) -> None:
    """Raise `ConfigurationError` unless `[since, until)` is a span of timezone-aware times."""
    for value in (since, until):
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise ConfigurationError(
                f"{what}: {value!r} is no timezone-aware datetime; use datetime(..., tzinfo=UTC)"
            )
    if since >= until:
        raise ConfigurationError(f"{what}: {since} is not before {until}")
