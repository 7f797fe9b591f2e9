"""From the arguments of a monitor to its parts: checked, and defaults filled in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from mlwatch import defaults
from mlwatch._guard import salvage
from mlwatch.alerting import AlertManager, Notify, Rule
from mlwatch.alerting.rules import MonitoringFault
from mlwatch.collectors.drift import Detect
from mlwatch.cycle import Collect, Cycle
from mlwatch.errors import ConfigurationError, GridMismatchError
from mlwatch.ingest import SPAN, FindReference, Ingest, pane_start
from mlwatch.profile import Profile
from mlwatch.protocols import Collector, DriftDetector, MetricStore, Notifier, part_name
from mlwatch.recorder import Recorder
from mlwatch.records import (
    AlertPolicy,
    Batch,
    CaptureOptions,
    DriftPolicy,
    Pane,
    Table,
    join_key,
)
from mlwatch.reference import Reference
from mlwatch.spool import MemorySpool, Spool


@dataclass(frozen=True)
class Parts:
    """What a monitor is made of."""

    spool: Spool
    recorder: Recorder
    ingest: Ingest
    cycle: Cycle

    @property
    def in_memory(self) -> bool:
        """Whether the spool is gone with the process."""
        return isinstance(self.spool, MemorySpool)


def build(
    *,
    store: MetricStore,
    model: str,
    model_version: str,
    references: FindReference,
    detectors: Sequence[DriftDetector | Detect] | None,
    collectors: Sequence[Collector | Collect] | None,
    rules: Sequence[Rule] | None,
    notifiers: Sequence[Notifier | Notify] | None,
    capture: CaptureOptions,
    drift: DriftPolicy,
    alerts: AlertPolicy,
    clock: Callable[[], datetime],
) -> Parts:
    """Put the parts together; what is None is taken from `defaults`."""
    if detectors is not None and collectors is not None:
        raise ConfigurationError(
            "detectors= and collectors= are both given: pass the detectors to the DriftCollector "
            "among the collectors"
        )
    if detectors is not None:
        detectors = _parts("detectors", detectors, "detect")
    chosen = defaults.collectors(detectors, drift) if collectors is None else collectors
    chosen = _parts("collectors", chosen, "collect")
    told = _parts("notifiers", defaults.notifiers() if notifiers is None else notifiers, "notify")
    judged = _parts("rules", defaults.rules() if rules is None else rules, "__call__")
    if not any(isinstance(rule, MonitoringFault) for rule in judged):
        judged.append(MonitoringFault())
    named = _named("collectors", chosen)
    _named("detectors", detectors or [])
    _named("notifiers", told)
    spool = defaults.spool(capture, store, model)
    own = references(model_version)
    recorder = Recorder(spool, capture, clock, () if own is None else own.features)
    tallies = {name: part.tally for name, part in named.items() if hasattr(part, "tally")}
    ingest = Ingest(model, spool, store, references, clock, tallies)
    manager = AlertManager(model, told, alerts)
    every_rule = {f"{part_name(rule)} {place}": rule for place, rule in enumerate(judged, 1)}
    cycle = Cycle(model, model_version, store, named, every_rule, manager, capture.retention)
    return Parts(spool, recorder, ingest, cycle)


def references(given: Reference | Mapping[str, Reference] | None, model: str) -> FindReference:
    """Return what finds the reference of a version.

    Raises:
        ConfigurationError: Something else was given, or a reference of another model.
    """
    by_version = dict(given) if isinstance(given, Mapping) else {"": given}
    for found in by_version.values():
        if found is not None and not isinstance(found, Reference):
            raise ConfigurationError(
                f"reference of type {type(found).__name__}: give a Reference, such as "
                'Reference.load("reference.json"), or a mapping of version to Reference'
            )
        if found is not None and found.meta.get("model", model) != model:
            raise ConfigurationError(
                f"a reference of model {found.meta['model']!r} for a monitor of model {model!r}: "
                "load the reference that was saved with this model, or change model="
            )
    if isinstance(given, Mapping):
        return by_version.get
    return lambda version: given  # noqa: ARG005


def check_arguments(
    *,
    store: object,
    model: str,
    model_version: str,
    window: timedelta,
    every: timedelta,
    capture: CaptureOptions,
    drift: DriftPolicy,
    alerts: AlertPolicy,
    clock: Callable[[], datetime],
) -> None:
    """Raise `ConfigurationError` for arguments that cannot be right."""
    if not isinstance(store, MetricStore) or isinstance(store, type):
        raise ConfigurationError(
            f"store={store!r}: is no store; give SQLiteStore(path), JSONLStore(path), "
            "MemoryStore() or an object with write, read, claim, prune and close"
        )
    if not isinstance(model, str) or not model or not isinstance(model_version, str):
        raise ConfigurationError(
            f"model={model!r}, model_version={model_version!r}: must be texts, the first not empty"
        )
    if not isinstance(window, timedelta) or window < SPAN or window % SPAN:
        raise ConfigurationError(f"window={window!r}: must be a timedelta of whole minutes")
    if not isinstance(every, timedelta) or every <= timedelta(0):
        raise ConfigurationError(f"every={every!r}: must be a timedelta above 0")
    options = (("capture", capture, CaptureOptions), ("drift", drift, DriftPolicy))
    for name, given, wanted in (*options, ("alerts", alerts, AlertPolicy)):
        if not isinstance(given, wanted):
            raise ConfigurationError(f"{name}={given!r}: give {wanted.__name__}(...)")
    now = clock() if callable(clock) else None
    if not isinstance(now, datetime) or now.utcoffset() is None:
        raise ConfigurationError(
            f"clock={clock!r}: must be callable and return a timezone-aware datetime, such as "
            "lambda: datetime.now(UTC)"
        )


def check_span(what: str, since: datetime, until: datetime) -> None:
    """Raise `ConfigurationError` unless `[since, until)` is a span of timezone-aware times."""
    for value in (since, until):
        if not isinstance(value, datetime) or value.utcoffset() is None:
            raise ConfigurationError(
                f"{what}: {value!r} is no timezone-aware datetime; use datetime(..., tzinfo=UTC)"
            )
    if since >= until:
        raise ConfigurationError(f"{what}: {since} is not before {until}")


def profile_batch(
    profile: Profile,
    start: datetime,
    end: datetime,
    *,
    model: str,
    model_version: str,
    reference: Reference | None,
    source: str,
) -> Batch:
    """Return the batch that stores counts of `[start, end)`; its id is of what they are.

    Raises:
        ConfigurationError: The span is empty or has no timezone, or there is no reference.
        GridMismatchError: The profile was not counted on the reference.
    """
    check_span("record_profile", start, end)
    fingerprint = _fingerprint(profile, reference, model_version)
    rows = {"rows": {"recorded": profile.rows, "counted": profile.rows}}
    pane = Pane(
        model=model,
        model_version=model_version,
        reference=fingerprint,
        time=pane_start(start.astimezone(UTC)),
        span=end - start,
        source=source,
        tallies=profile.to_tallies() | rows,
    )
    content = hashlib.sha256(msgspec.json.encode(pane.tallies, order="sorted")).hexdigest()
    return Batch(join_key("profile", pane.key, content), {Table.panes: [pane]})


def _fingerprint(profile: Profile, reference: Reference | None, version: str) -> str:
    """Return the fingerprint of the reference that a profile was counted on."""
    if not isinstance(profile, Profile):
        raise ConfigurationError(
            f"record_profile: {type(profile).__name__} is no Profile; make one with "
            "reference.count or Profile.from_counts"
        )
    if reference is None:
        raise ConfigurationError(
            f"record_profile: there is no reference of version {version!r} whose grids could say "
            "what the counts mean"
        )
    own = {name: grid.fingerprint for name, grid in reference.profile.grids.items()}
    given = {name: grid.fingerprint for name, grid in profile.grids.items()}
    if own != given:
        differ = sorted(name for name in own | given if own.get(name) != given.get(name))
        raise GridMismatchError(
            f"record_profile: {', '.join(map(repr, differ))} was not counted on the reference of "
            f"version {version!r}: count with reference.count or Profile.from_counts"
        )
    return reference.fingerprint


Rows = tuple[list[tuple[Any, ...]], int]
"""Rows, and how many more there would be if no column were shorter than the others."""


def read_rows(
    read: Callable[[Sequence[Any]], Rows], columns: Sequence[Any], recorder: Recorder
) -> list[tuple[Any, ...]]:
    """Return what `read` makes of a batch; count what is no batch, and rows that lack a value."""
    found = salvage(read, columns, None)
    if found is None:
        recorder.refuse("bad_batch")
        return []
    rows, lost = found
    if lost:
        recorder.refuse("unequal_columns", lost)
    return rows


def batch_rows(columns: Sequence[Any]) -> Rows:
    """Return features, prediction, probability and request id of each row of a batch."""
    frame, predictions, probabilities, request_ids = columns
    names = list(frame.keys())
    served = plain(predictions)
    others = [[None] * len(served) if it is None else it for it in (probabilities, request_ids)]
    rows, lost = aligned([*(frame[name] for name in names), served, *others])
    width = len(names)
    return [(dict(zip(names, row, strict=False)), *row[width:]) for row in rows], lost


def aligned(columns: Sequence[Any]) -> Rows:
    """Return columns as rows, up to the end of the shortest."""
    lists = [plain(column) for column in columns]
    rows = list(zip(*lists, strict=False))
    return rows, max(map(len, lists)) - len(rows)


def plain(values: Any) -> list[Any]:
    """Return values as a list of Python objects.

    Raises:
        TypeError: They are a text or a mapping, whose parts are no rows.
    """
    if isinstance(values, str | bytes | Mapping):
        raise TypeError(f"{type(values).__name__} is no sequence of values")
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _parts(what: str, parts: Any, verb: str) -> list[Any]:
    if not isinstance(parts, Iterable) or isinstance(parts, str):
        raise ConfigurationError(f"{what}={parts!r}: must be a list; write {what}=[...]")
    found = list(parts)
    for part in found:
        if isinstance(part, type):
            name = part.__name__
            raise ConfigurationError(f"{what}: {name} is a class; give one of it, as {name}(...)")
        if not callable(part) and not callable(getattr(part, verb, None)):
            raise ConfigurationError(
                f"{what}: {part!r} is neither a function nor an object with {verb}()"
            )
    return found


def _named(what: str, parts: Sequence[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for part in parts:
        name = part_name(part)
        if name in named:
            raise ConfigurationError(f"{what}: two are called {name!r}; give one another name")
        named[name] = part
    return named
