"""The four protocols: all that a part of mlwatch has to be. Parts do not inherit from them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Set
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from mlwatch.profile import Distribution, Profile
from mlwatch.records import (
    Alert,
    Batch,
    DriftResult,
    Fault,
    Memory,
    Metric,
    Receipt,
    Revised,
    Table,
)
from mlwatch.window import Window

Item = Metric | DriftResult | Fault | Revised | Memory
"""What a collector may give."""

Scope = Literal["version", "model", "machine"]
"""What a collector is asked about: each model version, all of them together, or no traffic."""

Collect = Callable[[Window], Iterable[Item]]
"""A plain function that stands for a collector."""

Detect = Callable[[Distribution, Distribution], DriftResult | None]
"""A plain function that stands for a drift detector."""

Notify = Callable[[Alert], object]
"""A plain function that stands for a notifier."""


@runtime_checkable
class Collector(Protocol):
    """A window in, metrics out (and drift results, from one that judges drift).

    `collect` reads the window and returns metrics; it keeps nothing in itself and changes nothing.
    What it cannot measure it returns with `value=None` and `why`, never as 0. What it raises is
    caught by the cycle and becomes a fault; the other collectors still run.

    A collector that has to remember gives a `Memory` as its last item. It is written in the one
    batch with the metrics and the alerts they cause, by compare-and-set, and is `window.memory`
    at the next cycle, whichever worker runs it: what is told and what is remembered never part.
    It must not matter how often cycles run: take in each pane once, when it is closed.

    A collector may have a `scope`. "version", as without one: it is asked of each model version.
    "model": it is asked once a cycle of all versions together, about `window.of_model`. "machine":
    what it measures is no traffic, such as the state of a machine; it is asked once a cycle,
    outside of what is written together, so it gives metrics and faults alone. The metrics of the
    last two are about no model version.

    A metric may be about another span than the window: it then says its own `since` and `time`.
    `Revised` holds figures of a past span that are to be written anew, and that no rule is shown.

    A collector may also have `tally(rows) -> Mapping[str, int]`, called at ingest with the new
    predictions of one pane. Its counts are added to the pane and read back with
    `window.tally(collector.name)`.
    """

    @property
    def name(self) -> str:
        """The name faults and tallies go by."""
        ...

    def collect(self, window: Window) -> Iterable[Item]:
        """Return the metrics of `window`."""
        ...


@runtime_checkable
class DriftDetector(Protocol):
    """Two distributions of one feature in, the evidence out.

    `detect` returns None when the detector is not for this kind of feature. It leaves `drifted`
    at None: the drift collector judges by one policy. A detector that sets `drifted` is taken at
    its word. `effect` is a share of traffic between 0 and 1. With `current.n == 0` it returns a
    result without a statistic and says why. It may also have `features`, a set of the names
    that it was given; a monitor refuses those that its reference does not have.
    """

    @property
    def name(self) -> str:
        """The name results go by."""
        ...

    def detect(self, reference: Distribution, current: Distribution) -> DriftResult | None:
        """Return the evidence that `current` differs from `reference`."""
        ...


@runtime_checkable
class JointDetector(Protocol):
    """A drift detector of what lies between features: two profiles in, the evidence out.

    It is given wherever a drift detector is, and told from one by `joint`, which is True. Its one
    result speaks for all features together, under a name of its own. All else is as with a
    `DriftDetector`: `drifted` is left at None, `effect` lies between 0 and 1, and with too few
    rows the result has no statistic and says why.
    """

    @property
    def name(self) -> str:
        """The name results go by."""
        ...

    @property
    def joint(self) -> bool:
        """True."""
        ...

    def detect(self, reference: Profile, current: Profile) -> DriftResult | None:
        """Return the evidence that `current` differs from `reference`."""
        ...


@runtime_checkable
class MetricStore(Protocol):
    """Where everything is kept.

    Every row has a key. Rows replace the row of their key; rows of `Table.panes` are added:
    reading gives one row a key, the sum of all written, and keys whose sum is empty are not
    given. NaN, infinities, None and missing values come back as they went in.

    A store may also have a property `bytes`: how much room its rows take. What is pruned has to
    show in it at once. `Retention(max_bytes=...)` needs it, and nothing else asks for it.
    """

    def write(self, batch: Batch) -> None:
        """Write the rows of `batch`, all or none, or nothing when its id was written before.

        Raises:
            ConflictError: A revision in `batch.expects` no longer holds.
            DataError: A row holds what no store can keep; trying again cannot help.
            StoreError: The store cannot be written.
        """
        ...

    def read(
        self,
        table: Table,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        keys: Collection[str] | None = None,
        model: str | None = None,
        model_version: str | None = None,
    ) -> Iterator[Any]:
        """Return rows with `since <= time < until`, of these keys and this model, by time.

        Rows are instances of the table's record type, ordered by time and then by key, and all
        of one moment.
        """
        ...

    def claim(self, key: str, now: datetime, ttl: timedelta) -> bool:
        """Take the lease `key` until `now + ttl`; False while another claim of it runs.

        A lease only saves double work. Correctness rests on `Batch.expects`. One that ends more
        than ten minutes after `now + ttl` was taken by a clock that ran ahead: it is free.
        """
        ...

    def prune(self, before: Mapping[Table, datetime]) -> int:
        """Remove rows older than the time given for their table; return how many.

        The id of a batch may be forgotten once all its rows are older than the time for panes.
        """
        ...

    def close(self) -> None:
        """Release what is held; idempotent."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """Deliver one alert.

    `notify` returns when the receiver has accepted the alert and raises `NotificationError`
    otherwise. It is called once for each transition ("firing", "resolved") of an alert, and once
    more only when a process died between the acceptance and the note of it.
    """

    @property
    def name(self) -> str:
        """The name deliveries go by."""
        ...

    def notify(self, alert: Alert) -> Receipt | None:
        """Deliver `alert`.

        Raises:
            NotificationError: It was not delivered; `retry_after` and `permanent` say what next.
        """
        ...


def scope_of(collector: object) -> Scope:
    """Return what a collector is asked about."""
    scope: Scope = getattr(collector, "scope", "version")
    return scope


def part_name(part: object) -> str:
    """Return the name of a part, or of the plain function that stands for one."""
    named = getattr(part, "name", None) or getattr(part, "__name__", None)
    return str(named or type(part).__name__)


def part_names(part: object) -> frozenset[str]:
    """Return the names under which a detector's results go: those of its members, or its own."""
    names = getattr(part, "names", None)
    return frozenset({part_name(part)} if names is None else names)


def part_features(part: object) -> frozenset[str]:
    """Return the features that a detector, or a member of it, was given by name."""
    named = getattr(part, "features", None)
    return frozenset(named) if isinstance(named, Set) else frozenset()
