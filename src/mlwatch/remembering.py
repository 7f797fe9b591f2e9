"""What collectors remember, in the store: a state of each, and the panes that are its own."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import index
from typing import Any

from mlwatch.errors import ConflictError
from mlwatch.protocols import MetricStore
from mlwatch.records import Batch, Memory, Pane, State, Table, join_key
from mlwatch.window import COLLECTOR, Window

_TRIES = 100


def check_memory(memory: Memory) -> None:
    """Raise where no store could keep a memory, or give it back to the collector's next cycle.

    Raises:
        TypeError: A part of it is of a kind that cannot be kept; the message names it.
        ValueError: The body contains itself.
    """
    if not isinstance(memory.body, Mapping):
        kind = type(memory.body).__name__
        raise TypeError(f"Memory(body=...): is a {kind}; give a dict of JSON-able values")
    json.dumps(memory.body)
    if not isinstance(memory.panes, Sequence):  # what is read only once would be lost here
        raise TypeError(f"Memory(panes=...): is a {type(memory.panes).__name__}; give a list")
    for pane in memory.panes:
        _check_pane(pane)


def _check_pane(pane: object) -> None:
    if not isinstance(pane, Pane):
        raise TypeError(f"Memory(panes=...): holds a {type(pane).__name__}; give Pane(...)")
    if not isinstance(pane.time, datetime) or pane.time.utcoffset() is None:
        raise TypeError(f"Memory(panes=...): the time {pane.time!r} is no timezone-aware datetime")
    if not isinstance(pane.span, timedelta):
        raise TypeError(f"Memory(panes=...): the span {pane.span!r} is no timedelta")
    for tally in pane.tallies.values():
        for count in tally.values():
            index(count)  # panes add, and only integers do so exactly


def recall(store: MetricStore, window: Window, collectors: Iterable[str]) -> dict[str, State]:
    """Return what each collector remembers of a window's model version; at first nothing."""
    blank = {
        name: State(
            name=join_key(COLLECTOR, window.model, window.model_version, name),
            time=window.until,
            revision=0,
            model=window.model,
            model_version=window.model_version,
        )
        for name in collectors
    }
    keys = [state.key for state in blank.values()]
    found: Iterable[State] = store.read(Table.state, keys=keys)
    known = {state.key: state for state in found}
    return {name: known.get(state.key, state) for name, state in blank.items()}


def kept(
    store: MetricStore, window: Window, collector: str, since: datetime, until: datetime
) -> Iterator[Pane]:
    """Return the panes that a collector has kept for itself under the window's reference."""
    panes: Iterable[Pane] = store.read(
        Table.panes,
        since=since,
        until=until,
        model=window.model,
        model_version=window.model_version,
    )
    return (pane for pane in panes if pane == own_pane(pane, window, collector))


def own_pane(pane: Pane, window: Window, collector: str) -> Pane:
    """Return a pane as a collector keeps it for itself, beside those of the traffic."""
    return replace(
        pane,
        model=window.model,
        model_version=window.model_version,
        reference="" if window.reference is None else window.reference.fingerprint,
        source=join_key(COLLECTOR, collector),
    )


def change(
    store: MetricStore,
    window: Window,
    collector: str,
    edit: Callable[[Mapping[str, Any]], Mapping[str, Any]],
) -> None:
    """Change what a collector remembers, by compare-and-set.

    Raises:
        StoreError: The store cannot be read or written.
    """
    for _ in range(_TRIES):
        state = recall(store, window, [collector])[collector]
        after = replace(
            state, body=edit(state.body), revision=state.revision + 1, time=window.until
        )
        expects = {(Table.state, state.key): state.revision}
        try:
            store.write(Batch(f"memory/{uuid.uuid4().hex}", {Table.state: [after]}, expects))
        except ConflictError:
            continue
        return
    raise ConflictError(f"gave up on {collector} after {_TRIES} tries: others always wrote first")
