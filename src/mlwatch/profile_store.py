"""Counts made elsewhere, into the store."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime

from mlwatch.errors import ConfigurationError, ConflictError, GridMismatchError
from mlwatch.profile import Profile
from mlwatch.protocols import MetricStore
from mlwatch.records import RECORDER, Batch, Pane, State, Table, add_tallies, join_key, split_key
from mlwatch.reference import Reference
from mlwatch.spans import MINUTE, floor
from mlwatch.window import COLLECTOR, check_span

_TRIES = 100


def store_profile(
    store: MetricStore,
    profile: Profile,
    start: datetime,
    end: datetime,
    *,
    model: str,
    model_version: str,
    reference: Reference | None,
    source: str,
) -> None:
    """Store counts of `[start, end)` in the place of those of the same span and source, if any.

    A pane is written as a difference, so what was there is taken back; that nobody else does so
    at the same time is what the batch expects.

    Raises:
        ConfigurationError: The span is empty or has no timezone, there is no reference, or the
            source is a name under which mlwatch counts itself.
        GridMismatchError: The profile was not counted on the reference.
        StoreError: The store cannot be read or written.
    """
    check_span("record_profile", start, end)
    _check_source(source)
    fingerprint = _fingerprint(profile, reference, model_version)
    rows = {"rows": {"recorded": profile.rows, "counted": profile.rows}}
    pane = Pane(
        model=model,
        model_version=model_version,
        reference=fingerprint,
        time=floor(start, MINUTE),
        span=end - start,
        source=source,
        tallies=profile.to_tallies() | rows,
    )
    for _ in range(_TRIES):
        try:
            store.write(_replacement(store, pane))
        except ConflictError:
            continue
        return
    raise ConflictError(f"gave up on a profile after {_TRIES} tries: others always wrote first")


def _check_source(source: object) -> None:
    """Refuse the sources whose counts would be replaced, or taken for a collector's own."""
    taken = not isinstance(source, str) or split_key(source)[0] in {"", RECORDER, COLLECTOR}
    if taken:
        raise ConfigurationError(
            f"record_profile(source={source!r}): must be a name other than 'recorder' and "
            f"{COLLECTOR!r}, under which mlwatch counts itself; such as 'spark'"
        )


def _replacement(store: MetricStore, pane: Pane) -> Batch:
    first = State(
        name=join_key("profiles", pane.model), time=pane.time, revision=0, model=pane.model
    )
    turn: State = next(store.read(Table.state, keys=[first.key]), first)
    change: dict[str, dict[str, int]] = {}
    add_tallies(change, pane.tallies)
    for old in store.read(Table.panes, keys=[pane.key]):
        add_tallies(change, old.tallies, sign=-1)
    return Batch(
        f"profile/{uuid.uuid4().hex}",
        {
            Table.panes: [replace(pane, tallies=change)],
            Table.state: [replace(turn, revision=turn.revision + 1)],
        },
        {(Table.state, turn.key): turn.revision},
    )


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
