"""From the arguments of a monitor to its parts: checked, and defaults filled in."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

from mlwatch import defaults
from mlwatch.alerting import AlertManager, MonitorHealth, MonitoringFault, Rule
from mlwatch.collectors import DriftCollector, DriftScoreCollector, OneOf, Pattern, Range, Schema
from mlwatch.cycle import Cycle
from mlwatch.errors import ConfigurationError
from mlwatch.ingest import Ingest
from mlwatch.protocols import (
    Collect,
    Collector,
    Detect,
    DriftDetector,
    JointDetector,
    MetricStore,
    Notifier,
    Notify,
    Scope,
    part_features,
    part_name,
    part_names,
    scope_of,
)
from mlwatch.recorder import AnyRecorder, NoRecorder, Recorder, is_disabled
from mlwatch.records import AlertPolicy, CaptureOptions, DriftPolicy, as_segments
from mlwatch.records.words import listed
from mlwatch.redaction import Redacted, check_same, make_redactor
from mlwatch.reference import FindReference, Reference
from mlwatch.retention import says_size
from mlwatch.spans import MINUTE
from mlwatch.spool import DiskSpool, Spool
from mlwatch.training import PREDICTION


@dataclass(frozen=True)
class Parts:
    """What a monitor is made of."""

    spool: Spool
    recorder: AnyRecorder
    ingest: Ingest
    cycle: Cycle

    @property
    def in_memory(self) -> bool:
        """Whether the spool is gone with the process."""
        return self.spool_path is None

    @property
    def spool_path(self) -> Path | None:
        """The folder of the spool; None: memory."""
        return self.spool.path if isinstance(self.spool, DiskSpool) else None

    @property
    def disabled(self) -> bool:
        """Whether mlwatch is switched off."""
        return isinstance(self.recorder, NoRecorder)


def build(
    *,
    store: MetricStore,
    model: str,
    model_version: str,
    references: FindReference,
    detectors: Sequence[DriftDetector | JointDetector | Detect] | None,
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
    _require_scopes(chosen)
    _require_policy(chosen, drift)
    told = _parts("notifiers", defaults.notifiers() if notifiers is None else notifiers, "notify")
    judged = _parts("rules", defaults.rules() if rules is None else rules, "__call__")
    for always in (MonitoringFault, MonitorHealth):
        if not any(isinstance(rule, always) for rule in judged):
            judged.append(always())
    named = _named("collectors", chosen)
    _require_distinct_results(detectors or [])
    _named("notifiers", told)
    if capture.retention.max_bytes is not None and not says_size(store):
        raise ConfigurationError(
            f"Retention(max_bytes=...): {store!r} does not say how large it is; give it a property "
            "`bytes`, or leave max_bytes out"
        )
    spool = defaults.spool(capture, store, model)
    own = references(model_version)
    names = () if own is None else own.columns
    recorder: AnyRecorder = (
        NoRecorder() if is_disabled() else Recorder(spool, capture, clock, names)
    )
    tallies = {name: part.tally for name, part in named.items() if hasattr(part, "tally")}
    ingest = Ingest(
        model,
        spool,
        store,
        references,
        clock,
        tallies,
        model_version=model_version,
        segments=as_segments(drift.segments),
    )
    manager = AlertManager(model, told, alerts)
    every_rule = {f"{part_name(rule)} {place}": rule for place, rule in enumerate(judged, 1)}
    cycle = Cycle(model, model_version, store, named, every_rule, manager, capture.retention)
    return Parts(spool, recorder, ingest, cycle)


def references(
    given: Reference | Mapping[str, Reference] | None, model: str, model_version: str
) -> FindReference:
    """Return what finds the reference of a version.

    Raises:
        ConfigurationError: Something else was given, a reference of another model, or a mapping
            without the monitor's own version.
    """
    if isinstance(given, Mapping) and model_version not in given:
        known = ", ".join(map(repr, given)) or "none"
        raise ConfigurationError(
            f"no reference of this monitor's own model_version={model_version!r}: there is "
            f"{known}; give one of it too, or another model_version="
        )
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


def check_features(
    collectors: Iterable[object], given: Reference | Mapping[str, Reference] | None
) -> None:
    """Raise `ConfigurationError` where a detector names a feature that no reference has."""
    known = given.values() if isinstance(given, Mapping) else [given]
    names = {name for found in known if found is not None for name in found.features}
    judges = [it for it in collectors if isinstance(it, DriftCollector | DriftScoreCollector)]
    for detector in (it for judge in judges if names for it in judge.detectors):
        for name in sorted(part_features(detector) - names - {PREDICTION}, key=str):
            near = difflib.get_close_matches(str(name), names, n=3) or sorted(names)
            raise ConfigurationError(
                f"detectors: {part_name(detector)!r} names a feature {name!r}, which the "
                f"reference does not have; there is {listed(near)}"
            )


def check_schemas(
    collectors: Iterable[object],
    given: Reference | Mapping[str, Reference] | None,
    capture: CaptureOptions,
) -> None:
    """Raise `ConfigurationError` where a rule could only ever break, or is for no feature."""
    known = given.values() if isinstance(given, Mapping) else [given]
    names = {name for found in known if found is not None for name in found.columns}
    redact = capture.redact if isinstance(capture.redact, Mapping) else {}
    schemas = [it for it in collectors if isinstance(it, Schema)]
    for feature, rule, asks in (it for schema in schemas for it in schema.named):
        if names and feature not in names:
            near = difflib.get_close_matches(feature, names, n=3) or sorted(names)
            raise ConfigurationError(
                f"Schema: a rule for a feature {feature!r}, which the reference does not have; "
                f"there is {listed(near)}"
            )
        action = redact.get(feature)
        hidden = (Range, OneOf, Pattern) if action == "hash" else (Range,)
        if action == "drop" or (action in {"hash", "mask"} and isinstance(asks, hidden)):
            raise ConfigurationError(
                f"Schema: {rule} of {feature!r} would never hold, since CaptureOptions(redact=...) "
                f'has "{action}" for it and rules see what is recorded; leave the rule out'
            )


def check_redaction(
    capture: CaptureOptions, given: Reference | Mapping[str, Reference] | None
) -> None:
    """Raise `ConfigurationError` where a reference was fitted under another redaction."""
    here = Redacted.by(make_redactor(capture.redact, capture.redact_key))
    for found in given.values() if isinstance(given, Mapping) else [given]:
        if found is not None:
            check_same(here, found.redacted, found.columns)


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
    if not isinstance(window, timedelta) or window < MINUTE or window % MINUTE:
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
            hint = "; defaults.collectors(own=[...]) puts yours in the place of a default"
            raise ConfigurationError(
                f"{what}: two are called {name!r}; give one another name"
                f"{hint if what == 'collectors' else ''}"
            )
        named[name] = part
    return named


def _require_scopes(collectors: Iterable[object]) -> None:
    """Refuse a collector that no cycle would ask."""
    for it in collectors:
        if scope_of(it) not in get_args(Scope):
            raise ConfigurationError(
                f"collectors: {part_name(it)!r} has scope={scope_of(it)!r}; it must be one of "
                f"{', '.join(map(repr, get_args(Scope)))}"
            )


def _require_policy(collectors: Iterable[object], policy: DriftPolicy) -> None:
    """Refuse a policy that is lost on a drift collector to which none was given."""
    given = [it.policy for it in collectors if isinstance(it, DriftCollector)]
    if DriftPolicy() in given and policy != DriftPolicy():
        raise ConfigurationError(
            "drift= and collectors= are both given, and the DriftCollector among them has no "
            "policy: pass it there too, as in defaults.collectors(policy=policy)"
        )


def _require_distinct_results(detectors: Sequence[Any]) -> None:
    _named("detectors", detectors)
    seen: set[str] = set()
    for part in detectors:
        twice = sorted(seen & part_names(part))
        if twice:
            raise ConfigurationError(
                f"detectors: the results of two may both be called {twice[0]!r}; give one another "
                "name"
            )
        seen |= part_names(part)
